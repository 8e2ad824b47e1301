// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/testing.hpp"

#include <memory>

#include <doctest/doctest.h>

namespace {

using latchbox::testing::Simulated;
using latchbox::testing::World;

}  // namespace

TEST_CASE("one include is enough to run a broker under every schedule") {
    const auto report = latchbox::testing::explore([](World& world) {
        struct State {
            latchbox::BasicManualClock<Simulated> clock;
            latchbox::Broker<int, Simulated> broker{{.clock = &clock}};
            latchbox::Queue<int, Simulated> numbers = broker.queue("numbers");
        };
        const auto state = std::make_shared<State>();
        world.spawn("publisher", [=] { static_cast<void>(state->numbers.publish(7)); });
        world.spawn("consumer", [=, &world] {
            world.check(state->numbers.pop().value_or(7) == 7, "has got another");
        });
    });
    CHECK_MESSAGE(report.passed(), report.text());
    CHECK(report.complete);
    CHECK(report.schedules > 1);
}
