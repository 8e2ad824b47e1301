// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "latchbox/detail/waiting.hpp"
#include "latchbox/detail/way.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// How a publish to a topic gets room and slots in all queues on its way, or waits for that. One
// queue at a time, and what it has in the others it keeps; but it waits holding nothing. [6.4]
template <class Msg, class Platform> class Booking {
public:
    using Broker = BrokerShell<Msg, Platform>;
    using Topic = TopicShell<Msg, Platform>;
    using Shell = QueueShell<Msg, Platform>;
    using Way = detail::Way<Msg, Platform>;
    using Target = typename Way::Target;
    using Reserving = detail::Reserving<Msg, Platform>;
    using StopToken = typename Platform::StopToken;

    // The publish has to begin again, as the subscriptions are others now or as it has waited.
    static constexpr Errc again = look_again;

    Booking(Topic& topic, const PublishOptions& options, const StopToken& stop) noexcept
        : broker_{topic.broker}, topic_{topic}, options_{options}, stop_{stop} {}

    Needs needs;                    // of each message, in each queue
    std::string_view value = {};    // of `dedup`, if the topic remembers any
    std::uint32_t values_seen = 0;  // of the topic's, when the publish looked for this one

    // Holds all that is needed if it returns `Errc{}`, and else nothing. One that
    // `must_be_accepted` is so beyond capacity if need be. May throw std::bad_alloc.
    Errc book(Way& way, std::size_t count, bool must_be_accepted) {
        if (!must_be_accepted) {
            if (const Errc refused = foresee(way, count); refused != Errc{}) { return refused; }
        }
        for (Target* target = way.next_target(); target != nullptr; target = way.next_target()) {
            if (needs.line) { target->key = options_.key; }
            const Errc refused = reserve(way, *target, count, must_be_accepted);
            if (refused != Errc{}) { return refused; }
        }
        return Errc{};
    }

private:
    // Of several, whether one will refuse it as things stand: if so, it does not take a place in
    // the others meanwhile, which another publish may have needed.
    Errc foresee(Way& way, std::size_t count) noexcept LATCHBOX_UNCHECKED {
        if (way.targets().size() < 2) { return Errc{}; }
        for (Target& target : way.targets()) {
            Shell& queue = *target.queue;
            if (queue.core.drops_copies() || lets_wait(queue, count)) { continue; }
            const Moment moment = queue.enter();
            const bool full = ending(queue) == Errc{} && !queue.core.has_room(count);
            if (full) { queue.core.refuse(count); }
            queue.finish(moment, effects_);
            if (full) { return Errc::full; }
        }
        return Errc{};
    }

    // Slots in one queue, and room unless that drops what it has no room for. `again`: it ended, or
    // it was waited for.
    Errc reserve(Way& way, Target& target, std::size_t count,
                 bool must_be_accepted) LATCHBOX_UNCHECKED {
        Shell& queue = *target.queue;
        // Where copies are dropped nobody waits for room, and it does not matter what time it is.
        const bool asks = !queue.core.drops_copies();
        for (;;) {
            Moment moment;
            if (asks) {
                moment = queue.enter();
            } else {
                queue.mutex.lock();
            }
            const bool promised = way.take_room(queue);
            Errc ended = Errc{};
            if (!must_be_accepted) {
                const bool room = !asks || has_room(queue, count, promised);
                ended = ending(queue);
                if (ended == Errc{} && !room) { ended = Errc::full; }
            }
            QueueCore::Shortage lacking;
            if (ended == Errc{}) {
                lacking = Reserving::take_slots(queue, count, needs, target.taken);
                if (lacking) {
                    Reserving::withdraw(queue, target.taken);
                    // One that was waited for in another queue is not given up for it.
                    if (asks && !way.keeps_room()) {
                        queue.core.promise(count);
                        way.keep_room(queue);
                    }
                    queue.grow(lacking);
                    continue;
                }
                Reserving::promise(queue, count, needs);
                way.reserved();
            }
            const bool waits = ended == Errc::full && lets_wait(queue, count);
            if (ended == Errc::full && !waits) { queue.core.refuse(count); }
            if (asks) {
                queue.finish(moment, effects_);
            } else {
                queue.mutex.unlock();
            }
            if (ended != Errc{}) { way.give_up(); }
            return waits ? wait_for_room(way, queue, count) : ended;
        }
    }
    // The queue is held. Who waits for room goes first.
    [[nodiscard]] static bool has_room(const Shell& queue, std::size_t count,
                                       bool promised) noexcept LATCHBOX_UNCHECKED {
        return (promised || queue.publishers.empty()) && queue.core.has_room(count);
    }
    // The queue is held. Whether the publish, or the subscription, is over.
    [[nodiscard]] Errc ending(const Shell& queue) const noexcept LATCHBOX_UNCHECKED {
        if (broker_.refuses_publish()) { return Errc::closed; }
        return queue.ended ? again : Errc{};
    }
    [[nodiscard]] static bool lets_wait(const Shell& queue, std::size_t count) noexcept {
        return Platform::can_wait && queue.options.overflow == Overflow::block &&
               count <= queue.options.capacity;
    }
    // Holding nothing meanwhile. [6.4] [7.2]
    Errc wait_for_room(Way& way, Shell& queue, std::size_t count) noexcept LATCHBOX_UNCHECKED {
        if constexpr (Platform::can_wait) {
            const Moment moment = queue.enter(true);
            const bool room = has_room(queue, count, false);
            const bool changed =
                !value.empty() && values_seen != topic_.values_used.load(std::memory_order_acquire);
            if (const Errc ended = ending(queue); ended != Errc{} || room || changed) {
                queue.finish(moment, effects_);
                return ended != Errc{} ? ended : again;
            }
            if (!waits_since_) { waits_since_ = moment.now; }
            Waiter<Platform> waiter;
            waiter.wanted = count;
            waiter.to = &topic_;
            waiter.value = value;
            waiter.sleep.until =
                *waits_since_ + options_.block_for.value_or(queue.options.block_for);
            const Errc ended =
                wait_in_line(queue, queue.publishers, waiter, stop_, moment, effects_);
            if (ended == Errc{}) { way.keep_room(queue); }
            if (ended == Errc::timed_out) {
                Lock lock{queue.mutex};
                queue.core.refuse(count);
            }
            const bool only_it = ended == Errc::closed && !broker_.refuses_publish();
            return ended == Errc{} || only_it ? again : ended;
        } else {
            return Errc::full;
        }
    }

    Broker& broker_;
    Topic& topic_;
    const PublishOptions& options_;
    const StopToken& stop_;
    Effects effects_;
    std::optional<Instant> waits_since_;
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
