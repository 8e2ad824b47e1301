// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "latchbox/detail/broker_shell.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// How queues, the queues of groups, and topics come by their names, and lose them.
template <class Msg, class Platform> class Naming {
public:
    using Broker = BrokerShell<Msg, Platform>;
    using Shell = QueueShell<Msg, Platform>;
    using Topic = TopicShell<Msg, Platform>;
    using ByName = typename Broker::ByName;

    // Everything that can fail, outside the lock: a queue, its place with the timekeeper, its nodes
    // in the maps.
    struct Made {
        Reference<Shell> queue;
        ByName name;
        typename Issuers<Shell>::Maps number;
    };
    // Without a name if that is empty. May throw std::bad_alloc.
    [[nodiscard]] static Made make(Broker& broker, std::string_view name, Reference<Shell> queue) {
        Made made{std::move(queue), {}, {}};
        if (!name.empty()) { made.name = ByName::make(made.queue->name(), *made.queue); }
        made.number = Issuers<Shell>::make(*made.queue);
        made.queue->enlist(broker.time.enlist(*made.queue));
        return made;
    }
    // Under the lock of names. From here on others find it.
    static void insert(Broker& broker, Made& made) noexcept LATCHBOX_REQUIRES(broker.names) {
        if (!made.name.empty()) { broker.by_name.insert(made.name); }
        made.queue->hold();
        broker.issuers.insert(made.number);
    }
    // It is not needed: another was faster.
    static void discard(Broker& broker, const Made& made) noexcept {
        broker.time.discharge(made.queue->retire());
    }

    // The queue of this name, made if there is none. May throw std::bad_alloc.
    [[nodiscard]] static Reference<Shell> find_or_make(Broker& broker, std::string_view name,
                                                       const QueueOptions& options) {
        if (auto found = broker.find(name)) { return found; }
        Made made = make(broker, name,
                         Reference<Shell>{new Shell{Reference<Broker>::to(broker), name, options,
                                                    draw_number()}});
        Lock lock{broker.names};
        if (auto found = broker.refer(broker.by_name.find(name))) {
            lock.unlock();
            discard(broker, made);
            return found;
        }
        insert(broker, made);
        return std::move(made.queue);
    }

    // The topic of this subject, made if there is none. May throw std::bad_alloc.
    [[nodiscard]] static Reference<Topic> topic(Broker& broker, std::string_view subject) {
        {
            Lock lock{broker.names};
            if (Topic* const found = broker.topics.find(subject)) {
                return Reference<Topic>{found};
            }
        }
        auto made = std::make_unique<Topic>(broker, subject);
        auto node = Topics<Msg, Platform>::make(*made);
        Lock lock{broker.names};
        if (Topic* const found = broker.topics.find(subject)) {
            lock.unlock();
            return Reference<Topic>{found};
        }
        broker.topics.insert(node);
        return Reference<Topic>{made.release()};
    }
    // Gives it options if it has had none but the defaults. Returns those that it has then.
    static TopicOptions give_options(Topic& topic, const TopicOptions& options) noexcept {
        Lock lock{topic.broker.names};
        Lock held{topic.mutex};
        if (!topic.has_options && !(options == TopicOptions{})) {
            topic.has_options = true;
            topic.options = options;
        }
        return topic.options;
    }

    // Ends a queue, or that of a group.
    static bool remove(Broker& broker, std::string_view name) noexcept {
        Unlisted unlisted;
        {
            Lock lock{broker.names};
            unlisted.queue = broker.refer(broker.by_name.find(name));
            if (!unlisted.queue || broker.is_closed()) { return false; }
            unlist(broker, unlisted);
        }
        end(broker, *unlisted.queue);
        return true;
    }

    // What is left of a name, to be destroyed without the lock.
    struct Unlisted {
        Reference<Shell> queue;
        ByName name;
        typename Broker::Topics::Subscriptions pattern;
    };
    // Nobody finds `unlisted.queue` any more.
    static void unlist(Broker& broker, Unlisted& unlisted) noexcept
        LATCHBOX_REQUIRES(broker.names) {
        Shell& queue = *unlisted.queue;
        if (!queue.feed || !queue.feed->group.empty()) {
            unlisted.name.take(broker.by_name, queue.name());
        }
        if (!queue.feed) { return; }
        unlisted.pattern = broker.topics.unlist(queue);
        broker.passages.allow_for(broker.topics.subscriptions());
    }
    // It ends; what is leased stays until its leases end.
    static void end(Broker& broker, Shell& queue) noexcept LATCHBOX_UNCHECKED {
        if (queue.feed) { broker.passages.clear(false); }
        Effects effects;
        Aftermath<Msg, Platform> after;
        const Moment moment = queue.enter(true);
        if (!broker.is_closed()) {
            queue.ended = true;
            queue.core.end(effects);
            queue.end_all_waiters(Errc::closed, after);
            queue.end_leases(after);
        }
        queue.conclude(moment, effects, after);
        queue.act_on(after);
    }
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
