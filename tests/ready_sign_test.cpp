// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/ready_sign.hpp"

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"

namespace {

// Counts its pauses, and shows the sign at one of them.
struct Lingering : latchbox::SingleThread {
    static constexpr bool lingers = true;
    static int spins() noexcept { return 5; }
    static inline int pauses = 0;
    static inline int shown_at = 0;
    static inline latchbox::detail::ReadySign<Lingering>* sign = nullptr;
    static void pause() noexcept {
        if (++pauses == shown_at) { sign->show(true); }
    }
};

TEST_CASE("who lingers for a message gives up when his spins are used up") {
    latchbox::detail::ReadySign<Lingering> sign;
    Lingering::pauses = Lingering::shown_at = 0;
    int spins = latchbox::detail::spins<Lingering>();
    CHECK(spins == 5);
    sign.await(spins);
    CHECK(spins == 0);
    CHECK(Lingering::pauses == 4);
}

TEST_CASE("who lingers for a message sees that there is one; each try costs him a spin") {
    latchbox::detail::ReadySign<Lingering> sign;
    Lingering::sign = &sign;
    Lingering::pauses = 0;
    Lingering::shown_at = 2;
    int spins = 5;
    sign.await(spins);
    CHECK(spins == 2);
    CHECK(Lingering::pauses == 2);
    sign.await(spins);
    CHECK(spins == 1);
    CHECK(Lingering::pauses == 2);
    sign.show(false);
    spins = 3;
    sign.await(spins);
    CHECK(spins == 0);
    CHECK(Lingering::pauses == 4);
}

TEST_CASE("on a platform where nobody lingers there are no spins") {
    latchbox::detail::ReadySign<latchbox::SingleThread> sign;
    CHECK(latchbox::detail::spins<latchbox::SingleThread>() == 0);
    int spins = 7;
    sign.show(true);
    sign.await(spins);
    CHECK(spins == 0);
}

}  // namespace
