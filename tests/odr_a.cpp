// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <string>

#include "latchbox/latchbox.hpp"

// One of two files that include everything: what lacks an `inline` is defined twice.
std::string odr_made_in_a(const latchbox::Queue<std::string>& queue) {
    auto delivery = queue.try_fetch();
    if (!delivery) { return to_string(delivery.error()); }
    return delivery->take().value_or("not taken");
}

std::string odr_popped_in_a(const latchbox::Subscription<std::string>& subscription) {
    return subscription.pop().value_or("not there");
}
