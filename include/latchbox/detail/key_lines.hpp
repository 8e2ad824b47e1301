// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "latchbox/detail/array.hpp"
#include "latchbox/detail/ensure.hpp"
#include "latchbox/detail/table.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// The messages of one key stand in a line, and one of them at a time is active: it alone may be
// READY, DELAYED or LEASED. [5.7]
//
// Those that wait go in the order of their places. One held back by its parents holds up those that
// were published after it, but not one that was redriven: that has its place behind others which
// may be waiting for it, by however many parents. So a redriven one that is held back itself stands
// nowhere until its parents let it go, and a dead one nowhere; both are still members, so that they
// can stand in line again without memory.
//
// Lines are found by a hash of their keys. Links are those of the members' histories (`Ties`).
// Memory comes as a `Room`, made outside every lock, and a line's text with whoever opens it.
class KeyLines {
public:
    // In the order of places.
    struct List {
        Slot first = none;
        Slot last = none;
    };
    struct Line {
        std::string key = {};
        Slot active = none;
        List waiting;   // since they were published
        List returned;  // redriven, and not held back
        std::uint32_t members = 0;
        std::uint32_t next = none;  // in its bucket; the next free one while it has no members
    };
    struct Room {
        Array<Line> lines;
        Array<std::uint32_t> buckets;
    };

    // Whether that many more keys may come.
    [[nodiscard]] bool has_room(std::size_t more = 1) const noexcept {
        return more <= lines_.size() - in_use_;
    }
    [[nodiscard]] std::size_t room() const noexcept { return lines_.size(); }
    // May throw std::bad_alloc; needs no lock.
    [[nodiscard]] static Room make(std::size_t lines) {
        return {Array<Line>(lines), Array<std::uint32_t>(lines, none)};
    }
    // Takes the room if it is larger, and leaves the old memory in it.
    void adopt(Room& room) noexcept {
        if (room.lines.size() <= lines_.size()) { return; }
        for (std::size_t i = 0; i < used_; ++i) { std::swap(room.lines[i], lines_[i]); }
        lines_.swap(room.lines);
        buckets_.swap(room.buckets);
        for (std::uint32_t line = 0; line < used_; ++line) {
            if (lines_[line].members != 0) { put_in_bucket(line); }
        }
    }

    // `slot`, which is about to be published, becomes a member of the line of `key`, behind all. If
    // that line is new it takes `text`, which is the same, and leaves some old text in its place.
    void join(Table& table, Slot slot, std::string_view key, std::string& text) noexcept {
        std::uint32_t line = find(key);
        if (line == none) {
            ensure(has_room(), "a key without room");
            line = free_ != none ? std::exchange(free_, lines_[free_].next) : used_++;
            // Of a batch the first may have left the text here, and the line.
            if (lines_[line].key != key) { lines_[line].key.swap(text); }
            ++in_use_;
            put_in_bucket(line);
        }
        table.history(slot).ties.line = line;
        ++lines_[line].members;
        stand(table, slot, Ties::Stand::waiting);
        advance(table, line);
    }
    // A member that was redriven, and is not held back. Linear in those of them that come after it
    // in place: none, unless parents let them go in another order than they were redriven.
    void join_again(Table& table, Slot slot) noexcept {
        stand(table, slot, Ties::Stand::returned);
        advance(table, table.history(slot).ties.line);
    }
    // A member is not held back any more.
    void may_go(Table& table, Slot slot) noexcept {
        if (table.history(slot).ties.stand == Ties::Stand::out) {
            join_again(table, slot);
        } else {
            advance(table, table.history(slot).ties.line);
        }
    }
    // Closes the gap. Returns who has become active by that; or `none`.
    Slot step_out(Table& table, Slot slot) noexcept {
        Ties& ties = table.history(slot).ties;
        Line& line = lines_[ties.line];
        if (ties.stand == Ties::Stand::active) { line.active = none; }
        if (List* const list = list_of(line, ties.stand)) { unlink(table, *list, slot); }
        ties.stand = Ties::Stand::out;
        return advance(table, ties.line);
    }
    // No member any more; it must have stepped out. A line without members is free again.
    void leave(Table& table, Slot slot) noexcept {
        const std::uint32_t line = std::exchange(table.history(slot).ties.line, none);
        if (--lines_[line].members != 0) { return; }
        take_from_bucket(line);
        lines_[line].next = free_;
        free_ = line;
        --in_use_;
    }

