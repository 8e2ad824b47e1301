// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors

// Visits every state that one topic, its messages and two subscriptions can be in, and tries every
// action in each. States are those of the reference model, breadth first; a broker gets into each
// by the shortest script that leads there, then takes the action, and everything that can be seen
// of it is compared with the model.
//
// Two states are the same if nothing that can still happen tells them apart: messages by the order
// of their publishes, places and deaths by rank, instants relative to now, failures only as far as
// a limit looks at them. So neither ticks nor publishes are bounded: only the messages in hand at
// once (of which a copy is held, or which are retained) and the deliveries out at once.

#include <cstdint>
#include <cstdio>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"
#include "model/topics_model.hpp"

namespace {

using latchbox::Duration;
using latchbox::Errc;
using latchbox::MessageId;
using model::fine;
using model::none;
using model::Ticks;
using model::TopicBroker;
using Platform = latchbox::SingleThread;

constexpr Duration tick = Duration::nanoseconds(1);
constexpr latchbox::Backoff one_tick{.first = tick, .factor = 1, .limit = tick};
constexpr std::size_t sides = 2;  // subscriptions

struct Bounds {
    const char* name;
    latchbox::TopicOptions topic;
    latchbox::SubscriptionOptions wishes[sides];
    std::size_t messages = 3;
    std::size_t deliveries = 2;
    bool asks_at_once = false;  // for the latch of each message, as soon as it is published
    latchbox::PublishOptions publish = {};
    std::optional<latchbox::OnParentFailure> child = {};  // of each message, in a queue
};

struct Action {
    enum Kind : std::uint8_t {
        publish,
        fetch,
        ack,
        fail,
        reject,
        abandon,
        redrive,
        redrive_all,
        take_dead,
        cancel,
        purge,
        wait,
        read,
        subscribe,
        unsubscribe,
        remove,
    } kind = publish;
    std::uint8_t side = 0;
    std::uint8_t which = 0;  // message, or delivery
};

constexpr const char* words[] = {
    "publish",   "fetch",  "ack",   "fail", "reject", "abandon",   "redrive",     "redrive_all",
    "take_dead", "cancel", "purge", "tick", "read",   "subscribe", "unsubscribe", "remove"};

// What came of an action.
struct Outcome {
    Errc error = fine;
    std::uint64_t value = 0;
    std::vector<std::uint64_t> children = {};  // that were let go by it
    std::uint64_t dead_children = 0;           // that died of it
    friend bool operator==(const Outcome&, const Outcome&) = default;
};

// The subscription of a side: the first has no group.
std::string_view pattern_of(std::size_t side) { return side == 0 ? ">" : "a.*"; }
std::string_view group_of(std::size_t side) { return side == 0 ? "" : "g"; }

// The model, and who is who in it.
struct Node {
    TopicBroker model;
    std::vector<Action> script = {};
    std::size_t subscriber[sides] = {none, none};  // that has not left
    std::size_t queue[sides] = {none, none};       // that is fed now
};

// A broker that goes the same way.
class Run {
public:
    explicit Run(const Bounds& bounds)
        : bounds_{bounds}, broker_{{.clock = &clock_}}, topic_{broker_.topic("a.b", bounds.topic)} {
        if (bounds.child) { children_.emplace(broker_.queue("children")); }
    }

    Outcome act(const Action& action) {
        Outcome outcome = perform(action);
        if (!children_) { return outcome; }
        if (action.kind == Action::publish && outcome.error == fine) { publish_child(); }
        const auto free = children_->pop_all();
        for (const int child : *free) {
            outcome.children.push_back(static_cast<std::uint64_t>(child));
        }
        outcome.dead_children = children_->dead_letters().purge();
        return outcome;
    }

