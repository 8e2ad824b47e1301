// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/pointer_map.hpp"

#include <string>
#include <string_view>

#include <doctest/doctest.h>

#include "support/failing_new.hpp"

namespace {

using latchbox::detail::PointerMap;

struct Thing {
    int number;
};
using ByName = PointerMap<std::string_view, Thing>;

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

}  // namespace
