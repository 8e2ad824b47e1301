// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/growing.hpp"

#include <cstddef>
#include <new>
#include <string>
#include <utility>

#include <doctest/doctest.h>

#include "support/failing_new.hpp"
#include "support/made.hpp"

namespace {

using latchbox::detail::Growing;
using latchbox::detail::Later;

struct Number {
    static inline int made = 0;
    Number() { ++made; }
    int value = 7;
};

std::string all(const Growing<Number>& numbers) {
    std::string text;
    for (std::size_t i = 0; i < numbers.size(); ++i) { text += std::to_string(numbers[i].value); }
    return text;
}

TEST_CASE("what is later is not made until somebody makes it") {
    Number::made = 0;
    const Later<Number> later;
    CHECK(Number::made == 0);
}

TEST_CASE("room is nothing yet; each is made as it is added, as new") {
    Number::made = 0;
    Growing<Number> numbers(3);
    CHECK(numbers.room() == 3);
    CHECK(numbers.size() == 0);
    CHECK(Number::made == 0);
    for (std::size_t i = 0; i < 3; ++i) {
        Number& added = numbers.add();
        CHECK(&added == &numbers[i]);
        CHECK(numbers.size() == i + 1);
        CHECK(Number::made == static_cast<int>(i) + 1);
        added.value = static_cast<int>(i);
    }
    CHECK(all(numbers) == "012");
    CHECK(Growing<Number>{}.room() == 0);
}

TEST_CASE("larger room is taken with what was there; no larger one is left alone") {
    Growing<Number> numbers = support::made<Number>(2);
    numbers[1].value = 5;
    Growing<Number> same(2);
    numbers.adopt(same);
    CHECK(same.room() == 2);
    CHECK(same.size() == 0);
    Growing<Number> larger(4);
    const int made = Number::made;
    numbers.adopt(larger);
    CHECK(Number::made == made);
    CHECK(all(numbers) == "75");
    CHECK(numbers.room() == 4);
    CHECK(larger.room() == 2);
    numbers.add();
    CHECK(all(numbers) == "757");
}

TEST_CASE("a copy has its own, and the same room") {
    Growing<Number> numbers(3);
    numbers.add().value = 1;
    Growing<Number> copy{numbers};
    copy.add().value = 2;
    CHECK(all(numbers) == "1");
    CHECK(all(copy) == "12");
    CHECK(copy.room() == 3);
    numbers = copy;
    copy[0].value = 9;
    CHECK(all(numbers) == "12");
    numbers = std::as_const(numbers);
    CHECK(all(numbers) == "12");
}

TEST_CASE("where there is no memory there is no room") {
    const support::FailingNew failing{support::Failing::nth, 1};
    CHECK_THROWS_AS(Growing<Number>(3), std::bad_alloc);
}

}  // namespace
