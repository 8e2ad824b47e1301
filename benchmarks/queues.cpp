// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
//
// The cost curve over queues, 1 to 10,000 of one broker: one thread publishes, fetches and acks in
// one queue after the other. That a queue untouched for long is no longer in the cache is paid by
// everybody; the rivals have as many queues.

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "latchbox/latchbox.hpp"

#include "bench.hpp"
#include "contestants.hpp"

namespace {

using bench::Options;
using bench::Table;
using Message = bench::Message<16>;

constexpr std::array<std::size_t, 5> counts{1, 10, 100, 1'000, 10'000};

class ManyQueues {
public:
    explicit ManyQueues(std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) {
            queues_.push_back(broker_.queue(std::to_string(i)));
        }
    }
    void push(std::size_t at, const Message& message) { queues_[at].publish(message).value(); }
    std::uint64_t take(std::size_t at) {
        auto delivery = queues_[at].try_fetch();
        const std::uint64_t number = delivery.value().body().number;
        delivery->ack();
        return number;
    }

private:
    latchbox::Broker<Message> broker_;
    std::vector<latchbox::Queue<Message>> queues_;
};

template <class Contestant> class Many {
public:
    explicit Many(std::size_t count) : contestants_(count) {}
    void push(std::size_t at, const Message& message) { contestants_[at].push(message); }
    std::uint64_t take(std::size_t at) { return contestants_[at].try_take(); }

private:
    std::vector<Contestant> contestants_;
};

template <class Contestant>
void enter(Table& table, const Options& options, const std::string& name) {
    const std::size_t messages = options.messages(1'000'000);
    for (const std::size_t count : counts) {
        const auto contestant = std::make_shared<Contestant>(count);
        table.add(name, bench::with_commas(count), [=] {
            std::uint64_t sum = 0;
            const double taken = bench::time_per_message(messages, [&] {
                std::size_t at = 0;
                for (std::uint64_t i = 0; i < messages; ++i) {
                    contestant->push(at, bench::numbered<Message>(i));
                    sum += contestant->take(at);
                    if (++at == count) { at = 0; }
                }
            });
            bench::check_sum(sum, messages);
            return taken;
        });
    }
}

}  // namespace

int main(int argc, char** argv) {
    const Options options = Options::parse(argc, argv);
    std::vector<std::string> workloads;
    for (const std::size_t count : counts) { workloads.push_back(bench::with_commas(count)); }
    Table table{options, "publish, fetch, ack in many queues in turn", workloads};
    enter<ManyQueues>(table, options, "latchbox");
    enter<Many<bench::Naive<Message>>>(table, options, "at least once, naive");
    enter<Many<bench::Deque<Message>>>(table, options, "mutex + deque, raw");
#if defined(LATCHBOX_BENCH_MOODYCAMEL)
    enter<Many<bench::Moodycamel<Message>>>(table, options, "moodycamel, raw");
#else
    table.missing("moodycamel, raw", "not installed");
#endif
    table.run();
    table.plot("queues", "queues");
}
