// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
//
// How many bytes a message takes while it waits, beyond its own, by what it waits for; and what is
// given back after a peak. Counted in `operator new`, in blocks as large as the C library makes
// them. Tables grow by doubling, so the column of one more than a power of two is the worst there
// is.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "latchbox/latchbox.hpp"
#include "support/failing_new.hpp"

#include "bench.hpp"
#include "contestants.hpp"

#if defined(__linux__)
#include <unistd.h>
#endif

namespace {

using bench::Options;
using bench::Table;
using Message = bench::Message<16>;
using Broker = latchbox::Broker<Message>;
using Queue = Broker::Queue;
using latchbox::PublishOptions;

constexpr std::size_t most = (std::size_t{1} << 20) + 1;  // so that the tables have just doubled

// Bytes that `fill` takes for `copies` of each message, beyond the message itself.
template <class Fill> double beyond(std::size_t messages, std::size_t copies, Fill&& fill) {
    const std::int64_t before = support::live_bytes();
    fill(messages);
    const auto taken = static_cast<double>(support::live_bytes() - before);
    return (taken / static_cast<double>(messages) - sizeof(Message)) / static_cast<double>(copies);
}

// A broker and its queue, empty.
struct Empty {
    Broker broker;
    Queue queue = broker.queue("waiting", {.lease = std::chrono::hours{24}, .capacity = most});
};

double in_queue(std::size_t messages, const PublishOptions& options) {
    Empty empty;
    return beyond(messages, 1, [&](std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) { empty.queue.publish(Message{}, options).value(); }
    });
}
double leased(std::size_t messages) {
    Empty empty;
    std::vector<Broker::Delivery> held;
    held.reserve(messages);  // the holder's, not the broker's
    return beyond(messages, 1, [&](std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) {
            empty.queue.publish(Message{}).value();
            held.push_back(empty.queue.try_fetch().value());
        }
    });
}
// All wait for one message, or each for one of its own; these are there before.
double with_parents(std::size_t messages, bool one_each) {
    Empty empty;
    const Queue elders = empty.broker.queue("elders", {.capacity = most});
    std::vector<latchbox::MessageId> parents;
    for (std::size_t i = 0; i < (one_each ? messages : 1); ++i) {
        parents.push_back(elders.publish(Message{}).value());
    }
    return beyond(messages, 1, [&](std::size_t count) {
        PublishOptions options{.parents = {parents.front()}};
        for (std::size_t i = 0; i < count; ++i) {
            options.parents.front() = parents[one_each ? i : 0];
            empty.queue.publish(Message{}, options).value();
        }
    });
}
double with_key_each(std::size_t messages) {
    Empty empty;
    return beyond(messages, 1, [&](std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) {
            const std::string key = std::to_string(i);
            empty.queue.publish(Message{}, {.key = key}).value();
        }
    });
}
double copies(std::size_t messages, std::size_t subscriptions) {
    Broker broker;
    std::vector<Broker::Subscription> all;
    for (std::size_t i = 0; i < subscriptions; ++i) {
        all.push_back(broker.subscribe("orders", {.capacity = most}));
    }
    const auto topic = broker.topic("orders");
    return beyond(messages, subscriptions, [&](std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) { topic.publish(Message{}).value(); }
    });
}
template <class Contestant> double in_contestant(std::size_t messages) {
    Contestant contestant;
    return beyond(messages, 1, [&](std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) { contestant.push(Message{}); }
    });
}

// MiB that the system counts as this program's, 0 where it does not tell.
double resident() {
#if defined(__linux__)
    long pages = 0;
    if (std::FILE* const file = std::fopen("/proc/self/statm", "r")) {
        if (std::fscanf(file, "%*s %ld", &pages) != 1) { pages = 0; }
        std::fclose(file);
    }
    return static_cast<double>(pages) * static_cast<double>(sysconf(_SC_PAGESIZE)) / (1 << 20);
#else
    return 0;
#endif
}

void measure_peak(Table& table, std::size_t messages) {
    const auto note = [&table](const char* when) {
        table.set("by operator new", when, static_cast<double>(support::live_bytes()) / (1 << 20));
        table.set("resident, says the system", when, resident());
    };
    note("before");
    {
        Broker broker;
        {
            const Queue queue = broker.queue("peak");
            for (std::size_t i = 0; i < messages; ++i) { queue.publish(Message{}).value(); }
            note("at the peak");
            while (auto delivery = queue.try_fetch()) { delivery->ack(); }
            note("all acked");
        }
        broker.remove("peak");
        note("queue removed");
    }
    note("no broker");
}

}  // namespace

int main(int argc, char** argv) {
    const Options options = Options::parse(argc, argv);
    const std::size_t usual = options.messages(1'000'000);
    const std::size_t worst = options.quick ? (1U << 17) + 1 : most;
    Table peak{options,
               "memory given back after a peak of " + bench::with_commas(usual) + " messages",
               {"before", "at the peak", "all acked", "queue removed", "no broker"},
               "MiB"};
    measure_peak(peak, usual);
    peak.show();

    const std::string plain = "plain";
    std::vector<std::string> workloads;
    const std::vector<std::size_t> counts{1'000, usual / 10, usual, worst};
    for (const std::size_t count : counts) { workloads.push_back(bench::with_commas(count)); }
    Table table{options, "memory of a waiting message, beyond its own 16", workloads,
                "bytes per message, or per copy"};
    for (const std::size_t count : counts) {
        const std::string column = bench::with_commas(count);
        table.set(plain, column, in_queue(count, {}));
        table.set("leased", column, leased(count));
        table.set("with a delay", column, in_queue(count, {.delay = std::chrono::hours{1}}));
        table.set("with a time to live", column,
                  in_queue(count, {.expires_in = std::chrono::hours{1}}));
        table.set("with a priority", column, in_queue(count, {.priority = 9}));
        table.set("of one key", column, in_queue(count, {.key = "all"}));
        table.set("with a key of its own", column, with_key_each(count));
        table.set("child of one parent of all", column, with_parents(count, false));
        table.set("child of a parent of its own", column, with_parents(count, true));
        table.set("copy, one subscription", column, copies(count, 1));
        table.set("copy, one of 10 subscriptions", column, copies(count, 10));
        table.set("at least once, naive", column, in_contestant<bench::Naive<Message>>(count));
        table.set("mutex + deque, raw", column, in_contestant<bench::Deque<Message>>(count));
    }
    table.show();

    bench::Budgets budgets{options};
    budgets.show("B11", "bytes beyond a waiting message, of " + bench::with_commas(usual),
                 table.figure(plain, bench::with_commas(usual))->median(),
                 bench::Budgets::Wants::at_most, 64, 40);
    budgets.show("B11", "bytes beyond a waiting message, at worst",
                 table.figure(plain, bench::with_commas(worst))->median(),
                 bench::Budgets::Wants::at_most, 64, 40);
}
