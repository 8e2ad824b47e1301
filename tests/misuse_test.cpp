// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"

#include "support/bare_core.hpp"
#include "support/sound.hpp"
#include "support/subjects.hpp"
#include "support/watched_threads.hpp"

// Wrong input, and its right answer: nothing changes, nothing is lost.
namespace {

using namespace std::chrono_literals;
using latchbox::Errc;
using latchbox::Instant;
using latchbox::MessageId;
using latchbox::Overflow;
using latchbox::QueueOptions;
using latchbox::Receipt;
using support::error_of;
using support::refuses;
using support::WatchedThreads;

template <class Platform> struct Misused {
    latchbox::ManualClock clock;
    latchbox::Broker<std::string, Platform> broker{{.clock = &clock}};
    latchbox::Queue<std::string, Platform> q = broker.queue("q", {.lease = 10s});

    [[nodiscard]] auto fetched() const { return q.try_fetch().value(); }
    ~Misused() { support::check_sound(q); }
};
using Misuse = Misused<latchbox::Threads>;
using WatchedMisuse = Misused<WatchedThreads>;

// --- row 1: names ----------------------------------------------------------------------------

TEST_CASE_FIXTURE(Misuse, "unusable names are refused with rule and position [misuse 1] [8]") {
    for (const auto& one : support::bad_names({
             {"a.*.b", "wildcard", "position 2"},
             {"a.>", "wildcard", "position 2"},
             {"a*", "wildcard", "position 1"},
         })) {
        CAPTURE(one.name);
        CHECK(refuses([&] { return broker.queue(one.name); }, one.rule, one.position));
        CHECK(refuses([&] { return broker.queue(one.name, {}); }, one.rule, one.position));
    }
    CHECK(broker.stats().queues == 1);
}

TEST_CASE_FIXTURE(Misuse, "names at their limits are names, of whatever bytes [misuse 1] [8]") {
    const std::string right[] = {std::string(255, 'a'),
                                 "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p",
                                 "Upper.lower",
                                 "\xc3\xa4\xc3\xb6.\xff\xfe",
                                 "a-b_c:d/e",
                                 "!"};
    for (const std::string& name : right) {
        CAPTURE(name);
        CHECK(broker.queue(name).name() == name);
    }
    CHECK(broker.stats().queues == 1 + std::size(right));
}

TEST_CASE_FIXTURE(Misuse, "looking for or removing an unusable name finds nothing [misuse 1]") {
    CHECK_FALSE(broker.remove("nobody"));
    CHECK_FALSE(broker.find_queue("nobody"));
    bool found = false;
    try {
        found = broker.remove("") || broker.find_queue("a..b").has_value();
    } catch (const std::invalid_argument&) { found = false; }
    CHECK_FALSE(found);
}

// --- row 2: the same name again --------------------------------------------------------------

TEST_CASE_FIXTURE(Misuse, "a queue asked for again is that one, or the field is named [misuse 2]") {
    REQUIRE(q.publish("a"));
    CHECK(broker.queue("q", {.lease = 10s}).size() == 1);
    CHECK(broker.queue("q").size() == 1);
    CHECK(refuses([&] { return broker.queue("q", {.lease = 11s}); }, "lease"));
    CHECK(refuses([&] { return broker.queue("q", {}); }, "lease"));
    CHECK(refuses([&] { return broker.queue("q", {.lease = 10s, .capacity = 1}); }, "capacity"));
    CHECK(broker.queue("new").options() == QueueOptions{});
    CHECK(q.size() == 1);
}

// --- row 3 and 4: options of a queue ---------------------------------------------------------

TEST_CASE_FIXTURE(Misuse, "unusable options of a queue are refused [misuse 3] [misuse 4] [7.1]") {
    const std::pair<const char*, QueueOptions> wrong[] = {
        {"lease", {.lease = 0s}},
        {"lease", {.lease = -1s}},
        {"overflow", {.overflow = Overflow::drop_newest}},
        {"block_for", {.block_for = -1ns}},
        {"backoff", {.backoff = {.first = -1ns}}},
        {"backoff", {.backoff = {.limit = -1ns}}},
        {"backoff", {.backoff = {.factor = 0}}},
        {"backoff", {.backoff = {.first = 2s, .limit = 1s}}},
    };
    for (const auto& one : wrong) {
        CAPTURE(std::string(one.first));
        CHECK(refuses([&] { return broker.queue("new", one.second); }, one.first));
    }
    CHECK_FALSE(broker.find_queue("new"));
    CHECK(broker.stats().queues == 1);
}

TEST_CASE_FIXTURE(Misuse, "a queue of no capacity accepts nothing [misuse 3] [4.12]") {
    for (const Overflow overflow : {Overflow::reject, Overflow::drop_oldest}) {
        const auto none = broker.queue(overflow == Overflow::reject ? "reject" : "drop",
                                       {.capacity = 0, .overflow = overflow});
        CHECK(none.publish("a") == Errc::full);
        std::vector<std::string> batch = {"a"};
        CHECK(none.publish_batch(batch) == Errc::full);
        CHECK(none.publish_batch({}));
        CHECK(none.stats().accepted == 0);
        CHECK(none.stats().refused == 2);
        support::check_sound(none);
    }
}

TEST_CASE_FIXTURE(Misuse, "a queue without max_failures never gives up [misuse 3] [4.5]") {
    REQUIRE(q.publish("a"));
    for (int i = 0; i < 100; ++i) {
        auto delivery = q.try_fetch();
        REQUIRE(delivery);
        REQUIRE(delivery->fail());
        clock.advance(30s);
    }
    CHECK(q.stats().ready + q.stats().delayed == 1);
    CHECK(fetched().failures() == 100);
}

// --- rows 4 to 7: durations and options of a publish -----------------------------------------

TEST_CASE_FIXTURE(Misuse, "a negative duration is refused, NaN too [misuse 4] [misuse 6]") {
    REQUIRE(q.publish("a"));
    auto delivery = fetched();
    const latchbox::QueueStats before = q.stats();
    const std::chrono::duration<double> nan{std::numeric_limits<double>::quiet_NaN()};
    for (const latchbox::Duration wrong : {latchbox::Duration{-1ns}, latchbox::Duration{nan},
                                           latchbox::Duration{std::chrono::hours::min()}}) {
        CHECK(q.publish("b", {.delay = wrong}) == Errc::invalid_option);
        CHECK(q.publish("b", {.expires_in = wrong}) == Errc::invalid_option);
        CHECK(q.publish("b", {.block_for = wrong}) == Errc::invalid_option);
        CHECK(q.fetch_for(wrong) == Errc::invalid_option);
        CHECK(delivery.requeue(wrong) == Errc::invalid_option);
        CHECK(delivery.extend(wrong) == Errc::invalid_option);
        CHECK(q.requeue(delivery.receipt(), wrong) == Errc::invalid_option);
        CHECK(q.extend(delivery.receipt(), wrong) == Errc::invalid_option);
        std::vector<latchbox::Delivery<std::string>> out;
        CHECK(q.fetch_batch(out, 1, wrong) == Errc::invalid_option);
    }
    CHECK(q.stats() == before);
    CHECK(delivery.ack());
}

TEST_CASE_FIXTURE(Misuse, "no time at all is a time like any other [misuse 5] [7.6]") {
    CHECK(q.fetch_for(0s) == Errc::timed_out);
    REQUIRE(q.publish("a", {.delay = 0s}));
    CHECK(q.stats().ready == 1);
    auto delivery = q.fetch_for(0s);
    REQUIRE(delivery);
    CHECK(delivery->extend(0s));
    CHECK(delivery->deadline() == Instant{10s});
    CHECK(delivery->requeue(0s));
    CHECK(q.stats().ready == 1);
    CHECK(fetched().ack());
    CHECK(broker.drain(0ms).left() == 0);
}

TEST_CASE_FIXTURE(Misuse, "a huge duration is never, and never overflows [misuse 6] [7.6]") {
    const latchbox::Duration huge[] = {
        std::chrono::hours::max(),
        std::chrono::duration<double>{std::numeric_limits<double>::infinity()},
        std::chrono::duration<float, std::ratio<86'400>>{1e30F},
        std::chrono::nanoseconds::max() - 1ns,
    };
    clock.advance(1h);
    for (const latchbox::Duration length : huge) {
        REQUIRE(q.publish("delayed", {.delay = length}));
        REQUIRE(q.publish("mortal", {.expires_in = length}));
        auto delivery = q.try_fetch();
        REQUIRE(delivery);
        CHECK(delivery->extend(length));
        CHECK(delivery->deadline().is_never());
        CHECK(delivery->requeue(length));
    }
    clock.advance(24h * 365 * 200);
    CHECK(q.try_fetch() == Errc::empty);
    CHECK(q.stats().delayed == 2 * std::size(huge));
    CHECK(broker.poll().is_never());
    const auto patient = broker.queue("patient", {.lease = std::chrono::hours::max()});
    REQUIRE(patient.publish("a"));
    auto delivery = patient.try_fetch();
    REQUIRE(delivery);
    CHECK(delivery->deadline().is_never());
    CHECK(delivery->ack());
}

TEST_CASE_FIXTURE(Misuse, "a life not longer than its delay is refused, so is priority 10 "
                          "[misuse 7] [7.1]") {
    CHECK(q.publish("a", {.delay = 1s, .expires_in = 1s}) == Errc::invalid_option);
    CHECK(q.publish("a", {.delay = 2s, .expires_in = 1s}) == Errc::invalid_option);
    CHECK(q.publish("a", {.expires_in = 0s}) == Errc::invalid_option);
    CHECK(q.publish("a", {.priority = 10}) == Errc::invalid_option);
    CHECK(q.publish("a", {.priority = 255}) == Errc::invalid_option);
    CHECK(q.stats().accepted == 0);
    CHECK(q.publish("a", {.delay = 1s, .expires_in = 1s + 1ns, .priority = 9}));
}

// --- row 9: values that are hardly one -------------------------------------------------------

TEST_CASE("null and empty values are messages like any other [misuse 9]") {
    latchbox::ManualClock clock;
    latchbox::Broker<std::shared_ptr<int>> pointers{{.clock = &clock}};
    auto q = pointers.queue("q");
    REQUIRE(q.publish(nullptr));
    std::shared_ptr<int> moved_from = std::make_shared<int>(1);
    const std::shared_ptr<int> elsewhere = std::move(moved_from);
    REQUIRE(q.publish(moved_from));  // NOLINT: on purpose
    CHECK(q.pop().value() == nullptr);
    CHECK(q.pop().value() == nullptr);
    support::check_sound(q);
    latchbox::Broker<std::optional<int>> options{{.clock = &clock}};
    auto none = options.queue("q");
    REQUIRE(none.publish(std::nullopt));
    CHECK(none.pop().value() == std::nullopt);
    support::check_sound(none);
}

// --- rows 11 and 12: parents and gates -------------------------------------------------------

TEST_CASE_FIXTURE(Misuse,
                  "a parent nobody can vouch for is unknown, nothing is accepted "
                  "[misuse 11] [5.2]") {
    using Parts = latchbox::detail::IdParts;
    latchbox::Broker<std::string> foreign{{.clock = &clock}};
    const auto theirs = foreign.queue("q").publish("theirs");
    const auto forgetful = broker.queue("forgetful", {.outcome_memory = 0});
    const auto forgotten = forgetful.publish("f");
    REQUIRE(forgetful.cancel(*forgotten));
    const auto known = q.publish("known");
    const MessageId future = Parts::message(Parts::issuer(*known), Parts::number(*known) + 1, 1);
    const auto target = broker.queue("target");
    std::string body(40, 'x');
    std::vector<std::string> batch(2, body);
    for (const MessageId& id : {MessageId{}, *theirs, *forgotten, future}) {
        CAPTURE(to_string(id));
        for (const auto policy :
             {latchbox::OnParentFailure::dead_letter, latchbox::OnParentFailure::deliver,
              latchbox::OnParentFailure::hold}) {
            const latchbox::PublishOptions options{
                .parents = {*known, id}, .on_parent_failure = policy, .key = "k"};
            CHECK(target.publish(std::move(body), options) == Errc::unknown_parent);
            CHECK(target.publish(std::as_const(body), options) == Errc::unknown_parent);
            CHECK(target.publish_batch(batch, options) == Errc::unknown_parent);
        }
    }
    CHECK(body == std::string(40, 'x'));  // NOLINT: refused, so not moved from
    CHECK(batch == std::vector<std::string>(2, body));
    CHECK(target.stats() == latchbox::QueueStats{});
    CHECK(broker.stats().edges == 0);
    CHECK(q.pop().value() == "known");
    CHECK(broker.stats().latches == 0);
    support::check_sound(forgetful);
    support::check_sound(target);
}

TEST_CASE_FIXTURE(Misuse,
                  "a parent that is known is waited for, or not any more "
                  "[misuse 11] [5.2] [5.5]") {
    const auto other = broker.queue("other");
    const auto completed = other.publish("1");
    REQUIRE(other.pop());
    const auto dead = other.publish("2");
    REQUIRE(other.try_fetch()->reject());
    const auto failed = other.publish("3");
    REQUIRE(other.cancel(*failed));
    const auto pending = other.publish("4");
    const auto state = [&](std::vector<MessageId> parents) {
        const auto id = q.publish("c", {.parents = std::move(parents)});
        REQUIRE(id);
        return broker.explain(*id).state;
    };
    CHECK(state({*completed, *completed}) == latchbox::MessageState::ready);
    CHECK(state({*dead}) == latchbox::MessageState::dead);
    CHECK(state({*failed, *completed}) == latchbox::MessageState::dead);
    CHECK(state({*pending, *pending}) == latchbox::MessageState::blocked);
    REQUIRE(other.pop());
    CHECK(q.stats().ready == 2);
    CHECK(broker.stats().edges == 1);  // a dead letter that could still be redriven
    support::check_sound(other);
}

TEST_CASE_FIXTURE(Misuse,
                  "a gate of nothing is open; an open one stays so; an abandoned one "
                  "fails [misuse 12] [5.8] [5.9]") {
    const auto open = broker.gate(0);
    CHECK(open.count_down(5));
    CHECK(open.fail("late"));
    CHECK(broker.latch(open.id()).state().value() == latchbox::LatchState::completed);
    const auto counted = broker.gate(1);
    CHECK(counted.count_down(7));
    CHECK(counted.count_down());
    CHECK(counted.fail("late"));
    CHECK(broker.explain(counted.id()).state == latchbox::MessageState::completed);
    std::optional<latchbox::Gate<std::string>> gate = broker.gate(1);
    const MessageId id = gate->id();
    const latchbox::OnParentFailure policies[] = {latchbox::OnParentFailure::dead_letter,
                                                  latchbox::OnParentFailure::deliver,
                                                  latchbox::OnParentFailure::hold};
    std::vector<MessageId> children;
    for (const auto policy : policies) {
        children.push_back(
            q.publish("c", {.parents = {id, open.id()}, .on_parent_failure = policy}).value());
    }
    gate.reset();
    CHECK(to_string(broker.explain(id)) ==
          to_string(id) + " has failed: its last handle went before it was open");
    CHECK(broker.explain(children[0]).state == latchbox::MessageState::dead);
    CHECK(broker.explain(children[0]).reason.parent() == id);
    CHECK(broker.explain(children[1]).state == latchbox::MessageState::ready);
    CHECK(broker.explain(children[2]).state == latchbox::MessageState::dead);
}

TEST_CASE_FIXTURE(Misuse, "any bytes are a key, none is no key, a megabyte is one [5.7]") {
    const std::string megabyte(1'048'576, 'k');
    const std::string keys[] = {megabyte, std::string{"n\0l", 3}, "n", " "};
    for (const std::string& key : keys) {
        REQUIRE(q.publish("1", {.key = key}));
        REQUIRE(q.publish("2", {.key = key}));
    }
    REQUIRE(q.publish("3", {.key = ""}));
    REQUIRE(q.publish("4", {.key = {}}));
    CHECK(q.stats().ready == std::size(keys) + 2);
    CHECK(q.stats().blocked == std::size(keys));
    CHECK(support::work_off_text(q).size() == 2 * std::size(keys) + 2);
}

// --- rows 13 to 16: settling -----------------------------------------------------------------

// Every verb, by delivery and by receipt.
template <class D> std::vector<Errc> every_verb(D& delivery) {
    return {error_of(delivery.ack()),         error_of(delivery.release()),
            error_of(delivery.requeue()),     error_of(delivery.requeue(1s)),
            error_of(delivery.fail("no")),    error_of(delivery.reject("no")),
            error_of(delivery.extend(1s)),    error_of(delivery.take())};
}
template <class Q> std::vector<Errc> every_verb(const Q& queue, Receipt receipt) {
    return {error_of(queue.ack(receipt)),        error_of(queue.release(receipt)),
            error_of(queue.requeue(receipt)),    error_of(queue.requeue(receipt, 1s)),
            error_of(queue.fail(receipt, "no")), error_of(queue.reject(receipt, "no")),
            error_of(queue.extend(receipt, 1s))};
}
bool all_are(const std::vector<Errc>& outcomes, Errc expected) {
    for (const Errc outcome : outcomes) {
        if (outcome != expected) { return false; }
    }
    return true;
}

TEST_CASE_FIXTURE(Misuse, "settled twice is told apart from settled late [misuse 13] [4.2]") {
    REQUIRE(q.publish("a"));
    REQUIRE(q.publish("b"));
    auto a = fetched();
    auto b = fetched();
    const Receipt receipt = a.receipt();
    REQUIRE(a.ack());
    const latchbox::QueueStats acked = q.stats();
    CHECK(all_are(every_verb(a), Errc::already_settled));
    CHECK(all_are(every_verb(q, receipt), Errc::lease_lost));
    CHECK(q.stats() == acked);

    REQUIRE(q.release(b.receipt()));
    CHECK(b.ack() == Errc::lease_lost);
    auto again = fetched();
    CHECK(all_are(every_verb(b), Errc::lease_lost));
    CHECK(all_are(every_verb(q, b.receipt()), Errc::lease_lost));
    CHECK(again.ack());
}

TEST_CASE_FIXTURE(Misuse, "one tick before its deadline every verb works, at it none "
                          "[misuse 13] [4.3]") {
    for (int verb = 0; verb < 8; ++verb) {
        for (const bool late : {false, true}) {
            CAPTURE(verb);
            CAPTURE(late);
            const auto queue = broker.queue("q" + std::to_string(verb) + (late ? "late" : ""),
                                            {.lease = 10s});
            REQUIRE(queue.publish("m"));
            auto delivery = queue.try_fetch().value();
            clock.advance(late ? 10s : 10s - 1ns);
            CHECK(delivery.lease_lost() == late);
            const Errc expected = late ? Errc::lease_lost : Errc{};
            switch (verb) {
                case 0: CHECK(error_of(delivery.ack()) == expected); break;
                case 1: CHECK(error_of(delivery.release()) == expected); break;
                case 2: CHECK(error_of(delivery.requeue()) == expected); break;
                case 3: CHECK(error_of(delivery.fail()) == expected); break;
                case 4: CHECK(error_of(delivery.reject()) == expected); break;
                case 5: CHECK(error_of(delivery.extend(1s)) == expected); break;
                case 6: CHECK(error_of(delivery.take()) == expected); break;
                default: CHECK(error_of(queue.ack(delivery.receipt())) == expected); break;
            }
            CHECK(queue.stats().leases_run_out == (late ? 1 : 0));
            support::check_sound(queue);
        }
    }
}

TEST_CASE_FIXTURE(Misuse, "a handle moved from or detached settles nothing [misuse 13] [4.2]") {
    REQUIRE(q.publish("a"));
    auto first = fetched();
    auto second = std::move(first);
    CHECK(all_are(every_verb(first), Errc::already_settled));  // NOLINT: on purpose
    const Receipt receipt = std::move(second).detach();
    CHECK(all_are(every_verb(second), Errc::already_settled));  // NOLINT: on purpose
    CHECK(q.stats().leased == 1);
    CHECK(q.ack(receipt));
}

TEST_CASE_FIXTURE(Misuse, "receipts and ids from elsewhere are unknown [misuse 14] [4.2]") {
    const auto other = broker.queue("other");
    latchbox::Broker<std::string> foreign{{.clock = &clock}};
    const auto theirs = foreign.queue("q");
    REQUIRE(q.publish("ours"));
    const auto other_id = other.publish("other");
    const auto their_id = theirs.publish("theirs");
    REQUIRE(their_id);
    auto ours = fetched();
    auto another = other.try_fetch();
    auto foreigner = theirs.try_fetch();
    REQUIRE(foreigner);
    const latchbox::QueueStats before = q.stats();
    const Receipt receipts[] = {Receipt{}, another->receipt(), foreigner->receipt(),
                                Receipt::from_string("r-1-999999-999999-7").value(),
                                Receipt::from_string("r-4294967295-1-1-0").value()};
    for (const Receipt receipt : receipts) {
        CAPTURE(to_string(receipt));
        CHECK(all_are(every_verb(q, receipt), Errc::unknown_message));
    }
    for (const MessageId id : {MessageId{}, *other_id, *their_id}) {
        CHECK(q.cancel(id) == Errc::unknown_message);
        CHECK(q.dead_letters().take(id) == Errc::unknown_message);
        CHECK(q.dead_letters().redrive(id) == Errc::unknown_message);
    }
    CHECK(q.stats() == before);
    CHECK(ours.ack());
    CHECK(another->ack());
    CHECK(foreigner->ack());
}

// Takes a receipt apart and changes one of its numbers.
TEST_CASE_FIXTURE(Misuse, "a receipt made up from a live one settles nothing [misuse 14] [4.2]") {
    REQUIRE(q.publish("a"));
    auto delivery = fetched();
    using Parts = latchbox::detail::IdParts;
    const Receipt live = delivery.receipt();
    const auto queue = Parts::queue(live);
    const auto slot = Parts::slot(live);
    const auto lease = Parts::lease(live);
    const auto number = Parts::number(live);
    const std::uint64_t most = ~std::uint64_t{0};
    const Receipt forged[] = {
        Parts::receipt(queue + 1, slot, lease, number),
        Parts::receipt(queue, slot + 1, lease, number),
        Parts::receipt(queue, ~std::uint32_t{0}, lease, number),
        Parts::receipt(queue, slot, lease + 1, number),
        Parts::receipt(queue, slot, most, number),
        Parts::receipt(queue, slot, 0, number),
        Parts::receipt(queue, slot, lease, number + 1),
        Parts::receipt(queue, slot, lease, most),
        Parts::receipt(queue, slot, lease, 0),
    };
    const latchbox::QueueStats before = q.stats();
    for (const Receipt receipt : forged) {
        CAPTURE(to_string(receipt));
        for (const Errc outcome : every_verb(q, receipt)) {
            const bool refused = outcome == Errc::lease_lost || outcome == Errc::unknown_message;
            CHECK(refused);
        }
    }
    CHECK(q.stats() == before);
    CHECK(delivery.ack());
}

TEST_CASE_FIXTURE(Misuse, "a receipt settled by two threads at once is one's [misuse 15] [4.2]") {
    for (int round = 0; round < 200; ++round) {
        REQUIRE(q.publish("a"));
        const Receipt receipt = fetched().detach();
        std::atomic<int> ready{0};
        Errc outcomes[2] = {Errc::empty, Errc::empty};
        const auto settle = [&](Errc& outcome) {
            ++ready;
            while (ready.load() < 2) {}
            outcome = error_of(q.ack(receipt));
        };
        std::thread other{[&] { settle(outcomes[0]); }};
        settle(outcomes[1]);
        other.join();
        const bool one = (outcomes[0] == Errc{} && outcomes[1] == Errc::lease_lost) ||
                         (outcomes[1] == Errc{} && outcomes[0] == Errc::lease_lost);
        REQUIRE(one);
    }
    CHECK(q.stats().completed == 200);
}

TEST_CASE_FIXTURE(Misuse, "an abandoned handle gives its message back [misuse 16] [4.7]") {
    REQUIRE(q.publish("a"));
    REQUIRE(q.publish("b"));
    SUBCASE("at the back") {
        static_cast<void>(q.try_fetch());
        CHECK(support::work_off_text(q) == "ba");
    }
    SUBCASE("by an exception, the same") {
        const auto handle = [&] {
            const auto delivery = fetched();
            throw std::runtime_error{delivery.body()};
        };
        CHECK_THROWS_AS(handle(), std::runtime_error);
        CHECK(support::work_off_text(q) == "ba");
    }
    SUBCASE("after its lease it changes nothing") {
        {
            const auto late = fetched();
            clock.advance(10s);
            const auto b = fetched();
            const auto a = fetched();
            CHECK(a.body() == "a");
        }
        CHECK(q.stats().abandoned == 2);
        CHECK(q.stats().leases_run_out == 1);
    }
    SUBCASE("after close it changes nothing") {
        {
            const auto late = fetched();
            CHECK(broker.close().leased == 1);
        }
        CHECK(q.stats().abandoned == 0);
        CHECK(q.stats().leased == 1);
    }
}

TEST_CASE("a handle abandoned after its broker's end is let go of [misuse 16] [4.8]") {
    latchbox::ManualClock clock;
    auto broker = std::make_unique<latchbox::Broker<std::string>>(
        latchbox::BrokerOptions{.clock = &clock});
    auto q = broker->queue("q");
    REQUIRE(q.publish("a"));
    {
        auto delivery = q.try_fetch();
        REQUIRE(delivery);
        broker.reset();
        CHECK(delivery->body() == "a");
    }
    CHECK(q.stats().abandoned == 0);
    support::check_sound(q);
}

// --- rows 17 and 18: bodies that others read -------------------------------------------------

TEST_CASE_FIXTURE(Misuse, "a late holder's body stays as it was [misuse 17] [misuse 18] [4.8]") {
    const std::string text(100, 't');
    REQUIRE(q.publish(text));
    auto late = fetched();
    const char* const where = late.body().data();
    clock.advance(10s);
    SUBCASE("redelivered") {
        auto again = fetched();
        CHECK(again.body() == text);
        CHECK(again.body().data() == where);
        REQUIRE(again.release());
    }
    SUBCASE("acked by another") { CHECK(fetched().ack()); }
    SUBCASE("taken by another, who got a copy") {
        const auto copy = fetched().take();
        REQUIRE(copy);
        CHECK(copy->data() != where);
        CHECK(*copy == text);
    }
    SUBCASE("popped by another, who got a copy") { CHECK(q.pop().value() == text); }
    SUBCASE("purged") { CHECK(q.purge() == 1); }
    for (int i = 0; i < 100; ++i) { REQUIRE(q.publish("x")); }
    CHECK(late.body() == text);
    CHECK(late.body().data() == where);
    q.purge();
}

// --- rows 19 and 20 --------------------------------------------------------------------------

TEST_CASE_FIXTURE(Misuse, "requeued and released for ever, a message never dies "
                          "[misuse 19] [4.5]") {
    const auto strict = broker.queue("strict", {.max_failures = 1, .max_attempts = 0});
    REQUIRE(strict.publish("a"));
    for (std::uint32_t i = 1; i <= 10'000; ++i) {
        auto delivery = strict.try_fetch();
        REQUIRE(delivery);
        REQUIRE(delivery->attempt() == i);
        REQUIRE((i % 2 == 0 ? delivery->requeue() : delivery->release()));
    }
    CHECK(strict.stats().ready == 1);
    support::check_sound(strict);
}

TEST_CASE_FIXTURE(Misuse, "unless its attempts are limited, whichever way it comes back "
                          "[misuse 19] [4.5] [3]") {
    for (int way = 0; way < 5; ++way) {
        CAPTURE(way);
        const auto limited =
            broker.queue("limited" + std::to_string(way), {.lease = 10s, .max_attempts = 3});
        REQUIRE(limited.publish("a"));
        std::uint32_t attempts = 0;
        while (limited.stats().dead == 0 && attempts < 10) {
            {
                auto delivery = limited.try_fetch();
                REQUIRE(delivery);
                attempts = delivery->attempt();
                switch (way) {
                    case 0: REQUIRE(delivery->requeue()); break;
                    case 1: REQUIRE(delivery->release()); break;
                    case 2: REQUIRE(delivery->fail("no")); break;
                    case 3: break;
                    default: clock.advance(10s); break;
                }
            }
            clock.advance(1min);
            broker.poll();
        }
        CHECK(attempts == 3);
        limited.dead_letters().for_each([](const auto& letter) {
            CHECK(letter.reason().cause() == latchbox::Cause::attempts_used_up);
        });
        CHECK(limited.dead_letters().size() == 1);
        support::check_sound(limited);
    }
}

TEST_CASE_FIXTURE(Misuse, "a reason is cut at 47 bytes, opaque, or empty [misuse 20] [4.11]") {
    const std::string megabyte(1'048'576, 'r');
    const std::string with_nul{"n\0ul", 4};
    for (const std::string& reason : {megabyte, with_nul, std::string{}}) {
        REQUIRE(q.publish("a"));
        REQUIRE(fetched().reject(reason));
        q.dead_letters().for_each([&](const auto& letter) {
            CHECK(letter.reason().text() == reason.substr(0, 47));
        });
        REQUIRE(q.dead_letters().purge() == 1);
    }
}

// --- rows 23, 24 and 27: threads -------------------------------------------------------------

TEST_CASE_FIXTURE(WatchedMisuse, "a handler that fills its own queue waits, others do not "
                                 "[misuse 23] [7.2]") {
    const auto own = broker.queue("own", {.capacity = 1, .overflow = Overflow::block});
    REQUIRE(own.publish("a"));
    Errc outcome{};
    Errc settled = Errc::empty;
    std::thread handler{[&] {
        auto delivery = own.try_fetch();
        outcome = error_of(own.publish("b", {.block_for = 3s}));
        settled = error_of(delivery->ack());
    }};
    WatchedThreads::until_asleep(1);
    CHECK(q.publish("others go on"));
    CHECK(q.pop());
    CHECK(broker.queue("new").publish("a"));
    CHECK(own.stats().leased == 1);
    clock.advance(3s);
    handler.join();
    CHECK(outcome == Errc::timed_out);
    CHECK(settled == Errc{});
    support::check_sound(own);
}

TEST_CASE_FIXTURE(WatchedMisuse, "a stop at any time loses no message [misuse 27] [7.7]") {
    std::stop_source stop;
    Errc outcome{};
    SUBCASE("requested during the wait") {
        std::thread waiting{[&] { outcome = error_of(q.fetch_for(1h, stop.get_token())); }};
        WatchedThreads::until_asleep(1);
        stop.request_stop();
        REQUIRE(q.publish("a"));
        waiting.join();
        const bool either = outcome == Errc{} || outcome == Errc::cancelled;
        CHECK(either);
    }
    SUBCASE("requested after the hand-over") {
        std::thread waiting{[&] { outcome = error_of(q.fetch_for(1h, stop.get_token())); }};
        WatchedThreads::until_asleep(1);
        REQUIRE(q.publish("a"));
        stop.request_stop();
        waiting.join();
        // Either it has the delivery, which was abandoned then, or it is cancelled.
        const bool either = outcome == Errc{} || outcome == Errc::cancelled;
        CHECK(either);
    }
    SUBCASE("requested before") {
        REQUIRE(q.publish("a"));
        stop.request_stop();
        std::vector<latchbox::Delivery<std::string, WatchedThreads>> out;
        CHECK(q.fetch(stop.get_token()) == Errc::cancelled);
        CHECK(q.fetch_for(0s, stop.get_token()) == Errc::cancelled);
        CHECK(q.publish("b", {}, stop.get_token()) == Errc::cancelled);
    }
    CHECK(q.pop().value() == "a");
}

// --- rows 28 and 29: clocks ------------------------------------------------------------------

TEST_CASE_FIXTURE(Misuse, "a manual clock set back stays, whoever moves it [misuse 28]") {
    REQUIRE(q.publish("a"));
    auto delivery = fetched();
    clock.advance(5s);
    CHECK_THROWS_AS(clock.advance(-1s), std::invalid_argument);
    CHECK_THROWS_AS(clock.set(Instant{4s}), std::invalid_argument);
    CHECK_FALSE(delivery.lease_lost());
    std::thread other{[&] { clock.advance(2s); }};
    clock.advance(2s);
    other.join();
    CHECK_FALSE(delivery.lease_lost());
    // From inside a handling, too.
    clock.advance(1s);
    CHECK(delivery.lease_lost());
    CHECK(delivery.ack() == Errc::lease_lost);
}

class SetClock final : public latchbox::Clock {
public:
    Instant now() noexcept override { return at; }
    Instant at;
};

TEST_CASE("a clock that goes back stands, one that jumps does all that is due in its order "
          "[misuse 29] [4.3]") {
    SetClock clock;
    clock.at = Instant{100s};
    latchbox::Broker<std::string> broker{{.clock = &clock}};
    const auto q = broker.queue("q", {.lease = 10s, .max_failures = 1});
    REQUIRE(q.publish("lease"));
    auto delivery = q.try_fetch();
    REQUIRE(delivery);
    REQUIRE(q.publish("delayed", {.delay = 5s}));
    REQUIRE(q.publish("mortal", {.expires_in = 7s}));
    SUBCASE("back") {
        clock.at = Instant{1s};
        CHECK_FALSE(delivery->lease_lost());
        CHECK(broker.poll() == Instant{105s});
        CHECK(q.stats().delayed == 1);
        // A lease granted now counts from the latest instant seen.
        auto mortal = q.try_fetch();
        REQUIRE(mortal);
        CHECK(mortal->body() == "mortal");
        CHECK(mortal->deadline() == Instant{110s});
        clock.at = Instant{104s};
        CHECK(broker.poll() == Instant{105s});
        clock.at = Instant{110s};
        CHECK(mortal->lease_lost());
        CHECK(delivery->lease_lost());
        CHECK(mortal->ack() == Errc::lease_lost);
    }
    SUBCASE("ahead by a year") {
        clock.at = Instant{24h * 365};
        CHECK(broker.poll().is_never());
        CHECK(delivery->lease_lost());
        CHECK(q.stats().dead == 1);
        CHECK(q.stats().expired == 1);
        CHECK(q.stats().ready == 1);
        CHECK(q.stats().leases_run_out == 1);
    }
    SUBCASE("not at all") {
        for (int i = 0; i < 100; ++i) { CHECK(broker.poll() == Instant{105s}); }
        CHECK_FALSE(delivery->lease_lost());
        CHECK(q.stats().delayed == 1);
        CHECK(q.stats().expired == 0);
    }
    support::check_sound(q);
}

// --- row 30: ends ----------------------------------------------------------------------------

TEST_CASE("a broker destroyed with everything alive closes all of it [misuse 30] [4.8]") {
    auto clock = std::make_unique<latchbox::ManualClock>();
    auto broker = std::make_unique<latchbox::Broker<std::string, WatchedThreads>>(
        latchbox::BrokerOptions{.clock = clock.get()});
    auto q = broker->queue("q", {.capacity = 2, .overflow = Overflow::block});
    auto empty = broker->queue("empty");
    REQUIRE(q.publish("leased"));
    REQUIRE(q.publish("ready"));
    auto delivery = q.try_fetch();
    REQUIRE(delivery);
    auto dead = q.dead_letters();
    Errc fetching{};
    Errc publishing{};
    std::thread fetcher{[&, empty] { fetching = error_of(empty.fetch()); }};
    std::thread publisher{[&, q] { publishing = error_of(q.publish("more")); }};
    WatchedThreads::until_asleep(2);
    broker.reset();
    fetcher.join();
    publisher.join();
    clock.reset();
    CHECK(fetching == Errc::closed);
    CHECK(publishing == Errc::closed);
    CHECK(delivery->body() == "leased");
    CHECK(all_are(every_verb(*delivery), Errc::closed));
    CHECK(all_are(every_verb(q, delivery->receipt()), Errc::closed));
    CHECK(q.publish("x") == Errc::closed);
    CHECK(q.fetch() == Errc::closed);
    CHECK(q.pop() == Errc::closed);
    CHECK(q.cancel(delivery->id()) == Errc::closed);
    CHECK(q.purge() == 0);
    CHECK(dead.take() == Errc::closed);
    CHECK(dead.redrive() == 0);
    CHECK(q.stats().ready == 1);
    CHECK(q.stats().leased == 1);
    support::check_sound(q);
}

TEST_CASE("latches, gates and the blocked outlive their broker's end [misuse 30] [4.8]") {
    auto clock = std::make_unique<latchbox::ManualClock>();
    auto broker = std::make_unique<latchbox::Broker<std::string, WatchedThreads>>(
        latchbox::BrokerOptions{.clock = clock.get()});
    auto q = broker->queue("q");
    const auto gate = broker->gate(1);
    const auto child = q.publish("c", {.parents = {gate.id()}, .key = "k"});
    REQUIRE(child);
    const auto latch = broker->latch(*child);
    const auto of_gate = broker->latch(gate.id());
    Errc waited[2] = {};
    std::thread one{[&] { waited[0] = error_of(latch.wait()); }};
    std::thread two{[&] { waited[1] = error_of(of_gate.wait_for(1h)); }};
    WatchedThreads::until_asleep(2);
    broker.reset();
    one.join();
    two.join();
    clock.reset();
    CHECK(waited[0] == Errc::closed);
    CHECK(waited[1] == Errc::closed);
    CHECK(latch.state().value() == latchbox::LatchState::failed);
    CHECK(of_gate.state().value() == latchbox::LatchState::failed);
    CHECK(latch.wait() == Errc::closed);
    CHECK(gate.count_down() == Errc::closed);
    CHECK(gate.fail() == Errc::closed);
    CHECK(q.publish("x", {.parents = {*child}}) == Errc::closed);
    CHECK(q.stats().blocked == 1);
    support::check_sound(q);
}

// --- rows 33 and 34: room --------------------------------------------------------------------

TEST_CASE_FIXTURE(Misuse, "dead letters and leases take room [misuse 33] [4.12] [7.2]") {
    for (const Overflow overflow : {Overflow::reject, Overflow::drop_oldest}) {
        const bool drops = overflow == Overflow::drop_oldest;
        const auto small =
            broker.queue(drops ? "drops" : "rejects", {.capacity = 2, .overflow = overflow});
        for (const char* body : {"a", "b"}) {
            REQUIRE(small.publish(body));
            REQUIRE(small.try_fetch().value().reject());
        }
        CHECK(error_of(small.publish("c")) == (drops ? Errc{} : Errc::full));
        CHECK(small.stats().evicted == (drops ? 1 : 0));
        if (drops) {
            CHECK(small.dead_letters().take().value() == "b");
            REQUIRE(small.publish("d"));
        } else {
            small.dead_letters().purge();
            REQUIRE(small.publish("c"));
            REQUIRE(small.publish("d"));
        }
        auto c = small.try_fetch();
        auto d = small.try_fetch();
        REQUIRE(d);
        CHECK(small.publish("e") == Errc::full);
        CHECK(small.cancel(c->id()) == Errc::leased);
        CHECK_FALSE(c->lease_lost());
        CHECK_FALSE(d->lease_lost());
        support::check_sound(small);
    }
}

TEST_CASE_FIXTURE(Misuse, "a batch too large is refused whole, an empty one is fine "
                          "[misuse 34] [4.11]") {
    const auto small = broker.queue("small", {.capacity = 3});
    const auto dropping =
        broker.queue("dropping", {.capacity = 3, .overflow = Overflow::drop_oldest});
    std::vector<std::string> four(4, std::string(40, 'x'));
    for (const auto& queue : {small, dropping}) {
        REQUIRE(queue.publish("a"));
        CHECK(queue.publish_batch({}).value().empty());
        CHECK(queue.publish_batch(four) == Errc::full);
        CHECK(four == std::vector<std::string>(4, std::string(40, 'x')));
        CHECK(queue.size() == 1);
        CHECK(queue.stats().evicted == 0);
        std::vector<latchbox::Delivery<std::string>> out;
        CHECK(queue.fetch_batch(out, 0).value() == 0);
        CHECK(queue.fetch_batch(out, 0, 1h).value() == 0);
        CHECK(out.empty());
        CHECK(queue.stats().ready == 1);
        support::check_sound(queue);
    }
}

// --- row 38: asking for what is not there ----------------------------------------------------

TEST_CASE_FIXTURE(Misuse,
                  "asked about what was never issued, nobody makes anything up "
                  "[misuse 38] [5.8] [5.9] [5.6]") {
    latchbox::Broker<std::string> foreign{{.clock = &clock}};
    const auto theirs = foreign.queue("q").publish("theirs");
    const auto their_gate = foreign.gate(1);
    const auto other = broker.queue("other");
    const auto others = other.publish("o");
    REQUIRE(other.try_fetch()->reject());
    const auto completed = q.publish("completed");
    REQUIRE(q.pop());
    using Parts = latchbox::detail::IdParts;
    const MessageId future =
        Parts::message(Parts::issuer(*completed), Parts::number(*completed) + 1, 0);
    const latchbox::BrokerStats before = broker.stats();
    for (const MessageId& id : {MessageId{}, *theirs, their_gate.id(), future}) {
        CAPTURE(to_string(id));
        const auto latch = broker.latch(id);
        CHECK(latch.id() == id);
        CHECK(latch.state() == Errc::unknown_message);
        CHECK(latch.wait() == Errc::unknown_message);
        CHECK(latch.wait_for(1h) == Errc::unknown_message);
        CHECK(broker.explain(id) == latchbox::Explanation{.id = id});
        CHECK(to_string(broker.explain(id)) == to_string(id) + " was never issued by this broker");
        CHECK(q.dead_letters().redrive(id) == Errc::unknown_message);
        CHECK(q.dead_letters().take(id) == Errc::unknown_message);
        CHECK(q.cancel(id) == Errc::unknown_message);
    }
    // Of another queue of this broker, or no dead letter: unknown here, too.
    for (const MessageId& id : {*others, *completed}) {
        CHECK(q.dead_letters().redrive(id) == Errc::unknown_message);
    }
    CHECK(broker.stats().latches == before.latches);
    CHECK(broker.stats().messages == before.messages);
    CHECK(broker.explain(*others).state == latchbox::MessageState::dead);
    CHECK(other.dead_letters().redrive(*others));
    support::check_sound(other);
}

// --- row 39: text is in ids_test; here that what it names is judged --------------------------

TEST_CASE_FIXTURE(Misuse, "an id that went through text still names its message [misuse 39]") {
    const auto id = q.publish("a");
    REQUIRE(id);
    const auto read = MessageId::from_string(to_string(*id));
    REQUIRE(read);
    auto delivery = fetched();
    CHECK(delivery.id() == *read);
    const auto receipt = Receipt::from_string(to_string(delivery.receipt()));
    REQUIRE(receipt);
    CHECK(q.ack(*receipt));
}

// --- row 40: closing -------------------------------------------------------------------------

TEST_CASE_FIXTURE(Misuse, "closing again, and at once with a publish, is fine [misuse 40] [7.5]") {
    std::atomic<std::uint64_t> accepted{0};
    std::atomic<bool> odd{false};
    std::vector<std::thread> publishers;
    for (int i = 0; i < 2; ++i) {
        publishers.emplace_back([&] {
            for (;;) {
                const auto id = q.publish("a");
                if (!id) {
                    if (id.error() != Errc::closed) { odd = true; }
                    return;
                }
                ++accepted;
            }
        });
    }
    while (accepted.load() < 100) { std::this_thread::yield(); }
    const latchbox::CloseReport first = broker.close();
    const latchbox::CloseReport second = broker.close();
    for (std::thread& publisher : publishers) { publisher.join(); }
    CHECK_FALSE(odd);
    CHECK(first == second);
    CHECK(first.ready == accepted);
    CHECK(q.stats().accepted == accepted);
    CHECK(broker.drain(0ms) == first);
}

TEST_CASE_FIXTURE(Misuse, "a drain of no time closes at once [misuse 40] [7.5]") {
    REQUIRE(q.publish("a"));
    const latchbox::CloseReport report = broker.drain(0ms);
    CHECK(report.ready == 1);
    CHECK(q.try_fetch() == Errc::closed);
}

// --- row 41: counters near their end ---------------------------------------------------------

TEST_CASE(
    "ids, leases and attempts near the end of their numbers show no wrap "
    "[misuse 41] [4.5] [5.2] [5.7]") {
    using latchbox::MessageState;
    using latchbox::detail::none;
    support::SoundCore q{{.lease = 10s, .outcome_memory = 3}, support::near_the_end};
    const std::uint64_t first = q.core.issued().next();
    CHECK(first == support::near_the_end.number);
    std::uint64_t last = 0;
    std::uint64_t lease = 0;
    for (std::uint32_t round = 0; round < 1'000; ++round) {
        const auto head = q.publish("k");
        const auto next = q.publish("k");
        const auto third = q.publish("k");
        CHECK(q.number(head) > last);
        CHECK(q.state(next) == latchbox::detail::State::blocked);
        CHECK(q.core.ahead_in_line(third) == 2);
        const std::uint64_t numbers[] = {q.number(head), q.number(next), q.number(third)};
        last = numbers[2];
        REQUIRE(q.fetch() == head);
        CHECK(q.core.record(head).lease > lease);
        lease = q.core.record(head).lease;
        CHECK(q.core.attempts(head) == support::near_the_end.attempts + 1);
        q.core.requeue(head, {}, {}, q.effects);
        REQUIRE(q.fetch() == head);
        q.core.ack(head, q.effects);
        q.collect();
        q.core.cancel(third, q.effects);
        q.collect();
        REQUIRE(q.fetch() == next);
        q.core.ack(next, q.effects);
        q.collect();
        const auto& issued = q.core.issued();
        CHECK(issued.past(numbers[0]).state == MessageState::completed);
        CHECK(issued.past(numbers[1]).state == MessageState::completed);
        CHECK(issued.past(numbers[2]).cause == latchbox::Cause::cancelled);
        CHECK(issued.past(issued.next()).state == MessageState::never_issued);
        CHECK(issued.past(first - 1).state == MessageState::never_issued);
        CHECK(issued.past(1).state == MessageState::never_issued);
        CHECK(issued.past(first).state ==
              (round < 3 ? MessageState::completed : MessageState::forgotten));
    }
    // Handed out more often than can be counted: it stays at the end.
    const auto often = q.publish();
    for (int i = 0; i < 6'000; ++i) {
        REQUIRE(q.fetch() == often);
        q.core.release(often, {}, q.effects);
    }
    CHECK(q.core.attempts(often) == ~std::uint32_t{0});
}

// --- row 42: static storage ------------------------------------------------------------------

latchbox::Broker<std::string>& static_broker() {
    static latchbox::Broker<std::string> broker;
    return broker;
}

TEST_CASE("a broker in static storage works, and outlives nobody's handles [misuse 42]") {
    static auto handle = static_broker().queue("static");
    REQUIRE(handle.publish("a"));
    CHECK(handle.pop().value() == "a");
    // Left to be destroyed as the program ends.
    static const auto delivery = [] {
        REQUIRE(handle.publish("kept"));
        return handle.try_fetch();
    }();
    CHECK(delivery->body() == "kept");
    support::check_sound(handle);
}

}  // namespace
