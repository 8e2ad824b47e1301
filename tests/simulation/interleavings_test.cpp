// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <array>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "simulation/scene.hpp"

using namespace scenes;

// --- hand-over -------------------------------------------------------------------------------

TEST_CASE("a publish and a fetch find each other [4.9]") {
    const Setup setup = [](World& world, auto scene) {
        world.spawn("publisher", [=] { scene->publish(1); });
        world.spawn("fetcher", [=] { scene->fetch(); });
        world.finally([=] { scene->finish(); });
    };
    const std::set<std::string> ways{"published; got 1"};
    SUBCASE("at all points") { every_schedule({}, setup, ways); }
    SUBCASE("interrupted after each unlock") { every_schedule({}, setup, ways, interrupted); }
    SUBCASE("with a wake-up for no reason") { every_schedule({}, setup, ways, spurious); }
}

TEST_CASE("of two fetches with one message, one waits on [4.1] [4.9]") {
    const auto setup = [](bool closes) {
        return [=](World& world, auto scene) {
            scene->prepare(1);
            world.spawn("first", [=] { scene->fetch(); });
            world.spawn("second", [=] { scene->fetch(); });
            world.spawn_at_rest("last", [=, &world] {
                world.check(world.has_ended(0) != world.has_ended(1), "does not find one waiting");
                scene->check_at_rest(1, 0);
                if (closes) {
                    scene->broker->close();
                } else {
                    scene->publish(2);
                }
            });
            world.finally([=] { scene->finish(closes); });
        };
    };
    SUBCASE("for a second one") {
        every_schedule({}, setup(false), {"got 1; got 2; published", "got 2; got 1; published"});
    }
    SUBCASE("until the broker closes") {
        every_schedule({}, setup(true), {"got 1; closed", "closed; got 1"});
    }
}

TEST_CASE("two publishes reach two fetches [4.9]") {
    every_schedule({},
                   [](World& world, auto scene) {
                       world.spawn("first", [=] { scene->fetch(); });
                       world.spawn("second", [=] { scene->fetch(); });
                       world.spawn("publisher", [=] {
                           scene->publish(1);
                           scene->publish(2);
                       });
                       world.finally([=] { scene->finish(); });
                   },
                   {"got 1; got 2; published published", "got 2; got 1; published published"});
}

TEST_CASE("a batch wakes all that wait for it") {
    every_schedule({},
                   [](World& world, auto scene) {
                       world.spawn("first", [=] { scene->fetch(); });
                       world.spawn("second", [=] { scene->fetch(); });
                       world.spawn("publisher", [=] {
                           std::vector<Parcel> both;
                           both.reserve(2);
                           both.emplace_back(1);
                           both.emplace_back(2);
                           scene->say(scene->queue->publish_batch(both) ? "both" : "none");
                       });
                       world.finally([=] { scene->finish(true); });
                   },
                   {"got 1; got 2; both", "got 2; got 1; both"});
}

TEST_CASE("an abandoned delivery goes to the fetch that waits [4.7] [4.9]") {
    every_schedule({},
                   [](World& world, auto scene) {
                       scene->prepare(1, true);
                       world.spawn("holder", [=] { scene->held.clear(); });
                       world.spawn("fetcher", [=] { scene->fetch(); });
                       world.finally([=] { scene->finish(); });
                   },
                   {"got 1 again"}, interrupted);
}

// --- time ------------------------------------------------------------------------------------

TEST_CASE("a fetch that waits for a time ends at its instant [4.3]") {
    const Setup setup = [](World& world, auto scene) {
        world.spawn("fetcher", [=] { scene->fetch_for(10s); });
        world.spawn("clock", [=] {
            scene->clock.advance(5s);
            scene->clock.advance(5s);
        });
        // The fetch may have begun late: then it has still some seconds to wait.
        world.spawn_at_rest("more time", [=, &world] {
            if (!world.has_ended(0)) { scene->clock.advance(10s); }
        });
        world.finally([=] { scene->finish(); });
    };
    SUBCASE("at all points") { every_schedule({}, setup, {"timed out"}); }
    SUBCASE("with a wake-up for no reason") { every_schedule({}, setup, {"timed out"}, spurious); }
}

