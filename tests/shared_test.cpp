// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/testing/shared.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <doctest/doctest.h>

#include "latchbox/detail/lock.hpp"
#include "latchbox/testing/explore.hpp"
#include "latchbox/testing/simulated.hpp"

using latchbox::testing::explore;
using latchbox::testing::Report;
using latchbox::testing::Shared;
using latchbox::testing::Simulated;
using latchbox::testing::World;

namespace {

struct State {
    Shared<int> count{0, "count"};
    Simulated::Mutex mutex;
};

// Two fibers that do the same; the outcome is the count.
Report two(const std::function<void(State&)>& body) {
    return explore([&body](World& world) {
        const auto state = std::make_shared<State>();
        for (const char* const name : {"a", "b"}) {
            world.spawn(name, [=] { body(*state); });
        }
        world.finally([=, &world] { world.outcome(std::to_string(state->count.load())); });
    });
}

void add_one(State& state) { state.count.store(state.count.load() + 1); }

}  // namespace

TEST_CASE("an update is lost where another comes between load and store") {
    const Report report = two(add_one);
    CHECK(report.complete);
    CHECK(report.outcomes.size() == 2);
    CHECK(report.outcomes.contains("1"));
    CHECK(report.outcomes.contains("2"));
}

TEST_CASE("none is lost where load and store are one step") {
    const Report report = two([](State& state) {
        const int before = state.count.update([](int& count) { return count++; });
        World::current()->check(before == 0 || before == 1, "is not given what it was");
    });
    CHECK_MESSAGE(report.passed(), report.text());
    CHECK(report.complete);
    CHECK(report.outcomes.size() == 1);
    CHECK(report.outcomes.contains("2"));
}

TEST_CASE("none is lost under a mutex, which alone costs schedules") {
    const Report bare = two([](State& state) { const latchbox::detail::Lock lock{state.mutex}; });
    const Report guarded = two([](State& state) {
        const latchbox::detail::Lock lock{state.mutex};
        for (int i = 0; i < 5; ++i) { add_one(state); }
    });
    CHECK(guarded.complete);
    CHECK(guarded.outcomes.size() == 1);
    CHECK(guarded.outcomes.contains("10"));
    CHECK(guarded.schedules == bare.schedules);
}

TEST_CASE("the log of a failure calls it by its name") {
    const Report report = explore([](World& world) {
        const auto state = std::make_shared<State>();
        world.spawn("a", [=, &world] {
            add_one(*state);
            world.check(state->count.load() == 2, "sees another");
        });
    });
    REQUIRE_FALSE(report.passed());
    CHECK(report.first->log.find("a reads count 0\na writes count 0\n") != std::string::npos);
}

TEST_CASE("outside of a run it is a plain value") {
    Shared<std::string> text;
    text.store("tea");
    text.update([](std::string& value) { value += "pot"; });
    CHECK(text.load() == "teapot");
}

TEST_CASE("to destroy it under somebody's feet is a failure") {
    struct Owner {
        bool in_use = false;
        std::optional<Shared<int>> count{std::in_place, 0, "count"};
    };
    const auto program = [](World& world) {
        const auto owner = std::make_shared<Owner>();
        world.spawn("a", [=] {
            owner->in_use = true;
            if (owner->count) { owner->count->store(1); }
            owner->in_use = false;
        });
        world.spawn("b", [=] {
            if (owner->in_use) { owner->count.reset(); }
        });
    };
    const Report report = explore(program, latchbox::testing::Strategy::unpruned());
    REQUIRE_FALSE(report.passed());
    CHECK(report.first->text == "b destroys the count that a is about to use");
}
