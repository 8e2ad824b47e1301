// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/testing/simulated.hpp"

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

#include <doctest/doctest.h>

#include "latchbox/detail/lock.hpp"

#if defined(__clang__)
#pragma clang diagnostic ignored "-Wthread-safety-analysis"  // would find most of it at once
#endif

// Each check of the simulated platform is shown a program that it must reject, and programs that
// look like it but are right.
namespace {

using latchbox::Duration;
using latchbox::testing::explore;
using latchbox::testing::Report;
using latchbox::testing::Simulated;
using latchbox::testing::Strategy;
using latchbox::testing::World;
using Guard = latchbox::detail::Lock<Simulated::Mutex>;

constexpr auto relaxed = std::memory_order_relaxed;

// What fibers share here.
struct Shared {
    Simulated::Mutex mutex;
    Simulated::Mutex other;
    Simulated::Condition condition;
    Simulated::Atomic<int> atomic{0};
    int guarded = 0;
};

using Body = std::function<void(Shared&, World&)>;

// One fiber per body, named a, b, c; the outcome is what `guarded` ends with.
auto program(std::vector<Body> bodies) {
    return [bodies = std::move(bodies)](World& world) {
        const auto shared = std::make_shared<Shared>();
        char name = 'a';
        for (const Body& body : bodies) {
            world.spawn({name++}, [=, &world] { body(*shared, world); });
        }
        world.finally([=, &world] { world.outcome(std::to_string(shared->guarded)); });
    };
}

std::string first_failure(const Report& report) {
    return report.first ? report.first->text : std::string{};
}
std::string first_failure(std::vector<Body> bodies) {
    return first_failure(explore(program(std::move(bodies)), Strategy::exhaustive()));
}
std::string outcomes(const Report& report) {
    std::string all;
    for (const auto& [word, count] : report.outcomes) { all += (all.empty() ? "" : ", ") + word; }
    return all;
}

}  // namespace

TEST_CASE("a mutex keeps others out, and all orders are tried") {
    const Body append_one = [](Shared& shared, World&) {
        const Guard guard{shared.mutex};
        const int before = shared.guarded;
        shared.atomic.fetch_add(1, relaxed);  // a chance for the other to come between
        shared.guarded = before * 10 + 1;
    };
    const Body append_two = [](Shared& shared, World&) {
        const Guard guard{shared.mutex};
        const int before = shared.guarded;
        shared.atomic.fetch_add(1, relaxed);
        shared.guarded = before * 10 + 2;
    };
    const Report report = explore(program({append_one, append_two}), Strategy::exhaustive());
    CHECK(report.complete);
    CHECK(first_failure(report).empty());
    CHECK(outcomes(report) == "12, 21");
}

TEST_CASE("an update that is not atomic loses some") {
    const Body add = [](Shared& shared, World&) {
        shared.atomic.store(shared.atomic.load(relaxed) + 1, relaxed);
        shared.guarded = shared.atomic.load(relaxed);
    };
    CHECK(outcomes(explore(program({add, add}), Strategy::exhaustive())) == "1, 2");
}

TEST_CASE("atomics add, subtract and tell what was there") {
    const Body all = [](Shared& shared, World& world) {
        world.check(shared.atomic.fetch_add(5, relaxed) == 0, "add");
        world.check(shared.atomic.fetch_sub(2, relaxed) == 5, "subtract");
        world.check(shared.atomic.load(relaxed) == 3, "load");
        shared.atomic.store(9, relaxed);
        shared.guarded = shared.atomic.load(relaxed);
    };
    const Report report = explore(program({all}), Strategy::exhaustive());
    CHECK(first_failure(report).empty());
    CHECK(outcomes(report) == "9");
}

