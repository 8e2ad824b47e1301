// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors

// Runs the same scripts in every build and prints the hash of their logs: determinism.sh compares.
// The same seeds leave the same log, whatever built the program.

#include <cinttypes>
#include <cstdint>
#include <cstdio>

#include "model/transactions_script.hpp"
#include "latchbox/testing/choices.hpp"

namespace {

// 0 if broker and model differ in a script.
std::uint64_t hash_of_logs() {
    constexpr std::uint64_t scripts = 150;
    constexpr std::size_t steps = 150;
    std::uint64_t hash = 0;
    for (std::uint64_t seed = 1; seed <= scripts; ++seed) {
        latchbox::testing::Seeded choices{seed};
        model::TransactionsScript<latchbox::Threads> script{choices, {.hash_log = true}};
        if (!script.run(steps).empty()) { return 0; }
        hash = hash * 0x100000001b3U ^ script.log_hash();
    }
    return hash;
}

}  // namespace

int main() {
    const std::uint64_t hash = hash_of_logs();
    std::printf("%016" PRIx64 "\n", hash);
    return hash != 0 && hash == hash_of_logs() ? 0 : 1;
}
