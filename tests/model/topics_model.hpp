// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "model/model.hpp"

// The other half of the model: topics. A subscription is a queue, a message published to a topic a
// post, and what a publish does is to walk all subscriptions in the order in which they were made.
namespace model {

struct Topic {
    std::string subject;
    latchbox::TopicOptions options = {};
    std::size_t handles = 0;
    std::vector<Value> values = {};    // in the order of their last use
    latchbox::TopicStats events = {};  // what happened; what is retained is counted when asked
};

/// A `Subscription` object of the user.
struct Subscriber {
    std::size_t queue = none;  // none: it was made too late
    bool left = false;
};

class TopicBroker : public Broker {
public:
    using Broker::Broker;
    using Broker::stats;

    // -- time ------------------------------------------------------------------------------------

    void move_to(Ticks instant) {
        Broker::move_to(instant);
        age();
    }
    /// Of whatever kind: a retained message that becomes too old is one, too.
    [[nodiscard]] Ticks next_due() const {
        Ticks next = Broker::next_due();
        if (closed_ || mistake_ == Mistake::poll_forgets_retention) { return next; }
        for (const Post& post : posts_) {
            if (post.retained && post.retained_until < next) { next = post.retained_until; }
        }
        return next;
    }

    /// When something was last too old to be retained.
    [[nodiscard]] Ticks aged_at() const { return aged_at_; }

    // -- names -----------------------------------------------------------------------------------

    /// The number of the topic of that subject, new or not.
    [[nodiscard]] std::size_t topic(const std::string& subject) {
        for (std::size_t t = 0; t < topics_.size(); ++t) {
            if (topics_[t].subject == subject) { return t; }
        }
        topics_.push_back({subject});
        return topics_.size() - 1;
    }
    /// `none` if it has others.
    [[nodiscard]] std::size_t topic(const std::string& subject,
                                    const latchbox::TopicOptions& options) {
        if (options.retain_for.count() < 0 || options.dedup_window.count() < 0) { return none; }
        const std::size_t t = topic(subject);
        if (topics_[t].options == latchbox::TopicOptions{}) { topics_[t].options = options; }
        return topics_[t].options == options ? t : none;
    }
    [[nodiscard]] std::size_t topic_count() const { return topics_.size(); }
    [[nodiscard]] const Topic& topic_at(std::size_t t) const { return topics_[t]; }

    /// A queue of that name with these options: `none` if there cannot be one.
    [[nodiscard]] std::size_t queue(const std::string& name,
                                    const latchbox::QueueOptions& options) {
        const std::size_t there = find(name);
        const bool group = there != none && queue_at(there).is_subscription;
        return group ? none : Broker::queue(name, options);
    }

    /// Whether a subject is one that a pattern means: token by token.
    [[nodiscard]] bool matches(const std::string& pattern, const std::string& subject) const {
        return matches(tokens(pattern), 0, tokens(subject), 0);
    }

    // -- subscribe -------------------------------------------------------------------------------

