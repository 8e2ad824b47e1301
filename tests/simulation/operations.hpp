// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <new>
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

// What each fiber does, one after the other.
using Program = std::vector<std::vector<Operation>>;

// How many fibers have something to do of which that holds.
template <class Which> std::size_t fibers_with(const Program& program, Which which) {
    std::size_t fibers = 0;
    for (const auto& one : program) {
        fibers += std::any_of(one.begin(), one.end(), which) ? 1U : 0U;
    }
    return fibers;
}
inline bool has_any(const Program& program, std::initializer_list<Operation> among) {
    return fibers_with(program, [&](Operation one) {
               return std::find(among.begin(), among.end(), one) != among.end();
           }) > 0;
}

inline bool may_wait(Before before, const Program& program) {
    using enum Operation;
    return has_any(program, {fetch}) ||
           (before == Before::full && has_any(program, {publish, publish_child, post}));
}

// What the fibers of one run share. A fiber writes only what is its own.
class Yard {
public:
    Yard(World& world, Before before, const Program& program, bool faults = false)
        : world_{world}, before_{before}, faults_{faults} {
        Parcel::live = 0;
        Scarcity::fiber = -1;
        world.watch_allocations();
        broker_.emplace(latchbox::BrokerOptions{.clock = &clock_});
        queue_.emplace(broker_->queue("queue", options(program)));
        const auto has = [&](Operation one) { return has_any(program, {one}); };
        posts_in_commits_ = before == Before::ready || before == Before::family;
        if (has(Operation::post) || has(Operation::come_or_go) ||
            ((posts_in_commits_ || faults) && has(Operation::commit))) {
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
        own().doing = operation;
        switch (operation) {
            case Operation::publish: return publish({});
            case Operation::publish_child: return publish({.parents = parents_});
            case Operation::post: return post();
            case Operation::try_fetch: return try_fetch();
            case Operation::fetch: return keep(queue_->fetch(stop_.get_token()));
            case Operation::ack: return ack();
            case Operation::fail: return say_error(queue_->fail(receipt(), "bad"), "failed");
            case Operation::extend: return say_error(queue_->extend(receipt(), 15s), "extended");
            case Operation::abandon: return abandon();
            case Operation::count_down: return say_error(gate_->count_down(), "counted");
            case Operation::come_or_go: return come_or_go();
            case Operation::redrive: return redrive();
            case Operation::commit: return commit();
            case Operation::advance: return clock_.advance(10s);
            case Operation::stop: return static_cast<void>(stop_.request_stop());
            case Operation::close: return close();
        }
    }

    // Nobody can go on: whoever waits, waits for what is not there, and is told to stop.
    void rest(std::size_t fibers) {
        const auto stats = queue_->stats();
        std::size_t fetching = 0;
        std::size_t waiting = 0;
        for (std::size_t i = 0; i < fibers; ++i) {
            if (world_.has_ended(i)) { continue; }
            ++waiting;
            fetching += own_[i].doing == Operation::fetch ? 1U : 0U;
            say(own_[i], "waits");
            world_.check(!stop_.get_token().stop_requested(), "lets one wait who was stopped");
            world_.check(!closed(), "lets one wait though all is closed");
            switch (own_[i].doing) {
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
        met(fetching > 1, "at rest: many fetch");
        met(waiting > fetching + 1, "at rest: many publish");
        met(fetching > 0 && waiting > fetching, "at rest: fetch and publish");
        met(fetching > 0 && stats.blocked > 0, "at rest: a fetch, and messages that are blocked");
        met(fetching > 0 && stats.delayed > 0, "at rest: a fetch, and messages that are delayed");
        met(fetching > 0 && stats.dead > 0, "at rest: a fetch, and messages that are dead");
        stop_.request_stop();
    }

    // To be told of each situation: "fetch: got again", "left: ready".
    void tell(std::function<void(const std::string&)> told) { told_ = std::move(told); }

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
            own.commits.clear();
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
    struct Commit {
        Transaction transaction;
        int settled = 0;
        int number = 0;
        bool posts = false;  // else it publishes to the queue
        bool refused = false;
        bool done = false;
    };
    struct Own {
        Operation doing = Operation::publish;
        std::string words = {};
        std::optional<Delivery> handle = {};
        std::vector<Delivery> got = {};
        std::vector<Commit> commits = {};
        std::vector<Subscription> subscriptions = {};
        std::vector<Accepted> accepted = {};  // by the queue
        std::vector<Accepted> posted = {};
        std::vector<int> settled = {};
        std::vector<int> taken = {};  // copies
        bool took = false;            // a copy, which may have come back to the end
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
    void say(const std::string& word) { say(own(), word); }
    void say(Own& of, const std::string& word) {
        of.words += (of.words.empty() ? "" : " ") + word;
        if (!told_) { return; }
        std::string text = name(of.doing);
        text += ": ";
        if (word.starts_with("got ")) {
            text += word.ends_with("again") ? "got again" : "got";
        } else if (word.ends_with("redriven")) {
            text += word[0] == '0' ? "none" : word[0] == '1' ? "one" : "many";
        } else {
            text += word;
        }
        told_(text);
    }
    void met(bool so, const char* situation) {
        if (so && told_) { told_(situation); }
    }
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
    [[nodiscard]] QueueOptions options(const Program& program) const {
        const bool strict =
            before_ == Before::leased || before_ == Before::family || before_ == Before::dead;
        QueueOptions options{.lease = 10s, .max_failures = strict ? 1U : 0U};
        if (before_ != Before::full) { return options; }
        const std::size_t handles = fibers_with(program, takes_a_handle);
        options.capacity = 2 + (handles > 1 ? handles - 1 : 0) +
                           (has_any(program, {Operation::redrive}) ? 1U : 0U) +
                           (has_any(program, {Operation::count_down}) ? 1U : 0U);
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
    void hand_out(const Program& program) {
        bool first = true;
        for (std::size_t i = 0; i < program.size(); ++i) {
            if (std::none_of(program[i].begin(), program[i].end(), takes_a_handle)) { continue; }
            if (std::exchange(first, false)) {
                own_[i].handle = std::exchange(own().handle, std::nullopt);
                continue;
            }
            accept(100 + static_cast<int>(i), {.priority = 9});
            own_[i].handle = queue_->try_fetch().value();
        }
    }

    // --- the operations ---

    [[nodiscard]] latchbox::Receipt receipt() {
        return own().got.empty() ? receipt_ : own().got.back().receipt();
    }
    // Where faults are wanted, one of its allocations may fail: then it has changed nothing.
    template <class Call> auto with_memory(Call&& call) -> std::optional<decltype(call())> {
        if (!faults_ || world_.pick(4) != 3) { return call(); }
        const std::uint32_t which = 1 + world_.pick(3);
        struct Scarce {
            // Another fiber may be at it already.
            Scarce(int fiber, std::uint32_t left) : armed{Scarcity::fiber < 0} {
                if (!armed) { return; }
                Scarcity::fiber = fiber;
                Scarcity::left = left;
            }
            ~Scarce() {
                if (armed) { Scarcity::fiber = -1; }
            }
            Scarce(const Scarce&) = delete;
            Scarce& operator=(const Scarce&) = delete;
            bool armed;
        };
        try {
            const Scarce scarce{world_.running(), which};
            return call();
        } catch (const std::bad_alloc&) {}
        say("no memory");
        return std::nullopt;
    }
    void publish(const PublishOptions& wishes) {
        const int number = next_number();
        const auto token = stop_token();
        const auto published =
            with_memory([&] { return queue_->publish(Parcel{number}, wishes, token); });
        if (!published) { return; }
        say_error(*published, "published");
        if (*published) { own().accepted.push_back({number, **published}); }
    }
    // Only who may wait has to be told to stop.
    [[nodiscard]] Simulated::StopToken stop_token() {
        return before_ == Before::full ? stop_.get_token() : Simulated::StopToken{};
    }
    void post() {
        const int number = next_number();
        const auto token = stop_token();
        const auto posted = with_memory([&] { return topic_->publish(Parcel{number}, {}, token); });
        if (!posted) { return; }
        say_error(*posted, "posted");
        if (*posted) { own().posted.push_back({number, **posted}); }
    }
    void keep(Result<Delivery> fetched) {
        if (!fetched) { return say(latchbox::to_string(fetched.error())); }
        say("got " + std::to_string(fetched->body().number()) +
            (fetched->attempt() == 1 ? "" : " again"));
        own().got.push_back(std::move(*fetched));
    }
    // Where faults are wanted some take copies, which makes room for other copies.
    void try_fetch() {
        if (!faults_ || !topic_ || fiber() % 2 == 0) { return keep(queue_->try_fetch()); }
        auto copy = a_->try_fetch();
        if (!copy) { return say(latchbox::to_string(copy.error())); }
        const int number = copy->body().number();
        own().took = true;
        const auto acked = copy->ack();
        say_error(acked, "took a copy");
        if (acked) { own().taken.push_back(number); }
    }
    void ack() {
        const int number = own().got.empty() ? 1 : own().got.back().body().number();
        const auto acked = queue_->ack(receipt());
        say_error(acked, "acked");
        if (acked) { own().settled.push_back(number); }
    }
    void abandon() {
        if (!own().handle && own().got.empty()) { return say("nothing to abandon"); }
        if (own().handle) {
            own().handle.reset();
        } else {
            own().got.pop_back();
        }
        say("abandoned");
    }
    void come_or_go() {
        if (before_ == Before::leased || before_ == Before::deadlines || before_ == Before::dead) {
            auto subscribed = with_memory([&] { return broker_->subscribe("x"); });
            if (!subscribed) { return; }
            own().subscriptions.push_back(std::move(*subscribed));
            if (faults_) { say("subscribed"); }
        } else {
            b_->unsubscribe();
            left_ = true;
            if (faults_) { say("unsubscribed"); }
        }
    }
    void redrive() {
        const auto count = with_memory([&] { return queue_->dead_letters().redrive(); });
        if (count) { say(std::to_string(*count) + " redriven"); }
    }
    // One that was refused owns its delivery still: then that one again.
    void commit() {
        if (own().commits.empty() || own().commits.back().done) {
            if (!own().handle && !own().got.empty()) {
                own().handle = std::move(own().got.back());
                own().got.pop_back();
            }
            if (!own().handle) { return say("nothing to commit"); }
            fill();
        }
        Commit& now = own().commits.back();
        const auto committed = with_memory([&] { return now.transaction.commit(); });
        if (!committed) { return; }
        const char* const how = now.refused ? "committed at last" : "committed";
        say_error(*committed, faults_ ? how : "committed");
        const bool again = !std::exchange(now.refused, !*committed) && faults_;
        if (*committed == Errc::full && again) {
            try_fetch();
            return commit();
        }
        if (!*committed) { return; }
        now.done = true;
        own().settled.push_back(now.settled);
        (now.posts ? own().posted : own().accepted).push_back({now.number, (*committed)->front()});
    }
    void fill() {
        own().commits.push_back({.transaction = broker_->transaction(),
                                 .settled = own().handle->body().number(),
                                 .number = next_number(),
                                 .posts = posts_in_commits_ || (faults_ && fiber() % 2 == 1)});
        Commit& now = own().commits.back();
        now.transaction.ack(std::move(*own().handle));
        own().handle.reset();
        if (now.posts) {
            now.transaction.publish(*topic_, Parcel{now.number});
        } else {
            now.transaction.publish(*queue_, Parcel{now.number});
        }
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
        // Calls that were under way at a close may find a core at rest and move its time on.
        const char* const broken = closed() ? nullptr : latchbox::detail::Access::core(of).audit();
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
        met(stats.leases_run_out > 0, "in all: a lease ran out");
        met(stats.leases_run_out > 1, "in all: many leases ran out");
        met(stats.abandoned > 1, "in all: many were abandoned");
        met(stats.redriven > stats.dead, "in all: more redriven than dead");
        met(closed(), "in all: closed");
        for (const std::uint64_t count : {stats.accepted, stats.delivered, stats.abandoned,
                                          stats.failed, stats.leases_run_out, stats.redriven}) {
            words += ' ' + std::to_string(count);
        }
        return words;
    }
    [[nodiscard]] std::string how_it_stands(const Accepted& one) {
        const latchbox::Explanation how = broker_->explain(one.id);
        if (told_) { tell_of(how); }
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
    void tell_of(const latchbox::Explanation& how) {
        met(how.state == MessageState::blocked, "left: blocked");
        met(how.state == MessageState::delayed, "left: delayed");
        met(how.state == MessageState::ready, "left: ready");
        met(how.state == MessageState::leased, "left: leased");
        met(how.state == MessageState::dead, "left: dead");
        met(how.state == MessageState::completed, "left: completed");
        met(how.state == MessageState::pending, "left: pending, of a topic");
        met(how.attempt > 2, "left: handed out three times");
        met(how.failures > 1, "left: failed twice");

        met(how.ahead > 1, "left: ready behind two");
        met(how.parents.size() > 1, "left: blocked by two parents");
        met(how.copies.size() > 2, "left: with a copy for who came late");
        met(!how.copies.empty() && how.copies.size() < 2, "left: without a copy for who left");
        met(how.reason.cause() == latchbox::Cause::parent_failed, "left: dead of a dead parent");
        if (!how.parents.empty()) {
            met(how.parents.front().state == LatchState::dead, "left: held by a dead parent");
        }
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
    // Who was there all the time got all of it; the others the end of it, in the same order, which
    // can be told where nobody took any before.
    void compare_subscriptions() {
        const std::vector<int> all = numbers(*a_);
        std::vector<int> expected;
        std::vector<int> found = all;
        for (const Own& own : own_) {
            for (const Accepted& one : own.posted) { expected.push_back(one.number); }
            found.insert(found.end(), own.taken.begin(), own.taken.end());
        }
        const bool in_order =
            std::none_of(own_.begin(), own_.end(), [](const Own& own) { return own.took; });
        std::sort(expected.begin(), expected.end());
        std::sort(found.begin(), found.end());
        world_.check(found == expected, "a subscription lost a message, or got it twice");
        if (!left_) {
            const std::vector<int> others = numbers(*b_);
            world_.check(found.size() - others.size() == (before_ == Before::full ? 1U : 0U),
                         "two subscriptions got not the same");
            world_.check(!in_order || is_end_of(others, all), "two subscriptions do not agree");
        }
        for (const Own& own : own_) {
            for (const Subscription& one : own.subscriptions) {
                const std::vector<int> late = numbers(one);
                world_.check(!in_order || is_end_of(late, all), "who came late does not agree");
                met(late.empty() && !found.empty(), "who came late: got nothing");
                met(!late.empty() && late.size() < found.size(), "who came late: got some");
                met(!late.empty() && late.size() == found.size(), "who came late: got all");
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
    bool faults_ = false;
    std::function<void(const std::string&)> told_;
    bool left_ = false;  // b did; written by one fiber at a time
    std::array<Own, 9> own_;
};

// Whether the operations act as if each had one instant. Those do not that tell children what
// became of a parent: that comes after the parent's own queue was let go, one queue at a time, so
//   - a close in between leaves children untold,
//   - a redrive of all dead letters, which goes through them one by one, meets some of a family
//     dead and some not dead yet,
//   - of two who free children at once, one may free a later child before the other an earlier
//     one, and a fetch in between gets the later.
// All else that is asked of a run holds for these, too.
inline bool has_one_order(const Program& program) {
    using enum Operation;
    if (has_any(program, {close}) && has_any(program, {ack, fail, count_down, commit, advance})) {
        return false;
    }
    if (has_any(program, {redrive}) && has_any(program, {fail, advance, publish_child})) {
        return false;
    }
    return !(has_any(program, {fetch, try_fetch}) && has_any(program, {count_down}) &&
             has_any(program, {ack, commit}));
}

// Puts the program into a world. What comes of it is its outcome, and among the allowed ones.
inline std::shared_ptr<Yard> play(World& world, Before before, const Program& program,
                                  const std::set<std::string>* allowed, bool faults = false) {
    const auto yard = std::make_shared<Yard>(world, before, program, faults);
    for (const auto& part : program) {
        world.spawn(name(part.front()), [yard, part] {
            for (const Operation one : part) { yard->act(one); }
        });
    }
    if (may_wait(before, program)) {
        const std::size_t fibers = program.size();
        world.spawn_at_rest("the end", [=] { yard->rest(fibers); });
    }
    world.finally([=, &world] {
        const std::string way = yard->finish();
        world.check(allowed == nullptr || allowed->contains(way),
                    "comes to what none of its orders comes to: " + way);
        if (!faults) { world.outcome(way); }
    });
    return yard;
}

// All orders of its operations: the runs without an interruption. They are made, too, where the
// environment names one run.
inline Report in_order(Before before, const Program& program) {
    return latchbox::testing::Explorer::only().explore(
        [&](World& world) { play(world, before, program, nullptr); },
        Strategy::interrupted_at_most(0));
}

inline std::set<std::string> ways_of(const Report& report) {
    std::set<std::string> ways;
    for (const auto& [way, count] : report.outcomes) { ways.insert(way); }
    return ways;
}

inline std::string title(Before before, const Program& program) {
    std::string text = name(before);
    const char* join = ":";
    for (const auto& part : program) {
        for (const Operation one : part) {
            text += join + std::string{name(one)};
            join = ",";
        }
        join = "+";
    }
    return text;
}

}  // namespace scenes
