// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors

// The broker against the reference model: random scripts of operations, everything that can be
// seen compared after each. The other half of this file tests that such a comparison would notice.
//
// A failing script prints one line that repeats it:
//   LATCHBOX_SEED=...      that script comes first
//   LATCHBOX_TRACE=...     that script alone, shrunk; operation by operation
// LATCHBOX_SCRIPTS=n runs n of them.

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "fuzz/corpus.hpp"
#include "fuzz/scripts.hpp"
#include "latchbox/latchbox.hpp"
#include "model/transactions_script.hpp"
#include "latchbox/testing/choices.hpp"
#include "support/probes.hpp"
#include "support/seed.hpp"

namespace {

constexpr std::size_t steps_of_a_script = 200;

// Of the script that is running: an assertion of the library, or who finds that it takes too long,
// ends the process.
const latchbox::testing::Choices* running = nullptr;

extern "C" void on_end(int signal) {
    std::signal(signal, SIG_DFL);
    if (running != nullptr) {
        std::printf("LATCHBOX_TRACE=%s\n", latchbox::testing::to_string(running->trace()).c_str());
        std::fflush(stdout);
    }
    std::raise(signal);
}
void watch_for_the_end() {
    std::signal(SIGABRT, on_end);
    std::signal(SIGTERM, on_end);
}

struct Outcome {
    std::string difference;
    std::vector<std::string> log;
    model::Figures figures;
    std::uint64_t hash = 0;
};

template <class Platform = latchbox::Threads>
Outcome run_script(latchbox::testing::Choices& choices, const model::Setting& setting = {},
                   std::size_t steps = steps_of_a_script) {
    running = &choices;
    Outcome outcome;
    try {
        model::TransactionsScript<Platform> script{choices, setting};
        outcome.difference = script.run(steps);
        outcome.log = script.log();
        outcome.figures = script.figures();
        outcome.hash = script.answers_hash();
    } catch (const std::exception& thrown) {
        outcome.difference = std::string{"it threw: "} + thrown.what();
    }
    running = nullptr;
    return outcome;
}

using support::seed_of_this_run;

std::uint64_t scripts_of_this_run() {
    return support::number_from_environment("LATCHBOX_SCRIPTS", 24'000);
}

// The first words of a difference: what was compared.
std::string subject_of(const std::string& difference) {
    return difference.substr(0, difference.find(':'));
}

// Shrinks a failing script as long as it fails in the same, prints how to repeat it and what it
// does.
template <class Platform>
latchbox::testing::Trace report(const latchbox::testing::Trace& trace,
                                const model::Setting& setting, std::uint64_t seed, bool print) {
    latchbox::testing::Replay whole{trace};
    const Outcome original = run_script<Platform>(whole, setting);
    const std::string subject = subject_of(original.difference);
    // What it takes longer for is not simpler.
    std::size_t steps = steps_of_a_script;
    const auto take_steps_of = [&steps](const Outcome& failed) {
        if (failed.figures.steps != 0 && failed.figures.steps < steps) {
            steps = failed.figures.steps + 1;
        }
    };
    take_steps_of(original);
    const auto still_fails = [&](const latchbox::testing::Trace& candidate) {
        latchbox::testing::Replay replay{candidate};
        const Outcome outcome = run_script<Platform>(replay, setting, steps);
        if (subject_of(outcome.difference) != subject) { return false; }
        // One that was cut short goes on in calm, where the whole would not have.
        if (steps < steps_of_a_script && outcome.figures.steps >= steps) { return false; }
        take_steps_of(outcome);
        return true;
    };
    latchbox::testing::Trace small = latchbox::testing::shrink(trace, still_fails, 4'000);
    if (!print) { return small; }
    model::Setting aloud = setting;
    aloud.keep_log = true;
    latchbox::testing::Replay replay{small};
    const Outcome outcome = run_script<Platform>(replay, aloud);
    std::printf("LATCHBOX_SEED=%llu LATCHBOX_TRACE=%s\n", static_cast<unsigned long long>(seed),
                latchbox::testing::to_string(small).c_str());
    for (const std::string& line : outcome.log) { std::printf("    %s\n", line.c_str()); }
    std::printf("    -> %s\n", outcome.difference.c_str());
    std::fflush(stdout);
    return small;
}

void print(const char* what, std::uint64_t figure) {
    std::printf("figure: model %s = %llu\n", what, static_cast<unsigned long long>(figure));
}

template <class Platform> void run_scripts(std::uint64_t scripts, model::Figures& figures) {
    for (std::uint64_t i = 0; i < scripts; ++i) {
        const std::uint64_t seed = seed_of_this_run() + i;
        latchbox::testing::Seeded choices{seed};
        const Outcome outcome = run_script<Platform>(choices);
        add(figures, outcome.figures);
        if (outcome.difference.empty()) { continue; }
        report<Platform>(choices.trace(), {}, seed, true);
        FAIL("broker and model differ: ", outcome.difference);
    }
}

// How many scripts it takes to find that the model is wrong; 0 if they do not suffice.
template <class Platform>
std::uint64_t scripts_to_find(model::Mistake mistake, std::uint64_t scripts,
                              latchbox::testing::Trace& found) {
    for (std::uint64_t i = 0; i < scripts; ++i) {
        latchbox::testing::Seeded choices{seed_of_this_run() + i};
        if (run_script<Platform>(choices, {.mistake = mistake}).difference.empty()) { continue; }
        found = choices.trace();
        return i + 1;
    }
    return 0;
}

// Who cannot wait has no queue that lets wait, and cannot drain either.
bool needs_threads(model::Mistake mistake) {
    return mistake >= model::Mistake::commit_waits_for_room;
}
std::uint64_t scripts_to_find(model::Mistake mistake, std::uint64_t scripts,
                              latchbox::testing::Trace& found) {
    return needs_threads(mistake)
               ? scripts_to_find<latchbox::Threads>(mistake, scripts, found)
               : scripts_to_find<latchbox::SingleThread>(mistake, scripts, found);
}

// What ids have to be found in, and to have gone through between two looks, besides what else is
// counted.
std::vector<const char*> situations() {
    return {
        "a gate to be counted down twice",
        "blocked by key and parent",
        "blocked by two parents",
        "blocked, then completed",
        "blocked, then dead",
        "blocked, then delayed",
        "blocked, then failed",
        "blocked, then forgotten",
        "blocked, then leased",
        "blocked, then ready",
        "blocked: a parent did not complete",
        "blocked: its attempts are used up",
        "blocked: its lease ran out",
        "completed, then forgotten",
        "dead, then blocked",
        "dead, then completed",
        "dead, then failed",
        "dead, then forgotten",
        "dead, then leased",
        "dead, then pending",
        "dead, then ready",
        "dead: a parent did not complete",
        "dead: it failed",
        "dead: it was rejected",
        "dead: its attempts are used up",
        "dead: its lease ran out",
        "delayed after a failure",
        "delayed, then completed",
        "delayed, then failed",
        "delayed, then forgotten",
        "delayed, then leased",
        "delayed, then ready",
        "delayed: it failed",
        "delayed: its lease ran out",
        "failed, then forgotten",
        "failed: it failed",
        "failed: it was cancelled",
        "failed: it was evicted to make room",
        "failed: it was purged",
        "failed: its last handle went before it was open",
        "failed: its time to live was over",
        "handed out five times",
        "held by a dead parent",
        "leased after two failures",
        "leased, then completed",
        "leased, then dead",
        "leased, then delayed",
        "leased, then failed",
        "leased, then forgotten",
        "leased, then ready",
        "leased: it failed",
        "leased: it was rejected",
        "leased: its attempts are used up",
        "leased: its lease ran out",
        "new, then blocked",
        "new, then completed",
        "new, then dead",
        "new, then delayed",
        "new, then failed",
        "new, then forgotten",
        "new, then leased",
        "new, then pending",
        "new, then ready",
        "new, then shut",
        "pending, then completed",
        "pending, then dead",
        "pending, then failed",
        "ready after a failure",
        "ready behind three",
        "ready, then completed",
        "ready, then dead",
        "ready, then delayed",
        "ready, then failed",
        "ready, then forgotten",
        "ready, then leased",
        "ready: it failed",
        "ready: it was rejected",
        "ready: its attempts are used up",
        "ready: its lease ran out",
        "shut, then completed",
        "shut, then failed",
        "the third of its key",
        "two copies",
        "two copies in different states",
    };
}

}  // namespace

TEST_CASE(
    "broker and model agree after every step of every script [4.1] [4.2] [4.3] [4.4] [4.5] "
    "[4.6] [4.7] [4.8] [4.11] [4.12] [5.1] [5.2] [5.3] [5.4] [5.5] [5.6] [5.7] [5.8] [5.9] "
    "[6.1] [6.2] [6.3] [6.4] [6.5] [6.6] [6.7] [7.1] [7.3] [7.5]") {
    watch_for_the_end();
    if (const auto trace = latchbox::testing::trace_from_environment()) {
        for (model::Setting setting : {model::Setting{}, {.split_time = true}, {.blurred = true}}) {
            setting.keep_log = true;
            latchbox::testing::Replay replay{*trace};
            const Outcome outcome = run_script(replay, setting);
            for (const std::string& line : outcome.log) { std::printf("    %s\n", line.c_str()); }
            CHECK_MESSAGE(outcome.difference.empty(), outcome.difference);
        }
        return;
    }
    model::Figures figures;
    const std::uint64_t scripts = scripts_of_this_run();
    run_scripts<latchbox::Threads>(scripts - scripts / 4, figures);
    run_scripts<latchbox::SingleThread>(scripts / 4, figures);
    support::Probes probes{"scripts", situations()};
    const auto tell = [&probes](const char* what, std::uint64_t figure) {
        print(what, figure);
        probes.add(what, figure);
    };
    tell("scripts", figures.scripts);
    tell("steps", figures.steps);
    tell("messages", figures.messages);
    tell("hand-outs", figures.hand_outs);
    tell("leases run out", figures.leases_run_out);
    tell("messages expired", figures.expired);
    tell("dead letters at the end", figures.deaths);
    tell("messages redriven", figures.redriven);
    tell("messages evicted", figures.evicted);
    tell("messages refused", figures.refused);
    tell("verbs without a lease", figures.lost_verbs);
    tell("bodies read by late holders", figures.late_readers);
    tell("throwing copies", figures.throwing_copies);
    tell("children", figures.children);
    tell("deaths by a parent", figures.deaths_by_parent);
    tell("unknown parents", figures.unknown_parents);
    tell("redrives refused for a parent", figures.parents_failed);
    tell("gates", figures.gates);
    tell("messages with a key", figures.keyed);
    tell("blocked messages compared", figures.blocked);
    tell("ids explained", figures.explained);
    tell("ids forgotten", figures.forgotten);
    tell("messages published to topics", figures.posts);
    tell("copies", figures.copies);
    tell("publishes to topics refused", figures.posts_refused);
    tell("messages discarded", figures.discarded);
    tell("copies dropped", figures.dropped);
    tell("subscriptions", figures.subscriptions);
    tell("copies replayed", figures.replayed);
    tell("bodies read by id", figures.reads);
    tell("reads too late", figures.expired_reads);
    tell("messages aged out", figures.aged_out);
    tell("copies left behind", figures.left_behind);
    tell("messages with a copy that failed", figures.posts_failed);
    tell("repeats of a value", figures.repeats);
    tell("values accepted again", figures.values_again);
    tell("repeats of a value to topics", figures.repeated_posts);
    tell("commits", figures.commits);
    tell("commits refused", figures.commits_refused);
    tell("commits refused, and retried", figures.commits_retried);
    tell("commits refused for want of room", figures.commits_full);
    tell("commits refused for a lost lease", figures.commits_lost);
    tell("deliveries settled by commits", figures.settled_by_commits);
    tell("messages published by commits", figures.published_by_commits);
    tell("transactions dropped", figures.transactions_dropped);
    tell("acks with a publish", figures.acks_and_publishes);
    tell("messages forwarded", figures.forwards);
    tell("drains", figures.drains);
    tell("steps of drains", figures.steps_of_drains);
    std::printf("figure: liveness, messages settled after the faults = %llu\n",
                static_cast<unsigned long long>(figures.settled_in_calm));
    figures.situations.tell(probes);
    const std::uint64_t least = scripts / 240;
    probes.print(least);
    for (const std::string& rare : probes.below(least)) { FAIL_CHECK("hardly reached: ", rare); }
    // Blind scripts would agree on anything.
    CHECK(figures.leases_run_out > scripts);
    CHECK(figures.expired > scripts / 4);
    CHECK(figures.redriven > scripts / 8);
    CHECK(figures.evicted > scripts / 4);
    CHECK(figures.refused > scripts / 4);
    CHECK(figures.lost_verbs > scripts);
    CHECK(figures.late_readers > scripts);
    CHECK(figures.throwing_copies > scripts / 10);
    CHECK(figures.children > scripts);
    CHECK(figures.deaths_by_parent > scripts / 4);
    CHECK(figures.unknown_parents > scripts / 4);
    CHECK(figures.parents_failed > scripts / 100);
    CHECK(figures.gates > scripts / 4);
    CHECK(figures.keyed > scripts);
    CHECK(figures.blocked > scripts);
    CHECK(figures.forgotten > scripts);
    CHECK(figures.posts > scripts);
    CHECK(figures.copies > scripts);
    CHECK(figures.posts_refused > scripts / 4);
    CHECK(figures.discarded > scripts / 4);
    CHECK(figures.dropped > scripts / 10);
    CHECK(figures.subscriptions > scripts);
    CHECK(figures.replayed > scripts / 10);
    CHECK(figures.reads > scripts / 4);
    CHECK(figures.expired_reads > scripts / 4);
    CHECK(figures.aged_out > scripts / 4);
    CHECK(figures.left_behind > scripts / 10);
    CHECK(figures.posts_failed > scripts / 10);
    CHECK(figures.repeats > scripts / 4);
    CHECK(figures.values_again > scripts / 4);
    CHECK(figures.repeated_posts > scripts / 10);
    CHECK(figures.commits > scripts / 2);
    CHECK(figures.commits_refused > scripts);
    CHECK(figures.commits_retried > scripts / 100);
    CHECK(figures.commits_full > scripts / 10);
    CHECK(figures.commits_lost > scripts / 4);
    CHECK(figures.settled_by_commits > scripts / 4);
    CHECK(figures.published_by_commits > scripts);
    CHECK(figures.transactions_dropped > scripts / 4);
    CHECK(figures.acks_and_publishes > scripts / 4);
    CHECK(figures.forwards > scripts / 4);
    CHECK(figures.drains > scripts / 20);
    CHECK(figures.steps_of_drains > scripts / 2);
    CHECK(figures.settled_in_calm > scripts / 4);
}

TEST_CASE("a jump of the clock equals its steps, whoever finds what was due [4.3]") {
    watch_for_the_end();
    std::uint64_t compared = 0;
    for (std::uint64_t i = 0; i < scripts_of_this_run() / 40; ++i) {
        const std::uint64_t seed = seed_of_this_run() + (std::uint64_t{1} << 40) + i;
        latchbox::testing::Seeded jumps{seed};
        latchbox::testing::Seeded steps{seed};
        const Outcome jumped = run_script(jumps);
        const Outcome stepped = run_script(steps, {.split_time = true});
        if (!stepped.difference.empty()) {
            report<latchbox::Threads>(steps.trace(), {.split_time = true}, seed, true);
        }
        REQUIRE(jumped.difference == "");
        REQUIRE(stepped.difference == "");
        REQUIRE(jumped.hash == stepped.hash);
        compared += jumped.figures.steps;
    }
    print("steps jumped and walked", compared);
}

TEST_CASE("results do not depend on how cheaply the broker looked at its clock [4.3]") {
    watch_for_the_end();
    std::uint64_t compared = 0;
    for (std::uint64_t i = 0; i < scripts_of_this_run() / 20; ++i) {
        const std::uint64_t seed = seed_of_this_run() + (std::uint64_t{1} << 41) + i;
        latchbox::testing::Seeded choices{seed};
        const Outcome outcome = run_script(choices, {.blurred = true});
        if (!outcome.difference.empty()) {
            report<latchbox::Threads>(choices.trace(), {.blurred = true}, seed, true);
        }
        REQUIRE(outcome.difference == "");
        compared += outcome.figures.steps;
    }
    print("steps on a blurred clock", compared);
}

TEST_CASE("one script is the same one each time it is run") {
    watch_for_the_end();
    for (std::uint64_t i = 0; i < 20; ++i) {
        latchbox::testing::Seeded once{seed_of_this_run() + i};
        const Outcome first = run_script(once);
        latchbox::testing::Replay again{once.trace()};
        const Outcome second = run_script(again);
        CHECK(first.hash == second.hash);
        CHECK(first.figures.steps == second.figures.steps);
        CHECK(first.difference == second.difference);
    }
}

TEST_CASE("no mistake in a rule goes unnoticed") {
    watch_for_the_end();
    std::uint64_t most = 0;
    std::uint64_t found_all = 0;
    for (int m = 1; m < static_cast<int>(model::Mistake::last_of_them); ++m) {
        latchbox::testing::Trace trace;
        const std::uint64_t scripts = scripts_to_find(static_cast<model::Mistake>(m), 8'000, trace);
        CAPTURE(m);
        CHECK(scripts > 0);
        most = scripts > most ? scripts : most;
        ++found_all;
    }
    print("mistakes found", found_all);
    print("scripts until the last mistake was found", most);
}

// Where the script of a seed showed something once, it stays here.
//   227308161874  of two parents that died in one commit the broker named the other one
TEST_CASE("scripts that differed once agree") {
    for (const std::uint64_t seed : {std::uint64_t{227'308'161'874}}) {
        latchbox::testing::Seeded choices{seed};
        const Outcome outcome = run_script(choices);
        CHECK_MESSAGE(outcome.difference.empty(), outcome.difference);
    }
}

TEST_CASE("scripts that fuzzing kept agree, and most mistakes differ in one of them") {
    const auto inputs = fuzz::corpus("scripts");
    for (const fuzz::Input& input : inputs) {
        CAPTURE(input.name);
        CHECK(fuzz::scripts(input.bytes) == "");
    }
    std::uint64_t found = 0;
    for (int m = 1; m < static_cast<int>(model::Mistake::last_of_them); ++m) {
        for (const fuzz::Input& input : inputs) {
            if (fuzz::scripts(input.bytes, static_cast<model::Mistake>(m)).empty()) { continue; }
            ++found;
            break;
        }
    }
    print("scripts of the fuzzer replayed", inputs.size());
    print("mistakes found by these alone", found);
    CHECK(found > static_cast<std::uint64_t>(model::Mistake::last_of_them) / 2);
}

TEST_CASE("what fails is shrunk to a script that people can read") {
    watch_for_the_end();
    std::vector<std::size_t> lengths;  // of some of the mistakes, in order
    for (int m = 1; m < static_cast<int>(model::Mistake::last_of_them); m += 2) {
        const model::Setting setting{.mistake = static_cast<model::Mistake>(m)};
        latchbox::testing::Trace trace;
        if (scripts_to_find(setting.mistake, 2'000, trace) == 0) { continue; }
        // A choice of 0 is none: the simplest of everything.
        std::size_t choices = 0;
        for (const std::uint32_t choice :
             needs_threads(setting.mistake)
                 ? report<latchbox::Threads>(trace, setting, 0, false)
                 : report<latchbox::SingleThread>(trace, setting, 0, false)) {
            choices += choice != 0 ? 1U : 0U;
        }
        auto at = lengths.begin();
        while (at != lengths.end() && *at < choices) { ++at; }
        lengths.insert(at, choices);
    }
    REQUIRE(!lengths.empty());
    print("choices of a shrunk script, median", lengths[lengths.size() / 2]);
    print("choices of a shrunk script, most", lengths.back());
    // 14 to 21 over many seeds: what is done on topics takes a choice more than on queues.
    CHECK(lengths[lengths.size() / 2] <= 28);
}
