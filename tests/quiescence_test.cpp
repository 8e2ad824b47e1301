// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/testing/quiescence.hpp"

#include <string>
#include <thread>
#include <utility>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"

using latchbox::ManualClock;
using latchbox::testing::quiescence;
using latchbox::testing::Quiescence;
using latchbox::testing::Unfinished;
using namespace std::chrono_literals;

namespace {

using Kind = Unfinished::Kind;

struct OnManualClock {
    ManualClock clock;
    latchbox::Broker<std::string> broker{{.clock = &clock}};
    latchbox::Queue<std::string> orders = broker.queue("orders", {.lease = 10s});
};

bool says(const Quiescence& found, const std::string& what) {
    return found.text().find(what) != std::string::npos;
}

}  // namespace

TEST_CASE_FIXTURE(OnManualClock, "a broker whose messages have all gone is quiet") {
    CHECK(quiescence(broker).quiet());
    REQUIRE(orders.publish("tea"));
    CHECK_FALSE(quiescence(broker).quiet());
    REQUIRE(orders.try_fetch()->ack());
    const Quiescence found = quiescence(broker);
    CHECK(found.quiet());
    CHECK(found.text() == "nothing is left");
}

TEST_CASE_FIXTURE(OnManualClock, "each message that is left has its sentence, by where it stands") {
    const auto tea = orders.publish("tea").value();
    auto held = orders.try_fetch();
    const auto cake = orders.publish("cake", {.parents = {tea}}).value();
    const auto later = orders.publish("later", {.delay = 1h}).value();
    const auto bad = orders.publish("bad").value();
    REQUIRE(orders.try_fetch()->reject("burnt"));
    const auto ready = orders.publish("ready").value();

    const Quiescence found = quiescence(broker);
    CHECK(found.left.size() == 5);
    for (const Kind kind : {Kind::leased, Kind::blocked, Kind::delayed, Kind::dead, Kind::ready}) {
        CHECK(found.count(kind) == 1);
    }
    CHECK(says(found, to_string(tea) + " in \"orders\" is leased until 10 s, attempt 1, and "
                                       "nobody has settled it"));
    CHECK(says(found, to_string(cake) + " in \"orders\" is blocked: it waits for " +
                          to_string(tea) + " (pending)"));
    CHECK(says(found, to_string(later) + " in \"orders\" is delayed until 3600 s"));
    CHECK(says(found, to_string(bad) + " in \"orders\" is dead: "));
    CHECK(says(found, "burnt"));
    CHECK(says(found, to_string(ready) + " in \"orders\" is ready, and the next to be delivered, "
                                         "and nobody has fetched it"));
    CHECK(found.left[0].kind == Kind::leased);
    CHECK(found.left[0].id == tea);
}

TEST_CASE_FIXTURE(OnManualClock, "what is due by now is done first: a lease that is over is none") {
    REQUIRE(orders.publish("tea"));
    const auto held = orders.try_fetch();
    CHECK(quiescence(broker).count(Kind::leased) == 1);
    clock.advance(10s);
    CHECK(quiescence(broker).count(Kind::leased) == 0);
    CHECK(quiescence(broker).count(Kind::ready) == 1);
}

TEST_CASE_FIXTURE(OnManualClock, "a gate is left until it is opened or has failed") {
    auto gate = broker.gate(2);
    auto other = broker.gate();
    CHECK(quiescence(broker).count(Kind::gate) == 2);
    gate.count_down();
    CHECK(says(quiescence(broker),
               to_string(gate.id()) + " is a gate that is shut: 1 to be counted down"));
    gate.count_down();
    other.fail("no");
    CHECK(quiescence(broker).quiet());
    for (int i = 0; i < 20; ++i) { broker.gate().count_down(); }
    CHECK(quiescence(broker).quiet());
}

TEST_CASE_FIXTURE(OnManualClock, "a topic's message is told once, with all its copies") {
    auto mail = broker.subscribe("orders.*", {.group = "mail"});
    auto audit = broker.subscribe("orders.>", {.group = "audit"});
    const auto id = broker.topic("orders.eu").publish("tea").value();
    const auto held = mail.try_fetch();
    const Quiescence found = quiescence(broker);
    CHECK(found.left.size() == 1);
    CHECK(says(found, to_string(id) + " of \"orders.eu\" is pending: 2 copies are held, leased in "
                                      "\"mail\", ready in \"audit\""));
}

TEST_CASE_FIXTURE(OnManualClock, "what a closed broker left is told as it was") {
    REQUIRE(orders.publish("tea"));
    broker.close();
    CHECK(quiescence(broker).count(Kind::ready) == 1);
}

TEST_CASE("there is room for whatever is left, in many queues") {
    latchbox::Broker<int> broker;
    for (int i = 0; i < 100; ++i) {
        REQUIRE(broker.queue("q" + std::to_string(i % 7)).publish(int{i}));
    }
    CHECK(quiescence(broker).left.size() == 100);
    CHECK(quiescence(broker).count(Kind::ready) == 100);
}
