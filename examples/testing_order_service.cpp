// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
//
// How to find a bug that needs a certain order of threads and a fault at a certain moment: the
// service runs under every order, its lease lost at every moment. docs/testing.md explains it.

#include <cstdio>
#include <memory>
#include <string>

#include "latchbox/testing.hpp"
#include "order_service.hpp"

using latchbox::testing::explore;
using latchbox::testing::FaultPlan;
using latchbox::testing::Report;
using latchbox::testing::Simulated;
using latchbox::testing::Strategy;
using latchbox::testing::World;

// Ten cups of tea, an order for one, and so many clerks. A lease runs out at any moment, or none.
template <Handling handling, int clerks> void one_order(World& world) {
    struct Shop {
        latchbox::BasicManualClock<Simulated> clock;
        latchbox::Broker<Order, Simulated> broker{{.clock = &clock}};
        OrderService<handling, Simulated> service{broker, 10};
    };
    const auto shop = std::make_shared<Shop>();
    shop->broker.queue("orders").publish({"tea", 1}).value();
    for (int i = 1; i <= clerks; ++i) {
        world.spawn("clerk " + std::to_string(i), [=, &world] {
            if (shop->service.handle_one()) { world.log("has handled the order"); }
        });
    }
    FaultPlan{world}.lose_lease(shop->clock, shop->broker);
    world.finally([=, &world] {
        while (shop->service.handle_one()) { world.log("handles what came back"); }
        const int left = shop->service.stock();
        world.check(left == 9, "10 - 1 leaves " + std::to_string(left));
    });
}

int main() {
    const Report wrong = explore(one_order<Handling::whenever_delivered, 1>);
    if (wrong.passed()) { return 1; }
    std::printf("%s\n", wrong.first->brief().c_str());

    const auto that_run = Strategy::replay(wrong.first->trace);
    const Report again = explore(one_order<Handling::whenever_delivered, 1>, that_run);
    std::printf("that run again: %s\n", again.passed() ? "passes" : again.first->text.c_str());

    const Report one = explore(one_order<Handling::once_per_message, 1>);
    std::printf("once per message, one clerk: %s\n", one.text().c_str());
    const auto few_interruptions = Strategy::interrupted_at_most(2);
    const Report two = explore(one_order<Handling::once_per_message, 2>, few_interruptions);
    std::printf("once per message, two clerks: %s\n", two.text().c_str());
    return !again.passed() && one.passed() && two.passed() ? 0 : 1;
}
