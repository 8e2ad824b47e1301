// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <cassert>
#include <chrono>
#include <iostream>
#include <string>
#include <thread>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"
#include "printed.hpp"

// The code of docs/parents.md.
using namespace std::chrono_literals;

TEST_CASE("a child waits for its parents") {
    latchbox::Broker<std::string> broker;
    const auto kitchen = broker.queue("kitchen");
    const auto bar = broker.queue("bar");
    const auto tray = broker.queue("tray");

    const auto cake = kitchen.publish("bake a cake").value();
    const auto tea = bar.publish("make tea").value();
    const auto serve = tray.publish("serve both", {.parents = {cake, tea}}).value();

    bar.try_fetch()->ack();
    assert(tray.try_fetch() == latchbox::Errc::empty);  // the cake is not done
    kitchen.try_fetch()->ack();
    assert(tray.try_fetch()->id() == serve);  // both are
}

TEST_CASE("what becomes of the children of a failure") {
    latchbox::Broker<std::string> broker;
    const auto kitchen = broker.queue("kitchen");
    const auto tray = broker.queue("tray");
    const snippets::Printed printed;
    const auto cake = kitchen.publish("bake a cake").value();
    const auto serve = tray.publish("serve it", {.parents = {cake}}).value();
    const auto praise =
        tray.publish("praise it",
                     {.parents = {cake}, .on_parent_failure = latchbox::OnParentFailure::hold})
            .value();
    kitchen.try_fetch()->reject("burnt");

    std::cout << to_string(broker.explain(cake)) << '\n'
              << to_string(broker.explain(serve)) << '\n'
              << to_string(broker.explain(praise)) << '\n';
    const bool as_said =
        printed.says(R"(
m-3-1-0-74 in "kitchen" is dead: it was rejected: burnt
m-4-1-0-68 in "tray" is dead: its parent m-3-1-0-74 did not complete
m-4-2-1-93 in "tray" is blocked: it waits for m-3-1-0-74 (dead)
)");
    CHECK(as_said);
    assert(tray.dead_letters().redrive(serve) ==
           latchbox::Errc::parent_failed);  // not before its parent
    kitchen.dead_letters().redrive(cake).value();
    tray.dead_letters().redrive(serve).value();  // waits again
    kitchen.try_fetch()->ack();
    assert(tray.pop_all().value().size() == 2);
}

TEST_CASE("a latch is asked, and waited for") {
    latchbox::Broker<std::string> broker;
    const auto kitchen = broker.queue("kitchen");
    const auto cake = kitchen.publish("bake a cake").value();
    const auto done = broker.latch(cake);
    assert(done.state().value() == latchbox::LatchState::pending);
    std::thread baker{[&] { kitchen.fetch()->ack(); }};
    assert(done.wait().value() == latchbox::LatchState::completed);
    baker.join();
}

TEST_CASE("a gate is counted down by the program") {
    latchbox::Broker<std::string> broker;
    const auto tray = broker.queue("tray");
    const auto doors_open = broker.gate(2);
    tray.publish("serve breakfast", {.parents = {doors_open.id()}}).value();
    doors_open.count_down();
    assert(tray.try_fetch() == latchbox::Errc::empty);
    doors_open.count_down();
    assert(tray.try_fetch());
}

TEST_CASE("messages of one key come one at a time") {
    latchbox::Broker<std::string> broker;
    const auto orders = broker.queue("orders");
    orders.publish("Ann: tea", {.key = "Ann"}).value();
    orders.publish("Ann: cake", {.key = "Ann"}).value();
    orders.publish("Bob: water", {.key = "Bob"}).value();
    auto anns = orders.try_fetch();
    auto bobs = orders.try_fetch();
    assert(bobs->body() == "Bob: water");
    assert(orders.try_fetch() == latchbox::Errc::empty);  // Ann's cake waits for her tea
    anns->ack();
    assert(orders.try_fetch()->body() == "Ann: cake");
}
