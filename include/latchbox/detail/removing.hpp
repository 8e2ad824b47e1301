// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>
#include <utility>

#include "latchbox/detail/by_number.hpp"
#include "latchbox/detail/judging.hpp"
#include "latchbox/detail/view.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// How messages leave other than by a consumer, and what is done with dead letters.
template <class Msg, class Platform> class Removing {
public:
    using Shell = QueueShell<Msg, Platform>;
    using After = Aftermath<Msg, Platform>;

    static Result<void> cancel(Shell& shell, MessageId id) noexcept {
        return with_message(
            shell, id, [&](QueueCore& core, Slot slot, Moment, Effects& effects, After&) {
                if (core.record(slot).state == State::leased) { return Errc::leased; }
                core.cancel(slot, effects);
                return Errc{};
            });
    }
    static std::size_t purge(Shell& shell) noexcept {
        return count(shell,
                     [&](QueueCore& core, Moment, Effects& e) { return core.purge(e); });
    }
    static std::size_t purge_dead(Shell& shell) noexcept {
        return count(
            shell, [&](QueueCore& core, Moment, Effects& e) { return core.purge_dead(e); });
    }
    static Result<void> redrive(Shell& shell, MessageId id) noexcept {
        return with_message(shell, id,
                            [&](QueueCore& core, Slot slot, Moment moment, Effects&,
                                After& after) LATCHBOX_UNCHECKED {
                                if (core.record(slot).state != State::dead) {
                                    return Errc::unknown_message;
                                }
                                const bool redriven = redrive_one(shell, slot, moment.now, after);
                                return redriven ? Errc{} : Errc::parent_failed;
                            });
    }
    // All whose parents allow it, in the order in which they were published, so that children
    // follow their parents. May throw std::bad_alloc, and then none is redriven.
    static std::size_t redrive_all(Shell& shell) LATCHBOX_UNCHECKED {
        ByNumber sorted;
        for (;;) {
            Effects effects;
            const Moment moment = shell.enter(true);
            if (shell.is_closed()) {
                shell.mutex.unlock();
                return 0;
            }
            if (shell.core.first_dead() != none && !sorted.has_room(shell.core)) {
                const std::size_t slot_count = shell.core.slot_count();
                shell.mutex.unlock();
                sorted.make_room(slot_count);
                continue;
            }
            After after;
            std::size_t redriven = 0;
            sorted.each(shell.core, shell.core.first_dead(), [&](Slot slot) LATCHBOX_UNCHECKED {
                redriven += redrive_one(shell, slot, moment.now, after) ? 1U : 0U;
            });
            shell.conclude(moment, effects, after);
            shell.act_on(after);
            return redriven;
        }
    }

    // --- looking at the dead -----------------------------------------------------------------

    // Calls `room(n)` without the lock until it has room for all, then `take(shell, slot)` for each
    // under the lock, in the order of their deaths.
    template <class Room, class Take>
    static void each_dead(Shell& shell, Room&& room, Take&& take) {
        for (;;) {
            shell.enter();
            const std::size_t dead = shell.is_closed() ? 0 : shell.core.in(State::dead);
            if (!room.has(dead)) {
                shell.mutex.unlock();
                room.make(dead);
                continue;
            }
            for (Slot slot = dead != 0 ? shell.core.first_dead() : none; slot != none;
                 slot = shell.core.next_listed(slot)) {
                shell.lend(slot);
                take(shell, slot);
            }
            shell.mutex.unlock();
            return;
        }
    }
    // A view of the oldest dead letter, or of that with this id, and its number.
    struct Dead {
        View<Msg, Platform> view;
        MessageId id;
    };
    static Result<Dead> look(Shell& shell, const MessageId* id) noexcept {
        shell.enter();
        Errc refused = shell.is_closed() ? Errc::closed : Errc{};
        Slot slot = none;
        if (refused == Errc{}) {
            slot = id == nullptr ? shell.core.first_dead() : find_dead(shell, *id);
            if (slot == none) { refused = id == nullptr ? Errc::empty : Errc::unknown_message; }
        }
        if (refused != Errc{}) {
            shell.mutex.unlock();
            return refused;
        }
        shell.lend(slot);
        Dead found{View<Msg, Platform>{shell, shell.bodies[slot]}, shell.id_of(slot)};
        shell.mutex.unlock();
        return found;
    }
    // The dead letter leaves, seen by the caller's view; `alone` asks that nobody else sees it.
    static Result<void> take(Shell& shell, MessageId id, bool alone) noexcept {
        Effects effects;
        const Moment moment = shell.enter();
        Errc refused = shell.is_closed() ? Errc::closed : Errc{};
        const Slot slot = refused == Errc{} ? find_dead(shell, id) : none;
        if (refused == Errc{} && slot == none) { refused = Errc::unknown_message; }
        if (slot != none && alone && !shell.bodies[slot].body_seen_by_one_handle()) {
            refused = Errc::body_shared;
        }
        if (refused == Errc{}) { shell.core.take_dead(slot, effects); }
        shell.finish(moment, effects, slot);
        if (refused != Errc{}) { return refused; }
        return {};
    }

private:
    // Not if it would be dead on arrival again. [5.6]
    static bool redrive_one(Shell& shell, Slot slot, Instant now, After& after) noexcept
        LATCHBOX_REQUIRES(shell.mutex) {
        const std::uint32_t wait = shell.core.ties(slot).wait;
        Verdict verdict = Verdict::go;
        if (wait != none) {
            Lock lock{shell.broker->latches.mutex};
            verdict = shell.broker->latches.board.verdict_now(wait);
        }
        if (verdict == Verdict::die) { return false; }
        shell.core.redrive(slot, now, verdict == Verdict::wait);
        // Whoever is redriven after it has to see that.
        Judging<Msg, Platform>::set_latches(shell, after);
        return true;
    }
    static Slot find_dead(const Shell& shell, MessageId id) noexcept
        LATCHBOX_REQUIRES(shell.mutex) {
        const Slot slot = shell.find(id);
        return slot != none && shell.core.record(slot).state == State::dead ? slot : none;
    }
    template <class Act>
    static Result<void> with_message(Shell& shell, MessageId id, Act&& act) noexcept {
        Effects effects;
        After after;
        const Moment moment = shell.enter(true);
        Errc refused = Errc::closed;
        if (!shell.is_closed()) {
            const Slot slot = shell.find(id);
            refused = slot == none ? Errc::unknown_message
                                   : act(shell.core, slot, moment, effects, after);
        }
        shell.conclude(moment, effects, after);
        shell.act_on(after);
        if (refused != Errc{}) { return refused; }
        return {};
    }
    template <class Act> static std::size_t count(Shell& shell, Act&& act) noexcept {
        Effects effects;
        const Moment moment = shell.enter(true);
        const std::size_t counted = shell.is_closed() ? 0 : act(shell.core, moment, effects);
        shell.finish(moment, effects);
        return counted;
    }
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
