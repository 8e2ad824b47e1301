// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <limits>
#include <ratio>
#include <type_traits>

#include "latchbox/fwd.hpp"

namespace latchbox {
inline namespace v0 {

/// A length of time in nanoseconds that saturates instead of overflowing, also while it is made
/// from a `std::chrono::duration`: `hours::max()` is `never`. Not-a-number becomes negative.
class Duration {
public:
    constexpr Duration() noexcept = default;

    /// Any chrono duration; cuts towards zero what is finer than a nanosecond.
    template <class Rep, class Period>
    constexpr Duration(const std::chrono::duration<Rep, Period>& other) noexcept
        : count_{convert<Rep, Period>(other.count())} {}

    /// So many of them; the largest number is `never`.
    [[nodiscard]] static constexpr Duration nanoseconds(std::int64_t count) noexcept {
        Duration made;
        made.count_ = count;
        return made;
    }
    /// Longer than anything: what waits for it waits for ever.
    [[nodiscard]] static constexpr Duration never() noexcept { return nanoseconds(largest); }

    /// In nanoseconds.
    [[nodiscard]] constexpr std::int64_t count() const noexcept { return count_; }
    [[nodiscard]] constexpr bool is_never() const noexcept { return count_ == largest; }
    [[nodiscard]] constexpr bool is_negative() const noexcept { return count_ < 0; }
    [[nodiscard]] constexpr std::chrono::nanoseconds to_chrono() const noexcept {
        return std::chrono::nanoseconds{count_};
    }

    friend constexpr auto operator<=>(Duration, Duration) noexcept = default;

    /// Saturates; `never` stays `never`.
    friend constexpr Duration operator+(Duration a, Duration b) noexcept {
        return nanoseconds(add(a.count_, b.count_));
    }
    friend constexpr Duration operator-(Duration a, Duration b) noexcept {
        return nanoseconds(subtract(a.count_, b.count_));
    }
    friend constexpr Duration operator*(Duration a, std::int64_t factor) noexcept {
        return nanoseconds(multiply(a.count_, factor));
    }

private:
    friend class Instant;
    static constexpr std::int64_t largest = (std::numeric_limits<std::int64_t>::max)();
    static constexpr std::int64_t smallest = (std::numeric_limits<std::int64_t>::min)();

    static constexpr std::int64_t add(std::int64_t a, std::int64_t b) noexcept {
        if (a == largest || b == largest) { return largest; }
        if (b > 0 && a > largest - b) { return largest; }
        if (b < 0 && a < smallest - b) { return smallest; }
        return a + b;
    }
    static constexpr std::int64_t subtract(std::int64_t a, std::int64_t b) noexcept {
        if (a == largest) { return largest; }
        if (b < 0 && a > largest + b) { return largest; }
        if (b > 0 && a < smallest + b) { return smallest; }
        return a - b;
    }
    static constexpr std::int64_t multiply(std::int64_t a, std::int64_t b) noexcept {
        if (b == 0) { return 0; }
        const bool negative = (a < 0) != (b < 0);
        const auto size = [](std::int64_t v) {
            return v < 0 ? 0 - static_cast<std::uint64_t>(v) : static_cast<std::uint64_t>(v);
        };
        if (size(a) > static_cast<std::uint64_t>(largest) / size(b)) {
            return negative ? smallest : largest;
        }
        return a * b;
    }
    template <class Rep, class Period> static constexpr std::int64_t convert(Rep count) noexcept {
        using Ratio = std::ratio_divide<Period, std::nano>;
        if constexpr (std::is_floating_point_v<Rep>) {
            const auto exact = static_cast<long double>(count) * Ratio::num / Ratio::den;
            if (exact != exact) { return smallest; }
            if (exact >= static_cast<long double>(largest)) { return largest; }
            if (exact <= static_cast<long double>(smallest)) { return smallest; }
            return static_cast<std::int64_t>(exact);
        } else {
            if constexpr (std::is_unsigned_v<Rep>) {
                if (count > static_cast<std::uint64_t>(largest)) { return largest; }
            }
            return multiply(static_cast<std::int64_t>(count), Ratio::num) / Ratio::den;
        }
    }

    std::int64_t count_ = 0;
};

/// A point on the clock of one broker, in nanoseconds since whatever that clock counts from.
/// Instants of different clocks have nothing to do with each other.
class Instant {
public:
    constexpr Instant() noexcept = default;
    constexpr explicit Instant(Duration since_epoch) noexcept : since_epoch_{since_epoch} {}

    /// Later than anything: what is due then is never due.
    [[nodiscard]] static constexpr Instant never() noexcept { return Instant{Duration::never()}; }
    [[nodiscard]] constexpr Duration since_epoch() const noexcept { return since_epoch_; }
    [[nodiscard]] constexpr bool is_never() const noexcept { return since_epoch_.is_never(); }

    friend constexpr auto operator<=>(Instant, Instant) noexcept = default;

    friend constexpr Instant operator+(Instant at, Duration length) noexcept {
        return Instant{at.since_epoch_ + length};
    }
    friend constexpr Instant operator-(Instant at, Duration length) noexcept {
        return Instant{at.since_epoch_ - length};
    }
    friend constexpr Duration operator-(Instant later, Instant earlier) noexcept {
        return later.since_epoch_ - earlier.since_epoch_;
    }

private:
    Duration since_epoch_;
};

namespace detail {
[[nodiscard]] constexpr Instant earlier(Instant a, Instant b) noexcept { return b < a ? b : a; }
[[nodiscard]] constexpr Instant later(Instant a, Instant b) noexcept { return a < b ? b : a; }
}  // namespace detail

}  // namespace v0
}  // namespace latchbox
