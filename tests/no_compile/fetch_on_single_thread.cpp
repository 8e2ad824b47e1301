// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
// must say: can_wait
#include <latchbox/latchbox.hpp>

auto fetched(const latchbox::Consumer<int, latchbox::SingleThread>& consumer) {
    return consumer.fetch();
}
