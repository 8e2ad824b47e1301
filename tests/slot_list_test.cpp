// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/slot_list.hpp"

#include <algorithm>
#include <list>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/testing/choices.hpp"

namespace {

using latchbox::detail::none;
using latchbox::detail::Record;
using latchbox::detail::Slot;
using latchbox::detail::SlotList;

// Walked forwards and backwards it holds what the naive list holds.
bool same(const SlotList& list, const std::vector<Record>& records, const std::list<Slot>& naive) {
    if (list.size() != naive.size() || list.empty() != naive.empty()) { return false; }
    Slot slot = list.front();
    for (const Slot expected : naive) {
        if (slot != expected) { return false; }
        slot = records[slot].links.next;
    }
    if (slot != none) { return false; }
    slot = list.back();
    for (auto expected = naive.rbegin(); expected != naive.rend(); ++expected) {
        if (slot != *expected) { return false; }
        slot = records[slot].links.previous;
    }
    return slot == none;
}

// One step, chosen among all that are possible in this state.
void step(latchbox::testing::Choices& choices, SlotList& list, std::vector<Record>& records,
          std::list<Slot>& naive) {
    const auto slots = static_cast<std::uint32_t>(records.size());
    const std::uint32_t choice = choices.pick(slots + 1);
    if (choice == slots) {
        const Slot expected = naive.empty() ? none : naive.front();
        if (!naive.empty()) { naive.pop_front(); }
        REQUIRE(list.pop_front(records) == expected);
        return;
    }
    const Slot slot = choice;
    const auto there = std::find(naive.begin(), naive.end(), slot);
    if (there != naive.end()) {
        list.remove(records, slot);
        naive.erase(there);
    } else {
        list.push_back(records, slot);
        naive.push_back(slot);
    }
}

TEST_CASE("every sequence of six steps over three slots does what std::list does") {
    latchbox::testing::Exhaustive choices;
    std::size_t sequences = 0;
    do {
        SlotList list;
        std::vector<Record> records(3);
        std::list<Slot> naive;
        for (int i = 0; i < 6; ++i) { step(choices, list, records, naive); }
        REQUIRE(same(list, records, naive));
        ++sequences;
    } while (choices.next());
    CHECK(sequences == 4 * 4 * 4 * 4 * 4 * 4);
}

TEST_CASE("a long walk over many slots does what std::list does") {
    latchbox::testing::Seeded choices{1};
    SlotList list;
    std::vector<Record> records(20);
    std::list<Slot> naive;
    for (int i = 0; i < 5'000; ++i) {
        step(choices, list, records, naive);
        REQUIRE(same(list, records, naive));
    }
}

TEST_CASE("two lists share the records as long as no slot is in both") {
    std::vector<Record> records(4);
    SlotList even;
    SlotList odd;
    for (Slot slot = 0; slot < 4; ++slot) { (slot % 2 == 0 ? even : odd).push_back(records, slot); }
    CHECK(same(even, records, {0, 2}));
    CHECK(same(odd, records, {1, 3}));
    even.remove(records, 0);
    odd.push_back(records, 0);
    CHECK(same(even, records, {2}));
    CHECK(same(odd, records, {1, 3, 0}));
}

}  // namespace
