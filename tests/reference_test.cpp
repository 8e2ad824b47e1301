// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/reference.hpp"

#include <utility>

#include <doctest/doctest.h>

namespace {

// Counts its handles; the one who makes it has the first.
struct Counted {
    int handles = 1;
    void hold() noexcept { ++handles; }
    void let_go() noexcept { --handles; }
};
using Reference = latchbox::detail::Reference<Counted>;

TEST_CASE("a reference takes over one handle and gives it back at its end") {
    Counted counted;
    {
        const Reference reference{&counted};
        CHECK(counted.handles == 1);
        CHECK(reference.get() == &counted);
        CHECK(&*reference == &counted);
        CHECK(reference->handles == 1);
        CHECK(static_cast<bool>(reference));
    }
    CHECK(counted.handles == 0);
}

TEST_CASE("a reference to somebody counts a handle of its own") {
    Counted counted;
    {
        const auto reference = Reference::to(counted);
        CHECK(counted.handles == 2);
    }
    CHECK(counted.handles == 1);
}

TEST_CASE("a copy counts, a move does not and leaves nothing behind") {
    Counted counted;
    auto first = Reference::to(counted);
    const Reference copy = first;
    CHECK(counted.handles == 3);
    const Reference moved = std::move(first);
    CHECK(counted.handles == 3);
    CHECK(moved.get() == &counted);
    CHECK(copy.get() == &counted);
    CHECK_FALSE(static_cast<bool>(first));
}

TEST_CASE("assigning lets go of the old and holds the new") {
    Counted old;
    Counted next;
    auto reference = Reference::to(old);
    const auto other = Reference::to(next);
    SUBCASE("by copy") {
        reference = other;
        CHECK(next.handles == 3);
    }
    SUBCASE("by move") {
        reference = Reference::to(next);
        CHECK(next.handles == 3);
    }
    CHECK(old.handles == 1);
    CHECK(reference.get() == &next);
}

TEST_CASE("assigning a reference to itself keeps it") {
    Counted counted;
    auto reference = Reference::to(counted);
    const auto& same = reference;
    reference = same;
    CHECK(reference.get() == &counted);
    CHECK(counted.handles == 2);
}

TEST_CASE("no reference at all counts nobody") {
    Reference nobody;
    const Reference copy = nobody;
    CHECK(copy.get() == nullptr);
    CHECK_FALSE(static_cast<bool>(copy));
    Counted counted;
    nobody = Reference::to(counted);
    CHECK(counted.handles == 2);
    nobody = {};
    CHECK(counted.handles == 1);
}

}  // namespace
