// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "latchbox/detail/broker_shell.hpp"
#include "latchbox/detail/reserving.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// The way of one publish to the queues that match its topic: which they are, and what is reserved
// in them. Lets go of all that at its end.
template <class Msg, class Platform> class Way {
public:
    using Broker = BrokerShell<Msg, Platform>;
    using Topic = TopicShell<Msg, Platform>;
    using Passage = detail::Passage<Msg, Platform>;
    using Target = typename Passage::Target;
    using Shell = QueueShell<Msg, Platform>;
    using Reserving = detail::Reserving<Msg, Platform>;

    // Of `count` messages. May throw std::bad_alloc.
    Way(Topic& topic, std::size_t count, const Needs& needs)
        : topic_{topic}, count_{count}, needs_{needs} {
        {
            Lock lock{topic.mutex};
            options_ = topic.options;
        }
        passage_ = topic.broker.passages.take(topic.idle_passages);
        if (passage_ == nullptr) { passage_ = std::make_unique<Passage>(); }
        passage_->bodies.resize(count);
    }
    Way(const Way&) = delete;
    Way& operator=(const Way&) = delete;
    // Others may go this way now.
    ~Way() {
        give_up();
        const std::uint64_t generation = passage_->generation;
        topic_.broker.passages.put(
            topic_.idle_passages, std::move(passage_),
            [&]() LATCHBOX_UNCHECKED { return topic_.broker.topics.generation() != generation; });
    }

    // As it was when this began.
    [[nodiscard]] const TopicOptions& topic_options() const noexcept { return options_; }
    [[nodiscard]] std::vector<Target>& targets() noexcept { return passage_->targets; }
    // A place for each message's body.
    [[nodiscard]] auto& bodies() noexcept { return passage_->bodies; }
    [[nodiscard]] std::uint64_t generation() const noexcept { return passage_->generation; }
    [[nodiscard]] bool is_stale() const noexcept LATCHBOX_UNCHECKED {  // asks an atomic
        return passage_->generation != topic_.broker.topics.generation();
    }
    // Finds the queues as they are now, in the order in which they were made, if they may be others
    // than before; nothing is reserved. None once closed, as they may be gone. Whether it
    // had to look. May throw std::bad_alloc.
    bool find() LATCHBOX_UNCHECKED {  // asks what of a queue never changes
        if (!is_stale()) { return false; }
        passage_->generation = 0;
        std::vector<Reference<Shell>> found;
        found.reserve(targets().size() + 8);
        for (std::size_t count = 0;; found.reserve(2 * count)) {
            found.clear();
            count = 0;
            Lock lock{topic_.broker.names};
            if (topic_.broker.is_closed()) { return true; }
            topic_.broker.topics.match(topic_.subject, [&](Shell& queue) {
                if (count++ < found.capacity()) { found.push_back(Reference<Shell>::to(queue)); }
            });
            passage_->generation = topic_.broker.topics.generation();
            if (count <= found.capacity()) { break; }
            passage_->generation = 0;
        }
        passage_->drops = true;
        for (const auto& queue : found) {
            passage_->drops = passage_->drops && queue->core.drops_copies();
        }
        // By number. What throws here leaves a passage that is stale.
        const std::uint64_t generation = std::exchange(passage_->generation, 0);
        auto room = SlotHeap<std::uint32_t>::make(found.size());
        SlotHeap<std::uint32_t> order;
        order.adopt(room);
        for (std::uint32_t i = 0; i < found.size(); ++i) { order.insert(found[i]->number(), i); }
        passage_->targets.clear();
        passage_->targets.reserve(found.size());
        while (!order.empty()) { passage_->targets.push_back({std::move(found[order.pop()])}); }
        passage_->generation = generation;
        return true;
    }

    // Whether all targets can be held at once: they are few, as is what they get, and none of them
    // can refuse it.
    [[nodiscard]] bool can_be_held() const noexcept {
        const std::size_t size = passage_->targets.size();
        return passage_->drops && size <= most_held && count_ * size <= most_copies;
    }
    // All of them, in the order of commits, each with its slots. Or none: `closed`, or `look_again`
    // if one of them has ended, or `full` if one lacks memory.
    [[nodiscard]] Errc hold() noexcept LATCHBOX_UNCHECKED {
        Errc refused = Errc{};
        std::size_t held = 0;
        while (refused == Errc{} && held != targets().size()) {
            Target& target = targets()[held++];
            target.queue->mutex.lock();
            // Asked now: what ends a queue, or drains it, is done with one that nobody holds.
            if (topic_.broker.refuses_publish()) {
                refused = Errc::closed;
            } else if (target.queue->ended) {
                refused = look_again;
            } else if (!Reserving::take_plain(*target.queue, count_, target.taken)) {
                refused = Errc::full;
            }
        }
        if (refused == Errc{}) { return refused; }
        for (Target& target : std::span{targets()}.first(held)) {
            Reserving::withdraw(*target.queue, target.taken);
            target.queue->mutex.unlock();
        }
        return refused;
    }

    // One more target is reserved; it holds what it needs until `redeem`.
    void reserved() noexcept { ++reserved_; }
    [[nodiscard]] Target* next_target() noexcept {
        return reserved_ < targets().size() ? &targets()[reserved_] : nullptr;
    }
    void redeem(Target& target) noexcept LATCHBOX_REQUIRES(target.queue->mutex) {
        Reserving::redeem(*target.queue, count_, needs_);
    }
    // Room that is kept in one queue while its lock is not held, until there are slots.
    void keep_room(Shell& queue) noexcept { roomy_ = Reference<Shell>::to(queue); }
    [[nodiscard]] bool keeps_room() const noexcept { return static_cast<bool>(roomy_); }
    // Its lock is held. Whether some was kept there, which the caller has now.
    [[nodiscard]] bool take_room(Shell& queue) noexcept LATCHBOX_REQUIRES(queue.mutex) {
        if (roomy_.get() != &queue) { return false; }
        queue.core.redeem(count_);
        Reference<Shell>{std::move(roomy_)};
        return true;
    }

    // Holds nothing that others may need.
    void give_up() noexcept LATCHBOX_UNCHECKED {
        while (reserved_ != 0) {
            Target& target = targets()[--reserved_];
            Shell& queue = *target.queue;
            Effects effects;
            const Moment moment = queue.enter();
            redeem(target);
            Reserving::withdraw(queue, target.taken);
            queue.finish(moment, effects);
        }
        if (const auto queue = std::exchange(roomy_, Reference<Shell>{})) {
            Effects effects;
            const Moment moment = queue->enter();
            queue->core.redeem(count_);
            queue->finish(moment, effects);
        }
    }
    // What was reserved is used.
    void arrived() noexcept { reserved_ = 0; }

private:
    // Who fetches from one of them waits for the appends to all.
    static constexpr std::size_t most_held = 16;
    static constexpr std::size_t most_copies = 1'024;

    Topic& topic_;
    const std::size_t count_;
    const Needs needs_;
    TopicOptions options_;
    std::unique_ptr<Passage> passage_;
    std::size_t reserved_ = 0;  // targets, the first so many
    Reference<Shell> roomy_;
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
