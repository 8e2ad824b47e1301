// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "latchbox/detail/array.hpp"
#include "latchbox/detail/ensure.hpp"
#include "latchbox/detail/record.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// A binary heap of small numbers (0, 1, 2, ...), each at most once, least key first, that also
// finds and removes from the middle: O(log n). Knows no message, no clock, no lock.
// Invariant: position_[item] is where heap_ holds `item`, or `none`.
// Memory comes as a `Room`, made outside every lock; nothing else here allocates.
template <class Key> class SlotHeap {
public:
    struct Entry {
        Key key;
        std::uint32_t item;
    };
    struct Room {
        Array<Entry> heap;
        Array<std::uint32_t> position;
    };

    SlotHeap() = default;
    SlotHeap(const SlotHeap&) = default;  // and no move, which would leave a size without memory
    SlotHeap& operator=(const SlotHeap&) = default;

    // For items below `items`. May throw std::bad_alloc; needs no lock.
    [[nodiscard]] static Room make(std::size_t items) {
        return {Array<Entry>(items), Array<std::uint32_t>(items, none)};
    }
    // Takes the room if it is larger, and leaves the old memory in it.
    void adopt(Room& room) noexcept {
        if (room.position.size() <= position_.size()) { return; }
        for (std::size_t i = 0; i < position_.size(); ++i) { room.position[i] = position_[i]; }
        for (std::size_t i = 0; i < size_; ++i) { room.heap[i] = heap_[i]; }
        heap_.swap(room.heap);
        position_.swap(room.position);
    }

    [[nodiscard]] std::size_t room() const noexcept { return position_.size(); }
    [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] bool contains(std::uint32_t item) const noexcept {
        return item < position_.size() && position_[item] != none;
    }
    [[nodiscard]] const Entry& front() const noexcept { return heap_[0]; }
    // The least key but that of the front; at least two items.
    [[nodiscard]] const Key& second() const noexcept {
        const bool right = size_ > 2 && heap_[2].key < heap_[1].key;
        return heap_[right ? 2 : 1].key;
    }
    [[nodiscard]] const Key& key(std::uint32_t item) const noexcept {
        return heap_[position_[item]].key;
    }

    void insert(const Key& key, std::uint32_t item) noexcept {
        ensure(item < position_.size() && position_[item] == none, "no room was made, or twice");
        heap_[size_] = {key, item};
        rise(size_++);
    }
    [[gnu::noinline]] void remove(std::uint32_t item) noexcept {
        ensure(contains(item), "an item removed that is not there");
        const std::size_t at = position_[item];
        position_[item] = none;
        --size_;
        if (at == size_) { return; }
        put(at, heap_[size_]);
        sink(rise(at));
    }

    // Takes out the item with the least key.
    std::uint32_t pop() noexcept {
        const std::uint32_t item = heap_[0].item;
        remove(item);
        return item;
    }

    // How many keys are less than `key`; linear in that.
    [[nodiscard]] std::size_t before(const Key& key, std::size_t from = 0) const noexcept {
        if (from >= size_ || !(heap_[from].key < key)) { return 0; }
        return 1 + before(key, 2 * from + 1) + before(key, 2 * from + 2);
    }

    // Whether order and positions hold.
    [[nodiscard]] bool sound() const noexcept {
        for (std::size_t at = 0; at < size_; ++at) {
            if (position_[heap_[at].item] != at) { return false; }
            if (at != 0 && heap_[at].key < heap_[(at - 1) / 2].key) { return false; }
        }
        std::size_t items = 0;
        for (const std::uint32_t at : position_) { items += at != none ? 1U : 0U; }
        return items == size_;
    }

private:
    void put(std::size_t at, const Entry& entry) noexcept {
        heap_[at] = entry;
        position_[entry.item] = static_cast<std::uint32_t>(at);
    }
    std::size_t rise(std::size_t at) noexcept {
        const Entry entry = heap_[at];
        while (at != 0 && entry.key < heap_[(at - 1) / 2].key) {
            put(at, heap_[(at - 1) / 2]);
            at = (at - 1) / 2;
        }
        put(at, entry);
        return at;
    }
    void sink(std::size_t at) noexcept {
        const Entry entry = heap_[at];
        for (std::size_t child = 2 * at + 1; child < size_; child = 2 * at + 1) {
            if (child + 1 < size_ && heap_[child + 1].key < heap_[child].key) { ++child; }
            if (!(heap_[child].key < entry.key)) { break; }
            put(at, heap_[child]);
            at = child;
        }
        put(at, entry);
    }

    Array<Entry> heap_;  // from `size_` on room
    Array<std::uint32_t> position_;
    std::size_t size_ = 0;
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
