// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "simulation/stage.hpp"

// The copies of topics' messages under all schedules of small programs: the room they need in full
// subscriptions, what becomes of them, and the latch of their message. [5.3] [6.4]
using namespace scenes;

// --- room ----------------------------------------------------------------------------------------

TEST_CASE("a publish that one subscription has no room for reaches none [6.4]") {
    every_way({"published; 1 1 0", "the queue is full; - - 1"}, interrupted,
              [](World& world, auto s) {
                  s->topics();
                  s->a = s->subscribe("x", of(1, Overflow::drop_oldest));
                  s->b = s->subscribe("*", of(1, Overflow::reject));
                  s->accept(9);
                  s->pop(*s->a);
                  s->held_b = s->b->try_fetch().value();
                  world.spawn("publisher", [=] { s->publish(1); });
                  world.spawn("holder", [=] { s->held_b->ack(); });
                  world.finally([=] {
                      const auto refused = s->b->stats().refused;
                      s->check(refused == s->x->stats().refused, "refused in one place only");
                      const std::string first = s->left(*s->a);
                      s->say({first, s->left(*s->b), std::to_string(refused)});
                      s->finish();
                  });
              });
}

TEST_CASE("two publishes race for one place: one reaches all, the other none [6.3] [6.4]") {
    every_way({"published; the queue is full; 1 1 1", "the queue is full; published; 2 2 2"},
              three_interrupted, [](World& world, auto s) {
                  s->topics();
                  s->a = s->subscribe("x");
                  s->b = s->subscribe("*", of(1, Overflow::reject));
                  s->c = s->subscribe(">");
                  world.spawn("one", [=] { s->publish(1); });
                  world.spawn("other", [=] { s->publish(2); });
                  world.finally([=] {
                      s->say({s->left(*s->a), s->left(*s->b), s->left(*s->c)});
                      s->finish();
                  });
              });
}

TEST_CASE("of two crosswise for two last places one at least is accepted [6.3] [6.4]") {
    // Neither may see a place taken that is given back: then both would be refused.
    every_way({"published; the queue is full; 1 1", "the queue is full; published; 2 2"},
              interrupted, [](World& world, auto s) {
                  s->topics();
                  s->a = s->subscribe("*", of(1, Overflow::reject));
                  s->b = s->subscribe(">", of(1, Overflow::reject));
                  world.spawn("one", [=] { s->publish(1); });
                  world.spawn("other", [=] { s->publish(*s->y, 2); });
                  world.finally([=] {
                      s->say({s->left(*s->a), s->left(*s->b)});
                      s->finish();
                  });
              });
}

TEST_CASE("a publish that is refused disturbs nobody meanwhile [6.3] [6.4]") {
    // "x" goes to both, and the second is full; "y" goes to the first alone, which has room.
    const auto beside = [](Overflow overflow) {
        return [=](World& world, auto s) {
            s->topics();
            s->a = s->subscribe("*", of(1, overflow));
            s->b = s->subscribe("x", of(1, Overflow::reject));
            s->accept(9);
            s->pop(*s->a);
            world.spawn("refused", [=] { s->publish(1); });
            world.spawn("other", [=] { s->publish(*s->y, 2); });
            world.spawn_at_rest("last", [=, &world] {
                s->check(world.has_ended(1), "finds one waiting for a place that is free");
                s->say(s->left(*s->a));
            });
            world.finally([=] {
                s->check(s->a->stats().evicted == 0, "evicts for what was refused");
                s->say({s->left(*s->a), s->left(*s->b)});
                s->finish();
            });
        };
    };
    const std::string way = "the queue is full; published; 2; - 9";
    SUBCASE("reject") { every_way({way}, interrupted, beside(Overflow::reject)); }
    SUBCASE("block") { every_way({way}, interrupted, beside(Overflow::block)); }
    SUBCASE("drop_oldest") { every_way({way}, interrupted, beside(Overflow::drop_oldest)); }
    SUBCASE("drop_newest") { every_way({way}, interrupted, beside(Overflow::drop_newest)); }
}

