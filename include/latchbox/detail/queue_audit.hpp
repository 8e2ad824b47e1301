// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include "latchbox/detail/queue_core.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// Walks every container of the core and holds it against records, counters and the others. For
// tests: linear, and called after every step there.
inline const char* QueueCore::audit() const {
    QueueStats seen;
    std::size_t reserved = 0;
    std::size_t histories = 0;
    std::size_t first_leases = 0;
    std::size_t expiring = 0;
    std::size_t evictable = 0;
    std::size_t keyed = 0;
    for (Slot slot = 0; slot < slot_count(); ++slot) {
        const Record& record = table_.records[slot];
        if (vacant_.contains(slot) && record.state != State::vacant) {
            return "a slot in use among the vacant";
        }
        const bool returned =
            table_.has_history(slot) && ready_.returned().contains(record.history);
        const bool in_heap =
            table_.has_history(slot) && deadlines_.others().contains(record.history);
        switch (record.state) {
            case State::vacant: continue;
            case State::reserved: ++reserved; continue;
            case State::blocked: ++seen.blocked; break;
            case State::delayed: ++seen.delayed; break;
            case State::ready: ++seen.ready; break;
            case State::leased: ++seen.leased; break;
            case State::dead: ++seen.dead; break;
        }
        if (record.number == 0 || !issued_.has_drawn(record.number)) {
            return "a number never drawn";
        }
        if (record.priority >= priorities) { return "a priority out of range"; }
        if (record.told == (record.state == State::dead ? Told::pending : Told::dead)) {
            return "a copy whose message was not told";
        }
        if (returned && record.state != State::ready) { return "returned, and not ready"; }
        const bool held_up = record.state == State::delayed || record.state == State::blocked;
        evictable += returned || held_up ? 1U : 0U;
        if (record.state == State::leased) {
            if (record.lease == 0 || record.lease >= next_lease_) {
                return "a lease never granted";
            }
            if (record.at <= now_ && !record.at.is_never()) {
                return "a lease outlived its deadline";
            }
        }
        if (!table_.has_history(slot)) {
            first_leases += record.state == State::leased ? 1U : 0U;
            if (record.state != State::ready && record.state != State::leased) {
                return "no history, and neither in line nor handed out";
            }
            continue;
        }
        ++histories;
        const History& history = table_.history(slot);
        if (history.slot != slot) { return "a history of another slot"; }
        if (history.place < record.number || !issued_.has_drawn(history.place)) {
            return "a bad place";
        }
        const Ties& ties = history.ties;
        if (history.watch != nullptr && record.state != State::leased) {
            return "a watch over no lease";
        }
        if (ties.noted) { return "a latch that was not told"; }
        if (ties.held_back && ties.wait == none) { return "held back by nobody"; }
        if (record.state != State::dead && must_wait(slot) != (record.state == State::blocked)) {
            return "blocked without a reason, or not blocked with one";
        }
        keyed += ties.line != none ? 1U : 0U;
        const bool nowhere = ties.stand == Ties::Stand::out;
        if (ties.line != none && nowhere && record.state != State::dead && !ties.held_back) {
            return "alive, and nowhere in the line of its key";
        }
        if (!nowhere && (ties.line == none || record.state == State::dead)) {
            return "in the line of a key where it has no place";
        }
        if (ties.stand == Ties::Stand::active && lines_.line(ties.line).active != slot) {
            return "two of one key are active";
        }
        if (history.failures > history.attempts) { return "more failures than attempts"; }
        if (options_.max_failures != 0 && history.failures > options_.max_failures) {
            return "more failures than max_failures";
        }
        if (record.state == State::leased && history.attempts == 0) {
            return "leased, and never handed out";
        }
        const Instant first = record.state == State::delayed && record.at < history.expires
                                  ? record.at
                                  : history.expires;
        const bool waits = held_up || record.state == State::ready;
        if (waits && in_heap == first.is_never()) { return "time will not find a message"; }
        if (waits && in_heap && deadlines_.others().key(record.history).at != first) {
            return "time will find a message at the wrong instant";
        }
        if (record.state == State::dead && in_heap) { return "time will touch the dead"; }
        expiring += in_heap && record.state != State::leased ? 1U : 0U;
    }
    const QueueStats counted = stats();
    if (seen.blocked != counted.blocked || seen.delayed != counted.delayed ||
        seen.ready != counted.ready || seen.leased != counted.leased || seen.dead != counted.dead) {
        return "counts by state differ from the records";
    }
    if (counted.accepted != held() + counted.completed + counted.expired + counted.purged +
                                counted.evicted + counted.cancelled) {
        return "messages are not conserved";
    }
    if (reserved > reserved_) { return "reserved slots are miscounted"; }
    if (histories != table_.histories_in_use()) { return "histories are miscounted"; }
    if (first_leases > promised_histories_) { return "no promise to one that may come back"; }
    if (held() + (fed_ && drops_copies() ? 0 : reserved_) > options_.capacity) {
        return "more held than capacity";
    }
    if (options_.dead_capacity && dead_.size() > *options_.dead_capacity) {
        return "more dead letters than dead_capacity";
    }
    if (!ready_.returned().sound() || !deadlines_.others().sound() || !evictable_.sound() ||
        !vacant_.sound()) {
        return "a heap or a set is out of order";
    }
    std::size_t in_order = ready_.returned().size();
    for (unsigned priority = 0; priority < priorities; ++priority) {
        const SlotList& line = ready_.line(priority);
        in_order += line.size();
        for (Slot slot = line.front(); slot != none; slot = table_.records[slot].links.next) {
            const Record& record = table_.records[slot];
            if (record.state != State::ready || record.priority != priority) {
                return "a stranger in a line";
            }
            if (record.links.next != none &&
                !(table_.place(slot) < table_.place(record.links.next))) {
                return "a line is out of order";
            }
        }
    }
    if (in_order != seen.ready) { return "ready messages are not all in order"; }
    const auto holds_only = [this](const SlotList& list, State state) {
        for (Slot slot = list.front(); slot != none; slot = table_.records[slot].links.next) {
            if (table_.records[slot].state != state) { return false; }
        }
        return true;
    };
    if (!holds_only(blocked_, State::blocked) || !holds_only(delayed_, State::delayed) ||
        !holds_only(dead_, State::dead) || !holds_only(seen_, State::vacant) ||
        !holds_only(deadlines_.leases(), State::leased)) {
        return "a stranger in a list";
    }
    if (blocked_.size() != seen.blocked) { return "blocked messages are not all listed"; }
    if (delayed_.size() != seen.delayed) { return "delayed messages are not all listed"; }
    if (dead_.size() != seen.dead) { return "dead letters are not all listed"; }
    if (deadlines_.leases().size() + deadlines_.others().size() != seen.leased + expiring) {
        return "deadlines are miscounted";
    }
    if (has_noted()) { return "latches that were not told"; }
    if (lines_.members(table_) != keyed) { return "lines of keys are broken or miscounted"; }
    if (!issued_.sound()) { return "remembered failures are out of order"; }
    if (!issued_.has_room(held())) { return "no memory for failures to come"; }
    const bool evicts = options_.overflow == Overflow::drop_oldest;
    if (evictable_.size() != (evicts ? evictable : 0)) { return "eviction order is incomplete"; }
    if (ended_ && held() != seen.leased) { return "ended, and still holding"; }
    return nullptr;
}

// The same while no call is under way and nobody waits in one: then nothing is kept for anybody.
inline const char* QueueCore::audit_at_rest() const {
    if (const char* const broken = audit()) { return broken; }
    std::size_t first_leases = 0;
    std::size_t seen = 0;
    for (Slot slot = 0; slot < slot_count(); ++slot) {
        const State state = table_.records[slot].state;
        first_leases += state == State::leased && !table_.has_history(slot) ? 1U : 0U;
        seen += state == State::vacant && !vacant_.contains(slot) ? 1U : 0U;
    }
    if (reserved_ != 0) { return "room for nobody"; }
    if (promised_histories_ != first_leases) { return "a history for nobody"; }
    if (promised_lines_ + promised_values_ != 0) { return "a line or a value for nobody"; }
    if (seen_.size() != seen) { return "a slot that is lost"; }
    return nullptr;
}

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
