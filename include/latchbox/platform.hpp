// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <thread>
#include <version>

#include "latchbox/detail/annotations.hpp"
#include "latchbox/time.hpp"

namespace latchbox {
inline namespace v0 {

namespace detail {
// Where nobody can ask for a stop.
struct NeverStops {
    [[nodiscard]] static constexpr bool stop_requested() noexcept { return false; }
    [[nodiscard]] static constexpr bool stop_possible() noexcept { return false; }
};
struct NeverStopsSource {
    [[nodiscard]] static constexpr NeverStops get_token() noexcept { return {}; }
    static constexpr bool request_stop() noexcept { return false; }
};
template <class Callback> struct NeverCalls {
    template <class F> NeverCalls(const NeverStops&, F&&) noexcept {}
};
}  // namespace detail

/// The default platform: the threads of the standard library. A platform supplies what the broker
/// needs of a system: a mutex, a condition variable, threads, atomics and a stop token.
struct Threads {
    static constexpr bool can_wait = true;
    /// A fetch that is about to sleep lingers for so many pauses to see a message come: some
    /// microseconds, about what a sleep and a wake cost; none where nobody else could run
    /// meanwhile.
    static constexpr bool lingers = true;
    static int spins() noexcept { return std::thread::hardware_concurrency() > 1 ? 200 : 0; }
    static void pause() noexcept {
#if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        __asm__ __volatile__("isb");
#endif
    }
    static constexpr bool needs_clock = false;

    class LATCHBOX_CAPABILITY Mutex {
    public:
#if defined(PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP)
        // Tries again for a moment before it sleeps, as nobody holds it for as long as a sleep
        // takes. Where there is such a mutex, it is nothing but its initializer while it is new.
        Mutex() noexcept {
            const pthread_mutex_t adaptive = PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP;
            *native_.native_handle() = adaptive;
        }
#endif
        void lock() noexcept LATCHBOX_ACQUIRE() { native_.lock(); }
        void unlock() noexcept LATCHBOX_RELEASE() { native_.unlock(); }

    private:
        friend struct Threads;
        std::mutex native_;
    };

    /// Waits may end for no reason; callers look again.
    class Condition {
    public:
        void wait(Mutex& mutex) noexcept LATCHBOX_REQUIRES(mutex) {
            std::unique_lock<std::mutex> lock{mutex.native_, std::adopt_lock};
            native_.wait(lock);
            lock.release();
        }
        void wait_for(Mutex& mutex, Duration length) noexcept LATCHBOX_REQUIRES(mutex) {
            // A longer one would overflow the deadline inside the library.
            constexpr Duration longest = std::chrono::hours{24};
            std::unique_lock<std::mutex> lock{mutex.native_, std::adopt_lock};
            native_.wait_for(lock, (length < longest ? length : longest).to_chrono());
            lock.release();
        }
        void notify_one() noexcept { native_.notify_one(); }

    private:
        std::condition_variable native_;
    };

    template <class T> using Atomic = std::atomic<T>;

    /// Started by what it is made from; joined or detached before its end.
    using Thread = std::thread;
    [[nodiscard]] static std::thread::id current_thread() noexcept {
        return std::this_thread::get_id();
    }

#if defined(__cpp_lib_jthread)
    using StopSource = std::stop_source;
    using StopToken = std::stop_token;
    template <class F> using StopCallback = std::stop_callback<F>;
#else
    using StopSource = detail::NeverStopsSource;
    using StopToken = detail::NeverStops;
    template <class F> using StopCallback = detail::NeverCalls<F>;
#endif
};

/// One thread alone uses the broker and all its handles: no locks, and no call that waits.
struct SingleThread {
    static constexpr bool can_wait = false;
    static constexpr bool lingers = false;
    static constexpr bool needs_clock = false;

    class LATCHBOX_CAPABILITY Mutex {
    public:
        void lock() noexcept LATCHBOX_ACQUIRE() {}
        void unlock() noexcept LATCHBOX_RELEASE() {}
    };

    /// Never waited on: only there to be named.
    class Condition {
    public:
        void wait(Mutex&) noexcept {}
        void wait_for(Mutex&, Duration) noexcept {}
        void notify_one() noexcept {}
    };

    template <class T> class Atomic {
    public:
        constexpr Atomic() noexcept = default;
        constexpr Atomic(T value) noexcept : value_{value} {}
        T load(std::memory_order) const noexcept { return value_; }
        void store(T value, std::memory_order) noexcept { value_ = value; }
        T fetch_add(T by, std::memory_order) noexcept {
            const T before = value_;
            value_ = static_cast<T>(value_ + by);
            return before;
        }
        T fetch_sub(T by, std::memory_order) noexcept {
            const T before = value_;
            value_ = static_cast<T>(value_ - by);
            return before;
        }
        bool compare_exchange_weak(T& expected, T desired, std::memory_order) noexcept {
            const bool same = value_ == expected;
            (same ? value_ : expected) = same ? desired : value_;
            return same;
        }

    private:
        T value_{};
    };

    using StopSource = detail::NeverStopsSource;
    using StopToken = detail::NeverStops;
    template <class F> using StopCallback = detail::NeverCalls<F>;
};

}  // namespace v0
}  // namespace latchbox
