// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/annotations.hpp"

#include <doctest/doctest.h>

namespace {

// All of them in their places: they must compile on every compiler, and change nothing.
class LATCHBOX_CAPABILITY Door {
public:
    void lock() LATCHBOX_ACQUIRE() { shut_ = true; }
    void unlock() LATCHBOX_RELEASE() { shut_ = false; }
    [[nodiscard]] bool shut() const { return shut_; }

private:
    bool shut_ = false;
};

class LATCHBOX_SCOPED_CAPABILITY Holder {
public:
    explicit Holder(Door& door) LATCHBOX_ACQUIRE(door) : door_{door} { door_.lock(); }
    ~Holder() LATCHBOX_RELEASE() { door_.unlock(); }
    Holder(const Holder&) = delete;
    Holder& operator=(const Holder&) = delete;

private:
    Door& door_;
};

struct Room {
    Door door;
    int visitors LATCHBOX_GUARDED_BY(door) = 0;

    int enter() LATCHBOX_REQUIRES(door) { return ++visitors; }
};

TEST_CASE("annotated classes do what they would without") {
    Room room;
    {
        const Holder holder{room.door};
        CHECK(room.door.shut());
        CHECK(room.enter() == 1);
    }
    CHECK_FALSE(room.door.shut());
}

}  // namespace
