// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/testing/priorities.hpp"

#include <array>
#include <cstdint>
#include <memory>
#include <set>
#include <string>

#include <doctest/doctest.h>

#include "latchbox/testing/explore.hpp"
#include "latchbox/testing/simulated.hpp"

using latchbox::testing::Actor;
using latchbox::testing::explore;
using latchbox::testing::Priorities;
using latchbox::testing::Report;
using latchbox::testing::Simulated;
using latchbox::testing::Strategy;
using latchbox::testing::World;

namespace {

constexpr auto relaxed = std::memory_order_relaxed;

// A bug of depth three: b's two steps both have to lie between the two of a.
void needs_three_in_order(World& world) {
    struct State {
        Simulated::Atomic<int> begun{0};
        Simulated::Atomic<int> seen{0};
    };
    const auto state = std::make_shared<State>();
    world.spawn("a", [=, &world] {
        state->begun.store(1, relaxed);
        world.check(state->seen.load(relaxed) == 0, "is overtaken");
    });
    world.spawn("b", [=] {
        if (state->begun.load(relaxed) == 1) { state->seen.store(1, relaxed); }
    });
}

}  // namespace

TEST_CASE("the fiber of the highest priority goes on until it falls behind") {
    std::array<Actor, 3> actors;
    std::array<const Actor*, 3> fibers{};
    for (std::size_t i = 0; i < actors.size(); ++i) {
        actors[i].index = static_cast<int>(i);
        fibers[i] = &actors[i];
    }
    std::set<std::uint32_t> firsts;
    int falls = 0;
    for (std::uint64_t seed = 0; seed < 64; ++seed) {
        Priorities priorities{seed, 2, 8};
        priorities.among(fibers, 3);
        std::uint32_t running = priorities.pick(3);
        firsts.insert(running);
        for (int step = 1; step < 16; ++step) {
            priorities.among(fibers, 3);
            const std::uint32_t next = priorities.pick(3);
            falls += next == running ? 0 : 1;
            running = next;
        }
    }
    CHECK(firsts == std::set<std::uint32_t>{0, 1, 2});
    CHECK(falls <= 64);  // one of a run, and none where it was drawn for the first step
    CHECK(falls >= 32);
}

TEST_CASE("other questions are answered at random, and the trace repeats all of it") {
    std::array<Actor, 2> actors;
    actors[0].index = 0;
    actors[1].index = 1;
    const std::array<const Actor*, 2> fibers{&actors[0], &actors[1]};
    std::set<std::uint32_t> answers;
    Priorities priorities{5, 3, 20};
    for (int i = 0; i < 20; ++i) {
        priorities.among(fibers, 1);  // no choice, no question
        answers.insert(priorities.pick(4));
    }
    CHECK(answers.size() == 4);
    CHECK(priorities.trace().size() == 20);
}

TEST_CASE("a rare order is met by priorities, shrunk, and met again by its trace") {
    const Report found = explore(needs_three_in_order, Strategy::priorities(1, 1'000));
    REQUIRE_FALSE(found.passed());
    CHECK(found.first->text == "a is overtaken");
    CHECK(found.text().find("LATCHBOX_TRACE=") != std::string::npos);
    const Report again = explore(needs_three_in_order, Strategy::replay(found.first->trace));
    REQUIRE_FALSE(again.passed());
    CHECK(again.first->text == found.first->text);
    CHECK(again.schedules == 1);
}

TEST_CASE("one priority alone never interrupts, so it misses what needs that") {
    const Report report = explore(needs_three_in_order, Strategy::priorities(1, 1'000, 1));
    CHECK(report.passed());
    CHECK(report.schedules == 1'000);
    CHECK(report.text() == "1000 schedules, none failed");
}

TEST_CASE("by priorities, steps on what only one fiber uses are no choice points") {
    const auto alone = [](World& world) {
        const auto shared = std::make_shared<Simulated::Atomic<int>>(0);
        for (const char* const name : {"a", "b"}) {
            world.spawn(name, [=] {
                Simulated::Atomic<int> own{0};
                for (int i = 0; i < 20; ++i) { own.fetch_add(1, relaxed); }
                shared->fetch_add(1, relaxed);
            });
        }
    };
    Strategy strategy = Strategy::priorities(1, 100);
    const Report few = explore(alone, strategy);
    strategy.contended = false;
    const Report many = explore(alone, strategy);
    CHECK(few.steps == many.steps);
    CHECK(few.longest < 10);
    CHECK(many.longest > 40);
}
