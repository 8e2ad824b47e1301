// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#define DOCTEST_CONFIG_IMPLEMENT
#define DOCTEST_CONFIG_NO_POSIX_SIGNALS
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

// Turns the branches of the library round, one at a time, in a running copy of the tests, and looks
// whether a test fails. Usage, from the root of the project:
//   flipper JUMPS ACCEPTED [PROCESSES]
// JUMPS has a line for each conditional jump of this very program that comes from a header of core
// or pieces: address, address of its function, line, column, file below include/latchbox. Jumps of
// one place in the source are one branch, whatever instantiation they belong to; several jumps of
// one place in one function are several. Each branch is negated, always taken and never taken.
//
// A mutant is run in a child, by those test cases alone that come to its branch. It is killed if
// one fails, if the child ends by a signal, or if it needs five times the processor time. One that
// survives runs again with each test case in a child of its own: what a first one leaves behind in
// memory may hide a failure from the next.
//
// Left out by rule: what a broken one of is a defect already, assertions and what looks for defects
// (headers named `*_audit.hpp`, functions named `sound`); and what is the compiler's own: the
// comparisons it writes (`= default`), what it fills arrays with (`= {}`, heads of
// classes and constructors), guards of static variables, the destruction of temporaries (at a
// `return` or `throw`) and of a value that is not returned (at a `}`), and what no test comes to at
// all, as coverage shows that each branch of the source is taken. What else survives has to stand
// in ACCEPTED: file | text of the line | kind | why.
namespace {

struct Jump {
    std::uintptr_t at = 0;
    std::uintptr_t function = 0;
};

struct Branch {
    std::string file;
    int line = 0;
    int column = 0;
    std::vector<std::uintptr_t> jumps = {};
    std::vector<std::size_t> tests = {};  // those that come here, the shortest first
};

enum class Kind { negated, always, never };
constexpr Kind kinds[] = {Kind::negated, Kind::always, Kind::never};

const char* name_of(Kind kind) {
    return kind == Kind::negated ? "negated" : kind == Kind::always ? "always" : "never";
}

struct Mutant {
    std::size_t branch = 0;
    Kind kind = Kind::negated;
};

using Microseconds = std::int64_t;

// A test case that takes longer runs only where no shorter one comes.
constexpr Microseconds longest = 500'000;

// --- the source ----------------------------------------------------------------------------------

class Source {
public:
    explicit Source(const std::string& file) {
        std::ifstream in{"include/latchbox/" + file};
        for (std::string line; std::getline(in, line);) { lines_.push_back(line); }
        left_out_.assign(lines_.size() + 1, file.ends_with("_audit.hpp"));
        if (file == "detail/ensure.hpp") { left_out_.assign(lines_.size() + 1, true); }
        leave_out("ensure(", '(', ')');
        leave_out("bool sound(", '{', '}');
    }
    [[nodiscard]] bool leaves_out(int line, int column) const {
        if (line <= 0 || left_out_[static_cast<std::size_t>(line)]) { return true; }
        const std::string code = text(line);
        if (code.ends_with("= default;") || code.ends_with("= {};")) { return true; }
        const std::string& all = lines_[static_cast<std::size_t>(line) - 1];
        const auto at = static_cast<std::size_t>(column);
        if (at == 0 || all.size() < at || all[at - 1] == '}') { return true; }
        for (const char* const head : {"template ", "struct ", "class ", "explicit "}) {
            if (code.starts_with(head)) { return true; }
        }
        for (const char* const word : {"return ", "throw ", "static ", "delete "}) {
            if (all.compare(at - 1, std::strlen(word), word) == 0) { return true; }
        }
        return false;
    }
    [[nodiscard]] std::string text(int line) const {
        std::string text = lines_[static_cast<std::size_t>(line) - 1];
        text.erase(0, text.find_first_not_of(' '));
        return text;
    }

private:
    // The lines from a word to the end of what it opens.
    void leave_out(std::string_view word, char open, char close) {
        for (std::size_t at = 0; at < lines_.size(); ++at) {
            const std::size_t begin = lines_[at].find(word);
            if (begin == std::string::npos) { continue; }
            int depth = 0;
            bool opened = false;
            for (std::size_t line = at; line < lines_.size() && (!opened || depth > 0); ++line) {
                left_out_[line + 1] = true;
                for (std::size_t i = line == at ? begin : 0; i < lines_[line].size(); ++i) {
                    const char c = lines_[line][i];
                    depth += c == open ? 1 : c == close ? -1 : 0;
                    opened = opened || c == open;
                    if (opened && depth == 0) { break; }
                }
            }
        }
    }

