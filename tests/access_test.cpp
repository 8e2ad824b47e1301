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

TEST_CASE("workers and coroutines see what a handle is of") {
    latchbox::Broker<int> broker;
    const auto queue = broker.queue("queue");
    const auto subscription = broker.subscribe("a");
    CHECK(&*Access::handle(queue) == &Access::shell(queue));
    CHECK_FALSE(Access::member(queue));
    CHECK(Access::member(subscription));
    const latchbox::Consumer<int> consumer = subscription;
    CHECK(Access::member(consumer).get() == Access::member(subscription).get());
    const auto latch = broker.latch(queue.publish(1).value());
    CHECK(&*Access::asked(latch).broker == &*Access::shell(queue).broker);
}

TEST_CASE("a delivery that is taken back was never handed out") {
    latchbox::Broker<int> broker;
    const auto queue = broker.queue("queue");
    REQUIRE(queue.publish(1));
    {
        auto delivery = queue.try_fetch();
        Access::take_back(*delivery);
        CHECK(delivery->ack() == latchbox::Errc::already_settled);
    }
    CHECK(queue.stats().ready == 1);
    CHECK(queue.stats().abandoned == 0);
    CHECK(queue.try_fetch()->attempt() == 1);
}

}  // namespace
