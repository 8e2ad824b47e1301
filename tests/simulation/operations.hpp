// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "latchbox/detail/latch_audit.hpp"
#include "simulation/scene.hpp"

// Sixteen operations on one scene, to be put beside each other in any number: a queue, a topic
// with two subscriptions, a gate. Each operation finds what it works on, in each of six states
// before. Each run ends with the questions: is every accepted message accounted for once, do all
// subscriptions agree, is nothing of it left, and does what happened answer a question of the
// program's own.
namespace scenes {

using latchbox::LatchState;
using latchbox::MessageId;
using latchbox::MessageState;
using latchbox::OnParentFailure;
using latchbox::PublishOptions;
using latchbox::Result;
using latchbox::SubscriptionOptions;
using Consumer = latchbox::Consumer<Parcel, Simulated>;
using Gate = latchbox::Gate<Parcel, Simulated>;
using Subscription = latchbox::Subscription<Parcel, Simulated>;
using Topic = latchbox::Topic<Parcel, Simulated>;

enum class Operation : std::uint8_t {
    publish,
    publish_child,  // of a parent that is pending, or of the dead one
    post,           // publish to a topic with two subscriptions
    try_fetch,
    fetch,  // waits, until stopped
    ack,    // this and the next two by receipt: whoever has it may
    fail,
    extend,
    abandon,
    count_down,
    come_or_go,  // subscribe, or unsubscribe
    redrive,
    commit,  // an ack and a publish
    advance,
    stop,
    close,
};
inline constexpr std::size_t operations = 16;
inline constexpr std::array<const char*, operations> operation_names{
    "publish", "publish_child", "post",       "try_fetch", "fetch",  "ack",     "fail", "extend",
    "abandon", "count_down",    "come_or_go", "redrive",   "commit", "advance", "stop", "close"};

enum class Before : std::uint8_t {
    leased,     // one message, with a consumer
    ready,      // and another that is ready
    deadlines,  // two leases and a delay between their ends
    family,     // a leased parent, a child of it, a child of it and of a gate
    dead,       // a leased one, a dead one, a child that waits for that, a delayed one
    full,       // a leased one and a ready one, and room for no more; nor in one subscription
};
inline constexpr std::size_t states_before = 6;
inline constexpr std::array<const char*, states_before> before_names{"leased", "ready", "deadlines",
                                                                     "family", "dead",  "full"};

inline const char* name(Operation operation) {
    return operation_names[static_cast<std::size_t>(operation)];
}
inline const char* name(Before before) { return before_names[static_cast<std::size_t>(before)]; }

// What the fibers of one run share. A fiber writes only what is its own.
class Yard {
public:
    Yard(World& world, Before before, const std::vector<Operation>& program)
        : world_{world}, before_{before} {
        Parcel::live = 0;
        world.watch_allocations();
        broker_.emplace(latchbox::BrokerOptions{.clock = &clock_});
        queue_.emplace(broker_->queue("queue", options(program)));
        const auto has = [&](Operation one) {
            return std::find(program.begin(), program.end(), one) != program.end();
        };
        posts_in_commits_ = before == Before::ready || before == Before::family;
        if (has(Operation::post) || has(Operation::come_or_go) ||
            (posts_in_commits_ && has(Operation::commit))) {
            open_topic();
        }
        const bool counts = has(Operation::count_down);
        if (counts || before == Before::family || has(Operation::publish_child)) {
            gate_.emplace(broker_->gate());
        }
        accept(1);
        own_[the_thread()].handle = queue_->try_fetch().value();
        receipt_ = own_[the_thread()].handle->receipt();
        if (has(Operation::redrive)) { bury(8); }
        prepare();
        hand_out(program);
        if (counts) { accept(9, {.parents = {gate_->id()}}); }
        world.check(before != Before::full || queue_->size() == queue_->options().capacity,
                    "is not full to begin with");
    }

