// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"

#include "support/message_kinds.hpp"
#include "support/sound.hpp"
#include "support/watched_threads.hpp"

namespace {

using namespace std::chrono_literals;
using latchbox::CloseReport;
using latchbox::Errc;
using latchbox::Overflow;
using support::error_of;
using support::WatchedThreads;

template <class Platform> struct Closing {
    latchbox::ManualClock clock;
    latchbox::Broker<std::string, Platform> broker{{.clock = &clock}};
    latchbox::Queue<std::string, Platform> orders = broker.queue("orders", {.lease = 10s});

    ~Closing() { support::check_sound(orders); }
};
using Plain = Closing<latchbox::Threads>;
using Watched = Closing<WatchedThreads>;

TEST_CASE_FIXTURE(Plain, "close reports what was left, queue by queue [7.5]") {
    const auto bills = broker.queue("bills");
    const auto empty = broker.queue("empty");
    REQUIRE(orders.publish("dead"));
    REQUIRE(orders.try_fetch()->reject());
    REQUIRE(orders.publish("leased"));
    auto leased = orders.try_fetch();
    REQUIRE(orders.publish("delayed", {.delay = 1h}));
    REQUIRE(orders.publish("ready"));
    REQUIRE(orders.publish("ready"));
    REQUIRE(bills.publish("ready"));
    REQUIRE(empty.publish("gone"));
    REQUIRE(empty.pop());

    CloseReport expected;
    expected.delayed = 1;
    expected.ready = 3;
    expected.leased = 1;
    expected.dead = 1;
    expected.queues.push_back({.queue = "bills", .ready = 1});
    expected.queues.push_back(
        {.queue = "orders", .delayed = 1, .ready = 2, .leased = 1, .dead = 1});
    CloseReport report = broker.close();
    CHECK(report.left() == 6);
    REQUIRE(report.queues.size() == 2);
    // In which order the queues come is not promised.
    if (report.queues.front().queue == "orders") {
        std::swap(expected.queues.front(), expected.queues.back());
    }
    CHECK(report == expected);
    CHECK(broker.close() == expected);
    CHECK(broker.drain(1h) == expected);
    CHECK(orders.stats().held() == 5);
    CHECK(broker.stats().messages.held() == 6);
}

TEST_CASE_FIXTURE(Plain,
                  "close names the blocked, in publish order, and says what for [7.5] [5.9]") {
    using latchbox::LatchState;
    const auto bills = broker.queue("bills");
    const auto gate = broker.gate(2);
    const auto parent = orders.publish("parent");
    const auto low = orders.publish("low", {.parents = {*parent, gate.id()}});
    const auto high = orders.publish("high", {.parents = {*parent}, .priority = 9});
    const auto head = bills.publish("head", {.key = "k"});
    const auto second = bills.publish("second", {.key = "k"});
    const auto third = bills.publish("third", {.parents = {*second}, .key = "k"});
    REQUIRE(third);
    const auto dies = orders.publish("dies", {.priority = 9});
    REQUIRE(orders.try_fetch()->reject());
    const auto last = orders.publish(
        "last", {.parents = {*dies}, .on_parent_failure = latchbox::OnParentFailure::hold});
    REQUIRE(last);

    const CloseReport report = broker.close();
    CHECK(report.blocked == 5);
    CHECK(report.left() == 8);
    using Ids = std::vector<latchbox::MessageId>;
    for (const auto& left : report.queues) {
        CHECK(left.blocked_messages ==
              (left.queue == "orders" ? Ids{*low, *high, *last} : Ids{*second, *third}));
    }
    CHECK(report.queues.size() == 2);
    // What they waited for can still be asked.
    using Parents = std::vector<latchbox::Explanation::Parent>;
    CHECK(broker.explain(*low).parents ==
          Parents{{*parent, LatchState::pending}, {gate.id(), LatchState::pending}});
    CHECK(broker.explain(*last).parents == Parents{{*dies, LatchState::dead}});
    CHECK(broker.explain(*third).ahead_in_key == 2);
    CHECK(broker.explain(*head).state == latchbox::MessageState::ready);
    CHECK(broker.explain(gate.id()).count == 2);
    CHECK(broker.latch(*low).state().value() == LatchState::failed);
    CHECK(broker.close() == report);
    support::check_sound(bills);
}

TEST_CASE_FIXTURE(Plain, "close does first what is due [7.5] [4.3]") {
    REQUIRE(orders.publish("l"));
    const auto leased = orders.try_fetch();
    REQUIRE(orders.publish("delayed", {.delay = 10s}));
    REQUIRE(orders.publish("mortal", {.expires_in = 10s}));
    clock.advance(10s);
    const CloseReport report = broker.close();
    CHECK(report.leased == 0);
    CHECK(report.delayed == 0);
    CHECK(report.ready == 2);
    CHECK(orders.stats().expired == 1);
    CHECK(orders.stats().leases_run_out == 1);
}

TEST_CASE_FIXTURE(Plain, "after close every call is closed, but looking is not [7.5]") {
    REQUIRE(orders.publish("a"));
    REQUIRE(orders.publish("b"));
    auto a = orders.try_fetch();
    REQUIRE(a);
    const auto dead = orders.dead_letters();
    const latchbox::QueueStats before = orders.stats();
    broker.close();
    std::vector<latchbox::Delivery<std::string>> out;
    std::vector<std::string> batch = {"x"};
    CHECK(orders.publish("x") == Errc::closed);
    CHECK(orders.publish("x", {.priority = 10}) == Errc::closed);
    CHECK(orders.publish_batch(batch) == Errc::closed);
    CHECK(orders.try_fetch() == Errc::closed);
    CHECK(orders.fetch() == Errc::closed);
    CHECK(orders.fetch_for(1h) == Errc::closed);
    CHECK(orders.fetch_batch(out, 1) == Errc::closed);
    CHECK(orders.fetch_batch(out, 1, 1h) == Errc::closed);
    CHECK(orders.pop() == Errc::closed);
    CHECK(orders.pop_all() == Errc::closed);
    CHECK(a->ack() == Errc::closed);
    CHECK(a->release() == Errc::closed);
    CHECK(a->requeue() == Errc::closed);
    CHECK(a->fail() == Errc::closed);
    CHECK(a->reject() == Errc::closed);
    CHECK(a->extend(1s) == Errc::closed);
    CHECK(a->take() == Errc::closed);
    CHECK(orders.ack(a->receipt()) == Errc::closed);
    CHECK(orders.cancel(a->id()) == Errc::closed);
    CHECK(orders.purge() == 0);
    CHECK(dead.size() == 0);
    CHECK(broker.poll().is_never());
    CHECK(a->body() == "a");
    CHECK(a->lease_lost());
    CHECK(orders.name() == "orders");
    CHECK(orders.size() == 2);
    CHECK(orders.stats() == before);
    clock.advance(24h);
    CHECK(orders.stats() == before);
}

TEST_CASE("close frees what nobody reads, the last reader the rest [4.8] [7.5]") {
    using support::Counted;
    const int before = Counted::live;
    latchbox::ManualClock clock;
    latchbox::Broker<Counted> broker{{.clock = &clock}};
    const auto orders = broker.queue("orders");
    for (int i = 0; i < 5; ++i) { REQUIRE(orders.publish(Counted{i})); }
    auto leased = std::make_unique<latchbox::Delivery<Counted>>(orders.try_fetch().value());
    auto rejected = orders.try_fetch();
    REQUIRE(rejected->reject());
    rejected = Errc::empty;
    CHECK(Counted::live == before + 5);
    broker.close();
    CHECK(Counted::live == before + 1);
    CHECK(leased->body().number() == 0);
    leased.reset();
    CHECK(Counted::live == before);
    support::check_sound(orders);
}

TEST_CASE_FIXTURE(Watched, "close wakes everybody who waits, for whatever [7.5] [4.9]") {
    const auto full = broker.queue("full", {.capacity = 1, .overflow = Overflow::block});
    REQUIRE(full.publish("first"));
    Errc outcomes[4] = {};
    std::vector<std::thread> waiting;
    waiting.emplace_back([&] { outcomes[0] = error_of(orders.fetch()); });
    waiting.emplace_back([&] { outcomes[1] = error_of(orders.fetch_for(1h)); });
    waiting.emplace_back([&] {
        std::vector<latchbox::Delivery<std::string, WatchedThreads>> out;
        outcomes[2] = error_of(orders.fetch_batch(out, 3, 1h));
    });
    waiting.emplace_back([&] { outcomes[3] = error_of(full.publish("x")); });
    WatchedThreads::until_asleep(4);
    SUBCASE("close") { broker.close(); }
    SUBCASE("a drain of no time") { broker.drain(0s); }
    for (std::thread& thread : waiting) { thread.join(); }
    for (const Errc outcome : outcomes) { CHECK(outcome == Errc::closed); }
}

// --- drain -----------------------------------------------------------------------------------

TEST_CASE_FIXTURE(Plain, "a drain of an empty broker is over at once [7.5]") {
    CHECK(broker.drain(1h).left() == 0);
    CHECK(orders.publish("x") == Errc::closed);
    CHECK(clock.now() == latchbox::Instant{});
}

TEST_CASE_FIXTURE(Plain, "a negative drain is one of no time, or refused [7.6]") {
    REQUIRE(orders.publish("a"));
    CHECK(broker.drain(-1s).left() == 1);
    CHECK(orders.try_fetch() == Errc::closed);
}

TEST_CASE_FIXTURE(Watched, "a drain refuses publishes and lets consumers finish [7.5]") {
    REQUIRE(orders.publish("a"));
    REQUIRE(orders.publish("b"));
    REQUIRE(orders.publish("later", {.delay = 5s}));
    auto a = orders.try_fetch();
    REQUIRE(a);
    std::optional<CloseReport> report;
    std::thread draining{[&] { report = broker.drain(1h); }};
    WatchedThreads::until_asleep(1);
    CHECK(orders.publish("x") == Errc::closed);
    CHECK(broker.queue("new").publish("x") == Errc::closed);
    CHECK(a->ack());
    auto b = orders.try_fetch();
    REQUIRE(b);
    CHECK(b->body() == "b");
    CHECK(b->requeue());
    CHECK(orders.pop().value() == "b");
    clock.advance(5s);
    CHECK(orders.pop().value() == "later");
    draining.join();
    REQUIRE(report);
    CHECK(report->left() == 0);
    CHECK(orders.try_fetch() == Errc::closed);
    CHECK(clock.now() == latchbox::Instant{5s});
}

TEST_CASE_FIXTURE(Watched, "a drain ends at its time, with a true report [7.5] [4.3]") {
    REQUIRE(orders.publish("a"));
    REQUIRE(orders.publish("b"));
    auto a = orders.try_fetch();
    REQUIRE(a);
    REQUIRE(a->extend(2h));
    std::optional<CloseReport> report;
    std::thread draining{[&] { report = broker.drain(1h); }};
    WatchedThreads::until_asleep(1);
    clock.advance(1h - 1ns);
    CHECK(orders.stats().ready == 1);
    clock.advance(1ns);
    draining.join();
    REQUIRE(report);
    CHECK(report->ready == 1);
    CHECK(report->leased == 1);
    CHECK(a->ack() == Errc::closed);
}

TEST_CASE_FIXTURE(Plain, "dead letters do not keep a drain from ending [7.5]") {
    REQUIRE(orders.publish("a"));
    REQUIRE(orders.try_fetch()->reject());
    const CloseReport report = broker.drain(1h);
    CHECK(report.dead == 1);
    CHECK(report.left() == 1);
}

TEST_CASE_FIXTURE(Watched, "a drain wakes publishers at once, fetches at its end [7.5] [4.9]") {
    const auto full = broker.queue("full", {.capacity = 1, .overflow = Overflow::block});
    REQUIRE(full.publish("first"));
    Errc publishing{};
    Errc fetching{};
    std::thread publisher{[&] { publishing = error_of(full.publish("second")); }};
    std::thread fetcher{[&] { fetching = error_of(orders.fetch()); }};
    WatchedThreads::until_asleep(2);
    std::optional<CloseReport> report;
    std::thread draining{[&] { report = broker.drain(1h); }};
    publisher.join();
    CHECK(publishing == Errc::closed);
    WatchedThreads::until_asleep(2);
    CHECK(full.pop().value() == "first");
    draining.join();
    fetcher.join();
    CHECK(fetching == Errc::closed);
    REQUIRE(report);
    CHECK(report->left() == 0);
    CHECK(full.stats().accepted == 1);
    support::check_sound(full);
}

TEST_CASE_FIXTURE(Watched,
                  "a drain waits for the blocked, too, as long as there is hope [7.5] [5.4]") {
    auto gate = broker.gate(1);
    REQUIRE(orders.publish("1"));
    const auto leased = orders.try_fetch();
    REQUIRE(orders.publish("2", {.parents = {leased->id()}, .key = "k"}));
    REQUIRE(orders.publish("3", {.parents = {gate.id()}, .key = "k"}));
    std::optional<CloseReport> report;
    std::thread draining{[&] { report = broker.drain(1h); }};
    WatchedThreads::until_asleep(1);
    CHECK(orders.publish("x", {.parents = {leased->id()}}) == Errc::closed);
    CHECK(orders.ack(leased->receipt()));
    CHECK(orders.pop().value() == "2");
    CHECK(orders.stats().blocked == 1);
    bool waited = false;
    SUBCASE("the gate opens") {
        CHECK(gate.count_down());
        CHECK(orders.pop().value() == "3");
        draining.join();
        CHECK(report->left() == 0);
    }
    SUBCASE("the gate fails: dead letters do not hold it up") {
        CHECK(gate.fail());
        draining.join();
        CHECK(report->dead == 1);
    }
    SUBCASE("the time is over") {
        waited = true;
        clock.advance(1h);
        draining.join();
        CHECK(report->blocked == 1);
        REQUIRE(report->queues.size() == 1);
        CHECK(report->queues[0].blocked_messages.size() == 1);
    }
    CHECK(clock.now() == latchbox::Instant{waited ? 1h : 0h});
    CHECK(gate.count_down() == Errc::closed);
}

TEST_CASE_FIXTURE(Watched, "close ends a drain [7.5]") {
    REQUIRE(orders.publish("a"));
    std::optional<CloseReport> report;
    std::thread draining{[&] { report = broker.drain(1h); }};
    WatchedThreads::until_asleep(1);
    CHECK(broker.close().ready == 1);
    draining.join();
    REQUIRE(report);
    CHECK(report->ready == 1);
}

TEST_CASE_FIXTURE(Watched, "a second drain does not cut the first one short [7.5]") {
    REQUIRE(orders.publish("a"));
    auto a = orders.try_fetch();
    REQUIRE(a);
    std::uint64_t left[2] = {9, 9};
    std::atomic<int> over{0};
    const auto drain = [&](std::uint64_t& mine) {
        mine = broker.drain(1h).left();
        ++over;
    };
    std::thread first{[&] { drain(left[0]); }};
    WatchedThreads::until_asleep(1);
    std::thread second{[&] { drain(left[1]); }};
    while (WatchedThreads::asleep.load() < 2 && over.load() == 0) { std::this_thread::yield(); }
    CHECK(over == 0);
    CHECK(a->ack());
    first.join();
    second.join();
    CHECK(left[0] == 0);
    CHECK(left[1] == 0);
}

TEST_CASE_FIXTURE(Watched, "a lease that runs out during a drain is drained, too [7.5] [4.9]") {
    REQUIRE(orders.publish("a"));
    const auto receipt = orders.try_fetch().value().detach();
    Errc fetching = Errc::empty;
    std::optional<CloseReport> report;
    std::thread draining{[&] { report = broker.drain(1h); }};
    WatchedThreads::until_asleep(1);
    std::thread fetcher{[&] {
        auto delivery = orders.fetch();
        fetching = error_of(delivery);
        if (delivery) { delivery->ack(); }
    }};
    WatchedThreads::until_asleep(2);
    clock.advance(10s);
    fetcher.join();
    draining.join();
    CHECK(fetching == Errc{});
    REQUIRE(report);
    CHECK(report->left() == 0);
    CHECK(orders.stats().completed == 1);
    CHECK(orders.stats().leases_run_out == 1);
    CHECK(orders.ack(receipt) == Errc::closed);
}

TEST_CASE_FIXTURE(Plain, "many threads may close at once, and all see the same [7.5]") {
    for (int i = 0; i < 10; ++i) { REQUIRE(orders.publish("a")); }
    std::vector<std::uint64_t> left(4);
    std::vector<std::thread> closing;
    for (std::size_t i = 0; i < left.size(); ++i) {
        closing.emplace_back([&, i] { left[i] = broker.close().left(); });
    }
    for (std::thread& thread : closing) { thread.join(); }
    CHECK(left == std::vector<std::uint64_t>(4, 10));
}

}  // namespace
