// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <utility>

namespace latchbox {
inline namespace v0 {
namespace testing {

/// True as long as this lives, then as it was.
class Raised {
public:
    explicit Raised(bool& flag) noexcept : flag_{flag}, before_{std::exchange(flag, true)} {}
    ~Raised() { flag_ = before_; }
    Raised(const Raised&) = delete;
    Raised& operator=(const Raised&) = delete;

private:
    bool& flag_;
    bool before_;
};

}  // namespace testing
}  // namespace v0
}  // namespace latchbox
