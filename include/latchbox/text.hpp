// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "latchbox/explanation.hpp"
#include "latchbox/stats.hpp"
#include "latchbox/subject.hpp"
#include "latchbox/time.hpp"

// Reports in one line for people and logs, times included: `to_string(queue.stats())`. Counts that
// are zero are left out. What a program is to read are the fields.
namespace latchbox {
inline namespace v0 {

namespace detail {

// Adds ", ready 3"; nothing where there is nothing to count.
inline void add_count(std::string& text, const char* name, std::uint64_t count) {
    if (count == 0) { return; }
    if (!text.empty()) { text += ", "; }
    text.append(name).append(" ").append(std::to_string(count));
}
// Where the messages are, of stats and of what was left alike.
template <class Counts> void add_states(std::string& text, const Counts& counts) {
    add_count(text, "blocked", counts.blocked);
    add_count(text, "delayed", counts.delayed);
    add_count(text, "ready", counts.ready);
    add_count(text, "leased", counts.leased);
    add_count(text, "dead", counts.dead);
}
[[nodiscard]] inline std::string or_none(std::string text) {
    return text.empty() ? std::string{"nothing so far"} : text;
}

}  // namespace detail

/// "1.5 s"; "never" if it has no end.
[[nodiscard]] inline std::string to_string(const Duration& length) {
    return length.is_never() ? "never" : detail::seconds_text(Instant{length});
}
/// The same, since the epoch of its clock.
[[nodiscard]] inline std::string to_string(const Instant& at) {
    return to_string(at.since_epoch());
}

/// "ready 3, leased 1, accepted 10, completed 6, delivered 7".
[[nodiscard]] inline std::string to_string(const QueueStats& stats) {
    std::string text;
    detail::add_states(text, stats);
    detail::add_count(text, "accepted", stats.accepted);
    detail::add_count(text, "completed", stats.completed);
    detail::add_count(text, "expired", stats.expired);
    detail::add_count(text, "purged", stats.purged);
    detail::add_count(text, "evicted", stats.evicted);
    detail::add_count(text, "cancelled", stats.cancelled);
    detail::add_count(text, "delivered", stats.delivered);
    detail::add_count(text, "redelivered", stats.redelivered);
    detail::add_count(text, "released", stats.released);
    detail::add_count(text, "requeued", stats.requeued);
    detail::add_count(text, "abandoned", stats.abandoned);
    detail::add_count(text, "failed", stats.failed);
    detail::add_count(text, "leases run out", stats.leases_run_out);
    detail::add_count(text, "rejected", stats.rejected);
    detail::add_count(text, "redriven", stats.redriven);
    detail::add_count(text, "refused", stats.refused);
    detail::add_count(text, "deduplicated", stats.deduplicated);
    detail::add_count(text, "dedup forgotten", stats.dedup_forgotten);
    return detail::or_none(std::move(text));
}

/// "published 5, retained 2".
[[nodiscard]] inline std::string to_string(const TopicStats& stats) {
    std::string text;
    detail::add_count(text, "published", stats.published);
    detail::add_count(text, "discarded", stats.discarded);
    detail::add_count(text, "refused", stats.refused);
    detail::add_count(text, "retained", stats.retained);
    detail::add_count(text, "aged out", stats.aged_out);
    detail::add_count(text, "deduplicated", stats.deduplicated);
    detail::add_count(text, "dedup forgotten", stats.dedup_forgotten);
    return detail::or_none(std::move(text));
}

/// "queues 2, latches 1, edges 1; ready 3, accepted 3": the broker's own, then of its messages.
[[nodiscard]] inline std::string to_string(const BrokerStats& stats) {
    std::string text;
    detail::add_count(text, "queues", stats.queues);
    detail::add_count(text, "gates", stats.gates);
    detail::add_count(text, "latches", stats.latches);
    detail::add_count(text, "edges", stats.edges);
    detail::add_count(text, "topics", stats.topics);
    detail::add_count(text, "subscriptions", stats.subscriptions);
    detail::add_count(text, "discarded", stats.discarded);
    detail::add_count(text, "retained", stats.retained);
    detail::add_count(text, "aged out", stats.aged_out);
    return detail::or_none(std::move(text)) + "; messages: " + to_string(stats.messages);
}

/// "3 left: ready 2, dead 1 ("orders": ready 2; "mail": dead 1)"; "nothing was left".
[[nodiscard]] inline std::string to_string(const CloseReport& report) {
    if (report.left() == 0) { return "nothing was left"; }
    std::string text;
    detail::add_states(text, report);
    text.insert(0, std::to_string(report.left()) + " left: ");
    for (const CloseReport::Left& left : report.queues) {
        std::string states;
        detail::add_states(states, left);
        text += &left == report.queues.data() ? " (\"" : "; \"";
        text.append(left.queue).append("\": ").append(states);
    }
    return report.queues.empty() ? text : text + ")";
}

/// "a name has no blanks, at position 3"; "a good name".
[[nodiscard]] inline std::string to_string(const NameCheck& check) {
    if (check) { return "a good name"; }
    return std::string{check.rule} + ", at position " + std::to_string(check.position);
}

}  // namespace v0
}  // namespace latchbox
