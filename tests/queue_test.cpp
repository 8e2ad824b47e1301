// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/queue.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <set>
#include <span>
#include <stop_token>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"

#include "support/sound.hpp"

namespace {

using namespace std::chrono_literals;
using latchbox::Errc;
using latchbox::MessageId;
using latchbox::PublishOptions;

struct Publishing {
    latchbox::ManualClock clock;
    latchbox::Broker<std::string> broker{{.clock = &clock}};
    latchbox::Queue<std::string> orders = broker.queue("orders", {.lease = 10s, .capacity = 4});

    ~Publishing() { support::check_sound(orders); }
};

static_assert(std::is_base_of_v<latchbox::Consumer<int>, latchbox::Queue<int>>);
static_assert(std::is_copy_constructible_v<latchbox::Queue<int>>);

TEST_CASE_FIXTURE(Publishing, "a publish copies or moves its message, and issues an id [8]") {
    const std::string kept(40, 'k');
    std::string given(40, 'g');
    const auto first = orders.publish(kept);
    const auto second = orders.publish(std::move(given));
    REQUIRE(first);
    REQUIRE(second);
    CHECK(kept == std::string(40, 'k'));
    CHECK(given.empty());  // NOLINT: moved from, as it was accepted
    CHECK(*first != MessageId{});
    CHECK(*first < *second);
    CHECK(support::work_off(orders) ==
          std::vector<std::string>{std::string(40, 'k'), std::string(40, 'g')});
}

TEST_CASE_FIXTURE(Publishing, "a refused message is not moved from [4.11]") {
    std::string body(40, 'b');
    const auto kept = [&] { return body == std::string(40, 'b'); };
    SUBCASE("for want of room") {
        for (int i = 0; i < 4; ++i) { REQUIRE(orders.publish("x")); }
        CHECK(orders.publish(std::move(body)) == Errc::full);
        CHECK(orders.stats().refused == 1);
    }
    SUBCASE("for its options") {
        CHECK(orders.publish(std::move(body), {.priority = 10}) == Errc::invalid_option);
    }
    SUBCASE("as a stop was requested") {
        std::stop_source stop;
        stop.request_stop();
        CHECK(orders.publish(std::move(body), {}, stop.get_token()) == Errc::cancelled);
    }
    SUBCASE("as the broker is closed") {
        broker.close();
        CHECK(orders.publish(std::move(body)) == Errc::closed);
    }
    CHECK(kept());
    CHECK(orders.publish(std::as_const(body), {.priority = 10}).has_value() == false);
}

TEST_CASE_FIXTURE(Publishing, "options out of their range are refused [7.1] [7.6]") {
    const PublishOptions wrong[] = {
        {.delay = -1ns},
        {.expires_in = -1ns},
        {.expires_in = 0s},
        {.delay = 2s, .expires_in = 2s},
        {.delay = 2s, .expires_in = 1s},
        {.priority = 10},
        {.priority = 255},
        {.block_for = -1ns},
    };
    for (const PublishOptions& options : wrong) {
        std::string body = "b";
        CHECK(orders.publish(std::move(body), options) == Errc::invalid_option);
        CHECK(orders.publish(std::as_const(body), options) == Errc::invalid_option);
        CHECK(orders.publish_batch(std::span{&body, 1}, options) == Errc::invalid_option);
        CHECK(body == "b");
    }
    CHECK(orders.stats() == latchbox::QueueStats{});
    CHECK(orders.publish("b", {.delay = 2s, .expires_in = 2s + 1ns, .priority = 9}));
}

TEST_CASE_FIXTURE(Publishing, "a delayed message comes when its delay is over [4.3]") {
    REQUIRE(orders.publish("later", {.delay = 2s}));
    REQUIRE(orders.publish("now"));
    CHECK(orders.stats().delayed == 1);
    CHECK(support::work_off(orders) == std::vector<std::string>{"now"});
    CHECK(broker.poll() == latchbox::Instant{2s});
    clock.advance(2s - 1ns);
    CHECK(orders.try_fetch() == Errc::empty);
    clock.advance(1ns);
    CHECK(support::work_off(orders) == std::vector<std::string>{"later"});
}

TEST_CASE_FIXTURE(Publishing, "a message expires when its time to live is over [7.1] [4.3]") {
    REQUIRE(orders.publish("mortal", {.expires_in = 2s}));
    REQUIRE(orders.publish("later", {.delay = 1s, .expires_in = 2s}));
    REQUIRE(orders.publish("immortal", {.expires_in = std::chrono::hours::max()}));
    clock.advance(2s - 1ns);
    broker.poll();
    CHECK(orders.stats().ready == 3);
    clock.advance(1ns);
    CHECK(orders.size() == 1);
    CHECK(orders.stats().expired == 2);
    CHECK(support::work_off(orders) == std::vector<std::string>{"immortal"});
}

TEST_CASE_FIXTURE(Publishing, "a leased message is judged by its time to live on its return [3]") {
    REQUIRE(orders.publish("m", {.expires_in = 5s}));
    auto delivery = orders.try_fetch();
    REQUIRE(delivery);
    clock.advance(5s);
    broker.poll();
    CHECK(orders.stats().leased == 1);
    SUBCASE("acked, it has completed") {
        CHECK(delivery->ack());
        CHECK(orders.stats().completed == 1);
    }
    SUBCASE("released, it has expired") { CHECK(delivery->release()); }
    SUBCASE("requeued, it has expired") { CHECK(delivery->requeue(1s)); }
    SUBCASE("failed, it has expired") { CHECK(delivery->fail()); }
    SUBCASE("abandoned, it has expired") { delivery = Errc::empty; }
    SUBCASE("its lease over, it has expired") { clock.advance(5s); }
    broker.poll();
    CHECK(orders.size() == 0);
    CHECK(orders.stats().completed + orders.stats().expired == 1);
}

TEST_CASE_FIXTURE(Publishing, "rejected after its time to live, a message is a dead letter [3]") {
    REQUIRE(orders.publish("m", {.expires_in = 5s}));
    auto delivery = orders.try_fetch();
    REQUIRE(delivery);
    clock.advance(5s);
    CHECK(delivery->reject("no"));
    CHECK(orders.stats().dead == 1);
    CHECK(orders.stats().expired == 0);
}

TEST_CASE_FIXTURE(Publishing, "a batch is accepted whole or not at all [4.11] [4.12]") {
    std::vector<std::string> three = {"a", "b", "c"};
    const auto ids = orders.publish_batch(three);
    REQUIRE(ids);
    CHECK(ids->size() == 3);
    CHECK((*ids)[0] < (*ids)[1]);
    CHECK((*ids)[1] < (*ids)[2]);

    std::vector<std::string> two = {std::string(40, 'd'), std::string(40, 'e')};
    CHECK(orders.publish_batch(two) == Errc::full);
    CHECK(two == std::vector<std::string>{std::string(40, 'd'), std::string(40, 'e')});
    CHECK(orders.size() == 3);
    CHECK(orders.stats().refused == 2);

    CHECK(orders.publish_batch(std::span{two}.first(1)));
    CHECK(two[1] == std::string(40, 'e'));
    CHECK(support::work_off(orders) ==
          std::vector<std::string>{"a", "b", "c", std::string(40, 'd')});
}

TEST_CASE_FIXTURE(Publishing, "an empty batch is a success that does nothing") {
    const auto ids = orders.publish_batch({});
    REQUIRE(ids);
    CHECK(ids->empty());
    CHECK(orders.stats() == latchbox::QueueStats{});
}

TEST_CASE_FIXTURE(Publishing, "a batch equals as many single calls [4.4]") {
    std::vector<std::string> batch = {"a", "b"};
    REQUIRE(orders.publish("1"));
    REQUIRE(orders.publish_batch(batch, {.priority = 1}));
    REQUIRE(orders.publish("2", {.priority = 1}));
    CHECK(support::work_off_text(orders) == "ab21");
}

TEST_CASE_FIXTURE(Publishing, "a queue tells its options and its name") {
    CHECK(orders.options() == latchbox::QueueOptions{.lease = 10s, .capacity = 4});
    CHECK(orders.name() == "orders");
    CHECK(broker.queue("other").options() == latchbox::QueueOptions{});
}

TEST_CASE_FIXTURE(Publishing, "a copied queue is the same queue") {
    const latchbox::Queue<std::string> copy = orders;
    REQUIRE(copy.publish("a"));
    CHECK(orders.size() == 1);
    latchbox::Queue<std::string> other = broker.queue("other");
    other = copy;
    CHECK(other.name() == "orders");
    CHECK(other.pop().value() == "a");
}

TEST_CASE("a moved message arrives without a copy, whatever way it is published [C6]") {
    latchbox::ManualClock clock;
    latchbox::Broker<std::unique_ptr<int>> broker{{.clock = &clock}};
    auto orders = broker.queue("orders");
    REQUIRE(orders.publish(std::make_unique<int>(1)));
    std::vector<std::unique_ptr<int>> batch;
    batch.push_back(std::make_unique<int>(2));
    batch.push_back(nullptr);
    REQUIRE(orders.publish_batch(batch));
    CHECK(*orders.pop().value() == 1);
    CHECK(*orders.pop().value() == 2);
    CHECK(orders.pop().value() == nullptr);
    support::check_sound(orders);
}

TEST_CASE("ids are never given again, not by another queue, nor by a removed one [8]") {
    latchbox::ManualClock clock;
    latchbox::Broker<int> broker{{.clock = &clock}};
    latchbox::Broker<int> other{{.clock = &clock}};
    std::set<MessageId> ids;
    for (int round = 0; round < 5; ++round) {
        for (auto* where : {&broker, &other}) {
            for (const char* name : {"a", "b"}) {
                auto queue = where->queue(name);
                for (int i = 0; i < 10; ++i) {
                    ids.insert(queue.publish(i).value());
                    REQUIRE(queue.pop());
                }
                REQUIRE(where->remove(name));
            }
        }
    }
    CHECK(ids.size() == 5 * 2 * 2 * 10);
    CHECK(ids.count(MessageId{}) == 0);
}

}  // namespace
