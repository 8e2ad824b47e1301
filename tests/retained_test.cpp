// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/retained.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <new>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"
#include "support/failing_new.hpp"
#include "support/tracked_message.hpp"

// What there is to replay to a subscription, before it gets any of it.
namespace {

using namespace std::chrono_literals;
using latchbox::detail::Access;
using support::TrackedMessage;
using Platform = latchbox::SingleThread;
using Broker = latchbox::Broker<TrackedMessage, Platform>;
using Topic = latchbox::Topic<TrackedMessage, Platform>;
using Retained = latchbox::detail::Retained<TrackedMessage, Platform>;
using Values = std::vector<std::uint64_t>;

struct Kept {
    latchbox::ManualClock clock;
    Broker broker{{.clock = &clock}};
    Topic a = broker.topic("t.a", {.retain_count = 3});
    Topic b = broker.topic("t.b", {.retain_for = 10s});
    Topic elsewhere = broker.topic("x", {.retain_count = 3});

    static void publish(const Topic& topic, std::uint64_t value,
                        const latchbox::PublishOptions& options = {}) {
        REQUIRE(topic.publish(TrackedMessage{value}, options));
    }
    static Values values(Retained& retained) {
        Values all;
        for (std::size_t i = 0; i < retained.size(); ++i) {
            all.push_back(retained[i].body().digest());
        }
        return all;
    }
    Values collect(const Broker::Subscription& subscription) {
        auto& shell = Access::shell(subscription);
        Retained retained{*shell.broker};
        retained.collect(shell);
        return values(retained);
    }
};

TEST_CASE_FIXTURE(Kept, "all that matching topics retain comes in publish order [6.2] [6.6]") {
    publish(a, 1);
    publish(b, 2);
    publish(elsewhere, 3);
    publish(a, 4, {.retain_for = 1h});
    publish(a, 5);
    publish(b, 6, {.retain_for = 0s});
    publish(b, 7);
    CHECK(collect(broker.subscribe("t.*")) == Values{1, 2, 4, 5, 7});
    CHECK(collect(broker.subscribe("t.a")) == Values{1, 4, 5});
    CHECK(collect(broker.subscribe("x.>")).empty());
    publish(a, 8);
    publish(a, 9);
    CHECK(collect(broker.subscribe(">")) == Values{2, 3, 4, 5, 7, 8, 9});
}

TEST_CASE_FIXTURE(Kept, "what the subscription has got already is left out [6.2]") {
    publish(a, 1);
    const auto subscription = broker.subscribe("t.a");
    publish(a, 2);
    const auto other = broker.subscribe("t.a");
    publish(a, 3);
    CHECK(collect(subscription) == Values{1});
    CHECK(collect(other) == Values{1, 2});
}

TEST_CASE_FIXTURE(Kept, "what is too old by then is left out, to the instant [6.6] [4.3]") {
    publish(b, 1);
    clock.advance(1ns);
    publish(b, 2);
    clock.advance(10s - 1ns);
    CHECK(collect(broker.subscribe("t.b")) == Values{2});
    clock.advance(1ns);
    CHECK(collect(broker.subscribe("t.b")).empty());
}

TEST_CASE_FIXTURE(Kept, "what was collected stays readable until it is let go of [4.8]") {
    publish(b, 1);
    publish(b, 2);
    const auto subscription = broker.subscribe("t.b");
    auto& shell = Access::shell(subscription);
    {
        Retained retained{*shell.broker};
        retained.collect(shell);
        clock.advance(1h);
        CHECK(broker.stats().retained == 0);
        CHECK(values(retained) == Values{1, 2});
        CHECK(TrackedMessage::live() == 2);
        // This one is the caller's from here on.
        auto& first = retained.hand_over(0);
        CHECK(first.held_once());
        REQUIRE(first.drop());
        shell.broker->shelf.clear(first);
        CHECK(TrackedMessage::live() == 1);
    }
    CHECK(TrackedMessage::live() == 0);
}

TEST_CASE_FIXTURE(Kept, "waits for parents end with it, unless a copy was accepted [5.4] [4.11]") {
    const auto gate = broker.gate(1);
    publish(a, 1);
    publish(a, 2, {.parents = {gate.id()}});
    const auto subscription = broker.subscribe("t.a");
    auto& shell = Access::shell(subscription);
    {
        Retained retained{*shell.broker};
        retained.collect(shell);
        CHECK(broker.stats().edges == 0);
        retained.link();
        CHECK(broker.stats().edges == 1);
        latchbox::detail::Wishes plain;
        retained.attach(0, latchbox::detail::IdParts::message(shell.number(), 1, 0), plain);
        CHECK(plain.wait == latchbox::detail::none);
        CHECK(plain.verdict == latchbox::detail::Verdict::go);
    }
    CHECK(broker.stats().edges == 0);
}

TEST_CASE_FIXTURE(Kept, "where there is no memory nothing is held, and no wait is begun [4.11]") {
    const auto gate = broker.gate(1);
    for (std::uint64_t n = 0; n < 20; ++n) { publish(b, n, {.parents = {gate.id()}}); }
    const auto subscription = broker.subscribe("t.b");
    auto& shell = Access::shell(subscription);
    for (std::uint64_t nth = 1;; ++nth) {
        bool threw = false;
        {
            Retained retained{*shell.broker};
            {
                const support::FailingNew failing{support::Failing::nth, nth};
                try {
                    retained.collect(shell);
                    retained.link();
                } catch (const std::bad_alloc&) { threw = true; }
            }
            if (!threw) {
                CHECK(nth > 3);
                CHECK(retained.size() == 20);
                CHECK(broker.stats().edges == 20);
            }
        }
        CHECK(broker.stats().edges == 0);
        if (!threw) { break; }
    }
    // Each is held by its retention alone: nobody let go of one too many, or too few.
    CHECK(TrackedMessage::live() == 20);
    clock.advance(1h);
    CHECK(broker.stats().retained == 0);
    CHECK(TrackedMessage::live() == 0);
}

TEST_CASE_FIXTURE(Kept, "of a closed broker there is nothing [7.5]") {
    publish(a, 1);
    const auto subscription = broker.subscribe("t.a");
    broker.close();
    CHECK(collect(subscription).empty());
}

}  // namespace
