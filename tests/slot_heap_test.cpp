// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/slot_heap.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/testing/choices.hpp"

namespace {

using Heap = latchbox::detail::SlotHeap<int>;

Heap heap_for(std::size_t items) {
    Heap heap;
    auto room = Heap::make(items);
    heap.adopt(room);
    return heap;
}

// Sound, and in front of it what stands in front of the sorted keys.
bool same(const Heap& heap, std::vector<int> keys) {
    std::sort(keys.begin(), keys.end());
    if (!heap.sound() || heap.size() != keys.size() || heap.empty() != keys.empty()) {
        return false;
    }
    if (!keys.empty() && heap.front().key != keys[0]) { return false; }
    return keys.size() < 2 || heap.second() == keys[1];
}

// For every key, and one beyond: how many are less.
bool counts(const Heap& heap, const std::vector<int>& keys, int most) {
    for (int key = -1; key <= most; ++key) {
        const auto less = std::count_if(keys.begin(), keys.end(), [key](int k) { return k < key; });
        if (heap.before(key) != static_cast<std::size_t>(less)) { return false; }
    }
    return true;
}

// Taken out one by one the keys come in order.
bool drains_in_order(Heap heap, std::vector<int> keys) {
    std::sort(keys.begin(), keys.end());
    for (const int key : keys) {
        if (heap.empty() || heap.front().key != key) { return false; }
        heap.remove(heap.front().item);
    }
    return heap.empty() && heap.sound();
}

TEST_CASE("every order of insertion and of removal of up to five items keeps the order") {
    for (std::uint32_t items = 1; items <= 5; ++items) {
        std::array<std::uint32_t, 5> keys = {0, 1, 2, 3, 4};
        do {
            std::array<std::uint32_t, 5> removals = {0, 1, 2, 3, 4};
            do {
                Heap heap = heap_for(items);
                std::vector<int> naive;
                for (std::uint32_t item = 0; item < items; ++item) {
                    heap.insert(static_cast<int>(keys[item]), item);
                    naive.push_back(static_cast<int>(keys[item]));
                }
                bool good = same(heap, naive);
                for (std::uint32_t i = 0; i < items; ++i) {
                    const int key = static_cast<int>(keys[removals[i]]);
                    good = good && heap.key(removals[i]) == key && heap.contains(removals[i]);
                    heap.remove(removals[i]);
                    naive.erase(std::find(naive.begin(), naive.end(), key));
                    good = good && !heap.contains(removals[i]) && same(heap, naive);
                }
                REQUIRE(good);
            } while (std::next_permutation(removals.begin(), removals.begin() + items));
        } while (std::next_permutation(keys.begin(), keys.begin() + items));
    }
}

TEST_CASE("every sequence of six insertions and removals does so, with equal keys too") {
    for (const std::array<int, 5>& keys :
         {std::array{1, 1, 1, 1, 1}, {0, 1, 0, 1, 0}, {4, 3, 2, 1, 0}, {2, 0, 1, 2, 0}}) {
        latchbox::testing::Exhaustive choices;
        do {
            Heap heap = heap_for(5);
            std::vector<int> naive;
            for (int i = 0; i < 6; ++i) {
                const std::uint32_t item = choices.pick(5);
                if (heap.contains(item)) {
                    heap.remove(item);
                    naive.erase(std::find(naive.begin(), naive.end(), keys[item]));
                } else {
                    heap.insert(keys[item], item);
                    naive.push_back(keys[item]);
                }
            }
            REQUIRE(same(heap, naive));
            REQUIRE(counts(heap, naive, 5));
            REQUIRE(drains_in_order(heap, naive));
        } while (choices.next());
    }
}

TEST_CASE("a long walk with many items keeps the order, while room grows under it") {
    latchbox::testing::Seeded choices{2};
    Heap heap = heap_for(1);
    std::vector<int> keys(100, -1);
    for (std::uint32_t i = 0; i < 5'000; ++i) {
        if (i % 50 == 0 && i / 50 < 100) {
            auto room = Heap::make(i / 50 + 1);
            heap.adopt(room);
        }
        const std::uint32_t item = choices.pick(std::min(i / 50 + 1, 100U));
        if (heap.contains(item)) {
            REQUIRE(heap.key(item) == keys[item]);
            heap.remove(item);
            keys[item] = -1;
        } else {
            keys[item] = static_cast<int>(choices.pick(50));
            heap.insert(keys[item], item);
        }
        std::vector<int> naive;
        std::copy_if(keys.begin(), keys.end(), std::back_inserter(naive),
                     [](int k) { return k >= 0; });
        REQUIRE(same(heap, naive));
        if (i % 100 == 0) { REQUIRE(counts(heap, naive, 51)); }
    }
}

TEST_CASE("room that is not larger is left alone, a larger one keeps what is there") {
    Heap heap = heap_for(2);
    heap.insert(7, 0);
    heap.insert(3, 1);
    auto smaller = Heap::make(2);
    heap.adopt(smaller);
    CHECK(smaller.position.size() == 2);
    CHECK(smaller.heap.size() == 2);
    CHECK(drains_in_order(heap, {3, 7}));
    auto larger = Heap::make(3);
    heap.adopt(larger);
    heap.insert(5, 2);
    CHECK(drains_in_order(heap, {3, 5, 7}));
    CHECK_FALSE(heap.contains(99));
}

TEST_CASE("a copy is one of its own and has room for as many") {
    Heap heap = heap_for(3);
    heap.insert(2, 0);
    Heap copy = heap_for(1);
    SUBCASE("constructed") { copy = Heap{heap}; }
    SUBCASE("assigned") { copy = heap; }
    copy.insert(1, 1);
    copy.insert(3, 2);
    CHECK(drains_in_order(copy, {1, 2, 3}));
    CHECK(drains_in_order(heap, {2}));
}

TEST_CASE("counting what comes before visits no more than that, and does not recurse deeply") {
    constexpr std::uint32_t items = 100'000;
    Heap heap = heap_for(items);
    CHECK(heap.before(7) == 0);
    for (std::uint32_t item = 0; item < items; ++item) {
        heap.insert(static_cast<int>(items - item), item);
    }
    CHECK(heap.before(1) == 0);
    CHECK(heap.before(2) == 1);
    CHECK(heap.before(50'000) == 49'999);
    CHECK(heap.before(1'000'000) == items);
}

TEST_CASE("what is popped comes by key, and is out") {
    Heap heap;
    auto room = Heap::make(3);
    heap.adopt(room);
    heap.insert(30, 0);
    heap.insert(10, 1);
    heap.insert(20, 2);
    CHECK(heap.pop() == 1);
    CHECK_FALSE(heap.contains(1));
    CHECK(heap.pop() == 2);
    CHECK(heap.pop() == 0);
    CHECK(heap.empty());
    CHECK(heap.sound());
}

}  // namespace
