// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "simulation/parcel.hpp"

// Programs by chance: a few fibers, a few calls each, on two queues, a topic with two subscriptions
// and a gate, after some calls that made the scene. What they do is drawn like all else, so that a
// run is its trace, program and order of steps, and is shrunk as such.
//
// Nothing is known of what a program should come to. Each run has to answer what any run has to:
// at rest nobody waits for what is there, nor beyond his time; no verb works at the end of its
// lease; no lease is left without a holder; what came and did not go is still there, once, and can
// be worked off; nothing is left behind at the end. [4.1] [4.2] [4.3] [4.9] [6.3]
namespace scenes {

class Program : public std::enable_shared_from_this<Program> {
public:
    using Consumer = latchbox::Consumer<Parcel, Simulated>;
    using Topic = latchbox::Topic<Parcel, Simulated>;
    using Subscription = latchbox::Subscription<Parcel, Simulated>;
    using Transaction = latchbox::Transaction<Parcel, Simulated>;
    using Gate = latchbox::Gate<Parcel, Simulated>;
    using Instant = latchbox::Instant;
    using MessageId = latchbox::MessageId;
    using PublishOptions = latchbox::PublishOptions;
    using StopToken = Simulated::StopToken;
    template <class T> using Result = latchbox::Result<T>;

    /// To be called by the program of a `World`.
    static void play(World& world) {
        Parcel::live = 0;
        const auto program = std::make_shared<Program>(world);
        program->draw();
        program->set_the_scene();
        program->spawn();
    }

    explicit Program(World& world) : world_{world} {}

private:
    enum class Act : std::uint8_t {
        publish,
        publish_batch,
        publish_child,
        post,
        try_fetch,
        fetch,
        fetch_for,
        settle,
        settle_by_receipt,
        extend,
        abandon,
        count_down,
        give_up_gate,
        look_on,
        subscribe,
        cancel,
        purge,
        redrive,
        commit,
        let_time_pass,
        stop,
        drain,
        close,
    };
    static constexpr std::uint32_t acts = static_cast<std::uint32_t>(Act::close) + 1;
    static constexpr std::size_t fibers = 4;   // at most
    static constexpr std::uint32_t doors = 4;  // two queues, two subscriptions

    struct Line {
        Act act;
        std::uint32_t where;
        std::uint32_t how;
    };
    struct Lease {
        latchbox::Receipt receipt;
        std::uint32_t door;
        int number;
        Instant deadline;
        bool prolonged = false;  // or about to be
    };
    // What a fiber has in hand, and what it waits for.
    struct Player {
        std::vector<Line> lines;
        std::vector<std::pair<Delivery, std::size_t>> held;  // and which lease that is
        std::optional<Transaction> transaction;
        std::optional<Subscription> guest;
        std::optional<Gate> gate;
        bool waits = false;
    };

    // --- the program -----------------------------------------------------------------------------

    std::uint32_t pick(std::uint32_t n) { return world_.pick(n); }
    template <class T, std::size_t N> T one_of(const T (&values)[N]) {
        return values[pick(static_cast<std::uint32_t>(N))];
    }

    void draw() {
        // Few kinds of calls in each program, so that they meet.
        std::array<Act, 5> kinds{};
        for (Act& kind : kinds) { kind = static_cast<Act>(pick(acts)); }
        const std::uint32_t count = 2 + pick(fibers - 1);
        players_.resize(count);
        bool destroys = pick(4) == 3;
        for (Player& player : players_) {
            for (std::uint32_t left = 1 + pick(3); left > 0; --left) {
                const Act act = kinds[pick(kinds.size())];
                player.lines.push_back({act, pick(doors), pick(12)});
                // Who asks the broker itself must find it there.
                destroys =
                    destroys && act != Act::subscribe && act != Act::look_on && act != Act::drain;
            }
        }
        destroys_ = destroys;
    }
    template <class Options> Options draw_options() {
        Options options;
        options.lease = 10s;
        options.capacity = one_of<std::size_t>({8, 1, 2, 3});
        options.overflow = one_of({Overflow::reject, Overflow::block, Overflow::drop_oldest});
        options.block_for = one_of<Duration>({Duration::never(), 5s});
        options.max_failures = one_of({0U, 1U, 2U});
        options.backoff.first = one_of<Duration>({Duration{}, 5s});
        return options;
    }

