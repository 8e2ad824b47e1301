// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <cstdint>
#include <map>

#include <doctest/doctest.h>

#include "latchbox/detail/slot_index.hpp"

#include "latchbox/testing/choices.hpp"

namespace {

using latchbox::detail::none;
using latchbox::detail::Slot;
using latchbox::detail::SlotIndex;

SlotIndex with_room(std::size_t slots) {
    SlotIndex index;
    auto room = SlotIndex::make(slots);
    index.adopt(room);
    return index;
}

TEST_CASE("an index without room knows no number") {
    const SlotIndex index;
    CHECK(index.find(1) == none);
    CHECK(index.find(0) == none);
}

TEST_CASE("a number is found in its slot until that is removed") {
    SlotIndex index = with_room(3);
    index.insert(70, 2);
    CHECK(index.find(70) == 2);
    CHECK(index.find(71) == none);
    index.remove(2);
    CHECK(index.find(70) == none);
    index.insert(71, 2);
    CHECK(index.find(71) == 2);
}

TEST_CASE("numbers of one chain are told apart, and removed from anywhere in it") {
    for (const Slot gone : {0U, 1U, 2U}) {
        SlotIndex index = with_room(4);
        for (Slot slot = 0; slot < 3; ++slot) { index.insert(8 + 4 * slot, slot); }
        index.remove(gone);
        for (Slot slot = 0; slot < 3; ++slot) {
            CHECK(index.find(8 + 4 * slot) == (slot == gone ? none : slot));
        }
    }
}

TEST_CASE("what is in stays in when it grows; smaller room is not taken") {
    SlotIndex index = with_room(4);
    for (Slot slot = 0; slot < 4; ++slot) { index.insert(100 + slot * 3, slot); }
    auto larger = SlotIndex::make(100);
    index.adopt(larger);
    CHECK(larger.entries.size() == 4);
    auto smaller = SlotIndex::make(10);
    index.adopt(smaller);
    CHECK(smaller.entries.size() == 10);
    for (Slot slot = 0; slot < 4; ++slot) { CHECK(index.find(100 + slot * 3) == slot); }
    index.insert(7, 99);
    CHECK(index.find(7) == 99);
}

TEST_CASE("an index is as a map would be") {
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
        latchbox::testing::Seeded choices{seed};
        SlotIndex index = with_room(8);
        std::map<std::uint64_t, Slot> naive;
        std::map<Slot, std::uint64_t> there;
        for (int step = 0; step < 500; ++step) {
            const auto slot = static_cast<Slot>(choices.pick(8));
            const auto at = there.find(slot);
            if (at != there.end()) {
                index.remove(slot);
                naive.erase(at->second);
                there.erase(at);
            } else {
                const std::uint64_t number = 1 + choices.pick(40);
                if (naive.contains(number)) { continue; }
                index.insert(number, slot);
                naive[number] = slot;
                there[slot] = number;
            }
            for (std::uint64_t number = 1; number <= 40; ++number) {
                const auto found = naive.find(number);
                REQUIRE(index.find(number) == (found == naive.end() ? none : found->second));
            }
        }
    }
}

TEST_CASE("what is no number is in no slot, and does not become one when room grows") {
    SlotIndex index = with_room(4);
    index.insert(70, 2);
    CHECK(index.find(0) == none);
    auto more = SlotIndex::make(8);
    index.adopt(more);
    CHECK(index.find(70) == 2);
    CHECK(index.find(0) == none);
    index.insert(0xffff'fff0, 0);
    CHECK(index.find(0xffff'fff0) == 0);
    CHECK(index.find(0xffff'ff00) == none);
}

}  // namespace
