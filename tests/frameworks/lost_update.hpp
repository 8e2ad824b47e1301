// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <memory>
#include <string>

#include "latchbox/testing.hpp"

// What the tests of each framework run: two consumers that each count a message. Under the mutex
// no count is lost; without it one is, in some order.
namespace frameworks {

inline latchbox::testing::Report count_two_messages(bool under_mutex) {
    using latchbox::testing::Shared;
    using latchbox::testing::Simulated;
    using latchbox::testing::World;
    struct State {
        latchbox::BasicManualClock<Simulated> clock;
        latchbox::Broker<std::string, Simulated> broker{{.clock = &clock}};
        latchbox::Queue<std::string, Simulated> orders = broker.queue("orders");
        Shared<int> count{0, "count"};
        Simulated::Mutex mutex;
    };
    const auto program = [under_mutex](World& world) {
        const auto state = std::make_shared<State>();
        state->orders.publish("tea").value();
        state->orders.publish("cake").value();
        for (const char* const name : {"Ann", "Bob"}) {
            world.spawn(name, [=] {
                auto order = state->orders.try_fetch();
                if (under_mutex) { state->mutex.lock(); }
                state->count.store(state->count.load() + 1);
                if (under_mutex) { state->mutex.unlock(); }
                order->ack();
            });
        }
        world.finally([=, &world] {
            const int count = state->count.load();
            world.check(count == 2, "two messages count as " + std::to_string(count));
        });
    };
    using latchbox::testing::Strategy;
    return latchbox::testing::explore(program, Strategy::interrupted_at_most(1));
}

inline bool says(const latchbox::testing::Report& report, const char* what) {
    return report.text().find(what) != std::string::npos;
}

}  // namespace frameworks
