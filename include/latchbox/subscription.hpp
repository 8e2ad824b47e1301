// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <string>
#include <utility>

#include "latchbox/consumer.hpp"
#include "latchbox/detail/subscribing.hpp"

namespace latchbox {
inline namespace v0 {

/// A queue that is fed by all topics whose subjects match a pattern. From `Broker::subscribe`; the
/// one owner of its place among the subscribers: move-only, and its end ends that. A `Consumer`
/// made from it consumes as it does, for as long as it is there.
/// End       By `unsubscribe`, its destruction, or the end of the broker: at once, also from a
///           handler, while others publish, or while deliveries are out. Whoever waits by this
///           handle gets `closed`, and so does every later call. The queue ends with its last
///           handle, unless the group is durable: what nobody holds is gone then, and counts as
///           completed for those who wait for it; deliveries that are out can be read on.
/// Lifetime  May outlive the broker, and then says `closed`.
template <class Msg, class Platform> class Subscription : public Consumer<Msg, Platform> {
public:
    Subscription(Subscription&& other) noexcept
        : Consumer<Msg, Platform>{other}, owns_{std::exchange(other.owns_, false)} {}
    Subscription& operator=(Subscription&& other) noexcept {
        if (this == &other) { return *this; }
        unsubscribe();
        Consumer<Msg, Platform>::operator=(other);
        owns_ = std::exchange(other.owns_, false);
        return *this;
    }
    ~Subscription() { unsubscribe(); }

    /// Ends it. Idempotent; of one that was moved from, nothing.
    void unsubscribe() noexcept {
        if (!owns_) { return; }
        detail::Subscribing<Msg, Platform>::leave(this->shell(), *this->member(),
                                                  this->shell().feed->durable);
    }
    /// As it was subscribed to.
    [[nodiscard]] const std::string& pattern() const noexcept {
        return this->shell().feed->pattern;
    }
    /// Empty if it is not of a group.
    [[nodiscard]] const std::string& group() const noexcept { return this->shell().feed->group; }

private:
    friend struct detail::Access;
    using Shell = detail::QueueShell<Msg, Platform>;
    using Membership = detail::Membership<Platform>;

    Subscription(detail::Reference<Shell> shell, detail::Reference<Membership> member) noexcept
        : Consumer<Msg, Platform>{std::move(shell), std::move(member)} {}

    bool owns_ = true;
};

}  // namespace v0
}  // namespace latchbox
