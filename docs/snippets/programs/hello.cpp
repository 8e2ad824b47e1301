// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <cstdio>
#include <string>
#include <latchbox/latchbox.hpp>

int main() {
    latchbox::Broker<std::string> broker;
    const auto orders = broker.queue("orders", {.max_failures = 2, .backoff = {.first = {}}});
    for (const char* drink : {"tea", "absinthe"}) { orders.publish(drink).value(); }

    while (auto order = orders.try_fetch()) {
        std::printf("%s, attempt %u\n", order->body().c_str(), order->attempt());
        if (order->body() == "tea") { order->ack(); } else { order->fail("not before noon"); }
    }
    std::printf("dead letters: %zu\n", orders.dead_letters().size());
}  // tea, attempt 1 - absinthe, attempt 1 - absinthe, attempt 2 - dead letters: 1
