// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "latchbox/testing/fibers.hpp"
#include "latchbox/testing/objects.hpp"

namespace latchbox {
inline namespace v0 {
namespace testing {

// What a fiber is about to do.
enum class Step : std::uint8_t {
    go_on,    // its own business
    lock,     // once nobody holds the mutex
    read,     // an atomic, or whether a stop was requested
    write,    // the same
    wait,     // starts to
    asleep,   // to wake up by itself
    wake_up,  // takes the mutex again, as `lock`
    notify,
    leave,  // a stop callback, once no other runs it
    start,  // a thread
    join,   // it, once it has ended
    rest,   // begins when no other can go on
    ended,
};
/// The same in words.
inline constexpr std::array step_words{
    "goes on",   "locks",    "reads",  "writes",          "waits on", "wakes up by itself from",
    "has again", "notifies", "leaves", "starts a thread", "joins",    "begins, as all others rest,",
    "has ended"};

/// A fiber of a program, as its scheduler sees it.
struct Actor {
    Fiber fiber;
    int index = -1;
    std::string name;
    std::function<void()> body;
    std::uint64_t history = 0;
    std::uint64_t made = 0;  // objects
    bool early = false;      // and has not waited yet
    Step step = Step::go_on;
    Object* object = nullptr;      // of the step
    MutexObject* mutex = nullptr;  // of the wait it is in
    bool timed = false;            // that wait
    const void* callback = nullptr;
    const RunningCallback* now_running = nullptr;
    const Actor* joined = nullptr;
    bool to_be_joined = false;  // or detached, as a thread that was started
    std::vector<MutexObject*> held;
};

}  // namespace testing
}  // namespace v0
}  // namespace latchbox
