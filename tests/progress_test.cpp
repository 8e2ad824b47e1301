// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "support/bare_board.hpp"
#include "support/bare_core.hpp"
#include "latchbox/testing/choices.hpp"

// Nobody waits for ever: a core and a latch board together, as the shell joins them, filled with
// messages that have parents and keys and in part die. Then everything that may be redriven is, and
// what is delivered is acked, until nothing moves. What is left may only be dead for a parent that
// has failed for good, or hold on for one of those.
namespace {

using latchbox::LatchState;
using latchbox::MessageId;
using latchbox::MessageState;
using latchbox::OnParentFailure;
using latchbox::detail::IdParts;
using latchbox::detail::LatchBoard;
using latchbox::detail::none;
using latchbox::detail::State;
using latchbox::detail::Verdict;
using support::at;
using support::BareBoard;
using support::BareCore;
using support::Slot;

class Joined {
public:
    explicit Joined(latchbox::testing::Choices& choices, const latchbox::QueueOptions& options)
        : choices_{choices}, queue_{options} {}

    void step() {
        switch (choices_.pick(5)) {
            case 0:
            case 1: publish(); break;
            case 2: settle(); break;
            case 3: redrive(pick(State::dead)); break;
            default:
                if (choices_.pick(8) == 7) { cancel(); }
        }
        carry_out();
        check();
    }
    void finish() {
        while (queue_.core.held() != 0) {
            run_dry();
            INFO(latchbox::testing::to_string(choices_.trace()));
            REQUIRE(queue_.core.held() ==
                    queue_.core.in(State::dead) + queue_.core.in(State::blocked));
            // Only one who holds may still wait: for a dead one whose own parent has failed.
            REQUIRE((queue_.core.in(State::blocked) == 0 || queue_.core.in(State::dead) != 0));
            left_ += queue_.core.purge_dead(queue_.effects);
            carry_out();
        }
        check();
        REQUIRE(board_.empty());
    }
    [[nodiscard]] latchbox::QueueStats stats() const { return queue_.core.stats(); }
    [[nodiscard]] std::size_t left() const { return left_; }

private:
    // Redrives and acks until nothing moves.
    void run_dry() {
        bool moved = true;
        while (moved) {
            moved = false;
            for (Slot slot = 0; slot < queue_.core.slot_count(); ++slot) {
                const State state = queue_.state(slot);
                if (state == State::dead) { moved = redrive(slot) || moved; }
                if (state == State::leased) {
                    queue_.core.ack(slot, queue_.effects);
                    carry_out();
                }
            }
            while (queue_.core.has_ready()) {
                queue_.core.ack(queue_.fetch(), queue_.effects);
                carry_out();
                moved = true;
            }
            check();
        }
    }

    struct Known {
        std::uint64_t number;
        Slot slot;
    };

