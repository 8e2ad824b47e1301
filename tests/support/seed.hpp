// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>

#include "latchbox/testing/choices.hpp"

namespace support {

/// The seed with which a run begins: the one that the environment names, else another each time,
/// so that each run covers new ground. Printed, as it repeats the run.
inline std::uint64_t seed_of_this_run() {
    static const std::uint64_t seed = [] {
        const auto now = std::chrono::system_clock::now().time_since_epoch();
        const auto ticks = std::chrono::duration_cast<std::chrono::microseconds>(now).count();
        const std::uint64_t by_time = static_cast<std::uint64_t>(ticks) % 1'000'000'000'000U;
        const std::uint64_t chosen = latchbox::testing::seed_from_environment().value_or(by_time);
        std::printf("LATCHBOX_SEED=%llu\n", static_cast<unsigned long long>(chosen));
        std::fflush(stdout);
        return chosen;
    }();
    return seed;
}

}  // namespace support
