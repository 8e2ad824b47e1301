// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <chrono>
#include <cstdint>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"

#include "support/sound.hpp"
#include "support/watched_threads.hpp"

namespace {

using namespace std::chrono_literals;
using latchbox::Errc;
using latchbox::Overflow;
using support::error_of;
using support::WatchedThreads;
using WatchedQueue = latchbox::Queue<std::string, WatchedThreads>;

template <class Platform> struct Bounded {
    latchbox::ManualClock clock;
    latchbox::Broker<std::string, Platform> broker{{.clock = &clock}};
};
using Plain = Bounded<latchbox::Threads>;
using Watched = Bounded<WatchedThreads>;

// --- reject ----------------------------------------------------------------------------------

TEST_CASE_FIXTURE(Plain, "a queue holds exactly its capacity, in whatever state [4.12] [7.2]") {
    const auto q = broker.queue("q", {.lease = 10s, .capacity = 4});
    REQUIRE(q.publish("dead"));
    REQUIRE(q.try_fetch()->reject());
    REQUIRE(q.publish("leased"));
    auto leased = q.try_fetch();
    REQUIRE(q.publish("delayed", {.delay = 1h}));
    REQUIRE(q.publish("ready"));
    CHECK(q.publish("more") == Errc::full);
    CHECK(q.size() == 4);
    CHECK(q.stats().refused == 1);
    // Each way out makes room for one, at once.
    SUBCASE("ack") { CHECK(leased->ack()); }
    SUBCASE("take of a dead letter") { CHECK(q.dead_letters().take()); }
    SUBCASE("pop") { CHECK(q.pop()); }
    SUBCASE("cancel of a dead letter") {
        latchbox::MessageId dead;
        q.dead_letters().for_each([&](const auto& letter) { dead = letter.id(); });
        CHECK(q.cancel(dead));
    }
    CHECK(q.publish("more"));
    CHECK(q.publish("too much") == Errc::full);
    support::check_sound(q);
}

TEST_CASE_FIXTURE(Plain, "what stays in the queue makes no room [4.12]") {
    const auto q = broker.queue("q", {.lease = 10s, .capacity = 1});
    REQUIRE(q.publish("a"));
    for (int round = 0; round < 5; ++round) {
        CHECK(q.publish("b") == Errc::full);
        auto delivery = q.try_fetch();
        REQUIRE(delivery);
        CHECK(q.publish("b") == Errc::full);
        switch (round) {
            case 0: CHECK(delivery->release()); break;
            case 1: CHECK(delivery->requeue()); break;
            case 2: clock.advance(10s); break;
            case 3:
                CHECK(delivery->fail());
                CHECK(q.publish("b") == Errc::full);
                clock.advance(1min);
                break;
            default: CHECK(delivery->reject()); break;
        }
    }
    CHECK(q.publish("b") == Errc::full);
    CHECK(q.dead_letters().redrive() == 1);
    CHECK(q.publish("b") == Errc::full);
    CHECK(q.pop().value() == "a");
    CHECK(q.publish("b"));
    support::check_sound(q);
}

TEST_CASE_FIXTURE(Plain, "what expires makes room at its instant [4.12] [4.3]") {
    const auto q = broker.queue("q", {.capacity = 1});
    REQUIRE(q.publish("a", {.expires_in = 5s}));
    clock.advance(5s - 1ns);
    CHECK(q.publish("b") == Errc::full);
    clock.advance(1ns);
    CHECK(q.publish("b"));
    CHECK(q.stats().expired == 1);
    support::check_sound(q);
}

// --- drop_oldest -----------------------------------------------------------------------------

TEST_CASE_FIXTURE(Plain, "drop_oldest evicts the oldest of the lowest priority [7.2]") {
    const auto q = broker.queue("q", {.capacity = 4, .overflow = Overflow::drop_oldest});
    REQUIRE(q.publish("a", {.priority = 1}));
    REQUIRE(q.publish("b"));
    REQUIRE(q.publish("c", {.delay = 1s}));
    REQUIRE(q.publish("d", {.priority = 1}));
    REQUIRE(q.publish("e", {.priority = 1}));
    CHECK(q.stats().evicted == 1);
    REQUIRE(q.publish("f", {.priority = 2}));
    // b went first, then c though it is delayed; now a is the oldest of the lowest.
    CHECK(q.stats().delayed == 0);
    REQUIRE(q.publish("g", {.priority = 1}));
    CHECK(q.stats().evicted == 3);
    CHECK(support::work_off_text(q) == "fdeg");
    support::check_sound(q);
}

TEST_CASE_FIXTURE(Plain, "drop_oldest evicts for a newcomer of lower priority, too [7.2]") {
    const auto q = broker.queue("q", {.capacity = 2, .overflow = Overflow::drop_oldest});
    REQUIRE(q.publish("a", {.priority = 5}));
    REQUIRE(q.publish("b", {.priority = 5}));
    REQUIRE(q.publish("c"));
    CHECK(support::work_off_text(q) == "bc");
    support::check_sound(q);
}

TEST_CASE_FIXTURE(Plain, "drop_oldest evicts dead letters first, oldest death first [7.2]") {
    const auto q = broker.queue("q", {.capacity = 4, .overflow = Overflow::drop_oldest});
    std::vector<latchbox::Delivery<std::string>> held;
    for (const char* body : {"a", "b", "c"}) {
        REQUIRE(q.publish(body));
        held.push_back(q.try_fetch().value());
    }
    REQUIRE(held[1].reject());
    REQUIRE(held[0].reject());
    REQUIRE(held[2].release());
    REQUIRE(q.publish("d"));
    REQUIRE(q.publish("e"));
    CHECK(q.dead_letters().size() == 1);
    q.dead_letters().for_each([](const auto& letter) { CHECK(letter.body() == "a"); });
    REQUIRE(q.publish("f"));
    CHECK(q.dead_letters().size() == 0);
    REQUIRE(q.publish("g"));
    CHECK(support::work_off_text(q) == "defg");
    CHECK(q.stats().evicted == 3);
    support::check_sound(q);
}

TEST_CASE_FIXTURE(Plain, "drop_oldest never evicts what is leased [7.2] [4.2]") {
    const auto q = broker.queue("q", {.capacity = 2, .overflow = Overflow::drop_oldest});
    REQUIRE(q.publish("a"));
    REQUIRE(q.publish("b"));
    auto a = q.try_fetch();
    REQUIRE(q.publish("c"));
    CHECK(q.stats().evicted == 1);
    auto c = q.try_fetch();
    REQUIRE(c);
    CHECK(c->body() == "c");
    CHECK(q.publish("d") == Errc::full);
    CHECK(q.stats().evicted == 1);
    CHECK(a->ack());
    CHECK(q.publish("d"));
    CHECK(c->ack());
    support::check_sound(q);
}

TEST_CASE_FIXTURE(Plain, "what was released or requeued is evicted by the place it has [7.2]") {
    const auto q = broker.queue("q", {.capacity = 3, .overflow = Overflow::drop_oldest});
    for (const char* body : {"a", "b", "c"}) { REQUIRE(q.publish(body)); }
    REQUIRE(q.try_fetch()->requeue());
    REQUIRE(q.try_fetch()->release());
    REQUIRE(q.publish("d"));
    REQUIRE(q.publish("e"));
    CHECK(support::work_off_text(q) == "ade");
    support::check_sound(q);
}

TEST_CASE_FIXTURE(Plain, "a batch evicts for all of itself, or for nothing [7.2] [4.11]") {
    const auto q = broker.queue("q", {.capacity = 4, .overflow = Overflow::drop_oldest});
    std::vector<std::string> three = {"x", "y", "z"};
    for (const char* body : {"a", "b", "c", "d"}) { REQUIRE(q.publish(body)); }
    auto a = q.try_fetch();
    auto b = q.try_fetch();
    REQUIRE(b);
    CHECK(q.publish_batch(three) == Errc::full);
    CHECK(three == std::vector<std::string>{"x", "y", "z"});
    CHECK(q.stats().evicted == 0);
    CHECK(b->release());
    CHECK(q.publish_batch(three));
    CHECK(q.stats().evicted == 3);
    CHECK(a->release());
    CHECK(support::work_off_text(q) == "axyz");
    support::check_sound(q);
}

TEST_CASE_FIXTURE(Plain, "a body evicted under a late holder stays readable [4.8] [7.2]") {
    const auto q = broker.queue(
        "q", {.lease = 1s, .capacity = 1, .overflow = Overflow::drop_oldest});
    REQUIRE(q.publish(std::string(100, 'a')));
    auto late = q.try_fetch();
    REQUIRE(late);
    clock.advance(1s);
    REQUIRE(q.publish(std::string(100, 'b')));
    CHECK(q.stats().evicted == 1);
    CHECK(late->body() == std::string(100, 'a'));
    CHECK(late->ack() == Errc::lease_lost);
    CHECK(q.pop().value() == std::string(100, 'b'));
    support::check_sound(q);
}

// --- dead_capacity ---------------------------------------------------------------------------

TEST_CASE_FIXTURE(Plain, "beyond dead_capacity the oldest dead letter is purged [7.2] [4.12]") {
    const auto q = broker.queue("q", {.dead_capacity = 2});
    for (const char* body : {"a", "b", "c", "d"}) {
        REQUIRE(q.publish(body));
        REQUIRE(q.try_fetch()->reject());
    }
    std::string left;
    q.dead_letters().for_each([&](const auto& letter) { left += letter.body(); });
    CHECK(left == "cd");
    CHECK(q.stats().dead == 2);
    CHECK(q.stats().purged == 2);
    CHECK(q.stats().rejected == 4);
    support::check_sound(q);
}

TEST_CASE_FIXTURE(Plain, "with no dead_capacity at all a dying message is purged [7.2]") {
    const auto q = broker.queue("q", {.lease = 10s, .max_failures = 1, .dead_capacity = 0});
    REQUIRE(q.publish("rejected"));
    auto rejected = q.try_fetch();
    REQUIRE(rejected->reject());
    CHECK(rejected->body() == "rejected");
    REQUIRE(q.publish("failed"));
    REQUIRE(q.try_fetch()->fail());
    REQUIRE(q.publish("late"));
    static_cast<void>(q.try_fetch()->lease_lost());
    auto late = q.try_fetch();
    REQUIRE(late);
    clock.advance(10s);
    CHECK(q.dead_letters().size() == 0);
    CHECK(q.stats().purged == 3);
    CHECK(q.size() == 0);
    support::check_sound(q);
}

// --- block -----------------------------------------------------------------------------------

struct Blocked : Watched {
    WatchedQueue q = broker.queue(
        "q", {.lease = 10s, .capacity = 1, .overflow = Overflow::block, .block_for = 5s});
    Errc outcome = Errc::empty;