    // Whatever can be seen; what differs, in words.
    std::string compare(const Node& node) {
        const TopicBroker& model = node.model;
        // What was retained goes when somebody looks.
        expect(broker_.poll().since_epoch().count() == model.next_due(), "poll");
        for (std::size_t i = 0; i < ids_.size(); ++i) { compare(model, i); }
        for (std::size_t side = 0; side < sides; ++side) { compare_side(node, side); }
        for (std::size_t h = 0; h < deliveries_.size(); ++h) {
            if (deliveries_[h]) { compare(model, h, *deliveries_[h]); }
        }
        expect(topic_.stats() == model.topic_stats(0), "stats of the topic");
        const latchbox::BrokerStats stats = broker_.stats();
        const latchbox::BrokerStats expected = model.stats();
        expect(stats.messages == expected.messages, "sums of the broker");
        expect(stats.queues == expected.queues && stats.subscriptions == expected.subscriptions,
               "subscriptions of the broker");
        expect(stats.topics == expected.topics, "topics of the broker");
        expect(stats.edges == expected.edges, "edges of the broker");
        expect(stats.discarded == expected.discarded && stats.retained == expected.retained &&
                   stats.aged_out == expected.aged_out,
               "counts of the broker");
        return std::move(difference_);
    }
    // Those whose lease is over say so, and go.
    void sweep(Node& node) {
        TopicBroker& model = node.model;
        for (std::size_t h = 0; h < deliveries_.size(); ++h) {
            if (!deliveries_[h] || model.lease(model.handle(h).lease).live) { continue; }
            const Errc expected = model.settle(h, {model::Verb::ack});
            expect(of(deliveries_[h]->ack()).error == expected, "a delivery whose lease is over");
            model.destroy(h);
            deliveries_[h].reset();
        }
    }
    // Those that went on the way here.
    void sweep_like(const TopicBroker& model) {
        for (std::size_t h = 0; h < deliveries_.size(); ++h) {
            if (!model.handle(h).exists) { deliveries_[h].reset(); }
        }
    }
    /// Ids and names are others in each broker.
    void tell(TopicBroker& model) const {
        for (std::size_t i = 0; i < ids_.size() && i < model.post_count(); ++i) {
            model.learn_id({model::Named::post, i}, ids_[i]);
        }
        for (std::size_t s = 0; s < names_.size(); ++s) { model.learn_name(s, names_[s]); }
    }
    void expect(bool holds, const char* what) {
        if (!holds && difference_.empty()) { difference_ = what; }
    }

private:
    using Subscription = latchbox::Subscription<int, Platform>;
    using Delivery = latchbox::Delivery<int, Platform>;

    Outcome perform(const Action& action) {
        auto& side = subscriptions_[action.side];
        switch (action.kind) {
            case Action::publish: return publish();
            case Action::fetch: return fetch(*side);
            case Action::ack: return of(deliveries_[action.which]->ack());
            case Action::fail: return of(deliveries_[action.which]->fail("no"));
            case Action::reject: return of(deliveries_[action.which]->reject());
            case Action::abandon: deliveries_[action.which].reset(); return {};
            case Action::redrive: return of(side->dead_letters().redrive(ids_[action.which]));
            case Action::redrive_all: return {fine, side->dead_letters().redrive()};
            case Action::take_dead: return body(side->dead_letters().take(ids_[action.which]));
            case Action::cancel: return of(side->cancel(ids_[action.which]));
            case Action::purge: return {fine, side->purge()};
            case Action::wait: clock_.advance(tick); return {};
            case Action::read: return read(ids_[action.which]);
            case Action::subscribe: return subscribe(action.side);
            case Action::unsubscribe: side.reset(); return {};
            case Action::remove: return {fine, broker_.remove("g") ? 1U : 0U};
        }
        return {};
    }
    void publish_child() {
        const auto child =
            children_->publish(static_cast<int>(ids_.size() - 1),
                               {.parents = {ids_.back()}, .on_parent_failure = *bounds_.child});
        expect(child.has_value(), "a child was refused");
    }

