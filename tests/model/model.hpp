// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "latchbox/errc.hpp"
#include "latchbox/options.hpp"
#include "latchbox/reason.hpp"
#include "latchbox/stats.hpp"

/// What a broker of queues does, said a second time and as naively as possible: all messages ever
/// accepted in one vector, every question answered by walking it. Shares the public vocabulary
/// with the library (options, stats, causes, error codes) and not one line of its inside.
namespace model {

using latchbox::Cause;
using latchbox::Errc;

/// Nanoseconds: an instant of the clock, or a length of time.
using Ticks = std::int64_t;
inline constexpr Ticks never = (std::numeric_limits<Ticks>::max)();
inline constexpr std::size_t none = static_cast<std::size_t>(-1);
inline constexpr Errc fine{};

[[nodiscard]] inline Ticks after(Ticks at, Ticks length) {
    return length > never - at ? never : at + length;
}

/// An error, or a value.
template <class T> struct Answer {
    Errc error = fine;
    T value = {};
};

/// One thing done wrong on purpose: whoever compares must find each of them.
enum class Mistake {
    nothing,
    one_failure_more,
    one_attempt_more,
    lease_valid_at_its_deadline,
    delay_over_one_tick_late,
    expires_one_tick_late,
    release_goes_to_the_back,
    requeue_keeps_its_place,
    abandoning_is_a_failure,
    lease_run_out_backs_off,
    backoff_ignores_its_limit,
    extend_shortens,
    redrive_keeps_failures,
    redrive_keeps_attempts,
    redrive_keeps_its_time_to_live,
    purge_of_dead_keeps_their_room,
    dead_letters_expire,
    stale_receipt_still_acks,
    priority_is_ignored,
    queues_run_one_after_the_other,
    eviction_starts_with_the_newest,
    last_of_them,
};

enum class State : std::uint8_t { delayed, ready, leased, dead, gone };

struct Message {
    std::size_t queue = 0;
    std::uint64_t body = 0;
    unsigned priority = 0;
    std::uint64_t place = 0;  // with the priority: where it stands among the ready ones
    State state = State::ready;
    Ticks due = 0;               // while delayed
    Ticks time_to_live = never;  // as asked for
    Ticks expires = never;       // the instant that follows from it
    std::uint32_t attempt = 0;
    std::uint32_t failures = 0;   // since publish or redrive
    std::uint32_t hand_outs = 0;  // since publish or redrive
    std::size_t lease = none;     // while leased
    Ticks deadline = never;       // while leased
    std::uint64_t death = 0;      // while dead: their order
    Cause cause = Cause::none;    // while dead
    std::string text = {};        // while dead
    Ticks left_at = never;        // when gone
    bool left_by_time = false;    // when gone: it was due, and no handle kept its body
};

/// One hand-out. Its number is the model's receipt.
struct Lease {
    std::size_t queue = 0;
    std::size_t message = 0;
    bool live = true;
};

/// A `Delivery` object of the user.
struct Handle {
    std::size_t lease = none;
    bool settled = false;
    bool exists = true;
    std::uint32_t attempt = 0;
    std::uint32_t failures = 0;
    Ticks deadline = never;
};

struct Queue {
    std::string name;
    latchbox::QueueOptions options;
    bool removed = false;
    std::uint64_t next_number = 0;
    std::uint64_t next_death = 0;
    std::uint64_t forgotten_room = 0;  // of a mistake only
    latchbox::QueueStats events = {};  // what happened; where messages are is counted when asked
};

/// The settle verbs, in one word each, as a handle and a receipt share them.
struct Verb {
    enum Kind { ack, release, requeue, fail, reject, extend } kind = ack;
    Ticks length = 0;
    std::string text = {};
};

class Broker {
public:
    explicit Broker(Mistake mistake = Mistake::nothing) : mistake_{mistake} {}

    // -- time ------------------------------------------------------------------------------------

    [[nodiscard]] Ticks now() const { return now_; }
    [[nodiscard]] bool closed() const { return closed_; }

