// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/detail/lock.hpp"
#include "latchbox/testing/simulated.hpp"

// What leaves schedules out has to earn its trust: on programs small enough for all of them to be
// tried it must reach the same final states and the same failures.
namespace {

using latchbox::detail::Lock;
using latchbox::testing::explore;
using latchbox::testing::Report;
using latchbox::testing::Simulated;
using latchbox::testing::Strategy;
using latchbox::testing::World;
using Guard = Lock<Simulated::Mutex>;

constexpr auto relaxed = std::memory_order_relaxed;

std::set<std::string> words(const std::map<std::string, std::uint64_t>& counted) {
    std::set<std::string> found;
    for (const auto& [word, count] : counted) { found.insert(word); }
    return found;
}
bool is_within(const std::set<std::string>& some, const std::set<std::string>& all) {
    return std::includes(all.begin(), all.end(), some.begin(), some.end());
}

// A bounded queue, right but for what is asked of it.
class ToyQueue {
public:
    enum class Bug : std::uint8_t { none, notifies_only_when_empty };

    explicit ToyQueue(std::size_t capacity, Bug bug = Bug::none) : capacity_{capacity}, bug_{bug} {}

    void push(int value) {
        Guard guard{mutex_};
        while (values_.size() == capacity_) { has_room_.wait(mutex_); }
        const bool was_empty = values_.empty();
        values_.push_back(value);
        if (bug_ == Bug::none || was_empty) { has_value_.notify_one(); }
    }
    int pop() {
        Guard guard{mutex_};
        while (values_.empty()) { has_value_.wait(mutex_); }
        const int value = values_.front();
        values_.pop_front();
        has_room_.notify_one();
        return value;
    }
    [[nodiscard]] std::size_t size() const noexcept { return values_.size(); }

private:
    Simulated::Mutex mutex_;
    Simulated::Condition has_value_;
    Simulated::Condition has_room_;
    std::deque<int> values_;
    std::size_t capacity_;
    Bug bug_;
};

// `fibers` producers and as many consumers, `each` operations in each.
auto queue_program(int fibers, int each, std::size_t capacity,
                   ToyQueue::Bug bug = ToyQueue::Bug::none) {
    return [=](World& world) {
        struct State {
            State(std::size_t room, ToyQueue::Bug with) : queue{room, with} {}
            ToyQueue queue;
            std::array<std::string, 2> taken;
        };
        const auto state = std::make_shared<State>(capacity, bug);
        for (int f = 0; f < fibers; ++f) {
            world.spawn("producer " + std::to_string(f), [=] {
                for (int i = 0; i < each; ++i) { state->queue.push(f * each + i); }
            });
        }
        for (int f = 0; f < fibers; ++f) {
            world.spawn("consumer " + std::to_string(f), [=] {
                for (int i = 0; i < each; ++i) {
                    state->taken[static_cast<std::size_t>(f)] += std::to_string(state->queue.pop());
                }
            });
        }
        world.finally([=, &world] {
            for (const std::string& one : state->taken) { world.outcome(one); }
            world.check(state->queue.size() == 0, "a value is left");
        });
    };
}

// A program drawn by chance: few fibers, few operations each, on few objects.
class RandomProgram {
public:
    explicit RandomProgram(std::uint64_t seed) {
        latchbox::testing::Seeded chance{seed};
        const std::uint32_t fibers = 2 + chance.pick(2);
        for (std::uint32_t f = 0; f < fibers; ++f) {
            std::vector<Operation> script;
            const std::uint32_t length = 1 + chance.pick(fibers == 2 ? 5 : 3);
            for (std::uint32_t i = 0; i < length; ++i) {
                const std::size_t kind = chance.pick(static_cast<std::uint32_t>(drawn.size()));
                script.push_back({drawn[kind], chance.pick(2), 1 + chance.pick(3)});
            }
            scripts_.push_back(std::move(script));
        }
    }

