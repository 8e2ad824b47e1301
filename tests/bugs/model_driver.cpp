// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <cstddef>
#include <exception>
#include <string>

#include "bugs/drivers.hpp"
#include "latchbox/latchbox.hpp"
#include "model/transactions_script.hpp"

namespace bugs {

std::string run_script(latchbox::testing::Choices& choices, std::size_t& steps) {
    const model::Setting setting{.blurred = choices.one_in(8)};
    try {
        model::TransactionsScript<latchbox::Threads> script{choices, setting};
        std::string difference = script.run(steps);
        if (difference.empty()) { return {}; }
        // One that was cut short goes on in calm: what differs there is not what was looked for.
        const std::size_t taken = script.figures().steps;
        if (steps < most_steps && taken >= steps) { return {}; }
        if (taken < steps) { steps = taken + 1; }
        return difference;
    } catch (const std::exception& thrown) { return std::string{"it threw: "} + thrown.what(); }
}

}  // namespace bugs
