// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/coroutine.hpp"

#include <chrono>
#include <coroutine>
#include <cstdint>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <stop_token>
#include <type_traits>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"
#include "support/failing_new.hpp"
#include "support/sound.hpp"

// What is awaited, and what an executor is given. How waits end is in coroutines_promises_test.cpp.
namespace {

using namespace std::chrono_literals;
using latchbox::async_fetch;
using latchbox::async_fetch_for;
using latchbox::async_wait;
using latchbox::async_wait_for;
using latchbox::Errc;
using latchbox::LatchState;
using Platform = latchbox::SingleThread;
using Delivery = latchbox::Delivery<int, Platform>;
using Resume = latchbox::Resume<int, Platform>;

// Keeps what it was given until the test calls it.
struct Later {
    std::vector<Resume>* kept;
    void operator()(Resume resume) const { kept->push_back(std::move(resume)); }
};
struct Inline {
    template <class Resumes> void operator()(Resumes resume) const { resume(); }
};

// A coroutine that starts at once and gives what it throws to whoever asks whether it is done.
struct Flow {
    struct promise_type {
        std::exception_ptr thrown;
        Flow get_return_object() {
            return Flow{std::coroutine_handle<promise_type>::from_promise(*this)};
        }
        static std::suspend_never initial_suspend() noexcept { return {}; }
        static std::suspend_always final_suspend() noexcept { return {}; }
        static void return_void() noexcept {}
        void unhandled_exception() noexcept { thrown = std::current_exception(); }
    };
    explicit Flow(std::coroutine_handle<promise_type> of) : frame{of} {}
    Flow(const Flow&) = delete;
    Flow& operator=(const Flow&) = delete;
    ~Flow() { frame.destroy(); }
    [[nodiscard]] bool done() const {
        if (frame.promise().thrown) { std::rethrow_exception(frame.promise().thrown); }
        return frame.done();
    }
    std::coroutine_handle<promise_type> frame;
};

template <class Of> using Awaited = decltype(std::declval<Of>().operator co_await().await_resume());
using Fetch = latchbox::AsyncFetch<int, Platform, Later>;
using Wait = latchbox::AsyncWait<int, Platform, Later>;
static_assert(std::is_same_v<Awaited<Fetch>, latchbox::Result<Delivery>>);
static_assert(std::is_same_v<Awaited<Wait>, latchbox::Result<LatchState>>);
template <class T>
concept awaited_by_name = requires(T& one) {
    one.operator co_await();
};
static_assert(!awaited_by_name<Fetch> && !awaited_by_name<Wait>, "it is awaited once");
static_assert(!std::is_copy_constructible_v<Fetch> && !std::is_move_constructible_v<Fetch>);
static_assert(!std::is_copy_constructible_v<Wait> && !std::is_move_constructible_v<Wait>);
static_assert(std::is_copy_constructible_v<Resume> && std::is_nothrow_invocable_v<const Resume&>);

struct Awaiting {
    latchbox::ManualClock clock;
    latchbox::Broker<int, Platform> broker{{.clock = &clock}};
    latchbox::Queue<int, Platform> queue = broker.queue("q", {.lease = 10s});
    std::vector<Resume> kept;
    std::optional<latchbox::Result<Delivery>> got;

