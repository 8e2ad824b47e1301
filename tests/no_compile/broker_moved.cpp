// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
// must say: deleted
#include <latchbox/latchbox.hpp>

latchbox::Broker<int> moved(latchbox::Broker<int>& broker) {
    return static_cast<latchbox::Broker<int>&&>(broker);
}
