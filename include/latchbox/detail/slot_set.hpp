// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "latchbox/detail/array.hpp"
#include "latchbox/detail/ensure.hpp"
#include "latchbox/detail/record.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// A set of slots of which the lowest is taken first, so that those in use stay close together, and
// what is published in a row lies in a row in memory. A bit for each slot, and above each level
// another with a bit for each word of it that is not zero, up to a single word: O(log64 n).
// Memory comes as a `Room`, made outside every lock; nothing else here allocates.
class SlotSet {
public:
    struct Room {
        Array<std::uint64_t> words;
        std::size_t limit = 0;
    };
    // For slots below `limit`. May throw std::bad_alloc; needs no lock.
    [[nodiscard]] static Room make(std::size_t limit) {
        const Levels levels{limit};
        return {Array<std::uint64_t>(levels.begin[levels.count]), limit};
    }
    // Takes the room if it is larger, and leaves the old memory in it.
    void adopt(Room& room) noexcept {
        if (room.words.size() <= words_.size()) { return; }
        const Levels old = std::exchange(levels_, Levels{room.limit});
        words_.swap(room.words);
        for (std::size_t at = 0; at < old.begin[1]; ++at) {
            if (room.words[at] != 0) { fill(at, room.words[at]); }
        }
    }

    [[nodiscard]] bool empty() const noexcept { return top() == 0; }
    // The lowest, or `none`.
    [[nodiscard]] Slot first() const noexcept {
        if (empty()) { return none; }
        std::size_t at = 0;
        for (unsigned level = levels_.count; level-- != 0;) {
            at = at << bits | static_cast<std::size_t>(std::countr_zero(word(level, at)));
        }
        return static_cast<Slot>(at);
    }
    void insert(Slot slot) noexcept { fill(slot >> bits, bit(slot)); }
    Slot take_first() noexcept {
        const Slot slot = first();
        ensure(slot != none, "the first slot of none");
        std::size_t at = slot;
        for (unsigned level = 0; level != levels_.count; ++level, at >>= bits) {
            if ((word(level, at >> bits) &= ~bit(at)) != 0) { break; }
        }
        return slot;
    }
    [[nodiscard]] bool contains(Slot slot) const noexcept {
        return slot < levels_.begin[1] << bits && (word(0, slot >> bits) & bit(slot)) != 0;
    }
    // Whether each level says what there is in the one below, for tests.
    [[nodiscard]] bool sound() const noexcept {
        for (unsigned level = 1; level < levels_.count; ++level) {
            const std::size_t below = levels_.begin[level] - levels_.begin[level - 1];
            for (std::size_t at = 0; at < below; ++at) {
                const bool marked = (word(level, at >> bits) & bit(at)) != 0;
                if (marked != (word(level - 1, at) != 0)) { return false; }
            }
        }
        return true;
    }

private:
    static constexpr unsigned bits = 6;

    // Where the words of each begin; that of none, where the last ends.
    struct Levels {
        std::size_t begin[8] = {};
        unsigned count = 0;

        Levels() noexcept = default;
        explicit Levels(std::size_t limit) noexcept {
            for (std::size_t below = limit; below > 1 || count == 0;) {
                below = (below + (std::size_t{1} << bits) - 1) >> bits;
                begin[count + 1] = begin[count] + below;
                ++count;
            }
        }
    };

    [[nodiscard]] static std::uint64_t bit(std::size_t at) noexcept {
        return std::uint64_t{1} << (at & ((std::size_t{1} << bits) - 1));
    }
    [[nodiscard]] std::uint64_t& word(unsigned level, std::size_t at) noexcept {
        return words_[levels_.begin[level] + at];
    }
    [[nodiscard]] const std::uint64_t& word(unsigned level, std::size_t at) const noexcept {
        return words_[levels_.begin[level] + at];
    }
    [[nodiscard]] std::uint64_t top() const noexcept {
        return words_.empty() ? 0 : words_[words_.size() - 1];
    }
    // Adds bits to a word of the lowest level.
    void fill(std::size_t at, std::uint64_t with) noexcept {
        for (unsigned level = 0; level != levels_.count; ++level) {
            const bool marked = std::exchange(word(level, at), word(level, at) | with) != 0;
            if (marked) { return; }
            with = bit(at);
            at >>= bits;
        }
    }

    Array<std::uint64_t> words_;  // the lowest level first
    Levels levels_;
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
