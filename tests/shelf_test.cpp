// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/shelf.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <new>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"
#include "support/failing_new.hpp"
#include "support/tracked_message.hpp"

// The shelf of topics' messages alone: bodies that come and go, ids, and what is retained.
namespace {

using namespace std::chrono_literals;
using latchbox::Cause;
using latchbox::Instant;
using latchbox::MessageId;
using latchbox::MessageState;
using latchbox::detail::Reference;
using support::TrackedMessage;
using Platform = latchbox::SingleThread;
using Broker = latchbox::detail::BrokerShell<TrackedMessage, Platform>;
using Topic = latchbox::detail::TopicShell<TrackedMessage, Platform>;
using Shelf = latchbox::detail::Shelf<TrackedMessage, Platform>;
using Body = Shelf::Body;
using Naming = latchbox::detail::Naming<TrackedMessage, Platform>;

struct Shelved {
    latchbox::ManualClock clock;
    Reference<Broker> broker{new Broker{{.clock = &clock}}};
    Shelf& shelf = broker->shelf;
    Reference<Topic> topic = Naming::topic(*broker, "topic");
    Reference<Topic> other = Naming::topic(*broker, "other");
    std::size_t left_behind = 0;  // on a shelf that was closed

    Shelved() { TrackedMessage::reset(); }
    ~Shelved() {
        if (left_behind == 0) {
            retain(0, {.count = 0});
            retain(0, {.count = 0, .by_own_wish = true});
        }
        CHECK(shelf.in_use() == left_behind);
        CHECK(TrackedMessage::live() == 0);
        topic = other = {};
        broker->end();
    }