    /// The number of the handle; `none` if such a one cannot be.
    [[nodiscard]] std::size_t subscribe(const std::string& pattern, const std::string& group,
                                        const latchbox::SubscriptionOptions& wish) {
        if (wish.durable && group.empty()) { return none; }
        if (!usable(wish)) { return none; }
        const std::size_t there = group.empty() ? none : find(group);
        if (there == none && closed_) { return new_subscriber(none); }
        if (there == none) {
            const std::size_t q = make_subscription(pattern, group, wish);
            if (wish.replay) { replay(q); }
            return new_subscriber(q);
        }
        const Queue& queue = queues_[there];
        if (!queue.is_subscription || queue.pattern != pattern || !same(queue.wish, wish)) {
            return none;
        }
        if (closed_) { return new_subscriber(none); }
        if (wish.replay && mistake_ == Mistake::joining_replays_again) { replay(there); }
        return new_subscriber(there);
    }
    /// The broker named it so.
    void learn_name(std::size_t subscriber, const std::string& name) {
        const std::size_t q = subscribers_[subscriber].queue;
        if (q != none) { queues_[q].name = name; }
    }
    /// The handle leaves, one way or the other; twice is once.
    void unsubscribe(std::size_t subscriber) {
        Subscriber& who = subscribers_[subscriber];
        if (who.left || who.queue == none) { return; }
        who.left = true;
        Queue& queue = queues_[who.queue];
        --queue.handles;
        if (is_closed(who.queue)) { return; }
        const bool last =
            queue.handles == 0 || mistake_ == Mistake::group_ends_with_its_first_handle;
        const bool stays =
            queue.wish.durable && mistake_ != Mistake::durable_ends_with_its_last_handle;
        if (last && !stays) { end(who.queue); }
    }
    [[nodiscard]] std::size_t subscriber_count() const { return subscribers_.size(); }
    [[nodiscard]] const Subscriber& subscriber(std::size_t s) const { return subscribers_[s]; }
    /// Nothing can be had by it any more.
    [[nodiscard]] bool is_over(std::size_t s) const {
        const Subscriber& who = subscribers_[s];
        return who.queue == none || who.left || is_closed(who.queue);
    }

    void hold_topic(std::size_t t) { ++topics_[t].handles; }

    // -- publish ---------------------------------------------------------------------------------

    /// The numbers of the posts accepted: all of `bodies`, or none of them.
    Answer<std::vector<std::size_t>> publish_to(std::size_t t,
                                                const std::vector<std::uint64_t>& bodies,
                                                const latchbox::PublishOptions& options) {
        if (refuses_publishes()) { return {Errc::closed}; }
        age();
        if (!usable_for_topic(options) || is_odd_batch(options, bodies.size())) {
            return {Errc::invalid_option};
        }
        const auto parents = look_up(options.parents);
        if (parents.error != fine) { return {parents.error}; }
        const std::size_t first = bodies.empty() ? none : stands_for_post(t, options.dedup);
        if (first != none && !needs_subscriber(t)) {
            ++topics_[t].events.deduplicated;
            return {fine, {first}};
        }
        const Message like_all = draft(parents.value, options);
        const std::vector<std::size_t> to = matching(topics_[t].subject);
        const Errc room = find_room(t, to, bodies.size());
        if (room != fine) { return {room}; }
        const std::vector<std::size_t> posts = append(t, bodies, like_all, to, options);
        tell_children();
        return {fine, posts};
    }

    /// The post that a repeat of the value would be, at this instant.
    [[nodiscard]] std::size_t stands_for_post(std::size_t t, std::string_view text) const {
        // One that was told so after it had remembered values looks at none of them.
        if (topics_[t].options.dedup_window.count() == 0) { return none; }
        for (const Topic& other : topics_) {
            if (mistake_ != Mistake::value_is_one_for_all_subjects) { break; }
            const std::size_t found = stands_for(other.values, text, Named::post);
            if (found != none) { return found; }
        }
        return stands_for(topics_[t].values, text, Named::post);
    }

    // -- read ------------------------------------------------------------------------------------

    /// The number of the post.
    [[nodiscard]] Answer<std::size_t> read(std::size_t t, const Named& whose) const {
        if (closed_) { return {Errc::closed}; }
        if (whose.kind != Named::post) { return {Errc::unknown_message}; }
        const Post& post = posts_[whose.number];
        if (post.topic != t && mistake_ != Mistake::other_subjects_can_be_read) {
            return {Errc::unknown_message};
        }
        if (!post.retained) { return {Errc::expired}; }
        return {fine, whose.number};
    }
    /// Somebody keeps what he read, or does so no more.
    void hold_read(std::size_t p) { ++posts_[p].readers; }
    void drop_read(std::size_t p) { --posts_[p].readers; }

    // -- looking ---------------------------------------------------------------------------------