    void set_the_scene() {
        world_.watch_allocations();
        broker_.emplace(latchbox::BrokerOptions{.clock = &clock_});
        for (const char* name : {"a", "b"}) {
            queues_.push_back(broker_->queue(name, draw_options<QueueOptions>()));
        }
        for (const Queue& queue : queues_) { doors_.push_back(queue); }
        topic_.emplace(broker_->topic("x"));
        for (const char* pattern : {"x", ">"}) {
            const auto options = draw_options<latchbox::SubscriptionOptions>();
            drops_ = drops_ || options.overflow == Overflow::drop_oldest;
            subscriptions_.push_back(broker_->subscribe(pattern, options));
        }
        for (const Subscription& one : subscriptions_) { doors_.push_back(one); }
        const Gate gate = broker_->gate(1 + pick(2));
        gate_id_ = gate.id();
        for (Player& player : players_) {
            player.gate = gate;
            player.transaction.emplace(broker_->transaction());
        }
        for (std::uint32_t left = pick(5); left > 0; --left) { prepare(); }
        if (pick(4) == 3) { clock_.advance(5s); }
    }
    // Something that was before: a message, perhaps fetched, perhaps dead.
    void prepare() {
        const std::uint32_t where = pick(doors);
        const std::uint32_t how = pick(6);
        Player& owner = players_[pick(static_cast<std::uint32_t>(players_.size()))];
        // One that would wait is none of these.
        if (doors_[where].stats().held() >= capacity_of(where)) { return; }
        if (where < queues_.size()) {
            publish(where, how == 5 ? PublishOptions{.delay = 5s} : PublishOptions{});
        } else if (!would_wait()) {
            post(how);
        }
        if (how == 0 || how == 5) { return; }
        auto delivery = doors_[where].try_fetch();
        if (!delivery) { return; }
        if (how == 1) {
            static_cast<void>(delivery->reject());
        } else {
            hold(owner, where, std::move(*delivery));
        }
    }
    [[nodiscard]] std::size_t capacity_of(std::uint32_t door) {
        return core(door).options().capacity;
    }
    [[nodiscard]] bool would_wait() {
        for (std::uint32_t door = 2; door < doors; ++door) {
            if (doors_[door].stats().held() >= capacity_of(door)) { return true; }
        }
        return false;
    }

    void spawn() {
        const auto self = shared_from_this();
        for (std::size_t i = 0; i < players_.size(); ++i) {
            world_.spawn(std::to_string(i + 1), [self, i] { self->perform(self->players_[i]); });
        }
        for (int i = 0; i < rests; ++i) {
            world_.spawn_at_rest("rest", [self] { self->rest(); });
        }
        world_.finally([self] { self->finish(); });
    }
    void perform(Player& player) {
        for (const Line& line : player.lines) { perform(player, line); }
        player.transaction.reset();
        player.held.clear();
        player.guest.reset();
        player.gate.reset();
    }
    void perform(Player& player, const Line& line) {
        const Consumer& door = doors_[line.where];
        switch (line.act) {
            case Act::publish:
                return wait_in(player, [&] { publish(line.where & 1U, wishes(line)); });
            case Act::publish_batch: return wait_in(player, [&] { publish_batch(line); });
            case Act::publish_child: return wait_in(player, [&] { publish_child(line); });
            case Act::post: return wait_in(player, [&] { post(line.how); });
            case Act::try_fetch: return fetched(player, line.where, door.try_fetch());
            case Act::fetch: return fetch(player, line, Duration::never());
            case Act::fetch_for: return fetch(player, line, line.how % 2 == 0 ? 5s : 10s);
            case Act::settle: return settle(player, line.how);
            case Act::settle_by_receipt: return settle_by_receipt(line);
            case Act::extend: return extend(player);
            case Act::abandon: return player.held.clear();
            case Act::count_down:
                if (player.gate) { static_cast<void>(player.gate->count_down(1 + line.how % 3)); }
                return;
            case Act::give_up_gate: return player.gate.reset();
            case Act::look_on: return look_on(player, line.how);
            case Act::subscribe: return subscribe(player, line.how);
            case Act::cancel: return cancel(line);
            case Act::purge: return purge(line);
            case Act::redrive: return redrive(line);
            case Act::commit: return commit(player, line);
            case Act::let_time_pass: return clock_.advance(line.how % 2 == 0 ? 5s : 10s);
            case Act::stop: return static_cast<void>(stop_.request_stop());
            case Act::drain: return drain(player);
            case Act::close: return close();
        }
    }

