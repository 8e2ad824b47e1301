// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>

#include "latchbox/detail/access.hpp"
#include "latchbox/detail/committing.hpp"
#include "latchbox/detail/settling.hpp"
#include "latchbox/detail/view.hpp"
#include "latchbox/ids.hpp"
#include "latchbox/result.hpp"

namespace latchbox {
inline namespace v0 {

/// One message in the hands of one consumer, under a lease. Settle it with `ack`, `release`,
/// `requeue`, `fail` or `reject` before `deadline()`; `extend` moves that on. Destroyed unsettled
/// it is abandoned: requeued at the back, which is no failure.
/// Lease     Not a lock: once it ran out the message is offered again, while this holder may still
///           be running. Every verb is `lease_lost` from then on, and harms nobody.
/// Body      Stays readable and unchanged for as long as this object lives, whatever has become of
///           the message; the last delivery that sees a body destroys it.
/// Threads   One at a time, as any value; different deliveries are independent.
/// Errors    Settling never throws and never allocates. `closed` once the broker or queue is;
///           `already_settled` by the object that settled, was moved from or detached.
/// Lifetime  May outlive its queue and broker.
template <class Msg, class Platform> class Delivery {
public:
    using StopToken = typename Platform::StopToken;

    Delivery(Delivery&& other) noexcept
        : view_{std::move(other.view_)},
          grant_{other.grant_},
          settled_{std::exchange(other.settled_, true)} {}
    Delivery& operator=(Delivery&& other) noexcept {
        Delivery taken{std::move(other)};
        std::swap(view_, taken.view_);
        std::swap(grant_, taken.grant_);
        std::swap(settled_, taken.settled_);
        return *this;
    }
    ~Delivery() {
        if (!settled_) [[unlikely]] { abandon(); }
    }

    /// The message itself. Not of a moved-from or detached delivery.
    [[nodiscard]] const Msg& body() const& {
        detail::ensure(static_cast<bool>(view_), "the body of a moved-from or detached delivery");
        return view_.body();
    }
    const Msg& body() const&& = delete;

    /// What publish returned.
    [[nodiscard]] MessageId id() const noexcept {
        if (!view_) { return MessageId{}; }
        if (const auto* const shared = view_.cell().shared()) { return shared->id; }
        return detail::IdParts::message(view_.shell().number(), grant_.number, grant_.slot);
    }
    /// What the message was published to; empty for that of a queue, and of a moved-from or
    /// detached delivery.
    [[nodiscard]] std::string_view subject() const& noexcept { return view_.subject(); }
    std::string_view subject() const&& = delete;
    /// The token of its lease, by which `Consumer::ack` and its like settle it, too; none of a
    /// moved-from or detached delivery.
    [[nodiscard]] Receipt receipt() const noexcept {
        return view_ ? detail::IdParts::receipt(view_.shell().number(), grant_.slot, grant_.lease,
                                                grant_.number)
                     : Receipt{};
    }
    /// How often the message was handed out, this time included.
    [[nodiscard]] std::uint32_t attempt() const noexcept { return grant_.attempts; }
    /// How many of its deliveries failed or outlived their lease before, since publish or redrive.
    [[nodiscard]] std::uint32_t failures() const noexcept { return grant_.failures; }
    /// The instant at which the lease is over, as far as this object knows: an `extend` by receipt
    /// is not seen here.
    [[nodiscard]] Instant deadline() const noexcept { return grant_.deadline; }
    /// Whether the lease is over by now, for whatever reason. One lock.
    [[nodiscard]] bool lease_lost() const noexcept {
        return settled_ || !Settling::is_live(view_.shell(), holder());
    }

    /// A token that is stopped when the lease is over, for whatever reason: settled, by this object
    /// too, run out, or ended with its queue; one that was stopped if it is over now. Every call
    /// gives the same. Callbacks run under no lock, in the thread that ended the lease; if that ran
    /// out, in whatever call on the broker comes first, or in a thread that waits in one. Never
    /// stopped where the library has no stop tokens. May throw std::bad_alloc.
    [[nodiscard]] StopToken lease_token() const {
        return settled_ ? Watching::stopped() : Watching::token(view_.shell(), holder());
    }

    /// Done: the message is completed and gone.
    Result<void> ack() noexcept {
        return settle([this] { return Settling::ack(view_.shell(), holder()); });
    }
    /// Back to its old place, at once; no failure.
    Result<void> release() noexcept {
        return settle([this] { return Settling::release(view_.shell(), holder()); });
    }
    /// To the back, not before `delay`; no failure. A negative delay is `invalid_option`.
    Result<void> requeue(Duration delay = {}) noexcept {
        return settle([&] { return Settling::requeue(view_.shell(), holder(), delay); });
    }
    /// It went wrong: to the back, after the queue's backoff, and one failure more; a dead letter
    /// once `max_failures` are used up. Keeps the first 47 bytes of `reason`.
    Result<void> fail(std::string_view reason = {}) noexcept {
        return settle([&] { return Settling::fail(view_.shell(), holder(), reason); });
    }
    /// Never again: a dead letter at once. Keeps the first 47 bytes of `reason`.
    Result<void> reject(std::string_view reason = {}) noexcept {
        return settle([&] { return Settling::reject(view_.shell(), holder(), reason); });
    }
    /// Moves the deadline to now + `length` if that is later. Never shortens, never revives.
    [[nodiscard]] Result<void> extend(Duration length) noexcept {
        if (settled_) { return unusable(); }
        return Settling::extend(view_.shell(), holder(), length, grant_.deadline);
    }

    /// Acks, and gives the body: moved out if nobody else can see it, else copied. A move-only
    /// body that somebody else sees is `body_shared`, and the lease is kept. After it, `body()` is
    /// what a move leaves behind. What a throwing copy throws leaves everything as before; a
    /// throwing move of a move-only type does so after the ack.
    [[nodiscard]] Result<Msg> take() {
        if (settled_) { return unusable().error(); }
        if (can_move_out()) {
            const auto done = ack();
            if (!done) { return done.error(); }
            return std::move(view_.cell().body());
        }
        if constexpr (std::is_copy_constructible_v<Msg>) {
            Result<Msg> copy{std::as_const(view_.cell()).body()};
            const auto done = ack();
            if (!done) { return done.error(); }
            return copy;
        } else {
            return lease_lost() ? ack().error() : Errc::body_shared;
        }
    }

    /// Acks, and publishes what came of it, at one instant: both or nothing. Returns the new id.
    /// Never waits: a queue without room is `full`, but what the ack itself frees counts. Errors as
    /// `Transaction::commit`, and then the lease is kept, and `message` was not moved from.
    [[nodiscard]] Result<MessageId> ack_and_publish(
        const Queue<Msg, Platform>& to, Msg&& message,
        const PublishOptions& options = detail::no_wishes) {
        return hand_over(to, options, message);
    }
    [[nodiscard]] Result<MessageId> ack_and_publish(
        const Queue<Msg, Platform>& to, const Msg& message,
        const PublishOptions& options =
            detail::no_wishes) requires std::is_copy_constructible_v<Msg> {
        return hand_over(to, options, message);
    }
    /// The same with this body: moved on if nobody else can see it, else copied. A move-only body
    /// that somebody else sees is `body_shared`, and the lease is kept.
    [[nodiscard]] Result<MessageId> forward(const Queue<Msg, Platform>& to,
                                            const PublishOptions& options = detail::no_wishes) {
        if (settled_) { return unusable().error(); }
        if (can_move_out()) { return hand_over(to, options, view_.cell().body()); }
        if constexpr (std::is_copy_constructible_v<Msg>) {
            return hand_over(to, options, std::as_const(view_.cell()).body());
        } else {
            return lease_lost() ? ack().error() : Errc::body_shared;
        }
    }

    /// Gives up the handle and keeps the lease, to be settled by the receipt.
    [[nodiscard]] Receipt detach() && noexcept {
        const Receipt kept = receipt();
        settled_ = true;
        view_ = {};
        return kept;
    }

private:
    friend struct detail::Access;
    friend class Consumer<Msg, Platform>;
    friend class Transaction<Msg, Platform>;
    using Shell = detail::QueueShell<Msg, Platform>;
    using Settling = detail::Settling<Msg, Platform>;
    using Watching = detail::Watching<Msg, Platform>;

    Delivery(Shell& shell, detail::Cell<Msg, Platform>& cell, const detail::Grant& grant) noexcept
        : view_{shell, cell}, grant_{grant} {}
    Delivery(Shell& shell, const detail::Grant& grant) noexcept
        : Delivery{shell, shell.bodies[grant.slot], grant} {}

    [[nodiscard]] typename Settling::Holder holder() const noexcept {
        return {grant_.slot, grant_.lease, grant_.number, true};
    }
    // Whether the body may be moved out after an ack: nobody else sees it, and either the move
    // cannot throw or there is no copying instead.
    [[nodiscard]] bool can_move_out() const noexcept {
        constexpr bool copies = std::is_copy_constructible_v<Msg>;
        constexpr bool moves = std::is_nothrow_move_constructible_v<Msg> || !copies;
        return moves && view_.is_alone();
    }
    [[nodiscard]] std::optional<typename Settling::Holder> holder_at(
        const Shell& shell) const noexcept {
        if (settled_ || &view_.shell() != &shell) { return std::nullopt; }
        return holder();
    }
    // `Source` is `Msg`, to be moved from, or `const Msg`.
    template <class Source>
    Result<MessageId> hand_over(const Queue<Msg, Platform>& to, const PublishOptions& options,
                                Source& message) {
        using Committing = detail::Committing<Msg, Platform>;
        if (settled_) { return unusable().error(); }
        Shell& shell = view_.shell();
        auto& target = detail::Access::shell(to);
        detail::Settle<Msg, Platform> settle{&shell, holder()};
        detail::Post<Msg, Platform> post;
        post.queue = &target;
        post.options = &options;
        Committing committing{*shell.broker, {&settle, 1}, {&post, 1}};
        if (target.broker.get() != shell.broker.get() || !detail::is_usable(options, false)) {
            const Errc closed = committing.ending();
            return closed != Errc{} ? closed : Errc::invalid_option;
        }
        Errc refused = Errc{};
        if constexpr (std::is_const_v<Source> && Committing::moves_under_lock) {
            Msg copy(message);
            post.message = &copy;
            refused = committing.commit();
        } else {
            post.message = const_cast<Msg*>(&message);  // what is const is copied
            refused = committing.commit();
        }
        if (refused != Errc{}) { return refused; }
        settled_ = true;
        return post.id;
    }
    [[gnu::noinline]] void abandon() noexcept { Settling::abandon(view_.shell(), holder()); }
    // As if it had never been fetched, unless it is settled.
    void take_back() noexcept {
        if (!std::exchange(settled_, true)) { Settling::take_back(view_.shell(), holder()); }
    }
    // Closed goes before everything else that may be wrong. [7.7]
    [[nodiscard]] Result<void> unusable() const noexcept {
        return view_ && view_.shell().broker->is_closed() ? Errc::closed : Errc::already_settled;
    }
    template <class Verb> Result<void> settle(Verb&& verb) noexcept {
        if (settled_) { return unusable(); }
        const Result<void> done = verb();
        settled_ = done.has_value();
        return done;
    }

    detail::View<Msg, Platform> view_;
    detail::Grant grant_;
    bool settled_ = false;
    bool acked_ = false;
};

}  // namespace v0
}  // namespace latchbox
