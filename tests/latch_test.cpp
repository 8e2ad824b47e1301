// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/latch.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"
#include "support/sound.hpp"
#include "support/watched_threads.hpp"

namespace {

using namespace std::chrono_literals;
using latchbox::Errc;
using latchbox::Instant;
using latchbox::LatchState;
using latchbox::MessageId;
using latchbox::MessageState;
using latchbox::Result;
using support::WatchedThreads;
using Latch = latchbox::Latch<std::string>;

static_assert(std::is_copy_constructible_v<Latch> && std::is_copy_assignable_v<Latch>);
static_assert(std::is_nothrow_move_constructible_v<Latch>);

// What cannot wait does not offer it.
template <class L>
concept Waits = requires(const L& latch) {
    latch.wait();
};
static_assert(Waits<Latch>);
static_assert(!Waits<latchbox::Latch<int, latchbox::SingleThread>>);

template <class Platform> struct Latched {
    using Latch = latchbox::Latch<std::string, Platform>;
    latchbox::ManualClock clock;
    latchbox::Broker<std::string, Platform> broker{{.clock = &clock}};
    latchbox::Queue<std::string, Platform> q = broker.queue("q", {.lease = 10s});

    ~Latched() { support::check_sound(q); }
    MessageId publish(const latchbox::PublishOptions& options = {}) {
        return q.publish("m", options).value();
    }
};
using Plain = Latched<latchbox::Threads>;
using Watched = Latched<WatchedThreads>;

TEST_CASE_FIXTURE(Plain, "a latch tells how it stands with its message, all its life [5.3] [5.8]") {
    const MessageId id = publish({.delay = 1s});
    const Latch latch = broker.latch(id);
    CHECK(latch.id() == id);
    const auto is = [&](LatchState state) {
        CHECK(latch.state().value() == state);
        CHECK(broker.latch(id).state().value() == state);
    };
    is(LatchState::pending);
    clock.advance(1s);
    is(LatchState::pending);
    auto delivery = q.try_fetch();
    is(LatchState::pending);
    REQUIRE(delivery->reject());
    is(LatchState::dead);
    REQUIRE(q.dead_letters().redrive(id));
    is(LatchState::pending);
    SUBCASE("acked") {
        REQUIRE(q.pop());
        is(LatchState::completed);
    }
    SUBCASE("cancelled") {
        REQUIRE(q.cancel(id));
        is(LatchState::failed);
    }
    SUBCASE("dead, and taken") {
        REQUIRE(q.try_fetch()->reject());
        is(LatchState::dead);
        REQUIRE(q.dead_letters().take());
        is(LatchState::failed);
    }
}

TEST_CASE_FIXTURE(Plain, "a latch of what was never issued, or is forgotten, is unknown [5.8]") {
    const auto forgetful = broker.queue("forgetful", {.outcome_memory = 0});
    const auto gone = forgetful.publish("m");
    REQUIRE(forgetful.cancel(*gone));
    for (const MessageId& id : {MessageId{}, *gone}) {
        const Latch latch = broker.latch(id);
        CHECK(latch.id() == id);
        CHECK(latch.state() == Errc::unknown_message);
        CHECK(latch.wait() == Errc::unknown_message);
        CHECK(latch.wait_for(1h) == Errc::unknown_message);
    }
    CHECK(broker.stats().latches == 0);
}

TEST_CASE_FIXTURE(Plain, "a handle keeps its latch from being forgotten [5.8] [5.2]") {
    const auto forgetful = broker.queue("forgetful", {.outcome_memory = 0});
    const auto id = forgetful.publish("m");
    const Latch latch = broker.latch(*id);
    REQUIRE(forgetful.cancel(*id));
    for (int i = 0; i < 100; ++i) {
        const auto other = forgetful.publish("m");
        static_cast<void>(broker.latch(*other));
        REQUIRE(forgetful.cancel(*other));
    }
    CHECK(latch.state().value() == LatchState::failed);
    CHECK(broker.latch(*id).state() == Errc::unknown_message);
    // The slot of its message is another's by now, whose latch is another.
    const auto next = forgetful.publish("m");
    const Latch others = broker.latch(*next);
    CHECK(others.state().value() == LatchState::pending);
    CHECK(latch.state().value() == LatchState::failed);
    CHECK(broker.stats().latches == 2);
}

TEST_CASE_FIXTURE(Plain,
                  "latches are kept as long as one has them in hand, or waits [5.4] [4.12]") {
    const MessageId id = publish();
    CHECK(broker.stats().latches == 0);
    {
        std::vector<Latch> handles(5, broker.latch(id));
        CHECK(broker.stats().latches == 1);
        Latch moved = std::move(handles[0]);
        CHECK(handles[0].state().value() == LatchState::pending);  // moving copies
        Latch other = broker.latch(MessageId{});
        other = moved;
        CHECK(other.id() == id);
        Latch& same = other;
        other = same;
        CHECK(other.state().value() == LatchState::pending);
        moved = broker.latch(MessageId{});
        CHECK(moved.state() == Errc::unknown_message);
    }
    REQUIRE(q.pop());
    CHECK(broker.stats().latches == 0);
    // What was never issued has none.
    static_cast<void>(broker.latch(MessageId{}));
    static_cast<void>(broker.latch(id).state());
    CHECK(broker.stats().latches == 0);
    for (int i = 0; i < 1'000; ++i) {
        const Latch latch = broker.latch(publish());
        REQUIRE(q.pop());
        CHECK(latch.state().value() == LatchState::completed);
    }
    CHECK(broker.stats().latches == 0);
}

TEST_CASE_FIXTURE(Plain, "asking does first what is due [4.3] [5.8]") {
    const Latch latch = broker.latch(publish({.expires_in = 5s}));
    clock.advance(5s - 1ns);
    CHECK(latch.state().value() == LatchState::pending);
    clock.advance(1ns);
    CHECK(latch.state().value() == LatchState::failed);
    const MessageId mortal = publish({.expires_in = 5s});
    clock.advance(5s);
    CHECK(broker.latch(mortal).state().value() == LatchState::failed);
    const Latch waited = broker.latch(publish({.expires_in = 5s}));
    clock.advance(5s);
    CHECK(waited.wait().value() == LatchState::failed);
}

TEST_CASE_FIXTURE(Plain, "what is not pending is waited for by nobody [5.8]") {
    const MessageId dead = publish();
    REQUIRE(q.try_fetch()->reject());
    CHECK(broker.latch(dead).wait().value() == LatchState::dead);
    const MessageId completed = publish();
    REQUIRE(q.pop());
    CHECK(broker.latch(completed).wait().value() == LatchState::completed);
    CHECK(broker.latch(completed).wait_for(0s).value() == LatchState::completed);
    const MessageId failed = publish();
    REQUIRE(q.cancel(failed));
    CHECK(broker.latch(failed).wait_for(1h).value() == LatchState::failed);
    const MessageId pending = publish();
    CHECK(broker.latch(pending).wait_for(0s) == Errc::timed_out);
    CHECK(clock.now() == Instant{});
    q.purge();
}

TEST_CASE_FIXTURE(Plain, "a wait is checked: cancelled, closed, then its length [7.7] [7.6]") {
    const Latch latch = broker.latch(publish());
    std::stop_source stop;
    stop.request_stop();
    CHECK(latch.wait_for(-1ns) == Errc::invalid_option);
    CHECK(latch.wait_for(-1ns, stop.get_token()) == Errc::cancelled);
    CHECK(latch.wait(stop.get_token()) == Errc::cancelled);
    broker.close();
    CHECK(latch.wait() == Errc::closed);
    CHECK(latch.wait_for(-1ns) == Errc::closed);
    CHECK(latch.wait_for(0s) == Errc::closed);
    CHECK(latch.wait(stop.get_token()) == Errc::cancelled);
    CHECK(latch.state().value() == LatchState::failed);
    CHECK(broker.latch(MessageId{}).wait() == Errc::closed);
}

TEST_CASE_FIXTURE(Watched, "a wait ends with the first state that is not pending [5.8] [4.9]") {
    const MessageId id = publish({.expires_in = 1h});
    const Latch latch = broker.latch(id);
    Result<LatchState> seen[3] = {Errc::empty, Errc::empty, Errc::empty};
    std::thread one{[&] { seen[0] = latch.wait(); }};
    std::thread two{[&] { seen[1] = broker.latch(id).wait_for(2h); }};
    std::thread three{[&, copy = latch] { seen[2] = copy.wait(); }};
    WatchedThreads::until_asleep(3);
    LatchState expected{};
    SUBCASE("acked") {
        REQUIRE(q.pop());
        expected = LatchState::completed;
    }
    SUBCASE("rejected") {
        REQUIRE(q.try_fetch()->reject());
        expected = LatchState::dead;
    }
    SUBCASE("cancelled") {
        REQUIRE(q.cancel(id));
        expected = LatchState::failed;
    }
    SUBCASE("expired, as time goes by") {
        clock.advance(1h);
        expected = LatchState::failed;
    }
    SUBCASE("removed") {
        REQUIRE(broker.remove("q"));
        expected = LatchState::failed;
    }
    one.join();
    two.join();
    three.join();
    for (const auto& state : seen) { CHECK(state.value() == expected); }
}

TEST_CASE_FIXTURE(Watched,
                  "who waits for a child sees the end of its parents reach it [5.4] [5.8]") {
    MessageId last = publish();
    const MessageId first = last;
    for (int i = 0; i < 10; ++i) { last = publish({.parents = {last}}); }
    const Latch latch = broker.latch(last);
    Result<LatchState> seen{Errc::empty};
    std::thread waiting{[&] { seen = latch.wait(); }};
    WatchedThreads::until_asleep(1);
    REQUIRE(q.cancel(first));
    waiting.join();
    CHECK(seen.value() == LatchState::dead);
}

TEST_CASE_FIXTURE(Watched, "a wait for a gate ends as it opens, fails or is abandoned [5.8]") {
    std::optional<latchbox::Gate<std::string, WatchedThreads>> gate = broker.gate(1);
    const Latch latch = broker.latch(gate->id());
    Result<LatchState> seen{Errc::empty};
    std::thread waiting{[&] { seen = latch.wait(); }};
    WatchedThreads::until_asleep(1);
    LatchState expected = LatchState::failed;
    SUBCASE("opens") {
        REQUIRE(gate->count_down());
        expected = LatchState::completed;
    }
    SUBCASE("fails") { REQUIRE(gate->fail()); }
    SUBCASE("abandoned") { gate.reset(); }
    waiting.join();
    CHECK(seen.value() == expected);
}

TEST_CASE_FIXTURE(Watched, "a wait ends at its time, not before, and takes nothing [4.3] [5.8]") {
    const Latch latch = broker.latch(publish());
    Result<LatchState> seen{LatchState::pending};
    Instant ended;
    std::thread waiting{[&] {
        seen = latch.wait_for(5s);
        ended = clock.now();
    }};
    WatchedThreads::until_asleep(1);
    clock.advance(5s - 1ns);
    clock.advance(1ns);
    waiting.join();
    CHECK(seen == Errc::timed_out);
    CHECK(ended == Instant{5s});
    REQUIRE(q.pop());
    CHECK(latch.wait_for(0s).value() == LatchState::completed);
}

TEST_CASE_FIXTURE(Watched,
                  "a wait that is over is over, though its thread has not noticed yet "
                  "[4.3] [4.9]") {
    const MessageId id = publish();
    const Latch latch = broker.latch(id);
    Result<LatchState> seen{Errc::empty};
    std::thread waiting{[&] { seen = latch.wait_for(5s); }};
    WatchedThreads::until_asleep(1);
    clock.advance(5s);
    REQUIRE(q.pop());
    waiting.join();
    CHECK(seen == Errc::timed_out);
}

TEST_CASE_FIXTURE(Watched,
                  "time alone ends a wait: by a death, by the last lease of a removed "
                  "queue [4.9] [5.3]") {
    const auto strict = broker.queue("strict", {.lease = 10s, .max_failures = 1});
    const auto id = strict.publish("m");
    const auto receipt = strict.try_fetch().value().detach();
    const auto gate = broker.gate(1);
    const auto other = broker.latch(gate.id());
    const Latch latch = broker.latch(*id);
    Result<LatchState> seen[2] = {Errc::empty, Errc::empty};
    LatchState expected = LatchState::dead;
    SUBCASE("a death") {}
    SUBCASE("a removed queue") {
        REQUIRE(broker.remove("strict"));
        CHECK(strict.ack(receipt) == Errc::closed);
        expected = LatchState::failed;
    }
    CHECK(latch.state().value() == LatchState::pending);
    std::thread one{[&] { seen[0] = other.wait_for(20s); }};
    WatchedThreads::until_asleep(1);
    std::thread two{[&] { seen[1] = latch.wait(); }};
    WatchedThreads::until_asleep(2);
    clock.advance(10s);
    two.join();
    CHECK(seen[1].value() == expected);
    clock.advance(10s);
    one.join();
    CHECK(seen[0] == Errc::timed_out);
}

TEST_CASE_FIXTURE(Watched, "a stop ends a wait, close ends all of them [7.5] [7.7]") {
    const Latch latch = broker.latch(publish());
    std::stop_source stop;
    Result<LatchState> stopped{LatchState::pending};
    Result<LatchState> closed[2] = {LatchState::pending, LatchState::pending};
    std::thread one{[&] { stopped = latch.wait(stop.get_token()); }};
    std::thread two{[&] { closed[0] = latch.wait(); }};
    std::thread three{[&] { closed[1] = latch.wait_for(1h, stop.get_token()); }};
    WatchedThreads::until_asleep(3);
    SUBCASE("a stop") {
        stop.request_stop();
        one.join();
        three.join();
        CHECK(stopped == Errc::cancelled);
        CHECK(closed[1] == Errc::cancelled);
        broker.close();
        two.join();
        CHECK(closed[0] == Errc::closed);
    }
    SUBCASE("close") {
        broker.close();
        one.join();
        two.join();
        three.join();
        CHECK(stopped == Errc::closed);
        CHECK(closed[0] == Errc::closed);
        CHECK(closed[1] == Errc::closed);
    }
    CHECK(latch.state().value() == LatchState::failed);
}

TEST_CASE("the end of a broker ends the waits for its latches, which outlive it [4.8] [7.5]") {
    auto clock = std::make_unique<latchbox::ManualClock>();
    auto broker = std::make_unique<latchbox::Broker<std::string, WatchedThreads>>(
        latchbox::BrokerOptions{.clock = clock.get()});
    auto q = broker->queue("q");
    const auto completed = q.publish("1");
    REQUIRE(q.pop());
    const auto left = q.publish("2");
    const auto of_left = broker->latch(*left);
    const auto of_completed = broker->latch(*completed);
    const auto of_none = broker->latch(MessageId{});
    Errc ended{};
    std::thread waiting{[&] { ended = support::error_of(of_left.wait()); }};
    WatchedThreads::until_asleep(1);
    broker.reset();
    waiting.join();
    clock.reset();
    CHECK(ended == Errc::closed);
    CHECK(of_left.state().value() == LatchState::failed);
    CHECK(of_completed.state().value() == LatchState::completed);
    CHECK(of_none.state() == Errc::unknown_message);
    CHECK(of_left.wait() == Errc::closed);
    CHECK(of_completed.wait_for(1h) == Errc::closed);
    CHECK(of_none.wait() == Errc::closed);
    const auto copy = of_left;
    CHECK(copy.id() == *left);
}

TEST_CASE("a latch is usable without threads [5.8]") {
    latchbox::ManualClock clock;
    latchbox::Broker<int, latchbox::SingleThread> broker{{.clock = &clock}};
    const auto q = broker.queue("q");
    const auto id = q.publish(1, {.expires_in = 5s});
    const auto latch = broker.latch(*id);
    CHECK(latch.state().value() == LatchState::pending);
    clock.advance(5s);
    CHECK(latch.state().value() == LatchState::failed);
    support::check_sound(q);
}

}  // namespace
