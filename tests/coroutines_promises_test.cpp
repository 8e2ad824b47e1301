// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <algorithm>
#include <atomic>
#include <chrono>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/coroutine.hpp"
#include "latchbox/latchbox.hpp"

#include "support/message_kinds.hpp"
#include "support/sound.hpp"
#include "support/watched_threads.hpp"

// Coroutines that wait for messages and latches: resumed once, on their executor, under no lock;
// and whatever ends a wait, no message is lost by it.
namespace {

using namespace std::chrono_literals;
using latchbox::async_fetch;
using latchbox::async_fetch_for;
using latchbox::async_wait;
using latchbox::async_wait_for;
using latchbox::Duration;
using latchbox::Errc;
using latchbox::Instant;
using latchbox::LatchState;
using support::error_of;
using support::WatchedThreads;

// A coroutine that starts at once; its frame goes with this object.
class Flow {
public:
    struct promise_type {
        Flow get_return_object() {
            return Flow{std::coroutine_handle<promise_type>::from_promise(*this)};
        }
        static std::suspend_never initial_suspend() noexcept { return {}; }
        static std::suspend_always final_suspend() noexcept { return {}; }
        static void return_void() noexcept {}
        [[noreturn]] static void unhandled_exception() noexcept { std::terminate(); }
    };
    Flow(Flow&& other) noexcept : frame_{std::exchange(other.frame_, {})} {}
    Flow& operator=(Flow&& other) noexcept {
        std::swap(frame_, other.frame_);
        return *this;
    }
    ~Flow() {
        if (frame_) { frame_.destroy(); }
    }
    [[nodiscard]] bool done() const { return frame_.done(); }

private:
    explicit Flow(std::coroutine_handle<promise_type> frame) : frame_{frame} {}
    std::coroutine_handle<promise_type> frame_;
};

// Resumes where it is called, and counts.
struct Inline {
    int* calls;
    template <class Resume> void operator()(Resume resume) const {
        ++*calls;
        resume();
    }
};

// Resumes when it is run, like an event loop.
class Loop {
public:
    struct Executor {
        Loop* loop;
        template <class Resume> void operator()(Resume resume) const { loop->post(resume); }
    };
    [[nodiscard]] Executor executor() { return {this}; }
    void post(std::function<void()> what) {
        const std::lock_guard lock{mutex_};
        posted_.push_back(std::move(what));
    }
    [[nodiscard]] std::size_t size() const {
        const std::lock_guard lock{mutex_};
        return posted_.size();
    }
    // How many it ran.
    int run() {
        int ran = 0;
        for (; auto next = take(); ++ran) { next(); }
        return ran;
    }
    [[nodiscard]] std::function<void()> take() {
        const std::lock_guard lock{mutex_};
        if (posted_.empty()) { return nullptr; }
        auto next = std::move(posted_.front());
        posted_.pop_front();
        return next;
    }

private:
    mutable std::mutex mutex_;
    std::deque<std::function<void()>> posted_;
};

template <class Platform> struct Awaiting {
    using Delivery = latchbox::Delivery<std::string, Platform>;
    using Consumer = latchbox::Consumer<std::string, Platform>;

    latchbox::ManualClock clock;
    latchbox::Broker<std::string, Platform> broker{{.clock = &clock}};
    latchbox::Queue<std::string, Platform> q = broker.queue("q", {.lease = 10s});
    Loop loop;
    int calls = 0;
    std::string said_by_late;

    ~Awaiting() {
        support::check_sound(q);
        CHECK(support::conserved(broker.stats().messages));
    }
    [[nodiscard]] Inline inline_executor() { return {&calls}; }
    // As a test wants it: nothing has happened to the message that waits.
    void check_untouched(const char* body) {
        auto delivery = q.try_fetch();
        REQUIRE(delivery);
        CHECK(delivery->body() == body);
        CHECK(delivery->attempt() == 1);
        CHECK(delivery->ack());
    }
};
using Plain = Awaiting<latchbox::Threads>;
using Watched = Awaiting<WatchedThreads>;
using Stop = latchbox::Threads::StopToken;

// One fetch; what came of it.
struct Got {
    std::string body;
    Errc error = Errc{};
    bool over = false;
    std::uint32_t attempt = 0;
    std::thread::id where = {};

