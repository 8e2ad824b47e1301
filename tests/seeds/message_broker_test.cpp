// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"

#include "support/sound.hpp"
#include "support/watched_threads.hpp"

// What users of message-broker have: subjects, fan-out, and reading by id.
namespace {

using namespace std::chrono_literals;
using latchbox::Errc;
using latchbox::MessageId;
using support::check_sound;
using support::error_of;
using support::WatchedThreads;
using Broker = latchbox::Broker<std::string>;
using Subscription = latchbox::Subscription<std::string>;

struct Subjects {
    latchbox::ManualClock clock;
    Broker broker{{.clock = &clock}};

    ~Subjects() { CHECK(support::conserved(broker.stats().messages)); }
    MessageId publish(const std::string& subject, const std::string& body) {
        return broker.topic(subject).publish(body).value();
    }
    static void nothing(const Subscription& subscription) {
        CHECK(subscription.try_fetch() == Errc::empty);
    }
};

// The next id of the same subject, which nobody drew yet.
MessageId after(const MessageId& id) {
    using Parts = latchbox::detail::IdParts;
    const std::uint64_t step = std::uint64_t{1} << latchbox::detail::TopicNumber::mark_bits;
    return Parts::message(Parts::issuer(id), Parts::number(id) + step, Parts::slot(id));
}

TEST_CASE_FIXTURE(Subjects, "M1: after close a publish is closed [7.5]") {
    broker.close();
    CHECK(broker.topic("s").publish("m") == Errc::closed);
}

TEST_CASE_FIXTURE(Subjects, "M2: after close a new subscription is closed at once [7.5] [6.2]") {
    broker.close();
    const auto late = broker.subscribe("s");
    REQUIRE(late.try_fetch() == Errc::closed);
    CHECK(late.fetch() == Errc::closed);
}

TEST_CASE_FIXTURE(Subjects, "M3: after close reading is closed, whatever the id [7.5] [6.6]") {
    const auto topic = broker.topic("s", {.retain_for = 10s});
    const auto id = topic.publish("m");
    REQUIRE(id);
    broker.close();
    CHECK(topic.read(*id) == Errc::closed);
    CHECK(topic.read(MessageId{}) == Errc::closed);
}

TEST_CASE_FIXTURE(Subjects, "M4: a publish needs no subscription [6.5]") {
    const auto id = broker.topic("s").publish("m");
    REQUIRE(id);
    CHECK(*id != MessageId{});
}

TEST_CASE_FIXTURE(Subjects, "M5: a new subscription has nothing pending [6.2]") {
    const auto a = broker.subscribe("s");
    CHECK(a.size() == 0);
    nothing(a);
}

TEST_CASE_FIXTURE(Subjects, "M6: a subscription receives what is published, and no more [6.2]") {
    const auto a = broker.subscribe("s");
    const MessageId id = publish("s", "m");
    auto delivery = a.try_fetch();
    REQUIRE(delivery);
    CHECK(delivery->body() == "m");
    CHECK(delivery->subject() == "s");
    CHECK(delivery->id() == id);
    CHECK(delivery->ack());
    nothing(a);
    check_sound(a);
}

TEST_CASE_FIXTURE(Subjects, "M7: three subscriptions receive it once each [6.3]") {
    const Subscription all[] = {broker.subscribe("s"), broker.subscribe("s"),
                                broker.subscribe("s")};
    publish("s", "m");
    for (const auto& one : all) {
        CHECK(one.pop().value() == "m");
        nothing(one);
        check_sound(one);
    }
}

TEST_CASE_FIXTURE(Subjects, "M8: another subject is another matter [6.1]") {
    const auto other = broker.subscribe("t");
    publish("s", "m");
    nothing(other);
}

TEST_CASE_FIXTURE(Subjects, "M9: what is retained is readable, again and again, to its end [6.6]") {
    MessageId id;
    const auto topic = broker.topic("s");
    SUBCASE("by its topic") { id = broker.topic("s", {.retain_for = 10s}).publish("m").value(); }
    SUBCASE("by itself") { id = topic.publish("m", {.retain_for = 10s}).value(); }
    CHECK(*topic.read(id).value() == "m");
    CHECK(*topic.read(id).value() == "m");
    clock.advance(9s);
    CHECK(*topic.read(id).value() == "m");
    clock.advance(1s);
    CHECK(topic.read(id) == Errc::expired);
}

TEST_CASE_FIXTURE(Subjects, "M10: reading does not depend on who received it [6.6]") {
    const auto topic = broker.topic("s", {.retain_for = 10s});
    std::vector<Subscription> all;
    SUBCASE("nobody") {}
    SUBCASE("two, who acked") {
        all.push_back(broker.subscribe("s"));
        all.push_back(broker.subscribe("s"));
    }
    const MessageId id = publish("s", "m");
    for (const auto& one : all) { CHECK(one.try_fetch()->ack()); }
    CHECK(*topic.read(id).value() == "m");
    clock.advance(9s);
    CHECK(*topic.read(id).value() == "m");
    clock.advance(1s);
    CHECK(topic.read(id) == Errc::expired);
}

TEST_CASE_FIXTURE(Subjects, "M11: an id that is not of this subject is unknown [6.6]") {
    const auto topic = broker.topic("s", {.retain_for = 10s});
    static_cast<void>(broker.topic("t", {.retain_for = 10s}));
    const MessageId mine = publish("s", "m");
    const MessageId other = publish("t", "m");
    const MessageId never = after(other);
    CHECK(topic.read(never) == Errc::unknown_message);
    CHECK(topic.read(MessageId{}) == Errc::unknown_message);
    CHECK(topic.read(other) == Errc::unknown_message);
    CHECK(topic.read(mine));
}

TEST_CASE_FIXTURE(Subjects, "M12: who comes after the publish gets the next one [6.2]") {
    publish("s", "before");
    const auto late = broker.subscribe("s");
    nothing(late);
    publish("s", "after");
    CHECK(late.pop().value() == "after");
    nothing(late);
}

// Two letters out of a few, other ones for each `n`.
std::string two_letters(std::uint32_t n) {
    n = n * 2'654'435'761U >> 8;
    return {static_cast<char>('a' + n % 26), static_cast<char>('a' + n / 26 % 26)};
}

constexpr int publishers = 8;

// Eight threads subscribe a thousand times each, all to what `pattern` says of it.
template <class Pattern> std::vector<Subscription> subscribe_all(Broker& broker, Pattern pattern) {
    std::vector<Subscription> mine[publishers];
    std::vector<std::thread> threads;
    for (int t = 0; t < publishers; ++t) {
        threads.emplace_back([&, t] {
            for (int n = 0; n < 1'000; ++n) {
                mine[t].push_back(broker.subscribe(pattern(t * 1'000 + n)));
            }
        });
    }
    for (std::thread& thread : threads) { thread.join(); }
    std::vector<Subscription> all;
    for (auto& some : mine) {
        for (auto& one : some) { all.push_back(std::move(one)); }
    }
    return all;
}

TEST_CASE_FIXTURE(Subjects,
                  "M13: many threads subscribe to one subject, one publish reaches all "
                  "[6.3]") {
    const auto all = subscribe_all(broker, [](int) { return std::string{"s"}; });
    REQUIRE(all.size() == 8'000);
    const MessageId id = publish("s", "m");
    bool right = true;
    for (const auto& one : all) {
        auto delivery = one.try_fetch();
        right = right && delivery && delivery->id() == id && delivery->ack();
    }
    CHECK(right);
    CHECK(broker.stats().messages.completed == 8'000);
}

TEST_CASE_FIXTURE(Subjects, "M14: many threads subscribe to many subjects [6.3]") {
    const auto pattern = [](int n) { return two_letters(static_cast<std::uint32_t>(n)); };
    const auto all = subscribe_all(broker, pattern);
    REQUIRE(all.size() == 8'000);
    CHECK(broker.stats().subscriptions == 8'000);
    const std::string subject = all.front().pattern();
    publish(subject, "m");
    for (const auto& one : all) { CHECK(one.size() == (one.pattern() == subject ? 1 : 0)); }
}

// Eight threads publish ten thousand messages each; all ids.
template <class Subject> std::vector<MessageId> publish_all(Broker& broker, Subject subject) {
    std::vector<MessageId> ids[publishers];
    std::vector<std::thread> threads;
    for (int t = 0; t < publishers; ++t) {
        threads.emplace_back([&, t] {
            for (int n = 0; n < 10'000; ++n) {
                const int number = t * 10'000 + n;
                if (const auto id = broker.topic(subject(number)).publish(std::to_string(number))) {
                    ids[t].push_back(*id);
                }
            }
        });
    }
    for (std::thread& thread : threads) { thread.join(); }
    std::vector<MessageId> all;
    for (const auto& some : ids) { all.insert(all.end(), some.begin(), some.end()); }
    return all;
}

void receives_all(const Subscription& subscription, std::vector<MessageId> ids) {
    CHECK(ids.size() == 80'000);
    std::vector<MessageId> received;
    std::vector<int> bodies;
    while (auto delivery = subscription.try_fetch()) {
        received.push_back(delivery->id());
        bodies.push_back(std::stoi(delivery->body()));
        delivery->ack();
    }
    std::sort(ids.begin(), ids.end());
    std::sort(received.begin(), received.end());
    CHECK(std::adjacent_find(ids.begin(), ids.end()) == ids.end());
    CHECK((received == ids));
    std::sort(bodies.begin(), bodies.end());
    bool each = bodies.size() == 80'000;
    for (std::size_t i = 0; each && i < bodies.size(); ++i) {
        each = bodies[i] == static_cast<int>(i);
    }
    CHECK(each);
    check_sound(subscription);
}

TEST_CASE_FIXTURE(Subjects, "M15: many threads publish to one subject, and all arrives [6.3]") {
    const auto a = broker.subscribe("s", {.capacity = 80'000});
    receives_all(a, publish_all(broker, [](int) { return "s"; }));
}

TEST_CASE_FIXTURE(Subjects, "M16: many threads publish to many subjects, and all arrives [6.3]") {
    const auto a = broker.subscribe(">", {.capacity = 80'000});
    const auto subject = [](int n) { return two_letters(static_cast<std::uint32_t>(n)); };
    receives_all(a, publish_all(broker, subject));
}

TEST_CASE("M17: unsubscribed while it waits, one ends, and the other gets everything [6.2]") {
    latchbox::ManualClock clock;
    latchbox::Broker<std::string, WatchedThreads> broker{{.clock = &clock}};
    auto leaves = broker.subscribe("s");
    const auto stays = broker.subscribe("s");
    const auto topic = broker.topic("s");
    REQUIRE(topic.publish("1"));
    CHECK(leaves.pop().value() == "1");
    Errc outcome{};
    std::thread waiting{[&] { outcome = error_of(leaves.fetch()); }};
    WatchedThreads::until_asleep(1);
    leaves.unsubscribe();
    waiting.join();
    CHECK(outcome == Errc::closed);
    REQUIRE(topic.publish("2"));
    CHECK(leaves.try_fetch() == Errc::closed);
    CHECK(leaves.stats().accepted == 1);
    CHECK(support::work_off_text(stays) == "12");
    check_sound(stays);
}

TEST_CASE_FIXTURE(Subjects, "M18: what is not readable any more is delivered all the same [6.6]") {
    const auto topic = broker.topic("s", {.retain_for = 1ms});
    const auto a = broker.subscribe("s");
    const MessageId id = publish("s", "m");
    clock.advance(1h);
    CHECK(topic.read(id) == Errc::expired);
    CHECK(a.pop().value() == "m");
}

}  // namespace
