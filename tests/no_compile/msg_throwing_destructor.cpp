// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
// must say: latchbox: Msg must have a destructor that does not throw
#include <latchbox/latchbox.hpp>

struct Throwing {
    ~Throwing() noexcept(false) {}
};

latchbox::Broker<Throwing> broker;
