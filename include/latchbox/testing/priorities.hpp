// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "latchbox/testing/actor.hpp"
#include "latchbox/testing/choices.hpp"

namespace latchbox {
inline namespace v0 {
namespace testing {

/// Schedules by chance, few switches in each: every fiber has a priority drawn at random, the
/// highest that can go on does, and at `depth - 1` steps drawn at random the one that runs falls
/// behind all others. A bug that needs `depth` steps in one order is met in a run of n fibers and
/// k steps with a chance of at least 1 in n * k^(depth - 1), however many schedules there are. All
/// other questions are answered at random.
/// The idea is that of Burckhardt, Kothari, Musuvathi and Nagarakatte, "A Randomized Scheduler with
/// Probabilistic Guarantees of Finding Bugs" (2010).
class Priorities final : public Choices {
public:
    /// `steps`: how many a run takes, about; where it falls behind is drawn among these.
    Priorities(std::uint64_t seed, std::uint32_t depth, std::uint64_t steps) : chance_{seed} {
        const auto range = static_cast<std::uint32_t>(steps < 1 ? 1 : steps);
        for (std::uint32_t i = 1; i < depth; ++i) { falls_.push_back(chance_.pick(range)); }
    }

    /// The next question is which of these fibers goes on.
    template <class Fibers> void among(const Fibers& fibers, std::uint32_t n) {
        std::uint32_t best = highest(fibers, n);
        for (std::size_t i = 0; i < falls_.size(); ++i) {
            if (falls_[i] != step_) { continue; }
            priority_of(*fibers[best]) = falls_.size() - i;  // below all that were drawn
            best = highest(fibers, n);
        }
        ++step_;
        answer_ = best;
        answered_ = n > 1;
    }

    /// How often it was asked that.
    [[nodiscard]] std::uint64_t steps() const noexcept { return step_; }

private:
    std::uint32_t choose(std::uint32_t n) override {
        return std::exchange(answered_, false) ? answer_ : chance_.pick(n);
    }
    template <class Fibers> std::uint32_t highest(const Fibers& fibers, std::uint32_t n) {
        std::uint32_t best = 0;
        for (std::uint32_t i = 1; i < n; ++i) {
            if (priority_of(*fibers[i]) > priority_of(*fibers[best])) { best = i; }
        }
        return best;
    }
    // Drawn the first time that a fiber can go on.
    std::uint64_t& priority_of(const Actor& fiber) {
        const auto index = static_cast<std::size_t>(fiber.index);
        while (priorities_.size() <= index) {
            const std::uint64_t drawn = chance_.pick(1U << 30U);
            priorities_.push_back(falls_.size() + 1 + drawn);
        }
        return priorities_[index];
    }

    Seeded chance_;
    std::vector<std::uint32_t> falls_;
    std::vector<std::uint64_t> priorities_;  // by the index of the fiber
    std::uint64_t step_ = 0;
    std::uint32_t answer_ = 0;
    bool answered_ = false;
};

}  // namespace testing
}  // namespace v0
}  // namespace latchbox
