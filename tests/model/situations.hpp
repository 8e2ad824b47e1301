// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "latchbox/explanation.hpp"
#include "latchbox/states.hpp"
#include "support/probes.hpp"

namespace model {

/// What messages and gates were found in, and what between two looks they went through.
class Situations {
public:
    using State = latchbox::MessageState;
    static constexpr auto never_seen = State::never_issued;

    void look(State before, const latchbox::Explanation& now) noexcept {
        ++moved_[at(before)][at(now.state)];
        ++caused_[at(now.state)][static_cast<std::size_t>(now.reason.cause())];
        const auto count = [this](bool so, Special special) {
            specials_[static_cast<std::size_t>(special)] += so ? 1U : 0U;
        };
        const bool waits = now.state == State::blocked;
        count(now.state == State::ready && now.ahead > 2, Special::behind_three);
        count(now.state == State::ready && now.failures > 0, Special::ready_after_failure);
        count(now.state == State::delayed && now.failures > 0, Special::delayed_after_failure);
        count(now.state == State::leased && now.failures > 1, Special::leased_after_failures);
        count(now.attempt > 4, Special::five_attempts);
        count(waits && now.parents.size() > 1, Special::blocked_by_two);
        count(waits && !now.parents.empty() && now.parents.front().state == LatchState::dead,
              Special::held_by_dead);
        count(waits && now.ahead_in_key > 1, Special::third_of_key);
        count(waits && now.ahead_in_key > 0 && !now.parents.empty(), Special::key_and_parent);
        count(now.copies.size() > 1, Special::two_copies);
        count(now.copies.size() > 1 && now.copies[0].state != now.copies[1].state,
              Special::copies_apart);
        count(now.state == State::shut && now.count > 1, Special::far_from_open);
    }

    void add(const Situations& more) noexcept {
        for (std::size_t i = 0; i < states; ++i) {
            for (std::size_t j = 0; j < states; ++j) { moved_[i][j] += more.moved_[i][j]; }
            for (std::size_t j = 0; j < causes; ++j) { caused_[i][j] += more.caused_[i][j]; }
        }
        for (std::size_t i = 0; i < specials; ++i) { specials_[i] += more.specials_[i]; }
    }

    /// "blocked, then dead", "dead: a parent is dead or failed", "ready behind three".
    void tell(support::Probes& probes) const {
        for (std::size_t i = 0; i < states; ++i) {
            for (std::size_t j = 0; j < states; ++j) {
                if (moved_[i][j] == 0) { continue; }
                probes.reach(std::string{names[i]} + ", then " + names[j], moved_[i][j]);
            }
            for (std::size_t j = 0; j < causes; ++j) {
                if (caused_[i][j] == 0) { continue; }
                const auto cause = static_cast<latchbox::Cause>(j);
                probes.reach(std::string{names[i]} + ": " + latchbox::to_string(cause),
                             caused_[i][j]);
            }
        }
        for (std::size_t i = 0; i < specials; ++i) { probes.reach(special_names[i], specials_[i]); }
    }

private:
    using LatchState = latchbox::LatchState;
    enum class Special : std::uint8_t {
        behind_three,
        ready_after_failure,
        delayed_after_failure,
        leased_after_failures,
        five_attempts,
        blocked_by_two,
        held_by_dead,
        third_of_key,
        key_and_parent,
        two_copies,
        copies_apart,
        far_from_open,
    };
    static constexpr std::size_t states = 11;
    static constexpr std::size_t causes = 11;
    static constexpr std::size_t specials = 12;
    static constexpr std::array<const char*, states> names{
        "new",  "forgotten", "blocked", "delayed", "ready",  "leased",
        "dead", "completed", "failed",  "shut",    "pending"};
    static constexpr std::array<const char*, specials> special_names{
        "ready behind three",
        "ready after a failure",
        "delayed after a failure",
        "leased after two failures",
        "handed out five times",
        "blocked by two parents",
        "held by a dead parent",
        "the third of its key",
        "blocked by key and parent",
        "two copies",
        "two copies in different states",
        "a gate to be counted down twice",
    };
    static constexpr std::size_t at(State state) noexcept {
        return static_cast<std::size_t>(state);
    }

    std::array<std::array<std::uint64_t, states>, states> moved_{};
    std::array<std::array<std::uint64_t, causes>, states> caused_{};
    std::array<std::uint64_t, specials> specials_{};
};

}  // namespace model
