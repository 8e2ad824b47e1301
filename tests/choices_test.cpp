// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/testing/choices.hpp"

#include <numeric>
#include <set>

#include <doctest/doctest.h>

#include "support/environment.hpp"

using latchbox::testing::Bytes;
using latchbox::testing::Choices;
using latchbox::testing::Exhaustive;
using latchbox::testing::Replay;
using latchbox::testing::Seeded;
using latchbox::testing::Trace;

namespace {

// Asks differently by what was answered before, as tests do.
Trace ask(Choices& choices) {
    Trace answers{choices.pick(3)};
    if (answers[0] != 1) { answers.push_back(choices.pick(2)); }
    answers.push_back(choices.pick(1));
    return answers;
}

}  // namespace

TEST_CASE("a trace survives the way through text") {
    CHECK(latchbox::testing::to_string(Trace{3, 0, 1}) == "3,0,1");
    CHECK(latchbox::testing::from_string("3,0,1") == Trace{3, 0, 1});
    CHECK(latchbox::testing::to_string(Trace{}).empty());
    CHECK(latchbox::testing::from_string("") == Trace{});
    CHECK(latchbox::testing::from_string("4294967295") == Trace{4294967295U});
}

TEST_CASE("a text that is no trace gives none") {
    for (const char* const text :
         {",", "1,", ",1", "1,,2", "1 2", "-1", "x", "1x", "4294967296", " 1", "+1"}) {
        CAPTURE(text);
        CHECK_FALSE(latchbox::testing::from_string(text).has_value());
    }
}

TEST_CASE("a question with one answer leaves no trace") {
    Seeded choices{7};
    CHECK(choices.pick(1) == 0);
    CHECK(choices.pick(0) == 0);
    CHECK(choices.one_in(1));
    CHECK(choices.trace().empty());
}

TEST_CASE("a seed gives the same answers everywhere") {
    // The answers themselves: they must not change with the platform, nor with a later change
    // of the generator, as kept seeds would mean something else then.
    Seeded choices{1};
    Trace answers;
    for (int i = 0; i < 8; ++i) { answers.push_back(choices.pick(1000)); }
    CHECK(latchbox::testing::to_string(answers) == "566,745,971,444,444,762,877,523");
    CHECK(choices.trace() == answers);
}