    /// Everything due until `instant` happens, each at its own instant, over all queues.
    void move_to(Ticks instant) {
        if (!closed_) {
            time_acts_ = true;
            for (Due next = earliest(); next.at <= instant && next.at != never; next = earliest()) {
                now_ = next.at;
                happen(next);
            }
            time_acts_ = false;
        }
        now_ = instant;
    }
    [[nodiscard]] Ticks next_due() const { return closed_ ? never : earliest().at; }

    // -- queues ----------------------------------------------------------------------------------

    /// The number of the queue of that name, `none` if there is none.
    [[nodiscard]] std::size_t find(const std::string& name) const {
        for (std::size_t q = 0; q < queues_.size(); ++q) {
            if (queues_[q].name == name && !queues_[q].removed) { return q; }
        }
        return none;
    }
    /// The queue of that name, made if there is none; `none` if the options do not agree.
    [[nodiscard]] std::size_t queue(const std::string& name,
                                    const latchbox::QueueOptions& options) {
        const std::size_t there = find(name);
        if (there != none) { return queues_[there].options == options ? there : none; }
        queues_.push_back(Queue{name, options});
        return queues_.size() - 1;
    }
    bool remove(const std::string& name) {
        const std::size_t q = find(name);
        if (closed_ || q == none) { return false; }
        for (Message& m : messages_) {
            if (m.queue == q && m.state != State::gone && m.state != State::leased) { purge(m); }
        }
        queues_[q].removed = true;
        return true;
    }
    [[nodiscard]] std::size_t queue_count() const { return queues_.size(); }
    [[nodiscard]] const Queue& queue_at(std::size_t q) const { return queues_[q]; }
    [[nodiscard]] bool is_closed(std::size_t q) const { return closed_ || queues_[q].removed; }

    [[nodiscard]] latchbox::QueueStats stats(std::size_t q) const {
        latchbox::QueueStats all = queues_[q].events;
        all.delayed = count(q, State::delayed);
        all.ready = count(q, State::ready);
        all.leased = count(q, State::leased);
        all.dead = count(q, State::dead);
        return all;
    }
    [[nodiscard]] latchbox::BrokerStats stats() const {
        latchbox::BrokerStats all;
        for (std::size_t q = 0; q < queues_.size(); ++q) {
            all.queues += queues_[q].removed ? 0U : 1U;
            all.messages += stats(q);
        }
        return all;
    }
    /// What is left, removed queues with leases included; in the order in which they were made.
    latchbox::CloseReport close() {
        latchbox::CloseReport report;
        for (std::size_t q = 0; q < queues_.size(); ++q) {
            const latchbox::QueueStats s = stats(q);
            if (s.held() == 0) { continue; }
            report.queues.push_back({queues_[q].name, 0, s.delayed, s.ready, s.leased, s.dead});
            report.delayed += s.delayed;
            report.ready += s.ready;
            report.leased += s.leased;
            report.dead += s.dead;
        }
        closed_ = true;
        return report;
    }

    // -- publish ---------------------------------------------------------------------------------

    /// The numbers of the messages accepted: all of `bodies`, or none of them.
    Answer<std::vector<std::size_t>> publish(std::size_t q,
                                             const std::vector<std::uint64_t>& bodies,
                                             const latchbox::PublishOptions& options,
                                             bool stop_requested = false) {
        if (stop_requested) { return {Errc::cancelled}; }
        if (is_closed(q)) { return {Errc::closed}; }
        if (!usable(options)) { return {Errc::invalid_option}; }
        const Errc room = make_room(q, bodies.size());
        if (room != fine) { return {room}; }
        Answer<std::vector<std::size_t>> answer;
        for (const std::uint64_t body : bodies) {
            Message m;
            m.queue = q;
            m.body = body;
            m.priority = options.priority;
            m.time_to_live = options.expires_in.count();
            m.expires = after(now_, m.time_to_live);
            draw_place(m);
            wait(m, options.delay.count());
            ++queues_[q].events.accepted;
            messages_.push_back(m);
            answer.value.push_back(messages_.size() - 1);
        }
        return answer;
    }

