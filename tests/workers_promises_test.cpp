// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <system_error>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"
#include "latchbox/workers.hpp"

#include "support/message_kinds.hpp"
#include "support/sound.hpp"
#include "support/watched_threads.hpp"

// Handlers, called by threads that fetch for them: what they may be, may do and may throw, and how
// they end. Nothing sleeps; whoever has to wait for a worker looks until it has come that far.
namespace {

using namespace std::chrono_literals;
using latchbox::Cause;
using latchbox::Duration;
using latchbox::Errc;
using latchbox::LatchState;
using latchbox::OnLeaseLost;
using latchbox::Overflow;
using latchbox::QueueStats;
using latchbox::WorkersStats;
using support::error_of;
using support::WatchedThreads;

template <class Reached> void until(Reached&& reached) {
    while (!reached()) { std::this_thread::yield(); }
}

template <class Platform, class Msg = std::string> struct Working {
    using Broker = latchbox::Broker<Msg, Platform>;
    using Queue = latchbox::Queue<Msg, Platform>;
    using Delivery = latchbox::Delivery<Msg, Platform>;
    using Workers = latchbox::Workers<Msg, Platform>;

    latchbox::ManualClock clock;
    Broker broker{{.clock = &clock}};
    Queue q = broker.queue("q", {.lease = 10s});
    Queue mortal = broker.queue("mortal", {.lease = 10s, .max_failures = 1});

    ~Working() {
        support::check_sound(q);
        support::check_sound(mortal);
        CHECK(support::conserved(broker.stats().messages));
    }
    void until_completed(std::uint64_t count) {
        until([&] { return q.stats().completed == count; });
    }
    // The one dead letter's text.
    std::string reason_of_death() {
        std::string text;
        until([&] { return mortal.stats().dead == 1; });
        mortal.dead_letters().for_each([&](const auto& letter) {
            text = letter.reason().text();
            CHECK(letter.reason().cause() == Cause::failed);
            CHECK(letter.failures() == 1);
        });
        return text;
    }
};
using Plain = Working<latchbox::Threads>;
using Watched = Working<WatchedThreads>;
using TextDelivery = latchbox::Delivery<std::string>;
using Token = latchbox::Threads::StopToken;

// --- what a handler may be -------------------------------------------------------------------

TEST_CASE_FIXTURE(Plain, "workers take any consumer, and their type knows no handler [8]") {
    const auto subscription = broker.subscribe("s");
    const latchbox::Consumer<std::string> consumer = q;
    const auto handler = [](const std::string&) {};
    latchbox::Workers of_queue{q, {}, handler};
    latchbox::Workers of_subscription{subscription, {.threads = 2}, handler};
    latchbox::Workers of_consumer{consumer, {.threads = 1, .batch = 3}, [](TextDelivery&) {}};
    static_assert(std::is_same_v<decltype(of_queue), latchbox::Workers<std::string>>);
    static_assert(std::is_same_v<decltype(of_subscription), latchbox::Workers<std::string>>);
    static_assert(std::is_same_v<decltype(of_consumer), latchbox::Workers<std::string>>);
    static_assert(!std::is_copy_constructible_v<latchbox::Workers<std::string>>);
    static_assert(std::is_move_constructible_v<latchbox::Workers<std::string>>);
    REQUIRE(q.publish("a"));
    REQUIRE(broker.topic("s").publish("b"));
    until_completed(1);
    until([&] { return subscription.stats().completed == 1; });
}

void free_handler(const std::string&) {}

TEST_CASE_FIXTURE(Plain,
                  "a handler takes a delivery or a body, and a token if it likes [8] [7.7]") {
    std::atomic<int> calls{0};
    const auto run = [&](auto handler) {
        const std::uint64_t done = q.stats().completed;
        latchbox::Workers workers{q, {}, std::move(handler)};
        REQUIRE(q.publish("a"));
        until_completed(done + 1);
    };
    run([&](TextDelivery&) { ++calls; });
    run([&](TextDelivery&) { return ++calls > 0; });
    run([&](const std::string&) { ++calls; });
    run([&](const std::string&) { return ++calls > 0; });
    run([&](TextDelivery&, Token) { ++calls; });
    run([&](TextDelivery& delivery, Token token) {
        CHECK(delivery.lease_token() == token);
        return ++calls > 0;
    });
    run([&](const std::string&, Token token) { calls += token.stop_requested() ? 100 : 1; });
    run([&](const std::string&, const Token& token) {
        return (calls += token.stop_requested() ? 100 : 1) > 0;
    });
    CHECK(calls == 8);
    run(&free_handler);
    run([&calls, alone = std::make_unique<int>(1)](const std::string&) { calls += *alone; });
    run([&calls, counted = 0](const std::string&) mutable { calls += ++counted; });
    run(std::function<void(const std::string&)>{[&](const std::string&) { ++calls; }});
    CHECK(calls == 11);
}

TEST_CASE("workers carry any kind of message [8] [4.11]") {
    const auto run = [](auto kind) {
        using Msg = typename decltype(kind)::type;
        Working<latchbox::Threads, Msg> working;
        std::atomic<int> seen{0};
        latchbox::Workers workers{working.q, {.threads = 2, .batch = 2}, [&](const Msg& message) {
                                      seen += support::Kind<Msg>::number(message);
                                  }};
        for (int n = 1; n <= 4; ++n) { REQUIRE(working.q.publish(support::Kind<Msg>::make(n))); }
        working.until_completed(4);
        CHECK(seen == 10);
    };
    run(std::type_identity<int>{});
    run(std::type_identity<support::MoveOnly>{});
    run(std::type_identity<support::CopyOnly>{});
    run(std::type_identity<support::SelfReferential>{});
}

// --- outcomes --------------------------------------------------------------------------------

TEST_CASE_FIXTURE(Plain, "true and nothing ack, false fails and says so [8]") {
    std::atomic<int> calls{0};
    latchbox::Workers workers{mortal, {}, [&](const std::string& body) {
                                  ++calls;
                                  return body != "bad";
                              }};
    REQUIRE(mortal.publish("good"));
    REQUIRE(mortal.publish("bad"));
    CHECK(reason_of_death() == "handler returned false");
    CHECK(mortal.stats().completed == 1);
    CHECK(calls == 2);
    workers.stop();
    const WorkersStats stats = workers.stats();
    CHECK(stats.handled == 2);
    CHECK(stats.failed == 1);
    CHECK(stats.lost == 0);
}

struct OddProblem : std::exception {
    [[nodiscard]] const char* what() const noexcept override { return "odd"; }
};
struct Far : virtual std::runtime_error {
    Far() : std::runtime_error{"far"} {}
};
struct Aside {
    virtual ~Aside() = default;
    int number = 0;
};
struct Both : Aside, Far {
    Both() : std::runtime_error{"both"} {}
};
struct NoException {
    std::string text;
};

TEST_CASE_FIXTURE(Plain, "whatever a handler throws fails the message with its text [misuse 21]") {
    std::function<void()> thrower;
    std::string expected;
    SUBCASE("runtime_error") {
        thrower = [] { throw std::runtime_error{"it went wrong"}; };
        expected = "it went wrong";
    }
    SUBCASE("long texts are cut") {
        thrower = [] { throw std::logic_error{std::string(1'000, 'x')}; };
        expected = std::string(47, 'x');
    }
    SUBCASE("an empty text") {
        thrower = [] { throw std::runtime_error{""}; };
    }
    SUBCASE("one's own exception") {
        thrower = [] { throw OddProblem{}; };
        expected = "odd";
    }
    SUBCASE("one with several bases") {
        thrower = [] { throw Both{}; };
        expected = "both";
    }
    SUBCASE("no memory") {
        thrower = [] { throw std::bad_alloc{}; };
        expected = std::bad_alloc{}.what();
    }
    SUBCASE("the library's own") {
        thrower = [this] { static_cast<void>(broker.queue("")); };
        try {
            thrower();
        } catch (const std::invalid_argument& refusal) { expected = refusal.what(); }
        expected.resize(expected.size() < 47 ? expected.size() : 47);
    }
    SUBCASE("a number") {
        thrower = [] { throw 7; };
        expected = "unknown exception";
    }
    SUBCASE("a null pointer") {
        thrower = [] { throw nullptr; };
        expected = "unknown exception";
    }
    SUBCASE("a text") {
        thrower = [] { throw "text"; };
        expected = "unknown exception";
    }
    SUBCASE("a class of its own") {
        thrower = [] { throw NoException{"text"}; };
        expected = "unknown exception";
    }
    latchbox::Workers workers{mortal, {}, [&](const std::string& body) {
                                  if (body == "bad") { thrower(); }
                              }};
    REQUIRE(mortal.publish("bad"));
    CHECK(reason_of_death() == expected);
    // The same worker handles the next.
    REQUIRE(mortal.publish("good"));
    until([&] { return mortal.stats().completed == 1; });
    workers.stop();
    CHECK(workers.stats().failed == 1);
    CHECK(workers.stats().handled == 2);
    CHECK(mortal.stats().failed == 1);
}

TEST_CASE_FIXTURE(Plain, "what a handler settled itself is left as it is [8]") {
    const auto other = broker.queue("other");
    std::optional<latchbox::Receipt> receipt;
    std::optional<TextDelivery> kept;
    std::function<void(TextDelivery&)> act;
    QueueStats expected;
    bool fails = false;
    SUBCASE("ack") {
        act = [](TextDelivery& d) { CHECK(d.ack()); };
        expected.completed = 1;
    }
    SUBCASE("ack, then false") {
        act = [](TextDelivery& d) { CHECK(d.ack()); };
        expected.completed = 1;
        fails = true;
    }
    SUBCASE("ack, then an exception") {
        act = [](TextDelivery& d) {
            CHECK(d.ack());
            throw std::runtime_error{"late"};
        };
        expected.completed = 1;
    }
    SUBCASE("requeue for later") {
        act = [](TextDelivery& d) { CHECK(d.requeue(1h)); };
        expected.requeued = expected.delayed = 1;
    }
    SUBCASE("reject") {
        act = [](TextDelivery& d) { CHECK(d.reject("never")); };
        expected.rejected = expected.dead = 1;
    }
    SUBCASE("fail") {
        act = [](TextDelivery& d) { CHECK(d.fail("no")); };
        expected.failed = expected.delayed = 1;
    }
    SUBCASE("take") {
        act = [](TextDelivery& d) { CHECK(d.take()); };
        expected.completed = 1;
    }
    SUBCASE("forward") {
        act = [&](TextDelivery& d) { CHECK(d.forward(other)); };
        expected.completed = 1;
    }
    SUBCASE("detach") {
        act = [&](TextDelivery& d) { receipt = std::move(d).detach(); };
        expected.leased = 1;
    }
    SUBCASE("moved away") {
        act = [&](TextDelivery& d) { kept = std::move(d); };
        expected.leased = 1;
    }
    SUBCASE("moved away, then false") {
        act = [&](TextDelivery& d) { kept = std::move(d); };
        expected.leased = 1;
        fails = true;
    }
    SUBCASE("given to a transaction") {
        act = [&](TextDelivery& d) {
            auto transaction = broker.transaction();
            CHECK(transaction.publish(other, "next"));
            CHECK(transaction.ack(std::move(d)));
            CHECK(transaction.commit());
        };
        expected.completed = 1;
    }
    SUBCASE("given to a transaction that is dropped") {
        act = [&](TextDelivery& d) {
            if (d.attempt() > 1) {
                CHECK(d.requeue(1h));
                return;
            }
            auto transaction = broker.transaction();
            CHECK(transaction.ack(std::move(d)));
        };
        expected.released = expected.requeued = expected.delayed = 1;
    }
    std::atomic<int> calls{0};
    const auto want = [&] {
        const QueueStats s = q.stats();
        return s.completed == expected.completed && s.requeued == expected.requeued &&
               s.rejected == expected.rejected && s.failed == expected.failed &&
               s.released == expected.released && s.delayed == expected.delayed &&
               s.dead == expected.dead && s.leased == expected.leased && s.ready == 0;
    };
    REQUIRE(q.publish("a"));
    {
        latchbox::Workers workers{q, {}, [&](TextDelivery& delivery) {
                                      ++calls;
                                      act(delivery);
                                      return !fails;
                                  }};
        until([&] { return calls > 0 && want(); });
    }
    CHECK(want());
    CHECK(q.stats().abandoned == 0);
    if (receipt) { CHECK(q.ack(*receipt)); }
    if (kept) { CHECK(kept->ack()); }
}

TEST_CASE_FIXTURE(Watched, "L12: a failed message waits and comes again, the worker stays [4.6]") {
    const auto a = q.publish("A");
    REQUIRE(q.publish("B"));
    bool thrown = false;
    std::string handled;
    std::uint32_t attempt = 0;
    std::uint32_t failures = 0;
    Workers workers{q, {}, [&](Delivery& delivery) {
                        if (delivery.body() == "A" && !std::exchange(thrown, true)) {
                            throw std::runtime_error{"once"};
                        }
                        handled += delivery.body();
                        attempt = delivery.attempt();
                        failures = delivery.failures();
                    }};
    until_completed(1);
    WatchedThreads::until_asleep(1);
    CHECK(handled == "B");
    CHECK(q.stats().delayed == 1);
    clock.advance(100ms - 1ns);
    broker.poll();
    CHECK(q.stats().delayed == 1);
    clock.advance(1ns);
    until_completed(2);
    workers.stop();
    CHECK(handled == "BA");
    CHECK(attempt == 2);
    CHECK(failures == 1);
    CHECK(broker.latch(*a).state().value() == LatchState::completed);
}

TEST_CASE_FIXTURE(Watched, "L13: a poisonous message dies at its limit, the worker stays [4.5]") {
    const auto limited = broker.queue("limited", {.lease = 1h, .max_failures = 3});
    std::atomic<int> handlings{0};
    Workers workers{limited, {}, [&](const std::string& body) {
                        if (body == "poison") {
                            ++handlings;
                            throw std::runtime_error{"no"};
                        }
                    }};
    REQUIRE(limited.publish("poison"));
    for (int failures = 1; failures < 3; ++failures) {
        until([&] { return limited.stats().delayed == 1; });
        CHECK(handlings == failures);
        clock.advance(1min);
        until([&] { return handlings == failures + 1; });
    }
    until([&] { return limited.stats().dead == 1; });
    REQUIRE(limited.publish("good"));
    until([&] { return limited.stats().completed == 1; });
    CHECK(handlings == 3);
    limited.dead_letters().for_each([](const auto& letter) {
        CHECK(letter.body() == "poison");
        CHECK(letter.reason().text() == "no");
        CHECK(letter.failures() == 3);
    });
    workers.stop();
    support::check_sound(limited);
}

// --- what workers do -------------------------------------------------------------------------

TEST_CASE_FIXTURE(Plain, "L3: a worker handles what was there and what comes, in order [4.4]") {
    std::string handled;
    for (const char* body : {"a", "b", "c"}) { REQUIRE(q.publish(body)); }
    latchbox::Workers workers{q, {}, [&](const std::string& body) { handled += body; }};
    for (const char* body : {"d", "e"}) { REQUIRE(q.publish(body)); }
    until_completed(5);
    workers.stop();
    CHECK(handled == "abcde");
    CHECK(workers.stats().handled == 5);
}

struct Pair {
    int a = 0;
    int b = 0;
};

TEST_CASE("L4: a latch is pending inside the handler, and opens after it [5.8]") {
    latchbox::Broker<Pair> broker;
    const auto q = broker.queue("q");
    std::atomic<int> made{0};
    std::atomic<bool> pending{false};
    latchbox::MessageId id;
    std::atomic<bool> go{false};
    latchbox::Workers workers{q, {}, [&](const Pair& pair) {
                                  until([&] { return go.load(); });
                                  pending = broker.latch(id).state().value() == LatchState::pending;
                                  made = pair.a * pair.b;
                              }};
    id = q.publish({3, 4}).value();
    const auto latch = broker.latch(id);
    go = true;
    CHECK(latch.wait().value() == LatchState::completed);
    CHECK(made == 12);
    CHECK(pending);
}

TEST_CASE("L5: two workers run at the same time, and each pair is handled once [4.2]") {
    latchbox::Broker<int> broker;
    const auto q = broker.queue("q", {.lease = 1h});
    constexpr int pairs = 1'000;
    for (int i = 0; i < pairs; ++i) { REQUIRE(q.publish(i)); }
    std::atomic<int> inside{0};
    std::vector<int> handled[2];
    const auto handler = [&](std::vector<int>& mine) {
        return [&inside, &mine, met = false](const int& number) mutable {
            if (!std::exchange(met, true)) {
                ++inside;
                until([&] { return inside >= 2; });
            }
            mine.push_back(number);
        };
    };
    {
        latchbox::Workers one{q, {}, handler(handled[0])};
        latchbox::Workers two{q, {}, handler(handled[1])};
        until([&] { return q.stats().completed == pairs; });
    }
    std::vector<int> times(pairs, 0);
    for (const auto& mine : handled) {
        CHECK_FALSE(mine.empty());
        for (const int number : mine) { ++times[static_cast<std::size_t>(number)]; }
    }
    CHECK(times == std::vector<int>(pairs, 1));
}

TEST_CASE_FIXTURE(Plain, "L6: while one is handled, the others are ready [8]") {
    std::atomic<bool> inside{false};
    std::atomic<bool> go{false};
    for (const char* body : {"a", "b", "c", "d", "e"}) { REQUIRE(q.publish(body)); }
    latchbox::Workers workers{q, {}, [&](const std::string&) {
                                  inside = true;
                                  until([&] { return go.load(); });
                              }};
    until([&] { return inside.load(); });
    CHECK(q.stats().leased == 1);
    CHECK(q.stats().ready == 4);
    CHECK(workers.stats().running == 1);
    CHECK(workers.stats().threads == 1);
    go = true;
    until_completed(5);
}

TEST_CASE_FIXTURE(Plain, "L7: each queue has its own messages and its own workers [8]") {
    const auto divide = broker.queue("divide");
    for (int i = 0; i < 100; ++i) {
        REQUIRE(q.publish("m"));
        REQUIRE(divide.publish("d"));
    }
    std::atomic<int> others{0};
    latchbox::Workers multiplying{q, {.threads = 2}, [&](const std::string& body) {
                                      if (body != "m") { ++others; }
                                  }};
    until_completed(100);
    CHECK(divide.stats().ready == 100);
    latchbox::Workers dividing{divide, {.threads = 2}, [&](const std::string& body) {
                                   if (body != "d") { ++others; }
                               }};
    until([&] { return divide.stats().completed == 100; });
    CHECK(others == 0);
    dividing.stop();
    support::check_sound(divide);
}

TEST_CASE_FIXTURE(Plain, "G16: workers on a subscription get body and subject [6.2]") {
    const auto subscription = broker.subscribe("a.*");
    std::string got;
    latchbox::Workers workers{subscription, {}, [&](TextDelivery& delivery) {
                                  got = delivery.body() + "@" + std::string{delivery.subject()};
                              }};
    REQUIRE(broker.topic("a.b").publish("data"));
    until([&] { return subscription.stats().completed == 1; });
    workers.stop();
    CHECK(got == "data@a.b");
    CHECK(subscription.size() == 0);
}

TEST_CASE_FIXTURE(Plain, "G18, G19: a handler that always throws loses nothing [6.4] [4.5]") {
    const auto subscription = broker.subscribe("s", {.capacity = 3, .overflow = Overflow::reject});
    latchbox::Workers workers{
        subscription, {}, [](const std::string&) { throw std::runtime_error{"always"}; }};
    const auto topic = broker.topic("s");
    for (int i = 0; i < 3; ++i) { CHECK(topic.publish("m")); }
    CHECK(topic.publish("m") == Errc::full);
    until([&] { return subscription.stats().failed == 3; });
    CHECK(subscription.stats().delayed == 3);
    CHECK(topic.publish("m") == Errc::full);
    workers.stop();
    CHECK(subscription.size() == 3);
    clock.advance(100ms);
    for (int i = 0; i < 3; ++i) {
        auto delivery = subscription.try_fetch();
        REQUIRE(delivery);
        CHECK(delivery->failures() == 1);
        CHECK(delivery->ack());
    }
}

TEST_CASE_FIXTURE(Plain, "G20: publish waits for no handler [6.3]") {
    const auto subscription = broker.subscribe("s");
    std::atomic<bool> inside{false};
    std::atomic<bool> go{false};
    latchbox::Workers workers{subscription, {}, [&](const std::string&) {
                                  inside = true;
                                  until([&] { return go.load(); });
                              }};
    REQUIRE(broker.topic("s").publish("first"));
    until([&] { return inside.load(); });
    REQUIRE(broker.topic("s").publish("second"));
    CHECK(subscription.stats().leased == 1);
    CHECK(subscription.stats().ready == 1);
    go = true;
    until([&] { return subscription.stats().completed == 2; });
}

TEST_CASE_FIXTURE(Plain, "as many handlers run at once as there are threads, no more [8]") {
    constexpr int threads = 4;
    std::atomic<int> inside{0};
    std::atomic<int> most{0};
    std::atomic<bool> go{false};
    for (int i = 0; i < 20; ++i) { REQUIRE(q.publish("a")); }
    latchbox::Workers workers{q, {.threads = threads, .name = "four"}, [&](const std::string&) {
                                  const int now = ++inside;
                                  int seen = most;
                                  while (seen < now && !most.compare_exchange_weak(seen, now)) {}
                                  until([&] { return go.load(); });
                                  --inside;
                              }};
    until([&] { return inside == threads; });
    CHECK(workers.stats().running == threads);
    CHECK(workers.stats().threads == threads);
    CHECK(workers.name() == "four");
    CHECK(q.stats().leased == threads);
    go = true;
    until_completed(20);
    CHECK(most == threads);
    workers.stop();
    CHECK(workers.stats().running == 0);
    CHECK(workers.stats().threads == 0);
    CHECK(workers.stats().handled == 20);
    CHECK(workers.name() == "four");
}

TEST_CASE_FIXTURE(Plain, "the longest handling is told, on the broker's clock [8]") {
    latchbox::Workers workers{
        q, {}, [&](const std::string& body) { clock.advance(1s * std::stoi(body)); }};
    for (const char* body : {"1", "3", "2"}) { REQUIRE(q.publish(body)); }
    until_completed(3);
    workers.stop();
    CHECK(workers.stats().longest == Duration{3s});
}

TEST_CASE_FIXTURE(Plain, "a batch is handled one by one, in order [8]") {
    for (const char* body : {"a", "b", "c", "d", "e"}) { REQUIRE(q.publish(body)); }
    std::string handled;
    std::atomic<std::uint64_t> leased{0};
    latchbox::Workers workers{q, {.batch = 3}, [&](const std::string& body) {
                                  if (handled.empty()) { leased = q.stats().leased; }
                                  handled += body;
                              }};
    until_completed(5);
    workers.stop();
    CHECK(handled == "abcde");
    CHECK(leased == 3);
    CHECK(q.stats().redelivered == 0);
}

TEST_CASE_FIXTURE(Plain, "workers outlive their handle of the queue, and move [8]") {
    std::optional<latchbox::Queue<std::string>> handle = broker.queue("own");
    const auto own = *handle;
    std::optional<latchbox::Workers<std::string>> first{std::in_place, *handle,
                                                        latchbox::WorkersOptions{.name = "first"},
                                                        [](const std::string&) {}};
    handle.reset();
    REQUIRE(own.publish("a"));
    until([&] { return own.stats().completed == 1; });
    latchbox::Workers second{std::move(*first)};
    first.reset();
    CHECK(second.name() == "first");
    REQUIRE(own.publish("b"));
    until([&] { return own.stats().completed == 2; });
    latchbox::Workers third{q, {.name = "third"}, [](const std::string&) {}};
    second = std::move(third);  // the first ones stop
    CHECK(second.name() == "third");
    REQUIRE(own.publish("c"));
    REQUIRE(q.publish("d"));
    until_completed(1);
    CHECK(own.stats().ready == 1);
    second.stop();
    support::check_sound(own);
}

// --- a lease that runs out under a handler ---------------------------------------------------

TEST_CASE_FIXTURE(Plain, "a handler that takes too long has lost its message [misuse 21] [4.2]") {
    std::atomic<bool> stopped{false};
    std::vector<std::uint32_t> attempts;
    latchbox::Workers workers{q, {}, [&](TextDelivery& delivery, Token token) {
                                  attempts.push_back(delivery.attempt());
                                  if (delivery.attempt() > 1) { return true; }
                                  clock.advance(10s);
                                  broker.poll();
                                  stopped = token.stop_requested();
                                  CHECK(delivery.lease_lost());
                                  return true;
                              }};
    REQUIRE(q.publish("a"));
    until_completed(1);
    workers.stop();
    CHECK(stopped);
    CHECK(attempts == std::vector<std::uint32_t>{1, 2});
    const WorkersStats stats = workers.stats();
    CHECK(stats.handled == 2);
    CHECK(stats.lost == 1);
    CHECK(stats.failed == 0);
    CHECK(q.stats().leases_run_out == 1);
}

TEST_CASE_FIXTURE(Plain, "another worker has it while the first is still at it [misuse 21] [4.8]") {
    std::atomic<int> calls{0};
    std::atomic<bool> seen_by_second{false};
    std::string late_body;
    latchbox::Workers workers{q, {.threads = 2}, [&](const std::string& body) {
                                  if (++calls == 1) {
                                      clock.advance(10s);
                                      broker.poll();
                                      until([&] { return seen_by_second.load(); });
                                      late_body = body;
                                      throw std::runtime_error{"too late to matter"};
                                  }
                                  seen_by_second = true;
                              }};
    REQUIRE(q.publish("a"));
    until_completed(1);
    workers.stop();
    CHECK(late_body == "a");
    CHECK(calls == 2);
    CHECK(workers.stats().lost == 1);
    CHECK(workers.stats().failed == 1);
    CHECK(q.stats().failed == 0);
}

TEST_CASE_FIXTURE(Plain, "workers may stop at the first lost lease [8] [misuse 21]") {
    std::atomic<int> calls{0};
    latchbox::Workers workers{
        q, {.threads = 3, .on_lease_lost = OnLeaseLost::stop}, [&](const std::string& body) {
            ++calls;
            if (body == "slow") {
                clock.advance(10s);
                broker.poll();
            }
        }};
    REQUIRE(q.publish("fast"));
    until_completed(1);
    REQUIRE(q.publish("slow"));
    until([&] { return workers.stats().threads == 0; });
    CHECK(workers.stats().lost >= 1);
    workers.stop();
    // It may have been fetched again before the late handler came back, never after.
    const int handled = calls;
    REQUIRE(q.publish("more"));
    CHECK(q.stats().ready >= 1);
    CHECK(calls == handled);
    CHECK(q.stats().leased == 0);
}

TEST_CASE_FIXTURE(Plain, "a handler that goes on by its token ends with its lease [7.7]") {
    std::atomic<bool> inside{false};
    std::atomic<int> calls{0};
    latchbox::Workers workers{q, {}, [&](const std::string&, Token token) {
                                  if (++calls > 1) { return; }
                                  inside = true;
                                  until([&] { return token.stop_requested(); });
                              }};
    REQUIRE(q.publish("a"));
    until([&] { return inside.load(); });
    clock.advance(10s);
    broker.poll();
    until_completed(1);
    workers.stop();
    CHECK(workers.stats().lost == 1);
    CHECK(calls == 2);
}

TEST_CASE_FIXTURE(Plain, "a handler that extends its lease keeps it [8]") {
    latchbox::Workers workers{q, {}, [&](TextDelivery& delivery) {
                                  for (int i = 0; i < 5; ++i) {
                                      clock.advance(9s);
                                      CHECK(delivery.extend(10s));
                                  }
                              }};
    REQUIRE(q.publish("a"));
    until_completed(1);
    workers.stop();
    CHECK(workers.stats().lost == 0);
    CHECK(q.stats().delivered == 1);
}

TEST_CASE_FIXTURE(Plain, "leases of a batch run out one after the other, none is doubled [4.2]") {
    // Those behind a slow one are handed out again; what was handled late is not acked twice.
    for (int i = 0; i < 6; ++i) { REQUIRE(q.publish("a")); }
    std::atomic<int> calls{0};
    latchbox::Workers workers{q, {.batch = 6}, [&](TextDelivery& delivery) {
                                  ++calls;
                                  if (delivery.attempt() == 1) { clock.advance(6s); }
                              }};
    until_completed(6);
    workers.stop();
    CHECK(q.size() == 0);
    CHECK(q.stats().completed == 6);
    CHECK(workers.stats().handled == static_cast<std::uint64_t>(calls));
}

// --- stop ------------------------------------------------------------------------------------

TEST_CASE_FIXTURE(Watched, "stop ends idle workers, and takes no message with it [8]") {
    std::atomic<int> calls{0};
    Workers workers{q, {.threads = 3}, [&](const std::string&) { ++calls; }};
    WatchedThreads::until_asleep(3);
    CHECK(workers.stats().threads == 3);
    CHECK(workers.stats().running == 0);
    workers.stop();
    CHECK(workers.stats().threads == 0);
    REQUIRE(q.publish("a"));
    workers.stop();
    CHECK(calls == 0);
    auto delivery = q.try_fetch();
    REQUIRE(delivery);
    CHECK(delivery->attempt() == 1);
}

TEST_CASE_FIXTURE(Watched, "stop waits for the handler, and gives back what it had fetched [8]") {
    std::atomic<bool> inside{false};
    std::atomic<bool> go{false};
    std::atomic<bool> finished{false};
    for (int i = 0; i < 10; ++i) { REQUIRE(q.publish(std::to_string(i))); }
    Workers workers{q, {.batch = 10}, [&](const std::string&) {
                        inside = true;
                        until([&] { return go.load(); });
                        finished = true;
                    }};
    until([&] { return inside.load(); });
    CHECK(q.stats().leased == 10);
    std::atomic<bool> returned{false};
    bool finished_first = false;
    std::thread stopping{[&] {
        workers.stop();
        finished_first = finished;
        returned = true;
    }};
    WatchedThreads::until_asleep(1);
    CHECK_FALSE(returned);
    go = true;
    stopping.join();
    CHECK(finished_first);
    const QueueStats stats = q.stats();
    CHECK(stats.completed == 1);
    CHECK(stats.ready == 9);
    CHECK(stats.leased == 0);
    CHECK(stats.delivered == 1);
    CHECK(stats.released == 0);
    CHECK(stats.requeued == 0);
    CHECK(stats.abandoned == 0);
    for (int i = 1; i < 10; ++i) {
        auto delivery = q.try_fetch();
        REQUIRE(delivery);
        CHECK(delivery->body() == std::to_string(i));
        CHECK(delivery->attempt() == 1);
        CHECK(delivery->ack());
    }
}

TEST_CASE_FIXTURE(Plain, "stop may come from a handler, from anywhere, any number of times [8]") {
    for (int i = 0; i < 10; ++i) { REQUIRE(q.publish("a")); }
    std::atomic<int> calls{0};
    std::optional<latchbox::Workers<std::string>> workers;
    std::atomic<bool> made{false};
    workers.emplace(q, latchbox::WorkersOptions{.batch = 4}, [&](const std::string&) {
        until([&] { return made.load(); });
        ++calls;
        workers->stop();
        workers->stop();
    });
    made = true;
    until([&] { return workers->stats().threads == 0; });
    workers->stop();
    CHECK(calls == 1);
    CHECK(q.stats().completed == 1);
    CHECK(q.stats().ready == 9);
    CHECK(q.stats().delivered == 1);
    workers.reset();
    CHECK(q.try_fetch()->attempt() == 1);
}

TEST_CASE_FIXTURE(Plain, "handlers and others may stop the same workers at once [misuse 25]") {
    for (int i = 0; i < 4; ++i) { REQUIRE(q.publish("a")); }
    std::atomic<int> inside{0};
    std::atomic<bool> go{false};
    std::optional<latchbox::Workers<std::string>> workers;
    workers.emplace(q, latchbox::WorkersOptions{.threads = 2}, [&](const std::string&) {
        ++inside;
        until([&] { return go.load(); });
        workers->stop();
    });
    until([&] { return inside == 2; });
    std::thread one{[&] { workers->stop(); }};
    std::thread two{[&] { workers->stop(); }};
    go = true;
    one.join();
    two.join();
    workers->stop();
    CHECK(workers->stats().threads == 0);
    CHECK(inside == 2);
    CHECK(q.stats().completed == 2);
    CHECK(q.stats().ready == 2);
}

TEST_CASE_FIXTURE(Plain, "the end of workers is a stop, and sets their handler free [8]") {
    const auto held = std::make_shared<int>(1);
    std::atomic<bool> inside{false};
    std::atomic<bool> finished{false};
    REQUIRE(q.publish("a"));
    {
        latchbox::Workers workers{q, {.threads = 2}, [&, held](const std::string&) {
                                      inside = true;
                                      finished = *held == 1;
                                  }};
        until([&] { return inside.load(); });
    }
    CHECK(finished);
    CHECK(held.use_count() == 1);
    CHECK(q.stats().completed == 1);
}

TEST_CASE_FIXTURE(Plain, "a handler may destroy its own workers, and runs on [misuse 22]") {
    const auto held = std::make_shared<std::string>("whole");
    for (const std::size_t threads : {1U, 3U}) {
        CAPTURE(threads);
        for (int i = 0; i < 5; ++i) { REQUIRE(q.publish("a")); }
        const std::uint64_t before = q.stats().completed;
        std::optional<latchbox::Workers<std::string>> workers;
        std::atomic<bool> made{false};
        std::atomic<int> destroyed{0};
        std::atomic<bool> whole{true};
        std::mutex once;
        workers.emplace(q, latchbox::WorkersOptions{.threads = threads, .batch = 2},
                        [&, held](const std::string&) {
                            until([&] { return made.load(); });
                            const std::lock_guard lock{once};
                            if (destroyed == 0) {
                                workers.reset();
                                ++destroyed;
                            }
                            whole = whole && *held == "whole";
                        });
        made = true;
        until([&] { return held.use_count() == 1; });
        CHECK(destroyed == 1);
        CHECK(whole);
        CHECK(q.stats().leased == 0);
        CHECK(q.stats().completed >= before + 1);
        CHECK(q.stats().completed <= before + threads);
        q.purge();
    }
}

TEST_CASE_FIXTURE(Plain, "stop beside a publish loses nothing [8] [4.1]") {
    for (int round = 0; round < 200; ++round) {
        const auto before = q.stats();
        std::atomic<int> calls{0};
        latchbox::Workers workers{
            q, {.threads = 2, .batch = 2}, [&](const std::string&) { ++calls; }};
        std::atomic<bool> go{false};
        std::thread publisher{[&] {
            until([&] { return go.load(); });
            for (int i = 0; i < 3; ++i) { static_cast<void>(q.publish("a")); }
        }};
        go = true;
        workers.stop();
        const int handled = calls;
        publisher.join();
        const auto after = q.stats();
        REQUIRE(calls == handled);
        REQUIRE(after.accepted == before.accepted + 3);
        REQUIRE(after.completed == before.completed + static_cast<std::uint64_t>(handled));
        REQUIRE(after.leased == 0);
        REQUIRE(after.delivered == before.delivered + static_cast<std::uint64_t>(handled));
        while (auto delivery = q.try_fetch()) {
            REQUIRE(delivery->attempt() == 1);
            delivery->ack();
        }
    }
}

// --- what a handler may do -------------------------------------------------------------------

TEST_CASE_FIXTURE(Plain, "a handler may close the broker [misuse 22] [7.5]") {
    for (const std::size_t threads : {1U, 4U}) {
        latchbox::Broker<std::string> own{{.clock = &clock}};
        const auto queue = own.queue("q");
        std::atomic<std::uint64_t> left{99};
        Errc late{};
        latchbox::Workers workers{queue, {.threads = threads}, [&](TextDelivery& delivery) {
                                      left = own.close().left();
                                      late = error_of(delivery.ack());
                                  }};
        REQUIRE(queue.publish("a"));
        until([&] { return workers.stats().threads == 0; });
        workers.stop();
        CHECK(left == 1);
        CHECK(late == Errc::closed);
        CHECK(workers.stats().handled == 1);
        CHECK(workers.stats().lost == 1);
        support::check_sound(queue);
    }
}

TEST_CASE_FIXTURE(Watched, "a handler may drain: it waits its timeout at most [misuse 22] [7.5]") {
    std::atomic<std::uint64_t> left{99};
    std::atomic<int> others{0};
    std::atomic<bool> draining{false};
    Workers workers{q, {.threads = 2}, [&](const std::string& body) {
                        if (body == "drain") {
                            draining = true;
                            left = broker.drain(5s).left();
                        } else {
                            ++others;
                        }
                    }};
    WatchedThreads::until_asleep(2);
    std::vector<std::string> both = {"drain", "other"};
    REQUIRE(q.publish_batch(both));
    until([&] { return others == 1 && draining; });
    WatchedThreads::until_asleep(2);
    CHECK(q.publish("x") == Errc::closed);
    clock.advance(5s);
    until([&] { return workers.stats().threads == 0; });
    workers.stop();
    CHECK(left == 1);
    CHECK(others == 1);
}

TEST_CASE_FIXTURE(Plain, "a drain lets workers finish all there is [7.5]") {
    const auto next = broker.queue("next");
    std::atomic<int> done{0};
    for (int i = 0; i < 100; ++i) { REQUIRE(q.publish("a")); }
    latchbox::Workers first{q, {.threads = 2, .batch = 3}, [&](TextDelivery& delivery) {
                                CHECK(delivery.forward(next));
                            }};
    latchbox::Workers second{next, {.threads = 2}, [&](const std::string&) { ++done; }};
    CHECK(broker.drain(1h).left() == 0);
    CHECK(done == 100);
    until([&] { return first.stats().threads + second.stats().threads == 0; });
    support::check_sound(next);
}

TEST_CASE_FIXTURE(Plain, "a handler may remove its queue [misuse 22] [6.7]") {
    latchbox::Workers workers{
        mortal, {.threads = 2}, [&](const std::string&) { CHECK(broker.remove("mortal")); }};
    REQUIRE(mortal.publish("a"));
    until([&] { return workers.stats().threads == 0; });
    workers.stop();
    CHECK(mortal.try_fetch() == Errc::closed);
    CHECK(workers.stats().lost == 1);
}

TEST_CASE_FIXTURE(Plain, "a handler may unsubscribe, or destroy its subscription [misuse 22]") {
    for (const bool destroy : {false, true}) {
        std::optional<latchbox::Subscription<std::string>> subscription = broker.subscribe("s");
        std::atomic<int> calls{0};
        latchbox::Workers workers{
            *subscription, {.threads = 2, .batch = 2}, [&](const std::string&) {
                if (++calls > 1) { return; }
                if (destroy) {
                    subscription.reset();
                } else {
                    subscription->unsubscribe();
                }
            }};
        REQUIRE(broker.topic("s").publish("a"));
        until([&] { return workers.stats().threads == 0; });
        workers.stop();
        CHECK(calls == 1);
        CHECK(broker.stats().subscriptions == 0);
    }
}

TEST_CASE("a handler may destroy the broker [misuse 22] [misuse 30]") {
    for (const std::size_t threads : {1U, 3U}) {
        latchbox::ManualClock clock;
        std::optional<latchbox::Broker<std::string>> broker{
            std::in_place, latchbox::BrokerOptions{.clock = &clock}};
        const auto q = broker->queue("q");
        std::atomic<bool> destroyed{false};
        std::string body_after;
        latchbox::Workers workers{q, {.threads = threads}, [&](const std::string& body) {
                                      broker.reset();
                                      body_after = body;
                                      destroyed = true;
                                  }};
        REQUIRE(q.publish("a"));
        until([&] { return workers.stats().threads == 0; });
        workers.stop();
        CHECK(destroyed);
        CHECK(body_after == "a");
        CHECK(q.try_fetch() == Errc::closed);
    }
}

TEST_CASE("a broker may go while its workers are there [misuse 30] [4.8]") {
    latchbox::ManualClock clock;
    std::optional<latchbox::Broker<int, WatchedThreads>> broker{
        std::in_place, latchbox::BrokerOptions{.clock = &clock}};
    std::optional<latchbox::Workers<int, WatchedThreads>> workers{
        std::in_place, broker->queue("q"), latchbox::WorkersOptions{.threads = 3},
        [](const int&) {}};
    WatchedThreads::until_asleep(3);
    broker.reset();
    until([&] { return workers->stats().threads == 0; });
    CHECK(workers->stats().handled == 0);
    SUBCASE("stopped") { workers->stop(); }
    SUBCASE("just destroyed") {}
    workers.reset();
    CHECK(WatchedThreads::asleep == 0);
}

TEST_CASE_FIXTURE(Watched, "a handler that publishes into its own full queue waits [misuse 23]") {
    const auto tight =
        broker.queue("tight", {.lease = 1h, .capacity = 2, .overflow = Overflow::block});
    const auto other = broker.queue("other");
    Errc outcome{};
    std::atomic<int> handled{0};
    std::atomic<bool> publishing{false};
    Workers workers{tight, {}, [&](const std::string& body) {
                        if (body == "publishes") {
                            publishing = true;
                            outcome = error_of(tight.publish("more"));
                        }
                        ++handled;
                    }};
    std::vector<std::string> both = {"publishes", "next"};
    REQUIRE(tight.publish_batch(both));
    until([&] { return publishing.load(); });
    WatchedThreads::until_asleep(1);
    CHECK(handled == 0);
    // Others go on.
    REQUIRE(other.publish("a"));
    CHECK(other.pop());
    clock.advance(5s);
    until([&] { return tight.stats().completed == 2; });
    workers.stop();
    CHECK(outcome == Errc::timed_out);
    CHECK(tight.stats().accepted == 2);
    support::check_sound(tight);
}

TEST_CASE_FIXTURE(Watched, "another worker makes the room a handler waits for [misuse 23]") {
    const auto tight =
        broker.queue("tight", {.lease = 1h, .capacity = 2, .overflow = Overflow::block});
    std::atomic<bool> waiting{false};
    Errc outcome{Errc::empty};
    Workers workers{tight, {.threads = 2}, [&](const std::string& body) {
                        if (body == "publishes") {
                            waiting = true;
                            outcome = error_of(tight.publish("more"));
                        } else if (body == "next") {
                            until([&] { return waiting.load(); });
                        }
                    }};
    WatchedThreads::until_asleep(2);
    std::vector<std::string> both = {"publishes", "next"};
    REQUIRE(tight.publish_batch(both));
    until([&] { return tight.stats().completed == 3; });
    workers.stop();
    CHECK(outcome == Errc{});
    CHECK(clock.now() == latchbox::Instant{});
    support::check_sound(tight);
}

TEST_CASE_FIXTURE(Plain, "a handler may make and end workers of its own queue [misuse 22]") {
    std::atomic<int> inner{0};
    latchbox::Workers workers{
        q, {}, [&](const std::string& body) {
            if (body != "outer") { return; }
            CHECK(q.publish("inner"));
            latchbox::Workers more{q, {}, [&](const std::string&) { ++inner; }};
            until([&] { return inner == 1; });
        }};
    REQUIRE(q.publish("outer"));
    until_completed(2);
    CHECK(inner == 1);
}

TEST_CASE_FIXTURE(Plain, "handlers of two workers may stop each other [misuse 22]") {
    std::optional<latchbox::Workers<std::string>> left;
    std::optional<latchbox::Workers<std::string>> right;
    std::atomic<bool> made{false};
    std::atomic<int> stops{0};
    left.emplace(q, latchbox::WorkersOptions{}, [&](const std::string&) {
        until([&] { return made.load(); });
        ++stops;
        right->stop();
    });
    right.emplace(mortal, latchbox::WorkersOptions{}, [&](const std::string&) { ++stops; });
    made = true;
    REQUIRE(q.publish("a"));
    until([&] { return right->stats().threads == 0; });
    until_completed(1);
    REQUIRE(mortal.publish("b"));
    left->stop();
    CHECK(stops == 1);
    CHECK(mortal.stats().ready == 1);
}

// --- options and starts ----------------------------------------------------------------------

TEST_CASE_FIXTURE(Plain, "workers need a thread and a batch: the field is named [misuse 25]") {
    const auto handler = [](const std::string&) {};
    const auto make = [&](const latchbox::WorkersOptions& options) {
        latchbox::Workers workers{q, options, handler};
    };
    CHECK(support::refuses([&] { make({.threads = 0}); }, "WorkersOptions", "threads"));
    CHECK(support::refuses([&] { make({.batch = 0}); }, "WorkersOptions", "batch"));
    REQUIRE(q.publish("a"));
    CHECK(q.stats().ready == 1);
    CHECK(latchbox::WorkersOptions{}.threads == 1);
    CHECK(latchbox::WorkersOptions{}.batch == 1);
    CHECK(latchbox::WorkersOptions{}.on_lease_lost == OnLeaseLost::finish);
    CHECK(latchbox::WorkersOptions{}.name.empty());
}

// The n-th thread does not start.
struct FailingStart : WatchedThreads {
    class Thread {
    public:
        template <class Run> explicit Thread(Run&& run) : native_{start(std::forward<Run>(run))} {}
        Thread() noexcept = default;
        Thread(Thread&&) noexcept = default;
        Thread& operator=(Thread&&) noexcept = default;
        [[nodiscard]] bool joinable() const noexcept { return native_.joinable(); }
        void join() { native_.join(); }
        void detach() { native_.detach(); }

    private:
        template <class Run> static std::thread start(Run&& run) {
            if (++asked == failing) {
                throw std::system_error{
                    std::make_error_code(std::errc::resource_unavailable_try_again)};
            }
            return std::thread{[run = std::forward<Run>(run)]() mutable {
                ++alive;
                run();
                --alive;
            }};
        }
        std::thread native_;
    };
    inline static std::atomic<int> asked{0};
    inline static std::atomic<int> failing{0};
    inline static std::atomic<int> alive{0};
};

TEST_CASE("a thread that does not start leaves nothing behind [misuse 25] [4.11]") {
    for (int failing = 1; failing <= 4; ++failing) {
        CAPTURE(failing);
        FailingStart::asked = 0;
        FailingStart::failing = failing;
        Working<FailingStart> working;
        const auto held = std::make_shared<int>(1);
        const std::uint64_t there = failing % 2 == 0 ? 5 : 0;
        for (std::uint64_t i = 0; i < there; ++i) { REQUIRE(working.q.publish("a")); }
        const auto make = [&] {
            latchbox::Workers workers{working.q, {.threads = 4}, [held](const std::string&) {}};
        };
        CHECK_THROWS_AS(make(), std::system_error);
        CHECK(held.use_count() == 1);
        // Joined, or at their very end.
        until([] { return FailingStart::alive == 0; });
        CHECK(WatchedThreads::asleep == 0);
        CHECK(working.q.stats().leased == 0);
        CHECK(working.q.size() + working.q.stats().completed == there);
        // Made again, it works.
        FailingStart::failing = 0;
        const std::uint64_t done = working.q.stats().accepted + 1;
        {
            latchbox::Workers workers{working.q, {.threads = 4}, [](const std::string&) {}};
            REQUIRE(working.q.publish("b"));
            working.until_completed(done);
        }
        CHECK(FailingStart::alive == 0);
    }
    FailingStart::failing = 0;
}

// --- all at once -----------------------------------------------------------------------------

TEST_CASE("a storm of handlers, outcomes and stops loses nothing [4.1] [8]") {
    constexpr int messages = 2'000;
    latchbox::Broker<int> broker;
    const auto in = broker.queue(
        "in",
        {.lease = 50us, .max_failures = 5, .backoff = {.first = 1us, .factor = 2, .limit = 20us}});
    const auto out = broker.queue("out", {.lease = 1h});
    for (int n = 0; n < messages; ++n) { REQUIRE(in.publish(n)); }
    std::atomic<unsigned> turn{0};
    std::vector<std::atomic<int>> passed(messages);
    const auto handler = [&](latchbox::Delivery<int>& delivery) {
        switch (++turn % 7) {
            case 0: return false;
            case 1: throw std::runtime_error{"no"};
            case 2: delivery.requeue(1us); return true;
            case 3: delivery.release(); return true;
            case 4: return true;  // acked by who called, if its lease still lives
            default: {
                const int body = delivery.body();
                if (delivery.ack_and_publish(out, body)) {
                    ++passed[static_cast<std::size_t>(body)];
                }
                return true;
            }
        }
    };
    while (in.stats().held() > in.stats().dead) {
        latchbox::Workers workers{in, {.threads = 3, .batch = 4}, handler};
        const std::uint64_t before = in.stats().delivered;
        until([&] {
            const auto stats = in.stats();
            return stats.delivered > before + 400 || stats.held() == stats.dead;
        });
        workers.stop();
        REQUIRE(workers.stats().threads == 0);
    }
    const auto stats = in.stats();
    CHECK(stats.completed + stats.dead == messages);
    int twice = 0;
    int once = 0;
    for (const auto& times : passed) {
        twice += times > 1;
        once += times == 1;
    }
    CHECK(twice == 0);
    CHECK(out.stats().accepted == static_cast<std::uint64_t>(once));
    support::check_sound(in);
    support::check_sound(out);
}

TEST_CASE_FIXTURE(Plain, "what a handler settled before it closed the broker is not lost [8]") {
    latchbox::Workers workers{q, {.on_lease_lost = OnLeaseLost::stop}, [&](TextDelivery& delivery) {
                                  delivery.ack();
                                  broker.close();
                              }};
    REQUIRE(q.publish("a"));
    until([&] { return workers.stats().threads == 0; });
    CHECK(workers.stats().handled == 1);
    CHECK(workers.stats().lost == 0);
}

TEST_CASE_FIXTURE(Plain,
                  "what ran out while it waited in a batch is left to its next holder [4.2]") {
    std::vector<std::uint32_t> attempts;
    std::vector<std::string> batch{"a", "b"};
    REQUIRE(q.publish_batch(batch));
    latchbox::Workers workers{q, {.batch = 2}, [&](TextDelivery& delivery) {
                                  if (attempts.empty()) { clock.advance(10s); }
                                  attempts.push_back(delivery.attempt());
                              }};
    until_completed(2);
    workers.stop();
    CHECK(attempts == std::vector<std::uint32_t>{1, 2, 2});
    CHECK(workers.stats().lost == 1);
}

TEST_CASE("a body is gone before the next of its batch is handled [8] [4.8]") {
    latchbox::Broker<std::shared_ptr<int>> broker;
    const auto q = broker.queue("q");
    std::vector<std::weak_ptr<int>> bodies;
    std::vector<std::shared_ptr<int>> batch;
    for (int i = 0; i < 3; ++i) { bodies.push_back(batch.emplace_back(std::make_shared<int>(i))); }
    REQUIRE(q.publish_batch(batch));
    batch.clear();
    std::vector<bool> gone;
    latchbox::Workers workers{
        q, {.batch = 3}, [&](const std::shared_ptr<int>& body) {
            if (*body != 0) {
                gone.push_back(bodies[static_cast<std::size_t>(*body) - 1].expired());
            }
        }};
    until([&] { return q.stats().completed == 3; });
    workers.stop();
    CHECK(gone == std::vector<bool>{true, true});
}

}  // namespace
