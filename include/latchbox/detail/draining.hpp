// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include "latchbox/detail/broker_shell.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// Lets consumers finish until nothing is left to settle, or until the time is over. [7.5]
template <class Msg, class Platform>
void drain(BrokerShell<Msg, Platform>& broker, Duration timeout) noexcept {
    Drainer<Platform> self;
    if (!broker.begin_drain(self)) { return; }
    auto& time = broker.time;
    time.begin_wait();
    for (bool first = true;; first = false) {
        const std::uint64_t moves = time.moves();
        if (broker.is_closed()) { break; }
        const Instant now = broker.arrive(true).now;
        if (first) { self.sleep.until = now + timeout; }
        if (self.sleep.until <= now || broker.is_idle()) { break; }
        time.lie_down(self.sleep, now, moves);
    }
    broker.end_drain(self);
    time.end_wait();
}

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
