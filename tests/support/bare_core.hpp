// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/detail/queue_audit.hpp"
#include "latchbox/detail/queue_transitions.hpp"

// A core without its shell: what a shell does around every step, and nothing else.
namespace support {

using latchbox::detail::Slot;

/// An instant so many nanoseconds from the start.
constexpr latchbox::Instant at(std::int64_t nanoseconds) {
    return latchbox::Instant{latchbox::Duration::nanoseconds(nanoseconds)};
}
constexpr latchbox::Duration ns(std::int64_t nanoseconds) {
    return latchbox::Duration::nanoseconds(nanoseconds);
}

/// Ids, leases and hand-outs counted from where their counters end, in chunks of one.
inline constexpr latchbox::detail::CoreStart near_the_end = {.number = ~std::uint64_t{0} - 5'000,
                                                             .lease = ~std::uint64_t{0} - 5'000,
                                                             .attempts = ~std::uint32_t{0} - 5'000,
                                                             .first_bits = 0};

/// Starts for tests that have to hold for both: counters from one, or near their end.
struct FromOne {
    static constexpr latchbox::detail::CoreStart start = {.first_bits = 0};
};
struct NearTheEnd {
    static constexpr latchbox::detail::CoreStart start = near_the_end;
};

class BareCore {
public:
    using Core = latchbox::detail::QueueCore;
    using Due = latchbox::detail::Due;

    explicit BareCore(const latchbox::QueueOptions& options = {},
                      const latchbox::detail::CoreStart& start = {.first_bits = 0},
                      bool fed = false, const latchbox::Profile& profile = {})
        : core{options, start, fed, profile} {}

    Core core;
    latchbox::detail::Effects effects;
    std::vector<Slot> gone;          ///< in the order in which they left
    std::vector<Core::Noted> noted;  ///< in the order in which they were told

    /// The slot of a new message, or `none` where there is no room.
    Slot publish(latchbox::Instant now = {}, const latchbox::detail::Wishes& wishes = {}) {
        if (!core.has_room(1)) { return latchbox::detail::none; }
        const bool timed = wishes.delay > ns(0) || !wishes.life.is_never();
        const bool tied = wishes.wait != latchbox::detail::none || !wishes.key.empty();
        while ((timed || tied) && core.of_histories(1)) { grow(core.of_histories(1)); }
        while (!wishes.key.empty() && core.of_lines()) { grow(core.of_lines()); }
        while (core.of_outcomes(1)) { grow(core.of_outcomes(1)); }
        const Slot slot = reserve();
        core.make_room(0, effects);
        core.accept(slot, wishes, now, effects);
        collect();
        return slot;
    }
    /// One of a key.
    Slot publish(std::string_view key, latchbox::Instant now = {},
                 latchbox::detail::Wishes wishes = {}) {
        wishes.key = key;
        std::string text{key};
        wishes.key_text = &text;
        return publish(now, wishes);
    }
    /// One whose parents are not done; the board's number of its wait.
    Slot publish_child(std::uint32_t wait, latchbox::Instant now = {},
                       latchbox::detail::Wishes wishes = {}) {
        wishes.wait = wait;
        wishes.verdict = latchbox::detail::Verdict::wait;
        return publish(now, wishes);
    }
    /// Somebody asked for the latch of `slot`, and got it by this number.
    void watch(Slot slot, std::uint32_t latch) {
        while (core.of_history(slot)) { grow(core.of_history(slot)); }
        core.watch(slot, latch);
    }
    Slot reserve() {
        if (core.has_vacant()) { return core.reserve_vacant(); }
        if (!core.has_fresh()) { grow(core.of_records()); }
        return core.reserve_fresh();
    }
    /// Leases the first, which has to be there.
    Slot fetch(latchbox::Instant now = {}) {
        while (core.of_histories(1)) { grow(core.of_histories(1)); }
        REQUIRE(core.has_ready());
        return core.lease(now);
    }
    /// Does all that is due by `now`; how much that was.
    int pass(latchbox::Instant now) {
        int steps = 0;
        for (; core.step(Due::last_at(now), effects); ++steps) { collect(); }
        return steps;
    }
    /// What the shell does with those whose latch has changed, and with those who left.
    void collect() {
        using latchbox::detail::Told;
        while (core.has_noted()) {
            noted.push_back(core.take_noted());
            if (noted.back().slot == latchbox::detail::none) { continue; }
            Told& told = core.records()[noted.back().slot].told;
            const bool dead = noted.back().state == latchbox::LatchState::dead;
            if (told != Told::apart) { told = dead ? Told::dead : Told::pending; }
        }
        while (!effects.gone.empty()) {
            gone.push_back(effects.gone.pop_front(core.records()));
            core.records()[gone.back()].told = Told::apart;
            core.vacate(gone.back());
        }
    }
    void grow(const Core::Shortage& shortage) {
        auto growth = core.make(shortage);
        core.adopt(growth);
    }

    [[nodiscard]] latchbox::detail::State state(Slot slot) const { return core.record(slot).state; }
    [[nodiscard]] std::uint64_t number(Slot slot) const { return core.record(slot).number; }
    [[nodiscard]] bool sound() const { return core.audit() == nullptr; }
    /// The slots in the order in which they would be delivered now.
    [[nodiscard]] std::vector<Slot> order() const {
        BareCore copy{*this};
        std::vector<Slot> slots;
        while (copy.core.has_ready()) { slots.push_back(copy.fetch()); }
        return slots;
    }
};

/// Ends a test with what has to hold of every core.
struct SoundCore : BareCore {
    using BareCore::BareCore;
    SoundCore(const SoundCore&) = delete;
    SoundCore& operator=(const SoundCore&) = delete;
    ~SoundCore() {
        const char* const broken = core.audit_at_rest();
        CHECK_MESSAGE(broken == nullptr, std::string(broken == nullptr ? "" : broken));
        CHECK(core.stats().accepted - core.stats().held() == gone.size());
        CHECK(core.reserved() == 0);
    }
};

}  // namespace support
