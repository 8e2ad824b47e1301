// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/key_lines.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "support/made.hpp"
#include "latchbox/testing/choices.hpp"

// Lines beside naive members, who are asked for each rule of [5.7] word by word.
namespace {

using latchbox::detail::KeyLines;
using latchbox::detail::none;
using latchbox::detail::Slot;
using latchbox::detail::Table;
using latchbox::detail::Ties;

struct Member {
    std::string key;
    std::uint64_t place;
    bool held_back = false;
    bool redriven = false;
    bool dead = false;
    bool active = false;

    // One that was redriven and is held back stands nowhere.
    [[nodiscard]] bool stands() const { return !dead && !(redriven && held_back); }
};

struct World {
    Table table;
    KeyLines lines;
    std::map<Slot, Member> members = {};
    std::uint64_t next_place = 1;

    explicit World(std::size_t slots, std::size_t rooms = 0) {
        table.records = support::made<latchbox::detail::Record>(slots);
        table.histories = latchbox::detail::Growing<latchbox::detail::History>(slots);
        for (Slot slot = 0; slot < slots; ++slot) { table.give_history(slot); }
        if (rooms != 0) { grow(rooms); }
    }
    void grow(std::size_t rooms) {
        auto room = KeyLines::make(rooms);
        lines.adopt(room);
    }
    [[nodiscard]] const Ties& ties(Slot slot) const { return table.history(slot).ties; }
    [[nodiscard]] Slot active(Slot slot) const { return lines.line(ties(slot).line).active; }
    [[nodiscard]] std::size_t before(Slot slot) const { return lines.before(table, slot); }

    // At most one is active; if none is, the lowest place goes among the first of those never
    // redriven, unless it is held back, and all that were redriven and are not held back.
    Slot naive_advance(const std::string& key) {
        Slot oldest = none;
        Slot next = none;
        for (const auto& [slot, m] : members) {
            if (m.key != key || !m.stands()) { continue; }
            if (m.active) { return none; }
            const bool lower = oldest == none || m.place < members.at(oldest).place;
            if (!m.redriven && lower) { oldest = slot; }
        }
        for (const auto& [slot, m] : members) {
            if (m.key != key || !m.stands() || m.held_back) { continue; }
            if (!m.redriven && slot != oldest) { continue; }
            if (next == none || m.place < members.at(next).place) { next = slot; }
        }
        if (next != none) { members.at(next).active = true; }
        return next;
    }
    [[nodiscard]] std::size_t naive_before(Slot slot) const {
        const Member& one = members.at(slot);
        std::size_t count = 0;
        if (!one.stands() || one.active) { return 0; }
        for (const auto& [other, m] : members) {
            const bool before = m.active || m.place < one.place;
            count += other != slot && m.key == one.key && m.stands() && before ? 1U : 0U;
        }
        return count;
    }

