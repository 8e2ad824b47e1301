// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

#include "latchbox/detail/chunks.hpp"
#include "latchbox/detail/growing.hpp"
#include "latchbox/detail/shared_body.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

template <class Msg, class Platform> struct BodyCell;
template <class Msg, class Platform> struct CopyCell;

// Where one body lives, and who can see it: the queue while it holds the message, and every handle
// it was given to. The last one out destroys it, outside every lock. [4.8] It is the head of a cell
// with a body; or, for a copy of a topic's message, of one that holds what is shared with others.
//
// holders counts one for a body being there, one for the queue, one for each handle. It is 0 only
// when the cell can be used again: after the destructor has returned. Who holds the queue's lock
// and sees no handle counted may change it without an atomic step, as only handles change it
// without the lock.
template <class Msg, class Platform> class Cell {
public:
    using Shared = SharedBody<Msg, Platform>;

    Cell(const Cell&) = delete;
    Cell& operator=(const Cell&) = delete;

    [[nodiscard]] Msg& body() noexcept { return shares_ ? copy().shared->body() : own().body; }
    [[nodiscard]] const Msg& body() const noexcept {
        return shares_ ? copy().shared->body() : own().body;
    }
    // What it shares with other copies, or nullptr.
    [[nodiscard]] Shared* shared() const noexcept { return shares_ ? copy().shared : nullptr; }

    [[nodiscard]] bool vacant() const noexcept {
        return holders_.load(std::memory_order_acquire) == 0;
    }
    // Of a cell with a body.
    template <class From> void construct(From&& from) {
        std::construct_at(std::addressof(own().body), std::forward<From>(from));
        holders_.store(there + one, std::memory_order_relaxed);
    }
    // Of one that shares: takes over one hold.
    void share(Shared& shared) noexcept {
        copy().shared = &shared;
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
    // And nobody else sees the body either, through another copy or by its id.
    [[nodiscard]] bool body_seen_by_one_handle() const noexcept {
        return seen_by_one_handle() && (!shares_ || copy().shared->held_once());
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
    // Under the queue's lock, as a handle has settled it which alone sees the body: it is the
    // handle's from here on, and the queue holds it no more. [4.8]
    void leave_to_handle() noexcept { holders_.store(there + one, std::memory_order_relaxed); }

    // Runs the destructor of `Msg`: never under a lock.
    void destroy() noexcept {
        std::destroy_at(std::addressof(own().body));
        holders_.store(0, std::memory_order_release);
    }
    // Gives up its hold; true if that was the last one of all.
    [[nodiscard]] bool stop_sharing() noexcept {
        Shared* const shared = copy().shared;
        holders_.store(0, std::memory_order_release);
        return shared->drop();
    }

    Cell* next_doomed = nullptr;

private:
    friend struct BodyCell<Msg, Platform>;
    friend struct CopyCell<Msg, Platform>;
    static constexpr std::uint32_t there = 1;
    static constexpr std::uint32_t one = 1;

    explicit Cell(bool shares) noexcept : shares_{shares} {}
    ~Cell() = default;

    [[nodiscard]] auto& own() noexcept { return static_cast<BodyCell<Msg, Platform>&>(*this); }
    [[nodiscard]] auto& own() const noexcept {
        return static_cast<const BodyCell<Msg, Platform>&>(*this);
    }
    [[nodiscard]] auto& copy() noexcept { return static_cast<CopyCell<Msg, Platform>&>(*this); }
    [[nodiscard]] auto& copy() const noexcept {
        return static_cast<const CopyCell<Msg, Platform>&>(*this);
    }

    typename Platform::template Atomic<std::uint32_t> holders_{0};
    const bool shares_;
};

template <class Msg, class Platform> struct BodyCell : Cell<Msg, Platform> {
    BodyCell() noexcept : Cell<Msg, Platform>{false} {}
    ~BodyCell() {}
    union {
        Msg body;
    };
};
template <class Msg, class Platform> struct CopyCell : Cell<Msg, Platform> {
    CopyCell() noexcept : Cell<Msg, Platform>{true} {}
    SharedBody<Msg, Platform>* shared = nullptr;
};

// The cells of one queue, by slot: with bodies, or of copies if topics feed it.
template <class Msg, class Platform> class Bodies {
public:
    struct Chunk {
        typename Chunks<Later<BodyCell<Msg, Platform>>>::Chunk own;
        typename Chunks<Later<CopyCell<Msg, Platform>>>::Chunk copies;
    };

    // 2^first_bits cells to begin with.
    explicit Bodies(bool shares, unsigned first_bits = 4) noexcept
        : shares_{shares}, own_{first_bits}, copies_{first_bits} {}
    Bodies(const Bodies&) = delete;
    Bodies& operator=(const Bodies&) = delete;
    ~Bodies() {
        while (size_ != 0) {
            --size_;
            if (shares_) {
                std::destroy_at(std::addressof(copies_[size_].it));
            } else {
                std::destroy_at(std::addressof(own_[size_].it));
            }
        }
    }

    [[nodiscard]] unsigned next() const noexcept { return shares_ ? copies_.next() : own_.next(); }
    // May throw std::bad_alloc; needs no lock.
    [[nodiscard]] Chunk make(unsigned index) const {
        Chunk chunk;
        if (shares_) {
            chunk.copies = copies_.make(index);
        } else {
            chunk.own = own_.make(index);
        }
        return chunk;
    }
    void adopt(Chunk& chunk) noexcept {
        own_.adopt(chunk.own);
        copies_.adopt(chunk.copies);
    }
    // The cell of the next slot that was never used. There is a chunk for it.
    void add() noexcept {
        if (shares_) {
            std::construct_at(std::addressof(copies_[size_].it));
        } else {
            std::construct_at(std::addressof(own_[size_].it));
        }
        ++size_;
    }
    [[nodiscard, gnu::always_inline]] Cell<Msg, Platform>& operator[](Slot at) noexcept {
        if (shares_) { return copies_[at].it; }
        return own_[at].it;
    }
    [[nodiscard]] const Cell<Msg, Platform>& operator[](Slot at) const noexcept {
        if (shares_) { return copies_[at].it; }
        return own_[at].it;
    }

private:
    const bool shares_;
    Chunks<Later<BodyCell<Msg, Platform>>> own_;
    Chunks<Later<CopyCell<Msg, Platform>>> copies_;
    Slot size_ = 0;  // cells that were made
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
