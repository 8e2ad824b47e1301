// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include "latchbox/detail/queue_room.hpp"

// Where messages stand in a QueueCore: how they get in, out of every container, and out for good.
namespace latchbox {
inline namespace v0 {
namespace detail {

inline QueueCore::QueueCore(const QueueOptions& options, const CoreStart& start, bool fed,
                            const Profile& profile) noexcept
    : options_{options},
      start_{start},
      profile_{profile},
      fed_{fed},
      next_lease_{start.lease},
      issued_{fed ? 0 : options.outcome_memory, start.number} {}

// --- accepting -------------------------------------------------------------------------------

// [4.12]
inline bool QueueCore::has_room(std::size_t count, std::size_t leaving) const noexcept {
    if (fits(count, leaving)) { return true; }
    if (options_.overflow != Overflow::drop_oldest || count > options_.capacity) { return false; }
    return in(State::leased)-leaving + reserved_ <= options_.capacity - count;
}

// [7.2]
inline void QueueCore::make_room(std::size_t count, Effects& effects) noexcept {
    if (options_.overflow != Overflow::drop_oldest) { return; }
    while (held() + reserved_ + count > options_.capacity && held() != in(State::leased)) {
        remove(eviction_candidate(), Exit::evicted, effects);
    }
}

// The order of eviction: lowest priority first, then oldest. As a Place, with the priority turned
// round.
inline Place QueueCore::eviction_key(Slot slot) const noexcept {
    const Place place = table_.place(slot);
    return {static_cast<std::uint8_t>(priorities - 1 - place.priority), place.number};
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

inline Slot QueueCore::reserve_fresh() noexcept {
    table_.records.add();
    return reserve(slot_count() - 1);
}

inline Slot QueueCore::reserve_seen() noexcept { return reserve(take_seen()); }

inline void QueueCore::unsee() noexcept { vacant_.insert(take_seen()); }

inline void QueueCore::withdraw(Slot slot, bool seen) noexcept {
    ensure(table_.records[slot].state == State::reserved);
    --reserved_;
    become(slot, State::vacant);
    vacate(slot, seen);
}

inline bool QueueCore::admit(Slot slot, Effects& effects) noexcept {
    if (held() < options_.capacity || !drops_copies()) [[likely]] { return true; }
    const bool evicts = options_.overflow == Overflow::drop_oldest;
    while (evicts && held() >= options_.capacity && held() != in(State::leased)) {
        remove(eviction_candidate(), Exit::evicted, effects);
    }
    if (held() < options_.capacity) { return true; }
    withdraw(slot);
    drop_copies(1);
    return false;
}

inline std::uint64_t QueueCore::enroll(Slot slot, std::uint8_t priority,
                                       std::uint64_t number) noexcept {
    Record& record = table_.records[slot];
    ensure(record.state == State::reserved);
    --reserved_;
    ++accepted_;
    record.number = number != 0 ? number : issued_.draw();
    record.priority = priority;
    record.told = fed_ && number == 0 ? Told::pending : Told::apart;
    record.failed = Cause::none;
    return record.number;
}

inline std::uint64_t QueueCore::accept_plain(Slot slot, std::uint8_t priority, Instant now,
                                             Effects& effects) noexcept {
    see(now);
    const std::uint64_t number = enroll(slot, priority);
    if (ended_) {
        leave(slot, Exit::purged, effects);
    } else {
        become(slot, State::ready);
        ready_.append(table_, slot);
    }
    return number;
}

inline std::uint64_t QueueCore::accept(Slot slot, const Wishes& wishes, Instant now,
                                       Effects& effects) noexcept {
    const bool tied = wishes.wait != none || !wishes.key.empty() || wishes.number != 0;
    if (!tied && wishes.verdict == Verdict::go && wishes.delay <= Duration{} &&
        wishes.life.is_never()) {
        return accept_plain(slot, wishes.priority, now, effects);
    }
    now = see(now);
    const std::uint64_t number = enroll(slot, wishes.priority, wishes.number);
    History& history = open_history(slot);
    history.life = wishes.life;
    history.expires = now + wishes.life;
    history.ties.wait = wishes.wait;
    history.ties.held_back = wishes.verdict == Verdict::wait;
    if (!wishes.key.empty()) { lines_.join(table_, slot, wishes.key, *wishes.key_text); }
    if (ended_) {
        leave(slot, Exit::purged, effects);
    } else if (wishes.verdict == Verdict::die) {
        bury(slot, Reason{wishes.parent}, effects);
    } else {
        put_in(slot, wishes.delay > Duration{} ? now + wishes.delay : at_once);
    }
    return number;
}

// --- where a message stands --------------------------------------------------------------------

// The one place that changes a state, and the counts with it. [4.1]
inline void QueueCore::become(Slot slot, State state) noexcept {
    State& now = table_.records[slot].state;
    --in_[static_cast<std::size_t>(now)];
    ++in_[static_cast<std::size_t>(state)];
    now = state;
}

// Whether parents or those before it in the line of its key keep it BLOCKED.
inline bool QueueCore::must_wait(Slot slot) const noexcept {
    const Ties& tied = ties(slot);
    return tied.held_back || (tied.line != none && tied.stand != Ties::Stand::active);
}

// -> READY at its place, DELAYED until `due`, or BLOCKED for whatever it has to wait for.
inline void QueueCore::put_in(Slot slot, Instant due) noexcept {
    const History& history = table_.history(slot);
    table_.records[slot].at = due;
    const bool blocked = must_wait(slot);
    const bool delayed = !blocked && now_ < due;
    become(slot, blocked ? State::blocked : delayed ? State::delayed : State::ready);
    if (blocked || delayed) {
        (blocked ? blocked_ : delayed_).push_back(table_.records, slot);
    } else {
        ready_.insert(table_, slot);
    }
    if (delayed && due < history.expires) {
        deadlines_.insert(table_, slot, due, Due::delay);
    } else {
        deadlines_.insert(table_, slot, history.expires, Due::life);
    }
    const std::uint32_t item = table_.records[slot].history;
    if (options_.overflow == Overflow::drop_oldest &&
        (blocked || delayed || ready_.returned().contains(item))) {
        evictable_.insert(eviction_key(slot), item);
    }
}

// Out of every container; what it becomes next is up to the caller.
inline void QueueCore::take_out(Slot slot) noexcept {
    if (table_.records[slot].state == State::leased) {
        open_history(slot);
        return take_out_leased(slot);
    }
    const Record& record = table_.records[slot];
    unschedule(slot);
    switch (record.state) {
        case State::ready: return ready_.remove(table_, slot);
        case State::blocked: return blocked_.remove(table_.records, slot);
        case State::delayed: return delayed_.remove(table_.records, slot);
        case State::dead: return dead_.remove(table_.records, slot);
        case State::leased:
        case State::vacant:
        case State::reserved: break;
    }
    ensure(false, "taken out without being in");
}

// Time and eviction look at it no more, where it waits.
[[gnu::noinline]] inline void QueueCore::unschedule(Slot slot) noexcept {
    deadlines_.remove(table_, slot);
    const std::uint32_t history = table_.records[slot].history;
    if (evictable_.contains(history)) { evictable_.remove(history); }
}

inline void QueueCore::take_out_leased(Slot slot) noexcept {
    deadlines_.remove_lease(table_, slot);
    if (!table_.has_history(slot)) {
        redeem_histories(1);
    } else if (table_.history(slot).watch != nullptr) {
        note(slot);
    }
}

[[gnu::noinline]] inline void QueueCore::leave(Slot slot, Exit exit, Effects& effects) noexcept {
    depart(slot, exit);
    effects.gone.push_back(table_.records, slot);
}

// Every exit of a message passes here, that of an ack at once, so that
// none forgets who waits for it. [4.1] [5.4]
[[gnu::always_inline]] inline void QueueCore::depart(Slot slot, Exit exit) noexcept {
    become(slot, State::vacant);
    Cause cause = Cause::none;
    switch (exit) {
        case Exit::completed: ++completed_; break;
        case Exit::expired: ++stats_.expired, cause = Cause::expired; break;
        case Exit::purged: ++stats_.purged, cause = Cause::purged; break;
        case Exit::evicted: ++stats_.evicted, cause = Cause::evicted; break;
        case Exit::cancelled: ++stats_.cancelled, cause = Cause::cancelled; break;
    }
    if (!fed_ && cause != Cause::none) { issued_.remember(table_.records[slot].number, cause); }
    // One slow subscriber harms no one's children, nor does one that ended. [5.3]
    const bool harmless = ended_ || exit == Exit::evicted;
    table_.records[slot].failed = harmless ? Cause::none : cause;
    if (!table_.has_history(slot)) { return; }
    if (ties(slot).to_be_told()) {  // seldom
        loosen(slot, exit == Exit::completed);
    } else {
        table_.take_history(slot);
    }
}

// Lets go of those of its key; those who wait for it, and whom it waits for, will be told.
[[gnu::noinline]] inline void QueueCore::loosen(Slot slot, bool completed) noexcept {
    Ties& ties = table_.history(slot).ties;
    if (ties.line != none) {
        step_out_of_line(slot);
        lines_.leave(table_, slot);
    }
    ties.completed = completed;
    if (ties.to_be_told()) {
        note(slot);
    } else {
        table_.take_history(slot);
    }
}

// Closes the gap in the line of its key. If that makes it another's turn, that one goes.
inline void QueueCore::step_out_of_line(Slot slot) noexcept {
    if (ties(slot).line == none) { return; }
    const Slot next = lines_.step_out(table_, slot);
    if (next == none) { return; }
    take_out(next);
    put_in(next, table_.records[next].at);
}

inline void QueueCore::remove(Slot slot, Exit exit, Effects& effects) noexcept {
    ensure(table_.records[slot].state != State::leased);
    take_out(slot);
    leave(slot, exit, effects);
}

inline void QueueCore::vacate(Slot slot, bool seen) noexcept {
    table_.records[slot].number = 0;
    if (seen) {
        seen_.push_back(table_.records, slot);
        ++looks_;  // there were no more of them than slots, and now there is one slot more
    } else {
        vacant_.insert(slot);
    }
}

// --- latches -----------------------------------------------------------------------------------

inline void QueueCore::watch(Slot slot, std::uint32_t latch) noexcept {
    open_history(slot).ties.latch = latch;
}

inline LatchState QueueCore::latch_state(Slot slot) const noexcept {
    switch (table_.records[slot].state) {
        case State::vacant:
            return ties(slot).completed ? LatchState::completed : LatchState::failed;
        case State::dead: return LatchState::dead;
        default: return LatchState::pending;
    }
}

inline LeaseWatch* QueueCore::unwatch(Slot slot) noexcept {
    return table_.has_history(slot) ? std::exchange(table_.history(slot).watch, nullptr) : nullptr;
}

// For `take_noted`.
[[gnu::noinline]] inline void QueueCore::note(Slot slot) noexcept {
    Ties& ties = table_.history(slot).ties;
    if (ties.noted) { return; }
    ties.noted = true;
    ties.next_noted = none;
    (first_noted_ == none ? first_noted_ : table_.history(last_noted_).ties.next_noted) = slot;
    last_noted_ = slot;
}

inline QueueCore::Noted QueueCore::take_noted() noexcept {
    const Slot slot = first_noted_;
    Ties& ties = table_.history(slot).ties;
    first_noted_ = ties.next_noted;
    ties.noted = false;
    Noted noted{ties.latch, latch_state(slot), none, slot, unwatch(slot)};
    if (table_.records[slot].state == State::vacant) {
        noted.left_wait = ties.wait;
        noted.slot = none;
        table_.take_history(slot);
    }
    return noted;
}

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