TEST_CASE("a full subscription drops for itself, whatever is fetched meanwhile [6.4]") {
    const auto beside = [](Overflow overflow) {
        return [=](World& world, auto s) {
            s->topics();
            s->a = s->subscribe("x");
            s->b = s->subscribe("*", of(1, overflow));
            s->accept(1);
            world.spawn("publisher", [=] { s->accept(2); });
            world.spawn("consumer", [=] {
                auto got = s->b->try_fetch();
                s->say("got " + std::to_string(got->body().number()));
                got->ack();
            });
            world.finally([=] {
                s->say({s->left(*s->a), s->left(*s->b), std::to_string(s->b->stats().evicted),
                        s->latch(s->ids[1]), s->latch(s->ids[2])});
                s->finish();
            });
        };
    };
    SUBCASE("drop_oldest") {
        every_way({"got 1; 12 2 0 completed completed", "got 1; 12 - 1 completed completed",
                   "got 2; 12 - 1 completed completed"},
                  interrupted, beside(Overflow::drop_oldest));
    }
    SUBCASE("drop_newest") {
        every_way({"got 1; 12 2 0 completed completed", "got 1; 12 - 1 completed completed"},
                  interrupted, beside(Overflow::drop_newest));
    }
}

TEST_CASE("a publish that waits for a subscription goes on without it when it ends [6.4]") {
    const auto beside = [](bool others, Unrouted unrouted) {
        return [=](World& world, auto s) {
            s->topics({.unrouted = unrouted});
            if (others) { s->a = s->subscribe("x"); }
            s->b = s->subscribe("*", of(1, Overflow::block));
            s->accept(9);
            world.spawn("publisher", [=] { s->publish(1); });
            world.spawn("leaver", [=] { s->b->unsubscribe(); });
            world.finally([=] {
                s->say(others ? s->left(*s->a) : "-");
                if (s->ids[1] != MessageId{}) { s->say(s->latch(s->ids[1])); }
                s->finish();
            });
        };
    };
    SUBCASE("with the others") {
        every_way({"published; 91 completed"}, interrupted, beside(true, Unrouted::discard));
    }
    SUBCASE("to nobody") {
        every_way({"published; - completed"}, interrupted, beside(false, Unrouted::discard));
    }
    SUBCASE("to be refused, as there is nobody left") {
        every_way({"no subscriber; -"}, interrupted, beside(false, Unrouted::reject));
    }
}

TEST_CASE("a publish that waits goes on when the group it waits for is removed [6.4]") {
    every_way({"published; 91"}, interrupted, [](World& world, auto s) {
        s->topics();
        s->a = s->subscribe("x");
        s->b = s->subscribe(
            "*", {.group = "g", .capacity = 1, .overflow = Overflow::block, .block_for = for_ever});
        s->accept(9);
        world.spawn("publisher", [=] { s->publish(1); });
        world.spawn("remover", [=] { s->broker().remove("g"); });
        world.finally([=] {
            s->say(s->left(*s->a));
            s->finish();
        });
    });
}

TEST_CASE("a publish that waits gets the room that a fetch and its ack make [6.4] [4.9]") {
    every_way({"published; got 9; 91 1"}, interrupted, [](World& world, auto s) {
        s->topics();
        s->a = s->subscribe("x");
        s->b = s->subscribe("*", of(1, Overflow::block));
        s->accept(9);
        world.spawn("publisher", [=] { s->publish(1); });
        world.spawn("consumer", [=] { s->fetch(*s->b); });
        world.finally([=] {
            s->say({s->left(*s->a), s->left(*s->b)});
            s->finish();
        });
    });
}

TEST_CASE("a batch that waits gets all its places at once, and reaches all [6.4] [4.9]") {
    every_way({"12 12"}, three_interrupted, [](World& world, auto s) {
        s->topics();
        s->a = s->subscribe("x");
        s->b = s->subscribe("*", of(2, Overflow::block));
        s->accept(8);
        s->accept(9);
        s->left(*s->a);
        world.spawn("publisher", [=] { s->accept_batch(*s->x, 1, 2); });
        world.spawn("consumer", [=] {
            s->check(s->pop(*s->b) == 8, "finds another");
            s->check(s->pop(*s->b) == 9, "finds another");
        });
        world.finally([=] {
            s->say({s->left(*s->a), s->left(*s->b)});
            s->finish();
        });
    });
}

