// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>

#include "latchbox/detail/access.hpp"
#include "latchbox/detail/broker_shell.hpp"
#include "latchbox/result.hpp"

namespace latchbox {
inline namespace v0 {

/// A latch that the application counts down itself: its `id` stands among `.parents` like that of a
/// message, and `Broker::latch(gate.id())` waits for it. From `Broker::gate`; cheap to copy, and
/// every copy is the same gate. When the last copy goes and the gate was not opened, it fails.
/// Threads   Any member from any thread.
/// Blocking  Never. The end of its last handle does what is due first, as any call.
/// Errors    `closed` once the broker is, and of a moved-from handle. Never throws nor allocates.
/// Lifetime  May outlive the broker. Where messages own gates, one falling with the other, their
///           destructors call each other as those of any chain of owners do.
template <class Msg, class Platform> class Gate {
public:
    Gate(const Gate& other) noexcept : broker_{other.broker_}, id_{other.id_} {
        if (broker_) { broker_->latches.hold_gate(id_); }
    }
    Gate(Gate&& other) noexcept : broker_{std::move(other.broker_)}, id_{other.id_} {}
    Gate& operator=(Gate other) noexcept {
        std::swap(broker_, other.broker_);
        std::swap(id_, other.id_);
        return *this;
    }
    ~Gate() {
        if (!broker_ || broker_->latches.let_go_of_one_of_many(id_)) { return; }
        change([this](auto& latches, auto& work) { latches.let_go_of_gate(id_, work); });
    }

    /// To stand among `.parents`.
    [[nodiscard]] MessageId id() const noexcept { return id_; }

    /// Counts down by `by`, and opens the gate at 0: it is completed. No effect on a gate that is
    /// open or has failed.
    Result<void> count_down(std::uint32_t by = 1) const noexcept {
        return settle([&](auto& latches, auto& work) { return latches.count_down(id_, by, work); });
    }
    /// It will not open: it has failed, and keeps the first 47 bytes of `reason`. No effect on a
    /// gate that is open or has failed.
    Result<void> fail(std::string_view reason = {}) const noexcept {
        return settle([&](auto& latches, auto& work) {
            return latches.fail_gate(id_, Reason{Cause::failed, reason}, work);
        });
    }

private:
    friend struct detail::Access;
    using Shell = detail::BrokerShell<Msg, Platform>;

    Gate(detail::Reference<Shell> broker, const MessageId& id) noexcept
        : broker_{std::move(broker)}, id_{id} {}

    template <class Verb> Result<void> settle(Verb&& verb) const noexcept {
        if (!broker_ || broker_->is_closed()) { return Errc::closed; }
        bool done = false;
        change([&](auto& latches, auto& work) { done = verb(latches, work); });
        if (!done) { return Errc::closed; }
        return {};
    }
    // Does first what is due, and then sees to the children. Who is told may destroy this handle.
    template <class Act> void change(Act&& act) const noexcept {
        const detail::Reference<Shell> broker = broker_;
        const detail::Moment moment = broker->is_closed() ? detail::Moment{} : broker->arrive(true);
        detail::LatchBoard::Work work;
        act(broker->latches, work);
        broker->time.begin_wait();
        broker->carry_out(work, moment);
        broker->time.end_wait();
    }

    detail::Reference<Shell> broker_;
    MessageId id_;
};

}  // namespace v0
}  // namespace latchbox
