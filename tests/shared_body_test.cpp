// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/shared_body.hpp"

#include <atomic>
#include <cstdint>
#include <limits>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/platform.hpp"
#include "support/tracked_message.hpp"

namespace {

using latchbox::LatchState;
using latchbox::detail::IdParts;
using latchbox::detail::TopicNumber;
using support::TrackedMessage;
template <class Platform> using Shared = latchbox::detail::SharedBody<TrackedMessage, Platform>;

TEST_CASE("an id of a topic's message tells its place in the sequence, and a mark of its subject") {
    const std::uint64_t last = std::numeric_limits<std::uint64_t>::max() >> TopicNumber::mark_bits;
    for (const std::uint64_t sequence : {std::uint64_t{1}, std::uint64_t{65'536}, last}) {
        for (unsigned bits = 0; bits <= TopicNumber::mark_bits; ++bits) {
            const auto mark = static_cast<std::uint16_t>((1U << bits) - 1);
            const auto id = IdParts::message(7, TopicNumber::join(sequence, mark), 3);
            CHECK(TopicNumber::sequence(id) == sequence);
            CHECK(TopicNumber::mark(id) == mark);
        }
    }
}

TEST_CASE("ids of topics are ordered as they were published, whatever their subjects [5.1]") {
    const auto earlier = IdParts::message(7, TopicNumber::join(1, 0xffff), 9);
    const auto later = IdParts::message(7, TopicNumber::join(2, 0), 0);
    CHECK(earlier < later);
}

TEST_CASE_TEMPLATE("a body lives from its construction to its end, and not while it is empty",
                   Platform, latchbox::Threads, latchbox::SingleThread) {
    TrackedMessage::reset();
    {
        Shared<Platform> shared;
        CHECK(TrackedMessage::live() == 0);
        TrackedMessage message{7};
        shared.construct(std::as_const(message));
        CHECK(TrackedMessage::copies() == 1);
        shared.destroy();
        shared.construct(std::move(message));
        CHECK(TrackedMessage::copies() == 1);
        CHECK(shared.body().digest() == 7);
        CHECK(&std::as_const(shared).body() == &shared.body());
        shared.destroy();
    }
    CHECK(TrackedMessage::live() == 0);
}

TEST_CASE_TEMPLATE("a body is held by its copies, its retention and its readers: the last is told",
                   Platform, latchbox::Threads, latchbox::SingleThread) {
    for (std::uint32_t copies = 0; copies < 3; ++copies) {
        for (std::uint32_t readers = 0; readers < 3; ++readers) {
            Shared<Platform> shared;
            shared.begin(copies, copies + 1);
            CHECK(shared.tally.state() ==
                  (copies == 0 ? LatchState::completed : LatchState::pending));
            for (std::uint32_t i = 0; i < readers; ++i) { shared.hold(); }
            for (std::uint32_t left = copies + readers; left != 0; --left) {
                REQUIRE_FALSE(shared.held_once());
                REQUIRE_FALSE(shared.drop());
            }
            CHECK(shared.held_once());
            CHECK(shared.drop());
        }
    }
}

TEST_CASE("a body used again stands as its new copies do, whatever became of the old ones") {
    Shared<latchbox::SingleThread> shared;
    shared.begin(1, 1);
    static_cast<void>(shared.tally.watch());
    shared.tally.leave(latchbox::detail::Told::pending, true);
    REQUIRE(shared.tally.state() == LatchState::failed);
    shared.begin(2, 2);
    CHECK(shared.tally.state() == LatchState::pending);
    CHECK_FALSE(shared.tally.leave(latchbox::detail::Told::pending, false).watched);
}

TEST_CASE("of many threads that drop a body at once exactly one is the last [4.8]") {
    constexpr std::uint32_t threads = 4;
    for (int round = 0; round < 100; ++round) {
        Shared<latchbox::Threads> shared;
        shared.begin(threads, threads);
        std::atomic<int> last{0};
        std::vector<std::thread> droppers;
        for (std::uint32_t i = 0; i < threads; ++i) {
            droppers.emplace_back([&] {
                if (shared.drop()) { ++last; }
            });
        }
        for (std::thread& dropper : droppers) { dropper.join(); }
        REQUIRE(last == 1);
    }
}

}  // namespace
