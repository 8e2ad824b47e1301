// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/acting.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"
#include "support/message_kinds.hpp"
#include "support/sound.hpp"
#include "support/tracked_message.hpp"

// What comes of a call: who is served or sent away, which bodies end, and when.
namespace {

using namespace std::chrono_literals;
using latchbox::Errc;
using latchbox::LatchState;
using latchbox::detail::Access;
using latchbox::detail::Lock;
using latchbox::detail::none;
using latchbox::detail::Reference;
using support::CallsBack;
using support::TrackedMessage;
using Waiter = latchbox::detail::Waiter<latchbox::Threads>;
using Membership = latchbox::detail::Membership<latchbox::Threads>;

struct Acted {
    latchbox::ManualClock clock;
    latchbox::Broker<TrackedMessage> broker{{.clock = &clock}};
    using Subscription = latchbox::Subscription<TrackedMessage>;
    latchbox::Topic<TrackedMessage> topic = broker.topic("topic");
    Subscription one = broker.subscribe("topic", {.lease = 1h});
    Subscription other = broker.subscribe("*", {.lease = 1h});

    [[nodiscard]] latchbox::MessageId publish(std::uint64_t value,
                                              const latchbox::PublishOptions& options = {}) const {
        return topic.publish(TrackedMessage{value}, options).value();
    }
    [[nodiscard]] LatchState latch(const latchbox::MessageId& id) {
        return broker.latch(id).state().value();
    }
    ~Acted() {
        support::check_sound(one);
        support::check_sound(other);
    }
};

TEST_CASE_FIXTURE(Acted, "of those who wait only a member who left is sent away [6.2] [4.9]") {
    auto& shell = Access::shell(one);
    const Reference<Membership> leaving{new Membership};
    const Reference<Membership> staying{new Membership};
    Waiter waiters[5];
    for (int i = 0; i < 5; ++i) {
        waiters[i].member = i % 2 == 0 ? leaving.get() : i == 1 ? staying.get() : nullptr;
        shell.mutex.lock();
        while (const auto lacking = shell.core.of_histories(1)) {
            shell.grow(lacking);
            shell.mutex.lock();
        }
        shell.core.promise_histories(1);
        shell.fetchers.push_back(waiters[i]);
        shell.mutex.unlock();
    }
    latchbox::detail::Aftermath<TrackedMessage, latchbox::Threads> after;
    {
        const Lock lock{shell.mutex};
        shell.end_fetchers_of(*leaving, after);
    }
    shell.act_on(after);
    for (int i = 0; i < 5; ++i) {
        CHECK(waiters[i].sleep.done == (i % 2 == 0));
        CHECK(waiters[i].ending == (i % 2 == 0 ? Errc::closed : Errc{}));
    }
    // The others are served in their order.
    static_cast<void>(publish(7));
    CHECK(waiters[1].sleep.done);
    CHECK_FALSE(waiters[3].sleep.done);
    const auto served = Access::make<latchbox::Delivery<TrackedMessage>>(shell, waiters[1].grant);
    CHECK(served.body().digest() == 7);
    {
        const Lock lock{shell.mutex};
        shell.end_all_waiters(Errc::closed, after);
    }
    shell.act_on(after);
    CHECK(waiters[3].ending == Errc::closed);
}

TEST_CASE_FIXTURE(Acted, "a body ends with the last of its copies, and with who still reads it") {
    static_cast<void>(publish(1));
    CHECK(TrackedMessage::live() == 1);
    CHECK(one.purge() == 1);
    CHECK(TrackedMessage::live() == 1);
    auto delivery = other.try_fetch();
    REQUIRE(delivery->ack());
    CHECK(TrackedMessage::live() == 1);
    CHECK(delivery->body().digest() == 1);
    delivery = Errc::empty;
    CHECK(TrackedMessage::live() == 0);
}

TEST_CASE_FIXTURE(Acted, "the place of a copy that somebody still reads is not used again [4.8]") {
    static_cast<void>(publish(1));
    auto reading = one.try_fetch();
    REQUIRE(one.ack(reading->receipt()));
    auto& core = Access::core(one);
    CHECK(core.seen() != none);
    CHECK(core.vacant() == none);
    for (std::uint64_t n = 2; n < 20; ++n) { static_cast<void>(publish(n)); }
    CHECK(reading->body().digest() == 1);
    reading = Errc::empty;
    const auto slots = core.slot_count();
    static_cast<void>(publish(20));
    CHECK(core.slot_count() == slots);
    CHECK(core.seen() == none);
}

TEST_CASE_FIXTURE(Acted,
                  "every copy that dies, comes back or leaves is told to its message [5.3]") {
    const auto id = publish(1);
    CHECK(latch(id) == LatchState::pending);
    REQUIRE(one.try_fetch()->reject("no"));
    CHECK(latch(id) == LatchState::dead);
    CHECK(one.dead_letters().redrive() == 1);
    CHECK(latch(id) == LatchState::pending);
    REQUIRE(one.try_fetch()->ack());
    CHECK(latch(id) == LatchState::pending);
    REQUIRE(other.try_fetch()->ack());
    CHECK(latch(id) == LatchState::completed);

    const auto cancelled = publish(2);
    REQUIRE(one.cancel(cancelled));
    CHECK(latch(cancelled) == LatchState::failed);
    REQUIRE(other.try_fetch()->ack());
    CHECK(latch(cancelled) == LatchState::failed);
    CHECK(broker.stats().latches == 0);
}

TEST_CASE_FIXTURE(Acted, "what time does to a copy reaches its children at that instant [4.3]") {
    const auto parent = publish(1, {.expires_in = 1s});
    const auto queue = broker.queue("children");
    // Who was told later than that would have found it expired.
    REQUIRE(queue.publish(TrackedMessage{2}, {.parents = {parent}, .expires_in = 2s}));
    static_cast<void>(publish(3, {.expires_in = 3s}));
    clock.advance(10s);
    CHECK(broker.poll().is_never());
    CHECK(queue.stats().dead == 1);
    CHECK(queue.stats().expired == 0);
    CHECK(one.stats().expired == 2);
    CHECK(other.stats().expired == 2);
}

TEST_CASE_FIXTURE(Acted,
                  "a queue that closes lets go of all bodies but those in hand [7.5] [4.8]") {
    for (std::uint64_t n = 1; n <= 4; ++n) { static_cast<void>(publish(n)); }
    auto delivery = one.try_fetch();
    broker.close();
    CHECK(TrackedMessage::live() == 1);
    CHECK(delivery->body().digest() == 1);
    CHECK(delivery->ack() == Errc::closed);
    delivery = Errc::empty;
    CHECK(TrackedMessage::live() == 0);
    CHECK(one.stats().held() == 4);
}

TEST_CASE("bodies that copies share are destroyed when no lock is held [4.10] [6.3]") {
    latchbox::ManualClock clock;
    latchbox::Broker<CallsBack> broker{{.clock = &clock}};
    const auto topic = broker.topic("topic");
    auto one = broker.subscribe("topic");
    const auto other = broker.subscribe("*");
    std::vector<std::uint64_t> held;
    REQUIRE(topic.publish(CallsBack{1}, {.expires_in = 5s}));
    REQUIRE(other.try_fetch()->ack());
    CallsBack::on_end = [&] {
        held.push_back(one.stats().held() + topic.stats().published + broker.stats().topics);
        REQUIRE(topic.publish(CallsBack{2}));
    };
    SUBCASE("acked") { REQUIRE(one.try_fetch()->ack()); }
    SUBCASE("purged") { CHECK(one.purge() == 1); }
    SUBCASE("expired") {
        clock.advance(5s);
        broker.poll();
    }
    SUBCASE("left behind") { one.unsubscribe(); }
    CHECK(held.size() == 1);
    CallsBack::no_calls();
    CHECK(other.size() == 1);
    support::check_sound(other);
}

TEST_CASE_FIXTURE(Acted, "who waits to publish a value looks again where another has it [7.1]") {
    auto& shell = Access::shell(one);
    const int a = 0;
    const int b = 0;
    Waiter waiters[4];
    const void* const to[] = {&a, &b, &a, &a};
    const char* const values[] = {"v", "v", "w", "v"};
    latchbox::detail::Aftermath<TrackedMessage, latchbox::Threads> after;
    {
        const Lock lock{shell.mutex};
        for (std::size_t i = 0; i < 4; ++i) {
            waiters[i].to = to[i];
            waiters[i].value = values[i];
            shell.publishers.push_back(waiters[i]);
        }
        shell.end_publishers_of(&a, "v", after);
        CHECK(&shell.publishers.front() == &waiters[1]);
    }
    shell.broker->wake(after);
    for (std::size_t i = 0; i < 4; ++i) {
        CHECK(waiters[i].sleep.done == (i == 0 || i == 3));
        CHECK(waiters[i].in_line == (i == 1 || i == 2));
        const auto ended = i == 0 || i == 3 ? latchbox::detail::look_again : Errc{};
        CHECK(waiters[i].ending == ended);
    }
    {
        const Lock lock{shell.mutex};
        shell.end_publishers(Errc::closed, after);
    }
    shell.broker->wake(after);
    CHECK(waiters[1].ending == Errc::closed);
}

TEST_CASE_FIXTURE(Acted, "with one who leaves those are sent away who fetch for him [6.2] [8]") {
    auto& shell = Access::shell(one);
    const Reference<Membership> leaving{new Membership};
    const Reference<Membership> staying{new Membership};
    const Reference<Membership> workers[] = {Reference<Membership>{new Membership{leaving}},
                                             Reference<Membership>{new Membership{staying}}};
    Waiter waiters[2];
    latchbox::detail::Aftermath<TrackedMessage, latchbox::Threads> after;
    {
        shell.mutex.lock();
        while (const auto lacking = shell.core.of_histories(2)) {
            shell.grow(lacking);
            shell.mutex.lock();
        }
        for (std::size_t i = 0; i < 2; ++i) {
            waiters[i].member = workers[i].get();
            shell.core.promise_histories(1);
            shell.fetchers.push_back(waiters[i]);
        }
        shell.end_fetchers_of(*leaving, after);
        shell.mutex.unlock();
    }
    shell.broker->wake(after);
    CHECK(waiters[0].ending == Errc::closed);
    CHECK(waiters[1].in_line);
    {
        const Lock lock{shell.mutex};
        shell.end_all_waiters(Errc::closed, after);
    }
    shell.broker->wake(after);
}

}  // namespace
