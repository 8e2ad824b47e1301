// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/queue_core.hpp"

#include <cstddef>
#include <type_traits>

#include <doctest/doctest.h>

#include "support/bare_core.hpp"

// What the core offers the shell around the transitions: room, slots, fencing, looking.
namespace {

using latchbox::detail::CoreStart;
using latchbox::detail::none;
using latchbox::detail::QueueCore;
using latchbox::detail::State;
using support::at;
using support::FromOne;
using support::NearTheEnd;
using support::ns;
using support::Slot;
using support::SoundCore;

static_assert(std::is_copy_constructible_v<QueueCore> && std::is_copy_assignable_v<QueueCore>);

TEST_CASE("a core holds exactly its capacity, reserved and promised room included [4.12]") {
    for (std::size_t capacity = 0; capacity < 5; ++capacity) {
        for (std::size_t held = 0; held <= capacity; ++held) {
            for (std::size_t promised = 0; promised + held <= capacity; ++promised) {
                SoundCore queue{{.capacity = capacity}};
                for (std::size_t i = 0; i < held; ++i) { REQUIRE(queue.publish() != none); }
                queue.core.promise(promised);
                for (std::size_t count = 0; count < 7; ++count) {
                    REQUIRE(queue.core.has_room(count) == (held + promised + count <= capacity));
                }
                REQUIRE(queue.core.held() == held);
                REQUIRE(queue.core.reserved() == promised);
                queue.core.redeem(promised);
            }
        }
    }
    SoundCore most{{.capacity = ~std::size_t{0}}};
    most.publish();
    CHECK(most.core.has_room(~std::size_t{0} - 1));
    CHECK_FALSE(most.core.has_room(~std::size_t{0}));
}

TEST_CASE("where the oldest is dropped only leases and reservations take room away [7.2]") {
    SoundCore queue{{.capacity = 3, .overflow = latchbox::Overflow::drop_oldest}};
    for (int i = 0; i < 3; ++i) { queue.publish(); }
    CHECK(queue.core.has_room(3));
    CHECK_FALSE(queue.core.has_room(4));
    const Slot leased = queue.fetch();
    CHECK(queue.core.has_room(2));
    CHECK_FALSE(queue.core.has_room(3));
    queue.core.promise(1);
    CHECK_FALSE(queue.core.has_room(2));
    queue.core.redeem(1);
    queue.core.ack(leased, queue.effects);
    queue.collect();
    CHECK(queue.core.has_room(3));
}

TEST_CASE("the slot freed last is used first, one passed over last") {
    SoundCore queue;
    for (int i = 0; i < 3; ++i) { queue.publish(); }
    const Slot first = queue.fetch();
    const Slot second = queue.fetch();
    for (const Slot slot : {first, second}) { queue.core.ack(slot, queue.effects); }
    queue.collect();
    CHECK(queue.core.vacant() == second);
    queue.core.pass_over();
    CHECK(queue.core.vacant() == first);
    CHECK(queue.publish() == first);
    CHECK(queue.publish() == second);
    CHECK(queue.core.vacant() == none);
}

TEST_CASE_TEMPLATE("a reservation withdrawn leaves nothing behind [4.11]", Start, FromOne,
                   NearTheEnd) {
    const CoreStart start = Start::start;
    SoundCore queue{{.capacity = 1}, start};
    const Slot slot = queue.reserve();
    CHECK(queue.state(slot) == State::reserved);
    CHECK(queue.core.reserved() == 1);
    CHECK_FALSE(queue.core.has_room(1));
    queue.core.withdraw(slot);
    CHECK(queue.core.has_room(1));
    CHECK(queue.core.stats() == latchbox::QueueStats{});
    const Slot next = queue.publish();
    CHECK(next == slot);
    CHECK(queue.number(next) == start.number);
}

TEST_CASE("room grows as chunks do, and never for histories that are still free") {
    for (unsigned first_bits = 0; first_bits < 4; ++first_bits) {
        SoundCore queue{{}, {.first_bits = first_bits}};
        std::size_t expected = 0;
        for (int rounds = 0; rounds < 5; ++rounds) {
            expected += expected + (std::size_t{1} << first_bits);
            CHECK(queue.core.of_records().records == expected);
            CHECK(queue.core.of_records().histories == 0);
            queue.grow(queue.core.of_records());
            CHECK(queue.core.records().size() == expected);
        }
    }
    SoundCore queue;
    CHECK_FALSE(queue.core.of_histories(0));
    for (std::size_t wanted = 1; wanted < 40; ++wanted) {
        while (const auto lacking = queue.core.of_histories(wanted)) {
            CHECK(lacking.records == 0);
            CHECK(lacking.histories < 4 * wanted + 4);
            queue.grow(lacking);
        }
    }
}

TEST_CASE("a history promised to one who waits is not given to another") {
    SoundCore queue;
    queue.grow(queue.core.of_histories(1));
    std::size_t free = 1;
    while (!queue.core.of_histories(free + 1)) { ++free; }
    queue.core.promise_histories(1);
    CHECK(queue.core.of_histories(free));
    CHECK_FALSE(queue.core.of_histories(free - 1));
    queue.core.redeem_histories(1);
    CHECK_FALSE(queue.core.of_histories(free));
}

TEST_CASE_TEMPLATE("only the live lease holds, and only what was issued was issued [4.2]", Start,
                   FromOne, NearTheEnd) {
    const CoreStart start = Start::start;
    SoundCore queue{{}, start};
    const Slot slot = queue.publish();
    CHECK_FALSE(queue.core.holds(slot, start.lease));
    CHECK_FALSE(queue.core.issued(slot, start.lease, start.number));
    REQUIRE(queue.fetch() == slot);
    CHECK(queue.core.holds(slot, start.lease));
    CHECK_FALSE(queue.core.holds(slot, start.lease + 1));
    CHECK_FALSE(queue.core.holds(slot + 1, start.lease));
    CHECK_FALSE(queue.core.holds(none, start.lease));
    queue.core.release(slot, at(0), queue.effects);
    CHECK_FALSE(queue.core.holds(slot, start.lease));
    REQUIRE(queue.fetch() == slot);
    CHECK_FALSE(queue.core.holds(slot, start.lease));
    CHECK(queue.core.holds(slot, start.lease + 1));
    CHECK(queue.core.issued(slot, start.lease, start.number));
    CHECK_FALSE(queue.core.issued(slot, start.lease - 1, start.number));
    CHECK_FALSE(queue.core.issued(slot, start.lease + 2, start.number));
    CHECK_FALSE(queue.core.issued(slot, start.lease, start.number - 1));
    CHECK_FALSE(queue.core.issued(slot, start.lease, start.number + 1));
    CHECK_FALSE(queue.core.issued(slot + 1, start.lease, start.number));
}

TEST_CASE_TEMPLATE("a message is found by its number for as long as it is held", Start, FromOne,
                   NearTheEnd) {
    const CoreStart start = Start::start;
    SoundCore queue{{}, start};
    const Slot slot = queue.publish();
    CHECK(queue.core.find(slot, start.number) == slot);
    CHECK(queue.core.find(slot, start.number + 1) == none);
    CHECK(queue.core.find(slot + 1, start.number) == none);
    CHECK(queue.core.find(slot, 0) == none);
    queue.fetch();
    CHECK(queue.core.find(slot, start.number) == slot);
    queue.core.ack(slot, queue.effects);
    CHECK(queue.core.find(slot, start.number) == none);
    queue.collect();
    CHECK(queue.core.find(slot, start.number) == none);
    CHECK(queue.core.find(slot, 0) == none);
    REQUIRE(queue.publish() == slot);
    CHECK(queue.core.find(slot, start.number) == none);
    CHECK(queue.core.find(slot, start.number + 1) == slot);
}

TEST_CASE("a core is idle when only dead letters are left") {
    SoundCore queue;
    CHECK(queue.core.idle());
    const Slot slot = queue.publish();
    CHECK_FALSE(queue.core.idle());
    queue.fetch();
    CHECK_FALSE(queue.core.idle());
    queue.core.reject(slot, {}, queue.effects);
    CHECK(queue.core.idle());
    CHECK(queue.core.held() == 1);
}

TEST_CASE("refused messages are counted, and nothing else changes") {
    SoundCore queue{{.capacity = 0}};
    queue.core.refuse(3);
    CHECK(queue.core.stats().refused == 3);
    CHECK(queue.core.stats().accepted == 0);
}

TEST_CASE("it tells when something became due earlier than all before [4.3]") {
    SoundCore queue{{.lease = ns(10)}};
    static_cast<void>(queue.core.due_earlier());
    queue.publish(at(0));
    CHECK_FALSE(queue.core.due_earlier());
    CHECK(queue.core.next_due().at.is_never());
    queue.publish(at(0), {.delay = ns(7)});
    CHECK(queue.core.due_earlier());
    CHECK(queue.core.next_due().at == at(7));
    queue.fetch(at(0));
    CHECK(queue.core.next_due().at == at(7));
    queue.publish(at(0), {.life = ns(5)});
    CHECK(queue.core.due_earlier());
    CHECK_FALSE(queue.core.due_earlier());
    CHECK(queue.core.next_due().at == at(5));
}

}  // namespace
