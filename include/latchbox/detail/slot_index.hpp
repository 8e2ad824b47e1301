// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "latchbox/detail/array.hpp"
#include "latchbox/detail/record.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// Which slot has which number, where the number does not come from the slot: chains, by number
// modulo a power of two. Numbers that come one after the other fall into different chains.
// Memory comes as a `Room`, made outside every lock; nothing else here allocates.
class SlotIndex {
public:
    struct Entry {
        std::uint64_t number = 0;  // 0: the slot is not in
        Slot next = none;          // in its chain
    };
    struct Room {
        Array<Entry> entries;
        Array<Slot> chains;
    };

    // For slots below `slots`. May throw std::bad_alloc; needs no lock.
    [[nodiscard]] static Room make(std::size_t slot_count) {
        return {Array<Entry>(slot_count), Array<Slot>(std::bit_ceil(slot_count), none)};
    }
    // Takes the room if it is larger, and leaves the old memory in it.
    void adopt(Room& room) noexcept {
        if (room.entries.size() <= entries_.size()) { return; }
        entries_.swap(room.entries);
        chains_.swap(room.chains);
        for (Slot slot = 0; slot < room.entries.size(); ++slot) {
            if (room.entries[slot].number != 0) { insert(room.entries[slot].number, slot); }
        }
    }

    void insert(std::uint64_t number, Slot slot) noexcept {
        Slot& chain = chain_of(number);
        entries_[slot] = {number, std::exchange(chain, slot)};
    }
    void remove(Slot slot) noexcept {
        Slot* link = &chain_of(entries_[slot].number);
        while (*link != slot) { link = &entries_[*link].next; }
        *link = entries_[slot].next;
        entries_[slot].number = 0;
    }
    // `none` if no slot has it.
    [[nodiscard]] Slot find(std::uint64_t number) const noexcept {
        if (chains_.empty()) { return none; }
        Slot slot = chains_[place_of(number)];
        while (slot != none && entries_[slot].number != number) { slot = entries_[slot].next; }
        return slot;
    }

private:
    [[nodiscard]] std::size_t place_of(std::uint64_t number) const noexcept {
        return static_cast<std::size_t>(number & (chains_.size() - 1));
    }
    [[nodiscard]] Slot& chain_of(std::uint64_t number) noexcept {
        return chains_[place_of(number)];
    }

    Array<Entry> entries_;  // by slot
    Array<Slot> chains_;
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
