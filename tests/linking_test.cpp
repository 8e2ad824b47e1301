// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/linking.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"
#include "support/sound.hpp"

// Messages that are about to be published are linked to their parents: by hand, step by step.
namespace {

using namespace std::chrono_literals;
using latchbox::Errc;
using latchbox::MessageId;
using latchbox::OnParentFailure;
using latchbox::detail::Access;
using latchbox::detail::IdParts;
using latchbox::detail::none;
using latchbox::detail::Verdict;
using latchbox::detail::Wishes;
using Linking = latchbox::detail::Linking<int, latchbox::Threads>;

struct Linked {
    latchbox::ManualClock clock;
    latchbox::Broker<int> broker{{.clock = &clock}};
    latchbox::Queue<int> queue = broker.queue("queue", {.lease = 10s});
    Linking::Shell& shell = Access::shell(queue);
    Linking::Broker& board = *shell.broker;
    latchbox::Gate<int> gate = broker.gate(1);
    MessageId parent = queue.publish(1).value();

    ~Linked() { support::check_sound(queue); }
    // The next message, as if it were accepted now; it leaves again at once.
    Wishes attach(Linking& linking) const {
        Wishes wishes;
        latchbox::detail::Lock lock{shell.mutex};
        linking.attach(IdParts::message(shell.number(), 77, 7), wishes);
        return wishes;
    }
    void end(const Wishes& wishes) const {
        if (wishes.wait == none) { return; }
        latchbox::detail::LatchBoard::Work work;
        {
            latchbox::detail::Lock lock{board.latches.mutex};
            board.latches.board.leave(wishes.wait, work);
        }
        board.carry_out(work, board.arrive(true));
    }
};

TEST_CASE_FIXTURE(Linked, "what is linked and not accepted is taken off the board again [4.11]") {
    {
        Linking linking{board};
        CHECK_FALSE(linking.any());
        CHECK(linking.link(3, {parent, gate.id()}, OnParentFailure::dead_letter) == Errc{});
        CHECK(linking.any());
        CHECK(broker.stats().edges == 6);
        CHECK(broker.stats().latches == 2);
    }
    CHECK(broker.stats().edges == 0);
    // The parent keeps the latch it got; who asks again finds it.
    Linking again{board};
    CHECK(again.link(1, {parent}, OnParentFailure::dead_letter) == Errc{});
    CHECK(broker.stats().edges == 1);
}

TEST_CASE_FIXTURE(Linked, "one unknown parent, and nothing is linked [5.2]") {
    const MessageId next = IdParts::message(shell.number(), 2, 1);
    for (const MessageId& wrong : {MessageId{}, next}) {
        for (const std::vector<MessageId>& parents :
             {std::vector{wrong}, std::vector{parent, wrong}, std::vector{wrong, gate.id()}}) {
            Linking linking{board};
            CHECK(linking.link(2, parents, OnParentFailure::deliver) == Errc::unknown_parent);
        }
    }
    CHECK(broker.stats().edges == 0);
    broker.close();
    Linking late{board};
    CHECK(late.link(1, {parent}, OnParentFailure::hold) == Errc::closed);
}

TEST_CASE_FIXTURE(Linked, "a parent named before is not linked again, wherever it stands [5.1]") {
    const MessageId other = queue.publish(2).value();
    Linking linking{board};
    CHECK(linking.link(1, {parent, other, parent, gate.id(), gate.id(), other, parent},
                       OnParentFailure::dead_letter) == Errc{});
    CHECK(broker.stats().edges == 3);
    Linking two{board};
    CHECK(two.link(1, {parent, parent}, OnParentFailure::dead_letter) == Errc{});
    CHECK(broker.stats().edges == 4);
}

TEST_CASE_FIXTURE(Linked, "what parents do between link and acceptance is not missed [5.4]") {
    Linking linking{board};
    REQUIRE(linking.link(1, {parent, gate.id()}, OnParentFailure::dead_letter) == Errc{});
    SUBCASE("nothing") {
        const Wishes wishes = attach(linking);
        CHECK(wishes.verdict == Verdict::wait);
        CHECK(wishes.wait != none);
        CHECK(broker.stats().edges == 2);
        end(wishes);
    }
    SUBCASE("all complete") {
        REQUIRE(queue.pop());
        REQUIRE(gate.count_down());
        const Wishes wishes = attach(linking);
        CHECK(wishes.verdict == Verdict::go);
        CHECK(wishes.wait == none);
    }
    SUBCASE("one dies") {
        REQUIRE(queue.try_fetch()->reject());
        const Wishes wishes = attach(linking);
        CHECK(wishes.verdict == Verdict::die);
        CHECK(wishes.parent == parent);
        end(wishes);
    }
    SUBCASE("one dies and comes back") {
        REQUIRE(queue.try_fetch()->reject());
        REQUIRE(queue.dead_letters().redrive(parent));
        const Wishes wishes = attach(linking);
        CHECK(wishes.verdict == Verdict::wait);
        end(wishes);
    }
    SUBCASE("one fails") {
        REQUIRE(gate.fail());
        const Wishes wishes = attach(linking);
        CHECK(wishes.verdict == Verdict::die);
        CHECK(wishes.parent == gate.id());
        end(wishes);
    }
    CHECK_FALSE(linking.any());
    CHECK(broker.stats().edges == 0);
    queue.purge();
}

TEST_CASE_FIXTURE(Linked, "parents that are gone are judged by what is remembered [5.2]") {
    REQUIRE(queue.cancel(parent));
    for (const OnParentFailure policy :
         {OnParentFailure::dead_letter, OnParentFailure::hold, OnParentFailure::deliver}) {
        Linking linking{board};
        REQUIRE(linking.link(1, {parent}, policy) == Errc{});
        const Wishes wishes = attach(linking);
        const bool delivers = policy == OnParentFailure::deliver;
        CHECK(wishes.verdict == (delivers ? Verdict::go : Verdict::die));
        end(wishes);
    }
    const MessageId done = queue.publish(2).value();
    REQUIRE(queue.pop());
    Linking linking{board};
    REQUIRE(linking.link(1, {done}, OnParentFailure::dead_letter) == Errc{});
    const Wishes wishes = attach(linking);
    CHECK(wishes.verdict == Verdict::go);
    CHECK(wishes.wait == none);
    CHECK(broker.stats().edges == 0);
}

TEST_CASE_FIXTURE(Linked, "a message of a topic is a parent as its copies stand together [5.3]") {
    const auto topic = broker.topic("topic", {.retain_count = 9});
    const MessageId nobodys = topic.publish(1).value();
    const auto one = broker.subscribe("topic");
    const auto other = broker.subscribe("*");
    const MessageId pending = topic.publish(2).value();
    const MessageId failed = topic.publish(3).value();
    REQUIRE(other.cancel(failed));
    const auto verdict = [this](const MessageId& of) {
        Linking linking{board};
        REQUIRE(linking.link(1, {of}, OnParentFailure::dead_letter) == Errc{});
        const Wishes wishes = attach(linking);
        end(wishes);
        return wishes.verdict;
    };
    CHECK(verdict(nobodys) == Verdict::go);
    CHECK(verdict(pending) == Verdict::wait);
    CHECK(verdict(failed) == Verdict::die);
    REQUIRE(one.try_fetch()->ack());
    CHECK(verdict(pending) == Verdict::wait);
    REQUIRE(other.try_fetch()->reject("no"));
    CHECK(verdict(pending) == Verdict::die);
    CHECK(other.dead_letters().redrive() == 1);
    CHECK(verdict(pending) == Verdict::wait);
    REQUIRE(other.try_fetch()->ack());
    CHECK(verdict(pending) == Verdict::go);
    Linking linking{board};
    const MessageId later = IdParts::message(IdParts::issuer(pending), ~std::uint64_t{0}, 0);
    CHECK(linking.link(1, {later}, OnParentFailure::dead_letter) == Errc::unknown_parent);
    CHECK(broker.stats().edges == 0);
}

TEST_CASE_FIXTURE(Linked,
                  "of one accepted long ago, parents that are forgotten have failed [5.2]") {
    const auto forgetful = broker.queue("forgetful", {.outcome_memory = 0});
    const MessageId forgotten = forgetful.publish(1).value();
    REQUIRE(forgetful.cancel(forgotten));
    Linking first{board};
    CHECK(first.link(1, {forgotten}, OnParentFailure::dead_letter) == Errc::unknown_parent);
    Linking again{board, true};
    REQUIRE(again.link(1, {forgotten}, OnParentFailure::dead_letter) == Errc{});
    const Wishes wishes = attach(again);
    CHECK(wishes.verdict == Verdict::die);
    CHECK(wishes.parent == forgotten);
    end(wishes);
    Linking kept{board, true};
    REQUIRE(kept.link(1, {parent, forgotten}, OnParentFailure::deliver) == Errc{});
    const Wishes waiting = attach(kept);
    CHECK(waiting.verdict == Verdict::wait);
    end(waiting);
}

}  // namespace