    /// What a message, or a copy, was published to; nothing for a queue's.
    [[nodiscard]] std::string subject_of(std::size_t message) const {
        const std::size_t p = messages_[message].post;
        return p == none ? "" : topics_[posts_[p].topic].subject;
    }
    [[nodiscard]] latchbox::TopicStats topic_stats(std::size_t t) const {
        latchbox::TopicStats all = topics_[t].events;
        for (const Post& post : posts_) {
            all.retained += post.topic == t && post.retained && !closed_ ? 1U : 0U;
        }
        return all;
    }
    [[nodiscard]] latchbox::BrokerStats stats() const {
        latchbox::BrokerStats all = Broker::stats();
        for (const Queue& queue : queues_) {
            all.subscriptions += queue.is_subscription && !queue.removed ? 1U : 0U;
        }
        for (std::size_t t = 0; t < topics_.size(); ++t) {
            const latchbox::TopicStats s = topic_stats(t);
            all.discarded += s.discarded;
            all.retained += s.retained;
            all.aged_out += s.aged_out;
            const bool has_options = topics_[t].options != latchbox::TopicOptions{};
            all.topics += has_options || topics_[t].handles != 0 || is_in_hand(t) ? 1U : 0U;
        }
        return all;
    }
    /// What `explain(id)` says of it.
    [[nodiscard]] latchbox::Explanation explain(const Named& whose, const MessageId& id) const {
        using latchbox::MessageState;
        if (whose.kind != Named::post) { return Broker::explain(whose, id); }
        latchbox::Explanation e;
        e.id = id;
        const Post& post = posts_[whose.number];
        if (closed_ ? post.left_in_hand : has_body(whose.number)) {
            e.subject = topics_[post.topic].subject;
        }
        const Message* blocked = nullptr;  // the first
        for (std::size_t q = 0; q < queues_.size(); ++q) {
            for (const Message& m : messages_) {
                if (m.post != whose.number || !holds(q, number_of(m))) { continue; }
                e.copies.push_back({queues_[q].name, state_of(m.state)});
                const bool first = blocked == nullptr ||
                                   mistake_ == Mistake::explains_the_last_copy_that_is_blocked;
                if (m.state == State::blocked && first) { blocked = &m; }
            }
        }
        if (blocked != nullptr) {
            e.key = blocked->key;
            e.parents = waited_for(*blocked);
            e.ahead_in_key = ahead_in_key(*blocked);
        }
        switch (fate(whose)) {
            case LatchState::pending: e.state = MessageState::pending; break;
            case LatchState::completed: e.state = MessageState::completed; break;
            case LatchState::dead: e.state = MessageState::dead; break;
            case LatchState::failed:
                e.state = MessageState::failed;
                e.reason = latchbox::Reason{post.failed_by};
                break;
        }
        return e;
    }

protected:
    [[nodiscard]] static bool usable_for_topic(const latchbox::PublishOptions& options) {
        const bool young = !options.retain_for || options.retain_for->count() >= 0;
        return Broker::usable(options) && young;
    }
    // There is room; the posts.
    std::vector<std::size_t> append(std::size_t t, const std::vector<std::uint64_t>& bodies,
                                    const Message& like_all, const std::vector<std::size_t>& to,
                                    const latchbox::PublishOptions& options) {
        std::vector<std::size_t> posts;
        for (const std::uint64_t body : bodies) {
            posts.push_back(posts_.size());
            posts_.push_back({});
            Post& post = posts_.back();
            post.topic = t;
            post.body = body;
            post.like = like_all;
            post.unrouted = to.empty();
            ++topics_[t].events.published;
            const bool leaves =
                !to.empty() || mistake_ != Mistake::unrouted_message_leaves_no_value;
            const Ticks window = topics_[t].options.dedup_window.count();
            if (leaves) {
                topics_[t].events.dedup_forgotten +=
                    keep_value(topics_[t].values, options.dedup, posts.back(), window);
            }
            const bool count = to.empty() && mistake_ != Mistake::unrouted_is_not_counted;
            topics_[t].events.discarded += count ? 1U : 0U;
        }
        for (const std::size_t q : to) {
            copy_into(q, posts);
            tell_posts();
        }
        for (const std::size_t p : posts) {
            posts_[p].told = fate_of_copies(p);
            posts_[p].came_to_nothing = !retain(posts_[p], options) && to.empty();
        }
        return posts;
    }

