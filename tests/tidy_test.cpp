// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <algorithm>
#include <cctype>
#include <cstdio>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "support/source_tree.hpp"

// How the project is written, as far as a machine can judge it. A rule that proves wrong is
// changed here, in the change that breaks it.
namespace {

using support::SourceFile;

struct Header {
    int level;
    std::string_view path;  // below include/latchbox
};

// The order of the headers: each includes only those named above it. Levels: 0 the standard
// library alone, 1 vocabulary, 2 pieces, 3 core, 4 shell, 5 handles, 6 umbrella.
// clang-format off
const std::vector<Header> headers = {
    {0, "version.hpp"},
    {0, "fwd.hpp"},
    {0, "detail/ensure.hpp"},
    {0, "detail/annotations.hpp"},
    {1, "time.hpp"},
    {1, "errc.hpp"},
    {1, "detail/fail.hpp"},
    {1, "result.hpp"},
    {1, "ids.hpp"},
    {1, "reason.hpp"},
    {1, "subject.hpp"},
    {1, "states.hpp"},
    {1, "explanation.hpp"},
    {1, "options.hpp"},
    {1, "stats.hpp"},
    {1, "text.hpp"},
    {1, "clock.hpp"},
    {2, "detail/reference.hpp"},
    {2, "detail/backoff.hpp"},
    {2, "detail/option_checks.hpp"},
    {2, "detail/record.hpp"},
    {2, "detail/array.hpp"},
    {2, "detail/growing.hpp"},
    {2, "detail/chunks.hpp"},
    {2, "detail/pool.hpp"},
    {2, "detail/table.hpp"},
    {2, "detail/slot_list.hpp"},
    {2, "detail/slot_set.hpp"},
    {2, "detail/slot_heap.hpp"},
    {2, "detail/slot_index.hpp"},
    {2, "detail/deadlines.hpp"},
    {2, "detail/ready_order.hpp"},
    {2, "detail/key_lines.hpp"},
    {2, "detail/issued.hpp"},
    {2, "detail/dedup_window.hpp"},
    {2, "detail/pointer_map.hpp"},
    {2, "detail/issuers.hpp"},
    {2, "detail/pattern_index.hpp"},
    {2, "detail/feed.hpp"},
    {2, "detail/latch_board.hpp"},
    {2, "detail/latch_changes.hpp"},
    {2, "detail/latch_audit.hpp"},
    {3, "detail/effects.hpp"},
    {3, "detail/core_memory.hpp"},
    {3, "detail/queue_core.hpp"},
    {3, "detail/queue_room.hpp"},
    {3, "detail/queue_places.hpp"},
    {3, "detail/queue_transitions.hpp"},
    {3, "detail/queue_audit.hpp"},
    {3, "detail/by_number.hpp"},
    {4, "detail/lock.hpp"},
    {4, "platform.hpp"},
    {4, "manual_clock.hpp"},
    {4, "detail/access.hpp"},
    {4, "detail/tally.hpp"},
    {4, "detail/shared_body.hpp"},
    {4, "detail/bodies.hpp"},
    {4, "detail/alarms.hpp"},
    {4, "detail/timekeeper.hpp"},
    {4, "detail/waiters.hpp"},
    {4, "detail/latches.hpp"},
    {4, "detail/aftermath.hpp"},
    {4, "detail/ready_sign.hpp"},
    {4, "detail/queue_shell.hpp"},
    {4, "detail/shelf.hpp"},
    {4, "detail/drafts.hpp"},
    {4, "detail/passages.hpp"},
    {4, "detail/topic_shell.hpp"},
    {4, "detail/topics.hpp"},
    {4, "detail/judging.hpp"},
    {4, "detail/acting.hpp"},
    {4, "detail/cascade.hpp"},
    {4, "detail/turns.hpp"},
    {4, "detail/view.hpp"},
    {4, "detail/waiting.hpp"},
    {4, "detail/fetching.hpp"},
    {4, "detail/settling.hpp"},
    {4, "detail/watching.hpp"},
    {4, "detail/removing.hpp"},
    {4, "detail/broker_shell.hpp"},
    {4, "detail/draining.hpp"},
    {4, "detail/naming.hpp"},
    {4, "detail/reserving.hpp"},
    {4, "detail/linking.hpp"},
    {4, "detail/way.hpp"},
    {4, "detail/appending.hpp"},
    {4, "detail/parts.hpp"},
    {4, "detail/posting.hpp"},
    {4, "detail/committing.hpp"},
    {4, "detail/booking.hpp"},
    {4, "detail/spreading.hpp"},
    {4, "detail/retained.hpp"},
    {4, "detail/subscribing.hpp"},
    {4, "detail/reading.hpp"},
    {4, "detail/publishing.hpp"},
    {4, "detail/at_once.hpp"},
    {4, "detail/asking.hpp"},
    {4, "detail/explaining.hpp"},
    {5, "delivery.hpp"},
    {5, "dead_letters.hpp"},
    {5, "consumer.hpp"},
    {5, "queue.hpp"},
    {5, "topic.hpp"},
    {5, "transaction.hpp"},
    {5, "subscription.hpp"},
    {5, "latch.hpp"},
    {5, "gate.hpp"},
    {5, "broker.hpp"},
    {6, "latchbox.hpp"},
    {6, "detail/crew.hpp"},
    {6, "workers.hpp"},
    {6, "detail/suspension.hpp"},
    {6, "coroutine.hpp"},
    {6, "testing/choices.hpp"},
    {6, "testing/profiles.hpp"},
    {6, "testing/fibers.hpp"},
    {6, "testing/objects.hpp"},
    {6, "testing/rules.hpp"},
    {6, "testing/actor.hpp"},
    {6, "testing/history.hpp"},
    {6, "testing/raised.hpp"},
    {6, "testing/lock_order.hpp"},
    {6, "testing/run_log.hpp"},
    {6, "testing/without_ids.hpp"},
    {6, "testing/contention.hpp"},
    {6, "testing/depth_first.hpp"},
    {6, "testing/priorities.hpp"},
    {6, "testing/scheduler.hpp"},
    {6, "testing/world.hpp"},
    {6, "testing/explore.hpp"},
    {6, "testing/shared.hpp"},
    {6, "testing/simulated.hpp"},
    {6, "testing/quiescence.hpp"},
    {6, "testing/fault_plan.hpp"},
    {6, "testing.hpp"},
};
// clang-format on

// Nothing but declarations or includes: those who include them are their test.
const std::vector<std::string_view> untested = {"detail/annotations.hpp", "testing/objects.hpp",
                                                "testing/rules.hpp", "testing/actor.hpp"};
// Parts of one machine, which is tested as a whole.
const std::map<std::string_view, std::string_view> tested_with = {
    {"testing/history.hpp", "simulation/pruning"},
    {"testing/contention.hpp", "simulation/pruning"},
    {"testing/depth_first.hpp", "simulation/pruning"},
    {"testing/raised.hpp", "simulation/simulated"},
    {"testing/scheduler.hpp", "simulation/simulated"},
    {"testing/world.hpp", "simulation/simulated"},
    {"testing/explore.hpp", "simulation/simulated"},
    {"testing/simulated.hpp", "simulation/simulated"},
};

const std::vector<std::string_view> heavy = {"iostream", "functional", "algorithm", "ranges",
                                             "regex",    "future",     "format",    "random"};
const std::vector<std::string_view> of_threads = {"mutex", "condition_variable", "thread"};
const std::vector<std::string_view> may_use_threads = {"platform.hpp", "manual_clock.hpp"};

// Words of other brokers for what has a name here, and words that promise a later change.
const std::vector<std::string_view> foreign = {"job", "jobs", "task", "tasks", "nack", "dlq"};
const std::vector<std::string_view> unfinished = {"todo", "fixme", "xxx"};

// What the seam between broker and platform must not know.
const std::vector<std::string_view> forbidden = {"thread_local", "try_lock",  "try_lock_for",
                                                 "timed_mutex",  "sleep_for", "sleep_until"};

template <class T> bool among(const std::vector<std::string_view>& list, const T& item) {
    return std::find(list.begin(), list.end(), item) != list.end();
}

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

struct Word {
    std::string text;
    char before;        // the character that ends what stands before it
    std::string after;  // what follows it, at most five characters
};

std::vector<Word> words_of(std::string_view line) {
    std::vector<Word> words;
    for (std::size_t i = 0; i < line.size();) {
        const std::size_t begin = i;
        while (i < line.size() && is_word(line[i])) { ++i; }
        if (i == begin) {
            ++i;
            continue;
        }
        words.push_back({std::string{line.substr(begin, i - begin)},
                         begin == 0 ? ' ' : line[begin - 1], std::string{line.substr(i, 5)}});
    }
    return words;
}

std::string lower(std::string text) {
    for (char& c : text) { c = static_cast<char>(std::tolower(static_cast<unsigned char>(c))); }
    return text;
}

// The characters of a line of UTF-8.
std::size_t columns(std::string_view line) {
    return static_cast<std::size_t>(std::count_if(line.begin(), line.end(), [](char c) {
        return (static_cast<unsigned char>(c) >> 6) != 2;
    }));
}

// What is included by the line, with its quotes or brackets; else nothing.
std::string_view included_by(std::string_view line) {
    if (!line.starts_with("#include ")) { return {}; }
    line.remove_prefix(9);
    return line.substr(0, line.find_first_of(">\"", 1) + 1);
}

class Complaints {
public:
    void add(const SourceFile& file, std::size_t line, const std::string& what) {
        list_.push_back(file.path + ':' + std::to_string(line) + ": " + what);
    }
    [[nodiscard]] const std::vector<std::string>& list() const { return list_; }

private:
    std::vector<std::string> list_;
};

// Holds for every C++ file of the project.
void check_source(const SourceFile& file, Complaints& complaints) {
    const auto lines = support::lines_of(file.text);
    if (lines.size() < 2 || lines[0] != "// SPDX-License-Identifier: MIT" ||
        lines[1] != "// SPDX-FileCopyrightText: the latchbox authors") {
        complaints.add(file, 1, "the two SPDX lines are missing");
    }
    for (std::size_t i = 0; i < lines.size(); ++i) {
        if (columns(lines[i]) > 100) { complaints.add(file, i + 1, "over 100 columns"); }
        if (file.path == "tests/tidy_test.cpp") { continue; }
        for (const auto& word : words_of(lines[i])) {
            if (among(unfinished, lower(word.text))) { complaints.add(file, i + 1, word.text); }
        }
    }
}

void check_include(const SourceFile& file, std::string_view name, std::size_t place,
                   std::size_t line, std::string_view included, Complaints& complaints) {
    const std::string what{included};
    const auto inner = included.substr(1, included.size() - 2);
    if (included.front() == '<') {
        // What tests include may cost what tests cost.
        if (among(heavy, inner) && !name.starts_with("testing/")) {
            complaints.add(file, line, what + " is too heavy");
        }
        if (among(of_threads, inner) && !among(may_use_threads, name)) {
            complaints.add(file, line, what + " belongs to the platform");
        }
        return;
    }
    const std::string_view prefix = "latchbox/";
    for (std::size_t above = 0; above < place; ++above) {
        if (inner.starts_with(prefix) && inner.substr(prefix.size()) == headers[above].path) {
            return;
        }
    }
    complaints.add(file, line, what + " does not stand above it in the list");
}

void check_words(const SourceFile& file, std::string_view name, std::size_t line,
                 std::string_view text, Complaints& complaints) {
    for (const auto& word : words_of(text)) {
        if (among(foreign, lower(word.text))) {
            complaints.add(file, line, '"' + word.text + "\" is not our word");
        }
    }
    const auto code = text.substr(0, text.find("//"));
    for (const auto& word : words_of(code)) {
        if (among(forbidden, word.text)) {
            complaints.add(file, line, word.text + " must not be used");
        }
        if ((word.text == "min" || word.text == "max") && word.after.starts_with('(')) {
            complaints.add(file, line, word.text + " falls to the macro: put it in parentheses");
        }
        if (word.text == "now" && word.before == ':' && word.after.starts_with('(') &&
            name != "clock.hpp") {
            complaints.add(file, line, "only clock.hpp asks the system for the time");
        }
    }
    if (code.find("using namespace") != code.npos) {
        complaints.add(file, line, "using namespace");
    }
    if (text.starts_with("#define ") && !text.starts_with("#define LATCHBOX_")) {
        complaints.add(file, line, "a macro without the prefix");
    }
}

// Holds for the headers of the library.
void check_header(const SourceFile& file, Complaints& complaints) {
    const std::string name = file.path.substr(std::string_view{"include/latchbox/"}.size());
    const auto lines = support::lines_of(file.text);
    if (lines.size() > 350) { complaints.add(file, lines.size(), "over 350 lines"); }
    if (file.text.find("\n#pragma once\n") == file.text.npos) {
        complaints.add(file, 1, "no #pragma once");
    }
    const auto entry = std::find_if(headers.begin(), headers.end(),
                                    [&](const Header& header) { return header.path == name; });
    if (entry == headers.end()) { complaints.add(file, 1, "not in the list of headers"); }
    for (std::size_t i = 0; i < lines.size(); ++i) {
        const auto included = included_by(lines[i]);
        if (!included.empty()) {
            check_include(file, name, static_cast<std::size_t>(entry - headers.begin()), i + 1,
                          included, complaints);
        }
        check_words(file, name, i + 1, lines[i], complaints);
    }
}

void expect_none(const Complaints& complaints) {
    for (const auto& complaint : complaints.list()) { FAIL_CHECK(complaint); }
}

std::string with_licence(const std::string& text) {
    return "// SPDX-License-Identifier: MIT\n// SPDX-FileCopyrightText: the latchbox authors\n" +
           text;
}

std::vector<std::string> complaints_about(const std::string& path, const std::string& text) {
    Complaints complaints;
    check_source({path, with_licence(text)}, complaints);
    if (path.starts_with("include/")) { check_header({path, with_licence(text)}, complaints); }
    return complaints.list();
}

}  // namespace

