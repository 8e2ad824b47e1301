// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>

#include "latchbox/detail/array.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// Memory for a T that somebody makes when it is first used, and ends if it needs an end. Until then
// it is not touched, so that the system need not give a page for it.
template <class T> union Later {
    Later() noexcept {}
    ~Later() {}
    T it;
};

// Things side by side, added one after the other where there is room. They move to more of it by
// copying, into memory that was made outside every lock.
template <class T> class Growing {
    static_assert(std::is_trivially_destructible_v<T>, "nobody ends them");

public:
    Growing() noexcept = default;
    // Nothing yet. May throw std::bad_alloc.
    explicit Growing(std::size_t room) : items_(room) {}
    Growing(const Growing& other) : Growing(other.room()) { copy(other); }
    Growing& operator=(Growing other) noexcept {
        swap(other);
        return *this;
    }
    ~Growing() = default;

    void swap(Growing& other) noexcept {
        items_.swap(other.items_);
        std::swap(size_, other.size_);
    }
    // Takes the larger room, and leaves the old one in its place.
    void adopt(Growing& larger) noexcept {
        if (larger.room() <= room()) { return; }
        larger.copy(*this);
        swap(larger);
    }
    // As new. There is room.
    T& add() noexcept { return *std::construct_at(std::addressof(items_[size_++].it)); }

    [[nodiscard]] std::uint32_t size() const noexcept { return size_; }
    [[nodiscard]] std::size_t room() const noexcept { return items_.size(); }
    [[nodiscard]] T& operator[](std::size_t at) noexcept { return items_[at].it; }
    [[nodiscard]] const T& operator[](std::size_t at) const noexcept { return items_[at].it; }

private:
    void copy(const Growing& from) noexcept {
        for (size_ = 0; size_ != from.size_; ++size_) {
            std::construct_at(std::addressof(items_[size_].it), from[size_]);
        }
    }

    Array<Later<T>> items_;
    std::uint32_t size_ = 0;  // slots have so many bits
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
