// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "latchbox/consumer.hpp"
#include "latchbox/detail/at_once.hpp"
#include "latchbox/options.hpp"

namespace latchbox {
inline namespace v0 {

/// One queue: a `Consumer` that also publishes. From `Broker::queue`; cheap to copy, and every
/// copy is the same queue.
template <class Msg, class Platform> class Queue : public Consumer<Msg, Platform> {
public:
    using typename Consumer<Msg, Platform>::StopToken;

    Queue(const Queue&) noexcept = default;
    Queue& operator=(const Queue&) noexcept = default;

    /// Accepts a message: from here on it is delivered at least once. Returns at acceptance;
    /// `message` is moved from only if it was accepted.
    /// Errors  In this order: `cancelled`, `closed` (draining, too), `invalid_option`,
    ///         `unknown_parent`, `full`. With `overflow = block` waits for room instead, and may be
    ///         `timed_out`. What throws comes from `Msg` or is std::bad_alloc, and then nothing has
    ///         changed; only a type that can be moved but not copied, and whose move throws, is not
    ///         what it was before.
    [[nodiscard]] Result<MessageId> publish(Msg&& message,
                                            const PublishOptions& options = detail::no_wishes,
                                            const StopToken& stop = {}) const {
        return AtOnce{this->shell(), options, stop}.one(message);
    }
    /// The same with a copy of `message`.
    [[nodiscard]] Result<MessageId> publish(
        const Msg& message, const PublishOptions& options = detail::no_wishes,
        const StopToken& stop = {}) const requires std::is_copy_constructible_v<Msg> {
        return detail::publish_copy(AtOnce{this->shell(), options, stop}, message);
    }

    /// Accepts all messages of the batch or none, under one lock; their ids in order. Errors as
    /// `publish`; no message is moved from unless all were accepted. More than `capacity` is `full`
    /// at once.
    [[nodiscard]] Result<std::vector<MessageId>> publish_batch(
        std::span<Msg> messages, const PublishOptions& options = detail::no_wishes,
        const StopToken& stop = {}) const {
        static_assert(
            std::is_nothrow_move_constructible_v<Msg> || std::is_copy_constructible_v<Msg>,
            "latchbox: publish_batch needs a Msg that can be copied, or moved without "
            "throwing");
        return AtOnce{this->shell(), options, stop}.all(messages);
    }

    /// As the queue was made.
    [[nodiscard]] const QueueOptions& options() const noexcept { return this->shell().options; }

private:
    friend struct detail::Access;
    using Shell = detail::QueueShell<Msg, Platform>;
    using AtOnce = detail::AtOnce<Msg, Platform>;

    explicit Queue(detail::Reference<Shell> shell) noexcept
        : Consumer<Msg, Platform>{std::move(shell)} {}
};

}  // namespace v0
}  // namespace latchbox
