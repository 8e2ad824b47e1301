// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/text.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include <doctest/doctest.h>

namespace {

using latchbox::CloseReport;
using latchbox::Duration;
using latchbox::Instant;

// With every count set to another number, so that one that is left out is missed.
template <class Stats> Stats numbered() {
    std::uint64_t numbers[sizeof(Stats) / sizeof(std::uint64_t)];
    std::uint64_t next = 100;
    for (std::uint64_t& number : numbers) { number = ++next; }
    Stats stats;
    std::memcpy(static_cast<void*>(&stats), numbers, sizeof stats);
    return stats;
}

template <class Stats> void tells_every_count() {
    const std::string text = to_string(numbered<Stats>());
    for (std::size_t i = 1; i <= sizeof(Stats) / sizeof(std::uint64_t); ++i) {
        const std::string number = ' ' + std::to_string(100 + i);
        INFO(text, " lacks ", number);
        CHECK(text.find(number) != std::string::npos);
    }
    const auto separators = std::count_if(text.begin(), text.end(),
                                          [](char c) { return c == ',' || c == ';'; });
    CHECK(static_cast<std::size_t>(separators) + 1 == sizeof(Stats) / sizeof(std::uint64_t));
}

TEST_CASE("stats are told in one line, each count that is not zero") {
    tells_every_count<latchbox::QueueStats>();
    tells_every_count<latchbox::TopicStats>();
    CHECK(to_string(latchbox::QueueStats{.ready = 3, .accepted = 4, .leases_run_out = 1}) ==
          "ready 3, accepted 4, leases run out 1");
    CHECK(to_string(latchbox::TopicStats{.published = 5, .retained = 2}) ==
          "published 5, retained 2");
    CHECK(to_string(latchbox::QueueStats{}) == "nothing so far");
    CHECK(to_string(latchbox::TopicStats{}) == "nothing so far");
}

TEST_CASE("stats of a broker are told with those of its messages") {
    if constexpr (sizeof(std::size_t) == sizeof(std::uint64_t)) {
        tells_every_count<latchbox::BrokerStats>();
    }
    latchbox::BrokerStats stats{.queues = 2, .edges = 1};
    CHECK(to_string(stats) == "queues 2, edges 1; messages: nothing so far");
    stats.messages.ready = 7;
    CHECK(to_string(stats) == "queues 2, edges 1; messages: ready 7");
}

TEST_CASE("a close report tells what was left, and where [7.5]") {
    CloseReport report;
    CHECK(to_string(report) == "nothing was left");
    report.ready = 2;
    report.dead = 1;
    CHECK(to_string(report) == "3 left: ready 2, dead 1");
    report.queues = {{.queue = "orders", .ready = 2}, {.queue = "mail", .dead = 1}};
    CHECK(to_string(report) ==
          "3 left: ready 2, dead 1 (\"orders\": ready 2; \"mail\": dead 1)");
}

TEST_CASE("times are told in seconds") {
    using namespace std::chrono_literals;
    CHECK(to_string(Duration{1500ms}) == "1.5 s");
    CHECK(to_string(Duration{}) == "0 s");
    CHECK(to_string(Duration{-1ns}) == "-0.000000001 s");
    CHECK(to_string(Duration::never()) == "never");
    CHECK(to_string(Instant{Duration{2h}}) == "7200 s");
    CHECK(to_string(Instant::never()) == "never");
}

TEST_CASE("what is wrong with a name is told with the place [6.1]") {
    CHECK(to_string(latchbox::check_subject("a b")) == "a name has no blanks, at position 1");
    CHECK(to_string(latchbox::check_subject("a.b")) == "a good name");
}

}  // namespace