TEST_CASE("who subscribes while a publish waits gets it [6.2] [6.4]") {
    every_way({"published; 1 1"}, three_interrupted, [](World& world, auto s) {
        s->topics();
        s->b = s->subscribe("*", of(1, Overflow::block));
        s->accept(9);
        world.spawn("publisher", [=] { s->publish(1); });
        world.spawn("consumer", [=] {
            s->a = s->subscribe("x");
            s->pop(*s->b);
        });
        world.finally([=] {
            s->say({s->left(*s->a), s->left(*s->b)});
            s->finish();
        });
    });
}

TEST_CASE("a publish waits for two full ones, whichever has room first [6.4] [4.9]") {
    every_way({"published; 1 1"}, three_preemptions, [](World& world, auto s) {
        s->topics();
        s->a = s->subscribe("x", of(1, Overflow::block));
        s->b = s->subscribe("*", of(1, Overflow::block));
        s->accept(9);
        world.spawn("publisher", [=] { s->publish(1); });
        world.spawn("of the one", [=] { s->pop(*s->a); });
        world.spawn("of the other", [=] { s->pop(*s->b); });
        world.finally([=] {
            s->say({s->left(*s->a), s->left(*s->b)});
            s->finish();
        });
    });
}

TEST_CASE("two who wait crosswise for two full ones both get through [6.4] [4.9]") {
    every_way({"published; published; 12 12", "published; published; 12 21",
               "published; published; 21 12", "published; published; 21 21"},
              two_preemptions, [](World& world, auto s) {
                  s->topics();
                  s->a = s->subscribe("*", of(2, Overflow::block));
                  s->b = s->subscribe(">", of(2, Overflow::block));
                  s->accept(8);
                  s->accept(9);
                  world.spawn("one", [=] { s->publish(1); });
                  world.spawn("other", [=] { s->publish(*s->y, 2); });
                  world.spawn("of the one", [=] { s->a->purge(); });
                  world.spawn("of the other", [=] { s->b->purge(); });
                  world.finally([=] {
                      s->say({s->left(*s->a), s->left(*s->b)});
                      s->finish();
                  });
              });
}

TEST_CASE("of two who wait for one place one goes, then the other, and nobody else [6.4] [4.9]") {
    every_way({"published; published; 912 2", "published; published; 921 1"}, two_preemptions,
              [](World& world, auto s) {
                  s->topics();
                  s->a = s->subscribe("x");
                  s->b = s->subscribe("*", of(1, Overflow::block));
                  s->accept(9);
                  world.spawn("one", [=] { s->publish(1); });
                  world.spawn("other", [=] { s->publish(2); });
                  world.spawn("consumer", [=] { s->pop(*s->b); });
                  world.spawn_at_rest("last", [=, &world] {
                      s->check(world.has_ended(0) != world.has_ended(1), "finds none that waits");
                      s->pop(*s->b);
                  });
                  world.finally([=] {
                      s->say({s->left(*s->a), s->left(*s->b)});
                      s->finish();
                  });
              });
}

TEST_CASE("who waits longer is served first, also from another subject [6.4] [4.9]") {
    every_way({"published; published; 2"}, interrupted, [](World& world, auto s) {
        s->topics();
        s->a = s->subscribe("*", of(1, Overflow::block));
        s->accept(9);
        world.spawn_early("first", [=] { s->publish(1); });
        world.spawn_early("second", [=] { s->publish(*s->y, 2); });
        world.spawn("consumer", [=] { s->pop(*s->a); });
        world.spawn_at_rest("last", [=, &world] {
            s->check(world.has_ended(0) && !world.has_ended(1), "finds the wrong one waiting");
            s->check(s->pop(*s->a) == 1, "finds another");
        });
        world.finally([=] {
            s->say(s->left(*s->a));
            s->finish();
        });
    });
}

