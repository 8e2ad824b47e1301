// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include "latchbox/detail/pattern_index.hpp"
#include "latchbox/detail/pointer_map.hpp"
#include "latchbox/detail/topic_shell.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// Who subscribed to what, and which topics there are: a subject is here while somebody holds its
// topic (a handle, or a message on the shelf), for ever if it was given options, and else for a
// while yet, so that publishing to one subject again and again looks it up once each time, and for
// as long as it remembers `dedup` values. [6.7] [7.1]
// Under the broker's lock of names, but for `generation`.
template <class Msg, class Platform> class Topics {
public:
    using Topic = TopicShell<Msg, Platform>;
    using Queue = QueueShell<Msg, Platform>;
    using Subscriptions = PatternIndex<Queue>;
    using BySubject = PointerMap<Topic>;  // by subjects that the topics keep

    // Which subscriptions there are: changes with them, before anything else depends on it.
    [[nodiscard]] std::uint64_t generation() const noexcept {
        return generation_.load(std::memory_order_acquire);
    }

    // --- subscriptions -----------------------------------------------------------------------

    // For `list`. May throw std::bad_alloc.
    [[nodiscard]] static Subscriptions make(std::string_view pattern, Queue& queue) {
        return Subscriptions::make(pattern, queue.number(), queue);
    }
    // From here on publishes find the queue.
    void list(Queue& queue, Subscriptions& one) noexcept {
        subscriptions_.insert(one);
        queue.feed->listed = true;
        queue.feed->generation = generation_.fetch_add(1, std::memory_order_acq_rel) + 1;
    }
    // No longer. What is given back is destroyed without the lock.
    [[nodiscard]] Subscriptions unlist(Queue& queue) noexcept {
        auto& feed = *queue.feed;
        feed.listed = false;
        generation_.fetch_add(1, std::memory_order_acq_rel);
        return subscriptions_.erase(feed.pattern, queue.number());
    }
    [[nodiscard]] std::size_t subscriptions() const noexcept { return subscriptions_.size(); }
    // Calls `found(queue)` for each that matches.
    template <class Found> void match(std::string_view subject, Found&& found) const {
        subscriptions_.match(subject, found);
    }

    // --- topics ------------------------------------------------------------------------------

    // For `insert`. May throw std::bad_alloc.
    [[nodiscard]] static BySubject make(Topic& topic) {
        return BySubject::make(topic.subject, topic);
    }
    void insert(BySubject& one) noexcept { by_subject_.insert(one); }
    // Held once more; or nullptr.
    [[nodiscard]] Topic* find(std::string_view subject) noexcept {
        Topic* const topic = by_subject_.find(subject);
        if (topic == nullptr) { return nullptr; }
        if (!topic->is_held()) { get_up(*topic); }
        topic->hold();
        return topic;
    }
    // Nobody holds it any more. Where too many rest, one or two that rest the longest are given
    // back to be forgotten, as a chain through `older`, their places in `nodes`; but not those that
    // remember a value at `now`, which it is at least.
    [[nodiscard]] Topic* rest(Topic& topic, Instant now, BySubject& nodes) noexcept {
        if (topic.has_options) { return nullptr; }
        lie_down(topic);
        Topic* forgotten = nullptr;
        for (int tries = 0; tries < 2 && resting_ > most_resting; ++tries) {
            Topic& oldest = *oldest_;
            get_up(oldest);
            if (oldest.remembers(now)) {
                lie_down(oldest);
            } else {
                nodes.take(by_subject_, oldest.subject);
                oldest.older = std::exchange(forgotten, &oldest);
            }
        }
        return forgotten;
    }
    // Calls `act(topic)` for each.
    template <class Act> void for_each(Act&& act) { by_subject_.for_each(act); }
    [[nodiscard]] std::size_t size() const noexcept { return by_subject_.size() - resting_; }
    // At the end of the broker: nobody holds any.
    void clear() noexcept {
        by_subject_.for_each([](Topic& topic) { delete &topic; });
        by_subject_.clear();
    }

private:
    static constexpr std::size_t most_resting = 256;

    void lie_down(Topic& topic) noexcept {
        topic.older = newest_;
        topic.newer = nullptr;
        (newest_ != nullptr ? newest_->newer : oldest_) = &topic;
        newest_ = &topic;
        ++resting_;
    }
    void get_up(Topic& topic) noexcept {
        if (topic.has_options) { return; }
        (topic.newer != nullptr ? topic.newer->older : newest_) = topic.older;
        (topic.older != nullptr ? topic.older->newer : oldest_) = topic.newer;
        --resting_;
    }

    Subscriptions subscriptions_;
    typename Platform::template Atomic<std::uint64_t> generation_{1};
    BySubject by_subject_;
    Topic* newest_ = nullptr;  // of those that nobody holds
    Topic* oldest_ = nullptr;
    std::size_t resting_ = 0;
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
