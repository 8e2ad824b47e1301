// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/option_checks.hpp"

#include <chrono>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include <doctest/doctest.h>

#include "latchbox/clock.hpp"

namespace {

using namespace std::chrono_literals;
using latchbox::BrokerOptions;
using latchbox::Duration;
using latchbox::Overflow;
using latchbox::QueueOptions;
using latchbox::SubscriptionOptions;
using latchbox::TopicOptions;
using latchbox::detail::is_usable;
using latchbox::detail::queue_options;
using latchbox::detail::require_same;
using latchbox::detail::require_usable;
using latchbox::detail::usable;

// What is said of the options, or nothing.
std::string said_of(const QueueOptions& options, bool can_wait = true) {
    try {
        require_usable(options, can_wait);
    } catch (const std::invalid_argument& error) { return error.what(); }
    return {};
}

std::string said_of(std::string_view pattern, const SubscriptionOptions& options,
                    bool can_wait = true) {
    try {
        require_usable(pattern, options, can_wait);
    } catch (const std::invalid_argument& error) { return error.what(); }
    return {};
}

TEST_CASE("unusable options throw and name the field [7.1] [7.6]") {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    const std::pair<QueueOptions, std::string> unusable[] = {
        {{.lease = 0s}, "QueueOptions.lease"},
        {{.lease = -1ns}, "QueueOptions.lease"},
        {{.lease = std::chrono::duration<double>{nan}}, "QueueOptions.lease"},
        {{.overflow = Overflow::drop_newest}, "QueueOptions.overflow"},
        {{.block_for = -1ns}, "QueueOptions.block_for"},
        {{.backoff = {.first = -1ns}}, "QueueOptions.backoff.first"},
        {{.backoff = {.factor = 0}}, "QueueOptions.backoff.factor"},
        {{.backoff = {.first = 2s, .limit = 1s}}, "QueueOptions.backoff.limit"},
        {{.backoff = {.first = 0s, .limit = -1ns}}, "QueueOptions.backoff.limit"},
        {{.dedup_window = -1ns}, "QueueOptions.dedup_window"},
    };
    for (const auto& [options, field] : unusable) {
        const std::string said = said_of(options);
        INFO(said);
        CHECK(said.rfind("latchbox: " + field, 0) == 0);
    }
}

TEST_CASE("the extremes that mean something are usable [7.1] [7.6]") {
    CHECK(said_of({}) == "");
    CHECK(said_of({.lease = 1ns}) == "");
    CHECK(said_of({.lease = std::chrono::hours::max()}) == "");
    CHECK(said_of({.capacity = 0}) == "");
    CHECK(said_of({.overflow = Overflow::block, .block_for = 0s}) == "");
    CHECK(said_of({.overflow = Overflow::drop_oldest}) == "");
    CHECK(said_of({.backoff = {.first = 0s, .factor = 1, .limit = 0s}}) == "");
    CHECK(said_of({.backoff = {.first = Duration::never(), .limit = Duration::never()}}) == "");
    CHECK(said_of({.dead_capacity = 0}) == "");
}

TEST_CASE("where nobody can wait a queue cannot block [7.1] [7.2]") {
    CHECK(said_of({.overflow = Overflow::block}, true) == "");
    CHECK(said_of({.overflow = Overflow::block}, false).find("overflow") != std::string::npos);
    CHECK(said_of({.overflow = Overflow::drop_oldest}, false) == "");
}

TEST_CASE("a queue asked for with other options is refused, and the field is named [7.1]") {
    const QueueOptions there;
    CHECK_NOTHROW(require_same(there, {}));
    const std::pair<QueueOptions, std::string> others[] = {
        {{.lease = 1s}, "lease"},
        {{.capacity = 7}, "capacity"},
        {{.overflow = Overflow::block}, "overflow"},
        {{.block_for = 1s}, "block_for"},
        {{.max_failures = 1}, "max_failures"},
        {{.max_attempts = 1}, "max_attempts"},
        {{.backoff = {.first = 1s}}, "backoff"},
        {{.backoff = {.factor = 3}}, "backoff"},
        {{.backoff = {.limit = 1h}}, "backoff"},
        {{.dead_capacity = 0}, "dead_capacity"},
        {{.dedup_window = 0s}, "dedup_window"},
        {{.lease = 1s, .dead_capacity = 0}, "lease"},
    };
    for (const auto& [asked, field] : others) {
        CHECK_NOTHROW(require_same(asked, asked));
        std::string said;
        try {
            require_same(there, asked);
        } catch (const std::invalid_argument& error) { said = error.what(); }
        const std::string end = "QueueOptions." + field;
        REQUIRE(said.size() > end.size());
        CHECK(said.substr(said.size() - end.size()) == end);
    }
}

TEST_CASE("unusable options of a subscription throw and name the field [7.1] [7.6]") {
    const std::pair<SubscriptionOptions, std::string> unusable[] = {
        {{.durable = true}, "SubscriptionOptions.durable"},
        {{.lease = 0s}, "SubscriptionOptions.lease"},
        {{.block_for = -1ns}, "SubscriptionOptions.block_for"},
        {{.backoff = {.first = -1ns}}, "SubscriptionOptions.backoff.first"},
        {{.backoff = {.factor = 0}}, "SubscriptionOptions.backoff.factor"},
        {{.backoff = {.first = 2s, .limit = 1s}}, "SubscriptionOptions.backoff.limit"},
        {{.dedup_window = -1ns}, "SubscriptionOptions.dedup_window"},
    };
    for (const auto& [options, field] : unusable) {
        const std::string said = said_of("a", options);
        INFO(said);
        CHECK(said.rfind("latchbox: " + field, 0) == 0);
    }
    CHECK(said_of("a", {.overflow = Overflow::block}, false).find("overflow") != std::string::npos);
}

TEST_CASE("a pattern may have wildcards, the name of a group may not [6.1]") {
    CHECK(said_of("a.*.>", {}) == "");
    CHECK(said_of("a.*.>", {.group = "b.c", .durable = true}) == "");
    CHECK(said_of("", {}) != "");
    CHECK(said_of("a..b", {}) != "");
    CHECK(said_of(">.a", {}) != "");
    CHECK(said_of("a", {.group = "b.*"}) != "");
    CHECK(said_of("a", {.group = "b."}) != "");
}

TEST_CASE("a subscription may drop the newest, or nothing at all; a queue may not [7.2]") {
    for (const Overflow overflow :
         {Overflow::reject, Overflow::drop_oldest, Overflow::drop_newest, Overflow::block}) {
        CHECK(said_of("a", {.overflow = overflow}) == "");
        CHECK(queue_options({.overflow = overflow}).overflow == overflow);
    }
    CHECK(said_of({.overflow = Overflow::drop_newest}) != "");
}

TEST_CASE("a slow subscriber loses copies, a durable one refuses them, unless it says how [7.1]") {
    CHECK(queue_options({}).overflow == Overflow::drop_oldest);
    CHECK(queue_options({.group = "g"}).overflow == Overflow::drop_oldest);
    CHECK(queue_options({.group = "g", .durable = true}).overflow == Overflow::reject);
    CHECK(queue_options({.durable = true, .overflow = Overflow::block}).overflow ==
          Overflow::block);
}

TEST_CASE("the queue of a subscription has all that was asked for [7.1]") {
    const SubscriptionOptions asked{.lease = 1s,
                                    .capacity = 2,
                                    .overflow = Overflow::block,
                                    .block_for = 3s,
                                    .max_failures = 4,
                                    .max_attempts = 5,
                                    .backoff = {.first = 6s, .factor = 7, .limit = 8s},
                                    .dead_capacity = 9,
                                    .dedup_window = 11s,
                                    .outcome_memory = 10};
    CHECK(queue_options(asked) == QueueOptions{.lease = 1s,
                                               .capacity = 2,
                                               .overflow = Overflow::block,
                                               .block_for = 3s,
                                               .max_failures = 4,
                                               .max_attempts = 5,
                                               .backoff = {.first = 6s, .factor = 7, .limit = 8s},
                                               .dead_capacity = 9,
                                               .dedup_window = 11s,
                                               .outcome_memory = 10});
}

TEST_CASE("options of a broker: a clock, where the platform has no time") {
    latchbox::SteadyClock clock;
    const BrokerOptions without;
    const BrokerOptions with{.clock = &clock};
    CHECK(&usable(without, false) == &without);
    CHECK(&usable(with, true) == &with);
    CHECK_THROWS_WITH_AS(static_cast<void>(usable(without, true)),
                         doctest::Contains("BrokerOptions.clock"), std::invalid_argument);
}

TEST_CASE("options of a topic: no negative time, and the same for all who ask [7.1]") {
    CHECK_NOTHROW(require_usable(TopicOptions{.retain_count = 1, .retain_for = 0s}));
    CHECK_THROWS_WITH_AS(require_usable(TopicOptions{.retain_for = -1ns}),
                         doctest::Contains("TopicOptions.retain_for"), std::invalid_argument);
    CHECK_NOTHROW(require_usable(TopicOptions{.dedup_window = 0s}));
    CHECK_THROWS_WITH_AS(require_usable(TopicOptions{.dedup_window = -1ns}),
                         doctest::Contains("TopicOptions.dedup_window"), std::invalid_argument);
    const TopicOptions there;
    CHECK_NOTHROW(require_same(there, TopicOptions{}));
    const std::pair<TopicOptions, std::string> others[] = {
        {{.unrouted = latchbox::Unrouted::reject}, "TopicOptions.unrouted"},
        {{.retain_count = 1}, "TopicOptions.retain_count"},
        {{.retain_for = 1s}, "TopicOptions.retain_for"},
        {{.dedup_window = 1s}, "TopicOptions.dedup_window"},
    };
    for (const auto& [asked, field] : others) {
        CHECK_NOTHROW(require_same(asked, asked));
        CHECK_THROWS_WITH_AS(require_same(there, asked), doctest::Contains(field.c_str()),
                             std::invalid_argument);
    }
}

TEST_CASE("a group asked for with other options is refused as a group, by its field [7.1]") {
    using latchbox::detail::of_subscription;
    CHECK_THROWS_WITH_AS(
        require_same(queue_options({}), queue_options({.lease = 1s}), of_subscription),
        "latchbox: the group is there with another SubscriptionOptions.lease",
        std::invalid_argument);
}

TEST_CASE("what one message wishes: of a queue and of a topic the same, but to be kept [7.1]") {
    for (const bool to_topic : {false, true}) {
        CHECK(is_usable({}, to_topic));
        CHECK(is_usable({.delay = 1s, .expires_in = 1s + 1ns, .priority = 9}, to_topic));
        CHECK(is_usable({.block_for = 0s}, to_topic));
        CHECK_FALSE(is_usable({.delay = -1ns}, to_topic));
        CHECK_FALSE(is_usable({.delay = 1s, .expires_in = 1s}, to_topic));
        CHECK_FALSE(is_usable({.expires_in = 0s}, to_topic));
        CHECK_FALSE(is_usable({.priority = 10}, to_topic));
        CHECK_FALSE(is_usable({.block_for = -1ns}, to_topic));
        CHECK_FALSE(is_usable({.retain_for = -1ns}, to_topic));
        CHECK(is_usable({.retain_for = 0s}, to_topic) == to_topic);
        CHECK(is_usable({.retain_for = 1h}, to_topic) == to_topic);
    }
}

TEST_CASE("a value names one message: of a batch only where that is one, or none [7.1]") {
    for (const bool to_topic : {false, true}) {
        for (std::size_t count = 0; count < 4; ++count) {
            CHECK(is_usable({}, to_topic, count));
            CHECK(is_usable({.dedup = "v"}, to_topic, count) == (count <= 1));
        }
        CHECK(is_usable({.dedup = "v"}, to_topic));
    }
}

TEST_CASE("whoever wishes for nothing wishes what an empty option does [7.1]") {
    const auto& none = latchbox::detail::no_wishes;
    CHECK(none.parents.empty());
    CHECK(none.key.empty());
    CHECK(none.dedup.empty());
    CHECK(none.expires_in.is_never());
    CHECK(is_usable(none, true, 1'000));
}

TEST_CASE("who is there with other options is named: a queue, or a group [7.1] [6.2]") {
    const auto said = [](latchbox::detail::OptionsName whose) -> std::string {
        try {
            require_same(latchbox::QueueOptions{}, {.capacity = 1}, whose);
        } catch (const std::invalid_argument& error) { return error.what(); }
        return {};
    };
    CHECK(said(latchbox::detail::of_queue).find("the queue is there with another ") !=
          std::string::npos);
    CHECK(said(latchbox::detail::of_subscription).find("the group is there with another ") !=
          std::string::npos);
}

TEST_CASE("what is never offered may live for ever [7.1]") {
    CHECK(is_usable({.delay = latchbox::Duration::never()}, false));
    CHECK_FALSE(is_usable({.delay = latchbox::Duration::never(), .expires_in = 1s}, false));
}

}  // namespace
