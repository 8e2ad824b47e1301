// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "latchbox/detail/shared_body.hpp"

namespace support {

/// Every name of up to `most` tokens out of `letters`; the last may also be one of `last`.
inline std::vector<std::string> names(std::size_t most, const std::vector<std::string>& letters,
                                      const std::vector<std::string>& last = {}) {
    std::vector<std::string> all;
    std::vector<std::string> before = {""};
    for (std::size_t size = 1; size <= most; ++size) {
        std::vector<std::string> now;
        for (const std::string& begin : before) {
            for (const std::string& letter : letters) { now.push_back(begin + letter); }
            for (const std::string& letter : last) { all.push_back(begin + letter); }
        }
        all.insert(all.end(), now.begin(), now.end());
        before.clear();
        for (const std::string& name : now) { before.push_back(name + "."); }
    }
    return all;
}

/// Whether a pattern matches: token by token, as the rule is said.
inline bool matches(std::string_view pattern, std::string_view subject) {
    for (;;) {
        const std::size_t p = pattern.find('.');
        const std::size_t s = subject.find('.');
        const std::string_view wanted = pattern.substr(0, p);
        if (wanted == ">") { return true; }
        if (wanted != "*" && wanted != subject.substr(0, s)) { return false; }
        const bool pattern_ends = p == std::string_view::npos;
        const bool subject_ends = s == std::string_view::npos;
        if (pattern_ends || subject_ends) { return pattern_ends && subject_ends; }
        pattern.remove_prefix(p + 1);
        subject.remove_prefix(s + 1);
    }
}

/// A name that no queue, subject, pattern or group may have, the rule it breaks, and where.
struct BadName {
    std::string name;
    const char* rule;
    const char* position;
};
/// Those of all kinds, and `more`.
inline std::vector<BadName> bad_names(const std::vector<BadName>& more) {
    using namespace std::string_literals;
    std::vector<BadName> all = {
        {"", "empty", "position 0"},
        {std::string(256, 'a'), "255", "position 255"},
        {"a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q", "16 tokens", "position 32"},
        {"bad name", "blank", "position 3"},
        {"tab\there", "control", "position 3"},
        {"line\r", "control", "position 4"},
        {"line\n", "control", "position 4"},
        {"del\x7f", "control", "position 3"},
        {"nul\0nul"s, "control", "position 3"},
        {"a..b", "empty", "position 2"},
        {".a", "empty", "position 0"},
        {"a.", "empty", "position 2"},
        {".", "empty", "position 0"},
    };
    all.insert(all.end(), more.begin(), more.end());
    return all;
}

/// The next id of the same subject, which nobody drew yet.
inline latchbox::MessageId after(const latchbox::MessageId& id) {
    using Parts = latchbox::detail::IdParts;
    const std::uint64_t step = std::uint64_t{1} << latchbox::detail::TopicNumber::mark_bits;
    return Parts::message(Parts::issuer(id), Parts::number(id) + step, Parts::slot(id));
}

}  // namespace support
