// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/testing/fault_plan.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include <doctest/doctest.h>

#include "latchbox/testing/explore.hpp"
#include "latchbox/testing/quiescence.hpp"

using latchbox::Errc;
using latchbox::Overflow;
using latchbox::testing::explore;
using latchbox::testing::FaultPlan;
using latchbox::testing::quiescence;
using latchbox::testing::Report;
using latchbox::testing::Simulated;
using latchbox::testing::Unfinished;
using latchbox::testing::World;
using namespace std::chrono_literals;

namespace {

struct Shop {
    explicit Shop(const latchbox::QueueOptions& options = {})
        : orders{broker.queue("orders", options)} {}

    latchbox::BasicManualClock<Simulated> clock;
    latchbox::Broker<int, Simulated> broker{{.clock = &clock}};
    latchbox::Queue<int, Simulated> orders;
};
using Plan = std::function<void(World&, Shop&)>;

std::string name(Errc errc) {
    if (errc == Errc::empty) { return "empty"; }
    return errc == Errc::full ? "full" : to_string(errc);
}

// One consumer of one message, which was published before.
std::set<std::string> ways_of_consuming(const Plan& plan) {
    const Report report = explore([&plan](World& world) {
        const auto shop = std::make_shared<Shop>();
        static_cast<void>(shop->orders.publish(1));
        world.spawn("consumer", [=, &world] {
            for (int handled = 0; handled < 3; ++handled) {
                auto order = shop->orders.try_fetch();
                if (!order) {
                    world.outcome(name(order.error()));
                    return;
                }
                world.yield();  // the handler
                world.outcome(order->ack() ? "acked" : "lost");
            }
        });
        plan(world, *shop);
    });
    CHECK_MESSAGE(report.passed(), report.text());
    CHECK(report.complete);
    std::set<std::string> ways;
    for (const auto& [way, count] : report.outcomes) { ways.insert(way); }
    return ways;
}

std::set<std::string> ways_of_publishing(const latchbox::QueueOptions& options) {
    const auto strategy = latchbox::testing::Strategy::interrupted_at_most(2);
    const Report report = explore(
        [&options](World& world) {
            const auto shop = std::make_shared<Shop>(options);
            world.spawn("publisher", [=, &world] {
                const auto published = shop->orders.publish(1);
                world.outcome(published ? "published" : name(published.error()));
            });
            FaultPlan{world}.fill(shop->orders);
            world.finally([=, &world] {
                world.check(shop->orders.size() <= 1, "has more than was published");
                while (shop->orders.size() < 2) {  // all of the room is there again
                    world.check(shop->orders.publish(2).has_value(), "has lost its room");
                }
            });
        },
        strategy);
    CHECK_MESSAGE(report.passed(), report.text());
    CHECK(report.complete);
    std::set<std::string> ways;
    for (const auto& [way, count] : report.outcomes) { ways.insert(way); }
    return ways;
}

}  // namespace

TEST_CASE("without a plan nothing goes wrong") {
    CHECK(ways_of_consuming([](World&, Shop&) {}) == std::set<std::string>{"acked empty"});
}

TEST_CASE("a lost lease strikes before a handler's ack, or not at all") {
    const auto ways = ways_of_consuming(
        [](World& world, Shop& shop) { FaultPlan{world}.lose_lease(shop.clock, shop.broker); });
    CHECK(ways == std::set<std::string>{"acked empty", "lost acked empty"});
}

TEST_CASE("so many leases are lost as the plan says, at most") {
    const auto ways = ways_of_consuming(
        [](World& world, Shop& shop) { FaultPlan{world}.lose_lease(shop.clock, shop.broker, 2); });
    CHECK(ways == std::set<std::string>{"acked empty", "lost acked empty", "lost lost acked"});
}

TEST_CASE("a publisher's second try is a second message") {
    const auto ways = ways_of_consuming(
        [](World& world, Shop& shop) { FaultPlan{world}.publish_again(shop.orders, 1); });
    CHECK(ways == std::set<std::string>{"acked empty", "acked acked empty"});
}

TEST_CASE("a sudden close takes the lease and all that was to come") {
    const auto ways =
        ways_of_consuming([](World& world, Shop& shop) { FaultPlan{world}.close(shop.broker); });
    CHECK(ways == std::set<std::string>{"closed", "lost closed", "acked closed", "acked empty"});
}

