// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/waiting.hpp"

#include <chrono>
#include <optional>
#include <thread>
#include <utility>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"
#include "support/sound.hpp"
#include "support/watched_threads.hpp"

// One call that waits, on another thread, and what ends it. No test sleeps: the platform tells
// when somebody else does, and the clock moves when told.
namespace {

using namespace std::chrono_literals;
using latchbox::Errc;
using latchbox::Overflow;
using support::WatchedThreads;

struct Waited {
    latchbox::ManualClock clock;
    latchbox::Broker<int, WatchedThreads> broker{{.clock = &clock}};
    using Queue = latchbox::Queue<int, WatchedThreads>;
    Queue queue = broker.queue("queue", {.lease = 60s});

    ~Waited() { support::check_sound(queue); }
};

// A fetch on a thread of its own, asleep once this is made.
class Fetch {
public:
    explicit Fetch(const Waited::Queue& queue,
                   latchbox::Duration length = latchbox::Duration::never(),
                   const WatchedThreads::StopToken& stop = {}) {
        const int before = WatchedThreads::asleep;
        thread_ = std::thread{[this, queue, length, stop] {
            auto delivery = queue.fetch_for(length, stop);
            error_ = support::error_of(delivery);
            if (delivery) {
                body_ = delivery->body();
                delivery->ack();
            }
        }};
        WatchedThreads::until_asleep(before + 1);
    }
    ~Fetch() { join(); }
    Fetch(const Fetch&) = delete;
    Fetch& operator=(const Fetch&) = delete;

    // What it got; 0: nothing.
    int body() {
        join();
        return body_;
    }
    Errc error() {
        join();
        return error_;
    }

private:
    void join() {
        if (thread_.joinable()) { thread_.join(); }
    }