    // -- hand out --------------------------------------------------------------------------------

    /// Up to `most` messages, first in line first; the handles of their deliveries.
    Answer<std::vector<std::size_t>> fetch(std::size_t q, std::size_t most) {
        if (is_closed(q)) { return {Errc::closed}; }
        Answer<std::vector<std::size_t>> answer;
        while (answer.value.size() < most) {
            const std::size_t first = first_ready(q);
            if (first == none) { break; }
            Message& m = messages_[first];
            count_hand_out(m);
            m.state = State::leased;
            m.deadline = after(now_, queues_[q].options.lease.count());
            m.lease = leases_.size();
            leases_.push_back({q, first, true});
            handles_.push_back({m.lease, false, true, m.attempt, m.failures, m.deadline});
            answer.value.push_back(handles_.size() - 1);
        }
        if (answer.value.empty() && most > 0) { answer.error = Errc::empty; }
        return answer;
    }
    /// A lease just granted runs until `deadline`, as the broker only had a glance at the clock.
    void grant_until(std::size_t h, Ticks deadline) {
        messages_[message_of(h)].deadline = deadline;
        handles_[h].deadline = deadline;
    }
    /// The message that left, completed.
    Answer<std::size_t> pop(std::size_t q) {
        if (is_closed(q)) { return {Errc::closed}; }
        const std::size_t first = first_ready(q);
        if (first == none) { return {Errc::empty}; }
        count_hand_out(messages_[first]);
        complete(messages_[first]);
        return {fine, first};
    }
    [[nodiscard]] std::size_t first_ready(std::size_t q) const {
        std::size_t first = none;
        for (std::size_t i = 0; i < messages_.size(); ++i) {
            const Message& m = messages_[i];
            if (m.queue != q || m.state != State::ready) { continue; }
            if (first == none || before(m, messages_[first])) { first = i; }
        }
        return first;
    }

    // -- settle ----------------------------------------------------------------------------------

    [[nodiscard]] const Handle& handle(std::size_t h) const { return handles_[h]; }
    [[nodiscard]] const Lease& lease(std::size_t l) const { return leases_[l]; }
    [[nodiscard]] std::size_t lease_count() const { return leases_.size(); }
    [[nodiscard]] std::size_t handle_count() const { return handles_.size(); }
    /// The message that a handle is about.
    [[nodiscard]] std::size_t message_of(std::size_t h) const {
        return leases_[handles_[h].lease].message;
    }

