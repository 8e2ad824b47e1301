// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "latchbox/detail/access.hpp"
#include "latchbox/detail/publishing.hpp"
#include "latchbox/detail/reading.hpp"
#include "latchbox/detail/spreading.hpp"
#include "latchbox/result.hpp"
#include "latchbox/stats.hpp"

namespace latchbox {
inline namespace v0 {

/// One subject: what is published to it is copied to every matching subscription, to all or to
/// none. From `Broker::topic`; cheap to copy, and every copy is the same topic.
/// Body      Moved in once and shared by all subscriptions; a move-only `Msg` works.
/// Order     All subscriptions see the messages of one subject in the same order.
/// Threads   Any member from any thread, handlers included.
/// Blocking  `publish` and `publish_batch`, where a subscription's `overflow` is `block`.
/// Lifetime  May outlive the broker, and then says `closed`.
template <class Msg, class Platform> class Topic {
public:
    using StopToken = typename Platform::StopToken;

    // Moving copies: a handle always names its topic.
    Topic(const Topic&) noexcept = default;
    Topic& operator=(Topic other) noexcept {
        std::swap(broker_, other.broker_);
        std::swap(shell_, other.shell_);
        return *this;
    }
    ~Topic() = default;

    /// Accepts a message for all subscriptions that match now; returns at acceptance. It completes
    /// with its last copy, at once if there is none. `message` is moved from only if it was
    /// accepted, and somebody gets it or can read it.
    /// Errors  In this order: `cancelled`, `closed` (draining, too), `invalid_option`,
    ///         `unknown_parent`, then `full` or `timed_out` of a subscription that lets it, or
    ///         `no_subscriber`. What throws comes from `Msg` or is std::bad_alloc, and then nothing
    ///         has changed; only a type that can be moved but not copied, and whose move throws, is
    ///         not what it was before.
    /// Cost    Two locks per subscription; one for a message with no wish but its priority, where
    ///         there are at most 16 and all drop what they have no room for, as by default.
    ///         Finding them again costs a walk down their patterns, and is done only when
    ///         somebody subscribed or left.
    [[nodiscard]] Result<MessageId> publish(Msg&& message,
                                            const PublishOptions& options = detail::no_wishes,
                                            const StopToken& stop = {}) const {
        return Spreading{*shell_, options, stop}.one(message);
    }
    /// The same with a copy of `message`.
    [[nodiscard]] Result<MessageId> publish(
        const Msg& message, const PublishOptions& options = detail::no_wishes,
        const StopToken& stop = {}) const requires std::is_copy_constructible_v<Msg> {
        return detail::publish_copy(Spreading{*shell_, options, stop}, message);
    }
    /// Accepts all messages of the batch or none; nothing else that is published to this subject
    /// comes between them. Their ids in order. Errors as `publish`.
    [[nodiscard]] Result<std::vector<MessageId>> publish_batch(
        std::span<Msg> messages, const PublishOptions& options = detail::no_wishes,
        const StopToken& stop = {}) const {
        static_assert(
            std::is_nothrow_move_constructible_v<Msg> || std::is_copy_constructible_v<Msg>,
            "latchbox: publish_batch needs a Msg that can be copied, or moved without "
            "throwing");
        return Spreading{*shell_, options, stop}.all(messages);
    }

    /// A message of this subject that is retained: the body itself, readable for as long as the
    /// pointer lives, any number of times, whoever subscribes or acks. `expired` if it is retained
    /// no longer, or never was; `unknown_message` for an id that is not of this subject (of those
    /// that are gone one in 65,536 is taken for this subject's all the same); `closed`.
    /// May throw std::bad_alloc.
    [[nodiscard]] Result<std::shared_ptr<const Msg>> read(MessageId id) const {
        return detail::Reading<Msg, Platform>::read(*shell_, id);
    }

    /// All counts at one instant. Works after `close`, too.
    [[nodiscard]] TopicStats stats() const noexcept {
        return detail::Reading<Msg, Platform>::stats(*shell_);
    }
    [[nodiscard]] const std::string& subject() const noexcept { return shell_->subject; }

    /// Whether both are handles of one topic.
    friend bool operator==(const Topic& a, const Topic& b) noexcept {
        return a.shell_.get() == b.shell_.get();
    }

private:
    friend struct detail::Access;
    using Shell = detail::TopicShell<Msg, Platform>;
    using Spreading = detail::Spreading<Msg, Platform>;

    explicit Topic(detail::Reference<Shell> shell) noexcept
        : broker_{detail::Reference<detail::BrokerShell<Msg, Platform>>::to(shell->broker)},
          shell_{std::move(shell)} {}

    detail::Reference<detail::BrokerShell<Msg, Platform>> broker_;  // outlives the other
    detail::Reference<Shell> shell_;
};

}  // namespace v0
}  // namespace latchbox
