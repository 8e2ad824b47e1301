// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/consumer.hpp"

#include <atomic>
#include <chrono>
#include <memory>
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
using latchbox::Receipt;
using support::error_of;
using support::WatchedThreads;

template <class Platform> struct Consuming {
    latchbox::ManualClock clock;
    latchbox::Broker<std::string, Platform> broker{{.clock = &clock}};
    latchbox::Queue<std::string, Platform> orders = broker.queue("orders", {.lease = 10s});
    // Every member of a consumer is const.
    const latchbox::Consumer<std::string, Platform>& consumer = orders;
    using Deliveries = std::vector<latchbox::Delivery<std::string, Platform>>;

    void publish(const std::string& bodies) const {
        for (const char body : bodies) { REQUIRE(orders.publish(std::string(1, body))); }
    }
    ~Consuming() { support::check_sound(orders); }
};
using Plain = Consuming<latchbox::Threads>;
using Watched = Consuming<WatchedThreads>;

TEST_CASE_FIXTURE(Plain, "a consumer settles by receipt as a delivery does [8]") {
    publish("a");
    const Receipt receipt = consumer.try_fetch().value().detach();
    CHECK(consumer.stats().leased == 1);
    SUBCASE("ack") {
        CHECK(consumer.ack(receipt));
        CHECK(consumer.stats().completed == 1);
    }
    SUBCASE("release") {
        CHECK(consumer.release(receipt));
        CHECK(consumer.stats().released == 1);
    }
    SUBCASE("requeue") {
        CHECK(consumer.requeue(receipt, 1s));
        CHECK(consumer.stats().delayed == 1);
    }
    SUBCASE("fail") {
        CHECK(consumer.fail(receipt, "no"));
        CHECK(consumer.stats().failed == 1);
    }
    SUBCASE("reject") {
        CHECK(consumer.reject(receipt, "no"));
        CHECK(consumer.stats().dead == 1);
    }
    SUBCASE("extend, then ack") {
        CHECK(consumer.extend(receipt, 30s));
        clock.advance(30s - 1ns);
        CHECK(consumer.ack(receipt));
    }
    const latchbox::QueueStats before = consumer.stats();
    CHECK(consumer.ack(receipt) == Errc::lease_lost);
    CHECK(consumer.release(receipt) == Errc::lease_lost);
    CHECK(consumer.requeue(receipt) == Errc::lease_lost);
    CHECK(consumer.fail(receipt) == Errc::lease_lost);
    CHECK(consumer.reject(receipt) == Errc::lease_lost);
    CHECK(consumer.extend(receipt, 1s) == Errc::lease_lost);
    CHECK(consumer.stats() == before);
}

TEST_CASE_FIXTURE(Plain, "negative durations are refused and change nothing [7.6]") {
    publish("ab");
    auto delivery = consumer.try_fetch();
    REQUIRE(delivery);
    const latchbox::QueueStats before = consumer.stats();
    CHECK(consumer.fetch_for(-1ns) == Errc::invalid_option);
    CHECK(consumer.requeue(delivery->receipt(), -1ns) == Errc::invalid_option);
    CHECK(consumer.extend(delivery->receipt(), -1ns) == Errc::invalid_option);
    CHECK(delivery->requeue(-1ns) == Errc::invalid_option);
    typename Plain::Deliveries out;
    CHECK(consumer.fetch_batch(out, 1, -1ns) == Errc::invalid_option);
    CHECK(out.empty());
    CHECK(consumer.stats() == before);
    CHECK(delivery->ack());
}