    void operator()(World& world) const {
        const auto state = std::make_shared<State>();
        for (std::size_t f = 0; f < scripts_.size(); ++f) {
            world.spawn("fiber " + std::to_string(f), [this, state, f, &world] {
                for (const Operation& operation : scripts_[f]) {
                    perform(operation, *state, state->seen[f], world);
                }
            });
        }
        world.finally([state, &world] {
            for (const int value : state->guarded) { world.outcome(std::to_string(value)); }
            for (const int value : state->seen) { world.outcome(std::to_string(value)); }
        });
    }

private:
    enum class Kind : std::uint8_t {
        change,       // what a mutex guards
        change_both,  // under two mutexes, one taken after the other
        load,
        store,
        add,
        wait_if_even,  // once, without looking again
        wait_until_odd,
        notify_locked,
        notify_unlocked,
        notify_only,
        decide,
        wait_for_time,
        publish_flag,  // guarded change, then a flag; read without the mutex by who sees it
        follow_flag,
    };
    // Those that wait less often, or most programs end in a deadlock.
    static constexpr std::array drawn{Kind::change,        Kind::change,
                                      Kind::change,        Kind::change,
                                      Kind::change,        Kind::load,
                                      Kind::load,          Kind::store,
                                      Kind::store,         Kind::add,
                                      Kind::add,           Kind::change_both,
                                      Kind::wait_if_even,  Kind::wait_until_odd,
                                      Kind::notify_locked, Kind::notify_unlocked,
                                      Kind::notify_only,   Kind::decide,
                                      Kind::wait_for_time, Kind::publish_flag,
                                      Kind::publish_flag,  Kind::follow_flag,
                                      Kind::follow_flag};
    struct Operation {
        Kind kind;
        std::uint32_t on;
        std::uint32_t argument;
    };
    struct State {
        std::array<Simulated::Mutex, 2> mutex;
        std::array<Simulated::Condition, 2> condition;
        std::array<Simulated::Atomic<int>, 2> atomic;
        Simulated::Atomic<int> flag;
        std::array<int, 2> guarded{};
        std::array<int, 3> seen{};
    };

    static void append(int& to, int what) noexcept { to = (to * 31 + what) % 1'000'003; }

    static void perform(const Operation& operation, State& state, int& seen, World& world) {
        const std::size_t on = operation.on;
        const int argument = static_cast<int>(operation.argument);
        Simulated::Mutex& mutex = state.mutex[on];
        Simulated::Condition& condition = state.condition[on];
        int& guarded = state.guarded[on];
        switch (operation.kind) {
            case Kind::change: {
                const Guard guard{mutex};
                append(guarded, argument);
                append(seen, guarded);
                return;
            }
            case Kind::change_both: {
                const Guard guard{mutex};
                const Guard other{state.mutex[1 - on]};
                append(guarded, state.guarded[1 - on]);
                append(state.guarded[1 - on], argument);
                return;
            }
            case Kind::load: return append(seen, state.atomic[on].load(relaxed));
            case Kind::store: return state.atomic[on].store(argument, relaxed);
            case Kind::add: return append(seen, state.atomic[on].fetch_add(argument, relaxed));
            case Kind::wait_if_even: {
                const Guard guard{mutex};
                if (guarded % 2 == 0) { condition.wait(mutex); }
                append(guarded, argument);
                append(seen, guarded);
                return;
            }
            case Kind::wait_until_odd: {
                const Guard guard{mutex};
                while (guarded % 2 == 0) { condition.wait(mutex); }
                append(seen, guarded);
                return;
            }
            case Kind::notify_locked: {
                const Guard guard{mutex};
                append(guarded, argument);
                condition.notify_one();
                return;
            }
            case Kind::notify_unlocked: {
                {
                    const Guard guard{mutex};
                    append(guarded, argument);
                }
                return condition.notify_one();
            }
            case Kind::notify_only: return condition.notify_one();
            case Kind::decide: return append(seen, static_cast<int>(world.pick(2)));
            case Kind::wait_for_time: {
                const Guard guard{mutex};
                condition.wait_for(mutex, latchbox::Duration{});
                append(guarded, argument);
                return;
            }
            case Kind::publish_flag: {
                {
                    const Guard guard{mutex};
                    append(guarded, argument);
                }
                return state.flag.store(argument, relaxed);
            }
            case Kind::follow_flag: {
                const int flag = state.flag.load(relaxed);
                append(seen, flag);
                if (flag == 0) { return; }
                const Guard guard{mutex};
                append(seen, guarded);
                return;
            }
        }
    }

