// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <latchbox/latchbox.hpp>

// The program of somebody who found the library by one of its doors.
int main() {
    latchbox::Broker<int> broker;
    const auto orders = broker.queue("orders");
    const auto tea = orders.publish(1);
    auto delivery = orders.fetch_for(std::chrono::seconds{1});
    const bool served = tea && delivery && delivery->id() == *tea && delivery->ack();
    return served ? 0 : 1;
}
