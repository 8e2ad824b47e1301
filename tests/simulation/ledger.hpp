// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "simulation/scene.hpp"

// A scene with two queues, and an account of what came into them and what was settled, by
// identity. Each run ends with the question whether what is left is what has to be.
namespace scenes {

// What the fibers of one run share besides the scene. A fiber writes only what is its own.
class Ledger {
public:
    Ledger(World& world, std::shared_ptr<Scene> scene) : world_{world}, scene_{std::move(scene)} {}

    std::optional<Queue> a;
    std::optional<Queue> b;
    std::optional<Topic> x;
    std::optional<Subscription> sub;
    std::array<std::optional<Delivery>, 3> held;
    std::array<MessageId, 10> ids;  // of what was published, by its number

    [[nodiscard]] World& world() { return world_; }
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

    void queues(const QueueOptions& for_a = {}, const QueueOptions& for_b = {}) {
        a.emplace(broker().queue("a", for_a));
        b.emplace(broker().queue("b", for_b));
        for (const Queue* const queue : {&*a, &*b}) {  // memory is there
            static_cast<void>(queue->publish(Parcel{99}));
            queue->try_fetch()->ack();
        }
    }

    // Says how that went.
    bool publish(const Queue& to, int number, const PublishOptions& options = {}) {
        const auto published = to.publish(Parcel{number}, options);
        say_error(published, "published");
        if (published) { came(number, *published); }
        return published.has_value();
    }
    // Expects it to be accepted, and says nothing.
    MessageId accept(const Queue& to, int number, const PublishOptions& options = {}) {
        const auto published = to.publish(Parcel{number}, options);
        check(published.has_value(), "refuses a message");
        came(number, *published);
        return *published;
    }
    // The same, and fetched then.
    void hold(std::size_t place, const Queue& in, int number, const PublishOptions& options = {}) {
        accept(in, number, options);
        held[place] = in.try_fetch().value();
    }
    bool ack(Delivery& delivery) {
        const MessageId id = delivery.id();
        const auto done = delivery.ack();
        say_error(done, "acked");
        if (done) { settled(id); }
        return done.has_value();
    }
    // Acks what was fetched, and says its number or why there is none.
    bool settle(Result<Delivery> fetched) {
        if (!fetched) {
            say(latchbox::to_string(fetched.error()));
            return false;
        }
        say("got " + std::to_string(fetched->body().number()));
        const MessageId id = fetched->id();
        const auto done = fetched->ack();
        if (done) { settled(id); }
        if (!done) { say(latchbox::to_string(done.error())); }
        return true;
    }
    bool fetch(const Consumer& from, const Simulated::StopToken& stop = {}) {
        return settle(from.fetch(stop));
    }
    bool try_fetch(const Consumer& from) { return settle(from.try_fetch()); }
    // Until the queue closes.
    void work(const Consumer& from) {
        while (fetch(from)) {}
    }
    void say_left(const latchbox::CloseReport& report) {
        say(std::to_string(report.left()) + " left");
    }

    // A message came, and a message went for good.
    void came(int number, const MessageId& id) {
        ids[static_cast<std::size_t>(number)] = id;
        came(id);
    }
    void came(const MessageId& id) { came_[fiber()].push_back(id); }
    void settled(const MessageId& id) { settled_[fiber()].push_back(id); }

    // All that is ready there, in order: "12".
    [[nodiscard]] std::string left(const Consumer& in) {
        std::string numbers;
        while (auto delivery = in.try_fetch()) {
            numbers += std::to_string(delivery->body().number());
            settled(delivery->id());
            delivery->ack();
        }
        return numbers.empty() ? "-" : numbers;
    }
    [[nodiscard]] std::string left() { return left(*a) + " " + left(*b); }

    // To be called at the end of all. `closed`: what was left is gone with the broker.
    void finish(bool closed = false) {
        for (auto& delivery : held) { delivery.reset(); }
        if (a) { audit(*a); }
        if (b) { audit(*b); }
        if (sub) { audit(*sub); }
        if (!closed && scene_->broker) { check_identity(); }
        x.reset();
        sub.reset();
        a.reset();
        b.reset();
        scene_->finish(true);
    }

private:
    using Ids = std::vector<MessageId>;

    [[nodiscard]] std::size_t fiber() const noexcept {
        return world_.on_fiber() ? static_cast<std::size_t>(world_.running()) : came_.size() - 1;
    }
    void audit(const Consumer& of) {
        const char* const broken = latchbox::detail::Access::core(of).audit();
        world_.check(broken == nullptr, broken == nullptr ? "" : broken);
        check(conserved(of.stats()), "the counts of one do not add up");
    }
    static bool conserved(const latchbox::QueueStats& stats) {
        return stats.accepted == stats.held() + stats.completed + stats.expired + stats.purged +
                                     stats.evicted + stats.cancelled;
    }
    template <class Lists> static Ids joined(const Lists& lists) {
        Ids all;
        for (const Ids& list : lists) { all.insert(all.end(), list.begin(), list.end()); }
        std::sort(all.begin(), all.end());
        return all;
    }
    // Once all leases and delays are over, what came and was not settled is there, once. (What is
    // told twice to have come is a message that another publish stood for.)
    void check_identity() {
        clock().advance(24h);
        std::uint64_t gone = 0;
        for (const auto* const queue : {&a, &b}) {
            if (!*queue) { continue; }
            (*queue)->dead_letters().for_each([this](const auto& letter) { settled(letter.id()); });
            static_cast<void>(left(**queue));
            const auto stats = (*queue)->stats();
            gone += stats.expired + stats.purged + stats.evicted + stats.cancelled;
            (*queue)->dead_letters().purge();
            check((*queue)->size() == 0, "a message cannot be worked off");
        }
        Ids in = joined(came_);
        in.erase(std::unique(in.begin(), in.end()), in.end());
        const Ids out = joined(settled_);
        check(std::adjacent_find(out.begin(), out.end()) == out.end(), "a message was there twice");
        check(std::includes(in.begin(), in.end(), out.begin(), out.end()),
              "a message was settled that never came");
        check(in.size() == out.size() + gone, "a message is lost");
        const auto stats = broker().stats();
        check(stats.latches == 0, "a latch is left");
        check(stats.edges == 0, "an edge is left");
        check(conserved(stats.messages), "the counts of all do not add up");
    }

    World& world_;
    std::shared_ptr<Scene> scene_;
    std::array<Ids, 8> came_;
    std::array<Ids, 8> settled_;
};

// The program goes in exactly these ways.
template <class SetUp>
void every_entry(const std::set<std::string>& ways, const latchbox::testing::Rules& rules,
                 SetUp set_up) {
    every_schedule_on<Ledger>(ways, rules, set_up);
}

inline constexpr latchbox::testing::Rules all_points{};
inline constexpr latchbox::testing::Rules two_interrupted{.interrupt_after = true,
                                                          .preemptions = 2};

}  // namespace scenes
