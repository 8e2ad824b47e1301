// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <map>
#include <utility>

#include "latchbox/detail/ensure.hpp"
#include "latchbox/time.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// Somebody who has no thread to sleep in, and wants to be told when an instant has come. It brings
// its place among the others, so that setting it needs no memory. Who sets it holds it for that.
class Alarm {
public:
    using Map = std::multimap<Instant, Alarm*>;

    // May throw std::bad_alloc.
    Alarm() {
        Map one;
        place_ = one.extract(one.emplace(Instant{}, this));
    }
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
    Map::node_type place_;  // while it is not set
    Map::iterator at_;      // while it is
};

// The alarms that are set, by instant; at one instant in the order in which they were set.
class Alarms {
public:
    void set(Alarm& alarm, Instant at) noexcept {
        alarm.place_.key() = at;
        alarm.at_ = set_.insert(std::move(alarm.place_));
    }
    // Not any more; whether it was.
    bool cancel(Alarm& alarm) noexcept {
        if (!alarm.place_.empty()) { return false; }
        alarm.place_ = set_.extract(alarm.at_);
        return true;
    }
    // When the first rings; `never` if there is none.
    [[nodiscard]] Instant next() const noexcept {
        return set_.empty() ? Instant::never() : set_.begin()->first;
    }
    // All that are due by `now`, in their order, and set no more.
    [[nodiscard]] Alarm* take(Instant now) noexcept {
        Alarm* first = nullptr;
        for (Alarm** link = &first; !set_.empty() && next() <= now; link = &(*link)->next) {
            *link = set_.begin()->second;
            (*link)->next = nullptr;
            cancel(**link);
        }
        return first;
    }

private:
    Alarm::Map set_;
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
