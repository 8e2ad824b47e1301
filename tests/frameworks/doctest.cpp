// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include "frameworks/lost_update.hpp"

TEST_CASE("a program that passes under every order is a test that passes") {
    const auto report = frameworks::count_two_messages(true);
    CHECK_MESSAGE(report.passed(), report.text());
    CHECK(report.complete);
}

TEST_CASE("a failure is told with the line that shows it again") {
    const auto report = frameworks::count_two_messages(false);
    REQUIRE_FALSE(report.passed());
    CHECK(report.first->text == "two messages count as 1");
    CHECK(frameworks::says(report, "\nLATCHBOX_TRACE="));
    CHECK(frameworks::says(report, "\nAnn reads count "));
}
