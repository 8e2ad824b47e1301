// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/delivery.hpp"

#include <chrono>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"

#include "support/sound.hpp"

namespace {

using namespace std::chrono_literals;
using latchbox::Cause;
using latchbox::Errc;
using latchbox::Receipt;
using Texts = latchbox::Broker<std::string>;
using Delivery = latchbox::Delivery<std::string>;

static_assert(std::is_nothrow_move_constructible_v<Delivery>);
static_assert(std::is_nothrow_move_assignable_v<Delivery>);
static_assert(!std::is_copy_constructible_v<Delivery>);
static_assert(!std::is_copy_assignable_v<Delivery>);

struct OneLeased {
    latchbox::ManualClock clock;
    Texts broker{{.clock = &clock}};
    latchbox::Queue<std::string> orders = broker.queue(
        "orders", {.lease = 10s, .backoff = {.first = 1s, .factor = 3, .limit = 5s}});
    latchbox::MessageId id = orders.publish("tea").value();
    Delivery delivery = orders.try_fetch().value();

    ~OneLeased() { support::check_sound(orders); }
};

TEST_CASE_FIXTURE(OneLeased, "a delivery tells what it is") {
    CHECK(delivery.body() == "tea");
    CHECK(delivery.id() == id);
    CHECK(delivery.receipt() != Receipt{});
    CHECK(delivery.attempt() == 1);
    CHECK(delivery.failures() == 0);
    CHECK(delivery.deadline() == latchbox::Instant{10s});
    CHECK_FALSE(delivery.lease_lost());
}

TEST_CASE_FIXTURE(OneLeased, "a settled delivery remembers that it is [4.2]") {
    SUBCASE("acked") { CHECK(delivery.ack()); }
    SUBCASE("released") { CHECK(delivery.release()); }
    SUBCASE("requeued") { CHECK(delivery.requeue()); }
    SUBCASE("failed") { CHECK(delivery.fail("no milk")); }
    SUBCASE("rejected") { CHECK(delivery.reject("not a drink")); }
    SUBCASE("taken") { CHECK(delivery.take().value() == "tea"); }
    const latchbox::QueueStats before = orders.stats();
    CHECK(delivery.ack() == Errc::already_settled);
    CHECK(delivery.release() == Errc::already_settled);
    CHECK(delivery.requeue() == Errc::already_settled);
    CHECK(delivery.fail() == Errc::already_settled);
    CHECK(delivery.reject() == Errc::already_settled);
    CHECK(delivery.extend(1s) == Errc::already_settled);
    CHECK(delivery.take() == Errc::already_settled);
    CHECK(orders.stats() == before);
    CHECK(delivery.lease_lost());
    CHECK(delivery.id() == id);
}

TEST_CASE_FIXTURE(OneLeased, "a delivery whose lease ran out changes nothing [4.2]") {
    const Receipt stale = delivery.receipt();
    clock.advance(10s);
    broker.poll();
    const latchbox::QueueStats before = orders.stats();
    CHECK(before.ready == 1);
    CHECK(delivery.lease_lost());
    CHECK(delivery.ack() == Errc::lease_lost);
    CHECK(delivery.release() == Errc::lease_lost);
    CHECK(delivery.requeue(1s) == Errc::lease_lost);
    CHECK(delivery.fail("late") == Errc::lease_lost);
    CHECK(delivery.reject("late") == Errc::lease_lost);
    CHECK(delivery.extend(1s) == Errc::lease_lost);
    CHECK(delivery.take() == Errc::lease_lost);
    CHECK(orders.ack(stale) == Errc::lease_lost);
    CHECK(orders.stats() == before);
    CHECK(delivery.body() == "tea");
}

TEST_CASE_FIXTURE(OneLeased, "what happens to the message is what the verb says [3]") {
    SUBCASE("ack completes it") {
        CHECK(delivery.ack());
        CHECK(orders.stats().completed == 1);
        CHECK(orders.size() == 0);
    }
    SUBCASE("release makes it ready") {
        CHECK(delivery.release());
        CHECK(orders.stats().ready == 1);
        CHECK(orders.stats().released == 1);
    }
    SUBCASE("requeue makes it ready, or delayed") {
        CHECK(delivery.requeue());
        CHECK(orders.stats().ready == 1);
        auto again = orders.try_fetch();
        REQUIRE(again);
        CHECK(again->requeue(2s));
        CHECK(orders.stats().delayed == 1);
        CHECK(orders.stats().requeued == 2);
        clock.advance(2s - 1ns);
        CHECK(orders.try_fetch() == Errc::empty);
        clock.advance(1ns);
        CHECK(orders.try_fetch());
    }
    SUBCASE("reject makes it a dead letter") {
        CHECK(delivery.reject("not a drink"));
        CHECK(orders.stats().dead == 1);
        CHECK(orders.stats().rejected == 1);
        orders.dead_letters().for_each([](const auto& letter) {
            CHECK(letter.reason() == latchbox::Reason{Cause::rejected, "not a drink"});
        });
    }
    SUBCASE("take gives the body away and completes it") {
        auto body = delivery.take();
        REQUIRE(body);
        CHECK(*body == "tea");
        CHECK(orders.stats().completed == 1);
    }
}

TEST_CASE_FIXTURE(OneLeased, "fail waits longer each time, up to its limit [4.6] [4.5]") {
    const latchbox::Duration pauses[] = {1s, 3s, 5s, 5s};
    std::uint32_t failures = 0;
    for (const latchbox::Duration pause : pauses) {
        CHECK(delivery.failures() == failures);
        REQUIRE(delivery.fail("again"));
        ++failures;
        CHECK(orders.stats().delayed == 1);
        clock.advance(pause - 1ns);
        CHECK(orders.try_fetch() == Errc::empty);
        clock.advance(1ns);
        auto again = orders.try_fetch();
        REQUIRE(again);
        CHECK(again->attempt() == failures + 1);
        delivery = std::move(*again);
    }
    CHECK(orders.stats().failed == 4);
    CHECK(orders.stats().abandoned == 0);
}

TEST_CASE_FIXTURE(OneLeased, "extend goes to the later of the old deadline and now + d [8]") {
    clock.advance(4s);
    CHECK(delivery.extend(3s));
    CHECK(delivery.deadline() == latchbox::Instant{10s});
    CHECK(delivery.extend(8s));
    CHECK(delivery.deadline() == latchbox::Instant{12s});
    CHECK(delivery.extend(0s));
    CHECK(delivery.deadline() == latchbox::Instant{12s});
    CHECK(delivery.extend(-1ns) == Errc::invalid_option);
    CHECK(delivery.deadline() == latchbox::Instant{12s});
    clock.advance(8s - 1ns);
    CHECK_FALSE(delivery.lease_lost());
    clock.advance(1ns);
    CHECK(delivery.lease_lost());
    CHECK(delivery.extend(1h) == Errc::lease_lost);
}

TEST_CASE_FIXTURE(OneLeased, "an extension by receipt is the lease's, whoever asked [4.2]") {
    CHECK(orders.extend(delivery.receipt(), 20s));
    clock.advance(20s - 1ns);
    CHECK_FALSE(delivery.lease_lost());
    CHECK(delivery.ack());
}

TEST_CASE_FIXTURE(OneLeased, "a delivery extended for ever never runs out [7.6]") {
    CHECK(delivery.extend(std::chrono::hours::max()));
    CHECK(delivery.deadline().is_never());
    clock.advance(24h * 365 * 100);
    CHECK_FALSE(delivery.lease_lost());
    CHECK(delivery.ack());
}

TEST_CASE_FIXTURE(OneLeased, "an abandoned delivery is requeued at the back, no failure [4.7]") {
    REQUIRE(orders.publish("cake"));
    { const Delivery gone = std::move(delivery); }
    CHECK(orders.stats().abandoned == 1);
    CHECK(support::work_off(orders) == std::vector<std::string>{"cake", "tea"});
    CHECK(orders.stats().failed == 0);
}

TEST_CASE_FIXTURE(OneLeased, "what ended a delivery before keeps it from being abandoned [4.7]") {
    SUBCASE("not after a settle") { CHECK(delivery.ack()); }
    SUBCASE("not after its lease ran out") { clock.advance(10s); }
    SUBCASE("not after close") { broker.close(); }
    SUBCASE("not after detach") {
        const Receipt receipt = std::move(delivery).detach();
        CHECK(orders.stats().leased == 1);
        CHECK(orders.ack(receipt));
    }
    { const Delivery gone = std::move(delivery); }
    broker.poll();
    CHECK(orders.stats().abandoned == 0);
}

TEST_CASE_FIXTURE(OneLeased, "a moved delivery goes on where it is, and nowhere else [8]") {
    Delivery other = std::move(delivery);
    CHECK(other.body() == "tea");
    CHECK(delivery.ack() == Errc::already_settled);   // NOLINT: moved from on purpose
    CHECK(delivery.take() == Errc::already_settled);  // NOLINT
    CHECK(delivery.extend(1s) == Errc::already_settled);  // NOLINT
    CHECK(orders.stats().leased == 1);

    REQUIRE(orders.publish("cake"));
    Delivery cake = orders.try_fetch().value();
    cake = std::move(other);
    CHECK(orders.stats().abandoned == 1);
    CHECK(cake.body() == "tea");
    CHECK(cake.id() == id);
    Delivery& itself = cake;
    cake = std::move(itself);
    CHECK(cake.body() == "tea");
    CHECK(cake.ack());
    CHECK(orders.stats().abandoned == 1);
    CHECK(orders.stats().ready == 1);
}

TEST_CASE_FIXTURE(OneLeased, "a detached delivery lives on as its receipt [8]") {
    const Receipt receipt = delivery.receipt();
    CHECK(std::move(delivery).detach() == receipt);
    CHECK(delivery.ack() == Errc::already_settled);  // NOLINT: detached on purpose
    SUBCASE("which settles it") {
        CHECK(orders.ack(receipt));
        CHECK(orders.stats().completed == 1);
    }
    SUBCASE("or lets its lease run out") {
        clock.advance(10s);
        CHECK(orders.ack(receipt) == Errc::lease_lost);
        CHECK(orders.stats().leases_run_out == 1);
        auto again = orders.try_fetch();
        REQUIRE(again);
        CHECK(again->failures() == 1);
    }
}

TEST_CASE_FIXTURE(OneLeased, "a body that nobody else can see is moved out by take [8]") {
    const char* const text = delivery.body().data();
    CHECK(delivery.take().value().size() == 3);
    REQUIRE(orders.publish(std::string(100, 'x')));
    auto large = orders.try_fetch();
    REQUIRE(large);
    const char* const where = large->body().data();
    auto taken = large->take();
    REQUIRE(taken);
    CHECK(taken->data() == where);
    CHECK(text != where);
}

TEST_CASE("a body that another can see is copied by take, or kept if it cannot be [8]") {
    latchbox::ManualClock clock;
    SUBCASE("copied") {
        Texts broker{{.clock = &clock}};
        auto orders = broker.queue("orders", {.lease = 10s});
        REQUIRE(orders.publish("tea"));
        Delivery late = orders.try_fetch().value();
        clock.advance(10s);
        Delivery now = orders.try_fetch().value();
        CHECK(now.take().value() == "tea");
        CHECK(late.body() == "tea");
        CHECK(orders.stats().completed == 1);
        support::check_sound(orders);
    }
    SUBCASE("kept") {
        latchbox::Broker<std::unique_ptr<int>> broker{{.clock = &clock}};
        auto orders = broker.queue("orders", {.lease = 10s});
        REQUIRE(orders.publish(std::make_unique<int>(7)));
        {
            auto late = orders.try_fetch();
            REQUIRE(late);
            clock.advance(10s);
            auto now = orders.try_fetch();
            REQUIRE(now);
            CHECK(now->take() == Errc::body_shared);
            CHECK_FALSE(now->lease_lost());
            CHECK(**&late->body() == 7);
            REQUIRE(now->release());
        }
        // The late holder is gone: now the body has one reader.
        auto now = orders.try_fetch();
        REQUIRE(now);
        CHECK(*now->take().value() == 7);
        support::check_sound(orders);
    }
}

}  // namespace
