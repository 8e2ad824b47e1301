// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/options.hpp"

#include <chrono>
#include <optional>
#include <string>

#include <doctest/doctest.h>

namespace {

using namespace std::chrono_literals;
using latchbox::Backoff;
using latchbox::Duration;
using latchbox::Overflow;
using latchbox::QueueOptions;

TEST_CASE("the defaults of a queue are those that are documented [7.1]") {
    const QueueOptions options;
    CHECK(options.lease == Duration{30s});
    CHECK(options.capacity == 1'048'576);
    CHECK(options.overflow == Overflow::reject);
    CHECK(options.block_for == Duration{5s});
    CHECK(options.max_failures == 0);
    CHECK(options.max_attempts == 0);
    CHECK(options.backoff == Backoff{.first = 100ms, .factor = 2, .limit = 30s});
    CHECK_FALSE(options.dead_capacity.has_value());
    CHECK(options.dedup_window == Duration{2min});
}

TEST_CASE("the defaults of a publish and of a broker wish for nothing [7.1]") {
    const latchbox::PublishOptions publish;
    CHECK(publish.delay == Duration{});
    CHECK(publish.expires_in.is_never());
    CHECK_FALSE(publish.retain_for.has_value());
    CHECK(publish.priority == 0);
    CHECK(publish.dedup.empty());
    CHECK_FALSE(publish.block_for.has_value());
    const latchbox::BrokerOptions broker;
    CHECK(broker.clock == nullptr);
    CHECK(broker.tag.empty());
}

TEST_CASE("the defaults of a subscription are those that are documented [7.1]") {
    const latchbox::SubscriptionOptions options;
    CHECK(options.group.empty());
    CHECK_FALSE(options.durable);
    CHECK_FALSE(options.replay);
    CHECK(options.lease == Duration{30s});
    CHECK(options.capacity == 65'536);
    CHECK_FALSE(options.overflow.has_value());
    CHECK(options.block_for == Duration{5s});
    CHECK(options.max_failures == 0);
    CHECK(options.max_attempts == 0);
    CHECK(options.backoff == Backoff{});
    CHECK_FALSE(options.dead_capacity.has_value());
    CHECK(options.dedup_window == Duration{2min});
    CHECK(options.outcome_memory == 65'536);
}

TEST_CASE("a topic accepts what nobody subscribed to, and retains nothing, unless asked [7.1]") {
    using latchbox::TopicOptions;
    using latchbox::Unrouted;
    const TopicOptions options;
    CHECK(options.unrouted == Unrouted::discard);
    CHECK(options.retain_count == 0);
    CHECK(options.retain_for == Duration{});
    CHECK(options.dedup_window == Duration{2min});
    CHECK(options == TopicOptions{});
    CHECK(options != TopicOptions{.unrouted = Unrouted::reject});
    CHECK(options != TopicOptions{.retain_count = 1});
    CHECK(options != TopicOptions{.retain_for = 1s});
    CHECK(options != TopicOptions{.dedup_window = 1s});
}

TEST_CASE("options are named in the documented order [7.1]") {
    const QueueOptions options{.lease = 1s,
                               .capacity = 2,
                               .overflow = Overflow::block,
                               .block_for = 3s,
                               .max_failures = 4,
                               .max_attempts = 5,
                               .backoff = {.first = 6s, .factor = 7, .limit = 8s},
                               .dead_capacity = 9,
                               .dedup_window = 10s,
                               .outcome_memory = 11};
    CHECK(options == options);
    CHECK(options.dead_capacity == 9U);
    const latchbox::PublishOptions publish{
        .delay = 1s, .expires_in = 2s, .retain_for = 5s, .priority = 3, .dedup = "v",
        .block_for = 4s};
    CHECK(publish.block_for == Duration{4s});
    const latchbox::SubscriptionOptions subscription{.group = "g",
                                                     .durable = true,
                                                     .replay = true,
                                                     .lease = 1s,
                                                     .capacity = 2,
                                                     .overflow = Overflow::drop_newest,
                                                     .block_for = 3s,
                                                     .max_failures = 4,
                                                     .max_attempts = 5,
                                                     .backoff = {.first = 6s},
                                                     .dead_capacity = 7,
                                                     .dedup_window = 9s,
                                                     .outcome_memory = 8};
    CHECK(subscription.outcome_memory == 8);
    const latchbox::TopicOptions topic{
        .unrouted = latchbox::Unrouted::reject, .retain_count = 1, .retain_for = 2s,
        .dedup_window = 3s};
    CHECK(topic.retain_for == Duration{2s});
}

TEST_CASE("queue options differ if any field does") {
    const QueueOptions same;
    CHECK(same == QueueOptions{});
    CHECK(same != QueueOptions{.lease = 1s});
    CHECK(same != QueueOptions{.capacity = 1});
    CHECK(same != QueueOptions{.overflow = Overflow::block});
    CHECK(same != QueueOptions{.block_for = 1s});
    CHECK(same != QueueOptions{.max_failures = 1});
    CHECK(same != QueueOptions{.max_attempts = 1});
    CHECK(same != QueueOptions{.backoff = {.first = 1s}});
    CHECK(same != QueueOptions{.backoff = {.factor = 1}});
    CHECK(same != QueueOptions{.backoff = {.limit = 1h}});
    CHECK(same != QueueOptions{.dead_capacity = 0});
    CHECK(same != QueueOptions{.dedup_window = 1s});
    CHECK(same != QueueOptions{.outcome_memory = 1});
}

TEST_CASE("choices are told as they are spelled [7.1]") {
    using latchbox::OnParentFailure;
    using latchbox::Unrouted;
    const auto told = [](auto choice) { return std::string{to_string(choice)}; };
    CHECK(told(Overflow::reject) == "reject");
    CHECK(told(Overflow::block) == "block");
    CHECK(told(Overflow::drop_oldest) == "drop_oldest");
    CHECK(told(Overflow::drop_newest) == "drop_newest");
    CHECK(told(static_cast<Overflow>(200)) == "unknown");
    CHECK(told(Unrouted::discard) == "discard");
    CHECK(told(Unrouted::reject) == "reject");
    CHECK(told(static_cast<Unrouted>(200)) == "unknown");
    CHECK(told(OnParentFailure::dead_letter) == "dead_letter");
    CHECK(told(OnParentFailure::deliver) == "deliver");
    CHECK(told(OnParentFailure::hold) == "hold");
    CHECK(told(static_cast<OnParentFailure>(200)) == "unknown");
}

}  // namespace