    void act(Operation operation) {
        switch (operation) {
            case Operation::publish: return publish({});
            case Operation::publish_child: return publish({.parents = parents_});
            case Operation::post: return post();
            case Operation::try_fetch: return keep(queue_->try_fetch());
            case Operation::fetch: return keep(queue_->fetch(stop_.get_token()));
            case Operation::ack: return ack();
            case Operation::fail: return say_error(queue_->fail(receipt(), "bad"), "failed");
            case Operation::extend: return say_error(queue_->extend(receipt(), 15s), "extended");
            case Operation::abandon: return abandon();
            case Operation::count_down: return say_error(gate_->count_down(), "counted");
            case Operation::come_or_go: return come_or_go();
            case Operation::redrive:
                return say(std::to_string(queue_->dead_letters().redrive()) + " redriven");
            case Operation::commit: return commit();
            case Operation::advance: return clock_.advance(10s);
            case Operation::stop: return static_cast<void>(stop_.request_stop());
            case Operation::close: return close();
        }
    }

    // Nobody can go on: whoever waits, waits for what is not there, and is told to stop.
    void rest(const std::vector<Operation>& program) {
        const auto stats = queue_->stats();
        for (std::size_t i = 0; i < program.size(); ++i) {
            if (world_.has_ended(i)) { continue; }
            own_[i].words += "waits ";
            world_.check(!stop_.get_token().stop_requested(), "lets one wait who was stopped");
            switch (program[i]) {
                case Operation::fetch:
                    world_.check(stats.ready == 0, "lets a fetch wait for what is ready");
                    break;
                case Operation::publish:
                case Operation::publish_child:
                    world_.check(stats.held() >= queue_->options().capacity,
                                 "lets a publish wait where there is room");
                    break;
                default: world_.check(is_blocked(), "lets a publish wait that nothing blocks");
            }
        }
        stop_.request_stop();
    }

    // To be called at the end of all. What the operations said and how every message stands then.
    [[nodiscard]] std::string finish() {
        std::string words;
        for (const Own& own : own_) {
            if (!own.words.empty()) { words += own.words + "; "; }
        }
        words += how_all_stand();
        audit();
        for (Own& own : own_) {
            own.handle.reset();
            own.transactions.clear();
            own.got.clear();
        }
        if (!closed()) { work_off(); }
        audit();
        topic_.reset();
        for (auto* one : {&a_, &b_}) { one->reset(); }
        for (Own& own : own_) { own.subscriptions.clear(); }
        gate_.reset();
        if (!closed()) {
            const auto stats = broker_->stats();
            world_.check(stats.latches == 0, "a latch is left");
            world_.check(stats.edges == 0, "an edge is left");
            world_.check(stats.subscriptions == 0, "a subscription is left");
            world_.check(conserved(stats.messages), "the counts of all do not add up");
        }
        queue_.reset();
        broker_.reset();
        world_.check(Parcel::live == 0, "messages are left: " + std::to_string(Parcel::live));
        return words;
    }

private:
    using Transaction = Broker::Transaction;
    struct Accepted {
        int number;
        MessageId id;
    };
    struct Own {
        std::string words = {};
        std::optional<Delivery> handle = {};
        std::vector<Delivery> got = {};
        std::vector<Transaction> transactions = {};
        std::vector<Subscription> subscriptions = {};
        std::vector<Accepted> accepted = {};  // by the queue
        std::vector<Accepted> posted = {};
        std::vector<int> settled = {};
        int published = 0;
        bool closed = false;
    };