TEST_CASE("who got room in one and waits on for another leaves that room to the next [4.9]") {
    // "x" goes to both, "y" to the first. Once the first has room, "y" must not wait for "x".
    every_way({"published; published; 1 1"}, three_preemptions, [](World& world, auto s) {
        s->topics();
        s->a = s->subscribe("*", of(1, Overflow::block));
        s->b = s->subscribe("x", of(1, Overflow::block));
        s->accept(9);
        world.spawn_early("both", [=] { s->publish(1); });
        world.spawn_early("one", [=] { s->publish(*s->y, 2); });
        world.spawn("consumer", [=] { s->pop(*s->a); });
        world.spawn_at_rest("last", [=, &world] {
            s->check(!world.has_ended(0), "finds it where there is no room");
            s->check(world.has_ended(1), "finds one waiting for a place that is free");
            s->pop(*s->b);
            s->check(s->pop(*s->a) == 2, "finds another");
        });
        world.finally([=] {
            s->say({s->left(*s->a), s->left(*s->b)});
            s->finish();
        });
    });
}

TEST_CASE("who got room and is refused elsewhere leaves that room to the next [4.9]") {
    every_way({"published; published; the queue is full; 2 1",
               "the queue is full; published; published; 2 3"},
              two_preemptions, [](World& world, auto s) {
                  s->x.emplace(s->broker().topic("e.f"));  // to both
                  s->y.emplace(s->broker().topic("e.g"));  // to the one that blocks
                  s->a = s->subscribe("e.*", of(1, Overflow::block));
                  s->accept(*s->y, 9);
                  s->b = s->subscribe("*.f", of(1, Overflow::reject));
                  world.spawn_early("both", [=] { s->publish(1); });
                  world.spawn_early("one", [=] { s->publish(*s->y, 2); });
                  world.spawn("filler", [=] { s->publish(s->broker().topic("h.f"), 3); });
                  world.spawn("consumer", [=] { s->pop(*s->a); });
                  world.spawn_at_rest("last", [=, &world] {
                      s->check(world.has_ended(0), "finds one waiting for a place that is free");
                      if (!world.has_ended(1)) { s->pop(*s->a); }
                  });
                  world.finally([=] {
                      s->say({s->left(*s->a), s->left(*s->b)});
                      s->finish();
                  });
              });
}

TEST_CASE("a publish that waits is over at its instant, whole or not at all [6.4] [4.3]") {
    every_way({"published; 91 1", "timed out; 9 -"}, three_preemptions, [](World& world, auto s) {
        s->topics();
        s->a = s->subscribe("x");
        s->b = s->subscribe("*", of(1, Overflow::block));
        s->accept(9);
        world.spawn_early("publisher", [=] { s->publish(*s->x, 1, {.block_for = 10s}); });
        world.spawn("clock", [=] { s->clock().advance(10s); });
        world.spawn("consumer", [=] { s->pop(*s->b); });
        world.finally([=] {
            s->say({s->left(*s->a), s->left(*s->b)});
            s->finish();
        });
    });
}

TEST_CASE("a stopped publish leaves the room to who waits behind it [7.7] [4.9]") {
    every_way({"published; published; 2", "cancelled; published; 2"}, two_preemptions,
              [](World& world, auto s) {
                  s->topics();
                  const auto stop = std::make_shared<Simulated::StopSource>();
                  s->a = s->subscribe("*", of(1, Overflow::block));
                  s->accept(9);
                  world.spawn_early("first", [=] { s->publish(*s->x, 1, {}, stop->get_token()); });
                  world.spawn_early("second", [=] { s->publish(*s->y, 2); });
                  world.spawn("stopper", [=] { stop->request_stop(); });
                  world.spawn("consumer", [=] { s->pop(*s->a); });
                  world.spawn_at_rest("last", [=, &world] {
                      s->check(world.has_ended(0), "finds the first still waiting");
                      if (!world.has_ended(1)) { s->check(s->pop(*s->a) == 1, "finds another"); }
                  });
                  world.finally([=] {
                      s->say(s->left(*s->a));
                      s->finish();
                  });
              });
}

// --- latches -------------------------------------------------------------------------------------

