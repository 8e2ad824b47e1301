// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <system_error>
#include <type_traits>
#include <utility>

#include "latchbox/detail/annotations.hpp"
#include "latchbox/testing/explore.hpp"
#include "latchbox/testing/world.hpp"
#include "latchbox/time.hpp"

namespace latchbox {
inline namespace v0 {
namespace testing {

/// The platform whose threads are the fibers of a `World`, as `Threads` is that of the
/// standard library. Outside of fibers its calls do what they do where there is but one thread. The
/// time of the machine is no part of what is simulated: a broker needs a clock, as
/// `BasicManualClock<Simulated>`.
struct Simulated {
    static constexpr bool can_wait = true;
    static constexpr bool lingers = false;
    static constexpr bool needs_clock = true;

    class LATCHBOX_CAPABILITY Mutex : private MutexObject {
    public:
        void lock() noexcept LATCHBOX_ACQUIRE() {
            if (World* const world = World::current()) { world->lock(*this); }
        }
        void unlock() noexcept LATCHBOX_RELEASE() {
            if (World* const world = World::current()) { world->unlock(*this); }
        }

    private:
        friend struct Simulated;
    };

    class Condition : private ConditionObject {
    public:
        void wait(Mutex& mutex) noexcept LATCHBOX_REQUIRES(mutex) {
            if (World* const world = World::current()) { world->wait(*this, mutex, false); }
        }
        /// Runs out when nobody can go on otherwise, whatever the length.
        void wait_for(Mutex& mutex, Duration) noexcept LATCHBOX_REQUIRES(mutex) {
            if (World* const world = World::current()) { world->wait(*this, mutex, true); }
        }
        void notify_one() noexcept {
            if (World* const world = World::current()) { world->notify_one(*this); }
        }
    };

    template <class T> class Atomic : private Object {
    public:
        Atomic() noexcept : Object{"atomic"} {}
        Atomic(T value) noexcept : Object{"atomic"}, value_{value} {}

        T load(std::memory_order) const noexcept {
            if (World* const world = World::current()) { world->read(const_cast<Atomic&>(*this)); }
            return value_;
        }
        void store(T value, std::memory_order) noexcept {
            write();
            value_ = value;
        }
        T fetch_add(T by, std::memory_order) noexcept {
            write();
            return std::exchange(value_, static_cast<T>(value_ + by));
        }
        T fetch_sub(T by, std::memory_order) noexcept {
            write();
            return std::exchange(value_, static_cast<T>(value_ - by));
        }
        bool compare_exchange_strong(T& expected, T desired, std::memory_order) noexcept {
            write();
            const bool equal = value_ == expected;
            (equal ? value_ : expected) = equal ? desired : value_;
            return equal;
        }
        /// Fails for no reason never: callers look again, so that shows nothing new.
        bool compare_exchange_weak(T& expected, T desired, std::memory_order order) noexcept {
            return compare_exchange_strong(expected, desired, order);
        }

    private:
        void write() noexcept {
            if (World* const world = World::current()) { world->write(*this); }
        }

        T value_{};
    };

    /// A fiber that a running program starts: each has to be joined or detached.
    class Thread {
    public:
        Thread() noexcept = default;
        template <class F>
        requires(!std::is_same_v<std::remove_cvref_t<F>, Thread>) explicit Thread(F&& function) {
            // Its end is that of the function too, which need not be one that can be copied.
            using Function = std::decay_t<F>;
            auto owned = std::make_shared<std::optional<Function>>(std::forward<F>(function));
            if (World* const world = World::current()) {
                fiber_ = world->start([owned = std::move(owned)] {
                    (**owned)();
                    owned->reset();
                });
            }
            if (fiber_ < 0) { cannot_start(); }
        }
        Thread(Thread&& other) noexcept : fiber_{std::exchange(other.fiber_, -1)} {}
        Thread& operator=(Thread&& other) noexcept {
            expect_given_up();
            fiber_ = std::exchange(other.fiber_, -1);
            return *this;
        }
        ~Thread() { expect_given_up(); }

        [[nodiscard]] bool joinable() const noexcept { return fiber_ >= 0; }
        void join() {
            World::current()->check(joinable(), "joins no thread");
            World::current()->join(std::exchange(fiber_, -1));
        }
        void detach() {
            World::current()->check(joinable(), "detaches no thread");
            World::current()->detach(std::exchange(fiber_, -1));
        }

    private:
        [[noreturn]] static void cannot_start() {
            const auto why = std::make_error_code(std::errc::resource_unavailable_try_again);
#if defined(__cpp_exceptions)
            throw std::system_error{why};
#else
            detail::ensure_failed(why.message().c_str(), __builtin_FILE(), __builtin_LINE());
#endif
        }
        void expect_given_up() const noexcept {
            World* const world = World::current();
            if (world != nullptr && joinable()) {
                world->fail("loses a thread that it neither joined nor detached");
            }
        }

        int fiber_ = -1;
    };
    /// Who runs: the thread itself is one, too.
    [[nodiscard]] static int current_thread() noexcept {
        const World* const world = World::current();
        return world == nullptr ? -1 : world->running();
    }

private:
    class Callback {
    public:
        Callback(const Callback&) = delete;
        Callback& operator=(const Callback&) = delete;

    protected:
        Callback() = default;
        virtual ~Callback() = default;
        virtual void call() noexcept = 0;

    private:
        friend struct Simulated;
        Callback* next_ = nullptr;
        bool* destroyed_ = nullptr;  // told to who runs it
    };

    // What a stop source shares with its tokens and callbacks.
    class StopState : private Object {
    public:
        StopState() noexcept : Object{"stop state"} {}

        [[nodiscard]] bool requested() noexcept {
            if (World* const world = World::current()) { world->read(*this); }
            return requested_;
        }
        bool request() noexcept {
            write();
            if (requested_) { return false; }
            requested_ = true;
            while (first_ != nullptr) {
                Callback* const callback = std::exchange(first_, first_->next_);
                const World* const world = World::current();
                bool destroyed = false;
                callback->destroyed_ = &destroyed;
                running_ = {callback, world == nullptr ? -1 : world->running()};
                callback->call();
                if (!destroyed) { callback->destroyed_ = nullptr; }
                write();
                running_ = {};
            }
            return true;
        }
        // False, if it is too late for that.
        [[nodiscard]] bool add(Callback& callback) noexcept {
            write();
            if (requested_) { return false; }
            callback.next_ = std::exchange(first_, &callback);
            return true;
        }
        void remove(Callback& callback) noexcept {
            if (World* const world = World::current()) { world->leave(*this, &callback, running_); }
            if (callback.destroyed_ != nullptr) { *callback.destroyed_ = true; }
            for (Callback** link = &first_; *link != nullptr; link = &(*link)->next_) {
                if (*link == &callback) {
                    *link = callback.next_;
                    return;
                }
            }
        }

    private:
        void write() noexcept {
            if (World* const world = World::current()) { world->write(*this); }
        }

        bool requested_ = false;
        Callback* first_ = nullptr;
        RunningCallback running_;
    };

public:
    class StopToken {
    public:
        StopToken() noexcept = default;
        [[nodiscard]] bool stop_requested() const noexcept { return state_ && state_->requested(); }
        [[nodiscard]] bool stop_possible() const noexcept { return state_ != nullptr; }
        [[nodiscard]] bool operator==(const StopToken&) const noexcept = default;

    private:
        friend struct Simulated;
        explicit StopToken(std::shared_ptr<StopState> state) noexcept : state_{std::move(state)} {}

        std::shared_ptr<StopState> state_;
    };

    /// Lets programs request a stop; the callbacks run in the call that requests it.
    class StopSource {
    public:
        StopSource() : state_{std::make_shared<StopState>()} {}
        [[nodiscard]] StopToken get_token() const noexcept { return StopToken{state_}; }
        bool request_stop() const noexcept { return state_->request(); }

    private:
        std::shared_ptr<StopState> state_;
    };

    template <class F> class StopCallback final : private Callback {
    public:
        template <class G>
        StopCallback(const StopToken& token, G&& function)
            : function_{std::forward<G>(function)}, state_{token.state_} {
            if (state_ && !state_->add(*this)) {
                state_ = nullptr;
                function_();
            }
        }
        ~StopCallback() override {
            if (state_) { state_->remove(*this); }
        }

    private:
        void call() noexcept override { function_(); }

        F function_;
        std::shared_ptr<StopState> state_;
    };
    template <class F> StopCallback(StopToken, F) -> StopCallback<F>;

    /// To be called where user code runs: a failure if the caller holds a mutex.
    static void user_code() noexcept {
        if (World* const world = World::current()) { world->user_code(); }
    }
    /// To be called by `operator new`: a failure if a fiber holds a mutex while it is watched.
    static void allocating() noexcept {
        if (World* const world = World::current()) { world->allocating(); }
    }
};

}  // namespace testing
}  // namespace v0
}  // namespace latchbox
