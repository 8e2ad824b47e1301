// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
// must say: latchbox: workers need a platform that can wait
#include <latchbox/latchbox.hpp>
#include <latchbox/workers.hpp>

void work(const latchbox::Queue<int, latchbox::SingleThread>& queue) {
    latchbox::Workers workers{queue, {}, [](const int&) {}};
}
