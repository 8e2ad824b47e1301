// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
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

// All or none, at one instant, over queues and topics of one broker; never waits.
namespace {

using namespace std::chrono_literals;
using latchbox::Cause;
using latchbox::Errc;
using latchbox::LatchState;
using latchbox::MessageId;
using latchbox::MessageState;
using latchbox::OnParentFailure;
using latchbox::Overflow;
using latchbox::QueueStats;
using latchbox::Unrouted;
using support::Counted;
using support::error_of;
using support::MoveOnly;
using support::WatchedThreads;

using Ids = std::vector<MessageId>;

static_assert(!std::is_copy_constructible_v<latchbox::Transaction<int>>);
static_assert(!std::is_copy_assignable_v<latchbox::Transaction<int>>);
static_assert(std::is_nothrow_move_constructible_v<latchbox::Transaction<int>>);

template <class Platform, class Msg = std::string> struct Stages {
    using Broker = latchbox::Broker<Msg, Platform>;
    using Queue = latchbox::Queue<Msg, Platform>;
    using Delivery = latchbox::Delivery<Msg, Platform>;

    latchbox::ManualClock clock;
    Broker broker{{.clock = &clock}};
    Queue a = broker.queue("a", {.lease = 10s, .max_failures = 2, .backoff = {.first = 1s}});
    Queue b = broker.queue("b", {.lease = 10s});
    Queue one = broker.queue("one", {.lease = 10s, .capacity = 1});

    ~Stages() {
        for (const Queue* queue : {&a, &b, &one}) { support::check_sound(*queue); }
        CHECK(support::conserved(broker.stats().messages));
    }
    static Msg make(int n) { return support::Kind<Msg>::make(n); }
    Delivery hold(const Queue& queue, int n = 1, const latchbox::PublishOptions& options = {}) {
        REQUIRE(queue.publish(make(n), options));
        auto delivery = queue.try_fetch();
        REQUIRE(delivery);
        return std::move(*delivery);
    }
    // The numbers of all that is ready now, acked.
    static std::vector<int> numbers(const latchbox::Consumer<Msg, Platform>& queue) {
        std::vector<int> all;
        while (auto delivery = queue.try_fetch()) {
            all.push_back(support::Kind<Msg>::number(delivery->body()));
            if (!delivery->ack()) { break; }
        }
        return all;
    }
};
using Plain = Stages<latchbox::Threads>;
using Watched = Stages<WatchedThreads>;
using Numbers = std::vector<int>;

// --- what a commit does ----------------------------------------------------------------------

TEST_CASE_FIXTURE(Plain, "a commit settles and publishes all at one instant [7.3]") {
    const auto subscription = broker.subscribe("s");
    const auto topic = broker.topic("s");
    auto acked = hold(a, 1);
    auto rejected = hold(a, 2);
    auto failed = hold(b, 3);
    const MessageId done = acked.id();
    auto transaction = broker.transaction();
    CHECK(transaction.ack(std::move(acked)));
    CHECK(transaction.publish(b, make(10)));
    CHECK(transaction.reject(std::move(rejected), "never"));
    CHECK(transaction.publish(topic, make(11)));
    CHECK(transaction.fail(std::move(failed), "not now"));
    const std::string twelve = make(12);
    CHECK(transaction.publish(a, twelve));
    CHECK(twelve == make(12));
    // Nothing of it has happened.
    CHECK(a.stats().leased == 2);
    CHECK(b.stats().accepted == 1);
    CHECK(subscription.size() == 0);
    CHECK(broker.latch(done).state().value() == LatchState::pending);

    const auto ids = transaction.commit();
    REQUIRE(ids);
    REQUIRE(ids->size() == 3);
    CHECK(broker.latch(done).state().value() == LatchState::completed);
    CHECK(a.stats().completed == 1);
    CHECK(a.stats().dead == 1);
    CHECK(a.stats().rejected == 1);
    CHECK(b.stats().failed == 1);
    CHECK(a.stats().released == 0);
    a.dead_letters().for_each([](const auto& letter) {
        CHECK(letter.reason().text() == "never");
        CHECK(letter.reason().cause() == Cause::rejected);
    });
    // The ids are those of the publishes, in their order.
    auto in_b = b.try_fetch();
    auto in_s = subscription.try_fetch();
    auto in_a = a.try_fetch();
    REQUIRE(in_b);
    REQUIRE(in_s);
    REQUIRE(in_a);
    CHECK(Ids{in_b->id(), in_s->id(), in_a->id()} == *ids);
    CHECK(in_b->body() == make(10));
    CHECK(in_s->body() == make(11));
    CHECK(in_s->subject() == "s");
    CHECK(in_a->body() == twelve);
    support::check_sound(subscription);
}

TEST_CASE_FIXTURE(Plain, "an empty commit succeeds, a second one has nothing to do [7.3]") {
    auto transaction = broker.transaction();
    const auto ids = transaction.commit();
    REQUIRE(ids);
    CHECK(ids->empty());
    CHECK(transaction.commit() == Errc::already_settled);
    CHECK(broker.stats().messages.accepted == 0);
}

TEST_CASE_FIXTURE(Plain, "what was committed is not committed again [7.3] [misuse 36]") {
    auto transaction = broker.transaction();
    REQUIRE(transaction.ack(hold(a)));
    REQUIRE(transaction.publish(b, make(2)));
    REQUIRE(transaction.commit());
    CHECK(transaction.commit() == Errc::already_settled);
    CHECK(transaction.commit() == Errc::already_settled);
    CHECK(numbers(b) == Numbers{2});
    CHECK(a.stats().completed == 1);
}

TEST_CASE_FIXTURE(Plain, "only settling, and only publishing, are transactions, too [7.3]") {
    auto settling = broker.transaction();
    REQUIRE(settling.ack(hold(a, 1)));
    REQUIRE(settling.ack(hold(b, 2)));
    const auto none = settling.commit();
    REQUIRE(none);
    CHECK(none->empty());
    CHECK(a.stats().completed == 1);
    CHECK(b.stats().completed == 1);

    auto publishing = broker.transaction();
    for (int n = 0; n < 100; ++n) { REQUIRE(publishing.publish(n % 2 == 0 ? a : b, make(n))); }
    const auto ids = publishing.commit();
    REQUIRE(ids);
    REQUIRE(ids->size() == 100);
    for (std::size_t n = 0; n < 100; ++n) {
        const auto delivery = (n % 2 == 0 ? a : b).try_fetch();
        REQUIRE(delivery);
        CHECK(delivery->id() == (*ids)[n]);
        CHECK(delivery->body() == make(static_cast<int>(n)));
        a.ack(delivery->receipt());
        b.ack(delivery->receipt());
    }
}

TEST_CASE_FIXTURE(Plain, "a transaction over many queues and many messages [7.3]") {
    std::vector<Queue> queues;
    auto transaction = broker.transaction();
    for (int n = 0; n < 20; ++n) {
        // Full but for what the transaction itself acks there.
        queues.push_back(broker.queue("q" + std::to_string(19 - n), {.capacity = 50}));
        for (int i = 0; i < 50; ++i) { REQUIRE(transaction.ack(hold(queues.back(), i))); }
    }
    for (int i = 0; i < 1'000; ++i) {
        REQUIRE(transaction.publish(queues[static_cast<std::size_t>(i % 20)], make(i)));
    }
    const auto ids = transaction.commit();
    REQUIRE(ids);
    CHECK(ids->size() == 1'000);
    for (int n = 0; n < 20; ++n) {
        Numbers expected;
        for (int i = n; i < 1'000; i += 20) { expected.push_back(i); }
        const Queue& queue = queues[static_cast<std::size_t>(n)];
        CHECK(queue.stats().completed == 50);
        CHECK(numbers(queue) == expected);
        support::check_sound(queue);
    }
}

TEST_CASE_FIXTURE(Plain, "dropped uncommitted, its deliveries are released [7.3] [misuse 36]") {
    REQUIRE(a.publish(make(1)));
    REQUIRE(a.publish(make(2)));
    REQUIRE(a.publish(make(3)));
    {
        auto transaction = broker.transaction();
        REQUIRE(transaction.reject(a.try_fetch().value(), "never"));
        REQUIRE(transaction.ack(a.try_fetch().value()));
        REQUIRE(transaction.publish(b, make(9)));
    }
    const QueueStats stats = a.stats();
    CHECK(stats.released == 2);
    CHECK(stats.abandoned == 0);
    CHECK(stats.requeued == 0);
    CHECK(b.stats().accepted == 0);
    auto first = a.try_fetch();
    REQUIRE(first);
    CHECK(first->body() == make(1));
    CHECK(first->attempt() == 2);
    CHECK(first->failures() == 0);
    CHECK(first->release());
    CHECK(numbers(a) == Numbers{1, 2, 3});
}

TEST_CASE_FIXTURE(Plain, "a transaction moves, and releases what it had when moved to [7.3]") {
    auto first = broker.transaction();
    REQUIRE(first.ack(hold(a, 1)));
    auto second = std::move(first);
    CHECK(a.stats().leased == 1);
    auto third = broker.transaction();
    REQUIRE(third.ack(hold(b, 2)));
    second = std::move(third);
    CHECK(a.stats().released == 1);
    CHECK(b.stats().leased == 1);
    CHECK(second.commit());
    CHECK(b.stats().completed == 1);
    CHECK(a.stats().ready == 1);
}

TEST_CASE_FIXTURE(Plain, "deliveries of subscriptions and groups take part [7.3] [6.2]") {
    const auto s = broker.subscribe("s", {.lease = 10s});
    const auto g = broker.subscribe("s", {.group = "g", .durable = true});
    const auto id = broker.topic("s").publish(make(1));
    REQUIRE(id);
    auto transaction = broker.transaction();
    REQUIRE(transaction.ack(s.try_fetch().value()));
    CHECK(broker.latch(*id).state().value() == LatchState::pending);
    REQUIRE(transaction.ack(g.try_fetch().value()));
    REQUIRE(transaction.publish(a, make(2), {.parents = {*id}}));
    REQUIRE(transaction.commit());
    CHECK(broker.latch(*id).state().value() == LatchState::completed);
    CHECK(numbers(a) == Numbers{2});
    support::check_sound(s);
    support::check_sound(g);
}

TEST_CASE_FIXTURE(Plain,
                  "a fail in a transaction is a fail: backoff, and death at the limit [7.3]") {
    auto first = broker.transaction();
    REQUIRE(first.fail(hold(a, 1), "once"));
    REQUIRE(first.commit());
    CHECK(a.stats().delayed == 1);
    clock.advance(1s - 1ns);
    CHECK(a.try_fetch() == Errc::empty);
    clock.advance(1ns);
    auto again = a.try_fetch();
    REQUIRE(again);
    CHECK(again->failures() == 1);
    auto second = broker.transaction();
    REQUIRE(second.fail(std::move(*again), std::string(1'000, 'x')));
    REQUIRE(second.commit());
    CHECK(a.stats().dead == 1);
    a.dead_letters().for_each(
        [](const auto& letter) { CHECK(letter.reason().text() == std::string(47, 'x')); });
}

TEST_CASE_FIXTURE(Plain, "a commit stops the lease tokens of what it settled [7.3] [7.7]") {
    auto delivery = hold(a);
    const auto token = delivery.lease_token();
    int called = 0;
    const std::stop_callback count{token, [&] {
                                       ++called;
                                       CHECK(b.size() == 1);
                                       CHECK(a.stats().completed == 1);
                                   }};
    auto transaction = broker.transaction();
    REQUIRE(transaction.ack(std::move(delivery)));
    REQUIRE(transaction.publish(b, make(2)));
    CHECK_FALSE(token.stop_requested());
    REQUIRE(transaction.commit());
    CHECK(called == 1);
}

// --- what a verb does not take ---------------------------------------------------------------

TEST_CASE_FIXTURE(Plain, "what is settled already is not taken, and spoils the commit [7.3]") {
    auto settled = hold(a, 1);
    REQUIRE(settled.ack());
    auto transaction = broker.transaction();
    REQUIRE(transaction.ack(hold(b, 2)));
    REQUIRE(transaction.publish(b, make(3)));
    SUBCASE("settled by its handle") {
        CHECK(transaction.ack(std::move(settled)) == Errc::already_settled);
    }
    SUBCASE("rejected and failed, too") {
        CHECK(transaction.reject(std::move(settled)) == Errc::already_settled);
        CHECK(transaction.fail(std::move(settled)) == Errc::already_settled);  // NOLINT: not moved
    }
    SUBCASE("given to it before [misuse 36]") {
        auto twice = hold(a, 4);
        REQUIRE(transaction.ack(std::move(twice)));
        CHECK(transaction.ack(std::move(twice)) == Errc::already_settled);  // NOLINT
    }
    SUBCASE("given to another") {
        auto twice = hold(a, 4);
        auto other = broker.transaction();
        REQUIRE(other.ack(std::move(twice)));
        CHECK(transaction.ack(std::move(twice)) == Errc::already_settled);  // NOLINT
    }
    CHECK(transaction.commit() == Errc::already_settled);
    CHECK(transaction.commit() == Errc::already_settled);
    CHECK(b.stats().leased == 1);
    CHECK(b.stats().accepted == 1);
    CHECK(a.stats().completed == 1);
}

TEST_CASE_FIXTURE(Plain, "what is another broker's is not taken [7.3] [misuse 36] [misuse 14]") {
    Stages other;
    auto foreign = other.hold(other.a, 1);
    auto transaction = broker.transaction();
    REQUIRE(transaction.ack(hold(a, 2)));
    SUBCASE("a delivery") {
        CHECK(transaction.ack(std::move(foreign)) == Errc::invalid_option);
        CHECK_FALSE(foreign.lease_lost());  // NOLINT: not taken
        CHECK(foreign.body() == make(1));
        CHECK(foreign.ack());
    }
    SUBCASE("a queue") {
        std::string body = make(3);
        CHECK(transaction.publish(other.b, std::move(body)) == Errc::invalid_option);
        CHECK(body == make(3));  // NOLINT: not taken
        CHECK(transaction.publish(b, std::move(body)));
    }
    SUBCASE("a topic") {
        CHECK(transaction.publish(other.broker.topic("s"), make(3)) == Errc::invalid_option);
    }
    CHECK(transaction.commit() == Errc::invalid_option);
    CHECK(transaction.commit() == Errc::invalid_option);
    CHECK(a.stats().leased == 1);
    CHECK(b.stats().accepted == 0);
    CHECK(other.b.stats().accepted == 0);
}

TEST_CASE_FIXTURE(Plain, "unusable options are refused at the verb [7.3] [misuse 7] [misuse 4]") {
    const auto topic = broker.topic("s");
    const latchbox::PublishOptions unusable[] = {
        {.delay = -1ns}, {.expires_in = -1ns}, {.delay = 1s, .expires_in = 1s}, {.priority = 10}};
    for (const auto& options : unusable) {
        auto transaction = broker.transaction();
        std::string body = make(1);
        CHECK(transaction.publish(a, std::move(body), options) == Errc::invalid_option);
        CHECK(body == make(1));  // NOLINT: not taken
        CHECK(transaction.publish(topic, std::move(body), options) == Errc::invalid_option);
        CHECK(body == make(1));  // NOLINT
        CHECK(transaction.publish(a, body, options) == Errc::invalid_option);
        CHECK(transaction.publish(a, std::move(body)));
        CHECK(transaction.commit() == Errc::invalid_option);
    }
    auto transaction = broker.transaction();
    CHECK(transaction.publish(topic, make(1), {.retain_for = 1h}));
    CHECK(transaction.publish(a, make(1), {.retain_for = 1h}) == Errc::invalid_option);
    CHECK(transaction.publish(topic, make(1), {.retain_for = -1h}) == Errc::invalid_option);
    CHECK(transaction.commit() == Errc::invalid_option);
    CHECK(broker.stats().messages.accepted == 0);
    CHECK(topic.stats().published == 0);
}

TEST_CASE_FIXTURE(Plain, "the first error of a verb is the commit's, for ever [7.3]") {
    Stages other;
    auto settled = hold(a, 1);
    REQUIRE(settled.ack());
    auto transaction = broker.transaction();
    CHECK(transaction.publish(a, make(1), {.priority = 10}) == Errc::invalid_option);
    CHECK(transaction.ack(std::move(settled)) == Errc::already_settled);
    CHECK(transaction.commit() == Errc::invalid_option);
    auto second = broker.transaction();
    CHECK(second.ack(std::move(settled)) == Errc::already_settled);  // NOLINT
    CHECK(second.publish(other.a, make(1)) == Errc::invalid_option);
    CHECK(second.commit() == Errc::already_settled);
    CHECK(second.commit() == Errc::already_settled);
}

TEST_CASE_FIXTURE(Plain, "a verb is taken even if its lease is over: the commit says so [7.3]") {
    auto late = hold(a, 1);
    clock.advance(10s);
    auto transaction = broker.transaction();
    // Whether the verb or only the commit notices, the delivery cannot be settled any more.
    const auto taken = transaction.ack(std::move(late));
    CHECK((taken || taken == Errc::lease_lost));
    CHECK(transaction.commit() == Errc::lease_lost);
}

// --- a lease that is over --------------------------------------------------------------------

TEST_CASE_FIXTURE(Plain, "one lost lease refuses all [7.3] [4.2] [misuse 36]") {
    auto lost = hold(a, 1);
    const auto receipt = lost.receipt();
    auto transaction = broker.transaction();
    REQUIRE(transaction.publish(b, make(9)));
    REQUIRE(transaction.ack(std::move(lost)));
    REQUIRE(transaction.ack(hold(b, 2)));
    REQUIRE(b.publish(make(3)));
    REQUIRE(b.try_fetch()->extend(0s));
    SUBCASE("acked by receipt") { CHECK(a.ack(receipt)); }
    SUBCASE("released by receipt") { CHECK(a.release(receipt)); }
    SUBCASE("released, and fetched by another") {
        CHECK(a.release(receipt));
        static_cast<void>(a.try_fetch().value().detach());
    }
    const QueueStats a_before = a.stats();
    const QueueStats b_before = b.stats();
    CHECK(transaction.commit() == Errc::lease_lost);
    CHECK(transaction.commit() == Errc::lease_lost);
    CHECK(a.stats() == a_before);
    CHECK(b.stats() == b_before);
}

TEST_CASE_FIXTURE(Plain,
                  "a commit is in time one tick before the deadline, not at it [7.3] [4.3]") {
    auto transaction = broker.transaction();
    REQUIRE(transaction.ack(hold(a, 1)));
    clock.advance(5s);
    REQUIRE(transaction.ack(hold(b, 2)));
    REQUIRE(transaction.publish(b, make(3)));
    SUBCASE("before") {
        clock.advance(5s - 1ns);
        CHECK(transaction.commit());
        CHECK(numbers(b) == Numbers{3});
        CHECK(a.size() == 0);
    }
    SUBCASE("at it") {
        clock.advance(5s);
        CHECK(transaction.commit() == Errc::lease_lost);
        CHECK(a.stats().ready == 1);
        CHECK(b.stats().leased == 1);
        CHECK(b.stats().accepted == 1);
    }
    SUBCASE("extended by receipt in the meantime") {
        CHECK(a.try_fetch() == Errc::empty);
        clock.advance(5s - 1ns);
        auto more = broker.transaction();
        CHECK(transaction.commit());
    }
}

TEST_CASE_FIXTURE(Plain, "what a refused commit still owns is released with it [7.3]") {
    auto lost = hold(a, 1);
    const auto receipt = lost.receipt();
    {
        auto transaction = broker.transaction();
        REQUIRE(transaction.ack(std::move(lost)));
        REQUIRE(transaction.ack(hold(b, 2)));
        REQUIRE(a.ack(receipt));
        CHECK(transaction.commit() == Errc::lease_lost);
        CHECK(b.stats().leased == 1);
    }
    CHECK(b.stats().released == 1);
    CHECK(a.stats().released == 0);
    CHECK(numbers(b) == Numbers{2});
    CHECK(a.size() == 0);
}

// --- room ------------------------------------------------------------------------------------

TEST_CASE_FIXTURE(Plain, "without room nothing is done, and once there is room all [7.3] [7.2]") {
    const auto blocking = broker.queue("blocking", {.capacity = 1, .overflow = Overflow::block});
    const Queue* target = &one;
    SUBCASE("a queue that rejects") {}
    SUBCASE("a queue that would block: a commit does not wait") { target = &blocking; }
    REQUIRE(target->publish(make(1)));
    const auto first = hold(a, 2);
    auto transaction = broker.transaction();
    REQUIRE(transaction.ack(hold(a, 3)));
    REQUIRE(transaction.publish(b, make(8)));
    REQUIRE(transaction.publish(*target, make(9)));
    CHECK(transaction.commit() == Errc::full);
    CHECK(transaction.commit() == Errc::full);
    CHECK(a.stats().leased == 2);
    CHECK(b.stats().accepted == 0);
    CHECK(target->stats().accepted == 1);
    CHECK(numbers(*target) == Numbers{1});
    const auto ids = transaction.commit();
    REQUIRE(ids);
    CHECK(ids->size() == 2);
    CHECK(numbers(*target) == Numbers{9});
    CHECK(numbers(b) == Numbers{8});
    CHECK(a.stats().completed == 1);
    CHECK(clock.now() == latchbox::Instant{});
    support::check_sound(blocking);
}

TEST_CASE_FIXTURE(Plain, "the room of its own acks counts, of rejects and fails not [7.3] [4.12]") {
    auto transaction = broker.transaction();
    auto holder = hold(one, 1);
    SUBCASE("acked") {
        REQUIRE(transaction.publish(one, make(2)));
        REQUIRE(transaction.ack(std::move(holder)));
        CHECK(transaction.commit());
        CHECK(numbers(one) == Numbers{2});
    }
    SUBCASE("acked, and two published") {
        REQUIRE(transaction.ack(std::move(holder)));
        REQUIRE(transaction.publish(one, make(2)));
        REQUIRE(transaction.publish(one, make(3)));
        CHECK(transaction.commit() == Errc::full);
        CHECK(one.stats().leased == 1);
    }
    SUBCASE("rejected") {
        REQUIRE(transaction.reject(std::move(holder)));
        REQUIRE(transaction.publish(one, make(2)));
        CHECK(transaction.commit() == Errc::full);
        CHECK(one.stats().leased == 1);
        CHECK(one.stats().dead == 0);
    }
    SUBCASE("failed") {
        REQUIRE(transaction.fail(std::move(holder)));
        REQUIRE(transaction.publish(one, make(2)));
        CHECK(transaction.commit() == Errc::full);
        CHECK(one.stats().leased == 1);
        CHECK(one.stats().failed == 0);
    }
    SUBCASE("acked elsewhere") {
        REQUIRE(transaction.ack(hold(a, 1)));
        REQUIRE(transaction.publish(one, make(2)));
        CHECK(transaction.commit() == Errc::full);
        CHECK(a.stats().leased == 1);
        CHECK(one.ack(holder.receipt()));
    }
}

TEST_CASE_FIXTURE(Plain, "a ring of full stages reports full, and nobody waits [7.3]") {
    const auto left = broker.queue("left", {.capacity = 1, .overflow = Overflow::block});
    const auto right = broker.queue("right", {.capacity = 1, .overflow = Overflow::block});
    auto in_left = hold(left, 1);
    auto in_right = hold(right, 2);
    SUBCASE("one after the other") {
        auto to_right = broker.transaction();
        auto to_left = broker.transaction();
        REQUIRE(to_right.ack(std::move(in_left)));
        REQUIRE(to_right.publish(right, make(1)));
        REQUIRE(to_left.ack(std::move(in_right)));
        REQUIRE(to_left.publish(left, make(2)));
        CHECK(to_right.commit() == Errc::full);
        CHECK(to_left.commit() == Errc::full);
        CHECK(left.stats().leased == 1);
        CHECK(right.stats().leased == 1);
    }
    SUBCASE("by the short form") {
        CHECK(in_left.ack_and_publish(right, make(1)) == Errc::full);
        CHECK(in_right.forward(left) == Errc::full);
        CHECK_FALSE(in_left.lease_lost());
        CHECK_FALSE(in_right.lease_lost());
    }
    SUBCASE("both in one: they change places") {
        auto both = broker.transaction();
        REQUIRE(both.publish(left, make(2)));
        REQUIRE(both.ack(std::move(in_left)));
        REQUIRE(both.publish(right, make(1)));
        REQUIRE(both.ack(std::move(in_right)));
        CHECK(both.commit());
        CHECK(numbers(left) == Numbers{2});
        CHECK(numbers(right) == Numbers{1});
    }
    support::check_sound(left);
    support::check_sound(right);
}

TEST_CASE_FIXTURE(Plain,
                  "where the oldest is dropped a commit drops it, as a publish [7.3] [7.2]") {
    const auto small = broker.queue("small", {.capacity = 2, .overflow = Overflow::drop_oldest});
    REQUIRE(small.publish(make(1)));
    auto leased = small.try_fetch();
    REQUIRE(leased);
    REQUIRE(small.publish(make(2)));
    auto transaction = broker.transaction();
    SUBCASE("evicts") {
        REQUIRE(transaction.publish(small, make(3)));
        CHECK(transaction.commit());
        CHECK(small.stats().evicted == 1);
        CHECK(numbers(small) == Numbers{3});
    }
    SUBCASE("not where its own ack makes the room") {
        REQUIRE(transaction.ack(std::move(*leased)));
        REQUIRE(transaction.publish(small, make(3)));
        CHECK(transaction.commit());
        CHECK(small.stats().evicted == 0);
        CHECK(numbers(small) == Numbers{2, 3});
    }
    SUBCASE("never what is leased: full, and nothing was evicted") {
        REQUIRE(transaction.publish(small, make(3)));
        REQUIRE(transaction.publish(small, make(4)));
        const auto done = transaction.commit();
        // The second may evict the first of the same commit, but never the leased one.
        CHECK(small.stats().leased == 1);
        CHECK(small.size() == 2);
        if (!done) {
            CHECK(done == Errc::full);
            CHECK(small.stats().evicted == 0);
            CHECK(numbers(small) == Numbers{2});
        } else {
            CHECK(small.stats().evicted == 2);
            CHECK(numbers(small) == Numbers{4});
        }
    }
    SUBCASE("full of leases") {
        auto second = small.try_fetch();
        REQUIRE(transaction.publish(b, make(8)));
        REQUIRE(transaction.publish(small, make(3)));
        CHECK(transaction.commit() == Errc::full);
        CHECK(b.stats().accepted == 0);
        CHECK(second->ack());
    }
    support::check_sound(small);
}

TEST_CASE_FIXTURE(Plain, "a queue without capacity takes nothing [7.3] [misuse 3]") {
    const auto nothing = broker.queue("nothing", {.capacity = 0});
    auto transaction = broker.transaction();
    REQUIRE(transaction.publish(nothing, make(1)));
    CHECK(transaction.commit() == Errc::full);
}

TEST_CASE_FIXTURE(Plain, "a topic is full or unheard as for any publish [7.3] [6.4] [6.5]") {
    const auto lonely = broker.topic("lonely", {.unrouted = Unrouted::reject});
    const auto ignored = broker.topic("ignored");
    const auto strict = broker.subscribe("s", {.capacity = 1, .overflow = Overflow::reject});
    const auto loose = broker.subscribe("s", {.capacity = 1});
    const auto topic = broker.topic("s");
    auto transaction = broker.transaction();
    REQUIRE(transaction.ack(hold(a, 1)));
    SUBCASE("no subscriber") {
        REQUIRE(transaction.publish(b, make(2)));
        REQUIRE(transaction.publish(lonely, make(3)));
        CHECK(transaction.commit() == Errc::no_subscriber);
        const auto now = broker.subscribe("lonely");
        CHECK(transaction.commit());
        CHECK(numbers(now) == Numbers{3});
        CHECK(numbers(b) == Numbers{2});
    }
    SUBCASE("discarded") {
        REQUIRE(transaction.publish(ignored, make(3)));
        const auto ids = transaction.commit();
        REQUIRE(ids);
        CHECK(broker.latch(ids->front()).state().value() == LatchState::completed);
        CHECK(ignored.stats().discarded == 1);
    }
    SUBCASE("full") {
        REQUIRE(topic.publish(make(1)));
        REQUIRE(transaction.publish(b, make(2)));
        REQUIRE(transaction.publish(topic, make(3)));
        CHECK(transaction.commit() == Errc::full);
        CHECK(b.stats().accepted == 0);
        CHECK(loose.stats().evicted == 0);
        CHECK(numbers(strict) == Numbers{1});
        CHECK(transaction.commit());
        CHECK(numbers(strict) == Numbers{3});
        CHECK(numbers(loose) == Numbers{3});
    }
    SUBCASE("two to a subscription with one place") {
        REQUIRE(transaction.publish(topic, make(2)));
        REQUIRE(transaction.publish(topic, make(3)));
        CHECK(transaction.commit() == Errc::full);
        CHECK(strict.size() == 0);
        CHECK(loose.size() == 0);
        CHECK(topic.stats().published == 0);
    }
    SUBCASE("what is acked in a subscription makes room in it") {
        REQUIRE(topic.publish(make(1)));
        REQUIRE(transaction.ack(strict.try_fetch().value()));
        REQUIRE(transaction.publish(topic, make(2)));
        CHECK(transaction.commit());
        CHECK(numbers(strict) == Numbers{2});
    }
    SUBCASE("the first that fails in the order of the publishes says why") {
        REQUIRE(one.publish(make(1)));
        auto full_first = broker.transaction();
        REQUIRE(full_first.publish(one, make(2)));
        REQUIRE(full_first.publish(lonely, make(2)));
        CHECK(full_first.commit() == Errc::full);
        auto unheard_first = broker.transaction();
        REQUIRE(unheard_first.publish(lonely, make(2)));
        REQUIRE(unheard_first.publish(one, make(2)));
        CHECK(unheard_first.commit() == Errc::no_subscriber);
    }
    support::check_sound(strict);
    support::check_sound(loose);
}

TEST_CASE_FIXTURE(Plain, "a commit does in each subscription what its overflow says [7.3] [6.4]") {
    const auto oldest = broker.subscribe("s", {.capacity = 1});
    const auto newest = broker.subscribe("s", {.capacity = 1, .overflow = Overflow::drop_newest});
    const auto waits = broker.subscribe("s", {.capacity = 2, .overflow = Overflow::block});
    const auto topic = broker.topic("s");
    REQUIRE(topic.publish(make(1)));
    auto transaction = broker.transaction();
    REQUIRE(transaction.ack(hold(a, 0)));
    SUBCASE("one more") {
        REQUIRE(transaction.publish(topic, make(2)));
        REQUIRE(transaction.commit());
        CHECK(numbers(oldest) == Numbers{2});
        CHECK(numbers(newest) == Numbers{1});
        CHECK(numbers(waits) == Numbers{1, 2});
    }
    SUBCASE("one that holds only leases drops the copy") {
        auto held = oldest.try_fetch();
        REQUIRE(transaction.publish(topic, make(2)));
        REQUIRE(transaction.commit());
        CHECK(held->ack());
        CHECK(oldest.size() == 0);
        CHECK(oldest.stats().evicted == 1);
        CHECK(numbers(waits) == Numbers{1, 2});
    }
    SUBCASE("what is acked in it makes the room") {
        REQUIRE(transaction.ack(oldest.try_fetch().value()));
        REQUIRE(transaction.ack(newest.try_fetch().value()));
        REQUIRE(transaction.publish(topic, make(2)));
        REQUIRE(transaction.commit());
        CHECK(numbers(oldest) == Numbers{2});
        CHECK(numbers(newest) == Numbers{2});
        CHECK(oldest.stats().evicted == 0);
        CHECK(newest.stats().evicted == 0);
    }
    SUBCASE("two more than one would wait for: nothing anywhere") {
        REQUIRE(transaction.publish(topic, make(2)));
        REQUIRE(transaction.publish(topic, make(3)));
        CHECK(transaction.commit() == Errc::full);
        CHECK(numbers(oldest) == Numbers{1});
        CHECK(numbers(newest) == Numbers{1});
        CHECK(oldest.stats().evicted + newest.stats().evicted == 0);
        CHECK(topic.stats().published == 1);
        // Worked off, there is room.
        CHECK(numbers(waits) == Numbers{1});
        REQUIRE(transaction.commit());
        CHECK(numbers(oldest) == Numbers{3});
        CHECK(numbers(waits) == Numbers{2, 3});
    }
    for (const auto* one_of : {&oldest, &newest, &waits}) { support::check_sound(*one_of); }
}

TEST_CASE_FIXTURE(Plain,
                  "a commit to a topic is judged by who hears it at the commit [7.3] [6.3]") {
    const auto topic = broker.topic("s.t", {.unrouted = Unrouted::reject});
    auto transaction = broker.transaction();
    REQUIRE(transaction.publish(topic, make(1)));
    REQUIRE(transaction.publish(topic, make(2)));
    std::optional<latchbox::Subscription<std::string>> first = broker.subscribe("s.*");
    const auto group = broker.subscribe("s.>", {.group = "g"});
    const auto sharer = broker.subscribe("s.>", {.group = "g"});
    first.reset();
    REQUIRE(transaction.commit());
    CHECK(numbers(group) == Numbers{1, 2});
    CHECK(sharer.size() == 0);
    CHECK(broker.stats().messages.accepted == 2);
}

TEST_CASE_FIXTURE(Watched, "a commit that frees what it takes passes who waits for room [7.3]") {
    const auto tight = broker.queue("tight", {.capacity = 1, .overflow = Overflow::block});
    auto leased = hold(tight, 1);
    latchbox::Result<MessageId> waited{Errc::empty};
    std::thread publisher{[&] { waited = tight.publish(make(2)); }};
    WatchedThreads::until_asleep(1);
    auto transaction = broker.transaction();
    REQUIRE(transaction.ack(std::move(leased)));
    REQUIRE(transaction.publish(tight, make(3)));
    CHECK(transaction.commit());
    CHECK(tight.stats().accepted == 2);
    CHECK(tight.pop().value() == make(3));
    publisher.join();
    CHECK(waited);
    CHECK(numbers(tight) == Numbers{2});
    support::check_sound(tight);
}

TEST_CASE_FIXTURE(Watched, "a commit gives its room to who waits for it [7.3] [4.9]") {
    const auto tight = broker.queue("tight", {.capacity = 1, .overflow = Overflow::block});
    auto leased = hold(tight, 1);
    latchbox::Result<MessageId> waited{Errc::empty};
    std::thread publisher{[&] { waited = tight.publish(make(2)); }};
    WatchedThreads::until_asleep(1);
    auto transaction = broker.transaction();
    REQUIRE(transaction.ack(std::move(leased)));
    REQUIRE(transaction.publish(b, make(3)));
    CHECK(transaction.commit());
    publisher.join();
    CHECK(waited);
    CHECK(numbers(tight) == Numbers{2});
}

TEST_CASE_FIXTURE(Watched, "a commit wakes who waits for what it publishes or frees [7.3] [4.9]") {
    auto parent = hold(a, 1);
    REQUIRE(a.publish(make(5), {.parents = {parent.id()}}));
    const auto latch = broker.latch(parent.id());
    std::string fetched[2];
    const auto note = [](const Queue& queue, std::string& body) {
        const auto delivery = queue.fetch();
        if (delivery) { body = delivery->body(); }
    };
    std::thread at_b{[&] { note(b, fetched[0]); }};
    std::thread at_a{[&] { note(a, fetched[1]); }};
    Errc waited{};
    std::thread at_latch{[&] { waited = error_of(latch.wait()); }};
    WatchedThreads::until_asleep(3);
    auto transaction = broker.transaction();
    REQUIRE(transaction.ack(std::move(parent)));
    REQUIRE(transaction.publish(b, make(2)));
    CHECK(transaction.commit());
    at_b.join();
    at_a.join();
    at_latch.join();
    CHECK(fetched[0] == make(2));
    CHECK(fetched[1] == make(5));
    CHECK(waited == Errc{});
}

// --- the wishes of publishes -----------------------------------------------------------------

TEST_CASE_FIXTURE(Plain, "wishes count from the commit, as from any publish [7.3] [7.1]") {
    auto transaction = broker.transaction();
    REQUIRE(transaction.publish(a, make(1), {.delay = 5s}));
    REQUIRE(transaction.publish(a, make(2), {.expires_in = 7s, .priority = 1}));
    REQUIRE(transaction.publish(a, make(3), {.priority = 9}));
    clock.advance(3s);
    REQUIRE(transaction.commit());
    CHECK(a.stats().delayed == 1);
    CHECK(a.try_fetch()->release());
    CHECK(numbers(a) == Numbers{3, 2});
    clock.advance(5s - 1ns);
    CHECK(a.try_fetch() == Errc::empty);
    clock.advance(1ns);
    CHECK(numbers(a) == Numbers{1});
}

TEST_CASE_FIXTURE(Plain, "a time to live begins with the commit [7.3] [7.1]") {
    auto transaction = broker.transaction();
    REQUIRE(transaction.publish(a, make(1), {.expires_in = 2s}));
    clock.advance(1h);
    REQUIRE(transaction.commit());
    clock.advance(2s - 1ns);
    broker.poll();
    CHECK(a.stats().ready == 1);
    clock.advance(1ns);
    broker.poll();
    CHECK(a.stats().expired == 1);
}

TEST_CASE_FIXTURE(Plain, "options are copied: what they point to may go [7.3]") {
    const auto gate = broker.gate(1);
    auto transaction = broker.transaction();
    {
        std::string key(100, 'k');
        std::string value(100, 'v');
        latchbox::PublishOptions options{.parents = {gate.id()}, .key = key, .dedup = value};
        REQUIRE(transaction.publish(a, make(1), options));
        REQUIRE(transaction.publish(a, make(2), {.key = key}));
        options.parents.clear();
        key.assign(100, 'x');
        value.assign(100, 'x');
    }
    const auto ids = transaction.commit();
    REQUIRE(ids);
    CHECK(a.stats().blocked == 2);
    CHECK(broker.explain((*ids)[1]).ahead_in_key == 1);
    const auto again = a.publish(make(3), {.dedup = std::string(100, 'v')});
    CHECK(again.value() == ids->front());
    REQUIRE(gate.count_down());
    CHECK(numbers(a) == Numbers{1, 2});
}

TEST_CASE_FIXTURE(Plain, "a child may name what the same commit settles [7.3] [5.1]") {
    auto parent = hold(a, 1);
    const MessageId id = parent.id();
    auto transaction = broker.transaction();
    REQUIRE(transaction.publish(b, make(2), {.parents = {id}}));
    SUBCASE("acked: it has completed") {
        REQUIRE(transaction.ack(std::move(parent)));
        REQUIRE(transaction.commit());
        CHECK(numbers(b) == Numbers{2});
    }
    SUBCASE("rejected: it is dead, and so is the child") {
        REQUIRE(transaction.reject(std::move(parent)));
        const auto ids = transaction.commit();
        REQUIRE(ids);
        CHECK(b.stats().dead == 1);
        CHECK(broker.explain(ids->front()).state == MessageState::dead);
    }
    SUBCASE("failed: it may still come to good") {
        REQUIRE(transaction.fail(std::move(parent)));
        REQUIRE(transaction.commit());
        CHECK(b.stats().blocked == 1);
        clock.advance(1s);
        CHECK(numbers(a) == Numbers{1});
        CHECK(numbers(b) == Numbers{2});
    }
    SUBCASE("not settled at all") {
        REQUIRE(transaction.commit());
        CHECK(b.stats().blocked == 1);
        CHECK(parent.ack());
        CHECK(numbers(b) == Numbers{2});
    }
}

TEST_CASE_FIXTURE(Plain, "a commit may ack a parent and children of its own queue [7.3] [5.4]") {
    auto parent = hold(a, 1);
    REQUIRE(a.publish(make(2), {.parents = {parent.id()}}));
    REQUIRE(one.publish(make(3), {.parents = {parent.id()}}));
    auto transaction = broker.transaction();
    REQUIRE(transaction.ack(std::move(parent)));
    REQUIRE(transaction.publish(a, make(4)));
    REQUIRE(transaction.commit());
    CHECK(numbers(a) == Numbers{2, 4});
    CHECK(numbers(one) == Numbers{3});
}

TEST_CASE_FIXTURE(Plain, "an unknown parent refuses all, before leases and room [7.3] [7.7]") {
    Stages other;
    const auto foreign = other.a.publish(make(1));
    for (const MessageId& parent : {MessageId{}, *foreign}) {
        auto delivery = hold(a, 1);
        const auto receipt = delivery.receipt();
        auto transaction = broker.transaction();
        REQUIRE(transaction.ack(std::move(delivery)));
        REQUIRE(transaction.publish(b, make(2)));
        REQUIRE(transaction.publish(b, make(3), {.parents = {parent}}));
        CHECK(transaction.commit() == Errc::unknown_parent);
        CHECK(b.stats().accepted == 0);
        CHECK(a.stats().leased == 1);
        CHECK(a.ack(receipt));
        CHECK(transaction.commit() == Errc::unknown_parent);
    }
    CHECK(broker.stats().edges == 0);
    CHECK(broker.stats().latches == 0);
}

TEST_CASE_FIXTURE(Plain, "checks come in their order: closed, verbs, parents, leases, room [7.3]") {
    REQUIRE(one.publish(make(0)));
    const auto gone = broker.queue("gone");
    const auto build = [&](bool bad_verb, bool bad_parent, bool bad_lease) {
        auto transaction = broker.transaction();
        auto delivery = hold(a, 1);
        const auto receipt = delivery.receipt();
        if (bad_verb) {
            CHECK(transaction.publish(b, make(2), {.priority = 10}) == Errc::invalid_option);
        }
        REQUIRE(transaction.publish(one, make(2)));
        if (bad_parent) { REQUIRE(transaction.publish(b, make(2), {.parents = {MessageId{}}})); }
        REQUIRE(transaction.ack(std::move(delivery)));
        if (bad_lease) { REQUIRE(a.ack(receipt)); }
        return transaction;
    };
    CHECK(build(false, false, false).commit() == Errc::full);
    CHECK(build(false, false, true).commit() == Errc::lease_lost);
    CHECK(build(false, true, true).commit() == Errc::unknown_parent);
    CHECK(build(true, true, true).commit() == Errc::invalid_option);
    auto all = build(true, true, true);
    auto removed = broker.transaction();
    REQUIRE(removed.publish(gone, make(1)));
    REQUIRE(removed.publish(one, make(1), {.parents = {MessageId{}}}));
    CHECK(removed.publish(b, make(2), {.priority = 10}) == Errc::invalid_option);
    REQUIRE(broker.remove("gone"));
    CHECK(removed.commit() == Errc::closed);
    broker.close();
    CHECK(all.commit() == Errc::closed);
}

TEST_CASE_FIXTURE(Plain, "keys are lines, within a transaction, too [7.3] [5.7]") {
    auto head = hold(a, 1, {.key = "k"});
    REQUIRE(a.publish(make(2), {.key = "k"}));
    auto transaction = broker.transaction();
    REQUIRE(transaction.publish(a, make(3), {.key = "k"}));
    REQUIRE(transaction.publish(a, make(4), {.key = "k", .priority = 9}));
    REQUIRE(transaction.publish(a, make(5), {.key = "other"}));
    SUBCASE("the head acked") {
        REQUIRE(transaction.ack(std::move(head)));
        REQUIRE(transaction.commit());
        CHECK(a.stats().ready == 2);
        CHECK(a.stats().blocked == 2);
        CHECK(numbers(a) == Numbers{2, 3, 4, 5});
    }
    SUBCASE("the head kept") {
        REQUIRE(transaction.commit());
        CHECK(a.stats().ready == 1);
        CHECK(a.stats().blocked == 3);
        CHECK(numbers(a) == Numbers{5});
        CHECK(head.ack());
        CHECK(numbers(a) == Numbers{2, 3, 4});
    }
    SUBCASE("refused: the line is as it was") {
        REQUIRE(one.publish(make(0)));
        REQUIRE(transaction.publish(one, make(6)));
        CHECK(transaction.commit() == Errc::full);
        CHECK(a.stats().blocked == 1);
        CHECK(head.ack());
        CHECK(numbers(a) == Numbers{2});
    }
}

TEST_CASE_FIXTURE(Plain,
                  "a value said before is the first message's, in a commit, too [7.3] [7.1]") {
    const auto topic = broker.topic("s");
    const auto subscription = broker.subscribe("s");
    const auto in_a = a.publish(make(1), {.dedup = "v"});
    const auto in_s = topic.publish(make(2), {.dedup = "v"});
    auto transaction = broker.transaction();
    REQUIRE(transaction.publish(a, make(3), {.dedup = "v"}));
    REQUIRE(transaction.publish(topic, make(4), {.dedup = "v"}));
    REQUIRE(transaction.publish(b, make(5), {.dedup = "v"}));
    REQUIRE(transaction.publish(b, make(6), {.dedup = "v"}));
    REQUIRE(transaction.publish(b, make(7), {.dedup = "w"}));
    const auto ids = transaction.commit();
    REQUIRE(ids);
    REQUIRE(ids->size() == 5);
    CHECK((*ids)[0] == *in_a);
    CHECK((*ids)[1] == *in_s);
    CHECK((*ids)[2] == (*ids)[3]);
    CHECK((*ids)[4] != (*ids)[3]);
    CHECK(a.size() == 1);
    CHECK(a.stats().deduplicated == 1);
    CHECK(topic.stats().deduplicated == 1);
    CHECK(b.stats().deduplicated == 1);
    CHECK(numbers(subscription) == Numbers{2});
    CHECK(b.publish(make(8), {.dedup = "v"}).value() == (*ids)[2]);
    CHECK(numbers(b) == Numbers{5, 7});
}

TEST_CASE_FIXTURE(Plain,
                  "twice the same value to a topic in one commit is one message [7.3] [7.1]") {
    const auto topic = broker.topic("s");
    const auto subscription = broker.subscribe("s");
    auto transaction = broker.transaction();
    REQUIRE(transaction.publish(topic, make(1), {.dedup = "v"}));
    REQUIRE(transaction.publish(topic, make(2), {.dedup = "v"}));
    const auto ids = transaction.commit();
    REQUIRE(ids);
    CHECK(ids->front() == ids->back());
    CHECK(numbers(subscription) == Numbers{1});
    CHECK(topic.stats().published == 1);
}

TEST_CASE_FIXTURE(Plain, "a repeat in a commit needs no room [7.3] [7.1]") {
    const auto first = one.publish(make(1), {.dedup = "v"});
    auto transaction = broker.transaction();
    REQUIRE(transaction.publish(one, make(2), {.dedup = "v"}));
    REQUIRE(transaction.publish(b, make(3)));
    const auto ids = transaction.commit();
    REQUIRE(ids);
    CHECK(ids->front() == *first);
    CHECK(numbers(one) == Numbers{1});
    CHECK(numbers(b) == Numbers{3});
    // Twice in one commit takes one place.
    auto twice = broker.transaction();
    REQUIRE(twice.publish(one, make(4), {.dedup = "w"}));
    REQUIRE(twice.publish(one, make(5), {.dedup = "w"}));
    CHECK(twice.commit());
    CHECK(numbers(one) == Numbers{4});
}

TEST_CASE_FIXTURE(Plain, "a refused commit leaves no value [7.3] [7.1] [misuse 35]") {
    REQUIRE(one.publish(make(1)));
    auto transaction = broker.transaction();
    REQUIRE(transaction.publish(b, make(2), {.dedup = "v"}));
    REQUIRE(transaction.publish(one, make(3), {.dedup = "v"}));
    CHECK(transaction.commit() == Errc::full);
    const auto id = b.publish(make(4), {.dedup = "v"});
    REQUIRE(id);
    CHECK(b.stats().deduplicated == 0);
    CHECK(b.size() == 1);
    // And committed after all, it learns of that.
    REQUIRE(one.pop());
    const auto ids = transaction.commit();
    REQUIRE(ids);
    CHECK(ids->front() == *id);
    CHECK(numbers(b) == Numbers{4});
    CHECK(numbers(one) == Numbers{3});
}

TEST_CASE_FIXTURE(Plain, "a value is judged by how things stood before the commit [7.3] [7.1]") {
    REQUIRE(a.publish(make(1), {.dedup = "v"}));
    auto first = a.try_fetch();
    REQUIRE(first);
    const MessageId id = first->id();
    auto transaction = broker.transaction();
    REQUIRE(transaction.publish(a, make(2), {.dedup = "v"}));
    SUBCASE("acked in it") { REQUIRE(transaction.ack(std::move(*first))); }
    SUBCASE("rejected in it") { REQUIRE(transaction.reject(std::move(*first))); }
    const auto ids = transaction.commit();
    REQUIRE(ids);
    CHECK(ids->front() == id);
    CHECK(a.stats().ready == 0);
}

TEST_CASE_FIXTURE(Plain, "what a topic publishes in a commit is retained, and read [7.3] [6.6]") {
    const auto topic = broker.topic("kept", {.retain_count = 1});
    auto transaction = broker.transaction();
    REQUIRE(transaction.publish(topic, make(1)));
    REQUIRE(transaction.publish(topic, make(2), {.retain_for = 1h}));
    const auto ids = transaction.commit();
    REQUIRE(ids);
    CHECK(*topic.read((*ids)[1]).value() == make(2));
    const auto late = broker.subscribe("kept", {.replay = true});
    CHECK(late.size() >= 1);
}

TEST_CASE_FIXTURE(Plain, "publishes of a commit come in their order, after what was there [4.4]") {
    REQUIRE(a.publish(make(1)));
    auto transaction = broker.transaction();
    REQUIRE(transaction.publish(a, make(3)));
    REQUIRE(transaction.publish(a, make(4)));
    REQUIRE(a.publish(make(2)));
    REQUIRE(transaction.commit());
    REQUIRE(a.publish(make(5)));
    CHECK(numbers(a) == Numbers{1, 2, 3, 4, 5});
}

// --- the end of things -----------------------------------------------------------------------

TEST_CASE_FIXTURE(Plain, "after close a transaction is closed, its verbs, too [7.3] [7.5]") {
    auto transaction = broker.transaction();
    REQUIRE(transaction.ack(hold(a, 1)));
    REQUIRE(transaction.publish(b, make(2)));
    auto late = hold(a, 3);
    broker.close();
    CHECK(transaction.commit() == Errc::closed);
    CHECK(transaction.ack(std::move(late)) == Errc::closed);
    std::string body = make(4);
    CHECK(transaction.publish(b, std::move(body)) == Errc::closed);
    CHECK(body == make(4));         // NOLINT: not taken
    CHECK(late.body() == make(3));  // NOLINT
    auto after = broker.transaction();
    CHECK(after.publish(b, make(5)) == Errc::closed);
    CHECK(after.commit() == Errc::closed);
    CHECK(b.stats().accepted == 0);
    CHECK(a.stats().leased == 2);
}

TEST_CASE("a transaction may outlive its broker, and is closed [7.3] [4.8]") {
    const int before = Counted::live;
    latchbox::ManualClock clock;
    std::optional<latchbox::Broker<Counted>> broker{std::in_place,
                                                    latchbox::BrokerOptions{.clock = &clock}};
    std::optional<latchbox::Queue<Counted>> q = broker->queue("q");
    REQUIRE(q->publish(Counted{1}));
    std::optional<latchbox::Transaction<Counted>> transaction = broker->transaction();
    REQUIRE(transaction->ack(q->try_fetch().value()));
    REQUIRE(transaction->publish(*q, Counted{2}));
    broker.reset();
    CHECK(transaction->commit() == Errc::closed);
    CHECK(transaction->publish(*q, Counted{3}) == Errc::closed);
    q.reset();
    CHECK(transaction->commit() == Errc::closed);
    transaction.reset();
    CHECK(Counted::live == before);
}

TEST_CASE_FIXTURE(Plain, "a queue removed, a subscription ended: the commit is closed [7.3]") {
    const auto gone = broker.queue("gone");
    auto subscription = broker.subscribe("s");
    auto transaction = broker.transaction();
    REQUIRE(transaction.ack(hold(a, 1)));
    REQUIRE(transaction.publish(b, make(2)));
    SUBCASE("where it settles") {
        REQUIRE(transaction.ack(hold(gone, 3)));
        REQUIRE(broker.remove("gone"));
    }
    SUBCASE("where it publishes") {
        REQUIRE(transaction.publish(gone, make(3)));
        REQUIRE(broker.remove("gone"));
    }
    SUBCASE("removed and made again is another queue") {
        REQUIRE(transaction.publish(gone, make(3)));
        REQUIRE(broker.remove("gone"));
        static_cast<void>(broker.queue("gone"));
    }
    SUBCASE("a subscription it settles in") {
        REQUIRE(broker.topic("s").publish(make(3)));
        REQUIRE(transaction.ack(subscription.try_fetch().value()));
        subscription.unsubscribe();
    }
    CHECK(transaction.commit() == Errc::closed);
    CHECK(transaction.commit() == Errc::closed);
    CHECK(a.stats().leased == 1);
    CHECK(b.stats().accepted == 0);
}

TEST_CASE_FIXTURE(Plain, "a subscriber that left gets nothing, and harms no commit [7.3] [6.2]") {
    auto leaves = broker.subscribe("s");
    const auto stays = broker.subscribe("s");
    auto transaction = broker.transaction();
    REQUIRE(transaction.publish(broker.topic("s"), make(1)));
    leaves.unsubscribe();
    const auto comes = broker.subscribe("s");
    CHECK(transaction.commit());
    CHECK(numbers(stays) == Numbers{1});
    CHECK(numbers(comes) == Numbers{1});
}

// --- bodies ----------------------------------------------------------------------------------

TEST_CASE("a transaction moves what it is given, and copies nothing [7.3] [4.11]") {
    const int live = Counted::live;
    {
        latchbox::ManualClock clock;
        latchbox::Broker<Counted> broker{{.clock = &clock}};
        const auto a = broker.queue("a");
        const auto s = broker.subscribe("s");
        REQUIRE(a.publish(Counted{1}));
        const int copies = Counted::copies;
        auto transaction = broker.transaction();
        REQUIRE(transaction.ack(a.try_fetch().value()));
        Counted two{2};
        REQUIRE(transaction.publish(a, std::move(two)));
        CHECK(two.number() == -1);  // NOLINT: taken
        REQUIRE(transaction.publish(broker.topic("s"), Counted{3}));
        REQUIRE(transaction.commit());
        CHECK(a.pop()->number() == 2);
        CHECK(s.pop()->number() == 3);
        CHECK(Counted::copies == copies);
        const Counted four{4};
        auto second = broker.transaction();
        REQUIRE(second.publish(a, four));
        CHECK(Counted::copies == copies + 1);
        REQUIRE(second.commit());
        CHECK(Counted::copies == copies + 1);
        auto dropped = broker.transaction();
        REQUIRE(dropped.publish(a, Counted{5}));
    }
    CHECK(Counted::live == live);
}

TEST_CASE_TEMPLATE("a transaction carries every kind of message [7.3] [4.11]", Msg, int, MoveOnly,
                   support::CopyOnly, support::ThrowingCopy, support::ThrowingMove,
                   support::ThrowingCopyOnly, support::Aligned64, support::SelfReferential,
                   support::NoDefault) {
    using Kind = support::Kind<Msg>;
    {
        Stages<latchbox::Threads, Msg> stages;
        const auto s = stages.broker.subscribe("s");
        auto transaction = stages.broker.transaction();
        REQUIRE(transaction.ack(stages.hold(stages.a, 1)));
        REQUIRE(transaction.publish(stages.b, Kind::make(2)));
        REQUIRE(transaction.publish(stages.broker.topic("s"), Kind::make(3)));
        for (int n = 0; n < 20; ++n) { REQUIRE(transaction.publish(stages.a, Kind::make(n))); }
        auto moved = std::move(transaction);
        REQUIRE(moved.commit());
        CHECK(stages.numbers(stages.b) == Numbers{2});
        CHECK(stages.numbers(s) == Numbers{3});
        CHECK(stages.numbers(stages.a).size() == 20);
        if constexpr (std::is_copy_constructible_v<Msg>) {
            const Msg kept = Kind::make(7);
            auto copying = stages.broker.transaction();
            REQUIRE(copying.publish(stages.b, kept));
            REQUIRE(copying.commit());
            CHECK(Kind::number(kept) == 7);
            CHECK(stages.numbers(stages.b) == Numbers{7});
        }
        auto delivery = stages.hold(stages.a, 8);
        REQUIRE(delivery.ack_and_publish(stages.b, Kind::make(9)));
        auto forwarded = stages.b.try_fetch();
        REQUIRE(forwarded);
        REQUIRE(forwarded->forward(stages.one));
        CHECK(stages.numbers(stages.one) == Numbers{9});
        CHECK(stages.a.size() == 0);
        CHECK(stages.b.size() == 0);
    }
}

TEST_CASE("copies, moves and ends in a transaction may call the broker [7.3] [4.10]") {
    using support::CallsBack;
    latchbox::ManualClock clock;
    latchbox::Broker<CallsBack> broker{{.clock = &clock}};
    const auto a = broker.queue("a");
    const auto b = broker.queue("b", {.capacity = 1, .overflow = Overflow::drop_oldest});
    REQUIRE(a.publish(CallsBack{1}));
    REQUIRE(b.publish(CallsBack{2}));
    CallsBack::calls = 0;
    const auto call = [&] {
        static_cast<void>(a.stats());
        static_cast<void>(b.stats());
        static_cast<void>(broker.stats());
        broker.poll();
        if (auto delivery = a.try_fetch()) { delivery->release(); }
    };
    CallsBack::on_copy = call;
    CallsBack::on_move = call;
    CallsBack::on_end = call;
    {
        auto transaction = broker.transaction();
        REQUIRE(transaction.ack(a.try_fetch().value()));
        REQUIRE(transaction.publish(b, CallsBack{3}));
        REQUIRE(transaction.publish(a, CallsBack{4}));
        REQUIRE(transaction.commit());
        auto delivery = a.try_fetch();
        REQUIRE(delivery);
        REQUIRE(delivery->forward(b));
    }
    CallsBack::no_calls();
    CHECK(CallsBack::calls > 3);
    CHECK(b.pop()->number() == 4);
    CHECK(b.stats().evicted == 2);
    CHECK(a.size() == 0);
    support::check_sound(a);
    support::check_sound(b);
}

TEST_CASE("an end may close the broker in the middle of a commit [7.3] [4.10] [7.5]") {
    using support::CallsBack;
    latchbox::ManualClock clock;
    latchbox::Broker<CallsBack> broker{{.clock = &clock}};
    const auto a = broker.queue("a");
    const auto b = broker.queue("b", {.capacity = 1, .overflow = Overflow::drop_oldest});
    REQUIRE(a.publish(CallsBack{1}));
    REQUIRE(b.publish(CallsBack{2}));
    auto transaction = broker.transaction();
    REQUIRE(transaction.ack(a.try_fetch().value()));
    REQUIRE(transaction.publish(b, CallsBack{3}));
    CallsBack::on_end = [&] { broker.close(); };
    const auto done = transaction.commit();
    CallsBack::no_calls();
    // All or none, whenever the close came.
    if (done) {
        CHECK(a.stats().completed == 1);
        CHECK(b.stats().accepted == 2);
    } else {
        CHECK(done == Errc::closed);
        CHECK(a.stats().completed == 0);
        CHECK(b.stats().accepted == 1);
    }
    support::check_sound(a);
    support::check_sound(b);
}

// --- ack_and_publish -------------------------------------------------------------------------

TEST_CASE_FIXTURE(Plain, "ack_and_publish is both or neither [7.3]") {
    auto delivery = hold(a, 1);
    const MessageId done = delivery.id();
    const auto id = delivery.ack_and_publish(b, make(2), {.parents = {done}, .priority = 3});
    REQUIRE(id);
    CHECK(broker.latch(done).state().value() == LatchState::completed);
    CHECK(delivery.lease_lost());
    CHECK(delivery.ack() == Errc::already_settled);
    CHECK(delivery.ack_and_publish(b, make(3)) == Errc::already_settled);
    CHECK(delivery.forward(b) == Errc::already_settled);
    const auto next = b.try_fetch();
    REQUIRE(next);
    CHECK(next->id() == *id);
    CHECK(next->body() == make(2));
    CHECK(b.stats().accepted == 1);
}

TEST_CASE_FIXTURE(Plain, "ack_and_publish refused keeps lease and message [7.3] [4.11]") {
    REQUIRE(one.publish(make(0)));
    const auto gone = broker.queue("gone");
    REQUIRE(broker.remove("gone"));
    Stages other;
    auto delivery = hold(a, 1);
    std::string body = make(2);
    Errc expected{};
    Errc got{};
    SUBCASE("full") {
        got = error_of(delivery.ack_and_publish(one, std::move(body)));
        expected = Errc::full;
    }
    SUBCASE("closed") {
        got = error_of(delivery.ack_and_publish(gone, std::move(body)));
        expected = Errc::closed;
    }
    SUBCASE("another broker's") {
        got = error_of(delivery.ack_and_publish(other.a, std::move(body)));
        expected = Errc::invalid_option;
    }
    SUBCASE("options") {
        got = error_of(delivery.ack_and_publish(b, std::move(body), {.retain_for = 1s}));
        expected = Errc::invalid_option;
    }
    SUBCASE("parents") {
        got = error_of(delivery.ack_and_publish(b, std::move(body), {.parents = {MessageId{}}}));
        expected = Errc::unknown_parent;
    }
    CHECK(got == expected);
    CHECK(body == make(2));  // NOLINT: refused
    CHECK_FALSE(delivery.lease_lost());
    CHECK(b.stats().accepted == 0);
    CHECK(a.stats().leased == 1);
    CHECK(delivery.ack_and_publish(b, std::move(body)));
    CHECK(numbers(b) == Numbers{2});
}

TEST_CASE_FIXTURE(Plain, "ack_and_publish after the lease is lease_lost [7.3] [4.2]") {
    auto delivery = hold(a, 1);
    std::string body = make(2);
    SUBCASE("by time") { clock.advance(10s); }
    SUBCASE("by receipt") { REQUIRE(a.release(delivery.receipt())); }
    CHECK(delivery.ack_and_publish(b, std::move(body)) == Errc::lease_lost);
    CHECK(body == make(2));  // NOLINT: refused
    CHECK(delivery.forward(b) == Errc::lease_lost);
    CHECK(b.stats().accepted == 0);
    CHECK(numbers(a) == Numbers{1});
    auto last = hold(a, 3);
    broker.close();
    CHECK(last.ack_and_publish(b, std::move(body)) == Errc::closed);
    CHECK(last.forward(b) == Errc::closed);
}

TEST_CASE_FIXTURE(Plain, "ack_and_publish into its own full queue has the room it frees [7.3]") {
    auto delivery = hold(one, 1);
    REQUIRE(delivery.ack_and_publish(one, make(2)));
    CHECK(numbers(one) == Numbers{2});
    CHECK(one.stats().completed == 2);
}

TEST_CASE_FIXTURE(Plain, "ack_and_publish tells repeats apart, and acks all the same [7.3] [7.1]") {
    const auto first = b.publish(make(1), {.dedup = "v"});
    auto delivery = hold(a, 2);
    std::string body = make(3);
    const auto again = delivery.ack_and_publish(b, std::move(body), {.dedup = "v"});
    REQUIRE(again);
    CHECK(*again == *first);
    CHECK(body == make(3));  // NOLINT: a repeat adds nothing
    CHECK(a.stats().completed == 1);
    CHECK(numbers(b) == Numbers{1});
}

// --- forward ---------------------------------------------------------------------------------

TEST_CASE("forward moves a body that nobody else sees [7.3] [4.8]") {
    const int live = Counted::live;
    {
        latchbox::ManualClock clock;
        latchbox::Broker<Counted> broker{{.clock = &clock}};
        const auto a = broker.queue("a", {.lease = 10s});
        const auto b = broker.queue("b", {.lease = 10s});
        REQUIRE(a.publish(Counted{1}));
        auto delivery = a.try_fetch();
        const int copies = Counted::copies;
        const auto id = delivery->forward(b, {.delay = 1s});
        REQUIRE(id);
        CHECK(Counted::copies == copies);
        CHECK(a.stats().completed == 1);
        CHECK(b.stats().delayed == 1);
        clock.advance(1s);
        auto late = b.try_fetch();
        REQUIRE(late);
        CHECK(late->id() == *id);
        CHECK(late->body().number() == 1);
        // Seen by a late holder it is copied.
        clock.advance(10s);
        auto again = b.try_fetch();
        REQUIRE(again);
        REQUIRE(again->forward(a));
        CHECK(Counted::copies == copies + 1);
        CHECK(late->body().number() == 1);
        CHECK(a.pop()->number() == 1);
    }
    CHECK(Counted::live == live);
}

TEST_CASE("a move-only body that another sees is not forwarded, its lease is kept [7.3]") {
    Stages<latchbox::Threads, MoveOnly> stages;
    SUBCASE("seen by a late holder") {
        std::optional<latchbox::Delivery<MoveOnly>> late = stages.hold(stages.a, 1);
        stages.clock.advance(10s);
        auto delivery = stages.a.try_fetch();
        REQUIRE(delivery);
        CHECK(delivery->forward(stages.b) == Errc::body_shared);
        CHECK_FALSE(delivery->lease_lost());
        CHECK(stages.b.stats().accepted == 0);
        CHECK(late->body().number() == 1);
        late.reset();
        REQUIRE(delivery->forward(stages.b));
        CHECK(stages.numbers(stages.b) == Numbers{1});
    }
    SUBCASE("seen by another subscription") {
        const auto s = stages.broker.subscribe("s");
        const auto t = stages.broker.subscribe("s");
        REQUIRE(stages.broker.topic("s").publish(MoveOnly{1}));
        auto delivery = s.try_fetch();
        REQUIRE(delivery);
        CHECK(delivery->forward(stages.b) == Errc::body_shared);
        CHECK(t.try_fetch()->ack());
        REQUIRE(delivery->forward(stages.b));
        CHECK(stages.numbers(stages.b) == Numbers{1});
    }
    SUBCASE("retained by its topic") {
        const auto topic = stages.broker.topic("s", {.retain_count = 1});
        const auto s = stages.broker.subscribe("s");
        const auto id = topic.publish(MoveOnly{1});
        auto delivery = s.try_fetch();
        REQUIRE(delivery);
        CHECK(delivery->forward(stages.b) == Errc::body_shared);
        CHECK(topic.read(*id).value()->number() == 1);
        CHECK(delivery->ack());
    }
}

TEST_CASE_FIXTURE(Plain, "forward to its own queue works, at the back [7.3] [misuse 37]") {
    REQUIRE(a.publish(make(1)));
    REQUIRE(a.publish(make(2)));
    auto delivery = a.try_fetch();
    const MessageId old = delivery->id();
    const auto id = delivery->forward(a);
    REQUIRE(id);
    CHECK(*id != old);
    CHECK(broker.latch(old).state().value() == LatchState::completed);
    CHECK(broker.explain(*id).state == MessageState::ready);
    CHECK(numbers(a) == Numbers{2, 1});
    auto in_one = hold(one, 3);
    REQUIRE(in_one.forward(one));
    auto again = one.try_fetch();
    REQUIRE(again);
    CHECK(again->body() == make(3));
    CHECK(again->attempt() == 1);
    CHECK(again->ack());
}

TEST_CASE_FIXTURE(Plain, "forward to closed or full keeps lease and body [7.3] [misuse 37]") {
    const auto gone = broker.queue("gone");
    REQUIRE(broker.remove("gone"));
    REQUIRE(one.publish(make(0)));
    Stages other;
    auto delivery = hold(a, 1);
    CHECK(delivery.forward(gone) == Errc::closed);
    CHECK(delivery.forward(one) == Errc::full);
    CHECK(delivery.forward(other.a) == Errc::invalid_option);
    CHECK(delivery.forward(b, {.priority = 10}) == Errc::invalid_option);
    CHECK(delivery.forward(b, {.parents = {MessageId{}}}) == Errc::unknown_parent);
    CHECK(delivery.body() == make(1));
    CHECK_FALSE(delivery.lease_lost());
    CHECK(a.stats().leased == 1);
    REQUIRE(delivery.forward(b, {.key = "k", .dedup = "v"}));
    CHECK(delivery.forward(b) == Errc::already_settled);
    CHECK(numbers(b) == Numbers{1});
    CHECK(a.stats().completed == 1);
}

TEST_CASE_FIXTURE(Plain, "forward does not wait where the queue would block [7.3]") {
    const auto full = broker.queue("full", {.capacity = 1, .overflow = Overflow::block});
    REQUIRE(full.publish(make(0)));
    auto delivery = hold(a, 1);
    CHECK(delivery.forward(full) == Errc::full);
    CHECK(delivery.forward(full, {.block_for = 1h}) == Errc::full);
    REQUIRE(full.pop());
    CHECK(delivery.forward(full));
    CHECK(numbers(full) == Numbers{1});
}

TEST_CASE_FIXTURE(Plain, "a copy of a topic's message is forwarded without its subject [7.3]") {
    const auto s = broker.subscribe("s");
    const auto t = broker.subscribe("s");
    const auto id = broker.topic("s").publish(make(1));
    auto delivery = s.try_fetch();
    REQUIRE(delivery->forward(a));
    CHECK(broker.latch(*id).state().value() == LatchState::pending);
    const auto in_t = t.try_fetch();
    CHECK(in_t->body() == make(1));
    const auto in_a = a.try_fetch();
    REQUIRE(in_a);
    CHECK(in_a->body() == make(1));
    CHECK(in_a->subject().empty());
    CHECK(in_a->id() != *id);
}

// --- several at once -------------------------------------------------------------------------

TEST_CASE("commits in opposite order move everything and lose nothing [7.3] [4.1]") {
    constexpr int tokens = 8;
    constexpr int moves = 2'000;
    latchbox::Broker<int> broker;
    const auto left = broker.queue("left", {.lease = 1h, .capacity = tokens});
    const auto right = broker.queue("right", {.lease = 1h, .capacity = tokens});
    for (int n = 0; n < tokens; ++n) { REQUIRE((n % 2 == 0 ? left : right).publish(n)); }
    std::atomic<int> refused{0};
    const auto carry = [&](const auto& from, const auto& to) {
        for (int done = 0; done < moves;) {
            auto delivery = from.try_fetch();
            if (!delivery) {
                std::this_thread::yield();
                continue;
            }
            const int body = delivery->body();
            auto transaction = broker.transaction();
            if (!transaction.publish(to, body) || !transaction.ack(std::move(*delivery))) {
                return;
            }
            if (transaction.commit()) {
                ++done;
            } else {
                ++refused;
            }
        }
    };
    std::vector<std::thread> carrying;
    for (int i = 0; i < 2; ++i) {
        carrying.emplace_back([&] { carry(left, right); });
        carrying.emplace_back([&] { carry(right, left); });
    }
    for (std::thread& thread : carrying) { thread.join(); }
    CHECK(refused == 0);
    std::vector<int> seen(tokens, 0);
    for (const auto& queue : {left, right}) {
        CHECK(queue.stats().leased == 0);
        support::check_sound(queue);
        for (const int body : support::work_off(queue)) { ++seen[static_cast<std::size_t>(body)]; }
    }
    CHECK(seen == std::vector<int>(tokens, 1));
    CHECK(left.stats().completed + right.stats().completed == 4 * moves + tokens);
}

TEST_CASE("of two commits that settle one lease, one settles it [7.3] [4.2]") {
    latchbox::Broker<int> broker;
    const auto q = broker.queue("q", {.lease = 1h});
    const auto out = broker.queue("out");
    constexpr int rounds = 300;
    int both = 0;
    for (int i = 0; i < rounds; ++i) {
        REQUIRE(q.publish(i));
        auto delivery = q.try_fetch();
        const auto receipt = delivery->receipt();
        auto transaction = broker.transaction();
        REQUIRE(transaction.publish(out, i));
        REQUIRE(transaction.ack(std::move(*delivery)));
        std::atomic<bool> go{false};
        bool by_receipt = false;
        std::thread other{[&] {
            while (!go) { std::this_thread::yield(); }
            by_receipt = q.ack(receipt).has_value();
        }};
        go = true;
        const bool by_commit = transaction.commit().has_value();
        other.join();
        if (by_receipt == by_commit) { ++both; }
    }
    CHECK(both == 0);
    CHECK(q.stats().completed == rounds);
    CHECK(q.size() == 0);
    CHECK(out.stats().accepted <= rounds);
    support::check_sound(q);
    support::check_sound(out);
}

TEST_CASE("a pipeline of full stages on real threads comes to its end [7.3]") {
    constexpr int messages = 3'000;
    latchbox::Broker<int> broker;
    const latchbox::QueueOptions tight{.lease = 1h, .capacity = 4, .overflow = Overflow::block};
    const auto first = broker.queue("first", tight);
    const auto second = broker.queue("second", tight);
    const auto third = broker.queue("third", tight);
    const auto pass = [](const auto& from, const auto& to) {
        for (int done = 0; done < messages;) {
            auto delivery = from.fetch();
            if (!delivery) { return; }
            while (!delivery->forward(to)) { std::this_thread::yield(); }
            ++done;
        }
    };
    std::vector<int> seen;
    std::vector<std::thread> threads;
    threads.emplace_back([&] {
        for (int n = 0; n < messages; ++n) {
            while (!first.publish(n)) {}
        }
    });
    threads.emplace_back([&] { pass(first, second); });
    threads.emplace_back([&] { pass(second, third); });
    threads.emplace_back([&] {
        while (seen.size() < messages) {
            auto delivery = third.fetch();
            if (!delivery) { return; }
            seen.push_back(delivery->body());
            delivery->ack();
        }
    });
    for (std::thread& thread : threads) { thread.join(); }
    bool in_order = seen.size() == messages;
    for (std::size_t n = 0; n < seen.size(); ++n) {
        in_order = in_order && seen[n] == static_cast<int>(n);
    }
    CHECK(in_order);
    for (const auto& queue : {first, second, third}) {
        CHECK(queue.size() == 0);
        support::check_sound(queue);
    }
}

TEST_CASE("a transaction works on a platform of one thread [7.3]") {
    Stages<latchbox::SingleThread, int> stages;
    auto transaction = stages.broker.transaction();
    REQUIRE(transaction.ack(stages.hold(stages.a, 1)));
    REQUIRE(transaction.publish(stages.b, 2));
    REQUIRE(transaction.commit());
    auto delivery = stages.b.try_fetch();
    REQUIRE(delivery);
    REQUIRE(delivery->forward(stages.one));
    CHECK(stages.numbers(stages.one) == Numbers{2});
    REQUIRE(stages.hold(stages.a, 3).ack_and_publish(stages.b, 4));
    CHECK(stages.numbers(stages.b) == Numbers{4});
}

TEST_CASE("a body that is copied for a commit takes nobody's place before that [7.3] [4.12]") {
    using support::CallsBack;
    latchbox::ManualClock clock;
    latchbox::Broker<CallsBack> broker{{.clock = &clock}};
    const auto a = broker.queue("a", {.capacity = 2});
    REQUIRE(a.publish(CallsBack{1}));
    REQUIRE(a.publish(CallsBack{2}));
    auto held = a.try_fetch();
    REQUIRE(held);
    auto refused = broker.transaction();
    REQUIRE(refused.publish(a, CallsBack{3}));

    SUBCASE("nor is anybody evicted from a queue that does not do so") {
        CallsBack::on_copy = [&] {
            auto other = broker.transaction();
            REQUIRE(other.fail(std::move(*held)));
            REQUIRE(other.commit());
        };
        CHECK(refused.commit() == Errc::full);
        CallsBack::no_calls();
        CHECK(a.stats().evicted == 0);
        CHECK(a.size() == 2);
    }
    SUBCASE("room that comes meanwhile is another's, if he is first") {
        CallsBack::on_copy = [&] {
            REQUIRE(held->ack());
            CallsBack::no_calls();
            CHECK(a.publish(CallsBack{4}).has_value());
        };
        CHECK(refused.commit() == Errc::full);
        CallsBack::no_calls();
        CHECK(a.size() == 2);
    }
    SUBCASE("one that another stands for needs none") {
        REQUIRE(held->ack());
        const auto first = a.publish(CallsBack{5}, {.dedup = "v"});
        REQUIRE(first);
        REQUIRE(a.pop());
        auto both = broker.transaction();
        REQUIRE(both.publish(a, CallsBack{6}, {.dedup = "v"}));
        REQUIRE(both.publish(a, CallsBack{7}));
        const auto ids = both.commit();
        REQUIRE(ids);
        CHECK(ids->front() == first.value());
    }
    support::check_sound(a);
}

}  // namespace
