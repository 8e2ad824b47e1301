// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "plot.hpp"

// The harness of all benchmarks. Machines are noisy, so what is compared runs in turn, A B A B,
// in one process, and what is reported is the median, its spread and ratios between medians.
// Tables are printed as Markdown; with `--results FOLDER` they are also added to the files there:
// results.md, results.csv, budgets.md, and one SVG per curve under plots.
namespace bench {

struct Options {
    bool quick = false;  // a tenth of the messages: to see that it runs
    std::size_t repetitions = 7;
    std::filesystem::path results = {};

    static Options parse(int argc, char** argv) {
        Options options;
        for (int i = 1; i < argc; ++i) {
            if (std::strcmp(argv[i], "--quick") == 0) {
                options.quick = true;
                options.repetitions = 5;
            } else if (std::strcmp(argv[i], "--results") == 0 && i + 1 < argc) {
                options.results = argv[++i];
                std::filesystem::create_directories(options.results / "plots");
            } else {
                std::fprintf(stderr, "usage: %s [--quick] [--results FOLDER]\n", argv[0]);
                std::exit(2);
            }
        }
#if defined(__GNUC__) && !defined(__OPTIMIZE__)
        std::fprintf(stderr, "built without optimisation: the figures mean nothing\n");
#endif
        return options;
    }
    [[nodiscard]] std::size_t messages(std::size_t full) const { return quick ? full / 10 : full; }

    // Prints `text`, and adds it to a file of the results; `head` comes first in a new file.
    void report(const char* file, const std::string& text, const std::string& head = {}) const {
        std::fputs(text.c_str(), stdout);
        std::fflush(stdout);
        add(file, text, head);
    }
    void add(const char* file, const std::string& text, const std::string& head = {}) const {
        if (results.empty()) { return; }
        const bool is_new = !std::filesystem::exists(results / file);
        std::ofstream out{results / file, std::ios::app};
        if (is_new) { out << head; }
        out << text;
    }
};

[[noreturn]] inline void fail(const std::string& why) {
    std::fprintf(stderr, "%s\n", why.c_str());
    std::exit(1);
}

// Nanoseconds that `work` takes, divided by `messages`.
template <class Work> double time_per_message(std::size_t messages, Work&& work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    const std::chrono::duration<double, std::nano> taken = std::chrono::steady_clock::now() - start;
    return taken.count() / static_cast<double>(messages);
}

// 1,000,000
inline std::string with_commas(std::size_t number) {
    std::string text = std::to_string(number);
    for (std::size_t at = text.size(); at > 3;) { text.insert(at -= 3, 1, ','); }
    return text;
}

template <class... Args> std::string format(const char* how, Args... args) {
    char text[256];
    std::snprintf(text, sizeof text, how, args...);
    return text;
}

struct Figure {
    std::vector<double> runs = {};  // in the unit of the table, sorted

    [[nodiscard]] double median() const {
        const std::size_t middle = runs.size() / 2;
        return runs.size() % 2 == 1 ? runs[middle] : (runs[middle - 1] + runs[middle]) / 2;
    }
    // Half of the distance between the least and the greatest, in percent of the median.
    [[nodiscard]] double spread() const {
        return (runs.back() - runs.front()) / 2 / median() * 100;
    }
};

// Rows are contestants, columns are workloads. A contestant that cannot be had, or has no such
// call, leaves its cells empty and says why.
class Table {
public:
    Table(const Options& options, std::string title, std::vector<std::string> workloads,
          std::string unit = "ns per message")
        : options_{options},
          title_{std::move(title)},
          workloads_{std::move(workloads)},
          unit_{std::move(unit)} {}

    // `run` does one repetition and returns nanoseconds per message, or whatever the unit is.
    void add(const std::string& contestant, const std::string& workload,
             std::function<double()> run) {
        add_row(contestant);
        entries_.push_back({contestant, workload, std::move(run)});
    }
    // For what is counted, and so the same each time.
    void set(const std::string& contestant, const std::string& workload, double value) {
        add_row(contestant);
        figures_[{contestant, workload}].runs = {value};
    }
    void missing(const std::string& contestant, const std::string& why) {
        add_row(contestant);
        notes_[contestant] = why;
    }

