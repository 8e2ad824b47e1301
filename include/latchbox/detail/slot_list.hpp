// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>

#include "latchbox/detail/ensure.hpp"
#include "latchbox/detail/record.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// A list of slots through the links of their records: no memory of its own, O(1) each. A slot
// stands in one list at a time. `Records` is indexed by slot.
class SlotList {
public:
    [[nodiscard]] bool empty() const noexcept { return first_ == none; }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] Slot front() const noexcept { return first_; }
    [[nodiscard]] Slot back() const noexcept { return last_; }

    template <class Records> void push_back(Records& records, Slot slot) noexcept {
        records[slot].links = {none, last_};
        (last_ == none ? first_ : records[last_].links.next) = slot;
        last_ = slot;
        ++size_;
    }
    template <class Records> void remove(Records& records, Slot slot) noexcept {
        const Links links = records[slot].links;
        ensure(size_ != 0, "a slot removed from an empty list");
        (links.previous == none ? first_ : records[links.previous].links.next) = links.next;
        (links.next == none ? last_ : records[links.next].links.previous) = links.previous;
        --size_;
    }
    // `none` if there is none.
    template <class Records> Slot pop_front(Records& records) noexcept {
        const Slot slot = first_;
        if (slot == none) { return none; }
        first_ = records[slot].links.next;
        (first_ == none ? last_ : records[first_].links.previous) = none;
        --size_;
        return slot;
    }

private:
    Slot first_ = none;
    Slot last_ = none;
    std::size_t size_ = 0;
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
