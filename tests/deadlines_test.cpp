// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/deadlines.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include <doctest/doctest.h>

#include "support/made.hpp"
#include "latchbox/testing/choices.hpp"

namespace {

using latchbox::Duration;
using latchbox::Instant;
using latchbox::detail::Deadlines;
using latchbox::detail::Due;
using latchbox::detail::none;
using latchbox::detail::Slot;
using latchbox::detail::State;
using latchbox::detail::Table;

constexpr std::size_t slots = 3;

Instant at(std::uint32_t t) { return Instant{Duration::nanoseconds(t)}; }

// Deadlines of three messages, beside a naive table of them.
struct World {
    Table table;
    Deadlines deadlines;
    std::array<std::optional<Due>, slots> naive;

    World() {
        table.records = support::made<latchbox::detail::Record>(slots);
        table.histories = latchbox::detail::Growing<latchbox::detail::History>(slots);
        auto room = Deadlines::make(slots);
        deadlines.adopt(room);
        for (Slot slot = 0; slot < slots; ++slot) {
            table.records[slot].number = slot + 1;
            table.give_history(slot);
        }
    }
    [[nodiscard]] std::pair<Due, Slot> first() const {
        std::pair<Due, Slot> least{Due::never(), none};
        for (Slot slot = 0; slot < slots; ++slot) {
            if (naive[slot] && *naive[slot] < least.first) { least = {*naive[slot], slot}; }
        }
        return least;
    }
    void lease(Slot slot, Instant until, bool extended) {
        table.records[slot].state = State::leased;
        table.records[slot].at = until;
        if (!extended && deadlines.in_order(table, slot)) {
            deadlines.append_lease(table, slot);
        } else {
            deadlines.insert_lease(table, slot);
        }
        naive[slot] = Due{until, Due::lease, slot + 1};
    }
    void insert(Slot slot, Instant when, Due::Kind kind) {
        table.records[slot].state = State::delayed;
        deadlines.insert(table, slot, when, kind);
        naive[slot] = Due{when, kind, slot + 1};
    }
    void remove(Slot slot) {
        if (table.records[slot].state == State::leased) {
            deadlines.remove_lease(table, slot);
        } else {
            deadlines.remove(table, slot);
        }
        table.records[slot].state = State::dead;
        naive[slot].reset();
    }
    [[nodiscard]] bool same() const {
        const auto [due, slot] = deadlines.next(table);
        const auto count = std::count_if(naive.begin(), naive.end(), [](auto& d) { return !!d; });
        const auto size = deadlines.leases().size() + deadlines.others().size();
        return std::pair{due, slot} == first() && deadlines.others().sound() &&
               size == static_cast<std::size_t>(count);
    }
};

// One step of a slot: something due at 1, 2 or 3, or nothing any more.
void step(latchbox::testing::Choices& choices, World& world) {
    const Slot slot = choices.pick(slots);
    if (world.naive[slot]) { return world.remove(slot); }
    const Instant when = at(choices.pick(2) + 1);
    switch (choices.pick(4)) {
        case 0: return world.lease(slot, when, false);
        case 1: return world.lease(slot, when, true);
        case 2: return world.insert(slot, when, Due::life);
        default: return world.insert(slot, when, Due::delay);
    }
}

TEST_CASE("after every sequence of four steps the first is that of a naive table [4.3]") {
    latchbox::testing::Exhaustive choices;
    do {
        World world;
        for (int i = 0; i < 4; ++i) { step(choices, world); }
        REQUIRE(world.same());
    } while (choices.next());
}

TEST_CASE("along a walk what comes to stand in front is always announced [4.3]") {
    latchbox::testing::Seeded choices{3};
    World world;
    for (int i = 0; i < 5'000; ++i) {
        const Due before = world.first().first;
        step(choices, world);
        REQUIRE(world.same());
        REQUIRE(world.deadlines.next_due(world.table) == world.first().first);
        REQUIRE(world.deadlines.next_due_at(world.table) == world.first().first.at);
        const bool news = world.deadlines.news();
        if (world.first().first < before) { REQUIRE(news); }
        REQUIRE_FALSE(world.deadlines.news());
    }
}

TEST_CASE("leases granted in the order in which they run out stand in the list, others do not") {
    World world;
    world.lease(0, at(5), false);
    world.lease(1, at(7), false);
    CHECK(world.deadlines.leases().size() == 2);
    world.lease(2, at(6), false);
    CHECK(world.deadlines.leases().size() == 2);
    CHECK(world.deadlines.others().size() == 1);
    CHECK(world.same());
}

TEST_CASE("leases of one instant stand in the list if they were granted in the order of numbers") {
    World world;
    world.lease(0, at(5), false);
    world.lease(2, at(5), false);
    CHECK(world.deadlines.leases().size() == 2);
    world.lease(1, at(5), false);
    CHECK(world.deadlines.leases().size() == 2);
    CHECK(world.same());
}

TEST_CASE("at one instant the lower number is first, wherever it stands [4.3]") {
    World world;
    world.lease(2, at(5), false);
    world.lease(1, at(5), false);
    world.lease(0, at(5), true);
    for (Slot slot = 0; slot < slots; ++slot) {
        CHECK(world.deadlines.next(world.table).slot == slot);
        world.remove(slot);
    }
}

TEST_CASE("what is never due is nowhere, a lease for ever is never first") {
    World world;
    world.deadlines.insert(world.table, 0, Instant::never(), Due::delay);
    CHECK(world.same());
    world.lease(1, Instant::never(), false);
    CHECK(world.deadlines.next(world.table).due.at.is_never());
    world.insert(2, at(9), Due::life);
    CHECK(world.deadlines.next(world.table).slot == 2);
    world.remove(1);
    CHECK(world.same());
}

TEST_CASE("removing what has no deadline, or not even a history, changes nothing") {
    World world;
    world.lease(0, at(4), false);
    world.table.take_history(2);
    world.deadlines.remove(world.table, 1);
    world.deadlines.remove(world.table, 2);
    CHECK(world.same());
    CHECK(world.deadlines.next(world.table).slot == 0);
}

TEST_CASE("a lease behind another is no news, and takes none away") {
    World world;
    world.lease(0, at(5), false);
    CHECK(world.deadlines.news());
    world.lease(1, at(7), false);
    CHECK_FALSE(world.deadlines.news());
    World other;
    other.lease(0, at(5), false);
    other.lease(1, at(7), false);
    CHECK(other.deadlines.news());
}

}  // namespace
