// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <memory>
#include <utility>

#include "latchbox/detail/broker_shell.hpp"
#include "latchbox/result.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// How what a topic retains is read, and what is counted of it. [6.6]
template <class Msg, class Platform> class Reading {
public:
    using Broker = BrokerShell<Msg, Platform>;
    using Topic = TopicShell<Msg, Platform>;
    using Body = SharedBody<Msg, Platform>;

    [[nodiscard]] static Result<std::shared_ptr<const Msg>> read(Topic& topic,
                                                                 const MessageId& id) {
        Broker& broker = topic.broker;
        if (broker.is_closed()) { return Errc::closed; }
        if (IdParts::issuer(id) != broker.shelf.issuer) { return Errc::unknown_message; }
        broker.catch_up();
        Hold hold;
        {
            Lock lock{broker.shelf.mutex};
            Body* const body = broker.shelf.find(id);
            if (broker.is_closed()) { return Errc::closed; }  // and nothing is retained any more
            if (body == nullptr) {
                const bool issued = broker.shelf.past(id).state != MessageState::never_issued;
                return issued && TopicNumber::mark(id) == topic.mark ? Errc::expired
                                                                     : Errc::unknown_message;
            }
            if (body->topic != &topic) { return Errc::unknown_message; }
            if (!body->retained) { return Errc::expired; }
            body->hold();
            hold.body = body;
        }
        hold.broker = Reference<Broker>::to(broker);
        // Once made, it lets go of the body; and if it cannot be made, too.
        const auto held = std::make_shared<Hold>(std::move(hold));
        return std::shared_ptr<const Msg>{held, &std::as_const(*held->body).body()};
    }

    [[nodiscard]] static TopicStats stats(Topic& topic) noexcept {
        Broker& broker = topic.broker;
        broker.catch_up();
        TopicStats stats;
        Lock lock{topic.mutex};
        stats.published = topic.published;
        stats.discarded = topic.discarded;
        stats.refused = topic.refused;
        stats.deduplicated = topic.deduplicated;
        stats.dedup_forgotten = topic.values.forgotten();
        Lock held{broker.shelf.mutex};
        stats.retained = topic.retention.by_topic.size + topic.retention.by_wish.size;
        stats.aged_out = topic.retention.aged_out;
        return stats;
    }

private:
    // One reader's hold of a body, and of what has to be there to let go of it.
    struct Hold {
        Reference<Broker> broker;
        Body* body = nullptr;

        Hold() noexcept = default;
        Hold(Hold&& other) noexcept
            : broker{std::move(other.broker)}, body{std::exchange(other.body, nullptr)} {}
        Hold& operator=(Hold&&) = delete;
        ~Hold() {
            if (body != nullptr && body->drop()) { broker->shelf.clear(*body); }
        }
    };
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
