// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/appending.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"
#include "support/sound.hpp"

// The last steps of a publish to a topic, none of which can fail: ids, copies, the value.
namespace {

using namespace std::chrono_literals;
using latchbox::Errc;
using latchbox::Instant;
using latchbox::MessageId;
using latchbox::PublishOptions;
using latchbox::detail::Access;
using latchbox::detail::Effects;
using latchbox::detail::Lock;
using latchbox::detail::look_again;
using latchbox::detail::Needs;
using latchbox::detail::Reference;
using Platform = latchbox::Threads;
using Appending = latchbox::detail::Appending<int, Platform>;
using Drafts = latchbox::detail::Drafts<int, Platform>;
using Naming = latchbox::detail::Naming<int, Platform>;
using Reserving = latchbox::detail::Reserving<int, Platform>;
using Waiter = latchbox::detail::Waiter<Platform>;
using Way = Appending::Way;

struct Appended {
    latchbox::ManualClock clock;
    latchbox::Broker<int> broker{{.clock = &clock}};
    latchbox::Topic<int> topic = broker.topic("a", {.dedup_window = 10s});
    latchbox::Queue<int> any = broker.queue("any");
    Reference<Appending::Topic> shell = Naming::topic(*Access::shell(any).broker, "a");
    std::vector<latchbox::Subscription<int>> subscriptions;

