// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "latchbox/result.hpp"

namespace latchbox {
inline namespace v0 {

namespace detail {
struct IdParts;

/// Reads "m-1-2-3-4": the letter, then exactly `count` decimal numbers, nothing else.
bool read_numbers(std::string_view text, char letter, std::uint64_t* out, std::size_t count);
constexpr std::uint64_t mix(std::uint64_t a, std::uint64_t b) noexcept;

// Stands at the end of an id's text: one wrong digit, or two that changed places, must not name
// another message, or one that a broker would take for completed. Modulo a prime, base 11.
constexpr std::uint64_t check_digits(std::string_view text) noexcept;
}  // namespace detail

/// Names a message for as long as the process runs; drawn when the message is accepted, never
/// changed, never given to another. `{}` names none. Ordered by acceptance within the queue
/// that issued it; a regular, hashable value of 16 bytes that means nothing to anybody else. Its
/// text ends with a check of the rest.
class MessageId {
public:
    constexpr MessageId() noexcept = default;
    friend constexpr bool operator==(const MessageId&, const MessageId&) noexcept = default;
    friend constexpr std::strong_ordering operator<=>(const MessageId& a,
                                                      const MessageId& b) noexcept {
        if (const auto order = a.issuer_ <=> b.issuer_; order != 0) { return order; }
        if (const auto order = a.number_ <=> b.number_; order != 0) { return order; }
        return a.slot_ <=> b.slot_;
    }

    /// What `to_string` wrote; `invalid_name` for any other text.
    [[nodiscard]] static Result<MessageId> from_string(std::string_view text) {
        std::uint64_t parts[4];
        if (!detail::read_numbers(text, 'm', parts, 4)) { return Errc::invalid_name; }
        if (parts[0] > 0xffffffffU || parts[2] > 0xffffffffU) { return Errc::invalid_name; }
        if (parts[3] != detail::check_digits(text.substr(0, text.rfind('-')))) {
            return Errc::invalid_name;
        }
        MessageId id;
        id.issuer_ = static_cast<std::uint32_t>(parts[0]);
        id.number_ = parts[1];
        id.slot_ = static_cast<std::uint32_t>(parts[2]);
        return id;
    }
    [[nodiscard]] friend std::string to_string(const MessageId& id) {
        std::string text = "m-" + std::to_string(id.issuer_) + '-' + std::to_string(id.number_) +
                           '-' + std::to_string(id.slot_);
        const std::uint64_t check = detail::check_digits(text);
        return text.append("-").append(std::to_string(check));
    }

private:
    friend struct detail::IdParts;
    friend struct std::hash<MessageId>;
    // The slot is a hint where to look: it follows from the other two.
    std::uint64_t number_ = 0;
    std::uint32_t issuer_ = 0;
    std::uint32_t slot_ = 0;
};

/// Names one delivery: the fencing token of its lease. Whoever holds it can settle the delivery
/// by `queue.ack(receipt)` and its like for as long as the lease is live. `{}` names none. A
/// regular, hashable value of 24 bytes, ordered by hand-out within its queue.
class Receipt {
public:
    constexpr Receipt() noexcept = default;
    friend constexpr bool operator==(const Receipt&, const Receipt&) noexcept = default;
    friend constexpr std::strong_ordering operator<=>(const Receipt& a, const Receipt& b) noexcept {
        if (const auto order = a.queue_ <=> b.queue_; order != 0) { return order; }
        if (const auto order = a.lease_ <=> b.lease_; order != 0) { return order; }
        if (const auto order = a.number_ <=> b.number_; order != 0) { return order; }
        return a.slot_ <=> b.slot_;
    }

    /// What `to_string` wrote; `invalid_name` for any other text.
    [[nodiscard]] static Result<Receipt> from_string(std::string_view text) {
        std::uint64_t parts[4];
        if (!detail::read_numbers(text, 'r', parts, 4)) { return Errc::invalid_name; }
        if (parts[0] > 0xffffffffU || parts[3] > 0xffffffffU) { return Errc::invalid_name; }
        Receipt receipt;
        receipt.queue_ = static_cast<std::uint32_t>(parts[0]);
        receipt.lease_ = parts[1];
        receipt.number_ = parts[2];
        receipt.slot_ = static_cast<std::uint32_t>(parts[3]);
        return receipt;
    }
    [[nodiscard]] friend std::string to_string(const Receipt& receipt) {
        return "r-" + std::to_string(receipt.queue_) + '-' + std::to_string(receipt.lease_) + '-' +
               std::to_string(receipt.number_) + '-' + std::to_string(receipt.slot_);
    }

private:
    friend struct detail::IdParts;
    friend struct std::hash<Receipt>;
    std::uint64_t lease_ = 0;
    std::uint64_t number_ = 0;
    std::uint32_t queue_ = 0;
    std::uint32_t slot_ = 0;
};

namespace detail {

// The inside of ids, for those who issue and judge them. Numbers count from 1, so that `{}` is
// never issued.
struct IdParts {
    [[nodiscard]] static constexpr MessageId message(std::uint32_t issuer, std::uint64_t number,
                                                     std::uint32_t slot) noexcept {
        MessageId id;
        id.issuer_ = issuer;
        id.slot_ = slot;
        id.number_ = number;
        return id;
    }
    [[nodiscard]] static constexpr Receipt receipt(std::uint32_t queue, std::uint32_t slot,
                                                   std::uint64_t lease,
                                                   std::uint64_t number) noexcept {
        Receipt made;
        made.queue_ = queue;
        made.slot_ = slot;
        made.lease_ = lease;
        made.number_ = number;
        return made;
    }
    static constexpr std::uint32_t issuer(const MessageId& id) noexcept { return id.issuer_; }
    static constexpr std::uint32_t slot(const MessageId& id) noexcept { return id.slot_; }
    static constexpr std::uint64_t number(const MessageId& id) noexcept { return id.number_; }
    static constexpr std::uint32_t queue(const Receipt& r) noexcept { return r.queue_; }
    static constexpr std::uint32_t slot(const Receipt& r) noexcept { return r.slot_; }
    static constexpr std::uint64_t lease(const Receipt& r) noexcept { return r.lease_; }
    static constexpr std::uint64_t number(const Receipt& r) noexcept { return r.number_; }
};

inline bool read_numbers(std::string_view text, char letter, std::uint64_t* out,
                         std::size_t count) {
    if (text.empty() || text.front() != letter) { return false; }
    text.remove_prefix(1);
    for (std::size_t i = 0; i < count; ++i) {
        if (text.empty() || text.front() != '-') { return false; }
        text.remove_prefix(1);
        std::uint64_t value = 0;
        std::size_t digits = 0;
        while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') {
            const auto digit = static_cast<std::uint64_t>(text[digits] - '0');
            if (value > (~std::uint64_t{0} - digit) / 10) { return false; }
            value = value * 10 + digit;
            ++digits;
        }
        if (digits == 0 || (digits > 1 && text.front() == '0')) { return false; }
        text.remove_prefix(digits);
        out[i] = value;
    }
    return text.empty();
}

// The finaliser of MurmurHash3 over both words.
constexpr std::uint64_t mix(std::uint64_t a, std::uint64_t b) noexcept {
    std::uint64_t h = a ^ (b * 0x9e3779b97f4a7c15U);
    h = (h ^ (h >> 33)) * 0xff51afd7ed558ccdU;
    h = (h ^ (h >> 33)) * 0xc4ceb9fe1a85ec53U;
    return h ^ (h >> 33);
}

constexpr std::uint64_t check_digits(std::string_view text) noexcept {
    std::uint64_t sum = 0;
    for (const char c : text) {
        const bool digit = c >= '0' && c <= '9';
        sum = (sum * 11 + (digit ? static_cast<std::uint64_t>(c - '0') : 10)) % 97;
    }
    return sum;
}

}  // namespace detail

}  // namespace v0
}  // namespace latchbox

template <> struct std::hash<latchbox::MessageId> {
    std::size_t operator()(const latchbox::MessageId& id) const noexcept {
        return static_cast<std::size_t>(latchbox::detail::mix(id.number_, id.issuer_));
    }
};

template <> struct std::hash<latchbox::Receipt> {
    std::size_t operator()(const latchbox::Receipt& receipt) const noexcept {
        return static_cast<std::size_t>(latchbox::detail::mix(receipt.lease_, receipt.queue_));
    }
};