    static Outcome of(const latchbox::Result<void>& result) {
        return {result ? fine : result.error(), 0};
    }
    static Outcome body(const latchbox::Result<int>& result) {
        return result ? Outcome{fine, static_cast<std::uint64_t>(*result)}
                      : Outcome{result.error(), 0};
    }
    Outcome publish() {
        const auto id = topic_.publish(static_cast<int>(ids_.size()), bounds_.publish);
        if (!id) { return {id.error(), 0}; }
        for (std::size_t i = 0; i < ids_.size(); ++i) {
            if (ids_[i] == *id) { return {fine, i}; }
        }
        expect(ids_.empty() || ids_.back() < *id, "an id out of order");
        ids_.push_back(*id);
        if (bounds_.asks_at_once) { latches_.push_back(broker_.latch(*id)); }
        return {fine, ids_.size() - 1};
    }
    Outcome fetch(const Subscription& from) {
        auto fetched = from.try_fetch();
        if (!fetched) { return {fetched.error(), 0}; }
        const int value = fetched->body();
        deliveries_.push_back(std::move(*fetched));
        return {fine, static_cast<std::uint64_t>(value)};
    }
    Outcome read(const MessageId& id) const {
        const auto read = topic_.read(id);
        return read ? Outcome{fine, static_cast<std::uint64_t>(**read)} : Outcome{read.error(), 0};
    }
    Outcome subscribe(std::size_t side) {
        latchbox::SubscriptionOptions wish = bounds_.wishes[side];
        wish.group = group_of(side);
        subscriptions_[side].emplace(broker_.subscribe(pattern_of(side), wish));
        names_.push_back(subscriptions_[side]->name());
        return {};
    }

    void compare(const TopicBroker& model, std::size_t post) {
        const model::Named whose{model::Named::post, post};
        const latchbox::Explanation said = broker_.explain(ids_[post]);
        const latchbox::Explanation expected = model.explain(whose, ids_[post]);
        if (said != expected && difference_.empty()) {
            difference_ = "explain: broker \"" + to_string(said) + "\" (" + to_string(said.reason) +
                          "), model \"" + to_string(expected) + "\" (" +
                          to_string(expected.reason) + ')';
        }
        const auto latch = model.latch(whose);
        const auto state = broker_.latch(ids_[post]).state();
        expect(state && *state == latch.value, "state of a latch");
        if (post >= latches_.size()) { return; }
        const auto asked = latches_[post].state();
        expect(asked && *asked == latch.value, "state of a latch that was asked for at once");
    }
    void compare_side(const Node& node, std::size_t side) {
        if (!subscriptions_[side] || node.queue[side] == none) { return; }
        const TopicBroker& model = node.model;
        const Subscription& real = *subscriptions_[side];
        const std::size_t queue = node.queue[side];
        expect(real.stats() == model.stats(queue), "stats of a subscription");
        if (const char* broken = latchbox::detail::Access::core(real).audit()) {
            expect(false, broken);
        }
        std::vector<MessageId> dead;
        real.dead_letters().for_each([&](const auto& letter) {
            expect(letter.subject() == "a.b", "subject of a dead letter");
            dead.push_back(letter.id());
        });
        std::vector<MessageId> expected;
        for (const std::size_t m : model.dead_letters(queue)) {
            expected.push_back(model.id_of_message(m));
        }
        expect(dead == expected, "dead letters");
    }
    void compare(const TopicBroker& model, std::size_t h, const Delivery& delivery) {
        const std::size_t message = model.message_of(h);
        const model::Handle& handle = model.handle(h);
        expect(delivery.id() == model.id_of_message(message), "id of a delivery");
        expect(delivery.subject() == "a.b", "subject of a delivery");
        expect(delivery.attempt() == handle.attempt && delivery.failures() == handle.failures,
               "attempt and failures of a delivery");
        expect(delivery.deadline().since_epoch().count() == handle.deadline,
               "deadline of a delivery");
        expect(delivery.lease_lost() == model.lease_lost(h), "lease_lost");
    }

