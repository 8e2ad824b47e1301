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

void insert(ByName& map, std::uint64_t number, Thing& thing) {
    ByName one = ByName::make(number, thing);
    map.insert(one);
}

TEST_CASE("what was inserted is found by its name") {
    Thing a{1};
    Thing b{2};
    ByName map;
    CHECK(map.find("a") == nullptr);
    insert(map, "a", a);
    insert(map, "b", b);
    CHECK(map.size() == 2);
    CHECK(map.find("a") == &a);
    CHECK(map.find("b") == &b);
    CHECK(map.find("bb") == nullptr);
    CHECK(map.find("") == nullptr);
    int sum = 0;
    map.for_each([&sum](Thing& thing) { sum += thing.number; });
    CHECK(sum == 3);
}

TEST_CASE("what was inserted by number is found by it or one below, and comes in that order") {
    Thing a{1};
    Thing b{2};
    Thing c{3};
    ByName map;
    CHECK(map.first() == nullptr);
    CHECK(map.after(std::uint64_t{0}) == nullptr);
    insert(map, 30, c);
    insert(map, 10, a);
    insert(map, 20, b);
    CHECK(map.first() == &a);
    CHECK(map.find(std::uint64_t{20}) == &b);
    CHECK(map.find(std::uint64_t{25}) == nullptr);
    CHECK(map.after(std::uint64_t{0}) == &a);
    CHECK(map.after(std::uint64_t{10}) == &b);
    CHECK(map.after(std::uint64_t{30}) == nullptr);
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

TEST_CASE("keys are ordered by their numbers; of one hash, names by their text") {
    const std::uint64_t largest = ~std::uint64_t{0};
    MapKey names[] = {{"a"}, {"ab"}, {"b"}};
    for (MapKey& name : names) { name.number = 7; }
    const MapKey ordered[] = {{},       {0, 1},   {0, largest}, {1, 0}, {1, 7},      {7, 0},
                              names[0], names[1], names[2],     {7, 1}, {largest, 0}};
    for (const MapKey& a : ordered) {
        for (const MapKey& b : ordered) { CHECK((a < b) == (&a < &b)); }
    }
    // As FNV-1a has them.
    CHECK(MapKey{""}.number == 0xcbf29ce484222325U);
    CHECK(MapKey{"a"}.number == 0xaf63dc4c8601ec8cU);
    CHECK(MapKey{"foobar"}.number == 0x85944171f73967e8U);
    CHECK_FALSE((MapKey{"same"} < MapKey{std::string{"same"}}));
    CHECK_FALSE((MapKey{std::string{"same"}} < MapKey{"same"}));
    CHECK(((MapKey{"x"} < MapKey{"y"}) != (MapKey{"y"} < MapKey{"x"})));
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
