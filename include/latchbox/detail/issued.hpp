// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "latchbox/detail/array.hpp"
#include "latchbox/detail/ensure.hpp"
#include "latchbox/detail/record.hpp"
#include "latchbox/states.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// The numbers that one queue has drawn, and how it went with those messages that it does not hold
// any more. Failures are remembered up to a bound, the one longest ago is forgotten first. What has
// completed is not remembered: it is what was drawn, is not held, and did not fail. As that would
// be wrong of a forgotten failure, nothing is known of any number up to the largest forgotten
// one. [5.2]
//
// A ring, and chains through it by number. Memory comes as a `Room`, made outside every lock, and
// ahead of time: failing needs none. [4.11]
class Issued {
public:
    struct Entry {
        std::uint64_t number = 0;
        std::uint32_t next = none;  // in its chain
        Cause cause = Cause::none;
    };
    struct Room {
        Array<Entry> ring;
        Array<std::uint32_t> chains;
    };
    // How it went with a message that is not held: never_issued, forgotten, completed or failed.
    struct Past {
        MessageState state;
        Cause cause;
    };

    explicit Issued(std::size_t bound, std::uint64_t first = 1) noexcept
        : next_{first}, begin_{first}, bound_{bound} {}

    // The number that is drawn next.
    [[nodiscard]] std::uint64_t next() const noexcept { return next_; }
    std::uint64_t draw() noexcept { return next_++; }
    // The first of `count` numbers.
    std::uint64_t draw(std::uint64_t count) noexcept { return std::exchange(next_, next_ + count); }
    [[nodiscard]] bool has_drawn(std::uint64_t number) const noexcept {
        return begin_ <= number && number < next_;
    }
    [[nodiscard]] Past past(std::uint64_t number) const noexcept {
        if (!has_drawn(number)) { return {MessageState::never_issued, Cause::none}; }
        const Cause cause = find(number);
        if (cause != Cause::none) { return {MessageState::failed, cause}; }
        const bool known = forgotten_ < number;
        return {known ? MessageState::completed : MessageState::forgotten, Cause::none};
    }

    // Room for `more` failures to come, as far as the bound goes.
    [[nodiscard]] bool has_room(std::size_t more) const noexcept {
        return more <= ring_.size() - size_ || ring_.size() == bound_;
    }
    // To remember at least so many, if there is room.
    void raise_bound(std::size_t bound) noexcept {
        if (bound_ < bound) { bound_ = bound; }
    }
    // The size to `make` for that: at least twice what there is.
    [[nodiscard]] std::size_t wanted(std::size_t more) const noexcept {
        const std::size_t enough =
            size_ + more < 2 * ring_.size() ? 2 * ring_.size() : size_ + more;
        return enough < bound_ ? enough : bound_;
    }
    // May throw std::bad_alloc; needs no lock.
    [[nodiscard]] static Room make(std::size_t size) {
        return {Array<Entry>(size), Array<std::uint32_t>(size, none)};
    }
    // Takes the room if it is larger, and leaves the old memory in it.
    void adopt(Room& room) noexcept {
        if (room.ring.size() <= ring_.size()) { return; }
        ring_.swap(room.ring);
        chains_.swap(room.chains);
        const std::size_t first = first_;
        const std::size_t size = size_;
        first_ = size_ = 0;
        for (std::size_t i = 0; i < size; ++i) {
            const Entry& entry = room.ring[(first + i) % room.ring.size()];
            remember(entry.number, entry.cause);
        }
    }

    void remember(std::uint64_t number, Cause cause) noexcept {
        if (bound_ == 0) { return forget(number); }
        ensure(!ring_.empty(), "a failure without room");
        if (size_ == ring_.size()) { forget_first(); }
        const std::size_t at = (first_ + size_++) % ring_.size();
        std::uint32_t& chain = chains_[chain_of(number)];
        ring_[at] = {number, chain, cause};
        chain = static_cast<std::uint32_t>(at);
    }
    // All that is known, for somebody else to keep; what stays here takes everything for forgotten.
    [[nodiscard]] Issued hand_over() noexcept {
        Issued rest{0, begin_};
        rest.next_ = next_;
        rest.forget(next_ - 1);
        return std::exchange(*this, std::move(rest));
    }

    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] std::size_t room() const noexcept { return ring_.size(); }
    // Whether chains and ring agree, for tests.
    [[nodiscard]] bool sound() const noexcept {
        for (std::size_t i = 0; i < size_; ++i) {
            const Entry& entry = ring_[(first_ + i) % ring_.size()];
            if (entry.cause == Cause::none || find(entry.number) != entry.cause) { return false; }
        }
        std::size_t chained = 0;
        for (std::uint32_t at : chains_) {
            for (; at != none; at = ring_[at].next) { ++chained; }
        }
        return chained == size_ && size_ <= ring_.size() && ring_.size() <= bound_;
    }

private:
    [[nodiscard]] std::size_t chain_of(std::uint64_t number) const noexcept {
        return static_cast<std::size_t>(number % chains_.size());
    }
    [[nodiscard]] Cause find(std::uint64_t number) const noexcept {
        if (size_ == 0) { return Cause::none; }
        std::uint32_t at = chains_[chain_of(number)];
        while (at != none && ring_[at].number != number) { at = ring_[at].next; }
        return at == none ? Cause::none : ring_[at].cause;
    }
    void forget(std::uint64_t number) noexcept {
        if (forgotten_ < number) { forgotten_ = number; }
    }
    void forget_first() noexcept {
        const auto at = static_cast<std::uint32_t>(first_);
        std::uint32_t* link = &chains_[chain_of(ring_[at].number)];
        while (*link != at) { link = &ring_[*link].next; }
        *link = ring_[at].next;
        forget(ring_[at].number);
        first_ = (first_ + 1) % ring_.size();
        --size_;
    }

    std::uint64_t next_;  // first: it changes with every message
    std::uint64_t begin_;
    std::size_t bound_;
    std::size_t first_ = 0;
    std::size_t size_ = 0;
    std::uint64_t forgotten_ = 0;  // the largest number that was
    Array<Entry> ring_;
    Array<std::uint32_t> chains_;
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