TEST_CASE("answers by chance stay in their range and reach all of it evenly") {
    Seeded choices{42};
    for (const std::uint32_t n : {2U, 3U, 10U}) {
        std::vector<std::uint32_t> reached(n, 0);
        for (int i = 0; i < 10'000; ++i) {
            const std::uint32_t answer = choices.pick(n);
            REQUIRE(answer < n);
            ++reached[answer];
        }
        for (const std::uint32_t times : reached) {
            CHECK(times * n > 9'000);
            CHECK(times * n < 11'000);
        }
    }
}

TEST_CASE("two seeds answer differently") {
    Seeded one{1};
    Seeded other{2};
    for (int i = 0; i < 20; ++i) {
        one.pick(1000);
        other.pick(1000);
    }
    CHECK(one.trace() != other.trace());
}

TEST_CASE("the exhaustive driver gives every sequence once, the simplest first") {
    Exhaustive choices;
    std::vector<Trace> seen;
    do { seen.push_back(ask(choices)); } while (choices.next());
    CHECK(seen == std::vector<Trace>{{0, 0, 0}, {0, 1, 0}, {1, 0}, {2, 0, 0}, {2, 1, 0}});
    CHECK_FALSE(choices.next());
}

TEST_CASE("the exhaustive driver counts as arithmetic does") {
    Exhaustive choices;
    std::set<Trace> seen;
    int runs = 0;
    do {
        for (const std::uint32_t n : {2U, 3U, 4U, 5U}) { choices.pick(n); }
        seen.insert(choices.trace());
        ++runs;
    } while (choices.next());
    CHECK(runs == 120);
    CHECK(seen.size() == 120);
}

TEST_CASE("a recorded run replays as it was") {
    Seeded choices{9};
    const Trace answers = ask(choices);
    Replay again{choices.trace()};
    CHECK(ask(again) == answers);
    CHECK(again.trace() == choices.trace());
}

TEST_CASE("a replay answers 0 after its end, and wraps an answer that is too large") {
    Replay choices{{5}};
    CHECK(choices.pick(4) == 1);
    CHECK(choices.pick(4) == 0);
    CHECK(choices.trace() == Trace{1, 0});
}

TEST_CASE("bytes answer one by one, wrap around, and are 0 after their end") {
    Bytes choices{std::string_view{"\x05\x02\xff", 3}};
    CHECK(choices.pick(4) == 1);
    CHECK(choices.pick(1) == 0);  // takes none
    CHECK(choices.pick(256) == 2);
    CHECK_FALSE(choices.is_over());
    CHECK(choices.pick(256) == 255);
    CHECK(choices.is_over());
    CHECK(choices.pick(9) == 0);
    CHECK(choices.trace() == Trace{1, 2, 255, 0});
    CHECK_FALSE(Replay{{}}.is_over());
}

TEST_CASE("a question with more answers than a byte has takes as many bytes as it needs") {
    Bytes choices{std::string_view{"\x01\x02\x07\xff\xff\xff\xff\x01", 8}};
    CHECK(choices.pick(257) == 1);
    CHECK(choices.pick(8) == 7);
    CHECK(choices.pick(0xffffffffU) == 0);  // 2^32 - 1 wraps around
    CHECK(choices.pick(70'000) == 1);       // of three bytes the only one there is
    CHECK(choices.is_over());
}

TEST_CASE("every answer can be had from bytes") {
    for (const std::uint32_t n : {2U, 3U, 255U, 256U, 257U, 1'000U}) {
        std::set<std::uint32_t> reached;
        for (int first = 0; first < 256; ++first) {
            for (int second = 0; second < 256; ++second) {
                const char bytes[] = {static_cast<char>(first), static_cast<char>(second)};
                Bytes choices{std::string_view{bytes, 2}};
                reached.insert(choices.pick(n));
            }
        }
        CHECK(reached.size() == n);
        CHECK(*reached.rbegin() == n - 1);
    }
}

TEST_CASE("shrinking finds the one choice that matters") {
    const auto has_a_large_one = [](const Trace& trace) {
        for (const std::uint32_t choice : trace) {
            if (choice >= 6) { return true; }
        }
        return false;
    };
    CHECK(latchbox::testing::shrink(Trace{4, 1, 7, 3, 9, 2, 7, 7, 0, 5}, has_a_large_one) ==
          Trace{6});
}

TEST_CASE("shrinking keeps what must stay in its order") {
    const Trace found = latchbox::testing::shrink(
        Trace{9, 8, 7, 6, 5, 4, 3, 2, 1},
        [](const Trace& trace) { return trace.size() >= 3 && trace[0] >= 2 && trace[2] >= 1; });
    CHECK(found == Trace{2, 0, 1});
}

TEST_CASE("shrinking calls no more often than it may, and never returns a trace that passes") {
    for (const std::size_t attempts : {std::size_t{0}, std::size_t{1}, std::size_t{25}}) {
        std::size_t calls = 0;
        const auto still_fails = [&](const Trace& trace) {
            ++calls;
            return std::accumulate(trace.begin(), trace.end(), 0U) >= 20;
        };
        const Trace found = latchbox::testing::shrink(Trace(40, 3), still_fails, attempts);
        CHECK(calls <= attempts);
        CHECK(std::accumulate(found.begin(), found.end(), 0U) >= 20);
    }
}

TEST_CASE("seed and trace come from the environment") {
    {
        const support::Environment seed{"LATCHBOX_SEED", "18446744073709551615"};
        const support::Environment trace{"LATCHBOX_TRACE", "0,2"};
        CHECK(latchbox::testing::seed_from_environment() == 18446744073709551615U);
        CHECK(latchbox::testing::trace_from_environment() == Trace{0, 2});
    }
    const support::Environment seed{"LATCHBOX_SEED", "twelve"};
    const support::Environment trace{"LATCHBOX_TRACE", "0,"};
    CHECK_FALSE(latchbox::testing::seed_from_environment().has_value());
    CHECK_FALSE(latchbox::testing::trace_from_environment().has_value());
}