namespace {

// Message 1 has a copy in each of two subscriptions, both in a consumer's hands.
template <class S> void two_copies(S& s, const SubscriptionOptions& options = {}) {
    s->topics();
    s->queue.emplace(s->broker().queue("children"));
    s->a = s->subscribe("x", options);
    s->b = s->subscribe("*", options);
    s->accept(1);
    s->held_a = s->a->try_fetch().value();
    s->held_b = s->b->try_fetch().value();
}

// Each of the two does something to its copy, beside the publish of a child.
template <class OfA, class OfB>
void copies_and_child(const std::set<std::string>& ways, OfA of_a, OfB of_b,
                      OnParentFailure policy = OnParentFailure::dead_letter) {
    for (const bool before : {false, true}) {
        every_way(ways, before ? interrupted : three_preemptions, [=](World& world, auto s) {
            two_copies(s);
            if (before) { s->child_of(s->ids[1], policy); }
            world.spawn("of the one", [=] { of_a(*s); });
            world.spawn("of the other", [=] { of_b(*s); });
            if (!before) {
                world.spawn("publisher", [=] { s->child_of(s->ids[1], policy); });
            }
            world.finally([=] {
                const auto said = s->broker().explain(s->ids[7]);
                s->check(said.state != MessageState::dead || said.reason.parent() == s->ids[1],
                         "blames another parent");
                s->say({s->latch(s->ids[1]), s->child()});
                s->finish();
            });
        });
    }
}

}  // namespace

TEST_CASE("the copies of a message are acked at once: who waits for it is told once [5.3]") {
    SUBCASE("a latch") {
        every_way({"completed"}, three_preemptions, [](World& world, auto s) {
            two_copies(s);
            world.spawn("of the one", [=] { s->held_a->ack(); });
            world.spawn("of the other", [=] { s->held_b->ack(); });
            world.spawn("waiter", [=] {
                const auto state = s->broker().latch(s->ids[1]).wait();
                s->say(state ? to_string(*state) : latchbox::to_string(state.error()));
            });
            world.finally([=] { s->finish(); });
        });
    }
    SUBCASE("the fetch that waits for a child") {
        every_way({"got 7"}, three_preemptions, [](World& world, auto s) {
            two_copies(s);
            s->child_of(s->ids[1]);
            world.spawn("of the one", [=] { s->held_a->ack(); });
            world.spawn("of the other", [=] { s->held_b->ack(); });
            world.spawn("fetcher", [=] { s->fetch(*s->queue); });
            world.finally([=] { s->finish(); });
        });
    }
    SUBCASE("a child, published before or beside it") {
        copies_and_child(
            {"completed ready"}, [](Stage& s) { s.held_a->ack(); },
            [](Stage& s) { s.held_b->ack(); });
    }
}

TEST_CASE("a copy is acked while another dies or is lost, beside a child [5.3] [5.5]") {
    const auto ack = [](Stage& s) { s.held_a->ack(); };
    const auto reject = [](Stage& s) { s.held_b->reject(); };
    SUBCASE("dead") { copies_and_child({"dead dead"}, ack, reject); }
    SUBCASE("dead, and it goes on") {
        copies_and_child({"dead ready"}, ack, reject, OnParentFailure::deliver);
    }
    SUBCASE("dead, and it waits") {
        copies_and_child({"dead blocked"}, ack, reject, OnParentFailure::hold);
    }
    SUBCASE("dead, and redriven, and acked") {
        copies_and_child(
            {"completed ready"}, ack,
            [](Stage& s) {
                s.held_b->reject();
                s.b->dead_letters().redrive(s.ids[1]);
                s.pop(*s.b);
            },
            OnParentFailure::hold);
    }
    SUBCASE("failed") {
        copies_and_child({"failed dead"}, ack, [](Stage& s) {
            s.held_b->release();
            s.b->cancel(s.ids[1]);
        });
    }
    SUBCASE("purged") {
        copies_and_child({"failed dead"}, ack, [](Stage& s) {
            s.held_b->reject();
            s.b->dead_letters().purge();
        });
    }
    SUBCASE("its subscription ended") {
        copies_and_child({"completed ready"}, ack, [](Stage& s) {
            s.held_b->release();
            s.b->unsubscribe();
        });
    }
}

