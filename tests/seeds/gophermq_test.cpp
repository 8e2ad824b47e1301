// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <atomic>
#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"

#include "support/sound.hpp"

// What users of GopherMQ have: subjects, drained by who subscribed, and refusal as back-pressure.
// Its cases 16, 18, 19 and 20 are about workers: here they are plain loops around `fetch`, which
// ack what their handler returns from and fail what it throws from.
namespace {

using namespace std::chrono_literals;
using latchbox::Errc;
using latchbox::Overflow;
using latchbox::SubscriptionOptions;
using support::check_sound;
using support::refuses;
using Broker = latchbox::Broker<std::string>;
using Delivery = latchbox::Delivery<std::string>;
using Subscription = latchbox::Subscription<std::string>;
using Texts = std::vector<std::string>;

struct Gopher {
    latchbox::ManualClock clock;
    Broker broker{{.clock = &clock}};
    const SubscriptionOptions ten{.capacity = 10, .overflow = Overflow::reject};

    ~Gopher() { CHECK(support::conserved(broker.stats().messages)); }
    [[nodiscard]] auto publish(const std::string& subject, const std::string& body) {
        return broker.topic(subject).publish(body);
    }
    // How many of `tries` publishes succeed; the others are `full`.
    int accepted(const std::string& subject, int tries) {
        int count = 0;
        for (int i = 0; i < tries; ++i) {
            const auto id = publish(subject, std::to_string(i));
            if (id) { ++count; }
            if (!id) { CHECK(id == Errc::full); }
        }
        return count;
    }
};

template <class Handler> void handle(Delivery& delivery, Handler&& handler) {
    try {
        handler(std::as_const(delivery));
        delivery.ack();
    } catch (const std::exception& error) { delivery.fail(error.what()); }
}

TEST_CASE_FIXTURE(Gopher, "G1: a subscription has a name, its deliveries a subject [8]") {
    const auto a = broker.subscribe("a.b");
    CHECK_FALSE(a.name().empty());
    REQUIRE(publish("a.b", "m"));
    CHECK(a.try_fetch()->subject() == "a.b");
}

TEST_CASE_FIXTURE(Gopher, "G2: what is published can be popped [6.3]") {
    const auto a = broker.subscribe("a.b");
    REQUIRE(publish("a.b", "data"));
    CHECK(a.pop_all().value() == Texts{"data"});
}

TEST_CASE_FIXTURE(Gopher, "G3: each subscription pops its own copy [6.3]") {
    const Subscription all[] = {broker.subscribe("a.b"), broker.subscribe("a.b"),
                                broker.subscribe("a.b")};
    REQUIRE(publish("a.b", "data"));
    CHECK(all[1].pop_all().value() == Texts{"data"});
    CHECK(all[0].size() == 1);
    CHECK(all[2].size() == 1);
    CHECK(all[0].pop_all().value() == Texts{"data"});
    CHECK(all[2].pop_all().value() == Texts{"data"});
}

TEST_CASE_FIXTURE(Gopher, "G4: of nothing there is nothing, at once [8]") {
    const auto a = broker.subscribe("a.b");
    REQUIRE(publish("a.b", "data"));
    CHECK(a.pop_all()->size() == 1);
    CHECK(a.pop_all()->empty());
    CHECK(a.try_fetch() == Errc::empty);
}

TEST_CASE_FIXTURE(Gopher, "G5: a bad subject is refused with rule and position [6.1]") {
    const auto before = broker.stats();
    CHECK(refuses([&] { return broker.topic("bad subject"); }, "blank", "position 3"));
    const auto after = broker.stats();
    CHECK(after.topics == before.topics);
    CHECK(after.discarded == before.discarded);
    CHECK(after.messages == before.messages);
}

TEST_CASE_FIXTURE(Gopher, "G6: subjects are tokens between dots, in whatever case [6.1]") {
    for (const char* bad : {"", ".a", "a.", "a..b", "a\tb", "a\rb", "a\nb"}) {
        CAPTURE(std::string(bad));
        CHECK(refuses([&] { return broker.topic(bad); }, "position"));
    }
    for (const char* good : {"a", "a.b.c", "subscriber.not.found", "Upper.lower"}) {
        CHECK(broker.topic(good).subject() == good);
        CHECK(publish(good, "m"));
    }
}

TEST_CASE_FIXTURE(Gopher, "G7: a topic may refuse what nobody subscribed to [6.5]") {
    const auto topic =
        broker.topic("subscriber.not.found", {.unrouted = latchbox::Unrouted::reject});
    CHECK(topic.publish("m") == Errc::no_subscriber);
}

TEST_CASE_FIXTURE(Gopher, "G8: case counts [6.1]") {
    const auto a = broker.subscribe("orders");
    REQUIRE(publish("Orders", "m"));
    CHECK(a.try_fetch() == Errc::empty);
}

TEST_CASE_FIXTURE(Gopher, "G9: each subscription has a name of its own [8]") {
    const auto a = broker.subscribe("a");
    const auto b = broker.subscribe("a");
    const auto c = broker.subscribe("c");
    CHECK(a.name() != b.name());
    CHECK(b.name() != c.name());
    CHECK(a.name() != c.name());
}

TEST_CASE_FIXTURE(Gopher, "G10: one drain takes all, in publish order [4.4]") {
    const auto a = broker.subscribe("s");
    for (const char* body : {"1", "2", "3"}) { REQUIRE(publish("s", body)); }
    CHECK(a.pop_all().value() == Texts{"1", "2", "3"});
    CHECK(a.stats().completed == 3);
    CHECK(a.stats().ready == 0);
    check_sound(a);
}

TEST_CASE_FIXTURE(Gopher, "G11: unsubscribed is closed, and stays it [6.2]") {
    auto a = broker.subscribe("s");
    for (int round = 0; round < 2; ++round) {
        a.unsubscribe();
        REQUIRE(a.try_fetch() == Errc::closed);
        CHECK(a.fetch() == Errc::closed);
        CHECK(a.fetch_for(1h) == Errc::closed);
        CHECK(a.pop() == Errc::closed);
        CHECK(a.pop_all() == Errc::closed);
    }
}

TEST_CASE_FIXTURE(Gopher, "G12: a subscription holds exactly its capacity [6.4] [4.12]") {
    const auto a = broker.subscribe("s", ten);
    CHECK(accepted("s", 11) == 10);
    CHECK(a.size() == 10);
    check_sound(a);
}

TEST_CASE_FIXTURE(Gopher, "G13: copies of two are not summed [6.4] [4.12]") {
    const auto a = broker.subscribe("s", ten);
    const auto b = broker.subscribe("s", ten);
    CHECK(accepted("s", 12) == 10);
    CHECK(a.size() == 10);
    CHECK(b.size() == 10);
}

TEST_CASE_FIXTURE(Gopher,
                  "G14, G15: one full subscription refuses for all, until it is drained "
                  "[6.4] [6.3]") {
    const auto full = broker.subscribe("s", ten);
    CHECK(accepted("s", 10) == 10);
    const auto empty = broker.subscribe("s", ten);
    CHECK(publish("s", "x") == Errc::full);
    CHECK(full.size() == 10);
    CHECK(empty.size() == 0);
    CHECK(full.pop_all()->size() == 10);
    CHECK(publish("s", "y"));
    CHECK(full.pop_all().value() == Texts{"y"});
    CHECK(empty.pop_all().value() == Texts{"y"});
    check_sound(full);
}

TEST_CASE_FIXTURE(Gopher, "G16: a handler gets body and subject [6.2]") {
    const auto a = broker.subscribe("s.*");
    std::string said;
    std::thread worker{[&] {
        auto delivery = a.fetch();
        if (!delivery) { return; }
        handle(*delivery,
               [&](const Delivery& d) { said = std::string{d.subject()} + ": " + d.body(); });
    }};
    REQUIRE(publish("s.1", "m"));
    worker.join();
    CHECK(said == "s.1: m");
    CHECK(a.stats().held() == 0);
    CHECK(a.stats().completed == 1);
}

TEST_CASE_FIXTURE(Gopher, "G17: a bad pattern is refused [6.1]") {
    CHECK(refuses([&] { return broker.subscribe("bad subject"); }, "blank", "position 3"));
    CHECK(refuses([&] { return broker.subscribe("a.>.b"); }, "position 2"));
}

TEST_CASE_FIXTURE(Gopher, "G18: a handler that throws keeps its message [4.5] [4.6]") {
    const auto a = broker.subscribe("s");
    REQUIRE(publish("s", "m"));
    auto delivery = a.try_fetch();
    REQUIRE(delivery);
    handle(*delivery, [](const Delivery&) { throw std::runtime_error{"no"}; });
    CHECK(a.stats().delayed == 1);
    clock.advance(100ms);
    auto again = a.try_fetch();
    REQUIRE(again);
    CHECK(again->body() == "m");
    CHECK(again->failures() == 1);
    check_sound(a);
}

TEST_CASE_FIXTURE(Gopher, "G19: a handler that always throws loses nothing [6.4] [4.5]") {
    const auto a = broker.subscribe("s", {.capacity = 3, .overflow = Overflow::reject});
    for (int i = 0; i < 3; ++i) {
        REQUIRE(publish("s", std::to_string(i)));
        auto delivery = a.try_fetch();
        REQUIRE(delivery);
        handle(*delivery, [](const Delivery&) { throw std::runtime_error{"no"}; });
    }
    CHECK(publish("s", "3") == Errc::full);
    for (int round = 0; round < 5; ++round) {
        clock.advance(1min);
        std::vector<Delivery> all;
        REQUIRE(a.fetch_batch(all, 9).value() == 3);
        for (Delivery& one : all) {
            handle(one, [](const Delivery&) { throw std::runtime_error{"no"}; });
        }
    }
    CHECK(a.stats().held() == 3);
    CHECK(a.stats().dead == 0);
    CHECK(publish("s", "3") == Errc::full);
    check_sound(a);
}

TEST_CASE_FIXTURE(Gopher, "G20: a publish waits for no consumer [6.3]") {
    const auto a = broker.subscribe("s");
    std::atomic<bool> inside{false};
    std::atomic<bool> published{false};
    int handled = 0;
    std::thread worker{[&] {
        while (handled < 2) {
            auto delivery = a.fetch();
            if (!delivery) { return; }
            handle(*delivery, [&](const Delivery&) {
                inside = true;
                while (!published) { std::this_thread::yield(); }
                ++handled;
            });
        }
    }};
    const bool first = publish("s", "1").has_value();
    while (!inside) { std::this_thread::yield(); }
    const bool second = publish("s", "2").has_value();
    published = true;
    worker.join();
    CHECK(first);
    CHECK(second);
    CHECK(handled == 2);
    CHECK(a.stats().completed == 2);
}

}  // namespace