TEST_CASE("a waiter sleeps until it is notified, and has the mutex then") {
    const Body waiter = [](Shared& shared, World&) {
        const Guard guard{shared.mutex};
        while (shared.guarded == 0) { shared.condition.wait(shared.mutex); }
        ++shared.guarded;
    };
    const Body notifier = [](Shared& shared, World&) {
        const Guard guard{shared.mutex};
        shared.guarded = 1;
        shared.condition.notify_one();
    };
    const Report report = explore(program({waiter, notifier}), Strategy::exhaustive());
    CHECK(first_failure(report).empty());
    CHECK(outcomes(report) == "2");
    SUBCASE("and sleeps on for ever if nobody notifies") {
        CHECK(first_failure({waiter}) == "deadlock: a is asleep");
    }
    SUBCASE("and misses a notify before its wait") {
        const Body hasty = [](Shared& shared, World&) {
            const Guard guard{shared.mutex};
            shared.condition.wait(shared.mutex);
        };
        const Report missed = explore(program({hasty, notifier}), Strategy::exhaustive());
        CHECK(first_failure(missed) == "deadlock: a is asleep");
    }
}

TEST_CASE("a notify wakes any one of the waiters") {
    const Body waiter = [](Shared& shared, World& world) {
        const Guard guard{shared.mutex};
        shared.condition.wait(shared.mutex);
        shared.guarded = shared.guarded * 10 + world.running() + 1;
    };
    // Wakes each time one that sleeps already.
    const Body notifier = [](Shared& shared, World&) {
        shared.condition.notify_one();
        shared.condition.notify_one();
    };
    Strategy strategy = Strategy::exhaustive();
    strategy.stop_at_failure = false;
    CHECK(outcomes(explore(program({waiter, waiter, notifier}), strategy)) == "12, 21");
}

TEST_CASE("a waiter may wake up for no reason, as often as the rules say") {
    const Body waiter = [](Shared& shared, World&) {
        const Guard guard{shared.mutex};
        while (shared.guarded < 2) {
            shared.condition.wait(shared.mutex);
            ++shared.guarded;
        }
    };
    Strategy strategy = Strategy::exhaustive();
    CHECK(first_failure(explore(program({waiter}), strategy)) == "deadlock: a is asleep");
    strategy.rules.spurious_wakes = 1;
    CHECK(first_failure(explore(program({waiter}), strategy)) == "deadlock: a is asleep");
    strategy.rules.spurious_wakes = 2;
    CHECK(outcomes(explore(program({waiter}), strategy)) == "2");
}

TEST_CASE("a wait with a limit runs out where all would stand still") {
    const Body waiter = [](Shared& shared, World&) {
        const Guard guard{shared.mutex};
        shared.condition.wait_for(shared.mutex, Duration{});
        ++shared.guarded;
    };
    CHECK(outcomes(explore(program({waiter, waiter}), Strategy::exhaustive())) == "2");
}

TEST_CASE("misuse of a mutex is found") {
    CHECK(first_failure({[](Shared& shared, World&) {
              shared.mutex.lock();
              shared.mutex.lock();
          }}) == "a locks a mutex that it holds");
    CHECK(first_failure({[](Shared& shared, World&) { shared.mutex.unlock(); }}) ==
          "a unlocks a mutex that it does not hold");
    CHECK(first_failure({[](Shared& shared, World&) { shared.mutex.lock(); },
                         [](Shared& shared, World&) { shared.mutex.unlock(); }}) ==
          "a ends while it holds a mutex");
}

TEST_CASE("an unlock by another than the owner is found") {
    CHECK(first_failure({[](Shared& shared, World&) {
              const Guard guard{shared.mutex};
              shared.condition.wait(shared.other);
          }}) == "a waits with a mutex that it does not hold");
    const Body owner = [](Shared& shared, World&) {
        const Guard guard{shared.mutex};
        shared.atomic.store(1, relaxed);
    };
    const Body thief = [](Shared& shared, World&) {
        if (shared.atomic.load(relaxed) == 1) { shared.mutex.unlock(); }
    };
    CHECK(first_failure({owner, thief}) == "b unlocks a mutex that it does not hold");
}

TEST_CASE("two mutexes with one condition are found") {
    const Body one = [](Shared& shared, World&) {
        const Guard guard{shared.mutex};
        shared.condition.wait(shared.mutex);
    };
    const Body another = [](Shared& shared, World&) {
        const Guard guard{shared.other};
        shared.condition.wait(shared.other);
    };
    Strategy strategy = Strategy::exhaustive();
    strategy.stop_at_failure = false;
    const Report report = explore(program({one, another}), strategy);
    CHECK(report.failures.contains("b waits with another mutex than one who waits already"));
}