    const Bounds& bounds_;
    latchbox::BasicManualClock<Platform> clock_;
    latchbox::Broker<int, Platform> broker_;
    latchbox::Topic<int, Platform> topic_;
    std::optional<latchbox::Queue<int, Platform>> children_;
    std::optional<Subscription> subscriptions_[sides];
    std::vector<MessageId> ids_;                       // by the model's number
    std::vector<std::optional<Delivery>> deliveries_;  // the same
    std::vector<latchbox::Latch<int, Platform>> latches_;
    std::vector<std::string> names_;  // by the model's number of the handle
    std::string difference_;
};

// The same in the model.
Outcome perform(Node& node, const Bounds& bounds, const Action& action) {
    TopicBroker& model = node.model;
    const std::size_t queue = node.queue[action.side];
    const auto settle = [&](const model::Verb& verb) {
        return Outcome{model.settle(action.which, verb), 0};
    };
    const auto own = [&] { return model.in_queue(queue, model.post(action.which).id); };
    switch (action.kind) {
        case Action::publish: {
            const auto posted = model.publish_to(0, {model.post_count()}, bounds.publish);
            return {posted.error, posted.error == fine ? posted.value[0] : 0};
        }
        case Action::fetch: {
            const auto fetched = model.fetch(queue, 1);
            if (fetched.error != fine) { return {fetched.error, 0}; }
            return {fine, model.message(model.message_of(fetched.value[0])).body};
        }
        case Action::ack: return settle({model::Verb::ack});
        case Action::fail: return settle({model::Verb::fail, 0, "no"});
        case Action::reject: return settle({model::Verb::reject});
        case Action::abandon: model.destroy(action.which); return {};
        case Action::redrive: return {model.redrive(queue, own()), 0};
        case Action::redrive_all: return {fine, model.redrive_all(queue)};
        case Action::take_dead: {
            const auto taken = model.take_dead(queue, own());
            return {taken.error, taken.error == fine ? model.message(taken.value).body : 0};
        }
        case Action::cancel: return {model.cancel(queue, own()), 0};
        case Action::purge: return {fine, model.purge(queue)};
        case Action::wait: model.move_to(model.now() + 1); return {};
        case Action::read: {
            const auto read = model.read(0, {model::Named::post, action.which});
            return {read.error, read.error == fine ? model.post(read.value).body : 0};
        }
        case Action::subscribe: {
            const std::size_t number =
                model.subscribe(std::string{pattern_of(action.side)},
                                std::string{group_of(action.side)}, bounds.wishes[action.side]);
            node.subscriber[action.side] = number;
            node.queue[action.side] = model.subscriber(number).queue;
            return {};
        }
        case Action::unsubscribe:
            model.unsubscribe(node.subscriber[action.side]);
            node.subscriber[action.side] = none;
            if (model.is_closed(queue)) { node.queue[action.side] = none; }
            return {};
        case Action::remove:
            node.subscriber[1] = none;
            node.queue[1] = none;
            return {fine, model.remove("g") ? 1U : 0U};
    }
    return {};
}

Outcome act(Node& node, const Bounds& bounds, const Action& action, const Run& run) {
    Outcome outcome = perform(node, bounds, action);
    TopicBroker& model = node.model;
    run.tell(model);
    if (!bounds.child) { return outcome; }
    if (action.kind == Action::publish && outcome.error == fine) {
        const MessageId parent = model.post(outcome.value).id;
        static_cast<void>(model.publish(0, {outcome.value},
                                        {.parents = {parent}, .on_parent_failure = *bounds.child}));
    }
    for (const std::size_t child : model.pop_all(0).value) {
        outcome.children.push_back(model.message(child).body);
    }
    outcome.dead_children = model.purge_dead(0);
    return outcome;
}

class Search {
public:
    explicit Search(const Bounds& bounds) : bounds_{bounds} {}