TEST_CASE("the headers are tidy: sizes, includes, words, licence") {
    Complaints complaints;
    std::map<std::string, int> seen;
    for (const auto& file : support::read_sources("include")) {
        check_source(file, complaints);
        check_header(file, complaints);
        ++seen[file.path];
    }
    for (const auto& header : headers) {
        INFO("in the list, but not there: ", header.path);
        CHECK(seen.contains("include/latchbox/" + std::string{header.path}));
    }
    CHECK(std::is_sorted(headers.begin(), headers.end(),
                         [](const Header& a, const Header& b) { return a.level < b.level; }));
    expect_none(complaints);
}

TEST_CASE("tests, examples and benchmarks are tidy: columns, licence, nothing left undone") {
    Complaints complaints;
    for (const auto* folder : {"tests", "examples", "benchmarks", "docs"}) {
        for (const auto& file : support::read_sources(folder)) { check_source(file, complaints); }
    }
    expect_none(complaints);
}

TEST_CASE("every header has its test file, by name") {
    const std::filesystem::path tests = std::filesystem::path{LATCHBOX_SOURCE_DIR} / "tests";
    for (const auto& header : headers) {
        if (among(untested, header.path)) { continue; }
        const auto with = tested_with.find(header.path);
        const auto stem = with == tested_with.end()
                              ? std::filesystem::path{header.path}.stem().string()
                              : std::string{with->second};
        INFO("no test for ", header.path);
        CHECK(std::filesystem::exists(tests / (stem + "_test.cpp")));
    }
}

