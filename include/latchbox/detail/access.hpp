// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <utility>

#include "latchbox/detail/queue_audit.hpp"
#include "latchbox/fwd.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// The way past `private` between handles, and for tests that look at a core. Nobody else's.
struct Access {
    template <class Handle, class... Args> [[nodiscard]] static Handle make(Args&&... args) {
        return Handle{std::forward<Args>(args)...};
    }
    template <class Msg, class Platform>
    [[nodiscard]] static auto& shell(const Consumer<Msg, Platform>& consumer) noexcept {
        return *consumer.shell_;
    }
    // Only while no other thread uses the broker.
    template <class Msg, class Platform>
    [[nodiscard]] static const auto& core(const Consumer<Msg, Platform>& consumer) noexcept {
        return consumer.shell_->core;
    }
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
