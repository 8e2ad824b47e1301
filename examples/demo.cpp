// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
//
// Counts the words of real text in a pipeline of two queues, and checks itself:
//
//     reader --> [lines] --> 4 workers --> [counts] --> adder
//
// On purpose one worker now and then forgets a delivery until its lease runs out, one fails it
// and one abandons it. The words must come out as in a direct count made beside the pipeline.
//
//     demo                         the project's own files
//     demo FILE... FOLDER... -     these, the text files below those, standard input
//
// Exit status: 0 identical, 1 different, 2 nothing done.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <iomanip>
#include <iostream>
#include <locale>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "latchbox/latchbox.hpp"
#include "latchbox/workers.hpp"
#include "text.hpp"

#if !defined(LATCHBOX_DEMO_ROOT)
#define LATCHBOX_DEMO_ROOT "."
#endif

namespace {

using namespace std::chrono_literals;

struct Line {
    std::uint64_t number = 0;
    std::string text = {};
};

struct Counts {
    std::uint64_t line = 0;
    std::string words = {};                 // each word of the line once: "fox quick the "
    std::vector<std::uint32_t> times = {};  // and how often, in the same order
};

// --- the stages --------------------------------------------------------------------------------

// Publishes every line of the sources, and counts it directly beside.
template <class Progress>
text::Tally read(const std::vector<std::string>& sources, const latchbox::Queue<Line>& lines,
                 Progress&& progress) {
    text::Tally direct;
    std::uint64_t number = 0;
    for (const std::string& source : sources) {
        text::for_each_line_of(source, [&](std::string&& line) {
            text::for_each_word(text::lower_case(line),
                                [&](std::string_view word) { direct.add(word, 1); });
            lines.publish({number, std::move(line)}).value();
            if (++number % 256 == 0) { progress(); }
        });
    }
    return direct;
}

Counts count_words(const Line& line) {
    const std::string lowered = text::lower_case(line.text);
    std::map<std::string_view, std::uint32_t> found;
    text::for_each_word(lowered, [&](std::string_view word) { ++found[word]; });
    Counts counts{.line = line.number};
    for (const auto& [word, times] : found) {
        counts.words.append(word).push_back(' ');
        counts.times.push_back(times);
    }
    return counts;
}

enum class Habit { careful, forgets, fails, abandons };

// A thread that counts the words of lines. What it does not settle itself is acked when the handler
// returns: `lease_lost` if that was too late, and then, too, the line comes again.
latchbox::Workers<Line> worker(const latchbox::Queue<Line>& lines,
                               const latchbox::Queue<Counts>& counts, Habit habit) {
    const auto handle = [counts, habit, nth = 0](latchbox::Delivery<Line>& line) mutable {
        const bool slips = ++nth % 500 == 5;
        if (slips && habit == Habit::fails) { return false; }  // comes again after a pause
        if (slips && habit == Habit::abandons) {
            const auto dropped = std::move(line);  // comes again at once
            return true;
        }
        counts.publish(count_words(line.body())).value();
        if (slips && habit == Habit::forgets) {
            static_cast<void>(std::move(line).detach());  // comes again when the lease is over
        }
        return true;
    };
    return {lines, {}, handle};
}

// At least once means that a line can be counted twice: a worker publishes its counts and then
// loses its lease before the ack, so that another worker is given the line. The queue cannot tell
// that from a line nobody counted. Who acts on the counts can: lines have numbers, and the adder
// acts on each number once. To remember them takes one bit a line; where numbers never end, keep
// a window of them.
struct Sum {
    text::Tally words = {};
    std::uint64_t duplicates = 0;
    std::vector<bool> added = {};

