// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <chrono>
#include <mutex>
#include <set>
#include <string>

#include "latchbox/latchbox.hpp"

// A service that takes orders from a queue and what is ordered from a stock. It exists twice: as
// it is written at first, and as it has to be. The test of both is testing_order_service.cpp.

struct Order {
    std::string item = {};
    int amount = 1;
};

enum class Handling {
    whenever_delivered,  // wrong: what is delivered twice is taken from the stock twice
    once_per_message,    // right: the stock remembers what was taken, under the same mutex
};

// `Platform` supplies the mutexes; the test runs the service on simulated ones.
template <Handling handling, class Platform = latchbox::Threads> class OrderService {
public:
    OrderService(latchbox::Broker<Order, Platform>& broker, int stock)
        : orders_{broker.queue("orders", {.lease = std::chrono::seconds{10}})}, stock_{stock} {}

    // Handles the next order. False: there is none.
    bool handle_one() {
        auto order = orders_.try_fetch();
        if (!order) { return false; }
        take_from_stock(order->id(), order->body());
        order->ack();  // `lease_lost` if that took too long: then the order comes again
        return true;
    }
    [[nodiscard]] int stock() const {
        const std::lock_guard lock{mutex_};
        return stock_;
    }

private:
    void take_from_stock(latchbox::MessageId id, const Order& order) {
        const std::lock_guard lock{mutex_};
        if (handling == Handling::once_per_message && !taken_.insert(id).second) { return; }
        stock_ -= order.amount;
    }

    latchbox::Queue<Order, Platform> orders_;
    mutable typename Platform::Mutex mutex_;
    int stock_;
    std::set<latchbox::MessageId> taken_;
};
