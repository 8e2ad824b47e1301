// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"

#include "support/message_kinds.hpp"
#include "support/sound.hpp"
#include "support/watched_threads.hpp"

// The same value again within the window is the same message: told by its id, added to nothing.
namespace {

using namespace std::chrono_literals;
using latchbox::Duration;
using latchbox::Errc;
using latchbox::LatchState;
using latchbox::MessageId;
using latchbox::MessageState;
using latchbox::OnParentFailure;
using latchbox::Overflow;
using latchbox::QueueStats;
using latchbox::Unrouted;
using support::error_of;
using support::refuses;
using support::WatchedThreads;

constexpr std::size_t bound = 65'536;

MessageId id_of(const latchbox::Result<MessageId>& result) {
    return result ? *result : MessageId{};
}

template <class Platform> struct Told {
    latchbox::ManualClock clock;
    latchbox::Broker<std::string, Platform> broker{{.clock = &clock}};
    latchbox::Queue<std::string, Platform> q =
        broker.queue("q", {.lease = 10s, .backoff = {.first = 1s}, .dedup_window = 1min});

    ~Told() {
        support::check_sound(q);
        CHECK(support::conserved(broker.stats().messages));
    }
    MessageId publish(const char* body, std::string_view value,
                      latchbox::PublishOptions options = {}) {
        options.dedup = value;
        const auto id = q.publish(body, options);
        REQUIRE(id);
        return *id;
    }
    // What a publish of a value does: the first id, or something new.
    [[nodiscard]] bool is_first(MessageId first, std::string_view value) {
        const QueueStats before = q.stats();
        const MessageId id = publish("again", value);
        const QueueStats after = q.stats();
        const bool same = id == first;
        CHECK(after.accepted - before.accepted == (same ? 0 : 1));
        CHECK(after.deduplicated - before.deduplicated == (same ? 1 : 0));
        if (same) { CHECK(after.held() == before.held()); }
        return same;
    }
};
using Plain = Told<latchbox::Threads>;
using Watched = Told<WatchedThreads>;

// --- what is the same ------------------------------------------------------------------------

TEST_CASE_FIXTURE(Plain, "the same value again is the first message [7.1] [misuse 35]") {
    const MessageId first = publish("a", "v");
    CHECK(publish("b", "v") == first);
    CHECK(publish("c", "v", {.delay = 1h, .priority = 9}) == first);
    const MessageId other = publish("d", "w");
    CHECK(other != first);
    CHECK(q.stats().accepted == 2);
    CHECK(q.stats().deduplicated == 2);
    CHECK(q.stats().refused == 0);
    // The first body and the first wishes are the message's.
    auto delivery = q.try_fetch();
    REQUIRE(delivery);
    CHECK(delivery->id() == first);
    CHECK(delivery->body() == "a");
    CHECK(delivery->ack());
    CHECK(support::work_off_text(q) == "d");
}

TEST_CASE_FIXTURE(Plain, "wherever the first message is, it is the first [7.1]") {
    const auto gate = broker.gate(1);
    MessageId first;
    SUBCASE("ready") { first = publish("a", "v"); }
    SUBCASE("delayed") { first = publish("a", "v", {.delay = 50s}); }
    SUBCASE("blocked by a gate") { first = publish("a", "v", {.parents = {gate.id()}}); }
    SUBCASE("blocked by its key") {
        publish("head", "h", {.key = "k"});
        first = publish("a", "v", {.key = "k"});
    }
    SUBCASE("leased, and back from a lease that ran out") {
        first = publish("a", "v");
        auto held = q.try_fetch();
        CHECK(is_first(first, "v"));
        clock.advance(10s);
    }
    SUBCASE("leased without a handle") {
        first = publish("a", "v");
        static_cast<void>(q.try_fetch().value().detach());
    }
    SUBCASE("failed once, waiting for its next delivery") {
        first = publish("a", "v");
        CHECK(q.try_fetch()->fail("no"));
    }
    SUBCASE("acked") {
        first = publish("a", "v");
        CHECK(q.try_fetch()->ack());
    }
    SUBCASE("taken") {
        first = publish("a", "v");
        CHECK(q.try_fetch()->take());
    }
    SUBCASE("popped") {
        first = publish("a", "v");
        CHECK(q.pop());
    }
    SUBCASE("acked by receipt") {
        first = publish("a", "v");
        CHECK(q.ack(q.try_fetch().value().detach()));
    }
    CHECK(is_first(first, "v"));
    CHECK(is_first(first, "v"));
}

TEST_CASE_FIXTURE(Plain, "acked, and ten thousand messages later, it is still the first [7.1]") {
    const MessageId first = publish("a", "v");
    REQUIRE(q.pop());
    for (int i = 0; i < 10'000; ++i) {
        REQUIRE(q.publish("x"));
        REQUIRE(q.pop());
    }
    CHECK(is_first(first, "v"));
}

TEST_CASE_FIXTURE(Plain, "a value is bytes, copied, whatever they are [7.1]") {
    const std::string values[] = {std::string(1, '\0'),
                                  std::string(2, '\0'),
                                  std::string("v\0x", 3),
                                  "v",
                                  " ",
                                  "V",
                                  std::string(100'000, 'l'),
                                  std::string(100'000, 'l') + "m"};
    std::vector<MessageId> ids;
    for (const std::string& value : values) {
        std::string copy = value;
        ids.push_back(publish("a", copy));
        copy.assign(copy.size(), 'x');
    }
    CHECK(q.stats().accepted == std::size(values));
    for (std::size_t i = 0; i < ids.size(); ++i) { CHECK(is_first(ids[i], values[i])); }
    CHECK(q.stats().accepted == std::size(values));
}

TEST_CASE_FIXTURE(Plain, "no value is no value: nothing is told apart [7.1]") {
    CHECK(publish("a", "") != publish("b", ""));
    CHECK(q.publish("c", {.dedup = std::string_view{}}));
    CHECK(q.stats().accepted == 3);
    CHECK(q.stats().deduplicated == 0);
}

TEST_CASE_FIXTURE(Plain, "each queue and each topic has values of its own [7.1]") {
    const auto other = broker.queue("other");
    const auto s = broker.topic("s");
    const auto t = broker.topic("t");
    const auto all = broker.subscribe(">");
    publish("a", "v");
    CHECK(other.publish("b", {.dedup = "v"}));
    const auto in_s = s.publish("c", {.dedup = "v"});
    const auto in_t = t.publish("d", {.dedup = "v"});
    REQUIRE(in_s);
    REQUIRE(in_t);
    CHECK(*in_s != *in_t);
    CHECK(other.size() == 1);
    CHECK(q.size() == 1);
    CHECK(support::work_off_text(all) == "cd");
    CHECK(id_of(s.publish("c", {.dedup = "v"})) == *in_s);
    CHECK(id_of(t.publish("d", {.dedup = "v"})) == *in_t);
    CHECK(all.size() == 0);
    support::check_sound(all);
    support::check_sound(other);
}

TEST_CASE_FIXTURE(Plain,
                  "a repeat's id is a parent, a latch, an explanation like any [7.1] [5.1]") {
    publish("a", "v");
    const MessageId id = publish("b", "v");
    const auto child = q.publish("child", {.parents = {id}});
    REQUIRE(child);
    CHECK(broker.latch(id).state().value() == LatchState::pending);
    CHECK(broker.explain(id).state == MessageState::ready);
    CHECK(q.try_fetch()->ack());
    CHECK(broker.latch(id).state().value() == LatchState::completed);
    CHECK(support::work_off_text(q) == "child");
}

// --- for how long ----------------------------------------------------------------------------

TEST_CASE_FIXTURE(Plain, "at the end of its window a value is new [7.1] [4.3] [misuse 35]") {
    const MessageId first = publish("a", "v");
    clock.advance(1min - 1ns);
    CHECK(is_first(first, "v"));
    clock.advance(1ns);
    CHECK_FALSE(is_first(first, "v"));
    CHECK(support::work_off(q).size() == 2);
}

TEST_CASE_FIXTURE(Plain, "a repeat does not prolong the window, a new message starts it [7.1]") {
    const MessageId first = publish("a", "v");
    clock.advance(40s);
    CHECK(is_first(first, "v"));
    clock.advance(20s);
    const MessageId second = publish("b", "v");
    CHECK(second != first);
    clock.advance(1min - 1ns);
    CHECK(is_first(second, "v"));
    clock.advance(1ns);
    CHECK_FALSE(is_first(second, "v"));
}

TEST_CASE_FIXTURE(Plain, "the window counts from publish, not from the delay's end [7.1]") {
    const MessageId first = publish("a", "v", {.delay = 59s});
    clock.advance(1min);
    CHECK_FALSE(is_first(first, "v"));
}

TEST_CASE_FIXTURE(Plain, "windows of all lengths [7.1] [7.6]") {
    const auto none = broker.queue("none", {.dedup_window = {}});
    const auto tick = broker.queue("tick", {.dedup_window = 1ns});
    const auto ever = broker.queue("ever", {.dedup_window = Duration::never()});
    const auto two = broker.queue("two");
    for (const auto& one : {none, tick, ever, two}) { REQUIRE(one.publish("a", {.dedup = "v"})); }
    const auto accepts = [](const auto& queue) {
        const std::uint64_t before = queue.stats().accepted;
        REQUIRE(queue.publish("b", {.dedup = "v"}));
        return queue.stats().accepted > before;
    };
    CHECK(accepts(none));
    CHECK_FALSE(accepts(tick));
    clock.advance(1ns);
    CHECK(accepts(tick));
    clock.advance(2min - 2ns);
    CHECK_FALSE(accepts(two));
    clock.advance(1ns);
    CHECK(accepts(two));
    CHECK(none.stats().deduplicated == 0);
    CHECK(none.stats().dedup_forgotten == 0);
    for (int i = 0; i < 200; ++i) { clock.advance(365 * 24h); }
    CHECK_FALSE(accepts(ever));
    CHECK(accepts(none));
}

TEST_CASE_FIXTURE(Plain, "a negative window is refused, another one is another queue [7.6]") {
    CHECK(refuses([&] { return broker.queue("n", {.dedup_window = -1ns}); }, "dedup_window"));
    CHECK(refuses([&] { return broker.topic("n", {.dedup_window = -1ns}); }, "dedup_window"));
    CHECK(refuses([&] { return broker.subscribe("n", {.dedup_window = -1ns}); }, "dedup_window"));
    CHECK(refuses(
        [&] {
            return broker.queue("q",
                                {.lease = 10s, .backoff = {.first = 1s}, .dedup_window = 2min});
        },
        "dedup_window"));
    const auto topic = broker.topic("t", {.dedup_window = 1s});
    CHECK(refuses([&] { return broker.topic("t", {.dedup_window = 2s}); }, "dedup_window"));
    CHECK(broker.topic("t", {.dedup_window = 1s}) == topic);
}

TEST_CASE_FIXTURE(Plain, "what stands beside the window belongs to the queue [7.1]") {
    CHECK(latchbox::QueueOptions{}.dedup_window == Duration{2min});
    CHECK(latchbox::TopicOptions{}.dedup_window == Duration{2min});
    CHECK(latchbox::SubscriptionOptions{}.dedup_window == Duration{2min});
    CHECK(latchbox::PublishOptions{}.dedup.empty());
    CHECK(q.options().dedup_window == Duration{1min});
}

// --- a first message that failed or died -----------------------------------------------------

TEST_CASE_FIXTURE(Plain, "what has failed or is dead is not the first [7.1] [misuse 35]") {
    const auto gate = broker.gate(1);
    MessageId first;
    SUBCASE("cancelled") {
        first = publish("a", "v");
        CHECK(q.cancel(first));
    }
    SUBCASE("purged") {
        first = publish("a", "v");
        CHECK(q.purge() == 1);
    }
    SUBCASE("expired") {
        first = publish("a", "v", {.expires_in = 5s});
        clock.advance(5s - 1ns);
        CHECK(is_first(first, "v"));
        clock.advance(1ns);
    }
    SUBCASE("rejected") {
        first = publish("a", "v");
        CHECK(q.try_fetch()->reject());
    }
    SUBCASE("dead, then purged") {
        first = publish("a", "v");
        CHECK(q.try_fetch()->reject());
        CHECK(q.dead_letters().purge() == 1);
    }
    SUBCASE("dead, then taken") {
        first = publish("a", "v");
        CHECK(q.try_fetch()->reject());
        CHECK(q.dead_letters().take());
    }
    SUBCASE("dead by its parent, which failed later") {
        first = publish("a", "v", {.parents = {gate.id()}});
        CHECK(is_first(first, "v"));
        CHECK(gate.fail());
    }
    SUBCASE("dead on arrival") {
        CHECK(gate.fail());
        first = publish("a", "v", {.parents = {gate.id()}});
    }
    CHECK_FALSE(is_first(first, "v"));
    CHECK(q.stats().ready == 1);
}

TEST_CASE_FIXTURE(Plain, "what was evicted is not the first [7.1] [7.2]") {
    const auto small = broker.queue("small", {.capacity = 1, .overflow = Overflow::drop_oldest});
    const auto first = small.publish("a", {.dedup = "v"});
    REQUIRE(small.publish("b"));
    const auto second = small.publish("c", {.dedup = "v"});
    REQUIRE(second);
    CHECK(*second != *first);
    // A repeat evicts nobody.
    CHECK(id_of(small.publish("d", {.dedup = "v"})) == *second);
    CHECK(small.stats().evicted == 2);
    CHECK(support::work_off_text(small) == "c");
    support::check_sound(small);
}

TEST_CASE_FIXTURE(Plain, "a failure long forgotten is a failure, not a success [7.1] [5.2]") {
    const auto brief = broker.queue("brief", {.outcome_memory = 1});
    const auto first = brief.publish("a", {.dedup = "v"});
    REQUIRE(first);
    REQUIRE(brief.cancel(*first));
    for (int i = 0; i < 5; ++i) {
        const auto id = brief.publish("x");
        REQUIRE(id);
        REQUIRE(brief.cancel(*id));
    }
    const auto second = brief.publish("b", {.dedup = "v"});
    REQUIRE(second);
    CHECK(*second != *first);
    CHECK(brief.stats().ready == 1);
    support::check_sound(brief);
}

TEST_CASE_FIXTURE(Plain, "failures forgotten do not undo a completion [7.1] [5.2]") {
    const auto brief = broker.queue("brief", {.outcome_memory = 0});
    const auto first = brief.publish("a", {.dedup = "v"});
    REQUIRE(first);
    REQUIRE(brief.pop());
    const auto failed = brief.publish("b");
    REQUIRE(failed);
    REQUIRE(brief.cancel(*failed));
    // The first message completed, but its queue cannot know that any more from outcomes alone.
    // Either answer keeps the promise of at least once; a repeat must never be lost.
    const auto second = brief.publish("c", {.dedup = "v"});
    REQUIRE(second);
    CHECK((*second == *first ? brief.size() == 0 : brief.size() == 1));
    support::check_sound(brief);
}

TEST_CASE_FIXTURE(Plain, "a redriven first message counts again, unless another took over [7.1]") {
    const MessageId first = publish("a", "v");
    CHECK(q.try_fetch()->reject());
    SUBCASE("it is still the one") {
        CHECK(q.dead_letters().redrive() == 1);
        CHECK(is_first(first, "v"));
        CHECK(q.size() == 1);
    }
    SUBCASE("by its id") {
        CHECK(q.dead_letters().redrive(first));
        CHECK(is_first(first, "v"));
    }
    SUBCASE("its window went on") {
        clock.advance(1min);
        CHECK(q.dead_letters().redrive() == 1);
        CHECK_FALSE(is_first(first, "v"));
    }
    SUBCASE("the newer one has the value") {
        const MessageId second = publish("b", "v");
        CHECK(second != first);
        CHECK(q.dead_letters().redrive() == 1);
        CHECK(is_first(second, "v"));
        CHECK(q.size() == 2);
    }
    SUBCASE("the newer one is dead, too: neither has it") {
        const MessageId second = publish("b", "v");
        CHECK(q.dead_letters().redrive(first));
        CHECK(q.cancel(second));
        const MessageId third = publish("c", "v");
        CHECK(third != first);
        CHECK(third != second);
    }
}

// --- refused publishes -----------------------------------------------------------------------

TEST_CASE_FIXTURE(Plain, "a refused publish leaves no value [7.1] [4.11] [misuse 35]") {
    const auto small = broker.queue("small", {.capacity = 1});
    REQUIRE(small.publish("a"));
    CHECK(small.publish("b", {.dedup = "v"}) == Errc::full);
    CHECK(small.publish("b", {.priority = 10, .dedup = "v"}) == Errc::invalid_option);
    CHECK(small.publish("b", {.parents = {MessageId{}}, .dedup = "v"}) == Errc::unknown_parent);
    REQUIRE(small.pop());
    const auto accepted = small.publish("c", {.dedup = "v"});
    REQUIRE(accepted);
    CHECK(small.stats().ready == 1);
    CHECK(small.stats().deduplicated == 0);
    CHECK(id_of(small.publish("d", {.dedup = "v"})) == *accepted);
    support::check_sound(small);
}

TEST_CASE_FIXTURE(Plain, "a repeat needs no room, waits for none and evicts nobody [7.1] [7.2]") {
    for (const Overflow overflow : {Overflow::reject, Overflow::block, Overflow::drop_oldest}) {
        const std::string name = "full" + std::to_string(static_cast<int>(overflow));
        const auto full = broker.queue(name, {.capacity = 2, .overflow = overflow});
        const auto first = full.publish("a", {.dedup = "v"});
        REQUIRE(full.publish("b", {.dedup = "w"}));
        // On a manual clock a wait would never end.
        CHECK(id_of(full.publish("c", {.dedup = "v"})) == *first);
        CHECK(full.stats().evicted == 0);
        CHECK(full.stats().refused == 0);
        CHECK(full.stats().deduplicated == 1);
        CHECK(support::work_off_text(full) == "ab");
        support::check_sound(full);
    }
}

TEST_CASE_FIXTURE(Plain, "a repeat's message is not moved from [7.1] [4.11]") {
    latchbox::Broker<support::MoveOnly> moving{{.clock = &clock}};
    const auto queue = moving.queue("q");
    const auto subscription = moving.subscribe("s");
    const auto topic = moving.topic("s");
    support::MoveOnly first{1};
    support::MoveOnly again{2};
    const auto id = queue.publish(std::move(first), {.dedup = "v"});
    REQUIRE(id);
    CHECK(first.number() == -1);  // NOLINT: accepted, so moved from
    CHECK(id_of(queue.publish(std::move(again), {.dedup = "v"})) == *id);
    CHECK(again.number() == 2);  // NOLINT: not accepted, so not moved from
    support::MoveOnly third{3};
    const auto spread = topic.publish(std::move(third), {.dedup = "v"});
    REQUIRE(spread);
    CHECK(id_of(topic.publish(std::move(again), {.dedup = "v"})) == *spread);
    CHECK(again.number() == 2);  // NOLINT
    CHECK(subscription.size() == 1);
}

TEST_CASE_FIXTURE(Plain, "a repeat of what may throw as it moves is as before, too [7.1] [4.11]") {
    latchbox::Broker<support::ThrowingMove> throwing{{.clock = &clock}};
    const auto queue = throwing.queue("q");
    const auto id = queue.publish(support::ThrowingMove{1}, {.dedup = "v"});
    REQUIRE(id);
    support::ThrowingMove again{2};
    CHECK(id_of(queue.publish(std::move(again), {.dedup = "v"})) == *id);
    CHECK(again.number() == 2);  // NOLINT: not accepted
    CHECK(queue.size() == 1);
}

TEST_CASE_FIXTURE(Plain, "a repeat is judged after all that is wrong with it [7.1] [7.7]") {
    const MessageId first = publish("a", "v");
    std::stop_source stop;
    CHECK(q.publish("b", {.priority = 10, .dedup = "v"}) == Errc::invalid_option);
    CHECK(q.publish("b", {.retain_for = 1s, .dedup = "v"}) == Errc::invalid_option);
    CHECK(q.publish("b", {.parents = {MessageId{}}, .dedup = "v"}) == Errc::unknown_parent);
    CHECK(id_of(q.publish("b", {.dedup = "v"}, stop.get_token())) == first);
    stop.request_stop();
    CHECK(q.publish("b", {.priority = 10, .dedup = "v"}, stop.get_token()) == Errc::cancelled);
    CHECK(q.stats().deduplicated == 1);
    broker.close();
    CHECK(q.publish("b", {.dedup = "v"}) == Errc::closed);
    CHECK(q.publish("b", {.priority = 10, .dedup = "v"}) == Errc::closed);
    CHECK(q.stats().deduplicated == 1);
    CHECK(q.stats().accepted == 1);
}

TEST_CASE_FIXTURE(Plain, "a batch of several has no value, one of one has [7.1]") {
    std::vector<std::string> two = {"a", "b"};
    CHECK(q.publish_batch(two, {.dedup = "v"}) == Errc::invalid_option);
    CHECK(two == std::vector<std::string>{"a", "b"});
    std::vector<std::string> one = {"a"};
    const auto first = q.publish_batch(one, {.dedup = "v"});
    REQUIRE(first);
    REQUIRE(first->size() == 1);
    one = {"b"};
    const auto again = q.publish_batch(one, {.dedup = "v"});
    REQUIRE(again);
    CHECK(*again == *first);
    CHECK(one.front() == "b");
    CHECK(publish("c", "v") == first->front());
    one.clear();
    CHECK(q.publish_batch(one, {.dedup = "v"})->empty());
    CHECK(q.stats().accepted == 1);

    const auto topic = broker.topic("s");
    const auto subscription = broker.subscribe("s");
    CHECK(topic.publish_batch(two, {.dedup = "v"}) == Errc::invalid_option);
    one = {"x"};
    const auto spread = topic.publish_batch(one, {.dedup = "v"});
    REQUIRE(spread);
    one = {"y"};
    CHECK(topic.publish_batch(one, {.dedup = "v"}).value() == *spread);
    CHECK(support::work_off_text(subscription) == "x");
}

TEST_CASE_FIXTURE(Plain, "a queue removed and made again has forgotten its values [7.1] [6.7]") {
    const auto gone = broker.queue("gone");
    const auto first = gone.publish("a", {.dedup = "v"});
    REQUIRE(broker.remove("gone"));
    CHECK(gone.publish("b", {.dedup = "v"}) == Errc::closed);
    const auto made = broker.queue("gone");
    const auto second = made.publish("c", {.dedup = "v"});
    REQUIRE(second);
    CHECK(*second != *first);
    CHECK(made.size() == 1);
}

TEST_CASE_FIXTURE(Plain, "a repeat does first what is due, as any call [7.1] [4.3]") {
    const MessageId first = publish("a", "v");
    const auto held = q.try_fetch();
    clock.advance(10s);
    CHECK(publish("b", "v") == first);
    CHECK(q.stats().leases_run_out == 1);
    CHECK(held->lease_lost());
}

// --- the bound -------------------------------------------------------------------------------

TEST_CASE("65,536 values are remembered, the oldest is forgotten first [7.1] [4.12]") {
    latchbox::ManualClock clock;
    latchbox::Broker<int> broker{{.clock = &clock}};
    const auto q = broker.queue("q");
    const auto publish = [&](std::size_t n) {
        const auto id = q.publish(1, {.dedup = std::to_string(n)});
        REQUIRE(id);
        return *id;
    };
    std::vector<MessageId> ids;
    for (std::size_t n = 0; n < bound; ++n) {
        ids.push_back(publish(n));
        if (n % 1'000 == 0) { clock.advance(1ms); }
    }
    CHECK(q.stats().dedup_forgotten == 0);
    for (std::size_t n = 0; n < bound; n += 1'111) { REQUIRE(publish(n) == ids[n]); }
    const auto before = q.stats();
    CHECK(before.accepted == bound);
    const MessageId more = publish(bound);
    CHECK(q.stats().dedup_forgotten == 1);
    CHECK(publish(1) == ids[1]);
    CHECK(publish(bound - 1) == ids[bound - 1]);
    CHECK(publish(bound) == more);
    // The forgotten one is new, and the next oldest goes for it.
    CHECK(publish(0) != ids[0]);
    CHECK(q.stats().dedup_forgotten == 2);
    CHECK(publish(1) != ids[1]);
    CHECK(publish(2) != ids[2]);
    CHECK(publish(4) == ids[4]);
    support::check_sound(q);
}

TEST_CASE("values whose window is over make room, and are not counted as forgotten [7.1]") {
    latchbox::ManualClock clock;
    latchbox::Broker<int> broker{{.clock = &clock}};
    const auto q = broker.queue("q", {.dedup_window = 1s});
    for (std::size_t n = 0; n < bound; ++n) { REQUIRE(q.publish(1, {.dedup = std::to_string(n)})); }
    clock.advance(1s);
    for (std::size_t n = 0; n < bound; ++n) { REQUIRE(q.publish(1, {.dedup = std::to_string(n)})); }
    CHECK(q.stats().accepted == 2 * bound);
    CHECK(q.stats().dedup_forgotten == 0);
    CHECK(q.stats().deduplicated == 0);
}

TEST_CASE("a topic remembers 65,536 values, too [7.1] [4.12]") {
    latchbox::ManualClock clock;
    latchbox::Broker<int> broker{{.clock = &clock}};
    const auto topic = broker.topic("s");
    const auto first = topic.publish(1, {.dedup = "first"});
    REQUIRE(first);
    for (std::size_t n = 1; n < bound; ++n) {
        REQUIRE(topic.publish(1, {.dedup = std::to_string(n)}));
    }
    CHECK(id_of(topic.publish(1, {.dedup = "first"})) == *first);
    CHECK(topic.stats().dedup_forgotten == 0);
    REQUIRE(topic.publish(1, {.dedup = "one more"}));
    CHECK(topic.stats().dedup_forgotten == 1);
    const auto again = topic.publish(1, {.dedup = "first"});
    REQUIRE(again);
    CHECK(*again != *first);
}

// --- topics ----------------------------------------------------------------------------------

struct Spread : Plain {
    latchbox::Subscription<std::string> a = broker.subscribe("s", {.lease = 10s});
    latchbox::Subscription<std::string> b = broker.subscribe("*", {.lease = 10s});
    latchbox::Topic<std::string> topic = broker.topic("s", {.dedup_window = 1min});

    ~Spread() {
        support::check_sound(a);
        support::check_sound(b);
    }
    MessageId spread(const char* body) {
        const auto id = topic.publish(body, {.dedup = "v"});
        REQUIRE(id);
        return *id;
    }
};

TEST_CASE_FIXTURE(Spread, "to a topic, too, the same value is the first message [7.1] [6.3]") {
    const MessageId first = spread("a");
    CHECK(spread("b") == first);
    CHECK(topic.stats().published == 1);
    CHECK(topic.stats().deduplicated == 1);
    CHECK(support::work_off_text(a) == "a");
    CHECK(spread("c") == first);
    CHECK(support::work_off_text(b) == "a");
    CHECK(spread("d") == first);
    // Who came later gets no copy of what was before.
    const auto late = broker.subscribe("s");
    CHECK(spread("e") == first);
    CHECK(late.size() == 0);
    clock.advance(1min - 1ns);
    CHECK(spread("f") == first);
    clock.advance(1ns);
    CHECK(spread("g") != first);
    CHECK(late.size() == 1);
    CHECK(topic.stats().published == 2);
    CHECK(broker.stats().messages.accepted == 5);
}

TEST_CASE_FIXTURE(Spread, "what nobody subscribed to has completed, and is the first [7.1] [6.5]") {
    const auto lone = broker.topic("nobody.here");
    const auto first = lone.publish("a", {.dedup = "v"});
    REQUIRE(first);
    CHECK(id_of(lone.publish("b", {.dedup = "v"})) == *first);
    CHECK(lone.stats().discarded == 1);
    CHECK(lone.stats().published == 1);
    const auto now = broker.subscribe("nobody.here");
    CHECK(id_of(lone.publish("c", {.dedup = "v"})) == *first);
    CHECK(now.size() == 0);
}

TEST_CASE_FIXTURE(Spread, "what a topic refused has left no value [7.1] [6.4] [6.5]") {
    const auto strict = broker.topic("strict.x", {.unrouted = Unrouted::reject});
    CHECK(strict.publish("a", {.dedup = "v"}) == Errc::no_subscriber);
    const auto tight = broker.subscribe("strict.x", {.capacity = 1, .overflow = Overflow::reject});
    REQUIRE(strict.publish("b"));
    CHECK(strict.publish("c", {.dedup = "v"}) == Errc::full);
    REQUIRE(tight.pop());
    const auto first = strict.publish("d", {.dedup = "v"});
    REQUIRE(first);
    CHECK(tight.size() == 1);
    // Full by then, and a repeat all the same; nor does it want subscribers.
    CHECK(id_of(strict.publish("e", {.dedup = "v"})) == *first);
    REQUIRE(tight.pop());
    CHECK(id_of(strict.publish("f", {.dedup = "v"})) == *first);
    CHECK(strict.stats().published == 2);
}

TEST_CASE_FIXTURE(Spread, "a repeat wants no subscribers any more [7.1] [6.5]") {
    const auto strict = broker.topic("strict.x", {.unrouted = Unrouted::reject});
    auto only = broker.subscribe("strict.x");
    const auto first = strict.publish("a", {.dedup = "v"});
    REQUIRE(first);
    REQUIRE(only.pop());
    only.unsubscribe();
    CHECK(id_of(strict.publish("b", {.dedup = "v"})) == *first);
    CHECK(strict.publish("b", {.dedup = "w"}) == Errc::no_subscriber);
}

TEST_CASE_FIXTURE(Spread, "a topic's message is judged by all its copies [7.1] [5.3]") {
    const MessageId first = spread("a");
    bool still_first = true;
    SUBCASE("one acked, one ready") { REQUIRE(a.pop()); }
    SUBCASE("both acked") {
        REQUIRE(a.pop());
        REQUIRE(b.pop());
    }
    SUBCASE("one dead") {
        REQUIRE(a.try_fetch()->reject());
        still_first = false;
    }
    SUBCASE("one dead, one acked") {
        REQUIRE(a.try_fetch()->reject());
        REQUIRE(b.pop());
        still_first = false;
    }
    SUBCASE("one dead and redriven") {
        REQUIRE(a.try_fetch()->reject());
        REQUIRE(a.dead_letters().redrive() == 1);
    }
    SUBCASE("one cancelled") {
        REQUIRE(b.cancel(first));
        still_first = false;
    }
    SUBCASE("one purged") {
        REQUIRE(b.purge() == 1);
        still_first = false;
    }
    SUBCASE("one left behind by its subscriber") { a.unsubscribe(); }
    SUBCASE("both left behind") {
        a.unsubscribe();
        b.unsubscribe();
    }
    CHECK((spread("b") == first) == still_first);
}

TEST_CASE_FIXTURE(Spread, "a copy evicted by its subscription harms no repeat [7.1] [6.4] [5.3]") {
    const auto tight = broker.subscribe("s", {.capacity = 1});
    const MessageId first = spread("a");
    REQUIRE(topic.publish("b"));
    CHECK(tight.stats().evicted == 1);
    CHECK(spread("c") == first);
}

TEST_CASE_FIXTURE(Spread, "an expired topic message is not the first [7.1] [5.3]") {
    const auto first = topic.publish("a", {.expires_in = 5s, .dedup = "v"});
    REQUIRE(first);
    clock.advance(5s);
    CHECK(spread("b") != *first);
    CHECK(a.size() == 1);
}

TEST_CASE_FIXTURE(Spread, "a subscription's window is nobody's [7.1]") {
    const auto odd = broker.subscribe("s", {.dedup_window = {}});
    const MessageId first = spread("a");
    CHECK(spread("b") == first);
    CHECK(odd.size() == 1);
    const auto none = broker.topic("none", {.dedup_window = {}});
    const auto c = none.publish("c", {.dedup = "v"});
    const auto d = none.publish("d", {.dedup = "v"});
    CHECK(c.value() != d.value());
}

TEST_CASE_FIXTURE(Spread,
                  "a repeat retains nothing, and what is retained stays the first's [6.6]") {
    const auto kept = broker.topic("kept", {.retain_count = 2});
    const auto first = kept.publish("a", {.dedup = "v"});
    REQUIRE(first);
    CHECK(id_of(kept.publish("b", {.retain_for = 1h, .dedup = "v"})) == *first);
    CHECK(kept.stats().retained == 1);
    CHECK(*kept.read(*first).value() == "a");
}

// --- several at once -------------------------------------------------------------------------

TEST_CASE_FIXTURE(Watched, "who waits for room learns of the first message that came [7.1] [7.2]") {
    const auto tight = broker.queue("tight", {.capacity = 1, .overflow = Overflow::block});
    REQUIRE(tight.publish("x"));
    latchbox::Result<MessageId> ids[2] = {Errc::empty, Errc::empty};
    std::vector<std::thread> waiting;
    for (int i = 0; i < 2; ++i) {
        waiting.emplace_back([&, i] { ids[i] = tight.publish("y", {.dedup = "v"}); });
        WatchedThreads::until_asleep(i + 1);
    }
    REQUIRE(tight.pop());
    // One has come in; the other may have learnt of it, or waits on until there is room.
    waiting[0].join();
    static_cast<void>(tight.pop());
    waiting[1].join();
    REQUIRE(ids[0]);
    CHECK(id_of(ids[0]) == id_of(ids[1]));
    CHECK(tight.stats().accepted == 2);
    CHECK(tight.stats().deduplicated == 1);
    CHECK(tight.size() == 0);
    support::check_sound(tight);
}

TEST_CASE("of many who publish one value at once, one is the first [7.1]") {
    constexpr std::size_t values = 300;
    constexpr std::size_t threads = 4;
    latchbox::Broker<int> broker;
    const auto q = broker.queue("q", {.dedup_window = 1h});
    const auto topic = broker.topic("s", {.dedup_window = 1h});
    const auto subscription = broker.subscribe("s");
    std::vector<std::vector<MessageId>> ids(threads);
    std::vector<std::thread> publishing;
    for (std::size_t t = 0; t < threads; ++t) {
        publishing.emplace_back([&, t] {
            for (std::size_t n = 0; n < values; ++n) {
                const std::string value = std::to_string(n);
                const auto id = n % 2 == 0 ? q.publish(1, {.dedup = value})
                                           : topic.publish(1, {.dedup = value});
                ids[t].push_back(id ? *id : MessageId{});
            }
        });
    }
    for (std::thread& thread : publishing) { thread.join(); }
    for (const auto& of_one : ids) { CHECK(of_one == ids.front()); }
    CHECK(q.stats().accepted == values / 2);
    CHECK(q.stats().deduplicated == (threads - 1) * values / 2);
    CHECK(topic.stats().published == values / 2);
    CHECK(topic.stats().deduplicated == (threads - 1) * values / 2);
    CHECK(subscription.size() == values / 2);
    support::check_sound(q);
    support::check_sound(subscription);
}

TEST_CASE("a value is known on a platform of one thread, too [7.1]") {
    latchbox::ManualClock clock;
    latchbox::Broker<int, latchbox::SingleThread> broker{{.clock = &clock}};
    const auto q = broker.queue("q");
    const auto first = q.publish(1, {.dedup = "v"});
    CHECK(id_of(q.publish(2, {.dedup = "v"})) == *first);
    clock.advance(2min);
    CHECK(q.publish(3, {.dedup = "v"}).value() != *first);
    CHECK(q.size() == 2);
}

TEST_CASE("the end of a message may publish its own value again [7.1] [4.10]") {
    using support::CallsBack;
    latchbox::ManualClock clock;
    latchbox::Broker<CallsBack> broker{{.clock = &clock}};
    const auto q = broker.queue("q");
    int published = 0;
    MessageId second;
    const auto first = q.publish(CallsBack{1}, {.dedup = "v"});
    REQUIRE(first);
    CallsBack::on_end = [&] {
        if (published++ == 0) { second = q.publish(CallsBack{2}, {.dedup = "v"}).value(); }
    };
    SUBCASE("completed: it is the first") {
        REQUIRE(q.try_fetch()->ack());
        CallsBack::no_calls();
        CHECK(second == *first);
        CHECK(q.size() == 0);
    }
    SUBCASE("cancelled: it is new") {
        REQUIRE(q.cancel(*first));
        CallsBack::no_calls();
        CHECK(second != *first);
        CHECK(q.size() == 1);
    }
    support::check_sound(q);
}

TEST_CASE("a topic that remembers no values any more lets publishes wait as ever [7.1] [6.4]") {
    latchbox::ManualClock clock;
    latchbox::Broker<std::string> broker{{.clock = &clock}};
    REQUIRE(broker.topic("x").publish("a", {.dedup = "v"}));
    const auto topic = broker.topic("x", {.dedup_window = 0s});
    const auto full = broker.subscribe(
        "x", {.capacity = 1, .overflow = latchbox::Overflow::block, .block_for = 0s});
    REQUIRE(topic.publish("b"));
    CHECK(topic.publish("c", {.dedup = "w"}) == latchbox::Errc::timed_out);
}

}  // namespace
