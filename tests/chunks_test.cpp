// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/chunks.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

#include <doctest/doctest.h>

#include "support/failing_new.hpp"

namespace {

using latchbox::detail::Chunks;

template <class T> void grow(Chunks<T>& chunks) {
    auto chunk = chunks.make(chunks.next());
    chunks.adopt(chunk);
}

std::uint32_t size_of(const Chunks<int>& chunks) {
    return static_cast<std::uint32_t>(chunks.capacity());
}

TEST_CASE("each chunk is as large as all before it and one first chunk together") {
    for (unsigned first_bits = 0; first_bits < 5; ++first_bits) {
        Chunks<int> chunks{first_bits};
        CHECK(chunks.capacity() == 0);
        std::size_t expected = 0;
        for (unsigned index = 0; index < 8; ++index) {
            CHECK(chunks.next() == index);
            expected += expected + (std::size_t{1} << first_bits);
            grow(chunks);
            CHECK(chunks.capacity() == expected);
        }
    }
    Chunks<int> sixteen;
    grow(sixteen);
    CHECK(sixteen.capacity() == 16);
}

TEST_CASE("elements never move, and every index has one of its own [4.8]") {
    for (unsigned first_bits = 0; first_bits < 4; ++first_bits) {
        Chunks<int> chunks{first_bits};
        std::vector<const int*> places;
        for (int rounds = 0; rounds < 7; ++rounds) {
            grow(chunks);
            for (std::uint32_t at = 0; at < size_of(chunks); ++at) {
                if (at < places.size()) {
                    REQUIRE(&chunks[at] == places[at]);
                    REQUIRE(chunks[at] == static_cast<int>(at));
                } else {
                    places.push_back(&chunks[at]);
                    chunks[at] = static_cast<int>(at);
                }
            }
        }
        // Had two indices shared an element, the later would have written over the earlier.
        for (std::uint32_t at = 0; at < size_of(chunks); ++at) {
            REQUIRE(chunks[at] == static_cast<int>(at));
        }
    }
}

TEST_CASE("of two chunks made for one place the first is taken, the other left alone") {
    Chunks<int> chunks{0};
    auto first = chunks.make(0);
    auto second = chunks.make(0);
    first.elements[0] = 7;
    chunks.adopt(first);
    chunks.adopt(second);
    CHECK(chunks.next() == 1);
    CHECK(chunks[0] == 7);
    CHECK(first.elements.empty());
    CHECK_FALSE(second.elements.empty());
    SUBCASE("a chunk for a later place is left alone, too") {
        auto later = chunks.make(2);
        chunks.adopt(later);
        CHECK(chunks.next() == 1);
        CHECK_FALSE(later.elements.empty());
    }
    SUBCASE("and so is no chunk at all") {
        Chunks<int>::Chunk nothing;
        nothing.index = 1;
        chunks.adopt(nothing);
        CHECK(chunks.next() == 1);
    }
}

TEST_CASE("a copy has its own elements, of equal value") {
    Chunks<int> chunks{1};
    for (int rounds = 0; rounds < 3; ++rounds) { grow(chunks); }
    for (std::uint32_t at = 0; at < size_of(chunks); ++at) {
        chunks[at] = 10 * static_cast<int>(at);
    }
    Chunks<int> copy{0};
    grow(copy);
    SUBCASE("constructed") {
        Chunks<int> made{chunks};
        copy = made;
    }
    SUBCASE("assigned") { copy = chunks; }
    CHECK(copy.capacity() == chunks.capacity());
    CHECK(copy.next() == chunks.next());
    for (std::uint32_t at = 0; at < size_of(chunks); ++at) {
        CHECK(copy[at] == chunks[at]);
        CHECK(&copy[at] != &chunks[at]);
    }
    copy[3] = -1;
    CHECK(chunks[3] == 30);
    grow(copy);
    CHECK(copy.capacity() == 2 * chunks.capacity() + 2);
}

TEST_CASE("assigned to itself it stays what it was") {
    Chunks<int> chunks{0};
    grow(chunks);
    chunks[0] = 5;
    const auto& same = chunks;
    chunks = same;
    CHECK(chunks[0] == 5);
    CHECK(chunks.capacity() == 1);
}

struct Counted {
    static inline int living = 0;
    Counted() noexcept { ++living; }
    Counted(const Counted&) noexcept { ++living; }
    Counted& operator=(const Counted&) = default;
    ~Counted() { --living; }
};

TEST_CASE_TEMPLATE("the memory of all chunks is given back in the end", T, int, Counted) {
    const auto live = support::live_allocations();
    for (unsigned count = 0; count < 4; ++count) {
        Chunks<T> chunks{1};
        for (unsigned i = 0; i < count; ++i) { grow(chunks); }
        Chunks<T> copy{chunks};
        copy = chunks;
        auto not_taken = chunks.make(count + 1);
        chunks.adopt(not_taken);
        CHECK(support::live_allocations() == live + 2 * count + 1);
    }
    CHECK(support::live_allocations() == live);
    CHECK(Counted::living == 0);
}

}  // namespace
