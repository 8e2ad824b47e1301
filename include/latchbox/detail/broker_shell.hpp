// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <atomic>
#include <string_view>
#include <utility>

#include "latchbox/detail/acting.hpp"
#include "latchbox/detail/cascade.hpp"
#include "latchbox/detail/issuers.hpp"
#include "latchbox/detail/pointer_map.hpp"
#include "latchbox/detail/topics.hpp"
#include "latchbox/detail/turns.hpp"
#include "latchbox/detail/watching.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// One call that waits for consumers to finish.
template <class Platform> struct Drainer {
    Sleep<Platform> sleep;
    Drainer* next = nullptr;
};

// What all queues of one broker share: names, time, whether it is open. Lives as long as they do.
template <class Msg, class Platform> class BrokerShell {
public:
    using Shell = QueueShell<Msg, Platform>;
    using Topic = TopicShell<Msg, Platform>;
    using Topics = detail::Topics<Msg, Platform>;
    using After = Aftermath<Msg, Platform>;

    explicit BrokerShell(const BrokerOptions& options)
        : tag{options.tag},
          profile{options.profile},
          time{options.clock != nullptr ? *options.clock : own_clock_},
          latches{draw_number()},
          shelf{draw_number()} {}
    BrokerShell(const BrokerShell&) = delete;
    BrokerShell& operator=(const BrokerShell&) = delete;

    const std::string tag;
    const Profile profile;
    const int spins = detail::spins<Platform>();  // of a fetch, before it sleeps

private:
    SteadyClock own_clock_;

public:
    Timekeeper<Shell, Platform> time;
    Latches<Platform> latches;
    Shelf<Msg, Platform> shelf;
    Passages<Msg, Platform> passages;

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

    // The checks of a publish that need no lock; `Errc{}` if none fails. [7.7]
    [[nodiscard]] Errc refusal(const typename Platform::StopToken& stop) const noexcept {
        if (stop.stop_requested()) { return Errc::cancelled; }
        return refuses_publish() ? Errc::closed : Errc{};
    }

    // --- time ------------------------------------------------------------------------------

    // An instant at which all is done that was due by then, in all queues.
    Moment arrive(bool exact) noexcept {
        Moment moment = exact ? time.now() : time.glance();
        // A doubt is settled exactly. [4.3]
        if (time.is_due(moment.latest())) {
            if (!moment.exact()) { moment = time.now(); }
            turns_.catch_up(*this, moment.now);
        }
        return moment;
    }
    // All that is due, what is retained included. Nothing any more, once closed.
    void catch_up() noexcept {
        if (!is_closed()) { shelf.age_out(arrive(true).now); }
    }
    // The same; and when something is next due, exactly, whatever the timekeeper was told.
    Instant poll() noexcept {
        while (!is_closed()) {
            const Instant now = arrive(true).now;
            const Instant aging = shelf.age_out(now);
            const auto first = time.first();
            const Instant next = earlier(aging, time.next_alarm());
            if (!first.queue) { return next; }
            if (first.queue->confirm_due(first.first) && now < first.first.at) {
                return earlier(first.first.at, next);
            }
        }
        return Instant::never();
    }

    // What latches that were set mean for others. Who is told may destroy every handle: the caller
    // keeps this alive, and began a wait.
    void carry_out(LatchBoard::Work& work, Moment moment) noexcept {
        Cascade<Msg, Platform>::carry_out(*this, work, moment);
    }

    // What is left of a call, but for what is a queue's own. The caller keeps this if it `lasts`.
    void act_on(After& after) noexcept {
        if (!after.latched) {
            wake(after);
            shelf.clear_all(std::exchange(after.doomed_shared, nullptr));
            return Watching<Msg, Platform>::tell(after.over);
        }
        auto latched = *std::exchange(after.latched, {});
        LeaseWatch* over = std::exchange(after.over, nullptr);
        if (!latched.exact) { latched.moment = time.now(); }
        time.begin_wait();
        act_on(after);
        carry_out(latched.work, latched.moment);
        time.end_wait();
        Watching<Msg, Platform>::tell(over);
    }
    // The end of a wait: wakes the thread, or tells who waits without one.
    template <class Waiting> void finish(Waiting& waiter) noexcept {
        if (waiter.told != nullptr) { return waiter.told(waiter); }
        time.finish(waiter.sleep);
    }
    // Once the last is told nothing is touched any more: he may destroy every handle at once.
    void wake(After& after) noexcept {
        while (after.ended != nullptr) {
            Waiter<Platform>& waiter = *after.ended;
            after.ended = waiter.next;
            finish(waiter);
        }
    }

    // --- queues ----------------------------------------------------------------------------

    // The queue of this number.
    [[nodiscard]] Reference<Shell> find(std::uint32_t number) noexcept {
        Lock lock{names};
        return refer(issuers.find(number));
    }
    // The queue that issued this id; not that of a subscription, whose ids nobody knows.
    [[nodiscard]] Reference<Shell> find_issuer(const MessageId& id) noexcept {
        auto queue = find(IdParts::issuer(id));
        return queue && queue->feed ? Reference<Shell>{} : queue;
    }
    // How it went with a message of a queue that was removed. [5.2]
    [[nodiscard]] Issued::Past past(const MessageId& id) noexcept {
        Lock lock{names};
        return issuers.past(IdParts::issuer(id), IdParts::number(id));
    }
    // The same of one that `queue` does not hold, which is locked, and is not afterwards.
    [[nodiscard]] Issued::Past past(Shell& queue, const MessageId& id) noexcept
        LATCHBOX_RELEASE(queue.mutex) {
        const Issued::Past said = queue.core.issued().past(IdParts::number(id));
        const bool removed = queue.ended;  // and perhaps gone by now, what it knew being here
        queue.mutex.unlock();
        if (!removed || said.state != MessageState::forgotten) { return said; }
        const Issued::Past kept = past(id);
        return kept.state != MessageState::never_issued ? kept : said;
    }
    [[nodiscard]] Reference<Shell> find(std::string_view name) {
        Lock lock{names};
        return refer(by_name.find(name));
    }
    // Somebody waits for that: a drain, or a removed queue for its last lease.
    void became_idle(Shell& queue) noexcept {
        bool removed = false;
        typename Issuers<Shell>::Maps forgotten;
        {
            Lock lock{names};
            rouse_drainers();
            Lock held{queue.mutex};
            const bool listed = issuers.find(queue.number()) == &queue;
            if (listed && queue.ended && queue.is_idle()) {
                past_ += queue.core.stats();
                forgotten = queue.feed ? issuers.forget(queue.number())
                                       : issuers.outlive(queue.number(), queue.core.issued());
                removed = true;
            }
        }
        if (!removed) { return; }
        time.discharge(queue.retire());
        queue.let_go();
    }

    [[nodiscard]] BrokerStats stats() noexcept {
        BrokerStats stats;
        catch_up();
        Lock lock{names};
        latches.count(stats);
        stats.topics = topics.size();
        stats.messages = past_;
        for (Shell* queue = issuers.after(0); queue != nullptr;
             queue = issuers.after(queue->number())) {
            Lock held{queue->mutex};
            stats.messages += queue->core.stats();
            if (!queue->ended) { ++(queue->feed ? stats.subscriptions : stats.queues); }
        }
        Lock held{shelf.mutex};
        stats.discarded = shelf.discarded;
        stats.retained = shelf.retained();
        stats.aged_out = shelf.aged_out;
        return stats;
    }

    // --- topics ----------------------------------------------------------------------------

    // By the last who held it.
    void let_go_of_topic(Topic& topic) noexcept {
        typename Topics::BySubject nodes;
        Topic* forgotten = nullptr;
        {
            Lock lock{names};
            if (topic.drop()) { forgotten = topics.rest(topic, time.seen(), nodes); }
        }
        while (forgotten != nullptr) { delete std::exchange(forgotten, forgotten->older); }
    }

    // --- the end ---------------------------------------------------------------------------

    void close() noexcept {
        catch_up();
        {
            Lock lock{names};
            if (is_closed()) { return; }  // another was first
            mode_.store(closed, std::memory_order_release);
            rouse_drainers();
            // A publish to a topic that has not seen this is done when its lock is free.
            topics.for_each([](Topic& topic) { const Lock passed{topic.mutex}; });
        }
        SharedBody<Msg, Platform>* retained = nullptr;
        shelf.close(retained);
        each([](Shell& queue, After& after) { queue.close(after); });
        shelf.clear_all(retained);
        LatchBoard::Work work = latches.close();
        Cascade<Msg, Platform>::tell(*this, work, Instant{});
    }
    // Publishes are refused from here on, but for commits. False if closed.
    bool begin_drain(Drainer<Platform>& drainer) noexcept {
        {
            Lock lock{names};
            if (is_closed()) { return false; }
            drainer.next = std::exchange(drainers_, &drainer);
            mode_.store(draining, std::memory_order_release);
        }
        each([](Shell& queue, After& after) {
            Lock lock{queue.mutex};
            queue.end_publishers(Errc::closed, after);
        });
        return true;
    }
    void end_drain(Drainer<Platform>& drainer) noexcept {
        Lock lock{names};
        Drainer<Platform>** link = &drainers_;
        while (*link != &drainer) { link = &(*link)->next; }
        *link = drainer.next;
    }
    // Whether nothing is left that a consumer could settle, nor on its way between two queues.
    [[nodiscard]] bool is_idle() noexcept {
        const std::uint32_t commits = commits_.load(std::memory_order_acquire);
        bool idle = true;
        for_each([&idle](Shell& queue) {
            Lock lock{queue.mutex};
            idle = idle && queue.is_idle();
        });
        return idle && commits == commits_.load(std::memory_order_acquire);
    }
    // Messages go from queue to queue, all of which are held.
    void count_commit() noexcept { commits_.fetch_add(1, std::memory_order_acq_rel); }
    // Closed, and never again touching the clock.
    void end() noexcept {
        close();
        time.end();
        passages.clear(true);  // they keep queues, and those the broker
        for (;;) {
            Shell* queue = nullptr;
            {
                Lock lock{names};
                queue = issuers.after(0);
                if (queue == nullptr) { break; }
                issuers.erase(queue->number());
                by_name.erase(queue->name());
            }
            time.discharge(queue->retire());
            queue->let_go();
        }
    }

    [[nodiscard]] static Reference<Shell> refer(Shell* queue) noexcept {
        return queue != nullptr ? Reference<Shell>::to(*queue) : Reference<Shell>{};
    }
    // Calls `act` for every queue, oldest first, holding no lock.
    template <class Act> void for_each(Act&& act) {
        for (auto queue = next_after(0); queue; queue = next_after(queue->number())) {
            act(*queue);
        }
    }

    // --- names: who changes them stands in naming.hpp and subscribing.hpp ----------------------

    typename Platform::Mutex names;
    using ByName = PointerMap<Shell>;           // by names that the queues keep
    ByName by_name LATCHBOX_GUARDED_BY(names);  // queues and groups
    // Queues that were removed, too, as long as something is leased; and those of subscriptions.
    Issuers<Shell> issuers LATCHBOX_GUARDED_BY(names);
    Topics topics LATCHBOX_GUARDED_BY(names);

private:
    enum Mode : std::uint8_t { open, draining, closed };

    ~BrokerShell() { topics.clear(); }

    [[nodiscard]] Reference<Shell> next_after(std::uint32_t number) noexcept {
        Lock lock{names};
        return refer(issuers.after(number));
    }
    void rouse_drainers() noexcept LATCHBOX_REQUIRES(names) {
        for (Drainer<Platform>* d = drainers_; d != nullptr; d = d->next) { time.rouse(d->sleep); }
    }
    template <class Act> void each(Act&& act) noexcept {
        for_each([&act](Shell& queue) {
            After after;
            act(queue, after);
            queue.act_on(after);
        });
    }

    typename Platform::template Atomic<std::uint8_t> mode_{open};
    typename Platform::template Atomic<std::uint32_t> handles_{1};
    Turns<Msg, Platform> turns_;
    typename Platform::template Atomic<std::uint32_t> commits_{0};
    Drainer<Platform>* drainers_ LATCHBOX_GUARDED_BY(names) = nullptr;
    QueueStats past_ LATCHBOX_GUARDED_BY(names);  // of queues that are gone
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
