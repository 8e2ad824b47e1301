// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/testing/lock_order.hpp"

#include <doctest/doctest.h>

using latchbox::testing::LockOrder;

TEST_CASE("one order of mutexes, however often and by whatever way, is no contradiction") {
    LockOrder order;
    order.taken(1, 2);
    order.taken(2, 3);
    order.taken(1, 3);
    order.taken(1, 2);
    CHECK_FALSE(order.disordered());
}

TEST_CASE("two orders contradict each other, over others between them too") {
    LockOrder order;
    order.taken(1, 2);
    order.taken(2, 3);
    SUBCASE("of two") { order.taken(2, 1); }
    SUBCASE("of three") { order.taken(3, 1); }
    SUBCASE("of one mutex with itself") { order.taken(3, 3); }
    CHECK(order.disordered());
    order.taken(4, 5);
    CHECK(order.disordered());
    order.clear();
    order.taken(2, 1);
    CHECK_FALSE(order.disordered());
}
