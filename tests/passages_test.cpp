// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/passages.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"
#include "support/failing_new.hpp"

// The ways that publishes went, kept for the next ones.
namespace {

using Passages = latchbox::detail::Passages<int, latchbox::Threads>;
using One = Passages::One;

struct Kept {
    Passages::Chain topic;
    Passages::Chain other;
    Passages passages;

    // Keeps one that leads to so many queues; where it is.
    const One* put(Passages::Chain& of, std::size_t queues = 0, bool stale = false) {
        auto one = std::make_unique<One>();
        one->targets.reserve(queues);
        const One* const at = one.get();
        passages.put(of, std::move(one), [stale] { return stale; });
        return at;
    }
    [[nodiscard]] std::size_t count(Passages::Chain& of) {
        std::size_t number = 0;
        while (passages.take(of)) { ++number; }
        return number;
    }
};

TEST_CASE_FIXTURE(Kept, "a passage is of its topic, and one takes it at a time, the last first") {
    CHECK(passages.take(topic) == nullptr);
    const One* const first = put(topic);
    const One* const others = put(other);
    const One* const second = put(topic);
    const auto mine = passages.take(topic);
    const auto his = passages.take(topic);
    CHECK(mine.get() == second);
    CHECK(his.get() == first);
    CHECK(passages.take(topic) == nullptr);
    CHECK(passages.take(other).get() == others);
}

TEST_CASE_FIXTURE(Kept, "one that is out of date by then is not kept, as nobody would clear it") {
    const std::int64_t before = support::live_allocations();
    put(topic, 3, true);
    CHECK(passages.take(topic) == nullptr);
    CHECK(support::live_allocations() == before);
    put(topic, 3, false);
    CHECK(passages.take(topic) != nullptr);
}

TEST_CASE_FIXTURE(Kept, "when a subscription ends all are let go of, of all topics") {
    const std::int64_t before = support::live_allocations();
    for (int i = 0; i < 3; ++i) {
        put(topic, 2);
        put(other, 2);
    }
    passages.clear(false);
    CHECK(support::live_allocations() == before);
    CHECK(count(topic) + count(other) == 0);
    put(topic);
    CHECK(count(topic) == 1);
}

TEST_CASE_FIXTURE(Kept, "at the end of the broker they go for good: none is kept from then on") {
    put(topic);
    passages.clear(true);
    put(topic);
    passages.clear(false);
    put(other);
    CHECK(count(topic) + count(other) == 0);
}

TEST_CASE_FIXTURE(Kept, "a topic that is gone leaves none behind, and others theirs") {
    put(topic);
    put(topic);
    put(other);
    passages.forget(topic);
    CHECK(count(topic) == 0);
    CHECK(count(other) == 1);
}

TEST_CASE_FIXTURE(Kept, "as many are kept as lead to 65,536 queues, those used last [4.12]") {
    constexpr std::size_t each = 1'023;  // and one for itself
    for (int i = 0; i < 10; ++i) { put(topic, each); }
    for (int i = 0; i < 60; ++i) { put(other, each); }
    // 70 are 6 too many, and these came first.
    CHECK(count(topic) == 4);
    CHECK(count(other) == 60);
    put(topic, 70'000);
    put(other, 1);
    CHECK(count(topic) == 0);
    CHECK(count(other) == 1);
    // The newest is kept, however large.
    put(topic, 70'000);
    CHECK(count(topic) == 1);
}

TEST_CASE_FIXTURE(Kept, "those that are not taken end with the passages") {
    const std::int64_t before = support::live_allocations();
    {
        Passages more;
        Passages::Chain chain;
        more.put(chain, std::make_unique<One>(), [] { return false; });
        more.put(chain, std::make_unique<One>(), [] { return false; });
    }
    CHECK(support::live_allocations() == before);
}

TEST_CASE_FIXTURE(Kept, "threads that take and put never have the same one") {
    for (int i = 0; i < 2; ++i) { put(topic); }
    std::vector<std::thread> threads;
    std::atomic<bool> odd{false};
    for (int self = 0; self < 3; ++self) {
        threads.emplace_back([&] {
            for (int i = 0; i < 5'000; ++i) {
                auto one = passages.take(topic);
                if (!one) { one = std::make_unique<One>(); }
                if (one->generation != 0) { odd = true; }
                one->generation = 1;
                one->generation = 0;
                passages.put(topic, std::move(one), [] { return false; });
            }
        });
    }
    for (std::thread& thread : threads) { thread.join(); }
    CHECK_FALSE(odd);
    const std::size_t left = count(topic);
    CHECK(left >= 2);
    CHECK(left <= 4);
}

}  // namespace
