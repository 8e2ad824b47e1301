// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "latchbox/latchbox.hpp"
#include "support/failing_new.hpp"

/// Cycles that leave nothing behind: after any number of them a broker has the memory and the slots
/// it had before.
namespace cost {

/// What a broker has.
struct Holdings {
    std::int64_t allocations = 0;
    std::int64_t bytes = 0;
    std::uint64_t slots = 0;  // of all queues

    /// The C library gives a block now and then a few bytes more than it gave it before; what grows
    /// with each cycle is soon more than that.
    [[nodiscard]] bool is_that_of(const Holdings& before) const {
        const std::int64_t more = bytes - before.bytes;
        return allocations == before.allocations && more < 4'096 && slots == before.slots;
    }
};

class Cycles {
public:
    /// Of queues that were removed something stays known, up to a bound that takes long to reach:
    /// with `names` queues are removed, after so many that it is reached.
    explicit Cycles(bool with_names) : with_names_{with_names} {
        for (int i = 0; with_names && i < 70'000; ++i) { names(); }
    }
    /// From a publish to its ack.
    void plain(std::uint64_t count) {
        for (std::uint64_t i = 0; i < count; ++i) {
            work_.publish({}).value();
            work_.try_fetch()->ack().value();
        }
    }
    /// Everything else that can become of a message, one after the other.
    void others(std::uint64_t count) {
        for (std::uint64_t i = 0; i < count; ++i) {
            clock_.advance(one_second);
            switch (next_++ % kinds) {
                case 0: batch(); break;
                case 1: failures(); break;
                case 2: deaths(); break;
                case 3: times(); break;
                case 4: lines(); break;
                case 5: families(); break;
                case 6: values(); break;
                case 7: copies(); break;
                case 8: commits(); break;
                case 9: with_names_ ? names() : batch(); break;
                default: refused(); break;
            }
        }
    }
    static constexpr std::uint64_t kinds = 11;
    /// After so many all that is remembered has reached its bound: 256 topics that rest, 64
    /// failures, the values of an hour.
    static constexpr std::uint64_t enough = 300 * kinds;

    /// All that was published is gone, one way or another.
    [[nodiscard]] bool is_empty() const { return broker_.stats().messages.held() == 0; }
    [[nodiscard]] Holdings holdings() const {
        const auto slots = [](const auto& consumer) {
            return latchbox::detail::Access::core(consumer).slot_count();
        };
        return {support::live_allocations(), support::live_bytes(),
                slots(work_) + slots(small_) + slots(group_)};
    }

private:
    using Broker = latchbox::Broker<std::string>;
    using Delivery = Broker::Delivery;

    static constexpr latchbox::Duration one_second = std::chrono::seconds{1};
    static constexpr std::size_t some = 7;

    static std::string body() { return "more than fits into a string without an allocation"; }
    // Of those named before it is as long, whatever the number.
    [[nodiscard]] std::string name() const {
        return "name." + std::to_string(1'000'000'000 + next_ % 1'000'000'000);
    }
    std::size_t ack_all(const Broker::Queue& queue) {
        std::size_t acked = 0;
        while (auto delivery = queue.try_fetch()) { acked += delivery->ack() ? 1U : 0U; }
        return acked;
    }

    void batch() {
        std::vector<std::string> bodies(some, body());
        work_.publish_batch(bodies).value();
        std::vector<Delivery> held;
        work_.fetch_batch(held, some).value();
        work_.ack_batch(held);
        work_.publish(body()).value();
        work_.publish(body()).value();
        work_.pop().value();
        work_.pop_all().value();
    }
    void failures() {
        work_.publish(body()).value();
        work_.try_fetch()->fail("a reason that is longer than what is kept of it, by far").value();
        clock_.advance(std::chrono::minutes{1});
        { const auto abandoned = work_.try_fetch(); }
        work_.try_fetch()->release().value();
        work_.try_fetch()->requeue(one_second).value();
        clock_.advance(one_second);
        const auto late = work_.try_fetch();
        clock_.advance(std::chrono::minutes{1});
        ack_all(work_);
    }
    void deaths() {
        for (std::size_t i = 0; i < some; ++i) {
            work_.publish(body()).value();
            work_.try_fetch()->reject("no").value();
        }
        const auto dead = work_.dead_letters();
        dead.redrive();
        work_.try_fetch()->reject().value();
        ack_all(work_);
        dead.take().value();
    }
    void times() {
        const auto id = work_.publish(body(), {.delay = one_second}).value();
        work_.publish(body(), {.expires_in = one_second}).value();
        work_.publish(body(), {.delay = one_second, .priority = 9}).value();
        work_.cancel(id).value();
        clock_.advance(one_second);
        ack_all(work_);
    }
    void lines() {
        const std::string key = name();
        for (std::size_t i = 0; i < some; ++i) { work_.publish(body(), {.key = key}).value(); }
        work_.purge();
        work_.publish(body(), {.key = key}).value();
        ack_all(work_);
    }
    void families() {
        auto gate = broker_.gate(2);
        const auto parent = work_.publish(body(), {.parents = {gate.id()}}).value();
        for (std::size_t i = 0; i < some; ++i) {
            small_.publish(body(), {.parents = {parent, gate.id()}}).value();
        }
        const auto latch = broker_.latch(parent);
        gate.count_down(2).value();
        ack_all(work_);
        ack_all(small_);
        const auto failed = work_.publish(body()).value();
        small_.publish(body(), {.parents = {failed}}).value();
        work_.purge();
        small_.dead_letters().purge();
    }
    void values() {
        const std::string value = name();
        small_.publish(body(), {.dedup = value}).value();
        small_.publish(body(), {.dedup = value}).value();
        ack_all(small_);
    }
    void copies() {
        const auto passing = broker_.subscribe("orders.*", {.replay = true});
        const auto topic = broker_.topic("orders.paid");
        topic.publish(body(), {.retain_for = one_second}).value();
        const auto id = broker_.topic(name()).publish(body()).value();
        orders_.publish(body(), {.parents = {id}}).value();
        while (auto delivery = group_.try_fetch()) { delivery->ack().value(); }
        passing.try_fetch()->ack().value();
        clock_.advance(one_second);
    }
    void commits() {
        work_.publish(body()).value();
        auto transaction = broker_.transaction();
        transaction.ack(std::move(work_.try_fetch().value())).value();
        transaction.publish(small_, body()).value();
        transaction.publish(orders_, body()).value();
        transaction.commit().value();
        small_.try_fetch()->forward(work_).value();
        work_.try_fetch()->ack_and_publish(small_, body()).value();
        auto dropped = broker_.transaction();
        dropped.publish(work_, body()).value();
        dropped.ack(std::move(small_.try_fetch().value())).value();
        dropped = broker_.transaction();
        ack_all(small_);
        while (auto delivery = group_.try_fetch()) { delivery->ack().value(); }
    }
    void names() {
        const auto queue = broker_.queue(name());
        queue.publish(body()).value();
        const std::string group = "group." + name();
        const auto subscription = broker_.subscribe("a.>", {.group = group, .durable = true});
        broker_.topic("a.b").publish(body()).value();
        broker_.remove(group);
        broker_.remove(queue.name());
    }
    void refused() {
        for (std::size_t i = 0; i < 2 * capacity; ++i) { small_.publish(body()).value(); }
        static_cast<void>(small_.publish(body(), {.parents = {latchbox::MessageId{}}}));
        static_cast<void>(small_.publish(body(), {.priority = 10}));
        small_.purge();
    }

    static constexpr std::size_t capacity = 16;
    bool with_names_;
    // What is remembered is bounded; small bounds are reached soon.
    latchbox::ManualClock clock_{};
    Broker broker_{{.clock = &clock_}};
    Broker::Queue work_ = broker_.queue("work", {.outcome_memory = 64});
    Broker::Queue small_ = broker_.queue("small", {.capacity = capacity,
                                                   .overflow = latchbox::Overflow::drop_oldest,
                                                   .dedup_window = std::chrono::hours{1},
                                                   .outcome_memory = 64});
    Broker::Subscription group_ =
        broker_.subscribe("orders.>", {.group = "billing", .outcome_memory = 64});
    Broker::Topic orders_ = broker_.topic("orders", {.retain_count = 4});
    std::uint64_t next_ = 0;
};

}  // namespace cost