    /// By the delivery itself.
    Errc settle(std::size_t h, const Verb& verb) {
        Handle& handle = handles_[h];
        const std::size_t q = leases_[handle.lease].queue;
        if (handle.settled) { return closed_ ? Errc::closed : Errc::already_settled; }
        const Errc error = settle(q, handle.lease, verb);
        if (error != fine) { return error; }
        if (verb.kind == Verb::extend) {
            handle.deadline = messages_[message_of(h)].deadline;
        } else {
            handle.settled = true;
        }
        return fine;
    }
    /// By receipt.
    Errc settle(std::size_t q, std::size_t receipt, const Verb& verb) {
        if (is_closed(q)) { return Errc::closed; }
        if (receipt == none || leases_[receipt].queue != q) { return Errc::unknown_message; }
        if (verb.length < 0) { return Errc::invalid_option; }
        Lease& lease = leases_[receipt];
        Message& m = messages_[lease.message];
        const bool mistaken = mistake_ == Mistake::stale_receipt_still_acks &&
                              verb.kind == Verb::ack && m.state == State::ready;
        if (!lease.live && !mistaken) { return Errc::lease_lost; }
        if (verb.kind == Verb::extend) {
            const Ticks wanted = after(now_, verb.length);
            const bool shorten = mistake_ == Mistake::extend_shortens;
            if (wanted > m.deadline || shorten) { m.deadline = wanted; }
            return fine;
        }
        lease.live = false;
        settle(m, verb);
        return fine;
    }
    /// Ack by the delivery, and the body with it.
    Errc take(std::size_t h) { return settle(h, {Verb::ack}); }
    /// Whether a copy must be made of the body of message `m`, as somebody else can see it.
    [[nodiscard]] bool body_is_shared(std::size_t message, std::size_t except = none) const {
        for (std::size_t h = 0; h < handles_.size(); ++h) {
            if (h != except && sees(h, message)) { return true; }
        }
        return false;
    }
    [[nodiscard]] bool lease_lost(std::size_t h) const {
        const Handle& handle = handles_[h];
        return handle.settled || is_closed(leases_[handle.lease].queue) ||
               !leases_[handle.lease].live;
    }
    /// The handle goes; what it held unsettled is requeued.
    void destroy(std::size_t h) {
        const Handle& handle = handles_[h];
        if (!closed_ && !handle.settled && leases_[handle.lease].live) {
            Message& m = messages_[message_of(h)];
            leases_[handle.lease].live = false;
            ++queues_[m.queue].events.abandoned;
            if (mistake_ == Mistake::abandoning_is_a_failure) { ++m.failures; }
            come_back(m, {Cause::none}, 0, true);
        }
        detach(h);
    }
    /// The hand-out did not take place, as what should have come of it failed.
    void take_back(std::size_t h) {
        Message& m = messages_[message_of(h)];
        latchbox::QueueStats& events = queues_[m.queue].events;
        leases_[handles_[h].lease].live = false;
        m.state = State::ready;
        --m.attempt;
        --m.hand_outs;
        --events.delivered;
        if (m.attempt > 0) { --events.redelivered; }
        detach(h);
    }
    /// The handle goes; the lease stays.
    void detach(std::size_t h) {
        handles_[h].settled = true;
        handles_[h].exists = false;
    }

    // -- take back -------------------------------------------------------------------------------

    Errc cancel(std::size_t q, std::size_t message) {
        if (is_closed(q)) { return Errc::closed; }
        if (!holds(q, message)) { return Errc::unknown_message; }
        Message& m = messages_[message];
        if (m.state == State::leased) { return Errc::leased; }
        ++queues_[q].events.cancelled;
        leave(m);
        return fine;
    }
    std::size_t purge(std::size_t q) {
        std::size_t purged = 0;
        if (is_closed(q)) { return 0; }
        for (Message& m : messages_) {
            if (m.queue != q || !waits(m)) { continue; }
            purge(m);
            ++purged;
        }
        return purged;
    }

    // -- dead letters ----------------------------------------------------------------------------

    /// Oldest death first.
    [[nodiscard]] std::vector<std::size_t> dead_letters(std::size_t q) const {
        std::vector<std::size_t> dead;
        for (std::size_t i = 0; i < messages_.size(); ++i) {
            if (messages_[i].queue != q || messages_[i].state != State::dead) { continue; }
            std::size_t at = dead.size();
            while (at > 0 && messages_[i].death < messages_[dead[at - 1]].death) { --at; }
            dead.insert(dead.begin() + static_cast<std::ptrdiff_t>(at), i);
        }
        return dead;
    }
    /// The message that was taken.
    Answer<std::size_t> take_dead(std::size_t q) {
        if (is_closed(q)) { return {Errc::closed}; }
        const std::vector<std::size_t> dead = dead_letters(q);
        if (dead.empty()) { return {Errc::empty}; }
        purge(messages_[dead.front()]);
        return {fine, dead.front()};
    }
    Answer<std::size_t> take_dead(std::size_t q, std::size_t message) {
        if (is_closed(q)) { return {Errc::closed}; }
        if (!is_dead(q, message)) { return {Errc::unknown_message}; }
        purge(messages_[message]);
        return {fine, message};
    }
    std::size_t redrive_all(std::size_t q) {
        if (is_closed(q)) { return 0; }
        std::size_t redriven = 0;
        for (Message& m : messages_) {  // in the order of their publish
            if (m.queue != q || m.state != State::dead) { continue; }
            redrive(m);
            ++redriven;
        }
        return redriven;
    }
    Errc redrive(std::size_t q, std::size_t message) {
        if (is_closed(q)) { return Errc::closed; }
        if (!is_dead(q, message)) { return Errc::unknown_message; }
        redrive(messages_[message]);
        return fine;
    }
    std::size_t purge_dead(std::size_t q) {
        if (is_closed(q)) { return 0; }
        const std::vector<std::size_t> dead = dead_letters(q);
        for (const std::size_t m : dead) { purge(messages_[m]); }
        return dead.size();
    }

