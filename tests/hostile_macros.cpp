// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors

// The headers of the system come first: after our macros they would not compile themselves, or
// would take the macros away again.
#include <atomic>
#include <chrono>
#include <compare>
#include <condition_variable>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <exception>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <ratio>
#include <span>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>
#include <version>

#define min(a, b) ((a) < (b) ? (a) : (b))
#define max(a, b) ((a) < (b) ? (b) : (a))
#define small char
#define near
#define far
#define interface struct
#define ERROR 0
#define check(x) static_assert(false)
// Of Qt.
#define slots
#define signals public
#define emit
#define foreach(variable, container) for (variable : container)
#define forever for (;;)

#include "latchbox/coroutine.hpp"
#include "latchbox/latchbox.hpp"
#include "latchbox/workers.hpp"

struct HostileFlow {
    struct promise_type {
        static HostileFlow get_return_object() { return {}; }
        static std::suspend_never initial_suspend() noexcept { return {}; }
        static std::suspend_never final_suspend() noexcept { return {}; }
        static void return_void() noexcept {}
        [[noreturn]] static void unhandled_exception() noexcept { std::terminate(); }
    };
};
static HostileFlow pass_on(latchbox::Queue<int> from, latchbox::Queue<int> to) {
    auto delivery = co_await latchbox::async_fetch(from, [](auto resume) { resume(); });
    static_cast<void>(delivery->ack_and_publish(to, delivery->body() + 1, {.dedup = "v"}));
}

// The templates as well, as far as a file that uses them.
bool works_beside_hostile_macros() {
    latchbox::ManualClock clock;
    latchbox::Broker<int> broker{{.clock = &clock}};
    const auto queue = broker.queue("numbers");
    if (!queue.publish(7)) { return false; }
    const auto all = broker.subscribe("numbers.>", {.capacity = 5});
    const auto topic = broker.topic("numbers.odd", {.retain_count = 1});
    const auto id = topic.publish(7);
    if (!id || !topic.read(*id) || !all.pop()) { return false; }
    const auto next = broker.queue("next");
    const auto last = broker.queue("last");
    {
        const latchbox::Workers workers{next, {}, [&](latchbox::Delivery<int>& delivery) {
                                            return delivery.forward(last).has_value();
                                        }};
        pass_on(queue, next);
        if (last.fetch()->body() != 8) { return false; }
    }
    auto transaction = broker.transaction();
    if (!transaction.publish(queue, 7) || !transaction.commit()) { return false; }
    auto delivery = queue.try_fetch();
    return delivery && delivery->body() == 7 && delivery->ack();
}
