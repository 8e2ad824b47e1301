// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

#include "latchbox/detail/parts.hpp"
#include "latchbox/detail/posting.hpp"
#include "latchbox/detail/settling.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// One delivery that a commit settles.
template <class Msg, class Platform> struct Settle {
    enum Verb : std::uint8_t { ack, fail, reject };

    QueueShell<Msg, Platform>* queue;
    typename Settling<Msg, Platform>::Holder holder;
    Verb verb = ack;
    Reason reason = {};
};

// How deliveries are settled and messages published at one instant, all or none. [7.3]
//
//   prepare    without a lock: the way of each message, its parents, memory for it (`Post`)
//   judge      all queues and topics held together: whether everything can be done
//   reserve    the slots; what is lacking is made without a lock, and all begins again
//   apply      what cannot fail any more: first what is settled, then what is published
//
// It never waits: what would have to is `full`.
template <class Msg, class Platform> class Committing {
public:
    using Broker = BrokerShell<Msg, Platform>;
    using Shell = QueueShell<Msg, Platform>;
    using Topic = TopicShell<Msg, Platform>;
    using Settle = detail::Settle<Msg, Platform>;
    using Post = detail::Post<Msg, Platform>;
    using Appending = detail::Appending<Msg, Platform>;
    using Reserving = detail::Reserving<Msg, Platform>;
    using Part = typename Parts<Msg, Platform>::Part;

    static constexpr bool moves_under_lock = Post::moves_under_lock;
    Committing(Broker& broker, std::span<Settle> settles, std::span<Post> posts) noexcept
        : broker_{broker}, settles_{settles}, posts_{posts} {}
    Committing(const Committing&) = delete;
    Committing& operator=(const Committing&) = delete;
    ~Committing() = default;

    // `Errc{}`, and the posts have their ids; else nothing has changed. What throws is
    // std::bad_alloc or comes from copying `Msg`.
    Errc commit() {
        bool linked = false;
        for (const Post& post : posts_) {
            linked = linked || !post.options->parents.empty();
            exact_ = exact_ || post.topic != nullptr || Needs::timed(*post.options) ||
                     !post.options->dedup.empty();
        }
        for (const Settle& settle : settles_) { exact_ = exact_ || settle.verb == Settle::fail; }
        // Else that is seen soon enough.
        if (const Errc closed = linked ? ending() : Errc{}; closed != Errc{}) { return closed; }
        for (;;) {
            for (Post& post : posts_) {
                if (const Errc unknown = post.prepare(broker_); unknown != Errc{}) {
                    return unknown;
                }
            }
            if (is_over()) { return Errc::closed; }
            gather();
            const Errc ended = try_once();
            if (ended != again) { return ended; }
        }
    }

    // Whether it has come too late: goes before whatever else may be wrong. [7.7]
    [[nodiscard]] Errc ending() const noexcept {
        for (const Settle& settle : settles_) {
            if (is_closed(*settle.queue)) { return Errc::closed; }
        }
        for (const Post& post : posts_) {
            if (post.queue != nullptr && is_closed(*post.queue)) { return Errc::closed; }
        }
        return is_over() ? Errc::closed : Errc{};
    }

private:
    // Things are not as they were when it began.
    static constexpr Errc again = look_again;

    [[nodiscard]] static bool is_closed(Shell& queue) noexcept {
        Lock lock{queue.mutex};
        return queue.is_closed();
    }
    [[nodiscard]] bool is_over() const noexcept {
        return settles_.empty() ? broker_.refuses_publish() : broker_.is_closed();
    }

    // All that has to be held.
    void gather() {
        std::size_t most = settles_.size();
        for (Post& post : posts_) { most += post.way ? post.way->targets().size() : 1; }
        parts_.start(most);
        for (const Settle& settle : settles_) { parts_.add(*settle.queue); }
        for (Post& post : posts_) {
            if (post.topic != nullptr) {
                parts_.add(*post.topic);
                for (auto& target : post.way->targets()) { parts_.add(*target.queue); }
            } else {
                parts_.add(*post.queue);
            }
        }
    }

    // --- holding everything ------------------------------------------------------------------

    Errc try_once() LATCHBOX_UNCHECKED {
        moment_ = broker_.arrive(exact_);
        parts_.lock();
        Errc ended = judge();
        if (ended == Errc{}) { ended = reserve(); }
        if (ended == Errc{}) {
            apply();
            return Errc{};
        }
        for (Post& post : posts_) { post.withdraw(); }
        parts_.unlock();
        if (Shell* const queue = std::exchange(lacks_, nullptr)) {
            queue->mutex.lock();
            queue->grow(lacking_);
        }
        if (Topic* const topic = std::exchange(lacks_values_, nullptr)) {
            auto room = DedupWindow::make(wanted_values_);
            Lock lock{topic->mutex};
            topic->values.adopt(room);
        }
        return ended;
    }

    // Whether it can be done as things stand.
    Errc judge() noexcept LATCHBOX_UNCHECKED {
        if (is_over()) { return Errc::closed; }
        for (const Settle& settle : settles_) {
            if (settle.queue->ended) { return Errc::closed; }
        }
        for (Post& post : posts_) {
            if (post.queue != nullptr && post.queue->ended) { return Errc::closed; }
            if (post.way && post.way->is_stale()) { return again; }
        }
        for (Part& part : parts_) {
            if (!part.queue->stands_at(moment_)) {
                exact_ = true;
                return again;
            }
        }
        for (const Settle& settle : settles_) {
            const auto& holder = settle.holder;
            if (!settle.queue->core.holds(holder.slot, holder.lease)) { return Errc::lease_lost; }
            if (settle.verb == Settle::ack) { ++parts_.of(*settle.queue).leaving; }
        }
        for (Post& post : posts_) {
            if (stands_for(post)) { continue; }
            const Errc refused = post.topic != nullptr ? route(post) : admit(*post.queue);
            if (refused != Errc{}) { return refused; }
        }
        return Errc{};
    }
    // Whether another message stands for it, by its value; that of an earlier post, too. [7.1]
    bool stands_for(Post& post) noexcept LATCHBOX_UNCHECKED {
        post.same = nullptr;
        post.repeated = false;
        if (post.value.empty()) { return false; }
        const auto* const first = post.topic != nullptr
                                      ? post.topic->first_with(post.value, moment_.now)
                                      : post.queue->core.first_with(post.value, moment_.now);
        const Duration window = post.topic != nullptr ? post.topic->options.dedup_window
                                                      : post.queue->options.dedup_window;
        if (first != nullptr) {
            const std::uint32_t issuer =
                post.topic != nullptr ? broker_.shelf.issuer : post.queue->number();
            post.id = IdParts::message(issuer, first->number, first->slot);
            post.repeated = true;
        } else if (window > Duration{}) {
            for (Post* earlier = posts_.data(); earlier != &post && !post.same; ++earlier) {
                const bool same = earlier->queue == post.queue && earlier->topic == post.topic &&
                                  earlier->value == post.value;
                if (same) { post.same = earlier; }
            }
        }
        return post.adds_nothing();
    }
    // [6.3]
    Errc route(Post& post) noexcept LATCHBOX_UNCHECKED {
        auto& targets = post.way->targets();
        Errc refused = Errc{};
        if (targets.empty() && post.way->topic_options().unrouted == Unrouted::reject) {
            refused = Errc::no_subscriber;
        }
        for (auto& target : targets) {
            if (target.queue->core.drops_copies()) { continue; }
            refused = admit(*target.queue);
            if (refused != Errc{}) { break; }
        }
        if (refused != Errc{}) { ++post.topic->refused; }
        return refused;
    }
    // Room for one more, and that of the acks counts. Who waits for room goes first, unless nothing
    // is taken of it. [7.3]
    Errc admit(Shell& queue) noexcept LATCHBOX_UNCHECKED {
        Part& part = parts_.of(queue);
        ++part.coming;
        const bool turn = part.coming <= part.leaving || queue.publishers.empty();
        if (turn && queue.core.has_room(part.coming, part.leaving)) { return Errc{}; }
        queue.core.refuse(1);
        return Errc::full;
    }

    // Slots for all that come; `again` if something is lacking first.
    Errc reserve() noexcept LATCHBOX_UNCHECKED {
        for (Post& post : posts_) {
            if (post.adds_nothing()) { continue; }
            lacks_ = post.reserve(lacking_);
            if (lacks_ != nullptr) { return again; }
            if (post.topic == nullptr || post.value.empty()) { continue; }
            if (post.topic->values.has_room(posts_.size())) { continue; }
            lacks_values_ = post.topic;
            wanted_values_ = post.topic->values.wanted(posts_.size());
            return again;
        }
        return Errc{};
    }

    // Nothing can fail any more. Lets go of all locks.
    void apply() noexcept LATCHBOX_UNCHECKED {
        SharedBody<Msg, Platform>* aged = nullptr;
        for (const Settle& settle : settles_) { carry_out(settle); }
        for (Post& post : posts_) {
            if (post.made != nullptr && !post.adds_nothing()) { post.queue->core.promise(1); }
        }
        for (Part& part : parts_) {
            if (!part.queue->feed) { part.queue->core.make_room(0, part.effects); }
        }
        for (Post& post : posts_) {
            if (post.adds_nothing()) {
                repeat(post);
            } else if (post.topic != nullptr) {
                append(post, aged);
            } else {
                accept(post);
            }
        }
        broker_.count_commit();
        for (Part& part : parts_) { part.queue->conclude(moment_, part.effects, part.after); }
        parts_.unlock_topics();
        for (Post& post : posts_) { post.linking.reset(); }
        for (Part& part : parts_) { part.queue->act_on(part.after); }
        broker_.shelf.clear_all(aged);
    }
    void carry_out(const Settle& settle) noexcept LATCHBOX_UNCHECKED {
        Part& part = parts_.of(*settle.queue);
        QueueCore& core = part.queue->core;
        const Slot slot = settle.holder.slot;
        const std::string_view reason = settle.reason.text();
        switch (settle.verb) {
            case Settle::ack: core.ack(slot, part.effects); break;
            case Settle::fail: core.fail(slot, reason, moment_.now, part.effects); break;
            case Settle::reject: core.reject(slot, reason, part.effects); break;
        }
        part.queue->collect(part.effects, part.after, slot);
    }
    void repeat(Post& post) noexcept LATCHBOX_UNCHECKED {
        if (post.same != nullptr) { post.id = post.same->id; }
        if (post.topic != nullptr) {
            ++post.topic->deduplicated;
        } else {
            post.queue->core.repeat();
        }
    }
    void accept(Post& post) noexcept LATCHBOX_UNCHECKED {
        Part& part = parts_.of(*post.queue);
        Shell& queue = *part.queue;
        const Slot slot = post.taken.pop_front(queue.core.records());
        Reserving::redeem(queue, 1, post.needs);
        if constexpr (moves_under_lock) { queue.bodies[slot].construct(std::move(*post.message)); }
        const std::uint64_t number = detail::accept(queue, slot, *post.options, post.needs,
                                                    post.linking ? &*post.linking : nullptr,
                                                    &post.key, moment_.now, part.effects);
        if (!post.value.empty()) {
            queue.core.stand_for(post.value, number, slot);
            queue.end_publishers_of(&queue, post.options->dedup, part.after);
        }
        post.id = IdParts::message(queue.number(), number, slot);
    }
    void append(Post& post, SharedBody<Msg, Platform>*& aged) noexcept LATCHBOX_UNCHECKED {
        const Appending appending{*post.topic, *post.options};
        auto& drafts = *post.drafts;
        const auto bodies = drafts.bodies.first(post.is_kept() ? drafts.taken : 0);
        if constexpr (moves_under_lock) {
            for (auto* const body : bodies) { body->construct(std::move(*post.message)); }
        }
        appending.issue(*post.way, bodies, 1, &post.id, post.term, moment_.now, aged);
        if (!bodies.empty()) { drafts.taken = drafts.made = 0; }
        for (auto& target : post.way->targets()) {
            Part& part = parts_.of(*target.queue);
            Reserving::redeem(*target.queue, 1, post.needs);
            appending.append(target, bodies, post.linking ? &*post.linking : nullptr, moment_.now,
                             part.effects, part.after);
        }
        if (!post.value.empty()) { appending.stand_for(post.value, post.id, moment_.now); }
    }

    Broker& broker_;
    const std::span<Settle> settles_;
    const std::span<Post> posts_;
    Parts<Msg, Platform> parts_;
    bool exact_ = false;  // a glance will not do
    Moment moment_;
    Shell* lacks_ = nullptr;  // memory, of this kind
    QueueCore::Shortage lacking_;
    Topic* lacks_values_ = nullptr;  // room for so many
    std::size_t wanted_values_ = 0;
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
