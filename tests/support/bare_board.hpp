// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/detail/latch_audit.hpp"
#include "latchbox/detail/latch_changes.hpp"
#include "latchbox/testing/choices.hpp"

// A latch board without queues: what the shell does around every step, and nothing else.
namespace support {

class BareBoard {
public:
    using Board = latchbox::detail::LatchBoard;
    using LatchState = latchbox::LatchState;
    using MessageId = latchbox::MessageId;
    using Policy = latchbox::OnParentFailure;

    static constexpr std::uint32_t none = latchbox::detail::none;
    static constexpr Policy policies[] = {Policy::dead_letter, Policy::deliver, Policy::hold};

    Board board;
    Board::Work work;
    std::uint64_t next_number = 1;

    /// Of a queue, or of the gates.
    MessageId next_id(std::uint32_t issuer = 1) {
        return latchbox::detail::IdParts::message(issuer, next_number++, 0);
    }
    template <class T> static void grow(latchbox::detail::Pool<T>& pool, std::size_t more = 1) {
        while (!pool.has_room(more)) {
            auto chunk = pool.make(pool.next_chunk());
            pool.adopt(chunk);
        }
    }
    std::uint32_t latch(LatchState state = LatchState::pending, std::uint32_t issuer = 1) {
        grow(board.latches);
        return board.make(next_id(issuer), state);
    }
    std::uint32_t gate(std::uint32_t count = 1) {
        grow(board.latches);
        grow(board.gates);
        return board.find_gate(board.make_gate(gates, next_number++, count));
    }
    std::uint32_t begin(Policy policy) {
        grow(board.waits);
        return board.begin(policy);
    }
    void link(std::uint32_t wait, std::uint32_t latch) {
        grow(board.edges);
        board.link(wait, latch);
    }
    /// A child with parents that are on the board.
    std::uint32_t child(Policy policy, const std::vector<std::uint32_t>& parents,
                        std::uint32_t issuer = 1) {
        const std::uint32_t wait = begin(policy);
        for (const std::uint32_t parent : parents) { link(wait, parent); }
        board.attach(wait, next_id(issuer));
        return wait;
    }
    void set(std::uint32_t latch, LatchState state) { board.set(latch, state, work); }
    /// Who is to be judged, batch by batch.
    std::vector<MessageId> drain() {
        std::vector<MessageId> children;
        Board::Batch batch;
        while (board.next(work, batch)) {
            for (std::uint32_t i = 0; i < batch.count; ++i) {
                children.push_back(batch.children[i]);
            }
        }
        return children;
    }
    [[nodiscard]] MessageId id(std::uint32_t latch) const { return board.latches[latch].id; }
    [[nodiscard]] MessageId child_of(std::uint32_t wait) const { return board.waits[wait].child; }
    [[nodiscard]] bool sound() const { return board.audit() == nullptr; }
    [[nodiscard]] bool empty() const {
        return board.latches.in_use() == 0 && board.edges.in_use() == 0 &&
               board.waits.in_use() == 0 && board.gates.in_use() == 0;
    }

    static constexpr std::uint32_t gates = 99;  ///< issues their ids
};

}  // namespace support
