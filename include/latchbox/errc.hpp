// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstdint>
#include <string>
#include <system_error>
#include <type_traits>

#include "latchbox/fwd.hpp"

namespace latchbox {
inline namespace v0 {

/// Why a call did not do what was asked. Every one of them is expected in a sound program;
/// none leaves anything changed.
enum class Errc : std::uint8_t {
    empty = 1,        ///< nothing is ready
    timed_out,        ///< the time given is over
    cancelled,        ///< a stop was requested
    closed,           ///< the broker, or this queue, takes no more calls
    full,             ///< the queue holds `capacity` messages
    lease_lost,       ///< the lease ran out or was settled: this delivery is no longer yours
    already_settled,  ///< this very `Delivery` was settled before, moved from or detached
    leased,           ///< a consumer holds the message just now
    unknown_message,  ///< no such message here
    expired,          ///< its time is over
    unknown_parent,   ///< a parent this broker never issued, or has forgotten as failed
    parent_failed,    ///< a parent is dead or failed
    no_subscriber,    ///< nobody subscribed, and the topic refuses that
    body_shared,      ///< another delivery may still read the body, and it cannot be copied
    invalid_name,     ///< not a name: see `check_subject`, `check_pattern`
    invalid_option,   ///< an option out of its range
};

/// One short phrase, e.g. "the lease is lost".
[[nodiscard]] constexpr const char* to_string(Errc code) noexcept {
    switch (code) {
        case Errc::empty: return "nothing is ready";
        case Errc::timed_out: return "timed out";
        case Errc::cancelled: return "cancelled";
        case Errc::closed: return "closed";
        case Errc::full: return "the queue is full";
        case Errc::lease_lost: return "the lease is lost";
        case Errc::already_settled: return "already settled";
        case Errc::leased: return "the message is leased";
        case Errc::unknown_message: return "unknown message";
        case Errc::expired: return "expired";
        case Errc::unknown_parent: return "unknown parent";
        case Errc::parent_failed: return "a parent is dead or failed";
        case Errc::no_subscriber: return "no subscriber";
        case Errc::body_shared: return "another delivery can still read the body";
        case Errc::invalid_name: return "invalid name";
        case Errc::invalid_option: return "invalid option";
    }
    return "unknown error";
}

/// The `std::error_category` named "latchbox".
[[nodiscard]] inline const std::error_category& error_category() noexcept {
    class Category final : public std::error_category {
        [[nodiscard]] const char* name() const noexcept override { return "latchbox"; }
        [[nodiscard]] std::string message(int code) const override {
            return to_string(static_cast<Errc>(code));
        }
    };
    static const Category category;
    return category;
}

/// For `std::error_code`, which an `Errc` turns into by itself.
[[nodiscard]] inline std::error_code make_error_code(Errc code) noexcept {
    return {static_cast<int>(code), error_category()};
}

/// What `Result::value()` throws when there is none.
class Error : public std::system_error {
public:
    explicit Error(Errc code) : std::system_error{make_error_code(code)}, errc_{code} {}
    /// What `Result::error` would have said.
    [[nodiscard]] Errc errc() const noexcept { return errc_; }

private:
    Errc errc_;
};

}  // namespace v0
}  // namespace latchbox

template <> struct std::is_error_code_enum<latchbox::Errc> : std::true_type {};
