// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>

#include "latchbox/detail/growing.hpp"

namespace support {

/// So many, as new, and room for no more.
template <class T> latchbox::detail::Growing<T> made(std::size_t count) {
    latchbox::detail::Growing<T> all(count);
    while (all.size() != count) { all.add(); }
    return all;
}

}  // namespace support
