// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "latchbox/testing/choices.hpp"

namespace latchbox {
inline namespace v0 {
namespace testing {

/// Every sequence of answers, depth first; where it prunes, without those answers that lead into a
/// state that was entered before.
class DepthFirst final : public Choices {
public:
    explicit DepthFirst(bool prune) : prune_{prune} {}

    /// `state_after(answer)` is the hash of the state that an answer to the next question leads to.
    template <class StateAfter> void foresee(std::uint32_t n, StateAfter&& state_after) {
        if (!prune_ || cut_ || trace_.size() < path_.size()) { return; }
        first_ = states_.size();
        for (std::uint32_t i = 0; i < n; ++i) { states_.push_back(usable(state_after(i))); }
    }

    /// Goes back to the start for the next sequence; false when there is none.
    bool next() {
        trace_.clear();
        cut_ = false;
        while (!path_.empty()) {
            Fork& last = path_.back();
            if (take(last, last.taken + 1)) { return true; }
            drop_last();
        }
        return false;
    }

    /// This run has come to where everything was seen before: it only has to end.
    [[nodiscard]] bool cut() const noexcept { return cut_; }
    /// Answers not followed, as the state they lead to had been entered before.
    [[nodiscard]] std::uint64_t pruned() const noexcept { return pruned_; }

private:
    struct Fork {
        std::uint32_t taken;
        std::uint32_t of;
        std::size_t first;  // in states_
    };

    std::uint32_t choose(std::uint32_t n) override {
        if (cut_) { return 0; }
        if (trace_.size() == path_.size()) {
            path_.push_back({0, n, first_});
            if (!take(path_.back(), 0)) {
                drop_last();
                cut_ = true;
                return 0;
            }
        }
        return path_[trace_.size()].taken;
    }
    // The first answer from `from` on that leads to something new.
    bool take(Fork& fork, std::uint32_t from) {
        for (std::uint32_t i = from; i < fork.of; ++i) {
            if (!prune_ || insert(states_[fork.first + i])) {
                fork.taken = i;
                return true;
            }
            ++pruned_;
        }
        return false;
    }
    void drop_last() {
        if (prune_) { states_.resize(path_.back().first); }
        path_.pop_back();
    }

    // An open table of hashes, where 0 is a free place. `insert` is false if it was there.
    static std::uint64_t usable(std::uint64_t state) noexcept { return state == 0 ? 1 : state; }
    bool insert(std::uint64_t state) {
        if (seen_.size() < 2 * (seen_count_ + 1)) { grow(); }
        std::uint64_t& place = find(seen_, state);
        if (place == state) { return false; }
        place = state;
        ++seen_count_;
        return true;
    }
    static std::uint64_t& find(std::vector<std::uint64_t>& table, std::uint64_t state) {
        std::size_t at = static_cast<std::size_t>(state) & (table.size() - 1);
        while (table[at] != 0 && table[at] != state) { at = (at + 1) & (table.size() - 1); }
        return table[at];
    }
    void grow() {
        std::vector<std::uint64_t> larger(seen_.empty() ? 1024 : 2 * seen_.size(), 0);
        for (const std::uint64_t state : seen_) {
            if (state != 0) { find(larger, state) = state; }
        }
        seen_ = std::move(larger);
    }

    bool prune_;
    bool cut_ = false;
    std::vector<Fork> path_;
    std::vector<std::uint64_t> states_;
    std::size_t first_ = 0;
    std::vector<std::uint64_t> seen_;
    std::size_t seen_count_ = 0;
    std::uint64_t pruned_ = 0;
};

}  // namespace testing
}  // namespace v0
}  // namespace latchbox