    // --- calls -----------------------------------------------------------------------------------

    template <class Call> void wait_in(Player& player, Call&& call) {
        player.waits = true;
        call();
        player.waits = false;
    }
    [[nodiscard]] static PublishOptions wishes(const Line& line) {
        switch (line.how) {
            case 1: return {.delay = 5s};
            case 2: return {.expires_in = 5s};
            case 3: return {.key = "k"};
            case 4: return {.priority = 1};
            default: return {};
        }
    }
    void publish(std::uint32_t door, const PublishOptions& options) {
        const int number = ++last_number_;
        came(door, number, queues_[door].publish(Parcel{number}, options, stop_.get_token()));
    }
    void publish_batch(const Line& line) {
        const std::uint32_t door = line.where & 1U;
        std::vector<Parcel> batch;
        batch.reserve(2);
        const int first = last_number_ + 1;
        for (int i = 0; i < 2; ++i) { batch.emplace_back(++last_number_); }
        const auto ids = queues_[door].publish_batch(batch, wishes(line), stop_.get_token());
        for (int i = 0; i < 2; ++i) {
            const bool moved = batch[static_cast<std::size_t>(i)].number() == 0;
            check(moved == ids.has_value(), "moves from what it refuses, or not from the rest");
            if (ids) {
                came(door, first + i, Result<MessageId>{(*ids)[static_cast<std::size_t>(i)]});
            }
        }
    }
    void publish_child(const Line& line) {
        PublishOptions options;
        options.parents.push_back(line.how % 3 == 0 || ids_.empty() ? gate_id_ : an_id(line.how));
        if (line.how % 4 == 1) { options.parents.push_back(gate_id_); }
        if (line.how % 4 == 2) { options.on_parent_failure = latchbox::OnParentFailure::deliver; }
        if (line.how % 4 == 3) { options.on_parent_failure = latchbox::OnParentFailure::hold; }
        publish(line.where & 1U, options);
    }
    void post(std::uint32_t how) {
        const int number = ++last_number_;
        const PublishOptions options = how == 1 ? PublishOptions{.delay = 5s} : PublishOptions{};
        const auto id = topic_->publish(Parcel{number}, options, stop_.get_token());
        if (!id) { return; }
        ++posts_;
        ids_.push_back(*id);
    }
    void came(std::uint32_t door, int number, const Result<MessageId>& id) {
        if (!id) { return; }
        ++accepted_[door];
        ids_.push_back(*id);
        came_[number] = *id;
    }
    [[nodiscard]] MessageId an_id(std::uint32_t how) const { return ids_[how % ids_.size()]; }

