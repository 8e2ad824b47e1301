// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/option_checks.hpp"

#include <chrono>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>

#include <doctest/doctest.h>

namespace {

using namespace std::chrono_literals;
using latchbox::Duration;
using latchbox::Overflow;
using latchbox::QueueOptions;
using latchbox::detail::require_same;
using latchbox::detail::require_usable;

// What is said of the options, or nothing.
std::string said_of(const QueueOptions& options, bool can_wait = true) {
    try {
        require_usable(options, can_wait);
    } catch (const std::invalid_argument& error) { return error.what(); }
    return {};
}

TEST_CASE("unusable options throw and name the field [7.1] [7.6]") {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    const std::pair<QueueOptions, std::string> unusable[] = {
        {{.lease = 0s}, "QueueOptions.lease"},
        {{.lease = -1ns}, "QueueOptions.lease"},
        {{.lease = std::chrono::duration<double>{nan}}, "QueueOptions.lease"},
        {{.overflow = Overflow::drop_newest}, "QueueOptions.overflow"},
        {{.block_for = -1ns}, "QueueOptions.block_for"},
        {{.backoff = {.first = -1ns}}, "QueueOptions.backoff.first"},
        {{.backoff = {.factor = 0}}, "QueueOptions.backoff.factor"},
        {{.backoff = {.first = 2s, .limit = 1s}}, "QueueOptions.backoff.limit"},
        {{.backoff = {.first = 0s, .limit = -1ns}}, "QueueOptions.backoff.limit"},
    };
    for (const auto& [options, field] : unusable) {
        const std::string said = said_of(options);
        INFO(said);
        CHECK(said.rfind("latchbox: " + field, 0) == 0);
    }
}

TEST_CASE("the extremes that mean something are usable [7.1] [7.6]") {
    CHECK(said_of({}) == "");
    CHECK(said_of({.lease = 1ns}) == "");
    CHECK(said_of({.lease = std::chrono::hours::max()}) == "");
    CHECK(said_of({.capacity = 0}) == "");
    CHECK(said_of({.overflow = Overflow::block, .block_for = 0s}) == "");
    CHECK(said_of({.overflow = Overflow::drop_oldest}) == "");
    CHECK(said_of({.backoff = {.first = 0s, .factor = 1, .limit = 0s}}) == "");
    CHECK(said_of({.backoff = {.first = Duration::never(), .limit = Duration::never()}}) == "");
    CHECK(said_of({.dead_capacity = 0}) == "");
}

TEST_CASE("where nobody can wait a queue cannot block [7.1] [7.2]") {
    CHECK(said_of({.overflow = Overflow::block}, true) == "");
    CHECK(said_of({.overflow = Overflow::block}, false).find("overflow") != std::string::npos);
    CHECK(said_of({.overflow = Overflow::drop_oldest}, false) == "");
}

TEST_CASE("a queue asked for with other options is refused, and the field is named [7.1]") {
    const QueueOptions there;
    CHECK_NOTHROW(require_same(there, {}));
    const std::pair<QueueOptions, std::string> others[] = {
        {{.lease = 1s}, "lease"},
        {{.capacity = 7}, "capacity"},
        {{.overflow = Overflow::block}, "overflow"},
        {{.block_for = 1s}, "block_for"},
        {{.max_failures = 1}, "max_failures"},
        {{.max_attempts = 1}, "max_attempts"},
        {{.backoff = {.first = 1s}}, "backoff"},
        {{.backoff = {.factor = 3}}, "backoff"},
        {{.backoff = {.limit = 1h}}, "backoff"},
        {{.dead_capacity = 0}, "dead_capacity"},
        {{.lease = 1s, .dead_capacity = 0}, "lease"},
    };
    for (const auto& [asked, field] : others) {
        CHECK_NOTHROW(require_same(asked, asked));
        std::string said;
        try {
            require_same(there, asked);
        } catch (const std::invalid_argument& error) { said = error.what(); }
        const std::string end = "QueueOptions." + field;
        REQUIRE(said.size() > end.size());
        CHECK(said.substr(said.size() - end.size()) == end);
    }
}

}  // namespace