TEST_CASE("each of two waits ends at its own instant [4.3] [4.9]") {
    every_schedule({},
                   [](World& world, auto scene) {
                       world.spawn_early("shorter", [=] { scene->fetch_for(5s); });
                       world.spawn_early("longer", [=] { scene->fetch_for(10s); });
                       world.spawn("clock", [=] { scene->clock.advance(5s); });
                       world.spawn_at_rest("more time", [=, &world] {
                           world.check(world.has_ended(0), "finds one who sleeps too long");
                           world.check(!world.has_ended(1), "finds one who woke too early");
                           scene->clock.advance(5s);
                       });
                       world.finally([=] { scene->finish(); });
                   },
                   {"timed out; timed out"}, interrupted);
}

TEST_CASE("a wait that runs out loses no message to nobody [4.9]") {
    every_schedule({},
                   [](World& world, auto scene) {
                       world.spawn("fetcher", [=] { scene->fetch_for(10s); });
                       world.spawn("publisher", [=] { scene->publish(1); });
                       world.spawn("clock", [=] { scene->clock.advance(10s); });
                       world.finally([=] { scene->finish(); });
                   },
                   {"got 1; published", "timed out; published"});
}

TEST_CASE("a wait that runs out leaves the message to who waits behind it [4.9]") {
    every_schedule({},
                   [](World& world, auto scene) {
                       world.spawn_early("hasty", [=] { scene->fetch_for(10s); });
                       world.spawn("patient", [=] { scene->fetch(); });
                       world.spawn("publisher", [=] {
                           scene->clock.advance(10s);
                           scene->publish(1);
                       });
                       world.finally([=] { scene->finish(); });
                   },
                   {"timed out; got 1; published"}, three_preemptions);
}

TEST_CASE("two waits and a time that runs out for one [4.9]") {
    const Setup setup = [](World& world, auto scene) {
        world.spawn("patient", [=] { scene->fetch(); });
        world.spawn("hasty", [=] { scene->fetch_for(10s); });
        world.spawn("publisher", [=] {
            scene->clock.advance(10s);
            scene->publish(1);
        });
        world.spawn_at_rest("last", [=] {
            scene->check_at_rest(1, 0);
            scene->clock.advance(10s);
            scene->publish(2);
        });
        world.finally([=] { scene->finish(); });
    };
    every_schedule({}, setup,
                   {"got 1; timed out; published; published", "got 2; got 1; published; published"},
                   three_preemptions);
}

TEST_CASE("a settle and the end of its lease: one of them holds [4.2] [4.3]") {
    every_schedule({.lease = 10s},
                   [](World& world, auto scene) {
                       scene->prepare(1, true);
                       world.spawn("holder", [=] { scene->ack(scene->held[0]); });
                       world.spawn("other", [=] {
                           scene->clock.advance(10s);
                           scene->try_fetch();
                       });
                       world.finally([=] { scene->finish(); });
                   },
                   {"acked; nothing is ready", "the lease is lost; got 1 again"}, interrupted);
}

TEST_CASE("an extended lease and its end: one of them holds [4.2] [4.3]") {
    every_schedule({.lease = 10s},
                   [](World& world, auto scene) {
                       scene->prepare(1, true);
                       world.spawn("holder", [=] {
                           const auto extended = scene->held[0].extend(20s);
                           scene->say(extended ? "extended" : "lost");
                       });
                       world.spawn("other", [=] {
                           scene->clock.advance(10s);
                           scene->try_fetch();
                       });
                       world.finally([=] { scene->finish(); });
                   },
                   {"extended; nothing is ready", "lost; got 1 again"}, interrupted);
}

