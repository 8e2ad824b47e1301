// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/waiters.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/detail/reference.hpp"
#include "latchbox/platform.hpp"
#include "latchbox/testing/choices.hpp"

namespace {

using Waiter = latchbox::detail::Waiter<latchbox::SingleThread>;
using Waiters = latchbox::detail::Waiters<latchbox::SingleThread>;

TEST_CASE("every sequence of coming and going keeps first come, first served [4.9]") {
    latchbox::testing::Exhaustive choices;
    do {
        std::array<Waiter, 4> waiters;
        // Two of them wait up to some instant.
        waiters[1].sleep.until = waiters[3].sleep.until = latchbox::Instant{};
        Waiters line;
        std::vector<Waiter*> naive;
        for (int i = 0; i < 6; ++i) {
            Waiter& waiter = waiters[choices.pick(4)];
            const auto there = std::find(naive.begin(), naive.end(), &waiter);
            REQUIRE(waiter.in_line == (there != naive.end()));
            if (waiter.in_line) {
                line.remove(waiter);
                naive.erase(there);
            } else {
                line.push_back(waiter);
                naive.push_back(&waiter);
            }
        }
        const auto timed = std::count_if(naive.begin(), naive.end(), [](const Waiter* waiter) {
            return !waiter->sleep.until.is_never();
        });
        REQUIRE(line.timed() == static_cast<std::size_t>(timed));
        for (Waiter* const expected : naive) {
            REQUIRE_FALSE(line.empty());
            REQUIRE(&line.front() == expected);
            line.remove(*expected);
        }
        REQUIRE(line.empty());
        REQUIRE(line.timed() == 0);
    } while (choices.next());
}

TEST_CASE("those of one member are found in line, and taken out without a stir [6.2] [4.9]") {
    using Membership = latchbox::detail::Membership<latchbox::SingleThread>;
    const latchbox::detail::Reference<Membership> member{new Membership};
    latchbox::testing::Exhaustive choices;
    do {
        std::array<Waiter, 4> waiters;
        Waiters line;
        std::vector<Waiter*> others;
        for (Waiter& waiter : waiters) {
            if (choices.pick(2) == 0) {
                others.push_back(&waiter);
            } else {
                waiter.member = member.get();
            }
            line.push_back(waiter);
        }
        for (Waiter* waiter = line.first(); waiter != nullptr;) {
            Waiter& one = *waiter;
            waiter = one.next;
            if (one.member != nullptr) { line.remove(one); }
        }
        std::vector<Waiter*> left;
        for (Waiter* waiter = line.first(); waiter != nullptr; waiter = waiter->next) {
            left.push_back(waiter);
        }
        REQUIRE(left == others);
    } while (choices.next());
}

TEST_CASE("a new waiter wants one place, waits for ever and has not ended") {
    const Waiter waiter;
    CHECK(waiter.wanted == 1);
    CHECK(waiter.member == nullptr);
    CHECK((waiter.told == nullptr));
    CHECK(waiter.to == nullptr);
    CHECK(waiter.value.empty());
    CHECK_FALSE(waiter.in_line);
    CHECK(waiter.ending == latchbox::Errc{});
    CHECK(waiter.sleep.until.is_never());
    CHECK_FALSE(waiter.sleep.done);
    CHECK(waiter.grant.slot == latchbox::detail::none);
}

TEST_CASE("to look again is nothing that users are told") {
    using latchbox::Errc;
    CHECK(latchbox::detail::look_again != Errc{});
    for (int known = 0; known < 64; ++known) {
        CHECK(latchbox::detail::look_again != static_cast<Errc>(known));
    }
}

}  // namespace
