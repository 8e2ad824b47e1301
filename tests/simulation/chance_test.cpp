// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors

// The same operations by chance: a few small programs so often that a bug of three steps in one
// order is hardly missed, and many large ones, drawn, with waits that end for no reason and
// allocations that fail.
//
// A failing program prints how to repeat it, for the one test case: LATCHBOX_TRACE=... (of the
// small ones, with LATCHBOX_PROGRAM=...). LATCHBOX_SEED=... begins with that seed,
// LATCHBOX_RUNS=n makes n runs of each small program, and ten times as many walks.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "simulation/operations.hpp"
#include "support/probes.hpp"
#include "support/seed.hpp"

using namespace scenes;

namespace {

using support::seed_of_this_run;

constexpr std::uint64_t all_runs = 100'000;
std::uint64_t runs_of_this_run() {
    return support::number_from_environment("LATCHBOX_RUNS", all_runs);
}

void print(const char* what, std::uint64_t figure) {
    std::printf("figure: chance, %s = %llu\n", what, static_cast<unsigned long long>(figure));
}

struct Small {
    Before before;
    Program program;
};
std::vector<Small> small_programs() {
    using enum Operation;
    return {
        {Before::ready, {{fetch}, {fetch}, {publish}, {stop}}},
        {Before::leased, {{fetch}, {extend}, {advance}}},
        {Before::leased, {{abandon}, {ack}, {fetch}}},
        {Before::family, {{publish_child}, {ack}, {try_fetch}}},
        {Before::full, {{publish}, {ack}, {stop}}},
        {Before::full, {{publish}, {abandon}, {try_fetch}, {ack}}},
        {Before::deadlines, {{fetch}, {advance}, {fail}}},
        {Before::ready, {{fetch}, {publish}, {close}}},
        {Before::dead, {{redrive}, {ack}, {fetch}}},
        {Before::full, {{commit}, {publish}, {stop}}},
        {Before::leased, {{extend}, {advance}, {ack}}},
        {Before::deadlines, {{try_fetch}, {advance}, {fail}}},
    };
}

// A bug of three steps in one order is missed in all runs of one of those that have no more with a
// chance of 2 in ten million.
constexpr std::uint64_t few_choice_points = 40;

// Four to six fibers, two to four operations each.
Program draw(World& world) {
    Program program(4 + world.pick(3));
    for (auto& part : program) {
        part.resize(2 + world.pick(3));
        for (Operation& one : part) { one = Operation(world.pick(operations)); }
        // Some after a close are enough.
        if (part.front() == Operation::close && world.pick(4) != 3) {
            part.front() = Operation::fetch;
        }
    }
    return program;
}

}  // namespace

TEST_CASE("by priorities, small programs come to what one of their orders comes to [4.9]") {
    const char* const only = std::getenv("LATCHBOX_PROGRAM");
    Report all;
    std::uint64_t programs = 0;
    std::uint64_t short_ones = 0;
    for (const auto& [before, program] : small_programs()) {
        const std::string text = title(before, program);
        if (only != nullptr && only != text) { continue; }
        const auto explore = [&, b = before](const Strategy& strategy,
                                             const std::set<std::string>* allowed) {
            return latchbox::testing::explore(
                [&](World& world) { play(world, b, program, allowed); }, strategy);
        };
        const Report ordered = in_order(before, program);
        const auto orders = ways_of(ordered);
        const Report report =
            ordered.first ? ordered
                          : explore(Strategy::priorities(seed_of_this_run(), runs_of_this_run()),
                                    has_one_order(program) ? &orders : nullptr);
        const std::string failure =
            report.first ? "LATCHBOX_PROGRAM=" + text + '\n' + report.first->describe() : "";
        CHECK_MESSAGE(failure.empty(), failure);
        std::printf("%8llu runs, at most %llu choice points, %zu of %zu outcomes: %s\n",
                    static_cast<unsigned long long>(report.schedules),
                    static_cast<unsigned long long>(report.longest), report.outcomes.size(),
                    orders.size(), text.c_str());
        ++programs;
        short_ones += report.longest <= few_choice_points ? 1U : 0U;
        all.schedules += report.schedules;
        all.steps += report.steps;
        all.replayed = report.replayed;
    }
    print("programs by priorities", programs);
    print("of these, of 40 choice points at most", short_ones);
    CHECK((short_ones >= 10 || only != nullptr || all.replayed));
    print("runs by priorities", all.schedules);
    print("steps by priorities", all.steps);
}

