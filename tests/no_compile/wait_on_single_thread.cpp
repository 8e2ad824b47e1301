// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
// must say: can_wait
#include <latchbox/latchbox.hpp>

auto waited(const latchbox::Latch<int, latchbox::SingleThread>& latch) { return latch.wait(); }
