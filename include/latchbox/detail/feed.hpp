// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "latchbox/detail/pattern_index.hpp"
#include "latchbox/detail/reference.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// What the queue of a subscription is fed by. All but what never changes is under the broker's lock
// of names.
template <class Queue, class Platform> struct Feed {
    Feed(std::string_view of, std::string_view shared_by, bool keeps)
        : pattern{of}, group{shared_by}, durable{keeps} {}

    const std::string pattern;
    const std::string group;  // the queue's name, by which others find it; empty if nobody does
    const bool durable;       // stays when the last handle goes
    std::size_t members = 1;  // handles that have not left
    bool listed = false;      // publishes find it
    std::uint64_t generation = 0;  // of the subscriptions, since it was listed
    std::uint64_t replayed = 0;    // a number before all others, for the next that is replayed
};

// Somebody who may stop to consume before his queue ends, as those know him who consume for him:
// one handle of a subscription, or the workers of any handle. Queues' handles have none.
template <class Platform> class Membership {
public:
    // `of`: who has left as soon as he has.
    explicit Membership(Reference<Membership> of = {}) noexcept : of_{std::move(of)} {}
    void hold() noexcept { users_.fetch_add(1, std::memory_order_relaxed); }
    void let_go() noexcept {
        if (users_.fetch_sub(1, std::memory_order_acq_rel) == 1) { delete this; }
    }
    [[nodiscard]] bool has_left() const noexcept {
        return left_.load(std::memory_order_acquire) != 0 || (of_ && of_->has_left());
    }
    [[nodiscard]] bool belongs_to(const Membership& other) const noexcept {
        return this == &other || of_.get() == &other;
    }
    // True for the first who says so.
    bool leave() noexcept { return left_.fetch_add(1, std::memory_order_acq_rel) == 0; }

private:
    ~Membership() = default;

    const Reference<Membership> of_;
    typename Platform::template Atomic<std::uint32_t> users_{1};
    typename Platform::template Atomic<std::uint32_t> left_{0};
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
