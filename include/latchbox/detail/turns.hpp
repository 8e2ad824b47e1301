// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <utility>

#include "latchbox/detail/cascade.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// Does what is due. One thread at a time takes all queues from one due instant to the next, so that
// none runs ahead of another, nor of what a due thing meant for the children of a message: that is
// done before anything else, by whoever comes. [4.3]
template <class Msg, class Platform> class Turns {
public:
    using Broker = BrokerShell<Msg, Platform>;
    using Shell = QueueShell<Msg, Platform>;
    using After = Aftermath<Msg, Platform>;

    // Returns when all is done that was due by `now`, in all queues, and what came of it. Bodies
    // are destroyed and waiters woken between the turns, without a lock.
    void catch_up(Broker& broker, Instant now) noexcept {
        for (bool more = true; more;) {
            bool caused = false;
            After after;
            Reference<Shell> queue;
            LatchBoard::Work told;
            Instant told_at;
            {
                Lock turn{mutex_};
                if (caused_.empty()) {
                    more = take(broker, now, queue, after);
                } else {
                    const Moment moment{caused_at_.now, now};
                    Cascade<Msg, Platform>::step(broker, caused_, moment, queue, after);
                }
                told.told = std::exchange(caused_.told, nullptr);
                told_at = caused_at_.now;
                caused = !caused_.empty();
            }
            Cascade<Msg, Platform>::tell(broker, told, told_at);
            if (queue) { queue->act_on(after); }
            // Leases count from when they are granted, however long this takes.
            if (caused && !broker.is_closed()) { now = broker.time.now().now; }
        }
        // Then those who wait no longer than that; what they do may come back here.
        for (Alarm* alarm = broker.time.ringing(now); alarm != nullptr;) {
            const Reference<Alarm> one{std::exchange(alarm, alarm->next)};
            one->ring();
        }
    }

private:
    // The first due thing; false if there is none.
    bool take(Broker& broker, Instant now, Reference<Shell>& queue, After& after) noexcept
        LATCHBOX_REQUIRES(mutex_) {
        auto first = broker.time.first_due(now);
        if (!first.queue) { return false; }
        first.queue->let_time_act(first.first, first.limit, now, after);
        queue = std::move(first.queue);
        if (!after.latched) { return true; }
        caused_at_ = after.latched->moment;
        Cascade<Msg, Platform>::absorb(broker, caused_, after);
        return true;
    }

    typename Platform::Mutex mutex_;
    // What a due thing meant for others, and has not been seen to yet; and when that was.
    LatchBoard::Work caused_ LATCHBOX_GUARDED_BY(mutex_);
    Moment caused_at_ LATCHBOX_GUARDED_BY(mutex_);
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
