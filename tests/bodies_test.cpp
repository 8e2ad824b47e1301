// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/bodies.hpp"

#include <atomic>
#include <cstdint>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/platform.hpp"
#include "support/tracked_message.hpp"

namespace {

using support::TrackedMessage;

template <class Platform> using Cell = latchbox::detail::Cell<TrackedMessage, Platform>;

TEST_CASE_TEMPLATE("a cell is vacant, holds a body, and is vacant again only when that is gone",
                   Platform, latchbox::Threads, latchbox::SingleThread) {
    Cell<Platform> cell;
    CHECK(cell.vacant());
    for (std::uint64_t value = 1; value < 4; ++value) {
        cell.construct(TrackedMessage{value});
        CHECK_FALSE(cell.vacant());
        CHECK(cell.body().digest() == value);
        CHECK(TrackedMessage::live() == 1);
        CHECK(cell.drop());
        CHECK_FALSE(cell.vacant());
        CHECK(TrackedMessage::live() == 1);
        cell.destroy();
        CHECK(cell.vacant());
        CHECK(TrackedMessage::live() == 0);
    }
}

TEST_CASE_TEMPLATE("the last one out destroys: queue or handle, whoever that is [4.8]", Platform,
                   latchbox::Threads, latchbox::SingleThread) {
    for (int handles = 0; handles < 5; ++handles) {
        Cell<Platform> cell;
        cell.construct(TrackedMessage{7});
        for (int i = 0; i < handles; ++i) { cell.show(); }
        CHECK(cell.seen_by_one() == (handles == 0));
        CHECK(cell.seen_by_one_handle() == (handles == 1));
        for (int i = 0; i < handles; ++i) {
            REQUIRE_FALSE(cell.drop());
            REQUIRE(cell.body().digest() == 7);
        }
        REQUIRE(cell.seen_by_one());
        REQUIRE(cell.drop());
        cell.destroy();
    }
    CHECK(TrackedMessage::live() == 0);
}

TEST_CASE_TEMPLATE("a body kept alone is the handle's, and dropped by it", Platform,
                   latchbox::Threads, latchbox::SingleThread) {
    Cell<Platform> cell;
    cell.construct(TrackedMessage{7});
    cell.show();
    REQUIRE(cell.seen_by_one_handle());
    cell.keep_alone();
    CHECK(cell.seen_by_one());
    CHECK_FALSE(cell.vacant());
    CHECK(cell.drop());
    cell.destroy();
    CHECK(cell.vacant());
}

TEST_CASE("a body is built in its place from what it is given: moved, copied or made") {
    TrackedMessage::reset();
    Cell<latchbox::SingleThread> cell;
    TrackedMessage message{3};
    SUBCASE("copied") {
        cell.construct(message);
        CHECK(TrackedMessage::copies() == 1);
        CHECK_FALSE(message.is_moved_from());
    }
    SUBCASE("moved") {
        cell.construct(std::move(message));
        CHECK(TrackedMessage::copies() == 0);
        CHECK(TrackedMessage::moves() == 1);
        CHECK(message.is_moved_from());
    }
    CHECK(cell.body().digest() == 3);
    cell.destroy();
}

TEST_CASE("a construction that throws leaves the cell vacant [4.11]") {
    TrackedMessage::reset();
    Cell<latchbox::SingleThread> cell;
    const TrackedMessage message{3};
    TrackedMessage::throw_at_copy(1);
    CHECK_THROWS_AS(cell.construct(message), support::TrackedFault);
    CHECK(cell.vacant());
    cell.construct(message);
    CHECK(cell.body().digest() == 3);
    cell.destroy();
}

TEST_CASE("of many threads that drop a body at once exactly one is the last [4.8]") {
    constexpr int threads = 4;
    for (int rounds = 0; rounds < 50; ++rounds) {
        Cell<latchbox::Threads> cell;
        cell.construct(TrackedMessage{7});
        for (int i = 0; i < threads; ++i) { cell.show(); }
        std::atomic<int> last{0};
        std::vector<std::thread> droppers;
        for (int i = 0; i < threads; ++i) {
            droppers.emplace_back([&] {
                if (!cell.drop()) { return; }
                last.fetch_add(1);
                cell.destroy();
            });
        }
        if (cell.drop()) {
            last.fetch_add(1);
            cell.destroy();
        }
        for (auto& dropper : droppers) { dropper.join(); }
        REQUIRE(last == 1);
        REQUIRE(cell.vacant());
    }
    CHECK(TrackedMessage::live() == 0);
}

TEST_CASE("bodies of one queue never move while more are made [4.8]") {
    latchbox::detail::Bodies<TrackedMessage, latchbox::SingleThread> bodies{0};
    auto first = bodies.make(0);
    bodies.adopt(first);
    bodies[0].construct(TrackedMessage{1});
    for (unsigned index = 1; index < 6; ++index) {
        auto chunk = bodies.make(index);
        bodies.adopt(chunk);
        REQUIRE(bodies[0].body().digest() == 1);
    }
    bodies[0].destroy();
}

}  // namespace
