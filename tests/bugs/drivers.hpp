// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>
#include <string>

#include "latchbox/testing/choices.hpp"

// The general drivers, none of which knows of any bug.
namespace bugs {

inline constexpr std::size_t most_steps = 200;

/// One script of the reference model and the broker, on the real platform. What differs, or
/// nothing. Takes so many steps at most; if it fails, these become just enough for that.
[[nodiscard]] std::string run_script(latchbox::testing::Choices& choices, std::size_t& steps);

/// One program of a few threads, in one order of its steps. What went wrong, or nothing. It ends
/// by itself, whatever `steps`.
[[nodiscard]] std::string run_program(latchbox::testing::Choices& choices, std::size_t& steps);

/// To be called by `operator new`: those programs must not come here under a lock.
void allocating() noexcept;

}  // namespace bugs
