// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "latchbox/clock.hpp"
#include "latchbox/detail/alarms.hpp"
#include "latchbox/detail/lock.hpp"
#include "latchbox/detail/reference.hpp"
#include "latchbox/detail/slot_heap.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// One thread that waits in a call. Guarded by the timekeeper's mutex while it lies down, but for
// `until`, which its own thread sets before.
template <class Platform> struct Sleep {
    typename Platform::Condition wake;
    Instant until = Instant::never();  // when this sleeper itself has to be up
    Instant planned;                   // when it will wake if nobody wakes it
    bool done = false;                 // what it waits for has come
    bool roused = false;               // it should look again
    Sleep* newer = nullptr;
    Sleep* older = nullptr;
};

// What a call knows of the present: it is not before `now` and not after `latest`.
//
// Kept as a beginning and a width: gcc copies two instants side by side as one vector, and to load
// that waits until both halves, just written, are in the cache: a twentieth of a message at -O2.
struct Moment {
    Moment() noexcept = default;
    Moment(Instant from, Instant to) noexcept : now{from}, width{count(to) - count(from)} {}

    Instant now;
    std::uint64_t width = 0;  // modulo 2^64, so that `latest` is what it was made of

    [[nodiscard]] Instant latest() const noexcept {
        return Instant{Duration::nanoseconds(static_cast<std::int64_t>(count(now) + width))};
    }
    [[nodiscard]] bool exact() const noexcept { return width == 0; }

private:
    static std::uint64_t count(Instant at) noexcept {
        return static_cast<std::uint64_t>(at.since_epoch().count());
    }
};

// What a queue has to do next; at a full tie queues go in the order in which they were made.
struct QueueDue {
    Due due;
    std::uint32_t queue;
    friend constexpr bool operator<(const QueueDue& a, const QueueDue& b) noexcept {
        return a.due != b.due ? a.due < b.due : a.queue < b.queue;
    }
};

