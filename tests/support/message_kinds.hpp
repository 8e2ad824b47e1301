// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

// Every kind of message the library promises to carry. `Kind<T>::make(n)` makes the one numbered
// n, `Kind<T>::number(m)` reads it back: -1 if it is not whole, or was moved from.
namespace support {

template <class T> struct Kind {
    static T make(int n) { return T{n}; }
    static int number(const T& message) { return message.number(); }
    static int expected(int n) { return n; }
};

template <> struct Kind<int> {
    static int make(int n) { return n; }
    static int number(int message) { return message; }
    static int expected(int n) { return n; }
};

template <> struct Kind<std::string> {
    // Long enough to live on the heap.
    static std::string make(int n) { return std::string(40, '.') + std::to_string(n); }
    static int number(const std::string& message) {
        return message.size() > 40 ? std::stoi(message.substr(40)) : -1;
    }
    static int expected(int n) { return n; }
};

class MoveOnly {
public:
    explicit MoveOnly(int n) : number_{std::make_unique<int>(n)} {}
    [[nodiscard]] int number() const { return number_ ? *number_ : -1; }

private:
    std::unique_ptr<int> number_;
};

/// Moving it copies it.
class CopyOnly {
public:
    explicit CopyOnly(int n) : number_{n} {}
    CopyOnly(const CopyOnly&) = default;
    CopyOnly& operator=(const CopyOnly&) = default;
    ~CopyOnly() {}
    [[nodiscard]] int number() const { return number_; }

private:
    int number_;
};

/// What a message throws when its turn has come.
struct Thrown : std::runtime_error {
    Thrown() : std::runtime_error{"thrown by a message"} {}
};

/// Counts copies and moves of the kinds below, and lets the n-th from now throw. For one thread.
class ThrowPlan {
public:
    static void arm(std::uint64_t nth) {
        left_ = nth;
        thrown_ = 0;
    }
    static void disarm() { left_ = 0; }
    [[nodiscard]] static std::uint64_t thrown() { return thrown_; }
    static void step() {
        if (left_ == 0 || --left_ != 0) { return; }
        ++thrown_;
        throw Thrown{};
    }

private:
    inline static std::uint64_t left_ = 0;
    inline static std::uint64_t thrown_ = 0;
};

/// Copying and moving throw by the plan, as far as the parameters let them; counts who lives.
template <bool copies, bool copy_throws, bool moves, bool move_throws> class Throwing {
public:
    explicit Throwing(int n) : number_{n} { ++live_; }
    Throwing(const Throwing& other) requires(copies) : number_{other.copied()} { ++live_; }
    // Where it may not be moved, moving copies.
    Throwing(Throwing&& other) noexcept(moves ? !move_throws : !copy_throws)
        : number_{moves ? other.moved() : other.copied()} {
        ++live_;
    }
    Throwing& operator=(const Throwing& other) requires(copies) {
        number_ = other.copied();
        return *this;
    }
    Throwing& operator=(Throwing&& other) noexcept(moves ? !move_throws : !copy_throws) {
        if (this != &other) { number_ = moves ? other.moved() : other.copied(); }
        return *this;
    }
    ~Throwing() { --live_; }

    [[nodiscard]] int number() const { return number_; }
    [[nodiscard]] static int live() { return live_; }

private:
    [[nodiscard]] int copied() const {
        if (copy_throws) { ThrowPlan::step(); }
        return number_;
    }
    [[nodiscard]] int moved() {
        if (move_throws) { ThrowPlan::step(); }
        return std::exchange(number_, -1);
    }

    inline static int live_ = 0;
    int number_;
};

using ThrowingCopy = Throwing<true, true, true, false>;
using ThrowingMove = Throwing<true, true, true, true>;
using ThrowingMoveOnly = Throwing<false, false, true, true>;
using ThrowingCopyOnly = Throwing<true, true, false, false>;

class alignas(64) Aligned64 {
public:
    explicit Aligned64(int n) : number_{n} {}
    [[nodiscard]] int number() const {
        return reinterpret_cast<std::uintptr_t>(this) % 64 == 0 ? number_ : -1;
    }

private:
    int number_;
};

struct Empty {};
template <> struct Kind<Empty> {
    static Empty make(int) { return {}; }
    static int number(const Empty&) { return 0; }
    static int expected(int) { return 0; }
};

/// One megabyte, checked at both ends.
class Megabyte {
public:
    explicit Megabyte(int n) : first_{n}, last_{n} {}
    [[nodiscard]] int number() const {
        return first_ == last_ && between_.back() == 0 ? first_ : -1;
    }

private:
    int first_;
    std::array<char, 1'048'576 - 2 * sizeof(int)> between_ = {};
    int last_;
};
static_assert(sizeof(Megabyte) == 1'048'576);

/// Knows its own address.
class SelfReferential {
public:
    explicit SelfReferential(int n) : number_{n} {}
    SelfReferential(const SelfReferential& other) noexcept : number_{other.number()} {}
    SelfReferential& operator=(const SelfReferential& other) noexcept {
        number_ = other.number();
        return *this;
    }
    ~SelfReferential() { self_ = nullptr; }
    [[nodiscard]] int number() const { return self_ == this ? number_ : -1; }

private:
    const SelfReferential* self_ = this;
    int number_;
};

class NoDefault {
public:
    NoDefault() = delete;
    explicit NoDefault(int n) : number_{n} {}
    [[nodiscard]] int number() const { return number_; }

private:
    int number_;
};

/// Its copies, moves and ends call back: what the test says, mostly the broker.
class CallsBack {
public:
    explicit CallsBack(int n) : number_{n} {}
    CallsBack(const CallsBack& other) : number_{other.number_} { call(on_copy); }
    CallsBack(CallsBack&& other) noexcept(false) : number_{std::exchange(other.number_, -1)} {
        call(on_move);
    }
    CallsBack& operator=(const CallsBack& other) {
        number_ = other.number_;
        call(on_copy);
        return *this;
    }
    CallsBack& operator=(CallsBack&& other) noexcept(false) {
        number_ = std::exchange(other.number_, -1);
        call(on_move);
        return *this;
    }
    ~CallsBack() { call(on_end); }
    [[nodiscard]] int number() const { return number_; }

