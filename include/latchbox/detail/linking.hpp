// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "latchbox/detail/array.hpp"
#include "latchbox/detail/broker_shell.hpp"
#include "latchbox/detail/reserving.hpp"
#include "latchbox/detail/slot_heap.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// One of the parents that a publish names.
struct NamedParent {
    MessageId id;
    std::uint32_t at;
    bool operator<(const NamedParent& other) const noexcept {
        return id != other.id ? id < other.id : at < other.at;
    }
};

// How messages that are about to be published come to wait for their parents. Each is linked to
// each parent while that parent's queue is held, one queue at a time; from then on the latch board
// keeps it informed, accepted or not, so that it does not matter who is first. [5.4] What was not
// accepted is taken off the board again.
template <class Msg, class Platform> class Linking {
public:
    using Shell = QueueShell<Msg, Platform>;
    using Broker = BrokerShell<Msg, Platform>;

    // `again`: of messages that were accepted before, and whose parents so were known. One that has
    // been forgotten since has failed.
    explicit Linking(Broker& broker, bool again = false) noexcept
        : broker_{broker}, again_{again} {}
    Linking(const Linking&) = delete;
    Linking& operator=(const Linking&) = delete;
    ~Linking() {
        if (first_ == none) { return; }
        LatchBoard::Work work;
        {
            Lock lock{broker_.latches.mutex};
            while (first_ != none) { broker_.latches.board.leave(pop(), work); }
        }
        broker_.carry_out(work, {});
    }

    // `count` messages with the same parents. May throw std::bad_alloc; `unknown_parent`, `closed`.
    Errc link(std::size_t count, const std::vector<MessageId>& parents, OnParentFailure policy) {
        const Array<std::uint32_t> named_before = repeated(parents);
        for (; count != 0; --count) { begin(policy); }
        for (std::size_t i = 0; i < parents.size(); ++i) {
            if (!named_before.empty() && named_before[i] != 0) { continue; }
            if (const Errc failed = link_to(parents[i]); failed != Errc{}) { return failed; }
        }
        return Errc{};
    }
    [[nodiscard]] bool any() const noexcept { return first_ != none; }

    // The next message is accepted as `child`: what its parents say, and its wait, if they have not
    // all completed. Its queue is held.
    void attach(const MessageId& child, Wishes& wishes) noexcept {
        Lock lock{broker_.latches.mutex};
        LatchBoard& board = broker_.latches.board;
        const std::uint32_t wait = pop();
        wishes.verdict = board.attach(wait, child);
        wishes.parent = wishes.verdict == Verdict::die ? board.blame(wait) : MessageId{};
        wishes.wait = wait;
        if (!board.is_over(wait)) { return; }
        board.end(wait);
        wishes.wait = none;
    }

private:
    // 1 for each that was named before, else 0; empty if there is no question.
    static Array<std::uint32_t> repeated(const std::vector<MessageId>& parents) {
        using Key = NamedParent;
        if (parents.size() < 2) { return {}; }
        Array<std::uint32_t> repeated(parents.size());
        auto room = SlotHeap<Key>::make(parents.size());
        SlotHeap<Key> sorted;
        sorted.adopt(room);
        for (std::uint32_t i = 0; i < parents.size(); ++i) { sorted.insert({parents[i], i}, i); }
        for (Key last = sorted.front().key; !sorted.empty();) {
            const Key next = sorted.front().key;
            repeated[next.at] = next.at != last.at && next.id == last.id ? 1 : 0;
            last = next;
            sorted.remove(next.at);
        }
        return repeated;
    }

    void begin(OnParentFailure policy) {
        for (;;) {
            Lock lock{broker_.latches.mutex};
            LatchBoard& board = broker_.latches.board;
            if (board.waits.has_room()) {
                const std::uint32_t wait = board.begin(policy);
                (first_ == none ? first_ : board.waits[last_].next) = wait;
                last_ = wait;
                ++count_;
                return;
            }
            lock.unlock();
            broker_.latches.grow(&LatchBoard::waits);
        }
    }
    std::uint32_t pop() noexcept LATCHBOX_REQUIRES(broker_.latches.mutex) {
        --count_;
        return std::exchange(first_, broker_.latches.board.waits[first_].next);
    }

    Errc link_to(const MessageId& parent) {
        const std::uint32_t issuer = IdParts::issuer(parent);
        if (issuer == broker_.latches.issuer) { return link_to_gate(parent); }
        if (issuer == broker_.shelf.issuer) { return link_to_topics_message(parent); }
        return link_to_message(parent);
    }
    Errc link_to_message(const MessageId& parent) {
        for (;;) {
            const Reference<Shell> queue = broker_.find_issuer(parent);
            if (!queue) { return link_to_past(parent, broker_.past(parent)); }
            Shell& shell = *queue;
            shell.enter();
            if (broker_.is_closed()) {
                shell.mutex.unlock();
                return Errc::closed;
            }
            const Slot slot = shell.core.find(IdParts::slot(parent), IdParts::number(parent));
            if (slot == none) { return link_to_past(parent, broker_.past(shell, parent)); }
            if (const auto lacking = shell.core.of_history(slot)) {
                shell.grow(lacking);
                continue;
            }
            const auto lacking = link_to_held(shell, slot);
            shell.mutex.unlock();
            if (lacking == Lacking::nothing) { return Errc{}; }
            grow(lacking);
        }
    }
    // [5.3]
    Errc link_to_topics_message(const MessageId& parent) LATCHBOX_UNCHECKED {
        if (broker_.is_closed()) { return Errc::closed; }
        for (broker_.arrive(false);;) {
            auto lacking = Lacking::nothing;
            {
                Lock shelf{broker_.shelf.mutex};
                auto* const body = broker_.shelf.find(parent);
                if (body == nullptr) {
                    const Issued::Past past = broker_.shelf.past(parent);
                    shelf.unlock();
                    return link_to_past(parent, past);
                }
                Lock lock{broker_.latches.mutex};
                lacking = link_to_body(*body);
            }
            if (lacking == Lacking::nothing) { return Errc{}; }
            grow(lacking);
        }
    }
    Errc link_to_past(const MessageId& parent, const Issued::Past& past) noexcept {
        if (past.state == MessageState::completed) { return Errc{}; }
        if (past.state != MessageState::failed && !again_) { return Errc::unknown_parent; }
        Lock lock{broker_.latches.mutex};
        lose(parent);
        return Errc{};
    }
    Errc link_to_gate(const MessageId& gate) {
        for (;;) {
            Lock lock{broker_.latches.mutex};
            LatchBoard& board = broker_.latches.board;
            const std::uint32_t at = board.find_gate(gate);
            if (at == none) {
                const Issued::Past past = broker_.latches.gates_issued.past(IdParts::number(gate));
                lock.unlock();
                return link_to_past(gate, past);
            }
            const LatchState state = board.latches[at].state;
            if (state == LatchState::completed) { return Errc{}; }
            if (state == LatchState::failed) {
                lose(gate);
                return Errc{};
            }
            if (board.edges.has_room(count_)) {
                each([at](LatchBoard& b, std::uint32_t wait) { b.link(wait, at); });
                return Errc{};
            }
            lock.unlock();
            grow(Lacking::edges);
        }
    }

    enum class Lacking : std::uint8_t { nothing, latches, edges };
    // The shelf is held, and the latches.
    Lacking link_to_body(SharedBody<Msg, Platform>& body) noexcept LATCHBOX_UNCHECKED {
        if (!broker_.latches.board.edges.has_room(count_)) { return Lacking::edges; }
        const auto standing = Judging<Msg, Platform>::standing_of(broker_, body);
        if (standing.state == LatchState::failed) { lose(body.id); }
        if (standing.decided()) { return Lacking::nothing; }
        if (standing.latch == none) { return Lacking::latches; }
        each([&](LatchBoard& b, std::uint32_t wait) { b.link(wait, standing.latch); });
        return Lacking::nothing;
    }
    // The queue is held.
    Lacking link_to_held(Shell& shell, Slot slot) noexcept LATCHBOX_UNCHECKED {
        Lock lock{broker_.latches.mutex};
        LatchBoard& board = broker_.latches.board;
        if (!board.edges.has_room(count_)) { return Lacking::edges; }
        const std::uint32_t latch = Judging<Msg, Platform>::latch_of(shell, slot);
        if (latch == none) { return Lacking::latches; }
        each([latch](LatchBoard& b, std::uint32_t wait) { b.link(wait, latch); });
        return Lacking::nothing;
    }
    void grow(Lacking lacking) {
        if (lacking == Lacking::edges) { broker_.latches.grow(&LatchBoard::edges); }
        if (lacking == Lacking::latches) { broker_.latches.grow(&LatchBoard::latches); }
    }
    void lose(const MessageId& parent) noexcept LATCHBOX_REQUIRES(broker_.latches.mutex) {
        each([&parent](LatchBoard& b, std::uint32_t wait) { b.lose(wait, parent); });
    }
    template <class Act> void each(Act&& act) noexcept LATCHBOX_REQUIRES(broker_.latches.mutex) {
        LatchBoard& board = broker_.latches.board;
        for (std::uint32_t wait = first_; wait != none; wait = board.waits[wait].next) {
            act(board, wait);
        }
    }

    Broker& broker_;
    const bool again_;
    std::uint32_t first_ = none;  // waits, in the order of the messages
    std::uint32_t last_ = none;
    std::size_t count_ = 0;
};

