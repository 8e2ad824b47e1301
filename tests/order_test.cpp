// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"

#include "support/sound.hpp"

// In which order messages come: first by priority, then in publish order; after that as the verbs
// say that brought them back.
namespace {

using namespace std::chrono_literals;

struct Ordered {
    latchbox::ManualClock clock;
    latchbox::Broker<std::string> broker{{.clock = &clock}};
    latchbox::Queue<std::string> orders = broker.queue("orders", {.lease = 10s});

    void publish(const char* bodies, std::uint8_t priority = 0) const {
        for (; *bodies != '\0'; ++bodies) {
            REQUIRE(orders.publish(std::string(1, *bodies), {.priority = priority}));
        }
    }
    [[nodiscard]] auto fetched(const std::string& expected) const {
        auto delivery = orders.try_fetch().value();
        CHECK(delivery.body() == expected);
        return delivery;
    }
    void comes(const std::string& order) const {
        CHECK(support::work_off_text(orders) == order);
    }
    ~Ordered() { support::check_sound(orders); }
};

TEST_CASE_FIXTURE(Ordered, "first deliveries come in publish order [4.4]") {
    std::string all;
    for (char c = '!'; c < '~'; ++c) { all += c; }
    publish(all.c_str());
    comes(all);
}

TEST_CASE_FIXTURE(Ordered, "a higher priority comes first, in publish order among its own [4.4]") {
    publish("ab", 0);
    publish("yz", 9);
    publish("c", 0);
    publish("mn", 5);
    publish("x", 9);
    comes("yzxmnabc");
    for (std::uint8_t priority = 0; priority < 10; ++priority) {
        publish(std::string(1, static_cast<char>('0' + priority)).c_str(), priority);
    }
    comes("9876543210");
}

TEST_CASE_FIXTURE(Ordered, "a released message returns to its old place [3] [4.4]") {
    publish("abc");
    auto a = fetched("a");
    auto b = fetched("b");
    publish("d");
    REQUIRE(b.release());
    REQUIRE(a.release());
    comes("abcd");
}

TEST_CASE_FIXTURE(Ordered, "its old place is the last one it drew [3]") {
    publish("abc");
    REQUIRE(fetched("a").requeue());
    REQUIRE(fetched("b").release());
    auto b = fetched("b");
    auto c = fetched("c");
    auto a = fetched("a");
    publish("d");
    REQUIRE(a.release());
    REQUIRE(c.release());
    REQUIRE(b.release());
    comes("bcad");
}

TEST_CASE_FIXTURE(Ordered, "whatever else comes back goes behind all that were there [3] [4.4]") {
    publish("abc");
    auto a = fetched("a");
    SUBCASE("requeued") { REQUIRE(a.requeue()); }
    SUBCASE("abandoned") { const auto gone = std::move(a); }
    SUBCASE("its lease ran out") {
        clock.advance(10s);
        broker.poll();
    }
    SUBCASE("failed") {
        REQUIRE(a.fail());
        clock.advance(100ms);
    }
    SUBCASE("redriven") {
        REQUIRE(a.reject());
        CHECK(orders.dead_letters().redrive() == 1);
    }
    publish("d");
    comes("bcad");
}

TEST_CASE_FIXTURE(Ordered, "the place of what comes back is drawn then, due later or not [3]") {
    publish("ab");
    SUBCASE("requeued with a delay") { REQUIRE(fetched("a").requeue(5s)); }
    SUBCASE("failed with a pause") { REQUIRE(fetched("a").fail()); }
    publish("c");
    comes("bc");
    publish("d");
    clock.advance(5s);
    publish("e");
    // Its number lies between b's and c's, thus before d's and e's.
    comes("ade");
}

TEST_CASE_FIXTURE(Ordered, "a delay keeps the place of its publish [3] [4.4]") {
    REQUIRE(orders.publish("a", {.delay = 5s}));
    REQUIRE(orders.publish("b", {.delay = 3s}));
    publish("cd");
    CHECK(fetched("c").ack());
    clock.advance(5s);
    publish("e");
    comes("abde");
}

TEST_CASE_FIXTURE(Ordered, "priority outranks every number, whatever happened before [4.4]") {
    publish("ab", 1);
    publish("z", 2);
    auto z = fetched("z");
    auto a = fetched("a");
    publish("c", 1);
    REQUIRE(a.requeue());
    clock.advance(10s);
    // z came back at the back of its own priority, before all others.
    publish("y", 2);
    comes("zybca");
}

TEST_CASE_FIXTURE(Ordered, "redriven messages come in publish order behind the others [3]") {
    publish("abcd");
    auto a = fetched("a");
    auto b = fetched("b");
    auto c = fetched("c");
    REQUIRE(c.reject());
    REQUIRE(b.reject());
    REQUIRE(a.reject());
    publish("e");
    CHECK(orders.dead_letters().redrive() == 3);
    comes("deabc");
}

TEST_CASE_FIXTURE(Ordered, "a batch comes and goes in order [4.4]") {
    std::vector<std::string> batch = {"a", "b", "c", "d", "e"};
    REQUIRE(orders.publish_batch(batch));
    std::vector<latchbox::Delivery<std::string>> out;
    REQUIRE(orders.fetch_batch(out, 3).value() == 3);
    for (auto& delivery : out) { REQUIRE(delivery.release()); }
    out.clear();
    comes("abcde");
}

TEST_CASE_FIXTURE(Ordered, "evicting and cancelling leave the order of the others [4.4]") {
    publish("abcdefgh");
    const auto id = fetched("a").id();
    REQUIRE(orders.cancel(id));
    const auto c = orders.publish("x");
    REQUIRE(orders.cancel(*c));
    comes("bcdefgh");
}

// Against a naive queue: all verbs at random, many messages, then the whole order.
TEST_CASE_FIXTURE(Ordered, "a thousand comings and goings keep the order [4.4] [3]") {
    struct Place {
        int priority;
        std::uint64_t number;
        std::string body;
    };
    std::vector<Place> ready;
    std::uint64_t next = 0;
    std::uint64_t random = 42;
    const auto pick = [&](std::uint64_t n) {
        random = random * 6364136223846793005U + 1442695040888963407U;
        return (random >> 33) % n;
    };
    const auto first = [&] {
        std::size_t best = 0;
        for (std::size_t i = 1; i < ready.size(); ++i) {
            if (ready[i].priority > ready[best].priority ||
                (ready[i].priority == ready[best].priority &&
                 ready[i].number < ready[best].number)) {
                best = i;
            }
        }
        return best;
    };
    for (int step = 0; step < 3'000; ++step) {
        if (ready.empty() || pick(5) < 2) {
            const auto priority = static_cast<int>(pick(3));
            const std::string body = std::to_string(step);
            REQUIRE(orders.publish(body, {.priority = static_cast<std::uint8_t>(priority)}));
            ready.push_back({priority, next++, body});
            continue;
        }
        const std::size_t at = first();
        auto delivery = orders.try_fetch();
        REQUIRE(delivery);
        REQUIRE(delivery->body() == ready[at].body);
        switch (pick(4)) {
            case 0: REQUIRE(delivery->release()); break;
            case 1:
                REQUIRE(delivery->requeue());
                ready[at].number = next++;
                break;
            case 2:
                static_cast<void>(std::move(*delivery).detach());
                clock.advance(10s);
                ready[at].number = next++;
                break;
            default:
                REQUIRE(delivery->ack());
                ready.erase(ready.begin() + static_cast<std::ptrdiff_t>(at));
                break;
        }
    }
    while (!ready.empty()) {
        const std::size_t at = first();
        REQUIRE(orders.pop().value() == ready[at].body);
        ready.erase(ready.begin() + static_cast<std::ptrdiff_t>(at));
    }
    CHECK(orders.size() == 0);
}

}  // namespace
