// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstdint>

namespace support {

/// How many allocations by `operator new` are not deleted yet, in the whole program.
[[nodiscard]] std::int64_t live_allocations() noexcept;
/// And how many bytes these have, as the C library rounds them; 0 where it does not tell.
[[nodiscard]] std::int64_t live_bytes() noexcept;

/// Which allocations fail, counted from 1 within the life of a `FailingNew`.
enum class Failing : std::uint8_t {
    none,            ///< they are only counted
    nth,             ///< the n-th alone
    from_nth,        ///< the n-th and all after it
    every_second,    ///< the second, the fourth, ...
    one_in_hundred,  ///< by a generator of its own, seeded with n
};

/// While it lives, `operator new` fails by plan in the thread that made it, and in no other.
/// Only one at a time.
class FailingNew {
public:
    explicit FailingNew(Failing plan = Failing::none, std::uint64_t n = 0) noexcept;
    ~FailingNew();
    FailingNew(const FailingNew&) = delete;
    FailingNew& operator=(const FailingNew&) = delete;

    /// Allocations asked for so far, those that failed included.
    [[nodiscard]] std::uint64_t asked() const noexcept;
    [[nodiscard]] std::uint64_t failed() const noexcept;

    /// Runs `act` once, in the middle of the next allocation: what others may do while a call
    /// makes room.
    static void meanwhile(void (*act)()) noexcept;

    /// Leaves `operator new` alone for a while, for what the test itself needs.
    class Pause {
    public:
        Pause() noexcept;
        ~Pause();
        Pause(const Pause&) = delete;
        Pause& operator=(const Pause&) = delete;
    };
};

}  // namespace support
