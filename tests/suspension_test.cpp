// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/suspension.hpp"

#include <chrono>
#include <coroutine>
#include <exception>
#include <optional>
#include <stop_token>
#include <utility>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"
#include "support/sound.hpp"

// One wait without a thread: who stands in line, who takes it out, who may still name it.
namespace {

using namespace std::chrono_literals;
using latchbox::Errc;
using latchbox::LatchState;
using latchbox::detail::Access;
using latchbox::detail::Reference;
using Platform = latchbox::Threads;
using Fetching = latchbox::detail::Fetching<int, Platform>;
using Asking = latchbox::detail::Asking<int, Platform>;

// A coroutine that counts how often it is resumed.
struct Counting {
    struct promise_type {
        int resumed = 0;
        Counting get_return_object() {
            return {std::coroutine_handle<promise_type>::from_promise(*this)};
        }
        static std::suspend_always initial_suspend() noexcept { return {}; }
        static std::suspend_always final_suspend() noexcept { return {}; }
        static void return_void() noexcept {}
        [[noreturn]] static void unhandled_exception() noexcept { std::terminate(); }
        std::suspend_always yield_value(int) noexcept {
            ++resumed;
            return {};
        }
    };
    std::coroutine_handle<promise_type> frame;

    static Counting make() {
        for (;;) { co_yield 1; }
    }
    [[nodiscard]] int resumed() const { return frame.promise().resumed; }
};

// Whose executor only counts.
template <class Base> struct Told final : Base {
    int& gone_on;
    int& gone;
    template <class Of>
    Told(Of of, int& on, int& end) : Base{std::move(of)}, gone_on{on}, gone{end} {}
    Told(const Told&) = delete;
    Told& operator=(const Told&) = delete;
    ~Told() override { ++gone; }
    void go_on() noexcept override { ++gone_on; }
};
using Fetcher = Told<latchbox::detail::FetchSuspension<int, Platform>>;
using Onlooker = Told<latchbox::detail::LatchSuspension<int, Platform>>;

struct Suspended {
    latchbox::ManualClock clock;
    latchbox::Broker<int> broker{{.clock = &clock}};
    latchbox::Queue<int> queue = broker.queue("q", {.lease = 10s});
    Fetching::Shell& shell = Access::shell(queue);
    Counting coroutine = Counting::make();
    std::stop_source stop;
    int gone_on = 0;                    // was handed to its executor
    int gone = 0;                       // is no more
    std::stop_source stops_on_the_way;  // as if it came once the line was looked at

