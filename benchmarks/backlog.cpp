// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
//
// The cost curve over the backlog, 1 to 10 million messages: so many are published, then as many
// fetched and acked one by one. A contestant has had as many before, once; one that is said to be
// new also takes the memory for them from the system meanwhile.

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

// Small backlogs again and again, until there were `messages` at least.
template <class Contestant>
double fill_and_drain(Contestant& contestant, std::size_t backlog, std::size_t messages) {
    const std::size_t rounds = backlog < messages ? messages / backlog : 1;
    std::uint64_t sum = 0;
    const double taken = bench::time_per_message(rounds * backlog, [&] {
        for (std::size_t round = 0; round < rounds; ++round) {
            for (std::uint64_t i = 0; i < backlog; ++i) {
                contestant.push(bench::numbered<Message>(round * backlog + i));
            }
            for (std::size_t i = 0; i < backlog; ++i) { sum += contestant.try_take(); }
        }
    });
    bench::check_sum(sum, rounds * backlog);
    return taken;
}

std::vector<std::size_t> backlogs(const Options& options) {
    std::vector<std::size_t> all;
    for (std::size_t each = 1; each <= options.messages(10'000'000); each *= 10) {
        all.push_back(each);
    }
    return all;
}

template <class Contestant, class... Args>
void enter(Table& table, const Options& options, const std::string& name, Args... args) {
    const auto contestant = std::make_shared<Contestant>(args...);
    for (const std::size_t backlog : backlogs(options)) {
        table.add(name, bench::with_commas(backlog), [=, messages = options.messages(1'000'000)] {
            return fill_and_drain(*contestant, backlog, messages);
        });
    }
}

}  // namespace

int main(int argc, char** argv) {
    using Latchbox = bench::Latchbox<Message>;
    const Options options = Options::parse(argc, argv);
    std::vector<std::string> workloads;
    for (const std::size_t each : backlogs(options)) {
        workloads.push_back(bench::with_commas(each));
    }
    const std::size_t most = backlogs(options).back();
    const std::string& greatest = workloads.back();
    const std::string again = "latchbox";
    const std::string fresh = "latchbox, new";
    const std::string none = "latchbox, no backlog";

    Table table{options, "publish all, then fetch and ack all, by the backlog", workloads};
    enter<Latchbox>(table, options, again, most);
    for (const std::size_t backlog : backlogs(options)) {
        if (backlog < 1'000) { continue; }
        table.add(fresh, bench::with_commas(backlog), [=] {
            Latchbox latchbox{most};
            return fill_and_drain(latchbox, backlog, backlog);
        });
    }
    // In the column of the greatest backlog, so as to run in turn with it.
    const auto small = std::make_shared<Latchbox>();
    table.add(none, greatest, [=] { return fill_and_drain(*small, 1, most / 10); });
    enter<bench::Naive<Message>>(table, options, "at least once, naive");
    enter<bench::Deque<Message>>(table, options, "mutex + deque, raw");
#if defined(LATCHBOX_BENCH_MOODYCAMEL)
    enter<bench::Moodycamel<Message>>(table, options, "moodycamel, raw");
#else
    table.missing("moodycamel, raw", "not installed");
#endif
    table.run();
    table.plot("backlog", "messages that wait");

    bench::Budgets budgets{options};
    for (const std::string& name : {again, fresh}) {
        budgets.show("B8", name + ": a backlog of " + greatest + " / none",
                     table.figure(name, greatest), table.figure(none, greatest),
                     bench::Budgets::Wants::at_most, 1.6, 1.3);
    }
}
