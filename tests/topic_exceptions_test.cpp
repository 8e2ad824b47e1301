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

// What throws leaves everything as before, in topics and subscriptions, too. Each call is made in a
// world of its own, in which its n-th allocation, copy or move fails, for n = 1, 2, ... until none
// fails any more. After each failure the world must look exactly like one where the call was never
// made; and, when the call is made again, like one where it succeeded at once.
namespace {

using namespace std::chrono_literals;
using latchbox::Overflow;
using support::Failing;
using support::FailingNew;
using support::Kind;

support::FaultFigures figures{" in topics"};

// --- worlds ----------------------------------------------------------------------------------

template <class Msg> struct World {
    using Delivery = latchbox::Delivery<Msg>;
    using Subscription = latchbox::Subscription<Msg>;
    using Topic = latchbox::Topic<Msg>;

    latchbox::ManualClock clock;
    std::optional<latchbox::Broker<Msg>> broker{std::in_place,
                                                latchbox::BrokerOptions{.clock = &clock}};
    latchbox::Queue<Msg> q = broker->queue("q");
    // What is published to "s" reaches the first three; "r" and "gone" are for one alone, and for
    // nobody.
    Subscription plain = broker->subscribe("s", {.lease = 10s, .max_failures = 3});
    Subscription small = broker->subscribe("*", {.capacity = 3});
    Subscription group = broker->subscribe(
        "s", {.group = "g", .durable = true, .lease = 10s, .overflow = Overflow::drop_newest});
    Subscription strict =
        broker->subscribe("r.*", {.group = "strict", .capacity = 3, .overflow = Overflow::reject});
    Topic s = broker->topic("s", {.retain_count = 2});
    Topic r = broker->topic("r.x");
    std::vector<Subscription> more;
    std::vector<Topic> topics;
    std::vector<Delivery> held;
    std::vector<std::shared_ptr<const Msg>> read;
    std::vector<latchbox::Latch<Msg>> latches;
    std::vector<Msg> batch;
    std::vector<Msg> taken;
    Msg message = Kind<Msg>::make(1'000);
    latchbox::MessageId id;
    std::optional<latchbox::Gate<Msg>> gate;
    latchbox::PublishOptions wishes;
    int next = 0;

    World() {
        more.reserve(200);
        topics.reserve(200);
        held.reserve(200);
        read.reserve(200);
        latches.reserve(200);
        taken.reserve(200);
    }
    void fill(const Topic& topic, int count, const latchbox::PublishOptions& options = {}) {
        for (int i = 0; i < count; ++i) {
            id = topic.publish(Kind<Msg>::make(next++), options).value();
        }
    }
    void hold(const latchbox::Consumer<Msg>& from, int count) {
        for (int i = 0; i < count; ++i) { held.push_back(from.try_fetch().value()); }
    }
    void bury(const latchbox::Consumer<Msg>& in, int count) {
        for (int i = 0; i < count; ++i) { in.try_fetch().value().reject("no"); }
    }
    void tie() { wishes.parents.push_back(id); }
    void make_gate() {
        gate = broker->gate(1);
        wishes.parents.push_back(gate->id());
    }
    void make_batch(int count) {
        batch.reserve(static_cast<std::size_t>(count));
        for (int i = 0; i < count; ++i) { batch.push_back(Kind<Msg>::make(2'000 + i)); }
    }
    bool publish() { return s.publish(std::move(message), wishes).has_value(); }
    bool publish_batch() { return s.publish_batch(batch, wishes).has_value(); }
    bool subscribe(std::string_view pattern, const latchbox::SubscriptionOptions& options = {}) {
        more.push_back(broker->subscribe(pattern, options));
        return true;
    }
    bool make_topic(std::string_view subject) {
        topics.push_back(broker->topic(subject));
        return true;
    }
    bool make_topic(std::string_view subject, const latchbox::TopicOptions& options) {
        topics.push_back(broker->topic(subject, options));
        return true;
    }
    bool take(latchbox::Result<Msg>&& result) {
        if (result) { taken.push_back(std::move(*result)); }
        return result.has_value();
    }
};

// Everything that can be seen of a world, which is used up by that.
template <class Msg> class Look : support::Said<Msg> {
public:
    explicit Look(World<Msg>& world) : world_{world} {}

    std::string all() {
        say(Kind<Msg>::number(world_.message));
        for (const Msg& message : world_.batch) { say(Kind<Msg>::number(message)); }
        for (const Msg& message : world_.taken) { say(Kind<Msg>::number(message)); }
        for (const auto& message : world_.read) { say(Kind<Msg>::number(*message)); }
        for (const auto& delivery : world_.held) { say(delivery); }
        say(static_cast<std::int64_t>(world_.more.size()));
        say(static_cast<std::int64_t>(world_.topics.size()));
        if (!world_.broker) { return std::move(said_); }
        look_at_broker();
        for (const auto* topic : {&world_.s, &world_.r}) { look(*topic); }
        for (const auto& topic : world_.topics) { look(topic); }
        // The number the next message gets: none was drawn in vain.
        if (const auto id = world_.broker->topic("probe").publish(Kind<Msg>::make(9'999))) {
            say(static_cast<std::int64_t>(latchbox::detail::IdParts::number(*id)));
        }
        if (world_.gate) { world_.gate->count_down(); }
        world_.clock.advance(1min);
        for (const auto* one : {&world_.plain, &world_.small, &world_.group, &world_.strict}) {
            look(*one);
        }
        for (const auto& one : world_.more) { look(one); }
        support::check_sound(world_.q);
        look_for_leaks();
        return std::move(said_);
    }

private:
    void look_at_broker() {
        const latchbox::BrokerStats stats = world_.broker->stats();
        said_ += "\nbroker: ";
        for (const std::uint64_t count :
             {std::uint64_t{stats.queues}, std::uint64_t{stats.gates}, std::uint64_t{stats.edges},
              std::uint64_t{stats.topics}, std::uint64_t{stats.subscriptions}, stats.discarded,
              stats.retained, stats.aged_out}) {
            say(static_cast<std::int64_t>(count));
        }
        say(stats.messages);
        say(world_.broker->poll().since_epoch().count());
        const latchbox::Explanation why = world_.broker->explain(world_.id);
        say(static_cast<std::int64_t>(why.state));
        said_ += why.subject + ' ';
        for (const auto& copy : why.copies) { say(static_cast<std::int64_t>(copy.state)); }
    }
    void look(const latchbox::Topic<Msg>& topic) {
        said_ += "\ntopic " + topic.subject() + ": ";
        const latchbox::TopicStats stats = topic.stats();
        for (const std::uint64_t count :
             {stats.published, stats.discarded, stats.refused, stats.retained, stats.aged_out}) {
            say(static_cast<std::int64_t>(count));
        }
        const auto read = topic.read(world_.id);
        say(read ? Kind<Msg>::number(**read) : -10 - static_cast<int>(read.error()));
    }
    void look(const latchbox::Consumer<Msg>& queue) {
        support::check_sound(queue);
        said_ += "\nqueue: ";
        say(queue.stats());
        queue.dead_letters().for_each([this](const auto& letter) {
            said_ += "dead ";
            say(Kind<Msg>::number(letter.body()));
            said_ += letter.reason().text();
        });
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
        world_.latches.clear();
        world_.held.clear();
        world_.more.clear();
        for (auto* one : {&world_.plain, &world_.small, &world_.group, &world_.strict}) {
            one->purge();
            one->dead_letters().purge();
            one->unsubscribe();
        }
        world_.broker->remove("g");
        world_.broker->remove("d");
        world_.q.purge();
        world_.q.dead_letters().purge();
        world_.clock.advance(1h);
        world_.broker->poll();
        const latchbox::BrokerStats stats = world_.broker->stats();
        CHECK(support::conserved(stats.messages));
        if (stats.messages.held() != 0) { return; }  // closed
        CHECK(stats.subscriptions == 0);
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

template <class Msg> std::vector<Scenario<Msg>> publishing() {
    using W = World<Msg>;
    constexpr auto to_s = [](W& w) { return w.publish(); };
    std::vector<Scenario<Msg>> all = {
        {"publish the first", [](W&) {}, to_s},
        {"publish beside others", [](W& w) { w.fill(w.s, 3); }, to_s},
        {"publish as room is made", [](W& w) { w.fill(w.s, 16); }, to_s},
        {"publish as room is made again", [](W& w) { w.fill(w.s, 48); }, to_s},
        {"publish with a delay", [](W& w) { w.wishes.delay = 5s; }, to_s},
        {"publish with a delay beside many",
         [](W& w) {
             w.wishes.delay = 5s;
             w.fill(w.s, 16, w.wishes);
         },
         to_s},
        {"publish with a time to live",
         [](W& w) {
             w.fill(w.s, 2);
             w.wishes.expires_in = 5s;
         },
         to_s},
        {"publish with a priority", [](W& w) { w.wishes.priority = 9; }, to_s},
        {"publish with a key",
         [](W& w) {
             w.wishes.key = "a key of more than a few letters";
             w.fill(w.s, 2, w.wishes);
         },
         to_s},
        {"publish what is retained for itself", [](W& w) { w.wishes.retain_for = 30s; }, to_s},
        {"publish what is retained for itself beside others",
         [](W& w) {
             w.wishes.retain_for = 30s;
             w.fill(w.s, 16, w.wishes);
         },
         to_s},
        {"publish what is not retained", [](W& w) { w.wishes.retain_for = 0s; }, to_s},
        {"publish a child of one of a topic",
         [](W& w) {
             w.fill(w.s, 1);
             w.tie();
         },
         to_s},
        {"publish a child of several",
         [](W& w) {
             w.fill(w.s, 1);
             w.tie();
             w.fill(w.r, 2);
             w.tie();
             w.id = w.q.publish(Kind<Msg>::make(0)).value();
             w.tie();
             w.tie();
             w.make_gate();
         },
         to_s},
        {"publish a child beside other children",
         [](W& w) {
             w.make_gate();
             w.fill(w.s, 16, w.wishes);
         },
         to_s},
        {"publish a child of a dead letter",
         [](W& w) {
             w.fill(w.s, 1);
             w.tie();
             w.bury(w.plain, 1);
         },
         to_s},
        {"publish a child of one that failed",
         [](W& w) {
             w.fill(w.s, 1);
             w.tie();
             static_cast<void>(w.plain.cancel(w.id));
         },
         to_s},
        {"publish that does what is due first",
         [](W& w) {
             w.fill(w.s, 2, {.delay = 5s});
             w.fill(w.s, 2, {.expires_in = 6s, .retain_for = 7s});
             w.hold(w.plain, 1);
             w.clock.advance(10s);
         },
         to_s},
        {"publish after a subscription came and one went",
         [](W& w) {
             w.fill(w.s, 1);
             w.subscribe(">");
             w.subscribe("s");
             w.more.erase(w.more.begin());
         },
         to_s},
        {"publish to many",
         [](W& w) {
             for (int i = 0; i < 40; ++i) { w.subscribe(i % 2 == 0 ? "s" : "*"); }
         },
         to_s},
        {"publish to one alone", [](W&) {},
         [](W& w) { return w.r.publish(std::move(w.message)).has_value(); }},
        {"publish to one that is full", [](W& w) { w.fill(w.r, 3); },
         [](W& w) { return w.r.publish(std::move(w.message)) == latchbox::Errc::full; }},
        {"publish to nobody", [](W&) {},
         [](W& w) {
             return w.broker->topic("nobody.here").publish(std::move(w.message)).has_value();
         }},
        {"publish to nobody, and retain", [](W&) {},
         [](W& w) {
             return w.broker->topic("nobody.here")
                 .publish(std::move(w.message), {.retain_for = 10s})
                 .has_value();
         }},
        {"publish to who refuses what nobody gets",
         [](W& w) { w.make_topic("nobody.here", {.unrouted = latchbox::Unrouted::reject}); },
         [](W& w) {
             return w.topics.front().publish(std::move(w.message)) == latchbox::Errc::no_subscriber;
         }},
        {"publish to a new subject", [](W&) {},
         [](W& w) { return w.broker->topic("new").publish(std::move(w.message)).has_value(); }},
        {"publish with a parent that is unknown", [](W& w) { w.wishes.parents.emplace_back(); },
         [](W& w) {
             return w.s.publish(std::move(w.message), w.wishes) == latchbox::Errc::unknown_parent;
         }},
    };
    if constexpr (std::is_copy_constructible_v<Msg>) {
        constexpr auto by_copy = [](W& w) {
            return w.s.publish(std::as_const(w.message), w.wishes).has_value();
        };
        all.push_back({"publish a copy", [](W& w) { w.fill(w.s, 1); }, by_copy});
        all.push_back({"publish a copy as room is made", [](W& w) { w.fill(w.s, 16); }, by_copy});
        all.push_back(
            {"publish a copy to who is full", [](W& w) { w.fill(w.r, 3); },
             [](W& w) { return w.r.publish(std::as_const(w.message)) == latchbox::Errc::full; }});
    }
    return all;
}

template <class Msg> std::vector<Scenario<Msg>> batches() {
    using W = World<Msg>;
    constexpr auto to_s = [](W& w) { return w.publish_batch(); };
    return {
        {"publish a batch", [](W& w) { w.make_batch(3); }, to_s},
        {"publish a batch as room is made twice", [](W& w) { w.make_batch(40); }, to_s},
        {"publish a delayed batch",
         [](W& w) {
             w.make_batch(20);
             w.wishes.delay = 3s;
         },
         to_s},
        {"publish a batch with a key",
         [](W& w) {
             w.make_batch(3);
             w.wishes.key = "a key of more than a few letters";
         },
         to_s},
        {"publish a batch of children",
         [](W& w) {
             w.make_gate();
             w.fill(w.s, 1);
             w.tie();
             w.make_batch(20);
         },
         to_s},
        {"publish a batch of children that are dead on arrival",
         [](W& w) {
             w.fill(w.s, 1);
             w.tie();
             static_cast<void>(w.plain.cancel(w.id));
             w.make_batch(20);
         },
         to_s},
        {"publish a batch that each retains",
         [](W& w) {
             w.make_batch(20);
             w.wishes.retain_for = 30s;
         },
         to_s},
        {"publish a batch to nobody", [](W& w) { w.make_batch(3); },
         [](W& w) { return w.broker->topic("nobody.here").publish_batch(w.batch).has_value(); }},
        {"publish a batch that is too large", [](W& w) { w.make_batch(4); },
         [](W& w) { return w.r.publish_batch(w.batch) == latchbox::Errc::full; }},
    };
}

template <class Msg> std::vector<Scenario<Msg>> subscribing() {
    using W = World<Msg>;
    constexpr auto retained = [](W& w) {
        w.fill(w.s, 3);
        w.fill(w.r, 3, {.retain_for = 30s});
    };
    return {
        {"subscribe", [](W&) {}, [](W& w) { return w.subscribe("s"); }},
        {"subscribe to a pattern with many tokens", [](W&) {},
         [](W& w) { return w.subscribe("a.long.name.*.of.many.tokens.and.letters.>"); }},
        {"subscribe one more",
         [](W& w) {
             for (int i = 0; i < 40; ++i) { w.subscribe("s"); }
         },
         [](W& w) { return w.subscribe("s"); }},
        {"subscribe one more to other subjects",
         [](W& w) {
             for (int i = 0; i < 40; ++i) { w.subscribe("s." + std::to_string(i)); }
         },
         [](W& w) { return w.subscribe("s.x.y"); }},
        {"subscribe where one has just gone",
         [](W& w) {
             w.subscribe("a.b");
             w.more.clear();
         },
         [](W& w) { return w.subscribe("a.b"); }},
        {"subscribe as a new group", [](W&) {},
         [](W& w) { return w.subscribe("s", {.group = "a.group.of.more.than.a.few.letters"}); }},
        {"join a group", [](W&) {},
         [](W& w) {
             return w.subscribe("r.*",
                                {.group = "strict", .capacity = 3, .overflow = Overflow::reject});
         }},
        {"join a durable group nobody holds",
         [](W& w) {
             w.subscribe("s", {.group = "d", .durable = true});
             w.fill(w.s, 1);
             w.more.clear();
         },
         [](W& w) { return w.subscribe("s", {.group = "d", .durable = true}); }},
        {"subscribe and replay nothing", [](W&) {},
         [](W& w) { return w.subscribe("s", {.replay = true}); }},
        {"subscribe and replay", retained, [](W& w) { return w.subscribe(">", {.replay = true}); }},
        {"subscribe and replay many", [](W& w) { w.fill(w.s, 40, {.retain_for = 30s}); },
         [](W& w) { return w.subscribe("s", {.replay = true}); }},
        {"subscribe as a durable group and replay", retained,
         [](W& w) { return w.subscribe(">", {.group = "d", .durable = true, .replay = true}); }},
        {"subscribe and replay what waits for its parents",
         [](W& w) {
             w.make_gate();
             w.wishes.retain_for = 30s;
             w.fill(w.s, 20, w.wishes);
         },
         [](W& w) { return w.subscribe("s", {.replay = true}); }},
        {"subscribe and replay more than there is room for", retained,
         [](W& w) { return w.subscribe(">", {.replay = true, .capacity = 2}); }},
    };
}

template <class Msg> std::vector<Scenario<Msg>> managing() {
    using W = World<Msg>;
    constexpr auto family = [](W& w) {
        w.make_gate();
        w.fill(w.s, 1);
        w.tie();
        w.fill(w.s, 4, w.wishes);
    };
    return {
        {"name a topic", [](W&) {}, [](W& w) { return w.make_topic("another.one"); }},
        {"name a topic again", [](W&) {}, [](W& w) { return w.make_topic("s"); }},
        {"make a topic with options", [](W&) {},
         [](W& w) { return w.make_topic("another.one", {.retain_count = 3}); }},
        {"give a topic options", [](W& w) { w.fill(w.r, 2); },
         [](W& w) { return w.make_topic("r.x", {.retain_for = 3s}); }},
        {"make many topics",
         [](W& w) {
             for (int i = 0; i < 40; ++i) {
                 w.make_topic("t." + std::to_string(i), {.retain_count = 1});
             }
         },
         [](W& w) { return w.make_topic("one.more", {.retain_count = 1}); }},
        {"read", [](W& w) { w.fill(w.s, 2); },
         [](W& w) {
             auto found = w.s.read(w.id);
             if (found) { w.read.push_back(*found); }
             return found.has_value();
         }},
        {"read again what another reads",
         [](W& w) {
             w.fill(w.s, 1);
             w.read.push_back(w.s.read(w.id).value());
         },
         [](W& w) {
             auto found = w.s.read(w.id);
             if (found) { w.read.push_back(*found); }
             return found.has_value();
         }},
        {"read what is not there any more", [](W& w) { w.fill(w.r, 1); },
         [](W& w) { return w.r.read(w.id) == latchbox::Errc::expired; }},
        {"ask for the latch of one of a topic", [](W& w) { w.fill(w.s, 1); },
         [](W& w) {
             w.latches.push_back(w.broker->latch(w.id));
             return w.latches.back().state().has_value();
         }},
        {"explain", family, [](W& w) { return w.broker->explain(w.id).copies.size() == 3; }},
        {"explain in a sentence", family,
         [](W& w) { return !to_string(w.broker->explain(w.id)).empty(); }},
        {"unsubscribe", family,
         [](W& w) {
             w.plain.unsubscribe();
             return true;
         }},
        {"unsubscribe with leases out",
         [](W& w) {
             w.fill(w.s, 3);
             w.hold(w.plain, 2);
         },
         [](W& w) {
             w.plain.unsubscribe();
             return true;
         }},
        {"remove a group", family, [](W& w) { return w.broker->remove("g"); }},
        {"purge parents", family, [](W& w) { return w.plain.purge() == 5; }},
        {"settle parents",
         [](W& w) {
             w.fill(w.s, 1);
             w.tie();
             w.fill(w.s, 4, w.wishes);
             w.hold(w.plain, 1);
             w.broker->remove("g");
         },
         [](W& w) { return w.held.front().ack().has_value(); }},
        {"fetch and take what others see", [](W& w) { w.fill(w.s, 2); },
         [](W& w) { return w.take(w.plain.pop()); }},
        {"pop all of what others see", [](W& w) { w.fill(w.s, 5); },
         [](W& w) {
             auto all = w.plain.pop_all();
             if (!all) { return false; }
             std::swap(w.taken, *all);
             return true;
         }},
        {"take a dead letter that others see",
         [](W& w) {
             w.fill(w.s, 1);
             w.bury(w.plain, 1);
         },
         [](W& w) { return w.take(w.plain.dead_letters().take(w.id)); }},
        {"redrive",
         [](W& w) {
             w.fill(w.s, 20);
             w.bury(w.plain, 20);
         },
         [](W& w) { return w.plain.dead_letters().redrive() == 20; }},
        {"poll as much ages",
         [](W& w) {
             w.fill(w.s, 20, {.retain_for = 5s});
             w.hold(w.plain, 3);
             w.clock.advance(20s);
         },
         [](W& w) { return w.broker->poll().is_never(); }},
        {"look at all counts", family,
         [](W& w) { return w.broker->stats().retained == 2 && w.s.stats().retained == 2; }},
        {"end the broker", family,
         [](W& w) {
             w.broker.reset();
             return true;
         }},
        {"close", family, [](W& w) { return w.broker->close().left() == 13; }},
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

TEST_CASE("a publish to a topic that finds no memory has not happened [4.11] [6.3] [misuse 10]") {
    fail_each_allocation(publishing<Text>());
}

TEST_CASE("nor has a batch [4.11] [6.3] [misuse 10]") { fail_each_allocation(batches<Text>()); }

TEST_CASE("nor has a subscribe, with all it replays [4.11] [6.2] [misuse 10]") {
    fail_each_allocation(subscribing<Text>());
}

TEST_CASE(
    "no other call on topics and subscriptions that finds no memory has happened "
    "[4.11] [6.6]") {
    fail_each_allocation(managing<Text>());
}

TEST_CASE("a copy that throws leaves topics as they were [4.11] [6.3] [misuse 10]") {
    throw_each_time(publishing<support::ThrowingCopy>());
    throw_each_time(batches<support::ThrowingCopy>());
    throw_each_time(subscribing<support::ThrowingCopy>());
    throw_each_time(managing<support::ThrowingCopy>());
}

TEST_CASE("a move that throws leaves topics as they were [4.11] [6.3] [misuse 10]") {
    throw_each_time(publishing<support::ThrowingMove>());
    throw_each_time(batches<support::ThrowingMove>());
    throw_each_time(subscribing<support::ThrowingMove>());
}

TEST_CASE("so does a copy that stands in for a move, to a topic [4.11] [misuse 10]") {
    throw_each_time(publishing<support::ThrowingCopyOnly>());
    throw_each_time(batches<support::ThrowingCopyOnly>());
}

TEST_CASE("so does the move of what cannot be copied, to a topic [4.11] [misuse 10]") {
    throw_each_time(publishing<support::ThrowingMoveOnly>());
}

// --- what never allocates ----------------------------------------------------------------------

struct Settled {
    latchbox::ManualClock clock;
    latchbox::Broker<int> broker{{.clock = &clock}};
    latchbox::Queue<int> q = broker.queue("q");
    latchbox::Subscription<int> a = broker.subscribe("s", {.lease = 10s, .max_failures = 2});
    latchbox::Subscription<int> b = broker.subscribe("*", {.lease = 10s, .max_failures = 2});
    latchbox::Topic<int> topic = broker.topic("s", {.retain_for = 20s});
    std::vector<latchbox::Delivery<int>> held;

    ~Settled() {
        for (const auto* one : {&a, &b}) { support::check_sound(*one); }
        support::check_sound(q);
    }
    // Messages with children, all of them in somebody's hands.
    void hold(std::size_t count) {
        constexpr latchbox::OnParentFailure policies[] = {latchbox::OnParentFailure::dead_letter,
                                                          latchbox::OnParentFailure::deliver,
                                                          latchbox::OnParentFailure::hold};
        held.reserve(2 * count);
        for (std::size_t i = 0; i < count; ++i) {
            const auto id = topic.publish(1);
            REQUIRE(id);
            held.push_back(a.try_fetch().value());
            held.push_back(b.try_fetch().value());
            const auto policy = policies[i % 3];
            REQUIRE(q.publish(1, {.parents = {*id}, .on_parent_failure = policy}));
        }
    }
};

TEST_CASE_FIXTURE(Settled,
                  "settling copies, and what it means for children, allocates nothing "
                  "[4.11] [6.3]") {
    hold(80);
    const std::string megabyte(1'048'576, 'r');
    bool all = true;
    std::uint64_t asked = 0;
    {
        // From the first on all allocations fail: what needs one would throw, and end the program
        // where it must not.
        const FailingNew failing{Failing::from_nth, 1};
        for (std::size_t i = 0; i < 160; i += 8) {
            all = held[i].ack() && all;
            all = held[i + 1].reject(megabyte) && all;
            all = held[i + 2].take().has_value() && all;
            all = held[i + 3].fail("no") && all;
            all = held[i + 4].requeue(5s) && all;
            all = held[i + 5].release() && all;
            { const auto abandoned = std::move(held[i + 6]); }
            all = held[i + 7].extend(1h) && all;
        }
        for (int i = 0; i < 40; ++i) {
            clock.advance(1s);
            broker.poll();
        }
        all = a.purge() > 0 && all;
        all = b.dead_letters().purge() > 0 && all;
        asked = failing.asked();
    }
    CHECK(all);
    CHECK(asked == 0);
    CHECK(broker.stats().retained == 0);
}

TEST_CASE_FIXTURE(Settled, "ageing and the end of subscriptions allocate nothing [4.11] [6.2]") {
    hold(50);
    for (int i = 0; i < 100; ++i) {
        REQUIRE(topic.publish(i, {.delay = 1s * (i % 30), .retain_for = 1s * (i % 50)}));
    }
    auto group = broker.subscribe("s", {.group = "g", .durable = true, .replay = true});
    REQUIRE(topic.publish(7));
    std::uint64_t asked = 0;
    {
        const FailingNew failing{Failing::from_nth, 1};
        for (int i = 0; i < 60; ++i) {
            clock.advance(1s);
            broker.poll();
            if (i == 5) { a.unsubscribe(); }
            if (i == 7) { broker.remove("g"); }
        }
        b.unsubscribe();
        group.unsubscribe();
        held.clear();
        asked = failing.asked();
    }
    CHECK(asked == 0);
    CHECK(broker.stats().retained == 0);
    CHECK(broker.stats().subscriptions == 0);
    CHECK(broker.stats().messages.leased == 0);
    support::check_sound(group);
}

TEST_CASE_FIXTURE(Settled, "a topic's steady state allocates nothing [4.11] [6.3]") {
    b.unsubscribe();
    const auto cycle = [this](int n) {
        bool all = topic.publish(n).has_value();
        clock.advance(1s);
        while (auto delivery = a.try_fetch()) {
            if (delivery->attempt() == 1 && n % 3 == 0) {
                all = delivery->requeue() && all;
            } else {
                all = delivery->ack() && all;
            }
        }
        return all;
    };
    bool all = true;
    for (int n = 0; n < 200; ++n) { all = cycle(n) && all; }
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
