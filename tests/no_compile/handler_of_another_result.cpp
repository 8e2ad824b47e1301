// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
// must say: latchbox: a handler returns nothing, or a bool
#include <latchbox/latchbox.hpp>
#include <latchbox/workers.hpp>

void work(const latchbox::Queue<int>& queue) {
    latchbox::Workers workers{queue, {}, [](const int& number) { return number; }};
}