    ~Awaiting() {
        kept.clear();
        got.reset();
        support::check_sound(queue);
    }
    Flow fetch(std::optional<latchbox::Duration> length = {}) {
        if (length) {
            got.emplace(co_await async_fetch_for(queue, Later{&kept}, *length));
        } else {
            got.emplace(co_await async_fetch(queue, Later{&kept}));
        }
    }
};

TEST_CASE_FIXTURE(Awaiting, "a resume goes on once, by whichever of its copies [8]") {
    const Flow flow = fetch();
    REQUIRE(queue.publish(7));
    REQUIRE(kept.size() == 1);
    const Resume copy = kept.front();
    CHECK_FALSE(flow.done());
    copy();
    CHECK(flow.done());
    CHECK(got->value().body() == 7);
    kept.front()();
    copy();
    CHECK(got->value().ack());
}

TEST_CASE_FIXTURE(Awaiting, "a resume that is called after its coroutine does nothing [8]") {
    {
        const Flow flow = fetch();
        REQUIRE(queue.publish(7));
        REQUIRE(kept.size() == 1);
    }
    kept.front()();
    CHECK_FALSE(got.has_value());
    // The message is back, as if it had never been fetched.
    CHECK(queue.stats().ready == 1);
    CHECK(queue.try_fetch()->attempt() == 1);
}

TEST_CASE_FIXTURE(Awaiting, "a resume that nobody calls leaves the lease to its time [4.3]") {
    const Flow flow = fetch();
    REQUIRE(queue.publish(7));
    kept.clear();
    CHECK(queue.stats().leased == 1);
    clock.advance(10s);
    CHECK(queue.try_fetch()->attempt() == 2);
    CHECK_FALSE(flow.done());
}

TEST_CASE_FIXTURE(Awaiting, "an executor is copied, and may hold what it needs [8]") {
    const auto held = std::make_shared<int>(0);
    {
        const auto flow = [](Awaiting& self, std::shared_ptr<int> count) -> Flow {
            const auto executor = [count](auto resume) {
                ++*count;
                resume();
            };
            auto delivery = co_await async_fetch(self.queue, executor);
            CHECK(delivery->ack());
        }(*this, held);
        CHECK_FALSE(flow.done());
        REQUIRE(queue.publish(7));
        CHECK(flow.done());
    }
    CHECK(*held == 1);
    CHECK(held.use_count() == 1);
}

TEST_CASE_FIXTURE(Awaiting, "what is wrong or there already is said without an executor [7.7]") {
    SUBCASE("there is a message") {
        REQUIRE(queue.publish(7));
        const Flow flow = fetch();
        CHECK(flow.done());
        CHECK(got->value().body() == 7);
    }
    SUBCASE("a negative length") {
        const Flow flow = fetch(-1ns);
        CHECK(flow.done());
        CHECK(*got == Errc::invalid_option);
    }
    SUBCASE("no length at all") {
        const Flow flow = fetch(0s);
        CHECK(flow.done());
        CHECK(*got == Errc::timed_out);
    }
    SUBCASE("closed") {
        broker.close();
        const Flow flow = fetch();
        CHECK(flow.done());
        CHECK(*got == Errc::closed);
    }
    CHECK(kept.empty());
}

TEST_CASE_FIXTURE(Awaiting, "a timeout is due as anything else is, and served it is not [7.4]") {
    const Flow flow = fetch(3s);
    CHECK(broker.poll() == latchbox::Instant{} + 3s);
    SUBCASE("it is over at its instant") {
        clock.advance(3s - 1ns);
        broker.poll();
        CHECK(kept.empty());
        clock.advance(1ns);
        CHECK(broker.poll().is_never());
        REQUIRE(kept.size() == 1);
        kept.front()();
        CHECK(*got == Errc::timed_out);
    }
    SUBCASE("served before") {
        REQUIRE(queue.publish(7));
        kept.front()();
        REQUIRE(got->value().ack());
        CHECK(broker.poll().is_never());
    }
}

TEST_CASE_FIXTURE(Awaiting,
                  "a latch that is decided does not suspend, one that is pending does "
                  "[5.8]") {
    const auto id = queue.publish(7).value();
    std::vector<LatchState> seen;
    const auto wait = [&](std::optional<latchbox::Duration> length) -> Flow {
        const auto latch = broker.latch(id);
        const auto state = length ? co_await async_wait_for(latch, Later{&kept}, *length)
                                  : co_await async_wait(latch, Later{&kept});
        if (state) { seen.push_back(*state); }
    };
    const Flow first = wait({});
    const Flow second = wait(1h);
    CHECK_FALSE(first.done());
    REQUIRE(queue.try_fetch()->ack());
    CHECK(kept.size() == 2);
    for (const Resume& resume : kept) { resume(); }
    CHECK(first.done());
    CHECK(second.done());
    const Flow third = wait({});
    CHECK(third.done());
    CHECK(kept.size() == 2);
    CHECK(seen == std::vector<LatchState>(3, LatchState::completed));
}

TEST_CASE_FIXTURE(Awaiting, "where there is no memory to wait, that is thrown into it [4.11]") {
    for (std::uint64_t nth = 1;; ++nth) {
        bool threw = false;
        {
            auto failing = std::make_optional<support::FailingNew>(support::Failing::nth, nth);
            // The first is its own frame.
            std::optional<support::FailingNew::Pause> own{std::in_place};
            const auto start = [&]() -> Flow {
                own.reset();
                const auto delivery = co_await async_fetch(queue, Later{&kept});
                static_cast<void>(delivery);
            };
            const Flow flow = start();
            failing.reset();
            bool done = false;
            try {
                done = flow.done();
            } catch (const std::bad_alloc&) { threw = true; }
            CHECK_FALSE(done);
        }
        CHECK(latchbox::detail::Access::shell(queue).fetchers.empty());
        if (!threw) {
            CHECK(nth > 1);
            break;
        }
    }
}

TEST_CASE("with a stop token of its platform a wait ends by it [7.7]") {
    latchbox::Broker<int> broker;
    const auto queue = broker.queue("q");
    std::stop_source stop;
    Errc ended{};
    const auto start = [&]() -> Flow {
        const auto got = co_await async_fetch(queue, Inline{}, stop.get_token());
        ended = support::error_of(got);
    };
    const Flow flow = start();
    CHECK_FALSE(flow.done());
    stop.request_stop();
    CHECK(flow.done());
    CHECK(ended == Errc::cancelled);
}

}  // namespace
