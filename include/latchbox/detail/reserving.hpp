// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>

#include "latchbox/detail/queue_shell.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// What messages that are about to be published need in a queue, apart from room.
struct Needs {
    bool history = false;  // each
    bool line = false;     // of a key, for all of them
    bool value = false;    // of `dedup`

    // Whether such a message has a time of its own.
    [[nodiscard]] static bool timed(const PublishOptions& options) noexcept {
        return options.delay > Duration{} || !options.expires_in.is_never();
    }
    // Of messages with these options; `remembers`: whether the queue itself remembers values.
    [[nodiscard]] static Needs of(const PublishOptions& options, bool remembers) noexcept {
        const bool line = !options.key.empty();
        return {timed(options) || line || !options.parents.empty(), line,
                remembers && !options.dedup.empty()};
    }
};

// Slots for messages that are about to be published, and what else they need.
template <class Msg, class Platform> class Reserving {
public:
    using Shell = QueueShell<Msg, Platform>;

    // As many slots as there are messages; or what has to grow first.
    static QueueCore::Shortage take_slots(Shell& shell, std::size_t count, const Needs& needs,
                                          SlotList& taken) noexcept LATCHBOX_REQUIRES(shell.mutex) {
        QueueCore& core = shell.core;
        if (const auto lacking = core.of_outcomes(count)) { return lacking; }
        if (needs.history) {
            if (const auto lacking = core.of_histories(count)) { return lacking; }
            if (const auto lacking = core.of_lines(); lacking && needs.line) { return lacking; }
        }
        if (needs.value) {
            if (const auto lacking = core.of_values()) { return lacking; }
        }
        return fill(shell, count, taken) ? QueueCore::Shortage{} : core.of_records();
    }
    // For messages that need nothing else: false if something has to grow first.
    static bool take_plain(Shell& shell, std::size_t count, SlotList& taken) noexcept
        LATCHBOX_REQUIRES(shell.mutex) {
        return shell.core.has_outcomes(count) && fill(shell, count, taken);
    }
    // Slots whose bodies nobody has seen.
    static void withdraw(Shell& shell, SlotList& taken) noexcept LATCHBOX_REQUIRES(shell.mutex) {
        while (!taken.empty()) { shell.core.withdraw(taken.pop_front(shell.core.records())); }
    }
    // What `count` reserved messages need stays theirs while the lock is not held, until it is held
    // again and redeemed.
    static void promise(Shell& shell, std::size_t count, const Needs& needs) noexcept
        LATCHBOX_REQUIRES(shell.mutex) {
        shell.core.promise_histories(needs.history ? count : 0);
        shell.core.promise_lines(needs.line ? 1 : 0);
        shell.core.promise_values(needs.value ? 1 : 0);
    }
    static void redeem(Shell& shell, std::size_t count, const Needs& needs) noexcept
        LATCHBOX_REQUIRES(shell.mutex) {
        shell.core.redeem_histories(needs.history ? count : 0);
        shell.core.redeem_lines(needs.line ? 1 : 0);
        shell.core.redeem_values(needs.value ? 1 : 0);
    }

    // One whose body was seen a while ago, if nobody sees it any more; else the first that is
    // vacant; else one that was never used; `none` if there is none left.
    static Slot take_slot(Shell& shell) noexcept LATCHBOX_REQUIRES(shell.mutex) {
        QueueCore& core = shell.core;
        const bool rested = core.seen_count() > Shell::resting || !core.has_vacant();
        for (int tries = 0; rested && core.seen() != none && (tries < 2 || core.may_look());
             ++tries) {
            if (shell.bodies[core.seen()].vacant()) { return core.reserve_seen(); }
            core.pass_over();
        }
        if (core.has_vacant()) { return core.reserve_vacant(); }
        return take_fresh(shell);
    }

private:
    [[gnu::noinline]] static Slot take_fresh(Shell& shell) noexcept
        LATCHBOX_REQUIRES(shell.mutex) {
        if (!shell.core.has_fresh()) { return none; }
        shell.bodies.add();
        return shell.core.reserve_fresh();
    }
    static bool fill(Shell& shell, std::size_t count, SlotList& taken) noexcept
        LATCHBOX_REQUIRES(shell.mutex) {
        while (taken.size() < count) {
            const Slot slot = take_slot(shell);
            if (slot == none) { return false; }
            taken.push_back(shell.core.records(), slot);
        }
        return true;
    }
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
