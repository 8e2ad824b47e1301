// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstdint>

#include "latchbox/options.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// The pause after the n-th failure, n from 1: first * factor^(n-1), at most the limit. [4.6]
[[nodiscard]] constexpr Duration pause_after(const Backoff& backoff,
                                             std::uint32_t failures) noexcept {
    Duration pause = backoff.first;
    if (backoff.factor == 1 || pause == Duration{}) { return pause; }
    for (std::uint32_t n = 1; n < failures && pause < backoff.limit; ++n) {
        pause = pause * backoff.factor;
    }
    return pause < backoff.limit ? pause : backoff.limit;
}

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
