// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <chrono>
#include <ctime>

#include "latchbox/time.hpp"

namespace latchbox {
inline namespace v0 {

/// An interval that surely contains the present instant: a cheap look at a clock.
struct Glance {
    Instant earliest;
    Instant latest;
};

/// Somebody who sleeps until a clock has moved. A broker attaches one to its clock.
class Sleeper {
public:
    /// The clock says `now` from here on. Called under the clock's own lock: never calls back.
    virtual void clock_moved(Instant now) noexcept = 0;

    Sleeper* next_attached = nullptr;  ///< for the clock that this is attached to, nobody else

protected:
    ~Sleeper() = default;
};

/// The only source of time of a broker, chosen at run time: `Broker<Order> b{{.clock = &clock}}`.
/// Derive from it to bring your own; `now` is enough.
/// Threads   Every member may be called from any thread; the broker calls them under no lock.
/// Lifetime  Must outlive the brokers made with it. Not called once they are destroyed.
/// A clock that goes back is taken to stand still until it has caught up.
class Clock {
public:
    Clock() = default;
    Clock(const Clock&) = delete;
    Clock& operator=(const Clock&) = delete;
    virtual ~Clock() = default;

    /// The present instant.
    [[nodiscard]] virtual Instant now() noexcept = 0;

    /// An interval that surely contains the present instant, where that is cheaper to have: a
    /// call that cannot be decided by it asks `now`.
    [[nodiscard]] virtual Glance glance() noexcept {
        const Instant at = now();
        return {at, at};
    }

    /// The same as `glance`, as a broker asks it: of the clocks below without a virtual call, which
    /// would take as long as the answer does.
    [[nodiscard, gnu::always_inline]] Glance look() noexcept {
#if defined(CLOCK_MONOTONIC_COARSE)
        if (is_coarse_) {
            const Duration at = Duration::nanoseconds(coarse());
            return {Instant{at}, Instant{Duration::nanoseconds(at.count() + margin_)}};
        }
#endif
        return glance();
    }

    /// From here on until `detach`, tells `sleeper` whenever it moves; true if it does so. A
    /// clock that moves by itself returns false: then sleepers wait for as long, in real time, as
    /// the clock lacked when they asked it.
    virtual bool attach(Sleeper& sleeper) noexcept {
        static_cast<void>(sleeper);
        return false;
    }
    /// From here on `sleeper` is told nothing; it may be destroyed then.
    virtual void detach(Sleeper& sleeper) noexcept { static_cast<void>(sleeper); }

private:
    friend class SteadyClock;
    friend class CoarseClock;

    static Instant steady() noexcept {
        return Instant{std::chrono::steady_clock::now().time_since_epoch()};
    }
    // The system's coarse clock answers glances, if there is one, and is right within so many of
    // its ticks.
    void be_coarse([[maybe_unused]] std::int64_t ticks) noexcept {
#if defined(CLOCK_MONOTONIC_COARSE)
        timespec tick{};
        is_coarse_ = clock_getres(CLOCK_MONOTONIC_COARSE, &tick) == 0 && count(tick) > 0;
        margin_ = ticks * count(tick);
#endif
    }
#if defined(CLOCK_MONOTONIC_COARSE)
    static std::int64_t coarse() noexcept {
        timespec at{};
        static_cast<void>(clock_gettime(CLOCK_MONOTONIC_COARSE, &at));  // there is one
        return count(at);
    }
    static std::int64_t count(const timespec& at) noexcept {
        return std::int64_t{at.tv_sec} * 1'000'000'000 + at.tv_nsec;
    }
#endif

    bool is_coarse_ = false;
    [[maybe_unused]] std::int64_t margin_ = 0;
};

/// The system's steady clock, exact to its nanosecond; the default. Its glance is answered by the
/// system's coarse clock where there is one, which costs a fifth.
class SteadyClock final : public Clock {
public:
    // The coarse clock lags by its resolution, and was seen to lag by two of them: eight leave a
    // wide margin, which costs no more than an exact reading this close to something due.
    SteadyClock() noexcept { be_coarse(8); }

    [[nodiscard]] Instant now() noexcept override { return steady(); }
    [[nodiscard]] Glance glance() noexcept override {
        return is_coarse_ ? look() : Clock::glance();
    }
};

/// The system's coarse steady clock: milliseconds (one to ten, by system) instead of nanoseconds
/// in everything, for a fifth of the cost. The same as `SteadyClock` where there is none.
class CoarseClock final : public Clock {
public:
    CoarseClock() noexcept { be_coarse(0); }

    [[nodiscard]] Instant now() noexcept override { return is_coarse_ ? look().latest : steady(); }
};

}  // namespace v0
}  // namespace latchbox
