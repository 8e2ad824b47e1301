// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "latchbox/detail/aftermath.hpp"
#include "latchbox/detail/feed.hpp"
#include "latchbox/detail/lock.hpp"
#include "latchbox/detail/queue_transitions.hpp"
#include "latchbox/detail/ready_sign.hpp"
#include "latchbox/detail/slot_index.hpp"
#include "latchbox/ids.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

template <class Msg, class Platform> class BrokerShell;
template <class Msg, class Platform> class Judging;

// One queue: its mutex, its core, the bodies and who waits. Thin: every call enters (which does
// what is due and takes the lock), asks the core, concludes (which serves who waits, and unlocks)
// and acts on what came of it. What a call does stands in publishing.hpp, fetching.hpp,
// settling.hpp and removing.hpp; what comes of a call stands in acting.hpp.
//
// Lives as long as a handle, a delivery or a body waiting for its end. Handles are counted as
// usual; what is lent out (deliveries, bodies) is counted under the mutex when it goes and by one
// atomic step when it comes back, and the two are brought together when the last handle is gone.
template <class Msg, class Platform> class QueueShell {
public:
    using Shell = BrokerShell<Msg, Platform>;
    using Effects = detail::Effects;
    using After = Aftermath<Msg, Platform>;
    using Feed = detail::Feed<QueueShell, Platform>;
    using Membership = detail::Membership<Platform>;

    QueueShell(Reference<Shell> in, std::string_view name, const QueueOptions& how,
               std::uint32_t number, std::unique_ptr<Feed> from = nullptr)
        : broker{std::move(in)},
          options{how},
          feed{std::move(from)},
          core{options, CoreStart{.first_bits = first_bits(feed)}, feed != nullptr,
               broker->profile},
          bodies{feed != nullptr, first_bits(feed)},
          name_{name},
          number_{number} {}
    QueueShell(const QueueShell&) = delete;
    QueueShell& operator=(const QueueShell&) = delete;

    const Reference<Shell> broker;
    const QueueOptions options;
    // Of a subscription's queue: what it is fed by.
    const std::unique_ptr<Feed> feed;

    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    // Unique in the process: what ids and receipts name the queue by.
    [[nodiscard]] std::uint32_t number() const noexcept { return number_; }

    // --- counting ----------------------------------------------------------------------------
    void hold() noexcept { handles_.fetch_add(1, std::memory_order_relaxed); }
    void let_go() noexcept LATCHBOX_UNCHECKED {  // the last one: nobody lends any more
        if (handles_.fetch_sub(1, std::memory_order_acq_rel) != 1) { return; }
        // Below zero `returned_` counts what is still out.
        const std::int64_t out = lent_;
        if (returned_.fetch_sub(out, std::memory_order_acq_rel) == out) { end(); }
    }
    // Comes back: nothing of this queue may be touched afterwards.
    void give_back(std::int64_t count) noexcept {
        if (returned_.fetch_add(count, std::memory_order_acq_rel) == -count) { end(); }
    }

    // --- a call ------------------------------------------------------------------------------

    // Does what is due anywhere, then takes the lock, at an instant up to which all is done. Where
    // the queue is closed the moment means nothing, and the clock was not asked. [4.3]
    Moment enter(bool exact = false) LATCHBOX_ACQUIRE(mutex) {
        if (!exact && !broker->is_closed()) [[likely]] {
            const Moment moment = broker->time.glance();
            if (!broker->time.is_due(moment.latest())) [[likely]] {
                mutex.lock();
                if (stands_at(moment)) [[likely]] { return moment; }
                mutex.unlock();
                exact = true;
            }
        }
        return enter_slowly(exact);
    }
    Moment enter_slowly(bool exact) LATCHBOX_ACQUIRE(mutex);
    [[nodiscard]] bool is_closed() const noexcept LATCHBOX_REQUIRES(mutex) {
        return ended || broker->is_closed();
    }
    // Whether all is done here that was due by then, and the moment is exact enough for those who
    // wait; if so, the queue has seen it.
    [[nodiscard]] bool stands_at(Moment moment) noexcept LATCHBOX_REQUIRES(mutex) {
        if (somebody_waits() && !moment.exact() && waiters_need_exact()) { return false; }
        const bool done = moment.latest() < told_.at || told_.at.is_never();
        if (done && holds_bodies) { core.see(moment.now); }  // closed, it stays as it was left
        return done;
    }
    // Serves who waits, and unlocks. `own`: whose body the caller's handle sees, if he has one.
    void conclude(Moment moment, Effects& effects, After& after, Slot own = none) noexcept
        LATCHBOX_RELEASE(mutex) {
        if (!after.latched && is_settled(effects)) [[likely]] {
            announce();
            return mutex.unlock();
        }
        conclude_slowly(moment, effects, after, own);
    }
    void conclude_slowly(Moment moment, Effects& effects, After& after, Slot own) noexcept
        LATCHBOX_RELEASE(mutex);
    // Before it sleeps in line, a fetch lingers. True, and without the lock, if it did.
    bool linger(int& spins) noexcept LATCHBOX_UNCHECKED {
        if (spins <= 0 || !fetchers.empty()) { return false; }
        mutex.unlock();
        ready_sign_.await(spins);
        return true;
    }
    // What was left to do without a lock. May run destructors of `Msg`, and those may call. Who is
    // woken may destroy every handle at once: bodies that are still lent keep what comes after it.
    void act_on(After& after) noexcept {
        if (!after.nothing()) { act_on_all(after); }
    }
    void act_on_all(After& after) noexcept;
    void finish(Moment moment, Effects& effects, Slot own = none) noexcept LATCHBOX_RELEASE(mutex) {
        if (is_settled(effects)) [[likely]] {
            announce();
            return mutex.unlock();
        }
        finish_slowly(moment, effects, own);
    }
    void finish_slowly(Moment moment, Effects& effects, Slot own) noexcept LATCHBOX_RELEASE(mutex);
    // Nothing has left, nobody waits, nothing is to be told: most calls end so.
    [[nodiscard]] bool is_settled(const Effects& effects) const noexcept LATCHBOX_REQUIRES(mutex) {
        return effects.gone.empty() && !core.has_noted() && !somebody_waits() && !is_ending();
    }
    [[nodiscard]] bool is_ending() const noexcept LATCHBOX_REQUIRES(mutex) {
        return ended || broker->refuses_publish();
    }
    // Acks, for the handle that sees the body or by a receipt.
    void ack(Slot slot, bool by_handle, Effects& effects) noexcept LATCHBOX_REQUIRES(mutex);
    // So many rest if others are vacant: most bodies are seen longer than their messages live.
    static constexpr std::size_t resting = 64;
    void vacate(Slot slot, bool seen) noexcept LATCHBOX_REQUIRES(mutex) {
        core.vacate(slot, seen);
        if (core.seen_count() > 2 * resting && bodies[core.seen()].vacant()) { core.unsee(); }
    }

    // --- time --------------------------------------------------------------------------------

    // Does what is due from `first`, this queue's turn, up to another's turn at `limit`.
    void let_time_act(const Due& first, const Due& limit, Instant now, After& after) noexcept;
    // Whether what the timekeeper was told is still so; if not, tells it.
    bool confirm_due(const Due& told) noexcept {
        Lock lock{mutex};
        const Due next = core.next_due();
        if (next == told) { return true; }
        tell(next);
        return false;
    }

    [[nodiscard]] QueueStats stats() noexcept {
        Lock lock{mutex};
        return core.stats();
    }
    // What the timekeeper calls it from here on.
    void enlist(std::uint32_t number) noexcept {
        Lock lock{mutex};
        enlisted_ = number;
    }
    // The timekeeper is to forget the queue: returns its number there, which others may get.
    [[nodiscard]] std::uint32_t retire() noexcept {
        Lock lock{mutex};
        tell(Due::never());
        return std::exchange(enlisted_, none);
    }
    // Nothing is left to settle, and nothing on its way in.
    [[nodiscard]] bool is_idle() const noexcept LATCHBOX_REQUIRES(mutex) {
        return core.idle() && core.reserved() == 0;
    }

    // --- pieces of calls, under the lock -----------------------------------------------------

    // A lease of less than a second is not granted by a glance.
    [[nodiscard]] bool short_leases() const noexcept {
        return options.lease < Duration{std::chrono::seconds{1}};
    }
    // Of `dedup`. [7.1]
    [[nodiscard]] bool remembers_values() const noexcept {
        return !feed && options.dedup_window > Duration{};
    }
    // Up to when all is done that was due in this queue, as far as the timekeeper was told.
    [[nodiscard]] Instant done_until(Instant now) const noexcept LATCHBOX_REQUIRES(mutex) {
        return earlier(now, told_.at);
    }
    [[nodiscard]] bool somebody_waits() const noexcept LATCHBOX_REQUIRES(mutex) {
        return !fetchers.empty() || !publishers.empty();
    }
    [[nodiscard]] bool waiters_need_exact() const noexcept LATCHBOX_REQUIRES(mutex) {
        return fetchers.timed() + publishers.timed() != 0 || (!fetchers.empty() && short_leases());
    }
    // Sets the latches that changed; bodies and slots of those who left are given back.
    void collect(Effects& effects, After& after, Slot own = none) noexcept LATCHBOX_REQUIRES(mutex);
    // The queue holds the body no more.
    void drop(Cell<Msg, Platform>& cell, After& after) noexcept LATCHBOX_REQUIRES(mutex);
    // Gives what is there to those who wait for it, in the order in which they came, unless their
    // wait is over at `now`. [4.9]
    void serve(Instant now, Instant lease_from, After& after) noexcept LATCHBOX_REQUIRES(mutex);
    void end_fetcher(Waiter<Platform>& waiter) noexcept LATCHBOX_REQUIRES(mutex) {
        fetchers.remove(waiter);
        core.redeem_histories(1);
    }
    void end_all_waiters(Errc ending, After& after) noexcept LATCHBOX_REQUIRES(mutex);
    void end_publishers(Errc ending, After& after) noexcept LATCHBOX_REQUIRES(mutex);
    // Of those who wait to publish a value which another message stands for now. [7.1]
    void end_publishers_of(const void* to, std::string_view value, After& after) noexcept
        LATCHBOX_REQUIRES(mutex);
    // Of those who fetch by one handle of a group that others still belong to.
    void end_fetchers_of(const Membership& member, After& after) noexcept LATCHBOX_REQUIRES(mutex);
    // Leases the first message, and lends its body to the handle that will be made of it. In line,
    // where the grant stays in registers.
    [[gnu::always_inline]] Cell<Msg, Platform>& lease(Instant from, Grant& grant) noexcept
        LATCHBOX_REQUIRES(mutex) {
        const Slot slot = core.lease(from);
        const Record& record = core.record(slot);
        grant = {slot,          core.attempts(slot), core.history(slot).failures,
                 record.number, record.lease,        record.at};
        return lend(slot);
    }
    // A handle will see the body of `slot`.
    Cell<Msg, Platform>& lend(Slot slot) noexcept LATCHBOX_REQUIRES(mutex) {
        Cell<Msg, Platform>& cell = bodies[slot];
        cell.show();
        ++lent_;
        return cell;
    }
    void tell_if_idle(After& after) const noexcept LATCHBOX_REQUIRES(mutex) {
        if ((ended || broker->is_draining()) && is_idle()) { after.idle = true; }
    }
    void tell(const Due& due) noexcept LATCHBOX_REQUIRES(mutex) {
        told_ = due;
        if (enlisted_ != none) { broker->time.set(enlisted_, due); }
    }
    // Nothing is done any more, but what was due stays so.
    void forget_due() noexcept LATCHBOX_REQUIRES(mutex) {
        if (enlisted_ != none) { broker->time.set(enlisted_, Due::never()); }
    }
    // Before the lock is let go: what others know without it.
    void announce() noexcept LATCHBOX_REQUIRES(mutex) {
        // A first lease after others is later than what was told, as a rule.
        if (core.due_earlier() && core.next_due_at() <= told_.at) { tell_due(); }
        ready_sign_.show(core.has_ready());
    }
    void tell_due() noexcept LATCHBOX_REQUIRES(mutex);
    // Makes what the core lacks, outside the lock; then the caller looks again.
    void grow(const QueueCore::Shortage& shortage) LATCHBOX_RELEASE(mutex) LATCHBOX_UNCHECKED {
        const unsigned next_chunk = bodies.next();
        mutex.unlock();
        auto growth = core.make(shortage);
        typename Bodies<Msg, Platform>::Chunk chunk;
        if (shortage.records != 0) { chunk = bodies.make(next_chunk); }
        SlotIndex::Room index;
        if (feed) { index = SlotIndex::make(shortage.records); }
        Lock lock{mutex};
        core.adopt(growth);
        bodies.adopt(chunk);
        copies.adopt(index);
    }

    void end_leases(After& after) noexcept LATCHBOX_REQUIRES(mutex) {
        for (Slot slot = 0; core.in(State::leased) != 0 && slot < core.slot_count(); ++slot) {
            if (LeaseWatch* const watch = core.unwatch(slot)) { after.end(*watch); }
        }
    }
    // Stops it for good: nobody waits any more, and the queue lets go of all bodies.
    void close(After& after) noexcept;

    // A handle sees a body no more; the last one destroys it. Not under a lock.
    void put_down(Cell<Msg, Platform>& cell) noexcept {
        if (cell.drop()) { destroy(cell); }
        give_back(1);
    }
    // The slot of the message with this id, if it is held.
    [[nodiscard]] Slot find(const MessageId& id) const noexcept LATCHBOX_REQUIRES(mutex) {
        if (feed) {
            const Slot slot = copies.find(TopicNumber::sequence(id));
            return slot != none && bodies[slot].shared()->id == id ? slot : none;
        }
        const bool own = IdParts::issuer(id) == number_;
        return own ? core.find(IdParts::slot(id), IdParts::number(id)) : none;
    }
    // The copy that is about to be accepted is one of this message.
    void share(Slot slot, SharedBody<Msg, Platform>& body) noexcept LATCHBOX_REQUIRES(mutex) {
        copies.insert(TopicNumber::sequence(body.id), slot);
        bodies[slot].share(body);
    }
    // The id by which others know the message of a slot: of a copy, that of its message.
    [[nodiscard]] MessageId id_of(Slot slot) const noexcept LATCHBOX_REQUIRES(mutex) {
        const auto* const shared = bodies[slot].shared();
        return shared != nullptr ? shared->id
                                 : IdParts::message(number_, core.record(slot).number, slot);
    }

    // What most calls change stands in few lines of memory, those which cores hand each other: the
    // first is that of the mutex, others are in the core.
    alignas(64) typename Platform::Mutex mutex;
    bool holds_bodies LATCHBOX_GUARDED_BY(mutex) = true;  // until closed
    bool ended LATCHBOX_GUARDED_BY(mutex) = false;        // removed

private:
    // What the timekeeper calls the queue, if it knows it.
    std::uint32_t enlisted_ LATCHBOX_GUARDED_BY(mutex) = none;
    std::int64_t lent_ LATCHBOX_GUARDED_BY(mutex) = 0;

public:
    QueueCore core LATCHBOX_GUARDED_BY(mutex);
    Waiters<Platform> fetchers LATCHBOX_GUARDED_BY(mutex);
    Waiters<Platform> publishers LATCHBOX_GUARDED_BY(mutex);
    Bodies<Msg, Platform> bodies LATCHBOX_GUARDED_BY(mutex);
    SlotIndex copies LATCHBOX_GUARDED_BY(mutex);  // of topics' messages, by their numbers

private:
    // Of subscriptions there may be many, with little in each.
    static unsigned first_bits(const std::unique_ptr<Feed>& feed) noexcept {
        return feed != nullptr ? 2 : 4;
    }
    ~QueueShell() = default;
    [[gnu::noinline]] void end() noexcept { delete this; }

    bool forget_copy(Slot slot, Cell<Msg, Platform>& cell) noexcept LATCHBOX_REQUIRES(mutex);
    void destroy(Cell<Msg, Platform>& cell) noexcept;

    const std::string name_;
    const std::uint32_t number_;
    Due told_ LATCHBOX_GUARDED_BY(mutex) = Due::never();  // to the timekeeper: what is due first
    typename Platform::template Atomic<std::int64_t> handles_{1};
    typename Platform::template Atomic<std::int64_t> returned_{0};
    ReadySign<Platform> ready_sign_;
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
