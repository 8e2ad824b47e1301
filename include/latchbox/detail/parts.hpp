// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "latchbox/detail/topic_shell.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// The queues and topics that one commit holds together: the topics by their subjects, then the
// queues by their numbers, so that no two commits wait for each other. Nobody else holds two
// topics; a publish to a topic may hold queues, in the same order.
template <class Msg, class Platform> class Parts {
public:
    using Shell = QueueShell<Msg, Platform>;
    using Topic = TopicShell<Msg, Platform>;

    // What a commit does in one queue.
    struct Part {
        Shell* queue = nullptr;
        std::size_t leaving = 0;  // messages that it acks
        std::size_t coming = 0;   // that it publishes
        Effects effects = {};
        Aftermath<Msg, Platform> after = {};
    };

    Parts() noexcept = default;
    Parts(const Parts&) = delete;
    Parts& operator=(const Parts&) = delete;

    // None yet; room for so many queues, of which a few need no memory. May throw std::bad_alloc.
    void start(std::size_t most) {
        topics_.clear();
        many_.clear();
        if (most > few) { many_.resize(most); }
        for (Part& part : few_) { part.leaving = part.coming = 0; }
        first_ = most > few ? many_.data() : few_;
        size_ = 0;
    }
    // Each once. Cheap if they come in order.
    void add(Shell& queue) noexcept {
        std::size_t at = size_;
        while (at != 0 && queue.number() < first_[at - 1].queue->number()) { --at; }
        if (at != 0 && first_[at - 1].queue == &queue) { return; }
        for (std::size_t i = size_++; i != at; --i) { first_[i].queue = first_[i - 1].queue; }
        first_[at].queue = &queue;
    }
    // May throw std::bad_alloc.
    void add(Topic& topic) {
        std::size_t at = topics_.size();
        while (at != 0 && topic.subject < topics_[at - 1]->subject) { --at; }
        if (at != 0 && topics_[at - 1] == &topic) { return; }
        topics_.push_back(nullptr);  // to `insert` takes a compiler longer
        for (std::size_t i = topics_.size() - 1; i != at; --i) { topics_[i] = topics_[i - 1]; }
        topics_[at] = &topic;
    }

    [[nodiscard]] Part* begin() noexcept { return first_; }
    [[nodiscard]] Part* end() noexcept { return first_ + size_; }
    // Of a queue that was added.
    [[nodiscard]] Part& of(const Shell& queue) noexcept {
        Part* first = begin();
        for (std::size_t left = size_; left > 1;) {
            const std::size_t half = left / 2;
            const bool after = first[half].queue->number() <= queue.number();
            first += after ? half : 0;
            left = after ? left - half : half;
        }
        return *first;
    }

    void lock() noexcept LATCHBOX_UNCHECKED {
        for (Topic* topic : topics_) { topic->mutex.lock(); }
        for (Part& part : *this) { part.queue->mutex.lock(); }
    }
    void unlock() noexcept LATCHBOX_UNCHECKED {
        for (Part& part : *this) { part.queue->mutex.unlock(); }
        unlock_topics();
    }
    void unlock_topics() noexcept LATCHBOX_UNCHECKED {
        for (Topic* topic : topics_) { topic->mutex.unlock(); }
    }

private:
    static constexpr std::size_t few = 2;

    Part few_[few];
    std::vector<Part> many_;
    Part* first_ = few_;
    std::size_t size_ = 0;
    std::vector<Topic*> topics_;
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
