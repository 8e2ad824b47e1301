// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
//
// Allocations in the steady state: calls of `operator new` in each of the works that have a budget,
// after as many messages as are measured have been there once. `publish_batch` returns the ids in a
// vector, the caller's, so to speak: counted apart.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "latchbox/latchbox.hpp"
#include "support/failing_new.hpp"

#include "bench.hpp"
#include "contestants.hpp"

namespace {

using bench::Options;
using Message = bench::Message<16>;
using Broker = latchbox::Broker<Message>;
using Queue = Broker::Queue;

// How often `work` asks for memory in this thread.
template <class Work> std::uint64_t allocations(Work&& work) {
    const support::FailingNew count;
    work();
    return count.asked();
}

// A queue in which `messages` have been.
template <class Broker> auto used_queue(Broker& broker, std::size_t messages) {
    auto queue = broker.queue("bench", {.capacity = messages});
    std::vector<Message> all(messages);
    queue.publish_batch(all).value();
    while (auto delivery = queue.try_fetch()) { delivery->ack().value(); }
    return queue;
}

template <class Clock, class Platform> std::uint64_t one_thread(std::size_t messages) {
    Clock clock;
    latchbox::Broker<Message, Platform> broker{{.clock = &clock}};
    const auto queue = used_queue(broker, messages);
    return allocations([&] {
        for (std::size_t i = 0; i < messages; ++i) {
            queue.publish(Message{}).value();
            queue.try_fetch()->ack().value();
        }
    });
}

// First what the publishes ask for, then the rest.
std::pair<std::uint64_t, std::uint64_t> in_batches(std::size_t messages) {
    Broker broker;
    const Queue queue = used_queue(broker, messages);
    std::vector<Message> batch(bench::batch_size);
    std::vector<Broker::Delivery> held;
    held.reserve(batch.size());
    std::pair<std::uint64_t, std::uint64_t> counts{0, 0};
    const auto publish = [&] { queue.publish_batch(batch).value(); };
    const auto fetch_and_ack = [&] {
        queue.fetch_batch(held, batch.size()).value();
        queue.ack_batch(held);
        held.clear();
    };
    publish();
    fetch_and_ack();
    for (std::size_t done = 0; done < messages; done += batch.size()) {
        counts.first += allocations(publish);
        counts.second += allocations(fetch_and_ack);
    }
    return counts;
}

// Each thread counts its own, from its first message to its last.
std::uint64_t in_pairs(std::size_t messages, std::size_t pairs) {
    Broker broker;
    const Queue queue = used_queue(broker, messages);
    std::atomic<std::uint64_t> count = 0;
    bench::together(2 * pairs, 2 * messages, [&](std::size_t t, std::size_t from, std::size_t to) {
        count += allocations([&] {
            for (std::size_t i = from; i < to; ++i) {
                if (t < pairs) {
                    queue.publish(Message{}).value();
                } else {
                    queue.fetch()->ack().value();
                }
            }
        });
    });
    return count;
}

std::uint64_t to_and_fro(std::size_t rounds) {
    Broker broker;
    const Queue there = broker.queue("there");
    const Queue back = broker.queue("back");
    const auto answer = [&](std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) {
            there.fetch()->ack().value();
            back.publish(Message{}).value();
        }
    };
    const auto ask = [&](std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) {
            there.publish(Message{}).value();
            back.fetch()->ack().value();
        }
    };
    constexpr std::size_t before = 100;
    std::uint64_t of_other = 0;
    std::thread other{[&] {
        answer(before);
        of_other = allocations([&] { answer(rounds); });
    }};
    ask(before);
    const std::uint64_t count = allocations([&] { ask(rounds); });
    other.join();
    return count + of_other;
}

// `others` more patterns, of which one publish matches none.
std::uint64_t fan_out(std::size_t messages, std::size_t subscriptions, std::size_t others) {
    Broker broker;
    std::vector<Broker::Subscription> matching;
    std::vector<Broker::Subscription> rest;
    for (std::size_t i = 0; i < others; ++i) {
        rest.push_back(broker.subscribe("orders.customer-" + std::to_string(i)));
    }
    for (std::size_t i = 0; i < subscriptions; ++i) {
        matching.push_back(broker.subscribe("orders.*"));
    }
    const auto topic = broker.topic("orders.paid");
    const auto deliver = [&](std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) {
            topic.publish(Message{}).value();
            for (const auto& each : matching) { each.try_fetch()->ack().value(); }
        }
    };
    deliver(1'000);
    return allocations([&] { deliver(messages); });
}

std::uint64_t backlog(std::size_t messages) {
    Broker broker;
    const Queue queue = used_queue(broker, messages);
    return allocations([&] {
        for (std::size_t i = 0; i < messages; ++i) { queue.publish(Message{}).value(); }
        while (auto delivery = queue.try_fetch()) { delivery->ack().value(); }
    });
}

}  // namespace

int main(int argc, char** argv) {
    using namespace latchbox;
    const Options options = Options::parse(argc, argv);
    const std::size_t messages = options.messages(64'000 * 10);
    const std::string column = bench::with_commas(messages) + " msgs";
    bench::Table table{options, "allocations in the steady state", {column}, "allocations"};
    bench::Budgets budgets{options};
    std::uint64_t all = 0;
    const auto count = [&](const char* work, std::uint64_t asked) {
        std::fprintf(stderr, "counting: %s\n", work);
        table.set(work, column, static_cast<double>(asked));
        all += asked;
    };
    count("B1, B4  one thread", one_thread<SteadyClock, Threads>(messages));
    count("B1  coarse clock", one_thread<CoarseClock, Threads>(messages));
    const auto [of_publishes, of_others] = in_batches(messages);
    count("B2  batches of 64, fetch and ack", of_others);
    count("B3, B4  1+1", in_pairs(messages, 1));
    count("B3, B4  2+2", in_pairs(messages, 2));
    count("B3, B4  4+4", in_pairs(messages, 4));
    count("B5  SingleThread", one_thread<CoarseClock, SingleThread>(messages));
    count("B6  10 subscriptions", fan_out(messages / 10, 10, 0));
    count("B7  ping-pong", to_and_fro(messages / 64));
    count("B8  backlog, published and drained", backlog(messages));
    count("B13  3 of 100,000 patterns", fan_out(messages / 10, 3, 100'000));
    const std::size_t batches = messages / bench::batch_size;
    table.set("B2  batches of 64, publish", column, static_cast<double>(of_publishes));
    table.show();

    budgets.show("B12", "allocations in the steady state, all of the above",
                 static_cast<double>(all), bench::Budgets::Wants::at_most, 0, 0);
    budgets.show("B12", "publish_batch, per batch: the vector of ids it returns",
                 static_cast<double>(of_publishes) / static_cast<double>(batches),
                 bench::Budgets::Wants::at_most, 1, 1);
}
