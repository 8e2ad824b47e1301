// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/table.hpp"

#include <set>
#include <vector>

#include <doctest/doctest.h>

#include "support/made.hpp"
#include "latchbox/testing/choices.hpp"

namespace {

using latchbox::detail::History;
using latchbox::detail::none;
using latchbox::detail::Record;
using latchbox::detail::Slot;
using latchbox::detail::Table;

Table table_for(std::size_t slots, std::size_t histories) {
    Table table;
    table.records = support::made<latchbox::detail::Record>(slots);
    table.histories = latchbox::detail::Growing<latchbox::detail::History>(histories);
    return table;
}

// Everything that may be told of a history, spoilt.
void spoil(History& history, std::uint32_t mark) {
    history.attempts = history.attempts_before_redrive = history.failures = mark;
    history.expires = latchbox::Instant{};
    history.life = latchbox::Duration{};
    history.reason = latchbox::Reason{latchbox::Cause::failed, "spoilt"};
}

bool is_new(const History& history) {
    return history.attempts == 0 && history.attempts_before_redrive == 0 && history.failures == 0 &&
           history.expires.is_never() && history.life.is_never() &&
           history.reason == latchbox::Reason{};
}

TEST_CASE("every sequence of givings and takings keeps one new history for each who has one") {
    latchbox::testing::Exhaustive choices;
    do {
        Table table = table_for(3, 3);
        std::set<Slot> have;
        for (int i = 0; i < 6; ++i) {
            const Slot slot = choices.pick(3);
            if (have.erase(slot) != 0) {
                table.take_history(slot);
                continue;
            }
            table.give_history(slot);
            REQUIRE(is_new(table.history(slot)));
            spoil(table.history(slot), slot + 1);
            have.insert(slot);
        }
        REQUIRE(table.histories_in_use() == have.size());
        REQUIRE(table.free_histories() == 3 - have.size());
        std::set<const History*> distinct;
        for (Slot slot = 0; slot < 3; ++slot) {
            REQUIRE(table.has_history(slot) == (have.count(slot) != 0));
            if (!table.has_history(slot)) { continue; }
            distinct.insert(&table.history(slot));
            REQUIRE(table.history(slot).slot == slot);
            REQUIRE(table.history(slot).attempts == slot + 1);
        }
        REQUIRE(distinct.size() == have.size());
    } while (choices.next());
}

TEST_CASE("taking a history from who has none changes nothing") {
    Table table = table_for(2, 1);
    table.take_history(0);
    CHECK(table.histories_in_use() == 0);
    table.give_history(1);
    table.take_history(0);
    CHECK(table.has_history(1));
    CHECK(table.free_histories() == 0);
}

TEST_CASE("more room is taken and keeps what was there") {
    Table table = table_for(2, 2);
    table.give_history(1);
    table.history(1).attempts = 9;
    table.records[0].number = 77;
    latchbox::detail::Growing<Record> records(5);
    latchbox::detail::Growing<History> histories(3);
    table.records.adopt(records);
    while (table.records.size() != table.records.room()) { table.records.add(); }
    CHECK(table.free_histories() == 1);
    table.histories.adopt(histories);
    CHECK(table.free_histories() == 2);
    CHECK(table.records[0].number == 77);
    CHECK(table.history(1).attempts == 9);
    table.give_history(4);
    table.give_history(0);
    CHECK(table.free_histories() == 0);
}

TEST_CASE("a place is the priority, and the id's number until the history has another") {
    Table table = table_for(1, 1);
    table.records[0].priority = 4;
    table.records[0].number = 3;
    CHECK(table.place(0).priority == 4);
    CHECK(table.place(0).number == 3);
    CHECK(table.records[0].history == none);
    table.give_history(0);
    CHECK(table.place(0).number == 3);
    table.history(0).place = 12;
    CHECK(table.place(0).priority == 4);
    CHECK(table.place(0).number == 12);
    table.take_history(0);
    CHECK(table.place(0).number == 3);
}

}  // namespace
