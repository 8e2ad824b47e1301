// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "latchbox/detail/backoff.hpp"
#include "latchbox/detail/core_memory.hpp"
#include "latchbox/detail/effects.hpp"
#include "latchbox/options.hpp"
#include "latchbox/states.hpp"
#include "latchbox/stats.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// The state machine of one queue. Knows slots, places and instants; no `Msg`, no lock, no clock.
// Copyable: a test can visit every state of it. One that is `fed` by topics holds copies of their
// messages: these have no outcome of their own, the shell tells their messages what became of them.
//
//   reserve            -> RESERVED                         room is taken, nothing accepted yet
//   RESERVED  accept   -> READY | DELAYED | BLOCKED        draws the number of id and place; DEAD
//                                                          if a parent has failed already
//   RESERVED  withdraw -> vacant
//   RESERVED  admit    -> vacant                           a copy for which there is no room
//   BLOCKED   parents completed, first of its key -> READY | DELAYED, at the place of its number
//   BLOCKED   a parent is dead or failed -> DEAD           by its own policy
//   DELAYED   due      -> READY                            at the place of its number
//   READY     lease    -> LEASED                           the first in place
//   READY, DELAYED, LEASED  hold late    -> LEASED, by one whose lease was over; by profile alone
//   LEASED    ack      -> gone: completed
//   LEASED    release  -> READY                            at its old place
//   LEASED    requeue, abandon           -> READY | DELAYED, at the back
//   LEASED    fail, lease ran out        -> READY | DELAYED (backoff), at the back; DEAD if no
//                                           tries are left
//   LEASED    reject                     -> DEAD
//   READY, DELAYED, BLOCKED  life over   -> gone: expired  a LEASED one is judged as it comes back
//   DEAD      redrive                    -> READY | BLOCKED, at the back
//   not LEASED  cancel, purge, evict     -> gone: failed
//
// A message is put where it belongs by `put_in`, taken out of there by `take_out`, returns from a
// consumer by `come_back`, dies by `bury`, and leaves for good by `leave`. The last two, and
// `redrive`, are where its latch changes: they note it for the shell, which sets the latch.
// Whether parents are done is not known here; `judge` is told.
//
// Nothing here allocates but `make`, which needs no lock: room for what a call may need is made
// before (`Shortage`), and settling and time need none at all. [4.11]
class QueueCore {
public:
    explicit QueueCore(const QueueOptions& options, const CoreStart& start = {}, bool fed = false,
                       const Profile& profile = {}) noexcept;

    // --- room, made outside every lock -----------------------------------------------------
    using Growth = detail::Growth;
    using Shortage = detail::Shortage;
    [[nodiscard]] Growth make(const Shortage& shortage) const;  // may throw std::bad_alloc
    void adopt(Growth& growth) noexcept;
    [[nodiscard]] Shortage of_records() const noexcept {
        return {.records = grown(table_.records.room())};
    }
    [[nodiscard]] Shortage of_histories(std::size_t wanted) const noexcept;
    [[nodiscard]] Shortage of_history(Slot slot) const noexcept {
        const bool promised = table_.records[slot].state == State::leased;
        return promised || table_.has_history(slot) ? Shortage{} : of_histories(1);
    }
    [[nodiscard]] Shortage of_lines() const noexcept;
    // So that whatever is held can fail without memory.
    [[nodiscard]] Shortage of_outcomes(std::size_t wanted) const noexcept;
    [[nodiscard]] bool has_outcomes(std::size_t wanted) const noexcept {
        return issued_.has_room(slot_count() + wanted);
    }
    [[nodiscard]] Shortage of_values() const noexcept;
    [[nodiscard]] std::size_t grown(std::size_t size) const noexcept {  // as `Chunks` grow
        return 2 * size + (std::size_t{1} << start_.first_bits);
    }