TEST_CASE("one copy dies while another is lost: failed is the last word [5.3]") {
    copies_and_child(
        {"failed dead"}, [](Stage& s) { s.held_a->reject(); },
        [](Stage& s) {
            s.held_b->release();
            s.b->purge();
        });
}

TEST_CASE("both copies die at once, beside a child [5.3] [5.5]") {
    const auto of_a = [](Stage& s) { s.held_a->reject(); };
    const auto of_b = [](Stage& s) { s.held_b->reject(); };
    SUBCASE("that dies of it") { copies_and_child({"dead dead"}, of_a, of_b); }
    SUBCASE("that waits") { copies_and_child({"dead blocked"}, of_a, of_b, OnParentFailure::hold); }
}

TEST_CASE("a dead copy is redriven while another dies: still dead [5.3] [5.6]") {
    every_way({"dead blocked"}, interrupted, [](World& world, auto s) {
        two_copies(s);
        s->child_of(s->ids[1], OnParentFailure::hold);
        s->held_a->reject();
        world.spawn("redriver", [=] {
            s->check(s->a->dead_letters().redrive(s->ids[1]).has_value(), "cannot redrive");
        });
        world.spawn("of the other", [=] { s->held_b->reject(); });
        world.finally([=] {
            s->say({s->latch(s->ids[1]), s->child()});
            s->finish();
        });
    });
}

TEST_CASE("copies come and go by time beside each other and a child [4.3] [5.3]") {
    every_way({"dead dead"}, two_preemptions, [](World& world, auto s) {
        two_copies(s, {.lease = 10s, .max_failures = 1});
        world.spawn("clock", [=] { s->clock().advance(10s); });
        world.spawn("publisher", [=] { s->child_of(s->ids[1]); });
        world.finally([=] {
            s->say({s->latch(s->ids[1]), s->child()});
            s->finish();
        });
    });
}

TEST_CASE("a copy settled before the publish returned settles no other copy's share [5.3]") {
    // The first gets its copy while the second may not have its own yet.
    const auto beside = [](auto settle) {
        return [=](World& world, auto s) {
            s->topics();
            s->queue.emplace(s->broker().queue("children"));
            s->a = s->subscribe("x");
            s->b = s->subscribe("*");
            world.spawn("publisher", [=] { s->accept(1); });
            world.spawn("consumer", [=] {
                auto got = s->a->fetch();
                const MessageId id = got->id();
                settle(*got);
                s->say(s->latch(id));
                s->child_of(id, OnParentFailure::hold);
                s->say(s->child());
            });
            world.finally([=] {
                s->say({s->left(*s->b), s->latch(s->ids[1]), s->child()});
                s->finish();
            });
        };
    };
    SUBCASE("acked") {
        every_way({"pending blocked; 1 completed ready"}, interrupted,
                  beside([](Delivery& got) { got.ack(); }));
    }
    SUBCASE("dead") {
        every_way({"dead blocked; 1 dead blocked"}, interrupted,
                  beside([](Delivery& got) { got.reject(); }));
    }
}

TEST_CASE("the only copy settled before the publish returned settles the message [5.3]") {
    every_way({"completed ready; - completed ready"}, interrupted, [](World& world, auto s) {
        s->topics({.retain_count = 1});
        s->queue.emplace(s->broker().queue("children"));
        s->a = s->subscribe("x");
        world.spawn("publisher", [=] { s->accept(1); });
        world.spawn("consumer", [=] {
            auto got = s->a->fetch();
            got->ack();
            s->say(s->latch(got->id()));
            s->child_of(got->id());
            s->say(s->child());
        });
        world.finally([=] {
            s->say({s->left(*s->a), s->latch(s->ids[1]), s->child()});
            s->finish();
        });
    });
}

TEST_CASE("who gets a message knows it by its id at once [5.9] [6.6]") {
    every_way({"read pending; completed"}, three_interrupted, [](World& world, auto s) {
        s->topics({.retain_count = 1});
        s->a = s->subscribe("x");
        s->b = s->subscribe("*");
        world.spawn("publisher", [=] { s->accept(1); });
        world.spawn("consumer", [=] {
            auto got = s->a->fetch();
            const auto body = s->x->read(got->id());
            s->say_error(body, "read");
            s->check(body && body->get() == &got->body(), "reads another body");
            const auto said = s->broker().explain(got->id());
            s->check(said.subject == "x" && !said.copies.empty(), "explains another");
            s->say(said.state == MessageState::pending ? "pending" : "otherwise");
            got->ack();
        });
        world.finally([=] {
            s->left(*s->b);
            s->say(s->latch(s->ids[1]));
            s->finish();
        });
    });
}

