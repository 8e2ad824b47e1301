// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace latchbox {
inline namespace v0 {
namespace testing {

/// `text` with "m-#" and "r-#" for the ids of messages and receipts in it. Queues are numbered
/// through the whole process, so two runs that fail in the same way name different ids.
[[nodiscard]] inline std::string without_ids(std::string_view text) {
    const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
    // How long the id is that begins at `at`: a letter and four numbers, each after a dash.
    const auto id_at = [&](std::size_t at) {
        if (text[at] != 'm' && text[at] != 'r') { return std::size_t{0}; }
        std::size_t end = at + 1;
        for (int numbers = 0; numbers < 4; ++numbers) {
            if (end + 1 >= text.size() || text[end] != '-' || !is_digit(text[end + 1])) {
                return std::size_t{0};
            }
            for (++end; end < text.size() && is_digit(text[end]);) { ++end; }
        }
        return end - at;
    };
    std::string rest;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t length = id_at(at);
        rest += text[at];
        if (length > 0) { rest += "-#"; }
        at += length > 0 ? length : 1;
    }
    return rest;
}

}  // namespace testing
}  // namespace v0
}  // namespace latchbox
