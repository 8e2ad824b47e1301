// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "latchbox/ids.hpp"
#include "latchbox/reason.hpp"
#include "latchbox/time.hpp"

// What a queue knows of one message, the body apart.
namespace latchbox {
inline namespace v0 {
namespace detail {

// Numbers the messages a queue holds, from 0; used again when a message and all who can see its
// body are gone.
using Slot = std::uint32_t;
inline constexpr std::uint32_t none = 0xffffffffU;

enum class State : std::uint8_t {
    vacant,    // no message
    reserved,  // room taken for one that is about to be accepted
    blocked,
    delayed,
    ready,
    leased,
    dead,
};
inline constexpr std::size_t states = 7;

// Where a message stands among those of its queue: what is delivered first comes first.
struct Place {
    std::uint8_t priority;
    std::uint64_t number;
    friend constexpr bool operator<(const Place& a, const Place& b) noexcept {
        return a.priority != b.priority ? a.priority > b.priority : a.number < b.number;
    }
};

// Something that time will do to a message; what is done first comes first. [4.3]
struct Due {
    enum Kind : std::uint8_t { lease, life, delay };
    Instant at;
    Kind kind;
    std::uint64_t number;  // of the message's place
    friend constexpr auto operator<=>(const Due&, const Due&) noexcept = default;

    // After everything, and before everything due later than `at`.
    [[nodiscard]] static constexpr Due never() noexcept {
        return {Instant::never(), delay, ~std::uint64_t{0}};
    }
    [[nodiscard]] static constexpr Due last_at(Instant at) noexcept {
        return {at, delay, ~std::uint64_t{0}};
    }
};

// The links of a slot in the one list it stands in.
struct Links {
    Slot next = none;
    Slot previous = none;
};

// How a copy of a topic's message stands, as far as that message has been told. `apart` is what it
// is never told of: one that was replayed, and one that has left. [5.3]
enum class Told : std::uint8_t { apart, pending, dead };

// A message that has only been waiting in line, or is handed out for the first time, needs no more
// than this, unless somebody asks for something.
struct Record {
    Links links;
    std::uint64_t number = 0;  // of its id; and of its place, while it has no history
    std::uint64_t lease = 0;   // number of the last lease granted
    Instant at;                // LEASED: its deadline; DELAYED, BLOCKED: when its delay is over
    std::uint32_t history = none;
    State state = State::vacant;
    std::uint8_t priority = 0;
    Told told = Told::apart;
    Cause failed = Cause::none;  // how it left, if it did not complete; of a copy
};

// What its parents say of a child.
enum class Verdict : std::uint8_t { go, wait, die };

// What a publish asks of the core.
struct Wishes {
    std::uint8_t priority = 0;
    Duration delay = {};
    Duration life = Duration::never();
    std::uint32_t wait = none;      // for parents that have not all completed
    Verdict verdict = Verdict::go;  // what they say
    MessageId parent = {};          // which of them says so, if it has to die
    std::string_view key = {};
    std::string* key_text = nullptr;  // the same, given up to the queue if it is new there
    std::uint64_t number = 0;         // one of `draw_before`, for one that was published long ago
};

// What ties a message to others: who waits for it, whom it waits for, who is of its key. What the
// first two name is the latch board's.
struct Ties {
    // Where it stands among those of its key: nowhere, waiting its turn since it was published or
    // since it was redriven, or it is its turn.
    enum class Stand : std::uint8_t { out, waiting, returned, active };

    std::uint32_t latch = none;  // its own, once somebody asked for it
    std::uint32_t wait = none;   // for parents, while one has not completed
    std::uint32_t line = none;   // of its key
    Slot before = none;          // in that line
    Slot after = none;
    Slot next_noted = none;  // in the list of those whose latch has changed
    Stand stand = Stand::out;
    bool noted = false;      // stands in that list
    bool held_back = false;  // the latch board says that it has to wait for parents
    bool completed = false;  // how it left, while it is noted

    [[nodiscard]] constexpr bool any() const noexcept {
        return (latch & wait & line) != none;  // `none` is all bits
    }
    // Whether its history is needed after it has left, until that is told.
    [[nodiscard]] constexpr bool to_be_told() const noexcept { return any() || noted; }
};

// Somebody wants to know when a lease is over: the shell's, which makes it and frees it.
struct LeaseWatch {
    LeaseWatch* next = nullptr;  // once it is over, in a list of those
};

// What gathers once a message has come back, has a time of its own or an extended or watched lease,
// or is tied to others.
struct History {
    Slot slot = none;  // whose it is; the next free one while it is nobody's
    std::uint32_t attempts = 0;
    std::uint32_t attempts_before_redrive = 0;
    std::uint32_t failures = 0;
    std::uint64_t place = 0;  // number of its place: the id's until it is put at the back
    Instant expires = Instant::never();
    Duration life = Duration::never();
    LeaseWatch* watch = nullptr;  // of the live lease
    Reason reason;                // of the last failure, or of its death
    Ties ties;
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
