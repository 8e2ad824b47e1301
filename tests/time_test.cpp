// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/time.hpp"

#include <chrono>
#include <cstdint>
#include <limits>
#include <ratio>

#include <doctest/doctest.h>

namespace {

using namespace std::chrono_literals;
using latchbox::Duration;
using latchbox::Instant;

constexpr std::int64_t largest = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t smallest = std::numeric_limits<std::int64_t>::min();

TEST_CASE("a duration is made of any chrono duration, in nanoseconds [7.6]") {
    CHECK(Duration{}.count() == 0);
    CHECK(Duration{1ns}.count() == 1);
    CHECK(Duration{100ms}.count() == 100'000'000);
    CHECK(Duration{-3s}.count() == -3'000'000'000);
    CHECK(Duration{1h} == Duration{3'600s});
    CHECK(Duration{std::chrono::duration<double>{0.25}} == Duration{250ms});
    CHECK(Duration{std::chrono::duration<std::uint8_t>{200}} == Duration{200s});
    CHECK(Duration{std::chrono::duration<int, std::ratio<1, 3>>{1}}.count() == 333'333'333);
}

TEST_CASE("what is finer than a nanosecond is cut towards zero") {
    using Picoseconds = std::chrono::duration<std::int64_t, std::pico>;
    CHECK(Duration{Picoseconds{1'999}}.count() == 1);
    CHECK(Duration{Picoseconds{-1'999}}.count() == -1);
    CHECK(Duration{std::chrono::duration<double, std::nano>{-0.9}}.count() == 0);
}

TEST_CASE("a duration too long becomes never, in its conversion too [7.6]") {
    CHECK(Duration{std::chrono::hours::max()}.is_never());
    CHECK(Duration{std::chrono::years::max()}.is_never());
    CHECK(Duration{std::chrono::nanoseconds::max()}.is_never());
    CHECK(Duration{std::chrono::duration<std::uint64_t>{~std::uint64_t{0}}}.is_never());
    CHECK(Duration{std::chrono::duration<std::uint64_t, std::nano>{std::uint64_t{1} << 63}}
              .is_never());
    CHECK(Duration{std::chrono::hours::min()}.count() == smallest);
    CHECK_FALSE(Duration{std::chrono::nanoseconds::max() - 1ns}.is_never());
}

TEST_CASE("floating durations saturate, and not-a-number is negative [7.6]") {
    using Seconds = std::chrono::duration<double>;
    const double infinity = std::numeric_limits<double>::infinity();
    CHECK(Duration{Seconds{infinity}}.is_never());
    CHECK(Duration{Seconds{1e300}}.is_never());
    CHECK(Duration{Seconds{-infinity}}.count() == smallest);
    CHECK(Duration{Seconds{std::numeric_limits<double>::quiet_NaN()}}.is_negative());
    CHECK(Duration{std::chrono::duration<float>{std::numeric_limits<float>::quiet_NaN()}}
              .is_negative());
    CHECK(Duration{std::chrono::duration<long double>{std::numeric_limits<long double>::max()}}
              .is_never());
    CHECK(Duration{Seconds{9'223'372'036.9}}.is_never());
    CHECK(Duration{Seconds{9'223'372'036.0}} == Duration{9'223'372'036s});
}

TEST_CASE("sums of durations saturate and never stays never [7.6]") {
    const Duration never = Duration::never();
    const Duration most = Duration::nanoseconds(largest - 1);
    const Duration least = Duration::nanoseconds(smallest);
    CHECK(Duration{1s} + Duration{2s} == Duration{3s});
    CHECK(Duration{1s} - Duration{2s} == Duration{-1s});
    CHECK((most + Duration{1ns}).is_never());
    CHECK((most + most).is_never());
    CHECK((never + Duration{-1h}).is_never());
    CHECK((never - Duration{1h}).is_never());
    CHECK((Duration{-1h} + never).is_never());
    CHECK((most - least).is_never());
    CHECK((Duration{0ns} - least).is_never());
    CHECK((least + Duration{-1ns}) == least);
    CHECK((least - Duration{1ns}) == least);
    CHECK((most + Duration{-1ns}).count() == largest - 2);
}

TEST_CASE("multiples of durations saturate [7.6]") {
    CHECK(Duration{3s} * 4 == Duration{12s});
    CHECK(Duration{3s} * -4 == Duration{-12s});
    CHECK(Duration{3s} * 0 == Duration{});
    CHECK(Duration{} * smallest == Duration{});
    CHECK((Duration{1h} * largest).is_never());
    CHECK((Duration{-1h} * largest).count() == smallest);
    CHECK((Duration{-1h} * smallest).is_never());
    CHECK(Duration::nanoseconds(1) * (largest - 1) == Duration::nanoseconds(largest - 1));
    CHECK((Duration::nanoseconds(largest / 2 + 1) * 2).is_never());
}

TEST_CASE("durations and instants are ordered, and given back to chrono") {
    CHECK(Duration{1s} < Duration{2s});
    CHECK(Duration{1h} < Duration::never());
    CHECK(Duration{-1ns}.is_negative());
    CHECK_FALSE(Duration{}.is_negative());
    CHECK(Duration{2ms}.to_chrono() == 2ms);
    CHECK(Instant{1s} < Instant{2s});
    CHECK(Instant{1s} == Instant{} + 1s);
    CHECK(Instant{1h} < Instant::never());
}

TEST_CASE("instants saturate as well [7.6]") {
    CHECK(Instant{} == Instant{0s});
    CHECK((Instant{5s} + 2s).since_epoch() == Duration{7s});
    CHECK((Instant{5s} - 2s) == Instant{3s});
    CHECK((Instant{5s} - Instant{2s}) == Duration{3s});
    CHECK((Instant{2s} - Instant{5s}) == Duration{-3s});
    CHECK((Instant{5s} + std::chrono::hours::max()).is_never());
    CHECK((Instant::never() - Instant{5s}).is_never());
    CHECK((Instant::never() - 5s).is_never());
}

TEST_CASE("the earlier and the later of two instants are found") {
    CHECK(latchbox::detail::earlier(Instant{1s}, Instant{2s}) == Instant{1s});
    CHECK(latchbox::detail::earlier(Instant{2s}, Instant{1s}) == Instant{1s});
    CHECK(latchbox::detail::later(Instant{1s}, Instant{2s}) == Instant{2s});
    CHECK(latchbox::detail::later(Instant{2s}, Instant{1s}) == Instant{2s});
}

static_assert(Duration{std::chrono::hours::max()}.is_never(), "also while compiling");
static_assert(Duration{1h} - Duration{30min} == Duration{30min});

TEST_CASE("a difference saturates only where it leaves the range [7.6]") {
    const auto ns = [](std::int64_t count) { return Duration::nanoseconds(count); };
    CHECK(ns(5) - ns(0) == ns(5));
    CHECK(ns(5) - ns(-3) == ns(8));
    CHECK(ns(-5) - ns(3) == ns(-8));
    CHECK(ns(largest - 3) - ns(-2) == ns(largest - 1));
    CHECK((ns(largest - 3) - ns(-4)).is_never());
    CHECK(ns(smallest + 3) - ns(3) == ns(smallest));
    CHECK(ns(smallest + 3) - ns(4) == ns(smallest));
    CHECK(ns(smallest + 3) - ns(2) == ns(smallest + 1));
}

}  // namespace
