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

// The records of one queue by slot, and the histories of those messages that have one. Both grow
// by copying into memory that was made outside the lock.
class Table {
public:
    Array<Record> records;
    Array<History> histories;

    // Takes the larger array, and leaves the old one in its place.
    template <class T> static void adopt(Array<T>& array, Array<T>& larger) noexcept {
        if (larger.size() <= array.size()) { return; }
        for (std::size_t i = 0; i < array.size(); ++i) { larger[i] = array[i]; }
        array.swap(larger);
    }

    [[nodiscard]] bool has_history(Slot slot) const noexcept {
        return records[slot].history != none;
    }
    [[nodiscard]] History& history(Slot slot) noexcept { return histories[records[slot].history]; }
    [[nodiscard]] const History& history(Slot slot) const noexcept {
        return histories[records[slot].history];
    }
    [[nodiscard]] Place place(Slot slot) const noexcept {
        const Record& record = records[slot];
        return {record.priority,
                record.history == none ? record.number : histories[record.history].place};
    }

    // How many more messages can be given a history.
    [[nodiscard]] std::size_t free_histories() const noexcept { return histories.size() - in_use_; }
    [[nodiscard]] std::size_t histories_in_use() const noexcept { return in_use_; }

    [[gnu::always_inline]] History& give_history(Slot slot) noexcept {
        ensure(free_ != none || used_ < histories.size(), "a history without room");
        const std::uint32_t at =
            free_ != none ? std::exchange(free_, histories[free_].slot) : used_++;
        History& history = histories[at];
        history.slot = slot;
        history.attempts = 0;
        history.attempts_before_redrive = 0;
        history.failures = 0;
        history.place = records[slot].number;
        history.expires = Instant::never();
        history.life = Duration::never();
        history.reason = Reason{};
        history.ties = Ties{};
        records[slot].history = at;
        ++in_use_;
        return history;
    }
    void take_history(Slot slot) noexcept {
        const std::uint32_t at = records[slot].history;
        if (at == none) { return; }
        records[slot].history = none;
        histories[at].slot = free_;
        free_ = at;
        --in_use_;
    }

private:
    std::uint32_t free_ = none;  // first of a chain through History::slot
    std::uint32_t used_ = 0;     // histories from here on were never used
    std::size_t in_use_ = 0;
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
