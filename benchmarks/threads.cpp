// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
//
// The cost curve over threads: 1 to 8 of them publish, fetch and ack in turn, all through one
// queue, or each through one of its own. A line that bends upward is contention.

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "latchbox/latchbox.hpp"

#include "bench.hpp"
#include "contestants.hpp"

namespace {

using bench::Options;
using bench::Table;
using Message = bench::Message<16>;

constexpr std::array<std::size_t, 8> counts{1, 2, 3, 4, 5, 6, 7, 8};

std::size_t messages(const Options& options, std::size_t threads) {
    return options.messages(400'000) / threads * threads;
}

template <class Contestant>
void enter(Table& table, const Options& options, const std::string& name) {
    const auto contestant = std::make_shared<Contestant>();
    for (const std::size_t threads : counts) {
        table.add(name, std::to_string(threads), [=] {
            return bench::in_crowd<Message>(*contestant, messages(options, threads), threads);
        });
    }
}

// Many queues of one broker, one for each thread.
double apart(const std::vector<latchbox::Queue<Message>>& queues, std::size_t messages,
             std::size_t threads) {
    std::vector<std::uint64_t> sums(threads);
    const double taken =
        bench::together(threads, messages, [&](std::size_t t, std::size_t first, std::size_t last) {
            std::uint64_t sum = 0;
            for (std::uint64_t i = first; i < last; ++i) {
                queues[t].publish(bench::numbered<Message>(i)).value();
                auto delivery = queues[t].fetch();
                sum += delivery.value().body().number;
                delivery->ack();
            }
            sums[t] = sum;
        });
    bench::check_sum(std::accumulate(sums.begin(), sums.end(), std::uint64_t{0}), messages);
    return taken;
}

}  // namespace

int main(int argc, char** argv) {
    const Options options = Options::parse(argc, argv);
    std::vector<std::string> workloads;
    for (const std::size_t threads : counts) { workloads.push_back(std::to_string(threads)); }
    Table table{options, "publish, fetch, ack in each of several threads", workloads};

    enter<bench::Latchbox<Message>>(table, options, "latchbox, one queue");
    latchbox::Broker<Message> broker;
    std::vector<latchbox::Queue<Message>> queues;
    for (const std::string& name : workloads) { queues.push_back(broker.queue(name)); }
    for (const std::size_t threads : counts) {
        table.add("latchbox, a queue for each", std::to_string(threads),
                  [&, threads] { return apart(queues, messages(options, threads), threads); });
    }
    enter<bench::Naive<Message>>(table, options, "at least once, naive");
    enter<bench::Deque<Message>>(table, options, "mutex + deque, raw");
#if defined(LATCHBOX_BENCH_MOODYCAMEL)
    enter<bench::Moodycamel<Message>>(table, options, "moodycamel, raw");
#else
    table.missing("moodycamel, raw", "not installed");
#endif
#if defined(LATCHBOX_BENCH_TBB)
    enter<bench::Tbb<Message>>(table, options, "tbb::concurrent_queue, raw");
#else
    table.missing("tbb::concurrent_queue, raw", "not installed");
#endif
    table.run();
    table.plot("threads", "threads");
}
