// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/fail.hpp"

#include <stdexcept>
#include <string>

#include <doctest/doctest.h>

TEST_CASE("failing throws the error, unusable input what the standard calls invalid") {
    CHECK_THROWS_AS(latchbox::detail::fail_with(latchbox::Errc::closed), latchbox::Error);
    try {
        latchbox::detail::invalid_argument("lease: must be above zero");
        FAIL("it must throw");
    } catch (const std::invalid_argument& refusal) {
        CHECK(std::string{refusal.what()} == "latchbox: lease: must be above zero");
    }
}
