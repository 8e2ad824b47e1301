// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
//
// What a message costs from publish to ack, beside queues that promise less. All messages have 16
// bytes. The rivals called raw hand a message over and forget it: no lease, no ack, no bound, no
// counters. With several threads each consumer waits for its share: latchbox, the deque, the
// naive queue and moodycamel's blocking queue sleep, the others look again and yield.

#include <array>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <latch>
#include <memory>
#include <mutex>
#include <numeric>
#include <span>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "latchbox/latchbox.hpp"

#include "bench.hpp"

#if __has_include(<concurrentqueue/blockingconcurrentqueue.h>)
#define LATCHBOX_BENCH_MOODYCAMEL
#include <concurrentqueue/blockingconcurrentqueue.h>
#include <concurrentqueue/concurrentqueue.h>
#endif
#if __has_include(<atomic_queue/atomic_queue.h>)
#define LATCHBOX_BENCH_ATOMIC_QUEUE
#include <atomic_queue/atomic_queue.h>
#endif
#if defined(LATCHBOX_BENCH_TBB)
#include <oneapi/tbb/concurrent_queue.h>
#endif

namespace {

struct Message {
    std::uint64_t number = 0;
    std::uint64_t payload = 0;
};
static_assert(sizeof(Message) == 16);

constexpr std::size_t batch_size = 64;
using Batch = std::array<Message, batch_size>;

// --- the contestants ---------------------------------------------------------------------------
// Each has `push`, and `try_take` that returns the number of the message it took; `take` waits.
// Some have both in batches: `take_batch` returns the sum of the numbers.

template <class Clock> class Latchbox {
public:
    void push(const Message& message) { queue_.publish(message).value(); }
    std::uint64_t try_take() { return finish(queue_.try_fetch()); }
    std::uint64_t take() { return finish(queue_.fetch()); }

    void push_batch(Batch& batch) { queue_.publish_batch(batch).value(); }
    std::uint64_t take_batch() {
        held_.clear();
        queue_.fetch_batch(held_, batch_size).value();
        std::uint64_t sum = 0;
        for (const auto& delivery : held_) { sum += delivery.body().number; }
        queue_.ack_batch(held_);
        return sum;
    }

private:
    static std::uint64_t finish(latchbox::Result<latchbox::Delivery<Message>> delivery) {
        const std::uint64_t number = delivery.value().body().number;
        delivery->ack();
        return number;
    }

    Clock clock_;
    latchbox::Broker<Message> broker_{{.clock = &clock_}};
    latchbox::Queue<Message> queue_ = broker_.queue("bench");
    std::vector<latchbox::Delivery<Message>> held_;
};

class Deque {
public:
    void push(const Message& message) {
        {
            const std::lock_guard lock{mutex_};
            messages_.push_back(message);
        }
        arrived_.notify_one();
    }
    std::uint64_t try_take() {
        const std::lock_guard lock{mutex_};
        return take_front();
    }
    std::uint64_t take() {
        std::unique_lock lock{mutex_};
        arrived_.wait(lock, [this] { return !messages_.empty(); });
        return take_front();
    }
    void push_batch(const Batch& batch) {
        {
            const std::lock_guard lock{mutex_};
            messages_.insert(messages_.end(), batch.begin(), batch.end());
        }
        arrived_.notify_all();
    }
    std::uint64_t take_batch() {
        const std::lock_guard lock{mutex_};
        std::uint64_t sum = 0;
        for (std::size_t i = 0; i < batch_size; ++i) { sum += take_front(); }
        return sum;
    }

private:
    std::uint64_t take_front() {
        const std::uint64_t number = messages_.front().number;
        messages_.pop_front();
        return number;
    }

    std::mutex mutex_;
    std::condition_variable arrived_;
    std::deque<Message> messages_;
};

// At least once as one would write it in an hour: what is fetched moves to a map until its ack.
// No leases: it reads no clock and never gives anything back, which flatters it.
class Naive {
public:
    void push(const Message& message) {
        {
            const std::lock_guard lock{mutex_};
            ready_.push_back({next_id_++, message});
        }
        arrived_.notify_one();
    }
    std::uint64_t try_take() {
        std::unique_lock lock{mutex_};
        return take_front(lock);
    }
    std::uint64_t take() {
        std::unique_lock lock{mutex_};
        arrived_.wait(lock, [this] { return !ready_.empty(); });
        return take_front(lock);
    }

private:
    struct Entry {
        std::uint64_t id;
        Message message;
    };

