// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/reserving.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"
#include "support/failing_new.hpp"
#include "support/sound.hpp"

// What a publish takes beforehand, while it holds the lock of the queue.
namespace {

using namespace std::chrono_literals;
using latchbox::detail::Access;
using latchbox::detail::Effects;
using latchbox::detail::Needs;
using latchbox::detail::none;
using latchbox::detail::Slot;
using latchbox::detail::SlotList;
using Reserving = latchbox::detail::Reserving<int, latchbox::SingleThread>;
using Shortage = latchbox::detail::QueueCore::Shortage;

struct Reserved {
    latchbox::ManualClock clock;
    latchbox::Broker<int, latchbox::SingleThread> broker{{.clock = &clock}};
    latchbox::Queue<int, latchbox::SingleThread> queue = broker.queue("queue");
    Reserving::Shell& shell = Access::shell(queue);

    ~Reserved() {
        support::check_sound(queue);
        CHECK(shell.core.reserved() == 0);
    }
    // Until nothing is lacking, as a publish does; how often something had to grow.
    int take(std::size_t count, const Needs& needs, SlotList& slots) {
        for (int grown = 0;; ++grown) {
            shell.mutex.lock();
            const Shortage lacking = Reserving::take_slots(shell, count, needs, slots);
            if (!lacking) {
                shell.mutex.unlock();
                return grown;
            }
            shell.grow(lacking);
        }
    }
    void withdraw(SlotList& slots) {
        latchbox::detail::Lock lock{shell.mutex};
        Reserving::withdraw(shell, slots);
        CHECK(slots.empty());
    }
};

TEST_CASE_FIXTURE(Reserved, "after many were in use at once, few slots go round") {
    constexpr int many = 1'000;
    constexpr std::size_t resting = Reserving::Shell::resting;
    std::vector<latchbox::Delivery<int, latchbox::SingleThread>> held;
    const auto use = [&](int count) {
        std::set<Slot> used;
        for (int i = 0; i < count; ++i) {
            used.insert(latchbox::detail::IdParts::slot(queue.publish(i).value()));
            held.push_back(std::move(queue.try_fetch().value()));
            REQUIRE(held.back().ack());
            held.clear();
        }
        return used.size();
    };
    for (int i = 0; i < many; ++i) { queue.publish(i).value(); }
    for (int i = 0; i < many; ++i) {
        held.push_back(std::move(queue.try_fetch().value()));
        REQUIRE(held.back().ack());
        held.clear();
    }
    CHECK(shell.core.seen_count() == 2 * resting);
    CHECK(use(many) <= 2 * resting + 1);
    CHECK(shell.core.slot_count() == many);
    // Also if somebody keeps reading an old body.
    queue.publish(0).value();
    auto reader = std::move(queue.try_fetch().value());
    REQUIRE(reader.ack());
    CHECK(use(many) <= 4 * resting);
    CHECK(reader.body() == 0);
    CHECK(shell.core.slot_count() == many);
}

TEST_CASE("what messages need besides room: a history, a line for a key, room for a value [7.1]") {
    const latchbox::PublishOptions plain;
    CHECK_FALSE(Needs::of(plain, true).history);
    CHECK_FALSE(Needs::of(plain, true).line);
    CHECK_FALSE(Needs::of(plain, true).value);
    CHECK(Needs::of({.parents = {latchbox::MessageId{}}}, true).history);
    CHECK(Needs::of({.delay = 1s}, true).history);
    CHECK(Needs::of({.expires_in = 1s}, true).history);
    CHECK_FALSE(Needs::of({.priority = 9}, true).history);
    const Needs keyed = Needs::of({.key = "k"}, true);
    CHECK(keyed.history);
    CHECK(keyed.line);
    const Needs valued = Needs::of({.dedup = "v"}, true);
    CHECK(valued.value);
    CHECK_FALSE(valued.history);
    CHECK_FALSE(Needs::of({.dedup = "v"}, false).value);
}

TEST_CASE_FIXTURE(Reserved, "as many slots as messages, each another, with all they need [4.11]") {
    for (const Needs needs :
         {Needs{}, Needs{.history = true}, Needs{true, true}, Needs{true, true, true}}) {
        for (const std::size_t count : {0U, 1U, 5U, 40U}) {
            SlotList slots;
            take(count, needs, slots);
            CHECK(slots.size() == count);
            CHECK(shell.core.reserved() == count);
            if (needs.history) { CHECK_FALSE(shell.core.of_histories(count)); }
            if (needs.line) { CHECK_FALSE(shell.core.of_lines()); }
            if (needs.value) { CHECK_FALSE(shell.core.of_values()); }
            withdraw(slots);
            CHECK(shell.core.reserved() == 0);
        }
    }
}

TEST_CASE_FIXTURE(Reserved, "what was taken before a shortage stays taken until it is withdrawn") {
    SlotList slots;
    CHECK(take(1, {}, slots) > 0);
    const std::size_t room = shell.core.records().room();
    {
        latchbox::detail::Lock lock{shell.mutex};
        CHECK(Reserving::take_slots(shell, room + 1, {}, slots));
    }
    CHECK(slots.size() == room);
    CHECK(shell.core.reserved() == room);
    CHECK(take(room + 1, {}, slots) > 0);
    CHECK(slots.size() == room + 1);
    withdraw(slots);
    CHECK(take(room + 1, {}, slots) == 0);
    withdraw(slots);
}

TEST_CASE_FIXTURE(Reserved, "what is promised to one is not there for another [4.11]") {
    const Needs needs{true, true};
    SlotList mine;
    take(3, needs, mine);
    {
        latchbox::detail::Lock lock{shell.mutex};
        Reserving::promise(shell, 3, needs);
    }
    SlotList others;
    take(5, needs, others);
    // Both have all they need now, whoever comes first.
    CHECK_FALSE(shell.core.of_histories(5));
    CHECK_FALSE(shell.core.of_lines());
    {
        latchbox::detail::Lock lock{shell.mutex};
        Reserving::redeem(shell, 3, needs);
    }
    CHECK_FALSE(shell.core.of_histories(8));
    withdraw(mine);
    withdraw(others);
}

TEST_CASE_FIXTURE(Reserved, "taking and giving back need no memory once it is there [4.11]") {
    const Needs needs{true, true};
    SlotList slots;
    take(20, needs, slots);
    withdraw(slots);
    std::uint64_t asked = 0;
    {
        const support::FailingNew count;
        take(20, needs, slots);
        withdraw(slots);
        asked = count.asked();
    }
    CHECK(asked == 0);
}

TEST_CASE_FIXTURE(Reserved, "slots that somebody still sees are left to him, and no more grow") {
    std::vector<latchbox::Delivery<int, latchbox::SingleThread>> held;
    std::size_t slots_of_three_rounds = 0;
    for (int round = 0; round < 200; ++round) {
        for (int i = 0; i < 20; ++i) { REQUIRE(queue.publish(i)); }
        // Those of the round before are let go of only now.
        held.clear();
        REQUIRE(queue.fetch_batch(held, 20).value() == 20);
        REQUIRE(queue.ack_batch(held) == 20);
        for (int i = 0; i < 20; ++i) { CHECK(held[static_cast<std::size_t>(i)].body() == i); }
        if (round == 2) { slots_of_three_rounds = shell.core.slot_count(); }
    }
    CHECK(shell.core.slot_count() <= 2 * slots_of_three_rounds);
}

TEST_CASE_FIXTURE(Reserved, "nor do they where some are kept for good among those let go of late") {
    std::vector<latchbox::Delivery<int, latchbox::SingleThread>> kept;
    std::vector<latchbox::Delivery<int, latchbox::SingleThread>> held;
    for (int round = 0; round < 300; ++round) {
        for (int i = 0; i < 20; ++i) { REQUIRE(queue.publish(i)); }
        held.clear();
        REQUIRE(queue.fetch_batch(held, 20).value() == 20);
        REQUIRE(queue.ack_batch(held) == 20);
        // The first few rounds leave one each.
        if (round >= 40) { continue; }
        kept.push_back(std::move(held.back()));
        held.pop_back();
    }
    for (const auto& one : kept) { CHECK(one.body() == 19); }
    // 40 kept, 20 let go of late, 20 in the queue; and as much again.
    CHECK(shell.core.slot_count() <= 2 * (40 + 20 + 20));
}

}  // namespace