    // -- what there is ---------------------------------------------------------------------------

    [[nodiscard]] std::size_t message_count() const { return messages_.size(); }
    [[nodiscard]] const Message& message(std::size_t m) const { return messages_[m]; }
    [[nodiscard]] bool holds(std::size_t q, std::size_t m) const {
        return m != none && messages_[m].queue == q && messages_[m].state != State::gone;
    }
    /// Bodies that must be there: of what is held, unless the broker closed, and of what a handle
    /// can see.
    [[nodiscard]] std::size_t live_bodies() const {
        std::size_t live = 0;
        for (std::size_t m = 0; m < messages_.size(); ++m) {
            const bool held = !closed_ && messages_[m].state != State::gone;
            live += held || body_is_shared(m) ? 1U : 0U;
        }
        return live;
    }

private:
    // What is due next in all queues. At one instant: leases, times to live, delays; then by
    // place; then by queue.
    struct Due {
        Ticks at = never;
        enum Kind { lease_ends, life_ends, delay_ends } kind = lease_ends;
        std::uint64_t place = 0;
        std::size_t queue = 0;
        std::size_t message = none;
    };
    struct Death {
        Cause cause = Cause::none;
        std::string text = {};
    };

    [[nodiscard]] Due earliest() const {
        Due next;
        for (std::size_t i = 0; i < messages_.size(); ++i) {
            const Message& m = messages_[i];
            if (m.state == State::leased) {
                const bool late = mistake_ == Mistake::lease_valid_at_its_deadline;
                consider(next, {late ? after(m.deadline, 1) : m.deadline, Due::lease_ends, m.place,
                                m.queue, i});
            }
            const bool dead_too = mistake_ == Mistake::dead_letters_expire;
            if (waits(m) || (dead_too && m.state == State::dead)) {
                const bool late = mistake_ == Mistake::expires_one_tick_late;
                consider(next, {late ? after(m.expires, 1) : m.expires, Due::life_ends, m.place,
                                m.queue, i});
            }
            if (m.state == State::delayed) {
                const bool late = mistake_ == Mistake::delay_over_one_tick_late;
                consider(next,
                         {late ? after(m.due, 1) : m.due, Due::delay_ends, m.place, m.queue, i});
            }
        }
        return next;
    }
    void consider(Due& next, const Due& other) const {
        if (other.at == never) { return; }
        if (next.at == never || sooner(other, next)) { next = other; }
    }
    [[nodiscard]] bool sooner(const Due& a, const Due& b) const {
        if (mistake_ == Mistake::queues_run_one_after_the_other && a.queue != b.queue) {
            return a.queue < b.queue;
        }
        if (a.at != b.at) { return a.at < b.at; }
        if (a.kind != b.kind) { return a.kind < b.kind; }
        if (a.place != b.place) { return a.place < b.place; }
        return a.queue < b.queue;
    }
    void happen(const Due& due) {
        Message& m = messages_[due.message];
        Queue& queue = queues_[m.queue];
        switch (due.kind) {
            case Due::lease_ends:
                leases_[m.lease].live = false;
                ++queue.events.leases_run_out;
                ++m.failures;
                come_back(m, {Cause::lease_ran_out},
                          mistake_ == Mistake::lease_run_out_backs_off ? backoff(queue, m) : 0,
                          true);
                break;
            case Due::life_ends:
                ++queue.events.expired;
                leave(m);
                break;
            case Due::delay_ends: m.state = State::ready; break;
        }
    }