    void fetch(Player& player, const Line& line, Duration length) {
        const Consumer& door = doors_[line.where];
        const Instant from = clock_.now();
        wait_in(player, [&] {
            const StopToken stop = stop_.get_token();
            if (length.is_never()) { return fetched(player, line.where, door.fetch(stop)); }
            auto delivery = door.fetch_for(length, stop);
            const bool late = !delivery && delivery.error() == Errc::timed_out;
            check(!late || from + length <= clock_.now(), "is late before its time");
            fetched(player, line.where, std::move(delivery));
        });
    }
    void fetched(Player& player, std::uint32_t door, Result<Delivery>&& delivery) {
        if (delivery) { return hold(player, door, std::move(*delivery)); }
        const Errc why = delivery.error();
        check(why != Errc::closed || closed_, "says that it is closed");
        check(why != Errc::cancelled || stop_.get_token().stop_requested(), "says it was stopped");
    }
    void hold(Player& player, std::uint32_t door, Delivery&& delivery) {
        const int number = delivery.body().number();
        const auto there = came_.find(number);
        check(there == came_.end() || there->second == delivery.id(), "mistakes a message");
        leases_.push_back({delivery.receipt(), door, number, delivery.deadline()});
        player.held.emplace_back(std::move(delivery), leases_.size() - 1);
    }
    // No verb works where its lease was over when it began. [4.3]
    template <class Verb> bool judged(std::size_t lease, Verb&& verb) {
        const Instant from = clock_.now();
        const bool done = verb().has_value();
        const bool over = !leases_[lease].prolonged && leases_[lease].deadline <= from;
        check(!done || !over, "settles what it has lost");
        return done;
    }
    void settle(Player& player, std::uint32_t how) {
        if (player.held.empty()) { return; }
        auto [delivery, lease] = std::move(player.held.back());
        player.held.pop_back();
        const bool acks = how < 6;
        const bool done = judged(lease, [&, &one = delivery]() -> Result<void> {
            switch (how) {
                case 6: return one.release();
                case 7: return one.requeue();
                case 8: return one.requeue(5s);
                case 9: return one.reject();
                case 10: return one.fail();
                case 11: return one.fail("why");
                default: return one.ack();
            }
        });
        if (done && acks) { ++acked_[leases_[lease].door]; }
    }
    void settle_by_receipt(const Line& line) {
        if (leases_.empty()) { return; }
        const std::size_t lease = line.how % leases_.size();
        const Lease one = leases_[lease];
        const bool acks = line.where == 0;
        const Consumer& door = doors_[one.door];
        if (line.where == 3) { leases_[lease].prolonged = true; }
        const bool done = judged(lease, [&]() -> Result<void> {
            switch (line.where) {
                case 1: return door.requeue(one.receipt, line.how % 2 == 0 ? 5s : Duration{});
                case 2: return door.fail(one.receipt);
                case 3: return door.extend(one.receipt, 10s);
                default: return door.ack(one.receipt);
            }
        });
        if (done && acks) { ++acked_[one.door]; }
    }
    void extend(Player& player) {
        if (player.held.empty()) { return; }
        auto& [delivery, lease] = player.held.back();
        const Instant from = clock_.now();
        const bool over = !leases_[lease].prolonged && leases_[lease].deadline <= from;
        leases_[lease].prolonged = true;
        check(!delivery.extend(10s).has_value() || !over, "revives a lease");
    }
    void look_on(Player& player, std::uint32_t how) {
        const auto latch = broker_->latch(ids_.empty() || how % 3 == 0 ? gate_id_ : an_id(how));
        wait_in(player, [&] {
            const StopToken stop = stop_.get_token();
            if (how % 2 == 0) { return static_cast<void>(latch.wait(stop)); }
            static_cast<void>(latch.wait_for(5s, stop));
        });
    }
    void subscribe(Player& player, std::uint32_t how) {
        if (player.guest) { return player.guest.reset(); }
        player.guest.emplace(broker_->subscribe(how % 2 == 0 ? "x" : "*"));
    }
    void cancel(const Line& line) {
        if (!ids_.empty()) { static_cast<void>(doors_[line.where].cancel(an_id(line.how))); }
    }
    void purge(const Line& line) {
        if (line.how % 2 == 0) {
            doors_[line.where].purge();
        } else {
            doors_[line.where].dead_letters().purge();
        }
    }
    void redrive(const Line& line) {
        if (line.how % 2 == 0 || ids_.empty()) {
            doors_[line.where].dead_letters().redrive();
        } else {
            static_cast<void>(doors_[line.where].dead_letters().redrive(an_id(line.how)));
        }
    }
    void commit(Player& player, const Line& line) {
        if (!player.transaction) { return; }
        std::optional<std::uint32_t> acks;
        if (!player.held.empty()) {
            auto [delivery, lease] = std::move(player.held.back());
            player.held.pop_back();
            if (player.transaction->ack(std::move(delivery))) { acks = leases_[lease].door; }
        }
        const int number = ++last_number_;
        const std::uint32_t door = line.where & 1U;
        Parcel parcel{number};
        const auto added = line.where < 3
                               ? player.transaction->publish(queues_[door], std::move(parcel))
                               : player.transaction->publish(*topic_, std::move(parcel));
        const auto ids = player.transaction->commit();
        player.transaction.reset();
        if (!ids) { return; }
        check(added.has_value(), "commits a part");
        if (acks) { ++acked_[*acks]; }
        if (line.where < 3) { return came(door, number, Result<MessageId>{ids->front()}); }
        ++posts_;
        ids_.push_back(ids->front());
    }
    void drain(Player& player) {
        closed_ = true;
        wait_in(player, [&] { broker_->drain(5s); });
    }
    void close() {
        closed_ = true;
        if (!destroys_) { return static_cast<void>(broker_->close()); }
        const auto gone = std::exchange(broker_to_destroy_, false);
        if (gone) { broker_.reset(); }
    }

    // --- questions -------------------------------------------------------------------------------

    void check(bool holds, const char* text) { world_.check(holds, text); }
    [[nodiscard]] const latchbox::detail::QueueCore& core(std::uint32_t door) {
        return latchbox::detail::Access::core(doors_[door]);
    }