    // --- accepting -------------------------------------------------------------------------
    // Whether `count` more fit as it is.
    [[nodiscard]] bool fits(std::size_t count, std::size_t leaving = 0) const noexcept {
        const std::size_t taken = held() - leaving + reserved_;
        return taken <= options_.capacity && count <= options_.capacity - taken;
    }
    // Whether `count` more fit once so many leased ones are gone; evicting, if that is the policy.
    [[nodiscard]] bool has_room(std::size_t count, std::size_t leaving = 0) const noexcept;
    // Evicts until `count` more fit, or nothing is left but leases; if that is the policy.
    void make_room(std::size_t count, Effects& effects) noexcept;
    [[nodiscard]] Slot vacant() const noexcept { return vacant_.first(); }  // the first, or `none`
    // The first whose body somebody still saw as its message left: if he still does, `pass_over`.
    [[nodiscard]] Slot seen() const noexcept { return seen_.front(); }
    void pass_over() noexcept {
        looks_ -= looks_ != 0 ? 1U : 0U;
        seen_.push_back(table_.records, seen_.pop_front(table_.records));
    }
    // Each slot that came to be seen pays for one more look at those that are passed over.
    [[nodiscard]] bool may_look() const noexcept { return looks_ != 0; }
    void unsee() noexcept;  // the first of them is seen no more
    [[nodiscard]] std::size_t seen_count() const noexcept { return seen_.size(); }
    Slot reserve_seen() noexcept;
    [[nodiscard]] bool has_vacant() const noexcept { return !vacant_.empty(); }
    [[nodiscard]] bool has_fresh() const noexcept { return slot_count() < table_.records.room(); }
    Slot reserve_vacant() noexcept { return reserve(vacant_.take_first()); }
    Slot reserve_fresh() noexcept;
    void withdraw(Slot slot, bool seen = false) noexcept;  // as `vacate`
    // A copy is about to be accepted. Makes room for it as the policy has it, or else drops it,
    // which counts as evicted: false. [6.4]
    bool admit(Slot slot, Effects& effects) noexcept;
    // How many of `wanted` copies can be replayed without taking anybody's room. The others, the
    // oldest, are dropped, and counted so. [6.2]
    [[nodiscard]] std::size_t room_to_replay(std::size_t wanted) const noexcept;
    void drop_copies(std::size_t count) noexcept {
        accepted_ += count;
        stats_.evicted += count;
    }
    // Whether copies are dropped where there is no room, so that nobody has to ask for it before.
    [[nodiscard]] bool drops_copies() const noexcept {
        return options_.overflow == Overflow::drop_oldest ||
               options_.overflow == Overflow::drop_newest;
    }
    // Numbers for copies that come later, and before all others. Returns the first.
    std::uint64_t draw_before(std::uint64_t count) noexcept { return issued_.draw(count); }
    // Returns the number of its id.
    std::uint64_t accept(Slot slot, const Wishes& wishes, Instant now, Effects& effects) noexcept;
    // One that has no wish but its priority: it needs no history, and is not tied to others.
    std::uint64_t accept_plain(Slot slot, std::uint8_t priority, Instant now,
                               Effects& effects) noexcept;
    // Room for a publisher who waited for it, until he comes and reserves; he then gives it back.
    void promise(std::size_t count) noexcept { reserved_ += count; }
    void redeem(std::size_t count) noexcept { reserved_ -= count; }
    // Histories, for who is handed out for the first time, a fetch that waits, an unlocked publish.
    void promise_histories(std::size_t count) noexcept { promised_histories_ += count; }
    void redeem_histories(std::size_t count) noexcept { promised_histories_ -= count; }
    // A line, or room for a value, for a publish that has let go of the lock.
    void promise_lines(std::size_t count) noexcept { promised_lines_ += count; }
    void redeem_lines(std::size_t count) noexcept { promised_lines_ -= count; }
    void promise_values(std::size_t count) noexcept { promised_values_ += count; }
    void redeem_values(std::size_t count) noexcept { promised_values_ -= count; }
    void refuse(std::size_t count) noexcept { stats_.refused += count; }
    // The message that stands for all that are published with this value now, or nullptr. [7.1]
    [[nodiscard]] const DedupWindow::Named* first_with(std::string_view value,
                                                       Instant now) const noexcept;
    void repeat() noexcept { ++stats_.deduplicated; }
    // One accepted now stands for its value, and takes the text. Needs room for it.
    void stand_for(std::string& value, std::uint64_t number, Slot slot) noexcept;

