// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <atomic>
#include <cstdint>

#include "latchbox/version.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// How many looks a fetch has before it sleeps.
template <class Platform> [[nodiscard]] int patience() noexcept {
    if constexpr (Platform::looks) {
        return Platform::patience();
    } else {
        return 0;
    }
}

// Says without a lock, and roughly, whether a queue has a message that is READY. A fetch that finds
// none looks at it for a little while before it waits in line: two threads that keep pace would
// else pay for a sleep and a wake with each message. Where a platform does not look, it is nothing.
template <class Platform, bool looks = Platform::looks> class ReadySign {
public:
    // By whoever holds the queue. Written only when it changes, as others look at it.
    void show(bool ready) noexcept {
        const std::uint32_t now = ready ? 1 : 0;
        if (shown_.load(std::memory_order_relaxed) != now) {
            shown_.store(now, std::memory_order_relaxed);
        }
    }
    // Looks until it is shown, or `patience`, a number of looks, is used up.
    void await(int& patience) const noexcept {
        while (patience > 0 && shown_.load(std::memory_order_relaxed) == 0) {
            --patience;
            Platform::pause();
        }
    }

private:
    // Apart from what changes with every call.
    alignas(64) typename Platform::template Atomic<std::uint32_t> shown_{0};
};
template <class Platform> class ReadySign<Platform, false> {
public:
    void show(bool) noexcept {}
    void await(int& patience) const noexcept { patience = 0; }
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