TEST_CASE("user code under a lock is found") {
    CHECK(first_failure({[](Shared& shared, World&) {
              const Guard guard{shared.mutex};
              Simulated::user_code();
          }}) == "a enters user code under a lock");
    CHECK(first_failure({[](Shared& shared, World&) {
              { const Guard guard{shared.mutex}; }
              Simulated::user_code();
          }}).empty());
}

TEST_CASE("what is found under a lock is told as such, though its text allocates") {
    CHECK(first_failure({[](Shared& shared, World& world) {
              world.watch_allocations();
              const Guard guard{shared.mutex};
              Simulated::user_code();
          }}) == "a enters user code under a lock");
}

TEST_CASE("an allocation under a lock is found where it is watched") {
    const auto allocates = [](bool watch, bool under_lock) {
        return [=](Shared& shared, World& world) {
            world.watch_allocations(watch);
            if (under_lock) { shared.mutex.lock(); }
            Simulated::allocating();
            if (under_lock) { shared.mutex.unlock(); }
        };
    };
    CHECK(first_failure({allocates(true, true)}) == "a allocates under a lock");
    CHECK(first_failure({allocates(true, false)}).empty());
    CHECK(first_failure({allocates(false, true)}).empty());
}

TEST_CASE("what is destroyed too early is found") {
    struct Mortal {
        std::optional<Simulated::Mutex> own_mutex{std::in_place};
        std::optional<Simulated::Condition> own_condition{std::in_place};
        std::optional<Simulated::Atomic<int>> own_atomic{std::in_place};
        Simulated::Mutex& mutex = *own_mutex;
        Simulated::Condition& condition = *own_condition;
        Simulated::Atomic<int>& atomic = *own_atomic;
    };
    using MortalBody = std::function<void(Mortal&)>;
    const auto failures = [](const MortalBody& a, const MortalBody& b) {
        Strategy strategy = Strategy::exhaustive();
        strategy.stop_at_failure = false;
        const Report report = explore(
            [&](World& world) {
                const auto mortal = std::make_shared<Mortal>();
                world.spawn("a", [=] { a(*mortal); });
                world.spawn("b", [=] { b(*mortal); });
            },
            strategy);
        std::set<std::string> texts;
        for (const auto& [text, count] : report.failures) { texts.insert(text); }
        return texts;
    };
    const MortalBody nothing = [](Mortal&) {};
    const MortalBody ends_mutex = [](Mortal& m) { m.own_mutex.reset(); };
    SUBCASE("a mutex that is held") {
        const MortalBody ends_held = [](Mortal& m) {
            m.mutex.lock();
            m.own_mutex.reset();
        };
        CHECK(failures(ends_held, nothing).contains("a destroys a mutex that is held"));
    }
    SUBCASE("a mutex that another is about to lock") {
        const auto texts = failures(ends_mutex, [](Mortal& m) {
            m.mutex.lock();
            m.mutex.unlock();
        });
        CHECK(texts.contains("a destroys the mutex that b is about to use"));
        CHECK(texts.contains("b uses something destroyed"));
        CHECK(texts.size() == 2);
    }
    SUBCASE("a condition with a waiter") {
        const MortalBody waits = [](Mortal& m) {
            m.mutex.lock();
            m.condition.wait(m.mutex);
            m.mutex.unlock();
        };
        const auto texts = failures(waits, [](Mortal& m) { m.own_condition.reset(); });
        CHECK(texts.contains("b destroys the condition that a waits on"));
        CHECK(texts.contains("b destroys the condition that a is about to use"));
        CHECK(texts.contains("a uses something destroyed"));
        SUBCASE("or the mutex it waits with") {
            const auto others = failures(waits, ends_mutex);
            CHECK(others.contains("b destroys the mutex that a is about to use"));
        }
    }
    SUBCASE("an atomic that is used then") {
        const MortalBody adds = [](Mortal& m) { m.atomic.fetch_add(1, relaxed); };
        const auto texts = failures([](Mortal& m) { m.own_atomic.reset(); }, adds);
        CHECK(texts.contains("a destroys the atomic that b is about to use"));
        CHECK(texts.contains("b uses something destroyed"));
    }
}

