// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/timekeeper.hpp"

#include <atomic>
#include <cstdint>
#include <deque>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/manual_clock.hpp"
#include "support/watched_threads.hpp"

namespace {

using latchbox::Instant;
using latchbox::detail::Due;
using Platform = support::WatchedThreads;
using Sleep = latchbox::detail::Sleep<Platform>;

struct Queue {
    int handles = 0;
    void hold() noexcept { ++handles; }
    void let_go() noexcept { --handles; }
    [[nodiscard]] std::uint32_t number() const noexcept { return made; }
    std::uint32_t made = 0;
};
using Timekeeper = latchbox::detail::Timekeeper<Queue, Platform>;

constexpr Instant at(std::int64_t t) { return Instant{latchbox::Duration::nanoseconds(t)}; }
constexpr Due delay(std::int64_t t, std::uint64_t number = 1) {
    return {at(t), Due::delay, number};
}

struct Kept {
    latchbox::ManualClock clock;
    Timekeeper time{clock};
    std::deque<Queue> queues;
    std::vector<std::uint32_t> numbers;

    ~Kept() { time.end(); }
    std::uint32_t enlist() {
        queues.emplace_back();
        queues.back().made = static_cast<std::uint32_t>(queues.size());
        numbers.push_back(time.enlist(queues.back()));
        return numbers.back();
    }
    // Which queue has its turn, counted from 0; -1: none.
    int turn(Instant now) {
        const auto first = time.first_due(now);
        for (std::size_t i = 0; i < queues.size(); ++i) {
            if (first.queue.get() == &queues[i]) { return static_cast<int>(i); }
        }
        return -1;
    }
};

TEST_CASE_FIXTURE(Kept, "what is due next is a bound that only falls until nothing is due [4.3]") {
    CHECK(time.next_due().is_never());
    const auto queue = enlist();
    time.set(queue, delay(5));
    CHECK(time.next_due() == at(5));
    CHECK_FALSE(time.is_due(at(4)));
    CHECK(time.is_due(at(5)));
    time.set(queue, delay(9));
    CHECK(time.next_due() == at(5));
    CHECK(turn(at(8)) == -1);
    CHECK(time.next_due() == at(9));
    time.set(queue, Due::never());
    CHECK(turn(at(100)) == -1);
    CHECK(time.next_due().is_never());
}

TEST_CASE_FIXTURE(Kept, "turns go by instant, kind and number, up to the turn of another [4.3]") {
    for (int i = 0; i < 3; ++i) { enlist(); }
    time.set(numbers[0], {at(5), Due::delay, 1});
    time.set(numbers[1], {at(5), Due::lease, 7});
    time.set(numbers[2], {at(5), Due::delay, 2});
    {
        const auto first = time.first_due(at(6));
        CHECK(first.queue.get() == &queues[1]);
        CHECK(queues[1].handles == 1);
        CHECK(first.first == Due{at(5), Due::lease, 7});
        CHECK(first.limit == Due{at(5), Due::delay, 1});
    }
    CHECK(queues[1].handles == 0);
    time.set(numbers[1], delay(7));
    CHECK(turn(at(6)) == 0);
    time.set(numbers[0], Due::never());
    const auto last = time.first_due(at(6));
    CHECK(last.queue.get() == &queues[2]);
    CHECK(last.limit == Due::last_at(at(6)));
}

TEST_CASE_FIXTURE(Kept, "where all else is equal the queue made first has its turn first [4.3]") {
    for (int i = 0; i < 6; ++i) { enlist(); }
    for (const auto number : numbers) { time.set(number, delay(5)); }
    for (int i = 0; i < 6; ++i) {
        REQUIRE(turn(at(5)) == i);
        time.set(numbers[static_cast<std::size_t>(i)], Due::never());
    }
}

TEST_CASE_FIXTURE(Kept, "any number of queues, and a number given back is used again") {
    for (int i = 0; i < 50; ++i) { enlist(); }
    for (std::size_t i = 0; i < 50; ++i) {
        REQUIRE(numbers[i] == i);
        time.set(numbers[i], delay(static_cast<std::int64_t>(100 - i)));
    }
    CHECK(turn(at(100)) == 49);
    time.discharge(numbers[49]);
    CHECK(turn(at(100)) == 48);
    CHECK(enlist() == numbers[49]);
    time.set(numbers.back(), delay(1));
    CHECK(turn(at(1)) == 50);
}

// Says what it is told to, and tells nobody when it moves.
struct Told final : latchbox::Clock {
    std::atomic<std::int64_t> now_at{0};
    std::int64_t earliest = 0;
    int asked = 0;
    Instant now() noexcept override {
        ++asked;
        return at(now_at);
    }
    latchbox::Glance glance() noexcept override { return {at(earliest), at(now_at)}; }
};

TEST_CASE("a clock that goes back is taken to stand still [4.3]") {
    Told clock;
    Timekeeper time{clock};
    for (const std::int64_t told : {5, 3, 4, 6, -9}) {
        clock.now_at = told;
        const auto moment = time.now();
        CHECK(moment.exact());
        CHECK(moment.now == at(told < 5 ? (told < 0 ? 6 : 5) : told));
    }
    time.end();
}

TEST_CASE("a glance is enough unless it leaves a doubt whether something is due [4.3]") {
    Told clock;
    clock.earliest = 10;
    clock.now_at = 20;
    Timekeeper time{clock};
    Queue queue;
    const auto number = time.enlist(queue);
    const auto unhurried = time.glance();
    CHECK(unhurried.now == at(10));
    CHECK(unhurried.latest() == at(20));
    CHECK_FALSE(unhurried.exact());
    CHECK(clock.asked == 0);
    time.set(number, delay(21));
    CHECK_FALSE(time.is_due(unhurried.latest()));
    time.set(number, delay(20));
    CHECK(time.is_due(unhurried.latest()));
    CHECK(clock.asked == 0);
    time.end();
}

TEST_CASE("a glance behind what was read before is not believed [4.3]") {
    Told clock;
    clock.earliest = 10;
    clock.now_at = 30;
    Timekeeper time{clock};
    CHECK(time.now().now == at(30));
    CHECK_FALSE(time.glance().exact());
    clock.now_at = 29;
    CHECK(time.glance().exact());
    CHECK(time.glance().now == at(30));
    time.end();
}

// --- alarms --------------------------------------------------------------------------------------

struct Alarm final : latchbox::detail::Alarm {
    int holds = 0;
    int rung = 0;
    void ring() noexcept override { ++rung; }
    void hold() noexcept override { ++holds; }
    void let_go() noexcept override { --holds; }
};

TEST_CASE_FIXTURE(Kept, "what is due next is an alarm as well as a queue [4.3] [7.4]") {
    const auto queue = enlist();
    Alarm early;
    Alarm late;
    CHECK(time.next_alarm().is_never());
    time.set(queue, delay(7));
    time.set(late, at(9));
    CHECK(time.next_due() == at(7));
    time.set(early, at(5));
    CHECK(time.next_due() == at(5));
    CHECK(time.is_due(at(5)));
    CHECK(time.next_alarm() == at(5));
    // No queue has its turn yet, and then the bound is what it was.
    CHECK(turn(at(6)) == -1);
    CHECK(time.next_due() == at(5));
    CHECK(time.cancel(early));
    CHECK_FALSE(time.cancel(early));
    // Raised by the next who looks.
    CHECK(time.next_due() == at(5));
    CHECK(time.ringing(at(6)) == nullptr);
    CHECK(time.next_due() == at(7));
    time.set(queue, Due::never());
    CHECK(turn(at(8)) == -1);
    CHECK(time.next_due() == at(9));
    CHECK(time.cancel(late));
    CHECK(turn(at(8)) == -1);
    CHECK(time.next_due().is_never());
}

TEST_CASE_FIXTURE(Kept, "alarms ring by their instants, at one in the order of setting [4.3]") {
    Alarm alarms[4];
    const std::int64_t instants[] = {6, 5, 6, 7};
    for (std::size_t i = 0; i < 4; ++i) {
        alarms[i].hold();
        time.set(alarms[i], at(instants[i]));
    }
    CHECK(time.ringing(at(4)) == nullptr);
    latchbox::detail::Alarm* ringing = time.ringing(at(6));
    for (const std::size_t expected : {1U, 0U, 2U}) {
        REQUIRE(ringing == &alarms[expected]);
        // The hold of who set it goes to who rings.
        CHECK(alarms[expected].holds == 1);
        CHECK(alarms[expected].rung == 0);
        CHECK_FALSE(time.cancel(alarms[expected]));
        ringing = ringing->next;
    }
    CHECK(ringing == nullptr);
    CHECK(time.ringing(at(6)) == nullptr);
    CHECK(time.next_due() == at(7));
    CHECK(time.cancel(alarms[3]));
    CHECK(alarms[3].holds == 1);
}

// One thread that sleeps once.
struct Sleeper {
    Sleep sleep;
    std::atomic<int> told{-1};  // 1: what it waits for has come; 0: it shall look again
    std::thread thread;

