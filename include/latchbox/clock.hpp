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

    /// The same as `glance`, as a broker asks it: of `SteadyClock` without a virtual call, which
    /// would take as long as the answer does.
    [[nodiscard, gnu::always_inline]] Glance look() noexcept {
#if defined(CLOCK_MONOTONIC_COARSE)
        if (margin_ != 0) {
            const Instant coarse{Duration::nanoseconds(coarse_count())};
            return {coarse, Instant{Duration::nanoseconds(coarse.since_epoch().count() + margin_)}};
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

#if defined(CLOCK_MONOTONIC_COARSE)
private:
    friend class SteadyClock;
    static std::int64_t coarse_count() noexcept {
        timespec at{};
        static_cast<void>(clock_gettime(CLOCK_MONOTONIC_COARSE, &at));  // there is one
        return std::int64_t{at.tv_sec} * 1'000'000'000 + at.tv_nsec;
    }
    // Within which the system's coarse clock is right; 0: it is not asked.
    std::int64_t margin_ = 0;
#endif
};

/// The system's steady clock, exact to its nanosecond; the default. Its glance is answered by the
/// system's coarse clock where there is one, which costs a fifth.
class SteadyClock final : public Clock {
public:
    [[nodiscard]] Instant now() noexcept override {
        return Instant{std::chrono::steady_clock::now().time_since_epoch()};
    }
#if defined(CLOCK_MONOTONIC_COARSE)
    SteadyClock() noexcept { margin_ = margin(); }
    [[nodiscard]] Glance glance() noexcept override {
        return margin_ != 0 ? look() : Clock::glance();
    }

private:
    // The coarse clock lags by its resolution, and was seen to lag by two of them: eight leave a
    // wide margin, which costs no more than an exact reading this close to something due.
    // 0: there is no such clock.
    static std::int64_t margin() noexcept {
        timespec resolution{};
        if (clock_getres(CLOCK_MONOTONIC_COARSE, &resolution) != 0) { return 0; }
        return 8 * (std::int64_t{resolution.tv_sec} * 1'000'000'000 + resolution.tv_nsec);
    }
#endif
};

/// The system's coarse steady clock: milliseconds (one to ten, by system) instead of nanoseconds
/// in everything, for a fifth of the cost. The same as `SteadyClock` where there is none.
class CoarseClock final : public Clock {
public:
    [[nodiscard]] Instant now() noexcept override {
#if defined(CLOCK_MONOTONIC_COARSE)
        timespec at{};
        if (clock_gettime(CLOCK_MONOTONIC_COARSE, &at) == 0) {
            return Instant{
                Duration::nanoseconds(std::int64_t{at.tv_sec} * 1'000'000'000 + at.tv_nsec)};
        }
#endif
        return Instant{std::chrono::steady_clock::now().time_since_epoch()};
    }
};

}  // namespace v0
}  // namespace latchbox
