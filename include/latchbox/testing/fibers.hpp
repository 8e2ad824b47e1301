// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#if !__has_include(<cxxabi.h>)
#error "latchbox/testing.hpp needs gcc or Clang: there are no fibers for this compiler yet"
#endif
#include <cxxabi.h>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "latchbox/detail/ensure.hpp"

#if defined(_WIN32)
#define LATCHBOX_TESTING_OWN_SWITCH 0
#define LATCHBOX_TESTING_ASAN 0
// Of the system, which has fibers itself; its own header would bring a thousand macros.
extern "C" {
__declspec(dllimport) void* __stdcall ConvertThreadToFiber(void* argument);
__declspec(dllimport) int __stdcall ConvertFiberToThread();
__declspec(dllimport) void* __stdcall CreateFiber(std::size_t stack, void(__stdcall* entry)(void*),
                                                  void* argument);
__declspec(dllimport) void __stdcall SwitchToFiber(void* fiber);
__declspec(dllimport) void __stdcall DeleteFiber(void* fiber);
}
#else
#include <sys/mman.h>
#include <unistd.h>

#if defined(__ELF__) && (defined(__x86_64__) || defined(__aarch64__)) && !defined(__ILP32__)
#define LATCHBOX_TESTING_OWN_SWITCH 1
#else
#define LATCHBOX_TESTING_OWN_SWITCH 0
#include <ucontext.h>
#endif

#if defined(__SANITIZE_ADDRESS__)
#define LATCHBOX_TESTING_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LATCHBOX_TESTING_ASAN 1
#endif
#endif
#if !defined(LATCHBOX_TESTING_ASAN)
#define LATCHBOX_TESTING_ASAN 0
#endif
#if LATCHBOX_TESTING_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#endif

// Several stacks in one thread, and the way from one to another. Switching only: who may run is
// decided elsewhere. The library's swapcontext asks the system to set the signal mask at every
// switch, which takes ten times as long as all the rest; so where the machine is known, the
// switch is our own.

