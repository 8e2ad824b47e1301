// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/spreading.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <new>
#include <optional>
#include <stop_token>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"
#include "support/failing_new.hpp"
#include "support/message_kinds.hpp"
#include "support/sound.hpp"
#include "support/tracked_message.hpp"

// How messages get from a topic to all that match, or to none: whatever happens on the way.
namespace {

using namespace std::chrono_literals;
using latchbox::Errc;
using latchbox::MessageId;
using latchbox::Overflow;
using latchbox::SubscriptionOptions;
using latchbox::Unrouted;
using latchbox::detail::Access;
using support::CallsBack;
using support::TrackedMessage;

template <class Msg> struct Spread {
    using Subscription = latchbox::Subscription<Msg>;
    using Topic = latchbox::Topic<Msg>;
    latchbox::ManualClock clock;
    latchbox::Broker<Msg> broker{{.clock = &clock}};
    Topic topic = broker.topic("a");

    // Nothing is reserved or lost.
    static void check(const Subscription& subscription) {
        support::check_sound(subscription);
        CHECK(Access::core(subscription).reserved() == 0);
    }
};
using Tracked = Spread<TrackedMessage>;

TEST_CASE_FIXTURE(Tracked, "refusals come in their order, and move from nothing [7.7] [4.11]") {
    const auto full = broker.subscribe("a", {.capacity = 0, .overflow = Overflow::reject});
    TrackedMessage::reset();
    TrackedMessage message{1};
    const MessageId stranger = latchbox::detail::IdParts::message(~0U, 1, 0);
    const latchbox::PublishOptions unusable{.parents = {stranger}, .priority = 10};
    const latchbox::PublishOptions orphan{.parents = {stranger}};
    CHECK(topic.publish(std::move(message), unusable) == Errc::invalid_option);
    CHECK(topic.publish(std::move(message), {.retain_for = -1ns}) == Errc::invalid_option);
    CHECK(topic.publish(std::move(message), orphan) == Errc::unknown_parent);
    CHECK(topic.stats().refused == 0);
    CHECK(topic.publish(std::move(message)) == Errc::full);
    CHECK(topic.stats().refused == 1);
    CHECK(full.stats().refused == 1);
    CHECK(topic.stats().published == 0);
    check(full);
    broker.close();
    CHECK(topic.publish(std::move(message), unusable) == Errc::closed);
    std::stop_source stop;
    stop.request_stop();
    CHECK(topic.publish(std::move(message), unusable, stop.get_token()) == Errc::cancelled);
    CHECK(message.digest() == 1);
    CHECK(TrackedMessage::copies() + TrackedMessage::moves() == 0);
}

TEST_CASE_FIXTURE(Tracked, "an accepted message is moved once, however many get it [6.3]") {
    std::vector<Subscription> subscriptions;
    for (int i = 0; i < 5; ++i) { subscriptions.push_back(broker.subscribe("*")); }
    TrackedMessage::reset();
    TrackedMessage message{7};
    const auto id = topic.publish(std::move(message));
    REQUIRE(id);
    CHECK(TrackedMessage::copies() == 0);
    CHECK(TrackedMessage::moves() == 1);
    CHECK(message.is_moved_from());
    const TrackedMessage* body = nullptr;
    for (const Subscription& subscription : subscriptions) {
        auto delivery = subscription.try_fetch();
        CHECK(delivery->id() == *id);
        CHECK((body == nullptr || body == &delivery->body()));
        body = &delivery->body();
        REQUIRE(delivery->ack());
        check(subscription);
    }
    CHECK(TrackedMessage::live() == 1);
}

TEST_CASE_FIXTURE(Tracked, "what nobody gets and nobody can read is not even moved [6.3]") {
    TrackedMessage message{7};
    CHECK(topic.publish(std::move(message)));
    CHECK(message.digest() == 7);
    CHECK(topic.publish(std::move(message), {.retain_for = 1s}));
    CHECK(message.is_moved_from());
    CHECK(topic.stats().discarded == 2);
}

TEST_CASE_FIXTURE(Tracked, "one that refuses, wherever it stands, leaves all as before [6.4]") {
    for (int at = 0; at < 3; ++at) {
        std::vector<Subscription> subscriptions;
        for (int i = 0; i < 3; ++i) {
            const auto overflow = i == at ? Overflow::reject : Overflow::drop_oldest;
            subscriptions.push_back(broker.subscribe("a", {.capacity = 2, .overflow = overflow}));
        }
        std::vector<TrackedMessage> batch;
        for (std::uint64_t n = 0; n < 3; ++n) { batch.emplace_back(n); }
        const auto refused = topic.stats().refused;
        CHECK(topic.publish_batch(batch, {.key = "k", .delay = 1s}) == Errc::full);
        CHECK(topic.stats().refused == refused + 3);
        for (int i = 0; i < 3; ++i) {
            const Subscription& subscription = subscriptions[static_cast<std::size_t>(i)];
            check(subscription);
            auto stats = subscription.stats();
            CHECK(stats.refused == (i == at ? 3U : 0U));
            stats.refused = 0;
            CHECK(stats == latchbox::QueueStats{});
        }
        for (std::uint64_t n = 0; n < 3; ++n) { CHECK(batch[n].digest() == n); }
    }
}

TEST_CASE_FIXTURE(Tracked, "where there is no memory nothing has changed, whatever was lacking") {
    const auto parent = broker.queue("q").publish(TrackedMessage{1});
    REQUIRE(parent);
    latchbox::PublishOptions options;
    std::size_t lacking = 0;
    SUBCASE("of all that it may need") {
        options = {.parents = {*parent}, .key = "a key with a long name", .retain_for = 1h};
        lacking = 10;
    }
    SUBCASE("of slots in one queue, and there are some in others") { lacking = 4; }
    std::vector<Subscription> subscriptions;
    for (int i = 0; i < 3; ++i) { subscriptions.push_back(broker.subscribe("a")); }
    for (std::uint64_t nth = 1;; ++nth) {
        TrackedMessage message{7};
        std::optional<latchbox::Result<MessageId>> id;
        {
            const support::FailingNew failing{support::Failing::nth, nth};
            try {
                id = topic.publish(std::move(message), options);
            } catch (const std::bad_alloc&) {}
        }
        for (const Subscription& subscription : subscriptions) {
            check(subscription);
            CHECK(subscription.size() == (id ? 1U : 0U));
        }
        CHECK(broker.stats().edges == (id ? 3 * options.parents.size() : 0U));
        CHECK(topic.stats().published == (id ? 1U : 0U));
        if (id) {
            CHECK(nth > lacking);
            break;
        }
        CHECK(message.digest() == 7);
    }
}

// A message whose copy does, once, what a test wants done while a body is made without the lock.
struct Interrupted : Spread<CallsBack> {
    static void once(const std::function<void()>& act) {
        CallsBack::on_copy = [act] {
            const auto run = act;
            CallsBack::on_copy = {};
            run();
        };
    }
    ~Interrupted() { CallsBack::no_calls(); }
    const CallsBack message{7};
};

TEST_CASE_FIXTURE(Interrupted, "one who subscribes while a body is made gets it, too [6.3]") {
    const auto one = broker.subscribe("a");
    std::optional<Subscription> other;
    once([&] { other = broker.subscribe("*", {.capacity = 3}); });
    REQUIRE(topic.publish(message));
    REQUIRE(other);
    CHECK(one.size() == 1);
    CHECK(other->size() == 1);
    check(one);
    check(*other);
}

TEST_CASE_FIXTURE(Interrupted, "one who leaves while a body is made is left out [6.2] [6.3]") {
    std::optional<Subscription> one{broker.subscribe("a")};
    const auto other = broker.subscribe("*");
    once([&] { one->unsubscribe(); });
    REQUIRE(topic.publish(message));
    CHECK(other.size() == 1);
    CHECK(one->stats().accepted == 0);
    check(*one);
    check(other);
}

TEST_CASE_FIXTURE(Interrupted, "where the last one leaves while a body is made nobody gets it") {
    Subscription one = broker.subscribe("a");
    once([&] { one.unsubscribe(); });
    REQUIRE(topic.publish(message));
    CHECK(topic.stats().discarded == 1);
    check(one);
}

TEST_CASE_FIXTURE(Interrupted, "and a topic that wants a subscriber refuses it then [6.3]") {
    const Topic strict = broker.topic("strict", {.unrouted = Unrouted::reject});
    Subscription one = broker.subscribe("strict");
    once([&] { one.unsubscribe(); });
    CHECK(strict.publish(message) == Errc::no_subscriber);
    CHECK(strict.stats().published == 0);
    CHECK(strict.stats().refused == 1);
    check(one);
}

TEST_CASE_FIXTURE(Interrupted, "a broker that closes while a body is made accepts nothing [7.5]") {
    const auto one = broker.subscribe("a");
    once([&] { broker.close(); });
    CHECK(topic.publish(message) == Errc::closed);
    CHECK(one.stats().accepted == 0);
    CHECK(topic.stats().published == 0);
    check(one);
}

TEST_CASE_FIXTURE(Interrupted, "room taken while a body is made is not taken from it [4.12]") {
    const auto one = broker.subscribe("a", {.capacity = 1, .overflow = Overflow::reject});
    std::optional<Errc> other;
    once([&] { other = support::error_of(topic.publish(CallsBack{8})); });
    REQUIRE(topic.publish(message));
    CHECK(other == Errc::full);
    CHECK(one.try_fetch()->body().number() == 7);
    check(one);
}

TEST_CASE_FIXTURE(Interrupted, "what was published meanwhile stands before it, at all [4.4]") {
    const auto one = broker.subscribe("a");
    const auto other = broker.subscribe("*");
    std::optional<MessageId> first;
    once([&] { first = topic.publish(CallsBack{8}).value(); });
    const MessageId second = topic.publish(message).value();
    REQUIRE(first);
    CHECK(*first < second);
    for (const Subscription* subscription : {&one, &other}) {
        CHECK(subscription->try_fetch()->id() == *first);
    }
}

// Moves only, by a move that may throw and that lets others act in its middle.
struct Slow {
    explicit Slow(int n) : number{n} {}
    Slow(Slow&& other) noexcept(false) : number{std::exchange(other.number, -1)} {
        if (meanwhile) { std::exchange(meanwhile, {})(); }
    }
    Slow& operator=(Slow&&) = delete;
    ~Slow() = default;
    int number;
    inline static std::function<void()> meanwhile = {};
};
using Slowly = Spread<Slow>;

TEST_CASE_FIXTURE(Slowly, "one that cannot be copied is accepted once it was moved from [4.11]") {
    const auto one = broker.subscribe("a", {.capacity = 1, .overflow = Overflow::reject});
    std::optional<Subscription> other;
    Slow::meanwhile = [&] {
        // It has no room, and yet: who refused now would have lost it.
        other = broker.subscribe("*", {.capacity = 0, .overflow = Overflow::reject});
    };
    REQUIRE(topic.publish(Slow{7}));
    CHECK(one.try_fetch()->body().number == 7);
    CHECK(topic.stats().published == 1);
    CHECK(topic.stats().refused == 0);
}

TEST_CASE_FIXTURE(Slowly, "and where all have left meanwhile it counts as theirs [6.2] [5.3]") {
    const Topic strict = broker.topic("strict", {.unrouted = Unrouted::reject});
    Subscription one = broker.subscribe("strict");
    Slow::meanwhile = [&] { one.unsubscribe(); };
    const auto id = strict.publish(Slow{7});
    REQUIRE(id);
    CHECK(strict.stats().published == 1);
    CHECK(one.stats().purged == 1);
    CHECK(broker.latch(*id).state().value() == latchbox::LatchState::completed);
    check(one);
}

TEST_CASE_FIXTURE(Tracked, "a copy of a key waits its turn in each queue by itself [5.7]") {
    const auto one = broker.subscribe("a");
    const auto other = broker.subscribe("*");
    REQUIRE(topic.publish(TrackedMessage{1}, {.key = "k"}));
    REQUIRE(topic.publish(TrackedMessage{2}, {.key = "k"}));
    auto held = one.try_fetch();
    CHECK(held->body().digest() == 1);
    CHECK(one.try_fetch() == Errc::empty);
    CHECK(other.try_fetch()->ack());
    CHECK(other.try_fetch()->body().digest() == 2);
    check(one);
    check(other);
}

}  // namespace
