// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>
#include <cstdint>

#include "latchbox/detail/queue_core.hpp"
#include "latchbox/detail/slot_heap.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// Messages of one list of a core in publish order, whatever order the list has. Room is made
// without the queue's lock, for all slots there are; then one looks again.
class ByNumber {
public:
    [[nodiscard]] bool has_room(const QueueCore& core) const noexcept {
        return core.slot_count() <= room_.position.size();
    }
    // May throw std::bad_alloc.
    void make_room(std::size_t slot_count) { room_ = SlotHeap<std::uint64_t>::make(slot_count); }

    // Calls `act(slot)` for `first` and all that are listed after it. Once.
    template <class Act> void each(const QueueCore& core, Slot first, Act&& act) {
        SlotHeap<std::uint64_t> sorted;
        sorted.adopt(room_);
        for (Slot slot = first; slot != none; slot = core.next_listed(slot)) {
            sorted.insert(core.record(slot).number, slot);
        }
        while (!sorted.empty()) { act(sorted.pop()); }
    }

private:
    SlotHeap<std::uint64_t>::Room room_;
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
