// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

#include "latchbox/detail/chunks.hpp"
#include "latchbox/detail/record.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// Where one body lives, and who can see it: the queue while it holds the message, and every handle
// it was given to. The last one out destroys it, outside every lock. [4.8]
//
// holders counts one for a body being there, one for the queue, one for each handle. It is 0 only
// when the cell can be used again: after the destructor has returned. Who holds the queue's lock
// and sees no handle counted may change it without an atomic step, as only handles change it
// without the lock.
template <class Msg, class Platform> class Cell {
public:
    Cell() noexcept {}
    ~Cell() {}
    Cell(const Cell&) = delete;
    Cell& operator=(const Cell&) = delete;

    [[nodiscard]] Msg& body() noexcept { return body_; }
    [[nodiscard]] const Msg& body() const noexcept { return body_; }

    [[nodiscard]] bool vacant() const noexcept {
        return holders_.load(std::memory_order_acquire) == 0;
    }
    template <class From> void construct(From&& from) {
        std::construct_at(std::addressof(body_), std::forward<From>(from));
        holders_.store(there + one, std::memory_order_relaxed);
    }
    // Only one still holds it: the queue, or the last handle.
    [[nodiscard]] bool seen_by_one() const noexcept {
        return holders_.load(std::memory_order_acquire) == there + one;
    }
    // The queue holds it, and one handle.
    [[nodiscard]] bool seen_by_one_handle() const noexcept {
        return holders_.load(std::memory_order_acquire) == there + 2 * one;
    }

    // Under the queue's lock: one more handle.
    void show() noexcept {
        // Acquires what the handles before it did: the plain store ends their release sequence.
        if (holders_.load(std::memory_order_acquire) == there + one) {
            holders_.store(there + 2 * one, std::memory_order_relaxed);
        } else {
            holders_.fetch_add(one, std::memory_order_relaxed);
        }
    }
    // Somebody holds it no more; true if he was the last and has to `destroy`.
    [[nodiscard]] bool drop() noexcept {
        if (seen_by_one()) { return true; }
        return holders_.fetch_sub(one, std::memory_order_acq_rel) == there + one;
    }
    // Under the queue's lock, by the one handle that sees it: the queue holds it no more.
    void keep_alone() noexcept { holders_.store(there + one, std::memory_order_relaxed); }

    // Runs the destructor of `Msg`: never under a lock.
    void destroy() noexcept {
        std::destroy_at(std::addressof(body_));
        holders_.store(0, std::memory_order_release);
    }

    Cell* next_doomed = nullptr;

private:
    static constexpr std::uint32_t there = 1;
    static constexpr std::uint32_t one = 1;

    typename Platform::template Atomic<std::uint32_t> holders_{0};
    union {
        Msg body_;
    };
};

// The bodies of one queue, by slot.
template <class Msg, class Platform> using Bodies = Chunks<Cell<Msg, Platform>>;

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