    [[nodiscard]] static bool usable(const latchbox::PublishOptions& options) {
        if (options.delay.count() < 0 || options.expires_in.count() < 0) { return false; }
        if (options.block_for && options.block_for->count() < 0) { return false; }
        if (options.priority > 9) { return false; }
        if (options.expires_in.count() == never) { return true; }  // no wish, whatever the delay
        return options.expires_in.count() > options.delay.count();
    }
    // A publish that may wait for room is only ever made with no time to do so.
    [[nodiscard]] Errc make_room(std::size_t q, std::size_t wanted) {
        Queue& queue = queues_[q];
        const latchbox::QueueStats s = stats(q);
        const std::uint64_t held = s.held() + queue.forgotten_room;
        const std::uint64_t room = held < queue.options.capacity ? queue.options.capacity - held
                                                                 : 0;
        if (wanted <= room) { return fine; }
        const bool drop = queue.options.overflow == latchbox::Overflow::drop_oldest;
        if (!drop || wanted > room + s.delayed + s.ready + s.dead) {
            queue.events.refused += wanted;
            const bool blocks = queue.options.overflow == latchbox::Overflow::block;
            return blocks && wanted <= queue.options.capacity ? Errc::timed_out : Errc::full;
        }
        for (std::uint64_t i = room; i < wanted; ++i) { evict_one(q); }
        return fine;
    }
    void evict_one(std::size_t q) {
        std::size_t victim = none;
        const std::vector<std::size_t> dead = dead_letters(q);
        if (!dead.empty()) { victim = dead.front(); }
        for (std::size_t i = 0; dead.empty() && i < messages_.size(); ++i) {
            const Message& m = messages_[i];
            if (m.queue != q || !waits(m)) { continue; }
            if (victim == none || goes_sooner(m, messages_[victim])) { victim = i; }
        }
        ++queues_[q].events.evicted;
        leave(messages_[victim]);
    }
    [[nodiscard]] bool goes_sooner(const Message& a, const Message& b) const {
        if (a.priority != b.priority) { return a.priority < b.priority; }
        const bool newest = mistake_ == Mistake::eviction_starts_with_the_newest;
        return newest ? b.place < a.place : a.place < b.place;
    }
    [[nodiscard]] bool before(const Message& a, const Message& b) const {
        if (a.priority != b.priority && mistake_ != Mistake::priority_is_ignored) {
            return a.priority > b.priority;
        }
        return a.place < b.place;
    }

