// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
// must say: latchbox: Msg must be an object type, neither reference nor cv-qualified nor an array
#include <latchbox/latchbox.hpp>

latchbox::Broker<void> broker;
