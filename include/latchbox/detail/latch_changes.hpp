// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <utility>

#include "latchbox/detail/latch_board.hpp"

// What happens on a LatchBoard: latches are set, children take note, edges go.
namespace latchbox {
inline namespace v0 {
namespace detail {

// --- latches ---------------------------------------------------------------------------------

inline void LatchBoard::set(std::uint32_t at, LatchState state, Work& work) noexcept {
    Latch& latch = latches[at];
    ensure(latch.state == LatchState::pending ||
               (latch.state == LatchState::dead && state != LatchState::completed),
           "a latch changed for good");
    latch.state = state;
    latch.cursor = latch.first;
    if (state != LatchState::pending) { tell_onlookers(latch, work); }
    if (latch.first != none) { take_over(at, work); }
    drop_if_useless(at);
}

inline void LatchBoard::take_over(std::uint32_t at, Work& work) noexcept {
    Latch& latch = latches[at];
    if (work.owner == 0) { work.owner = ++owners_; }
    if (latch.owner == work.owner) { return; }
    if (!latch.listed) { return list(at, work); }
    if (latch.chain == work.owner) {  // it was taken over from here, and comes back
        latch.owner = work.owner;
    } else if (work.taken != Work::most_taken) {
        work.take[work.taken++] = at;
        latch.owner = work.owner;
        ++latch.works;
    } else {  // whoever has it listed will come to it
        latch.owner = latch.chain;
    }
}

inline void LatchBoard::list(std::uint32_t at, Work& work) noexcept {
    Latch& latch = latches[at];
    latch.listed = true;
    latch.chain = latch.owner = work.owner;
    latch.next = none;
    ++latch.works;
    (work.first == none ? work.first : latches[work.last].next) = at;
    work.last = at;
}

inline void LatchBoard::look_on(std::uint32_t at, Onlooker& onlooker) noexcept {
    Latch& latch = latches[at];
    onlooker.latch = at;
    onlooker.previous = nullptr;
    onlooker.next = latch.onlookers;
    if (latch.onlookers != nullptr) { latch.onlookers->previous = &onlooker; }
    latch.onlookers = &onlooker;
}

inline void LatchBoard::look_away(Onlooker& onlooker) noexcept {
    if (onlooker.next != nullptr) { onlooker.next->previous = onlooker.previous; }
    (onlooker.previous != nullptr ? onlooker.previous->next : latches[onlooker.latch].onlookers) =
        onlooker.next;
    onlooker.latch = none;
}

inline void LatchBoard::close(Work& work) noexcept {
    closed_ = true;
    for (std::uint32_t at = 0; at < latches.used(); ++at) { tell_onlookers(latches[at], work); }
}

// --- gates -----------------------------------------------------------------------------------

inline MessageId LatchBoard::make_gate(std::uint32_t issuer, std::uint64_t number,
                                       std::uint32_t count) noexcept {
    const LatchState state = count == 0 ? LatchState::completed : LatchState::pending;
    const std::uint32_t at = make(MessageId{}, state);
    latches[at].id = IdParts::message(issuer, number, at);
    latches[at].gate = gates.take();
    gates[latches[at].gate].count = count;
    return latches[at].id;
}

inline void LatchBoard::count_down(std::uint32_t at, std::uint32_t by, Work& work) noexcept {
    Latch& latch = latches[at];
    if (latch.state != LatchState::pending || closed_) { return; }
    std::uint32_t& count = gates[latch.gate].count;
    count -= by < count ? by : count;
    if (count == 0) { set(at, LatchState::completed, work); }
}

inline bool LatchBoard::fail_gate(std::uint32_t at, const Reason& reason, Work& work) noexcept {
    if (latches[at].state != LatchState::pending || closed_) { return false; }
    gates[latches[at].gate].reason = reason;
    set(at, LatchState::failed, work);
    return true;
}

inline bool LatchBoard::let_go_of_gate(std::uint32_t at, Work& work) noexcept {
    if (--gates[latches[at].gate].handles != 0 || closed_) { return false; }
    const bool failed = fail_gate(at, Reason{Cause::abandoned}, work);
    if (!failed) { drop_if_useless(at); }
    return failed;
}

// --- children --------------------------------------------------------------------------------

inline void LatchBoard::link(std::uint32_t wait_at, std::uint32_t latch_at) noexcept {
    const std::uint32_t at = edges.take();
    Edge& edge = edges[at];
    Wait& wait = waits[wait_at];
    Latch& latch = latches[latch_at];
    edge.wait = wait_at;
    edge.latch = latch_at;
    edge.previous = wait.last;
    (wait.last == none ? wait.first : edges[wait.last].next) = at;
    wait.last = at;
    edge.previous_child = latch.last;
    (latch.last == none ? latch.first : edges[latch.last].next_child) = at;
    latch.last = at;
    ++wait.pending;
    take_note(at);
}

inline Verdict LatchBoard::verdict(std::uint32_t at) const noexcept {
    const Wait& wait = waits[at];
    const bool lost = wait.failed != MessageId{};
    switch (wait.policy) {
        case OnParentFailure::dead_letter:
            if (lost || wait.dead != 0) { return Verdict::die; }
            break;
        case OnParentFailure::hold:
            if (lost) { return Verdict::die; }
            if (wait.dead != 0) { return Verdict::wait; }
            break;
        case OnParentFailure::deliver: break;
    }
    return wait.pending != 0 ? Verdict::wait : Verdict::go;
}

inline Verdict LatchBoard::verdict_now(std::uint32_t at) noexcept {
    for (std::uint32_t edge = waits[at].first; edge != none;) {
        const std::uint32_t next = edges[edge].next;
        take_note(edge);
        edge = next;
    }
    return verdict(at);
}

// --- the cascade -----------------------------------------------------------------------------

inline bool LatchBoard::next(Work& work, Batch& batch) noexcept {
    batch.count = 0;
    int steps = 64;
    for (; work.left != none; --steps) {
        if (steps == 0) { return true; }
        Wait& wait = waits[work.left];
        if (wait.first != none) {
            forget(wait.first);
        } else {
            waits.give(std::exchange(work.left, wait.next));
        }
    }
    while (work.taken != 0) {
        const std::uint32_t at = work.take[work.taken - 1];
        if (!walk(at, work, steps, batch)) { return true; }
        --work.taken;
        lay_down(at, work);
    }
    while (work.first != none) {
        const std::uint32_t at = work.first;
        if (!walk(at, work, steps, batch)) { return true; }
        latches[at].listed = false;
        work.first = latches[at].next;
        lay_down(at, work);
    }
    return batch.count != 0;
}

inline bool LatchBoard::walk(std::uint32_t at, const Work& work, int& steps,
                             Batch& batch) noexcept {
    Latch& latch = latches[at];
    if (latch.owner != work.owner) { return true; }  // somebody else's by now
    for (; latch.cursor != none; --steps) {
        const MessageId& child = waits[edges[latch.cursor].wait].child;
        if (steps <= 0 || !fits(batch, child)) { return false; }
        note(std::exchange(latch.cursor, edges[latch.cursor].next_child), batch);
    }
    return true;
}

// The work is done with it, or it is another's.
inline void LatchBoard::lay_down(std::uint32_t at, const Work& work) noexcept {
    Latch& latch = latches[at];
    if (latch.owner == work.owner) { latch.owner = 0; }
    --latch.works;
    drop_if_useless(at);
}

inline void LatchBoard::append(Work& work, const Work& more) noexcept {
    if (more.told != nullptr) {
        Onlooker* last = more.told;
        while (last->next != nullptr) { last = last->next; }
        last->next = std::exchange(work.told, more.told);
    }
    if (work.owner == 0) { work.owner = more.owner; }
    for (std::uint32_t at = more.first; at != none; at = latches[at].next) {
        latches[at].chain = work.owner;
        if (latches[at].owner == more.owner) { latches[at].owner = work.owner; }
    }
    if (more.first != none) {
        (work.first == none ? work.first : latches[work.last].next) = more.first;
        work.last = more.last;
    }
    for (std::uint32_t i = 0; i < more.taken; ++i) {
        const std::uint32_t at = more.take[i];
        Latch& latch = latches[at];
        --latch.works;
        if (latch.owner == more.owner) {
            latch.owner = 0;
            take_over(at, work);
        }
        drop_if_useless(at);
    }
    if (more.left == none) { return; }
    std::uint32_t end = more.left;
    while (waits[end].next != none) { end = waits[end].next; }
    waits[end].next = work.left;
    work.left = more.left;
}

inline void LatchBoard::drop(Work& work) noexcept {
    for (; work.first != none; work.first = latches[work.first].next) {
        latches[work.first].listed = false;
        --latches[work.first].works;
    }
    for (; work.taken != 0; --work.taken) { --latches[work.take[work.taken - 1]].works; }
    work.left = none;
}

inline void LatchBoard::note(std::uint32_t edge, Batch& batch) noexcept {
    const std::uint32_t wait = edges[edge].wait;
    if (edges[edge].seen == latches[edges[edge].latch].state) { return; }
    take_note(edge);
    const MessageId& child = waits[wait].child;
    if (child == MessageId{} || verdict(wait) == Verdict::wait) { return; }
    batch.queue = IdParts::issuer(child);
    batch.children[batch.count++] = child;
}

inline void LatchBoard::take_note(std::uint32_t at) noexcept {
    Edge& edge = edges[at];
    Wait& wait = waits[edge.wait];
    const Latch& latch = latches[edge.latch];
    if (edge.seen == latch.state) { return; }
    --(edge.seen == LatchState::dead ? wait.dead : wait.pending);
    edge.seen = latch.state;
    switch (latch.state) {
        case LatchState::pending: ++wait.pending; break;
        case LatchState::dead: ++wait.dead; break;
        case LatchState::completed: break;
        case LatchState::failed: lose(edge.wait, latch.id); break;
    }
    if (latch.state == LatchState::dead) {
        if (wait.blame == MessageId{}) { wait.blame = latch.id; }
    } else if (latch.state != LatchState::failed && wait.blame == latch.id) {
        wait.blame = wait.failed;
    }
    if (latch.state == LatchState::completed || latch.state == LatchState::failed) { forget(at); }
}

inline MessageId LatchBoard::first_dead(const Wait& wait) const noexcept {
    std::uint32_t edge = wait.first;
    while (edges[edge].seen != LatchState::dead) { edge = edges[edge].next; }
    return latches[edges[edge].latch].id;
}

inline void LatchBoard::forget(std::uint32_t at) noexcept {
    const Edge edge = edges[at];
    Latch& latch = latches[edge.latch];
    Wait& wait = waits[edge.wait];
    if (latch.cursor == at) { latch.cursor = edge.next_child; }
    (edge.previous_child == none ? latch.first : edges[edge.previous_child].next_child) =
        edge.next_child;
    (edge.next_child == none ? latch.last : edges[edge.next_child].previous_child) =
        edge.previous_child;
    (edge.previous == none ? wait.first : edges[edge.previous].next) = edge.next;
    (edge.next == none ? wait.last : edges[edge.next].previous) = edge.previous;
    edges.give(at);
    drop_if_useless(edge.latch);
}

inline void LatchBoard::tell_onlookers(Latch& latch, Work& work) noexcept {
    while (latch.onlookers != nullptr) {
        Onlooker& onlooker = *latch.onlookers;
        look_away(onlooker);
        onlooker.state = latch.state;
        onlooker.closed = closed_;
        onlooker.next = work.told;
        work.told = &onlooker;
    }
}

inline void LatchBoard::drop_if_useless(std::uint32_t at) noexcept {
    const Latch& latch = latches[at];
    const bool decided = latch.state == LatchState::completed || latch.state == LatchState::failed;
    if (!decided || latch.works != 0 || latch.first != none || latch.asked != 0) { return; }
    if (latch.gate != none) {
        if (gates[latch.gate].handles != 0) { return; }
        gates.give(latch.gate);
    }
    latches[at].gate = none;
    latches.give(at);
}

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