    // The thread itself is the last.
    static constexpr std::size_t the_thread() noexcept { return 8; }
    [[nodiscard]] std::size_t fiber() const noexcept {
        return world_.on_fiber() ? static_cast<std::size_t>(world_.running()) : the_thread();
    }
    [[nodiscard]] Own& own() noexcept { return own_[fiber()]; }
    [[nodiscard]] int next_number() {
        return 10 * (static_cast<int>(fiber()) + 1) + own().published++;
    }
    void say(const std::string& word) { own().words += (own().words.empty() ? "" : " ") + word; }
    template <class T> void say_error(const Result<T>& result, const char* otherwise) {
        say(result ? otherwise : latchbox::to_string(result.error()));
    }
    [[nodiscard]] bool closed() const {
        return std::any_of(own_.begin(), own_.end(), [](const Own& own) { return own.closed; });
    }

    // --- the state before ---

    [[nodiscard]] static bool takes_a_handle(Operation operation) {
        return operation == Operation::abandon || operation == Operation::commit;
    }
    [[nodiscard]] QueueOptions options(const std::vector<Operation>& program) const {
        const bool strict =
            before_ == Before::leased || before_ == Before::family || before_ == Before::dead;
        QueueOptions options{.lease = 10s, .max_failures = strict ? 1U : 0U};
        if (before_ != Before::full) { return options; }
        const auto count = [&](auto which) {
            return static_cast<std::size_t>(std::count_if(program.begin(), program.end(), which));
        };
        const std::size_t handles = count(takes_a_handle);
        options.capacity =
            2 + (handles > 1 ? handles - 1 : 0) +
            (count([](Operation one) { return one == Operation::redrive; }) > 0 ? 1U : 0U) +
            (count([](Operation one) { return one == Operation::count_down; }) > 0 ? 1U : 0U);
        options.overflow = Overflow::block;
        options.block_for = Duration::never();
        return options;
    }
    void open_topic() {
        topic_.emplace(broker_->topic("x"));
        SubscriptionOptions options;
        if (before_ == Before::full) {
            options = {.capacity = 1, .overflow = Overflow::block, .block_for = Duration::never()};
        }
        a_.emplace(broker_->subscribe("x", options));
        if (before_ == Before::full) {
            own().posted.push_back({7, topic_->publish(Parcel{7}).value()});
        }
        b_.emplace(broker_->subscribe(">"));
    }
    MessageId accept(int number, const PublishOptions& wishes = {}) {
        const MessageId id = queue_->publish(Parcel{number}, wishes).value();
        own().accepted.push_back({number, id});
        return id;
    }
    MessageId bury(int number) {
        const MessageId id = accept(number);
        queue_->try_fetch().value().reject("for the test");
        return id;
    }
    void prepare() {
        const MessageId first = own().accepted.front().id;
        parents_ = {first};
        switch (before_) {
            case Before::leased: break;
            case Before::ready:
            case Before::full: accept(2); break;
            case Before::deadlines:
                accept(2, {.delay = 6s});
                clock_.advance(1s);
                accept(3);
                own().got.push_back(queue_->try_fetch().value());
                if (gate_) { parents_ = {gate_->id()}; }
                break;
            case Before::family:
                accept(2, {.parents = {first}});
                accept(3, {.parents = {first, gate_->id()}});
                parents_ = {gate_->id(), first};
                break;
            case Before::dead: {
                const MessageId dead = bury(2);
                parents_ = {dead};
                accept(3, {.parents = {dead}, .on_parent_failure = OnParentFailure::hold});
                accept(4, {.delay = 5s});
                break;
            }
        }
    }
    // Whoever needs a delivery of his own gets one: the first the one that all have a receipt of.
    // Those that are ready already stay so.
    void hand_out(const std::vector<Operation>& program) {
        bool first = true;
        for (std::size_t i = 0; i < program.size(); ++i) {
            if (!takes_a_handle(program[i])) { continue; }
            if (std::exchange(first, false)) {
                own_[i].handle = std::exchange(own().handle, std::nullopt);
                continue;
            }
            const int number = 4 + static_cast<int>(i);
            accept(number, {.priority = 9});
            own_[i].handle = queue_->try_fetch().value();
        }
    }

    // --- the operations ---

