// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"

#include "support/sound.hpp"
#include "support/watched_threads.hpp"

// A drain lets what is there come to its end, through as many stages as that takes: only what is
// published together with a settle comes in.
namespace {

using namespace std::chrono_literals;
using latchbox::CloseReport;
using latchbox::Duration;
using latchbox::Errc;
using latchbox::Overflow;
using support::error_of;
using support::WatchedThreads;

struct Draining {
    using Broker = latchbox::Broker<std::string, WatchedThreads>;
    using Queue = latchbox::Queue<std::string, WatchedThreads>;
    using Delivery = latchbox::Delivery<std::string, WatchedThreads>;

    latchbox::ManualClock clock;
    Broker broker{{.clock = &clock}};
    Queue a = broker.queue("a", {.lease = 10s});
    Queue b = broker.queue("b", {.lease = 10s});
    CloseReport report;
    std::thread draining;
    std::atomic<bool> over{false};

    ~Draining() {
        if (draining.joinable()) {
            broker.close();
            draining.join();
        }
        support::check_sound(a);
        support::check_sound(b);
        CHECK(support::conserved(broker.stats().messages));
    }
    Delivery hold(const Queue& queue, const char* body) {
        REQUIRE(queue.publish(body));
        auto delivery = queue.try_fetch();
        REQUIRE(delivery);
        return std::move(*delivery);
    }
    // Returns when it waits.
    void drain(Duration timeout = 1h, int others_asleep = 0) {
        draining = std::thread{[this, timeout] {
            report = broker.drain(timeout);
            over = true;
        }};
        WatchedThreads::until_asleep(1 + others_asleep);
    }
    const CloseReport& end() {
        draining.join();
        CHECK(a.try_fetch() == Errc::closed);
        return report;
    }
};

TEST_CASE_FIXTURE(Draining, "what is published with a settle comes into a drain [7.5] [7.3]") {
    auto delivery = hold(a, "a");
    drain();
    CHECK(a.publish("x") == Errc::closed);
    CHECK(b.publish("x", {.dedup = "v"}) == Errc::closed);
    CHECK(broker.topic("s").publish("x") == Errc::closed);
    SUBCASE("ack_and_publish") { REQUIRE(delivery.ack_and_publish(b, "next")); }
    SUBCASE("forward") { REQUIRE(delivery.forward(b)); }
    SUBCASE("a transaction that acks") {
        auto transaction = broker.transaction();
        REQUIRE(transaction.publish(b, "next"));
        REQUIRE(transaction.ack(std::move(delivery)));
        REQUIRE(transaction.commit());
    }
    SUBCASE("a transaction that rejects") {
        auto transaction = broker.transaction();
        REQUIRE(transaction.reject(std::move(delivery)));
        REQUIRE(transaction.publish(b, "next"));
        REQUIRE(transaction.commit());
        CHECK(a.dead_letters().purge() == 1);
    }
    CHECK(a.size() == 0);
    CHECK(b.stats().ready == 1);
    CHECK_FALSE(over);
    // Through any number of stages, back to the first.
    for (int i = 0; i < 10; ++i) {
        REQUIRE(b.try_fetch()->forward(a));
        REQUIRE(a.try_fetch()->forward(b));
    }
    CHECK_FALSE(over);
    CHECK(b.publish("x") == Errc::closed);
    REQUIRE(b.pop());
    CHECK(end().left() == 0);
}

TEST_CASE_FIXTURE(Draining, "a commit that settles nothing is closed in a drain [7.5] [7.3]") {
    auto delivery = hold(a, "a");
    auto transaction = broker.transaction();
    REQUIRE(transaction.publish(b, "early"));
    drain();
    CHECK(transaction.commit() == Errc::closed);
    CHECK(b.stats().accepted == 0);
    // With a settle it may go.
    REQUIRE(transaction.ack(std::move(delivery)));
    REQUIRE(transaction.commit());
    CHECK(b.pop().value() == "early");
    CHECK(end().left() == 0);
}

TEST_CASE_FIXTURE(Draining, "refused in a drain, a commit is as refused as ever [7.5] [7.3]") {
    const auto tight = broker.queue("tight", {.capacity = 1, .overflow = Overflow::block});
    REQUIRE(tight.publish("there"));
    auto delivery = hold(a, "a");
    drain();
    CHECK(delivery.forward(tight) == Errc::full);
    CHECK(delivery.ack_and_publish(b, "x", {.parents = {latchbox::MessageId{}}}) ==
          Errc::unknown_parent);
    REQUIRE(tight.pop());
    CHECK_FALSE(over);
    REQUIRE(delivery.forward(tight));
    REQUIRE(tight.pop());
    CHECK(end().left() == 0);
}

TEST_CASE_FIXTURE(Draining, "a drain waits for what a transaction holds [7.5] [7.3]") {
    std::optional<latchbox::Transaction<std::string, WatchedThreads>> transaction =
        broker.transaction();
    REQUIRE(transaction->ack(hold(a, "a")));
    REQUIRE(transaction->publish(b, "b"));
    SUBCASE("committed") {
        drain();
        REQUIRE(transaction->commit());
        CHECK_FALSE(over);
        REQUIRE(b.pop());
        CHECK(end().left() == 0);
    }
    SUBCASE("dropped") {
        drain();
        transaction.reset();
        CHECK_FALSE(over);
        REQUIRE(a.pop());
        CHECK(end().left() == 0);
        CHECK(b.stats().accepted == 0);
    }
    SUBCASE("too late") {
        drain(5s);
        clock.advance(5s);
        CHECK(end().leased == 1);
        CHECK(transaction->commit() == Errc::closed);
        CHECK(b.stats().accepted == 0);
    }
}

TEST_CASE_FIXTURE(Draining, "what a commit delays, blocks or spreads is drained, too [7.5] [7.3]") {
    const auto s = broker.subscribe("s");
    const auto t = broker.subscribe("s");
    auto delivery = hold(a, "a");
    drain();
    SUBCASE("delayed") {
        REQUIRE(delivery.ack_and_publish(b, "later", {.delay = 5s}));
        clock.advance(5s - 1ns);
        CHECK(b.try_fetch() == Errc::empty);
        CHECK_FALSE(over);
        clock.advance(1ns);
        REQUIRE(b.pop());
    }
    SUBCASE("blocked") {
        auto transaction = broker.transaction();
        REQUIRE(transaction.publish(b, "head", {.key = "k"}));
        REQUIRE(transaction.publish(b, "tail", {.key = "k"}));
        REQUIRE(transaction.ack(std::move(delivery)));
        REQUIRE(transaction.commit());
        REQUIRE(b.pop());
        CHECK_FALSE(over);
        REQUIRE(b.pop());
    }
    SUBCASE("spread") {
        auto transaction = broker.transaction();
        REQUIRE(transaction.publish(broker.topic("s"), "m"));
        REQUIRE(transaction.ack(std::move(delivery)));
        REQUIRE(transaction.commit());
        REQUIRE(s.pop());
        CHECK_FALSE(over);
        REQUIRE(t.pop());
    }
    SUBCASE("discarded") {
        auto transaction = broker.transaction();
        REQUIRE(transaction.publish(broker.topic("nobody"), "m"));
        REQUIRE(transaction.ack(std::move(delivery)));
        REQUIRE(transaction.commit());
    }
    CHECK(end().left() == 0);
    CHECK(b.stats().held() == 0);
    support::check_sound(s);
    support::check_sound(t);
}

TEST_CASE_FIXTURE(Draining, "who waits for a message gets what comes into a drain [7.5] [4.9]") {
    auto delivery = hold(a, "a");
    std::string got;
    std::thread waiting{[&] {
        auto next = b.fetch();
        if (next) {
            got = next->body();
            next->ack();
        }
    }};
    WatchedThreads::until_asleep(1);
    drain(1h, 1);
    REQUIRE(delivery.forward(b));
    waiting.join();
    CHECK(got == "a");
    CHECK(end().left() == 0);
}

TEST_CASE_FIXTURE(Draining, "by whatever exit the last one leaves, the drain is over [7.5] [4.9]") {
    const auto last = a.publish("last", {.expires_in = 20s});
    REQUIRE(last);
    auto s = broker.subscribe("s", {.capacity = 1});
    std::uint64_t dead = 0;
    SUBCASE("acked") {
        drain();
        REQUIRE(a.try_fetch()->ack());
    }
    SUBCASE("acked by receipt") {
        const auto receipt = a.try_fetch().value().detach();
        drain();
        REQUIRE(a.ack(receipt));
    }
    SUBCASE("popped") {
        drain();
        REQUIRE(a.pop_all());
    }
    SUBCASE("taken") {
        drain();
        REQUIRE(a.try_fetch()->take());
    }
    SUBCASE("cancelled") {
        drain();
        REQUIRE(a.cancel(*last));
    }
    SUBCASE("purged") {
        drain();
        REQUIRE(a.purge() == 1);
    }
    SUBCASE("rejected") {
        drain();
        dead = 1;
        REQUIRE(a.try_fetch()->reject());
    }
    SUBCASE("expired: the drain itself sees it") {
        drain();
        clock.advance(20s);
    }
    SUBCASE("expired as its lease ran out") {
        REQUIRE(a.pop());
        REQUIRE(a.publish("mortal", {.expires_in = 1s}));
        static_cast<void>(a.try_fetch().value().detach());
        drain();
        clock.advance(20s);
    }
    SUBCASE("removed") {
        drain();
        REQUIRE(broker.remove("a"));
    }
    SUBCASE("left behind by its subscriber") {
        REQUIRE(a.pop());
        REQUIRE(broker.topic("s").publish("m"));
        drain();
        s.unsubscribe();
    }
    SUBCASE("committed to nowhere") {
        drain();
        auto transaction = broker.transaction();
        REQUIRE(transaction.ack(a.try_fetch().value()));
        REQUIRE(transaction.commit());
    }
    draining.join();
    CHECK(report.left() == dead);
    CHECK(report.dead == dead);
    CHECK(a.try_fetch() == Errc::closed);
}

TEST_CASE_FIXTURE(Draining, "a dead letter redriven in a drain is drained [7.5] [5.6]") {
    REQUIRE(hold(a, "dead").reject("no"));
    REQUIRE(a.publish("ready"));
    drain();
    CHECK(a.dead_letters().redrive() == 1);
    REQUIRE(a.pop());
    CHECK_FALSE(over);
    REQUIRE(a.pop());
    CHECK(end().left() == 0);
}

TEST_CASE_FIXTURE(Draining, "a drain without a limit ends when all is done [7.5] [7.6]") {
    REQUIRE(a.publish("a", {.delay = 365 * 24h}));
    drain(Duration::never());
    for (int i = 0; i < 364; ++i) { clock.advance(24h); }
    CHECK_FALSE(over);
    clock.advance(24h);
    REQUIRE(a.pop());
    CHECK(end().left() == 0);
}

TEST_CASE_FIXTURE(Draining, "the report of a drain is that of a close [7.5]") {
    REQUIRE(hold(a, "dead").reject("no"));
    const auto parent = a.publish("ready");
    const auto child = b.publish("blocked", {.parents = {*parent}});
    REQUIRE(child);
    REQUIRE(b.publish("delayed", {.delay = 1h}));
    auto leased = hold(b, "leased");
    CHECK(leased.extend(2h));
    drain(30min);
    CHECK(leased.ack_and_publish(b, "more", {.delay = 2h}));
    clock.advance(30min);
    const CloseReport said = end();
    CHECK(said == broker.close());
    CHECK(said.dead == 1);
    CHECK(said.ready == 1);
    CHECK(said.blocked == 1);
    CHECK(said.delayed == 2);
    CHECK(said.leased == 0);
    CHECK(said.queues.size() == 2);
    for (const auto& left : said.queues) {
        if (left.queue == "b") {
            CHECK(left.blocked_messages == std::vector<latchbox::MessageId>{*child});
        }
    }
}

TEST_CASE_FIXTURE(Draining, "a drain first does what is due, then judges [7.5] [4.3]") {
    REQUIRE(a.publish("mortal", {.expires_in = 5s}));
    clock.advance(5s);
    CHECK(broker.drain(1h).left() == 0);
    CHECK(a.stats().expired == 1);
}

// --- with real threads -----------------------------------------------------------------------

TEST_CASE("a drain never ends between two stages [7.5] [7.3]") {
    // One message walks between two queues; at no instant of its way is the broker empty.
    constexpr int steps = 300;
    for (int round = 0; round < 20; ++round) {
        latchbox::Broker<int> broker;
        const auto a = broker.queue("a", {.lease = 1h});
        const auto b = broker.queue("b", {.lease = 1h});
        REQUIRE(a.publish(0));
        int walked = 0;
        std::thread walking{[&] {
            for (; walked < steps; ++walked) {
                auto delivery = (walked % 2 == 0 ? a : b).try_fetch();
                if (!delivery || !delivery->forward(walked % 2 == 0 ? b : a)) { return; }
            }
            static_cast<void>(a.pop());
        }};
        const CloseReport report = broker.drain(1h);
        walking.join();
        REQUIRE(walked == steps);
        REQUIRE(report.left() == 0);
    }
}

TEST_CASE("three stages are drained to the last message [7.5] [7.3]") {
    constexpr int messages = 2'000;
    latchbox::Broker<int> broker;
    const latchbox::Queue<int> stages[] = {broker.queue("1"), broker.queue("2"), broker.queue("3")};
    for (int n = 0; n < messages; ++n) { REQUIRE(stages[0].publish(n)); }
    std::atomic<int> done{0};
    std::vector<std::thread> working;
    for (std::size_t i = 0; i < 6; ++i) {
        working.emplace_back([&, stage = i % 3] {
            while (auto delivery = stages[stage].fetch()) {
                if (stage == 2) {
                    if (delivery->ack()) { ++done; }
                } else if (!delivery->forward(stages[stage + 1])) {
                    return;
                }
            }
        });
    }
    CHECK(broker.drain(1h).left() == 0);
    for (std::thread& thread : working) { thread.join(); }
    CHECK(done == messages);
    for (const auto& stage : stages) {
        CHECK(stage.stats().completed == messages);
        support::check_sound(stage);
    }
}

TEST_CASE("what was accepted beside a drain is in its report [7.5] [4.1]") {
    for (int round = 0; round < 50; ++round) {
        latchbox::Broker<int> broker;
        const auto q = broker.queue("q");
        std::atomic<std::uint64_t> accepted{0};
        std::atomic<int> publishing{0};
        std::vector<std::thread> threads;
        for (int i = 0; i < 3; ++i) {
            threads.emplace_back([&] {
                ++publishing;
                while (q.publish(1)) { ++accepted; }
            });
        }
        while (publishing < 3) { std::this_thread::yield(); }
        const CloseReport report = broker.drain(0s);
        for (std::thread& thread : threads) { thread.join(); }
        REQUIRE(report.left() == accepted);
        REQUIRE(q.stats().accepted == accepted);
    }
}

}  // namespace
