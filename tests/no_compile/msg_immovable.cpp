// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
// must say: latchbox: Msg must be movable
#include <latchbox/latchbox.hpp>

struct Immovable {
    Immovable() = default;
    Immovable(Immovable&&) = delete;
};

latchbox::Broker<Immovable> broker;
