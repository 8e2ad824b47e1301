// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/latch_changes.hpp"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/detail/latch_audit.hpp"

#include "latchbox/testing/choices.hpp"

#include "support/bare_board.hpp"

// What happens on a latch board: single steps first, then whole graphs beside a naive one.
namespace {

using latchbox::Cause;
using latchbox::LatchState;
using latchbox::MessageId;
using latchbox::OnParentFailure;
using latchbox::Reason;
using latchbox::detail::IdParts;
using latchbox::detail::LatchBoard;
using latchbox::detail::none;
using latchbox::detail::Onlooker;
using latchbox::detail::Verdict;
using support::BareBoard;

using Batch = LatchBoard::Batch;
using Work = LatchBoard::Work;
using Ids = std::vector<MessageId>;

// --- children --------------------------------------------------------------------------------

TEST_CASE("children are judged in the order in which they came, parent by parent [5.5]") {
    BareBoard b;
    const std::uint32_t first = b.latch();
    const std::uint32_t second = b.latch();
    std::vector<std::uint32_t> waits;
    for (int i = 0; i < 6; ++i) {
        waits.push_back(b.child(OnParentFailure::dead_letter, {i % 2 == 0 ? first : second}));
    }
    b.set(second, LatchState::completed);
    b.set(first, LatchState::dead);
    Ids expected;
    for (const int i : {1, 3, 5, 0, 2, 4}) {
        expected.push_back(b.child_of(waits[static_cast<std::size_t>(i)]));
    }
    CHECK(b.drain() == expected);
    CHECK(b.work.empty());
    CHECK(b.sound());
}

TEST_CASE("a child is judged once its last parent has completed, and not before [5.4]") {
    BareBoard b;
    std::vector<std::uint32_t> parents;
    for (int i = 0; i < 5; ++i) { parents.push_back(b.latch()); }
    const std::uint32_t wait = b.child(OnParentFailure::dead_letter, parents);
    for (int i = 0; i < 4; ++i) {
        b.set(parents[static_cast<std::size_t>(i)], LatchState::completed);
        CHECK(b.drain().empty());
        CHECK_FALSE(b.board.is_over(wait));
    }
    b.set(parents.back(), LatchState::completed);
    CHECK(b.drain() == Ids{b.child_of(wait)});
    CHECK(b.board.is_over(wait));
    b.board.end(wait);
    CHECK(b.empty());
}

TEST_CASE("one that is not accepted yet is judged by nobody, but keeps informed [5.4]") {
    for (const LatchState state : {LatchState::completed, LatchState::dead, LatchState::failed}) {
        BareBoard b;
        const std::uint32_t parent = b.latch();
        const MessageId id = b.id(parent);
        const std::uint32_t wait = b.begin(OnParentFailure::dead_letter);
        b.link(wait, parent);
        b.set(parent, state);
        CHECK(b.drain().empty());
        const bool completed = state == LatchState::completed;
        CHECK(b.board.attach(wait, b.next_id()) == (completed ? Verdict::go : Verdict::die));
        CHECK(b.board.blame(wait) == (completed ? MessageId{} : id));
        CHECK(b.sound());
    }
}

TEST_CASE("one that comes while the cascade is at work is told with the others [5.4]") {
    BareBoard b;
    const std::uint32_t parent = b.latch();
    std::vector<std::uint32_t> waits;
    const auto child = [&] { waits.push_back(b.child(OnParentFailure::hold, {parent})); };
    for (int i = 0; i < 100; ++i) { child(); }
    b.set(parent, LatchState::dead);
    Batch batch;
    REQUIRE(b.board.next(b.work, batch));  // one who holds is not judged: it waits on
    child();
    CHECK(b.board.waits[waits.back()].dead == 1);
    b.set(parent, LatchState::failed);
    child();
    CHECK(b.board.verdict(waits.back()) == Verdict::die);
    Ids expected;
    for (std::size_t i = 0; i < 101; ++i) { expected.push_back(b.child_of(waits[i])); }
    CHECK(b.drain() == expected);
    CHECK(b.sound());
}

TEST_CASE("one that left is judged no more, and leaves no edge behind [5.4]") {
    BareBoard b;
    const std::uint32_t first = b.latch();
    const std::uint32_t second = b.latch();
    const std::uint32_t stays = b.child(OnParentFailure::dead_letter, {first, second});
    const std::uint32_t leaves = b.child(OnParentFailure::dead_letter, {second, first});
    const std::uint32_t refused = b.begin(OnParentFailure::dead_letter);
    b.link(refused, first);
    SUBCASE("before its parent changes") {
        b.board.leave(leaves, b.work);
        b.board.leave(refused, b.work);
        CHECK(b.drain().empty());
        CHECK(b.board.edges.in_use() == 2);
        CHECK(b.board.waits.in_use() == 1);
        b.set(first, LatchState::dead);
    }
    SUBCASE("after that, and before it was judged") {
        b.set(first, LatchState::dead);
        b.board.leave(leaves, b.work);
        b.board.leave(refused, b.work);
    }
    CHECK(b.drain() == Ids{b.child_of(stays)});
    CHECK(b.board.edges.in_use() == 2);
    b.board.leave(stays, b.work);
    b.set(first, LatchState::failed);
    b.set(second, LatchState::completed);
    CHECK(b.drain().empty());
    CHECK(b.empty());
    CHECK(b.sound());
}

TEST_CASE("what changes back before anybody took note has not happened [5.5]") {
    BareBoard b;
    const std::uint32_t parent = b.latch();
    const std::uint32_t wait = b.child(OnParentFailure::dead_letter, {parent});
    b.set(parent, LatchState::dead);
    b.set(parent, LatchState::pending);
    CHECK(b.drain().empty());
    CHECK(b.board.verdict(wait) == Verdict::wait);
    CHECK(b.board.blame(wait) == MessageId{});
    // Nor is anybody judged who was let go before.
    const std::uint32_t dead = b.latch(LatchState::dead);
    const std::uint32_t gone = b.child(OnParentFailure::deliver, {dead});
    CHECK(b.board.verdict(gone) == Verdict::go);
    b.set(dead, LatchState::pending);
    b.set(dead, LatchState::dead);
    CHECK(b.drain().empty());
    CHECK(b.sound());
}

TEST_CASE("a verdict asked for now takes note, and the cascade does not judge again [5.6]") {
    BareBoard b;
    const std::uint32_t parent = b.latch(LatchState::dead);
    const std::uint32_t wait = b.child(OnParentFailure::dead_letter, {parent});
    b.set(parent, LatchState::pending);
    CHECK(b.board.verdict(wait) == Verdict::die);
    CHECK(b.board.verdict_now(wait) == Verdict::wait);
    CHECK(b.drain().empty());
    CHECK(b.sound());
}

// --- batches and work ------------------------------------------------------------------------

TEST_CASE("a batch is of one queue and of 32 at most, and work goes on where it was [5.5]") {
    BareBoard b;
    const std::uint32_t parent = b.latch();
    Ids expected;
    for (std::uint32_t i = 0; i < 500; ++i) {
        const std::uint32_t issuer = i < 100 ? 1 : 1 + i / 3 % 2;
        const std::uint32_t wait = b.child(OnParentFailure::dead_letter, {parent}, issuer);
        expected.push_back(b.child_of(wait));
    }
    b.set(parent, LatchState::failed);
    Ids judged;
    Batch batch;
    while (b.board.next(b.work, batch)) {
        REQUIRE(batch.count <= 32);
        REQUIRE(b.sound());
        for (std::uint32_t i = 0; i < batch.count; ++i) {
            REQUIRE(IdParts::issuer(batch.children[i]) == batch.queue);
            judged.push_back(batch.children[i]);
        }
    }
    CHECK(judged == expected);
}

TEST_CASE("a call does a bounded part of the work, whatever is left to do [5.5]") {
    BareBoard b;
    std::size_t calls = 0;
    Batch batch;
    SUBCASE("children that have nothing to decide") {
        const std::uint32_t parent = b.latch();
        for (int i = 0; i < 1'000; ++i) { b.child(OnParentFailure::hold, {parent}); }
        b.set(parent, LatchState::dead);
        while (b.board.next(b.work, batch)) {
            CHECK(batch.count == 0);
            ++calls;
        }
        CHECK(calls >= 15);
    }
    SUBCASE("children that left") {
        const std::uint32_t parent = b.latch();
        for (int i = 0; i < 500; ++i) {
            b.board.leave(b.child(OnParentFailure::hold, {parent}), b.work);
        }
        while (b.board.next(b.work, batch)) { ++calls; }
        CHECK(calls >= 15);
        CHECK(b.board.edges.in_use() == 0);
        CHECK(b.board.waits.in_use() == 0);
    }
    SUBCASE("one child that left many parents") {
        std::vector<std::uint32_t> parents;
        for (int i = 0; i < 1'000; ++i) { parents.push_back(b.latch()); }
        b.board.leave(b.child(OnParentFailure::hold, parents), b.work);
        while (b.board.next(b.work, batch)) { ++calls; }
        CHECK(calls >= 15);
        CHECK(b.board.edges.in_use() == 0);
    }
    CHECK(b.work.empty());
    CHECK(b.sound());
}

TEST_CASE("more work comes after what there is: breadth first [5.5]") {
    BareBoard b;
    const std::uint32_t first = b.latch();
    const std::uint32_t second = b.latch();
    const std::uint32_t third = b.latch();
    const auto child = [&b](std::uint32_t parent) {
        return b.child_of(b.child(OnParentFailure::dead_letter, {parent}));
    };
    const Ids expected = {child(first), child(second), child(third)};
    Work more;
    b.set(first, LatchState::dead);
    SUBCASE("after some") {
        b.set(second, LatchState::dead);
        b.board.set(third, LatchState::dead, more);
        b.board.append(b.work, more);
    }
    SUBCASE("after one") {
        b.board.set(second, LatchState::dead, more);
        b.board.set(third, LatchState::dead, more);
        b.board.append(b.work, more);
    }
    SUBCASE("after none") {
        b.set(second, LatchState::dead);
        b.set(third, LatchState::dead);
        b.board.append(more, std::exchange(b.work, {}));
        b.board.append(b.work, more);
    }
    SUBCASE("none") {
        b.set(second, LatchState::dead);
        b.set(third, LatchState::dead);
        b.board.append(b.work, more);
    }
    CHECK(b.drain() == expected);
}

TEST_CASE("waits that are left are appended, too") {
    BareBoard b;
    const std::uint32_t parent = b.latch();
    std::vector<std::uint32_t> waits;
    for (int i = 0; i < 6; ++i) { waits.push_back(b.child(OnParentFailure::hold, {parent})); }
    Work more;
    for (std::size_t i = 0; i < 6; ++i) { b.board.leave(waits[i], i < 3 ? b.work : more); }
    b.board.append(b.work, more);
    CHECK(b.drain().empty());
    CHECK(b.board.waits.in_use() == 0);
    CHECK(b.board.edges.in_use() == 0);
}

TEST_CASE("two who work at one latch judge each child at least once, in whatever turns [5.4]") {
    for (std::uint32_t turns = 0; turns < 64; ++turns) {
        BareBoard b;
        const std::uint32_t parent = b.latch();
        Ids expected;
        for (int i = 0; i < 100; ++i) {
            expected.push_back(b.child_of(b.child(OnParentFailure::dead_letter, {parent})));
        }
        Work second;
        b.set(parent, LatchState::dead);
        Ids judged;
        Batch batch;
        for (std::uint32_t turn = 0; turn < 6; ++turn) {
            Work& work = (turns >> turn & 1) == 0 ? b.work : second;
            if (turn == 2) { b.board.set(parent, LatchState::failed, second); }
            if (!b.board.next(work, batch)) { continue; }
            judged.insert(judged.end(), batch.children, batch.children + batch.count);
            REQUIRE(b.sound());
        }
        for (Work* work : {&b.work, &second}) {
            while (b.board.next(*work, batch)) {
                judged.insert(judged.end(), batch.children, batch.children + batch.count);
            }
        }
        std::sort(judged.begin(), judged.end());
        judged.erase(std::unique(judged.begin(), judged.end()), judged.end());
        REQUIRE(judged == expected);
        REQUIRE(b.sound());
    }
}

TEST_CASE("what is dropped at the close is not done, and can be dropped anywhere") {
    BareBoard b;
    const std::uint32_t first = b.latch();
    const std::uint32_t second = b.latch();
    for (const std::uint32_t parent : {first, second}) {
        for (int i = 0; i < 50; ++i) { b.child(OnParentFailure::dead_letter, {parent}); }
        b.set(parent, LatchState::dead);
    }
    b.board.leave(b.child(OnParentFailure::hold, {first}), b.work);
    Batch batch;
    REQUIRE(b.board.next(b.work, batch));
    b.board.close(b.work);
    b.board.drop(b.work);
    CHECK(b.work.empty());
    CHECK_FALSE(b.board.next(b.work, batch));
    CHECK(b.sound());
}

// --- gates -----------------------------------------------------------------------------------

TEST_CASE("a gate opens when it is counted down to 0, by whatever steps [5.8]") {
    latchbox::testing::Exhaustive choices;
    do {
        BareBoard b;
        const std::uint32_t count = choices.pick(4);
        std::uint32_t left = count;
        const std::uint32_t gate = b.gate(count);
        CHECK(b.board.state(gate) == (count == 0 ? LatchState::completed : LatchState::pending));
        for (int i = 0; i < 3; ++i) {
            const std::uint32_t by = choices.pick(4) * (choices.pick(2) * 4'000'000'000U + 1U);
            b.board.count_down(gate, by, b.work);
            left -= std::min(by, left);
            REQUIRE(b.board.gate(gate).count == left);
            REQUIRE((b.board.state(gate) == LatchState::completed) == (left == 0));
        }
        REQUIRE(b.sound());
        const bool failed = b.board.let_go_of_gate(gate, b.work);
        REQUIRE(failed == (left != 0));
        REQUIRE(b.empty());
    } while (choices.next());
}

TEST_CASE("a gate is decided once: what comes later has no effect [5.8]") {
    BareBoard b;
    const std::uint32_t gate = b.gate(1);
    SUBCASE("open") {
        b.board.count_down(gate, 1, b.work);
        CHECK_FALSE(b.board.fail_gate(gate, Reason{Cause::failed, "late"}, b.work));
        b.board.count_down(gate, 1, b.work);
        CHECK(b.board.state(gate) == LatchState::completed);
        CHECK(b.board.gate(gate).reason == Reason{});
    }
    SUBCASE("failed") {
        CHECK(b.board.fail_gate(gate, Reason{Cause::failed, "rain"}, b.work));
        CHECK_FALSE(b.board.fail_gate(gate, Reason{Cause::failed, "late"}, b.work));
        b.board.count_down(gate, 1, b.work);
        CHECK(b.board.state(gate) == LatchState::failed);
        CHECK(b.board.gate(gate).reason == Reason{Cause::failed, "rain"});
    }
    CHECK(b.sound());
    CHECK_FALSE(b.board.let_go_of_gate(gate, b.work));
    CHECK(b.empty());
}

TEST_CASE("a gate fails when its last handle goes, and waits for its children to know [5.8]") {
    for (const bool opened : {false, true}) {
        BareBoard b;
        const std::uint32_t gate = b.gate(1);
        const MessageId id = b.id(gate);
        const std::uint32_t wait = b.child(OnParentFailure::dead_letter, {gate});
        b.board.hold_gate(gate);
        CHECK_FALSE(b.board.let_go_of_gate(gate, b.work));
        CHECK(b.board.state(gate) == LatchState::pending);
        if (opened) { b.board.count_down(gate, 1, b.work); }
        CHECK(b.board.let_go_of_gate(gate, b.work) == !opened);
        CHECK(b.board.find_gate(id) == gate);
        if (!opened) { CHECK(b.board.gate(gate).reason == Reason{Cause::abandoned}); }
        CHECK(b.sound());
        CHECK(b.drain() == Ids{b.child_of(wait)});
        CHECK(b.board.verdict(wait) == (opened ? Verdict::go : Verdict::die));
        CHECK(b.board.find_gate(id) == none);
        CHECK(b.board.latches.in_use() == 0);
        CHECK(b.board.gates.in_use() == 0);
        CHECK(b.sound());
    }
}

TEST_CASE("a gate that somebody asked for stays until he lets go [5.8]") {
    BareBoard b;
    const std::uint32_t gate = b.gate(1);
    const MessageId id = b.id(gate);
    b.board.hold(gate);
    CHECK(b.board.let_go_of_gate(gate, b.work));
    CHECK(b.board.find_gate(id) == gate);
    CHECK(b.board.state(gate) == LatchState::failed);
    b.board.let_go(gate);
    CHECK(b.board.find_gate(id) == none);
    CHECK(b.empty());
}

// --- onlookers -------------------------------------------------------------------------------

std::vector<Onlooker*> told(Work& work) {
    std::vector<Onlooker*> all;
    for (Onlooker* one = work.told; one != nullptr; one = one->next) { all.push_back(one); }
    work.told = nullptr;
    return all;
}

TEST_CASE("who sleeps for a latch is told its first state that is not pending, in order [5.8]") {
    for (const LatchState state : {LatchState::completed, LatchState::dead, LatchState::failed}) {
        for (std::uint32_t away = 0; away < 8; ++away) {
            BareBoard b;
            Onlooker sleepers[3];
            const std::uint32_t latch = b.latch();
            b.board.hold(latch);
            for (Onlooker& one : sleepers) { b.board.look_on(latch, one); }
            std::vector<Onlooker*> expected;
            for (std::uint32_t i = 0; i < 3; ++i) {
                if ((away >> i & 1) == 0) { expected.push_back(&sleepers[i]); }
            }
            for (std::uint32_t i = 3; i-- > 0;) {
                if ((away >> i & 1) != 0) { b.board.look_away(sleepers[i]); }
                REQUIRE(b.sound());
            }
            b.set(latch, state);
            REQUIRE(told(b.work) == expected);
            REQUIRE(b.board.latches[latch].onlookers == nullptr);
            for (const Onlooker& one : sleepers) { REQUIRE(one.latch == none); }
            for (const Onlooker* one : expected) {
                REQUIRE(one->state == state);
                REQUIRE_FALSE(one->closed);
            }
            b.board.let_go(latch);
            REQUIRE(b.empty() == (state != LatchState::dead));
        }
    }
}

TEST_CASE("a redrive wakes nobody: it is pending again [5.8]") {
    BareBoard b;
    const std::uint32_t latch = b.latch(LatchState::dead);
    b.set(latch, LatchState::pending);
    Onlooker one;
    b.board.look_on(latch, one);
    b.set(latch, LatchState::pending);
    CHECK(told(b.work).empty());
    CHECK(one.latch == latch);
    CHECK(b.sound());
}

TEST_CASE("at the close all sleepers are told, and what was not completed counts as failed") {
    BareBoard b;
    const std::uint32_t completed = b.latch();
    const std::uint32_t dead = b.latch(LatchState::dead);
    const std::uint32_t pending = b.latch();
    const std::uint32_t gate = b.gate(3);
    for (const std::uint32_t latch : {completed, dead, pending, gate}) { b.board.hold(latch); }
    b.set(completed, LatchState::completed);
    const std::uint32_t wait = b.child(OnParentFailure::hold, {dead, pending, gate});
    Onlooker sleepers[2];
    b.board.look_on(pending, sleepers[0]);
    b.board.look_on(gate, sleepers[1]);
    b.board.close(b.work);
    CHECK(told(b.work).size() == 2);
    for (const Onlooker& one : sleepers) {
        CHECK(one.closed);
        CHECK(one.latch == none);
    }
    CHECK(b.board.state(completed) == LatchState::completed);
    for (const std::uint32_t latch : {dead, pending, gate}) {
        CHECK(b.board.state(latch) == LatchState::failed);
    }
    // As it was left, to be explained.
    std::vector<LatchState> seen;
    b.board.each_parent(wait, [&seen](const MessageId&, LatchState s) { seen.push_back(s); });
    CHECK(seen == std::vector{LatchState::dead, LatchState::pending, LatchState::pending});
    CHECK(b.board.gate(gate).count == 3);
    CHECK(b.sound());
}

// --- whole graphs ----------------------------------------------------------------------------

// Messages and gates of a broker that knows no queues, each beside what it ought to be. Judges as
// the shell does: batch by batch, what comes of it after what was there.
class Graph {
public:
    static constexpr std::size_t threads = 2;

    explicit Graph(latchbox::testing::Choices& choices) : choices_{choices} {}

    // One thing of any kind, by either thread.
    void step() {
        Work& work = works_[choices_.pick(threads)];
        switch (choices_.pick(8)) {
            case 0:
            case 1: go_on(work); break;
            case 2: publish(work, 1 + choices_.pick(3)); break;
            case 3: publish(work, 0); break;
            case 4: make_gate(); break;
            case 5: turn_gate(work); break;
            case 6: ask(); break;
            default: change(work);
        }
        check_audit();
    }
    void finish() {
        drain();
        check_all();
        Work& work = works_[0];
        for (std::size_t i = 0; i < nodes_.size(); ++i) {
            while (nodes_[i].asked != 0) { let_go(i); }
            while (nodes_[i].handles != 0) { let_go_of_gate(i, work); }
        }
        for (std::size_t i = nodes_.size(); i-- > 0;) {
            if (!nodes_[i].is_gate && is_held(i)) { leave(i, LatchState::failed, work); }
        }
        drain();
        check_audit();
        INFO(latchbox::testing::to_string(choices_.trace()));
        REQUIRE(b_.empty());
    }
    // By one thread alone, to the end: then all is known. Returns who was judged, in order.
    void drain() {
        for (bool more = true; more;) {
            more = false;
            for (Work& work : works_) {
                while (go_on(work)) { more = true; }
            }
        }
    }
    void check_all() {
        for (std::size_t i = 0; i < nodes_.size(); ++i) { check(i); }
    }

    [[nodiscard]] std::size_t judged() const { return judged_; }
    [[nodiscard]] std::size_t died() const { return died_; }
    [[nodiscard]] std::size_t redriven() const { return redriven_; }

protected:
    struct Node {
        MessageId id = {};
        LatchState state = LatchState::pending;
        std::uint32_t latch = none;
        std::uint32_t asked = 0;
        bool is_gate = false;
        std::uint32_t handles = 0;
        std::uint32_t wait = none;
        bool blocked = false;
        OnParentFailure policy = OnParentFailure::dead_letter;
        std::vector<std::size_t> parents = {};
        MessageId fault = {};
    };

    [[nodiscard]] static bool is_final(LatchState state) {
        return state == LatchState::completed || state == LatchState::failed;
    }
    [[nodiscard]] bool is_held(std::size_t at) const { return !is_final(nodes_[at].state); }
    // A gate's latch is the board's; a message's is made the first time somebody asks.
    std::uint32_t latch_of(std::size_t at) {
        Node& node = nodes_[at];
        if (node.latch == none) {
            BareBoard::grow(b_.board.latches);
            node.latch = b_.board.make(node.id, node.state);
        }
        return node.latch;
    }

    void check_audit() {
        const char* const broken = b_.board.audit();
        INFO(latchbox::testing::to_string(choices_.trace()));
        INFO(std::string(broken == nullptr ? "" : broken));
        REQUIRE(broken == nullptr);
    }
    [[nodiscard]] Verdict naive_verdict(const Node& node) const {
        bool pending = false;
        bool dead = false;
        bool failed = false;
        for (const std::size_t parent : node.parents) {
            pending = pending || nodes_[parent].state == LatchState::pending;
            dead = dead || nodes_[parent].state == LatchState::dead;
            failed = failed || nodes_[parent].state == LatchState::failed;
        }
        if (node.policy == OnParentFailure::deliver) {
            return pending ? Verdict::wait : Verdict::go;
        }
        if (failed || (dead && node.policy == OnParentFailure::dead_letter)) {
            return Verdict::die;
        }
        return pending || dead ? Verdict::wait : Verdict::go;
    }
    // Nothing is left to do: what the board says of a node, and what became of it, is right.
    void check(std::size_t at) {
        const Node& node = nodes_[at];
        INFO(latchbox::testing::to_string(choices_.trace()), " node ", at);
        if (node.latch != none) { REQUIRE(b_.board.state(node.latch) == node.state); }
        if (node.is_gate || !is_held(at)) { return; }
        const Verdict verdict = naive_verdict(node);
        if (node.blocked) { REQUIRE(verdict == Verdict::wait); }
        std::size_t undecided = 0;
        for (const std::size_t parent : node.parents) { undecided += is_held(parent) ? 1U : 0U; }
        if (node.wait == none) {
            REQUIRE(verdict == Verdict::go);
            REQUIRE(undecided == 0);
            return;
        }
        REQUIRE(b_.board.verdict(node.wait) == verdict);
        BareBoard copy{b_};
        REQUIRE(copy.board.verdict_now(node.wait) == verdict);
        REQUIRE(b_.board.waits[node.wait].pending + b_.board.waits[node.wait].dead == undecided);
        if (verdict != Verdict::die) { return; }
        const MessageId blame = b_.board.blame(node.wait);
        bool found = false;
        for (const std::size_t parent : node.parents) {
            const LatchState state = nodes_[parent].state;
            const bool bad = state == LatchState::failed ||
                             (state == LatchState::dead && node.policy != OnParentFailure::hold);
            found = found || (bad && nodes_[parent].id == blame);
        }
        REQUIRE(found);
    }

    void publish(Work& work, std::uint32_t parents) {
        Node node;
        node.id = b_.next_id(1 + choices_.pick(2));
        if (parents == 0) { return nodes_.push_back(node); }
        node.policy = BareBoard::policies[choices_.pick(3)];
        node.wait = b_.begin(node.policy);
        MessageId fault;
        for (; parents > 0 && !nodes_.empty(); --parents) {
            // Mostly one of the latest: the others are decided.
            const std::size_t among = choices_.pick(4) == 3 ? nodes_.size() : 8;
            const std::size_t parent =
                nodes_.size() - 1 -
                choices_.pick(static_cast<std::uint32_t>(std::min(among, nodes_.size())));
            const auto end = node.parents.end();
            if (std::find(node.parents.begin(), end, parent) != end) { continue; }
            node.parents.push_back(parent);
            const LatchState state = nodes_[parent].state;
            const bool bad = state == LatchState::failed ||
                             (state == LatchState::dead && node.policy != OnParentFailure::hold);
            if (bad && fault == MessageId{}) { fault = nodes_[parent].id; }
            if (!is_final(state)) {
                b_.link(node.wait, latch_of(parent));
            } else if (state == LatchState::failed) {
                b_.board.lose(node.wait, nodes_[parent].id);
            }
            // Meanwhile others may go on. What the child has seen of its parents may be older.
            if (choices_.pick(4) == 3) { fault = MessageId{}, go_on(works_[0]); }
        }
        if (choices_.pick(8) == 7) { return b_.board.leave(node.wait, work); }
        const Verdict verdict = b_.board.attach(node.wait, node.id);
        if (verdict == Verdict::die) {
            node.state = LatchState::dead;
            ++died_;
            if (fault != MessageId{} && node.parents.size() == 1) {
                REQUIRE(b_.board.blame(node.wait) == fault);
            }
        }
        node.blocked = verdict == Verdict::wait;
        end_if_over(node);
        nodes_.push_back(node);
    }
    void end_if_over(Node& node) {
        if (!b_.board.is_over(node.wait)) { return; }
        b_.board.end(node.wait);
        node.wait = none;
    }
    void make_gate() {
        Node node;
        node.is_gate = true;
        node.handles = 1;
        const std::uint32_t count = choices_.pick(3);
        node.latch = b_.gate(count);
        node.state = count == 0 ? LatchState::completed : LatchState::pending;
        node.id = b_.id(node.latch);
        nodes_.push_back(node);
    }

    // Some node of those for which `fits`, or none.
    template <class Fits> std::size_t pick(Fits&& fits) {
        std::vector<std::size_t> found;
        for (std::size_t i = 0; i < nodes_.size(); ++i) {
            if (fits(nodes_[i])) { found.push_back(i); }
        }
        if (found.empty()) { return nodes_.size(); }
        return found[choices_.pick(static_cast<std::uint32_t>(found.size()))];
    }
    void turn_gate(Work& work) {
        const std::size_t at = pick([](const Node& n) { return n.is_gate && n.handles != 0; });
        if (at == nodes_.size()) { return; }
        Node& node = nodes_[at];
        const bool shut = node.state == LatchState::pending;
        switch (choices_.pick(4)) {
            case 0: b_.board.count_down(node.latch, 1 + choices_.pick(2), work); break;
            case 1:
                REQUIRE(b_.board.fail_gate(node.latch, Reason{Cause::failed}, work) == shut);
                break;
            case 2: return let_go_of_gate(at, work);
            default:
                b_.board.hold_gate(node.latch);
                ++node.handles;
                return;
        }
        node.state = b_.board.state(node.latch);
    }
    void let_go_of_gate(std::size_t at, Work& work) {
        Node& node = nodes_[at];
        const bool fails = --node.handles == 0 && node.state == LatchState::pending;
        REQUIRE(b_.board.let_go_of_gate(node.latch, work) == fails);
        if (fails) { node.state = LatchState::failed; }
        if (b_.board.find_gate(node.id) == none) { node.latch = none; }
        if (node.handles == 0 && node.asked == 0) { node.latch = none; }
    }
    void ask() {
        const std::size_t at = pick([](const Node& n) {
            return n.is_gate ? n.latch != none && n.handles != 0 : !is_final(n.state);
        });
        const std::size_t other = pick([](const Node& n) { return n.asked != 0; });
        if (other != nodes_.size() && choices_.pick(2) == 1) { return let_go(other); }
        if (at == nodes_.size()) { return; }
        b_.board.hold(latch_of(at));
        ++nodes_[at].asked;
    }
    void let_go(std::size_t at) {
        Node& node = nodes_[at];
        b_.board.let_go(node.latch);
        if (--node.asked == 0 && is_final(node.state) && node.handles == 0) { node.latch = none; }
    }

    void set(std::size_t at, LatchState state, Work& work) {
        Node& node = nodes_[at];
        node.state = state;
        if (node.latch == none) { return; }
        b_.board.set(node.latch, state, work);
        if (is_final(state) && node.asked == 0) { node.latch = none; }
    }
    void leave(std::size_t at, LatchState state, Work& work) {
        set(at, state, work);
        nodes_[at].blocked = false;
        if (nodes_[at].wait != none) { b_.board.leave(nodes_[at].wait, work); }
        nodes_[at].wait = none;
    }
    // Some message is acked, rejected, removed or redriven.
    void change(Work& work) {
        const std::size_t at = pick([](const Node& n) { return !n.is_gate && !is_final(n.state); });
        if (at == nodes_.size()) { return; }
        Node& node = nodes_[at];
        if (node.state == LatchState::dead) {
            if (choices_.pick(3) == 2) { return leave(at, LatchState::failed, work); }
            return redrive(at, work);
        }
        const std::uint32_t choice = node.blocked ? 0 : choices_.pick(3);
        if (choice == 0) { return leave(at, LatchState::failed, work); }
        if (choice == 1) { return leave(at, LatchState::completed, work); }
        set(at, LatchState::dead, work);
    }
    void redrive(std::size_t at, Work& work) {
        Node& node = nodes_[at];
        const Verdict verdict = node.wait == none ? Verdict::go : b_.board.verdict_now(node.wait);
        REQUIRE(verdict == naive_verdict(node));
        if (verdict == Verdict::die) { return; }
        ++redriven_;
        node.blocked = verdict == Verdict::wait;
        set(at, LatchState::pending, work);
    }

    // A part of the cascade; false if there was nothing to do.
    bool go_on(Work& work) {
        Batch batch;
        if (!b_.board.next(work, batch)) { return false; }
        REQUIRE(batch.count <= Batch::most);
        Work more;
        for (std::uint32_t i = 0; i < batch.count; ++i) {
            REQUIRE(IdParts::issuer(batch.children[i]) == batch.queue);
            judge(batch.children[i], more);
        }
        b_.board.append(work, more);
        return true;
    }
    void judge(const MessageId& id, Work& more) {
        std::size_t at = 0;
        while (nodes_[at].id != id) { ++at; }
        Node& node = nodes_[at];
        if (!node.blocked || node.wait == none) { return; }
        const Verdict verdict = b_.board.verdict(node.wait);
        ++judged_;
        if (verdict == Verdict::wait) { return; }
        node.blocked = false;
        if (verdict == Verdict::die) {
            ++died_;
            REQUIRE(b_.board.blame(node.wait) != MessageId{});
            set(at, LatchState::dead, more);
        } else if (node.policy != OnParentFailure::deliver) {
            // Nobody goes before all have completed; that is final, so it holds now.
            REQUIRE(naive_verdict(node) == Verdict::go);
        }
        end_if_over(node);
    }

    latchbox::testing::Choices& choices_;
    BareBoard b_;
    Work works_[threads];
    std::vector<Node> nodes_;
    std::size_t judged_ = 0;
    std::size_t died_ = 0;
    std::size_t redriven_ = 0;
};

TEST_CASE("random graphs end as a naive one does, however the work is divided [5.4] [5.5] [5.6]") {
    std::size_t judged = 0;
    std::size_t died = 0;
    std::size_t redriven = 0;
    for (std::uint64_t seed = 0; seed < 2'000; ++seed) {
        latchbox::testing::Seeded choices{seed};
        Graph graph{choices};
        for (int i = 0; i < 80; ++i) {
            graph.step();
            if (i % 20 == 19) {
                graph.drain();
                graph.check_all();
            }
        }
        graph.finish();
        judged += graph.judged();
        died += graph.died();
        redriven += graph.redriven();
    }
    CHECK(judged > 2'000);
    CHECK(died > 2'000);
    CHECK(redriven > 500);
}

// Two parents and up to two children, in every order of everything.
class SmallGraph : Graph {
public:
    SmallGraph(latchbox::testing::Choices& choices, OnParentFailure policy) : Graph{choices} {
        for (int i = 0; i < 2; ++i) { publish(works_[0], 0); }
        policy_ = policy;
        child();
    }
    void step() {
        // A part of the cascade, one more child, or what may become of either parent.
        const std::uint32_t first = is_held(0) ? 3U - is_dead(0) : 0U;
        const std::uint32_t second = is_held(1) ? 3U - is_dead(1) : 0U;
        std::uint32_t choice = choices_.pick(2 + first + second);
        if (choice == 0) {
            go_on(works_[0]);
        } else if (choice == 1) {
            child();
        } else if (choice -= 2; choice < first) {
            alter(0, choice);
        } else {
            alter(1, choice - first);
        }
        check_audit();
    }
    using Graph::finish;

private:
    void child() {
        if (nodes_.size() == 4) { return; }
        Node node;
        node.id = b_.next_id();
        node.policy = policy_;
        node.wait = b_.begin(policy_);
        // The second is a child of the first, too.
        for (std::size_t parent = nodes_.size(); parent-- > 0;) {
            node.parents.push_back(parent);
            const LatchState state = nodes_[parent].state;
            if (!is_final(state)) { b_.link(node.wait, latch_of(parent)); }
            if (state == LatchState::failed) { b_.board.lose(node.wait, nodes_[parent].id); }
        }
        const Verdict verdict = b_.board.attach(node.wait, node.id);
        if (works_[0].empty()) { REQUIRE(verdict == naive_verdict(node)); }
        if (verdict == Verdict::die) { node.state = LatchState::dead; }
        node.blocked = verdict == Verdict::wait;
        end_if_over(node);
        nodes_.push_back(node);
    }
    [[nodiscard]] bool is_dead(std::size_t at) const {
        return nodes_[at].state == LatchState::dead;
    }
    void alter(std::size_t at, std::uint32_t how) {
        switch (how) {
            case 0: return set(at, is_dead(at) ? LatchState::pending : LatchState::dead, works_[0]);
            case 1: return leave(at, LatchState::failed, works_[0]);
            default: return leave(at, LatchState::completed, works_[0]);
        }
    }

    OnParentFailure policy_ = OnParentFailure::dead_letter;
};

TEST_CASE("every order of five steps of two parents and two children ends right [5.4] [5.5]") {
    for (const OnParentFailure policy : BareBoard::policies) {
        latchbox::testing::Exhaustive choices;
        do {
            SmallGraph graph{choices, policy};
            for (int i = 0; i < 5; ++i) { graph.step(); }
            graph.finish();
        } while (choices.next());
    }
}

// --- size ------------------------------------------------------------------------------------

TEST_CASE("a chain as long as memory goes falls one by one, without recursion [5.5]") {
    constexpr std::uint32_t length = 50'000;
    BareBoard b;
    std::vector<std::uint32_t> latches = {b.latch()};
    std::vector<std::uint32_t> waits;
    for (std::uint32_t i = 0; i < length; ++i) {
        waits.push_back(b.child(OnParentFailure::dead_letter, {latches.back()}));
        latches.push_back(b.latch());
    }
    b.set(latches[0], LatchState::failed);
    Batch batch;
    std::uint32_t fallen = 0;
    while (b.board.next(b.work, batch)) {
        for (std::uint32_t i = 0; i < batch.count; ++i) {
            REQUIRE(batch.children[i] == b.child_of(waits[fallen]));
            b.set(latches[++fallen], LatchState::failed);
        }
    }
    CHECK(fallen == length);
    CHECK(b.board.latches.in_use() == 0);
    CHECK(b.board.edges.in_use() == 0);
}

TEST_CASE("a child of very many parents that come and go takes each note in one step [9]") {
    constexpr std::uint32_t many = 50'000;  // were it quadratic, nobody would wait for the end
    for (const OnParentFailure policy : BareBoard::policies) {
        BareBoard b;
        std::vector<std::uint32_t> parents;
        for (std::uint32_t i = 0; i < many; ++i) { parents.push_back(b.latch(LatchState::dead)); }
        const std::uint32_t wait = b.child(policy, parents);
        for (const std::uint32_t parent : parents) {
            b.set(parent, LatchState::pending);
            b.drain();
        }
        CHECK(b.board.verdict(wait) == Verdict::wait);
        CHECK(b.board.blame(wait) == MessageId{});
        std::size_t judged = 0;
        for (const std::uint32_t parent : parents) {
            b.set(parent, LatchState::completed);
            judged += b.drain().size();
        }
        CHECK(judged == 1);
        CHECK(b.board.is_over(wait));
        CHECK(b.sound());
    }
}

// Three threads' works over one board, taking latches over from each other, more than they can take
// at once: in the end every child has taken note of every parent.
TEST_CASE("however works take over from each other, no child is left uninformed [5.4]") {
    using Board = latchbox::detail::LatchBoard;
    using latchbox::detail::IdParts;
    for (const std::uint32_t parents : {3U, 12U, 24U}) {
        for (std::uint64_t seed = 1; seed <= 300; ++seed) {
            latchbox::testing::Seeded choices{seed};
            Board board;
            const auto grow = [](auto& pool, std::size_t wanted) {
                while (!pool.has_room(wanted)) {
                    auto chunk = pool.make(pool.next_chunk());
                    pool.adopt(chunk);
                }
            };
            grow(board.latches, parents);
            grow(board.waits, 2 * parents);
            grow(board.edges, 2 * parents * parents);
            std::vector<std::uint32_t> latches;
            std::vector<std::uint32_t> waits;
            for (std::uint32_t i = 0; i < parents; ++i) {
                latches.push_back(
                    board.make(IdParts::message(1, i + 1, i), latchbox::LatchState::pending));
                board.hold(latches.back());
            }
            for (std::uint32_t i = 0; i < 2 * parents; ++i) {
                waits.push_back(board.begin(static_cast<latchbox::OnParentFailure>(i % 3)));
                for (const std::uint32_t latch : latches) {
                    if (choices.pick(parents) < 2) { board.link(waits.back(), latch); }
                }
                static_cast<void>(board.attach(waits.back(), IdParts::message(2, i + 1, i)));
            }
            Board::Work works[3];
            Board::Work calls[3];  // what a call has set and not handed on yet
            Board::Batch batch;
            for (int step = 0; step < 300; ++step) {
                const std::uint32_t i = choices.pick(3);
                switch (choices.pick(5)) {
                    case 0:
                    case 1:
                        for (std::uint32_t n = choices.pick(parents + 1); n != 0; --n) {
                            const std::uint32_t at = latches[choices.pick(parents)];
                            const bool dies =
                                board.latches[at].state == latchbox::LatchState::pending;
                            board.set(
                                at,
                                dies ? latchbox::LatchState::dead : latchbox::LatchState::pending,
                                calls[i]);
                        }
                        break;
                    case 2:
                        board.append(works[i], calls[i]);
                        calls[i] = {};
                        break;
                    default: static_cast<void>(board.next(works[i], batch)); break;
                }
            }
            for (std::size_t i = 0; i < 3; ++i) { board.append(works[i], calls[i]); }
            for (Board::Work& work : works) {
                for (int steps = 0; !work.empty() && steps < 10'000; ++steps) {
                    static_cast<void>(board.next(work, batch));
                }
                REQUIRE(work.empty());
            }
            for (const std::uint32_t wait : waits) {
                for (std::uint32_t e = board.waits[wait].first; e != latchbox::detail::none;
                     e = board.edges[e].next) {
                    REQUIRE(board.edges[e].seen == board.latches[board.edges[e].latch].state);
                }
            }
            REQUIRE(board.audit() == nullptr);
        }
    }
}

// --- what is left of it when the broker is closed ------------------------------------------------

TEST_CASE("a gate is neither counted down nor failed once the board is closed [7.5] [5.8]") {
    BareBoard b;
    const std::uint32_t gate = b.gate(2);
    const std::uint32_t handles = b.board.gate(gate).handles;
    b.board.hold_gate(gate);
    b.board.close(b.work);
    CHECK(b.board.is_closed());
    b.board.count_down(gate, 2, b.work);
    CHECK(b.board.gate(gate).count == 2);
    CHECK_FALSE(b.board.fail_gate(gate, Reason{Cause::failed, "late"}, b.work));
    CHECK(b.board.gate(gate).reason == Reason{});
    CHECK(b.board.latches[gate].state == LatchState::pending);
    for (std::uint32_t i = 0; i < handles + 1; ++i) {
        CHECK_FALSE(b.board.let_go_of_gate(gate, b.work));
    }
    CHECK(b.board.latches[gate].state == LatchState::pending);
    CHECK(b.work.empty());
}

TEST_CASE("nor is one that was open dropped with its last handle then [7.5]") {
    BareBoard b;
    const std::uint32_t gate = b.gate();
    while (b.board.gate(gate).handles == 0) { b.board.hold_gate(gate); }
    b.board.count_down(gate, 1, b.work);
    b.drain();
    b.board.close(b.work);
    while (b.board.gate(gate).handles != 0) { CHECK_FALSE(b.board.let_go_of_gate(gate, b.work)); }
    CHECK(b.board.latches.in_use() == 1);
    CHECK(b.board.gates.in_use() == 1);
}

TEST_CASE("work that is dropped as the board closes holds no latch any more [7.5]") {
    BareBoard b;
    const std::uint32_t parent = b.latch();
    const std::uint32_t other = b.latch();
    std::vector<std::uint32_t> waits;
    for (int i = 0; i < 3; ++i) {
        waits.push_back(b.child(OnParentFailure::dead_letter, {parent, other}));
    }
    Work first;
    b.board.set(parent, LatchState::dead, first);
    b.board.set(other, LatchState::dead, first);
    Work second;
    b.board.set(parent, LatchState::failed, second);  // takes it over
    CHECK(second.taken == 1);
    CHECK(b.board.latches[parent].works == 2);
    b.board.close(second);
    b.board.drop(second);
    b.board.drop(first);
    CHECK(first.empty());
    CHECK(second.empty());
    CHECK(b.board.latches[parent].works == 0);
    CHECK(b.board.latches[other].works == 0);
    // Its children leave one by one; the latch goes with the last of them, and not before.
    for (const std::uint32_t wait : waits) {
        CHECK(b.board.latches[parent].first != none);
        b.board.leave(wait, b.work);
        b.drain();
    }
    CHECK(b.board.waits.in_use() == 0);
    CHECK(b.board.edges.in_use() == 0);
    CHECK(b.board.latches.in_use() == 1);  // the one that may be redriven
}

TEST_CASE("whoever takes over another's work tells those who slept, too [5.8]") {
    BareBoard b;
    const std::uint32_t parents[] = {b.latch(), b.latch(), b.latch()};
    Onlooker sleepers[3];
    Work more;
    for (int i = 0; i < 3; ++i) { b.board.look_on(parents[i], sleepers[i]); }
    b.board.set(parents[0], LatchState::failed, b.work);
    CHECK_FALSE(b.work.empty());
    b.board.set(parents[1], LatchState::failed, more);
    b.board.set(parents[2], LatchState::failed, more);
    b.board.append(b.work, more);
    CHECK(b.drain().empty());
    Work only;
    only.told = b.work.told;
    CHECK_FALSE(only.empty());
    CHECK(told(b.work) == std::vector<Onlooker*>{&sleepers[2], &sleepers[1], &sleepers[0]});
    CHECK(b.work.empty());
}

// --- whose work it is ----------------------------------------------------------------------------

TEST_CASE("a batch is as many children of one queue as there is room for, and of no other") {
    BareBoard b;
    const std::uint32_t parent = b.latch();
    for (int i = 0; i < 40; ++i) { b.child(OnParentFailure::dead_letter, {parent}, 1); }
    for (int i = 0; i < 3; ++i) { b.child(OnParentFailure::dead_letter, {parent}, 2); }
    b.set(parent, LatchState::failed);
    Batch batch;
    for (const auto& [queue, count] : {std::pair{1U, 32U}, {1U, 8U}, {2U, 3U}}) {
        REQUIRE(b.board.next(b.work, batch));
        CHECK(batch.queue == queue);
        REQUIRE(batch.count == count);
    }
    CHECK_FALSE(b.board.next(b.work, batch));
}

// Latches with a child each, all of them dead by the first work.
struct TwoWorks : BareBoard {
    Work first;
    Work second;
    std::vector<std::uint32_t> parents;
    Ids children;

    explicit TwoWorks(int count) {
        for (int i = 0; i < count; ++i) {
            parents.push_back(latch());
            children.push_back(child_of(child(OnParentFailure::dead_letter, {parents.back()})));
            board.set(parents.back(), LatchState::dead, first);
        }
    }
    Ids drain(Work& of) {
        std::swap(work, of);
        Ids all = BareBoard::drain();
        std::swap(work, of);
        return all;
    }
};

TEST_CASE("who sets a latch last sees to its children, and nobody else does [5.4]") {
    TwoWorks b{1};
    b.board.set(b.parents[0], LatchState::failed, b.second);
    CHECK(b.second.taken == 1);
    CHECK(b.drain(b.first).empty());
    CHECK(b.drain(b.second) == b.children);
    CHECK(b.first.empty());
    CHECK(b.second.empty());
}

TEST_CASE("a latch that is set again by the same work is taken over once") {
    TwoWorks b{1};
    b.board.set(b.parents[0], LatchState::pending, b.second);
    b.board.set(b.parents[0], LatchState::failed, b.second);
    CHECK(b.second.taken == 1);
    CHECK(b.board.latches[b.parents[0]].works == 2);
    CHECK(b.drain(b.second) == b.children);
    CHECK(b.drain(b.first).empty());
}

TEST_CASE("a latch that comes back to the work that lists it is not taken over") {
    TwoWorks b{1};
    b.board.set(b.parents[0], LatchState::pending, b.second);
    b.board.set(b.parents[0], LatchState::dead, b.first);
    CHECK(b.first.taken == 0);
    CHECK(b.board.latches[b.parents[0]].owner == b.first.owner);
    CHECK(b.drain(b.second).empty());
    CHECK(b.board.latches[b.parents[0]].owner == b.first.owner);
    CHECK(b.drain(b.first) == b.children);
    CHECK(b.board.latches[b.parents[0]].owner == 0);
}

TEST_CASE("of more than it can take over a work leaves the rest to the other") {
    constexpr int more = static_cast<int>(Work::most_taken) + 2;
    TwoWorks b{more};
    for (const std::uint32_t parent : b.parents) {
        b.board.set(parent, LatchState::failed, b.second);
    }
    CHECK(b.second.taken == Work::most_taken);
    CHECK(b.board.latches[b.parents.back()].owner == b.first.owner);
    Ids seconds = b.drain(b.second);
    CHECK(seconds.size() == Work::most_taken);
    const Ids firsts = b.drain(b.first);
    CHECK(firsts == Ids(b.children.end() - 2, b.children.end()));
}

TEST_CASE("work that comes after another belongs to whoever has that") {
    TwoWorks b{3};
    Work third;
    SUBCASE("what it lists") {
        b.board.append(third, b.first);
        CHECK(third.owner == b.first.owner);
        CHECK(b.drain(third) == b.children);
    }
    SUBCASE("what it lists, behind what there is") {
        const std::uint32_t other = b.latch();
        const MessageId child = b.child_of(b.child(OnParentFailure::dead_letter, {other}));
        b.board.set(other, LatchState::dead, third);
        const std::uint64_t owner = third.owner;
        b.board.append(third, b.first);
        CHECK(third.owner == owner);
        Ids expected{child};
        expected.insert(expected.end(), b.children.begin(), b.children.end());
        CHECK(b.drain(third) == expected);
    }
    SUBCASE("but not what another has taken over from it") {
        b.board.set(b.parents[1], LatchState::failed, b.second);
        b.board.append(third, b.first);
        CHECK(b.drain(third) == Ids{b.children[0], b.children[2]});
        CHECK(b.drain(b.second) == Ids{b.children[1]});
    }
    SUBCASE("what it has taken over") {
        b.board.set(b.parents[1], LatchState::failed, b.second);
        b.board.set(b.parents[2], LatchState::failed, b.second);
        b.board.append(third, b.second);
        CHECK(third.taken == 2);
        CHECK(b.drain(third) == Ids{b.children[2], b.children[1]});
        CHECK(b.drain(b.first) == Ids{b.children[0]});
    }
    SUBCASE("not what it had taken over and lost") {
        b.board.set(b.parents[1], LatchState::pending, b.second);
        b.board.set(b.parents[1], LatchState::failed, b.first);
        b.board.append(third, b.second);
        CHECK(third.taken == 0);
        CHECK(b.drain(third).empty());
        CHECK(b.drain(b.first) == b.children);
    }
    SUBCASE("nothing at all") {
        b.board.append(b.first, third);
        const std::uint32_t other = b.latch();
        b.children.push_back(b.child_of(b.child(OnParentFailure::dead_letter, {other})));
        b.board.set(other, LatchState::dead, b.first);
        CHECK(b.drain(b.first) == b.children);
    }
    for (const std::uint32_t parent : b.parents) {
        if (b.first.empty() && b.second.empty() && third.empty()) {
            CHECK(b.board.latches[parent].works == 0);
        }
    }
}

TEST_CASE("the parent that is to blame stays so when it fails after another did [5.5]") {
    for (const OnParentFailure policy : BareBoard::policies) {
        BareBoard b;
        const std::uint32_t first = b.latch();
        const std::uint32_t second = b.latch();
        const MessageId ids[] = {b.id(first), b.id(second)};
        const std::uint32_t wait = b.child(policy, {first, second});
        b.set(first, LatchState::dead);
        b.drain();
        b.set(second, LatchState::failed);
        b.drain();
        const MessageId blamed = b.board.blame(wait);
        b.set(first, LatchState::failed);
        b.drain();
        CHECK(b.board.blame(wait) == blamed);
        if (policy == OnParentFailure::dead_letter) { CHECK(blamed == ids[0]); }
        if (policy == OnParentFailure::hold) { CHECK(blamed == ids[1]); }
    }
}

}  // namespace
