// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/topic.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"
#include "support/message_kinds.hpp"
#include "support/sound.hpp"
#include "support/tracked_message.hpp"

// The handle of a topic: copies of it, what it moves from and what it copies.
namespace {

using namespace std::chrono_literals;
using latchbox::Errc;
using support::TrackedMessage;
using Topic = latchbox::Topic<TrackedMessage>;

static_assert(std::is_nothrow_copy_constructible_v<Topic> &&
              std::is_nothrow_copy_assignable_v<Topic>);
static_assert(std::is_nothrow_move_constructible_v<Topic> &&
              std::is_nothrow_move_assignable_v<Topic>);
static_assert(!std::is_default_constructible_v<Topic>);
template <class T>
concept publishes_copies = requires(const latchbox::Topic<T>& topic, const T& message) {
    topic.publish(message);
};
static_assert(publishes_copies<std::string> && !publishes_copies<support::MoveOnly>);

struct Handled {
    latchbox::ManualClock clock;
    std::optional<latchbox::Broker<TrackedMessage>> broker{
        std::in_place, latchbox::BrokerOptions{.clock = &clock}};
    Topic topic = broker->topic("orders.eu");
};

TEST_CASE_FIXTURE(Handled, "all handles of one subject are alike, and name it") {
    const Topic same = broker->topic("orders.eu");
    Topic other = broker->topic("orders.us");
    CHECK(topic == same);
    CHECK(topic != other);
    CHECK(other.subject() == "orders.us");
    other = topic;
    CHECK(other == same);
    CHECK(other.subject() == "orders.eu");
    const Topic moved = std::move(other);
    CHECK(moved == same);
    CHECK(other == same);  // it still names its topic
    REQUIRE(moved.publish(TrackedMessage{1}));
    CHECK(same.stats().published == 1);
}

TEST_CASE_FIXTURE(Handled, "what is given away is moved once, what is lent is copied once [4.11]") {
    const auto subscription = broker->subscribe("orders.*");
    TrackedMessage::reset();
    const TrackedMessage lent{1};
    REQUIRE(topic.publish(lent));
    CHECK(TrackedMessage::copies() == 1);
    CHECK(lent.digest() == 1);
    TrackedMessage given{2};
    TrackedMessage::reset();
    REQUIRE(topic.publish(std::move(given)));
    CHECK(TrackedMessage::copies() == 0);
    CHECK(given.is_moved_from());
    CHECK(support::work_off(subscription).size() == 2);
}

TEST_CASE_FIXTURE(Handled, "what is refused at the door is not even copied [4.11] [7.7]") {
    broker->close();
    TrackedMessage::reset();
    const TrackedMessage lent{1};
    CHECK(topic.publish(lent) == Errc::closed);
    CHECK(TrackedMessage::copies() == 0);
}

TEST_CASE_FIXTURE(Handled, "a copy that throws leaves everything as it was [4.11]") {
    const auto subscription = broker->subscribe("orders.*");
    const TrackedMessage lent{1};
    TrackedMessage::throw_at_copy(1);
    CHECK_THROWS_AS(static_cast<void>(topic.publish(lent)), support::TrackedFault);
    CHECK(topic.stats() == latchbox::TopicStats{});
    CHECK(subscription.stats() == latchbox::QueueStats{});
    REQUIRE(topic.publish(lent));
    CHECK(subscription.try_fetch()->body().digest() == 1);
    support::check_sound(subscription);
}

TEST_CASE_FIXTURE(Handled,
                  "a batch gives the ids of its messages in their order; an empty one none") {
    const auto subscription = broker->subscribe("orders.*");
    std::vector<TrackedMessage> batch;
    const auto nothing = topic.publish_batch(batch);
    REQUIRE(nothing);
    CHECK(nothing->empty());
    CHECK(topic.stats().published == 0);
    for (std::uint64_t n = 0; n < 5; ++n) { batch.emplace_back(n); }
    const auto ids = topic.publish_batch(batch);
    REQUIRE(ids);
    REQUIRE(ids->size() == 5);
    for (std::uint64_t n = 0; n < 5; ++n) {
        CHECK(batch[n].is_moved_from());
        const auto delivery = subscription.try_fetch();
        CHECK(delivery->id() == (*ids)[n]);
        CHECK(delivery->body().digest() == n);
        CHECK(delivery->subject() == "orders.eu");
    }
}

TEST_CASE_FIXTURE(Handled, "a handle outlives its broker, and says closed [4.8]") {
    const auto id = topic.publish(TrackedMessage{1}, {.retain_for = 1h});
    REQUIRE(id);
    const Topic copy = topic;
    const auto read = topic.read(*id);
    broker.reset();
    for (const Topic* handle : {&std::as_const(topic), &copy}) {
        CHECK(handle->subject() == "orders.eu");
        CHECK(handle->publish(TrackedMessage{1}) == Errc::closed);
        CHECK(handle->read(*id) == Errc::closed);
        CHECK(handle->stats().published == 1);
        CHECK(*handle == topic);
    }
    CHECK((*read)->digest() == 1);
}

TEST_CASE("what can only be moved is published, read and moved out again [6.3] [6.6]") {
    using support::MoveOnly;
    latchbox::ManualClock clock;
    latchbox::Broker<MoveOnly> broker{{.clock = &clock}};
    const auto topic = broker.topic("t");
    const auto subscription = broker.subscribe("t");
    std::vector<MoveOnly> batch;
    for (int n = 1; n <= 2; ++n) { batch.emplace_back(n); }
    const auto ids = topic.publish_batch(batch, {.retain_for = 1s});
    REQUIRE(ids);
    auto body = topic.read((*ids)[0]);
    CHECK((*body)->number() == 1);
    CHECK(subscription.pop() == Errc::body_shared);
    body = Errc::empty;
    clock.advance(1s);
    CHECK(subscription.pop()->number() == 1);
    CHECK(subscription.pop()->number() == 2);
}

TEST_CASE("a handle that alone kept what is left of a broker is given another topic [4.8]") {
    std::optional<latchbox::Topic<int>> topic;
    {
        latchbox::Broker<int> gone;
        topic = gone.topic("orders.eu");
    }
    latchbox::Broker<int> broker;
    topic = broker.topic("orders.us");
    CHECK(topic->publish(1));
    CHECK(topic->subject() == "orders.us");
}

TEST_CASE("what was left in very many topics is explained after the close [5.9] [7.5]") {
    latchbox::Broker<int> broker;
    const auto all = broker.subscribe(">");
    std::vector<latchbox::MessageId> ids;
    const auto subject = [](int i) { return "a.rather.long.subject." + std::to_string(i); };
    for (int i = 0; i < 1'000; ++i) { ids.push_back(broker.topic(subject(i)).publish(i).value()); }
    broker.close();
    for (int i = 0; i < 1'000; ++i) {
        const auto said = broker.explain(ids[static_cast<std::size_t>(i)]);
        CHECK(said.subject == subject(i));
        CHECK(said.state == latchbox::MessageState::pending);
    }
}

}  // namespace
