// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <coroutine>
#include <optional>
#include <utility>

#include "latchbox/consumer.hpp"
#include "latchbox/detail/suspension.hpp"
#include "latchbox/latch.hpp"

// Fetching, and waiting for latches, in coroutines:
//
//     auto delivery = co_await async_fetch(orders, executor);        // Result<Delivery<Order>>
//
// Executor  Says where a coroutine goes on: a copyable callable that is given a `Resume`, to be
//           called once on the thread, strand or loop of its choice; for Asio
//           `[&io](auto resume) { asio::post(io, resume); }`, at once
//           `[](auto resume) { resume(); }`.
//           It is called under no lock, by the call that ended the wait (a publish, an ack, a
//           close); it must not throw or block, nor may it, or a coroutine that it resumes at once,
//           destroy the broker.
// Time      A timeout ends the wait in the first call on the broker that comes then; an event loop
//           makes it by `Broker::poll`, which says when to call it next.
// Waiting   Those who fetch are served first come, first served, coroutines and threads alike. What
//           is there already does not suspend.
// End       A coroutine that is destroyed while it is suspended leaves the line; what was handed to
//           it meanwhile goes back as if it had never been fetched. It must not be destroyed while
//           another thread resumes it.
// Errors    As the calls that block: `closed`, `cancelled`, `timed_out`, `invalid_option`; and
//           std::bad_alloc may be thrown into the coroutine.
namespace latchbox {
inline namespace v0 {

/// Resumes one suspended coroutine: a function object for its executor. Only the first call of all
/// its copies does so, and none once the coroutine was destroyed.
template <class Msg, class Platform = Threads> class Resume {
public:
    /// Resumes it, in the calling thread.
    void operator()() const noexcept { suspension_->resume(); }

private:
    friend struct detail::Access;
    using Suspension = detail::Suspension<Msg, Platform>;

    explicit Resume(detail::Reference<Suspension> suspension) noexcept
        : suspension_{std::move(suspension)} {}

    detail::Reference<Suspension> suspension_;
};

namespace detail {

// A suspension that goes on where its executor says.
template <class Base, class Msg, class Platform, class Executor>
class SuspendedOn final : public Base {
public:
    template <class Of>
    SuspendedOn(Of of, const Executor& executor) : Base{std::move(of)}, executor_{executor} {}

private:
    void go_on() noexcept override {
        using Self = Reference<Suspension<Msg, Platform>>;
        executor_(Access::make<Resume<Msg, Platform>>(Self::to(*this)));
    }

    Executor executor_;
};

}  // namespace detail

/// What `async_fetch` gives to be awaited: at once, and once.
template <class Msg, class Platform, class Executor> class [[nodiscard]] AsyncFetch {
public:
    using Consumer = latchbox::Consumer<Msg, Platform>;
    using StopToken = typename Platform::StopToken;

    AsyncFetch(const Consumer& consumer, Executor executor, std::optional<Duration> length,
               StopToken stop)
        : consumer_{consumer},
          executor_{std::move(executor)},
          length_{length},
          stop_{std::move(stop)} {}
    AsyncFetch(const AsyncFetch&) = delete;
    AsyncFetch& operator=(const AsyncFetch&) = delete;

    class Awaiter;
    [[nodiscard]] Awaiter operator co_await() && { return Awaiter{*this}; }

private:
    using Suspended =
        detail::SuspendedOn<detail::FetchSuspension<Msg, Platform>, Msg, Platform, Executor>;

    const Consumer consumer_;
    const Executor executor_;
    const std::optional<Duration> length_;
    const StopToken stop_;
};

template <class Msg, class Platform, class Executor>
class AsyncFetch<Msg, Platform, Executor>::Awaiter {
public:
    using Delivery = latchbox::Delivery<Msg, Platform>;

    explicit Awaiter(const AsyncFetch& of) noexcept : of_{of} {}
    Awaiter(const Awaiter&) = delete;
    Awaiter& operator=(const Awaiter&) = delete;
    // With an end that nobody has heard of, if the coroutine is destroyed while it is suspended.
    ~Awaiter() {
        if (!suspended_) { return; }
        suspended_->forget();
        if (suspended_->ending != Errc{} || suspended_->grant.slot == detail::none) { return; }
        auto delivery = detail::Access::make<Delivery>(shell(), suspended_->grant);
        detail::Access::take_back(delivery);
    }

    [[nodiscard]] bool await_ready() {
        ending_ = Fetching::some(shell(), member(), 1, patience(false), of_.stop_,
                                 typename Fetching::NoRoom{}, taking());
        return ending_ != Errc::empty;
    }
    // Not inlined: clang up to 17 might then keep what is local here in the coroutine's frame,
    // which may be gone before this returns (llvm/llvm-project#56301).
    [[nodiscard, gnu::noinline]] bool await_suspend(std::coroutine_handle<> coroutine) {
        const detail::Reference<Suspended> made{
            new Suspended{detail::Access::handle(of_.consumer_), of_.executor_}};
        made->member = member();
        suspended_ = made;
        made->expect(coroutine, of_.stop_);
        const auto stand = [&](Instant until, const detail::Moment& moment,
                               detail::Effects& effects) {
            return made->stand_in_line(until, of_.stop_, moment, effects);
        };
        // Once it stands in line it may be resumed, and destroyed, before this returns.
        const Errc ended = Fetching::some_or(shell(), made->member, 1, patience(true), of_.stop_,
                                             typename Fetching::NoRoom{}, taking(), stand);
        if (ended == detail::look_again) { return true; }
        suspended_ = {};
        ending_ = ended;
        return false;
    }
    [[nodiscard]] Result<Delivery> await_resume() {
        if (suspended_) {
            ending_ = suspended_->ending;
            granted_ = suspended_->grant;
            suspended_ = {};
        }
        if (ending_ != Errc{}) { return ending_; }
        return detail::Access::make<Delivery>(shell(), granted_);
    }

private:
    using Fetching = detail::Fetching<Msg, Platform>;
    using Shell = detail::QueueShell<Msg, Platform>;

    [[nodiscard]] Shell& shell() const noexcept { return detail::Access::shell(of_.consumer_); }
    [[nodiscard]] auto* member() const noexcept {
        return detail::Access::member(of_.consumer_).get();
    }
    [[nodiscard]] typename Fetching::Patience patience(bool waits) const noexcept {
        return {waits, of_.length_.has_value(), of_.length_.value_or(Duration{})};
    }
    [[nodiscard]] auto taking() noexcept {
        return [this](Shell&, auto&, const detail::Grant& grant) { granted_ = grant; };
    }

    const AsyncFetch& of_;  // beside this in the coroutine's frame
    detail::Reference<Suspended> suspended_;
    Errc ending_ = Errc{};
    detail::Grant granted_;
};

/// What `async_wait` gives to be awaited: at once, and once.
template <class Msg, class Platform, class Executor> class [[nodiscard]] AsyncWait {
public:
    using Latch = latchbox::Latch<Msg, Platform>;
    using StopToken = typename Platform::StopToken;

    AsyncWait(const Latch& latch, Executor executor, std::optional<Duration> length, StopToken stop)
        : latch_{latch}, executor_{std::move(executor)}, length_{length}, stop_{std::move(stop)} {}
    AsyncWait(const AsyncWait&) = delete;
    AsyncWait& operator=(const AsyncWait&) = delete;

    class Awaiter;
    [[nodiscard]] Awaiter operator co_await() && { return Awaiter{*this}; }

private:
    using Suspended =
        detail::SuspendedOn<detail::LatchSuspension<Msg, Platform>, Msg, Platform, Executor>;

    const Latch latch_;
    const Executor executor_;
    const std::optional<Duration> length_;
    const StopToken stop_;
};

template <class Msg, class Platform, class Executor>
class AsyncWait<Msg, Platform, Executor>::Awaiter {
public:
    explicit Awaiter(const AsyncWait& of) noexcept : of_{of} {}
    Awaiter(const Awaiter&) = delete;
    Awaiter& operator=(const Awaiter&) = delete;
    ~Awaiter() {
        if (suspended_) { suspended_->forget(); }
    }

    // Whether it is decided is seen as it would stand in line.
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    // Not inlined, as that of a fetch.
    [[nodiscard, gnu::noinline]] bool await_suspend(std::coroutine_handle<> coroutine) {
        const auto& asked = detail::Access::asked(of_.latch_);
        const detail::Reference<Suspended> made{new Suspended{asked.broker, of_.executor_}};
        suspended_ = made;
        made->expect(coroutine, of_.stop_);
        // Once it stands in line it may be resumed, and destroyed, before this returns.
        const auto answer =
            Asking::look(asked, of_.length_, of_.stop_, [&](Instant until, Instant) {
                return made->stand_in_line(asked.latch, until, of_.stop_);
            });
        if (answer == detail::look_again) { return true; }
        suspended_ = {};
        answer_ = answer;
        return false;
    }
    [[nodiscard]] Result<LatchState> await_resume() noexcept {
        if (suspended_) {
            answer_ = suspended_->answer();
            suspended_ = {};
        }
        return answer_;
    }

private:
    using Asking = detail::Asking<Msg, Platform>;

    const AsyncWait& of_;  // beside this in the coroutine's frame
    detail::Reference<Suspended> suspended_;
    Result<LatchState> answer_ = LatchState::pending;
};

/// The next delivery, waited for without a thread: `closed`, `cancelled`.
template <class Msg, class Platform, class Executor>
[[nodiscard]] auto async_fetch(const Consumer<Msg, Platform>& consumer, Executor executor,
                               typename Platform::StopToken stop = {}) {
    return AsyncFetch<Msg, Platform, Executor>{consumer, std::move(executor), std::nullopt,
                                               std::move(stop)};
}
/// The same for no longer than `length`: also `timed_out`. A negative length is `invalid_option`.
template <class Msg, class Platform, class Executor>
[[nodiscard]] auto async_fetch_for(const Consumer<Msg, Platform>& consumer, Executor executor,
                                   Duration length, typename Platform::StopToken stop = {}) {
    return AsyncFetch<Msg, Platform, Executor>{consumer, std::move(executor), length,
                                               std::move(stop)};
}
/// The first state of a latch that is not pending: `closed`, `cancelled`, `unknown_message`.
template <class Msg, class Platform, class Executor>
[[nodiscard]] auto async_wait(const Latch<Msg, Platform>& latch, Executor executor,
                              typename Platform::StopToken stop = {}) {
    return AsyncWait<Msg, Platform, Executor>{latch, std::move(executor), std::nullopt,
                                              std::move(stop)};
}
/// The same for no longer than `length`: also `timed_out`; `invalid_option` if it is negative.
template <class Msg, class Platform, class Executor>
[[nodiscard]] auto async_wait_for(const Latch<Msg, Platform>& latch, Executor executor,
                                  Duration length, typename Platform::StopToken stop = {}) {
    return AsyncWait<Msg, Platform, Executor>{latch, std::move(executor), length, std::move(stop)};
}

}  // namespace v0
}  // namespace latchbox