    Blocked() { REQUIRE(q.publish("first")); }
    ~Blocked() { support::check_sound(q); }

    template <class Publish> std::thread waiting(Publish publish) {
        std::thread thread{[this, publish] { outcome = error_of(publish()); }};
        WatchedThreads::until_asleep(1);
        return thread;
    }
    std::thread waiting() {
        return waiting([this] { return q.publish("second"); });
    }
};

TEST_CASE_FIXTURE(Blocked, "a blocked publish goes on as soon as there is room [7.2] [4.9]") {
    auto publisher = waiting();
    SUBCASE("by an ack") { CHECK(q.try_fetch()->ack()); }
    SUBCASE("by a pop") { CHECK(q.pop()); }
    SUBCASE("by a purge") { CHECK(q.purge() == 1); }
    SUBCASE("by a dead letter taken") {
        REQUIRE(q.try_fetch()->reject());
        CHECK(q.dead_letters().take());
    }
    publisher.join();
    CHECK(outcome == Errc{});
    CHECK(q.stats().accepted == 2);
    CHECK(q.pop().value() == "second");
}

TEST_CASE_FIXTURE(Blocked, "room that time makes lets a blocked publish go on [7.2] [4.9] [4.3]") {
    CHECK(q.pop());
    REQUIRE(q.publish("mortal", {.expires_in = 2s}));
    auto publisher = waiting();
    clock.advance(2s);
    publisher.join();
    CHECK(outcome == Errc{});
    CHECK(q.stats().expired == 1);
}

TEST_CASE_FIXTURE(Blocked, "a blocked publish gives up when its time is over [7.2] [4.3]") {
    SUBCASE("the queue's") {
        auto publisher = waiting();
        clock.advance(5s - 1ns);
        CHECK(q.stats().accepted == 1);
        clock.advance(1ns);
        publisher.join();
    }
    SUBCASE("its own") {
        auto publisher = waiting([this] { return q.publish("second", {.block_for = 1min}); });
        clock.advance(59s);
        CHECK(q.stats().accepted == 1);
        clock.advance(1s);
        publisher.join();
    }
    SUBCASE("room at its end comes too late") {
        auto publisher = waiting();
        clock.advance(5s);
        CHECK(q.pop());
        publisher.join();
    }
    CHECK(outcome == Errc::timed_out);
    CHECK(q.stats().accepted == 1);
}

TEST_CASE_FIXTURE(Blocked, "a publish with no time to wait is over at once [7.2]") {
    std::string body(40, 's');
    CHECK(q.publish(std::move(body), {.block_for = 0s}) == Errc::timed_out);
    CHECK(body == std::string(40, 's'));
    std::vector<std::string> batch = {"x", "y"};
    CHECK(q.publish_batch(batch, {.block_for = 0s}).has_value() == false);
    CHECK(batch == std::vector<std::string>{"x", "y"});
    CHECK(q.stats().accepted == 1);
}

TEST_CASE_FIXTURE(Blocked, "a message whose publish gave up is not moved from [7.2] [4.11]") {
    std::string body(40, 's');
    std::stop_source stop;
    auto publisher =
        waiting([&, this] { return q.publish(std::move(body), {}, stop.get_token()); });
    Errc expected{};
    SUBCASE("at its time") {
        clock.advance(5s);
        expected = Errc::timed_out;
    }
    SUBCASE("by a stop") {
        stop.request_stop();
        expected = Errc::cancelled;
    }
    SUBCASE("by close") {
        broker.close();
        expected = Errc::closed;
    }
    SUBCASE("by the removal of the queue") {
        broker.remove("q");
        expected = Errc::closed;
    }
    publisher.join();
    CHECK(outcome == expected);
    CHECK(body == std::string(40, 's'));
}

TEST_CASE_FIXTURE(Blocked, "who gives up does not take the room with him [7.2] [4.9]") {
    std::stop_source stop;
    Errc first{};
    Errc second = Errc::empty;
    std::thread leaving{[&] { first = error_of(q.publish("x", {}, stop.get_token())); }};
    WatchedThreads::until_asleep(1);
    std::thread staying{[&] { second = error_of(q.publish("second")); }};
    WatchedThreads::until_asleep(2);
    stop.request_stop();
    leaving.join();
    CHECK(q.pop());
    staying.join();
    CHECK(first == Errc::cancelled);
    CHECK(second == Errc{});
    CHECK(q.pop().value() == "second");
}

TEST_CASE_FIXTURE(Blocked, "blocked publishers are served first come, first served [7.2] [4.9]") {
    std::vector<std::thread> publishers;
    for (int i = 0; i < 3; ++i) {
        publishers.emplace_back([this, i] {
            if (!q.publish(std::to_string(i))) { outcome = Errc::full; }
        });
        WatchedThreads::until_asleep(i + 1);
    }
    std::string order;
    for (std::uint64_t taken = 1; taken <= 4; ++taken) {
        while (q.stats().accepted < taken) { std::this_thread::yield(); }
        order += q.pop().value_or("-");
    }
    for (std::thread& publisher : publishers) { publisher.join(); }
    CHECK(order == "first012");
    CHECK(outcome == Errc::empty);
}

TEST_CASE_FIXTURE(Blocked, "room promised to one who waits is not given to one who comes "
                           "[7.2] [4.9]") {
    auto publisher = waiting();
    CHECK(q.pop());
    // Whether or not the waiting thread has run yet, the room is its own.
    std::string body = "third";
    CHECK(q.publish(std::move(body), {.block_for = 0s}) == Errc::timed_out);
    publisher.join();
    CHECK(outcome == Errc{});
    CHECK(q.pop().value() == "second");
}

TEST_CASE_FIXTURE(Blocked, "a blocked publish holds up nobody else [7.2]") {
    auto publisher = waiting();
    CHECK(broker.queue("other").publish("x"));
    CHECK(broker.stats().queues == 2);
    CHECK(q.stats().ready == 1);
    CHECK(q.dead_letters().size() == 0);
    auto delivery = q.try_fetch();
    REQUIRE(delivery);
    CHECK(delivery->release());
    CHECK(q.try_fetch()->ack());
    publisher.join();
    CHECK(outcome == Errc{});
}

TEST_CASE_FIXTURE(Blocked, "a blocked batch waits for room for all of it [7.2] [4.11]") {
    const auto wide = broker.queue(
        "wide", {.capacity = 3, .overflow = Overflow::block, .block_for = 5s});
    std::vector<std::string> three = {"a", "b", "c"};
    REQUIRE(wide.publish_batch(three));
    std::vector<std::string> two = {"d", "e"};
    auto publisher = waiting([&] { return wide.publish_batch(two); });
    CHECK(wide.pop());
    CHECK(wide.stats().accepted == 3);
    CHECK(wide.pop());
    publisher.join();
    CHECK(outcome == Errc{});
    CHECK(support::work_off_text(wide) == "cde");
    support::check_sound(wide);
}

}  // namespace