    // --- delivering ------------------------------------------------------------------------
    // Its parents, which have been asked for since it was BLOCKED, have spoken. [5.4] [5.5]
    void judge(Slot slot, Verdict verdict, const MessageId& parent, Instant now,
               Effects& effects) noexcept;
    // Time does not go back. Whoever calls has done what was due by then.
    [[gnu::always_inline]] Instant see(Instant now) noexcept { return now_ = later(now_, now); }
    [[nodiscard]] bool has_ready() const noexcept { return !ready_.empty(); }
    [[nodiscard]] Slot first_ready() const noexcept { return ready_.front(table_); }
    // Needs a free history unless the first has one.
    Slot lease(Instant from) noexcept;
    // His again whose lease was over, where the profile lets him settle late.
    bool hold_late(Slot slot, std::uint64_t lease, std::uint64_t number, Instant now) noexcept;
    // As if it had never been leased.
    void take_back(Slot slot, Instant now, Effects& effects) noexcept;

    // Whether the live lease of `slot` is this one.
    [[nodiscard]] bool holds(Slot slot, std::uint64_t lease) const noexcept;
    [[nodiscard]] bool granted(Slot slot, std::uint64_t lease, std::uint64_t number) const noexcept;

    // --- settling; the slot is LEASED --------------------------------------------------------
    void ack(Slot slot, Effects& effects) noexcept;
    void complete(Slot slot) noexcept;  // the same of one whose body is seen to by who calls
    void release(Slot slot, Instant now, Effects& effects) noexcept;
    void requeue(Slot slot, Duration delay, Instant now, Effects& effects) noexcept;
    void abandon(Slot slot, Instant now, Effects& effects) noexcept;
    void fail(Slot slot, std::string_view reason, Instant now, Effects& effects) noexcept;
    void reject(Slot slot, std::string_view reason, Effects& effects) noexcept;
    // To `until` if that is later; returns the deadline.
    Instant extend(Slot slot, Instant until) noexcept;

    // --- time --------------------------------------------------------------------------------
    // Does the first due thing if it comes before `limit`; false if there is none. Time changes a
    // queue here and nowhere else.
    bool step(const Due& limit, Effects& effects) noexcept;
    [[nodiscard]] Due next_due() const noexcept { return deadlines_.next_due(table_); }
    [[nodiscard]] Instant next_due_at() const noexcept { return deadlines_.next_due_at(table_); }
    // Whether something may have become due earlier than all before, since this was last asked.
    [[nodiscard]] bool due_earlier() noexcept { return deadlines_.news(); }

    // --- removing ----------------------------------------------------------------------------
    // The slot of the message with this number if the queue holds it, else `none`.
    [[nodiscard]] Slot find(Slot hint, std::uint64_t number) const noexcept;
    void cancel(Slot slot, Effects& effects) noexcept;
    // All that is READY, DELAYED or BLOCKED.
    std::size_t purge(Effects& effects) noexcept;
    std::size_t purge_dead(Effects& effects) noexcept;
    void take_dead(Slot slot, Effects& effects) noexcept;
    // To wait for its parents again if it is `held_back`.
    void redrive(Slot slot, Instant now, bool held_back = false) noexcept;
    // The queue ends: everything that is not leased leaves, a leased one as it comes back.
    void end(Effects& effects) noexcept;

    // Gives back the slot of a message in `Effects::gone`; whether somebody still sees its body.
    void vacate(Slot slot, bool seen = false) noexcept;

