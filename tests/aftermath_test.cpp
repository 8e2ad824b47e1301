// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/aftermath.hpp"

#include <vector>

#include <doctest/doctest.h>

#include "latchbox/platform.hpp"

namespace {

using latchbox::Errc;
using After = latchbox::detail::Aftermath<int, latchbox::SingleThread>;
using Cell = latchbox::detail::Cell<int, latchbox::SingleThread>;
using Waiter = latchbox::detail::Waiter<latchbox::SingleThread>;

TEST_CASE("of most calls nothing is left to do") {
    After after;
    CHECK(after.nothing());
    CHECK(after.doomed_count == 0);
    after.idle = true;
    CHECK_FALSE(after.nothing());
}

TEST_CASE("bodies that have to be destroyed are chained, and counted [4.8]") {
    Cell cells[3];
    After after;
    for (int i = 0; i < 3; ++i) {
        cells[i].construct(i);
        REQUIRE(cells[i].drop());
        after.doom(cells[i]);
    }
    CHECK_FALSE(after.nothing());
    CHECK(after.doomed_count == 3);
    std::vector<int> bodies;
    while (after.doomed != nullptr) {
        Cell& cell = *after.doomed;
        after.doomed = cell.next_doomed;
        bodies.push_back(cell.body());
        cell.destroy();
    }
    CHECK(bodies == std::vector<int>{2, 1, 0});
    CHECK(after.nothing());
    for (const Cell& cell : cells) { CHECK(cell.vacant()); }
}

TEST_CASE("those who were served are chained, each with how its wait ended [4.9]") {
    Waiter waiters[2];
    After after;
    after.end(waiters[0], Errc{});
    after.end(waiters[1], Errc::closed);
    CHECK_FALSE(after.nothing());
    CHECK(waiters[0].ending == Errc{});
    CHECK(waiters[1].ending == Errc::closed);
    CHECK(after.ended == &waiters[1]);
    CHECK(waiters[1].next == &waiters[0]);
    CHECK(waiters[0].next == nullptr);
}

}  // namespace