TEST_CASE("a lease that runs out brings its message to the fetch that waits [4.3] [4.9]") {
    const Setup setup = [](World& world, auto scene) {
        scene->prepare(1, true);
        world.spawn("fetcher", [=] { scene->fetch(); });
        world.spawn("clock", [=] { scene->clock.advance(10s); });
        world.finally([=] { scene->finish(); });
    };
    SUBCASE("at all points") { every_schedule({.lease = 10s}, setup, {"got 1 again"}); }
    SUBCASE("interrupted") {
        every_schedule({.lease = 10s}, setup, {"got 1 again"}, interrupted);
    }
    SUBCASE("spurious") { every_schedule({.lease = 10s}, setup, {"got 1 again"}, spurious); }
}

TEST_CASE("a delayed message comes to the fetch that waits, and no earlier [4.9]") {
    every_schedule({},
                   [](World& world, auto scene) {
                       world.spawn("fetcher", [=] { scene->fetch(); });
                       world.spawn("publisher", [=] {
                           scene->publish(1, {.delay = 5s});
                           scene->clock.advance(5s);
                       });
                       world.finally([=] { scene->finish(); });
                   },
                   {"got 1; published"}, interrupted);
}

TEST_CASE("a requeued message comes back when it is due [4.9]") {
    every_schedule({},
                   [](World& world, auto scene) {
                       scene->prepare(1, true);
                       world.spawn("fetcher", [=] { scene->fetch(); });
                       world.spawn("holder", [=] {
                           scene->say(scene->held[0].requeue(5s) ? "requeued" : "lost");
                           scene->clock.advance(5s);
                       });
                       world.finally([=] { scene->finish(); });
                   },
                   {"got 1 again; requeued"}, interrupted);
}

// Two sleep at two queues; who lay down last is the timekeeper, and leaves.
TEST_CASE("when the timekeeper leaves with a message, another keeps the time [4.9]") {
    every_schedule({},
                   [](World& world, auto scene) {
                       const Queue other = scene->other();
                       static_cast<void>(other.publish(Parcel{2}, {.delay = 5s}).value());
                       world.spawn_early("stays", [=] { scene->fetch_from(other); });
                       world.spawn_early("leaves", [=] { scene->fetch(); });
                       world.spawn("publisher", [=] { scene->publish(1); });
                       world.spawn("clock", [=] { scene->clock.advance(5s); });
                       world.finally([=] { scene->finish(true); });
                   },
                   {"got 2; got 1; published"}, three_preemptions);
}

TEST_CASE("when the timekeeper is stopped, another keeps the time [4.9]") {
    // What falls due earlier than anything before is published meanwhile.
    every_schedule({},
                   [](World& world, auto scene) {
                       const Queue other = scene->other();
                       static_cast<void>(other.publish(Parcel{3}, {.delay = 50s}).value());
                       const auto source = std::make_shared<Simulated::StopSource>();
                       world.spawn_early("stays", [=] { scene->fetch_from(other); });
                       world.spawn_early("leaves", [=] { scene->fetch(source->get_token()); });
                       world.spawn("stopper", [=] { source->request_stop(); });
                       world.spawn("publisher", [=] {
                           scene->publish_to(other, 2, {.delay = 5s});
                           scene->clock.advance(5s);
                       });
                       world.finally([=] { scene->finish(true); });
                   },
                   {"got 2; cancelled; published"}, three_preemptions);
}

TEST_CASE("when the timekeeper's time is over, another keeps the time [4.9]") {
    every_schedule({},
                   [](World& world, auto scene) {
                       const Queue other = scene->other();
                       world.spawn_early("stays", [=] { scene->fetch_from(other); });
                       world.spawn_early("leaves", [=] { scene->fetch_for(3s); });
                       world.spawn("clock", [=] {
                           scene->clock.advance(3s);
                           scene->clock.advance(3s);
                       });
                       world.spawn("publisher",
                                   [=] { scene->publish_to(other, 2, {.delay = 6s}); });
                       world.spawn_at_rest("more time", [=, &world] {
                           if (!world.has_ended(0)) { scene->clock.advance(6s); }
                       });
                       world.finally([=] { scene->finish(true); });
                   },
                   {"got 2; timed out; published"}, three_preemptions);
}

