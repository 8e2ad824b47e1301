// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <cstddef>
#include <string>

#include "bugs/drivers.hpp"
#include "latchbox/testing/explore.hpp"
#include "simulation/programs.hpp"

namespace bugs {

std::string run_program(latchbox::testing::Choices& choices, std::size_t&) {
    latchbox::testing::Rules rules;
    rules.spurious_wakes = choices.pick(2);
    rules.interrupt_after = choices.one_in(4);
    // Few interruptions meet rare orders sooner.
    if (const std::uint32_t most = choices.pick(4); most != 0) { rules.preemptions = most; }
    const auto failure = latchbox::testing::run_once(&scenes::Program::play, choices, rules);
    return failure.value_or("");
}

void allocating() noexcept { latchbox::testing::Simulated::allocating(); }

}  // namespace bugs
