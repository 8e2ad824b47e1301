// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/ready_order.hpp"

#include <set>
#include <utility>

#include <doctest/doctest.h>

#include "support/made.hpp"
#include "latchbox/testing/choices.hpp"

namespace {

using latchbox::detail::none;
using latchbox::detail::Place;
using latchbox::detail::priorities;
using latchbox::detail::ReadyOrder;
using latchbox::detail::Slot;
using latchbox::detail::Table;

// READY messages beside a naive set of their places.
struct World {
    Table table;
    ReadyOrder ready;
    std::set<std::pair<Place, Slot>> naive;  // places are ordered as messages are delivered
    std::uint64_t next = 1;

    explicit World(std::size_t slots) {
        table.records = support::made<latchbox::detail::Record>(slots);
        table.histories = latchbox::detail::Growing<latchbox::detail::History>(slots);
        auto room = ReadyOrder::make(slots);
        ready.adopt(room);
        for (Slot slot = 0; slot < slots; ++slot) {
            table.give_history(slot);
            table.history(slot).place = next++;
        }
    }
    [[nodiscard]] bool contains(Slot slot) const {
        return naive.count({table.place(slot), slot}) != 0;
    }
    void insert(Slot slot) {
        ready.insert(table, slot);
        naive.insert({table.place(slot), slot});
    }
    void remove(Slot slot) {
        ready.remove(table, slot);
        naive.erase({table.place(slot), slot});
    }
    // At its old place, or with a new one at the back of some priority.
    void step(latchbox::testing::Choices& choices, std::uint32_t of_priorities) {
        const Slot slot = choices.pick(static_cast<std::uint32_t>(table.records.size()));
        if (contains(slot)) { return remove(slot); }
        if (const std::uint32_t choice = choices.pick(of_priorities + 1); choice != 0) {
            table.records[slot].priority = static_cast<std::uint8_t>(choice - 1);
            table.history(slot).place = next++;
        }
        insert(slot);
    }
    // The front is right, every message stands somewhere once, and the lines are in order.
    [[nodiscard]] bool same() const {
        if (ready.empty() != naive.empty() || !ready.returned().sound()) { return false; }
        if (!naive.empty() && ready.front(table) != naive.begin()->second) { return false; }
        std::size_t size = ready.returned().size();
        Slot lowest = none;
        for (unsigned priority = priorities; priority-- > 0;) {
            if (!ready.line(priority).empty()) { lowest = ready.line(priority).front(); }
            size += ready.line(priority).size();
            for (Slot slot = ready.line(priority).front(); slot != none;) {
                const Slot after = table.records[slot].links.next;
                if (!contains(slot) || table.records[slot].priority != priority) { return false; }
                if (after != none && !(table.place(slot) < table.place(after))) { return false; }
                slot = after;
            }
        }
        return size == naive.size() && ready.oldest_of_lowest() == lowest;
    }
    // How many come before each, and before any other place.
    [[nodiscard]] bool counts() const {
        std::size_t before = 0;
        for (const auto& [place, slot] : naive) {
            if (ready.before(table, place) != before++) { return false; }
        }
        for (unsigned priority = 0; priority < priorities; ++priority) {
            const Place last{static_cast<std::uint8_t>(priority), next};
            std::size_t above = 0;
            for (const auto& [place, slot] : naive) { above += place < last ? 1U : 0U; }
            if (ready.before(table, last) != above) { return false; }
        }
        return true;
    }
    [[nodiscard]] bool drains_in_order() {
        while (!naive.empty()) {
            if (!same() || !counts()) { return false; }
            const Slot front = ready.front(table);
            if (ready.pop(table) != front) { return false; }
            naive.erase({table.place(front), front});
        }
        return same();
    }
};

TEST_CASE("after every sequence of five steps messages come by priority, then number [4.4]") {
    latchbox::testing::Exhaustive choices;
    do {
        World world{3};
        for (int i = 0; i < 5; ++i) { world.step(choices, 2); }
        REQUIRE(world.drains_in_order());
    } while (choices.next());
}

TEST_CASE("along a walk with ten priorities the first is always that of a sorted set [4.4]") {
    latchbox::testing::Seeded choices{4};
    World world{40};
    for (int i = 0; i < 5'000; ++i) {
        world.step(choices, priorities);
        REQUIRE(world.same());
        if (i % 50 == 0) { REQUIRE(world.counts()); }
    }
    CHECK(world.drains_in_order());
}

TEST_CASE("what comes in publish order stands in line and needs no history") {
    Table table;
    table.records = support::made<latchbox::detail::Record>(4);
    ReadyOrder ready;
    for (Slot slot = 0; slot < 4; ++slot) {
        table.records[slot].number = slot + 1;
        table.records[slot].priority = static_cast<std::uint8_t>(slot % 2);
        ready.insert(table, slot);
    }
    CHECK(ready.returned().empty());
    CHECK(ready.oldest_of_lowest() == 0);
    for (const Slot expected : {1U, 3U, 0U, 2U}) {
        REQUIRE(ready.front(table) == expected);
        ready.remove(table, expected);
    }
    CHECK(ready.empty());
    CHECK(ready.oldest_of_lowest() == none);
}

TEST_CASE("what returns to an old place stands in the heap while others wait behind it [3]") {
    World world{3};
    world.insert(1);
    world.insert(0);
    world.insert(2);
    CHECK(world.ready.returned().size() == 1);
    CHECK(world.ready.front(world.table) == 0);
    CHECK(world.ready.oldest_of_lowest() == 1);
    world.remove(0);
    world.remove(1);
    world.remove(2);
    world.insert(0);
    CHECK(world.ready.returned().empty());
}

TEST_CASE("whoever is ready knows how many come before him, in line or in the heap [5.9]") {
    World world{4};
    world.table.records[3].priority = 2;
    for (const Slot slot : {1U, 0U, 2U, 3U}) { world.insert(slot); }
    for (const auto& [slot, before] : {std::pair{3U, 0U}, {0U, 1U}, {1U, 2U}, {2U, 3U}}) {
        CHECK(world.ready.before(world.table, world.table.place(slot)) == before);
    }
}

}  // namespace
