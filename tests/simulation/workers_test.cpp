// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/workers.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

#include "simulation/ledger.hpp"

// Workers under all schedules of small programs. Besides what a ledger asks, every thread of theirs
// has to end, and none may be left to be joined. [8]
using namespace scenes;

namespace {

using Workers = latchbox::Workers<Parcel, Simulated>;
using latchbox::OnLeaseLost;
using latchbox::WorkersOptions;

// The workers of one run, and how many of their handlers run.
struct Crew {
    std::optional<Workers> workers;
    Simulated::Atomic<int> inside{0};
    bool stopped = false;

    void expect_rest(Ledger& s) const {
        s.check(inside.load(std::memory_order_relaxed) == 0, "leaves a handler running");
    }
    void stop(Ledger& s) {
        workers->stop();
        expect_rest(s);
    }
    // The destructor stops, too.
    void end(Ledger& s) {
        workers.reset();
        expect_rest(s);
    }
};
using CrewOf = std::shared_ptr<Crew>;
using LedgerOf = std::shared_ptr<Ledger>;

// Says what it handles, does `more`, and is acked then.
template <class More> auto handling(LedgerOf s, CrewOf crew, More more) {
    return [=](Delivery& delivery) {
        Simulated::user_code();
        crew->inside.fetch_add(1, std::memory_order_relaxed);
        s->say("got " + std::to_string(delivery.body().number()));
        s->check(delivery.attempt() == 1, "was fetched before");
        s->settled(delivery.id());
        more(delivery);
        crew->inside.fetch_sub(1, std::memory_order_relaxed);
    };
}
auto handling(LedgerOf s, CrewOf crew) {
    return handling(std::move(s), std::move(crew), [](Delivery&) {});
}
// What is left was never fetched, as far as anybody can see.
std::string untouched(Ledger& s) {
    std::string numbers;
    while (auto delivery = s.a->try_fetch()) {
        s.check(delivery->attempt() == 1, "was fetched before");
        numbers += std::to_string(delivery->body().number());
        s.settled(delivery->id());
        delivery->ack();
    }
    return numbers.empty() ? "-" : numbers;
}

}  // namespace

// --- stopping ------------------------------------------------------------------------------------

TEST_CASE("a stop lets a handler finish, or gives the message back untouched [8]") {
    const auto beside = [](bool destroys) {
        return [=](World& world, auto s) {
            s->queues();
            s->accept(*s->a, 1);
            const auto crew = std::make_shared<Crew>();
            crew->workers.emplace(*s->a, WorkersOptions{}, handling(s, crew));
            world.spawn("stopper", [=] { destroys ? crew->end(*s) : crew->stop(*s); });
            world.finally([=] {
                crew->workers.reset();
                s->say(untouched(*s));
                s->finish();
            });
        };
    };
    SUBCASE("by stop") { every_entry({"got 1; -", "1"}, interrupted, beside(false)); }
    SUBCASE("by the destructor") { every_entry({"got 1; -", "1"}, interrupted, beside(true)); }
}

TEST_CASE("a stop wakes who waits for a message, whatever comes meanwhile [8] [4.9]") {
    const auto beside = [](bool destroys) {
        return [=](World& world, auto s) {
            s->queues();
            const auto crew = std::make_shared<Crew>();
            crew->workers.emplace(*s->a, WorkersOptions{}, handling(s, crew));
            world.spawn("stopper", [=] { destroys ? crew->end(*s) : crew->stop(*s); });
            world.spawn("publisher", [=] { s->publish(*s->a, 1); });
            world.finally([=] {
                crew->workers.reset();
                s->say(untouched(*s));
                s->finish();
            });
        };
    };
    SUBCASE("by stop") {
        every_entry({"got 1; published; -", "published; 1"}, three_interrupted, beside(false));
    }
    SUBCASE("by the destructor") {
        every_entry({"got 1; published; -", "published; 1"}, three_interrupted, beside(true));
    }
}

TEST_CASE("each of two stops waits for the handler, and both end [8]") {
    every_entry({"got 1; -", "1"}, two_interrupted, [](World& world, auto s) {
        s->queues();
        s->accept(*s->a, 1);
        const auto crew = std::make_shared<Crew>();
        crew->workers.emplace(*s->a, WorkersOptions{}, handling(s, crew));
        world.spawn("one", [=] { crew->stop(*s); });
        world.spawn("other", [=] { crew->stop(*s); });
        world.finally([=] {
            crew->workers.reset();
            s->say(untouched(*s));
            s->finish();
        });
    });
}