TEST_CASE("an exception that leaves a fiber, and one that does not") {
    CHECK(first_failure({[](Shared&, World&) { throw std::runtime_error{"a word"}; }}) ==
          "a lets an exception out: a word");
    const Body catches = [](Shared& shared, World&) {
        try {
            throw 1;
        } catch (int one) {
            const Guard guard{shared.mutex};  // to the other, inside the handler
            shared.guarded += one;
        }
    };
    const Report report = explore(program({catches, catches}), Strategy::exhaustive());
    CHECK(first_failure(report).empty());
    CHECK(outcomes(report) == "2");
}

TEST_CASE("a program that never ends is found") {
    const Body spins = [](Shared& shared, World&) {
        while (shared.atomic.load(relaxed) == 0) {}
    };
    CHECK(first_failure({spins}) == "a goes on and on: a livelock");
}

TEST_CASE("a program's own decisions are explored, and its own checks reported") {
    const Body decides = [](Shared& shared, World& world) {
        shared.guarded = static_cast<int>(world.pick(3));
    };
    CHECK(outcomes(explore(program({decides}), Strategy::exhaustive())) == "0, 1, 2");
    const Report report = explore(
        program({[](Shared&, World& world) { world.check(world.pick(5) < 3, "more than two"); }}),
        Strategy::exhaustive());
    CHECK(first_failure(report) == "a more than two");
    REQUIRE(report.first);
    CHECK(report.first->trace == latchbox::testing::Trace{3});
}

TEST_CASE("a failure comes with a trace that leads there again, and with its story") {
    const Body first = [](Shared& shared, World&) { shared.atomic.store(1, relaxed); };
    const Body second = [](Shared& shared, World& world) {
        world.check(shared.atomic.load(relaxed) == 0, "too late");
    };
    const auto late = program({first, second});
    const Report found = explore(late, Strategy::random(1, 100));
    REQUIRE(found.first);
    CHECK(found.first->text == "b too late");
    const Report again = explore(late, Strategy::replay(found.first->trace));
    CHECK(first_failure(again) == "b too late");
    CHECK(again.schedules == 1);
    CHECK(found.first->log == "a goes on\na writes atomic 0\nb goes on\nb reads atomic 0\n");
}

TEST_CASE("with no preemption allowed a fiber runs until it blocks") {
    const Body twice = [](Shared& shared, World& world) {
        for (int i = 0; i < 2; ++i) {
            shared.atomic.store(world.running(), relaxed);
            shared.guarded = shared.guarded * 10 + world.running() + 1;
        }
    };
    Strategy strategy = Strategy::exhaustive();
    CHECK(outcomes(explore(program({twice, twice}), strategy)) ==
          "1122, 1212, 1221, 2112, 2121, 2211");
    strategy.rules.preemptions = 0;
    CHECK(outcomes(explore(program({twice, twice}), strategy)) == "1122, 2211");
}

TEST_CASE("an early fiber goes first until it has to wait") {
    const auto early = [](World& world) {
        const auto shared = std::make_shared<Shared>();
        world.spawn("a", [=] {
            const Guard guard{shared->mutex};
            shared->guarded = shared->guarded * 10 + 1;
            shared->condition.notify_one();
        });
        world.spawn_early("b", [=] {
            const Guard guard{shared->mutex};
            shared->guarded = shared->guarded * 10 + 2;
            shared->condition.wait(shared->mutex);
            shared->guarded = shared->guarded * 10 + 3;
        });
        world.finally([=, &world] { world.outcome(std::to_string(shared->guarded)); });
    };
    const Report report = explore(early, Strategy::exhaustive());
    CHECK(first_failure(report).empty());
    CHECK(outcomes(report) == "213");
}

