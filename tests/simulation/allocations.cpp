// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <cstddef>
#include <cstdlib>
#include <new>

#include "simulation/scene.hpp"

// Tells the simulation, which knows whether a mutex is held; fails where a program wants it to.
[[gnu::noinline]] void* operator new(std::size_t size) {
    latchbox::testing::Simulated::allocating();
    if (scenes::Scarcity::fails_now()) { throw std::bad_alloc{}; }
    if (void* const memory = std::malloc(size == 0 ? 1 : size)) { return memory; }
    throw std::bad_alloc{};
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
