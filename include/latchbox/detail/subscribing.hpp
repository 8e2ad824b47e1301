// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "latchbox/detail/fetching.hpp"
#include "latchbox/detail/naming.hpp"
#include "latchbox/detail/option_checks.hpp"
#include "latchbox/detail/reserving.hpp"
#include "latchbox/detail/retained.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// How subscriptions begin, what is replayed to them, and how they end. [6.2]
template <class Msg, class Platform> class Subscribing {
public:
    using Broker = BrokerShell<Msg, Platform>;
    using Shell = QueueShell<Msg, Platform>;
    using Naming = detail::Naming<Msg, Platform>;
    using Membership = detail::Membership<Platform>;

    // The queue of a subscription, with one member more. `made`: it is new, and what it asked for
    // is to be replayed. Throws std::invalid_argument, std::bad_alloc.
    struct Joined {
        Reference<Shell> queue;
        bool made = false;
    };
    [[nodiscard]] static Joined join(Broker& broker, std::string_view pattern,
                                     const SubscriptionOptions& options) {
        const QueueOptions how = queue_options(options);
        if (auto there = find(broker, pattern, options, how)) { return {std::move(there)}; }
        const std::uint32_t number = draw_number();
        const bool group = !options.group.empty();
        const std::string name = group ? std::string{options.group}
                                       : std::string{pattern} + '#' + std::to_string(number);
        auto feed = std::make_unique<typename Shell::Feed>(pattern, options.group, options.durable);
        Reference<Shell> queue{
            new Shell{Reference<Broker>::to(broker), name, how, number, std::move(feed)}};
        if (options.replay) { make_replayable(*queue); }
        auto entry = Topics<Msg, Platform>::make(pattern, *queue);
        auto made = Naming::make(broker, group ? name : std::string{}, std::move(queue));
        Lock lock{broker.names};
        if (group && broker.by_name.find(name) != nullptr) {
            lock.unlock();
            Naming::discard(broker, made);
            return join(broker, pattern, options);
        }
        if (broker.is_closed()) {  // a handle that says so
            lock.unlock();
            Naming::discard(broker, made);
            return {std::move(made.queue)};
        }
        Naming::insert(broker, made);
        broker.topics.list(*made.queue, entry);
        broker.passages.allow_for(broker.topics.subscriptions());
        Lock shelf{broker.shelf.mutex};
        broker.shelf.issued.raise_bound(options.outcome_memory);
        return {std::move(made.queue), true};
    }

    // A handle goes. The queue ends with the last one, unless that `keeps` it. [6.2]
    static void leave(Shell& queue, Membership& member, bool keeps) noexcept LATCHBOX_UNCHECKED {
        if (!member.leave()) { return; }
        Broker& broker = *queue.broker;
        typename Naming::Unlisted unlisted;
        bool ends = false;
        {
            Lock lock{broker.names};
            const bool last = --queue.feed->members == 0;
            ends = last && !keeps && queue.feed->listed && !broker.is_closed();
            if (ends) {
                unlisted.queue = Reference<Shell>::to(queue);
                Naming::unlist(broker, unlisted);
            }
        }
        if (ends) { return Naming::end(broker, queue); }
        if (broker.is_closed()) { return; }
        Fetching<Msg, Platform>::end(queue, member);
    }

    // Gives a new queue what all matching topics retain, before what is published from then on. All
    // of it or, where std::bad_alloc comes of it, nothing: then the subscription is undone.
    static void replay(Shell& queue, Membership& member) {
        Undo undo{queue, &member};
        Retained retained{*queue.broker};
        retained.collect(queue);
        retained.link();
        accept_all(queue, retained);
        undo.member = nullptr;
    }

private:
    // More than a shelf has room for.
    static constexpr std::uint64_t most_replayed = std::uint64_t{1} << 32;

    // The group, if it is there, and the caller its member from here on.
    static Reference<Shell> find(Broker& broker, std::string_view pattern,
                                 const SubscriptionOptions& options, const QueueOptions& how) {
        if (options.group.empty()) { return {}; }
        const Reference<Shell> there = broker.find(options.group);
        if (!there) { return {}; }
        if (!there->feed) {
            invalid_argument("SubscriptionOptions.group: \"" + there->name() + "\" is a queue");
        }
        if (there->feed->pattern != pattern) {
            invalid_argument("the group \"" + there->name() +
                             "\" is there with another pattern, \"" + there->feed->pattern + '"');
        }
        if (there->feed->durable != options.durable) {
            invalid_argument("the group is there with another SubscriptionOptions.durable");
        }
        require_same(there->options, how, of_subscription);
        Lock lock{broker.names};
        if (!there->feed->listed && !broker.is_closed()) { return {}; }  // it has just ended
        ++there->feed->members;
        return there;
    }
    static void make_replayable(Shell& queue) noexcept {
        Lock lock{queue.mutex};
        queue.feed->replayed = queue.core.draw_before(most_replayed);
    }

    // Takes back a subscription that could not be made as a whole.
    struct Undo {
        Shell& queue;
        Membership* member;
        ~Undo() {
            if (member != nullptr) { leave(queue, *member, false); }
        }
    };
    using Retained = detail::Retained<Msg, Platform>;

    // In the order of publishing, as many of the newest as there is room for.
    static void accept_all(Shell& queue, Retained& retained) LATCHBOX_UNCHECKED {
        using Reserving = detail::Reserving<Msg, Platform>;
        constexpr Needs needs{.history = true};
        std::size_t dropped = 0;
        SlotList taken;
        Moment moment;
        for (;;) {
            moment = queue.enter();
            if (queue.is_closed()) { return queue.mutex.unlock(); }
            const std::size_t count = queue.core.room_to_replay(retained.size());
            const auto lacking = Reserving::take_slots(queue, count, needs, taken);
            dropped = retained.size() - count;
            if (!lacking) { break; }
            Reserving::withdraw(queue, taken);
            queue.grow(lacking);
        }
        Effects effects;
        Aftermath<Msg, Platform> after;
        queue.core.drop_copies(dropped);
        for (std::size_t i = dropped; i < retained.size(); ++i) {
            const Slot slot = taken.pop_front(queue.core.records());
            Wishes wishes{.priority = retained[i].priority, .number = queue.feed->replayed + i};
            retained.attach(i, IdParts::message(queue.number(), wishes.number, slot), wishes);
            queue.share(slot, retained.hand_over(i));
            queue.core.accept(slot, wishes, moment.now, effects);
        }
        queue.conclude(moment, effects, after);
        queue.act_on(after);
    }
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