TEST_CASE_FIXTURE(Plain, "a batch is fetched as single messages are, up to its size [O5] [4.4]") {
    publish("abcde");
    Deliveries out;
    out.push_back(consumer.try_fetch().value());
    CHECK(consumer.fetch_batch(out, 0).value() == 0);
    CHECK(consumer.fetch_batch(out, 3).value() == 3);
    CHECK(consumer.fetch_batch(out, 3).value() == 1);
    CHECK(consumer.fetch_batch(out, 3) == Errc::empty);
    CHECK(consumer.fetch_batch(out, 0).value() == 0);
    std::string order;
    for (const auto& delivery : out) { order += delivery.body(); }
    CHECK(order == "abcde");
    CHECK(consumer.stats().leased == 5);

    REQUIRE(out[1].release());
    REQUIRE(out[2].ack());
    clock.advance(1s);
    CHECK(consumer.ack_batch(out) == 3);
    CHECK(consumer.ack_batch(out) == 0);
    CHECK(consumer.stats().completed == 4);
    CHECK(consumer.stats().ready == 1);
}

TEST_CASE_FIXTURE(Plain, "a batch acks what is still leased, and only that [4.2]") {
    publish("abc");
    Deliveries out;
    REQUIRE(consumer.fetch_batch(out, 3).value() == 3);
    REQUIRE(out[1].extend(20s));
    clock.advance(10s);
    CHECK(consumer.ack_batch(out) == 1);
    CHECK(consumer.stats().completed == 1);
    CHECK(consumer.stats().ready == 2);
    CHECK(out[0].ack() == Errc::lease_lost);
    CHECK(out[1].ack() == Errc::already_settled);
}

TEST_CASE_FIXTURE(Plain, "a batch does not ack the deliveries of another queue [4.2]") {
    auto other = broker.queue("other");
    REQUIRE(other.publish("theirs"));
    publish("a");
    Deliveries out;
    REQUIRE(consumer.fetch_batch(out, 1).value() == 1);
    REQUIRE(other.fetch_batch(out, 1).value() == 1);
    CHECK(consumer.ack_batch(out) == 1);
    CHECK(other.stats().leased == 1);
    CHECK(out[1].ack());
    support::check_sound(other);
}

TEST_CASE_FIXTURE(Plain, "pop fetches and acks in one step [8]") {
    publish("abcd");
    CHECK(consumer.pop().value() == "a");
    CHECK(consumer.stats().completed == 1);
    CHECK(consumer.pop_all().value() == std::vector<std::string>{"b", "c", "d"});
    CHECK(consumer.stats().completed == 4);
    CHECK(consumer.pop() == Errc::empty);
    const auto nothing = consumer.pop_all();
    REQUIRE(nothing);
    CHECK(nothing->empty());
}

TEST_CASE_FIXTURE(Plain, "pop_all takes what is ready and nothing else") {
    publish("ab");
    REQUIRE(orders.publish("later", {.delay = 1s}));
    REQUIRE(orders.publish("first", {.priority = 1}));
    auto held = consumer.try_fetch();
    REQUIRE(held);
    CHECK(held->body() == "first");
    CHECK(consumer.pop_all().value() == std::vector<std::string>{"a", "b"});
    CHECK(consumer.stats().delayed == 1);
    CHECK(consumer.stats().leased == 1);
    CHECK_FALSE(held->lease_lost());
}

TEST_CASE("pop leaves a body that another reads and that cannot be copied [8]") {
    latchbox::ManualClock clock;
    latchbox::Broker<std::unique_ptr<int>> broker{{.clock = &clock}};
    auto orders = broker.queue("orders", {.lease = 10s});
    REQUIRE(orders.publish(std::make_unique<int>(7)));
    auto late = orders.try_fetch();
    REQUIRE(late);
    clock.advance(10s);
    CHECK(orders.pop() == Errc::body_shared);
    CHECK(orders.stats().ready == 1);
    CHECK(*late->body() == 7);
    late = Errc::empty;
    CHECK(*orders.pop().value() == 7);
    support::check_sound(orders);
}

