// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstdint>
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

    static constexpr bool moves_under_lock = Publishing::moves_under_lock;

    AtOnce(Shell& shell, const PublishOptions& options, const StopToken& stop) noexcept
        : shell_{shell}, options_{options}, stop_{stop} {}

    [[nodiscard]] Errc refusal() const noexcept { return shell_.broker->refusal(stop_); }

    // `Source` as there. In line, as a call costs as much as taking the lock.
    template <class Source> [[gnu::always_inline]] Result<MessageId> one(Source& message) {
        if constexpr (moves_under_lock) {
            if (left_out(options_)) [[likely]] {
                if (const Errc refused = refusal(); refused != Errc{}) { return refused; }
                const MessageId id = try_publish(message);
                if (id != MessageId{}) [[likely]] { return id; }
            }
        }
        return Publishing{shell_, options_, stop_}.one(message);
    }

private:
    // `{}` if something is in the way, and then nothing has happened.
    MessageId try_publish(Msg& message) noexcept LATCHBOX_UNCHECKED {
        const Moment moment = shell_.enter();
        QueueCore& core = shell_.core;
        const bool turn = shell_.publishers.empty();  // who waits for room goes first
        const bool ready = turn && !shell_.is_ending() && core.fits(1) && core.has_outcomes(1);
        const Slot slot = ready ? Reserving<Msg, Platform>::take_slot(shell_) : none;
        MessageId id;
        Effects effects;
        if (slot != none) [[likely]] {
            shell_.bodies[slot].construct(std::move(message));
            const std::uint64_t number = core.accept_plain(slot, 0, moment.now, effects);
            id = IdParts::message(shell_.number(), number, slot);
        }
        shell_.finish(moment, effects);
        return id;
    }

    Shell& shell_;
    const PublishOptions& options_;
    const StopToken& stop_;
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
