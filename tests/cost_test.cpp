// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors

// Memory that does not grow, at the desk: tests/cost/cycles.cpp does the same many times more.

#include <doctest/doctest.h>

#include "cost/cycles.hpp"

TEST_CASE("cycles from publish to ack end with the memory and the slots of their start [4.12]") {
    cost::Cycles cycles{false};
    cycles.plain(100);
    const cost::Holdings before = cycles.holdings();
    cycles.plain(10'000);
    CHECK(cycles.is_empty());
    CHECK(cycles.holdings().is_that_of(before));
}

TEST_CASE("what grows is noticed") {
    const cost::Holdings before{.allocations = 5, .bytes = 1'000, .slots = 3};
    CHECK(cost::Holdings{5, 1'032, 3}.is_that_of(before));
    CHECK_FALSE(cost::Holdings{6, 1'000, 3}.is_that_of(before));
    CHECK_FALSE(cost::Holdings{5, 9'000, 3}.is_that_of(before));
    CHECK_FALSE(cost::Holdings{5, 1'000, 4}.is_that_of(before));
}

TEST_CASE("whatever becomes of messages, memory and slots end as they were [4.12] [6.7]") {
    cost::Cycles cycles{false};
    cycles.others(cost::Cycles::enough);
    const cost::Holdings before = cycles.holdings();
    cycles.others(100 * cost::Cycles::kinds);
    CHECK(cycles.is_empty());
    CHECK(cycles.holdings().is_that_of(before));
}
