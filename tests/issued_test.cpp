// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/issued.hpp"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/testing/choices.hpp"

// What is known of numbers, beside a naive memory of all failures.
namespace {

using latchbox::Cause;
using latchbox::MessageState;
using latchbox::detail::Issued;

constexpr Cause causes[] = {Cause::expired, Cause::purged, Cause::evicted, Cause::cancelled};

void make_room(Issued& issued, std::size_t more) {
    while (!issued.has_room(more)) {
        auto room = Issued::make(issued.wanted(more));
        issued.adopt(room);
    }
}

// Every failure there was, in order; those before `remembered` are forgotten.
struct Naive {
    std::size_t bound;
    std::uint64_t begin;
    std::uint64_t next = begin;
    std::vector<std::pair<std::uint64_t, Cause>> failures = {};

    [[nodiscard]] std::size_t remembered() const {
        return failures.size() > bound ? failures.size() - bound : 0;
    }
    // The rule of [5.2], word by word.
    [[nodiscard]] std::pair<MessageState, Cause> past(std::uint64_t number) const {
        if (number < begin || number >= next) { return {MessageState::never_issued, Cause::none}; }
        std::uint64_t boundary = 0;
        for (std::size_t i = 0; i < failures.size(); ++i) {
            const auto& [failed, cause] = failures[i];
            if (i < remembered()) {
                boundary = std::max(boundary, failed);
            } else if (failed == number) {
                return {MessageState::failed, cause};
            }
        }
        return {number <= boundary ? MessageState::forgotten : MessageState::completed,
                Cause::none};
    }
};

struct Both {
    Issued issued;
    Naive naive;
    std::vector<std::uint64_t> held = {};

    explicit Both(std::size_t bound, std::uint64_t first = 1)
        : issued{bound, first}, naive{bound, first} {}