    // How many stand before one that waits.
    [[nodiscard]] std::size_t before(const Table& table, Slot slot) const noexcept {
        const Ties& ties = table.history(slot).ties;
        if (ties.stand == Ties::Stand::out || ties.stand == Ties::Stand::active) { return 0; }
        const Line& line = lines_[ties.line];
        std::size_t count = line.active != none ? 1 : 0;
        for (const Slot first : {line.waiting.first, line.returned.first}) {
            for (Slot at = first; at != none && place(table, at) < place(table, slot);
                 at = table.history(at).ties.after) {
                ++count;
            }
        }
        return count;
    }
    [[nodiscard]] const Line& line(std::uint32_t at) const noexcept { return lines_[at]; }
    // How many members there are, if lines and links agree; else more than there can be.
    [[nodiscard]] std::size_t members(const Table& table) const noexcept {
        constexpr std::size_t broken = ~std::size_t{0};
        std::size_t members = 0;
        for (std::uint32_t line : buckets_) {
            for (; line != none; line = lines_[line].next) {
                if (!sound(table, line)) { return broken; }
                members += lines_[line].members;
            }
        }
        return members;
    }

private:
    static std::uint64_t place(const Table& table, Slot slot) noexcept {
        return table.place(slot).number;
    }
    static List* list_of(Line& line, Ties::Stand stand) noexcept {
        if (stand == Ties::Stand::waiting) { return &line.waiting; }
        return stand == Ties::Stand::returned ? &line.returned : nullptr;
    }
    // In the order of places: mostly at the end.
    void stand(Table& table, Slot slot, Ties::Stand stand) noexcept {
        Ties& ties = table.history(slot).ties;
        ensure(ties.stand == Ties::Stand::out, "standing in a line twice");
        List& list = *list_of(lines_[ties.line], stand);
        ties.stand = stand;
        ties.before = list.last;
        while (ties.before != none && place(table, slot) < place(table, ties.before)) {
            ties.before = table.history(ties.before).ties.before;
        }
        Slot& link = ties.before == none ? list.first : table.history(ties.before).ties.after;
        ties.after = std::exchange(link, slot);
        (ties.after == none ? list.last : table.history(ties.after).ties.before) = slot;
    }
    static void unlink(Table& table, List& list, Slot slot) noexcept {
        const Ties& ties = table.history(slot).ties;
        (ties.before == none ? list.first : table.history(ties.before).ties.after) = ties.after;
        (ties.after == none ? list.last : table.history(ties.after).ties.before) = ties.before;
    }
    // If nobody is active, makes who is next; returns that one, or `none`.
    Slot advance(Table& table, std::uint32_t at) noexcept {
        Line& line = lines_[at];
        if (line.active != none) { return none; }
        const Slot waiting = line.waiting.first;
        Slot next = line.returned.first;
        if (waiting != none && !table.history(waiting).ties.held_back &&
            (next == none || place(table, waiting) < place(table, next))) {
            next = waiting;
        }
        if (next == none) { return none; }
        Ties& ties = table.history(next).ties;
        unlink(table, *list_of(line, ties.stand), next);
        ties.stand = Ties::Stand::active;
        return line.active = next;
    }
    [[nodiscard]] bool sound(const Table& table, std::uint32_t at) const noexcept {
        const Line& line = lines_[at];
        if (line.members == 0) { return false; }
        if (line.active != none && !sound(table, at, line.active)) { return false; }
        return sound(table, at, line.waiting, Ties::Stand::waiting) &&
               sound(table, at, line.returned, Ties::Stand::returned);
    }
    static bool sound(const Table& table, std::uint32_t line, Slot active) noexcept {
        const Ties& ties = table.history(active).ties;
        return ties.line == line && ties.stand == Ties::Stand::active;
    }
    static bool sound(const Table& table, std::uint32_t line, const List& list,
                      Ties::Stand stand) noexcept {
        Slot before = none;
        for (Slot slot = list.first; slot != none; slot = table.history(slot).ties.after) {
            const Ties& ties = table.history(slot).ties;
            if (ties.line != line || ties.before != before || ties.stand != stand) { return false; }
            if (before != none && place(table, slot) < place(table, before)) { return false; }
            before = slot;
        }
        return before == list.last;
    }
    [[nodiscard]] std::uint32_t& bucket(std::string_view key) noexcept {
        return buckets_[std::hash<std::string_view>{}(key) % buckets_.size()];
    }
    [[nodiscard]] std::uint32_t find(std::string_view key) noexcept {
        ensure(!buckets_.empty(), "a key without room");
        std::uint32_t line = bucket(key);
        while (line != none && lines_[line].key != key) { line = lines_[line].next; }
        return line;
    }
    void put_in_bucket(std::uint32_t line) noexcept {
        std::uint32_t& first = bucket(lines_[line].key);
        lines_[line].next = first;
        first = line;
    }
    void take_from_bucket(std::uint32_t line) noexcept {
        std::uint32_t* link = &bucket(lines_[line].key);
        while (*link != line) { link = &lines_[*link].next; }
        *link = lines_[line].next;
    }

    std::uint32_t free_ = none;  // first of a chain through Line::next
    std::uint32_t used_ = 0;     // lines from here on were never used
    std::size_t in_use_ = 0;
    Array<Line> lines_;
    Array<std::uint32_t> buckets_;
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
