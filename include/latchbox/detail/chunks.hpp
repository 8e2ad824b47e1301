// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "latchbox/detail/array.hpp"
#include "latchbox/detail/ensure.hpp"
#include "latchbox/version.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// An array that grows at its end and whose elements never move: each chunk is as large as all
// before it and one first chunk together. A chunk is made outside every lock by `make`, and handed
// over by `adopt`, which cannot fail. Copyable if T is, for those who search states.
//
// Elements are counted from where the first chunk would begin if there were chunks before it, down
// to one of a single element: then the highest bit of a position names the chunk, and the others
// say where in it.
template <class T> class Chunks {
public:
    struct Chunk {
        Array<T> elements;
        unsigned index = 0;
    };

    // 2^first_bits elements in the first chunk.
    explicit Chunks(unsigned first_bits = 4) noexcept
        : first_{std::size_t{1} << first_bits}, begin_{first_bits}, end_{first_bits} {}
    ~Chunks() {
        while (end_ != begin_) { delete[] chunks_[--end_]; }
    }
    Chunks(const Chunks& other) : Chunks{other.begin_} {  // whole, should a copy throw
        while (end_ < other.end_) {
            Chunk copy = make(next());
            for (std::size_t i = 0; i < copy.elements.size(); ++i) {
                copy.elements[i] = other.chunks_[end_][i];
            }
            adopt(copy);
        }
    }
    Chunks& operator=(const Chunks& other) {
        Chunks copy{other};
        std::swap(first_, copy.first_);
        std::swap(begin_, copy.begin_);
        std::swap(end_, copy.end_);
        for (unsigned i = 0; i < most; ++i) { std::swap(chunks_[i], copy.chunks_[i]); }
        return *this;
    }

    [[nodiscard]] unsigned next() const noexcept { return end_ - begin_; }
    [[nodiscard]] std::size_t capacity() const noexcept {
        return (std::size_t{1} << end_) - first_;
    }

    // May throw std::bad_alloc; needs no lock.
    [[nodiscard]] Chunk make(unsigned index) const { return {Array<T>(first_ << index), index}; }
    // Leaves `chunk` alone if it is not the next one any more.
    void adopt(Chunk& chunk) noexcept {
        if (chunk.elements.empty() || chunk.index != next()) { return; }
        ensure(end_ < most, "more elements than a slot can number");
        chunks_[end_++] = chunk.elements.release();
    }

    [[nodiscard]] T& operator[](std::uint32_t at) noexcept { return *find(at); }
    [[nodiscard]] const T& operator[](std::uint32_t at) const noexcept { return *find(at); }

private:
    static constexpr unsigned most = 32;

    [[nodiscard, gnu::always_inline]] T* find(std::uint32_t at) const noexcept {
        const std::size_t position = first_ + at;
        const auto chunk = static_cast<unsigned>(std::bit_width(position)) - 1;
        return &chunks_[chunk][position ^ (std::size_t{1} << chunk)];
    }

    std::size_t first_;  // position of element 0
    unsigned begin_;     // the first chunk
    unsigned end_;
    T* chunks_[most] = {};  // owned, by the highest bit of their positions
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
