// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <string>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"
#include "support/source_tree.hpp"

TEST_CASE("the umbrella includes every public header, and nothing of detail") {
    const std::string umbrella = support::read_project_file("include/latchbox/latchbox.hpp");
    CHECK(umbrella.find("/detail/") == std::string::npos);
    for (const auto& file : support::read_sources("include")) {
        const std::string name = file.path.substr(std::string{"include/"}.size());
        if (name == "latchbox/latchbox.hpp" || name.find("/detail/") != std::string::npos) {
            continue;
        }
        INFO("not in the umbrella: ", name);
        CHECK(umbrella.find("#include \"" + name + "\"") != std::string::npos);
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
