// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
//
// What it costs to wake somebody: one message goes to and fro between two threads, each asleep
// until it comes; per crossing, so with two of them to a round. Beside latchbox the least that can
// do the same, a place for one number with a mutex and a condition variable, and a deque in that
// place. Where the system runs the two threads decides more than what they do, so both are also
// held on one core, and on two, where the system lets us.

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "latchbox/latchbox.hpp"

#include "bench.hpp"

#if defined(__linux__)
#include <pthread.h>
#include <sched.h>
#endif

namespace {

struct Message {
    std::uint64_t number = 0;
    std::uint64_t payload = 0;
};

// --- the contestants: one way of a round each --------------------------------------------------

template <class Clock> class Latchbox {
public:
    struct Way {
        latchbox::Queue<Message> queue;
        void push(const Message& message) { queue.publish(message).value(); }
        std::uint64_t take() {
            auto delivery = queue.fetch();
            const std::uint64_t number = delivery.value().body().number;
            delivery->ack();
            return number;
        }
    };

private:
    Clock clock_;
    latchbox::Broker<Message> broker_{{.clock = &clock_}};

public:
    Way there{broker_.queue("there")};
    Way back{broker_.queue("back")};
};

struct Bare {
    class Way {
    public:
        void push(const Message& message) {
            {
                const std::lock_guard lock{mutex_};
                message_ = message;
            }
            arrived_.notify_one();
        }
        std::uint64_t take() {
            std::unique_lock lock{mutex_};
            arrived_.wait(lock, [this] { return message_.has_value(); });
            const std::uint64_t number = message_->number;
            message_.reset();
            return number;
        }

    private:
        std::mutex mutex_;
        std::condition_variable arrived_;
        std::optional<Message> message_;
    };
    Way there;
    Way back;
};

struct Deque {
    class Way {
    public:
        void push(const Message& message) {
            {
                const std::lock_guard lock{mutex_};
                messages_.push_back(message);
            }
            arrived_.notify_one();
        }
        std::uint64_t take() {
            std::unique_lock lock{mutex_};
            arrived_.wait(lock, [this] { return !messages_.empty(); });
            const std::uint64_t number = messages_.front().number;
            messages_.pop_front();
            return number;
        }

    private:
        std::mutex mutex_;
        std::condition_variable arrived_;
        std::deque<Message> messages_;
    };
    Way there;
    Way back;
};

// --- the workload ------------------------------------------------------------------------------

enum class Cores { any, one, two };

// Keeps the calling thread on the first or the second of the cores this program may use.
class Pinned {
public:
#if defined(__linux__)
    Pinned(Cores cores, int nth) {
        sched_getaffinity(0, sizeof before_, &before_);
        if (cores == Cores::any) { return; }
        const int core = nth_core(before_, cores == Cores::one ? 0 : nth);
        cpu_set_t only;
        CPU_ZERO(&only);
        CPU_SET(static_cast<std::size_t>(core), &only);
        sched_setaffinity(0, sizeof only, &only);
    }
    ~Pinned() { sched_setaffinity(0, sizeof before_, &before_); }

    static bool can(Cores cores) {
        cpu_set_t all;
        sched_getaffinity(0, sizeof all, &all);
        return cores != Cores::two || CPU_COUNT(&all) > 1;
    }

private:
    static int nth_core(const cpu_set_t& cores, int nth) {
        for (int core = 0;; ++core) {
            if (CPU_ISSET(static_cast<std::size_t>(core), &cores) && nth-- == 0) { return core; }
        }
    }
    cpu_set_t before_;
#else
    Pinned(Cores, int) {}
    static bool can(Cores cores) { return cores == Cores::any; }
#endif
    Pinned(const Pinned&) = delete;
    Pinned& operator=(const Pinned&) = delete;
};

template <class Contestant>
double to_and_fro(Contestant& contestant, std::size_t rounds, Cores cores) {
    std::thread other{[&] {
        const Pinned pinned{cores, 1};
        for (std::size_t i = 0; i < rounds; ++i) {
            const std::uint64_t number = contestant.there.take();
            contestant.back.push({number + 1, i});
        }
    }};
    const Pinned pinned{cores, 0};
    std::uint64_t number = 0;
    const double taken = bench::time_per_message(2 * rounds, [&] {
        for (std::size_t i = 0; i < rounds; ++i) {
            contestant.there.push({number, i});
            number = contestant.back.take();
        }
    });
    other.join();
    if (number != rounds) { bench::fail("a contestant lost a message or delivered one twice"); }
    return taken;
}

constexpr struct {
    const char* name;
    Cores cores;
} places[] = {{"any core", Cores::any}, {"one core", Cores::one}, {"two cores", Cores::two}};

template <class Contestant>
void enter(bench::Table& table, const bench::Options& options, const std::string& name) {
    const auto contestant = std::make_shared<Contestant>();
    const std::size_t rounds = options.messages(10'000);
    for (const auto& place : places) {
        if (!Pinned::can(place.cores)) { continue; }
        table.add(name, place.name, [=] { return to_and_fro(*contestant, rounds, place.cores); });
    }
}

}  // namespace

int main(int argc, char** argv) {
    const bench::Options options = bench::Options::parse(argc, argv);
    bench::Table table{
        options, "ping-pong: to wake the other thread", {"any core", "one core", "two cores"}};
    const std::string steady = "latchbox";
    const std::string coarse = "latchbox, coarse clock";
    const std::string bare = "mutex + condition variable";

    enter<Latchbox<latchbox::SteadyClock>>(table, options, steady);
    enter<Latchbox<latchbox::CoarseClock>>(table, options, coarse);
    enter<Bare>(table, options, bare);
    enter<Deque>(table, options, "the same with a deque");
    table.run();

    bench::Budgets budgets{options};
    for (const auto& place : places) {
        budgets.show("B7", std::string{place.name} + ": latchbox / " + bare,
                     table.figure(steady, place.name), table.figure(bare, place.name),
                     bench::Budgets::Wants::at_most, 1.2, 1.0);
    }
}