    void publish() {
        const std::uint32_t wait = board_.begin(BareBoard::policies[choices_.pick(3)]);
        for (std::uint32_t count = choices_.pick(3); count > 0 && !known_.empty(); --count) {
            const std::size_t among = std::min<std::size_t>(known_.size(), 6);
            const auto back = choices_.pick(static_cast<std::uint32_t>(among));
            link(wait, known_[known_.size() - 1 - back]);
        }
        const std::uint64_t number = queue_.core.issued().next();
        const Slot free = queue_.core.vacant();
        const Slot slot = free != none ? free : queue_.core.slot_count();
        latchbox::detail::Wishes wishes;
        wishes.verdict = board_.board.attach(wait, IdParts::message(1, number, slot));
        wishes.parent = board_.board.blame(wait);
        wishes.wait = wait;
        if (board_.board.is_over(wait)) {
            board_.board.end(wait);
            wishes.wait = none;
        }
        REQUIRE(queue_.publish(std::string(choices_.pick(3), 'k'), at(0), wishes) == slot);
        known_.push_back({number, slot});
    }
    void link(std::uint32_t wait, const Known& parent) {
        const Slot slot = queue_.core.find(parent.slot, parent.number);
        const MessageId id = IdParts::message(1, parent.number, parent.slot);
        if (slot == none) {
            const bool failed =
                queue_.core.issued().past(parent.number).state == MessageState::failed;
            if (failed) { board_.board.lose(wait, id); }
            return;
        }
        std::uint32_t latch = queue_.core.latch(slot);
        if (latch == none) {
            BareBoard::grow(board_.board.latches);
            latch = board_.board.make(id, queue_.core.latch_state(slot));
            queue_.watch(slot, latch);
        }
        board_.link(wait, latch);
    }
    Slot pick(State state) {
        std::vector<Slot> found;
        for (Slot slot = 0; slot < queue_.core.slot_count(); ++slot) {
            if (queue_.state(slot) == state) { found.push_back(slot); }
        }
        const auto count = static_cast<std::uint32_t>(found.size());
        return found.empty() ? none : found[choices_.pick(count)];
    }
    void settle() {
        Slot slot = pick(State::leased);
        if (slot == none || choices_.pick(2) == 0) {
            if (queue_.core.has_ready()) { queue_.fetch(); }
            return;
        }
        switch (choices_.pick(4)) {
            case 0: return queue_.core.ack(slot, queue_.effects);
            case 1: return queue_.core.requeue(slot, {}, at(0), queue_.effects);
            default: return queue_.core.reject(slot, {}, queue_.effects);
        }
    }
    bool redrive(Slot slot) {
        if (slot == none) { return false; }
        const std::uint32_t wait = queue_.core.ties(slot).wait;
        const Verdict verdict = wait == none ? Verdict::go : board_.board.verdict_now(wait);
        if (verdict == Verdict::die) { return false; }
        queue_.core.redrive(slot, at(0), verdict == Verdict::wait);
        carry_out();
        return true;
    }
    void cancel() {
        const Slot slot = pick(choices_.pick(2) == 0 ? State::blocked : State::dead);
        if (slot != none) { queue_.core.cancel(slot, queue_.effects); }
    }
    // What latches mean for others, breadth first.
    void carry_out() {
        LatchBoard::Work work = set_latches();
        LatchBoard::Batch batch;
        while (board_.board.next(work, batch)) {
            for (std::uint32_t i = 0; i < batch.count; ++i) { judge(batch.children[i]); }
            board_.board.append(work, set_latches());
        }
    }
    LatchBoard::Work set_latches() {
        LatchBoard::Work work;
        queue_.collect();
        for (const auto& noted : queue_.noted) {
            if (noted.latch != none) { board_.board.set(noted.latch, noted.state, work); }
            if (noted.left_wait != none) { board_.board.leave(noted.left_wait, work); }
        }
        queue_.noted.clear();
        return work;
    }
    void judge(const MessageId& child) {
        const Slot slot = queue_.core.find(IdParts::slot(child), IdParts::number(child));
        if (slot == none || queue_.state(slot) != State::blocked) { return; }
        const std::uint32_t wait = queue_.core.ties(slot).wait;
        if (wait == none) { return; }
        LatchBoard& board = board_.board;
        queue_.core.judge(slot, board.verdict(wait), board.blame(wait), at(0), queue_.effects);
        if (!board.is_over(wait)) { return; }
        board.end(wait);
        queue_.core.forget_parents(slot);
    }
    void check() {
        INFO(latchbox::testing::to_string(choices_.trace()));
        const char* const core = queue_.core.audit();
        const char* const board = board_.board.audit();
        INFO(std::string(core != nullptr ? core : "sound"));
        INFO(std::string(board != nullptr ? board : "sound"));
        REQUIRE(core == nullptr);
        REQUIRE(board == nullptr);
    }

    latchbox::testing::Choices& choices_;
    BareCore queue_;
    BareBoard board_;
    std::vector<Known> known_;
    std::size_t left_ = 0;
};

TEST_CASE(
    "whatever was published comes to an end: no key and no parent holds for ever "
    "[5.4] [5.6] [5.7]") {
    latchbox::QueueStats reached;
    std::size_t left = 0;
    for (std::uint64_t seed = 0; seed < 600; ++seed) {
        latchbox::testing::Seeded choices{seed};
        latchbox::QueueOptions options;
        if (seed % 3 == 0) { options.dead_capacity = seed % 4; }
        Joined joined{choices, options};
        for (int i = 0; i < 80; ++i) { joined.step(); }
        joined.finish();
        reached += joined.stats();
        left += joined.left();
    }
    for (const std::uint64_t count : {reached.completed, reached.redriven, reached.rejected}) {
        CHECK(count > 1'000);
    }
    CHECK(reached.cancelled > 100);
    CHECK(left > 100);
}

TEST_CASE("many short scripts come to an end [5.4] [5.6] [5.7]") {
    for (std::uint64_t seed = 0; seed < 10'000; ++seed) {
        latchbox::testing::Seeded choices{seed};
        Joined joined{choices, {}};
        for (int i = 0; i < 12; ++i) { joined.step(); }
        joined.finish();
    }
}

}  // namespace
