// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/array.hpp"

#include <cstddef>
#include <cstdint>
#include <new>
#include <string>
#include <utility>

#include <doctest/doctest.h>

#include "support/failing_new.hpp"

namespace {

using latchbox::detail::Array;

template <class T> std::string all(const Array<T>& array) {
    std::string text;
    for (const T& item : array) { text += std::to_string(item) + ' '; }
    return text;
}

TEST_CASE("an array has as many things as it was made with, each as new or as the one given") {
    const Array<int> none;
    CHECK(none.empty());
    CHECK(none.begin() == none.end());
    CHECK(all(Array<int>(3)) == "0 0 0 ");
    CHECK(all(Array<int>(3, 7)) == "7 7 7 ");
    CHECK(Array<int>(0).empty());
    Array<int> some(2);
    some[1] = 5;
    CHECK(some.size() == 2);
    CHECK(std::as_const(some)[1] == 5);
}

TEST_CASE("copies are apart, and what was moved from is empty") {
    Array<int> one(2, 1);
    Array<int> copy{one};
    copy[0] = 9;
    CHECK(all(one) == "1 1 ");
    Array<int> taken{std::move(copy)};
    CHECK(copy.empty());
    CHECK(all(taken) == "9 1 ");
    one = taken;
    CHECK(all(one) == "9 1 ");
    one = Array<int>(1, 4);
    CHECK(all(one) == "4 ");
    one.swap(taken);
    CHECK(all(one) == "9 1 ");
    CHECK(all(taken) == "4 ");
}

TEST_CASE("what is released is its new owner's to delete") {
    const auto live = support::live_allocations();
    {
        Array<int> array(3, 2);
        const int* const items = array.release();
        CHECK(array.empty());
        CHECK(items[2] == 2);
        delete[] items;
    }
    CHECK(support::live_allocations() == live);
}

struct Counted {
    static inline int living = 0;
    static inline int until_throw = -1;
    Counted() { ++living; }
    Counted(const Counted&) { ++living; }
    Counted& operator=(const Counted&) {
        if (until_throw >= 0 && until_throw-- == 0) { throw 1; }
        return *this;
    }
    ~Counted() { --living; }
};

TEST_CASE("a copy that throws, or memory that is not there, leaves nothing behind") {
    {
        const Array<Counted> three(3);
        CHECK(Counted::living == 3);
        Counted::until_throw = 1;
        CHECK_THROWS_AS(Array<Counted>{three}, int);
        Counted::until_throw = 1;
        CHECK_THROWS_AS((Array<Counted>{3, three[0]}), int);
        CHECK(Counted::living == 3);
    }
    CHECK(Counted::living == 0);
    const support::FailingNew failing{support::Failing::nth, 1};
    CHECK_THROWS_AS(Array<int>(3), std::bad_alloc);
}

}  // namespace