    [[nodiscard]] latchbox::Receipt receipt() {
        return own().got.empty() ? receipt_ : own().got.back().receipt();
    }
    void publish(const PublishOptions& wishes) {
        const int number = next_number();
        const auto published = queue_->publish(Parcel{number}, wishes, stop_token());
        say_error(published, "published");
        if (published) { own().accepted.push_back({number, *published}); }
    }
    // Only who may wait has to be told to stop.
    [[nodiscard]] Simulated::StopToken stop_token() {
        return before_ == Before::full ? stop_.get_token() : Simulated::StopToken{};
    }
    void post() {
        const int number = next_number();
        const auto published = topic_->publish(Parcel{number}, {}, stop_token());
        say_error(published, "posted");
        if (published) { own().posted.push_back({number, *published}); }
    }
    void keep(Result<Delivery> fetched) {
        if (!fetched) { return say(latchbox::to_string(fetched.error())); }
        say("got " + std::to_string(fetched->body().number()) +
            (fetched->attempt() == 1 ? "" : " again"));
        own().got.push_back(std::move(*fetched));
    }
    void ack() {
        const int number = own().got.empty() ? 1 : own().got.back().body().number();
        const auto acked = queue_->ack(receipt());
        say_error(acked, "acked");
        if (acked) { own().settled.push_back(number); }
    }
    void abandon() {
        own().handle.reset();
        say("abandoned");
    }
    void come_or_go() {
        if (before_ == Before::leased || before_ == Before::deadlines || before_ == Before::dead) {
            own().subscriptions.push_back(broker_->subscribe("x"));
        } else {
            b_->unsubscribe();
            left_ = true;
        }
    }
    void commit() {
        const int number = next_number();
        const int settled = own().handle->body().number();
        own().transactions.push_back(broker_->transaction());
        Transaction& transaction = own().transactions.back();
        transaction.ack(std::move(*own().handle));
        if (posts_in_commits_) {
            transaction.publish(*topic_, Parcel{number});
        } else {
            transaction.publish(*queue_, Parcel{number});
        }
        const auto committed = transaction.commit();
        say_error(committed, "committed");
        if (!committed) { return; }
        own().settled.push_back(settled);
        auto& to = posts_in_commits_ ? own().posted : own().accepted;
        to.push_back({number, committed->front()});
    }
    void close() {
        broker_->close();
        own().closed = true;
    }
    [[nodiscard]] bool is_blocked() { return a_ && a_->size() >= 1; }

    // --- the end ---

    static bool conserved(const latchbox::QueueStats& stats) {
        return stats.accepted == stats.held() + stats.completed + stats.expired + stats.purged +
                                     stats.evicted + stats.cancelled;
    }
    void audit(const Consumer& of) {
        const char* const broken = latchbox::detail::Access::core(of).audit();
        world_.check(broken == nullptr, broken == nullptr ? "" : broken);
        world_.check(conserved(of.stats()), "the counts of one do not add up");
    }
    void audit() {
        audit(*queue_);
        for (const auto* one : {&a_, &b_}) {
            if (*one) { audit(**one); }
        }
        for (const Own& own : own_) {
            for (const Subscription& one : own.subscriptions) { audit(one); }
        }
        auto& latches = latchbox::detail::Access::shell(*queue_).broker->latches;
        latchbox::detail::Lock lock{latches.mutex};
        const char* const broken = latches.board.audit();
        world_.check(broken == nullptr, broken == nullptr ? "" : broken);
    }
    // "10 2 ready 0", and how often what was done.
    [[nodiscard]] std::string how_all_stand() {
        std::string words;
        for (const Own& own : own_) {
            for (const auto* list : {&own.accepted, &own.posted}) {
                for (const Accepted& one : *list) { words += how_it_stands(one); }
            }
        }
        const auto stats = queue_->stats();
        for (const std::uint64_t count : {stats.accepted, stats.delivered, stats.abandoned,
                                          stats.failed, stats.leases_run_out, stats.redriven}) {
            words += ' ' + std::to_string(count);
        }
        return words;
    }
    [[nodiscard]] std::string how_it_stands(const Accepted& one) {
        const latchbox::Explanation how = broker_->explain(one.id);
        std::string words = std::to_string(one.number) + letter(how.state);
        words += std::to_string(how.attempt) + std::to_string(how.failures);
        if (how.state == MessageState::ready) { words += '#' + std::to_string(how.ahead); }
        if (!how.until.is_never()) {
            words += '@' + std::to_string(how.until.since_epoch().count() / 1'000'000);
        }
        for (const auto& parent : how.parents) { words += "<" + to_text(parent.state); }
        for (const auto& copy : how.copies) { words += letter(copy.state); }
        return words + ' ';
    }
    static std::string to_text(LatchState state) { return {latchbox::to_string(state)[0]}; }
    static char letter(MessageState state) {
        return static_cast<char>('a' + static_cast<int>(state));
    }

