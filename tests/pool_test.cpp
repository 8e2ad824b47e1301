// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/pool.hpp"

#include <cstdint>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/testing/choices.hpp"

namespace {

using latchbox::detail::none;

struct Thing {
    std::uint32_t next = none;
    int value = 7;
};
using Pool = latchbox::detail::Pool<Thing>;

void grow(Pool& pool) {
    auto chunk = pool.make(pool.next_chunk());
    pool.adopt(chunk);
}

TEST_CASE("an empty pool has no room, and each chunk makes some") {
    Pool pool;
    CHECK(pool.has_room(0));
    CHECK_FALSE(pool.has_room());
    grow(pool);
    CHECK(pool.has_room(16));
    CHECK_FALSE(pool.has_room(17));
    CHECK_FALSE(pool.has_room(~std::size_t{0}));
    grow(pool);
    CHECK(pool.has_room(48));
    CHECK_FALSE(pool.has_room(49));
    CHECK(pool.next_chunk() == 2);
}

TEST_CASE("a chunk that somebody else made first is left alone") {
    Pool pool;
    auto mine = pool.make(pool.next_chunk());
    grow(pool);
    pool.adopt(mine);
    CHECK_FALSE(pool.has_room(17));
    CHECK_FALSE(mine.elements.empty());
}

TEST_CASE("what is given back is taken again, the last one first, and as new") {
    Pool pool;
    grow(pool);
    for (std::uint32_t i = 0; i < 5; ++i) {
        REQUIRE(pool.take() == i);
        pool[i].value = 1;
        pool[i].next = 3;
    }
    CHECK(pool.used() == 5);
    for (const std::uint32_t at : {1U, 4U, 2U}) { pool.give(at); }
    CHECK(pool.in_use() == 2);
    CHECK(pool.used() == 5);
    for (const std::uint32_t at : {2U, 4U, 1U, 5U}) {
        REQUIRE(pool.take() == at);
        CHECK(pool[at].value == 7);
        CHECK(pool[at].next == none);
    }
    CHECK(pool[3].value == 1);
    CHECK(pool.in_use() == 6);
    CHECK(pool.used() == 6);
}

// Takes and gives beside a naive list of what is taken, growing where there is no room.
void walk(latchbox::testing::Choices& choices, int steps) {
    Pool pool;
    std::vector<std::uint32_t> taken;
    std::vector<const Thing*> places;
    int value = 100;
    for (int i = 0; i < steps; ++i) {
        if (!taken.empty() && choices.pick(3) == 2) {
            const auto at = choices.pick(static_cast<std::uint32_t>(taken.size()));
            pool.give(taken[at]);
            taken[at] = taken.back();
            taken.pop_back();
        } else {
            if (!pool.has_room()) { grow(pool); }
            const std::uint32_t at = pool.take();
            for (const std::uint32_t other : taken) { REQUIRE(other != at); }
            taken.push_back(at);
            pool[at].value = ++value;
            if (places.size() <= at) { places.resize(at + 1); }
            // Nothing ever moves.
            if (places[at] == nullptr) { places[at] = &pool[at]; }
            REQUIRE(places[at] == &pool[at]);
        }
        REQUIRE(pool.in_use() == taken.size());
        REQUIRE(pool.used() == places.size());
    }
    std::vector<bool> values(static_cast<std::size_t>(value) + 1);
    for (const std::uint32_t at : taken) {
        const auto found = static_cast<std::size_t>(pool[at].value);
        REQUIRE(found > 100);
        REQUIRE_FALSE(values[found]);
        values[found] = true;
    }
}

TEST_CASE("nothing is taken twice, and what is taken keeps its place and value") {
    latchbox::testing::Exhaustive every;
    do { walk(every, 7); } while (every.next());
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        latchbox::testing::Seeded some{seed};
        walk(some, 1'000);
    }
}

TEST_CASE("a copy has things of its own, and takes the same numbers next") {
    Pool pool;
    grow(pool);
    for (int i = 0; i < 4; ++i) { pool.take(); }
    pool.give(2);
    Pool copy{pool};
    copy[1].value = 50;
    CHECK(pool[1].value == 7);
    CHECK(copy.take() == 2);
    CHECK(copy.in_use() == 4);
    CHECK(pool.in_use() == 3);
    CHECK(pool.take() == 2);
}

}  // namespace
