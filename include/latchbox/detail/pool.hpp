// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "latchbox/detail/chunks.hpp"
#include "latchbox/detail/ensure.hpp"
#include "latchbox/detail/record.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// Numbered things that never move. What is given back is taken again, the last one first. Memory
// is made by chunks outside every lock, so that growing costs nobody a pause. `T` lends its member
// `next` to the chain of free ones.
template <class T> class Pool {
public:
    using Chunk = typename Chunks<T>::Chunk;

    [[nodiscard]] bool has_room(std::size_t more = 1) const noexcept {
        return more <= items_.capacity() - in_use_;
    }
    // May throw std::bad_alloc; needs no lock.
    [[nodiscard]] Chunk make(unsigned index) const { return items_.make(index); }
    [[nodiscard]] unsigned next_chunk() const noexcept { return items_.next(); }
    void adopt(Chunk& chunk) noexcept { items_.adopt(chunk); }

    // As new.
    std::uint32_t take() noexcept {
        ensure(has_room(), "taken from a pool without room");
        const std::uint32_t at = free_ != none ? std::exchange(free_, items_[free_].next) : used_++;
        items_[at] = T{};
        ++in_use_;
        return at;
    }
    void give(std::uint32_t at) noexcept {
        items_[at].next = free_;
        free_ = at;
        --in_use_;
    }

    [[nodiscard]] T& operator[](std::uint32_t at) noexcept { return items_[at]; }
    [[nodiscard]] const T& operator[](std::uint32_t at) const noexcept { return items_[at]; }
    [[nodiscard]] std::size_t in_use() const noexcept { return in_use_; }
    // Numbers from here on were never taken.
    [[nodiscard]] std::uint32_t used() const noexcept { return used_; }

private:
    Chunks<T> items_;
    std::uint32_t free_ = none;
    std::uint32_t used_ = 0;
    std::size_t in_use_ = 0;
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