    [[nodiscard]] bool needs_subscriber(std::size_t t) const {
        return mistake_ == Mistake::repeat_needs_a_subscriber &&
               topics_[t].options.unrouted == latchbox::Unrouted::reject &&
               matching(topics_[t].subject).empty();
    }
    [[nodiscard]] bool is_in_hand(std::size_t t) const {
        for (std::size_t p = 0; p < posts_.size(); ++p) {
            if (posts_[p].topic == t && has_body(p)) { return true; }
        }
        return false;
    }

    // -- patterns --------------------------------------------------------------------------------

    [[nodiscard]] static std::vector<std::string> tokens(const std::string& name) {
        std::vector<std::string> all(1);
        for (const char c : name) {
            if (c == '.') {
                all.emplace_back();
            } else {
                all.back() += c;
            }
        }
        return all;
    }
    [[nodiscard]] bool matches(const std::vector<std::string>& pattern, std::size_t i,
                               const std::vector<std::string>& subject, std::size_t j) const {
        if (i == pattern.size()) { return j == subject.size(); }
        if (pattern[i] == ">") {
            return j < subject.size() || mistake_ == Mistake::tail_may_be_empty;
        }
        if (j == subject.size()) { return false; }
        if (pattern[i] != "*" && pattern[i] != subject[j]) { return false; }
        const bool more = pattern[i] == "*" && mistake_ == Mistake::star_is_many_tokens;
        return matches(pattern, i + 1, subject, j + 1) ||
               (more && matches(pattern, i, subject, j + 1));
    }
    // The subscriptions that get a copy, in the order in which they were made.
    [[nodiscard]] std::vector<std::size_t> matching(const std::string& subject) const {
        std::vector<std::size_t> all;
        for (std::size_t q = 0; q < queues_.size(); ++q) {
            const Queue& queue = queues_[q];
            const bool ended =
                queue.removed && mistake_ != Mistake::ended_subscription_still_gets_copies;
            if (!queue.is_subscription || ended || !matches(queue.pattern, subject)) { continue; }
            const bool each = mistake_ == Mistake::each_of_a_group_gets_a_copy;
            for (std::size_t i = 0; i < (each ? queue.handles : 1); ++i) { all.push_back(q); }
        }
        return all;
    }

    // -- subscriptions ---------------------------------------------------------------------------

    [[nodiscard]] static bool usable(const latchbox::SubscriptionOptions& wish) {
        return wish.lease.count() > 0 && wish.block_for.count() >= 0 &&
               wish.dedup_window.count() >= 0 && wish.backoff.first.count() >= 0 &&
               wish.backoff.factor != 0 && wish.backoff.limit >= wish.backoff.first;
    }
    [[nodiscard]] static latchbox::Overflow overflow_of(const latchbox::SubscriptionOptions& wish) {
        using latchbox::Overflow;
        return wish.overflow.value_or(wish.durable ? Overflow::reject : Overflow::drop_oldest);
    }
    [[nodiscard]] static bool same(const latchbox::SubscriptionOptions& there,
                                   const latchbox::SubscriptionOptions& asked) {
        return there.durable == asked.durable && queue_options(there) == queue_options(asked);
    }
    [[nodiscard]] static latchbox::QueueOptions queue_options(
        const latchbox::SubscriptionOptions& wish) {
        latchbox::QueueOptions options;
        options.lease = wish.lease;
        options.capacity = wish.capacity;
        options.overflow = overflow_of(wish);
        options.block_for = wish.block_for;
        options.max_failures = wish.max_failures;
        options.max_attempts = wish.max_attempts;
        options.backoff = wish.backoff;
        options.dead_capacity = wish.dead_capacity;
        options.dedup_window = wish.dedup_window;
        options.outcome_memory = wish.outcome_memory;
        return options;
    }
    std::size_t make_subscription(const std::string& pattern, const std::string& group,
                                  const latchbox::SubscriptionOptions& wish) {
        queues_.push_back({group, queue_options(wish)});
        Queue& queue = queues_.back();
        queue.is_subscription = true;
        queue.has_group = !group.empty();
        queue.pattern = pattern;
        queue.wish = wish;
        queue.wish.group = {};
        // What is replayed has a number before all that comes later.
        if (wish.replay) { queue.next_number += most_replayed; }
        return queues_.size() - 1;
    }
    std::size_t new_subscriber(std::size_t q) {
        subscribers_.push_back({q, false});
        if (q != none) { ++queues_[q].handles; }
        return subscribers_.size() - 1;
    }