    // --- latches -------------------------------------------------------------------------------
    // Somebody asked for the latch of `slot`; needs a free history unless it has one.
    void watch(Slot slot, std::uint32_t latch) noexcept;
    void forget_parents(Slot slot) noexcept { table_.history(slot).ties.wait = none; }
    // Whose latch has changed since the last call, and to what; whose wait is over, as it left; and
    // whose lease is, if somebody watches it.
    struct Noted {
        std::uint32_t latch;
        LatchState state;
        std::uint32_t left_wait;
        Slot slot;          // unless it left
        LeaseWatch* watch;  // whose lease is over
    };
    // Of one that is LEASED; `unwatch` is for when the queue ends first.
    void watch_lease(Slot slot, LeaseWatch& watch) noexcept { open_history(slot).watch = &watch; }
    [[nodiscard]] LeaseWatch* unwatch(Slot slot) noexcept;
    [[nodiscard]] bool has_noted() const noexcept { return first_noted_ != none; }
    Noted take_noted() noexcept;
    [[nodiscard]] LatchState latch_state(Slot slot) const noexcept;
    // Of a message that is held; `none` until somebody asked for it.
    [[nodiscard]] std::uint32_t latch(Slot of) const noexcept { return history(of).ties.latch; }
    [[nodiscard]] bool has_history(Slot slot) const noexcept { return table_.has_history(slot); }
    [[nodiscard]] const Ties& ties(Slot slot) const noexcept { return table_.history(slot).ties; }

    // --- looking -----------------------------------------------------------------------------
    [[nodiscard]] const QueueOptions& options() const noexcept { return options_; }
    [[nodiscard]] QueueStats stats() const noexcept;
    [[nodiscard]] std::size_t in(State state) const noexcept {
        return in_[static_cast<std::size_t>(state)];
    }
    [[nodiscard]] std::size_t held() const noexcept {
        return in(State::blocked) + in(State::delayed) + in(State::ready) + in(State::leased) +
               in(State::dead);
    }
    // Whether there is nothing left that a consumer could settle.
    [[nodiscard]] bool idle() const noexcept { return held() == in(State::dead); }
    [[nodiscard]] const Record& record(Slot slot) const noexcept { return table_.records[slot]; }
    // A blank one of a message that has none: its attempts are not there, but below.
    [[nodiscard]] const History& history(Slot slot) const noexcept {
        static constexpr History never_back;
        return table_.has_history(slot) ? table_.history(slot) : never_back;
    }
    // How often it was handed out.
    [[nodiscard]] std::uint32_t attempts(Slot slot) const noexcept;
    [[nodiscard]] Slot first_dead() const noexcept { return dead_.front(); }
    [[nodiscard]] Slot first_blocked() const noexcept { return blocked_.front(); }
    [[nodiscard]] Slot next_listed(Slot slot) const noexcept { return record(slot).links.next; }
    [[nodiscard]] Place place(Slot slot) const noexcept { return table_.place(slot); }
    // Of a READY one: how many are delivered before it. Linear in that.
    [[nodiscard]] std::size_t ahead(Slot slot) const noexcept {
        return ready_.before(table_, place(slot));
    }
    // How many of its key stand before it; and the key. Of one that has a line.
    [[nodiscard]] std::size_t ahead_in_line(Slot slot) const noexcept {
        return lines_.before(table_, slot);
    }
    [[nodiscard]] const std::string& key(Slot slot) const noexcept {
        return lines_.line(ties(slot).line).key;
    }
    [[nodiscard]] Issued& issued() noexcept { return issued_; }
    [[nodiscard]] std::size_t reserved() const noexcept { return reserved_; }
    // Slots from here on were never used.
    [[nodiscard]] Slot slot_count() const noexcept { return table_.records.size(); }
    [[nodiscard]] Growing<Record>& records() noexcept { return table_.records; }
    // The first broken invariant in words, or nullptr.
    [[nodiscard]] const char* audit() const;
    [[nodiscard]] const char* audit_at_rest() const;

private:
    enum class Exit : std::uint8_t { completed, expired, purged, evicted, cancelled };
    enum class Where : std::uint8_t { old_place, back };
    static constexpr Instant at_once = Instant{Duration::nanoseconds(INT64_MIN)};

