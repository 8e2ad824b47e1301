// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <chrono>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/coroutine.hpp"
#include "latchbox/latchbox.hpp"
#include "latchbox/workers.hpp"

#include "support/failing_new.hpp"
#include "support/faults.hpp"
#include "support/message_kinds.hpp"
#include "support/sound.hpp"

// What throws leaves everything as before, in values, transactions, tokens and workers, too. Each
// call is made in a world of its own, in which its n-th allocation, copy or move fails, for n = 1,
// 2, ... until none fails any more. After each failure the world must look exactly like one where
// the call was never made; and, when the call is made again, like one where it succeeded at once.
namespace {

using namespace std::chrono_literals;
using latchbox::Errc;
using latchbox::Overflow;
using latchbox::Unrouted;
using support::Failing;
using support::FailingNew;
using support::Kind;

support::FaultFigures figures{" in consuming"};

constexpr std::string_view value = "a value of more than a few letters";

// A coroutine that starts at once; its frame, and what it threw, go with this object.
class Flow {
public:
    struct promise_type {
        Flow get_return_object() {
            return Flow{std::coroutine_handle<promise_type>::from_promise(*this)};
        }
        static std::suspend_never initial_suspend() noexcept { return {}; }
        static std::suspend_always final_suspend() noexcept { return {}; }
        static void return_void() noexcept {}
        void unhandled_exception() noexcept { thrown = std::current_exception(); }
        std::exception_ptr thrown;
    };
    Flow(Flow&& other) noexcept : frame_{std::exchange(other.frame_, {})} {}
    Flow& operator=(Flow&&) = delete;
    ~Flow() {
        if (frame_) { frame_.destroy(); }
    }
    // Throws what the coroutine threw, or says whether it came to its end.
    [[nodiscard]] bool done() const {
        if (const auto thrown = frame_.promise().thrown) { std::rethrow_exception(thrown); }
        return frame_.done();
    }

private:
    explicit Flow(std::coroutine_handle<promise_type> frame) : frame_{frame} {}
    std::coroutine_handle<promise_type> frame_;
};
struct Inline {
    template <class Resume> void operator()(Resume resume) const { resume(); }
};

// --- worlds ----------------------------------------------------------------------------------

template <class Msg> struct World {
    using Queue = latchbox::Queue<Msg>;
    using Delivery = latchbox::Delivery<Msg>;
    using Topic = latchbox::Topic<Msg>;

    latchbox::ManualClock clock;
    latchbox::Broker<Msg> broker{{.clock = &clock}};
    Queue q = broker.queue("q", {.lease = 10s, .max_failures = 3, .dedup_window = 1min});
    Queue to = broker.queue("to", {.lease = 10s});
    Queue tight = broker.queue("tight", {.capacity = 2});
    Queue small = broker.queue("small", {.capacity = 2, .overflow = Overflow::drop_oldest});
    latchbox::Subscription<Msg> plain = broker.subscribe("s", {.lease = 10s});
    latchbox::Subscription<Msg> few = broker.subscribe("*", {.capacity = 3});
    Topic s = broker.topic("s", {.retain_count = 2});
    Topic alone = broker.topic("nobody.here", {.unrouted = Unrouted::reject});
    std::vector<Delivery> held;
    std::vector<latchbox::Subscription<Msg>> more;
    std::vector<latchbox::Threads::StopToken> tokens;
    std::optional<latchbox::Transaction<Msg>> transaction;
    std::optional<latchbox::Gate<Msg>> gate;
    std::optional<std::vector<latchbox::MessageId>> ids;
    Msg message = Kind<Msg>::make(1'000);
    latchbox::MessageId id;
    latchbox::PublishOptions wishes;
    int next = 0;

    World() {
        held.reserve(200);
        more.reserve(200);
        tokens.reserve(200);
    }
    template <class To>
    void fill(const To& target, int count, const latchbox::PublishOptions& options = {}) {
        for (int i = 0; i < count; ++i) {
            id = target.publish(Kind<Msg>::make(next++), options).value();
        }
    }
    // Each with a value of its own.
    template <class To> void fill_valued(const To& target, int count) {
        for (int i = 0; i < count; ++i) {
            const std::string one = std::string{value} + std::to_string(i);
            fill(target, 1, {.dedup = one});
        }
    }
    void hold(const latchbox::Consumer<Msg>& from, int count) {
        for (int i = 0; i < count; ++i) { held.push_back(from.try_fetch().value()); }
    }
    void fill_and_hold(const Queue& queue, int count) {
        fill(queue, count);
        hold(queue, count);
    }
    void begin() { transaction.emplace(broker.transaction()); }
    template <class To> bool post(const To& target, const latchbox::PublishOptions& options = {}) {
        return transaction->publish(target, std::move(message), options).has_value();
    }
    template <class To>
    void posts(const To& target, int count, const latchbox::PublishOptions& options = {}) {
        for (int i = 0; i < count; ++i) {
            REQUIRE(transaction->publish(target, Kind<Msg>::make(next++), options));
        }
    }
    // Takes all that is held.
    void acks() {
        for (Delivery& delivery : held) { REQUIRE(transaction->ack(std::move(delivery))); }
    }
    bool commit() {
        auto done = transaction->commit();
        if (done) { ids = std::move(*done); }
        return ids.has_value();
    }
};

// Everything that can be seen of a world, which is used up by that.
template <class Msg> class Look : support::Said<Msg> {
public:
    explicit Look(World<Msg>& world) : world_{world} {}

    std::string all() {
        say(Kind<Msg>::number(world_.message));
        for (const auto& delivery : world_.held) {
            if (delivery.receipt() == latchbox::Receipt{}) {
                said_ += "[given away]";
            } else {
                say(delivery);
                say(delivery.lease_lost() ? 1 : 0);
            }
        }
        for (const auto& token : world_.tokens) { say(token.stop_requested() ? 1 : 0); }
        for (const auto* queue : queues()) { look_from_outside(*queue); }
        look(world_.s);
        look(world_.alone);
        const latchbox::BrokerStats stats = world_.broker.stats();
        for (const std::uint64_t count :
             {std::uint64_t{stats.gates}, std::uint64_t{stats.edges}, stats.discarded,
              stats.retained, stats.aged_out, stats.messages.accepted}) {
            say(static_cast<std::int64_t>(count));
        }
        look_at_transaction();
        look_at_values();
        if (world_.gate) { world_.gate->count_down(); }
        say(world_.broker.poll().since_epoch().count());
        world_.held.clear();
        world_.clock.advance(1min);
        for (const auto* queue : queues()) { work_off(*queue); }
        look_for_leaks();
        return std::move(said_);
    }

private:
    [[nodiscard]] std::vector<const latchbox::Consumer<Msg>*> queues() const {
        return {&world_.q, &world_.to, &world_.tight, &world_.small, &world_.plain, &world_.few};
    }
    void look_from_outside(const latchbox::Consumer<Msg>& queue) {
        support::check_sound(queue);
        said_ += "\nqueue: ";
        const auto stats = queue.stats();
        say(stats);
        say(static_cast<std::int64_t>(stats.deduplicated));
        say(static_cast<std::int64_t>(stats.dedup_forgotten));
        queue.dead_letters().for_each([this](const auto& letter) {
            said_ += "dead ";
            say(Kind<Msg>::number(letter.body()));
            said_ += letter.reason().text();
        });
    }
    void look(const latchbox::Topic<Msg>& topic) {
        said_ += "\ntopic " + topic.subject() + ": ";
        const latchbox::TopicStats stats = topic.stats();
        for (const std::uint64_t count :
             {stats.published, stats.discarded, stats.refused, stats.retained, stats.aged_out,
              stats.deduplicated, stats.dedup_forgotten}) {
            say(static_cast<std::int64_t>(count));
        }
        const auto read = topic.read(world_.id);
        say(read ? Kind<Msg>::number(**read) : -10 - static_cast<int>(read.error()));
    }
    void look_at_transaction() {
        said_ += "\ntransaction: ";
        if (world_.ids) {
            for (const auto& id : *world_.ids) {
                say(static_cast<std::int64_t>(latchbox::detail::IdParts::number(id)));
            }
        }
        if constexpr (std::is_nothrow_move_constructible_v<Msg> ||
                      std::is_copy_constructible_v<Msg>) {
            commit();
        }
    }
    void commit() {
        if (!world_.transaction) { return; }
        const auto done = world_.transaction->commit();
        say(done ? static_cast<std::int64_t>(done->size()) : -static_cast<int>(done.error()));
        world_.transaction.reset();
    }
    // What is remembered, and that no number was drawn in vain.
    void look_at_values() {
        say_number(world_.q.publish(Kind<Msg>::make(9'998), {.dedup = value}));
        say_number(world_.to.publish(Kind<Msg>::make(9'998), {.dedup = value}));
        say_number(world_.s.publish(Kind<Msg>::make(9'998), {.dedup = value}));
        say_number(world_.q.publish(Kind<Msg>::make(9'999)));
        say_number(world_.to.publish(Kind<Msg>::make(9'999)));
        say_number(world_.s.publish(Kind<Msg>::make(9'999)));
    }
    void say_number(const latchbox::Result<latchbox::MessageId>& id) {
        say(id ? static_cast<std::int64_t>(latchbox::detail::IdParts::number(*id)) : -1);
    }
    void work_off(const latchbox::Consumer<Msg>& queue) {
        said_ += "\nqueue: ";
        while (auto delivery = queue.try_fetch()) {
            say(*delivery);
            said_ += delivery->subject();
            if (!delivery->ack()) { break; }
        }
        say(queue.stats());
        support::check_sound(queue);
    }
    // Once nobody holds or waits for anything, nothing may be left.
    void look_for_leaks() {
        world_.gate.reset();
        world_.more.clear();
        for (const auto* queue : queues()) {
            queue->purge();
            queue->dead_letters().purge();
        }
        const latchbox::BrokerStats stats = world_.broker.stats();
        CHECK(support::conserved(stats.messages));
        CHECK(stats.messages.held() == 0);
        CHECK(stats.gates == 0);
        CHECK(stats.latches == 0);
        CHECK(stats.edges == 0);
    }

    using support::Said<Msg>::said_;
    using support::Said<Msg>::say;

    World<Msg>& world_;
};

// --- the calls -------------------------------------------------------------------------------

template <class Msg> using Scenario = support::Scenario<World<Msg>>;

template <class Msg> std::vector<Scenario<Msg>> valued() {
    using W = World<Msg>;
    constexpr auto to_q = [](W& w) {
        w.wishes.dedup = value;
        return w.q.publish(std::move(w.message), w.wishes).has_value();
    };
    constexpr auto to_s = [](W& w) {
        w.wishes.dedup = value;
        return w.s.publish(std::move(w.message), w.wishes).has_value();
    };
    std::vector<Scenario<Msg>> all = {
        {"publish with a value", [](W&) {}, to_q},
        {"publish with a value beside others", [](W& w) { w.fill_valued(w.q, 3); }, to_q},
        {"publish with a value as room is made", [](W& w) { w.fill_valued(w.q, 8); }, to_q},
        {"publish with a value as room is made again", [](W& w) { w.fill_valued(w.q, 26); }, to_q},
        {"publish with a value where others are over",
         [](W& w) {
             w.fill_valued(w.q, 8);
             w.clock.advance(1min);
         },
         to_q},
        {"publish a repeat", [](W& w) { w.fill(w.q, 1, {.dedup = value}); }, to_q},
        {"publish what was dead",
         [](W& w) {
             w.fill(w.q, 1, {.dedup = value});
             REQUIRE(w.q.try_fetch()->reject());
         },
         to_q},
        {"publish a child with a key and a value",
         [](W& w) {
             w.gate = w.broker.gate(1);
             w.wishes.parents = {w.gate->id()};
             w.wishes.key = "a key of more than a few letters";
             w.wishes.delay = 1s;
         },
         to_q},
        {"publish a repeat to who is full",
         [](W& w) {
             w.fill(w.tight, 1);
             w.fill(w.tight, 1, {.dedup = value});
         },
         [](W& w) { return w.tight.publish(std::move(w.message), {.dedup = value}).has_value(); }},
        {"publish with a value to who is full", [](W& w) { w.fill(w.tight, 2); },
         [](W& w) {
             return w.tight.publish(std::move(w.message), {.dedup = value}) == Errc::full;
         }},
        {"publish with a value, and evict", [](W& w) { w.fill(w.small, 2); },
         [](W& w) { return w.small.publish(std::move(w.message), {.dedup = value}).has_value(); }},
        {"publish with a value to a topic", [](W&) {}, to_s},
        {"publish with a value to a topic as room is made", [](W& w) { w.fill_valued(w.s, 8); },
         to_s},
        {"publish with a value to a topic as room is made again",
         [](W& w) { w.fill_valued(w.s, 26); }, to_s},
        {"publish a repeat to a topic", [](W& w) { w.fill(w.s, 1, {.dedup = value}); }, to_s},
        {"publish to a topic what had failed",
         [](W& w) {
             w.fill(w.s, 1, {.dedup = value});
             REQUIRE(w.plain.cancel(w.id));
         },
         to_s},
        {"publish with a value to nobody", [](W&) {},
         [](W& w) {
             return w.alone.publish(std::move(w.message), {.dedup = value}) == Errc::no_subscriber;
         }},
    };
    if constexpr (std::is_copy_constructible_v<Msg>) {
        all.push_back(
            {"publish a copy with a value", [](W& w) { w.fill_valued(w.q, 8); },
             [](W& w) {
                 return w.q.publish(std::as_const(w.message), {.dedup = value}).has_value();
             }});
        all.push_back(
            {"publish a copy of a repeat", [](W& w) { w.fill(w.q, 1, {.dedup = value}); },
             [](W& w) {
                 return w.q.publish(std::as_const(w.message), {.dedup = value}).has_value();
             }});
    }
    return all;
}

template <class Msg> std::vector<Scenario<Msg>> verbs() {
    using W = World<Msg>;
    constexpr auto one_held = [](W& w) {
        w.begin();
        w.fill_and_hold(w.q, 1);
    };
    // As the transaction makes room for its parts.
    constexpr auto several = [](W& w) {
        w.begin();
        w.fill_and_hold(w.q, 4);
        w.acks();
        w.posts(w.to, 4);
        w.fill_and_hold(w.q, 1);
    };
    constexpr auto publish = [](W& w) { return w.post(w.q, w.wishes); };
    return {
        {"begin a transaction", [](W&) {},
         [](W& w) {
             w.begin();
             return true;
         }},
        {"ack", one_held,
         [](W& w) { return w.transaction->ack(std::move(w.held.back())).has_value(); }},
        {"reject, and say why", one_held,
         [](W& w) {
             return w.transaction
                 ->reject(std::move(w.held.back()), "for a reason of more than a few letters")
                 .has_value();
         }},
        {"fail beside others", several,
         [](W& w) { return w.transaction->fail(std::move(w.held.back()), "no").has_value(); }},
        {"ack beside others", several,
         [](W& w) { return w.transaction->ack(std::move(w.held.back())).has_value(); }},
        {"ack what is settled", one_held,
         [](W& w) {
             w.held.back().ack();
             return w.transaction->ack(std::move(w.held.back())) == Errc::already_settled;
         }},
        {"publish in a transaction", [](W& w) { w.begin(); }, publish},
        {"publish in a transaction beside others", several, publish},
        {"publish in a transaction, with all wishes",
         [](W& w) {
             w.begin();
             w.gate = w.broker.gate(1);
             w.wishes.parents = {w.gate->id()};
             w.wishes.key = "a key of more than a few letters";
             w.wishes.dedup = value;
             w.wishes.delay = 1s;
         },
         publish},
        {"publish in a transaction to a topic", several,
         [](W& w) { return w.post(w.s, {.dedup = value}); }},
        {"publish in a transaction what is unusable", several,
         [](W& w) {
             return w.transaction->publish(w.q, std::move(w.message), {.priority = 10}) ==
                    Errc::invalid_option;
         }},
    };
}

template <class Msg> std::vector<Scenario<Msg>> copying_verbs() {
    using W = World<Msg>;
    constexpr auto publish = [](W& w) {
        return w.transaction->publish(w.q, std::as_const(w.message), w.wishes).has_value();
    };
    return {
        {"publish a copy in a transaction", [](W& w) { w.begin(); }, publish},
        {"publish a copy in a transaction beside others",
         [](W& w) {
             w.begin();
             w.posts(w.to, 8);
         },
         publish},
    };
}

template <class Msg> std::vector<Scenario<Msg>> commits() {
    using W = World<Msg>;
    constexpr auto commit = [](W& w) { return w.commit(); };
    return {
        {"commit nothing", [](W& w) { w.begin(); }, commit},
        {"commit an ack",
         [](W& w) {
             w.begin();
             w.fill_and_hold(w.q, 1);
             w.acks();
         },
         commit},
        {"commit a publish",
         [](W& w) {
             w.begin();
             w.posts(w.to, 1);
         },
         commit},
        {"commit as the bodies need room",
         [](W& w) {
             w.begin();
             w.fill(w.to, 14);
             w.posts(w.to, 40);
         },
         commit},
        {"commit from one queue to another",
         [](W& w) {
             w.begin();
             w.fill_and_hold(w.q, 3);
             w.acks();
             w.posts(w.to, 3);
             w.posts(w.q, 1);
         },
         commit},
        {"commit delayed ones",
         [](W& w) {
             w.begin();
             w.posts(w.to, 20, {.delay = 5s});
             w.posts(w.q, 20, {.expires_in = 1h, .priority = 9});
         },
         commit},
        {"commit with keys and values",
         [](W& w) {
             w.begin();
             w.fill_and_hold(w.q, 1);
             w.acks();
             w.fill_valued(w.q, 8);
             w.posts(w.q, 3, {.key = "a key of more than a few letters"});
             w.posts(w.q, 2, {.dedup = value});
             w.posts(w.to, 1, {.dedup = value});
         },
         commit},
        {"commit many values",
         [](W& w) {
             w.begin();
             for (int i = 0; i < 30; ++i) {
                 const std::string one = std::string{value} + std::to_string(i);
                 w.posts(w.q, 1, {.dedup = one});
                 w.posts(w.s, 1, {.dedup = one});
             }
         },
         commit},
        {"commit a repeat",
         [](W& w) {
             w.begin();
             w.fill(w.q, 1, {.dedup = value});
             w.posts(w.q, 1, {.dedup = value});
             w.posts(w.to, 1);
         },
         commit},
        {"commit children",
         [](W& w) {
             w.begin();
             w.gate = w.broker.gate(1);
             w.fill_and_hold(w.q, 1);
             w.posts(w.to, 3, {.parents = {w.gate->id(), w.id}});
             w.posts(w.s, 2, {.parents = {w.gate->id()}});
             w.acks();
         },
         commit},
        {"commit to a topic",
         [](W& w) {
             w.begin();
             w.posts(w.s, 3);
         },
         commit},
        {"commit to a topic that many hear",
         [](W& w) {
             w.begin();
             for (int i = 0; i < 20; ++i) { w.more.push_back(w.broker.subscribe("s")); }
             w.posts(w.s, 3);
             w.posts(w.q, 1);
         },
         commit},
        {"commit to a topic after a subscription came",
         [](W& w) {
             w.begin();
             w.posts(w.s, 1);
             w.more.push_back(w.broker.subscribe("s"));
         },
         commit},
        {"commit to a topic what is retained for itself",
         [](W& w) {
             w.begin();
             w.fill(w.s, 2);
             w.posts(w.s, 5, {.retain_for = 1h});
         },
         commit},
        {"commit what evicts",
         [](W& w) {
             w.begin();
             w.fill(w.small, 2);
             w.posts(w.small, 1);
             w.posts(w.to, 1);
         },
         commit},
        {"commit into the room it makes",
         [](W& w) {
             w.begin();
             w.fill_and_hold(w.tight, 2);
             w.acks();
             w.posts(w.tight, 2);
         },
         commit},
        {"commit what is due first",
         [](W& w) {
             w.begin();
             w.fill(w.q, 2, {.delay = 5s});
             w.fill(w.q, 2, {.expires_in = 6s});
             w.clock.advance(10s);
             w.posts(w.q, 1);
         },
         commit},
        {"commit to who is full",
         [](W& w) {
             w.begin();
             w.fill_and_hold(w.q, 1);
             w.acks();
             w.fill(w.tight, 2);
             w.posts(w.to, 1, {.dedup = value});
             w.posts(w.tight, 1);
         },
         [](W& w) { return w.transaction->commit() == Errc::full; }},
        {"commit to nobody",
         [](W& w) {
             w.begin();
             w.posts(w.to, 1);
             w.posts(w.alone, 1);
         },
         [](W& w) { return w.transaction->commit() == Errc::no_subscriber; }},
        {"commit a lost lease",
         [](W& w) {
             w.begin();
             w.fill_and_hold(w.q, 1);
             w.acks();
             w.posts(w.to, 1);
             w.clock.advance(10s);
         },
         [](W& w) { return w.transaction->commit() == Errc::lease_lost; }},
        {"commit a child of nobody",
         [](W& w) {
             w.begin();
             w.gate = w.broker.gate(1);
             w.posts(w.to, 1, {.parents = {w.gate->id()}});
             w.posts(w.to, 1, {.parents = {w.gate->id(), latchbox::MessageId{}}});
         },
         [](W& w) { return w.transaction->commit() == Errc::unknown_parent; }},
    };
}

template <class Msg> std::vector<Scenario<Msg>> short_forms() {
    using W = World<Msg>;
    constexpr auto one_held = [](W& w) { w.fill_and_hold(w.q, 1); };
    constexpr auto forward = [](W& w) { return w.held.back().forward(w.to, w.wishes).has_value(); };
    return {
        {"ack_and_publish", one_held,
         [](W& w) {
             return w.held.back().ack_and_publish(w.to, std::move(w.message)).has_value();
         }},
        {"ack_and_publish with a value, as room is made",
         [](W& w) {
             w.fill_valued(w.to, 8);
             w.fill(w.to, 8);
             w.fill_and_hold(w.q, 1);
         },
         [](W& w) {
             return w.held.back()
                 .ack_and_publish(w.to, std::move(w.message),
                                  {.key = "a key of more than a few letters", .dedup = value})
                 .has_value();
         }},
        {"ack_and_publish a child of what is acked", one_held,
         [](W& w) {
             w.wishes.parents = {w.id};
             return w.held.back().ack_and_publish(w.to, std::move(w.message), w.wishes).has_value();
         }},
        {"ack_and_publish to who is full",
         [](W& w) {
             w.fill(w.tight, 2);
             w.fill_and_hold(w.q, 1);
         },
         [](W& w) {
             return w.held.back().ack_and_publish(w.tight, std::move(w.message)) == Errc::full;
         }},
        {"ack_and_publish into the room it makes", [](W& w) { w.fill_and_hold(w.tight, 2); },
         [](W& w) {
             return w.held.back().ack_and_publish(w.tight, std::move(w.message)).has_value();
         }},
        {"forward", one_held, forward},
        {"forward as room is made",
         [](W& w) {
             w.fill(w.to, 16);
             w.fill_and_hold(w.q, 1);
             w.wishes.delay = 5s;
         },
         forward},
        {"forward with a value",
         [](W& w) {
             w.fill_and_hold(w.q, 1);
             w.wishes.dedup = value;
         },
         forward},
        {"forward to its own queue", one_held,
         [](W& w) { return w.held.back().forward(w.q).has_value(); }},
        {"forward to who is full",
         [](W& w) {
             w.fill(w.tight, 2);
             w.fill_and_hold(w.q, 1);
         },
         [](W& w) { return w.held.back().forward(w.tight) == Errc::full; }},
        {"forward after the lease",
         [](W& w) {
             w.fill_and_hold(w.q, 1);
             w.clock.advance(10s);
         },
         [](W& w) { return w.held.back().forward(w.to) == Errc::lease_lost; }},
    };
}

template <class Msg> std::vector<Scenario<Msg>> copying_forms() {
    using W = World<Msg>;
    constexpr auto forward = [](W& w) { return w.held.back().forward(w.to).has_value(); };
    return {
        {"ack_and_publish a copy", [](W& w) { w.fill_and_hold(w.q, 1); },
         [](W& w) {
             return w.held.back().ack_and_publish(w.to, std::as_const(w.message)).has_value();
         }},
        {"forward what a late holder sees",
         [](W& w) {
             w.fill_and_hold(w.q, 1);
             w.clock.advance(10s);
             w.hold(w.q, 1);
         },
         forward},
        {"forward what other subscriptions see",
         [](W& w) {
             w.fill(w.s, 1);
             w.hold(w.plain, 1);
         },
         forward},
    };
}

template <class Msg> std::vector<Scenario<Msg>> tokens() {
    using W = World<Msg>;
    constexpr auto token = [](W& w) {
        w.tokens.push_back(w.held.back().lease_token());
        return true;
    };
    return {
        {"ask for a token", [](W& w) { w.fill_and_hold(w.q, 1); }, token},
        {"ask for the fiftieth token",
         [](W& w) {
             w.fill_and_hold(w.q, 50);
             for (int i = 0; i < 49; ++i) {
                 w.tokens.push_back(w.held[static_cast<std::size_t>(i)].lease_token());
             }
         },
         token},
        {"ask for it again",
         [](W& w) {
             w.fill_and_hold(w.q, 1);
             w.tokens.push_back(w.held.back().lease_token());
         },
         token},
        {"ask for the token of a copy",
         [](W& w) {
             w.fill(w.s, 1);
             w.hold(w.plain, 1);
         },
         token},
        {"ask for a token after the lease",
         [](W& w) {
             w.fill_and_hold(w.q, 1);
             w.clock.advance(10s);
         },
         token},
        {"ask for a token after the ack",
         [](W& w) {
             w.fill_and_hold(w.q, 1);
             w.held.back().ack();
         },
         token},
    };
}

template <class Msg> std::vector<Scenario<Msg>> crews() {
    using W = World<Msg>;
    return {
        {"start a worker", [](W&) {},
         [](W& w) {
             const latchbox::Workers workers{w.q, {}, [](const Msg&) {}};
             return workers.stats().handled == 0;
         }},
        {"start several workers, with a name and a handler that needs memory", [](W&) {},
         [](W& w) {
             const latchbox::Workers workers{
                 w.q,
                 {.threads = 3, .batch = 8, .name = "a name of more than a few letters"},
                 [text = std::string(100, 'x')](const Msg&) { return !text.empty(); }};
             return workers.stats().handled == 0;
         }},
        {"start workers on a subscription", [](W&) {},
         [](W& w) {
             const latchbox::Workers workers{
                 w.plain, {.threads = 2}, [](latchbox::Delivery<Msg>&) {}};
             return workers.stats().handled == 0;
         }},
        {"start workers without threads", [](W&) {},
         [](W& w) {
             try {
                 const latchbox::Workers workers{w.q, {.threads = 0}, [](const Msg&) {}};
             } catch (const std::invalid_argument&) { return true; }
             return false;
         }},
    };
}

template <class Msg> Flow fetch(World<Msg>& w, latchbox::Duration length) {
    const auto delivery = co_await latchbox::async_fetch_for(w.q, Inline{}, length);
    w.next = delivery ? 100 : static_cast<int>(delivery.error());
}
template <class Msg> Flow wait(World<Msg>& w, const latchbox::Latch<Msg>& latch) {
    const auto state = co_await latchbox::async_wait_for(latch, Inline{}, 1h);
    w.next = state ? 100 : static_cast<int>(state.error());
}

template <class Msg> std::vector<Scenario<Msg>> awaiting() {
    using W = World<Msg>;
    return {
        {"fetch what is ready in a coroutine", [](W& w) { w.fill(w.q, 1); },
         [](W& w) { return fetch(w, 1h).done() && w.next == 100; }},
        {"fetch nothing in a coroutine", [](W&) {},
         [](W& w) { return fetch(w, 0s).done() && w.next != 100; }},
        // Destroyed again as it waits, it leaves nothing.
        {"wait in a coroutine", [](W&) {}, [](W& w) { return !fetch(w, 1h).done(); }},
        {"wait beside others in a coroutine", [](W& w) { w.fill_and_hold(w.q, 14); },
         [](W& w) {
             const Flow first = fetch(w, 1h);
             const Flow second = fetch(w, latchbox::Duration::never());
             return !first.done() && !second.done();
         }},
        {"wait for a latch in a coroutine", [](W& w) { w.fill(w.q, 1); },
         [](W& w) {
             const auto latch = w.broker.latch(w.id);
             return !wait(w, latch).done();
         }},
    };
}

// --- faults ----------------------------------------------------------------------------------

template <class Msg> using Faults = support::Faults<World<Msg>, Look<Msg>>;

template <class Msg> void fail_each_allocation(const std::vector<Scenario<Msg>>& scenarios) {
    Faults<Msg>{figures}.fail_each_allocation(scenarios, 5);
}
template <class Msg> void throw_each_time(const std::vector<Scenario<Msg>>& scenarios) {
    Faults<Msg>{figures}.throw_each_time(scenarios, [] { return Msg::live(); });
}

using Text = std::string;

TEST_CASE("a publish with a value that finds no memory has not happened [4.11] [7.1]") {
    fail_each_allocation(valued<Text>());
}

TEST_CASE("a transaction's verb that finds no memory took nothing [4.11] [7.3]") {
    fail_each_allocation(verbs<Text>());
    fail_each_allocation(copying_verbs<Text>());
}

TEST_CASE("a commit that finds no memory has not happened [4.11] [7.3]") {
    fail_each_allocation(commits<Text>());
}

TEST_CASE("nor has an ack_and_publish, or a forward [4.11] [7.3]") {
    fail_each_allocation(short_forms<Text>());
    fail_each_allocation(copying_forms<Text>());
}

TEST_CASE("a token for which there is no memory leaves the lease as it was [4.11] [7.7]") {
    fail_each_allocation(tokens<Text>());
}

TEST_CASE("a coroutine for which there is no memory does not stand in line [4.11] [8]") {
    fail_each_allocation(awaiting<Text>());
}

TEST_CASE("workers for which there is no memory were never there [4.11] [8]") {
    fail_each_allocation(crews<Text>());
}

TEST_CASE("a copy that throws leaves values and transactions as they were [4.11] [7.3] [7.1]") {
    throw_each_time(valued<support::ThrowingCopy>());
    throw_each_time(verbs<support::ThrowingCopy>());
    throw_each_time(copying_verbs<support::ThrowingCopy>());
    throw_each_time(commits<support::ThrowingCopy>());
    throw_each_time(short_forms<support::ThrowingCopy>());
    throw_each_time(copying_forms<support::ThrowingCopy>());
}

TEST_CASE("a move that throws leaves values and transactions as they were [4.11] [7.3] [7.1]") {
    throw_each_time(valued<support::ThrowingMove>());
    throw_each_time(verbs<support::ThrowingMove>());
    throw_each_time(copying_verbs<support::ThrowingMove>());
    throw_each_time(commits<support::ThrowingMove>());
    throw_each_time(short_forms<support::ThrowingMove>());
    throw_each_time(copying_forms<support::ThrowingMove>());
}

TEST_CASE("so does a copy that stands in for a move, in a transaction [4.11] [7.3]") {
    throw_each_time(valued<support::ThrowingCopyOnly>());
    throw_each_time(verbs<support::ThrowingCopyOnly>());
    throw_each_time(commits<support::ThrowingCopyOnly>());
    throw_each_time(short_forms<support::ThrowingCopyOnly>());
    throw_each_time(copying_forms<support::ThrowingCopyOnly>());
}

TEST_CASE("so does the move of what cannot be copied, with a value [4.11] [7.1]") {
    throw_each_time(valued<support::ThrowingMoveOnly>());
}

// --- what never allocates --------------------------------------------------------------------

struct Leased {
    latchbox::ManualClock clock;
    latchbox::Broker<int> broker{{.clock = &clock}};
    latchbox::Queue<int> q = broker.queue("q", {.lease = 10s, .max_failures = 2});
    std::vector<latchbox::Delivery<int>> held;
    std::vector<latchbox::Threads::StopToken> tokens;

    ~Leased() { support::check_sound(q); }
    void hold(int count) {
        for (int i = 0; i < count; ++i) {
            REQUIRE(q.publish(i));
            held.push_back(q.try_fetch().value());
            tokens.push_back(held.back().lease_token());
        }
    }
    [[nodiscard]] bool all_stopped() const {
        bool all = true;
        for (const auto& token : tokens) { all = all && token.stop_requested(); }
        return all;
    }
};

TEST_CASE_FIXTURE(Leased, "settling under a token, and losing a lease, allocate nothing [7.7]") {
    hold(80);
    bool all = true;
    std::uint64_t asked = 0;
    {
        const FailingNew failing{Failing::from_nth, 1};
        for (std::size_t i = 0; i < 40; i += 8) {
            all = held[i].ack() && all;
            all = held[i + 1].reject("no") && all;
            all = held[i + 2].take().has_value() && all;
            all = held[i + 3].fail("no") && all;
            all = held[i + 4].requeue(5s) && all;
            all = held[i + 5].release() && all;
            { const auto abandoned = std::move(held[i + 6]); }
            all = q.ack(held[i + 7].receipt()) && all;
        }
        clock.advance(10s);
        broker.poll();
        asked = failing.asked();
    }
    CHECK(all);
    CHECK(asked == 0);
    CHECK(all_stopped());
}

TEST_CASE_FIXTURE(Leased, "closing under tokens allocates nothing [7.7] [4.11]") {
    hold(20);
    bool closes = false;
    SUBCASE("close") { closes = true; }
    SUBCASE("remove"){} {
        const FailingNew failing{Failing::from_nth, 1};
        if (closes) {
            static_cast<void>(broker.close());
        } else {
            static_cast<void>(broker.remove("q"));
        }
    }
    CHECK(all_stopped());
    CHECK(held.front().ack() == Errc::closed);
}

Flow take_one(const latchbox::Queue<int>& from, int& got) {
    for (;;) {
        auto delivery = co_await latchbox::async_fetch_for(from, Inline{}, 1h);
        if (!delivery) { co_return; }
        got = delivery->body();
        const FailingNew::Pause pause;  // what it needs to wait again
        delivery->ack();
        auto next = co_await latchbox::async_fetch_for(from, Inline{}, 1h);
        if (!next) { co_return; }
    }
}

TEST_CASE_FIXTURE(Leased, "resuming, timing out and leaving a line allocate nothing [4.11] [8]") {
    const auto empty = broker.queue("empty");
    hold(1);
    int got = -1;
    std::optional<Flow> resumed = take_one(q, got);
    std::optional<Flow> late = take_one(empty, got);
    std::optional<Flow> leaves = take_one(empty, got);
    bool resumed_in_time = false;
    {
        const FailingNew failing{Failing::from_nth, 1};
        leaves.reset();
        held.front().release();
        resumed_in_time = got == 0;
        clock.advance(1h);
        broker.poll();
    }
    CHECK(resumed_in_time);
    CHECK(late->done());
}

TEST_CASE_FIXTURE(Leased, "a transaction dropped allocates nothing [7.3] [4.11]") {
    hold(20);
    std::optional<latchbox::Transaction<int>> transaction = broker.transaction();
    for (auto& delivery : held) { REQUIRE(transaction->ack(std::move(delivery))); }
    for (int i = 0; i < 20; ++i) {
        REQUIRE(transaction->publish(q, i, {.key = "a key of more than a few letters"}));
    }
    std::uint64_t asked = 0;
    {
        const FailingNew failing{Failing::from_nth, 1};
        transaction.reset();
        asked = failing.asked();
    }
    CHECK(asked == 0);
    CHECK(q.stats().released == 20);
    CHECK(all_stopped());
}

TEST_CASE_FIXTURE(Leased, "values that come and go allocate nothing in the long run [7.1] [9]") {
    const auto valued = broker.queue("valued", {.dedup_window = 10s});
    const auto cycle = [&](int n) {
        const char text[] = {'v', static_cast<char>('a' + n % 26), static_cast<char>('a' + n % 7)};
        bool all = valued.publish(n, {.dedup = {text, 3}}).has_value();
        clock.advance(1s);
        if (auto delivery = valued.try_fetch()) { all = delivery->ack() && all; }
        return all;
    };
    bool all = true;
    for (int n = 0; n < 500; ++n) { all = cycle(n) && all; }
    std::uint64_t asked = 0;
    {
        const FailingNew failing{Failing::none};
        for (int n = 0; n < 1'000; ++n) { all = cycle(n) && all; }
        asked = failing.asked();
    }
    CHECK(all);
    CHECK(asked == 0);
}

}  // namespace
