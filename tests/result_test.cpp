// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/result.hpp"

#include <cstddef>
#include <initializer_list>
#include <cstddef>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "support/message_kinds.hpp"

namespace {

using latchbox::Errc;
using latchbox::Error;
using latchbox::Result;
using support::Counted;

TEST_CASE("a result holds a value or says why there is none") {
    const Result<int> value{3};
    CHECK(value);
    CHECK(value.has_value());
    CHECK(*value == 3);
    CHECK(value.value() == 3);
    CHECK_FALSE(value == Errc::empty);

    const Result<int> nothing{Errc::empty};
    CHECK_FALSE(nothing);
    CHECK(nothing.error() == Errc::empty);
    CHECK(nothing == Errc::empty);
    CHECK(nothing != Errc::closed);
}

TEST_CASE("value() without a value throws the error") {
    const Result<std::string> nothing{Errc::timed_out};
    try {
        static_cast<void>(nothing.value());
        FAIL("it must throw");
    } catch (const Error& error) { CHECK(error.errc() == Errc::timed_out); }
    CHECK_THROWS_AS(Result<void>{Errc::closed}.value(), Error);
    CHECK_NOTHROW(Result<void>{}.value());
}

TEST_CASE("a result gives its value away, and reaches into it") {
    Result<std::unique_ptr<int>> held{std::make_unique<int>(7)};
    CHECK(**held == 7);
    CHECK(*held->get() == 7);
    const std::unique_ptr<int> taken = std::move(held).value();
    CHECK(*taken == 7);
    CHECK(held);
    CHECK(*held == nullptr);
    Result<std::string> text{std::string{"tea"}};
    CHECK(text->size() == 3);
    CHECK(*std::move(text) == "tea");
    const Result<std::vector<int>> built{std::in_place, std::size_t{3}, 1};
    CHECK(*built == std::vector<int>{1, 1, 1});
}

TEST_CASE("copies and moves of results keep value and error, and destroy what they replace") {
    const int before = Counted::live;
    {
        Result<Counted> value{Counted{1}};
        Result<Counted> nothing{Errc::full};
        Result<Counted> copy{value};
        CHECK(copy->number() == 1);
        CHECK(value->number() == 1);
        Result<Counted> moved{std::move(copy)};
        CHECK(moved->number() == 1);

        moved = nothing;
        CHECK(moved == Errc::full);
        moved = value;
        CHECK(moved->number() == 1);
        moved = Result<Counted>{Counted{2}};
        CHECK(moved->number() == 2);
        const Result<Counted>& itself = moved;
        moved = itself;
        CHECK(moved->number() == 2);
        moved = std::move(nothing);
        CHECK(moved == Errc::full);
    }
    CHECK(Counted::live == before);
}

TEST_CASE("an assignment that throws leaves the value as it was") {
    using support::ThrowPlan;
    Result<support::ThrowingCopy> value{support::ThrowingCopy{1}};
    const Result<support::ThrowingCopy> other{support::ThrowingCopy{2}};
    ThrowPlan::arm(1);
    CHECK_THROWS_AS(value = other, support::Thrown);
    ThrowPlan::disarm();
    REQUIRE(value);
    CHECK(value->number() == 1);
}

TEST_CASE("an assignment that throws in a move leaves no half value") {
    using support::ThrowPlan;
    const int before = support::ThrowingMove::live();
    {
        Result<support::ThrowingMove> value{support::ThrowingMove{1}};
        Result<support::ThrowingMove> other{support::ThrowingMove{2}};
        ThrowPlan::arm(1);
        CHECK_THROWS_AS(value = std::move(other), support::Thrown);
        ThrowPlan::disarm();
        CHECK_FALSE(value);
        CHECK(other->number() == 2);
    }
    CHECK(support::ThrowingMove::live() == before);
}

TEST_CASE("value_or stands in for what is not there") {
    const Result<std::string> value{std::string{"tea"}};
    const Result<std::string> nothing{Errc::empty};
    CHECK(value.value_or("cake") == "tea");
    CHECK(nothing.value_or("cake") == "cake");
    Result<support::MoveOnly> only{Errc::empty};
    CHECK(std::move(only).value_or(support::MoveOnly{7}).number() == 7);
    only = support::MoveOnly{8};
    CHECK(std::move(only).value_or(support::MoveOnly{7}).number() == 8);
}

TEST_CASE("results are chained like std::expected") {
    const auto half = [](int n) { return n % 2 == 0 ? Result<int>{n / 2} : Errc::invalid_option; };
    CHECK(*Result<int>{8}.and_then(half) == 4);
    CHECK(Result<int>{7}.and_then(half) == Errc::invalid_option);
    CHECK(Result<int>{Errc::closed}.and_then(half) == Errc::closed);
    const Result<int> kept{6};
    CHECK(*kept.and_then(half) == 3);

    const auto text = [](int n) { return std::to_string(n); };
    CHECK(*Result<int>{8}.transform(text) == "8");
    CHECK(*kept.transform(text) == "6");
    CHECK(Result<int>{Errc::full}.transform(text) == Errc::full);

    const auto zero = [](Errc) { return Result<int>{0}; };
    CHECK(*Result<int>{8}.or_else(zero) == 8);
    CHECK(*Result<int>{Errc::full}.or_else(zero) == 0);
}

TEST_CASE("a result without a value says success or why not") {
    const Result<void> good;
    const Result<void> bad{Errc::lease_lost};
    CHECK(good);
    CHECK_FALSE(bad);
    CHECK(bad.error() == Errc::lease_lost);
    CHECK(bad == Errc::lease_lost);
    CHECK(bad != Errc::closed);
    CHECK_FALSE(good == Errc::lease_lost);
    int calls = 0;
    const auto count = [&] {
        ++calls;
        return Result<int>{calls};
    };
    CHECK(*good.and_then(count) == 1);
    CHECK(bad.and_then(count) == Errc::lease_lost);
    CHECK(calls == 1);
    CHECK(bad.or_else([](Errc) { return Result<void>{}; }));
    CHECK(good.or_else([](Errc code) { return Result<void>{code}; }));
}

// Greedy for braces, as JSON values are: `Nest{nest}` is a nest that holds one nest.
struct Nest {
    Nest() = default;
    Nest(std::initializer_list<Nest> inside) : size{inside.size()} {}
    std::size_t size = 0;
};

TEST_CASE("a value that takes a list of its kind is kept, not wrapped") {
    const Nest pair{Nest{}, Nest{}};
    CHECK(Result<Nest>{pair}->size == 2);
    CHECK(Result<Nest>{Nest{pair}}.value().size == Nest{pair}.size);  // compilers differ on this
    CHECK(Result<Nest>(std::in_place, pair)->size == 2);
}

static_assert(!std::is_copy_constructible_v<Result<std::unique_ptr<int>>>);
static_assert(std::is_nothrow_move_constructible_v<Result<std::string>>);
static_assert(!std::is_convertible_v<Result<int>, bool>, "only where a condition is asked for");

TEST_CASE("assigned to itself it stays what it is") {
    Result<std::string> good{std::string(40, 'x')};
    Result<std::string>& same = good;
    good = std::move(same);
    CHECK(*good == std::string(40, 'x'));
    good = same;
    CHECK(*good == std::string(40, 'x'));
}

TEST_CASE("what has no value hands its error on, from a temporary and from one that stays") {
    const auto half = [](int value) { return Result<int>{value / 2}; };
    const Result<int> good{8};
    const Result<int> bad{Errc::closed};
    CHECK(*good.and_then(half) == 4);
    CHECK(bad.and_then(half) == Errc::closed);
    CHECK(*Result<int>{8}.and_then(half) == 4);
    CHECK(Result<int>{Errc::closed}.and_then(half) == Errc::closed);
    const auto twice = [](int value) { return value * 2; };
    CHECK(*good.transform(twice) == 16);
    CHECK(bad.transform(twice) == Errc::closed);
    CHECK(*Result<int>{8}.transform(twice) == 16);
    CHECK(Result<int>{Errc::closed}.transform(twice) == Errc::closed);
}

TEST_CASE("success can be looked at as a value would be") {
    const Result<void> good;
    CHECK_NOTHROW(*good);
}

// Counts the values that stand.
struct Standing {
    explicit Standing(int& standing) : standing_{&standing} { ++*standing_; }
    Standing(const Standing& other) : standing_{other.standing_} { ++*standing_; }
    Standing& operator=(const Standing&) = default;
    ~Standing() { --*standing_; }

private:
    int* standing_;
};

TEST_CASE("an error that is assigned takes the value away, and brings none") {
    int standing = 0;
    Result<Standing> one{Standing{standing}};
    CHECK(standing == 1);
    Result<Standing> bad{Errc::closed};
    one = std::move(bad);
    CHECK(standing == 0);
    CHECK(one == Errc::closed);
    one = Result<Standing>{Errc::full};
    CHECK(standing == 0);
    CHECK(one == Errc::full);
    const Result<Standing> copied{one};
    const Result<Standing> moved{std::move(one)};
    CHECK(standing == 0);
    CHECK(copied == Errc::full);
    CHECK(moved == Errc::full);
}

TEST_CASE("what has a value equals no error, not even the one that is none") {
    CHECK_FALSE(Result<int>{5} == Errc{});
    CHECK_FALSE(Result<void>{} == Errc{});
    CHECK_FALSE(Result<int>{5} == Errc::empty);
}

}  // namespace