TEST_CASE("a fiber at rest begins when all others have ended or wait") {
    const auto resting = [](World& world) {
        const auto shared = std::make_shared<Shared>();
        world.spawn_at_rest("last", [=, &world] {
            world.check(!world.has_ended(1) && world.has_ended(2), "comes too early");
            const Guard guard{shared->mutex};
            shared->condition.notify_one();
        });
        world.spawn("waiter", [=] {
            const Guard guard{shared->mutex};
            shared->condition.wait(shared->mutex);
            ++shared->guarded;
        });
        world.spawn("other", [=] { shared->atomic.fetch_add(1, relaxed); });
        world.finally([=, &world] { world.outcome(std::to_string(shared->guarded)); });
    };
    const Report report = explore(resting, Strategy::exhaustive());
    CHECK(first_failure(report).empty());
    CHECK(outcomes(report) == "1");
}

TEST_CASE("what fibers do not contend for is no choice point") {
    // Each fiber has an atomic of its own, and there is one that all only look at, and one that is
    // only touched under a mutex.
    struct State {
        std::array<Simulated::Atomic<int>, 2> own;
        Simulated::Atomic<int> looked_at{7};
        Simulated::Atomic<int> guarded;
        Simulated::Mutex mutex;
    };
    const auto calm = [](World& world) {
        const auto state = std::make_shared<State>();
        for (std::size_t i = 0; i < 2; ++i) {
            world.spawn(std::to_string(i), [=] {
                for (int n = 0; n < 5; ++n) {
                    state->own[i].fetch_add(state->looked_at.load(relaxed), relaxed);
                }
                const Guard guard{state->mutex};
                state->guarded.store(state->guarded.load(relaxed) * 10 + static_cast<int>(i) + 1,
                                     relaxed);
            });
        }
        world.finally([=, &world] { world.outcome(std::to_string(state->guarded.load(relaxed))); });
    };
    const Report report = explore(calm, Strategy::exhaustive());
    CHECK(outcomes(report) == "12, 21");
    Strategy strategy = Strategy::exhaustive();
    strategy.contended = false;
    const Report all = explore(calm, strategy);
    CHECK(outcomes(all) == "12, 21");
    CHECK(all.schedules + all.cut > 3 * (report.schedules + report.cut));
}

TEST_CASE("a requested stop runs its callbacks once, on the fiber that requests it") {
    struct State {
        Simulated::StopSource source;
        int calls = 0;
        int by = -1;
    };
    const auto stopping = [](World& world) {
        const auto state = std::make_shared<State>();
        world.spawn("listener", [=, &world] {
            const auto called = [&] {
                ++state->calls;
                state->by = world.running();
            };
            const Simulated::StopToken token = state->source.get_token();
            const Simulated::StopCallback<decltype(called)> callback{token, called};
            static_cast<void>(token.stop_requested());
        });
        world.spawn("requester", [=, &world] {
            world.check(state->source.request_stop(), "the first request");
            world.check(!state->source.request_stop(), "a second request");
        });
        world.finally([=, &world] {
            world.check(state->calls <= 1, "called twice");
            world.outcome(state->calls == 0 ? "not called"
                          : state->by == 0  ? "called by the listener"
                                            : "called by the requester");
        });
    };
    const Report report = explore(stopping, Strategy::exhaustive());
    CHECK(first_failure(report).empty());
    CHECK(outcomes(report) == "called by the listener, called by the requester, not called");
    CHECK_FALSE(Simulated::StopToken{}.stop_requested());
    CHECK_FALSE(Simulated::StopToken{}.stop_possible());
}

TEST_CASE("the end of a stop callback waits for another who runs it") {
    struct State {
        Simulated::StopSource source;
        Simulated::Mutex mutex;
        bool alive = true;
    };
    const auto stopping = [](bool under_lock) {
        return [=](World& world) {
            const auto state = std::make_shared<State>();
            world.spawn("listener", [=, &world] {
                const auto called = [&] {
                    const Guard guard{state->mutex};
                    world.check(state->alive, "called after its end");
                };
                using Callback = Simulated::StopCallback<decltype(called)>;
                std::optional<Callback> callback{std::in_place, state->source.get_token(), called};
                if (under_lock) { state->mutex.lock(); }
                callback.reset();
                if (under_lock) { state->mutex.unlock(); }
                state->alive = false;
            });
            world.spawn("requester", [=] { state->source.request_stop(); });
        };
    };
    const Report report = explore(stopping(false), Strategy::exhaustive());
    CHECK(report.complete);
    CHECK(first_failure(report).empty());
    // Which is why it must not end under a lock that the callback takes.
    CHECK(first_failure(explore(stopping(true), Strategy::exhaustive())) ==
          "deadlock: listener waits for a stop callback, requester waits for a mutex");
}