TEST_CASE("nothing but `become` changes the state of a message in a queue [3]") {
    std::size_t assertions = 0;
    std::size_t audited = 0;
    const auto count = [](std::string_view line, std::string_view what) {
        return line.substr(0, line.find("//")).find(what) != std::string_view::npos ? 1U : 0U;
    };
    for (const Header& header : headers) {
        const bool of_queues = header.path.starts_with("detail/queue_");
        const std::string text =
            support::read_project_file("include/latchbox/" + std::string{header.path});
        for (const std::string_view line : support::lines_of(text)) {
            if (header.level == 2 || header.level == 3) { assertions += count(line, "ensure("); }
            if (header.path.ends_with("_audit.hpp")) { audited += count(line, "return \""); }
            if (header.level == 3 && of_queues) { CHECK(count(line, ".state = ") == 0); }
        }
    }
    std::printf("figure: assertions in core and pieces = %zu\n", assertions);
    std::printf("figure: conditions of the audits = %zu\n", audited);
}

TEST_CASE("the README stays under 150 lines") {
    const std::string readme = support::read_project_file("README.md");
    const auto lines = support::lines_of(readme).size();
    CHECK(lines > 0);
    CHECK(lines < 150);
}

TEST_CASE("each rule of tidiness finds what breaks it") {
    const std::string time = "include/latchbox/time.hpp";
    const std::string good = "#pragma once\n#include <chrono>\n#include \"latchbox/fwd.hpp\"\n";
    const std::string unfinished_word{unfinished.front()};
    CHECK(complaints_about(time, good).empty());

    const auto found = [&](const std::string& bad, const std::string& complaint) {
        const auto all = complaints_about(time, good + bad + '\n');
        return all.size() == 1 && all[0].starts_with(time + ":6: ") &&
               all[0].find(complaint) != std::string::npos;
    };
    CHECK(found(std::string(101, '/'), "100 columns"));
    CHECK(found("// " + unfinished_word + ": later", unfinished_word));
    CHECK(found("#include <functional>", "heavy"));
    CHECK(found("#include <mutex>", "platform"));
    CHECK(found("#include \"latchbox/options.hpp\"", "does not stand above"));
    CHECK(found("#include \"time.hpp\"", "does not stand above"));
    CHECK(found("auto a = std::min(b, c);", "parentheses"));
    CHECK(found("auto t = std::chrono::steady_clock::now();", "asks the system"));
    CHECK(found("using namespace std;", "using namespace"));
    CHECK(found("// puts the Job aside", "not our word"));
    CHECK(found("thread_local int count = 0;", "must not be used"));
    CHECK(found("#define COUNT 1", "prefix"));
    CHECK(complaints_about(time, good + "auto a = (std::min)(b, c); c.now();  // b::max()\n")
              .empty());
    CHECK(complaints_about(time, good + std::string(100, '/') + '\n').empty());

    CHECK(complaints_about(time, "#include <chrono>\n").size() == 1);
    CHECK(complaints_about("include/latchbox/new.hpp", "#pragma once\n").size() == 1);
    std::string longest = good;
    for (int i = 0; i < 345; ++i) { longest += "\n"; }
    CHECK(complaints_about(time, longest).empty());
    CHECK(complaints_about(time, longest + "\n").size() == 1);
    Complaints unlicensed;
    check_source({"tests/a.cpp", "int a;\n"}, unlicensed);
    CHECK(unlicensed.list().size() == 1);
}
