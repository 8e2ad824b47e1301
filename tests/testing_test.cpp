// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/testing.hpp"

#include <memory>
#include <stdexcept>

#include <doctest/doctest.h>

#include "support/environment.hpp"

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

TEST_CASE("a broker on a simulated platform is refused without a clock") {
    using Broker = latchbox::Broker<int, Simulated>;
    const char* const sentence =
        "latchbox: BrokerOptions.clock is needed: the platform has no time";
    CHECK_THROWS_WITH_AS(Broker{}, sentence, std::invalid_argument);
    CHECK_THROWS_WITH_AS(Broker{{.tag = "shop"}}, sentence, std::invalid_argument);
    latchbox::BasicManualClock<Simulated> clock;
    CHECK_NOTHROW(Broker{{.clock = &clock}});
}

TEST_CASE("the environment can ask for one run, and is told if that passes") {
    const auto explore_lost_update = [](int wanted) {
        return latchbox::testing::explore([wanted](World& world) {
            const auto count = std::make_shared<latchbox::testing::Shared<int>>(0, "count");
            for (const char* const name : {"a", "b"}) {
                world.spawn(name, [=] { count->store(count->load() + 1); });
            }
            world.finally(
                [=, &world] { world.check(count->load() == wanted, "an update is lost"); });
        });
    };
    const auto failed = explore_lost_update(2);
    REQUIRE_FALSE(failed.passed());
    const auto trace = latchbox::testing::to_string(failed.first->trace);
    CHECK(failed.first->line() == "LATCHBOX_TRACE=" + trace);
    const support::Environment line{"LATCHBOX_TRACE", trace.c_str()};
    const auto again = explore_lost_update(2);
    REQUIRE_FALSE(again.passed());
    CHECK(again.text() == failed.text());
    CHECK(again.schedules == 1);
    const auto other = explore_lost_update(1);
    CHECK(other.passed());
    CHECK(other.text() == "the run of LATCHBOX_TRACE passes");
}

TEST_CASE("a line that cannot be read is a failure, not a pass of all runs") {
    const support::Environment line{"LATCHBOX_TRACE", "0,1,"};
    const auto report = latchbox::testing::explore([](World&) {});
    REQUIRE_FALSE(report.passed());
    CHECK(report.first->text == "LATCHBOX_TRACE is not a list of numbers");
    CHECK(report.schedules == 0);
}
