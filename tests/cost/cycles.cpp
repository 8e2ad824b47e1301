// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors

// As many cycles as told, millions of them: memory and slots are those of the start. One in ten is
// not from publish to ack.

#include "cost/cycles.hpp"

#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace {

void print(const char* when, const cost::Holdings& holdings) {
    std::printf("%s: %lld allocations, %lld bytes, %llu slots\n", when,
                static_cast<long long>(holdings.allocations),
                static_cast<long long>(holdings.bytes),
                static_cast<unsigned long long>(holdings.slots));
}

}  // namespace

int main(int argc, char** argv) {
    const std::uint64_t wanted = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 10'000'000;
    constexpr std::uint64_t others = 10 * cost::Cycles::kinds;
    constexpr std::uint64_t at_once = 10 * others;
    cost::Cycles cycles{true};
    cycles.plain(at_once);
    cycles.others(cost::Cycles::enough);
    const cost::Holdings before = cycles.holdings();
    print("before", before);
    std::uint64_t done = 0;
    for (; done < wanted; done += at_once) {
        cycles.plain(at_once - others);
        cycles.others(others);
    }
    const cost::Holdings after = cycles.holdings();
    print("after", after);
    if (!cycles.is_empty() || !after.is_that_of(before)) { return 1; }
    std::printf("figure: cycles that end with the memory and slots of the start = %llu\n",
                static_cast<unsigned long long>(done));
}
