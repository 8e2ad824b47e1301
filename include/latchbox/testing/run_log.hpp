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

/// What happened in a run, a line for each step. Objects are numbered as they are met. The same in
/// short: who went on for how long, and what the program said.
class RunLog {
public:
    void start(bool wanted) {
        wanted_ = wanted;
        text_.clear();
        met_.clear();
        story_.clear();
        runs_.clear();
        steps_ = 0;
    }
    [[nodiscard]] bool wanted() const noexcept { return wanted_; }
    [[nodiscard]] const std::string& text() const noexcept { return text_; }

    [[nodiscard]] std::string story() const { return story_ + steps_so_far(); }

    /// Said by the program.
    void add(const std::string& who, const std::string& what) {
        story_ += steps_so_far() + who + " " + what + "\n";
        steps_ = 0;
        text_ += who + " " + what + "\n";
    }
    /// A step.
    void add(const std::string& who, const char* what, const char* kind, std::uint64_t object) {
        if (who != runs_) {
            story_ += steps_so_far();
            runs_ = who;
            steps_ = 0;
        }
        ++steps_;
        text_ += who + " " + what;
        if (kind != nullptr) {
            text_.append(" ").append(kind).append(" ").append(std::to_string(number(object)));
        }
        text_ += '\n';
    }

private:
    [[nodiscard]] std::string steps_so_far() const {
        if (steps_ == 0) { return {}; }
        return runs_ + ": " + std::to_string(steps_) + (steps_ == 1 ? " step\n" : " steps\n");
    }
    std::size_t number(std::uint64_t object) {
        const auto at = std::find(met_.begin(), met_.end(), object);
        const auto number = static_cast<std::size_t>(at - met_.begin());
        if (at == met_.end()) { met_.push_back(object); }
        return number;
    }

    bool wanted_ = false;
    std::string text_;
    std::string story_;      // without the steps of who runs now
    std::string runs_;       // who took the last steps
    std::size_t steps_ = 0;  // of his, since he began or something was said
    std::vector<std::uint64_t> met_;
};

}  // namespace testing
}  // namespace v0
}  // namespace latchbox
