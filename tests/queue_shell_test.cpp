// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/queue_shell.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"
#include "support/message_kinds.hpp"
#include "support/sound.hpp"

// One queue's shell, past its handles: entering, concluding, handing over. Waiters are put in line
// by hand here, so no thread is needed to see what they are given.
namespace {

using namespace std::chrono_literals;
using latchbox::Errc;
using latchbox::Instant;
using latchbox::detail::Access;
using latchbox::detail::Moment;
using Platform = latchbox::Threads;
using Message = support::CallsBack;
using Waiter = latchbox::detail::Waiter<Platform>;
using Shell = latchbox::detail::QueueShell<Message, Platform>;
using Delivery = latchbox::Delivery<Message>;

// A manual clock that counts how often it is asked.
struct AskedClock final : latchbox::Clock {
    latchbox::Duration at = {};
    int asked = 0;
    Instant now() noexcept override {
        ++asked;
        return Instant{at};
    }
};

struct Shelled {
    AskedClock clock;
    std::optional<latchbox::Broker<Message>> broker{std::in_place,
                                                    latchbox::BrokerOptions{.clock = &clock}};
    latchbox::Queue<Message> queue = broker->queue(
        "queue", {.lease = 10s, .capacity = 3, .overflow = latchbox::Overflow::block});
    Shell& shell = Access::shell(queue);

