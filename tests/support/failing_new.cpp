// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "failing_new.hpp"

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>
#include <utility>

#if defined(__linux__) || defined(_WIN32)
#include <malloc.h>
#endif

namespace support {
namespace {

struct Plan {
    bool armed = false;
    int paused = 0;
    Failing kind = Failing::none;
    std::uint64_t n = 0;
    std::uint64_t random = 0;
    std::uint64_t asked = 0;
    std::uint64_t failed = 0;
    void (*meanwhile)() = nullptr;
};
thread_local constinit Plan plan{};
constinit std::atomic<std::int64_t> live{0};
constinit std::atomic<std::int64_t> bytes{0};

std::int64_t size_of([[maybe_unused]] void* memory) noexcept {
#if defined(__linux__)
    return static_cast<std::int64_t>(malloc_usable_size(memory));
#else
    return 0;
#endif
}

// Knuth's multiplier for a linear congruential generator; the high bits are the good ones.
bool one_in_hundred() noexcept {
    plan.random = plan.random * 6364136223846793005U + 1442695040888963407U;
    return (plan.random >> 33) % 100 == 0;
}

bool fails() noexcept {
    if (!plan.armed || plan.paused != 0) { return false; }
    if (void (*const act)() = std::exchange(plan.meanwhile, nullptr)) {
        const FailingNew::Pause pause;
        act();
    }
    ++plan.asked;
    bool failing = false;
    switch (plan.kind) {
        case Failing::none: break;
        case Failing::nth: failing = plan.asked == plan.n; break;
        case Failing::from_nth: failing = plan.asked >= plan.n; break;
        case Failing::every_second: failing = plan.asked % 2 == 0; break;
        case Failing::one_in_hundred: failing = one_in_hundred(); break;
    }
    if (failing) { ++plan.failed; }
    return failing;
}

// Windows frees what it has aligned by a call of its own: there all is.
#if defined(_WIN32)
void* from_system(std::size_t size, std::size_t alignment) noexcept {
    constexpr std::size_t least = alignof(std::max_align_t);
    return _aligned_malloc(size, alignment < least ? least : alignment);
}
void to_system(void* memory) noexcept { _aligned_free(memory); }
#else
void* from_system(std::size_t size, std::size_t alignment) noexcept {
    if (alignment <= alignof(std::max_align_t)) { return std::malloc(size); }
    return std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
}
void to_system(void* memory) noexcept { std::free(memory); }
#endif

void* allocate(std::size_t size, std::size_t alignment) noexcept {
    if (fails()) { return nullptr; }
    if (size == 0) { size = 1; }
    live.fetch_add(1, std::memory_order_relaxed);
    void* const memory = from_system(size, alignment);
    bytes.fetch_add(size_of(memory), std::memory_order_relaxed);
    return memory;
}

void release(void* memory) noexcept {
    if (memory == nullptr) { return; }
    live.fetch_sub(1, std::memory_order_relaxed);
    bytes.fetch_sub(size_of(memory), std::memory_order_relaxed);
    to_system(memory);
}

void* allocate_or_throw(std::size_t size, std::size_t alignment) {
    void* const memory = allocate(size, alignment);
    if (memory == nullptr) { throw std::bad_alloc{}; }
    return memory;
}

}  // namespace

std::int64_t live_allocations() noexcept { return live.load(std::memory_order_relaxed); }
std::int64_t live_bytes() noexcept { return bytes.load(std::memory_order_relaxed); }

FailingNew::FailingNew(Failing kind, std::uint64_t n) noexcept {
    plan = Plan{.armed = true, .kind = kind, .n = n, .random = n * 2 + 1};
}
FailingNew::~FailingNew() { plan.armed = false; }
std::uint64_t FailingNew::asked() const noexcept { return plan.asked; }
std::uint64_t FailingNew::failed() const noexcept { return plan.failed; }

void FailingNew::meanwhile(void (*act)()) noexcept { plan.meanwhile = act; }

FailingNew::Pause::Pause() noexcept { ++plan.paused; }
FailingNew::Pause::~Pause() { --plan.paused; }

}  // namespace support

// All forms, so that no two that belong together come from different libraries.
void* operator new(std::size_t size) { return support::allocate_or_throw(size, 1); }
void* operator new[](std::size_t size) { return support::allocate_or_throw(size, 1); }
void* operator new(std::size_t size, std::align_val_t alignment) {
    return support::allocate_or_throw(size, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t size, std::align_val_t alignment) {
    return support::allocate_or_throw(size, static_cast<std::size_t>(alignment));
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
    return support::allocate(size, 1);
}
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept {
    return support::allocate(size, 1);
}
void* operator new(std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
    return support::allocate(size, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
    return support::allocate(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept { support::release(memory); }
void operator delete[](void* memory) noexcept { support::release(memory); }
void operator delete(void* memory, std::size_t) noexcept { support::release(memory); }
void operator delete[](void* memory, std::size_t) noexcept { support::release(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { support::release(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { support::release(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
    support::release(memory);
}
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept {
    support::release(memory);
}
void operator delete(void* memory, const std::nothrow_t&) noexcept { support::release(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { support::release(memory); }
void operator delete(void* memory, std::align_val_t, const std::nothrow_t&) noexcept {
    support::release(memory);
}
void operator delete[](void* memory, std::align_val_t, const std::nothrow_t&) noexcept {
    support::release(memory);
}
