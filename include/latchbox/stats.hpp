// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "latchbox/ids.hpp"

namespace latchbox {
inline namespace v0 {

/// One queue at one instant. Always true, whatever happened:
/// `accepted == held() + completed + expired + purged + evicted + cancelled`.
struct QueueStats {
    // where the messages are now
    std::uint64_t blocked = 0;  ///< waiting for a parent or their key
    std::uint64_t delayed = 0;
    std::uint64_t ready = 0;
    std::uint64_t leased = 0;
    std::uint64_t dead = 0;
    // where they went, since the queue was made
    std::uint64_t accepted = 0;   ///< published, and not refused
    std::uint64_t completed = 0;  ///< acked, taken or popped
    std::uint64_t expired = 0;    ///< their time to live was over
    std::uint64_t purged = 0;     ///< purged, or a dead letter taken
    std::uint64_t evicted = 0;    ///< removed by an overflow policy
    std::uint64_t cancelled = 0;
    // what was done on the way, since the queue was made
    std::uint64_t delivered = 0;    ///< hand-outs
    std::uint64_t redelivered = 0;  ///< hand-outs of a message handed out before
    std::uint64_t released = 0;
    std::uint64_t requeued = 0;
    std::uint64_t abandoned = 0;  ///< deliveries destroyed unsettled
    std::uint64_t failed = 0;     ///< `fail` by a consumer
    std::uint64_t leases_run_out = 0;
    std::uint64_t rejected = 0;  ///< `reject` by a consumer
    std::uint64_t redriven = 0;
    std::uint64_t refused = 0;          ///< messages refused for want of room
    std::uint64_t deduplicated = 0;     ///< publishes that another stood for, by its `dedup` value
    std::uint64_t dedup_forgotten = 0;  ///< values forgotten within their window, for their number

    /// Messages in the queue, in whatever state: what `capacity` bounds.
    [[nodiscard]] std::uint64_t held() const noexcept {
        return blocked + delayed + ready + leased + dead;
    }

    QueueStats& operator+=(const QueueStats& other) noexcept {
        blocked += other.blocked;
        delayed += other.delayed;
        ready += other.ready;
        leased += other.leased;
        dead += other.dead;
        accepted += other.accepted;
        completed += other.completed;
        expired += other.expired;
        purged += other.purged;
        evicted += other.evicted;
        cancelled += other.cancelled;
        delivered += other.delivered;
        redelivered += other.redelivered;
        released += other.released;
        requeued += other.requeued;
        abandoned += other.abandoned;
        failed += other.failed;
        leases_run_out += other.leases_run_out;
        rejected += other.rejected;
        redriven += other.redriven;
        refused += other.refused;
        deduplicated += other.deduplicated;
        dedup_forgotten += other.dedup_forgotten;
        return *this;
    }
    friend bool operator==(const QueueStats&, const QueueStats&) = default;
};

/// All queues of a broker together, those of subscriptions and those removed included. Each queue
/// is counted at one instant of its own.
struct BrokerStats {
    std::size_t queues = 0;    ///< that exist now
    std::size_t gates = 0;     ///< that somebody holds or waits for
    std::size_t latches = 0;   ///< messages and gates that are, or were, asked for by somebody
    std::size_t edges = 0;     ///< pairs of a held message and a parent that is pending or dead
    QueueStats messages = {};  ///< the sums over all queues
    std::size_t topics = 0;    ///< that have a handle, options or messages in hand
    std::size_t subscriptions = 0;  ///< queues that topics feed, a group counted once
    std::uint64_t discarded = 0;    ///< messages of topics that nobody had subscribed to
    std::uint64_t retained = 0;     ///< messages of topics that can be read by their ids now
    std::uint64_t aged_out = 0;     ///< messages that were retained, and are not any more
};

/// One topic at one instant. A subject that nobody has in hand keeps no counts: they start again
/// with its next handle, those of the broker go on.
struct TopicStats {
    std::uint64_t published = 0;        ///< messages accepted
    std::uint64_t discarded = 0;        ///< of these, with no subscription that matched
    std::uint64_t refused = 0;          ///< messages refused for want of room, or of subscribers
    std::uint64_t retained = 0;         ///< that can be read by their ids now
    std::uint64_t aged_out = 0;         ///< that could, and cannot any more
    std::uint64_t deduplicated = 0;     ///< publishes that another stood for, by its `dedup` value
    std::uint64_t dedup_forgotten = 0;  ///< values forgotten within their window, for their number

    friend bool operator==(const TopicStats&, const TopicStats&) = default;
};

/// What was left in a broker when it closed.
struct CloseReport {
    /// What was left in one queue.
    struct Left {
        std::string queue = {};
        std::uint64_t blocked = 0;
        std::uint64_t delayed = 0;
        std::uint64_t ready = 0;
        std::uint64_t leased = 0;
        std::uint64_t dead = 0;
        /// Those that were BLOCKED, in publish order; `explain` says what they waited for.
        std::vector<MessageId> blocked_messages = {};
        friend bool operator==(const Left&, const Left&) = default;
    };
    std::uint64_t blocked = 0;
    std::uint64_t delayed = 0;
    std::uint64_t ready = 0;
    std::uint64_t leased = 0;
    std::uint64_t dead = 0;
    /// The queues that were not empty, in the order in which they were made.
    std::vector<Left> queues = {};

    /// Everything that was left.
    [[nodiscard]] std::uint64_t left() const noexcept {
        return blocked + delayed + ready + leased + dead;
    }
    friend bool operator==(const CloseReport&, const CloseReport&) = default;
};

}  // namespace v0
}  // namespace latchbox
