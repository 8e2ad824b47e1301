// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/view.hpp"

#include <chrono>
#include <utility>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"
#include "support/sound.hpp"
#include "support/tracked_message.hpp"

namespace {

using support::TrackedMessage;
using Shell = latchbox::detail::QueueShell<TrackedMessage, latchbox::Threads>;
using View = latchbox::detail::View<TrackedMessage, latchbox::Threads>;

// A queue with one message, looked at past its handles.
struct Seen {
    latchbox::ManualClock clock;
    latchbox::Broker<TrackedMessage> broker{{.clock = &clock}};
    latchbox::Queue<TrackedMessage> queue = broker.queue("queue");
    Shell& shell = latchbox::detail::Access::shell(queue);

    Seen() { REQUIRE(queue.publish(TrackedMessage{7})); }
    // Sees the body of the first message.
    [[nodiscard]] View view() {
        shell.mutex.lock();
        const auto slot = shell.core.first_ready();
        shell.lend(slot);
        View made{shell, shell.bodies[slot]};
        shell.mutex.unlock();
        return made;
    }
};

TEST_CASE_FIXTURE(Seen, "a view sees a body, and one that was moved from sees nothing") {
    View view = this->view();
    CHECK(static_cast<bool>(view));
    CHECK(view.body().digest() == 7);
    CHECK(&view.shell() == &shell);
    CHECK(view.cell().seen_by_one_handle());
    View moved = std::move(view);
    CHECK_FALSE(static_cast<bool>(view));
    CHECK(moved.body().digest() == 7);
    CHECK(moved.cell().seen_by_one_handle());
    CHECK_FALSE(static_cast<bool>(View{}));
}

TEST_CASE_FIXTURE(Seen, "the last view of a message that left destroys its body [4.8]") {
    {
        View first = view();
        const View second = view();
        CHECK(queue.purge() == 1);
        CHECK(TrackedMessage::live() == 1);
        first = View{};
        CHECK(TrackedMessage::live() == 1);
        CHECK(second.body().digest() == 7);
    }
    CHECK(TrackedMessage::live() == 0);
}

TEST_CASE_FIXTURE(Seen, "a view that ends leaves a body that is still held to the queue [4.8]") {
    { const View seen = view(); }
    CHECK(TrackedMessage::live() == 1);
    CHECK(queue.pop().value().digest() == 7);
}

TEST_CASE_FIXTURE(Seen, "assigning a view ends the sight it had [4.8]") {
    REQUIRE(queue.publish(TrackedMessage{8}));
    View first = view();
    REQUIRE(queue.pop());
    CHECK(TrackedMessage::live() == 2);
    first = view();
    CHECK(TrackedMessage::live() == 1);
    CHECK(first.body().digest() == 8);
    View& same = first;
    first = std::move(same);
    CHECK(first.body().digest() == 8);
}

TEST_CASE_FIXTURE(Seen,
                  "a view is alone with its body if no handle sees it, of whatever copy [6.3]") {
    CHECK(view().is_alone());
    CHECK(view().subject().empty());
    const auto topic = broker.topic("orders.eu");
    const auto one = broker.subscribe("orders.*");
    const auto other = broker.subscribe("orders.*");
    REQUIRE(topic.publish(TrackedMessage{8}, {.retain_for = std::chrono::seconds{5}}));
    Shell& its = latchbox::detail::Access::shell(one);
    its.mutex.lock();
    const auto slot = its.core.first_ready();
    its.lend(slot);
    const View seen{its, its.bodies[slot]};
    its.mutex.unlock();
    CHECK(seen.subject() == "orders.eu");
    CHECK(seen.body().digest() == 8);
    CHECK_FALSE(seen.is_alone());
    CHECK(other.purge() == 1);
    CHECK_FALSE(seen.is_alone());  // it can be read by its id
    clock.advance(std::chrono::seconds{5});
    CHECK(seen.is_alone());
}

TEST_CASE("a view outlives message, handles and broker [4.8]") {
    View kept;
    {
        Seen seen;
        kept = seen.view();
    }
    CHECK(kept.body().digest() == 7);
    CHECK(TrackedMessage::live() == 1);
    kept = View{};
    CHECK(TrackedMessage::live() == 0);
}

}  // namespace
