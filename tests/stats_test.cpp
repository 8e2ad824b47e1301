// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/stats.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>

#include <doctest/doctest.h>

namespace {

using latchbox::CloseReport;
using latchbox::QueueStats;

// Every field set to another number, so that none can stand for its neighbour.
constexpr std::size_t fields = sizeof(QueueStats) / sizeof(std::uint64_t);
QueueStats numbered(std::uint64_t factor) {
    std::uint64_t numbers[fields];
    for (std::size_t i = 0; i < fields; ++i) { numbers[i] = (i + 1) * factor; }
    QueueStats stats;
    std::memcpy(&stats, numbers, sizeof stats);
    return stats;
}

TEST_CASE("stats are added field by field") {
    QueueStats sum = numbered(1);
    sum += numbered(1'000);
    CHECK(sum == numbered(1'001));
    CHECK(sum != numbered(1'000));
}

TEST_CASE("held counts what is in the queue, in whatever state [4.12]") {
    const QueueStats stats{.blocked = 1,
                           .delayed = 10,
                           .ready = 100,
                           .leased = 1'000,
                           .dead = 10'000,
                           .accepted = 1'000'000,
                           .completed = 1'000'000};
    CHECK(stats.held() == 11'111);
    CHECK(QueueStats{}.held() == 0);
}

TEST_CASE("counts of a topic differ if any of them does") {
    using latchbox::TopicStats;
    const TopicStats none;
    CHECK(none == TopicStats{});
    const TopicStats others[] = {
        {.published = 1}, {.discarded = 1}, {.refused = 1}, {.retained = 1}, {.aged_out = 1},
        {.deduplicated = 1}, {.dedup_forgotten = 1}};
    for (const TopicStats& other : others) {
        CHECK(other != none);
        CHECK(other == TopicStats{other});
    }
}

TEST_CASE("a close report counts everything that was left [7.5]") {
    CloseReport report;
    CHECK(report.left() == 0);
    report.blocked = 1;
    report.delayed = 10;
    report.ready = 100;
    report.leased = 1'000;
    report.dead = 10'000;
    CHECK(report.left() == 11'111);
    CloseReport named = report;
    named.queues.push_back({.queue = "orders", .ready = 100});
    CHECK(named != report);
    CHECK(named.queues.front() == CloseReport::Left{.queue = "orders", .ready = 100});
}

}  // namespace
