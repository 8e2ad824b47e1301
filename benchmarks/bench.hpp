// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

// The harness of all benchmarks. Machines are noisy, so what is compared runs in turn, A B A B,
// in one process, and what is reported is the median, its spread and ratios between medians.
namespace bench {

struct Options {
    bool quick = false;  // a tenth of the messages: to see that it runs
    std::size_t repetitions = 7;
    std::string csv = {};

    static Options parse(int argc, char** argv) {
        Options options;
        for (int i = 1; i < argc; ++i) {
            if (std::strcmp(argv[i], "--quick") == 0) {
                options.quick = true;
                options.repetitions = 5;
            } else if (std::strcmp(argv[i], "--csv") == 0 && i + 1 < argc) {
                options.csv = argv[++i];
            } else {
                std::fprintf(stderr, "usage: %s [--quick] [--csv FILE]\n", argv[0]);
                std::exit(2);
            }
        }
        return options;
    }
    [[nodiscard]] std::size_t messages(std::size_t full) const { return quick ? full / 10 : full; }
};

// Nanoseconds that `work` takes, divided by `messages`.
template <class Work> double time_per_message(std::size_t messages, Work&& work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    const std::chrono::duration<double, std::nano> taken = std::chrono::steady_clock::now() - start;
    return taken.count() / static_cast<double>(messages);
}

struct Figure {
    std::vector<double> runs = {};  // nanoseconds per message, sorted

    [[nodiscard]] double median() const {
        const std::size_t middle = runs.size() / 2;
        return runs.size() % 2 == 1 ? runs[middle] : (runs[middle - 1] + runs[middle]) / 2;
    }
    // Half of the distance between the fastest and the slowest run, in percent of the median.
    [[nodiscard]] double spread() const {
        return (runs.back() - runs.front()) / 2 / median() * 100;
    }
};

// Rows are contestants, columns are workloads. A contestant that cannot be had, or has no such
// call, leaves its cells empty and says why.
class Table {
public:
    Table(const Options& options, std::vector<std::string> workloads)
        : options_{options}, workloads_{std::move(workloads)} {}

    // `run` does one repetition and returns nanoseconds per message.
    void add(const std::string& contestant, const std::string& workload,
             std::function<double()> run) {
        add_row(contestant);
        entries_.push_back({contestant, workload, std::move(run)});
    }
    void missing(const std::string& contestant, const std::string& why) {
        add_row(contestant);
        notes_[contestant] = why;
    }

    // Workload by workload: all contestants once to warm up, then all in turn, again and again.
    void run() {
        for (const std::string& workload : workloads_) {
            std::fprintf(stderr, "measuring: %s\n", workload.c_str());
            for (std::size_t repetition = 0; repetition <= options_.repetitions; ++repetition) {
                for (const Entry& entry : entries_) {
                    if (entry.workload != workload) { continue; }
                    const double taken = entry.run();
                    if (repetition == 0) { continue; }
                    figures_[{entry.contestant, workload}].runs.push_back(taken);
                }
            }
        }
        for (auto& [key, figure] : figures_) { std::sort(figure.runs.begin(), figure.runs.end()); }
        print();
        write_csv();
    }

    // Null where it was not measured.
    [[nodiscard]] const Figure* figure(const std::string& contestant,
                                       const std::string& workload) const {
        const auto found = figures_.find({contestant, workload});
        return found == figures_.end() ? nullptr : &found->second;
    }

private:
    struct Entry {
        std::string contestant;
        std::string workload;
        std::function<double()> run;
    };

    void add_row(const std::string& contestant) {
        if (std::find(rows_.begin(), rows_.end(), contestant) == rows_.end()) {
            rows_.push_back(contestant);
        }
    }

    void print() const {
        std::printf("ns per message: median of %zu, +- half the spread\n\n%-34s",
                    options_.repetitions, "");
        for (const std::string& workload : workloads_) { std::printf("%14s", workload.c_str()); }
        std::printf("\n");
        for (const std::string& row : rows_) {
            std::printf("%-34s", row.c_str());
            if (const auto note = notes_.find(row); note != notes_.end()) {
                std::printf("%14s", note->second.c_str());
            }
            for (const std::string& workload : workloads_) {
                if (notes_.count(row) != 0) { break; }
                if (const Figure* cell = figure(row, workload)) {
                    std::printf("%8.1f +-%2.0f%%", cell->median(), cell->spread());
                } else {
                    std::printf("%14s", "-");
                }
            }
            std::printf("\n");
        }
        std::printf("\n");
    }

    void write_csv() const {
        if (options_.csv.empty()) { return; }
        std::ofstream file{options_.csv};
        file << "workload,contestant,median_ns,fastest_ns,slowest_ns,repetitions\n";
        for (const Entry& entry : entries_) {
            const Figure& cell = figures_.at({entry.contestant, entry.workload});
            file << entry.workload << ",\"" << entry.contestant << "\"," << cell.median() << ','
                 << cell.runs.front() << ',' << cell.runs.back() << ',' << cell.runs.size() << '\n';
        }
    }

    Options options_;
    std::vector<std::string> workloads_;
    std::vector<std::string> rows_;
    std::vector<Entry> entries_;
    std::map<std::string, std::string> notes_;
    std::map<std::pair<std::string, std::string>, Figure> figures_;
};

// One line per budget: the ratio that is, beside the one to reach and the one to beat.
class Budgets {
public:
    enum class Wants { at_most, at_least };

    void show(const char* name, const std::string& what, const Figure* dividend,
              const Figure* divisor, Wants wants, double reach, double beat) {
        if (!head_shown_) {
            std::printf("%-4s%-62s%8s%9s%9s\n", "", "ratio of medians", "is", "reach", "beat");
        }
        head_shown_ = true;
        if (dividend == nullptr || divisor == nullptr) {
            std::printf("%-4s%-62s%8s\n", name, what.c_str(), "not measured");
            return;
        }
        const double ratio = dividend->median() / divisor->median();
        const bool small = wants == Wants::at_most;
        const auto meets = [&](double bound) { return small ? ratio <= bound : ratio >= bound; };
        const char* verdict = meets(beat) ? "beaten" : meets(reach) ? "reached" : "missed";
        std::printf("%-4s%-62s%8.2f %s%6.2f %s%6.2f  %s\n", name, what.c_str(), ratio,
                    small ? "<=" : ">=", reach, small ? "<=" : ">=", beat, verdict);
    }

private:
    bool head_shown_ = false;
};

}  // namespace bench
