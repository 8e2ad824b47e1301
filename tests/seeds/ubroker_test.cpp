// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <atomic>
#include <chrono>
#include <set>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"

#include "support/message_kinds.hpp"
#include "support/sound.hpp"
#include "support/watched_threads.hpp"

// What users of ubroker have: one queue, at least once, settled by id or coming back in time.
namespace {

using namespace std::chrono_literals;
using latchbox::Errc;
using latchbox::MessageId;
using latchbox::Receipt;
using support::error_of;
using support::WatchedThreads;

template <class Platform> struct Fresh {
    latchbox::ManualClock clock;
    latchbox::Broker<std::string, Platform> broker{{.clock = &clock}};
    latchbox::Queue<std::string, Platform> q = broker.queue("q", {.lease = 1h});

    void nothing() const { CHECK(q.try_fetch() == Errc::empty); }
    ~Fresh() { support::check_sound(q); }
};
using FreshQueue = Fresh<latchbox::Threads>;
// For cases that need to know that another thread waits.
using WatchedQueue = Fresh<WatchedThreads>;

TEST_CASE_FIXTURE(WatchedQueue, "U1: a fresh queue has nothing, however long one waits [4.3]") {
    nothing();
    Errc outcome{};
    latchbox::Instant ended;
    std::thread waiting{[&] {
        outcome = error_of(q.fetch_for(100ms));
        ended = clock.now();
    }};
    WatchedThreads::until_asleep(1);
    clock.advance(99ms);
    clock.advance(1ms);
    waiting.join();
    CHECK(outcome == Errc::timed_out);
    CHECK(ended == latchbox::Instant{100ms});
}

TEST_CASE_FIXTURE(FreshQueue, "U2: no receipt is acked [4.2]") {
    CHECK(q.ack(Receipt{}) == Errc::unknown_message);
    CHECK(q.stats() == latchbox::QueueStats{});
}

TEST_CASE_FIXTURE(FreshQueue, "U3: no receipt is requeued [4.2]") {
    CHECK(q.requeue(Receipt{}) == Errc::unknown_message);
    CHECK(q.stats() == latchbox::QueueStats{});
}

TEST_CASE("U4: one message is handed out once") {
    latchbox::ManualClock clock;
    latchbox::Broker<std::string> broker{{.clock = &clock}};
    auto q = broker.queue("q", {.lease = 1s});
    const auto id = q.publish("only");
    REQUIRE(id);
    auto delivery = q.try_fetch();
    REQUIRE(delivery);
    CHECK(delivery->body() == "only");
    CHECK(delivery->id() == *id);
    CHECK(delivery->attempt() == 1);
    CHECK(q.try_fetch() == Errc::empty);
    support::check_sound(q);
}

TEST_CASE_FIXTURE(FreshQueue, "U5: messages come in publish order, each with its own names [4.4]") {
    for (const char* body : {"a", "b", "c"}) { REQUIRE(q.publish(body)); }
    std::string order;
    std::set<MessageId> ids;
    std::set<Receipt> receipts;
    std::vector<latchbox::Delivery<std::string>> held;
    while (auto delivery = q.try_fetch()) {
        order += delivery->body();
        ids.insert(delivery->id());
        receipts.insert(delivery->receipt());
        held.push_back(std::move(*delivery));
    }
    CHECK(order == "abc");
    CHECK(ids.size() == 3);
    CHECK(receipts.size() == 3);
}

TEST_CASE_FIXTURE(FreshQueue, "U6: all handles of one name are one queue") {
    auto again = broker.queue("q", {.lease = 1h});
    auto there = broker.queue("q");
    REQUIRE(q.publish("a"));
    REQUIRE(again.publish("b"));
    REQUIRE(there.publish("c"));
    auto a = again.try_fetch();
    REQUIRE(a);
    CHECK(a->body() == "a");
    auto b = there.try_fetch();
    REQUIRE(b);
    CHECK(b->body() == "b");
    CHECK(support::work_off_text(q) == "c");
    CHECK(broker.stats().queues == 1);
}

// U7 and U8: a receipt that is none, and a live one of another queue.
template <class Settle> void settle_foreign(FreshQueue& fresh, Settle settle) {
    auto other = fresh.broker.queue("other", {.lease = 1h});
    REQUIRE(other.publish("theirs"));
    auto theirs = other.try_fetch();
    REQUIRE(theirs);
    REQUIRE(fresh.q.publish("ours"));

    CHECK(settle(fresh.q, Receipt{}) == Errc::unknown_message);
    CHECK(settle(fresh.q, theirs->receipt()) == Errc::unknown_message);

    CHECK(fresh.q.stats().ready == 1);
    CHECK(fresh.q.stats().completed == 0);
    CHECK(other.stats().leased == 1);
    CHECK_FALSE(theirs->lease_lost());
    CHECK(theirs->ack());
    support::check_sound(other);
}

TEST_CASE_FIXTURE(FreshQueue, "U7: a receipt of another queue acks nothing here [4.2]") {
    settle_foreign(*this, [](const auto& queue, Receipt receipt) { return queue.ack(receipt); });
}

TEST_CASE_FIXTURE(FreshQueue, "U8: a receipt of another queue requeues nothing here [4.2]") {
    settle_foreign(*this,
                   [](const auto& queue, Receipt receipt) { return queue.requeue(receipt); });
}

TEST_CASE_FIXTURE(FreshQueue, "U9: an ack completes the message [3] [5.8]") {
    const auto id = q.publish("a");
    REQUIRE(id);
    auto delivery = q.try_fetch();
    REQUIRE(delivery);
    CHECK(q.stats().leased == 1);
    CHECK(delivery->ack());
    CHECK(q.stats().leased == 0);
    CHECK(q.stats().completed == 1);
    CHECK(broker.latch(*id).state().value() == latchbox::LatchState::completed);
}

TEST_CASE_FIXTURE(FreshQueue, "U10: a second ack is told that it is one [4.2]") {
    REQUIRE(q.publish("a"));
    auto delivery = q.try_fetch();
    REQUIRE(delivery);
    REQUIRE(delivery->ack());
    CHECK(delivery->ack() == Errc::already_settled);
    CHECK(q.ack(delivery->receipt()) == Errc::lease_lost);
    CHECK(q.stats().completed == 1);
}

TEST_CASE_FIXTURE(FreshQueue, "U11: acks may come in any order") {
    for (const char* body : {"a", "b", "c"}) { REQUIRE(q.publish(body)); }
    auto first = q.try_fetch();
    auto second = q.try_fetch();
    auto third = q.try_fetch();
    REQUIRE(third);
    CHECK(second->ack());
    CHECK(third->ack());
    CHECK(first->ack());
    CHECK(q.stats().completed == 3);
    CHECK(q.size() == 0);
}

TEST_CASE_FIXTURE(FreshQueue, "U12: what is acked does not come back, nor does its lease run out") {
    REQUIRE(q.publish("a"));
    auto delivery = q.try_fetch();
    REQUIRE(delivery);
    REQUIRE(delivery->ack());
    nothing();
    clock.advance(2h);
    nothing();
    CHECK(q.stats().leases_run_out == 0);
    CHECK(broker.poll() == latchbox::Instant::never());
}

TEST_CASE_FIXTURE(FreshQueue, "U13: a requeued message comes at once, with a new receipt [4.5]") {
    REQUIRE(q.publish("a"));
    auto first = q.try_fetch();
    REQUIRE(first);
    REQUIRE(first->requeue());
    auto second = q.try_fetch();
    REQUIRE(second);
    CHECK(second->id() == first->id());
    CHECK(second->body() == "a");
    CHECK(second->receipt() != first->receipt());
    CHECK(second->attempt() == 2);
    CHECK(second->failures() == 0);
}

TEST_CASE_FIXTURE(FreshQueue, "U14: a second requeue adds nothing [4.2]") {
    REQUIRE(q.publish("a"));
    auto delivery = q.try_fetch();
    REQUIRE(delivery);
    REQUIRE(delivery->requeue());
    CHECK(delivery->requeue() == Errc::already_settled);
    CHECK(q.size() == 1);
    CHECK(q.stats().ready == 1);
}

TEST_CASE_FIXTURE(FreshQueue, "U15: requeued messages come in the order of their requeues [3]") {
    for (const char* body : {"1", "2", "3"}) { REQUIRE(q.publish(body)); }
    auto first = q.try_fetch();
    auto second = q.try_fetch();
    auto third = q.try_fetch();
    REQUIRE(third);
    REQUIRE(q.publish("4"));
    REQUIRE(first->requeue());
    REQUIRE(second->requeue());
    REQUIRE(third->requeue());
    CHECK(support::work_off_text(q) == "4123");
}

TEST_CASE_FIXTURE(FreshQueue, "U16: a closed broker accepts nothing [7.5]") {
    broker.close();
    CHECK(q.publish("late") == Errc::closed);
    CHECK(q.stats().accepted == 0);
}

TEST_CASE_FIXTURE(FreshQueue, "U17: a closed broker takes no ack [7.5]") {
    REQUIRE(q.publish("a"));
    auto delivery = q.try_fetch();
    REQUIRE(delivery);
    broker.close();
    CHECK(delivery->ack() == Errc::closed);
    CHECK(q.stats().completed == 0);
}

TEST_CASE_FIXTURE(FreshQueue, "U18: a closed broker takes no requeue [7.5]") {
    REQUIRE(q.publish("a"));
    auto delivery = q.try_fetch();
    REQUIRE(delivery);
    broker.close();
    CHECK(delivery->requeue() == Errc::closed);
    CHECK(q.stats().requeued == 0);
}

TEST_CASE_FIXTURE(FreshQueue, "U19: a closed broker gives nothing, and lets nobody wait [7.5]") {
    REQUIRE(q.publish("left"));
    broker.close();
    CHECK(q.try_fetch() == Errc::closed);
    CHECK(q.fetch() == Errc::closed);
    CHECK(q.fetch_for(1h) == Errc::closed);
    CHECK(clock.now() == latchbox::Instant{});
}

TEST_CASE_FIXTURE(WatchedQueue, "U20: closing wakes who waits [7.5] [4.9]") {
    Errc outcome{};
    std::thread waiting{[&] { outcome = error_of(q.fetch()); }};
    WatchedThreads::until_asleep(1);
    const latchbox::CloseReport report = broker.close();
    waiting.join();
    CHECK(outcome == Errc::closed);
    CHECK(report.left() == 0);
    CHECK(clock.now() == latchbox::Instant{});
}

TEST_CASE_FIXTURE(FreshQueue, "U21: a stop requested before comes before a message [7.7]") {
    REQUIRE(q.publish("a"));
    std::stop_source stop;
    stop.request_stop();
    CHECK(q.fetch(stop.get_token()) == Errc::cancelled);
    CHECK(q.fetch_for(1h, stop.get_token()) == Errc::cancelled);
    CHECK(q.stats().ready == 1);
    auto delivery = q.try_fetch();
    REQUIRE(delivery);
    CHECK(delivery->body() == "a");
    CHECK(delivery->attempt() == 1);
}

TEST_CASE_FIXTURE(WatchedQueue, "U22: a stop ends the wait and takes no message with it [7.7]") {
    std::stop_source stop;
    Errc outcome{};
    std::thread waiting{[&] { outcome = error_of(q.fetch(stop.get_token())); }};
    WatchedThreads::until_asleep(1);
    stop.request_stop();
    waiting.join();
    CHECK(outcome == Errc::cancelled);
    REQUIRE(q.publish("next"));
    auto delivery = q.fetch();
    REQUIRE(delivery);
    CHECK(delivery->body() == "next");
}

TEST_CASE_FIXTURE(WatchedQueue, "U23: a stop ends a publish that waits for room [7.2] [7.7]") {
    auto small =
        broker.queue("small", {.lease = 1h, .capacity = 1, .overflow = latchbox::Overflow::block});
    REQUIRE(small.publish("first"));
    std::stop_source stop;
    Errc outcome{};
    std::thread waiting{[&] { outcome = error_of(small.publish("second", {}, stop.get_token())); }};
    WatchedThreads::until_asleep(1);
    stop.request_stop();
    waiting.join();
    CHECK(outcome == Errc::cancelled);
    CHECK(small.stats().accepted == 1);
    CHECK(support::work_off_text(small) == "first");
    CHECK(small.try_fetch() == Errc::empty);
    support::check_sound(small);
}

TEST_CASE_FIXTURE(FreshQueue, "U24: settling cannot be cancelled [7.7]") {
    REQUIRE(q.publish("a"));
    REQUIRE(q.publish("b"));
    std::stop_source stop;
    auto a = q.fetch(stop.get_token());
    auto b = q.fetch(stop.get_token());
    REQUIRE(b);
    stop.request_stop();
    CHECK(a->ack());
    CHECK(b->requeue());
    CHECK(q.stats().completed == 1);
    CHECK(q.stats().ready == 1);
}

TEST_CASE_FIXTURE(FreshQueue, "U25: every fetch moves exactly one message [4.2] [4.4]") {
    for (const char* body : {"a", "b", "c"}) { REQUIRE(q.publish(body)); }
    CHECK(q.stats().ready == 3);
    std::vector<latchbox::Delivery<std::string>> held;
    std::string order;
    for (std::uint64_t fetched = 1; fetched <= 3; ++fetched) {
        auto delivery = q.try_fetch();
        REQUIRE(delivery);
        order += delivery->body();
        held.push_back(std::move(*delivery));
        CHECK(q.stats().leased == fetched);
        CHECK(q.stats().ready == 3 - fetched);
    }
    CHECK(order == "abc");
    for (const auto& delivery : held) { CHECK_FALSE(delivery.lease_lost()); }
}

TEST_CASE_FIXTURE(FreshQueue, "U26: two consumers share a queue, each message is one's [4.2]") {
    constexpr std::size_t messages = 1'000;
    std::vector<MessageId> seen[2];
    std::atomic<std::uint64_t> refused{0};
    const auto consume = [&](std::vector<MessageId>& mine) {
        while (auto delivery = q.fetch()) {
            mine.push_back(delivery->id());
            if (!delivery->ack()) { ++refused; }
        }
    };
    std::thread one{[&] { consume(seen[0]); }};
    std::thread two{[&] { consume(seen[1]); }};
    bool accepted = true;
    for (std::size_t i = 0; i < messages; ++i) {
        accepted = q.publish(std::to_string(i)).has_value() && accepted;
    }
    while (accepted && q.stats().completed < messages) { std::this_thread::yield(); }
    broker.close();
    one.join();
    two.join();
    CHECK(accepted);
    CHECK(refused == 0);
    CHECK(seen[0].size() + seen[1].size() == messages);
    std::set<MessageId> different{seen[0].begin(), seen[0].end()};
    different.insert(seen[1].begin(), seen[1].end());
    CHECK(different.size() == messages);
}

TEST_CASE_FIXTURE(FreshQueue, "U27: what nobody fetches stays, for as long as it takes [4.1]") {
    constexpr std::uint64_t messages = 10'000;
    for (std::uint64_t i = 0; i < messages; ++i) { REQUIRE(q.publish("kept")); }
    clock.advance(24h);
    CHECK(q.stats().ready == messages);
    auto delivery = q.try_fetch();
    REQUIRE(delivery);
    CHECK(delivery->deadline() == clock.now() + 1h);
    CHECK(delivery->attempt() == 1);
}

TEST_CASE("U28: a message published by move is never copied, and may be empty") {
    latchbox::ManualClock clock;
    {
        latchbox::Broker<support::Counted> broker{{.clock = &clock}};
        auto q = broker.queue("q", {.lease = 1h});
        support::Counted::reset();
        REQUIRE(q.publish(support::Counted{7}));
        auto first = q.try_fetch();
        REQUIRE(first);
        CHECK(first->body().number() == 7);
        REQUIRE(first->requeue());
        auto second = q.try_fetch();
        REQUIRE(second);
        CHECK(second->body().number() == 7);
        CHECK(second->ack());
        CHECK(support::Counted::copies == 0);
        support::check_sound(q);
    }
    latchbox::Broker<std::string> broker{{.clock = &clock}};
    auto q = broker.queue("q", {.lease = 1h});
    REQUIRE(q.publish(std::string{}));
    auto empty = q.try_fetch();
    REQUIRE(empty);
    CHECK(empty->body().empty());
    CHECK(empty->ack());
    support::check_sound(q);
}

}  // namespace
