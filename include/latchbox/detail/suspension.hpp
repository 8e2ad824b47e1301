// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <atomic>
#include <coroutine>
#include <cstdint>
#include <optional>
#include <utility>

#include "latchbox/detail/asking.hpp"
#include "latchbox/detail/fetching.hpp"
#include "latchbox/detail/settling.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// A coroutine that waits for something. It has ended its wait once it is out of line, by whoever
// took it out: he `tells` it, which hands it to its executor. It lives as long as its coroutine
// waits for it, as it stands in line or is being told, as its alarm is set, and as its executor
// knows it.
template <class Msg, class Platform> class Suspension : public Alarm {
public:
    using Broker = BrokerShell<Msg, Platform>;
    using StopToken = typename Platform::StopToken;

    // May throw std::bad_alloc.
    explicit Suspension(Reference<Broker> of) : broker{std::move(of)} {}

    void hold() noexcept final { users_.fetch_add(1, std::memory_order_relaxed); }
    void let_go() noexcept final {
        if (users_.fetch_sub(1, std::memory_order_acq_rel) != 1) { return; }
        on_stop_.reset();  // a stop may come until then, and finds a whole object
        delete this;
    }

    // Before it stands in line, and others know it. A stop that comes before that changes nothing:
    // who is about to stand in line asks once more, when he holds the lock.
    void expect(std::coroutine_handle<> coroutine, const StopToken& stop) {
        coroutine_ = coroutine;
        if (stop.stop_possible()) { on_stop_.emplace(stop, OnStop{this}); }
    }
    // Out of line, for which it was held.
    void tell() noexcept {
        const Reference<Suspension> told{this};
        silence();
        go_on();
    }
    // By its executor: the coroutine goes on, unless it has or is no more.
    void resume() noexcept {
        if (over_.fetch_add(1, std::memory_order_acq_rel) == 0) { coroutine_.resume(); }
    }
    // By its coroutine, which is destroyed: it is not resumed any more.
    void forget() noexcept {
        over_.fetch_add(1, std::memory_order_acq_rel);
        if (!leave(Errc::cancelled)) { return; }
        silence();
        let_go();
    }

protected:
    const Reference<Broker> broker;

    virtual ~Suspension() = default;
    // Out of line, with this end, if it still stands there.
    virtual bool leave(Errc why) noexcept = 0;
    // Hands itself to its executor.
    virtual void go_on() noexcept = 0;
    // It is about to stand in line.
    void stand_until(Instant last) noexcept {
        hold();
        if (last.is_never()) { return; }
        hold();
        broker->time.set(*this, last);
    }

private:
    struct OnStop {
        Suspension* suspension;
        void operator()() const noexcept { suspension->end(Errc::cancelled); }
    };
    void ring() noexcept final { end(Errc::timed_out); }
    void end(Errc why) noexcept {
        if (leave(why)) { tell(); }
    }
    void silence() noexcept {
        if (broker->time.cancel(*this)) { let_go(); }
    }

    std::coroutine_handle<> coroutine_;
    std::optional<typename Platform::template StopCallback<OnStop>> on_stop_;
    typename Platform::template Atomic<std::uint32_t> users_{1};
    typename Platform::template Atomic<std::uint32_t> over_{0};
};

// One that waits for a message. [4.9]
template <class Msg, class Platform>
class FetchSuspension : public Suspension<Msg, Platform>, public Waiter<Platform> {
public:
    using Shell = QueueShell<Msg, Platform>;

    explicit FetchSuspension(Reference<Shell> shell)
        : Suspension<Msg, Platform>{shell->broker}, shell_{std::move(shell)} {
        this->told = [](Waiter<Platform>& waiter) noexcept {
            static_cast<FetchSuspension&>(waiter).tell();
        };
    }
    // Joins those who fetch, unless it was stopped; lets go of the queue's lock. The caller holds
    // it.
    Errc stand_in_line(Instant until, const typename Platform::StopToken& stop, Moment moment,
                       Effects& effects) noexcept LATCHBOX_UNCHECKED {
        if (stop.stop_requested()) {
            shell_->finish(moment, effects);
            return Errc::cancelled;
        }
        this->sleep.until = until;
        this->stand_until(until);
        enter_line(*shell_, shell_->fetchers, *this);
        shell_->finish(moment, effects);
        return look_again;
    }

private:
    // Does nothing that is due: it is itself, perhaps.
    bool leave(Errc why) noexcept override LATCHBOX_UNCHECKED {
        Lock lock{shell_->mutex};
        if (!this->in_line) { return false; }
        shell_->end_fetcher(*this);
        this->ending = why;
        return true;
    }

    const Reference<Shell> shell_;
};

// One that waits for a latch. [5.8]
template <class Msg, class Platform>
class LatchSuspension : public Suspension<Msg, Platform>, public LatchWaiter<Platform> {
public:
    explicit LatchSuspension(Reference<BrokerShell<Msg, Platform>> of)
        : Suspension<Msg, Platform>{std::move(of)} {
        this->told = [](LatchWaiter<Platform>& waiter) noexcept {
            static_cast<LatchSuspension&>(waiter).tell();
        };
    }
    // Joins those who look on, unless it was stopped; lets go of the latches' lock.
    Errc stand_in_line(std::uint32_t at, Instant last,
                       const typename Platform::StopToken& stop) noexcept LATCHBOX_UNCHECKED {
        const bool stopped = stop.stop_requested();
        if (!stopped) {
            this->until = last;
            this->stand_until(last);
            this->broker->latches.board.look_on(at, *this);
        }
        this->broker->latches.mutex.unlock();
        return stopped ? Errc::cancelled : Errc{};
    }
    // How the wait ended.
    [[nodiscard]] Result<LatchState> answer() const noexcept {
        if (ending_ != Errc{}) { return ending_; }
        if (this->closed) { return Errc::closed; }
        if (this->late) { return Errc::timed_out; }
        return this->state;
    }

private:
    bool leave(Errc why) noexcept override LATCHBOX_UNCHECKED {
        Lock lock{this->broker->latches.mutex};
        if (this->latch == none) { return false; }
        this->broker->latches.board.look_away(*this);
        ending_ = why;
        return true;
    }

    Errc ending_ = Errc{};
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
