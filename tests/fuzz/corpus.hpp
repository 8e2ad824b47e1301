// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <algorithm>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "support/source_tree.hpp"

/// The inputs of tests/fuzz/corpus: between them they reach what long runs of the fuzzer reached,
/// and whatever was once found wrong.
namespace fuzz {

struct Input {
    std::string name;
    std::string bytes;
};

[[nodiscard]] inline std::vector<Input> corpus(std::string_view target) {
    const auto folder =
        std::filesystem::path{LATCHBOX_SOURCE_DIR} / "tests" / "fuzz" / "corpus" / target;
    std::vector<Input> inputs;
    for (const auto& entry : std::filesystem::directory_iterator{folder}) {
        inputs.push_back({entry.path().filename().string(), support::read_text(entry.path())});
    }
    std::sort(inputs.begin(), inputs.end(),
              [](const Input& a, const Input& b) { return a.name < b.name; });
    return inputs;
}

}  // namespace fuzz