TEST_CASE("a stop callback may end itself") {
    struct State {
        Simulated::StopSource source;
        std::function<void()> act;
    };
    const auto stopping = [](World& world) {
        const auto state = std::make_shared<State>();
        world.spawn("both", [=, &world] {
            struct Call {
                State* state;
                void operator()() const { state->act(); }
            };
            using Callback = Simulated::StopCallback<Call>;
            std::optional<Callback> callback{std::in_place, state->source.get_token(),
                                             Call{state.get()}};
            state->act = [&] { callback.reset(); };
            state->source.request_stop();
            world.check(!callback.has_value(), "still there");
        });
    };
    const Report report = explore(stopping, Strategy::exhaustive());
    CHECK(first_failure(report).empty());
}

TEST_CASE("a thread runs beside who started it, who waits for its end") {
    const Body starter = [](Shared& shared, World& world) {
        Simulated::Thread thread{[&] {
            world.check(Simulated::current_thread() == 1, "runs as another");
            shared.guarded = shared.atomic.fetch_add(1, relaxed) == 0 ? 12 : 21;
        }};
        shared.atomic.fetch_add(1, relaxed);
        world.check(Simulated::current_thread() == 0, "runs as another");
        world.check(thread.joinable(), "cannot be joined");
        thread.join();
        world.check(!thread.joinable(), "can be joined again");
        world.check(shared.guarded != 0, "goes on too early");
    };
    const Report report = explore(program({starter}), Strategy::exhaustive());
    CHECK(report.complete);
    CHECK(first_failure(report).empty());
    CHECK(outcomes(report) == "12, 21");
    CHECK(outcomes(explore(program({starter}), Strategy::unpruned())) == "12, 21");
    CHECK(Simulated::current_thread() == -1);
}

TEST_CASE("a thread that nobody waits for runs to its end all the same") {
    const Body detaches = [](Shared& shared, World& world) {
        Simulated::Thread thread{[&] { shared.guarded += 1; }};
        thread.detach();
        world.check(!thread.joinable(), "can be joined");
        Simulated::Thread other{[&] { shared.guarded += 2; }};
        Simulated::Thread moved{std::move(other)};
        world.check(!other.joinable() && moved.joinable(), "did not move");
        moved.detach();
    };
    const Report report = explore(program({detaches}), Strategy::exhaustive());
    CHECK(first_failure(report).empty());
    CHECK(outcomes(report) == "3");
}

TEST_CASE("a thread's function ends with the thread, and need not be one that is copied") {
    const Body starter = [](Shared& shared, World& world) {
        const auto counted = std::make_shared<int>(5);
        Simulated::Thread thread{[owner = std::make_unique<int>(7), counted, &shared] {
            shared.guarded = *owner + *counted;
        }};
        thread.join();
        world.check(counted.use_count() == 1, "is still there");
    };
    const Report report = explore(program({starter}), Strategy::exhaustive());
    CHECK(first_failure(report).empty());
    CHECK(outcomes(report) == "12");
}

TEST_CASE("threads of several fibers start in all orders, and threads of threads") {
    const auto appends = [](int digit) {
        return [=](Shared& shared, World&) {
            Simulated::Thread outer{[&shared, digit] {
                Simulated::Thread inner{[&shared, digit] {
                    const Guard guard{shared.mutex};
                    shared.guarded = shared.guarded * 10 + digit;
                }};
                inner.join();
            }};
            outer.join();
        };
    };
    const auto both = program({appends(1), appends(2)});
    const Report report = explore(both, Strategy::exhaustive());
    CHECK(report.complete);
    CHECK(first_failure(report).empty());
    CHECK(outcomes(report) == "12, 21");
    Strategy strategy = Strategy::exhaustive();
    strategy.contended = false;
    CHECK(outcomes(explore(both, strategy)) == "12, 21");
}

