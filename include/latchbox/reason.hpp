// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "latchbox/ids.hpp"

namespace latchbox {
inline namespace v0 {

/// What became of a message, or of a delivery of it, that did not complete.
enum class Cause : std::uint8_t {
    none,              ///< nothing went wrong so far
    failed,            ///< its consumer called `fail`; of a gate: its owner
    lease_ran_out,     ///< its consumer did not settle in time
    attempts_used_up,  ///< handed out `max_attempts` times
    rejected,          ///< its consumer called `reject`
    parent_failed,     ///< a parent is dead or failed
    expired,           ///< its time to live was over
    purged,            ///< purged, taken as a dead letter, or its queue was removed
    evicted,           ///< removed by an overflow policy
    cancelled,         ///< removed by `cancel`
    abandoned,         ///< of a gate: its last handle went before it was open
};

/// One short phrase, e.g. "its lease ran out".
[[nodiscard]] constexpr const char* to_string(Cause cause) noexcept {
    switch (cause) {
        case Cause::none: return "nothing went wrong";
        case Cause::failed: return "it failed";
        case Cause::lease_ran_out: return "its lease ran out";
        case Cause::attempts_used_up: return "its attempts are used up";
        case Cause::rejected: return "it was rejected";
        case Cause::parent_failed: return "a parent did not complete";
        case Cause::expired: return "its time to live was over";
        case Cause::purged: return "it was purged";
        case Cause::evicted: return "it was evicted to make room";
        case Cause::cancelled: return "it was cancelled";
        case Cause::abandoned: return "its last handle went before it was open";
    }
    return "unknown cause";
}

/// Why a message is a dead letter, or how its last delivery went wrong: a cause, the parent where
/// that is the cause, and what the consumer said of it, cut at 47 bytes, so that keeping it never
/// needs memory.
class Reason {
public:
    /// Bytes of text that are kept.
    static constexpr std::size_t longest = 47;

    constexpr Reason() noexcept = default;
    explicit Reason(Cause cause, std::string_view text = {}) noexcept
        : cause_{cause},
          size_{static_cast<std::uint8_t>(text.size() < longest ? text.size() : longest)} {
        text.copy(text_, size_);
    }
    /// `Cause::parent_failed`: this one.
    explicit constexpr Reason(const MessageId& parent) noexcept
        : parent_{parent}, cause_{Cause::parent_failed} {}

    [[nodiscard]] constexpr Cause cause() const noexcept { return cause_; }
    /// The parent that did not complete, where that is the cause; else `{}`.
    [[nodiscard]] constexpr MessageId parent() const noexcept { return parent_; }
    /// Opaque bytes, as given; valid as long as this object.
    [[nodiscard]] std::string_view text() const& noexcept { return {text_, size_}; }

    friend bool operator==(const Reason& a, const Reason& b) noexcept {
        return a.cause_ == b.cause_ && a.parent_ == b.parent_ && a.text() == b.text();
    }

private:
    MessageId parent_;
    Cause cause_ = Cause::none;
    std::uint8_t size_ = 0;
    char text_[longest] = {};
};

/// One clause, e.g. "it was rejected: no such street".
[[nodiscard]] inline std::string to_string(const Reason& reason) {
    std::string text = to_string(reason.cause());
    if (reason.cause() == Cause::parent_failed) {
        text = "its parent " + to_string(reason.parent()) + " did not complete";
    }
    if (!reason.text().empty()) { text.append(": ").append(reason.text()); }
    return text;
}

}  // namespace v0
}  // namespace latchbox
