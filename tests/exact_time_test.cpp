// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"

#include "support/sound.hpp"

// Time is exact: what is due happens at its instant, in the order of the instants, whatever call
// comes first afterwards and however the clock moves.
namespace {

using namespace std::chrono_literals;
using latchbox::Duration;
using latchbox::Errc;
using latchbox::Instant;
using Texts = latchbox::Broker<std::string>;

struct Timed {
    latchbox::ManualClock clock;
    Texts broker{{.clock = &clock}};
    latchbox::Queue<std::string> orders = broker.queue("orders", {.lease = 10s});

    ~Timed() { support::check_sound(orders); }
};

TEST_CASE_FIXTURE(Timed, "a lease is valid before its deadline and over at it, whatever call "
                         "comes first [4.3]") {
    REQUIRE(orders.publish("a"));
    auto delivery = orders.try_fetch();
    REQUIRE(delivery);
    clock.advance(10s - 1ns);
    CHECK_FALSE(delivery->lease_lost());
    CHECK(orders.try_fetch() == Errc::empty);
    CHECK(orders.stats().leased == 1);
    clock.advance(1ns);
    // Each alone, as the first call that comes at the deadline.
    SUBCASE("lease_lost") { CHECK(delivery->lease_lost()); }
    SUBCASE("the holder's ack") { CHECK(delivery->ack() == Errc::lease_lost); }
    SUBCASE("an ack by receipt") { CHECK(orders.ack(delivery->receipt()) == Errc::lease_lost); }
    SUBCASE("a fetch") { CHECK(orders.try_fetch()->attempt() == 2); }
    SUBCASE("the stats of the queue") { CHECK(orders.stats().leases_run_out == 1); }
    SUBCASE("the stats of the broker") {
        CHECK(broker.stats().messages.leases_run_out == 1);
    }
    SUBCASE("poll") { CHECK(broker.poll().is_never()); }
    SUBCASE("a publish") { CHECK(orders.publish("b")); }
    SUBCASE("a purge") { CHECK(orders.purge() == 1); }
    SUBCASE("a cancel") { CHECK(orders.cancel(delivery->id())); }
    SUBCASE("a call on another queue") { CHECK(broker.queue("other").publish("x")); }
    SUBCASE("close") { CHECK(broker.close().ready == 1); }
    CHECK(orders.stats().leases_run_out == 1);
    CHECK(orders.stats().leased == 0);
}

TEST_CASE_FIXTURE(Timed, "due things happen in the order of their instants, in all queues [4.3]") {
    // Each queue holds one place: whoever comes back first has it. The order is seen by the
    // numbers drawn: the later a lease ran out, the further back its message is.
    const auto other = broker.queue("other", {.lease = 7s});
    for (const char* body : {"a", "b", "c"}) { REQUIRE(orders.publish(body)); }
    std::vector<latchbox::Delivery<std::string>> held;
    for (int i = 0; i < 3; ++i) { held.push_back(orders.try_fetch().value()); }
    REQUIRE(held[0].extend(30s));
    REQUIRE(held[1].extend(20s));
    REQUIRE(orders.publish("d", {.delay = 15s}));
    REQUIRE(orders.publish("e", {.delay = 25s}));
    REQUIRE(other.publish("x"));
    auto x = other.try_fetch();
    clock.advance(24h);
    CHECK(x->lease_lost());
    // c at 10, b at 20, a at 30 drew new numbers; d and e keep those of their publish.
    CHECK(support::work_off_text(orders) == "decba");
    CHECK(other.stats().leases_run_out == 1);
}

TEST_CASE_FIXTURE(Timed, "at one instant leases come first, then lives, then delays [4.3]") {
    const auto only = broker.queue("only", {.lease = 10s, .max_failures = 1});
    REQUIRE(only.publish("leased", {.expires_in = 10s}));
    auto delivery = only.try_fetch();
    REQUIRE(delivery);
    clock.advance(10s);
    // Its tries are judged before its life.
    CHECK(only.stats().dead == 1);
    CHECK(only.stats().expired == 0);

    REQUIRE(orders.publish("late", {.delay = 5s}));
    REQUIRE(orders.publish("mortal", {.expires_in = 5s}));
    clock.advance(5s);
    CHECK(support::work_off(orders) == std::vector<std::string>{"late"});
    CHECK(orders.stats().expired == 1);
}

TEST_CASE_FIXTURE(Timed, "at one instant leases that run out come back by their numbers [4.3]") {
    for (const char* body : {"a", "b", "c", "d"}) { REQUIRE(orders.publish(body)); }
    std::vector<latchbox::Delivery<std::string>> held;
    for (int i = 0; i < 4; ++i) { held.push_back(orders.try_fetch().value()); }
    clock.advance(4s);
    // The order in which the deadlines were set says nothing.
    for (const std::size_t i : {3U, 1U, 0U, 2U}) { REQUIRE(held[i].extend(16s)); }
    clock.advance(16s);
    CHECK(support::work_off_text(orders) == "abcd");
}

// A script that leaves something due in many ways, then lets time pass by `pass`.
std::string run_script(const std::function<void(latchbox::ManualClock&, Texts&)>& pass) {
    latchbox::ManualClock clock;
    Texts broker{{.clock = &clock}};
    const auto first = broker.queue(
        "first", {.lease = 3s, .max_failures = 3, .backoff = {.first = 1s, .limit = 8s}});
    const auto second = broker.queue("second", {.lease = 5s, .max_attempts = 2});
    std::string log;
    std::vector<latchbox::Receipt> late;
    for (int round = 0; round < 12; ++round) {
        const std::string body(1, static_cast<char>('a' + round));
        const auto i = static_cast<unsigned>(round);
        REQUIRE(first.publish(body, {.delay = 1s * (i % 4), .expires_in = 20s + 1s * i}));
        REQUIRE(second.publish(body, {.delay = 1s * (i % 3)}));
        if (auto delivery = first.try_fetch()) {
            log += delivery->body();
            if (round % 3 == 0) { REQUIRE(delivery->fail("no")); }
            if (round % 3 == 1) { late.push_back(std::move(*delivery).detach()); }
        }
        if (auto delivery = second.try_fetch()) {
            log += delivery->body();
            late.push_back(std::move(*delivery).detach());
        }
        pass(clock, broker);
        for (const latchbox::Queue<std::string>& queue : {first, second}) {
            const auto stats = queue.stats();
            log += ' ' + std::to_string(stats.ready) + '/' + std::to_string(stats.delayed) + '/' +
                   std::to_string(stats.leased) + '/' + std::to_string(stats.dead) + '/' +
                   std::to_string(stats.expired) + '/' + std::to_string(stats.leases_run_out);
            support::check_sound(queue);
        }
        log += '\n';
    }
    for (const latchbox::Queue<std::string>& queue : {first, second}) {
        while (auto delivery = queue.try_fetch()) {
            log += delivery->body() + std::to_string(delivery->attempt()) +
                   std::to_string(delivery->failures()) + ' ';
            REQUIRE(delivery->ack());
        }
        queue.dead_letters().for_each([&](const auto& letter) { log += letter.body(); });
        log += '\n';
    }
    return log;
}

TEST_CASE("a jump equals its steps [4.3]") {
    const std::string jump = run_script([](auto& clock, auto&) { clock.advance(7s); });
    const std::string halves = run_script([](auto& clock, auto& broker) {
        clock.advance(3s);
        broker.poll();
        clock.advance(4s);
    });
    const std::string steps = run_script([](auto& clock, auto& broker) {
        for (int i = 0; i < 70; ++i) {
            clock.advance(100ms);
            broker.poll();
        }
    });
    const std::string due = run_script([](auto& clock, auto& broker) {
        const Instant end = clock.now() + 7s;
        for (Instant next = broker.poll(); next <= end; next = broker.poll()) { clock.set(next); }
        clock.set(end);
    });
    CHECK(halves == jump);
    CHECK(steps == jump);
    CHECK(due == jump);
    CHECK(jump.find("/2/") != std::string::npos);
}

// --- clocks of one's own ---------------------------------------------------------------------

// Exact now, and a glance as wide as told. Counts who asks for what.
class WideClock final : public latchbox::Clock {
public:
    Instant now() noexcept override {
        ++asked;
        return at;
    }
    latchbox::Glance glance() noexcept override {
        ++glanced;
        return {at - early, at + late};
    }
    Instant at{1h};
    Duration early = 0s;
    Duration late = 0s;
    int asked = 0;
    int glanced = 0;
};

TEST_CASE("where the glance leaves a doubt, the exact time is asked [4.3]") {
    WideClock clock;
    SUBCASE("wide to both sides") {
        clock.early = 2s;
        clock.late = 2s;
    }
    SUBCASE("wide to the past") { clock.early = 3s; }
    SUBCASE("wide to the future") { clock.late = 3s; }
    SUBCASE("wider than the lease") {
        clock.early = 1min;
        clock.late = 1min;
    }
    Texts broker{{.clock = &clock}};
    const auto orders = broker.queue("orders", {.lease = 10s});
    REQUIRE(orders.publish("a"));
    auto delivery = orders.try_fetch();
    REQUIRE(delivery);
    // Never early; late by the width of the glance at most.
    const Instant deadline = delivery->deadline();
    CHECK(deadline >= clock.at + 10s);
    CHECK(deadline <= clock.at + clock.late + 10s);

    clock.at = deadline - 1ns;
    CHECK_FALSE(delivery->lease_lost());
    CHECK(orders.try_fetch() == Errc::empty);
    CHECK(orders.stats().leased == 1);
    SUBCASE("one tick before it, the ack holds") {
        CHECK(delivery->ack());
        CHECK(orders.stats().completed == 1);
    }
    SUBCASE("at it, the ack is late") {
        clock.at = deadline;
        CHECK(delivery->ack() == Errc::lease_lost);
        CHECK(orders.stats().ready == 1);
    }
    SUBCASE("at it, the next fetch has it") {
        clock.at = deadline;
        auto again = orders.try_fetch();
        REQUIRE(again);
        CHECK(again->attempt() == 2);
        CHECK(delivery->lease_lost());
        CHECK(again->release());
    }
    SUBCASE("an extension counts from now at the earliest") {
        REQUIRE(delivery->extend(20s));
        CHECK(delivery->deadline() >= clock.at + 20s);
        CHECK(delivery->deadline() <= clock.at + clock.late + 20s);
        const Instant extended = delivery->deadline();
        clock.at = extended - 1ns;
        CHECK_FALSE(delivery->lease_lost());
        clock.at = extended;
        CHECK(delivery->lease_lost());
    }
    support::check_sound(orders);
}

TEST_CASE("delays and lives are never early, however wide the glance [4.3]") {
    WideClock clock;
    clock.early = 2s;
    clock.late = 2s;
    Texts broker{{.clock = &clock}};
    const auto orders = broker.queue("orders");
    const Instant published = clock.at;
    REQUIRE(orders.publish("delayed", {.delay = 5s}));
    REQUIRE(orders.publish("mortal", {.expires_in = 7s}));
    clock.at = published + 5s - 1ns;
    CHECK(orders.stats().ready == 1);
    // From here on the instants are the broker's own: it is not earlier than asked, not later
    // than by one glance, and exact once it is known.
    const Instant due = broker.poll();
    CHECK(due >= published + 5s);
    CHECK(due <= published + 5s + 2s);
    clock.at = due - 1ns;
    CHECK(orders.stats().delayed == 1);
    clock.at = due;
    CHECK(orders.stats().delayed == 0);
    const Instant end = broker.poll();
    CHECK(end >= published + 7s);
    CHECK(end <= published + 7s + 2s);
    clock.at = end - 1ns;
    CHECK(orders.stats().expired == 0);
    clock.at = end;
    CHECK(orders.stats().expired == 1);
    support::check_sound(orders);
}

TEST_CASE("where the glance leaves no doubt, the exact time is not asked [4.3]") {
    WideClock clock;
    clock.early = 1ms;
    clock.late = 1ms;
    Texts broker{{.clock = &clock}};
    const auto orders = broker.queue("orders", {.lease = 1h});
    REQUIRE(orders.publish("a"));
    auto first = orders.try_fetch();
    REQUIRE(first);
    const int before = clock.asked;
    const int glanced = clock.glanced;
    REQUIRE(orders.publish("b"));
    auto second = orders.try_fetch();
    REQUIRE(second);
    CHECK(first->ack());
    CHECK(second->ack());
    CHECK(clock.asked == before);
    CHECK(clock.glanced >= glanced + 4);
    support::check_sound(orders);
}

// A glance and an exact reading of a clock that is set as it likes.
TEST_CASE("a clock that goes back or stands is taken to stand [4.3]") {
    WideClock clock;
    Texts broker{{.clock = &clock}};
    const auto orders = broker.queue("orders", {.lease = 10s});
    const Instant start = clock.at;
    REQUIRE(orders.publish("a", {.delay = 5s}));
    clock.at = start + 5s;
    auto delivery = orders.try_fetch();
    REQUIRE(delivery);
    CHECK(delivery->deadline() == start + 15s);
    clock.at = start - 30min;
    REQUIRE(orders.publish("b", {.delay = 1s}));
    CHECK(broker.poll() == start + 6s);
    CHECK(delivery->ack());
    clock.at = start + 6s - 1ns;
    CHECK(orders.try_fetch() == Errc::empty);
    clock.at = start + 6s;
    auto b = orders.try_fetch();
    REQUIRE(b);
    CHECK(b->deadline() == start + 16s);
    support::check_sound(orders);
}

TEST_CASE("a clock that jumps does all that was due, each thing once [4.3]") {
    WideClock clock;
    Texts broker{{.clock = &clock}};
    const auto orders = broker.queue("orders", {.lease = 10s});
    for (int i = 0; i < 100; ++i) { REQUIRE(orders.publish("x", {.delay = 1s * (100 - i)})); }
    for (int i = 0; i < 100; ++i) { REQUIRE(orders.publish("m", {.expires_in = 1min})); }
    clock.at = clock.at + 24h * 365;
    CHECK(broker.poll().is_never());
    CHECK(orders.stats().ready == 100);
    CHECK(orders.stats().expired == 100);
    CHECK(orders.stats().delayed == 0);
    support::check_sound(orders);
}

// --- the ends of time ---------------------------------------------------------------------------

TEST_CASE("near the end of time everything saturates, nothing wraps [7.6]") {
    latchbox::ManualClock clock{
        Instant{Duration::nanoseconds(std::numeric_limits<std::int64_t>::max() - 1'000)}};
    Texts broker{{.clock = &clock}};
    const auto orders = broker.queue("orders", {.lease = 1h});
    REQUIRE(orders.publish("a"));
    auto delivery = orders.try_fetch();
    REQUIRE(delivery);
    CHECK(delivery->deadline().is_never());
    REQUIRE(orders.publish("b", {.delay = 2h, .expires_in = 3h}));
    REQUIRE(delivery->fail("no"));
    CHECK(orders.stats().delayed == 2);
    CHECK(broker.poll().is_never());
    CHECK(orders.try_fetch() == Errc::empty);
    clock.advance(500ns);
    CHECK(orders.stats().delayed == 2);
    support::check_sound(orders);
}

TEST_CASE("before the beginning of time everything works as after it [7.6]") {
    latchbox::ManualClock clock{Instant{-24h * 365}};
    Texts broker{{.clock = &clock}};
    const auto orders = broker.queue("orders", {.lease = 1h});
    REQUIRE(orders.publish("a", {.delay = 1s}));
    CHECK(broker.poll() == Instant{-24h * 365 + 1s});
    clock.advance(1s);
    auto delivery = orders.try_fetch();
    REQUIRE(delivery);
    CHECK(delivery->deadline() == clock.now() + 1h);
    clock.advance(1h);
    CHECK(delivery->lease_lost());
    support::check_sound(orders);
}

TEST_CASE_FIXTURE(Timed, "backoff is exact and saturates at its limit [4.6]") {
    const auto slow = broker.queue(
        "slow", {.backoff = {.first = 1h, .factor = 4'000'000'000U,
                             .limit = std::chrono::hours::max()}});
    REQUIRE(slow.publish("a"));
    REQUIRE(slow.try_fetch()->fail());
    CHECK(broker.poll() == Instant{1h});
    clock.advance(1h);
    REQUIRE(slow.try_fetch()->fail());
    CHECK(broker.poll() == Instant::never());
    CHECK(slow.stats().delayed == 1);
    const auto steady =
        broker.queue("steady", {.backoff = {.first = 2s, .factor = 1, .limit = 2s}});
    REQUIRE(steady.publish("a"));
    for (int i = 0; i < 50; ++i) {
        auto delivery = steady.try_fetch();
        REQUIRE(delivery);
        REQUIRE(delivery->fail());
        CHECK(broker.poll() == clock.now() + 2s);
        clock.advance(2s);
    }
    support::check_sound(slow);
    support::check_sound(steady);
}

TEST_CASE_FIXTURE(Timed, "a lease that ran out waits no longer: it is back at once [4.6]") {
    REQUIRE(orders.publish("a"));
    auto delivery = orders.try_fetch();
    clock.advance(10s);
    auto again = orders.try_fetch();
    REQUIRE(again);
    CHECK(again->failures() == 1);
    CHECK(again->attempt() == 2);
    // Its next fail is its second failure, and waits accordingly.
    REQUIRE(again->fail());
    CHECK(broker.poll() == clock.now() + 200ms);
}

}  // namespace