    template <class Result> void note(Result& delivery) {
        where = std::this_thread::get_id();
        error = error_of(delivery);
        if (delivery) {
            body = delivery->body();
            attempt = delivery->attempt();
            if (const auto done = delivery->ack(); !done) { error = done.error(); }
        }
        over = true;
    }
};
template <class Consumer, class Executor>
Flow fetch_one(const Consumer& from, Executor executor, Got& got, Stop stop = {}) {
    auto delivery = co_await async_fetch(from, executor, stop);
    got.note(delivery);
}
template <class Consumer, class Executor>
Flow fetch_one_for(const Consumer& from, Executor executor, Duration length, Got& got,
                   Stop stop = {}) {
    auto delivery = co_await async_fetch_for(from, executor, length, stop);
    got.note(delivery);
}
// Fetches and acks until it is told to end; the bodies, and why it ended.
template <class Consumer, class Executor>
Flow consume(const Consumer& from, Executor executor, std::string& bodies, Errc& why) {
    for (;;) {
        auto delivery = co_await async_fetch(from, executor);
        if (!delivery) {
            why = delivery.error();
            co_return;
        }
        bodies += delivery->body();
        delivery->ack();
    }
}

// --- fetching --------------------------------------------------------------------------------

TEST_CASE_FIXTURE(Plain, "what is ready is fetched without a pause [8]") {
    REQUIRE(q.publish("a"));
    Got got;
    const Flow flow = fetch_one(q, inline_executor(), got);
    CHECK(flow.done());
    CHECK(calls == 0);
    CHECK(got.body == "a");
    CHECK(got.attempt == 1);
    CHECK(q.stats().completed == 1);
}

TEST_CASE_FIXTURE(Plain, "what comes later resumes who waits, once [8] [misuse 26]") {
    Got got;
    const Flow flow = fetch_one(q, inline_executor(), got);
    CHECK_FALSE(flow.done());
    REQUIRE(q.publish("a"));
    CHECK(flow.done());
    CHECK(calls == 1);
    CHECK(got.body == "a");
    REQUIRE(q.publish("b"));
    CHECK(calls == 1);
    check_untouched("b");
}

TEST_CASE_FIXTURE(Plain, "it is resumed on its executor, not before [8]") {
    Got got;
    const Flow flow = fetch_one(q, loop.executor(), got);
    REQUIRE(q.publish("a"));
    CHECK(loop.size() == 1);
    CHECK_FALSE(flow.done());
    CHECK(q.stats().ready == 0);
    CHECK(loop.run() == 1);
    CHECK(flow.done());
    CHECK(got.body == "a");
    CHECK(loop.size() == 0);
}

TEST_CASE_FIXTURE(Plain, "a consumer of many messages gets them in order, to the end [8] [4.4]") {
    std::string bodies;
    Errc why{};
    REQUIRE(q.publish("a"));
    REQUIRE(q.publish("b"));
    const Flow flow = consume(q, inline_executor(), bodies, why);
    CHECK(bodies == "ab");
    CHECK(calls == 0);
    for (const char* body : {"c", "d"}) { REQUIRE(q.publish(body)); }
    std::vector<std::string> batch = {"e", "f", "g"};
    REQUIRE(q.publish_batch(batch));
    REQUIRE(q.publish("h", {.delay = 1s}));
    CHECK(bodies == "abcdefg");
    clock.advance(1s);
    CHECK(broker.poll().is_never());
    CHECK(bodies == "abcdefgh");
    broker.close();
    CHECK(flow.done());
    CHECK(why == Errc::closed);
}

TEST_CASE_FIXTURE(Plain, "a long backlog, and a long stream, need no stack [8]") {
    constexpr int many = 100'000;
    std::string bodies;
    Errc why{};
    for (int i = 0; i < many; ++i) { REQUIRE(q.publish("x")); }
    const Flow flow = consume(q, inline_executor(), bodies, why);
    CHECK(bodies.size() == many);
    for (int i = 0; i < many; ++i) { static_cast<void>(q.publish("y")); }
    CHECK(bodies.size() == 2 * many);
    CHECK(calls == many);
}

TEST_CASE_FIXTURE(Watched, "all who wait are served first come, first served [8] [4.9]") {
    Got first;
    Got third;
    Got fourth;
    std::string second;
    const Flow one = fetch_one(q, inline_executor(), first);
    std::thread thread{[&] {
        auto delivery = q.fetch();
        if (delivery) {
            second = delivery->body();
            delivery->ack();
        }
    }};
    WatchedThreads::until_asleep(1);
    const Flow three = fetch_one(q, loop.executor(), third);
    const Flow four = fetch_one_for(q, inline_executor(), 1h, fourth);
    REQUIRE(q.publish("1"));
    REQUIRE(q.publish("2"));
    REQUIRE(q.publish("3"));
    REQUIRE(q.publish("4"));
    thread.join();
    loop.run();
    CHECK(first.body == "1");
    CHECK(second == "2");
    CHECK(third.body == "3");
    CHECK(fourth.body == "4");
}

TEST_CASE_FIXTURE(Plain, "a message that comes back resumes, too [8] [4.9]") {
    REQUIRE(q.publish("a"));
    auto held = q.try_fetch();
    REQUIRE(held);
    Got got;
    const Flow flow = fetch_one(q, inline_executor(), got);
    CHECK_FALSE(flow.done());
    SUBCASE("released") { CHECK(held->release()); }
    SUBCASE("requeued") { CHECK(held->requeue()); }
    SUBCASE("abandoned") { held = Errc::empty; }
    SUBCASE("its lease ran out") {
        clock.advance(10s);
        broker.poll();
    }
    SUBCASE("failed, after the pause") {
        CHECK(held->fail());
        CHECK_FALSE(flow.done());
        clock.advance(100ms);
        broker.poll();
    }
    SUBCASE("dead, and redriven") {
        CHECK(held->reject());
        CHECK(q.dead_letters().redrive() == 1);
    }
    SUBCASE("given back by a transaction") {
        {
            auto transaction = broker.transaction();
            CHECK(transaction.ack(std::move(*held)));
        }
    }
    CHECK(flow.done());
    CHECK(got.body == "a");
    CHECK(got.attempt == 2);
}

TEST_CASE_FIXTURE(Plain, "a lease counts from the hand-over, not from the resumption [4.3]") {
    Got got;
    Flow flow = fetch_one(q, loop.executor(), got);
    REQUIRE(q.publish("a"));
    clock.advance(10s);
    broker.poll();
    loop.run();
    // It came too late for the lease; the message is there again for everybody.
    CHECK(got.over);
    CHECK((got.error == Errc::lease_lost || got.attempt == 2));
    if (got.error == Errc::lease_lost) {
        CHECK(q.pop().value() == "a");
    } else {
        CHECK(q.size() == 0);
    }
}

TEST_CASE_FIXTURE(Plain, "resumed after another has settled it, it still reads its body [4.8]") {
    Flow flow = [](const latchbox::Queue<std::string>& from, Loop::Executor executor,
                   std::string& said) -> Flow {
        auto delivery = co_await async_fetch(from, executor);
        said = delivery ? delivery->body() + (delivery->ack() ? " acked" : " lost") : "none";
    }(q, loop.executor(), said_by_late);
    REQUIRE(q.publish(support::Kind<std::string>::make(1)));
    clock.advance(10s);
    auto again = q.try_fetch();
    REQUIRE(again);
    CHECK(again->attempt() == 2);
    CHECK(again->ack());
    again = Errc::empty;
    // Its place serves others.
    for (int n = 2; n < 20; ++n) { REQUIRE(q.publish(support::Kind<std::string>::make(n))); }
    loop.run();
    CHECK(said_by_late == support::Kind<std::string>::make(1) + " lost");
    CHECK(q.stats().ready == 18);
    CHECK(q.stats().leased == 0);
}

TEST_CASE_FIXTURE(Plain, "destroyed after another has settled it, it takes nothing back [4.2]") {
    Got got;
    std::optional<Flow> flow = fetch_one(q, loop.executor(), got);
    REQUIRE(q.publish("a"));
    clock.advance(10s);
    auto again = q.try_fetch();
    REQUIRE(again);
    SUBCASE("while the other is at it") {
        flow.reset();
        CHECK_FALSE(again->lease_lost());
        CHECK(again->ack());
    }
    SUBCASE("after the ack, its place served others") {
        CHECK(again->ack());
        again = Errc::empty;
        REQUIRE(q.publish("b"));
        again = q.try_fetch();
        flow.reset();
        CHECK_FALSE(again->lease_lost());
        CHECK(again->ack());
    }
    loop.run();
    CHECK_FALSE(got.over);
    CHECK(q.size() == 0);
}

TEST_CASE_FIXTURE(Plain, "an executor and a coroutine may call the broker [4.10]") {
    struct Curious {
        Plain* world;
        void operator()(std::function<void()> resume) const {
            static_cast<void>(world->q.stats());
            static_cast<void>(world->broker.queue("other").publish("from the executor"));
            world->broker.poll();
            resume();
            static_cast<void>(world->broker.stats());
        }
    };
    Got got;
    const Flow flow = fetch_one(q, Curious{this}, got);
    REQUIRE(q.publish("a"));
    CHECK(got.body == "a");
    CHECK(broker.queue("other").size() == 1);
}

template <class Queue, class Executor>
Flow pass_on(const Queue& from, const Queue& to, Executor executor, int& passed) {
    for (;;) {
        auto delivery = co_await async_fetch(from, executor);
        if (!delivery) { co_return; }
        ++passed;
        if (!delivery->forward(to)) { co_return; }
    }
}

TEST_CASE_FIXTURE(Plain, "stages of coroutines pass messages on [8] [7.3]") {
    const auto second = broker.queue("second");
    const auto third = broker.queue("third");
    int passed = 0;
    const Flow one = pass_on(q, second, inline_executor(), passed);
    const Flow two = pass_on(second, third, loop.executor(), passed);
    for (const char* body : {"a", "b", "c"}) { REQUIRE(q.publish(body)); }
    CHECK(passed == 3);
    while (loop.run() != 0) {}
    CHECK(passed == 6);
    CHECK(support::work_off_text(third) == "abc");
}

TEST_CASE("a coroutine fetches what can only be moved [8]") {
    using support::MoveOnly;
    struct Take {
        static Flow one(const latchbox::Queue<MoveOnly>& q, Inline executor, int& number) {
            auto delivery = co_await async_fetch(q, executor);
            if (delivery) {
                if (const auto body = delivery->take()) { number = body->number(); }
            }
        }
    };
    latchbox::Broker<MoveOnly> broker;
    const auto q = broker.queue("q");
    int calls = 0;
    int number = 0;
    const Flow flow = Take::one(q, Inline{&calls}, number);
    REQUIRE(q.publish(MoveOnly{7}));
    CHECK(number == 7);
}

// --- time ------------------------------------------------------------------------------------

TEST_CASE_FIXTURE(Plain, "a fetch for a time ends at its instant [8] [4.3]") {
    Got got;
    const Flow flow = fetch_one_for(q, inline_executor(), 5s, got);
    CHECK(broker.poll() == Instant{5s});
    clock.advance(5s - 1ns);
    CHECK(broker.poll() == Instant{5s});
    CHECK_FALSE(flow.done());
    clock.advance(1ns);
    SUBCASE("poll rings") { CHECK(broker.poll().is_never()); }
    SUBCASE("any call rings") { CHECK(broker.queue("other").try_fetch() == Errc::empty); }
    CHECK(flow.done());
    CHECK(got.error == Errc::timed_out);
    REQUIRE(q.publish("a"));
    check_untouched("a");
}

TEST_CASE_FIXTURE(Plain, "fetches of no time, a negative one, one without end [misuse 4-6]") {
    Got got;
    SUBCASE("none") {
        const Flow flow = fetch_one_for(q, inline_executor(), 0s, got);
        CHECK(flow.done());
        CHECK(got.error == Errc::timed_out);
        REQUIRE(q.publish("a"));
        Got again;
        const Flow second = fetch_one_for(q, inline_executor(), 0s, again);
        CHECK(again.body == "a");
    }
    SUBCASE("negative") {
        REQUIRE(q.publish("a"));
        const Flow flow = fetch_one_for(q, inline_executor(), -1ns, got);
        CHECK(flow.done());
        CHECK(got.error == Errc::invalid_option);
        check_untouched("a");
    }
    SUBCASE("without end") {
        const Flow flow = fetch_one_for(q, inline_executor(), Duration::never(), got);
        CHECK(broker.poll().is_never());
        clock.advance(365 * 24h);
        broker.poll();
        CHECK_FALSE(flow.done());
        REQUIRE(q.publish("a"));
        CHECK(got.body == "a");
    }
    CHECK(calls <= 1);
}

TEST_CASE_FIXTURE(Plain, "served in time, its timeout is forgotten [8] [7.4]") {
    Got got;
    const Flow flow = fetch_one_for(q, inline_executor(), 5s, got);
    REQUIRE(q.publish("a"));
    CHECK(got.body == "a");
    CHECK(broker.poll().is_never());
    clock.advance(5s);
    broker.poll();
    CHECK(calls == 1);
}

TEST_CASE_FIXTURE(Plain, "timeouts and messages come in the order of their instants [4.3]") {
    Got early;
    Got late;
    const Flow one = fetch_one_for(q, inline_executor(), 3s, early);
    const Flow two = fetch_one_for(q, inline_executor(), 5s, late);
    REQUIRE(q.publish("a", {.delay = 4s}));
    CHECK(broker.poll() == Instant{3s});
    clock.advance(10s);
    broker.poll();
    CHECK(early.error == Errc::timed_out);
    CHECK(late.error == Errc{});
    CHECK(late.body == "a");
}

TEST_CASE_FIXTURE(Plain, "many timeouts, in whatever order they were asked for [4.3] [7.4]") {
    constexpr int many = 50;
    std::vector<Got> got(many);
    std::vector<Flow> flows;
    for (int i = 0; i < many; ++i) {
        const Duration length = 1s * (1 + i * 37 % many);
        flows.push_back(
            fetch_one_for(q, inline_executor(), length, got[static_cast<std::size_t>(i)]));
    }
    for (int second = 1; second <= many; ++second) {
        CHECK(broker.poll() == Instant{1s * second});
        clock.advance(1s);
        broker.poll();
        int over = 0;
        for (const Got& one : got) { over += one.over ? 1 : 0; }
        CHECK(over == second);
    }
    CHECK(broker.poll().is_never());
}

TEST_CASE_FIXTURE(Watched, "a thread that sleeps in a call rings for coroutines, too [4.9]") {
    Got got;
    const Flow flow = fetch_one_for(q, loop.executor(), 5s, got);
    std::thread sleeper{[&] { static_cast<void>(broker.queue("other").fetch()); }};
    WatchedThreads::until_asleep(1);
    clock.advance(5s);
    while (loop.size() == 0) { std::this_thread::yield(); }
    loop.run();
    CHECK(got.error == Errc::timed_out);
    broker.close();
    sleeper.join();
}

TEST_CASE_FIXTURE(Watched, "a timeout earlier than that of who sleeps is rung in time [4.9]") {
    std::thread sleeper{[&] { static_cast<void>(broker.queue("other").fetch_for(1h)); }};
    WatchedThreads::until_asleep(1);
    Got got;
    const Flow flow = fetch_one_for(q, loop.executor(), 5s, got);
    clock.advance(5s);
    while (loop.size() == 0) { std::this_thread::yield(); }
    loop.run();
    CHECK(got.error == Errc::timed_out);
    broker.close();
    sleeper.join();
}

// --- stop ------------------------------------------------------------------------------------

TEST_CASE_FIXTURE(Plain, "a stop before comes before a message [7.7] [misuse 27]") {
    std::stop_source stop;
    stop.request_stop();
    REQUIRE(q.publish("a"));
    Got got;
    const Flow flow = fetch_one(q, inline_executor(), got, stop.get_token());
    CHECK(flow.done());
    CHECK(calls == 0);
    CHECK(got.error == Errc::cancelled);
    check_untouched("a");
}

TEST_CASE_FIXTURE(Plain, "a stop while it waits ends the wait, and takes nothing [misuse 27]") {
    std::stop_source stop;
    Got first;
    Got second;
    const Flow one = fetch_one(q, inline_executor(), first, stop.get_token());
    const Flow two = fetch_one(q, inline_executor(), second);
    stop.request_stop();
    CHECK(first.error == Errc::cancelled);
    CHECK(calls == 1);
    CHECK_FALSE(two.done());
    REQUIRE(q.publish("a"));
    CHECK(second.body == "a");
    CHECK(second.attempt == 1);
}

TEST_CASE_FIXTURE(Plain, "a stop in the middle of a hand-over loses no message [misuse 27]") {
    std::stop_source stop;
    Got first;
    Got second;
    const Flow one = fetch_one(q, loop.executor(), first, stop.get_token());
    const Flow two = fetch_one(q, loop.executor(), second);
    REQUIRE(q.publish("a"));
    stop.request_stop();
    loop.run();
    REQUIRE(first.over);
    if (first.error == Errc::cancelled) {
        CHECK(second.body == "a");
        CHECK(second.attempt == 1);
    } else {
        CHECK(first.body == "a");
        CHECK_FALSE(second.over);
    }
    CHECK(q.stats().completed == 1);
    CHECK(q.stats().delivered == 1);
}

TEST_CASE_FIXTURE(Plain, "a stop after the end does nothing [misuse 27]") {
    std::stop_source stop;
    Got got;
    std::optional<Flow> flow = fetch_one(q, inline_executor(), got, stop.get_token());
    REQUIRE(q.publish("a"));
    CHECK(got.body == "a");
    flow.reset();
    stop.request_stop();
    CHECK(calls == 1);
}

TEST_CASE_FIXTURE(Plain, "the token of a lease may end another wait [7.7]") {
    REQUIRE(q.publish("a"));
    auto held = q.try_fetch();
    const auto other = broker.queue("other");
    Got got;
    const Flow flow = fetch_one(other, inline_executor(), got, held->lease_token());
    SUBCASE("settled") { CHECK(held->ack()); }
    SUBCASE("ran out") {
        clock.advance(10s);
        broker.poll();
    }
    CHECK(got.error == Errc::cancelled);
}

// --- ends ------------------------------------------------------------------------------------

TEST_CASE_FIXTURE(Plain, "destroyed while it waits, it has left the line [misuse 26]") {
    Got first;
    Got second;
    std::optional<Flow> one = fetch_one(q, inline_executor(), first);
    const Flow two = fetch_one(q, inline_executor(), second);
    one.reset();
    REQUIRE(q.publish("a"));
    CHECK_FALSE(first.over);
    CHECK(second.body == "a");
    CHECK(calls == 1);
}

TEST_CASE_FIXTURE(Plain, "destroyed while it waits for a time, nothing is due any more [7.4]") {
    Got got;
    std::optional<Flow> flow = fetch_one_for(q, inline_executor(), 5s, got);
    CHECK(broker.poll() == Instant{5s});
    flow.reset();
    clock.advance(4s);
    REQUIRE(q.publish("a"));
    check_untouched("a");
    CHECK(broker.poll().is_never());
    clock.advance(1h);
    broker.poll();
    CHECK_FALSE(got.over);
    CHECK(calls == 0);
}

TEST_CASE_FIXTURE(Plain,
                  "destroyed in the middle of a hand-over, the message is back [misuse 26]") {
    Got first;
    Got second;
    std::optional<Flow> one = fetch_one(q, loop.executor(), first);
    SUBCASE("nobody else waits") {
        REQUIRE(q.publish("a"));
        one.reset();
        CHECK(q.stats().ready == 1);
        CHECK(q.stats().delivered == 0);
        CHECK(q.stats().abandoned == 0);
        // What was posted finds nobody.
        loop.run();
        CHECK_FALSE(first.over);
        check_untouched("a");
    }
    SUBCASE("at its old place") {
        std::vector<std::string> both = {"a", "b"};
        REQUIRE(q.publish_batch(both));
        one.reset();
        CHECK(support::work_off_text(q) == "ab");
        loop.run();
    }
    SUBCASE("another waits: the wake is handed on") {
        const Flow two = fetch_one(q, loop.executor(), second);
        REQUIRE(q.publish("a"));
        one.reset();
        loop.run();
        CHECK_FALSE(first.over);
        CHECK(second.body == "a");
        CHECK(second.attempt == 1);
    }
    SUBCASE("after its lease ran out") {
        REQUIRE(q.publish("a"));
        clock.advance(10s);
        broker.poll();
        one.reset();
        loop.run();
        CHECK(support::work_off_text(q) == "a");
    }
    SUBCASE("after the queue is gone") {
        REQUIRE(q.publish("a"));
        broker.close();
        one.reset();
        loop.run();
        CHECK_FALSE(first.over);
    }
}

struct Destroys {
    std::optional<Flow>* flow;
    template <class Resume> void operator()(Resume resume) const {
        flow->reset();
        resume();
    }
};

TEST_CASE_FIXTURE(Plain, "an executor may destroy the coroutine it was to resume [misuse 26]") {
    Got got;
    std::optional<Flow> flow;
    flow = fetch_one(q, Destroys{&flow}, got);
    REQUIRE(q.publish("a"));
    CHECK_FALSE(flow);
    CHECK_FALSE(got.over);
    check_untouched("a");
}

template <class Queue>
Flow fetch_then(const Queue& from, Inline executor, std::function<void()> act) {
    auto delivery = co_await async_fetch(from, executor);
    if (delivery) { delivery->ack(); }
    act();
}

TEST_CASE_FIXTURE(Plain, "one resumed may destroy others that were served with it [misuse 26]") {
    std::optional<Flow> others[3];
    Got got[3];
    const Flow first = fetch_then(q, inline_executor(), [&] {
        for (auto& other : others) { other.reset(); }
    });
    for (int i = 0; i < 3; ++i) {
        others[i] = i == 1 ? fetch_one(q, loop.executor(), got[i])
                           : fetch_one(q, inline_executor(), got[i]);
    }
    std::vector<std::string> batch = {"a", "b", "c"};
    REQUIRE(q.publish_batch(batch));
    loop.run();
    int over = 0;
    for (const Got& one : got) { over += one.over ? 1 : 0; }
    CHECK(first.done());
    CHECK(q.stats().completed == 1 + static_cast<std::uint64_t>(over));
    CHECK(q.stats().leased == 0);
    CHECK(q.stats().ready == 2 - static_cast<std::uint64_t>(over));
}

TEST_CASE_FIXTURE(Plain, "one resumed may close the broker, others then are closed [7.5]") {
    const Flow first = fetch_then(q, inline_executor(), [&] { broker.close(); });
    Got got[2];
    const Flow one = fetch_one(q, inline_executor(), got[0]);
    const Flow two = fetch_one_for(q, loop.executor(), 1h, got[1]);
    REQUIRE(q.publish("a"));
    loop.run();
    CHECK(first.done());
    for (const Got& one_got : got) { CHECK(one_got.error == Errc::closed); }
}

TEST_CASE_FIXTURE(Plain, "what ends the line ends all who wait in it [7.5] [misuse 26]") {
    const auto gone = broker.queue("gone");
    auto subscription = broker.subscribe("s");
    const latchbox::Consumer<std::string>* from = &gone;
    std::function<void()> act;
    SUBCASE("close") {
        act = [&] { broker.close(); };
    }
    SUBCASE("drain") {
        act = [&] { broker.drain(1h); };
    }
    SUBCASE("remove") {
        act = [&] { CHECK(broker.remove("gone")); };
    }
    SUBCASE("unsubscribe") {
        from = &subscription;
        act = [&] { subscription.unsubscribe(); };
    }
    Got got[3];
    const Flow one = fetch_one(*from, inline_executor(), got[0]);
    const Flow two = fetch_one_for(*from, inline_executor(), 1h, got[1]);
    const Flow three = fetch_one(*from, loop.executor(), got[2]);
    act();
    CHECK(loop.run() == 1);
    for (const Got& one_got : got) { CHECK(one_got.error == Errc::closed); }
    CHECK(calls == 2);
    Got late;
    const Flow four = fetch_one(*from, inline_executor(), late);
    CHECK(late.error == Errc::closed);
    CHECK(calls == 2);
}

TEST_CASE("a broker may go while coroutines wait, and they may go after it [misuse 30] [4.8]") {
    latchbox::ManualClock clock;
    std::optional<latchbox::Broker<std::string>> broker{std::in_place,
                                                        latchbox::BrokerOptions{.clock = &clock}};
    const auto q = broker->queue("q");
    Loop loop;
    int calls = 0;
    Got got[3];
    const Flow one = fetch_one(q, Inline{&calls}, got[0]);
    std::optional<Flow> two = fetch_one(q, loop.executor(), got[1]);
    std::optional<Flow> three = fetch_one_for(q, loop.executor(), 1h, got[2]);
    broker.reset();
    CHECK(got[0].error == Errc::closed);
    two.reset();
    loop.run();
    CHECK_FALSE(got[1].over);
    CHECK(got[2].error == Errc::closed);
    three.reset();
    clock.advance(1h);
}

TEST_CASE_FIXTURE(Plain, "a coroutine that waits keeps its queue, not its handle [4.8]") {
    Got got;
    std::optional<latchbox::Queue<std::string>> handle = broker.queue("own");
    std::optional<Flow> flow =
        fetch_one(latchbox::Queue<std::string>{*handle}, loop.executor(), got);
    REQUIRE(handle->publish("a"));
    handle.reset();
    loop.run();
    CHECK(got.body == "a");
}

TEST_CASE_FIXTURE(Plain, "a removed queue hands nothing over any more [6.7]") {
    const auto gone = broker.queue("gone");
    Got got;
    const Flow flow = fetch_one(gone, loop.executor(), got);
    REQUIRE(gone.publish("a"));
    REQUIRE(broker.remove("gone"));
    loop.run();
    CHECK(got.over);
    CHECK(got.error == Errc::closed);
    CHECK(gone.stats().held() == 0);
    CHECK(support::conserved(gone.stats()));
}

// --- latches ---------------------------------------------------------------------------------

struct Told {
    std::optional<LatchState> state;
    Errc error = Errc{};
    bool over = false;