TEST_CASE("a delayed message comes to who waits in each subscription, no earlier [4.9] [4.3]") {
    every_way({"got 1; got 1"}, two_preemptions, [](World& world, auto s) {
        s->topics();
        s->a = s->subscribe("x");
        s->b = s->subscribe("*");
        s->accept(1, {.delay = 10s});
        const auto fetch = [=](const Subscription& from) {
            s->fetch(from);
            s->check(s->clock().now() >= latchbox::Instant{} + 10s, "gets it too early");
        };
        world.spawn("of the one", [=] { fetch(*s->a); });
        world.spawn("of the other", [=] { fetch(*s->b); });
        world.spawn("clock", [=] { s->clock().advance(10s); });
        world.finally([=] { s->finish(); });
    });
}

TEST_CASE("a copy is evicted while its latch is asked for: that completes it [5.3] [6.4]") {
    const auto beside = [](bool waits) {
        return [=](World& world, auto s) {
            s->topics();
            s->a = s->subscribe("x", of(1, Overflow::drop_oldest));
            s->accept(1);
            world.spawn("publisher", [=] { s->accept(2); });
            world.spawn("asker", [=] {
                if (!waits) { return s->say(s->latch(s->ids[1])); }
                const auto state = s->broker().latch(s->ids[1]).wait();
                s->say(state ? to_string(*state) : latchbox::to_string(state.error()));
            });
            world.finally([=] {
                s->say({s->latch(s->ids[1]), s->latch(s->ids[2])});
                s->finish();
            });
        };
    };
    SUBCASE("as it stands") {
        every_way({"pending; completed pending", "completed; completed pending"}, interrupted,
                  beside(false));
    }
    SUBCASE("waiting") { every_way({"completed; completed pending"}, interrupted, beside(true)); }
}

TEST_CASE("a message of one topic waits for one of another, settled beside its publish [5.1]") {
    every_way({"2 2 completed"}, interrupted, [](World& world, auto s) {
        s->topics();
        s->a = s->subscribe("x");
        s->b = s->subscribe("y");
        s->c = s->subscribe("y");
        s->accept(1);
        s->held_a = s->a->try_fetch().value();
        world.spawn("publisher", [=] { s->accept(*s->y, 2, {.parents = {s->ids[1]}}); });
        world.spawn("holder", [=] { s->held_a->ack(); });
        world.finally([=] {
            s->say({s->left(*s->b), s->left(*s->c), s->latch(s->ids[2])});
            s->finish();
        });
    });
}

TEST_CASE("explain tells of copies at one instant, and makes no memory under a lock [5.9]") {
    every_way({"2 pending", "1 pending", "0 completed"}, three_preemptions,
              [](World& world, auto s) {
                  two_copies(s);
                  world.spawn("of the one", [=] { s->held_a->ack(); });
                  world.spawn("of the other", [=] { s->held_b->ack(); });
                  world.spawn("asker", [=] {
                      const auto said = s->broker().explain(s->ids[1]);
                      s->say(std::to_string(said.copies.size()) +
                             (said.state == MessageState::pending     ? " pending"
                              : said.state == MessageState::completed ? " completed"
                                                                      : " otherwise"));
                  });
                  world.finally([=] { s->finish(); });
              });
}

// --- a message that can be moved but not copied --------------------------------------------------

namespace {

class Sealed {
public:
    explicit Sealed(int number) noexcept : number_{number} { ++live; }
    Sealed(Sealed&& other) noexcept : number_{std::exchange(other.number_, 0)} { ++live; }
    Sealed& operator=(Sealed&&) = delete;
    ~Sealed() {
        Simulated::user_code();
        --live;
    }
    [[nodiscard]] int number() const noexcept { return number_; }

