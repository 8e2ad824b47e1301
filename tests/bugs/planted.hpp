// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstdlib>

// Mistakes that were put into a copy of the library on purpose, each by a patch of this folder.
// All are in one build; a run has one of them, or none.
namespace bugs {

/// The number of the one that this run has, from the environment; 0: none.
inline int number = [] {
    const char* const text = std::getenv("LATCHBOX_BUG");
    return text != nullptr ? std::atoi(text) : 0;
}();

[[nodiscard]] inline bool planted(int bug) noexcept { return number == bug; }

}  // namespace bugs
