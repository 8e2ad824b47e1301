// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"

#include "support/message_kinds.hpp"
#include "support/sound.hpp"

// The user's own code runs under no lock, and may call the broker: from the copies, moves and ends
// of messages, from a look at dead letters, from the clock. One that ran under a lock would hang
// here (the mutexes are not recursive).
namespace {

using namespace std::chrono_literals;
using latchbox::Errc;
using support::CallsBack;
using Broker = latchbox::Broker<CallsBack>;
using Queue = latchbox::Queue<CallsBack>;

struct Calling {
    latchbox::ManualClock clock;
    Broker broker{{.clock = &clock}};
    Queue q = broker.queue("q", {.lease = 10s});

    Calling() { CallsBack::calls = 0; }
    ~Calling() {
        CallsBack::no_calls();
        support::check_sound(q);
    }
    // Every kind of call that changes nothing for long.
    void call_all() const {
        static_cast<void>(q.stats());
        static_cast<void>(q.size());
        static_cast<void>(broker.stats());
        static_cast<void>(broker.find_queue("q"));
        broker.queue("other").purge();
        if (auto delivery = q.try_fetch()) { delivery->release(); }
        static_cast<void>(q.cancel(latchbox::MessageId{}));
        static_cast<void>(q.ack(latchbox::Receipt{}));
        q.dead_letters().for_each([](const auto&) {});
    }
    void hook_all() const {
        const auto call = [this] { call_all(); };
        CallsBack::on_copy = call;
        CallsBack::on_move = call;
        CallsBack::on_end = call;
    }
    [[nodiscard]] static int since(int& last) {
        const int now = CallsBack::calls;
        return now - std::exchange(last, now);
    }
};

TEST_CASE_FIXTURE(Calling, "copies, moves and ends of messages may call the broker [4.10]") {
    hook_all();
    int last = 0;
    const CallsBack message{1};
    REQUIRE(q.publish(message));
    CHECK(since(last) > 0);
    REQUIRE(q.publish(CallsBack{2}));
    CHECK(since(last) > 0);
    std::vector<CallsBack> batch;
    batch.reserve(2);
    batch.emplace_back(3);
    batch.emplace_back(4);
    static_cast<void>(since(last));
    REQUIRE(q.publish_batch(batch));
    CHECK(since(last) > 0);

    auto first = q.try_fetch();
    REQUIRE(first);
    CHECK(first->body().number() == 1);
    CHECK(first->ack());
    first = Errc::empty;
    CHECK(since(last) > 0);
    CHECK(q.pop()->number() == 2);
    CHECK(since(last) > 0);
    CHECK(q.pop_all()->size() == 2);
    CHECK(since(last) > 0);
    CHECK(q.size() == 0);
}

TEST_CASE_FIXTURE(Calling, "a copy made by take, and its end, may call the broker [4.10]") {
    for (int i = 0; i < 3; ++i) { REQUIRE(q.publish(CallsBack{i})); }
    auto late = q.try_fetch();
    REQUIRE(late);
    clock.advance(10s);
    hook_all();
    int last = CallsBack::calls;
    for (int i = 0; i < 3; ++i) {
        auto delivery = q.try_fetch();
        REQUIRE(delivery);
        const int number = delivery->body().number();
        const auto body = delivery->take();
        REQUIRE(body);
        CHECK(body->number() == number);
    }
    CHECK(since(last) > 0);
    CHECK(late->body().number() == 0);
}

TEST_CASE_FIXTURE(Calling, "ends caused by the queue may call the broker [4.10]") {
    const auto small =
        broker.queue("small", {.capacity = 2, .overflow = latchbox::Overflow::drop_oldest});
    const auto dying = broker.queue("dying", {.max_failures = 1, .dead_capacity = 1});
    for (int i = 0; i < 2; ++i) { REQUIRE(small.publish(CallsBack{i})); }
    for (int i = 0; i < 4; ++i) { REQUIRE(dying.publish(CallsBack{i})); }
    REQUIRE(q.publish(CallsBack{1}, {.expires_in = 5s}));
    REQUIRE(q.publish(CallsBack{2}));
    hook_all();
    int last = CallsBack::calls;
    REQUIRE(small.publish(CallsBack{3}));  // evicts
    CHECK(since(last) > 0);
    {
        auto one = dying.try_fetch();
        auto two = dying.try_fetch();
        REQUIRE(one->fail());
        REQUIRE(two->fail());  // purges the dead letter before it
    }
    CHECK(since(last) > 0);
    clock.advance(5s);
    broker.poll();  // expires
    CHECK(since(last) > 0);
    CHECK(q.purge() == 1);
    CHECK(since(last) > 0);
    CHECK(dying.dead_letters().purge() == 1);
    CHECK(since(last) > 0);
    CHECK(broker.remove("small"));
    CHECK(since(last) > 0);
    CallsBack::no_calls();
    support::check_sound(dying);
}

TEST_CASE_FIXTURE(Calling, "a message may publish from its end, again and again [4.10]") {
    int left = 100;
    CallsBack::on_end = [&] {
        if (left-- > 0) { static_cast<void>(q.publish(CallsBack{left})); }
    };
    REQUIRE(q.publish(CallsBack{1'000}));
    int popped = 0;
    while (auto delivery = q.try_fetch()) {
        REQUIRE(delivery->ack());
        ++popped;
        REQUIRE(popped < 1'000);
    }
    CHECK(popped >= 50);
    CallsBack::no_calls();
}

TEST_CASE_FIXTURE(Calling, "a copy may publish to the queue it is published to [4.10] [4.4]") {
    bool inside = false;
    CallsBack::on_copy = [&] {
        if (!inside) {
            inside = true;
            REQUIRE(q.publish(CallsBack{2}));
        }
    };
    const CallsBack message{1};
    REQUIRE(q.publish(message));
    CallsBack::no_calls();
    // The copy was made before the outer one was accepted.
    CHECK(q.pop()->number() == 2);
    CHECK(q.pop()->number() == 1);
}

// --- closing from inside -------------------------------------------------------------------------

TEST_CASE_FIXTURE(Calling, "a message may close the broker from its copy [4.10] [7.5]") {
    CallsBack::on_copy = [&] { broker.close(); };
    const CallsBack message{1};
    CHECK(q.publish(message) == Errc::closed);
    CHECK(q.stats().accepted == 0);
}

TEST_CASE_FIXTURE(Calling, "a message may close the broker as it is given away [4.10] [7.5]") {
    // A move that may throw is replaced by a copy, so that a refused message stays whole.
    CallsBack::on_copy = [&] { broker.close(); };
    CallsBack::on_move = CallsBack::on_copy;
    CallsBack message{1};
    CHECK(q.publish(std::move(message)) == Errc::closed);
    CHECK(message.number() == 1);  // NOLINT: refused, so not moved from
    CHECK(q.stats().accepted == 0);
}

TEST_CASE_FIXTURE(Calling, "a message may close the broker from its end [4.10] [7.5]") {
    for (int i = 0; i < 3; ++i) { REQUIRE(q.publish(CallsBack{i})); }
    auto leased = q.try_fetch();
    REQUIRE(leased);
    CallsBack::on_end = [&] { broker.close(); };
    SUBCASE("as it is purged") { CHECK(q.purge() == 2); }
    SUBCASE("as it is popped") { CHECK(q.pop()); }
    SUBCASE("as it is closed") { broker.close(); }
    SUBCASE("as its broker is drained") { broker.drain(0s); }
    CallsBack::no_calls();
    CHECK(q.try_fetch() == Errc::closed);
    CHECK(leased->body().number() == 0);
}

TEST_CASE("close reaches all queues, whatever the ends of messages do [4.10] [7.5]") {
    CallsBack::calls = 0;
    latchbox::ManualClock clock;
    Broker broker{{.clock = &clock}};
    std::vector<Queue> queues;
    for (int i = 0; i < 4; ++i) {
        queues.push_back(broker.queue("q" + std::to_string(i)));
        REQUIRE(queues.back().publish(CallsBack{i}));
    }
    int removed = 0;
    int ended = 0;
    CallsBack::on_end = [&] {
        ++ended;
        for (int i = 0; i < 4; ++i) {
            if (broker.remove("q" + std::to_string(i))) { ++removed; }
        }
    };
    broker.close();
    CallsBack::no_calls();
    CHECK(ended == 4);
    for (const Queue& queue : queues) { CHECK(queue.try_fetch() == Errc::closed); }
}

TEST_CASE("a message may remove its own queue from its end [4.10]") {
    latchbox::ManualClock clock;
    Broker broker{{.clock = &clock}};
    const auto q = broker.queue("q");
    const auto other = broker.queue("other");
    for (int i = 0; i < 3; ++i) { REQUIRE(q.publish(CallsBack{i})); }
    CallsBack::on_end = [&] { broker.remove("q"); };
    CHECK(q.pop());
    CallsBack::no_calls();
    CHECK(q.try_fetch() == Errc::closed);
    CHECK(q.stats().purged == 2);
    CHECK(other.try_fetch() == Errc::empty);
    support::check_sound(q);
}

TEST_CASE("a message may destroy the last handle of its queue from its end [4.10] [4.8]") {
    latchbox::ManualClock clock;
    auto broker = std::make_unique<Broker>(latchbox::BrokerOptions{.clock = &clock});
    std::optional<Queue> last = broker->queue("q");
    REQUIRE(last->publish(CallsBack{1}));
    std::optional<latchbox::Delivery<CallsBack>> delivery = last->try_fetch().value();
    broker.reset();
    CallsBack::on_end = [&] { last.reset(); };
    delivery.reset();
    CallsBack::no_calls();
    CHECK_FALSE(last.has_value());
}

// --- parents, latches and gates ------------------------------------------------------------------

TEST_CASE_FIXTURE(Calling,
                  "the ends of messages may ask for latches, gates and reasons "
                  "[4.10] [5.8] [5.9]") {
    const auto gate = broker.gate(1);
    const auto parent = q.publish(CallsBack{1});
    const auto child = q.publish(CallsBack{2}, {.parents = {*parent, gate.id()}, .key = "k"});
    REQUIRE(child);
    const auto latch = broker.latch(*child);
    int asked = 0;
    const auto call = [&] {
        static_cast<void>(latch.state());
        static_cast<void>(latch.wait_for(0s));
        static_cast<void>(broker.latch(*parent).state());
        static_cast<void>(broker.latch(gate.id()).state());
        static_cast<void>(to_string(broker.explain(*child)));
        static_cast<void>(to_string(broker.explain(gate.id())));
        const auto another = broker.gate(2);
        another.count_down();
        ++asked;
    };
    CallsBack::on_copy = call;
    CallsBack::on_move = call;
    CallsBack::on_end = call;
    int last = 0;
    REQUIRE(q.publish(CallsBack{3}, {.parents = {*child}}));
    CHECK(std::exchange(last, asked) < asked);
    REQUIRE(q.pop());
    CHECK(std::exchange(last, asked) < asked);
    REQUIRE(gate.count_down());
    REQUIRE(q.try_fetch()->reject());
    q.dead_letters().purge();
    CHECK(std::exchange(last, asked) < asked);
    CallsBack::no_calls();
    CHECK(broker.stats().edges == 0);
}

TEST_CASE_FIXTURE(Calling, "a message may publish its own child from its end [4.10] [5.4]") {
    // Popped, it has completed; purged, it has failed: its child, published on the way, knows.
    latchbox::MessageId id;
    std::optional<latchbox::MessageId> child;
    CallsBack::on_end = [&] {
        if (id == latchbox::MessageId{} || child) { return; }
        child.emplace();
        child = q.publish(CallsBack{2}, {.parents = {id}}).value();
    };
    id = q.publish(CallsBack{1}).value();
    child.reset();
    latchbox::MessageState expected = latchbox::MessageState::dead;
    SUBCASE("acked") {
        REQUIRE(q.try_fetch()->ack());
        expected = latchbox::MessageState::ready;
    }
    SUBCASE("cancelled") { REQUIRE(q.cancel(id)); }
    SUBCASE("purged") { REQUIRE(q.purge() >= 1); }
    SUBCASE("expired") {
        CallsBack::no_calls();
        q.purge();
        id = q.publish(CallsBack{1}, {.expires_in = 1s}).value();
        child.reset();
        CallsBack::on_end = [&] {
            if (!child) {
                child.emplace();
                child = q.publish(CallsBack{2}, {.parents = {id}}).value();
            }
        };
        clock.advance(1s);
        broker.poll();
    }
    CallsBack::no_calls();
    REQUIRE(child);
    CHECK(broker.explain(*child).state == expected);
}

TEST_CASE_FIXTURE(Calling,
                  "a message may open or fail a gate from its end, others follow [4.10] "
                  "[5.4] [5.8]") {
    // Each end decides one gate more, and takes out what that lets go or die.
    std::vector<latchbox::Gate<CallsBack>> gates;
    for (int i = 0; i < 50; ++i) {
        gates.push_back(broker.gate(1));
        REQUIRE(q.publish(CallsBack{i}, {.parents = {gates.back().id()}}));
    }
    std::size_t opened = 0;
    bool fails = false;
    SUBCASE("open") {}
    SUBCASE("fail") { fails = true; }
    CallsBack::on_end = [&] {
        if (opened == gates.size()) { return; }
        const auto& gate = gates[opened++];
        REQUIRE((fails ? gate.fail("from an end") : gate.count_down()));
        while (q.pop()) {}
        q.dead_letters().purge();
    };
    for (int i = 0; i < 50; ++i) {
        REQUIRE(q.publish(CallsBack{99}));
        while (q.pop()) {}
    }
    CallsBack::no_calls();
    CHECK(opened == gates.size());
    while (q.pop()) {}
    q.dead_letters().purge();
    CHECK(q.size() == 0);
    CHECK(broker.stats().edges == 0);
}

TEST_CASE("a message may remove queues and close the broker as its family falls [4.10] [5.4]") {
    using latchbox::MessageState;
    for (const int what : {0, 1, 2, 3}) {
        CAPTURE(what);
        latchbox::ManualClock clock;
        Broker broker{{.clock = &clock}};
        const auto parents = broker.queue("parents");
        const auto children = broker.queue("children", {.dead_capacity = 0});
        const auto parent = parents.publish(CallsBack{0});
        latchbox::MessageId last = *parent;
        for (int i = 1; i < 100; ++i) {
            last = (i % 2 == 0 ? parents : children)
                       .publish(CallsBack{i}, {.parents = {last, *parent}})
                       .value();
        }
        int ended = 0;
        CallsBack::on_end = [&] {
            if (++ended != 3) { return; }
            switch (what) {
                case 0: broker.remove("children"); break;
                case 1: broker.remove("parents"); break;
                case 2: broker.close(); break;
                default: parents.purge(); break;
            }
        };
        REQUIRE(parents.try_fetch()->reject());
        CHECK(parents.dead_letters().purge() <= 100);
        CallsBack::no_calls();
        support::check_sound(parents);
        support::check_sound(children);
        CHECK(support::conserved(broker.stats().messages));
    }
}

// --- looks at dead letters -----------------------------------------------------------------------

TEST_CASE_FIXTURE(Calling, "a look at dead letters may do anything to them [4.10] [misuse 24]") {
    for (int i = 0; i < 4; ++i) {
        REQUIRE(q.publish(CallsBack{i}));
        REQUIRE(q.try_fetch()->reject());
    }
    auto dead = q.dead_letters();
    std::vector<int> seen;
    SUBCASE("redrive them") {
        dead.for_each([&](const auto& letter) {
            seen.push_back(letter.body().number());
            dead.redrive();
        });
        CHECK(q.stats().ready == 4);
    }
    SUBCASE("take them") {
        dead.for_each([&](const auto& letter) {
            seen.push_back(letter.body().number());
            CHECK(dead.take(letter.id())->number() == letter.body().number());
        });
        CHECK(q.size() == 0);
    }
    SUBCASE("look again, and publish") {
        dead.for_each([&](const auto& letter) {
            seen.push_back(letter.body().number());
            int inner = 0;
            dead.for_each([&](const auto&) { ++inner; });
            CHECK(inner == 4);
            REQUIRE(q.publish(CallsBack{9}));
            REQUIRE(q.try_fetch());
        });
        q.purge();
    }
    SUBCASE("close the broker") {
        dead.for_each([&](const auto& letter) {
            seen.push_back(letter.body().number());
            broker.close();
        });
    }
    CHECK(seen == std::vector<int>{0, 1, 2, 3});
}

TEST_CASE_FIXTURE(Calling, "a look that throws passes through, and leaves all as it was "
                           "[4.10] [4.11]") {
    for (int i = 0; i < 3; ++i) {
        REQUIRE(q.publish(CallsBack{i}));
        REQUIRE(q.try_fetch()->reject());
    }
    int seen = 0;
    CHECK_THROWS_AS(q.dead_letters().for_each([&](const auto&) {
        if (++seen == 2) { throw support::Thrown{}; }
    }),
                    support::Thrown);
    CHECK(seen == 2);
    CHECK(q.dead_letters().size() == 3);
    CHECK(q.dead_letters().purge() == 3);
}

// --- a clock that calls ----------------------------------------------------------------------

TEST_CASE("a clock may call the broker while it is asked [4.10]") {
    struct Calls final : latchbox::Clock {
        latchbox::Instant now() noexcept override {
            if (call && !inside) {
                inside = true;
                ++calls;
                call();
                inside = false;
            }
            return at;
        }
        std::function<void()> call;
        latchbox::Instant at{1h};
        bool inside = false;
        int calls = 0;
    };
    Calls clock;
    latchbox::Broker<std::string> broker{{.clock = &clock}};
    const auto q = broker.queue("q", {.lease = 10s});
    clock.call = [&] {
        static_cast<void>(q.stats());
        static_cast<void>(broker.stats());
        static_cast<void>(q.publish("from the clock"));
        static_cast<void>(q.pop());
        broker.poll();
    };
    REQUIRE(q.publish("a"));
    CHECK(clock.calls > 0);
    auto delivery = q.try_fetch();
    clock.at = clock.at + 10s;
    broker.poll();
    if (delivery) { static_cast<void>(delivery->ack()); }
    broker.close();
    clock.call = {};
    CHECK(support::conserved(q.stats()));
    support::check_sound(q);
}

}  // namespace