    // Workload by workload: all contestants once to warm up, then all in turn, again and again.
    void run() {
        for (std::size_t i = 0; i < workloads_.size(); ++i) {
            std::fprintf(stderr, "%s: %s (%zu of %zu)\n", title_.c_str(), workloads_[i].c_str(),
                         i + 1, workloads_.size());
            run(workloads_[i]);
        }
        for (auto& [key, figure] : figures_) { std::sort(figure.runs.begin(), figure.runs.end()); }
        show();
    }
    // Reports what there is.
    void show() const {
        options_.report("results.md", text(), machine());
        options_.add("results.csv", comma_separated(),
                     "table,unit,contestant,workload,median,least,greatest,repetitions\n");
    }
    // Draws a curve for each row. The columns are steps along `axis`.
    void plot(const std::string& name, const std::string& axis) const {
        if (options_.results.empty()) { return; }
        Plot plot{title_, unit_, axis, workloads_, {}};
        for (const std::string& row : rows_) {
            if (notes_.count(row) != 0) { continue; }
            Curve curve{row, {}};
            for (const std::string& workload : workloads_) {
                const Figure* const cell = figure(row, workload);
                curve.values.push_back(cell ? std::optional{cell->median()} : std::nullopt);
            }
            plot.curves.push_back(std::move(curve));
        }
        const std::string file = "plots/" + name + ".svg";
        std::ofstream out{options_.results / file};
        plot.write(out);
        options_.add("results.md", "![" + title_ + "](" + file + ")\n\n");
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
    void run(const std::string& workload) {
        for (std::size_t repetition = 0; repetition <= options_.repetitions; ++repetition) {
            for (const Entry& entry : entries_) {
                if (entry.workload != workload) { continue; }
                const double taken = entry.run();
                if (repetition == 0) { continue; }
                figures_[{entry.contestant, workload}].runs.push_back(taken);
            }
        }
    }

    [[nodiscard]] std::string machine() const {
        std::string text = "Measured on a machine of " +
                           std::to_string(std::thread::hardware_concurrency()) + " cores";
#if defined(__VERSION__)
        text += ", built by " + std::string{__VERSION__[0] == 'C' ? "" : "GCC "} + __VERSION__;
#endif
        return text + (options_.quick ? "; `--quick`, a tenth of the length.\n\n" : ".\n\n");
    }
    [[nodiscard]] std::string text() const {
        std::string text = "### " + title_ + "\n\n" + unit_;
        if (!entries_.empty()) {
            text += format(": median of %zu, +- half the spread", options_.repetitions);
        }
        text += format("\n\n| %-40s ", "");
        std::string rule = "|";
        rule.append(42, '-');
        for (const std::string& workload : workloads_) {
            text += format("| %16s ", workload.c_str());
            rule.append("|").append(17, '-').append(":");
        }
        text += "|\n" + rule + "|\n";
        for (const std::string& row : rows_) {
            text += format("| %-40s ", row.c_str());
            const auto note = notes_.find(row);
            for (const std::string& workload : workloads_) {
                const bool is_first = workload == workloads_.front();
                text += format("| %16s ", note == notes_.end() ? cell(row, workload).c_str()
                                          : is_first           ? note->second.c_str()
                                                               : "");
            }
            text += "|\n";
        }
        return text + "\n";
    }
    [[nodiscard]] std::string cell(const std::string& row, const std::string& workload) const {
        const Figure* const figure = this->figure(row, workload);
        if (figure == nullptr) { return "-"; }
        if (figure->runs.size() == 1) { return counted(figure->runs.front()); }
        return format("%.1f +-%2.0f%%", figure->median(), figure->spread());
    }
    static std::string counted(double value) {
        if (value < 1'000) { return format("%.4g", value); }
        return with_commas(static_cast<std::size_t>(value + 0.5));
    }
    [[nodiscard]] std::string comma_separated() const {
        std::string text;
        for (const std::string& row : rows_) {
            for (const std::string& workload : workloads_) {
                const Figure* const figure = this->figure(row, workload);
                if (figure == nullptr) { continue; }
                for (const std::string* each : {&title_, &unit_, &row, &workload}) {
                    text += '"' + *each + "\",";
                }
                text += format("%.6g,%.6g,%.6g,%zu\n", figure->median(), figure->runs.front(),
                               figure->runs.back(), figure->runs.size());
            }
        }
        return text;
    }

    Options options_;
    std::string title_;
    std::vector<std::string> workloads_;
    std::string unit_;
    std::vector<std::string> rows_;
    std::vector<Entry> entries_;
    std::map<std::string, std::string> notes_;
    std::map<std::pair<std::string, std::string>, Figure> figures_;
};

// One line per budget: what is, beside what is to be reached and to be beaten.
class Budgets {
public:
    enum class Wants { at_most, at_least };

    explicit Budgets(const Options& options) : options_{options} {}

    // A ratio of medians.
    void show(const char* name, const std::string& what, const Figure* dividend,
              const Figure* divisor, Wants wants, double reach, double beat) {
        const bool both = dividend != nullptr && divisor != nullptr;
        show(name, what,
             both ? std::optional{dividend->median() / divisor->median()} : std::nullopt, wants,
             reach, beat);
    }
    void show(const char* name, const std::string& what, std::optional<double> is, Wants wants,
              double reach, double beat) {
        const bool small = wants == Wants::at_most;
        const auto meets = [&](double bound) { return small ? *is <= bound : *is >= bound; };
        const char* const verdict = !is            ? "not measured"
                                    : meets(beat)  ? "beaten"
                                    : meets(reach) ? "reached"
                                                   : "missed";
        const char* const sign = small ? "<=" : ">=";
        line(format("| %-3s | %-64s | %8s | %s %5.4g | %s %5.4g | %-12s |\n", name, what.c_str(),
                    is ? format("%.2f", *is).c_str() : "", sign, reach, sign, beat, verdict));
    }
    // A ratio that no budget is about.
    void tell(const std::string& what, const Figure* dividend, const Figure* divisor) {
        if (dividend == nullptr || divisor == nullptr) { return; }
        line(format("|     | %-64s | %8.2f |          |          | %-12s |\n", what.c_str(),
                    dividend->median() / divisor->median(), ""));
    }

private:
    void line(const std::string& text) {
        const std::string head = format("| %-3s | %-64s | %8s | %8s | %8s | %-12s |\n", "",
                                        "ratio of medians, or as said", "is", "reach", "beat", "") +
                                 "|-----|" + std::string(66, '-') +
                                 "|---------:|---------:|---------:|" + std::string(14, '-') +
                                 "|\n";
        if (!head_shown_) { std::fputs(head.c_str(), stdout); }
        head_shown_ = true;
        options_.report("budgets.md", text, head);
    }

    Options options_;
    bool head_shown_ = false;
};

}  // namespace bench
