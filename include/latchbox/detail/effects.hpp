// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include "latchbox/detail/slot_list.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// What the core asks of the shell: carried out before the call that caused it returns. A list
// through the records themselves, so it never needs memory.
struct Effects {
    // Messages that left: their bodies are no longer the queue's, and once nobody sees a body its
    // slot can be used again.
    SlotList gone;
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
