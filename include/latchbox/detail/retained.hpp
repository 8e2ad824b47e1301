// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "latchbox/detail/linking.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// What there is to replay to a new subscription, in the order of publishing: held, and linked to
// parents anew, until it is handed over. [6.2]
template <class Msg, class Platform> class Retained {
public:
    using Broker = BrokerShell<Msg, Platform>;
    using Topic = TopicShell<Msg, Platform>;
    using Shell = QueueShell<Msg, Platform>;
    using Body = SharedBody<Msg, Platform>;

    explicit Retained(Broker& broker) noexcept : broker_{broker} {}
    Retained(const Retained&) = delete;
    Retained& operator=(const Retained&) = delete;
    ~Retained() {
        for (One& one : all_) {
            if (one.body != nullptr && one.body->drop()) { broker_.shelf.clear(*one.body); }
        }
    }

    [[nodiscard]] std::size_t size() const noexcept { return all_.size(); }
    [[nodiscard]] Body& operator[](std::size_t at) noexcept { return *all_[at].body; }

    // What all topics that match the new queue's pattern retain, unless its publish has seen that
    // queue. May throw std::bad_alloc.
    void collect(Shell& queue) LATCHBOX_UNCHECKED {
        if (broker_.is_closed()) { return; }
        broker_.catch_up();
        // Room for everything is made before anything is held.
        std::vector<Body*> found;
        SlotHeap<std::uint64_t> order;
        for (std::size_t wanted = 0;;) {
            Lock lock{broker_.names};
            wanted = count(queue);
            if (wanted <= found.capacity() && wanted <= order.room() && wanted <= all_.capacity()) {
                take(queue, found, wanted);
                break;
            }
            lock.unlock();
            found.reserve(wanted);
            all_.reserve(wanted);
            auto room = SlotHeap<std::uint64_t>::make(wanted);
            order.adopt(room);
        }
        for (std::uint32_t i = 0; i < found.size(); ++i) {
            order.insert(TopicNumber::sequence(found[i]->id), i);
        }
        while (!order.empty()) { all_.push_back({found[order.pop()]}); }
    }
    // May throw std::bad_alloc.
    void link() {
        for (One& one : all_) {
            const Body& body = *one.body;
            if (body.parents.empty()) { continue; }
            one.linking = std::make_unique<Linking<Msg, Platform>>(broker_, true);
            const Errc closed = one.linking->link(1, body.parents, body.on_parent_failure);
            if (closed != Errc{}) { return; }
        }
    }
    // The one at `at` is accepted as `copy`. Its queue is held.
    void attach(std::size_t at, const MessageId& copy, Wishes& wishes) noexcept {
        if (all_[at].linking != nullptr) { all_[at].linking->attach(copy, wishes); }
    }
    // Its hold is the caller's.
    [[nodiscard]] Body& hand_over(std::size_t at) noexcept {
        return *std::exchange(all_[at].body, nullptr);
    }

private:
    struct One {
        Body* body = nullptr;
        std::unique_ptr<Linking<Msg, Platform>> linking = {};
    };

    template <class Act> void each_topic(Shell& queue, Act&& act) LATCHBOX_UNCHECKED {
        const Pattern pattern{queue.feed->pattern};
        broker_.topics.for_each([&](Topic& topic) {
            if (pattern.matches(topic.subject)) { act(topic); }
        });
    }
    template <class Act> static void each(Shell& queue, Topic& topic, Act&& act) {
        for (Body* first : {topic.retention.by_topic.first, topic.retention.by_wish.first}) {
            for (Body* body = first; body != nullptr; body = body->next) {
                if (body->route < queue.feed->generation) { act(*body); }
            }
        }
    }
    // Under the lock of names. A publish that has not seen the queue is done when its topic's lock
    // is free; those that come later have.
    std::size_t count(Shell& queue) noexcept LATCHBOX_UNCHECKED {
        std::size_t wanted = 0;
        each_topic(queue, [&](Topic& topic) LATCHBOX_UNCHECKED {
            { const Lock passed{topic.mutex}; }
            Lock shelf{broker_.shelf.mutex};
            each(queue, topic, [&wanted](Body&) { ++wanted; });
        });
        return wanted;
    }
    // Under the same hold of that lock: there may only be fewer, but for one that had to be
    // accepted though it had not seen the queue.
    void take(Shell& queue, std::vector<Body*>& found,
              std::size_t most) noexcept LATCHBOX_UNCHECKED {
        each_topic(queue, [&](Topic& topic) LATCHBOX_UNCHECKED {
            Lock shelf{broker_.shelf.mutex};
            each(queue, topic, [&](Body& body) {
                if (found.size() == most) { return; }
                body.hold();
                found.push_back(&body);
            });
        });
    }

    Broker& broker_;
    std::vector<One> all_;
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
