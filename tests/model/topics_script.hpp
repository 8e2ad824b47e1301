// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/script.hpp"

/// The part of a script that is about topics. What is delivered by a subscription is treated like
/// what a queue delivers: all the operations of queues are tried on subscriptions, too.
namespace model {

template <class Platform> class TopicsScript : public Script<Platform> {
    using Base = Script<Platform>;

public:
    using typename Base::Body;
    using typename Base::RealConsumer;
    using RealTopic = latchbox::Topic<Body, Platform>;
    using RealSubscription = latchbox::Subscription<Body, Platform>;

    using Base::Base;

protected:
    struct HeldSubscription {
        RealSubscription handle;
        std::size_t subscriber;  // of the model
    };
    struct HeldTopic {
        RealTopic handle;
        std::size_t topic;  // of the model
    };
    struct HeldBody {
        std::shared_ptr<const Body> body;
        std::size_t post;  // of the model
    };

    using Base::a_window;
    using Base::an_id;
    using Base::bad_id;
    using Base::broker_;
    using Base::chance;
    using Base::compare_id;
    using Base::consumers_;
    using Base::copy_if;
    using Base::difference_;
    using Base::draw_options;
    using Base::draw_wishes;
    using Base::duration;
    using Base::equal;
    using Base::equal_error;
    using Base::error_of;
    using Base::expect;
    using Base::figures_;
    using Base::ids_;
    using Base::model_;
    using Base::named;
    using Base::pick;
    using Base::say;
    using Base::some;
    using Base::uses_bad_input_;
    using Base::values_;
    using Base::wish;
    using Base::wishes;
    using Base::word;

    template <class T, std::size_t N> T one_of(const T (&values)[N]) {
        return Base::one_of(values);
    }

    // -- choices ---------------------------------------------------------------------------------

    std::string a_subject() { return one_of({"a", "a.b", "a.c", "b.b", "a.b.c"}); }
    std::string a_pattern() {
        if (uses_bad_input_ && chance(16)) { return one_of({"a.>.b", "", "a*", "a b", "a..b"}); }
        return one_of({">", "a", "a.b", "a.*", "*", "a.>", "*.b", "a.*.c", "*.*"});
    }
    std::string a_group() {
        if (uses_bad_input_ && chance(16)) { return one_of({"a", "g.*", "g h"}); }
        return one_of({"", "", "g", "h"});
    }
    latchbox::SubscriptionOptions draw_subscription(const std::string& group) {
        const latchbox::QueueOptions queue = draw_options();
        latchbox::SubscriptionOptions options;
        options.durable = (!group.empty() || uses_bad_input_) && chance(3);
        options.replay = chance(3);
        options.lease = queue.lease;
        options.capacity = one_of<std::size_t>({65'536, 4, 3, 2, 1, 0});
        switch (pick(5)) {
            case 0: break;
            case 1: options.overflow = latchbox::Overflow::drop_newest; break;
            case 2: options.overflow = latchbox::Overflow::drop_oldest; break;
            default: options.overflow = queue.overflow; break;
        }
        options.block_for = queue.block_for;
        options.max_failures = queue.max_failures;
        options.max_attempts = queue.max_attempts;
        options.backoff = queue.backoff;
        options.dead_capacity = queue.dead_capacity;
        if (values_ != 0) { options.dedup_window = queue.dedup_window; }
        options.outcome_memory = outcome_memory_;
        if (uses_bad_input_ && chance(32)) { options.dedup_window = duration(-1); }
        if (uses_bad_input_ && chance(32)) { options.lease = duration(0); }
        if (uses_bad_input_ && chance(32)) { options.block_for = duration(-1); }
        return options;
    }
    latchbox::TopicOptions draw_topic() {
        latchbox::TopicOptions options;
        options.unrouted = one_of(
            {latchbox::Unrouted::discard, latchbox::Unrouted::discard, latchbox::Unrouted::reject});
        options.retain_count = one_of<std::size_t>({0, 2, 1, 3});
        if (chance(2)) { options.retain_for = wish(); }
        if (values_ != 0) { options.dedup_window = duration(a_window()); }
        if (uses_bad_input_ && chance(32)) { options.dedup_window = duration(-1); }
        return options;
    }
    latchbox::PublishOptions draw_post() {
        latchbox::PublishOptions options = draw_wishes();
        if (chance(4)) { options.retain_for = wish(); }
        return options;
    }
    std::size_t a_topic() { return some(topics_.size()); }

    // -- words -----------------------------------------------------------------------------------

    static std::string p(std::size_t post) { return 'p' + std::to_string(post); }
    std::string subject(std::size_t at) const {
        return "topic " + model_.topic_at(topics_[at].topic).subject;
    }
    static std::string words(const latchbox::TopicOptions& options) {
        std::string text = options.unrouted == latchbox::Unrouted::reject ? "reject" : "discard";
        return text + ", retain_count " + word(options.retain_count) + ", retain_for " +
               word(options.retain_for) + ", dedup_window " + word(options.dedup_window);
    }
    static std::string words(const latchbox::SubscriptionOptions& options) {
        static constexpr const char* overflows[] = {"reject", "block", "drop_oldest",
                                                    "drop_newest"};
        const std::string overflow =
            options.overflow ? overflows[static_cast<std::size_t>(*options.overflow)] : "-";
        return std::string(options.durable ? ", durable" : "") +
               (options.replay ? ", replay" : "") + ", lease " + word(options.lease) +
               ", capacity " + word(options.capacity) + ", " + overflow + ", max_failures " +
               word(options.max_failures) + ", max_attempts " + word(options.max_attempts) +
               ", backoff " + word(options.backoff.first) + " x" + word(options.backoff.factor) +
               " to " + word(options.backoff.limit) + ", dead_capacity " +
               (options.dead_capacity ? word(*options.dead_capacity) : "unset");
    }

    // -- steps -----------------------------------------------------------------------------------

    void begin_topics() override {
        outcome_memory_ = one_of<std::size_t>({65'536, 65'536, 2, 1, 0});
        const std::uint32_t topics = 1 + pick(3);
        for (std::uint32_t i = 0; i < topics; ++i) { make_topic(); }
        const std::uint32_t subscriptions = pick(4);
        for (std::uint32_t i = 0; i < subscriptions; ++i) { subscribe(); }
    }
    void perform_topics(Operation operation) override {
        switch (operation) {
            case Operation::post: return post(1, false);
            case Operation::post_batch: return post(pick(5), true);
            case Operation::read: return read();
            case Operation::drop_read: return drop_read();
            case Operation::subscribe: return subscribe();
            case Operation::unsubscribe: return unsubscribe();
            default: return make_topic();
        }
    }

    // -- topics ----------------------------------------------------------------------------------

    void make_topic() {
        if (uses_bad_input_ && chance(16)) { return make_bad_topic(); }
        const std::string subject = a_subject();
        if (model_.closed() || chance(4)) {
            say("topic ", subject);
            return hold(broker_->topic(subject), model_.topic(subject));
        }
        const latchbox::TopicOptions options = draw_topic();
        const std::size_t number = model_.topic(subject, options);
        say("topic ", subject, ": ", words(options), number == none ? ": no" : "");
        try {
            RealTopic made = broker_->topic(subject, options);
            if (!expect(number != none, "topic: other options were accepted")) { return; }
            hold(std::move(made), number);
        } catch (const std::invalid_argument&) {
            expect(number == none, "topic: usable options were refused");
            if (topics_.empty()) { hold(broker_->topic(subject), model_.topic(subject)); }
        }
    }
    void hold(RealTopic handle, std::size_t topic) {
        expect(handle.subject() == model_.topic_at(topic).subject, "topic: its subject");
        for (const HeldTopic& other : topics_) {
            if (other.topic == topic) { return; }
        }
        model_.hold_topic(topic);
        topics_.push_back({std::move(handle), topic});
    }
    void make_bad_topic() {
        const std::string subject = one_of({"a..b", "", "a.*", ">", "a b", ".a", "a."});
        say("topic \"", subject, "\"");
        try {
            static_cast<void>(broker_->topic(subject));
            expect(false, "topic: a bad subject was accepted");
        } catch (const std::invalid_argument&) {}
        if (topics_.empty()) { hold(broker_->topic("a"), model_.topic("a")); }
    }

    void post(std::size_t count, bool batch) {
        const std::size_t at = a_topic();
        const std::size_t topic = topics_[at].topic;
        RealTopic& real = topics_[at].handle;
        latchbox::PublishOptions options = draw_post();
        if (count > 1) { this->spare_value(options); }
        std::vector<Body> bodies;
        std::vector<std::uint64_t> values;
        for (std::size_t i = 0; i < count; ++i) {
            values.push_back(++this->last_value_ * 0x9e3779b97f4a7c15U >> 1);
            bodies.emplace_back(values.back());
        }
        const bool copies = !batch && chance(4);
        if (chance(32)) { return post_stopped(at, bodies, options); }
        const bool throws = copies && this->uses_faults_ && chance(2);
        const std::optional<TransactionBroker> before = copy_if(throws);
        const std::uint64_t dropped = model_.stats().messages.evicted;
        const std::size_t there = model_.post_count();
        const auto expected = model_.publish_to(topic, values, options);
        const bool accepted = expected.error == fine;
        const bool repeat = !expected.value.empty() && expected.value.front() < there;
        if (throws && accepted && !repeat) { return post_throws(*before, at, bodies[0], options); }
        say(subject(at),
            batch    ? ".publish_batch("
            : copies ? ".publish(copy "
                     : ".publish(",
            accepted && count > 0 ? p(expected.value.front()) : "-",
            batch ? " and so on, " + std::to_string(count) : "", wishes(options),
            "): ", expected.error);
        figures_.dropped += model_.stats().messages.evicted - dropped;
        figures_.posts_refused += accepted ? 0U : 1U;
        const std::int64_t copied = Body::copies();
        std::vector<latchbox::MessageId> ids;
        if (batch) {
            auto result = real.publish_batch(std::span<Body>{bodies}, options);
            equal_error(error_of(result), expected.error, "publish_batch to a topic");
            if (result) { ids = *result; }
        } else {
            auto result = copies ? real.publish(std::as_const(bodies[0]), options)
                                 : real.publish(std::move(bodies[0]), options);
            equal_error(error_of(result), expected.error, "publish to a topic");
            if (result) { ids.push_back(*result); }
        }
        if ((accepted && !repeat) || !copies) {
            equal(Body::copies() - copied, copies ? 1 : 0, "publish to a topic: copies made");
        }
        for (std::size_t i = 0; i < count; ++i) {
            const bool gone =
                accepted && !copies && !repeat && !model_.post(expected.value[i]).came_to_nothing;
            expect(gone ? bodies[i].is_moved_from() : bodies[i].digest() == values[i],
                   "publish to a topic: moved from though refused, or not though accepted");
        }
        if (!equal(ids.size(), expected.value.size(), "publish to a topic: how many ids")) {
            return;
        }
        if (repeat) {
            const latchbox::MessageId first = model_.post(expected.value.front()).id;
            expect(ids.front() == first, "publish to a topic: the id of the first");
            return;
        }
        for (std::size_t i = 0; i < ids.size(); ++i) { learn(expected.value[i], ids[i]); }
        learn_copies();
    }
    void learn(std::size_t post, const latchbox::MessageId& id) {
        expect(last_post_ < id, "publish to a topic: an id out of order");
        expect(model_.find(id) == Named{}, "publish to a topic: an id was given twice");
        last_post_ = id;
        model_.learn_id({Named::post, post}, id);
    }
    void learn_copies() {
        while (ids_.size() < model_.message_count()) {
            ids_.push_back(model_.id_of_message(ids_.size()));
        }
    }
    void post_throws(const TransactionBroker& before, std::size_t at, const Body& body,
                     const latchbox::PublishOptions& options) {
        model_ = before;
        say(subject(at), ".publish(a copy that throws", wishes(options), ")");
        this->throws_tracked([&] { static_cast<void>(topics_[at].handle.publish(body, options)); });
    }
    // Nothing is looked at.
    void post_stopped(std::size_t at, std::vector<Body>& bodies,
                      const latchbox::PublishOptions& options) {
        if constexpr (Platform::can_wait) {
            say(subject(at), ".publish_batch(stopped", wishes(options), ")");
            std::stop_source source;
            source.request_stop();
            const auto result = topics_[at].handle.publish_batch(std::span<Body>{bodies}, options,
                                                                 source.get_token());
            equal_error(error_of(result), Errc::cancelled, "publish to a topic, stopped");
            for (const Body& body : bodies) {
                expect(!body.is_moved_from(), "publish to a topic, stopped: moved from");
            }
        } else {
            static_cast<void>(bodies);
            static_cast<void>(options);
            say(subject(at), ".publish, not stopped as nothing can be");
        }
    }

    // -- read ------------------------------------------------------------------------------------

    void read() {
        std::size_t at = a_topic();
        latchbox::MessageId id = an_id();
        if (model_.post_count() != 0 && !chance(4)) {
            const std::size_t post = model_.post_count() - 1 - some(model_.post_count());
            id = model_.post(post).id;
            for (std::size_t i = 0; i < topics_.size() && !chance(8); ++i) {
                if (topics_[i].topic == model_.post(post).topic) { at = i; }
            }
        }
        const Answer<std::size_t> expected = model_.read(topics_[at].topic, model_.find(id));
        say(subject(at), ".read(", named(id), "): ", expected.error);
        auto body = topics_[at].handle.read(id);
        figures_.expired_reads += expected.error == Errc::expired ? 1U : 0U;
        if (!equal_error(error_of(body), expected.error, "read") || expected.error != fine) {
            return;
        }
        if (!expect(*body != nullptr, "read: no body")) { return; }
        expect((*body)->digest() == model_.post(expected.value).body, "read: the body");
        ++figures_.reads;
        for (const HeldBody& other : bodies_) {
            if (other.post != expected.value) { continue; }
            expect(other.body.get() == body->get(), "read: another object than before");
        }
        if (bodies_.size() >= 4 || chance(2)) { return; }
        model_.hold_read(expected.value);
        bodies_.push_back({std::move(*body), expected.value});
    }
    void drop_read() {
        if (bodies_.empty()) { return read(); }
        const std::size_t at = some(bodies_.size());
        say("who read ", p(bodies_[at].post), " lets go of it");
        model_.drop_read(bodies_[at].post);
        bodies_.erase(bodies_.begin() + static_cast<std::ptrdiff_t>(at));
    }

    // -- subscribe -------------------------------------------------------------------------------

    void subscribe() {
        std::string pattern = a_pattern();
        const std::string group = model_.closed() ? "" : a_group();
        latchbox::SubscriptionOptions options = draw_subscription(group);
        const std::size_t there = group.empty() ? none : model_.find(group);
        if (there != none && chance(2) && model_.queue_at(there).is_subscription) {
            pattern = model_.queue_at(there).pattern;
            const bool replay = options.replay;
            options = model_.queue_at(there).wish;
            options.replay = replay;
        }
        options.group = group;
        const std::size_t queues = model_.queue_count();
        const std::size_t copies = model_.message_count();
        const bool bad = !latchbox::check_pattern(pattern) ||
                         (!group.empty() && !latchbox::check_subject(group));
        const std::size_t number = bad ? none : model_.subscribe(pattern, group, options);
        say("subscribe ", pattern, group.empty() ? "" : ", group " + group, words(options),
            number == none ? ": no" : ": s" + std::to_string(number));
        try {
            RealSubscription made = broker_->subscribe(pattern, options);
            if (!expect(number != none, "subscribe: unusable options were accepted")) { return; }
            meet(std::move(made), number, queues, copies);
        } catch (const std::invalid_argument&) {
            expect(number == none, "subscribe: usable options were refused");
        }
    }
    void meet(RealSubscription made, std::size_t number, std::size_t queues, std::size_t copies) {
        const std::size_t queue = model_.subscriber(number).queue;
        ++figures_.subscriptions;
        if (queue == none) {  // too late
            equal_error(error_of(made.try_fetch()), Errc::closed, "try_fetch, subscribed too late");
            return;
        }
        const std::string pattern = model_.queue_at(queue).pattern;
        expect(made.pattern() == pattern, "subscribe: its pattern");
        if (model_.queue_at(queue).has_group) {
            expect(made.group() == model_.queue_at(queue).name, "subscribe: its group");
            expect(made.name() == model_.queue_at(queue).name, "subscribe: its name");
            expect(!broker_->find_queue(made.name()).has_value(), "find_queue of a group");
        } else {
            expect(made.group().empty(), "subscribe: a group though there is none");
            expect(made.name().starts_with(pattern), "subscribe: its name");
            for (std::size_t q = 0; q < queue; ++q) {
                expect(model_.queue_at(q).name != made.name(), "subscribe: a name given twice");
            }
            model_.learn_name(number, made.name());
        }
        if (model_.queue_count() != queues) { this->open_door(made); }
        figures_.replayed += model_.message_count() - copies;
        learn_copies();
        subscriptions_.push_back({std::move(made), number});
        show_doors();
    }
    // Whoever has not left may speak for all.
    void show_doors() {
        for (std::size_t q = 0; q < consumers_.size(); ++q) {
            for (const HeldSubscription& held : subscriptions_) {
                const Subscriber& who = model_.subscriber(held.subscriber);
                if (who.queue == q && !who.left) { consumers_[q] = held.handle; }
            }
        }
    }
    void unsubscribe() {
        if (uses_bad_input_ && chance(8)) { return remove_group(); }
        if (subscriptions_.empty()) { return subscribe(); }
        const std::size_t at = some(subscriptions_.size());
        const std::size_t number = subscriptions_[at].subscriber;
        const std::size_t queue = model_.subscriber(number).queue;
        const std::uint64_t purged = model_.stats(queue).purged;
        const bool destroyed = chance(2);
        const std::size_t from = some(subscriptions_.size());
        const bool onto = destroyed && from != at && chance(2);
        say("s", number,
            onto        ? " is overwritten by s" + std::to_string(subscriptions_[from].subscriber)
            : destroyed ? " is destroyed"
                        : ".unsubscribe");
        model_.unsubscribe(number);
        if (onto) {
            subscriptions_[at] = std::move(subscriptions_[from]);
            subscriptions_.erase(subscriptions_.begin() + static_cast<std::ptrdiff_t>(from));
        } else if (destroyed) {
            subscriptions_.erase(subscriptions_.begin() + static_cast<std::ptrdiff_t>(at));
        } else {
            subscriptions_[at].handle.unsubscribe();
            use_after(at);
        }
        figures_.left_behind += model_.stats(queue).purged - purged;
        show_doors();
    }
    void remove_group() {
        const std::string name = one_of({"g", "h"});
        const bool removed = model_.remove(name);
        say("remove ", name, removed ? "" : ": there is none");
        expect(broker_->remove(name) == removed, "remove a group");
    }
    // Whatever is asked of a handle that has left.
    void use_after(std::size_t at) {
        const RealSubscription& handle = subscriptions_[at].handle;
        const latchbox::MessageId id = an_id();
        const auto closed = [this](const auto& result, const char* what) {
            equal_error(error_of(result), Errc::closed, what);
        };
        closed(handle.try_fetch(), "try_fetch of who left");
        closed(handle.pop(), "pop of who left");
        closed(handle.pop_all(), "pop_all of who left");
        closed(handle.cancel(id), "cancel of who left");
        closed(handle.ack(latchbox::Receipt{}), "ack of who left");
        closed(handle.dead_letters().redrive(id), "redrive of who left");
        closed(handle.dead_letters().take(), "take of a dead letter of who left");
        equal(handle.purge(), 0, "purge of who left");
        equal(handle.dead_letters().purge(), 0, "purge of dead letters of who left");
        if constexpr (Platform::can_wait) { closed(handle.fetch(), "fetch of who left"); }
    }

    // -- everything that can be seen -------------------------------------------------------------

    void compare_topics() override {
        for (const HeldTopic& held : topics_) {
            const latchbox::TopicStats stats = held.handle.stats();
            const latchbox::TopicStats expected = model_.topic_stats(held.topic);
            equal(stats.published, expected.published, "stats of a topic, published");
            equal(stats.discarded, expected.discarded, "stats of a topic, discarded");
            equal(stats.refused, expected.refused, "stats of a topic, refused");
            equal(stats.retained, expected.retained, "stats of a topic, retained");
            equal(stats.aged_out, expected.aged_out, "stats of a topic, aged_out");
            equal(stats.deduplicated, expected.deduplicated, "stats of a topic, deduplicated");
            equal(stats.dedup_forgotten, expected.dedup_forgotten,
                  "stats of a topic, dedup_forgotten");
        }
        const latchbox::BrokerStats stats = broker_->stats();
        const latchbox::BrokerStats expected = model_.stats();
        if (!model_.closed()) { equal(stats.topics, expected.topics, "topics of the broker"); }
        if (!model_.closed()) {
            equal(stats.subscriptions, expected.subscriptions, "subscriptions of the broker");
        }
        equal(stats.discarded, expected.discarded, "discarded of the broker");
        equal(stats.retained, expected.retained, "retained of the broker");
        equal(stats.aged_out, expected.aged_out, "aged_out of the broker");
        for (const HeldBody& held : bodies_) {
            expect(held.body->digest() == model_.post(held.post).body, "a body that was read");
        }
        const std::size_t all = model_.post_count();
        const std::size_t count = all < 4 ? all : 4;
        for (std::size_t i = 0; i < count && difference_.empty(); ++i) {
            const std::size_t post = next_post_++ % all;
            compare_id({Named::post, post}, model_.post(post).id);
        }
    }

    // -- the end ---------------------------------------------------------------------------------

    void count_up_topics() override {
        const latchbox::BrokerStats s = model_.stats();
        figures_.posts += model_.post_count();
        for (std::size_t t = 0; t < model_.topic_count(); ++t) {
            figures_.repeated_posts += model_.topic_stats(t).deduplicated;
        }
        figures_.discarded += s.discarded;
        figures_.aged_out += s.aged_out;
        for (std::size_t i = 0; i < model_.message_count(); ++i) {
            figures_.copies += model_.message(i).post != none ? 1U : 0U;
        }
        for (std::size_t i = 0; i < model_.post_count(); ++i) {
            figures_.posts_failed += model_.post(i).failed_by != Cause::none ? 1U : 0U;
        }
    }
    void end_topics() override {
        if (chance(2)) { bodies_.clear(); }
        for (HeldTopic& held : topics_) {
            Body body{1};
            equal_error(error_of(held.handle.publish(std::move(body))), Errc::closed,
                        "publish to a topic after the broker");
            equal_error(error_of(held.handle.read(last_post_)), Errc::closed,
                        "read after the broker");
        }
        for (std::size_t i = 0; i < subscriptions_.size(); ++i) { use_after(i); }
        topics_.clear();
        subscriptions_.clear();
        for (const HeldBody& held : bodies_) {
            expect(held.body->digest() == model_.post(held.post).body,
                   "a body that was read, after the broker");
        }
        bodies_.clear();
    }

    std::vector<HeldTopic> topics_;
    std::vector<HeldSubscription> subscriptions_;
    std::vector<HeldBody> bodies_;
    latchbox::MessageId last_post_ = {};
    std::size_t next_post_ = 0;  // to be compared, of all
    std::size_t outcome_memory_ = 65'536;
};

}  // namespace model
