// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <chrono>
#include <cstdio>

#include "latchbox/latchbox.hpp"

using namespace std::chrono_literals;

static void stop_here() { std::puts("shown"); }

// What check.sh looks at in a debugger. It says itself what the ids have to be.
int main() {
    latchbox::ManualClock clock;
    latchbox::Broker<int> broker{{.clock = &clock}};
    const auto orders = broker.queue("orders", {.lease = 1500ms});
    const auto id = orders.publish(7);
    const auto dead = orders.publish(8);
    const auto gate = broker.gate(2);
    const auto child = orders.publish(9, {.parents = {gate.id()}});
    auto delivery = orders.try_fetch();
    static_cast<void>(orders.try_fetch()->reject("no milk"));
    const auto topic = broker.topic("orders.eu");
    const auto all = broker.subscribe("orders.>", {.group = "books"});
    static_cast<void>(topic.publish(1));
    const auto refused = all.cancel(*id);
    const latchbox::MessageId none;
    const latchbox::Receipt receipt = delivery->receipt();
    const latchbox::Duration never = latchbox::Duration::never();
    const latchbox::Reason reason = broker.explain(*dead).reason;
    auto taken = orders.try_fetch();
    const auto settled = delivery->extend(2s);
    std::printf("id=%s\ngate=%s\nreceipt=%s\n", to_string(*id).c_str(),
                to_string(gate.id()).c_str(), to_string(receipt).c_str());
    stop_here();
    const bool sound = child && refused == latchbox::Errc::unknown_message && settled && !taken;
    const bool named = none == latchbox::MessageId{} && never.is_never() && !reason.text().empty();
    return sound && named && delivery->ack() ? 0 : 1;
}
