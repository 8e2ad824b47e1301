// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include "latchbox/detail/queue_shell.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// Sleeps until somebody tells (`Timekeeper::finish`), or until `leave(stopped)` says that it left:
// that is asked when a stop was requested or `sleep.until` has come, exactly. If it did not, the
// news is on its way, and is waited for. `begin_wait` was called.
template <class Broker, class Platform, class Leave>
void sleep_until_told(Broker& broker, Sleep<Platform>& sleep,
                      const typename Platform::StopToken& stop, Instant now,
                      Leave&& leave) noexcept {
    auto& time = broker.time;
    const auto look = [&time, &sleep]() noexcept { time.rouse(sleep); };
    const typename Platform::template StopCallback<decltype(look)> on_stop{stop, look};
    for (bool told = false; !told;) {
        const std::uint64_t moves = time.moves();
        // Once closed the news is on its way, and the clock is not asked any more.
        if (!broker.is_closed()) {
            now = broker.arrive(true).now;
            const bool stopped = stop.stop_requested();
            if (stopped || sleep.until <= now) {
                if (leave(stopped)) { return; }
                sleep.until = Instant::never();
            }
        }
        told = time.lie_down(sleep, now, moves);
    }
}

// One more stands in `line` of `shell`, whose lock is held. A fetch can be served without memory.
template <class Msg, class Platform>
void enter_line(QueueShell<Msg, Platform>& shell, Waiters<Platform>& line,
                Waiter<Platform>& waiter) noexcept LATCHBOX_REQUIRES(shell.mutex) {
    line.push_back(waiter);
    if (&line == &shell.fetchers) { shell.core.promise_histories(1); }
}

// Stands in `line` of `shell`, whose lock is held and which concludes, until served (`Errc{}`),
// late, stopped or closed. Returns without the lock. The moment is exact.
//
// While it stands in line only others change the waiter, under the queue's lock; whoever takes it
// out of line tells it through the timekeeper, and until then it must not go. [4.9]
template <class Msg, class Platform>
Errc wait_in_line(QueueShell<Msg, Platform>& shell, Waiters<Platform>& line,
                  Waiter<Platform>& waiter, const typename Platform::StopToken& stop, Moment moment,
                  Effects& effects) noexcept LATCHBOX_RELEASE(shell.mutex) {
    auto& broker = *shell.broker;
    const bool fetches = &line == &shell.fetchers;
    enter_line(shell, line, waiter);
    broker.time.begin_wait();
    shell.finish(moment, effects);
    sleep_until_told(broker, waiter.sleep, stop, moment.now, [&](bool stopped) noexcept {
        const Moment leaving = shell.enter(true);
        const bool leaves = waiter.in_line;
        if (leaves) {
            if (fetches) {
                shell.end_fetcher(waiter);
            } else {
                line.remove(waiter);
            }
            waiter.ending = stopped ? Errc::cancelled : Errc::timed_out;
        }
        shell.finish(leaving, effects);
        return leaves;
    });
    broker.time.end_wait();
    return waiter.ending;
}

// Looks on at a latch until it is no longer pending: `Errc{}`, and its state; or until late,
// stopped or closed. The latches' lock is held, and the latch by a handle. Returns without it.
template <class Broker, class Platform>
Errc wait_for_latch(Broker& broker, std::uint32_t latch, LatchWaiter<Platform>& waiter,
                    const typename Platform::StopToken& stop, Instant now) noexcept
    LATCHBOX_RELEASE(broker.latches.mutex) {
    Errc ending = Errc{};
    broker.latches.board.look_on(latch, waiter);
    broker.time.begin_wait();
    broker.latches.mutex.unlock();
    sleep_until_told(broker, waiter.sleep, stop, now, [&](bool stopped) noexcept {
        Lock lock{broker.latches.mutex};
        if (waiter.latch == none) { return false; }
        broker.latches.board.look_away(waiter);
        ending = stopped ? Errc::cancelled : Errc::timed_out;
        return true;
    });
    broker.time.end_wait();
    if (ending != Errc{}) { return ending; }
    if (waiter.closed) { return Errc::closed; }
    return waiter.late ? Errc::timed_out : Errc{};
}

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