    void publish(int n, const latchbox::PublishOptions& options = {}) const {
        REQUIRE(queue.publish(Message{n}, options));
    }
    void wait_for_message(Waiter& waiter) const {
        shell.mutex.lock();
        while (const auto lacking = shell.core.of_histories(1)) {
            shell.grow(lacking);
            shell.mutex.lock();
        }
        shell.core.promise_histories(1);
        shell.fetchers.push_back(waiter);
        shell.mutex.unlock();
    }
    void wait_for_room(Waiter& waiter) const {
        shell.mutex.lock();
        shell.publishers.push_back(waiter);
        shell.mutex.unlock();
    }
    [[nodiscard]] Delivery delivery_of(const Waiter& waiter) const {
        REQUIRE(waiter.sleep.done);
        REQUIRE(waiter.ending == Errc{});
        return Access::make<Delivery>(shell, waiter.grant);
    }
    ~Shelled() { Message::no_calls(); }
};

Instant at(latchbox::Duration since) { return Instant{since}; }

TEST_CASE_FIXTURE(Shelled,
                  "entering does what is due and gives the instant by which it is done "
                  "[4.3]") {
    publish(1, {.delay = 5s});
    clock.at = 5s;
    const Moment moment = shell.enter();
    CHECK(moment.exact());
    CHECK(moment.now == at(5s));
    CHECK(shell.core.stats().ready == 1);
    CHECK_FALSE(shell.is_closed());
    shell.mutex.unlock();
}

TEST_CASE_FIXTURE(Shelled, "once closed the clock is asked no more [4.8] [7.5]") {
    broker->close();
    const int asked = clock.asked;
    shell.enter();
    CHECK(shell.is_closed());
    shell.mutex.unlock();
    CHECK(queue.stats().accepted == 0);
    CHECK(clock.asked == asked);
}

TEST_CASE_FIXTURE(Shelled, "a message goes to who has waited longest, with its lease [4.9]") {
    Waiter first;
    Waiter second;
    wait_for_message(first);
    wait_for_message(second);
    clock.at = 2s;
    publish(1);
    CHECK_FALSE(second.sleep.done);
    publish(2);
    const Delivery one = delivery_of(first);
    const Delivery two = delivery_of(second);
    CHECK(one.body().number() == 1);
    CHECK(two.body().number() == 2);
    CHECK(one.deadline() == at(12s));
    const latchbox::detail::Lock lock{shell.mutex};
    CHECK(shell.fetchers.empty());
}

TEST_CASE_FIXTURE(Shelled, "one who is late at that instant is passed over, and told [4.3] [4.9]") {
    Waiter late;
    Waiter in_time;
    late.sleep.until = at(5s);
    in_time.sleep.until = at(5s) + 1ns;
    wait_for_message(late);
    wait_for_message(in_time);
    clock.at = 5s;
    publish(1);
    CHECK(late.sleep.done);
    CHECK(late.ending == Errc::timed_out);
    const Delivery served = delivery_of(in_time);
    CHECK(served.body().number() == 1);
}

TEST_CASE_FIXTURE(Shelled, "time serves who waits at the instant at which it acts [4.3] [4.9]") {
    publish(1, {.delay = 5s});
    publish(2, {.delay = 7s});
    Waiter early;
    Waiter late;
    early.sleep.until = at(6s);
    late.sleep.until = at(7s);
    wait_for_message(early);
    wait_for_message(late);
    clock.at = 20s;
    CHECK(broker->poll() > at(20s));
    const Delivery served = delivery_of(early);
    CHECK(served.body().number() == 1);
    // Granted by who came at 20 s, so it counts from then.
    CHECK(served.deadline() == at(30s));
    CHECK(late.ending == Errc::timed_out);
    CHECK(queue.stats().ready == 1);
}

TEST_CASE_FIXTURE(Shelled,
                  "room goes to who has waited longest for it, and is kept for him "
                  "[7.2] [4.9]") {
    for (int n = 1; n <= 3; ++n) { publish(n); }
    Waiter wide;
    Waiter narrow;
    wide.wanted = 2;
    wait_for_room(wide);
    wait_for_room(narrow);
    REQUIRE(queue.pop());
    // Room for the second, but the first comes first.
    CHECK_FALSE(wide.sleep.done);
    CHECK_FALSE(narrow.sleep.done);
    REQUIRE(queue.pop());
    CHECK(wide.sleep.done);
    CHECK(wide.ending == Errc{});
    CHECK_FALSE(narrow.sleep.done);
    CHECK(queue.publish(Message{9}, {.block_for = 0s}) == Errc::timed_out);
    REQUIRE(queue.pop());
    CHECK(narrow.sleep.done);
    shell.mutex.lock();
    CHECK(shell.core.reserved() == 3);
    shell.core.redeem(3);
    shell.mutex.unlock();
    support::check_sound(queue);
}

TEST_CASE_FIXTURE(Shelled, "bodies are destroyed when no lock is held [4.10]") {
    std::vector<std::uint64_t> held;
    Message::on_end = [&] { held.push_back(queue.stats().held()); };
    SUBCASE("acked") {
        publish(1);
        held.clear();
        auto delivery = queue.try_fetch();
        REQUIRE(delivery->ack());
    }
    SUBCASE("purged") {
        publish(1);
        publish(2);
        held.clear();
        CHECK(queue.purge() == 2);
        CHECK(held.size() == 2);
    }
    SUBCASE("expired") {
        publish(1, {.expires_in = 5s});
        held.clear();
        clock.at = 5s;
        broker->poll();
    }
    SUBCASE("closed") {
        publish(1);
        held.clear();
        broker->close();
        CHECK(held == std::vector<std::uint64_t>{1});
        held = {0};
    }
    REQUIRE_FALSE(held.empty());
    CHECK(held.back() == 0);
}

TEST_CASE_FIXTURE(Shelled, "a queue lives as long as a delivery, though all else is gone [4.8]") {
    std::optional<Delivery> kept;
    {
        const auto other = broker->queue("other");
        REQUIRE(other.publish(Message{7}));
        kept.emplace(std::move(*other.try_fetch()));
    }
    broker.reset();
    CHECK(kept->body().number() == 7);
    CHECK(kept->ack() == Errc::closed);
    CHECK(kept->lease_lost());
    kept.reset();
}

TEST_CASE_FIXTURE(Shelled, "a removed queue lives until its last lease is over [4.8]") {
    publish(1);
    auto delivery = queue.try_fetch();
    REQUIRE(broker->remove("queue"));
    CHECK(queue.publish(Message{2}) == Errc::closed);
    CHECK(queue.stats().leased == 1);
    SUBCASE("settled is too late") { CHECK(delivery->ack() == Errc::closed); }
    clock.at = 10s;
    CHECK(queue.stats().leased == 0);
    CHECK(queue.stats().purged == 1);
    CHECK(delivery->body().number() == 1);
}

TEST_CASE_FIXTURE(Shelled, "what the timekeeper was told is confirmed or put right [7.4]") {
    publish(1, {.delay = 5s});
    const auto due = Access::core(queue).next_due();
    CHECK(shell.confirm_due(due));
    REQUIRE(queue.purge() == 1);
    CHECK_FALSE(shell.confirm_due(due));
    CHECK(broker->poll().is_never());
}

TEST_CASE_FIXTURE(Shelled, "a lease shorter than a second is no matter for a glance [4.3]") {
    CHECK_FALSE(shell.short_leases());
    CHECK(Access::shell(broker->queue("short", {.lease = 999ms})).short_leases());
    CHECK_FALSE(Access::shell(broker->queue("long", {.lease = 1s})).short_leases());
}

}  // namespace
