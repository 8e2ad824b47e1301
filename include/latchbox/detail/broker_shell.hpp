// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <atomic>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "latchbox/detail/names.hpp"
#include "latchbox/detail/queue_shell.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// The one thing shared in the process: numbers queues, so that ids and receipts of two brokers
// never mix. 0 is never drawn.
inline std::uint32_t draw_queue_number() noexcept {
    static std::atomic<std::uint32_t> last{0};
    const std::uint32_t drawn = last.fetch_add(1, std::memory_order_relaxed) + 1;
    ensure(drawn != 0, "four billion queues were made in this process");
    return drawn;
}

// What all queues of one broker share: names, time, and whether it is open. Lives as long as any
// of its queues does.
template <class Msg, class Platform> class BrokerShell {
public:
    using Shell = QueueShell<Msg, Platform>;
    using After = Aftermath<Msg, Platform>;

    explicit BrokerShell(const BrokerOptions& options)
        : tag{options.tag}, time{options.clock != nullptr ? *options.clock : own_clock_} {}
    BrokerShell(const BrokerShell&) = delete;
    BrokerShell& operator=(const BrokerShell&) = delete;

    const std::string tag;

private:
    SteadyClock own_clock_;

public:
    Timekeeper<Shell, Platform> time;

    void hold() noexcept { handles_.fetch_add(1, std::memory_order_relaxed); }
    void let_go() noexcept {
        if (handles_.fetch_sub(1, std::memory_order_acq_rel) == 1) { delete this; }
    }

    [[nodiscard]] bool is_closed() const noexcept {
        return mode_.load(std::memory_order_acquire) == closed;
    }
    [[nodiscard]] bool is_draining() const noexcept {
        return mode_.load(std::memory_order_acquire) == draining;
    }
    [[nodiscard]] bool refuses_publish() const noexcept {
        return mode_.load(std::memory_order_acquire) != open;
    }

    // --- time ------------------------------------------------------------------------------

    // An instant at which all is done that was due by then, in all queues. Every call begins so.
    Moment arrive(bool exact) noexcept {
        Moment moment = exact ? time.now() : time.glance();
        // The one place that asks whether something is due; a doubt is settled exactly. [4.3]
        if (time.is_due(moment.latest)) {
            if (!moment.exact()) { moment = time.now(); }
            catch_up(moment.now);
        }
        return moment;
    }
    // One thread at a time takes all queues from one due instant to the next, so that none runs
    // ahead of another. Bodies are destroyed and waiters woken between the turns, without a lock.
    void catch_up(Instant now) noexcept {
        for (bool more = true; more;) {
            After after;
            Reference<Shell> queue;
            {
                Lock turn{turns_};
                auto first = time.first_due(now);
                more = static_cast<bool>(first.queue);
                if (more) { first.queue->let_time_act(first.first, first.limit, now, after); }
                queue = std::move(first.queue);
            }
            if (more) { queue->act_on(after); }
        }
    }

    // All that is due; and when something is due next, exactly: what the timekeeper was told may
    // be settled by now.
    Instant poll() noexcept {
        while (!is_closed()) {
            const Instant now = arrive(true).now;
            const auto first = time.first_due(Instant::never());
            if (!first.queue) { break; }
            if (first.queue->confirm_due(first.first) && now < first.first.at) {
                return first.first.at;
            }
        }
        return Instant::never();
    }

    // --- queues ----------------------------------------------------------------------------

    [[nodiscard]] Reference<Shell> find(std::string_view name) {
        Lock lock{names_};
        const auto at = by_name_.find(name);
        return at == by_name_.end() ? Reference<Shell>{} : Reference<Shell>::to(*at->second);
    }
    // The queue of this name, made if there is none.
    [[nodiscard]] Reference<Shell> find_or_make(std::string_view name,
                                                const QueueOptions& options) {
        if (auto found = find(name)) { return found; }
        // Everything that can fail first, and outside the lock: the queue, its place with the
        // timekeeper, its node in the map.
        Reference<Shell> made{
            new Shell{Reference<BrokerShell>::to(*this), name, options, draw_queue_number()}};
        std::map<std::string, Shell*, std::less<>> node;
        node.emplace(std::string{name}, made.get());
        made->enlist(time.enlist(*made));
        Lock lock{names_};
        const auto at = by_name_.find(name);
        if (at != by_name_.end()) {
            auto found = Reference<Shell>::to(*at->second);
            lock.unlock();
            time.discharge(made->retire());
            return found;
        }
        by_name_.insert(node.extract(node.begin()));
        list(*made);
        return made;
    }
    // Ends the queue; what is leased stays until its leases end.
    bool remove(std::string_view name) noexcept {
        std::map<std::string, Shell*, std::less<>> removed;
        Reference<Shell> queue;
        {
            Lock lock{names_};
            const auto at = by_name_.find(name);
            if (at == by_name_.end() || is_closed()) { return false; }
            queue = Reference<Shell>::to(*at->second);
            removed.insert(by_name_.extract(at));
        }
        Effects effects;
        After after;
        const Moment moment = queue->enter();
        if (!is_closed()) {
            queue->ended = true;
            queue->core.end(effects);
            queue->end_all_waiters(Errc::closed, after);
        }
        queue->conclude(moment, effects, after);
        queue->act_on(after);
        return true;
    }
    // Somebody waits for that: a drain, or a removed queue for its last lease.
    void became_idle(Shell& queue) noexcept {
        bool removed = false;
        {
            Lock names{names_};
            rouse_drainers();
            Lock lock{queue.mutex};
            if (queue.ended && queue.listed != 0 && queue.is_idle()) {
                unlist(queue);
                past_ += queue.core.stats();
                removed = true;
            }
        }
        if (!removed) { return; }
        time.discharge(queue.retire());
        queue.let_go();
    }

    [[nodiscard]] BrokerStats stats() noexcept {
        BrokerStats stats;
        if (!is_closed()) { arrive(false); }
        Lock lock{names_};
        stats.queues = by_name_.size();
        stats.messages = past_;
        for (Shell* queue = queues_; queue != nullptr; queue = queue->listed_next) {
            Lock held{queue->mutex};
            stats.messages += queue->core.stats();
        }
        return stats;
    }

    // --- the end ---------------------------------------------------------------------------

    void close() noexcept {
        if (is_closed()) { return; }
        arrive(true);
        {
            Lock lock{names_};
            if (is_closed()) { return; }  // another was first
            mode_.store(closed, std::memory_order_release);
            rouse_drainers();
        }
        each([](Shell& queue, After& after) { queue.close(after); });
    }
    // Lets consumers finish until nothing is left to settle, or until the time is over.
    void drain(Duration timeout) noexcept {
        Drainer self;
        {
            Lock lock{names_};
            if (is_closed()) { return; }
            self.next = drainers_;
            drainers_ = &self;
            mode_.store(draining, std::memory_order_release);
        }
        each([](Shell& queue, After& after) {
            Lock lock{queue.mutex};
            queue.end_publishers(Errc::closed, after);
        });
        time.begin_wait();
        for (bool first = true;; first = false) {
            const std::uint64_t moves = time.moves();
            if (is_closed()) { break; }
            const Instant now = arrive(true).now;
            if (first) { self.sleep.until = now + timeout; }
            if (self.sleep.until <= now || is_idle()) { break; }
            time.lie_down(self.sleep, now, moves);
        }
        {
            Lock lock{names_};
            Drainer** link = &drainers_;
            while (*link != &self) { link = &(*link)->next; }
            *link = self.next;
        }
        time.end_wait();
    }
    // Closed, and never again touching the clock.
    void end() noexcept {
        close();
        time.end();
        for (;;) {
            Shell* queue = nullptr;
            {
                Lock lock{names_};
                queue = queues_;
                if (queue == nullptr) { break; }
                unlist(*queue);
            }
            time.discharge(queue->retire());
            queue->let_go();
        }
    }

    // Calls `act` for every queue, oldest first, holding no lock.
    template <class Act> void for_each(Act&& act) {
        std::uint64_t listed = 0;
        for (auto queue = next_listed(listed); queue; queue = next_listed(listed, queue.get())) {
            act(*queue);
        }
    }

private:
    enum Mode : std::uint8_t { open, draining, closed };
    struct Drainer {
        Sleep<Platform> sleep;
        Drainer* next = nullptr;
    };

    ~BrokerShell() = default;

    void list(Shell& queue) noexcept LATCHBOX_REQUIRES(names_) {
        queue.hold();
        queue.listed = ++listed_;
        queue.listed_previous = newest_;
        (newest_ != nullptr ? newest_->listed_next : queues_) = &queue;
        newest_ = &queue;
    }
    void unlist(Shell& queue) noexcept LATCHBOX_REQUIRES(names_) {
        queue.listed = 0;
        (queue.listed_next != nullptr ? queue.listed_next->listed_previous : newest_) =
            queue.listed_previous;
        (queue.listed_previous != nullptr ? queue.listed_previous->listed_next : queues_) =
            queue.listed_next;
    }
    // The first queue listed after the `listed`-th, which moves on to it. A queue on the way may be
    // unlisted meanwhile.
    [[nodiscard]] Reference<Shell> next_listed(std::uint64_t& listed,
                                               const Shell* hint = nullptr) noexcept {
        Lock lock{names_};
        Shell* next = hint != nullptr && hint->listed != 0 ? hint->listed_next : queues_;
        while (next != nullptr && next->listed <= listed) { next = next->listed_next; }
        if (next == nullptr) { return {}; }
        listed = next->listed;
        return Reference<Shell>::to(*next);
    }
    void rouse_drainers() noexcept LATCHBOX_REQUIRES(names_) {
        for (Drainer* d = drainers_; d != nullptr; d = d->next) { time.rouse(d->sleep); }
    }
    template <class Act> void each(Act&& act) noexcept {
        for_each([&act](Shell& queue) {
            After after;
            act(queue, after);
            queue.act_on(after);
        });
    }
    [[nodiscard]] bool is_idle() noexcept {
        bool idle = true;
        for_each([&idle](Shell& queue) {
            Lock lock{queue.mutex};
            idle = idle && queue.is_idle();
        });
        return idle;
    }

    typename Platform::template Atomic<std::uint8_t> mode_{open};
    typename Platform::template Atomic<std::uint32_t> handles_{1};
    typename Platform::Mutex turns_;
    typename Platform::Mutex names_;
    std::map<std::string, Shell*, std::less<>> by_name_ LATCHBOX_GUARDED_BY(names_);
    // Oldest first; removed ones, too, as long as something is leased.
    Shell* queues_ LATCHBOX_GUARDED_BY(names_) = nullptr;
    Shell* newest_ LATCHBOX_GUARDED_BY(names_) = nullptr;
    std::uint64_t listed_ LATCHBOX_GUARDED_BY(names_) = 0;  // how many there were
    Drainer* drainers_ LATCHBOX_GUARDED_BY(names_) = nullptr;
    QueueStats past_ LATCHBOX_GUARDED_BY(names_);  // of queues that are gone
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
