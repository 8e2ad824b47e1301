// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <utility>

#include "latchbox/detail/judging.hpp"

// What comes of a call on a queue: under its lock, and after it.
namespace latchbox {
inline namespace v0 {
namespace detail {

// --- under the lock ------------------------------------------------------------------------------

template <class Msg, class Platform>
[[gnu::noinline]] void QueueShell<Msg, Platform>::tell_due() noexcept {
    const Due next = core.next_due();
    if (next < told_) { tell(next); }
}

template <class Msg, class Platform>
[[gnu::noinline]] void QueueShell<Msg, Platform>::finish_slowly(Moment moment, Effects& effects,
                                                                Slot own) noexcept {
    After after;
    conclude_slowly(moment, effects, after, own);
    act_on(after);
}

template <class Msg, class Platform>
[[gnu::noinline]] void QueueShell<Msg, Platform>::conclude_slowly(Moment moment, Effects& effects,
                                                                  After& after, Slot own) noexcept {
    if (!effects.gone.empty() || core.has_noted()) { collect(effects, after, own); }
    if (after.latched) { after.latched->moment = moment, after.latched->exact = moment.exact(); }
    if (somebody_waits()) { serve(moment.now, moment.latest(), after); }
    announce();
    tell_if_idle(after);
    mutex.unlock();
}

// Where nobody else sees the body, or has to know, it is the handle's at once; else it goes the way
// of all that leaves.
template <class Msg, class Platform>
void QueueShell<Msg, Platform>::ack(Slot slot, bool by_handle, Effects& effects) noexcept {
    core.complete(slot);
    Cell<Msg, Platform>& cell = bodies[slot];
    const bool alone = by_handle && !core.has_noted() && cell.seen_by_one_handle();
    if (!alone || (feed && !forget_copy(slot, cell))) [[unlikely]] {
        return effects.gone.push_back(core.records(), slot);
    }
    cell.leave_to_handle();
    vacate(slot, true);
}

// One that was acked; if nobody asked for the latch of its message, else nothing happens.
template <class Msg, class Platform>
bool QueueShell<Msg, Platform>::forget_copy(Slot slot, Cell<Msg, Platform>& cell) noexcept {
    Told& told = core.records()[slot].told;
    if (told == Told::pending && !cell.shared()->tally.complete_unwatched()) { return false; }
    told = Told::apart;
    copies.remove(slot);
    return true;
}

template <class Msg, class Platform>
void QueueShell<Msg, Platform>::collect(Effects& effects, After& after, Slot own) noexcept {
    if (core.has_noted()) { Judging<Msg, Platform>::set_latches(*this, after); }
    while (!effects.gone.empty()) {
        const Slot slot = effects.gone.pop_front(core.records());
        if (feed) {
            Judging<Msg, Platform>::tell_left(*this, slot, after);
            copies.remove(slot);
        }
        Cell<Msg, Platform>& cell = bodies[slot];
        if (slot == own && cell.seen_by_one_handle()) {
            cell.leave_to_handle();
        } else if (holds_bodies) {
            drop(cell, after);
        }
        vacate(slot, !cell.vacant());
    }
}

template <class Msg, class Platform>
[[gnu::noinline]] void QueueShell<Msg, Platform>::drop(Cell<Msg, Platform>& cell,
                                                       After& after) noexcept {
    if (!cell.drop()) { return; }
    auto* const shared = cell.shared();
    if (shared == nullptr) {
        after.doom(cell);
        ++lent_;
    } else if (cell.stop_sharing()) {
        after.doom(*shared);
    }
}

template <class Msg, class Platform>
[[gnu::noinline]] void QueueShell<Msg, Platform>::serve(Instant now, Instant lease_from,
                                                        After& after) noexcept {
    while (!fetchers.empty() && core.has_ready()) {
        Waiter<Platform>& waiter = fetchers.front();
        end_fetcher(waiter);
        const bool late = waiter.sleep.until <= now;
        if (!late) { lease(lease_from, waiter.grant); }
        after.end(waiter, late ? Errc::timed_out : Errc{});
    }
    while (!publishers.empty()) {
        Waiter<Platform>& waiter = publishers.front();
        const bool late = waiter.sleep.until <= now;
        if (!late && !core.has_room(waiter.wanted)) { break; }
        publishers.remove(waiter);
        if (!late) { core.promise(waiter.wanted); }
        after.end(waiter, late ? Errc::timed_out : Errc{});
    }
}

template <class Msg, class Platform>
void QueueShell<Msg, Platform>::end_all_waiters(Errc ending, After& after) noexcept {
    while (!fetchers.empty()) {
        Waiter<Platform>& waiter = fetchers.front();
        end_fetcher(waiter);
        after.end(waiter, ending);
    }
    end_publishers(ending, after);
}

template <class Msg, class Platform>
void QueueShell<Msg, Platform>::end_publishers(Errc ending, After& after) noexcept {
    while (!publishers.empty()) {
        Waiter<Platform>& waiter = publishers.front();
        publishers.remove(waiter);
        after.end(waiter, ending);
    }
}

template <class Msg, class Platform>
void QueueShell<Msg, Platform>::end_publishers_of(const void* to, std::string_view value,
                                                  After& after) noexcept {
    for (Waiter<Platform>* waiter = publishers.first(); waiter != nullptr;) {
        Waiter<Platform>& one = *std::exchange(waiter, waiter->next);
        if (one.to != to || one.value != value) { continue; }
        publishers.remove(one);
        after.end(one, look_again);
    }
}

template <class Msg, class Platform>
void QueueShell<Msg, Platform>::end_fetchers_of(const Membership& member, After& after) noexcept {
    for (Waiter<Platform>* waiter = fetchers.first(); waiter != nullptr;) {
        Waiter<Platform>& one = *std::exchange(waiter, waiter->next);
        if (one.member == nullptr || !one.member->belongs_to(member)) { continue; }
        end_fetcher(one);
        after.end(one, Errc::closed);
    }
}

template <class Msg, class Platform> void QueueShell<Msg, Platform>::close(After& after) noexcept {
    Lock lock{mutex};
    end_all_waiters(Errc::closed, after);
    end_leases(after);
    holds_bodies = false;
    for (Slot slot = 0; slot < core.slot_count(); ++slot) {
        if (core.record(slot).state > State::reserved) { drop(bodies[slot], after); }
    }
}

template <class Msg, class Platform>
[[gnu::noinline]] Moment QueueShell<Msg, Platform>::enter_slowly(bool exact) {
    for (;;) {
        if (broker->is_closed()) {
            mutex.lock();
            return {};
        }
        const Moment moment = broker->arrive(exact);
        mutex.lock();
        if (stands_at(moment)) { return moment; }
        if (broker->is_closed()) { return moment; }
        mutex.unlock();
        exact = true;
    }
}

// --- time ----------------------------------------------------------------------------------------

template <class Msg, class Platform>
void QueueShell<Msg, Platform>::let_time_act(const Due& first, const Due& limit, Instant now,
                                             After& after) noexcept {
    Lock lock{mutex};
    Effects effects;
    while (!broker->is_closed()) {
        const Due due = core.next_due();
        if (!(due < limit) && due != first) { break; }
        if (!core.step(Due::last_at(now), effects)) { break; }
        collect(effects, after);
        serve(due.at, now, after);
        // What this means for others comes before anything that is due later.
        if (!after.latched) { continue; }
        after.latched->moment = {due.at, now};
        after.latched->exact = true;
        break;
    }
    static_cast<void>(core.due_earlier());
    ready_sign_.show(core.has_ready());
    if (broker->is_closed()) {
        forget_due();
    } else {
        tell(core.next_due());
    }
    tell_if_idle(after);
}

// --- after the lock ------------------------------------------------------------------------------

template <class Msg, class Platform>
[[gnu::noinline]] void QueueShell<Msg, Platform>::act_on_all(After& after) noexcept {
    // Whoever is woken may destroy every handle; bodies still lent keep the queue.
    const Reference<Shell> kept = after.lasts() ? broker : Reference<Shell>{};
    if (after.idle) { broker->became_idle(*this); }
    auto* cell = after.doomed;
    if (kept) {
        kept->act_on(after);
    } else {
        broker->wake(after);
    }
    if (cell == nullptr) { return; }
    while (cell != nullptr) { std::exchange(cell, cell->next_doomed)->destroy(); }
    give_back(static_cast<std::int64_t>(after.doomed_count));
}

template <class Msg, class Platform>
void QueueShell<Msg, Platform>::destroy(Cell<Msg, Platform>& cell) noexcept {
    auto* const shared = cell.shared();
    if (shared == nullptr) {
        cell.destroy();
    } else if (cell.stop_sharing()) {
        broker->shelf.clear(*shared);
    }
}

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