TEST_CASE("time that passes as the broker ends is none of what it left [7.5] [4.8]") {
    struct Mortal {
        latchbox::BasicManualClock<Simulated> clock;
        std::optional<latchbox::Broker<int, Simulated>> broker;
        std::optional<latchbox::Queue<int, Simulated>> orders;
        std::optional<latchbox::Delivery<int, Simulated>> held;
    };
    const Report report = explore([](World& world) {
        const auto shop = std::make_shared<Mortal>();
        shop->broker.emplace(latchbox::BrokerOptions{.clock = &shop->clock});
        shop->orders.emplace(shop->broker->queue("orders"));
        static_cast<void>(shop->orders->publish(1));
        shop->held.emplace(std::move(*shop->orders->try_fetch()));
        world.spawn("holder", [=] {
            shop->clock.advance(1h);
            shop->held.reset();
        });
        world.spawn("another", [=] { shop->broker.reset(); });
        world.finally([=, &world] {
            const char* const broken = latchbox::detail::Access::core(*shop->orders).audit();
            world.check(broken == nullptr, broken == nullptr ? "" : broken);
        });
    });
    CHECK_MESSAGE(report.passed(), report.text());
    CHECK(report.complete);
}

TEST_CASE("a jump of time is as long as it says") {
    CHECK(ways_of_consuming([](World& world, Shop& shop) {
              FaultPlan{world}.jump(shop.clock, 29s);
          }) == std::set<std::string>{"acked empty"});
    CHECK(ways_of_consuming([](World& world, Shop& shop) {
              FaultPlan{world}.jump(shop.clock, 30s);
          }) == std::set<std::string>{"acked empty", "lost acked empty"});
}

TEST_CASE("a full queue refuses for a while, or lets wait, and then has its room again") {
    CHECK(ways_of_publishing({.capacity = 2}) == std::set<std::string>{"published", "full"});
    CHECK(ways_of_publishing({.capacity = 2, .overflow = Overflow::block}) ==
          std::set<std::string>{"published"});
}

TEST_CASE("a stop request ends a wait, or comes too late for it") {
    const Report report = explore([](World& world) {
        const auto shop = std::make_shared<Shop>();
        const Simulated::StopSource source;
        world.spawn("consumer", [=, &world] {
            const auto order = shop->orders.fetch(source.get_token());
            world.outcome(order ? "got" : name(order.error()));
        });
        world.spawn_at_rest("publisher", [=] { static_cast<void>(shop->orders.publish(1)); });
        FaultPlan{world}.stop(source);
    });
    CHECK_MESSAGE(report.passed(), report.text());
    CHECK(report.outcomes.size() == 2);
    CHECK(report.outcomes.contains("got"));
    CHECK(report.outcomes.contains("cancelled"));
}

TEST_CASE("a failure that needs no fault is shrunk to a run without one") {
    const auto fails = [](World& world) {
        const auto shop = std::make_shared<Shop>();
        world.spawn("consumer", [=, &world] {
            world.check(shop->orders.try_fetch().has_value(), "finds nothing");
        });
        FaultPlan{world}.lose_lease(shop->clock, shop->broker).close(shop->broker);
    };
    const Report report = explore(fails, latchbox::testing::Strategy::random(1, 100));
    REQUIRE_FALSE(report.passed());
    CHECK(report.first->text == "consumer finds nothing");
    CHECK(report.first->trace.empty());
}

TEST_CASE("calls that wait are told, when nobody else can go on") {
    const Report report = explore(
        [](World& world) {
            const auto shop = std::make_shared<Shop>();
            const auto other = shop->broker.queue("other");
            const auto full =
                shop->broker.queue("full", {.capacity = 1, .overflow = Overflow::block});
            static_cast<void>(full.publish(1));
            for (int i = 0; i < 2; ++i) {
                world.spawn("consumer", [=] { static_cast<void>(shop->orders.fetch()); });
            }
            world.spawn("publisher", [=] { static_cast<void>(full.publish(2)); });
            world.spawn("another", [=] { static_cast<void>(other.fetch()); });
            world.spawn_at_rest("observer", [=, &world] {
                const auto found = quiescence(shop->broker);
                const char* const calls =
                    "\n2 fetches wait for a message in \"orders\"\n"
                    "1 fetch waits for a message in \"other\"\n"
                    "1 publish waits for room in \"full\"";
                world.check(found.text().find(calls) != std::string::npos, found.text());
                world.check(found.count(Unfinished::Kind::fetch) == 2, "misses a queue");
                world.check(found.count(Unfinished::Kind::ready) == 1, "misses a message");
                world.check(found.count(Unfinished::Kind::publish) == 1, "misses a publisher");
                shop->broker.close();
                world.check(quiescence(shop->broker).left.size() == 1, "leaves somebody waiting");
            });
        },
        latchbox::testing::Strategy::interrupted_at_most(0));
    CHECK_MESSAGE(report.passed(), report.text());
    CHECK(report.complete);
}
