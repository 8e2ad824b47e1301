// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>
#include <string>
#include <utility>

#include "latchbox/broker.hpp"
#include "latchbox/manual_clock.hpp"
#include "latchbox/testing/simulated.hpp"

namespace latchbox {
inline namespace v0 {
namespace testing {

namespace inner {

// When the lease that ends first is over; never, if there is none.
template <class Msg, class Platform>
[[nodiscard]] Instant first_lease_end(const Broker<Msg, Platform>& broker) {
    Instant first = Instant::never();
    detail::Access::shell(broker).for_each([&first](auto& queue) LATCHBOX_UNCHECKED {
        const detail::Lock lock{queue.mutex};
        for (detail::Slot slot = 0; slot < queue.core.slot_count(); ++slot) {
            if (queue.core.record(slot).state != detail::State::leased) { continue; }
            first = detail::earlier(first, queue.core.record(slot).at);
        }
    });
    return first;
}

// No room in a queue, as if others were about to publish; until the end of this.
template <class Msg, class Platform> class AllRoom {
public:
    using Shell = detail::QueueShell<Msg, Platform>;

    explicit AllRoom(Shell& queue) LATCHBOX_UNCHECKED : queue_{queue} {
        const detail::Lock lock{queue_.mutex};
        const std::size_t taken = queue_.core.held() + queue_.core.reserved();
        const std::size_t capacity = queue_.core.options().capacity;
        taken_ = taken < capacity ? capacity - taken : 0;
        queue_.core.promise(taken_);
    }
    // Whoever waits for room gets it.
    ~AllRoom() LATCHBOX_UNCHECKED {
        const detail::Moment moment = queue_.enter();
        queue_.core.redeem(taken_);
        detail::Effects effects;
        queue_.finish(moment, effects);
    }
    AllRoom(const AllRoom&) = delete;
    AllRoom& operator=(const AllRoom&) = delete;

private:
    Shell& queue_;
    std::size_t taken_ = 0;
};

}  // namespace inner

/// What goes wrong while a program of the simulation runs, besides the order of its threads. Each
/// fault is a fiber of its own, which strikes at a moment that the scheduler chooses, or not at
/// all: where every schedule is run, it strikes at every moment. What a fault is told to strike has
/// to live until the fibers have ended.
///
///     FaultPlan{world}.lose_lease(shop->clock, shop->broker).close(shop->broker);
///
/// More faults: waiters that wake up for nothing (`Rules::spurious_wakes`), threads that cannot be
/// started (`World::fail_start`), a consumer that behaves like another engine's (`Profile`).
class FaultPlan {
public:
    explicit FaultPlan(World& world) noexcept : world_{world} {}

    /// The lease that ends first runs out, under whoever has it: time jumps there. Before its
    /// handler has done anything, in the midst of it, or after it and before the ack: then what was
    /// handled is delivered a second time.
    template <class Msg>
    FaultPlan& lose_lease(BasicManualClock<Simulated>& clock, const Broker<Msg, Simulated>& broker,
                          int times = 1) {
        for (int i = 0; i < times; ++i) {
            add("a lost lease", [&clock, &broker] {
                const Instant end = inner::first_lease_end(broker);
                const Instant now = clock.now();
                if (now < end && !end.is_never()) { clock.advance(end - now); }
            });
        }
        return *this;
    }
    /// Time jumps by `length`.
    FaultPlan& jump(BasicManualClock<Simulated>& clock, Duration length) {
        return add("a jump of time", [&clock, length] { clock.advance(length); });
    }
    /// The message is published once more, as by a publisher who has not heard of his success.
    template <class Msg, class To> FaultPlan& publish_again(const To& to, const Msg& message) {
        return add("a publisher's second try",
                   [to, message] { static_cast<void>(to.publish(message)); });
    }
    /// For a while the queue has no room: publishes are `full`, or wait for it, as its overflow
    /// policy has it.
    template <class Msg> FaultPlan& fill(const Consumer<Msg, Simulated>& queue) {
        return add("a full queue", [queue, this_world = &world_] {
            const inner::AllRoom<Msg, Simulated> all{detail::Access::shell(queue)};
            this_world->yield();
        });
    }
    /// The broker is closed in the midst of everything.
    template <class Msg> FaultPlan& close(Broker<Msg, Simulated>& broker) {
        return add("a sudden close", [&broker] { static_cast<void>(broker.close()); });
    }
    /// A stop is requested, wherever its listeners are.
    FaultPlan& stop(Simulated::StopSource source) {
        return add("a stop request", [source] { static_cast<void>(source.request_stop()); });
    }
    /// A fault of the program's own.
    template <class Strike> FaultPlan& add(std::string name, Strike strike) {
        world_.spawn(std::move(name), [&world = world_, strike = std::move(strike)] {
            if (world.pick(2) == 0) { return; }  // 0, the simplest: not at all
            world.log("strikes");
            strike();
        });
        return *this;
    }

private:
    World& world_;
};

}  // namespace testing
}  // namespace v0
}  // namespace latchbox
