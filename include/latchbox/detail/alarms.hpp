// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstdint>

#include "latchbox/detail/ensure.hpp"
#include "latchbox/detail/pointer_map.hpp"
#include "latchbox/time.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// Somebody who has no thread to sleep in, and wants to be told when an instant has come. It brings
// its place among the others, so that setting it needs no memory. Who sets it holds it for that.
class Alarm {
public:
    // May throw std::bad_alloc.
    Alarm() : place_{PointerMap<Alarm>::make(std::uint64_t{0}, *this)} {}
    Alarm(const Alarm&) = delete;
    Alarm& operator=(const Alarm&) = delete;

    // Its instant has come: in a call on the broker, whosever that is, and not under a lock.
    virtual void ring() noexcept = 0;
    virtual void hold() noexcept = 0;
    virtual void let_go() noexcept = 0;

    Alarm* next = nullptr;  // in a chain of those that are about to ring

protected:
    virtual ~Alarm() { ensure(!place_.empty(), "an alarm that is gone, and still set"); }

private:
    friend class Alarms;
    PointerMap<Alarm> place_;   // while it is not set
    Instant at_;                // while it is
    std::uint64_t number_ = 0;  // among those of one instant
};

// The alarms of one broker by instant, those of one instant in the order in which they were set.
// O(log n) each, and no memory. Under the timekeeper's lock.
class Alarms {
public:
    void set(Alarm& alarm, Instant at) noexcept {
        alarm.at_ = at;
        alarm.number_ = ++set_so_far_;
        set_.insert(alarm.place_, key(alarm));
    }
    // Not any more; whether it was.
    bool cancel(Alarm& alarm) noexcept {
        if (!alarm.place_.empty()) { return false; }
        alarm.place_.take(set_, key(alarm));
        return true;
    }
    // When the first rings; `never` if there is none.
    [[nodiscard]] Instant next() const noexcept {
        const Alarm* const first = set_.first();
        return first != nullptr ? first->at_ : Instant::never();
    }
    // All that are due by `now`, in their order, and set no more.
    [[nodiscard]] Alarm* take(Instant now) noexcept {
        Alarm* first = nullptr;
        for (Alarm** link = &first; !set_.empty() && next() <= now; link = &(*link)->next) {
            *link = set_.first();
            (*link)->next = nullptr;
            cancel(**link);
        }
        return first;
    }

private:
    // Instants before the epoch come before those after it.
    static MapKey key(const Alarm& alarm) noexcept {
        const auto count = static_cast<std::uint64_t>(alarm.at_.since_epoch().count());
        return {count ^ (std::uint64_t{1} << 63), alarm.number_};
    }

    PointerMap<Alarm> set_;
    std::uint64_t set_so_far_ = 0;
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
