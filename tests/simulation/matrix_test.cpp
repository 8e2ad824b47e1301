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
// LATCHBOX_EFFORT=n goes n times as far with programs that are too large to be searched whole.

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <string>

#include "simulation/operations.hpp"
#include "support/seed.hpp"

using namespace scenes;

namespace {

const std::uint64_t effort = support::number_from_environment("LATCHBOX_EFFORT", 1);

Report run(Before before, const Program& program, const Strategy& strategy,
           const std::set<std::string>* allowed = nullptr) {
    return latchbox::testing::explore([&](World& world) { play(world, before, program, allowed); },
                                      strategy);
}

// Runs many programs, and tells at the end what they came to.
class Matrix {
public:
    // A program of more runs than `most` is searched up to there, and then with all schedules in
    // which no more than `preemptions` fibers are interrupted; are there even of these more than
    // `most_bounded`, in which one less is.
    Matrix(const char* of, std::uint64_t most, std::uint32_t preemptions,
           std::uint64_t most_bounded)
        : of_{of} {
        strategies_[0].runs = most * effort;
        strategies_[1] = Strategy::interrupted_at_most(preemptions);
        strategies_[1].runs = most_bounded * effort;
        strategies_[2] = Strategy::interrupted_at_most(preemptions - 1);
    }

    void check(Before before, const Program& program) {
        const std::string text = title(before, program);
        const char* const only = std::getenv("LATCHBOX_PROGRAM");
        if (only != nullptr && only != text) { return; }
        ++programs_;
        const Report ordered = in_order(before, program);
        if (!passes(ordered, text)) { return; }
        const auto orders = ways_of(ordered);
        const bool strict = has_one_order(program);
        strict_ += strict ? 1U : 0U;
        ways_ += orders.size();
        for (std::size_t i = 0; i < strategies_.size(); ++i) {
            const Report report = run(before, program, strategies_[i], strict ? &orders : nullptr);
            if (!passes(report, text)) { return; }
            count(report, orders);
            complete_[i] += report.complete ? 1U : 0U;
            if (report.complete || report.replayed) { return; }
        }
        FAIL_CHECK("there is no end to " << text);
    }

    void tell() const {
        print("programs", programs_);
        print("programs of all schedules", complete_[0]);
        for (std::size_t i = 1; i < strategies_.size(); ++i) {
            const std::string most = std::to_string(*strategies_[i].rules.preemptions);
            print(("programs within " + most + " interruptions").c_str(), complete_[i]);
        }
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
    void count(const Report& report, const std::set<std::string>& orders) {
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
    std::array<Strategy, 3> strategies_{Strategy::exhaustive(), {}, {}};
    std::array<std::uint64_t, 3> complete_{};
    std::uint64_t programs_ = 0;
    std::uint64_t strict_ = 0;
    std::uint64_t schedules_ = 0;
    std::uint64_t cut_ = 0;
    std::uint64_t steps_ = 0;
    std::uint64_t ways_ = 0;
    std::uint64_t between_ = 0;
};

}  // namespace

// Two that both wait, or both go through many locks, have millions of schedules: these are bounded.
// The limits are such that more of them would find hardly another program complete.
TEST_CASE("every pair of operations comes to what one of its orders comes to [4.1] [4.9] [4.11]") {
    Matrix matrix{"pairs", 20'000, 3, 60'000};
    for (std::size_t before = 0; before < states_before; ++before) {
        for (std::size_t i = 0; i < operations; ++i) {
            for (std::size_t j = i; j < operations; ++j) {
                matrix.check(Before(before), {{Operation(i)}, {Operation(j)}});
            }
        }
    }
    matrix.tell();
    CHECK((matrix.programs() == 816 || std::getenv("LATCHBOX_PROGRAM") != nullptr));
}

TEST_CASE("every triple of operations comes to what one of its orders comes to [4.1] [4.9]") {
    Matrix matrix{"triples", 3'000, 2, 8'000};
    for (const Before before : {Before::family, Before::full}) {
        for (std::size_t i = 0; i < operations; ++i) {
            for (std::size_t j = i; j < operations; ++j) {
                for (std::size_t k = j; k < operations; ++k) {
                    matrix.check(before, {{Operation(i)}, {Operation(j)}, {Operation(k)}});
                }
            }
        }
    }
    matrix.tell();
    CHECK((matrix.programs() == 1'632 || std::getenv("LATCHBOX_PROGRAM") != nullptr));
}
