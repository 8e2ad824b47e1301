// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/pattern_index.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/testing/choices.hpp"
#include "support/failing_new.hpp"
#include "support/subjects.hpp"

namespace {

using latchbox::detail::Pattern;
using latchbox::detail::PatternIndex;
using latchbox::detail::Tokens;
using support::matches;
using support::names;
using Index = PatternIndex<int>;

// Subscribers are numbers, and each is its own.
int& subscriber(int value) {
    static int all[1'000];
    return all[value] = value;
}

void insert(Index& index, std::string_view pattern, int value) {
    Index one = Index::make(pattern, static_cast<std::uint32_t>(value), subscriber(value));
    index.insert(one);
    CHECK(one.empty());
}

bool erase(Index& index, std::string_view pattern, int value) {
    return !index.erase(pattern, static_cast<std::uint32_t>(value)).empty();
}

std::vector<int> found(const Index& index, std::string_view subject) {
    std::vector<int> values;
    index.match(subject, [&values](int value) { values.push_back(value); });
    std::sort(values.begin(), values.end());
    return values;
}

const std::vector<std::string> subjects = names(5, {"a", "b"});
const std::vector<std::string> patterns = names(5, {"a", "b", "*"}, {">"});

TEST_CASE("a name falls into its tokens") {
    const Tokens one{"orders"};
    CHECK(one.size() == 1);
    CHECK(one[0] == "orders");
    const Tokens three{"orders.eu.paid"};
    REQUIRE(three.size() == 3);
    CHECK(three[0] == "orders");
    CHECK(three[1] == "eu");
    CHECK(three[2] == "paid");
}

TEST_CASE("matching equals a naive matcher, for all names up to five tokens of two letters [6.1]") {
    REQUIRE(subjects.size() == 62);
    REQUIRE(patterns.size() == 484);
    Index index;
    for (std::size_t i = 0; i < patterns.size(); ++i) {
        insert(index, patterns[i], static_cast<int>(i));
    }
    CHECK(index.size() == patterns.size());
    std::size_t matched = 0;
    for (const std::string& subject : subjects) {
        std::vector<int> expected;
        for (std::size_t i = 0; i < patterns.size(); ++i) {
            if (matches(patterns[i], subject)) { expected.push_back(static_cast<int>(i)); }
        }
        matched += expected.size();
        CHECK((found(index, subject) == expected));
    }
    CHECK(matched > 1'000);
}

TEST_CASE("each pattern alone matches what it says, and nothing else [6.1]") {
    for (const std::string& pattern : patterns) {
        Index index;
        insert(index, pattern, 7);
        const Pattern alone{pattern};
        for (const std::string& subject : subjects) {
            if (found(index, subject).empty() == matches(pattern, subject) ||
                alone.matches(subject) != matches(pattern, subject)) {
                CAPTURE(pattern);
                CAPTURE(subject);
                FAIL_CHECK("they differ");
            }
        }
    }
}

TEST_CASE("whatever comes and goes, what is there is found, and nothing else stays behind [6.7]") {
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
        latchbox::testing::Seeded choices{seed};
        Index index;
        std::vector<std::pair<std::string, int>> there;
        for (int step = 0; step < 60; ++step) {
            if (there.empty() || choices.pick(5) < 3) {
                const std::string& pattern =
                    patterns[choices.pick(static_cast<std::uint32_t>(patterns.size()))];
                insert(index, pattern, step);
                there.emplace_back(pattern, step);
            } else {
                const std::size_t at = choices.pick(static_cast<std::uint32_t>(there.size()));
                REQUIRE(erase(index, there[at].first, there[at].second));
                there.erase(there.begin() + static_cast<std::ptrdiff_t>(at));
            }
            CHECK(index.size() == there.size());
            const std::string& subject =
                subjects[choices.pick(static_cast<std::uint32_t>(subjects.size()))];
            std::vector<int> expected;
            for (const auto& [pattern, value] : there) {
                if (matches(pattern, subject)) { expected.push_back(value); }
            }
            std::sort(expected.begin(), expected.end());
            REQUIRE((found(index, subject) == expected));
        }
        for (const auto& [pattern, value] : there) { REQUIRE(erase(index, pattern, value)); }
        REQUIRE(index.empty());
        REQUIRE(index.places() == 0);
    }
}

TEST_CASE("what was never there is not taken out, nor what somebody else has there") {
    Index index;
    insert(index, "a.b", 1);
    insert(index, "a.>", 2);
    CHECK_FALSE(erase(index, "a.b", 2));
    CHECK_FALSE(erase(index, "a", 1));
    CHECK_FALSE(erase(index, "a.b.c", 1));
    CHECK_FALSE(erase(index, "*.b", 1));
    CHECK_FALSE(erase(index, ">", 2));
    CHECK((found(index, "a.b") == std::vector<int>{1, 2}));
    CHECK(erase(index, "a.b", 1));
    CHECK((found(index, "a.b") == std::vector<int>{2}));
    CHECK(index.places() == 1);
}

TEST_CASE("of those with one pattern each goes by itself, in whatever order") {
    std::vector<int> values = {1, 2, 3};
    do {
        Index index;
        for (const int value : values) { insert(index, "*.x", value); }
        CHECK((found(index, "a.x") == std::vector<int>{1, 2, 3}));
        CHECK(erase(index, "*.x", 2));
        CHECK_FALSE(erase(index, "*.x", 2));
        CHECK((found(index, "a.x") == std::vector<int>{1, 3}));
        CHECK(erase(index, "*.x", 1));
        CHECK(erase(index, "*.x", 3));
        CHECK(index.places() == 0);
    } while (std::next_permutation(values.begin(), values.end()));
}

TEST_CASE("what is taken out is empty or one entry, and taking it out needs no memory [4.11]") {
    Index index;
    for (int value = 0; value < 5; ++value) { insert(index, "a.*.c", value); }
    insert(index, "a.>", 7);
    const Index nothing = index.erase("a.*.c", 7);
    CHECK(nothing.empty());
    std::uint64_t asked = 0;
    {
        const support::FailingNew count;
        for (const std::uint32_t value : {2U, 4U, 0U, 1U, 3U}) {
            const Index one = index.erase("a.*.c", value);
            CHECK(one.size() == 1);
        }
        asked = count.asked();
    }
    CHECK(asked == 0);
    CHECK(index.size() == 1);
    CHECK(index.places() == 1);
    CHECK((found(index, "a.b.c") == std::vector<int>{7}));
}

TEST_CASE("places are those of all tokens, however deep") {
    Index index;
    insert(index, "a.b.c", 1);
    CHECK(index.places() == 3);
    insert(index, "a.b.d.e", 2);
    CHECK(index.places() == 5);
    CHECK(erase(index, "a.b.d.e", 2));
    CHECK(index.places() == 3);
}

}  // namespace
