// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/broker_shell.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"
#include "support/sound.hpp"
#include "support/tracked_message.hpp"

// What all queues of one broker share: names, time, the end.
namespace {

using namespace std::chrono_literals;
using latchbox::Errc;
using latchbox::Instant;
using latchbox::detail::Access;
using support::TrackedMessage;

// Its end is written down, by a number.
struct Logged {
    explicit Logged(int n) : number{n} {}
    Logged(Logged&& other) noexcept : number{std::exchange(other.number, 0)} {}
    Logged& operator=(Logged&&) = delete;
    ~Logged() {
        if (number != 0) { log.push_back(number); }
    }
    int number;
    inline static std::vector<int> log = {};
};

TEST_CASE("numbers of queues are drawn once in the process, and never 0") {
    std::vector<std::uint32_t> drawn[2];
    std::vector<std::thread> threads;
    for (auto& mine : drawn) {
        threads.emplace_back([&mine] {
            for (int i = 0; i < 1'000; ++i) {
                mine.push_back(latchbox::detail::draw_number());
            }
        });
    }
    for (auto& thread : threads) { thread.join(); }
    std::set<std::uint32_t> all(drawn[0].begin(), drawn[0].end());
    all.insert(drawn[1].begin(), drawn[1].end());
    CHECK(all.size() == 2'000);
    CHECK(all.count(0) == 0);
}

TEST_CASE("one name is one queue, however many ask for it at once") {
    latchbox::Broker<TrackedMessage> broker;
    for (int rounds = 0; rounds < 50; ++rounds) {
        const std::string name = "queue." + std::to_string(rounds);
        std::vector<latchbox::Queue<TrackedMessage>> found;
        std::thread other{[&] { static_cast<void>(broker.queue(name).stats()); }};
        found.push_back(broker.queue(name));
        other.join();
        found.push_back(broker.queue(name));
        REQUIRE(found[0] == found[1]);
    }
    CHECK(broker.stats().queues == 50);
}

struct Timed {
    latchbox::ManualClock clock;
    latchbox::Broker<Logged> broker{{.clock = &clock}};

    Timed() { Logged::log.clear(); }
    void publish(const std::string& queue, int n, const latchbox::PublishOptions& options) {
        REQUIRE(broker.queue(queue).publish(Logged{n}, options));
    }
};

TEST_CASE_FIXTURE(Timed, "due things happen in the order of their instants, in all queues [4.3]") {
    publish("a", 3, {.expires_in = 3s});
    publish("b", 1, {.expires_in = 1s});
    publish("a", 5, {.expires_in = 5s});
    publish("b", 4, {.expires_in = 4s});
    publish("c", 2, {.expires_in = 2s});
    clock.advance(5s);
    SUBCASE("whichever call finds them") { CHECK(broker.queue("c").size() == 0); }
    SUBCASE("or a poll") { CHECK(broker.poll().is_never()); }
    CHECK(Logged::log == std::vector<int>{1, 2, 3, 4, 5});
}

TEST_CASE_FIXTURE(Timed,
                  "at one instant by number, then by the order in which queues were made "
                  "[4.3]") {
    for (const char* queue : {"q", "p", "o", "n", "m"}) { static_cast<void>(broker.queue(queue)); }
    int n = 10;
    for (const char* queue : {"m", "n", "o", "p", "q"}) { publish(queue, n--, {.expires_in = 5s}); }
    for (const char* queue : {"m", "n", "o", "p", "q"}) {
        publish(queue, n-- + 10, {.expires_in = 5s});
    }
    clock.advance(5s);
    broker.poll();
    CHECK(Logged::log == std::vector<int>{6, 7, 8, 9, 10, 11, 12, 13, 14, 15});
}

TEST_CASE_FIXTURE(Timed, "poll tells when something is next due, exactly [7.4]") {
    CHECK(broker.poll().is_never());
    publish("a", 1, {.delay = 3s});
    publish("b", 2, {.delay = 5s});
    CHECK(broker.poll() == Instant{3s});
    REQUIRE(broker.queue("a").purge() == 1);
    CHECK(broker.poll() == Instant{5s});
    clock.advance(5s);
    CHECK(broker.poll().is_never());
    CHECK(broker.queue("b").stats().ready == 1);
    static_cast<void>(broker.queue("b").try_fetch());
    broker.close();
    CHECK(broker.poll().is_never());
}

TEST_CASE_FIXTURE(Timed, "poll also tells when something ages out, whichever comes first [6.6]") {
    const auto topic = broker.topic("t", {.retain_for = 4s});
    REQUIRE(topic.publish(Logged{1}));
    CHECK(broker.poll() == Instant{4s});
    publish("a", 2, {.delay = 3s});
    CHECK(broker.poll() == Instant{3s});
    clock.advance(3s);
    CHECK(broker.poll() == Instant{4s});
    CHECK(Logged::log.empty());
    clock.advance(1s);
    CHECK(broker.poll().is_never());
    CHECK(Logged::log == std::vector<int>{1});
}

TEST_CASE_FIXTURE(Timed, "stats count topics, subscriptions, and what nobody got or can read") {
    const auto topic = broker.topic("t", {.retain_count = 2});
    for (int n = 1; n <= 3; ++n) { REQUIRE(topic.publish(Logged{n})); }
    auto stats = broker.stats();
    CHECK(stats.topics == 1);
    CHECK(stats.queues == 0);
    CHECK(stats.subscriptions == 0);
    CHECK(stats.discarded == 3);
    CHECK(stats.retained == 2);
    CHECK(stats.aged_out == 1);
    {
        const auto one = broker.subscribe("t");
        const auto member = broker.subscribe("t", {.group = "g"});
        const auto another = broker.subscribe("t", {.group = "g"});
        const auto other = broker.topic("other");
        REQUIRE(topic.publish(Logged{4}));
        stats = broker.stats();
        CHECK(stats.topics == 2);
        CHECK(stats.queues == 0);
        CHECK(stats.subscriptions == 2);
        CHECK(stats.messages.ready == 2);
    }
    stats = broker.stats();
    CHECK(stats.topics == 1);
    CHECK(stats.subscriptions == 0);
    CHECK(stats.messages.accepted == 2);
    CHECK(stats.messages.purged == 2);
    CHECK(support::conserved(stats.messages));
    CHECK(stats.discarded == 3);
}

TEST_CASE_FIXTURE(Timed, "a removed queue is gone by name, and its messages stay counted [4.1]") {
    publish("a", 1, {});
    const auto old = *broker.find_queue("a");
    auto delivery = old.try_fetch();
    publish("a", 2, {});
    CHECK_FALSE(broker.remove("b"));
    REQUIRE(broker.remove("a"));
    CHECK_FALSE(broker.remove("a"));
    CHECK_FALSE(broker.find_queue("a"));
    CHECK(Logged::log == std::vector<int>{2});
    const auto now = broker.queue("a");
    CHECK(now != old);
    clock.advance(1h);
    const auto stats = broker.stats();
    CHECK(stats.queues == 1);
    CHECK(stats.messages.accepted == 2);
    CHECK(stats.messages.purged == 2);
    CHECK(support::conserved(stats.messages));
}

TEST_CASE_FIXTURE(Timed, "queues are visited oldest first, removed ones left out") {
    for (const char* queue : {"c", "a", "b"}) { publish(queue, 1, {}); }
    REQUIRE(broker.remove("a"));
    publish("a", 1, {});
    std::string names;
    for (const auto& left : broker.close().queues) { names += left.queue; }
    CHECK(names == "cba");
}

// Calls back once, from inside `now`.
struct CallingClock final : latchbox::Clock {
    std::function<void()> hook;
    Instant now() noexcept override {
        if (const auto call = std::exchange(hook, {})) { call(); }
        return Instant{};
    }
};

TEST_CASE("a close inside a close lets go of every body once [4.8] [4.10] [7.5]") {
    CallingClock clock;
    latchbox::Broker<TrackedMessage> broker{{.clock = &clock}};
    const auto queue = broker.queue("queue");
    REQUIRE(queue.publish(TrackedMessage{7}));
    REQUIRE(queue.publish(TrackedMessage{8}));
    auto delivery = queue.try_fetch();
    clock.hook = [&] { broker.close(); };
    broker.close();
    // The body is still its holder's; that of the other message is gone.
    CHECK(delivery->body().digest() == 7);
    CHECK(TrackedMessage::live() == 1);
    delivery = Errc::empty;
    CHECK(TrackedMessage::live() == 0);
}

TEST_CASE("any call may come from inside the clock [4.10]") {
    CallingClock clock;
    latchbox::Broker<TrackedMessage> broker{{.clock = &clock}};
    const auto queue = broker.queue("queue");
    clock.hook = [&] { REQUIRE(queue.publish(TrackedMessage{1})); };
    REQUIRE(queue.publish(TrackedMessage{2}));
    clock.hook = [&] { CHECK(queue.pop()->digest() == 1); };
    CHECK(queue.pop()->digest() == 2);
    clock.hook = [&] { CHECK(broker.remove("queue")); };
    CHECK(queue.publish(TrackedMessage{3}) == Errc::closed);
    CHECK(TrackedMessage::live() == 0);
}

}  // namespace
