// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include "latchbox/detail/queue_shell.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// Stands in `line` of `shell`, whose lock is held and which concludes, until served (`Errc{}`),
// late, stopped or closed. Returns without the lock. The moment is exact.
//
// While it stands in line only others change the waiter, under the queue's lock; whoever takes it
// out of line tells it through the timekeeper, and until then it must not go. [4.9]
template <class Msg, class Platform>
Errc wait_in_line(QueueShell<Msg, Platform>& shell, Waiters<Platform>& line,
                  Waiter<Platform>& waiter, const typename Platform::StopToken& stop,
                  const Moment& moment, Effects& effects) noexcept LATCHBOX_RELEASE(shell.mutex) {
    auto& broker = *shell.broker;
    auto& time = broker.time;
    const bool fetches = &line == &shell.fetchers;
    line.push_back(waiter);
    if (fetches) { shell.core.promise_histories(1); }
    time.begin_wait();
    shell.finish(moment, effects);
    {
        const auto look = [&time, &waiter]() noexcept { time.rouse(waiter.sleep); };
        const typename Platform::template StopCallback<decltype(look)> on_stop{stop, look};
        Instant now = moment.now;
        for (bool told = false; !told;) {
            const std::uint64_t moves = time.moves();
            // Once closed the news is on its way, and the clock is not asked any more.
            if (!broker.is_closed()) {
                now = broker.arrive(true).now;
                const bool stopped = stop.stop_requested();
                if (stopped || waiter.sleep.until <= now) {
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
                    if (leaves) { break; }
                    waiter.sleep.until = Instant::never();  // ended by another, who will tell
                }
            }
            told = time.lie_down(waiter.sleep, now, moves);
        }
    }
    time.end_wait();
    return waiter.ending;
}

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