    inline static int live = 0;

private:
    int number_;
};

struct SealedStage {
    using Broker = latchbox::Broker<Sealed, Simulated>;
    using Subscription = latchbox::Subscription<Sealed, Simulated>;

    explicit SealedStage(Clock& clock, const TopicOptions& options = {})
        : broker{{.clock = &clock}}, topic{broker.topic("x", options)}, a{broker.subscribe("x")} {}

    Broker broker;
    latchbox::Topic<Sealed, Simulated> topic;
    Subscription a;
    std::optional<Subscription> b;
    std::optional<latchbox::Delivery<Sealed, Simulated>> held_a;
    std::optional<latchbox::Delivery<Sealed, Simulated>> held_b;
};

// Takes what is fetched, and says how that went.
template <class S> void take(S& scene, latchbox::Delivery<Sealed, Simulated>& delivery) {
    const auto taken = delivery.take();
    if (taken == Errc::body_shared) { return scene->say("shared"); }
    if (!taken) { return scene->say(latchbox::to_string(taken.error())); }
    scene->say("took " + std::to_string(taken->number()));
}

template <class SetUp>
void every_way_sealed(const std::set<std::string>& ways, const latchbox::testing::Rules& rules,
                      SetUp set_up, const TopicOptions& options = {}) {
    every_schedule(
        {},
        [=](World& world, const std::shared_ptr<Scene>& scene) {
            Sealed::live = 0;
            const auto state =
                std::make_shared<std::optional<SealedStage>>(std::in_place, scene->clock, options);
            set_up(world, scene, &**state);
            world.finally([=, &world] {
                state->reset();
                world.check(Sealed::live == 0, "messages are left");
                scene->finish();
            });
        },
        ways, rules);
}

}  // namespace

TEST_CASE("the only copy is taken beside the end of its publish, which sees no body [6.3]") {
    every_way_sealed({"took 1"}, interrupted, [](World& world, auto scene, SealedStage* s) {
        world.spawn("publisher", [=] { static_cast<void>(s->topic.publish(Sealed{1})); });
        world.spawn("consumer", [=] {
            auto got = s->a.fetch();
            take(scene, *got);
        });
    });
}

TEST_CASE("of two copies taken at once the last is moved out, and none is lost [6.3]") {
    every_way_sealed({"shared; took 1", "took 1; shared", "shared; shared"}, interrupted,
                     [](World& world, auto scene, SealedStage* s) {
                         s->b.emplace(s->broker.subscribe("*"));
                         static_cast<void>(s->topic.publish(Sealed{1}));
                         s->held_a = s->a.try_fetch().value();
                         s->held_b = s->b->try_fetch().value();
                         const auto consume = [=](auto& held) {
                             take(scene, *held);
                             held->ack();
                             held.reset();
                         };
                         world.spawn("one", [=] { consume(s->held_a); });
                         world.spawn("other", [=] { consume(s->held_b); });
                     });
}

TEST_CASE("a copy is taken beside the ack of the other: moved out, or it stays [6.3]") {
    every_way_sealed({"shared", "took 1"}, interrupted,
                     [](World& world, auto scene, SealedStage* s) {
                         s->b.emplace(s->broker.subscribe("*"));
                         static_cast<void>(s->topic.publish(Sealed{1}));
                         s->held_a = s->a.try_fetch().value();
                         s->held_b = s->b->try_fetch().value();
                         world.spawn("taker", [=] { take(scene, *s->held_a); });
                         world.spawn("other", [=] {
                             s->held_b->ack();
                             s->held_b.reset();
                         });
                     });
}

TEST_CASE("a copy is taken beside the end of what is retained of it [6.6]") {
    every_way_sealed({"shared", "took 1"}, interrupted,
                     [](World& world, auto scene, SealedStage* s) {
                         static_cast<void>(s->topic.publish(Sealed{1}));
                         s->held_a = s->a.try_fetch().value();
                         world.spawn("taker", [=] { take(scene, *s->held_a); });
                         world.spawn("publisher",
                                     [=] { static_cast<void>(s->topic.publish(Sealed{2})); });
                     },
                     {.retain_count = 1});
}
