// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/reading.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"
#include "support/failing_new.hpp"
#include "support/tracked_message.hpp"

// How what is retained is read: who holds a body then, and what is said where there is none.
namespace {

using namespace std::chrono_literals;
using latchbox::Errc;
using latchbox::MessageId;
using latchbox::detail::IdParts;
using latchbox::detail::Reference;
using latchbox::detail::TopicNumber;
using support::TrackedMessage;
using Platform = latchbox::SingleThread;
using Reading = latchbox::detail::Reading<TrackedMessage, Platform>;
using Broker = Reading::Broker;
using Topic = Reading::Topic;
using Naming = latchbox::detail::Naming<TrackedMessage, Platform>;
using Spreading = latchbox::detail::Spreading<TrackedMessage, Platform>;

struct Read {
    latchbox::ManualClock clock;
    Reference<Broker> broker{new Broker{{.clock = &clock}}};
    Reference<Topic> topic = Naming::topic(*broker, "topic");
    Reference<Topic> other = Naming::topic(*broker, "other");

    ~Read() {
        topic = other = {};
        if (broker) { broker->end(); }
    }
    static MessageId publish(Topic& to, std::uint64_t value, latchbox::Duration kept) {
        TrackedMessage message{value};
        const latchbox::PublishOptions options{.retain_for = kept};
        return Spreading{to, options, {}}.one(message).value();
    }
};

TEST_CASE_FIXTURE(Read, "every reader sees the body itself, while it is retained [6.6]") {
    const MessageId id = publish(*topic, 7, 10s);
    const auto one = Reading::read(*topic, id);
    const auto same = Reading::read(*topic, id);
    REQUIRE(one);
    CHECK((*one)->digest() == 7);
    CHECK(one->get() == same->get());
    clock.advance(10s - 1ns);
    CHECK(Reading::read(*topic, id)->get() == one->get());
    clock.advance(1ns);
    CHECK(Reading::read(*topic, id) == Errc::expired);
    CHECK((*one)->digest() == 7);
}

TEST_CASE_FIXTURE(Read, "an id that is not of this subject is unknown, one that is has expired") {
    const MessageId kept = publish(*topic, 1, 10s);
    const MessageId others = publish(*other, 2, 10s);
    const MessageId never = publish(*topic, 3, 0s);
    const MessageId others_gone = publish(*other, 4, 0s);
    REQUIRE(topic->mark != other->mark);
    CHECK(Reading::read(*topic, others) == Errc::unknown_message);
    CHECK(Reading::read(*topic, others_gone) == Errc::unknown_message);
    CHECK(Reading::read(*topic, never) == Errc::expired);
    CHECK(Reading::read(*topic, {}) == Errc::unknown_message);
    const auto of = [&](std::uint32_t issuer, std::uint64_t sequence) {
        return IdParts::message(issuer, TopicNumber::join(sequence, topic->mark), 0);
    };
    CHECK(Reading::read(*topic, of(broker->shelf.issuer, 5)) == Errc::unknown_message);
    CHECK(Reading::read(*topic, of(broker->shelf.issuer, 0)) == Errc::unknown_message);
    CHECK(Reading::read(*topic, of(broker->latches.issuer, 1)) == Errc::unknown_message);
    CHECK(Reading::read(*topic, kept));
    broker->close();
    CHECK(Reading::read(*topic, kept) == Errc::closed);
    CHECK(Reading::read(*topic, {}) == Errc::closed);
}

TEST_CASE_FIXTURE(Read, "a body lives as long as its last reader, whatever he outlives [4.8]") {
    std::vector<std::shared_ptr<const TrackedMessage>> readers;
    for (int i = 0; i < 3; ++i) {
        readers.push_back(
            Reading::read(*topic, publish(*topic, static_cast<std::uint64_t>(i), 10s)).value());
    }
    clock.advance(10s);
    broker->poll();
    CHECK(broker->stats().retained == 0);
    CHECK(TrackedMessage::live() == 3);
    readers[0].reset();
    CHECK(TrackedMessage::live() == 2);
    broker->close();
    readers[1].reset();
    CHECK(TrackedMessage::live() == 1);
    topic = other = {};
    broker->end();
    broker = {};
    CHECK(readers[2]->digest() == 2);
    readers[2].reset();
    CHECK(TrackedMessage::live() == 0);
}

TEST_CASE_FIXTURE(Read, "where there is no memory for a reader he holds nothing [4.11]") {
    const MessageId id = publish(*topic, 7, 10s);
    for (std::uint64_t nth = 1;; ++nth) {
        std::optional<std::shared_ptr<const TrackedMessage>> body;
        {
            const support::FailingNew failing{support::Failing::nth, nth};
            try {
                body = Reading::read(*topic, id).value();
            } catch (const std::bad_alloc&) {}
        }
        if (body) {
            CHECK(nth == 2);
            break;
        }
    }
    CHECK(TrackedMessage::live() == 1);
    clock.advance(10s);
    broker->poll();
    CHECK(TrackedMessage::live() == 0);
}

TEST_CASE_FIXTURE(Read, "counts are those of one subject, and of the instant [6.6]") {
    publish(*topic, 1, 10s);
    publish(*topic, 2, 20s);
    publish(*other, 3, 10s);
    auto stats = Reading::stats(*topic);
    CHECK(stats.published == 2);
    CHECK(stats.discarded == 2);
    CHECK(stats.retained == 2);
    CHECK(stats.aged_out == 0);
    clock.advance(10s);
    stats = Reading::stats(*topic);
    CHECK(stats.retained == 1);
    CHECK(stats.aged_out == 1);
    CHECK(Reading::stats(*other).retained == 0);
    broker->close();
    stats = Reading::stats(*topic);
    CHECK(stats.published == 2);
    CHECK(stats.retained == 0);
    CHECK(stats.aged_out == 1);
}

}  // namespace
