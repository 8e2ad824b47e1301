// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/record.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

#include <doctest/doctest.h>

namespace {

using latchbox::Duration;
using latchbox::Instant;
using latchbox::detail::Due;
using latchbox::detail::none;
using latchbox::detail::Place;

constexpr Instant at(std::int64_t t) { return Instant{Duration::nanoseconds(t)}; }

// A place as one number: what is delivered first has the least.
constexpr int rank(const Place& place) {
    return (9 - place.priority) * 10 + static_cast<int>(place.number);
}

TEST_CASE("a higher priority comes first, then the lower number [4.4]") {
    for (int a = 0; a < 100; ++a) {
        for (int b = 0; b < 100; ++b) {
            const Place left{static_cast<std::uint8_t>(a / 10), static_cast<std::uint64_t>(a % 10)};
            const Place right{static_cast<std::uint8_t>(b / 10),
                              static_cast<std::uint64_t>(b % 10)};
            REQUIRE((left < right) == (rank(left) < rank(right)));
        }
    }
}

TEST_CASE("due things are ordered by instant, then leases, lives, delays, then number [4.3]") {
    std::vector<Due> in_order;
    for (std::int64_t instant = -1; instant < 2; ++instant) {
        for (const auto kind : {Due::lease, Due::life, Due::delay}) {
            for (std::uint64_t number = 1; number < 4; ++number) {
                in_order.push_back({at(instant), kind, number});
            }
        }
    }
    for (std::size_t i = 0; i < in_order.size(); ++i) {
        for (std::size_t j = 0; j < in_order.size(); ++j) {
            REQUIRE((in_order[i] < in_order[j]) == (i < j));
            REQUIRE((in_order[i] == in_order[j]) == (i == j));
        }
    }
}

TEST_CASE("the end of an instant lies after all that is due at it, and before the next [4.3]") {
    for (const auto kind : {Due::lease, Due::life, Due::delay}) {
        const Due now{at(5), kind, ~std::uint64_t{0} - 1};
        const Due next{at(6), kind, 0};
        CHECK(now < Due::last_at(at(5)));
        CHECK(Due::last_at(at(5)) < next);
        CHECK(next < Due::never());
    }
    CHECK(Due::last_at(Instant::never()) == Due::never());
    CHECK(Due::never().at.is_never());
}

TEST_CASE("a fresh record is vacant, in no list and without history") {
    const latchbox::detail::Record record;
    CHECK(record.state == latchbox::detail::State::vacant);
    CHECK(record.history == none);
    CHECK(record.links.next == none);
    CHECK(record.links.previous == none);
    CHECK(record.number == 0);
}

TEST_CASE("a fresh history lives for ever and has seen nothing") {
    const latchbox::detail::History history;
    CHECK(history.attempts == 0);
    CHECK(history.failures == 0);
    CHECK(history.expires.is_never());
    CHECK(history.life.is_never());
    CHECK(history.reason.cause() == latchbox::Cause::none);
}

TEST_CASE("fresh ties are of nothing; a latch, a wait or a line ties") {
    using latchbox::detail::Ties;
    const Ties fresh;
    CHECK_FALSE(fresh.any());
    CHECK_FALSE(fresh.noted);
    CHECK_FALSE(fresh.held_back);
    CHECK(fresh.stand == Ties::Stand::out);
    for (const std::uint32_t number : {0U, 1U, 0x7fffffffU, none - 1}) {
        CHECK(Ties{.latch = number}.any());
        CHECK(Ties{.wait = number}.any());
        CHECK(Ties{.line = number}.any());
        CHECK(Ties{.latch = number, .wait = number, .line = number}.any());
    }
    // Where it stands in line, or in the list of those noted, is no tie by itself.
    CHECK_FALSE(Ties{.before = 1, .after = 2, .next_noted = 3}.any());
}

}  // namespace
