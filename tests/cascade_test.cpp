// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/cascade.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"
#include "support/sound.hpp"

// What latches that were set mean for others: done queue by queue, past the handles that set them.
namespace {

using namespace std::chrono_literals;
using latchbox::Errc;
using latchbox::LatchState;
using latchbox::MessageId;
using latchbox::detail::Access;
using latchbox::detail::LatchBoard;
using Cascade = latchbox::detail::Cascade<int, latchbox::Threads>;
using LatchWaiter = latchbox::detail::LatchWaiter<latchbox::Threads>;

struct Cascading {
    latchbox::ManualClock clock;
    latchbox::Broker<int> broker{{.clock = &clock}};
    latchbox::Queue<int> one = broker.queue("one");
    latchbox::Queue<int> two = broker.queue("two");
    Cascade::Broker& shell = *Access::shell(one).broker;
    latchbox::Gate<int> gate = broker.gate(1);
    LatchBoard::Work work;

    ~Cascading() {
        support::check_sound(one);
        support::check_sound(two);
    }
    MessageId publish(const latchbox::Queue<int>& queue, const MessageId& parent) const {
        return queue.publish(1, {.parents = {parent}}).value();
    }
    // Only the state: nobody has been told.
    void set(LatchState state) {
        latchbox::detail::Lock lock{shell.latches.mutex};
        shell.latches.board.set(shell.latches.board.find_gate(gate.id()), state, work);
    }
};

TEST_CASE_FIXTURE(Cascading, "children in all queues are judged before it returns [5.4]") {
    for (int i = 0; i < 100; ++i) { publish(i % 3 == 0 ? one : two, gate.id()); }
    set(LatchState::completed);
    CHECK(broker.stats().messages.blocked == 100);
    Cascade::carry_out(shell, work, shell.arrive(true));
    CHECK(work.empty());
    CHECK(broker.stats().messages.ready == 100);
    CHECK(broker.stats().edges == 0);
}

TEST_CASE_FIXTURE(Cascading, "what comes of it is done, too: breadth first, to the last [5.5]") {
    MessageId last = publish(one, gate.id());
    for (int i = 0; i < 1'000; ++i) { last = publish(i % 2 == 0 ? two : one, last); }
    set(LatchState::failed);
    Cascade::carry_out(shell, work, shell.arrive(true));
    CHECK(work.empty());
    CHECK(broker.stats().messages.dead == 1'001);
}

TEST_CASE_FIXTURE(Cascading, "children whose queue is gone are passed over [5.4]") {
    publish(one, gate.id());
    publish(two, gate.id());
    set(LatchState::completed);
    REQUIRE(broker.remove("one"));
    Cascade::carry_out(shell, work, shell.arrive(true));
    CHECK(two.stats().ready == 1);
    CHECK(broker.stats().edges == 0);
}

TEST_CASE_FIXTURE(Cascading, "once closed nothing is judged any more [7.5]") {
    publish(one, gate.id());
    set(LatchState::completed);
    broker.close();
    Cascade::carry_out(shell, work, {});
    CHECK(work.empty());
    CHECK(one.stats().blocked == 1);
}

// Each look at it takes a millisecond.
class SlowClock final : public latchbox::Clock {
public:
    [[nodiscard]] latchbox::Instant now() noexcept override {
        return latchbox::Instant{} + 1ms * ++looks_;
    }
    [[nodiscard]] std::int64_t looks() const noexcept { return looks_; }

private:
    std::atomic<std::int64_t> looks_{0};
};

TEST_CASE("a lease that a long cascade grants counts from when it is granted [4.3] [5.5]") {
    SlowClock clock;
    latchbox::Broker<int> broker{{.clock = &clock}};
    const auto many = broker.queue("many");
    const auto last = broker.queue("last", {.lease = 2s});
    const auto gate = broker.gate();
    for (int i = 0; i < 3'200; ++i) { many.publish(i, {.parents = {gate.id()}}).value(); }
    last.publish(1, {.parents = {gate.id()}}).value();
    latchbox::Instant deadline;
    std::thread waiter{[&] { deadline = last.fetch()->deadline(); }};
    // Once it waits it looks no more: the only one that does is this thread.
    for (std::int64_t looks = -1; looks != clock.looks();) {
        looks = clock.looks();
        for (int i = 0; i < 1'000; ++i) { std::this_thread::yield(); }
    }
    const latchbox::Instant before = clock.now();
    gate.count_down();
    waiter.join();
    // A hundred batches before it, and a look at the clock for each.
    CHECK(deadline >= before + 90ms + 2s);
}

}  // namespace
