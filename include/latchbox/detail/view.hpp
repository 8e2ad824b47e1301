// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <string_view>
#include <utility>

#include "latchbox/detail/topic_shell.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// A handle's sight of one body: keeps it, and the queue's memory, for as long as it lives. The
// queue has lent it (`QueueShell::lend`). The last one to see a body destroys it. [4.8]
template <class Msg, class Platform> class View {
public:
    using Shell = QueueShell<Msg, Platform>;

    View() noexcept = default;
    View(Shell& shell, Cell<Msg, Platform>& cell) noexcept : shell_{&shell}, cell_{&cell} {}
    View(View&& other) noexcept
        : shell_{std::exchange(other.shell_, nullptr)}, cell_{other.cell_} {}
    View& operator=(View&& other) noexcept {
        View taken{std::move(other)};
        std::swap(shell_, taken.shell_);
        std::swap(cell_, taken.cell_);
        return *this;
    }
    ~View() {
        if (shell_ == nullptr) { return; }
        shell_->put_down(*cell_);
    }

    explicit operator bool() const noexcept { return shell_ != nullptr; }
    [[nodiscard]] Shell& shell() const noexcept { return *shell_; }
    [[nodiscard]] Cell<Msg, Platform>& cell() const noexcept { return *cell_; }
    [[nodiscard]] const Msg& body() const noexcept { return cell_->body(); }
    // Nobody else sees the body; once all is done that is due, if that is what keeps it.
    [[nodiscard]] bool is_alone() const noexcept {
        if (cell_->body_seen_by_one_handle()) { return true; }
        if (cell_->shared() == nullptr) { return false; }
        shell_->broker->catch_up();
        return cell_->body_seen_by_one_handle();
    }
    // Of a copy of a topic's message; else empty.
    [[nodiscard]] std::string_view subject() const noexcept {
        const auto* const shared = shell_ != nullptr ? cell_->shared() : nullptr;
        return shared != nullptr ? std::string_view{shared->topic->subject} : std::string_view{};
    }

private:
    Shell* shell_ = nullptr;
    Cell<Msg, Platform>* cell_ = nullptr;
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
