// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "latchbox/detail/appending.hpp"
#include "latchbox/detail/drafts.hpp"
#include "latchbox/detail/option_checks.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// One message that a commit publishes, to a queue or to a topic: what was asked, and what is ready
// for it before anything is held.
template <class Msg, class Platform> struct Post {
    using Broker = BrokerShell<Msg, Platform>;
    using Shell = QueueShell<Msg, Platform>;
    using Topic = TopicShell<Msg, Platform>;
    using Reserving = detail::Reserving<Msg, Platform>;

    static constexpr bool moves_under_lock = std::is_nothrow_move_constructible_v<Msg>;
    static_assert(
        moves_under_lock || std::is_copy_constructible_v<Msg>,
        "latchbox: what is committed with others needs a Msg that can be copied, or moved "
        "without throwing");

    // What was asked; one of the first two is set.
    Shell* queue = nullptr;
    Topic* topic = nullptr;
    Msg* message = nullptr;  // moved from once committed; copied if its move may throw
    const PublishOptions* options = nullptr;
    MessageId id;  // once committed

    Needs needs;
    std::optional<Linking<Msg, Platform>> linking;
    std::string key;
    std::string value;
    SlotList taken;                         // of a queue
    Cell<Msg, Platform>* made = nullptr;    // the body there, if that was made before
    std::optional<Way<Msg, Platform>> way;  // of a topic
    std::optional<Drafts<Msg, Platform>> drafts;
    typename Shelf<Msg, Platform>::Term term;
    bool repeated = false;  // another message stands for it: `id`
    Post* same = nullptr;   // or one that is published by the same commit

    Post() noexcept = default;
    Post(const Post&) = delete;
    Post& operator=(const Post&) = delete;
    ~Post() {
        if (!taken.empty()) { give_back(); }
    }

    [[nodiscard]] bool adds_nothing() const noexcept { return repeated || same != nullptr; }
    // Whether somebody gets the message, or can read it; of a topic.
    [[nodiscard]] bool is_kept() noexcept { return !way->targets().empty() || term.count != 0; }

    // Everything that is not ready, or not as it was. `unknown_parent`, `closed`; may throw.
    Errc prepare(Broker& broker) {
        needs = Needs::of(*options, queue != nullptr && queue->remembers_values());
        if (topic != nullptr) {
            if (!way) { way.emplace(*topic, 1, needs); }
            if (way->find()) { linking.reset(); }
        }
        if (!options->parents.empty() && !linking) {
            linking.emplace(broker);
            const Errc unknown = linking->link(way ? way->targets().size() : 1, options->parents,
                                               options->on_parent_failure);
            if (unknown != Errc{}) { return unknown; }
        }
        const bool remembers = way ? way->topic_options().dedup_window > Duration{} : needs.value;
        value = remembers ? options->dedup : std::string_view{};
        if (topic != nullptr) {
            draft(broker);
        } else {
            key = options->key;
            if constexpr (!moves_under_lock) { book(); }
        }
        return Errc{};
    }

    // Slots in all queues that it goes to, which are held; or the queue that lacks something first.
    Shell* reserve(QueueCore::Shortage& lacking) noexcept LATCHBOX_UNCHECKED {
        const auto take_slot = [&](Shell& in, SlotList& into) LATCHBOX_UNCHECKED {
            lacking = Reserving::take_slots(in, 1, needs, into);
            if (lacking) {
                Reserving::withdraw(in, into);
            } else {
                Reserving::promise(in, 1, needs);
            }
            return !lacking;
        };
        if (topic == nullptr) {
            return made != nullptr || take_slot(*queue, taken) ? nullptr : queue;
        }
        for (auto& target : way->targets()) {
            if (!take_slot(*target.queue, target.taken)) { return target.queue.get(); }
        }
        return nullptr;
    }
    // Not what was made before.
    void withdraw() noexcept LATCHBOX_UNCHECKED {
        const auto withdraw_from = [&](Shell& in, SlotList& from) LATCHBOX_UNCHECKED {
            if (from.empty()) { return; }
            Reserving::redeem(in, 1, needs);
            Reserving::withdraw(in, from);
        };
        if (topic == nullptr) {
            if (made == nullptr) { withdraw_from(*queue, taken); }
            return;
        }
        for (auto& target : way->targets()) { withdraw_from(*target.queue, target.taken); }
    }

private:
    // A body on the shelf, if it is kept.
    void draft(Broker& broker) {
        for (auto& target : way->targets()) { target.key = options->key; }
        term = Shelf<Msg, Platform>::Term::of(options->retain_for, way->topic_options());
        if (!drafts) { drafts.emplace(broker.shelf, way->bodies()); }
        if (drafts->taken == 0 && is_kept()) { drafts->take(!term.length.is_never()); }
        if constexpr (!moves_under_lock) {
            if (drafts->made != drafts->taken) { drafts->make(*message); }
        }
        if (drafts->taken == 0 || term.count == 0 || options->parents.empty()) { return; }
        for (auto* const body : drafts->bodies) { body->parents = options->parents; }
    }
    // A slot, and the body in it: as its move may throw, it is copied without a lock.
    void book() LATCHBOX_UNCHECKED {
        while (taken.empty()) {
            queue->mutex.lock();
            if (const auto lacking = Reserving::take_slots(*queue, 1, needs, taken)) {
                Reserving::withdraw(*queue, taken);
                queue->grow(lacking);
                continue;
            }
            Reserving::promise(*queue, 1, needs);
            queue->core.redeem(1);  // whether there is room is asked later, and of nobody before
            auto& cell = queue->bodies[taken.front()];
            queue->mutex.unlock();
            cell.construct(std::as_const(*message));
            made = &cell;
        }
    }
    void give_back() noexcept LATCHBOX_UNCHECKED {
        Aftermath<Msg, Platform> after;
        Effects effects;
        const Moment moment = queue->enter();
        if (made != nullptr) { queue->drop(*made, after); }
        queue->core.promise(1);
        Reserving::redeem(*queue, 1, needs);
        const Slot slot = taken.pop_front(queue->core.records());
        queue->core.withdraw(slot, !queue->bodies[slot].vacant());
        queue->conclude(moment, effects, after);
        queue->act_on(after);
    }
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
