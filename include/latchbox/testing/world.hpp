// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "latchbox/testing/scheduler.hpp"

namespace latchbox {
inline namespace v0 {
namespace testing {

/// One run of a program. The program builds its state, adds fibers and a final check, and returns;
/// then the fibers run. State goes into what the fibers and the check capture.
class World : public Scheduler {
public:
    /// The name tells in a failure who it was.
    void spawn(std::string name, std::function<void()> body) {
        add(std::move(name), std::move(body), Step::go_on);
    }
    /// Runs before all others, and alone, until it has to wait.
    void spawn_early(std::string name, std::function<void()> body) {
        add(std::move(name), std::move(body), Step::go_on);
        actors_[count_ - 1]->early = true;
    }
    /// Begins only when no other can go on any more: all have ended, or wait for something.
    void spawn_at_rest(std::string name, std::function<void()> body) {
        add(std::move(name), std::move(body), Step::rest);
    }
    [[nodiscard]] bool has_ended(std::size_t fiber) const noexcept {
        return actors_[fiber]->step == Step::ended;
    }
    /// The nth start of a thread from now on fails, 1 being the next.
    void fail_start(std::uint32_t nth) noexcept { failing_start_ = starts_ + nth; }
    /// Runs when all fibers have ended, on the thread itself.
    void finally(std::function<void()> check) { finally_ = std::move(check); }

    /// Records a failure unless `holds`; a fiber does not return from that.
    void check(bool holds, std::string text) {
        if (!holds) { fail(std::move(text)); }
    }
    /// A decision of the program itself: 0 .. n - 1.
    std::uint32_t pick(std::uint32_t n) {
        if (n <= 1) { return 0; }
        auto& history = on_fiber() ? self().history : thread_history_;
        const std::uint64_t others = state() - History::finish(history);
        const std::uint64_t asked = History::mix(history, History::salt_pick);
        const std::uint32_t choice = ask(n, [&](std::uint32_t i) {
            return ahead(others + History::finish(History::mix(asked, i)), running_, preempted_);
        });
        history = History::mix(asked, choice);
        return choice;
    }
    /// Others may go on here: a choice point of the program's own.
    void yield() {
        if (on_fiber()) { announce(Step::go_on, nullptr); }
    }
    /// A line in the log of a run that failed.
    void log(const std::string& what) {
        if (!log_.wanted()) { return; }
        const Raised own{own_business_};
        log_.add(on_fiber() ? self().name : "the thread", what);
    }
    /// A word on how the run went; the report counts runs by all their words.
    void outcome(const std::string& word) {
        if (!outcome_.empty()) { outcome_ += ' '; }
        outcome_ += word;
    }
    /// From here on an allocation by a fiber that holds a mutex is a failure.
    void watch_allocations(bool watch = true) noexcept { watch_allocations_ = watch; }

    // The rest is for the platform.

    /// The world that runs, if one does.
    [[nodiscard]] static World* current() noexcept { return static_cast<World*>(current_); }

    void read(Object& object) { access(object, Step::read); }
    void write(Object& object) { access(object, Step::write); }

    void lock(MutexObject& mutex) {
        expect_alive(mutex);
        if (!on_fiber()) {
            if (mutex.owner_ != nobody) { fail("the thread itself would wait for ever"); }
            mutex.owner_ = the_thread;
            return;
        }
        if (mutex.owner_ == running_) { fail("locks a mutex that it holds"); }
        announce(Step::lock, &mutex);
        expect_order();
    }
    void unlock(MutexObject& mutex) {
        expect_alive(mutex);
        if (mutex.owner_ != (on_fiber() ? running_ : the_thread)) {
            return fail("unlocks a mutex that it does not hold");
        }
        if (!on_fiber()) {
            mutex.owner_ = nobody;
            return;
        }
        note(self(), "unlocks", &mutex);
        give_up(mutex);
        if (rules_.interrupt_after) { announce(Step::go_on, nullptr); }
    }

    void wait(ConditionObject& condition, MutexObject& mutex, bool timed) {
        expect_alive(condition);
        expect_alive(mutex);
        if (!on_fiber()) { return fail("the thread itself would wait for ever"); }
        if (mutex.owner_ != running_) { fail("waits with a mutex that it does not hold"); }
        Actor& me = self();
        me.mutex = &mutex;
        me.timed = timed;
        announce(Step::wait, &condition);
        for (std::size_t i = 0; i < count_; ++i) {
            const Actor& other = *actors_[i];
            if (waits_on(other, condition) && other.mutex != &mutex) {
                fail("waits with another mutex than one who waits already");
            }
        }
        give_up(mutex);
        me.step = Step::asleep;
        schedule();
        me.mutex = nullptr;
        touch(mutex, true);
        expect_order();
    }
    void notify_one(ConditionObject& condition) {
        expect_alive(condition);
        if (!on_fiber()) { return; }
        announce(Step::notify, &condition);
        std::array<Actor*, most_fibers> waiters{};
        std::uint32_t n = 0;
        for (std::size_t i = 0; i < count_; ++i) {
            if (waits_on(*actors_[i], condition)) { waiters[n++] = actors_[i].get(); }
        }
        if (n > 0) {
            const std::uint64_t notice = self().history, now = state();
            const std::uint32_t choice = ask(n, [&](std::uint32_t i) {
                const std::uint64_t before = waiters[i]->history;
                const std::uint64_t after = History::mix(before, notice);
                return ahead(now - History::finish(before) + History::finish(after), running_,
                             preempted_);
            });
            Actor& woken = *waiters[choice];
            woken.history = History::mix(woken.history, notice);
            woken.step = Step::wake_up;
            woken.object = woken.mutex;
            note(woken, "is woken from", &condition);
        }
        if (rules_.interrupt_after) { announce(Step::go_on, nullptr); }
    }

    /// Waits while another fiber runs `callback`.
    void leave(Object& stop_state, const void* callback, const RunningCallback& now_running) {
        expect_alive(stop_state);
        if (!on_fiber()) { return; }
        self().callback = callback;
        self().now_running = &now_running;
        announce(Step::leave, &stop_state);
    }

    /// A fiber of a running program, which begins at once; `nobody` where it cannot be started.
    template <class Body> int start(Body&& body) {
        if (on_fiber()) { announce(Step::start, nullptr); }
        ++starts_;
        if (on_fiber()) { self().history = History::mix(self().history, starts_); }
        if (starts_ == failing_start_) { return nobody; }
        std::function<void()> owned{std::forward<Body>(body)};
        const Raised own{own_business_};
        std::string name = on_fiber() ? self().name : "the thread";
        add(name + "'s " + std::to_string(starts_), std::move(owned), Step::go_on);
        Actor& started = *actors_[count_ - 1];
        started.to_be_joined = true;
        if (on_fiber()) {
            started.history = History::mix(started.history, self().history);
            started.fiber.prepare(&enter);
        }
        return started.index;
    }
    /// Waits for its end.
    void join(int fiber) {
        Actor& joined = *actors_[static_cast<std::size_t>(fiber)];
        if (fiber == running_) { return fail("joins itself"); }
        if (on_fiber()) {
            self().joined = &joined;
            announce(Step::join, nullptr);
            self().joined = nullptr;
        } else if (joined.step != Step::ended) {
            return fail("the thread itself would wait for ever");
        }
        joined.to_be_joined = false;
    }
    void detach(int fiber) noexcept {
        actors_[static_cast<std::size_t>(fiber)]->to_be_joined = false;
    }

    void user_code() {
        if (on_fiber() && !self().held.empty()) { fail("enters user code under a lock"); }
    }
    void allocating() {
        if (!watch_allocations_ || own_business_ || !on_fiber() || self().held.empty()) { return; }
        watch_allocations_ = false;  // of the text
        fail("allocates under a lock");
    }

    /// Whether it is a fiber's own code that runs now, and none of the scheduler's.
    [[nodiscard]] bool in_program() const noexcept { return on_fiber() && !own_business_; }

    void made(Object& object) noexcept {
        const std::uint64_t history = on_fiber() ? self().history : thread_history_;
        const std::uint64_t number = on_fiber() ? ++self().made : ++thread_made_;
        object.id_ = History::mix(History::mix(history, History::salt_made), number);
        object.key_ = number * (most_fibers + 1) + static_cast<std::uint64_t>(running_ + 1);
    }
    void destroying(const Object& object) {
        expect_alive(object);
        touch(object, true);
        for (std::size_t i = 0; i < count_; ++i) {
            const Actor& other = *actors_[i];
            if (other.index == running_ || other.step == Step::ended) { continue; }
            if (other.object == &object || other.mutex == &object) {
                fail("destroys the " + std::string{object.kind_} + " that " + other.name +
                     (other.step == Step::asleep && other.object == &object ? " waits on"
                                                                            : " is about to use"));
            }
        }
    }
    void destroying_mutex(const MutexObject& mutex) {
        if (mutex.owner_ != nobody) { fail("destroys a mutex that is held"); }
    }

private:
    friend class Explorer;

    void add(std::string name, std::function<void()> body, Step first) {
        if (count_ == most_fibers) { return fail("spawns too many fibers"); }
        if (count_ == actors_.size()) { actors_.push_back(std::make_unique<Actor>()); }
        Actor& actor = *actors_[count_];
        actor.index = static_cast<int>(count_);
        actor.name = std::move(name);
        actor.body = std::move(body);
        actor.history = History::mix(History::mix(History::salt_start, count_), thread_history_);
        actor.made = 0;
        actor.early = false;
        actor.step = first;
        actor.object = nullptr;
        actor.mutex = nullptr;
        actor.joined = nullptr;
        actor.to_be_joined = false;
        actor.held.clear();
        actor.held.reserve(most_held);
        ++count_;
    }

    static void enter() {
        current()->run_body();
        std::abort();  // not reached
    }
    void run_body() {
        std::string escaped;  // not left inside a handler, which would keep the exception
#if defined(__cpp_exceptions)
        try {
            self().body();
        } catch (const std::exception& error) {
            escaped = std::string{"lets an exception out: "} + error.what();
        } catch (...) { escaped = "lets an exception out"; }
#else
        self().body();
#endif
        if (!escaped.empty()) { fail(std::move(escaped)); }
        if (!self().held.empty()) { fail("ends while it holds a mutex"); }
        self().object = nullptr;
        self().step = Step::ended;
        schedule();
    }

    static bool waits_on(const Actor& actor, const ConditionObject& condition) noexcept {
        return actor.step == Step::asleep && actor.object == &condition;
    }
    // Whoever closes a cycle of orders, it is the same failure.
    void expect_order() {
        if (!lock_order_.disordered()) { return; }
        watch_allocations_ = false;  // of the text
        failure_ = "two mutexes are taken in both orders";
        drop();
    }

    void access(Object& object, Step step) {
        expect_alive(object);
        if (on_fiber()) { announce(step, &object); }
    }

    // One run of `program`, to its end or its first failure. Stacks and tables are used again.
    template <class Program>
    void run(Program& program, const Rules& rules, const Setting& setting) {
        begin_run(rules, setting);
        const Current only{*this};
        program(*this);
        for (std::size_t i = 0; i < count_; ++i) { actors_[i]->fiber.prepare(&enter); }
        if (count_ > 0 && !failure_) { schedule(); }
        if (finally_ && !failure_) { finally_(); }
        if (!failure_) { expect_joined(); }
        if (failure_) { bury(); }
        for (std::size_t i = 0; i < count_; ++i) { actors_[i]->body = nullptr; }
        finally_ = nullptr;
    }
    void expect_joined() {
        for (std::size_t i = 0; i < count_; ++i) {
            const Actor& actor = *actors_[i];
            if (actor.step != Step::ended) { return fail(actor.name + " was started too late"); }
            if (actor.to_be_joined) { return fail(actor.name + " is neither joined nor detached"); }
        }
    }
    struct Current {
        explicit Current(World& world) noexcept { current_ = &world; }
        ~Current() { current_ = nullptr; }
        Current(const Current&) = delete;
        Current& operator=(const Current&) = delete;
    };

    // What an abandoned run leaves is in an unknown state: it is kept, and never destroyed.
    void bury() {
        static auto* const graves = new std::vector<std::function<void()>>;
        for (std::size_t i = 0; i < count_; ++i) { graves->push_back(std::move(actors_[i]->body)); }
        graves->push_back(std::move(finally_));
    }

    std::function<void()> finally_;
};

inline Object::Object(const char* kind) noexcept : kind_{kind} {
    if (World* const world = World::current()) { world->made(*this); }
}
inline Object::~Object() {
    if (World* const world = World::current()) { world->destroying(*this); }
    seal_ = poison;
}
inline MutexObject::~MutexObject() {
    if (World* const world = World::current()) { world->destroying_mutex(*this); }
}

}  // namespace testing
}  // namespace v0
}  // namespace latchbox
