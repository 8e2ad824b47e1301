// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "latchbox/detail/access.hpp"
#include "latchbox/detail/removing.hpp"
#include "latchbox/detail/view.hpp"
#include "latchbox/ids.hpp"
#include "latchbox/reason.hpp"
#include "latchbox/result.hpp"

namespace latchbox {
inline namespace v0 {

/// A message its queue gave up on, as it was when it was looked at. The body stays readable for as
/// long as this object lives.
template <class Msg, class Platform> class DeadLetter {
public:
    [[nodiscard]] const Msg& body() const& noexcept { return view_.body(); }
    const Msg& body() const&& = delete;
    /// What publish returned.
    [[nodiscard]] MessageId id() const noexcept { return id_; }
    /// What it was published to; empty for the message of a queue.
    [[nodiscard]] std::string_view subject() const& noexcept { return view_.subject(); }
    std::string_view subject() const&& = delete;
    /// Why the queue gave up on it.
    [[nodiscard]] const Reason& reason() const& noexcept { return reason_; }
    /// How often it was handed out.
    [[nodiscard]] std::uint32_t attempt() const noexcept { return attempts_; }
    /// How many of its deliveries failed or outlived their lease, since publish or redrive.
    [[nodiscard]] std::uint32_t failures() const noexcept { return failures_; }

private:
    friend struct detail::Access;
    using Shell = detail::QueueShell<Msg, Platform>;

    DeadLetter(Shell& shell, detail::Slot slot) noexcept
        : view_{shell, shell.bodies[slot]},
          id_{shell.id_of(slot)},
          reason_{shell.core.history(slot).reason},
          attempts_{shell.core.history(slot).attempts},
          failures_{shell.core.history(slot).failures} {}

    detail::View<Msg, Platform> view_;
    MessageId id_;
    Reason reason_;
    std::uint32_t attempts_;
    std::uint32_t failures_;
};

/// The dead letters of one queue: a cheap, copyable handle.
/// Threads   Any member from any thread, the visitor of `for_each` included.
/// Blocking  Never.
/// Errors    After `close` everything but `size` is `closed`, or none.
template <class Msg, class Platform> class DeadLetters {
public:
    /// How many there are.
    [[nodiscard]] std::size_t size() const noexcept {
        shell_->enter();
        const std::size_t dead = shell_->core.in(detail::State::dead);
        shell_->mutex.unlock();
        return dead;
    }
    [[nodiscard]] bool empty() const noexcept { return size() == 0; }

    /// Calls `visit(const DeadLetter&)` for each that is there now, in the order of their deaths,
    /// holding no lock: it may call anything.
    template <class Visitor> void for_each(Visitor&& visit) const {
        struct Room {
            std::vector<DeadLetter<Msg, Platform>>& seen;
            bool has(std::size_t count) const noexcept { return count <= seen.capacity(); }
            void make(std::size_t count) { seen.reserve(count); }
        };
        std::vector<DeadLetter<Msg, Platform>> seen;
        if (has_left()) { return; }
        Removing::each_dead(*shell_, Room{seen}, [&seen](Shell& shell, detail::Slot slot) {
            seen.push_back(detail::Access::make<DeadLetter<Msg, Platform>>(shell, slot));
        });
        for (const auto& letter : seen) { visit(letter); }
    }

    /// Removes the one that died first and gives its body, moved out if nobody else can see it,
    /// else copied. `empty`; a move-only body that somebody else sees is `body_shared` and stays.
    /// Counts as purged.
    [[nodiscard]] Result<Msg> take() const { return take_one(nullptr); }
    /// The same for one; `unknown_message` if no dead letter has this id.
    [[nodiscard]] Result<Msg> take(MessageId id) const { return take_one(&id); }

    /// Puts all of them at the back, in the order in which they were published, so that children
    /// come after their parents; how many. READY, or BLOCKED where one waits for its parents or its
    /// key again; one with a parent that is dead or failed stays. Failures and attempts left are as
    /// new, a time to live starts again; `attempt` goes on. Only std::bad_alloc can come of it, and
    /// then none is redriven.
    std::size_t redrive() const { return has_left() ? 0 : Removing::redrive_all(*shell_); }
    /// The same for one; `unknown_message` if no dead letter has this id, `parent_failed` if a
    /// publish of it would be dead on arrival.
    Result<void> redrive(MessageId id) const noexcept {
        if (has_left()) { return Errc::closed; }
        return Removing::redrive(*shell_, id);
    }

    /// Removes all of them; how many.
    std::size_t purge() const noexcept { return has_left() ? 0 : Removing::purge_dead(*shell_); }

private:
    friend struct detail::Access;
    using Shell = detail::QueueShell<Msg, Platform>;
    using Removing = detail::Removing<Msg, Platform>;

    using Membership = detail::Membership<Platform>;

    DeadLetters(detail::Reference<Shell> shell, detail::Reference<Membership> member) noexcept
        : shell_{std::move(shell)}, member_{std::move(member)} {}

    [[nodiscard]] bool has_left() const noexcept { return member_ && member_->has_left(); }
    // As Delivery::take: what may throw is done before the message leaves.
    Result<Msg> take_one(const MessageId* id) const {
        constexpr bool moves = std::is_nothrow_move_constructible_v<Msg>;
        if (has_left()) { return Errc::closed; }
        for (;;) {
            auto found = Removing::look(*shell_, id);
            if (!found) { return found.error(); }
            auto& cell = found->view.cell();
            if ((moves && found->view.is_alone()) || !std::is_copy_constructible_v<Msg>) {
                const auto taken = Removing::take(*shell_, found->id, true);
                if (taken) { return std::move(cell.body()); }
                if (taken == Errc::body_shared && std::is_copy_constructible_v<Msg>) { continue; }
                if (taken == Errc::unknown_message && id == nullptr) { continue; }
                return taken.error();
            }
            if constexpr (std::is_copy_constructible_v<Msg>) {
                Result<Msg> copy{std::as_const(cell).body()};
                const auto taken = Removing::take(*shell_, found->id, false);
                if (taken) { return copy; }
                if (taken == Errc::unknown_message && id == nullptr) { continue; }
                return taken.error();
            }
        }
    }

    detail::Reference<Shell> shell_;
    detail::Reference<Membership> member_;
};

}  // namespace v0
}  // namespace latchbox
