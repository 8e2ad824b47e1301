// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <string>

#include <doctest/doctest.h>

#include "support/basic_suite.hpp"

namespace {

using Platform = latchbox::SingleThread;
using support::BasicSuite;

TEST_CASE_TEMPLATE("a queue of one thread carries every kind of message [4.11]", Msg, int,
                   std::string, support::MoveOnly, support::CopyOnly, support::Empty,
                   support::NoDefault) {
    BasicSuite<Msg, Platform> suite;
    suite.run();
}

TEST_CASE_TEMPLATE("a queue of one thread carries messages that throw or call [4.10]", Msg,
                   support::ThrowingCopy, support::ThrowingMove, support::ThrowingMoveOnly,
                   support::CallsBack) {
    BasicSuite<Msg, Platform> suite;
    suite.run();
}

TEST_CASE_TEMPLATE("a queue of one thread carries messages that mind where they are [4.8]", Msg,
                   support::Aligned64, support::Megabyte, support::SelfReferential) {
    BasicSuite<Msg, Platform> suite;
    suite.run();
}

}  // namespace
