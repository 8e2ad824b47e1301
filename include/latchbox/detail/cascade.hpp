// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <utility>

#include "latchbox/detail/judging.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// What latches that were set mean for others: who waits for them is told, their children are
// judged, and theirs after them. A loop over one queue at a time, breadth first; it holds a queue
// for one batch only, and needs no memory. [5.4] [5.5]
template <class Msg, class Platform> class Cascade {
public:
    using Broker = BrokerShell<Msg, Platform>;
    using Shell = QueueShell<Msg, Platform>;
    using After = Aftermath<Msg, Platform>;
    using Work = LatchBoard::Work;

    // Returns when all of it is done, that which comes of it included. `moment` is when the latches
    // were set: it can judge whether a wait is over.
    static void carry_out(Broker& broker, Work& work, Moment moment) noexcept {
        for (tell(broker, work, moment.now); !work.empty(); tell(broker, work, moment.now)) {
            Reference<Shell> queue;
            After after;
            step(broker, work, moment, queue, after);
            if (queue) { queue->act_on(after); }
            // Leases count from when they are granted, however long this takes.
            if (!work.empty() && !broker.is_closed()) {
                moment = Moment{moment.now, broker.time.now().now};
            }
        }
    }

    // A bounded part of the work: judges some children of one `queue`. What is left to do then
    // without a lock is in `after`. Once closed nothing is left to do.
    static void step(Broker& broker, Work& work, Moment moment, Reference<Shell>& queue,
                     After& after) noexcept {
        LatchBoard::Batch batch;
        {
            Lock lock{broker.latches.mutex};
            if (broker.is_closed()) { broker.latches.board.drop(work); }
            broker.latches.board.next(work, batch);
        }
        if (batch.count != 0) { queue = broker.find(batch.queue); }
        if (!queue) { return; }  // removed, and its messages with it
        Judging<Msg, Platform>::judge(*queue, batch, moment, after);
        if (after.latched) { absorb(broker, work, after); }
    }

    // The latches that were set are for `work` to see to.
    static void absorb(Broker& broker, Work& work, After& after) noexcept {
        Lock lock{broker.latches.mutex};
        broker.latches.board.append(work, after.latched->work);
        after.latched.reset();
    }

    // Wakes those who slept for a latch. A wait that is over at `now` is over, even if its thread
    // has not noticed yet.
    static void tell(Broker& broker, Work& work, Instant now) noexcept {
        while (work.told != nullptr) {
            auto& waiter = static_cast<LatchWaiter<Platform>&>(*work.told);
            work.told = waiter.next;
            waiter.late = waiter.until <= now;
            broker.finish(waiter);
        }
    }
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
