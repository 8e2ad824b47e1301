// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstdint>

#include "latchbox/fwd.hpp"

namespace latchbox {
inline namespace v0 {

/// Where a message is.
enum class MessageState : std::uint8_t {
    never_issued,  ///< this broker never issued such an id
    forgotten,     ///< issued and gone, so long ago that nobody knows whether it completed
    blocked,       ///< waits for parents, or for its turn among those of its key
    delayed,       ///< waits for an instant
    ready,         ///< offered to whoever fetches
    leased,        ///< in the hands of a consumer
    dead,          ///< a dead letter
    completed,     ///< acked, and gone; of a gate: counted down
    failed,        ///< gone without an ack; of a gate: failed or abandoned
    shut,          ///< a gate that is not open yet
    pending,       ///< of a topic: some of its copies are held, and none has died or failed
};

/// What a child waits on: how it stands with a message, or with a gate.
enum class LatchState : std::uint8_t {
    pending,    ///< not decided yet
    completed,  ///< acked; of a gate: counted down. For good
    dead,       ///< a dead letter; a redrive makes it pending again, everything else failed
    failed,     ///< gone without an ack; of a gate: failed or abandoned. For good
};

namespace detail {
constexpr bool is_final(LatchState state) noexcept {
    return state == LatchState::completed || state == LatchState::failed;
}
}  // namespace detail

/// In words: "never issued".
[[nodiscard]] constexpr const char* to_string(MessageState state) noexcept {
    switch (state) {
        case MessageState::never_issued: return "never issued";
        case MessageState::forgotten: return "forgotten";
        case MessageState::blocked: return "blocked";
        case MessageState::delayed: return "delayed";
        case MessageState::ready: return "ready";
        case MessageState::leased: return "leased";
        case MessageState::dead: return "dead";
        case MessageState::completed: return "completed";
        case MessageState::failed: return "failed";
        case MessageState::shut: return "shut";
        case MessageState::pending: return "pending";
    }
    return "unknown";
}

/// One word, e.g. "pending".
[[nodiscard]] constexpr const char* to_string(LatchState state) noexcept {
    switch (state) {
        case LatchState::pending: return "pending";
        case LatchState::completed: return "completed";
        case LatchState::dead: return "dead";
        case LatchState::failed: return "failed";
    }
    return "unknown";
}

}  // namespace v0
}  // namespace latchbox
