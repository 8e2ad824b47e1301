// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>
#include <cstdint>

#include "latchbox/detail/pool.hpp"
#include "latchbox/ids.hpp"
#include "latchbox/options.hpp"
#include "latchbox/states.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// Somebody who sleeps until a latch is no longer pending.
struct Onlooker {
    Onlooker* next = nullptr;
    Onlooker* previous = nullptr;
    std::uint32_t latch = none;  // at which it stands; none: it was told
    LatchState state = LatchState::pending;
    bool closed = false;  // it was told the end of the broker
};

// Who waits for whom, over all queues of a broker. Knows ids and links: no queue, no lock, no
// clock. Copyable, for those who search states.
//
//   Latch   how it stands with one message or gate; made the first time somebody asks for it.
//   Wait    a child, and what its parents that have not completed say of it.
//   Edge    one pair of them, with the state of the latch that the child has taken note of.
//
// Setting a latch only changes its state, in O(1). Its children take note of that afterwards, a few
// at a time, by `next`: that is the cascade, and it neither recurses nor holds a lock long. As what
// counts is always the state of the latch at that moment, it does not matter how many threads are
// at it, nor how often the state changes meanwhile. [5.4] [5.5]
class LatchBoard {
public:
    struct Latch {
        MessageId id;
        LatchState state = LatchState::pending;
        bool listed = false;      // in the chain of some work
        std::uint32_t works = 0;  // that have it in hand
        std::uint64_t owner = 0;  // the one that has to see to the children; 0: none has to
        std::uint64_t chain = 0;  // the one in whose chain it is listed
        std::uint32_t asked = 0;  // handles of it
        std::uint32_t gate = none;
        std::uint32_t first = none;  // edge to the child that came first
        std::uint32_t last = none;
        std::uint32_t cursor = none;  // the first edge that may have to take note
        std::uint32_t next = none;
        Onlooker* onlookers = nullptr;
    };
    struct Edge {
        std::uint32_t latch = none;
        std::uint32_t wait = none;
        std::uint32_t next_child = none;
        std::uint32_t previous_child = none;
        std::uint32_t next = none;  // parent of the same child
        std::uint32_t previous = none;
        LatchState seen = LatchState::pending;
    };
    struct Wait {
        MessageId child;   // {}: not accepted yet, or left
        MessageId failed;  // a parent that has failed, if one has
        MessageId blame;   // the first parent that died or failed, unless it was redriven
        std::uint32_t first = none;
        std::uint32_t last = none;
        std::uint32_t pending = 0;
        std::uint32_t dead = 0;
        std::uint32_t next = none;
        OnParentFailure policy = OnParentFailure::dead_letter;
    };
    struct Gate {
        Reason reason;
        std::uint32_t handles = 1;
        std::uint32_t count = 0;
        std::uint32_t next = none;
    };
    // What is left to do after latches were set: whose children have to take note, which waits have
    // no child any more, who slept for it. Chains through the things themselves; but a latch that
    // stands in the chain of another work already is taken over from there. Who sets a latch last
    // sees to its children, so that all is done when his call returns. (If he takes over more than
    // `most_taken` at once, those beyond it are left to the other.)
    struct Work {
        static constexpr std::size_t most_taken = 8;
        std::uint64_t owner = 0;     // drawn with the first latch
        std::uint32_t first = none;  // latches
        std::uint32_t last = none;
        std::uint32_t left = none;  // waits
        std::uint32_t taken = 0;
        std::uint32_t take[most_taken] = {};
        Onlooker* told = nullptr;

        [[nodiscard]] bool empty() const noexcept {
            return (first & left) == none && taken == 0 && told == nullptr;
        }
    };
    // Children of one queue that have to be judged.
    struct Batch {
        static constexpr std::size_t most = 32;
        std::uint32_t queue = 0;
        std::uint32_t count = 0;
        MessageId children[most];
    };

    // For who makes room; who calls what follows has made sure of it.
    Pool<Latch> latches;
    Pool<Edge> edges;
    Pool<Wait> waits;
    Pool<Gate> gates;

    // --- latches -----------------------------------------------------------------------------

    [[nodiscard]] std::uint32_t make(const MessageId& id, LatchState state) noexcept {
        const std::uint32_t at = latches.take();
        latches[at].id = id;
        latches[at].state = state;
        return at;
    }
    // The one place where a latch changes.
    void set(std::uint32_t at, LatchState state, Work& work) noexcept;
    void hold(std::uint32_t at) noexcept { ++latches[at].asked; }
    void let_go(std::uint32_t at) noexcept {
        --latches[at].asked;
        drop_if_useless(at);
    }
    void look_on(std::uint32_t at, Onlooker& onlooker) noexcept;
    void look_away(Onlooker& onlooker) noexcept;
    // Nothing can complete any more: what was not decided counts as failed, but stays on the board
    // as it was left, to be explained.
    void close(Work& work) noexcept;
    [[nodiscard]] LatchState state(std::uint32_t at) const noexcept {
        const LatchState left = latches[at].state;
        return closed_ && left != LatchState::completed ? LatchState::failed : left;
    }

    // --- gates -------------------------------------------------------------------------------

