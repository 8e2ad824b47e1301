// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <type_traits>
#include <vector>

namespace support {

/// What a tracked message throws on demand.
struct TrackedFault : std::exception {
    [[nodiscard]] const char* what() const noexcept override { return "a tracked message threw"; }
};

/// A message that keeps books of itself: how many live, how often they were copied and moved. It
/// knows whether it is the value it was made with, was moved from, or is not even alive, and it
/// throws from a copy or (where `MoveMayThrow`) from a move when told to.
///
/// The books are one per type. They are atomic, so that threads may share them; `reset` and the
/// faults are for one thread at a time.
template <bool MoveMayThrow> class BasicTrackedMessage {
public:
    explicit BasicTrackedMessage(std::uint64_t value) noexcept : value_{value} { come_alive(); }
    BasicTrackedMessage(const BasicTrackedMessage& other) : value_{other.value_} {
        may_throw(copy_fault_);
        copies_.fetch_add(1, std::memory_order_relaxed);
        come_alive(other);
    }
    BasicTrackedMessage(BasicTrackedMessage&& other) noexcept(!MoveMayThrow)
        : value_{other.value_} {
        if constexpr (MoveMayThrow) { may_throw(move_fault_); }
        moves_.fetch_add(1, std::memory_order_relaxed);
        come_alive(other);
        other.value_ = moved_from;
        other.seal_ = seal(moved_from);
    }
    BasicTrackedMessage& operator=(const BasicTrackedMessage& other) {
        may_throw(copy_fault_);
        copies_.fetch_add(1, std::memory_order_relaxed);
        value_ = other.value_;
        seal_ = other.seal_;
        return *this;
    }
    BasicTrackedMessage& operator=(BasicTrackedMessage&& other) noexcept(!MoveMayThrow) {
        if constexpr (MoveMayThrow) { may_throw(move_fault_); }
        moves_.fetch_add(1, std::memory_order_relaxed);
        if (this != &other) {
            value_ = other.value_;
            seal_ = other.seal_;
            other.value_ = moved_from;
            other.seal_ = seal(moved_from);
        }
        return *this;
    }
    ~BasicTrackedMessage() {
        live_.fetch_sub(1, std::memory_order_relaxed);
        if (destroyed_values_ != nullptr && digest() != damaged) {
            destroyed_values_->push_back(value_);
        }
        // Volatile, so that the traces of a dead object are really left behind.
        static_cast<volatile std::uint64_t&>(seal_) = 0;
        static_cast<volatile std::uint64_t&>(value_) = destroyed;
    }

    /// The value it was made with; `damaged` unless it is alive, whole and not moved from.
    [[nodiscard]] std::uint64_t digest() const noexcept {
        const bool whole = self_ == this && seal_ == seal(value_) && value_ != moved_from;
        return whole ? value_ : damaged;
    }
    [[nodiscard]] bool is_moved_from() const noexcept {
        return self_ == this && value_ == moved_from && seal_ == seal(moved_from);
    }

    static constexpr std::uint64_t damaged = ~std::uint64_t{0};

    [[nodiscard]] static std::int64_t live() noexcept { return read(live_); }
    [[nodiscard]] static std::int64_t copies() noexcept { return read(copies_); }
    [[nodiscard]] static std::int64_t moves() noexcept { return read(moves_); }
    /// Books of copies and moves back to zero, no fault armed.
    static void reset() noexcept {
        copies_.store(0, std::memory_order_relaxed);
        moves_.store(0, std::memory_order_relaxed);
        disarm();
    }

    /// From now on the values of those destroyed are noted there, those moved from left out; null:
    /// no more. For one thread.
    static void note_destroyed(std::vector<std::uint64_t>* values) noexcept {
        destroyed_values_ = values;
    }

    /// The n-th copy from now on throws, n from 1; those after it do not.
    static void throw_at_copy(std::int64_t n) noexcept { copy_fault_.store(n); }
    /// The same for moves.
    static void throw_at_move(std::int64_t n) noexcept
        requires MoveMayThrow
    {
        move_fault_.store(n);
    }
    static void disarm() noexcept {
        copy_fault_.store(0);
        move_fault_.store(0);
    }

private:
    using Count = std::atomic<std::int64_t>;

    static constexpr std::uint64_t moved_from = damaged - 1;
    static constexpr std::uint64_t destroyed = damaged - 2;

    static constexpr std::uint64_t seal(std::uint64_t value) noexcept {
        return (value ^ 0x5ea1ed5ea1ed5ea1U) * 0x9e3779b97f4a7c15U + 1;
    }
    static std::int64_t read(const Count& count) noexcept {
        return count.load(std::memory_order_relaxed);
    }
    static void may_throw(Count& fault) {
        if (fault.load(std::memory_order_relaxed) == 0) { return; }
        if (fault.fetch_sub(1, std::memory_order_relaxed) == 1) { throw TrackedFault{}; }
    }
    void come_alive() noexcept {
        self_ = this;
        seal_ = seal(value_);
        live_.fetch_add(1, std::memory_order_relaxed);
    }
    // A copy of something broken stays broken.
    void come_alive(const BasicTrackedMessage& other) noexcept {
        self_ = this;
        seal_ = other.self_ == &other ? other.seal_ : 0;
        live_.fetch_add(1, std::memory_order_relaxed);
    }

    static inline Count live_ = 0;
    static inline Count copies_ = 0;
    static inline Count moves_ = 0;
    static inline Count copy_fault_ = 0;
    static inline Count move_fault_ = 0;
    static inline std::vector<std::uint64_t>* destroyed_values_ = nullptr;

    const BasicTrackedMessage* self_ = nullptr;
    std::uint64_t value_;
    std::uint64_t seal_ = 0;
};

/// Copies may throw, moves never do.
using TrackedMessage = BasicTrackedMessage<false>;
/// Copies and moves may throw.
using ThrowingMessage = BasicTrackedMessage<true>;

static_assert(std::is_nothrow_move_constructible_v<TrackedMessage>);
static_assert(!std::is_nothrow_move_constructible_v<ThrowingMessage>);

}  // namespace support
