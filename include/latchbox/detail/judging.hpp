// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstdint>
#include <utility>
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
    using Broker = BrokerShell<Msg, Platform>;
    using Body = SharedBody<Msg, Platform>;
    using After = Aftermath<Msg, Platform>;

    // Children whose parents have spoken, unless they left meanwhile. Nothing is done here before
    // what is due in this queue earlier. [5.4]
    static void judge(Shell& shell, const LatchBoard::Batch& batch, Moment moment,
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

    // Tells the board of all in the queue whose latches have changed, and messages of topics of
    // copies that died or were redriven; gathers whose watched lease is over. The queue is held.
    static void set_latches(Shell& shell, After& after) noexcept LATCHBOX_UNCHECKED {
        while (shell.core.has_noted()) {
            const QueueCore::Noted noted = shell.core.take_noted();
            if (shell.feed && noted.slot != none) { tell_turned(shell, noted, after); }
            if (noted.watch != nullptr) { after.end(*noted.watch); }
            if (noted.latch == none && noted.left_wait == none) { continue; }
            LatchBoard::Work& work = work_of(after);
            Lock lock{shell.broker->latches.mutex};
            LatchBoard& board = shell.broker->latches.board;
            if (noted.latch != none) { board.set(noted.latch, noted.state, work); }
            if (noted.left_wait != none) { board.leave(noted.left_wait, work); }
        }
    }

    // --- copies of topics' messages; their queue is held -----------------------------------------

    // How it stands with a message; and its latch, made if nobody asked before, unless that is
    // decided or the board has no room. The shelf is held, and the latches. [5.3]
    struct Standing {
        LatchState state;
        std::uint32_t latch = none;
        [[nodiscard]] bool decided() const noexcept { return is_final(state); }
    };
    [[nodiscard]] static Standing standing_of(Broker& broker,
                                              Body& body) noexcept LATCHBOX_UNCHECKED {
        LatchBoard& board = broker.latches.board;
        if (body.latch != none) { return {board.state(body.latch), body.latch}; }
        const Standing now{body.tally.state()};
        if (now.decided() || !board.latches.has_room()) { return now; }
        // It may be decided while one looks.
        const Standing watched{body.tally.watch()};
        if (watched.decided()) { return watched; }
        body.latch = board.make(body.id, watched.state);
        return {watched.state, body.latch};
    }
    // A copy has left, and its message learns how.
    static void tell_left(Shell& shell, Slot slot, After& after) noexcept LATCHBOX_UNCHECKED {
        Record& record = shell.core.records()[slot];
        const Told told = std::exchange(record.told, Told::apart);
        if (told == Told::apart || !shell.holds_bodies) { return; }
        tell_left(*shell.broker, *shell.bodies[slot].shared(), told, record.failed, after);
    }
    static void tell_left(Broker& broker, Body& body, Told told, Cause failed,
                          After& after) noexcept LATCHBOX_UNCHECKED {
        const auto change = body.tally.leave(told, failed != Cause::none);
        if (change.fails) {
            Lock lock{broker.shelf.mutex};
            broker.shelf.issued.remember(TopicNumber::sequence(body.id), failed);
        }
        if (change.watched) { set_latch(broker, body, after); }
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
                    ids.push_back(shell.id_of(slot));
                });
                return ids;
            }
            const std::size_t slot_count = core.slot_count();
            lock.unlock();
            ids.reserve(blocked);
            sorted.make_room(slot_count);
        }
    }

private:
    [[nodiscard]] static LatchBoard::Work& work_of(After& after) noexcept {
        if (!after.latched) { after.latched.emplace(); }
        return after.latched->work;
    }
    // A copy is dead, or pending again.
    static void tell_turned(Shell& shell, const QueueCore::Noted& noted,
                            After& after) noexcept LATCHBOX_UNCHECKED {
        Record& record = shell.core.records()[noted.slot];
        const Told now = noted.state == LatchState::dead ? Told::dead : Told::pending;
        if (record.told == Told::apart || record.told == now || !shell.holds_bodies) { return; }
        Body& body = *shell.bodies[noted.slot].shared();
        const auto change = body.tally.turn(std::exchange(record.told, now), now);
        if (change.watched) { set_latch(*shell.broker, body, after); }
    }
    // By its copies as they are now. Once it is decided nobody looks at the latch any more.
    static void set_latch(Broker& broker, Body& body, After& after) noexcept LATCHBOX_UNCHECKED {
        LatchBoard::Work& work = work_of(after);
        Lock lock{broker.latches.mutex};
        if (body.latch == none) { return; }
        LatchBoard& board = broker.latches.board;
        const LatchState state = body.tally.state();
        const LatchState before = board.latches[body.latch].state;
        if (state == before) { return; }
        // The last dead copy was evicted: others see that as redriven and acked.
        if (before == LatchState::dead && state == LatchState::completed) {
            board.set(body.latch, LatchState::pending, work);
        }
        board.set(is_final(state) ? std::exchange(body.latch, none) : body.latch, state, work);
    }
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
