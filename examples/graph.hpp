// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

// What depends on what, read from rules or from the headers of a folder: what build_graph knows of
// graphs. Nothing here is about messages.
namespace graph {

// Something that cannot be read or makes no sense; the text says where.
struct Unusable : std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct Node {
    std::string name = {};
    std::size_t line = 0;                 // of the first rule for it; 0: there is none
    std::vector<std::size_t> needs = {};  // its prerequisites, each once
};

struct Graph {
    std::size_t number_of(const std::string& name) {
        const auto [place, is_new] = numbers.try_emplace(name, nodes.size());
        if (is_new) { nodes.push_back({.name = name}); }
        return place->second;
    }

    std::string source = {};
    bool of_headers = false;  // whether the nodes are files below `source`
    std::vector<Node> nodes = {};
    std::unordered_map<std::string, std::size_t> numbers = {};
};

inline std::vector<std::string> words_of(const std::string& text) {
    std::istringstream in{text};
    return {std::istream_iterator<std::string>{in}, {}};
}

// One rule: a line without its comment, and those it goes on in while there is a '\' at its end.
inline bool next_rule(std::istream& in, std::string& rule, std::size_t& next_line) {
    rule.clear();
    for (std::string part; std::getline(in, part);) {
        ++next_line;
        part.erase((std::min)(part.find('#'), part.size()));
        part.erase(part.find_last_not_of(" \t\r") + 1);
        const bool goes_on = part.ends_with('\\');
        if (goes_on) { part.back() = ' '; }
        rule += part;
        if (!goes_on) { return true; }
    }
    return !rule.empty();
}

// Rules `target: prerequisites`, as Make has them, but without what to do. A prerequisite that is
// nowhere a target is a node that needs nothing.
inline Graph read_rules(std::istream& in, const std::string& source) {
    Graph graph{.source = source};
    std::string rule;
    for (std::size_t line = 1, next = 1; next_rule(in, rule, next); line = next) {
        const auto refuse = [&](const std::string& why) {
            throw Unusable{source + ':' + std::to_string(line) + ": " + why};
        };
        if (words_of(rule).empty()) { continue; }
        const auto colon = rule.find(':');
        if (colon == rule.npos) { refuse("no ':' in '" + rule + "'"); }
        if (rule.find(':', colon + 1) != rule.npos) { refuse("a second ':' in '" + rule + "'"); }
        const auto targets = words_of(rule.substr(0, colon));
        const auto prerequisites = words_of(rule.substr(colon + 1));
        if (targets.empty()) { refuse("no target before the ':'"); }
        for (const std::string& target : targets) {
            const std::size_t number = graph.number_of(target);
            if (graph.nodes[number].line == 0) { graph.nodes[number].line = line; }
            for (const std::string& needed : prerequisites) {
                const std::size_t needed_number = graph.number_of(needed);
                graph.nodes[number].needs.push_back(needed_number);
            }
        }
    }
    if (in.bad()) { throw Unusable{source + ": cannot be read"}; }
    return graph;
}

// What a line `#include "..."` names; nothing of other lines.
inline std::string_view included_by(std::string_view line) {
    for (const std::string_view part : {"#", "include", "\""}) {
        line.remove_prefix((std::min)(line.find_first_not_of(" \t"), line.size()));
        if (!line.starts_with(part)) { return {}; }
        line.remove_prefix(part.size());
    }
    return line.substr(0, line.find('"'));
}

// Every header below the folder needs those it includes; what is not below the folder is left out.
inline Graph read_headers(const std::filesystem::path& folder) {
    Graph graph{.source = folder.string(), .of_headers = true};
    std::vector<std::filesystem::path> headers;
    for (const auto& entry : std::filesystem::recursive_directory_iterator{folder}) {
        const auto extension = entry.path().extension();
        const bool is_header = extension == ".hpp" || extension == ".h";
        if (is_header && entry.is_regular_file()) { headers.push_back(entry.path()); }
    }
    std::sort(headers.begin(), headers.end());
    const auto name_of = [base = folder.lexically_normal()](const std::filesystem::path& header) {
        return header.lexically_normal().lexically_relative(base).generic_string();
    };
    for (const auto& header : headers) { graph.number_of(name_of(header)); }
    for (const auto& header : headers) {
        std::ifstream file{header};
        if (!file) { throw Unusable{header.string() + ": cannot be read"}; }
        for (std::string line; std::getline(file, line);) {
            const std::filesystem::path included{included_by(line)};
            for (const auto& place :
                 {header.parent_path() / included, folder / included, folder / ".." / included}) {
                const auto known = graph.numbers.find(name_of(place));
                if (known == graph.numbers.end()) { continue; }
                graph.nodes[graph.number_of(name_of(header))].needs.push_back(known->second);
                break;
            }
        }
    }
    return graph;
}

// A folder of headers, a file of rules, or "-" for rules on standard input.
inline Graph read(const std::string& source) {
    const auto found = [&] {
        std::error_code unreadable;
        if (std::filesystem::is_directory(source, unreadable)) { return read_headers(source); }
        if (source == "-") { return read_rules(std::cin, "standard input"); }
        std::ifstream file{source};
        if (!file) { throw Unusable{source + ": cannot be read"}; }
        return read_rules(file, source);
    };
    Graph graph = found();
    if (graph.nodes.empty()) { throw Unusable{graph.source + ": nothing to build in there"}; }
    for (Node& node : graph.nodes) {
        std::sort(node.needs.begin(), node.needs.end());
        node.needs.erase(std::unique(node.needs.begin(), node.needs.end()), node.needs.end());
    }
    return graph;
}

// "eggs.txt:3: a cycle: hen needs egg needs hen". What has something missing needs another node of
// that kind, so whoever goes from one to the next ends in a cycle.
inline std::string describe_cycle(const Graph& graph, const std::vector<std::size_t>& missing) {
    const auto is_stuck = [&](std::size_t number) { return missing[number] != 0; };
    std::vector<std::size_t> path;
    std::vector<bool> seen(graph.nodes.size());
    std::size_t at = 0;
    while (!is_stuck(at)) { ++at; }
    while (!seen[at]) {
        seen[at] = true;
        path.push_back(at);
        const auto& needs = graph.nodes[at].needs;
        at = *std::find_if(needs.begin(), needs.end(), is_stuck);
    }
    const std::size_t line = graph.nodes[at].line;
    std::string text = graph.source + (line == 0 ? "" : ':' + std::to_string(line)) + ": a cycle: ";
    for (auto member = std::find(path.begin(), path.end(), at); member != path.end(); ++member) {
        text += graph.nodes[*member].name + " needs ";
    }
    return text + graph.nodes[at].name;
}

// The numbers of all nodes, each after those of its prerequisites.
inline std::vector<std::size_t> in_order(const Graph& graph) {
    const std::size_t size = graph.nodes.size();
    std::vector<std::size_t> order;
    std::vector<std::size_t> missing(size);  // how many of its prerequisites `order` lacks
    std::vector<std::vector<std::size_t>> needed_by(size);
    for (std::size_t number = 0; number < size; ++number) {
        const auto& needs = graph.nodes[number].needs;
        missing[number] = needs.size();
        if (needs.empty()) { order.push_back(number); }
        for (const std::size_t needed : needs) { needed_by[needed].push_back(number); }
    }
    for (std::size_t next = 0; next < order.size(); ++next) {
        for (const std::size_t number : needed_by[order[next]]) {
            if (--missing[number] == 0) { order.push_back(number); }
        }
    }
    if (order.size() < size) { throw Unusable{describe_cycle(graph, missing)}; }
    return order;
}

// As the language of Graphviz has it.
inline std::string quoted(const std::string& name) {
    std::string text = "\"";
    for (const char c : name) {
        if (c == '"' || c == '\\') { text += '\\'; }
        text += c;
    }
    return text + '"';
}

}  // namespace graph
