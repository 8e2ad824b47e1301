// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/effects.hpp"

#include <utility>
#include <vector>

#include <doctest/doctest.h>

namespace {

using latchbox::detail::Effects;
using latchbox::detail::none;
using latchbox::detail::Record;
using latchbox::detail::Slot;

TEST_CASE("at first nothing is to be done") {
    const Effects effects;
    CHECK(effects.gone.empty());
    CHECK(effects.gone.front() == none);
}

TEST_CASE("who left is named in order, through the records and without memory [4.11]") {
    static_assert(noexcept(Effects{}.gone.push_back(std::declval<std::vector<Record>&>(), 0)));
    std::vector<Record> records(3);
    Effects effects;
    for (const Slot slot : {2U, 0U, 1U}) { effects.gone.push_back(records, slot); }
    CHECK(effects.gone.size() == 3);
    for (const Slot slot : {2U, 0U, 1U}) { CHECK(effects.gone.pop_front(records) == slot); }
    CHECK(effects.gone.empty());
}

}  // namespace