    void count_hand_out(Message& m) {
        latchbox::QueueStats& events = queues_[m.queue].events;
        ++events.delivered;
        if (m.attempt > 0) { ++events.redelivered; }
        ++m.attempt;
        ++m.hand_outs;
    }
    void settle(Message& m, const Verb& verb) {
        Queue& queue = queues_[m.queue];
        switch (verb.kind) {
            case Verb::ack: complete(m); break;
            case Verb::release:
                ++queue.events.released;
                come_back(m, {Cause::none}, 0, mistake_ == Mistake::release_goes_to_the_back);
                break;
            case Verb::requeue:
                ++queue.events.requeued;
                come_back(m, {Cause::none}, verb.length,
                          mistake_ != Mistake::requeue_keeps_its_place);
                break;
            case Verb::fail:
                ++queue.events.failed;
                ++m.failures;
                come_back(m, {Cause::failed, verb.text}, backoff(queue, m), true);
                break;
            case Verb::reject:
                ++queue.events.rejected;
                die(m, {Cause::rejected, verb.text});
                break;
            case Verb::extend: break;
        }
    }
    // A delivery is over and its message not settled for good: it dies of failures or attempts
    // used up, or its time is over, or it waits, or it is ready again.
    void come_back(Message& m, const Death& death, Ticks pause, bool at_the_back) {
        const Queue& queue = queues_[m.queue];
        if (queue.removed) { return purge(m); }
        std::uint32_t failures = queue.options.max_failures;
        std::uint32_t attempts = queue.options.max_attempts;
        if (failures != 0 && mistake_ == Mistake::one_failure_more) { ++failures; }
        if (attempts != 0 && mistake_ == Mistake::one_attempt_more) { ++attempts; }
        const bool failed = death.cause != Cause::none;
        if (failed && failures != 0 && m.failures >= failures) { return die(m, death); }
        if (attempts != 0 && m.hand_outs >= attempts) {
            return die(m, {Cause::attempts_used_up, death.text});
        }
        if (now_ >= m.expires) {
            ++queues_[m.queue].events.expired;
            return leave(m);
        }
        if (at_the_back) { draw_place(m); }
        wait(m, pause);
    }
    void wait(Message& m, Ticks pause) {
        m.state = pause > 0 ? State::delayed : State::ready;
        m.due = after(now_, pause);
    }
    void draw_place(Message& m) { m.place = queues_[m.queue].next_number++; }
    [[nodiscard]] Ticks backoff(const Queue& queue, const Message& m) const {
        const latchbox::Backoff& b = queue.options.backoff;
        const bool unlimited = mistake_ == Mistake::backoff_ignores_its_limit;
        const Ticks limit = unlimited ? never : b.limit.count();
        Ticks pause = b.first.count();
        for (std::uint32_t i = 1; i < m.failures && pause < limit; ++i) {
            pause = pause > limit / b.factor ? limit : pause * b.factor;
        }
        return pause < limit ? pause : limit;
    }
    void die(Message& m, const Death& death) {
        Queue& queue = queues_[m.queue];
        m.state = State::dead;
        m.death = queue.next_death++;
        m.cause = death.cause;
        m.text = death.text.substr(0, 47);
        while (queue.options.dead_capacity && count(m.queue, State::dead) >
                                                  *queue.options.dead_capacity) {
            purge(messages_[dead_letters(m.queue).front()]);
        }
    }
    void redrive(Message& m) {
        ++queues_[m.queue].events.redriven;
        if (mistake_ != Mistake::redrive_keeps_failures) { m.failures = 0; }
        if (mistake_ != Mistake::redrive_keeps_attempts) { m.hand_outs = 0; }
        if (mistake_ != Mistake::redrive_keeps_its_time_to_live) {
            m.expires = after(now_, m.time_to_live);
        }
        draw_place(m);
        m.state = State::ready;
    }
    void complete(Message& m) {
        ++queues_[m.queue].events.completed;
        leave(m);
    }
    void purge(Message& m) {
        Queue& queue = queues_[m.queue];
        ++queue.events.purged;
        const bool keep = mistake_ == Mistake::purge_of_dead_keeps_their_room;
        if (keep && m.state == State::dead) { ++queue.forgotten_room; }
        leave(m);
    }
    void leave(Message& m) {
        m.state = State::gone;
        m.left_at = now_;
        const auto number = static_cast<std::size_t>(&m - messages_.data());
        m.left_by_time = time_acts_ && !body_is_shared(number);
    }

    [[nodiscard]] static bool waits(const Message& m) {
        return m.state == State::ready || m.state == State::delayed;
    }
    [[nodiscard]] bool is_dead(std::size_t q, std::size_t m) const {
        return holds(q, m) && messages_[m].state == State::dead;
    }
    [[nodiscard]] bool sees(std::size_t h, std::size_t message) const {
        return handles_[h].exists && message_of(h) == message;
    }
    [[nodiscard]] std::uint64_t count(std::size_t q, State state) const {
        std::uint64_t there = 0;
        for (const Message& m : messages_) { there += m.queue == q && m.state == state ? 1U : 0U; }
        return there;
    }

    Mistake mistake_;
    Ticks now_ = 0;
    bool time_acts_ = false;
    bool closed_ = false;
    std::vector<Queue> queues_;
    std::vector<Message> messages_;
    std::vector<Lease> leases_;
    std::vector<Handle> handles_;
};

}  // namespace model