TEST_CASE("a stop from a handler returns at once: others finish, none starts [8]") {
    const auto beside = [](std::size_t threads, std::size_t batch) {
        return [=](World& world, auto s) {
            s->queues();
            s->accept(*s->a, 1);
            s->accept(*s->a, 2);
            const auto crew = std::make_shared<Crew>();
            const auto stops = [=](Delivery&) {
                crew->workers->stop();
                crew->stopped = true;
            };
            crew->workers.emplace(*s->a, WorkersOptions{.threads = threads, .batch = batch},
                                  handling(s, crew, stops));
            world.spawn_at_rest("owner", [=] { crew->end(*s); });
            world.finally([=] {
                s->check(crew->stopped, "nobody stopped");
                s->say(untouched(*s));
                s->finish();
            });
        };
    };
    SUBCASE("one thread") { every_entry({"got 1; 2"}, interrupted, beside(1, 1)); }
    SUBCASE("one thread, and the rest of its batch goes back") {
        every_entry({"got 1; 2"}, interrupted, beside(1, 2));
    }
    SUBCASE("two threads") {
        every_entry({"got 1; 2", "got 2; 1", "got 1; got 2; -", "got 2; got 1; -"}, two_preemptions,
                    beside(2, 1));
    }
}

TEST_CASE("workers may be destroyed by their own handler [8]") {
    const auto beside = [](std::size_t threads) {
        return [=](World& world, auto s) {
            s->queues();
            s->accept(*s->a, 1);
            const auto crew = std::make_shared<Crew>();
            crew->workers.emplace(*s->a, WorkersOptions{.threads = threads},
                                  handling(s, crew, [=](Delivery&) { crew->workers.reset(); }));
            world.spawn("publisher", [=] { s->publish(*s->b, 2); });
            world.finally([=] {
                s->say(untouched(*s));
                s->finish();
            });
        };
    };
    SUBCASE("the only thread") { every_entry({"got 1; published; -"}, interrupted, beside(1)); }
    SUBCASE("one of two") { every_entry({"got 1; published; -"}, two_interrupted, beside(2)); }
}

TEST_CASE("a stop from a handler beside a stop from elsewhere: neither waits for ever [8]") {
    const auto beside = [](bool destroys) {
        return [=](World& world, auto s) {
            s->queues();
            s->accept(*s->a, 1);
            const auto crew = std::make_shared<Crew>();
            const auto stops = [=](Delivery&) { crew->workers->stop(); };
            crew->workers.emplace(*s->a, WorkersOptions{}, handling(s, crew, stops));
            world.spawn("stopper", [=] { destroys ? crew->end(*s) : crew->stop(*s); });
            world.finally([=] {
                crew->workers.reset();
                s->say(untouched(*s));
                s->finish();
            });
        };
    };
    every_entry({"got 1; -", "1"}, interrupted, beside(false));
}

// --- ends of what is consumed --------------------------------------------------------------------

TEST_CASE("a close beside a handler: it finishes, and the threads end [8] [7.5]") {
    const auto beside = [](bool destroys) {
        return [=](World& world, auto s) {
            s->queues();
            s->accept(*s->a, 1);
            const auto crew = std::make_shared<Crew>();
            crew->workers.emplace(*s->a, WorkersOptions{}, [=](Delivery&) {
                Simulated::user_code();
                s->say("handled");
            });
            world.spawn("closer", [=] {
                if (destroys) { return s->destroy_broker(); }
                s->broker().close();
            });
            world.finally([=] {
                const auto stats = crew->workers->stats();
                s->check(stats.threads == 0 && stats.running == 0, "counts threads that ended");
                s->check(stats.handled == 1 || stats.lost == 0, "loses what it never had");
                crew->workers.reset();
                s->finish(true);
            });
        };
    };
    SUBCASE("by close") { every_entry({"handled", ""}, interrupted, beside(false)); }
    SUBCASE("by the end of the broker") {
        every_entry({"handled", ""}, three_interrupted, beside(true));
    }
}

TEST_CASE("the removal of a queue ends its workers [8] [6.7]") {
    every_entry({"handled", ""}, interrupted, [](World& world, auto s) {
        s->queues();
        s->accept(*s->a, 1);
        const auto crew = std::make_shared<Crew>();
        crew->workers.emplace(*s->a, WorkersOptions{}, [=](Delivery&) {
            Simulated::user_code();
            s->say("handled");
        });
        world.spawn("remover", [=] { s->broker().remove("a"); });
        world.finally([=] {
            s->check(crew->workers->stats().threads == 0, "counts threads that ended");
            const auto stats = s->a->stats();
            s->check(stats.completed + stats.purged == 2, "a message is lost");
            crew->workers.reset();
            s->finish(true);
        });
    });
}

