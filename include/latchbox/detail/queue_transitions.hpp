// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include "latchbox/detail/queue_places.hpp"

// The transitions of QueueCore. Each asserts the state it starts from.
namespace latchbox {
inline namespace v0 {
namespace detail {

// --- publishing again ----------------------------------------------------------------------------

// It has neither failed nor died; what has been forgotten may have. [7.1]
inline const DedupWindow::Named* QueueCore::first_with(std::string_view value,
                                                       Instant now) const noexcept {
    const DedupWindow::Named* const first = values_.find(value, now);
    if (first == nullptr) { return nullptr; }
    const Slot slot = find(first->slot, first->number);
    const bool stands = slot != none ? table_.records[slot].state != State::dead
                                     : issued_.past(first->number).state == MessageState::completed;
    return stands ? first : nullptr;
}

inline void QueueCore::stand_for(std::string& value, std::uint64_t number, Slot slot) noexcept {
    values_.insert(value, {number, slot}, now_, options_.dedup_window);
}

// --- delivering --------------------------------------------------------------------------------

// BLOCKED -- parents completed -> READY, or DELAYED, or BLOCKED by its key; all at the place it has
// BLOCKED -- a parent is dead or failed -> DEAD
inline void QueueCore::judge(Slot slot, Verdict verdict, const MessageId& parent, Instant now,
                             Effects& effects) noexcept {
    ensure(table_.records[slot].state == State::blocked);
    see(now);
    if (verdict == Verdict::wait) { return; }
    table_.history(slot).ties.held_back = false;
    take_out(slot);
    if (verdict == Verdict::die) { return bury(slot, Reason{parent}, effects); }
    if (ties(slot).line != none) { lines_.may_go(table_, slot); }
    put_in(slot, table_.records[slot].at);
}

// READY -- lease -> LEASED
inline Slot QueueCore::lease(Instant from) noexcept {
    const Slot slot = ready_.pop(table_);
    ++delivered_;
    if (table_.has_history(slot)) {
        lease_again(slot);
    } else {
        promise_histories(1);  // for when it comes back
    }
    grant(slot, next_lease_++, later(now_, from) + options_.lease);
    return slot;
}

[[gnu::noinline]] inline void QueueCore::lease_again(Slot slot) noexcept {
    unschedule(slot);
    History& history = table_.history(slot);
    stats_.redelivered += any(history.attempts) ? 1U : 0U;
    history.attempts = one_more(history.attempts);
}

inline void QueueCore::grant(Slot slot, std::uint64_t lease, Instant deadline) noexcept {
    table_.records[slot].lease = lease;
    table_.records[slot].at = deadline;
    become(slot, State::leased);
    if (deadlines_.in_order(table_, slot)) [[likely]] {
        deadlines_.append_lease(table_, slot);
    } else {
        lease_out_of_order(slot);
    }
}

[[gnu::noinline]] inline void QueueCore::lease_out_of_order(Slot slot) noexcept {
    open_history(slot);
    deadlines_.insert_lease(table_, slot);
}

// LEASED -- take back -> READY, at its old place, and nothing has happened; expired, if it would
// have been without the lease
inline void QueueCore::take_back(Slot slot, Instant now, Effects& effects) noexcept {
    ensure(table_.records[slot].state == State::leased);
    see(now);
    take_out(slot);
    History& history = table_.history(slot);
    if (history.attempts != ~std::uint32_t{0}) { --history.attempts; }
    --delivered_;
    stats_.redelivered -= any(history.attempts) ? 1U : 0U;
    if (ended_) { return leave(slot, Exit::purged, effects); }
    if (history.expires <= now_) { return leave(slot, Exit::expired, effects); }
    put_in(slot, at_once);
}

// [4.2]
inline bool QueueCore::holds(Slot slot, std::uint64_t lease) const noexcept {
    return slot < slot_count() && record(slot).state == State::leased &&
           record(slot).lease == lease;
}

inline bool QueueCore::granted(Slot slot, std::uint64_t lease,
                               std::uint64_t number) const noexcept {
    return slot < slot_count() && start_.lease <= lease && lease < next_lease_ &&
           issued_.has_drawn(number);
}

// READY, DELAYED, LEASED -- hold late -> LEASED, by him whose lease was over; another's ends
[[gnu::noinline]] inline bool QueueCore::hold_late(Slot slot, std::uint64_t lease,
                                                   std::uint64_t number, Instant now) noexcept {
    if (!profile_.late_settles || !granted(slot, lease, number)) { return false; }
    if (find(slot, number) == none) { return false; }
    const State state = table_.records[slot].state;
    const bool came_back = any(attempts(slot) - (state == State::leased ? 1U : 0U));
    if (state == State::dead || state == State::blocked || !came_back) { return false; }
    see(now);
    take_out(slot);
    History& history = table_.history(slot);
    // One delivery fails once: that of the lease that ran out is not to count twice.
    history.failures -= history.failures == history.attempts ? 1U : 0U;
    grant(slot, lease, now_ + options_.lease);
    return true;
}

// --- settling ----------------------------------------------------------------------------------

// LEASED -- ack -> gone: completed
inline void QueueCore::ack(Slot slot, Effects& effects) noexcept {
    complete(slot);
    effects.gone.push_back(table_.records, slot);
}
inline void QueueCore::complete(Slot slot) noexcept {
    ensure(table_.records[slot].state == State::leased);
    take_out_leased(slot);
    depart(slot, Exit::completed);
}

// LEASED -- release -> READY, at its old place
inline void QueueCore::release(Slot slot, Instant now, Effects& effects) noexcept {
    ensure(table_.records[slot].state == State::leased);
    see(now);
    ++stats_.released;
    take_out(slot);
    come_back(slot, Where::old_place, at_once, {}, effects);
}

// LEASED -- requeue(delay) -> READY or DELAYED, at the back
inline void QueueCore::requeue(Slot slot, Duration delay, Instant now, Effects& effects) noexcept {
    ensure(table_.records[slot].state == State::leased);
    now = see(now);
    ++stats_.requeued;
    take_out(slot);
    come_back(slot, Where::back, delay > Duration{} ? now + delay : at_once, {}, effects);
}

// LEASED -- handle abandoned -> READY, at the back [4.7]
inline void QueueCore::abandon(Slot slot, Instant now, Effects& effects) noexcept {
    ensure(table_.records[slot].state == State::leased);
    see(now);
    ++stats_.abandoned;
    take_out(slot);
    come_back(slot, Where::back, at_once, {}, effects);
}

// LEASED -- fail(reason) -> DELAYED (backoff) or READY, at the back; DEAD when no tries are left
inline void QueueCore::fail(Slot slot, std::string_view reason, Instant now,
                            Effects& effects) noexcept {
    ensure(table_.records[slot].state == State::leased);
    now = see(now);
    ++stats_.failed;
    const std::uint32_t failures = history(slot).failures;
    const Duration pause = pause_after(options_.backoff, failures + (~failures != 0 ? 1U : 0U));
    fail_with(slot, Reason{Cause::failed, reason}, pause > Duration{} ? now + pause : at_once,
              effects);
}

// LEASED -- reject(reason) -> DEAD
inline void QueueCore::reject(Slot slot, std::string_view reason, Effects& effects) noexcept {
    ensure(table_.records[slot].state == State::leased);
    ++stats_.rejected;
    take_out(slot);
    bury(slot, Reason{Cause::rejected, reason}, effects);
}

inline Instant QueueCore::extend(Slot slot, Instant until) noexcept {
    ensure(table_.records[slot].state == State::leased);
    Record& record = table_.records[slot];
    if (record.at < until) {
        deadlines_.remove_lease(table_, slot);
        record.at = until;
        lease_out_of_order(slot);
    }
    return record.at;
}

// A delivery that failed, by its consumer's word or by its lease; it counts. [4.5]
inline void QueueCore::fail_with(Slot slot, const Reason& reason, Instant due,
                                 Effects& effects) noexcept {
    take_out(slot);
    History& history = table_.history(slot);
    if (history.failures != ~std::uint32_t{0}) { ++history.failures; }
    history.reason = reason;
    if (options_.max_failures != 0 && history.failures >= options_.max_failures) {
        return bury(slot, reason, effects);
    }
    come_back(slot, Where::back, due, reason.text(), effects);
}

// Every way by which a delivery returns with tries left: judged here for its attempts and its
// time to live, then put in.
inline void QueueCore::come_back(Slot slot, Where where, Instant due, std::string_view reason,
                                 Effects& effects) noexcept {
    History& history = table_.history(slot);
    if (ended_) { return leave(slot, Exit::purged, effects); }
    const std::uint32_t most = most_attempts();
    if (most != 0 && history.attempts - history.attempts_before_redrive >= most) {
        return bury(slot, Reason{Cause::attempts_used_up, reason}, effects);
    }
    if (history.expires <= now_) { return leave(slot, Exit::expired, effects); }
    if (where == Where::back && !profile_.redeliveries_first) {
        history.place = issued_.draw();
    }
    put_in(slot, due);
}

// 0: any number.
inline std::uint32_t QueueCore::most_attempts() const noexcept {
    const std::uint32_t failures = profile_.every_delivery_counts ? options_.max_failures : 0;
    if (options_.max_attempts == 0 || failures == 0) { return options_.max_attempts | failures; }
    return failures < options_.max_attempts ? failures : options_.max_attempts;
}

// -> DEAD. Beyond dead_capacity the oldest goes. [7.2]
inline void QueueCore::bury(Slot slot, const Reason& reason, Effects& effects) noexcept {
    if (ended_) { return leave(slot, Exit::purged, effects); }
    table_.history(slot).reason = reason;
    become(slot, State::dead);
    dead_.push_back(table_.records, slot);
    step_out_of_line(slot);
    if (fed_ || ties(slot).latch != none) { note(slot); }
    while (options_.dead_capacity && dead_.size() > *options_.dead_capacity) {
        remove(dead_.front(), Exit::purged, effects);
    }
}

// --- time --------------------------------------------------------------------------------------

// [4.3]
inline bool QueueCore::step(const Due& limit, Effects& effects) noexcept {
    const auto [due, slot] = deadlines_.next(table_);
    if (due.at.is_never() || !(due < limit)) { return false; }
    see(due.at);
    switch (due.kind) {
        // LEASED -- lease ran out -> READY, at the back; DEAD when no tries are left [4.6]
        case Due::lease:
            ++stats_.leases_run_out;
            fail_with(slot, Reason{Cause::lease_ran_out}, at_once, effects);
            break;
        // READY, DELAYED, BLOCKED -- time to live over -> gone: expired
        case Due::life: remove(slot, Exit::expired, effects); break;
        // DELAYED -- due -> READY, at the place it has
        case Due::delay:
            take_out(slot);
            put_in(slot, at_once);
            break;
    }
    return true;
}

// --- removing ----------------------------------------------------------------------------------

inline Slot QueueCore::find(Slot hint, std::uint64_t number) const noexcept {
    if (number == 0 || hint >= slot_count() || record(hint).number != number) { return none; }
    // It keeps the number until its slot is given back, and a reserved one has none.
    return table_.records[hint].state == State::vacant ? none : hint;
}

// not LEASED -- cancel -> gone: cancelled
inline void QueueCore::cancel(Slot slot, Effects& effects) noexcept {
    remove(slot, Exit::cancelled, effects);
}

// READY, DELAYED, BLOCKED -- purge -> gone: purged; one may make another of its key READY
inline std::size_t QueueCore::purge(Effects& effects) noexcept {
    std::size_t purged = 0;
    const auto next = [this]() noexcept {
        if (!ready_.empty()) { return first_ready(); }
        return delayed_.empty() ? blocked_.front() : delayed_.front();
    };
    for (Slot slot = next(); slot != none; slot = next()) {
        remove(slot, Exit::purged, effects);
        ++purged;
    }
    return purged;
}

// DEAD -- purge -> gone: purged
inline std::size_t QueueCore::purge_dead(Effects& effects) noexcept {
    std::size_t purged = 0;
    for (; !dead_.empty(); ++purged) { remove(dead_.front(), Exit::purged, effects); }
    return purged;
}

// DEAD -- take -> gone: purged
inline void QueueCore::take_dead(Slot slot, Effects& effects) noexcept {
    ensure(table_.records[slot].state == State::dead);
    remove(slot, Exit::purged, effects);
}

// DEAD -- redrive -> READY, or BLOCKED by its parents or its key; at the back
inline void QueueCore::redrive(Slot slot, Instant now, bool held_back) noexcept {
    ensure(table_.records[slot].state == State::dead);
    now = see(now);
    ++stats_.redriven;
    take_out(slot);
    History& history = table_.history(slot);
    history.failures = 0;
    history.attempts_before_redrive = history.attempts;
    history.expires = now + history.life;
    history.ties.held_back = held_back;
    history.place = issued_.draw();
    if (history.ties.line != none && !held_back) { lines_.join_again(table_, slot); }
    if (fed_ || history.ties.latch != none) { note(slot); }
    put_in(slot, at_once);
}

inline void QueueCore::end(Effects& effects) noexcept {
    ended_ = true;
    purge(effects);
    purge_dead(effects);
}

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
