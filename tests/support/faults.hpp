// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"
#include "support/failing_new.hpp"
#include "support/message_kinds.hpp"

// For tests that what throws leaves everything as before. A call is made in a world of its own, in
// which its n-th allocation, copy or move fails, for n = 1, 2, ... until none fails any more. After
// each failure the world must look exactly like one where the call was never made; and, when the
// call is made again, like one where it succeeded at once.
namespace support {

/// Counted over a whole file, printed when the program ends.
struct FaultFigures {
    const char* where = "";  // after the name of each
    std::uint64_t allocations_failed = 0;
    std::uint64_t user_exceptions = 0;

    explicit FaultFigures(const char* place) : where{place} {}
    FaultFigures(const FaultFigures&) = delete;
    FaultFigures& operator=(const FaultFigures&) = delete;
    ~FaultFigures() {
        if (allocations_failed + user_exceptions == 0) { return; }
        std::printf("figure: allocations failed%s = %llu\n", where,
                    static_cast<unsigned long long>(allocations_failed));
        std::printf("figure: user exceptions thrown%s = %llu\n", where,
                    static_cast<unsigned long long>(user_exceptions));
    }
};

/// What a look at a world says, one thing after the other.
template <class Msg> class Said {
protected:
    void say(std::int64_t number) { said_ += std::to_string(number) + ' '; }
    void say(const latchbox::Delivery<Msg>& delivery) {
        said_ += "[";
        say(Kind<Msg>::number(delivery.body()));
        say(delivery.attempt());
        say(delivery.failures());
        say(delivery.deadline().since_epoch().count());
        said_ += "]";
    }
    void say(const latchbox::QueueStats& s) {
        for (const std::uint64_t count :
             {s.blocked,     s.delayed,  s.ready,    s.leased,    s.dead,      s.accepted,
              s.completed,   s.expired,  s.purged,   s.evicted,   s.cancelled, s.delivered,
              s.redelivered, s.released, s.requeued, s.abandoned, s.failed,    s.leases_run_out,
              s.rejected,    s.redriven, s.refused}) {
            said_ += std::to_string(count) + ',';
        }
        said_ += ' ';
    }

    std::string said_;
};

/// One call, and what comes before it.
template <class World> struct Scenario {
    using W = World;
    const char* name;
    void (*prepare)(W&);
    bool (*call)(W&);  // true if it did what was asked
};

class NoFault {
public:
    explicit NoFault(FaultFigures&) {}
    [[nodiscard]] static bool happened() { return false; }
};
class MemoryFault {
public:
    MemoryFault(FaultFigures& figures, Failing kind, std::uint64_t n)
        : figures_{figures}, failing_{kind, n} {}
    ~MemoryFault() { figures_.allocations_failed += failing_.failed(); }
    MemoryFault(const MemoryFault&) = delete;
    MemoryFault& operator=(const MemoryFault&) = delete;
    [[nodiscard]] bool happened() const { return failing_.failed() != 0; }

private:
    FaultFigures& figures_;
    FailingNew failing_;
};
class UserFault {
public:
    UserFault(FaultFigures& figures, std::uint64_t n) : figures_{figures} { ThrowPlan::arm(n); }
    ~UserFault() {
        figures_.user_exceptions += ThrowPlan::thrown();
        ThrowPlan::disarm();
    }
    UserFault(const UserFault&) = delete;
    UserFault& operator=(const UserFault&) = delete;
    [[nodiscard]] static bool happened() { return ThrowPlan::thrown() != 0; }

private:
    FaultFigures& figures_;
};

struct Outcome {
    bool threw = false;
    bool happened = false;  // whether anything failed
    bool did = false;       // what was asked
};

template <class Fault, class World, class... Plan>
Outcome attempt(World& world, const Scenario<World>& scenario, FaultFigures& figures,
                const Plan&... plan) {
    Outcome outcome;
    try {
        const Fault fault{figures, plan...};
        outcome.did = scenario.call(world);
        outcome.happened = fault.happened();
    } catch (const std::bad_alloc&) {
        outcome.threw = outcome.happened = true;
    } catch (const Thrown&) { outcome.threw = outcome.happened = true; }
    return outcome;
}

template <class World> std::unique_ptr<World> prepared(const Scenario<World>& scenario) {
    auto world = std::make_unique<World>();
    scenario.prepare(*world);
    return world;
}

/// Scenarios under faults. `Look{world}.all()` is everything that can be seen of a world.
template <class World, class Look> class Faults {
public:
    explicit Faults(FaultFigures& figures) : figures_{figures} {}

    /// Also every second allocation fails, and one in a hundred by so many `seeds`.
    void fail_each_allocation(const std::vector<Scenario<World>>& scenarios, std::uint64_t seeds) {
        for (const Scenario<World>& scenario : scenarios) {
            CAPTURE(std::string(scenario.name));
            const Looks looks = looks_of(scenario);
            for (const Failing kind : {Failing::nth, Failing::from_nth}) {
                for (std::uint64_t n = 1; survives<MemoryFault>(scenario, looks, kind, n); ++n) {
                    REQUIRE(n < 1'000);
                }
            }
            survives<MemoryFault>(scenario, looks, Failing::every_second, std::uint64_t{0});
            for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
                survives<MemoryFault>(scenario, looks, Failing::one_in_hundred, seed);
            }
        }
    }
    /// Each copy and each move of a message fails. `live()` counts those there are.
    template <class Live>
    void throw_each_time(const std::vector<Scenario<World>>& scenarios, Live&& live) {
        for (const Scenario<World>& scenario : scenarios) {
            CAPTURE(std::string(scenario.name));
            const Looks looks = looks_of(scenario);
            for (std::uint64_t n = 1; survives<UserFault>(scenario, looks, n); ++n) {
                REQUIRE(n < 1'000);
            }
            CHECK(live() == 0);
        }
    }

private:
    // How a world looks where the call was never made, and where it succeeded.
    struct Looks {
        std::string before;
        std::string after;
    };
    Looks looks_of(const Scenario<World>& scenario) {
        const auto untouched = prepared(scenario);
        const auto done = prepared(scenario);
        CHECK(attempt<NoFault>(*done, scenario, figures_).did);
        return {Look{*untouched}.all(), Look{*done}.all()};
    }
    // One scenario, in which something fails by `plan`. True if something did.
    template <class Fault, class... Plan>
    bool survives(const Scenario<World>& scenario, const Looks& looks, const Plan&... plan) {
        const auto failed = prepared(scenario);
        const Outcome outcome = attempt<Fault>(*failed, scenario, figures_, plan...);
        if (!outcome.threw) {
            // If something failed it did without, and must be none the worse for it.
            CHECK(outcome.did);
            CHECK(Look{*failed}.all() == looks.after);
            return outcome.happened;
        }
        CHECK(Look{*failed}.all() == looks.before);

        const auto again = prepared(scenario);
        CHECK(attempt<Fault>(*again, scenario, figures_, plan...).threw);
        CHECK(attempt<NoFault>(*again, scenario, figures_).did);
        CHECK(Look{*again}.all() == looks.after);
        return true;
    }

    FaultFigures& figures_;
};

}  // namespace support
