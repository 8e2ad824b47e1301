// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
//
// Threads that handle what a queue delivers. What the handler does decides: when it returns, the
// message is acked; when it throws (or returns false), the delivery has failed with that text, and
// comes again as the queue's options say; or it settles the delivery itself.

#include <atomic>
#include <chrono>
#include <cstdio>
#include <stdexcept>
#include <string>

#include "latchbox/latchbox.hpp"
#include "latchbox/workers.hpp"

using namespace std::chrono_literals;

int main() {
    latchbox::Broker<std::string> broker;
    const auto orders = broker.queue("orders", {.max_failures = 2, .backoff = {.first = 1ms}});
    const auto bills = broker.queue("bills");

    const auto serve = [&bills](latchbox::Delivery<std::string>& order) {
        if (order.body() == "absinthe") { throw std::runtime_error{"not before noon"}; }
        if (order.body() == "water") { return; }                      // on the house
        order.ack_and_publish(bills, "one " + order.body()).value();  // both, or none of it
    };
    std::atomic<std::size_t> length = 0;
    const auto bill = [&length](const std::string& line) { length += line.size(); };
    latchbox::Workers waiters{orders, {.threads = 4, .name = "waiters"}, serve};
    latchbox::Workers clerk{bills, {.batch = 16, .name = "clerk"}, bill};

    for (const char* drink : {"tea", "water", "coffee"}) { orders.publish(drink).value(); }
    const auto absinthe = orders.publish("absinthe").value();

    // Takes nothing new but what is handed on, and closes once there is nothing left to handle. The
    // threads end with it; `stop` waits for that, as the destructor does.
    broker.drain(10s);
    waiters.stop();
    clerk.stop();

    bool as_said = length == std::string{"one teaone coffee"}.size();
    for (const auto* workers : {&waiters, &clerk}) {
        const latchbox::WorkersStats stats = workers->stats();
        std::printf("%s: %u handled, %u of them failed\n", workers->name().c_str(),
                    static_cast<unsigned>(stats.handled), static_cast<unsigned>(stats.failed));
    }
    const auto why = broker.explain(absinthe);
    std::printf("%s\n", to_string(why).c_str());
    as_said = as_said && waiters.stats().failed == 2 && why.reason.text() == "not before noon";
    return as_said ? 0 : 1;
}
