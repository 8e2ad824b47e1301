// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstdint>

namespace latchbox {
inline namespace v0 {
namespace testing {

class Scheduler;
class World;

/// What fibers share and the scheduler knows of. Poisoned when destroyed, so that a use after
/// that is found.
class Object {
public:
    explicit Object(const char* kind) noexcept;
    Object(const Object&) = delete;
    Object& operator=(const Object&) = delete;

    [[nodiscard]] bool alive() const noexcept { return seal_ == sealed; }

protected:
    ~Object();

private:
    friend class Scheduler;  // who alone looks into these
    friend class World;
    static constexpr std::uint64_t sealed = 0x1a7c4b0c5ea1ed00U;
    static constexpr std::uint64_t poison = 0xdeadbeefdeadbeefU;

    volatile std::uint64_t seal_ = sealed;
    const char* kind_;
    std::uint64_t id_ = 0;           // drawn from the history of its maker
    std::uint64_t key_ = 0;          // the how-manieth of its maker
    std::uint64_t last_change_ = 0;  // the history of the last step that changed it
};

/// A mutex of the simulation.
class MutexObject : public Object {
public:
    MutexObject() noexcept : Object{"mutex"} {}

protected:
    ~MutexObject();

private:
    friend class Scheduler;
    friend class World;
    int owner_ = -1;  // a fiber, or `nobody`, or `the_thread`
};

/// A condition of the simulation. Its waiters are the fibers that say so.
class ConditionObject : public Object {
public:
    ConditionObject() noexcept : Object{"condition"} {}

protected:
    ~ConditionObject() = default;
};

/// Who runs a stop callback, so that others wait for its end.
struct RunningCallback {
    const void* callback = nullptr;
    int fiber = -1;
};

}  // namespace testing
}  // namespace v0
}  // namespace latchbox
