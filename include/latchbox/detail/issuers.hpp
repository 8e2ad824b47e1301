// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>

#include "latchbox/detail/issued.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// Who issued the ids of a broker, by number: a queue; or it was removed, and this is what is left
// of it. Of those as much is kept as a bound allows, the one removed first is forgotten first.
// [5.2] Under the broker's lock of names; memory is made before, by `make`.
template <class Queue> class Issuers {
public:
    struct Issuer {
        Queue* queue = nullptr;
        Issued past{0};
        std::uint32_t next_removed = 0;
    };
    using Map = std::map<std::uint32_t, Issuer>;

    explicit Issuers(std::size_t most_weight = std::size_t{1} << 20) noexcept
        : most_weight_{most_weight} {}

    // A map of one, for `insert`. May throw std::bad_alloc.
    [[nodiscard]] static Map make(Queue& queue) {
        Map one;
        one[queue.number()].queue = &queue;
        return one;
    }
    void insert(Map& one) noexcept { issuers_.insert(one.extract(one.begin())); }

    [[nodiscard]] Queue* find(std::uint32_t number) const noexcept {
        const auto at = issuers_.find(number);
        return at != issuers_.end() ? at->second.queue : nullptr;
    }
    // The queue with the least number above `number`, or nullptr: numbers follow the order in which
    // queues were made.
    [[nodiscard]] Queue* after(std::uint32_t number) const noexcept {
        auto at = issuers_.upper_bound(number);
        while (at != issuers_.end() && at->second.queue == nullptr) { ++at; }
        return at != issuers_.end() ? at->second.queue : nullptr;
    }
    // How it went with a message of a queue that was removed: never_issued if there was none such.
    [[nodiscard]] Issued::Past past(std::uint32_t number, std::uint64_t message) const noexcept {
        const auto at = issuers_.find(number);
        const bool removed = at != issuers_.end() && at->second.queue == nullptr;
        return removed ? at->second.past.past(message)
                       : Issued::Past{MessageState::never_issued, Cause::none};
    }

    // The queue goes, what it issued stays known. Returns what is forgotten for that, to be
    // destroyed without the lock.
    [[nodiscard]] Map outlive(std::uint32_t number, Issued& issued) noexcept {
        Issuer& issuer = issuers_.find(number)->second;
        issuer.queue = nullptr;
        issuer.past = issued.hand_over();
        weight_ += weight(issuer);
        (first_removed_ == 0 ? first_removed_ : issuers_.find(last_removed_)->second.next_removed) =
            number;
        last_removed_ = number;
        Map forgotten;
        while (weight_ > most_weight_) {
            const auto first = issuers_.find(first_removed_);
            first_removed_ = first->second.next_removed;
            weight_ -= weight(first->second);
            forgotten.insert(issuers_.extract(first));
        }
        return forgotten;
    }
    // At the end of the broker, when nobody asks any more.
    void erase(std::uint32_t number) noexcept { issuers_.erase(number); }

private:
    // What remembering it takes: its failures, and a flat rate.
    static std::size_t weight(const Issuer& issuer) noexcept { return issuer.past.room() + 16; }

    std::size_t most_weight_;
    Map issuers_;
    std::uint32_t first_removed_ = 0;  // a chain through Issuer::next_removed; 0: nobody
    std::uint32_t last_removed_ = 0;
    std::size_t weight_ = 0;
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
