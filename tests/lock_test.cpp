// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/lock.hpp"

#include <stdexcept>
#include <string>

#include <doctest/doctest.h>

namespace {

// Writes down what is asked of it.
struct Written {
    std::string log;
    void lock() noexcept { log += 'L'; }
    void unlock() noexcept { log += 'U'; }
};
using latchbox::detail::Lock;

TEST_CASE("a lock is held until the end of its scope") {
    Written mutex;
    {
        Lock lock{mutex};
        CHECK(mutex.log == "L");
    }
    CHECK(mutex.log == "LU");
}

TEST_CASE("a lock let go of is not unlocked again") {
    Written mutex;
    {
        Lock lock{mutex};
        lock.unlock();
        CHECK(mutex.log == "LU");
    }
    CHECK(mutex.log == "LU");
}

TEST_CASE("a lock taken again is unlocked at the end, by an exception too") {
    Written mutex;
    try {
        Lock lock{mutex};
        lock.unlock();
        lock.lock();
        throw std::runtime_error{"in the middle"};
    } catch (const std::runtime_error&) { CHECK(mutex.log == "LULU"); }
    CHECK(mutex.log == "LULU");
}

}  // namespace
