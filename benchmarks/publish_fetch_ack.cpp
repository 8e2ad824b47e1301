// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
//
// What a message of 16 bytes costs from publish to ack, beside queues and channels that promise
// less. With several threads each consumer waits for its share: latchbox, the deque, the naive
// queue, moodycamel's blocking queue and the channel sleep, the others look again and yield.

#include <cstddef>
#include <memory>
#include <string>

#include "latchbox/latchbox.hpp"

#include "bench.hpp"
#include "contestants.hpp"

namespace {

using bench::Options;
using bench::Table;
using Message = bench::Message<16>;

constexpr struct {
    const char* name;
    std::size_t pairs;
} threads[] = {{"1+1", 1}, {"2+2", 2}, {"4+4", 4}};

template <class Contestant>
void enter(Table& table, const Options& options, const std::string& name,
           std::size_t pairs_at_most = 4) {
    const auto contestant = std::make_shared<Contestant>();
    const std::size_t alone = options.messages(1'000'000);
    const std::size_t shared = options.messages(400'000);
    table.add(name, "one thread", [=] { return bench::one_thread<Message>(*contestant, alone); });
    if constexpr (requires { contestant->take_batch(); }) {
        table.add(name, "batches", [=] { return bench::in_batches<Message>(*contestant, alone); });
    }
    if constexpr (requires { contestant->take(); }) {
        for (const auto& each : threads) {
            if (each.pairs > pairs_at_most) { continue; }
            table.add(name, each.name, [=, pairs = each.pairs] {
                return bench::in_pairs<Message>(*contestant, shared, pairs);
            });
        }
    }
}

}  // namespace

int main(int argc, char** argv) {
    using latchbox::CoarseClock;
    using latchbox::SingleThread;
    const Options options = Options::parse(argc, argv);
    Table table{options, "publish, fetch, ack", {"one thread", "batches", "1+1", "2+2", "4+4"}};
    const std::string steady = "latchbox";
    const std::string coarse = "latchbox, coarse clock";
    const std::string alone = "latchbox, SingleThread, coarse clock";
    const std::string naive = "at least once, naive";
    const std::string raw = "moodycamel, raw";
    const std::string blocking = "moodycamel blocking, raw";
    const std::string atomic_queue = "atomic_queue of 65,536, raw";
    const std::string tbb = "tbb::concurrent_queue, raw";
    const std::string boost = "boost::lockfree::queue, raw";
    const std::string zmq = "ZeroMQ push/pull in process, raw";

    enter<bench::Latchbox<Message>>(table, options, steady);
    enter<bench::Latchbox<Message, CoarseClock>>(table, options, coarse);
    enter<bench::Latchbox<Message, CoarseClock, SingleThread>>(table, options, alone);
    enter<bench::Naive<Message>>(table, options, naive);
    enter<bench::Deque<Message>>(table, options, "mutex + deque, raw");
#if defined(LATCHBOX_BENCH_MOODYCAMEL)
    enter<bench::Moodycamel<Message>>(table, options, raw);
    enter<bench::MoodycamelBlocking<Message>>(table, options, blocking);
#else
    table.missing(raw, "not installed");
    table.missing(blocking, "not installed");
#endif
#if defined(LATCHBOX_BENCH_ATOMIC_QUEUE)
    enter<bench::AtomicQueue<Message>>(table, options, atomic_queue);
#else
    table.missing(atomic_queue, "not installed");
#endif
#if defined(LATCHBOX_BENCH_TBB)
    enter<bench::Tbb<Message>>(table, options, tbb);
#else
    table.missing(tbb, "not installed");
#endif
#if defined(LATCHBOX_BENCH_BOOST)
    enter<bench::BoostLockfree<Message>>(table, options, boost);
#else
    table.missing(boost, "not installed");
#endif
#if defined(LATCHBOX_BENCH_ZMQ)
    enter<bench::Zmq<Message>>(table, options, zmq, 1);
#else
    table.missing(zmq, "not installed");
#endif
    table.run();

    using Wants = bench::Budgets::Wants;
    bench::Budgets budgets{options};
    const auto figure = [&table](const std::string& contestant, const char* workload) {
        return table.figure(contestant, workload);
    };
    budgets.show("B1", "one thread: latchbox / moodycamel raw", figure(steady, "one thread"),
                 figure(raw, "one thread"), Wants::at_most, 3.5, 2.5);
    budgets.show("B1", "one thread: coarse clock / moodycamel raw", figure(coarse, "one thread"),
                 figure(raw, "one thread"), Wants::at_most, 2.2, 1.8);
    budgets.show("B2", "batches of 64 / moodycamel raw one at a time", figure(steady, "batches"),
                 figure(raw, "one thread"), Wants::at_most, 1.0, 0.6);
    for (const auto& each : threads) {
        budgets.show("B3", std::string{each.name} + ": latchbox / moodycamel blocking",
                     figure(steady, each.name), figure(blocking, each.name), Wants::at_most, 1.3,
                     1.0);
    }
    for (const char* const workload : {"one thread", "1+1", "2+2", "4+4"}) {
        budgets.show("B4", std::string{workload} + ": naive at least once / latchbox",
                     figure(naive, workload), figure(steady, workload), Wants::at_least, 1.3, 2.0);
    }
    budgets.show("B5", "SingleThread, coarse clock / moodycamel raw", figure(alone, "one thread"),
                 figure(raw, "one thread"), Wants::at_most, 1.3, 1.0);
}