    void note(const latchbox::Result<LatchState>& result) {
        if (result) { state = *result; }
        error = error_of(result);
        over = true;
    }
};
template <class Latch, class Executor>
Flow wait_one(const Latch& latch, Executor executor, Told& told, Stop stop = {}) {
    const auto result = co_await async_wait(latch, executor, stop);
    told.note(result);
}
template <class Latch, class Executor>
Flow wait_one_for(const Latch& latch, Executor executor, Duration length, Told& told,
                  Stop stop = {}) {
    const auto result = co_await async_wait_for(latch, executor, length, stop);
    told.note(result);
}

TEST_CASE_FIXTURE(Plain, "a coroutine waits for what becomes of a message [5.8] [8]") {
    const auto id = q.publish("a");
    const auto latch = broker.latch(*id);
    auto held = q.try_fetch();
    Told told;
    Told posted;
    const Flow flow = wait_one(latch, inline_executor(), told);
    const Flow other = wait_one_for(latch, loop.executor(), 1h, posted);
    CHECK_FALSE(flow.done());
    LatchState expected = LatchState::completed;
    SUBCASE("acked") { CHECK(held->ack()); }
    SUBCASE("rejected") {
        expected = LatchState::dead;
        CHECK(held->reject());
    }
    SUBCASE("cancelled") {
        expected = LatchState::failed;
        CHECK(held->release());
        CHECK(q.cancel(*id));
    }
    CHECK(told.state == expected);
    CHECK(calls == 1);
    CHECK_FALSE(posted.over);
    CHECK(loop.run() == 1);
    CHECK(posted.state == expected);
    Told late;
    const Flow again = wait_one(latch, inline_executor(), late);
    CHECK(late.state == expected);
    CHECK(calls == 1);
}

TEST_CASE_FIXTURE(Plain, "a coroutine waits for a gate [5.8] [8]") {
    auto gate = std::make_optional(broker.gate(2));
    const auto latch = broker.latch(gate->id());
    Told told;
    const Flow flow = wait_one(latch, inline_executor(), told);
    CHECK(gate->count_down());
    CHECK_FALSE(told.over);
    LatchState expected = LatchState::failed;
    SUBCASE("opened") {
        CHECK(gate->count_down());
        expected = LatchState::completed;
    }
    SUBCASE("failed") { CHECK(gate->fail("no")); }
    SUBCASE("given up") { gate.reset(); }
    CHECK(told.state == expected);
}

TEST_CASE_FIXTURE(Plain, "a wait for a latch ends as any wait [5.8] [7.7] [misuse 38]") {
    const auto id = q.publish("a");
    const auto latch = broker.latch(*id);
    std::stop_source stop;
    Told told;
    SUBCASE("in time") {
        const Flow flow = wait_one_for(latch, inline_executor(), 5s, told);
        CHECK(broker.poll() == Instant{5s});
        clock.advance(5s - 1ns);
        broker.poll();
        CHECK_FALSE(told.over);
        clock.advance(1ns);
        broker.poll();
        CHECK(told.error == Errc::timed_out);
    }
    SUBCASE("of no time") {
        const Flow flow = wait_one_for(latch, inline_executor(), 0s, told);
        CHECK(flow.done());
        CHECK(told.error == Errc::timed_out);
    }
    SUBCASE("of negative time") {
        const Flow flow = wait_one_for(latch, inline_executor(), -1s, told);
        CHECK(told.error == Errc::invalid_option);
    }
    SUBCASE("stopped") {
        const Flow flow = wait_one(latch, inline_executor(), told, stop.get_token());
        CHECK_FALSE(told.over);
        stop.request_stop();
        CHECK(told.error == Errc::cancelled);
    }
    SUBCASE("stopped before") {
        stop.request_stop();
        const Flow flow = wait_one(latch, inline_executor(), told, stop.get_token());
        CHECK(told.error == Errc::cancelled);
    }
    SUBCASE("closed") {
        const Flow flow = wait_one(latch, inline_executor(), told);
        broker.close();
        CHECK(told.error == Errc::closed);
    }
    SUBCASE("of what was never issued") {
        const Flow flow = wait_one(broker.latch(latchbox::MessageId{}), inline_executor(), told);
        CHECK(told.error == Errc::unknown_message);
    }
    SUBCASE("destroyed") {
        std::optional<Flow> flow = wait_one_for(latch, inline_executor(), 5s, told);
        flow.reset();
        CHECK(broker.poll().is_never());
        REQUIRE(q.pop());
        CHECK_FALSE(told.over);
        REQUIRE(q.publish("b"));
    }
    SUBCASE("destroyed as it was to be resumed") {
        std::optional<Flow> flow = wait_one(latch, loop.executor(), told);
        REQUIRE(q.pop());
        flow.reset();
        loop.run();
        CHECK_FALSE(told.over);
    }
    CHECK(calls <= 1);
}

TEST_CASE_FIXTURE(Watched, "threads and coroutines wait for one latch [5.8] [4.9]") {
    const auto id = q.publish("a");
    const auto latch = broker.latch(*id);
    Errc waited{};
    std::thread thread{[&] { waited = error_of(latch.wait()); }};
    WatchedThreads::until_asleep(1);
    Told told;
    const Flow flow = wait_one(latch, inline_executor(), told);
    REQUIRE(q.pop());
    thread.join();
    CHECK(waited == Errc{});
    CHECK(told.state == LatchState::completed);
}

// --- whatever happens while a wait begins ----------------------------------------------------

// Does something in the middle of a call on the broker, as another thread might: at its n-th look
// at the time. Only then, and only once.
class ActingClock final : public latchbox::Clock {
public:
    Instant now() noexcept override {
        if (left != 0 && --left == 0) {
            acted = true;
            act();
        }
        return Instant{};
    }
    int left = 0;
    bool acted = false;
    std::function<void()> act;
};

struct Meanwhile {
    ActingClock clock;
    latchbox::Broker<std::string> broker{{.clock = &clock}};
    latchbox::Queue<std::string> q = broker.queue("q");
    std::stop_source stop;
    Loop loop;
    int calls = 0;

