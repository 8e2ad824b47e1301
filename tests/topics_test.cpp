// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"

#include "support/failing_new.hpp"
#include "support/message_kinds.hpp"
#include "support/sound.hpp"
#include "support/subjects.hpp"
#include "support/tracked_message.hpp"
#include "support/watched_threads.hpp"

// What is published to a subject reaches every matching subscription or none; each of them then
// has a message of its own, whose body all share.
namespace {

using namespace std::chrono_literals;
using latchbox::Cause;
using latchbox::Errc;
using latchbox::Instant;
using latchbox::LatchState;
using latchbox::MessageId;
using latchbox::MessageState;
using latchbox::OnParentFailure;
using latchbox::Overflow;
using latchbox::PublishOptions;
using latchbox::SubscriptionOptions;
using latchbox::Unrouted;
using support::check_sound;
using support::error_of;
using support::TrackedMessage;
using support::WatchedThreads;
using support::work_off_text;
using Broker = latchbox::Broker<std::string>;
using Delivery = latchbox::Delivery<std::string>;
using Queue = latchbox::Queue<std::string>;
using Subscription = latchbox::Subscription<std::string>;

struct Topics {
    latchbox::ManualClock clock;
    Broker broker{{.clock = &clock}};
    Queue q = broker.queue("q", {.lease = 10s});

