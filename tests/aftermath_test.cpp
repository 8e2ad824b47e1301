// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/aftermath.hpp"

#include <vector>

#include <doctest/doctest.h>

#include "latchbox/platform.hpp"

namespace {

using latchbox::Errc;
using After = latchbox::detail::Aftermath<int, latchbox::SingleThread>;
using Body = latchbox::detail::BodyCell<int, latchbox::SingleThread>;
using Cell = latchbox::detail::Cell<int, latchbox::SingleThread>;
using Shared = latchbox::detail::SharedBody<int, latchbox::SingleThread>;
using Waiter = latchbox::detail::Waiter<latchbox::SingleThread>;

TEST_CASE("of most calls nothing is left to do") {
    After after;
    CHECK(after.nothing());
    CHECK(after.doomed_count == 0);
    after.idle = true;
    CHECK_FALSE(after.nothing());
}

TEST_CASE("bodies that have to be destroyed are chained, and counted [4.8]") {
    Body cells[3];
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

TEST_CASE("messages of topics that nobody holds any more are chained apart [4.8] [6.3]") {
    Shared bodies[3];
    After after;
    for (Shared& body : bodies) { after.doom(body); }
    CHECK_FALSE(after.nothing());
    CHECK(after.doomed == nullptr);
    CHECK(after.doomed_count == 0);
    int place = 2;
    for (const Shared* body = after.doomed_shared; body != nullptr; body = body->next_doomed) {
        CHECK(body == &bodies[place--]);
    }
    CHECK(place == -1);
}

TEST_CASE("what needs the broker after others were woken is said, so that it is kept [4.10]") {
    Shared message;
    After dooms;
    dooms.doom(message);
    CHECK(dooms.lasts());
    After sets;
    sets.latched.emplace();
    CHECK(sets.lasts());
    CHECK_FALSE(sets.nothing());

    Waiter waiter;
    Body cell;
    cell.construct(1);
    After wakes;
    wakes.end(waiter, Errc{});
    wakes.doom(cell);
    wakes.idle = true;
    CHECK_FALSE(wakes.nothing());
    CHECK_FALSE(wakes.lasts());
    cell.destroy();
}

}  // namespace