    MessageId make_gate(std::uint32_t issuer, std::uint64_t number, std::uint32_t count) noexcept;
    // The gate with this id; `none` if nobody has it in hand any more, or it never was one.
    [[nodiscard]] std::uint32_t find_gate(const MessageId& id) const noexcept {
        const std::uint32_t at = IdParts::slot(id);
        const bool there = at < latches.used() && latches[at].gate != none && latches[at].id == id;
        return there ? at : none;
    }
    [[nodiscard]] const Gate& gate(std::uint32_t at) const noexcept {
        return gates[latches[at].gate];
    }
    // Calls `tell(id)` for each gate that is shut. Linear in the latches there ever were.
    template <class Tell> void each_shut_gate(Tell&& tell) const {
        for (std::uint32_t at = 0; at < latches.used(); ++at) {
            const Latch& latch = latches[at];
            if (latch.gate != none && latch.state == LatchState::pending) { tell(latch.id); }
        }
    }
    void hold_gate(std::uint32_t at) noexcept { ++gates[latches[at].gate].handles; }
    // These have no effect on a gate that is decided. The last two say whether it failed by that.
    void count_down(std::uint32_t at, std::uint32_t by, Work& work) noexcept;
    [[nodiscard]] bool is_closed() const noexcept { return closed_; }
    bool fail_gate(std::uint32_t at, const Reason& reason, Work& work) noexcept;
    bool let_go_of_gate(std::uint32_t at, Work& work) noexcept;
    bool let_go_of_one_of_many(std::uint32_t at) noexcept {
        std::uint32_t& handles = gates[latches[at].gate].handles;
        if (handles == 1) { return false; }
        --handles;
        return true;
    }

    // --- children ----------------------------------------------------------------------------

    // Of a message that is about to be published.
    [[nodiscard]] std::uint32_t begin(OnParentFailure policy) noexcept {
        const std::uint32_t at = waits.take();
        waits[at].policy = policy;
        return at;
    }
    // It waits for a latch that is pending or dead.
    void link(std::uint32_t wait_at, std::uint32_t latch_at) noexcept;
    // One of its parents has failed.
    void lose(std::uint32_t at, const MessageId& parent) noexcept {
        Wait& wait = waits[at];
        if (wait.policy == OnParentFailure::deliver) { return; }
        if (wait.failed == MessageId{}) { wait.failed = parent; }
        if (wait.blame == MessageId{}) { wait.blame = parent; }
    }
    // It was accepted: from here on it is judged as its parents change.
    Verdict attach(std::uint32_t at, const MessageId& child) noexcept {
        waits[at].child = child;
        return verdict(at);
    }
    [[nodiscard]] Verdict verdict(std::uint32_t at) const noexcept;
    // The same by the parents as they are now, whatever the child has taken note of. Linear in
    // them.
    [[nodiscard]] Verdict verdict_now(std::uint32_t at) noexcept;
    // The parent of which it has to die. Linear in its parents if that was redriven meanwhile.
    [[nodiscard]] MessageId blame(std::uint32_t at) const noexcept {
        const Wait& wait = waits[at];
        if (wait.policy == OnParentFailure::hold) { return wait.failed; }
        return wait.blame != MessageId{} || wait.dead == 0 ? wait.blame : first_dead(wait);
    }
    // All parents have completed: it is as if there never had been any.
    [[nodiscard]] bool is_over(std::uint32_t at) const noexcept {
        return waits[at].first == none && waits[at].failed == MessageId{};
    }
    void end(std::uint32_t at) noexcept { waits.give(at); }
    // Its child left, or was never accepted.
    void leave(std::uint32_t at, Work& work) noexcept {
        waits[at].child = MessageId{};
        waits[at].next = work.left;
        work.left = at;
    }
    // How many parents that have neither completed nor failed; once accepted it can only shrink.
    [[nodiscard]] std::size_t parents(std::uint32_t at) const noexcept {
        std::size_t count = 0;
        for (std::uint32_t edge = waits[at].first; edge != none; edge = edges[edge].next) {
            ++count;
        }
        return count;
    }
    // Calls `tell(id, state)` for each parent that still matters to it, in the order given.
    template <class Tell> void each_parent(std::uint32_t at, Tell&& tell) const {
        const bool holds = waits[at].policy == OnParentFailure::hold;
        for (std::uint32_t edge = waits[at].first; edge != none; edge = edges[edge].next) {
            const Latch& latch = latches[edges[edge].latch];
            const bool matters =
                latch.state == LatchState::pending || (latch.state == LatchState::dead && holds);
            if (matters) { tell(latch.id, latch.state); }
        }
    }

    // --- the cascade -------------------------------------------------------------------------

    // Does a bounded part of the work. False: all is done. The batch may be empty all the same.
    bool next(Work& work, Batch& batch) noexcept;
    // `more` comes after what there is.
    void append(Work& work, const Work& more) noexcept;
    // Leaves it undone: the broker is closed.
    void drop(Work& work) noexcept;

    // The first broken invariant in words, or nullptr. For tests; linear. In latch_audit.hpp.
    [[nodiscard]] const char* audit() const noexcept;

private:
    static bool fits(const Batch& batch, const MessageId& child) noexcept {
        return batch.count == 0 ||
               (batch.count < Batch::most && batch.queue == IdParts::issuer(child));
    }
    // The children of this latch are for `work` to see to.
    void take_over(std::uint32_t at, Work& work) noexcept;
    void list(std::uint32_t at, Work& work) noexcept;
    void lay_down(std::uint32_t at, const Work& work) noexcept;
    // Sees to children of one latch that `work` owns: false if there are more.
    bool walk(std::uint32_t at, const Work& work, int& steps, Batch& batch) noexcept;
    // The child of one edge takes note, and is to be judged if that lets it go or die.
    void note(std::uint32_t edge, Batch& batch) noexcept;
    void take_note(std::uint32_t at) noexcept;
    [[nodiscard]] MessageId first_dead(const Wait& wait) const noexcept;
    // An edge is gone, and its latch if nobody else needs that.
    void forget(std::uint32_t at) noexcept;
    void tell_onlookers(Latch& latch, Work& work) noexcept;
    // Once it is decided for good and nobody has it in hand.
    void drop_if_useless(std::uint32_t at) noexcept;

    bool closed_ = false;
    std::uint64_t owners_ = 0;  // how many works there were
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
