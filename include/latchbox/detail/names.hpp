// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "latchbox/detail/fail.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// What is wrong with a name, and where (from 0).
struct NameFault {
    const char* rule = nullptr;
    std::size_t position = 0;
    explicit operator bool() const noexcept { return rule != nullptr; }
};

// Names are dot-separated tokens: at most 255 bytes and 16 tokens, none empty, no blank, no
// control character, no wildcard. Other bytes are opaque.
[[nodiscard]] inline NameFault name_fault(std::string_view name) noexcept {
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
            if (++tokens > 16) { return {"a name has at most 16 tokens", at + 1}; }
        }
        if (c == ' ') { return {"a name has no blanks", at}; }
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || byte == 0x7f) { return {"a name has no control characters", at}; }
        if (c == '*' || c == '>') { return {"a name has no wildcards", at}; }
    }
    return {};
}

inline void require_name(std::string_view name) {
    if (const NameFault fault = name_fault(name)) {
        invalid_argument(std::string{fault.rule} + ", at position " +
                         std::to_string(fault.position));
    }
}

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