TEST_CASE_FIXTURE(Plain, "a message not held can be cancelled, once [3]") {
    const auto ready = orders.publish("ready").value();
    const auto delayed = orders.publish("delayed", {.delay = 1s}).value();
    const auto leased = orders.publish("leased", {.priority = 1}).value();
    auto delivery = consumer.try_fetch();
    REQUIRE(delivery);
    CHECK(delivery->id() == leased);
    const auto dead = orders.publish("dead", {.priority = 2}).value();
    REQUIRE(consumer.reject(consumer.try_fetch().value().detach()));

    CHECK(consumer.cancel(leased) == Errc::leased);
    CHECK(consumer.cancel(ready));
    CHECK(consumer.cancel(delayed));
    CHECK(consumer.cancel(dead));
    CHECK(consumer.cancel(ready) == Errc::unknown_message);
    CHECK(consumer.cancel(latchbox::MessageId{}) == Errc::unknown_message);
    CHECK(consumer.stats().cancelled == 3);
    CHECK_FALSE(delivery->lease_lost());
    CHECK(delivery->ack());
    CHECK(consumer.cancel(leased) == Errc::unknown_message);
    CHECK(consumer.size() == 0);
}

TEST_CASE_FIXTURE(Plain, "a message of another queue cannot be cancelled here [4.2]") {
    auto other = broker.queue("other");
    const auto theirs = other.publish("theirs");
    REQUIRE(theirs);
    publish("a");
    CHECK(consumer.cancel(*theirs) == Errc::unknown_message);
    CHECK(other.size() == 1);
    CHECK(consumer.size() == 1);
}

TEST_CASE_FIXTURE(Plain, "purge removes what is ready and delayed, and nothing else [3]") {
    publish("dl");
    REQUIRE(consumer.reject(consumer.try_fetch().value().detach()));
    auto leased = consumer.try_fetch();
    REQUIRE(leased);
    publish("ab");
    REQUIRE(orders.publish("later", {.delay = 1s}));
    CHECK(consumer.purge() == 3);
    CHECK(consumer.purge() == 0);
    CHECK(consumer.stats().purged == 3);
    CHECK(consumer.stats().leased == 1);
    CHECK(consumer.stats().dead == 1);
    CHECK(leased->ack());
}

TEST_CASE_FIXTURE(Plain, "a consumer knows its queue's name and how much it holds") {
    CHECK(consumer.name() == "orders");
    CHECK(consumer.size() == 0);
    publish("abc");
    auto leased = consumer.try_fetch();
    REQUIRE(orders.publish("later", {.delay = 1s}));
    CHECK(consumer.size() == 4);
}

// What workers, coroutines and a bridge build on: a handle of its own, that only consumes.
template <class Consumer> std::string pop_through_a_copy(const Consumer& consumer) {
    if constexpr (std::is_copy_constructible_v<Consumer>) {
        const Consumer copy = consumer;
        return copy.pop().value();
    }
    return "it cannot be copied";
}
TEST_CASE_FIXTURE(Plain, "a consumer is copied cheaply, and the copy is the same queue [8]") {
    using C = latchbox::Consumer<std::string>;
    publish("a");
    CHECK(pop_through_a_copy<C>(orders) == "a");
    CHECK(std::is_nothrow_copy_constructible_v<C>);
    CHECK(std::is_nothrow_copy_assignable_v<C>);
}

TEST_CASE_FIXTURE(Plain, "fetch_for of no time is over at once [misuse 5] [7.6]") {
    CHECK(consumer.fetch_for(0s) == Errc::timed_out);
    publish("a");
    auto delivery = consumer.fetch_for(0s);
    REQUIRE(delivery);
    CHECK(delivery->body() == "a");
}

TEST_CASE_FIXTURE(Watched, "a publish wakes who waits, and hands the message over [4.9]") {
    std::string got;
    std::thread waiting{[&] {
        auto delivery = consumer.fetch();
        got = delivery->body();
        delivery->ack();
    }};
    WatchedThreads::until_asleep(1);
    publish("a");
    // Handed over: nobody who comes now can have it.
    CHECK(consumer.try_fetch() == Errc::empty);
    waiting.join();
    CHECK(got == "a");
    CHECK(consumer.stats().completed == 1);
}

