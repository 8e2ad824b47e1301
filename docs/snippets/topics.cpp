// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <cassert>
#include <chrono>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"

// The code of docs/topics.md.
using namespace std::chrono_literals;

TEST_CASE("one message for many") {
    latchbox::Broker<std::string> broker;
    const auto kitchen = broker.subscribe("orders.*.paid");
    const auto screen = broker.subscribe("orders.>", {.capacity = 100});

    broker.topic("orders.eu.paid").publish("tea").value();
    broker.topic("orders.eu.lost").publish("cake").value();

    auto order = kitchen.try_fetch();
    assert(order->body() == "tea" && order->subject() == "orders.eu.paid");
    order->ack();
    assert(kitchen.try_fetch() == latchbox::Errc::empty);
    assert(screen.pop_all().value() == (std::vector<std::string>{"tea", "cake"}));
}

TEST_CASE("a group shares one queue") {
    latchbox::Broker<std::string> broker;
    {
        const auto ann = broker.subscribe("orders.>", {.group = "billing", .durable = true});
        const auto bob = broker.subscribe("orders.>", {.group = "billing", .durable = true});
        broker.topic("orders.eu").publish("tea").value();
        assert(ann.pop().value() == "tea");
        assert(bob.try_fetch() == latchbox::Errc::empty);  // one copy for both
    }
    broker.topic("orders.eu").publish("cake").value();  // nobody is there: it is kept
    const auto cem = broker.subscribe("orders.>", {.group = "billing", .durable = true});
    assert(cem.pop().value() == "cake");
}

TEST_CASE("a slow subscriber harms itself") {
    latchbox::Broker<std::string> broker;
    const auto screen = broker.subscribe("news", {.capacity = 1});
    const auto books =
        broker.subscribe("news", {.capacity = 2, .overflow = latchbox::Overflow::reject});
    const auto news = broker.topic("news");
    news.publish("first").value();
    news.publish("second").value();
    assert(screen.pop_all().value() == (std::vector<std::string>{"second"}));  // dropped the first
    assert(screen.stats().evicted == 1);

    assert(news.publish("third") == latchbox::Errc::full);  // the books refuse it, so for all
    assert(screen.try_fetch() == latchbox::Errc::empty);
    CHECK(books.size() == 2);
}

TEST_CASE("what a topic retains is read by id, and replayed") {
    latchbox::ManualClock clock;
    latchbox::Broker<std::string> broker{{.clock = &clock}};
    const auto prices = broker.topic("price.tea", {.retain_count = 1});  // the last value
    prices.publish("2.10").value();
    const auto now = prices.publish("2.20").value();
    assert(*prices.read(now).value() == "2.20");  // as often as you like

    const auto late = broker.subscribe("price.*", {.replay = true});
    assert(late.pop().value() == "2.20");  // first what is retained, then what comes
    const auto alarms = broker.topic("alarms");
    const auto alarm = alarms.publish("fire", {.retain_for = 10s}).value();
    clock.advance(10s);
    assert(alarms.read(alarm) == latchbox::Errc::expired);
    assert(alarms.read(now) == latchbox::Errc::unknown_message);  // of another subject
}

TEST_CASE("nobody has subscribed") {
    latchbox::Broker<std::string> broker;
    const auto orders = broker.topic("orders", {.unrouted = latchbox::Unrouted::reject});
    assert(orders.publish("tea") == latchbox::Errc::no_subscriber);
}

TEST_CASE("names are checked") {
    assert(latchbox::check_subject("orders.eu.paid"));
    const auto bad = latchbox::check_subject("orders eu");
    assert(bad == latchbox::Errc::invalid_name && bad.position == 6);
    assert(latchbox::check_pattern("orders.*.paid") && latchbox::check_pattern("orders.>"));
    assert(!latchbox::check_pattern("orders.>.paid") && !latchbox::check_pattern("or*"));
}
