// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
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

// How a subscription begins, lives and ends; alone, in a group, and durable.
namespace {

using namespace std::chrono_literals;
using latchbox::Errc;
using latchbox::LatchState;
using latchbox::MessageId;
using latchbox::MessageState;
using latchbox::Overflow;
using latchbox::Receipt;
using latchbox::SubscriptionOptions;
using support::check_sound;
using support::error_of;
using support::refuses;
using support::WatchedThreads;
using support::work_off_text;
using Broker = latchbox::Broker<std::string>;
using Consumer = latchbox::Consumer<std::string>;
using Delivery = latchbox::Delivery<std::string>;
using Subscription = latchbox::Subscription<std::string>;

static_assert(!std::is_copy_constructible_v<Subscription>);
static_assert(!std::is_copy_assignable_v<Subscription>);
static_assert(std::is_nothrow_move_constructible_v<Subscription>);
static_assert(std::is_nothrow_move_assignable_v<Subscription>);
static_assert(std::is_base_of_v<Consumer, Subscription>);
static_assert(std::is_copy_constructible_v<latchbox::Topic<std::string>>);

struct Lives {
    latchbox::ManualClock clock;
    std::unique_ptr<Broker> broker =
        std::make_unique<Broker>(latchbox::BrokerOptions{.clock = &clock});

