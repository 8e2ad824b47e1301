// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "latchbox/detail/broker_shell.hpp"
#include "latchbox/detail/draining.hpp"
#include "latchbox/detail/explaining.hpp"
#include "latchbox/detail/naming.hpp"
#include "latchbox/detail/option_checks.hpp"
#include "latchbox/gate.hpp"
#include "latchbox/latch.hpp"
#include "latchbox/queue.hpp"
#include "latchbox/stats.hpp"
#include "latchbox/subject.hpp"
#include "latchbox/subscription.hpp"
#include "latchbox/topic.hpp"
#include "latchbox/transaction.hpp"

namespace latchbox {
inline namespace v0 {

// Order of locks, for whoever changes one: turns < names < topic < queue < shelf < latches < timer,
// and a manual clock's own lock before the timer's. Two topics are held together only by a
// commit: by their subjects; two queues also by a publish to a topic: by their numbers.
//   turns   Turns::mutex_             whose turn it is to do what is due
//   names   BrokerShell::names        which queues, subscriptions and topics there are
//   topic   TopicShell::mutex         the order of what is published to one subject
//   queue   QueueShell::mutex         one queue
//   shelf   Shelf::mutex              the bodies of topics' messages, and what is retained
//   latches Latches::mutex            who waits for whom
//   timer   Timekeeper::mutex_        what is due next, who sleeps
// That of `Passages` may be taken under any of these, and none under it.

/// Named queues and topics that carry messages of type `Msg` inside one process.
/// Delivery   At least once, under a lease: unless settled before its deadline, the message is
///            offered again. A lease is not a lock: its holder may still be running.
/// Order      Priority, then publish order. A released message returns to its old place, other
///            redeliveries go to the back.
/// Time       Exact on the broker's clock: a lease is over at its deadline, whoever calls when.
///            Each call first does what is due; without calls nothing happens, and none is missed.
/// Threads    Any member, any thread, any time, handlers and destructors of `Msg` included. The
///            broker starts none. User code never runs under a lock.
/// Waiting    Fetches told to, `Latch::wait`, `drain`, and `publish` where `overflow` is `block`.
/// Topics     What is published to a subject is copied to all subscriptions that match, to each its
///            own copy, which share the body; a slow one harms nobody unless it asks for it.
/// Parents    A message may name others that must complete before it is delivered, in any queue or
///            topic, or gates. What was acked, by all who got it, has completed.
/// Errors     Expected outcomes are `Result`s; unusable options and names throw
///            std::invalid_argument. What else throws comes from `Msg` or the allocator, and then
///            nothing has changed. After `close` everything but statistics, `explain` and the
///            states of latches says `closed`.
/// Lifetime   Handles may outlive the broker and then say `closed`; the clock must outlive it, and
///            any call that is running while it is destroyed.
template <class Msg, class Platform> class Broker {
    static_assert(std::is_object_v<Msg> && !std::is_array_v<Msg> && !std::is_const_v<Msg> &&
                      !std::is_volatile_v<Msg>,
                  "latchbox: Msg must be an object type, neither reference nor cv-qualified nor an "
                  "array");
    static_assert(std::is_move_constructible_v<Msg>, "latchbox: Msg must be movable");
    static_assert(std::is_nothrow_destructible_v<Msg>,
                  "latchbox: Msg must have a destructor that does not throw");

public:
    using Queue = latchbox::Queue<Msg, Platform>;
    using Topic = latchbox::Topic<Msg, Platform>;
    using Subscription = latchbox::Subscription<Msg, Platform>;
    using Delivery = latchbox::Delivery<Msg, Platform>;
    using Transaction = latchbox::Transaction<Msg, Platform>;
    using Latch = latchbox::Latch<Msg, Platform>;
    using Gate = latchbox::Gate<Msg, Platform>;

    explicit Broker(const BrokerOptions& options = {})
        : shell_{new Shell{detail::usable(options, Platform::needs_clock)}} {}
    Broker(const Broker&) = delete;
    Broker& operator=(const Broker&) = delete;
    /// Closes, and waits until nobody sleeps in a call. The clock is not touched any more, but by
    /// calls that other threads have just begun. Not from the destructor of a `Msg`.
    ~Broker() { shell_->end(); }

    /// The queue of this name: the one that is there, or made with defaults.
    [[nodiscard]] Queue queue(std::string_view name) const {
        detail::require(check_subject(name));
        return wrap(Naming::find_or_make(*shell_, name, {}));
    }
    /// The queue of this name, made with these options if there is none; one that is there must
    /// have the same.
    [[nodiscard]] Queue queue(std::string_view name, const QueueOptions& options) {
        detail::require(check_subject(name));
        detail::require_usable(options, Platform::can_wait);
        auto found = Naming::find_or_make(*shell_, name, options);
        if (!found->feed) { detail::require_same(found->options, options); }
        return wrap(std::move(found));
    }
    /// The queue of this name, if there is one; a group is none.
    [[nodiscard]] std::optional<Queue> find_queue(std::string_view name) const {
        auto found = shell_->find(name);
        if (!found || found->feed) { return std::nullopt; }
        return wrap(std::move(found));
    }
    /// Ends a queue, or a group: its handles and waiters say `closed`, its messages are purged, a
    /// leased one when its lease ends. False if there is none. Its name is free again; ids never
    /// are.
    bool remove(std::string_view queue_or_group) noexcept {
        return Naming::remove(*shell_, queue_or_group);
    }

    /// The topic of a subject, with the options that it has.
    [[nodiscard]] Topic topic(std::string_view subject) {
        detail::require(check_subject(subject));
        return detail::Access::make<Topic>(Naming::topic(*shell_, subject));
    }
    /// The topic of a subject, given these options if it has had none but the defaults; else it
    /// must have the same. It keeps them as long as the broker lives.
    [[nodiscard]] Topic topic(std::string_view subject, const TopicOptions& options) {
        detail::require(check_subject(subject));
        detail::require_usable(options);
        auto found = Naming::topic(*shell_, subject);
        detail::require_same(Naming::give_options(*found, options), options);
        return detail::Access::make<Topic>(std::move(found));
    }
    /// What is published from now on to subjects that match `pattern`; with `replay` first what is
    /// retained of it. The subscription ends with what is returned. May throw std::bad_alloc, and
    /// then there is none.
    [[nodiscard]] Subscription subscribe(std::string_view pattern,
                                         const SubscriptionOptions& options = {}) {
        detail::require_usable(pattern, options, Platform::can_wait);
        detail::Reference<detail::Membership<Platform>> member{new detail::Membership<Platform>};
        auto joined = Subscribing::join(*shell_, pattern, options);
        auto subscription = detail::Access::make<Subscription>(joined.queue, member);
        if (joined.made && options.replay) { Subscribing::replay(*joined.queue, *member); }
        return subscription;
    }

    /// The latch of a message or gate: asks for how it stands, waits for it. Of any id; what was
    /// never issued says so when asked. May throw std::bad_alloc.
    [[nodiscard]] Latch latch(MessageId id) {
        return detail::Access::make<Latch>(detail::Asking<Msg, Platform>::ask(*shell_, id));
    }
    /// A gate that opens when it was counted down `count` times; at once if that is 0. May throw
    /// std::bad_alloc. Once closed, one that nothing can open.
    [[nodiscard]] Gate gate(std::uint32_t count = 1) {
        const MessageId id = shell_->latches.make_gate(count);
        return detail::Access::make<Gate>(shell_, id);
    }
    /// Settles and publishes at one instant, once it is filled and committed.
    [[nodiscard]] Transaction transaction() const noexcept {
        return detail::Access::make<Transaction>(shell_);
    }
    /// Why a message, or a gate, is where it is; works after `close`, too, and then tells where it
    /// was left. Linear in what it reports. May throw std::bad_alloc.
    [[nodiscard]] Explanation explain(MessageId id) const {
        return detail::Explaining<Msg, Platform>::explain(*shell_, id);
    }

    /// All queues together, removed ones included.
    [[nodiscard]] BrokerStats stats() const noexcept { return shell_->stats(); }
    /// As the options named it.
    [[nodiscard]] const std::string& tag() const noexcept { return shell_->tag; }

    /// Does all that is due and returns when something is next due, for event loops: call it again
    /// by then. `Instant::never()` if nothing is, and once closed.
    Instant poll() noexcept { return shell_->poll(); }

    /// Ends everything, after doing what is due: whoever waits is woken with `closed`, bodies that
    /// nobody reads are destroyed. Idempotent; from any thread and handler. Reports what was left;
    /// where there is no memory for the list of queues, that list is empty and the sums are true.
    /// While another thread is closing, returns without waiting for it.
    CloseReport close() noexcept {
        shell_->close();
        CloseReport report;
        shell_->for_each([&report](auto& queue) {
            const QueueStats left = queue.stats();
            report.blocked += left.blocked;
            report.delayed += left.delayed;
            report.ready += left.ready;
            report.leased += left.leased;
            report.dead += left.dead;
        });
        detail::unless_out_of_memory([this, &report] {
            std::vector<CloseReport::Left> queues;
            shell_->for_each([&queues](auto& queue) {
                const QueueStats left = queue.stats();
                if (left.held() == 0) { return; }
                queues.push_back({queue.name(), left.blocked, left.delayed, left.ready, left.leased,
                                  left.dead,
                                  detail::Judging<Msg, Platform>::blocked_messages(queue)});
            });
            report.queues = std::move(queues);
        });
        return report;
    }
    /// Refuses publishes from now on, but for those that are committed together with a settle; lets
    /// consumers finish until nothing but dead letters is left or `timeout` is over, then closes. A
    /// negative timeout counts as none.
    CloseReport drain(Duration timeout) noexcept requires Platform::can_wait {
        detail::drain(*shell_, timeout);
        return close();
    }

private:
    friend struct detail::Access;
    using Shell = detail::BrokerShell<Msg, Platform>;

    using Naming = detail::Naming<Msg, Platform>;
    using Subscribing = detail::Subscribing<Msg, Platform>;

    // Throws std::invalid_argument if it is a group's.
    static Queue wrap(detail::Reference<detail::QueueShell<Msg, Platform>> shell) {
        if (shell->feed) {
            detail::invalid_argument('"' + shell->name() + "\" is a group, not a queue");
        }
        return detail::Access::make<Queue>(std::move(shell));
    }

    detail::Reference<Shell> shell_;
};

}  // namespace v0
}  // namespace latchbox
