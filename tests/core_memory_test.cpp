// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/core_memory.hpp"

#include <doctest/doctest.h>

namespace {

using latchbox::detail::Shortage;

TEST_CASE("a core lacks something if any of its parts does") {
    CHECK_FALSE(Shortage{});
    CHECK(Shortage{.records = 1});
    CHECK(Shortage{.histories = 1});
    CHECK(Shortage{.lines = 1});
    CHECK(Shortage{.outcomes = 1});
    CHECK(Shortage{.values = 1});
}

}  // namespace
