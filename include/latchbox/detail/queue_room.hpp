// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include "latchbox/detail/queue_core.hpp"

// The memory of a QueueCore: what is lacking for a call, made outside every lock, and taken over.
namespace latchbox {
inline namespace v0 {
namespace detail {

inline QueueCore::Growth QueueCore::make(const Shortage& shortage) const {
    Growth growth;
    growth.records = Growing<Record>(shortage.records);
    growth.vacant = SlotSet::make(shortage.records);
    growth.histories = Growing<History>(shortage.histories);
    growth.deadlines = Deadlines::make(shortage.histories);
    growth.ready = ReadyOrder::make(shortage.histories);
    if (options_.overflow == Overflow::drop_oldest) {
        growth.evictable = SlotHeap<Place>::make(shortage.histories);
    }
    growth.lines = KeyLines::make(shortage.lines);
    growth.outcomes = Issued::make(shortage.outcomes);
    growth.values = DedupWindow::make(shortage.values);
    return growth;
}

inline QueueCore::Shortage QueueCore::of_histories(std::size_t wanted) const noexcept {
    if (table_.free_histories() >= wanted + promised_histories_) { return {}; }
    return {.histories = grown(table_.histories.room() + wanted)};
}

// The one it has, or a new one.
inline History& QueueCore::open_history(Slot slot) noexcept {
    if (table_.has_history(slot)) { return table_.history(slot); }
    History& history = table_.give_history(slot);
    history.attempts = history.attempts_before_redrive = start_.attempts;
    if (table_.records[slot].state == State::leased) {  // which was promised one
        redeem_histories(1);
        history.attempts = one_more(history.attempts);
    }
    return history;
}

inline std::uint32_t QueueCore::one_more(std::uint32_t attempts) noexcept {
    return attempts + (attempts != ~std::uint32_t{0} ? 1U : 0U);
}

inline std::uint32_t QueueCore::attempts(Slot slot) const noexcept {
    if (table_.has_history(slot)) { return table_.history(slot).attempts; }
    const bool leased = table_.records[slot].state == State::leased;
    return leased ? one_more(start_.attempts) : start_.attempts;
}

inline std::size_t QueueCore::room_to_replay(std::size_t wanted) const noexcept {
    const std::size_t taken = held() + (drops_copies() ? 0 : reserved_);
    const std::size_t room = taken < options_.capacity ? options_.capacity - taken : 0;
    return wanted < room ? wanted : room;
}

inline QueueCore::Shortage QueueCore::of_lines() const noexcept {
    if (lines_.has_room(1 + promised_lines_)) { return {}; }
    return {.lines = grown(lines_.room() + promised_lines_)};
}

inline QueueCore::Shortage QueueCore::of_outcomes(std::size_t wanted) const noexcept {
    if (has_outcomes(wanted)) { return {}; }
    return {.outcomes = issued_.wanted(grown(slot_count() + wanted))};
}

inline QueueCore::Shortage QueueCore::of_values() const noexcept {
    if (values_.has_room(1 + promised_values_)) { return {}; }
    return {.values = values_.wanted(1 + promised_values_)};
}

inline void QueueCore::adopt(Growth& growth) noexcept {
    table_.records.adopt(growth.records);
    vacant_.adopt(growth.vacant);
    table_.histories.adopt(growth.histories);
    deadlines_.adopt(growth.deadlines);
    ready_.adopt(growth.ready);
    evictable_.adopt(growth.evictable);
    lines_.adopt(growth.lines);
    issued_.adopt(growth.outcomes);
    values_.adopt(growth.values);
}

// --- looking -----------------------------------------------------------------------------------

inline QueueStats QueueCore::stats() const noexcept {
    QueueStats stats = stats_;
    stats.blocked = in(State::blocked);
    stats.delayed = in(State::delayed);
    stats.ready = in(State::ready);
    stats.leased = in(State::leased);
    stats.dead = in(State::dead);
    stats.accepted = accepted_;
    stats.completed = completed_;
    stats.delivered = delivered_;
    stats.dedup_forgotten = values_.forgotten();
    return stats;
}

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