    std::vector<std::vector<Operation>> scripts_;
};

struct Totals {
    std::uint64_t programs = 0;
    std::uint64_t too_large = 0;
    std::uint64_t failing = 0;
    std::uint64_t states = 0;
    std::uint64_t unpruned = 0;
    std::uint64_t pruned = 0;
};

// Both searches of one program, and each way to leave something out by itself; true if it was small
// enough for that. Interruptions that are limited are those where fibers contend for something, if
// no others are looked at: then these are what the pruned search has to find all of.
template <class Program>
bool agree(const Program& program, const latchbox::testing::Rules& rules, Totals& totals,
           std::uint64_t limit = 200'000) {
    const auto search = [&](bool prune, bool contended) {
        Strategy strategy = prune ? Strategy::exhaustive() : Strategy::unpruned();
        strategy.contended = contended;
        strategy.stop_at_failure = false;
        strategy.rules = rules;
        if (!prune) { strategy.runs = limit; }
        return explore(program, strategy);
    };
    const Report all = search(false, false);
    if (!all.complete) {
        ++totals.too_large;
        return false;
    }
    const auto compare = [](const Report& report, const Report& with) {
        CHECK(report.complete);
        CHECK((words(report.outcomes) == words(with.outcomes)));
        CHECK((words(report.failures) == words(with.failures)));
    };
    compare(search(true, false), all);
    const Report contended = search(false, true);
    if (!rules.preemptions) { compare(contended, all); }
    CHECK(is_within(words(contended.outcomes), words(all.outcomes)));
    CHECK(is_within(words(contended.failures), words(all.failures)));
    const Report pruned = search(true, true);
    compare(pruned, contended);
    ++totals.programs;
    totals.failing += all.failures.empty() ? 0U : 1U;
    totals.states += all.outcomes.size();
    totals.unpruned += all.schedules;
    totals.pruned += pruned.schedules + pruned.cut;
    return true;
}

void random_programs(const char* name, std::uint64_t first_seed, std::uint64_t wanted,
                     const latchbox::testing::Rules& rules) {
    Totals totals;
    for (std::uint64_t seed = first_seed; totals.programs < wanted; ++seed) {
        CAPTURE(seed);
        REQUIRE(seed < first_seed + 10 * wanted);
        agree(RandomProgram{seed}, rules, totals, 20'000);
    }
    CHECK(totals.failing * 20 > wanted);      // programs that fail are among them
    CHECK(totals.failing * 10 < wanted * 9);  // and such that do not
    CHECK(totals.states > 2 * wanted);
    std::printf(
        "pruning: %s: %llu programs (%llu fail, %llu too large), %llu final states, "
        "schedules %llu, pruned %llu\n",
        name, static_cast<unsigned long long>(totals.programs),
        static_cast<unsigned long long>(totals.failing),
        static_cast<unsigned long long>(totals.too_large),
        static_cast<unsigned long long>(totals.states),
        static_cast<unsigned long long>(totals.unpruned),
        static_cast<unsigned long long>(totals.pruned));
}

void print(const char* name, const Report& report) {
    std::printf("pruning: %s: %llu schedules, %llu cut, %llu branches pruned, %llu steps\n", name,
                static_cast<unsigned long long>(report.schedules),
                static_cast<unsigned long long>(report.cut),
                static_cast<unsigned long long>(report.pruned),
                static_cast<unsigned long long>(report.steps));
}

}  // namespace

TEST_CASE("pruning loses no final state and no failure of small random programs") {
    random_programs("as they are", 1, 150, {.lock_order = false});
    random_programs("interrupted after", 3'000, 50, {.interrupt_after = true, .lock_order = false});
    random_programs("spurious wakes", 5'000, 50, {.spurious_wakes = 1, .lock_order = false});
    random_programs("one preemption", 7'000, 500, {.preemptions = 1, .lock_order = false});
    random_programs("two preemptions", 9'000, 500, {.preemptions = 2, .lock_order = false});
    random_programs("lock order checked", 13'000, 50, {});
}

TEST_CASE("pruning loses nothing of a bounded queue") {
    Totals totals;
    CHECK(agree(queue_program(1, 2, 1), {}, totals));
    CHECK(agree(queue_program(2, 1, 1), {}, totals));
    CHECK(agree(queue_program(2, 1, 2, ToyQueue::Bug::notifies_only_when_empty), {}, totals));
    CHECK(agree(queue_program(1, 1, 1), {.interrupt_after = true}, totals));
    std::printf("pruning: toy queue: %llu programs, schedules %llu, pruned %llu\n",
                static_cast<unsigned long long>(totals.programs),
                static_cast<unsigned long long>(totals.unpruned),
                static_cast<unsigned long long>(totals.pruned));
}

TEST_CASE("the pruned search ends where the full one would not") {
    const Report report = explore(queue_program(2, 2, 1), Strategy::exhaustive());
    CHECK(report.complete);
    CHECK(report.failures.empty());
    CHECK(report.outcomes.size() > 1);
    print("2 + 2 fibers, 2 operations each", report);
}

TEST_CASE("a wake-up lost by notifying only a queue that was empty is found") {
    const auto program = queue_program(2, 1, 2, ToyQueue::Bug::notifies_only_when_empty);
    for (const Strategy& strategy :
         {Strategy::exhaustive(), Strategy::unpruned(), Strategy::random(1, 10'000)}) {
        const Report report = explore(program, strategy);
        REQUIRE(report.first);
        CHECK(report.first->text.find("deadlock: consumer") == 0);
        print("lost wake-up", report);
        const Report again = explore(program, Strategy::replay(report.first->trace));
        REQUIRE(again.first);
        CHECK(again.first->text == report.first->text);
    }
}

TEST_CASE("a deadlock by opposite lock order is found") {
    struct State {
        Simulated::Mutex a;
        Simulated::Mutex b;
    };
    const auto program = [](World& world) {
        const auto state = std::make_shared<State>();
        world.spawn("one", [=] {
            const Guard first{state->a};
            const Guard second{state->b};
        });
        world.spawn("other", [=] {
            const Guard first{state->b};
            const Guard second{state->a};
        });
    };
    for (Strategy strategy :
         {Strategy::exhaustive(), Strategy::unpruned(), Strategy::random(1, 1'000)}) {
        strategy.rules.lock_order = false;
        const Report report = explore(program, strategy);
        REQUIRE(report.first);
        CHECK(report.first->text == "deadlock: one waits for a mutex, other waits for a mutex");
    }
    SUBCASE("and the order itself in a run without one") {
        const Report report = explore(program, Strategy::exhaustive());
        REQUIRE(report.first);
        CHECK(report.first->text == "two mutexes are taken in both orders");
        CHECK(report.schedules == 1);
    }
}

TEST_CASE("a notify after the unlock that lets the waiter destroy everything is found") {
    struct Event {
        Simulated::Mutex mutex;
        Simulated::Condition happened;
        bool has = false;
    };
    const auto program = [](World& world) {
        const auto event = std::make_shared<std::optional<Event>>(std::in_place);
        world.spawn("setter", [=] {
            Event& set = **event;
            set.mutex.lock();
            set.has = true;
            set.mutex.unlock();
            set.happened.notify_one();
        });
        world.spawn("waiter", [=] {
            Event& awaited = **event;
            awaited.mutex.lock();
            while (!awaited.has) { awaited.happened.wait(awaited.mutex); }
            awaited.mutex.unlock();
            event->reset();
        });
    };
    for (Strategy strategy :
         {Strategy::exhaustive(), Strategy::unpruned(), Strategy::random(1, 1'000)}) {
        strategy.stop_at_failure = false;
        const std::set<std::string> before_it{
            "waiter destroys the condition that setter is about to use"};
        const Report report = explore(program, strategy);
        CHECK_FALSE(report.outcomes.empty());
        CHECK((words(report.failures) == before_it));

        strategy.rules.interrupt_after = true;
        const std::set<std::string> both{
            "setter uses something destroyed",
            "waiter destroys the condition that setter is about to use"};
        CHECK((words(explore(program, strategy).failures) == both));
    }
}
