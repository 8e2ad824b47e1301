// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstdint>
#include <utility>

#include "latchbox/detail/slot_heap.hpp"
#include "latchbox/detail/slot_list.hpp"
#include "latchbox/detail/table.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// What time will do to the messages of one queue: at most one thing per message, that which comes
// first. Leases of one queue are equally long, so they are mostly granted in the order in which
// they run out: those stand in a list, O(1) each. All else, and a lease out of that order, is in
// a heap, O(log n).
class Deadlines {
public:
    using Room = SlotHeap<Due>::Room;

    [[nodiscard]] static Room make(std::size_t histories) { return SlotHeap<Due>::make(histories); }
    void adopt(Room& room) noexcept { others_.adopt(room); }

    // Whether a lease runs out after all in the list, and can be appended.
    [[nodiscard]] bool in_order(const Table& table, Slot slot) const noexcept {
        return leases_.empty() || before(table, leases_.back(), slot);
    }
    void append_lease(Table& table, Slot slot) noexcept {
        news_ |= leases_.empty();
        leases_.push_back(table.records, slot);
    }
    // One that is out of order, or was extended: that would hold up the order of the list. It has a
    // history.
    void insert_lease(Table& table, Slot slot) noexcept {
        insert(lease_of(table, slot), table.records[slot].history);
    }
    void insert(Table& table, Slot slot, Instant at, Due::Kind kind) noexcept {
        if (at.is_never()) { return; }
        insert({at, kind, table.place(slot).number}, table.records[slot].history);
    }
    // Of a slot that is not leased; no effect on one that has none.
    void remove(const Table& table, Slot slot) noexcept {
        const std::uint32_t history = table.records[slot].history;
        if (others_.contains(history)) { others_.remove(history); }
    }
    void remove_lease(Table& table, Slot slot) noexcept {
        const std::uint32_t history = table.records[slot].history;
        if (others_.contains(history)) {
            others_.remove(history);
        } else {
            leases_.remove(table.records, slot);
        }
    }

    // What comes first: when, and to whom.
    struct Next {
        Due due = Due::never();
        Slot slot = none;
    };
    [[nodiscard]] Next next(const Table& table) const noexcept {
        Next first;
        if (!leases_.empty()) {
            first = {lease_of(table, leases_.front()), leases_.front()};
        }
        if (!others_.empty() && others_.front().key < first.due) {
            first = {others_.front().key, table.histories[others_.front().item].slot};
        }
        return first;
    }

    // The same without whose it is.
    [[nodiscard]] Due next_due(const Table& table) const noexcept {
        if (leases_.empty()) { return others_.empty() ? Due::never() : others_.front().key; }
        const Due lease = lease_of(table, leases_.front());
        return !others_.empty() && others_.front().key < lease ? others_.front().key : lease;
    }

    // And only when.
    [[nodiscard]] Instant next_due_at(const Table& table) const noexcept {
        const Instant other = others_.empty() ? Instant::never() : others_.front().key.at;
        return leases_.empty() ? other : earlier(table.records[leases_.front()].at, other);
    }

    // Whether something was put in front of all others since this was last asked.
    [[nodiscard]] bool news() noexcept {
        if (!news_) { return false; }  // and nothing is written: others may read that line
        news_ = false;
        return true;
    }

    [[nodiscard]] const SlotList& leases() const noexcept { return leases_; }
    [[nodiscard]] const SlotHeap<Due>& others() const noexcept { return others_; }

private:
    // Whether the lease of `a` runs out before that of `b`: as `Due` has it, both being leases.
    static bool before(const Table& table, Slot a, Slot b) noexcept {
        const Instant first = table.records[a].at;
        const Instant second = table.records[b].at;
        return first != second ? first < second : table.place(a).number < table.place(b).number;
    }
    static Due lease_of(const Table& table, Slot slot) noexcept {
        return {table.records[slot].at, Due::lease, table.place(slot).number};
    }

    [[gnu::noinline]] void insert(const Due& due, std::uint32_t history) noexcept {
        others_.insert(due, history);
        news_ = true;
    }

    SlotHeap<Due> others_;
    bool news_ = false;
    SlotList leases_;
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
