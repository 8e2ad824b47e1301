// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "latchbox/detail/pattern_index.hpp"
#include "latchbox/subject.hpp"
#include "support/subjects.hpp"

/// Subjects and patterns, by bytes from anywhere. What is wrong in words, or nothing.
namespace fuzz {

namespace detail {

inline std::vector<std::string_view> cut(std::string_view text, char at) {
    std::vector<std::string_view> pieces;
    for (;;) {
        const std::size_t end = text.find(at);
        pieces.push_back(text.substr(0, end));
        if (end == text.npos) { return pieces; }
        text.remove_prefix(end + 1);
    }
}

// The rule as it is said, all of it at once.
inline bool is_name(std::string_view text, bool wildcards) {
    if (text.size() > 255) { return false; }
    const std::vector<std::string_view> tokens = cut(text, '.');
    if (tokens.size() > 16) { return false; }
    for (std::size_t i = 0; i < tokens.size(); ++i) {
        const std::string_view token = tokens[i];
        if (token.empty()) { return false; }
        if (wildcards && (token == "*" || (token == ">" && i + 1 == tokens.size()))) { continue; }
        for (const char c : token) {
            const auto byte = static_cast<unsigned char>(c);
            if (byte <= ' ' || byte == 127 || c == '*' || c == '>') { return false; }
        }
    }
    return true;
}

inline std::string check(std::string_view text, bool wildcards) {
    using latchbox::Errc;
    const latchbox::NameCheck found =
        wildcards ? latchbox::check_pattern(text) : latchbox::check_subject(text);
    if (found.has_value() != is_name(text, wildcards)) { return "good and bad mixed up"; }
    bool throws = false;
    try {
        latchbox::detail::require(found);
    } catch (const std::invalid_argument&) { throws = true; }
    if (throws != !found) { return "it was let through, or it was thrown at"; }
    if (found) { return found == Errc{} ? "" : "a good one, and an error"; }
    if (!(found == Errc::invalid_name)) { return "a bad one, and another error"; }
    if (found.position > text.size()) { return "the position is outside"; }
    if (text.empty() || text.size() > 255) { return ""; }
    // Nothing is wrong before the first thing that is.
    std::string_view before = text.substr(0, found.position);
    if (before.ends_with('.')) { before.remove_suffix(1); }
    return before.empty() || is_name(before, wildcards) ? "" : "something before it is wrong, too";
}

inline std::string match(const std::vector<std::string_view>& patterns, std::string_view subject) {
    using Index = latchbox::detail::PatternIndex<std::size_t>;
    Index index;
    std::vector<std::size_t> numbers(patterns.size());
    for (std::size_t i = 0; i < patterns.size(); ++i) {
        numbers[i] = i;
        Index one = Index::make(patterns[i], static_cast<std::uint32_t>(i), numbers[i]);
        index.insert(one);
    }
    // All of them, then all but the first, and so on.
    for (std::size_t first = 0; first < patterns.size(); ++first) {
        std::vector<std::size_t> found;
        index.match(subject, [&found](std::size_t i) { found.push_back(i); });
        std::sort(found.begin(), found.end());
        std::vector<std::size_t> expected;
        for (std::size_t i = first; i < patterns.size(); ++i) {
            const bool matches = support::matches(patterns[i], subject);
            if (matches) { expected.push_back(i); }
            if (latchbox::detail::Pattern{patterns[i]}.matches(subject) != matches) {
                return "a pattern alone matches otherwise";
            }
        }
        if (found != expected) { return "the index matches otherwise"; }
        const auto number = static_cast<std::uint32_t>(first);
        if (index.erase(patterns[first], number).size() != 1) { return "it was not taken out"; }
    }
    return index.empty() && index.places() == 0 ? "" : "something was left in the index";
}

}  // namespace detail

/// Lines: each is judged as a subject and as a pattern; those that are good patterns are matched
/// against the last one, if it is a good subject.
inline std::string subjects(std::string_view bytes) {
    const std::vector<std::string_view> lines = detail::cut(bytes, '\n');
    std::vector<std::string_view> patterns;
    for (const std::string_view line : lines) {
        for (const bool wildcards : {false, true}) {
            if (std::string wrong = detail::check(line, wildcards); !wrong.empty()) {
                return wrong;
            }
        }
        if (detail::is_name(line, true)) { patterns.push_back(line); }
    }
    if (!detail::is_name(lines.back(), false)) { return {}; }
    return detail::match(patterns, lines.back());
}

}  // namespace fuzz
