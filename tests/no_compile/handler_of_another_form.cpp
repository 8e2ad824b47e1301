// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
// must say: latchbox: a handler takes a Delivery& or a const Msg&, and perhaps a stop token
#include <latchbox/latchbox.hpp>
#include <latchbox/workers.hpp>

struct Other {};

void work(const latchbox::Queue<int>& queue) {
    latchbox::Workers workers{queue, {}, [](const Other&) {}};
}
