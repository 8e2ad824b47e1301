// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/latch_audit.hpp"

#include <string>
#include <utility>

#include <doctest/doctest.h>

#include "support/bare_board.hpp"

// A sound board is found sound (latch_changes_test.cpp asks after every step of its graphs), and
// one that was tampered with is not.
namespace {

using latchbox::LatchState;
using latchbox::MessageId;
using latchbox::OnParentFailure;
using latchbox::detail::LatchBoard;
using latchbox::detail::none;
using latchbox::detail::Onlooker;
using support::BareBoard;

// Two parents and a gate, each with the same three children; one parent has changed, and some
// have taken note of it.
struct Family : BareBoard {
    std::uint32_t first = latch();
    std::uint32_t second = latch();
    std::uint32_t shut = gate(2);
    std::uint32_t waits[3] = {child(Policy::dead_letter, {first, second, shut}),
                              child(Policy::deliver, {second, shut, first}),
                              child(Policy::hold, {shut, first, second})};

    Family() { REQUIRE(sound()); }
    // Changes one number, and puts it back.
    template <class T> std::string broken_by(T& what, T value) {
        const T before = std::exchange(what, value);
        const std::string found = broken();
        what = before;
        REQUIRE(sound());
        return found;
    }
    [[nodiscard]] std::string broken() const {
        const char* const found = board.audit();
        return found == nullptr ? "sound" : found;
    }
    // The edge of a child to its n-th parent.
    [[nodiscard]] std::uint32_t edge(std::uint32_t wait, int n) const {
        std::uint32_t at = board.waits[wait].first;
        for (; n > 0; --n) { at = board.edges[at].next; }
        return at;
    }
};

TEST_CASE("the links of a latch to its children are checked both ways") {
    Family f;
    auto& latch = f.board.latches[f.first];
    auto& middle = f.board.edges[f.edge(f.waits[1], 2)];
    CHECK(f.broken_by(latch.first, none) == "the last child without a first");
    CHECK(f.broken_by(latch.last, latch.first) == "children out of line");
    CHECK(f.broken_by(latch.last, none) == "children out of line");
    CHECK(f.broken_by(latch.first, f.edge(f.waits[1], 2)) == "children out of line");
    CHECK(f.broken_by(middle.latch, f.second) == "children out of line");
    CHECK(f.broken_by(middle.previous_child, none) == "children out of line");
    CHECK(f.broken_by(middle.next_child, none) == "children out of line");
    CHECK(f.broken_by(middle.next_child, latch.first) == "children out of line");
}

TEST_CASE("the links of a child to its parents are checked both ways") {
    Family f;
    auto& wait = f.board.waits[f.waits[1]];
    auto& middle = f.board.edges[f.edge(f.waits[1], 1)];
    CHECK(f.broken_by(wait.first, none) == "parents out of line");
    CHECK(f.broken_by(wait.last, wait.first) == "parents out of line");
    CHECK(f.broken_by(middle.wait, f.waits[0]) == "parents out of line");
    CHECK(f.broken_by(middle.previous, none) == "parents out of line");
    CHECK(f.broken_by(middle.next, none) == "parents out of line");
    CHECK(f.broken_by(middle.next, wait.first) == "parents out of line");
}

TEST_CASE("what a child counts has to be what it has taken note of") {
    Family f;
    auto& wait = f.board.waits[f.waits[2]];
    CHECK(f.broken_by(wait.pending, 2U) == "parents are miscounted");
    CHECK(f.broken_by(wait.dead, 1U) == "parents are miscounted");
    auto& edge = f.board.edges[f.edge(f.waits[2], 1)];
    CHECK(f.broken_by(edge.seen, LatchState::dead) == "a child that will not take note");
    CHECK(f.broken_by(edge.seen, LatchState::failed) == "a child that will not take note");
    auto& parent = f.board.latches[f.first];
    f.set(f.first, LatchState::dead);
    CHECK(f.broken_by(edge.seen, LatchState::failed) ==
          "a parent that is decided, and not forgotten");
    CHECK(f.broken_by(parent.cursor, none) == "a child that will not take note");
    CHECK(f.broken_by(parent.works, 0U) == "children to take note, and nobody's work");
    CHECK(f.broken_by(parent.cursor, f.edge(f.waits[1], 2)) == "a child that will not take note");
    CHECK(f.broken_by(parent.cursor, f.edge(f.waits[1], 0)) == "a child that will not take note");
    f.drain();
    CHECK(f.broken_by(parent.cursor, f.edge(f.waits[1], 0)) == "a cursor that points at no child");
    CHECK(f.broken_by(f.board.waits[f.waits[1]].failed, f.id(f.first)) ==
          "a loss that does not matter");
}

TEST_CASE("a gate agrees with its latch") {
    Family f;
    auto& latch = f.board.latches[f.shut];
    auto& gate = f.board.gates[latch.gate];
    CHECK(f.broken_by(gate.count, 0U) == "a gate that is open or shut against its count");
    CHECK(f.broken_by(gate.handles, 0U) == "a gate left to itself, and not failed");
    CHECK(f.broken_by(latch.id, f.id(f.first)) == "a gate that its id does not name");
    CHECK(f.broken_by(latch.gate, none) == "gates are miscounted");
    CHECK(f.broken_by(latch.state, LatchState::dead) == "a gate that is dead");
}

TEST_CASE("what nobody needs is not on the board, and what is on it is counted") {
    Family f;
    SUBCASE("a latch that nobody dropped") {
        BareBoard::grow(f.board.latches);
        static_cast<void>(f.board.make(f.next_id(), LatchState::completed));
        CHECK(f.broken() == "latches are miscounted");
    }
    SUBCASE("a latch that was dropped while somebody needs it") {
        f.board.latches.give(f.first);
        CHECK(f.broken() == "latches are miscounted");
    }
    SUBCASE("an edge that leads nowhere") {
        BareBoard::grow(f.board.edges);
        f.board.edges.take();
        CHECK(f.broken() == "an edge that no latch knows");
    }
    SUBCASE("a wait that was given back with parents in it") {
        for (const std::uint32_t wait : f.waits) { f.board.waits.give(wait); }
        CHECK(f.broken() == "waits are miscounted");
    }
    SUBCASE("edges that were given back with ends in use") {
        f.board.edges.give(f.edge(f.waits[0], 0));
        CHECK(f.broken() != "sound");
    }
}

TEST_CASE("who sleeps stands in a list of his latch, and only while it is pending") {
    Family f;
    Onlooker sleepers[2];
    for (Onlooker& one : sleepers) { f.board.look_on(f.first, one); }
    CHECK(f.broken() == "sound");
    CHECK(f.broken_by(sleepers[0].latch, f.second) == "onlookers out of line");
    Onlooker* const nobody = nullptr;
    CHECK(f.broken_by(sleepers[0].previous, nobody) == "onlookers out of line");
    f.set(f.second, LatchState::dead);
    Onlooker late;
    f.board.look_on(f.second, late);
    CHECK(f.broken() == "somebody sleeps on");
}

TEST_CASE("after the close nobody has to take note, and nothing is dropped any more") {
    Family f;
    f.set(f.first, LatchState::failed);
    f.set(f.second, LatchState::dead);
    f.board.close(f.work);
    f.board.drop(f.work);
    CHECK(f.broken() == "sound");
    CHECK(f.broken_by(f.board.waits[f.waits[0]].pending, 1U) == "parents are miscounted");
}

}  // namespace
