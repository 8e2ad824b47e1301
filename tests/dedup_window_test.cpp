// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/dedup_window.hpp"

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

// Values and who used them last, beside a naive list.
namespace {

using latchbox::Duration;
using latchbox::Instant;
using latchbox::detail::DedupWindow;

constexpr Instant at(std::int64_t t) { return Instant{Duration::nanoseconds(t)}; }

void make_room(DedupWindow& window, std::size_t more = 1) {
    if (window.has_room(more)) { return; }
    auto room = DedupWindow::make(window.wanted(more));
    window.adopt(room);
}
void use(DedupWindow& window, std::string value, std::uint64_t number, Instant now,
         Duration length) {
    make_room(window);
    window.insert(value, {number, static_cast<latchbox::detail::Slot>(number % 7)}, now, length);
}
// Who used it last; 0: nobody.
std::uint64_t user(const DedupWindow& window, std::string_view value, Instant now) {
    const auto* const by = window.find(value, now);
    if (by == nullptr) { return 0; }
    REQUIRE(by->slot == by->number % 7);
    return by->number;
}

// In the order of their last use.
struct Naive {
    struct Used {
        std::string value;
        std::uint64_t number;
        Instant until;
    };
    std::size_t bound;
    std::vector<Used> list = {};
    std::uint64_t forgotten = 0;
    Instant latest = at(-100);

    void insert(const std::string& value, std::uint64_t number, Instant now, Duration length) {
        if (bound == 0) { return; }
        latest = std::max(latest, now);
        now = latest;
        std::erase_if(list,
                      [&](const Used& one) { return one.value == value || one.until <= now; });
        if (list.size() == bound) {
            list.erase(list.begin());
            ++forgotten;
        }
        list.push_back({value, number, now + length});
    }
    [[nodiscard]] std::uint64_t user(const std::string& value, Instant now) const {
        for (const Used& one : list) {
            if (one.value == value && now < one.until) { return one.number; }
        }
        return 0;
    }
};

struct Both {
    DedupWindow window;
    Naive naive;
    std::vector<std::string> values;
    std::int64_t now = 0;
    std::uint64_t number = 0;

