// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
//
// One log, three readers. Each line is published once, to a subject made of its level and the word
// after that (`log.error.db`), and is copied to every subscription whose pattern matches. One of
// the readers is slow: it loses the oldest of what it has not read yet, and delays nobody.
//
//     topic_fan_out           a sample
//     topic_fan_out FILE      that log; of `-` standard input

#include <cstdio>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>

#include "latchbox/latchbox.hpp"
#include "text.hpp"

#if !defined(LATCHBOX_SOURCE_DIR)
#define LATCHBOX_SOURCE_DIR "."
#endif

// A word as a token of a subject: no punctuation, and a '_' for what a subject does not allow.
std::string token_of(const std::string& word) {
    std::string token = text::lower_case(word.substr(0, 64));
    std::erase_if(token, [](char c) { return std::string{":,()[]"}.find(c) != std::string::npos; });
    for (char& c : token) {
        if (!latchbox::check_subject({&c, 1})) { c = '_'; }
    }
    return token.empty() ? "none" : token;
}

// Of "09:12:01 ERROR db: disk full" it is `log.error.db`; of what names no level, `log.none.` and
// the first word.
std::string subject_of(const std::string& line) {
    std::istringstream words{line};
    std::string first = "none", level, word;
    for (int i = 0; i < 10 && words >> word; ++i) {
        const std::string token = token_of(word);
        if (!level.empty()) { return "log." + level + '.' + token; }
        if (i == 0) { first = token; }
        for (const char* const known : {"debug", "info", "warning", "error", "fatal"}) {
            if (token == known) { level = token; }
        }
    }
    return level.empty() ? "log.none." + first : "log." + level + ".none";
}

struct Reader {
    const char* name;
    std::size_t pause;  // it reads one line whenever so many more were published
    latchbox::Subscription<std::string> lines;
    std::size_t read = 0;
    std::string last = "nothing";

    bool read_one() {
        auto line = lines.try_fetch();
        if (!line) { return false; }
        ++read;
        last = line->subject();
        line->ack();
        return true;
    }
};

int main(int argc, char** argv) {
    const std::string source = argc > 1 ? argv[1] : LATCHBOX_SOURCE_DIR "/examples/logs/shop.log";
    std::ifstream file{source, std::ios::binary};
    std::istream& log = source == "-" ? std::cin : file;
    if (log.peek(); log.bad() || (source != "-" && !file.is_open())) {
        std::fprintf(stderr, "topic_fan_out: cannot read '%s'\n", source.c_str());
        return 1;
    }

    latchbox::Broker<std::string> broker;
    Reader readers[] = {{"archive", 1, broker.subscribe("log.>")},
                        {"pager", 3, broker.subscribe("log.error.>")},
                        {"dba", 9, broker.subscribe("log.*.db", {.capacity = 2})}};
    std::size_t lines = 0;
    text::for_each_line(*log.rdbuf(), [&](const std::string& line) {
        broker.topic(subject_of(line)).publish(line).value();
        ++lines;
        for (Reader& reader : readers) {
            if (lines % reader.pause == 0) { reader.read_one(); }
        }
    });

    std::printf("%zu lines\n", lines);
    bool as_said = true;
    for (Reader& reader : readers) {
        while (reader.read_one()) {}
        const auto evicted = static_cast<std::size_t>(reader.lines.stats().evicted);
        std::printf("%-8s%-12s %6zu read, %6zu evicted, the last: %s\n", reader.name,
                    reader.lines.pattern().c_str(), reader.read, evicted, reader.last.c_str());
        as_said = as_said && reader.lines.stats().accepted == reader.read + evicted;
    }
    return as_said && readers[0].read == lines ? 0 : 1;
}