    std::vector<std::string> lines_;
    std::vector<bool> left_out_;  // by line, from 1
};

const Source& source_of(const std::string& file) {
    static std::map<std::string, Source> sources;
    return sources.try_emplace(file, file).first->second;
}

std::vector<Branch> read_branches(const char* path) {
    std::map<std::tuple<std::string, int, int, int>, Branch> by_place;
    std::map<std::tuple<std::uintptr_t, std::string, int, int>, int> in_function;
    std::ifstream in{path};
    for (std::string text; std::getline(in, text);) {
        std::istringstream words{text};
        Jump jump;
        Branch branch;
        words >> std::hex >> jump.at >> jump.function >> std::dec >> branch.line >> branch.column;
        words >> branch.file;
        if (!words || source_of(branch.file).leaves_out(branch.line, branch.column)) { continue; }
        const int which = in_function[{jump.function, branch.file, branch.line, branch.column}]++;
        Branch& there = by_place[{branch.file, branch.line, branch.column, which}];
        branch.jumps = std::move(there.jumps);
        branch.jumps.push_back(jump.at);
        there = std::move(branch);
    }
    std::vector<Branch> branches;
    for (auto& [place, branch] : by_place) { branches.push_back(std::move(branch)); }
    return branches;
}

// --- the program's own code ----------------------------------------------------------------------

unsigned char* code_at(std::uintptr_t at) { return reinterpret_cast<unsigned char*>(at); }

void make_writable(std::uintptr_t at) {
    const std::uintptr_t page = at & ~std::uintptr_t{4095};
    if (mprotect(reinterpret_cast<void*>(page), 8192, PROT_READ | PROT_WRITE | PROT_EXEC) != 0) {
        std::perror("mprotect");
        std::abort();
    }
}

// 7x and a byte, or 0f 8x and four.
void flip(std::uintptr_t at, Kind kind) {
    unsigned char* const code = code_at(at);
    make_writable(at);
    const bool near = code[0] == 0x0f;
    unsigned char& condition = code[near ? 1 : 0];
    if ((condition & 0xf0U) != (near ? 0x80U : 0x70U)) { std::abort(); }
    switch (kind) {
        case Kind::negated: condition ^= 1U; break;
        case Kind::always:
            if (near) {
                code[0] = 0x90;
                code[1] = 0xe9;
            } else {
                code[0] = 0xeb;
            }
            break;
        case Kind::never: std::memset(code, 0x90, near ? 6 : 2); break;
    }
}

// --- running test cases --------------------------------------------------------------------------

std::ostream& nowhere() {
    static std::ostream stream{nullptr};
    return stream;
}

// Test case number `test`, counted from 0 in the order of files; whether it passed.
bool run(std::size_t test) {
    doctest::Context context;
    const int number = static_cast<int>(test) + 1;
    context.setOption("first", number);
    context.setOption("last", number);
    context.setOption("order-by", "file");
    context.setOption("abort-after", 1);
    context.setOption("no-version", true);
    context.setCout(&nowhere());
    return context.run() == 0;
}

std::size_t count_tests() { return doctest::detail::getRegisteredTests().size(); }

Microseconds processor_time() {
    rusage used{};
    getrusage(RUSAGE_SELF, &used);
    return (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1'000'000 + used.ru_utime.tv_usec +
           used.ru_stime.tv_usec;
}

void silence() {
    const int null = open("/dev/null", O_WRONLY);
    dup2(null, 1);
    dup2(null, 2);
}

void limit(Microseconds time) {
    const rlimit no_dump{0, 0};
    setrlimit(RLIMIT_CORE, &no_dump);
    const rlimit memory{rlim_t{3} << 30, rlim_t{3} << 30};
    setrlimit(RLIMIT_AS, &memory);
    itimerval timer{};
    timer.it_value.tv_sec = time / 1'000'000;
    timer.it_value.tv_usec = time % 1'000'000;
    setitimer(ITIMER_PROF, &timer, nullptr);
}

// --- which test comes where ----------------------------------------------------------------------

struct Trap {
    unsigned char byte = 0;
    bool hit = false;
};
std::map<std::uintptr_t, Trap> traps;

void on_trap(int, siginfo_t*, void* context) {
    greg_t& next = static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RIP];
    const auto at = static_cast<std::uintptr_t>(next) - 1;
    Trap& trap = traps.find(at)->second;
    trap.hit = true;
    *code_at(at) = trap.byte;
    next = static_cast<greg_t>(at);
}

bool has_passed(int status) { return WIFEXITED(status) && WEXITSTATUS(status) == 0; }

struct Reached {
    bool passed = false;
    Microseconds time = 0;
    std::vector<bool> branches = {};
};

// Runs one test case in a child that traps at every jump, once clean for its time.
Reached reach(std::size_t test, const std::vector<Branch>& branches) {
    Reached reached;
    reached.branches.assign(branches.size(), false);
    auto* const shared = static_cast<unsigned char*>(mmap(
        nullptr, branches.size() + 16, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    const pid_t child = fork();
    if (child == 0) {
        silence();
        const Microseconds begin = processor_time();
        if (!run(test)) { _exit(1); }
        const Microseconds time = processor_time() - begin;
        std::memcpy(shared + branches.size(), &time, sizeof time);
        for (const Branch& branch : branches) {
            for (const std::uintptr_t at : branch.jumps) {
                make_writable(at);
                traps[at].byte = *code_at(at);
            }
        }
        struct sigaction action {};
        action.sa_sigaction = on_trap;
        action.sa_flags = SA_SIGINFO;
        sigaction(SIGTRAP, &action, nullptr);
        for (const auto& [at, trap] : traps) { *code_at(at) = 0xcc; }
        if (!run(test)) { _exit(1); }
        for (std::size_t i = 0; i < branches.size(); ++i) {
            for (const std::uintptr_t at : branches[i].jumps) {
                if (traps[at].hit) { shared[i] = 1; }
            }
        }
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    reached.passed = has_passed(status);
    std::memcpy(&reached.time, shared + branches.size(), sizeof reached.time);
    for (std::size_t i = 0; i < branches.size(); ++i) { reached.branches[i] = shared[i] != 0; }
    munmap(shared, branches.size() + 16);
    return reached;
}

// --- mutants -------------------------------------------------------------------------------------

pid_t start(const Branch& branch, Kind kind, const std::vector<std::size_t>& tests,
            const std::vector<Microseconds>& times) {
    const pid_t child = fork();
    if (child != 0) { return child; }
    silence();
    Microseconds clean = 0;
    for (const std::size_t test : tests) { clean += times[test]; }
    limit(5 * clean + 20'000);
    for (const std::uintptr_t at : branch.jumps) { flip(at, kind); }
    for (const std::size_t test : tests) {
        if (!run(test)) { _exit(1); }
    }
    _exit(0);
}

bool survives_each_alone(const Branch& branch, Kind kind, const std::vector<Microseconds>& times) {
    return std::all_of(branch.tests.begin(), branch.tests.end(), [&](std::size_t test) {
        int status = 0;
        waitpid(start(branch, kind, {test}, times), &status, 0);
        return has_passed(status);
    });
}

struct Accepted {
    std::string entry;
    bool used = false;
};

// By file, text of the line and kind.
std::map<std::string, Accepted> read_accepted(const char* path) {
    std::map<std::string, Accepted> accepted;
    std::ifstream in{path};
    for (std::string entry; std::getline(in, entry);) {
        if (entry.empty() || entry.front() == '#') { continue; }
        accepted[entry.substr(0, entry.rfind(" | "))].entry = entry;
    }
    return accepted;
}

}  // namespace

int main(int count, char** arguments) {
    if (count < 3) {
        std::puts("usage: flipper JUMPS ACCEPTED [PROCESSES]");
        return 2;
    }
    std::vector<Branch> branches = read_branches(arguments[1]);
    auto accepted = read_accepted(arguments[2]);
    const std::size_t processes = count > 3 ? std::strtoul(arguments[3], nullptr, 10) : 1;

    const std::size_t tests = count_tests();
    std::vector<Microseconds> times(tests);
    std::vector<std::size_t> by_time;
    std::vector<Reached> reached(tests);
    for (std::size_t test = 0; test < tests; ++test) {
        reached[test] = reach(test, branches);
        times[test] = reached[test].time;
        if (!reached[test].passed) {
            std::printf("test case %zu fails as it is\n", test + 1);
            return 1;
        }
        by_time.push_back(test);
    }
    std::sort(by_time.begin(), by_time.end(),
              [&](std::size_t a, std::size_t b) { return times[a] < times[b]; });
    for (const std::size_t test : by_time) {
        for (std::size_t i = 0; i < branches.size(); ++i) {
            if (!reached[test].branches[i]) { continue; }
            if (times[test] <= longest || branches[i].tests.empty()) {
                branches[i].tests.push_back(test);
            }
        }
    }
    std::erase_if(branches, [](const Branch& branch) { return branch.tests.empty(); });

    std::vector<Mutant> mutants;
    for (std::size_t i = 0; i < branches.size(); ++i) {
        for (const Kind kind : kinds) { mutants.push_back({i, kind}); }
    }
    std::map<pid_t, std::size_t> running;
    std::vector<bool> survives(mutants.size(), false);
    const auto collect = [&] {
        int status = 0;
        const pid_t child = wait(&status);
        const auto mutant = running.find(child);
        survives[mutant->second] = has_passed(status);
        running.erase(mutant);
    };
    for (std::size_t i = 0; i < mutants.size(); ++i) {
        if (running.size() == processes) { collect(); }
        const Branch& branch = branches[mutants[i].branch];
        running[start(branch, mutants[i].kind, branch.tests, times)] = i;
    }
    while (!running.empty()) { collect(); }
    for (std::size_t i = 0; i < mutants.size(); ++i) {
        const Mutant& mutant = mutants[i];
        survives[i] =
            survives[i] && survives_each_alone(branches[mutant.branch], mutant.kind, times);
    }

    std::size_t killed = 0;
    std::size_t spared = 0;
    std::size_t unknown = 0;
    for (std::size_t i = 0; i < mutants.size(); ++i) {
        if (!survives[i]) {
            ++killed;
            continue;
        }
        const Branch& branch = branches[mutants[i].branch];
        const std::string text = source_of(branch.file).text(branch.line);
        const std::string kind = name_of(mutants[i].kind);
        const auto known = accepted.find(branch.file + " | " + text + " | " + kind);
        if (known != accepted.end()) {
            known->second.used = true;
            ++spared;
            continue;
        }
        ++unknown;
        std::printf("%s:%d:%d: %s survives: %s\n", branch.file.c_str(), branch.line, branch.column,
                    kind.c_str(), text.c_str());
    }
    std::size_t needless = 0;
    for (const auto& [key, one] : accepted) {
        if (one.used) { continue; }
        ++needless;
        std::printf("accepted, and killed: %s\n", one.entry.c_str());
    }
    std::printf("figure: branch mutants = %zu\n", mutants.size());
    std::printf("figure: branch mutants killed = %zu\n", killed);
    std::printf("figure: branch mutants accepted = %zu\n", spared);
    return unknown == 0 && needless == 0 ? 0 : 1;
}
