// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/queue_places.hpp"

#include <cstdint>
#include <tuple>
#include <vector>

#include <doctest/doctest.h>

#include "support/bare_core.hpp"
#include "support/choices.hpp"

// Where messages stand: what accepting draws, who is evicted, what leaving leaves behind.
namespace {

using latchbox::detail::CoreStart;
using latchbox::detail::Due;
using latchbox::detail::none;
using latchbox::detail::State;
using support::at;
using support::FromOne;
using support::NearTheEnd;
using support::ns;
using support::Slot;
using support::SoundCore;

TEST_CASE_TEMPLATE("accepting draws one number for id and place, in publish order [4.4]", Start,
                   FromOne, NearTheEnd) {
    const CoreStart start = Start::start;
    SoundCore queue{{}, start};
    for (std::uint64_t i = 0; i < 20; ++i) {
        const Slot slot = queue.publish(at(0), {.delay = ns(i % 2 == 0 ? 0 : 5)});
        CHECK(queue.number(slot) == start.number + i);
        CHECK(queue.core.record(slot).place == start.number + i);
    }
    CHECK(queue.core.stats().accepted == 20);
}

TEST_CASE("a message that only waits in line has no history, one with a time of its own has") {
    SoundCore queue;
    CHECK(queue.core.record(queue.publish()).history == none);
    const Slot delayed = queue.publish(at(3), {.delay = ns(4)});
    CHECK(queue.core.history(delayed).at == at(7));
    CHECK(queue.core.history(delayed).expires.is_never());
    const Slot mortal = queue.publish(at(3), {.life = ns(4)});
    CHECK(queue.core.history(mortal).expires == at(7));
    CHECK(queue.core.history(mortal).life == ns(4));
    CHECK(queue.core.history(mortal).attempts == 0);
}

TEST_CASE("of delay and life that comes due which is first, at one instant the life [4.3]") {
    for (std::int64_t delay = 1; delay < 5; ++delay) {
        for (std::int64_t life = 1; life < 5; ++life) {
            SoundCore queue;
            queue.publish(at(0), {.delay = ns(delay), .life = ns(life)});
            const Due due = queue.core.next_due();
            CHECK(due.at == at(delay < life ? delay : life));
            CHECK(due.kind == (delay < life ? Due::delay : Due::life));
            CHECK(queue.pass(at(10)) == (delay < life ? 2 : 1));
            CHECK(queue.core.stats().expired == 1);
        }
    }
}

TEST_CASE("a delay for ever is never due, but the message can be purged") {
    SoundCore queue;
    queue.publish(at(0), {.delay = latchbox::Duration::never()});
    CHECK(queue.core.next_due().at.is_never());
    CHECK(queue.pass(latchbox::Instant::never()) == 0);
    CHECK(queue.core.stats().delayed == 1);
    CHECK(queue.core.purge(queue.effects) == 1);
    queue.collect();
}

TEST_CASE("who left is named once, in order, and his slot serves again [4.1]") {
    SoundCore queue;
    const Slot first = queue.publish();
    const Slot second = queue.publish();
    queue.core.cancel(second, queue.effects);
    queue.core.cancel(first, queue.effects);
    CHECK(queue.effects.gone.size() == 2);
    CHECK(queue.state(first) == State::vacant);
    CHECK(queue.core.vacant() == none);
    queue.collect();
    CHECK(queue.gone == std::vector<Slot>{second, first});
    CHECK(queue.number(first) == 0);
    CHECK(queue.core.vacant() == first);
}

// Dead ones by their deaths, then by rising priority and number.
using EvictionKey = std::tuple<int, std::uint64_t, std::uint64_t>;

Slot naive_candidate(const SoundCore& queue, const std::vector<Slot>& deaths) {
    Slot best = none;
    EvictionKey least{};
    for (Slot slot = 0; slot < queue.core.slots(); ++slot) {
        const auto& record = queue.core.record(slot);
        EvictionKey key{1, record.priority, record.place};
        if (record.state == State::dead) {
            std::uint64_t rank = 0;
            while (deaths[rank] != slot) { ++rank; }
            key = {0, rank, 0};
        } else if (record.state != State::ready && record.state != State::delayed) {
            continue;
        }
        if (best == none || key < least) { std::tie(best, least) = std::tuple{slot, key}; }
    }
    return best;
}

// Fills a queue in some way, brings everything back in some way, then evicts all there is.
void evict_all(support::Choices& choices, std::uint32_t messages) {
    SoundCore queue{{.capacity = messages, .overflow = latchbox::Overflow::drop_oldest}};
    for (std::uint32_t i = 0; i < messages; ++i) {
        const auto priority = static_cast<std::uint8_t>(choices.pick(2));
        queue.publish(at(0), {.priority = priority, .delay = ns(choices.pick(2) * 5)});
    }
    std::vector<Slot> held;
    while (queue.core.has_ready()) { held.push_back(queue.fetch()); }
    std::vector<Slot> deaths;
    for (; !held.empty(); held.pop_back()) {
        switch (choices.pick(4)) {
            case 0: queue.core.release(held.back(), at(0), queue.effects); break;
            case 1: queue.core.requeue(held.back(), ns(3), at(0), queue.effects); break;
            case 2: queue.core.abandon(held.back(), at(0), queue.effects); break;
            default:
                queue.core.reject(held.back(), {}, queue.effects);
                deaths.push_back(held.back());
        }
    }
    while (queue.core.held() != 0) {
        const Slot expected = naive_candidate(queue, deaths);
        queue.core.promise(messages - queue.core.held());
        queue.core.make_room(1, queue.effects);
        queue.core.redeem(messages - queue.core.held() - 1);
        queue.collect();
        REQUIRE(queue.gone.back() == expected);
        REQUIRE(queue.sound());
    }
    REQUIRE(queue.core.stats().evicted == messages);
}

TEST_CASE("evicted goes the oldest dead, then the oldest of the lowest priority [7.2]") {
    support::Exhaustive every;
    do { evict_all(every, 3); } while (every.next());
    for (std::uint64_t seed = 0; seed < 300; ++seed) {
        support::Seeded some{seed};
        evict_all(some, 12);
    }
}

TEST_CASE("room is made for as many as are asked for, and not for more [7.2] [4.12]") {
    for (std::size_t count = 0; count <= 4; ++count) {
        SoundCore queue{{.capacity = 4, .overflow = latchbox::Overflow::drop_oldest}};
        for (int i = 0; i < 3; ++i) { queue.publish(); }
        queue.core.make_room(count, queue.effects);
        queue.collect();
        CHECK(queue.core.stats().evicted == (count > 1 ? count - 1 : 0));
        CHECK(queue.core.held() + count <= 4);
    }
}

}  // namespace
