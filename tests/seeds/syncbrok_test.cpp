// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"

#include "support/message_kinds.hpp"
#include "support/sound.hpp"

// What users of Syncbrok have: "not before".
namespace {

using namespace std::chrono_literals;
using latchbox::Errc;
using latchbox::LatchState;
using latchbox::MessageId;
using latchbox::MessageState;

struct Sync {
    latchbox::ManualClock clock;
    latchbox::Broker<std::string> broker{{.clock = &clock}};
    latchbox::Queue<std::string> q = broker.queue("q", {.lease = 1h});

    ~Sync() { support::check_sound(q); }
    [[nodiscard]] MessageId publish(const std::string& body,
                                    const latchbox::PublishOptions& options = {}) const {
        return q.publish(body, options).value();
    }
    void nothing() const { CHECK(q.try_fetch() == Errc::empty); }
};

TEST_CASE_FIXTURE(Sync, "S1: every message has an id of its own") {
    std::set<MessageId> ids;
    for (int i = 0; i < 1'000; ++i) { ids.insert(publish("m")); }
    CHECK(ids.size() == 1'000);
    CHECK_FALSE(ids.contains(MessageId{}));
}

TEST_CASE_FIXTURE(Sync, "S2: the id is there before any delivery, its latch until the ack [5.8]") {
    const MessageId id = publish("m");
    CHECK(q.stats().delivered == 0);
    const auto latch = broker.latch(id);
    CHECK(latch.state().value() == LatchState::pending);
    auto delivery = q.try_fetch();
    REQUIRE(delivery);
    CHECK(delivery->id() == id);
    CHECK(latch.state().value() == LatchState::pending);
    CHECK(delivery->ack());
    CHECK(latch.state().value() == LatchState::completed);
    CHECK(broker.latch(id).state().value() == LatchState::completed);
}

TEST_CASE_FIXTURE(Sync,
                  "S3: a child comes after its parent's ack, and says so before [5.1] [5.9]") {
    const MessageId parent = publish("P");
    const MessageId child = publish("C", {.parents = {parent}});
    CHECK(child != MessageId{});
    auto first = q.try_fetch();
    REQUIRE(first);
    CHECK(first->body() == "P");
    nothing();
    const auto why = broker.explain(child);
    CHECK(why.state == MessageState::blocked);
    REQUIRE(why.parents.size() == 1);
    CHECK(why.parents[0].id == parent);
    CHECK(to_string(why).find(to_string(parent)) != std::string::npos);
    CHECK(first->ack());
    auto second = q.try_fetch();
    REQUIRE(second);
    CHECK(second->body() == "C");
    CHECK(second->id() == child);
}

TEST_CASE_FIXTURE(Sync, "S4: the children of one parent wait for nobody else [5.1] [4.4]") {
    const MessageId parent = publish("P");
    for (const char* body : {"1", "2", "3"}) {
        static_cast<void>(publish(body, {.parents = {parent}}));
    }
    auto first = q.try_fetch();
    REQUIRE(first);
    CHECK(first->body() == "P");
    nothing();
    CHECK(first->ack());
    std::vector<latchbox::Delivery<std::string>> children;
    REQUIRE(q.fetch_batch(children, 9).value() == 3);
    CHECK(q.stats().leased == 3);
    for (std::size_t i = 0; i < 3; ++i) { CHECK(children[i].body() == std::to_string(i + 1)); }
}

TEST_CASE_FIXTURE(Sync, "S5: a parent acked long ago is waited for by nobody [5.2]") {
    const MessageId parent = publish("P");
    REQUIRE(q.pop());
    for (int i = 0; i < 10'000; ++i) {
        static_cast<void>(publish("m"));
        REQUIRE(q.pop());
    }
    static_cast<void>(publish("C", {.parents = {parent}}));
    CHECK(q.stats().ready == 1);
    CHECK(q.stats().blocked == 0);
    CHECK(q.pop().value() == "C");
}

TEST_CASE_FIXTURE(Sync, "S6: a child comes after the last of all acks of its parent [5.3] [6.3]") {
    const latchbox::Subscription<std::string> all[] = {broker.subscribe("s"), broker.subscribe("s"),
                                                       broker.subscribe("s")};
    const auto topic = broker.topic("s");
    const auto parent = topic.publish("P");
    REQUIRE(parent);
    const auto child = topic.publish("C", {.parents = {*parent}});
    REQUIRE(child);
    for (const auto& acking : all) {
        CHECK(broker.latch(*parent).state().value() == LatchState::pending);
        for (const auto& one : all) { CHECK(one.stats().blocked == 1); }
        auto delivery = acking.try_fetch();
        REQUIRE(delivery);
        CHECK(delivery->body() == "P");
        CHECK(acking.try_fetch() == Errc::empty);
        CHECK(delivery->ack());
    }
    CHECK(broker.latch(*parent).state().value() == LatchState::completed);
    for (const auto& one : all) {
        auto delivery = one.try_fetch();
        REQUIRE(delivery);
        CHECK(delivery->body() == "C");
        CHECK(delivery->id() == *child);
        CHECK(delivery->ack());
        support::check_sound(one);
    }
}

TEST_CASE_FIXTURE(Sync, "S7: what nobody subscribed to is done at once [5.3] [6.5]") {
    const auto parent = broker.topic("s").publish("P");
    REQUIRE(parent);
    CHECK(broker.latch(*parent).state().value() == LatchState::completed);
    const MessageId child = publish("C", {.parents = {*parent}});
    CHECK(broker.explain(child).state == MessageState::ready);
    CHECK(q.pop().value() == "C");
}

TEST_CASE_FIXTURE(Sync, "S8: who has nothing to do with it waits for nobody [5.1] [4.4]") {
    const MessageId a = publish("A");
    auto held = q.try_fetch();
    REQUIRE(held);
    static_cast<void>(publish("D", {.parents = {a}}));
    static_cast<void>(publish("B"));
    auto first = q.try_fetch();
    REQUIRE(first);
    CHECK(first->body() == "B");
    CHECK(first->ack());
    nothing();
    CHECK(held->ack());
    CHECK(q.pop().value() == "D");
}

TEST_CASE_FIXTURE(Sync, "S9: who subscribes twice gets everything twice [6.3]") {
    const latchbox::Subscription<std::string> mine[] = {broker.subscribe("s"),
                                                        broker.subscribe("s")};
    for (const char* body : {"1", "2", "3"}) { REQUIRE(broker.topic("s").publish(body)); }
    for (const auto& one : mine) {
        CHECK(support::work_off_text(one) == "123");
        support::check_sound(one);
    }
}

TEST_CASE_FIXTURE(Sync, "S10: one name is one queue, no name is none [8]") {
    const auto one = broker.queue("a");
    const auto two = broker.queue("a");
    CHECK(one == two);
    REQUIRE(one.publish("m"));
    CHECK(two.pop().value() == "m");
    CHECK(support::refuses([&] { return broker.queue(""); }, "empty"));
}

TEST_CASE("S11: a body lives as long as somebody may read it, and no longer [4.8]") {
    using support::Counted;
    const int before = Counted::live;
    latchbox::ManualClock clock;
    latchbox::Broker<Counted> broker{{.clock = &clock}};
    const auto q = broker.queue("q", {.lease = 1h});
    REQUIRE(q.publish(Counted{1}));
    {
        auto delivery = q.try_fetch();
        REQUIRE(delivery);
        CHECK(delivery->ack());
    }
    CHECK(Counted::live == before);
    REQUIRE(q.publish(Counted{2}));
    {
        auto late = q.try_fetch();
        REQUIRE(late);
        clock.advance(1h);
        CHECK(q.pop().value().number() == 2);
        CHECK(late->body().number() == 2);
    }
    CHECK(Counted::live == before);
    support::check_sound(q);
}

TEST_CASE_FIXTURE(Sync, "S12: many publish and some fetch: each body is whole, and seen once") {
    constexpr int publishers = 8;
    constexpr int each = 1'000;
    const auto body = [](int publisher, int n) {
        return std::string(50, '.') + std::to_string(publisher * each + n);
    };
    std::atomic<int> refused{0};
    std::vector<std::string> seen[2];
    std::vector<std::thread> threads;
    for (int publisher = 0; publisher < publishers; ++publisher) {
        threads.emplace_back([&, publisher] {
            for (int n = 0; n < each; ++n) {
                if (!q.publish(body(publisher, n))) { ++refused; }
            }
        });
    }
    std::vector<std::thread> fetchers;
    for (auto& mine : seen) {
        fetchers.emplace_back([&] {
            while (auto delivery = q.fetch()) {
                mine.push_back(delivery->body());
                if (!delivery->ack()) { ++refused; }
            }
        });
    }
    for (std::thread& thread : threads) { thread.join(); }
    while (refused == 0 && q.stats().completed < publishers * each) { std::this_thread::yield(); }
    broker.close();
    for (std::thread& thread : fetchers) { thread.join(); }
    CHECK(refused == 0);
    std::vector<std::string> all = std::move(seen[0]);
    all.insert(all.end(), seen[1].begin(), seen[1].end());
    std::vector<std::string> expected;
    for (int publisher = 0; publisher < publishers; ++publisher) {
        for (int n = 0; n < each; ++n) { expected.push_back(body(publisher, n)); }
    }
    std::sort(all.begin(), all.end());
    std::sort(expected.begin(), expected.end());
    CHECK(all == expected);
}

TEST_CASE_FIXTURE(Sync, "S13: a parent in another queue opens its child there, at once [5.1]") {
    const auto a = broker.queue("a", {.lease = 1h});
    const auto b = broker.queue("b", {.lease = 1h});
    const auto parent = a.publish("P");
    REQUIRE(parent);
    REQUIRE(b.publish("C", {.parents = {*parent}}));
    CHECK(b.try_fetch() == Errc::empty);
    auto held = a.try_fetch();
    REQUIRE(held);
    CHECK(b.try_fetch() == Errc::empty);
    CHECK(held->ack());
    CHECK(b.stats().ready == 1);
    CHECK(b.pop().value() == "C");
    support::check_sound(a);
    support::check_sound(b);
}

}  // namespace