    ~Topics() {
        check_sound(q);
        CHECK(support::conserved(broker.stats().messages));
    }
    MessageId publish(std::string_view subject, const std::string& body,
                      const PublishOptions& options = {}) {
        return broker.topic(subject).publish(body, options).value();
    }
    void publish_all(std::string_view subject, std::string_view letters,
                     const PublishOptions& options = {}) {
        for (const char c : letters) { publish(subject, std::string(1, c), options); }
    }
    LatchState latch(const MessageId& id) { return broker.latch(id).state().value(); }
    [[nodiscard]] MessageState state(const MessageId& id) const { return broker.explain(id).state; }
    [[nodiscard]] MessageId child(const MessageId& parent, OnParentFailure policy = {}) const {
        return q.publish("child", {.parents = {parent}, .on_parent_failure = policy}).value();
    }
};

template <class Msg> struct TopicsOf {
    latchbox::ManualClock clock;
    latchbox::Broker<Msg> broker{{.clock = &clock}};
};

struct WatchedTopics {
    using Subscription = latchbox::Subscription<std::string, WatchedThreads>;
    latchbox::ManualClock clock;
    latchbox::Broker<std::string, WatchedThreads> broker{{.clock = &clock}};
};

// --- who gets what ---------------------------------------------------------------------------

TEST_CASE_FIXTURE(Topics, "a subject reaches the patterns that match it, and no others [6.1]") {
    const auto subjects = support::names(4, {"a", "b"});
    const auto patterns = support::names(4, {"a", "b", "*"}, {">"});
    std::vector<Subscription> all;
    for (const std::string& pattern : patterns) { all.push_back(broker.subscribe(pattern)); }
    for (const std::string& subject : subjects) {
        const MessageId id = publish(subject, subject);
        for (std::size_t i = 0; i < patterns.size(); ++i) {
            auto delivery = all[i].try_fetch();
            if (delivery.has_value() != support::matches(patterns[i], subject)) {
                CAPTURE(subject);
                CAPTURE(patterns[i]);
                FAIL_CHECK("it is there, and should not be, or the other way round");
            }
            if (!delivery) { continue; }
            CHECK(delivery->id() == id);
            CHECK(delivery->subject() == subject);
            CHECK(delivery->ack());
            CHECK(all[i].try_fetch() == Errc::empty);
        }
    }
}

TEST_CASE_FIXTURE(Topics, "wildcards stand for tokens, never for parts of them [6.1]") {
    const auto one = broker.subscribe("orders.*.paid");
    const auto rest = broker.subscribe("orders.>");
    const auto all = broker.subscribe(">");
    publish("orders.eu.paid", "1");
    publish("orders.paid", "2");
    publish("orders.eu.x.paid", "3");
    publish("orders", "4");
    publish("ordersx.eu", "5");
    publish("Orders.eu.paid", "6");
    CHECK(work_off_text(one) == "1");
    CHECK(work_off_text(rest) == "123");
    CHECK(work_off_text(all) == "123456");
}

TEST_CASE_FIXTURE(Topics, "a longest subject is matched by the longest patterns [6.1]") {
    const std::string sixteen = "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p";
    const auto stars = broker.subscribe("*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*");
    const auto fifteen = broker.subscribe("*.*.*.*.*.*.*.*.*.*.*.*.*.*.*");
    const auto tail = broker.subscribe("*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.>");
    const auto itself = broker.subscribe(sixteen);
    const std::string wide(255, 'w');
    const auto wide_itself = broker.subscribe(wide);
    publish(sixteen, "1");
    publish(wide, "2");
    CHECK(work_off_text(stars) == "1");
    CHECK(work_off_text(fifteen).empty());
    CHECK(work_off_text(tail) == "1");
    CHECK(work_off_text(itself) == "1");
    CHECK(work_off_text(wide_itself) == "2");
}

TEST_CASE_FIXTURE(Topics, "every subscription has a copy of its own under one id [6.3] [4.2]") {
    const auto a = broker.subscribe("s");
    const auto b = broker.subscribe("s");
    const MessageId id = publish("s", "m");
    auto from_a = a.try_fetch();
    auto from_b = b.try_fetch();
    REQUIRE(from_a);
    REQUIRE(from_b);
    CHECK(from_a->id() == id);
    CHECK(from_b->id() == id);
    CHECK(from_a->receipt() != from_b->receipt());
    // A receipt of one never settles the copy of another.
    CHECK(b.ack(from_a->receipt()) == Errc::unknown_message);
    CHECK(a.reject(from_b->receipt()) == Errc::unknown_message);
    CHECK(a.extend(from_b->receipt(), 1h) == Errc::unknown_message);
    CHECK(q.ack(from_a->receipt()) == Errc::unknown_message);
    CHECK(a.stats().leased == 1);
    CHECK(b.stats().leased == 1);
    // Nor does a batch.
    std::vector<Delivery> batch;
    batch.push_back(std::move(*from_b));
    CHECK(a.ack_batch(batch) == 0);
    CHECK(b.ack_batch(batch) == 1);
    CHECK(a.stats().completed == 0);
    CHECK(a.ack(from_a->receipt()));
    CHECK(from_a->ack() == Errc::lease_lost);
    check_sound(a);
    check_sound(b);
}

TEST_CASE_FIXTURE(Topics, "what one does with its copy is nothing to the other [6.3] [6.4]") {
    const auto a = broker.subscribe("s", {.max_failures = 1});
    const auto b = broker.subscribe("s");
    publish("s", "m");
    SUBCASE("acked") { CHECK(a.try_fetch()->ack()); }
    SUBCASE("dead") { CHECK(a.try_fetch()->fail("no")); }
    SUBCASE("purged") { CHECK(a.purge() == 1); }
    SUBCASE("requeued") {
        CHECK(a.try_fetch()->requeue(1h));
        CHECK(a.stats().delayed == 1);
    }
    SUBCASE("held until its lease ran out") {
        const auto held = a.try_fetch();
        clock.advance(30s);
        CHECK(a.stats().dead == 1);
    }
    auto delivery = b.try_fetch();
    REQUIRE(delivery);
    CHECK(delivery->body() == "m");
    CHECK(delivery->attempt() == 1);
    CHECK(delivery->failures() == 0);
    CHECK(delivery->ack());
    check_sound(a);
    check_sound(b);
}

TEST_CASE_FIXTURE(Topics, "those who name one group share one copy [6.2] [6.3]") {
    const auto one = broker.subscribe("s", {.group = "billing"});
    const auto two = broker.subscribe("s", {.group = "billing"});
    const auto other = broker.subscribe("s", {.group = "mail"});
    const auto alone = broker.subscribe("s");
    publish_all("s", "abcdef");
    CHECK(one.size() == 6);
    CHECK(two.size() == 6);
    std::string seen;
    while (auto delivery = (seen.size() % 2 == 0 ? one : two).try_fetch()) {
        seen += delivery->body();
        CHECK(delivery->ack());
    }
    CHECK(seen == "abcdef");
    CHECK(one == two);
    CHECK(one.stats().completed == 6);
    CHECK(work_off_text(other) == "abcdef");
    CHECK(work_off_text(alone) == "abcdef");
    CHECK(one.name() == "billing");
    CHECK(one.group() == "billing");
    CHECK(two.pattern() == "s");
    CHECK(alone.group().empty());
    check_sound(one);
}

TEST_CASE_FIXTURE(Topics, "patterns that overlap have a copy each, one group has one [6.3]") {
    const char* const patterns[] = {"a.b", "a.*", "*.b", "a.>", ">", "*.*", "a.b"};
    std::vector<Subscription> all;
    for (const char* pattern : patterns) { all.push_back(broker.subscribe(pattern)); }
    publish("a.b", "m");
    for (const auto& subscription : all) { CHECK(work_off_text(subscription) == "m"); }
    CHECK(broker.stats().messages.accepted == 7);
}

TEST_CASE_FIXTURE(Topics, "a subscription gets what is published from then on [6.2]") {
    publish("s", "before");
    const auto late = broker.subscribe("s");
    CHECK(late.try_fetch() == Errc::empty);
    CHECK(late.size() == 0);
    publish("s", "after");
    CHECK(late.pop().value() == "after");
    CHECK(late.try_fetch() == Errc::empty);
}

TEST_CASE_FIXTURE(Topics, "ten thousand subscriptions of one subject are all reached [6.3]") {
    std::vector<Subscription> all;
    for (int i = 0; i < 10'000; ++i) { all.push_back(broker.subscribe("s")); }
    CHECK(broker.stats().subscriptions == 10'000);
    const MessageId id = publish("s", "m");
    CHECK(broker.stats().messages.ready == 10'000);
    CHECK(latch(id) == LatchState::pending);
    const std::string* body = nullptr;
    for (auto& subscription : all) {
        auto delivery = subscription.try_fetch();
        REQUIRE(delivery);
        if (body == nullptr) { body = &delivery->body(); }
        REQUIRE(&delivery->body() == body);
        REQUIRE(delivery->ack());
    }
    CHECK(latch(id) == LatchState::completed);
    all.clear();
    CHECK(broker.stats().subscriptions == 0);
}

// --- one body --------------------------------------------------------------------------------

TEST_CASE("the body is shared by all copies, and never copied [6.3]") {
    TopicsOf<TrackedMessage> topics;
    auto& broker = topics.broker;
    const auto live = TrackedMessage::live();
    std::int64_t moves_for_one = 0;
    for (const int subscribers : {1, 2, 100}) {
        std::vector<latchbox::Subscription<TrackedMessage>> all;
        for (int i = 0; i < subscribers; ++i) {
            all.push_back(broker.subscribe("s", {.lease = 10s, .max_failures = 1}));
        }
        TrackedMessage::reset();
        REQUIRE(broker.topic("s", {.retain_count = 1}).publish(TrackedMessage{7}));
        CHECK(TrackedMessage::copies() == 0);
        if (subscribers == 1) { moves_for_one = TrackedMessage::moves(); }
        CHECK(TrackedMessage::moves() == moves_for_one);
        CHECK(TrackedMessage::live() == live + 1);
        TrackedMessage::reset();
        const TrackedMessage* where = nullptr;
        for (auto& subscription : all) {
            auto first = subscription.try_fetch();
            REQUIRE(first);
            if (where == nullptr) { where = &first->body(); }
            CHECK(first->release());
            CHECK(subscription.try_fetch()->fail("no"));
            CHECK(subscription.dead_letters().redrive() == 1);
            auto again = subscription.try_fetch();
            REQUIRE(again);
            CHECK(&again->body() == where);
            CHECK(again->body().digest() == 7);
            CHECK(again->ack());
        }
        // Nothing of all that moves or copies it, wherever it goes.
        CHECK(TrackedMessage::copies() == 0);
        CHECK(TrackedMessage::moves() == 0);
        CHECK(TrackedMessage::live() == live + 1);
        const TrackedMessage next{8};
        TrackedMessage::reset();
        REQUIRE(broker.topic("s").publish(next));  // the first is not retained any more
        CHECK(TrackedMessage::copies() == 1);
        CHECK(TrackedMessage::live() == live + 2);
        for (auto& subscription : all) { CHECK(subscription.purge() == 1); }
        REQUIRE(broker.topic("s").publish(next, {.retain_for = 0s}));
    }
}

TEST_CASE(
    "take copies while others can see the body, the last one moves it out [6.3] [misuse 18]") {
    TopicsOf<TrackedMessage> topics;
    auto& broker = topics.broker;
    const auto topic = broker.topic("s");
    auto a = broker.subscribe("s");
    auto b = broker.subscribe("s");
    const auto id = topic.publish(TrackedMessage{7}, {.retain_for = 10s});
    REQUIRE(id);
    TrackedMessage::reset();
    auto first = a.try_fetch();
    auto second = b.try_fetch();
    REQUIRE(first);
    REQUIRE(second);
    CHECK(first->take()->digest() == 7);
    CHECK(TrackedMessage::copies() == 1);
    CHECK(second->body().digest() == 7);
    first = Errc::empty;
    SUBCASE("retained: it is still copied") {
        CHECK(second->take()->digest() == 7);
        CHECK(TrackedMessage::copies() == 2);
        CHECK(topic.read(*id).value()->digest() == 7);
    }
    SUBCASE("not retained any more: moved") {
        topics.clock.advance(10s);
        CHECK(second->take()->digest() == 7);
        CHECK(TrackedMessage::copies() == 1);
    }
    SUBCASE("read by somebody: copied") {
        const auto read = topic.read(*id);
        topics.clock.advance(10s);
        broker.poll();
        CHECK(second->take()->digest() == 7);
        CHECK(TrackedMessage::copies() == 2);
        CHECK((*read)->digest() == 7);
    }
    SUBCASE("the other ends: moved") {
        topics.clock.advance(10s);
        broker.poll();
        a.unsubscribe();
        CHECK(second->take()->digest() == 7);
        CHECK(TrackedMessage::copies() == 1);
    }
    check_sound(b);
}

TEST_CASE("a copy that waits in another subscription keeps a body from being moved out [6.3]") {
    TopicsOf<TrackedMessage> topics;
    auto a = topics.broker.subscribe("s");
    auto b = topics.broker.subscribe("s");
    REQUIRE(topics.broker.topic("s").publish(TrackedMessage{7}));
    TrackedMessage::reset();
    CHECK(a.pop()->digest() == 7);
    CHECK(TrackedMessage::copies() == 1);
    auto held = b.try_fetch();
    REQUIRE(held);
    CHECK(held->body().digest() == 7);
    CHECK(held->take()->digest() == 7);
    CHECK(TrackedMessage::copies() == 1);
}

using MoveOnly = support::MoveOnly;

TEST_CASE("a message that can only be moved reaches all, and is taken by the last [6.3]") {
    TopicsOf<MoveOnly> topics;
    auto& broker = topics.broker;
    const auto topic = broker.topic("s");
    auto a = broker.subscribe("s");
    auto b = broker.subscribe("s");
    REQUIRE(topic.publish(MoveOnly{7}));
    auto held = a.try_fetch();
    REQUIRE(held);
    CHECK(held->body().number() == 7);
    SUBCASE("shared: the lease is kept") {
        CHECK(held->take() == Errc::body_shared);
        CHECK_FALSE(held->lease_lost());
        CHECK(b.pop() == Errc::body_shared);
        CHECK(b.pop_all() == Errc::body_shared);
        CHECK(b.stats().ready == 1);
        CHECK(b.stats().completed == 0);
        CHECK(held->ack());
        CHECK(b.pop() == Errc::body_shared);  // still in the hands of the first
    }
    SUBCASE("alone: it is moved out") {
        CHECK(b.try_fetch()->ack());
        CHECK(held->take()->number() == 7);
    }
    held = Errc::empty;
    if (b.size() != 0) { CHECK(b.pop()->number() == 7); }
    REQUIRE(topic.publish(MoveOnly{8}, {.retain_for = 10s}));
    CHECK(b.try_fetch()->ack());
    CHECK(a.pop() == Errc::body_shared);  // retained
    CHECK(a.stats().ready == 1);
    topics.clock.advance(10s);
    CHECK(a.pop()->number() == 8);
    REQUIRE(topic.publish(MoveOnly{9}));
    CHECK(a.try_fetch()->reject("no"));
    CHECK(a.dead_letters().take() == Errc::body_shared);
    CHECK(a.dead_letters().size() == 1);
    CHECK(b.purge() == 1);
    CHECK(a.dead_letters().take()->number() == 9);
    std::vector<MoveOnly> batch;
    batch.emplace_back(1);
    batch.emplace_back(2);
    CHECK(topic.publish_batch(batch)->size() == 2);
    CHECK(a.size() == 2);
    CHECK(b.size() == 2);
    check_sound(a);
    check_sound(b);
}

TEST_CASE("pop_all leaves what others see where it is, if it cannot be copied [6.3]") {
    TopicsOf<MoveOnly> topics;
    const auto topic = topics.broker.topic("s");
    const auto a = topics.broker.subscribe("s");
    const auto b = topics.broker.subscribe("s");
    for (int n = 1; n <= 3; ++n) { REQUIRE(topic.publish(MoveOnly{n})); }
    CHECK(b.try_fetch()->ack());
    auto held = b.try_fetch();
    CHECK(b.try_fetch()->ack());
    const auto taken = a.pop_all();
    REQUIRE(taken);
    REQUIRE(taken->size() == 2);
    CHECK((*taken)[0].number() == 1);
    CHECK((*taken)[1].number() == 3);
    CHECK(a.stats().ready == 1);
    CHECK(held->ack());
    held = Errc::empty;
    auto last = a.try_fetch();
    REQUIRE(last);
    CHECK(last->attempt() == 1);
    CHECK(last->take()->number() == 2);
    check_sound(a);
}

TEST_CASE_TEMPLATE("every kind of message is carried to all [6.3]", Msg, int, std::string,
                   support::CopyOnly, support::ThrowingMove, support::Aligned64, support::Empty,
                   support::SelfReferential, support::NoDefault) {
    using support::Kind;
    TopicsOf<Msg> topics;
    const auto topic = topics.broker.topic("s", {.retain_count = 2});
    const auto a = topics.broker.subscribe("s");
    const auto b = topics.broker.subscribe("*");
    const Msg kept = Kind<Msg>::make(2);
    const auto id = topic.publish(Kind<Msg>::make(1));
    REQUIRE(id);
    REQUIRE(topic.publish(kept));
    std::vector<Msg> batch;
    batch.reserve(1);
    batch.push_back(Kind<Msg>::make(3));
    REQUIRE(topic.publish_batch(batch));
    for (int n = 1; n <= 3; ++n) {
        CHECK(Kind<Msg>::number(a.pop().value()) == Kind<Msg>::expected(n));
        auto delivery = b.try_fetch();
        REQUIRE(delivery);
        CHECK(Kind<Msg>::number(delivery->body()) == Kind<Msg>::expected(n));
        CHECK(delivery->ack());
        CHECK(Kind<Msg>::number(delivery->body()) == Kind<Msg>::expected(n));
    }
    CHECK(topic.read(*id) == Errc::expired);
    const auto late = topics.broker.subscribe("s", {.replay = true});
    CHECK(late.size() == 2);
    CHECK(Kind<Msg>::number(late.pop().value()) == Kind<Msg>::expected(2));
}

// Notes which values end, in which order, from here to its own end.
class Ended {
public:
    Ended() { TrackedMessage::note_destroyed(&values); }
    ~Ended() { TrackedMessage::note_destroyed(nullptr); }
    Ended(const Ended&) = delete;
    Ended& operator=(const Ended&) = delete;
    std::vector<std::uint64_t> values;
};
using Values = std::vector<std::uint64_t>;

TEST_CASE("a body ends once, with the last who can see it [4.8] [6.3]") {
    TopicsOf<TrackedMessage> topics;
    auto& broker = topics.broker;
    const auto live = TrackedMessage::live();
    auto a = std::make_optional(broker.subscribe("s"));
    auto b = std::make_optional(broker.subscribe("s"));
    const auto topic = broker.topic("s", {.retain_for = 10s});
    Ended ended;
    const auto id = topic.publish(TrackedMessage{7});
    REQUIRE(id);
    SUBCASE("of copies alone") {
        topics.clock.advance(10s);
        broker.poll();
        CHECK(a->try_fetch()->ack());
        CHECK(ended.values.empty());
        CHECK(b->try_fetch()->ack());
    }
    SUBCASE("of one who still holds its delivery") {
        topics.clock.advance(10s);
        auto held = a->try_fetch();
        CHECK(held->ack());
        CHECK(b->purge() == 1);
        broker.poll();
        CHECK(ended.values.empty());
        CHECK(held->body().digest() == 7);
    }
    SUBCASE("of retention") {
        CHECK(a->purge() == 1);
        CHECK(b->purge() == 1);
        CHECK(ended.values.empty());
        topics.clock.advance(10s - 1ns);
        broker.poll();
        CHECK(ended.values.empty());
        topics.clock.advance(1ns);
        broker.poll();
    }
    SUBCASE("of a reader") {
        auto read = topic.read(*id);
        auto same = topic.read(*id);
        CHECK(a->purge() == 1);
        b.reset();
        topics.clock.advance(10s);
        broker.poll();
        read = Errc::empty;
        CHECK(ended.values.empty());
        CHECK((*same)->digest() == 7);
    }
    SUBCASE("of a dead letter that is looked at") {
        topics.clock.advance(10s);
        broker.poll();
        b->unsubscribe();
        CHECK(a->try_fetch()->reject("no"));
        a->dead_letters().for_each([&](const auto& letter) {
            CHECK(a->dead_letters().purge() == 1);
            CHECK(ended.values.empty());
            CHECK(letter.body().digest() == 7);
        });
    }
    SUBCASE("of subscriptions that end") {
        topics.clock.advance(10s);
        broker.poll();
        a.reset();
        CHECK(ended.values.empty());
        b.reset();
    }
    SUBCASE("of the broker") {
        broker.close();
        a.reset();
        b.reset();
    }
    CHECK(ended.values == Values{7});
    CHECK(TrackedMessage::live() == live);
}

TEST_CASE("what nobody gets ends at once [6.5] [4.8]") {
    TopicsOf<TrackedMessage> topics;
    const auto live = TrackedMessage::live();
    const auto topic = topics.broker.topic("s");
    {
        TrackedMessage message{7};
        REQUIRE(topic.publish(std::move(message)));
        TrackedMessage::reset();
        REQUIRE(topic.publish(TrackedMessage{8}));
        std::vector<TrackedMessage> batch;
        batch.emplace_back(9);
        REQUIRE(topic.publish_batch(batch));
    }
    CHECK(TrackedMessage::live() == live);
    CHECK(topic.stats().discarded == 3);
}

TEST_CASE("bodies that are dropped or age out end outside every lock [4.10] [6.4] [6.6]") {
    using support::CallsBack;
    TopicsOf<CallsBack> topics;
    auto& broker = topics.broker;
    auto small = std::make_optional(broker.subscribe("s", {.capacity = 1}));
    auto newest = std::make_optional(
        broker.subscribe("s", {.capacity = 1, .overflow = Overflow::drop_newest}));
    const auto group = broker.subscribe("s", {.group = "g", .durable = true});
    const auto topic = broker.topic("s", {.retain_count = 1, .retain_for = 10s});
    const auto q = broker.queue("q");
    int rounds = 0;
    // Every kind of call there is, from the end of a body, from its copies and its moves.
    const auto call_all = [&] {
        ++rounds;
        static_cast<void>(topic.stats());
        static_cast<void>(broker.stats());
        static_cast<void>(topic.read(MessageId{}));
        static_cast<void>(broker.explain(MessageId{}));
        if (auto delivery = group.try_fetch()) { delivery->release(); }
        if (small) { static_cast<void>(small->stats()); }
        broker.subscribe("s").unsubscribe();
        static_cast<void>(broker.topic("nobody").publish(CallsBack{0}));
        static_cast<void>(broker.topic("other", {.retain_count = 1}).stats());
        broker.queue("other").purge();
    };
    struct NoCalls {
        ~NoCalls() { CallsBack::no_calls(); }
    } const no_calls;
    CallsBack::calls = 0;
    CallsBack::on_copy = CallsBack::on_move = CallsBack::on_end = call_all;
    for (int i = 0; i < 3; ++i) {
        REQUIRE(topic.publish(CallsBack{i}));
        const CallsBack kept{i};
        REQUIRE(topic.publish(kept));
        std::vector<CallsBack> batch;
        batch.reserve(2);
        batch.emplace_back(i);
        batch.emplace_back(i);
        REQUIRE(topic.publish_batch(batch));
    }
    REQUIRE(broker.topic("nobody").publish(CallsBack{1}));
    const int published = rounds;
    CHECK(published > 0);
    CHECK(small->size() == 1);
    small.reset();
    newest->unsubscribe();
    CHECK(group.purge() == 12);
    CHECK(rounds > published);
    const int purged = rounds;
    topics.clock.advance(10s);
    broker.poll();
    CHECK(rounds > purged);
    REQUIRE(topic.publish(CallsBack{5}));
    const int last = rounds;
    CHECK(broker.remove("g"));
    {
        const auto replaying = broker.subscribe("s", {.replay = true, .capacity = 0});
        CHECK(topic.read(MessageId{}) == Errc::unknown_message);
    }
    broker.close();
    CHECK(rounds > last);
}

// --- one order -------------------------------------------------------------------------------

TEST_CASE_FIXTURE(Topics, "ids ascend over all topics, and are those of no queue [6.3] [6.7]") {
    const auto all = broker.subscribe(">");
    std::vector<MessageId> ids;
    for (const char* subject : {"a", "b", "a", "c.d", "nobody", "b"}) {
        ids.push_back(publish(subject, "m"));
        REQUIRE(q.publish("m"));
    }
    CHECK(std::is_sorted(ids.begin(), ids.end()));
    CHECK(std::adjacent_find(ids.begin(), ids.end()) == ids.end());
    for (const MessageId& id : ids) {
        auto delivery = all.try_fetch();
        REQUIRE(delivery);
        CHECK(delivery->id() == id);
        CHECK(MessageId::from_string(to_string(id)).value() == id);
        CHECK(delivery->ack());
    }
    while (auto delivery = q.try_fetch()) {
        CHECK(std::find(ids.begin(), ids.end(), delivery->id()) == ids.end());
        CHECK(delivery->ack());
    }
}

TEST_CASE("all see the publishes of one subject in one order, whoever made them [6.3] [4.4]") {
    Broker broker;
    constexpr int publishers = 4;
    constexpr int each = 2'000;
    const char* const subjects[] = {"s.0", "s.1"};
    const Subscription all[] = {broker.subscribe("s.*"), broker.subscribe(">"),
                                broker.subscribe("s.>", {.group = "g"})};
    const Subscription exact[] = {broker.subscribe("s.0"), broker.subscribe("s.1")};
    std::atomic<int> refused{0};
    std::vector<std::thread> threads;
    for (int publisher = 0; publisher < publishers; ++publisher) {
        threads.emplace_back([&, publisher] {
            const latchbox::Topic<std::string> topics[] = {broker.topic(subjects[0]),
                                                           broker.topic(subjects[1])};
            for (int n = 0; n < each; ++n) {
                const auto& topic = topics[n % 2];
                if (n % 3 == 0) {
                    std::vector<std::string> batch(1, std::to_string(publisher * each + n));
                    refused += topic.publish_batch(batch) ? 0 : 1;
                } else {
                    refused += topic.publish(std::to_string(publisher * each + n)) ? 0 : 1;
                }
            }
        });
    }
    for (std::thread& thread : threads) { thread.join(); }
    CHECK(refused == 0);
    struct Seen {
        MessageId id;
        int number = 0;
        bool operator==(const Seen&) const = default;
    };
    const auto seen_by = [](const Subscription& subscription) {
        std::vector<Seen> seen;
        while (auto delivery = subscription.try_fetch()) {
            seen.push_back({delivery->id(), std::stoi(delivery->body())});
            delivery->ack();
        }
        return seen;
    };
    const std::vector<Seen> of_each[] = {seen_by(exact[0]), seen_by(exact[1])};
    for (const auto& seen : of_each) {
        CHECK(seen.size() == publishers * each / 2);
        CHECK(std::is_sorted(seen.begin(), seen.end(),
                             [](const Seen& a, const Seen& b) { return a.id < b.id; }));
    }
    for (const auto& subscription : all) {
        // What one publisher says after another thing comes after it, whatever the subjects.
        int last[publishers] = {-1, -1, -1, -1};
        bool in_order = true;
        std::vector<Seen> by_subject[2];
        for (const Seen& seen : seen_by(subscription)) {
            int& before = last[seen.number / each];
            in_order = in_order && before < seen.number;
            before = seen.number;
            by_subject[seen.number % each % 2].push_back(seen);
        }
        CHECK(in_order);
        CHECK((by_subject[0] == of_each[0]));
        CHECK((by_subject[1] == of_each[1]));
    }
}

TEST_CASE(
    "one who joins while others publish gets whole batches, and all from then on "
    "[6.2] [6.3] [misuse 32]") {
    Broker broker;
    constexpr int batches = 400;
    constexpr int size = 5;
    std::atomic<bool> refused{false};
    std::thread publisher{[&] {
        const auto topic = broker.topic("s");
        for (int n = 0; n < batches; ++n) {
            std::vector<std::string> batch;
            for (int i = 0; i < size; ++i) { batch.push_back(std::to_string(n * size + i)); }
            if (!topic.publish_batch(batch)) { refused = true; }
        }
    }};
    std::vector<Subscription> joined;
    for (int i = 0; i < 50; ++i) { joined.push_back(broker.subscribe("s")); }
    publisher.join();
    CHECK_FALSE(refused);
    for (const auto& subscription : joined) {
        const auto bodies = support::work_off(subscription);
        REQUIRE(bodies.size() % size == 0);
        int next = batches * size - static_cast<int>(bodies.size());
        bool gap_free = true;
        for (const std::string& body : bodies) { gap_free = gap_free && std::stoi(body) == next++; }
        CHECK(gap_free);
    }
}

// --- batches ---------------------------------------------------------------------------------

TEST_CASE_FIXTURE(Topics, "a batch is that many messages, to all or to none [6.3]") {
    const auto a = broker.subscribe("s");
    const auto b = broker.subscribe("*");
    std::vector<std::string> batch = {"a", "b", "c"};
    const auto ids = broker.topic("s").publish_batch(batch);
    REQUIRE(ids);
    REQUIRE(ids->size() == 3);
    CHECK(std::is_sorted(ids->begin(), ids->end()));
    for (const auto* subscription : {&a, &b}) {
        for (std::size_t i = 0; i < 3; ++i) {
            auto delivery = subscription->try_fetch();
            REQUIRE(delivery);
            CHECK(delivery->id() == (*ids)[i]);
            CHECK(delivery->body() == std::string(1, static_cast<char>('a' + i)));
            CHECK(delivery->ack());
        }
    }
    CHECK(broker.topic("s").stats().published == 3);
    const auto none = broker.topic("s").publish_batch({});
    REQUIRE(none);
    CHECK(none->empty());
    CHECK(broker.topic("s").stats().published == 3);
    const auto full = broker.subscribe("s", {.capacity = 2, .overflow = Overflow::reject});
    batch = {"d", "e", "f"};
    CHECK(broker.topic("s").publish_batch(batch) == Errc::full);
    CHECK(batch == std::vector<std::string>{"d", "e", "f"});
    CHECK(a.size() == 0);
    CHECK(b.size() == 0);
    CHECK(full.stats().refused == 3);
    CHECK(broker.topic("s").stats().refused == 3);
    CHECK(broker.topic("s").stats().published == 3);
    batch.pop_back();
    CHECK(broker.topic("s").publish_batch(batch));
    CHECK(work_off_text(a) == "de");
    CHECK(work_off_text(full) == "de");
    check_sound(a);
    check_sound(full);
}

TEST_CASE_FIXTURE(Topics, "a batch goes as that many single publishes would [6.3] [6.4]") {
    const auto oldest = broker.subscribe("s", {.capacity = 3});
    const auto newest = broker.subscribe("s", {.capacity = 3, .overflow = Overflow::drop_newest});
    publish_all("s", "12");
    std::vector<std::string> batch = {"a", "b", "c", "d", "e"};
    REQUIRE(broker.topic("s").publish_batch(batch, {.priority = 1}));
    CHECK(work_off_text(oldest) == "cde");
    CHECK(work_off_text(newest) == "a12");
    CHECK(oldest.stats().evicted == 4);
    CHECK(newest.stats().evicted == 4);
    CHECK(oldest.stats().accepted == 7);
    CHECK(newest.stats().accepted == 7);
    check_sound(oldest);
    check_sound(newest);
}

// --- a full subscription ---------------------------------------------------------------------

TEST_CASE_FIXTURE(Topics, "drop_oldest is the default, and harms only itself, counted [6.4]") {
    const auto slow = broker.subscribe("s", {.capacity = 3});
    const auto other = broker.subscribe("s");
    publish_all("s", "abcde");
    CHECK(slow.stats().evicted == 2);
    CHECK(slow.stats().accepted == 5);
    CHECK(slow.stats().refused == 0);
    CHECK(work_off_text(slow) == "cde");
    CHECK(work_off_text(other) == "abcde");
    CHECK(other.stats().evicted == 0);
    CHECK(broker.topic("s").stats().refused == 0);
    check_sound(slow);
}

TEST_CASE_FIXTURE(Topics, "drop_oldest evicts dead ones first, then the lowest priority [6.4]") {
    const auto slow = broker.subscribe("s", {.capacity = 4});
    publish("s", "d");
    CHECK(slow.try_fetch()->reject("no"));
    publish("s", "l");
    const auto held = slow.try_fetch();
    publish("s", "h", {.priority = 5});
    publish("s", "a");
    CHECK(slow.size() == 4);
    publish("s", "b");
    CHECK(slow.stats().dead == 0);
    CHECK(slow.stats().evicted == 1);
    publish("s", "c");                 // a goes
    publish("s", "e", {.delay = 1h});  // b goes
    publish("s", "f");                 // c goes
    CHECK(slow.stats().evicted == 4);
    CHECK(slow.stats().leased == 1);
    CHECK_FALSE(held->lease_lost());
    CHECK(slow.stats().delayed == 1);
    CHECK(work_off_text(slow) == "hf");
    check_sound(slow);
}

TEST_CASE_FIXTURE(Topics, "drop_newest keeps what is there, and drops the new copy [6.4]") {
    const auto slow = broker.subscribe("s", {.capacity = 2, .overflow = Overflow::drop_newest});
    const auto other = broker.subscribe("s");
    publish_all("s", "ab");
    const MessageId dropped = publish("s", "c", {.priority = 9});
    CHECK(slow.stats().accepted == 3);
    CHECK(slow.stats().evicted == 1);
    CHECK(slow.stats().ready == 2);
    // It never was there: neither by id nor by receipt.
    CHECK(slow.cancel(dropped) == Errc::unknown_message);
    CHECK(broker.explain(dropped).copies.size() == 1);
    CHECK(work_off_text(slow) == "ab");
    CHECK(work_off_text(other) == "cab");
    CHECK(latch(dropped) == LatchState::completed);
    check_sound(slow);
}

TEST_CASE_FIXTURE(Topics, "who holds nothing but leases drops the new copy [6.4] [misuse 32]") {
    const auto slow = broker.subscribe("s", {.capacity = 2});
    const auto other = broker.subscribe("s");
    publish_all("s", "ab");
    std::vector<Delivery> held;
    REQUIRE(slow.fetch_batch(held, 2).value() == 2);
    const MessageId id = publish("s", "c");
    CHECK(slow.stats().accepted == 3);
    CHECK(slow.stats().evicted == 1);
    CHECK(slow.stats().leased == 2);
    CHECK(slow.try_fetch() == Errc::empty);
    CHECK(slow.ack_batch(held) == 2);
    publish("s", "d");
    CHECK(work_off_text(slow) == "d");
    CHECK(work_off_text(other) == "abcd");
    CHECK(latch(id) == LatchState::completed);
    check_sound(slow);
}

TEST_CASE_FIXTURE(Topics, "a capacity of 0 takes nothing, and drops or refuses [6.4] [4.12]") {
    const auto other = broker.subscribe("s");
    SUBCASE("drops") {
        const auto none = broker.subscribe("s", {.capacity = 0});
        const auto newest =
            broker.subscribe("s", {.capacity = 0, .overflow = Overflow::drop_newest});
        const MessageId id = publish("s", "a");
        for (const auto* subscription : {&none, &newest}) {
            CHECK(subscription->size() == 0);
            CHECK(subscription->stats().accepted == 1);
            CHECK(subscription->stats().evicted == 1);
            check_sound(*subscription);
        }
        CHECK(work_off_text(other) == "a");
        CHECK(latch(id) == LatchState::completed);
    }
    SUBCASE("refuses") {
        const auto overflow = Overflow::reject;
        const auto none = broker.subscribe("s", {.capacity = 0, .overflow = overflow});
        CHECK(broker.topic("s").publish("a") == Errc::full);
        CHECK(none.stats().refused == 1);
        CHECK(other.size() == 0);
    }
    SUBCASE("blocks nobody who waits for nothing") {
        const auto overflow = Overflow::block;
        const auto none = broker.subscribe("s", {.capacity = 0, .overflow = overflow});
        CHECK(broker.topic("s").publish("a") == Errc::full);
        CHECK(none.stats().refused == 1);
        CHECK(other.size() == 0);
    }
}

TEST_CASE_FIXTURE(Topics, "reject refuses the publish as a whole, and leaves nothing [6.4] [6.3]") {
    const auto before = broker.subscribe("s");
    const auto full = broker.subscribe("s", {.capacity = 2, .overflow = Overflow::reject});
    const auto also_full = broker.subscribe("*", {.capacity = 2, .overflow = Overflow::reject});
    const auto after = broker.subscribe("s", {.capacity = 2});
    const auto topic = broker.topic("s", {.retain_count = 10});
    publish_all("s", "ab");
    const auto last = topic.publish("c");
    CHECK(last == Errc::full);
    const latchbox::QueueStats counts = after.stats();
    std::string body(40, 'x');
    CHECK(topic.publish(std::move(body)) == Errc::full);
    CHECK(body == std::string(40, 'x'));  // NOLINT: refused, so not moved from
    CHECK(topic.publish(body) == Errc::full);
    CHECK(after.stats() == counts);
    CHECK(before.size() == 2);
    // The first in the order of subscribing is the one that refuses.
    CHECK(full.stats().refused == 3);
    CHECK(also_full.stats().refused == 0);
    CHECK(topic.stats().refused == 3);
    CHECK(topic.stats().published == 2);
    CHECK(topic.stats().retained == 2);
    // Nor was an id drawn: the next two are as far apart as two that follow each other.
    CHECK(full.pop());
    CHECK(also_full.pop());
    using Parts = latchbox::detail::IdParts;
    const auto second = full.try_fetch();
    REQUIRE(second);
    const std::uint64_t next = Parts::number(publish("s", "d"));
    CHECK(full.pop());
    CHECK(also_full.pop());
    const std::uint64_t after_next = Parts::number(publish("s", "e"));
    CHECK(next - Parts::number(second->id()) == after_next - next);
    CHECK(work_off_text(before) == "abde");
    CHECK(work_off_text(after) == "de");
    check_sound(full);
    check_sound(after);
}

TEST_CASE_FIXTURE(Topics, "a durable subscription rejects where it does not say [6.4]") {
    const auto durable = broker.subscribe("s", {.group = "g", .durable = true, .capacity = 1});
    const auto dropping = broker.subscribe(
        "s", {.group = "h", .durable = true, .capacity = 1, .overflow = Overflow::drop_oldest});
    publish("s", "a");
    CHECK(broker.topic("s").publish("b") == Errc::full);
    CHECK(work_off_text(durable) == "a");
    publish("s", "c");
    CHECK(work_off_text(dropping) == "c");
}

TEST_CASE_FIXTURE(Topics, "room is made by every way out [6.4] [4.12]") {
    const auto full = broker.subscribe(
        "s", {.lease = 10s, .capacity = 1, .overflow = Overflow::reject, .max_failures = 1});
    const auto topic = broker.topic("s");
    const auto way_out = [&](int way) {
        switch (way) {
            case 0: CHECK(full.try_fetch()->ack()); break;
            case 1: CHECK(full.pop()); break;
            case 2: CHECK(full.purge() == 1); break;
            case 3:
                CHECK(full.try_fetch()->reject());
                CHECK(topic.publish("x") == Errc::full);
                CHECK(full.dead_letters().purge() == 1);
                break;
            default: clock.advance(20s); break;
        }
    };
    for (int way = 0; way < 5; ++way) {
        CHECK(topic.publish("a", {.expires_in = way == 4 ? 15s : 1h}));
        CHECK(topic.publish("x") == Errc::full);
        way_out(way);
        CHECK(full.size() == 0);
    }
    check_sound(full);
}

TEST_CASE_FIXTURE(Topics, "a stuck subscriber harms nobody [6.4] [4.12]") {
    const auto stuck = broker.subscribe("s", {.lease = 1h, .capacity = 1});
    const auto absent = broker.subscribe("s", {.capacity = 5});
    const auto works = broker.subscribe("s", {.capacity = 1});
    publish("s", "first");
    auto held = stuck.try_fetch();
    REQUIRE(held);
    REQUIRE(works.pop());
    std::vector<MessageId> children;
    for (int i = 0; i < 10'000; ++i) {
        const MessageId id = publish("s", std::to_string(i));
        if (i % 1'000 == 0) { children.push_back(child(id)); }
        auto delivery = works.try_fetch();
        REQUIRE(delivery);
        REQUIRE(delivery->body() == std::to_string(i));
        REQUIRE(delivery->ack());
    }
    // Not even to the children of what it never handled.
    for (const MessageId& id : children) { CHECK(state(id) == MessageState::ready); }
    CHECK(stuck.stats().evicted == 10'000);
    CHECK(absent.stats().evicted == 10'001 - 5);
    CHECK(works.stats().evicted == 0);
    CHECK(held->body() == "first");
    CHECK(held->ack());
    q.purge();
    check_sound(stuck);
    check_sound(absent);
}

// --- a publish that waits --------------------------------------------------------------------

struct Blocking : WatchedTopics {
    Subscription full = broker.subscribe(
        "s", {.lease = 1h, .capacity = 2, .overflow = Overflow::block, .block_for = 5s});
    Subscription other = broker.subscribe("s");
    latchbox::Topic<std::string, WatchedThreads> topic = broker.topic("s");

    Blocking() {
        REQUIRE(topic.publish("a"));
        REQUIRE(topic.publish("b"));
    }
    ~Blocking() {
        check_sound(full);
        check_sound(other);
    }
};

TEST_CASE_FIXTURE(Blocking, "a publish waits for room in a subscription that blocks [6.4]") {
    Errc outcome{};
    std::thread third{[&] { outcome = error_of(topic.publish("c")); }};
    WatchedThreads::until_asleep(1);
    // Nothing of it is anywhere, and nothing of it holds others up.
    CHECK(other.size() == 2);
    CHECK(topic.stats().published == 2);
    CHECK(broker.topic("else").publish("x"));
    SUBCASE("an ack makes room") {
        CHECK(full.try_fetch()->ack());
        third.join();
        CHECK(outcome == Errc{});
        CHECK(work_off_text(full) == "bc");
        CHECK(work_off_text(other) == "abc");
        CHECK(full.stats().refused == 0);
    }
    SUBCASE("its time is over") {
        clock.advance(5s - 1ns);
        CHECK(full.stats().refused == 0);
        clock.advance(1ns);
        third.join();
        CHECK(outcome == Errc::timed_out);
        CHECK(full.stats().refused == 1);
        CHECK(topic.stats().refused == 1);
        CHECK(work_off_text(other) == "ab");
    }
    SUBCASE("the subscription it waits for ends") {
        full.unsubscribe();
        third.join();
        CHECK(outcome == Errc{});
        CHECK(work_off_text(other) == "abc");
    }
    SUBCASE("the broker closes") {
        broker.close();
        third.join();
        CHECK(outcome == Errc::closed);
    }
}

TEST_CASE_FIXTURE(Blocking,
                  "a publish may say how long it waits, and be told to stop [6.4] [7.7]") {
    CHECK(topic.publish("c", {.block_for = 0s}) == Errc::timed_out);
    std::vector<std::string> batch = {"c", "d", "e"};
    CHECK(topic.publish_batch(batch, {.block_for = 0s}) == Errc::full);  // never has room
    batch.pop_back();
    CHECK(topic.publish_batch(batch, {.block_for = 0s}) == Errc::timed_out);
    CHECK(full.stats().refused == 6);
    Errc outcome{};
    std::stop_source stop;
    std::thread third{
        [&] { outcome = error_of(topic.publish("c", {.block_for = 1h}, stop.get_token())); }};
    WatchedThreads::until_asleep(1);
    clock.advance(5s);  // the time of the subscription is not that of this publish
    stop.request_stop();
    third.join();
    CHECK(outcome == Errc::cancelled);
    CHECK(full.size() == 2);
    CHECK(other.size() == 2);
    const auto stopped = topic.publish("c", {}, stop.get_token());
    CHECK(stopped == Errc::cancelled);
}

TEST_CASE_FIXTURE(Blocking, "a publish waits for one subscription after the other [6.4]") {
    const auto second =
        broker.subscribe("s", {.lease = 1h, .capacity = 1, .overflow = Overflow::block});
    CHECK(full.pop());
    REQUIRE(topic.publish("c"));
    Errc outcome{};
    std::thread waiting{[&] { outcome = error_of(topic.publish("d", {.block_for = 1h})); }};
    WatchedThreads::until_asleep(1);
    SUBCASE("room here, then there") {
        CHECK(full.pop());
        CHECK(second.size() == 1);
        CHECK(second.pop());
    }
    SUBCASE("room there, then here") {
        CHECK(second.pop());
        CHECK(full.pop());
    }
    waiting.join();
    CHECK(outcome == Errc{});
    CHECK(work_off_text(full) == "cd");
    CHECK(work_off_text(second) == "d");
    CHECK(work_off_text(other) == "abcd");
    check_sound(second);
}

TEST_CASE_FIXTURE(Blocking, "a publish that waited is refused by who is full by then [6.4]") {
    const auto rejects = broker.subscribe("*", {.capacity = 1, .overflow = Overflow::reject});
    Errc outcome{};
    std::thread waiting{[&] { outcome = error_of(topic.publish("c")); }};
    WatchedThreads::until_asleep(1);
    REQUIRE(broker.topic("t").publish("x"));  // reaches only the one that rejects
    CHECK(full.pop());
    waiting.join();
    CHECK(outcome == Errc::full);
    CHECK(rejects.stats().refused == 1);
    CHECK(full.stats().refused == 0);
    CHECK(work_off_text(rejects) == "x");
    CHECK(work_off_text(full) == "b");
    CHECK(work_off_text(other) == "ab");
}

TEST_CASE_FIXTURE(Blocking,
                  "one who joins while a publish waits gets it, one who left does not "
                  "[6.4] [6.2]") {
    auto leaves = broker.subscribe("s");
    Errc outcome{};
    std::thread waiting{[&] { outcome = error_of(topic.publish("c", {.block_for = 1h})); }};
    WatchedThreads::until_asleep(1);
    const auto joins = broker.subscribe("*");
    leaves.unsubscribe();
    CHECK(full.pop());
    waiting.join();
    CHECK(outcome == Errc{});
    CHECK(work_off_text(joins) == "c");
    CHECK(leaves.stats().accepted == 0);
    CHECK(work_off_text(other) == "abc");
}

TEST_CASE("a publish that waited for the only subscriber is unrouted when that ends [6.4] [6.5]") {
    WatchedTopics topics;
    auto full = topics.broker.subscribe("s", {.capacity = 1, .overflow = Overflow::block});
    const auto topic = topics.broker.topic("s", {.unrouted = Unrouted::reject});
    REQUIRE(topic.publish("1"));
    Errc outcome{};
    std::thread waiting{[&] { outcome = error_of(topic.publish("2")); }};
    WatchedThreads::until_asleep(1);
    full.unsubscribe();
    waiting.join();
    CHECK(outcome == Errc::no_subscriber);
    CHECK(topic.stats().published == 1);
    CHECK(topic.stats().refused == 1);
}

TEST_CASE_FIXTURE(Blocking,
                  "a publish that waits learns what became of its parents meanwhile [6.4] [5.1]") {
    const auto q = broker.queue("q");
    const auto parent = q.publish("p");
    Errc outcome{};
    const PublishOptions child{.parents = {*parent}, .key = "k", .block_for = 1h};
    std::thread waiting{[&] { outcome = error_of(topic.publish("c", child)); }};
    WatchedThreads::until_asleep(1);
    SUBCASE("its parent fails meanwhile") {
        CHECK(q.cancel(*parent));
        CHECK(full.pop());
        waiting.join();
        CHECK(full.stats().dead == 1);
        CHECK(other.stats().dead == 1);
    }
    SUBCASE("its parent completes meanwhile") {
        CHECK(q.pop());
        CHECK(full.pop());
        waiting.join();
        CHECK(full.stats().ready == 2);
    }
    SUBCASE("nothing happens to its parent") {
        CHECK(full.pop());
        waiting.join();
        CHECK(full.stats().blocked == 1);
        CHECK(broker.stats().edges == 2);
    }
    CHECK(outcome == Errc{});
}

TEST_CASE_FIXTURE(Blocking, "a drain ends the wait of a publish [6.4] [7.5]") {
    Errc outcome{};
    std::thread waiting{[&] { outcome = error_of(topic.publish("c", {.block_for = 1h})); }};
    WatchedThreads::until_asleep(1);
    std::thread draining{[&] { broker.drain(1h); }};
    waiting.join();
    CHECK(outcome == Errc::closed);
    CHECK(work_off_text(full) == "ab");
    CHECK(work_off_text(other) == "ab");
    draining.join();
}

TEST_CASE("topics published crosswise with block hold each other up for ever never [6.4]") {
    latchbox::Broker<int> broker;
    constexpr int each = 300;
    const SubscriptionOptions narrow{
        .lease = 1h, .capacity = 2, .overflow = Overflow::block, .block_for = 1h};
    const auto a = broker.subscribe("a.*", narrow);
    const auto b = broker.subscribe("*.b", narrow);
    const auto all = broker.subscribe(">", narrow);
    std::atomic<int> refused{0};
    std::vector<std::thread> publishers;
    for (const char* subject : {"a.b", "a.x", "x.b", "a.b"}) {
        publishers.emplace_back([&, subject] {
            const auto topic = broker.topic(subject);
            for (int n = 0; n < each; ++n) { refused += topic.publish(n) ? 0 : 1; }
        });
    }
    std::atomic<int> fetched{0};
    std::vector<std::thread> fetchers;
    for (const auto* subscription : {&a, &b, &all}) {
        fetchers.emplace_back([&, subscription] {
            const int wanted = subscription == &all ? 4 * each : 3 * each;
            for (int n = 0; n < wanted; ++n) {
                auto delivery = subscription->fetch();
                if (delivery && delivery->ack()) { ++fetched; }
            }
        });
    }
    for (std::thread& thread : publishers) { thread.join(); }
    if (refused != 0) { broker.close(); }  // or the fetchers would wait for ever
    for (std::thread& thread : fetchers) { thread.join(); }
    CHECK(refused == 0);
    CHECK(fetched == 10 * each);
    for (const auto* subscription : {&a, &b, &all}) {
        CHECK(subscription->size() == 0);
        check_sound(*subscription);
    }
}

// --- wishes ----------------------------------------------------------------------------------

TEST_CASE_FIXTURE(Topics, "delay, time to live and priority are those of each copy [6.3] [7.1]") {
    const auto a = broker.subscribe("s");
    const auto b = broker.subscribe("s");
    publish("s", "1");
    publish("s", "2", {.delay = 5s});
    publish("s", "3", {.expires_in = 4s});
    publish("s", "4", {.priority = 3});
    CHECK(a.stats().delayed == 1);
    CHECK(b.stats().delayed == 1);
    CHECK(broker.poll() == Instant{4s});
    CHECK(work_off_text(a) == "413");
    clock.advance(4s);
    CHECK(b.stats().expired == 1);
    CHECK(a.stats().expired == 0);
    clock.advance(1s - 1ns);
    CHECK(a.try_fetch() == Errc::empty);
    clock.advance(1ns);
    CHECK(work_off_text(a) == "2");
    CHECK(work_off_text(b) == "412");
    check_sound(a);
    check_sound(b);
}

TEST_CASE_FIXTURE(Topics, "a key is a line in each subscription by itself [6.3] [5.7]") {
    const auto a = broker.subscribe("s.*");
    const auto b = broker.subscribe("s.>");
    publish("s.1", "1", {.key = "k"});
    publish("s.2", "2", {.key = "k", .priority = 5});
    publish("s.1", "3");
    auto first = a.try_fetch();
    REQUIRE(first);
    CHECK(first->body() == "1");
    CHECK(a.pop().value() == "3");
    CHECK(a.try_fetch() == Errc::empty);
    CHECK(a.stats().blocked == 1);
    // The other goes on at its own pace.
    CHECK(work_off_text(b) == "123");
    CHECK(first->ack());
    CHECK(a.pop().value() == "2");
    check_sound(a);
    check_sound(b);
}

TEST_CASE_FIXTURE(Topics, "the copies of a child wait, each of them, for its parents [6.3] [5.1]") {
    const auto a = broker.subscribe("s");
    const auto b = broker.subscribe("s");
    std::optional<latchbox::Gate<std::string>> gate = broker.gate();
    const auto in_queue = q.publish("p");
    const MessageId parent = publish("s", "1");
    const MessageId child = publish("s", "2", {.parents = {parent, *in_queue, gate->id()}});
    CHECK(a.stats().blocked == 1);
    CHECK(b.stats().blocked == 1);
    CHECK(state(child) == MessageState::pending);
    publish("s", "3");
    CHECK(work_off_text(a) == "13");
    CHECK(gate->count_down());
    gate.reset();
    CHECK(q.pop());
    CHECK(a.try_fetch() == Errc::empty);  // one copy of the parent is left
    CHECK(b.pop().value() == "1");
    CHECK(latch(parent) == LatchState::completed);
    CHECK(a.pop().value() == "2");
    CHECK(b.pop().value() == "2");  // at the place of its publish
    CHECK(b.pop().value() == "3");
    CHECK(latch(child) == LatchState::completed);
    CHECK(broker.stats().edges == 0);
    CHECK(broker.stats().latches == 0);
    check_sound(a);
    check_sound(b);
}

TEST_CASE_FIXTURE(Topics,
                  "what becomes of a parent becomes of every copy of its child [5.5] [6.3]") {
    const auto a = broker.subscribe("s");
    const auto b = broker.subscribe("s");
    const auto parent = q.publish("p");
    const MessageId dies = publish("s", "1", {.parents = {*parent}});
    const MessageId goes_on =
        publish("s", "2", {.parents = {*parent}, .on_parent_failure = OnParentFailure::deliver});
    const MessageId holds =
        publish("s", "3", {.parents = {*parent}, .on_parent_failure = OnParentFailure::hold});
    const MessageId grandchild = child(dies);
    CHECK(q.try_fetch()->reject("no"));
    for (const auto* subscription : {&a, &b}) {
        CHECK(subscription->stats().dead == 1);
        CHECK(subscription->stats().ready == 1);
        CHECK(subscription->stats().blocked == 1);
        subscription->dead_letters().for_each([&](const auto& letter) {
            CHECK(letter.body() == "1");
            CHECK(letter.id() == dies);
            CHECK(letter.reason().cause() == Cause::parent_failed);
            CHECK(letter.reason().parent() == *parent);
            CHECK(letter.subject() == "s");
        });
        CHECK(subscription->dead_letters().redrive(dies) == Errc::parent_failed);
    }
    CHECK(latch(dies) == LatchState::dead);
    CHECK(latch(goes_on) == LatchState::pending);
    CHECK(latch(holds) == LatchState::pending);
    CHECK(broker.explain(grandchild).reason.parent() == dies);
    CHECK(q.dead_letters().redrive(*parent));
    CHECK(q.pop().value() == "p");
    CHECK(work_off_text(a) == "23");
    CHECK(a.dead_letters().redrive(dies));
    CHECK(b.dead_letters().redrive() == 1);
    CHECK(latch(dies) == LatchState::pending);
    CHECK(work_off_text(a) == "1");
    CHECK(work_off_text(b) == "231");
    CHECK(latch(dies) == LatchState::completed);
    CHECK(q.dead_letters().redrive(grandchild));
    CHECK(q.pop().value() == "child");
    check_sound(a);
    check_sound(b);
}

TEST_CASE_FIXTURE(Topics, "a child may hang on the same topic, and on another [5.1] [6.3]") {
    const auto a = broker.subscribe("a");
    const auto b = broker.subscribe("b");
    MessageId last = publish("a", "0");
    for (int i = 1; i < 200; ++i) {
        last = publish(i % 2 == 0 ? "a" : "b", std::to_string(i), {.parents = {last}});
    }
    CHECK(broker.stats().edges == 199);
    for (int i = 0; i < 200; ++i) {
        const auto body = (i % 2 == 0 ? a : b).pop();
        REQUIRE(body);
        CHECK(*body == std::to_string(i));
        CHECK((i % 2 == 0 ? a : b).try_fetch() == Errc::empty);
    }
    CHECK(latch(last) == LatchState::completed);
}

TEST_CASE("a chain of a hundred thousand over two topics falls at one blow [5.5] [6.3]") {
    TopicsOf<int> topics;
    auto& broker = topics.broker;
    const auto a = broker.subscribe("a", {.capacity = 1'000'000});
    const auto b = broker.subscribe("b", {.capacity = 1'000'000});
    const auto to_a = broker.topic("a");
    const auto to_b = broker.topic("b");
    constexpr std::uint64_t length = 100'000;
    const auto first = to_a.publish(0);
    MessageId last = *first;
    for (std::uint64_t i = 1; i < length; ++i) {
        last = (i % 2 == 0 ? to_a : to_b).publish(1, {.parents = {last}}).value();
    }
    CHECK(a.cancel(*first));
    CHECK(a.stats().dead + b.stats().dead == length - 1);
    CHECK(broker.latch(last).state().value() == LatchState::dead);
}

// --- how a message of a topic ends -----------------------------------------------------------

struct Ends : Topics {
    Subscription a = broker.subscribe("s", {.lease = 10s, .capacity = 2, .max_failures = 1});
};

TEST_CASE_FIXTURE(Ends, "a copy that was handled completes its message [5.3]") {
    const MessageId id = publish("s", "m");
    const MessageId waits = child(id);
    CHECK(latch(id) == LatchState::pending);
    SUBCASE("ack") { CHECK(a.try_fetch()->ack()); }
    SUBCASE("take") { CHECK(a.try_fetch()->take()); }
    SUBCASE("pop") { CHECK(a.pop()); }
    SUBCASE("pop_all") { CHECK(a.pop_all()->size() == 1); }
    SUBCASE("by receipt") {
        auto delivery = a.try_fetch();
        CHECK(a.ack(std::move(*delivery).detach()));
    }
    SUBCASE("in a batch") {
        std::vector<Delivery> out;
        CHECK(a.fetch_batch(out, 5).value() == 1);
        CHECK(a.ack_batch(out) == 1);
    }
    SUBCASE("after a redrive") {
        CHECK(a.try_fetch()->fail("no"));
        CHECK(latch(id) == LatchState::dead);
        CHECK(a.dead_letters().redrive(id));
        CHECK(latch(id) == LatchState::pending);
        CHECK(a.pop());
        CHECK(q.dead_letters().redrive(waits));
    }
    CHECK(latch(id) == LatchState::completed);
    CHECK(state(waits) == MessageState::ready);
    CHECK(state(id) == MessageState::completed);
    q.purge();
    check_sound(a);
}

TEST_CASE_FIXTURE(Ends, "a copy that is gone without an ack fails its message, for good [5.3]") {
    const auto b = broker.subscribe("s");
    const MessageId id = publish("s", "m", {.expires_in = 60s});
    const MessageId waits = child(id);
    const MessageId goes_on = child(id, OnParentFailure::deliver);
    Cause cause = Cause::purged;
    SUBCASE("its time to live is over") {
        CHECK(b.pop());
        CHECK(latch(id) == LatchState::pending);
        clock.advance(60s);
        cause = Cause::expired;
    }
    SUBCASE("cancelled") {
        CHECK(a.cancel(id));
        cause = Cause::cancelled;
    }
    SUBCASE("purged") { CHECK(a.purge() == 1); }
    SUBCASE("dead and purged") {
        CHECK(a.try_fetch()->reject("no"));
        CHECK(latch(id) == LatchState::dead);
        CHECK(a.dead_letters().purge() == 1);
    }
    SUBCASE("dead and taken") {
        CHECK(a.try_fetch()->reject("no"));
        CHECK(a.dead_letters().take(id).value() == "m");
    }
    SUBCASE("dead and cancelled") {
        CHECK(a.try_fetch()->reject("no"));
        CHECK(a.cancel(id));
        cause = Cause::cancelled;
    }
    CHECK(latch(id) == LatchState::failed);
    CHECK(state(id) == MessageState::failed);
    CHECK(broker.explain(id).reason.cause() == cause);
    CHECK(state(waits) == MessageState::dead);
    CHECK(broker.explain(waits).reason.parent() == id);
    CHECK(state(goes_on) == MessageState::ready);
    // What is left of it is handled, and changes nothing any more.
    while (b.pop()) {}
    CHECK(latch(id) == LatchState::failed);
    CHECK(q.dead_letters().redrive(waits) == Errc::parent_failed);
    // Nor does it matter to be late.
    CHECK(state(child(id)) == MessageState::dead);
    q.purge();
    q.dead_letters().purge();
    check_sound(a);
    check_sound(b);
}

TEST_CASE_FIXTURE(Ends, "a dead letter beyond its room fails its message [5.3] [7.2]") {
    const auto few = broker.subscribe("d", {.max_failures = 1, .dead_capacity = 1});
    const MessageId first = publish("d", "1");
    const MessageId second = publish("d", "2");
    CHECK(few.try_fetch()->reject("no"));
    CHECK(latch(first) == LatchState::dead);
    CHECK(few.try_fetch()->reject("no"));
    CHECK(latch(first) == LatchState::failed);
    CHECK(latch(second) == LatchState::dead);
    check_sound(few);
}

TEST_CASE_FIXTURE(Ends, "what overflow drops counts as completed [5.3] [6.4]") {
    SUBCASE("ready") {
        const MessageId id = publish("s", "m");
        const MessageId waits = child(id);
        publish_all("s", "ab");
        CHECK(latch(id) == LatchState::completed);
        CHECK(state(waits) == MessageState::ready);
    }
    SUBCASE("delayed") {
        const MessageId id = publish("s", "m", {.delay = 1h});
        const MessageId waits = child(id);
        publish_all("s", "ab");
        CHECK(latch(id) == LatchState::completed);
        CHECK(state(waits) == MessageState::ready);
    }
    SUBCASE("blocked") {
        const auto gate = broker.gate();
        const MessageId id = publish("s", "m", {.parents = {gate.id()}});
        const MessageId waits = child(id);
        publish_all("s", "ab");
        CHECK(latch(id) == LatchState::completed);
        CHECK(state(waits) == MessageState::ready);
    }
    SUBCASE("dead") {
        const MessageId id = publish("s", "m");
        CHECK(a.try_fetch()->reject("no"));
        const MessageId held = child(id, OnParentFailure::hold);
        CHECK(latch(id) == LatchState::dead);
        publish_all("s", "ab");
        CHECK(latch(id) == LatchState::completed);
        CHECK(state(held) == MessageState::ready);
    }
    CHECK(broker.stats().latches == 0);
    q.purge();
    check_sound(a);
}

TEST_CASE_FIXTURE(Ends, "what is left when its subscription ends counts as completed [5.3] [6.2]") {
    std::optional<Subscription> group;
    const auto end = [&](int how) {
        switch (how) {
            case 0: a.unsubscribe(); break;
            case 1: {
                const Subscription gone = std::move(a);
                break;
            }
            default: CHECK(broker.remove("g")); break;
        }
    };
    for (int how = 0; how < 3; ++how) {
        const std::string subject = how == 2 ? "t" : "u";
        if (how == 2) {
            group = broker.subscribe(subject, {.group = "g", .durable = true, .lease = 10s});
        } else {
            a = broker.subscribe(subject, {.lease = 10s});
        }
        const Subscription& mine = how == 2 ? *group : a;
        const MessageId leased = publish(subject, "1");
        auto held = mine.try_fetch();
        REQUIRE(held);
        const MessageId dead = publish(subject, "2");
        CHECK(mine.try_fetch()->reject("no"));
        const MessageId ready = publish(subject, "3");
        const MessageId delayed = publish(subject, "4", {.delay = 1h});
        const auto gate = broker.gate();
        const MessageId blocked = publish(subject, "5", {.parents = {gate.id()}});
        const MessageId after_lease = child(leased);
        const MessageId after_dead = child(dead, OnParentFailure::hold);
        const MessageId after_ready = child(ready);
        const MessageId after_blocked = child(blocked);
        end(how);
        for (const MessageId& id : {dead, ready, delayed, blocked}) {
            CHECK(latch(id) == LatchState::completed);
        }
        for (const MessageId& id : {after_dead, after_ready, after_blocked}) {
            CHECK(state(id) == MessageState::ready);
        }
        // The one in somebody's hands counts until its lease is over.
        CHECK(latch(leased) == LatchState::pending);
        CHECK(state(after_lease) == MessageState::blocked);
        CHECK(held->body() == "1");
        CHECK(held->ack() == Errc::closed);
        CHECK(held->fail("no") == Errc::closed);
        CHECK(held->extend(1h) == Errc::closed);
        CHECK(latch(leased) == LatchState::pending);
        clock.advance(10s - 1ns);
        CHECK(latch(leased) == LatchState::pending);
        clock.advance(1ns);
        CHECK(latch(leased) == LatchState::completed);
        CHECK(state(after_lease) == MessageState::ready);
        q.purge();
    }
    CHECK(broker.stats().latches == 0);
    CHECK(broker.stats().edges == 0);
}

TEST_CASE_FIXTURE(Topics, "a message of a topic stands as its copies stand together [5.3]") {
    // Each copy ends, or does not, in one of four ways; the worst of them is what it comes to.
    constexpr LatchState ways[] = {LatchState::completed, LatchState::pending, LatchState::dead,
                                   LatchState::failed};
    const auto bring = [](const Subscription& subscription, LatchState to) {
        switch (to) {
            case LatchState::completed: CHECK(subscription.pop()); break;
            case LatchState::pending: break;
            case LatchState::dead: CHECK(subscription.try_fetch()->reject("no")); break;
            case LatchState::failed: CHECK(subscription.purge() == 1); break;
        }
    };
    const auto a = broker.subscribe("s");
    const auto b = broker.subscribe("s");
    const auto c = broker.subscribe("s");
    for (const LatchState one : ways) {
        for (const LatchState two : ways) {
            for (const LatchState three : ways) {
                const MessageId id = publish("s", "m");
                bring(b, two);
                bring(a, one);
                bring(c, three);
                const auto any = [&](LatchState s) { return one == s || two == s || three == s; };
                const LatchState expected = any(LatchState::failed)    ? LatchState::failed
                                            : any(LatchState::dead)    ? LatchState::dead
                                            : any(LatchState::pending) ? LatchState::pending
                                                                       : LatchState::completed;
                CHECK(latch(id) == expected);
                for (const auto* subscription : {&a, &b, &c}) {
                    subscription->purge();
                    subscription->dead_letters().purge();
                }
                CHECK(latch(id) ==
                      (any(LatchState::failed) || any(LatchState::dead) || any(LatchState::pending)
                           ? LatchState::failed
                           : LatchState::completed));
            }
        }
    }
    CHECK(broker.stats().latches == 0);
}

TEST_CASE_FIXTURE(Topics,
                  "a redriven copy makes its message pending, unless another is dead [5.3]") {
    const auto a = broker.subscribe("s");
    const auto b = broker.subscribe("s");
    const MessageId id = publish("s", "m");
    const MessageId held = child(id, OnParentFailure::hold);
    CHECK(a.try_fetch()->reject("no"));
    CHECK(b.try_fetch()->reject("no"));
    CHECK(a.dead_letters().redrive(id));
    CHECK(latch(id) == LatchState::dead);
    CHECK(b.dead_letters().redrive(id));
    CHECK(latch(id) == LatchState::pending);
    CHECK(state(held) == MessageState::blocked);
    CHECK(a.pop());
    CHECK(b.pop());
    CHECK(latch(id) == LatchState::completed);
    CHECK(q.pop().value() == "child");
}

TEST_CASE_FIXTURE(Topics, "one copy for a group: nobody else's handling is waited for [5.3]") {
    const auto one = broker.subscribe("s", {.group = "g"});
    const auto two = broker.subscribe("s", {.group = "g"});
    const MessageId id = publish("s", "m");
    const MessageId waits = child(id);
    CHECK(two.pop());
    CHECK(latch(id) == LatchState::completed);
    CHECK(one.try_fetch() == Errc::empty);
    CHECK(state(waits) == MessageState::ready);
    q.purge();
}

TEST_CASE("who waits for a message of a topic is woken by its last copy [5.3] [5.8]") {
    WatchedTopics topics;
    const auto a = topics.broker.subscribe("s");
    const auto b = topics.broker.subscribe("s");
    const auto id = topics.broker.topic("s").publish("m");
    REQUIRE(id);
    latchbox::Result<LatchState> waited{Errc::empty};
    std::thread waiting{[&] { waited = topics.broker.latch(*id).wait(); }};
    WatchedThreads::until_asleep(1);
    CHECK(a.pop());
    CHECK(topics.broker.latch(*id).state().value() == LatchState::pending);
    CHECK(b.pop());
    waiting.join();
    CHECK(waited.value() == LatchState::completed);
}

TEST_CASE_FIXTURE(Topics, "failed messages of topics are remembered, up to a bound [5.2] [5.3]") {
    constexpr int bound = 65'536;
    const auto a = broker.subscribe("s", {.outcome_memory = 0});
    const auto topic = broker.topic("s");
    const MessageId completed = publish("s", "m");
    CHECK(a.pop());
    const MessageId first = publish("s", "m");
    CHECK(a.purge() == 1);
    for (int i = 1; i < bound; ++i) {
        REQUIRE(topic.publish("m"));
        if (i % 1'000 == 0) { a.purge(); }
    }
    const MessageId last = publish("s", "m", {.priority = 9});
    const MessageId pending = publish("s", "m");
    CHECK(a.pop());
    CHECK(a.cancel(pending));
    const MessageId other = publish("s", "m", {.priority = 9});
    CHECK(a.pop());
    a.purge();
    CHECK(latch(last) == LatchState::completed);
    CHECK(latch(other) == LatchState::completed);
    CHECK(state(child(pending)) == MessageState::dead);
    // The oldest is forgotten, and what is older than that is known of no more.
    CHECK(broker.latch(first).state() == Errc::unknown_message);
    CHECK(q.publish("c", {.parents = {first}}) == Errc::unknown_parent);
    CHECK(topic.publish("c", {.parents = {first}}) == Errc::unknown_parent);
    CHECK(q.publish("c", {.parents = {completed}}) == Errc::unknown_parent);
    CHECK(state(first) == MessageState::forgotten);
    q.purge();
    q.dead_letters().purge();
}

TEST_CASE_FIXTURE(Topics, "messages that died or failed before their child are known to it [5.4]") {
    const auto a = broker.subscribe("s");
    const MessageId dead = publish("s", "1");
    CHECK(a.try_fetch()->reject("no"));
    const MessageId failed = publish("s", "2");
    CHECK(a.cancel(failed));
    const MessageId nobody = publish("x", "3");
    CHECK(state(child(dead)) == MessageState::dead);
    CHECK(state(child(failed)) == MessageState::dead);
    CHECK(state(child(nobody)) == MessageState::ready);
    const MessageId hold = child(dead, OnParentFailure::hold);
    CHECK(state(hold) == MessageState::blocked);
    CHECK(a.dead_letters().redrive(dead));
    CHECK(a.pop());
    CHECK(state(hold) == MessageState::ready);
    q.purge();
    q.dead_letters().purge();
}

// --- dead letters ----------------------------------------------------------------------------

TEST_CASE_FIXTURE(Topics, "a subscription keeps its own dead letters, with subject and id [6.3]") {
    const auto a = broker.subscribe(">", {.max_failures = 2, .backoff = {.first = 1s}});
    const auto b = broker.subscribe("s.>");
    const MessageId id = publish("s.x", "m");
    CHECK(a.try_fetch()->fail("first"));
    clock.advance(1s);
    auto again = a.try_fetch();
    REQUIRE(again);
    CHECK(again->failures() == 1);
    CHECK(again->subject() == "s.x");
    CHECK(again->fail("second"));
    int seen = 0;
    a.dead_letters().for_each([&](const latchbox::DeadLetter<std::string>& letter) {
        ++seen;
        CHECK(letter.id() == id);
        CHECK(letter.body() == "m");
        CHECK(letter.subject() == "s.x");
        CHECK(letter.reason().cause() == Cause::failed);
        CHECK(letter.reason().text() == "second");
        CHECK(letter.attempt() == 2);
        CHECK(letter.failures() == 2);
    });
    CHECK(seen == 1);
    // What a delivery knows it knows for as long as it is there.
    CHECK(again->subject() == "s.x");
    CHECK(again->id() == id);
    CHECK(b.dead_letters().empty());
    CHECK(b.dead_letters().take(id) == Errc::unknown_message);
    CHECK(b.dead_letters().redrive(id) == Errc::unknown_message);
    CHECK(a.dead_letters().redrive(id));
    auto redriven = a.try_fetch();
    REQUIRE(redriven);
    CHECK(redriven->attempt() == 3);
    CHECK(redriven->failures() == 0);
    CHECK(redriven->id() == id);
    CHECK(a.cancel(id) == Errc::leased);
    CHECK(redriven->reject("no"));
    CHECK(a.dead_letters().take(id).value() == "m");
    CHECK(b.cancel(id));
    CHECK(b.cancel(id) == Errc::unknown_message);
    check_sound(a);
    check_sound(b);
}

TEST_CASE_FIXTURE(Topics,
                  "a copy is found by its id, wherever it is, as long as it is there [6.3]") {
    static_cast<void>(broker.topic("s.0", {.retain_count = 50}));
    for (int n = 0; n < 50; ++n) { publish("s.0", "old"); }
    const auto a = broker.subscribe("s.*", {.replay = true, .lease = 1h});
    const auto b = broker.subscribe(">");
    const auto gate = broker.gate();
    std::vector<Delivery> held;
    std::vector<MessageId> ids;
    std::vector<MessageId> leased;
    std::vector<MessageId> dead;
    for (int round = 0; round < 3; ++round) {
        for (int n = 0; n < 400; ++n) {
            const std::string subject = "s." + std::to_string(n % 3);
            const PublishOptions wishes[] = {
                {}, {.delay = 1h}, {.parents = {gate.id()}}, {.key = "k"}};
            ids.push_back(publish(subject, "m", wishes[n % 4]));
            if (n % 10 == 0) {
                held.push_back(a.try_fetch().value());
                leased.push_back(held.back().id());
            }
            if (n % 10 == 5) {
                auto delivery = a.try_fetch();
                dead.push_back(delivery->id());
                CHECK(delivery->reject("no"));
            }
        }
        // Some go, so that places are used again.
        for (std::size_t i = 0; i < ids.size(); i += 5) { static_cast<void>(a.cancel(ids[i])); }
    }
    const auto counts = a.stats();
    std::uint64_t cancelled = counts.cancelled;
    for (const MessageId& id : dead) {
        if (!a.dead_letters().redrive(id)) { continue; }
        REQUIRE(a.dead_letters().redrive(id) == Errc::unknown_message);
        REQUIRE(a.dead_letters().take(id) == Errc::unknown_message);
    }
    for (const MessageId& id : leased) { CHECK(a.cancel(id) == Errc::leased); }
    for (const MessageId& id : ids) {
        if (std::find(leased.begin(), leased.end(), id) != leased.end()) { continue; }
        if (a.cancel(id)) { ++cancelled; }
        REQUIRE(a.cancel(id) == Errc::unknown_message);
    }
    CHECK(a.stats().cancelled == cancelled);
    // What was replayed is found as well.
    std::size_t old = 0;
    while (auto delivery = a.try_fetch()) {
        ++old;
        const MessageId id = delivery->id();
        CHECK(delivery->body() == "old");
        CHECK(delivery->release());
        CHECK(a.cancel(id));
    }
    CHECK(old + static_cast<std::size_t>(counts.dead) >= 1);
    for (Delivery& delivery : held) { CHECK(delivery.ack()); }
    CHECK(a.size() == 0);
    CHECK(b.size() == ids.size());
    check_sound(a);
    for (const MessageId& id : ids) { REQUIRE(b.cancel(id)); }
    CHECK(b.size() == 0);
    check_sound(b);
}

TEST_CASE_FIXTURE(Topics, "leases of copies run out each by itself, at its instant [4.3] [6.3]") {
    const auto quick = broker.subscribe("s", {.lease = 1s});
    const auto slow = broker.subscribe("s", {.lease = 1h});
    const MessageId id = publish("s", "m");
    auto lost = quick.try_fetch();
    auto kept = slow.try_fetch();
    CHECK(broker.poll() == Instant{1s});
    clock.advance(1s - 1ns);
    CHECK_FALSE(lost->lease_lost());
    clock.advance(1ns);
    CHECK(lost->ack() == Errc::lease_lost);
    auto again = quick.try_fetch();
    REQUIRE(again);
    CHECK(again->id() == id);
    CHECK(again->attempt() == 2);
    CHECK(again->ack());
    CHECK(kept->ack());
    CHECK(latch(id) == LatchState::completed);
}

TEST_CASE("a queue's message has no subject [8]") {
    TopicsOf<std::string> topics;
    const auto q = topics.broker.queue("q");
    REQUIRE(q.publish("m"));
    auto delivery = q.try_fetch();
    CHECK(delivery->subject().empty());
    CHECK(delivery->reject("no"));
    q.dead_letters().for_each([](const auto& letter) { CHECK(letter.subject().empty()); });
}

// --- nobody there ----------------------------------------------------------------------------

TEST_CASE_FIXTURE(Topics, "what nobody subscribed to is discarded, counted, and done [6.5] [5.3]") {
    const auto topic = broker.topic("s");
    const auto id = topic.publish("m");
    REQUIRE(id);
    CHECK(*id != MessageId{});
    CHECK(latch(*id) == LatchState::completed);
    CHECK(state(*id) == MessageState::completed);
    CHECK(state(child(*id)) == MessageState::ready);
    std::vector<std::string> batch = {"a", "b"};
    CHECK(topic.publish_batch(batch)->size() == 2);
    const auto other = broker.subscribe("other");
    CHECK(topic.publish("m"));
    CHECK(topic.stats().published == 4);
    CHECK(topic.stats().discarded == 4);
    CHECK(topic.stats().refused == 0);
    CHECK(broker.stats().discarded == 4);
    CHECK(other.size() == 0);
    q.purge();
}

TEST_CASE_FIXTURE(Topics, "or refused, where the topic says so [6.5]") {
    const auto topic = broker.topic("s", {.unrouted = Unrouted::reject});
    std::string body(40, 'x');
    CHECK(topic.publish(std::move(body)) == Errc::no_subscriber);
    CHECK(body == std::string(40, 'x'));  // NOLINT: refused, so not moved from
    std::vector<std::string> batch = {"a", "b"};
    CHECK(topic.publish_batch(batch) == Errc::no_subscriber);
    CHECK(batch == std::vector<std::string>{"a", "b"});
    CHECK(topic.stats().published == 0);
    CHECK(topic.stats().discarded == 0);
    CHECK(topic.stats().refused == 3);
    CHECK(broker.stats().messages.accepted == 0);
    {
        const auto there = broker.subscribe("*");
        CHECK(topic.publish("a"));
        CHECK(there.pop().value() == "a");
    }
    CHECK(topic.publish("b") == Errc::no_subscriber);
    // One that is full takes and drops it: somebody was there.
    const auto full = broker.subscribe("s", {.capacity = 0});
    CHECK(topic.publish("c"));
    // Other subjects are not concerned.
    CHECK(broker.topic("t").publish("d"));
}

TEST_CASE_FIXTURE(Topics, "retained and unrouted is retained, and done [6.5] [6.6]") {
    const auto topic = broker.topic("s", {.retain_count = 1});
    const auto id = topic.publish("m");
    REQUIRE(id);
    CHECK(latch(*id) == LatchState::completed);
    CHECK(*topic.read(*id).value() == "m");
    CHECK(topic.stats().discarded == 1);
    CHECK(topic.stats().retained == 1);
    const auto refusing = broker.topic("r", {.unrouted = Unrouted::reject, .retain_count = 1});
    CHECK(refusing.publish("m") == Errc::no_subscriber);
    CHECK(refusing.stats().retained == 0);
}

// --- options of a topic ----------------------------------------------------------------------

TEST_CASE_FIXTURE(Topics, "a topic's options are taken once, and then are the same [6.7] [8]") {
    const auto first = broker.topic("s");
    REQUIRE(first.publish("discarded"));
    const auto set = broker.topic("s", {.unrouted = Unrouted::reject, .retain_count = 2});
    CHECK(first == set);
    CHECK(first.publish("m") == Errc::no_subscriber);
    CHECK(broker.topic("s", {.unrouted = Unrouted::reject, .retain_count = 2}) == first);
    CHECK(broker.topic("s").publish("m") == Errc::no_subscriber);
    using support::refuses;
    CHECK(refuses([&] { return broker.topic("s", {}); }, "unrouted"));
    CHECK(
        refuses([&] { return broker.topic("s", {.unrouted = Unrouted::reject}); }, "retain_count"));
    CHECK(refuses(
        [&] {
            return broker.topic(
                "s", {.unrouted = Unrouted::reject, .retain_count = 2, .retain_for = 1s});
        },
        "retain_for"));
    CHECK(refuses([&] { return broker.topic("t", {.retain_for = -1ns}); }, "retain_for"));
    CHECK(broker.topic("t", {}) == broker.topic("t"));
    CHECK(broker.topic("t").subject() == "t");
    CHECK(broker.topic("t", {.retain_count = 1}) != first);
}

// --- retention -------------------------------------------------------------------------------

TEST_CASE_FIXTURE(Topics, "the last few stay readable, however old [6.6]") {
    const auto topic = broker.topic("s", {.retain_count = 2});
    std::vector<MessageId> ids;
    for (const char* body : {"a", "b", "c"}) { ids.push_back(publish("s", body)); }
    clock.advance(24h * 365);
    CHECK(topic.read(ids[0]) == Errc::expired);
    for (int round = 0; round < 3; ++round) {
        CHECK(*topic.read(ids[1]).value() == "b");
        CHECK(*topic.read(ids[2]).value() == "c");
    }
    CHECK(topic.read(ids[1]).value() == topic.read(ids[1]).value());  // one object
    CHECK(topic.stats().retained == 2);
    CHECK(topic.stats().aged_out == 1);
    CHECK(broker.stats().retained == 2);
    CHECK(broker.stats().aged_out == 1);
}

TEST_CASE_FIXTURE(Topics, "what is younger stays readable, to the instant [6.6] [4.3]") {
    const auto topic = broker.topic("s", {.retain_for = 10s});
    const MessageId first = publish("s", "a");
    clock.advance(4s);
    const MessageId second = publish("s", "b");
    CHECK(broker.poll() == Instant{10s});
    clock.advance(6s - 1ns);
    CHECK(*topic.read(first).value() == "a");
    clock.advance(1ns);
    CHECK(topic.read(first) == Errc::expired);
    CHECK(*topic.read(second).value() == "b");
    CHECK(topic.stats().retained == 1);
    CHECK(topic.stats().aged_out == 1);
    CHECK(broker.poll() == Instant{14s});
    clock.advance(1h);
    CHECK(broker.poll().is_never());
    CHECK(broker.stats().retained == 0);
    CHECK(broker.stats().aged_out == 2);
    CHECK(topic.read(second) == Errc::expired);
}

TEST_CASE_FIXTURE(Topics, "both limits together are both kept [6.6]") {
    const auto topic = broker.topic("s", {.retain_count = 2, .retain_for = 10s});
    const MessageId a = publish("s", "a");
    clock.advance(1s);
    const MessageId b = publish("s", "b");
    const MessageId c = publish("s", "c");
    CHECK(topic.read(a) == Errc::expired);
    CHECK(topic.read(b));
    clock.advance(10s);
    CHECK(topic.read(b) == Errc::expired);
    CHECK(topic.read(c) == Errc::expired);
    CHECK(topic.stats().aged_out == 3);
    CHECK(topic.stats().retained == 0);
}

TEST_CASE_FIXTURE(Topics, "a message's own wish replaces its topic's [6.6]") {
    const auto plain = broker.topic("plain");
    const auto id = plain.publish("m", {.retain_for = 10s});
    REQUIRE(id);
    CHECK(*plain.read(*id).value() == "m");
    const auto counted = broker.topic("counted", {.retain_count = 1, .retain_for = 1h});
    const MessageId own = publish("counted", "own", {.retain_for = 10s});
    const MessageId never =
        publish("counted", "never", {.retain_for = latchbox::Duration::never()});
    const MessageId none = publish("counted", "none", {.retain_for = 0s});
    const MessageId first = publish("counted", "first");
    CHECK(counted.read(none) == Errc::expired);
    // They are not among those that are counted.
    CHECK(counted.read(own));
    CHECK(counted.read(first));
    CHECK(counted.stats().retained == 3);
    const MessageId second = publish("counted", "second");
    CHECK(counted.read(first) == Errc::expired);
    CHECK(counted.read(own));
    clock.advance(10s);
    CHECK(counted.read(own) == Errc::expired);
    CHECK(plain.read(*id) == Errc::expired);
    CHECK(counted.read(second));
    clock.advance(24h * 1'000);
    CHECK(counted.read(second) == Errc::expired);
    CHECK(*counted.read(never).value() == "never");
    CHECK(broker.poll().is_never());
    CHECK(counted.publish("x", {.retain_for = -1ns}) == Errc::invalid_option);
    CHECK(q.publish("x", {.retain_for = 1s}) == Errc::invalid_option);
    CHECK(q.publish("x", {.retain_for = 0s}) == Errc::invalid_option);
    CHECK(q.size() == 0);
}

TEST_CASE_FIXTURE(Topics, "what each has retained for itself ages in its own order [6.6] [4.3]") {
    const auto topic = broker.topic("s");
    const MessageId longest = publish("s", "a", {.retain_for = 30s});
    const MessageId shortest = publish("s", "b", {.retain_for = 10s});
    const MessageId middle = publish("s", "c", {.retain_for = 20s});
    CHECK(broker.poll() == Instant{10s});
    clock.advance(10s);
    CHECK(topic.read(shortest) == Errc::expired);
    CHECK(topic.read(middle));
    clock.advance(10s);
    CHECK(topic.read(middle) == Errc::expired);
    CHECK(topic.read(longest));
    CHECK(broker.poll() == Instant{30s});
    const auto late = broker.subscribe("s", {.replay = true});
    CHECK(work_off_text(late) == "a");
}

TEST_CASE_FIXTURE(Topics, "retention has its bounds [6.6] [4.12]") {
    constexpr int bound = 65'536;
    const auto timed = broker.topic("timed", {.retain_for = 1h});
    const auto own = broker.topic("own");
    const MessageId first = publish("timed", "m");
    const MessageId own_first = publish("own", "m", {.retain_for = 1h});
    for (int i = 1; i < bound; ++i) {
        REQUIRE(timed.publish("m"));
        REQUIRE(own.publish("m", {.retain_for = 2h}));
    }
    CHECK(timed.read(first));
    CHECK(own.read(own_first));
    CHECK(timed.stats().retained == bound);
    REQUIRE(timed.publish("m"));
    REQUIRE(own.publish("m", {.retain_for = 2h}));
    CHECK(timed.read(first) == Errc::expired);
    CHECK(own.read(own_first) == Errc::expired);
    CHECK(timed.stats().retained == bound);
    CHECK(own.stats().retained == bound);
    CHECK(timed.stats().aged_out == 1);
    CHECK(own.stats().aged_out == 1);
}

TEST_CASE_FIXTURE(Topics, "reading is independent of delivery, and delivery of reading [6.6]") {
    const auto topic = broker.topic("s", {.retain_for = 10s});
    const auto a = broker.subscribe("s");
    const auto gate = broker.gate();
    const MessageId id = publish("s", "m");
    const MessageId blocked = publish("s", "b", {.parents = {gate.id()}});
    const MessageId expires = publish("s", "e", {.expires_in = 1s});
    CHECK(a.pop().value() == "m");
    clock.advance(1s);
    CHECK(a.stats().expired == 1);
    for (const MessageId& one : {id, blocked, expires}) { CHECK(topic.read(one)); }
    CHECK(a.cancel(blocked));
    CHECK(topic.read(blocked));
    clock.advance(8s);
    const MessageId late = publish("s", "l");
    clock.advance(1h);
    CHECK(topic.read(late) == Errc::expired);
    CHECK(a.pop().value() == "l");  // aged out, and delivered all the same
}

TEST_CASE_FIXTURE(Topics, "who asks for what is not there is told why [6.6] [misuse 38]") {
    const auto topic = broker.topic("s", {.retain_count = 1});
    const auto other = broker.topic("t", {.retain_count = 1});
    const auto plain = broker.topic("p");
    Broker foreign{{.clock = &clock}};
    const auto theirs = foreign.topic("s", {.retain_count = 1}).publish("m");
    const auto in_queue = q.publish("m");
    const MessageId here = publish("s", "m");
    const MessageId there = publish("t", "m");
    const MessageId unkept = publish("p", "m");
    const auto gate = broker.gate();
    const MessageId future = support::after(unkept);
    for (const MessageId& id :
         {MessageId{}, *theirs, *in_queue, there, unkept, gate.id(), future}) {
        CAPTURE(to_string(id));
        CHECK(topic.read(id) == Errc::unknown_message);
    }
    CHECK(other.read(here) == Errc::unknown_message);
    CHECK(plain.read(here) == Errc::unknown_message);
    CHECK(plain.read(unkept) == Errc::expired);
    CHECK(topic.read(here));
    publish("s", "n");
    CHECK(topic.read(here) == Errc::expired);
    // Also of a subject that has no state at all any more.
    CHECK(broker.topic("p").read(unkept) == Errc::expired);
    CHECK(broker.topic("p").read(here) == Errc::unknown_message);
    q.purge();
}

TEST_CASE("what was read may outlive everything [6.6] [4.8]") {
    const auto live = TrackedMessage::live();
    std::shared_ptr<const TrackedMessage> kept;
    std::shared_ptr<const TrackedMessage> also_kept;
    {
        TopicsOf<TrackedMessage> topics;
        const auto topic = topics.broker.topic("s", {.retain_count = 1});
        const auto a = topics.broker.subscribe("s");
        const auto id = topic.publish(TrackedMessage{7});
        REQUIRE(id);
        kept = topic.read(*id).value();
        also_kept = topic.read(*id).value();
        CHECK(kept == also_kept);
        CHECK(&a.try_fetch()->body() == kept.get());
        REQUIRE(topic.publish(TrackedMessage{8}));
        CHECK(topic.read(*id) == Errc::expired);
        kept.reset();
        CHECK(also_kept->digest() == 7);
    }
    CHECK(TrackedMessage::live() == live + 1);
    CHECK(also_kept->digest() == 7);
    also_kept.reset();
    CHECK(TrackedMessage::live() == live);
}

// --- replay ----------------------------------------------------------------------------------

TEST_CASE_FIXTURE(Topics, "a replay brings what is retained, in publish order, once [6.2] [6.6]") {
    for (const char* subject : {"a.1", "a.2", "b.1"}) {
        static_cast<void>(broker.topic(subject, {.retain_count = 3}));
    }
    publish("a.1", "1");
    publish("a.2", "2");
    publish("b.1", "x");
    publish("a.1", "3", {.priority = 1});
    publish("a.2", "4", {.delay = 1h});
    publish("a.1", "5", {.expires_in = 1s});
    publish("a.1", "6", {.key = "k"});
    publish("a.1", "7", {.key = "k"});
    publish("a.2", "n", {.retain_for = 0s});
    publish("a.3", "o", {.retain_for = 1h});
    clock.advance(2s);
    const auto late = broker.subscribe("a.*", {.replay = true});
    const auto plain = broker.subscribe("a.*");
    publish("a.2", "8");
    // Of a.1 the last three. They are plain messages of their priority: what was delayed, had a
    // time to live or a key of its first publish, has none of it here.
    CHECK(late.stats().ready == 7);
    CHECK(late.stats().delayed == 0);
    CHECK(late.stats().blocked == 0);
    std::string bodies;
    std::vector<MessageId> ids;
    while (auto delivery = late.try_fetch()) {
        bodies += delivery->body();
        ids.push_back(delivery->id());
        CHECK(delivery->attempt() == 1);
        CHECK(delivery->subject() ==
              (delivery->body() == "o" ? "a.3"
               : delivery->body() == "2" || delivery->body() == "4" || delivery->body() == "8"
                   ? "a.2"
                   : "a.1"));
        CHECK(delivery->ack());
    }
    CHECK(bodies == "24567o8");
    CHECK(std::is_sorted(ids.begin(), ids.end()));
    CHECK(work_off_text(plain) == "8");
    check_sound(late);
}

TEST_CASE_FIXTURE(Topics, "a replayed message keeps its priority, and its parents [6.2] [5.1]") {
    static_cast<void>(broker.topic("s", {.retain_count = 9}));
    const auto gate = broker.gate();
    publish("s", "1");
    publish("s", "2", {.priority = 5});
    publish("s", "3", {.parents = {gate.id()}, .priority = 9});
    const auto late = broker.subscribe("s", {.replay = true});
    CHECK(late.stats().blocked == 1);
    CHECK(work_off_text(late) == "21");
    CHECK(gate.count_down());
    CHECK(work_off_text(late) == "3");
    check_sound(late);
}

TEST_CASE_FIXTURE(Topics, "what is dead as it is replayed died in publish order [6.2] [5.5]") {
    static_cast<void>(broker.topic("s", {.retain_count = 9}));
    const auto parent = q.publish("p");
    for (const char* body : {"1", "2", "3"}) { publish("s", body, {.parents = {*parent}}); }
    publish("s", "4", {.parents = {*parent}, .on_parent_failure = OnParentFailure::deliver});
    CHECK(q.cancel(*parent));
    const auto late = broker.subscribe("s", {.replay = true});
    CHECK(late.stats().dead == 3);
    std::string dead;
    late.dead_letters().for_each([&](const auto& letter) {
        dead += letter.body();
        CHECK(letter.reason().parent() == *parent);
    });
    CHECK(dead == "123");
    CHECK(work_off_text(late) == "4");
    const auto few = broker.subscribe("s", {.replay = true, .dead_capacity = 1});
    CHECK(few.dead_letters().take().value() == "3");
    check_sound(late);
    check_sound(few);
}

TEST_CASE_FIXTURE(Topics, "a replay beyond the capacity keeps the latest [6.2] [6.4]") {
    static_cast<void>(broker.topic("s", {.retain_count = 9}));
    publish_all("s", "abcde");
    for (const Overflow overflow :
         {Overflow::drop_oldest, Overflow::drop_newest, Overflow::reject, Overflow::block}) {
        const auto late =
            broker.subscribe("s", {.replay = true, .capacity = 3, .overflow = overflow});
        CHECK(late.stats().evicted == 2);
        CHECK(work_off_text(late) == "cde");
        check_sound(late);
    }
    const auto none = broker.subscribe("s", {.replay = true, .capacity = 0});
    CHECK(none.size() == 0);
    check_sound(none);
}

TEST_CASE_FIXTURE(Topics, "a replayed copy is nothing to the latch of its message [6.2] [5.3]") {
    static_cast<void>(broker.topic("s", {.retain_count = 9}));
    const auto first = broker.subscribe("s");
    const MessageId done = publish("s", "a");
    CHECK(first.pop());
    const MessageId open = publish("s", "b");
    const auto late = broker.subscribe("s", {.replay = true});
    CHECK(late.size() == 2);
    CHECK(latch(done) == LatchState::completed);
    CHECK(latch(open) == LatchState::pending);
    CHECK(late.try_fetch()->reject("no"));
    CHECK(late.purge() == 1);
    CHECK(latch(done) == LatchState::completed);
    CHECK(latch(open) == LatchState::pending);
    CHECK(late.dead_letters().purge() == 1);
    CHECK(first.pop());
    CHECK(latch(open) == LatchState::completed);
    check_sound(late);
}

TEST_CASE_FIXTURE(Topics, "a group is replayed to when it is made, not to who joins it [6.2]") {
    static_cast<void>(broker.topic("s", {.retain_count = 9}));
    publish_all("s", "ab");
    const auto one = broker.subscribe("s", {.group = "g", .replay = true});
    CHECK(one.size() == 2);
    const auto two = broker.subscribe("s", {.group = "g", .replay = true});
    CHECK(one.size() == 2);
    const auto three = broker.subscribe("s", {.group = "g"});
    CHECK(three.size() == 2);
    CHECK(work_off_text(two) == "ab");
    const auto again = broker.subscribe("s", {.group = "g", .replay = true});
    CHECK(again.size() == 0);
}

TEST_CASE("a replay among publishers leaves no gap, and brings nothing twice [6.2]") {
    Broker broker;
    constexpr int count = 4'000;
    const auto topic = broker.topic("s", {.retain_count = count});
    std::thread publisher{[&] {
        for (int n = 0; n < count; ++n) { static_cast<void>(topic.publish(std::to_string(n))); }
    }};
    std::vector<Subscription> joined;
    for (int i = 0; i < 20; ++i) { joined.push_back(broker.subscribe("*", {.replay = true})); }
    publisher.join();
    for (const auto& subscription : joined) {
        const auto bodies = support::work_off(subscription);
        CHECK(bodies.size() == count);
        int next = 0;
        bool gap_free = true;
        for (const std::string& body : bodies) { gap_free = gap_free && std::stoi(body) == next++; }
        CHECK(gap_free);
    }
}

// --- looking ---------------------------------------------------------------------------------

TEST_CASE_FIXTURE(Topics, "what is explained of a topic's message is where its copies are [5.9]") {
    const auto a = broker.subscribe("s.*", {.group = "alpha"});
    const auto b = broker.subscribe("s.x");
    const auto c = broker.subscribe(">", {.group = "gamma"});
    const MessageId id = publish("s.x", "m");
    auto held = b.try_fetch();
    CHECK(c.try_fetch()->reject("bad"));
    auto why = broker.explain(id);
    CHECK(why.id == id);
    CHECK(why.subject == "s.x");
    CHECK(why.state == MessageState::dead);
    REQUIRE(why.copies.size() == 3);
    CHECK(why.copies[0] == latchbox::Explanation::Copy{"alpha", MessageState::ready});
    CHECK(why.copies[1].subscription == b.name());
    CHECK(why.copies[1].state == MessageState::leased);
    CHECK(why.copies[2] == latchbox::Explanation::Copy{"gamma", MessageState::dead});
    const std::string said = to_string(why);
    CHECK(said.find("s.x") != std::string::npos);
    CHECK(said.find(to_string(id)) != std::string::npos);
    CHECK(c.dead_letters().redrive() == 1);
    CHECK(held->ack());
    why = broker.explain(id);
    CHECK(why.state == MessageState::pending);
    CHECK(why.copies.size() == 2);
    CHECK(a.pop());
    CHECK(c.pop());
    why = broker.explain(id);
    CHECK(why.state == MessageState::completed);
    CHECK(why.copies.empty());
    const MessageId failed = publish("s.x", "n");
    CHECK(b.cancel(failed));
    CHECK(broker.explain(failed).state == MessageState::failed);
    CHECK(broker.explain(failed).reason.cause() == Cause::cancelled);
    CHECK(broker.explain(failed).copies.size() == 2);
}

TEST_CASE_FIXTURE(Topics, "counts tell what became of everything [6.4] [6.5] [6.6]") {
    const auto topic = broker.topic("s", {.retain_count = 1});
    const auto before = broker.stats();
    CHECK(before.topics == 1);
    const auto a = broker.subscribe("s", {.capacity = 1});
    const auto group = broker.subscribe("t", {.group = "g"});
    const auto same = broker.subscribe("t", {.group = "g"});
    CHECK(broker.stats().subscriptions == 2);
    publish_all("s", "abc");
    publish("u", "d");
    CHECK(topic.stats() ==
          latchbox::TopicStats{
              .published = 3, .discarded = 0, .refused = 0, .retained = 1, .aged_out = 2});
    const auto stats = broker.stats();
    CHECK(stats.discarded == 1);
    CHECK(stats.retained == 1);
    CHECK(stats.aged_out == 2);
    CHECK(stats.messages.accepted == 3);
    CHECK(stats.messages.evicted == 2);
    CHECK(broker.topic("u").stats().retained == 0);
}

// --- no state left behind --------------------------------------------------------------------

TEST_CASE("a million subjects leave nothing behind [6.7]") {
    latchbox::ManualClock clock;
    latchbox::Broker<int> broker{{.clock = &clock}};
    const auto some = broker.subscribe("some.>");
    std::string subject;
    MessageId last;
    bool all = true;
    const auto publish_to = [&](int from, int to) {
        for (int n = from; n < to; ++n) {
            subject = n % 4 == 0 ? "some." : "none.";
            subject += std::to_string(n);
            const auto id = broker.topic(subject).publish(n);
            all = all && id && last < *id;
            last = *id;
            if (n % 4 == 0) { all = all && some.pop().value() == n; }
        }
    };
    publish_to(0, 2'000);
    const auto topics = broker.stats().topics;
    const std::int64_t live = support::live_allocations();
    publish_to(2'000, 1'000'000);
    CHECK(all);
    CHECK(broker.stats().topics == topics);
    CHECK(support::live_allocations() <= live);
    CHECK(broker.stats().discarded == 750'000);
    CHECK(some.stats().completed == 250'000);
}

TEST_CASE_FIXTURE(Topics, "subjects with messages or retention let go of it with these [6.7]") {
    // What is made once, and grows with the most there ever was at a time.
    const auto round = [&](int from) {
        auto all = broker.subscribe("subject.>", {.lease = 10s});
        for (int n = 0; n < 200; ++n) {
            const std::string subject = "subject." + std::to_string(from + n);
            REQUIRE(broker.topic(subject).publish("m", {.retain_for = 5s}));
            REQUIRE(broker.topic("kept." + std::to_string(n)).publish("m", {.retain_for = 5s}));
            if (n % 2 == 0) { CHECK(all.pop()); }
        }
        clock.advance(5s);
        broker.poll();
        CHECK(broker.stats().retained == 0);
    };
    for (int i = 0; i < 3; ++i) { round(i * 1'000); }
    const auto topics = broker.stats().topics;
    const std::int64_t live = support::live_allocations();
    for (int i = 3; i < 30; ++i) { round(i * 1'000); }
    CHECK(broker.stats().topics == topics);
    CHECK(support::live_allocations() <= live);
}

TEST_CASE_FIXTURE(Topics, "subscriptions that came and went leave nothing behind [6.7]") {
    const auto round = [&](int from) {
        std::vector<Subscription> all;
        for (int n = 0; n < 100; ++n) {
            const std::string number = std::to_string(from + n);
            all.push_back(broker.subscribe("a." + number + ".*"));
            all.push_back(broker.subscribe("b.>", {.group = "g." + number}));
            publish("a." + number + ".x", "m");
        }
        publish("b.x", "m");
    };
    // What is kept for subjects that may come again has its bound, which is reached here.
    for (int i = 0; i < 5; ++i) { round(10'000 + i * 1'000); }
    const std::int64_t live = support::live_allocations();
    for (int i = 5; i < 30; ++i) { round(10'000 + i * 1'000); }
    CHECK(broker.stats().subscriptions == 0);
    CHECK(broker.stats().topics == 0);
    CHECK(support::live_allocations() <= live);
}

TEST_CASE_FIXTURE(Topics, "a long life needs no more memory than a short one [4.12] [6.7]") {
    const auto topic = broker.topic("s", {.retain_count = 10, .retain_for = 1min});
    const auto a = broker.subscribe("s", {.lease = 10s, .capacity = 50, .max_failures = 2});
    const auto b = broker.subscribe("*", {.capacity = 20, .overflow = Overflow::drop_newest});
    const auto g = broker.subscribe(">", {.group = "g", .durable = true, .dead_capacity = 3});
    MessageId last;
    bool all = true;
    const auto cycle = [&](int n) {
        PublishOptions wishes;
        if (n % 3 == 0) { wishes.key = n % 2 == 0 ? "one" : "two"; }
        if (n % 5 == 0) { wishes.delay = 2s; }
        if (n % 7 == 0) { wishes.expires_in = 20s; }
        if (n % 11 == 0 && last != MessageId{}) { wishes.parents = {last}; }
        if (n % 13 == 0) { wishes.retain_for = 5s; }
        const auto id = topic.publish(std::to_string(n), wishes);
        all = all && id.has_value();
        last = id ? *id : last;
        all = q.publish("c", {.parents = {last}, .on_parent_failure = OnParentFailure::deliver}) &&
              all;
        if (auto delivery = a.try_fetch()) { n % 4 == 0 ? delivery->fail("no") : delivery->ack(); }
        if (n % 17 == 0) { static_cast<void>(a.cancel(last)); }
        if (n % 3 == 0) { static_cast<void>(b.pop()); }
        while (auto delivery = g.try_fetch()) {
            n % 8 == 0 ? delivery->reject("no") : delivery->ack();
        }
        static_cast<void>(q.pop());
        static_cast<void>(topic.read(last));
        if (n % 100 == 0) {
            const auto guest = broker.subscribe("s", {.replay = true});
            a.dead_letters().redrive();
        }
        clock.advance(1s);
    };
    const auto rest = [&] {
        for (const auto* one : {&a, &b, &g}) {
            one->purge();
            one->dead_letters().purge();
        }
        q.purge();
        clock.advance(1h);
        broker.poll();
    };
    for (int n = 0; n < 3'000; ++n) { cycle(n); }
    rest();
    const std::int64_t live = support::live_allocations();
    for (int n = 3'000; n < 20'000; ++n) { cycle(n); }
    rest();
    CHECK(all);
    // But for what grows with the most that there was at a time.
    CHECK(support::live_allocations() <= live + 10);
    CHECK(broker.stats().latches == 0);
    CHECK(broker.stats().edges == 0);
    check_sound(a);
    check_sound(b);
    check_sound(g);
}

TEST_CASE_FIXTURE(Topics, "ids never start again, whatever was removed [6.7]") {
    MessageId last;
    for (int round = 0; round < 5; ++round) {
        const auto a = broker.subscribe("s", {.group = "g"});
        const MessageId id = publish("s", "m");
        CHECK(last < id);
        last = id;
        const auto delivery = a.try_fetch();
        CHECK(delivery->id() == id);
        CHECK(broker.remove("g"));
    }
}

TEST_CASE("a topic of one thread needs no lock [6.3] [6.4]") {
    latchbox::ManualClock clock;
    latchbox::Broker<int, latchbox::SingleThread> broker{{.clock = &clock}};
    const auto topic = broker.topic("s", {.retain_count = 1});
    const auto a = broker.subscribe("s", {.capacity = 1, .overflow = Overflow::reject});
    const auto b = broker.subscribe(">");
    const auto id = topic.publish(7);
    REQUIRE(id);
    CHECK(topic.publish(8) == Errc::full);
    CHECK(*topic.read(*id).value() == 7);
    CHECK(a.pop().value() == 7);
    CHECK(b.pop().value() == 7);
    CHECK(support::refuses([&] { return broker.subscribe("s", {.overflow = Overflow::block}); },
                           "overflow"));
}

// --- together --------------------------------------------------------------------------------

TEST_CASE("a close among publishers leaves each message with all or with none [7.5] [6.3]") {
    for (int round = 0; round < 20; ++round) {
        Broker broker;
        const auto a = broker.subscribe("s", {.group = "a"});
        const auto b = broker.subscribe("*", {.group = "b"});
        const auto c = broker.subscribe(">", {.group = "c"});
        std::atomic<int> accepted{0};
        std::atomic<int> running{0};
        std::vector<std::thread> threads;
        for (int publisher = 0; publisher < 3; ++publisher) {
            threads.emplace_back([&] {
                const auto topic = broker.topic("s");
                ++running;
                for (;;) {
                    std::vector<std::string> batch = {"1", "2"};
                    if (!topic.publish_batch(batch)) { return; }
                    accepted += 2;
                    if (!topic.publish("3")) { return; }
                    ++accepted;
                }
            });
        }
        while (running < 3 || accepted < round) { std::this_thread::yield(); }
        broker.close();
        for (std::thread& thread : threads) { thread.join(); }
        const auto count = static_cast<std::uint64_t>(accepted.load());
        for (const auto* one : {&a, &b, &c}) { CHECK(one->stats().accepted == count); }
        CHECK(broker.topic("s").stats().published <= count);
        const auto report = broker.close();
        CHECK(report.ready == 3 * count);
    }
}

TEST_CASE("a child published while the copies of its parent are acked is never stuck [5.4] [5.3]") {
    Broker broker;
    constexpr int count = 2'000;
    const auto a = broker.subscribe("s");
    const auto b = broker.subscribe("s");
    const auto children = broker.subscribe("children");
    const auto q = broker.queue("q");
    std::atomic<int> acked{0};
    std::vector<std::thread> threads;
    for (const auto* one : {&a, &b}) {
        threads.emplace_back([&, one] {
            for (int n = 0; n < count; ++n) {
                auto delivery = one->fetch();
                if (n % 7 == 0 && delivery->attempt() == 1) {
                    delivery->reject("no");
                    one->dead_letters().redrive();
                    delivery = one->fetch();
                }
                if (delivery->ack()) { ++acked; }
            }
        });
    }
    bool all = true;
    const auto hold = OnParentFailure::hold;
    for (int n = 0; n < count; ++n) {
        const auto id = broker.topic("s").publish("p");
        all = all && id;
        all = q.publish("c", {.parents = {*id}, .on_parent_failure = hold}) && all;
        all =
            broker.topic("children").publish("c", {.parents = {*id}, .on_parent_failure = hold}) &&
            all;
    }
    for (std::thread& thread : threads) { thread.join(); }
    CHECK(all);
    CHECK(acked == 2 * count);
    CHECK(q.stats().ready == count);
    CHECK(children.stats().ready == count);
    CHECK(broker.stats().edges == 0);
    CHECK(broker.stats().latches == 0);
    check_sound(a);
    check_sound(q);
    check_sound(children);
}

TEST_CASE("publishers that wait for room come in the order in which they waited [6.4] [4.9]") {
    WatchedTopics topics;
    auto& broker = topics.broker;
    const auto full =
        broker.subscribe("s", {.capacity = 1, .overflow = Overflow::block, .block_for = 1h});
    const auto other = broker.subscribe("s");
    const auto topic = broker.topic("s");
    REQUIRE(topic.publish("0"));
    std::vector<std::thread> threads;
    for (int n = 1; n <= 3; ++n) {
        threads.emplace_back([&, n] { static_cast<void>(topic.publish(std::to_string(n))); });
        WatchedThreads::until_asleep(n);
    }
    std::string seen;
    for (int n = 0; n <= 3; ++n) {
        auto delivery = full.fetch();
        REQUIRE(delivery);
        seen += delivery->body();
        CHECK(delivery->ack());
    }
    for (std::thread& thread : threads) { thread.join(); }
    CHECK(seen == "0123");
    CHECK(work_off_text(other) == "0123");
    check_sound(full);
}

TEST_CASE("a body that ends may publish to its own topic [4.10] [6.3]") {
    using support::CallsBack;
    TopicsOf<CallsBack> topics;
    auto& broker = topics.broker;
    const auto small = broker.subscribe("s", {.capacity = 2});
    const auto reject = broker.subscribe("r", {.capacity = 1, .overflow = Overflow::reject});
    const auto topic = broker.topic("s");
    struct NoCalls {
        ~NoCalls() { CallsBack::no_calls(); }
    } const no_calls;
    for (int i = 0; i < 2; ++i) { REQUIRE(topic.publish(CallsBack{i})); }
    int published = 0;
    CallsBack::on_end = [&] {
        CHECK(topic.publish(CallsBack{10 + published}));
        static_cast<void>(broker.topic("r").publish(CallsBack{1}));
        ++published;
    };
    CallsBack::on_copy = CallsBack::on_move = CallsBack::on_end;
    const CallsBack message{5};
    REQUIRE(topic.publish(message));
    CHECK(published > 0);
    CHECK(small.size() == 2);
    CHECK(reject.size() == 1);
    while (published < 20) { CHECK(small.pop()); }
    CallsBack::no_calls();
    check_sound(small);
    check_sound(reject);
}

TEST_CASE_FIXTURE(Topics, "what close leaves is told as of a queue [7.5] [5.9]") {
    const auto a = broker.subscribe("s");
    const auto b = broker.subscribe("s");
    const MessageId done = publish("s", "1");
    CHECK(a.pop());
    CHECK(b.pop());
    const MessageId open = publish("s", "2");
    CHECK(a.pop());
    const MessageId dead = publish("s", "3");
    CHECK(a.try_fetch()->reject("no"));
    const auto in_queue = q.publish("4");
    const auto dead_in_queue = q.publish("5", {.priority = 1});
    CHECK(q.try_fetch()->reject("no"));
    const auto latch_before = broker.latch(open);
    broker.close();
    CHECK(latch(done) == LatchState::completed);
    CHECK(latch(open) == latch(*in_queue));
    CHECK(latch(dead) == latch(*dead_in_queue));
    CHECK(latch_before.state().value() == latch(*in_queue));
    CHECK(state(done) == MessageState::completed);
    CHECK(state(dead) == MessageState::dead);
    CHECK(state(open) == MessageState::pending);
    CHECK(broker.explain(open).copies.size() == 1);
}

TEST_CASE_FIXTURE(Topics, "hand-outs of a copy are bounded where its subscription says so [4.5]") {
    const auto a = broker.subscribe("s", {.max_attempts = 2, .dead_capacity = 0});
    const auto b = broker.subscribe("s", {.max_attempts = 2});
    const MessageId id = publish("s", "m");
    for (const auto* one : {&a, &b}) {
        CHECK(one->try_fetch()->requeue());
        CHECK(one->try_fetch()->release());
    }
    CHECK(a.stats().purged == 1);
    CHECK(b.stats().dead == 1);
    CHECK(latch(id) == LatchState::failed);
    CHECK(b.dead_letters().redrive(id));
    CHECK(b.pop().value() == "m");
    CHECK(latch(id) == LatchState::failed);
    check_sound(a);
    check_sound(b);
}

TEST_CASE_FIXTURE(Topics, "a child in a topic says what its copies wait for [5.9]") {
    const auto a = broker.subscribe("s");
    const auto b = broker.subscribe("s");
    const MessageId parent = publish("s", "p");
    const MessageId before = publish("s", "k", {.key = "k"});
    const MessageId child = publish("s", "c", {.parents = {parent}, .key = "k"});
    auto why = broker.explain(child);
    CHECK(why.state == MessageState::pending);
    REQUIRE(why.copies.size() == 2);
    CHECK(why.copies[0].state == MessageState::blocked);
    REQUIRE(why.parents.size() == 1);
    CHECK(why.parents[0].id == parent);
    CHECK(why.parents[0].state == LatchState::pending);
    CHECK(why.key == "k");
    CHECK(why.ahead_in_key == 1);
    CHECK(to_string(why).find(to_string(parent)) != std::string::npos);
    // The first is worked off, and so the parent waits for the second alone.
    CHECK(work_off_text(a) == "pk");
    CHECK(b.pop().value() == "p");
    CHECK(work_off_text(a) == "c");
    why = broker.explain(child);
    CHECK(why.parents.empty());
    REQUIRE(why.copies.size() == 1);
    CHECK(why.copies[0].subscription == b.name());
    CHECK(why.ahead_in_key == 1);
    CHECK(b.cancel(before));
    why = broker.explain(child);
    CHECK(why.copies[0].state == MessageState::ready);
    CHECK(why.ahead_in_key == 0);
}

TEST_CASE("readers, while what they read ages out, read it whole [6.6] [4.8]") {
    latchbox::ManualClock clock;
    latchbox::Broker<std::string> broker{{.clock = &clock}};
    const auto topic = broker.topic("s", {.retain_count = 8, .retain_for = 50ns});
    const std::string text(100, 'x');
    std::atomic<bool> over{false};
    std::atomic<int> wrong{0};
    std::atomic<std::size_t> last{0};
    std::vector<MessageId> ids(4'000);
    std::vector<std::thread> threads;
    for (int t = 0; t < 2; ++t) {
        threads.emplace_back([&] {
            std::vector<std::shared_ptr<const std::string>> kept;
            while (!over) {
                const std::size_t newest = last.load();
                if (newest == 0) { continue; }
                for (std::size_t back = 1; back < 12 && back <= newest; ++back) {
                    const auto read = topic.read(ids[newest - back]);
                    if (!read && read != Errc::expired) { ++wrong; }
                    if (read && **read != text) { ++wrong; }
                    if (read) { kept.push_back(*read); }
                }
                if (kept.size() > 100) { kept.clear(); }
            }
        });
    }
    for (std::size_t n = 0; n < ids.size(); ++n) {
        ids[n] = topic.publish(text).value();
        last = n + 1;
        clock.advance(10ns);
    }
    over = true;
    for (std::thread& thread : threads) { thread.join(); }
    CHECK(wrong == 0);
    CHECK(topic.stats().retained <= 8);
}

// --- the order of the checks -----------------------------------------------------------------

TEST_CASE_FIXTURE(Topics, "what is wrong is said in one order [7.7] [6.4] [6.5]") {
    const auto topic = broker.topic("s", {.unrouted = Unrouted::reject});
    const PublishOptions both{.parents = {MessageId{}}, .priority = 10};
    const PublishOptions unknown{.parents = {MessageId{}}};
    std::stop_source stop;
    stop.request_stop();
    CHECK(topic.publish("m", both, stop.get_token()) == Errc::cancelled);
    CHECK(topic.publish("m", both) == Errc::invalid_option);
    CHECK(topic.publish("m", unknown) == Errc::unknown_parent);
    CHECK(topic.publish("m") == Errc::no_subscriber);
    const auto full = broker.subscribe("s", {.capacity = 0, .overflow = Overflow::reject});
    CHECK(topic.publish("m", unknown) == Errc::unknown_parent);
    CHECK(topic.publish("m") == Errc::full);
    CHECK(topic.publish("m", {.delay = -1ns}) == Errc::invalid_option);
    CHECK(topic.publish("m", {.delay = 2s, .expires_in = 1s}) == Errc::invalid_option);
    CHECK(topic.stats().refused == 2);
    broker.close();
    CHECK(topic.publish("m", both) == Errc::closed);
    CHECK(topic.publish("m", both, stop.get_token()) == Errc::cancelled);
}

// --- subjects that rest --------------------------------------------------------------------------

TEST_CASE_FIXTURE(Topics, "a subject rests for as long as it remembers a value [7.1] [6.7]") {
    const MessageId first = publish("valued.0", "m", {.dedup = "v"});
    for (int i = 0; i < 600; ++i) { publish("plain." + std::to_string(i), "m"); }
    CHECK(broker.stats().topics == 0);  // nobody has them in hand
    CHECK(publish("valued.0", "m", {.dedup = "v"}) == first);
    // However many of them there are.
    for (int i = 1; i < 600; ++i) { publish("valued." + std::to_string(i), "m", {.dedup = "v"}); }
    CHECK(publish("valued.0", "m", {.dedup = "v"}) == first);
    clock.advance(2min);
    // Each that comes to rest makes room for two.
    for (int i = 0; i < 900; ++i) { publish("plain." + std::to_string(i), "m"); }
    CHECK(broker.stats().topics == 0);  // nobody has them in hand
    CHECK(publish("valued.0", "m", {.dedup = "v"}) != first);
}

}  // namespace
