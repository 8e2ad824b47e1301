// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>
#include <utility>

#include "latchbox/version.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// So many things side by side, as many as were made. What grows here grows from one array to a
// larger one, made outside every lock, and needs no more of a vector than this: one for each kind
// of thing is up to a hundred functions more for whoever includes it to compile.
template <class T> class Array {
public:
    Array() noexcept = default;
    // As new. May throw std::bad_alloc.
    explicit Array(std::size_t size) : items_{size != 0 ? new T[size]() : nullptr}, size_{size} {}
    Array(std::size_t size, const T& value) : Array(size) {
        for (T& item : *this) { item = value; }
    }
    Array(const Array& other) : Array(other.size_) {
        for (std::size_t i = 0; i < size_; ++i) { items_[i] = other.items_[i]; }
    }
    Array(Array&& other) noexcept
        : items_{std::exchange(other.items_, nullptr)}, size_{std::exchange(other.size_, 0)} {}
    Array& operator=(Array other) noexcept {
        swap(other);
        return *this;
    }
    ~Array() { delete[] items_; }

    void swap(Array& other) noexcept {
        std::swap(items_, other.items_);
        std::swap(size_, other.size_);
    }

    // For whoever deletes it, as an array.
    [[nodiscard]] T* release() noexcept {
        size_ = 0;
        return std::exchange(items_, nullptr);
    }

    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
    [[nodiscard]] T& operator[](std::size_t at) noexcept { return items_[at]; }
    [[nodiscard]] const T& operator[](std::size_t at) const noexcept { return items_[at]; }
    [[nodiscard]] T* begin() noexcept { return items_; }
    [[nodiscard]] T* end() noexcept { return items_ + size_; }
    [[nodiscard]] const T* begin() const noexcept { return items_; }
    [[nodiscard]] const T* end() const noexcept { return items_ + size_; }

private:
    T* items_ = nullptr;
    std::size_t size_ = 0;
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
