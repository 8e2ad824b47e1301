// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "latchbox/detail/linking.hpp"
#include "latchbox/detail/way.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// What becomes of messages under their topic's lock, once nothing can fail any more: they get their
// ids, and their copies are accepted by one queue after the other. [6.3]
template <class Msg, class Platform> class Appending {
public:
    using Topic = TopicShell<Msg, Platform>;
    using Shell = QueueShell<Msg, Platform>;
    using Shelf = detail::Shelf<Msg, Platform>;
    using Body = SharedBody<Msg, Platform>;
    using Way = detail::Way<Msg, Platform>;
    using Target = typename Way::Target;
    using After = Aftermath<Msg, Platform>;

    Appending(Topic& topic, const PublishOptions& options) noexcept
        : needs{Needs::of(options, false)}, topic_{topic}, options_{options} {}

    const Needs needs;  // of each copy, in its queue

    // The message that stands for those with this value; the publish counts as repeated. [7.1]
    bool find_first(std::string_view value, Instant now, MessageId& id) const noexcept
        LATCHBOX_REQUIRES(topic_.mutex) {
        const auto* const first = topic_.first_with(value, now);
        if (first == nullptr) { return false; }
        ++topic_.deduplicated;
        id = IdParts::message(topic_.broker.shelf.issuer, first->number, first->slot);
        return true;
    }
    // There is room for the value, whose text is given up.
    void stand_for(std::string& value, const MessageId& id, Instant now) const noexcept
        LATCHBOX_REQUIRES(topic_.mutex) {
        topic_.values_used.fetch_add(1, std::memory_order_acq_rel);
        topic_.values.insert(value, {IdParts::number(id), IdParts::slot(id)}, now,
                             topic_.options.dedup_window);
    }

    // The ids are drawn in the order in which all will see the messages. Without `bodies` nobody
    // will; else they hold the messages.
    void issue(Way& way, std::span<Body*> bodies, std::size_t count, MessageId* ids,
               const typename Shelf::Term& term, Instant now,
               Body*& aged) const noexcept LATCHBOX_UNCHECKED {
        const auto targets = static_cast<std::uint32_t>(way.targets().size());
        topic_.published += count;
        topic_.discarded += targets == 0 ? count : 0;
        Shelf& shelf = topic_.broker.shelf;
        Lock lock{shelf.mutex};
        shelf.age_out(now, aged);
        shelf.discarded += targets == 0 ? count : 0;
        for (std::size_t i = 0; i < count; ++i) {
            if (bodies.empty()) {
                ids[i] = shelf.draw(topic_.mark, 0);
                continue;
            }
            Body& body = *bodies[i];
            topic_.hold();
            body.topic = &topic_;
            body.priority = options_.priority;
            body.route = way.generation();
            body.on_parent_failure = options_.on_parent_failure;
            body.begin(targets, targets + (term.count != 0 ? 1 : 0));
            shelf.issue(body, topic_.mark);
            ids[i] = body.id;
            if (term.count != 0) { shelf.keep(body, topic_.retention, term, now, aged); }
        }
    }
    // The target's queue is held as well, and slots are reserved there.
    void append(Target& target, std::span<Body*> bodies, Linking<Msg, Platform>* linking,
                Instant now, Effects& effects, After& after) const noexcept LATCHBOX_UNCHECKED {
        Shell& queue = *target.queue;
        for (Body* const body : bodies) {
            const Slot slot = target.taken.pop_front(queue.core.records());
            if (!queue.core.admit(slot, effects)) {
                using Judging = detail::Judging<Msg, Platform>;
                Judging::tell_left(topic_.broker, *body, Told::pending, Cause::none, after);
                if (body->drop()) { after.doom(*body); }
                continue;
            }
            queue.share(slot, *body);
            static_cast<void>(
                detail::accept(queue, slot, options_, needs, linking, &target.key, now, effects));
            if (!queue.holds_bodies) { queue.drop(queue.bodies[slot], after); }
        }
        const bool stands = !options_.dedup.empty() && topic_.options.dedup_window > Duration{};
        if (stands) { queue.end_publishers_of(&topic_, options_.dedup, after); }
    }

private:
    Topic& topic_;
    const PublishOptions& options_;
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