    ~Suspended() {
        coroutine.frame.destroy();
        support::check_sound(queue);
    }
    // Stands in line, if it has to.
    Errc fetch(const Reference<Fetcher>& fetcher, std::optional<latchbox::Duration> length = {}) {
        fetcher->expect(coroutine.frame, stop.get_token());
        return Fetching::some_or(
            shell, nullptr, 1, {true, length.has_value(), length.value_or(latchbox::Duration{})},
            stop.get_token(), Fetching::NoRoom{},
            [&](Fetching::Shell&, auto&, const auto& grant) { fetcher->grant = grant; },
            [&](latchbox::Instant until, latchbox::detail::Moment moment,
                latchbox::detail::Effects& effects) {
                return fetcher->stand_in_line(until, stops_on_the_way.get_token(), moment, effects);
            });
    }
    Reference<Fetcher> fetcher() {
        return Reference<Fetcher>{
            new Fetcher{Reference<Fetching::Shell>::to(shell), gone_on, gone}};
    }
    Reference<Onlooker> onlooker(const latchbox::Latch<int>& latch,
                                 std::optional<latchbox::Duration> length = {}) {
        const auto& asked = Access::asked(latch);
        const Reference<Onlooker> made{new Onlooker{asked.broker, gone_on, gone}};
        made->expect(coroutine.frame, stop.get_token());
        const auto token = stop.get_token();
        const auto answer =
            Asking::look(asked, length, token, [&](latchbox::Instant until, latchbox::Instant) {
                return made->stand_in_line(asked.latch, until, token);
            });
        CHECK(answer == latchbox::detail::look_again);
        return made;
    }
    // What a message granted to nobody's delivery would leave behind.
    void settle(const Reference<Fetcher>& fetcher) {
        REQUIRE(fetcher->grant.slot != latchbox::detail::none);
        auto delivery = Access::make<latchbox::Delivery<int>>(shell, fetcher->grant);
        CHECK(delivery.ack());
    }
};

TEST_CASE_FIXTURE(Suspended, "it is told once, by whoever took it out of line [4.9]") {
    const auto waits = fetcher();
    REQUIRE(fetch(waits, 5s) == latchbox::detail::look_again);
    CHECK(waits->in_line);
    CHECK(gone_on == 0);
    Errc expected{};
    SUBCASE("served") {
        REQUIRE(queue.publish(1));
        settle(waits);
    }
    SUBCASE("stopped") {
        stop.request_stop();
        expected = Errc::cancelled;
    }
    SUBCASE("late") {
        clock.advance(5s);
        broker.poll();
        expected = Errc::timed_out;
    }
    SUBCASE("closed") {
        broker.close();
        expected = Errc::closed;
    }
    CHECK(gone_on == 1);
    CHECK_FALSE(waits->in_line);
    CHECK(waits->ending == expected);
    // What comes now is nothing to it.
    stop.request_stop();
    clock.advance(5s);
    broker.poll();
    broker.close();
    CHECK(gone_on == 1);
    CHECK(waits->ending == expected);
}

TEST_CASE_FIXTURE(Suspended, "its coroutine goes on once, however often its executor says [8]") {
    const auto waits = fetcher();
    REQUIRE(fetch(waits) == latchbox::detail::look_again);
    REQUIRE(queue.publish(1));
    CHECK(coroutine.resumed() == 0);
    for (int i = 0; i < 3; ++i) { waits->resume(); }
    CHECK(coroutine.resumed() == 1);
    settle(waits);
}

TEST_CASE_FIXTURE(Suspended, "forgotten it leaves the line, and its coroutine stays as it is") {
    const auto waits = fetcher();
    REQUIRE(fetch(waits, 5s) == latchbox::detail::look_again);
    SUBCASE("while it stands there") {
        waits->forget();
        CHECK_FALSE(waits->in_line);
        REQUIRE(queue.publish(1));
        CHECK(gone_on == 0);
        CHECK(queue.stats().ready == 1);
    }
    SUBCASE("once it was told") {
        REQUIRE(queue.publish(1));
        waits->forget();
        CHECK(gone_on == 1);
        settle(waits);
    }
    waits->resume();
    CHECK(coroutine.resumed() == 0);
    // Nothing will ring.
    const auto next = broker.poll();
    CHECK(next.is_never());
}

TEST_CASE_FIXTURE(Suspended, "it lives for as long as anyone may name it, and no longer [4.8]") {
    auto waits = fetcher();
    REQUIRE(fetch(waits, 5s) == latchbox::detail::look_again);
    SUBCASE("in line, with an alarm, until it is late") {
        waits = {};
        CHECK(gone == 0);
        clock.advance(5s);
        broker.poll();
    }
    SUBCASE("in line until it is stopped") {
        waits = {};
        CHECK(gone == 0);
        stop.request_stop();
    }
    SUBCASE("by its executor") {
        const Reference<Fetcher> resume = waits;
        waits = {};
        broker.close();
        CHECK(gone == 0);
        resume->resume();
        CHECK(gone == 0);
        CHECK(coroutine.resumed() == 1);
    }
    SUBCASE("by its coroutine alone") {
        broker.close();
        CHECK(gone == 0);
        waits = {};
    }
    CHECK(gone == 1);
}

TEST_CASE_FIXTURE(Suspended, "one that never stood in line has nothing to leave [4.8]") {
    auto waits = fetcher();
    SUBCASE("as there was a message") {
        REQUIRE(queue.publish(1));
        CHECK(fetch(waits, 5s) == Errc{});
        settle(waits);
    }
    SUBCASE("as it was stopped before") {
        stop.request_stop();
        CHECK(fetch(waits, 5s) == Errc::cancelled);
    }
    SUBCASE("as it was stopped on the way there") {
        stops_on_the_way.request_stop();
        CHECK(fetch(waits, 5s) == Errc::cancelled);
        CHECK(broker.poll().is_never());
    }
    CHECK_FALSE(waits->in_line);
    waits = {};
    CHECK(gone == 1);
    CHECK(gone_on == 0);
    stop.request_stop();
}

TEST_CASE_FIXTURE(Suspended, "those who wait are served in the order in which they came [4.9]") {
    const Reference<Fetcher> waits[] = {fetcher(), fetcher(), fetcher()};
    for (const auto& one : waits) { REQUIRE(fetch(one) == latchbox::detail::look_again); }
    waits[1]->forget();
    for (int i = 0; i < 2; ++i) { REQUIRE(queue.publish(i)); }
    CHECK(waits[0]->grant.number < waits[2]->grant.number);
    CHECK(waits[1]->grant.slot == latchbox::detail::none);
    settle(waits[0]);
    settle(waits[2]);
    CHECK(gone_on == 2);
}

TEST_CASE_FIXTURE(Suspended, "one that looks on at a latch is told what became of it [5.8]") {
    const auto id = queue.publish(1).value();
    const auto latch = broker.latch(id);
    const auto waits = onlooker(latch, 5s);
    CHECK(gone_on == 0);
    SUBCASE("completed") {
        REQUIRE(queue.try_fetch()->ack());
        CHECK(waits->answer().value() == LatchState::completed);
    }
    SUBCASE("dead") {
        REQUIRE(queue.try_fetch()->reject("no"));
        CHECK(waits->answer().value() == LatchState::dead);
    }
    SUBCASE("late") {
        clock.advance(5s);
        broker.poll();
        CHECK(waits->answer() == Errc::timed_out);
    }
    SUBCASE("decided at the instant at which it is late, what came first counts") {
        clock.advance(5s);
        REQUIRE(queue.cancel(id));
        CHECK(waits->answer() == Errc::timed_out);
    }
    SUBCASE("stopped") {
        stop.request_stop();
        CHECK(waits->answer() == Errc::cancelled);
    }
    SUBCASE("closed") {
        broker.close();
        CHECK(waits->answer() == Errc::closed);
    }
    CHECK(gone_on == 1);
    waits->resume();
    waits->resume();
    CHECK(coroutine.resumed() == 1);
}

TEST_CASE_FIXTURE(Suspended, "a latch forgets who is forgotten [5.8] [4.8]") {
    const auto id = queue.publish(1).value();
    auto waits = onlooker(broker.latch(id), 5s);
    waits->forget();
    waits->resume();
    waits = {};
    CHECK(gone == 1);
    CHECK(broker.poll().is_never());
    REQUIRE(queue.try_fetch()->ack());
    CHECK(gone_on == 0);
    CHECK(coroutine.resumed() == 0);
    CHECK(broker.stats().latches == 0);
}

}  // namespace
