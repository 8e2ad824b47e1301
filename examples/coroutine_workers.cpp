// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
//
// A thousand consumers on two threads. Each is a coroutine: while it waits for a message it costs
// its frame, and no thread. Where it goes on is for an executor to say; this one is a list of what
// to resume, and two threads that work it off.

#include <atomic>
#include <condition_variable>
#include <coroutine>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <exception>
#include <functional>
#include <latch>
#include <mutex>
#include <thread>
#include <utility>

#include "latchbox/coroutine.hpp"
#include "latchbox/latchbox.hpp"

class Executor {
public:
    ~Executor() {
        {
            const std::lock_guard lock{mutex_};
            ends_ = true;
        }
        changed_.notify_all();
        for (std::thread& thread : threads_) { thread.join(); }
    }
    // Called by whoever publishes or closes. Nothing is resumed here: that thread has other plans.
    void post(std::function<void()> resume) noexcept {
        {
            const std::lock_guard lock{mutex_};
            resumes_.push_back(std::move(resume));
        }
        changed_.notify_one();
    }

private:
    void run() {
        for (std::unique_lock lock{mutex_};;) {
            changed_.wait(lock, [this] { return ends_ || !resumes_.empty(); });
            if (resumes_.empty()) { return; }
            const auto resume = std::move(resumes_.front());
            resumes_.pop_front();
            lock.unlock();
            resume();
            lock.lock();
        }
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<std::function<void()>> resumes_;
    bool ends_ = false;
    std::thread threads_[2] = {std::thread{[this] { run(); }}, std::thread{[this] { run(); }}};
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

struct Totals {
    std::atomic<std::uint64_t> handled = 0;
    std::atomic<std::uint64_t> sum = 0;
    std::latch left;
};

Detached consume(latchbox::Queue<std::uint64_t> numbers, Executor& executor, Totals& totals) {
    const auto there = [&executor](auto resume) { executor.post(std::move(resume)); };
    while (auto number = co_await latchbox::async_fetch(numbers, there)) {  // until it is closed
        totals.sum += number->body();
        ++totals.handled;
        number->ack();
    }
    totals.left.count_down();
}

int main() {
    constexpr std::uint64_t messages = 20'000;
    constexpr int consumers = 1'000;
    latchbox::Broker<std::uint64_t> broker;
    const auto numbers = broker.queue("numbers");
    Totals totals{.left = std::latch{consumers}};
    Executor executor;

    for (int i = 0; i < consumers; ++i) { consume(numbers, executor, totals); }
    for (std::uint64_t i = 1; i <= messages; ++i) { numbers.publish(i).value(); }
    broker.drain(latchbox::Duration::never());  // until all is acked; then every fetch is closed
    totals.left.wait();

    const bool right = totals.sum == messages * (messages + 1) / 2;
    std::printf("%llu messages, %d coroutines, 2 threads: the sum is %s\n",
                static_cast<unsigned long long>(totals.handled), consumers,
                right ? "right" : "WRONG");
    return right && totals.handled == messages ? 0 : 1;
}
