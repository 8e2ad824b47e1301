// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "latchbox/detail/issued.hpp"
#include "latchbox/detail/pointer_map.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// The one thing shared in the process: numbers those who issue ids, so that ids and receipts of two
// brokers never mix. 0 is never drawn.
inline std::uint32_t draw_number() noexcept {
    static std::atomic<std::uint32_t> last{0};
    const std::uint32_t drawn = last.fetch_add(1, std::memory_order_relaxed) + 1;
    ensure(drawn != 0, "four billion queues were made in this process");
    return drawn;
}

// What is left of a queue that was removed.
struct RemovedQueue {
    Issued past{0};
    std::uint32_t next = 0;  // that was removed after it
};

// Who issued the ids of a broker, by number: a queue; or it was removed, and this is what is left
// of it. Of those as much is kept as a bound allows, the one removed first is forgotten first.
// [5.2] Under the broker's lock of names; memory is made before, by `make`.
template <class Queue> class Issuers {
public:
    struct Maps {
        PointerMap<Queue> queues;
        OwningMap<RemovedQueue> removed;
    };

    explicit Issuers(std::size_t most_weight = std::size_t{1} << 20) noexcept
        : most_weight_{most_weight} {}

    // For `insert`: the queue, and its place among the removed. May throw std::bad_alloc.
    [[nodiscard]] static Maps make(Queue& queue) {
        Maps one;
        one.queues = PointerMap<Queue>::make(queue.number(), queue);
        one.removed = OwningMap<RemovedQueue>::make(queue.number());
        return one;
    }
    void insert(Maps& one) noexcept {
        maps_.queues.insert(one.queues);
        spare_.insert(one.removed);
    }

    [[nodiscard]] Queue* find(std::uint32_t number) const noexcept {
        return maps_.queues.find(number);
    }
    // The queue with the least number above `number`, or nullptr: numbers follow the order in which
    // queues were made.
    [[nodiscard]] Queue* after(std::uint32_t number) const noexcept {
        return maps_.queues.after(number);
    }
    // How it went with a message of a queue that was removed: never_issued if there was none such.
    [[nodiscard]] Issued::Past past(std::uint32_t number, std::uint64_t message) const noexcept {
        const RemovedQueue* const removed = maps_.removed.find(number);
        return removed != nullptr ? removed->past.past(message)
                                  : Issued::Past{MessageState::never_issued, Cause::none};
    }

    // The queue goes, what it issued stays known. Returns what is forgotten for that, to be
    // destroyed without the lock.
    [[nodiscard]] Maps outlive(std::uint32_t number, Issued& issued) noexcept {
        Maps forgotten;
        forgotten.queues.take(maps_.queues, number);
        maps_.removed.take(spare_, number);
        RemovedQueue& removed = *maps_.removed.find(number);
        removed.past = issued.hand_over();
        weight_ += weight(removed);
        (first_ == 0 ? first_ : maps_.removed.find(last_)->next) = number;
        last_ = number;
        while (weight_ > most_weight_) {
            const RemovedQueue& first = *maps_.removed.find(first_);
            weight_ -= weight(first);
            forgotten.removed.take(maps_.removed, std::exchange(first_, first.next));
        }
        return forgotten;
    }
    // The queue goes, and nobody asks for what it issued.
    [[nodiscard]] Maps forget(std::uint32_t number) noexcept {
        Maps forgotten;
        forgotten.queues.take(maps_.queues, number);
        forgotten.removed.take(spare_, number);
        return forgotten;
    }
    // At the end of the broker, when nobody asks any more.
    void erase(std::uint32_t number) noexcept { maps_.queues.erase(number); }

private:
    // What remembering it takes: its failures, and a flat rate.
    static std::size_t weight(const RemovedQueue& removed) noexcept {
        return removed.past.room() + 16;
    }

    std::size_t most_weight_;
    Maps maps_;
    OwningMap<RemovedQueue> spare_;  // the places of queues that are there
    std::uint32_t first_ = 0;        // of the removed, through RemovedQueue::next; 0: none
    std::uint32_t last_ = 0;
    std::size_t weight_ = 0;
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
