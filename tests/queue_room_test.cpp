// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/queue_room.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "support/bare_core.hpp"
#include "support/failing_new.hpp"

// The memory of a core: what is lacking is named, made apart, and taken over as it is. That of
// single kinds is in queue_core_test.cpp.
namespace {

using latchbox::Overflow;
using latchbox::detail::none;
using latchbox::detail::QueueCore;
using support::at;
using support::ns;
using support::Slot;
using support::SoundCore;
using Shortage = QueueCore::Shortage;

TEST_CASE("nothing lacking takes no memory, and changes nothing") {
    SoundCore queue;
    CHECK_FALSE(Shortage{});
    std::uint64_t asked = 0;
    {
        const support::FailingNew count;
        auto growth = queue.core.make({});
        queue.core.adopt(growth);
        asked = count.asked();
    }
    CHECK(asked == 0);
    CHECK(queue.core.of_records());
    for (const Shortage& one :
         {Shortage{.records = 1}, Shortage{.histories = 1}, Shortage{.lines = 1},
          Shortage{.outcomes = 1}, Shortage{.values = 1}}) {
        CHECK(one);
    }
}

TEST_CASE("what is made has the sizes that were named, all else is empty") {
    for (const auto overflow : {Overflow::reject, Overflow::drop_oldest}) {
        SoundCore queue{{.overflow = overflow}};
        const auto growth = queue.core.make({.histories = 6, .values = 9});
        CHECK(growth.records.room() == 0);
        CHECK(growth.histories.room() == 6);
        CHECK(growth.values.entries.size() == 9);
        CHECK(growth.values.buckets.size() == 9);
        // Only where the oldest is dropped somebody has to know which that is.
        std::uint64_t asked_for_all = 0;
        std::uint64_t asked_for_values = 0;
        {
            const support::FailingNew count;
            const auto all = queue.core.make({.histories = 6});
            asked_for_all = count.asked();
        }
        {
            const support::FailingNew count;
            const auto none_of_them = queue.core.make({.values = 6});
            asked_for_values = count.asked();
        }
        CHECK(asked_for_values == 2);
        CHECK(asked_for_all > asked_for_values);
    }
}

TEST_CASE("room for a value is named alone, and promised room is kept [7.1] [4.11]") {
    SoundCore queue;
    const Shortage lacking = queue.core.of_values();
    CHECK(lacking.values > 0);
    CHECK((lacking.records | lacking.histories | lacking.lines | lacking.outcomes) == 0);
    queue.grow(lacking);
    CHECK_FALSE(queue.core.of_values());
    std::size_t promised = 0;
    for (; !queue.core.of_values(); ++promised) { queue.core.promise_values(1); }
    CHECK(promised == lacking.values);
    queue.grow(queue.core.of_values());
    CHECK_FALSE(queue.core.of_values());
    queue.core.redeem_values(promised);
    for (std::size_t i = 0; i < promised; ++i) {
        REQUIRE_FALSE(queue.core.of_values());
        std::string value = std::to_string(i);
        const Slot slot = queue.publish();
        queue.core.stand_for(value, queue.number(slot), slot);
    }
    CHECK(queue.core.stats().dedup_forgotten == 0);
}

TEST_CASE("of values no more than the bound are wanted, whatever was promised [4.12]") {
    SoundCore queue;
    queue.core.promise_values(1'000'000);
    CHECK(queue.core.of_values().values == latchbox::detail::DedupWindow::most);
    queue.grow(queue.core.of_values());
    CHECK_FALSE(queue.core.of_values());
    queue.core.redeem_values(1'000'000);
}

TEST_CASE("a core that grows in whatever state is the same core [4.11]") {
    SoundCore queue{{.lease = ns(10), .overflow = Overflow::drop_oldest, .outcome_memory = 100}};
    std::string value = "v";
    for (int i = 0; i < 6; ++i) {
        const std::string key(static_cast<std::size_t>(i % 3), 'k');
        queue.publish(key, at(0), {.delay = ns(i % 2), .life = ns(30 + i)});
    }
    const Slot leased = queue.fetch();
    queue.core.reject(queue.fetch(), "no", queue.effects);
    queue.collect();
    queue.grow(queue.core.of_values());
    queue.core.stand_for(value, queue.number(leased), leased);

    const auto before = queue.order();
    const auto stats = queue.core.stats();
    const auto due = queue.core.next_due();
    const std::size_t slots = queue.core.slot_count();
    queue.grow({.records = 64, .histories = 64, .lines = 64, .outcomes = 64, .values = 64});
    // Less than there is changes nothing.
    queue.grow({.records = 1, .histories = 1, .lines = 1, .outcomes = 1, .values = 1});
    CHECK(queue.sound());
    CHECK(queue.order() == before);
    CHECK(queue.core.stats() == stats);
    CHECK(queue.core.next_due() == due);
    CHECK(queue.core.slot_count() == slots);
    REQUIRE(queue.core.first_with("v", at(0)) != nullptr);
    CHECK(queue.core.first_with("v", at(0))->slot == leased);
    CHECK_FALSE(queue.core.of_histories(32));
    CHECK_FALSE(queue.core.of_lines());
    CHECK_FALSE(queue.core.of_outcomes(32));
    queue.pass(at(100));
    CHECK(queue.core.stats().expired > 0);
}

TEST_CASE("room grows so that a growing queue asks for it seldom [9]") {
    SoundCore queue{{.capacity = 10'000}, {.first_bits = 0}};
    int grown = 0;
    for (int i = 0; i < 5'000; ++i) {
        for (; queue.core.of_histories(1); ++grown) { queue.grow(queue.core.of_histories(1)); }
        queue.publish(at(0), {.delay = ns(1)});
    }
    CHECK(grown < 20);
    queue.core.purge(queue.effects);
    queue.collect();
}

TEST_CASE("only where the oldest is dropped there is an order of dropping [7.2]") {
    const SoundCore rejects;
    CHECK(rejects.core.make({.histories = 8}).evictable.heap.size() == 0);
    const SoundCore drops{{.overflow = Overflow::drop_oldest}};
    CHECK(drops.core.make({.histories = 8}).evictable.heap.size() >= 8);
}

}  // namespace