TEST_CASE("the end of a subscription ends its workers, from its own handler too [8] [6.2]") {
    const auto beside = [](bool by_handler) {
        return [=](World& world, auto s) {
            s->x.emplace(s->broker().topic("x"));
            s->sub = s->broker().subscribe("x");
            const auto crew = std::make_shared<Crew>();
            crew->workers.emplace(*s->sub, WorkersOptions{}, [=](const Parcel& parcel) {
                Simulated::user_code();
                s->say("got " + std::to_string(parcel.number()));
                if (by_handler) { s->sub->unsubscribe(); }
            });
            world.spawn("publisher",
                        [=] { s->check(s->x->publish(Parcel{1}).has_value(), "is refused"); });
            if (!by_handler) {
                world.spawn("leaver", [=] { s->sub->unsubscribe(); });
            }
            world.finally([=] {
                s->check(crew->workers->stats().threads == 0, "counts threads that ended");
                crew->workers.reset();
                s->finish();
            });
        };
    };
    SUBCASE("by another") { every_entry({"got 1", ""}, two_interrupted, beside(false)); }
    SUBCASE("by its handler") { every_entry({"got 1"}, three_interrupted, beside(true)); }
}

TEST_CASE("a drain waits for the handlers, and ends the workers [8] [7.5]") {
    every_entry({"got 1; 0 left"}, three_interrupted, [](World& world, auto s) {
        s->queues();
        s->accept(*s->a, 1);
        const auto crew = std::make_shared<Crew>();
        crew->workers.emplace(*s->a, WorkersOptions{}, handling(s, crew));
        world.spawn("drainer", [=] { s->say_left(s->broker().drain(for_ever)); });
        world.finally([=] {
            s->check(crew->workers->stats().handled == 1, "counts another");
            crew->workers.reset();
            s->finish(true);
        });
    });
}

// --- several threads -----------------------------------------------------------------------------

TEST_CASE("two threads handle two messages, each once, in all orders [8] [4.1]") {
    const auto beside = [](std::size_t batch) {
        return [=](World& world, auto s) {
            s->queues();
            s->accept(*s->a, 1);
            s->accept(*s->a, 2);
            const auto crew = std::make_shared<Crew>();
            crew->workers.emplace(*s->a, WorkersOptions{.threads = 2, .batch = batch},
                                  handling(s, crew, [=](Delivery&) {
                                      const int now = crew->inside.load(std::memory_order_relaxed);
                                      s->check(now <= 2, "more handlers than threads run");
                                  }));
            world.spawn_at_rest("owner", [=] {
                const auto stats = crew->workers->stats();
                s->check(stats.threads == 2 && stats.running == 0 && stats.handled == 2 &&
                             stats.failed == 0 && stats.lost == 0,
                         "counts otherwise");
                crew->end(*s);
            });
            world.finally([=] {
                s->check(s->left() == "- -", "leaves a message");
                s->finish();
            });
        };
    };
    SUBCASE("one by one") {
        every_entry({"got 1; got 2", "got 2; got 1", "got 1 got 2"}, two_preemptions, beside(1));
    }
    SUBCASE("in batches") { every_entry({"got 1 got 2"}, two_preemptions, beside(2)); }
}

TEST_CASE("a message that comes reaches one of two threads that wait [8] [4.9]") {
    every_entry({"got 1; published", "got 1; published"}, two_preemptions,
                [](World& world, auto s) {
                    s->queues();
                    const auto crew = std::make_shared<Crew>();
                    crew->workers.emplace(*s->a, WorkersOptions{.threads = 2}, handling(s, crew));
                    world.spawn("publisher", [=] { s->publish(*s->a, 1); });
                    world.spawn_at_rest("owner", [=] { crew->end(*s); });
                    world.finally([=] {
                        s->check(s->left() == "- -", "leaves a message");
                        s->finish();
                    });
                });
}

TEST_CASE("where one thread does not start those started end, and nothing is lost [8]") {
    const auto beside = [](std::uint32_t nth) {
        return [=](World& world, auto s) {
            s->queues();
            s->accept(*s->a, 1);
            world.spawn("owner", [=, &world] {
                world.fail_start(nth);
                const auto crew = std::make_shared<Crew>();
                try {
                    crew->workers.emplace(*s->a, WorkersOptions{.threads = 2}, handling(s, crew));
                    s->say("started");
                } catch (const std::system_error&) { s->say("not started"); }
                crew->expect_rest(*s);
            });
            world.finally([=] {
                s->say(untouched(*s));
                s->finish();
            });
        };
    };
    SUBCASE("the first") { every_entry({"not started; 1"}, interrupted, beside(1)); }
    SUBCASE("the second") {
        every_entry({"not started; 1", "not started; got 1; -"}, interrupted, beside(2));
    }
}

