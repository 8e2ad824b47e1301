// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/dead_letters.hpp"

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"

#include "support/sound.hpp"

namespace {

using namespace std::chrono_literals;
using latchbox::Cause;
using latchbox::Errc;
using latchbox::MessageId;

// Three dead letters that were published a, b, c and died c, a, b.
struct ThreeDead {
    latchbox::ManualClock clock;
    latchbox::Broker<std::string> broker{{.clock = &clock}};
    latchbox::Queue<std::string> orders = broker.queue("orders", {.lease = 10s});
    std::vector<MessageId> ids;

    ThreeDead() {
        std::vector<latchbox::Delivery<std::string>> held;
        for (const char* body : {"a", "b", "c"}) {
            ids.push_back(orders.publish(body).value());
            held.push_back(orders.try_fetch().value());
        }
        for (const std::size_t i : {2U, 0U, 1U}) {
            clock.advance(1s);
            REQUIRE(held[i].reject(held[i].body() + "!"));
        }
    }
    ~ThreeDead() { support::check_sound(orders); }

    [[nodiscard]] std::string listed() const {
        std::string all;
        orders.dead_letters().for_each([&](const auto& letter) { all += letter.body(); });
        return all;
    }
};

TEST_CASE_FIXTURE(ThreeDead, "dead letters are shown with all that is known, oldest death first") {
    CHECK(orders.dead_letters().size() == 3);
    CHECK(listed() == "cab");
    std::size_t seen = 0;
    orders.dead_letters().for_each([&](const latchbox::DeadLetter<std::string>& letter) {
        if (seen++ != 0) { return; }
        CHECK(letter.body() == "c");
        CHECK(letter.id() == ids[2]);
        CHECK(letter.reason().cause() == Cause::rejected);
        CHECK(letter.reason().text() == "c!");
        CHECK(letter.attempt() == 1);
        CHECK(letter.failures() == 0);
    });
    CHECK(seen == 3);
}

TEST_CASE_FIXTURE(ThreeDead, "a dead letter can be taken: the oldest, or one by its id [3]") {
    auto dead = orders.dead_letters();
    CHECK(dead.take().value() == "c");
    CHECK(dead.take(ids[1]).value() == "b");
    CHECK(dead.take(ids[1]) == Errc::unknown_message);
    CHECK(dead.take(ids[2]) == Errc::unknown_message);
    CHECK(dead.take(MessageId{}) == Errc::unknown_message);
    CHECK(dead.take().value() == "a");
    CHECK(dead.take() == Errc::empty);
    CHECK(orders.stats().purged == 3);
    CHECK(orders.size() == 0);
}

TEST_CASE_FIXTURE(ThreeDead, "redriven messages are at the back, in publish order [3] [4.4]") {
    REQUIRE(orders.publish("d"));
    CHECK(orders.dead_letters().redrive() == 3);
    CHECK(orders.dead_letters().size() == 0);
    CHECK(orders.stats().redriven == 3);
    CHECK(support::work_off_text(orders) == "dabc");
}

TEST_CASE_FIXTURE(ThreeDead, "one dead letter can be redriven, and is then none [3]") {
    auto dead = orders.dead_letters();
    CHECK(dead.redrive(ids[0]));
    CHECK(dead.redrive(ids[0]) == Errc::unknown_message);
    CHECK(dead.redrive(MessageId{}) == Errc::unknown_message);
    CHECK(listed() == "cb");
    auto again = orders.try_fetch();
    REQUIRE(again);
    CHECK(again->id() == ids[0]);
    CHECK(again->body() == "a");
    CHECK(again->attempt() == 2);
    CHECK(dead.redrive(ids[0]) == Errc::unknown_message);
}

TEST_CASE_FIXTURE(ThreeDead, "purging dead letters leaves the others alone [3]") {
    REQUIRE(orders.publish("d"));
    CHECK(orders.dead_letters().purge() == 3);
    CHECK(orders.dead_letters().purge() == 0);
    CHECK(orders.stats().purged == 3);
    CHECK(support::work_off_text(orders) == "d");
}

TEST_CASE_FIXTURE(ThreeDead, "dead letters do not expire, whatever the time [7.1]") {
    auto mortal = orders.publish("m", {.expires_in = 1min});
    REQUIRE(mortal);
    auto delivery = orders.try_fetch();
    REQUIRE(delivery);
    REQUIRE(delivery->reject());
    clock.advance(24h);
    CHECK(broker.poll().is_never());
    CHECK(listed() == "cabm");
    // Redriven, its time to live starts anew.
    REQUIRE(orders.dead_letters().redrive(*mortal));
    clock.advance(1min - 1ns);
    CHECK(orders.stats().ready == 1);
    clock.advance(1ns);
    broker.poll();
    CHECK(orders.stats().ready == 0);
    CHECK(orders.stats().expired == 1);
}

TEST_CASE_FIXTURE(ThreeDead, "a look at dead letters is a snapshot, which they may outlive [4.8]") {
    std::string all;
    auto dead = orders.dead_letters();
    dead.for_each([&](const auto& letter) {
        dead.purge();
        all += letter.body();
        all += letter.reason().text();
    });
    CHECK(all == "cc!aa!bb!");
    CHECK(dead.size() == 0);
}

TEST_CASE("a redriven message has its failures and its attempts left again [4.5]") {
    latchbox::ManualClock clock;
    latchbox::Broker<int> broker{{.clock = &clock}};
    auto failing = broker.queue("failing", {.max_failures = 2, .backoff = {.first = 0s}});
    auto trying = broker.queue("trying", {.max_attempts = 2});
    std::uint32_t handed_out = 0;
    REQUIRE(failing.publish(1));
    REQUIRE(trying.publish(1));
    for (int round = 0; round < 3; ++round) {
        for (std::uint32_t i = 0; i < 2; ++i) {
            ++handed_out;
            auto failure = failing.try_fetch();
            REQUIRE(failure);
            CHECK(failure->failures() == i);
            CHECK(failure->attempt() == handed_out);
            CHECK(failure->fail("no"));
            auto attempt = trying.try_fetch();
            REQUIRE(attempt);
            CHECK(attempt->attempt() == handed_out);
            CHECK(attempt->requeue());
        }
        CHECK(failing.try_fetch() == Errc::empty);
        CHECK(trying.try_fetch() == Errc::empty);
        failing.dead_letters().for_each([](const auto& letter) {
            CHECK(letter.reason() == latchbox::Reason{Cause::failed, "no"});
            CHECK(letter.failures() == 2);
        });
        trying.dead_letters().for_each([](const auto& letter) {
            CHECK(letter.reason().cause() == Cause::attempts_used_up);
            CHECK(letter.failures() == 0);
        });
        CHECK(failing.dead_letters().redrive() == 1);
        CHECK(trying.dead_letters().redrive() == 1);
    }
    support::check_sound(failing);
    support::check_sound(trying);
}

TEST_CASE("a dead letter that cannot be copied is moved out, unless another reads it [8]") {
    latchbox::ManualClock clock;
    latchbox::Broker<std::unique_ptr<int>> broker{{.clock = &clock}};
    auto orders = broker.queue("orders");
    REQUIRE(orders.publish(std::make_unique<int>(7)));
    auto delivery = orders.try_fetch();
    REQUIRE(delivery);
    REQUIRE(delivery->reject());
    auto dead = orders.dead_letters();
    CHECK(dead.take() == Errc::body_shared);
    CHECK(dead.size() == 1);
    delivery = Errc::empty;
    CHECK(*dead.take().value() == 7);
    CHECK(orders.stats().purged == 1);
    support::check_sound(orders);
}

TEST_CASE_FIXTURE(ThreeDead, "the dead letters of a closed broker are closed [7.5]") {
    auto dead = orders.dead_letters();
    broker.close();
    CHECK(dead.take() == Errc::closed);
    CHECK(dead.take(ids[0]) == Errc::closed);
    CHECK(dead.redrive(ids[0]) == Errc::closed);
    CHECK(dead.redrive() == 0);
    CHECK(dead.purge() == 0);
    int shown = 0;
    dead.for_each([&](const auto&) { ++shown; });
    CHECK(shown == 0);
    CHECK(orders.stats().dead == 3);
}

}  // namespace
