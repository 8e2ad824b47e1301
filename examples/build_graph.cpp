// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
//
// Builds what depends on one another. Every node of a graph is a message and its prerequisites
// are the message's parents; several threads fetch what is ready, and none of them knows the
// graph. To build a header is to count its lines. In the end all is checked against the graph.
//
//     build_graph [option]...           this project's headers, each after those it includes
//     build_graph [option]... FOLDER    the headers below FOLDER
//     build_graph [option]... FILE      rules, one a line: `target: prerequisites`, as `g++ -MM`
//                                       writes them; # begins a comment; - is standard input
//
//     --threads N    how many threads build (4)
//     --fail NODE    rejects that node, to show what becomes of those that need it
//     --dot FILE     writes the graph for Graphviz, coloured by outcome
//
// Exit status: 0 all went as the graph demands, 1 it did not, 2 nothing can be done.

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <iterator>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "graph.hpp"
#include "latchbox/latchbox.hpp"
#include "latchbox/workers.hpp"
#include "text.hpp"

#if !defined(LATCHBOX_SOURCE_DIR)
#define LATCHBOX_SOURCE_DIR "."
#endif

namespace {

using namespace std::chrono_literals;
using Numbers = std::vector<std::size_t>;  // of nodes

struct Options {
    std::string source = LATCHBOX_SOURCE_DIR "/include";
    unsigned threads = 4;
    std::set<std::string> fails = {};
    std::string dot = {};
};

// --- the build ---------------------------------------------------------------------------------

// What became of a node. Written without a lock by the thread that builds it, before its ack, and
// read without one by those who build what needs it: a child is delivered after that ack.
struct Built {
    unsigned times = 0;
    std::uint64_t cost = 0;
    std::uint64_t chain = 0;  // what the dearest chain that ends here costs
};

class Build {
public:
    Build(const graph::Graph& graph, const Options& options)
        : graph_{graph}, options_{options}, ids_(graph.nodes.size()), built_(graph.nodes.size()) {}

    // Publishes the nodes while the first are being built, and ends when nothing more can be.
    void run(const Numbers& order) {
        const latchbox::Workers workers{
            nodes_,
            {.threads = options_.threads},
            [this](latchbox::Delivery<std::size_t>& delivery) { work(delivery); }};
        for (const std::size_t number : order) {  // parents first: a child names their ids
            std::vector<latchbox::MessageId> parents;
            for (const std::size_t needed : needs(number)) { parents.push_back(ids_[needed]); }
            ids_[number] = nodes_.publish(number, {.parents = std::move(parents)}).value();
        }
        show_progress(order);
        broker_.drain(latchbox::Duration::never());  // until none but dead letters are left
    }

    [[nodiscard]] const Built& built(std::size_t number) const { return built_[number]; }
    [[nodiscard]] std::uint64_t too_early() const { return too_early_; }
    [[nodiscard]] latchbox::Explanation explain(std::size_t number) const {
        return broker_.explain(ids_[number]);
    }
    // Why the node is where it is, with names for ids.
    [[nodiscard]] std::string sentence(std::size_t number) const {
        const latchbox::Explanation why = explain(number);
        const std::string parent = to_string(why.reason.parent());
        std::string text = to_string(why);
        text.replace(0, to_string(why.id).size(), graph_.nodes[number].name);
        for (const std::size_t needed : needs(number)) {
            const auto at = ids_[needed] == why.reason.parent() ? text.rfind(parent) : text.npos;
            if (at != text.npos) { text.replace(at, parent.size(), graph_.nodes[needed].name); }
        }
        return text;
    }

private:
    [[nodiscard]] const Numbers& needs(std::size_t number) const {
        return graph_.nodes[number].needs;
    }

    // What is not rejected is acked when this returns: from then on those that waited for nothing
    // else are ready.
    void work(latchbox::Delivery<std::size_t>& delivery) {
        const std::size_t number = delivery.body();
        if (options_.fails.contains(graph_.nodes[number].name)) {
            delivery.reject("as told");  // a dead letter, and so is all that needs it
        } else {
            build(number);
        }
    }

