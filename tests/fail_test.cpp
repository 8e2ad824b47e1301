// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/fail.hpp"

#include <new>
#include <stdexcept>
#include <string>
#include <string_view>

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

TEST_CASE("what users' code throws is told by its text, and goes no further [misuse 21]") {
    using latchbox::detail::attempt;
    std::string told;
    int acted = 0;
    const auto failed = [&](std::string_view text) noexcept { told = text; };
    attempt([&] { ++acted; }, failed);
    CHECK(acted == 1);
    CHECK(told.empty());
    attempt([] { throw std::runtime_error{"no milk"}; }, failed);
    CHECK(told == "no milk");
    attempt([] { throw latchbox::Error{latchbox::Errc::closed}; }, failed);
    CHECK(told == latchbox::Error{latchbox::Errc::closed}.what());
    attempt([] { throw 7; }, failed);
    CHECK(told == "unknown exception");
    static_assert(noexcept(attempt([] { throw 7; }, failed)));
}
