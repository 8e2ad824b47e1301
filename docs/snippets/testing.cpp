// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <chrono>
#include <memory>
#include <string>

#include <doctest/doctest.h>

#include "latchbox/testing.hpp"

// The code of docs/testing.md, as far as it stands in no example and in no test of a framework.
namespace {

using namespace std::chrono_literals;

using latchbox::testing::explore;
using latchbox::testing::FaultPlan;
using latchbox::testing::quiescence;
using latchbox::testing::Report;
using latchbox::testing::Shared;
using latchbox::testing::Simulated;
using latchbox::testing::Strategy;
using latchbox::testing::Unfinished;
using latchbox::testing::World;

struct Shop {
    latchbox::BasicManualClock<Simulated> clock;
    latchbox::Broker<int, Simulated> broker{{.clock = &clock}};
    latchbox::Queue<int, Simulated> orders = broker.queue("orders", {.lease = 10s});
};

void one_order(World& world) {
    const auto shop = std::make_shared<Shop>();
    world.spawn("publisher", [=] { shop->orders.publish(7).value(); });
    world.spawn("consumer", [=, &world] {
        auto order = shop->orders.fetch();  // waits
        world.check(order->body() == 7, "has got another order");
        order->ack();
    });
    world.finally([=, &world] {
        const auto found = quiescence(shop->broker);
        world.check(found.quiet(), found.text());
    });
}

}  // namespace

TEST_CASE("an order that is not acked in time comes again") {
    latchbox::ManualClock clock;
    latchbox::Broker<std::string> broker{{.clock = &clock}};
    const auto orders = broker.queue("orders", {.lease = 10s});
    REQUIRE(orders.publish("tea"));
    auto first = orders.try_fetch();
    clock.advance(10s);
    auto second = orders.try_fetch();
    REQUIRE(second);
    CHECK(second->attempt() == 2);
    CHECK(first->ack() == latchbox::Errc::lease_lost);
}

TEST_CASE("what is left is told") {
    latchbox::ManualClock clock;
    latchbox::Broker<std::string> broker{{.clock = &clock}};
    const auto orders = broker.queue("orders", {.lease = 10s});
    REQUIRE(orders.publish("tea"));
    auto order = orders.try_fetch();
    CHECK(quiescence(broker).count(Unfinished::Kind::leased) == 1);
    order->ack();
    const auto found = quiescence(broker);
    CHECK_MESSAGE(found.quiet(), found.text());
}

TEST_CASE("an order is delivered, whoever comes first") {
    const Report report = explore(one_order);
    CHECK_MESSAGE(report.passed(), report.text());
    CHECK(report.complete);  // every schedule was run
}

TEST_CASE("larger programs are run by fewer interruptions, or by chance") {
    const auto seed = latchbox::testing::seed_from_environment().value_or(1);
    for (const Strategy& strategy : {Strategy::interrupted_at_most(2), Strategy::random(seed, 500),
                                     Strategy::priorities(seed, 500)}) {
        const Report report = explore(one_order, strategy);
        CHECK_MESSAGE(report.passed(), "LATCHBOX_SEED=", seed, "\n", report.text());
    }
}

TEST_CASE("time passes when all others wait") {
    const Report report = explore([](World& world) {
        const auto shop = std::make_shared<Shop>();
        world.spawn("consumer", [=, &world] {
            const auto order = shop->orders.fetch_for(5s);
            world.check(order == latchbox::Errc::timed_out, "finds something");
        });
        world.spawn_at_rest("time", [=] { shop->clock.advance(5s); });
    });
    CHECK_MESSAGE(report.passed(), report.text());
}

TEST_CASE("a waiter may wake up for nothing") {
    Strategy strategy = Strategy::exhaustive();
    strategy.rules.spurious_wakes = 1;
    const Report report = explore(one_order, strategy);
    CHECK_MESSAGE(report.passed(), report.text());
}

TEST_CASE("a lost update is found") {
    const Report report = explore([](World& world) {
        const auto stock = std::make_shared<Shared<int>>(10, "stock");
        for (const char* const name : {"Ann", "Bob"}) {
            world.spawn(name, [=] { stock->store(stock->load() - 1); });
        }
        world.finally([=, &world] { world.check(stock->load() == 8, "an update is lost"); });
    });
    CHECK_FALSE(report.passed());
}

TEST_CASE("what programs say is counted") {
    const auto program = [](World& world) {
        const auto shop = std::make_shared<Shop>();
        shop->orders.publish(7).value();
        world.spawn("consumer", [=, &world] {
            auto order = shop->orders.try_fetch();
            world.yield();  // stands for the work
            world.outcome(order && order->ack() ? "handled" : "not handled");
        });
        FaultPlan{world}.lose_lease(shop->clock, shop->broker).add("a second order", [=] {
            shop->orders.publish(8).value();
        });
    };
    const Report report = explore(program, Strategy::interrupted_at_most(2));
    CHECK_MESSAGE(report.passed(), report.text());
    CHECK(report.outcomes.contains("handled"));
    CHECK(report.outcomes.contains("not handled"));
}

TEST_CASE("a consumer of another engine's counts each delivery") {
    latchbox::ManualClock clock;
    latchbox::Broker<int> broker{{.clock = &clock, .profile = latchbox::testing::jetstream}};
    const auto orders = broker.queue("orders", {.max_failures = 2});
    REQUIRE(orders.publish(7));
    REQUIRE(orders.try_fetch()->release());
    REQUIRE(orders.try_fetch()->release());
    CHECK(orders.dead_letters().size() == 1);
}