// The time of one broker: what its clock says, when something is next due in any queue, and who
// sleeps until then.
//
// next_due   A lower bound of what is due next in any queue, and of when an alarm rings. Lowered by
//            whoever makes something due earlier; raised when all that was due is done.
// sleepers   All threads that wait in calls, newest first. Whoever lies down last is the keeper: it
//            wakes for next_due too. When it gets up, the next newest takes over, and is woken only
//            if it would sleep past next_due: it kept the time once and has planned for it. So
//            those who were keepers may wake at one due instant, to no harm but their time. [4.9]
//
// `Queue` offers `hold()`, `let_go()` and `number()`.
template <class Queue, class Platform> class Timekeeper final : private Sleeper {
public:
    explicit Timekeeper(Clock& clock) noexcept : clock_{clock} {
        clock_tells_ = clock_.attach(*this);
    }
    Timekeeper(const Timekeeper&) = delete;
    Timekeeper& operator=(const Timekeeper&) = delete;

    // The clock is not touched after this. Waits until nobody is inside a waiting call: they were
    // all told to leave.
    void end() noexcept {
        clock_.detach(*this);
        if constexpr (Platform::can_wait) {
            Lock lock{mutex_};
            while (waiting_ != 0) { nobody_waits_.wait(mutex_); }
        }
    }

    // --- the present -----------------------------------------------------------------------

    // Exact.
    [[nodiscard]] Moment now() noexcept { return not_back(clock_.now()); }
    // As cheap as the clock's glance; exact where that is behind what was read before.
    [[nodiscard, gnu::always_inline]] Moment glance() noexcept {
        const Glance seen = clock_.look();
        if (seen.earliest == seen.latest) { return not_back(seen.latest); }
        const bool behind =
            seen.latest.since_epoch().count() < seen_.load(std::memory_order_relaxed);
        return behind ? now() : Moment{seen.earliest, seen.latest};
    }
    // The latest that was read: it is not earlier.
    [[nodiscard]] Instant seen() const noexcept {
        return Instant{Duration::nanoseconds(seen_.load(std::memory_order_relaxed))};
    }
    [[nodiscard]] bool is_due(Instant at) const noexcept {
        return next_due_.load(std::memory_order_acquire) <= at.since_epoch().count();
    }

    // --- what is due -----------------------------------------------------------------------

    // A number for `queue`, by which its due things are known. May throw std::bad_alloc.
    [[nodiscard]] std::uint32_t enlist(Queue& queue) {
        for (std::size_t wanted = 16;; wanted *= 2) {
            std::vector<void*> queues;
            std::vector<std::uint32_t> free;
            queues.reserve(wanted);
            free.reserve(wanted);
            auto room = SlotHeap<QueueDue>::make(wanted);
            Lock lock{mutex_};
            if (free_.empty() && queues_.size() == due_.room()) {
                if (wanted <= queues_.size()) { continue; }
                // To `insert` them takes a hundred functions more, of whoever includes this.
                for (void* const one : queues_) { queues.push_back(one); }
                queues_.swap(queues);
                free_.swap(free);
                due_.adopt(room);
            }
            std::uint32_t number = static_cast<std::uint32_t>(queues_.size());
            if (free_.empty()) {
                queues_.push_back(&queue);
            } else {
                number = free_.back();
                free_.pop_back();
                queues_[number] = &queue;
            }
            lock.unlock();
            return number;
        }
    }
    void discharge(std::uint32_t number) noexcept {
        Lock lock{mutex_};
        if (due_.contains(number)) { due_.remove(number); }
        queues_[number] = nullptr;
        free_.push_back(number);
    }

    // The first due thing of queue `number` is `due` now.
    void set(std::uint32_t number, const Due& due) noexcept {
        Lock lock{mutex_};
        if (due_.contains(number)) { due_.remove(number); }
        if (due.at.is_never()) { return; }
        due_.insert({due, queue(number).number()}, number);
        lower(due.at);
    }
    // Rings when `at` has come, unless it is cancelled before.
    void set(Alarm& alarm, Instant at) noexcept {
        Lock lock{mutex_};
        alarms_.set(alarm, at);
        lower(at);
    }
    // Whether it was set.
    bool cancel(Alarm& alarm) noexcept {
        Lock lock{mutex_};
        return alarms_.cancel(alarm);
    }
    // Those that are to ring by `now`, a chain; each is held for having been set.
    [[nodiscard]] Alarm* ringing(Instant now) noexcept {
        Lock lock{mutex_};
        Alarm* const first = alarms_.take(now);
        raise();
        return first;
    }
    [[nodiscard]] Instant next_alarm() noexcept {
        Lock lock{mutex_};
        return alarms_.next();
    }

    // Which queue is first to do something by `now`, and the limit before which it may go on
    // without another's turn coming first. Nobody: all is done that was due.
    struct Turn {
        Reference<Queue> queue;
        Due first;
        Due limit;
    };
    [[nodiscard]] Turn first_due(Instant now) noexcept {
        Lock lock{mutex_};
        if (due_.empty() || now < due_.front().key.due.at) {
            raise();
            return {};
        }
        const Due end = Due::last_at(now);
        const Due limit = due_.size() > 1 && due_.second().due < end ? due_.second().due : end;
        return {Reference<Queue>::to(queue(due_.front().item)), due_.front().key.due, limit};
    }
    // The queue that has something to do next, whenever that is.
    [[nodiscard]] Turn first() noexcept {
        Lock lock{mutex_};
        if (due_.empty()) { return {}; }
        const Due& due = due_.front().key.due;
        return {Reference<Queue>::to(queue(due_.front().item)), due, due};
    }
    [[nodiscard]] Instant next_due() const noexcept {
        return Instant{Duration::nanoseconds(next_due_.load(std::memory_order_acquire))};
    }

    // --- sleeping --------------------------------------------------------------------------

    // A thread is inside a call that waits, from here to `end_wait`.
    void begin_wait() noexcept {
        Lock lock{mutex_};
        ++waiting_;
    }
    void end_wait() noexcept {
        Lock lock{mutex_};
        if (--waiting_ == 0) { nobody_waits_.notify_one(); }
    }

    // How often the clock has told that it moved. Read it, then the clock, then `lie_down`: a move
    // in between is not missed.
    [[nodiscard]] std::uint64_t moves() noexcept {
        Lock lock{mutex_};
        return moves_;
    }

    // Sleeps until what is waited for has come (true), or there is reason to look again (false):
    // `sleep.until` or something due has come, the clock has moved, somebody roused the sleeper.
    bool lie_down(Sleep<Platform>& sleep, Instant now, std::uint64_t moves) noexcept {
        Lock lock{mutex_};
        link(sleep);
        while (!sleep.done && !sleep.roused && moves == moves_) {
            sleep.planned = newest_ == &sleep ? earlier(sleep.until, next_due()) : sleep.until;
            if (sleep.planned <= now) { break; }
            if (clock_tells_ || sleep.planned.is_never()) {
                sleep.wake.wait(mutex_);
            } else {
                sleep.wake.wait_for(mutex_, sleep.planned - now);
                break;
            }
        }
        const bool kept_time = newest_ == &sleep;
        unlink(sleep);
        if (kept_time && newest_ != nullptr && next_due() < newest_->planned) {
            rouse_locked(*newest_);
        }
        sleep.roused = false;
        return sleep.done;
    }

    // Nothing of `sleep` may be touched after these: its owner may be gone.
    void finish(Sleep<Platform>& sleep) noexcept {
        Lock lock{mutex_};
        sleep.done = true;
        sleep.wake.notify_one();
    }
    void rouse(Sleep<Platform>& sleep) noexcept {
        Lock lock{mutex_};
        rouse_locked(sleep);
    }

private:
    void lower(Instant due) noexcept LATCHBOX_REQUIRES(mutex_) {
        if (next_due() <= due) { return; }
        next_due_.store(due.since_epoch().count(), std::memory_order_release);
        if (newest_ != nullptr && due < newest_->planned) { rouse_locked(*newest_); }
    }
    // All is done in the queues that was due.
    void raise() noexcept LATCHBOX_REQUIRES(mutex_) {
        const Instant queues = due_.empty() ? Instant::never() : due_.front().key.due.at;
        next_due_.store(earlier(queues, alarms_.next()).since_epoch().count(),
                        std::memory_order_release);
    }
    // Under the clock's lock. Holding ours while it looks whom to wake, so that nobody is between
    // his last look and his sleep. [4.9]
    void clock_moved(Instant now) noexcept override {
        Lock lock{mutex_};
        ++moves_;
        for (Sleep<Platform>* s = newest_; s != nullptr; s = s->older) {
            if (s->planned <= now) { rouse_locked(*s); }
        }
    }
    // A clock that goes back is taken to stand still, and one that says `never` to be just before:
    // what waits for ever must not be late.
    Moment not_back(Instant at) noexcept {
        const std::int64_t said = at.since_epoch().count();
        const std::int64_t read = at.is_never() ? said - 1 : said;
        std::int64_t seen = seen_.load(std::memory_order_relaxed);
        while (seen < read && !seen_.compare_exchange_weak(seen, read, std::memory_order_relaxed)) {
        }
        const Instant latest{Duration::nanoseconds(read < seen ? seen : read)};
        return {latest, latest};
    }
    // Which they are does not matter to the vector: one for all kinds of messages.
    [[nodiscard]] Queue& queue(std::uint32_t number) const noexcept LATCHBOX_REQUIRES(mutex_) {
        return *static_cast<Queue*>(queues_[number]);
    }
    void rouse_locked(Sleep<Platform>& sleep) noexcept LATCHBOX_REQUIRES(mutex_) {
        sleep.roused = true;
        sleep.wake.notify_one();
    }
    void link(Sleep<Platform>& sleep) noexcept LATCHBOX_REQUIRES(mutex_) {
        sleep.older = newest_;
        sleep.newer = nullptr;
        if (newest_ != nullptr) { newest_->newer = &sleep; }
        newest_ = &sleep;
    }
    void unlink(Sleep<Platform>& sleep) noexcept LATCHBOX_REQUIRES(mutex_) {
        if (sleep.older != nullptr) { sleep.older->newer = sleep.newer; }
        (sleep.newer != nullptr ? sleep.newer->older : newest_) = sleep.older;
    }

    Clock& clock_;
    bool clock_tells_ = false;
    typename Platform::template Atomic<std::int64_t> next_due_{
        Instant::never().since_epoch().count()};
    typename Platform::template Atomic<std::int64_t> seen_{INT64_MIN};

    typename Platform::Mutex mutex_;
    SlotHeap<QueueDue> due_ LATCHBOX_GUARDED_BY(mutex_);     // of queues, by their numbers
    std::vector<void*> queues_ LATCHBOX_GUARDED_BY(mutex_);  // see `queue`
    std::vector<std::uint32_t> free_ LATCHBOX_GUARDED_BY(mutex_);
    Alarms alarms_ LATCHBOX_GUARDED_BY(mutex_);
    Sleep<Platform>* newest_ LATCHBOX_GUARDED_BY(mutex_) = nullptr;
    std::uint64_t moves_ LATCHBOX_GUARDED_BY(mutex_) = 0;
    std::size_t waiting_ LATCHBOX_GUARDED_BY(mutex_) = 0;
    typename Platform::Condition nobody_waits_;
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
