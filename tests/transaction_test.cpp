// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/transaction.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <new>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"
#include "support/failing_new.hpp"
#include "support/message_kinds.hpp"
#include "support/sound.hpp"
#include "support/tracked_message.hpp"

// The handle of a transaction: what it owns, what it copies, and what it is once it is over. What
// a commit does is in transactions_test.cpp.
namespace {

using namespace std::chrono_literals;
using latchbox::Errc;
using latchbox::PublishOptions;
using support::MoveOnly;
using support::ThrowingMessage;
using support::TrackedMessage;
template <class Msg> using TransactionOf = latchbox::Transaction<Msg>;
using Transaction = TransactionOf<std::string>;

static_assert(!std::is_copy_constructible_v<Transaction>);
static_assert(!std::is_copy_assignable_v<Transaction>);
static_assert(std::is_nothrow_move_constructible_v<Transaction>);
static_assert(std::is_nothrow_move_assignable_v<Transaction>);
static_assert(!std::is_default_constructible_v<Transaction>, "it is of a broker");
static_assert(std::is_same_v<latchbox::Broker<std::string>::Transaction, Transaction>);
static_assert(std::is_same_v<decltype(std::declval<Transaction&>().commit()),
                             latchbox::Result<std::vector<latchbox::MessageId>>>);

// What can be given to it: deliveries that are moved, messages that are moved or copied.
template <class T, class Msg>
concept publishes = requires(T& transaction, const latchbox::Queue<MoveOnly>& queue, Msg message) {
    transaction.publish(queue, std::forward<Msg>(message));
};
static_assert(publishes<TransactionOf<MoveOnly>, MoveOnly>);
static_assert(!publishes<TransactionOf<MoveOnly>, const MoveOnly&>);
template <class T, class Delivery>
concept acks = requires(T& transaction, Delivery delivery) {
    transaction.ack(std::forward<Delivery>(delivery));
};
static_assert(acks<Transaction, latchbox::Delivery<std::string>>);
static_assert(!acks<Transaction, latchbox::Delivery<std::string>&>);

template <class Msg> struct Handled {
    latchbox::ManualClock clock;
    std::optional<latchbox::Broker<Msg>> broker{std::in_place,
                                                latchbox::BrokerOptions{.clock = &clock}};
    latchbox::Queue<Msg> q = broker->queue("q", {.lease = 10s});

    ~Handled() { support::check_sound(q); }
};
using Text = Handled<std::string>;
using Tracked = Handled<TrackedMessage>;
using Throwing = Handled<ThrowingMessage>;

TEST_CASE_FIXTURE(Text, "one that was moved from has nothing, and says already_settled [7.7]") {
    REQUIRE(q.publish("a"));
    auto first = broker->transaction();
    REQUIRE(first.publish(q, "b"));
    auto second = std::move(first);
    auto delivery = q.try_fetch();
    CHECK(first.ack(std::move(*delivery)) == Errc::already_settled);
    CHECK(first.publish(q, "c") == Errc::already_settled);
    CHECK(first.commit() == Errc::already_settled);
    CHECK_FALSE(delivery->lease_lost());
    CHECK(second.commit()->size() == 1);
    CHECK(delivery->ack());
    // It can be given another's place again.
    first = broker->transaction();
    REQUIRE(first.publish(q, "d"));
    CHECK(first.commit());
    CHECK(q.size() == 2);
}

TEST_CASE_FIXTURE(Text, "assigned to, it releases what it had and has what it was given [7.3]") {
    for (const char* body : {"a", "b"}) { REQUIRE(q.publish(body)); }
    auto first = broker->transaction();
    auto second = broker->transaction();
    REQUIRE(first.ack(std::move(*q.try_fetch())));
    REQUIRE(second.reject(std::move(*q.try_fetch()), "no"));
    first = std::move(second);
    CHECK(q.stats().ready == 1);
    CHECK(q.stats().leased == 1);
    CHECK(first.commit());
    CHECK(q.stats().rejected == 1);
    Transaction& itself = first;
    first = std::move(itself);
    CHECK(first.commit() == Errc::already_settled);
    CHECK(q.try_fetch()->body() == "a");
}

TEST_CASE_FIXTURE(Text, "each text of the options is its own, from the call on [7.3]") {
    auto transaction = broker->transaction();
    {
        std::string key = "a key with a name that is long enough to need memory";
        std::string value = "a value with a name that is long enough, too";
        REQUIRE(transaction.publish(q, "a", {.key = key, .dedup = value}));
        key.assign(key.size(), 'x');
        value.assign(value.size(), 'x');
        REQUIRE(transaction.publish(q, "b", {.key = key, .dedup = value}));
    }
    const auto ids = transaction.commit();
    REQUIRE(ids);
    CHECK(ids->at(0) != ids->at(1));
    // Of two keys both are ready.
    CHECK(q.stats().ready == 2);
    const auto again = q.publish("c", {.dedup = "a value with a name that is long enough, too"});
    CHECK(again.value() == ids->at(0));
}

TEST_CASE_FIXTURE(Text, "any number of parts, settled and published in one [7.3]") {
    const auto to = broker->queue("to");
    auto transaction = broker->transaction();
    for (int i = 0; i < 100; ++i) {
        REQUIRE(q.publish("a"));
        auto delivery = q.try_fetch();
        REQUIRE(delivery);
        const auto taken = i % 3 == 0   ? transaction.ack(std::move(*delivery))
                           : i % 3 == 1 ? transaction.fail(std::move(*delivery), "no")
                                        : transaction.reject(std::move(*delivery), "never");
        REQUIRE(taken);
        CHECK(delivery->ack() == Errc::already_settled);
        REQUIRE(transaction.publish(to, std::to_string(i)));
    }
    CHECK(q.stats().leased == 100);
    CHECK(transaction.commit()->size() == 100);
    CHECK(q.stats().completed == 34);
    CHECK(q.stats().failed == 33);
    CHECK(q.stats().rejected == 33);
    CHECK(to.size() == 100);
    CHECK(to.pop().value() == "0");
}

TEST_CASE_FIXTURE(Tracked, "it moves what it may move, and copies what it may not [4.11]") {
    TrackedMessage::reset();
    auto transaction = broker->transaction();
    TrackedMessage moved{1};
    const TrackedMessage copied{2};
    REQUIRE(transaction.publish(q, std::move(moved)));
    REQUIRE(transaction.publish(q, copied));
    CHECK(moved.is_moved_from());
    CHECK(copied.digest() == 2);
    CHECK(TrackedMessage::copies() == 1);
    REQUIRE(transaction.commit());
    CHECK(TrackedMessage::copies() == 1);
    CHECK(TrackedMessage::live() == 4);
    CHECK(q.pop()->digest() == 1);
    CHECK(q.pop()->digest() == 2);
}

TEST_CASE_FIXTURE(Tracked, "what is not taken is not moved from, and stays owned [7.3]") {
    latchbox::Broker<TrackedMessage> stranger;
    const auto elsewhere = stranger.queue("q");
    REQUIRE(elsewhere.publish(TrackedMessage{3}));
    auto delivery = elsewhere.try_fetch();
    auto transaction = broker->transaction();
    TrackedMessage message{1};
    CHECK(transaction.publish(elsewhere, std::move(message)) == Errc::invalid_option);
    CHECK(transaction.publish(q, std::move(message), {.delay = -1ns}) == Errc::invalid_option);
    CHECK(transaction.publish(q, std::move(message), {.retain_for = 1s}) == Errc::invalid_option);
    CHECK(message.digest() == 1);
    CHECK(transaction.ack(std::move(*delivery)) == Errc::invalid_option);
    CHECK(delivery->ack());
    CHECK(transaction.commit() == Errc::invalid_option);
}

TEST_CASE_FIXTURE(Throwing, "a message whose move throws is no part of it, the others are [4.11]") {
    auto transaction = broker->transaction();
    REQUIRE(transaction.publish(q, ThrowingMessage{1}));
    ThrowingMessage second{2};
    ThrowingMessage::throw_at_move(1);
    CHECK_THROWS_AS(transaction.publish(q, std::move(second)), support::TrackedFault);
    ThrowingMessage::throw_at_copy(1);
    CHECK_THROWS_AS(transaction.publish(q, second), support::TrackedFault);
    ThrowingMessage::reset();
    CHECK(second.digest() == 2);
    CHECK(transaction.commit()->size() == 1);
    CHECK(q.pop()->digest() == 1);
}

TEST_CASE_FIXTURE(Text, "a delivery for which there is no memory is not taken [4.11]") {
    auto transaction = broker->transaction();
    std::size_t taken = 0;
    std::uint64_t faults = 0;
    for (int i = 0; i < 40; ++i) {
        REQUIRE(q.publish("a"));
        auto delivery = q.try_fetch();
        bool threw = false;
        {
            const support::FailingNew failing{support::Failing::nth,
                                              static_cast<std::uint64_t>(i % 2) + 1};
            try {
                taken += transaction.ack(std::move(*delivery)) ? 1U : 0U;
            } catch (const std::bad_alloc&) { threw = true; }
        }
        if (!threw) { continue; }
        ++faults;
        CHECK_FALSE(delivery->lease_lost());
        REQUIRE(delivery->reject("not taken"));
    }
    CHECK(faults > 1);
    REQUIRE(transaction.commit());
    CHECK(q.stats().completed == taken);
    CHECK(q.stats().rejected == faults);
}

TEST_CASE_FIXTURE(Text, "after its broker it is closed at every door, and ends in peace [4.8]") {
    REQUIRE(q.publish("a"));
    auto transaction = broker->transaction();
    auto empty = broker->transaction();
    auto committed = broker->transaction();
    REQUIRE(committed.commit());
    REQUIRE(transaction.ack(std::move(*q.try_fetch())));
    REQUIRE(transaction.publish(q, "b"));
    broker.reset();
    for (auto* const one : {&transaction, &empty, &committed}) {
        CHECK(one->commit() == Errc::closed);
        CHECK(one->publish(q, "c") == Errc::closed);
    }
}

TEST_CASE_FIXTURE(Text, "an empty one needs no memory until it is given something") {
    std::uint64_t asked = 0;
    {
        const support::FailingNew count;
        auto transaction = broker->transaction();
        auto moved = std::move(transaction);
        asked = count.asked();
    }
    CHECK(asked == 0);
}

}  // namespace
