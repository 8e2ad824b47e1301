// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>
#include <exception>
#include <string>
#include <string_view>

#include "model/transactions_script.hpp"
#include "latchbox/testing/choices.hpp"

/// Scripts of the model, by bytes from anywhere. What is wrong in words, or nothing.
namespace fuzz {

/// Each byte is a choice; the first says how the broker sees time. Short ones: whatever it is that
/// bytes find, they find it early or not at all.
inline std::string scripts(std::string_view bytes, model::Mistake mistake = {}) {
    constexpr std::size_t steps = 60;
    model::Setting setting{.mistake = mistake};
    if (!bytes.empty()) {
        setting.split_time = bytes.front() == 1;
        setting.blurred = bytes.front() == 2;
        bytes.remove_prefix(1);
    }
    latchbox::testing::Bytes choices{bytes};
    try {
        return model::TransactionsScript<latchbox::Threads>{choices, setting}.run(steps);
    } catch (const std::exception& thrown) { return std::string{"it threw: "} + thrown.what(); }
}

}  // namespace fuzz
