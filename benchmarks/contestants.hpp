// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <array>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <latch>
#include <mutex>
#include <numeric>
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
#if __has_include(<boost/lockfree/queue.hpp>)
#define LATCHBOX_BENCH_BOOST
#include <boost/lockfree/queue.hpp>
#endif
#if defined(LATCHBOX_BENCH_TBB)
#include <oneapi/tbb/concurrent_queue.h>
#endif
#if defined(LATCHBOX_BENCH_ZMQ)
#include <zmq.hpp>
#endif

// Latchbox and the queues it is measured beside, behind one interface. Those called raw hand a
// message over and forget it: no lease, no ack, no bound, no counters. Each has `push`, and
// `try_take` that returns the number of the message it took; `take` waits, and where there is no
// other way looks again and yields. Some have both in batches: `take_batch` returns the sum of the
// numbers. A rival whose header is missing is not declared, nor its macro.
namespace bench {

template <std::size_t size> struct Message {
    std::uint64_t number = 0;
    std::array<std::byte, size - sizeof(std::uint64_t)> payload = {};
};
template <> struct Message<sizeof(std::uint64_t)> { std::uint64_t number = 0; };
static_assert(sizeof(Message<16>) == 16);

template <class Msg> Msg numbered(std::uint64_t number) {
    Msg message;
    message.number = number;
    return message;
}

constexpr std::size_t batch_size = 64;
template <class Msg> using Batch = std::array<Msg, batch_size>;

template <class Msg, class Clock = latchbox::SteadyClock, class Platform = latchbox::Threads>
class Latchbox {
public:
    explicit Latchbox(std::size_t capacity = latchbox::QueueOptions{}.capacity)
        : queue_{broker_.queue("bench", {.capacity = capacity})} {}

    void push(const Msg& message) { queue_.publish(message).value(); }
    std::uint64_t try_take() { return finish(queue_.try_fetch()); }
    std::uint64_t take() requires Platform::can_wait { return finish(queue_.fetch()); }

    void push_batch(Batch<Msg>& batch) { queue_.publish_batch(batch).value(); }
    std::uint64_t take_batch() {
        held_.clear();
        queue_.fetch_batch(held_, batch_size).value();
        std::uint64_t sum = 0;
        for (const auto& delivery : held_) { sum += delivery.body().number; }
        queue_.ack_batch(held_);
        return sum;
    }

private:
    using Broker = latchbox::Broker<Msg, Platform>;

    static std::uint64_t finish(latchbox::Result<typename Broker::Delivery> delivery) {
        const std::uint64_t number = delivery.value().body().number;
        delivery->ack();
        return number;
    }