    // -- copies ----------------------------------------------------------------------------------

    // Nobody may refuse. Those are asked first who do not let publishers wait; the first of them
    // that has no room counts it, or else the first of the others.
    [[nodiscard]] Errc find_room(std::size_t t, const std::vector<std::size_t>& to,
                                 std::size_t wanted) {
        if (wanted == 0) { return fine; }
        const bool counts = mistake_ != Mistake::refusal_is_not_counted;
        if (to.empty() && topics_[t].options.unrouted == latchbox::Unrouted::reject) {
            topics_[t].events.refused += counts ? wanted : 0;
            return Errc::no_subscriber;
        }
        for (const bool waiting : {false, true}) {
            for (const std::size_t q : to) {
                if (waits(q, wanted) != waiting || has_room(q, wanted)) { continue; }
                queues_[q].events.refused += counts ? wanted : 0;
                topics_[t].events.refused += counts ? wanted : 0;
                if (mistake_ == Mistake::refused_publish_is_half_accepted && q != to.front()) {
                    ++queues_[to.front()].events.accepted;
                }
                return waiting ? Errc::timed_out : Errc::full;
            }
        }
        return fine;
    }
    [[nodiscard]] bool waits(std::size_t q, std::size_t wanted) const {
        const latchbox::QueueOptions& options = queues_[q].options;
        return options.overflow == latchbox::Overflow::block && wanted <= options.capacity;
    }
    // Or makes it.
    [[nodiscard]] bool has_room(std::size_t q, std::size_t wanted) const {
        const latchbox::QueueOptions& options = queues_[q].options;
        const bool drops = options.overflow == latchbox::Overflow::drop_oldest ||
                           options.overflow == latchbox::Overflow::drop_newest;
        return drops || wanted + stats(q).held() <= options.capacity;
    }
    // All of a batch into one subscription, one after the other.
    void copy_into(std::size_t q, const std::vector<std::size_t>& posts) {
        for (const std::size_t p : posts) {
            ++queues_[q].events.accepted;
            if (!has_place(q)) {
                const bool counts = mistake_ != Mistake::dropped_copy_is_not_counted;
                queues_[q].events.evicted += counts ? 1U : 0U;
                continue;
            }
            append(q, p, posts_[p].like);
        }
    }
    // Or gets one, where that is its way.
    [[nodiscard]] bool has_place(std::size_t q) {
        const latchbox::QueueStats s = stats(q);
        if (s.held() < queues_[q].options.capacity) { return true; }
        const bool wrong = mistake_ == Mistake::drop_newest_drops_the_oldest;
        const bool newest = queues_[q].options.overflow == latchbox::Overflow::drop_newest;
        if ((newest && !wrong) || evictable(s) == 0) { return false; }
        evict_one(q);
        return true;
    }
    // It stands with its parents as it did when they were looked up.
    void append(std::size_t q, std::size_t p, const Message& like) {
        messages_.push_back(like);
        Message& m = messages_.back();
        m.queue = q;
        m.post = p;
        m.body = posts_[p].body;
        if (like.replayed) {
            m.place = ++queues_[q].replayed;
        } else {
            draw_place(m);
        }
        m.number = m.place;
        arrive(m, judge(m));
    }

