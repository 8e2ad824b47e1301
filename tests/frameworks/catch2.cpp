// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#if __has_include(<catch2/catch_test_macros.hpp>)  // version 3, linked with its own main
#include <catch2/catch_test_macros.hpp>
#else
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
#endif

#include "frameworks/lost_update.hpp"

TEST_CASE("a program that passes under every order is a test that passes") {
    const auto report = frameworks::count_two_messages(true);
    INFO(report.text());
    CHECK(report.passed());
    CHECK(report.complete);
}

TEST_CASE("a failure is told with the line that shows it again") {
    const auto report = frameworks::count_two_messages(false);
    REQUIRE_FALSE(report.passed());
    CHECK(report.first->text == "two messages count as 1");
    CHECK(frameworks::says(report, "\nLATCHBOX_TRACE="));
    CHECK(frameworks::says(report, "\nAnn reads count "));
}
