// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/clock.hpp"

#include <chrono>
#include <cstdint>
#include <ctime>

#include <doctest/doctest.h>

namespace {

using namespace std::chrono_literals;
using latchbox::Clock;
using latchbox::Glance;
using latchbox::Instant;

struct Nobody final : latchbox::Sleeper {
    void clock_moved(Instant) noexcept override {}
};

struct Fixed final : Clock {
    Instant now() noexcept override { return Instant{7s}; }
};

TEST_CASE("a clock of one's own needs only now") {
    Fixed clock;
    const Glance glance = clock.glance();
    CHECK(glance.earliest == Instant{7s});
    CHECK(glance.latest == Instant{7s});
    Nobody nobody;
    CHECK_FALSE(clock.attach(nobody));
    CHECK_NOTHROW(clock.detach(nobody));
}

// Asks before, glances, asks after: the glance must contain an instant between the two.
template <class C> void glances_contain_the_present() {
    C clock;
    Instant last = clock.now();
    for (int i = 0; i < 20'000; ++i) {
        const Instant before = clock.now();
        const Glance glance = clock.glance();
        const Instant after = clock.now();
        REQUIRE(last <= before);
        REQUIRE(before <= after);
        REQUIRE(glance.earliest <= glance.latest);
        REQUIRE(glance.earliest <= after);
        REQUIRE(before <= glance.latest);
        last = after;
    }
}

TEST_CASE("the steady clock does not go back, and its glance contains the present [4.3]") {
    glances_contain_the_present<latchbox::SteadyClock>();
}

TEST_CASE("the coarse clock does not go back, and its glance contains the present [4.3]") {
    glances_contain_the_present<latchbox::CoarseClock>();
}

#if defined(CLOCK_MONOTONIC_COARSE)
TEST_CASE("where the system has a coarse clock it is asked, and its margin is eight ticks") {
    timespec tick{};
    if (clock_getres(CLOCK_MONOTONIC_COARSE, &tick) != 0) { return; }
    const latchbox::Duration one =
        latchbox::Duration::nanoseconds(std::int64_t{tick.tv_sec} * 1'000'000'000 + tick.tv_nsec);
    latchbox::SteadyClock steady;
    const Glance glance = steady.glance();
    CHECK(glance.latest - glance.earliest == one * 8);
    // It stands still between its ticks; the exact one does not.
    latchbox::CoarseClock coarse;
    int moves = 0;
    Instant last = coarse.now();
    for (int i = 0; i < 10'000; ++i) {
        const Instant now = coarse.now();
        moves += now != last ? 1 : 0;
        last = now;
    }
    CHECK(moves < 5'000);
}
#endif

// As a broker does, which does not know whose clock it is.
[[gnu::noinline]] Glance look(Clock& clock) { return clock.look(); }

TEST_CASE("a look is a glance, of a clock of one's own too [4.3]") {
    Fixed own;
    const Glance seen = look(own);
    CHECK(seen.earliest == Instant{7s});
    CHECK(seen.latest == Instant{7s});
    latchbox::SteadyClock steady;
    latchbox::CoarseClock coarse;
    const Instant before = coarse.now();
    const Glance wide = look(steady);
    const Glance narrow = look(coarse);
    CHECK(before <= wide.earliest);
    CHECK(wide.earliest <= narrow.latest);
    CHECK(narrow.earliest == narrow.latest);
}

TEST_CASE("the steady and the coarse clock count from the same instant") {
    latchbox::SteadyClock steady;
    latchbox::CoarseClock coarse;
    const Instant late = coarse.now();
    const Instant exact = steady.now();
    CHECK(late <= exact);
}

TEST_CASE("clocks that move by themselves wake nobody") {
    latchbox::SteadyClock steady;
    latchbox::CoarseClock coarse;
    Nobody nobody;
    CHECK_FALSE(steady.attach(nobody));
    CHECK_FALSE(coarse.attach(nobody));
}

}  // namespace
