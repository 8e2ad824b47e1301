// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/version.hpp"

#include <cstddef>
#include <regex>
#include <set>
#include <string>
#include <string_view>

#include <doctest/doctest.h>

#include "support/source_tree.hpp"

// Fit for the preprocessor, which is what it is for.
#if LATCHBOX_VERSION < 100
#error "0.1.0 was the first"
#endif

TEST_CASE("the version is one number made of its three") {
    CHECK(LATCHBOX_VERSION / 10'000 == LATCHBOX_VERSION_MAJOR);
    CHECK(LATCHBOX_VERSION / 100 % 100 == LATCHBOX_VERSION_MINOR);
    CHECK(LATCHBOX_VERSION % 100 == LATCHBOX_VERSION_PATCH);
}

// CMake, Conan and the scripts read the header; what cannot read it repeats it.
TEST_CASE("whatever says the version says that of the header") {
    const std::string minor =
        std::to_string(LATCHBOX_VERSION_MAJOR) + '.' + std::to_string(LATCHBOX_VERSION_MINOR);
    const std::string version = minor + '.' + std::to_string(LATCHBOX_VERSION_PATCH);
    const auto says = [](const std::string& file, const std::string& text) {
        INFO(file, " does not say: ", text);
        CHECK(support::read_project_file(file).find(text) != std::string::npos);
    };
    says("meson.build", "version: '" + version + "'");
    says("MODULE.bazel", "version = \"" + version + "\"");
    says("packaging/vcpkg/latchbox/vcpkg.json", "\"version\": \"" + version + "\"");
    says("CHANGELOG.md", "\n## " + version + "\n");
    says("README.md", "find_package(latchbox " + minor + ")");
    for (const char* reader : {"CMakeLists.txt", "conanfile.py", "tools/check_doors.sh"}) {
        says(reader, "include/latchbox/version.hpp");
        CHECK(support::read_project_file(reader).find(version + '\n') == std::string::npos);
    }
}

TEST_CASE("the module exports every class and function that is public") {
    const std::string module = support::read_project_file("modules/latchbox.cppm");
    const std::regex declares{
        "^(?:template <.*> )?(?:enum class|class|struct)(?: \\[\\[nodiscard\\]\\])? (\\w+)"
        "(?: final)?(?:;| [:{]).*|^using (\\w+) =.*|^\\[\\[nodiscard\\]\\] .*?(\\w+)\\(.*"};
    std::set<std::string> names;
    for (const auto& file : support::read_sources("include")) {
        if (file.path.find("/detail/") != file.path.npos) { continue; }
        if (file.path.find("/testing") != file.path.npos) { continue; }
        bool hidden = false;
        for (const std::string_view line : support::lines_of(file.text)) {
            if (line.starts_with("namespace detail {")) { hidden = true; }
            if (line.starts_with("}  // namespace detail")) { hidden = false; }
            std::cmatch parts;
            if (hidden || !std::regex_match(line.begin(), line.end(), parts, declares)) {
                continue;
            }
            for (std::size_t i = 1; i < parts.size(); ++i) {
                if (parts[i].matched) { names.insert(parts[i].str()); }
            }
        }
    }
    for (const char* one : {"Broker", "ManualClock", "Result", "async_wait_for", "to_string"}) {
        CHECK(names.count(one) == 1);
    }
    for (const auto& name : names) {
        INFO("not exported: ", name);
        CHECK(module.find("using latchbox::" + name + ';') != std::string::npos);
    }
}
