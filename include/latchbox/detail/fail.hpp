// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstdio>
#include <cstdlib>
#include <new>
#include <stdexcept>
#include <string>

#include "latchbox/errc.hpp"

// The only places that throw on purpose. Where exceptions are off they end the program with the
// same sentence.
namespace latchbox {
inline namespace v0 {
namespace detail {

[[noreturn]] inline void fail_with(Errc code) {
#if defined(__cpp_exceptions)
    throw Error{code};
#else
    std::fprintf(stderr, "latchbox: %s\n", to_string(code));
    std::abort();
#endif
}

[[noreturn]] inline void invalid_argument(const std::string& what) {
#if defined(__cpp_exceptions)
    throw std::invalid_argument{"latchbox: " + what};
#else
    std::fprintf(stderr, "latchbox: %s\n", what.c_str());
    std::abort();
#endif
}

// Does something that can be left undone where there is no memory for it.
template <class Act> void unless_out_of_memory(Act&& act) noexcept {
#if defined(__cpp_exceptions)
    try {
        act();
    } catch (const std::bad_alloc&) { return; }
#else
    act();
#endif
}

// Calls code of users, and tells what it threw: `failed(text)`.
template <class Act, class Failed> void attempt(Act&& act, Failed&& failed) noexcept {
#if defined(__cpp_exceptions)
    try {
        act();
    } catch (const std::exception& exception) { failed(exception.what()); } catch (...) {
        failed("unknown exception");
    }
#else
    act();
    static_cast<void>(failed);
#endif
}

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
