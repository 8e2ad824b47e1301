// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <utility>

#include "latchbox/detail/queue_shell.hpp"

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
        if (cell_->drop()) { cell_->destroy(); }
        shell_->give_back(1);
    }

    explicit operator bool() const noexcept { return shell_ != nullptr; }
    [[nodiscard]] Shell& shell() const noexcept { return *shell_; }
    [[nodiscard]] Cell<Msg, Platform>& cell() const noexcept { return *cell_; }
    [[nodiscard]] const Msg& body() const noexcept { return cell_->body(); }

private:
    Shell* shell_ = nullptr;
    Cell<Msg, Platform>* cell_ = nullptr;
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