TEST_CASE_FIXTURE(Watched, "who waited longest is served first [4.9]") {
    std::vector<std::string> got(3);
    std::vector<std::thread> waiting;
    for (std::size_t i = 0; i < got.size(); ++i) {
        waiting.emplace_back([this, &got, i] {
            auto delivery = consumer.fetch_for(1h);
            got[i] = delivery->body();
            delivery->ack();
        });
        WatchedThreads::until_asleep(static_cast<int>(i) + 1);
    }
    publish("abc");
    for (std::thread& thread : waiting) { thread.join(); }
    CHECK(got == std::vector<std::string>{"a", "b", "c"});
}

TEST_CASE_FIXTURE(Watched, "who gives up does not take the next message with him [4.9] [7.7]") {
    std::stop_source stop;
    Errc first{};
    std::string second;
    std::thread leaving{[&] { first = error_of(consumer.fetch(stop.get_token())); }};
    WatchedThreads::until_asleep(1);
    std::thread staying{[&] {
        auto delivery = consumer.fetch();
        second = delivery->body();
        delivery->ack();
    }};
    WatchedThreads::until_asleep(2);
    stop.request_stop();
    leaving.join();
    publish("a");
    staying.join();
    CHECK(first == Errc::cancelled);
    CHECK(second == "a");
}

TEST_CASE_FIXTURE(Watched, "a wait is over at its end, to the tick [4.3]") {
    Errc outcome = Errc::empty;
    std::thread waiting{[&] { outcome = error_of(consumer.fetch_for(1s)); }};
    WatchedThreads::until_asleep(1);
    SUBCASE("a message one tick before it is handed over") {
        clock.advance(1s - 1ns);
        publish("a");
        waiting.join();
        CHECK(outcome == Errc{});
        CHECK(consumer.stats().abandoned == 1);
    }
    SUBCASE("a message at its end stays, whether or not the thread has run") {
        clock.advance(1s);
        publish("a");
        CHECK(consumer.stats().delivered == 0);
        waiting.join();
        CHECK(outcome == Errc::timed_out);
        CHECK(consumer.stats().ready == 1);
    }
}

TEST_CASE_FIXTURE(Watched, "what falls due wakes who waits [4.9] [4.3]") {
    REQUIRE(orders.publish("d", {.delay = 5s}));
    publish("lb");
    Deliveries held;
    REQUIRE(consumer.fetch_batch(held, 2).value() == 2);
    std::string got;
    latchbox::Instant at[3];
    std::thread waiting{[&] {
        for (latchbox::Instant& when : at) {
            auto delivery = consumer.fetch_for(1h);
            when = clock.now();
            got += delivery->body();
            delivery->ack();
        }
    }};
    WatchedThreads::until_asleep(1);
    REQUIRE(held[1].fail("again"));
    clock.advance(100ms);
    while (consumer.stats().completed != 1) { std::this_thread::yield(); }
    WatchedThreads::until_asleep(1);
    clock.advance(5s - 100ms);
    while (consumer.stats().completed != 2) { std::this_thread::yield(); }
    WatchedThreads::until_asleep(1);
    clock.advance(5s);
    waiting.join();
    CHECK(got == "bdl");
    CHECK(at[0] == latchbox::Instant{100ms});
    CHECK(at[1] == latchbox::Instant{5s});
    CHECK(at[2] == latchbox::Instant{10s});
}

TEST_CASE_FIXTURE(Watched, "a batch waits for its first message only [8]") {
    Deliveries out;
    latchbox::Result<std::size_t> fetched{Errc::empty};
    SUBCASE("which comes") {
        std::thread waiting{[&] { fetched = consumer.fetch_batch(out, 5, 1h); }};
        WatchedThreads::until_asleep(1);
        publish("a");
        waiting.join();
        REQUIRE(fetched);
        CHECK(*fetched == 1);
        CHECK(out.front().body() == "a");
    }
    SUBCASE("or does not come in time") {
        std::thread waiting{[&] { fetched = consumer.fetch_batch(out, 5, 1s); }};
        WatchedThreads::until_asleep(1);
        clock.advance(1s);
        waiting.join();
        CHECK(fetched == Errc::timed_out);
        CHECK(out.empty());
    }
    SUBCASE("or was there before") {
        publish("abc");
        fetched = consumer.fetch_batch(out, 2, 1h);
        CHECK(fetched.value() == 2);
    }
    out.clear();
}

