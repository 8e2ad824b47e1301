// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace latchbox {
inline namespace v0 {
namespace testing {

class Choices;
class Contention;
class DepthFirst;
class Priorities;

/// What holds for every run of a program.
struct Rules {
    /// A fiber may be interrupted right after an unlock and a notify too: shows to a sanitizer what
    /// it touches there without a lock. Costs many schedules; else not needed, as all that the
    /// scheduler knows of is a choice point by itself.
    bool interrupt_after = false;
    /// So often in a run a waiter may wake up without having been notified.
    std::uint32_t spurious_wakes = 0;
    /// So often in a run a fiber may be interrupted that could have gone on.
    std::optional<std::uint32_t> preemptions = {};
    /// A run of more steps is a livelock.
    std::uint64_t max_steps = 20'000;
    /// Mutexes taken in one order and in another are a failure, deadlock or not.
    bool lock_order = true;
};

/// What a run is made with, besides its rules.
struct Setting {
    Choices* choices;
    DepthFirst* search = nullptr;      // the same, if it prunes
    Contention* contention = nullptr;  // every step is a choice point without
    Priorities* priorities = nullptr;  // the same, if it goes by them
    // Gets what to choose where every step is a choice point.
    std::vector<std::uint32_t>* full_trace = nullptr;
    bool logging = false;
};

}  // namespace testing
}  // namespace v0
}  // namespace latchbox