    Slot take_seen() noexcept {
        const Slot slot = seen_.pop_front(table_.records);
        looks_ = looks_ < seen_.size() ? looks_ : seen_.size();
        return slot;
    }
    Slot reserve(Slot slot) noexcept;
    std::uint64_t enroll(Slot slot, std::uint8_t priority, std::uint64_t number = 0) noexcept;
    History& open_history(Slot slot) noexcept;
    static std::uint32_t one_more(std::uint32_t attempts) noexcept;
    // Whether so many attempts are any.
    [[nodiscard]] bool any(std::uint32_t tries) const noexcept { return tries != start_.attempts; }
    void lease_again(Slot slot) noexcept;
    void lease_out_of_order(Slot slot) noexcept;
    void grant(Slot slot, std::uint64_t lease, Instant deadline) noexcept;
    void become(Slot slot, State state) noexcept;
    void take_out(Slot slot) noexcept;
    void take_out_leased(Slot slot) noexcept;
    void unschedule(Slot slot) noexcept;
    void put_in(Slot slot, Instant due) noexcept;
    [[nodiscard]] std::uint32_t most_attempts() const noexcept;
    [[nodiscard]] bool must_wait(Slot slot) const noexcept;
    void step_out_of_line(Slot slot) noexcept;
    void loosen(Slot slot, bool completed) noexcept;
    void note(Slot slot) noexcept;
    void come_back(Slot slot, Where where, Instant due, std::string_view reason,
                   Effects& effects) noexcept;
    void fail_with(Slot slot, const Reason& reason, Instant due, Effects& effects) noexcept;
    void bury(Slot slot, const Reason& reason, Effects& effects) noexcept;
    void leave(Slot slot, Exit exit, Effects& effects) noexcept;
    void depart(Slot slot, Exit exit) noexcept;
    void remove(Slot slot, Exit exit, Effects& effects) noexcept;
    [[nodiscard]] Slot eviction_candidate() const noexcept;
    [[nodiscard]] Place eviction_key(Slot slot) const noexcept;

    // What seldom changes, or is seldom asked for.
    QueueOptions options_;
    CoreStart start_;
    Profile profile_;
    bool fed_;  // by topics
    bool ended_ = false;
    SlotSet vacant_;  // slots whose messages and bodies are gone
    std::size_t promised_lines_ = 0;
    std::size_t promised_values_ = 0;
    SlotList blocked_;
    SlotList delayed_;
    SlotList dead_;  // in the order of their deaths
    // Where the policy is drop_oldest: what waits elsewhere than in a line of ready_.
    SlotHeap<Place> evictable_;
    KeyLines lines_;
    DedupWindow values_;
    Slot last_noted_ = none;
    Table table_;
    // What changes with every message stands together, from the end of the deadlines to the
    // beginning of `issued_`: cores hand each other as few lines of memory as can be.
    Deadlines deadlines_;
    ReadyOrder ready_;
    alignas(64) SlotList seen_;    // slots whose messages are gone, but whose bodies may be seen
    std::size_t looks_ = 0;        // at these, that were paid for; never more than there are
    std::size_t reserved_ = 0;     // RESERVED slots and promised room
    std::size_t promised_histories_ = 0;
    Slot first_noted_ = none;      // those whose latch has changed, through their ties
    std::uint64_t next_lease_;
    std::size_t in_[states] = {};  // messages by state; of those without a message it means nothing
    Instant now_ = at_once;        // the latest seen: time does not go back
    std::uint64_t accepted_ = 0;
    std::uint64_t completed_ = 0;
    std::uint64_t delivered_ = 0;
    Issued issued_;
    QueueStats stats_;  // all but these counts
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
