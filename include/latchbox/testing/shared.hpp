// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <utility>

#include "latchbox/testing/world.hpp"

namespace latchbox {
inline namespace v0 {
namespace testing {

/// A value of the program's own that its fibers share, as a row of a database would be: each call
/// is one step, and others may come between two. So an update that is lost because somebody read,
/// and wrote too late, is found; a plain variable would hide it, as nobody interrupts a fiber at
/// its use. Guard it by a `Simulated::Mutex`, and it costs no schedule.
/// Never destroyed while a fiber is about to use it: that is a failure.
template <class T> class Shared : private Object {
public:
    Shared() : Object{"value"} {}
    /// The name tells in a log what was read or written. It is kept as a pointer.
    explicit Shared(T value, const char* name = "value") : Object{name}, value_{std::move(value)} {}

    [[nodiscard]] T load() const {
        if (World* const world = World::current()) { world->read(const_cast<Shared&>(*this)); }
        return value_;
    }
    void store(T value) {
        write();
        value_ = std::move(value);
    }
    /// Reads, calls `change(T&)` and writes in one step, as a database's own update does. Returns
    /// what `change` does; it must not let others go on.
    template <class Change> decltype(auto) update(Change&& change) {
        write();
        return std::forward<Change>(change)(value_);
    }

private:
    void write() {
        if (World* const world = World::current()) { world->write(*this); }
    }

    T value_{};
};

}  // namespace testing
}  // namespace v0
}  // namespace latchbox
