// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors

// Every pair and every triple of sixteen operations, from several states before. A run must come
// to what one of the orders of its operations comes to: what each of them said, how each message
// stands then, and how often what was done. The orders are the runs without an interruption; one
// who waits lets others go on in them, too.
//
// A failing program prints two lines that repeat it:
//   LATCHBOX_PROGRAM=...   that program alone
//   LATCHBOX_TRACE=...     and of it that run alone

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "simulation/operations.hpp"

using namespace scenes;

namespace {

using Program = std::vector<Operation>;
using Ways = std::set<std::string>;

std::string title(Before before, const Program& program) {
    std::string text = name(before);
    for (std::size_t i = 0; i < program.size(); ++i) {
        text += (i == 0 ? ":" : "+") + std::string{name(program[i])};
    }
    return text;
}

bool any_of(const Program& program, std::initializer_list<Operation> among) {
    return std::any_of(program.begin(), program.end(), [&](Operation one) {
        return std::find(among.begin(), among.end(), one) != among.end();
    });
}

bool may_wait(Before before, const Program& program) {
    using enum Operation;
    return any_of(program, {fetch}) ||
           (before == Before::full && any_of(program, {publish, publish_child, post}));
}

// Whether the operations act as if each had one instant. Those do not that tell children what
// became of a parent: that comes after the parent's own queue was let go, one queue at a time, so
//   - a close in between leaves children untold,
//   - a redrive of all dead letters, which goes through them one by one, meets some of a family
//     dead and some not dead yet,
//   - of two who free children at once, one may free a later child before the other an earlier
//     one, and a fetch in between gets the later.
// All else that is asked of a run holds for these, too.
bool has_one_order(const Program& program) {
    using enum Operation;
    if (any_of(program, {close}) && any_of(program, {ack, fail, count_down, commit, advance})) {
        return false;
    }
    if (any_of(program, {redrive}) && any_of(program, {fail, advance, publish_child})) {
        return false;
    }
    return !(any_of(program, {fetch, try_fetch}) && any_of(program, {count_down}) &&
             any_of(program, {ack, commit}));
}

Report run(Before before, const Program& program, const Strategy& strategy,
           const Ways* allowed = nullptr) {
    return latchbox::testing::explore(
        [&](World& world) {
            const auto yard = std::make_shared<Yard>(world, before, program);
            for (const Operation one : program) {
                world.spawn(name(one), [=] { yard->act(one); });
            }
            if (may_wait(before, program)) {
                world.spawn_at_rest("the end", [=, &program] { yard->rest(program); });
            }
            world.finally([=, &world] {
                const std::string way = yard->finish();
                world.check(allowed == nullptr || allowed->contains(way),
                            "comes to what none of its orders comes to: " + way);
                world.outcome(way);
            });
        },
        strategy);
}

Ways ways_of(const Report& report) {
    Ways ways;
    for (const auto& [way, count] : report.outcomes) { ways.insert(way); }
    return ways;
}

// Runs many programs, and tells at the end what they came to.
class Matrix {
public:
    // A program of more runs than `most` is searched up to there, and then with all schedules in
    // which no more than `preemptions` fibers are interrupted.
    Matrix(const char* of, std::uint64_t most, std::uint32_t preemptions)
        : of_{of}, bounded_{Strategy::interrupted_at_most(preemptions)} {
        all_.runs = most;
    }

    void check(Before before, const Program& program) {
        const std::string text = title(before, program);
        const char* const only = std::getenv("LATCHBOX_PROGRAM");
        if (only != nullptr && only != text) { return; }
        ++programs_;
        const Report ordered = run(before, program, Strategy::interrupted_at_most(0));
        if (!passes(ordered, text)) { return; }
        const Ways orders = ways_of(ordered);
        const bool strict = has_one_order(program);
        strict_ += strict ? 1U : 0U;
        ways_ += orders.size();
        const Report report = run(before, program, all_, strict ? &orders : nullptr);
        if (!passes(report, text)) { return; }
        count(report, orders);
        complete_ += report.complete ? 1U : 0U;
        if (report.complete || report.replayed) { return; }
        const Report rest = run(before, program, bounded_, strict ? &orders : nullptr);
        if (!passes(rest, text)) { return; }
        CHECK(rest.complete);
        count(rest, orders);
    }

    void tell() const {
        print("programs", programs_);
        print("programs of all schedules", complete_);
        print("programs that come to what an order comes to", strict_);
        print("schedules", schedules_);
        print("schedules cut", cut_);
        print("steps", steps_);
        print("outcomes", ways_);
        print("outcomes between", between_);
    }
    [[nodiscard]] std::uint64_t programs() const noexcept { return programs_; }

private:
    static bool passes(const Report& report, const std::string& text) {
        const std::string failure =
            report.first ? "LATCHBOX_PROGRAM=" + text + '\n' + report.first->describe() : "";
        CHECK_MESSAGE(failure.empty(), failure);
        return failure.empty();
    }
    void count(const Report& report, const Ways& orders) {
        schedules_ += report.schedules;
        cut_ += report.cut;
        steps_ += report.steps;
        for (const std::string& way : ways_of(report)) {
            between_ += orders.contains(way) ? 0U : 1U;
        }
    }
    void print(const char* what, std::uint64_t figure) const {
        std::printf("figure: matrix of %s, %s = %llu\n", of_, what,
                    static_cast<unsigned long long>(figure));
    }

    const char* of_;
    Strategy all_ = Strategy::exhaustive();
    Strategy bounded_;
    std::uint64_t programs_ = 0;
    std::uint64_t complete_ = 0;
    std::uint64_t strict_ = 0;
    std::uint64_t schedules_ = 0;
    std::uint64_t cut_ = 0;
    std::uint64_t steps_ = 0;
    std::uint64_t ways_ = 0;
    std::uint64_t between_ = 0;
};

}  // namespace

// Two that both wait, or both go through many locks, have millions of schedules: these are bounded.
TEST_CASE("every pair of operations comes to what one of its orders comes to [4.1] [4.9] [4.11]") {
    Matrix matrix{"pairs", 60'000, 3};
    for (std::size_t before = 0; before < states_before; ++before) {
        for (std::size_t i = 0; i < operations; ++i) {
            for (std::size_t j = i; j < operations; ++j) {
                matrix.check(Before(before), {Operation(i), Operation(j)});
            }
        }
    }
    matrix.tell();
    CHECK((matrix.programs() == 816 || std::getenv("LATCHBOX_PROGRAM") != nullptr));
}

TEST_CASE("every triple of operations comes to what one of its orders comes to [4.1] [4.9]") {
    Matrix matrix{"triples", 3'000, 2};
    for (const Before before : {Before::family, Before::full}) {
        for (std::size_t i = 0; i < operations; ++i) {
            for (std::size_t j = i; j < operations; ++j) {
                for (std::size_t k = j; k < operations; ++k) {
                    matrix.check(before, {Operation(i), Operation(j), Operation(k)});
                }
            }
        }
    }
    matrix.tell();
    CHECK((matrix.programs() == 1'632 || std::getenv("LATCHBOX_PROGRAM") != nullptr));
}
