// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "latchbox/queue.hpp"
#include "latchbox/topic.hpp"

namespace latchbox {
inline namespace v0 {

/// Deliveries to settle and messages to publish, over any queues and topics of one broker, at one
/// instant: all or none. From `Broker::transaction`; move-only. It owns what it is given: destroyed
/// without a `commit` that succeeded, it releases its deliveries and publishes nothing.
/// Threads   One at a time, as any value.
/// Blocking  None: where a publish would wait for room, the commit is `full`. So stages that feed
///           each other cannot lock each other up.
/// Errors    What cannot be part of it is not taken, but stays with the caller; the verb says why,
///           and so does every later `commit`, as it would not be the whole. Verbs may throw
///           std::bad_alloc and what comes from `Msg`, and then nothing has changed.
/// Lifetime  May outlive the broker, and then says `closed`.
template <class Msg, class Platform> class Transaction {
public:
    using Delivery = latchbox::Delivery<Msg, Platform>;
    using Queue = latchbox::Queue<Msg, Platform>;
    using Topic = latchbox::Topic<Msg, Platform>;

    Transaction(Transaction&&) noexcept = default;
    Transaction& operator=(Transaction&& other) noexcept {
        Transaction taken{std::move(other)};
        std::swap(broker_, taken.broker_);
        std::swap(deliveries_, taken.deliveries_);
        std::swap(settles_, taken.settles_);
        std::swap(posts_, taken.posts_);
        std::swap(spoiled_, taken.spoiled_);
        std::swap(committed_, taken.committed_);
        return *this;
    }
    ~Transaction() {
        for (Delivery& delivery : deliveries_) { delivery.release(); }
    }

    /// Settles a delivery with the commit: `closed`, `already_settled`, `invalid_option` if it is
    /// of another broker.
    Result<void> ack(Delivery&& delivery) { return own(std::move(delivery), Settle::ack, {}); }
    Result<void> fail(Delivery&& delivery, std::string_view reason = {}) {
        return own(std::move(delivery), Settle::fail, Reason{Cause::failed, reason});
    }
    Result<void> reject(Delivery&& delivery, std::string_view reason = {}) {
        return own(std::move(delivery), Settle::reject, Reason{Cause::rejected, reason});
    }

    /// Publishes a message with the commit, in the order of these calls: `closed`,
    /// `invalid_option`. Parents must have been issued before; one that the same commit acks has
    /// completed. The options are copied; `block_for` means nothing here.
    Result<void> publish(const Queue& queue, Msg&& message,
                         const PublishOptions& options = detail::no_wishes) {
        return add(detail::Access::handle(queue), Shared<TopicShell>{}, std::move(message),
                   options);
    }
    Result<void> publish(const Queue& queue, const Msg& message,
                         const PublishOptions& options =
                             detail::no_wishes) requires std::is_copy_constructible_v<Msg> {
        return add(detail::Access::handle(queue), Shared<TopicShell>{}, message, options);
    }
    Result<void> publish(const Topic& topic, Msg&& message,
                         const PublishOptions& options = detail::no_wishes) {
        return add(Shared<Shell>{}, detail::Access::handle(topic), std::move(message), options);
    }
    Result<void> publish(const Topic& topic, const Msg& message,
                         const PublishOptions& options =
                             detail::no_wishes) requires std::is_copy_constructible_v<Msg> {
        return add(Shared<Shell>{}, detail::Access::handle(topic), message, options);
    }

    /// Does it all, and returns the ids of what was published; or nothing, and everything is as
    /// before and still owned, so that it can be tried again.
    /// Errors  In this order: `closed` (draining, too, unless something is settled),
    ///         `already_settled` if it was committed before, what a verb said, `unknown_parent`,
    ///         `lease_lost` if any lease is over, then `full` or `no_subscriber` of the first
    ///         message for which there is no room, that of its own acks counted. A message with a
    ///         `dedup` value is judged by how things stand before the commit. May throw
    ///         std::bad_alloc, or what a copy of a `Msg` throws whose move may throw, and then
    ///         nothing has changed.
    /// Cost    One lock per queue and topic, held together.
    [[nodiscard]] Result<std::vector<MessageId>> commit() {
        if (const Errc refused = refusal(); refused != Errc{}) { return refused; }
        std::vector<MessageId> ids(posts_.size());
        auto posts = std::make_unique<Post[]>(posts_.size());
        for (std::size_t i = 0; i < posts_.size(); ++i) {
            Stored& stored = posts_[i];
            stored.options.key = stored.key;
            stored.options.dedup = stored.dedup;
            posts[i].queue = stored.queue.get();
            posts[i].topic = stored.topic.get();
            posts[i].message = &*stored.message;
            posts[i].options = &stored.options;
        }
        Committing committing{*broker_, settles_, {posts.get(), posts_.size()}};
        if (spoiled_ != Errc{}) {
            const Errc closed = committing.ending();
            return closed != Errc{} ? closed : spoiled_;
        }
        if (const Errc refused = committing.commit(); refused != Errc{}) { return refused; }
        committed_ = true;
        for (std::size_t i = 0; i < ids.size(); ++i) { ids[i] = posts[i].id; }
        for (Delivery& delivery : deliveries_) { delivery.settled_ = true; }
        posts.reset();  // while there is what they are about
        deliveries_.clear();
        posts_.clear();
        return ids;
    }

private:
    friend struct detail::Access;
    using Broker = detail::BrokerShell<Msg, Platform>;
    using Shell = detail::QueueShell<Msg, Platform>;
    using TopicShell = detail::TopicShell<Msg, Platform>;
    using Committing = detail::Committing<Msg, Platform>;
    using Settle = detail::Settle<Msg, Platform>;
    using Post = detail::Post<Msg, Platform>;
    template <class T> using Shared = detail::Reference<T>;

    // A message until the commit. The texts of its options are its own.
    struct Stored {
        Shared<Shell> queue;
        Shared<TopicShell> topic;
        PublishOptions options;
        std::string key;
        std::string dedup;
        std::optional<Msg> message = {};
    };

    explicit Transaction(Shared<Broker> broker) noexcept : broker_{std::move(broker)} {}

    // What is wrong with a part is wrong with the whole.
    Result<void> spoil(Errc why) noexcept {
        if (spoiled_ == Errc{}) { spoiled_ = why; }
        return why;
    }
    [[nodiscard]] Errc refusal() const noexcept {
        if (!broker_) { return Errc::already_settled; }
        if (broker_->is_closed()) { return Errc::closed; }
        return committed_ ? Errc::already_settled : Errc{};
    }
    Result<void> own(Delivery&& delivery, typename Settle::Verb verb, const Reason& reason) {
        if (const Errc refused = refusal(); refused != Errc{}) { return refused; }
        if (delivery.settled_) { return spoil(Errc::already_settled); }
        Shell& queue = delivery.view_.shell();
        if (queue.broker.get() != broker_.get()) { return spoil(Errc::invalid_option); }
        settles_.push_back({&queue, delivery.holder(), verb, reason});
        struct Undo {
            Transaction& of;
            ~Undo() { of.settles_.resize(of.deliveries_.size(), of.settles_.back()); }
        } undo{*this};
        if (deliveries_.size() == deliveries_.capacity()) {
            deliveries_.reserve(2 * deliveries_.size() + 4);
        }
        deliveries_.push_back(std::move(delivery));
        return {};
    }
    template <class From>
    Result<void> add(Shared<Shell> queue, Shared<TopicShell> topic, From&& message,
                     const PublishOptions& options) {
        if (const Errc refused = refusal(); refused != Errc{}) { return refused; }
        const Broker& broker = queue ? *queue->broker : topic->broker;
        const bool to_topic = static_cast<bool>(topic);
        if (&broker != broker_.get() || !detail::is_usable(options, to_topic)) {
            return spoil(Errc::invalid_option);
        }
        posts_.push_back({std::move(queue), std::move(topic), options, std::string{options.key},
                          std::string{options.dedup}});
        struct Undo {
            std::vector<Stored>& posts;
            ~Undo() {
                if (!posts.back().message) { posts.pop_back(); }
            }
        } undo{posts_};
        posts_.back().message.emplace(std::forward<From>(message));
        return {};
    }

    Shared<Broker> broker_;
    std::vector<Delivery> deliveries_;
    std::vector<Settle> settles_;  // of these
    std::vector<Stored> posts_;
    Errc spoiled_ = Errc{};
    bool committed_ = false;
};

}  // namespace v0
}  // namespace latchbox
