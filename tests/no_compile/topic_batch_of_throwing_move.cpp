// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
// must say: latchbox: publish_batch needs a Msg that can be copied, or moved without throwing
#include <span>

#include <latchbox/latchbox.hpp>

struct ThrowingMove {
    ThrowingMove() = default;
    ThrowingMove(ThrowingMove&&) noexcept(false) {}
};

auto published(const latchbox::Topic<ThrowingMove>& topic, std::span<ThrowingMove> batch) {
    return topic.publish_batch(batch);
}
