// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <coroutine>
#include <exception>
#include <string>

#include "latchbox/coroutine.hpp"
#include "latchbox/latchbox.hpp"
#include "latchbox/workers.hpp"

// The other of two files that include everything.
latchbox::Queue<std::string> odr_made_in_b(latchbox::Broker<std::string>& broker) {
    latchbox::Queue<std::string> queue = broker.queue("orders", {});
    static_cast<void>(queue.publish("tea"));
    return queue;
}

latchbox::Subscription<std::string> odr_subscribed_in_b(latchbox::Broker<std::string>& broker) {
    auto subscription = broker.subscribe("teas.*");
    static_cast<void>(broker.topic("teas.green").publish("sencha"));
    return subscription;
}

latchbox::Workers<std::string> odr_working_in_b(const latchbox::Queue<std::string>& queue) {
    return {queue, {.name = "b"}, [](const std::string&) {}};
}

namespace {
struct OdrFlowB {
    struct promise_type {
        static OdrFlowB get_return_object() { return {}; }
        static std::suspend_never initial_suspend() noexcept { return {}; }
        static std::suspend_never final_suspend() noexcept { return {}; }
        static void return_void() noexcept {}
        [[noreturn]] static void unhandled_exception() noexcept { std::terminate(); }
    };
};
}  // namespace
void odr_awaited_in_b(const latchbox::Queue<std::string>& queue, std::string& body) {
    [](const latchbox::Queue<std::string> from, std::string& into) -> OdrFlowB {
        auto delivery = co_await async_fetch(from, [](auto resume) { resume(); });
        into = delivery && delivery->ack() ? delivery->body() : "not there";
    }(queue, body);
}
