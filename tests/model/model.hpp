// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "latchbox/errc.hpp"
#include "latchbox/explanation.hpp"
#include "latchbox/ids.hpp"
#include "latchbox/options.hpp"
#include "latchbox/reason.hpp"
#include "latchbox/stats.hpp"
#include "model/mistakes.hpp"

/// What a broker of queues does, said a second time and as naively as possible: all messages ever
/// accepted in one vector, every question answered by walking it. (Topics: topics_model.hpp. Here
/// are only the copies that they put into queues, and what these mean to the latch.) A message
/// keeps the list of its parents, and how it stands with them is looked up whenever that matters.
/// Shares the public vocabulary with the library (options, stats, causes, error codes) and not one
/// line of its inside.
namespace model {

using latchbox::Cause;
using latchbox::Errc;
using latchbox::LatchState;
using latchbox::MessageId;
using latchbox::OnParentFailure;

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

enum class State : std::uint8_t { blocked, delayed, ready, leased, dead, gone };

/// What an id names.
struct Named {
    enum Kind : std::uint8_t { nothing, message, gate, post } kind = nothing;
    std::size_t number = none;
    friend bool operator==(const Named&, const Named&) = default;
};

/// Of a message: and what that was told of it.
struct Parent {
    Named who = {};
    LatchState told = LatchState::pending;
    bool lost = false;  // nobody knew how it ended when it was looked up: as if it had failed
};

struct Message {
    std::size_t queue = 0;
    std::uint64_t body = 0;
    MessageId id = {};        // as the broker drew it: the model is told; a copy has its post's
    std::size_t post = none;  // that it is a copy of
    bool replayed = false;    // a copy made later, which says nothing about its post
    bool spared = false;      // a copy that is gone, and not the publisher's fault: it completed
    std::vector<Parent> parents = {};
    OnParentFailure on_parent_failure = {};
    bool held_back = false;  // by parents
    Named blame = {};        // the one that kills it
    bool redriven = false;
    std::string key = {};
    bool in_line = false;  // of its key
    unsigned priority = 0;
    std::uint64_t number = 0;  // of its id
    std::uint64_t place = 0;   // with the priority: where it stands among the ready ones
    State state = State::ready;
    std::uint64_t since = 0;     // when it got there, as the order in which that happened
    Ticks due = 0;               // of its delay, while delayed or blocked
    Ticks time_to_live = never;  // as asked for
    Ticks expires = never;       // the instant that follows from it
    std::uint32_t attempt = 0;
    std::uint32_t failures = 0;      // since publish or redrive
    std::uint32_t hand_outs = 0;     // since publish or redrive
    std::size_t lease = none;        // while leased
    Ticks deadline = never;          // while leased
    std::uint64_t death = 0;         // while dead: their order
    Cause cause = Cause::none;       // of its last failure, or of its death
    std::string text = {};           // of the same
    Named culprit = {};              // of the same: the parent
    std::vector<Named> rivals = {};  // that died at the same instant: the broker may name any
    Cause failed_by = Cause::none;   // when gone; none: it completed
    Ticks left_at = never;           // when gone
    bool left_by_time = false;       // when gone: it was due, and no handle kept its body
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

/// A message published to a topic. Its copies stand among the messages.
struct Post {
    std::size_t topic = 0;
    std::uint64_t body = 0;
    MessageId id = {};  // the model is told
    Message like = {};  // as its copies were published
    bool unrouted = false;
    bool came_to_nothing = false;  // nobody got it, nor could read it, from the start
    bool retained = false;
    bool own_limit = false;  // not those of its topic
    Ticks retained_until = never;
    std::size_t readers = 0;  // bodies that somebody read by id, and still has in hand
    LatchState told = LatchState::pending;
    Cause failed_by = Cause::none;  // of the first copy that failed
    bool left_in_hand = false;      // when the broker closed
};

struct Gate {
    MessageId id = {};  // the model is told
    std::uint32_t count = 0;
    LatchState state = LatchState::pending;
    std::size_t handles = 1;
    std::size_t watchers = 0;   // latches of it that somebody has in hand
    Cause cause = Cause::none;  // of its failure
    std::string text = {};
};

/// A value to tell messages apart by, as it was published with one.
struct Value {
    std::string text;
    std::size_t number = none;  // of the message, or of the post
    Ticks until = 0;            // as the window was then
};

struct Queue {
    std::string name;
    latchbox::QueueOptions options;
    bool removed = false;
    bool is_subscription = false;
    std::string pattern = {};                 // of a subscription
    latchbox::SubscriptionOptions wish = {};  // of a subscription; its group is `name`, if any
    bool has_group = false;
    std::uint64_t replayed = 0;              // copies, so far
    std::size_t handles = 0;                 // of a subscription, that have not left
    std::vector<std::size_t> failures = {};  // that are remembered, oldest first
    std::vector<Value> values = {};          // in the order of their last use
    std::uint64_t values_again = 0;          // accepted, though there was one like it
    std::uint64_t forgotten = 0;             // up to this number nothing is known of who is gone
    std::uint64_t next_number = 1;
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

    /// No more of them than so many.
    void remember_values(std::size_t bound) { most_values_ = bound; }

    // -- time ------------------------------------------------------------------------------------

    [[nodiscard]] Ticks now() const { return now_; }
    [[nodiscard]] bool closed() const { return closed_; }
    /// From here on publishes are refused, but for those of a commit that settles something.
    void begin_drain() { draining_ = true; }
    [[nodiscard]] bool refuses_publishes() const {
        return closed_ || (draining_ && mistake_ != Mistake::draining_accepts_publishes);
    }
    /// Nothing is left but dead letters.
    [[nodiscard]] bool is_drained() const {
        const latchbox::QueueStats s = stats().messages;
        return s.held() == s.dead;
    }

