// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "model/topics_model.hpp"

// The last part of the model: transactions. One is a list of what it was given; a commit asks
// everything there is to ask before it does anything, then settles in order and publishes in order.
namespace model {

struct Transaction {
    struct Settle {
        std::size_t handle = none;
        Verb verb = {};
    };
    struct Publish {
        std::size_t queue = none;
        std::size_t topic = none;  // one of the two
        std::uint64_t body = 0;
        latchbox::PublishOptions options = {};
        Ticks at = 0;  // of the verb
    };
    std::vector<Settle> settles = {};
    std::vector<Publish> publishes = {};
    Errc said = fine;  // by the first verb that said anything
    bool committed = false;
};

class TransactionBroker : public TopicBroker {
public:
    using TopicBroker::TopicBroker;

    // -- verbs -----------------------------------------------------------------------------------

    /// A delivery that is none, or belongs to somebody else.
    Errc refuse(Transaction& t, Errc error) const {
        if (closed_) { return Errc::closed; }
        return t.committed ? Errc::already_settled : say(t, error);
    }
    Errc settle_in(Transaction& t, std::size_t handle, const Verb& verb) const {
        const bool gone = handles_[handle].settled;
        if (gone || closed_ || t.committed) { return refuse(t, Errc::already_settled); }
        t.settles.push_back({handle, verb});
        return fine;
    }
    Errc publish_in(Transaction& t, const Transaction::Publish& publish) const {
        if (closed_ || t.committed) { return refuse(t, {}); }
        const bool usable_there =
            publish.queue == none ? usable_for_topic(publish.options)
                                  : Broker::usable(publish.options) && !publish.options.retain_for;
        if (!usable_there) { return refuse(t, Errc::invalid_option); }
        t.publishes.push_back(publish);
        t.publishes.back().at = now_;
        return fine;
    }

    // -- commit ----------------------------------------------------------------------------------

    /// What came of its publishes, in order. What it owned is gone with it.
    Answer<std::vector<Named>> commit(Transaction& t) {
        if (mistake_ == Mistake::commit_can_be_repeated && t.committed && !closed_) { return {}; }
        Answer<std::vector<Named>> answer = carry_out(t);
        if (answer.error != fine) {
            if (mistake_ == Mistake::commit_that_is_refused_lets_go) { drop(t); }
            if (mistake_ == Mistake::commit_that_is_refused_is_the_last) { t.committed = true; }
            return answer;
        }
        for (const Transaction::Settle& settle : t.settles) { detach(settle.handle); }
        t = {.committed = true};
        return answer;
    }
    /// The short form: the delivery stays, settled.
    Answer<std::vector<Named>> ack_and_publish(std::size_t handle,
                                               const Transaction::Publish& publish) {
        // As every verb of a delivery has it, whatever else may be wrong.
        if (handles_[handle].settled) { return {closed_ ? Errc::closed : Errc::already_settled}; }
        if (is_closed(publish.queue)) { return {Errc::closed}; }
        Transaction t;
        static_cast<void>(settle_in(t, handle, {Verb::ack}));
        static_cast<void>(publish_in(t, publish));
        const auto answer = carry_out(t);
        if (answer.error != fine && mistake_ == Mistake::refused_forward_settles) {
            static_cast<void>(Broker::settle(handle, {Verb::ack}));
        }
        return answer;
    }
    /// Destroyed: what it still owns is released.
    void drop(Transaction& t) {
        const bool acks = mistake_ == Mistake::dropped_transaction_acks;
        const Verb verb{acks ? Verb::ack : Verb::release};
        for (const Transaction::Settle& settle : t.settles) {
            if (mistake_ == Mistake::dropped_transaction_requeues) { break; }
            static_cast<void>(Broker::settle(settle.handle, verb));
        }
        // Of a queue that is gone they leave as any handle does.
        for (const Transaction::Settle& settle : t.settles) { destroy(settle.handle); }
        t.settles.clear();
        t.publishes.clear();
    }
    [[nodiscard]] std::size_t queue_of(const Transaction::Settle& settle) const {
        return leases_[handles_[settle.handle].lease].queue;
    }

private:
    [[nodiscard]] Errc say(Transaction& t, Errc error) const {
        const bool last = mistake_ == Mistake::commit_says_what_the_last_verb_said;
        if (t.said == fine || last) { t.said = error; }
        return error;
    }

