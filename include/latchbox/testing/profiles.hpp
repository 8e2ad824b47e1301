// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include "latchbox/options.hpp"

// How other engines treat a consumer, where that is less kind than latchbox: for
// `Broker<Order> broker{{.clock = &clock, .profile = latchbox::testing::jetstream}};` in the tests
// of what will run on them.
namespace latchbox {
inline namespace v0 {
namespace testing {

/// Consumers of NATS JetStream: its limit of deliveries counts each of them, an acknowledgement
/// that comes late is taken as long as the message is there, and what is delivered again goes
/// before what is new. Set `max_failures` to what is its `max_deliver`, `lease` to its `ack_wait`.
inline constexpr Profile jetstream{
    .every_delivery_counts = true, .late_settles = true, .redeliveries_first = true};

}  // namespace testing
}  // namespace v0
}  // namespace latchbox
