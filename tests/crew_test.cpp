// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/crew.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"
#include "support/sound.hpp"
#include "support/watched_threads.hpp"

// The threads of workers without their handle: who lives how long, who counts what, who waits.
namespace {

using namespace std::chrono_literals;
using latchbox::Errc;
using latchbox::detail::Reference;
using support::WatchedThreads;
using Base = latchbox::detail::Crew<int, WatchedThreads>;
using Delivery = Base::Delivery;

struct Crew final : Base {
    using Handler = std::function<bool(Delivery&)>;
    Handler handler;
    std::atomic<int>& ended;
    Crew(const Base::Consumer& consumer, std::size_t threads, std::size_t batch, bool stops,
         Handler calls, std::atomic<int>& end)
        : Base{consumer, threads, batch, stops}, handler{std::move(calls)}, ended{end} {}
    Crew(const Crew&) = delete;
    Crew& operator=(const Crew&) = delete;
    ~Crew() override { ++ended; }
    bool handle(Delivery& delivery) override { return handler(delivery); }
};

struct Sum {
    std::uint64_t begun = 0;
    std::uint64_t handled = 0;
    std::uint64_t failed = 0;
    std::uint64_t lost = 0;
    std::int64_t longest = 0;
    friend bool operator==(const Sum&, const Sum&) = default;
};

template <class Reached> void until(Reached&& reached) {
    while (!reached()) { std::this_thread::yield(); }
}

struct Crewed {
    latchbox::ManualClock clock;
    latchbox::Broker<int, WatchedThreads> broker{{.clock = &clock}};
    latchbox::Queue<int, WatchedThreads> queue =
        broker.queue("q", {.lease = 10s, .max_failures = 1});
    std::atomic<int> ended{0};

    ~Crewed() { support::check_sound(queue); }
    Reference<Crew> crew(Crew::Handler handler, std::size_t threads = 1, std::size_t batch = 1,
                         bool stops = false) {
        return Reference<Crew>{new Crew{queue, threads, batch, stops, std::move(handler), ended}};
    }
    // At the end it lives until its last thread has let go of it.
    void finish(Reference<Crew>& crew) {
        crew->stop();
        crew->part();
        crew = {};
        CHECK(ended == 1);
    }
    [[nodiscard]] static Sum sum(const Reference<Crew>& crew) {
        Sum all;
        crew->each([&](const Base::Counts& one) {
            all.handled += one.handled.load(std::memory_order_acquire);
            all.begun += one.begun.load(std::memory_order_relaxed);
            all.failed += one.failed.load(std::memory_order_relaxed);
            all.lost += one.lost.load(std::memory_order_relaxed);
            all.longest = std::max(all.longest, one.longest.load(std::memory_order_relaxed));
        });
        return all;
    }
};

TEST_CASE_FIXTURE(Crewed, "a crew that was not started has no threads, and can be stopped") {
    auto crew = this->crew([](Delivery&) { return true; }, 3);
    REQUIRE(queue.publish(1));
    CHECK(crew->running() == 0);
    CHECK(sum(crew) == Sum{});
    finish(crew);
    CHECK(queue.stats().ready == 1);
}

TEST_CASE_FIXTURE(Crewed, "each thread runs until it is stopped, and waits meanwhile [8]") {
    auto crew = this->crew([](Delivery&) { return true; }, 3);
    crew->start();
    WatchedThreads::until_asleep(3);
    CHECK(crew->running() == 3);
    crew->stop();
    CHECK(crew->running() == 0);
    // Nobody fetches for it any more.
    REQUIRE(queue.publish(1));
    CHECK(queue.stats().ready == 1);
    finish(crew);
}

TEST_CASE_FIXTURE(Crewed, "what its handlers do is counted by outcome [8]") {
    std::atomic<int> calls{0};
    auto crew = this->crew([&](Delivery& delivery) {
        ++calls;
        if (delivery.body() == 1) { return false; }
        if (delivery.body() == 2) { throw std::runtime_error{"no"}; }
        if (delivery.body() == 3) { clock.advance(10s); }
        if (delivery.body() == 4) { REQUIRE(delivery.ack()); }
        if (delivery.body() == 5) { throw 5; }
        return true;
    });
    for (int i = 0; i < 6; ++i) { REQUIRE(queue.publish(i)); }
    crew->start();
    until([&] { return sum(crew).handled == 6; });
    const Sum expected{.begun = 6,
                       .handled = 6,
                       .failed = 3,
                       .lost = 1,
                       .longest = std::chrono::nanoseconds{10s}.count()};
    CHECK(sum(crew) == expected);
    finish(crew);
    CHECK(calls == 6);
}

TEST_CASE_FIXTURE(Crewed, "one that stops on a loss fetches nothing after it [8]") {
    auto crew = this->crew(
        [&](Delivery& delivery) {
            clock.advance(delivery.deadline() - latchbox::Instant{});
            return true;
        },
        1, 3, true);
    for (int i = 0; i < 5; ++i) { REQUIRE(queue.publish(i)); }
    crew->start();
    until([&] { return crew->running() == 0; });
    CHECK(sum(crew).handled == 1);
    CHECK(sum(crew).lost == 1);
    CHECK(queue.size() == 5);
    finish(crew);
}

TEST_CASE_FIXTURE(Crewed, "of a batch what was not begun goes back as if it was never fetched") {
    std::atomic<bool> inside{false};
    std::atomic<bool> goes_on{false};
    auto crew = this->crew(
        [&](Delivery&) {
            inside = true;
            until([&] { return goes_on.load(); });
            return true;
        },
        1, 4);
    for (int i = 0; i < 4; ++i) { REQUIRE(queue.publish(i)); }
    crew->start();
    until([&] { return inside.load(); });
    CHECK(queue.stats().leased == 4);
    std::thread stopping{[&] { crew->stop(); }};
    WatchedThreads::until_asleep(1);
    goes_on = true;
    stopping.join();
    CHECK(queue.stats().completed == 1);
    CHECK(queue.stats().ready == 3);
    CHECK(queue.stats().abandoned == 0);
    const auto next = queue.try_fetch();
    CHECK(next->body() == 1);
    CHECK(next->attempt() == 1);
    finish(crew);
}

TEST_CASE_FIXTURE(Crewed,
                  "stopped from within it waits for nobody, and outlives its handle [4.8]") {
    std::atomic<bool> left{false};
    Reference<Crew> crew;
    crew = this->crew([&](Delivery&) {
        crew->stop();
        crew->part();
        crew = {};
        CHECK(ended == 0);
        left = true;
        return true;
    });
    crew->start();
    REQUIRE(queue.publish(1));
    until([&] { return ended.load() == 1; });
    CHECK(left);
    CHECK(queue.stats().completed == 1);
}

TEST_CASE_FIXTURE(Crewed, "its threads end where there is nothing to come any more [7.5] [6.7]") {
    auto crew = this->crew([](Delivery&) { return true; }, 2);
    crew->start();
    WatchedThreads::until_asleep(2);
    SUBCASE("closed") { broker.close(); }
    SUBCASE("removed") { REQUIRE(broker.remove("q")); }
    until([&] { return crew->running() == 0; });
    finish(crew);
}

}  // namespace
