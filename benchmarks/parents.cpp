// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
//
// What it costs to release those who wait for parents, per edge: a fan (one parent acked, all its
// children go), a chain and a layered graph (the first fail, and all behind them with them); beside
// publish, fetch and ack of a message that waits for nobody. Then what a child costs by the number
// of its parents. And whether others notice: the longest pause of a thread that delivers from
// another queue meanwhile.

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "latchbox/latchbox.hpp"

#include "bench.hpp"

namespace {

struct Message {
    std::uint64_t number = 0;
    std::uint64_t payload = 0;
};

using Broker = latchbox::Broker<Message>;
using Queue = latchbox::Queue<Message>;
using latchbox::MessageId;

constexpr std::size_t room = 1 << 22;

// `edges` of them, built outside of what is measured.
struct Graph {
    Broker broker;
    Queue queue = broker.queue("family", {.lease = std::chrono::hours{1}, .capacity = room});
    std::optional<latchbox::Delivery<Message>> first = {};

    MessageId publish(std::vector<MessageId> parents) {
        return queue.publish(Message{}, {.parents = std::move(parents)}).value();
    }
    MessageId publish_first() {
        const MessageId id = queue.publish(Message{}).value();
        first.emplace(std::move(queue.try_fetch().value()));
        return id;
    }
};

void build_fan(Graph& graph, std::size_t edges) {
    const MessageId parent = graph.publish_first();
    for (std::size_t i = 0; i < edges; ++i) { graph.publish({parent}); }
}
void build_chain(Graph& graph, std::size_t edges) {
    MessageId last = graph.publish_first();
    for (std::size_t i = 0; i < edges; ++i) { last = graph.publish({last}); }
}
// Layers of a thousand, each member with two parents in the layer before.
void build_layers(Graph& graph, std::size_t edges) {
    constexpr std::size_t width = 1'000;
    std::vector<MessageId> before(width, graph.publish_first());
    for (std::size_t made = 0; made < edges;) {
        std::vector<MessageId> layer;
        for (std::size_t i = 0; i < width && made < edges; ++i, made += 2) {
            layer.push_back(
                graph.publish({before[i % before.size()], before[(i * 7 + 1) % before.size()]}));
        }
        before = std::move(layer);
    }
}

// Small graphs again and again, until there were `at_least` edges.
template <class Build, class Release>
double released(std::size_t edges, std::size_t at_least, Build&& build, Release&& release) {
    const std::size_t graphs = (std::max)(at_least / edges, std::size_t{1});
    double taken = 0;
    for (std::size_t i = 0; i < graphs; ++i) {
        Graph graph;
        build(graph, edges);
        taken += bench::time_per_message(edges, [&] { release(*graph.first); });
    }
    return taken / static_cast<double>(graphs);
}

// From the publish of so many parents and their child to the acks of all, per message.
double family(Queue& queue, std::size_t parents, std::size_t messages) {
    const std::size_t families = (std::max)(messages / (parents + 1), std::size_t{1});
    latchbox::PublishOptions options;
    std::uint64_t acked = 0;
    const double taken = bench::time_per_message(families * (parents + 1), [&] {
        for (std::size_t i = 0; i < families; ++i) {
            options.parents.clear();
            for (std::size_t p = 0; p < parents; ++p) {
                options.parents.push_back(queue.publish(Message{}).value());
            }
            queue.publish(Message{}, options).value();
            while (auto delivery = queue.try_fetch()) { acked += delivery->ack() ? 1U : 0U; }
        }
    });
    if (acked != families * (parents + 1)) { bench::fail("a child was not let go"); }
    return taken;
}

double plain(std::size_t messages) {
    Broker broker;
    const Queue queue = broker.queue("plain");
    return bench::time_per_message(messages, [&] {
        for (std::size_t i = 0; i < messages; ++i) {
            queue.publish(Message{i, i}).value();
            queue.try_fetch()->ack();
        }
    });
}

// The longest that one publish, fetch and ack on a queue of its own takes while `release` runs.
template <class Build, class Release>
void measure_pause(bench::Table& table, const char* name, std::size_t edges, Build&& build,
                   Release&& release) {
    using Clock = std::chrono::steady_clock;
    Graph graph;
    build(graph, edges);
    const Queue other = graph.broker.queue("other");
    std::atomic<bool> running{false};
    std::atomic<bool> done{false};
    double longest = 0;
    std::uint64_t delivered = 0;
    std::thread bystander{[&] {
        while (!done.load(std::memory_order_acquire)) {
            const auto start = Clock::now();
            other.publish(Message{}).value();
            other.try_fetch()->ack();
            const std::chrono::duration<double, std::micro> taken = Clock::now() - start;
            running.store(true, std::memory_order_release);
            longest = std::max(longest, taken.count());
            ++delivered;
        }
    }};
    while (!running.load(std::memory_order_acquire)) { std::this_thread::yield(); }
    const auto start = Clock::now();
    release(*graph.first);
    const std::chrono::duration<double, std::milli> all = Clock::now() - start;
    done.store(true, std::memory_order_release);
    bystander.join();
    table.set(name, "edges", static_cast<double>(edges));
    table.set(name, "all, ms", all.count());
    table.set(name, "other messages", static_cast<double>(delivered));
    table.set(name, "longest pause, us", longest);
}

}  // namespace

