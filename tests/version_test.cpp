// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/version.hpp"

#include <doctest/doctest.h>

// Fit for the preprocessor, which is what it is for.
#if LATCHBOX_VERSION < 100
#error "0.1.0 was the first"
#endif

TEST_CASE("the version is one number made of its three") {
    CHECK(LATCHBOX_VERSION / 10'000 == LATCHBOX_VERSION_MAJOR);
    CHECK(LATCHBOX_VERSION / 100 % 100 == LATCHBOX_VERSION_MINOR);
    CHECK(LATCHBOX_VERSION % 100 == LATCHBOX_VERSION_PATCH);
}
