// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors

// Lets one general driver run on the copy of the library that has all seeded bugs in it.
//
//   latchbox_bugs 7 model         searches until the 7th is found; then the run is shrunk, and one
//                                 line is printed that repeats it
//   latchbox_bugs 0 simulated     none is planted: nothing must be found
//   LATCHBOX_BUG=7 LATCHBOX_DRIVER=model LATCHBOX_TRACE=... latchbox_bugs
//                                 such a line: that run alone, which fails again
//
// LATCHBOX_SEED names the seed of the first run, LATCHBOX_SECONDS how long a search may take, as
// time of one core. Runs are made in a process of their own, as a broken assertion ends it.

#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bugs/drivers.hpp"
#include "bugs/planted.hpp"
#include "latchbox/testing/choices.hpp"
#include "support/seed.hpp"

namespace {
bool is_ending = false;  // then it does not matter any more who allocates
}
void* operator new(std::size_t size) {
    if (!is_ending) { bugs::allocating(); }
    if (void* const memory = std::malloc(size != 0 ? size : 1)) { return memory; }
    throw std::bad_alloc{};
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace {

using latchbox::testing::Choices;
using latchbox::testing::to_string;
using latchbox::testing::Trace;

struct Driver {
    std::string_view name;
    const char* runs;  // what it calls them
    std::string (*run)(Choices&, std::size_t& steps);
};
constexpr Driver drivers[] = {
    {"model", "scripts", &bugs::run_script},
    {"simulated", "schedules", &bugs::run_program},
};

[[noreturn]] void give_up(const char* why) {
    std::fprintf(stderr, "latchbox_bugs: %s\n", why);
    std::exit(2);
}

double seconds_used(int by_whom) {
    rusage used{};
    getrusage(by_whom, &used);
    const auto seconds = [](const timeval& time) {
        return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
    };
    return seconds(used.ru_utime) + seconds(used.ru_stime);
}

// --- what a process says before its end ------------------------------------------------------

void say(const char* key, const std::string& words) {
    std::string line = key;
    for (const char c : words) { line += c == '\n' ? ' ' : c; }
    line += '\n';
    static_cast<void>(!write(STDERR_FILENO, line.data(), line.size()));
}

// The last lines of each kind, and what the library said.
class Words {
public:
    explicit Words(std::FILE* file) {
        std::rewind(file);
        char part[4096];
        for (std::size_t n = 0; (n = std::fread(part, 1, sizeof part, file)) > 0;) {
            all_.append(part, n);
        }
    }
    [[nodiscard]] std::optional<std::string> after(std::string_view key) const {
        const std::size_t at = all_.rfind(key);
        if (at == all_.npos) { return std::nullopt; }
        const std::size_t from = at + key.size();
        return all_.substr(from, all_.find('\n', from) - from);
    }
    [[nodiscard]] std::uint64_t number_after(std::string_view key) const {
        return std::strtoull(after(key).value_or("0").c_str(), nullptr, 10);
    }

private:
    std::string all_;
};

const Choices* running = nullptr;

extern "C" void on_end(int signal) {
    std::signal(signal, SIG_DFL);
    is_ending = true;
    if (running != nullptr) { say("trace=", to_string(running->trace())); }
    std::raise(signal);
}

std::string run_once(const Driver& driver, Choices& choices, std::size_t& steps) {
    running = &choices;
    std::string text = driver.run(choices, steps);
    running = nullptr;
    return text;
}

struct Ended {
    Words words;
    int status;

    // It neither came to its end nor crashed.
    [[nodiscard]] bool ran_out_of_time() const {
        if (!WIFSIGNALED(status)) { return false; }
        const int signal = WTERMSIG(status);
        return signal == SIGXCPU || signal == SIGALRM || signal == SIGKILL;
    }
    // What went wrong, or nothing.
    [[nodiscard]] std::string failure() const {
        if (!WIFSIGNALED(status) || ran_out_of_time()) { return words.after("text=").value_or(""); }
        if (const auto broken = words.after("broken assertion in ")) {
            return "broken assertion in " + broken->substr(broken->rfind('/') + 1);
        }
        return std::string{"it ended by a signal: "} + strsignal(WTERMSIG(status));
    }
};

// Lets `act` run in a process of its own, for so many seconds of one core.
template <class Act> Ended apart(double seconds, Act&& act) {
    std::FILE* const file = std::tmpfile();
    if (file == nullptr) { give_up("no file"); }
    std::fflush(stdout);
    const pid_t child = fork();
    if (child < 0) { give_up("no process"); }
    if (child == 0) {
        dup2(fileno(file), STDERR_FILENO);
        const auto most = static_cast<rlim_t>(seconds) + 1;
        const rlimit limit{most, most + 1};
        setrlimit(RLIMIT_CPU, &limit);
        alarm(static_cast<unsigned>(most) * 3);  // who waits for ever takes no time of a core
        for (const int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE}) { std::signal(signal, on_end); }
        act();
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    Ended ended{Words{file}, status};
    std::fclose(file);
    return ended;
}

// --- search, shrink, repeat ------------------------------------------------------------------

struct Found {
    std::string text;  // empty: nothing was found
    Trace trace;
    std::uint64_t runs = 0;
    bool crashed = false;
    bool out_of_time = false;
};

Found search(const Driver& driver, std::uint64_t seed, double seconds) {
    const Ended ended = apart(seconds + 5, [&] {
        for (std::uint64_t i = 0; seconds_used(RUSAGE_SELF) < seconds; ++i) {
            say("runs=", std::to_string(i + 1));
            latchbox::testing::Seeded choices{seed + i};
            std::size_t steps = bugs::most_steps;
            const std::string text = run_once(driver, choices, steps);
            if (text.empty()) { continue; }
            say("text=", text);
            say("trace=", to_string(choices.trace()));
            return;
        }
    });
    const auto trace = latchbox::testing::from_string(ended.words.after("trace=").value_or(""));
    return {ended.failure(), trace.value_or(Trace{}), ended.words.number_after("runs="),
            WIFSIGNALED(ended.status), ended.ran_out_of_time()};
}

// What was compared, without what it was found to be.
std::string_view kind_of(std::string_view text) { return text.substr(0, text.find(": ")); }

Found repeat(const Driver& driver, const Trace& trace) {
    const Ended ended = apart(5, [&] {
        latchbox::testing::Replay choices{trace};
        std::size_t steps = bugs::most_steps;
        const std::string text = run_once(driver, choices, steps);
        if (!text.empty()) { say("text=", text); }
    });
    return {ended.failure(), trace, 1, WIFSIGNALED(ended.status), ended.ran_out_of_time()};
}

// A smaller run that fails in the same way.
Trace shrunk(const Driver& driver, const Found& found) {
    constexpr std::size_t attempts = 6'000;
    const std::string kind{kind_of(found.text)};
    Trace best = found.trace;
    std::size_t left = attempts;
    if (!found.crashed) {
        const Ended ended = apart(20, [&] {
            std::size_t steps = bugs::most_steps;
            const auto fails = [&](const Trace& trace) {
                latchbox::testing::Replay choices{trace};
                std::size_t taken = steps;
                if (kind_of(run_once(driver, choices, taken)) != kind) { return false; }
                steps = taken;  // what takes longer is not simpler
                say("best=", to_string(trace));
                return true;
            };
            say("best=", to_string(latchbox::testing::shrink(best, fails, attempts)));
        });
        const auto last = latchbox::testing::from_string(ended.words.after("best=").value_or("x"));
        best = last.value_or(best);
        if (!WIFSIGNALED(ended.status) || ended.ran_out_of_time()) { return best; }
        left = attempts / 8;  // what is smaller crashes, each time
    }
    return latchbox::testing::shrink(
        best, [&](const Trace& trace) { return kind_of(repeat(driver, trace).text) == kind; },
        left);
}

// Nothing must be found where nothing is planted; all else must.
int search_and_tell(const Driver& driver) {
    const std::uint64_t seed = support::seed_of_this_run(false);
    const auto seconds =
        static_cast<double>(support::number_from_environment("LATCHBOX_SECONDS", 20));
    const double before = seconds_used(RUSAGE_CHILDREN);
    const Found found = search(driver, seed, seconds);
    const double took = seconds_used(RUSAGE_CHILDREN) - before;
    const auto runs = static_cast<unsigned long long>(found.runs);
    const std::string name{driver.name};
    if (found.out_of_time || found.text.empty()) {
        std::printf("nothing found by %s in %.2f s, %llu %s%s, from seed %llu\n", name.c_str(),
                    took, runs, driver.runs,
                    found.out_of_time ? "; the last one did not come to its end" : "",
                    static_cast<unsigned long long>(seed));
        return bugs::number == 0 && !found.out_of_time ? 0 : 1;
    }
    const Trace trace = shrunk(driver, found);
    std::size_t choices = 0;  // one of 0 is none: the simplest of everything
    for (const std::uint32_t choice : trace) { choices += choice != 0 ? 1U : 0U; }
    std::printf("found by %s in %.2f s, %llu %s, %zu choices: %s\n", name.c_str(), took, runs,
                driver.runs, choices, repeat(driver, trace).text.c_str());
    std::printf("LATCHBOX_BUG=%d LATCHBOX_DRIVER=%s LATCHBOX_TRACE=%s\n", bugs::number,
                name.c_str(), to_string(trace).c_str());
    return bugs::number == 0 ? 1 : 0;
}

int repeat_and_tell(const Driver& driver, const Trace& trace) {
    const Found found = repeat(driver, trace);
    std::printf("%s\n", found.text.empty() ? "it does not fail" : found.text.c_str());
    return found.text.empty() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    const auto trace = latchbox::testing::trace_from_environment();
    const char* const from_environment = std::getenv("LATCHBOX_DRIVER");
    std::string_view name = from_environment != nullptr ? from_environment : "";
    if (argc == 3) { bugs::number = std::atoi(argv[1]), name = argv[2]; }
    for (const Driver& driver : drivers) {
        if (driver.name != name) { continue; }
        return trace ? repeat_and_tell(driver, *trace) : search_and_tell(driver);
    }
    give_up("which bug, and which driver: latchbox_bugs 7 model");
}
