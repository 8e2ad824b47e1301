// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/subscribing.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"
#include "support/failing_new.hpp"
#include "support/sound.hpp"

// How subscriptions begin, what is replayed to them, and how they end: with another at work in the
// middle, and where there is no memory.
namespace {

using namespace std::chrono_literals;
using latchbox::Errc;
using latchbox::MessageId;
using latchbox::OnParentFailure;
using latchbox::Overflow;
using latchbox::SubscriptionOptions;
using latchbox::detail::Access;
using support::FailingNew;
using support::work_off_text;
using Broker = latchbox::Broker<std::string>;
using Subscription = latchbox::Subscription<std::string>;

struct Subscribed {
    latchbox::ManualClock clock;
    Broker broker{{.clock = &clock}};
    // It retains all that is published to it.
    latchbox::Topic<std::string> topic = broker.topic("t.a", {.retain_count = 1'000});

    Subscribed() { other_broker = &broker; }
    [[nodiscard]] MessageId publish(const std::string& text,
                                    const latchbox::PublishOptions& options = {}) const {
        return topic.publish(std::string{text}, options).value();
    }
    void publish_all(const std::string& letters) const {
        for (const char letter : letters) { static_cast<void>(publish(std::string(1, letter))); }
    }
    static void check(const Subscription& subscription) {
        support::check_sound(subscription);
        CHECK(Access::core(subscription).reserved() == 0);
    }
    static inline Broker* other_broker = nullptr;
};

TEST_CASE_FIXTURE(Subscribed,
                  "who is slower to make a group joins it, if he wants the same [6.2]") {
    static std::optional<Subscription> others;
    const auto race = [this](const SubscriptionOptions& options) {
        const FailingNew counting;
        FailingNew::meanwhile([] { others = other_broker->subscribe("t.*", {.group = "g"}); });
        return broker.subscribe("t.*", options);
    };
    {
        const Subscription mine = race({.group = "g"});
        CHECK(mine == *others);
        CHECK(broker.stats().subscriptions == 1);
        publish_all("ab");
        CHECK(mine.size() == 2);
        others->unsubscribe();
        CHECK(mine.size() == 2);
    }
    CHECK(broker.stats().subscriptions == 0);
    CHECK_THROWS_AS(race({.group = "g", .capacity = 7}), std::invalid_argument);
    CHECK(broker.stats().subscriptions == 1);
    others->unsubscribe();
    // Who was refused is no member.
    CHECK(broker.stats().subscriptions == 0);
    others.reset();
}

TEST_CASE_FIXTURE(Subscribed, "a group that is refused to one stays as it is for its members") {
    const Subscription there = broker.subscribe("t.*", {.group = "g", .lease = 1s});
    static_cast<void>(broker.queue("q"));
    using support::refuses;
    const auto refused = [&](const char* pattern, const SubscriptionOptions& options,
                             const char* said) {
        return refuses([&] { static_cast<void>(broker.subscribe(pattern, options)); }, said);
    };
    CHECK(refused("t.*", {.group = "q"}, "\"q\" is a queue"));
    CHECK(refused("t.a", {.group = "g", .lease = 1s}, "another pattern, \"t.*\""));
    CHECK(refused("t.*", {.group = "g", .durable = true, .lease = 1s}, "durable"));
    CHECK(refused("t.*", {.group = "g", .lease = 2s}, "SubscriptionOptions.lease"));
    CHECK_NOTHROW(
        static_cast<void>(broker.subscribe("t.*", {.group = "g", .replay = true, .lease = 1s})));
    publish_all("a");
    CHECK(work_off_text(there) == "a");
}

TEST_CASE_FIXTURE(Subscribed, "where there is no memory there is no subscription, replay or not") {
    publish_all("abcdefgh");
    for (const bool durable : {false, true}) {
        for (std::uint64_t nth = 1;; ++nth) {
            std::optional<Subscription> subscription;
            {
                const FailingNew failing{support::Failing::nth, nth};
                try {
                    subscription = broker.subscribe(
                        "t.*", {.group = durable ? "g" : "", .durable = durable, .replay = true});
                } catch (const std::bad_alloc&) {}
            }
            if (subscription) {
                CHECK(nth > 10);
                CHECK(work_off_text(*subscription) == "abcdefgh");
                check(*subscription);
                break;
            }
            REQUIRE(broker.stats().subscriptions == 0);
            REQUIRE(broker.stats().messages.held() == 0);
            REQUIRE(topic.stats().retained == 8);
        }
        CHECK(broker.stats().subscriptions == (durable ? 1U : 0U));
    }
}

TEST_CASE_FIXTURE(Subscribed, "an attempt that failed leaves nothing that would add up [4.12]") {
    const auto attempt = [this](std::uint64_t nth) {
        const FailingNew failing{support::Failing::nth, nth};
        try {
            static_cast<void>(broker.subscribe("t.a.long.pattern.of.many.tokens.>"));
        } catch (const std::bad_alloc&) { return true; }
        return false;
    };
    for (std::uint64_t nth = 1;; ++nth) {
        CAPTURE(nth);
        bool failed = attempt(nth);
        if (!failed) { break; }
        for (int i = 0; i < 40; ++i) { failed = attempt(nth) && failed; }
        const std::int64_t before = support::live_allocations();
        for (int i = 0; i < 100; ++i) { failed = attempt(nth) && failed; }
        CHECK(support::live_allocations() == before);
        // How many are known to the timekeeper: the next to come gets the number that is free.
        auto& shell = Access::shell(broker.queue("q" + std::to_string(nth)));
        const std::uint32_t number = shell.retire();
        CHECK(number < 2 * nth + 2);
        shell.enlist(number);
    }
}

TEST_CASE_FIXTURE(Subscribed, "a handle that leaves twice leaves once; the last one ends a group") {
    std::vector<Subscription> members;
    for (int i = 0; i < 3; ++i) { members.push_back(broker.subscribe("t.*", {.group = "g"})); }
    for (int i = 0; i < 3; ++i) { members[0].unsubscribe(); }
    CHECK(broker.stats().subscriptions == 1);
    members[1].unsubscribe();
    publish_all("ab");
    CHECK(members[2].size() == 2);
    members[2].unsubscribe();
    CHECK(broker.stats().subscriptions == 0);
    CHECK(members[2].stats().purged == 2);
    // Its name is free again.
    CHECK(broker.queue("g").size() == 0);
}

TEST_CASE_FIXTURE(Subscribed, "what is replayed comes before all that is published later [6.2]") {
    const auto other = broker.topic("t.b", {.retain_count = 90});
    publish_all("ab");
    REQUIRE(other.publish("c"));
    publish_all("d");
    for (std::uint64_t nth = 1; nth <= 20; ++nth) {
        // Somebody publishes in the middle of its n-th allocation.
        static std::uint64_t left = 0;
        struct Middle {
            static void tick() {
                if (--left == 0) {
                    REQUIRE(other_broker->topic("t.b").publish("x"));
                } else {
                    FailingNew::meanwhile(tick);
                }
            }
        };
        left = nth;
        std::optional<Subscription> subscription;
        {
            const FailingNew counting;
            FailingNew::meanwhile(Middle::tick);
            subscription = broker.subscribe("t.*", {.replay = true});
            FailingNew::meanwhile(nullptr);
        }
        const bool published = left == 0;
        const std::string before = "abcd" + std::string(nth - 1, 'x');
        CHECK(work_off_text(*subscription) == before + (published ? "x" : ""));
        check(*subscription);
        if (!published) { break; }
    }
}

TEST_CASE_FIXTURE(Subscribed,
                  "a replay beyond the capacity keeps the latest, for any policy [6.4]") {
    publish_all("abcdefgh");
    for (const Overflow overflow :
         {Overflow::drop_oldest, Overflow::drop_newest, Overflow::reject, Overflow::block}) {
        CAPTURE(static_cast<int>(overflow));
        for (std::size_t capacity = 0; capacity < 10; ++capacity) {
            const Subscription subscription = broker.subscribe(
                "t.*", {.replay = true, .capacity = capacity, .overflow = overflow});
            const std::size_t kept = capacity < 8 ? capacity : 8;
            CHECK(subscription.stats().evicted == 8 - kept);
            CHECK(subscription.size() == kept);
            check(subscription);
            CHECK(work_off_text(subscription) == std::string{"abcdefgh"}.substr(8 - kept));
        }
    }
}

TEST_CASE_FIXTURE(Subscribed, "who is replayed to waits for the parents, as they are now [6.2]") {
    const auto parents = broker.queue("parents");
    const MessageId pending = parents.publish("p").value();
    const MessageId failed = parents.publish("f").value();
    static_cast<void>(publish("a", {.parents = {pending}}));
    static_cast<void>(publish("b", {.parents = {failed}}));
    static_cast<void>(
        publish("c", {.parents = {failed}, .on_parent_failure = OnParentFailure::deliver}));
    REQUIRE(parents.cancel(failed));
    const Subscription subscription = broker.subscribe("t.*", {.replay = true});
    CHECK(subscription.stats().blocked == 1);
    CHECK(subscription.stats().dead == 1);
    CHECK(subscription.stats().ready == 1);
    CHECK(work_off_text(subscription) == "c");
    REQUIRE(parents.try_fetch()->ack());
    CHECK(work_off_text(subscription) == "a");
    CHECK(broker.stats().edges == 0);
    check(subscription);
}

TEST_CASE_FIXTURE(Subscribed,
                  "parents that failed so long ago that nobody knows have failed [5.5]") {
    const auto parents = broker.queue("parents", {.outcome_memory = 0});
    const MessageId failed = parents.publish("f").value();
    static_cast<void>(publish("b", {.parents = {failed}}));
    static_cast<void>(
        publish("c", {.parents = {failed}, .on_parent_failure = OnParentFailure::deliver}));
    REQUIRE(parents.cancel(failed));
    REQUIRE(broker.explain(failed).state == latchbox::MessageState::forgotten);
    const Subscription subscription = broker.subscribe("t.*", {.replay = true});
    CHECK(work_off_text(subscription) == "c");
    int dead = 0;
    subscription.dead_letters().for_each([&](const auto& letter) {
        CHECK(letter.body() == "b");
        CHECK(letter.reason().parent() == failed);
        ++dead;
    });
    CHECK(dead == 1);
    check(subscription);
}

TEST_CASE_FIXTURE(Subscribed,
                  "a broker that closes in the middle of a replay loses nothing [7.5]") {
    publish_all("abc");
    for (std::uint64_t nth = 1; nth < 40; ++nth) {
        Broker closing{{.clock = &clock}};
        const auto its = closing.topic("t", {.retain_count = 9});
        for (const char* text : {"a", "b", "c"}) { REQUIRE(its.publish(text)); }
        static Broker* to_close = nullptr;
        static std::uint64_t left = 0;
        struct Middle {
            static void tick() {
                if (--left == 0) {
                    to_close->close();
                } else {
                    FailingNew::meanwhile(tick);
                }
            }
        };
        to_close = &closing;
        left = nth;
        std::optional<Subscription> subscription;
        {
            const FailingNew counting;
            FailingNew::meanwhile(Middle::tick);
            subscription = closing.subscribe("t", {.replay = true});
            FailingNew::meanwhile(nullptr);
        }
        if (left != 0) { break; }
        CHECK(subscription->try_fetch() == Errc::closed);
        CHECK(Access::core(*subscription).reserved() == 0);
        CHECK(support::conserved(subscription->stats()));
    }
}

}  // namespace
