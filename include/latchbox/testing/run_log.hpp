// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

namespace latchbox {
inline namespace v0 {
namespace testing {

/// What happened in a run, a line for each step. Objects are numbered as they are met.
class RunLog {
public:
    void start(bool wanted) {
        wanted_ = wanted;
        text_.clear();
        met_.clear();
    }
    [[nodiscard]] bool wanted() const noexcept { return wanted_; }
    [[nodiscard]] const std::string& text() const noexcept { return text_; }

    void add(const std::string& who, const std::string& what) { text_ += who + " " + what + "\n"; }
    void add(const std::string& who, const char* what, const char* kind, std::uint64_t object) {
        if (kind == nullptr) { return add(who, what); }
        add(who, std::string{what} + " " + kind + " " + std::to_string(number(object)));
    }

private:
    std::size_t number(std::uint64_t object) {
        const auto at = std::find(met_.begin(), met_.end(), object);
        const auto number = static_cast<std::size_t>(at - met_.begin());
        if (at == met_.end()) { met_.push_back(object); }
        return number;
    }

    bool wanted_ = false;
    std::string text_;
    std::vector<std::uint64_t> met_;
};

}  // namespace testing
}  // namespace v0
}  // namespace latchbox
