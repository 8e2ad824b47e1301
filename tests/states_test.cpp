// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/states.hpp"

#include <set>
#include <string>

#include <doctest/doctest.h>

namespace {

using latchbox::LatchState;
using latchbox::MessageState;

static_assert(LatchState{} == LatchState::pending, "nobody completes by default");
static_assert(MessageState{} == MessageState::never_issued, "nobody was issued by default");
static_assert(sizeof(LatchState) == 1 && sizeof(MessageState) == 1);

TEST_CASE("a latch state is told by its name [5.8]") {
    CHECK(std::string{to_string(LatchState::pending)} == "pending");
    CHECK(std::string{to_string(LatchState::completed)} == "completed");
    CHECK(std::string{to_string(LatchState::dead)} == "dead");
    CHECK(std::string{to_string(LatchState::failed)} == "failed");
    CHECK(std::string{to_string(static_cast<LatchState>(200))} == "unknown");
}

TEST_CASE("a message state is told by its name [5.9]") {
    using enum MessageState;
    std::set<std::string> names;
    for (const MessageState state : {never_issued, forgotten, blocked, delayed, ready, leased, dead,
                                     completed, failed, shut, pending}) {
        names.insert(to_string(state));
    }
    CHECK(names.size() == 11);
    CHECK(names.count("never issued") == 1);
    CHECK(names.count("leased") == 1);
    CHECK(names.count("unknown") == 0);
    CHECK(std::string{to_string(static_cast<MessageState>(200))} == "unknown");
}

TEST_CASE("what completed or failed stays so, a dead message may come back [5.3] [5.6]") {
    using latchbox::detail::is_final;
    CHECK_FALSE(is_final(LatchState::pending));
    CHECK(is_final(LatchState::completed));
    CHECK_FALSE(is_final(LatchState::dead));
    CHECK(is_final(LatchState::failed));
}

}  // namespace
