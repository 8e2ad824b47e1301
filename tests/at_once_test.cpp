// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/at_once.hpp"

#include <string>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"

// A publish without a wish goes another way than one with wishes, to the same result.
namespace {

using latchbox::Errc;
using namespace std::chrono_literals;

TEST_CASE("a message without a wish is accepted like one that spells the defaults out [4.4]") {
    latchbox::Broker<std::string> broker;
    const auto queue = broker.queue("orders", {.capacity = 4});
    const latchbox::PublishOptions spelt;
    REQUIRE(queue.publish("a"));
    REQUIRE(queue.publish("b", spelt));
    REQUIRE(queue.publish("c"));
    REQUIRE(queue.publish("d", spelt));
    std::string refused = "e";
    CHECK(queue.publish(std::move(refused)) == Errc::full);
    CHECK(refused == "e");
    CHECK(queue.publish(std::move(refused), spelt) == Errc::full);
    CHECK(refused == "e");
    CHECK(queue.stats().refused == 2);
    CHECK(queue.pop_all().value() == std::vector<std::string>{"a", "b", "c", "d"});
}

TEST_CASE("what a message without a wish finds in its way is answered as for any other") {
    latchbox::ManualClock clock;
    latchbox::Broker<std::string> broker{{.clock = &clock}};
    SUBCASE("something is due first [4.3]") {
        const auto queue = broker.queue("orders", {.lease = 1s});
        REQUIRE(queue.publish("first"));
        auto lost = queue.try_fetch();
        clock.advance(1s);
        REQUIRE(queue.publish("second"));
        CHECK(queue.try_fetch()->body() == "first");  // was back before
        CHECK(lost->ack() == Errc::lease_lost);
    }
    SUBCASE("the oldest has to go [7.2]") {
        const auto queue =
            broker.queue("orders", {.capacity = 1, .overflow = latchbox::Overflow::drop_oldest});
        REQUIRE(queue.publish("first"));
        REQUIRE(queue.publish("second"));
        CHECK(queue.stats().evicted == 1);
        CHECK(queue.try_fetch()->body() == "second");
    }
    SUBCASE("the queue was removed [7.5]") {
        const auto queue = broker.queue("orders");
        REQUIRE(broker.remove("orders"));
        CHECK(queue.publish("late") == Errc::closed);
    }
    SUBCASE("the broker is closed [7.5]") {
        const auto queue = broker.queue("orders");
        broker.close();
        CHECK(queue.publish("late") == Errc::closed);
        CHECK(queue.stats().accepted == 0);
    }
}

TEST_CASE("a message that is published by copy is copied once; once closed, not at all") {
    struct Counted {
        int* copies;
        explicit Counted(int& count) : copies{&count} {}
        Counted(const Counted& other) noexcept : copies{other.copies} { ++*copies; }
        Counted(Counted&& other) noexcept : copies{other.copies} {}
        Counted& operator=(const Counted&) = delete;
    };
    int copies = 0;
    latchbox::Broker<Counted> broker;
    const auto queue = broker.queue("orders", {.capacity = 1});
    const Counted message{copies};
    REQUIRE(queue.publish(message));
    CHECK(copies == 1);
    CHECK(queue.publish(message) == Errc::full);
    CHECK(copies == 2);  // made before the queue is asked
    broker.close();
    CHECK(queue.publish(message) == Errc::closed);
    CHECK(copies == 2);
}

}  // namespace
