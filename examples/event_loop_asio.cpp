// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
//
// The broker in somebody else's event loop, here standalone Asio: three coroutines consume from one
// queue, all on the thread that runs the `io_context`. The broker has no thread that could ring
// when a delay, a lease or a timeout is over: `poll` does what is due and says when to come again,
// and a timer of the loop does so. Nobody ever waits, so the broker needs no locks either.

#include <chrono>
#include <coroutine>
#include <cstdio>
#include <exception>
#include <string>
#include <utility>

#include <asio.hpp>

#include "latchbox/coroutine.hpp"
#include "latchbox/latchbox.hpp"

using namespace std::chrono_literals;

using Broker = latchbox::Broker<std::string, latchbox::SingleThread>;
using Orders = latchbox::Queue<std::string, latchbox::SingleThread>;

// Calls `poll` when something is due.
class Bell {
public:
    Bell(asio::io_context& io, Broker& broker, latchbox::Clock& clock)
        : timer_{io}, broker_{broker}, clock_{clock} {}

    // After whatever may have made something due earlier: a publish, a fetch, a settling.
    void set() {
        const latchbox::Instant next = broker_.poll();
        if (next == set_for_) { return; }
        set_for_ = next;
        if (next.is_never()) {
            timer_.cancel();
            return;
        }
        timer_.expires_after((next - clock_.now()).to_chrono());
        timer_.async_wait([this](const asio::error_code& cancelled) {
            if (cancelled) { return; }
            set_for_ = latchbox::Instant::never();
            set();
        });
    }

private:
    asio::steady_timer timer_;
    Broker& broker_;
    latchbox::Clock& clock_;
    latchbox::Instant set_for_ = latchbox::Instant::never();
};

// A coroutine that nobody waits for: it begins at once, and its frame goes with its end.
struct Detached {
    struct promise_type {
        Detached get_return_object() noexcept { return {}; }
        std::suspend_never initial_suspend() noexcept { return {}; }
        std::suspend_never final_suspend() noexcept { return {}; }
        void return_void() noexcept {}
        void unhandled_exception() noexcept { std::terminate(); }
    };
};

struct Waiter {
    const char* name;
    int served = 0;
    latchbox::Errc left = {};
};

Detached serve(Waiter& waiter, Orders orders, asio::io_context& io, Bell& bell) {
    const auto in_loop = [&io, &bell](auto resume) {
        asio::post(io, [resume, &bell]() mutable {
            resume();
            bell.set();
        });
    };
    for (;;) {
        auto order = co_await latchbox::async_fetch_for(orders, in_loop, 150ms);
        if (!order) {
            waiter.left = order.error();
            break;
        }
        std::printf("%s: %s, attempt %u\n", waiter.name, order->body().c_str(), order->attempt());
        if (order->body() == "cake" && order->attempt() == 1) {
            order->fail("still in the oven");  // comes again after a pause
        } else {
            order->ack();
            ++waiter.served;
        }
    }
}

int main() {
    asio::io_context io;
    latchbox::SteadyClock clock;
    Broker broker{{.clock = &clock}};
    Bell bell{io, broker, clock};
    const Orders orders = broker.queue("orders", {.backoff = {.first = 20ms}});

    Waiter waiters[] = {{"Ann"}, {"Bob"}, {"Cem"}};
    for (Waiter& waiter : waiters) { serve(waiter, orders, io, bell); }
    for (const char* now : {"tea", "cake", "coffee", "water"}) { orders.publish(now).value(); }
    orders.publish("the bill", {.delay = 40ms}).value();
    bell.set();
    io.run();  // until all have waited in vain and gone

    int served = 0;
    bool all_left = true;
    for (const Waiter& waiter : waiters) {
        served += waiter.served;
        all_left = all_left && waiter.left == latchbox::Errc::timed_out;
    }
    std::printf("%d served; then for 150 ms nobody wanted anything\n", served);
    return served == 5 && all_left && orders.size() == 0 ? 0 : 1;
}
