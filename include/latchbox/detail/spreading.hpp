// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "latchbox/detail/appending.hpp"
#include "latchbox/detail/booking.hpp"
#include "latchbox/detail/drafts.hpp"
#include "latchbox/detail/linking.hpp"
#include "latchbox/detail/option_checks.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// How messages get from a topic to all subscriptions that match, or to none. [6.3]
//
//   find      which queues those are; linking, if there are parents: one wait for each copy
//   book      room and slots in each, one queue at a time; whoever lets publishers wait is waited
//             for while nothing is held, and then all begins again
//   commit    under the topic's lock, so that all see the same order: if the subscriptions are
//             still the same, ids are drawn and copies appended, one queue at a time
//
// Of a few queues that all drop what they have no room for, nothing is booked for plain messages:
// the commit holds them together, and so takes each lock once. If one lacks memory, all begins
// again and books.
//
// A message is moved from only if it was accepted, onto the shelf, and never copied for the
// subscriptions' sake. [4.11]
template <class Msg, class Platform> class Spreading {
public:
    using Broker = BrokerShell<Msg, Platform>;
    using Topic = TopicShell<Msg, Platform>;
    using Shell = QueueShell<Msg, Platform>;
    using Shelf = detail::Shelf<Msg, Platform>;
    using Body = SharedBody<Msg, Platform>;
    using Way = detail::Way<Msg, Platform>;
    using Target = typename Way::Target;
    using Drafts = detail::Drafts<Msg, Platform>;
    using Booking = detail::Booking<Msg, Platform>;
    using After = Aftermath<Msg, Platform>;
    using StopToken = typename Platform::StopToken;

    static constexpr bool moves_under_lock = std::is_nothrow_move_constructible_v<Msg>;
    static constexpr bool copies = std::is_copy_constructible_v<Msg>;

    Spreading(Topic& topic, const PublishOptions& options, const StopToken& stop) noexcept
        : broker_{Reference<Broker>::to(topic.broker)},
          kept_{Reference<Topic>::to(topic)},
          topic_{topic},
          options_{options},
          stop_{stop},
          booking_{topic, options, stop},
          appending_{topic, options} {}

    [[nodiscard]] Errc refusal() const noexcept { return broker_->refusal(stop_); }
    // `Source` is `Msg`, to be moved from, or `const Msg`, where moving it may throw.
    template <class Source> Result<MessageId> one(Source& message) {
        MessageId id;
        const Errc refused = spread(std::span<Source>{&message, 1}, &id);
        if (refused != Errc{}) { return refused; }
        return id;
    }
    Result<std::vector<MessageId>> all(std::span<Msg> messages) {
        std::vector<MessageId> ids(messages.size());
        const Errc refused = spread(messages, ids.data());
        if (refused != Errc{}) { return refused; }
        return ids;
    }

private:
    template <class Source> Errc spread(std::span<Source> messages, MessageId* ids) {
        if (const Errc refused = refusal(); refused != Errc{}) { return refused; }
        if (!is_usable(options_, true, messages.size())) { return Errc::invalid_option; }
        booking_.needs = appending_.needs;
        Way way{topic_, messages.size(), booking_.needs};
        if (way.topic_options().dedup_window > Duration{}) {
            booking_.value = options_.dedup;
            value_ = options_.dedup;
        }
        Drafts drafts{topic_.broker.shelf, way.bodies()};
        for (;;) {
            way.find();
            if (topic_.broker.is_closed() && !must_be_accepted(drafts)) { return Errc::closed; }
            const Errc ended = try_once(way, drafts, messages, ids);
            if (ended != Booking::again) { return ended; }
        }
    }

    template <class Source>
    Errc try_once(Way& way, Drafts& drafts, std::span<Source> messages, MessageId* ids) {
        std::optional<Linking<Msg, Platform>> linking;
        if (!options_.parents.empty()) {
            linking.emplace(topic_.broker);
            const Errc unknown = linking->link(messages.size() * way.targets().size(),
                                               options_.parents, options_.on_parent_failure);
            if (unknown != Errc{}) { return unknown; }
        }
        if (messages.empty()) { return Errc{}; }
        // Looked at before room, and decided in the end. [7.1]
        if (!value_.empty() && is_repeated(*ids)) { return Errc{}; }
        books_ = books_ || booking_.needs.history || !way.can_be_held();
        if (books_) {
            const Errc refused = booking_.book(way, messages.size(), must_be_accepted(drafts));
            if (refused == Errc::full || refused == Errc::timed_out) { count_refused(messages); }
            if (refused != Errc{}) { return refused; }
        }
        const Unrouted unrouted = way.topic_options().unrouted;
        if (way.targets().empty() && unrouted == Unrouted::reject && !must_be_accepted(drafts)) {
            count_refused(messages);
            return Errc::no_subscriber;
        }
        const auto term = Shelf::Term::of(options_.retain_for, way.topic_options());
        if (drafts.taken == 0 && (!way.targets().empty() || term.count != 0)) {
            drafts.take(!term.length.is_never());
        }
        if constexpr (!moves_under_lock) {
            while (drafts.made != drafts.taken) { drafts.make(messages[drafts.made]); }
        }
        if (term.count != 0 && !options_.parents.empty()) {
            for (Body* const body : drafts.bodies) { body->parents = options_.parents; }
        }
        return commit(way, drafts, messages, ids, term, linking);
    }

    // Whether another message stands for this one, by its value; if not, there is room for that.
    bool is_repeated(MessageId& first) LATCHBOX_UNCHECKED {
        moment_ = topic_.broker.arrive(true);
        for (DedupWindow::Room room;;) {
            std::size_t wanted = 0;
            {
                Lock lock{topic_.mutex};
                topic_.values.adopt(room);
                booking_.values_seen = topic_.values_used.load(std::memory_order_acquire);
                if (appending_.find_first(value_, moment_.now, first)) { return true; }
                if (topic_.values.has_room()) { return false; }
                wanted = topic_.values.wanted();
            }
            room = DedupWindow::make(wanted);
        }
    }
    // A message that was moved from, though its publish may have to begin again.
    [[nodiscard]] static bool must_be_accepted(const Drafts& drafts) noexcept {
        return !copies && !moves_under_lock && drafts.made != 0;
    }
    template <class Source> void count_refused(std::span<Source> messages) noexcept {
        Lock lock{topic_.mutex};
        topic_.refused += messages.size();
    }

    template <class Source>
    Errc commit(Way& way, Drafts& drafts, std::span<Source> messages, MessageId* ids,
                const typename Shelf::Term& term,
                std::optional<Linking<Msg, Platform>>& linking) LATCHBOX_UNCHECKED {
        Broker& broker = topic_.broker;
        moment_ = broker.arrive(true);
        After after;
        Body* aged = nullptr;
        // If nobody gets them, and nobody can read them, they come to nothing at once.
        const bool kept = !way.targets().empty() || term.count != 0;
        const auto bodies = drafts.bodies.first(kept ? drafts.taken : 0);
        {
            Lock lock{topic_.mutex};
            const bool closed = broker.refuses_publish();
            if ((closed || way.is_stale()) && !must_be_accepted(drafts)) {
                lock.unlock();
                way.give_up();
                return closed ? Errc::closed : Booking::again;
            }
            if (!value_.empty()) {
                const bool repeated = appending_.find_first(value_, moment_.now, *ids);
                if (repeated || !topic_.values.has_room()) {
                    lock.unlock();
                    way.give_up();
                    return repeated ? Errc{} : Booking::again;
                }
            }
            const Errc refused = books_ ? Errc{} : way.hold();
            books_ = books_ || refused == Errc::full;
            if (refused != Errc{}) { return refused == Errc::full ? Booking::again : refused; }
            if constexpr (moves_under_lock) {
                for (std::size_t i = 0; i < bodies.size(); ++i) {
                    bodies[i]->construct(std::move(messages[i]));
                }
            }
            appending_.issue(way, bodies, messages.size(), ids, term, moment_.now, aged);
            if (!value_.empty()) { appending_.stand_for(value_, *ids, moment_.now); }
            if (kept) { drafts.taken = drafts.made = 0; }
            for (Target& target : way.targets()) { append(way, target, bodies, linking, after); }
            way.arrived();
        }
        linking.reset();
        if (after.idle) {
            for (Target& target : way.targets()) { broker.became_idle(*target.queue); }
        }
        broker.act_on(after);
        broker.shelf.clear_all(aged);
        return Errc{};
    }
    // Under the topic's lock. Nothing is done here before what is due in that queue earlier.
    void append(Way& way, Target& target, std::span<Body*> bodies,
                std::optional<Linking<Msg, Platform>>& linking,
                After& after) noexcept LATCHBOX_UNCHECKED {
        Shell& queue = *target.queue;
        if (books_) {
            queue.mutex.lock();
            way.redeem(target);
        }
        appending_.append(target, bodies, linking ? &*linking : nullptr,
                          queue.done_until(moment_.now), effects_, after);
        queue.conclude(moment_, effects_, after);
    }

    // Others may get the message, and destroy every handle, while this is still at work.
    const Reference<Broker> broker_;
    const Reference<Topic> kept_;
    Topic& topic_;
    const PublishOptions& options_;
    const StopToken& stop_;
    Booking booking_;
    const Appending<Msg, Platform> appending_;
    std::string value_;  // of `dedup`, given up to the topic
    bool books_ = !moves_under_lock;  // a body that was made should not have to begin again
    Moment moment_;
    Effects effects_;
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
