// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include "latchbox/detail/bodies.hpp"
#include "latchbox/detail/latches.hpp"
#include "latchbox/detail/waiters.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// What a call has still to do when it holds no lock any more: destroy bodies, wake who was served,
// see to the children of those whose latches changed, stop the tokens of leases that are over.
// Chains through the things themselves, so it needs no memory.
template <class Msg, class Platform> struct Aftermath {
    Cell<Msg, Platform>* doomed = nullptr;
    std::uint64_t doomed_count = 0;
    SharedBody<Msg, Platform>* doomed_shared = nullptr;
    Waiter<Platform>* ended = nullptr;  // in the order in which they came
    Waiter<Platform>* last_ended;       // if there is one
    LeaseWatch* over = nullptr;  // whose leases are
    bool idle = false;           // nothing is left to settle, and somebody wants to know
    // Of latches that were set, if any were: what that means for others.
    struct Latched {
        LatchBoard::Work work;
        Moment moment;       // when they were set, and from when leases count that come of it
        bool exact = false;  // whether that can judge if a wait is over
    };
    std::optional<Latched> latched;

    // Written out: else gcc clears all of it in each call, and that takes longer than the rest.
    Aftermath() noexcept {}

    [[nodiscard]] bool nothing() const noexcept {
        return doomed == nullptr && ended == nullptr && doomed_shared == nullptr && !idle &&
               over == nullptr && !latched;
    }
    // Whether there is something to do that may need the broker after others were woken.
    [[nodiscard]] bool lasts() const noexcept {
        return doomed_shared != nullptr || over != nullptr || latched;
    }
    void doom(Cell<Msg, Platform>& cell) noexcept {
        cell.next_doomed = doomed;
        doomed = &cell;
        ++doomed_count;
    }
    void doom(SharedBody<Msg, Platform>& body) noexcept {
        body.next_doomed = doomed_shared;
        doomed_shared = &body;
    }
    void end(Waiter<Platform>& waiter, Errc ending) noexcept {
        waiter.ending = ending;
        waiter.next = nullptr;
        (ended != nullptr ? last_ended->next : ended) = &waiter;
        last_ended = &waiter;
    }
    void end(LeaseWatch& lease) noexcept { lease.next = std::exchange(over, &lease); }
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
