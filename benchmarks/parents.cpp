// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
//
// What it costs to release those who wait for parents, per edge: a fan (one parent acked, all its
// children go), a chain and a layered graph (the first fail, and all behind them with them); beside
// publish, fetch and ack of a message that waits for nobody. And whether others notice: the longest
// pause of a thread that delivers from another queue meanwhile.

#include <algorithm>
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

template <class Build, class Release>
double released(std::size_t edges, Build&& build, Release&& release) {
    Graph graph;
    build(graph, edges);
    return bench::time_per_message(edges, [&] { release(*graph.first); });
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
void show_pause(const char* name, std::size_t edges, Build&& build, Release&& release) {
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
    std::printf(
        "%-8s %9zu edges in %8.1f ms; meanwhile %8llu delivered from another queue, the "
        "longest pause %8.1f us\n",
        name, edges, all.count(), static_cast<unsigned long long>(delivered), longest);
}

}  // namespace

int main(int argc, char** argv) {
    const bench::Options options = bench::Options::parse(argc, argv);
    const std::size_t edges = options.messages(1'000'000);
    const auto ack = [](auto& delivery) { delivery.ack(); };
    const auto reject = [](auto& delivery) { delivery.reject("for all of them"); };

    bench::Table table{options, {"per edge"}};
    table.add("waits for nobody (B1)", "per edge", [&] { return plain(edges); });
    table.add("fan, let go", "per edge", [&] { return released(edges, build_fan, ack); });
    table.add("fan, dies", "per edge", [&] { return released(edges, build_fan, reject); });
    table.add("chain, dies", "per edge", [&] { return released(edges, build_chain, reject); });
    table.add("layers, die", "per edge", [&] { return released(edges, build_layers, reject); });
    table.run();

    bench::Budgets budgets;
    for (const char* const graph : {"fan, let go", "fan, dies", "chain, dies", "layers, die"}) {
        budgets.show("B10", std::string{graph} + ", per edge / a message that waits for nobody",
                     table.figure(graph, "per edge"),
                     table.figure("waits for nobody (B1)", "per edge"),
                     bench::Budgets::Wants::at_most, 4.0, 2.0);
    }
    std::printf("\n");
    show_pause("fan", edges, build_fan, ack);
    show_pause("chain", edges, build_chain, reject);
    show_pause("layers", edges, build_layers, reject);
}
