// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
// must say: deleted
#include <latchbox/latchbox.hpp>

latchbox::Subscription<int> copy(const latchbox::Subscription<int>& subscription) {
    return subscription;
}
