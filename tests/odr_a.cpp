// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <coroutine>
#include <exception>
#include <string>

#include "latchbox/coroutine.hpp"
#include "latchbox/latchbox.hpp"
#include "latchbox/workers.hpp"

// One of two files that include everything: what lacks an `inline` is defined twice.
std::string odr_made_in_a(const latchbox::Queue<std::string>& queue) {
    auto delivery = queue.try_fetch();
    if (!delivery) { return to_string(delivery.error()); }
    return delivery->take().value_or("not taken");
}

std::string odr_popped_in_a(const latchbox::Subscription<std::string>& subscription) {
    return subscription.pop().value_or("not there");
}

std::string odr_committed_in_a(latchbox::Broker<std::string>& broker) {
    const auto queue = broker.queue("committed");
    auto transaction = broker.transaction();
    static_cast<void>(transaction.publish(queue, "oolong", {.dedup = "v"}));
    static_cast<void>(transaction.commit());
    return queue.pop().value_or("not there");
}

latchbox::Workers<std::string> odr_working_in_a(const latchbox::Queue<std::string>& queue) {
    return {queue, {.name = "a"}, [](const std::string&) {}};
}

namespace {
struct OdrFlowA {
    struct promise_type {
        static OdrFlowA get_return_object() { return {}; }
        static std::suspend_never initial_suspend() noexcept { return {}; }
        static std::suspend_never final_suspend() noexcept { return {}; }
        static void return_void() noexcept {}
        [[noreturn]] static void unhandled_exception() noexcept { std::terminate(); }
    };
};
}  // namespace
void odr_awaited_in_a(const latchbox::Queue<std::string>& queue, std::string& body) {
    [](const latchbox::Queue<std::string> from, std::string& into) -> OdrFlowA {
        auto delivery = co_await async_fetch(from, [](auto resume) { resume(); });
        into = delivery && delivery->ack() ? delivery->body() : "not there";
    }(queue, body);
}
