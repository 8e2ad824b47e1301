// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include "latchbox/detail/annotations.hpp"
#include "latchbox/version.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// Holds a platform's mutex until the end of the scope; may let go of it and take it again.
template <class Mutex> class LATCHBOX_SCOPED_CAPABILITY Lock {
public:
    explicit Lock(Mutex& mutex) noexcept LATCHBOX_ACQUIRE(mutex) : mutex_{mutex} { mutex_.lock(); }
    ~Lock() LATCHBOX_RELEASE() {
        if (held_) { mutex_.unlock(); }
    }
    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;

    void lock() noexcept LATCHBOX_ACQUIRE() {
        mutex_.lock();
        held_ = true;
    }
    void unlock() noexcept LATCHBOX_RELEASE() {
        held_ = false;
        mutex_.unlock();
    }

private:
    Mutex& mutex_;
    bool held_ = true;
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
