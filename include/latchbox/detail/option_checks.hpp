// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include "latchbox/detail/fail.hpp"
#include "latchbox/options.hpp"
#include "latchbox/subject.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// A message without wishes: one for all, as making an empty one takes as long as many a publish.
inline const PublishOptions no_wishes{};

// How the queue of a subscription is made.
[[nodiscard]] inline QueueOptions queue_options(const SubscriptionOptions& options) noexcept {
    const Overflow unset = options.durable ? Overflow::reject : Overflow::drop_oldest;
    return {.lease = options.lease,
            .capacity = options.capacity,
            .overflow = options.overflow.value_or(unset),
            .block_for = options.block_for,
            .max_failures = options.max_failures,
            .max_attempts = options.max_attempts,
            .backoff = options.backoff,
            .dead_capacity = options.dead_capacity,
            .dedup_window = options.dedup_window,
            .outcome_memory = options.outcome_memory};
}

// The options, if they can be used; else throws std::invalid_argument naming the field.
[[nodiscard]] inline const BrokerOptions& usable(const BrokerOptions& options, bool needs_clock) {
    if (needs_clock && options.clock == nullptr) {
        invalid_argument("BrokerOptions.clock is needed: the platform has no time");
    }
    return options;
}

// Who makes a queue: how its options are called in a text.
struct OptionsName {
    const char* text;
};
inline constexpr OptionsName of_queue{"QueueOptions."};
inline constexpr OptionsName of_subscription{"SubscriptionOptions."};

// Throws std::invalid_argument naming the field that cannot be used. [7.1] [7.6]
inline void require_usable(const QueueOptions& options, bool can_wait, OptionsName whose) {
    const auto require = [whose](bool holds, const char* what) {
        if (!holds) { invalid_argument(std::string{whose.text} + what); }
    };
    require(options.lease > Duration{}, "lease must be above zero");
    require(can_wait || options.overflow != Overflow::block,
            "overflow: block needs a platform that can wait");
    require(!options.block_for.is_negative(), "block_for must not be negative");
    require(!options.backoff.first.is_negative(), "backoff.first must not be negative");
    require(options.backoff.factor != 0, "backoff.factor must not be 0");
    require(options.backoff.limit >= options.backoff.first,
            "backoff.limit must not be below backoff.first");
    require(!options.dedup_window.is_negative(), "dedup_window must not be negative");
}
inline void require_usable(const QueueOptions& options, bool can_wait) {
    require_usable(options, can_wait, of_queue);
    if (options.overflow == Overflow::drop_newest) {
        invalid_argument("QueueOptions.overflow: drop_newest is for subscriptions");
    }
}
inline void require_usable(std::string_view pattern, const SubscriptionOptions& options,
                           bool can_wait) {
    require(check_pattern(pattern));
    if (!options.group.empty()) { require(check_subject(options.group)); }
    if (options.durable && options.group.empty()) {
        invalid_argument("SubscriptionOptions.durable needs a group");
    }
    require_usable(queue_options(options), can_wait, of_subscription);
}
inline void require_usable(const TopicOptions& options) {
    if (options.retain_for.is_negative()) {
        invalid_argument("TopicOptions.retain_for must not be negative");
    }
    if (options.dedup_window.is_negative()) {
        invalid_argument("TopicOptions.dedup_window must not be negative");
    }
}

// Throws std::invalid_argument naming the first field in which what is there differs.
inline void require_same(const QueueOptions& there, const QueueOptions& asked,
                         OptionsName whose = of_queue) {
    const auto require = [whose](bool holds, const char* field) {
        if (holds) { return; }
        const char* const what = whose.text == of_queue.text ? "the queue is there with another "
                                                             : "the group is there with another ";
        invalid_argument(std::string{what} + whose.text + field);
    };
    require(there.lease == asked.lease, "lease");
    require(there.capacity == asked.capacity, "capacity");
    require(there.overflow == asked.overflow, "overflow");
    require(there.block_for == asked.block_for, "block_for");
    require(there.max_failures == asked.max_failures, "max_failures");
    require(there.max_attempts == asked.max_attempts, "max_attempts");
    require(there.backoff == asked.backoff, "backoff");
    require(there.dead_capacity == asked.dead_capacity, "dead_capacity");
    require(there.dedup_window == asked.dedup_window, "dedup_window");
    require(there.outcome_memory == asked.outcome_memory, "outcome_memory");
}
inline void require_same(const TopicOptions& there, const TopicOptions& asked) {
    const auto require = [](bool holds, const char* field) {
        if (holds) { return; }
        invalid_argument(std::string{"the topic is there with another TopicOptions."} + field);
    };
    require(there.unrouted == asked.unrouted, "unrouted");
    require(there.retain_count == asked.retain_count, "retain_count");
    require(there.retain_for == asked.retain_for, "retain_for");
    require(there.dedup_window == asked.dedup_window, "dedup_window");
}

// Whether a publish was given none, as most are.
[[nodiscard]] inline bool left_out(const PublishOptions& options) noexcept {
    return &options == &no_wishes;
}

// Whether so many messages can be published so, apart from their parents. A value names one. [7.1]
[[nodiscard]] inline bool is_usable(const PublishOptions& options, bool to_topic,
                                    std::size_t count = 1) noexcept {
    const bool outlives_delay = options.expires_in.is_never() || options.expires_in > options.delay;
    const bool retained = options.retain_for && (!to_topic || options.retain_for->is_negative());
    return !options.delay.is_negative() && outlives_delay && options.priority <= 9 && !retained &&
           (options.dedup.empty() || count <= 1) &&
           (!options.block_for || !options.block_for->is_negative());
}

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
