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

#include "simulation/contention.hpp"
#include "simulation/depth_first.hpp"
#include "simulation/fibers.hpp"
#include "support/choices.hpp"

// Runs a small concurrent program on fibers, one at a time, under a scheduler that takes every
// decision from a choice source: who goes on at each lock, atomic access, wait and notify.
//
// Pruning. Each fiber has a hash of its history: its steps in their order, each with the last
// change before it of the object that it touched. Two states whose fibers have equal histories are
// equal, in whatever order independent steps happened, as long as the program is a function of
// its history: no address is compared or hashed, no unordered table walked, and what fibers share
// is guarded by mutexes and atomics. (That a look came before a change needs no mention in the
// change: the look tells.)
namespace simulation {

using support::Trace;

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

/// What holds for every run of a program.
struct Rules {
    /// A fiber may be interrupted right after an unlock and a notify too: shows to a sanitizer what
    /// it touches there without a lock. Costs many schedules; else not needed, as all that the
    /// scheduler knows of is a choice point by itself.
    bool interrupt_after = false;
    /// So often in a run a waiter may wake up without having been notified.
    std::uint32_t spurious_wakes = 0;
    /// So often in a run a fiber may be interrupted that could have gone on.
    std::optional<std::uint32_t> preemptions = {};
    /// A run of more steps is a livelock.
    std::uint64_t max_steps = 20'000;
    /// Mutexes taken in one order and in another are a failure, deadlock or not.
    bool lock_order = true;
};

/// One run of a program. The program builds its state, adds fibers and a final check, and returns;
/// then the fibers run. State goes into what the fibers and the check capture.
class World {
public:
    static constexpr std::size_t most_fibers = 16;

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
        std::uint64_t& history = on_fiber() ? self().history : thread_history_;
        const std::uint64_t others = state() - finish(history);
        const std::uint64_t asked = mix(history, salt_pick);
        const std::uint32_t choice =
            ask(n, [&](std::uint32_t i) { return others + finish(mix(asked, i)); });
        history = mix(asked, choice);
        return choice;
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
    [[nodiscard]] static World* current() noexcept { return current_; }
    [[nodiscard]] int running() const noexcept { return running_; }
    [[nodiscard]] bool on_fiber() const noexcept { return running_ >= 0; }

    // By value, so that a fiber that is dropped here leaves no memory behind.
    void fail(std::string text) {
        watch_allocations_ = false;
        if (!failure_) {
            if (on_fiber()) { text.insert(0, self().name + " "); }
            failure_ = std::move(text);
        }
        if (on_fiber()) { drop(); }
    }

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
        if (logging_) { note(self(), "unlocks", &mutex); }
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
            const std::uint64_t notice = self().history;
            const std::uint64_t now = state();
            const std::uint32_t choice = ask(n, [&](std::uint32_t i) {
                const std::uint64_t before = waiters[i]->history;
                return now - finish(before) + finish(mix(before, notice));
            });
            Actor& woken = *waiters[choice];
            woken.history = mix(woken.history, notice);
            woken.step = Step::wake_up;
            woken.object = woken.mutex;
            if (logging_) { note(woken, "is woken from", &condition); }
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
        if (on_fiber()) { self().history = mix(self().history, starts_); }
        if (starts_ == failing_start_) { return nobody; }
        std::function<void()> owned{std::forward<Body>(body)};
        const OwnBusiness own{*this};
        std::string name = on_fiber() ? self().name : "the thread";
        add(name + "'s " + std::to_string(starts_), std::move(owned), Step::go_on);
        Actor& started = *actors_[count_ - 1];
        started.handle = Handle::held;
        if (on_fiber()) {
            started.history = mix(started.history, self().history);
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
        joined.handle = Handle::none;
    }
    void detach(int fiber) noexcept {
        actors_[static_cast<std::size_t>(fiber)]->handle = Handle::none;
    }

    void user_code() {
        if (on_fiber() && !self().held.empty()) { fail("enters user code under a lock"); }
    }
    void allocating() {
        if (!watch_allocations_ || own_business_ || !on_fiber() || self().held.empty()) { return; }
        watch_allocations_ = false;  // of the text
        fail("allocates under a lock");
    }

