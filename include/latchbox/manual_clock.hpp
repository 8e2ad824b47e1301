// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <atomic>

#include "latchbox/clock.hpp"
#include "latchbox/detail/fail.hpp"
#include "latchbox/detail/lock.hpp"
#include "latchbox/platform.hpp"

namespace latchbox {
inline namespace v0 {

/// A clock that moves when told, and only then: unit tests of anything that waits, retries or
/// expires need no sleep. Who sleeps in a call on a broker with this clock is woken when his
/// instant has come.
/// Threads  Any member from any thread, handlers included.
/// Errors   A step back is `std::invalid_argument`, and nothing moves.
template <class Platform> class BasicManualClock final : public Clock {
public:
    BasicManualClock() noexcept : BasicManualClock(Instant{}) {}
    explicit BasicManualClock(Instant start) noexcept : now_{start.since_epoch().count()} {}

    [[nodiscard]] Instant now() noexcept override {
        return Instant{Duration::nanoseconds(now_.load(std::memory_order_acquire))};
    }

    /// Moves on by `length`, all at once. What falls due on the way happens in its order, at the
    /// next call on the broker or in a thread that waits in one.
    void advance(Duration length) {
        if (length.is_negative()) { detail::invalid_argument("ManualClock.advance: negative"); }
        detail::Lock lock{mutex_};
        move_to(now() + length);
    }

    /// Moves on to `instant`.
    void set(Instant instant) {
        detail::Lock lock{mutex_};
        if (instant < now()) {
            lock.unlock();
            detail::invalid_argument("ManualClock.set: an instant that is past");
        }
        move_to(instant);
    }

    bool attach(Sleeper& sleeper) noexcept override {
        detail::Lock lock{mutex_};
        sleeper.next_attached = sleepers_;
        sleepers_ = &sleeper;
        return true;
    }
    void detach(Sleeper& sleeper) noexcept override {
        detail::Lock lock{mutex_};
        for (Sleeper** link = &sleepers_; *link != nullptr; link = &(*link)->next_attached) {
            if (*link == &sleeper) {
                *link = sleeper.next_attached;
                return;
            }
        }
    }

private:
    // Under the lock until every sleeper knows, so that one who detaches is not told any more.
    void move_to(Instant instant) noexcept {
        now_.store(instant.since_epoch().count(), std::memory_order_release);
        for (Sleeper* s = sleepers_; s != nullptr; s = s->next_attached) {
            s->clock_moved(instant);
        }
    }

    typename Platform::Mutex mutex_;
    typename Platform::template Atomic<std::int64_t> now_;
    Sleeper* sleepers_ = nullptr;
};

}  // namespace v0
}  // namespace latchbox