    void run() {
        Node start;
        static_cast<void>(start.model.topic("a.b", bounds_.topic));
        start.model.hold_topic(0);
        if (bounds_.child) { static_cast<void>(start.model.queue("children", {})); }
        discover(std::move(start));
        while (!frontier_.empty() && broken_.empty()) {
            const Node node = std::move(frontier_.front());
            frontier_.pop_front();
            for (const Action& action : actions(node)) {
                if (broken_.empty()) { try_out(node, action); }
            }
        }
    }
    [[nodiscard]] std::size_t states() const { return seen_.size(); }
    [[nodiscard]] std::uint64_t transitions() const { return transitions_; }
    [[nodiscard]] const std::string& broken() const { return broken_; }

private:
    void discover(Node&& node) {
        if (seen_.insert(key(node)).second) { frontier_.push_back(std::move(node)); }
    }
    void try_out(const Node& from, const Action& action) {
        ++transitions_;
        Node to = from;
        to.script.push_back(action);
        Run run{bounds_};
        for (const Action& before : from.script) { static_cast<void>(run.act(before)); }
        run.sweep_like(from.model);
        run.tell(to.model);
        const Outcome outcome = run.act(action);
        const Outcome expected = act(to, bounds_, action, run);
        if (outcome != expected) {
            broken_ = std::string(words[action.kind]) + ": broker \"" + to_string(outcome.error) +
                      "\" " + std::to_string(outcome.value) + ", model \"" +
                      to_string(expected.error) + "\" " + std::to_string(expected.value);
            if (outcome.children != expected.children) { broken_ += ", other children go"; }
            if (outcome.dead_children != expected.dead_children) { broken_ += ", others die"; }
        }
        if (broken_.empty()) { run.sweep(to); }
        if (broken_.empty()) { broken_ = run.compare(to); }
        if (!broken_.empty()) {
            broken_ += " after " + text(to);
            return;
        }
        discover(std::move(to));
    }

    // -- actions ---------------------------------------------------------------------------------

    [[nodiscard]] std::vector<Action> actions(const Node& node) const {
        const TopicBroker& model = node.model;
        std::vector<Action> all{{Action::wait}, {Action::remove}};
        std::vector<std::uint8_t> posts;  // in hand, and the last that is not
        std::size_t in_hand = 0;
        for (std::size_t p = 0; p < model.post_count(); ++p) {
            const bool there = model.has_body(p);
            if (!there && in_hand == 0) { posts.clear(); }
            if (!there && !posts.empty()) { continue; }
            posts.push_back(static_cast<std::uint8_t>(p));
            in_hand += there ? 1U : 0U;
        }
        const bool repeats = model.stands_for_post(0, bounds_.publish.dedup) != none;
        if (repeats || in_hand < bounds_.messages) { all.push_back({Action::publish}); }
        bool tried_not_retained = false;
        for (const std::uint8_t p : posts) {
            const bool retained = model.post(p).retained;
            if (!retained && std::exchange(tried_not_retained, true)) { continue; }
            all.push_back({Action::read, 0, p});
        }
        std::size_t out = 0;
        for (std::size_t h = 0; h < model.handle_count(); ++h) {
            if (!model.handle(h).exists) { continue; }
            ++out;
            for (const auto kind : {Action::ack, Action::fail, Action::reject, Action::abandon}) {
                all.push_back({kind, 0, static_cast<std::uint8_t>(h)});
            }
        }
        for (std::uint8_t side = 0; side < sides; ++side) {
            if (node.subscriber[side] == none) {
                all.push_back({Action::subscribe, side});
                continue;
            }
            if (out < bounds_.deliveries) { all.push_back({Action::fetch, side}); }
            for (const auto kind : {Action::redrive_all, Action::purge, Action::unsubscribe}) {
                all.push_back({kind, side});
            }
            add_by_id(model, node.queue[side], side, posts, all);
        }
        return all;
    }

    // Of those for which the answer is no, one is enough.
    static void add_by_id(const TopicBroker& model, std::size_t queue, std::uint8_t side,
                          const std::vector<std::uint8_t>& posts, std::vector<Action>& all) {
        bool tried_not_dead = false;
        bool tried_not_held = false;
        for (const std::uint8_t p : posts) {
            const std::size_t m = model.in_queue(queue, model.post(p).id);
            const bool held = model.holds(queue, m);
            const bool dead = held && model.message(m).state == model::State::dead;
            if (dead || !std::exchange(tried_not_dead, true)) {
                all.push_back({Action::redrive, side, p});
                all.push_back({Action::take_dead, side, p});
            }
            if (held || !std::exchange(tried_not_held, true)) {
                all.push_back({Action::cancel, side, p});
            }
        }
    }