TEST_CASE("random walks over large programs lose nothing, and wake whom they should [4.1] [4.9]") {
    support::Probes probes{"random walks",
                           {"publish: published",
                            "publish: waits",
                            "publish: cancelled",
                            "publish: closed",
                            "publish_child: published",
                            "publish_child: waits",
                            "publish_child: cancelled",
                            "publish_child: closed",
                            "publish_child: no memory",
                            "post: posted",
                            "post: waits",
                            "post: cancelled",
                            "post: closed",
                            "post: no memory",
                            "try_fetch: got",
                            "try_fetch: got again",
                            "try_fetch: nothing is ready",
                            "try_fetch: took a copy",
                            "try_fetch: closed",
                            "fetch: got",
                            "fetch: got again",
                            "fetch: waits",
                            "fetch: cancelled",
                            "fetch: closed",
                            "ack: acked",
                            "ack: the lease is lost",
                            "ack: closed",
                            "fail: failed",
                            "fail: the lease is lost",
                            "fail: closed",
                            "extend: extended",
                            "extend: the lease is lost",
                            "extend: closed",
                            "abandon: abandoned",
                            "count_down: counted",
                            "count_down: closed",
                            "come_or_go: subscribed",
                            "come_or_go: unsubscribed",
                            "come_or_go: no memory",
                            "redrive: none",
                            "redrive: one",
                            "redrive: many",
                            "redrive: no memory",
                            "commit: committed",
                            "commit: committed at last",
                            "commit: the lease is lost",
                            "commit: the queue is full",
                            "commit: closed",
                            "commit: no memory",
                            "at rest: many fetch",
                            "at rest: many publish",
                            "at rest: fetch and publish",
                            "at rest: a fetch, and messages that are blocked",
                            "at rest: a fetch, and messages that are delayed",
                            "at rest: a fetch, and messages that are dead",
                            "left: blocked",
                            "left: delayed",
                            "left: ready",
                            "left: leased",
                            "left: dead",
                            "left: completed",
                            "left: pending, of a topic",
                            "left: handed out three times",
                            "left: failed twice",

                            "left: ready behind two",
                            "left: blocked by two parents",
                            "left: with a copy for who came late",
                            "left: without a copy for who left",
                            "left: dead of a dead parent",
                            "left: held by a dead parent",
                            "in all: a lease ran out",
                            "in all: many leases ran out",
                            "in all: many were abandoned",
                            "in all: more redriven than dead",
                            "in all: closed",
                            "who came late: got nothing",
                            "who came late: got some",
                            "who came late: got all"}};
    Strategy strategy = Strategy::random(seed_of_this_run(), 10 * runs_of_this_run());
    strategy.rules.spurious_wakes = 2;
    const Report report = latchbox::testing::explore(
        [&](World& world) {
            const auto before = Before(world.pick(states_before));
            const auto yard = play(world, before, draw(world), nullptr, true);
            yard->tell([&](const std::string& situation) { probes.reach(situation); });
        },
        strategy);
    const std::string failure = report.first ? report.first->describe() : "";
    CHECK_MESSAGE(failure.empty(), failure);
    print("random walks", report.schedules);
    print("steps of random walks", report.steps);
    if (report.first || report.replayed) { return; }
    const std::uint64_t least = runs_of_this_run() / 1'000;
    probes.print(least);
    for (const std::string& rare : probes.below(least)) { FAIL_CHECK("hardly reached: ", rare); }
}
