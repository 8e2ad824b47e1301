// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

#include "latchbox/fwd.hpp"

namespace latchbox {
inline namespace v0 {

/// What became of a delivery that did not complete its message.
enum class Cause : std::uint8_t {
    none,              ///< nothing went wrong so far
    failed,            ///< its consumer called `fail`
    lease_ran_out,     ///< its consumer did not settle in time
    attempts_used_up,  ///< handed out `max_attempts` times
    rejected,          ///< its consumer called `reject`
};

/// One short phrase, e.g. "its lease ran out".
[[nodiscard]] constexpr const char* to_string(Cause cause) noexcept {
    switch (cause) {
        case Cause::none: return "nothing went wrong";
        case Cause::failed: return "it failed";
        case Cause::lease_ran_out: return "its lease ran out";
        case Cause::attempts_used_up: return "its attempts are used up";
        case Cause::rejected: return "it was rejected";
    }
    return "unknown cause";
}

/// Why a message is a dead letter, or how its last delivery went wrong: a cause, and what the
/// consumer said of it, cut at 47 bytes, so that keeping it never needs memory.
class Reason {
public:
    static constexpr std::size_t longest = 47;

    constexpr Reason() noexcept = default;
    explicit Reason(Cause cause, std::string_view text = {}) noexcept
        : cause_{cause},
          size_{static_cast<std::uint8_t>(text.size() < longest ? text.size() : longest)} {
        if (size_ != 0) { std::memcpy(text_, text.data(), size_); }
    }

    [[nodiscard]] Cause cause() const noexcept { return cause_; }
    /// Opaque bytes, as given; valid as long as this object.
    [[nodiscard]] std::string_view text() const& noexcept { return {text_, size_}; }

    friend bool operator==(const Reason& a, const Reason& b) noexcept {
        return a.cause_ == b.cause_ && a.text() == b.text();
    }

private:
    Cause cause_ = Cause::none;
    std::uint8_t size_ = 0;
    char text_[longest] = {};
};

}  // namespace v0
}  // namespace latchbox
