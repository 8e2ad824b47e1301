// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/tally.hpp"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/platform.hpp"
#include "latchbox/testing/choices.hpp"

// The latch of a message over its copies, beside the copies themselves.
namespace {

using latchbox::LatchState;
using latchbox::detail::Told;
template <class Platform> using Tally = latchbox::detail::Tally<Platform>;

// Each copy, one by one; the rule of [5.3] word by word.
enum class Copy : std::uint8_t { pending, dead, acked, failed };
struct Naive {
    std::vector<Copy> copies;

    [[nodiscard]] bool any(Copy state) const {
        return std::find(copies.begin(), copies.end(), state) != copies.end();
    }
    [[nodiscard]] LatchState state() const {
        if (any(Copy::failed)) { return LatchState::failed; }
        if (any(Copy::dead)) { return LatchState::dead; }
        return any(Copy::pending) ? LatchState::pending : LatchState::completed;
    }
};

TEST_CASE_TEMPLATE("every script of six steps ends as its copies stand [5.3]", Platform,
                   latchbox::Threads, latchbox::SingleThread) {
    for (std::uint32_t count = 0; count <= 3; ++count) {
        latchbox::testing::Exhaustive choices;
        do {
            Tally<Platform> tally;
            tally.begin(count);
            Naive naive{std::vector<Copy>(count, Copy::pending)};
            bool watched = false;
            for (int step = 0; step < 6; ++step) {
                const std::uint32_t at = choices.pick(count + (watched ? 0 : 1));
                if (at == count) {
                    if (watched) { break; }
                    watched = true;
                    REQUIRE(tally.watch() == naive.state());
                    continue;
                }
                Copy& copy = naive.copies[at];
                if (copy == Copy::acked || copy == Copy::failed) { continue; }
                const bool failed_before = naive.any(Copy::failed);
                const Told was = copy == Copy::dead ? Told::dead : Told::pending;
                const Told turned = copy == Copy::dead ? Told::pending : Told::dead;
                const std::uint32_t how = choices.pick(copy == Copy::pending ? 4 : 3);
                if (how == 3) {
                    REQUIRE(tally.complete_unwatched() == !watched);
                    if (!watched) { copy = Copy::acked; }
                    REQUIRE(tally.state() == naive.state());
                    continue;
                }
                copy = how == 0   ? Copy::acked
                       : how == 1 ? Copy::failed
                                  : (turned == Told::dead ? Copy::dead : Copy::pending);
                const auto change = how == 2 ? tally.turn(was, turned) : tally.leave(was, how == 1);
                REQUIRE(change.watched == watched);
                REQUIRE(change.fails == (how == 1 && !failed_before));
                REQUIRE(tally.state() == naive.state());
            }
        } while (choices.next());
    }
}

TEST_CASE("as many copies as there can be are counted, in each state [5.3] [4.12]") {
    using Single = Tally<latchbox::SingleThread>;
    Single tally;
    CHECK(tally.state() == LatchState::completed);
    tally.begin(Single::most);
    CHECK(tally.watch() == LatchState::pending);
    for (std::uint64_t i = 0; i < Single::most; ++i) { tally.turn(Told::pending, Told::dead); }
    CHECK(tally.state() == LatchState::dead);
    for (std::uint64_t i = 1; i < Single::most; ++i) { tally.turn(Told::dead, Told::pending); }
    CHECK(tally.state() == LatchState::dead);
    CHECK(tally.turn(Told::dead, Told::pending).watched);
    CHECK(tally.state() == LatchState::pending);
    std::uint64_t first = 0;
    for (std::uint64_t i = 0; i < Single::most; ++i) {
        const auto change = tally.leave(Told::pending, true);
        first += change.fails ? 1U : 0U;
        REQUIRE(change.watched);
    }
    CHECK(first == 1);
    CHECK(tally.state() == LatchState::failed);
}

TEST_CASE("who asks while copies leave sees the end, or is told of it by one of them [5.3]") {
    constexpr int copies = 3;
    for (int round = 0; round < 200; ++round) {
        Tally<latchbox::Threads> tally;
        tally.begin(copies);
        std::atomic<int> there{0};
        std::atomic<int> told{0};
        const auto together = [&there] {
            ++there;
            while (there.load() <= copies) { std::this_thread::yield(); }
        };
        std::vector<std::thread> leaving;
        for (int i = 0; i < copies; ++i) {
            leaving.emplace_back([&, i] {
                together();
                if (i % 2 == 0 && tally.complete_unwatched()) { return; }
                if (tally.leave(Told::pending, false).watched) { ++told; }
            });
        }
        together();
        const LatchState seen = tally.watch();
        for (std::thread& thread : leaving) { thread.join(); }
        REQUIRE((seen == LatchState::completed) == (told == 0));
        REQUIRE(tally.state() == LatchState::completed);
    }
}

TEST_CASE("of copies that fail at once exactly one is the first [5.3]") {
    constexpr int copies = 4;
    for (int round = 0; round < 100; ++round) {
        Tally<latchbox::Threads> tally;
        tally.begin(copies);
        std::atomic<int> first{0};
        std::vector<std::thread> leaving;
        for (int i = 0; i < copies; ++i) {
            leaving.emplace_back([&] {
                if (tally.leave(Told::pending, true).fails) { ++first; }
            });
        }
        for (std::thread& thread : leaving) { thread.join(); }
        REQUIRE(first == 1);
        REQUIRE(tally.state() == LatchState::failed);
    }
}

}  // namespace
