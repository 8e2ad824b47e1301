// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "latchbox/detail/queue_shell.hpp"
#include "latchbox/result.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// How deliveries end, by handle or by receipt. None of this allocates or throws. [4.2] [4.11]
template <class Msg, class Platform> class Settling {
public:
    using Shell = QueueShell<Msg, Platform>;

    // Who settles: a lease of a slot, and whether the caller's handle sees the body.
    struct Holder {
        Slot slot;
        std::uint64_t lease;
        std::uint64_t number;
        bool by_handle;
    };
    // Of a receipt that may have come from anywhere.
    [[nodiscard]] static Result<Holder> holder(const Shell& shell,
                                               const Receipt& receipt) noexcept {
        if (IdParts::queue(receipt) != shell.number()) { return Errc::unknown_message; }
        return Holder{IdParts::slot(receipt), IdParts::lease(receipt), IdParts::number(receipt),
                      false};
    }

    // `closed` goes before whatever else is wrong. [7.7]
    [[nodiscard]] static Errc refuse(Shell& shell, Errc why) noexcept {
        Lock lock{shell.mutex};
        return shell.is_closed() ? Errc::closed : why;
    }

    static Result<void> ack(Shell& shell, const Holder& holder) noexcept {
        const auto verb = [&](QueueCore&, Moment, Effects& effects) LATCHBOX_UNCHECKED {
            shell.ack(holder.slot, holder.by_handle, effects);
        };
        return settle(shell, holder, false, verb);
    }
    // All that can be, under one lock; calls `acked(i)` for each. `holder_of(i)` is its holder, or
    // nothing if it is not this queue's to settle.
    template <class HolderOf, class Acked>
    static std::size_t ack_all(Shell& shell, std::size_t count, HolderOf&& holder_of,
                               Acked&& acked) noexcept {
        Effects effects;
        Aftermath<Msg, Platform> after;
        std::size_t done = 0;
        const Moment moment = shell.enter();
        for (std::size_t i = 0; i < count && !shell.is_closed(); ++i) {
            const std::optional<Holder> holder = holder_of(i);
            if (!holder || !holds(shell, *holder, moment)) { continue; }
            const Slot own = holder->by_handle ? holder->slot : none;
            shell.ack(holder->slot, holder->by_handle, effects);
            if (!effects.gone.empty()) { shell.collect(effects, after, own); }
            acked(i);
            ++done;
        }
        shell.conclude(moment, effects, after);
        shell.act_on(after);
        return done;
    }
    static Result<void> release(Shell& shell, const Holder& holder) noexcept {
        return settle(shell, holder, false,
                      [&](QueueCore& core, Moment moment, Effects& effects) {
                          core.release(holder.slot, moment.now, effects);
                      });
    }
    static Result<void> requeue(Shell& shell, const Holder& holder, Duration delay) noexcept {
        if (delay.is_negative()) { return refuse(shell, Errc::invalid_option); }
        const bool timed = delay > Duration{};
        return settle(shell, holder, timed,
                      [&](QueueCore& core, Moment moment, Effects& effects) {
                          core.requeue(holder.slot, delay, moment.now, effects);
                      });
    }
    static Result<void> fail(Shell& shell, const Holder& holder, std::string_view reason) noexcept {
        return settle(shell, holder, true,
                      [&](QueueCore& core, Moment moment, Effects& effects) {
                          core.fail(holder.slot, reason, moment.now, effects);
                      });
    }
    static Result<void> reject(Shell& shell, const Holder& holder,
                               std::string_view reason) noexcept {
        return settle(shell, holder, false, [&](QueueCore& core, Moment, Effects& effects) {
            core.reject(holder.slot, reason, effects);
        });
    }
    static Result<void> extend(Shell& shell, const Holder& holder, Duration length,
                               Instant& deadline) noexcept {
        if (length.is_negative()) { return refuse(shell, Errc::invalid_option); }
        return settle(shell, holder, true, [&](QueueCore& core, Moment moment, Effects&) {
            deadline = core.extend(holder.slot, moment.now + length);
        });
    }
    // Nothing happens if the lease is over or the queue closed; removed queues take it back too.
    static void abandon(Shell& shell, const Holder& holder) noexcept {
        Effects effects;
        const Moment moment = enter(shell, holder, false);
        if (!shell.broker->is_closed() && shell.core.holds(holder.slot, holder.lease)) {
            shell.core.abandon(holder.slot, moment.now, effects);
        }
        shell.finish(moment, effects);
    }
    // As if it had never been handed out.
    static void take_back(Shell& shell, const Holder& holder) noexcept {
        Effects effects;
        const Moment moment = enter(shell, holder, false);
        if (!shell.broker->is_closed() && shell.core.holds(holder.slot, holder.lease)) {
            shell.core.take_back(holder.slot, moment.now, effects);
        }
        shell.finish(moment, effects);
    }
    [[nodiscard]] static bool is_live(Shell& shell, const Holder& holder) noexcept {
        shell.enter();
        const bool live = !shell.is_closed() && shell.core.holds(holder.slot, holder.lease);
        shell.mutex.unlock();
        return live;
    }

private:
    // At a moment that can judge whether the message's time to live is over. [4.3]
    static Moment enter(Shell& shell, const Holder& holder, bool exact) noexcept
        LATCHBOX_ACQUIRE(shell.mutex) {
        const Moment moment = shell.enter(exact);
        const bool doubt = shell.core.holds(holder.slot, holder.lease) &&
                           shell.core.history(holder.slot).expires <= moment.latest() &&
                           !moment.exact();
        if (!doubt) { return moment; }
        shell.mutex.unlock();
        return shell.enter(true);
    }
    // Whether the lease is his, or is again.
    static bool holds(Shell& shell, const Holder& holder, Moment moment) noexcept
        LATCHBOX_REQUIRES(shell.mutex) {
        QueueCore& core = shell.core;
        if (core.holds(holder.slot, holder.lease)) {
            return core.record(holder.slot).number == holder.number;
        }
        return core.hold_late(holder.slot, holder.lease, holder.number, moment.now);
    }
    template <class Verb>
    static Result<void> settle(Shell& shell, const Holder& holder, bool exact,
                               Verb&& verb) noexcept {
        Effects effects;
        const Moment moment = enter(shell, holder, exact);
        Errc refused = Errc{};
        if (shell.is_closed()) {
            refused = Errc::closed;
        } else if (!holds(shell, holder, moment)) {
            const bool issued =
                holder.by_handle || shell.core.granted(holder.slot, holder.lease, holder.number);
            refused = issued ? Errc::lease_lost : Errc::unknown_message;
        }
        if (refused != Errc{}) {
            shell.mutex.unlock();
            return refused;
        }
        verb(shell.core, moment, effects);
        shell.finish(moment, effects, holder.by_handle ? holder.slot : none);
        return {};
    }
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
