// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/queue_transitions.hpp"

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "support/bare_core.hpp"

// Every line of the list on top of queue_core.hpp. Most run twice: with counters from one, and
// with counters near their end, where nothing may look different.
namespace {

using latchbox::Cause;
using latchbox::LatchState;
using latchbox::MessageId;
using latchbox::Overflow;
using latchbox::QueueOptions;
using latchbox::Reason;
using latchbox::detail::CoreStart;
using latchbox::detail::Due;
using latchbox::detail::none;
using latchbox::detail::State;
using latchbox::detail::Verdict;
using support::at;
using support::FromOne;
using support::NearTheEnd;
using support::ns;
using support::Slot;
using support::SoundCore;

using Slots = std::vector<Slot>;

const QueueOptions plain = {.lease = ns(10), .backoff = {.first = ns(4), .limit = ns(12)}};

// All the ways by which a delivery comes back; `lease_ran_out` steps to its deadline.
enum class Way { release, requeue, delayed, abandon, fail, lease_ran_out };
constexpr Way ways[] = {Way::release, Way::requeue, Way::delayed,
                        Way::abandon, Way::fail,    Way::lease_ran_out};

void come_back(SoundCore& queue, Slot slot, Way way, std::int64_t now = 0) {
    switch (way) {
        case Way::release: queue.core.release(slot, at(now), queue.effects); break;
        case Way::requeue: queue.core.requeue(slot, {}, at(now), queue.effects); break;
        case Way::delayed: queue.core.requeue(slot, ns(5), at(now), queue.effects); break;
        case Way::abandon: queue.core.abandon(slot, at(now), queue.effects); break;
        case Way::fail: queue.core.fail(slot, "broken", at(now), queue.effects); break;
        case Way::lease_ran_out: REQUIRE(queue.pass(queue.core.record(slot).at) > 0); break;
    }
    queue.collect();
}

TEST_CASE_TEMPLATE("reserve -> RESERVED -- accept -> READY, behind all of its priority [4.1] [4.4]",
                   Start, FromOne, NearTheEnd) {
    SoundCore queue{plain, Start::start};
    const Slot slot = queue.reserve();
    CHECK(queue.state(slot) == State::reserved);
    CHECK(queue.core.stats().accepted == 0);
    queue.core.accept(slot, {}, at(0), queue.effects);
    CHECK(queue.state(slot) == State::ready);
    CHECK(queue.core.stats().accepted == 1);
    const Slot second = queue.publish();
    const Slot urgent = queue.publish(at(0), {.priority = 9});
    CHECK(queue.order() == Slots{urgent, slot, second});
}

TEST_CASE_TEMPLATE("RESERVED -- withdraw -> vacant, as if nothing had been [4.11]", Start, FromOne,
                   NearTheEnd) {
    SoundCore queue{plain, Start::start};
    const Slot slot = queue.reserve();
    queue.core.withdraw(slot);
    CHECK(queue.state(slot) == State::vacant);
    CHECK(queue.core.stats() == latchbox::QueueStats{});
    CHECK(queue.core.vacant() == slot);
}

TEST_CASE_TEMPLATE("DELAYED -- due -> READY, at the place of its publish [4.3] [4.4]", Start,
                   FromOne, NearTheEnd) {
    SoundCore queue{plain, Start::start};
    const Slot delayed = queue.publish(at(0), {.delay = ns(5)});
    const Slot ready = queue.publish(at(1));
    CHECK(queue.state(delayed) == State::delayed);
    CHECK(queue.pass(at(4)) == 0);
    CHECK(queue.order() == Slots{ready});
    CHECK(queue.pass(at(5)) == 1);
    CHECK(queue.state(delayed) == State::ready);
    CHECK(queue.order() == Slots{delayed, ready});
}

TEST_CASE_TEMPLATE(
    "READY -- lease -> LEASED: the first in place, to one holder, until its deadline "
    "[4.2] [4.3] [4.5]",
    Start, FromOne, NearTheEnd) {
    const CoreStart start = Start::start;
    SoundCore queue{plain, start};
    const Slot first = queue.publish();
    queue.publish();
    REQUIRE(queue.fetch(at(3)) == first);
    CHECK(queue.state(first) == State::leased);
    CHECK(queue.core.record(first).at == at(13));
    CHECK(queue.core.attempts(first) == start.attempts + 1);
    CHECK(queue.core.record(first).lease == start.lease);
    CHECK(queue.core.stats().delivered == 1);
    REQUIRE(queue.fetch(at(3)) != first);
    CHECK_FALSE(queue.core.has_ready());
    CHECK(queue.core.next_due() == Due{at(13), Due::lease, start.number});
}

TEST_CASE_TEMPLATE("LEASED -- take back -> READY at its old place, and nothing has happened", Start,
                   FromOne, NearTheEnd) {
    SoundCore queue{plain, Start::start};
    const Slot first = queue.publish(at(0), {.life = ns(50)});
    const Slot second = queue.publish();
    const latchbox::QueueStats before = queue.core.stats();
    const auto attempts = queue.core.attempts(first);
    for (int i = 0; i < 3; ++i) {
        REQUIRE(queue.fetch() == first);
        queue.core.take_back(first, at(0), queue.effects);
        CHECK(queue.core.stats() == before);
        CHECK(queue.core.attempts(first) == attempts);
        CHECK(queue.core.next_due().at == at(50));
        CHECK(queue.order() == Slots{first, second});
    }
}

TEST_CASE_TEMPLATE("LEASED -- ack -> gone: completed [4.1]", Start, FromOne, NearTheEnd) {
    SoundCore queue{plain, Start::start};
    const Slot slot = queue.publish(at(0), {.life = ns(50)});
    queue.fetch();
    queue.core.ack(slot, queue.effects);
    queue.collect();
    CHECK(queue.core.stats().completed == 1);
    CHECK(queue.gone == Slots{slot});
    CHECK(queue.pass(at(100)) == 0);
}

TEST_CASE_TEMPLATE("LEASED -- release -> READY, at its old place, no failure [4.4] [4.5]", Start,
                   FromOne, NearTheEnd) {
    SoundCore queue{plain, Start::start};
    const Slots slots = {queue.publish(), queue.publish(), queue.publish()};
    for (int i = 0; i < 3; ++i) { queue.fetch(); }
    for (const Slot slot : {slots[1], slots[2], slots[0]}) {
        queue.core.release(slot, at(1), queue.effects);
        CHECK(queue.core.history(slot).failures == 0);
    }
    CHECK(queue.order() == slots);
    CHECK(queue.core.stats().released == 3);
}

TEST_CASE_TEMPLATE("LEASED -- requeue, abandon -> READY at the back, no failure [4.5] [4.7]", Start,
                   FromOne, NearTheEnd) {
    SoundCore queue{plain, Start::start};
    const Slot first = queue.publish();
    const Slot second = queue.publish();
    queue.fetch();
    SUBCASE("requeued") {
        come_back(queue, first, Way::requeue);
        CHECK(queue.core.stats().requeued == 1);
    }
    SUBCASE("abandoned") {
        come_back(queue, first, Way::abandon);
        CHECK(queue.core.stats().abandoned == 1);
    }
    CHECK(queue.state(first) == State::ready);
    CHECK(queue.order() == Slots{second, first});
    CHECK(queue.core.history(first).failures == 0);
}

TEST_CASE_TEMPLATE("LEASED -- requeue(delay) -> DELAYED, with the number drawn now [3] [4.3]",
                   Start, FromOne, NearTheEnd) {
    SoundCore queue{plain, Start::start};
    const Slot first = queue.publish();
    const Slot before = queue.publish();
    queue.fetch();
    queue.core.requeue(first, ns(5), at(2), queue.effects);
    const Slot behind = queue.publish();
    CHECK(queue.state(first) == State::delayed);
    CHECK(queue.pass(at(6)) == 0);
    CHECK(queue.pass(at(7)) == 1);
    CHECK(queue.order() == Slots{before, first, behind});
}

TEST_CASE_TEMPLATE(
    "LEASED -- fail -> DELAYED by its backoff, at the back, and one failure [4.5] [4.6]", Start,
    FromOne, NearTheEnd) {
    SoundCore queue{plain, Start::start};
    const Slot slot = queue.publish();
    std::int64_t now = 0;
    std::uint32_t failures = 0;
    for (const std::int64_t pause : {4, 8, 12, 12, 12}) {
        REQUIRE(queue.fetch(at(now)) == slot);
        CHECK(queue.core.history(slot).failures == failures);
        queue.core.fail(slot, "broken", at(now), queue.effects);
        CHECK(queue.core.history(slot).failures == ++failures);
        CHECK(queue.core.history(slot).reason == latchbox::Reason{Cause::failed, "broken"});
        CHECK(queue.state(slot) == State::delayed);
        now += pause;
        CHECK(queue.pass(at(now - 1)) == 0);
        CHECK(queue.pass(at(now)) == 1);
    }
    const Slot behind = queue.publish();
    queue.fetch(at(now));
    queue.core.fail(slot, {}, at(now), queue.effects);
    queue.pass(at(now + 12));
    CHECK(queue.order() == Slots{behind, slot});
    CHECK(queue.core.stats().failed == 6);
}

TEST_CASE_TEMPLATE("LEASED -- fail -> READY at once where the queue pauses for nothing [4.6]",
                   Start, FromOne, NearTheEnd) {
    SoundCore queue{{.backoff = {.first = {}}}, Start::start};
    const Slot first = queue.publish();
    const Slot second = queue.publish();
    queue.fetch();
    queue.core.fail(first, {}, at(0), queue.effects);
    CHECK(queue.order() == Slots{second, first});
}

TEST_CASE_TEMPLATE(
    "LEASED -- lease ran out -> READY at once, at the back, and one failure [4.3] [4.6]", Start,
    FromOne, NearTheEnd) {
    SoundCore queue{plain, Start::start};
    const Slot first = queue.publish();
    const Slot second = queue.publish();
    queue.fetch(at(0));
    CHECK(queue.pass(at(9)) == 0);
    CHECK(queue.state(first) == State::leased);
    CHECK(queue.pass(at(10)) == 1);
    CHECK(queue.state(first) == State::ready);
    CHECK(queue.core.history(first).failures == 1);
    CHECK(queue.core.history(first).reason.cause() == Cause::lease_ran_out);
    CHECK(queue.core.stats().leases_run_out == 1);
    CHECK(queue.order() == Slots{second, first});
}

TEST_CASE_TEMPLATE("LEASED -- fail, lease ran out -> DEAD when exactly max_failures failed [4.5]",
                   Start, FromOne, NearTheEnd) {
    const CoreStart start = Start::start;
    for (std::uint32_t most = 1; most < 5; ++most) {
        for (std::uint32_t by_lease = 0; by_lease <= most; ++by_lease) {
            SoundCore queue{{.lease = ns(10), .max_failures = most, .backoff = {.first = {}}},
                            start};
            const Slot slot = queue.publish();
            for (std::uint32_t failures = 1; failures <= most; ++failures) {
                const bool runs_out = failures > most - by_lease;
                // Neither a release nor a requeue is a failure.
                queue.fetch();
                come_back(queue, slot, failures % 2 == 0 ? Way::release : Way::requeue);
                queue.fetch();
                come_back(queue, slot, runs_out ? Way::lease_ran_out : Way::fail);
                REQUIRE((queue.state(slot) == State::dead) == (failures == most));
                const Cause cause = runs_out ? Cause::lease_ran_out : Cause::failed;
                REQUIRE(queue.core.history(slot).reason.cause() == cause);
            }
            REQUIRE(queue.core.history(slot).failures == most);
            REQUIRE(queue.core.attempts(slot) == start.attempts + 2 * most);
        }
    }
}

TEST_CASE_TEMPLATE("LEASED -- comes back with max_attempts used up -> DEAD, whichever way [4.5]",
                   Start, FromOne, NearTheEnd) {
    const CoreStart start = Start::start;
    for (const Way way : ways) {
        SoundCore queue{{.lease = ns(10), .max_attempts = 3, .backoff = {.first = {}}}, start};
        const Slot slot = queue.publish();
        for (std::uint32_t attempt = 1; attempt <= 3; ++attempt) {
            CHECK(queue.state(slot) == State::ready);
            queue.fetch();
            come_back(queue, slot, attempt < 3 ? Way::release : way);
        }
        CHECK(queue.state(slot) == State::dead);
        CHECK(queue.core.history(slot).reason.cause() == Cause::attempts_used_up);
        const std::string text{queue.core.history(slot).reason.text()};
        CHECK(text == (way == Way::fail ? "broken" : ""));
        CHECK(queue.core.first_dead() == slot);
    }
}

TEST_CASE_TEMPLATE("where both are used up the failures are named [4.5]", Start, FromOne,
                   NearTheEnd) {
    SoundCore queue{{.max_failures = 1, .max_attempts = 1}, Start::start};
    const Slot slot = queue.publish();
    queue.fetch();
    come_back(queue, slot, Way::fail);
    CHECK(queue.core.history(slot).reason.cause() == Cause::failed);
}

TEST_CASE_TEMPLATE("LEASED -- reject -> DEAD, with its reason [4.5] [4.11]", Start, FromOne,
                   NearTheEnd) {
    SoundCore queue{plain, Start::start};
    const Slot slot = queue.publish(at(0), {.life = ns(50)});
    queue.fetch();
    queue.core.reject(slot, std::string(100, 'x'), queue.effects);
    CHECK(queue.state(slot) == State::dead);
    CHECK(queue.core.stats().rejected == 1);
    CHECK(queue.core.history(slot).reason ==
          latchbox::Reason{Cause::rejected, std::string(47, 'x')});
    // The dead do not expire.
    CHECK(queue.pass(at(100)) == 0);
}

TEST_CASE_TEMPLATE("READY, DELAYED -- life over -> gone: expired, at its instant [4.1] [4.3]",
                   Start, FromOne, NearTheEnd) {
    SoundCore queue{plain, Start::start};
    const Slot ready = queue.publish(at(0), {.life = ns(5)});
    const Slot delayed = queue.publish(at(0), {.delay = ns(2), .life = ns(6)});
    const Slot returned = queue.publish(at(0), {.life = ns(7)});
    queue.fetch();
    queue.fetch();
    come_back(queue, returned, Way::delayed);
    come_back(queue, ready, Way::release);
    CHECK(queue.pass(at(4)) == 1);
    CHECK(queue.pass(at(5)) == 2);
    CHECK(queue.pass(at(6)) == 1);
    CHECK(queue.pass(at(7)) == 1);
    CHECK(queue.gone == Slots{ready, delayed, returned});
    CHECK(queue.core.stats().expired == 3);
}

TEST_CASE_TEMPLATE("a LEASED message outlives its life and is judged as it comes back [4.3]", Start,
                   FromOne, NearTheEnd) {
    const CoreStart start = Start::start;
    for (const Way way : ways) {
        for (const bool in_time : {false, true}) {
            SoundCore queue{plain, start};
            const Slot slot = queue.publish(at(0), {.life = ns(in_time ? 99 : 10)});
            queue.fetch(at(0));
            queue.core.extend(slot, at(12));
            CHECK(queue.pass(at(11)) == 0);
            come_back(queue, slot, way, 11);
            CHECK(queue.core.stats().expired == (in_time ? 0 : 1));
        }
    }
    SUBCASE("an ack in the last instant of its lease completes it") {
        SoundCore queue{plain, start};
        const Slot slot = queue.publish(at(0), {.life = ns(3)});
        queue.fetch(at(0));
        queue.core.ack(slot, queue.effects);
        queue.collect();
        CHECK(queue.core.stats().completed == 1);
    }
}

TEST_CASE_TEMPLATE("extending moves the deadline to the later one and never shortens [4.3]", Start,
                   FromOne, NearTheEnd) {
    SoundCore queue{plain, Start::start};
    const Slot first = queue.publish();
    const Slot second = queue.publish();
    queue.fetch(at(0));
    queue.fetch(at(0));
    CHECK(queue.core.extend(first, at(7)) == at(10));
    CHECK(queue.core.extend(first, at(10)) == at(10));
    CHECK(queue.core.extend(first, at(15)) == at(15));
    CHECK(queue.core.extend(first, at(12)) == at(15));
    CHECK(queue.pass(at(14)) == 1);
    CHECK(queue.state(first) == State::leased);
    CHECK(queue.state(second) == State::ready);
    CHECK(queue.core.extend(first, latchbox::Instant::never()).is_never());
    CHECK(queue.pass(latchbox::Instant::never()) == 0);
}

TEST_CASE_TEMPLATE("DEAD -- redrive -> READY at the back: failures new, attempts going on [4.5]",
                   Start, FromOne, NearTheEnd) {
    const CoreStart start = Start::start;
    SoundCore queue{{.max_failures = 1, .max_attempts = 2, .backoff = {.first = {}}}, start};
    const Slot slot = queue.publish(at(0), {.life = ns(50)});
    queue.fetch();
    come_back(queue, slot, Way::fail);
    const Slot other = queue.publish();
    queue.core.redrive(slot, at(30));
    CHECK(queue.state(slot) == State::ready);
    CHECK(queue.order() == Slots{other, slot});
    CHECK(queue.core.history(slot).failures == 0);
    CHECK(queue.core.attempts(slot) == start.attempts + 1);
    CHECK(queue.core.history(slot).expires == at(80));
    CHECK(queue.core.stats().redriven == 1);
    queue.core.cancel(other, queue.effects);
    // Two more hand-outs, counted from here.
    for (const State after : {State::ready, State::dead}) {
        queue.fetch(at(30));
        come_back(queue, slot, Way::release, 30);
        CHECK(queue.state(slot) == after);
    }
    CHECK(queue.core.attempts(slot) == start.attempts + 3);
}

TEST_CASE_TEMPLATE("not LEASED -- cancel -> gone: cancelled, in every state [4.1]", Start, FromOne,
                   NearTheEnd) {
    SoundCore queue{{.overflow = Overflow::drop_oldest}, Start::start};
    const Slot dead = queue.publish();
    queue.fetch();
    queue.core.reject(dead, {}, queue.effects);
    const Slot returned = queue.publish();
    queue.fetch();
    const Slot ready = queue.publish();
    come_back(queue, returned, Way::release);
    const Slot delayed = queue.publish(at(0), {.delay = ns(5), .life = ns(9)});
    for (const Slot slot : {returned, delayed, dead, ready}) {
        queue.core.cancel(slot, queue.effects);
        queue.collect();
        CHECK(queue.sound());
    }
    CHECK(queue.core.stats().cancelled == 4);
    CHECK(queue.core.held() == 0);
    CHECK(queue.pass(at(100)) == 0);
}

TEST_CASE_TEMPLATE("READY, DELAYED -- purge -> gone: purged; LEASED and DEAD ones stay [4.1] [4.2]",
                   Start, FromOne, NearTheEnd) {
    SoundCore queue{plain, Start::start};
    queue.publish();
    queue.publish();
    const Slot leased = queue.fetch();
    const Slot dead = queue.fetch();
    queue.core.reject(dead, {}, queue.effects);
    queue.publish(at(0), {.priority = 3});
    queue.publish(at(0), {.delay = ns(5)});
    CHECK(queue.core.purge(queue.effects) == 2);
    queue.collect();
    CHECK(queue.state(leased) == State::leased);
    CHECK(queue.state(dead) == State::dead);
    CHECK(queue.core.purge_dead(queue.effects) == 1);
    queue.collect();
    CHECK(queue.core.stats().purged == 3);
    CHECK(queue.core.held() == 1);
}

TEST_CASE_TEMPLATE("DEAD -- take -> gone: purged [4.1]", Start, FromOne, NearTheEnd) {
    SoundCore queue{plain, Start::start};
    const Slot slot = queue.publish();
    queue.fetch();
    queue.core.reject(slot, {}, queue.effects);
    queue.core.take_dead(slot, queue.effects);
    queue.collect();
    CHECK(queue.core.stats().purged == 1);
    CHECK(queue.core.first_dead() == none);
}

TEST_CASE_TEMPLATE(
    "not LEASED -- evict -> gone: evicted, when a newcomer needs the room [4.12] [7.2]", Start,
    FromOne, NearTheEnd) {
    SoundCore queue{{.capacity = 2, .overflow = Overflow::drop_oldest}, Start::start};
    const Slot leased = queue.publish();
    queue.fetch();
    const Slot ready = queue.publish();
    const Slot third = queue.publish();
    CHECK(queue.gone == Slots{ready});
    CHECK(queue.core.stats().evicted == 1);
    CHECK(queue.order() == Slots{third});
    CHECK(queue.state(leased) == State::leased);
}

TEST_CASE("dying beyond dead_capacity purges the oldest dead letter [7.2]") {
    for (std::size_t kept = 0; kept < 3; ++kept) {
        SoundCore queue{{.dead_capacity = kept}, support::near_the_end};
        Slots slots;
        for (int i = 0; i < 3; ++i) { slots.push_back(queue.publish()); }
        for (const Slot slot : slots) {
            queue.fetch();
            queue.core.reject(slot, {}, queue.effects);
            queue.collect();
            REQUIRE(queue.sound());
        }
        CHECK(queue.core.stats().dead == kept);
        CHECK(queue.core.stats().purged == 3 - kept);
        CHECK(queue.gone == Slots(slots.begin(), slots.end() - static_cast<std::ptrdiff_t>(kept)));
    }
}

TEST_CASE_TEMPLATE("the queue ends: all is purged, what is LEASED as it comes back or dies [4.1]",
                   Start, FromOne, NearTheEnd) {
    const CoreStart start = Start::start;
    for (const Way way : ways) {
        SoundCore queue{{.lease = ns(10), .max_failures = 1}, start};
        const Slot leased = queue.publish();
        queue.fetch();
        queue.publish();
        queue.publish(at(0), {.delay = ns(3)});
        queue.core.end(queue.effects);
        queue.collect();
        CHECK(queue.core.held() == 1);
        CHECK(queue.sound());
        come_back(queue, leased, way);
        CHECK(queue.core.held() == 0);
        CHECK(queue.core.stats().purged == 3);
    }
    SUBCASE("an ack still completes, a reject purges, and what was reserved leaves at once") {
        SoundCore queue{plain, start};
        const Slot acked = queue.publish();
        const Slot rejected = queue.publish();
        queue.fetch();
        queue.fetch();
        const Slot late = queue.reserve();
        queue.core.end(queue.effects);
        queue.core.ack(acked, queue.effects);
        queue.core.reject(rejected, {}, queue.effects);
        queue.core.accept(late, {.delay = ns(5)}, at(0), queue.effects);
        queue.collect();
        CHECK(queue.core.stats().completed == 1);
        CHECK(queue.core.stats().purged == 2);
        CHECK(queue.core.held() == 0);
    }
}

TEST_CASE_TEMPLATE(
    "due things happen by instant; at one by leases, lives, delays, then number [4.3]", Start,
    FromOne, NearTheEnd) {
    SoundCore queue{plain, Start::start};
    const Slot delay_b = queue.publish(at(0), {.delay = ns(10)});
    const Slot life_b = queue.publish(at(0), {.life = ns(10)});
    const Slot lease_b = queue.publish(at(0), {.priority = 2});
    const Slot lease_a = queue.publish(at(0), {.priority = 1});
    const Slot early = queue.publish(at(0), {.delay = ns(9)});
    const Slot life_a = queue.publish(at(0), {.life = ns(10)});
    const Slot delay_a = queue.publish(at(0), {.delay = ns(10)});
    REQUIRE(queue.fetch(at(0)) == lease_b);
    REQUIRE(queue.fetch(at(0)) == lease_a);
    const auto expected = {std::pair{early, Due::delay},   std::pair{lease_b, Due::lease},
                           std::pair{lease_a, Due::lease}, std::pair{life_b, Due::life},
                           std::pair{life_a, Due::life},   std::pair{delay_b, Due::delay},
                           std::pair{delay_a, Due::delay}};
    for (const auto& [slot, kind] : expected) {
        CHECK(queue.core.next_due().kind == kind);
        CHECK(queue.core.next_due().number == queue.number(slot));
        REQUIRE(queue.core.step(Due::last_at(at(10)), queue.effects));
    }
    queue.collect();
    CHECK_FALSE(queue.core.step(Due::last_at(at(10)), queue.effects));
}

TEST_CASE_TEMPLATE("a step stops short of its limit, so that another queue has its turn [4.3]",
                   Start, FromOne, NearTheEnd) {
    const CoreStart start = Start::start;
    SoundCore queue{plain, start};
    queue.publish(at(0), {.delay = ns(5)});
    CHECK_FALSE(queue.core.step({at(5), Due::delay, start.number}, queue.effects));
    CHECK_FALSE(queue.core.step({at(5), Due::life, start.number + 1}, queue.effects));
    CHECK(queue.core.step({at(5), Due::delay, start.number + 1}, queue.effects));
}

TEST_CASE_TEMPLATE("an older now counts as the newest one seen: time does not go back", Start,
                   FromOne, NearTheEnd) {
    SoundCore queue{plain, Start::start};
    const Slot slot = queue.publish(at(100));
    queue.fetch(at(50));
    CHECK(queue.core.record(slot).at == at(110));
    queue.core.requeue(slot, ns(5), at(60), queue.effects);
    CHECK(queue.core.next_due().at == at(105));
}

TEST_CASE("attempts count up to 2^32 - 1 and stay there [4.5]") {
    constexpr std::uint32_t most = ~std::uint32_t{0};
    SoundCore queue{plain, {.attempts = most - 3, .first_bits = 0}};
    const Slot slot = queue.publish();
    for (const std::uint32_t expected : {most - 2, most - 1, most, most, most}) {
        queue.fetch();
        CHECK(queue.core.attempts(slot) == expected);
        come_back(queue, slot, Way::release);
    }
    CHECK(queue.core.stats().delivered == 5);
    CHECK(queue.core.stats().redelivered == 4);
}

TEST_CASE_TEMPLATE("a jump equals its steps [4.3]", Start, FromOne, NearTheEnd) {
    const CoreStart start = Start::start;
    SoundCore jump{{.lease = ns(10), .max_failures = 2, .max_attempts = 5}, start};
    for (std::int64_t i = 0; i < 6; ++i) {
        jump.publish(at(0), {.delay = ns(i % 3 * 4), .life = ns(7 * (i + 1))});
    }
    jump.pass(at(4));
    while (jump.core.has_ready()) { jump.fetch(at(4)); }
    support::BareCore steps{jump};
    for (std::int64_t now = 4; now <= 60; ++now) { steps.pass(at(now)); }
    jump.pass(at(60));
    CHECK(jump.core.stats() == steps.core.stats());
    CHECK(jump.gone == steps.gone);
    CHECK(jump.order() == steps.order());
}

// --- parents ---------------------------------------------------------------------------------

// Stands for the board's number of a wait: the core keeps it, and never looks at it.
constexpr std::uint32_t wait = 70;
constexpr MessageId parent = latchbox::detail::IdParts::message(9, 4, 2);

void judge(SoundCore& queue, Slot slot, Verdict verdict, std::int64_t now = 0) {
    queue.core.judge(slot, verdict, verdict == Verdict::die ? parent : MessageId{}, at(now),
                     queue.effects);
    queue.collect();
}

// One that is dead on arrival: a parent has failed already.
Slot publish_dead(SoundCore& queue, latchbox::detail::Wishes wishes = {}) {
    wishes.wait = wait;
    wishes.verdict = Verdict::die;
    wishes.parent = parent;
    return queue.publish(at(0), wishes);
}

TEST_CASE_TEMPLATE("RESERVED -- accept -> BLOCKED, and delivered to nobody [5.4] [4.12]", Start,
                   FromOne, NearTheEnd) {
    SoundCore queue{{.capacity = 1}, Start::start};
    const Slot child = queue.publish_child(wait);
    CHECK(queue.state(child) == State::blocked);
    CHECK(queue.core.stats().blocked == 1);
    CHECK(queue.core.stats().accepted == 1);
    CHECK(queue.core.first_blocked() == child);
    CHECK_FALSE(queue.core.has_ready());
    CHECK_FALSE(queue.core.idle());
    CHECK_FALSE(queue.core.has_room(1));
    CHECK(queue.core.next_due().at.is_never());
}

TEST_CASE_TEMPLATE("BLOCKED -- parents completed -> READY, at the place of its publish [5.4] [4.4]",
                   Start, FromOne, NearTheEnd) {
    for (const Overflow overflow : {Overflow::reject, Overflow::drop_oldest}) {
        SoundCore queue{{.overflow = overflow}, Start::start};
        const Slot before = queue.publish();
        const Slot child = queue.publish_child(wait);
        const Slot behind = queue.publish();
        const Slot urgent = queue.publish_child(wait, at(0), {.priority = 1});
        judge(queue, child, Verdict::wait);
        CHECK(queue.order() == Slots{before, behind});
        judge(queue, child, Verdict::go);
        CHECK(queue.state(child) == State::ready);
        CHECK(queue.order() == Slots{before, child, behind});
        judge(queue, urgent, Verdict::go);
        CHECK(queue.order() == Slots{urgent, before, child, behind});
        CHECK(queue.core.stats().blocked == 0);
    }
}

TEST_CASE_TEMPLATE("BLOCKED -- parents completed -> DELAYED, counted from its publish [3] [5.4]",
                   Start, FromOne, NearTheEnd) {
    for (std::int64_t judged = 2; judged < 9; ++judged) {
        SoundCore queue{plain, Start::start};
        const Slot child = queue.publish_child(wait, at(1), {.delay = ns(5)});
        const Slot behind = queue.publish(at(1));
        CHECK(queue.pass(at(judged)) == 0);
        CHECK(queue.state(child) == State::blocked);
        judge(queue, child, Verdict::go, judged);
        // Due at 6, when it need not be delayed any more.
        CHECK(queue.state(child) == (judged < 6 ? State::delayed : State::ready));
        CHECK(queue.pass(at(5)) == 0);
        CHECK(queue.pass(at(6)) == (judged < 6 ? 1 : 0));
        CHECK(queue.order() == Slots{child, behind});
    }
}

TEST_CASE_TEMPLATE("BLOCKED -- a parent is dead or failed -> DEAD, its reason names it [5.5]",
                   Start, FromOne, NearTheEnd) {
    SoundCore queue{plain, Start::start};
    const Slot child = queue.publish_child(wait, at(0), {.delay = ns(5), .life = ns(9)});
    judge(queue, child, Verdict::die);
    CHECK(queue.state(child) == State::dead);
    CHECK(queue.core.history(child).reason == Reason{parent});
    CHECK(queue.core.history(child).failures == 0);
    CHECK(queue.core.stats().rejected == 0);
    CHECK(queue.core.first_dead() == child);
    // The dead do not expire.
    CHECK(queue.pass(at(100)) == 0);
}

TEST_CASE_TEMPLATE("RESERVED -- accept -> DEAD, if a parent has failed already [5.5]", Start,
                   FromOne, NearTheEnd) {
    SoundCore queue{plain, Start::start};
    const Slot child = publish_dead(queue, {.delay = ns(5), .life = ns(9)});
    CHECK(queue.state(child) == State::dead);
    CHECK(queue.core.history(child).reason == Reason{parent});
    CHECK(queue.core.stats().accepted == 1);
    CHECK(queue.core.stats().dead == 1);
    CHECK(queue.pass(at(100)) == 0);
    CHECK(queue.core.ties(child).wait == wait);
}

TEST_CASE_TEMPLATE("dead on arrival: dead_capacity holds at once [5.5] [7.2]", Start, FromOne,
                   NearTheEnd) {
    for (std::size_t kept = 0; kept < 3; ++kept) {
        SoundCore queue{{.dead_capacity = kept}, Start::start};
        for (std::size_t i = 0; i < 4; ++i) {
            publish_dead(queue);
            REQUIRE(queue.sound());
            CHECK(queue.core.stats().accepted == i + 1);
            CHECK(queue.core.stats().dead == std::min(kept, i + 1));
        }
        CHECK(queue.core.stats().purged == 4 - kept);
        CHECK(queue.noted.size() == 4 - kept);
        for (const auto& noted : queue.noted) { CHECK(noted.left_wait == wait); }
    }
}

TEST_CASE_TEMPLATE("BLOCKED -- life over -> gone: expired, at its instant [4.3]", Start, FromOne,
                   NearTheEnd) {
    SoundCore queue{plain, Start::start};
    const Slot child = queue.publish_child(wait, at(1), {.delay = ns(3), .life = ns(6)});
    CHECK(queue.core.next_due().kind == Due::life);
    CHECK(queue.pass(at(6)) == 0);
    CHECK(queue.state(child) == State::blocked);
    CHECK(queue.pass(at(7)) == 1);
    CHECK(queue.core.stats().expired == 1);
    CHECK(queue.gone == Slots{child});
}

TEST_CASE_TEMPLATE("BLOCKED -- cancel, purge, evict -> gone: failed [4.1] [7.2]", Start, FromOne,
                   NearTheEnd) {
    SoundCore queue{{.capacity = 3, .overflow = Overflow::drop_oldest}, Start::start};
    const Slot high = queue.publish_child(wait, at(0), {.priority = 1});
    const Slot oldest = queue.publish_child(wait, at(0), {.delay = ns(3)});
    const Slot ready = queue.publish();
    queue.publish();
    CHECK(queue.gone == Slots{oldest});
    queue.publish();
    CHECK(queue.gone == Slots{oldest, ready});
    CHECK(queue.core.stats().evicted == 2);
    queue.core.cancel(high, queue.effects);
    queue.collect();
    CHECK(queue.core.stats().cancelled == 1);
    queue.publish_child(wait);
    CHECK(queue.core.purge(queue.effects) == 3);
    queue.collect();
    CHECK(queue.core.stats().purged == 3);
    CHECK(queue.core.held() == 0);
}

TEST_CASE_TEMPLATE("DEAD -- redrive -> BLOCKED while parents are pending, at the back [5.6]", Start,
                   FromOne, NearTheEnd) {
    SoundCore queue{plain, Start::start};
    const Slot child = queue.publish_child(wait, at(0), {.delay = ns(5), .life = ns(20)});
    judge(queue, child, Verdict::die);
    const Slot other = queue.publish();
    queue.core.redrive(child, at(10), true);
    CHECK(queue.state(child) == State::blocked);
    CHECK(queue.core.history(child).expires == at(30));
    const Slot behind = queue.publish();
    judge(queue, child, Verdict::go, 11);
    CHECK(queue.order() == Slots{other, child, behind});
    // And it may die again of the same parent.
    queue.core.cancel(other, queue.effects);
    queue.fetch(at(11));
    queue.core.reject(child, {}, queue.effects);
    queue.core.redrive(child, at(12), true);
    judge(queue, child, Verdict::die, 12);
    CHECK(queue.core.history(child).reason == Reason{parent});
    CHECK(queue.core.stats().redriven == 2);
    queue.collect();
}

TEST_CASE_TEMPLATE("the queue ends: what is BLOCKED is purged, and what comes then [4.1]", Start,
                   FromOne, NearTheEnd) {
    SoundCore queue{plain, Start::start};
    queue.publish_child(wait);
    const Slot late = queue.reserve();
    const Slot dead = queue.reserve();
    while (queue.core.of_histories(2)) { queue.grow(queue.core.of_histories(2)); }
    while (queue.core.of_lines()) { queue.grow(queue.core.of_lines()); }
    while (queue.core.of_outcomes(2)) { queue.grow(queue.core.of_outcomes(2)); }
    queue.core.end(queue.effects);
    std::string text = "tea";
    queue.core.accept(late, {.wait = 71, .verdict = Verdict::wait, .key = "tea", .key_text = &text},
                      at(0), queue.effects);
    queue.core.accept(dead, {.wait = 72, .verdict = Verdict::die, .parent = parent}, at(0),
                      queue.effects);
    queue.collect();
    CHECK(queue.core.stats().purged == 3);
    CHECK(queue.core.held() == 0);
    CHECK(queue.noted.size() == 3);
    CHECK(queue.noted[1].left_wait == 71);
    CHECK(queue.noted[2].left_wait == 72);
}

// --- latches ---------------------------------------------------------------------------------

// All the ways by which a message that somebody watches ends, or dies.
enum class End {
    acked,
    expired,
    cancelled,
    purged,
    evicted,
    taken,
    dead_purged,
    beyond,
    ended,
    rejected,
    failed,
    lease_ran_out,
    used_up,
    parent_died,
};
constexpr int ends = 14;

// Lets a fresh message end that way; the slot it had.
Slot end_it(SoundCore& queue, End end, std::uint32_t latch, std::uint32_t waits) {
    const bool child = waits != none || end == End::parent_died;
    const latchbox::detail::Wishes mortal{.life = ns(end == End::expired ? 5 : 50)};
    const Slot slot = child ? queue.publish_child(waits == none ? wait : waits, at(0), mortal)
                            : queue.publish(at(0), mortal);
    if (latch != none) { queue.watch(slot, latch); }
    CHECK(queue.core.latch(slot) == latch);
    CHECK(queue.core.latch_state(slot) == LatchState::pending);
    const bool leases = end == End::acked || (end >= End::taken && end != End::ended);
    if (child && leases && end != End::parent_died) { judge(queue, slot, Verdict::go); }
    if (leases && end != End::parent_died) { queue.fetch(); }
    auto& effects = queue.effects;
    switch (end) {
        case End::acked: queue.core.ack(slot, effects); break;
        case End::expired: queue.pass(at(5)); break;
        case End::cancelled: queue.core.cancel(slot, effects); break;
        case End::purged: queue.core.purge(effects); break;
        case End::evicted: queue.publish(); break;
        case End::taken:
        case End::dead_purged:
        case End::beyond:
            queue.core.reject(slot, {}, effects);
            queue.collect();
            if (end == End::taken) { queue.core.take_dead(slot, effects); }
            if (end == End::dead_purged) { queue.core.purge_dead(effects); }
            if (end == End::beyond) { publish_dead(queue); }
            break;
        case End::ended: queue.core.end(effects); break;
        case End::rejected: queue.core.reject(slot, {}, effects); break;
        case End::failed: queue.core.fail(slot, {}, at(0), effects); break;
        case End::lease_ran_out: queue.pass(at(10)); break;
        case End::used_up: queue.core.release(slot, at(0), effects); break;
        case End::parent_died: judge(queue, slot, Verdict::die); break;
    }
    queue.collect();
    return slot;
}

QueueOptions options_for(End end) {
    QueueOptions options{.lease = ns(10), .max_failures = 1, .max_attempts = 1};
    if (end == End::evicted) { options.capacity = 1, options.overflow = Overflow::drop_oldest; }
    if (end == End::beyond) { options.dead_capacity = 1; }
    return options;
}

TEST_CASE_TEMPLATE("every exit and every death tells who asked for the latch [5.3] [5.4]", Start,
                   FromOne, NearTheEnd) {
    for (int i = 0; i < ends; ++i) {
        const End end{i};
        SoundCore queue{options_for(end), Start::start};
        const Slot slot = end_it(queue, end, 5, none);
        CAPTURE(i);
        std::vector<LatchState> expected;
        if (end >= End::rejected || (end >= End::taken && end != End::ended)) {
            expected.push_back(LatchState::dead);
        }
        if (end == End::acked) { expected.push_back(LatchState::completed); }
        if (end > End::acked && end < End::rejected) { expected.push_back(LatchState::failed); }
        std::vector<LatchState> told;
        for (const auto& noted : queue.noted) {
            REQUIRE(noted.latch == 5);
            const bool at_last = noted.state != LatchState::dead;
            const bool child = end == End::parent_died && at_last;
            REQUIRE(noted.left_wait == (child ? wait : none));
            told.push_back(noted.state);
        }
        REQUIRE(told == expected);
        const bool stays =
            queue.state(slot) != State::vacant && expected.back() == LatchState::dead;
        if (stays) { CHECK(queue.core.latch_state(slot) == LatchState::dead); }
    }
}

TEST_CASE_TEMPLATE("every exit gives back the wait, and none does without leaving [5.4]", Start,
                   FromOne, NearTheEnd) {
    for (int i = 0; i < ends; ++i) {
        for (const std::uint32_t latch : {none, 5U}) {
            const End end{i};
            SoundCore queue{options_for(end), Start::start};
            const Slot slot = end_it(queue, end, latch, 44);
            CAPTURE(i);
            const bool left = end < End::rejected;
            std::size_t given_back = 0;
            for (const auto& noted : queue.noted) {
                REQUIRE(noted.latch == latch);
                if (noted.left_wait == none) { continue; }
                REQUIRE(noted.left_wait == 44);
                REQUIRE(noted.state != LatchState::dead);
                REQUIRE(noted.state != LatchState::pending);
                ++given_back;
            }
            REQUIRE(given_back == (left ? 1 : 0));
            if (!left) { REQUIRE(queue.core.ties(slot).wait == 44); }
        }
    }
}

TEST_CASE_TEMPLATE("whom nobody watches and who waits for nobody is not noted [5.4]", Start,
                   FromOne, NearTheEnd) {
    for (int i = 0; i < ends; ++i) {
        const End end{i};
        if (end == End::parent_died || end == End::beyond) { continue; }
        SoundCore queue{options_for(end), Start::start};
        end_it(queue, end, none, none);
        CHECK(queue.noted.empty());
    }
    // Nor one whose parents have all completed.
    SoundCore queue{plain, Start::start};
    const Slot child = queue.publish_child(wait);
    judge(queue, child, Verdict::go);
    queue.core.forget_parents(child);
    queue.core.cancel(child, queue.effects);
    queue.collect();
    CHECK(queue.noted.empty());
}

TEST_CASE_TEMPLATE("a redrive tells that it is pending again [5.3] [5.6]", Start, FromOne,
                   NearTheEnd) {
    for (const bool held_back : {false, true}) {
        SoundCore queue{plain, Start::start};
        const Slot slot = publish_dead(queue);
        queue.watch(slot, 5);
        CHECK(queue.core.latch_state(slot) == LatchState::dead);
        queue.core.redrive(slot, at(0), held_back);
        queue.collect();
        REQUIRE(queue.noted.size() == 1);
        CHECK(queue.noted[0].latch == 5);
        CHECK(queue.noted[0].state == LatchState::pending);
        CHECK(queue.noted[0].left_wait == none);
        CHECK(queue.state(slot) == (held_back ? State::blocked : State::ready));
    }
}

TEST_CASE("what changes twice before it is told is told once, as it is then [5.3]") {
    SUBCASE("it dies, and there is no room for the dead") {
        SoundCore queue{{.dead_capacity = 0}};
        const Slot slot = queue.publish();
        queue.watch(slot, 5);
        queue.fetch();
        queue.core.reject(slot, {}, queue.effects);
        queue.collect();
        REQUIRE(queue.noted.size() == 1);
        CHECK(queue.noted[0].state == LatchState::failed);
    }
    SUBCASE("it is redriven, and purged") {
        SoundCore queue;
        const Slot slot = publish_dead(queue);
        queue.watch(slot, 5);
        queue.core.redrive(slot, at(0));
        queue.core.purge(queue.effects);
        queue.collect();
        REQUIRE(queue.noted.size() == 1);
        CHECK(queue.noted[0].state == LatchState::failed);
        CHECK(queue.noted[0].left_wait == wait);
    }
}

TEST_CASE("latches are told in the order in which they changed [5.5]") {
    SoundCore queue;
    Slots slots;
    for (std::uint32_t i = 0; i < 5; ++i) {
        slots.push_back(queue.publish());
        queue.watch(slots.back(), 10 + i);
    }
    for (const std::size_t i : {3U, 1U, 4U, 0U, 2U}) { queue.core.cancel(slots[i], queue.effects); }
    queue.collect();
    std::vector<std::uint32_t> told;
    for (const auto& noted : queue.noted) { told.push_back(noted.latch); }
    CHECK(told == std::vector<std::uint32_t>{13, 11, 14, 10, 12});
}

TEST_CASE("watching does not move a message that waits in line, and needs a history [5.4]") {
    for (const Overflow overflow : {Overflow::reject, Overflow::drop_oldest}) {
        SoundCore queue{{.capacity = 3, .overflow = overflow}};
        const Slots slots = {queue.publish(), queue.publish(), queue.publish()};
        CHECK_FALSE(queue.core.has_history(slots[1]));
        CHECK(queue.core.latch(slots[1]) == none);
        queue.watch(slots[1], 5);
        CHECK(queue.core.has_history(slots[1]));
        CHECK_FALSE(queue.core.of_history(slots[1]));
        CHECK(queue.order() == slots);
        CHECK(queue.sound());
        CHECK(queue.fetch() == slots[0]);
        CHECK(queue.fetch() == slots[1]);
        CHECK(queue.core.attempts(slots[1]) == 1);
        queue.core.ack(slots[1], queue.effects);
        queue.collect();
        CHECK(queue.noted.size() == 1);
    }
}

// So that it has a history.
void fetch_again(SoundCore& queue, Slot slot) {
    queue.fetch();
    queue.core.release(slot, {}, queue.effects);
    queue.fetch();
}
// The test is all that writes them here: to get there by failing would take hours.
latchbox::detail::History& history(SoundCore& queue, Slot slot) {
    return const_cast<latchbox::detail::History&>(queue.core.history(slot));
}

TEST_CASE("failures count up to 2^32 - 1 and stay there [4.5]") {
    SoundCore queue{{.backoff = {.first = ns(3), .limit = ns(50)}}, support::near_the_end};
    const Slot slot = queue.publish();
    fetch_again(queue, slot);
    constexpr std::uint32_t most = ~std::uint32_t{0};
    history(queue, slot).attempts = most;
    history(queue, slot).failures = most - 1;
    for (std::int64_t now = 0; now < 300; now += 100) {
        queue.core.fail(slot, "again", at(now), queue.effects);
        CHECK(queue.core.history(slot).failures == most);
        CHECK(queue.core.record(slot).at == at(now + 50));
        CHECK(queue.pass(at(now + 50)) == 1);
        queue.fetch(at(now + 50));
    }
    queue.pass(latchbox::Instant{latchbox::Duration::nanoseconds(1'000)} +
               latchbox::QueueOptions{}.lease);
    CHECK(queue.core.history(slot).failures == most);
}

TEST_CASE("what is taken back counts no attempt less where they have stopped counting [4.5]") {
    SoundCore queue;
    const Slot slot = queue.publish();
    fetch_again(queue, slot);
    constexpr std::uint32_t most = ~std::uint32_t{0};
    history(queue, slot).attempts = most;
    queue.core.take_back(slot, at(0), queue.effects);
    CHECK(queue.core.attempts(slot) == most);
}

TEST_CASE("what is taken back from a queue that has ended leaves it [4.1]") {
    SoundCore queue;
    const Slot slot = queue.publish();
    queue.fetch();
    queue.core.end(queue.effects);
    queue.core.take_back(slot, at(0), queue.effects);
    queue.collect();
    CHECK(queue.gone == std::vector<Slot>{slot});
    CHECK(queue.core.stats().purged == 1);
    CHECK(queue.core.stats().delivered == 0);
}

TEST_CASE("a lease that is over is held late only where the profile has it [4.2]") {
    for (const bool taken : {false, true}) {
        SoundCore queue{plain, {}, false, {.late_settles = taken}};
        const Slot slot = queue.publish();
        queue.fetch();
        const std::uint64_t lease = queue.core.record(slot).lease;
        const std::uint64_t number = queue.number(slot);
        REQUIRE(queue.pass(at(10)) == 1);
        CHECK(queue.core.hold_late(slot, lease, number, at(12)) == taken);
        CHECK(queue.core.holds(slot, lease) == taken);
        CHECK(queue.core.has_ready() != taken);
        if (taken) { CHECK(queue.core.record(slot).at == at(22)); }
        CHECK(queue.core.history(slot).failures == (taken ? 0 : 1));
    }
}

TEST_CASE("what was never granted, has gone, is dead or blocked is not held late [4.2]") {
    SoundCore queue{{.lease = ns(10), .max_failures = 2}, {}, false, {.late_settles = true}};
    const Slot slot = queue.publish("key");
    queue.fetch();
    const std::uint64_t lease = queue.core.record(slot).lease;
    const std::uint64_t number = queue.number(slot);
    CHECK_FALSE(queue.core.hold_late(slot, lease + 1, number, at(0)));
    CHECK_FALSE(queue.core.hold_late(slot, lease, number + 1, at(0)));
    queue.core.reject(slot, "no", queue.effects);
    queue.collect();
    CHECK_FALSE(queue.core.hold_late(slot, lease, number, at(0)));
    const Slot head = queue.publish("key");
    queue.core.redrive(slot, at(0));
    REQUIRE(queue.state(slot) == State::blocked);
    CHECK_FALSE(queue.core.hold_late(slot, lease, number, at(0)));
    REQUIRE(queue.fetch() == head);
    queue.core.ack(head, queue.effects);
    queue.collect();
    REQUIRE(queue.state(slot) == State::ready);
    CHECK_FALSE(queue.core.hold_late(slot, lease + 2, number, at(0)));
    CHECK_FALSE(queue.core.hold_late(slot, lease - 1, number, at(0)));
    CHECK(queue.core.hold_late(slot, lease, number, at(0)));
    queue.core.ack(slot, queue.effects);
    queue.collect();
    CHECK_FALSE(queue.core.hold_late(slot, lease, number, at(0)));
    // Nor is another message in the same slot that came back.
    REQUIRE(queue.publish() == slot);
    queue.fetch();
    queue.core.release(slot, at(0), queue.effects);
    CHECK_FALSE(queue.core.hold_late(slot, lease, number, at(0)));
}

TEST_CASE("a lease that runs out before those that were granted earlier is over first [4.3]") {
    SoundCore queue{{.lease = ns(10)}};
    const Slot late = queue.publish();
    const Slot soon = queue.publish();
    REQUIRE(queue.fetch(at(9)) == late);
    REQUIRE(queue.core.lease(at(0)) == soon);
    CHECK(queue.core.next_due().at == at(10));
    CHECK(queue.pass(at(10)) == 1);
    CHECK(queue.state(soon) == State::ready);
    CHECK(queue.state(late) == State::leased);
}

TEST_CASE("held late while another has it, the other's lease is over [4.2]") {
    SoundCore queue{plain, {}, false, {.late_settles = true}};
    const Slot slot = queue.publish();
    queue.fetch();
    const std::uint64_t first = queue.core.record(slot).lease;
    REQUIRE(queue.pass(at(10)) == 1);
    queue.fetch(at(10));
    const std::uint64_t second = queue.core.record(slot).lease;
    REQUIRE(queue.pass(at(20)) == 1);
    queue.fetch(at(20));
    REQUIRE(queue.core.history(slot).failures == 2);
    CHECK(queue.core.hold_late(slot, first, queue.number(slot), at(21)));
    CHECK(queue.core.holds(slot, first));
    CHECK_FALSE(queue.core.holds(slot, second));
    CHECK(queue.core.history(slot).failures == 2);  // of three deliveries
    CHECK(queue.core.next_due().at == at(31));
}

TEST_CASE("a lease of another message, over or not, is not held late [4.2]") {
    SoundCore queue{plain, {}, false, {.late_settles = true}};
    const Slot other = queue.publish();
    const Slot ready = queue.publish();
    queue.fetch();
    const std::uint64_t lease = queue.core.record(other).lease;
    CHECK_FALSE(queue.core.hold_late(ready, lease, queue.number(ready), at(1)));
    queue.fetch();
    CHECK_FALSE(queue.core.hold_late(ready, lease, queue.number(ready), at(1)));
    CHECK(queue.state(ready) == State::leased);
}

TEST_CASE_TEMPLATE("nor for one that has a history, but was never out before [4.2] [4.5]", Start,
                   FromOne, NearTheEnd) {
    SoundCore queue{plain, Start::start, false, {.late_settles = true}};
    const Slot other = queue.publish();
    const Slot timed = queue.publish(at(0), {.life = ns(1'000)});
    queue.fetch();
    const std::uint64_t lease = queue.core.record(other).lease;
    REQUIRE(queue.core.has_history(timed));
    CHECK_FALSE(queue.core.hold_late(timed, lease, queue.number(timed), at(1)));
    REQUIRE(queue.fetch() == timed);
    const std::uint64_t own = queue.core.record(timed).lease;
    queue.core.extend(timed, at(500));
    CHECK_FALSE(queue.core.hold_late(timed, lease, queue.number(timed), at(1)));
    CHECK(queue.core.holds(timed, own));
    // Now it was.
    queue.core.release(timed, at(2), queue.effects);
    CHECK(queue.core.hold_late(timed, own, queue.number(timed), at(3)));
    CHECK(queue.core.history(timed).failures == 0);
}

TEST_CASE_TEMPLATE("what is taken back was never out, and counts nowhere [4.5]", Start, FromOne,
                   NearTheEnd) {
    SoundCore queue{plain, Start::start};
    const Slot slot = queue.publish();
    const std::uint32_t never = queue.core.attempts(slot);
    const auto out_and_back = [&] {
        queue.fetch();
        queue.core.take_back(slot, at(0), queue.effects);
    };
    for (int i = 0; i < 2; ++i) {
        out_and_back();
        CHECK(queue.core.attempts(slot) == never);
        CHECK(queue.core.stats().redelivered == 0);
        CHECK(queue.core.stats().delivered == 0);
    }
    queue.fetch();
    queue.core.release(slot, at(0), queue.effects);
    out_and_back();
    CHECK(queue.core.attempts(slot) == never + 1);
    CHECK(queue.core.stats().redelivered == 0);
    queue.fetch();
    CHECK(queue.core.stats().redelivered == 1);
}

TEST_CASE("attempts beyond all counting stay at the most [4.5]") {
    SoundCore queue{plain, {.attempts = ~std::uint32_t{0}, .first_bits = 0}};
    const Slot slot = queue.publish();
    queue.fetch();
    CHECK(queue.core.attempts(slot) == ~std::uint32_t{0});
    queue.core.release(slot, at(0), queue.effects);
    queue.fetch();
    CHECK(queue.core.attempts(slot) == ~std::uint32_t{0});
}

TEST_CASE("max_failures bounds deliveries where each of them counts [4.5]") {
    const auto deliveries = [](const QueueOptions& options, bool counts) {
        SoundCore queue{options, {}, false, {.every_delivery_counts = counts}};
        const Slot slot = queue.publish();
        int count = 0;
        for (; count < 8 && queue.core.has_ready(); ++count) {
            queue.fetch();
            come_back(queue, slot, Way::release);
        }
        return count;
    };
    CHECK(deliveries({.max_failures = 3}, true) == 3);
    CHECK(deliveries({.max_failures = 3}, false) == 8);
    CHECK(deliveries({.max_failures = 3, .max_attempts = 5}, true) == 3);
    CHECK(deliveries({.max_failures = 3, .max_attempts = 5}, false) == 5);
    CHECK(deliveries({.max_failures = 5, .max_attempts = 3}, true) == 3);
    CHECK(deliveries({.max_attempts = 3}, true) == 3);
    CHECK(deliveries({}, true) == 8);
}

TEST_CASE("redeliveries go first where the profile has it, in the order of their publishes [4.4]") {
    for (const Way way : {Way::requeue, Way::abandon, Way::fail, Way::lease_ran_out}) {
        for (const bool first : {false, true}) {
            SoundCore queue{{.lease = ns(10), .backoff = {.first = ns(0)}},
                            {},
                            false,
                            {.redeliveries_first = first}};
            const Slot one = queue.publish();
            const Slot two = queue.publish();
            queue.fetch();
            come_back(queue, one, way);
            CHECK(queue.order() == (first ? Slots{one, two} : Slots{two, one}));
        }
    }
}

TEST_CASE("what is taken back after its life is over leaves as expired [4.3]") {
    for (const std::int64_t now : {9, 10, 11}) {
        SoundCore queue;
        queue.publish(at(0), {.life = ns(10)});
        const Slot slot = queue.fetch();
        queue.core.take_back(slot, at(now), queue.effects);
        queue.collect();
        CHECK(queue.core.stats().expired == (now < 10 ? 0 : 1));
        CHECK(queue.core.in(State::ready) == (now < 10 ? 1 : 0));
    }
}

TEST_CASE("a lease for ever never runs out [4.3] [7.6]") {
    SoundCore queue{{.lease = latchbox::Duration::never()}};
    queue.publish();
    const Slot slot = queue.fetch();
    CHECK(queue.core.next_due().at.is_never());
    CHECK(queue.pass(latchbox::Instant::never()) == 0);
    CHECK(queue.state(slot) == State::leased);
}

}  // namespace
