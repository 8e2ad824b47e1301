// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <atomic>
#include <cstdint>

#include "latchbox/version.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// How many pauses a fetch makes, at most, before it sleeps.
template <class Platform> [[nodiscard]] int spins() noexcept {
    if constexpr (Platform::lingers) {
        return Platform::spins();
    } else {
        return 0;
    }
}

// Says without a lock, and roughly, whether a queue has a message that is READY. A fetch that finds
// none watches it for a little while before it sleeps: two threads that keep pace would else pay
// for a sleep and a wake with each message. Nothing on a platform where nobody lingers.
template <class Platform, bool lingers = Platform::lingers> class ReadySign {
public:
    // By whoever holds the queue. Written only when it changes, as others watch it.
    void show(bool ready) noexcept {
        const std::uint32_t now = ready ? 1 : 0;
        if (shown_.load(std::memory_order_relaxed) != now) {
            shown_.store(now, std::memory_order_relaxed);
        }
    }
    // Until it is shown, or `spins` are used up; one is in any case.
    void await(int& spins) const noexcept {
        for (--spins; spins > 0 && shown_.load(std::memory_order_relaxed) == 0; --spins) {
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
    void await(int& spins) const noexcept { spins = 0; }
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
