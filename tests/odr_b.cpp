// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <string>

#include "latchbox/latchbox.hpp"

// The other of two files that include everything.
latchbox::Queue<std::string> odr_made_in_b(latchbox::Broker<std::string>& broker) {
    latchbox::Queue<std::string> queue = broker.queue("orders", {});
    static_cast<void>(queue.publish("tea"));
    return queue;
}

latchbox::Subscription<std::string> odr_subscribed_in_b(latchbox::Broker<std::string>& broker) {
    auto subscription = broker.subscribe("teas.*");
    static_cast<void>(broker.topic("teas.green").publish("sencha"));
    return subscription;
}