    // Really counts the lines of a header. Other nodes are but names, and each costs 1.
    void build(std::size_t number) {
        const graph::Node& node = graph_.nodes[number];
        Built& result = built_[number];
        result.cost = 1;
        if (graph_.of_headers) {
            std::ifstream header{std::filesystem::path{graph_.source} / node.name};
            const auto lines = std::count(std::istreambuf_iterator<char>{header}, {}, '\n');
            result.cost = static_cast<std::uint64_t>(lines);
        }
        for (const std::size_t needed : node.needs) {
            if (built_[needed].times == 0) { ++too_early_; }
            result.chain = (std::max)(result.chain, built_[needed].chain);
        }
        result.chain += result.cost;
        ++result.times;
    }

    // One line that is written over and over, if somebody is there to see it. Waits for the last
    // node, then for the one before it: most have long been built by then.
    void show_progress(const Numbers& order) {
        const bool shown = text::on_terminal();
        for (auto last = order.rbegin(); last != order.rend(); ++last) {
            const auto latch = broker_.latch(ids_[*last]);
            while (latch.wait_for(100ms) == latchbox::Errc::timed_out) {
                if (!shown) { continue; }
                const latchbox::QueueStats now = nodes_.stats();
                std::cerr << '\r' << now.completed << " of " << now.accepted << " built, "
                          << now.leased << " at work, " << now.blocked << " blocked  ";
            }
        }
        if (shown) { std::cerr << '\r' << std::string(78, ' ') << '\r'; }
    }

