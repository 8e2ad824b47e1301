// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/testing/run_log.hpp"

#include <string>

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

TEST_CASE("a log in short tells who went on, for how many steps, and what was said") {
    RunLog log;
    log.start(true);
    log.add("a", "locks", "mutex", 700);
    log.add("a", "unlocks", "mutex", 700);
    log.add("b", "reads", "atomic", 500);
    log.add("b", "has read 7");
    log.add("b", "goes on", nullptr, 0);
    log.add("a", "locks", "mutex", 700);
    CHECK(log.story() == "a: 2 steps\nb: 1 step\nb has read 7\nb: 1 step\na: 1 step\n");
    CHECK(log.text().find("\nb has read 7\nb goes on\n") != std::string::npos);
    log.add("a", "says");
    CHECK(log.story().ends_with("a: 1 step\na says\n"));
    log.start(true);
    CHECK(log.story().empty());
    log.add("a", "locks", "mutex", 700);
    CHECK(log.story() == "a: 1 step\n");
}
