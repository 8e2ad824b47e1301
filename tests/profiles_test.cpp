// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/testing/profiles.hpp"

#include <utility>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"
#include "support/sound.hpp"

using latchbox::Errc;
using latchbox::ManualClock;
using latchbox::MessageState;
using latchbox::Profile;
using namespace std::chrono_literals;

namespace {

using Broker = latchbox::Broker<int>;

struct Fake {
    explicit Fake(const Profile& how, const latchbox::QueueOptions& options = {})
        : profile{how}, queue{broker.queue("orders", options)} {}
    ~Fake() { support::check_sound(queue); }
    Fake(const Fake&) = delete;
    Fake& operator=(const Fake&) = delete;

    Profile profile;
    ManualClock clock;
    Broker broker{{.clock = &clock, .profile = profile}};
    Broker::Queue queue;
};

constexpr Profile counting{.every_delivery_counts = true};
constexpr Profile late{.late_settles = true};
constexpr Profile again_first{.redeliveries_first = true};

}  // namespace

TEST_CASE("a broker is as kind as latchbox unless its profile says otherwise") {
    CHECK(Profile{} == latchbox::BrokerOptions{}.profile);
    CHECK_FALSE(Profile{} == latchbox::testing::jetstream);
    Fake fake{Profile{}, {.lease = 10s, .max_failures = 1}};
    REQUIRE(fake.queue.publish(1));
    REQUIRE(fake.queue.try_fetch()->release());
    REQUIRE(fake.queue.publish(2));
    {
        auto abandoned = fake.queue.try_fetch();
        CHECK(abandoned->body() == 1);
    }
    auto second = fake.queue.try_fetch();
    CHECK(second->body() == 2);
    fake.clock.advance(10s);
    CHECK(second->ack() == Errc::lease_lost);
}

TEST_CASE("where every delivery counts, max_failures is a limit of deliveries") {
    Fake fake{counting, {.max_failures = 2}};
    const auto id = fake.queue.publish(1).value();
    REQUIRE(fake.queue.try_fetch()->release());
    CHECK(fake.queue.size() == 1);
    REQUIRE(fake.queue.try_fetch()->requeue());
    CHECK(fake.broker.explain(id).state == MessageState::dead);
    CHECK(fake.broker.explain(id).reason.cause() == latchbox::Cause::attempts_used_up);
    REQUIRE(fake.queue.dead_letters().redrive(id));
    REQUIRE(fake.queue.try_fetch()->release());
    CHECK(fake.broker.explain(id).state == MessageState::ready);
}

TEST_CASE("where every delivery counts, the smaller of the two limits does") {
    const auto deliveries = [](const latchbox::QueueOptions& options) {
        Fake fake{counting, options};
        REQUIRE(fake.queue.publish(1));
        int count = 0;
        for (; count < 9; ++count) {
            auto delivery = fake.queue.try_fetch();
            if (!delivery) { break; }
            REQUIRE(delivery->release());
        }
        return count;
    };
    CHECK(deliveries({.max_failures = 3, .max_attempts = 5}) == 3);
    CHECK(deliveries({.max_failures = 5, .max_attempts = 3}) == 3);
    CHECK(deliveries({.max_attempts = 3}) == 3);
    CHECK(deliveries({.max_failures = 3}) == 3);
    CHECK(deliveries({}) == 9);
}

TEST_CASE("a late ack is taken while the message is ready again") {
    Fake fake{late, {.lease = 10s}};
    REQUIRE(fake.queue.publish(1));
    auto delivery = fake.queue.try_fetch();
    const auto receipt = delivery->receipt();
    fake.clock.advance(10s);
    CHECK(delivery->lease_lost());
    SUBCASE("by its handle") { CHECK(delivery->ack()); }
    SUBCASE("by its receipt") { CHECK(fake.queue.ack(receipt)); }
    SUBCASE("in a batch") { CHECK(fake.queue.ack_batch({&*delivery, 1}) == 1); }
    CHECK(fake.queue.try_fetch() == Errc::empty);
    CHECK(fake.queue.stats().completed == 1);
    CHECK(fake.queue.ack(receipt) == Errc::lease_lost);
}

TEST_CASE("a late ack takes the message away from whoever has it now") {
    Fake fake{late, {.lease = 10s}};
    REQUIRE(fake.queue.publish(1));
    auto first = fake.queue.try_fetch();
    fake.clock.advance(10s);
    auto second = fake.queue.try_fetch();
    const auto token = second->lease_token();
    REQUIRE(first->ack());
    CHECK(second->lease_lost());
    CHECK(token.stop_requested());
    CHECK(second->body() == 1);
    CHECK(second->ack() == Errc::lease_lost);
    CHECK(fake.queue.stats().completed == 1);
}

