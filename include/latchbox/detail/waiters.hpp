// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>
#include <string_view>

#include "latchbox/detail/ensure.hpp"
#include "latchbox/detail/feed.hpp"
#include "latchbox/detail/record.hpp"
#include "latchbox/detail/timekeeper.hpp"
#include "latchbox/errc.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// What was waited for may have become something else: the call has to look. No error that users
// know.
inline constexpr Errc look_again = static_cast<Errc>(0xff);

// A lease as it was granted.
struct Grant {
    Slot slot = none;
    std::uint32_t attempts = 0;
    std::uint32_t failures = 0;
    std::uint64_t number = 0;
    std::uint64_t lease = 0;
    Instant deadline;
};

// One call that waits at a queue: for a message, or for room. Lives on the stack of its thread, if
// it has one.
// Guarded by the queue's mutex while it stands in line; its own once it was told the end.
template <class Platform> struct Waiter {
    Sleep<Platform> sleep;
    void (*told)(Waiter&) noexcept = nullptr;      // instead of a thread that sleeps
    const Membership<Platform>* member = nullptr;  // by which handle of a subscription it fetches
    std::size_t wanted = 1;                        // places, of a publisher
    const void* to = nullptr;                      // the queue or topic he publishes to
    std::string_view value = {};                   // with this `dedup` value
    bool in_line = false;
    Errc ending = Errc{};  // how it ended; none: it was served
    Grant grant;           // what was leased to it
    Waiter* next = nullptr;
    Waiter* previous = nullptr;
};

// First come, first served. [4.9]
template <class Platform> class Waiters {
public:
    [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }
    [[nodiscard]] Waiter<Platform>& front() noexcept { return *first_; }
    // Through Waiter::next.
    [[nodiscard]] Waiter<Platform>* first() noexcept { return first_; }
    // How many of them wait up to some instant.
    [[nodiscard]] std::size_t timed() const noexcept { return timed_; }

    void push_back(Waiter<Platform>& waiter) noexcept {
        waiter.in_line = true;
        waiter.next = nullptr;
        waiter.previous = last_;
        (last_ != nullptr ? last_->next : first_) = &waiter;
        last_ = &waiter;
        timed_ += waiter.sleep.until.is_never() ? 0U : 1U;
    }
    void remove(Waiter<Platform>& waiter) noexcept {
        ensure(waiter.in_line, "a waiter who is not in line");
        waiter.in_line = false;
        (waiter.next != nullptr ? waiter.next->previous : last_) = waiter.previous;
        (waiter.previous != nullptr ? waiter.previous->next : first_) = waiter.next;
        timed_ -= waiter.sleep.until.is_never() ? 0U : 1U;
    }

private:
    Waiter<Platform>* first_ = nullptr;
    Waiter<Platform>* last_ = nullptr;
    std::size_t timed_ = 0;
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
