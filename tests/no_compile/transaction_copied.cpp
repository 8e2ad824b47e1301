// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
// must say: deleted
#include <latchbox/latchbox.hpp>

latchbox::Transaction<int> copy(const latchbox::Transaction<int>& transaction) {
    return transaction;
}