    // -- states ----------------------------------------------------------------------------------

    // The state in so many bytes.
    [[nodiscard]] std::string key(const Node& node) const {
        const TopicBroker& model = node.model;
        std::string text;
        const auto add = [&text](auto value) { text += static_cast<char>(value); };
        for (std::size_t side = 0; side < sides; ++side) {
            add(node.subscriber[side] != none);
            add(node.queue[side] != none);
        }
        std::vector<std::size_t> posts;
        for (std::size_t p = 0; p < model.post_count(); ++p) {
            if (!model.has_body(p)) { continue; }
            const model::Post& post = model.post(p);
            posts.push_back(p);
            add('p');
            add(post.retained ? left(model, post.retained_until) + 1 : 0);
            add(static_cast<unsigned>(post.failed_by));
        }
        const std::vector<model::Value>& values = model.topic_at(0).values;
        if (!values.empty() && values.back().until > model.now()) {
            const std::size_t first = values.back().number;
            const bool well = model.stands_for_post(0, bounds_.publish.dedup) == first;
            add('v');
            add(left(model, values.back().until));
            add(model.has_body(first) ? rank(posts, first) : well ? 100 : 101);
        }
        for (std::size_t q = 0; q < model.queue_count(); ++q) {
            std::vector<std::size_t> held;
            for (std::size_t m = 0; m < model.message_count(); ++m) {
                if (model.holds(q, m)) { held.push_back(m); }
            }
            if (!model.queue_at(q).is_subscription) {
                for (const std::size_t m : held) {
                    add(rank(posts, model.message(m).parents[0].who.number));
                }
                text += 'c';
                continue;
            }
            const bool fed = q == node.queue[0] || q == node.queue[1];
            if (held.empty() && !fed) { continue; }
            add('q');
            add(q == node.queue[0] ? 0 : q == node.queue[1] ? 1 : 2);
            for (const std::size_t m : held) { describe(model, posts, held, m, text); }
        }
        return text;
    }
    void describe(const TopicBroker& model, const std::vector<std::size_t>& posts,
                  const std::vector<std::size_t>& held, std::size_t message,
                  std::string& text) const {
        const auto add = [&text](auto value) { text += static_cast<char>(value); };
        const model::Message& m = model.message(message);
        const std::size_t q = m.queue;
        add(rank(posts, m.post));
        add(m.replayed);
        add(static_cast<unsigned>(m.state));
        std::size_t before = 0;
        for (const std::size_t other : held) {
            const model::Message& o = model.message(other);
            const bool dead = m.state == model::State::dead && o.state == model::State::dead;
            before += (dead ? o.death < m.death : o.place < m.place) ? 1U : 0U;
        }
        add(before);
        if (m.state == model::State::dead) { return; }
        const std::uint32_t limit = model.queue_at(q).options.max_failures;
        add(limit != 0 ? m.failures : 0);
        if (m.state == model::State::leased) { add(left(model, m.deadline)); }
        if (m.state == model::State::delayed) { add(left(model, m.due)); }
        add(left(model, m.expires));
    }
    static std::size_t rank(const std::vector<std::size_t>& posts, std::size_t post) {
        std::size_t rank = 0;
        while (posts[rank] != post) { ++rank; }
        return rank;
    }
    static Ticks left(const TopicBroker& model, Ticks at) {
        return at == model::never ? 100 : at - model.now();
    }
    static std::string text(const Node& node) {
        std::string text;
        for (const Action& action : node.script) {
            text += text.empty() ? "" : ", ";
            text += words[action.kind];
            switch (action.kind) {
                case Action::publish:
                case Action::wait:
                case Action::remove: break;
                case Action::fetch:
                case Action::redrive_all:
                case Action::purge:
                case Action::subscribe:
                case Action::unsubscribe: text += action.side == 0 ? " A" : " B"; break;
                case Action::redrive:
                case Action::take_dead:
                case Action::cancel:
                    text += action.side == 0 ? " A m" : " B m";
                    text += std::to_string(action.which);
                    break;
                case Action::read: text += " m" + std::to_string(action.which); break;
                case Action::ack:
                case Action::fail:
                case Action::reject:
                case Action::abandon: text += " d" + std::to_string(action.which); break;
            }
        }
        return text;
    }

