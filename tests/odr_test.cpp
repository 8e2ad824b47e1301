// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <string>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"
#include "latchbox/workers.hpp"

std::string odr_made_in_a(const latchbox::Queue<std::string>& queue);
latchbox::Queue<std::string> odr_made_in_b(latchbox::Broker<std::string>& broker);
std::string odr_popped_in_a(const latchbox::Subscription<std::string>& subscription);
latchbox::Subscription<std::string> odr_subscribed_in_b(latchbox::Broker<std::string>& broker);
std::string odr_committed_in_a(latchbox::Broker<std::string>& broker);
latchbox::Workers<std::string> odr_working_in_a(const latchbox::Queue<std::string>& queue);
latchbox::Workers<std::string> odr_working_in_b(const latchbox::Queue<std::string>& queue);
void odr_awaited_in_a(const latchbox::Queue<std::string>& queue, std::string& body);
void odr_awaited_in_b(const latchbox::Queue<std::string>& queue, std::string& body);

TEST_CASE("files that each include the whole library link, and mean the same by it") {
    latchbox::Broker<std::string> broker;
    const auto queue = odr_made_in_b(broker);
    CHECK(odr_made_in_a(queue) == "tea");
    CHECK(odr_made_in_a(queue) == to_string(latchbox::Errc::empty));
    const auto subscription = odr_subscribed_in_b(broker);
    CHECK(odr_popped_in_a(subscription) == "sencha");
    CHECK(odr_popped_in_a(subscription) == "not there");
    CHECK(odr_committed_in_a(broker) == "oolong");
    std::string in_a;
    std::string in_b;
    odr_awaited_in_a(queue, in_a);
    odr_awaited_in_b(queue, in_b);
    for (const char* body : {"assam", "bancha"}) { REQUIRE(queue.publish(body)); }
    CHECK(in_a == "assam");
    CHECK(in_b == "bancha");
    auto workers = odr_working_in_a(queue);
    CHECK(workers.name() == "a");
    workers = odr_working_in_b(queue);
    CHECK(workers.name() == "b");
}
