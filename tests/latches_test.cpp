// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/latches.hpp"

#include <cstddef>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/platform.hpp"

// Gates, and the memory of the board they stand on, without a broker.
namespace {

using latchbox::Cause;
using latchbox::LatchState;
using latchbox::MessageId;
using latchbox::MessageState;
using latchbox::Reason;
using latchbox::detail::IdParts;
using latchbox::detail::LatchBoard;
using latchbox::detail::none;
using Latches = latchbox::detail::Latches<latchbox::SingleThread>;

struct Gates {
    Latches latches{7};
    LatchBoard::Work work;

    [[nodiscard]] LatchState state(const MessageId& id) const {
        return latches.board.latches[latches.board.find_gate(id)].state;
    }
    [[nodiscard]] auto past(const MessageId& id) const {
        return latches.gates_issued.past(IdParts::number(id));
    }
};

TEST_CASE_FIXTURE(Gates, "gates have ids of their own issuer, all different [5.1]") {
    const MessageId one = latches.make_gate(1);
    const MessageId two = latches.make_gate(0);
    CHECK(one != two);
    CHECK(IdParts::issuer(one) == 7);
    CHECK(IdParts::issuer(two) == 7);
    CHECK(state(one) == LatchState::pending);
    CHECK(state(two) == LatchState::completed);
    CHECK(latches.board.find_gate(MessageId{}) == none);
    CHECK(latches.board.find_gate(IdParts::message(7, 3, IdParts::slot(one))) == none);
    CHECK(latches.board.gates.in_use() == 2);
}

TEST_CASE_FIXTURE(Gates, "a gate is counted down, held and let go of by its id [5.8]") {
    const MessageId id = latches.make_gate(2);
    latches.hold_gate(id);
    CHECK_FALSE(latches.let_go_of_gate(id, work));
    latches.count_down(id, 1, work);
    CHECK(state(id) == LatchState::pending);
    latches.count_down(id, 1, work);
    CHECK(state(id) == LatchState::completed);
    latches.fail_gate(id, Reason{Cause::failed}, work);
    CHECK(state(id) == LatchState::completed);
    CHECK_FALSE(latches.let_go_of_gate(id, work));
    CHECK(latches.board.find_gate(id) == none);
    CHECK(past(id).state == MessageState::completed);
    CHECK(latches.board.gates.in_use() == 0);
    CHECK(latches.board.latches.in_use() == 0);
    CHECK(work.empty());
}

TEST_CASE_FIXTURE(Gates, "how a gate failed is remembered, and needs no memory then [5.2] [4.11]") {
    const MessageId failed = latches.make_gate(1);
    const MessageId abandoned = latches.make_gate(1);
    latches.fail_gate(failed, Reason{Cause::failed, "no"}, work);
    latches.fail_gate(failed, Reason{Cause::failed, "again"}, work);
    CHECK(past(failed).cause == Cause::failed);
    CHECK(latches.board.gate(latches.board.find_gate(failed)).reason.text() == "no");
    CHECK_FALSE(latches.let_go_of_gate(failed, work));
    CHECK(latches.let_go_of_gate(abandoned, work));
    CHECK(past(abandoned).state == MessageState::failed);
    CHECK(past(abandoned).cause == Cause::abandoned);
    CHECK(latches.gates_issued.size() == 2);
    CHECK(latches.board.gates.in_use() == 0);
}

TEST_CASE_FIXTURE(Gates, "there is room for every gate held to fail, however many [4.11]") {
    std::vector<MessageId> ids;
    for (int i = 0; i < 1'000; ++i) {
        ids.push_back(latches.make_gate(1));
        CHECK(latches.gates_issued.has_room(latches.board.gates.in_use()));
    }
    for (const MessageId& id : ids) { CHECK(latches.let_go_of_gate(id, work)); }
    CHECK(latches.gates_issued.size() == ids.size());
    CHECK(latches.gates_issued.sound());
    CHECK(latches.board.latches.in_use() == 0);
}

TEST_CASE_FIXTURE(Gates, "each pool grows by itself, and keeps what it has") {
    const MessageId id = latches.make_gate(1);
    for (int i = 0; i < 4; ++i) {
        latches.grow(&LatchBoard::latches);
        latches.grow(&LatchBoard::edges);
        latches.grow(&LatchBoard::waits);
        latches.grow(&LatchBoard::gates);
    }
    CHECK(latches.board.edges.has_room(64));
    CHECK(latches.board.waits.has_room());
    CHECK(state(id) == LatchState::pending);
    CHECK(latches.let_go_of_gate(id, work));
}

}  // namespace
