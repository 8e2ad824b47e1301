// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors

// How many instructions a message takes from publish to ack, in the steady state, with default
// options: one by one, in batches of 64, and at each of ten subscriptions. instructions.sh runs
// this program under callgrind and compares.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <valgrind/callgrind.h>

#include "latchbox/latchbox.hpp"

namespace {

struct Message {
    unsigned long long number = 0;
    unsigned long long payload = 0;
};

using Broker = latchbox::Broker<Message>;

constexpr std::size_t times = 1'000;
constexpr std::size_t batch_size = 64;

// What `act` takes for each of its `messages`, after the first times, which make room.
template <class Act> void count(std::string_view name, std::size_t messages, Act&& act) {
    for (std::size_t i = 0; i < times; ++i) { act(); }
    const std::string label = std::to_string(times * messages) + ' ' + std::string{name};
    CALLGRIND_START_INSTRUMENTATION;
    CALLGRIND_ZERO_STATS;
    for (std::size_t i = 0; i < times; ++i) { act(); }
    CALLGRIND_DUMP_STATS_AT(label.c_str());
    CALLGRIND_STOP_INSTRUMENTATION;
}

}  // namespace

int main() {
    Broker broker;
    const auto queue = broker.queue("work");
    count("B1 one by one", 1, [&] {
        queue.publish(Message{}).value();
        queue.try_fetch()->ack().value();
    });

    std::vector<Message> batch(batch_size);
    std::vector<Broker::Delivery> held;
    count("B2 in batches of 64", batch_size, [&] {
        queue.publish_batch(batch).value();
        queue.fetch_batch(held, batch_size).value();
        queue.ack_batch(held);
        held.clear();
    });

    std::vector<Broker::Subscription> subscriptions;
    for (int i = 0; i < 10; ++i) { subscriptions.push_back(broker.subscribe("orders.*")); }
    const auto topic = broker.topic("orders.paid");
    count("B6 at each of 10 subscriptions", subscriptions.size(), [&] {
        topic.publish(Message{}).value();
        for (const auto& each : subscriptions) { each.try_fetch()->ack().value(); }
    });
}
