// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <atomic>
#include <chrono>
#include <functional>
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

#include "support/message_kinds.hpp"
#include "support/sound.hpp"
#include "support/watched_threads.hpp"

// Who handles a delivery learns by its token that the lease is over, however that came.
namespace {

using namespace std::chrono_literals;
using latchbox::Errc;
using support::error_of;
using support::WatchedThreads;

template <class Platform> struct Leased {
    using Delivery = latchbox::Delivery<std::string, Platform>;

    latchbox::ManualClock clock;
    latchbox::Broker<std::string, Platform> broker{{.clock = &clock}};
    latchbox::Queue<std::string, Platform> q = broker.queue("q", {.lease = 10s});

    ~Leased() {
        support::check_sound(q);
        CHECK(support::conserved(broker.stats().messages));
    }
    Delivery hold(const char* body = "a") {
        REQUIRE(q.publish(body));
        auto delivery = q.try_fetch();
        REQUIRE(delivery);
        return std::move(*delivery);
    }
};
using Plain = Leased<latchbox::Threads>;
using Watched = Leased<WatchedThreads>;

static_assert(std::is_same_v<decltype(std::declval<const latchbox::Delivery<int>&>().lease_token()),
                             latchbox::Threads::StopToken>);

TEST_CASE_FIXTURE(Plain, "the token of a live lease is not stopped, and always the same [7.7]") {
    auto delivery = hold();
    const auto token = delivery.lease_token();
    CHECK(token.stop_possible());
    CHECK_FALSE(token.stop_requested());
    CHECK(delivery.lease_token() == token);
    clock.advance(10s - 1ns);
    broker.poll();
    CHECK_FALSE(token.stop_requested());
    CHECK(delivery.lease_token() == token);
}

TEST_CASE_FIXTURE(Plain, "every verb that settles stops the token [7.7]") {
    auto delivery = hold();
    const auto token = delivery.lease_token();
    int called = 0;
    const std::stop_callback count{token, [&] { ++called; }};
    SUBCASE("ack") { CHECK(delivery.ack()); }
    SUBCASE("release") { CHECK(delivery.release()); }
    SUBCASE("requeue") { CHECK(delivery.requeue()); }
    SUBCASE("requeue, later") { CHECK(delivery.requeue(1s)); }
    SUBCASE("fail") { CHECK(delivery.fail("no")); }
    SUBCASE("reject") { CHECK(delivery.reject("no")); }
    SUBCASE("take") { CHECK(delivery.take()); }
    SUBCASE("ack_batch") {
        std::vector<Delivery> one;
        one.push_back(std::move(delivery));
        CHECK(q.ack_batch(one) == 1);
        delivery = std::move(one.front());
    }
    CHECK(token.stop_requested());
    CHECK(called == 1);
    CHECK(delivery.lease_token().stop_requested());
}

TEST_CASE_FIXTURE(Plain, "settling by receipt stops the token, from wherever [7.7] [4.2]") {
    auto delivery = hold();
    const auto token = delivery.lease_token();
    const auto receipt = delivery.receipt();
    SUBCASE("ack") { CHECK(q.ack(receipt)); }
    SUBCASE("release") { CHECK(q.release(receipt)); }
    SUBCASE("requeue") { CHECK(q.requeue(receipt)); }
    SUBCASE("fail") { CHECK(q.fail(receipt)); }
    SUBCASE("reject") { CHECK(q.reject(receipt)); }
    CHECK(token.stop_requested());
    CHECK(delivery.lease_lost());
    CHECK(delivery.lease_token().stop_requested());
    CHECK(delivery.ack() == Errc::lease_lost);
}

TEST_CASE_FIXTURE(Plain, "a detached lease goes on, and so does its token [7.7]") {
    auto delivery = hold();
    const auto token = delivery.lease_token();
    const auto receipt = std::move(delivery).detach();
    CHECK_FALSE(token.stop_requested());
    CHECK(delivery.lease_token().stop_requested());  // NOLINT: of a detached handle
    CHECK(q.ack(receipt));
    CHECK(token.stop_requested());
}

TEST_CASE_FIXTURE(Plain, "an abandoned delivery stops its token [7.7] [4.7]") {
    std::optional<Delivery> delivery = hold();
    const auto token = delivery->lease_token();
    delivery.reset();
    CHECK(token.stop_requested());
    CHECK(q.stats().abandoned == 1);
}

TEST_CASE_FIXTURE(Plain, "a lease that runs out stops its token at that instant [7.7] [4.3]") {
    const auto delivery = hold();
    const auto token = delivery.lease_token();
    clock.advance(10s - 1ns);
    broker.poll();
    CHECK_FALSE(token.stop_requested());
    clock.advance(1ns);
    SUBCASE("found by poll") { broker.poll(); }
    SUBCASE("found by a call on the queue") { static_cast<void>(q.stats()); }
    SUBCASE("found by a call on another queue") {
        CHECK(broker.queue("other").try_fetch() == Errc::empty);
    }
    SUBCASE("found by whoever asks") { CHECK(delivery.lease_token().stop_requested()); }
    CHECK(token.stop_requested());
}

TEST_CASE_FIXTURE(Plain, "asked for once the lease is over, it is stopped already [7.7] [4.3]") {
    const auto delivery = hold();
    clock.advance(10s);
    CHECK(delivery.lease_token().stop_requested());
    const auto again = q.try_fetch();
    REQUIRE(again);
    CHECK_FALSE(again->lease_token().stop_requested());
    CHECK(delivery.lease_token().stop_requested());
}

TEST_CASE_FIXTURE(Plain, "extend moves the end of the token, too [7.7]") {
    auto delivery = hold();
    const auto token = delivery.lease_token();
    clock.advance(5s);
    SUBCASE("by handle") { REQUIRE(delivery.extend(20s)); }
    SUBCASE("by receipt") { REQUIRE(q.extend(delivery.receipt(), 20s)); }
    CHECK(delivery.lease_token() == token);
    clock.advance(20s - 1ns);
    broker.poll();
    CHECK_FALSE(token.stop_requested());
    clock.advance(1ns);
    broker.poll();
    CHECK(token.stop_requested());
}

TEST_CASE_FIXTURE(Plain, "a verb that is refused stops nothing [7.7]") {
    auto delivery = hold();
    const auto token = delivery.lease_token();
    CHECK(delivery.requeue(-1s) == Errc::invalid_option);
    CHECK(delivery.extend(-1s) == Errc::invalid_option);
    CHECK(q.ack(latchbox::Receipt{}) == Errc::unknown_message);
    CHECK(q.cancel(delivery.id()) == Errc::leased);
    CHECK(q.purge() == 0);
    CHECK_FALSE(token.stop_requested());
    CHECK(delivery.ack());
}

TEST_CASE_FIXTURE(Plain, "the token ends with queue, broker or drain [7.7] [7.5]") {
    const auto other = broker.queue("other", {.lease = 1h});
    REQUIRE(other.publish("b"));
    const auto delivery = other.try_fetch();
    REQUIRE(delivery);
    const auto token = delivery->lease_token();
    int called = 0;
    const std::stop_callback count{token, [&] { ++called; }};
    SUBCASE("removed") { CHECK(broker.remove("other")); }
    SUBCASE("closed") { broker.close(); }
    SUBCASE("drained, in no time") { CHECK(broker.drain(0s).leased == 1); }
    CHECK(token.stop_requested());
    CHECK(called == 1);
    CHECK(delivery->lease_lost());
    CHECK(delivery->lease_token().stop_requested());
    broker.close();
    CHECK(called == 1);
    CHECK(delivery->body() == "b");
}

TEST_CASE("the token ends with the broker, and outlives all [7.7] [4.8]") {
    latchbox::ManualClock clock;
    std::optional<latchbox::Broker<int>> broker{std::in_place,
                                                latchbox::BrokerOptions{.clock = &clock}};
    std::optional<latchbox::Queue<int>> q = broker->queue("q");
    REQUIRE(q->publish(1));
    std::optional<latchbox::Delivery<int>> delivery = q->try_fetch().value();
    const auto token = delivery->lease_token();
    broker.reset();
    CHECK(token.stop_requested());
    CHECK(delivery->lease_token().stop_requested());
    delivery.reset();
    q.reset();
    CHECK(token.stop_requested());
}

TEST_CASE_FIXTURE(Plain, "of a moved-from delivery it is stopped, the moved-to has it [7.7]") {
    auto first = hold();
    const auto token = first.lease_token();
    auto second = std::move(first);
    CHECK(first.lease_token().stop_requested());  // NOLINT: of a moved-from handle
    CHECK_FALSE(token.stop_requested());
    CHECK(second.lease_token() == token);
    auto third = hold("b");
    const auto thirds = third.lease_token();
    second = std::move(third);  // abandons the first
    CHECK(token.stop_requested());
    CHECK_FALSE(thirds.stop_requested());
    CHECK(second.lease_token() == thirds);
    CHECK(second.ack());
    CHECK(thirds.stop_requested());
}

TEST_CASE_FIXTURE(Plain, "each lease has its own token [7.7] [4.2]") {
    std::vector<Delivery> held;
    std::vector<latchbox::Threads::StopToken> tokens;
    for (int i = 0; i < 50; ++i) {
        held.push_back(hold());
        if (i % 2 == 0) { tokens.push_back(held.back().lease_token()); }
    }
    for (std::size_t i = 0; i < tokens.size(); ++i) {
        CHECK_FALSE(tokens[i].stop_requested());
        CHECK(held[2 * i].ack());
        CHECK(tokens[i].stop_requested());
    }
    // The places of those gone serve again.
    auto again = hold();
    CHECK_FALSE(again.lease_token().stop_requested());
    CHECK(again.ack());
}

TEST_CASE_FIXTURE(Plain, "the copies of one message have tokens of their own [7.7] [6.2]") {
    auto a = broker.subscribe("s");
    const auto b = broker.subscribe("s");
    auto late = broker.subscribe("s");
    REQUIRE(broker.topic("s").publish("m"));
    auto in_a = a.try_fetch();
    auto in_b = b.try_fetch();
    auto in_late = late.try_fetch();
    const auto token_a = in_a->lease_token();
    const auto token_b = in_b->lease_token();
    const auto token_late = in_late->lease_token();
    a.unsubscribe();
    CHECK(token_a.stop_requested());
    CHECK_FALSE(token_b.stop_requested());
    { const auto gone = std::move(late); }
    CHECK(token_late.stop_requested());
    CHECK_FALSE(token_b.stop_requested());
    CHECK(in_b->ack());
    CHECK(token_b.stop_requested());
}

TEST_CASE_FIXTURE(Plain, "who shares a group may leave with his deliveries in hand [7.7] [6.2]") {
    auto one = broker.subscribe("s", {.group = "g", .durable = true});
    const auto other = broker.subscribe("s", {.group = "g", .durable = true});
    REQUIRE(broker.topic("s").publish("m"));
    auto held = one.try_fetch();
    REQUIRE(held);
    const auto token = held->lease_token();
    one.unsubscribe();
    // However a leaver's lease is seen, the token and the verbs must tell the same.
    CHECK(token.stop_requested() == held->lease_lost());
    const bool lost = held->lease_lost();
    CHECK(held->ack().has_value() != lost);
    CHECK(token.stop_requested());
}

// --- what may be done in a callback ----------------------------------------------------------

TEST_CASE_FIXTURE(Plain, "a callback runs under no lock, after the fact [7.7] [4.10]") {
    auto delivery = hold();
    const auto token = delivery.lease_token();
    REQUIRE(q.publish("next"));
    int called = 0;
    const auto end = [&] {
        ++called;
        CHECK(delivery.lease_lost());
        CHECK(delivery.lease_token().stop_requested());
        const auto stats = q.stats();
        CHECK(stats.leased == 0);
        CHECK(support::conserved(stats));
        REQUIRE(broker.queue("other").publish("from the callback"));
        static_cast<void>(broker.stats());
        broker.poll();
        if (auto next = q.try_fetch()) { CHECK(next->release()); }
    };
    const std::stop_callback<std::function<void()>> callback{token, end};
    SUBCASE("acked by receipt") { CHECK(q.ack(delivery.receipt())); }
    SUBCASE("ran out") {
        clock.advance(10s);
        broker.poll();
    }
    SUBCASE("ran out, found by a fetch") {
        clock.advance(10s);
        CHECK(q.try_fetch());
    }
    SUBCASE("ran out, found by a publish") {
        clock.advance(10s);
        CHECK(q.publish("x"));
    }
    CHECK(called == 1);
    CHECK(broker.queue("other").size() == 1);
}

enum class Act { close, drain, remove };
enum class End { acked, ran_out, closed };

TEST_CASE("a callback may close, remove or drain [7.7] [4.10] [7.5]") {
    for (const Act act : {Act::close, Act::drain, Act::remove}) {
        for (const End end : {End::acked, End::ran_out, End::closed}) {
            Plain world;
            auto delivery = world.hold();
            auto second = world.hold("b");
            const auto token = delivery.lease_token();
            const auto seconds = second.lease_token();
            int called = 0;
            const std::stop_callback<std::function<void()>> callback{
                token, [&] {
                    ++called;
                    if (act == Act::close) { world.broker.close(); }
                    if (act == Act::drain) { world.broker.drain(0s); }
                    if (act == Act::remove) { static_cast<void>(world.broker.remove("q")); }
                }};
            if (end == End::acked) { CHECK(delivery.ack()); }
            if (end == End::ran_out) {
                world.clock.advance(10s);
                world.broker.poll();
            }
            if (end == End::closed) { world.broker.close(); }
            CHECK(called == 1);
            CHECK(token.stop_requested());
            CHECK(seconds.stop_requested());
            CHECK(second.ack() == Errc::closed);
            CHECK(world.q.publish("x") == Errc::closed);
        }
    }
}

TEST_CASE_FIXTURE(Plain, "callbacks of many leases that end together are all called [7.7] [4.3]") {
    std::vector<Delivery> held;
    std::vector<std::unique_ptr<std::stop_callback<std::function<void()>>>> callbacks;
    int called = 0;
    for (int i = 0; i < 100; ++i) {
        held.push_back(hold());
        callbacks.push_back(std::make_unique<std::stop_callback<std::function<void()>>>(
            held.back().lease_token(), [&] {
                ++called;
                static_cast<void>(q.stats());
            }));
    }
    SUBCASE("by time") {
        clock.advance(10s);
        broker.poll();
        CHECK(q.stats().leases_run_out == 100);
    }
    SUBCASE("by close") { broker.close(); }
    SUBCASE("by removal") { CHECK(broker.remove("q")); }
    SUBCASE("by ack_batch") { CHECK(q.ack_batch(held) == 100); }
    CHECK(called == 100);
}

TEST_CASE_FIXTURE(Plain, "a callback may settle the other deliveries [7.7] [4.10]") {
    std::vector<Delivery> held;
    for (int i = 0; i < 10; ++i) { held.push_back(hold()); }
    std::vector<std::unique_ptr<std::stop_callback<std::function<void()>>>> callbacks;
    for (std::size_t i = 0; i + 1 < held.size(); ++i) {
        callbacks.push_back(std::make_unique<std::stop_callback<std::function<void()>>>(
            held[i].lease_token(), [&held, i] { held[i + 1].ack(); }));
    }
    CHECK(held.front().ack());
    CHECK(q.stats().completed == 10);
}

TEST_CASE_FIXTURE(Plain, "a callback may drop the last hold of its own delivery [7.7] [4.8]") {
    auto delivery = std::make_unique<Delivery>(hold());
    const auto token = delivery->lease_token();
    const auto receipt = delivery->receipt();
    const std::stop_callback<std::function<void()>> callback{token, [&] { delivery.reset(); }};
    SUBCASE("acked by receipt") { CHECK(q.ack(receipt)); }
    SUBCASE("ran out") {
        clock.advance(10s);
        broker.poll();
    }
    SUBCASE("closed") { broker.close(); }
    CHECK_FALSE(delivery);
    CHECK(token.stop_requested());
}

// --- with threads ----------------------------------------------------------------------------

TEST_CASE_FIXTURE(Watched, "who sleeps in a call sees to the tokens of others [7.7] [4.9]") {
    const auto delivery = hold();
    const auto token = delivery.lease_token();
    std::optional<std::thread::id> ended_by;
    const std::stop_callback<std::function<void()>> callback{
        token, [&] { ended_by = std::this_thread::get_id(); }};
    Errc outcome{};
    std::thread sleeper{[&] { outcome = error_of(broker.queue("other").fetch_for(1min)); }};
    const auto sleeper_id = sleeper.get_id();
    WatchedThreads::until_asleep(1);
    clock.advance(10s);
    // Nobody calls here: the sleeper alone can have noticed.
    while (!token.stop_requested()) { std::this_thread::yield(); }
    WatchedThreads::until_asleep(1);
    broker.close();
    sleeper.join();
    CHECK(outcome == Errc::closed);
    CHECK(ended_by == sleeper_id);
}

TEST_CASE_FIXTURE(Watched, "a wait may end with the lease in whose name it waits [7.7] [4.9]") {
    const auto delivery = hold();
    Errc outcome{};
    std::thread waiting{
        [&] { outcome = error_of(broker.queue("other").fetch(delivery.lease_token())); }};
    WatchedThreads::until_asleep(1);
    SUBCASE("by time, seen by the waiter itself") { clock.advance(10s); }
    SUBCASE("by time, seen by another") {
        clock.advance(10s);
        broker.poll();
    }
    SUBCASE("by an ack") { CHECK(q.ack(delivery.receipt())); }
    SUBCASE("by the queue's end") { CHECK(broker.remove("q")); }
    waiting.join();
    CHECK(outcome == Errc::cancelled);
    CHECK(broker.queue("other").try_fetch() == Errc::empty);
}

TEST_CASE_FIXTURE(Watched, "a publish that waits for room ends with the lease, too [7.7] [7.2]") {
    const auto full = broker.queue("full", {.capacity = 1, .overflow = latchbox::Overflow::block});
    REQUIRE(full.publish("x"));
    const auto delivery = hold();
    Errc outcome{};
    std::thread waiting{
        [&] { outcome = error_of(full.publish("y", {.block_for = 1h}, delivery.lease_token())); }};
    WatchedThreads::until_asleep(1);
    clock.advance(10s);
    waiting.join();
    CHECK(outcome == Errc::cancelled);
    CHECK(full.size() == 1);
}

TEST_CASE("a token asked for while another thread settles is stopped in the end [7.7] [4.2]") {
    latchbox::Broker<int> broker;
    const auto q = broker.queue("q", {.lease = 1h});
    for (int i = 0; i < 500; ++i) {
        REQUIRE(q.publish(i));
        const auto delivery = q.try_fetch();
        REQUIRE(delivery);
        const auto receipt = delivery->receipt();
        std::atomic<bool> go{false};
        std::thread other{[&] {
            while (!go) { std::this_thread::yield(); }
            q.ack(receipt);
        }};
        go = true;
        const auto token = delivery->lease_token();
        other.join();
        REQUIRE(token.stop_requested());
        REQUIRE(delivery->lease_token().stop_requested());
    }
    support::check_sound(q);
}

TEST_CASE("where there is no stop token, none is ever stopped [7.7]") {
    latchbox::ManualClock clock;
    latchbox::Broker<int, latchbox::SingleThread> broker{{.clock = &clock}};
    const auto q = broker.queue("q");
    REQUIRE(q.publish(1));
    auto delivery = q.try_fetch();
    REQUIRE(delivery);
    static_assert(
        std::is_same_v<decltype(delivery->lease_token()), latchbox::SingleThread::StopToken>);
    CHECK_FALSE(delivery->lease_token().stop_requested());
    CHECK(delivery->ack());
    CHECK_FALSE(delivery->lease_token().stop_requested());
}

}  // namespace