TEST_CASE("who comes to wait takes over the time from who leaves [4.9]") {
    every_schedule({},
                   [](World& world, auto scene) {
                       const Queue other = scene->other();
                       static_cast<void>(other.publish(Parcel{2}, {.delay = 5s}).value());
                       world.spawn_early("leaves", [=] { scene->fetch(); });
                       world.spawn("stays", [=] { scene->fetch_from(other); });
                       world.spawn("publisher", [=] {
                           scene->publish(1);
                           scene->clock.advance(5s);
                       });
                       world.finally([=] { scene->finish(true); });
                   },
                   {"got 1; got 2; published"}, three_preemptions);
}

// --- stop ------------------------------------------------------------------------------------

TEST_CASE("a stopped fetch loses no message [4.9]") {
    const Setup setup = [](World& world, auto scene) {
        const auto source = std::make_shared<Simulated::StopSource>();
        world.spawn("fetcher", [=] { scene->fetch(source->get_token()); });
        world.spawn("stopper", [=] { source->request_stop(); });
        world.spawn("publisher", [=] { scene->publish(1); });
        world.finally([=] { scene->finish(); });
    };
    every_schedule({}, setup, {"got 1; published", "cancelled; published"});
}

TEST_CASE("a stopped fetch leaves the message to who waits behind it [4.9]") {
    every_schedule({},
                   [](World& world, auto scene) {
                       const auto source = std::make_shared<Simulated::StopSource>();
                       world.spawn("stopped", [=] { scene->fetch(source->get_token()); });
                       world.spawn("patient", [=] { scene->fetch(); });
                       world.spawn("both", [=] {
                           scene->publish(1);
                           source->request_stop();
                       });
                       world.spawn_at_rest("last", [=] {
                           scene->check_at_rest(1, 0);
                           scene->publish(2);
                       });
                       world.finally([=] { scene->finish(); });
                   },
                   {"cancelled; got 1; published; published",
                    "got 1; got 2; published; published"});
}

// --- room ------------------------------------------------------------------------------------

TEST_CASE("two blocked publishes get the room of two acks [7.2]") {
    every_schedule({.capacity = 2, .overflow = Overflow::block},
                   [](World& world, auto scene) {
                       scene->prepare(1, true);
                       scene->prepare(2, true);
                       world.spawn("first", [=] { scene->publish(3); });
                       world.spawn("second", [=] { scene->publish(4); });
                       world.spawn("holder", [=] {
                           scene->ack(scene->held[0]);
                           scene->ack(scene->held[1]);
                       });
                       world.finally([=] { scene->finish(); });
                   },
                   {"published; published; acked acked"});
}

TEST_CASE("two acks at once make room for two blocked publishes [7.2]") {
    every_schedule({.capacity = 2, .overflow = Overflow::block},
                   [](World& world, auto scene) {
                       scene->prepare(1, true);
                       scene->prepare(2, true);
                       world.spawn("publisher", [=] {
                           scene->publish(3);
                           scene->publish(4);
                       });
                       world.spawn("one holder", [=] { scene->ack(scene->held[0]); });
                       world.spawn("other holder", [=] { scene->ack(scene->held[1]); });
                       world.finally([=] { scene->finish(); });
                   },
                   {"published published; acked; acked"});
}

TEST_CASE("a blocked publish whose time is over leaves the room to the next [7.2]") {
    every_schedule({.capacity = 1, .overflow = Overflow::block, .block_for = 10s},
                   [](World& world, auto scene) {
                       scene->prepare(1, true);
                       world.spawn("publisher", [=] { scene->publish(2); });
                       world.spawn("holder", [=] { scene->ack(scene->held[0]); });
                       world.spawn("clock", [=] { scene->clock.advance(10s); });
                       world.finally([=] { scene->finish(); });
                   },
                   {"published; acked", "timed out; acked"});
}

