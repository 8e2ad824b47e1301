// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"

#include "latchbox/testing/choices.hpp"
#include "support/sound.hpp"
#include "support/watched_threads.hpp"

// A message is delivered to nobody before all its parents completed; and whatever becomes of a
// parent reaches its children.
namespace {

using namespace std::chrono_literals;
using latchbox::Cause;
using latchbox::Errc;
using latchbox::Instant;
using latchbox::LatchState;
using latchbox::MessageId;
using latchbox::MessageState;
using latchbox::OnParentFailure;
using latchbox::Overflow;
using latchbox::PublishOptions;
using latchbox::QueueOptions;
using Broker = latchbox::Broker<std::string>;
using Queue = latchbox::Queue<std::string>;
using Delivery = latchbox::Delivery<std::string>;

constexpr OnParentFailure policies[] = {OnParentFailure::dead_letter, OnParentFailure::deliver,
                                        OnParentFailure::hold};

struct Family {
    latchbox::ManualClock clock;
    Broker broker{{.clock = &clock}};
    Queue a = broker.queue("a", {.lease = 10s});
    Queue b = broker.queue("b", {.lease = 10s});

    ~Family() {
        support::check_sound(a);
        support::check_sound(b);
        CHECK(support::conserved(broker.stats().messages));
    }

