// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/alarms.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <new>
#include <type_traits>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/testing/choices.hpp"
#include "support/failing_new.hpp"

namespace {

using latchbox::Instant;
using latchbox::detail::Alarms;

constexpr Instant at(std::int64_t t) { return Instant{latchbox::Duration::nanoseconds(t)}; }

struct Alarm final : latchbox::detail::Alarm {
    int rung = 0;
    void ring() noexcept override { ++rung; }
    void hold() noexcept override {}
    void let_go() noexcept override {}
};
static_assert(!std::is_copy_constructible_v<Alarm>, "others know where it is");

TEST_CASE("every script of six steps is kept as by a naive list [4.3]") {
    latchbox::testing::Exhaustive choices;
    do {
        std::array<Alarm, 3> each;
        Alarms alarms;
        // By instant, and at one instant in the order of setting.
        std::vector<std::pair<Instant, Alarm*>> naive;
        for (int i = 0; i < 6; ++i) {
            Alarm& one = each[choices.pick(3)];
            const auto set = std::find_if(naive.begin(), naive.end(),
                                          [&](const auto& other) { return other.second == &one; });
            const bool is_set = set != naive.end();
            if (choices.pick(2) == 0) {
                REQUIRE(alarms.cancel(one) == is_set);
                if (is_set) { naive.erase(set); }
            } else if (!is_set) {
                const Instant then = at(choices.pick(2));
                alarms.set(one, then);
                naive.insert(std::find_if(naive.begin(), naive.end(),
                                          [&](const auto& other) { return then < other.first; }),
                             {then, &one});
            }
            REQUIRE(alarms.next() == (naive.empty() ? Instant::never() : naive.front().first));
        }
        for (const Instant now : {at(0), at(1)}) {
            const auto* taken = alarms.take(now);
            for (; !naive.empty() && naive.front().first <= now; naive.erase(naive.begin())) {
                REQUIRE(taken == naive.front().second);
                taken = taken->next;
            }
            REQUIRE(taken == nullptr);
            REQUIRE(alarms.take(now) == nullptr);
        }
        REQUIRE(naive.empty());
        for (Alarm& one : each) { REQUIRE_FALSE(alarms.cancel(one)); }
    } while (choices.next());
}

TEST_CASE("an alarm is due at its instant, not before, and rings by whoever took it [4.3]") {
    Alarms alarms;
    Alarm alarm;
    CHECK(alarms.next().is_never());
    CHECK(alarms.take(Instant::never()) == nullptr);
    alarms.set(alarm, at(5));
    CHECK(alarms.next() == at(5));
    CHECK(alarms.take(at(4)) == nullptr);
    CHECK(alarms.take(at(5)) == &alarm);
    CHECK(alarm.next == nullptr);
    CHECK(alarm.rung == 0);
    CHECK(alarms.next().is_never());
    // Taken, it is not set any more, and can be set again.
    CHECK_FALSE(alarms.cancel(alarm));
    alarms.set(alarm, at(3));
    CHECK(alarms.cancel(alarm));
    CHECK_FALSE(alarms.cancel(alarm));
}

TEST_CASE("an alarm brings its place: setting it, taking and cancelling need no memory [4.11]") {
    Alarms alarms;
    std::vector<Alarm> each(50);
    std::uint64_t asked = 0;
    {
        const support::FailingNew count;
        for (int round = 0; round < 3; ++round) {
            for (std::size_t i = 0; i < each.size(); ++i) {
                alarms.set(each[i], at(static_cast<std::int64_t>(i * 7 % 50)));
            }
            for (std::size_t i = 0; i < each.size(); i += 2) { alarms.cancel(each[i]); }
            static_cast<void>(alarms.take(at(50)));
        }
        asked = count.asked();
    }
    CHECK(asked == 0);
    const auto live = support::live_allocations();
    {
        const support::FailingNew failing{support::Failing::nth, 1};
        CHECK_THROWS_AS(Alarm{}, std::bad_alloc);
    }
    CHECK(support::live_allocations() == live);
}

}  // namespace
