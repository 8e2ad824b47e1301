// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
// must say: discards qualifiers|await_ready
#include <coroutine>

#include <latchbox/coroutine.hpp>
#include <latchbox/latchbox.hpp>

struct Flow {
    struct promise_type {
        Flow get_return_object() { return {}; }
        std::suspend_never initial_suspend() noexcept { return {}; }
        std::suspend_never final_suspend() noexcept { return {}; }
        void return_void() {}
        void unhandled_exception() {}
    };
};
struct Inline {
    template <class Resume> void operator()(Resume resume) const { resume(); }
};

Flow fetch(const latchbox::Queue<int>& queue) {
    auto fetching = latchbox::async_fetch(queue, Inline{});
    auto once = co_await fetching;
    auto twice = co_await fetching;
}