    static MessageId publish(const Queue& queue, const std::string& body,
                             const PublishOptions& options = {}) {
        return queue.publish(body, options).value();
    }
    [[nodiscard]] MessageState state(const MessageId& id) const { return broker.explain(id).state; }
    [[nodiscard]] std::string said(const MessageId& id) const {
        return to_string(broker.explain(id));
    }
    LatchState latch(const MessageId& id) { return broker.latch(id).state().value(); }
    static void reject(const Queue& queue) { REQUIRE(queue.try_fetch()->reject("no")); }
    // Nobody waits for anything, or remembers that he did.
    void nothing_is_kept() const {
        const latchbox::BrokerStats stats = broker.stats();
        CHECK(stats.gates == 0);
        CHECK(stats.latches == 0);
        CHECK(stats.edges == 0);
    }
};

// --- waiting ---------------------------------------------------------------------------------

TEST_CASE_FIXTURE(Family, "a child waits for its parent, whichever queue that is in [5.1]") {
    const MessageId parent = publish(a, "p");
    const MessageId near = publish(a, "near", {.parents = {parent}});
    const MessageId far = publish(b, "far", {.parents = {parent}});
    CHECK(a.stats().blocked == 1);
    CHECK(b.stats().blocked == 1);
    CHECK(b.try_fetch() == Errc::empty);
    CHECK(broker.stats().latches == 1);
    CHECK(broker.stats().edges == 2);
    CHECK(said(far) == to_string(far) + " in \"b\" is blocked: it waits for " + to_string(parent) +
                           " (pending)");
    auto delivery = a.try_fetch();
    REQUIRE(delivery);
    CHECK(delivery->body() == "p");
    CHECK(a.try_fetch() == Errc::empty);
    CHECK(delivery->ack());
    CHECK(state(near) == MessageState::ready);
    CHECK(state(far) == MessageState::ready);
    nothing_is_kept();
    CHECK(a.pop().value() == "near");
    CHECK(b.pop().value() == "far");
}

TEST_CASE_FIXTURE(Family, "a child of many waits for the last of them, in any order [5.1] [5.4]") {
    for (int last = 0; last < 5; ++last) {
        std::vector<MessageId> parents;
        for (int i = 0; i < 5; ++i) { parents.push_back(publish(i % 2 == 0 ? a : b, "p")); }
        const MessageId child = publish(b, "c", {.parents = parents, .priority = 9});
        std::vector<Delivery> held;
        for (int i = 0; i < 5; ++i) { held.push_back((i % 2 == 0 ? a : b).try_fetch().value()); }
        for (int i = 1; i <= 5; ++i) {
            CHECK(b.try_fetch() == Errc::empty);
            CHECK(broker.explain(child).parents.size() == static_cast<std::size_t>(6 - i));
            CHECK(held[static_cast<std::size_t>((last + i) % 5)].ack());
        }
        CHECK(b.pop().value() == "c");
    }
    nothing_is_kept();
}

TEST_CASE_FIXTURE(Family, "a child of hundreds in many queues waits for each of them [5.1]") {
    std::vector<Queue> queues;
    std::vector<MessageId> parents;
    for (int i = 0; i < 20; ++i) { queues.push_back(broker.queue("q" + std::to_string(i))); }
    for (std::size_t i = 0; i < 400; ++i) { parents.push_back(publish(queues[i % 20], "p")); }
    const MessageId child = publish(a, "c", {.parents = parents});
    CHECK(broker.stats().edges == 400);
    CHECK(said(child).find("and 397 more parents") != std::string::npos);
    for (std::size_t i = 0; i < 400; ++i) {
        CHECK(a.stats().blocked == 1);
        REQUIRE(queues[i % 20].pop());
    }
    CHECK(a.pop().value() == "c");
    nothing_is_kept();
}

TEST_CASE_FIXTURE(Family, "a parent named more than once counts once [5.1]") {
    const MessageId one = publish(a, "1");
    const MessageId two = publish(a, "2");
    const MessageId child = publish(b, "c", {.parents = {two, one, two, two, one}});
    CHECK(broker.stats().edges == 2);
    const auto why = broker.explain(child);
    REQUIRE(why.parents.size() == 2);
    CHECK(why.parents[0].id == two);
    CHECK(why.parents[1].id == one);
    REQUIRE(a.pop());
    CHECK(state(child) == MessageState::blocked);
    REQUIRE(a.pop());
    CHECK(state(child) == MessageState::ready);
    b.purge();
}

TEST_CASE_FIXTURE(Family, "an opened child keeps the place of its own publish [3] [4.4]") {
    const MessageId parent = publish(a, "p");
    publish(a, "1", {.parents = {parent}});
    publish(a, "2");
    publish(a, "3", {.parents = {parent}});
    publish(a, "4");
    publish(a, "5", {.parents = {parent}, .priority = 1});
    REQUIRE(a.pop());
    CHECK(support::work_off_text(a) == "51234");
}

TEST_CASE_FIXTURE(Family, "the delay of a child counts from its publish [3] [5.1]") {
    const MessageId parent = publish(a, "p");
    const MessageId child = publish(b, "c", {.parents = {parent}, .delay = 5s});
    CHECK(state(child) == MessageState::blocked);
    SUBCASE("opened before it is over") {
        clock.advance(3s);
        REQUIRE(a.pop());
        CHECK(state(child) == MessageState::delayed);
        CHECK(broker.explain(child).until == Instant{5s});
        clock.advance(2s - 1ns);
        CHECK(b.try_fetch() == Errc::empty);
        clock.advance(1ns);
    }
    SUBCASE("opened as it is over") {
        clock.advance(5s);
        CHECK(state(child) == MessageState::blocked);
        REQUIRE(a.pop());
    }
    SUBCASE("opened later") {
        clock.advance(1h);
        REQUIRE(a.pop());
    }
    CHECK(b.pop().value() == "c");
}

TEST_CASE_FIXTURE(Family, "what waits for nothing waits for nobody [5.1]") {
    const MessageId parent = publish(a, "p");
    publish(a, "child", {.parents = {parent}});
    auto held = a.try_fetch();
    publish(a, "other");
    CHECK(a.pop().value() == "other");
    CHECK(held->ack());
    CHECK(a.pop().value() == "child");
}

TEST_CASE_FIXTURE(Family, "a parent that comes back in whatever way is still pending [5.3]") {
    const MessageId parent = publish(a, "p");
    const MessageId child = publish(b, "c", {.parents = {parent}});
    CHECK(a.try_fetch()->release());
    CHECK(state(child) == MessageState::blocked);
    CHECK(a.try_fetch()->requeue(1s));
    clock.advance(1s);
    CHECK(a.try_fetch()->fail("no"));
    clock.advance(1min);
    { const auto abandoned = a.try_fetch(); }
    static_cast<void>(a.try_fetch().value().detach());
    clock.advance(10s);
    CHECK(latch(parent) == LatchState::pending);
    CHECK(state(child) == MessageState::blocked);
    REQUIRE(a.pop());
    CHECK(latch(parent) == LatchState::completed);
    CHECK(b.pop());
}

TEST_CASE_FIXTURE(Family, "a batch with parents waits as one message after the other would [5.1]") {
    const MessageId parent = publish(a, "p");
    std::vector<std::string> bodies;
    for (int i = 0; i < 50; ++i) { bodies.push_back(std::to_string(i)); }
    const auto ids = b.publish_batch(bodies, {.parents = {parent, parent}});
    REQUIRE(ids);
    CHECK(b.stats().blocked == 50);
    CHECK(broker.stats().edges == 50);
    for (const MessageId& id : *ids) { CHECK(broker.explain(id).parents.size() == 1); }
    REQUIRE(a.pop());
    const auto came = b.pop_all();
    REQUIRE(came);
    REQUIRE(came->size() == 50);
    for (int i = 0; i < 50; ++i) {
        CHECK((*came)[static_cast<std::size_t>(i)] == std::to_string(i));
    }
    nothing_is_kept();
    CHECK(b.publish_batch({}, {.parents = {parent}}).value().empty());
    nothing_is_kept();
}

// --- unknown parents -------------------------------------------------------------------------

TEST_CASE_FIXTURE(Family, "a parent that was never issued is unknown, nothing is accepted [5.2]") {
    Broker elsewhere{{.clock = &clock}};
    const MessageId foreign = publish(elsewhere.queue("a"), "f");
    auto foreign_gate = elsewhere.gate(1);
    const MessageId known = publish(a, "p");
    using Parts = latchbox::detail::IdParts;
    const MessageId wrong[] = {
        MessageId{},
        foreign,
        foreign_gate.id(),
        Parts::message(Parts::issuer(known), Parts::number(known) + 1, 0),  // the next to come
        Parts::message(Parts::issuer(known), ~std::uint64_t{0}, 0),
        Parts::message(Parts::issuer(known), 0, 0),
        Parts::message(Parts::issuer(known), 0, Parts::slot(known)),
        Parts::message(~std::uint32_t{0}, 1, 0),
        Parts::message(0, 1, 0),
        Parts::message(Parts::issuer(known) + 1'000, 1, 0),
    };
    const latchbox::QueueStats before = b.stats();
    std::string body(40, 'x');
    std::vector<std::string> batch(3, body);
    for (const MessageId& id : wrong) {
        CAPTURE(to_string(id));
        CHECK(b.publish(std::move(body), {.parents = {id}}) == Errc::unknown_parent);
        CHECK(b.publish(std::move(body), {.parents = {known, id}}) == Errc::unknown_parent);
        CHECK(b.publish(std::move(body), {.parents = {id, known}}) == Errc::unknown_parent);
        CHECK(b.publish_batch(batch, {.parents = {known, id}}) == Errc::unknown_parent);
        for (const OnParentFailure policy : policies) {
            CHECK(b.publish(std::move(body), {.parents = {id}, .on_parent_failure = policy}) ==
                  Errc::unknown_parent);
        }
        CHECK(state(id) == MessageState::never_issued);
        CHECK(said(id) == to_string(id) + " was never issued by this broker");
        CHECK(broker.latch(id).state() == Errc::unknown_message);
        CHECK(broker.latch(id).wait() == Errc::unknown_message);
    }
    CHECK(body == std::string(40, 'x'));  // NOLINT: refused, so not moved from
    CHECK(batch == std::vector<std::string>(3, body));
    CHECK(b.stats() == before);
    CHECK(broker.stats().edges == 0);
    // No number was drawn in vain.
    const MessageId next = publish(b, "b");
    CHECK(Parts::number(next) == 1);
    b.purge();
}

TEST_CASE_FIXTURE(Family, "a refused child leaves nobody waiting, whatever refused it [4.11]") {
    const auto full = broker.queue("full", {.capacity = 1});
    const MessageId parent = publish(full, "p");
    CHECK(full.publish("c", {.parents = {parent}}) == Errc::full);
    CHECK(b.publish("c", {.parents = {parent}, .priority = 10}) == Errc::invalid_option);
    CHECK(b.publish("c", {.parents = {parent}, .delay = -1s}) == Errc::invalid_option);
    CHECK(b.publish("c", {.parents = {parent, MessageId{}}}) == Errc::unknown_parent);
    CHECK(broker.stats().edges == 0);
    REQUIRE(full.pop());
    nothing_is_kept();
    CHECK(b.stats().accepted == 0);
}

TEST_CASE_FIXTURE(Family, "options are checked before parents, parents before room [7.7]") {
    const auto none = broker.queue("none", {.capacity = 0});
    const MessageId wrong;
    CHECK(none.publish("c", {.parents = {wrong}, .priority = 10}) == Errc::invalid_option);
    CHECK(none.publish("c", {.parents = {wrong}}) == Errc::unknown_parent);
    CHECK(none.publish("c", {.parents = {publish(a, "p")}}) == Errc::full);
    CHECK(none.stats().refused == 1);
    a.purge();
    broker.close();
    CHECK(none.publish("c", {.parents = {wrong}, .priority = 10}) == Errc::closed);
}

TEST_CASE_FIXTURE(Family, "what completed is satisfied, however long ago [5.2]") {
    const MessageId first = publish(a, "first");
    REQUIRE(a.pop());
    for (int i = 0; i < 10'000; ++i) {
        publish(a, "x");
        REQUIRE(a.pop());
    }
    publish(b, "c", {.parents = {first}});
    CHECK(b.stats().ready == 1);
    CHECK(latch(first) == LatchState::completed);
    CHECK(said(first) == to_string(first) + " in \"a\" has completed");
    CHECK(b.pop());
    nothing_is_kept();
}

TEST_CASE_FIXTURE(Family, "some completed and some not: only these are waited for [5.2]") {
    const MessageId done = publish(a, "done");
    REQUIRE(a.pop());
    const MessageId open = publish(a, "open");
    const MessageId child = publish(b, "c", {.parents = {done, open, done}});
    const auto why = broker.explain(child);
    REQUIRE(why.parents.size() == 1);
    CHECK(why.parents[0].id == open);
    CHECK(why.parents[0].state == LatchState::pending);
    REQUIRE(a.pop());
    CHECK(b.pop().value() == "c");
}

// --- failures are remembered, and forgotten, but never taken for completed -------------------

TEST_CASE_FIXTURE(Family, "the failure longest ago is forgotten first [5.2] [4.12]") {
    for (const std::size_t memory : {0U, 1U, 2U}) {
        CAPTURE(memory);
        const auto q = broker.queue("q" + std::to_string(memory), {.outcome_memory = memory});
        const MessageId completed = publish(q, "completed");
        REQUIRE(q.pop());
        std::vector<MessageId> failed;
        for (int i = 0; i < 3; ++i) {
            failed.push_back(publish(q, "f"));
            // Nothing was forgotten so far, as long as there is memory for it.
            REQUIRE(q.cancel(failed.back()));
        }
        const MessageId later = publish(q, "later");
        REQUIRE(q.pop());
        for (std::size_t i = 0; i < 3; ++i) {
            const bool remembered = i + memory >= 3;
            CAPTURE(i);
            CHECK(state(failed[i]) ==
                  (remembered ? MessageState::failed : MessageState::forgotten));
            CHECK(support::error_of(b.publish("c", {.parents = {failed[i]}})) ==
                  (remembered ? Errc{} : Errc::unknown_parent));
            CHECK(support::error_of(broker.latch(failed[i]).state()) ==
                  (remembered ? Errc{} : Errc::unknown_message));
            if (!remembered) {
                CHECK(said(failed[i]) == to_string(failed[i]) + " in \"" + q.name() +
                                             "\" is long gone: how it ended is forgotten");
            }
        }
        // Older than what is forgotten: unknown, too. Younger: known.
        CHECK(b.publish("c", {.parents = {completed}}) == Errc::unknown_parent);
        CHECK(state(completed) == MessageState::forgotten);
        CHECK(b.publish("c", {.parents = {later}}));
        CHECK(latch(later) == LatchState::completed);
        CHECK(b.stats().dead == memory);
        b.dead_letters().purge();
        b.purge();
        support::check_sound(q);
    }
}

TEST_CASE_FIXTURE(Family, "a failure is never taken for a success, whatever is forgotten [5.2]") {
    latchbox::testing::Seeded choices{20'240'917};
    for (const std::size_t memory : {0U, 1U, 2U, 5U}) {
        CAPTURE(memory);
        const auto q = broker.queue("q" + std::to_string(memory), {.outcome_memory = memory});
        struct Gone {
            MessageId id;
            bool failed;
        };
        std::vector<Gone> gone;
        std::size_t known = 0;
        for (int round = 0; round < 60; ++round) {
            const MessageId id =
                publish(q, "x", {.priority = static_cast<std::uint8_t>(choices.pick(3))});
            if (const auto way = choices.pick(4); way == 0) {
                REQUIRE(q.cancel(id));
                gone.push_back({id, true});
            } else if (way != 3) {  // 3: stays for a while
                auto delivery = q.try_fetch();
                gone.push_back({delivery->id(), way == 1});
                REQUIRE((way == 1 ? delivery->reject() : delivery->ack()));
                if (way == 1) { REQUIRE(q.cancel(delivery->id())); }
            }
            for (const Gone& one : gone) {
                const auto child = b.publish("c", {.parents = {one.id}});
                if (child == Errc::unknown_parent) {
                    CHECK(state(one.id) == MessageState::forgotten);
                    continue;
                }
                REQUIRE(child);
                ++known;
                CHECK(state(*child) == (one.failed ? MessageState::dead : MessageState::ready));
                CHECK(latch(one.id) == (one.failed ? LatchState::failed : LatchState::completed));
                REQUIRE(b.cancel(*child));
            }
        }
        CHECK(known > 0);
        q.purge();
        q.dead_letters().purge();
        support::check_sound(q);
    }
    nothing_is_kept();
}

TEST_CASE_FIXTURE(Family, "who waited for it learns of a failure that nobody remembers [5.2]") {
    const auto q = broker.queue("q", {.outcome_memory = 0});
    const MessageId parent = publish(q, "p");
    const MessageId child = publish(b, "c", {.parents = {parent}});
    const auto held = broker.latch(parent);
    REQUIRE(q.cancel(parent));
    CHECK(state(parent) == MessageState::forgotten);
    CHECK(held.state().value() == LatchState::failed);
    CHECK(state(child) == MessageState::dead);
    CHECK(broker.explain(child).reason.parent() == parent);
    // And it stays so: that parent will not complete any more.
    CHECK(b.dead_letters().redrive(child) == Errc::parent_failed);
    CHECK(b.dead_letters().redrive() == 0);
    CHECK(b.publish("late", {.parents = {parent}}) == Errc::unknown_parent);
}

TEST_CASE_FIXTURE(Family, "what a removed queue issued is still known [5.2]") {
    const auto q = broker.queue("q", {.outcome_memory = 2});
    const MessageId completed = publish(q, "completed");
    REQUIRE(q.pop());
    const MessageId one = publish(q, "1");
    REQUIRE(broker.remove("q"));
    CHECK(state(completed) == MessageState::completed);
    CHECK(latch(completed) == LatchState::completed);
    CHECK(state(one) == MessageState::failed);
    CHECK(said(one) == to_string(one) + " has failed: it was purged");
    CHECK(latch(one) == LatchState::failed);
    publish(b, "ready", {.parents = {completed}});
    const MessageId dead = publish(b, "dead", {.parents = {one}});
    CHECK(state(dead) == MessageState::dead);
    // The name is free, the ids are not.
    const auto again = broker.queue("q");
    const MessageId other = publish(again, "other");
    CHECK(other != completed);
    CHECK(other != one);
    CHECK(state(one) == MessageState::failed);
    CHECK(b.pop().value() == "ready");
    again.purge();
}

// --- every exit of a parent ------------------------------------------------------------------

struct World {
    explicit World(const QueueOptions& options)
        : parents{broker->queue("parents", options)}, others{broker->queue("others")} {}

    latchbox::ManualClock clock;
    std::unique_ptr<Broker> broker =
        std::make_unique<Broker>(latchbox::BrokerOptions{.clock = &clock});
    Queue parents;
    Queue others;
    std::optional<latchbox::Gate<std::string>> gate = broker->gate(1);
    std::optional<Delivery> held;
    MessageId parent;

    [[nodiscard]] Delivery fetch() const { return parents.try_fetch().value(); }
};

struct Exit {
    const char* name;
    QueueOptions options;
    void (*arrive)(World&);  // publishes the parent, and brings it to where it leaves from
    void (*leave)(World&);
    MessageState state;
    Cause cause;
    const char* words;
    bool leaves_alone = false;  // it touches other messages of the same queue, too
};

const QueueOptions plain{.lease = 10s};

void ready(World& w) { w.parent = w.parents.publish("p").value(); }
void leased(World& w) {
    ready(w);
    w.held = w.fetch();
}
void delayed(World& w) { w.parent = w.parents.publish("p", {.delay = 1h}).value(); }
void blocked(World& w) { w.parent = w.parents.publish("p", {.parents = {w.gate->id()}}).value(); }
void dead(World& w) {
    ready(w);
    REQUIRE(w.fetch().reject("no"));
}
void cancel(World& w) { REQUIRE(w.parents.cancel(w.parent)); }
void purge(World& w) { REQUIRE(w.parents.purge() >= 1); }
void remove(World& w) { REQUIRE(w.broker->remove("parents")); }
void wait(World& w) { w.clock.advance(10s); }
template <auto mortal> void expiring(World& w) { mortal(w); }

std::vector<Exit> completing() {
    const auto state = MessageState::completed;
    const auto none = Cause::none;
    const char* const words = "has completed";
    return {
        {"ack", plain, leased, [](World& w) { REQUIRE(w.held->ack()); }, state, none, words},
        {"ack by receipt", plain, leased,
         [](World& w) { REQUIRE(w.parents.ack(w.held->receipt())); }, state, none, words},
        {"ack in a batch", plain, leased,
         [](World& w) {
             std::vector<Delivery> batch;
             batch.push_back(std::move(*w.held));
             REQUIRE(w.parents.ack_batch(batch) == 1);
         },
         state, none, words},
        {"take", plain, leased, [](World& w) { REQUIRE(w.held->take()); }, state, none, words},
        {"pop", plain, ready, [](World& w) { REQUIRE(w.parents.pop()); }, state, none, words},
        {"pop all", plain, ready, [](World& w) { REQUIRE(w.parents.pop_all()->size() == 1); },
         state, none, words},
        {"ack after a redrive", plain, dead,
         [](World& w) {
             REQUIRE(w.parents.dead_letters().redrive(w.parent));
             REQUIRE(w.fetch().ack());
         },
         state, none, words, true},
    };
}

std::vector<Exit> dying() {
    const auto state = MessageState::dead;
    return {
        {"reject", plain, leased, [](World& w) { REQUIRE(w.held->reject("no")); }, state,
         Cause::rejected, "is dead: it was rejected: no"},
        {"reject by receipt", plain, leased,
         [](World& w) { REQUIRE(w.parents.reject(w.held->receipt())); }, state, Cause::rejected,
         "is dead: it was rejected"},
        {"its last failure",
         {.lease = 10s, .max_failures = 1},
         leased,
         [](World& w) { REQUIRE(w.held->fail("bad")); },
         state,
         Cause::failed,
         "is dead: it failed: bad"},
        {"its last lease runs out",
         {.lease = 10s, .max_failures = 1},
         leased,
         wait,
         state,
         Cause::lease_ran_out,
         "is dead: its lease ran out"},
        {"released for the last time",
         {.lease = 10s, .max_attempts = 1},
         leased,
         [](World& w) { REQUIRE(w.held->release()); },
         state,
         Cause::attempts_used_up,
         "is dead: its attempts are used up"},
        {"requeued for the last time",
         {.lease = 10s, .max_attempts = 1},
         leased,
         [](World& w) { REQUIRE(w.held->requeue(1h)); },
         state,
         Cause::attempts_used_up,
         "is dead: its attempts are used up"},
        {"abandoned for the last time",
         {.lease = 10s, .max_attempts = 1},
         leased,
         [](World& w) { w.held.reset(); },
         state,
         Cause::attempts_used_up,
         "is dead: its attempts are used up"},
        {"failed for the last time",
         {.lease = 10s, .max_attempts = 1},
         leased,
         [](World& w) { REQUIRE(w.held->fail("bad")); },
         state,
         Cause::attempts_used_up,
         "is dead: its attempts are used up: bad"},
        {"its own parent dies", plain, blocked, [](World& w) { REQUIRE(w.gate->fail("shut")); },
         state, Cause::parent_failed, "did not complete"},
        {"its own parent had died", plain, ready,
         [](World& w) {
             REQUIRE(w.parents.cancel(w.parent));
             REQUIRE(w.gate->fail("shut"));
             w.parent = w.parents.publish("p", {.parents = {w.gate->id()}}).value();
         },
         state, Cause::parent_failed, "did not complete", true},
    };
}

std::vector<Exit> failing() {
    const auto state = MessageState::failed;
    const QueueOptions dropping{.lease = 10s, .capacity = 4, .overflow = Overflow::drop_oldest};
    constexpr auto evict = [](World& w) {
        for (int i = 0; w.parents.stats().evicted == 0; ++i) {
            REQUIRE(i < 5);
            REQUIRE(w.parents.publish("x"));
        }
    };
    constexpr auto purge_dead = [](World& w) { REQUIRE(w.parents.dead_letters().purge() >= 1); };
    constexpr auto die_one_more = [](World& w) {
        REQUIRE(w.parents.publish("x", {.priority = 9}));
        REQUIRE(w.fetch().reject("no"));
    };
    const char* const expired = "has failed: its time to live was over";
    const char* const purged = "has failed: it was purged";
    const char* const cancelled = "has failed: it was cancelled";
    const char* const evicted = "has failed: it was evicted to make room";
    return {
        {"expired while ready", plain,
         [](World& w) { w.parent = w.parents.publish("p", {.expires_in = 10s}).value(); }, wait,
         state, Cause::expired, expired},
        {"expired while delayed", plain,
         [](World& w) {
             w.parent = w.parents.publish("p", {.delay = 9s, .expires_in = 10s}).value();
         },
         wait, state, Cause::expired, expired},
        {"expired while blocked", plain,
         [](World& w) {
             w.parent =
                 w.parents.publish("p", {.parents = {w.gate->id()}, .expires_in = 10s}).value();
         },
         wait, state, Cause::expired, expired},
        {"released too late for its life", plain,
         [](World& w) {
             w.parent = w.parents.publish("p", {.expires_in = 9s}).value();
             w.held = w.fetch();
             w.clock.advance(9s);
         },
         [](World& w) { REQUIRE(w.held->release()); }, state, Cause::expired, expired},
        {"its lease runs out after its life", plain,
         [](World& w) {
             w.parent = w.parents.publish("p", {.expires_in = 9s}).value();
             w.held = w.fetch();
         },
         wait, state, Cause::expired, expired},
        {"purged while ready", plain, ready, purge, state, Cause::purged, purged, true},
        {"purged while delayed", plain, delayed, purge, state, Cause::purged, purged, true},
        {"purged while blocked", plain, blocked, purge, state, Cause::purged, purged, true},
        {"cancelled while ready", plain, ready, cancel, state, Cause::cancelled, cancelled},
        {"cancelled while delayed", plain, delayed, cancel, state, Cause::cancelled, cancelled},
        {"cancelled while blocked", plain, blocked, cancel, state, Cause::cancelled, cancelled},
        {"cancelled while dead", plain, dead, cancel, state, Cause::cancelled, cancelled, true},
        {"evicted while ready", dropping, ready, evict, state, Cause::evicted, evicted},
        {"evicted while delayed", dropping, delayed, evict, state, Cause::evicted, evicted},
        {"evicted while blocked", dropping, blocked, evict, state, Cause::evicted, evicted},
        {"evicted while dead", dropping, dead, evict, state, Cause::evicted, evicted, true},
        {"dead beyond dead_capacity",
         {.lease = 10s, .dead_capacity = 1},
         dead,
         die_one_more,
         state,
         Cause::purged,
         purged,
         true},
        {"dead where none are kept",
         {.lease = 10s, .dead_capacity = 0},
         leased,
         [](World& w) { REQUIRE(w.held->reject("no")); },
         state,
         Cause::purged,
         purged,
         true},
        {"dead and purged", plain, dead, purge_dead, state, Cause::purged, purged, true},
        {"dead and taken", plain, dead, [](World& w) { REQUIRE(w.parents.dead_letters().take()); },
         state, Cause::purged, purged, true},
        {"dead and taken by id", plain, dead,
         [](World& w) { REQUIRE(w.parents.dead_letters().take(w.parent)); }, state, Cause::purged,
         purged, true},
        {"removed while ready", plain, ready, remove, state, Cause::purged, purged, true},
        {"removed while delayed", plain, delayed, remove, state, Cause::purged, purged, true},
        {"removed while blocked", plain, blocked, remove, state, Cause::purged, purged, true},
        {"removed while dead", plain, dead, remove, state, Cause::purged, purged, true},
        {"removed while leased, and its lease ran out", plain, leased,
         [](World& w) {
             remove(w);
             CHECK(w.broker->latch(w.parent).state().value() == LatchState::pending);
             wait(w);
         },
         state, Cause::purged, purged, true},
        {"removed while leased, and then acked", plain, leased,
         [](World& w) {
             remove(w);
             CHECK(w.held->ack() == Errc::closed);
             wait(w);
         },
         state, Cause::purged, purged, true},
        {"removed while leased, and then abandoned", plain, leased,
         [](World& w) {
             remove(w);
             w.held.reset();
             wait(w);
         },
         state, Cause::purged, purged, true},
    };
}

MessageState expected_child(MessageState parent, OnParentFailure policy) {
    if (parent == MessageState::completed || policy == OnParentFailure::deliver) {
        return MessageState::ready;
    }
    const bool waits = policy == OnParentFailure::hold && parent == MessageState::dead;
    return waits ? MessageState::blocked : MessageState::dead;
}

LatchState as_latch(MessageState parent) {
    if (parent == MessageState::completed) { return LatchState::completed; }
    return parent == MessageState::dead ? LatchState::dead : LatchState::failed;
}

// One parent that leaves, one child; looks at both.
void check_exit(const Exit& exit, OnParentFailure policy, bool same_queue, bool before) {
    CAPTURE(std::string(exit.name));
    CAPTURE(static_cast<int>(policy));
    CAPTURE(same_queue);
    CAPTURE(before);
    World w{exit.options};
    exit.arrive(w);
    std::optional<latchbox::Latch<std::string>> asked;
    const Queue& home = same_queue ? w.parents : w.others;
    MessageId child;
    const auto publish = [&] {
        child = home.publish("c", {.parents = {w.parent}, .on_parent_failure = policy}).value();
    };
    if (before) {
        publish();
        asked = w.broker->latch(w.parent);
        CHECK(asked->state().value() == (w.broker->explain(w.parent).state == MessageState::dead
                                             ? LatchState::dead
                                             : LatchState::pending));
    }
    const MessageId first = w.parent;
    exit.leave(w);
    if (before && first != w.parent) { return; }  // published only to leave at once: another one
    if (!before) { publish(); }

    const auto parent = w.broker->explain(w.parent);
    CHECK(parent.state == exit.state);
    CHECK(parent.reason.cause() == exit.cause);
    CHECK(to_string(parent).find(exit.words) != std::string::npos);
    CHECK(w.broker->latch(w.parent).state().value() == as_latch(exit.state));
    if (asked) { CHECK(asked->state().value() == as_latch(exit.state)); }

    const auto why = w.broker->explain(child);
    // A child that died of the dead parent stays dead, whatever becomes of that then.
    const bool died_before =
        before && exit.arrive == dead && policy == OnParentFailure::dead_letter;
    CHECK(why.state == (died_before ? MessageState::dead : expected_child(exit.state, policy)));
    const std::string words = to_string(why);
    if (why.state == MessageState::dead) {
        CHECK(why.reason == latchbox::Reason{w.parent});
        CHECK(words == to_string(child) + " in \"" + home.name() + "\" is dead: its parent " +
                           to_string(w.parent) + " did not complete");
        CHECK(home.dead_letters().size() >= 1);
    } else if (why.state == MessageState::blocked) {
        REQUIRE(why.parents.size() == 1);
        CHECK(why.parents[0].id == w.parent);
        CHECK(why.parents[0].state == LatchState::dead);
        CHECK(words.find("it waits for " + to_string(w.parent) + " (dead)") != words.npos);
    } else {
        CHECK(why.parents.empty());
        CHECK(words.find(" is ready, ") != words.npos);
    }

    support::check_sound(w.parents);
    support::check_sound(w.others);
    asked.reset();
    w.held.reset();
    w.gate.reset();
    for (const Queue& queue : {w.parents, w.others}) {
        queue.purge();
        queue.dead_letters().purge();
        support::check_sound(queue);
    }
    const latchbox::BrokerStats stats = w.broker->stats();
    CHECK(stats.messages.held() == 0);
    CHECK(support::conserved(stats.messages));
    CHECK(stats.latches == 0);
    CHECK(stats.edges == 0);
    CHECK(stats.gates == 0);
}

void check_exits(const std::vector<Exit>& exits) {
    for (const Exit& exit : exits) {
        for (const OnParentFailure policy : policies) {
            for (const bool before : {true, false}) {
                check_exit(exit, policy, false, before);
                if (!exit.leaves_alone) { check_exit(exit, policy, true, before); }
            }
        }
    }
}

TEST_CASE("every way to complete lets the children go, whoever was first [5.3] [5.4]") {
    check_exits(completing());
}

TEST_CASE(
    "every way to die reaches the children by their policy, whoever was first "
    "[5.3] [5.4] [5.5] [5.9]") {
    check_exits(dying());
}

TEST_CASE(
    "every way to fail reaches the children by their policy, whoever was first "
    "[5.3] [5.4] [5.5] [5.9]") {
    check_exits(failing());
}

TEST_CASE_FIXTURE(Family, "a parent left at close has failed, what completed has not [5.3] [7.5]") {
    const MessageId completed = publish(a, "1");
    REQUIRE(a.pop());
    const MessageId dead = publish(a, "2");
    reject(a);
    const MessageId failed = publish(a, "3");
    REQUIRE(a.cancel(failed));
    const MessageId leased = publish(a, "4");
    auto delivery = a.try_fetch();
    const MessageId ready = publish(a, "5");
    const MessageId delayed = publish(a, "6", {.delay = 1h});
    const MessageId child = publish(b, "7", {.parents = {leased, ready, delayed}});
    const auto asked_before = broker.latch(ready);
    const latchbox::CloseReport report = broker.close();
    CHECK(report.blocked == 1);
    for (const MessageId& id : {dead, failed, leased, ready, delayed, child}) {
        CHECK(latch(id) == LatchState::failed);
    }
    CHECK(asked_before.state().value() == LatchState::failed);
    CHECK(asked_before.wait() == Errc::closed);
    CHECK(latch(completed) == LatchState::completed);
    CHECK(broker.latch(MessageId{}).state() == Errc::unknown_message);
    // Explained as they were left.
    CHECK(state(completed) == MessageState::completed);
    CHECK(state(dead) == MessageState::dead);
    CHECK(state(failed) == MessageState::failed);
    CHECK(state(leased) == MessageState::leased);
    CHECK(state(ready) == MessageState::ready);
    CHECK(state(delayed) == MessageState::delayed);
    CHECK(state(child) == MessageState::blocked);
    CHECK(delivery->ack() == Errc::closed);
    CHECK(b.publish("8", {.parents = {completed}}) == Errc::closed);
    CHECK(b.publish("8", {.parents = {MessageId{}}}) == Errc::closed);
}

// --- dead parents, redriven ------------------------------------------------------------------

TEST_CASE_FIXTURE(Family, "a redriven parent is pending again, and can complete [5.3] [5.6]") {
    const MessageId parent = publish(a, "p");
    const MessageId child =
        publish(b, "c", {.parents = {parent}, .on_parent_failure = OnParentFailure::hold});
    publish(b, "later");
    reject(a);
    CHECK(latch(parent) == LatchState::dead);
    CHECK(state(child) == MessageState::blocked);
    for (int i = 0; i < 3; ++i) {
        CHECK(a.dead_letters().redrive(parent));
        CHECK(latch(parent) == LatchState::pending);
        CHECK(broker.explain(child).parents.at(0).state == LatchState::pending);
        reject(a);
        CHECK(broker.explain(child).parents.at(0).state == LatchState::dead);
    }
    CHECK(a.dead_letters().redrive() == 1);
    CHECK(b.stats().ready == 1);
    REQUIRE(a.pop());
    CHECK(latch(parent) == LatchState::completed);
    CHECK(b.pop().value() == "c");
    CHECK(b.pop().value() == "later");
    nothing_is_kept();
}

TEST_CASE_FIXTURE(Family, "a dead child is redriven only when no parent forbids it [5.6]") {
    const MessageId parent = publish(a, "p");
    const MessageId child = publish(b, "c", {.parents = {parent}});
    reject(a);
    auto dead = b.dead_letters();
    CHECK(dead.redrive(child) == Errc::parent_failed);
    CHECK(dead.redrive() == 0);
    CHECK(state(child) == MessageState::dead);
    CHECK(b.stats().redriven == 0);
    CHECK(broker.explain(child).reason == latchbox::Reason{parent});

    REQUIRE(a.dead_letters().redrive(parent));
    CHECK(state(child) == MessageState::dead);
    SUBCASE("the parent is pending: it waits again") {
        CHECK(dead.redrive(child));
        CHECK(state(child) == MessageState::blocked);
        CHECK(broker.explain(child).parents.at(0).id == parent);
        SUBCASE("and goes") {
            REQUIRE(a.pop());
            CHECK(b.pop().value() == "c");
        }
        SUBCASE("and dies again") {
            reject(a);
            CHECK(state(child) == MessageState::dead);
            CHECK(dead.size() == 1);
        }
    }
    SUBCASE("the parent completed: it goes at once, at the back") {
        REQUIRE(a.pop());
        CHECK(state(child) == MessageState::dead);
        publish(b, "x");
        CHECK(dead.redrive(child));
        CHECK(support::work_off_text(b) == "xc");
        nothing_is_kept();
    }
    SUBCASE("the parent failed for good") {
        REQUIRE(a.cancel(parent));
        CHECK(dead.redrive(child) == Errc::parent_failed);
        CHECK(dead.redrive() == 0);
        CHECK(dead.take(child).value() == "c");
        nothing_is_kept();
    }
}

TEST_CASE_FIXTURE(Family, "a child that died itself is redriven by its policy [5.6]") {
    std::vector<MessageId> children;
    const MessageId parent = publish(a, "p");
    reject(a);
    for (const OnParentFailure policy : policies) {
        REQUIRE(a.dead_letters().redrive(parent));
        auto delivery = a.try_fetch();
        children.push_back(publish(b, "c", {.parents = {parent}, .on_parent_failure = policy}));
        REQUIRE(delivery->reject());
        if (policy == OnParentFailure::deliver) { reject(b); }
    }
    auto dead = b.dead_letters();
    CHECK(dead.redrive(children[0]) == Errc::parent_failed);
    CHECK(dead.redrive(children[1]));
    CHECK(state(children[1]) == MessageState::ready);
    CHECK(dead.redrive(children[2]) == Errc::unknown_message);  // it was never dead
    CHECK(state(children[2]) == MessageState::blocked);
    REQUIRE(b.pop());
    CHECK(dead.redrive() == 0);
}

TEST_CASE_FIXTURE(Family,
                  "a redriven child that may not go yet draws its place at once [5.6] [3]") {
    const MessageId parent = publish(a, "p");
    const MessageId child = publish(b, "c", {.parents = {parent}});
    reject(a);
    REQUIRE(a.dead_letters().redrive(parent));
    publish(b, "1");
    REQUIRE(b.dead_letters().redrive(child));
    publish(b, "2");
    REQUIRE(a.pop());
    CHECK(support::work_off_text(b) == "1c2");
}

TEST_CASE_FIXTURE(Family, "a dead family is redriven with one call, parents first [5.6]") {
    const MessageId p = publish(a, "p");
    const MessageId c = publish(a, "c", {.parents = {p}});
    const MessageId g = publish(a, "g", {.parents = {c, p}});
    const MessageId stranger = publish(b, "s");
    reject(b);
    const MessageId torn = publish(a, "t", {.parents = {g, stranger}});
    const MessageId last = publish(a, "l", {.parents = {torn}});
    reject(a);
    CHECK(a.stats().dead == 5);
    CHECK(broker.explain(g).reason.parent() == p);
    CHECK(broker.explain(torn).reason.parent() == stranger);
    // The oldest death is not the oldest publish: what counts is the latter.
    CHECK(a.dead_letters().redrive() == 3);
    CHECK(state(p) == MessageState::ready);
    CHECK(state(c) == MessageState::blocked);
    CHECK(state(g) == MessageState::blocked);
    CHECK(state(torn) == MessageState::dead);
    CHECK(state(last) == MessageState::dead);
    CHECK(a.dead_letters().redrive() == 0);
    CHECK(b.dead_letters().redrive() == 1);
    CHECK(a.dead_letters().redrive() == 2);
    REQUIRE(b.pop());
    CHECK(support::work_off_text(a) == "pcgtl");
    nothing_is_kept();
}

TEST_CASE_FIXTURE(Family, "a family in two queues is redriven queue by queue [5.6]") {
    std::vector<MessageId> line{publish(a, "0")};
    for (int i = 1; i < 6; ++i) {
        line.push_back(publish(i % 2 == 0 ? a : b, std::to_string(i), {.parents = {line.back()}}));
    }
    reject(a);
    CHECK(broker.stats().messages.dead == 6);
    CHECK(b.dead_letters().redrive() == 0);
    CHECK(a.dead_letters().redrive() == 1);
    CHECK(b.dead_letters().redrive() == 1);
    CHECK(a.dead_letters().redrive() == 1);
    CHECK(b.dead_letters().redrive() == 1);
    CHECK(a.dead_letters().redrive() == 1);
    CHECK(b.dead_letters().redrive() == 1);
    for (std::size_t i = 0; i < 6; ++i) {
        CHECK((i % 2 == 0 ? a : b).pop().value() == std::to_string(i));
    }
    nothing_is_kept();
}

TEST_CASE_FIXTURE(Family, "the first parent that died is the one to blame [5.5]") {
    const MessageId one = publish(a, "1");
    const MessageId two = publish(a, "2");
    SUBCASE("of those that were dead before, the first named") {
        reject(a);
        reject(a);
        const MessageId child = publish(b, "c", {.parents = {two, one}});
        CHECK(broker.explain(child).reason.parent() == two);
    }
    SUBCASE("of those that die later, the first to die") {
        const MessageId child = publish(b, "c", {.parents = {two, one}});
        const auto held = a.try_fetch();
        reject(a);
        CHECK(broker.explain(child).reason.parent() == two);
        REQUIRE(a.reject(held->receipt()));
        CHECK(broker.explain(child).reason.parent() == two);
    }
    SUBCASE("of failed ones, the same") {
        REQUIRE(a.cancel(two));
        REQUIRE(a.cancel(one));
        const MessageId child = publish(b, "c", {.parents = {one, two}});
        CHECK(broker.explain(child).reason.parent() == one);
    }
}

// --- capacity --------------------------------------------------------------------------------

TEST_CASE_FIXTURE(Family, "the blocked take room, and leave in every way themselves [4.12] [7.2]") {
    const MessageId parent = publish(b, "p");
    const PublishOptions waiting{.parents = {parent}};
    SUBCASE("reject") {
        const auto q = broker.queue("q", {.capacity = 2});
        REQUIRE(q.publish("1", waiting));
        REQUIRE(q.publish("2", waiting));
        CHECK(q.publish("3", waiting) == Errc::full);
        CHECK(q.publish("3") == Errc::full);
        REQUIRE(b.pop());
        CHECK(support::work_off_text(q) == "12");
        support::check_sound(q);
    }
    SUBCASE("drop_oldest: among ready, delayed and blocked the oldest of the lowest priority") {
        const auto q = broker.queue("q", {.capacity = 3, .overflow = Overflow::drop_oldest});
        PublishOptions urgent = waiting;
        urgent.priority = 1;
        REQUIRE(q.publish("1", urgent));
        REQUIRE(q.publish("2", waiting));
        REQUIRE(q.publish("3", waiting));
        REQUIRE(q.publish("4"));  // evicts 2
        REQUIRE(q.publish("5"));  // evicts 3
        CHECK(q.stats().blocked == 1);
        CHECK(broker.stats().edges == 1);
        CHECK(support::work_off_text(q) == "45");
        REQUIRE(b.pop());
        CHECK(support::work_off_text(q) == "1");
        CHECK(q.stats().evicted == 2);
        support::check_sound(q);
    }
    SUBCASE("expired, cancelled, purged: nobody is waited for any more") {
        const MessageId mortal = publish(a, "m", {.parents = {parent}, .expires_in = 5s});
        const MessageId one = publish(a, "1", waiting);
        publish(a, "2", waiting);
        CHECK(broker.stats().edges == 3);
        clock.advance(5s);
        CHECK(state(mortal) == MessageState::failed);
        CHECK(broker.stats().edges == 2);
        REQUIRE(a.cancel(one));
        CHECK(broker.stats().edges == 1);
        CHECK(a.purge() == 1);
        CHECK(broker.stats().edges == 0);
        REQUIRE(b.pop());
        CHECK(a.try_fetch() == Errc::empty);
    }
    nothing_is_kept();
}

TEST_CASE_FIXTURE(Family,
                  "a child evicted by the publish of its own sibling tells its children "
                  "[5.4] [7.2]") {
    const auto q = broker.queue("q", {.capacity = 1, .overflow = Overflow::drop_oldest});
    const MessageId parent = publish(a, "p");
    const MessageId child = publish(q, "c", {.parents = {parent}});
    const MessageId grandchild = publish(b, "g", {.parents = {child}});
    // What it evicts is its own parent: which had not completed, and has failed now.
    const MessageId last = publish(q, "l", {.parents = {child}});
    CHECK(state(child) == MessageState::failed);
    CHECK(broker.explain(grandchild).reason == latchbox::Reason{child});
    CHECK(state(last) == MessageState::dead);
    CHECK(broker.explain(last).reason == latchbox::Reason{child});
    support::check_sound(q);
}

TEST_CASE_FIXTURE(Family, "a child dead on arrival counts as accepted, and as dead [5.5]") {
    const MessageId parent = publish(a, "p");
    REQUIRE(a.cancel(parent));
    SUBCASE("kept") {
        const auto q = broker.queue("q", {.dead_capacity = 2});
        for (int i = 0; i < 4; ++i) { publish(q, "c", {.parents = {parent}}); }
        CHECK(q.stats().accepted == 4);
        CHECK(q.stats().dead == 2);
        CHECK(q.stats().purged == 2);
        support::check_sound(q);
    }
    SUBCASE("not kept") {
        const auto q = broker.queue("q", {.dead_capacity = 0});
        const MessageId child = publish(q, "c", {.parents = {parent}});
        CHECK(state(child) == MessageState::failed);
        CHECK(broker.explain(child).reason.cause() == Cause::purged);
        CHECK(q.size() == 0);
        support::check_sound(q);
    }
}

// --- those who wait --------------------------------------------------------------------------

using support::WatchedThreads;

struct Waited {
    using Queue = latchbox::Queue<std::string, WatchedThreads>;

    latchbox::ManualClock clock;
    latchbox::Broker<std::string, WatchedThreads> broker{{.clock = &clock}};
    Queue a = broker.queue("a", {.lease = 10s});
    Queue b = broker.queue("b", {.lease = 10s});
    std::string body;
    Instant deadline;

    ~Waited() {
        support::check_sound(a);
        support::check_sound(b);
    }
    // Somebody waits for `b`, then `act` is done, and he has his message.
    template <class Act> void serves(const char* expected, Act&& act) {
        std::thread waiting{[this] {
            auto delivery = b.fetch();
            if (!delivery) { return; }
            body = delivery->body();
            deadline = delivery->deadline();
            delivery->ack();
        }};
        WatchedThreads::until_asleep(1);
        act();
        waiting.join();
        CHECK(body == expected);
        CHECK(deadline == clock.now() + 10s);
    }
};

TEST_CASE_FIXTURE(Waited, "who waits for a message gets a child as soon as it may go [4.9] [5.4]") {
    const auto gate = broker.gate(1);
    clock.advance(3s);
    SUBCASE("its parent is acked") {
        const auto parent = a.publish("p");
        REQUIRE(b.publish("c", {.parents = {*parent}}));
        serves("c", [&] { REQUIRE(a.pop()); });
    }
    SUBCASE("its gate opens") {
        REQUIRE(b.publish("c", {.parents = {gate.id()}}));
        serves("c", [&] { REQUIRE(gate.count_down()); });
    }
    SUBCASE("its gate fails, and it goes on") {
        REQUIRE(b.publish("c",
                          {.parents = {gate.id()}, .on_parent_failure = OnParentFailure::deliver}));
        serves("c", [&] { REQUIRE(gate.fail()); });
    }
    SUBCASE("its parent expires, and it goes on") {
        const auto parent = a.publish("p", {.expires_in = 5s});
        REQUIRE(
            b.publish("c", {.parents = {*parent}, .on_parent_failure = OnParentFailure::deliver}));
        serves("c", [&] { clock.advance(5s); });
    }
    SUBCASE("the queue of its parent is removed, and it goes on") {
        const auto parent = a.publish("p");
        REQUIRE(
            b.publish("c", {.parents = {*parent}, .on_parent_failure = OnParentFailure::deliver}));
        serves("c", [&] { REQUIRE(broker.remove("a")); });
    }
    SUBCASE("its delay is over as well") {
        const auto parent = a.publish("p");
        REQUIRE(b.publish("c", {.parents = {*parent}, .delay = 5s}));
        serves("c", [&] {
            REQUIRE(a.pop());
            clock.advance(5s);
        });
    }
    SUBCASE("a child far down the line") {
        latchbox::Result<MessageId> last = a.publish("p");
        REQUIRE(a.cancel(*last));
        for (int i = 0; i < 3; ++i) {
            last = a.publish("x", {.parents = {gate.id(), *last},
                                   .on_parent_failure = OnParentFailure::deliver});
        }
        REQUIRE(
            b.publish("c", {.parents = {*last}, .on_parent_failure = OnParentFailure::deliver}));
        serves("c", [&] {
            REQUIRE(gate.count_down());
            a.purge();
        });
    }
}

TEST_CASE_FIXTURE(Waited,
                  "who waits for a message gets the next of a key as it may go "
                  "[4.9] [5.7]") {
    const auto head = b.publish("1", {.key = "k"});
    REQUIRE(b.publish("2", {.key = "k", .expires_in = 1h}));
    auto held = b.try_fetch();
    REQUIRE(held->extend(1h - 1s));
    SUBCASE("acked") {
        serves("2", [&] { CHECK(held->ack()); });
    }
    SUBCASE("rejected") {
        serves("2", [&] { CHECK(held->reject()); });
    }
    SUBCASE("taken") {
        serves("2", [&] { CHECK(held->take()); });
    }
    SUBCASE("delayed, and cancelled") {
        CHECK(held->requeue(30min));
        serves("2", [&] { CHECK(b.cancel(*head)); });
    }
    SUBCASE("delayed, and due before it") {
        CHECK(held->requeue(30min));
        serves("1", [&] { clock.advance(30min); });
        CHECK(b.pop().value() == "2");
    }
    held = Errc::empty;
    CHECK(b.size() == b.stats().dead);
}

TEST_CASE_FIXTURE(Waited, "who waits for room may be a child, and misses nothing [7.2] [5.4]") {
    const auto full = broker.queue(
        "full", {.lease = 10s, .capacity = 1, .overflow = Overflow::block, .block_for = 1h});
    const auto gate = broker.gate(1);
    const auto parent = full.publish("p");
    latchbox::Result<MessageId> child{Errc::empty};
    std::thread publishing{[&] { child = full.publish("c", {.parents = {*parent, gate.id()}}); }};
    WatchedThreads::until_asleep(1);
    CHECK(broker.stats().edges == 2);
    SUBCASE("its parents complete, and one of them makes room") {
        REQUIRE(gate.count_down());
        REQUIRE(full.pop());
        publishing.join();
        CHECK(full.pop().value() == "c");
    }
    SUBCASE("one fails, and makes room by that") {
        REQUIRE(full.cancel(*parent));
        publishing.join();
        REQUIRE(child);
        CHECK(broker.explain(*child).reason.parent() == *parent);
        CHECK(full.stats().dead == 1);
        full.dead_letters().purge();
    }
    SUBCASE("one completes, the other is waited for") {
        REQUIRE(full.pop());
        publishing.join();
        REQUIRE(child);
        CHECK(broker.explain(*child).parents.size() == 1);
        REQUIRE(gate.count_down());
        CHECK(full.pop().value() == "c");
    }
    SUBCASE("its time is over: nobody waits for anything any more") {
        clock.advance(1h);
        publishing.join();
        CHECK(child == Errc::timed_out);
        CHECK(broker.stats().edges == 0);
        REQUIRE(full.pop());
    }
    SUBCASE("its queue is removed") {
        REQUIRE(broker.remove("full"));
        publishing.join();
        CHECK(child == Errc::closed);
    }
    CHECK(broker.stats().edges == 0);
    CHECK(broker.stats().latches == 1);  // the gate
    support::check_sound(full);
}

TEST_CASE_FIXTURE(Waited, "a family that falls makes room for who waits for it [4.9] [7.2]") {
    const auto small = broker.queue(
        "small", {.capacity = 1, .overflow = Overflow::block, .block_for = 1h, .dead_capacity = 0});
    const auto parent = a.publish("p");
    REQUIRE(small.publish("c", {.parents = {*parent}}));
    Errc outcome{};
    std::thread publishing{[&] { outcome = support::error_of(small.publish("next")); }};
    WatchedThreads::until_asleep(1);
    SUBCASE("rejected") { REQUIRE(a.try_fetch()->reject()); }
    SUBCASE("cancelled") { REQUIRE(a.cancel(*parent)); }
    SUBCASE("removed") { REQUIRE(broker.remove("a")); }
    publishing.join();
    CHECK(outcome == Errc{});
    CHECK(small.pop().value() == "next");
    support::check_sound(small);
}

// --- cascades --------------------------------------------------------------------------------

constexpr std::size_t many = 100'000;

struct Chained : Family {
    std::vector<MessageId> chain;

    void link(std::size_t length) {
        chain.push_back(publish(a, "0"));
        for (std::size_t i = 1; i < length; ++i) {
            chain.push_back(publish(i % 2 == 0 ? a : b, "x", {.parents = {chain.back()}}));
        }
        CHECK(broker.stats().edges == length - 1);
        CHECK(broker.stats().latches == length - 1);
    }
};

TEST_CASE_FIXTURE(Chained, "a chain of 10^5 lives and dies without recursion [5.5] [4.12]") {
    link(many);
    SUBCASE("completing one after the other") {
        std::size_t came = 0;
        while (a.pop() && b.pop()) { came += 2; }
        CHECK(came == many);
    }
    SUBCASE("dying all at once") {
        reject(a);
        CHECK(broker.stats().messages.dead == many);
        CHECK(broker.explain(chain.back()).reason.parent() == chain[many - 2]);
        a.dead_letters().purge();
        b.dead_letters().purge();
    }
    nothing_is_kept();
}

TEST_CASE_FIXTURE(Chained, "a long chain falls wherever and however it is cut [5.5] [5.3]") {
    constexpr std::size_t length = 10'000;
    link(length);
    SUBCASE("the first is cancelled") {
        REQUIRE(a.cancel(chain.front()));
        CHECK(broker.stats().messages.dead == length - 1);
        CHECK(broker.stats().messages.cancelled == 1);
        b.dead_letters().purge();
        a.dead_letters().purge();
    }
    SUBCASE("one in the middle is cancelled") {
        REQUIRE(a.cancel(chain[length / 2]));
        CHECK(broker.stats().messages.dead == length / 2 - 1);
        CHECK(broker.stats().messages.blocked == length / 2 - 1);
        for (const Queue& queue : {a, b}) { queue.dead_letters().purge(); }
        for (std::size_t i = 0; i < length / 2; ++i) { REQUIRE((i % 2 == 0 ? a : b).pop()); }
    }
    SUBCASE("every second is purged") {
        CHECK(a.purge() == length / 2);
        CHECK(b.stats().dead == length / 2);
        b.dead_letters().purge();
    }
    SUBCASE("its queues are removed") {
        REQUIRE(broker.remove("a"));
        CHECK(b.stats().dead == length / 2);
        REQUIRE(broker.remove("b"));
    }
    SUBCASE("its broker closes") {
        CHECK(broker.close().blocked == length - 1);
        CHECK(latch(chain.back()) == LatchState::failed);
        return;
    }
    nothing_is_kept();
}

TEST_CASE_FIXTURE(Family, "a chain whose dead are kept by nobody falls as well [5.5] [7.2]") {
    const auto first = broker.queue("first", {.dead_capacity = 0, .outcome_memory = 3});
    const auto second = broker.queue("second", {.dead_capacity = 1, .outcome_memory = 3});
    MessageId last = publish(first, "x");
    for (std::size_t i = 1; i < many; ++i) {
        last = publish(i % 2 == 0 ? first : second, "x", {.parents = {last}});
    }
    reject(first);
    CHECK(broker.stats().messages.dead == 1);
    CHECK(broker.stats().messages.purged == many - 1);
    CHECK(state(last) == MessageState::dead);
    second.dead_letters().purge();
    nothing_is_kept();
    support::check_sound(first);
    support::check_sound(second);
}

TEST_CASE_FIXTURE(Family, "a fan of 10^5 goes in publish order, or dies in it [5.5] [4.4]") {
    const MessageId parent = publish(a, "p");
    for (std::size_t i = 0; i < many; ++i) {
        publish(i % 2 == 0 ? a : b, std::to_string(i), {.parents = {parent}});
    }
    std::size_t next[2] = {0, 1};
    bool in_order = true;
    const auto see = [&](std::size_t queue, const std::string& body) {
        in_order = in_order && body == std::to_string(next[queue]);
        next[queue] += 2;
    };
    SUBCASE("goes") {
        REQUIRE(a.pop());
        CHECK(broker.stats().messages.ready == many);
        while (auto body = a.pop()) { see(0, *body); }
        while (auto body = b.pop()) { see(1, *body); }
    }
    SUBCASE("dies") {
        reject(a);
        CHECK(broker.stats().messages.dead == many + 1);
        REQUIRE(a.dead_letters().take());
        a.dead_letters().for_each([&](const auto& letter) { see(0, letter.body()); });
        b.dead_letters().for_each([&](const auto& letter) { see(1, letter.body()); });
        a.dead_letters().purge();
        b.dead_letters().purge();
    }
    CHECK(in_order);
    CHECK(next[0] == many);
    CHECK(next[1] == many + 1);
    nothing_is_kept();
}

TEST_CASE_FIXTURE(Family, "many parents of one child settle in any order [5.4]") {
    std::vector<MessageId> parents;
    for (std::size_t i = 0; i < many; ++i) { parents.push_back(publish(a, "p")); }
    const MessageId child = publish(b, "c", {.parents = parents});
    CHECK(broker.stats().edges == many);
    SUBCASE("all complete") {
        REQUIRE(a.pop_all()->size() == many);
        CHECK(b.pop().value() == "c");
    }
    SUBCASE("one fails, the others are no longer waited for") {
        REQUIRE(a.cancel(parents[many / 2]));
        CHECK(state(child) == MessageState::dead);
        CHECK(broker.explain(child).reason.parent() == parents[many / 2]);
        b.dead_letters().purge();
        CHECK(broker.stats().edges == 0);
        a.purge();
    }
    nothing_is_kept();
}

TEST_CASE_FIXTURE(Family, "a layered graph of 10^5 is worked off layer by layer [5.1] [5.5]") {
    constexpr std::size_t layers = 100;
    constexpr std::size_t width = many / layers;
    std::vector<std::vector<MessageId>> graph(layers);
    for (std::size_t layer = 0; layer < layers; ++layer) {
        for (std::size_t i = 0; i < width; ++i) {
            PublishOptions options;
            if (layer != 0) {
                const auto& above = graph[layer - 1];
                options.parents = {above[i], above[(i * 7 + 1) % width],
                                   above[(i + layer) % width]};
            }
            graph[layer].push_back(
                publish((layer + i) % 3 == 0 ? a : b, std::to_string(layer), options));
        }
    }
    SUBCASE("completing") {
        // A layer is not done before the last of it, and nobody overtakes by more than one.
        std::vector<std::size_t> done(layers);
        bool right = true;
        for (std::size_t came = 0; came < many;) {
            for (const Queue& queue : {a, b}) {
                auto body = queue.pop();
                if (!body) { continue; }
                ++came;
                const std::size_t layer = std::stoul(*body);
                ++done[layer];
                right = right && (layer == 0 || done[layer - 1] != 0);
            }
        }
        CHECK(right);
        CHECK(done == std::vector<std::size_t>(layers, width));
    }
    SUBCASE("dying: who depends on it dies, the others do not") {
        std::vector<bool> lost(width);
        lost[5] = true;
        REQUIRE((broker.explain(graph[0][5]).queue == "a" ? a : b).cancel(graph[0][5]));
        bool right = true;
        for (std::size_t layer = 1; layer < layers; ++layer) {
            std::vector<bool> next(width);
            for (std::size_t i = 0; i < width; ++i) {
                next[i] = lost[i] || lost[(i * 7 + 1) % width] || lost[(i + layer) % width];
            }
            lost = next;
            if (layer % 9 != 0 && layer > 12) { continue; }
            for (std::size_t i = 0; i < width; ++i) {
                const bool dead = state(graph[layer][i]) == MessageState::dead;
                right = right && dead == lost[i];
            }
        }
        CHECK(right);
        for (const Queue& queue : {a, b}) {
            queue.dead_letters().purge();
            queue.purge();
            queue.dead_letters().purge();
        }
        a.purge();
        a.dead_letters().purge();
    }
    CHECK(broker.stats().messages.held() == 0);
    nothing_is_kept();
}

TEST_CASE_FIXTURE(Family, "families come and go, and take no more memory [4.12] [5.4]") {
    for (int round = 0; round < 2'000; ++round) {
        const MessageId p = publish(a, "p");
        const MessageId c = publish(b, "c", {.parents = {p}});
        const MessageId g = publish(a, "g", {.parents = {p, c}});
        static_cast<void>(broker.latch(g).state());
        switch (round % 4) {
            case 0:
                REQUIRE(a.pop());
                REQUIRE(b.pop());
                REQUIRE(a.pop());
                break;
            case 1:
                REQUIRE(a.cancel(p));
                a.dead_letters().purge();
                b.dead_letters().purge();
                break;
            case 2:
                REQUIRE(b.cancel(c));
                a.purge();
                a.dead_letters().purge();
                break;
            default:
                a.purge();
                b.dead_letters().purge();
                break;
        }
        if (round % 100 < 4) {
            CHECK(broker.stats().messages.held() == 0);
            nothing_is_kept();
        }
    }
}

// --- time ------------------------------------------------------------------------------------

TEST_CASE_FIXTURE(Family,
                  "what a due thing means for the children happens at its instant "
                  "[4.3] [5.4]") {
    SUBCASE("who died with its parent does not expire after it") {
        const MessageId parent = publish(a, "p", {.expires_in = 5s});
        const MessageId child = publish(b, "c", {.parents = {parent}, .expires_in = 6s});
        clock.advance(1h);
        CHECK(state(parent) == MessageState::failed);
        CHECK(state(child) == MessageState::dead);
        CHECK(b.stats().expired == 0);
    }
    SUBCASE("nor at the same instant, where that comes after it") {
        const MessageId parent = publish(a, "p", {.expires_in = 5s});
        const MessageId child = publish(b, "c", {.parents = {parent}, .expires_in = 5s});
        clock.advance(5s);
        CHECK(state(child) == MessageState::dead);
    }
    SUBCASE("but does, where it comes before: of two queues the older goes first") {
        const MessageId parent = publish(b, "p", {.expires_in = 5s});
        const MessageId child = publish(a, "c", {.parents = {parent}, .expires_in = 5s});
        clock.advance(5s);
        CHECK(state(parent) == MessageState::failed);
        CHECK(broker.explain(child).reason.cause() == Cause::expired);
    }
    SUBCASE("a key whose head expires lets the next go, which expires later") {
        publish(a, "1", {.key = "k", .expires_in = 5s});
        const MessageId second = publish(a, "2", {.key = "k", .expires_in = 6s});
        const MessageId child = publish(b, "c", {.parents = {second}, .expires_in = 6s + 1ns});
        clock.advance(5s);
        CHECK(state(second) == MessageState::ready);
        clock.advance(1h);
        CHECK(state(second) == MessageState::failed);
        CHECK(state(child) == MessageState::dead);
    }
    SUBCASE("a whole line dies before the next thing is due") {
        MessageId last = publish(a, "0", {.expires_in = 5s});
        for (int i = 1; i < 50; ++i) {
            last = publish(i % 2 == 0 ? a : b, "x", {.parents = {last}, .expires_in = 5s + 1ns});
        }
        clock.advance(1h);
        CHECK(broker.stats().messages.dead == 49);
        CHECK(broker.stats().messages.expired == 1);
    }
    SUBCASE("who is let go is delayed first, and expires later") {
        const MessageId parent = publish(a, "p", {.expires_in = 5s});
        const MessageId child = publish(b, "c",
                                        {.parents = {parent},
                                         .on_parent_failure = OnParentFailure::deliver,
                                         .delay = 7s,
                                         .expires_in = 8s});
        clock.advance(5s);
        CHECK(state(child) == MessageState::delayed);
        CHECK(broker.poll() == Instant{7s});
        clock.advance(2s);
        CHECK(state(child) == MessageState::ready);
        CHECK(broker.poll() == Instant{8s});
        clock.advance(1s);
        CHECK(state(child) == MessageState::failed);
        CHECK(broker.poll().is_never());
    }
    SUBCASE(
        "a lease that runs out lets its message die, and the child with it, before the life of "
        "the child is over at the same instant") {
        const auto strict = broker.queue("strict", {.lease = 10s, .max_failures = 1});
        const MessageId parent = publish(strict, "p");
        static_cast<void>(strict.try_fetch().value().detach());
        const MessageId child = publish(b, "c", {.parents = {parent}, .expires_in = 10s});
        clock.advance(10s);
        CHECK(state(parent) == MessageState::dead);
        CHECK(state(child) == MessageState::dead);
        CHECK(b.stats().expired == 0);
        support::check_sound(strict);
    }
}

// One world, driven by choices; what can be seen of it, with ids as the order of publishes.
class Story {
public:
    explicit Story(std::uint64_t seed) : choices_{seed} {
        queues_.push_back(broker_.queue("0", {.lease = 7s, .max_failures = 1}));
        queues_.push_back(broker_.queue("1", {.lease = 5s, .max_failures = 2, .dead_capacity = 3}));
        queues_.push_back(broker_.queue("2", {.lease = 9s, .max_attempts = 2}));
    }
    void begin() {
        for (int i = 0; i < 60; ++i) { publish(); }
    }
    void advance(int seconds, bool in_steps) {
        if (!in_steps) { return clock_.advance(1s * seconds); }
        for (int half = 0; half < 2 * seconds; ++half) {
            clock_.advance(500ms);
            static_cast<void>(broker_.poll());
        }
    }
    [[nodiscard]] std::string picture() const {
        std::string text;
        for (const MessageId& id : ids_) {
            const auto why = broker_.explain(id);
            text += std::to_string(static_cast<int>(why.state)) + ' ' + std::to_string(why.ahead) +
                    ' ' + std::to_string(why.until.since_epoch().count()) + ' ' +
                    std::to_string(why.failures) + ' ' +
                    std::to_string(static_cast<int>(why.reason.cause())) + ' ' +
                    which(why.reason.parent()) + ':';
            for (const auto& parent : why.parents) {
                text += which(parent.id) + to_string(parent.state);
            }
            text += std::to_string(why.ahead_in_key) + '\n';
        }
        return text;
    }
    void check() const {
        for (const Queue& queue : queues_) { support::check_sound(queue); }
    }

private:
    void publish() {
        const Queue& queue = queues_[choices_.pick(3)];
        PublishOptions options;
        for (std::uint32_t i = choices_.pick(4); i != 0 && !ids_.empty(); --i) {
            options.parents.push_back(ids_[choices_.pick(static_cast<std::uint32_t>(ids_.size()))]);
        }
        options.on_parent_failure = policies[choices_.pick(3)];
        if (choices_.one_in(3)) { options.delay = 1s * choices_.pick(20); }
        if (choices_.pick(2) == 0) {
            options.expires_in = options.delay + 1s * (1 + choices_.pick(20));
        }
        if (choices_.one_in(4)) { options.key = choices_.pick(2) == 0 ? "k" : "l"; }
        ids_.push_back(queue.publish("x", options).value());
        if (choices_.one_in(2)) {
            if (auto delivery = queue.try_fetch()) {
                static_cast<void>(std::move(*delivery).detach());
            }
        }
    }
    [[nodiscard]] std::string which(const MessageId& id) const {
        for (std::size_t i = 0; i < ids_.size(); ++i) {
            if (ids_[i] == id) { return std::to_string(i); }
        }
        return id == MessageId{} ? "-" : "?";
    }

    latchbox::testing::Seeded choices_;
    latchbox::ManualClock clock_;
    Broker broker_{{.clock = &clock_}};
    std::vector<Queue> queues_;
    std::vector<MessageId> ids_;
};

TEST_CASE("a jump of the clock equals its steps, families and keys included [4.3] [5.4] [5.7]") {
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        CAPTURE(seed);
        Story jumps{seed};
        Story steps{seed};
        jumps.begin();
        steps.begin();
        REQUIRE(jumps.picture() == steps.picture());
        for (const int length : {3, 11, 40}) {
            jumps.advance(length, false);
            steps.advance(length, true);
            CHECK(jumps.picture() == steps.picture());
            jumps.check();
            steps.check();
        }
    }
}

}  // namespace