    // Nobody goes on any more: for that there has to be a reason. [4.9] Then time passes, and in
    // the end all are told to stop.
    void rest() {
        bool anybody = false;
        for (const Player& player : players_) { anybody = anybody || player.waits; }
        if (!anybody) { return; }
        for (std::uint32_t door = 0; door < doors; ++door) { check_at_rest(door); }
        switch (++rested_) {
            case 1:
            case 2: return clock_.advance(5s);
            case 3: stop_.request_stop(); return;
            default: return clock_.advance(24h);  // who drains does not stop
        }
    }

    void check_at_rest(std::uint32_t door) {
        auto& shell = latchbox::detail::Access::shell(doors_[door]);
        const Instant now = clock_.now();
        for (auto* one = shell.fetchers.first(); one != nullptr; one = one->next) {
            check(!shell.core.has_ready(), "lets a fetch wait for what is ready");
            check(now < one->sleep.until, "lets a fetch sleep beyond its time");
        }
        for (auto* one = shell.publishers.first(); one != nullptr; one = one->next) {
            check(!shell.core.has_room(one->wanted) || one != shell.publishers.first(),
                  "lets a publish wait where there is room");
            check(now < one->sleep.until, "lets a publish sleep beyond its time");
        }
        check(closed_ || now < core(door).next_due().at, "lets all sleep beyond what is due");
    }

    // After all fibers, on the thread itself.
    void finish() {
        for (std::uint32_t door = 0; door < doors; ++door) { audit(door); }
        if (!closed_) { work_off(); }
        subscriptions_.clear();
        topic_.reset();
        doors_.clear();
        queues_.clear();
        broker_.reset();
        check(Parcel::live == 0, "bodies are left");
    }
    void audit(std::uint32_t door) {
        if (const char* const broken = core(door).audit()) {
            // A close may come while time goes on: nothing that is due is done any more.
            const bool cut_short =
                closed_ && std::string{broken} == "a lease outlived its deadline";
            world_.check(cut_short, broken);
        }
        const auto stats = doors_[door].stats();
        check(closed_ || stats.leased == 0, "a lease is left that nobody holds");
        check(stats.accepted == stats.held() + gone(stats), "the counts do not add up");
        check(closed_ || stats.completed == acked_[door], "acks are miscounted");
        check(core(door).reserved() == 0, "room is left reserved");
        if (closed_) { return; }
        const bool queue = door < queues_.size();
        if (queue) { check(stats.accepted == accepted_[door], "messages are miscounted"); }
        if (!queue) { check(stats.accepted == posts_, "a publish reached one and not all"); }
        if (!queue && !drops_) { check(stats.evicted == 0, "a copy was dropped"); }
    }
    static std::uint64_t gone(const latchbox::QueueStats& stats) {
        return stats.completed + stats.expired + stats.purged + stats.evicted + stats.cancelled;
    }
    void work_off() {
        for (int round = 0; round < 12; ++round) {
            clock_.advance(24h);
            for (std::uint32_t door = 0; door < doors; ++door) {
                while (auto delivery = doors_[door].try_fetch()) { delivery->ack(); }
                doors_[door].dead_letters().purge();
            }
        }
        for (std::uint32_t door = 0; door < doors; ++door) {
            check(doors_[door].size() == 0, "a message cannot be worked off");
        }
        const auto stats = broker_->stats();
        check(stats.latches == 0, "a latch is left");
        check(stats.edges == 0, "an edge is left");
        check(stats.gates == 0, "a gate is left");
    }

    static constexpr int rests = 7;

    World& world_;
    Clock clock_;
    std::optional<Broker> broker_;
    std::vector<Queue> queues_;
    std::optional<Topic> topic_;
    std::vector<Subscription> subscriptions_;
    std::vector<Consumer> doors_;  // to all of these
    MessageId gate_id_;
    Simulated::StopSource stop_;
    std::vector<Player> players_;
    std::vector<Lease> leases_;
    std::vector<MessageId> ids_;
    std::map<int, MessageId> came_;  // to queues, by number
    std::array<std::uint64_t, doors> accepted_{};
    std::array<std::uint64_t, doors> acked_{};
    std::uint64_t posts_ = 0;
    int last_number_ = 0;
    int rested_ = 0;
    bool drops_ = false;
    bool destroys_ = false;
    bool broker_to_destroy_ = true;
    bool closed_ = false;
};

}  // namespace scenes
