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
    using Work = LatchBoard::Work;

    // Returns when all of it is done, that which comes of it included. `moment` is when the latches
    // were set: it can judge whether a wait is over.
    static void carry_out(Broker& broker, Work& work, const Moment& moment) noexcept {
        LatchBoard::Batch batch;
        Work more;
        tell(broker, work, moment.now);
        while (next_batch(broker, work, more, batch)) {
            const Reference<Shell> queue =
                batch.count != 0 ? broker.find(batch.queue) : Reference<Shell>{};
            if (!queue) { continue; }  // removed, and its messages with it
            Aftermath<Msg, Platform> after;
            Judging<Msg, Platform>::judge(*queue, batch, moment, after);
            if (after.latched) {
                more = after.latched->work;
                after.latched.reset();
                tell(broker, more, moment.now);
            }
            queue->act_on(after);
        }
    }

    // Wakes those who slept for a latch. A wait that is over at `now` is over, even if its thread
    // has not noticed yet.
    static void tell(Broker& broker, Work& work, Instant now) noexcept {
        while (work.told != nullptr) {
            auto& waiter = static_cast<LatchWaiter<Platform>&>(*work.told);
            work.told = waiter.next;
            waiter.late = waiter.until <= now;
            broker.time.finish(waiter.sleep);
        }
    }

private:
    // The next children to be judged; `more` is taken over into the work. Once closed nothing is
    // left to do.
    [[nodiscard]] static bool next_batch(Broker& broker, Work& work, Work& more,
                                         LatchBoard::Batch& batch) noexcept {
        if (work.empty() && more.empty()) { return false; }
        Lock lock{broker.latches.mutex};
        LatchBoard& board = broker.latches.board;
        board.append(work, std::exchange(more, {}));
        if (broker.is_closed()) { board.drop(work); }
        return board.next(work, batch);
    }
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