TEST_CASE("a thread that is neither joined nor detached is found") {
    using Thread = Simulated::Thread;
    const auto nothing = [] {};
    CHECK(first_failure({[=](Shared&, World&) { const Thread lost{nothing}; }}) ==
          "a loses a thread that it neither joined nor detached");
    CHECK(first_failure({[=](Shared&, World&) {
              Thread thread{nothing};
              thread = Thread{nothing};
          }}) == "a loses a thread that it neither joined nor detached");
    static std::optional<Thread> kept;
    CHECK(first_failure({[=](Shared&, World&) { kept.emplace(nothing); }}) ==
          "a's 1 is neither joined nor detached");
    kept.reset();  // outside of all worlds: no longer a thread of one
}

TEST_CASE("a join that cannot end is found") {
    using Thread = Simulated::Thread;
    struct Handles {
        std::optional<Thread> first;
        std::optional<Thread> second;
    };
    SUBCASE("of itself") {
        Handles handles;
        CHECK(first_failure({[&](Shared& shared, World&) {
                  const Guard guard{shared.mutex};  // so that the handle is there
                  handles.first.emplace([&] {
                      { const Guard waits{shared.mutex}; }
                      handles.first->join();
                  });
              }}) == "a's 1 joins itself");
    }
    SUBCASE("of each other") {
        Handles handles;
        CHECK(first_failure({[&](Shared& shared, World&) {
                  const Guard guard{shared.mutex};
                  handles.first.emplace([&] {
                      { const Guard waits{shared.mutex}; }
                      handles.second->join();
                  });
                  handles.second.emplace([&] {
                      { const Guard waits{shared.mutex}; }
                      handles.first->join();
                  });
              }}) ==
              "deadlock: a's 1 waits for the end of a's 2, a's 2 waits for the end of a's 1");
    }
    SUBCASE("under a lock that the thread takes") {
        CHECK(first_failure({[](Shared& shared, World&) {
                  const Guard guard{shared.mutex};
                  Thread thread{[&] { const Guard waits{shared.mutex}; }};
                  thread.join();
              }}) == "deadlock: a waits for the end of a's 1, a's 1 waits for a mutex");
    }
    SUBCASE("of none") {
        CHECK(first_failure({[](Shared&, World&) {
                  Thread thread{[] {}};
                  thread.join();
                  thread.join();
              }}) == "a joins no thread");
    }
}

TEST_CASE("a thread may fail to start where the program says so") {
    const auto fails = [](std::uint32_t nth) {
        return [=](Shared& shared, World& world) {
            world.fail_start(nth);
            for (int i = 1; i <= 3; ++i) {
                try {
                    Simulated::Thread thread{[&] { shared.guarded = shared.guarded * 10 + i; }};
                    thread.join();
                } catch (const std::system_error&) { shared.guarded = shared.guarded * 10 + 9; }
            }
        };
    };
    CHECK(outcomes(explore(program({fails(1)}), Strategy::exhaustive())) == "923");
    CHECK(outcomes(explore(program({fails(3)}), Strategy::exhaustive())) == "129");
    CHECK(outcomes(explore(program({fails(4)}), Strategy::exhaustive())) == "123");
    const auto anywhere = [] { const Simulated::Thread none{[] {}}; };
    CHECK_THROWS_AS(anywhere(), std::system_error);  // there is no program
}

TEST_CASE("one run by choices of somebody else's says how it went") {
    using latchbox::testing::run_once;
    const auto fails_if_last = program({
        [](Shared& shared, World&) { shared.atomic.store(1, relaxed); },
        [](Shared& shared, World& world) {
            world.check(shared.atomic.load(relaxed) == 0, "came last");
        },
    });
    latchbox::testing::Exhaustive choices;
    std::set<std::optional<std::string>> ways;
    do { ways.insert(run_once(fails_if_last, choices)); } while (choices.next());
    CHECK(ways == std::set<std::optional<std::string>>{std::nullopt, "b came last"});
}
