// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/fwd.hpp"

#include <cstddef>

// Before anything else is included: a header may name the classes it is given.
namespace fwd_test {
struct Order;
std::size_t pending(const latchbox::Broker<Order>& broker);
std::size_t pending(const latchbox::Queue<Order, latchbox::Threads>& queue);
bool handle(latchbox::Delivery<Order>& delivery, const latchbox::DeadLetters<Order>& dead);
latchbox::Broker<Order, latchbox::SingleThread>* none();
bool pass_on(latchbox::Delivery<Order>&& delivery, const latchbox::Queue<Order>& to,
             latchbox::Transaction<Order>& transaction);
std::size_t threads(const latchbox::Workers<Order>& workers);
}  // namespace fwd_test

#include <type_traits>
#include <utility>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"
#include "latchbox/workers.hpp"

namespace fwd_test {

struct Order {
    int number = 0;
};
std::size_t pending(const latchbox::Broker<Order>& broker) {
    return static_cast<std::size_t>(broker.stats().messages.held());
}
std::size_t pending(const latchbox::Queue<Order, latchbox::Threads>& queue) {
    return queue.size();
}
bool handle(latchbox::Delivery<Order>& delivery, const latchbox::DeadLetters<Order>& dead) {
    return delivery.ack().has_value() && dead.size() == 0;
}
latchbox::Broker<Order, latchbox::SingleThread>* none() { return nullptr; }
bool pass_on(latchbox::Delivery<Order>&& delivery, const latchbox::Queue<Order>& to,
             latchbox::Transaction<Order>& transaction) {
    return transaction.publish(to, Order{delivery.body()}).has_value() &&
           transaction.ack(std::move(delivery)).has_value() && transaction.commit().has_value();
}
std::size_t threads(const latchbox::Workers<Order>& workers) { return workers.stats().threads; }

TEST_CASE("classes declared ahead are those defined later") {
    latchbox::Broker<Order> broker;
    auto orders = broker.queue("orders");
    REQUIRE(orders.publish(Order{7}));
    CHECK(pending(broker) == 1);
    CHECK(pending(orders) == 1);
    auto delivery = orders.try_fetch();
    REQUIRE(delivery);
    CHECK(handle(*delivery, orders.dead_letters()));
    CHECK(none() == nullptr);
    REQUIRE(orders.publish(Order{8}));
    auto transaction = broker.transaction();
    const auto to = broker.queue("to");
    CHECK(pass_on(std::move(orders.try_fetch().value()), to, transaction));
    CHECK(pending(to) == 1);
    const latchbox::Workers<Order> workers{orders, {}, [](const Order&) {}};
    CHECK(threads(workers) == 1);
}

static_assert(std::is_same_v<latchbox::ManualClock, latchbox::BasicManualClock<latchbox::Threads>>);

}  // namespace fwd_test
