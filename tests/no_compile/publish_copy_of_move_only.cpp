// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
// must say: cannot bind rvalue reference|is_copy_constructible
#include <memory>

#include <latchbox/latchbox.hpp>

auto published(const latchbox::Queue<std::unique_ptr<int>>& queue,
               const std::unique_ptr<int>& message) {
    return queue.publish(message);
}