    // -- retention -------------------------------------------------------------------------------

    static constexpr std::size_t most_retained = 65'536;
    static constexpr std::uint64_t most_replayed = std::uint64_t{1} << 32;

    // Whether it was, if only until the next one came.
    bool retain(Post& post, const latchbox::PublishOptions& options) {
        const latchbox::TopicOptions& topic = topics_[post.topic].options;
        const Ticks length =
            options.retain_for ? options.retain_for->count() : topic.retain_for.count();
        post.own_limit = options.retain_for.has_value();
        if (post.own_limit ? length == 0 : length == 0 && topic.retain_count == 0) { return false; }
        post.retained = true;
        post.retained_until = length == 0 ? never : after(now_, length);
        const bool late = mistake_ == Mistake::retained_one_tick_longer;
        if (late) { post.retained_until = after(post.retained_until, 1); }
        const bool counted = !post.own_limit && topic.retain_count != 0;
        keep_last(post.topic, post.own_limit, counted ? topic.retain_count : most_retained);
        return true;
    }
    void keep_last(std::size_t t, bool own_limit, std::size_t count) {
        const bool all = mistake_ == Mistake::own_retention_counts_among_the_topics;
        std::vector<std::size_t> kept;
        for (std::size_t p = 0; p < posts_.size(); ++p) {
            const bool among = all || posts_[p].own_limit == own_limit;
            if (posts_[p].topic == t && posts_[p].retained && among) { kept.push_back(p); }
        }
        const bool newest = mistake_ == Mistake::retention_drops_the_newest;
        while (kept.size() > count) {
            let_go(posts_[newest ? kept.back() : kept.front()]);
            kept.erase(newest ? kept.end() - 1 : kept.begin());
        }
    }
    void let_go(Post& post) {
        post.retained = false;
        if (mistake_ != Mistake::aged_out_is_not_counted) { ++topics_[post.topic].events.aged_out; }
    }
    void age() {
        if (closed_) { return; }
        for (Post& post : posts_) {
            if (!post.retained || post.retained_until > now_) { continue; }
            let_go(post);
            aged_at_ = now_;
        }
    }
    // What is retained now; of too much the last.
    void replay(std::size_t q) {
        age();
        std::vector<std::size_t> all;
        for (std::size_t p = 0; p < posts_.size(); ++p) {
            if (!posts_[p].retained) { continue; }
            if (!matches(queues_[q].pattern, topics_[posts_[p].topic].subject)) { continue; }
            all.insert(mistake_ == Mistake::replay_is_newest_first ? all.begin() : all.end(), p);
        }
        latchbox::QueueStats& events = queues_[q].events;
        events.accepted += all.size();
        for (; all.size() > queues_[q].options.capacity; all.erase(all.begin())) {
            ++events.evicted;
        }
        for (const std::size_t p : all) {
            Message like;
            like.priority = posts_[p].like.priority;
            like.parents = posts_[p].like.parents;
            like.on_parent_failure = posts_[p].like.on_parent_failure;
            like.replayed = true;
            for (Parent& parent : like.parents) { parent.lost = is_forgotten(parent.who); }
            look_at_parents(like);
            append(q, p, like);
        }
        tell_children();
    }

    [[nodiscard]] static latchbox::MessageState state_of(State state) {
        using latchbox::MessageState;
        switch (state) {
            case State::blocked: return MessageState::blocked;
            case State::delayed: return MessageState::delayed;
            case State::ready: return MessageState::ready;
            case State::leased: return MessageState::leased;
            case State::dead: return MessageState::dead;
            case State::gone: break;
        }
        return MessageState::completed;
    }

    std::vector<Topic> topics_;
    std::vector<Subscriber> subscribers_;
    Ticks aged_at_ = -1;
};

}  // namespace model
