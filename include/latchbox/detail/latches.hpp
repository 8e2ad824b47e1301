// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstdint>

#include "latchbox/detail/issued.hpp"
#include "latchbox/detail/latch_changes.hpp"
#include "latchbox/detail/lock.hpp"
#include "latchbox/detail/timekeeper.hpp"
#include "latchbox/errc.hpp"
#include "latchbox/stats.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// One thread that waits for a latch. Guarded by the latches' mutex while it looks on; its own once
// it was told.
template <class Platform> struct LatchWaiter : Onlooker {
    Sleep<Platform> sleep;
    void (*told)(LatchWaiter&) noexcept = nullptr;  // instead of a thread that sleeps
    Instant until = Instant::never();
    bool late = false;  // that had come before
};

// The latches of one broker: its gates, its board, and the mutex of both. The mutex comes after
// those of queues: whoever changes a message sets its latch before he lets go of the queue.
template <class Platform> class Latches {
public:
    explicit Latches(std::uint32_t gate_issuer) noexcept : issuer{gate_issuer} {}

    // Makes room in one pool of the board, without the lock. May throw std::bad_alloc.
    template <class T> void grow(Pool<T> LatchBoard::*pool) LATCHBOX_UNCHECKED {
        unsigned next = 0;
        {
            Lock lock{mutex};
            next = (board.*pool).next_chunk();
        }
        auto chunk = (board.*pool).make(next);
        Lock lock{mutex};
        (board.*pool).adopt(chunk);
    }

    // Nothing is decided any more. Returns who is to be told.
    [[nodiscard]] LatchBoard::Work close() noexcept {
        LatchBoard::Work work;
        Lock lock{mutex};
        board.close(work);
        return work;
    }
    void count(BrokerStats& stats) noexcept {
        Lock lock{mutex};
        stats.gates = board.gates.in_use();
        stats.latches = board.latches.in_use();
        stats.edges = board.edges.in_use();
    }

    // --- gates -------------------------------------------------------------------------------

    // A gate with one handle. May throw std::bad_alloc.
    [[nodiscard]] MessageId make_gate(std::uint32_t count) {
        Issued::Room room;
        for (;;) {
            Lock lock{mutex};
            gates_issued.adopt(room);
            const std::size_t held = board.gates.in_use() + 1;
            if (!board.latches.has_room()) {
                lock.unlock();
                grow(&LatchBoard::latches);
            } else if (!board.gates.has_room()) {
                lock.unlock();
                grow(&LatchBoard::gates);
            } else if (!gates_issued.has_room(held)) {
                const std::size_t wanted = gates_issued.wanted(2 * held + 16);
                lock.unlock();
                room = Issued::make(wanted);
            } else {
                return board.make_gate(issuer, gates_issued.draw(), count);
            }
        }
    }
    void hold_gate(const MessageId& id) noexcept {
        Lock lock{mutex};
        board.hold_gate(board.find_gate(id));
    }
    // One handle less, unless it is the last: then false, and nothing has happened.
    bool let_go_of_one_of_many(const MessageId& id) noexcept {
        Lock lock{mutex};
        return board.let_go_of_one_of_many(board.find_gate(id));
    }
    // The last handle. True if that made it fail.
    bool let_go_of_gate(const MessageId& id, LatchBoard::Work& work) noexcept {
        Lock lock{mutex};
        return note_failure(id, board.let_go_of_gate(board.find_gate(id), work), Cause::abandoned);
    }
    // Both false once closed: it has no effect any more.
    bool count_down(const MessageId& id, std::uint32_t by, LatchBoard::Work& work) noexcept {
        Lock lock{mutex};
        board.count_down(board.find_gate(id), by, work);
        return !board.is_closed();
    }
    bool fail_gate(const MessageId& id, const Reason& reason, LatchBoard::Work& work) noexcept {
        Lock lock{mutex};
        note_failure(id, board.fail_gate(board.find_gate(id), reason, work), Cause::failed);
        return !board.is_closed();
    }

    const std::uint32_t issuer;  // of gates
    typename Platform::Mutex mutex;
    LatchBoard board LATCHBOX_GUARDED_BY(mutex);
    Issued gates_issued LATCHBOX_GUARDED_BY(mutex){QueueOptions{}.outcome_memory};

private:
    bool note_failure(const MessageId& id, bool failed, Cause cause) noexcept
        LATCHBOX_REQUIRES(mutex) {
        if (failed) { gates_issued.remember(IdParts::number(id), cause); }
        return failed;
    }
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