    Clock clock_;
    Broker broker_{{.clock = &clock_}};
    typename Broker::Queue queue_;
    std::vector<typename Broker::Delivery> held_;
};

template <class Msg> class Deque {
public:
    void push(const Msg& message) {
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
    void push_batch(const Batch<Msg>& batch) {
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
    std::deque<Msg> messages_;
};

// At least once as one would write it in an hour: what is fetched moves to a map until its ack.
// No leases: it reads no clock and never gives anything back, which flatters it.
template <class Msg> class Naive {
public:
    void push(const Msg& message) {
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
        Msg message;
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
    std::unordered_map<std::uint64_t, Msg> in_flight_;
    std::uint64_t next_id_ = 0;
};

// Waits by looking again, for queues that have no other way.
template <class Msg, class Take> std::uint64_t look_again(Take&& take) {
    Msg message;
    while (!take(message)) { std::this_thread::yield(); }
    return message.number;
}

#if defined(LATCHBOX_BENCH_MOODYCAMEL)
template <class Msg> class Moodycamel {
public:
    void push(const Msg& message) { queue_.enqueue(message); }
    std::uint64_t try_take() {
        Msg message;
        queue_.try_dequeue(message);
        return message.number;
    }
    std::uint64_t take() {
        return look_again<Msg>([this](Msg& m) { return queue_.try_dequeue(m); });
    }
    void push_batch(const Batch<Msg>& batch) { queue_.enqueue_bulk(batch.begin(), batch.size()); }
    std::uint64_t take_batch() {
        Batch<Msg> batch;
        const std::size_t count = queue_.try_dequeue_bulk(batch.begin(), batch.size());
        std::uint64_t sum = 0;
        for (std::size_t i = 0; i < count; ++i) { sum += batch[i].number; }
        return sum;
    }

private:
    moodycamel::ConcurrentQueue<Msg> queue_;
};

template <class Msg> class MoodycamelBlocking {
public:
    void push(const Msg& message) { queue_.enqueue(message); }
    std::uint64_t try_take() {
        Msg message;
        queue_.try_dequeue(message);
        return message.number;
    }
    std::uint64_t take() {
        Msg message;
        queue_.wait_dequeue(message);
        return message.number;
    }

private:
    moodycamel::BlockingConcurrentQueue<Msg> queue_;
};
#endif

#if defined(LATCHBOX_BENCH_ATOMIC_QUEUE)
template <class Msg> class AtomicQueue {
public:
    void push(const Msg& message) {
        while (!queue_.try_push(message)) { std::this_thread::yield(); }
    }
    std::uint64_t try_take() {
        Msg message;
        queue_.try_pop(message);
        return message.number;
    }
    std::uint64_t take() {
        return look_again<Msg>([this](Msg& m) { return queue_.try_pop(m); });
    }

private:
    atomic_queue::AtomicQueue2<Msg, 65'536> queue_;
};
#endif

#if defined(LATCHBOX_BENCH_TBB)
template <class Msg> class Tbb {
public:
    void push(const Msg& message) { queue_.push(message); }
    std::uint64_t try_take() {
        Msg message;
        queue_.try_pop(message);
        return message.number;
    }
    std::uint64_t take() {
        return look_again<Msg>([this](Msg& m) { return queue_.try_pop(m); });
    }

private:
    tbb::concurrent_queue<Msg> queue_;
};
#endif

#if defined(LATCHBOX_BENCH_BOOST)
template <class Msg> class BoostLockfree {
public:
    void push(const Msg& message) { queue_.push(message); }
    std::uint64_t try_take() {
        Msg message;
        queue_.pop(message);
        return message.number;
    }
    std::uint64_t take() {
        return look_again<Msg>([this](Msg& m) { return queue_.pop(m); });
    }

private:
    boost::lockfree::queue<Msg> queue_{1'024};
};
#endif

#if defined(LATCHBOX_BENCH_ZMQ)
// A pair of sockets inside the process. One may be used by one thread only: one producer and one
// consumer at most.
template <class Msg> class Zmq {
public:
    Zmq() {
        to_.bind("inproc://bench");
        from_.connect("inproc://bench");
    }
    void push(const Msg& message) { to_.send(zmq::buffer(&message, sizeof message)).value(); }
    std::uint64_t try_take() { return take(); }
    std::uint64_t take() {
        Msg message;
        from_.recv(zmq::buffer(&message, sizeof message)).value();
        return message.number;
    }

private:
    zmq::context_t context_;
    zmq::socket_t to_{context_, zmq::socket_type::push};
    zmq::socket_t from_{context_, zmq::socket_type::pull};
};
#endif

// --- the workloads: each returns nanoseconds per message ---------------------------------------

// Messages are numbered from 0: whoever took each of them once knows the sum.
inline void check_sum(std::uint64_t sum, std::uint64_t messages) {
    if (sum != messages * (messages - 1) / 2) {
        fail("a contestant lost messages or took them twice");
    }
}

template <class Msg, class Contestant>
double one_thread(Contestant& contestant, std::size_t messages) {
    Msg message{};
    std::uint64_t sum = 0;
    const double taken = time_per_message(messages, [&] {
        for (std::uint64_t i = 0; i < messages; ++i) {
            message.number = i;
            contestant.push(message);
            sum += contestant.try_take();
        }
    });
    check_sum(sum, messages);
    return taken;
}

template <class Msg, class Contestant>
double in_batches(Contestant& contestant, std::size_t messages) {
    const std::size_t batches = messages / batch_size;
    Batch<Msg> batch{};
    std::uint64_t sum = 0;
    std::uint64_t next = 0;
    const double taken = time_per_message(batches * batch_size, [&] {
        for (std::size_t i = 0; i < batches; ++i) {
            for (Msg& message : batch) { message.number = next++; }
            contestant.push_batch(batch);
            sum += contestant.take_batch();
        }
    });
    check_sum(sum, batches * batch_size);
    return taken;
}

// Threads that begin together, each with its share of the numbers from 0 to `messages`; `work` is
// called with the thread's number, the first of its share and the one after its last.
template <class Work> double together(std::size_t threads, std::size_t messages, Work&& work) {
    const std::size_t share = messages / threads;
    std::vector<std::thread> all;
    std::latch go{static_cast<std::ptrdiff_t>(threads + 1)};
    for (std::size_t t = 0; t < threads; ++t) {
        all.emplace_back([&go, &work, share, t] {
            go.arrive_and_wait();
            work(t, t * share, (t + 1) * share);
        });
    }
    return time_per_message(messages, [&] {
        go.arrive_and_wait();
        for (std::thread& thread : all) { thread.join(); }
    });
}

// `pairs` producers and as many consumers; `messages` is a multiple of `pairs`.
template <class Msg, class Contestant>
double in_pairs(Contestant& contestant, std::size_t messages, std::size_t pairs) {
    std::vector<std::uint64_t> sums(pairs);
    const double taken =
        together(2 * pairs, 2 * messages, [&](std::size_t t, std::size_t first, std::size_t last) {
            if (t < pairs) {
                for (std::uint64_t i = first; i < last; ++i) { contestant.push(numbered<Msg>(i)); }
                return;
            }
            std::uint64_t sum = 0;
            for (std::size_t i = first; i < last; ++i) { sum += contestant.take(); }
            sums[t - pairs] = sum;
        });
    check_sum(std::accumulate(sums.begin(), sums.end(), std::uint64_t{0}), messages);
    return 2 * taken;
}

// Each thread pushes and takes in turn, what others pushed as well as its own.
template <class Msg, class Contestant>
double in_crowd(Contestant& contestant, std::size_t messages, std::size_t threads) {
    std::vector<std::uint64_t> sums(threads);
    const double taken =
        together(threads, messages, [&](std::size_t t, std::size_t first, std::size_t last) {
            std::uint64_t sum = 0;
            for (std::uint64_t i = first; i < last; ++i) {
                contestant.push(numbered<Msg>(i));
                sum += contestant.take();
            }
            sums[t] = sum;
        });
    check_sum(std::accumulate(sums.begin(), sums.end(), std::uint64_t{0}), messages);
    return taken;
}

}  // namespace bench
