// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/queue_audit.hpp"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "support/bare_core.hpp"
#include "latchbox/testing/choices.hpp"

// A sound core is sound after every step, and one that was tampered with is not.
namespace {

using latchbox::Overflow;
using latchbox::QueueOptions;
using latchbox::detail::none;
using latchbox::detail::State;
using latchbox::detail::Verdict;
using support::at;
using support::BareCore;
using support::ns;
using support::Slot;

// Any of those in this state, or `none`.
Slot some(latchbox::testing::Choices& choices, const BareCore& queue, bool leased) {
    std::vector<Slot> found;
    for (Slot slot = 0; slot < queue.core.slot_count(); ++slot) {
        const State state = queue.state(slot);
        if (leased ? state == State::leased : state > State::reserved && state != State::leased) {
            found.push_back(slot);
        }
    }
    const auto count = static_cast<std::uint32_t>(found.size());
    return found.empty() ? none : found[choices.pick(count)];
}

void settle(latchbox::testing::Choices& choices, BareCore& queue, Slot slot, std::int64_t now) {
    if (slot == none) { return; }
    switch (choices.pick(8)) {
        case 0: return queue.core.ack(slot, queue.effects);
        case 1: return queue.core.release(slot, at(now), queue.effects);
        case 2: return queue.core.requeue(slot, ns(choices.pick(6)), at(now), queue.effects);
        case 3: return queue.core.abandon(slot, at(now), queue.effects);
        case 4: return queue.core.fail(slot, "broken", at(now), queue.effects);
        case 5: return queue.core.reject(slot, "bad", queue.effects);
        case 6: return queue.core.take_back(slot, at(now), queue.effects);
        default: queue.core.extend(slot, at(now + choices.pick(20)));
    }
}

void remove(latchbox::testing::Choices& choices, BareCore& queue, std::int64_t now) {
    const Slot slot = some(choices, queue, false);
    const std::uint32_t choice = choices.pick(20);
    if (choice == 0) { queue.core.purge(queue.effects); }
    if (choice == 1) { queue.core.purge_dead(queue.effects); }
    if (choice < 2 || slot == none) { return; }
    if (queue.state(slot) == State::dead && choice < 16) {
        const bool held_back = queue.core.ties(slot).wait != none && choices.pick(2) == 0;
        return choice < 4 ? queue.core.take_dead(slot, queue.effects)
                          : queue.core.redrive(slot, at(now), held_back);
    }
    if (choice < 5) { queue.core.cancel(slot, queue.effects); }
}

// What parents may say of a child that waits for them; and somebody asks for a latch.
void tie(latchbox::testing::Choices& choices, BareCore& queue, std::int64_t now) {
    const Slot slot = some(choices, queue, choices.pick(2) == 0);
    if (slot == none) { return; }
    if (queue.core.latch(slot) == none && choices.pick(3) == 0) { return queue.watch(slot, slot); }
    if (queue.state(slot) != State::blocked || queue.core.ties(slot).wait == none) { return; }
    const Verdict verdicts[] = {Verdict::go, Verdict::wait, Verdict::die};
    const Verdict verdict = verdicts[choices.pick(3)];
    queue.core.judge(slot, verdict, {}, at(now), queue.effects);
    if (verdict == Verdict::go && choices.pick(2) == 0) { queue.core.forget_parents(slot); }
}

void publish(latchbox::testing::Choices& choices, BareCore& queue, std::int64_t now) {
    const std::int64_t delay = choices.pick(2) * choices.pick(6);
    latchbox::detail::Wishes wishes{.priority = static_cast<std::uint8_t>(choices.pick(3)),
                                    .delay = ns(delay)};
    if (choices.pick(3) == 0) { wishes.life = ns(delay + 1 + choices.pick(9)); }
    switch (choices.pick(6)) {
        case 4: wishes.verdict = Verdict::wait; break;
        case 5: wishes.verdict = Verdict::die; break;
        default: break;
    }
    if (wishes.verdict != Verdict::go || choices.pick(8) == 0) { wishes.wait = 7; }
    const std::uint32_t key = choices.pick(2) * choices.pick(5);
    queue.publish(std::string(key, 'k'), at(now), wishes);
}

// One step of anything, after all that is due.
void step(latchbox::testing::Choices& choices, BareCore& queue, std::int64_t& now) {
    if (choices.pick(3) == 0) { now += choices.pick(5); }
    queue.pass(at(now));
    queue.core.see(at(now));
    switch (choices.pick(10)) {
        case 0:
        case 1:
        case 2: publish(choices, queue, now); break;
        case 3:
        case 4:
            if (queue.core.has_ready()) { queue.fetch(at(now)); }
            break;
        case 5:
        case 6: settle(choices, queue, some(choices, queue, true), now); break;
        case 7:
        case 8: tie(choices, queue, now); break;
        default: remove(choices, queue, now);
    }
    queue.collect();
}

QueueOptions some_options(latchbox::testing::Choices& choices) {
    QueueOptions options = {.lease = ns(1 + choices.pick(10)), .capacity = 1 + choices.pick(12)};
    if (choices.pick(2) == 0) { options.overflow = Overflow::drop_oldest; }
    options.max_failures = choices.pick(4);
    options.max_attempts = choices.pick(6);
    options.backoff = {.first = ns(choices.pick(4)), .limit = ns(8)};
    if (choices.pick(3) == 0) { options.dead_capacity = choices.pick(3); }
    if (choices.pick(2) == 0) { options.outcome_memory = choices.pick(4); }
    return options;
}

TEST_CASE("a core is sound after every step of long walks with any options [4.1] [4.12]") {
    latchbox::QueueStats reached;
    for (std::uint64_t seed = 0; seed < 60; ++seed) {
        latchbox::testing::Seeded choices{seed};
        BareCore queue{some_options(choices),
                       seed % 2 == 0 ? support::FromOne::start : support::NearTheEnd::start};
        std::int64_t now = 0;
        for (int i = 0; i < 500; ++i) {
            step(choices, queue, now);
            const char* const broken = queue.core.audit();
            INFO("seed ", seed, " step ", i, ": ", std::string(broken == nullptr ? "" : broken));
            REQUIRE(broken == nullptr);
            REQUIRE(queue.core.stats().accepted - queue.core.held() == queue.gone.size());
        }
        queue.core.end(queue.effects);
        queue.collect();
        REQUIRE(queue.sound());
        reached += queue.core.stats();
    }
    // The walks have been everywhere.
    for (const std::uint64_t count :
         {reached.completed, reached.expired, reached.purged, reached.evicted, reached.cancelled,
          reached.redelivered, reached.released, reached.requeued, reached.abandoned,
          reached.failed, reached.leases_run_out, reached.rejected, reached.redriven}) {
        CHECK(count > 100);
    }
}

TEST_CASE("a copy of a core does from then on what the core does") {
    for (std::uint64_t seed = 0; seed < 40; ++seed) {
        latchbox::testing::Seeded choices{seed};
        BareCore queue{some_options(choices), {.first_bits = 0}};
        std::int64_t now = 0;
        for (std::uint32_t i = choices.pick(150); i > 0; --i) { step(choices, queue, now); }
        BareCore copy{queue};
        BareCore assigned;
        assigned = queue;
        for (BareCore* twin : {&copy, &assigned}) {
            // Each in turn, so that a shared piece would show.
            BareCore original{queue};
            latchbox::testing::Seeded once{seed + 1'000};
            latchbox::testing::Seeded again{seed + 1'000};
            std::int64_t then = now;
            std::int64_t twins = now;
            for (int i = 0; i < 60; ++i) {
                step(once, original, then);
                step(again, *twin, twins);
                REQUIRE(original.core.stats() == twin->core.stats());
                REQUIRE(original.core.next_due() == twin->core.next_due());
                REQUIRE(original.gone == twin->gone);
                REQUIRE(twin->sound());
            }
            REQUIRE(original.order() == twin->order());
        }
        REQUIRE(queue.sound());
    }
}

// A core with one message in each state: ready, leased, delayed and dead.
struct OfEach : BareCore {
    Slot dead = publish();
    Slot leased = none;
    Slot ready = none;
    Slot second = none;
    Slot delayed = none;

    OfEach() {
        fetch();
        core.reject(dead, "bad", effects);
        leased = publish();
        fetch();
        ready = publish();
        second = publish();
        delayed = publish(at(0), {.delay = ns(5)});
        REQUIRE(sound());
    }
    [[nodiscard]] std::string broken() const {
        const char* const found = core.audit();
        return found == nullptr ? "sound" : found;
    }
    latchbox::detail::Record& record(Slot slot) { return core.records()[slot]; }
    latchbox::detail::History& history(Slot slot) {
        return const_cast<latchbox::detail::History&>(core.history(slot));
    }
};

TEST_CASE("what is kept for nobody is found where nothing is under way") {
    OfEach queue;
    const auto broken = [&] {
        const char* const found = queue.core.audit_at_rest();
        return std::string{found == nullptr ? "sound" : found};
    };
    REQUIRE(broken() == "sound");
    SUBCASE("room") {
        const Slot slot = queue.reserve();
        CHECK(broken() == "room for nobody");
        queue.core.withdraw(slot);
        CHECK(broken() == "sound");
    }
    SUBCASE("a history") {
        queue.core.promise_histories(1);
        CHECK(broken() == "a history for nobody");
    }
    SUBCASE("a line") {
        queue.core.promise_lines(1);
        CHECK(broken() == "a line or a value for nobody");
    }
    SUBCASE("a value") {
        queue.core.promise_values(1);
        CHECK(broken() == "a line or a value for nobody");
    }
    SUBCASE("a slot") {
        queue.core.ack(queue.leased, queue.effects);
        CHECK(broken() == "a slot that is lost");
        queue.effects.gone.pop_front(queue.core.records());
        queue.core.vacate(queue.leased, true);
        CHECK(broken() == "sound");
    }
    SUBCASE("whatever else is broken") {
        queue.core.redeem_histories(1);
        CHECK(broken() == "no promise to one that may come back");
    }
}

TEST_CASE("whatever is changed behind its back is found") {
    OfEach queue;
    SUBCASE("a number") {
        queue.record(queue.ready).number = 0;
        CHECK(queue.broken() == "a number never drawn");
        queue.record(queue.ready).number = 99;
        CHECK(queue.broken() == "a number never drawn");
    }
    SUBCASE("a place") {
        queue.history(queue.delayed).place = 1;
        CHECK(queue.broken() == "a bad place");
        queue.history(queue.delayed).place = 99;
        CHECK(queue.broken() == "a bad place");
    }
    SUBCASE("a priority") {
        queue.record(queue.ready).priority = 10;
        CHECK(queue.broken() == "a priority out of range");
        queue.record(queue.ready).priority = 3;
        CHECK(queue.broken() == "a stranger in a line");
    }
    SUBCASE("a state") {
        queue.record(queue.ready).state = State::delayed;
        CHECK(queue.broken() == "no history, and neither in line nor handed out");
        queue.record(queue.ready).state = State::reserved;
        CHECK(queue.broken() == "counts by state differ from the records");
        queue.record(queue.ready).state = State::ready;
        CHECK(queue.broken() == "sound");
        queue.record(queue.delayed).state = State::dead;
        CHECK(queue.broken() == "time will touch the dead");
        queue.record(queue.delayed).state = State::leased;
        CHECK(queue.broken() == "a lease never granted");
        queue.record(queue.delayed).lease = queue.record(queue.leased).lease;
        CHECK(queue.broken() == "leased, and never handed out");
    }
    SUBCASE("a history") {
        queue.record(queue.leased).history = queue.record(queue.dead).history;
        CHECK(queue.broken() == "a history of another slot");
    }
    SUBCASE("a vacant slot") {
        const Slot gone = queue.fetch();
        queue.core.ack(gone, queue.effects);
        queue.collect();
        REQUIRE(queue.sound());
        queue.record(gone).state = State::reserved;
        CHECK(queue.broken() == "a slot in use among the vacant");
    }
    SUBCASE("a history that was promised") {
        queue.core.redeem_histories(1);
        CHECK(queue.broken() == "no promise to one that may come back");
    }
    SUBCASE("the order of a line") {
        std::swap(queue.record(queue.ready).number, queue.record(queue.second).number);
        CHECK(queue.broken() == "a line is out of order");
    }
    SUBCASE("room that was never reserved") {
        queue.core.redeem(1);
        queue.core.promise(1);
        CHECK(queue.broken() == "sound");
        const Slot slot = queue.reserve();
        queue.core.redeem(1);
        CHECK(queue.broken() == "reserved slots are miscounted");
        queue.core.promise(1);
        queue.core.withdraw(slot);
        CHECK(queue.broken() == "sound");
    }
}

// One of a key in each state that holds it, another behind each, and one that waits for parents.
struct OfTies : BareCore {
    Slot head = publish("tea");
    Slot next = publish("tea");
    Slot child = publish_child(7);
    Slot watched = publish();

    OfTies() {
        watch(watched, 5);
        REQUIRE(sound());
    }
    [[nodiscard]] std::string broken() const {
        const char* const found = core.audit();
        return found == nullptr ? "sound" : found;
    }
    // The audit is all that reads them here.
    latchbox::detail::Ties& ties(Slot slot) {
        return const_cast<latchbox::detail::Ties&>(core.ties(slot));
    }
    template <class T>
    std::string broken_by(T& what, T value, const std::string& otherwise = "sound") {
        const T before = std::exchange(what, value);
        const std::string found = broken();
        what = before;
        REQUIRE(broken() == otherwise);
        return found;
    }
};

TEST_CASE("whatever is changed of lines, waits and latches is found") {
    OfTies queue;
    SUBCASE("who has to wait") {
        CHECK(queue.broken_by(queue.ties(queue.child).wait, none) == "held back by nobody");
        CHECK(queue.broken_by(queue.ties(queue.child).held_back, false) ==
              "blocked without a reason, or not blocked with one");
        CHECK(queue.broken_by(queue.ties(queue.head).held_back, true) == "held back by nobody");
        CHECK(queue.broken_by(queue.ties(queue.next).line, none) ==
              "blocked without a reason, or not blocked with one");
        CHECK(queue.broken_by(queue.core.records()[queue.next].state, State::ready) ==
              "blocked without a reason, or not blocked with one");
        CHECK(queue.broken_by(queue.core.records()[queue.child].state, State::ready) ==
              "blocked without a reason, or not blocked with one");
    }
    SUBCASE("who stands in line") {
        using Stand = latchbox::detail::Ties::Stand;
        CHECK(queue.broken_by(queue.ties(queue.head).stand, Stand::waiting) ==
              "blocked without a reason, or not blocked with one");
        CHECK(queue.broken_by(queue.ties(queue.next).stand, Stand::active) ==
              "blocked without a reason, or not blocked with one");
        CHECK(queue.broken_by(queue.ties(queue.next).stand, Stand::out) ==
              "alive, and nowhere in the line of its key");
        CHECK(queue.broken_by(queue.ties(queue.child).stand, Stand::waiting) ==
              "in the line of a key where it has no place");
        CHECK(queue.broken_by(queue.ties(queue.next).before, queue.child) ==
              "lines of keys are broken or miscounted");
        CHECK(queue.broken_by(queue.ties(queue.head).line, none) != "sound");
        queue.ties(queue.next).stand = Stand::active;
        CHECK(queue.broken_by(queue.core.records()[queue.next].state, State::ready,
                              "blocked without a reason, or not blocked with one") ==
              "two of one key are active");
    }
    SUBCASE("whose latch was told") {
        CHECK(queue.broken_by(queue.ties(queue.watched).noted, true) ==
              "a latch that was not told");
        queue.core.cancel(queue.watched, queue.effects);
        CHECK(queue.broken() != "sound");
        queue.collect();
        CHECK(queue.broken() == "sound");
    }
    SUBCASE("what was remembered of failures") {
        queue.core.issued().remember(queue.number(queue.head), latchbox::Cause::none);
        CHECK(queue.broken() == "remembered failures are out of order");
    }
    SUBCASE("room for failures") {
        static_cast<void>(queue.core.issued().hand_over());
        CHECK(queue.broken() == "sound");
        queue.core.issued() = latchbox::detail::Issued{100};
        for (int i = 0; i < 9; ++i) { queue.core.issued().draw(); }
        CHECK(queue.broken() == "no memory for failures to come");
    }
}

TEST_CASE("a core that outlives its deadlines is found, for as long as nobody does what is due") {
    OfEach queue;
    queue.publish(at(0) + latchbox::QueueOptions{}.lease);
    CHECK(queue.broken() == "a lease outlived its deadline");
    queue.pass(at(0) + latchbox::QueueOptions{}.lease);
    CHECK(queue.broken() == "sound");
}

TEST_CASE("promises beyond the capacity are found") {
    BareCore queue{{.capacity = 2}};
    queue.publish();
    queue.core.promise(2);
    REQUIRE(queue.core.audit() != nullptr);
    CHECK(std::string{queue.core.audit()} == "more held than capacity");
}

}  // namespace
