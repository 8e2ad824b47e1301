// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/gate.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"
#include "support/sound.hpp"

namespace {

using namespace std::chrono_literals;
using latchbox::Cause;
using latchbox::Errc;
using latchbox::LatchState;
using latchbox::MessageId;
using latchbox::MessageState;
using latchbox::OnParentFailure;
using Broker = latchbox::Broker<std::string>;
using Gate = latchbox::Gate<std::string>;

static_assert(std::is_copy_constructible_v<Gate> && std::is_copy_assignable_v<Gate>);
static_assert(std::is_nothrow_move_constructible_v<Gate> && std::is_nothrow_destructible_v<Gate>);

struct Gated {
    latchbox::ManualClock clock;
    Broker broker{{.clock = &clock}};
    latchbox::Queue<std::string> q = broker.queue("q", {.lease = 10s});

    ~Gated() { support::check_sound(q); }

    MessageId behind(const Gate& gate, OnParentFailure policy = OnParentFailure::dead_letter) {
        return q.publish("c", {.parents = {gate.id()}, .on_parent_failure = policy}).value();
    }
    [[nodiscard]] MessageState state(const MessageId& id) const { return broker.explain(id).state; }
    LatchState latch(const MessageId& id) { return broker.latch(id).state().value(); }
};

TEST_CASE_FIXTURE(Gated, "a gate opens when it was counted down as often as asked [5.8] [5.1]") {
    const Gate gate = broker.gate(3);
    const MessageId child = behind(gate);
    CHECK(state(child) == MessageState::blocked);
    CHECK(state(gate.id()) == MessageState::shut);
    CHECK(broker.explain(gate.id()).count == 3);
    CHECK(to_string(broker.explain(gate.id())) ==
          to_string(gate.id()) + " is a gate that is shut: 3 to be counted down");
    CHECK(latch(gate.id()) == LatchState::pending);
    CHECK(gate.count_down());
    CHECK(broker.explain(gate.id()).count == 2);
    CHECK(q.try_fetch() == Errc::empty);
    CHECK(gate.count_down(2));
    CHECK(state(child) == MessageState::ready);
    CHECK(state(gate.id()) == MessageState::completed);
    CHECK(broker.explain(gate.id()).count == 0);
    CHECK(to_string(broker.explain(gate.id())) == to_string(gate.id()) + " has completed");
    CHECK(latch(gate.id()) == LatchState::completed);
    CHECK(q.pop());
}

TEST_CASE_FIXTURE(Gated,
                  "a gate is counted down once by default, and by more than it needs [5.8]") {
    const Gate one = broker.gate();
    CHECK(one.count_down(0));
    CHECK(state(one.id()) == MessageState::shut);
    CHECK(one.count_down());
    CHECK(state(one.id()) == MessageState::completed);
    const Gate most = broker.gate(~std::uint32_t{0});
    CHECK(most.count_down(~std::uint32_t{0} - 1));
    CHECK(broker.explain(most.id()).count == 1);
    CHECK(most.count_down(~std::uint32_t{0}));
    CHECK(state(most.id()) == MessageState::completed);
}

TEST_CASE_FIXTURE(Gated, "a gate of nothing is open at once [misuse 12] [5.8]") {
    const Gate gate = broker.gate(0);
    CHECK(state(gate.id()) == MessageState::completed);
    CHECK(latch(gate.id()) == LatchState::completed);
    CHECK(state(behind(gate)) == MessageState::ready);
    CHECK(gate.fail("late"));
    CHECK(state(gate.id()) == MessageState::completed);
    q.purge();
}

TEST_CASE_FIXTURE(Gated, "what is decided stays decided [misuse 12] [5.3]") {
    const Gate open = broker.gate(1);
    REQUIRE(open.count_down());
    CHECK(open.count_down());
    CHECK(open.fail("late"));
    CHECK(state(open.id()) == MessageState::completed);
    CHECK(broker.explain(open.id()).reason == latchbox::Reason{});
    const Gate failed = broker.gate(2);
    REQUIRE(failed.fail("first"));
    CHECK(failed.fail("second"));
    CHECK(failed.count_down(2));
    CHECK(state(failed.id()) == MessageState::failed);
    CHECK(broker.explain(failed.id()).reason == latchbox::Reason{Cause::failed, "first"});
}

TEST_CASE_FIXTURE(Gated, "a gate that fails is a failed parent, and keeps the reason [5.3] [5.5]") {
    const Gate gate = broker.gate();
    const MessageId dies = behind(gate);
    const MessageId goes = behind(gate, OnParentFailure::deliver);
    const MessageId holds = behind(gate, OnParentFailure::hold);
    CHECK(gate.fail(std::string(60, 'r')));
    CHECK(broker.explain(gate.id()).reason.text() == std::string(47, 'r'));
    CHECK(to_string(broker.explain(gate.id())) ==
          to_string(gate.id()) + " has failed: it failed: " + std::string(47, 'r'));
    CHECK(latch(gate.id()) == LatchState::failed);
    CHECK(state(dies) == MessageState::dead);
    CHECK(broker.explain(dies).reason == latchbox::Reason{gate.id()});
    CHECK(state(goes) == MessageState::ready);
    CHECK(state(holds) == MessageState::dead);
    // The same for those who come later.
    CHECK(state(behind(gate)) == MessageState::dead);
    CHECK(state(behind(gate, OnParentFailure::deliver)) == MessageState::ready);
    CHECK(state(behind(gate, OnParentFailure::hold)) == MessageState::dead);
    CHECK(q.dead_letters().redrive() == 0);
    CHECK(q.dead_letters().redrive(dies) == Errc::parent_failed);
    q.purge();
}

TEST_CASE_FIXTURE(Gated,
                  "a gate whose last handle goes before it is open has failed "
                  "[misuse 12] [5.8] [5.9]") {
    MessageId id;
    MessageId child;
    {
        std::optional<Gate> gate = broker.gate(2);
        id = gate->id();
        child = behind(*gate);
        Gate copy = *gate;
        Gate moved = std::move(copy);
        gate.reset();
        CHECK(state(id) == MessageState::shut);
        {
            const Gate another = moved;
            CHECK(another.id() == id);
        }
        CHECK(moved.count_down());
        CHECK(state(child) == MessageState::blocked);
    }
    CHECK(state(id) == MessageState::failed);
    CHECK(broker.explain(id).reason.cause() == Cause::abandoned);
    CHECK(to_string(broker.explain(id)) ==
          to_string(id) + " has failed: its last handle went before it was open");
    CHECK(broker.explain(child).reason == latchbox::Reason{id});
    CHECK(latch(id) == LatchState::failed);
}

TEST_CASE_FIXTURE(Gated, "a gate that was open may be let go of [5.8] [5.2]") {
    MessageId id;
    {
        const Gate gate = broker.gate(1);
        id = gate.id();
        REQUIRE(gate.count_down());
    }
    CHECK(state(id) == MessageState::completed);
    CHECK(latch(id) == LatchState::completed);
    REQUIRE(q.publish("c", {.parents = {id}}));
    CHECK(q.pop());
    CHECK(broker.stats().gates == 0);
    CHECK(broker.stats().latches == 0);
}

TEST_CASE_FIXTURE(Gated, "handles are assigned as values: what is overwritten is let go of [5.8]") {
    Gate one = broker.gate(1);
    Gate two = broker.gate(1);
    const MessageId first = one.id();
    const MessageId second = two.id();
    CHECK(first != second);
    Gate& same = one;
    one = same;
    CHECK(state(first) == MessageState::shut);
    one = two;
    CHECK(state(first) == MessageState::failed);
    CHECK(state(second) == MessageState::shut);
    CHECK(one.count_down());
    CHECK(state(second) == MessageState::completed);
    CHECK(two.count_down());  // the same gate
    two = broker.gate(1);
    CHECK(state(two.id()) == MessageState::shut);
    Gate moved = std::move(two);
    CHECK(moved.count_down());
    CHECK(two.count_down() == Errc::closed);  // NOLINT: moved from
    CHECK(two.fail() == Errc::closed);
}

TEST_CASE_FIXTURE(Gated, "gates and messages stand among the parents alike [5.1]") {
    const Gate gate = broker.gate(1);
    const auto parent = q.publish("p");
    const auto child =
        q.publish("c", {.parents = {gate.id(), *parent, gate.id(), broker.gate(0).id()}});
    REQUIRE(child);
    CHECK(broker.stats().edges == 2);
    SUBCASE("the gate last") {
        CHECK(q.pop().value() == "p");
        CHECK(q.try_fetch() == Errc::empty);
        CHECK(gate.count_down());
    }
    SUBCASE("the gate first") {
        CHECK(gate.count_down());
        CHECK(q.pop().value() == "p");
    }
    CHECK(q.pop().value() == "c");
    CHECK(broker.stats().edges == 0);
}

TEST_CASE_FIXTURE(Gated, "one gate opens many children in many queues, in publish order [5.4]") {
    const auto other = broker.queue("other");
    const Gate gate = broker.gate(1);
    for (int i = 0; i < 300; ++i) {
        REQUIRE((i % 2 == 0 ? q : other)
                    .publish(std::to_string(i), {.parents = {gate.id()}, .priority = 1}));
    }
    CHECK(gate.count_down());
    for (int i = 0; i < 300; ++i) {
        CHECK((i % 2 == 0 ? q : other).pop().value() == std::to_string(i));
    }
    support::check_sound(other);
}

TEST_CASE_FIXTURE(Gated, "a gate does first what is due [4.3] [5.4]") {
    const Gate gate = broker.gate(1);
    const MessageId mortal = q.publish("m", {.parents = {gate.id()}, .expires_in = 5s}).value();
    const MessageId later = q.publish("l", {.parents = {gate.id()}, .expires_in = 6s}).value();
    clock.advance(5s);
    SUBCASE("opened") {
        CHECK(gate.count_down());
        CHECK(state(later) == MessageState::ready);
    }
    SUBCASE("failed") {
        CHECK(gate.fail());
        CHECK(state(later) == MessageState::dead);
    }
    CHECK(state(mortal) == MessageState::failed);
    CHECK(broker.explain(mortal).reason.cause() == Cause::expired);
    q.purge();
}

TEST_CASE_FIXTURE(Gated, "gates are counted as long as somebody holds them, or waits [4.12]") {
    {
        std::vector<Gate> gates;
        for (int i = 0; i < 100; ++i) { gates.push_back(broker.gate(1)); }
        CHECK(broker.stats().gates == 100);
        for (int i = 0; i < 50; ++i) { static_cast<void>(behind(gates[0])); }
        CHECK(broker.stats().edges == 50);
        for (int i = 0; i < 100; i += 2) { CHECK(gates[static_cast<std::size_t>(i)].count_down()); }
        CHECK(broker.stats().edges == 0);
    }
    CHECK(broker.stats().gates == 0);
    CHECK(broker.stats().latches == 0);
    // Many come and go, and take the same places.
    MessageId last;
    for (int i = 0; i < 1'000; ++i) {
        const Gate gate = broker.gate(1);
        CHECK(gate.id() != last);
        last = gate.id();
        if (i % 2 == 0) { CHECK(gate.count_down()); }
    }
    CHECK(broker.stats().gates == 0);
    CHECK(broker.stats().latches == 0);
    q.purge();
}

TEST_CASE_FIXTURE(Gated, "a failed gate is forgotten as late as a failed message [5.2]") {
    const MessageId first = broker.gate(1).id();
    const std::size_t memory = latchbox::QueueOptions{}.outcome_memory;
    CHECK(state(first) == MessageState::failed);
    MessageId second;
    for (std::size_t i = 1; i < memory; ++i) {
        const MessageId id = broker.gate(1).id();
        if (i == 1) { second = id; }
    }
    CHECK(state(first) == MessageState::failed);
    static_cast<void>(broker.gate(1));
    CHECK(state(first) == MessageState::forgotten);
    CHECK(q.publish("c", {.parents = {first}}) == Errc::unknown_parent);
    CHECK(broker.latch(first).state() == Errc::unknown_message);
    CHECK(state(second) == MessageState::failed);
    CHECK(q.stats().accepted == 0);
}

TEST_CASE_FIXTURE(Gated, "what is no gate of this broker is never issued [5.2]") {
    using Parts = latchbox::detail::IdParts;
    Broker elsewhere{{.clock = &clock}};
    const Gate foreign = elsewhere.gate(1);
    const Gate gate = broker.gate(1);
    const MessageId next =
        Parts::message(Parts::issuer(gate.id()), Parts::number(gate.id()) + 1, 0);
    for (const MessageId& id : {foreign.id(), next}) {
        CHECK(state(id) == MessageState::never_issued);
        CHECK(q.publish("c", {.parents = {id}}) == Errc::unknown_parent);
        CHECK(broker.latch(id).state() == Errc::unknown_message);
    }
    // A gate is no message: no queue knows it.
    CHECK(q.cancel(gate.id()) == Errc::unknown_message);
    CHECK(q.dead_letters().redrive(gate.id()) == Errc::unknown_message);
}

TEST_CASE_FIXTURE(Gated, "after close a gate is closed, made before or later [7.5]") {
    const Gate open = broker.gate(1);
    REQUIRE(open.count_down());
    const Gate shut = broker.gate(2);
    const MessageId child = behind(shut);
    CHECK(broker.close().blocked == 1);
    CHECK(shut.count_down(2) == Errc::closed);
    CHECK(shut.fail() == Errc::closed);
    CHECK(open.count_down() == Errc::closed);
    CHECK(latch(open.id()) == LatchState::completed);
    CHECK(latch(shut.id()) == LatchState::failed);
    CHECK(latch(child) == LatchState::failed);
    CHECK(state(open.id()) == MessageState::completed);
    CHECK(state(shut.id()) == MessageState::shut);
    CHECK(broker.explain(shut.id()).count == 2);
    const Gate late = broker.gate(1);
    CHECK(late.count_down() == Errc::closed);
    CHECK(latch(late.id()) == LatchState::failed);
    CHECK(broker.latch(late.id()).wait() == Errc::closed);
}

TEST_CASE("a gate outlives its broker, and says closed then [4.8] [misuse 30]") {
    auto clock = std::make_unique<latchbox::ManualClock>();
    auto broker = std::make_unique<Broker>(latchbox::BrokerOptions{.clock = clock.get()});
    std::optional<Gate> gate = broker->gate(1);
    const Gate copy = *gate;
    REQUIRE(broker->queue("q").publish("c", {.parents = {gate->id()}}));
    broker.reset();
    clock.reset();
    CHECK(gate->count_down() == Errc::closed);
    CHECK(gate->fail("late") == Errc::closed);
    CHECK(gate->id() == copy.id());
    const Gate another = *gate;
    gate.reset();
    CHECK(copy.count_down() == Errc::closed);
}

TEST_CASE_FIXTURE(Gated,
                  "many threads count one gate down: it opens once, for each child once "
                  "[5.4]") {
    constexpr std::uint32_t threads = 4;
    constexpr std::uint32_t each = 500;
    const Gate gate = broker.gate(threads * each);
    for (int i = 0; i < 100; ++i) { static_cast<void>(behind(gate)); }
    std::atomic<bool> early{false};
    std::vector<std::thread> counting;
    for (std::uint32_t t = 0; t < threads; ++t) {
        counting.emplace_back([&, mine = gate] {
            for (std::uint32_t i = 0; i < each; ++i) {
                if (q.stats().ready != 0) { early = true; }
                if (!mine.count_down()) { early = true; }
            }
        });
    }
    for (std::thread& thread : counting) { thread.join(); }
    CHECK_FALSE(early);
    CHECK(q.stats().ready == 100);
    CHECK(q.pop_all()->size() == 100);
    CHECK(broker.stats().edges == 0);
}

TEST_CASE("a gate is usable without threads [5.8]") {
    latchbox::Broker<int, latchbox::SingleThread> broker;
    const auto q = broker.queue("q");
    const auto gate = broker.gate(1);
    REQUIRE(q.publish(1, {.parents = {gate.id()}}));
    CHECK(q.try_fetch() == Errc::empty);
    CHECK(gate.count_down());
    CHECK(q.pop().value() == 1);
    CHECK(broker.latch(gate.id()).state().value() == LatchState::completed);
    support::check_sound(q);
}

TEST_CASE(
    "a gate in hand is known as a parent, whatever was forgotten of other gates [5.2] [5.8]") {
    latchbox::Broker<int> broker;
    const auto queue = broker.queue("queue");
    const auto open = broker.gate();
    const auto failed = broker.gate();
    open.count_down();
    failed.fail("no");
    for (int i = 0; i < 65'540; ++i) { broker.gate().fail(); }
    const auto ready = queue.publish(1, {.parents = {open.id()}});
    const auto dead = queue.publish(2, {.parents = {failed.id()}});
    REQUIRE(ready);
    REQUIRE(dead);
    CHECK(broker.explain(*ready).state == latchbox::MessageState::ready);
    CHECK(broker.explain(*dead).reason.parent() == failed.id());
}

}  // namespace
