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
// for a sleep and a wake with each message. Who did so in vain does it half as long the next time,
// who did not twice as long. Nothing on a platform where nobody lingers.
template <class Platform, bool lingers = Platform::lingers> class ReadySign {
public:
    // Nobody lingers for more than `spins` pauses at once.
    explicit ReadySign(int spins) noexcept : most_{spins}, patience_{spins} {}

    // By whoever holds the queue. Written only when it changes, as others watch it.
    void show(bool ready) noexcept {
        const std::uint32_t now = ready ? 1 : 0;
        if (shown_.load(std::memory_order_relaxed) != now) {
            shown_.store(now, std::memory_order_relaxed);
        }
    }
    // Until it is shown, or `spins` are used up; one is in any case.
    void await(int& spins) noexcept {
        const int patience = patience_.load(std::memory_order_relaxed);
        spins = spins < patience ? spins : patience;
        bool shown = false;
        for (--spins; !(shown = is_shown()) && spins > 0; --spins) { Platform::pause(); }
        const int next = shown ? 2 * patience : patience / 2;
        patience_.store(next < least   ? least
                        : next < most_ ? next
                                       : most_,
                        std::memory_order_relaxed);
    }

private:
    static constexpr int least = 4;

    [[nodiscard]] bool is_shown() const noexcept {
        return shown_.load(std::memory_order_relaxed) != 0;
    }

    // Apart from what changes with every call.
    alignas(64) typename Platform::template Atomic<std::uint32_t> shown_{0};
    const int most_;
    typename Platform::template Atomic<int> patience_;
};
template <class Platform> class ReadySign<Platform, false> {
public:
    explicit ReadySign(int) noexcept {}
    void show(bool) noexcept {}
    void await(int& spins) const noexcept { spins = 0; }
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