    void add(const Counts& counts) {
        if (counts.line >= added.size()) { added.resize(counts.line + 1); }
        if (added[counts.line]) {
            ++duplicates;
            return;
        }
        added[counts.line] = true;
        auto times = counts.times.begin();
        text::for_each_word(counts.words,
                            [&](std::string_view word) { words.add(word, *times++); });
    }
};

// --- what is shown -----------------------------------------------------------------------------

using SteadyTime = std::chrono::steady_clock::time_point;

double seconds_since(SteadyTime start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::uint64_t rate(std::uint64_t messages, double seconds) {
    return static_cast<std::uint64_t>(static_cast<double>(messages) / (std::max)(seconds, 1e-9));
}

// One line that is written over and over, ten times a second, if somebody is there to see it.
class Progress {
public:
    explicit Progress(const latchbox::Queue<Line>& lines) : lines_{lines} {}

    void operator()() {
        if (!shown_ || seconds_since(last_) < 0.1) { return; }
        last_ = std::chrono::steady_clock::now();
        const latchbox::QueueStats now = lines_.stats();
        std::cout << '\r' << now.completed << " of " << now.accepted << " lines done, "
                  << now.redelivered << " redelivered, "
                  << rate(now.completed, seconds_since(start_)) << " a second  " << std::flush;
    }
    ~Progress() {
        if (shown_) { std::cout << '\r' << std::string(78, ' ') << '\r'; }
    }

private:
    latchbox::Queue<Line> lines_;
    bool shown_ = text::on_terminal();
    SteadyTime start_ = std::chrono::steady_clock::now();
    SteadyTime last_ = start_;
};

void show_row(const char* name, std::uint64_t lines, std::uint64_t counts) {
    std::cout << std::left << std::setw(16) << name << std::right << std::setw(14) << lines
              << std::setw(14) << counts << '\n';
}

void show_report(const latchbox::QueueStats& lines, const latchbox::QueueStats& counts,
                 const Sum& sum, double reading, double elapsed) {
    std::cout << "                         lines        counts\n";
    show_row("accepted", lines.accepted, counts.accepted);
    show_row("completed", lines.completed, counts.completed);
    show_row("redelivered", lines.redelivered, counts.redelivered);
    show_row("leases run out", lines.leases_run_out, counts.leases_run_out);
    show_row("failed", lines.failed, counts.failed);
    show_row("abandoned", lines.abandoned, counts.abandoned);
    show_row("dead letters", lines.dead, counts.dead);
    std::cout << "\nelapsed " << std::fixed << std::setprecision(2) << elapsed << " s, "
              << rate(lines.completed + counts.completed, elapsed) << " messages per second; the "
              << "last redeliveries took " << elapsed - reading << " s of it\n"
              << "lines counted twice and added once: " << sum.duplicates << "\n\n";
    for (const auto& [word, times] : sum.words.most_frequent(10)) {
        std::cout << std::setw(10) << times << "  " << word << '\n';
    }
}

// Exit status 1 and the words, if the pipeline counted otherwise than the direct count.
int verdict(const text::Tally& direct, const text::Tally& pipeline) {
    if (pipeline == direct) {
        std::cout << "\nagainst a direct count: identical\n";
        return 0;
    }
    std::cout << "\nagainst a direct count: DIFFERENT\n";
    for (const std::string& word : pipeline.differences(direct, 10)) {
        std::cout << "    " << word << ": " << pipeline.count(word) << " instead of "
                  << direct.count(word) << '\n';
    }
    return 1;
}

}  // namespace

int main(int argc, char** argv) {
    std::ios::sync_with_stdio(false);
    std::cout.imbue(std::locale{std::cout.getloc(), new text::Grouped});
    std::vector<std::string> sources{argv + 1, argv + argc};
    if (sources.empty()) { sources.push_back(LATCHBOX_DEMO_ROOT); }
    for (const std::string& source : sources) {
        if (text::can_read(source)) { continue; }
        std::cerr << "demo: cannot read '" << source << "'\nusage: demo [FILE | FOLDER | -]...\n";
        return 2;
    }

    // Memory stays bounded however large the input: a full queue makes its publisher wait. The
    // lease of a line is short, so that a forgotten one is soon somebody else's.
    const auto start = std::chrono::steady_clock::now();
    latchbox::QueueOptions options{.capacity = 1'024,
                                   .overflow = latchbox::Overflow::block,
                                   .block_for = latchbox::Duration::never()};
    latchbox::Broker<Counts> count_broker;  // a broker carries one type of message
    const auto counts = count_broker.queue("counts", options);
    options.lease = 200ms;
    latchbox::Broker<Line> line_broker;
    const auto lines = line_broker.queue("lines", options);

    std::vector<latchbox::Workers<Line>> workers;
    for (const Habit habit : {Habit::careful, Habit::forgets, Habit::fails, Habit::abandons}) {
        workers.push_back(worker(lines, counts, habit));
    }
    Sum sum;
    latchbox::Workers adder{
        counts, {.batch = 64}, [&sum](const Counts& of_line) { sum.add(of_line); }};

    const text::Tally direct = read(sources, lines, Progress{lines});
    const double reading = seconds_since(start);

    // Stage by stage: nothing new comes in, and what is held is worked off. Lines forgotten at the
    // very end are waited for, too, and so is who still counts the words of one that he has lost.
    line_broker.drain(latchbox::Duration::never());
    workers.clear();
    count_broker.drain(latchbox::Duration::never());
    adder.stop();

    show_report(lines.stats(), counts.stats(), sum, reading, seconds_since(start));
    return verdict(direct, sum.words);
}