    int body_ = 0;
    Errc error_{};
    std::thread thread_;
};

TEST_CASE_FIXTURE(Waited, "who waits is served by who publishes [4.9]") {
    Fetch fetch{queue};
    REQUIRE(queue.publish(7));
    // Handed over: nobody else can have it any more.
    CHECK(queue.try_fetch() == Errc::empty);
    CHECK(fetch.body() == 7);
    CHECK(queue.stats().completed == 1);
}

TEST_CASE_FIXTURE(Waited, "who waits is served in the order of coming [4.9]") {
    Fetch first{queue};
    Fetch second{queue};
    Fetch third{queue};
    for (const int body : {1, 2, 3}) { REQUIRE(queue.publish(body)); }
    CHECK(first.body() == 1);
    CHECK(second.body() == 2);
    CHECK(third.body() == 3);
}

TEST_CASE_FIXTURE(Waited, "who waits is served by time: nobody else needs to call [4.3] [4.9]") {
    const int expected = 1;
    SUBCASE("a delay is over") { REQUIRE(queue.publish(1, {.delay = 5s})); }
    SUBCASE("a lease ran out") {
        REQUIRE(queue.publish(1));
        static_cast<void>(std::move(*queue.try_fetch()).detach());
    }
    SUBCASE("in another queue, too") {
        REQUIRE(queue.publish(1, {.delay = 30s}));
        REQUIRE(broker.queue("other").publish(2, {.delay = 5s}));
    }
    Fetch fetch{queue};
    clock.advance(60s);
    CHECK(fetch.body() == expected);
}

TEST_CASE_FIXTURE(Waited, "a wait is over at its end, and not before [4.3] [4.9]") {
    Fetch fetch{queue, 10s};
    SUBCASE("one tick before it is served") {
        clock.advance(10s - 1ns);
        REQUIRE(queue.publish(7));
        CHECK(fetch.body() == 7);
    }
    SUBCASE("at its end it is not, even if its thread has not run yet") {
        clock.advance(10s);
        REQUIRE(queue.publish(7));
        CHECK(fetch.error() == Errc::timed_out);
        CHECK(queue.stats().ready == 1);
        CHECK(queue.stats().delivered == 0);
    }
    SUBCASE("what falls due in its last instant comes too late") {
        REQUIRE(queue.publish(7, {.delay = 10s}));
        clock.advance(10s);
        CHECK(fetch.error() == Errc::timed_out);
        CHECK(queue.stats().ready == 1);
    }
    SUBCASE("what falls due before is in time, however far the clock jumps") {
        REQUIRE(queue.publish(7, {.delay = 9s}));
        clock.advance(15s);
        CHECK(fetch.body() == 7);
    }
}

TEST_CASE_FIXTURE(Waited, "one who gave up is not served, the next in line is [4.9]") {
    Fetch late{queue, 10s};
    Fetch patient{queue};
    clock.advance(10s);
    REQUIRE(queue.publish(7));
    CHECK(late.error() == Errc::timed_out);
    CHECK(patient.body() == 7);
}

#if defined(__cpp_lib_jthread)
TEST_CASE_FIXTURE(Waited, "a stop ends the wait and loses no message [4.9] [7.7]") {
    std::stop_source stop;
    SUBCASE("during the wait") {
        Fetch fetch{queue, 10s, stop.get_token()};
        stop.request_stop();
        CHECK(fetch.error() == Errc::cancelled);
        REQUIRE(queue.publish(7));
        CHECK(queue.stats().ready == 1);
    }
    SUBCASE("after the message was handed over") {
        Fetch fetch{queue, 10s, stop.get_token()};
        REQUIRE(queue.publish(7));
        stop.request_stop();
        CHECK(fetch.body() == 7);
    }
    SUBCASE("before the wait, whatever is ready") {
        REQUIRE(queue.publish(7));
        stop.request_stop();
        CHECK(queue.fetch_for(10s, stop.get_token()) == Errc::cancelled);
        CHECK(queue.stats().ready == 1);
    }
}
#endif

TEST_CASE_FIXTURE(Waited, "the end of queue or broker ends every wait [4.9] [7.5]") {
    Fetch timed{queue, 10s};
    Fetch patient{queue};
    SUBCASE("the broker closes") { broker.close(); }
    SUBCASE("the queue is removed") { REQUIRE(broker.remove("queue")); }
    CHECK(timed.error() == Errc::closed);
    CHECK(patient.error() == Errc::closed);
}

TEST_CASE("the broker's end waits for those inside a wait, and their clock may go [4.8] [4.9]") {
    std::optional<latchbox::ManualClock> clock{std::in_place};
    std::optional<latchbox::Broker<int, WatchedThreads>> broker{
        std::in_place, latchbox::BrokerOptions{.clock = &*clock}};
    const auto queue = broker->queue("queue");
    Fetch fetch{queue};
    broker.reset();
    clock.reset();
    CHECK(fetch.error() == Errc::closed);
    CHECK(queue.try_fetch() == Errc::closed);
}

TEST_CASE_FIXTURE(Waited, "a publisher waits for room as a fetch does for a message [7.2] [4.9]") {
    const auto narrow = broker.queue("narrow", {.capacity = 1, .overflow = Overflow::block});
    REQUIRE(narrow.publish(1));
    Errc error{};
    std::thread publisher{[&] { error = support::error_of(narrow.publish(2, {.block_for = 9s})); }};
    WatchedThreads::until_asleep(1);
    SUBCASE("room comes in time") {
        clock.advance(9s - 1ns);
        CHECK(narrow.pop().value() == 1);
        publisher.join();
        CHECK(error == Errc{});
        CHECK(narrow.pop().value() == 2);
    }
    SUBCASE("room comes at the end of its time, too late") {
        clock.advance(9s);
        CHECK(narrow.pop().value() == 1);
        publisher.join();
        CHECK(error == Errc::timed_out);
        CHECK(narrow.size() == 0);
    }
    support::check_sound(narrow);
}

}  // namespace
