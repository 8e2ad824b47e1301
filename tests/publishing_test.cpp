// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/publishing.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"
#include "support/message_kinds.hpp"
#include "support/sound.hpp"
#include "support/tracked_message.hpp"
#include "support/watched_threads.hpp"

// How messages get in: what is checked in which order, and what happens while a body is made.
namespace {

using namespace std::chrono_literals;
using latchbox::Errc;
using latchbox::Overflow;
using latchbox::detail::Access;
using support::ThrowingMessage;
using support::WatchedThreads;

template <class Msg> struct Published {
    latchbox::ManualClock clock;
    latchbox::Broker<Msg> broker{{.clock = &clock}};
    using Queue = latchbox::Queue<Msg>;

    // Nothing is reserved or lost.
    static void check(const Queue& queue) {
        support::check_sound(queue);
        CHECK(Access::core(queue).reserved() == 0);
    }
};

using Throwing = Published<ThrowingMessage>;

TEST_CASE_FIXTURE(Throwing, "refusals come in their order: closed, options, room [7.7] [4.11]") {
    ThrowingMessage::reset();
    const auto full = broker.queue("full", {.capacity = 0});
    ThrowingMessage message{1};
    const latchbox::PublishOptions unusable[] = {{.delay = -1ns},
                                                 {.expires_in = 0s},
                                                 {.delay = 5s, .expires_in = 5s},
                                                 {.priority = 10},
                                                 {.block_for = -1ns}};
    for (const auto& options : unusable) {
        CHECK(full.publish(std::move(message), options) == Errc::invalid_option);
    }
    CHECK(full.publish(std::move(message)) == Errc::full);
    CHECK(full.stats().refused == 1);
    broker.close();
    for (const auto& options : unusable) {
        CHECK(full.publish(std::move(message), options) == Errc::closed);
    }
    CHECK(message.digest() == 1);
    CHECK(ThrowingMessage::copies() + ThrowingMessage::moves() == 0);
    check(full);
}

TEST_CASE_FIXTURE(Throwing,
                  "a copy that throws, anywhere in a batch, leaves all as before [4.11]") {
    const auto queue = broker.queue("queue", {.capacity = 8});
    std::vector<ThrowingMessage> batch;
    for (std::uint64_t n = 1; n <= 5; ++n) { batch.emplace_back(n); }
    const auto live = ThrowingMessage::live();
    for (std::int64_t nth = 1; nth <= 5; ++nth) {
        ThrowingMessage::reset();
        ThrowingMessage::throw_at_copy(nth);
        CHECK_THROWS_AS(static_cast<void>(queue.publish_batch(batch)), support::TrackedFault);
        CHECK(ThrowingMessage::live() == live);
        CHECK(queue.stats() == latchbox::QueueStats{});
        check(queue);
    }
    ThrowingMessage::reset();
    const auto ids = queue.publish_batch(batch);
    REQUIRE(ids);
    for (std::uint64_t n = 1; n <= 5; ++n) {
        CHECK(batch[n - 1].digest() == n);
        auto delivery = queue.try_fetch();
        CHECK(delivery->body().digest() == n);
        // No number was drawn by what threw.
        CHECK(latchbox::detail::IdParts::number(delivery->id()) == n);
        CHECK(delivery->id() == (*ids)[n - 1]);
        REQUIRE(delivery->ack());
    }
    check(queue);
}

TEST_CASE_FIXTURE(Throwing, "room grows with what is published, and bodies do not move [4.8]") {
    const auto queue = broker.queue("queue");
    REQUIRE(queue.publish(ThrowingMessage{1}));
    const auto first = queue.try_fetch();
    const auto* const body = &first->body();
    for (std::uint64_t n = 2; n <= 200; ++n) { REQUIRE(queue.publish(ThrowingMessage{n})); }
    CHECK(&first->body() == body);
    CHECK(body->digest() == 1);
    CHECK(queue.size() == 200);
    check(queue);
}

TEST_CASE_FIXTURE(Throwing, "the slot of a body that somebody still reads is passed over [4.8]") {
    const auto queue = broker.queue("queue");
    std::vector<latchbox::Delivery<ThrowingMessage>> readers;
    for (std::uint64_t n = 1; n <= 40; ++n) {
        REQUIRE(queue.publish(ThrowingMessage{n}));
        readers.push_back(std::move(*queue.try_fetch()));
        REQUIRE(queue.ack(readers.back().receipt()));
    }
    for (std::uint64_t n = 1; n <= 40; ++n) { CHECK(readers[n - 1].body().digest() == n); }
    CHECK(queue.size() == 0);
    CHECK(ThrowingMessage::live() == 40);
}

// A message whose copy does, once, what a test wants done while a body is made without the lock.
using support::CallsBack;
struct Interrupted : Published<CallsBack> {
    static void once(const std::function<void()>& act) {
        CallsBack::on_copy = [act] {
            const auto run = act;
            CallsBack::on_copy = {};
            run();
        };
    }
    ~Interrupted() { CallsBack::no_calls(); }
};

TEST_CASE_FIXTURE(Interrupted,
                  "a queue that ends while a body is made accepts nothing [4.10] "
                  "[4.11] [7.5]") {
    const auto queue = broker.queue("queue");
    CallsBack message{7};
    SUBCASE("by close") {
        once([&] { broker.close(); });
    }
    SUBCASE("by removal") {
        once([&] { REQUIRE(broker.remove("queue")); });
    }
    CHECK(queue.publish(std::move(message)) == Errc::closed);
    CHECK(message.number() == 7);
    CHECK(queue.stats().accepted == 0);
    CHECK(broker.stats().messages.accepted == 0);
    check(queue);
}

TEST_CASE_FIXTURE(Interrupted, "room taken while a body is made is not taken from it [4.12]") {
    const auto queue = broker.queue("queue", {.capacity = 1});
    std::optional<Errc> other;
    once([&] { other = support::error_of(queue.publish(CallsBack{8})); });
    CHECK(queue.publish(CallsBack{7}));
    CHECK(other == Errc::full);
    CHECK(queue.pop()->number() == 7);
    check(queue);
}

TEST_CASE_FIXTURE(Interrupted,
                  "what cannot be evicted any more once a body is made is full [7.2]") {
    const auto queue = broker.queue("queue", {.capacity = 1, .overflow = Overflow::drop_oldest});
    REQUIRE(queue.publish(CallsBack{1}));
    std::optional<latchbox::Delivery<CallsBack>> held;
    once([&] { held.emplace(std::move(*queue.try_fetch())); });
    CallsBack message{7};
    CHECK(queue.publish(std::move(message)) == Errc::full);
    CHECK(message.number() == 7);
    CHECK(held->body().number() == 1);
    CHECK(queue.stats().evicted == 0);
    check(queue);
}

TEST_CASE_FIXTURE(Interrupted,
                  "what a timed message needs is kept for it while its body is made "
                  "[4.11]") {
    const auto queue = broker.queue("queue");
    once([&] {
        // Leases until there would have to be more room for the next.
        for (int n = 0; n < 100 && !Access::core(queue).of_histories(1); ++n) {
            REQUIRE(queue.publish(CallsBack{n}));
            static_cast<void>(std::move(*queue.try_fetch()).detach());
        }
    });
    CHECK(queue.publish(CallsBack{7}, {.delay = 5s}));
    CHECK(queue.stats().delayed == 1);
    check(queue);
}

TEST_CASE_FIXTURE(Interrupted,
                  "time that passes while a body is made does not make it late [4.3]") {
    const auto queue = broker.queue("queue");
    once([&] { clock.advance(3s); });
    REQUIRE(queue.publish(CallsBack{7}, {.delay = 5s}));
    CHECK(broker.poll() >= latchbox::Instant{5s});
    clock.advance(5s);
    CHECK(queue.pop()->number() == 7);
}

// Can be moved only, and that may throw: it is moved without the lock, so it counts as accepted.
class MoveOnly {
public:
    explicit MoveOnly(int n) : number{n} {}
    MoveOnly(MoveOnly&& other) noexcept(false) : number{std::exchange(other.number, -1)} {
        if (const auto act = std::exchange(on_move, {})) { act(); }
    }
    MoveOnly& operator=(MoveOnly&&) = delete;
    int number;
    inline static std::function<void()> on_move = {};
};

TEST_CASE_FIXTURE(Published<MoveOnly>,
                  "a message moved into a queue that ended meanwhile was "
                  "accepted, and purged with it [4.1] [4.11]") {
    const auto queue = broker.queue("queue");
    MoveOnly message{7};
    MoveOnly::on_move = [&] { REQUIRE(broker.remove("queue")); };
    CHECK(queue.publish(std::move(message)));
    CHECK(message.number == -1);
    CHECK(queue.stats().accepted == 1);
    CHECK(queue.stats().purged == 1);
    CHECK(broker.stats().messages == queue.stats());
    check(queue);
}

// A message whose move lasts until somebody else has begun to close the broker.
class MovedSlowly {
public:
    explicit MovedSlowly(int n) : number_{n} { ++live; }
    MovedSlowly(MovedSlowly&& other) noexcept : number_{other.number()} {
        ++live;
        if (const auto act = std::exchange(on_move, {})) { act(); }
    }
    MovedSlowly& operator=(MovedSlowly&&) = delete;
    ~MovedSlowly() {
        --live;
        number_ = -1;
    }
    [[nodiscard]] int number() const { return number_; }