    // -- what there is to ask ---------------------------------------------------------------------

    [[nodiscard]] Errc ask_whether_open(const Transaction& t) const {
        const bool blind = mistake_ == Mistake::transaction_ignores_that_a_queue_is_gone;
        for (const Transaction::Settle& settle : t.settles) {
            if (is_closed(queue_of(settle)) && !blind) { return Errc::closed; }
        }
        for (const Transaction::Publish& publish : t.publishes) {
            if (publish.queue != none && is_closed(publish.queue)) { return Errc::closed; }
        }
        const bool wrong = mistake_ == Mistake::draining_accepts_commits_that_settle_nothing;
        const bool may = !t.settles.empty() ? mistake_ != Mistake::draining_refuses_commits : wrong;
        return draining_ && !may ? Errc::closed : fine;
    }
    [[nodiscard]] Errc ask_for_parents(const Transaction& t) const {
        for (const Transaction::Publish& publish : t.publishes) {
            const Errc error = look_up(publish.options.parents).error;
            if (error != fine) { return error; }
        }
        return fine;
    }
    [[nodiscard]] Errc ask_for_leases(const Transaction& t) const {
        if (mistake_ == Mistake::commit_overlooks_a_lost_lease) { return fine; }
        for (const Transaction::Settle& settle : t.settles) {
            if (!leases_[handles_[settle.handle].lease].live) { return Errc::lease_lost; }
        }
        return fine;
    }
    // Who stands for each of its publishes: one that was there before, or an earlier one of them.
    struct Repeat {
        Named of = {};
        std::size_t earlier = none;
        [[nodiscard]] bool is_one() const { return of != Named{} || earlier != none; }
    };
    [[nodiscard]] std::vector<Repeat> find_repeats(const Transaction& t) const {
        std::vector<Repeat> repeats;
        for (const Transaction::Publish& publish : t.publishes) {
            Repeat repeat;
            for (std::size_t i = 0; i < repeats.size(); ++i) {
                const bool same = is_same(publish, t.publishes[i]) && !repeats[i].is_one();
                if (same && repeat.earlier == none) { repeat.earlier = i; }
            }
            if (mistake_ == Mistake::commit_overlooks_its_own_values) { repeat.earlier = none; }
            const std::size_t there = who_stands_for(publish);
            const bool is_post = publish.queue == none;
            if (there != none) { repeat.of = {is_post ? Named::post : Named::message, there}; }
            repeats.push_back(repeat);
        }
        return repeats;
    }
    [[nodiscard]] std::size_t who_stands_for(const Transaction::Publish& publish) const {
        return publish.queue != none ? stands_for(publish.queue, publish.options.dedup)
                                     : stands_for_post(publish.topic, publish.options.dedup);
    }
    [[nodiscard]] bool is_same(const Transaction::Publish& a, const Transaction::Publish& b) const {
        const Ticks window = a.queue != none ? queues_[a.queue].options.dedup_window.count()
                                             : topics_[a.topic].options.dedup_window.count();
        return a.queue == b.queue && a.topic == b.topic && !a.options.dedup.empty() &&
               a.options.dedup == b.options.dedup && window != 0;
    }
    // Its acks make room before its publishes take it.
    [[nodiscard]] Errc ask_for_room(const Transaction& t, const std::vector<Repeat>& repeats) {
        std::vector<std::size_t> freed(queues_.size());
        std::vector<std::size_t> wanted(queues_.size());
        for (const Transaction::Settle& settle : t.settles) {
            const bool counts = settle.verb.kind == Verb::ack
                                    ? mistake_ != Mistake::commit_counts_no_room_of_its_acks
                                    : mistake_ == Mistake::commit_counts_room_of_its_rejects;
            freed[queue_of(settle)] += counts ? 1U : 0U;
        }
        for (std::size_t i = 0; i < t.publishes.size(); ++i) {
            if (repeats[i].is_one()) { continue; }
            const Errc error = ask_for_room(t.publishes[i], freed, wanted);
            if (error != fine) { return error; }
        }
        return fine;
    }
    [[nodiscard]] Errc ask_for_room(const Transaction::Publish& publish,
                                    const std::vector<std::size_t>& freed,
                                    std::vector<std::size_t>& wanted) {
        const bool is_post = publish.queue == none;
        const std::vector<std::size_t> to =
            is_post ? matching(topics_[publish.topic].subject) : std::vector{publish.queue};
        if (to.empty() && topics_[publish.topic].options.unrouted == latchbox::Unrouted::reject) {
            ++topics_[publish.topic].events.refused;
            return Errc::no_subscriber;
        }
        for (const std::size_t q : to) { ++wanted[q]; }
        for (const std::size_t q : to) {
            if (fits(q, freed[q], wanted[q])) { continue; }
            ++queues_[q].events.refused;
            if (is_post) { ++topics_[publish.topic].events.refused; }
            const bool blocks = queues_[q].options.overflow == latchbox::Overflow::block;
            return blocks && mistake_ == Mistake::commit_waits_for_room ? Errc::timed_out
                                                                        : Errc::full;
        }
        return fine;
    }
    [[nodiscard]] bool fits(std::size_t q, std::size_t freed, std::size_t wanted) const {
        const Queue& queue = queues_[q];
        const bool drops = queue.options.overflow == latchbox::Overflow::drop_oldest ||
                           queue.options.overflow == latchbox::Overflow::drop_newest;
        if (drops && queue.is_subscription) { return true; }
        const latchbox::QueueStats s = stats_of(q);
        const std::uint64_t held = s.held() + wanted - freed;
        return held <= queue.options.capacity + (drops ? evictable(s) : 0);
    }
    [[nodiscard]] latchbox::QueueStats stats_of(std::size_t q) const { return Broker::stats(q); }

