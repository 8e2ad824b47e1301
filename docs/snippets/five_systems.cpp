// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <cassert>
#include <chrono>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"
#include "latchbox/workers.hpp"

// The code of docs/five_systems.md.
using namespace std::chrono_literals;

TEST_CASE("ubroker") {
    latchbox::ManualClock clock;
    latchbox::Broker<std::string> broker{{.clock = &clock}};
    const auto queue = broker.queue("all", {.lease = 20s, .max_failures = 100});
    queue.publish("hello").value();
    auto message = queue.try_fetch();
    message->requeue();  // to the back, at once; the same id, another receipt
    auto again = queue.try_fetch();
    clock.advance(20s);  // not acknowledged in time: it comes back by itself
    assert(again->ack() == latchbox::Errc::lease_lost);
    auto third = queue.try_fetch();
    assert(third->attempt() == 3 && queue.ack(third->receipt()));
    assert(queue.ack(latchbox::Receipt{}) == latchbox::Errc::unknown_message);
    CHECK(queue.size() == 0);
}

TEST_CASE("the lab broker") {
    latchbox::Broker<std::pair<int, int>> broker;
    const auto multiply =
        broker.queue("multiply", {.capacity = 10, .overflow = latchbox::Overflow::block});
    std::vector<int> products;
    const auto handle = [&products](const std::pair<int, int>& factors) {
        products.push_back(factors.first * factors.second);
    };
    latchbox::Workers worker{multiply, {.threads = 1}, handle};
    for (int i = 1; i <= 20; ++i) { multiply.publish({i, i}).value(); }  // waits where it is full
    broker.drain(10s);
    worker.stop();
    CHECK(products.size() == 20);
}

TEST_CASE("Syncbrok") {
    latchbox::Broker<std::string> broker;
    const auto ann = broker.subscribe("news");
    const auto bob = broker.subscribe("news");
    const auto news = broker.topic("news");
    const auto parent = news.publish("parent").value();
    news.publish("child", {.parents = {parent}}).value();

    ann.try_fetch()->ack();
    assert(ann.try_fetch() == latchbox::Errc::empty);  // Bob has not confirmed the parent
    bob.try_fetch()->ack();
    assert(ann.try_fetch()->body() == "child");
}

TEST_CASE("message-broker") {
    latchbox::ManualClock clock;
    latchbox::Broker<std::string> broker{{.clock = &clock}};
    const auto slow =
        broker.subscribe("s", {.capacity = 100, .overflow = latchbox::Overflow::drop_newest});
    const auto topic = broker.topic("s");
    const auto id = topic.publish("hello", {.retain_for = 10s}).value();
    assert(*topic.read(id).value() == "hello");  // as often as you like, whoever subscribes
    clock.advance(10s);
    assert(topic.read(id) == latchbox::Errc::expired);
    assert(topic.read(latchbox::MessageId{}) == latchbox::Errc::unknown_message);
    assert(slow.pop().value() == "hello");  // reading and delivery are two things
}

TEST_CASE("GopherMQ") {
    latchbox::Broker<std::string> broker;
    const auto topic = broker.topic("a.b", {.unrouted = latchbox::Unrouted::reject});
    assert(topic.publish("data") == latchbox::Errc::no_subscriber);
    const auto subscriber =
        broker.subscribe("a.b", {.capacity = 2, .overflow = latchbox::Overflow::reject});
    topic.publish("first").value();
    topic.publish("second").value();
    assert(topic.publish("third") == latchbox::Errc::full);
    assert(subscriber.pop_all().value() == (std::vector<std::string>{"first", "second"}));
    assert(subscriber.pop_all().value().empty());  // at once
}
