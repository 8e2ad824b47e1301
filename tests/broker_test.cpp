// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/broker.hpp"

#include <chrono>
#include <string>
#include <type_traits>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"

#include "support/sound.hpp"

namespace {

using namespace std::chrono_literals;
using latchbox::Errc;
using latchbox::Instant;
using latchbox::QueueOptions;
using Texts = latchbox::Broker<std::string>;
using support::refuses;

static_assert(!std::is_copy_constructible_v<Texts>);
static_assert(!std::is_move_constructible_v<Texts>);
static_assert(!std::is_copy_assignable_v<Texts>);
static_assert(!std::is_move_assignable_v<Texts>);

struct OnClock {
    latchbox::ManualClock clock;
    Texts broker{{.clock = &clock, .tag = "kitchen"}};
};

TEST_CASE_FIXTURE(OnClock, "a queue is made once, and found by its name after that [8]") {
    CHECK_FALSE(broker.find_queue("orders"));
    const auto orders = broker.queue("orders", {.lease = 1s});
    REQUIRE(orders.publish("tea"));
    const auto found = broker.find_queue("orders");
    REQUIRE(found);
    CHECK(found->size() == 1);
    CHECK(found->options() == QueueOptions{.lease = 1s});
    CHECK(broker.queue("orders").size() == 1);
    CHECK(broker.queue("Orders").size() == 0);
    CHECK(broker.stats().queues == 2);
    CHECK_FALSE(broker.find_queue("ord"));
}

TEST_CASE_FIXTURE(OnClock, "options that disagree are refused by the name of the field [8]") {
    const QueueOptions made{.lease = 1s,
                            .capacity = 2,
                            .overflow = latchbox::Overflow::drop_oldest,
                            .block_for = 3s,
                            .max_failures = 4,
                            .max_attempts = 5,
                            .backoff = {.first = 6s, .factor = 7, .limit = 8s},
                            .dead_capacity = 9};
    const auto orders = broker.queue("orders", made);
    CHECK_NOTHROW(static_cast<void>(broker.queue("orders", made)));
    const auto with = [&](auto change) {
        QueueOptions other = made;
        change(other);
        return [this, other] { return broker.queue("orders", other); };
    };
    CHECK(refuses(with([](QueueOptions& o) { o.lease = 2s; }), "lease"));
    CHECK(refuses(with([](QueueOptions& o) { o.capacity = 3; }), "capacity"));
    CHECK(refuses(with([](QueueOptions& o) { o.overflow = latchbox::Overflow::reject; }),
                  "overflow"));
    CHECK(refuses(with([](QueueOptions& o) { o.block_for = 4s; }), "block_for"));
    CHECK(refuses(with([](QueueOptions& o) { o.max_failures = 5; }), "max_failures"));
    CHECK(refuses(with([](QueueOptions& o) { o.max_attempts = 6; }), "max_attempts"));
    CHECK(refuses(with([](QueueOptions& o) { o.backoff.factor = 6; }), "backoff"));
    CHECK(refuses(with([](QueueOptions& o) { o.dead_capacity = 8; }), "dead_capacity"));
    CHECK(refuses(with([](QueueOptions& o) { o.dead_capacity.reset(); }), "dead_capacity"));
    CHECK(orders.options() == made);
    CHECK(broker.stats().queues == 1);
}

TEST_CASE_FIXTURE(OnClock, "a removed queue is closed, and its name free again [8]") {
    auto orders = broker.queue("orders", {.lease = 10s});
    REQUIRE(orders.publish("leased"));
    REQUIRE(orders.publish("ready"));
    REQUIRE(orders.publish("delayed", {.delay = 1s}));
    auto delivery = orders.try_fetch();
    REQUIRE(delivery);
    CHECK(broker.remove("orders"));
    CHECK_FALSE(broker.remove("orders"));
    CHECK_FALSE(broker.find_queue("orders"));

    CHECK(orders.publish("late") == Errc::closed);
    CHECK(orders.try_fetch() == Errc::closed);
    CHECK(delivery->ack() == Errc::closed);
    CHECK(delivery->body() == "leased");
    clock.advance(10s);
    broker.poll();
    CHECK(orders.stats().purged == 3);
    CHECK(orders.stats().held() == 0);

    auto again = broker.queue("orders", {.lease = 1s});
    CHECK(again.size() == 0);
    REQUIRE(again.publish("new"));
    CHECK(orders.try_fetch() == Errc::closed);
    CHECK(support::work_off(again) == std::vector<std::string>{"new"});
    // What the removed queue counted stays in the sums.
    CHECK(broker.stats().queues == 1);
    CHECK(broker.stats().messages.accepted == 4);
    CHECK(broker.stats().messages.purged == 3);
    CHECK(support::conserved(broker.stats().messages));
    support::check_sound(again);
}

TEST_CASE_FIXTURE(OnClock, "the stats of a broker are the sums of its queues [4.1]") {
    CHECK(broker.stats().queues == 0);
    CHECK(broker.stats().messages == latchbox::QueueStats{});
    auto a = broker.queue("a");
    auto b = broker.queue("b");
    for (int i = 0; i < 3; ++i) { REQUIRE(a.publish("a")); }
    REQUIRE(b.publish("b"));
    CHECK(a.pop());
    auto leased = b.try_fetch();
    latchbox::QueueStats sum = a.stats();
    sum += b.stats();
    CHECK(broker.stats().messages == sum);
    CHECK(broker.stats().messages.accepted == 4);
    CHECK(broker.stats().messages.leased == 1);
}

TEST_CASE_FIXTURE(OnClock, "poll does what is due and tells when to come again [7.4]") {
    CHECK(broker.poll().is_never());
    auto a = broker.queue("a", {.lease = 10s});
    auto b = broker.queue("b", {.lease = 4s});
    REQUIRE(a.publish("a", {.delay = 7s}));
    REQUIRE(b.publish("b"));
    CHECK(broker.poll() == Instant{7s});
    const auto leased = b.try_fetch();
    CHECK(broker.poll() == Instant{4s});
    REQUIRE(a.publish("e", {.expires_in = 2s}));
    CHECK(broker.poll() == Instant{2s});
    clock.advance(4s);
    CHECK(broker.poll() == Instant{7s});
    CHECK(a.stats().expired == 1);
    CHECK(b.stats().leases_run_out == 1);
    clock.advance(3s);
    CHECK(broker.poll().is_never());
    CHECK(a.stats().ready == 1);
}

TEST_CASE_FIXTURE(OnClock, "what is settled is not due any more [7.4]") {
    auto a = broker.queue("a", {.lease = 10s});
    REQUIRE(a.publish("a"));
    auto leased = a.try_fetch();
    REQUIRE(leased);
    CHECK(broker.poll() == Instant{10s});
    REQUIRE(leased->extend(20s));
    CHECK(broker.poll() == Instant{20s});
    REQUIRE(leased->ack());
    CHECK(broker.poll().is_never());
}

TEST_CASE_FIXTURE(OnClock, "a broker keeps a copy of its tag") {
    CHECK(broker.tag() == "kitchen");
    std::string tag = "of the moment";
    const Texts other{{.tag = tag}};
    tag = "changed";
    CHECK(other.tag() == "of the moment");
    CHECK(Texts{}.tag().empty());
}

TEST_CASE("a broker without a clock of its own goes by the steady one") {
    Texts broker;
    auto orders = broker.queue("orders", {.lease = 1h});
    latchbox::SteadyClock clock;
    REQUIRE(orders.publish("tea"));
    const Instant before = clock.now();
    auto delivery = orders.try_fetch();
    const Instant after = clock.now();
    REQUIRE(delivery);
    // Never early, and late by a coarse glance at most.
    CHECK(delivery->deadline() >= before + 1h);
    CHECK(delivery->deadline() <= after + 1h + 1s);
    CHECK(delivery->ack());
}

TEST_CASE("queues come with a broker that is constant, too") {
    latchbox::ManualClock clock;
    const Texts broker{{.clock = &clock}};
    const auto orders = broker.queue("orders");
    REQUIRE(orders.publish("tea"));
    CHECK(broker.find_queue("orders")->size() == 1);
    CHECK(broker.stats().messages.ready == 1);
}

TEST_CASE("a queue handle made after close answers closed, and so does one after another [7.5]") {
    latchbox::ManualClock clock;
    Texts broker{{.clock = &clock}};
    broker.close();
    const auto late = broker.queue("late");
    CHECK(late.publish("a") == Errc::closed);
    CHECK(late.try_fetch() == Errc::closed);
    CHECK(late.pop_all() == Errc::closed);
    CHECK(late.purge() == 0);
    CHECK(late.dead_letters().size() == 0);
    CHECK_FALSE(broker.remove("late"));
    CHECK(broker.poll().is_never());
}

TEST_CASE("one thread alone has a broker without waiting calls") {
    latchbox::ManualClock clock;
    latchbox::Broker<int, latchbox::SingleThread> broker{{.clock = &clock}};
    CHECK(refuses([&] { return broker.queue("q", {.overflow = latchbox::Overflow::block}); },
                  "overflow"));
    auto orders = broker.queue("orders", {.lease = 10s});
    REQUIRE(orders.publish(1));
    REQUIRE(orders.publish(2, {.delay = 3s}));
    auto delivery = orders.try_fetch();
    REQUIRE(delivery);
    CHECK(broker.poll() == Instant{3s});
    clock.advance(10s);
    CHECK(delivery->ack() == Errc::lease_lost);
    CHECK(orders.pop().value() == 2);
    CHECK(orders.pop().value() == 1);
    support::check_sound(orders);
    CHECK(broker.close().left() == 0);
}

template <class B>
concept drains = requires(B& broker) { broker.drain(1s); };
static_assert(drains<Texts>);
static_assert(!drains<latchbox::Broker<int, latchbox::SingleThread>>, "nobody else can finish");

}  // namespace
