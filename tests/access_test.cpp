// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/access.hpp"

#include <type_traits>
#include <utility>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"

namespace {

using latchbox::detail::Access;
using latchbox::detail::QueueCore;

TEST_CASE("tests see the core of a queue, to read and to copy") {
    latchbox::Broker<int> broker;
    const auto queue = broker.queue("queue", {.capacity = 5});
    static_assert(std::is_same_v<decltype(Access::core(queue)), const QueueCore&>);
    REQUIRE(queue.publish(1));
    const QueueCore before = Access::core(queue);
    REQUIRE(queue.publish(2));
    CHECK(before.held() == 1);
    CHECK(Access::core(queue).held() == 2);
    CHECK(Access::core(queue).options().capacity == 5);
    CHECK(Access::core(queue).audit() == nullptr);
    CHECK(before.audit() == nullptr);
}

TEST_CASE("all handles of one queue have one shell") {
    latchbox::Broker<int> broker;
    const auto queue = broker.queue("queue");
    const latchbox::Consumer<int>& consumer = queue;
    CHECK(&Access::shell(consumer) == &Access::shell(*broker.find_queue("queue")));
    CHECK(&Access::shell(consumer) != &Access::shell(broker.queue("other")));
    CHECK(Access::shell(queue).name() == "queue");
}

TEST_CASE("handles are made of what their private constructors take") {
    latchbox::Broker<int> broker;
    const auto queue = broker.queue("queue");
    auto& shell = Access::shell(queue);
    using Reference = latchbox::detail::Reference<std::remove_reference_t<decltype(shell)>>;
    const auto again = Access::make<latchbox::Queue<int>>(Reference::to(shell));
    CHECK(again == queue);
    CHECK(again.name() == "queue");
}

}  // namespace
