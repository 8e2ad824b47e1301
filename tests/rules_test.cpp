// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "support/source_tree.hpp"

// Every numbered rule of the contract is named in the title of a test that would fail without it.
namespace {

// Sections 4 to 7 of the contract, as far as they are built.
const std::vector<std::string> rules = {
    "4.1", "4.2", "4.3", "4.4", "4.5", "4.6", "4.7", "4.8", "4.9", "4.10", "4.11", "4.12",
    "5.1", "5.2", "5.3", "5.4", "5.5", "5.6", "5.7", "5.8", "5.9", "6.1",  "6.2",  "6.3",
    "6.4", "6.5", "6.6", "6.7", "7.1", "7.2", "7.3", "7.4", "7.5", "7.6", "7.7"};

// What stands between double quotes from `at` to the end of the macro's arguments.
std::string title_at(std::string_view text, std::size_t at) {
    std::string title;
    bool quoted = false;
    for (; at < text.size(); ++at) {
        const char c = text[at];
        if (c == '"') {
            quoted = !quoted;
        } else if (quoted) {
            title += c;
            if (c == '\\' && ++at < text.size()) { title += text[at]; }
        } else if (c == ')') {
            break;
        }
    }
    return title;
}

std::vector<std::string> titles_in(std::string_view text) {
    std::vector<std::string> titles;
    const std::string_view macro = "TEST_CASE";
    for (auto at = text.find(macro); at != text.npos; at = text.find(macro, at + macro.size())) {
        titles.push_back(title_at(text, at));
    }
    return titles;
}

// "[4.3] [7.1, 7.2]": the numbers in all brackets of a title.
std::set<std::string> tags_in(std::string_view title) {
    std::set<std::string> tags;
    bool inside = false;
    std::string tag;
    for (const char c : title) {
        if (inside && ((c >= '0' && c <= '9') || c == '.')) {
            tag += c;
            continue;
        }
        if (!tag.empty()) { tags.insert(tag); }
        tag.clear();
        inside = c == '[' || (inside && c != ']');
    }
    return tags;
}

}  // namespace

TEST_CASE("tags are read from the titles of tests, wherever they break and however many") {
    const auto titles = titles_in(
        "TEST_CASE(\"one [4.3]\") { f(\"no title [9.9]\"); }\n"
        "TEST_CASE_FIXTURE(Orders,\n    \"two \"\n    \"in \\\"parts\\\" (a) [4.1, 7.2] [4.10]\") "
        "{}");
    REQUIRE(titles.size() == 2);
    CHECK(tags_in(titles[0]) == std::set<std::string>{"4.3"});
    CHECK(tags_in(titles[1]) == std::set<std::string>{"4.1", "4.10", "7.2"});
    CHECK(tags_in("no 4.3 in brackets []").empty());
}

TEST_CASE("every rule about queues, parents and topics is named by a test") {
    std::set<std::string> named;
    for (const auto& file : support::read_sources("tests")) {
        if (file.path == "tests/rules_test.cpp") { continue; }
        for (const auto& title : titles_in(file.text)) { named.merge(tags_in(title)); }
    }
    for (const auto& rule : rules) {
        INFO("rule ", rule);
        CHECK(named.contains(rule));
    }
}