// As `accept`, of one that needs a history.
template <class Msg, class Platform>
std::uint64_t accept_with_wishes(QueueShell<Msg, Platform>& queue, Slot slot,
                                 const PublishOptions& options, const Needs& needs,
                                 Linking<Msg, Platform>* linking, std::string* key, Instant now,
                                 Effects& effects) noexcept LATCHBOX_UNCHECKED {
    QueueCore& core = queue.core;
    Wishes wishes{options.priority, options.delay, options.expires_in};
    if (needs.line) { wishes.key = options.key, wishes.key_text = key; }
    if (linking != nullptr && linking->any()) {
        linking->attach(IdParts::message(queue.number(), core.issued().next(), slot), wishes);
    }
    return core.accept(slot, wishes, now, effects);
}

// A message is accepted in a reserved slot of `queue`, which is held: what its options ask of the
// core, and what its parents say. `key` is its text, given up to the queue if it is new there.
// Returns the number of its id.
template <class Msg, class Platform>
[[gnu::always_inline]] inline std::uint64_t accept(
    QueueShell<Msg, Platform>& queue, Slot slot, const PublishOptions& options, const Needs& needs,
    Linking<Msg, Platform>* linking, std::string* key, Instant now,
    Effects& effects) noexcept LATCHBOX_UNCHECKED {
    if (needs.history) [[unlikely]] {
        return accept_with_wishes(queue, slot, options, needs, linking, key, now, effects);
    }
    return queue.core.accept_plain(slot, options.priority, now, effects);
}

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
