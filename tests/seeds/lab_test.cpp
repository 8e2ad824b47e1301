// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"

#include "support/sound.hpp"
#include "support/watched_threads.hpp"

// What users of the lab broker have: bounded queues, workers that come and go, back-pressure.
// The workers here are plain loops around `fetch`.
namespace {

using namespace std::chrono_literals;
using latchbox::Errc;
using latchbox::Overflow;
using support::error_of;
using support::WatchedThreads;

template <class Msg, class Platform = latchbox::Threads> struct Lab {
    latchbox::ManualClock clock;
    latchbox::Broker<Msg, Platform> broker{{.clock = &clock}};
    latchbox::Queue<Msg, Platform> q = broker.queue("q", {.lease = 1h});

    ~Lab() { support::check_sound(q); }
};
using TextLab = Lab<std::string>;

struct Bounded : Lab<std::string, WatchedThreads> {
    latchbox::QueueOptions options{.lease = 1h, .capacity = 10, .overflow = Overflow::block};
    latchbox::Queue<std::string, WatchedThreads> multiply = broker.queue("multiply", options);

    Bounded() {
        for (char body = 'a'; body < 'k'; ++body) {
            REQUIRE(multiply.publish(std::string(1, body)));
        }
    }
    ~Bounded() { support::check_sound(multiply); }
};

TEST_CASE_FIXTURE(Bounded, "L1: a full queue lets the publisher wait [7.2] [4.12]") {
    Errc outcome{};
    std::thread eleventh{[&] { outcome = error_of(multiply.publish("k")); }};
    WatchedThreads::until_asleep(1);
    CHECK(multiply.stats().ready == 10);
    CHECK(multiply.stats().accepted == 10);
    broker.close();
    eleventh.join();
    CHECK(outcome == Errc::closed);
}

TEST_CASE_FIXTURE(Bounded, "L2: room lets the waiting publisher go on, and nothing is lost [7.2]") {
    latchbox::Result<latchbox::MessageId> accepted{Errc::empty};
    std::thread eleventh{[&] { accepted = multiply.publish("k"); }};
    WatchedThreads::until_asleep(1);
    SUBCASE("an ack makes room") {
        auto first = multiply.try_fetch();
        REQUIRE(first);
        CHECK(first->body() == "a");
        CHECK(first->ack());
        eleventh.join();
        CHECK(accepted);
        CHECK(multiply.size() == 10);
        CHECK(support::work_off_text(multiply) == "bcdefghijk");
    }
    SUBCASE("without it the publish gives up after five seconds") {
        clock.advance(5s - 1ns);
        CHECK(multiply.stats().accepted == 10);
        clock.advance(1ns);
        eleventh.join();
        CHECK(accepted == Errc::timed_out);
        CHECK(support::work_off_text(multiply) == "abcdefghij");
    }
}

struct Pair {
    int a = 0;
    int b = 0;
    [[nodiscard]] int product() const { return a * b; }
};

TEST_CASE("L4: a latch is pending while its message is handled, and tells its end [5.8]") {
    Lab<Pair, WatchedThreads> lab;
    const auto id = lab.q.publish({3, 4});
    REQUIRE(id);
    const auto latch = lab.broker.latch(*id);
    std::atomic<bool> handled{false};
    latchbox::Result<latchbox::LatchState> waited{Errc::empty};
    bool over_at_the_end = false;
    std::thread waiting{[&] {
        waited = latch.wait();
        over_at_the_end = handled;
    }};
    WatchedThreads::until_asleep(1);
    latchbox::Result<latchbox::LatchState> inside{Errc::empty};
    int made = 0;
    std::thread worker{[&] {
        auto delivery = lab.q.try_fetch();
        made = delivery->body().product();
        inside = latch.state();
        handled = true;
        delivery->ack();
    }};
    worker.join();
    waiting.join();
    CHECK(made == 12);
    CHECK(inside.value() == latchbox::LatchState::pending);
    CHECK(waited.value() == latchbox::LatchState::completed);
    CHECK(over_at_the_end);
}

TEST_CASE("L5: two workers run at the same time, and each pair is handled once [4.2]") {
    Lab<int> lab;
    constexpr int pairs = 1'000;
    for (int i = 0; i < pairs; ++i) { REQUIRE(lab.q.publish(i)); }
    // Each worker waits inside its first handling until the other is in its own: that ends only
    // if both hold a message at the same time.
    std::atomic<int> inside{0};
    std::vector<int> handled[2];
    const auto work = [&](std::vector<int>& mine) {
        bool met = false;
        while (auto delivery = lab.q.try_fetch()) {
            if (!met) {
                ++inside;
                while (inside.load() < 2) { std::this_thread::yield(); }
                met = true;
            }
            mine.push_back(delivery->body());
            delivery->ack();
        }
    };
    std::thread one{[&] { work(handled[0]); }};
    std::thread two{[&] { work(handled[1]); }};
    one.join();
    two.join();
    std::vector<int> times(pairs, 0);
    for (const auto& mine : handled) {
        for (const int number : mine) { ++times[static_cast<std::size_t>(number)]; }
    }
    CHECK(times == std::vector<int>(pairs, 1));
    CHECK(lab.q.stats().completed == pairs);
}

TEST_CASE_FIXTURE(TextLab, "L6: while one is handled, the others are ready") {
    for (const char* body : {"a", "b", "c", "d", "e"}) { REQUIRE(q.publish(body)); }
    std::atomic<bool> handling{false};
    std::atomic<bool> looked{false};
    std::thread worker{[&] {
        auto delivery = q.fetch();
        handling = true;
        while (!looked) { std::this_thread::yield(); }
        delivery->ack();
    }};
    while (!handling) { std::this_thread::yield(); }
    const latchbox::QueueStats during = q.stats();
    looked = true;
    worker.join();
    CHECK(during.leased == 1);
    CHECK(during.ready == 4);
}

TEST_CASE_FIXTURE(TextLab, "L7: each queue has its own messages and its own workers") {
    auto multiply = broker.queue("multiply");
    auto divide = broker.queue("divide");
    for (int i = 0; i < 100; ++i) {
        REQUIRE(multiply.publish("m"));
        REQUIRE(divide.publish("d"));
    }
    // A worker that ends with its queue worked off; how many messages of its own, and others.
    const auto work = [](const auto& queue, const std::string& own, int& mine, int& others) {
        while (auto delivery = queue.try_fetch()) {
            ++(delivery->body() == own ? mine : others);
            delivery->ack();
        }
    };
    int mine[2] = {0, 0};
    int others[2] = {0, 0};
    std::thread multiplying{[&] { work(multiply, "m", mine[0], others[0]); }};
    SUBCASE("a worker on each") {
        std::thread dividing{[&] { work(divide, "d", mine[1], others[1]); }};
        multiplying.join();
        dividing.join();
        CHECK(mine[1] == 100);
        CHECK(others[1] == 0);
        CHECK(divide.size() == 0);
    }
    SUBCASE("none on one of them") {
        multiplying.join();
        CHECK(divide.stats().ready == 100);
    }
    CHECK(mine[0] == 100);
    CHECK(others[0] == 0);
    CHECK(multiply.size() == 0);
    support::check_sound(multiply);
    support::check_sound(divide);
}

TEST_CASE_FIXTURE(TextLab, "L8: making a queue again disturbs nothing [8]") {
    const latchbox::QueueOptions options{.capacity = 10};
    auto multiply = broker.queue("multiply", options);
    for (const char* body : {"a", "b", "c", "d", "e"}) { REQUIRE(multiply.publish(body)); }
    CHECK(support::refuses([&] { return broker.queue("multiply", {.capacity = 11}); }, "capacity"));
    auto again = broker.queue("multiply", options);
    CHECK(again.size() == 5);
    CHECK(support::work_off_text(again) == "abcde");
    support::check_sound(multiply);
}

TEST_CASE_FIXTURE(TextLab, "L9: an unknown name makes an empty queue, which can be removed [8]") {
    auto none = broker.queue("none");
    CHECK(none.size() == 0);
    CHECK(none.options() == latchbox::QueueOptions{});
    CHECK_NOTHROW(static_cast<void>(broker.queue("none", {})));
    CHECK(support::refuses([&] { return broker.queue("none", {.lease = 1s}); }, "lease"));
    CHECK(broker.remove("none"));
    CHECK_FALSE(broker.remove("none"));
}

TEST_CASE_FIXTURE(TextLab, "L10: a topic may refuse what nobody subscribed to [6.5]") {
    const auto topic = broker.topic("none", {.unrouted = latchbox::Unrouted::reject});
    CHECK(topic.publish("m") == Errc::no_subscriber);
    CHECK(topic.stats().published == 0);
    CHECK(broker.stats().messages.accepted == 0);
}

TEST_CASE_FIXTURE(TextLab, "L11: who subscribed before the first publish gets it [6.2]") {
    const auto divide = broker.subscribe("divide");
    REQUIRE(broker.topic("divide").publish("first"));
    CHECK(divide.pop().value() == "first");
    support::check_sound(divide);
}

TEST_CASE_FIXTURE(TextLab, "L12: a failed message waits and comes again, the worker stays [4.6]") {
    REQUIRE(q.publish("A"));
    REQUIRE(q.publish("B"));
    bool thrown = false;
    const auto handle = [&](const std::string& body) {
        if (body == "A" && !thrown) {
            thrown = true;
            throw std::runtime_error{"once"};
        }
    };
    std::string handled;
    // One turn of a worker: false where there is nothing to do.
    const auto turn = [&] {
        auto delivery = q.try_fetch();
        if (!delivery) { return false; }
        try {
            handle(delivery->body());
            handled += delivery->body();
            delivery->ack();
        } catch (const std::exception& problem) { delivery->fail(problem.what()); }
        return true;
    };
    CHECK(turn());
    CHECK(turn());
    CHECK(handled == "B");
    CHECK_FALSE(turn());
    clock.advance(100ms - 1ns);
    CHECK_FALSE(turn());
    clock.advance(1ns);
    auto again = q.try_fetch();
    REQUIRE(again);
    CHECK(again->body() == "A");
    CHECK(again->attempt() == 2);
    CHECK(again->failures() == 1);
}

TEST_CASE_FIXTURE(TextLab, "L13: a poisonous message becomes a dead letter at its limit [4.5]") {
    auto limited = broker.queue("limited", {.lease = 1h, .max_failures = 3});
    REQUIRE(limited.publish("poison"));
    REQUIRE(limited.publish("good"));
    int handlings = 0;
    std::string handled;
    for (int turn = 0; turn < 20; ++turn) {
        while (auto delivery = limited.try_fetch()) {
            if (delivery->body() == "poison") {
                ++handlings;
                CHECK(delivery->fail("no"));
            } else {
                handled += delivery->body();
                CHECK(delivery->ack());
            }
        }
        clock.advance(1min);
    }
    CHECK(handlings == 3);
    CHECK(handled == "good");
    auto dead = limited.dead_letters();
    CHECK(dead.size() == 1);
    dead.for_each([](const latchbox::DeadLetter<std::string>& letter) {
        CHECK(letter.body() == "poison");
        CHECK(letter.reason().text() == "no");
        CHECK(letter.reason().cause() == latchbox::Cause::failed);
        CHECK(letter.failures() == 3);
    });
    support::check_sound(limited);
}

struct Triplet {
    int a = 0;
    int b = 0;
    int c = 0;
    [[nodiscard]] int product() const { return a * b * c; }
};
template <class Msg> struct Make;
template <> struct Make<Pair> {
    static Pair of(int n) { return {n, 2}; }
    static int product(const Pair& pair) { return pair.product(); }
    static constexpr int factor = 2;
};
template <> struct Make<Triplet> {
    static Triplet of(int n) { return {n, 2, 3}; }
    static int product(const Triplet& triplet) { return triplet.product(); }
    static constexpr int factor = 6;
};
template <> struct Make<std::unique_ptr<Triplet>> {
    static std::unique_ptr<Triplet> of(int n) {
        return std::make_unique<Triplet>(Triplet{n, 2, 3});
    }
    static int product(const std::unique_ptr<Triplet>& triplet) { return triplet->product(); }
    static constexpr int factor = 6;
};

// Only the type of the message differs; the program is one.
TEST_CASE_TEMPLATE("L14: the type of the message is all that changes [4.11]", Msg, Pair, Triplet,
                   std::unique_ptr<Triplet>) {
    Lab<Msg> lab;
    auto& q = lab.q;
    for (int i = 1; i <= 5; ++i) { REQUIRE(q.publish(Make<Msg>::of(i))); }
    std::vector<int> products;
    int turn = 0;
    while (products.size() < 5) {
        auto delivery = q.try_fetch();
        if (!delivery) {
            lab.clock.advance(100ms);
            continue;
        }
        // The second turn fails: its message comes after the others.
        if (++turn == 2) {
            CHECK(delivery->fail("once"));
            continue;
        }
        products.push_back(Make<Msg>::product(delivery->body()));
        CHECK(delivery->ack());
    }
    const int factor = Make<Msg>::factor;
    CHECK(products == std::vector<int>{factor, 3 * factor, 4 * factor, 5 * factor, 2 * factor});
    CHECK(q.stats().completed == 5);
}

TEST_CASE_FIXTURE(TextLab, "L15: an abandoned delivery goes to the back, no failure [4.7]") {
    REQUIRE(q.publish("abandoned"));
    {
        auto delivery = q.try_fetch();
        REQUIRE(delivery);
        REQUIRE(q.publish("meanwhile"));
    }
    CHECK(q.stats().ready == 2);
    auto first = q.try_fetch();
    auto second = q.try_fetch();
    REQUIRE(second);
    CHECK(first->body() == "meanwhile");
    CHECK(second->body() == "abandoned");
    CHECK(second->attempt() == 2);
    CHECK(second->failures() == 0);
    CHECK(q.stats().abandoned == 1);
}

TEST_CASE_FIXTURE(TextLab, "L16: an exception abandons, a release keeps the place [4.7] [3]") {
    REQUIRE(q.publish("first"));
    SUBCASE("abandoned by an exception") {
        const auto handle = [&] {
            auto delivery = q.try_fetch();
            REQUIRE(q.publish("meanwhile"));
            throw std::runtime_error{"in the middle"};
        };
        CHECK_THROWS_AS(handle(), std::runtime_error);
        auto one = q.try_fetch();
        auto two = q.try_fetch();
        REQUIRE(two);
        CHECK(one->body() == "meanwhile");
        CHECK(two->body() == "first");
        CHECK(two->attempt() == 2);
        CHECK(two->failures() == 0);
    }
    SUBCASE("released") {
        auto delivery = q.try_fetch();
        REQUIRE(delivery);
        REQUIRE(q.publish("meanwhile"));
        REQUIRE(delivery->release());
        auto one = q.try_fetch();
        auto two = q.try_fetch();
        REQUIRE(two);
        CHECK(one->body() == "first");
        CHECK(one->attempt() == 2);
        CHECK(two->body() == "meanwhile");
    }
}

}  // namespace
