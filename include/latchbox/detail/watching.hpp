// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <memory>
#include <type_traits>

#include "latchbox/detail/settling.hpp"
#include "latchbox/platform.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// How somebody learns that a lease is over, by a stop token. The core keeps the watch with the
// lease and notes its end, whoever brings that about; the token is stopped outside every lock, as
// that runs code of users. [7.7]
template <class Msg, class Platform> class Watching {
public:
    using Shell = QueueShell<Msg, Platform>;
    using StopToken = typename Platform::StopToken;
    using Holder = typename Settling<Msg, Platform>::Holder;

    // One that was stopped, if the lease is over. May throw std::bad_alloc.
    [[nodiscard]] static StopToken token(Shell& shell, const Holder& holder) LATCHBOX_UNCHECKED {
        if constexpr (stops) {
            for (std::unique_ptr<Watch> made;; made = std::make_unique<Watch>()) {
                shell.enter();
                if (shell.is_closed() || !shell.core.holds(holder.slot, holder.lease)) {
                    shell.mutex.unlock();
                    return stopped();
                }
                Watch* const watch = watch_over(shell, holder.slot, made);
                auto token = watch != nullptr ? watch->source.get_token() : StopToken{};
                shell.mutex.unlock();
                if (watch != nullptr) { return token; }
            }
        } else {
            return {};
        }
    }
    [[nodiscard]] static StopToken stopped() {
        typename Platform::StopSource source;
        source.request_stop();
        return source.get_token();
    }
    // Not under a lock.
    static void tell(LeaseWatch* over) noexcept {
        while (over != nullptr) {
            const std::unique_ptr<Watch> watch{static_cast<Watch*>(over)};
            over = over->next;
            watch->source.request_stop();
        }
    }

private:
    struct Watch : LeaseWatch {
        typename Platform::StopSource source;
    };
    // The one that is there, or else `made`; or nullptr.
    static Watch* watch_over(Shell& shell, Slot slot, std::unique_ptr<Watch>& made) noexcept
        LATCHBOX_REQUIRES(shell.mutex) {
        auto* const there = static_cast<Watch*>(shell.core.history(slot).watch);
        if (there != nullptr || !made) { return there; }
        shell.core.watch_lease(slot, *made);
        return made.release();
    }
    // Whether the platform has tokens that stop.
    static constexpr bool stops = !std::is_same_v<StopToken, NeverStops>;
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
