// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <atomic>
#include <thread>

#include "latchbox/platform.hpp"

namespace support {

/// The platform `Threads`, which also counts who waits. So a test knows that another thread is
/// inside a waiting call before it goes on, and needs to sleep for nothing.
struct WatchedThreads : latchbox::Threads {
    class Condition : public latchbox::Threads::Condition {
    public:
        void wait(Mutex& mutex) noexcept LATCHBOX_REQUIRES(mutex) {
            asleep.fetch_add(1);
            latchbox::Threads::Condition::wait(mutex);
            asleep.fetch_sub(1);
        }
        void wait_for(Mutex& mutex, latchbox::Duration length) noexcept
            LATCHBOX_REQUIRES(mutex) {
            asleep.fetch_add(1);
            latchbox::Threads::Condition::wait_for(mutex, length);
            asleep.fetch_sub(1);
        }
    };

    /// Threads inside a wait. Counted under the mutex they wait with: who sees the number and
    /// then takes that mutex finds them waiting.
    inline static std::atomic<int> asleep{0};

    static void until_asleep(int threads) {
        while (asleep.load() != threads) { std::this_thread::yield(); }
    }
};

}  // namespace support
