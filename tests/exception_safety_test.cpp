// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"

#include "support/failing_new.hpp"
#include "support/faults.hpp"
#include "support/message_kinds.hpp"
#include "support/sound.hpp"

// What throws leaves everything as before. Each call is made in a world of its own, in which its
// n-th allocation, copy or move fails, for n = 1, 2, ... until none fails any more. After each
// failure the world must look exactly like one where the call was never made; and, when the call
// is made again, like one where it succeeded at once.
namespace {

using namespace std::chrono_literals;
using latchbox::Overflow;
using support::Failing;
using support::FailingNew;
using support::Kind;

support::FaultFigures figures{""};

// --- worlds ----------------------------------------------------------------------------------

template <class Msg> struct World {
    using Queue = latchbox::Queue<Msg>;
    using Delivery = latchbox::Delivery<Msg>;

    latchbox::ManualClock clock;
    std::optional<latchbox::Broker<Msg>> broker{std::in_place,
                                                latchbox::BrokerOptions{.clock = &clock}};
    Queue q = broker->queue("q", {.lease = 10s, .max_failures = 3});
    Queue small = broker->queue("small", {.capacity = 3, .overflow = Overflow::drop_oldest});
    std::vector<Delivery> held;
    std::vector<Delivery> out;
    std::vector<Msg> batch;
    std::vector<Msg> taken;
    Msg message = Kind<Msg>::make(1'000);
    latchbox::MessageId id;
    std::optional<latchbox::Gate<Msg>> gate;
    std::vector<latchbox::Gate<Msg>> gates;
    std::vector<latchbox::Latch<Msg>> latches;
    latchbox::PublishOptions wishes;
    int next = 0;

    World() {
        taken.reserve(100);
        gates.reserve(100);
        latches.reserve(100);
    }

    void fill(const Queue& queue, int count, const latchbox::PublishOptions& options = {}) {
        for (int i = 0; i < count; ++i) {
            id = queue.publish(Kind<Msg>::make(next++), options).value();
        }
    }
    void hold(const Queue& queue, int count) {
        for (int i = 0; i < count; ++i) { held.push_back(queue.try_fetch().value()); }
    }
    void bury(const Queue& queue, int count) {
        for (int i = 0; i < count; ++i) { queue.try_fetch().value().reject("no"); }
    }
    // The last message published is one more parent of that to come.
    void tie() { wishes.parents.push_back(id); }
    void fill_and_tie(const Queue& queue, int count) {
        for (int i = 0; i < count; ++i) {
            fill(queue, 1);
            tie();
        }
    }
    void make_gate() {
        gate = broker->gate(1);
        wishes.parents.push_back(gate->id());
    }
    void make_batch(int count) {
        batch.reserve(static_cast<std::size_t>(count));
        for (int i = 0; i < count; ++i) { batch.push_back(Kind<Msg>::make(2'000 + i)); }
    }
    template <class T> bool take(latchbox::Result<T>&& result) {
        if (!result) { return false; }
        if constexpr (std::is_same_v<T, Msg>) { taken.push_back(std::move(*result)); }
        if constexpr (std::is_same_v<T, Delivery>) { out.push_back(std::move(*result)); }
        return true;
    }
};

// Everything that can be seen of a world, which is used up by that.
template <class Msg> class Look : support::Said<Msg> {
public:
    explicit Look(World<Msg>& world) : world_{world} {}

    std::string all() {
        say(Kind<Msg>::number(world_.message));
        for (const Msg& message : world_.batch) { say(Kind<Msg>::number(message)); }
        say_all(world_.taken);
        say(static_cast<std::int64_t>(world_.held.size()));
        say(static_cast<std::int64_t>(world_.out.size()));
        for (const auto& delivery : world_.out) { say(delivery); }
        for (const auto& delivery : world_.held) { say(delivery); }
        if (world_.broker) {
            say(static_cast<std::int64_t>(world_.broker->stats().queues));
            say(world_.broker->stats().messages);
            say(world_.broker->poll().since_epoch().count());
            look_at_ties();
        }
        for (const auto& queue : {world_.q, world_.small}) { look(queue); }
        if (world_.broker) { look_for_leaks(); }
        return std::move(said_);
    }

private:
    void look_at_ties() {
        const latchbox::BrokerStats stats = world_.broker->stats();
        say(static_cast<std::int64_t>(stats.gates));
        say(static_cast<std::int64_t>(stats.edges));
        const latchbox::Explanation why = world_.broker->explain(world_.id);
        say(static_cast<std::int64_t>(why.state));
        say(static_cast<std::int64_t>(why.parents.size()));
        say(static_cast<std::int64_t>(why.ahead_in_key));
        if (world_.gate) { world_.gate->count_down(); }
    }
    // Once nobody holds or waits for anything, nothing may be left on the board.
    void look_for_leaks() {
        world_.gate.reset();
        world_.gates.clear();
        world_.latches.clear();
        world_.held.clear();
        world_.out.clear();
        for (const auto& queue : {world_.q, world_.small}) {
            queue.purge();
            queue.dead_letters().purge();
        }
        const latchbox::BrokerStats stats = world_.broker->stats();
        if (stats.messages.held() != 0) { return; }  // closed
        CHECK(stats.gates == 0);
        CHECK(stats.latches == 0);
        CHECK(stats.edges == 0);
        CHECK(latchbox::detail::Access::board(world_.q).waits.in_use() == 0);
    }
    void look(const latchbox::Queue<Msg>& queue) {
        support::check_sound(queue);
        CHECK(latchbox::detail::Access::core(queue).reserved() == 0);
        said_ += "\n" + queue.name() + ": ";
        say(queue.stats());
        queue.dead_letters().for_each([this](const auto& letter) {
            said_ += "dead ";
            say(Kind<Msg>::number(letter.body()));
            said_ += letter.reason().text();
        });
        world_.clock.advance(1min);
        // The number the next message gets: none was drawn in vain.
        if (const auto id = queue.publish(Kind<Msg>::make(9'999))) {
            say(static_cast<std::int64_t>(latchbox::detail::IdParts::number(*id)));
        }
        while (auto delivery = queue.try_fetch()) {
            say(*delivery);
            if (!delivery->ack()) { break; }
        }
        say(queue.stats());
        support::check_sound(queue);
    }
    void say_all(const std::vector<Msg>& messages) {
        for (const Msg& message : messages) { say(Kind<Msg>::number(message)); }
    }

    using support::Said<Msg>::said_;
    using support::Said<Msg>::say;

    World<Msg>& world_;
};

// --- the calls -------------------------------------------------------------------------------

template <class Msg> using Scenario = support::Scenario<World<Msg>>;

template <class Msg> std::vector<Scenario<Msg>> publishing() {
    using W = World<Msg>;
    constexpr auto by_move = [](W& w) { return w.take(w.q.publish(std::move(w.message))); };
    std::vector<Scenario<Msg>> all = {
        {"publish into an empty queue", [](W&) {}, by_move},
        {"publish beside others", [](W& w) { w.fill(w.q, 3); }, by_move},
        {"publish as the bodies need room", [](W& w) { w.fill(w.q, 16); }, by_move},
        {"publish as they need room again", [](W& w) { w.fill(w.q, 48); }, by_move},
        {"publish beside a body that is still read",
         [](W& w) {
             w.fill(w.q, 1);
             w.hold(w.q, 1);
             w.held.front().ack();
         },
         by_move},
        {"publish with a delay", [](W&) {},
         [](W& w) { return w.take(w.q.publish(std::move(w.message), {.delay = 5s})); }},
        {"publish with a delay beside many", [](W& w) { w.fill(w.q, 16, {.delay = 7s}); },
         [](W& w) { return w.take(w.q.publish(std::move(w.message), {.delay = 5s})); }},
        {"publish with a time to live", [](W& w) { w.fill(w.q, 2); },
         [](W& w) { return w.take(w.q.publish(std::move(w.message), {.expires_in = 5s})); }},
        {"publish with a priority", [](W& w) { w.fill(w.q, 2); },
         [](W& w) { return w.take(w.q.publish(std::move(w.message), {.priority = 9})); }},
        {"publish that does what is due first",
         [](W& w) {
             w.fill(w.q, 2, {.delay = 5s});
             w.fill(w.q, 2, {.expires_in = 6s});
             w.hold(w.q, 1);
             w.clock.advance(10s);
         },
         by_move},
    };
    if constexpr (std::is_copy_constructible_v<Msg>) {
        constexpr auto by_copy = [](W& w) { return w.take(w.q.publish(std::as_const(w.message))); };
        all.push_back({"publish a copy", [](W& w) { w.fill(w.q, 1); }, by_copy});
        all.push_back({"publish a copy as room is made", [](W& w) { w.fill(w.q, 16); }, by_copy});
        all.push_back({"publish a copy that evicts", [](W& w) { w.fill(w.small, 3); },
                       [](W& w) { return w.take(w.small.publish(std::as_const(w.message))); }});
    }
    return all;
}

template <class Msg> std::vector<Scenario<Msg>> tying() {
    using W = World<Msg>;
    constexpr auto to_q = [](W& w) { return w.take(w.q.publish(std::move(w.message), w.wishes)); };
    constexpr auto to_small = [](W& w) {
        return w.take(w.small.publish(std::move(w.message), w.wishes));
    };
    return {
        {"publish a child of one", [](W& w) { w.fill_and_tie(w.q, 1); }, to_q},
        {"publish a child of one in another queue", [](W& w) { w.fill_and_tie(w.small, 1); }, to_q},
        {"publish a child of several in two queues, some named twice",
         [](W& w) {
             w.fill_and_tie(w.q, 2);
             w.fill_and_tie(w.small, 2);
             w.tie();
             w.wishes.parents.push_back(w.wishes.parents.front());
         },
         to_q},
        {"publish a child of many", [](W& w) { w.fill_and_tie(w.q, 40); }, to_q},
        {"publish a child beside other children",
         [](W& w) {
             w.fill_and_tie(w.q, 2);
             w.fill(w.q, 16, w.wishes);
         },
         to_q},
        {"publish a child of a gate", [](W& w) { w.make_gate(); }, to_q},
        {"publish a child of a gate and a message",
         [](W& w) {
             w.make_gate();
             w.fill_and_tie(w.q, 1);
         },
         to_q},
        {"publish a child of a dead letter",
         [](W& w) {
             w.fill_and_tie(w.q, 1);
             w.bury(w.q, 1);
         },
         to_q},
        {"publish a child that is held by a dead letter",
         [](W& w) {
             w.fill_and_tie(w.small, 1);
             w.bury(w.small, 1);
             w.wishes.on_parent_failure = latchbox::OnParentFailure::hold;
         },
         to_q},
        {"publish a child of one that failed",
         [](W& w) {
             w.fill_and_tie(w.q, 1);
             static_cast<void>(w.q.cancel(w.id));
         },
         to_q},
        {"publish a child of one that completed",
         [](W& w) {
             w.fill_and_tie(w.q, 1);
             w.hold(w.q, 1);
             w.held.front().ack();
         },
         to_q},
        {"publish a child of one that is unknown",
         [](W& w) {
             w.fill_and_tie(w.q, 1);
             w.wishes.parents.emplace_back();
         },
         [](W& w) {
             return w.q.publish(std::move(w.message), w.wishes) == latchbox::Errc::unknown_parent;
         }},
        {"publish a child where there is no room",
         [](W& w) {
             w.fill(w.small, 3);
             w.hold(w.small, 3);
             w.tie();
         },
         [](W& w) {
             return w.small.publish(std::move(w.message), w.wishes) == latchbox::Errc::full;
         }},
        {"publish a child that evicts its parent",
         [](W& w) {
             w.fill_and_tie(w.small, 1);
             w.fill(w.small, 2);
         },
         to_small},
        {"publish a child that evicts a child",
         [](W& w) {
             w.make_gate();
             w.fill(w.small, 3, w.wishes);
         },
         to_small},
        {"publish a child with a delay and a life",
         [](W& w) {
             w.fill_and_tie(w.q, 1);
             w.wishes.delay = 5s;
             w.wishes.expires_in = 50s;
         },
         to_q},
        {"publish with a key", [](W& w) { w.wishes.key = "a key of more than a few letters"; },
         to_q},
        {"publish with a key beside others of it",
         [](W& w) {
             w.wishes.key = "a key of more than a few letters";
             w.fill(w.q, 3, w.wishes);
         },
         to_q},
        {"publish with a key beside other keys",
         [](W& w) {
             for (const char* key : {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l",
                                     "m", "n", "o", "p", "q", "r", "s", "t", "u", "v", "w"}) {
                 w.fill(w.q, 1, {.key = key});
             }
             w.wishes.key = "a key of more than a few letters";
         },
         to_q},
        {"publish a child with a key, which evicts",
         [](W& w) {
             w.make_gate();
             w.wishes.key = "k";
             w.fill(w.small, 3, w.wishes);
         },
         to_small},
    };
}

template <class Msg> std::vector<Scenario<Msg>> tying_batches() {
    using W = World<Msg>;
    constexpr auto to_q = [](W& w) { return w.q.publish_batch(w.batch, w.wishes).has_value(); };
    return {
        {"publish a batch of children",
         [](W& w) {
             w.fill_and_tie(w.q, 2);
             w.make_batch(3);
         },
         to_q},
        {"publish a large batch of children of a gate and others",
         [](W& w) {
             w.make_gate();
             w.fill_and_tie(w.small, 2);
             w.make_batch(40);
         },
         to_q},
        {"publish a batch with a key",
         [](W& w) {
             w.wishes.key = "k";
             w.make_batch(3);
         },
         to_q},
        {"publish a batch of children that are dead on arrival",
         [](W& w) {
             w.fill_and_tie(w.small, 1);
             static_cast<void>(w.small.cancel(w.id));
             w.make_batch(20);
         },
         to_q},
    };
}

// Calls that ask for latches and gates, or that have children to see to.
template <class Msg> std::vector<Scenario<Msg>> asking() {
    using W = World<Msg>;
    constexpr auto family = [](W& w) {
        w.make_gate();
        w.fill_and_tie(w.small, 1);
        w.wishes.key = "a key of more than a few letters";
        w.fill(w.q, 4, w.wishes);
    };
    constexpr auto ask = [](W& w) {
        w.latches.push_back(w.broker->latch(w.id));
        return w.latches.back().state().has_value();
    };
    constexpr auto make_gate = [](W& w) {
        w.gates.push_back(w.broker->gate(3));
        return true;
    };
    return {
        {"make a gate", [](W&) {}, make_gate},
        {"make one gate more",
         [](W& w) {
             for (int i = 0; i < 40; ++i) { w.gates.push_back(w.broker->gate(3)); }
         },
         make_gate},
        {"make a gate after others",
         [](W& w) {
             for (int i = 0; i < 40; ++i) { static_cast<void>(w.broker->gate(3)); }
         },
         make_gate},
        {"ask for a latch", [](W& w) { w.fill(w.q, 1); }, ask},
        {"ask for a latch again",
         [](W& w) {
             w.fill_and_tie(w.q, 1);
             w.fill(w.q, 1, w.wishes);
         },
         ask},
        {"ask for one latch more",
         [](W& w) {
             for (int i = 0; i < 40; ++i) {
                 w.fill(w.q, 1);
                 w.latches.push_back(w.broker->latch(w.id));
             }
             w.fill(w.q, 1);
         },
         ask},
        {"ask for the latch of one that is leased, and one that is dead",
         [](W& w) {
             w.fill(w.q, 2);
             w.hold(w.q, 1);
             w.bury(w.q, 1);
         },
         ask},
        {"ask for the latch of one that is gone",
         [](W& w) {
             w.fill(w.q, 1);
             static_cast<void>(w.q.cancel(w.id));
         },
         ask},
        {"explain a child", family,
         [](W& w) { return w.broker->explain(w.id).parents.size() == 2; }},
        {"explain a message", [](W& w) { w.fill(w.q, 1); },
         [](W& w) { return w.broker->explain(w.id).queue == "q"; }},
        {"explain in a sentence", family,
         [](W& w) { return !to_string(w.broker->explain(w.id)).empty(); }},
        {"count down a gate that has children", family,
         [](W& w) { return w.gate->count_down().has_value(); }},
        {"fail a gate that has children", family,
         [](W& w) { return w.gate->fail("a reason").has_value(); }},
        {"let go of a gate that has children", family,
         [](W& w) {
             w.gate.reset();
             return true;
         }},
        {"settle a parent",
         [](W& w) {
             w.make_gate();
             w.fill_and_tie(w.small, 1);
             w.fill(w.q, 4, w.wishes);
             w.hold(w.small, 1);
         },
         [](W& w) { return w.held.front().ack().has_value(); }},
        {"purge parents", family, [](W& w) { return w.small.purge() == 1; }},
        {"remove a queue that has children elsewhere", family,
         [](W& w) { return w.broker->remove("small"); }},
        {"redrive children",
         [](W& w) {
             w.make_gate();
             w.fill_and_tie(w.small, 1);
             w.fill(w.q, 20, w.wishes);
             w.bury(w.small, 1);
             w.small.dead_letters().redrive();
         },
         [](W& w) { return w.q.dead_letters().redrive() == 20; }},
    };
}

template <class Msg> std::vector<Scenario<Msg>> evicting() {
    using W = World<Msg>;
    constexpr auto to_small = [](W& w) { return w.take(w.small.publish(std::move(w.message))); };
    return {
        {"publish that evicts what is ready", [](W& w) { w.fill(w.small, 3); }, to_small},
        {"publish that evicts a dead letter",
         [](W& w) {
             w.fill(w.small, 3);
             w.bury(w.small, 1);
         },
         to_small},
    };
}

template <class Msg> std::vector<Scenario<Msg>> batches() {
    using W = World<Msg>;
    constexpr auto to_q = [](W& w) { return w.q.publish_batch(w.batch).has_value(); };
    return {
        {"publish a batch", [](W& w) { w.make_batch(3); }, to_q},
        {"publish a batch as room is made twice", [](W& w) { w.make_batch(40); }, to_q},
        {"publish a delayed batch", [](W& w) { w.make_batch(20); },
         [](W& w) { return w.q.publish_batch(w.batch, {.delay = 3s}).has_value(); }},
        {"publish a batch that evicts",
         [](W& w) {
             w.fill(w.small, 3);
             w.bury(w.small, 1);
             w.make_batch(2);
         },
         [](W& w) { return w.small.publish_batch(w.batch).has_value(); }},
    };
}

template <class Msg> std::vector<Scenario<Msg>> fetching() {
    using W = World<Msg>;
    // Somebody else reads the first body in the queue.
    constexpr auto with_reader = [](W& w) {
        w.fill(w.q, 3);
        w.hold(w.q, 1);
        w.held.front().release();
    };
    constexpr auto two_dead = [](W& w) {
        w.fill(w.q, 3);
        w.bury(w.q, 2);
    };
    constexpr auto try_fetch = [](W& w) { return w.take(w.q.try_fetch()); };
    constexpr auto pop = [](W& w) { return w.take(w.q.pop()); };
    constexpr auto pop_all = [](W& w) {
        auto all = w.q.pop_all();
        if (!all) { return false; }
        std::swap(w.taken, *all);
        return true;
    };
    constexpr auto dead_take = [](W& w) { return w.take(w.q.dead_letters().take()); };
    constexpr auto take = [](W& w) { return w.take(w.held.back().take()); };
    return {
        {"fetch the first",
         [](W& w) {
             w.fill(w.q, 2);
             w.out.reserve(8);
         },
         try_fetch},
        {"fetch one more than ever",
         [](W& w) {
             w.fill(w.q, 40);
             w.hold(w.q, 16);
             w.out.reserve(8);
         },
         try_fetch},
        {"fetch what came back",
         [](W& w) {
             w.fill(w.q, 1);
             w.hold(w.q, 1);
             w.held.clear();
             w.out.reserve(8);
         },
         try_fetch},
        {"fetch, waiting for what is there",
         [](W& w) {
             w.fill(w.q, 2);
             w.out.reserve(8);
         },
         [](W& w) { return w.take(w.q.fetch()); }},
        {"fetch, waiting no time",
         [](W& w) {
             w.fill(w.q, 2);
             w.out.reserve(8);
         },
         [](W& w) { return w.take(w.q.fetch_for(0s)); }},
        {"fetch a batch", [](W& w) { w.fill(w.q, 3); },
         [](W& w) { return w.q.fetch_batch(w.out, 2).has_value(); }},
        {"fetch a batch of many", [](W& w) { w.fill(w.q, 50); },
         [](W& w) { return w.q.fetch_batch(w.out, 40).has_value(); }},
        {"fetch a batch behind others",
         [](W& w) {
             w.fill(w.q, 5);
             static_cast<void>(w.q.fetch_batch(w.out, 2));
         },
         [](W& w) { return w.q.fetch_batch(w.out, 2).has_value(); }},
        {"pop", [](W& w) { w.fill(w.q, 2); }, pop},
        {"pop what another reads", with_reader, pop},
        {"pop all", [](W& w) { w.fill(w.q, 5); }, pop_all},
        {"pop all, one read by another", with_reader, pop_all},
        {"pop all of nothing", [](W&) {}, pop_all},
        {"take",
         [](W& w) {
             w.fill(w.q, 2);
             w.hold(w.q, 1);
         },
         take},
        {"take what another reads",
         [](W& w) {
             w.fill(w.q, 1);
             w.hold(w.q, 1);
             w.held.front().release();
             w.hold(w.q, 1);
         },
         take},
        {"look at the dead", two_dead,
         [](W& w) {
             int seen = 0;
             w.q.dead_letters().for_each([&](const auto&) { ++seen; });
             return seen == 2;
         }},
        {"take a dead letter", two_dead, dead_take},
        {"take a dead letter by its id",
         [](W& w) {
             w.fill(w.q, 1);
             w.bury(w.q, 1);
         },
         [](W& w) { return w.take(w.q.dead_letters().take(w.id)); }},
        {"take a dead letter that another reads",
         [](W& w) {
             w.fill(w.q, 1);
             w.hold(w.q, 1);
             w.held.front().reject("no");
         },
         dead_take},
    };
}

template <class Msg> std::vector<Scenario<Msg>> managing() {
    using W = World<Msg>;
    constexpr auto mixed = [](W& w) {
        w.fill(w.q, 6);
        w.hold(w.q, 2);
        w.bury(w.q, 2);
        w.fill(w.q, 1, {.delay = 1h});
    };
    return {
        {"redrive all", mixed, [](W& w) { return w.q.dead_letters().redrive() == 2; }},
        {"redrive many",
         [](W& w) {
             w.fill(w.q, 50);
             w.bury(w.q, 50);
         },
         [](W& w) { return w.q.dead_letters().redrive() == 50; }},
        {"redrive one",
         [](W& w) {
             w.fill(w.q, 1);
             w.bury(w.q, 1);
         },
         [](W& w) { return w.q.dead_letters().redrive(w.id).has_value(); }},
        {"purge the dead", mixed, [](W& w) { return w.q.dead_letters().purge() == 2; }},
        {"purge", mixed, [](W& w) { return w.q.purge() == 3; }},
        {"cancel", mixed, [](W& w) { return w.q.cancel(w.id).has_value(); }},
        {"make a queue", [](W&) {},
         [](W& w) { return w.broker->queue("new", {.lease = 1s}).size() == 0; }},
        {"make one queue more",
         [](W& w) {
             for (int i = 0; i < 14; ++i) {
                 static_cast<void>(w.broker->queue("q" + std::to_string(i)));
             }
         },
         [](W& w) { return w.broker->queue("new").size() == 0; }},
        {"ask for a queue", [](W&) {}, [](W& w) { return w.broker->queue("q").size() == 0; }},
        {"find a queue", [](W&) {}, [](W& w) { return w.broker->find_queue("q").has_value(); }},
        {"remove a queue", mixed, [](W& w) { return w.broker->remove("q"); }},
        {"stats", mixed, [](W& w) { return w.broker->stats().messages.accepted == 7; }},
        {"poll with much to do",
         [](W& w) {
             w.fill(w.q, 4);
             w.hold(w.q, 4);
             w.fill(w.q, 4, {.delay = 5s});
             w.fill(w.q, 4, {.expires_in = 6s});
             w.clock.advance(20s);
         },
         [](W& w) { return w.broker->poll().is_never(); }},
        {"end the broker", mixed,
         [](W& w) {
             w.broker.reset();
             return true;
         }},
        {"settle in every way",
         [](W& w) {
             w.fill(w.q, 8);
             w.hold(w.q, 8);
         },
         [](W& w) {
             bool all = w.held[0].ack().has_value();
             all = w.held[1].release() && all;
             all = w.held[2].requeue() && all;
             all = w.held[3].requeue(5s) && all;
             all = w.held[4].fail("no") && all;
             all = w.held[5].reject("no") && all;
             all = w.held[6].extend(1h) && all;
             w.held.pop_back();  // abandoned
             return all;
         }},
        {"ack a batch",
         [](W& w) {
             w.fill(w.q, 4);
             w.hold(w.q, 4);
         },
         [](W& w) { return w.q.ack_batch(w.held) == 4; }},
    };
}

template <class Msg> std::vector<Scenario<Msg>> closing() {
    using W = World<Msg>;
    constexpr auto some_left = [](W& w) {
        w.fill(w.q, 6);
        w.hold(w.q, 2);
        w.bury(w.q, 2);
        w.fill(w.small, 1);
    };
    return {
        {"close", some_left, [](W& w) { return w.broker->close().left() == 7; }},
        {"close with children that wait",
         [](W& w) {
             w.make_gate();
             w.fill(w.q, 40, w.wishes);
             w.fill(w.small, 2, w.wishes);
         },
         [](W& w) { return w.broker->close().blocked == 42; }},
        {"drain", some_left, [](W& w) { return w.broker->drain(0s).left() == 7; }},
    };
}

// --- faults ----------------------------------------------------------------------------------

template <class Msg> using Faults = support::Faults<World<Msg>, Look<Msg>>;

template <class Msg> void fail_each_allocation(const std::vector<Scenario<Msg>>& scenarios) {
    Faults<Msg>{figures}.fail_each_allocation(scenarios, 20);
}
template <class Msg> void throw_each_time(const std::vector<Scenario<Msg>>& scenarios) {
    Faults<Msg>{figures}.throw_each_time(scenarios, [] { return Msg::live(); });
}

using Text = std::string;

TEST_CASE("a publish that finds no memory has not happened [4.11] [misuse 10]") {
    fail_each_allocation(publishing<Text>());
    fail_each_allocation(evicting<Text>());
    fail_each_allocation(batches<Text>());
}

TEST_CASE(
    "a publish with parents, a gate or a key that finds no memory has not happened "
    "[4.11] [5.1] [5.7] [misuse 10]") {
    fail_each_allocation(tying<Text>());
    fail_each_allocation(tying_batches<Text>());
}

TEST_CASE(
    "who asks for a latch, a gate or a reason and finds no memory has changed nothing "
    "[4.11] [5.8] [5.9]") {
    fail_each_allocation(asking<Text>());
}

TEST_CASE("a fetch that finds no memory has not happened [4.11] [misuse 10]") {
    fail_each_allocation(fetching<Text>());
}

TEST_CASE("no other call that finds no memory has happened [4.11] [misuse 10]") {
    fail_each_allocation(managing<Text>());
}

TEST_CASE("a close that finds no memory for its report has happened all the same [4.11] [7.5]") {
    fail_each_allocation(closing<Text>());
}

TEST_CASE("a broker that finds no memory is not made, and leaks nothing [4.11]") {
    latchbox::ManualClock clock;
    const std::string tag(100, 't');
    for (std::uint64_t n = 1;; ++n) {
        REQUIRE(n < 100);
        bool failed = false;
        try {
            const support::MemoryFault fault{figures, Failing::nth, n};
            const latchbox::Broker<Text> broker{{.clock = &clock, .tag = tag}};
            failed = fault.happened();
        } catch (const std::bad_alloc&) { failed = true; }
        if (!failed) { break; }
    }
    CHECK(clock.now() == latchbox::Instant{});
    clock.advance(1s);  // tells those attached: nobody must be
}

TEST_CASE("a copy that throws leaves everything as it was [4.11] [misuse 10]") {
    throw_each_time(publishing<support::ThrowingCopy>());
    throw_each_time(evicting<support::ThrowingCopy>());
    throw_each_time(batches<support::ThrowingCopy>());
    throw_each_time(fetching<support::ThrowingCopy>());
    throw_each_time(tying<support::ThrowingCopy>());
    throw_each_time(tying_batches<support::ThrowingCopy>());
}

TEST_CASE("a move that throws leaves everything as it was [4.11] [misuse 10]") {
    throw_each_time(publishing<support::ThrowingMove>());
    throw_each_time(evicting<support::ThrowingMove>());
    throw_each_time(batches<support::ThrowingMove>());
    throw_each_time(tying<support::ThrowingMove>());
    throw_each_time(tying_batches<support::ThrowingMove>());
}

TEST_CASE("so does a copy that stands in for a move [4.11] [misuse 10]") {
    throw_each_time(publishing<support::ThrowingCopyOnly>());
    throw_each_time(evicting<support::ThrowingCopyOnly>());
    throw_each_time(batches<support::ThrowingCopyOnly>());
}

TEST_CASE("so does the move of what cannot be copied [4.11] [misuse 10]") {
    throw_each_time(publishing<support::ThrowingMoveOnly>());
    throw_each_time(tying<support::ThrowingMoveOnly>());
}

TEST_CASE("what the move of it evicts is not gone if that throws [4.11] [7.2]") {
    throw_each_time(evicting<support::ThrowingMoveOnly>());
}

// A move that throws on the way out, with the body already out of its place, cannot be undone: but
// nothing else may break, and no message may be there twice.
template <class Msg> void throw_on_the_way_out(const std::vector<Scenario<Msg>>& scenarios) {
    for (const Scenario<Msg>& scenario : scenarios) {
        CAPTURE(std::string(scenario.name));
        for (std::uint64_t n = 1;; ++n) {
            REQUIRE(n < 1'000);
            World<Msg> world;
            scenario.prepare(world);
            const support::Outcome outcome =
                support::attempt<support::UserFault>(world, scenario, figures, n);
            support::check_sound(world.q);
            support::check_sound(world.small);
            REQUIRE(world.q.publish(Kind<Msg>::make(1)));
            world.held.clear();
            world.out.clear();
            world.clock.advance(1min);
            while (auto delivery = world.q.try_fetch()) { REQUIRE(delivery->ack()); }
            support::check_sound(world.q);
            CHECK(world.q.stats().held() == world.q.stats().dead);
            if (!outcome.happened) { break; }
        }
        CHECK(Msg::live() == 0);
    }
}

TEST_CASE("a move that throws on the way out breaks nothing [4.11]") {
    throw_on_the_way_out(fetching<support::ThrowingMove>());
    throw_on_the_way_out(fetching<support::ThrowingCopyOnly>());
}

// --- what never allocates ----------------------------------------------------------------------

struct Plain {
    latchbox::ManualClock clock;
    latchbox::Broker<int> broker{{.clock = &clock}};
    latchbox::Queue<int> q = broker.queue("q", {.lease = 10s, .max_failures = 2});
    std::vector<latchbox::Delivery<int>> held;

    void hold(std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) {
            REQUIRE(q.publish(1));
            held.push_back(q.try_fetch().value());
        }
    }
};
struct Settled : Plain {
    ~Settled() { support::check_sound(q); }
};

TEST_CASE_FIXTURE(Settled, "settling allocates nothing, whatever the length of a reason [4.11]") {
    const std::string megabyte(1'048'576, 'r');
    hold(200);
    std::vector<latchbox::Receipt> receipts;
    for (const auto& delivery : held) { receipts.push_back(delivery.receipt()); }
    bool all = true;
    std::uint64_t asked = 0;
    {
        // From the first on all allocations fail: what needs one would throw, and end the program
        // where it must not.
        const FailingNew failing{Failing::from_nth, 1};
        for (std::size_t i = 0; i < 100; i += 10) {
            all = held[i].ack() && all;
            all = held[i + 1].release() && all;
            all = held[i + 2].requeue() && all;
            all = held[i + 3].requeue(5s) && all;
            all = held[i + 4].fail(megabyte) && all;
            all = held[i + 5].reject(megabyte) && all;
            all = held[i + 6].extend(1h) && all;
            all = held[i + 7].take().has_value() && all;
            { const auto abandoned = std::move(held[i + 8]); }
            const auto detached = std::move(held[i + 9]).detach();
            all = q.ack(detached) && all;
        }
        for (std::size_t i = 100; i < 170; i += 7) {
            all = q.ack(receipts[i]) && all;
            all = q.release(receipts[i + 1]) && all;
            all = q.requeue(receipts[i + 2]) && all;
            all = q.requeue(receipts[i + 3], 1s) && all;
            all = q.fail(receipts[i + 4], megabyte) && all;
            all = q.reject(receipts[i + 5], megabyte) && all;
            all = q.extend(receipts[i + 6], 1h) && all;
        }
        all = q.ack_batch(held) > 0 && all;
        asked = failing.asked();
    }
    CHECK(all);
    CHECK(asked == 0);
}

TEST_CASE_FIXTURE(Settled, "time allocates nothing, whatever it does [4.11]") {
    hold(100);
    for (int i = 0; i < 100; ++i) {
        REQUIRE(q.publish(i, {.delay = 1s * (i % 30)}));
        REQUIRE(q.publish(i, {.expires_in = 1s + 1s * (i % 30)}));
    }
    std::uint64_t asked = 0;
    {
        const FailingNew failing{Failing::from_nth, 1};
        for (int i = 0; i < 100; ++i) {
            clock.advance(1s);
            static_cast<void>(broker.poll());
        }
        asked = failing.asked();
    }
    CHECK(asked == 0);
    CHECK(q.stats().leases_run_out == 100);
    CHECK(q.stats().expired == 100);
    CHECK(q.stats().delayed == 0);
}

TEST_CASE_FIXTURE(Settled,
                  "what settling, time and gates mean for children allocates nothing "
                  "[4.11] [5.4]") {
    hold(100);
    const auto gate = broker.gate(1);
    std::optional<latchbox::Gate<int>> lost = broker.gate(1);
    const auto latch = broker.latch(held[0].id());
    const latchbox::OnParentFailure policies[] = {latchbox::OnParentFailure::dead_letter,
                                                  latchbox::OnParentFailure::deliver,
                                                  latchbox::OnParentFailure::hold};
    for (std::size_t i = 0; i < 300; ++i) {
        latchbox::PublishOptions options{.parents = {held[i % 100].id()},
                                         .on_parent_failure = policies[i % 3],
                                         .key = i % 2 == 0 ? "" : "key of some length: it is long"};
        if (i % 5 == 0) { options.parents.push_back(gate.id()); }
        if (i % 7 == 0) { options.parents.push_back(lost->id()); }
        if (i % 11 == 0) { options.expires_in = 25s; }
        REQUIRE(q.publish(1, options));
    }
    bool all = true;
    std::uint64_t asked = 0;
    {
        const FailingNew failing{Failing::from_nth, 1};
        for (std::size_t i = 0; i < 80; i += 8) {
            all = held[i].ack() && all;
            all = held[i + 1].reject(
                      "a reason that is much longer than what is kept of it, of "
                      "course") &&
                  all;
            all = held[i + 2].take().has_value() && all;
            all = held[i + 3].fail("no") && all;
            all = held[i + 4].requeue() && all;
            all = q.ack(held[i + 5].receipt()) && all;
            { const auto abandoned = std::move(held[i + 6]); }
            all = q.reject(held[i + 7].receipt()) && all;
        }
        all = gate.count_down() && all;
        lost.reset();
        all = latch.state().has_value() && all;
        for (int i = 0; i < 30; ++i) {
            clock.advance(1s);
            broker.poll();
        }
        all = q.dead_letters().purge() > 0 && all;
        all = q.purge() > 0 && all;
        asked = failing.asked();
    }
    CHECK(all);
    CHECK(asked == 0);
    q.dead_letters().purge();
    q.purge();
    CHECK(q.size() == 0);
    CHECK(broker.stats().edges == 0);
    CHECK(broker.stats().latches == 2);  // that in hand, and the open gate
}

TEST_CASE_FIXTURE(Settled, "removing and ending allocate nothing [4.11]") {
    auto other = std::make_unique<Plain>();
    other->hold(50);
    hold(50);
    for (int i = 0; i < 50; ++i) { REQUIRE(q.publish(i)); }
    for (int i = 0; i < 10; ++i) { held[static_cast<std::size_t>(i)].reject("no"); }
    const latchbox::MessageId dead = held[0].id();
    bool all = true;
    std::uint64_t asked = 0;
    {
        const FailingNew failing{Failing::from_nth, 1};
        all = q.dead_letters().redrive(dead) && all;
        all = q.cancel(dead) && all;
        all = q.dead_letters().purge() == 9 && all;
        all = q.purge() == 50 && all;
        held.clear();
        other.reset();
        all = broker.remove("q") && all;
        asked = failing.asked();
    }
    CHECK(all);
    CHECK(asked == 0);
}

TEST_CASE_FIXTURE(Settled, "the steady state allocates nothing [4.11]") {
    const auto cycle = [this](int n) {
        bool all = q.publish(n).has_value();
        all = q.publish(n, {.delay = 1s}).has_value() && all;
        clock.advance(1s);
        while (auto delivery = q.try_fetch()) {
            if (delivery->attempt() == 1 && n % 3 == 0) {
                all = delivery->requeue() && all;
            } else {
                all = delivery->ack() && all;
            }
        }
        return all;
    };
    bool all = true;
    for (int n = 0; n < 100; ++n) { all = cycle(n) && all; }
    std::uint64_t asked = 0;
    {
        const FailingNew failing{Failing::from_nth, 1};
        for (int n = 0; n < 1'000; ++n) { all = cycle(n) && all; }
        asked = failing.asked();
    }
    CHECK(all);
    CHECK(asked == 0);
    CHECK(q.size() == 0);
}

}  // namespace
