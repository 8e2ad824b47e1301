// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <cassert>
#include <chrono>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"

// The code of docs/queues.md.
using namespace std::chrono_literals;

TEST_CASE("publish, fetch, ack") {
    latchbox::Broker<std::string> broker;
    const auto orders = broker.queue("orders", {.lease = 30s, .max_failures = 5});
    const latchbox::MessageId tea = orders.publish("tea").value();

    auto order = orders.try_fetch();  // Result<Delivery<std::string>>
    assert(order->body() == "tea" && order->id() == tea && order->attempt() == 1);
    assert(orders.try_fetch() == latchbox::Errc::empty);  // it has one holder at a time
    order->ack();                                         // completed, and gone
    assert(orders.stats().completed == 1);
}

TEST_CASE("how a message is published") {
    latchbox::ManualClock clock;
    latchbox::Broker<std::string> broker{{.clock = &clock}};
    const auto orders = broker.queue("orders");
    orders.publish("coffee", {.delay = 5min, .expires_in = 1h}).value();
    orders.publish("water", {.priority = 9}).value();
    std::vector<std::string> drinks{"tea", "cake"};
    orders.publish_batch(drinks).value();  // all or none, under one lock
    assert(orders.pop().value() == "water");
    assert(orders.pop_all().value() == (std::vector<std::string>{"tea", "cake"}));
    clock.advance(5min);
    CHECK(orders.pop().value() == "coffee");
}

TEST_CASE("a lease that runs out") {
    latchbox::ManualClock clock;
    latchbox::Broker<std::string> broker{{.clock = &clock}};
    const auto orders = broker.queue("orders", {.lease = 10s});
    orders.publish("tea").value();

    auto slow = orders.try_fetch();
    clock.advance(8s);
    slow->extend(5s).value();  // from now on: until 13 s
    clock.advance(5s);
    auto quick = orders.try_fetch();
    assert(quick->attempt() == 2 && quick->failures() == 1);
    assert(slow->ack() == latchbox::Errc::lease_lost);  // and has changed nothing
    assert(slow->body() == "tea");                      // what he holds stays readable
    assert(quick->ack());
}

TEST_CASE("where a redelivery comes") {
    latchbox::Broker<std::string> broker;
    const auto orders = broker.queue("orders", {.backoff = {.first = {}}});
    for (const char* drink : {"tea", "coffee", "water"}) { orders.publish(drink).value(); }
    auto tea = orders.try_fetch();
    auto coffee = orders.try_fetch();
    coffee->fail("no beans");  // to the back
    tea->release();            // to its old place
    assert(orders.pop_all().value() == (std::vector<std::string>{"tea", "water", "coffee"}));
}

TEST_CASE("settling by receipt") {
    latchbox::Broker<std::string> broker;
    const auto orders = broker.queue("orders");
    orders.publish("tea").value();
    auto order = orders.try_fetch();
    const std::string text = to_string(std::move(*order).detach());  // "r-...", for a client
    const auto receipt = latchbox::Receipt::from_string(text);
    assert(orders.ack(receipt.value()));
    assert(orders.ack(receipt.value()) == latchbox::Errc::lease_lost);
}
