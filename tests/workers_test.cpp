// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/workers.hpp"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"
#include "support/sound.hpp"

// The handle of workers: what it is made of, what it tells, who owns it. What workers do is in
// workers_promises_test.cpp.
namespace {

using latchbox::OnLeaseLost;
using latchbox::WorkersOptions;
using latchbox::WorkersStats;
using Queue = latchbox::Queue<int>;
using Workers = latchbox::Workers<int>;

static_assert(!std::is_copy_constructible_v<Workers> && !std::is_copy_assignable_v<Workers>);
static_assert(std::is_nothrow_move_constructible_v<Workers>);
static_assert(std::is_nothrow_move_assignable_v<Workers>);
static_assert(noexcept(std::declval<Workers&>().stop()));
static_assert(noexcept(std::declval<const Workers&>().stats()));

TEST_CASE("one thread that takes one message at a time, unless asked for more [8]") {
    const WorkersOptions options;
    CHECK(options.threads == 1);
    CHECK(options.batch == 1);
    CHECK(options.on_lease_lost == OnLeaseLost::finish);
    CHECK(options.name.empty());
    const WorkersOptions named{
        .threads = 2, .batch = 3, .on_lease_lost = OnLeaseLost::stop, .name = "n"};
    CHECK(named.name == "n");
}

TEST_CASE("what is told of workers differs if any field does") {
    const WorkersStats none;
    CHECK(none == WorkersStats{});
    const WorkersStats others[] = {{.threads = 1}, {.running = 1},
                                   {.handled = 1}, {.failed = 1},
                                   {.lost = 1},    {.longest = latchbox::Duration::nanoseconds(1)}};
    for (const WorkersStats& other : others) {
        CHECK(other != none);
        CHECK(other == WorkersStats{other});
    }
}

struct Handled {
    latchbox::ManualClock clock;
    latchbox::Broker<int> broker{{.clock = &clock}};
    Queue queue = broker.queue("q");
    std::atomic<int> calls{0};

    ~Handled() { support::check_sound(queue); }
    void until_called(int times) const {
        while (calls != times) { std::this_thread::yield(); }
    }
};

TEST_CASE_FIXTURE(Handled, "the type of workers is that of what they consume [8]") {
    const auto subscription = broker.subscribe("s");
    const latchbox::Consumer<int> consumer = queue;
    const auto handler = [](const int&) {};
    latchbox::Workers of_queue{queue, {}, handler};
    latchbox::Workers of_subscription{subscription, {}, handler};
    latchbox::Workers of_consumer{consumer, {}, handler};
    static_assert(std::is_same_v<decltype(of_queue), Workers>);
    static_assert(std::is_same_v<decltype(of_subscription), Workers>);
    static_assert(std::is_same_v<decltype(of_consumer), Workers>);
}

TEST_CASE_FIXTURE(Handled, "every form of a handler is called by its form [8] [7.7]") {
    using Delivery = latchbox::Delivery<int>;
    const auto run = [&](auto handler) {
        const int before = calls;
        const auto handled = queue.stats().completed + queue.stats().failed;
        latchbox::Workers workers{queue, {}, std::move(handler)};
        REQUIRE(queue.publish(7));
        until_called(before + 1);
        while (workers.stats().handled != 1) { std::this_thread::yield(); }
        CHECK(queue.stats().completed + queue.stats().failed == handled + 1);
        workers.stop();
        queue.purge();
    };
    run([this](Delivery& delivery) { calls += delivery.body() == 7 ? 1 : 0; });
    run([this](const int& body) { calls += body == 7 ? 1 : 0; });
    run([this](int body) { calls += body == 7 ? 1 : 0; });
    run([this](Delivery&, const std::stop_token& token) {
        calls += token.stop_possible() ? 1 : 0;
    });
    run([this](const int&, std::stop_token token) { calls += token.stop_requested() ? 0 : 1; });
    run([this](Delivery&) { return ++calls != 0; });
    run([this](const int&) { return ++calls == 0; });
    run([this, only = std::make_unique<int>(1)](const int&) mutable { calls += *only; });
    // One that takes both forms is given the delivery.
    run([this](auto& what) {
        calls += std::is_same_v<std::remove_cvref_t<decltype(what)>, Delivery> ? 1 : 100;
    });
    CHECK(queue.stats().failed == 1);
}

TEST_CASE_FIXTURE(Handled, "workers that were moved from have nothing, and end nothing [8]") {
    std::string name = "brewers";
    Workers first{queue, {.threads = 2, .name = name}, [this](const int&) { ++calls; }};
    name = "changed";
    CHECK(first.name() == "brewers");
    Workers second = std::move(first);
    CHECK(second.name() == "brewers");
    CHECK(first.stats() == WorkersStats{});
    first.stop();
    CHECK(second.stats().threads == 2);
    REQUIRE(queue.publish(1));
    until_called(1);
    SUBCASE("assigned to, those that were there have ended") {
        std::atomic<bool> gone{false};
        struct Tells {
            std::atomic<bool>* gone;
            ~Tells() { *gone = true; }
        };
        Workers third{queue,
                      {.name = "tasters"},
                      [held = std::make_shared<Tells>(Tells{&gone})](const int&) {}};
        gone = false;  // that was the one it was made from
        third = std::move(second);
        CHECK(gone);
        CHECK(third.name() == "brewers");
        CHECK(third.stats().threads == 2);
        REQUIRE(queue.publish(2));
        until_called(2);
    }
    SUBCASE("assigned to itself, nothing happens") {
        Workers& itself = second;
        second = std::move(itself);
        CHECK(second.stats().threads == 2);
    }
    SUBCASE("an empty one can be given others") {
        first = std::move(second);
        REQUIRE(queue.publish(2));
        until_called(2);
    }
}

TEST_CASE_FIXTURE(Handled, "what cannot be used is named, and nothing was started [7.6]") {
    const auto handler = [](const int&) {};
    CHECK(support::refuses(
        [&] {
            Workers{queue, {.threads = 0}, handler};
        },
        "WorkersOptions.threads"));
    CHECK(support::refuses([&] { Workers{queue, {.batch = 0}, handler}; }, "WorkersOptions.batch"));
    REQUIRE(queue.publish(1));
    CHECK(queue.stats().ready == 1);
}

TEST_CASE_FIXTURE(Handled, "what they did is told after their end, too [8]") {
    Workers workers{queue, {.batch = 4}, [this](const int& body) { return ++calls, body != 2; }};
    for (int i = 0; i < 4; ++i) { REQUIRE(queue.publish(i)); }
    while (workers.stats().handled != 4) { std::this_thread::yield(); }
    for (int i = 0; i < 2; ++i) {
        workers.stop();
        CHECK(workers.stats() == WorkersStats{.handled = 4, .failed = 1});
    }
}

TEST_CASE("choices and stats of workers are told in words") {
    CHECK(std::string{to_string(OnLeaseLost::finish)} == "finish");
    CHECK(std::string{to_string(OnLeaseLost::stop)} == "stop");
    CHECK(std::string{to_string(static_cast<OnLeaseLost>(200))} == "unknown");
    CHECK(to_string(WorkersStats{}) == "nothing so far");
    CHECK(to_string(WorkersStats{.threads = 4, .running = 1, .handled = 9, .failed = 2, .lost = 3,
                                 .longest = std::chrono::milliseconds{1500}}) ==
          "threads 4, running 1, handled 9, failed 2, lost 3, longest 1.5 s");
}

}  // namespace