int main(int argc, char** argv) {
    const bench::Options options = bench::Options::parse(argc, argv);
    const std::size_t most = options.messages(1'000'000);
    const auto ack = [](auto& delivery) { delivery.ack(); };
    const auto reject = [](auto& delivery) { delivery.reject("for all of them"); };

    std::vector<std::string> workloads;
    for (std::size_t edges = 1'000; edges <= most; edges *= 10) {
        workloads.push_back(bench::with_commas(edges));
    }
    bench::Table table{options, "parents: to release who waits", workloads, "ns per edge"};
    const std::string nobody = "waits for nobody (B1)";
    for (std::size_t edges = 1'000; edges <= most; edges *= 10) {
        const std::string workload = bench::with_commas(edges);
        const std::size_t least = most / 10;
        table.add("fan, let go", workload, [=] { return released(edges, least, build_fan, ack); });
        table.add("fan, dies", workload, [=] { return released(edges, least, build_fan, reject); });
        table.add("chain, dies", workload,
                  [=] { return released(edges, least, build_chain, reject); });
        table.add("layers, die", workload,
                  [=] { return released(edges, least, build_layers, reject); });
        table.add(nobody, workload, [=] { return plain(least); });
    }
    table.run();
    table.plot("parents", "edges of the graph");
    bench::Budgets budgets{options};
    for (const char* const graph : {"fan, let go", "fan, dies", "chain, dies", "layers, die"}) {
        budgets.show("B10", std::string{graph} + ", per edge / a message that waits for nobody",
                     table.figure(graph, workloads.back()), table.figure(nobody, workloads.back()),
                     bench::Budgets::Wants::at_most, 4.0, 2.0);
    }
    std::printf("\n");

    constexpr std::array<std::size_t, 5> counts{0, 1, 10, 100, 1'000};
    workloads.clear();
    for (const std::size_t count : counts) { workloads.push_back(bench::with_commas(count)); }
    bench::Table families{options, "a child and its parents, from publish to ack", workloads};
    Broker broker;
    Queue queue = broker.queue("family");
    for (const std::size_t count : counts) {
        families.add("parents and child", bench::with_commas(count),
                     [&, count] { return family(queue, count, most / 4); });
    }
    families.run();
    families.plot("families", "parents of one message");

    bench::Table pauses{options,
                        "another queue meanwhile",
                        {"edges", "all, ms", "other messages", "longest pause, us"},
                        "as the column says, once"};
    std::fprintf(stderr, "another queue meanwhile\n");
    measure_pause(pauses, "fan", most, build_fan, ack);
    measure_pause(pauses, "chain", most, build_chain, reject);
    measure_pause(pauses, "layers", most, build_layers, reject);
    pauses.show();
}