    Both(std::size_t bound, std::size_t different) : window{bound}, naive{bound} {
        for (std::size_t i = 0; i < different; ++i) { values.push_back(std::string(i + 1, 'v')); }
    }
    // Memory grows as late and by as little as it can.
    void step(latchbox::testing::Choices& choices, std::uint32_t latest, std::int64_t length) {
        now += choices.pick(2);
        const Instant told = at(now - choices.pick(latest + 1));
        const auto& value = values[choices.pick(static_cast<std::uint32_t>(values.size()))];
        ++number;
        if (!window.has_room()) {
            auto room = DedupWindow::make(window.size() + 1);
            window.adopt(room);
        }
        std::string text = value;
        window.insert(text, {number, static_cast<latchbox::detail::Slot>(number % 7)}, told,
                      Duration::nanoseconds(length));
        naive.insert(value, number, told, Duration::nanoseconds(length));
    }
    void check() const {
        REQUIRE(window.sound());
        REQUIRE(window.size() == naive.list.size());
        REQUIRE(window.forgotten() == naive.forgotten);
        REQUIRE(window.until() == (naive.list.empty() ? Instant{} : naive.list.back().until));
        for (const std::string& value : values) {
            for (std::int64_t later = 0; later < 4; ++later) {
                const Instant then = at(now + later);
                REQUIRE(user(window, value, then) == naive.user(value, then));
            }
        }
    }
};

TEST_CASE("every script of six uses is remembered as by a naive list [7.1]") {
    for (std::size_t bound = 0; bound <= 3; ++bound) {
        latchbox::testing::Exhaustive choices;
        do {
            Both both{bound, 3};
            for (int i = 0; i < 6; ++i) { both.step(choices, 0, 2); }
            both.check();
        } while (choices.next());
    }
}

TEST_CASE("who looked at the clock before another counts from when that one did [7.1]") {
    for (std::size_t bound = 1; bound <= 3; ++bound) {
        latchbox::testing::Exhaustive choices;
        do {
            Both both{bound, 3};
            for (int i = 0; i < 4; ++i) { both.step(choices, 1, 2); }
            both.check();
        } while (choices.next());
    }
    DedupWindow window;
    use(window, "a", 1, at(9), Duration::nanoseconds(5));
    use(window, "b", 2, at(3), Duration::nanoseconds(5));
    CHECK(user(window, "b", at(13)) == 2);
    CHECK(window.until() == at(14));
}

TEST_CASE("long walks are remembered as by a naive list, whatever hashes alike [7.1]") {
    for (std::size_t bound = 1; bound < 60; bound += 1 + bound / 2) {
        latchbox::testing::Seeded choices{bound};
        Both both{bound, 40};
        for (int i = 0; i < 400; ++i) { both.step(choices, 1, 30); }
        both.check();
    }
}

TEST_CASE("a value is found up to the end of its window, and not at it [7.1]") {
    DedupWindow window;
    CHECK(user(window, "v", at(0)) == 0);
    use(window, "v", 1, at(5), Duration::nanoseconds(4));
    CHECK(user(window, "v", at(5)) == 1);
    CHECK(user(window, "v", at(8)) == 1);
    CHECK(user(window, "v", at(9)) == 0);
    CHECK(window.until() == at(9));
    CHECK(user(window, "", at(5)) == 0);
    CHECK(user(window, std::string_view{"v\0", 2}, at(5)) == 0);
}

TEST_CASE("who used it last counts, and a value that is used again is the newest [7.1]") {
    DedupWindow window{2};
    use(window, "a", 1, at(0), Duration::nanoseconds(90));
    use(window, "b", 2, at(1), Duration::nanoseconds(90));
    use(window, "a", 3, at(2), Duration::nanoseconds(90));
    CHECK(user(window, "a", at(2)) == 3);
    CHECK(window.size() == 2);
    use(window, "c", 4, at(3), Duration::nanoseconds(90));
    CHECK(user(window, "b", at(3)) == 0);
    CHECK(user(window, "a", at(3)) == 3);
    CHECK(window.forgotten() == 1);
}

TEST_CASE("one whose window is over makes room first, and is not counted as forgotten [7.1]") {
    DedupWindow window{2};
    use(window, "a", 1, at(0), Duration::nanoseconds(10));
    use(window, "b", 2, at(5), Duration::nanoseconds(10));
    use(window, "c", 3, at(10), Duration::nanoseconds(10));
    CHECK(window.size() == 2);
    CHECK(window.forgotten() == 0);
    use(window, "d", 4, at(14), Duration::nanoseconds(10));
    CHECK(window.forgotten() == 1);
}

TEST_CASE("without a bound to remember nothing is, and no memory is wanted [7.1]") {
    DedupWindow window{0};
    CHECK(window.has_room(1'000'000));
    CHECK(window.wanted(1'000'000) == 0);
    use(window, "a", 1, at(0), Duration::nanoseconds(10));
    CHECK(user(window, "a", at(0)) == 0);
    CHECK(window.size() == 0);
    CHECK(window.until() == Instant{});
    CHECK(window.forgotten() == 0);
}

TEST_CASE("room is wanted at least twofold, never beyond the bound, and kept if larger [4.12]") {
    CHECK(DedupWindow{}.wanted(1'000'000) == DedupWindow::most);
    DedupWindow window{100};
    CHECK_FALSE(window.has_room());
    CHECK(window.has_room(0));
    make_room(window, 3);
    for (std::uint64_t i = 1; i <= 3; ++i) {
        REQUIRE(window.has_room());
        use(window, std::to_string(i), i, at(0), Duration::nanoseconds(9));
    }
    CHECK(window.wanted(1) >= 2 * window.size());
    CHECK(window.wanted(60) == 100);
    auto smaller = DedupWindow::make(2);
    window.adopt(smaller);
    CHECK(smaller.entries.size() == 2);
    auto larger = DedupWindow::make(100);
    window.adopt(larger);
    CHECK(larger.entries.size() < 100);
    CHECK(window.has_room(1'000'000));
    CHECK(window.sound());
    for (std::uint64_t i = 1; i <= 3; ++i) { CHECK(user(window, std::to_string(i), at(0)) == i); }
}

TEST_CASE("texts change places, so that using values takes no memory in the long run [4.11]") {
    DedupWindow window{4};
    make_room(window, 4);
    std::string text;
    std::uint64_t asked = 0;
    for (std::uint64_t i = 0; i < 20; ++i) {
        text.reserve(40);
        text.assign(40, static_cast<char>('a' + i));
        const support::FailingNew count;
        window.insert(text, {i, 0}, at(0), Duration::nanoseconds(9));
        asked += count.asked();
        if (i >= 4) { CHECK(text.capacity() >= 40); }
    }
    CHECK(asked == 0);
    CHECK(window.forgotten() == 16);
}

TEST_CASE("a copy remembers on its own") {
    DedupWindow window{2};
    use(window, "a", 1, at(0), Duration::nanoseconds(9));
    DedupWindow copy{window};
    use(copy, "a", 2, at(1), Duration::nanoseconds(9));
    use(copy, "b", 3, at(1), Duration::nanoseconds(9));
    CHECK(user(window, "a", at(1)) == 1);
    CHECK(user(window, "b", at(1)) == 0);
    CHECK(user(copy, "a", at(1)) == 2);
    CHECK(copy.sound());
    CHECK(window.sound());
}

}  // namespace