// --- handlers ------------------------------------------------------------------------------------

TEST_CASE("a handler that fails beside a stop: failed once, or never fetched [8] [4.5]") {
    const auto beside = [](bool throws) {
        return [=](World& world, auto s) {
            s->queues({.max_failures = 1});
            s->accept(*s->a, 1);
            const auto crew = std::make_shared<Crew>();
            crew->workers.emplace(*s->a, WorkersOptions{}, [=](const Parcel&) {
                Simulated::user_code();
                s->say("tried");
                if (throws) { throw std::runtime_error{"no"}; }
                return false;
            });
            world.spawn("stopper", [=] { crew->stop(*s); });
            world.finally([=] {
                const auto stats = crew->workers->stats();
                const auto dead = s->a->dead_letters().size();
                s->check(stats.failed == dead && stats.handled == dead, "counts otherwise");
                crew->workers.reset();
                s->say(dead == 1 ? "dead" : untouched(*s));
                s->finish();
            });
        };
    };
    SUBCASE("by its answer") { every_entry({"tried; dead", "1"}, interrupted, beside(false)); }
    SUBCASE("by an exception") { every_entry({"tried; dead", "1"}, interrupted, beside(true)); }
}

TEST_CASE("a lease that runs out under a handler: it finishes, and is counted as lost [8] [4.3]") {
    const auto beside = [](OnLeaseLost what) {
        return [=](World& world, auto s) {
            s->queues({.lease = 10s});
            s->accept(*s->a, 1);
            const auto crew = std::make_shared<Crew>();
            crew->workers.emplace(*s->a, WorkersOptions{.on_lease_lost = what},
                                  [=](Delivery& delivery, const Simulated::StopToken&) {
                                      crew->inside.fetch_add(1, std::memory_order_relaxed);
                                      s->say("try " + std::to_string(delivery.attempt()));
                                      crew->inside.fetch_sub(1, std::memory_order_relaxed);
                                  });
            world.spawn("clock", [=] {
                s->clock().advance(10s);
                s->broker().poll();
            });
            world.spawn_at_rest("owner", [=] {
                const auto stats = crew->workers->stats();
                s->check(stats.handled == stats.lost + s->a->stats().completed - 1,
                         "counts otherwise");
                s->say(std::to_string(stats.lost) + " lost");
                crew->end(*s);
            });
            world.finally([=] {
                s->say(s->left());
                s->finish(true);
            });
        };
    };
    SUBCASE("and goes on with it") {
        every_entry({"try 1; 0 lost; - -", "try 1 try 2; 1 lost; - -"}, three_interrupted,
                    beside(OnLeaseLost::finish));
    }
    SUBCASE("and stops") {
        every_entry({"try 1; 0 lost; - -", "try 1; 1 lost; 1 -"}, three_interrupted,
                    beside(OnLeaseLost::stop));
    }
}

TEST_CASE("a handler that waits on behalf of its lease is let go when that ends [8] [7.7]") {
    // Or it is stopped before it has it again.
    every_entry({"cancelled got 1", "cancelled"}, two_preemptions, [](World& world, auto s) {
        s->queues({.lease = 10s});
        s->accept(*s->a, 1);
        const auto crew = std::make_shared<Crew>();
        crew->workers.emplace(*s->a, WorkersOptions{},
                              [=](Delivery& delivery, const Simulated::StopToken& stop) {
                                  if (delivery.attempt() == 1) {
                                      s->fetch(*s->b, stop);
                                      return;
                                  }
                                  s->say("got 1");
                                  s->settled(delivery.id());
                              });
        world.spawn_at_rest("clock", [=] { s->clock().advance(10s); });
        world.spawn_at_rest("owner", [=] { crew->end(*s); });
        world.finally([=] { s->finish(); });
    });
}

TEST_CASE("a handler may publish to its own queue, and stop beside that [8] [4.10]") {
    every_entry({"got 1 got 2; -", "got 1; 2", "1"}, three_interrupted, [](World& world, auto s) {
        s->queues();
        s->accept(*s->a, 1);
        const auto crew = std::make_shared<Crew>();
        crew->workers.emplace(*s->a, WorkersOptions{}, handling(s, crew, [=](Delivery& delivery) {
            if (delivery.body().number() == 1) { s->accept(*s->a, 2); }
        }));
        world.spawn("stopper", [=] { crew->stop(*s); });
        world.finally([=] {
            crew->workers.reset();
            s->say(untouched(*s));
            s->finish();
        });
    });
}