TEST_CASE_FIXTURE(Watched, "when who keeps the time leaves, another takes over [4.9]") {
    REQUIRE(orders.publish("due at ten", {.delay = 10s}));
    const auto other = broker.queue("other");
    Errc left{};
    latchbox::Instant at;
    std::thread staying{[&] {
        auto delivery = consumer.fetch_for(1h);
        at = clock.now();
        delivery->ack();
    }};
    WatchedThreads::until_asleep(1);
    std::thread leaving{[&] { left = error_of(other.fetch_for(5s)); }};
    WatchedThreads::until_asleep(2);
    clock.advance(5s);
    leaving.join();
    clock.advance(5s);
    staying.join();
    CHECK(left == Errc::timed_out);
    CHECK(at == latchbox::Instant{10s});
}

TEST_CASE_FIXTURE(Watched, "what falls due in one queue wakes who waits in another [4.9]") {
    const auto other = broker.queue("other", {.lease = 10s, .max_failures = 1});
    Errc outcome{};
    std::thread waiting{[&] {
        auto delivery = other.fetch_for(1h);
        outcome = error_of(delivery);
        if (delivery) { delivery->ack(); }
    }};
    WatchedThreads::until_asleep(1);
    // Falls due earlier than anything the sleeper knew of when it lay down.
    REQUIRE(orders.publish("x", {.expires_in = 2s}));
    REQUIRE(other.publish("y", {.delay = 3s}));
    clock.advance(3s);
    waiting.join();
    CHECK(outcome == Errc{});
    CHECK(orders.stats().expired == 1);
}

// Lower bounds only: how late a thread is woken is up to the system.
TEST_CASE_TEMPLATE("on a clock that moves by itself nothing is early [4.3] [4.9]", C,
                   latchbox::SteadyClock, latchbox::CoarseClock) {
    C clock;
    latchbox::Broker<std::string> broker{{.clock = &clock}};
    const auto orders = broker.queue("orders", {.lease = 2ms});
    latchbox::Instant start = clock.now();
    CHECK(orders.fetch_for(1ms) == Errc::timed_out);
    CHECK(clock.now() >= start + 1ms);

    start = clock.now();
    REQUIRE(orders.publish("later", {.delay = 3ms}));
    auto delivery = orders.fetch();
    REQUIRE(delivery);
    CHECK(clock.now() >= start + 3ms);

    // Left to its lease, it comes again.
    auto again = orders.fetch_for(1h);
    REQUIRE(again);
    CHECK(clock.now() >= delivery->deadline());
    CHECK(again->attempt() == 2);
    CHECK(delivery->lease_lost());
    CHECK(orders.stats().leases_run_out >= 1);
}

TEST_CASE_FIXTURE(Watched, "waiters of a removed queue are told that it is closed [8]") {
    Errc outcome{};
    std::thread waiting{[&] { outcome = error_of(consumer.fetch()); }};
    WatchedThreads::until_asleep(1);
    CHECK(broker.remove("orders"));
    waiting.join();
    CHECK(outcome == Errc::closed);
}

template <class C>
concept waits = requires(const C& consumer) {
    consumer.fetch();
    consumer.fetch_for(1s);
};
static_assert(waits<latchbox::Consumer<int>>);
static_assert(!waits<latchbox::Consumer<int, latchbox::SingleThread>>, "there is nobody else");

TEST_CASE("one thread alone fetches a batch without waiting") {
    latchbox::ManualClock clock;
    latchbox::Broker<int, latchbox::SingleThread> broker{{.clock = &clock}};
    auto orders = broker.queue("orders");
    std::vector<latchbox::Delivery<int, latchbox::SingleThread>> out;
    CHECK(orders.fetch_batch(out, 3) == Errc::empty);
    REQUIRE(orders.publish(1));
    CHECK(orders.fetch_batch(out, 3).value() == 1);
    CHECK(orders.ack_batch(out) == 1);
    support::check_sound(orders);
}

}  // namespace
