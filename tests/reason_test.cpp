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
    for (const Cause cause : {Cause::none, Cause::failed, Cause::lease_ran_out,
                              Cause::attempts_used_up, Cause::rejected}) {
        phrases.insert(to_string(cause));
    }
    CHECK(phrases.size() == 5);
    CHECK(phrases.count("unknown cause") == 0);
    CHECK(std::string{to_string(static_cast<Cause>(200))} == "unknown cause");
}

static_assert(std::is_trivially_copyable_v<Reason>, "kept without memory of its own");

}  // namespace
