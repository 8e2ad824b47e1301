// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <cassert>
#include <chrono>
#include <cstdio>
#include <stdexcept>
#include <string>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"
#include "latchbox/workers.hpp"
#include "printed.hpp"

// The code of the README; its first program is programs/hello.cpp.
using namespace std::chrono_literals;

TEST_CASE("workers") {
    latchbox::Broker<std::string> broker;
    const auto orders = broker.queue("orders", {.max_failures = 1});
    const auto bills = broker.queue("bills");
    std::string printed;
    const auto print = [&printed](const std::string& bill) { printed += bill; };

    // clang-format off
    latchbox::Workers waiters{orders, {.threads = 4}, [&](latchbox::Delivery<std::string>& order) {
        if (order.body() == "absinthe") { throw std::runtime_error{"not before noon"}; }  // failed
        if (order.body() == "water") { return; }                                          // acked
        order.ack_and_publish(bills, "one " + order.body()).value();  // both at once, or neither
    }};
    latchbox::Workers clerk{bills, {.batch = 16}, [&](const std::string& bill) { print(bill); }};
    for (const char* drink : {"tea", "water", "absinthe"}) { orders.publish(drink).value(); }
    broker.drain(10s);  // nothing new but what is handed on; closes when nothing is left to do
    // clang-format on

    waiters.stop();
    clerk.stop();
    CHECK(printed == "one tea");
    CHECK(orders.stats().completed == 2);
    CHECK(orders.stats().dead == 1);
}

TEST_CASE("messages that wait for others") {
    latchbox::Broker<std::string> broker;
    const auto orders = broker.queue("orders");
    const auto payments = broker.queue("payments");
    const auto parcels = broker.queue("parcels");
    const snippets::Printed printed;

    const auto stock = orders.publish("reserve the tea").value();
    const auto card = payments.publish("charge the card").value();
    const auto ship = parcels.publish("ship it", {.parents = {stock, card}}).value();
    payments.try_fetch()->reject("card declined");
    std::cout << to_string(broker.explain(ship));
    // m-4-1-0-68 in "parcels" is dead: its parent m-3-1-0-74 did not complete

    CHECK(printed.says(R"(
m-4-1-0-68 in "parcels" is dead: its parent m-3-1-0-74 did not complete)"));
}

TEST_CASE("one message for many") {
    latchbox::Broker<std::string> broker;
    const snippets::Printed printed;

    const auto kitchen = broker.subscribe("orders.*.paid");             // `*`: any one token
    const auto screen = broker.subscribe("orders.>", {.capacity = 2});  // then drops the oldest
    const auto books = broker.subscribe("orders.>", {.group = "books", .durable = true});
    broker.topic("orders.eu.paid").publish("tea").value();  // three copies that share one body
    auto order = kitchen.try_fetch();
    std::cout << order->subject() << ": " << order->body();
    order->ack();  // orders.eu.paid: tea

    CHECK(printed.says("\norders.eu.paid: tea"));
    CHECK(&screen.try_fetch()->body() == &books.try_fetch()->body());
}

TEST_CASE("testing your code") {
    latchbox::ManualClock clock;
    latchbox::Broker<std::string> broker{{.clock = &clock}};
    const auto orders = broker.queue("orders", {.lease = 10s});
    orders.publish("tea").value();
    auto lost = orders.try_fetch();
    clock.advance(10s);                                 // his lease is over
    assert(orders.try_fetch()->attempt() == 2);         // another gets the tea
    assert(lost->ack() == latchbox::Errc::lease_lost);  // and he is told
}
