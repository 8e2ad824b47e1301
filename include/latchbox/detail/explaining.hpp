// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <string>
#include <vector>

#include "latchbox/detail/broker_shell.hpp"
#include "latchbox/explanation.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// Where a message is, and why. [5.9]
template <class Msg, class Platform> class Explaining {
public:
    using Shell = QueueShell<Msg, Platform>;
    using Broker = BrokerShell<Msg, Platform>;

    // Of any id there may be. May throw std::bad_alloc.
    [[nodiscard]] static Explanation explain(Broker& broker,
                                             const MessageId& id) LATCHBOX_UNCHECKED {
        if (!broker.is_closed()) { broker.arrive(true); }
        Explanation said;
        said.id = id;
        if (IdParts::issuer(id) == broker.latches.issuer) {
            explain_gate(broker, said);
            return said;
        }
        const Reference<Shell> queue = broker.find(IdParts::issuer(id));
        if (!queue) {
            tell_past(said, broker.past(id));
            return said;
        }
        said.queue = queue->name();
        // Memory is made without the lock, then one looks again.
        for (;;) {
            queue->mutex.lock();
            const Slot slot = queue->core.find(IdParts::slot(id), IdParts::number(id));
            if (slot == none) {
                tell_past(said, broker.past(*queue, id));
                if (said.state == MessageState::never_issued) { said.queue.clear(); }
                return said;
            }
            std::size_t parents = 0;
            std::size_t key = 0;
            measure(*queue, slot, parents, key);
            if (parents <= said.parents.capacity() && key <= said.key.capacity()) {
                tell_held(*queue, slot, said);
                queue->mutex.unlock();
                return said;
            }
            queue->mutex.unlock();
            said.parents.reserve(parents);
            said.key.reserve(key);
        }
    }

private:
    static void tell_past(Explanation& said, const Issued::Past& past) noexcept {
        said.state = past.state;
        said.reason = Reason{past.cause};
    }
    static void explain_gate(Broker& broker, Explanation& said) noexcept LATCHBOX_UNCHECKED {
        Lock lock{broker.latches.mutex};
        const LatchBoard& board = broker.latches.board;
        const std::uint32_t gate = board.find_gate(said.id);
        if (gate == none) {
            return tell_past(said, broker.latches.gates_issued.past(IdParts::number(said.id)));
        }
        switch (board.latches[gate].state) {
            case LatchState::pending: said.state = MessageState::shut; break;
            case LatchState::completed: said.state = MessageState::completed; break;
            case LatchState::dead:
            case LatchState::failed: said.state = MessageState::failed; break;
        }
        if (said.state == MessageState::shut) { said.count = board.gate(gate).count; }
        said.reason = board.gate(gate).reason;
    }
    // The queue is held here and below. How much memory telling will take.
    static void measure(Shell& shell, Slot slot, std::size_t& parents,
                        std::size_t& key) noexcept LATCHBOX_UNCHECKED {
        if (!shell.core.has_history(slot)) { return; }
        const Ties& ties = shell.core.ties(slot);
        if (ties.line != none) { key = shell.core.key(slot).size(); }
        if (ties.wait == none) { return; }
        Lock lock{shell.broker->latches.mutex};
        parents = shell.broker->latches.board.parents(ties.wait);
    }
    static void tell_held(Shell& shell, Slot slot, Explanation& said) noexcept LATCHBOX_UNCHECKED {
        const QueueCore& core = shell.core;
        switch (core.record(slot).state) {
            case State::blocked: said.state = MessageState::blocked; break;
            case State::delayed: said.state = MessageState::delayed; break;
            case State::ready: said.state = MessageState::ready; break;
            case State::leased: said.state = MessageState::leased; break;
            default: said.state = MessageState::dead; break;
        }
        if (said.state == MessageState::ready) { said.ahead = core.ahead(slot); }
        if (!core.has_history(slot)) { return; }
        const History& history = core.history(slot);
        said.attempt = history.attempts;
        said.failures = history.failures;
        said.reason = history.reason;
        const bool timed =
            said.state == MessageState::leased || said.state == MessageState::delayed;
        if (timed) { said.until = history.at; }
        if (history.ties.line != none) { said.key = core.key(slot); }
        if (said.state != MessageState::blocked) { return; }
        if (history.ties.line != none) { said.ahead_in_key = core.ahead_in_line(slot); }
        if (history.ties.wait == none) { return; }
        Lock lock{shell.broker->latches.mutex};
        shell.broker->latches.board.each_parent(history.ties.wait,
                                                [&](const MessageId& id, LatchState state) {
                                                    said.parents.push_back({id, state});
                                                });
    }
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