TEST_CASE("a blocked publish gets the room that a fetch and its ack make [7.2] [4.9]") {
    every_schedule({.capacity = 1, .overflow = Overflow::block},
                   [](World& world, auto scene) {
                       scene->prepare(1);
                       world.spawn("publisher", [=] { scene->publish(2); });
                       world.spawn("fetcher", [=] {
                           scene->fetch();
                           scene->fetch();
                       });
                       world.finally([=] { scene->finish(); });
                   },
                   {"published; got 1 got 2"}, interrupted);
}

// --- the end ---------------------------------------------------------------------------------

TEST_CASE("close ends a fetch [7.5]") {
    const auto setup = [](bool message) {
        return [=](World& world, auto scene) {
            if (message) { scene->prepare(1); }
            world.spawn("fetcher", [=] { scene->fetch(); });
            world.spawn("closer", [=] { scene->broker->close(); });
            world.finally([=] { scene->finish(true); });
        };
    };
    SUBCASE("that waits") { every_schedule({}, setup(false), {"closed"}, interrupted); }
    SUBCASE("before or after it got a message, or before it acked it") {
        every_schedule({}, setup(true), {"closed", "got 1", "got 1 closed"}, interrupted);
    }
}

TEST_CASE("close ends a blocked publish [7.5]") {
    every_schedule({.capacity = 1, .overflow = Overflow::block},
                   [](World& world, auto scene) {
                       scene->prepare(1, true);
                       world.spawn("publisher", [=] { scene->publish(2); });
                       world.spawn("closer", [=] { scene->broker->close(); });
                       world.finally([=] { scene->finish(true); });
                   },
                   {"closed"}, interrupted);
}

TEST_CASE("a publish at the time of a close is accepted and reported, or refused [7.5]") {
    every_schedule({},
                   [](World& world, auto scene) {
                       world.spawn("publisher", [=] { scene->publish(1); });
                       world.spawn("closer", [=] {
                           const auto report = scene->broker->close();
                           scene->say(std::to_string(report.left()) + " left");
                       });
                       world.finally([=] { scene->finish(true); });
                   },
                   {"published; 1 left", "closed; 0 left"}, interrupted);
}

TEST_CASE("two closes at once give one report [7.5]") {
    every_schedule({},
                   [](World& world, auto scene) {
                       scene->prepare(1);
                       for (const char* const closer : {"one", "other"}) {
                           world.spawn(closer, [=] {
                               const auto report = scene->broker->close();
                               scene->say(std::to_string(report.left()));
                           });
                       }
                       world.finally([=] { scene->finish(true); });
                   },
                   {"1; 1"}, interrupted);
}

TEST_CASE("drain lets a consumer finish [7.5]") {
    every_schedule({},
                   [](World& world, auto scene) {
                       scene->prepare(1, true);
                       world.spawn("drainer", [=] {
                           const auto report = scene->broker->drain(10s);
                           scene->say(std::to_string(report.left()) + " left");
                       });
                       world.spawn("holder", [=] { scene->ack(scene->held[0]); });
                       world.finally([=] { scene->finish(true); });
                   },
                   {"0 left; acked"}, interrupted);
}

TEST_CASE("drain ends at its time and says what is left [7.5]") {
    every_schedule({},
                   [](World& world, auto scene) {
                       scene->prepare(1, true);
                       world.spawn("drainer", [=] {
                           const auto report = scene->broker->drain(10s);
                           scene->say(std::to_string(report.left()) + " left");
                       });
                       world.spawn("holder", [=] { scene->ack(scene->held[0]); });
                       world.spawn("clock", [=] { scene->clock.advance(10s); });
                       world.finally([=] { scene->finish(true); });
                   },
                   {"0 left; acked", "1 left; closed"});
}

