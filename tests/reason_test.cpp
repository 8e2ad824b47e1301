// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/reason.hpp"

#include <set>
#include <string>
#include <string_view>
#include <type_traits>

#include <doctest/doctest.h>

namespace {

using latchbox::Cause;
using latchbox::MessageId;
using latchbox::Reason;

TEST_CASE("a reason is a cause and what was said [4.11]") {
    const Reason none;
    CHECK(none.cause() == Cause::none);
    CHECK(none.text().empty());
    const Reason said{Cause::failed, "no milk"};
    CHECK(said.cause() == Cause::failed);
    CHECK(said.text() == "no milk");
    CHECK(Reason{Cause::rejected}.text().empty());
    CHECK(Reason{Cause::failed, std::string_view{}}.text().empty());
}

TEST_CASE("a reason is cut at 47 bytes, and its bytes are opaque [4.11]") {
    const std::string megabyte(1'000'000, 'x');
    CHECK(Reason{Cause::failed, megabyte}.text() == megabyte.substr(0, 47));
    CHECK(Reason{Cause::failed, std::string(47, 'y')}.text() == std::string(47, 'y'));
    CHECK(Reason{Cause::failed, std::string(48, 'y')}.text() == std::string(47, 'y'));
    const std::string with_nul{"a\0b\xff", 4};
    CHECK(Reason{Cause::failed, with_nul}.text() == with_nul);
}

TEST_CASE("reasons are equal if cause and text are") {
    CHECK(Reason{Cause::failed, "a"} == Reason{Cause::failed, "a"});
    CHECK(Reason{Cause::failed, "a"} != Reason{Cause::failed, "b"});
    CHECK(Reason{Cause::failed, "a"} != Reason{Cause::rejected, "a"});
    CHECK(Reason{} == Reason{Cause::none});
}

TEST_CASE("every cause has a phrase of its own") {
    std::set<std::string> phrases;
    for (const Cause cause :
         {Cause::none, Cause::failed, Cause::lease_ran_out, Cause::attempts_used_up,
          Cause::rejected, Cause::parent_failed, Cause::expired, Cause::purged, Cause::evicted,
          Cause::cancelled, Cause::abandoned}) {
        phrases.insert(to_string(cause));
    }
    CHECK(phrases.size() == 11);
    CHECK(phrases.count("unknown cause") == 0);
    CHECK(std::string{to_string(static_cast<Cause>(200))} == "unknown cause");
}

TEST_CASE("a reason names the parent that did not complete [4.11] [5.5]") {
    constexpr MessageId parent = latchbox::detail::IdParts::message(1, 2, 3);
    constexpr Reason reason{parent};
    CHECK(reason.cause() == Cause::parent_failed);
    CHECK(reason.parent() == parent);
    CHECK(reason.text().empty());
    CHECK(reason == Reason{parent});
    CHECK(reason != Reason{MessageId{}});
    CHECK(reason != Reason{latchbox::detail::IdParts::message(1, 3, 3)});
    CHECK(reason != Reason{Cause::parent_failed});
    for (const Cause cause : {Cause::failed, Cause::expired, Cause::abandoned}) {
        CHECK(Reason{cause, "text"}.parent() == MessageId{});
    }
    CHECK(Reason{}.parent() == MessageId{});
}

TEST_CASE("a reason is told as one clause: its cause or parent, and what was said [5.9]") {
    CHECK(to_string(Reason{}) == "nothing went wrong");
    CHECK(to_string(Reason{Cause::rejected, "no such street"}) ==
          "it was rejected: no such street");
    CHECK(to_string(Reason{Cause::lease_ran_out}) == "its lease ran out");
    const MessageId parent = latchbox::detail::IdParts::message(1, 2, 3);
    CHECK(to_string(Reason{parent}) == "its parent " + to_string(parent) + " did not complete");
}

static_assert(std::is_trivially_copyable_v<Reason>, "kept without memory of its own");

}  // namespace
