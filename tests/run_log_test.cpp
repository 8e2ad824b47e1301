// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/testing/run_log.hpp"

#include <doctest/doctest.h>

using latchbox::testing::RunLog;

TEST_CASE("objects of a log are numbered as they are met") {
    RunLog log;
    log.start(true);
    log.add("a", "locks", "mutex", 700);
    log.add("b", "reads", "atomic", 500);
    log.add("b", "locks", "mutex", 700);
    log.add("b", "goes on", nullptr, 0);
    CHECK(log.text() == "a locks mutex 0\nb reads atomic 1\nb locks mutex 0\nb goes on\n");
}

TEST_CASE("a log starts anew, and says whether anybody wants it") {
    RunLog log;
    CHECK_FALSE(log.wanted());
    log.start(true);
    log.add("a", "locks", "mutex", 700);
    log.start(false);
    CHECK_FALSE(log.wanted());
    CHECK(log.text().empty());
    log.add("b", "locks", "mutex", 500);
    CHECK(log.text() == "b locks mutex 0\n");
}
