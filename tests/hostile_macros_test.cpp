// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <doctest/doctest.h>

bool works_beside_hostile_macros();

TEST_CASE("the library compiles and works where min, max, small, ERROR and kin are macros") {
    CHECK(works_beside_hostile_macros());
}
