// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <bit>
#include <cstdint>

#include "latchbox/detail/slot_heap.hpp"
#include "latchbox/detail/slot_list.hpp"
#include "latchbox/detail/table.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

inline constexpr unsigned priorities = 10;

// The READY messages of one queue by place. What comes with a newer place than all of its priority
// is appended to the line of that priority, O(1); what returns to an old place goes to a heap,
// O(log n). [4.4]
class ReadyOrder {
public:
    using Room = SlotHeap<Place>::Room;

    [[nodiscard]] static Room make(std::size_t histories) {
        return SlotHeap<Place>::make(histories);
    }
    void adopt(Room& room) noexcept { returned_.adopt(room); }

    [[nodiscard]] bool empty() const noexcept { return lines_in_use_ == 0 && returned_.empty(); }

    // One whose place is newer than all of its priority.
    void append(Table& table, Slot slot) noexcept {
        const unsigned priority = table.records[slot].priority;
        lines_[priority].push_back(table.records, slot);
        lines_in_use_ |= 1U << priority;
    }
    void insert(Table& table, Slot slot) noexcept {
        const Place place = table.place(slot);
        const SlotList& line = lines_[place.priority];
        if (line.empty() || table.place(line.back()) < place) { return append(table, slot); }
        returned_.insert(place, table.records[slot].history);
    }
    void remove(Table& table, Slot slot) noexcept {
        const Record& record = table.records[slot];
        if (returned_.contains(record.history)) { return returned_.remove(record.history); }
        SlotList& line = lines_[record.priority];
        line.remove(table.records, slot);
        if (line.empty()) { lines_in_use_ &= ~(1U << record.priority); }
    }
    // Takes out the first in place; there must be one.
    Slot pop(Table& table) noexcept {
        if (!returned_.empty()) [[unlikely]] { return pop_either(table); }
        const unsigned priority = highest();
        SlotList& line = lines_[priority];
        const Slot slot = line.pop_front(table.records);
        if (line.empty()) { lines_in_use_ &= ~(1U << priority); }
        return slot;
    }
    // The first in place; there must be one.
    [[nodiscard]] Slot front(const Table& table) const noexcept {
        if (returned_.empty()) { return line_front(); }
        const Slot returned = table.histories[returned_.front().item].slot;
        if (lines_in_use_ == 0) { return returned; }
        const Slot in_line = line_front();
        return returned_.front().key < table.place(in_line) ? returned : in_line;
    }
    // The first in the line of the lowest priority, those in the heap apart; or `none`.
    [[nodiscard]] Slot oldest_of_lowest() const noexcept {
        if (lines_in_use_ == 0) { return none; }
        return line(static_cast<unsigned>(std::countr_zero(lines_in_use_))).front();
    }

    // How many come before `place`; linear in that.
    [[nodiscard]] std::size_t before(const Table& table, const Place& place) const noexcept {
        std::size_t count = returned_.before(place);
        for (unsigned above = place.priority + 1U; above < priorities; ++above) {
            count += line(above).size();
        }
        for (Slot slot = line(place.priority).front(); slot != none && table.place(slot) < place;
             slot = table.records[slot].links.next) {
            ++count;
        }
        return count;
    }

    [[nodiscard]] const SlotList& line(unsigned priority) const noexcept {
        return lines_[priority];
    }
    [[nodiscard]] const SlotHeap<Place>& returned() const noexcept { return returned_; }

private:
    [[gnu::noinline]] Slot pop_either(Table& table) noexcept {
        const Slot slot = front(table);
        remove(table, slot);
        return slot;
    }
    [[nodiscard]] unsigned highest() const noexcept {
        return static_cast<unsigned>(std::bit_width(lines_in_use_)) - 1;
    }
    [[nodiscard]] Slot line_front() const noexcept { return line(highest()).front(); }

    std::uint32_t lines_in_use_ = 0;  // a bit per priority whose line is not empty
    SlotList lines_[priorities];
    SlotHeap<Place> returned_;
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
