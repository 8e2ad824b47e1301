// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include "latchbox/detail/queue_core.hpp"

// Where messages stand in a QueueCore: how they get in, out of every container, and out for good.
namespace latchbox {
inline namespace v0 {
namespace detail {

inline QueueCore::QueueCore(const QueueOptions& options, const CoreStart& start) noexcept
    : options_{options}, start_{start}, next_number_{start.number}, next_lease_{start.lease} {}

// --- room ------------------------------------------------------------------------------------

inline QueueCore::Growth QueueCore::make(const Shortage& shortage) const {
    Growth growth;
    growth.records.resize(shortage.records);
    growth.histories.resize(shortage.histories);
    if (shortage.histories != 0) {
        growth.deadlines = Deadlines::make(shortage.histories);
        growth.ready = ReadyOrder::make(shortage.histories);
        if (options_.overflow == Overflow::drop_oldest) {
            growth.evictable = SlotHeap<Place>::make(shortage.histories);
        }
    }
    return growth;
}

inline void QueueCore::adopt(Growth& growth) noexcept {
    Table::adopt(table_.records, growth.records);
    Table::adopt(table_.histories, growth.histories);
    deadlines_.adopt(growth.deadlines);
    ready_.adopt(growth.ready);
    evictable_.adopt(growth.evictable);
}

// --- accepting -------------------------------------------------------------------------------

// [4.12]
inline bool QueueCore::has_room(std::size_t count) const noexcept {
    const std::size_t taken = held() + reserved_;
    if (taken <= options_.capacity && count <= options_.capacity - taken) { return true; }
    if (options_.overflow != Overflow::drop_oldest || count > options_.capacity) { return false; }
    return in(State::leased) + reserved_ <= options_.capacity - count;
}

// [7.2]
inline void QueueCore::make_room(std::size_t count, Effects& effects) noexcept {
    while (held() + reserved_ + count > options_.capacity && held() != in(State::leased)) {
        remove(eviction_candidate(), Exit::evicted, effects);
    }
}

inline Slot QueueCore::eviction_candidate() const noexcept {
    if (!dead_.empty()) { return dead_.front(); }
    const Slot in_line = ready_.oldest_of_lowest();
    if (evictable_.empty()) { return in_line; }
    const Slot elsewhere = table_.histories[evictable_.front().item].slot;
    if (in_line == none) { return elsewhere; }
    return evictable_.front().key < eviction_key(in_line) ? elsewhere : in_line;
}

inline Slot QueueCore::reserve(Slot slot) noexcept {
    ensure(table_.records[slot].state == State::vacant);
    become(slot, State::reserved);
    ++reserved_;
    return slot;
}

inline void QueueCore::withdraw(Slot slot) noexcept {
    ensure(table_.records[slot].state == State::reserved);
    --reserved_;
    vacate(slot);
}

inline std::uint64_t QueueCore::accept(Slot slot, const Wishes& wishes, Instant now,
                                       Effects& effects) noexcept {
    Record& record = table_.records[slot];
    ensure(record.state == State::reserved);
    now = see(now);
    --reserved_;
    ++stats_.accepted;
    record.number = record.place = next_number_++;
    record.priority = wishes.priority;
    if (wishes.delay > Duration{} || !wishes.life.is_never()) {
        give_history(slot);
        table_.history(slot).life = wishes.life;
        table_.history(slot).expires = now + wishes.life;
    }
    if (ended_) {
        leave(slot, Exit::purged, effects);
    } else {
        put_in(slot, wishes.delay > Duration{} ? now + wishes.delay : at_once);
    }
    return record.number;
}

// --- where a message stands --------------------------------------------------------------------

inline void QueueCore::give_history(Slot slot) noexcept {
    table_.give_history(slot);
    table_.history(slot).attempts = start_.attempts;
    table_.history(slot).attempts_before_redrive = start_.attempts;
}

// The one place that changes a state, and the counts with it. [4.1]
inline void QueueCore::become(Slot slot, State state) noexcept {
    State& now = table_.records[slot].state;
    if (now > State::reserved) { --in_[static_cast<std::size_t>(now)]; }
    if (state > State::reserved) { ++in_[static_cast<std::size_t>(state)]; }
    now = state;
}

// -> READY at its place, or DELAYED until `due`.
inline void QueueCore::put_in(Slot slot, Instant due) noexcept {
    const bool waits = due != at_once;
    become(slot, waits ? State::delayed : State::ready);
    if (waits) {
        delayed_.push_back(table_.records, slot);
    } else {
        ready_.insert(table_, slot);
    }
    if (!table_.has_history(slot)) { return; }
    History& history = table_.history(slot);
    history.at = due;
    if (waits && due < history.expires) {
        deadlines_.insert(table_, slot, due, Due::delay);
    } else {
        deadlines_.insert(table_, slot, history.expires, Due::life);
    }
    const std::uint32_t item = table_.records[slot].history;
    if (options_.overflow == Overflow::drop_oldest && (waits || ready_.returned().contains(item))) {
        evictable_.insert(eviction_key(slot), item);
    }
}

// Out of every container; what it becomes next is up to the caller.
inline void QueueCore::take_out(Slot slot) noexcept {
    const Record& record = table_.records[slot];
    deadlines_.remove(table_, slot);
    if (record.history != none && evictable_.contains(record.history)) {
        evictable_.remove(record.history);
    }
    switch (record.state) {
        case State::ready: return ready_.remove(table_, slot);
        case State::delayed: return delayed_.remove(table_.records, slot);
        case State::dead: return dead_.remove(table_.records, slot);
        case State::leased: return;
        case State::vacant:
        case State::reserved: break;
    }
    ensure(false, "taken out without being in");
}

// Every exit of a message passes here: whoever waits for it will be told here. [4.1] [5.4]
inline void QueueCore::leave(Slot slot, Exit exit, Effects& effects) noexcept {
    become(slot, State::vacant);
    switch (exit) {
        case Exit::completed: ++stats_.completed; break;
        case Exit::expired: ++stats_.expired; break;
        case Exit::purged: ++stats_.purged; break;
        case Exit::evicted: ++stats_.evicted; break;
        case Exit::cancelled: ++stats_.cancelled; break;
    }
    table_.take_history(slot);
    effects.gone.push_back(table_.records, slot);
}

inline void QueueCore::remove(Slot slot, Exit exit, Effects& effects) noexcept {
    ensure(table_.records[slot].state != State::leased);
    take_out(slot);
    leave(slot, exit, effects);
}

inline void QueueCore::vacate(Slot slot) noexcept {
    become(slot, State::vacant);
    table_.records[slot].number = 0;
    vacant_.push_front(table_.records, slot);
}

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
