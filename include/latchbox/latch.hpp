// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <optional>
#include <utility>

#include "latchbox/detail/access.hpp"
#include "latchbox/detail/asking.hpp"
#include "latchbox/result.hpp"
#include "latchbox/states.hpp"

namespace latchbox {
inline namespace v0 {

/// What children of a message wait on, to be looked at and waited for: completed once the message
/// was acked. From `Broker::latch`; cheap to copy.
/// Threads   Any member from any thread.
/// Blocking  `wait`, `wait_for`; nothing else.
/// Lifetime  May outlive the broker. A handle goes on knowing how it ended, whatever the queue has
///           forgotten by then.
template <class Msg, class Platform> class Latch {
public:
    using StopToken = typename Platform::StopToken;

    // Moving copies: a handle always names its latch.
    Latch(const Latch& other) noexcept : asked_{other.asked_} { asked_.hold(); }
    Latch& operator=(const Latch& other) noexcept {
        Latch copy{other};
        std::swap(asked_, copy.asked_);
        return *this;
    }
    ~Latch() { asked_.let_go(); }

    [[nodiscard]] MessageId id() const noexcept { return asked_.id; }

    /// How it stands. `unknown_message` for an id that was never issued, or failed and was
    /// forgotten. After `close` what had not completed has failed.
    [[nodiscard]] Result<LatchState> state() const noexcept { return Asking::state(asked_); }

    /// Waits for the first state that is not pending: `closed`, `cancelled`, `unknown_message`.
    [[nodiscard]] Result<LatchState> wait(
        const StopToken& stop = {}) const noexcept requires Platform::can_wait {
        return Asking::wait(asked_, std::nullopt, stop);
    }
    /// The same for no longer than `length`: also `timed_out`; `invalid_option` if it is negative.
    [[nodiscard]] Result<LatchState> wait_for(
        Duration length, const StopToken& stop = {}) const noexcept requires Platform::can_wait {
        return Asking::wait(asked_, length, stop);
    }

private:
    friend struct detail::Access;
    using Asking = detail::Asking<Msg, Platform>;
    using Asked = typename Asking::Asked;

    explicit Latch(Asked asked) noexcept : asked_{std::move(asked)} {}

    Asked asked_;
};

}  // namespace v0
}  // namespace latchbox