    inline static std::atomic<int> live{0};
    inline static std::function<void()> on_move = {};

private:
    std::atomic<int> number_;
};

TEST_CASE(
    "a publish that meets a close is before it or after it, with its body whole [4.8] "
    "[7.5]") {
    for (const bool waits : {false, true}) {
        std::optional<latchbox::Broker<MovedSlowly, WatchedThreads>> broker{std::in_place};
        const auto queue = broker->queue("queue");
        auto& shell = Access::shell(queue);
        // Somebody waits for it, or nobody.
        int seen = 0;
        std::thread fetcher;
        if (waits) {
            fetcher = std::thread{[&] {
                if (const auto delivery = queue.fetch()) { seen = delivery->body().number(); }
            }};
            WatchedThreads::until_asleep(1);
        }
        std::atomic<bool> moving{false};
        std::thread closer{[&] {
            while (!moving) { std::this_thread::yield(); }
            broker->close();
        }};
        MovedSlowly message{7};
        MovedSlowly::on_move = [&] {
            moving = true;
            while (!shell.broker->is_closed()) { std::this_thread::yield(); }
        };
        const auto accepted = queue.publish(std::move(message));
        closer.join();
        if (fetcher.joinable()) { fetcher.join(); }
        CHECK(queue.stats().accepted == (accepted ? 1 : 0));
        CHECK((seen == 0 || seen == 7));
        CHECK(MovedSlowly::live == 1);
        broker.reset();
        CHECK(MovedSlowly::live == 1);
    }
}

}  // namespace
