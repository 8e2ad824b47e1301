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
template <class T> class Chunks {
public:
    struct Chunk {
        Array<T> elements;
        unsigned index = 0;
    };

    // 2^first_bits elements in the first chunk.
    explicit Chunks(unsigned first_bits = 4) noexcept : first_bits_{first_bits} {}
    ~Chunks() {
        while (count_ != 0) { delete[] chunks_[--count_]; }
    }
    Chunks(const Chunks& other) : Chunks{other.first_bits_} {  // whole, should a copy throw
        while (count_ < other.count_) {
            Chunk copy = make(count_);
            for (std::size_t i = 0; i < chunk_size(count_); ++i) {
                copy.elements[i] = other.chunks_[count_][i];
            }
            adopt(copy);
        }
    }
    Chunks& operator=(const Chunks& other) {
        Chunks copy{other};
        std::swap(first_bits_, copy.first_bits_);
        std::swap(count_, copy.count_);
        for (unsigned i = 0; i < most; ++i) { std::swap(chunks_[i], copy.chunks_[i]); }
        return *this;
    }

    [[nodiscard]] unsigned next() const noexcept { return count_; }
    [[nodiscard]] std::size_t capacity() const noexcept {
        return ((std::size_t{1} << count_) - 1) << first_bits_;
    }

    // May throw std::bad_alloc; needs no lock.
    [[nodiscard]] Chunk make(unsigned index) const { return {Array<T>(chunk_size(index)), index}; }
    // Leaves `chunk` alone if it is not the next one any more.
    void adopt(Chunk& chunk) noexcept {
        if (chunk.elements.empty() || chunk.index != count_) { return; }
        ensure(count_ < most, "more elements than a slot can number");
        chunks_[count_++] = chunk.elements.release();
    }

    [[nodiscard]] T& operator[](std::uint32_t at) noexcept { return *find(at); }
    [[nodiscard]] const T& operator[](std::uint32_t at) const noexcept { return *find(at); }

private:
    static constexpr unsigned most = 28;

    [[nodiscard]] std::size_t chunk_size(unsigned index) const noexcept {
        return std::size_t{1} << (first_bits_ + index);
    }
    [[nodiscard]] T* find(std::uint32_t at) const noexcept {
        // Counted from where chunk 0 would begin if those before it were there, too: the highest
        // bit names the chunk.
        const std::size_t shifted = at + (std::size_t{1} << first_bits_);
        const auto top = static_cast<unsigned>(std::bit_width(shifted)) - 1;
        return &chunks_[top - first_bits_][shifted ^ (std::size_t{1} << top)];
    }

    unsigned first_bits_;
    unsigned count_ = 0;
    T* chunks_[most] = {};  // owned; their sizes are known
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