#if LATCHBOX_TESTING_OWN_SWITCH
// Puts what a call has to keep on the stack, leaves the stack's place in *save, and takes both
// from `resume`. Weak, as every file that includes this defines it.
extern "C" void latchbox_testing_switch(void** save, void* resume);
#if defined(__x86_64__)
asm(R"(
.text
.weak latchbox_testing_switch
.type latchbox_testing_switch, @function
latchbox_testing_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size latchbox_testing_switch, .-latchbox_testing_switch
)");
#else
asm(R"(
.text
.weak latchbox_testing_switch
.type latchbox_testing_switch, %function
latchbox_testing_switch:
    stp x29, x30, [sp, #-160]!
    stp x19, x20, [sp, #16]
    stp x21, x22, [sp, #32]
    stp x23, x24, [sp, #48]
    stp x25, x26, [sp, #64]
    stp x27, x28, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mov x9, sp
    str x9, [x0]
    mov sp, x1
    ldp x19, x20, [sp, #16]
    ldp x21, x22, [sp, #32]
    ldp x23, x24, [sp, #48]
    ldp x25, x26, [sp, #64]
    ldp x27, x28, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    ldp x29, x30, [sp], #160
    ret
.size latchbox_testing_switch, .-latchbox_testing_switch
)");
#endif
#endif

#if defined(_LIBCPP_VERSION)
// libc++abi has it, and declares it only to itself.
namespace __cxxabiv1 {
struct __cxa_eh_globals;
extern "C" __cxa_eh_globals* __cxa_get_globals();
}  // namespace __cxxabiv1
#endif

namespace latchbox {
inline namespace v0 {
namespace testing {

// What the runtime library keeps for each thread, but would have to keep for each fiber: a
// fiber left inside a `catch` would else have another's exception rethrown.
struct CaughtExceptions {
    void* caught = nullptr;
    unsigned int uncaught = 0;

    // Takes those of the thread, and leaves it the others.
    void exchange(const CaughtExceptions& others) noexcept {
        auto* const of_thread = reinterpret_cast<CaughtExceptions*>(abi::__cxa_get_globals());
        *this = *of_thread;
        *of_thread = others;
    }
};

/// A flow of control with a stack of its own, or the one of the thread itself.
class Fiber {
public:
    /// Never returns: its end is a switch `for_good`.
    using Entry = void (*)();

    struct OfTheThread {};
#if defined(_WIN32)
    explicit Fiber(OfTheThread) noexcept : of_thread_{true} {}

    Fiber() noexcept = default;
    ~Fiber() {
        if (fiber_ != nullptr) { DeleteFiber(fiber_); }
    }
    Fiber(const Fiber&) = delete;
    Fiber& operator=(const Fiber&) = delete;

    void prepare(Entry entry) noexcept {
        exceptions_ = {};
        entry_ = entry;
        if (fiber_ != nullptr) { DeleteFiber(fiber_); }
        fiber_ = CreateFiber(stack_size, &begin, this);
        detail::ensure(fiber_ != nullptr, "no memory for the stack of a fiber");
    }
    static void switch_between(Fiber& from, Fiber& to, bool = false) noexcept {
        from.exceptions_.exchange(to.exceptions_);
        if (from.of_thread_) {  // a fiber itself as long as others run
            from.fiber_ = ConvertThreadToFiber(nullptr);
            detail::ensure(from.fiber_ != nullptr, "the thread is a fiber of somebody else");
        }
        SwitchToFiber(to.fiber_);
        if (from.of_thread_) {
            ConvertFiberToThread();
            from.fiber_ = nullptr;
        }
    }

    static constexpr std::size_t stack_size = 64U * 1024U;

private:
    static void __stdcall begin(void* self) { static_cast<Fiber*>(self)->entry_(); }

    void* fiber_ = nullptr;
    Entry entry_ = nullptr;
    bool of_thread_ = false;
    CaughtExceptions exceptions_{};
#else
    /// The flow that is there already: switched from first, and back to last.
    explicit Fiber(OfTheThread) noexcept {}

    Fiber() {
        const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
        mapped_size_ = stack_size + page;
        mapped_ = mmap(nullptr, mapped_size_, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        detail::ensure(mapped_ != MAP_FAILED && mprotect(mapped_, page, PROT_NONE) == 0,
                       "no memory for the stack of a fiber");
        bottom_ = static_cast<std::byte*>(mapped_) + page;
        size_ = stack_size;
    }
    ~Fiber() {
        if (mapped_ != nullptr) { munmap(mapped_, mapped_size_); }
    }
    Fiber(const Fiber&) = delete;
    Fiber& operator=(const Fiber&) = delete;

    /// The next switch to this fiber enters `entry`. Whatever it was in the middle of is dropped:
    /// nothing on its stack is destroyed.
    void prepare(Entry entry) noexcept {
        exceptions_ = {};
#if LATCHBOX_TESTING_ASAN
        fake_stack_ = nullptr;
        __asan_unpoison_memory_region(bottom_, size_);
#endif
        entry_ = entry;
#if LATCHBOX_TESTING_OWN_SWITCH
        auto* top = reinterpret_cast<void**>(static_cast<std::byte*>(bottom_) + size_);
#if defined(__x86_64__)
        constexpr std::size_t words = 8;  // six registers, where to return to, nobody's caller
        constexpr std::size_t address = 6;
#else
        constexpr std::size_t words = 20;
        constexpr std::size_t address = 1;  // the link register
#endif
        top -= words;
        std::memset(top, 0, words * sizeof(void*));
        top[address] = reinterpret_cast<void*>(&begin);
        resume_ = top;
#else
        getcontext(&context_);
        context_.uc_stack.ss_sp = bottom_;
        context_.uc_stack.ss_size = size_;
        context_.uc_link = nullptr;
        makecontext(&context_, &begin, 0);
#endif
    }

    /// From the running fiber to another; returns when somebody switches back. If `for_good`,
    /// nobody will.
    static void switch_between(Fiber& from, Fiber& to, bool for_good = false) noexcept {
        from.exceptions_.exchange(to.exceptions_);
        came_from_ = &from;
        going_to_ = &to;
#if LATCHBOX_TESTING_ASAN
        __sanitizer_start_switch_fiber(for_good ? nullptr : &from.fake_stack_, to.bottom_,
                                       to.size_);
#else
        static_cast<void>(for_good);
#endif
#if LATCHBOX_TESTING_OWN_SWITCH
        latchbox_testing_switch(&from.resume_, to.resume_);
#else
        swapcontext(&from.context_, &to.context_);
#endif
        arrived(from);
    }

    // The sanitizer surrounds everything on a stack with red zones.
    static constexpr std::size_t stack_size = (LATCHBOX_TESTING_ASAN != 0 ? 256U : 64U) * 1024U;

private:
    static void begin() {
        arrived(*going_to_);
        going_to_->entry_();
    }
    static void arrived(Fiber& here) noexcept {
#if LATCHBOX_TESTING_ASAN
        const void* bottom = nullptr;
        std::size_t size = 0;
        __sanitizer_finish_switch_fiber(here.fake_stack_, &bottom, &size);
        came_from_->bottom_ = const_cast<void*>(bottom);
        came_from_->size_ = size;
#else
        static_cast<void>(here);
#endif
    }

    inline static Fiber* came_from_ = nullptr;
    inline static Fiber* going_to_ = nullptr;

    void* mapped_ = nullptr;
    std::size_t mapped_size_ = 0;
    void* bottom_ = nullptr;
    std::size_t size_ = 0;
    Entry entry_ = nullptr;
    CaughtExceptions exceptions_{};
#if LATCHBOX_TESTING_OWN_SWITCH
    void* resume_ = nullptr;
#else
    ucontext_t context_{};
#endif
#if LATCHBOX_TESTING_ASAN
    void* fake_stack_ = nullptr;
#endif
#endif
};

}  // namespace testing
}  // namespace v0
}  // namespace latchbox