    Sleeper(Timekeeper& time, Instant until) {
        sleep.until = until;
        const int before = Platform::asleep;
        thread = std::thread{[this, &time] {
            const std::uint64_t moves = time.moves();
            told = time.lie_down(sleep, time.now().now, moves) ? 1 : 0;
        }};
        Platform::until_asleep(before + 1);
    }
    int ended() {
        thread.join();
        return told;
    }
};

TEST_CASE_FIXTURE(Kept, "a sleeper gets up when it is done, roused, or its instant comes [4.9]") {
    Sleeper sleeper{time, at(10)};
    int expected = 0;
    SUBCASE("done") {
        time.finish(sleeper.sleep);
        expected = 1;
    }
    SUBCASE("roused") { time.rouse(sleeper.sleep); }
    SUBCASE("its instant") {
        clock.advance(at(9) - at(0));
        clock.set(at(10));
    }
    CHECK(sleeper.ended() == expected);
}

TEST_CASE_FIXTURE(Kept, "who has no reason to sleep does not lie down [4.9]") {
    Sleep sleep;
    const std::uint64_t moves = time.moves();
    SUBCASE("its instant has come") { sleep.until = at(0); }
    SUBCASE("something is due") { time.set(enlist(), delay(0)); }
    SUBCASE("it was roused before") { time.rouse(sleep); }
    SUBCASE("the clock has moved since it was read") { clock.set(at(1)); }
    CHECK_FALSE(time.lie_down(sleep, at(0), moves));
    time.finish(sleep);
    CHECK(time.lie_down(sleep, at(0), moves));
}

TEST_CASE_FIXTURE(Kept,
                  "the one who lay down last wakes for what is due, the others sleep on "
                  "[4.9]") {
    const auto queue = enlist();
    time.set(queue, delay(5));
    Sleeper older{time, Instant::never()};
    Sleeper keeper{time, Instant::never()};
    // Both had planned for it: the older one kept the time before the newer came.
    clock.set(at(5));
    CHECK(keeper.ended() == 0);
    CHECK(older.ended() == 0);
}

TEST_CASE_FIXTURE(Kept, "something earlier wakes the keeper alone, so that it plans anew [4.9]") {
    const auto queue = enlist();
    Sleeper older{time, Instant::never()};
    Sleeper keeper{time, Instant::never()};
    time.set(queue, delay(7));
    CHECK(keeper.ended() == 0);
    // The keeper left, so the older one is roused to take over.
    CHECK(older.ended() == 0);
}

TEST_CASE_FIXTURE(Kept, "when the keeper leaves, one who would oversleep takes over [4.9]") {
    const auto queue = enlist();
    Sleeper older{time, Instant::never()};
    Sleeper keeper{time, at(3)};
    time.set(queue, delay(5));  // the keeper gets up before that anyway
    CHECK(keeper.told == -1);
    clock.set(at(3));
    CHECK(keeper.ended() == 0);
    CHECK(older.ended() == 0);
}

TEST_CASE_FIXTURE(Kept, "when the keeper leaves, one who gets up in time sleeps on [4.9]") {
    const auto queue = enlist();
    Sleeper older{time, at(4)};
    Sleeper keeper{time, at(3)};
    time.set(queue, delay(5));
    clock.set(at(3));
    CHECK(keeper.ended() == 0);
    Platform::until_asleep(1);
    CHECK(older.told == -1);
    time.finish(older.sleep);
    CHECK(older.ended() == 1);
}

TEST_CASE_FIXTURE(Kept, "an alarm that is earlier wakes the keeper, so that it plans anew [4.9]") {
    Sleeper keeper{time, Instant::never()};
    Alarm alarm;
    time.set(alarm, at(7));
    CHECK(keeper.ended() == 0);
    const std::uint64_t moves = time.moves();
    Sleep sleep;
    CHECK(time.cancel(alarm));
    time.set(alarm, at(0));
    // Something is due: nobody lies down.
    CHECK_FALSE(time.lie_down(sleep, at(0), moves));
    CHECK(time.cancel(alarm));
}

TEST_CASE_FIXTURE(Kept, "what was seen last is the latest that was read [4.3]") {
    CHECK(time.seen() <= at(0));
    clock.set(at(5));
    CHECK(time.now().now == at(5));
    CHECK(time.seen() == at(5));
}

TEST_CASE("where the clock does not tell, a sleeper still can be told [4.9]") {
    Told clock;
    Timekeeper time{clock};
    Sleeper sleeper{time, at(3'600'000'000'000)};
    time.finish(sleeper.sleep);
    CHECK(sleeper.ended() == 1);
    time.end();
}

TEST_CASE("the end waits for those inside a waiting call [4.8] [7.5]") {
    latchbox::ManualClock clock;
    Timekeeper time{clock};
    time.begin_wait();
    time.begin_wait();
    std::atomic<bool> ended{false};
    std::thread ending{[&] {
        time.end();
        ended = true;
    }};
    Platform::until_asleep(1);
    time.end_wait();
    CHECK_FALSE(ended);
    time.end_wait();
    ending.join();
    CHECK(ended);
}

}  // namespace