    const graph::Graph& graph_;
    const Options& options_;
    latchbox::Broker<std::size_t> broker_;
    latchbox::Queue<std::size_t> nodes_ = broker_.queue(
        "nodes", {.lease = latchbox::Duration::never(), .capacity = graph_.nodes.size()});
    std::vector<latchbox::MessageId> ids_;
    std::vector<Built> built_;
    std::atomic<std::uint64_t> too_early_ = 0;  // prerequisites that were missing
};

// --- what is told of it ------------------------------------------------------------------------

// Goes through the graph once more, directly. False, and says where, if the build went otherwise.
bool check(const graph::Graph& graph, const Numbers& order, const Options& options,
           const Build& build) {
    bool right = build.too_early() == 0;
    if (!right) { std::cout << "WRONG: " << build.too_early() << " times too early\n"; }
    std::vector<bool> lost(graph.nodes.size());  // told to fail, or needs one that is lost
    std::vector<std::uint64_t> chain(graph.nodes.size());
    for (const std::size_t number : order) {
        const graph::Node& node = graph.nodes[number];
        const Built& built = build.built(number);
        lost[number] = options.fails.contains(node.name);
        for (const std::size_t needed : node.needs) {
            if (lost[needed]) { lost[number] = true; }
            chain[number] = (std::max)(chain[number], chain[needed]);
        }
        chain[number] += built.cost;
        const auto state =
            lost[number] ? latchbox::MessageState::dead : latchbox::MessageState::completed;
        const bool as_due = build.explain(number).state == state &&
                            built.times == (lost[number] ? 0U : 1U) &&
                            (lost[number] || built.chain == chain[number]);
        if (!as_due) { std::cout << "WRONG: " << build.sentence(number) << '\n'; }
        right = right && as_due;
    }
    const bool all = std::find(lost.begin(), lost.end(), true) == lost.end();
    std::cout << (right ? "" : "WRONG, not so: ") << (all ? "every node" : "every other node")
              << " was built once, after all it needs\n";
    return right;
}

// The chain that takes longest however many threads there are, from its last node to its first.
Numbers longest_chain(const graph::Graph& graph, const Build& build) {
    const auto is_cheaper = [&](std::size_t a, std::size_t b) {
        return build.built(a).chain < build.built(b).chain;
    };
    std::size_t last = 0;
    for (std::size_t number = 1; number < graph.nodes.size(); ++number) {
        if (is_cheaper(last, number)) { last = number; }
    }
    Numbers chain;
    if (build.built(last).times == 0) { return chain; }
    for (chain.push_back(last); !graph.nodes[last].needs.empty(); chain.push_back(last)) {
        const Numbers& needs = graph.nodes[last].needs;
        last = *std::max_element(needs.begin(), needs.end(), is_cheaper);
    }
    return chain;
}

void show_chain(const graph::Graph& graph, const Build& build, const Numbers& chain) {
    std::uint64_t all = 0;
    for (std::size_t number = 0; number < graph.nodes.size(); ++number) {
        all += build.built(number).cost;
    }
    if (chain.empty()) { return; }
    std::cout << "longest chain: " << build.built(chain.front()).chain << " of " << all
              << (graph.of_headers ? " lines" : " nodes") << '\n';
    for (auto number = chain.rbegin(); number != chain.rend(); ++number) {
        std::cout << std::setw(8) << build.built(*number).cost << "  " << graph.nodes[*number].name
                  << '\n';
    }
}

// What was not built, and why: the nodes told to fail, and what needs them.
void show_dead(const Numbers& order, const Build& build) {
    constexpr std::size_t most = 20;
    std::size_t dead = 0;
    for (const std::size_t number : order) {
        if (build.built(number).times != 0 || ++dead > most) { continue; }
        std::cout << "    " << build.sentence(number) << '\n';
    }
    if (dead > most) { std::cout << "    and " << dead - most << " more\n"; }
}

// Arrows go from what is needed to what needs it; the longest chain has thick frames.
void write_dot(std::ostream& out, const graph::Graph& graph, const Build& build,
               const Numbers& chain) {
    std::vector<bool> in_chain(graph.nodes.size());
    for (const std::size_t number : chain) { in_chain[number] = true; }
    out << "digraph build {\n    rankdir=LR;\n    node [shape=box, style=filled];\n";
    for (std::size_t number = 0; number < graph.nodes.size(); ++number) {
        const auto why = build.explain(number);
        const char* colour = why.state == latchbox::MessageState::completed ? "palegreen" : "gold";
        if (why.reason.cause() == latchbox::Cause::rejected) { colour = "tomato"; }
        out << "    n" << number << " [label=" << graph::quoted(graph.nodes[number].name)
            << ", fillcolor=" << colour << (in_chain[number] ? ", penwidth=3" : "") << "];\n";
        for (const std::size_t needed : graph.nodes[number].needs) {
            out << "    n" << needed << " -> n" << number << ";\n";
        }
    }
    out << "}\n";
}

// --- the command -------------------------------------------------------------------------------

Options read_options(int argc, char** argv) {
    Options options;
    bool has_source = false;
    for (int i = 1; i < argc; ++i) {
        const std::string argument = argv[i];
        const auto value = [&]() -> std::string {
            if (++i == argc) { throw graph::Unusable{argument + " needs a value"}; }
            return argv[i];
        };
        if (argument == "--fail") {
            options.fails.insert(value());
        } else if (argument == "--dot") {
            options.dot = value();
        } else if (argument == "--threads") {
            const std::string text = value();
            const char* const end = text.data() + text.size();
            const auto read = std::from_chars(text.data(), end, options.threads);
            const bool is_number = read.ec == std::errc{} && read.ptr == end;
            if (!is_number || options.threads < 1 || options.threads > 256) {
                throw graph::Unusable{"--threads takes 1 to 256, not '" + text + "'"};
            }
        } else if (argument.starts_with('-') && argument != "-") {
            throw graph::Unusable{"unknown option '" + argument +
                                  "'\nusage: build_graph [--threads N] [--fail NODE]... "
                                  "[--dot FILE] [FILE | FOLDER | -]"};
        } else if (std::exchange(has_source, true)) {
            throw graph::Unusable{"one graph at a time: what about '" + argument + "'?"};
        } else {
            options.source = argument;
        }
    }
    return options;
}

int run(const Options& options) {
    const graph::Graph graph = graph::read(options.source);
    const Numbers order = graph::in_order(graph);
    for (const std::string& name : options.fails) {
        if (!graph.numbers.contains(name)) {
            throw graph::Unusable{"--fail " + name + ": no such node in " + graph.source};
        }
    }
    std::ofstream dot{options.dot};
    if (!options.dot.empty() && !dot) {
        throw graph::Unusable{options.dot + ": cannot be written"};
    }

    Build build{graph, options};
    build.run(order);

    const auto size = graph.nodes.size();
    const auto done = std::count_if(order.begin(), order.end(), [&](std::size_t number) {
        return build.built(number).times != 0;
    });
    std::cout << done << " of " << size << " nodes built by " << options.threads << " threads\n";
    show_dead(order, build);
    const bool right = check(graph, order, options, build);
    const Numbers chain = longest_chain(graph, build);
    show_chain(graph, build, chain);
    if (!options.dot.empty()) {
        write_dot(dot, graph, build, chain);
        if (!dot.flush()) { throw graph::Unusable{options.dot + ": cannot be written"}; }
    }
    return right ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    try {
        return run(read_options(argc, argv));
    } catch (const std::exception& error) {
        std::cerr << "build_graph: " << error.what() << '\n';
        return 2;
    }
}
