// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <string>
#include <utility>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"
#include "support/source_tree.hpp"

namespace {
// Who wants these includes them.
bool is_apart(const std::string& name) {
    return name == "latchbox/workers.hpp" || name == "latchbox/coroutine.hpp" ||
           name.starts_with("latchbox/testing");
}
}  // namespace

TEST_CASE("the umbrella includes every public header but those apart, and nothing of detail") {
    const std::string umbrella = support::read_project_file("include/latchbox/latchbox.hpp");
    CHECK(umbrella.find("/detail/") == std::string::npos);
    for (const auto& file : support::read_sources("include")) {
        const std::string name = file.path.substr(std::string{"include/"}.size());
        if (name == "latchbox/latchbox.hpp" || name.find("/detail/") != std::string::npos) {
            continue;
        }
        INFO("in the umbrella or not: ", name);
        const bool there = umbrella.find("#include \"" + name + "\"") != std::string::npos;
        CHECK(there != is_apart(name));
    }
}

TEST_CASE("the umbrella alone serves a message from publish to ack") {
    latchbox::Broker<std::string> broker;
    const auto orders = broker.queue("orders");
    REQUIRE(orders.publish("tea"));
    auto delivery = orders.try_fetch();
    REQUIRE(delivery);
    CHECK(delivery->body() == "tea");
    CHECK(delivery->ack());
    CHECK(orders.size() == 0);
}

TEST_CASE("the umbrella alone settles and publishes in one commit") {
    latchbox::Broker<std::string> broker;
    const auto orders = broker.queue("orders");
    const auto bills = broker.queue("bills");
    REQUIRE(orders.publish("tea"));
    auto transaction = broker.transaction();
    REQUIRE(transaction.ack(std::move(orders.try_fetch().value())));
    REQUIRE(transaction.publish(bills, "3.50"));
    REQUIRE(transaction.commit());
    CHECK(orders.size() == 0);
    CHECK(bills.pop().value() == "3.50");
}
