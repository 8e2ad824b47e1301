// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/backoff.hpp"

#include <chrono>
#include <cstdint>

#include <doctest/doctest.h>

namespace {

using namespace std::chrono_literals;
using latchbox::Backoff;
using latchbox::Duration;
using latchbox::detail::pause_after;

Duration ns(std::int64_t count) { return Duration::nanoseconds(count); }

static_assert(pause_after(Backoff{}, 1) == Duration{100ms});
static_assert(pause_after(Backoff{}, 4) == Duration{800ms});
static_assert(pause_after(Backoff{}, 9) == Duration{25'600ms});
static_assert(pause_after(Backoff{}, 10) == Duration{30s});

TEST_CASE("by default it starts at 100 ms, doubles and ends at 30 s [4.6]") {
    CHECK(pause_after({}, 1) == Duration{100ms});
    CHECK(pause_after({}, 2) == Duration{200ms});
    CHECK(pause_after({}, 9) == Duration{25'600ms});
    for (std::uint32_t failures = 10; failures < 1'000; ++failures) {
        REQUIRE(pause_after({}, failures) == Duration{30s});
    }
}

TEST_CASE("the n-th pause is first * factor^(n-1), at most the limit [4.6]") {
    for (std::int64_t first = 0; first < 4; ++first) {
        for (std::uint32_t factor = 1; factor < 5; ++factor) {
            for (std::int64_t limit = first; limit < 40; ++limit) {
                std::int64_t exact = first;
                for (std::uint32_t failures = 1; failures < 8; ++failures) {
                    const std::int64_t expected = exact < limit ? exact : limit;
                    REQUIRE(pause_after({ns(first), factor, ns(limit)}, failures) == ns(expected));
                    exact *= factor;
                }
            }
        }
    }
}

TEST_CASE("a pause of nothing stays nothing, a factor of one keeps it, however many fail [4.6]") {
    constexpr std::uint32_t most = ~std::uint32_t{0};
    CHECK(pause_after({.first = {}}, most) == Duration{});
    CHECK(pause_after({.first = 5s, .factor = 1}, most) == Duration{5s});
}

TEST_CASE("the largest pauses saturate at their limit and never wrap [4.6]") {
    constexpr std::uint32_t most = ~std::uint32_t{0};
    CHECK(pause_after({1ns, 2, Duration::never()}, 63) == ns(std::int64_t{1} << 62));
    CHECK(pause_after({1ns, 2, Duration::never()}, 64).is_never());
    CHECK(pause_after({1ns, 2, Duration::never()}, most).is_never());
    CHECK(pause_after({1s, most, Duration::never()}, 3).is_never());
    CHECK(pause_after({1s, most, Duration{1h}}, most) == Duration{1h});
    CHECK(pause_after({Duration::never(), 3, Duration::never()}, 5).is_never());
    Duration last;
    for (std::uint32_t failures = 1; failures < 200; ++failures) {
        const Duration pause = pause_after({3ns, 7, Duration::never()}, failures);
        REQUIRE(pause >= last);
        last = pause;
    }
}

}  // namespace
