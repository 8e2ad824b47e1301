// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

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
        std::vector<Entry> heap;
        std::vector<std::uint32_t> position;
    };

    SlotHeap() = default;
    SlotHeap(const SlotHeap& other) : position_{other.position_} {
        heap_.reserve(position_.size());
        heap_.insert(heap_.end(), other.heap_.begin(), other.heap_.end());
    }
    SlotHeap& operator=(const SlotHeap& other) {
        SlotHeap copy{other};
        heap_.swap(copy.heap_);
        position_.swap(copy.position_);
        return *this;
    }

    // For items below `items`. May throw std::bad_alloc; needs no lock.
    [[nodiscard]] static Room make(std::size_t items) {
        Room room;
        room.heap.reserve(items);
        room.position.assign(items, none);
        return room;
    }
    // Takes the room if it is larger, and leaves the old memory in it.
    void adopt(Room& room) noexcept {
        if (room.position.size() <= position_.size()) { return; }
        for (std::size_t i = 0; i < position_.size(); ++i) { room.position[i] = position_[i]; }
        room.heap.insert(room.heap.end(), heap_.begin(), heap_.end());
        heap_.swap(room.heap);
        position_.swap(room.position);
    }

    [[nodiscard]] std::size_t room() const noexcept { return position_.size(); }
    [[nodiscard]] bool empty() const noexcept { return heap_.empty(); }
    [[nodiscard]] std::size_t size() const noexcept { return heap_.size(); }
    [[nodiscard]] bool contains(std::uint32_t item) const noexcept {
        return item < position_.size() && position_[item] != none;
    }
    [[nodiscard]] const Entry& front() const noexcept { return heap_.front(); }
    // The least key but that of the front; at least two items.
    [[nodiscard]] const Key& second() const noexcept {
        const bool right = heap_.size() > 2 && heap_[2].key < heap_[1].key;
        return heap_[right ? 2 : 1].key;
    }
    [[nodiscard]] const Key& key(std::uint32_t item) const noexcept {
        return heap_[position_[item]].key;
    }

    void insert(const Key& key, std::uint32_t item) noexcept {
        ensure(item < position_.size() && position_[item] == none, "no room was made, or twice");
        heap_.push_back({key, item});
        rise(heap_.size() - 1);
    }
    [[gnu::noinline]] void remove(std::uint32_t item) noexcept {
        ensure(contains(item), "an item removed that is not there");
        const std::size_t at = position_[item];
        position_[item] = none;
        const Entry last = heap_.back();
        heap_.pop_back();
        if (at == heap_.size()) { return; }
        put(at, last);
        sink(rise(at));
    }

    // Takes out the item with the least key.
    std::uint32_t pop() noexcept {
        const std::uint32_t item = heap_.front().item;
        remove(item);
        return item;
    }

    // How many keys are less than `key`; linear in that.
    [[nodiscard]] std::size_t before(const Key& key, std::size_t from = 0) const noexcept {
        if (from >= heap_.size() || !(heap_[from].key < key)) { return 0; }
        return 1 + before(key, 2 * from + 1) + before(key, 2 * from + 2);
    }

    // Whether order and positions hold.
    [[nodiscard]] bool sound() const noexcept {
        for (std::size_t at = 0; at < heap_.size(); ++at) {
            if (position_[heap_[at].item] != at) { return false; }
            if (at != 0 && heap_[at].key < heap_[(at - 1) / 2].key) { return false; }
        }
        std::size_t items = 0;
        for (const std::uint32_t at : position_) { items += at != none ? 1U : 0U; }
        return items == heap_.size();
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
        for (std::size_t child = 2 * at + 1; child < heap_.size(); child = 2 * at + 1) {
            if (child + 1 < heap_.size() && heap_[child + 1].key < heap_[child].key) { ++child; }
            if (!(heap_[child].key < entry.key)) { break; }
            put(at, heap_[child]);
            at = child;
        }
        put(at, entry);
    }

    std::vector<Entry> heap_;
    std::vector<std::uint32_t> position_;
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
