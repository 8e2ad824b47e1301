// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "latchbox/ids.hpp"
#include "latchbox/time.hpp"

// The order of the fields is interface (designated initialisers): new ones come last.
namespace latchbox {
inline namespace v0 {

/// In what the queues of an engine differ from those of latchbox, so that a broker can stand in for
/// it in the tests of a program that will meet it: the fake is then as unkind as that. All as
/// latchbox has it by default; latchbox/testing/profiles.hpp has those of known engines.
struct Profile {
    /// `max_failures` counts every delivery, however it ended: released and abandoned ones too.
    bool every_delivery_counts = false;
    /// Who has lost his lease may settle all the same while the queue holds the message and it has
    /// not died: it is as if he had the lease again, and whoever has it meanwhile loses it. Not in
    /// transactions.
    bool late_settles = false;
    /// What comes back goes before what was published after it, not behind it.
    bool redeliveries_first = false;

    friend bool operator==(const Profile&, const Profile&) = default;
};

/// How a broker is made.
struct BrokerOptions {
    /// The only source of time; a `SteadyClock` where none is given. Take a `ManualClock` in
    /// tests. It must outlive the broker.
    Clock* clock = nullptr;
    /// A name for people: it stands in reports, nothing depends on it. The text is copied.
    std::string_view tag = {};
    /// Of what engine its queues behave; for tests alone.
    Profile profile = {};
};

/// What a queue does with a publish when it holds `capacity` messages.
enum class Overflow : std::uint8_t {
    reject,       ///< refuse it: `full`
    block,        ///< let the publisher wait up to `block_for` for room, then `timed_out`
    drop_oldest,  ///< evict one: the oldest dead letter, else the oldest of the lowest priority;
                  ///< never a leased one, so a queue that holds nothing else is `full`
    drop_newest,  ///< drop the new copy; for subscriptions only
};

/// As it is spelled: "drop_oldest".
[[nodiscard]] constexpr const char* to_string(Overflow overflow) noexcept {
    switch (overflow) {
        case Overflow::reject: return "reject";
        case Overflow::block: return "block";
        case Overflow::drop_oldest: return "drop_oldest";
        case Overflow::drop_newest: return "drop_newest";
    }
    return "unknown";
}

/// The pause between a `fail` and the next delivery: the n-th failure of a message waits
/// `first * factor^(n-1)`, at most `limit`.
struct Backoff {
    Duration first = std::chrono::milliseconds{100};  ///< after the first failure; 0: at once
    std::uint32_t factor = 2;                         ///< 1 keeps the pause as it is; 0 is refused
    Duration limit = std::chrono::seconds{30};        ///< no pause is longer

    friend bool operator==(const Backoff&, const Backoff&) = default;
};

/// How one queue treats its messages. Every field has a default, so `{}` works; name only what
/// differs: `broker.queue("orders", {.lease = 10s, .max_failures = 5})`.
struct QueueOptions {
    /// How long a consumer has to settle a delivery before the message is offered again. Take
    /// more than the slowest handling; `extend` serves the exceptions. Above zero.
    Duration lease = std::chrono::seconds{30};
    /// How many messages the queue holds at most, in whatever state: blocked, delayed, ready,
    /// leased and dead. 0 accepts nothing.
    std::size_t capacity = 1'048'576;
    /// What happens to a publish that finds the queue full.
    Overflow overflow = Overflow::reject;
    /// How long a publish waits for room where `overflow` is `block`; a publish may say its own.
    Duration block_for = std::chrono::seconds{5};
    /// Handlings that may fail before the message becomes a dead letter: fails and leases that
    /// ran out count, releases and requeues do not. 0: never give up.
    std::uint32_t max_failures = 0;
    /// Hand-outs before the message becomes a dead letter, however it comes back. 0: any number.
    std::uint32_t max_attempts = 0;
    /// The pause after a `fail`. A lease that ran out has waited long enough and pauses no more.
    Backoff backoff = {};
    /// How many dead letters are kept: beyond it the oldest is purged, and counted. Unset: as
    /// many as `capacity` has room for.
    std::optional<std::size_t> dead_capacity = {};
    /// For how long after its publish a message stands for those that are published with the same
    /// `dedup` value. Of the values that were used last, 65,536 are remembered. 0: none is.
    Duration dedup_window = std::chrono::minutes{2};
    /// How many failed messages are remembered by id, so that a child published after the failure
    /// learns of it; the failure that is longest ago is forgotten first. What may have been
    /// forgotten is an `unknown_parent` from then on, never taken for completed. 20 bytes each,
    /// taken as messages come in.
    std::size_t outcome_memory = 65'536;

    friend bool operator==(const QueueOptions&, const QueueOptions&) = default;
};

/// How one subscription treats its copies; `group`, `durable` and `replay` apart as `QueueOptions`,
/// where more is said.
struct SubscriptionOptions {
    /// All that name one group share one queue and one copy of each message, each delivered to one
    /// of them; they must name the same pattern and the same options. The text is copied; it shares
    /// its name with no queue. Empty: a queue of its own.
    std::string_view group = {};
    /// Keeps the queue of a group, gathering on, when its last subscriber goes; until `remove`.
    bool durable = false;
    /// First what the matching topics retain, gap-free and in publish order; as far as `capacity`
    /// goes the newest of it. Not of a group that is there already: who joins one while it is made
    /// may see later messages first. A replayed message waits for its parents as at its publish;
    /// one of them that has been forgotten since counts as failed.
    bool replay = false;
    Duration lease = std::chrono::seconds{30};
    std::size_t capacity = 65'536;
    /// What becomes of a copy that finds the queue full: `drop_oldest` and `drop_newest` harm this
    /// subscription only, and count as evicted; `reject` refuses the publish as a whole, `block`
    /// lets it wait. Unset: `drop_oldest`, or `reject` if durable.
    std::optional<Overflow> overflow = {};
    Duration block_for = std::chrono::seconds{5};
    std::uint32_t max_failures = 0;
    std::uint32_t max_attempts = 0;
    Backoff backoff = {};
    std::optional<std::size_t> dead_capacity = {};
    /// Changes nothing here: values are told apart by the topic, and for its own window.
    Duration dedup_window = std::chrono::minutes{2};
    /// Failures of topics' messages are remembered by the broker, together: as many as the largest
    /// of these says, of all subscriptions there were.
    std::size_t outcome_memory = 65'536;
};

/// What a topic does with a message that nobody has subscribed to.
enum class Unrouted : std::uint8_t {
    discard,  ///< accepts it; it has completed at once, and counts as discarded
    reject,   ///< refuses it: `no_subscriber`
};

[[nodiscard]] constexpr const char* to_string(Unrouted unrouted) noexcept {
    switch (unrouted) {
        case Unrouted::discard: return "discard";
        case Unrouted::reject: return "reject";
    }
    return "unknown";
}

/// How one topic treats what is published to it. A topic that was given other options than the
/// defaults keeps them as long as the broker lives.
struct TopicOptions {
    Unrouted unrouted = Unrouted::discard;
    /// How many messages can be read by their ids: the last so many. 0: any number, up to 65,536,
    /// for as long as `retain_for` says.
    std::size_t retain_count = 0;
    /// For how long, from publish; at the end of it a message is gone. 0: as long as `retain_count`
    /// has room; where both are 0 nothing is retained. Delivery does not depend on it.
    Duration retain_for = {};
    /// As that of a queue, and for this subject alone.
    Duration dedup_window = std::chrono::minutes{2};

    friend bool operator==(const TopicOptions&, const TopicOptions&) = default;
};

/// What becomes of a message when a parent dies or fails; the same whether that came before its
/// publish or after.
enum class OnParentFailure : std::uint8_t {
    dead_letter,  ///< it becomes a dead letter; the reason names the parent
    deliver,      ///< it goes on as if that parent had completed
    hold,  ///< it waits on for a dead parent to be redriven; a failed one is as `dead_letter`
};

[[nodiscard]] constexpr const char* to_string(OnParentFailure choice) noexcept {
    switch (choice) {
        case OnParentFailure::dead_letter: return "dead_letter";
        case OnParentFailure::deliver: return "deliver";
        case OnParentFailure::hold: return "hold";
    }
    return "unknown";
}

/// How one message is published. `{}` is a message without wishes.
struct PublishOptions {
    /// Messages of this broker, in any queue or topic, or gates, that must complete before this one
    /// is delivered to anybody. A topic's message completes with its last copy. Any number; one
    /// named twice counts once. An id that was never issued, or has failed and been forgotten, is
    /// `unknown_parent`. Costs a lock per parent.
    std::vector<MessageId> parents = {};
    /// What becomes of it when one of them dies or fails.
    OnParentFailure on_parent_failure = OnParentFailure::dead_letter;
    /// Messages of one key form a line in their queue: one is delivered at a time, the next not
    /// before the one before it has left or died, whatever its priority. Other keys never wait for
    /// it. Opaque bytes, copied; empty: no key.
    std::string_view key = {};
    /// How long the message stays DELAYED before it is offered; counted from publish.
    Duration delay = {};
    /// Its time to live, counted from publish: a message not settled by then is gone, counted as
    /// expired. Must exceed `delay`. A delivery under way is judged when it comes back.
    Duration expires_in = Duration::never();
    /// To a topic: how long the message can be read by its id, whatever the topic's own limits are;
    /// 0: not at all. To a queue: `invalid_option`.
    std::optional<Duration> retain_for = {};
    /// 0 to 9, higher first.
    std::uint8_t priority = 0;
    /// Says that messages are the same: where one with this value was accepted within the window of
    /// the queue or topic, the publish returns its id and adds nothing, not even to a full queue;
    /// unless that one has failed, or is dead. Opaque bytes, copied; empty: no value.
    std::string_view dedup = {};
    /// How long this publish waits for room, instead of the queue's own `block_for`.
    std::optional<Duration> block_for = {};
};

}  // namespace v0
}  // namespace latchbox
