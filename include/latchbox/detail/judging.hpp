// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstdint>
#include <vector>

#include "latchbox/detail/by_number.hpp"
#include "latchbox/detail/queue_shell.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// How the messages of a queue and the latch board meet, in both directions: what parents have said
// reaches their children here, and a message gets a latch here.
template <class Msg, class Platform> class Judging {
public:
    using Shell = QueueShell<Msg, Platform>;
    using After = Aftermath<Msg, Platform>;

    // Children whose parents have spoken, unless they left meanwhile. Nothing is done here before
    // what is due in this queue earlier. [5.4]
    static void judge(Shell& shell, const LatchBoard::Batch& batch, const Moment& moment,
                      After& after) noexcept LATCHBOX_UNCHECKED {
        shell.mutex.lock();
        if (shell.broker->is_closed()) { return shell.mutex.unlock(); }
        Effects effects;
        const Instant now = shell.done_until(moment.now);
        {
            Lock lock{shell.broker->latches.mutex};
            for (std::uint32_t i = 0; i < batch.count; ++i) {
                judge_one(shell, batch.children[i], now, effects);
            }
        }
        shell.conclude(moment, effects, after);
    }

    // The latch of a message that is held, made if nobody asked before; `none` if the board has no
    // room. It has a history, or one is free. The queue is held, and the latches.
    [[nodiscard]] static std::uint32_t latch_of(Shell& shell,
                                                Slot slot) noexcept LATCHBOX_UNCHECKED {
        LatchBoard& board = shell.broker->latches.board;
        std::uint32_t latch = shell.core.latch(slot);
        if (latch != none || !board.latches.has_room()) { return latch; }
        const auto id = IdParts::message(shell.number(), shell.core.record(slot).number, slot);
        latch = board.make(id, shell.core.latch_state(slot));
        shell.core.watch(slot, latch);
        return latch;
    }

    // Tells the board of all in the queue whose latches have changed. The queue is held.
    static void set_latches(Shell& shell, After& after) noexcept LATCHBOX_UNCHECKED {
        if (!after.latched) { after.latched.emplace(); }
        LatchBoard::Work& work = after.latched->work;
        Lock lock{shell.broker->latches.mutex};
        LatchBoard& board = shell.broker->latches.board;
        while (shell.core.has_noted()) {
            const QueueCore::Noted noted = shell.core.take_noted();
            if (noted.latch != none) { board.set(noted.latch, noted.state, work); }
            if (noted.left_wait != none) { board.leave(noted.left_wait, work); }
        }
    }

    // Those that are BLOCKED, in publish order. May throw std::bad_alloc.
    [[nodiscard]] static std::vector<MessageId> blocked_messages(Shell& shell) LATCHBOX_UNCHECKED {
        std::vector<MessageId> ids;
        ByNumber sorted;
        for (;;) {
            Lock lock{shell.mutex};
            const QueueCore& core = shell.core;
            const std::size_t blocked = core.in(State::blocked);
            if (blocked <= ids.capacity() && (blocked == 0 || sorted.has_room(core))) {
                sorted.each(core, core.first_blocked(), [&](Slot slot) LATCHBOX_UNCHECKED {
                    ids.push_back(IdParts::message(shell.number(), core.record(slot).number, slot));
                });
                return ids;
            }
            const std::size_t slots = core.slots();
            lock.unlock();
            ids.reserve(blocked);
            sorted.make_room(slots);
        }
    }

private:
    static void judge_one(Shell& shell, const MessageId& child, Instant now,
                          Effects& effects) noexcept LATCHBOX_UNCHECKED {
        const Slot slot = shell.core.find(IdParts::slot(child), IdParts::number(child));
        if (slot == none || shell.core.record(slot).state != State::blocked) { return; }
        LatchBoard& board = shell.broker->latches.board;
        const std::uint32_t wait = shell.core.ties(slot).wait;
        if (wait == none) { return; }
        const Verdict verdict = board.verdict(wait);
        const MessageId parent = verdict == Verdict::die ? board.blame(wait) : MessageId{};
        shell.core.judge(slot, verdict, parent, now, effects);
        if (!board.is_over(wait)) { return; }
        board.end(wait);
        shell.core.forget_parents(slot);
    }
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
