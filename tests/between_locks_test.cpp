// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
//
// What may happen while a publish has let go of the lock: to make room, or to move a body whose
// move may throw. And what a cheap look at the clock must not decide.
#include <chrono>
#include <cstdint>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/detail/access.hpp"
#include "latchbox/latchbox.hpp"
#include "support/failing_new.hpp"
#include "support/watched_threads.hpp"

namespace {

using namespace std::chrono_literals;
using latchbox::Duration;
using latchbox::Errc;
using latchbox::Instant;
using latchbox::detail::Access;

template <class Queue> const char* audit(const Queue& queue) { return Access::core(queue).audit(); }

// Moves only, by a move that may throw and that lets others act in its middle.
struct Slow {
    explicit Slow(int n) : number{n} { ++alive; }
    Slow(Slow&& other) noexcept(false) : number{other.number} {
        ++alive;
        if (meanwhile != nullptr) { std::exchange(meanwhile, nullptr)(); }
    }
    ~Slow() {
        --alive;
        number = -1;
    }
    int number;
    inline static int alive = 0;
    inline static void (*meanwhile)() = nullptr;
};

latchbox::Broker<Slow>* slow_broker = nullptr;

TEST_CASE("a body moved into a queue that is removed and closed meanwhile dies once [4.8] [7.5]") {
    const int before = Slow::alive;
    {
        latchbox::Broker<Slow> broker;
        slow_broker = &broker;
        const auto orders = broker.queue("orders");
        Slow::meanwhile = [] {
            CHECK(slow_broker->remove("orders"));
            slow_broker->close();
        };
        CHECK(orders.publish(Slow{7}));
        CHECK(Slow::alive == before);
    }
    CHECK(Slow::alive == before);
}

TEST_CASE("what is evicted after a close is not destroyed under its reader [4.8] [7.2]") {
    const int before = Slow::alive;
    {
        latchbox::Broker<Slow> broker;
        slow_broker = &broker;
        const auto orders =
            broker.queue("orders", {.capacity = 1, .overflow = latchbox::Overflow::drop_oldest});
        REQUIRE(orders.publish(Slow{7}));
        auto late = orders.try_fetch();
        REQUIRE(late->release());
        Slow::meanwhile = [] { slow_broker->close(); };
        static_cast<void>(orders.publish(Slow{8}));
        CHECK(late->body().number == 7);
    }
    CHECK(Slow::alive == before);
}

std::optional<latchbox::Queue<int>> raided;
std::vector<latchbox::Delivery<int>> loot;

TEST_CASE("what others lease while a publish makes room is not exceeded [4.12]") {
    latchbox::ManualClock clock;
    latchbox::Broker<int> broker{{.clock = &clock}};
    raided = broker.queue("orders", {.capacity = 16, .overflow = latchbox::Overflow::drop_oldest});
    for (int i = 0; i < 16; ++i) { REQUIRE(raided->publish(i)); }
    loot.reserve(16);
    latchbox::Result<latchbox::MessageId> published{Errc::empty};
    {
        const support::FailingNew counted;
        support::FailingNew::meanwhile([] { CHECK(raided->fetch_batch(loot, 16).value() == 16); });
        published = raided->publish(16);
    }
    CHECK(loot.size() == 16);
    CHECK(published == Errc::full);
    CHECK(raided->size() == 16);
    CHECK(audit(*raided) == nullptr);
    loot.clear();
    raided.reset();
}

// Sees the time through a fog: an interval of 40 around it.
struct Foggy final : latchbox::Clock {
    std::int64_t at = 0;
    Instant now() noexcept override { return Instant{Duration::nanoseconds(at)}; }
    latchbox::Glance glance() noexcept override {
        return {Instant{Duration::nanoseconds(at - 10)}, Instant{Duration::nanoseconds(at + 30)}};
    }
};

struct InFog {
    Foggy clock;
    latchbox::Broker<int> broker{{.clock = &clock}};
    latchbox::Queue<int> orders = broker.queue("orders");
    std::optional<latchbox::Delivery<int>> delivery;

    // A delivery whose message expires at 100, in a queue that looks for its next thing at 30 s.
    InFog() {
        REQUIRE(orders.publish(1, {.expires_in = Duration::nanoseconds(100)}));
        delivery.emplace(orders.try_fetch().value());
        REQUIRE(orders.publish(2, {.delay = Duration::nanoseconds(50)}));
        clock.at = 60;
        static_cast<void>(broker.poll());
        orders.try_fetch()->ack();
    }
    void settle_at(std::int64_t instant, void (*settle)(latchbox::Delivery<int>&)) {
        clock.at = instant;
        settle(*delivery);
        delivery.reset();
        const auto& core = Access::core(orders);
        const bool over = instant >= 100;
        CHECK(core.in(latchbox::detail::State::ready) == (over ? 0U : 1U));
        CHECK(core.stats().expired == (over ? 1U : 0U));
    }
};

TEST_CASE("a time to live is not judged by a glance when a delivery comes back [4.3]") {
    for (const std::int64_t instant : {95, 99, 100, 105}) {
        CAPTURE(instant);
        InFog{}.settle_at(instant, [](auto& delivery) { CHECK(delivery.release()); });
        InFog{}.settle_at(instant, [](auto& delivery) { CHECK(delivery.requeue()); });
        InFog{}.settle_at(instant, [](auto&) {});  // abandoned
    }
}

using Platform = support::WatchedThreads;

TEST_CASE("a clock that says never makes nobody late who waits for ever [4.9] [7.6]") {
    latchbox::ManualClock clock;
    latchbox::Broker<int, Platform> broker{{.clock = &clock}};
    const auto orders = broker.queue("orders");
    clock.advance(Duration::never());
    latchbox::Errc ended{};
    std::thread waiting{[&] { ended = orders.fetch().error(); }};
    Platform::until_asleep(1);
    broker.close();
    waiting.join();
    CHECK(ended == Errc::closed);
}

}  // namespace