    std::uint64_t take_front(std::unique_lock<std::mutex>& lock) {
        const Entry entry = ready_.front();
        ready_.pop_front();
        in_flight_.emplace(entry.id, entry.message);
        lock.unlock();
        ack(entry.id);
        return entry.message.number;
    }
    void ack(std::uint64_t id) {
        const std::lock_guard lock{mutex_};
        in_flight_.erase(id);
    }

    std::mutex mutex_;
    std::condition_variable arrived_;
    std::deque<Entry> ready_;
    std::unordered_map<std::uint64_t, Message> in_flight_;
    std::uint64_t next_id_ = 0;
};

// Waits by looking again, for queues that have no other way.
template <class Take> std::uint64_t look_again(Take&& take) {
    Message message;
    while (!take(message)) { std::this_thread::yield(); }
    return message.number;
}

#if defined(LATCHBOX_BENCH_MOODYCAMEL)
class Moodycamel {
public:
    void push(const Message& message) { queue_.enqueue(message); }
    std::uint64_t try_take() {
        Message message;
        queue_.try_dequeue(message);
        return message.number;
    }
    std::uint64_t take() {
        return look_again([this](Message& m) { return queue_.try_dequeue(m); });
    }
    void push_batch(const Batch& batch) { queue_.enqueue_bulk(batch.begin(), batch.size()); }
    std::uint64_t take_batch() {
        Batch batch;
        const std::size_t count = queue_.try_dequeue_bulk(batch.begin(), batch.size());
        std::uint64_t sum = 0;
        for (std::size_t i = 0; i < count; ++i) { sum += batch[i].number; }
        return sum;
    }

private:
    moodycamel::ConcurrentQueue<Message> queue_;
};

class MoodycamelBlocking {
public:
    void push(const Message& message) { queue_.enqueue(message); }
    std::uint64_t try_take() {
        Message message;
        queue_.try_dequeue(message);
        return message.number;
    }
    std::uint64_t take() {
        Message message;
        queue_.wait_dequeue(message);
        return message.number;
    }

private:
    moodycamel::BlockingConcurrentQueue<Message> queue_;
};
#endif

#if defined(LATCHBOX_BENCH_ATOMIC_QUEUE)
class AtomicQueue {
public:
    void push(const Message& message) {
        while (!queue_.try_push(message)) { std::this_thread::yield(); }
    }
    std::uint64_t try_take() {
        Message message;
        queue_.try_pop(message);
        return message.number;
    }
    std::uint64_t take() {
        return look_again([this](Message& m) { return queue_.try_pop(m); });
    }

private:
    atomic_queue::AtomicQueue2<Message, 65'536> queue_;
};
#endif

#if defined(LATCHBOX_BENCH_TBB)
class Tbb {
public:
    void push(const Message& message) { queue_.push(message); }
    std::uint64_t try_take() {
        Message message;
        queue_.try_pop(message);
        return message.number;
    }
    std::uint64_t take() {
        return look_again([this](Message& m) { return queue_.try_pop(m); });
    }

private:
    tbb::concurrent_queue<Message> queue_;
};
#endif

// --- the workloads -----------------------------------------------------------------------------

// Messages are numbered from 0: whoever took each of them once knows the sum.
void check_sum(std::uint64_t sum, std::uint64_t messages) {
    if (sum == messages * (messages - 1) / 2) { return; }
    std::fprintf(stderr, "a contestant lost messages or took them twice\n");
    std::exit(1);
}

template <class Contestant> double one_thread(Contestant& contestant, std::size_t messages) {
    std::uint64_t sum = 0;
    const double taken = bench::time_per_message(messages, [&] {
        for (std::uint64_t i = 0; i < messages; ++i) {
            contestant.push({i, i});
            sum += contestant.try_take();
        }
    });
    check_sum(sum, messages);
    return taken;
}

template <class Contestant> double in_batches(Contestant& contestant, std::size_t messages) {
    const std::size_t batches = messages / batch_size;
    std::uint64_t sum = 0;
    std::uint64_t next = 0;
    const double taken = bench::time_per_message(batches * batch_size, [&] {
        for (std::size_t i = 0; i < batches; ++i) {
            Batch batch;
            for (Message& message : batch) { message.number = next++; }
            contestant.push_batch(batch);
            sum += contestant.take_batch();
        }
    });
    check_sum(sum, batches * batch_size);
    return taken;
}

// `pairs` producers and as many consumers; `messages` is a multiple of `pairs`.
template <class Contestant>
double in_threads(Contestant& contestant, std::size_t messages, std::size_t pairs) {
    const std::size_t share = messages / pairs;
    std::vector<std::uint64_t> sums(pairs);
    std::vector<std::thread> threads;
    std::latch go{static_cast<std::ptrdiff_t>(2 * pairs + 1)};
    for (std::size_t p = 0; p < pairs; ++p) {
        threads.emplace_back([&contestant, &go, share, p] {
            go.arrive_and_wait();
            for (std::uint64_t i = p * share; i < (p + 1) * share; ++i) { contestant.push({i, i}); }
        });
        threads.emplace_back([&contestant, &go, share, &result = sums[p]] {
            go.arrive_and_wait();
            std::uint64_t sum = 0;
            for (std::size_t i = 0; i < share; ++i) { sum += contestant.take(); }
            result = sum;
        });
    }
    const double taken = bench::time_per_message(messages, [&] {
        go.arrive_and_wait();
        for (std::thread& thread : threads) { thread.join(); }
    });
    check_sum(std::accumulate(sums.begin(), sums.end(), std::uint64_t{0}), messages);
    return taken;
}

template <class Contestant>
void enter(bench::Table& table, const bench::Options& options, const std::string& name) {
    const auto contestant = std::make_shared<Contestant>();
    const std::size_t alone = options.messages(1'000'000);
    const std::size_t shared = options.messages(400'000);
    table.add(name, "one thread", [=] { return one_thread(*contestant, alone); });
    if constexpr (requires { contestant->take_batch(); }) {
        table.add(name, "batches", [=] { return in_batches(*contestant, alone); });
    }
    table.add(name, "1+1", [=] { return in_threads(*contestant, shared, 1); });
    table.add(name, "2+2", [=] { return in_threads(*contestant, shared, 2); });
    table.add(name, "4+4", [=] { return in_threads(*contestant, shared, 4); });
}

}  // namespace

int main(int argc, char** argv) {
    const bench::Options options = bench::Options::parse(argc, argv);
    bench::Table table{options, {"one thread", "batches", "1+1", "2+2", "4+4"}};
    const std::string steady = "latchbox, steady clock";
    const std::string coarse = "latchbox, coarse clock";
    const std::string naive = "at least once, naive";
    const std::string raw = "moodycamel, raw";
    const std::string blocking = "moodycamel blocking, raw";

    enter<Latchbox<latchbox::SteadyClock>>(table, options, steady);
    enter<Latchbox<latchbox::CoarseClock>>(table, options, coarse);
    enter<Naive>(table, options, naive);
    enter<Deque>(table, options, "mutex + deque, raw");
#if defined(LATCHBOX_BENCH_MOODYCAMEL)
    enter<Moodycamel>(table, options, raw);
    enter<MoodycamelBlocking>(table, options, blocking);
#else
    table.missing(raw, "missing: concurrentqueue/concurrentqueue.h");
    table.missing(blocking, "missing: concurrentqueue/blockingconcurrentqueue.h");
#endif
#if defined(LATCHBOX_BENCH_ATOMIC_QUEUE)
    enter<AtomicQueue>(table, options, "atomic_queue of 65,536, raw");
#else
    table.missing("atomic_queue, raw", "missing: atomic_queue/atomic_queue.h");
#endif
#if defined(LATCHBOX_BENCH_TBB)
    enter<Tbb>(table, options, "tbb::concurrent_queue, raw");
#else
    table.missing("tbb::concurrent_queue, raw", "missing: built without TBB");
#endif
    table.run();

    using Wants = bench::Budgets::Wants;
    bench::Budgets budgets;
    const auto figure = [&table](const std::string& contestant, const char* workload) {
        return table.figure(contestant, workload);
    };
    budgets.show("B1", "one thread: steady clock / moodycamel raw", figure(steady, "one thread"),
                 figure(raw, "one thread"), Wants::at_most, 3.5, 2.5);
    budgets.show("B1", "one thread: coarse clock / moodycamel raw", figure(coarse, "one thread"),
                 figure(raw, "one thread"), Wants::at_most, 2.2, 1.8);
    budgets.show("B2", "batches of 64 / moodycamel raw one at a time", figure(steady, "batches"),
                 figure(raw, "one thread"), Wants::at_most, 1.0, 0.6);
    for (const char* threads : {"1+1", "2+2", "4+4"}) {
        budgets.show("B3", std::string{threads} + ": steady clock / moodycamel blocking",
                     figure(steady, threads), figure(blocking, threads), Wants::at_most, 1.3, 1.0);
    }
    for (const char* threads : {"one thread", "1+1", "2+2", "4+4"}) {
        budgets.show("B4", std::string{threads} + ": naive at least once / steady clock",
                     figure(naive, threads), figure(steady, threads), Wants::at_least, 1.3, 2.0);
    }
}