    ~Appended() {
        for (const auto& one : subscriptions) { support::check_sound(one); }
    }
    [[nodiscard]] static Instant at(latchbox::Duration since) { return Instant{} + since; }
    void stand_for(std::string value, const MessageId& id, Instant now) const {
        auto room = latchbox::detail::DedupWindow::make(8);
        const Lock lock{shell->mutex};
        shell->values.adopt(room);
        Appending{*shell, {}}.stand_for(value, id, now);
    }
    [[nodiscard]] bool find_first(const std::string& value, Instant now, MessageId& id) const {
        const Lock lock{shell->mutex};
        return Appending{*shell, {}}.find_first(value, now, id);
    }
    // All the steps, in one thread. The ids.
    std::vector<MessageId> publish(std::size_t count, const PublishOptions& options,
                                   Appending::After& after) {
        const Appending appending{*shell, options};
        Way way{*shell, count, Needs::of(options, false)};
        way.find();
        Drafts drafts{shell->broker.shelf, way.bodies()};
        if (!way.targets().empty()) {
            drafts.take(false);
            for (std::size_t i = 0; i < count; ++i) {
                drafts.bodies[i]->construct(static_cast<int>(i));
            }
        }
        for (auto& target : way.targets()) {
            auto& queue = *target.queue;
            for (;;) {
                queue.mutex.lock();
                const auto lacking = Reserving::take_slots(queue, count, {}, target.taken);
                if (!lacking) { break; }
                queue.grow(lacking);
            }
            queue.mutex.unlock();
        }
        std::vector<MessageId> ids(count);
        Appending::Body* aged = nullptr;
        const Lock lock{shell->mutex};
        const auto bodies = drafts.bodies.first(drafts.taken);
        appending.issue(way, bodies, count, ids.data(), {}, Instant{}, aged);
        drafts.taken = drafts.made = 0;
        for (auto& target : way.targets()) {
            Effects effects;
            const auto moment = target.queue->enter();
            appending.append(target, bodies, nullptr, Instant{}, effects, after);
            target.queue->conclude(moment, effects, after);
        }
        CHECK(aged == nullptr);
        return ids;
    }
};

TEST_CASE_FIXTURE(Appended, "without subscribers ids are drawn, and nothing is kept [6.5]") {
    Appending::After after;
    const auto ids = publish(3, {}, after);
    CHECK(after.nothing());
    CHECK(ids[0] < ids[1]);
    CHECK(ids[1] < ids[2]);
    CHECK(topic.stats().published == 3);
    CHECK(topic.stats().discarded == 3);
    for (const auto& id : ids) {
        CHECK(broker.latch(id).state().value() == latchbox::LatchState::completed);
    }
}

TEST_CASE_FIXTURE(Appended, "each queue gets its copies in the order of the ids [6.3]") {
    for (const char* pattern : {"a", "*", ">"}) {
        subscriptions.push_back(broker.subscribe(pattern));
    }
    Appending::After after;
    const auto ids = publish(2, {.priority = 3}, after);
    CHECK(topic.stats().published == 2);
    CHECK(topic.stats().discarded == 0);
    for (const auto& one : subscriptions) {
        CHECK(one.size() == 2);
        for (int i = 0; i < 2; ++i) {
            auto delivery = one.try_fetch();
            REQUIRE(delivery);
            CHECK(delivery->id() == ids[static_cast<std::size_t>(i)]);
            CHECK(delivery->body() == i);
            CHECK(delivery->ack());
        }
        CHECK(Access::core(one).reserved() == 0);
    }
    CHECK(broker.latch(ids[1]).state().value() == latchbox::LatchState::completed);
}

TEST_CASE_FIXTURE(Appended, "a copy that is dropped has left at once, its slot is free [6.4]") {
    subscriptions.push_back(
        broker.subscribe("a", {.capacity = 1, .overflow = latchbox::Overflow::drop_newest}));
    Appending::After after;
    const auto ids = publish(3, {}, after);
    Access::shell(subscriptions[0]).act_on(after);
    CHECK(subscriptions[0].stats().evicted == 2);
    CHECK(Access::core(subscriptions[0]).reserved() == 0);
    CHECK(subscriptions[0].try_fetch()->ack());
    for (const auto& id : ids) {
        CHECK(broker.latch(id).state().value() == latchbox::LatchState::completed);
    }
}

TEST_CASE_FIXTURE(Appended, "a value stands for its message, for the topic's window [7.1]") {
    Appending::After after;
    const MessageId first = publish(1, {}, after)[0];
    MessageId found;
    CHECK_FALSE(find_first("v", at(0s), found));
    CHECK(shell->values_used.load(std::memory_order_relaxed) == 0);
    stand_for("v", first, at(0s));
    // Who waits for room looks again by this.
    CHECK(shell->values_used.load(std::memory_order_relaxed) == 1);
    REQUIRE(find_first("v", at(10s - 1ns), found));
    CHECK(found == first);
    CHECK(topic.stats().deduplicated == 1);
    CHECK_FALSE(find_first("v", at(10s), found));
    CHECK_FALSE(find_first("w", at(0s), found));
    CHECK(topic.stats().deduplicated == 1);
    CHECK(topic.stats().published == 1);
}

TEST_CASE_FIXTURE(Appended, "those who wait to publish the same value there look again [7.1]") {
    subscriptions.push_back(broker.subscribe("a", {.overflow = latchbox::Overflow::block}));
    auto& queue = Access::shell(subscriptions[0]);
    Waiter waiters[4];
    const void* const to[] = {&*shell, &*shell, &queue, &*shell};
    const char* const values[] = {"v", "w", "v", "v"};
    for (std::size_t i = 0; i < 4; ++i) {
        waiters[i].wanted = ~std::size_t{0};  // never served
        waiters[i].to = to[i];
        waiters[i].value = values[i];
        const Lock lock{queue.mutex};
        queue.publishers.push_back(waiters[i]);
    }
    Appending::After after;
    SUBCASE("published without a value, or where none is remembered, nobody does") {
        publish(1, {}, after);
        {
            const Lock lock{shell->mutex};
            shell->options.dedup_window = {};
        }
        publish(1, {.dedup = "v"}, after);
        queue.act_on(after);
        for (const Waiter& one : waiters) { CHECK_FALSE(one.sleep.done); }
    }
    SUBCASE("with the value, those do who wait with it for that topic") {
        publish(1, {.dedup = "v"}, after);
        queue.act_on(after);
        for (std::size_t i = 0; i < 4; ++i) {
            CHECK(waiters[i].sleep.done == (i == 0 || i == 3));
            CHECK(waiters[i].ending == (i == 0 || i == 3 ? look_again : Errc{}));
        }
    }
    const Lock lock{queue.mutex};
    queue.end_publishers(Errc::closed, after);
}

}  // namespace
