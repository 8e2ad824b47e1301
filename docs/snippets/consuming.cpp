// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <atomic>
#include <cassert>
#include <chrono>
#include <coroutine>
#include <exception>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/coroutine.hpp"
#include "latchbox/latchbox.hpp"
#include "latchbox/workers.hpp"

// The code of docs/consuming.md.
using namespace std::chrono_literals;

namespace {

struct Detached {  // a coroutine that nobody waits for
    struct promise_type {
        Detached get_return_object() noexcept { return {}; }
        std::suspend_never initial_suspend() noexcept { return {}; }
        std::suspend_never final_suspend() noexcept { return {}; }
        void return_void() noexcept {}
        void unhandled_exception() noexcept { std::terminate(); }
    };
};

Detached serve(latchbox::Queue<std::string> orders, std::vector<std::string>& served) {
    const auto at_once = [](auto resume) { resume(); };  // the executor: where to go on
    while (auto order = co_await latchbox::async_fetch(orders, at_once)) {
        served.push_back(order->body());
        order->ack();
    }  // until `closed`
}

}  // namespace

TEST_CASE("workers consume by callback") {
    std::atomic<int> brewed = 0;
    const auto brew = [&brewed](const std::string& drink) {
        if (drink == "absinthe") { throw std::runtime_error{"not before noon"}; }
        ++brewed;
    };
    latchbox::Broker<std::string> broker;
    const auto orders = broker.queue("orders", {.max_failures = 3, .backoff = {.first = 1ms}});
    const auto handle = [&brew](const std::string& drink) {
        brew(drink);  // returns: acked; throws: failed, with the text of the exception
    };
    latchbox::Workers workers{orders, {.threads = 4}, handle};

    for (const char* drink : {"tea", "coffee", "absinthe"}) { orders.publish(drink).value(); }
    broker.drain(10s);  // nothing new is taken in; what is there is worked off
    workers.stop();
    assert(workers.stats().handled == 5 && workers.stats().failed == 3);
    assert(orders.stats().dead == 1);
    CHECK(brewed == 2);
}

TEST_CASE("a handler that settles itself") {
    latchbox::Broker<std::string> broker;
    const auto orders = broker.queue("orders");
    const auto bills = broker.queue("bills");
    for (const char* drink : {"tea", "water"}) { orders.publish(drink).value(); }
    const auto serve_one = [&bills](latchbox::Delivery<std::string>& order) {
        if (order.body() == "water") { return; }                      // acked
        order.ack_and_publish(bills, "one " + order.body()).value();  // settled here
    };
    latchbox::Workers waiters{orders, {.batch = 8}, serve_one};
    auto bill = bills.fetch();
    CHECK(bill->body() == "one tea");
    bill->ack();
    broker.drain(10s);
    waiters.stop();
    CHECK(waiters.stats().handled == 2);
}

TEST_CASE("coroutines wait without a thread") {
    std::vector<std::string> served;
    latchbox::Broker<std::string> broker;
    const auto orders = broker.queue("orders");
    serve(orders, served);  // suspends in its fetch
    orders.publish("tea").value();
    orders.publish("cake").value();
    assert(served == (std::vector<std::string>{"tea", "cake"}));
    broker.close();  // ends it
}

TEST_CASE("several steps as one") {
    latchbox::Broker<std::string> broker;
    const auto cups = broker.queue("cups");
    const auto leaves = broker.queue("leaves");
    const auto orders = broker.queue("orders");
    const auto bills = broker.queue("bills", {.capacity = 1});
    cups.publish("a cup").value();
    leaves.publish("black").value();
    bills.publish("for an earlier one").value();
    auto cup = cups.try_fetch();
    auto leaf = leaves.try_fetch();
    auto brewing = broker.transaction();
    brewing.ack(std::move(*cup));  // it owns the deliveries from here on
    brewing.ack(std::move(*leaf));
    brewing.publish(orders, "a cup of black tea");
    brewing.publish(bills, "one tea");
    assert(brewing.commit() == latchbox::Errc::full);  // of the bills; nothing has happened

    assert(bills.pop());
    const std::vector<latchbox::MessageId> ids = brewing.commit().value();
    assert(ids.size() == 2 && cups.size() == 0 && orders.size() == 1);
}

TEST_CASE("a body is handed on") {
    latchbox::Broker<std::string> broker;
    const auto raw = broker.queue("raw");
    const auto washed = broker.queue("washed");
    raw.publish("cup").value();
    raw.try_fetch()->forward(washed).value();  // the same body, moved on
    auto cup = washed.try_fetch();
    cup->ack_and_publish(washed, cup->body() + ", dried").value();  // what came of it
    assert(washed.pop().value() == "cup, dried");
}