TEST_CASE("drain refuses a publish, and ends a fetch that waits [7.5]") {
    every_schedule({},
                   [](World& world, auto scene) {
                       world.spawn_early("fetcher", [=] { scene->fetch(); });
                       world.spawn("drainer", [=] {
                           const auto report = scene->broker->drain(10s);
                           scene->say(std::to_string(report.left()) + " left");
                       });
                       world.spawn("publisher", [=] { scene->publish(1); });
                       world.finally([=] { scene->finish(true); });
                   },
                   {"closed; 0 left; closed", "got 1; 0 left; published"});
}

TEST_CASE("remove ends a fetch, and its queue's messages [7.5]") {
    const auto setup = [](bool message) {
        return [=](World& world, auto scene) {
            if (message) { scene->prepare(1); }
            world.spawn("fetcher", [=] { scene->fetch(); });
            world.spawn("remover", [=] {
                scene->say(scene->broker->remove("queue") ? "removed" : "not there");
            });
            world.finally([=] { scene->finish(true); });
        };
    };
    SUBCASE("that waits") { every_schedule({}, setup(false), {"closed; removed"}, interrupted); }
    SUBCASE("with a message in it") {
        every_schedule({}, setup(true),
                       {"closed; removed", "got 1; removed", "got 1 closed; removed"}, interrupted);
    }
}

TEST_CASE("who got the last message may destroy the broker at once [4.8]") {
    every_schedule({},
                   [](World& world, auto scene) {
                       std::optional<Queue> handle{*scene->queue};
                       world.spawn("publisher", [=, own = std::move(handle)]() mutable {
                           scene->publish_to(*own, 1);
                           own.reset();
                       });
                       world.spawn("fetcher", [=] {
                           scene->fetch();
                           scene->queue.reset();
                           scene->broker.reset();
                       });
                       world.finally([=, &world] {
                           world.check(Parcel::live == 0, "messages are left");
                       });
                   },
                   {""}, interrupted);
}

TEST_CASE("a broker is destroyed under those who wait in it [4.8] [7.5]") {
    every_schedule({},
                   [](World& world, auto scene) {
                       std::optional<Queue> handle{*scene->queue};
                       world.spawn("fetcher", [=, own = std::move(handle)]() mutable {
                           scene->fetch_from(*own);
                           own.reset();
                       });
                       world.spawn("owner", [=] {
                           scene->queue.reset();
                           scene->broker.reset();
                       });
                       world.finally([=, &world] {
                           world.check(Parcel::live == 0, "messages are left");
                       });
                   },
                   {""}, interrupted);
}

TEST_CASE("the clock may go with the broker, whoever waited in it [4.8]") {
    struct State {
        std::optional<Clock> clock{std::in_place};
        std::optional<Broker> broker{std::in_place, latchbox::BrokerOptions{.clock = &*clock}};
        Queue queue = broker->queue("queue");
    };
    every_schedule({},
                   [](World& world, auto scene) {
                       const auto state = std::make_shared<State>();
                       const auto source = std::make_shared<Simulated::StopSource>();
                       world.spawn_early("fetcher", [=] {
                           scene->fetch_from(state->queue, source->get_token());
                       });
                       world.spawn("owner", [=] {
                           state->broker.reset();
                           state->clock.reset();
                       });
                       // For this the fetcher gets up and looks at the clock.
                       world.spawn("stopper", [=] { source->request_stop(); });
                       world.finally([=] { scene->finish(); });
                   },
                   {"closed", "cancelled"});
}

TEST_CASE("a delivery may outlive the broker, and is closed then [4.8]") {
    every_schedule({},
                   [](World& world, auto scene) {
                       scene->prepare(1, true);
                       world.spawn("holder", [=, &world] {
                           world.check(scene->held[0].body().number() == 1, "reads another body");
                           scene->ack(scene->held[0]);
                           scene->held.clear();
                       });
                       world.spawn("owner", [=] {
                           scene->queue.reset();
                           scene->broker.reset();
                       });
                       world.finally([=, &world] {
                           world.check(Parcel::live == 0, "messages are left");
                       });
                   },
                   {""}, interrupted);
}