    const Bounds& bounds_;
    std::unordered_set<std::string> seen_;
    std::deque<Node> frontier_;
    std::uint64_t transitions_ = 0;
    std::string broken_;
};

void search(const Bounds& bounds) {
    Search search{bounds};
    search.run();
    std::printf("figure: topics exhaustive %s states = %zu\n", bounds.name, search.states());
    std::printf("figure: topics exhaustive %s transitions = %llu\n", bounds.name,
                static_cast<unsigned long long>(search.transitions()));
    CHECK_MESSAGE(search.broken().empty(), search.broken());
    CHECK(search.states() > 1000);
}

}  // namespace

TEST_CASE("every state of a topic that retains, and a durable group [6.2] [6.5] [6.6] [6.7]") {
    search({.name = "retaining",
            .topic = {.retain_count = 2, .retain_for = tick * 2},
            .wishes = {{.replay = true, .lease = tick * 2, .max_failures = 1},
                       {.durable = true, .lease = tick, .capacity = 1, .backoff = one_tick}},
            .messages = 2,
            .deliveries = 1});
}

TEST_CASE("every state of a topic whose subscriptions drop copies [5.3] [6.1] [6.4]") {
    search({.name = "dropping",
            .topic = {},
            .wishes = {{.lease = tick, .capacity = 1, .max_failures = 1},
                       {.lease = tick * 2,
                        .capacity = 2,
                        .overflow = latchbox::Overflow::drop_newest,
                        .max_failures = 1}},
            .asks_at_once = true});
}

TEST_CASE("every state of a topic with three messages, refused by one subscription [6.3] [6.4]") {
    search({.name = "refusing",
            .topic = {.unrouted = latchbox::Unrouted::reject},
            .wishes = {{.lease = tick, .max_failures = 1},
                       {.lease = tick,
                        .capacity = 2,
                        .overflow = latchbox::Overflow::reject,
                        .max_failures = 1,
                        .dead_capacity = 1}},
            .deliveries = 1});
}

TEST_CASE("every state of messages that retain themselves, and expire [6.6] [4.3]") {
    search({.name = "expiring",
            .topic = {.retain_count = 1},
            .wishes = {{.replay = true, .lease = tick, .capacity = 2, .backoff = one_tick},
                       {.lease = tick, .capacity = 1, .backoff = one_tick}},
            .messages = 2,
            .deliveries = 1,
            .publish = {.expires_in = tick * 2, .retain_for = tick}});
}

TEST_CASE("every state of a topic that tells values apart, subscribed or not [7.1]") {
    search({.name = "values",
            .topic = {.unrouted = latchbox::Unrouted::reject, .dedup_window = tick * 3},
            .wishes = {{.lease = tick * 2, .capacity = 1, .max_failures = 1},
                       {.lease = tick,
                        .capacity = 2,
                        .overflow = latchbox::Overflow::reject,
                        .max_failures = 1}},
            .messages = 2,
            .publish = {.dedup = "d"}});
}

TEST_CASE("every state of a topic whose messages have children that hold [5.3] [5.4] [5.5]") {
    search({.name = "holding",
            .topic = {},
            .wishes = {{.lease = tick, .capacity = 2, .max_failures = 1, .dead_capacity = 1},
                       {.durable = true,
                        .lease = tick * 2,
                        .capacity = 1,
                        .overflow = latchbox::Overflow::drop_oldest,
                        .max_failures = 1}},
            .messages = 2,
            .child = latchbox::OnParentFailure::hold});
}
