// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/judging.hpp"

#include <chrono>
#include <cstdint>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"
#include "support/sound.hpp"

// What parents have said reaches a queue, past its handles.
namespace {

using namespace std::chrono_literals;
using latchbox::LatchState;
using latchbox::MessageId;
using latchbox::MessageState;
using latchbox::detail::Access;
using latchbox::detail::IdParts;
using latchbox::detail::LatchBoard;
using latchbox::detail::none;
using Judging = latchbox::detail::Judging<int, latchbox::Threads>;

struct Judged {
    latchbox::ManualClock clock;
    latchbox::Broker<int> broker{{.clock = &clock}};
    latchbox::Queue<int> queue = broker.queue("queue", {.lease = 10s});
    Judging::Shell& shell = Access::shell(queue);

    ~Judged() { support::check_sound(queue); }
    [[nodiscard]] MessageId publish(const latchbox::PublishOptions& options = {}) const {
        return queue.publish(1, options).value();
    }
    void judge(const std::vector<MessageId>& children) const {
        LatchBoard::Batch batch;
        batch.queue = shell.number();
        for (const MessageId& child : children) { batch.children[batch.count++] = child; }
        Judging::After after;
        Judging::judge(shell, batch, shell.broker->arrive(true), after);
        shell.act_on(after);
    }
    [[nodiscard]] std::uint32_t latch_of(const MessageId& id) const {
        latchbox::detail::Lock held{shell.mutex};
        latchbox::detail::Lock lock{shell.broker->latches.mutex};
        return Judging::latch_of(shell, IdParts::slot(id));
    }
};

TEST_CASE_FIXTURE(Judged, "a child nobody spoke for stays where it is, and so does a stranger") {
    const MessageId parent = publish();
    const MessageId child = publish({.parents = {parent}});
    judge({child});
    CHECK(queue.stats().blocked == 1);
    judge({parent, MessageId{}, IdParts::message(shell.number(), 99, 0),
           IdParts::message(shell.number(), 1, 999)});
    CHECK(queue.stats().ready == 1);
    CHECK(queue.stats().blocked == 1);
    REQUIRE(queue.pop());
    judge({child, child});
    CHECK(queue.stats().ready == 1);
    REQUIRE(queue.pop());
    judge({child, parent});
    CHECK(queue.size() == 0);
}

TEST_CASE_FIXTURE(Judged, "a message has one latch, made when somebody asks first [5.4]") {
    const MessageId id = publish();
    // Without room on the board there is none.
    CHECK(latch_of(id) == none);
    const auto handle = broker.latch(id);
    const std::uint32_t latch = latch_of(id);
    CHECK(latch != none);
    CHECK(latch_of(id) == latch);
    CHECK(broker.stats().latches == 1);
    const MessageId dead = publish({.priority = 9});
    REQUIRE(queue.try_fetch()->reject());
    const std::uint32_t other = latch_of(dead);
    CHECK(other != latch);
    CHECK(shell.broker->latches.board.latches[other].state == LatchState::dead);
}

TEST_CASE_FIXTURE(Judged, "the blocked are listed in publish order, wherever they stand [7.5]") {
    CHECK(Judging::blocked_messages(shell).empty());
    const auto gate = broker.gate(1);
    std::vector<MessageId> blocked;
    for (int i = 0; i < 40; ++i) {
        const auto priority = static_cast<std::uint8_t>(i % 10);
        static_cast<void>(publish({.priority = priority}));
        blocked.push_back(publish({.parents = {gate.id()}, .priority = priority}));
    }
    CHECK(Judging::blocked_messages(shell) == blocked);
    REQUIRE(queue.cancel(blocked[7]));
    blocked.erase(blocked.begin() + 7);
    CHECK(Judging::blocked_messages(shell) == blocked);
    queue.purge();
    CHECK(Judging::blocked_messages(shell).empty());
    // A redriven one stands at the back, but was published before.
    const MessageId parent = publish();
    const MessageId early = publish({.parents = {parent}});
    REQUIRE(queue.try_fetch()->reject());
    REQUIRE(queue.dead_letters().redrive(parent));
    const MessageId late = publish({.parents = {parent}});
    REQUIRE(queue.dead_letters().redrive(early));
    CHECK(Judging::blocked_messages(shell) == std::vector<MessageId>{early, late});
    queue.purge();
}

}  // namespace
