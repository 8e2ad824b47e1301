// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <algorithm>
#include <cctype>
#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "support/source_tree.hpp"

// What the pages say, as far as a machine can judge it: their code and what it prints stand, line
// by line, in sources that are compiled and run; their links lead somewhere.
namespace {

namespace fs = std::filesystem;
using Lines = std::vector<std::string_view>;
using support::SourceFile;

fs::path project() { return LATCHBOX_SOURCE_DIR; }

std::vector<SourceFile> read_pages() {
    std::vector<SourceFile> pages;
    for (const auto* const folder : {".", "docs"}) {
        for (const auto& entry : fs::directory_iterator{project() / folder}) {
            if (entry.path().extension() != ".md") { continue; }
            const auto path = fs::path{folder} / entry.path().filename();
            pages.push_back(
                {path.lexically_normal().generic_string(), support::read_text(entry.path())});
        }
    }
    return pages;
}

bool is_fence(std::string_view line) { return line.starts_with("```"); }

// --- code --------------------------------------------------------------------------------------

// The blocks of C++, and of text, which is what code prints.
std::vector<Lines> blocks_of(std::string_view page) {
    std::vector<Lines> blocks;
    bool inside = false;
    bool wanted = false;
    for (const std::string_view line : support::lines_of(page)) {
        if (is_fence(line)) {
            inside = !inside;
            wanted = inside && (line == "```cpp" || line == "```text");
            if (wanted) { blocks.emplace_back(); }
        } else if (wanted) {
            blocks.back().push_back(line);
        }
    }
    return blocks;
}

// Whether a block stands at that place, indented as a whole or not.
bool stands_at(const Lines& block, const Lines& source, std::size_t at) {
    if (block.size() > source.size() - at || block.empty()) { return false; }
    if (source[at].size() < block[0].size()) { return false; }
    const std::string margin(source[at].size() - block[0].size(), ' ');
    for (std::size_t i = 0; i < block.size(); ++i) {
        const std::string line = block[i].empty() ? "" : margin + std::string{block[i]};
        if (source[at + i] != line) { return false; }
    }
    return true;
}

bool stands_in(const Lines& block, const std::vector<Lines>& sources) {
    for (const Lines& source : sources) {
        for (std::size_t at = 0; at < source.size(); ++at) {
            if (stands_at(block, source, at)) { return true; }
        }
    }
    return false;
}

std::string joined(const Lines& lines) {
    std::string text;
    for (const std::string_view line : lines) { text.append(line).append("\n"); }
    return text;
}

// --- links -------------------------------------------------------------------------------------

// Its prose, without code of either kind.
std::string prose_of(std::string_view page) {
    std::string prose;
    bool inside = false;
    bool quoted = false;
    for (const std::string_view line : support::lines_of(page)) {
        if (is_fence(line)) {
            inside = !inside;
            continue;
        }
        if (inside) { continue; }
        for (const char c : line) {
            if (c == '`') { quoted = !quoted; }
            if (c != '`' && !quoted) { prose.push_back(c); }
        }
        prose.push_back('\n');
    }
    return prose;
}

std::vector<std::string> links_of(std::string_view page) {
    const std::string prose = prose_of(page);
    std::vector<std::string> links;
    for (auto at = prose.find("]("); at != prose.npos; at = prose.find("](", at + 1)) {
        links.push_back(prose.substr(at + 2, prose.find(')', at) - at - 2));
    }
    return links;
}

// The anchor of a heading, as the site's generator makes it.
std::string anchor_of(std::string_view heading) {
    std::string anchor;
    for (const char c : heading.substr(heading.find_first_not_of("# "))) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == ' ' || c == '-') {
            if (!anchor.ends_with('-')) { anchor.push_back('-'); }
        } else if (std::isalnum(byte) != 0 || c == '_') {
            anchor.push_back(static_cast<char>(std::tolower(byte)));
        }
    }
    return anchor;
}

bool has_anchor(std::string_view page, std::string_view anchor) {
    bool inside = false;
    for (const std::string_view line : support::lines_of(page)) {
        if (is_fence(line)) { inside = !inside; }
        if (!inside && line.starts_with('#') && anchor_of(line) == anchor) { return true; }
    }
    return false;
}

// Whether a link of a page leads to a file of the project, and to a heading of it. The site has
// what is below `docs` alone, so its pages lead to nothing else.
bool leads_somewhere(const SourceFile& page, const std::string& link) {
    if (link.starts_with("https://")) { return true; }
    const std::string file = link.substr(0, link.find('#'));
    const fs::path target = file.empty()
                                ? fs::path{page.path}
                                : (fs::path{page.path}.parent_path() / file).lexically_normal();
    if (page.path.starts_with("docs/") && !target.generic_string().starts_with("docs/")) {
        return false;
    }
    if (!fs::is_regular_file(project() / target)) { return false; }
    if (file.size() == link.size()) { return true; }
    return has_anchor(support::read_text(project() / target), link.substr(file.size() + 1));
}

}  // namespace