    ~Meanwhile() {
        clock.left = 0;
        support::check_sound(q);
    }
    // From now on, the n-th look at the time does this.
    void at(int n, std::function<void()> act) {
        clock.left = n;
        clock.act = std::move(act);
    }
    bool acted() {
        clock.left = 0;
        return clock.acted;
    }
};

TEST_CASE("a stop at any moment of the beginning ends a fetch [7.7] [misuse 27]") {
    int reached = 0;
    for (int n = 1; n <= 12; ++n) {
        CAPTURE(n);
        Meanwhile world;
        Got got;
        world.at(n, [&] { world.stop.request_stop(); });
        const Flow flow =
            fetch_one_for(world.q, Inline{&world.calls}, 1h, got, world.stop.get_token());
        if (!world.acted()) { break; }
        ++reached;
        CHECK(flow.done());
        CHECK(got.error == Errc::cancelled);
    }
    CHECK(reached > 0);
}

TEST_CASE("a stop at any moment of the beginning ends a wait for a latch [7.7] [misuse 27]") {
    int reached = 0;
    for (int n = 1; n <= 12; ++n) {
        CAPTURE(n);
        Meanwhile world;
        Told told;
        const auto id = world.q.publish("a");
        const auto latch = world.broker.latch(*id);
        world.at(n, [&] { world.stop.request_stop(); });
        const Flow flow =
            wait_one_for(latch, Inline{&world.calls}, 1h, told, world.stop.get_token());
        if (!world.acted()) { break; }
        ++reached;
        CHECK(flow.done());
        CHECK(told.error == Errc::cancelled);
    }
    CHECK(reached > 0);
}

TEST_CASE("a message, an end or a close at any moment of the beginning is noticed [4.9] [7.5]") {
    enum class What { publish, close, remove };
    for (const What what : {What::publish, What::close, What::remove}) {
        int reached = 0;
        for (int n = 1; n <= 12; ++n) {
            CAPTURE(n);
            Meanwhile world;
            Got got;
            world.at(n, [&] {
                if (what == What::publish) { static_cast<void>(world.q.publish("a")); }
                if (what == What::close) { static_cast<void>(world.broker.close()); }
                if (what == What::remove) { static_cast<void>(world.broker.remove("q")); }
            });
            const Flow flow = fetch_one(world.q, Inline{&world.calls}, got);
            if (!world.acted()) { break; }
            ++reached;
            CHECK(flow.done());
            CHECK(got.error == (what == What::publish ? Errc{} : Errc::closed));
        }
        CHECK(reached > 0);
    }
}

TEST_CASE("what becomes of a message at any moment of the beginning is noticed [5.8] [7.5]") {
    for (const bool close : {false, true}) {
        int reached = 0;
        for (int n = 1; n <= 12; ++n) {
            CAPTURE(n);
            Meanwhile world;
            Told told;
            const auto id = world.q.publish("a");
            const auto latch = world.broker.latch(*id);
            world.at(n, [&] {
                if (close) {
                    static_cast<void>(world.broker.close());
                } else {
                    static_cast<void>(world.q.pop());
                }
            });
            const Flow flow = wait_one(latch, Inline{&world.calls}, told);
            if (!world.acted()) { break; }
            ++reached;
            CHECK(flow.done());
            if (close) {
                CHECK(told.error == Errc::closed);
            } else {
                CHECK(told.state == LatchState::completed);
            }
        }
        CHECK(reached > 0);
    }
}

TEST_CASE("a stop at any moment of a hand-over loses no message [misuse 27] [4.1]") {
    int reached = 0;
    for (int n = 1; n <= 20; ++n) {
        CAPTURE(n);
        Meanwhile world;
        Got got;
        const Flow flow =
            fetch_one_for(world.q, world.loop.executor(), 1h, got, world.stop.get_token());
        world.at(n, [&] { world.stop.request_stop(); });
        REQUIRE(world.q.publish("a"));
        world.loop.run();
        if (!world.acted()) {
            CHECK(got.body == "a");
            break;
        }
        ++reached;
        REQUIRE(got.over);
        CHECK((got.error == Errc{} || got.error == Errc::cancelled));
        CHECK(world.q.stats().leased == 0);
        CHECK(world.q.stats().ready == (got.error == Errc{} ? 0 : 1));
    }
    CHECK(reached > 0);
}

TEST_CASE("destroyed at any moment of a hand-over, it takes no message with it [misuse 26]") {
    int reached = 0;
    for (int n = 1; n <= 20; ++n) {
        CAPTURE(n);
        Meanwhile world;
        Got got;
        std::optional<Flow> flow = fetch_one_for(world.q, world.loop.executor(), 1h, got);
        world.at(n, [&] { flow.reset(); });
        REQUIRE(world.q.publish("a"));
        const bool acted = world.acted();
        if (!acted) { flow.reset(); }
        world.loop.run();
        CHECK_FALSE(got.over);
        CHECK(world.q.stats().ready == 1);
        CHECK(world.q.try_fetch()->attempt() == 1);
        if (!acted) { break; }
        ++reached;
    }
    CHECK(reached > 0);
}

// --- platforms and threads -------------------------------------------------------------------

template <class Consumer>
Flow count_up(const Consumer& from, Inline executor, int& sum, Errc& why) {
    for (;;) {
        auto delivery = co_await async_fetch_for(from, executor, 10s);
        if (!delivery) {
            why = delivery.error();
            co_return;
        }
        sum += delivery->body();
        delivery->ack();
    }
}
template <class Latch> Flow wait_alone(const Latch& latch, Inline executor, Told& told) {
    const auto result = co_await async_wait(latch, executor);
    told.note(result);
}

TEST_CASE("coroutines wait where nothing else can: on a platform of one thread [8]") {
    latchbox::ManualClock clock;
    latchbox::Broker<int, latchbox::SingleThread> broker{{.clock = &clock}};
    const auto q = broker.queue("q");
    int calls = 0;
    int sum = 0;
    Errc why{};
    const Flow flow = count_up(q, Inline{&calls}, sum, why);
    std::optional<Flow> leaves = count_up(q, Inline{&calls}, sum, why);
    const auto id = q.publish(1, {.delay = 2s});
    Told told;
    const Flow waits = wait_alone(broker.latch(*id), Inline{&calls}, told);
    REQUIRE(q.publish(10));
    leaves.reset();
    CHECK(broker.poll() == Instant{2s});
    clock.advance(2s);
    broker.poll();
    CHECK(sum == 11);
    CHECK(told.state == LatchState::completed);
    clock.advance(10s);
    broker.poll();
    CHECK(why == Errc::timed_out);
    CHECK(flow.done());
    support::check_sound(q);
}

template <class Queue, class Executor>
Flow gather(const Queue& from, Executor executor, std::vector<std::atomic<int>>& times,
            std::atomic<int>& ended) {
    for (;;) {
        auto delivery = co_await async_fetch(from, executor);
        if (!delivery) {
            ++ended;
            co_return;
        }
        ++times[static_cast<std::size_t>(delivery->body())];
        delivery->ack();
    }
}

TEST_CASE("three coroutines on two threads share a queue, each message is one's [4.2] [8]") {
    constexpr int messages = 3'000;
    latchbox::Broker<int> broker;
    const auto q = broker.queue("q", {.lease = 1h});
    Loop loop;
    std::vector<std::atomic<int>> times(messages);
    std::atomic<int> ended{0};
    std::vector<Flow> flows;
    for (int i = 0; i < 3; ++i) { flows.push_back(gather(q, loop.executor(), times, ended)); }
    std::vector<std::thread> threads;
    for (int i = 0; i < 2; ++i) {
        threads.emplace_back([&] {
            while (ended < 3) {
                if (loop.run() == 0) { std::this_thread::yield(); }
            }
        });
    }
    for (int n = 0; n < messages; ++n) { REQUIRE(q.publish(n)); }
    while (q.stats().completed != messages) { std::this_thread::yield(); }
    broker.close();
    for (std::thread& thread : threads) { thread.join(); }
    bool once = true;
    for (const auto& count : times) { once = once && count == 1; }
    CHECK(once);
    support::check_sound(q);
}

TEST_CASE("a stop, a message and a timeout at once end a wait once [misuse 27] [4.1]") {
    latchbox::ManualClock clock;
    latchbox::Broker<std::string> broker{{.clock = &clock}};
    const auto q = broker.queue("q", {.lease = 1h});
    constexpr int rounds = 500;
    for (int round = 0; round < rounds; ++round) {
        Loop loop;
        std::stop_source stop;
        Got got;
        const Flow flow = fetch_one_for(q, loop.executor(), 1s, got, stop.get_token());
        std::atomic<int> ready{0};
        const auto meet = [&] {
            ++ready;
            while (ready < 3) { std::this_thread::yield(); }
        };
        std::thread publisher{[&] {
            meet();
            static_cast<void>(q.publish("a"));
        }};
        std::thread stopper{[&] {
            meet();
            stop.request_stop();
        }};
        meet();
        clock.advance(1s);
        broker.poll();
        publisher.join();
        stopper.join();
        REQUIRE(loop.run() == 1);
        REQUIRE(got.over);
        // Who did not get it has left it as it was.
        const auto stats = q.stats();
        REQUIRE(stats.leased == 0);
        REQUIRE(stats.ready == (got.error == Errc{} ? 0 : 1));
        if (stats.ready == 1) {
            auto delivery = q.try_fetch();
            REQUIRE(delivery->attempt() == 1);
            delivery->ack();
        }
    }
    CHECK(q.stats().completed == rounds);
    support::check_sound(q);
}

TEST_CASE("destroyed beside a publish, a coroutine takes nothing with it [misuse 26] [4.1]") {
    latchbox::Broker<std::string> broker;
    const auto q = broker.queue("q", {.lease = 1h});
    for (int round = 0; round < 500; ++round) {
        Loop loop;
        Got got;
        std::optional<Flow> flow = fetch_one(q, loop.executor(), got);
        std::atomic<int> ready{0};
        std::thread publisher{[&] {
            ++ready;
            while (ready < 2) { std::this_thread::yield(); }
            static_cast<void>(q.publish("a"));
        }};
        ++ready;
        while (ready < 2) { std::this_thread::yield(); }
        flow.reset();
        publisher.join();
        loop.run();
        REQUIRE_FALSE(got.over);
        auto delivery = q.try_fetch();
        REQUIRE(delivery);
        REQUIRE(delivery->attempt() == 1);
        delivery->ack();
    }
    support::check_sound(q);
}

TEST_CASE("any number of timeouts at one instant end in their order, on a small stack [4.3] [8]") {
    latchbox::ManualClock clock;
    latchbox::Broker<std::string> broker{{.clock = &clock}};
    const auto q = broker.queue("q");
    std::vector<int> ended;
    int calls = 0;
    const auto wait = [&](int number) -> Flow {
        const auto delivery = co_await async_fetch_for(q, Inline{&calls}, 1s);
        if (delivery == Errc::timed_out) { ended.push_back(number); }
        broker.poll();  // may find others to be due
    };
    constexpr int many = 50'000;
    std::vector<Flow> flows;
    for (int i = 0; i < many; ++i) { flows.push_back(wait(i)); }
    clock.advance(2s);
    CHECK(broker.poll() == Instant::never());
    REQUIRE(ended.size() == many);
    CHECK(std::is_sorted(ended.begin(), ended.end()));
    CHECK(calls == many);
}

TEST_CASE("coroutines go on in the order in which they were served [4.9] [8]") {
    latchbox::Broker<std::string> broker;
    const auto q = broker.queue("q");
    Loop loop;
    std::string got;
    const auto fetch = [&]() -> Flow {
        const auto delivery = co_await async_fetch(q, loop.executor());
        got += delivery->body();
    };
    const Flow flows[] = {fetch(), fetch(), fetch()};
    std::vector<std::string> batch{"1", "2", "3"};
    REQUIRE(q.publish_batch(batch));
    CHECK(loop.run() == 3);
    CHECK(got == "123");
}

}  // namespace
