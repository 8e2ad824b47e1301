// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "latchbox/dead_letters.hpp"
#include "latchbox/delivery.hpp"
#include "latchbox/detail/fetching.hpp"

namespace latchbox {
inline namespace v0 {

/// The consuming side of one queue: a cheap, copyable handle. All handles of one queue are alike,
/// and a message goes to one of them at a time.
/// Threads   Any member from any thread, handlers included.
/// Blocking  `fetch`, `fetch_for`, `fetch_batch` with a wait; nothing else. They look for a message
///           for some microseconds, and then sleep in line: first come, first served.
/// Errors    Expected outcomes are `Result`s. What else throws is std::bad_alloc or comes from
///           copying `Msg`, and then nothing has changed.
/// Lifetime  May outlive the broker, and then says `closed`.
template <class Msg, class Platform> class Consumer {
public:
    using Delivery = latchbox::Delivery<Msg, Platform>;
    using StopToken = typename Platform::StopToken;

    // Moving copies: a handle always names its queue.
    Consumer(const Consumer&) noexcept = default;
    Consumer& operator=(const Consumer&) noexcept = default;
    ~Consumer() = default;

    /// The next delivery, if one is ready: `empty`, `closed`.
    [[nodiscard]] Result<Delivery> try_fetch() const { return fetch_one({}, {}); }

    /// The next delivery; waits for it until the queue closes or a stop is requested: `closed`,
    /// `cancelled`. A stop requested before is `cancelled`, whatever is ready.
    [[nodiscard]] Result<Delivery> fetch(
        const StopToken& stop = {}) const requires Platform::can_wait {
        return fetch_one({.waits = true, .lingers = true}, stop);
    }
    /// The same for no longer than `length`: also `timed_out`. A negative length is
    /// `invalid_option`.
    [[nodiscard]] Result<Delivery> fetch_for(
        Duration length, const StopToken& stop = {}) const requires Platform::can_wait {
        return fetch_one({.waits = true, .timed = true, .length = length, .lingers = true}, stop);
    }

    /// Appends up to `max` deliveries to `out` under one lock, waiting up to `wait` for the first;
    /// how many. `empty`, after a wait `timed_out`, `closed`, `cancelled`; of none asked for, 0. A
    /// negative wait is `invalid_option`; a platform that cannot wait is out of time at once.
    [[nodiscard]] Result<std::size_t> fetch_batch(std::vector<Delivery>& out, std::size_t max,
                                                  Duration wait = {},
                                                  const StopToken& stop = {}) const {
        struct Room {
            std::vector<Delivery>& out;
            bool has(std::size_t count) const noexcept {
                return count <= out.capacity() - out.size();
            }
            void make(std::size_t count) {
                const std::size_t needed = out.size() + count;
                out.reserve(needed < 2 * out.capacity() ? 2 * out.capacity() : needed);
            }
        };
        const std::size_t before = out.size();
        const bool waits = wait != Duration{};
        const typename Fetching::Patience patience{waits, waits && !wait.is_never(), wait, waits};
        const Errc ended = Fetching::some(*shell_, member_.get(), max, patience, stop, Room{out},
                                          [&out](Shell& shell, Cell& cell, const Grant& grant) {
                                              out.push_back(make(shell, cell, grant));
                                          });
        if (ended != Errc{}) { return ended; }
        return out.size() - before;
    }

    /// Fetches and acks in one: at most once, nothing comes back if the caller fails. A move-only
    /// body that somebody else still reads is `body_shared`, and the message stays READY.
    [[nodiscard]] Result<Msg> pop() const {
        for (;;) {
            auto delivery = try_fetch();
            if (!delivery) { return delivery.error(); }
            const Untouched guard{{&*delivery, 1}};
            auto body = delivery->take();
            if (body != Errc::lease_lost) { return body; }
        }
    }
    /// The bodies of all that is ready now, in order, at most once; an empty vector if nothing is.
    /// A move-only body that somebody else still reads is left out, and its message stays READY;
    /// if there is nothing else, `body_shared`. What throws leaves all of them READY, but what a
    /// throwing move of `Msg` throws.
    [[nodiscard]] Result<std::vector<Msg>> pop_all() const {
        std::vector<Delivery> taken;
        const auto fetched = fetch_batch(taken, ~std::size_t{0});
        if (fetched == Errc::empty) { return std::vector<Msg>{}; }
        if (!fetched) { return fetched.error(); }
        const Untouched guard{taken};
        // First what may throw, then the acks, then what cannot fail.
        std::vector<std::optional<Msg>> copies(taken.size());
        std::vector<Msg> bodies;
        bodies.reserve(taken.size());
        for (std::size_t i = 0; i < taken.size(); ++i) {
            if (taken[i].can_move_out()) { continue; }
            if constexpr (std::is_copy_constructible_v<Msg>) {
                copies[i].emplace(taken[i].body());
            } else {
                taken[i].take_back();
            }
        }
        ack_batch(taken);
        for (std::size_t i = 0; i < taken.size(); ++i) {
            if (!taken[i].acked_) { continue; }
            bodies.push_back(std::move(copies[i] ? *copies[i] : taken[i].view_.cell().body()));
        }
        if (bodies.empty() && !std::is_copy_constructible_v<Msg>) { return Errc::body_shared; }
        return bodies;
    }

    /// Settling by receipt, for who could not keep the `Delivery`: a network front end, a callback
    /// in C. As the verbs of `Delivery`, with `lease_lost` once the lease is over, for whatever
    /// reason, and `unknown_message` for what this queue never issued.
    Result<void> ack(const Receipt& receipt) const noexcept {
        return by_receipt(receipt, [&](const Holder& h) { return Settling::ack(*shell_, h); });
    }
    Result<void> release(const Receipt& receipt) const noexcept {
        return by_receipt(receipt, [&](const Holder& h) { return Settling::release(*shell_, h); });
    }
    Result<void> requeue(const Receipt& receipt, Duration delay = {}) const noexcept {
        return by_receipt(receipt,
                          [&](const Holder& h) { return Settling::requeue(*shell_, h, delay); });
    }
    Result<void> fail(const Receipt& receipt, std::string_view reason = {}) const noexcept {
        return by_receipt(receipt,
                          [&](const Holder& h) { return Settling::fail(*shell_, h, reason); });
    }
    Result<void> reject(const Receipt& receipt, std::string_view reason = {}) const noexcept {
        return by_receipt(receipt,
                          [&](const Holder& h) { return Settling::reject(*shell_, h, reason); });
    }
    [[nodiscard]] Result<void> extend(const Receipt& receipt, Duration length) const noexcept {
        Instant deadline;
        return by_receipt(receipt, [&](const Holder& h) {
            return Settling::extend(*shell_, h, length, deadline);
        });
    }
    /// Acks all it can under one lock; how many. The others stay as they are, to say why when they
    /// are settled one by one. Deliveries of other queues are not touched.
    std::size_t ack_batch(std::span<Delivery> deliveries) const noexcept {
        return Settling::ack_all(
            *shell_, deliveries.size(),
            [&](std::size_t i) { return deliveries[i].holder_at(*shell_); },
            [&](std::size_t i) { deliveries[i].settled_ = deliveries[i].acked_ = true; });
    }

    /// Removes one message that nobody holds, dead or not: `leased`, `unknown_message`.
    Result<void> cancel(MessageId id) const noexcept {
        if (has_left()) { return Errc::closed; }
        return Removing::cancel(*shell_, id);
    }
    /// Removes what is ready, delayed and blocked; how many. Dead letters have a `purge` of their
    /// own.
    std::size_t purge() const noexcept { return has_left() ? 0 : Removing::purge(*shell_); }

    [[nodiscard]] DeadLetters<Msg, Platform> dead_letters() const noexcept {
        return detail::Access::make<DeadLetters<Msg, Platform>>(shell_, member_);
    }
    /// All counts at one instant. Works after `close`, too.
    [[nodiscard]] QueueStats stats() const noexcept {
        shell_->enter();
        const QueueStats stats = shell_->core.stats();
        shell_->mutex.unlock();
        return stats;
    }
    /// How many messages the queue holds, in whatever state.
    [[nodiscard]] std::size_t size() const noexcept {
        return static_cast<std::size_t>(stats().held());
    }
    [[nodiscard]] const std::string& name() const noexcept { return shell_->name(); }

    /// Whether both are handles of one queue.
    friend bool operator==(const Consumer& a, const Consumer& b) noexcept {
        return a.shell_.get() == b.shell_.get();
    }

protected:
    friend struct detail::Access;
    using Shell = detail::QueueShell<Msg, Platform>;
    using Membership = detail::Membership<Platform>;
    using Fetching = detail::Fetching<Msg, Platform>;
    using Settling = detail::Settling<Msg, Platform>;
    using Removing = detail::Removing<Msg, Platform>;
    using Cell = detail::Cell<Msg, Platform>;
    using Grant = detail::Grant;
    using Holder = typename Settling::Holder;

    explicit Consumer(detail::Reference<Shell> shell,
                      detail::Reference<Membership> member = {}) noexcept
        : shell_{std::move(shell)}, member_{std::move(member)} {}
    [[nodiscard]] Shell& shell() const noexcept { return *shell_; }
    [[nodiscard]] Membership* member() const noexcept { return member_.get(); }

private:
    static Delivery make(Shell& shell, Cell& cell, const Grant& grant) noexcept {
        return detail::Access::make<Delivery>(shell, cell, grant);
    }
    Result<Delivery> fetch_one(const typename Fetching::Patience& patience,
                               const StopToken& stop) const {
        Result<Delivery> fetched{Errc::empty};  // made in place: to move it takes as long as to ack
        const Errc ended = Fetching::some(
            *shell_, member_.get(), 1, patience, stop, typename Fetching::NoRoom{},
            [&fetched](Shell& shell, Cell& cell, const Grant& grant) {
                detail::Access::fill(fetched, [&] { return make(shell, cell, grant); });
            });
        if (ended != Errc{}) { detail::Access::fail(fetched, ended); }
        return fetched;
    }
    template <class Verb>
    Result<void> by_receipt(const Receipt& receipt, Verb&& verb) const noexcept {
        if (has_left()) { return Errc::closed; }
        const auto holder = Settling::holder(*shell_, receipt);
        return holder ? verb(*holder) : Settling::refuse(*shell_, holder.error());
    }

    // Gives deliveries that are still unsettled back as if they had never been fetched.
    struct Untouched {
        std::span<Delivery> deliveries;
        ~Untouched() {
            for (Delivery& delivery : deliveries) { delivery.take_back(); }
        }
    };

    // By which a subscriber consumes, who may leave before the queue ends. [6.2]
    [[nodiscard]] bool has_left() const noexcept { return member_ && member_->has_left(); }

    detail::Reference<Shell> shell_;
    detail::Reference<Membership> member_;
};

}  // namespace v0
}  // namespace latchbox
