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
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "latchbox/latchbox.hpp"

#include "bench.hpp"

namespace {

constexpr std::size_t batch_size = 64;

template <std::size_t size> struct Message {
    std::uint64_t number = 0;
    std::array<std::byte, size - sizeof(std::uint64_t)> payload = {};
};
template <> struct Message<sizeof(std::uint64_t)> { std::uint64_t number = 0; };

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
        if (sum == messages * (messages - 1) / 2 * targets.size()) { return; }
        std::fprintf(stderr, "deliveries were lost, or taken twice\n");
        std::exit(1);
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

std::string subscriptions(std::size_t count) {
    return "topic, " + std::to_string(count) + " subscription" + (count == 1 ? "" : "s");
}

template <class Contestant>
void enter(bench::Table& table, std::size_t deliveries, const std::string& name,
           std::shared_ptr<Contestant> contestant) {
    table.add(name, "singly", [=] { return contestant->way.one_by_one(deliveries); });
    table.add(name, "in batches", [=] { return contestant->way.in_batches(deliveries); });
}

// A queue, and a topic with ten subscriptions, for messages of `size` bytes.
template <std::size_t size> void enter_size(bench::Table& table, std::size_t deliveries) {
    using Msg = Message<size>;
    static_assert(sizeof(Msg) == size);
    const std::string name =
        size < 1'024 ? std::to_string(size) + " B" : std::to_string(size / 1'024) + " KiB";
    const std::size_t share = (std::min)(deliveries, (std::size_t{1} << 28) / size);
    enter(table, share, name + ", queue", std::make_shared<Plain<Msg>>());
    enter(table, share, name + ", 10 subscriptions", std::make_shared<FanOut<Msg>>(10));
}

}  // namespace

int main(int argc, char** argv) {
    using Msg = Message<16>;
    const bench::Options options = bench::Options::parse(argc, argv);
    const std::size_t deliveries = options.messages(1'000'000);
    const std::string queue = "queue (B1)";

    bench::Table table{options, {"singly", "in batches"}};
    enter(table, deliveries, queue, std::make_shared<Plain<Msg>>());
    for (const std::size_t count : std::array<std::size_t, 6>{1, 2, 10, 100, 1'000, 10'000}) {
        enter(table, deliveries, subscriptions(count), std::make_shared<FanOut<Msg>>(count));
    }
    enter_size<8>(table, deliveries);
    enter_size<64>(table, deliveries);
    enter_size<512>(table, deliveries);
    enter_size<4'096>(table, deliveries);
    enter_size<65'536>(table, deliveries);
    table.run();

    using Wants = bench::Budgets::Wants;
    bench::Budgets budgets;
    const bench::Figure* const b1 = table.figure(queue, "singly");
    const std::string ten = subscriptions(10);
    budgets.show("B6", "10 subscriptions, per delivery / B1", table.figure(ten, "singly"), b1,
                 Wants::at_most, 1.0, 0.5);
    budgets.show("B6", "10 subscriptions, batches of 64, per delivery / B1",
                 table.figure(ten, "in batches"), b1, Wants::at_most, 1.0, 0.5);
}
