// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <new>
#include <type_traits>
#include <utility>

#include "latchbox/detail/ensure.hpp"
#include "latchbox/detail/fail.hpp"
#include "latchbox/errc.hpp"

namespace latchbox {
inline namespace v0 {

namespace detail {
struct Access;
}  // namespace detail

/// A value, or the `Errc` that says why there is none. The members of `std::expected`, but one
/// class on every language standard, so that programs built with several can be linked together.
/// `value()` without a value throws `Error`, or ends the program with its text where exceptions
/// are off; `*` and `->` without one, and `error()` with one, are broken assertions.
template <class T> class Result {
public:
    using value_type = T;
    using error_type = Errc;

    Result(T&& value) noexcept(std::is_nothrow_move_constructible_v<T>)
        : value_(std::move(value)) {}
    Result(const T& value) requires std::is_copy_constructible_v<T> : value_(value) {}
    Result(Errc error) noexcept : nothing_{}, error_{error} {
        detail::ensure(error != Errc{}, "an error needs a reason");
    }
    template <class... Args>
    explicit Result(std::in_place_t, Args&&... args) : value_(std::forward<Args>(args)...) {}

    Result(const Result& other) requires std::is_copy_constructible_v<T>
        : nothing_{}, error_{other.error_} {
        if (other) { ::new (place()) T(other.value_); }
    }
    Result(Result&& other) noexcept(std::is_nothrow_move_constructible_v<T>)
        : nothing_{}, error_{other.error_} {
        if (other) { ::new (place()) T(std::move(other.value_)); }
    }
    Result& operator=(const Result& other) requires std::is_copy_constructible_v<T> {
        Result copy{other};
        return *this = std::move(copy);
    }
    Result& operator=(Result&& other) noexcept(std::is_nothrow_move_constructible_v<T>) {
        if (this == __builtin_addressof(other)) { return *this; }
        reset();
        if (other) { ::new (place()) T(std::move(other.value_)); }
        error_ = other.error_;
        return *this;
    }
    ~Result() {
        if (has_value()) { value_.~T(); }
    }

    [[nodiscard]] bool has_value() const noexcept { return error_ == Errc{}; }
    explicit operator bool() const noexcept { return has_value(); }

    T& value() & { return checked(), value_; }
    const T& value() const& { return checked(), value_; }
    T&& value() && { return checked(), std::move(value_); }

    [[nodiscard]] Errc error() const noexcept {
        detail::ensure(!has_value(), "error() of a Result that has a value");
        return error_;
    }

    T& operator*() & noexcept { return present(), value_; }
    const T& operator*() const& noexcept { return present(), value_; }
    T&& operator*() && noexcept { return present(), std::move(value_); }
    T* operator->() noexcept { return present(), __builtin_addressof(value_); }
    const T* operator->() const noexcept { return present(), __builtin_addressof(value_); }

    template <class U> T value_or(U&& other) const& {
        return has_value() ? value_ : static_cast<T>(std::forward<U>(other));
    }
    template <class U> T value_or(U&& other) && {
        return has_value() ? std::move(value_) : static_cast<T>(std::forward<U>(other));
    }

    /// The result of `next(value)`, itself a `Result`; or the error.
    template <class F> auto and_then(F&& next) && {
        using Next = std::remove_cvref_t<decltype(std::forward<F>(next)(std::move(value_)))>;
        return has_value() ? std::forward<F>(next)(std::move(value_)) : Next{error_};
    }
    template <class F> auto and_then(F&& next) const& {
        using Next = std::remove_cvref_t<decltype(std::forward<F>(next)(value_))>;
        return has_value() ? std::forward<F>(next)(value_) : Next{error_};
    }
    /// `change(value)` wrapped in a `Result`; or the error.
    template <class F> auto transform(F&& change) && {
        using Next = Result<std::remove_cvref_t<decltype(change(std::move(value_)))>>;
        return has_value() ? Next{std::forward<F>(change)(std::move(value_))} : Next{error_};
    }
    template <class F> auto transform(F&& change) const& {
        using Next = Result<std::remove_cvref_t<decltype(change(value_))>>;
        return has_value() ? Next{std::forward<F>(change)(value_)} : Next{error_};
    }
    /// This value; or what `instead(error)` gives, itself a `Result<T>`.
    template <class F> Result or_else(F&& instead) && {
        return has_value() ? std::move(*this) : std::forward<F>(instead)(error_);
    }

    friend bool operator==(const Result& result, Errc code) noexcept {
        return !result.has_value() && result.error_ == code;
    }

private:
    friend struct detail::Access;
    void* place() noexcept { return __builtin_addressof(value_); }
    void checked() const {
        if (!has_value()) [[unlikely]] { detail::fail_with(error_); }
    }
    void present() const noexcept {
        detail::ensure(has_value(), "the value of a Result that has none");
    }
    void reset() noexcept {
        if (has_value()) { value_.~T(); }
        error_ = Errc::empty;  // without a value until a new one stands
    }

    struct Nothing {};
    union {
        T value_;
        Nothing nothing_;
    };
    Errc error_ = Errc{};
};

/// Success, or the `Errc` that says why not.
template <> class Result<void> {
public:
    using value_type = void;
    using error_type = Errc;

    constexpr Result() noexcept = default;
    constexpr Result(Errc error) noexcept : error_{error} {
        detail::ensure(error != Errc{}, "an error needs a reason");
    }

    [[nodiscard]] constexpr bool has_value() const noexcept { return error_ == Errc{}; }
    constexpr explicit operator bool() const noexcept { return has_value(); }
    void value() const {
        if (!has_value()) [[unlikely]] { detail::fail_with(error_); }
    }
    [[nodiscard]] Errc error() const noexcept {
        detail::ensure(!has_value(), "error() of a Result that succeeded");
        return error_;
    }
    void operator*() const noexcept {
        detail::ensure(has_value(), "the value of a Result that has none");
    }
    template <class F> auto and_then(F&& next) const {
        using Next = std::remove_cvref_t<decltype(std::forward<F>(next)())>;
        return has_value() ? std::forward<F>(next)() : Next{error_};
    }
    template <class F> Result or_else(F&& instead) const {
        return has_value() ? *this : std::forward<F>(instead)(error_);
    }

    friend constexpr bool operator==(Result result, Errc code) noexcept {
        return !result.has_value() && result.error_ == code;
    }

private:
    Errc error_ = Errc{};
};

}  // namespace v0
}  // namespace latchbox
