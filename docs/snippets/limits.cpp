// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <cassert>
#include <chrono>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"
#include "printed.hpp"

// The code of docs/limits.md.
using namespace std::chrono_literals;

TEST_CASE("a failure limit, and what comes of it") {
    const snippets::Printed printed;
    latchbox::ManualClock clock;
    latchbox::Broker<std::string> broker{{.clock = &clock}};
    const auto orders = broker.queue("orders", {.capacity = 100, .max_failures = 2});
    orders.publish("absinthe").value();

    orders.try_fetch()->fail("not before noon");
    assert(orders.try_fetch() == latchbox::Errc::empty);  // it pauses
    clock.advance(100ms);
    orders.try_fetch()->fail("not before noon");  // the second failure: dead

    orders.dead_letters().for_each([](const auto& letter) {
        std::cout << letter.body() << ": " << to_string(letter.reason()) << ", after "
                  << letter.failures() << " failures\n";
    });
    const bool as_said =
        printed.says(R"(
absinthe: it failed: not before noon, after 2 failures
)");
    CHECK(as_said);
    const auto letters = orders.dead_letters();
    assert(letters.redrive() == 1);  // noon has come: all of them, failures counted anew
    orders.try_fetch()->reject("sold out");
    const auto absinthe = letters.take();  // or take it out of the queue
    assert(absinthe.value() == "absinthe" && letters.empty());
}

TEST_CASE("backoff") {
    latchbox::Broker<std::string> broker;
    const auto polite = broker.queue(
        "polite", {.backoff = {.first = 1s, .factor = 3, .limit = 1min}});  // 1 s, 3 s, 9 s, ...
    const auto hasty = broker.queue("hasty", {.backoff = {.first = {}}});   // at once
}

TEST_CASE("a full queue") {
    latchbox::Broker<std::string> broker;
    const auto orders = broker.queue("orders", {.capacity = 1});
    std::string tea = "tea";
    orders.publish("water").value();
    assert(orders.publish(std::move(tea)) == latchbox::Errc::full);
    assert(tea == "tea");  // what is refused was not moved from

    const auto latest =
        broker.queue("latest", {.capacity = 1, .overflow = latchbox::Overflow::drop_oldest});
    latest.publish("old").value();
    latest.publish("new").value();
    assert(latest.pop().value() == "new" && latest.stats().evicted == 1);

    const auto slow = broker.queue("slow", {.capacity = 1, .overflow = latchbox::Overflow::block});
    slow.publish("water").value();
    assert(slow.publish("tea", {.block_for = 0s}) == latchbox::Errc::timed_out);
}

TEST_CASE("publishing again") {
    latchbox::Broker<std::string> broker;
    const auto orders = broker.queue("orders", {.dedup_window = 10min});
    const auto first = orders.publish("tea", {.dedup = "request 17"}).value();
    const auto again = orders.publish("tea", {.dedup = "request 17"}).value();
    assert(again == first && orders.size() == 1);
}

TEST_CASE("results") {
    latchbox::Broker<std::string> broker;
    const auto orders = broker.queue("orders");
    const auto found = orders.try_fetch();
    if (!found) { std::cerr << to_string(found.error()) << '\n'; }  // nothing is ready
    assert(found == latchbox::Errc::empty);
    try {
        orders.try_fetch().value();
    } catch (const latchbox::Error& error) {  // a std::system_error
        assert(error.errc() == latchbox::Errc::empty);
    }
    try {
        const auto bad = broker.queue("or ders");
    } catch (const std::invalid_argument& error) {
        assert(std::string{error.what()} == "latchbox: a name has no blanks, at position 2");
    }
}

TEST_CASE("what is left at close") {
    latchbox::Broker<std::string> broker;
    const auto orders = broker.queue("orders");
    orders.publish("tea").value();
    auto tea = orders.try_fetch();
    orders.publish("cake").value();
    const latchbox::CloseReport report = broker.close();
    assert(report.leased == 1 && report.ready == 1 && report.left() == 2);
    assert(tea->ack() == latchbox::Errc::closed && orders.try_fetch() == latchbox::Errc::closed);
}