    // Once all leases and delays are over and all gates open, all that was accepted and not
    // settled is there, once.
    void work_off() {
        if (gate_) { gate_->count_down(); }
        clock_.advance(24h);
        std::vector<int> found;
        do {
            while (auto left = queue_->try_fetch()) {
                found.push_back(left->body().number());
                left->ack();
            }
        } while (queue_->dead_letters().redrive() > 0);
        world_.check(queue_->size() == 0, "a message cannot be worked off");
        std::vector<int> expected;
        for (const Own& own : own_) {
            found.insert(found.end(), own.settled.begin(), own.settled.end());
            for (const Accepted& one : own.accepted) { expected.push_back(one.number); }
        }
        std::sort(expected.begin(), expected.end());
        std::sort(found.begin(), found.end());
        world_.check(found == expected, "a message is lost, or there twice");
        if (topic_) { compare_subscriptions(); }
    }
    // Who was there all the time got all of it; the others the end of it, in the same order.
    void compare_subscriptions() {
        const std::vector<int> all = numbers(*a_);
        std::vector<int> expected;
        for (const Own& own : own_) {
            for (const Accepted& one : own.posted) { expected.push_back(one.number); }
        }
        std::vector<int> found = all;
        std::sort(expected.begin(), expected.end());
        std::sort(found.begin(), found.end());
        world_.check(found == expected, "a subscription lost a message, or got it twice");
        if (!left_) {
            const std::vector<int> others = numbers(*b_);
            world_.check(is_end_of(others, all) &&
                             all.size() - others.size() == (before_ == Before::full ? 1U : 0U),
                         "two subscriptions do not agree");
        }
        for (const Own& own : own_) {
            for (const Subscription& one : own.subscriptions) {
                world_.check(is_end_of(numbers(one), all), "who came late does not agree");
            }
        }
    }
    static bool is_end_of(const std::vector<int>& end, const std::vector<int>& all) {
        return end.size() <= all.size() && std::equal(end.rbegin(), end.rend(), all.rbegin());
    }
    static std::vector<int> numbers(const Consumer& in) {
        std::vector<int> all;
        while (auto delivery = in.try_fetch()) {
            all.push_back(delivery->body().number());
            delivery->ack();
        }
        return all;
    }

    World& world_;
    Before before_;
    Clock clock_;
    std::optional<Broker> broker_;
    std::optional<Queue> queue_;
    std::optional<Topic> topic_;
    std::optional<Subscription> a_;
    std::optional<Subscription> b_;
    std::optional<Gate> gate_;
    Simulated::StopSource stop_;
    latchbox::Receipt receipt_;
    std::vector<MessageId> parents_;
    bool posts_in_commits_ = false;
    bool left_ = false;  // b did; written by one fiber at a time
    std::array<Own, 9> own_;
};

}  // namespace scenes
