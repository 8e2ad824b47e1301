// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstdio>
#include <cstdlib>

namespace latchbox {
inline namespace v0 {
namespace detail {

[[noreturn]] inline void ensure_failed(const char* what, const char* file, int line) noexcept {
    std::fprintf(stderr, "latchbox: broken assertion in %s:%d: %s\n", file, line, what);
    std::abort();
}

// Our own assertion, on in every build: a broken one is a defect of the library, never of its
// input. A function, as the defaulted builtins name the caller and no macro is needed.
constexpr void ensure(bool holds, const char* what = "a state that must not be",
                      const char* file = __builtin_FILE(), int line = __builtin_LINE()) noexcept {
    if (!holds) [[unlikely]] { ensure_failed(what, file, line); }
}

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
