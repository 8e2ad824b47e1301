// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/latch_board.hpp"

#include <type_traits>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "support/bare_board.hpp"

// What the parents of a child say of it, by its policy.
namespace {

using latchbox::LatchState;
using latchbox::MessageId;
using latchbox::OnParentFailure;
using latchbox::detail::LatchBoard;
using latchbox::detail::none;
using latchbox::detail::Verdict;
using support::BareBoard;

using States = std::vector<LatchState>;
using Told = std::vector<std::pair<MessageId, LatchState>>;

static_assert(std::is_copy_constructible_v<LatchBoard> && std::is_copy_assignable_v<LatchBoard>);

constexpr LatchState every_state[] = {LatchState::pending, LatchState::completed, LatchState::dead,
                                      LatchState::failed};

// The rules of [5.5], word by word.
Verdict naive_verdict(OnParentFailure policy, const States& parents) {
    bool pending = false;
    bool dead = false;
    bool failed = false;
    for (const LatchState state : parents) {
        pending = pending || state == LatchState::pending;
        dead = dead || state == LatchState::dead;
        failed = failed || state == LatchState::failed;
    }
    switch (policy) {
        case OnParentFailure::dead_letter:
            return dead || failed ? Verdict::die : pending ? Verdict::wait : Verdict::go;
        case OnParentFailure::deliver: return pending ? Verdict::wait : Verdict::go;
        case OnParentFailure::hold: break;
    }
    return failed ? Verdict::die : pending || dead ? Verdict::wait : Verdict::go;
}

// Whose fault it is if the child has to die: the first for which it would die alone.
std::size_t naive_fault(OnParentFailure policy, const States& parents) {
    std::size_t at = 0;
    while (naive_verdict(policy, {parents[at]}) != Verdict::die) { ++at; }
    return at;
}

template <class Act> void for_all_states(std::size_t parents, Act&& act) {
    States states(parents, LatchState::pending);
    for (std::size_t code = 0; code < std::size_t{1} << (2 * parents); ++code) {
        for (std::size_t i = 0; i < parents; ++i) { states[i] = every_state[code >> (2 * i) & 3]; }
        for (const auto policy : BareBoard::policies) { act(policy, states); }
    }
}

TEST_CASE("parents in all states, before the publish: each policy judges as written [5.5]") {
    for (std::size_t parents = 0; parents <= 4; ++parents) {
        for_all_states(parents, [](OnParentFailure policy, const States& states) {
            BareBoard b;
            const std::uint32_t wait = b.begin(policy);
            std::vector<MessageId> ids;
            Told expected;
            for (const LatchState state : states) {
                ids.push_back(b.next_id());
                // As for an id that is gone: what completed is not mentioned at all. [5.2]
                if (state == LatchState::failed) { b.board.lose(wait, ids.back()); }
                if (state == LatchState::completed || state == LatchState::failed) { continue; }
                const std::uint32_t latch = b.latch(state);
                ids.back() = b.id(latch);
                b.link(wait, latch);
                const bool holds = policy == OnParentFailure::hold;
                if (state == LatchState::pending || holds) {
                    expected.emplace_back(ids.back(), state);
                }
            }
            const Verdict verdict = naive_verdict(policy, states);
            REQUIRE(b.board.attach(wait, b.next_id()) == verdict);
            REQUIRE(b.board.verdict_now(wait) == verdict);
            if (verdict == Verdict::die) {
                REQUIRE(b.board.blame(wait) == ids[naive_fault(policy, states)]);
            }
            Told told;
            b.board.each_parent(wait, [&told](const MessageId& id, LatchState state) {
                told.emplace_back(id, state);
            });
            REQUIRE(told == expected);
            REQUIRE(b.sound());
        });
    }
}

TEST_CASE("parents in all states, after the publish: the same verdict [5.4] [5.5]") {
    for (std::size_t parents = 0; parents <= 4; ++parents) {
        for_all_states(parents, [](OnParentFailure policy, const States& states) {
            BareBoard b;
            std::vector<std::uint32_t> latches;
            for (std::size_t i = 0; i < states.size(); ++i) { latches.push_back(b.latch()); }
            const std::uint32_t wait = b.child(policy, latches);
            std::vector<MessageId> ids;
            for (std::size_t i = 0; i < states.size(); ++i) {
                ids.push_back(b.id(latches[i]));
                if (states[i] != LatchState::pending) { b.set(latches[i], states[i]); }
            }
            const bool noted = states.size() % 2 == 0;
            if (noted) { b.drain(); }
            const Verdict verdict = naive_verdict(policy, states);
            REQUIRE(b.board.verdict_now(wait) == verdict);
            REQUIRE(b.board.verdict(wait) == verdict);
            if (verdict == Verdict::die) {
                REQUIRE(b.board.blame(wait) == ids[naive_fault(policy, states)]);
            }
            const bool lost =
                policy != OnParentFailure::deliver &&
                std::find(states.begin(), states.end(), LatchState::failed) != states.end();
            std::size_t undecided = 0;
            for (const LatchState state : states) {
                undecided += state == LatchState::pending || state == LatchState::dead ? 1U : 0U;
            }
            REQUIRE(b.board.edges.in_use() == undecided);
            REQUIRE(b.board.is_over(wait) == (undecided == 0 && !lost));
            REQUIRE(b.sound());
        });
    }
}

TEST_CASE("the parent that dies or fails first is named, whatever its place [5.5]") {
    for (const auto second : {LatchState::dead, LatchState::failed}) {
        BareBoard b;
        const std::uint32_t first = b.latch();
        const std::uint32_t last = b.latch();
        const std::uint32_t wait = b.child(OnParentFailure::dead_letter, {first, last});
        const MessageId last_id = b.id(last);
        b.set(last, second);
        b.drain();
        b.set(first, LatchState::dead);
        b.drain();
        CHECK(b.board.blame(wait) == last_id);
        CHECK(b.board.verdict(wait) == Verdict::die);
    }
}

TEST_CASE("one who holds names the failed parent, not one that is only dead [5.5]") {
    BareBoard b;
    const std::uint32_t dead = b.latch(LatchState::dead);
    const std::uint32_t other = b.latch();
    const std::uint32_t wait = b.child(OnParentFailure::hold, {dead, other});
    const MessageId failed = b.id(other);
    CHECK(b.board.verdict(wait) == Verdict::wait);
    b.set(other, LatchState::failed);
    b.drain();
    CHECK(b.board.verdict(wait) == Verdict::die);
    CHECK(b.board.blame(wait) == failed);
}

TEST_CASE("once a parent is redriven nobody is blamed, or who is still dead or failed [5.6]") {
    BareBoard b;
    const std::uint32_t first = b.latch(LatchState::dead);
    const std::uint32_t second = b.latch(LatchState::dead);
    const std::uint32_t wait = b.child(OnParentFailure::dead_letter, {first, second});
    CHECK(b.board.blame(wait) == b.id(first));
    b.set(first, LatchState::pending);
    CHECK(b.board.verdict_now(wait) == Verdict::die);
    CHECK(b.board.blame(wait) == b.id(second));
    b.set(second, LatchState::pending);
    CHECK(b.board.verdict_now(wait) == Verdict::wait);
    CHECK(b.board.blame(wait) == MessageId{});
    SUBCASE("dead again") {
        b.set(second, LatchState::dead);
        CHECK(b.board.verdict_now(wait) == Verdict::die);
        CHECK(b.board.blame(wait) == b.id(second));
    }
    SUBCASE("lost for good") {
        const MessageId id = b.id(second);
        b.set(second, LatchState::failed);
        CHECK(b.board.verdict_now(wait) == Verdict::die);
        b.set(first, LatchState::dead);
        b.set(first, LatchState::pending);
        CHECK(b.board.verdict_now(wait) == Verdict::die);
        CHECK(b.board.blame(wait) == id);
    }
    SUBCASE("completed") {
        b.set(second, LatchState::completed);
        b.set(first, LatchState::completed);
        CHECK(b.board.verdict_now(wait) == Verdict::go);
        CHECK(b.board.is_over(wait));
    }
    b.drain();
    CHECK(b.sound());
}

TEST_CASE("one whose first parent is redriven before it is accepted blames the next [5.5]") {
    for (const auto policy : {OnParentFailure::dead_letter, OnParentFailure::hold}) {
        BareBoard b;
        const std::uint32_t first = b.latch(LatchState::dead);
        const std::uint32_t second = b.latch(LatchState::dead);
        const MessageId lost = b.next_id();
        const std::uint32_t wait = b.begin(policy);
        for (const std::uint32_t parent : {first, second}) { b.link(wait, parent); }
        b.board.lose(wait, lost);
        b.set(first, LatchState::pending);
        b.drain();
        CHECK(b.board.attach(wait, b.next_id()) == Verdict::die);
        const MessageId blame = b.board.blame(wait);
        // Either is true of a child that dies of whichever is dead or has failed.
        const bool holds = policy == OnParentFailure::hold;
        CHECK((blame == lost || (blame == b.id(second) && !holds)));
    }
    BareBoard b;
    const std::uint32_t first = b.latch(LatchState::dead);
    const std::uint32_t second = b.latch(LatchState::dead);
    const std::uint32_t wait = b.begin(OnParentFailure::dead_letter);
    for (const std::uint32_t parent : {first, second}) { b.link(wait, parent); }
    b.set(first, LatchState::pending);
    b.drain();
    CHECK(b.board.attach(wait, b.next_id()) == Verdict::die);
    CHECK(b.board.blame(wait) == b.id(second));
    CHECK(b.sound());
}

TEST_CASE("a gate is found by its id while it is undecided or in somebody's hand") {
    BareBoard b;
    const std::uint32_t gate = b.gate(2);
    const MessageId id = b.id(gate);
    CHECK(b.board.find_gate(id) == gate);
    CHECK(b.board.gate(gate).count == 2);
    CHECK(b.board.find_gate(MessageId{}) == none);
    CHECK(b.board.find_gate(latchbox::detail::IdParts::message(BareBoard::gates, 1, 7)) == none);
    // A latch of a message at that place, and a later gate there, are others.
    b.board.count_down(gate, 2, b.work);
    CHECK(b.board.find_gate(id) == gate);
    CHECK_FALSE(b.board.let_go_of_gate(gate, b.work));
    CHECK(b.board.find_gate(id) == none);
    const std::uint32_t message = b.latch();
    CHECK(message == gate);
    CHECK(b.board.find_gate(id) == none);
    CHECK(b.board.find_gate(b.id(message)) == none);
    b.set(message, LatchState::completed);
    const std::uint32_t later = b.gate(1);
    CHECK(later == gate);
    CHECK(b.board.find_gate(id) == none);
    CHECK(b.board.find_gate(b.id(later)) == later);
}

TEST_CASE("a latch stays while it is undecided, asked for or waited for, and no longer [5.4]") {
    for (const LatchState end : {LatchState::completed, LatchState::failed}) {
        BareBoard b;
        const std::uint32_t latch = b.latch();
        b.board.hold(latch);
        b.board.hold(latch);
        b.board.let_go(latch);
        b.board.let_go(latch);
        CHECK(b.board.latches.in_use() == 1);
        b.set(latch, LatchState::dead);
        CHECK(b.board.latches.in_use() == 1);
        b.set(latch, LatchState::pending);
        b.board.hold(latch);
        const std::uint32_t wait = b.child(OnParentFailure::deliver, {latch});
        b.set(latch, end);
        CHECK(b.board.state(latch) == end);
        b.drain();
        CHECK(b.board.edges.in_use() == 0);
        CHECK(b.board.is_over(wait));
        b.board.end(wait);
        CHECK(b.board.latches.in_use() == 1);
        b.board.let_go(latch);
        CHECK(b.empty());
        CHECK(b.sound());
    }
}

TEST_CASE("a copy of a board is one of its own") {
    BareBoard b;
    const std::uint32_t parent = b.latch();
    const std::uint32_t wait = b.child(OnParentFailure::dead_letter, {parent});
    BareBoard copy{b};
    copy.set(parent, LatchState::completed);
    CHECK(copy.drain() == std::vector{b.child_of(wait)});
    CHECK(b.board.state(parent) == LatchState::pending);
    CHECK(b.board.edges.in_use() == 1);
    CHECK(copy.board.edges.in_use() == 0);
    CHECK(b.sound());
    CHECK(copy.sound());
}

TEST_CASE("handles of a gate go one by one, and the last not by that way [5.8]") {
    BareBoard b;
    const std::uint32_t gate = b.gate();
    const std::uint32_t first = b.board.gate(gate).handles;
    b.board.hold_gate(gate);
    b.board.hold_gate(gate);
    while (b.board.gate(gate).handles > 1) { CHECK(b.board.let_go_of_one_of_many(gate)); }
    CHECK_FALSE(b.board.let_go_of_one_of_many(gate));
    CHECK(b.board.gate(gate).handles == 1);
    b.board.hold_gate(gate);
    CHECK_FALSE(b.board.let_go_of_gate(gate, b.work));
    CHECK(b.board.latches[gate].state == LatchState::pending);
    CHECK(first <= 1);
    CHECK(b.board.let_go_of_gate(gate, b.work));
    CHECK_FALSE(b.board.is_closed());
    b.drain();
    CHECK(b.empty());
}

TEST_CASE("parents that matter no more are not told of, though nobody has taken note yet [5.9]") {
    for (const OnParentFailure policy : BareBoard::policies) {
        BareBoard b;
        const std::uint32_t completed = b.latch();
        const std::uint32_t dead = b.latch();
        const std::uint32_t pending = b.latch();
        const std::uint32_t wait = b.child(policy, {completed, dead, pending});
        CHECK(b.board.parents(wait) == 3);
        b.set(completed, LatchState::completed);
        b.set(dead, LatchState::dead);
        CHECK(b.board.parents(wait) == 3);
        std::vector<MessageId> told;
        b.board.each_parent(wait, [&](const MessageId& id, LatchState) { told.push_back(id); });
        std::vector<MessageId> expected{b.id(pending)};
        if (policy == OnParentFailure::hold) { expected.insert(expected.begin(), b.id(dead)); }
        CHECK(told == expected);
        b.drain();
        CHECK(b.board.parents(wait) == 2);
        CHECK(b.sound());
    }
}

TEST_CASE("work is left as long as there is any of any kind") {
    CHECK(LatchBoard::Work{}.empty());
    LatchBoard::Work work;
    work.first = 3;
    CHECK_FALSE(work.empty());
    work = {};
    work.left = 3;
    CHECK_FALSE(work.empty());
    work = {};
    work.taken = 1;
    CHECK_FALSE(work.empty());
    work = {};
    latchbox::detail::Onlooker somebody;
    work.told = &somebody;
    CHECK_FALSE(work.empty());
}

TEST_CASE("a message is no gate, though its id names its place") {
    BareBoard b;
    const std::uint32_t message = b.latch();
    REQUIRE(latchbox::detail::IdParts::slot(b.id(message)) == message);
    CHECK(b.board.find_gate(b.id(message)) == none);
    const std::uint32_t gate = b.gate();
    CHECK(b.board.find_gate(b.id(gate)) == gate);
    CHECK(b.board.find_gate(latchbox::detail::IdParts::message(99, 1, 77)) == none);
}

}  // namespace
