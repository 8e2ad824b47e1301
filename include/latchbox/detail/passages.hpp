// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "latchbox/detail/queue_shell.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

template <class Msg, class Platform> struct Passage;

// The passages of one topic that nobody uses at present.
template <class Msg, class Platform> struct PassageChain {
    Passage<Msg, Platform>* first = nullptr;
};

// What one publish knows of its way: the queues of all subscriptions that match a subject, the
// slots that are reserved in each, and its bodies. Used again by later publishes, as long as the
// subscriptions are the same.
template <class Msg, class Platform> struct Passage {
    struct Target {
        Reference<QueueShell<Msg, Platform>> queue;
        SlotList taken = {};
        std::string key = {};  // given up to the queue if it is new there
    };
    std::uint64_t generation = 0;  // of the subscriptions that these are; 0: none yet
    std::vector<Target> targets;   // in the order in which their queues were made
    bool drops = false;            // whether none of them refuses a copy
    std::vector<SharedBody<Msg, Platform>*> bodies;

    // While nobody uses it, under the mutex of `Passages`.
    PassageChain<Msg, Platform>* topic = nullptr;
    std::size_t weight = 0;
    Passage* next = nullptr;   // of that topic
    Passage* newer = nullptr;  // of all
    Passage* older = nullptr;
};

// The passages that nobody uses at present, of all topics of a broker: those used last, as far as
// their weight goes, which is about how many queues they lead to together. They keep these queues,
// and so must be let go of when one ends. The mutex comes after all others but the timer's, and
// nothing is done under it.
template <class Msg, class Platform> class Passages {
public:
    using One = Passage<Msg, Platform>;
    using Chain = PassageChain<Msg, Platform>;

    Passages() noexcept = default;
    Passages(const Passages&) = delete;
    Passages& operator=(const Passages&) = delete;
    ~Passages() { clear(false); }

    // One of this topic, or nullptr.
    [[nodiscard]] std::unique_ptr<One> take(Chain& topic) noexcept {
        Lock lock{mutex_};
        One* const one = topic.first;
        if (one != nullptr) { take_out(*one); }
        return std::unique_ptr<One>{one};
    }
    // Keeps it for this topic, unless it `is_stale()` by now or the broker has ended. Asked under
    // the mutex: a subscription that ends says so first, and lets go of all that is kept
    // afterwards.
    template <class IsStale>
    void put(Chain& topic, std::unique_ptr<One> one, IsStale&& is_stale) noexcept {
        One* surplus = nullptr;
        {
            Lock lock{mutex_};
            if (!ended_ && !is_stale()) { insert(topic, *one.release()); }
            while (weight_ > most_weight_ && oldest_ != newest_) {
                One& last = *oldest_;
                take_out(last);
                last.next = std::exchange(surplus, &last);
            }
        }
        destroy(surplus);
    }
    // There are so many subscriptions: more may be kept, as others take more memory, too.
    void allow_for(std::size_t subscriptions) noexcept {
        Lock lock{mutex_};
        const std::size_t weight = 8 * subscriptions;
        most_weight_ = weight < least_bound ? least_bound : weight;
    }
    // The topic is gone.
    void forget(Chain& topic) noexcept {
        while (const auto one = take(topic)) {}
    }
    // Lets go of all: a subscription has ended, and all of them are out of date. For good, so that
    // none is kept from now on, at the end of the broker.
    void clear(bool for_good) noexcept {
        One* all = nullptr;
        {
            Lock lock{mutex_};
            ended_ = ended_ || for_good;
            while (newest_ != nullptr) {
                One& one = *newest_;
                take_out(one);
                one.next = std::exchange(all, &one);
            }
        }
        destroy(all);
    }

private:
    static constexpr std::size_t least_bound = 65'536;

    static void destroy(One* chain) noexcept {
        while (chain != nullptr) { delete std::exchange(chain, chain->next); }
    }

    void insert(Chain& topic, One& one) noexcept LATCHBOX_REQUIRES(mutex_) {
        one.topic = &topic;
        one.next = std::exchange(topic.first, &one);
        one.weight = one.targets.capacity() + one.bodies.capacity() + 1;
        weight_ += one.weight;
        one.newer = nullptr;
        one.older = newest_;
        (newest_ != nullptr ? newest_->newer : oldest_) = &one;
        newest_ = &one;
    }
    void take_out(One& one) noexcept LATCHBOX_REQUIRES(mutex_) {
        One** link = &one.topic->first;
        while (*link != &one) { link = &(*link)->next; }
        *link = one.next;
        weight_ -= one.weight;
        (one.newer != nullptr ? one.newer->older : newest_) = one.older;
        (one.older != nullptr ? one.older->newer : oldest_) = one.newer;
    }

    typename Platform::Mutex mutex_;
    One* newest_ LATCHBOX_GUARDED_BY(mutex_) = nullptr;
    One* oldest_ LATCHBOX_GUARDED_BY(mutex_) = nullptr;
    std::size_t weight_ LATCHBOX_GUARDED_BY(mutex_) = 0;
    std::size_t most_weight_ LATCHBOX_GUARDED_BY(mutex_) = least_bound;
    bool ended_ LATCHBOX_GUARDED_BY(mutex_) = false;
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
