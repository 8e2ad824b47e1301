// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "latchbox/detail/publishing.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// Publishes to a queue: at once, if nothing is asked for and all that is needed is there, which is
// most of the time; else by the long way of `Publishing`.
template <class Msg, class Platform> class AtOnce {
public:
    using Shell = QueueShell<Msg, Platform>;
    using Publishing = detail::Publishing<Msg, Platform>;
    using Reserving = detail::Reserving<Msg, Platform>;
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
                const MessageId id = try_one(message);
                if (id != MessageId{}) [[likely]] { return id; }
            }
        }
        return Publishing{shell_, options_, stop_}.one(message);
    }
    Result<std::vector<MessageId>> all(std::span<Msg> messages) {
        if constexpr (moves_under_lock) {
            if (left_out(options_)) {
                if (const Errc refused = refusal(); refused != Errc{}) { return refused; }
                std::vector<MessageId> ids(messages.size());
                if (try_all(messages, ids.data())) { return ids; }
            }
        }
        return Publishing{shell_, options_, stop_}.all(messages);
    }

private:
    // `{}` if something is in the way, and then nothing has happened.
    MessageId try_one(Msg& message) noexcept LATCHBOX_UNCHECKED {
        const Moment moment = shell_.enter();
        const Slot slot = is_ready(1) ? Reserving::take_slot(shell_) : none;
        Effects effects;
        MessageId id;
        if (slot != none) [[likely]] { id = accept(slot, message, moment, effects); }
        shell_.finish(moment, effects);
        return id;
    }
    // False if something is in the way, and then nothing has happened.
    bool try_all(std::span<Msg> messages, MessageId* ids) noexcept LATCHBOX_UNCHECKED {
        const Moment moment = shell_.enter();
        bool ready = is_ready(messages.size());
        std::size_t taken = 0;
        while (ready && taken != messages.size()) {
            const Slot slot = Reserving::take_slot(shell_);
            ready = slot != none;
            if (ready) { ids[taken++] = IdParts::message(0, 0, slot); }
        }
        Effects effects;
        for (std::size_t i = 0; i < taken; ++i) {
            const Slot slot = IdParts::slot(ids[i]);
            if (ready) {
                ids[i] = accept(slot, messages[i], moment, effects);
            } else {
                shell_.core.withdraw(slot);
            }
        }
        shell_.finish(moment, effects);
        return ready;
    }
    // Whether nothing is in the way of `count` messages, but slots may be lacking.
    [[nodiscard]] bool is_ready(std::size_t count) const noexcept LATCHBOX_UNCHECKED {
        const QueueCore& core = shell_.core;
        const bool turn = shell_.publishers.empty();  // who waits for room goes first
        return turn && !shell_.is_ending() && core.fits(count) && core.has_outcomes(count);
    }
    [[gnu::always_inline]] MessageId accept(Slot slot, Msg& message, Moment moment,
                                            Effects& effects) noexcept LATCHBOX_UNCHECKED {
        shell_.bodies[slot].construct(std::move(message));
        const std::uint64_t number = shell_.core.accept_plain(slot, 0, moment.now, effects);
        return IdParts::message(shell_.number(), number, slot);
    }

    Shell& shell_;
    const PublishOptions& options_;
    const StopToken& stop_;
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
