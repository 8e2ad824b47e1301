// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
//
// Fan-out: one publish to a topic, one delivery at each of its subscriptions. What a delivery costs
// from its share of the publish to its ack, beside publish, fetch and ack of a queue; how that
// changes with the number of subscriptions and with the size of the message, whose body is shared.

#include <algorithm>
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

using bench::batch_size;
using bench::Message;
using bench::Options;
using bench::Table;

// A queue, or a topic and its subscriptions: `targets` take what is published to `source`.
template <class Msg, class Source, class Target> struct Way {
    // Nanoseconds per delivery.
    double one_by_one(std::size_t deliveries) {
        const std::size_t messages = (std::max)(deliveries / targets.size(), std::size_t{1});
        std::uint64_t sum = 0;
        const double taken = bench::time_per_message(messages * targets.size(), [&] {
            for (std::uint64_t i = 0; i < messages; ++i) {
                message.number = i;
                source.publish(message).value();
                for (const Target& target : targets) {
                    auto delivery = target.try_fetch();
                    sum += delivery.value().body().number;
                    delivery->ack();
                }
            }
        });
        check_sum(sum, messages);
        return taken;
    }
    double in_batches(std::size_t deliveries) {
        const std::size_t share = deliveries / batch_size / targets.size();
        const std::size_t batches = (std::max)(share, std::size_t{1});
        std::uint64_t sum = 0;
        std::uint64_t next = 0;
        const double taken = bench::time_per_message(batches * batch_size * targets.size(), [&] {
            for (std::size_t i = 0; i < batches; ++i) {
                for (Msg& one : batch) { one.number = next++; }
                source.publish_batch(batch).value();
                for (const Target& target : targets) {
                    target.fetch_batch(held, batch_size).value();
                    for (const auto& delivery : held) { sum += delivery.body().number; }
                    target.ack_batch(held);
                    held.clear();
                }
            }
        });
        check_sum(sum, batches * batch_size);
        return taken;
    }
    // Messages are numbered from 0, and each target took each of them once.
    void check_sum(std::uint64_t sum, std::uint64_t messages) const {
        if (sum != messages * (messages - 1) / 2 * targets.size()) {
            bench::fail("deliveries were lost, or taken twice");
        }
    }

    Source source;
    std::vector<Target> targets;
    Msg message = {};
    std::vector<Msg> batch = std::vector<Msg>(batch_size);
    std::vector<latchbox::Delivery<Msg>> held = {};
};

template <class Msg> struct Plain {
    latchbox::Broker<Msg> broker;
    Way<Msg, latchbox::Queue<Msg>, latchbox::Queue<Msg>> way{broker.queue("bench"),
                                                             {broker.queue("bench")}};
};
template <class Msg> struct FanOut {
    explicit FanOut(std::size_t subscriptions) {
        for (std::size_t i = 0; i < subscriptions; ++i) {
            way.targets.push_back(broker.subscribe("bench"));
        }
    }
    latchbox::Broker<Msg> broker;
    Way<Msg, latchbox::Topic<Msg>, latchbox::Subscription<Msg>> way{broker.topic("bench"), {}};
};

template <class Contestant>
void enter(Table& table, std::size_t deliveries, const std::string& name,
           const std::string& workload, std::shared_ptr<Contestant> contestant) {
    table.add(name + ", singly", workload, [=] { return contestant->way.one_by_one(deliveries); });
    table.add(name + ", in batches", workload,
              [=] { return contestant->way.in_batches(deliveries); });
}

// A queue, and a topic with ten subscriptions, for messages of `size` bytes.
template <std::size_t size>
void enter_size(Table& table, std::size_t deliveries, const std::string& workload) {
    using Msg = Message<size>;
    static_assert(sizeof(Msg) == size);
    const std::size_t share = (std::min)(deliveries, (std::size_t{1} << 28) / size);
    enter(table, share, "10 subscriptions", workload, std::make_shared<FanOut<Msg>>(10));
    enter(table, share, "a queue", workload, std::make_shared<Plain<Msg>>());
}

}  // namespace

int main(int argc, char** argv) {
    using Msg = Message<16>;
    const Options options = Options::parse(argc, argv);
    const std::size_t deliveries = options.messages(1'000'000);

    const std::array<std::size_t, 6> counts{1, 2, 10, 100, 1'000, 10'000};
    std::vector<std::string> workloads;
    for (const std::size_t count : counts) { workloads.push_back(bench::with_commas(count)); }
    Table table{options, "fan-out: publish once, fetch and ack at every subscription", workloads,
                "ns per delivery"};
    const auto plain = std::make_shared<Plain<Msg>>();
    for (const std::size_t count : counts) {
        const std::string workload = bench::with_commas(count);
        enter(table, deliveries, "a topic", workload, std::make_shared<FanOut<Msg>>(count));
        enter(table, deliveries, "a queue", workload, plain);
    }
    table.run();
    table.plot("subscriptions", "subscriptions (a queue: one consumer)");

    Table sizes{options,
                "fan-out by the size of the message",
                {"64 B", "4 KiB", "64 KiB"},
                "ns per delivery"};
    enter_size<64>(sizes, deliveries, "64 B");
    enter_size<4'096>(sizes, deliveries, "4 KiB");
    enter_size<65'536>(sizes, deliveries, "64 KiB");
    sizes.run();
    sizes.plot("fan_out_sizes", "size of a message");

    bench::Budgets budgets{options};
    for (const char* const way : {"singly", "in batches"}) {
        budgets.show("B6", std::string{"10 subscriptions, "} + way + ", per delivery / B1",
                     table.figure(std::string{"a topic, "} + way, "10"),
                     table.figure("a queue, singly", "10"), bench::Budgets::Wants::at_most, 1.0,
                     0.5);
    }
}
