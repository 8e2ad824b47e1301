// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <optional>
#include <utility>

#include "latchbox/detail/broker_shell.hpp"
#include "latchbox/detail/waiting.hpp"
#include "latchbox/result.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// How somebody asks for a latch, and waits for it. [5.8]
template <class Msg, class Platform> class Asking {
public:
    using Shell = QueueShell<Msg, Platform>;
    using Broker = BrokerShell<Msg, Platform>;

    // A latch that is held on the board; or none, where the answer cannot change any more.
    struct Asked {
        Reference<Broker> broker;
        MessageId id;
        std::uint32_t latch = none;
        std::optional<LatchState> state = {};  // none: nobody knows

        [[nodiscard]] Result<LatchState> answer() const noexcept {
            if (!state) { return Errc::unknown_message; }
            return *state;
        }
        void hold() const noexcept {
            if (latch == none) { return; }
            Lock lock{broker->latches.mutex};
            broker->latches.board.hold(latch);
        }
        void let_go() const noexcept {
            if (latch == none) { return; }
            Lock lock{broker->latches.mutex};
            broker->latches.board.let_go(latch);
        }
    };

    // Makes the latch of a message that is held. May throw std::bad_alloc.
    [[nodiscard]] static Asked ask(Broker& broker, const MessageId& id) {
        Asked asked{Reference<Broker>::to(broker), id, none, std::nullopt};
        if (IdParts::issuer(id) == broker.latches.issuer) {
            ask_for_gate(asked);
            return asked;
        }
        if (IdParts::issuer(id) == broker.shelf.issuer) {
            while (!try_ask_topics(broker, asked)) { broker.latches.grow(&LatchBoard::latches); }
            return asked;
        }
        for (;;) {
            if (!broker.is_closed()) { broker.arrive(false); }
            const Reference<Shell> queue = broker.find_issuer(id);
            if (!queue) {
                asked.state = state_of(broker.past(id));
                return asked;
            }
            if (try_ask(broker, *queue, asked)) { return asked; }
        }
    }

    [[nodiscard]] static Result<LatchState> state(const Asked& asked) noexcept {
        if (!asked.broker->is_closed()) { asked.broker->arrive(true); }
        if (asked.latch == none) { return asked.answer(); }
        Lock lock{asked.broker->latches.mutex};
        return asked.broker->latches.board.state(asked.latch);
    }

    [[nodiscard]] static Result<LatchState> wait(
        const Asked& asked, std::optional<Duration> length,
        const typename Platform::StopToken& stop) noexcept {
        LatchWaiter<Platform> waiter;
        const auto answer =
            look(asked, length, stop, [&](Instant until, Instant now) LATCHBOX_UNCHECKED {
                waiter.until = waiter.sleep.until = until;
                return wait_for_latch(*asked.broker, asked.latch, waiter, stop, now);
            });
        if (answer != look_again) { return answer; }
        return waiter.state;
    }
    // The answer, if it is there. Where the latch is pending, calls `wait(until, now)`, which lets
    // go of the latches' lock; if that has no error, `look_again`.
    template <class Wait>
    [[nodiscard]] static Result<LatchState> look(const Asked& asked, std::optional<Duration> length,
                                                 const typename Platform::StopToken& stop,
                                                 Wait&& wait) noexcept LATCHBOX_UNCHECKED {
        Broker& broker = *asked.broker;
        if (stop.stop_requested()) { return Errc::cancelled; }
        if (broker.is_closed()) { return Errc::closed; }
        if (length && length->is_negative()) { return Errc::invalid_option; }
        if (asked.latch == none) { return asked.answer(); }
        const Instant now = broker.arrive(true).now;
        broker.latches.mutex.lock();
        const LatchState state = broker.latches.board.state(asked.latch);
        if (state != LatchState::pending || broker.is_closed()) {
            broker.latches.mutex.unlock();
            if (broker.is_closed()) { return Errc::closed; }
            return state;
        }
        if (length && *length <= Duration{}) {
            broker.latches.mutex.unlock();
            return Errc::timed_out;
        }
        const Errc ended = wait(length ? now + *length : Instant::never(), now);
        return ended != Errc{} ? ended : look_again;
    }

private:
    // False if memory had to be made first, and one has to look again.
    static bool try_ask(Broker& broker, Shell& queue, Asked& asked) LATCHBOX_UNCHECKED {
        queue.mutex.lock();
        const std::uint64_t number = IdParts::number(asked.id);
        const Slot slot = queue.core.find(IdParts::slot(asked.id), number);
        if (slot == none) {
            asked.state = state_of(broker.past(queue, asked.id));
            return true;
        }
        if (broker.is_closed()) {
            queue.mutex.unlock();
            asked.state = LatchState::failed;
            return true;
        }
        if (const auto lacking = queue.core.of_history(slot)) {
            queue.grow(lacking);
            return false;
        }
        {
            Lock lock{broker.latches.mutex};
            asked.latch = Judging<Msg, Platform>::latch_of(queue, slot);
            if (asked.latch != none) { broker.latches.board.hold(asked.latch); }
        }
        queue.mutex.unlock();
        if (asked.latch == none) { broker.latches.grow(&LatchBoard::latches); }
        return asked.latch != none;
    }
    // The same of a topic's message. [5.3]
    static bool try_ask_topics(Broker& broker, Asked& asked) noexcept LATCHBOX_UNCHECKED {
        if (!broker.is_closed()) { broker.arrive(false); }
        Lock shelf{broker.shelf.mutex};
        auto* const body = broker.shelf.find(asked.id);
        if (body == nullptr) {
            asked.state = state_of(broker.shelf.past(asked.id));
            return true;
        }
        Lock lock{broker.latches.mutex};
        if (broker.is_closed()) {
            const bool completed = body->tally.state() == LatchState::completed;
            asked.state = completed ? LatchState::completed : LatchState::failed;
            return true;
        }
        const auto standing = Judging<Msg, Platform>::standing_of(broker, *body);
        if (standing.decided()) { asked.state = standing.state; }
        asked.latch = standing.latch;
        if (asked.latch != none) { broker.latches.board.hold(asked.latch); }
        return asked.latch != none || standing.decided();
    }
    static std::optional<LatchState> state_of(const Issued::Past& past) noexcept {
        if (past.state == MessageState::completed) { return LatchState::completed; }
        if (past.state == MessageState::failed) { return LatchState::failed; }
        return std::nullopt;
    }
    static void ask_for_gate(Asked& asked) noexcept {
        auto& latches = asked.broker->latches;
        Lock lock{latches.mutex};
        asked.latch = latches.board.find_gate(asked.id);
        if (asked.latch != none) { return latches.board.hold(asked.latch); }
        asked.state = state_of(latches.gates_issued.past(IdParts::number(asked.id)));
    }
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
