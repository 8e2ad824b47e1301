// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/pointer_map.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <doctest/doctest.h>

#include "support/failing_new.hpp"

namespace {

using latchbox::detail::MapKey;
using latchbox::detail::OwningMap;
using latchbox::detail::PointerMap;

struct Thing {
    int number;
};
using ByName = PointerMap<Thing>;

void insert(ByName& map, std::string_view name, Thing& thing) {
    ByName one = ByName::make(name, thing);
    map.insert(one);
    CHECK(one.empty());
}

TEST_CASE("what was inserted is found by its key, or by one below it") {
    Thing a{1};
    Thing b{2};
    Thing c{3};
    ByName map;
    CHECK(map.find("a") == nullptr);
    CHECK(map.after("") == nullptr);
    insert(map, "c", c);
    insert(map, "a", a);
    insert(map, "b", b);
    CHECK(map.size() == 3);
    CHECK(map.find("b") == &b);
    CHECK(map.find("bb") == nullptr);
    CHECK(map.after("") == &a);
    CHECK(map.after("a") == &b);
    CHECK(map.after("c") == nullptr);
    std::string order;
    map.for_each([&order](Thing& thing) { order += std::to_string(thing.number); });
    CHECK(order == "123");
}

TEST_CASE("an entry goes from one map to another without memory") {
    Thing a{1};
    Thing b{2};
    ByName map;
    insert(map, "a", a);
    insert(map, "b", b);
    ByName gone;
    {
        const support::FailingNew none{support::Failing::from_nth, 1};
        gone.take(map, "a");
        gone.take(map, "x");
    }
    CHECK(map.find("a") == nullptr);
    CHECK(map.find("b") == &b);
    CHECK(gone.size() == 1);
    CHECK(gone.find("a") == &a);
    map.erase("x");
    map.erase("b");
    CHECK(map.empty());
    gone.clear();
    CHECK(gone.size() == 0);
}

TEST_CASE("without memory there is no entry") {
    Thing a{1};
    const support::FailingNew none{support::Failing::from_nth, 1};
    CHECK_THROWS(static_cast<void>(ByName::make("a", a)));
}

TEST_CASE("keys are ordered by their numbers, and where those are the same by their names") {
    const std::uint64_t largest = ~std::uint64_t{0};
    const MapKey ordered[] = {{}, {"a"}, {"ab"}, {"b"}, {0, 1}, {0, largest},
                              {1, 0}, {1, 7}, {largest, 0}};
    for (const MapKey& a : ordered) {
        for (const MapKey& b : ordered) { CHECK((a < b) == (&a < &b)); }
    }
}

TEST_CASE("an entry can be put in by another key, and nothing is put in of an empty map") {
    Thing a{1};
    Thing b{2};
    PointerMap<Thing> map = PointerMap<Thing>::make(std::uint64_t{5}, b);
    PointerMap<Thing> one = PointerMap<Thing>::make(std::uint64_t{9}, a);
    {
        const support::FailingNew none{support::Failing::from_nth, 1};
        map.insert(one, std::uint64_t{4});
        map.insert(one);
    }
    CHECK(one.empty());
    CHECK(map.size() == 2);
    CHECK(map.first() == &a);
    CHECK(map.find(std::uint64_t{4}) == &a);
    CHECK(map.find(std::uint64_t{9}) == nullptr);
    CHECK(one.first() == nullptr);
}

struct Counted {
    explicit Counted(int& count) : living{count} { ++living; }
    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = delete;
    ~Counted() { --living; }
    int& living;
};

TEST_CASE("what an owning map still has in the end is deleted, and what was taken out is not") {
    int living = 0;
    {
        OwningMap<Counted> map;
        for (std::uint64_t i = 0; i < 3; ++i) {
            OwningMap<Counted> one = OwningMap<Counted>::make(i, living);
            map.insert(one);
        }
        CHECK(living == 3);
        {
            OwningMap<Counted> gone;
            gone.take(map, std::uint64_t{1});
            CHECK(living == 3);
        }
        CHECK(living == 2);
        OwningMap<Counted> other{std::move(map)};
        CHECK(map.empty());
        CHECK(other.size() == 2);
        map = std::move(other);
        CHECK(living == 2);
    }
    CHECK(living == 0);
}

TEST_CASE("an owning map without memory has nothing to delete") {
    int living = 0;
    const auto live = support::live_allocations();
    for (std::uint64_t nth = 1; nth <= 2; ++nth) {
        const support::FailingNew failing{support::Failing::nth, nth};
        CHECK_THROWS(static_cast<void>(OwningMap<Counted>::make(nth, living)));
    }
    CHECK(living == 0);
    CHECK(support::live_allocations() == live);
}

}  // namespace
