// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <new>
#include <utility>

#include "latchbox/detail/queue_audit.hpp"
#include "latchbox/fwd.hpp"
#include "latchbox/result.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// The way past `private` between handles, and for tests that look at a core. Nobody else's.
struct Access {
    template <class Handle, class... Args> [[nodiscard]] static Handle make(Args&&... args) {
        return Handle{std::forward<Args>(args)...};
    }
    // Gives a result without a value the one that `make` returns, in its place.
    template <class T, class Make> static void fill(Result<T>& result, Make&& make) noexcept {
        ::new (result.place()) T(make());
        result.error_ = Errc{};
    }
    // And another reason to one that has none.
    template <class T> static void fail(Result<T>& result, Errc why) noexcept {
        result.error_ = why;
    }
    template <class Msg, class Platform>
    [[nodiscard]] static auto& shell(const Consumer<Msg, Platform>& consumer) noexcept {
        return *consumer.shell_;
    }
    template <class Msg, class Platform>
    [[nodiscard]] static auto member(const Consumer<Msg, Platform>& consumer) noexcept {
        return consumer.member_;
    }
    template <class Msg, class Platform>
    [[nodiscard]] static bool is_settled(const Delivery<Msg, Platform>& delivery) noexcept {
        return delivery.settled_;
    }
    template <class Msg, class Platform>
    static void take_back(Delivery<Msg, Platform>& delivery) noexcept {
        delivery.take_back();
    }
    template <class Msg, class Platform>
    [[nodiscard]] static const auto& asked(const Latch<Msg, Platform>& latch) noexcept {
        return latch.asked_;
    }
    template <class Handle> [[nodiscard]] static auto handle(const Handle& handle) noexcept {
        return handle.shell_;
    }
    template <class Msg, class Platform>
    [[nodiscard]] static auto& shell(const Broker<Msg, Platform>& broker) noexcept {
        return *broker.shell_;
    }
    // Only while no other thread uses the broker.
    template <class Msg, class Platform>
    [[nodiscard]] static const auto& core(const Consumer<Msg, Platform>& consumer) noexcept {
        const auto* const core = &consumer.shell_->core;  // a reference would ask for the lock
        return *core;
    }
    template <class Msg, class Platform>
    [[nodiscard]] static const auto& board(const Consumer<Msg, Platform>& consumer) noexcept {
        const auto* const board = &consumer.shell_->broker->latches.board;
        return *board;
    }
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