    // Issued, and held once.
    Body& publish(std::uint64_t value, Topic& to) {
        Body& body = *shelf.take(1, true);
        body.construct(TrackedMessage{value});
        to.hold();
        body.topic = &to;
        body.begin(1, 1);
        shelf.issue(body, to.mark);
        return body;
    }
    Body& publish(std::uint64_t value) { return publish(value, *topic); }
    // Retained at `now`, and held by nobody else.
    MessageId retain(std::uint64_t value, const Shelf::Term& term, Instant now, Topic& to) {
        Body& body = publish(value, to);
        const MessageId id = body.id;
        Body* doomed = nullptr;
        shelf.keep(body, to.retention, term, now, doomed);
        shelf.clear_all(doomed);
        return id;
    }
    MessageId retain(std::uint64_t value, const Shelf::Term& term, Instant now = {}) {
        return retain(value, term, now, *topic);
    }
    void drop(Body& body) {
        if (body.drop()) { shelf.clear(body); }
    }
    [[nodiscard]] std::vector<std::uint64_t> kept(const Shelf::Kept& list) const {
        std::vector<std::uint64_t> values;
        const Body* before = nullptr;
        for (const Body* body = list.first; body != nullptr; body = body->next) {
            CHECK(body->previous == before);
            CHECK(body->retained);
            values.push_back(body->body().digest());
            before = body;
        }
        CHECK(list.last == before);
        CHECK(list.size == values.size());
        return values;
    }
    [[nodiscard]] std::vector<std::uint64_t> kept() const {
        return kept(topic->retention.by_topic);
    }
};
using Values = std::vector<std::uint64_t>;

TEST_CASE_FIXTURE(Shelved, "bodies come in chains of any length, and serve again [6.3] [4.12]") {
    std::size_t places = 0;
    for (int round = 0; round < 3; ++round) {
        for (const std::size_t count : {1U, 3U, 40U}) {
            Body* chain = shelf.take(count, false);
            CHECK(shelf.in_use() == count);
            std::size_t length = 0;
            for (const Body* body = chain; body != nullptr; body = body->next) {
                ++length;
                places = std::max<std::size_t>(places, body->slot + 1);
                CHECK(shelf.find(body->id) == nullptr);
            }
            CHECK(length == count);
            shelf.put_back(chain);
            CHECK(shelf.in_use() == 0);
        }
    }
    CHECK(places == 40);
    CHECK(shelf.take(0, true) == nullptr);
}

TEST_CASE_FIXTURE(Shelved, "a message is found from its issue until nobody holds it [6.6]") {
    Body& one = publish(1);
    Body& two = publish(2, *other);
    const MessageId first = one.id;
    CHECK(first < two.id);
    CHECK(shelf.find(first) == &one);
    CHECK(shelf.find(two.id) == &two);
    CHECK(shelf.find(MessageId{}) == nullptr);
    one.hold();
    drop(one);
    CHECK(shelf.find(first) == &one);
    drop(one);
    CHECK(shelf.find(first) == nullptr);
    CHECK(shelf.past(first).state == MessageState::completed);
    // Its place serves again, and that is another message.
    Body& three = publish(3);
    CHECK(&three == &one);
    CHECK(shelf.find(first) == nullptr);
    CHECK(shelf.find(three.id) == &three);
    drop(two);
    drop(three);
    CHECK(TrackedMessage::copies() == 0);
}

TEST_CASE_FIXTURE(Shelved, "one sequence numbers the messages of all topics, with their marks") {
    using latchbox::detail::TopicNumber;
    REQUIRE(topic->mark != other->mark);
    for (std::uint64_t sequence = 1; sequence <= 4; ++sequence) {
        Topic& to = sequence % 2 == 0 ? *topic : *other;
        const MessageId id = shelf.draw(to.mark, 0);
        CHECK(TopicNumber::sequence(id) == sequence);
        CHECK(TopicNumber::mark(id) == to.mark);
        CHECK(latchbox::detail::IdParts::issuer(id) == shelf.issuer);
        CHECK(shelf.find(id) == nullptr);
    }
}

TEST_CASE_FIXTURE(Shelved, "the last so many are retained, whatever their age [6.6]") {
    std::vector<MessageId> ids;
    for (std::uint64_t n = 1; n <= 5; ++n) {
        ids.push_back(retain(n, {.count = 3}, Instant{1h * static_cast<int>(n)}));
    }
    CHECK(kept() == Values{3, 4, 5});
    CHECK(shelf.find(ids[1]) == nullptr);
    CHECK(shelf.find(ids[2]) != nullptr);
    CHECK(topic->retention.aged_out == 2);
    CHECK(shelf.aged_out == 2);
    CHECK(shelf.retained() == 3);
    CHECK(shelf.age_out(Instant{9'999h}).is_never());
    CHECK(kept() == Values{3, 4, 5});
    retain(6, {.count = 1});
    CHECK(kept() == Values{6});
    retain(7, {.count = 1, .length = 1s});
    shelf.age_out(Instant{1s});
    CHECK(kept().empty());
}

TEST_CASE_FIXTURE(Shelved, "what is retained for a time is gone at the end of it, exactly [6.6]") {
    // Those of another topic, and those that stay shorter, do not wait for each other.
    retain(1, {.count = 9, .length = 3s});
    retain(2, {.count = 9, .length = 1s});
    retain(3, {.count = 9, .length = 2s}, Instant{}, *other);
    retain(4, {.count = 9, .length = 2s});
    CHECK(shelf.age_out(Instant{1s - 1ns}) == Instant{1s});
    CHECK(kept() == Values{1, 2, 4});
    CHECK(shelf.age_out(Instant{1s}) == Instant{2s});
    CHECK(kept() == Values{1, 4});
    CHECK(shelf.age_out(Instant{2s}) == Instant{3s});
    CHECK(kept() == Values{1});
    CHECK(kept(other->retention.by_topic).empty());
    CHECK(topic->retention.aged_out == 2);
    CHECK(other->retention.aged_out == 1);
    CHECK(TrackedMessage::live() == 1);
    CHECK(shelf.age_out(Instant{9s}).is_never());
    CHECK(shelf.retained() == 0);
    CHECK(shelf.aged_out == 4);
}

TEST_CASE_FIXTURE(Shelved, "one with a wish of its own takes nobody's place in its topic [6.6]") {
    retain(1, {.count = 2});
    retain(2, {.count = 2, .length = 5s, .by_own_wish = true});
    retain(3, {.count = 2});
    retain(4, {.count = 2, .length = 1s, .by_own_wish = true});
    CHECK(kept() == Values{1, 3});
    CHECK(kept(topic->retention.by_wish) == Values{2, 4});
    CHECK(shelf.retained() == 4);
    shelf.age_out(Instant{5s});
    CHECK(kept() == Values{1, 3});
    CHECK(kept(topic->retention.by_wish).empty());
    for (std::uint64_t n = 5; n < 8; ++n) { retain(n, {.count = 0}); }
    CHECK(kept().empty());
}

TEST_CASE_FIXTURE(Shelved,
                  "who reads a message keeps it, retained or not; it can be read no more "
                  "by others [6.6] [4.8]") {
    Body& body = publish(1);
    body.hold();
    Body* doomed = nullptr;
    shelf.keep(body, topic->retention, {.count = 1, .length = 1s}, Instant{}, doomed);
    CHECK(body.retained);
    shelf.age_out(Instant{1s});
    CHECK_FALSE(body.retained);
    CHECK(body.body().digest() == 1);
    CHECK(shelf.find(body.id) == &body);
    CHECK(shelf.in_use() == 1);
    drop(body);
}

TEST_CASE_FIXTURE(Shelved, "failures are remembered by sequence, with room for all on it [5.2]") {
    using latchbox::detail::TopicNumber;
    std::vector<Body*> bodies;
    for (std::uint64_t n = 0; n < 100; ++n) {
        bodies.push_back(&publish(n));
        CHECK(shelf.issued.has_room(bodies.size()));
    }
    const MessageId failed = bodies[50]->id;
    const MessageId acked = bodies[51]->id;
    shelf.issued.remember(TopicNumber::sequence(failed), Cause::expired);
    for (Body* const body : bodies) { drop(*body); }
    CHECK(shelf.past(failed).state == MessageState::failed);
    CHECK(shelf.past(failed).cause == Cause::expired);
    CHECK(shelf.past(acked).state == MessageState::completed);
    CHECK(shelf.past(shelf.draw(topic->mark, 0)).state == MessageState::completed);
}

TEST_CASE_FIXTURE(Shelved, "where there is no memory nothing is taken, then it goes on [4.11]") {
    for (std::uint64_t nth = 1;; ++nth) {
        Body* chain = nullptr;
        bool threw = false;
        {
            const support::FailingNew failing{support::Failing::nth, nth};
            try {
                chain = shelf.take(20, true);
            } catch (const std::bad_alloc&) { threw = true; }
        }
        CHECK(shelf.in_use() == (threw ? 0U : 20U));
        shelf.put_back(chain);
        if (!threw) {
            CHECK(nth > 3);
            break;
        }
    }
}

TEST_CASE_FIXTURE(Shelved, "keeping, ageing and clearing take no memory [4.11]") {
    std::vector<Body*> bodies;
    for (std::uint64_t n = 0; n < 20; ++n) { bodies.push_back(&publish(n)); }
    std::uint64_t asked = 0;
    {
        const support::FailingNew count;
        Body* doomed = nullptr;
        for (Body* const body : bodies) {
            shelf.keep(*body, topic->retention, {.count = 15, .length = 1s}, Instant{}, doomed);
        }
        shelf.age_out(Instant{1s}, doomed);
        shelf.clear_all(doomed);
        asked = count.asked();
    }
    CHECK(asked == 0);
    CHECK(topic->retention.aged_out == 20);
}

TEST_CASE_FIXTURE(Shelved, "closed it retains nothing, and what was left stays known [7.5]") {
    Body& held = publish(1);
    const MessageId gone = retain(2, {.count = 9});
    retain(3, {.count = 9, .length = 1s, .by_own_wish = true}, Instant{}, *other);
    Body* doomed = nullptr;
    shelf.close(doomed);
    CHECK(doomed != nullptr);
    shelf.clear_all(doomed);
    CHECK(shelf.retained() == 0);
    CHECK(kept().empty());
    CHECK(TrackedMessage::live() == 1);
    CHECK(shelf.aged_out == 0);
    drop(held);
    CHECK(TrackedMessage::live() == 0);
    CHECK(shelf.find(held.id) == &held);
    CHECK(shelf.find(gone) != nullptr);
    CHECK(shelf.age_out(Instant{1h}).is_never());
    left_behind = 3;
}

}  // namespace
