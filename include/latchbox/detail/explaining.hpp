// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <string>
#include <utility>
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
        broker.catch_up();
        Explanation said;
        said.id = id;
        if (IdParts::issuer(id) == broker.latches.issuer) {
            explain_gate(broker, said);
            return said;
        }
        if (IdParts::issuer(id) == broker.shelf.issuer) {
            explain_topics_message(broker, said);
            return said;
        }
        const Reference<Shell> queue = broker.find_issuer(id);
        if (!queue) {
            tell_past(said, broker.past(id));
            return said;
        }
        said.queue = queue->name();
        if (!tell_in(*queue, said)) {
            tell_past(said, broker.past(*queue, id));
            if (said.state == MessageState::never_issued) { said.queue.clear(); }
        }
        return said;
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
    // Looks at all subscriptions for its copies. If the last of them leaves while it looks, it
    // looks again.
    static void explain_topics_message(Broker& broker, Explanation& said) LATCHBOX_UNCHECKED {
        do {
            said.copies.clear();
            said.parents.clear();
            tell_standing(broker, said);
            list_copies(broker, said);
        } while (said.state == MessageState::pending && said.copies.empty() && !broker.is_closed());
    }
    static void tell_standing(Broker& broker, Explanation& said) LATCHBOX_UNCHECKED {
        for (bool told = false; !told;) {
            const std::size_t room = said.subject.capacity();
            std::size_t wanted = 0;
            Lock lock{broker.shelf.mutex};
            auto* const body = broker.shelf.find(said.id);
            if (body == nullptr) { return tell_past(said, broker.shelf.past(said.id)); }
            wanted = body->topic->subject.size();
            told = wanted <= room;
            if (told) {
                said.subject = body->topic->subject;
                tell_standing(broker, body->tally.state(), said);
            }
            lock.unlock();
            said.subject.reserve(wanted);
        }
    }
    // And what the first that is BLOCKED waits for: nobody else can say that of a copy.
    static void list_copies(Broker& broker, Explanation& said) LATCHBOX_UNCHECKED {
        bool blocked = false;
        broker.for_each([&](Shell& queue) LATCHBOX_UNCHECKED {
            if (!queue.feed) { return; }
            Explanation copy;
            copy.id = said.id;
            if (!tell_in(queue, copy)) { return queue.mutex.unlock(); }
            said.copies.push_back({queue.name(), copy.state});
            if (copy.state != MessageState::blocked || std::exchange(blocked, true)) { return; }
            said.parents = std::move(copy.parents);
            said.key = std::move(copy.key);
            said.ahead_in_key = copy.ahead_in_key;
        });
    }
    // The shelf is held.
    static void tell_standing(Broker& broker, LatchState state,
                              Explanation& said) noexcept LATCHBOX_UNCHECKED {
        switch (state) {
            case LatchState::pending: said.state = MessageState::pending; break;
            case LatchState::completed: said.state = MessageState::completed; break;
            case LatchState::dead: said.state = MessageState::dead; break;
            case LatchState::failed: said.state = MessageState::failed; break;
        }
        if (state == LatchState::failed) { said.reason = Reason{broker.shelf.past(said.id).cause}; }
    }
    static MessageState state_of(const QueueCore& core, Slot slot) noexcept {
        switch (core.record(slot).state) {
            case State::blocked: return MessageState::blocked;
            case State::delayed: return MessageState::delayed;
            case State::ready: return MessageState::ready;
            case State::leased: return MessageState::leased;
            default: return MessageState::dead;
        }
    }
    // What is held of it in one queue. False: nothing is; then that queue stays locked. Memory is
    // made without the lock, then one looks again.
    static bool tell_in(Shell& queue, Explanation& said) LATCHBOX_UNCHECKED {
        for (;;) {
            queue.mutex.lock();
            const Slot slot = queue.find(said.id);
            if (slot == none) { return false; }
            std::size_t parents = 0;
            std::size_t key = 0;
            measure(queue, slot, parents, key);
            const bool fits = parents <= said.parents.capacity() && key <= said.key.capacity();
            if (fits) { tell_held(queue, slot, said); }
            queue.mutex.unlock();
            if (fits) { return true; }
            said.parents.reserve(parents);
            said.key.reserve(key);
        }
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
        said.state = state_of(core, slot);
        if (said.state == MessageState::ready) { said.ahead = core.ahead(slot); }
        const History& history = core.history(slot);
        said.attempt = core.attempts(slot);
        said.failures = history.failures;
        said.reason = history.reason;
        const bool timed =
            said.state == MessageState::leased || said.state == MessageState::delayed;
        if (timed) { said.until = core.record(slot).at; }
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
