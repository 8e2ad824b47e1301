// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "latchbox/detail/shelf.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// Bodies taken from the shelf and not issued yet; `made` of them hold a message.
template <class Msg, class Platform> struct Drafts {
    using Shelf = detail::Shelf<Msg, Platform>;
    using Body = SharedBody<Msg, Platform>;

    Shelf& shelf;
    std::span<Body*> bodies;
    std::size_t taken = 0;
    std::size_t made = 0;

    Drafts(Shelf& on, std::span<Body*> all) noexcept : shelf{on}, bodies{all} {}
    Drafts(const Drafts&) = delete;
    Drafts& operator=(const Drafts&) = delete;
    ~Drafts() {
        while (made != 0) { bodies[--made]->destroy(); }
        Body* chain = nullptr;
        while (taken != 0) {
            std::vector<MessageId>{}.swap(bodies[--taken]->parents);
            bodies[taken]->next = chain;
            chain = bodies[taken];
        }
        if (chain != nullptr) { shelf.put_back(chain); }
    }
    void take(bool ages) {
        Body* chain = shelf.take(bodies.size(), ages);
        for (; chain != nullptr; chain = chain->next) { bodies[taken++] = chain; }
    }
    // A body whose move may throw is made without a lock, and copied rather than moved where that
    // can be, so that nothing was moved from if the publish is refused after all. One that cannot
    // be copied is then accepted all the same, beyond capacity if need be.
    template <class Source> void make(Source& message) {
        if constexpr (std::is_copy_constructible_v<Msg>) {
            bodies[made]->construct(std::as_const(message));
        } else {
            bodies[made]->construct(std::move(message));
        }
        ++made;
    }
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
