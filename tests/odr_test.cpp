// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <string>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"

std::string odr_made_in_a(const latchbox::Queue<std::string>& queue);
latchbox::Queue<std::string> odr_made_in_b(latchbox::Broker<std::string>& broker);
std::string odr_popped_in_a(const latchbox::Subscription<std::string>& subscription);
latchbox::Subscription<std::string> odr_subscribed_in_b(latchbox::Broker<std::string>& broker);

TEST_CASE("files that each include the whole library link, and mean the same by it") {
    latchbox::Broker<std::string> broker;
    const auto queue = odr_made_in_b(broker);
    CHECK(odr_made_in_a(queue) == "tea");
    CHECK(odr_made_in_a(queue) == to_string(latchbox::Errc::empty));
    const auto subscription = odr_subscribed_in_b(broker);
    CHECK(odr_popped_in_a(subscription) == "sencha");
    CHECK(odr_popped_in_a(subscription) == "not there");
}
