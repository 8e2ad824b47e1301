// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
//
// A factory that multiplies pairs. A miner publishes them to `multiply`, a queue of ten places:
// where it is full the miner waits. Two workers multiply; they stop and start again while the
// miner goes on, and nothing is lost. Every two products make a pair for `divide`. The same code
// then runs with triplets: only the type changes.
//
//     factory            made-up numbers
//     factory FILE       the numbers of a text file, in groups of two and of three

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <thread>
#include <utility>
#include <vector>

#include "latchbox/latchbox.hpp"
#include "latchbox/workers.hpp"

using namespace std::chrono_literals;

template <class Numbers> double multiplied(const Numbers& numbers) {
    double product = 1;
    for (const double number : numbers) { product *= number; }
    return product;
}

template <class Numbers> double divided(const Numbers& numbers) {
    double quotient = numbers[0];
    for (std::size_t i = 1; i < numbers.size(); ++i) { quotient /= numbers[i]; }
    return quotient;
}

// Makes one `Numbers` of as many products as it takes, and settles them once it is published:
// stopped in between, no product would be lost. Returns the sum of the products used.
template <class Numbers>
double pack(const latchbox::Queue<double>& products, const latchbox::Queue<Numbers>& divide) {
    double sum = 0;
    Numbers numbers{};
    std::vector<latchbox::Delivery<double>> held;
    while (products.fetch_batch(held, numbers.size() - held.size(), latchbox::Duration::never())) {
        if (held.size() < numbers.size()) { continue; }
        for (std::size_t i = 0; i < held.size(); ++i) { numbers[i] = held[i].body(); }
        if (!divide.publish(numbers)) { break; }
        for (const double product : numbers) { sum += product; }
        products.ack_batch(held);
        held.clear();
    }
    return sum;
}

// True if every group of numbers went through the factory, and once only.
template <class Numbers> bool run_factory(const char* name, const std::vector<double>& material) {
    constexpr std::size_t size = std::tuple_size_v<Numbers>;
    std::vector<Numbers> groups(material.size() / size / size * size);
    for (std::size_t i = 0; i < groups.size() * size; ++i) {
        groups[i / size][i % size] = material[i];
    }

    latchbox::Broker<Numbers> broker;
    latchbox::Broker<double> results;
    const auto multiply = broker.queue("multiply", {.capacity = 10,
                                                    .overflow = latchbox::Overflow::block,
                                                    .block_for = latchbox::Duration::never()});
    const auto divide = broker.queue("divide");
    const auto products = results.queue("products");
    const auto quotients = results.queue("quotients");
    double packed = 0;
    std::thread packer{[&] { packed = pack(products, divide); }};
    const auto do_multiply = [&](const Numbers& n) { products.publish(multiplied(n)).value(); };
    const auto do_divide = [&](const Numbers& n) { quotients.publish(divided(n)).value(); };
    latchbox::Workers first{multiply, {}, do_multiply};
    latchbox::Workers second{multiply, {}, do_multiply};
    latchbox::Workers divider{divide, {}, do_divide};

    std::size_t mined = 0;
    const auto mine_until = [&](std::size_t end) {
        while (mined < end) { multiply.publish(groups[mined++]).value(); }
    };
    mine_until(groups.size() / 4);
    first.stop();  // a handler under way is finished first; the other goes on alone
    mine_until(groups.size() / 2);
    second.stop();  // now the queue fills up, and then the miner is told
    while (mined < groups.size() && multiply.publish(groups[mined], {.block_for = 10ms})) {
        ++mined;
    }
    const std::size_t waiting = multiply.size();
    first = {multiply, {}, do_multiply};
    second = {multiply, {}, do_multiply};
    mine_until(groups.size());

    for (std::size_t i = 0; i < groups.size() / size; ++i) { quotients.fetch()->ack(); }
    first.stop();
    second.stop();
    broker.close();
    results.close();
    packer.join();

    double expected = 0;
    for (const Numbers& numbers : groups) { expected += multiplied(numbers); }
    std::printf("%s: %zu multiplied, %zu divided; %zu waited while nobody worked\n", name,
                groups.size(), groups.size() / size, waiting);
    return packed == expected && multiply.stats().completed == groups.size();
}

int main(int argc, char** argv) {
    std::vector<double> material;
    if (argc > 1) {
        std::ifstream file{argv[1]};
        material.assign(std::istream_iterator<double>{file}, {});
    } else {
        for (int i = 0; i < 6'000; ++i) { material.push_back(1 + i * 7 % 100); }
    }
    const bool pairs = run_factory<std::array<double, 2>>("pairs", material);
    const bool triplets = run_factory<std::array<double, 3>>("triplets", material);
    std::printf("%s\n", pairs && triplets ? "every number was used once" : "NUMBERS ARE MISSING");
    return pairs && triplets ? 0 : 1;
}
