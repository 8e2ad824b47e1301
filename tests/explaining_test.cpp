// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/explaining.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"
#include "support/sound.hpp"

// Why a message is where it is, in every state.
namespace {

using namespace std::chrono_literals;
using latchbox::Cause;
using latchbox::Explanation;
using latchbox::Instant;
using latchbox::LatchState;
using latchbox::MessageId;
using latchbox::MessageState;
using latchbox::Reason;
using latchbox::detail::Access;
using Explaining = latchbox::detail::Explaining<int, latchbox::Threads>;

struct Explained {
    latchbox::ManualClock clock;
    latchbox::Broker<int> broker{{.clock = &clock}};
    latchbox::Queue<int> queue = broker.queue("queue", {.lease = 10s});
    Explaining::Broker& shell = *Access::shell(queue).broker;

    ~Explained() { support::check_sound(queue); }
    MessageId publish(const latchbox::PublishOptions& options = {}) const {
        return queue.publish(1, options).value();
    }
    [[nodiscard]] Explanation explain(const MessageId& id) const {
        return Explaining::explain(shell, id);
    }
};

TEST_CASE_FIXTURE(Explained, "ready: behind how many, by priority and by place [5.9]") {
    std::vector<MessageId> ids;
    for (int i = 0; i < 6; ++i) {
        ids.push_back(publish({.priority = static_cast<std::uint8_t>(i % 3)}));
    }
    const std::size_t order[] = {2, 5, 1, 4, 0, 3};
    for (std::size_t i = 0; i < 6; ++i) {
        CHECK(explain(ids[order[i]]) ==
              Explanation{
                  .id = ids[order[i]], .state = MessageState::ready, .queue = "queue", .ahead = i});
    }
    // Who came back is behind all of its priority, a released one where it was.
    REQUIRE(queue.try_fetch()->requeue());
    CHECK(explain(ids[2]).ahead == 1);
    CHECK(explain(ids[5]).ahead == 0);
    REQUIRE(queue.try_fetch()->release());
    CHECK(explain(ids[5]).ahead == 0);
    CHECK(explain(ids[3]).ahead == 5);
    CHECK(queue.purge() == 6);
}

TEST_CASE_FIXTURE(Explained, "leased and delayed: until when, and what went wrong before [5.9]") {
    const MessageId id = publish();
    auto delivery = queue.try_fetch();
    CHECK(explain(id) == Explanation{.id = id,
                                     .state = MessageState::leased,
                                     .queue = "queue",
                                     .until = Instant{10s},
                                     .attempt = 1});
    CHECK(to_string(explain(id)) ==
          to_string(id) + " in \"queue\" is leased until 10 s, attempt 1");
    REQUIRE(delivery->extend(12500ms));
    CHECK(explain(id).until == Instant{12500ms});
    REQUIRE(delivery->fail("bad"));
    CHECK(explain(id) == Explanation{.id = id,
                                     .state = MessageState::delayed,
                                     .queue = "queue",
                                     .until = Instant{100ms},
                                     .attempt = 1,
                                     .failures = 1,
                                     .reason = Reason{Cause::failed, "bad"}});
    CHECK(to_string(explain(id)) == to_string(id) + " in \"queue\" is delayed until 0.1 s");
    clock.advance(100ms);
    CHECK(explain(id).state == MessageState::ready);
    CHECK(explain(id).until.is_never());
    CHECK(explain(id).reason == Reason{Cause::failed, "bad"});
    static_cast<void>(queue.try_fetch().value().detach());
    clock.advance(10s);
    CHECK(explain(id).reason.cause() == Cause::lease_ran_out);
    CHECK(explain(id).failures == 2);
    CHECK(explain(id).attempt == 2);
    queue.purge();
}

TEST_CASE_FIXTURE(Explained, "blocked: by these parents and this key [5.9]") {
    const auto gate = broker.gate(1);
    const MessageId parent = publish({.key = "k"});
    const MessageId other = publish({.key = "k"});
    const MessageId child = publish({.parents = {gate.id(), parent}, .key = "k"});
    CHECK(explain(child) ==
          Explanation{.id = child,
                      .state = MessageState::blocked,
                      .queue = "queue",
                      .parents = {{gate.id(), LatchState::pending}, {parent, LatchState::pending}},
                      .key = "k",
                      .ahead_in_key = 2});
    CHECK(to_string(explain(child)) ==
          to_string(child) + " in \"queue\" is blocked: it waits for " + to_string(gate.id()) +
              " (pending) and " + to_string(parent) +
              " (pending), and for 2 before it with the key \"k\"");
    CHECK(explain(other).parents.empty());
    CHECK(explain(other).ahead_in_key == 1);
    CHECK(explain(parent).key == "k");
    CHECK(explain(gate.id()) ==
          Explanation{.id = gate.id(), .state = MessageState::shut, .count = 1});
    queue.purge();
}

TEST_CASE_FIXTURE(Explained,
                  "of its parents those are told that matter to its policy [5.9] [5.5]") {
    using latchbox::OnParentFailure;
    const auto gate = broker.gate(1);
    const MessageId dead = publish();
    for (const OnParentFailure policy : {OnParentFailure::deliver, OnParentFailure::hold}) {
        static_cast<void>(publish({.parents = {dead, gate.id()}, .on_parent_failure = policy}));
    }
    const MessageId delivers =
        publish({.parents = {dead, gate.id()}, .on_parent_failure = OnParentFailure::deliver});
    const MessageId holds =
        publish({.parents = {dead, gate.id()}, .on_parent_failure = OnParentFailure::hold});
    REQUIRE(queue.try_fetch()->reject());
    CHECK(explain(delivers).parents ==
          std::vector<Explanation::Parent>{{gate.id(), LatchState::pending}});
    CHECK(explain(holds).parents ==
          std::vector<Explanation::Parent>{{dead, LatchState::dead},
                                           {gate.id(), LatchState::pending}});
    queue.purge();
}

TEST_CASE_FIXTURE(Explained, "many parents, and a long key [5.9]") {
    std::vector<MessageId> parents;
    for (int i = 0; i < 100; ++i) { parents.push_back(publish()); }
    const std::string key(1'000, 'k');
    const MessageId head = publish({.key = key});
    const MessageId child = publish({.parents = parents, .key = key});
    const Explanation said = explain(child);
    CHECK(said.key == key);
    CHECK(said.ahead_in_key == 1);
    REQUIRE(said.parents.size() == 100);
    for (std::size_t i = 0; i < 100; ++i) { CHECK(said.parents[i].id == parents[i]); }
    CHECK(to_string(said).find(" and 97 more parents, and for 1 before it") != std::string::npos);
    CHECK(explain(head).ahead == 100);
    queue.purge();
}

TEST_CASE_FIXTURE(Explained, "gone: how, as long as it is remembered [5.9] [5.2]") {
    const auto forgetful = broker.queue("forgetful", {.outcome_memory = 1});
    const MessageId first = forgetful.publish(1).value();
    const MessageId second = forgetful.publish(1).value();
    const MessageId third = forgetful.publish(1).value();
    REQUIRE(forgetful.cancel(first));
    CHECK(explain(first) == Explanation{.id = first,
                                        .state = MessageState::failed,
                                        .queue = "forgetful",
                                        .reason = Reason{Cause::cancelled}});
    REQUIRE(forgetful.cancel(second));
    CHECK(explain(first).state == MessageState::forgotten);
    REQUIRE(forgetful.pop());
    CHECK(explain(third) ==
          Explanation{.id = third, .state = MessageState::completed, .queue = "forgetful"});
    CHECK(explain(MessageId{}) == Explanation{});
    CHECK(to_string(explain(MessageId{})) ==
          to_string(MessageId{}) + " was never issued by this broker");
    REQUIRE(broker.remove("forgetful"));
    CHECK(explain(second).state == MessageState::failed);
    CHECK(explain(second).queue.empty());
    CHECK(explain(third).state == MessageState::completed);
}

TEST_CASE_FIXTURE(Explained, "of a topic: how its copies stand together, and where each is [5.9]") {
    const auto topic = broker.topic("topic");
    const auto first = broker.subscribe("topic", {.group = "first"});
    const auto second = broker.subscribe("*", {.group = "second"});
    const MessageId id = topic.publish(1).value();
    Explanation said{.id = id, .state = MessageState::pending, .subject = "topic"};
    said.copies = {{"first", MessageState::ready}, {"second", MessageState::ready}};
    CHECK(explain(id) == said);
    REQUIRE(second.try_fetch()->reject("no"));
    auto delivery = first.try_fetch();
    said.state = MessageState::dead;
    said.copies = {{"first", MessageState::leased}, {"second", MessageState::dead}};
    CHECK(explain(id) == said);
    REQUIRE(delivery->ack());
    delivery = latchbox::Errc::empty;
    CHECK(second.dead_letters().redrive() == 1);
    said.state = MessageState::pending;
    said.copies = {{"second", MessageState::ready}};
    CHECK(explain(id) == said);
    CHECK(second.purge() == 1);
    CHECK(explain(id) ==
          Explanation{.id = id, .state = MessageState::failed, .reason = Reason{Cause::purged}});
    // The ids of copies are nobody's.
    const auto own = latchbox::detail::IdParts::message(Access::shell(first).number(), 1, 0);
    CHECK(explain(own).state == MessageState::never_issued);
}

TEST_CASE_FIXTURE(Explained, "of a topic: what its first blocked copy waits for [5.9] [5.7]") {
    const auto topic = broker.topic("topic");
    const auto first = broker.subscribe("topic", {.group = "first"});
    const auto second = broker.subscribe("topic", {.group = "second"});
    const auto gate = broker.gate(1);
    REQUIRE(topic.publish(1, {.key = "k"}));
    const MessageId id = topic.publish(2, {.parents = {gate.id()}, .key = "k"}).value();
    Explanation said = explain(id);
    CHECK(said.state == MessageState::pending);
    REQUIRE(said.parents.size() == 1);
    CHECK(said.parents[0] == Explanation::Parent{gate.id(), LatchState::pending});
    CHECK(said.key == "k");
    CHECK(said.ahead_in_key == 1);
    // The one in the first subscription is free to go now; the other still stands in line.
    CHECK(gate.count_down());
    REQUIRE(first.try_fetch()->ack());
    said = explain(id);
    CHECK(said.parents.empty());
    CHECK(said.copies[0] == Explanation::Copy{"first", MessageState::ready});
    CHECK(said.copies[1] == Explanation::Copy{"second", MessageState::blocked});
    CHECK(said.key == "k");
    CHECK(said.ahead_in_key == 1);
}

TEST_CASE_FIXTURE(Explained,
                  "of a topic: one that is only retained, or was discarded [5.9] [6.6]") {
    const auto topic = broker.topic("topic");
    const MessageId kept = topic.publish(1, {.retain_for = 5s}).value();
    const MessageId gone = topic.publish(1).value();
    CHECK(explain(kept) ==
          Explanation{.id = kept, .state = MessageState::completed, .subject = "topic"});
    CHECK(explain(gone) == Explanation{.id = gone, .state = MessageState::completed});
    clock.advance(5s);
    CHECK(explain(kept) == Explanation{.id = kept, .state = MessageState::completed});
}

TEST_CASE_FIXTURE(Explained, "explaining does first what is due, and changes nothing else [4.3]") {
    const MessageId mortal = publish({.expires_in = 5s});
    clock.advance(5s);
    CHECK(explain(mortal).state == MessageState::failed);
    const MessageId id = publish();
    const latchbox::QueueStats before = queue.stats();
    static_cast<void>(explain(id));
    CHECK(queue.stats() == before);
    CHECK(broker.stats().latches == 0);
    queue.purge();
}

}  // namespace
