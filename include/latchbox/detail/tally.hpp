// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <atomic>
#include <cstdint>

#include "latchbox/detail/ensure.hpp"
#include "latchbox/detail/record.hpp"
#include "latchbox/states.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// How the copies of one message stand, and so its latch: failed if a copy failed, else dead if one
// is dead, else pending while one is pending, else completed. [5.3]
//
// The copies are in as many queues, each under its own lock, so what they share is one atomic word:
// three counts, and whether somebody asked for the latch. A change is one addition, which also says
// whether the latches have to be told. Asking sets the mark first and reads the counts with the
// same step: each change either was counted by then, or sees the mark. Who sets the latch does so
// under the latches' lock, from the counts as they are then; so the last word is always true.
template <class Platform> class Tally {
public:
    static constexpr std::uint64_t most = (std::uint64_t{1} << 21) - 1;  // copies

    // Before anybody else sees it.
    void begin(std::uint64_t copies) noexcept {
        ensure(copies <= most, "two million copies of one message");
        word_.store(copies * pending, std::memory_order_relaxed);
    }

    struct Change {
        bool watched;  // somebody asked for the latch
        bool fails;    // this is the first copy that failed
    };
    // A copy that was told as `from` is dead, or pending again.
    Change turn(Told from, Told to) noexcept { return add(one(to) - one(from)); }
    // It left: `failed` says how.
    Change leave(Told from, bool failure) noexcept {
        return add((failure ? failed : 0) - one(from));
    }

    // One that is not dead completed: if nobody asked for the latch; else nothing has happened.
    [[nodiscard]] bool complete_unwatched() noexcept {
        std::uint64_t before = word_.load(std::memory_order_relaxed);
        while ((before & watched) == 0) {
            if (word_.compare_exchange_weak(before, before - pending, std::memory_order_acq_rel)) {
                return true;
            }
        }
        return false;
    }

    [[nodiscard]] LatchState state() const noexcept {
        return state_of(word_.load(std::memory_order_acquire));
    }
    // Once: from here on changes say that it is watched. Under the latches' lock.
    [[nodiscard]] LatchState watch() noexcept {
        return state_of(word_.fetch_add(watched, std::memory_order_acq_rel));
    }

private:
    static constexpr std::uint64_t pending = 1;
    static constexpr std::uint64_t dead = std::uint64_t{1} << 21;
    static constexpr std::uint64_t failed = std::uint64_t{1} << 42;
    static constexpr std::uint64_t watched = std::uint64_t{1} << 63;

    static constexpr std::uint64_t one(Told told) noexcept {
        return told == Told::pending ? pending : told == Told::dead ? dead : 0;
    }
    static constexpr LatchState state_of(std::uint64_t word) noexcept {
        if ((word & (most * failed)) != 0) { return LatchState::failed; }
        if ((word & (most * dead)) != 0) { return LatchState::dead; }
        return (word & most) != 0 ? LatchState::pending : LatchState::completed;
    }
    Change add(std::uint64_t what) noexcept {
        const std::uint64_t before = word_.fetch_add(what, std::memory_order_acq_rel);
        const bool had_failed = state_of(before) == LatchState::failed;
        return {(before & watched) != 0,
                !had_failed && state_of(before + what) == LatchState::failed};
    }

    typename Platform::template Atomic<std::uint64_t> word_{0};
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
