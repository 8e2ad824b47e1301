// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <cassert>
#include <chrono>
#include <string>
#include <thread>
#include <utility>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"

// The code of docs/time.md.
using namespace std::chrono_literals;

namespace {

class Postman {
public:
    explicit Postman(latchbox::Broker<std::string>& broker)
        : letters_{broker.queue("letters", {.max_failures = 2, .backoff = {.first = 1s}})} {}

    const latchbox::Queue<std::string>& letters() const { return letters_; }

    // Takes a letter to its door. False: there is none to take just now.
    template <class Door> bool carry_one(Door&& opens) {
        auto letter = letters_.try_fetch();
        if (!letter) { return false; }
        opens(letter->body()) ? letter->ack() : letter->fail("nobody at home");
        return true;
    }

private:
    latchbox::Queue<std::string> letters_;
};

// The time of a simulation, in its steps of a millisecond.
class StepClock final : public latchbox::Clock {
public:
    latchbox::Instant now() noexcept override {
        return latchbox::Instant{std::chrono::milliseconds{steps_}};
    }
    void step() { ++steps_; }

private:
    std::int64_t steps_ = 0;
};

}  // namespace

TEST_CASE("a test of what is tried again") {
    latchbox::ManualClock clock;
    latchbox::Broker<std::string> broker{{.clock = &clock}};
    Postman postman{broker};
    postman.letters().publish("to Ada").value();
    const auto shut = [](const std::string&) { return false; };
    const auto open = [](const std::string&) { return true; };

    assert(postman.carry_one(shut));
    assert(!postman.carry_one(open));  // not again at once
    clock.advance(999ms);
    assert(!postman.carry_one(open));  // nor a tick before its second is over
    clock.advance(1ms);
    assert(postman.carry_one(open));  // but exactly then
}

TEST_CASE("a thread that waits is woken by the clock") {
    latchbox::ManualClock clock;
    latchbox::Broker<std::string> broker{{.clock = &clock}};
    const auto orders = broker.queue("orders");
    orders.publish("tea", {.delay = 1h}).value();
    std::thread waiter{[&] { assert(orders.fetch()->body() == "tea"); }};
    clock.advance(1h);  // he is woken, or comes later and finds it
    waiter.join();
}

TEST_CASE("poll does what is due, and says when to come again") {
    latchbox::ManualClock clock;
    latchbox::Broker<std::string> broker{{.clock = &clock}};
    const auto orders = broker.queue("orders");
    orders.publish("tea", {.delay = 5s}).value();
    const latchbox::Instant next = broker.poll();
    assert(next == clock.now() + 5s);
    clock.set(next);
    assert(broker.poll().is_never());  // nothing else will be due
    assert(orders.stats().ready == 1);
}

TEST_CASE("durations saturate") {
    latchbox::Broker<std::string> broker;
    const auto orders = broker.queue("orders");
    using latchbox::Duration;
    static_assert(Duration{std::chrono::hours::max()}.is_never());
    static_assert((Duration::never() + 1s).is_never());
    assert(orders.fetch_for(-1s) == latchbox::Errc::invalid_option);
}

TEST_CASE("a clock of one's own") {
    StepClock clock;
    latchbox::Broker<std::string> broker{{.clock = &clock}};
    const auto orders = broker.queue("orders");
    orders.publish("tea", {.delay = 1ms}).value();
    CHECK(orders.try_fetch() == latchbox::Errc::empty);
    clock.step();
    CHECK(orders.try_fetch());
}
