// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/turns.hpp"

#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"

#include "support/sound.hpp"

// What is due, and what it means for others, in the order of instants. What threads make of it is
// in simulation/parents_test.cpp.
namespace {

using latchbox::MessageState;
using latchbox::OnParentFailure;
using namespace std::chrono_literals;

struct Days {
    latchbox::ManualClock clock;
    latchbox::Broker<std::string> broker{{.clock = &clock}};
    latchbox::Queue<std::string> a = broker.queue("a", {.lease = 10s, .max_failures = 1});
    latchbox::Queue<std::string> b = broker.queue("b");
    latchbox::Queue<std::string> c = broker.queue("c");
};

TEST_CASE_FIXTURE(Days,
                  "a chain over three queues falls at one instant, before what is due later") {
    const auto first = a.publish("1").value();
    const auto second = b.publish("2", {.parents = {first}, .expires_in = 11s}).value();
    const auto third = c.publish("3", {.parents = {second}, .expires_in = 10s + 1ns}).value();
    auto held = a.try_fetch();
    SUBCASE("in one jump") { clock.advance(1h); }
    SUBCASE("step by step") {
        clock.advance(10s);
        broker.poll();
        clock.advance(1h);
    }
    broker.poll();
    for (const auto& id : {first, second, third}) {
        CHECK(broker.explain(id).state == MessageState::dead);
    }
}

TEST_CASE_FIXTURE(Days, "what is due at the instant of a death is due after what the death means") {
    const auto parent = a.publish("1").value();
    const auto child = b.publish("2", {.parents = {parent}, .expires_in = 10s}).value();
    auto held = a.try_fetch();
    clock.advance(10s);
    broker.poll();
    CHECK(broker.explain(child).state == MessageState::dead);
    CHECK(broker.explain(child).reason.parent() == parent);
}

TEST_CASE_FIXTURE(Days, "a child that was let go at an instant has its own time from there") {
    const auto parent = a.publish("1", {.expires_in = 5s}).value();
    const auto child = b.publish("2", {.parents = {parent},
                                       .on_parent_failure = OnParentFailure::deliver,
                                       .delay = 7s,
                                       .expires_in = 9s})
                           .value();
    SUBCASE("before its delay is over") {
        clock.advance(6s);
        CHECK(broker.poll() == latchbox::Instant{} + 7s);
        CHECK(broker.explain(child).state == MessageState::delayed);
    }
    SUBCASE("after it") {
        clock.advance(8s);
        CHECK(support::work_off_text(b) == "2");
    }
    SUBCASE("after its life") {
        clock.advance(9s);
        CHECK(broker.poll().is_never());
        CHECK(broker.explain(child).state == MessageState::failed);
    }
}

// Tells in which order things came.
struct Alarm final : latchbox::detail::Alarm {
    std::string* told = nullptr;
    latchbox::Queue<std::string>* queue = nullptr;
    int holds = 1;
    void ring() noexcept override {
        *told += queue->size() == 0 ? 'r' : 'e';  // whether the message there had expired
    }
    void hold() noexcept override { ++holds; }
    void let_go() noexcept override { --holds; }
};

TEST_CASE_FIXTURE(Days, "alarms ring once all is done that was due, and are let go then [4.3]") {
    auto& time = latchbox::detail::Access::shell(a).broker->time;
    std::string told;
    Alarm alarms[2];
    for (Alarm& alarm : alarms) {
        alarm.told = &told;
        alarm.queue = &a;
    }
    REQUIRE(a.publish("1", {.expires_in = 5s}));
    time.set(alarms[0], latchbox::Instant{} + 5s);
    time.set(alarms[1], latchbox::Instant{} + 6s);
    CHECK(broker.poll() == latchbox::Instant{} + 5s);
    clock.advance(5s);
    CHECK(broker.poll() == latchbox::Instant{} + 6s);
    CHECK(told == "r");
    CHECK(alarms[0].holds == 0);
    CHECK(alarms[1].holds == 1);
    SUBCASE("in whatever call comes next") {
        clock.advance(1s);
        CHECK(a.try_fetch() == latchbox::Errc::empty);
        CHECK(told == "rr");
    }
    SUBCASE("one that was cancelled does not") {
        CHECK(time.cancel(alarms[1]));
        clock.advance(1s);
        CHECK(broker.poll().is_never());
        CHECK(told == "r");
    }
}

TEST_CASE_FIXTURE(Days, "a hundred thousand children fall with a parent whose life is over") {
    const auto parent = a.publish("1", {.expires_in = 1s}).value();
    for (int i = 0; i < 100'000; ++i) { b.publish("2", {.parents = {parent}}).value(); }
    clock.advance(1s);
    CHECK(b.stats().dead == 100'000);
    CHECK(broker.stats().edges == 0);
    support::check_sound(b);
}

}  // namespace
