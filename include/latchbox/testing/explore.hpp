// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <utility>

#if defined(_WIN32)
#include <cstdio>
#else
#include <unistd.h>
#endif

#include "latchbox/testing/choices.hpp"
#include "latchbox/testing/depth_first.hpp"
#include "latchbox/testing/without_ids.hpp"
#include "latchbox/testing/world.hpp"

namespace latchbox {
inline namespace v0 {
namespace testing {

/// Which runs of a program are made.
struct Strategy {
    enum class Kind : std::uint8_t { exhaustive, random, priorities, replay };

    Kind kind = Kind::exhaustive;
    bool prune = true;       ///< of the exhaustive ones: no branch into a state known already
    bool contended = true;   ///< and, or by priorities, no choice where fibers contend for nothing
    std::uint64_t seed = 0;  ///< of those by chance: that of the first run
    std::uint64_t runs = ~std::uint64_t{0};  ///< at most
    std::uint32_t depth = 3;                 ///< of priorities: see `Priorities`
    bool stop_at_failure = true;
    Trace trace = {};  ///< to be replayed
    Rules rules = {};

    /// Every schedule of the program. Ends for small ones: two or three fibers, a few calls each.
    [[nodiscard]] static Strategy exhaustive() { return {}; }
    /// Every schedule in which no more than so many fibers are interrupted that could have gone
    /// on, each where it contends with others: most bugs need one or two.
    [[nodiscard]] static Strategy interrupted_at_most(std::uint32_t preemptions) {
        return {.rules = {.preemptions = preemptions}};
    }
    [[nodiscard]] static Strategy unpruned() { return {.prune = false, .contended = false}; }
    /// So many runs by chance, from this seed on, of a program of any size.
    [[nodiscard]] static Strategy random(std::uint64_t seed, std::uint64_t runs) {
        return {.kind = Kind::random, .seed = seed, .runs = runs};
    }
    /// The same with few switches in each, which meets rare orders sooner; see `Priorities`.
    [[nodiscard]] static Strategy priorities(std::uint64_t seed, std::uint64_t runs,
                                             std::uint32_t depth = 3) {
        return {.kind = Kind::priorities, .seed = seed, .runs = runs, .depth = depth};
    }
    /// The one run of this trace.
    [[nodiscard]] static Strategy replay(Trace trace) {
        return {.kind = Kind::replay, .runs = 1, .trace = std::move(trace)};
    }
};

/// How a run went wrong.
struct Failure {
    std::string text;
    Trace trace;        ///< leads there; shrunk
    std::string log;    ///< of that run, a line for each step
    std::string story;  ///< the same in short: who went on, and what the program said

    /// What reproduces it, before the command that runs the test.
    [[nodiscard]] std::string line() const { return "LATCHBOX_TRACE=" + testing::to_string(trace); }
    /// With the line that reproduces it, and every step.
    [[nodiscard]] std::string describe() const { return text + "\n" + line() + "\n" + log; }
    /// With the line, and in short.
    [[nodiscard]] std::string brief() const { return text + "\n" + line() + "\n" + story; }
};

/// What all runs came to.
struct Report {
    std::uint64_t schedules = 0;  ///< runs to an end or a failure
    std::uint64_t cut = 0;        ///< runs given up, as nothing new was left in them
    std::uint64_t pruned = 0;     ///< branches not entered, as they lead into a known state
    std::uint64_t steps = 0;
    std::uint64_t longest = 0;  ///< by priorities: choices of who goes on, at most in a run
    bool complete = false;      ///< nothing was left out but what was pruned
    bool replayed = false;      ///< one trace only, as the environment asked for
    std::map<std::string, std::uint64_t> outcomes;  ///< runs by what the program said of them
    /// Runs by what went wrong; ids are "m-#" and "r-#" there, as each run draws its own.
    std::map<std::string, std::uint64_t> failures;
    std::optional<Failure> first;

    [[nodiscard]] bool passed() const noexcept { return !first; }
    /// For the assertion of a test: what went wrong and how to see it again, or what was seen.
    [[nodiscard]] std::string text() const {
        if (first) { return first->describe(); }
        if (replayed) { return "the run of LATCHBOX_TRACE passes"; }
        return std::to_string(schedules) + " schedules, none failed";
    }
};

class Explorer {
public:
    /// One for all, which keeps the stacks.
    static Explorer& only() {
        static Explorer explorer;
        return explorer;
    }

    template <class Program> Report explore(Program&& program, const Strategy& strategy) {
        report_ = {};
        const TraceAtDeath guard{*this};
        switch (strategy.kind) {
            case Strategy::Kind::exhaustive: search_all(program, strategy); break;
            case Strategy::Kind::random:
                for (std::uint64_t i = 0; goes_on(strategy) && i < strategy.runs; ++i) {
                    Seeded chance{strategy.seed + i};
                    once(program, strategy, {.choices = &chance});
                }
                break;
            case Strategy::Kind::priorities: search_by_priorities(program, strategy); break;
            case Strategy::Kind::replay: {
                Replay recorded{strategy.trace};
                once(program, strategy, {.choices = &recorded});
                break;
            }
        }
        if (report_.first) { explain(program, strategy); }
        return std::move(report_);
    }
    template <class Program>
    std::optional<std::string> run(Program&& program, Choices& choices, const Rules& rules) {
        choices_ = &choices;
        world_.run(program, rules, {.choices = &choices});
        return world_.failure_;
    }

private:
    [[nodiscard]] bool goes_on(const Strategy& strategy) const {
        if (strategy.stop_at_failure && report_.first) { return false; }
        return report_.schedules + report_.cut < strategy.runs;
    }

    template <class Program> void search_all(Program& program, const Strategy& strategy) {
        Contention contention;
        Contention* const known = strategy.contended ? &contention : nullptr;
        for (bool again = true; again;) {
            DepthFirst search{strategy.prune};
            again = false;
            do {
                once(program, strategy,
                     {.choices = &search, .search = &search, .contention = known});
                again = contention.learnt();
            } while (!again && goes_on(strategy) && search.next());
            again = again && goes_on(strategy);
            report_.pruned += search.pruned();
            if (!again) { report_.complete = goes_on(strategy); }
        }
    }
    // The fewer choice points there are, the likelier are those that matter. What fibers contend
    // for is learnt on the way, so each run keeps its full trace, which tells of all steps.
    template <class Program> void search_by_priorities(Program& program, const Strategy& strategy) {
        Contention contention;
        Contention* const known = strategy.contended ? &contention : nullptr;
        Trace full;
        std::uint64_t range = 64;  // until one run was seen
        for (std::uint64_t i = 0; goes_on(strategy) && i < strategy.runs; ++i) {
            Priorities priorities{strategy.seed + i, strategy.depth, range};
            full.clear();
            once(program, strategy,
                 {.choices = &priorities,
                  .contention = known,
                  .priorities = &priorities,
                  .full_trace = &full});
            if (priorities.steps() > report_.longest) { report_.longest = priorities.steps(); }
            range = report_.longest;
        }
    }
    template <class Program>
    void once(Program& program, const Strategy& strategy, const Setting& setting) {
        choices_ = setting.choices;
        world_.run(program, strategy.rules, setting);
        report_.steps += world_.steps_;
        if (setting.search != nullptr && setting.search->cut()) {
            ++report_.cut;
            return;
        }
        ++report_.schedules;
        if (!world_.failure_) {
            ++report_.outcomes[world_.outcome_];
            return;
        }
        ++report_.failures[without_ids(*world_.failure_)];
        if (report_.first) { return; }
        report_.first = Failure{*world_.failure_, setting.choices->trace(), {}, {}};
        if (setting.full_trace != nullptr) { report_.first->trace = *setting.full_trace; }
        if (setting.contention == nullptr || setting.full_trace != nullptr) { return; }
        Trace full;
        Replay recorded{setting.choices->trace()};
        world_.run(program, strategy.rules,
                   {.choices = &recorded, .contention = setting.contention, .full_trace = &full});
        report_.first->trace = full;
    }

    // The smallest run found that fails in the same way, in words.
    template <class Program> void explain(Program& program, const Strategy& strategy) {
        Failure& failure = *report_.first;
        const std::string same = without_ids(failure.text);
        const auto fails = [&](const Trace& trace, bool logging = false) {
            Replay recorded{trace};
            choices_ = &recorded;
            world_.run(program, strategy.rules, {.choices = &recorded, .logging = logging});
            return world_.failure_ && without_ids(*world_.failure_) == same;
        };
        failure.trace = shrink(std::move(failure.trace), fails, 1'000);
        fails(failure.trace, true);
        if (world_.failure_) { failure.text = *world_.failure_; }
        failure.log = shortened(world_.log_.text());
        failure.story = shortened(world_.log_.story());
    }
    // A livelock's would be without end.
    static std::string shortened(const std::string& log) {
        constexpr std::size_t most = 3'000;
        if (log.size() <= 2 * most) { return log; }
        return log.substr(0, most) + "\n...\n" + log.substr(log.size() - most);
    }

    // A broken assertion of the library ends the process: then the trace is the last word.
    class TraceAtDeath {
    public:
        explicit TraceAtDeath(Explorer& explorer) noexcept {
            dying_ = &explorer;
#if defined(_WIN32)
            abort_before_ = std::signal(SIGABRT, &say_trace);
            fault_before_ = std::signal(SIGSEGV, &say_trace);
#else
            struct sigaction action {};
            action.sa_handler = &say_trace;
            action.sa_flags = SA_ONSTACK;
            sigaction(SIGABRT, &action, &abort_before_);
            sigaction(SIGSEGV, &action, &fault_before_);
#endif
#if LATCHBOX_TESTING_ASAN
            __sanitizer_set_death_callback(&say_trace_only);
#endif
        }
        ~TraceAtDeath() {
#if LATCHBOX_TESTING_ASAN
            __sanitizer_set_death_callback(nullptr);
#endif
            restore();
            dying_ = nullptr;
        }
        TraceAtDeath(const TraceAtDeath&) = delete;
        TraceAtDeath& operator=(const TraceAtDeath&) = delete;

    private:
        static void restore() noexcept {
#if defined(_WIN32)
            std::signal(SIGABRT, abort_before_);
            std::signal(SIGSEGV, fault_before_);
#else
            sigaction(SIGABRT, &abort_before_, nullptr);
            sigaction(SIGSEGV, &fault_before_, nullptr);
#endif
        }
        static void say_trace_only() {
            const std::string line =
                "LATCHBOX_TRACE=" + to_string(dying_->choices_->trace()) + "\n";
#if defined(_WIN32)
            std::fwrite(line.data(), 1, line.size(), stderr);
#else
            static_cast<void>(!write(STDERR_FILENO, line.data(), line.size()));
#endif
        }
        static void say_trace(int signal) {
            restore();
            say_trace_only();
            raise(signal);
        }

        inline static Explorer* dying_ = nullptr;
#if defined(_WIN32)
        inline static void (*abort_before_)(int) = SIG_DFL;
        inline static void (*fault_before_)(int) = SIG_DFL;
#else
        inline static struct sigaction abort_before_ {};
        inline static struct sigaction fault_before_ {};
#endif
    };

    World world_;
    Choices* choices_ = nullptr;
    Report report_;
};

/// Runs `program(World&)` again and again, by `strategy`: the program makes what the run needs,
/// adds fibers and a final check, and returns; then the fibers run, one at a time, in an order that
/// is another in each run. Stops at the first failure, which it tells with the shortest run found
/// that leads to it.
/// Where the environment names one, by `LATCHBOX_TRACE`, that run alone is made: the line that a
/// failure prints, before the command that runs the one test, shows it again.
/// Threads  One at a time in a process; never from within a program.
template <class Program>
[[nodiscard]] Report explore(Program&& program, const Strategy& strategy = Strategy::exhaustive()) {
    auto trace = trace_from_environment();
    if (!trace) {
        if (std::getenv("LATCHBOX_TRACE") == nullptr) {
            return Explorer::only().explore(program, strategy);
        }
        Report misread;  // who asks for one run must not be shown that all pass
        misread.first = Failure{"LATCHBOX_TRACE is not a list of numbers", {}, {}, {}};
        return misread;
    }
    Strategy replay = Strategy::replay(*std::move(trace));
    replay.rules = strategy.rules;
    Report report = Explorer::only().explore(program, replay);
    report.replayed = true;
    return report;
}

/// One run alone, by these choices: what went wrong, or nothing. Nothing is shrunk or told; for who
/// has a search of his own.
/// Threads  As `explore`.
template <class Program>
[[nodiscard]] std::optional<std::string> run_once(Program&& program, Choices& choices,
                                                  const Rules& rules = {}) {
    return Explorer::only().run(program, choices, rules);
}

}  // namespace testing
}  // namespace v0
}  // namespace latchbox
