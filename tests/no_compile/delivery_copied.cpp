// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
// must say: deleted
#include <latchbox/latchbox.hpp>

latchbox::Delivery<int> copy(const latchbox::Delivery<int>& delivery) { return delivery; }
