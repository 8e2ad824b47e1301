// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <atomic>
#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"

#include "support/sound.hpp"
#include "support/subjects.hpp"
#include "support/watched_threads.hpp"

// Wrong input to topics and subscriptions, and its right answer: nothing changes, nothing is lost.
namespace {

using namespace std::chrono_literals;
using latchbox::Duration;
using latchbox::Errc;
using latchbox::Instant;
using latchbox::LatchState;
using latchbox::MessageId;
using latchbox::MessageState;
using latchbox::OnParentFailure;
using latchbox::Overflow;
using latchbox::PublishOptions;
using latchbox::Receipt;
using latchbox::SubscriptionOptions;
using latchbox::TopicOptions;
using latchbox::Unrouted;
using support::check_sound;
using support::error_of;
using support::refuses;
using support::WatchedThreads;
using Broker = latchbox::Broker<std::string>;
using Delivery = latchbox::Delivery<std::string>;
using Subscription = latchbox::Subscription<std::string>;

struct Misuse {
    latchbox::ManualClock clock;
    Broker broker{{.clock = &clock}};
    Subscription a = broker.subscribe("s", {.lease = 10s});
    latchbox::Topic<std::string> topic = broker.topic("s");

    ~Misuse() {
        check_sound(a);
        CHECK(support::conserved(broker.stats().messages));
    }
};

// --- row 1: names ----------------------------------------------------------------------------

TEST_CASE_FIXTURE(Misuse, "unusable subjects, patterns and groups are refused [misuse 1] [6.1]") {
    const auto wrong = support::bad_names({
        {"a*", "wildcard", "position 1"},
        {"a.b>", "wildcard", "position 3"},
        {"a.>.b", "", "position 2"},
    });
    const latchbox::BrokerStats before = broker.stats();
    for (const auto& one : wrong) {
        CAPTURE(one.name);
        CHECK(refuses([&] { return broker.topic(one.name); }, one.rule, one.position));
        CHECK(refuses([&] { return broker.topic(one.name, {}); }, one.rule, one.position));
        CHECK(refuses([&] { return broker.subscribe(one.name); }, one.rule, one.position));
        if (!one.name.empty()) {
            CHECK(refuses([&] { return broker.subscribe("s", {.group = one.name}); }, one.rule,
                          one.position));
        }
        CHECK_FALSE(latchbox::check_subject(one.name));
        CHECK_FALSE(latchbox::check_pattern(one.name));
    }
    for (const char* pattern : {"*", ">", "a.*.b", "a.>", "*.>"}) {
        CHECK(refuses([&] { return broker.topic(pattern); }, "wildcard"));
        CHECK(refuses([&] { return broker.subscribe("s", {.group = pattern}); }, "wildcard"));
        CHECK(latchbox::check_pattern(pattern));
    }
    CHECK(broker.stats().topics == before.topics);
    CHECK(broker.stats().subscriptions == before.subscriptions);
}

TEST_CASE_FIXTURE(Misuse, "subjects at their limits are subjects, of whatever bytes [misuse 1]") {
    const std::string right[] = {std::string(255, 'a'),
                                 "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p",
                                 "Upper.lower",
                                 "\xc3\xa4\xc3\xb6.\xff\xfe",
                                 "a-b_c:d/e",
                                 "!",
                                 "#1",
                                 "s#1"};
    for (const std::string& name : right) {
        CAPTURE(name);
        CHECK(broker.topic(name).subject() == name);
        const auto subscription = broker.subscribe(name);
        const auto group = broker.subscribe(name, {.group = name});
        CHECK(broker.topic(name).publish(name));
        CHECK(subscription.pop().value() == name);
        CHECK(group.pop().value() == name);
        CHECK(group.name() == name);
    }
}

// --- row 2 to 4: options ---------------------------------------------------------------------

TEST_CASE_FIXTURE(Misuse, "a topic or group again is that one, or the field is named [misuse 2]") {
    const TopicOptions options{.unrouted = Unrouted::reject, .retain_count = 2, .retain_for = 1h};
    const auto first = broker.topic("t", options);
    CHECK(broker.topic("t", options) == first);
    CHECK(broker.topic("t") == first);
    CHECK(refuses([&] { return broker.topic("t", {}); }, "TopicOptions.unrouted"));
    auto other = options;
    other.retain_count = 3;
    CHECK(refuses([&] { return broker.topic("t", other); }, "TopicOptions.retain_count"));
    other = options;
    other.retain_for = 2h;
    CHECK(refuses([&] { return broker.topic("t", other); }, "TopicOptions.retain_for"));
    CHECK(first.publish("m") == Errc::no_subscriber);  // as before
    const auto group = broker.subscribe("t", {.group = "g", .lease = 1s});
    CHECK(broker.subscribe("t", {.group = "g", .lease = 1s}) == group);
    CHECK(refuses([&] { return broker.subscribe("t", {.group = "g"}); },
                  "SubscriptionOptions.lease"));
    CHECK(refuses([&] { return broker.subscribe("*", {.group = "g", .lease = 1s}); }, "pattern"));
    CHECK(broker.stats().subscriptions == 2);
}

TEST_CASE_FIXTURE(Misuse, "a negative duration is refused, NaN too [misuse 4] [misuse 6] [7.6]") {
    const std::chrono::duration<double> nan{std::numeric_limits<double>::quiet_NaN()};
    std::string body(40, 'x');
    for (const Duration wrong :
         {Duration{-1ns}, Duration{nan}, Duration{std::chrono::hours::min()}}) {
        CHECK(topic.publish(std::move(body), {.delay = wrong}) == Errc::invalid_option);
        CHECK(topic.publish(std::move(body), {.expires_in = wrong}) == Errc::invalid_option);
        CHECK(topic.publish(std::move(body), {.retain_for = wrong}) == Errc::invalid_option);
        CHECK(topic.publish(std::move(body), {.block_for = wrong}) == Errc::invalid_option);
        CHECK(a.fetch_for(wrong) == Errc::invalid_option);
        CHECK(refuses([&] { return broker.topic("t", {.retain_for = wrong}); }, "retain_for"));
        CHECK(refuses([&] { return broker.subscribe("t", {.lease = wrong}); }, "lease"));
        CHECK(refuses([&] { return broker.subscribe("t", {.block_for = wrong}); }, "block_for"));
    }
    CHECK(topic.publish(std::move(body), {.priority = 10}) == Errc::invalid_option);
    CHECK(topic.publish(std::move(body), {.delay = 1s, .expires_in = 1s}) == Errc::invalid_option);
    CHECK(body == std::string(40, 'x'));  // NOLINT: refused, so not moved from
    CHECK(topic.stats() == latchbox::TopicStats{});
    CHECK(a.stats() == latchbox::QueueStats{});
}

TEST_CASE_FIXTURE(Misuse, "a huge duration is never [misuse 6] [7.6]") {
    const Duration huge[] = {std::chrono::hours::max(),
                             std::chrono::duration<double>{std::numeric_limits<double>::infinity()},
                             std::chrono::nanoseconds::max() - 1ns, Duration::never()};
    clock.advance(1h);
    std::vector<MessageId> ids;
    int n = 0;
    for (const Duration length : huge) {
        ids.push_back(topic.publish("m", {.delay = length, .retain_for = length}).value());
        const auto kept = broker.topic("t" + std::to_string(++n), {.retain_for = length});
        const auto id = kept.publish("m", {.expires_in = length});
        REQUIRE(id);
        clock.advance(24h * 365);
        CHECK(kept.read(*id));
        const auto patient = broker.subscribe("s", {.lease = length, .block_for = length});
    }
    clock.advance(24h * 365 * 100);
    for (const MessageId& id : ids) { CHECK(topic.read(id)); }
    CHECK(a.try_fetch() == Errc::empty);
    CHECK(broker.poll().is_never());
    a.purge();
}

// --- row 11: parents -------------------------------------------------------------------------

TEST_CASE_FIXTURE(Misuse,
                  "a parent nobody can vouch for is unknown, to a topic, too "
                  "[misuse 11] [5.2]") {
    Broker foreign{{.clock = &clock}};
    const auto theirs_by_queue = foreign.queue("q").publish("theirs");
    const auto theirs = foreign.topic("s").publish("theirs");
    const auto known = topic.publish("known");
    const MessageId future = support::after(*known);
    const auto q = broker.queue("q");
    std::string body(40, 'x');
    std::vector<std::string> batch(2, body);
    const latchbox::QueueStats counts = a.stats();
    for (const MessageId& id : {MessageId{}, *theirs, *theirs_by_queue, future}) {
        CAPTURE(to_string(id));
        for (const auto policy :
             {OnParentFailure::dead_letter, OnParentFailure::deliver, OnParentFailure::hold}) {
            const PublishOptions options{
                .parents = {*known, id}, .on_parent_failure = policy, .key = "k"};
            CHECK(topic.publish(std::move(body), options) == Errc::unknown_parent);
            CHECK(topic.publish(std::as_const(body), options) == Errc::unknown_parent);
            CHECK(topic.publish_batch(batch, options) == Errc::unknown_parent);
            CHECK(q.publish(std::as_const(body), options) == Errc::unknown_parent);
            // Nor where nobody would get it.
            CHECK(broker.topic("t").publish(std::as_const(body), options) == Errc::unknown_parent);
        }
    }
    CHECK(body == std::string(40, 'x'));  // NOLINT: refused, so not moved from
    CHECK(batch == std::vector<std::string>(2, body));
    CHECK(a.stats() == counts);
    CHECK(q.stats() == latchbox::QueueStats{});
    CHECK(broker.stats().edges == 0);
    CHECK(a.pop().value() == "known");
    CHECK(broker.stats().latches == 0);
}

TEST_CASE_FIXTURE(Misuse, "a parent in a topic is waited for, or not any more [misuse 11] [5.5]") {
    const auto publish = [this](const char* body) { return topic.publish(body).value(); };
    const MessageId completed = publish("1");
    CHECK(a.pop());
    const MessageId dead = publish("2");
    CHECK(a.try_fetch()->reject());
    const MessageId failed = publish("3");
    CHECK(a.cancel(failed));
    const MessageId pending = publish("4");
    const MessageId nobody = broker.topic("nobody").publish("5").value();
    const auto other = broker.subscribe("t");
    const auto state = [&](std::vector<MessageId> parents) {
        const auto id = broker.topic("t").publish("c", {.parents = std::move(parents)});
        REQUIRE(id);
        const auto why = broker.explain(*id);
        REQUIRE(why.copies.size() == 1);
        return why.copies[0].state;
    };
    CHECK(state({completed, completed, nobody}) == MessageState::ready);
    CHECK(state({dead}) == MessageState::dead);
    CHECK(state({failed, completed}) == MessageState::dead);
    CHECK(state({pending, pending}) == MessageState::blocked);
    CHECK(a.pop());
    CHECK(other.stats().ready == 2);
    CHECK(other.stats().dead == 2);
    check_sound(other);
}

// --- row 14: receipts and ids from elsewhere -------------------------------------------------

TEST_CASE_FIXTURE(Misuse, "receipts and ids from elsewhere are unknown here [misuse 14] [4.2]") {
    const auto b = broker.subscribe("s");
    const auto q = broker.queue("q");
    const auto queued = q.publish("q");
    const auto id = topic.publish("m");
    auto mine = a.try_fetch();
    auto others = b.try_fetch();
    auto of_queue = q.try_fetch();
    const latchbox::QueueStats before = a.stats();
    for (const Receipt& receipt : {Receipt{}, others->receipt(), of_queue->receipt()}) {
        CHECK(a.ack(receipt) == Errc::unknown_message);
        CHECK(a.release(receipt) == Errc::unknown_message);
        CHECK(a.requeue(receipt) == Errc::unknown_message);
        CHECK(a.fail(receipt) == Errc::unknown_message);
        CHECK(a.reject(receipt) == Errc::unknown_message);
        CHECK(a.extend(receipt, 1h) == Errc::unknown_message);
    }
    CHECK(q.ack(mine->receipt()) == Errc::unknown_message);
    for (const MessageId& wrong : {MessageId{}, *queued}) {
        CHECK(a.cancel(wrong) == Errc::unknown_message);
        CHECK(a.dead_letters().take(wrong) == Errc::unknown_message);
        CHECK(a.dead_letters().redrive(wrong) == Errc::unknown_message);
    }
    CHECK(q.cancel(*id) == Errc::unknown_message);
    CHECK(q.dead_letters().redrive(*id) == Errc::unknown_message);
    CHECK(a.stats() == before);
    // Of a message the subscription never had.
    const auto elsewhere = broker.topic("t").publish("x");
    CHECK(a.cancel(*elsewhere) == Errc::unknown_message);
    const auto late = broker.subscribe("s");
    CHECK(late.cancel(*id) == Errc::unknown_message);
    CHECK(mine->ack());
    CHECK(a.cancel(*id) == Errc::unknown_message);
    CHECK(others->ack());
}

// --- row 24: calls from everywhere -----------------------------------------------------------

TEST_CASE_FIXTURE(Misuse, "a look at dead letters may call anything [misuse 24] [4.10]") {
    auto b = broker.subscribe("s", {.group = "g"});
    for (int i = 0; i < 3; ++i) {
        REQUIRE(topic.publish("m"));
        CHECK(b.try_fetch()->reject());
    }
    int seen = 0;
    b.dead_letters().for_each([&](const auto& letter) {
        ++seen;
        CHECK(letter.subject() == "s");
        static_cast<void>(broker.stats());
        static_cast<void>(broker.explain(letter.id()));
        static_cast<void>(topic.read(letter.id()));
        CHECK(topic.publish("n"));
        static_cast<void>(broker.topic("t", {.retain_count = 1}));
        const auto guest = broker.subscribe(">", {.replay = true});
        if (seen == 1) { CHECK(b.dead_letters().purge() == 3); }
        if (seen == 2) { b.unsubscribe(); }
        CHECK(letter.body() == "m");
    });
    CHECK(seen == 3);
    CHECK(a.stats().accepted == 6);
}

TEST_CASE("in a storm the sums hold [misuse 24] [4.1]") {
    latchbox::Broker<int> broker;
    const auto narrow = broker.subscribe("s.*", {.capacity = 4});
    const auto newest = broker.subscribe("s.>", {.capacity = 4, .overflow = Overflow::drop_newest});
    const auto wide = broker.subscribe(">", {.capacity = 100'000, .max_failures = 1});
    const auto topic = broker.topic("s.1", {.retain_count = 3});
    std::atomic<bool> over{false};
    std::atomic<bool> right{true};
    std::thread looks{[&] {
        while (!over) {
            for (const auto* one : {&narrow, &newest, &wide}) {
                const auto stats = one->stats();
                if (!support::conserved(stats)) { right = false; }
            }
            if (!support::conserved(broker.stats().messages)) { right = false; }
            const auto stats = topic.stats();
            if (stats.retained > 3) { right = false; }
        }
    }};
    std::vector<std::thread> threads;
    for (int t = 0; t < 2; ++t) {
        threads.emplace_back([&] {
            for (int n = 0; n < 2'000; ++n) {
                const auto id = topic.publish(n);
                if (!id) {
                    right = false;
                    continue;
                }
                const auto read = topic.read(*id);
                if (read && **read != n) { right = false; }
                if (!read && read != Errc::expired) { right = false; }
                const auto* one = n % 3 == 0 ? &narrow : n % 3 == 1 ? &newest : &wide;
                if (auto delivery = one->try_fetch()) {
                    n % 5 == 0 ? delivery->fail("no") : delivery->ack();
                }
            }
        });
    }
    for (std::thread& thread : threads) { thread.join(); }
    over = true;
    looks.join();
    CHECK(right);
    for (const auto* one : {&narrow, &newest, &wide}) {
        CHECK(one->stats().accepted == 4'000);
        check_sound(*one);
    }
    CHECK(topic.stats().published == 4'000);
    CHECK(topic.stats().retained == 3);
    CHECK(topic.stats().aged_out == 3'997);
}

// --- row 31 and 32: ends, and nobody there ---------------------------------------------------

TEST_CASE_FIXTURE(Misuse,
                  "what it is asked after its end is closed, whatever else is wrong "
                  "[misuse 31] [6.2] [7.7]") {
    CHECK(topic.publish("m"));
    a.unsubscribe();
    a.unsubscribe();
    CHECK(a.fetch_for(-1s) == Errc::closed);
    CHECK(a.ack(Receipt{}) == Errc::closed);
    CHECK(a.requeue(Receipt{}, -1s) == Errc::closed);
    CHECK(a.cancel(MessageId{}) == Errc::closed);
    std::stop_source stop;
    stop.request_stop();
    CHECK(a.fetch(stop.get_token()) == Errc::cancelled);
    CHECK(a.purge() == 0);
}

TEST_CASE("a waiter told to stop is cancelled, and loses nothing [misuse 27] [7.7]") {
    latchbox::ManualClock clock;
    latchbox::Broker<std::string, WatchedThreads> broker{{.clock = &clock}};
    const auto a = broker.subscribe("s");
    std::stop_source stop;
    Errc outcome{};
    std::thread waiting{[&] { outcome = error_of(a.fetch(stop.get_token())); }};
    WatchedThreads::until_asleep(1);
    stop.request_stop();
    waiting.join();
    CHECK(outcome == Errc::cancelled);
    CHECK(broker.topic("s").publish("m"));
    CHECK(a.pop().value() == "m");
}

TEST_CASE_FIXTURE(Misuse, "nobody there, and nothing to publish [misuse 32] [misuse 34] [6.5]") {
    const auto refusing = broker.topic("r", {.unrouted = Unrouted::reject});
    const auto discarding = broker.topic("d");
    std::vector<std::string> batch = {"1", "2"};
    CHECK(refusing.publish_batch(batch) == Errc::no_subscriber);
    CHECK(batch == std::vector<std::string>{"1", "2"});
    CHECK(discarding.publish_batch({})->empty());
    CHECK(discarding.stats() == latchbox::TopicStats{});
    CHECK(discarding.publish_batch(batch)->size() == 2);
    CHECK(discarding.stats().discarded == 2);
    CHECK(refusing.stats().refused == 2);
}

// --- row 38: the unknown ---------------------------------------------------------------------

TEST_CASE_FIXTURE(Misuse, "nobody makes anything up about an id nobody issued [misuse 38] [5.9]") {
    Broker foreign{{.clock = &clock}};
    const auto theirs = foreign.topic("s", {.retain_count = 1}).publish("theirs");
    const auto known = topic.publish("m", {.retain_for = 1h});
    REQUIRE(known);
    const MessageId future = support::after(*known);
    const latchbox::BrokerStats before = broker.stats();
    for (const MessageId& id : {MessageId{}, *theirs, future}) {
        CAPTURE(to_string(id));
        CHECK(broker.latch(id).state() == Errc::unknown_message);
        CHECK(broker.latch(id).wait() == Errc::unknown_message);
        CHECK(broker.explain(id) == latchbox::Explanation{.id = id});
        CHECK(to_string(broker.explain(id)) == to_string(id) + " was never issued by this broker");
        CHECK(topic.read(id) == Errc::unknown_message);
        CHECK(broker.topic("other").read(id) == Errc::unknown_message);
        CHECK(a.dead_letters().redrive(id) == Errc::unknown_message);
        CHECK(a.cancel(id) == Errc::unknown_message);
    }
    CHECK(broker.stats().latches == before.latches);
    CHECK(broker.stats().topics == before.topics);
    CHECK(broker.latch(*known).state().value() == LatchState::pending);
}

// Ids made up from a live one, bit by bit: none may be taken for it, or do harm.
TEST_CASE_FIXTURE(Misuse, "an id made up from a live one names nothing else [misuse 38] [6.6]") {
    using Parts = latchbox::detail::IdParts;
    const auto id = topic.publish("m", {.retain_for = 1h});
    REQUIRE(id);
    const std::uint64_t number = Parts::number(*id);
    for (const std::uint64_t later :
         {std::uint64_t{1} << 16, std::uint64_t{1} << 40, std::uint64_t{1} << 63}) {
        const MessageId wrong =
            Parts::message(Parts::issuer(*id), number + later, Parts::slot(*id));
        CHECK(topic.read(wrong) == Errc::unknown_message);
        CHECK(a.cancel(wrong) == Errc::unknown_message);
        CHECK(broker.latch(wrong).state() == Errc::unknown_message);
        CHECK(broker.explain(wrong).state == MessageState::never_issued);
        CHECK(a.dead_letters().take(wrong) == Errc::unknown_message);
    }
    for (std::uint32_t bit = 0; bit < 32; ++bit) {
        const auto slot = static_cast<latchbox::detail::Slot>(
            static_cast<std::uint32_t>(Parts::slot(*id)) ^ (std::uint32_t{1} << bit));
        const MessageId wrong = Parts::message(Parts::issuer(*id), Parts::number(*id), slot);
        if (wrong == *id) { continue; }
        static_cast<void>(topic.read(wrong));
        static_cast<void>(broker.explain(wrong));
        static_cast<void>(broker.latch(wrong).state());
        CHECK(a.cancel(wrong) == Errc::unknown_message);
        CHECK(a.dead_letters().take(wrong) == Errc::unknown_message);
    }
    for (int bit = 0; bit < 64; ++bit) {
        const MessageId wrong = Parts::message(
            Parts::issuer(*id), number ^ (std::uint64_t{1} << bit), Parts::slot(*id));
        CHECK_FALSE(topic.read(wrong));
        static_cast<void>(broker.explain(wrong));
        static_cast<void>(broker.latch(wrong).state());
        CHECK(a.cancel(wrong) == Errc::unknown_message);
    }
    CHECK(topic.read(*id));
    CHECK(MessageId::from_string(to_string(*id)).value() == *id);
}

// --- row 41: many of them --------------------------------------------------------------------

TEST_CASE_FIXTURE(Misuse, "attempts and failures of copies go on counting [misuse 41] [4.5]") {
    CHECK(topic.publish("m"));
    for (std::uint32_t n = 1; n <= 300; ++n) {
        auto delivery = a.try_fetch();
        REQUIRE(delivery);
        REQUIRE(delivery->attempt() == n);
        REQUIRE(delivery->failures() == n - 1);
        CHECK(delivery->fail());
        clock.advance(30s);
    }
}

}  // namespace