TEST_CASE("other late verbs are taken as well, and lease the message to their caller") {
    Fake fake{late, {.lease = 10s, .max_failures = 3}};
    const auto id = fake.queue.publish(1).value();
    auto first = fake.queue.try_fetch();
    fake.clock.advance(10s);
    SUBCASE("extend: he has it again") {
        REQUIRE(first->extend(10s));
        CHECK(fake.queue.try_fetch() == Errc::empty);
        CHECK_FALSE(first->lease_lost());
        fake.clock.advance(10s);
        CHECK(first->lease_lost());
    }
    SUBCASE("fail: the lease that ran out has counted already") {
        REQUIRE(first->fail("late"));
        CHECK(fake.broker.explain(id).failures == 1);
        CHECK(fake.broker.explain(id).state == MessageState::delayed);
        CHECK(fake.broker.explain(id).reason.text() == "late");
    }
    SUBCASE("fail, after another has it: that delivery ends, and this one fails") {
        auto second = fake.queue.try_fetch();
        REQUIRE(first->fail("late"));
        CHECK(fake.broker.explain(id).failures == 2);
        CHECK(second->lease_lost());
    }
    SUBCASE("reject") {
        REQUIRE(first->reject());
        CHECK(fake.broker.explain(id).state == MessageState::dead);
    }
}

TEST_CASE("nothing late is taken for what has gone, has died or never was") {
    Fake fake{late, {.lease = 10s, .max_failures = 1}};
    REQUIRE(fake.queue.publish(1));
    auto first = fake.queue.try_fetch();
    const auto receipt = first->receipt();
    fake.clock.advance(10s);
    CHECK(fake.queue.stats().dead == 1);
    CHECK(first->ack() == Errc::lease_lost);
    CHECK(fake.queue.dead_letters().purge() == 1);
    REQUIRE(fake.queue.publish(2));  // in the same slot
    CHECK(fake.queue.ack(receipt) == Errc::lease_lost);
    CHECK(fake.queue.ack(latchbox::Receipt{}) == Errc::unknown_message);
    CHECK(fake.queue.stats().ready == 1);
}

TEST_CASE("nothing late is taken for what stands in the line of its key") {
    Fake fake{late, {.lease = 10s, .max_failures = 1}};
    const auto id = fake.queue.publish(1, {.key = "k"}).value();
    auto first = fake.queue.try_fetch();
    const auto receipt = first->receipt();
    REQUIRE(first->reject());
    REQUIRE(fake.queue.publish(2, {.key = "k"}));
    auto head = fake.queue.try_fetch();
    REQUIRE(head->body() == 2);
    REQUIRE(fake.queue.dead_letters().redrive(id));
    CHECK(fake.broker.explain(id).state == MessageState::blocked);
    CHECK(fake.queue.ack(receipt) == Errc::lease_lost);
    CHECK(head->ack());
    CHECK(fake.queue.ack(receipt));
}

TEST_CASE("what comes back goes before what is new, in its old order") {
    Fake fake{again_first, {.lease = 10s}};
    for (int number = 1; number <= 4; ++number) { REQUIRE(fake.queue.publish(int{number})); }
    auto first = fake.queue.try_fetch();
    auto second = fake.queue.try_fetch();
    REQUIRE(second->requeue());
    { const auto abandoned = std::move(first); }
    CHECK(fake.queue.pop().value() == 1);
    CHECK(fake.queue.pop().value() == 2);
    auto third = fake.queue.try_fetch();
    fake.clock.advance(10s);
    CHECK(fake.queue.pop().value() == 3);
    CHECK(fake.queue.pop().value() == 4);
    CHECK(third->ack() == Errc::lease_lost);
}

TEST_CASE("queues of subscriptions have the profile, too") {
    ManualClock clock;
    Broker broker{{.clock = &clock, .profile = latchbox::testing::jetstream}};
    auto mail = broker.subscribe("orders.*", {.lease = 10s, .max_failures = 2});
    REQUIRE(broker.topic("orders.eu").publish(1));
    REQUIRE(broker.topic("orders.eu").publish(2));
    auto first = mail.try_fetch();
    clock.advance(10s);
    auto again = mail.try_fetch();
    CHECK(again->body() == 1);
    REQUIRE(first->ack());
    CHECK(again->ack() == Errc::lease_lost);
    CHECK(mail.stats().completed == 1);
}
