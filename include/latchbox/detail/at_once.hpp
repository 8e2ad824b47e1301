// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

#include "latchbox/detail/publishing.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// Publishes one message to a queue: at once, if it asks for nothing and all that it needs is there,
// which is most of the time; else by the long way of `Publishing`.
template <class Msg, class Platform> class AtOnce {
public:
    using Shell = QueueShell<Msg, Platform>;
    using Publishing = detail::Publishing<Msg, Platform>;
    using StopToken = typename Platform::StopToken;

    // `Source` is `Msg`, to be moved from, or `const Msg`, to be copied.
    template <class Source>
    static Result<MessageId> publish(Shell& shell, const PublishOptions& options,
                                     const StopToken& stop, Source& message) {
        if constexpr (!Publishing::moves_under_lock) {
            return Publishing{shell, options, stop}.one(message);
        } else if constexpr (std::is_const_v<Source>) {
            const Errc refused = shell.broker->refusal(stop);
            if (refused != Errc{}) { return refused; }
            Msg copy(message);
            return publish(shell, options, stop, copy);
        } else {
            const Errc refused = shell.broker->refusal(stop);
            if (refused != Errc{}) { return refused; }
            if (left_out(options)) [[likely]] {
                const MessageId id = try_publish(shell, message);
                if (id != MessageId{}) [[likely]] { return id; }
            }
            return Publishing{shell, options, stop}.one(message);
        }
    }

private:
    // `{}` if something is in the way, and then nothing has happened.
    static MessageId try_publish(Shell& shell, Msg& message) noexcept LATCHBOX_UNCHECKED {
        const Moment moment = shell.enter();
        QueueCore& core = shell.core;
        const bool turn = shell.publishers.empty();  // who waits for room goes first
        const bool ready = turn && !shell.is_ending() && core.fits(1) && core.has_outcomes(1);
        const Slot slot = ready ? Reserving<Msg, Platform>::take_slot(shell) : none;
        MessageId id;
        Effects effects;
        if (slot != none) [[likely]] {
            shell.bodies[slot].construct(std::move(message));
            const std::uint64_t number = core.accept_plain(slot, 0, moment.now, effects);
            id = IdParts::message(shell.number(), number, slot);
        }
        shell.finish(moment, effects);
        return id;
    }
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