    void join(Slot slot, const std::string& key, bool held_back = false) {
        std::string text = key;
        members[slot] = {key, next_place, held_back};
        table.history(slot).place = next_place++;
        table.history(slot).ties.held_back = held_back;
        lines.join(table, slot, key, text);
        naive_advance(key);
    }
    // Its parents do so.
    void let_go(Slot slot) {
        members.at(slot).held_back = table.history(slot).ties.held_back = false;
        lines.may_go(table, slot);
        naive_advance(members.at(slot).key);
    }
    // It dies or leaves; whose turn it is then.
    Slot step_out(Slot slot) {
        Member& m = members.at(slot);
        m.dead = true, m.active = false;
        const Slot next = lines.step_out(table, slot);
        REQUIRE(next == naive_advance(m.key));
        return next;
    }
    void redrive(Slot slot, bool held_back = false) {
        Member& m = members.at(slot);
        m.dead = false, m.redriven = true, m.held_back = held_back, m.place = next_place;
        table.history(slot).place = next_place++;
        table.history(slot).ties.held_back = held_back;
        if (held_back) { return; }
        lines.join_again(table, slot);
        naive_advance(m.key);
    }
    void leave(Slot slot) {
        step_out(slot);
        lines.leave(table, slot);
        members.erase(slot);
    }
    // One step of anything that a message with a key may do.
    void step(latchbox::testing::Choices& choices, std::uint32_t of_keys) {
        const Slot slot = choices.pick(static_cast<std::uint32_t>(table.records.size()));
        if (members.count(slot) == 0) {
            if (!lines.has_room()) { grow(2 * lines.room() + 1); }
            const bool held_back = choices.pick(2) == 1;
            return join(slot, std::string(1 + choices.pick(of_keys), 'k'), held_back);
        }
        const Member& m = members.at(slot);
        const std::uint32_t choice = choices.pick(m.dead || m.held_back ? 3 : 2);
        if (choice == 0) { return leave(slot); }
        if (m.dead) { return redrive(slot, choice == 2); }
        if (choice == 2) { return let_go(slot); }
        step_out(slot);
    }
    void check() const {
        REQUIRE(lines.members(table) == members.size());
        std::map<std::string, int> open;
        for (const auto& [slot, m] : members) {
            ++open[m.key];
            REQUIRE(lines.line(ties(slot).line).key == m.key);
            REQUIRE((ties(slot).stand == Ties::Stand::active) == m.active);
            REQUIRE((ties(slot).stand != Ties::Stand::out) == m.stands());
            REQUIRE((active(slot) == slot) == m.active);
            REQUIRE(before(slot) == naive_before(slot));
        }
        REQUIRE(lines.has_room(lines.room() - open.size()));
        REQUIRE_FALSE(lines.has_room(lines.room() - open.size() + 1));
    }
};

TEST_CASE("of each key one is active, the others in the order in which they came [5.7]") {
    World world{6, 2};
    for (Slot slot = 0; slot < 6; ++slot) { world.join(slot, slot % 2 == 0 ? "tea" : "cake"); }
    for (Slot slot = 0; slot < 6; ++slot) {
        CHECK(world.active(slot) == slot % 2);
        CHECK(world.before(slot) == slot / 2);
    }
    CHECK_FALSE(world.lines.has_room());
    world.check();
    CHECK(world.step_out(0) == 2);
    CHECK(world.step_out(2) == 4);
    CHECK(world.step_out(4) == none);
    world.check();
}

TEST_CASE("whoever leaves closes the gap, and tells whose turn it is by that [5.7]") {
    for (Slot leaves = 0; leaves < 4; ++leaves) {
        World world{4, 1};
        for (Slot slot = 0; slot < 4; ++slot) { world.join(slot, "tea"); }
        CHECK(world.step_out(leaves) == (leaves == 0 ? 1 : none));
        world.check();
        world.leave(leaves);
        world.check();
    }
}

TEST_CASE("one that its parents hold back holds up those published after it [5.7]") {
    World world{4, 1};
    world.join(0, "tea", true);
    world.join(1, "tea");
    CHECK(world.active(1) == none);
    CHECK(world.before(1) == 1);
    SUBCASE("until they let it go") {
        world.let_go(0);
        CHECK(world.active(1) == 0);
    }
    SUBCASE("until it dies") { CHECK(world.step_out(0) == 1); }
    SUBCASE("but not one that was redriven: the first may be waiting for that") {
        world.join(2, "tea");
        world.join(3, "tea");
        CHECK(world.step_out(3) == none);
        world.redrive(3);
        CHECK(world.active(3) == 3);
        CHECK(world.before(0) == 1);
        CHECK(world.before(2) == 3);
        // The first is let go meanwhile, and it is its turn after that.
        world.let_go(0);
        CHECK(world.active(0) == 3);
        CHECK(world.step_out(3) == 0);
    }
    world.check();
}

TEST_CASE("a redriven one joins the end, once its parents let it go [5.7] [5.6]") {
    World world{3, 1};
    for (Slot slot = 0; slot < 3; ++slot) { world.join(slot, "tea"); }
    CHECK(world.step_out(0) == 1);
    world.redrive(0, true);
    CHECK(world.before(0) == 0);
    CHECK(world.step_out(1) == 2);
    world.redrive(1);
    CHECK(world.before(1) == 1);
    world.let_go(0);
    // Its place is that of its redrive, before the other's.
    CHECK(world.before(0) == 1);
    CHECK(world.before(1) == 2);
    CHECK(world.step_out(2) == 0);
    CHECK(world.step_out(0) == 1);
    world.check();
    CHECK_FALSE(world.lines.has_room());
}

TEST_CASE("a line without members is free for another key, and its text goes with who opens it") {
    World world{2, 1};
    world.join(0, "tea");
    world.leave(0);
    std::string text = "a much longer key, beyond what a string keeps within itself";
    const std::string key = text;
    const char* const memory = text.data();
    world.lines.join(world.table, 1, key, text);
    CHECK(world.lines.line(world.ties(1).line).key == key);
    CHECK(world.lines.line(world.ties(1).line).key.data() == memory);
    CHECK(text == "tea");
    std::string unused = "x";
    world.lines.join(world.table, 0, key, unused);
    CHECK(unused == "x");
    CHECK(world.lines.members(world.table) == 2);
}

TEST_CASE("one text serves several of a new key, wherever those before have gone [5.7]") {
    // A batch: the first takes the text, and the line may be free again before the second comes.
    for (const bool first_stays : {false, true}) {
        World world{3, 3};
        std::string text = "tea";
        world.lines.join(world.table, 0, "tea", text);
        if (!first_stays) {
            world.lines.step_out(world.table, 0);
            world.lines.leave(world.table, 0);
        }
        for (const Slot slot : {1U, 2U}) {
            world.lines.join(world.table, slot, "tea", text);
            CHECK(world.lines.line(world.ties(slot).line).key == "tea");
        }
        CHECK(world.ties(1).line == world.ties(2).line);
        std::string later = "tea";
        if (!first_stays) { world.lines.join(world.table, 0, "tea", later); }
        CHECK(world.ties(0).line == world.ties(1).line);
        CHECK(world.lines.members(world.table) == 3);
    }
}

TEST_CASE("keys are opaque bytes: those that differ anywhere are different [5.7]") {
    const std::vector<std::string> keys = {
        std::string(1, '\0'),  std::string(2, '\0'), "a", "A", "a ",
        std::string(300, 'x'), std::string(301, 'x')};
    World world{2 * 7, 7};
    for (Slot slot = 0; slot < 14; ++slot) { world.join(slot, keys[slot % 7]); }
    world.check();
    for (Slot slot = 0; slot < 14; ++slot) { CHECK(world.active(slot) == slot % 7); }
}

TEST_CASE("room that is not larger is left alone, a larger one keeps who stands where") {
    World world{8, 2};
    for (Slot slot = 0; slot < 4; ++slot) { world.join(slot, slot % 2 == 0 ? "tea" : "cake"); }
    auto same = KeyLines::make(2);
    world.lines.adopt(same);
    CHECK(same.lines.size() == 2);
    CHECK(same.lines[0].key.empty());
    world.leave(1);
    world.leave(3);
    world.grow(5);
    world.check();
    // The free line is found again.
    for (Slot slot = 4; slot < 8; ++slot) { world.join(slot, std::string(slot, 'k')); }
    world.check();
    CHECK_FALSE(world.lines.has_room());
}

TEST_CASE("every sequence of five steps of three messages and two keys agrees [5.7]") {
    latchbox::testing::Exhaustive choices;
    do {
        World world{3};
        for (int i = 0; i < 5; ++i) { world.step(choices, 2); }
        world.check();
    } while (choices.next());
}

TEST_CASE("long walks agree, with room growing under them [5.7]") {
    for (std::uint64_t seed = 0; seed < 10; ++seed) {
        latchbox::testing::Seeded choices{seed};
        World world{30};
        for (int i = 0; i < 1'500; ++i) {
            world.step(choices, 1 + static_cast<std::uint32_t>(seed) * 3);
            world.check();
        }
    }
}

TEST_CASE("links and counts that do not agree are found") {
    World world{5, 2};
    for (Slot slot = 0; slot < 5; ++slot) { world.join(slot, "tea"); }
    for (const Slot slot : {3U, 4U}) {
        world.step_out(slot);
        world.redrive(slot);
    }
    for (const Slot slot : {1U, 2U, 3U, 4U}) {
        const auto broken_by = [&](auto Ties::*what, auto value) {
            Ties& ties = world.table.history(slot).ties;
            const auto before = std::exchange(ties.*what, value);
            const bool broken = world.lines.members(world.table) != 5;
            ties.*what = before;
            REQUIRE(world.lines.members(world.table) == 5);
            return broken;
        };
        CHECK(broken_by(&Ties::before, 0U));
        CHECK(broken_by(&Ties::after, slot % 2 == 1 ? none : 0U));
        CHECK(broken_by(&Ties::line, 1U));
        CHECK(broken_by(&Ties::stand, Ties::Stand::out));
    }
    std::swap(world.table.history(1).place, world.table.history(2).place);
    CHECK(world.lines.members(world.table) != 5);
}

TEST_CASE("a copy has lines of its own") {
    World world{3, 1};
    for (Slot slot = 0; slot < 3; ++slot) { world.join(slot, "tea"); }
    World copy{world};
    copy.leave(0);
    copy.check();
    world.check();
    CHECK(world.active(0) == 0);
    CHECK(copy.active(1) == 1);
}

TEST_CASE("of one redriven and one published later the first is the redriven one [5.7]") {
    World world{4, 1};
    world.join(0, "tea");
    world.join(1, "tea");
    world.step_out(1);
    world.redrive(1);
    world.join(2, "tea");
    CHECK(world.step_out(0) == 1);
    CHECK(world.step_out(1) == 2);
    world.check();
}

TEST_CASE("redriven ones whose parents let them go in another order stand by their places [5.7]") {
    World world{5, 1};
    for (Slot slot = 0; slot < 4; ++slot) { world.join(slot, "tea"); }
    for (const Slot slot : {1U, 2U, 3U}) { world.step_out(slot); }
    for (const Slot slot : {1U, 2U, 3U}) { world.redrive(slot, true); }
    for (const Slot slot : {3U, 1U, 2U}) {
        world.let_go(slot);
        world.check();
    }
    world.step_out(0);
    world.redrive(0);  // behind them all
    world.check();
    for (const Slot slot : {1U, 2U, 3U}) { CHECK(world.step_out(slot) == (slot + 1) % 4); }
    world.check();
}

}  // namespace