// --- other verbs -----------------------------------------------------------------------------

TEST_CASE("a receipt settled twice at once succeeds once [4.2]") {
    every_schedule({},
                   [](World& world, auto scene) {
                       scene->prepare(1, true);
                       const auto receipt = std::move(scene->held[0]).detach();
                       scene->held.clear();
                       for (const char* const who : {"one", "other"}) {
                           world.spawn(who, [=] {
                               const auto done = scene->queue->ack(receipt);
                               scene->say(done ? "acked" : "lost");
                           });
                       }
                       world.finally([=] { scene->finish(true); });
                   },
                   {"acked; lost", "lost; acked"}, interrupted);
}

TEST_CASE("a purge and a fetch share what is there [4.1]") {
    every_schedule({},
                   [](World& world, auto scene) {
                       scene->prepare(1);
                       world.spawn("fetcher", [=] { scene->try_fetch(); });
                       world.spawn("purger", [=] {
                           scene->say(std::to_string(scene->queue->purge()) + " purged");
                       });
                       world.finally([=] { scene->finish(true); });
                   },
                   {"got 1; 0 purged", "nothing is ready; 1 purged"}, interrupted);
}

TEST_CASE("a late holder reads its body while others take and destroy it [4.8]") {
    every_schedule({.lease = 10s},
                   [](World& world, auto scene) {
                       scene->prepare(1, true);
                       scene->clock.advance(10s);
                       world.spawn("late", [=, &world] {
                           world.check(scene->held[0].body().number() == 1, "reads another body");
                           scene->held.clear();
                       });
                       world.spawn("taker", [=, &world] {
                           auto delivery = scene->queue->try_fetch();
                           const auto body = delivery->take();
                           world.check(body && body->number() == 1, "takes another body");
                       });
                       world.finally([=] { scene->finish(true); });
                   },
                   {""}, interrupted);
}

TEST_CASE("two publishers reach two that wait already [4.9]") {
    every_schedule({},
                   [](World& world, auto scene) {
                       world.spawn_early("first", [=] { scene->fetch(); });
                       world.spawn_early("second", [=] { scene->fetch(); });
                       world.spawn("third", [=] { scene->publish(1); });
                       world.spawn("fourth", [=] { scene->publish(2); });
                       world.finally([=] { scene->finish(); });
                   },
                   {"got 1; got 2; published; published", "got 2; got 1; published; published"});
}

TEST_CASE("two publishers and two fetchers [4.9]") {
    every_schedule({},
                   [](World& world, auto scene) {
                       world.spawn("first", [=] { scene->fetch(); });
                       world.spawn("second", [=] { scene->fetch(); });
                       world.spawn("third", [=] { scene->publish(1); });
                       world.spawn("fourth", [=] { scene->publish(2); });
                       world.finally([=] { scene->finish(); });
                   },
                   {"got 1; got 2; published; published", "got 2; got 1; published; published"},
                   three_preemptions);
}

TEST_CASE("two make the same queue at once") {
    every_schedule({},
                   [](World& world, auto scene) {
                       const auto made = std::make_shared<std::array<std::optional<Queue>, 2>>();
                       for (std::size_t i = 0; i < 2; ++i) {
                           world.spawn("maker " + std::to_string(i),
                                       [=] { (*made)[i].emplace(scene->other()); });
                       }
                       world.finally([=, &world] {
                           world.check((*made)[0] == (*made)[1], "two queues of one name");
                           world.check(scene->broker->stats().queues == 2, "too many queues");
                           made->front().reset();
                           made->back().reset();
                           scene->finish();
                       });
                   },
                   {""}, interrupted);
}

