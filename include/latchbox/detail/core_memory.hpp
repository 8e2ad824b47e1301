// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>
#include <cstdint>

#include "latchbox/detail/growing.hpp"
#include "latchbox/detail/deadlines.hpp"
#include "latchbox/detail/dedup_window.hpp"
#include "latchbox/detail/issued.hpp"
#include "latchbox/detail/key_lines.hpp"
#include "latchbox/detail/ready_order.hpp"
#include "latchbox/detail/slot_set.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// Where the counters begin, and 2^first_bits slots to begin with: for tests of large and small.
struct CoreStart {
    std::uint64_t number = 1;
    std::uint64_t lease = 1;
    std::uint32_t attempts = 0;
    unsigned first_bits = 4;
};

// Memory of a core, made outside every lock, and taken over under one.
struct Growth {
    Growing<Record> records;
    SlotSet::Room vacant;
    Growing<History> histories;
    Deadlines::Room deadlines;
    ReadyOrder::Room ready;
    SlotHeap<Place>::Room evictable;
    KeyLines::Room lines;
    Issued::Room outcomes;
    DedupWindow::Room values;
};

// What has to grow, and to what size; 0: not at all.
struct Shortage {
    std::size_t records = 0;
    std::size_t histories = 0;
    std::size_t lines = 0;
    std::size_t outcomes = 0;
    std::size_t values = 0;
    explicit operator bool() const noexcept {
        return (records | histories | lines | outcomes | values) != 0;
    }
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