TEST_CASE("the code of every page, and what it prints, stands in what is compiled and run") {
    std::vector<SourceFile> files;
    for (const auto* const folder : {"docs/snippets", "examples", "tests/frameworks"}) {
        for (auto& file : support::read_sources(folder)) { files.push_back(std::move(file)); }
    }
    std::vector<Lines> sources;
    for (const SourceFile& file : files) { sources.push_back(support::lines_of(file.text)); }
    std::size_t blocks = 0;
    for (const SourceFile& page : read_pages()) {
        for (const Lines& block : blocks_of(page.text)) {
            CHECK_MESSAGE(stands_in(block, sources), page.path, ": nowhere compiled:\n",
                          joined(block));
            ++blocks;
        }
    }
    CHECK(blocks > 10);
}

TEST_CASE("code that differs in a line is found") {
    const std::vector<Lines> source{
        support::lines_of("int main() {\n    int a;\n\n    return 0;\n}\n")};
    const auto blocks = blocks_of(
        "Text.\n```cpp\nint a;\n\nreturn 0;\n```\nMore.\n```sh\nls\n```\n```text\n}\n```\n");
    REQUIRE(blocks.size() == 2);
    CHECK(stands_in(blocks[0], source));
    CHECK(stands_in(blocks[1], source));
    CHECK_FALSE(stands_in({"int a;", "", "return 1;"}, source));
    CHECK_FALSE(stands_in({"int a;", "return 0;"}, source));
    CHECK_FALSE(stands_in({"int main() {", "int a;"}, source));
    CHECK_FALSE(stands_in({"a;", "", "return 0;"}, source));
    CHECK_FALSE(stands_in({"return 0;", "}", ""}, source));
    CHECK_FALSE(stands_in({}, source));
    CHECK_FALSE(stands_in(blocks[0], {}));
}

TEST_CASE("every link leads to a file, and to a heading of it") {
    std::size_t links = 0;
    for (const SourceFile& page : read_pages()) {
        for (const std::string& link : links_of(page.text)) {
            CHECK_MESSAGE(leads_somewhere(page, link), page.path, ": leads nowhere: ", link);
            ++links;
        }
    }
    CHECK(links > 10);
}

TEST_CASE("a link that leads nowhere is found") {
    const SourceFile page{"docs/testing.md", ""};
    CHECK(links_of("See [a\nb](c.md#d), `[x](y)`.\n```\n[x](y)\n```\n[e](#f)") ==
          std::vector<std::string>{"c.md#d", "#f"});
    CHECK(leads_somewhere(page, "verification.md"));
    CHECK(leads_somewhere(page, "#faults-faultplan"));
    CHECK(leads_somewhere(page, "verification.md#the-method"));
    CHECK_FALSE(leads_somewhere(page, "verification.md#no-method"));
    CHECK_FALSE(leads_somewhere(page, "no_page.md"));
    CHECK_FALSE(leads_somewhere(page, "../README.md"));  // not part of the site
    CHECK(leads_somewhere({"README.md", ""}, "docs/testing.md"));
}

TEST_CASE("the site has every page below docs, and no other") {
    const std::string site = support::read_project_file("mkdocs.yml");
    std::vector<std::string> named;
    for (const std::string_view line : support::lines_of(site)) {
        const auto colon = line.rfind(": ");
        if (line.ends_with(".md")) {
            named.push_back("docs/" + std::string{line.substr(colon + 2)});
        }
    }
    std::vector<std::string> there;
    for (const SourceFile& page : read_pages()) {
        if (page.path.starts_with("docs/")) { there.push_back(page.path); }
    }
    std::sort(named.begin(), named.end());
    std::sort(there.begin(), there.end());
    CHECK(named == there);
}

TEST_CASE("pages are short, and the lines of their code are") {
    for (const SourceFile& page : read_pages()) {
        // But for the figures that a benchmark has put there.
        const auto written = page.text.substr(0, page.text.find("<!-- from here on written"));
        CHECK_MESSAGE(support::lines_of(written).size() < 280, page.path);
        for (const Lines& block : blocks_of(page.text)) {
            for (const auto line : block) {
                CHECK_MESSAGE(line.size() <= 100, page.path, ": ", line);
            }
        }
    }
}
