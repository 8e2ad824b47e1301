// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/manual_clock.hpp"

#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

namespace {

using namespace std::chrono_literals;
using latchbox::Duration;
using latchbox::Instant;
using latchbox::ManualClock;

struct Listener final : latchbox::Sleeper {
    std::vector<Instant> heard;
    void clock_moved(Instant now) noexcept override { heard.push_back(now); }
};

TEST_CASE("a manual clock stands where it was put until told") {
    ManualClock clock;
    CHECK(clock.now() == Instant{});
    CHECK(clock.now() == Instant{});
    clock.advance(3s);
    CHECK(clock.now() == Instant{3s});
    clock.advance(0s);
    CHECK(clock.now() == Instant{3s});
    clock.set(Instant{10s});
    CHECK(clock.now() == Instant{10s});
    clock.set(Instant{10s});
    CHECK(clock.now() == Instant{10s});
    CHECK(ManualClock{Instant{5s}}.now() == Instant{5s});
}

TEST_CASE("a manual clock never goes back [misuse 28]") {
    ManualClock clock{Instant{5s}};
    CHECK_THROWS_AS(clock.advance(-1ns), std::invalid_argument);
    CHECK_THROWS_AS(clock.set(Instant{5s - 1ns}), std::invalid_argument);
    CHECK(clock.now() == Instant{5s});
    clock.advance(1s);
    CHECK(clock.now() == Instant{6s});
}

TEST_CASE("a manual clock saturates at never [7.6]") {
    ManualClock clock{Instant{5s}};
    clock.advance(std::chrono::hours::max());
    CHECK(clock.now() == Instant::never());
}

TEST_CASE("a manual clock tells those attached that it moved, and nobody else [4.9]") {
    ManualClock clock;
    Listener first;
    Listener second;
    Listener third;
    CHECK(clock.attach(first));
    CHECK(clock.attach(second));
    CHECK(clock.attach(third));
    clock.advance(1s);
    clock.detach(second);
    clock.set(Instant{4s});
    clock.detach(first);
    clock.detach(third);
    clock.advance(1s);
    CHECK(first.heard == std::vector<Instant>{Instant{1s}, Instant{4s}});
    CHECK(second.heard == std::vector<Instant>{Instant{1s}});
    CHECK(third.heard == std::vector<Instant>{Instant{1s}, Instant{4s}});
}

TEST_CASE("detaching who is not attached does nothing") {
    ManualClock clock;
    Listener attached;
    Listener stranger;
    clock.attach(attached);
    clock.detach(stranger);
    clock.advance(1s);
    CHECK(attached.heard.size() == 1);
    clock.detach(attached);
}

TEST_CASE("a manual clock may be moved from many threads [misuse 28]") {
    ManualClock clock;
    Listener listener;
    clock.attach(listener);
    std::vector<std::thread> movers;
    for (int i = 0; i < 4; ++i) {
        movers.emplace_back([&] {
            for (int step = 0; step < 1'000; ++step) { clock.advance(1ms); }
        });
    }
    for (std::thread& mover : movers) { mover.join(); }
    clock.detach(listener);
    CHECK(clock.now() == Instant{4s});
    CHECK(listener.heard.size() == 4'000);
    bool forward = true;
    for (std::size_t i = 1; i < listener.heard.size(); ++i) {
        forward = forward && listener.heard[i - 1] < listener.heard[i];
    }
    CHECK(forward);
}

TEST_CASE("a manual clock exists for one thread alone, too") {
    latchbox::BasicManualClock<latchbox::SingleThread> clock;
    clock.advance(1s);
    CHECK(clock.now() == Instant{1s});
    CHECK_THROWS_AS(clock.set(Instant{}), std::invalid_argument);
}

// A fixture without constructors, made by braces.
struct Aggregate {
    latchbox::ManualClock clock;
    int ticks = 0;
};

TEST_CASE("a manual clock can be a member of what is made by empty braces") {
    Aggregate made = {};
    CHECK(made.clock.now() == latchbox::Instant{});
    CHECK(made.ticks == 0);
}

}  // namespace
