// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/testing/without_ids.hpp"

#include <memory>
#include <string>

#include <doctest/doctest.h>

#include "latchbox/testing.hpp"

using latchbox::testing::explore;
using latchbox::testing::Report;
using latchbox::testing::Simulated;
using latchbox::testing::Strategy;
using latchbox::testing::without_ids;
using latchbox::testing::World;

TEST_CASE("ids are taken out of a text, and nothing else") {
    latchbox::Broker<int> broker;
    const auto queue = broker.queue("orders");
    const auto id = queue.publish(1).value();
    const auto receipt = queue.try_fetch()->receipt();
    CHECK(without_ids(to_string(id)) == "m-#");
    CHECK(without_ids("has " + to_string(id) + ", " + to_string(receipt)) == "has m-#, r-#");
    for (const auto* const text : {"", "m", "m-", "m-1", "m-1-2-3", "m-1-2-3-", "m-1-2-x-4",
                                   "n-1-2-3-4", "10 - 1 leaves 8"}) {
        CHECK(without_ids(text) == text);
    }
    CHECK(without_ids("m-1-2-3-4-5") == "m-#-5");
}

// The ids differ from run to run, the failure does not.
TEST_CASE("a failure that names messages is shrunk, and counted as one") {
    const auto leaves_one = [](World& world) {
        struct State {
            latchbox::BasicManualClock<Simulated> clock;
            latchbox::Broker<int, Simulated> broker{{.clock = &clock}};
            latchbox::Queue<int, Simulated> numbers = broker.queue("numbers");
        };
        const auto state = std::make_shared<State>();
        world.spawn("publisher", [=] { static_cast<void>(state->numbers.publish(7)); });
        world.spawn("consumer", [=] { static_cast<void>(state->numbers.pop()); });
        world.finally([=, &world] {
            const auto found = latchbox::testing::quiescence(state->broker);
            world.check(found.quiet(), found.text());
        });
    };
    Strategy all = Strategy::random(1, 50);
    all.stop_at_failure = false;
    const Report report = explore(leaves_one, all);
    REQUIRE_FALSE(report.passed());
    CHECK(report.failures.size() == 1);
    CHECK(report.failures.begin()->second > 1);
    CHECK(report.first->text.find("is ready") != std::string::npos);
    // The publisher goes on to its end; only then the consumer, or before: one answer, at most.
    CHECK(report.first->trace.size() <= 1);
    CHECK(report.first->story.find("consumer: ") != std::string::npos);
}
