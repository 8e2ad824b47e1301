// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/ready_sign.hpp"

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"

namespace {

// Counts its pauses, and shows the sign at one of them.
struct Looking : latchbox::SingleThread {
    static constexpr bool looks = true;
    static int patience() noexcept { return 5; }
    static inline int pauses = 0;
    static inline int shown_at = 0;
    static inline latchbox::detail::ReadySign<Looking>* sign = nullptr;
    static void pause() noexcept {
        if (++pauses == shown_at) { sign->show(true); }
    }
};

TEST_CASE("who looks for a message gives up when its patience is used up") {
    latchbox::detail::ReadySign<Looking> sign;
    Looking::pauses = Looking::shown_at = 0;
    int patience = latchbox::detail::patience<Looking>();
    sign.await(patience);
    CHECK(patience == 0);
    CHECK(Looking::pauses == 5);
    sign.await(patience);
    CHECK(Looking::pauses == 5);
}

TEST_CASE("who looks for a message sees that there is one, and keeps what patience is left") {
    latchbox::detail::ReadySign<Looking> sign;
    Looking::sign = &sign;
    Looking::pauses = 0;
    Looking::shown_at = 2;
    int patience = Looking::patience();
    sign.await(patience);
    CHECK(patience == 3);
    sign.await(patience);
    CHECK(patience == 3);
    CHECK(Looking::pauses == 2);
    sign.show(false);
    sign.await(patience);
    CHECK(patience == 0);
}

TEST_CASE("a platform that does not look has no patience") {
    latchbox::detail::ReadySign<latchbox::SingleThread> sign;
    CHECK(latchbox::detail::patience<latchbox::SingleThread>() == 0);
    int patience = 7;
    sign.show(true);
    sign.await(patience);
    CHECK(patience == 0);
}

}  // namespace
