// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"

#include "support/message_kinds.hpp"
#include "support/sound.hpp"

// Who may still be used after what is gone.
namespace {

using namespace std::chrono_literals;
using latchbox::Errc;
using support::Counted;
using Broker = latchbox::Broker<Counted>;
using Queue = latchbox::Queue<Counted>;
using Delivery = latchbox::Delivery<Counted>;
using DeadLetters = latchbox::DeadLetters<Counted>;

struct Lives {
    const int before = Counted::live;
    latchbox::ManualClock clock;
    std::unique_ptr<Broker> broker =
        std::make_unique<Broker>(latchbox::BrokerOptions{.clock = &clock});
    std::optional<Queue> orders = broker->queue("orders", {.lease = 10s});

    [[nodiscard]] int living() const { return Counted::live - before; }
};

// --- bodies ----------------------------------------------------------------------------------

TEST_CASE_FIXTURE(Lives, "the last who can see a body destroys it, however it left [4.8]") {
    REQUIRE(orders->publish(Counted{7}));
    auto late = std::make_unique<Delivery>(orders->try_fetch().value());
    clock.advance(10s);
    SUBCASE("acked by another") { CHECK(orders->try_fetch()->ack()); }
    SUBCASE("taken by another") { CHECK(orders->try_fetch()->take()->number() == 7); }
    SUBCASE("popped") { CHECK(orders->pop()->number() == 7); }
    SUBCASE("cancelled") { CHECK(orders->cancel(late->id())); }
    SUBCASE("purged") { CHECK(orders->purge() == 1); }
    SUBCASE("dead and purged") {
        CHECK(orders->try_fetch()->reject());
        CHECK(orders->dead_letters().purge() == 1);
    }
    SUBCASE("dead and taken") {
        CHECK(orders->try_fetch()->reject());
        CHECK(orders->dead_letters().take()->number() == 7);
    }
    SUBCASE("removed with its queue") { CHECK(broker->remove("orders")); }
    SUBCASE("closed with its broker") { broker->close(); }
    SUBCASE("destroyed with its broker") { broker.reset(); }
    CHECK(living() == 1);
    CHECK(late->body().number() == 7);
    // Others come and go in the meantime, in the same places.
    if (orders->publish(Counted{8})) { CHECK(orders->pop()->number() == 8); }
    CHECK(late->body().number() == 7);
    late.reset();
    CHECK(living() == 0);
}

TEST_CASE_FIXTURE(Lives, "several late holders read one body, which never moves [4.8]") {
    REQUIRE(orders->publish(Counted{7}));
    std::vector<Delivery> late;
    for (int i = 0; i < 5; ++i) {
        late.push_back(orders->try_fetch().value());
        clock.advance(10s);
    }
    const Counted* const where = &late.front().body();
    for (int i = 0; i < 200; ++i) { REQUIRE(orders->publish(Counted{i})); }
    for (const Delivery& delivery : late) { CHECK(&delivery.body() == where); }
    CHECK(orders->cancel(late[2].id()));
    CHECK(orders->purge() == 200);
    CHECK(living() == 1);
    while (late.size() > 1) {
        late.erase(late.begin() + 1);
        CHECK(late.front().body().number() == 7);
        CHECK(living() == 1);
    }
    late.clear();
    CHECK(living() == 0);
}

TEST_CASE_FIXTURE(Lives, "the slot of a body that is still read is given to nobody [4.8]") {
    REQUIRE(orders->publish(Counted{1}));
    auto late = orders->try_fetch();
    REQUIRE(late);
    clock.advance(10s);
    CHECK(orders->pop()->number() == 1);
    const int moves = Counted::moves;
    for (int i = 2; i < 50; ++i) {
        REQUIRE(orders->publish(Counted{i}));
        auto other = orders->try_fetch();
        REQUIRE(other);
        CHECK(&other->body() != &late->body());
        CHECK(other->body().number() == i);
        CHECK(other->ack());
    }
    CHECK(late->body().number() == 1);
    CHECK(Counted::moves > moves);
}

// Were a slot passed over for good because its body was still read, each round would take new ones.
TEST_CASE_FIXTURE(Lives, "a queue does not grow while settled deliveries are kept [4.8] [4.12]") {
    const auto& core = latchbox::detail::Access::core(*orders);
    std::vector<Delivery> kept;
    std::size_t after_some = 0;
    for (int round = 0; round < 200; ++round) {
        std::vector<Counted> batch;
        for (int i = 0; i < 64; ++i) { batch.push_back(Counted{i}); }
        REQUIRE(orders->publish_batch(batch));
        kept.clear();  // those of the round before
        REQUIRE(orders->fetch_batch(kept, 64).value() == 64);
        REQUIRE(orders->ack_batch(kept) == 64);
        if (round == 4) { after_some = core.slot_count(); }
    }
    CHECK(core.slot_count() == after_some);
}

// Those that are kept for long stand side by side among what may be free; others are found behind.
TEST_CASE_FIXTURE(Lives,
                  "nor while some are kept for ever, whatever becomes of others [4.8] [4.12]") {
    const auto& core = latchbox::detail::Access::core(*orders);
    std::vector<Delivery> for_ever;
    std::vector<Delivery> window;
    for (int i = 0; i < 20'000; ++i) {
        REQUIRE(orders->publish(Counted{i}));
        auto delivery = orders->try_fetch();
        REQUIRE(delivery->ack());
        auto& kept = i < 500 ? for_ever : window;
        kept.push_back(std::move(*delivery));
        if (window.size() > 20) { window.clear(); }
    }
    CHECK(core.slot_count() <= 2 * 500 + 2 * 21);
}

TEST_CASE_FIXTURE(Lives, "settled deliveries still read their body [4.8]") {
    for (int i = 0; i < 5; ++i) { REQUIRE(orders->publish(Counted{i})); }
    std::vector<Delivery> held;
    REQUIRE(orders->fetch_batch(held, 5).value() == 5);
    CHECK(held[0].ack());
    CHECK(held[1].release());
    CHECK(held[2].requeue());
    CHECK(held[3].fail("no"));
    CHECK(held[4].reject("no"));
    for (int i = 0; i < 5; ++i) { CHECK(held[static_cast<std::size_t>(i)].body().number() == i); }
    CHECK(living() == 5);
    held.clear();
    CHECK(living() == 4);
    broker.reset();
    CHECK(living() == 0);
}

TEST_CASE_FIXTURE(Lives, "a body is read while others settle it [4.8] [misuse 17]") {
    // For ThreadSanitizer: the reader never takes a lock.
    for (int round = 0; round < 100; ++round) {
        REQUIRE(orders->publish(Counted{round}));
        auto late = orders->try_fetch();
        REQUIRE(late);
        clock.advance(10s);
        std::atomic<bool> right{true};
        std::thread reader{[&, delivery = std::move(*late)] {
            for (int i = 0; i < 100; ++i) {
                if (delivery.body().number() != round) { right = false; }
            }
        }};
        auto again = orders->try_fetch();
        REQUIRE(again);
        if (round % 2 == 0) {
            CHECK(again->ack());
        } else {
            CHECK(again->take()->number() == round);
        }
        again = Errc::empty;
        reader.join();
        CHECK(right);
    }
    CHECK(living() == 0);
}

// --- handles ---------------------------------------------------------------------------------

TEST_CASE("handles may be destroyed in any order, before and after their broker [4.8]") {
    const int before = Counted::live;
    std::array<int, 5> order = {0, 1, 2, 3, 4};
    do {
        latchbox::ManualClock clock;
        auto broker = std::make_unique<Broker>(latchbox::BrokerOptions{.clock = &clock});
        auto orders = std::make_unique<Queue>(broker->queue("orders"));
        for (int i = 0; i < 3; ++i) { REQUIRE(orders->publish(Counted{i})); }
        auto delivery = std::make_unique<Delivery>(orders->try_fetch().value());
        REQUIRE(orders->try_fetch()->reject());
        auto dead = std::make_unique<DeadLetters>(orders->dead_letters());
        auto consumer = std::make_unique<Queue>(*orders);
        for (const int next : order) {
            switch (next) {
                case 0: broker.reset(); break;
                case 1: orders.reset(); break;
                case 2: delivery.reset(); break;
                case 3: dead.reset(); break;
                default: consumer.reset(); break;
            }
            // Whatever is left answers as it must.
            const Errc expected = broker ? Errc{} : Errc::closed;
            if (orders) { CHECK(support::error_of(orders->publish(Counted{9})) == expected); }
            if (consumer) { CHECK((consumer->pop() == Errc::closed) == !broker); }
            if (delivery) { CHECK(delivery->body().number() == 0); }
            if (dead) { CHECK(dead->size() == 1); }
        }
        CHECK(Counted::live == before);
    } while (std::next_permutation(order.begin(), order.end()));
}

TEST_CASE("a clock is not asked once its broker is gone [4.8]") {
    struct Asked final : latchbox::Clock {
        latchbox::Instant now() noexcept override {
            ++times;
            return latchbox::Instant{5s};
        }
        bool attach(latchbox::Sleeper&) noexcept override {
            ++attached;
            return true;
        }
        void detach(latchbox::Sleeper&) noexcept override { --attached; }
        int times = 0;
        int attached = 0;
    };
    auto clock = std::make_unique<Asked>();
    auto broker = std::make_unique<Broker>(latchbox::BrokerOptions{.clock = clock.get()});
    const auto orders = broker->queue("orders");
    for (int i = 0; i < 4; ++i) { REQUIRE(orders.publish(Counted{i})); }
    auto delivery = orders.try_fetch();
    auto rejected = orders.try_fetch();
    REQUIRE(rejected->reject());
    auto dead = orders.dead_letters();
    broker.reset();
    const int times = clock->times;
    CHECK(clock->attached == 0);
    const auto use_all = [&] {
        CHECK(orders.publish(Counted{9}) == Errc::closed);
        CHECK(orders.try_fetch() == Errc::closed);
        CHECK(orders.fetch() == Errc::closed);
        CHECK(orders.fetch_for(1h) == Errc::closed);
        CHECK(orders.pop_all() == Errc::closed);
        CHECK(orders.purge() == 0);
        CHECK(orders.stats().held() == 4);
        CHECK(orders.size() == 4);
        CHECK(orders.cancel(delivery->id()) == Errc::closed);
        CHECK(delivery->lease_lost());
        CHECK(delivery->ack() == Errc::closed);
        CHECK(delivery->extend(1s) == Errc::closed);
        CHECK(orders.ack(delivery->receipt()) == Errc::closed);
        CHECK(dead.take() == Errc::closed);
        CHECK(dead.redrive() == 0);
        CHECK(dead.size() == 1);
    };
    use_all();
    CHECK(clock->times == times);
    // And then there is none any more, which AddressSanitizer would notice.
    clock.reset();
    use_all();
}

TEST_CASE("a clock destroyed right after its broker is not missed [4.8]") {
    std::optional<Queue> orders;
    std::optional<Delivery> delivery;
    {
        latchbox::ManualClock clock;
        Broker broker{{.clock = &clock}};
        orders = broker.queue("orders");
        REQUIRE(orders->publish(Counted{1}));
        delivery = orders->try_fetch().value();
    }
    CHECK(delivery->body().number() == 1);
    delivery.reset();
    CHECK(orders->publish(Counted{2}) == Errc::closed);
}

TEST_CASE("a removed queue lives as long as its handles and leases do [4.8]") {
    const int before = Counted::live;
    latchbox::ManualClock clock;
    Broker broker{{.clock = &clock}};
    {
        auto orders = std::make_unique<Queue>(broker.queue("orders", {.lease = 10s}));
        REQUIRE(orders->publish(Counted{1}));
        REQUIRE(orders->publish(Counted{2}));
        auto delivery = orders->try_fetch();
        REQUIRE(broker.remove("orders"));
        CHECK(Counted::live == before + 1);
        orders.reset();
        CHECK(delivery->body().number() == 1);
    }
    clock.advance(10s);
    broker.poll();
    CHECK(Counted::live == before);
    CHECK(broker.stats().messages.held() == 0);
    CHECK(broker.stats().messages.purged == 2);
}

// --- a message that holds on to its own queue ---------------------------------------------------

struct Holder {
    explicit Holder(int n) : number{n} { ++live; }
    Holder(Holder&& other) noexcept : queue{std::move(other.queue)}, number{other.number} {
        ++live;
    }
    Holder& operator=(Holder&&) = delete;
    ~Holder() { --live; }
    std::optional<latchbox::Queue<Holder>> queue;
    int number;
    inline static int live = 0;
};

TEST_CASE("messages that hold handles of their own queue are freed by close [4.8] [7.5]") {
    latchbox::ManualClock clock;
    SUBCASE("by close") {
        latchbox::Broker<Holder> broker{{.clock = &clock}};
        for (int i = 0; i < 3; ++i) {
            auto queue = broker.queue("q" + std::to_string(i % 2));
            Holder message{i};
            message.queue = queue;
            REQUIRE(queue.publish(std::move(message)));
        }
        CHECK(Holder::live == 3);
        broker.close();
        CHECK(Holder::live == 0);
    }
    SUBCASE("by the end of the broker, a delivery last") {
        std::optional<latchbox::Delivery<Holder>> delivery;
        {
            latchbox::Broker<Holder> broker{{.clock = &clock}};
            for (int i = 0; i < 3; ++i) {
                auto queue = broker.queue("q");
                Holder message{i};
                message.queue = queue;
                REQUIRE(queue.publish(std::move(message)));
            }
            delivery = broker.queue("q").try_fetch().value();
        }
        CHECK(Holder::live == 1);
        CHECK(delivery->body().number == 0);
        CHECK(delivery->body().queue->publish(Holder{9}) == Errc::closed);
        delivery.reset();
    }
    CHECK(Holder::live == 0);
}

// A message that holds a delivery of its own queue: a chain that must not end in a recursion
// without end, nor in a leak.
struct Chain {
    explicit Chain(int n) : number{n} { ++live; }
    Chain(Chain&& other) noexcept : inner{std::move(other.inner)}, number{other.number} { ++live; }
    Chain& operator=(Chain&&) = delete;
    ~Chain() { --live; }
    std::unique_ptr<latchbox::Delivery<Chain>> inner;
    int number;
    inline static int live = 0;
};

TEST_CASE("messages that hold deliveries of their own queue give them back at their end [4.8]") {
    {
        latchbox::ManualClock clock;
        latchbox::Broker<Chain> broker{{.clock = &clock}};
        const auto q = broker.queue("q");
        REQUIRE(q.publish(Chain{0}));
        for (int i = 1; i < 20; ++i) {
            Chain next{i};
            next.inner = std::make_unique<latchbox::Delivery<Chain>>(q.try_fetch().value());
            REQUIRE(q.publish(std::move(next)));
        }
        CHECK(q.stats().leased == 19);
        CHECK(q.stats().ready == 1);
        // Purging the last abandons the one it holds, and that one only.
        CHECK(q.purge() == 1);
        CHECK(q.stats().leased == 18);
        CHECK(q.stats().ready == 1);
        CHECK(q.stats().abandoned == 1);
        support::check_sound(q);
        broker.close();
        // Nobody is left to give the others back but the queue's own bodies.
    }
    CHECK(Chain::live == 0);
}

TEST_CASE(
    "latches and gates may be destroyed in any order, before and after their broker "
    "[4.8] [5.8]") {
    const int before = Counted::live;
    std::array<int, 6> order = {0, 1, 2, 3, 4, 5};
    do {
        latchbox::ManualClock clock;
        auto broker = std::make_unique<Broker>(latchbox::BrokerOptions{.clock = &clock});
        auto gate = std::make_unique<latchbox::Gate<Counted>>(broker->gate(2));
        auto copy = std::make_unique<latchbox::Gate<Counted>>(*gate);
        auto orders = std::make_unique<Queue>(broker->queue("orders"));
        const auto child = orders->publish(Counted{1}, {.parents = {gate->id()}});
        REQUIRE(child);
        auto latch = std::make_unique<latchbox::Latch<Counted>>(broker->latch(*child));
        auto of_gate = std::make_unique<latchbox::Latch<Counted>>(broker->latch(gate->id()));
        bool abandoned = false;
        for (const int next : order) {
            switch (next) {
                case 0: broker.reset(); break;
                case 1: gate.reset(); break;
                case 2: copy.reset(); break;
                case 3: orders.reset(); break;
                case 4: latch.reset(); break;
                default: of_gate.reset(); break;
            }
            abandoned = abandoned || (broker && !gate && !copy);
            using latchbox::LatchState;
            const bool over = !broker || abandoned;
            if (of_gate) {
                CHECK(of_gate->state().value() ==
                      (over ? LatchState::failed : LatchState::pending));
                CHECK((of_gate->wait_for(0s) == Errc::closed) == !broker);
            }
            if (latch) {
                const LatchState state = latch->state().value();
                CHECK(state == (!over                 ? LatchState::pending
                                : abandoned && broker ? LatchState::dead
                                                      : LatchState::failed));
            }
            for (const auto* handle : {gate.get(), copy.get()}) {
                if (handle == nullptr) { continue; }
                CHECK((handle->count_down(0) == Errc::closed) == !broker);
            }
            if (orders) { CHECK(orders->size() == 1); }
            if (broker) { CHECK(broker->stats().gates == (gate || copy || of_gate ? 1U : 0U)); }
        }
        CHECK(Counted::live == before);
    } while (std::next_permutation(order.begin(), order.end()));
}

// A message that holds a gate, and the latch of another message.
struct Keeper {
    explicit Keeper(int n) : number{n} { ++live; }
    Keeper(Keeper&& other) noexcept
        : gate{std::move(other.gate)}, latch{other.latch}, number{other.number} {
        ++live;
        other.gate.reset();
    }
    Keeper& operator=(Keeper&&) = delete;
    ~Keeper() { --live; }
    std::optional<latchbox::Gate<Keeper>> gate;
    std::optional<latchbox::Latch<Keeper>> latch;
    int number;
    inline static int live = 0;
};

TEST_CASE("messages that hold gates and latches let go of them at their end [4.8] [5.8]") {
    using latchbox::MessageState;
    latchbox::ManualClock clock;
    std::optional<latchbox::Delivery<Keeper>> delivery;
    {
        latchbox::Broker<Keeper> broker{{.clock = &clock}};
        const auto q = broker.queue("q");
        std::vector<latchbox::MessageId> gates;
        std::vector<latchbox::MessageId> children;
        for (int i = 0; i < 3; ++i) {
            Keeper message{i};
            message.gate = broker.gate(1);
            gates.push_back(message.gate->id());
            message.latch = broker.latch(message.gate->id());
            REQUIRE(q.publish(std::move(message)));
            children.push_back(q.publish(Keeper{10 + i}, {.parents = {gates.back()}}).value());
        }
        // A line of them: each child holds the gate of the next.
        CHECK(q.pop());
        CHECK(broker.explain(gates[0]).state == MessageState::failed);
        CHECK(broker.explain(children[0]).state == MessageState::dead);
        delivery = q.try_fetch().value();
        CHECK(delivery->ack());
        CHECK(broker.explain(gates[1]).state == MessageState::shut);  // still read
        CHECK(delivery->body().gate->count_down());
        CHECK(broker.explain(children[1]).state == MessageState::ready);
        CHECK(delivery->body().latch->state().value() == latchbox::LatchState::completed);
        support::check_sound(q);
    }
    CHECK(Keeper::live == 1);
    CHECK(delivery->body().gate->count_down() == Errc::closed);
    CHECK(delivery->body().latch->wait() == Errc::closed);
    delivery.reset();
    CHECK(Keeper::live == 0);
}

TEST_CASE("a chain of messages, each with the gate of the next, falls to the last [4.8] [5.5]") {
    constexpr int many = 200;
    latchbox::ManualClock clock;
    latchbox::Broker<Keeper> broker{{.clock = &clock}};
    // No dead letters are kept: each child that dies takes the gate it holds with it.
    const auto q = broker.queue("q", {.dead_capacity = 0});
    latchbox::MessageId parent;
    for (int i = 0; i < many; ++i) {
        Keeper message{i};
        message.gate = broker.gate(1);
        const auto next = message.gate->id();
        latchbox::PublishOptions options;
        if (i != 0) { options.parents.push_back(parent); }
        REQUIRE(q.publish(std::move(message), options));
        parent = next;
    }
    CHECK(q.stats().blocked == many - 1);
    SUBCASE("popped") { CHECK(q.pop()); }
    SUBCASE("purged") { CHECK(q.purge() == many); }
    SUBCASE("removed") { CHECK(broker.remove("q")); }
    SUBCASE("closed") {
        broker.close();
        CHECK(Keeper::live == 0);
        return;
    }
    CHECK(Keeper::live == 0);
    CHECK(q.size() == 0);
    CHECK(broker.stats().gates == 0);
    CHECK(broker.stats().latches == 0);
    CHECK(broker.stats().edges == 0);
}

}  // namespace
