// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <utility>

#include "latchbox/version.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// A handle on something that counts its handles: `hold()` and `let_go()`.
template <class T> class Reference {
public:
    Reference() noexcept = default;
    // Takes over one count.
    explicit Reference(T* counted) noexcept : to_{counted} {}
    [[nodiscard]] static Reference to(T& counted) noexcept {
        counted.hold();
        return Reference{&counted};
    }
    Reference(const Reference& other) noexcept : to_{other.to_} {
        if (to_ != nullptr) { to_->hold(); }
    }
    Reference(Reference&& other) noexcept : to_{std::exchange(other.to_, nullptr)} {}
    Reference& operator=(Reference other) noexcept {
        std::swap(to_, other.to_);
        return *this;
    }
    ~Reference() {
        if (to_ != nullptr) { to_->let_go(); }
    }

    [[nodiscard]] T* get() const noexcept { return to_; }
    T& operator*() const noexcept { return *to_; }
    T* operator->() const noexcept { return to_; }
    explicit operator bool() const noexcept { return to_ != nullptr; }

private:
    T* to_ = nullptr;
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
