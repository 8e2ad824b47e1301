// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "latchbox/detail/ensure.hpp"
#include "latchbox/detail/growing.hpp"
#include "latchbox/detail/record.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// The records of one queue by slot, and the histories of those messages that have one.
class Table {
public:
    Growing<Record> records;
    Growing<History> histories;

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
    [[nodiscard]] std::size_t free_histories() const noexcept { return histories.room() - in_use_; }
    [[nodiscard]] std::size_t histories_in_use() const noexcept { return in_use_; }

    [[gnu::always_inline]] History& give_history(Slot slot) noexcept {
        ensure(free_histories() != 0, "a history without room");
        std::uint32_t at = histories.size();
        if (free_ == none) {
            histories.add();
        } else {
            at = std::exchange(free_, histories[free_].slot);
        }
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
    std::size_t in_use_ = 0;
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
