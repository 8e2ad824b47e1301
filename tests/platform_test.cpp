// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/platform.hpp"

#include <atomic>
#include <chrono>
#include <thread>
#include <utility>

#include <doctest/doctest.h>

namespace {

using namespace std::chrono_literals;
using latchbox::SingleThread;
using latchbox::Threads;

static_assert(Threads::can_wait);
static_assert(!SingleThread::can_wait);

TEST_CASE("a mutex lets one thread in at a time") {
    Threads::Mutex mutex;
    int inside = 0;
    const auto count = [&] {
        for (int i = 0; i < 10'000; ++i) {
            mutex.lock();
            ++inside;
            mutex.unlock();
        }
    };
    std::thread other{count};
    count();
    other.join();
    CHECK(inside == 20'000);
}

TEST_CASE("a condition wakes who waits, with the mutex held") {
    Threads::Mutex mutex;
    Threads::Condition changed;
    int turn = 0;
    const auto play = [&](int own) {
        for (int i = 0; i < 100; ++i) {
            mutex.lock();
            while (turn % 2 != own) { changed.wait(mutex); }
            ++turn;
            changed.notify_one();
            mutex.unlock();
        }
    };
    std::thread other{[&] { play(1); }};
    play(0);
    other.join();
    CHECK(turn == 200);
}

TEST_CASE("a wait that is over returns with the mutex held, however long it may have been") {
    Threads::Mutex mutex;
    Threads::Condition nobody;
    mutex.lock();
    nobody.wait_for(mutex, 0s);
    nobody.wait_for(mutex, -1h);
    nobody.wait_for(mutex, 1ns);
    mutex.unlock();

    Threads::Condition rung;
    bool seen = false;
    std::atomic<bool> waiting{false};
    std::thread other{[&] {
        mutex.lock();
        waiting = true;
        while (!seen) { rung.wait_for(mutex, latchbox::Duration::never()); }
        mutex.unlock();
    }};
    while (!waiting) { std::this_thread::yield(); }
    mutex.lock();
    seen = true;
    rung.notify_one();
    mutex.unlock();
    other.join();
    CHECK(seen);
}

TEST_CASE("the atomics of one thread alone count like those of many") {
    const auto count = [](auto& atomic) {
        atomic.store(5, std::memory_order_release);
        CHECK(atomic.fetch_add(3, std::memory_order_relaxed) == 5);
        CHECK(atomic.fetch_sub(1, std::memory_order_acq_rel) == 8);
        CHECK(atomic.load(std::memory_order_acquire) == 7);
    };
    SingleThread::Atomic<int> alone{1};
    CHECK(alone.load(std::memory_order_relaxed) == 1);
    count(alone);
    Threads::Atomic<int> shared{1};
    count(shared);
}

TEST_CASE("where nobody can ask for a stop, none is requested") {
    const SingleThread::StopToken token;
    CHECK_FALSE(token.stop_requested());
    bool called = false;
    const auto call = [&] { called = true; };
    { const SingleThread::StopCallback<decltype(call)> callback{token, call}; }
    CHECK_FALSE(called);
}

TEST_CASE("one thread alone needs no locks") {
    SingleThread::Mutex mutex;
    mutex.lock();
    SingleThread::Condition condition;
    condition.wait(mutex);
    condition.wait_for(mutex, latchbox::Duration::never());
    condition.notify_one();
    mutex.unlock();
    CHECK(sizeof(SingleThread::Mutex) == 1);
}

TEST_CASE("a thread runs what it is made from, and knows itself [8]") {
    std::thread::id inside;
    Threads::Thread empty;
    CHECK_FALSE(empty.joinable());
    Threads::Thread thread{[&] { inside = Threads::current_thread(); }};
    CHECK(thread.joinable());
    const auto id = thread.get_id();
    empty = std::move(thread);
    empty.join();
    CHECK(inside == id);
    CHECK(inside != Threads::current_thread());
    CHECK(Threads::current_thread() == Threads::current_thread());
}

TEST_CASE("a source stops its tokens, once; on one thread alone none is ever stopped [7.7]") {
    Threads::StopSource source;
    const Threads::StopToken token = source.get_token();
    int called = 0;
    const auto call = [&] { ++called; };
    const Threads::StopCallback<decltype(call)> callback{token, call};
    CHECK(token.stop_possible());
    CHECK_FALSE(token.stop_requested());
    CHECK(source.request_stop());
    CHECK_FALSE(source.request_stop());
    CHECK(token.stop_requested());
    CHECK(called == 1);
    SingleThread::StopSource never;
    CHECK_FALSE(never.request_stop());
    CHECK_FALSE(never.get_token().stop_requested());
    CHECK_FALSE(never.get_token().stop_possible());
}

}  // namespace
