// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/by_number.hpp"

#include <vector>

#include <doctest/doctest.h>

#include "support/bare_core.hpp"

namespace {

using latchbox::detail::ByNumber;
using latchbox::detail::none;
using latchbox::detail::Slot;

TEST_CASE("messages of a list come in publish order, whatever order the list has") {
    support::SoundCore queue;
    std::vector<Slot> slots;
    for (int i = 0; i < 5; ++i) { slots.push_back(queue.publish()); }
    std::vector<Slot> held;
    for (int i = 0; i < 5; ++i) { held.push_back(queue.fetch()); }
    for (const std::size_t i : {3U, 0U, 4U, 1U}) { queue.core.reject(held[i], "", queue.effects); }
    ByNumber sorted;
    CHECK_FALSE(sorted.has_room(queue.core));
    sorted.make_room(queue.core.slot_count());
    CHECK(sorted.has_room(queue.core));
    std::vector<Slot> seen;
    sorted.each(queue.core, queue.core.first_dead(), [&](Slot slot) { seen.push_back(slot); });
    CHECK(seen == std::vector<Slot>{slots[0], slots[1], slots[3], slots[4]});
}

TEST_CASE("what is done to one may take it out of the list") {
    support::SoundCore queue;
    for (int i = 0; i < 3; ++i) { static_cast<void>(queue.publish()); }
    for (int i = 0; i < 3; ++i) { queue.core.reject(queue.fetch(), "", queue.effects); }
    ByNumber sorted;
    sorted.make_room(queue.core.slot_count());
    sorted.each(queue.core, queue.core.first_dead(),
                [&](Slot slot) { queue.core.redrive(slot, support::at(1)); });
    CHECK(queue.core.first_dead() == none);
    CHECK(queue.core.stats().ready == 3);
}

TEST_CASE("of an empty list there is nothing to make room for") {
    support::SoundCore queue;
    ByNumber sorted;
    CHECK(sorted.has_room(queue.core));
    sorted.each(queue.core, queue.core.first_dead(), [](Slot) { FAIL_CHECK("there is none"); });
}

}  // namespace
