// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
//
// One queue: publish, fetch, ack, and what becomes of a message that fails.

#include <cstdio>
#include <string>

#include "latchbox/latchbox.hpp"

int main() {
    latchbox::Broker<std::string> broker;
    const auto orders = broker.queue("orders", {.max_failures = 2, .backoff = {.first = {}}});
    for (const char* drink : {"tea", "absinthe", "coffee"}) { orders.publish(drink).value(); }

    while (auto order = orders.try_fetch()) {
        std::printf("%s, attempt %u\n", order->body().c_str(), order->attempt());
        if (order->body() == "absinthe") {
            order->fail("not before noon");  // comes again: it may fail twice
        } else {
            order->ack();  // done: gone for good
        }
    }
    orders.dead_letters().for_each([](const auto& letter) {
        const std::string why{letter.reason().text()};
        std::printf("dead letter: %s, %s\n", letter.body().c_str(), why.c_str());
    });
}