TEST_CASE("dead letters are looked at while they are purged [4.10]") {
    every_schedule({},
                   [](World& world, auto scene) {
                       scene->prepare(1, true);
                       scene->held[0].reject("spoilt");
                       scene->held.clear();
                       world.spawn("looker", [=] {
                           scene->queue->dead_letters().for_each([=](const auto& letter) {
                               Simulated::user_code();
                               scene->say("saw " + std::to_string(letter.body().number()));
                           });
                       });
                       world.spawn("purger", [=] {
                           scene->say(std::to_string(scene->queue->dead_letters().purge()));
                       });
                       world.finally([=] { scene->finish(true); });
                   },
                   {"1", "saw 1; 1"}, interrupted);
}

TEST_CASE("a redriven message comes to the fetch that waits [4.9]") {
    every_schedule({},
                   [](World& world, auto scene) {
                       scene->prepare(1, true);
                       scene->held[0].reject();
                       scene->held.clear();
                       world.spawn("fetcher", [=] { scene->fetch(); });
                       world.spawn("redriver", [=] {
                           scene->say(std::to_string(scene->queue->dead_letters().redrive()));
                       });
                       world.finally([=] { scene->finish(); });
                   },
                   {"got 1 again; 1"}, interrupted);
}

// --- a body that is made without the lock ----------------------------------------------------

namespace {

// Its move might throw, so it is copied, and not under the lock.
struct Fragile {
    explicit Fragile(int n) noexcept : number{n} { ++live; }
    Fragile(const Fragile& other) : number{other.number} {
        Simulated::user_code();
        ++live;
    }
    Fragile(Fragile&& other) noexcept(false) : Fragile{std::as_const(other)} {}
    Fragile& operator=(const Fragile&) = delete;
    Fragile& operator=(Fragile&&) = delete;
    ~Fragile() {
        Simulated::user_code();
        --live;
    }
    int number;
    inline static int live = 0;
};

struct FragileState {
    explicit FragileState(Clock& clock)
        : broker{{.clock = &clock}}, queue{broker.queue("queue", {.capacity = 1})} {}

    latchbox::Broker<Fragile, Simulated> broker;
    latchbox::Queue<Fragile, Simulated> queue;
};

// A publish of such a message beside something else done to the broker.
template <class Beside> auto publish_beside(Beside beside) {
    return [beside](World& world, auto scene) {
        Fragile::live = 0;
        const auto state =
            std::make_shared<std::optional<FragileState>>(std::in_place, scene->clock);
        world.spawn("publisher", [=] {
            const auto published = (*state)->queue.publish(Fragile{1});
            scene->say(published ? "published" : latchbox::to_string(published.error()));
        });
        world.spawn("beside", [=] { scene->say(beside((*state)->broker, (*state)->queue)); });
        world.finally([=, &world] {
            const auto stats = (*state)->queue.stats();
            world.check(stats.accepted == stats.held() + stats.completed + stats.purged,
                        "the counts do not add up");
            state->reset();
            world.check(Fragile::live == 0, "messages are left: " + std::to_string(Fragile::live));
            scene->finish();
        });
    };
}

}  // namespace

TEST_CASE("a body made without the lock is accepted or undone [4.11] [7.5]") {
    SUBCASE("beside a close") {
        every_schedule({}, publish_beside([](auto& broker, auto&) {
                           return std::to_string(broker.close().left());
                       }),
                       {"published; 1", "closed; 0"}, interrupted);
    }
    SUBCASE("beside the removal of its queue") {
        every_schedule({}, publish_beside([](auto& broker, auto&) {
                           return broker.remove("queue") ? "removed" : "not there";
                       }),
                       {"published; removed", "closed; removed"}, interrupted);
    }
    SUBCASE("beside another for the last room") {
        every_schedule({}, publish_beside([](auto&, auto& queue) -> std::string {
                           const auto published = queue.publish(Fragile{2});
                           return published ? "published" : latchbox::to_string(published.error());
                       }),
                       {"published; the queue is full", "the queue is full; published"},
                       interrupted);
    }
}
