// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/slot_set.hpp"

#include <cstddef>
#include <cstdint>
#include <set>

#include <doctest/doctest.h>

#include "latchbox/testing/choices.hpp"

namespace {

using latchbox::detail::none;
using latchbox::detail::Slot;
using latchbox::detail::SlotSet;

SlotSet with_room(std::size_t slots) {
    SlotSet set;
    auto room = SlotSet::make(slots);
    set.adopt(room);
    return set;
}

TEST_CASE("a set without room is empty, and has no slot") {
    const SlotSet set;
    CHECK(set.empty());
    CHECK(set.first() == none);
    CHECK_FALSE(set.contains(0));
    CHECK(set.sound());
}

TEST_CASE("along walks the lowest is first, beside a sorted set, at the ends of each level") {
    // One word, two of them, a word of words, and one more; three levels, and four.
    for (const std::size_t slots : {1U, 64U, 65U, 4'096U, 4'097U, 262'144U, 262'145U}) {
        latchbox::testing::Seeded choices{slots};
        SlotSet set = with_room(slots);
        std::set<Slot> naive;
        const auto last = static_cast<Slot>(slots - 1);
        for (int i = 0; i < 3'000; ++i) {
            const Slot near = choices.pick(130);
            const Slot any = choices.pick(static_cast<std::uint32_t>(slots));
            const Slot slot = choices.pick(3) == 0 ? any : near < last ? last - near : last;
            if (choices.pick(2) == 0 && naive.insert(slot).second) { set.insert(slot); }
            if (choices.pick(3) == 0 && !naive.empty()) {
                REQUIRE(set.take_first() == *naive.begin());
                naive.erase(naive.begin());
            }
            REQUIRE(set.empty() == naive.empty());
            REQUIRE(set.first() == (naive.empty() ? none : *naive.begin()));
            REQUIRE(set.contains(slot) == (naive.count(slot) != 0));
            if (i % 300 == 0) { REQUIRE(set.sound()); }
        }
        while (!naive.empty()) {
            REQUIRE(set.take_first() == *naive.begin());
            naive.erase(naive.begin());
        }
        CHECK(set.empty());
        CHECK(set.sound());
        CHECK_FALSE(set.contains(static_cast<Slot>(slots + 63)));
    }
}

TEST_CASE("what is in stays in when it grows, by levels too; smaller room is not taken") {
    for (const std::size_t larger : {64U, 65U, 4'097U, 262'145U}) {
        SlotSet set = with_room(64);
        for (const Slot slot : {3U, 40U, 63U}) { set.insert(slot); }
        auto room = SlotSet::make(larger);
        set.adopt(room);
        CHECK(set.sound());
        auto smaller = SlotSet::make(64);
        set.adopt(smaller);
        CHECK(smaller.words.size() == 1);
        set.insert(static_cast<Slot>(larger == 64 ? 0 : larger - 1));
        if (larger == 64) { CHECK(set.take_first() == 0); }
        for (const Slot slot : {3U, 40U, 63U}) { CHECK(set.take_first() == slot); }
        CHECK(set.first() == (larger == 64 ? none : static_cast<Slot>(larger - 1)));
        CHECK(set.sound());
    }
    // From many words to more.
    SlotSet set = with_room(130);
    for (Slot slot = 0; slot < 130; slot += 3) { set.insert(slot); }
    auto room = SlotSet::make(10'000);
    set.adopt(room);
    CHECK(set.sound());
    for (Slot slot = 0; slot < 130; slot += 3) { REQUIRE(set.take_first() == slot); }
    CHECK(set.empty());
}

TEST_CASE("a copy has the same slots, and a life of its own") {
    SlotSet set = with_room(100);
    set.insert(99);
    set.insert(7);
    SlotSet copy{set};
    CHECK(copy.take_first() == 7);
    CHECK(set.first() == 7);
    CHECK(copy.first() == 99);
    CHECK(copy.sound());
}

}  // namespace
