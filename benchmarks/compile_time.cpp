// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
//
// What it costs to compile a file that includes latchbox and publishes to, fetches from and acks in
// one Broker<int>, beside a file that includes the standard headers such a thing cannot do without.
// By the compiler that this program was built with; in time of a processor, which does not depend
// on what else runs.

#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include <sys/resource.h>

#include "bench.hpp"
#include "folder.hpp"

namespace {

using bench::Options;

constexpr const char* base = R"(
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>
int main() {}
)";
constexpr const char* includes = R"(
#include <latchbox/latchbox.hpp>
int main() {}
)";
constexpr const char* uses = R"(
#include <latchbox/latchbox.hpp>
int main() {
    latchbox::Broker<int> broker;
    const auto numbers = broker.queue("numbers");
    numbers.publish(1).value();
    numbers.try_fetch()->ack().value();
}
)";
// What README.md advises those with many files to do: one other file has the code.
constexpr const char* declares = R"(
#include <latchbox/latchbox.hpp>
extern template class latchbox::Broker<int>;
int main() {
    latchbox::Broker<int> broker;
    const auto numbers = broker.queue("numbers");
    numbers.publish(1).value();
    numbers.try_fetch()->ack().value();
}
)";

double processor_milliseconds(const std::string& command) {
    const auto taken_by_children = [] {
        rusage usage{};
        getrusage(RUSAGE_CHILDREN, &usage);
        const auto milliseconds = [](const timeval& time) {
            return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_usec) / 1e3;
        };
        return milliseconds(usage.ru_utime) + milliseconds(usage.ru_stime);
    };
    const double before = taken_by_children();
    if (std::system(command.c_str()) != 0) { bench::fail("this failed: " + command); }
    return taken_by_children() - before;
}

}  // namespace

int main(int argc, char** argv) {
    Options options = Options::parse(argc, argv);
    std::vector<std::string> levels{"-O0", "-O2"};
    options.repetitions = options.quick ? 2 : 5;
    if (options.quick) { levels.pop_back(); }
    const bench::Folder folder;
    bench::Table table{options, "to compile one file", levels, "ms of a processor per file"};
    const std::string standard = "the standard headers of B14";
    const std::string broker = "latchbox, uses one Broker<int>";
    for (const std::string& level : levels) {
        const auto enter = [&](const std::string& name, const char* source) {
            const std::string file = folder.file("file.cpp");
            const std::string command = LATCHBOX_BENCH_COMPILER " -std=c++20 " + level +
                                        " -I" LATCHBOX_BENCH_INCLUDE " -c " + file + " -o " + file +
                                        ".o";
            table.add(name, level, [=] {
                std::ofstream{file} << source;
                return processor_milliseconds(command);
            });
        };
        enter(standard, base);
        enter(broker, uses);
        if (options.quick) { continue; }
        enter("latchbox, includes it", includes);
        enter("latchbox, with extern template", declares);
    }
    table.run();

    bench::Budgets budgets{options};
    for (const std::string& level : levels) {
        budgets.show("B14", level + ": a file that uses one Broker<int> / standard headers",
                     table.figure(broker, level), table.figure(standard, level),
                     bench::Budgets::Wants::at_most, 2.0, 1.5);
    }
}
