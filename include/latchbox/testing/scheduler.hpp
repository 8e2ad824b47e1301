// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "latchbox/detail/ensure.hpp"
#include "latchbox/testing/actor.hpp"
#include "latchbox/testing/choices.hpp"
#include "latchbox/testing/contention.hpp"
#include "latchbox/testing/depth_first.hpp"
#include "latchbox/testing/history.hpp"
#include "latchbox/testing/lock_order.hpp"
#include "latchbox/testing/priorities.hpp"
#include "latchbox/testing/raised.hpp"
#include "latchbox/testing/rules.hpp"
#include "latchbox/testing/run_log.hpp"

namespace latchbox {
inline namespace v0 {
namespace testing {

/// Who may run: fibers one at a time, every decision taken from a choice source. What a fiber does
/// to mutexes and conditions is the business of `World`, which is built on this.
///
/// Pruning. Each fiber has a hash of its history: its steps in their order, each with the last
/// change before it of the object that it touched. Two states whose fibers have equal histories are
/// equal, in whatever order independent steps happened, as long as the program is a function of
/// its history: no address is compared or hashed, no unordered table walked, and what fibers share
/// is guarded by mutexes and atomics. (That a look came before a change needs no mention in the
/// change: the look tells.)
class Scheduler {
public:
    Scheduler() = default;
    Scheduler(const Scheduler&) = delete;
    Scheduler& operator=(const Scheduler&) = delete;

    static constexpr std::size_t most_fibers = 16;

    [[nodiscard]] int running() const noexcept { return running_; }
    [[nodiscard]] bool on_fiber() const noexcept { return running_ >= 0; }

    /// Ends the run with a failure; a fiber does not return from that. By value, so that a fiber
    /// that is dropped here leaves no memory behind.
    void fail(const char* text) { watch_allocations_ = false, fail(std::string{text}); }
    void fail(std::string text) {
        watch_allocations_ = false;
        if (!failure_) {
            if (on_fiber()) { text.insert(0, self().name + " "); }
            failure_ = std::move(text);
        }
        if (on_fiber()) { drop(); }
        // It cannot be dropped: a call that waits on it would do so for ever.
        detail::ensure(++failed_on_thread_ < 1'000, "the thread itself waits, without fibers");
    }

protected:
    ~Scheduler() = default;

    static constexpr int nobody = -1;
    static constexpr int the_thread = -2;
    static constexpr std::size_t most_held = 8;

    using Able = std::array<Actor*, most_fibers>;

    Actor& self() noexcept { return *actors_[static_cast<std::size_t>(running_)]; }
    void expect_alive(const Object& object) {
        if (!object.alive()) { fail("uses something destroyed"); }
    }
    // Says what the running fiber is about to do; returns when it was chosen to do it.
    void announce(Step step, Object* object) {
        self().step = step;
        self().object = object;
        if (is_choice_point(step, object)) { return schedule(); }
        const Raised own{own_business_};
        if (full_trace_ != nullptr) { note_no_choice(); }
        count_step();
        take_step(self());
    }
    [[nodiscard]] bool is_choice_point(Step step, const Object* object) {
        if (contention_ == nullptr || object == nullptr) { return true; }
        if (touch(*object, step != Step::read)) { return true; }
        if (able(self())) { return false; }
        const Raised own{own_business_};
        contention_->waited_for(object->key_);
        return true;
    }
    // The running fiber has to do with `object`. True if others contend with it for that.
    bool touch(const Object& object, bool changes) {
        if (contention_ == nullptr || !on_fiber()) { return true; }
        const Raised own{own_business_};
        keys_.clear();
        for (const MutexObject* held : self().held) {
            if (held != &object) { keys_.push_back(held->key_); }
        }
        return contention_->touched(object.key_, running_, changes, keys_);
    }
    void count_step() {
        if (++steps_ > rules_.max_steps) { fail("goes on and on: a livelock"); }
    }
    // In a trace that says where it goes on at every step, this is one where nothing changes.
    void note_no_choice() {
        if (Able candidates{}; collect(candidates, true) > 1) { full_trace_->push_back(0); }
    }

    [[nodiscard]] bool able(const Actor& actor) const noexcept {
        switch (actor.step) {
            case Step::lock:
            case Step::wake_up:
                return static_cast<const MutexObject*>(actor.object)->owner_ == nobody;
            case Step::asleep: return wakes_left_ > 0;
            case Step::leave:
                return actor.now_running->callback != actor.callback ||
                       actor.now_running->fiber == actor.index;
            case Step::join: return actor.joined->step == Step::ended;
            case Step::rest:
            case Step::ended: return false;
            default: return true;
        }
    }

    // The history of a fiber when it has done what it is about to do.
    [[nodiscard]] static std::uint64_t history_after(const Actor& actor) noexcept {
        const std::uint64_t history =
            History::mix(actor.history, static_cast<std::uint64_t>(actor.step));
        if (actor.step == Step::join) { return History::mix(history, actor.joined->history); }
        if (actor.object == nullptr) { return history; }
        return History::mix(History::mix(history, actor.object->id_), actor.object->last_change_);
    }
    [[nodiscard]] std::uint64_t state() const noexcept {
        std::uint64_t sum = History::finish(thread_history_);
        for (std::size_t i = 0; i < count_; ++i) { sum += History::finish(actors_[i]->history); }
        return sum;
    }

    // Where preemptions are limited it matters who runs, and how many there were.
    [[nodiscard]] std::uint64_t ahead(std::uint64_t histories, int runs,
                                      std::uint32_t preempted) const noexcept {
        if (!rules_.preemptions) { return histories; }
        return History::mix(History::mix(histories, preempted), static_cast<std::uint64_t>(runs));
    }
    template <class StateAfter> std::uint32_t ask(std::uint32_t n, StateAfter&& state_after) {
        const Raised own{own_business_};
        if (search_ != nullptr && n > 1) { search_->foresee(n, state_after); }
        const std::uint32_t choice = choices_->pick(n);
        if (full_trace_ != nullptr && n > 1) { full_trace_->push_back(choice); }
        return choice;
    }

    // Chooses who goes on; returns when that is the caller. On a fiber, or on the thread to begin.
    void schedule() {
        Actor* const next = decide();
        if (next == nullptr) { return all_rest(); }
        const int before = std::exchange(running_, next->index);
        if (before == running_) { return; }
        if (before < 0) { return Fiber::switch_between(thread_, next->fiber); }
        Actor& from = *actors_[static_cast<std::size_t>(before)];
        Fiber::switch_between(from.fiber, next->fiber, from.step == Step::ended);
    }
    // And lets him take his step. Nobody, if none can go on.
    Actor* decide() {
        const Raised own{own_business_};
        for (;;) {
            count_step();
            Able candidates{};
            const bool me_able = on_fiber() && able(self());
            const std::uint32_t n = collect(candidates, me_able);
            if (n == 0) { return nullptr; }
            const std::uint32_t choice = choose(candidates, n, me_able);
            if (me_able && choice != 0) { ++preempted_; }
            if (take_step(*candidates[choice])) { return candidates[choice]; }
        }
    }
    // Whoever can go on, the running one first.
    std::uint32_t collect(Able& candidates, bool me_able) {
        std::uint32_t n = 0;
        for (std::size_t i = 0; i < count_; ++i) {
            Actor& actor = *actors_[i];
            if (!actor.early) { continue; }
            actor.early = actor.step != Step::asleep && able(actor);
            if (!actor.early) { continue; }
            candidates[n++] = &actor;
            return n;
        }
        if (me_able) { candidates[n++] = &self(); }
        if (me_able && rules_.preemptions && preempted_ >= *rules_.preemptions) { return n; }
        for (std::size_t i = 0; i < count_; ++i) {
            Actor& actor = *actors_[i];
            if (actor.index != running_ && able(actor)) { candidates[n++] = &actor; }
        }
        if (n == 0) {
            n = collect_if(candidates, [](const Actor& actor) {
                return actor.step == Step::asleep && actor.timed;
            });
        }
        if (n == 0) {
            n = collect_if(candidates, [](const Actor& actor) { return actor.step == Step::rest; });
        }
        return n;
    }
    template <class Which> std::uint32_t collect_if(Able& candidates, Which&& which) const {
        std::uint32_t n = 0;
        for (std::size_t i = 0; i < count_; ++i) {
            if (which(*actors_[i])) { candidates[n++] = actors_[i].get(); }
        }
        return n;
    }
    std::uint32_t choose(const Able& candidates, std::uint32_t n, bool me_able) {
        if (priorities_ != nullptr) { priorities_->among(candidates, n); }
        const std::uint64_t now = state();
        return ask(n, [&](std::uint32_t i) {
            const Actor& actor = *candidates[i];
            const std::uint64_t after =
                now - History::finish(actor.history) + History::finish(history_after(actor));
            return ahead(after, actor.index, preempted_ + (me_able && i != 0 ? 1U : 0U));
        });
    }

    // Does what a step does to the histories and to mutexes. True if the fiber then runs.
    bool take_step(Actor& actor) {
        note(actor, step_words[static_cast<std::size_t>(actor.step)], actor.object);
        actor.history = history_after(actor);
        if (actor.object == nullptr || actor.step == Step::read) { return true; }
        actor.object->last_change_ = actor.history;
        if (actor.step == Step::asleep) {
            if (wakes_left_ > 0) { --wakes_left_; }
            actor.step = Step::wake_up;
            actor.object = actor.mutex;
            return false;  // has to take the mutex first
        }
        if (actor.step == Step::lock || actor.step == Step::wake_up) {
            take(actor, static_cast<MutexObject&>(*actor.object));
        }
        return true;
    }
    void take(Actor& actor, MutexObject& mutex) {
        mutex.owner_ = actor.index;
        if (rules_.lock_order) {
            for (const MutexObject* held : actor.held) { lock_order_.taken(held->id_, mutex.id_); }
        }
        actor.held.push_back(&mutex);
    }
    void give_up(MutexObject& mutex) {
        Actor& me = self();
        touch(mutex, true);
        me.history = History::mix(History::mix(me.history, History::salt_unlock), mutex.id_);
        mutex.last_change_ = me.history;
        mutex.owner_ = nobody;
        std::erase(me.held, &mutex);
    }

    // Nobody can go on: all have ended, or they wait for each other.
    void all_rest() {
        std::string waiting;
        for (std::size_t i = 0; i < count_; ++i) {
            const Actor& actor = *actors_[i];
            if (actor.step == Step::ended) { continue; }
            waiting += waiting.empty() ? "deadlock: " : ", ";
            waiting += actor.name;
            waiting += actor.step == Step::asleep  ? " is asleep"
                       : actor.step == Step::leave ? " waits for a stop callback"
                       : actor.step == Step::join  ? " waits for the end of " + actor.joined->name
                                                   : " waits for a mutex";
        }
        if (!waiting.empty()) { failure_ = std::move(waiting); }
        drop();
    }
    // Back to the thread; the fiber is not continued.
    void drop() {
        Actor& from = self();
        running_ = nobody;
        own_business_ = false;
        Fiber::switch_between(from.fiber, thread_, true);
    }

    void note(const Actor& actor, const char* what, const Object* object) {
        if (!log_.wanted()) { return; }
        const Raised own{own_business_};
        log_.add(actor.name, what, object == nullptr ? nullptr : object->kind_,
                 object == nullptr ? 0 : object->id_);
    }

    void begin_run(const Rules& rules, const Setting& setting) {
        choices_ = setting.choices;
        search_ = setting.search;
        contention_ = setting.contention;
        priorities_ = setting.priorities;
        full_trace_ = setting.full_trace;
        rules_ = rules;
        count_ = 0;
        running_ = nobody;
        thread_history_ = 1;
        thread_made_ = 0;
        steps_ = 0;
        preempted_ = 0;
        starts_ = 0;
        failing_start_ = 0;
        failed_on_thread_ = 0;
        wakes_left_ = rules.spurious_wakes;
        watch_allocations_ = false;
        own_business_ = false;
        lock_order_.clear();
        keys_.reserve(most_held);
        outcome_.clear();
        log_.start(setting.logging);
        failure_.reset();
    }

    inline static Scheduler* current_ = nullptr;

    Fiber thread_{Fiber::OfTheThread{}};
    std::vector<std::unique_ptr<Actor>> actors_;
    std::size_t count_ = 0;
    Choices* choices_ = nullptr;
    DepthFirst* search_ = nullptr;
    Contention* contention_ = nullptr;
    Priorities* priorities_ = nullptr;
    Trace* full_trace_ = nullptr;
    Rules rules_;
    int running_ = nobody;
    std::uint64_t thread_history_ = 1;
    std::uint64_t thread_made_ = 0;
    std::uint64_t steps_ = 0;
    std::uint32_t preempted_ = 0;
    std::uint32_t starts_ = 0;  // of threads
    std::uint32_t failing_start_ = 0;
    std::uint32_t failed_on_thread_ = 0;
    std::uint32_t wakes_left_ = 0;
    bool watch_allocations_ = false;
    bool own_business_ = false;  // of the scheduler, which may allocate
    LockOrder lock_order_;
    std::vector<std::uint64_t> keys_;
    std::string outcome_;
    RunLog log_;
    std::optional<std::string> failure_;
};

}  // namespace testing
}  // namespace v0
}  // namespace latchbox