    [[nodiscard]] Errc ask_all(const Transaction& t, const std::vector<Repeat>& repeats) {
        const bool deaf = mistake_ == Mistake::commit_forgets_what_its_verbs_said;
        if (closed_) { return Errc::closed; }
        if (t.committed) { return Errc::already_settled; }
        if (const Errc error = ask_whether_open(t); error != fine) { return error; }
        if (t.said != fine && !deaf) { return t.said; }
        if (mistake_ == Mistake::commit_needs_a_settle && t.settles.empty()) {
            return Errc::invalid_option;
        }
        if (mistake_ == Mistake::commit_asks_for_leases_before_parents) {
            if (const Errc error = ask_for_leases(t); error != fine) { return error; }
        }
        if (const Errc error = ask_for_parents(t); error != fine) { return error; }
        if (mistake_ == Mistake::commit_asks_for_room_before_leases) {
            if (const Errc error = ask_for_room(t, repeats); error != fine) { return error; }
        }
        if (const Errc error = ask_for_leases(t); error != fine) { return error; }
        return ask_for_room(t, repeats);
    }

    // -- and to do -------------------------------------------------------------------------------

    Answer<std::vector<Named>> carry_out(const Transaction& t) {
        if (!closed_) { age(); }
        std::vector<Repeat> repeats = find_repeats(t);
        const Errc refused = ask_all(t, repeats);
        if (refused != fine) {
            const bool half =
                refused == Errc::full && mistake_ == Mistake::commit_settles_though_refused;
            if (half) { settle_all(t); }
            return {refused};
        }
        hold_back();
        // Children stand with their parents as before; what becomes of these they learn at once.
        std::vector<Message> drafts;
        for (const Transaction::Publish& publish : t.publishes) {
            drafts.push_back(draft_of(t, publish));
        }
        std::vector<std::uint64_t> deaths;
        for (const Queue& queue : queues_) { deaths.push_back(queue.next_death); }
        const bool early = mistake_ == Mistake::commit_publishes_before_it_settles;
        if (!early) { settle_all(t); }
        if (mistake_ == Mistake::commit_judges_values_after_its_settles) {
            repeats = find_repeats(t);
        }
        Answer<std::vector<Named>> answer = publish_all(t, drafts, repeats);
        if (early) { settle_all(t); }
        tell_held_back();
        find_rivals(deaths);
        return answer;
    }
    // All that a commit does is one instant: of two parents that died in it, none was the first.
    // `deaths`: how many there had been in each queue.
    void find_rivals(const std::vector<std::uint64_t>& deaths) {
        for (Message& m : messages_) {
            const bool died = m.state == State::dead && m.death >= deaths[m.queue];
            if (!died || m.cause != Cause::parent_failed) { continue; }
            for (const Parent& parent : m.parents) {
                const bool kills = verdict(m.on_parent_failure, fate(parent)) == Judgement::dies;
                if (kills) { m.rivals.push_back(parent.who); }
            }
        }
    }
    void settle_all(const Transaction& t) {
        for (const Transaction::Settle& settle : t.settles) {
            Handle& handle = handles_[settle.handle];
            Lease& lease = leases_[handle.lease];
            handle.settled = true;
            if (!lease.live) { continue; }
            lease.live = false;
            Broker::settle(messages_[lease.message], settle.verb);
        }
    }
    Answer<std::vector<Named>> publish_all(const Transaction& t, const std::vector<Message>& drafts,
                                           const std::vector<Repeat>& repeats) {
        std::vector<std::size_t> wanted(queues_.size());
        for (std::size_t i = 0; i < t.publishes.size(); ++i) {
            const bool adds = t.publishes[i].queue != none && !repeats[i].is_one();
            if (adds) { ++wanted[t.publishes[i].queue]; }
        }
        for (std::size_t q = 0; q < queues_.size(); ++q) {
            if (wanted[q] != 0) { evict_for(q, wanted[q]); }
        }
        Answer<std::vector<Named>> answer;
        for (std::size_t i = 0; i < t.publishes.size(); ++i) {
            if (!repeats[i].is_one()) {
                answer.value.push_back(publish_one(t.publishes[i], drafts[i]));
                continue;
            }
            count_repeat(t.publishes[i]);
            const bool own = repeats[i].of == Named{};
            answer.value.push_back(own ? answer.value[repeats[i].earlier] : repeats[i].of);
        }
        return answer;
    }
    [[nodiscard]] Message draft_of(const Transaction& t,
                                   const Transaction::Publish& publish) const {
        std::vector<Named> parents;
        for (const MessageId& id : publish.options.parents) {
            const Named parent = find(id);
            bool again = false;
            for (const Named& other : parents) { again = again || other == parent; }
            if (!again) { parents.push_back(parent); }
        }
        Message m = draft(parents, publish.options);
        if (mistake_ == Mistake::commit_counts_delays_from_the_verb) {
            m.due = after(publish.at, publish.options.delay.count());
        }
        for (Parent& parent : m.parents) { mistake_parent(t, parent); }
        look_at_parents(m);
        return m;
    }
    void mistake_parent(const Transaction& t, Parent& parent) const {
        for (const Transaction::Settle& settle : t.settles) {
            if (parent.who != named(message_of(settle.handle))) { continue; }
            const bool acked = settle.verb.kind == Verb::ack;
            if (acked && mistake_ == Mistake::commit_fails_children_of_what_it_acks) {
                parent.lost = true;
            }
        }
    }
    void evict_for(std::size_t q, std::size_t wanted) {
        const Queue& queue = queues_[q];
        while (stats_of(q).held() + wanted > queue.options.capacity) {
            if (evictable(stats_of(q)) == 0) { return; }  // of a mistake only
            evict_one(q);
        }
    }
    Named publish_one(const Transaction::Publish& publish, const Message& like) {
        if (publish.queue == none) {
            const std::size_t t = publish.topic;
            const auto posts =
                append(t, {publish.body}, like, matching(topics_[t].subject), publish.options);
            return {Named::post, posts.front()};
        }
        messages_.push_back(like);
        Message& m = messages_.back();
        m.queue = publish.queue;
        m.body = publish.body;
        draw_place(m);
        m.number = m.place;
        ++queues_[m.queue].events.accepted;
        keep_value(m.queue, publish.options.dedup, messages_.size() - 1);
        arrive(m, judge(m));
        return {Named::message, messages_.size() - 1};
    }
    void count_repeat(const Transaction::Publish& publish) {
        if (publish.queue != none) {
            ++queues_[publish.queue].events.deduplicated;
        } else {
            ++topics_[publish.topic].events.deduplicated;
        }
    }
};

}  // namespace model