    void made(Object& object) noexcept {
        const std::uint64_t history = on_fiber() ? self().history : thread_history_;
        const std::uint64_t number = on_fiber() ? ++self().made : ++thread_made_;
        object.id_ = mix(mix(history, salt_made), number);
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
                     (other.step == Step::asleep && other.object == &object
                          ? " waits on"
                          : " is about to use"));
            }
        }
    }
    void destroying_mutex(const MutexObject& mutex) {
        if (mutex.owner_ != nobody) { fail("destroys a mutex that is held"); }
    }

private:
    friend class Explorer;

    static constexpr int nobody = -1;
    static constexpr int the_thread = -2;
    static constexpr std::size_t most_held = 8;

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

    // Somebody has to join a thread that was started, or to detach it.
    enum class Handle : bool { none, held };

    struct Actor {
        Fiber fiber;
        int index = nobody;
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
        Handle handle = Handle::none;
        std::vector<MutexObject*> held;
    };
    using Able = std::array<Actor*, most_fibers>;

    static constexpr std::uint64_t salt_start = 0x100;
    static constexpr std::uint64_t salt_unlock = 0x101;
    static constexpr std::uint64_t salt_made = 0x102;
    static constexpr std::uint64_t salt_pick = 0x103;

    static constexpr std::uint64_t finish(std::uint64_t z) noexcept {
        z = (z ^ (z >> 33)) * 0xff51afd7ed558ccdU;
        z = (z ^ (z >> 33)) * 0xc4ceb9fe1a85ec53U;
        return z ^ (z >> 33);
    }
    static constexpr std::uint64_t mix(std::uint64_t a, std::uint64_t b) noexcept {
        return finish(a * 0x9e3779b97f4a7c15U + b + 0x2545f4914f6cdd1dU);
    }

    void add(std::string name, std::function<void()> body, Step first) {
        if (count_ == most_fibers) { return fail("spawns too many fibers"); }
        if (count_ == actors_.size()) { actors_.push_back(std::make_unique<Actor>()); }
        Actor& actor = *actors_[count_];
        actor.index = static_cast<int>(count_);
        actor.name = std::move(name);
        actor.body = std::move(body);
        actor.history = mix(mix(salt_start, count_), thread_history_);
        actor.made = 0;
        actor.early = false;
        actor.step = first;
        actor.object = nullptr;
        actor.mutex = nullptr;
        actor.joined = nullptr;
        actor.handle = Handle::none;
        actor.held.clear();
        actor.held.reserve(most_held);
        ++count_;
    }

    // What the scheduler allocates is no business of the program's.
    class OwnBusiness {
    public:
        explicit OwnBusiness(World& world) noexcept
            : world_{world}, before_{std::exchange(world.own_business_, true)} {}
        ~OwnBusiness() { world_.own_business_ = before_; }
        OwnBusiness(const OwnBusiness&) = delete;
        OwnBusiness& operator=(const OwnBusiness&) = delete;

    private:
        World& world_;
        bool before_;
    };

    Actor& self() noexcept { return *actors_[static_cast<std::size_t>(running_)]; }
    static bool waits_on(const Actor& actor, const ConditionObject& condition) noexcept {
        return actor.step == Step::asleep && actor.object == &condition;
    }
    void expect_alive(const Object& object) {
        if (!object.alive()) { fail("uses something destroyed"); }
    }
    // Whoever closes a cycle of orders, it is the same failure.
    void expect_order() {
        if (!disordered_) { return; }
        watch_allocations_ = false;  // of the text
        failure_ = "two mutexes are taken in both orders";
        drop();
    }
    void access(Object& object, Step step) {
        expect_alive(object);
        if (on_fiber()) { announce(step, &object); }
    }

    // Says what the running fiber is about to do; returns when it was chosen to do it.
    void announce(Step step, Object* object) {
        self().step = step;
        self().object = object;
        if (is_choice_point(step, object)) { return schedule(); }
        const OwnBusiness own{*this};
        if (full_trace_ != nullptr) { note_no_choice(); }
        count_step();
        take_step(self());
    }
    [[nodiscard]] bool is_choice_point(Step step, const Object* object) {
        if (contention_ == nullptr || object == nullptr) { return true; }
        if (touch(*object, step != Step::read)) { return true; }
        if (able(self())) { return false; }
        const OwnBusiness own{*this};
        contention_->waited_for(object->key_);
        return true;
    }
    // The running fiber has to do with `object`. True if others contend with it for that.
    bool touch(const Object& object, bool changes) {
        if (contention_ == nullptr || !on_fiber()) { return true; }
        const OwnBusiness own{*this};
        keys_.clear();
        for (const MutexObject* held : self().held) {
            if (held != &object) { keys_.push_back(held->key_); }
        }
        const bool contended = contention_->touched(object.key_, running_, changes, keys_);
        return contended;
    }
    void count_step() {
        if (++steps_ > rules_.max_steps) { fail("goes on and on: a livelock"); }
    }
    // In a trace that says where it goes on at every step, this is one where nothing changes.
    void note_no_choice() {
        Able candidates{};
        if (collect(candidates, true) > 1) { full_trace_->push_back(0); }
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
        const std::uint64_t history = mix(actor.history, static_cast<std::uint64_t>(actor.step));
        if (actor.step == Step::join) { return mix(history, actor.joined->history); }
        if (actor.object == nullptr) { return history; }
        return mix(mix(history, actor.object->id_), actor.object->last_change_);
    }
    [[nodiscard]] std::uint64_t state() const noexcept {
        std::uint64_t sum = finish(thread_history_);
        for (std::size_t i = 0; i < count_; ++i) { sum += finish(actors_[i]->history); }
        return sum;
    }

    template <class StateAfter> std::uint32_t ask(std::uint32_t n, StateAfter&& state_after) {
        const OwnBusiness own{*this};
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
        const OwnBusiness own{*this};
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
        if (n == 0) { n = collect_if(candidates, [](const Actor& actor) {
            return actor.step == Step::asleep && actor.timed;
        }); }
        if (n == 0) { n = collect_if(candidates, [](const Actor& actor) {
            return actor.step == Step::rest;
        }); }
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
        const std::uint64_t now = state();
        return ask(n, [&](std::uint32_t i) {
            const Actor& actor = *candidates[i];
            std::uint64_t after = now - finish(actor.history) + finish(history_after(actor));
            if (rules_.preemptions) {  // then it matters who runs, and what is left
                const std::uint32_t preempted = preempted_ + (me_able && i != 0 ? 1U : 0U);
                after = mix(mix(after, preempted), static_cast<std::uint64_t>(actor.index));
            }
            return after;
        });
    }

    // Does what a step does to the histories and to mutexes. True if the fiber then runs.
    bool take_step(Actor& actor) {
        if (logging_) { note(actor, words[static_cast<std::size_t>(actor.step)], actor.object); }
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
            for (const MutexObject* held : actor.held) { ordered(held->id_, mutex.id_); }
        }
        actor.held.push_back(&mutex);
    }
    void give_up(MutexObject& mutex) {
        Actor& me = self();
        touch(mutex, true);
        me.history = mix(mix(me.history, salt_unlock), mutex.id_);
        mutex.last_change_ = me.history;
        mutex.owner_ = nobody;
        std::erase(me.held, &mutex);
    }

    // `second` was taken while `first` was held.
    void ordered(std::uint64_t first, std::uint64_t second) {
        const Order edge{first, second};
        for (const Order& known : lock_order_) {
            if (known == edge) { return; }
        }
        lock_order_.push_back(edge);
        if (leads_to(second, first)) { disordered_ = true; }
    }
    [[nodiscard]] bool leads_to(std::uint64_t from, std::uint64_t to) const {
        if (from == to) { return true; }
        for (const Order& edge : lock_order_) {  // no cycle was there before
            if (edge.first == from && leads_to(edge.second, to)) { return true; }
        }
        return false;
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

    static void enter() {
        current_->run_body();
        std::abort();  // not reached
    }
    void run_body() {
        std::string escaped;  // not left inside a handler, which would keep the exception
        try {
            self().body();
        } catch (const std::exception& error) {
            escaped = std::string{"lets an exception out: "} + error.what();
        } catch (...) { escaped = "lets an exception out"; }
        if (!escaped.empty()) { fail(std::move(escaped)); }
        if (!self().held.empty()) { fail("ends while it holds a mutex"); }
        self().object = nullptr;
        self().step = Step::ended;
        schedule();
    }

    // What happened, in words.
    static constexpr std::array words{"goes on",         "locks",    "reads",
                                      "writes",          "waits on", "wakes up by itself from",
                                      "has again",       "notifies", "leaves",
                                      "starts a thread", "joins",    "begins, as all others rest,",
                                      "has ended"};
    void note(const Actor& actor, const char* what, const Object* object) {
        const OwnBusiness own{*this};
        log_ += actor.name + " " + what;
        if (object != nullptr) {
            log_ += std::string{" "} + object->kind_ + " " + std::to_string(number(*object));
        }
        log_ += "\n";
    }
    std::size_t number(const Object& object) {
        std::size_t i = 0;
        while (i < numbers_.size() && numbers_[i] != object.id_) { ++i; }
        if (i == numbers_.size()) { numbers_.push_back(object.id_); }
        return i;
    }

    // What a run is made with, besides its rules.
    struct Setting {
        Choices* choices;
        DepthFirst* search = nullptr;      // the same, if it prunes
        Contention* contention = nullptr;  // every step is a choice point without
        Trace* full_trace = nullptr;       // gets what to choose where every step is one
        bool logging = false;
    };
    // One run of `program`, to its end or its first failure. Stacks and tables are used again.
    template <class Program>
    void run(Program& program, const Rules& rules, const Setting& setting) {
        start(rules, setting);
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
            if (actor.handle == Handle::held) {
                return fail(actor.name + " is neither joined nor detached");
            }
        }
    }
    struct Current {
        explicit Current(World& world) noexcept { current_ = &world; }
        ~Current() { current_ = nullptr; }
        Current(const Current&) = delete;
        Current& operator=(const Current&) = delete;
    };
    void start(const Rules& rules, const Setting& setting) {
        choices_ = setting.choices;
        search_ = setting.search;
        contention_ = setting.contention;
        full_trace_ = setting.full_trace;
        logging_ = setting.logging;
        rules_ = rules;
        count_ = 0;
        running_ = nobody;
        thread_history_ = 1;
        thread_made_ = 0;
        steps_ = 0;
        preempted_ = 0;
        starts_ = 0;
        failing_start_ = 0;
        wakes_left_ = rules.spurious_wakes;
        watch_allocations_ = false;
        own_business_ = false;
        disordered_ = false;
        lock_order_.clear();
        keys_.reserve(most_held);
        numbers_.clear();
        outcome_.clear();
        log_.clear();
        failure_.reset();
    }
    // What an abandoned run leaves is in an unknown state: it is kept, and never destroyed.
    void bury() {
        static auto* const graves = new std::vector<std::function<void()>>;
        for (std::size_t i = 0; i < count_; ++i) {
            graves->push_back(std::move(actors_[i]->body));
        }
        graves->push_back(std::move(finally_));
    }

    using Order = std::pair<std::uint64_t, std::uint64_t>;

    inline static World* current_ = nullptr;

    Fiber thread_{Fiber::OfTheThread{}};
    std::vector<std::unique_ptr<Actor>> actors_;
    std::size_t count_ = 0;
    std::function<void()> finally_;
    Choices* choices_ = nullptr;
    DepthFirst* search_ = nullptr;
    Contention* contention_ = nullptr;
    Trace* full_trace_ = nullptr;
    Rules rules_;
    int running_ = nobody;
    std::uint64_t thread_history_ = 1;
    std::uint64_t thread_made_ = 0;
    std::uint64_t steps_ = 0;
    std::uint32_t preempted_ = 0;
    std::uint32_t starts_ = 0;  // of threads
    std::uint32_t failing_start_ = 0;
    std::uint32_t wakes_left_ = 0;
    bool watch_allocations_ = false;
    bool own_business_ = false;  // of the scheduler, which may allocate
    bool disordered_ = false;
    bool logging_ = false;
    std::vector<Order> lock_order_;
    std::vector<std::uint64_t> numbers_;
    std::vector<std::uint64_t> keys_;
    std::string outcome_;
    std::string log_;
    std::optional<std::string> failure_;
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

}  // namespace simulation
