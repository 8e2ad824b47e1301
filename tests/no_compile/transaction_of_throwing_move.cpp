// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
// must say: latchbox: what is committed with others needs a Msg that can be copied
#include <latchbox/latchbox.hpp>

struct ThrowingMove {
    ThrowingMove() = default;
    ThrowingMove(ThrowingMove&&) noexcept(false) {}
};

auto committed(latchbox::Transaction<ThrowingMove>& transaction) { return transaction.commit(); }
