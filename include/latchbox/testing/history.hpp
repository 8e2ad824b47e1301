// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstdint>

namespace latchbox {
inline namespace v0 {
namespace testing {

/// What a fiber did, as one number: each step is mixed into what was before it.
struct History {
    static constexpr std::uint64_t salt_start = 0x100;
    static constexpr std::uint64_t salt_unlock = 0x101;
    static constexpr std::uint64_t salt_made = 0x102;
    static constexpr std::uint64_t salt_pick = 0x103;

    static constexpr std::uint64_t finish(std::uint64_t z) noexcept {
        z = (z ^ (z >> 33)) * 0xff51afd7ed558ccdU;
        z = (z ^ (z >> 33)) * 0xc4ceb9fe1a85ec53U;
        return z ^ (z >> 33);
    }
    static constexpr std::uint64_t mix(std::uint64_t a, std::uint64_t b) noexcept {
        return finish(a * 0x9e3779b97f4a7c15U + b + 0x2545f4914f6cdd1dU);
    }
};

}  // namespace testing
}  // namespace v0
}  // namespace latchbox
