// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

// The project's own files, for the tests that judge how it is written. LATCHBOX_SOURCE_DIR, where
// the project stands, comes from the build.
namespace support {

struct SourceFile {
    std::string path;  // from the root of the project, with '/'
    std::string text;
};

[[nodiscard]] inline std::string read_text(const std::filesystem::path& path) {
    std::ifstream in{path, std::ios::binary};
    return {std::istreambuf_iterator<char>{in}, std::istreambuf_iterator<char>{}};
}

[[nodiscard]] inline std::string read_project_file(std::string_view path) {
    return read_text(std::filesystem::path{LATCHBOX_SOURCE_DIR} / path);
}

// The C++ files below `folder`, in the order of their names.
[[nodiscard]] inline std::vector<SourceFile> read_sources(std::string_view folder) {
    const std::filesystem::path root{LATCHBOX_SOURCE_DIR};
    std::vector<SourceFile> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator{root / folder}) {
        const auto extension = entry.path().extension();
        if (extension != ".hpp" && extension != ".cpp") { continue; }
        files.push_back(
            {entry.path().lexically_relative(root).generic_string(), read_text(entry.path())});
    }
    std::sort(files.begin(), files.end(),
              [](const SourceFile& a, const SourceFile& b) { return a.path < b.path; });
    return files;
}

[[nodiscard]] inline std::vector<std::string_view> lines_of(std::string_view text) {
    std::vector<std::string_view> lines;
    while (!text.empty()) {
        const auto end = text.find('\n');
        lines.push_back(text.substr(0, end));
        if (end == std::string_view::npos) { break; }
        text.remove_prefix(end + 1);
    }
    return lines;
}

}  // namespace support
