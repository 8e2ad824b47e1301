// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/queue_core.hpp"

#include <algorithm>
#include <cstddef>
#include <string>
#include <type_traits>
#include <vector>

#include <doctest/doctest.h>

#include "support/bare_core.hpp"
#include "support/failing_new.hpp"

// What the core offers the shell around the transitions: room, slots, fencing, looking.
namespace {

using latchbox::detail::CoreStart;
using latchbox::detail::none;
using latchbox::detail::QueueCore;
using latchbox::detail::State;
using latchbox::detail::Verdict;
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
    CHECK(queue.core.options().capacity == 3);
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

TEST_CASE("of the vacant slots the first is used first") {
    SoundCore queue;
    for (int i = 0; i < 3; ++i) { queue.publish(); }
    const Slot first = queue.fetch();
    const Slot second = queue.fetch();
    for (const Slot slot : {second, first}) { queue.core.ack(slot, queue.effects); }
    queue.collect();
    CHECK(first < second);
    CHECK(queue.core.vacant() == first);
    CHECK(queue.publish() == first);
    CHECK(queue.publish() == second);
    CHECK(queue.core.vacant() == none);
}

TEST_CASE("slots whose bodies were still seen stand apart, and come round one after the other") {
    SoundCore queue;
    std::vector<Slot> slots;
    for (int i = 0; i < 4; ++i) { slots.push_back(queue.publish()); }
    for (const Slot slot : slots) {
        queue.fetch();
        queue.core.ack(slot, queue.effects);
        queue.gone.push_back(queue.effects.gone.pop_front(queue.core.records()));
        queue.core.vacate(slot, slot != slots[3]);
    }
    CHECK(queue.core.vacant() == slots[3]);
    CHECK(queue.core.seen() == slots[0]);
    queue.core.pass_over();
    CHECK(queue.core.seen() == slots[1]);
    CHECK(queue.core.reserve_seen() == slots[1]);
    CHECK(queue.state(slots[1]) == State::reserved);
    CHECK(queue.core.seen() == slots[2]);
    queue.core.pass_over();
    CHECK(queue.core.seen() == slots[0]);
    queue.core.withdraw(slots[1]);
    CHECK(queue.core.vacant() == slots[1]);
    CHECK(queue.sound());
}

TEST_CASE("a slot whose body is seen no more is used before all that are, and before others") {
    SoundCore queue;
    for (int i = 0; i < 3; ++i) { queue.publish(); }
    for (int i = 0; i < 3; ++i) {
        const Slot slot = queue.fetch();
        queue.core.ack(slot, queue.effects);
        queue.gone.push_back(queue.effects.gone.pop_front(queue.core.records()));
        queue.core.vacate(slot, i != 2);
    }
    REQUIRE(queue.core.seen_count() == 2);
    const Slot first = queue.core.seen();
    queue.core.unsee();
    CHECK(queue.core.seen_count() == 1);
    CHECK(queue.core.vacant() == first);
    // There is one less to look at.
    queue.core.pass_over();
    CHECK_FALSE(queue.core.may_look());
    CHECK(queue.sound());
}

TEST_CASE("a queue says what fits as it is, evicting or not [4.12]") {
    latchbox::detail::QueueCore core{{.capacity = 2, .overflow = latchbox::Overflow::drop_oldest}};
    CHECK(core.fits(2));
    CHECK_FALSE(core.fits(3));
    core.promise(1);
    CHECK(core.fits(1));
    CHECK_FALSE(core.fits(2));
    core.promise(1);
    CHECK(core.fits(0));
    CHECK_FALSE(core.fits(1));
    core.promise(1);
    CHECK_FALSE(core.fits(0));
    core.redeem(3);
}

TEST_CASE("each slot whose body was still seen pays for one look at those passed over") {
    SoundCore queue;
    CHECK_FALSE(queue.core.may_look());
    for (int i = 0; i < 5; ++i) { queue.publish(); }
    for (int i = 0; i < 5; ++i) {
        const Slot slot = queue.fetch();
        queue.core.ack(slot, queue.effects);
        queue.gone.push_back(queue.effects.gone.pop_front(queue.core.records()));
        queue.core.vacate(slot, i < 3);
        CHECK(queue.core.may_look());
    }
    for (int i = 0; i < 3; ++i) {
        CHECK(queue.core.may_look());
        queue.core.pass_over();
    }
    // Whoever looks on now does so for nothing.
    CHECK_FALSE(queue.core.may_look());
    queue.core.pass_over();
    CHECK_FALSE(queue.core.may_look());
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
            CHECK(queue.core.records().room() == expected);
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
    CHECK_FALSE(queue.core.granted(slot, start.lease, start.number));
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
    CHECK(queue.core.granted(slot, start.lease, start.number));
    CHECK_FALSE(queue.core.granted(slot, start.lease - 1, start.number));
    CHECK_FALSE(queue.core.granted(slot, start.lease + 2, start.number));
    CHECK_FALSE(queue.core.granted(slot, start.lease, start.number - 1));
    CHECK_FALSE(queue.core.granted(slot, start.lease, start.number + 1));
    CHECK_FALSE(queue.core.granted(slot + 1, start.lease, start.number));
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

TEST_CASE("room for a key is made before it is needed, and promised room is kept [4.11] [4.12]") {
    SoundCore queue;
    const auto lacking = queue.core.of_lines();
    CHECK(lacking.lines > 0);
    CHECK((lacking.records | lacking.histories | lacking.outcomes) == 0);
    queue.grow(lacking);
    CHECK_FALSE(queue.core.of_lines());
    for (std::size_t i = 0; i < lacking.lines; ++i) {
        CHECK_FALSE(queue.core.of_lines());
        queue.publish(std::string(i + 1, 'k'));
    }
    CHECK(queue.core.of_lines().lines > lacking.lines);
    queue.grow(queue.core.of_lines());
    std::size_t promised = 0;
    for (; !queue.core.of_lines(); ++promised) { queue.core.promise_lines(1); }
    CHECK(promised > 0);
    queue.grow(queue.core.of_lines());
    CHECK_FALSE(queue.core.of_lines());
    queue.core.redeem_lines(promised);
    queue.core.purge(queue.effects);
    queue.collect();
    CHECK_FALSE(queue.core.of_lines());
}

TEST_CASE("memory for failures grows with what is held, and never beyond the bound [5.2] [4.12]") {
    for (const std::size_t memory : {0U, 1U, 7U, 40U, 1'000U}) {
        SoundCore queue{{.outcome_memory = memory}};
        for (std::size_t i = 0; i < 60; ++i) {
            queue.publish();
            CHECK(queue.core.issued().room() <= memory);
            CHECK_FALSE(queue.core.of_outcomes(0));
        }
        const std::size_t room = queue.core.issued().room();
        CHECK(room >= std::min<std::size_t>(memory, 60));
        queue.core.purge(queue.effects);
        queue.collect();
        CHECK(queue.core.issued().room() == room);
        CHECK(queue.core.issued().size() == std::min<std::size_t>(memory, 60));
    }
}

TEST_CASE("failing, dying and being let go need no memory, with keys and latches neither [4.11]") {
    SoundCore queue{{.capacity = 40,
                     .overflow = latchbox::Overflow::drop_oldest,
                     .max_failures = 1,
                     .dead_capacity = 4}};
    std::vector<Slot> children;
    for (std::uint32_t i = 0; i < 40; ++i) {
        const std::string key(i % 5, 'k');
        const bool child = i % 3 == 0;
        const auto verdict = child ? Verdict::wait : Verdict::go;
        const Slot slot = queue.publish(
            key, at(0),
            {.delay = ns(i % 2), .life = ns(20 + i), .wait = child ? i : none, .verdict = verdict});
        queue.watch(slot, i);
        if (child) { children.push_back(slot); }
    }
    queue.noted.reserve(100);
    queue.gone.reserve(100);
    std::uint64_t asked = 0;
    {
        const support::FailingNew count;
        for (std::size_t i = 0; i < children.size(); ++i) {
            const auto verdict = i % 2 == 0 ? Verdict::die : Verdict::go;
            queue.core.judge(children[i], verdict, {}, at(0), queue.effects);
            queue.collect();
        }
        queue.pass(at(1));
        for (int i = 0; i < 6; ++i) {
            const Slot slot = queue.core.lease(at(1));
            if (i == 3) { queue.core.ack(slot, queue.effects); }
            if (i < 3) { queue.core.fail(slot, "broken", at(1), queue.effects); }
            queue.collect();
        }
        queue.core.redrive(queue.core.first_dead(), at(1), true);
        queue.collect();
        queue.core.make_room(20, queue.effects);
        queue.collect();
        queue.pass(at(45));
        queue.core.purge(queue.effects);
        queue.collect();
        asked = count.asked();
    }
    CHECK(asked == 0);
    CHECK(queue.core.stats().evicted > 0);
    CHECK(queue.core.stats().expired > 0);
}

TEST_CASE("whoever is ready knows how many are delivered before him [5.9]") {
    SoundCore queue;
    std::vector<Slot> slots;
    for (const int priority : {1, 0, 1, 9, 0, 1}) {
        slots.push_back(queue.publish(at(0), {.priority = static_cast<std::uint8_t>(priority)}));
    }
    const Slot child = queue.publish_child(7, at(0), {.priority = 1});
    slots.push_back(queue.publish(at(0), {.priority = 1}));
    queue.core.judge(child, Verdict::go, {}, at(0), queue.effects);
    slots.push_back(child);
    const Slot first = queue.fetch();
    CHECK(first == slots[3]);
    queue.core.release(first, at(0), queue.effects);
    const std::vector<Slot> order = queue.order();
    CHECK(order.size() == slots.size());
    for (std::size_t i = 0; i < order.size(); ++i) { CHECK(queue.core.ahead(order[i]) == i); }
}

TEST_CASE("blocked messages count as held, and are listed; they keep a core from idling [4.1]") {
    SoundCore queue{{.capacity = 3}};
    const Slot first = queue.publish_child(7);
    const Slot second = queue.publish_child(8);
    queue.publish("tea");
    CHECK_FALSE(queue.core.has_room(1));
    CHECK(queue.core.held() == 3);
    CHECK(queue.core.in(State::blocked) == 2);
    CHECK(queue.core.first_blocked() == first);
    CHECK(queue.core.next_listed(first) == second);
    CHECK(queue.core.next_listed(second) == none);
    queue.core.purge(queue.effects);
    queue.collect();
    CHECK(queue.core.idle());
    CHECK(queue.core.first_blocked() == none);
}

TEST_CASE("a blocked message is found by its number, and its life by time [4.3]") {
    SoundCore queue;
    const Slot slot = queue.publish_child(7, at(0), {.delay = ns(3), .life = ns(8)});
    CHECK(queue.core.find(slot, queue.number(slot)) == slot);
    CHECK(queue.core.due_earlier());
    CHECK(queue.core.next_due().at == at(8));
    CHECK(queue.core.next_due().kind == latchbox::detail::Due::life);
    queue.core.judge(slot, Verdict::go, {}, at(0), queue.effects);
    CHECK(queue.core.due_earlier());
    CHECK(queue.core.next_due().at == at(3));
}

TEST_CASE("time that was seen does not go back, and judges delays of who is let go [4.3]") {
    SoundCore queue;
    CHECK(queue.core.see(at(7)) == at(7));
    CHECK(queue.core.see(at(5)) == at(7));
    const Slot slot = queue.publish_child(7, at(5), {.delay = ns(2)});
    CHECK(queue.core.record(slot).at == at(9));
    queue.core.judge(slot, Verdict::go, {}, at(6), queue.effects);
    CHECK(queue.state(slot) == State::delayed);
    CHECK(queue.pass(at(9)) == 1);
}

// --- copies of topics' messages ------------------------------------------------------------------

// A core that topics feed: a copy comes to a slot that was reserved before, room or not.
struct FedCore : SoundCore {
    explicit FedCore(const latchbox::QueueOptions& options)
        : SoundCore{options, {.first_bits = 0}, true} {}

    // The slot, or `none` if the copy was dropped.
    Slot feed(std::uint8_t priority = 0) {
        const Slot slot = reserve();
        const bool admitted = core.admit(slot, effects);
        if (admitted) { core.accept_plain(slot, priority, at(0), effects); }
        if (!admitted) { gone.push_back(none); }
        collect();
        return admitted ? slot : none;
    }
    // Those that were published long ago, from `number` on; they may still have to wait. The slots
    // of those for whom there was room.
    std::vector<Slot> replay(std::uint64_t number, std::size_t count = 1, bool waits = false) {
        std::vector<Slot> slots;
        const std::size_t room = core.room_to_replay(count);
        while (core.of_histories(room)) { grow(core.of_histories(room)); }
        core.drop_copies(count - room);
        gone.resize(gone.size() + count - room, none);
        for (std::size_t i = count - room; i < count; ++i) {
            latchbox::detail::Wishes wishes{.number = number + i};
            if (waits) { wishes.wait = 70, wishes.verdict = Verdict::wait; }
            slots.push_back(reserve());
            core.accept(slots.back(), wishes, at(0), effects);
        }
        collect();
        return slots;
    }
    void reject(Slot slot) {
        REQUIRE(fetch() == slot);
        core.reject(slot, {}, effects);
        collect();
    }
};
using Slots = std::vector<Slot>;

TEST_CASE("a copy that finds no room drives out the dead, then the oldest, never a lease [6.4]") {
    FedCore queue{{.capacity = 3, .overflow = latchbox::Overflow::drop_oldest}};
    CHECK(queue.core.drops_copies());
    const Slot leased = queue.feed();
    REQUIRE(queue.fetch() == leased);
    const Slot dead = queue.feed();
    queue.reject(dead);
    const Slot ready = queue.feed();
    REQUIRE(queue.gone.empty());
    queue.feed();
    CHECK(queue.gone == Slots{dead});
    queue.feed();
    CHECK(queue.gone == Slots{dead, ready});
    CHECK(queue.core.stats().evicted == 2);
    CHECK(queue.core.held() == 3);
    CHECK(queue.state(leased) == State::leased);
}

TEST_CASE("where only leases are left the new copy is dropped, and counted as evicted [6.4]") {
    for (std::size_t capacity = 0; capacity < 3; ++capacity) {
        FedCore queue{{.capacity = capacity, .overflow = latchbox::Overflow::drop_oldest}};
        for (std::size_t i = 0; i < capacity; ++i) {
            REQUIRE(queue.feed() != none);
            queue.fetch();
        }
        CHECK(queue.feed() == none);
        CHECK(queue.core.stats().accepted == capacity + 1);
        CHECK(queue.core.stats().evicted == 1);
        CHECK(queue.core.held() == capacity);
        CHECK(queue.core.reserved() == 0);
    }
}

TEST_CASE("where the newest is dropped nothing else is, and its slot is free again [6.4]") {
    FedCore queue{{.capacity = 2, .overflow = latchbox::Overflow::drop_newest}};
    CHECK(queue.core.drops_copies());
    const Slots kept{queue.feed(), queue.feed(9)};
    for (int i = 0; i < 3; ++i) { CHECK(queue.feed(9) == none); }
    CHECK(queue.core.stats().accepted == 5);
    CHECK(queue.core.stats().evicted == 3);
    CHECK(queue.order() == Slots{kept[1], kept[0]});
    CHECK(queue.core.slot_count() == 3);
}

TEST_CASE("a copy whose room was asked for before is admitted, and drives out nobody [6.4]") {
    for (const auto overflow : {latchbox::Overflow::reject, latchbox::Overflow::block}) {
        FedCore queue{{.capacity = 2, .overflow = overflow}};
        CHECK_FALSE(queue.core.drops_copies());
        CHECK(queue.feed() != none);
        CHECK(queue.feed() != none);
        CHECK_FALSE(queue.core.has_room(1));
        // One that has to be accepted was given room where there was none.
        CHECK(queue.feed() != none);
        CHECK(queue.core.stats().evicted == 0);
        queue.core.cancel(queue.core.first_ready(), queue.effects);
        queue.collect();
    }
}

constexpr latchbox::Overflow policies[] = {
    latchbox::Overflow::reject, latchbox::Overflow::drop_oldest, latchbox::Overflow::drop_newest,
    latchbox::Overflow::block};

TEST_CASE("of what is replayed the newest have room, the others count as evicted [6.2] [6.4]") {
    for (const bool waits : {false, true}) {
        for (const auto overflow : policies) {
            CAPTURE(static_cast<int>(overflow));
            for (std::size_t capacity = 0; capacity < 6; ++capacity) {
                FedCore queue{{.capacity = capacity, .overflow = overflow}};
                const std::uint64_t first = queue.core.draw_before(100);
                const Slots slots = queue.replay(first, 4, waits);
                REQUIRE(slots.size() == std::min<std::size_t>(capacity, 4));
                for (std::size_t i = 0; i < slots.size(); ++i) {
                    CHECK(queue.number(slots[i]) == first + 4 - slots.size() + i);
                }
                CHECK(queue.core.held() == slots.size());
                CHECK(queue.core.stats().accepted == 4);
                CHECK(queue.core.stats().evicted == 4 - slots.size());
                CHECK(queue.order() == (waits ? Slots{} : slots));
            }
        }
    }
}

TEST_CASE("what is replayed comes before what was published meanwhile, and evicts none [6.2]") {
    for (const auto overflow : policies) {
        CAPTURE(static_cast<int>(overflow));
        FedCore queue{{.capacity = 3, .overflow = overflow}};
        const std::uint64_t first = queue.core.draw_before(100);
        const Slot live = queue.feed();
        CHECK(queue.number(live) == first + 100);
        const Slots replayed = queue.replay(first, 5);
        REQUIRE(replayed.size() == 2);
        CHECK(queue.order() == Slots{replayed[0], replayed[1], live});
        CHECK(queue.number(live) == first + 100);
        CHECK(queue.core.stats().evicted == 3);
    }
}

TEST_CASE("what is replayed takes no room that somebody reserved [6.4] [4.12]") {
    for (const auto overflow : policies) {
        FedCore queue{{.capacity = 1, .overflow = overflow}};
        const std::uint64_t first = queue.core.draw_before(100);
        const Slot reserved = queue.reserve();  // by a publish that has not come to its end
        // Where copies are dropped that has no room yet, and looks for it at its end.
        CHECK(queue.replay(first).size() == (queue.core.drops_copies() ? 1 : 0));
        const bool admitted = queue.core.admit(reserved, queue.effects);
        CHECK(admitted == (overflow != latchbox::Overflow::drop_newest));
        if (admitted) { queue.core.accept_plain(reserved, 0, at(0), queue.effects); }
        if (!admitted) { queue.gone.push_back(none); }
        queue.collect();
        CHECK(queue.core.held() == 1);
        CHECK(queue.core.stats().accepted == 2);
    }
}

TEST_CASE("copies are told of, what is replayed is not, and a queue's messages are none [5.3]") {
    using latchbox::detail::Told;
    FedCore queue{{}};
    const std::uint64_t first = queue.core.draw_before(9);
    CHECK(queue.core.record(queue.feed()).told == Told::pending);
    CHECK(queue.core.record(queue.replay(first)[0]).told == Told::apart);
    SoundCore plain;
    CHECK(plain.core.record(plain.publish()).told == Told::apart);
}

TEST_CASE("each death and redrive of a copy is noted, though nobody asked for its latch [5.3]") {
    using latchbox::LatchState;
    FedCore queue{{}};
    const Slot slot = queue.feed();
    CHECK(queue.noted.empty());
    queue.reject(slot);
    queue.core.redrive(slot, at(0));
    queue.collect();
    REQUIRE(queue.noted.size() == 2);
    CHECK(queue.noted[0].slot == slot);
    CHECK(queue.noted[0].state == LatchState::dead);
    CHECK(queue.noted[1].slot == slot);
    CHECK(queue.noted[1].state == LatchState::pending);
    for (const auto& noted : queue.noted) { CHECK(noted.latch == none); }
}

TEST_CASE("a copy that dies and leaves in one step is named only among those who left [5.3]") {
    FedCore queue{{.dead_capacity = 0}};
    const Slot slot = queue.feed();
    queue.fetch();
    queue.core.reject(slot, {}, queue.effects);
    CHECK(queue.core.record(slot).failed == latchbox::Cause::purged);
    queue.collect();
    REQUIRE(queue.noted.size() == 1);
    CHECK(queue.noted[0].slot == none);
    CHECK(queue.gone == Slots{slot});
}

TEST_CASE("of a copy that left it is known how it failed, if that harms its message [5.3]") {
    using latchbox::Cause;
    const auto failed = [](const auto& leave) {
        FedCore queue{{.capacity = 1, .overflow = latchbox::Overflow::drop_oldest}};
        const Slot slot = queue.feed();
        leave(queue, slot);
        CHECK(queue.state(slot) == State::vacant);
        const Cause cause = queue.core.record(slot).failed;
        queue.collect();
        return cause;
    };
    CHECK(failed([](FedCore& queue, Slot slot) {
              queue.fetch();
              queue.core.ack(slot, queue.effects);
          }) == Cause::none);
    CHECK(failed([](FedCore& queue, Slot slot) { queue.core.cancel(slot, queue.effects); }) ==
          Cause::cancelled);
    CHECK(failed([](FedCore& queue, Slot) { queue.core.purge(queue.effects); }) == Cause::purged);
    CHECK(failed([](FedCore& queue, Slot slot) {
              queue.reject(slot);
              queue.core.take_dead(slot, queue.effects);
          }) == Cause::purged);
    CHECK(failed([](FedCore& queue, Slot) { queue.core.make_room(1, queue.effects); }) ==
          Cause::none);
    CHECK(failed([](FedCore& queue, Slot) { queue.core.end(queue.effects); }) == Cause::none);
    CHECK(failed([](FedCore& queue, Slot slot) {
              queue.fetch();
              queue.core.end(queue.effects);
              queue.core.release(slot, at(0), queue.effects);
          }) == Cause::none);
}

TEST_CASE("a queue that topics feed remembers no failures of its own: its shelf does [5.2]") {
    FedCore queue{{.outcome_memory = 1'000}};
    CHECK_FALSE(queue.core.of_outcomes(1'000'000));
    const Slot slot = queue.feed();
    const std::uint64_t number = queue.number(slot);
    queue.core.cancel(slot, queue.effects);
    queue.collect();
    CHECK(queue.core.issued().past(number).state == latchbox::MessageState::completed);
}

// --- values ------------------------------------------------------------------------------------

// One that stands for a value.
Slot stand_for(SoundCore& queue, std::string value, latchbox::Instant now = at(0)) {
    const Slot slot = queue.publish(now);
    while (queue.core.of_values()) { queue.grow(queue.core.of_values()); }
    queue.core.stand_for(value, queue.number(slot), slot);
    return slot;
}

TEST_CASE("a message stands for its value while it is held and not dead, and completed [7.1]") {
    SoundCore queue{{.max_failures = 1, .dedup_window = ns(100)}};
    const Slot slot = stand_for(queue, "v");
    const std::uint64_t number = queue.number(slot);
    const auto stands = [&] {
        const auto* const first = queue.core.first_with("v", at(0));
        return first != nullptr && first->number == number && first->slot == slot;
    };
    CHECK(stands());
    CHECK(queue.core.first_with("w", at(0)) == nullptr);
    queue.fetch();
    CHECK(stands());
    SUBCASE("acked") {
        queue.core.ack(slot, queue.effects);
        queue.collect();
        CHECK(stands());
        // Whoever uses its slot now is not it.
        CHECK(queue.publish() == slot);
        CHECK(stands());
    }
    SUBCASE("dead, redriven, purged") {
        queue.core.reject(slot, "no", queue.effects);
        queue.collect();
        CHECK_FALSE(stands());
        queue.core.redrive(slot, at(0), true);
        queue.collect();
        CHECK(queue.core.first_with("v", at(0)) != nullptr);
        queue.core.purge(queue.effects);
        queue.collect();
        CHECK(queue.core.first_with("v", at(0)) == nullptr);
    }
}

TEST_CASE("its window counts from when it was accepted, and none keeps no value [7.1]") {
    SoundCore queue{{.dedup_window = ns(5)}};
    stand_for(queue, "v", at(3));
    CHECK(queue.core.first_with("v", at(7)) != nullptr);
    CHECK(queue.core.first_with("v", at(8)) == nullptr);
    queue.core.repeat();
    CHECK(queue.core.stats().deduplicated == 1);
    CHECK(queue.core.stats().accepted == 1);
}

TEST_CASE("what a failure forgotten may have been does not stand for a value [7.1] [5.2]") {
    SoundCore queue{{.dedup_window = ns(100), .outcome_memory = 0}};
    stand_for(queue, "v");
    CHECK(queue.core.first_with("v", at(0)) != nullptr);
    queue.core.purge(queue.effects);
    queue.collect();
    CHECK(queue.core.first_with("v", at(0)) == nullptr);
}

TEST_CASE("room that leases give up counts for who comes with their acks [7.3] [4.12]") {
    for (const auto overflow : {latchbox::Overflow::reject, latchbox::Overflow::drop_oldest}) {
        const bool drops = overflow == latchbox::Overflow::drop_oldest;
        SoundCore queue{{.capacity = 3, .overflow = overflow}};
        for (int i = 0; i < 3; ++i) { queue.publish(); }
        for (int i = 0; i < 2; ++i) { queue.fetch(); }
        for (std::size_t leaving = 0; leaving <= 2; ++leaving) {
            for (std::size_t count = 0; count <= 4; ++count) {
                const std::size_t room = leaving + (drops ? 1 : 0);
                CHECK(queue.core.has_room(count, leaving) == (count <= room));
            }
        }
        CHECK(queue.core.has_room(0));
    }
}

// --- watches -------------------------------------------------------------------------------------

TEST_CASE_TEMPLATE("who watches a lease is told at its end, whichever that is, and once [7.7]",
                   Start, FromOne, NearTheEnd) {
    for (int way = 0; way < 7; ++way) {
        CAPTURE(way);
        SoundCore queue{{.lease = ns(10)}, Start::start};
        latchbox::detail::LeaseWatch watch;
        const Slot slot = queue.publish();
        queue.fetch();
        queue.core.watch_lease(slot, watch);
        CHECK(queue.core.history(slot).watch == &watch);
        // Extended it is the same lease.
        CHECK(queue.core.extend(slot, at(20)) == at(20));
        CHECK_FALSE(queue.core.has_noted());
        switch (way) {
            case 0: queue.core.ack(slot, queue.effects); break;
            case 1: queue.core.release(slot, at(0), queue.effects); break;
            case 2: queue.core.requeue(slot, ns(5), at(0), queue.effects); break;
            case 3: queue.core.fail(slot, "no", at(0), queue.effects); break;
            case 4: queue.core.reject(slot, "no", queue.effects); break;
            case 5: queue.core.take_back(slot, at(0), queue.effects); break;
            default: CHECK(queue.pass(at(20)) > 0); break;
        }
        queue.collect();
        std::size_t told = 0;
        for (const auto& noted : queue.noted) { told += noted.watch == &watch ? 1U : 0U; }
        CHECK(told == 1);
        CHECK(queue.core.unwatch(slot) == nullptr);
    }
}

TEST_CASE("a watch that was taken away is told nothing, and an unwatched lease has none [7.7]") {
    SoundCore queue;
    latchbox::detail::LeaseWatch watch;
    const Slot slot = queue.publish();
    CHECK(queue.core.unwatch(slot) == nullptr);
    queue.fetch();
    CHECK(queue.core.unwatch(slot) == nullptr);
    queue.core.watch_lease(slot, watch);
    CHECK(queue.core.unwatch(slot) == &watch);
    CHECK(queue.core.unwatch(slot) == nullptr);
    queue.core.ack(slot, queue.effects);
    CHECK_FALSE(queue.core.has_noted());
    queue.collect();
}

TEST_CASE("one that is handed out for the first time lacks no history, though none is free") {
    SoundCore queue;
    queue.grow(queue.core.of_histories(1));
    std::vector<Slot> slots;
    while (!queue.core.of_histories(1)) {
        queue.publish();
        slots.push_back(queue.fetch());
    }
    CHECK_FALSE(queue.core.has_history(slots.front()));
    for (const Slot slot : slots) { CHECK_FALSE(queue.core.of_history(slot)); }
    // And they all come back.
    for (const Slot slot : slots) { queue.core.requeue(slot, {}, at(0), queue.effects); }
    for (const Slot slot : slots) { CHECK(queue.core.has_history(slot)); }
    CHECK(queue.sound());
}

TEST_CASE("one that has a history lacks none, though there is no other free") {
    SoundCore queue;
    queue.grow(queue.core.of_histories(1));
    std::vector<Slot> slots;
    while (!queue.core.of_histories(1)) {
        slots.push_back(queue.publish());
        queue.watch(slots.back(), 5);
    }
    for (const Slot slot : slots) { CHECK_FALSE(queue.core.of_history(slot)); }
    const Slot plain = queue.publish();
    CHECK(queue.core.of_history(plain));
    queue.core.purge(queue.effects);
    queue.collect();
}

TEST_CASE("whose number or slot is nobody's is not found") {
    SoundCore queue;
    const Slot slot = queue.publish();
    const Slot reserved = queue.reserve();
    CHECK(queue.core.find(slot, queue.number(slot)) == slot);
    CHECK(queue.core.find(reserved, 0) == none);
    CHECK(queue.core.find(9'999, queue.number(slot)) == none);
    CHECK(queue.core.find(none, queue.number(slot)) == none);
    queue.core.withdraw(reserved);
    CHECK(queue.core.find(reserved, 0) == none);
}

TEST_CASE("where more is promised than fits nothing can be replayed [6.2]") {
    support::BareCore queue{{.capacity = 2, .overflow = latchbox::Overflow::reject}, {}, true};
    CHECK(queue.core.room_to_replay(1) == 1);
    CHECK(queue.core.room_to_replay(5) == 2);
    queue.core.promise(2);
    CHECK(queue.core.room_to_replay(5) == 0);
    queue.core.promise(1);
    CHECK(queue.core.room_to_replay(5) == 0);
    queue.core.redeem(3);
}

}  // namespace
