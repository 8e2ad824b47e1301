// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
//
// What `Workers` cost beside the pool one would write by hand: a deque with a mutex and a condition
// variable, which promises nothing: no lease, no ack, no second try, no bound. One thread publishes
// while 1, 2 or 4 others handle, 0, 1 or 10 microseconds each; what is measured is the time until
// all is handled. Then what it costs to hand a message on from one queue to the next, at once and
// in two steps.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <semaphore>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "latchbox/latchbox.hpp"
#include "latchbox/workers.hpp"

#include "bench.hpp"

namespace {

struct Message {
    std::uint64_t number = 0;
    std::uint64_t payload = 0;
};

// --- the handler -------------------------------------------------------------------------------

// Counted in turns of a loop, not by a clock: a thread that is not running does no work meanwhile.
void spin(std::uint64_t turns) {
    static std::atomic<std::uint64_t> sink = 0;
    for (std::uint64_t i = 0; i < turns; ++i) { sink.load(std::memory_order_acquire); }
}

std::uint64_t turns_of_a_microsecond() {
    constexpr std::uint64_t turns = 1'000'000;
    double fastest = 1e9;
    for (int i = 0; i < 7; ++i) {
        fastest = (std::min)(fastest, bench::time_per_message(turns, [] { spin(turns); }));
    }
    return static_cast<std::uint64_t>(1'000 / fastest) + 1;
}

// Handles messages, numbered from 1: whoever handled each of them once knows the sum.
class Handling {
public:
    Handling(std::uint64_t messages, std::uint64_t turns)
        : turns_{turns}, expected_{messages * (messages + 1) / 2} {}

    void operator()(const Message& message) noexcept {
        spin(turns_);
        const std::uint64_t before = sum_.fetch_add(message.number, std::memory_order_relaxed);
        if (before + message.number == expected_) { done_.release(); }
        if (before + message.number > expected_) { bench::fail("a message was handled twice"); }
    }
    void wait_for_all() { done_.acquire(); }

private:
    std::uint64_t turns_;
    std::uint64_t expected_;
    std::atomic<std::uint64_t> sum_ = 0;
    std::binary_semaphore done_{0};
};

// --- the contestants: each handles in threads of its own what is pushed ------------------------

template <std::size_t batch> class Workers {
public:
    Workers(std::size_t threads, Handling& handle)
        : workers_{queue_, {.threads = threads, .batch = batch}, [&handle](const Message& message) {
                       handle(message);
                   }} {}
    void push(const Message& message) { queue_.publish(message).value(); }

private:
    latchbox::Broker<Message> broker_;
    latchbox::Queue<Message> queue_ = broker_.queue("bench");
    latchbox::Workers<Message> workers_;
};

// The threads of the others, who end when `work` returns.
class Threads {
public:
    template <class Work> void start(std::size_t count, Work work) {
        while (threads_.size() < count) { threads_.emplace_back(work); }
    }
    void join() {
        for (std::thread& thread : threads_) { thread.join(); }
    }

private:
    std::vector<std::thread> threads_;
};

class FetchAndAck {
public:
    FetchAndAck(std::size_t threads, Handling& handle) {
        threads_.start(threads, [this, &handle] {
            while (auto delivery = queue_.fetch()) {
                handle(delivery->body());
                delivery->ack();
            }
        });
    }
    ~FetchAndAck() {
        broker_.close();
        threads_.join();
    }
    void push(const Message& message) { queue_.publish(message).value(); }

private:
    latchbox::Broker<Message> broker_;
    latchbox::Queue<Message> queue_ = broker_.queue("bench");
    Threads threads_;
};

class ByHand {
public:
    ByHand(std::size_t threads, Handling& handle) {
        threads_.start(threads, [this, &handle] {
            for (;;) {
                std::unique_lock lock{mutex_};
                arrived_.wait(lock, [this] { return closed_ || !messages_.empty(); });
                if (messages_.empty()) { return; }
                const Message message = messages_.front();
                messages_.pop_front();
                lock.unlock();
                handle(message);
            }
        });
    }
    ~ByHand() {
        {
            const std::lock_guard lock{mutex_};
            closed_ = true;
        }
        arrived_.notify_all();
        threads_.join();
    }
    void push(const Message& message) {
        {
            const std::lock_guard lock{mutex_};
            messages_.push_back(message);
        }
        arrived_.notify_one();
    }

private:
    std::mutex mutex_;
    std::condition_variable arrived_;
    std::deque<Message> messages_;
    bool closed_ = false;
    Threads threads_;
};

struct Workload {
    std::string name;
    std::uint64_t microseconds;
    std::size_t threads;
    std::size_t messages;
};

template <class Contestant> double handled(const Workload& workload, std::uint64_t microsecond) {
    Handling handling{workload.messages, workload.microseconds * microsecond};
    Contestant contestant{workload.threads, handling};
    return bench::time_per_message(workload.messages, [&] {
        for (std::uint64_t i = 1; i <= workload.messages; ++i) { contestant.push({i, i}); }
        handling.wait_for_all();
    });
}

// --- to hand on --------------------------------------------------------------------------------

using Queue = latchbox::Queue<Message>;
using Delivery = latchbox::Delivery<Message>;

// A few messages go to and fro between two queues, in one thread.
template <class HandOn> double handed_on(std::size_t messages, HandOn&& hand_on) {
    constexpr std::uint64_t held = 32;
    latchbox::Broker<Message> broker;
    const Queue queues[] = {broker.queue("here"), broker.queue("there")};
    for (std::uint64_t i = 0; i < held; ++i) {
        for (const Queue& queue : queues) { queue.publish(Message{i, i}).value(); }
    }
    const double taken = bench::time_per_message(messages, [&] {
        for (std::size_t i = 0; i < messages; ++i) {
            hand_on(queues[i % 2].try_fetch().value(), queues[(i + 1) % 2], broker);
        }
    });
    if (queues[0].size() + queues[1].size() != 2 * held) {
        bench::fail("a message was lost or doubled on its way");
    }
    return taken;
}

}  // namespace

int main(int argc, char** argv) {
    const bench::Options options = bench::Options::parse(argc, argv);
    const std::string workers = "Workers";
    const std::string by_hand = "mutex + condition variable + deque";

    const std::uint64_t microsecond = turns_of_a_microsecond();
    std::vector<Workload> workloads;
    std::vector<std::string> names;
    for (const auto& [length, full] :
         {std::pair<std::uint64_t, std::size_t>{0, 600'000}, {1, 200'000}, {10, 20'000}}) {
        for (const std::size_t threads : {1U, 2U, 4U}) {
            names.push_back(std::to_string(length) + " us x " + std::to_string(threads));
            workloads.push_back({names.back(), length, threads, options.messages(full)});
        }
    }
    bench::Table table{options, "workers: until all is handled", names};
    bench::Budgets ratios{options};
    for (const Workload& load : workloads) {
        table.add(workers, load.name, [=] { return handled<Workers<1>>(load, microsecond); });
        table.add("Workers, batches of 16", load.name,
                  [=] { return handled<Workers<16>>(load, microsecond); });
        table.add("threads that fetch and ack", load.name,
                  [=] { return handled<FetchAndAck>(load, microsecond); });
        table.add(by_hand, load.name, [=] { return handled<ByHand>(load, microsecond); });
    }
    table.run();
    for (const std::string& name : names) {
        ratios.tell(name + ": Workers / a pool by hand", table.figure(workers, name),
                    table.figure(by_hand, name));
    }

    const std::string both = "publish, then ack";
    const std::string column = "to hand on";
    const std::size_t messages = options.messages(1'000'000);
    bench::Table hand_on{options, "to hand a message on", {column}};
    hand_on.add(both, column, [messages] {
        return handed_on(messages, [](Delivery&& delivery, const Queue& to, auto&) {
            to.publish(delivery.body()).value();
            delivery.ack();
        });
    });
    hand_on.add("ack_and_publish", column, [messages] {
        return handed_on(messages, [](Delivery&& delivery, const Queue& to, auto&) {
            delivery.ack_and_publish(to, delivery.body()).value();
        });
    });
    hand_on.add("forward", column, [messages] {
        return handed_on(messages, [](Delivery&& delivery, const Queue& to, auto&) {
            delivery.forward(to).value();
        });
    });
    hand_on.add("a transaction", column, [messages] {
        return handed_on(messages, [](Delivery&& delivery, const Queue& to, auto& broker) {
            auto transaction = broker.transaction();
            transaction.publish(to, delivery.body()).value();
            transaction.ack(std::move(delivery)).value();
            transaction.commit().value();
        });
    });
    hand_on.run();
    bench::Budgets more{options};
    for (const char* const way : {"ack_and_publish", "forward", "a transaction"}) {
        more.tell(std::string{way} + " / " + both, hand_on.figure(way, column),
                  hand_on.figure(both, column));
    }
}
