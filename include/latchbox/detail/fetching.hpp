// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "latchbox/detail/queue_shell.hpp"
#include "latchbox/detail/view.hpp"
#include "latchbox/detail/waiting.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// How deliveries get out of a queue.
template <class Msg, class Platform> class Fetching {
public:
    using Shell = QueueShell<Msg, Platform>;
    using StopToken = typename Platform::StopToken;
    using Member = Membership<Platform>;

    // How long to wait for the first message: not at all, up to some time, or for ever.
    struct Patience {
        bool waits = false;
        bool timed = false;
        Duration length = {};
        bool lingers = false;  // before it sleeps
    };

    // Up to `max` leases, one lock: the first may be waited for. `room(n)` makes room for n more
    // deliveries, or says that there is; it runs without the lock and may throw. `take(shell, cell,
    // grant)` is given each lease, under the lock.
    // `member`: by which handle of a subscription, if it is one.
    template <class Room, class Take>
    static Errc some(Shell& shell, const Member* member, std::size_t max, const Patience& patience,
                     const StopToken& stop, Room&& room, Take&& take) {
        return some_or(shell, member, max, patience, stop, room, take,
                       [&](Instant until, Moment moment, Effects& effects) LATCHBOX_UNCHECKED {
                           Waiter<Platform> waiter;
                           waiter.member = member;
                           waiter.sleep.until = until;
                           return wait(shell, waiter, stop, moment, effects, take);
                       });
    }
    // Where there is nothing yet, calls `wait(until, moment, effects)`, which lets go of the lock.
    template <class Room, class Take, class Wait>
    static Errc some_or(Shell& shell, const Member* member, std::size_t max,
                        const Patience& patience, const StopToken& stop, Room&& room, Take&& take,
                        Wait&& wait) LATCHBOX_UNCHECKED {
        if (stop.stop_requested()) { return Errc::cancelled; }
        const bool exact = patience.timed || shell.short_leases();
        const Moment moment = shell.enter(exact);
        // Most calls end so: with one that is there, and nothing in its way. Just what
        // `some_slowly` would do at its first look.
        if (max == 1 && shell.core.has_ready() && !shell.core.of_histories(1) && room.has(1) &&
            refusal(shell, member, patience) == Errc{}) [[likely]] {
            Grant grant;
            auto& cell = shell.lease(moment.latest(), grant);
            take(shell, cell, grant);
            Effects effects;
            shell.finish(moment, effects);
            return Errc{};
        }
        return some_slowly(shell, member, max, patience, stop, room, take, wait, exact, moment);
    }

    // Of all who fetch for somebody who has left.
    static void end(Shell& shell, const Member& member) noexcept {
        Effects effects;
        Aftermath<Msg, Platform> after;
        const Moment moment = shell.enter();
        shell.end_fetchers_of(member, after);
        shell.conclude(moment, effects, after);
        shell.act_on(after);
    }

    // For a single one.
    struct NoRoom {
        static constexpr bool has(std::size_t) noexcept { return true; }
        static constexpr void make(std::size_t) noexcept {}
    };

private:
    // The same, whatever is in the way; under the lock, which was taken at `moment`.
    template <class Room, class Take, class Wait>
    [[gnu::noinline]] static Errc some_slowly(Shell& shell, const Member* member, std::size_t max,
                                              const Patience& patience, const StopToken& stop,
                                              Room& room, Take& take, Wait& wait, bool exact,
                                              Moment moment) LATCHBOX_UNCHECKED {
        std::optional<Instant> until;
        Effects effects;
        int spins = patience.lingers ? shell.broker->spins : 0;
        bool lingered = false;
        for (;; moment = shell.enter(exact)) {
            const Errc refused = refusal(shell, member, patience);
            if (refused != Errc{} || max == 0) {
                shell.mutex.unlock();
                return refused;
            }
            if (!until && patience.timed) { until = moment.now + patience.length; }
            const bool over = until && *until <= moment.now;
            if (lingered && (over || stop.stop_requested())) {
                shell.mutex.unlock();
                return stop.stop_requested() ? Errc::cancelled : Errc::timed_out;
            }
            const std::size_t ready = shell.core.in(State::ready);
            const std::size_t count = ready < max ? ready : max;
            if (const auto lacking = shell.core.of_histories(count == 0 ? 1 : count)) {
                shell.grow(lacking);
                continue;
            }
            if (count != 0) {
                if (!room.has(count)) {
                    shell.mutex.unlock();
                    room.make(count);
                    continue;
                }
                for (std::size_t i = 0; i < count; ++i) {
                    Grant grant;
                    auto& cell = shell.lease(moment.latest(), grant);
                    take(shell, cell, grant);
                }
                shell.finish(moment, effects);
                return Errc{};
            }
            if (!patience.waits || over) {
                shell.mutex.unlock();
                return over ? Errc::timed_out : Errc::empty;
            }
            if (!room.has(1)) {
                shell.mutex.unlock();
                room.make(1);
                continue;
            }
            if (shell.linger(spins)) {
                lingered = true;
                continue;
            }
            return wait(until.value_or(Instant::never()), moment, effects);
        }
    }
    static Errc refusal(const Shell& shell, const Member* member, const Patience& patience) noexcept
        LATCHBOX_REQUIRES(shell.mutex) {
        if (shell.is_closed() || (member != nullptr && member->has_left())) { return Errc::closed; }
        return patience.length.is_negative() ? Errc::invalid_option : Errc{};
    }
    // Cells never move, and this one is lent.
    static auto& lent(Shell& shell, const Grant& grant) noexcept LATCHBOX_UNCHECKED {
        return shell.bodies[grant.slot];
    }
    template <class Take>
    static Errc wait(Shell& shell, Waiter<Platform>& waiter, const StopToken& stop, Moment moment,
                     Effects& effects, Take& take) LATCHBOX_RELEASE(shell.mutex) {
        if constexpr (Platform::can_wait) {
            const Errc ended = wait_in_line(shell, shell.fetchers, waiter, stop, moment, effects);
            if (ended == Errc{}) { take(shell, lent(shell, waiter.grant), waiter.grant); }
            return ended;
        } else {
            shell.mutex.unlock();
            return Errc::timed_out;
        }
    }
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
