// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <gtest/gtest.h>

#include "frameworks/lost_update.hpp"

TEST(GoogleTest, AProgramThatPassesUnderEveryOrderIsATestThatPasses) {
    const auto report = frameworks::count_two_messages(true);
    EXPECT_TRUE(report.passed()) << report.text();
    EXPECT_TRUE(report.complete);
}

TEST(GoogleTest, AFailureIsToldWithTheLineThatShowsItAgain) {
    const auto report = frameworks::count_two_messages(false);
    ASSERT_FALSE(report.passed());
    EXPECT_EQ(report.first->text, "two messages count as 1");
    EXPECT_TRUE(frameworks::says(report, "\nLATCHBOX_TRACE="));
    EXPECT_TRUE(frameworks::says(report, "\nAnn reads count "));
}
