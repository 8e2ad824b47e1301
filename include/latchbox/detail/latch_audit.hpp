// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include "latchbox/detail/latch_board.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// Walks a LatchBoard from both ends of its edges. Which numbers of a pool are free is not known
// here; it follows: a latch is in use unless it is useless, and what is in use is counted.
class LatchAudit {
public:
    explicit LatchAudit(const LatchBoard& board, bool closed) noexcept
        : board_{board}, closed_{closed} {}

    const char* run() noexcept {
        for (std::uint32_t at = 0; at < board_.latches.used(); ++at) {
            if (const char* broken = latch(at)) { return broken; }
        }
        for (std::uint32_t at = 0; at < board_.waits.used(); ++at) {
            if (const char* broken = wait(at)) { return broken; }
        }
        // Nobody drops a latch when the broker closes.
        const std::size_t latches = board_.latches.in_use();
        if (closed_ ? latches < useful_ : latches != useful_) { return "latches are miscounted"; }
        if (gates_ != board_.gates.in_use()) { return "gates are miscounted"; }
        if (by_latch_ != board_.edges.in_use()) { return "an edge that no latch knows"; }
        if (by_wait_ != board_.edges.in_use()) { return "an edge that no wait knows"; }
        if (waiting_ > board_.waits.in_use()) { return "waits are miscounted"; }
        return nullptr;
    }

private:
    const char* latch(std::uint32_t at) noexcept {
        const LatchBoard::Latch& latch = board_.latches[at];
        const bool decided =
            latch.state == LatchState::completed || latch.state == LatchState::failed;
        bool in_hand = latch.asked != 0;
        if (latch.gate != none) {
            const LatchBoard::Gate& gate = board_.gate(at);
            ++gates_;
            in_hand = in_hand || gate.handles != 0;
            if (IdParts::slot(latch.id) != at) { return "a gate that its id does not name"; }
            if (latch.state == LatchState::dead) { return "a gate that is dead"; }
            if (!decided && gate.handles == 0) { return "a gate left to itself, and not failed"; }
            if ((gate.count == 0) != (latch.state == LatchState::completed)) {
                return "a gate that is open or shut against its count";
            }
        }
        useful_ += !decided || latch.works != 0 || latch.first != none || in_hand ? 1U : 0U;
        if (latch.first == none && latch.last != none) { return "the last child without a first"; }
        if (const char* broken = children(at, latch)) { return broken; }
        const Onlooker* before = nullptr;
        for (const Onlooker* one = latch.onlookers; one != nullptr; before = one, one = one->next) {
            if (one->latch != at || one->previous != before) { return "onlookers out of line"; }
            if (latch.state != LatchState::pending) { return "somebody sleeps on"; }
        }
        return nullptr;
    }

    // What has changed is noted up to the cursor; from there on it will be.
    const char* children(std::uint32_t at, const LatchBoard::Latch& latch) noexcept {
        bool noted = true;
        std::uint32_t before = none;
        for (std::uint32_t edge_at = latch.first; edge_at != none;) {
            const LatchBoard::Edge& edge = board_.edges[edge_at];
            if (++by_latch_ > board_.edges.in_use()) { return "more edges than there are"; }
            if (edge.latch != at || edge.previous_child != before) {
                return "children out of line";
            }
            noted = noted && edge_at != latch.cursor;
            if (noted && !closed_ && edge.seen != latch.state) {
                return "a child that will not take note";
            }
            before = edge_at;
            edge_at = edge.next_child;
        }
        if (latch.first != none && before != latch.last) { return "children out of line"; }
        if (closed_ || latch.cursor == none) { return nullptr; }
        if (noted) { return "a cursor that points at no child"; }
        return latch.works != 0 ? nullptr : "children to take note, and nobody's work";
    }

    const char* wait(std::uint32_t at) noexcept {
        const LatchBoard::Wait& wait = board_.waits[at];
        std::uint32_t pending = 0;
        std::uint32_t dead = 0;
        std::uint32_t before = none;
        for (std::uint32_t edge_at = wait.first; edge_at != none;) {
            const LatchBoard::Edge& edge = board_.edges[edge_at];
            if (++by_wait_ > board_.edges.in_use()) { return "more edges than there are"; }
            if (edge.wait != at || edge.previous != before) { return "parents out of line"; }
            switch (edge.seen) {
                case LatchState::pending: ++pending; break;
                case LatchState::dead: ++dead; break;
                case LatchState::completed:
                case LatchState::failed: return "a parent that is decided, and not forgotten";
            }
            before = edge_at;
            edge_at = edge.next;
        }
        if (before != wait.last) { return "parents out of line"; }
        // Of a wait that is left nobody counts any more.
        const bool left = wait.child == MessageId{};
        if (!left && (pending != wait.pending || dead != wait.dead)) {
            return "parents are miscounted";
        }
        if (wait.failed != MessageId{} && wait.policy == OnParentFailure::deliver) {
            return "a loss that does not matter";
        }
        waiting_ += wait.first != none ? 1U : 0U;
        return nullptr;
    }

    const LatchBoard& board_;
    const bool closed_;
    std::size_t useful_ = 0;  // latches that somebody needs
    std::size_t gates_ = 0;
    std::size_t by_latch_ = 0;
    std::size_t by_wait_ = 0;
    std::size_t waiting_ = 0;
};

inline const char* LatchBoard::audit() const noexcept { return LatchAudit{*this, closed_}.run(); }

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
