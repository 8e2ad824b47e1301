// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/committing.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"
#include "support/failing_new.hpp"
#include "support/sound.hpp"
#include "support/tracked_message.hpp"

// One commit, step by step: what it asks the clock, what it makes memory for, what stands for what.
namespace {

using namespace std::chrono_literals;
using latchbox::Errc;
using latchbox::Instant;
using latchbox::MessageId;
using latchbox::PublishOptions;
using latchbox::detail::Access;
using latchbox::detail::Reference;
using support::ThrowingMessage;
using support::TrackedMessage;

// Counts who wants to know the time exactly; a glance is five seconds wide.
struct CountingClock final : latchbox::Clock {
    latchbox::Duration since = 0s;
    int asked = 0;
    Instant now() noexcept override {
        ++asked;
        return Instant{} + since;
    }
    latchbox::Glance glance() noexcept override {
        return {Instant{} + since, Instant{} + since + 5s};
    }
};

template <class Msg> struct Committed {
    using Committing = latchbox::detail::Committing<Msg, latchbox::Threads>;
    using Settle = typename Committing::Settle;
    using Settling = latchbox::detail::Settling<Msg, latchbox::Threads>;
    using Naming = latchbox::detail::Naming<Msg, latchbox::Threads>;
    using Queue = latchbox::Queue<Msg>;

    CountingClock clock;
    latchbox::Broker<Msg> broker{{.clock = &clock}};
    Queue a = broker.queue("a", {.lease = 1h, .capacity = 3});
    Queue b = broker.queue("b", {.lease = 1h, .capacity = 3});
    latchbox::Subscription<Msg> one = broker.subscribe("s");
    latchbox::Subscription<Msg> other = broker.subscribe("*");
    Reference<typename Committing::Topic> topic = Naming::topic(*Access::shell(a).broker, "s");

    // One commit to be.
    struct Asked {
        const typename Queue::Consumer* queue = nullptr;
        PublishOptions options = {};
        Msg message{1};
    };
    std::vector<Settle> settles = {};
    std::deque<Asked> asked = {};
    std::vector<MessageId> ids = {};

    ~Committed() {
        for (const Queue* queue : {&a, &b}) {
            support::check_sound(*queue);
            CHECK(Access::core(*queue).reserved() == 0);
        }
        for (const auto* queue : {&one, &other}) {
            support::check_sound(*queue);
            CHECK(Access::core(*queue).reserved() == 0);
        }
    }
    latchbox::Delivery<Msg> hold(const Queue& queue) {
        REQUIRE(queue.publish(Msg{9}));
        return std::move(queue.try_fetch().value());
    }
    void settle(const Queue& queue, const latchbox::Delivery<Msg>& delivery,
                typename Settle::Verb verb = Settle::ack) {
        const auto holder = Settling::holder(Access::shell(queue), delivery.receipt()).value();
        settles.push_back({&Access::shell(queue), holder, verb, {}});
    }
    // Null: to the topic.
    void post(const Queue* queue, const PublishOptions& options = {}) {
        asked.push_back({queue, options});
    }
    template <class With> Errc with(With&& act) {
        using Post = typename Committing::Post;
        const auto posts = std::make_unique<Post[]>(asked.size());
        for (std::size_t i = 0; i < asked.size(); ++i) {
            posts[i].queue = asked[i].queue == nullptr ? nullptr : &Access::shell(*asked[i].queue);
            posts[i].topic = asked[i].queue == nullptr ? topic.get() : nullptr;
            posts[i].message = &asked[i].message;
            posts[i].options = &asked[i].options;
        }
        Committing committing{*Access::shell(a).broker, settles, {posts.get(), asked.size()}};
        const Errc ended = act(committing);
        ids.clear();
        for (std::size_t i = 0; i < asked.size(); ++i) { ids.push_back(posts[i].id); }
        return ended;
    }
    Errc commit() {
        return with([](Committing& committing) { return committing.commit(); });
    }
    Errc ending() {
        return with([](Committing& committing) { return committing.ending(); });
    }
    [[nodiscard]] latchbox::QueueStats all() const { return broker.stats().messages; }
};
struct Tracked : Committed<TrackedMessage> {};
struct Throwing : Committed<ThrowingMessage> {};

TEST_CASE_FIXTURE(Tracked, "nothing to do is done at once [7.3]") {
    CHECK(commit() == Errc{});
    CHECK(ending() == Errc{});
    CHECK(all() == latchbox::QueueStats{});
}

TEST_CASE_FIXTURE(Tracked, "acks and plain publishes need a glance of the clock alone [9]") {
    const auto delivery = hold(a);
    settle(a, delivery);
    post(&b);
    clock.asked = 0;
    REQUIRE(commit() == Errc{});
    CHECK(clock.asked == 0);
    CHECK(b.size() == 1);
}

TEST_CASE_FIXTURE(Tracked, "what counts from an instant asks for it: fails, wishes, topics [4.3]") {
    const auto delivery = hold(a);
    SUBCASE("a fail") { settle(a, delivery, Tracked::Settle::fail); }
    SUBCASE("a delay") { post(&b, {.delay = 1s}); }
    SUBCASE("a life") { post(&b, {.expires_in = 1s}); }
    SUBCASE("a value") { post(&b, {.dedup = "v"}); }
    SUBCASE("a topic") { post(nullptr); }
    clock.asked = 0;
    REQUIRE(commit() == Errc{});
    CHECK(clock.asked > 0);
}

TEST_CASE_FIXTURE(Tracked, "where a glance leaves a doubt it is done exactly, and in time [4.3]") {
    const auto brief = broker.queue("brief", {.lease = 8s});
    const auto delivery = hold(brief);
    settle(brief, delivery);
    clock.asked = 0;
    const auto end = delivery.deadline() - Instant{};
    clock.since = end - 1ns;
    SUBCASE("still in time") {
        CHECK(commit() == Errc{});
        CHECK(brief.stats().completed == 1);
    }
    SUBCASE("too late") {
        clock.since = end;
        CHECK(commit() == Errc::lease_lost);
        CHECK(brief.stats().completed == 0);
    }
    CHECK(clock.asked > 0);
    support::check_sound(brief);
}

TEST_CASE_FIXTURE(Tracked, "one lease that is over loses all, and nothing is refused [7.3]") {
    const auto first = hold(a);
    const auto second = hold(a);
    settle(a, first);
    settle(a, second, Tracked::Settle::reject);
    post(&b);
    REQUIRE(a.release(second.receipt()));
    CHECK(commit() == Errc::lease_lost);
    CHECK(a.stats().completed == 0);
    CHECK(all().refused == 0);
    CHECK(Access::core(a).holds(settles[0].holder.slot, settles[0].holder.lease));
}

TEST_CASE_FIXTURE(Tracked, "memory that is lacking is made in every queue, and all is done [7.3]") {
    // Of every kind: slots, histories, lines, values; of queues and of a topic.
    for (int round = 0; round < 3; ++round) {
        asked.clear();
        const std::string key = "k" + std::to_string(round);
        post(&a, {.key = key, .delay = 1s, .dedup = key});
        post(&b, {.key = key, .dedup = key});
        post(nullptr, {.key = key, .dedup = key});
        REQUIRE(commit() == Errc{});
        CHECK(ids[0] != ids[1]);
        CHECK(one.size() == static_cast<std::size_t>(round) + 1);
        CHECK(other.size() == static_cast<std::size_t>(round) + 1);
    }
    CHECK(a.size() == 3);
    CHECK(TrackedMessage::live() >= 3 * 3);
    asked.clear();
    post(nullptr);
    post(&a);
    CHECK(commit() == Errc::full);
    CHECK(one.size() == 3);
    CHECK(a.stats().refused == 1);
}

TEST_CASE_FIXTURE(Tracked, "a value stands for later posts to the same place, no others [7.1]") {
    post(&a, {.dedup = "v"});
    post(&b, {.dedup = "v"});
    post(nullptr, {.dedup = "v"});
    post(&a, {.dedup = "w"});
    post(&a, {.dedup = "v"});
    post(nullptr, {.dedup = "v"});
    post(&b);
    REQUIRE(commit() == Errc{});
    CHECK(ids[4] == ids[0]);
    CHECK(ids[5] == ids[2]);
    CHECK(ids[1] != ids[0]);
    CHECK(ids[3] != ids[0]);
    CHECK(a.size() == 2);
    CHECK(b.size() == 2);
    CHECK(one.size() == 1);
    CHECK(a.stats().deduplicated == 1);
    CHECK(b.stats().deduplicated == 0);
    for (const std::size_t left : {4U, 5U}) { CHECK(asked[left].message.digest() == 1); }
    for (const std::size_t gone : {0U, 1U, 2U, 3U, 6U}) {
        CHECK(asked[gone].message.is_moved_from());
    }
}

TEST_CASE_FIXTURE(Tracked, "without a window a value stands for nothing, not here either [7.1]") {
    const auto forgets = broker.queue("forgets", {.dedup_window = {}});
    post(&forgets, {.dedup = "v"});
    post(&forgets, {.dedup = "v"});
    REQUIRE(commit() == Errc{});
    CHECK(ids[0] != ids[1]);
    CHECK(forgets.size() == 2);
}

TEST_CASE_FIXTURE(Tracked, "ids come in the order of the posts, in each queue [4.4]") {
    for (const Queue* queue : {&b, &a, &b, &a}) { post(queue); }
    REQUIRE(commit() == Errc{});
    CHECK(a.try_fetch()->id() == ids[1]);
    CHECK(b.try_fetch()->id() == ids[0]);
    CHECK(ids[0] < ids[2]);
    CHECK(ids[1] < ids[3]);
}

TEST_CASE_FIXTURE(Tracked, "it has come too late for a queue that ended, or a broker [7.7] [7.5]") {
    const auto delivery = hold(a);
    CHECK(ending() == Errc{});
    SUBCASE("it settles there") {
        settle(a, delivery);
        REQUIRE(broker.remove("a"));
    }
    SUBCASE("it publishes there") {
        post(&b);
        REQUIRE(broker.remove("b"));
    }
    SUBCASE("closed") { broker.close(); }
    CHECK(ending() == Errc::closed);
    CHECK(commit() == Errc::closed);
}

TEST_CASE_FIXTURE(Tracked, "refused it has moved from nothing and counts as refused once [7.3]") {
    for (int i = 0; i < 3; ++i) { post(&a); }
    post(&b);
    REQUIRE(commit() == Errc{});
    const auto before = all();
    CHECK(commit() == Errc::full);
    auto after = all();
    CHECK(after.refused == before.refused + 1);
    after.refused = before.refused;
    CHECK(after == before);
    CHECK(ids[3] == MessageId{});
}

TEST_CASE_FIXTURE(Throwing,
                  "where a move may throw copies are committed, the originals stay [7.3]") {
    const auto delivery = hold(a);
    settle(a, delivery);
    post(&a);
    post(&b);
    post(nullptr);
    ThrowingMessage::reset();
    for (std::int64_t nth = 1; nth <= 3; ++nth) {
        ThrowingMessage::throw_at_copy(nth);
        CHECK_THROWS_AS(commit(), support::TrackedFault);
        CHECK(a.stats().completed == 0);
        CHECK(a.size() + b.size() + one.size() == 1);
    }
    ThrowingMessage::reset();
    ThrowingMessage::throw_at_move(1);
    REQUIRE(commit() == Errc{});
    CHECK(ThrowingMessage::copies() == 3);
    CHECK(ThrowingMessage::moves() == 0);
    ThrowingMessage::disarm();
    for (const auto& post : asked) { CHECK(post.message.digest() == 1); }
    CHECK(a.stats().completed == 1);
    CHECK(a.size() + b.size() + one.size() == 3);
}

TEST_CASE_FIXTURE(Throwing, "room that its acks free counts for what was booked before [7.3]") {
    const auto first = hold(a);
    const auto second = hold(a);
    REQUIRE(a.publish(ThrowingMessage{3}));
    settle(a, first);
    for (int i = 0; i < 2; ++i) { post(&a); }
    CHECK(commit() == Errc::full);
    CHECK(a.size() == 3);
    settle(a, second);
    CHECK(commit() == Errc{});
    CHECK(a.size() == 3);
}

TEST_CASE_FIXTURE(Tracked,
                  "where there is no memory nothing has happened, at whatever step "
                  "[4.11]") {
    const auto parent = broker.queue("parents").publish(TrackedMessage{4});
    const auto delivery = hold(a);
    settle(a, delivery);
    const PublishOptions options{.parents = {parent.value()},
                                 .key = "a key with a name that is long enough to need memory",
                                 .dedup = "a value with a name that is long enough, too"};
    post(&a, options);
    post(&b, options);
    post(nullptr, options);
    std::uint64_t faults = 0;
    for (bool threw = true; threw; ++faults) {
        threw = false;
        const auto before = all();
        {
            const support::FailingNew failing{support::Failing::nth, faults + 1};
            try {
                static_cast<void>(commit());
            } catch (const std::bad_alloc&) { threw = true; }
        }
        if (!threw) { break; }
        CHECK(all() == before);
        CHECK(broker.stats().edges == 0);
        for (const auto& post : asked) { CHECK(post.message.digest() == 1); }
    }
    CHECK(faults > 5);
    CHECK(all().completed == 1);
    CHECK(broker.stats().edges == 4);
}

}  // namespace
