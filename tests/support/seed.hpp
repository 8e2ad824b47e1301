// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "latchbox/testing/choices.hpp"

namespace support {

/// The number that a variable of the environment holds, if there is one.
inline std::uint64_t number_from_environment(const char* name, std::uint64_t otherwise) {
    const char* const text = std::getenv(name);
    return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

/// The seed with which a run begins: the one that the environment names, else another each time,
/// so that each run covers new ground. Said `aloud`, as it repeats the run.
inline std::uint64_t seed_of_this_run(bool aloud = true) {
    static const std::uint64_t seed = [aloud] {
        const auto now = std::chrono::system_clock::now().time_since_epoch();
        const auto ticks = std::chrono::duration_cast<std::chrono::microseconds>(now).count();
        const std::uint64_t by_time = static_cast<std::uint64_t>(ticks) % 1'000'000'000'000U;
        const std::uint64_t chosen = latchbox::testing::seed_from_environment().value_or(by_time);
        if (aloud) {
            std::printf("LATCHBOX_SEED=%llu\n", static_cast<unsigned long long>(chosen));
            std::fflush(stdout);
        }
        return chosen;
    }();
    return seed;
}

}  // namespace support
