// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include "latchbox/detail/fail.hpp"
#include "latchbox/options.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// Throws std::invalid_argument naming the field that cannot be used. [7.1] [7.6]
inline void require_usable(const QueueOptions& options, bool can_wait) {
    const auto require = [](bool holds, const char* what) {
        if (!holds) { invalid_argument(what); }
    };
    require(options.lease > Duration{}, "QueueOptions.lease must be above zero");
    require(options.overflow != Overflow::drop_newest,
            "QueueOptions.overflow: drop_newest is for subscriptions");
    require(can_wait || options.overflow != Overflow::block,
            "QueueOptions.overflow: block needs a platform that can wait");
    require(!options.block_for.is_negative(), "QueueOptions.block_for must not be negative");
    require(!options.backoff.first.is_negative(),
            "QueueOptions.backoff.first must not be negative");
    require(options.backoff.factor != 0, "QueueOptions.backoff.factor must not be 0");
    require(options.backoff.limit >= options.backoff.first,
            "QueueOptions.backoff.limit must not be below backoff.first");
}

// Throws std::invalid_argument naming the first field in which a queue that is there differs.
inline void require_same(const QueueOptions& there, const QueueOptions& asked) {
    const auto require = [](bool holds, const char* field) {
        if (holds) { return; }
        invalid_argument(std::string{"the queue is there with another QueueOptions."} + field);
    };
    require(there.lease == asked.lease, "lease");
    require(there.capacity == asked.capacity, "capacity");
    require(there.overflow == asked.overflow, "overflow");
    require(there.block_for == asked.block_for, "block_for");
    require(there.max_failures == asked.max_failures, "max_failures");
    require(there.max_attempts == asked.max_attempts, "max_attempts");
    require(there.backoff == asked.backoff, "backoff");
    require(there.dead_capacity == asked.dead_capacity, "dead_capacity");
    require(there.outcome_memory == asked.outcome_memory, "outcome_memory");
}

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
