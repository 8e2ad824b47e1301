// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "simulation/scene.hpp"

// A scene with topics and subscriptions. Besides what a scene asks, each run ends with the
// questions: is all that was accepted settled once and counted, and is no latch, edge or body left
// but what is retained.
namespace scenes {

using latchbox::Unrouted;
using Body = std::shared_ptr<const Parcel>;

// What the fibers of one run share besides the scene: up to two subjects, and up to four
// subscriptions in the order in which they were made. A fiber writes only what is its own.
class Stage {
public:
    Stage(World& world, std::shared_ptr<Scene> scene) : world_{world}, scene_{std::move(scene)} {}

    std::optional<Topic> x;
    std::optional<Topic> y;
    std::optional<Subscription> a;
    std::optional<Subscription> b;
    std::optional<Subscription> c;
    std::optional<Subscription> d;
    std::optional<Queue> queue;  // of children
    std::optional<Delivery> held_a;
    std::optional<Delivery> held_b;
    std::array<MessageId, 10> ids;  // of what was published, by its number
    Body body;

    [[nodiscard]] Broker& broker() { return *scene_->broker; }
    [[nodiscard]] Clock& clock() { return scene_->clock; }
    void destroy_broker() { scene_->broker.reset(); }
    void say(const std::string& word) { scene_->say(word); }
    void say(std::initializer_list<std::string> words) {
        for (const std::string& word : words) { say(word); }
    }
    template <class T> void say_error(const Result<T>& result, const char* otherwise) {
        say(result ? otherwise : latchbox::to_string(result.error()));
    }
    void check(bool holds, const char* text) { world_.check(holds, text); }

    // Subjects "x" and, if asked for, "y".
    void topics(const TopicOptions& options = {}) {
        x.emplace(broker().topic("x", options));
        y.emplace(broker().topic("y", options));
    }
    [[nodiscard]] Subscription subscribe(const char* pattern,
                                         const SubscriptionOptions& options = {}) {
        return broker().subscribe(pattern, options);
    }

    // Says how that went.
    bool publish(const Topic& topic, int number, const PublishOptions& options = {},
                 const Simulated::StopToken& stop = {}) {
        const auto published = topic.publish(Parcel{number}, options, stop);
        say_error(published, "published");
        if (published) { ids[static_cast<std::size_t>(number)] = *published; }
        return published.has_value();
    }
    bool publish(int number) { return publish(*x, number); }
    // Expects it to be accepted, and says nothing.
    MessageId accept(const Topic& topic, int number, const PublishOptions& options = {}) {
        const auto published = topic.publish(Parcel{number}, options);
        world_.check(published.has_value(), "refuses a message");
        return ids[static_cast<std::size_t>(number)] = published.value();
    }
    MessageId accept(int number, const PublishOptions& options = {}) {
        return accept(*x, number, options);
    }
    void accept_batch(const Topic& topic, int first, int second) {
        std::vector<Parcel> both;
        both.reserve(2);
        both.emplace_back(first);
        both.emplace_back(second);
        const auto published = topic.publish_batch(both);
        world_.check(published.has_value(), "refuses a batch");
        ids[static_cast<std::size_t>(first)] = published.value()[0];
        ids[static_cast<std::size_t>(second)] = published.value()[1];
    }
    void child_of(const MessageId& parent, OnParentFailure policy = OnParentFailure::dead_letter) {
        const auto child =
            queue->publish(Parcel{7}, {.parents = {parent}, .on_parent_failure = policy});
        world_.check(child.has_value(), "refuses a child");
        ids[7] = child.value();
    }

    // Waits, acks, and says what it was.
    void fetch(const Consumer& from) { settle(from.fetch()); }
    void try_fetch(const Consumer& from) { settle(from.try_fetch()); }
    int pop(const Consumer& from) {
        auto delivery = from.try_fetch();
        check(delivery.has_value(), "finds nothing ready");
        delivery->ack();
        return delivery->body().number();
    }

    // All that is ready there, in order: "12".
    static std::string left(const Consumer& in) {
        std::string numbers;
        while (auto delivery = in.try_fetch()) {
            numbers += std::to_string(delivery->body().number());
            delivery->ack();
        }
        return numbers.empty() ? "-" : numbers;
    }
    [[nodiscard]] std::string latch(const MessageId& id) {
        const auto state = broker().latch(id).state();
        return state ? to_string(*state) : latchbox::to_string(state.error());
    }
    [[nodiscard]] std::string child() {
        switch (broker().explain(ids[7]).state) {
            case MessageState::blocked: return "blocked";
            case MessageState::ready: return "ready";
            case MessageState::dead: return "dead";
            default: return "elsewhere";
        }
    }

    // To be called at the end of all. `closed`: what was left is gone with the broker.
    void finish(bool closed = false) {
        held_a.reset();
        held_b.reset();
        body.reset();
        for (auto* one : {&a, &b, &c, &d}) {
            if (*one) { audit(**one); }
        }
        if (queue) { audit(*queue); }
        if (!closed && scene_->broker) { work_off(); }
        x.reset();
        y.reset();
        for (auto* one : {&a, &b, &c, &d}) { one->reset(); }
        if (!closed && scene_->broker) {
            const auto stats = broker().stats();
            check(stats.subscriptions == 0, "a subscription is left");
            check(conserved(stats.messages), "the counts of all do not add up");
        }
        queue.reset();
        scene_->finish(true);
    }

private:
    template <class Fetched> void settle(Fetched&& fetched) {
        if (!fetched) { return say(latchbox::to_string(fetched.error())); }
        say("got " + std::to_string(fetched->body().number()));
        fetched->ack();
    }
    static bool conserved(const latchbox::QueueStats& stats) {
        return stats.accepted == stats.held() + stats.completed + stats.expired + stats.purged +
                                     stats.evicted + stats.cancelled;
    }
    void audit(const Consumer& of) {
        const char* const broken = latchbox::detail::Access::core(of).audit();
        world_.check(broken == nullptr, broken == nullptr ? "" : broken);
        check(conserved(of.stats()), "the counts of one do not add up");
    }
    // When all is settled, nothing is left of anything but what is retained.
    void work_off() {
        clock().advance(24h);
        for (auto* one : {&a, &b, &c, &d}) {
            if (!*one) { continue; }
            left(**one);
            (*one)->dead_letters().purge();
            check((*one)->size() == 0, "a message cannot be worked off");
        }
        if (queue) {
            left(*queue);
            queue->dead_letters().purge();
            check(queue->size() == 0, "a child cannot be worked off");
        }
        const auto stats = broker().stats();
        check(stats.latches == 0, "a latch is left");
        check(stats.edges == 0, "an edge is left");
        check(static_cast<std::uint64_t>(Parcel::live) == stats.retained, "a body is left");
    }

    World& world_;
    std::shared_ptr<Scene> scene_;
};

// The program goes in exactly these ways.
template <class SetUp>
void every_way(const std::set<std::string>& ways, const latchbox::testing::Rules& rules,
               SetUp set_up) {
    every_schedule_on<Stage>(ways, rules, set_up);
}

inline constexpr latchbox::testing::Rules all{};

inline SubscriptionOptions of(std::size_t capacity, Overflow overflow) {
    return {.capacity = capacity, .overflow = overflow, .block_for = for_ever};
}

}  // namespace scenes