    void draw() {
        make_room(issued, held.size() + 1);
        REQUIRE(issued.next() == naive.next);
        held.push_back(issued.draw());
        REQUIRE(held.back() == naive.next++);
    }
    // Takes no memory: what is needed was made when the number was drawn. [4.11]
    void fail(std::size_t at, Cause cause) {
        issued.remember(held[at], cause);
        naive.failures.emplace_back(held[at], cause);
        forget(at);
    }
    void forget(std::size_t at) { held.erase(held.begin() + static_cast<std::ptrdiff_t>(at)); }
    void step(latchbox::testing::Choices& choices) {
        const auto size = static_cast<std::uint32_t>(held.size());
        switch (size == 0 ? 0 : choices.pick(3)) {
            case 0: return draw();
            case 1: return fail(choices.pick(size), causes[naive.failures.size() % 4]);
            default: return forget(choices.pick(size));
        }
    }
    void check() const {
        REQUIRE(issued.sound());
        REQUIRE(issued.size() == std::min(naive.bound, naive.failures.size()));
        REQUIRE(issued.room() <= naive.bound);
        REQUIRE(issued.has_room(held.size()));
        for (std::uint64_t number = naive.begin - 1; number != naive.next + 1; ++number) {
            const auto past = issued.past(number);
            REQUIRE(std::pair{past.state, past.cause} == naive.past(number));
            const bool drawn = naive.begin <= number && number < naive.next;
            REQUIRE(issued.has_drawn(number) == drawn);
        }
    }
};

TEST_CASE("nothing is known of a number that was never drawn [5.2]") {
    Issued issued{3, 10};
    for (const std::uint64_t number : {0U, 9U, 10U, 11U}) {
        CHECK(issued.past(number).state == MessageState::never_issued);
        CHECK_FALSE(issued.has_drawn(number));
    }
    CHECK(issued.draw() == 10);
    CHECK(issued.past(10).state == MessageState::completed);
    CHECK(issued.past(11).state == MessageState::never_issued);
    CHECK(issued.past(~std::uint64_t{0}).state == MessageState::never_issued);
}

TEST_CASE("what was drawn, is gone and did not fail has completed, however long ago [5.2]") {
    Issued issued{2};
    make_room(issued, 2);
    for (int i = 0; i < 1'000; ++i) { issued.draw(); }
    issued.remember(500, Cause::expired);
    CHECK(issued.past(1).state == MessageState::completed);
    CHECK(issued.past(999).state == MessageState::completed);
    CHECK(issued.past(500).state == MessageState::failed);
    CHECK(issued.past(500).cause == Cause::expired);
    CHECK(issued.size() == 1);
}

TEST_CASE("beyond the bound the failure longest ago is forgotten, whatever its number [5.2]") {
    Issued issued{2};
    make_room(issued, 2);
    for (int i = 0; i < 9; ++i) { issued.draw(); }
    for (const std::uint64_t failed : {5U, 2U, 7U}) { issued.remember(failed, Cause::evicted); }
    // 5 is forgotten: of all up to it nothing is known but that 2 has failed.
    for (std::uint64_t number = 1; number <= 9; ++number) {
        const auto expected = number == 2 || number == 7 ? MessageState::failed
                              : number <= 5              ? MessageState::forgotten
                                                         : MessageState::completed;
        CHECK(issued.past(number).state == expected);
    }
    // A lower one that is forgotten later moves nothing.
    issued.remember(8, Cause::evicted);
    CHECK(issued.past(2).state == MessageState::forgotten);
    CHECK(issued.past(6).state == MessageState::completed);
}

TEST_CASE("without a memory each failure is forgotten at once, and takes none [5.2]") {
    Issued issued{0};
    CHECK(issued.has_room(1'000'000));
    CHECK(issued.wanted(1'000'000) == 0);
    for (int i = 0; i < 5; ++i) { issued.draw(); }
    CHECK(issued.past(3).state == MessageState::completed);
    issued.remember(3, Cause::purged);
    CHECK(issued.past(3).state == MessageState::forgotten);
    CHECK(issued.past(2).state == MessageState::forgotten);
    CHECK(issued.past(4).state == MessageState::completed);
    CHECK(issued.room() == 0);
    CHECK(issued.sound());
}

TEST_CASE("every script of seven steps is remembered as a naive memory does [5.2]") {
    for (std::size_t bound = 0; bound <= 3; ++bound) {
        latchbox::testing::Exhaustive choices;
        do {
            Both both{bound};
            for (int i = 0; i < 7; ++i) { both.step(choices); }
            both.check();
        } while (choices.next());
    }
}

TEST_CASE("long walks are remembered as a naive memory does, near the last number too [5.2]") {
    for (const std::uint64_t first : {std::uint64_t{1}, ~std::uint64_t{0} - 1'000}) {
        for (std::size_t bound = 0; bound < 40; bound += 1 + bound / 2) {
            latchbox::testing::Seeded choices{bound};
            Both both{bound, first};
            for (int i = 0; i < 400; ++i) { both.step(choices); }
            both.check();
            while (!both.held.empty()) { both.fail(0, Cause::purged); }
            both.check();
        }
    }
}

TEST_CASE("room is made at least twofold, never beyond the bound, and kept in order") {
    Issued issued{100};
    CHECK_FALSE(issued.has_room(1));
    CHECK(issued.wanted(1) == 1);
    make_room(issued, 1);
    issued.draw();
    issued.remember(1, Cause::expired);
    CHECK_FALSE(issued.has_room(1));
    CHECK(issued.wanted(1) == 2);
    make_room(issued, 39);
    CHECK(issued.room() == 40);
    CHECK(issued.wanted(40) == 80);
    CHECK(issued.wanted(70) == 80);
    CHECK(issued.wanted(98) == 99);
    CHECK(issued.wanted(500) == 100);
    CHECK(issued.past(1).cause == Cause::expired);
    auto smaller = Issued::make(40);
    issued.adopt(smaller);
    CHECK(smaller.ring.size() == 40);
    CHECK(issued.room() == 40);
    make_room(issued, 1'000);
    CHECK(issued.room() == 100);
    CHECK(issued.has_room(1'000'000));
}

TEST_CASE("a ring that has come round grows without losing its order [5.2]") {
    for (std::size_t turns = 0; turns < 5; ++turns) {
        Issued issued{4};
        auto three = Issued::make(3);
        issued.adopt(three);
        std::uint64_t last = 0;
        for (std::size_t i = 0; i < 3 + turns; ++i) {
            last = issued.draw();
            issued.remember(last, Cause::expired);
        }
        auto four = Issued::make(4);
        issued.adopt(four);
        CHECK(issued.sound());
        issued.remember(issued.draw(), Cause::purged);
        for (std::uint64_t number = last - 2; number <= last + 1; ++number) {
            CHECK(issued.past(number).state == MessageState::failed);
        }
        issued.remember(issued.draw(), Cause::purged);
        CHECK(issued.past(last - 2).state == MessageState::forgotten);
        CHECK(issued.past(last - 1).state == MessageState::failed);
        CHECK(issued.sound());
    }
}

TEST_CASE("what is handed over knows all, and what stays takes everything for forgotten [5.2]") {
    Both both{3, 5};
    for (int i = 0; i < 8; ++i) { both.draw(); }
    for (const std::size_t at : {1U, 3U, 5U}) { both.fail(at, Cause::cancelled); }
    Issued rest{both.issued};
    both.issued = rest.hand_over();
    both.check();
    CHECK(rest.next() == both.issued.next());
    for (std::uint64_t number = 5; number < 13; ++number) {
        CHECK(rest.past(number).state == MessageState::forgotten);
    }
    CHECK(rest.past(4).state == MessageState::never_issued);
    CHECK(rest.past(13).state == MessageState::never_issued);
    CHECK(rest.sound());
    // Whatever leaves the queue later needs no room.
    rest.remember(rest.draw(), Cause::purged);
    CHECK(rest.past(13).state == MessageState::forgotten);
    SUBCASE("of nothing there is nothing to know") {
        Issued empty{3};
        const Issued handed = empty.hand_over();
        CHECK(handed.past(1).state == MessageState::never_issued);
        CHECK(empty.past(1).state == MessageState::never_issued);
        CHECK(empty.draw() == 1);
        CHECK(empty.past(1).state == MessageState::completed);
    }
}

TEST_CASE("a copy remembers on its own") {
    Issued issued{2};
    make_room(issued, 2);
    for (int i = 0; i < 3; ++i) { issued.draw(); }
    issued.remember(1, Cause::expired);
    Issued copy{issued};
    copy.remember(2, Cause::expired);
    copy.remember(3, Cause::expired);
    CHECK(issued.past(1).state == MessageState::failed);
    CHECK(issued.past(2).state == MessageState::completed);
    CHECK(copy.past(1).state == MessageState::forgotten);
    CHECK(copy.sound());
    CHECK(issued.sound());
}

TEST_CASE("many numbers drawn at once are those that would have been drawn one by one [5.2]") {
    Issued issued{3, 10};
    CHECK(issued.draw(0) == 10);
    CHECK(issued.draw(5) == 10);
    CHECK(issued.next() == 15);
    CHECK(issued.draw() == 15);
    CHECK(issued.draw(2) == 16);
    CHECK(issued.past(17).state == MessageState::completed);
    CHECK(issued.past(18).state == MessageState::never_issued);
}

TEST_CASE("a bound that is raised holds from then on, and is never lowered [5.2]") {
    Issued issued{2};
    make_room(issued, 9);
    for (int i = 0; i < 20; ++i) { issued.draw(); }
    for (const std::uint64_t failed : {1U, 2U, 3U}) { issued.remember(failed, Cause::expired); }
    CHECK(issued.past(1).state == MessageState::forgotten);
    issued.raise_bound(4);
    issued.raise_bound(1);
    CHECK_FALSE(issued.has_room(9));
    // Without room nothing changes yet: the next failure makes one forgotten.
    issued.remember(4, Cause::expired);
    CHECK(issued.past(2).state == MessageState::forgotten);
    make_room(issued, 9);
    CHECK(issued.room() == 4);
    for (const std::uint64_t failed : {5U, 6U, 7U}) { issued.remember(failed, Cause::expired); }
    CHECK(issued.size() == 4);
    for (std::uint64_t number = 1; number <= 7; ++number) {
        CHECK(issued.past(number).state ==
              (number <= 3 ? MessageState::forgotten : MessageState::failed));
    }
    CHECK(issued.past(8).state == MessageState::completed);
    CHECK(issued.sound());
}

}  // namespace