    ~Lives() {
        if (broker) { CHECK(support::conserved(broker->stats().messages)); }
    }
    MessageId publish(const std::string& subject, const std::string& body) {
        return broker->topic(subject).publish(body).value();
    }
    LatchState latch(const MessageId& id) { return broker->latch(id).state().value(); }
};
struct Watched {
    using Subscription = latchbox::Subscription<std::string, WatchedThreads>;
    latchbox::ManualClock clock;
    latchbox::Broker<std::string, WatchedThreads> broker{{.clock = &clock}};
};

// Every call that may be closed is.
template <class Platform>
void check_closed(const latchbox::Consumer<std::string, Platform>& consumer) {
    REQUIRE(consumer.try_fetch() == Errc::closed);  // or those that wait would wait for ever
    CHECK(consumer.fetch() == Errc::closed);
    CHECK(consumer.fetch_for(1h) == Errc::closed);
    std::vector<latchbox::Delivery<std::string, Platform>> out;
    CHECK(consumer.fetch_batch(out, 3) == Errc::closed);
    CHECK(consumer.fetch_batch(out, 3, 1h) == Errc::closed);
    CHECK(out.empty());
    CHECK(consumer.pop() == Errc::closed);
    CHECK(consumer.pop_all() == Errc::closed);
    CHECK(consumer.ack(Receipt{}) == Errc::closed);
    CHECK(consumer.release(Receipt{}) == Errc::closed);
    CHECK(consumer.requeue(Receipt{}) == Errc::closed);
    CHECK(consumer.fail(Receipt{}) == Errc::closed);
    CHECK(consumer.reject(Receipt{}) == Errc::closed);
    CHECK(consumer.extend(Receipt{}, 1s) == Errc::closed);
    CHECK(consumer.cancel(MessageId{}) == Errc::closed);
    CHECK(consumer.purge() == 0);
    CHECK(consumer.dead_letters().take() == Errc::closed);
    CHECK(consumer.dead_letters().redrive(MessageId{}) == Errc::closed);
    CHECK(consumer.dead_letters().redrive() == 0);
    CHECK(consumer.dead_letters().purge() == 0);
}

// --- its end ---------------------------------------------------------------------------------

TEST_CASE_FIXTURE(Lives, "unsubscribing ends it at once, and again changes nothing [6.2]") {
    auto a = broker->subscribe("s");
    const auto other = broker->subscribe("s");
    publish("s", "1");
    for (int round = 0; round < 3; ++round) {
        a.unsubscribe();
        check_closed(a);
        CHECK(broker->stats().subscriptions == 1);
    }
    CHECK(a.stats().purged == 1);
    CHECK(a.stats().accepted == 1);
    CHECK(a.size() == 0);
    publish("s", "2");
    CHECK(a.stats().accepted == 1);
    CHECK(a.pattern() == "s");
    CHECK(a.group().empty());
    CHECK_FALSE(a.name().empty());
    CHECK(work_off_text(other) == "12");
    check_sound(a);
}

TEST_CASE_FIXTURE(Lives, "its destruction ends it, and what was sliced off it [6.2]") {
    std::optional<Consumer> slice;
    {
        const auto a = broker->subscribe("s");
        slice.emplace(a);
        CHECK(*slice == a);
        publish("s", "1");
        CHECK(slice->pop().value() == "1");
        publish("s", "2");
    }
    check_closed(*slice);
    CHECK(slice->stats().purged == 1);
    CHECK(broker->stats().subscriptions == 0);
    const MessageId id = publish("s", "3");
    CHECK(latch(id) == LatchState::completed);
    CHECK(broker->topic("s").stats().discarded == 1);
    check_sound(*slice);
}

TEST_CASE_FIXTURE(Lives, "it may end inside the handling of its own message [6.2] [misuse 31]") {
    auto a = broker->subscribe("s", {.lease = 10s});
    std::vector<MessageId> ids;
    for (const char* body : {"1", "2", "3"}) { ids.push_back(publish("s", body)); }
    std::string handled;
    while (auto delivery = a.try_fetch()) {
        handled += delivery->body();
        if (handled.size() == 2) { a.unsubscribe(); }
        const auto done = delivery->ack();
        if (handled.size() == 2) { CHECK(done == Errc::closed); }
        CHECK_FALSE(delivery->body().empty());
    }
    CHECK(handled == "12");
    CHECK(latch(ids[0]) == LatchState::completed);
    CHECK(latch(ids[2]) == LatchState::completed);
    CHECK(latch(ids[1]) == LatchState::completed);  // its handle was let go of, unsettled
    CHECK(a.size() == 0);
    check_sound(a);
}

TEST_CASE_FIXTURE(Lives, "deliveries that are out say closed, and keep their body [6.2] [4.8]") {
    auto a = broker->subscribe("s", {.lease = 10s});
    for (int i = 0; i < 9; ++i) { publish("s", std::to_string(i)); }
    std::vector<Delivery> out;
    REQUIRE(a.fetch_batch(out, 7).value() == 7);
    const Receipt receipt = out[6].receipt();
    a.unsubscribe();
    CHECK(a.stats().leased == 7);
    CHECK(a.stats().purged == 2);
    CHECK(out[0].ack() == Errc::closed);
    CHECK(out[1].release() == Errc::closed);
    CHECK(out[2].requeue() == Errc::closed);
    CHECK(out[3].fail("no") == Errc::closed);
    CHECK(out[4].reject("no") == Errc::closed);
    CHECK(out[5].take() == Errc::closed);
    CHECK(out[5].extend(1h) == Errc::closed);
    CHECK(a.ack(receipt) == Errc::closed);
    for (std::size_t i = 0; i < 7; ++i) { CHECK(out[i].body() == std::to_string(i)); }
    clock.advance(10s);
    broker->poll();
    CHECK(a.stats().leased == 0);
    CHECK(a.stats().purged == 9);
    CHECK(out[6].body() == "6");
    check_sound(a);
    out.clear();  // abandons nothing any more
    CHECK(a.size() == 0);
    check_sound(a);
}

TEST_CASE_FIXTURE(Lives, "handles let go after its end give nothing back [6.2] [4.7]") {
    auto a = broker->subscribe("s", {.lease = 10s});
    const MessageId id = publish("s", "1");
    {
        const auto out = a.try_fetch();
        a.unsubscribe();
        CHECK(latch(id) == LatchState::pending);
    }
    CHECK(latch(id) == LatchState::completed);
    CHECK(a.size() == 0);
    CHECK(a.stats().purged == 1);
    check_sound(a);
}

TEST_CASE_FIXTURE(Watched, "its end wakes who waits there, with closed [6.2] [4.9]") {
    auto a = broker.subscribe("s");
    const latchbox::Consumer<std::string, WatchedThreads> slice = a;
    const auto other = broker.subscribe("s");
    Errc ended[4] = {};
    std::vector<std::thread> threads;
    threads.emplace_back([&] { ended[0] = error_of(a.fetch()); });
    threads.emplace_back([&] { ended[1] = error_of(a.fetch_for(1h)); });
    threads.emplace_back([&] { ended[2] = error_of(slice.fetch()); });
    threads.emplace_back([&] { ended[3] = error_of(other.fetch()); });
    WatchedThreads::until_asleep(4);
    a.unsubscribe();
    for (std::size_t i = 0; i < 3; ++i) {
        threads[i].join();
        CHECK(ended[i] == Errc::closed);
    }
    // The other one waits on.
    CHECK(broker.topic("s").publish("m"));
    threads[3].join();
    CHECK(ended[3] == Errc{});
}

TEST_CASE("publishers, and one who comes and goes: nothing is lost, nothing hangs [6.2] [6.3]") {
    Broker broker;
    const auto stays = broker.subscribe("s.*", {.capacity = 100'000});
    constexpr int each = 2'000;
    std::atomic<bool> refused{false};
    std::vector<MessageId> ids[2];
    std::vector<std::thread> threads;
    for (auto& mine : ids) {
        threads.emplace_back([&] {
            const auto topic = broker.topic("s.1");
            for (int n = 0; n < each; ++n) {
                const auto id = topic.publish("m");
                if (!id) {
                    refused = true;
                } else {
                    mine.push_back(*id);
                }
            }
        });
    }
    for (int i = 0; i < 300; ++i) {
        auto guest = broker.subscribe(i % 2 == 0 ? "s.1" : ">");
        const auto member = broker.subscribe("s.>", {.group = "g"});
        if (auto delivery = guest.try_fetch()) { delivery->ack(); }
        auto taken = member.pop();
        if (i % 3 == 0) { guest.unsubscribe(); }
    }
    for (std::thread& thread : threads) { thread.join(); }
    CHECK_FALSE(refused);
    CHECK(stays.size() == 2 * each);
    CHECK(broker.stats().subscriptions == 1);
    CHECK(stays.pop_all()->size() == 2 * each);
    // Nobody's children wait for a copy that went with its subscription.
    bool all = true;
    for (const auto& mine : ids) {
        for (const MessageId& id : mine) {
            all = all && broker.latch(id).state().value() == LatchState::completed;
        }
    }
    CHECK(all);
    CHECK(support::conserved(broker.stats().messages));
}

using Callers = latchbox::Broker<support::CallsBack>;

TEST_CASE("it may end from the destructor of a message, its own included [6.2] [4.10]") {
    using support::CallsBack;
    latchbox::ManualClock clock;
    Callers broker{{.clock = &clock}};
    auto a = broker.subscribe("s", {.capacity = 3});
    auto group = broker.subscribe("s", {.group = "g"});
    const auto topic = broker.topic("s");
    struct NoCalls {
        ~NoCalls() { CallsBack::no_calls(); }
    } const no_calls;
    for (int i = 0; i < 3; ++i) { REQUIRE(topic.publish(CallsBack{i})); }
    SUBCASE("as a copy is evicted") {
        CHECK(group.purge() == 3);
        CallsBack::on_end = [&] { a.unsubscribe(); };
        REQUIRE(topic.publish(CallsBack{3}));
        CHECK(a.try_fetch() == Errc::closed);
        CHECK(group.size() == 1);
    }
    SUBCASE("as its own end destroys one") {
        CHECK(group.purge() == 3);
        CallsBack::on_end = [&] {
            a.unsubscribe();
            CHECK(a.try_fetch() == Errc::closed);
        };
        a.unsubscribe();
    }
    SUBCASE("as its destruction destroys one that ends the other") {
        CallsBack::on_end = [&] { group.unsubscribe(); };
        a.purge();
        group.purge();
        CHECK(group.try_fetch() == Errc::closed);
    }
    SUBCASE("as a message is copied") {
        CallsBack::on_copy = [&] { a.unsubscribe(); };
        const CallsBack message{7};
        REQUIRE(topic.publish(message));
        CHECK(a.try_fetch() == Errc::closed);
        CHECK(group.size() == 4);
    }
    SUBCASE("removed as one of it ends") {
        a.unsubscribe();
        CallsBack::on_end = [&] { broker.remove("g"); };
        CHECK(group.pop());
        CHECK(group.try_fetch() == Errc::closed);
    }
    support::check_sound(a);
    support::check_sound(group);
}

// --- moving ----------------------------------------------------------------------------------

TEST_CASE_FIXTURE(Lives, "what was moved from owns nothing, and ends nothing [6.2]") {
    std::optional<Subscription> first = broker->subscribe("s");
    Subscription second = std::move(*first);
    publish("s", "1");
    first->unsubscribe();  // NOLINT: on purpose
    CHECK(second.pop().value() == "1");
    first.reset();
    publish("s", "2");
    CHECK(second.pop().value() == "2");
    CHECK(broker->stats().subscriptions == 1);

    Subscription other = broker->subscribe("t");
    const Consumer slice = other;
    other = std::move(second);  // the one that was there ends
    check_closed(slice);
    CHECK(broker->stats().subscriptions == 1);
    publish("s", "3");
    publish("t", "4");
    CHECK(work_off_text(other) == "3");
    CHECK(other.pattern() == "s");
    auto& itself = other;
    other = std::move(itself);
    publish("s", "3");
    CHECK(work_off_text(other) == "3");
    second = broker->subscribe("u");  // NOLINT: on purpose
    publish("u", "5");
    CHECK(work_off_text(second) == "5");
    std::vector<Subscription> many;
    for (int i = 0; i < 100; ++i) { many.push_back(broker->subscribe("v")); }
    publish("v", "6");
    for (const auto& one : many) { CHECK(one.size() == 1); }
    many.erase(many.begin(), many.begin() + 50);
    CHECK(broker->stats().subscriptions == 52);
    many.clear();
    CHECK(broker->stats().subscriptions == 2);
    other.unsubscribe();
    check_closed(other);
}

// --- groups ----------------------------------------------------------------------------------

TEST_CASE_FIXTURE(Lives, "who leaves a group leaves the others in peace [6.2]") {
    auto one = broker->subscribe("s", {.group = "g"});
    auto two = broker->subscribe("s", {.group = "g"});
    for (const char* body : {"1", "2", "3"}) { publish("s", body); }
    auto fetched = one.try_fetch();
    auto lost = one.try_fetch();
    const Consumer mine = one;
    const Consumer others = two;
    one.unsubscribe();
    check_closed(one);
    check_closed(mine);
    CHECK(others.size() == 3);
    CHECK(broker->stats().subscriptions == 1);
    CHECK(two.stats().leased == 2);
    CHECK(two.stats().ready == 1);
    // What it had fetched it may still settle, or let go of.
    CHECK(fetched->ack());
    lost = Errc::empty;
    CHECK(two.stats().abandoned == 1);
    CHECK(work_off_text(others) == "32");
    one.unsubscribe();
    publish("s", "4");
    CHECK(work_off_text(two) == "4");
    two.unsubscribe();
    check_closed(two);
    CHECK(broker->stats().subscriptions == 0);
    check_sound(two);
}

TEST_CASE_FIXTURE(Watched, "who leaves a group wakes its own waiters only [6.2] [4.9]") {
    auto one = broker.subscribe("s", {.group = "g"});
    const auto two = broker.subscribe("s", {.group = "g"});
    Errc first{};
    latchbox::Result<std::string> second{Errc::empty};
    std::thread leaves{[&] { first = error_of(one.fetch()); }};
    WatchedThreads::until_asleep(1);
    std::thread stays{[&] {
        auto delivery = two.fetch();
        second = delivery ? delivery->take() : delivery.error();
    }};
    WatchedThreads::until_asleep(2);
    one.unsubscribe();
    leaves.join();
    CHECK(first == Errc::closed);
    CHECK(broker.topic("s").publish("m"));
    stays.join();
    CHECK(second.value() == "m");
}

TEST_CASE_FIXTURE(Lives, "the end of its last handle ends a group that is not durable [6.2]") {
    std::vector<Subscription> members;
    for (int i = 0; i < 3; ++i) {
        members.push_back(broker->subscribe("s", {.group = "g", .lease = 10s}));
    }
    publish("s", "1");
    publish("s", "2");
    auto held = members[0].try_fetch();
    members.pop_back();
    members[1].unsubscribe();
    CHECK(members[0].size() == 2);
    const Consumer slice = members[0];
    members.clear();
    check_closed(slice);
    CHECK(held->ack() == Errc::closed);
    // The name is free, for whatever pattern and options.
    const auto again = broker->subscribe("t", {.group = "g", .lease = 5s});
    publish("t", "3");
    CHECK(work_off_text(again) == "3");
    CHECK_FALSE(slice == again);
    clock.advance(10s);
    CHECK(slice.size() == 0);
    check_sound(slice);
    check_sound(again);
}

TEST_CASE_FIXTURE(Lives, "a durable group stays, and gathers on [6.2]") {
    const SubscriptionOptions options{.group = "g", .durable = true, .lease = 10s, .capacity = 4};
    {
        const auto first = broker->subscribe("s", options);
        publish("s", "1");
        publish("s", "2");
        CHECK(first.try_fetch()->reject("no"));
    }
    CHECK(broker->stats().subscriptions == 1);
    publish("s", "3");
    publish("s", "4");
    // It rejects, by default, with nobody there to make room.
    CHECK(broker->topic("s").publish("5") == Errc::full);
    std::optional<Delivery> out;
    {
        const auto second = broker->subscribe("s", options);
        CHECK(second.stats().ready == 3);
        CHECK(second.dead_letters().take().value() == "1");
        out.emplace(second.try_fetch().value());
    }
    CHECK(out->ack());  // its queue lives
    auto third = broker->subscribe("s", options);
    auto fourth = broker->subscribe("s", options);
    third.unsubscribe();
    third.unsubscribe();
    check_closed(third);
    CHECK(work_off_text(fourth) == "34");
    fourth.unsubscribe();
    const MessageId id = publish("s", "6");
    CHECK(latch(id) == LatchState::pending);
    CHECK(broker->remove("g"));
    CHECK(latch(id) == LatchState::completed);
    CHECK(broker->stats().subscriptions == 0);
    CHECK_FALSE(broker->remove("g"));
    publish("s", "7");
    CHECK(broker->topic("s").stats().discarded == 1);
}

TEST_CASE_FIXTURE(Lives,
                  "a durable group nobody holds keeps its leases, and loses them [6.2] [4.3]") {
    const SubscriptionOptions options{.group = "g", .durable = true, .lease = 10s};
    publish("s", "0");
    std::optional<Delivery> out;
    {
        const auto first = broker->subscribe("s", options);
        publish("s", "1");
        out.emplace(first.try_fetch().value());
    }
    clock.advance(10s);
    CHECK(out->ack() == Errc::lease_lost);
    const auto second = broker->subscribe("s", options);
    auto again = second.try_fetch();
    REQUIRE(again);
    CHECK(again->body() == "1");
    CHECK(again->attempt() == 2);
    CHECK(again->failures() == 1);
    CHECK(again->ack());
    check_sound(second);
}

TEST_CASE_FIXTURE(Lives, "removing a group closes its handles, waiters and deliveries [6.2] [8]") {
    const auto one = broker->subscribe("s", {.group = "g", .durable = true, .lease = 10s});
    auto two = broker->subscribe("s", {.group = "g", .durable = true, .lease = 10s});
    const auto other = broker->subscribe("s");
    const MessageId leased = publish("s", "1");
    const MessageId ready = publish("s", "2");
    auto held = one.try_fetch();
    CHECK(work_off_text(other) == "12");
    CHECK(broker->remove("g"));
    CHECK_FALSE(broker->remove("g"));
    check_closed(one);
    check_closed(two);
    CHECK(held->ack() == Errc::closed);
    CHECK(latch(ready) == LatchState::completed);
    CHECK(latch(leased) == LatchState::pending);
    // A new one of that name has nothing to do with those.
    const auto again = broker->subscribe("t", {.group = "g"});
    two.unsubscribe();
    publish("t", "3");
    publish("s", "4");
    CHECK(work_off_text(again) == "3");
    CHECK(work_off_text(other) == "4");
    clock.advance(10s);
    CHECK(latch(leased) == LatchState::completed);
    check_sound(one);
    check_sound(again);
}

TEST_CASE("removing a group wakes who waits there, or for room there [6.2] [6.4] [4.9]") {
    Watched watched;
    auto& broker = watched.broker;
    const auto group = broker.subscribe(
        "s", {.group = "g", .durable = true, .capacity = 1, .overflow = Overflow::block});
    const auto empty = broker.subscribe("t", {.group = "h"});
    REQUIRE(broker.topic("s").publish("1"));
    Errc fetching{};
    Errc publishing{};
    std::thread fetcher{[&] { fetching = error_of(empty.fetch()); }};
    std::thread publisher{[&] { publishing = error_of(broker.topic("s").publish("2")); }};
    WatchedThreads::until_asleep(2);
    CHECK(broker.remove("h"));
    CHECK(broker.remove("g"));
    fetcher.join();
    publisher.join();
    CHECK(fetching == Errc::closed);
    CHECK(publishing == Errc{});  // it goes on with the others: here nobody
    CHECK(broker.topic("s").stats().discarded == 1);
}

// --- what it is asked for --------------------------------------------------------------------

TEST_CASE_FIXTURE(Lives, "what cannot be is refused, with its name [6.2] [6.7] [8] [7.6]") {
    const std::pair<const char*, SubscriptionOptions> wrong[] = {
        {"SubscriptionOptions.durable", {.durable = true}},
        {"SubscriptionOptions.lease", {.lease = 0s}},
        {"SubscriptionOptions.lease", {.lease = -1ns}},
        {"SubscriptionOptions.block_for", {.block_for = -1ns}},
        {"SubscriptionOptions.backoff.first", {.backoff = {.first = -1ns}}},
        {"SubscriptionOptions.backoff.factor", {.backoff = {.factor = 0}}},
        {"SubscriptionOptions.backoff.limit", {.backoff = {.first = 2s, .limit = 1s}}},
    };
    for (const auto& one : wrong) {
        CAPTURE(std::string(one.first));
        CHECK(refuses([&] { return broker->subscribe("s", one.second); }, one.first));
    }
    for (const char* group : {"two words", "a.*", ">", ".", "a..b"}) {
        CHECK(refuses([&] { return broker->subscribe("s", {.group = group}); }, "position"));
    }
    for (const char* pattern : {"", "bad subject", "a.>.b", "a*", ".a", "a."}) {
        CHECK(refuses([&] { return broker->subscribe(pattern); }, "position"));
    }
    CHECK(broker->stats().subscriptions == 0);
    CHECK(broker->stats().messages == latchbox::QueueStats{});
    publish("s", "m");
    CHECK(broker->topic("s").stats().discarded == 1);
}

TEST_CASE_FIXTURE(Lives, "all that share a group say the same, replay apart [6.7] [6.2]") {
    const SubscriptionOptions there{.group = "g", .lease = 10s, .capacity = 5, .max_failures = 3};
    const auto first = broker->subscribe("s.*", there);
    publish("s.1", "m");
    const auto same = [&](auto&& change) {
        SubscriptionOptions options = there;
        change(options);
        return [this, options] { return broker->subscribe("s.*", options); };
    };
    CHECK(refuses([&] { return broker->subscribe("s.>", there); }, "pattern"));
    CHECK(refuses(same([](auto& o) { o.durable = true; }), "durable"));
    CHECK(refuses(same([](auto& o) { o.lease = 11s; }), "lease"));
    CHECK(refuses(same([](auto& o) { o.capacity = 6; }), "capacity"));
    CHECK(refuses(same([](auto& o) { o.overflow = Overflow::reject; }), "overflow"));
    CHECK(refuses(same([](auto& o) { o.block_for = 1s; }), "block_for"));
    CHECK(refuses(same([](auto& o) { o.max_failures = 2; }), "max_failures"));
    CHECK(refuses(same([](auto& o) { o.max_attempts = 2; }), "max_attempts"));
    CHECK(refuses(same([](auto& o) { o.backoff.factor = 3; }), "backoff"));
    CHECK(refuses(same([](auto& o) { o.dead_capacity = 3; }), "dead_capacity"));
    CHECK(refuses(same([](auto& o) { o.outcome_memory = 3; }), "outcome_memory"));
    const auto second = same([](auto& o) { o.replay = true; })();
    CHECK(second == first);
    // What is meant and what is said are one.
    const auto third = same([](auto& o) { o.overflow = Overflow::drop_oldest; })();
    CHECK(third == first);
    CHECK(first.size() == 1);
    CHECK(broker->stats().subscriptions == 1);
}

TEST_CASE_FIXTURE(Lives, "queues and groups have their names together [6.7] [8]") {
    const auto queue = broker->queue("orders");
    const auto group = broker->subscribe("s", {.group = "billing"});
    CHECK(refuses([&] { return broker->subscribe("s", {.group = "orders"}); }, "orders"));
    CHECK(refuses([&] { return broker->queue("billing"); }, "billing"));
    CHECK(refuses([&] { return broker->queue("billing", {.lease = 1s}); }, "billing"));
    CHECK_FALSE(broker->find_queue("billing"));
    CHECK(broker->find_queue("orders"));
    publish("s", "m");
    CHECK(group.size() == 1);
    CHECK(broker->remove("billing"));
    CHECK(broker->queue("billing").publish("m"));
    CHECK(refuses([&] { return broker->subscribe("s", {.group = "billing"}); }, "billing"));
    CHECK(broker->remove("orders"));
    const auto now = broker->subscribe("s", {.group = "orders"});
    publish("s", "n");
    CHECK(work_off_text(now) == "n");
}

TEST_CASE_FIXTURE(Lives, "each has a name of its own, that says what it listens to [8]") {
    std::vector<Subscription> all;
    std::vector<std::string> names;
    for (const char* pattern : {"a.b", "a.b", "a.*", ">", "a.b"}) {
        all.push_back(broker->subscribe(pattern));
        const std::string& name = all.back().name();
        CHECK(name.rfind(pattern, 0) == 0);
        CHECK(all.back().pattern() == pattern);
        names.push_back(name);
        // Nobody else can get at it by that.
        CHECK_FALSE(broker->remove(name));
        CHECK_FALSE(broker->find_queue(name));
        CHECK(all.back().try_fetch() == Errc::empty);
    }
    all.clear();
    names.push_back(broker->subscribe("a.b").name());
    std::sort(names.begin(), names.end());
    CHECK(std::adjacent_find(names.begin(), names.end()) == names.end());
}

TEST_CASE_FIXTURE(Lives,
                  "the longest pattern, and the longest group, are no longer than that [6.1]") {
    const std::string longest(255, 'a');
    auto one = broker->subscribe(longest, {.group = longest});
    publish(longest, "m");
    CHECK(one.name() == longest);
    CHECK(one.pop().value() == "m");
    const auto two = broker->subscribe(longest);
    CHECK(two.name().rfind(longest, 0) == 0);
    const std::string longer(256, 'a');
    CHECK(refuses([&] { return broker->subscribe("s", {.group = longer}); }, "255"));
    CHECK(refuses([&] { return broker->subscribe(longer); }, "255"));
}

// --- after the end of the broker -------------------------------------------------------------

TEST_CASE_FIXTURE(Lives, "after close every handle is closed, those made later included [7.5]") {
    auto a = broker->subscribe("s", {.lease = 10s});
    auto group = broker->subscribe("s", {.group = "g", .durable = true});
    const auto topic = broker->topic("s", {.retain_count = 1});
    const auto id = topic.publish("m");
    REQUIRE(id);
    auto held = a.try_fetch();
    const auto report = broker->close();
    CHECK(report.left() == 2);
    CHECK(report.leased == 1);
    CHECK(report.ready == 1);
    REQUIRE(report.queues.size() == 2);
    CHECK(report.queues[0].queue == a.name());
    CHECK(report.queues[1].queue == "g");
    const auto late = broker->topic("late");
    const auto late_with = broker->topic("later", {.retain_count = 3});
    auto subscription = broker->subscribe("late", {.replay = true});
    const auto member = broker->subscribe("late", {.group = "h", .durable = true});
    for (const auto* one : {&topic, &late, &late_with}) {
        CHECK(one->publish("x") == Errc::closed);
        std::vector<std::string> batch = {"x"};
        CHECK(one->publish_batch(batch) == Errc::closed);
        CHECK(one->read(*id) == Errc::closed);
        CHECK(one->read(MessageId{}) == Errc::closed);
    }
    const Subscription* const closed[] = {&a, &group, &subscription, &member};
    for (const auto* one : closed) { check_closed(*one); }
    CHECK(held->ack() == Errc::closed);
    CHECK(held->body() == "m");
    a.unsubscribe();
    group.unsubscribe();
    subscription.unsubscribe();
    CHECK(topic.stats().published == 1);
    CHECK(topic.subject() == "s");
    CHECK(broker->explain(*id).id == *id);
    CHECK(broker->latch(*id).state());
    CHECK(broker->close().left() == 2);
    CHECK(refuses([&] { return broker->topic("two words"); }, "position 3"));
    CHECK(refuses([&] { return broker->subscribe("s", {.durable = true}); }, "durable"));
}

TEST_CASE_FIXTURE(Lives, "close names the blocked copies by the id that publish returned [7.5]") {
    const auto a = broker->subscribe("s", {.group = "a"});
    const auto b = broker->subscribe("s", {.group = "b"});
    const auto gate = broker->gate();
    const auto topic = broker->topic("s");
    const auto first = topic.publish("1", {.parents = {gate.id()}});
    const auto second = topic.publish("2", {.parents = {gate.id()}});
    REQUIRE(topic.publish("3"));
    CHECK(b.cancel(*first));
    const auto report = broker->close();
    CHECK(report.blocked == 3);
    REQUIRE(report.queues.size() == 2);
    CHECK(report.queues[0].queue == "a");
    CHECK(report.queues[0].blocked == 2);
    CHECK(report.queues[0].ready == 1);
    CHECK((report.queues[0].blocked_messages == std::vector<MessageId>{*first, *second}));
    CHECK((report.queues[1].blocked_messages == std::vector<MessageId>{*second}));
}

TEST_CASE_FIXTURE(Lives, "handles outlive their broker, in whatever order they go [4.8]") {
    std::optional<Subscription> a = broker->subscribe("s");
    std::optional<Subscription> group = broker->subscribe("s", {.group = "g", .durable = true});
    std::optional<Subscription> left = broker->subscribe("s", {.group = "g", .durable = true});
    std::optional<latchbox::Topic<std::string>> topic = broker->topic("s", {.retain_count = 1});
    const auto id = topic->publish("m");
    REQUIRE(id);
    std::optional<Delivery> held = a->try_fetch().value();
    std::shared_ptr<const std::string> read = topic->read(*id).value();
    left->unsubscribe();
    auto dead = std::make_optional(group->dead_letters());
    broker.reset();
    check_closed(*a);
    check_closed(*group);
    CHECK(topic->publish("m") == Errc::closed);
    CHECK(topic->read(*id) == Errc::closed);
    CHECK(topic->subject() == "s");
    CHECK(held->subject() == "s");
    CHECK(held->id() == *id);
    CHECK(held->ack() == Errc::closed);
    CHECK(a->pattern() == "s");
    CHECK(group->group() == "g");
    a->unsubscribe();
    const auto go = [&](int which) {
        switch (which) {
            case 0: a.reset(); break;
            case 1: group.reset(); break;
            case 2: topic.reset(); break;
            case 3: held.reset(); break;
            case 4: dead.reset(); break;
            default: left.reset(); break;
        }
    };
    SUBCASE("one order") {
        for (int i = 0; i < 6; ++i) { go(i); }
    }
    SUBCASE("another") {
        for (int i = 5; i >= 0; --i) { go(i); }
    }
    SUBCASE("a third") {
        for (const int i : {3, 0, 5, 2, 4, 1}) { go(i); }
    }
    CHECK(*read == "m");
}

TEST_CASE("no handle touches the clock once the broker is gone [4.8] [misuse 30]") {
    auto clock = std::make_unique<latchbox::ManualClock>();
    auto broker = std::make_unique<Broker>(latchbox::BrokerOptions{.clock = clock.get()});
    auto a = broker->subscribe("s");
    auto b = broker->subscribe("s", {.group = "g"});
    const auto topic = broker->topic("s", {.retain_for = 10s});
    const auto id = topic.publish("m", {.delay = 1s});
    REQUIRE(id);
    broker.reset();
    clock.reset();
    check_closed(a);
    CHECK(topic.publish("m") == Errc::closed);
    CHECK(topic.read(*id) == Errc::closed);
    CHECK(topic.stats().published == 1);
    CHECK(a.stats().accepted == 1);
    b.unsubscribe();
    const auto moved = std::move(a);
}

TEST_CASE("a broker that ends with waiters ends their waits [4.8] [misuse 30]") {
    auto watched = std::make_unique<Watched>();
    auto a = watched->broker.subscribe("s");
    const auto full = watched->broker.subscribe("t", {.capacity = 1, .overflow = Overflow::block});
    const auto topic = watched->broker.topic("t");
    REQUIRE(topic.publish("1"));
    Errc fetching{};
    Errc publishing{};
    std::thread fetcher{[&] { fetching = error_of(a.fetch()); }};
    std::thread publisher{[&] { publishing = error_of(topic.publish("2")); }};
    WatchedThreads::until_asleep(2);
    watched.reset();
    fetcher.join();
    publisher.join();
    CHECK(fetching == Errc::closed);
    CHECK(publishing == Errc::closed);
}

TEST_CASE_FIXTURE(Watched, "a drain waits for the copies of subscriptions [7.5]") {
    const auto a = broker.subscribe("s", {.group = "a"});
    const auto b = broker.subscribe("s", {.group = "b", .durable = true});
    const auto topic = broker.topic("s", {.retain_count = 1});
    const auto id = topic.publish("1");
    REQUIRE(id);
    latchbox::CloseReport report;
    std::thread draining{[&] { report = broker.drain(1h); }};
    WatchedThreads::until_asleep(1);
    CHECK(topic.publish("2") == Errc::closed);
    CHECK(*topic.read(*id).value() == "1");
    CHECK(a.pop().value() == "1");
    CHECK(b.pop().value() == "1");
    draining.join();
    CHECK(report.left() == 0);
    CHECK(a.try_fetch() == Errc::closed);
}

TEST_CASE_FIXTURE(Watched, "a drain ends as the last subscription with messages does [7.5] [6.2]") {
    auto a = broker.subscribe("s");
    REQUIRE(broker.topic("s").publish("1"));
    latchbox::CloseReport report;
    std::thread draining{[&] { report = broker.drain(1h); }};
    WatchedThreads::until_asleep(1);
    a.unsubscribe();
    draining.join();
    CHECK(report.left() == 0);
}

TEST_CASE_FIXTURE(Watched, "a drain that is out of time reports the copies that are left [7.5]") {
    const auto a = broker.subscribe("s", {.group = "a"});
    REQUIRE(broker.topic("s").publish("1"));
    latchbox::CloseReport report;
    std::thread draining{[&] { report = broker.drain(10s); }};
    WatchedThreads::until_asleep(1);
    clock.advance(10s);
    draining.join();
    CHECK(report.ready == 1);
    REQUIRE(report.queues.size() == 1);
    CHECK(report.queues[0].queue == "a");
}

}  // namespace
