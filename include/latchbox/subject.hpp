// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "latchbox/detail/fail.hpp"
#include "latchbox/errc.hpp"

namespace latchbox {
inline namespace v0 {

/// What is wrong with a subject or a pattern, and where; or nothing.
struct NameCheck {
    const char* rule = nullptr;  ///< the rule that is broken, in words; nullptr: none is
    std::size_t position = 0;    ///< of the byte that breaks it, from 0

    /// Whether it is a good one.
    [[nodiscard]] constexpr bool has_value() const noexcept { return rule == nullptr; }
    constexpr explicit operator bool() const noexcept { return has_value(); }
    /// `invalid_name`, unless it is a good one.
    [[nodiscard]] constexpr Errc error() const noexcept {
        return has_value() ? Errc{} : Errc::invalid_name;
    }
    friend constexpr bool operator==(const NameCheck& check, Errc code) noexcept {
        return check.error() == code;
    }
};

namespace detail {

inline constexpr std::size_t most_tokens = 16;

// The rules that subjects and patterns share; wildcards are judged by the caller.
[[nodiscard]] constexpr NameCheck check_tokens(std::string_view name) noexcept {
    if (name.empty()) { return {"a name must not be empty", 0}; }
    if (name.size() > 255) { return {"a name has at most 255 bytes", 255}; }
    std::size_t tokens = 1;
    for (std::size_t at = 0; at < name.size(); ++at) {
        const char c = name[at];
        if (c == '.') {
            const bool ends = at + 1 == name.size();
            if (at == 0 || ends || name[at + 1] == '.') {
                return {"a token must not be empty", at == 0 ? at : at + 1};
            }
            if (++tokens > most_tokens) { return {"a name has at most 16 tokens", at + 1}; }
        }
        if (c == ' ') { return {"a name has no blanks", at}; }
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || byte == 0x7f) { return {"a name has no control characters", at}; }
    }
    return {};
}

}  // namespace detail

/// Subjects, and the names of queues and groups: dot-separated tokens, at most 255 bytes and 16
/// tokens, none empty, no blank, no control character, no wildcard. Other bytes are opaque, and
/// case counts. For front ends that ask first: `Broker::queue` throws on a bad one. Never throws.
[[nodiscard]] constexpr NameCheck check_subject(std::string_view subject) noexcept {
    const NameCheck tokens = detail::check_tokens(subject);
    const std::size_t wildcard = subject.find_first_of("*>");
    if (wildcard == std::string_view::npos || subject.size() > 255) { return tokens; }
    if (!tokens && tokens.position <= wildcard) { return tokens; }
    return {"a name has no wildcards", wildcard};
}

/// Patterns over subjects: the same, but that a token may be `*`, which stands for any one, and the
/// last `>`, which stands for one or more. Never throws.
[[nodiscard]] constexpr NameCheck check_pattern(std::string_view pattern) noexcept {
    const NameCheck tokens = detail::check_tokens(pattern);
    if (pattern.size() > 255) { return tokens; }
    for (std::size_t at = pattern.find_first_of("*>"); at != std::string_view::npos;
         at = pattern.find_first_of("*>", at + 1)) {
        if (!tokens && tokens.position <= at) { break; }
        const bool begins = at == 0 || pattern[at - 1] == '.';
        const bool ends = at + 1 == pattern.size();
        const bool alone = begins && (ends || pattern[at + 1] == '.');
        if (!alone) { return {"a wildcard is a token of its own", at}; }
        if (pattern[at] == '>' && !ends) { return {"'>' stands at the end", at}; }
    }
    return tokens;
}

namespace detail {

inline void require(const NameCheck& check) {
    if (check) { return; }
    invalid_argument(std::string{check.rule} + ", at position " + std::to_string(check.position));
}

}  // namespace detail

}  // namespace v0
}  // namespace latchbox