    inline static std::function<void()> on_copy = {};
    inline static std::function<void()> on_move = {};
    inline static std::function<void()> on_end = {};
    /// Calls made by hooks so far.
    inline static int calls = 0;
    static void no_calls() {
        on_copy = {};
        on_move = {};
        on_end = {};
    }

private:
    // What a hook does may copy and destroy messages in turn: those call nobody.
    static void call(const std::function<void()>& hook) {
        if (!hook || inside_) { return; }
        inside_ = true;
        ++calls;
        hook();
        inside_ = false;
    }
    inline static bool inside_ = false;
    int number_;
};

/// Counts its copies, moves and who lives; for any thread.
class Counted {
public:
    explicit Counted(int n) : number_{n} { ++live; }
    Counted(const Counted& other) : number_{other.number_} {
        ++live;
        ++copies;
    }
    Counted(Counted&& other) noexcept : number_{std::exchange(other.number_, -1)} {
        ++live;
        ++moves;
    }
    Counted& operator=(const Counted& other) {
        number_ = other.number_;
        ++copies;
        return *this;
    }
    Counted& operator=(Counted&& other) noexcept {
        number_ = std::exchange(other.number_, -1);
        ++moves;
        return *this;
    }
    ~Counted() {
        number_ = -2;
        --live;
    }
    [[nodiscard]] int number() const { return number_; }

    inline static std::atomic<int> live{0};
    inline static std::atomic<int> copies{0};
    inline static std::atomic<int> moves{0};
    static void reset() {
        copies = 0;
        moves = 0;
    }

private:
    int number_;
};

}  // namespace support