    /// Everything due until `instant` happens, each at its own instant, over all queues.
    void move_to(Ticks instant) {
        if (!closed_) {
            time_acts_ = true;
            for (Due next = earliest(); next.at <= instant && next.at != never; next = earliest()) {
                now_ = next.at;
                happen(next);
                if (mistake_ != Mistake::consequences_come_last) { tell_children(); }
            }
            tell_children();
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
        end(q);
        return true;
    }
    [[nodiscard]] std::size_t queue_count() const { return queues_.size(); }
    [[nodiscard]] const Queue& queue_at(std::size_t q) const { return queues_[q]; }
    [[nodiscard]] bool is_closed(std::size_t q) const { return closed_ || queues_[q].removed; }
    /// Nor can anybody ask for it.
    [[nodiscard]] bool is_shut(std::size_t q) const {
        return is_closed(q) || (queues_[q].is_subscription && queues_[q].handles == 0);
    }

    [[nodiscard]] latchbox::QueueStats stats(std::size_t q) const {
        latchbox::QueueStats all = queues_[q].events;
        for (const Message& m : messages_) {
            if (m.queue != q) { continue; }
            all.blocked += m.state == State::blocked ? 1U : 0U;
            all.delayed += m.state == State::delayed ? 1U : 0U;
            all.ready += m.state == State::ready ? 1U : 0U;
            all.leased += m.state == State::leased ? 1U : 0U;
            all.dead += m.state == State::dead ? 1U : 0U;
        }
        return all;
    }
    [[nodiscard]] latchbox::BrokerStats stats() const {
        latchbox::BrokerStats all;
        for (std::size_t q = 0; q < queues_.size(); ++q) {
            all.queues += queues_[q].removed || queues_[q].is_subscription ? 0U : 1U;
            all.messages += stats(q);
        }
        for (const Gate& gate : gates_) { all.gates += is_in_hand(gate) ? 1U : 0U; }
        for (const Message& m : messages_) {
            if (m.state == State::gone) { continue; }
            for (const Parent& parent : m.parents) {
                const LatchState state = fate(parent);
                const bool open = state == LatchState::pending || state == LatchState::dead;
                all.edges += open ? 1U : 0U;
            }
        }
        return all;
    }
    /// What is left, removed queues with leases included; in the order in which they were made.
    latchbox::CloseReport close() {
        latchbox::CloseReport report;
        for (std::size_t q = 0; q < queues_.size(); ++q) {
            const latchbox::QueueStats s = stats(q);
            if (s.held() == 0) { continue; }
            report.queues.push_back(
                {queues_[q].name, s.blocked, s.delayed, s.ready, s.leased, s.dead});
            for (const Message& m : messages_) {
                if (m.queue != q || m.state != State::blocked) { continue; }
                report.queues.back().blocked_messages.push_back(id_of_message(number_of(m)));
            }
            report.blocked += s.blocked;
            report.delayed += s.delayed;
            report.ready += s.ready;
            report.leased += s.leased;
            report.dead += s.dead;
        }
        for (std::size_t p = 0; p < posts_.size(); ++p) { posts_[p].left_in_hand = has_body(p); }
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
        if (is_closed(q) || refuses_publishes()) { return {Errc::closed}; }
        if (!usable(options) || options.retain_for || is_odd_batch(options, bodies.size())) {
            return {Errc::invalid_option};
        }
        const std::size_t first = bodies.empty() ? none : stands_for(q, options.dedup);
        const bool hasty = first != none && mistake_ == Mistake::repeat_comes_before_parents;
        const auto parents = look_up(options.parents);
        if (parents.error != fine && !hasty) { return {parents.error}; }
        if (first != none && mistake_ != Mistake::repeat_needs_room) {
            return {fine, {repeat(q, first)}};
        }
        Message like_all = draft(parents.value, options);  // of this call
        const Judgement judgement = judge(like_all);
        const Errc room = make_room(q, bodies.size());
        if (room != fine && mistake_ == Mistake::refused_publish_keeps_its_value &&
            !messages_.empty()) {
            keep_value(q, options.dedup, messages_.size() - 1);
        }
        if (room != fine) { return {room}; }
        if (first != none) { return {fine, {repeat(q, first)}}; }
        Answer<std::vector<std::size_t>> answer;
        for (const std::uint64_t body : bodies) {
            answer.value.push_back(messages_.size());
            messages_.push_back(like_all);
            Message& m = messages_.back();
            m.queue = q;
            m.body = body;
            draw_place(m);
            m.number = m.place;
            ++queues_[q].events.accepted;
            keep_value(q, options.dedup, answer.value.back());
            arrive(m, judgement);
        }
        tell_children();
        return answer;
    }
    /// The message of this queue that a repeat of the value would be, at this instant.
    [[nodiscard]] std::size_t stands_for(std::size_t q, std::string_view text) const {
        for (const Queue& other : queues_) {
            if (mistake_ != Mistake::value_is_one_in_all_queues) { break; }
            const std::size_t found = stands_for(other.values, text, Named::message);
            if (found != none) { return found; }
        }
        return stands_for(queues_[q].values, text, Named::message);
    }
    /// The broker has drawn this id for it.
    void learn_id(const Named& whose, const MessageId& id) {
        if (whose.kind == Named::message) { messages_[whose.number].id = id; }
        if (whose.kind == Named::gate) { gates_[whose.number].id = id; }
        if (whose.kind == Named::post) { posts_[whose.number].id = id; }
    }

    // -- hand out --------------------------------------------------------------------------------

    /// Up to `most` messages, first in line first; the handles of their deliveries.
    Answer<std::vector<std::size_t>> fetch(std::size_t q, std::size_t most) {
        if (is_shut(q)) { return {Errc::closed}; }
        Answer<std::vector<std::size_t>> answer;
        while (answer.value.size() < most) {
            const std::size_t first = first_ready(q);
            if (first == none) { break; }
            Message& m = messages_[first];
            count_hand_out(m);
            enter(m, State::leased);
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
        if (is_shut(q)) { return {Errc::closed}; }
        const std::size_t first = first_ready(q);
        if (first == none) { return {Errc::empty}; }
        count_hand_out(messages_[first]);
        complete(messages_[first]);
        tell_children();
        return {fine, first};
    }
    /// All that are ready now, first in line first: what that lets go is not among them.
    Answer<std::vector<std::size_t>> pop_all(std::size_t q) {
        if (is_shut(q)) { return {Errc::closed}; }
        Answer<std::vector<std::size_t>> answer;
        for (auto next = first_ready(q); next != none; next = first_ready(q)) {
            count_hand_out(messages_[next]);
            enter(messages_[next], State::leased);
            answer.value.push_back(next);
        }
        for (const std::size_t m : answer.value) { complete(messages_[m]); }
        tell_children();
        return answer;
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
        const Errc error = settle_lease(q, handle.lease, verb);
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
        return is_shut(q) ? Errc::closed : settle_lease(q, receipt, verb);
    }
    /// By either.
    Errc settle_lease(std::size_t q, std::size_t receipt, const Verb& verb) {
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
        tell_children();
        return fine;
    }
    /// Ack by the delivery, and the body with it.
    Errc take(std::size_t h) { return settle(h, {Verb::ack}); }
    /// Whether a copy must be made of the body of message `m`, as somebody else can see it.
    [[nodiscard]] bool body_is_shared(std::size_t message, std::size_t except = none) const {
        for (std::size_t h = 0; h < handles_.size(); ++h) {
            if (h != except && handles_[h].exists && is_body_of(message_of(h), message)) {
                return true;
            }
        }
        if (messages_[message].post == none) { return false; }
        const Post& post = posts_[messages_[message].post];
        for (std::size_t other = 0; other < messages_.size(); ++other) {
            const bool held = messages_[other].state != State::gone && !closed_;
            if (held && other != message && is_body_of(other, message)) { return true; }
        }
        return (post.retained && !closed_) || post.readers != 0;
    }
    [[nodiscard]] bool is_body_of(std::size_t m, std::size_t other) const {
        const std::size_t post = messages_[m].post;
        return m == other || (post != none && post == messages_[other].post);
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
        tell_children();
    }
    /// The hand-out did not take place, as what should have come of it failed.
    void take_back(std::size_t h) {
        Message& m = messages_[message_of(h)];
        latchbox::QueueStats& events = queues_[m.queue].events;
        leases_[handles_[h].lease].live = false;
        enter(m, State::ready);
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
        if (is_shut(q)) { return Errc::closed; }
        if (!holds(q, message)) { return Errc::unknown_message; }
        Message& m = messages_[message];
        if (m.state == State::leased) { return Errc::leased; }
        ++queues_[q].events.cancelled;
        leave(m, Cause::cancelled);
        tell_children();
        return fine;
    }
    /// Everything that waits at this instant, and then what follows from it.
    std::size_t purge(std::size_t q) {
        if (is_shut(q)) { return 0; }
        const std::size_t purged = purge_waiting(q);
        tell_children();
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
        if (is_shut(q)) { return {Errc::closed}; }
        const std::vector<std::size_t> dead = dead_letters(q);
        if (dead.empty()) { return {Errc::empty}; }
        purge(messages_[dead.front()]);
        tell_children();
        return {fine, dead.front()};
    }
    Answer<std::size_t> take_dead(std::size_t q, std::size_t message) {
        if (is_shut(q)) { return {Errc::closed}; }
        if (!is_dead(q, message)) { return {Errc::unknown_message}; }
        purge(messages_[message]);
        tell_children();
        return {fine, message};
    }
    std::size_t redrive_all(std::size_t q) {
        if (is_shut(q)) { return 0; }
        std::size_t redriven = 0;
        for (Message& m : messages_) {  // in the order of their publish
            if (m.queue != q || m.state != State::dead || may_not_redrive(m)) { continue; }
            redrive(m);
            ++redriven;
        }
        tell_children();
        return redriven;
    }
    Errc redrive(std::size_t q, std::size_t message) {
        if (is_shut(q)) { return Errc::closed; }
        if (!is_dead(q, message)) { return Errc::unknown_message; }
        if (may_not_redrive(messages_[message])) { return Errc::parent_failed; }
        redrive(messages_[message]);
        tell_children();
        return fine;
    }
    std::size_t purge_dead(std::size_t q) {
        if (is_shut(q)) { return 0; }
        const std::vector<std::size_t> dead = dead_letters(q);
        for (const std::size_t m : dead) { purge(messages_[m]); }
        tell_children();
        return dead.size();
    }

    // -- gates -----------------------------------------------------------------------------------

    std::size_t make_gate(std::uint32_t count) {
        gates_.push_back({{}, count, count == 0 ? LatchState::completed : LatchState::pending});
        return gates_.size() - 1;
    }
    Errc count_down(std::size_t g, std::uint32_t n) {
        if (closed_) { return Errc::closed; }
        Gate& gate = gates_[g];
        if (gate.state != LatchState::pending) { return fine; }
        if (mistake_ == Mistake::gate_opens_one_too_late && n >= gate.count) {
            gate.count = n > gate.count || gate.count == 0 ? 0 : 1;
            if (gate.count == 1) { return fine; }
        } else if (mistake_ == Mistake::gate_counts_below_zero) {
            gate.count -= n;
        } else {
            gate.count = n < gate.count ? gate.count - n : 0;
        }
        if (gate.count == 0) { decide(g, LatchState::completed); }
        return fine;
    }
    Errc fail_gate(std::size_t g, const std::string& text) {
        if (closed_) { return Errc::closed; }
        if (gates_[g].state != LatchState::pending) { return fine; }
        gates_[g].cause = Cause::failed;
        gates_[g].text = text.substr(0, 47);
        const bool opens = mistake_ == Mistake::failed_gate_opens;
        decide(g, opens ? LatchState::completed : LatchState::failed);
        return fine;
    }
    void copy_gate_handle(std::size_t g) { ++gates_[g].handles; }
    /// The last one goes: nobody can open the gate any more.
    void destroy_gate_handle(std::size_t g) {
        Gate& gate = gates_[g];
        --gate.handles;
        forget_text(gate);
        if (gate.handles != 0 || closed_ || gate.state != LatchState::pending) { return; }
        if (mistake_ == Mistake::abandoned_gate_stays_shut) { return; }
        gate.cause = Cause::abandoned;
        decide(g, LatchState::failed);
    }
    [[nodiscard]] static bool is_in_hand(const Gate& gate) {
        return gate.handles != 0 || gate.watchers != 0;
    }
    /// Somebody has a latch of it in hand. Of a gate that nobody had, that changes nothing.
    bool watch(const Named& whose) {
        if (whose.kind != Named::gate || !is_in_hand(gates_[whose.number])) { return false; }
        ++gates_[whose.number].watchers;
        return true;
    }
    void unwatch(const Named& whose) {
        --gates_[whose.number].watchers;
        forget_text(gates_[whose.number]);
    }
    [[nodiscard]] std::size_t gate_count() const { return gates_.size(); }
    [[nodiscard]] const Gate& gate(std::size_t g) const { return gates_[g]; }

    // -- looking ---------------------------------------------------------------------------------

    [[nodiscard]] Named find(const MessageId& id) const {
        if (id == MessageId{}) { return {}; }
        for (std::size_t m = 0; m < messages_.size(); ++m) {
            if (messages_[m].id == id) { return {Named::message, m}; }
        }
        for (std::size_t g = 0; g < gates_.size(); ++g) {
            if (gates_[g].id == id) { return {Named::gate, g}; }
        }
        for (std::size_t p = 0; p < posts_.size(); ++p) {
            if (posts_[p].id == id) { return {Named::post, p}; }
        }
        return {};
    }
    /// What this queue holds, or held last, under that id: itself, or a copy.
    [[nodiscard]] std::size_t in_queue(std::size_t q, const MessageId& id) const {
        std::size_t found = none;
        const Named whose = find(id);
        for (std::size_t m = 0; m < messages_.size(); ++m) {
            if (messages_[m].queue == q && named(m) == whose) { found = m; }
        }
        return found;
    }
    /// What its id names.
    [[nodiscard]] Named named(std::size_t message) const {
        const std::size_t post = messages_[message].post;
        return post == none ? Named{Named::message, message} : Named{Named::post, post};
    }
    [[nodiscard]] MessageId id_of_message(std::size_t message) const {
        return id_of(named(message));
    }
    /// What `latch(id).state()` says of it; a latch that somebody has in hand is not forgotten.
    [[nodiscard]] Answer<LatchState> latch(const Named& whose, bool in_hand = false) const {
        if (whose.kind == Named::nothing) { return {Errc::unknown_message}; }
        if (is_forgotten(whose) && !in_hand) { return {Errc::unknown_message}; }
        const LatchState state = fate(whose);
        // Nothing that was left when the broker closed will complete any more.
        const bool over = closed_ && state != LatchState::completed;
        return {fine, over ? LatchState::failed : state};
    }
    /// What `explain(id)` says of it.
    [[nodiscard]] latchbox::Explanation explain(const Named& whose, const MessageId& id) const {
        using latchbox::MessageState;
        latchbox::Explanation e;
        e.id = id;
        if (whose.kind == Named::gate) { explain(gates_[whose.number], e); }
        if (whose.kind != Named::message) { return e; }
        const Message& m = messages_[whose.number];
        const bool there = !queues_[m.queue].removed || stats(m.queue).leased != 0;
        if (there) { e.queue = queues_[m.queue].name; }
        if (m.state != State::gone) {
            explain(m, e);
        } else if (is_forgotten(whose)) {
            e.state = MessageState::forgotten;
        } else if (fate(whose) == LatchState::completed) {
            e.state = MessageState::completed;
        } else {
            e.state = MessageState::failed;
            e.reason = latchbox::Reason{m.failed_by};
        }
        return e;
    }

    /// Of its last failure, or of its death.
    [[nodiscard]] latchbox::Reason reason_of(const Message& m) const {
        if (m.cause == Cause::parent_failed) { return latchbox::Reason{id_of(m.culprit)}; }
        return latchbox::Reason{m.cause, m.text};
    }

    /// The broker names one of those parents that died at one instant: from here on it is that.
    void hear_of_culprit(std::size_t message, const MessageId& named) {
        Message& m = messages_[message];
        for (const Named& rival : m.rivals) {
            if (id_of(rival) == named) { m.culprit = rival; }
        }
    }

    // -- what there is ---------------------------------------------------------------------------

    [[nodiscard]] std::size_t message_count() const { return messages_.size(); }
    [[nodiscard]] const Message& message(std::size_t m) const { return messages_[m]; }
    [[nodiscard]] std::size_t post_count() const { return posts_.size(); }
    [[nodiscard]] const Post& post(std::size_t p) const { return posts_[p]; }
    /// Whether it waits for what need not come: a lease or a delay without end, a parent, its key.
    [[nodiscard]] bool is_held(std::size_t message) const {
        const Message& m = messages_[message];
        switch (m.state) {
            case State::leased: return m.deadline == never;
            case State::delayed: return m.due == never;
            case State::blocked: return is_held_by_parents(m) || ahead_in_key(m) != 0;
            default: return m.state != State::ready;
        }
    }
    [[nodiscard]] bool holds(std::size_t q, std::size_t m) const {
        return m != none && messages_[m].queue == q && messages_[m].state != State::gone;
    }
    /// Bodies that must be there: of what is held, unless the broker closed, and of what a handle
    /// can see.
    [[nodiscard]] std::size_t live_bodies() const {
        std::size_t live = 0;
        for (std::size_t m = 0; m < messages_.size(); ++m) {
            if (messages_[m].post != none) { continue; }
            const bool held = !closed_ && messages_[m].state != State::gone;
            live += held || body_is_shared(m) ? 1U : 0U;
        }
        for (std::size_t p = 0; p < posts_.size(); ++p) { live += has_body(p) ? 1U : 0U; }
        return live;
    }
    [[nodiscard]] bool has_body(std::size_t p) const {
        for (std::size_t h = 0; h < handles_.size(); ++h) {
            if (handles_[h].exists && messages_[message_of(h)].post == p) { return true; }
        }
        return (is_kept(p) && !closed_) || posts_[p].readers != 0;
    }
    /// A copy is held, or it can be read by id.
    [[nodiscard]] bool is_kept(std::size_t p) const {
        for (const Message& m : messages_) {
            if (m.post == p && m.state != State::gone) { return true; }
        }
        return posts_[p].retained;
    }

protected:
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
        Named culprit = {};
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
            const bool spared =
                mistake_ == Mistake::blocked_do_not_expire && m.state == State::blocked;
            if ((waits(m) && !spared) || (dead_too && m.state == State::dead)) {
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
                leave(m, Cause::expired);
                break;
            case Due::delay_ends: enter(m, State::ready); break;
        }
    }

    [[nodiscard]] static bool usable(const latchbox::PublishOptions& options) {
        if (options.delay.count() < 0 || options.expires_in.count() < 0) { return false; }
        if (options.block_for && options.block_for->count() < 0) { return false; }
        if (options.priority > 9) { return false; }
        if (options.expires_in.count() == never) { return true; }  // no wish, whatever the delay
        return options.expires_in.count() > options.delay.count();
    }
    [[nodiscard]] Message draft(const std::vector<Named>& parents,
                                const latchbox::PublishOptions& options) const {
        Message m;
        for (const Named& parent : parents) { m.parents.push_back({parent}); }
        m.on_parent_failure = options.on_parent_failure;
        m.key = options.key;
        m.priority = options.priority;
        m.time_to_live = options.expires_in.count();
        m.expires = after(now_, m.time_to_live);
        m.due = after(now_, options.delay.count());
        look_at_parents(m);
        return m;
    }
    // A publish that may wait for room is only ever made with no time to do so.
    [[nodiscard]] Errc make_room(std::size_t q, std::size_t wanted) {
        Queue& queue = queues_[q];
        const latchbox::QueueStats s = stats(q);
        const std::uint64_t held = s.held() + queue.forgotten_room;
        const std::uint64_t room =
            held < queue.options.capacity ? queue.options.capacity - held : 0;
        if (wanted <= room) { return fine; }
        const bool drop = queue.options.overflow == latchbox::Overflow::drop_oldest;
        if (!drop || wanted > room + evictable(s)) {
            queue.events.refused += wanted;
            const bool blocks = queue.options.overflow == latchbox::Overflow::block;
            return blocks && wanted <= queue.options.capacity ? Errc::timed_out : Errc::full;
        }
        for (std::uint64_t i = room; i < wanted; ++i) { evict_one(q); }
        return fine;
    }
    [[nodiscard]] std::uint64_t evictable(const latchbox::QueueStats& s) const {
        const bool spared = mistake_ == Mistake::blocked_are_not_evicted;
        return s.delayed + s.ready + s.dead + (spared ? 0 : s.blocked);
    }
    void evict_one(std::size_t q) {
        std::size_t victim = none;
        const std::vector<std::size_t> dead = dead_letters(q);
        if (!dead.empty()) { victim = dead.front(); }
        for (std::size_t i = 0; dead.empty() && i < messages_.size(); ++i) {
            const Message& m = messages_[i];
            if (m.queue != q || !waits(m)) { continue; }
            if (mistake_ == Mistake::blocked_are_not_evicted && m.state == State::blocked) {
                continue;
            }
            if (victim == none || goes_sooner(m, messages_[victim])) { victim = i; }
        }
        ++queues_[q].events.evicted;
        leave(messages_[victim], Cause::evicted);
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

    // -- values ----------------------------------------------------------------------------------

    [[nodiscard]] bool is_odd_batch(const latchbox::PublishOptions& options,
                                    std::size_t count) const {
        return count > 1 && !options.dedup.empty() && mistake_ != Mistake::batch_may_have_a_value;
    }
    // How many were forgotten for it. Of one text the last is kept.
    std::uint64_t keep_value(std::vector<Value>& values, std::string_view text, std::size_t number,
                             Ticks window) const {
        if (text.empty() || window == 0) { return 0; }
        Ticks until = after(now_, window);
        if (mistake_ == Mistake::dedup_window_one_tick_longer) { until = after(until, 1); }
        for (const Value& value : values) {
            const bool same = mistake_ == Mistake::dedup_window_is_that_of_the_value;
            if (same && value.text == text) { until = value.until; }
        }
        if (mistake_ != Mistake::redriven_one_takes_its_value_back) {
            std::erase_if(values, [text](const Value& value) { return value.text == text; });
        }
        values.push_back({std::string{text}, number, until});
        std::size_t first = 0;
        while (first < values.size() && values[first].until <= now_) { ++first; }
        if (values.size() - first <= most_values_) { return 0; }
        values.erase(values.begin() + static_cast<std::ptrdiff_t>(first));
        return 1;
    }
    void keep_value(std::size_t q, std::string_view text, std::size_t message) {
        Queue& queue = queues_[q];
        for (const Value& value : queue.values) {
            queue.values_again += value.text == text ? 1U : 0U;
        }
        queue.events.dedup_forgotten +=
            keep_value(queue.values, text, message, queue.options.dedup_window.count());
    }
    // Who came last with it, unless that is too long ago or came to a bad end.
    [[nodiscard]] std::size_t stands_for(const std::vector<Value>& values, std::string_view text,
                                         Named::Kind kind) const {
        const bool oldest = mistake_ == Mistake::redriven_one_takes_its_value_back;
        std::size_t found = none;
        for (const Value& value : values) {
            if (text.empty() || value.text != text || (oldest && found != none)) { continue; }
            const bool does = now_ < value.until && is_well({kind, value.number});
            found = does ? value.number : none;
        }
        return found;
    }
    [[nodiscard]] bool is_well(const Named& whose) const {
        const bool is_message = whose.kind == Named::message;
        if (is_message && mistake_ == Mistake::redriven_one_lost_its_value &&
            messages_[whose.number].redriven) {
            return false;
        }
        if (is_forgotten(whose)) {
            return mistake_ == Mistake::repeat_of_a_forgotten_one_is_dropped;
        }
        switch (fate(whose)) {
            case LatchState::pending: return true;
            case LatchState::completed:
                return !is_message || mistake_ != Mistake::repeat_of_a_completed_one_is_new;
            case LatchState::dead:
                return mistake_ == (is_message ? Mistake::repeat_of_a_dead_one_is_dropped
                                               : Mistake::repeat_of_a_dead_copy_is_dropped);
            case LatchState::failed: break;
        }
        return mistake_ == Mistake::repeat_of_a_failed_one_is_dropped;
    }
    std::size_t repeat(std::size_t q, std::size_t first) {
        latchbox::QueueStats& events = queues_[q].events;
        ++events.deduplicated;
        if (mistake_ == Mistake::repeat_is_counted_as_accepted) { ++events.accepted; }
        for (Value& value : queues_[q].values) {
            const bool again = mistake_ == Mistake::dedup_window_starts_again_with_each_repeat;
            const Ticks window = queues_[q].options.dedup_window.count();
            if (again && value.number == first) { value.until = after(now_, window); }
        }
        return first;
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
        if (death.cause != Cause::none) {
            m.cause = death.cause;
            m.text = death.text.substr(0, 47);
            m.culprit = {};
        }
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
            return leave(m, Cause::expired);
        }
        if (at_the_back) { draw_place(m); }
        m.due = after(now_, pause);
        const bool lost = mistake_ == Mistake::key_head_lost_on_requeue && at_the_back;
        if (!lost || !m.in_line) { return go(m); }
        enter(m, State::blocked);
        advance_line(m);
    }
    // It waits for nobody any more.
    void go(Message& m) { enter(m, m.due > now_ ? State::delayed : State::ready); }
    void enter(Message& m, State state) {
        m.state = state;
        m.since = next_since_++;
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
        enter(m, State::dead);
        m.death = queue.next_death++;
        m.cause = death.cause;
        m.text = death.text.substr(0, 47);
        m.culprit = death.culprit;
        m.rivals.clear();
        if (mistake_ != Mistake::dying_keeps_the_line_busy) { leave_line(m); }
        changed(m);
        while (queue.options.dead_capacity &&
               dead_letters(m.queue).size() > *queue.options.dead_capacity) {
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
        m.due = now_;
        m.redriven = true;
        look_at_parents(m);
        const bool asks = mistake_ != Mistake::redrive_waits_for_no_parent;
        arrive(m, asks ? judge(m) : Judgement::goes);
        changed(m);
    }
    // A publish of it would be dead on arrival.
    [[nodiscard]] bool may_not_redrive(Message m) const {
        look_at_parents(m);
        return judge(m) == Judgement::dies && mistake_ != Mistake::redrive_though_a_parent_is_dead;
    }
    void complete(Message& m) {
        ++queues_[m.queue].events.completed;
        leave(m, Cause::none);
    }
    void purge(Message& m) {
        Queue& queue = queues_[m.queue];
        ++queue.events.purged;
        const bool keep = mistake_ == Mistake::purge_of_dead_keeps_their_room;
        if (keep && m.state == State::dead) { ++queue.forgotten_room; }
        leave(m, Cause::purged);
    }
    // All that waits in it goes at once, what is leased when its lease is over.
    void end(std::size_t q) {
        queues_[q].removed = true;
        purge_waiting(q);
        for (const std::size_t m : dead_letters(q)) { purge(messages_[m]); }
        const bool impatient = mistake_ == Mistake::leased_copy_leaves_with_its_subscription;
        for (Message& m : messages_) {
            if (impatient && m.post != none && m.queue == q && m.state == State::leased) {
                leases_[m.lease].live = false;
                purge(m);
            }
        }
        tell_children();
    }
    // Every exit passes here: for good, and completed if nothing is the cause.
    void leave(Message& m, Cause failed_by) {
        enter(m, State::gone);
        m.failed_by = failed_by;
        m.left_at = now_;
        m.left_by_time = time_acts_ && m.post == none && !body_is_shared(number_of(m));
        if (m.post != none) {
            judge_copy(m);
        } else if (failed_by != Cause::none) {
            remember_failure(m);
        }
        const bool gap =
            mistake_ == Mistake::key_gap_not_closed_on_expiry && failed_by == Cause::expired;
        if (!gap) { leave_line(m); }
        const bool forgets =
            (mistake_ == Mistake::cancel_forgets_the_children && failed_by == Cause::cancelled) ||
            (mistake_ == Mistake::eviction_forgets_the_children && failed_by == Cause::evicted) ||
            (mistake_ == Mistake::expiry_forgets_the_children && failed_by == Cause::expired) ||
            (mistake_ == Mistake::purge_forgets_the_children && failed_by == Cause::purged);
        if (!forgets) { changed(m); }
    }

    // -- parents ---------------------------------------------------------------------------------

    // Of one whose children do not all know yet.
    struct Change {
        Named whose = {};
        std::size_t next_child = 0;  // the first that may not know
    };
    enum class Judgement : std::uint8_t { goes, waits, dies };

    // The truth of it, remembered or not.
    [[nodiscard]] LatchState fate(const Named& whose) const {
        if (whose.kind == Named::gate) { return gates_[whose.number].state; }
        if (whose.kind == Named::post) { return fate_of_copies(whose.number); }
        const Message& m = messages_[whose.number];
        if (m.state == State::dead) { return LatchState::dead; }
        if (m.state != State::gone) { return LatchState::pending; }
        const bool forgetful = mistake_ == Mistake::forgotten_failure_reads_as_completed;
        if (forgetful && !is_remembered(whose.number)) { return LatchState::completed; }
        return m.failed_by == Cause::none ? LatchState::completed : LatchState::failed;
    }
    [[nodiscard]] LatchState fate(const Parent& parent) const {
        return parent.lost ? LatchState::failed : fate(parent.who);
    }
    [[nodiscard]] bool is_held_by_parents(const Message& m) const {
        for (const Parent& parent : m.parents) {
            const LatchState state = fate(parent);
            if (verdict(m.on_parent_failure, state) == Judgement::waits) { return true; }
        }
        return false;
    }
    // A copy that is gone: what that means to its post.
    void judge_copy(Message& m) {
        const bool ended = queues_[m.queue].removed;
        m.spared = (m.failed_by == Cause::evicted || ended) && !m.replayed;
        if (mistake_ == Mistake::evicted_copy_fails && m.failed_by == Cause::evicted) {
            m.spared = false;
        }
        if (mistake_ == Mistake::copy_left_behind_fails && ended) { m.spared = false; }
        if (mistake_ == Mistake::cancelled_copy_completes && m.failed_by == Cause::cancelled) {
            m.spared = true;
        }
        const bool counts = !m.replayed || mistake_ == Mistake::replayed_copy_counts;
        const bool failed = m.failed_by != Cause::none && !m.spared && counts;
        Cause& first = posts_[m.post].failed_by;
        if (failed && first == Cause::none) { first = m.failed_by; }
    }
    // One that failed decides, then one that is dead, then one that is pending.
    [[nodiscard]] LatchState fate_of_copies(std::size_t p) const {
        const bool failed = posts_[p].failed_by != Cause::none;
        if (failed && mistake_ != Mistake::dead_copy_outranks_a_failed_one) {
            return LatchState::failed;
        }
        bool dead = false;
        bool pending = posts_[p].unrouted && mistake_ == Mistake::unrouted_message_stays_pending;
        bool completed = false;
        for (const Message& m : messages_) {
            if (m.post != p) { continue; }
            if (m.replayed && mistake_ != Mistake::replayed_copy_counts) { continue; }
            dead = dead || m.state == State::dead;
            completed = completed || m.state == State::gone;
            pending = pending || (m.state != State::gone && m.state != State::dead);
        }
        if (completed && mistake_ == Mistake::one_completed_copy_is_enough) {
            return LatchState::completed;
        }
        if (pending && mistake_ == Mistake::pending_copy_outranks_a_dead_one) {
            return LatchState::pending;
        }
        if (dead) { return LatchState::dead; }
        if (failed) { return LatchState::failed; }
        return pending ? LatchState::pending : LatchState::completed;
    }
    [[nodiscard]] bool is_remembered(std::size_t message) const {
        for (const std::size_t failure : queues_[messages_[message].queue].failures) {
            if (failure == message) { return true; }
        }
        return false;
    }
    // Whether nobody can tell any more how it ended: it may have failed. Of posts, more are
    // remembered than a script will ever make.
    [[nodiscard]] bool is_forgotten(const Named& whose) const {
        if (whose.kind != Named::message) { return false; }
        const Message& m = messages_[whose.number];
        if (m.state != State::gone || is_remembered(whose.number)) { return false; }
        if (mistake_ == Mistake::forgotten_failure_reads_as_completed) { return false; }
        return m.number <= queues_[m.queue].forgotten;
    }
    void remember_failure(const Message& m) {
        Queue& queue = queues_[m.queue];
        const std::size_t more = mistake_ == Mistake::failure_lasts_one_too_long ? 1 : 0;
        queue.failures.push_back(number_of(m));
        while (queue.failures.size() > queue.options.outcome_memory + more) {
            const std::uint64_t number = messages_[queue.failures.front()].number;
            const bool last = mistake_ == Mistake::boundary_is_that_of_the_last_forgotten;
            if (number > queue.forgotten || last) { queue.forgotten = number; }
            queue.failures.erase(queue.failures.begin());
        }
    }
    // Each looked at once, in order.
    [[nodiscard]] Answer<std::vector<Named>> look_up(const std::vector<MessageId>& ids) const {
        Answer<std::vector<Named>> parents;
        for (const MessageId& id : ids) {
            const Named parent = find(id);
            if (parent.kind == Named::nothing || is_forgotten(parent)) {
                return {Errc::unknown_parent};
            }
            bool again = false;
            for (const Named& other : parents.value) { again = again || other == parent; }
            if (again && mistake_ != Mistake::duplicate_parents_count_twice) { continue; }
            parents.value.push_back(parent);
        }
        return parents;
    }
    // What a parent in that state means to a child with that wish.
    [[nodiscard]] Judgement verdict(OnParentFailure wish, LatchState parent) const {
        const bool dead = parent == LatchState::dead;
        switch (parent) {
            case LatchState::completed: return Judgement::goes;
            case LatchState::pending:
                return wish == OnParentFailure::deliver &&
                               mistake_ == Mistake::deliver_does_not_wait
                           ? Judgement::goes
                           : Judgement::waits;
            case LatchState::dead:
            case LatchState::failed: break;
        }
        switch (wish) {
            case OnParentFailure::dead_letter:
                return dead && mistake_ == Mistake::child_of_a_dead_parent_is_delivered
                           ? Judgement::goes
                           : Judgement::dies;
            case OnParentFailure::deliver:
                return mistake_ == Mistake::deliver_is_dead_letter ? Judgement::dies
                                                                   : Judgement::goes;
            case OnParentFailure::hold: break;
        }
        if (dead) {
            return mistake_ == Mistake::hold_dies_with_a_dead_parent ? Judgement::dies
                                                                     : Judgement::waits;
        }
        return mistake_ == Mistake::hold_waits_for_a_failed_parent ? Judgement::waits
                                                                   : Judgement::dies;
    }
    void look_at_parents(Message& m) const {
        m.blame = {};
        for (Parent& parent : m.parents) { tell(m, parent); }
    }
    // The first that kills it is to blame.
    void tell(Message& m, Parent& parent) const {
        parent.told = fate(parent);
        const bool last = mistake_ == Mistake::reason_names_the_last_parent;
        const bool dies = verdict(m.on_parent_failure, parent.told) == Judgement::dies;
        if (dies && (last || m.blame == Named{})) { m.blame = parent.who; }
    }
    // By what it was told.
    [[nodiscard]] Judgement judge(const Message& m) const {
        Judgement all = Judgement::goes;
        for (const Parent& parent : m.parents) {
            const Judgement one = verdict(m.on_parent_failure, parent.told);
            if (one > all) { all = one; }
        }
        return all == Judgement::goes && has_duplicates(m) ? Judgement::waits : all;
    }
    [[nodiscard]] static bool has_duplicates(const Message& m) {
        for (std::size_t i = 0; i < m.parents.size(); ++i) {
            for (std::size_t j = 0; j < i; ++j) {
                if (m.parents[i].who == m.parents[j].who) { return true; }
            }
        }
        return false;
    }
    [[nodiscard]] std::vector<latchbox::Explanation::Parent> waited_for(const Message& m) const {
        std::vector<latchbox::Explanation::Parent> parents;
        for (const Parent& parent : m.parents) {
            const LatchState state = fate(parent);
            if (verdict(m.on_parent_failure, state) == Judgement::goes) { continue; }
            parents.push_back({id_of(parent.who), state});
        }
        return parents;
    }
    [[nodiscard]] MessageId id_of(const Named& whose) const {
        switch (whose.kind) {
            case Named::nothing: break;
            case Named::message: return messages_[whose.number].id;
            case Named::gate: return gates_[whose.number].id;
            case Named::post: return posts_[whose.number].id;
        }
        return {};
    }

    // Published, or redriven.
    void arrive(Message& m, Judgement judgement) {
        if (judgement == Judgement::dies) {
            die(m, {Cause::parent_failed, {}, m.blame});
            m.in_line = mistake_ == Mistake::dead_on_arrival_joins_its_line && !m.key.empty();
            return;
        }
        m.held_back = judgement == Judgement::waits;
        if (m.key.empty() && !m.held_back) { return go(m); }
        enter(m, State::blocked);
        if (m.key.empty()) { return; }
        // A redriven one does not stand in anybody's way while it waits for parents.
        m.in_line = !m.redriven || !m.held_back;
        advance_line(m);
    }
    void changed(const Message& m) {
        if (holds_back_) { return held_back_.push_back(number_of(m)); }
        if (m.post == none) { return change({Named::message, number_of(m)}); }
        const bool gone = m.state == State::gone;
        std::erase(turned_, m.post);
        (gone ? left_ : turned_).push_back(m.post);
    }
    // What happened at one instant in several queues is told queue by queue, in the order in which
    // they were made, each with all that follows from it.
    void hold_back() { holds_back_ = true; }
    void tell_held_back() {
        holds_back_ = false;
        const std::vector<std::size_t> all = std::exchange(held_back_, {});
        for (std::size_t q = 0; q < queues_.size(); ++q) {
            for (const std::size_t m : all) {
                if (messages_[m].queue == q) { changed(messages_[m]); }
            }
            tell_children();
        }
    }
    // The copies of one queue that died or were redriven come before those that left.
    void tell_posts() {
        if (holds_back_) { return; }
        turned_.insert(turned_.end(), left_.begin(), left_.end());
        left_.clear();
        for (const std::size_t p : std::exchange(turned_, {})) {
            const LatchState now = fate_of_copies(p);
            if (posts_[p].told == now) { continue; }
            posts_[p].told = now;
            change({Named::post, p});
        }
    }
    void change(const Named& whose) {
        for (Change& other : changed_) {
            if (other.whose == whose) {
                other.next_child = 0;
                return;
            }
        }
        changed_.push_back({whose});
    }
    // Whatever waits for them learns how it stands with them now; and then who waits for those that
    // die of it, and so on. Children that follow each other in one queue all learn of it before the
    // first of them dies.
    void tell_children() {
        tell_posts();
        while (!changed_.empty()) {
            const std::vector<std::size_t> told = tell_some();
            const std::size_t so_far = changed_.size();
            for (std::size_t i = 0; i < told.size(); ++i) {
                const bool backwards = mistake_ == Mistake::children_are_told_newest_first;
                settle_child(messages_[told[backwards ? told.size() - 1 - i : i]]);
            }
            tell_posts();
            if (mistake_ == Mistake::death_does_not_cascade) { changed_.resize(so_far); }
        }
    }
    // Those that do not have to wait any longer.
    std::vector<std::size_t> tell_some() {
        std::vector<std::size_t> told;
        while (!changed_.empty()) {
            Change& change = changed_.front();
            for (; change.next_child < messages_.size(); ++change.next_child) {
                Message& m = messages_[change.next_child];
                if (!waits_for(m, change.whose)) { continue; }
                if (!told.empty() && m.queue != messages_[told.front()].queue) { return told; }
                const bool news = tell(m, change.whose);
                if (!news || judge(m) == Judgement::waits) { continue; }
                told.push_back(change.next_child);
            }
            changed_.erase(changed_.begin());
        }
        return told;
    }
    // Or would, if it were redriven.
    [[nodiscard]] static bool waits_for(const Message& m, const Named& whose) {
        bool does = false;
        for (const Parent& parent : m.parents) {
            const bool open = parent.told == LatchState::pending || parent.told == LatchState::dead;
            does = does || (open && parent.who == whose && m.state != State::gone);
        }
        return does;
    }
    bool tell(Message& m, const Named& whose) const {
        bool news = false;
        for (Parent& parent : m.parents) {
            if (parent.who != whose || parent.told == fate(parent)) { continue; }
            tell(m, parent);
            news = true;
        }
        return news;
    }
    void settle_child(Message& m) {
        const Judgement judgement = judge(m);
        if (m.state != State::blocked || judgement == Judgement::waits) { return; }
        if (judgement == Judgement::dies) { return die(m, {Cause::parent_failed, {}, m.blame}); }
        m.held_back = false;
        if (m.key.empty()) { return open(m); }
        enter(m, State::blocked);
        m.in_line = true;
        advance_line(m);
    }
    // It was blocked.
    void open(Message& m) {
        if (mistake_ == Mistake::opened_latch_ends_the_delay) { m.due = now_; }
        if (mistake_ == Mistake::opened_latch_goes_to_the_back) { draw_place(m); }
        go(m);
    }
    // A gate that nobody has in hand keeps the cause of its failure alone.
    static void forget_text(Gate& gate) {
        if (!is_in_hand(gate)) { gate.text.clear(); }
    }
    void decide(std::size_t g, LatchState state) {
        gates_[g].state = state;
        change({Named::gate, g});
        tell_children();
    }

    // -- keys ------------------------------------------------------------------------------------

    // At most one of a line is ready, delayed or leased. Those never redriven go in the order of
    // their publish, also where the first of them has to wait for parents; redriven ones may
    // overtake it then.
    void advance_line(const Message& of) {
        Message* first = nullptr;  // of those never redriven
        Message* next = nullptr;
        for (Message& m : messages_) {
            if (!m.in_line || !same_line(m, of)) { continue; }
            if (m.state != State::blocked) { return; }
            Message*& best = m.redriven ? next : first;
            if (best == nullptr || goes_before(m, *best)) { best = &m; }
        }
        const bool may = first != nullptr && !first->held_back;
        if (mistake_ == Mistake::redriven_waits_behind_a_front_held_back && first != nullptr) {
            next = nullptr;
        }
        if (may && (next == nullptr || goes_before(*first, *next))) { next = first; }
        if (next != nullptr) { open(*next); }
    }
    // Closes the gap.
    void leave_line(Message& m) {
        if (!m.in_line) { return; }
        m.in_line = false;
        advance_line(m);
    }
    [[nodiscard]] bool same_line(const Message& a, const Message& b) const {
        if (a.key != b.key) { return false; }
        return a.queue == b.queue || mistake_ == Mistake::key_is_one_line_in_all_queues;
    }
    [[nodiscard]] bool goes_before(const Message& a, const Message& b) const {
        if (mistake_ == Mistake::priority_outranks_the_key) { return before(a, b); }
        if (mistake_ == Mistake::redrive_joins_the_front_of_its_line && a.redriven != b.redriven) {
            return a.redriven;
        }
        return a.place < b.place;
    }
    [[nodiscard]] std::uint64_t ahead_in_key(const Message& m) const {
        std::uint64_t ahead = 0;
        for (const Message& other : messages_) {
            if (!m.in_line || !other.in_line || &m == &other || !same_line(m, other)) { continue; }
            ahead += other.state != State::blocked || goes_before(other, m) ? 1U : 0U;
        }
        return ahead;
    }

    // -- words -----------------------------------------------------------------------------------

    static void explain(const Gate& gate, latchbox::Explanation& e) {
        using latchbox::MessageState;
        if (gate.state == LatchState::pending) {
            e.state = MessageState::shut;
            e.count = gate.count;
        } else if (gate.state == LatchState::completed) {
            e.state = MessageState::completed;
        } else {
            e.state = MessageState::failed;
            e.reason = latchbox::Reason{gate.cause, gate.text};
        }
    }
    void explain(const Message& m, latchbox::Explanation& e) const {
        using latchbox::MessageState;
        e.attempt = m.attempt;
        e.failures = m.failures;
        e.key = m.key;
        e.reason = reason_of(m);
        switch (m.state) {
            case State::blocked:
                e.state = MessageState::blocked;
                e.parents = waited_for(m);
                e.ahead_in_key = ahead_in_key(m);
                break;
            case State::delayed:
                e.state = MessageState::delayed;
                e.until = instant(m.due);
                break;
            case State::ready:
                e.state = MessageState::ready;
                for (const Message& other : messages_) {
                    const bool there = other.queue == m.queue && other.state == State::ready;
                    e.ahead += there && before(other, m) ? 1U : 0U;
                }
                break;
            case State::leased:
                e.state = MessageState::leased;
                e.until = instant(m.deadline);
                break;
            case State::dead: e.state = MessageState::dead; break;
            case State::gone: break;
        }
    }
    [[nodiscard]] static latchbox::Instant instant(Ticks at) {
        return latchbox::Instant{latchbox::Duration::nanoseconds(at)};
    }

    [[nodiscard]] static bool waits(const Message& m) {
        return m.state == State::ready || m.state == State::delayed || m.state == State::blocked;
    }
    // First the ready ones, in line, then the delayed and then the blocked ones, as they became so.
    std::size_t purge_waiting(std::size_t q) {
        for (std::size_t purged = 0;; ++purged) {
            Message* first = nullptr;
            for (Message& m : messages_) {
                if (m.queue != q || !waits(m)) { continue; }
                const bool skip = m.state == State::blocked;
                if (skip && mistake_ == Mistake::blocked_are_not_purged) { continue; }
                if (first == nullptr || leaves_before(m, *first)) { first = &m; }
            }
            if (first == nullptr) { return purged; }
            purge(*first);
        }
    }
    [[nodiscard]] bool leaves_before(const Message& a, const Message& b) const {
        if (a.state != b.state) {
            return a.state == State::ready ||
                   (a.state == State::delayed && b.state != State::ready);
        }
        return a.state == State::ready ? before(a, b) : a.since < b.since;
    }
    [[nodiscard]] std::size_t number_of(const Message& m) const {
        return static_cast<std::size_t>(&m - messages_.data());
    }
    [[nodiscard]] bool is_dead(std::size_t q, std::size_t m) const {
        return holds(q, m) && messages_[m].state == State::dead;
    }

    Mistake mistake_;
    Ticks now_ = 0;
    bool time_acts_ = false;
    bool closed_ = false;
    bool draining_ = false;
    std::vector<Queue> queues_;
    std::vector<Message> messages_;
    std::vector<Lease> leases_;
    std::vector<Handle> handles_;
    std::vector<Gate> gates_;
    std::vector<Post> posts_;
    std::vector<Change> changed_;
    std::vector<std::size_t> turned_;  // posts of which a copy died, or was redriven
    std::vector<std::size_t> left_;    // and of which one left
    bool holds_back_ = false;
    std::vector<std::size_t> held_back_;  // messages that changed
    std::uint64_t next_since_ = 0;
    std::size_t most_values_ = 65'536;
};

}  // namespace model
