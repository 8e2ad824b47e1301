// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace latchbox {
inline namespace v0 {
namespace testing {

/// In which orders mutexes were taken during a run. Two orders that contradict each other are a
/// deadlock of some schedule, whether or not this one met it.
class LockOrder {
public:
    void clear() noexcept {
        known_.clear();
        disordered_ = false;
    }
    /// `second` was taken while `first` was held.
    void taken(std::uint64_t first, std::uint64_t second) {
        const Order edge{first, second};
        for (const Order& known : known_) {
            if (known == edge) { return; }
        }
        known_.push_back(edge);
        if (leads_to(second, first)) { disordered_ = true; }
    }
    [[nodiscard]] bool disordered() const noexcept { return disordered_; }

private:
    using Order = std::pair<std::uint64_t, std::uint64_t>;

    [[nodiscard]] bool leads_to(std::uint64_t from, std::uint64_t to) const {
        if (from == to) { return true; }
        for (const Order& edge : known_) {  // no cycle was there before
            if (edge.first == from && leads_to(edge.second, to)) { return true; }
        }
        return false;
    }

    std::vector<Order> known_;
    bool disordered_ = false;
};

}  // namespace testing
}  // namespace v0
}  // namespace latchbox
