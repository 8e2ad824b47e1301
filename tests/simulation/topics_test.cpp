// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>

#include "simulation/stage.hpp"

// Topics and subscriptions of the real broker under all schedules of small programs: a publish
// beside whatever changes who gets it, and what is retained beside its readers. [6.2] [6.3] [6.6]
using namespace scenes;

// --- who subscribes ------------------------------------------------------------------------------

TEST_CASE("who subscribes beside publishes gets all from one of them on [6.2] [6.3]") {
    const auto beside = [](bool batch) {
        return [=](World& world, auto s) {
            s->topics();
            s->a = s->subscribe("x");
            world.spawn("publisher", [=] {
                if (batch) { return s->accept_batch(*s->x, 1, 2); }
                s->accept(1);
                s->accept(2);
            });
            world.spawn("subscriber", [=] { s->b = s->subscribe("*"); });
            world.finally([=] {
                s->say({s->left(*s->a), s->left(*s->b)});
                s->finish();
            });
        };
    };
    SUBCASE("one by one") { every_way({"12 12", "12 2", "12 -"}, all, beside(false)); }
    SUBCASE("a batch") { every_way({"12 12", "12 -"}, interrupted, beside(true)); }
}

TEST_CASE("the first to subscribe beside a publish gets it, or it was nobody's [6.5]") {
    const auto beside = [](Unrouted unrouted) {
        return [=](World& world, auto s) {
            s->topics({.unrouted = unrouted});
            world.spawn("publisher", [=] { s->publish(1); });
            world.spawn("subscriber", [=] { s->a = s->subscribe("x"); });
            world.finally([=] {
                const auto stats = s->x->stats();
                s->say({s->left(*s->a), std::to_string(stats.published),
                        std::to_string(stats.discarded), std::to_string(stats.refused)});
                if (s->ids[1] != MessageId{}) { s->say(s->latch(s->ids[1])); }
                s->finish();
            });
        };
    };
    SUBCASE("discarded") {
        every_way({"published; 1 1 0 0 completed", "published; - 1 1 0 completed"}, interrupted,
                  beside(Unrouted::discard));
    }
    SUBCASE("refused") {
        every_way({"published; 1 1 0 0 completed", "no subscriber; - 0 0 1"}, interrupted,
                  beside(Unrouted::reject));
    }
}

TEST_CASE("a subject is made beside a subscription that matches it: they find each other [6.7]") {
    every_way({"12 123", "2 123", "12 23", "2 23"}, three_preemptions, [](World& world, auto s) {
        world.spawn("publisher", [=] {
            s->x.emplace(s->broker().topic("x"));
            s->accept(1);
        });
        world.spawn("subscriber", [=] { s->a = s->subscribe("x"); });
        world.spawn("other", [=] { s->b = s->subscribe(">"); });
        world.finally([=] {
            s->accept(2);
            const std::string first = s->left(*s->a);
            s->accept(*s->x, 3);
            s->say({first, s->left(*s->b)});
            s->finish();
        });
    });
}

TEST_CASE("who subscribes with replay beside publishes gets what is retained on, no gap [6.2]") {
    const auto beside = [](std::size_t count) {
        return [=](World& world, auto s) {
            s->topics({.retain_count = count});
            s->accept(1);
            s->a = s->subscribe("x");
            world.spawn("publisher", [=] {
                s->accept(2);
                s->accept(3);
            });
            world.spawn("subscriber", [=] { s->b = s->subscribe(">", {.replay = true}); });
            world.finally([=] {
                s->say({s->left(*s->a), s->left(*s->b)});
                s->finish();
            });
        };
    };
    SUBCASE("all of it is retained") { every_way({"23 123"}, three_preemptions, beside(10)); }
    SUBCASE("the last one is") {
        every_way({"23 123", "23 23", "23 3"}, three_preemptions, beside(1));
    }
}

TEST_CASE("a replay of two subjects, both published to beside it, has no gap [6.2]") {
    every_way({"34 1234", "34 1243", "43 1234", "43 1243"}, two_preemptions,
              [](World& world, auto s) {
                  s->topics({.retain_count = 10});
                  s->accept(1);
                  s->accept(*s->y, 2);
                  s->a = s->subscribe("*");
                  world.spawn("publisher", [=] { s->accept(3); });
                  world.spawn("other", [=] { s->accept(*s->y, 4); });
                  world.spawn("subscriber", [=] { s->b = s->subscribe("*", {.replay = true}); });
                  world.finally([=] {
                      s->say({s->left(*s->a), s->left(*s->b)});
                      s->finish();
                  });
              });
}

TEST_CASE("two who make one group at once share one queue and one copy [6.2]") {
    const auto beside = [](bool replay) {
        return [=](World& world, auto s) {
            s->topics({.retain_count = 10});
            s->accept(1);
            world.spawn("one", [=] { s->a = s->subscribe("x", {.group = "g", .replay = replay}); });
            world.spawn("other",
                        [=] { s->b = s->subscribe("x", {.group = "g", .replay = replay}); });
            world.finally([=] {
                s->check(*s->a == *s->b, "two groups of one name");
                s->accept(2);
                s->say(s->left(*s->b));
                s->finish();
            });
        };
    };
    SUBCASE("without replay") { every_way({"2"}, interrupted, beside(false)); }
    SUBCASE("with replay, which is once") { every_way({"12"}, interrupted, beside(true)); }
}

TEST_CASE("of two who make one group with two patterns at once, one is refused [6.7]") {
    every_way({"refused; 2", "1; refused"}, interrupted, [](World& world, auto s) {
        s->topics();
        const auto join = [=](auto& slot, const char* pattern) {
            try {
                slot = s->subscribe(pattern, {.group = "g"});
            } catch (const std::invalid_argument&) { s->say("refused"); }
        };
        world.spawn("one", [=] {
            join(s->a, "x");
            if (s->a) { s->say("1"); }
        });
        world.spawn("other", [=] {
            join(s->b, "y");
            if (s->b) { s->say("2"); }
        });
        world.finally([=] { s->finish(); });
    });
}

TEST_CASE("a name goes to a queue or to a group, whoever is first [6.7]") {
    every_way({"refused; group", "queue; refused"}, interrupted, [](World& world, auto s) {
        world.spawn("one", [=] {
            try {
                static_cast<void>(s->broker().queue("g"));
                s->say("queue");
            } catch (const std::invalid_argument&) { s->say("refused"); }
        });
        world.spawn("other", [=] {
            try {
                s->b = s->subscribe("y", {.group = "g"});
                s->say("group");
            } catch (const std::invalid_argument&) { s->say("refused"); }
        });
        world.finally([=] { s->finish(); });
    });
}

TEST_CASE("who joins a group beside its replay gets what is replayed first [6.2]") {
    const auto beside = [](bool at_rest) {
        return [=](World& world, auto s) {
            const SubscriptionOptions options{.group = "g", .replay = true};
            s->topics({.retain_count = 10});
            s->accept(1);
            world.spawn("maker", [=] { s->a = s->subscribe("x", options); });
            world.spawn("member", [=] {
                s->b = s->subscribe("x", options);
                s->fetch(*s->b);
                s->fetch(*s->b);
            });
            const auto publish = [=] { s->accept(2); };
            if (at_rest) {
                world.spawn_at_rest("publisher", publish);
            } else {
                world.spawn("publisher", publish);
            }
            world.finally([=] { s->finish(); });
        };
    };
    SUBCASE("all of it") { every_way({"got 1 got 2"}, three_preemptions, beside(true)); }
    // Only the maker's call returns after the replay.
    SUBCASE("or what is published before it is done") {
        every_way({"got 1 got 2", "got 2 got 1"}, two_preemptions, beside(false));
    }
}

TEST_CASE("a group is removed beside its replay [6.2]") {
    every_way({"1", "-"}, interrupted, [](World& world, auto s) {
        s->topics({.retain_count = 10});
        s->accept(1);
        world.spawn("subscriber",
                    [=] { s->a = s->subscribe("x", {.group = "g", .replay = true}); });
        world.spawn("remover", [=] { s->broker().remove("g"); });
        world.finally([=] {
            s->say(s->left(*s->a));
            s->finish();
        });
    });
}

TEST_CASE("a message is replayed beside the end of its parent: it is let go [5.4] [6.2]") {
    every_way({"1 1"}, three_interrupted, [](World& world, auto s) {
        s->topics({.retain_count = 10});
        s->queue.emplace(s->broker().queue("parents"));
        s->a = s->subscribe("x");
        const MessageId parent = s->queue->publish(Parcel{7}).value();
        s->accept(1, {.parents = {parent}});
        world.spawn("subscriber", [=] { s->b = s->subscribe("x", {.replay = true}); });
        world.spawn("consumer", [=] { s->pop(*s->queue); });
        world.finally([=] {
            s->say({s->left(*s->a), s->left(*s->b)});
            s->finish();
        });
    });
}

TEST_CASE("a replay holds what leaves the topic, and its copies, meanwhile [4.8] [6.2]") {
    every_way({"12", "2"}, two_preemptions, [](World& world, auto s) {
        s->topics({.retain_count = 1});
        s->a = s->subscribe("x");
        s->accept(1);
        world.spawn("subscriber", [=] { s->b = s->subscribe("x", {.replay = true}); });
        world.spawn("consumer", [=] { s->pop(*s->a); });
        world.spawn("publisher", [=] { s->accept(2); });
        world.finally([=] {
            s->say(s->left(*s->b));
            s->finish();
        });
    });
}

// --- who leaves ----------------------------------------------------------------------------------

TEST_CASE("one unsubscribes beside a publish: the others get it, and its latch completes [5.3]") {
    every_way({"1 completed"}, interrupted, [](World& world, auto s) {
        s->topics();
        s->a = s->subscribe("x");
        s->b = s->subscribe(">");
        s->c = s->subscribe("*");
        world.spawn("publisher", [=] { s->accept(1); });
        world.spawn("leaver", [=] { s->b->unsubscribe(); });
        world.finally([=] {
            s->check(s->b->try_fetch() == Errc::closed, "a handle that left is open");
            s->check(s->left(*s->c) == "1", "a copy is missing");
            s->say({s->left(*s->a), s->latch(s->ids[1])});
            s->finish();
        });
    });
}

TEST_CASE("the only one unsubscribes beside a publish [5.3] [6.5]") {
    const auto beside = [](Unrouted unrouted, bool room = false) {
        return [=](World& world, auto s) {
            s->topics({.unrouted = unrouted});
            s->queue.emplace(s->broker().queue("children"));
            s->a = s->subscribe("x");
            if (room) {
                s->accept(2);
                s->check(s->left(*s->a) == "2", "it has not got it");
            }
            world.spawn("publisher", [=] {
                if (s->publish(1)) { s->child_of(s->ids[1]); }
            });
            world.spawn("leaver", [=] { s->a.reset(); });
            world.finally([=] {
                if (s->ids[1] != MessageId{}) { s->say({s->latch(s->ids[1]), s->child()}); }
                const auto stats = s->broker().stats();
                s->check(
                    stats.discarded + stats.messages.purged == (s->ids[1] != MessageId{} ? 1 : 0),
                    "neither discarded nor purged");
                s->finish();
            });
        };
    };
    SUBCASE("discarded") {
        every_way({"published; completed ready"}, three_interrupted, beside(Unrouted::discard));
    }
    SUBCASE("refused") {
        every_way({"published; completed ready", "no subscriber"}, three_interrupted,
                  beside(Unrouted::reject));
    }
    SUBCASE("where there is room already") {
        every_way({"published; completed ready"}, three_interrupted,
                  beside(Unrouted::discard, true));
    }
    SUBCASE("refused, where there is room already") {
        every_way({"published; completed ready", "no subscriber"}, three_interrupted,
                  beside(Unrouted::reject, true));
    }
}

TEST_CASE("a subscription ends beside the settling of a copy that its consumer holds [5.3]") {
    const auto beside = [](bool removed) {
        return [=](World& world, auto s) {
            s->topics();
            s->queue.emplace(s->broker().queue("children"));
            s->a = s->subscribe("x", {.group = "g"});
            s->accept(1);
            s->child_of(s->ids[1]);
            s->held_a = s->a->try_fetch().value();
            world.spawn("holder", [=] { s->say_error(s->held_a->ack(), "acked"); });
            world.spawn("leaver", [=] {
                if (removed) {
                    s->broker().remove("g");
                } else {
                    s->a->unsubscribe();
                }
            });
            world.finally([=] {
                s->clock().advance(30s);
                s->say({s->latch(s->ids[1]), s->child()});
                s->finish();
            });
        };
    };
    const std::set<std::string> ways{"acked; completed ready", "closed; completed ready"};
    SUBCASE("unsubscribed") { every_way(ways, interrupted, beside(false)); }
    SUBCASE("removed") { every_way(ways, interrupted, beside(true)); }
}

TEST_CASE("a subscription with a copy ends beside the publish of a child of it [5.3] [5.4]") {
    every_way({"completed ready"}, interrupted, [](World& world, auto s) {
        s->topics();
        s->queue.emplace(s->broker().queue("children"));
        s->a = s->subscribe("x");
        s->accept(1);
        world.spawn("publisher", [=] { s->child_of(s->ids[1]); });
        world.spawn("leaver", [=] { s->a.reset(); });
        world.finally([=] {
            s->say({s->latch(s->ids[1]), s->child()});
            s->finish();
        });
    });
}

TEST_CASE("unsubscribing ends the fetch that waits on that handle [6.2] [4.9]") {
    SUBCASE("with nothing there") {
        every_way({"closed"}, interrupted, [](World& world, auto s) {
            s->topics();
            s->a = s->subscribe("x");
            world.spawn("fetcher", [=] { s->fetch(*s->a); });
            world.spawn("leaver", [=] { s->a->unsubscribe(); });
            world.finally([=] { s->finish(); });
        });
    }
    SUBCASE("beside a publish") {
        every_way({"closed; completed", "got 1; completed"}, three_preemptions,
                  [](World& world, auto s) {
                      s->topics();
                      s->a = s->subscribe("x");
                      world.spawn("fetcher", [=] { s->fetch(*s->a); });
                      world.spawn("leaver", [=] { s->a->unsubscribe(); });
                      world.spawn("publisher", [=] { s->accept(1); });
                      world.finally([=] {
                          s->clock().advance(30s);
                          s->say(s->latch(s->ids[1]));
                          s->finish();
                      });
                  });
    }
}

TEST_CASE("two unsubscribe one handle at once, and the waiting fetch ends once [6.2]") {
    every_way({"closed"}, three_preemptions, [](World& world, auto s) {
        s->topics();
        s->a = s->subscribe("x");
        world.spawn_early("fetcher", [=] { s->fetch(*s->a); });
        world.spawn("leaver", [=] { s->a->unsubscribe(); });
        world.spawn("other", [=] { s->a->unsubscribe(); });
        world.finally([=] { s->finish(); });
    });
}

TEST_CASE("two unsubscribe one handle of a group at once: the other handle stays [6.2]") {
    every_way({"1"}, interrupted, [](World& world, auto s) {
        s->topics();
        s->a = s->subscribe("x", {.group = "g"});
        s->b = s->subscribe("x", {.group = "g"});
        world.spawn("leaver", [=] { s->a->unsubscribe(); });
        world.spawn("other", [=] { s->a->unsubscribe(); });
        world.finally([=] {
            s->accept(1);
            s->say(s->left(*s->b));
            s->finish();
        });
    });
}

TEST_CASE("one handle of a group leaves: the other's waiting fetch gets the next [6.2] [4.9]") {
    SUBCASE("it alone waits") {
        every_way({"got 1"}, all, [](World& world, auto s) {
            s->topics();
            s->a = s->subscribe("x", {.group = "g"});
            s->b = s->subscribe("x", {.group = "g"});
            world.spawn("fetcher", [=] { s->fetch(*s->b); });
            world.spawn("leaver", [=] { s->a->unsubscribe(); });
            world.spawn_at_rest("publisher", [=] { s->accept(1); });
            world.finally([=] { s->finish(); });
        });
    }
    SUBCASE("both wait, and one message comes") {
        every_way({"got 1; got 2", "closed; got 1"}, two_preemptions, [](World& world, auto s) {
            s->topics();
            s->a = s->subscribe("x", {.group = "g"});
            s->b = s->subscribe("x", {.group = "g"});
            world.spawn_early("leaving", [=] { s->fetch(*s->a); });
            world.spawn_early("staying", [=] { s->fetch(*s->b); });
            world.spawn("leaver", [=] { s->a->unsubscribe(); });
            world.spawn("publisher", [=] { s->accept(1); });
            world.spawn_at_rest("publisher of more", [=, &world] {
                s->check(world.has_ended(0), "finds one who waits on a handle that left");
                if (!world.has_ended(1)) { s->accept(2); }
            });
            world.finally([=] { s->finish(); });
        });
    }
}

TEST_CASE("what a handle of a group fetched may be settled when that handle has left [6.2]") {
    every_way({"acked; completed"}, interrupted, [](World& world, auto s) {
        s->topics();
        s->a = s->subscribe("x", {.group = "g"});
        s->b = s->subscribe("x", {.group = "g"});
        s->accept(1);
        s->held_a = s->a->try_fetch().value();
        world.spawn("holder", [=] { s->say_error(s->held_a->ack(), "acked"); });
        world.spawn("leaver", [=] { s->a->unsubscribe(); });
        world.finally([=] {
            s->say(s->latch(s->ids[1]));
            s->finish();
        });
    });
}

TEST_CASE("a lease of a subscription that has ended runs out beside a child [5.3] [4.3]") {
    every_way({"completed ready"}, two_preemptions, [](World& world, auto s) {
        s->topics();
        s->queue.emplace(s->broker().queue("children"));
        s->a = s->subscribe("x");
        s->accept(1);
        s->held_a = s->a->try_fetch().value();
        world.spawn("leaver", [=] { s->a->unsubscribe(); });
        world.spawn("publisher", [=] { s->child_of(s->ids[1]); });
        world.spawn("clock", [=] { s->clock().advance(30s); });
        world.finally([=] {
            s->say({s->latch(s->ids[1]), s->child()});
            s->finish();
        });
    });
}

TEST_CASE("one leaves beside two publishers, who find their ways anew [6.3]") {
    every_way({"12", "21"}, two_preemptions, [](World& world, auto s) {
        s->topics();
        s->a = s->subscribe("x");
        s->b = s->subscribe("*");
        world.spawn("one", [=] { s->accept(1); });
        world.spawn("other", [=] { s->accept(2); });
        world.spawn("leaver", [=] { s->b->unsubscribe(); });
        world.finally([=] {
            s->say(s->left(*s->a));
            s->finish();
        });
    });
}

TEST_CASE("the last two handles of a group leave while a third joins [6.2]") {
    const auto beside = [](bool durable) {
        return [=](World& world, auto s) {
            const SubscriptionOptions options{.group = "g", .durable = durable};
            s->topics();
            s->a = s->subscribe("x", options);
            s->b = s->subscribe("x", options);
            s->accept(1);
            world.spawn("one", [=] { s->a.reset(); });
            world.spawn("other", [=] { s->b->unsubscribe(); });
            world.spawn("third", [=] { s->c = s->subscribe("x", options); });
            world.finally([=] {
                s->accept(2);
                s->say({s->left(*s->c), s->latch(s->ids[1])});
                s->c.reset();
                s->broker().remove("g");
                s->finish();
            });
        };
    };
    SUBCASE("of a group that ends with them") {
        every_way({"12 completed", "2 completed"}, three_preemptions, beside(false));
    }
    SUBCASE("of a durable one") { every_way({"12 completed"}, three_preemptions, beside(true)); }
}

TEST_CASE("a group is removed beside a publish: others get it, it had it or not [6.3]") {
    every_way({"1 completed"}, interrupted, [](World& world, auto s) {
        s->topics();
        s->a = s->subscribe("x");
        s->b = s->subscribe(">", {.group = "g", .durable = true});
        world.spawn("publisher", [=] { s->accept(1); });
        world.spawn("remover", [=] { s->check(s->broker().remove("g"), "finds no group"); });
        world.finally([=] {
            s->check(s->b->try_fetch() == Errc::closed, "a handle of a removed group is open");
            s->say({s->left(*s->a), s->latch(s->ids[1])});
            s->finish();
        });
    });
}

TEST_CASE("a group is removed beside the leaving of its last handle, and made again [6.2]") {
    every_way({"2"}, three_preemptions, [](World& world, auto s) {
        s->topics();
        s->a = s->subscribe("x", {.group = "g"});
        s->accept(1);
        world.spawn("leaver", [=] { s->a.reset(); });
        world.spawn("remover", [=] { s->broker().remove("g"); });
        world.finally([=] {
            s->b = s->subscribe("*", {.group = "g"});
            s->accept(2);
            s->say(s->left(*s->b));
            s->finish();
        });
    });
}

TEST_CASE("one subscribes while another of the same pattern leaves, beside a publish [6.2]") {
    every_way({"12 completed", "2 completed"}, three_preemptions, [](World& world, auto s) {
        s->topics();
        s->a = s->subscribe("*");
        world.spawn("leaver", [=] { s->a.reset(); });
        world.spawn("subscriber", [=] { s->b = s->subscribe("*"); });
        world.spawn("publisher", [=] { s->accept(1); });
        world.finally([=] {
            s->accept(2);
            s->say({s->left(*s->b), s->latch(s->ids[1])});
            s->finish();
        });
    });
}

// --- one order -----------------------------------------------------------------------------------

TEST_CASE("two publishers of one subject are seen in the same order by all [6.3]") {
    const auto beside = [](bool batch, std::size_t capacity) {
        return [=](World& world, auto s) {
            s->topics();
            s->a = s->subscribe("x");
            s->b = s->subscribe("*", {.capacity = capacity});
            world.spawn("one", [=] {
                if (batch) { return s->accept_batch(*s->x, 1, 3); }
                s->accept(1);
            });
            world.spawn("other", [=] { s->accept(2); });
            world.finally([=] {
                const std::string first = s->left(*s->a);
                s->check((first.find('1') < first.find('2')) == (s->ids[1] < s->ids[2]),
                         "ids in another order than deliveries");
                s->say({first, s->left(*s->b)});
                s->finish();
            });
        };
    };
    SUBCASE("one each") { every_way({"12 12", "21 21"}, three_interrupted, beside(false, 9)); }
    SUBCASE("and a batch is not torn") {
        every_way({"132 132", "213 213"}, three_interrupted, beside(true, 9));
    }
    SUBCASE("nor does a full one change that for the others") {
        every_way({"12 2", "21 1"}, three_interrupted, beside(false, 1));
    }
}

TEST_CASE("three publishers of one subject, one order [6.3]") {
    every_way({"123 123", "132 132", "213 213", "231 231", "312 312", "321 321"}, two_preemptions,
              [](World& world, auto s) {
                  s->topics();
                  s->a = s->subscribe("x");
                  s->b = s->subscribe("*");
                  for (int i = 1; i < 4; ++i) {
                      world.spawn("publisher", [=] { s->accept(i); });
                  }
                  world.finally([=] {
                      s->say({s->left(*s->a), s->left(*s->b)});
                      s->finish();
                  });
              });
}

TEST_CASE("publishers of two subjects that share a subscription lose nothing [6.3]") {
    every_way({"12 12 1 2", "12 21 1 2", "21 12 1 2", "21 21 1 2"}, three_interrupted,
              [](World& world, auto s) {
                  s->topics();
                  s->a = s->subscribe("*");
                  s->b = s->subscribe(">");
                  s->c = s->subscribe("x");
                  s->d = s->subscribe("y");
                  world.spawn("one", [=] { s->accept(1); });
                  world.spawn("other", [=] { s->accept(*s->y, 2); });
                  world.finally([=] {
                      s->say({s->left(*s->a), s->left(*s->b), s->left(*s->c), s->left(*s->d)});
                      s->finish();
                  });
              });
}

TEST_CASE("a publish comes to the fetches that wait in two subscriptions [4.9]") {
    every_way({"got 1; got 1"}, three_preemptions, [](World& world, auto s) {
        s->topics();
        s->a = s->subscribe("x");
        s->b = s->subscribe("*");
        world.spawn("of the one", [=] { s->fetch(*s->a); });
        world.spawn("of the other", [=] { s->fetch(*s->b); });
        world.spawn("publisher", [=] { s->accept(1); });
        world.finally([=] { s->finish(); });
    });
}

TEST_CASE("the counts add up at every instant of a publish [4.1]") {
    every_way({"0+0", "0+1", "1+1"}, interrupted, [](World& world, auto s) {
        s->topics();
        s->a = s->subscribe("x", of(1, Overflow::reject));
        s->b = s->subscribe("*");
        world.spawn("publisher", [=] { s->accept(1); });
        world.spawn("asker", [=] {
            const auto b = s->b->stats();
            const auto a = s->a->stats();
            s->check(a.accepted == a.held() && b.accepted == b.held(), "counts that differ");
            s->say(std::to_string(b.held()) + "+" + std::to_string(a.held()));
        });
        world.finally([=] { s->finish(); });
    });
}

// --- what is retained ----------------------------------------------------------------------------

TEST_CASE("who reads beside the ageing out of a message has it or not [6.6] [4.3]") {
    const auto read = [](Stage& s) {
        auto got = s.x->read(s.ids[1]);
        s.say_error(got, "read");
        if (got) {
            s.check((*got)->number() == 1, "reads another");
            s.body = *got;
        }
    };
    const auto aged_out = [](Stage& s) {
        const auto stats = s.x->stats();
        s.check(stats.retained + stats.aged_out == stats.published, "one aged out twice");
        s.say(std::to_string(stats.aged_out));
    };
    const std::set<std::string> ways{"read; 1", "expired; 1"};
    SUBCASE("by time") {
        every_way(ways, interrupted, [=](World& world, auto s) {
            s->topics({.retain_for = 10s});
            s->accept(1);
            world.spawn("reader", [=] { read(*s); });
            world.spawn("clock", [=] { s->clock().advance(10s); });
            world.finally([=] {
                aged_out(*s);
                s->finish();
            });
        });
    }
    SUBCASE("by count") {
        every_way(ways, interrupted, [=](World& world, auto s) {
            s->topics({.retain_count = 1});
            s->accept(1);
            world.spawn("reader", [=] { read(*s); });
            world.spawn("publisher", [=] { s->accept(2); });
            world.finally([=] {
                aged_out(*s);
                s->finish();
            });
        });
    }
    SUBCASE("by time, when two find it") {
        every_way({"expired; expired; 1"}, three_interrupted, [=](World& world, auto s) {
            s->topics({.retain_for = 10s});
            s->accept(1);
            s->clock().advance(10s);
            world.spawn("reader", [=] { read(*s); });
            world.spawn("other", [=] { read(*s); });
            world.spawn("poller", [=] { s->broker().poll(); });
            world.finally([=] {
                aged_out(*s);
                s->finish();
            });
        });
    }
}

TEST_CASE("two read one message at once: one object, as long as they like [6.6]") {
    every_way({"same"}, interrupted, [](World& world, auto s) {
        s->topics({.retain_count = 1});
        s->accept(1);
        const auto bodies = std::make_shared<std::array<Body, 2>>();
        for (std::size_t i = 0; i < 2; ++i) {
            world.spawn("reader", [=] { (*bodies)[i] = s->x->read(s->ids[1]).value(); });
        }
        world.finally([=] {
            s->say((*bodies)[0].get() == (*bodies)[1].get() ? "same" : "two");
            s->accept(2);
            s->check((*bodies)[0]->number() == 1, "a body changed");
            bodies->fill(nullptr);
            s->finish();
        });
    });
}

TEST_CASE("a body is read while its last copy goes and its retention ends [4.8] [6.6]") {
    every_way({"read; acked", "expired; acked"}, three_preemptions, [](World& world, auto s) {
        s->topics({.retain_count = 1});
        s->a = s->subscribe("x");
        s->accept(1);
        s->held_a = s->a->try_fetch().value();
        world.spawn("reader", [=] {
            auto got = s->x->read(s->ids[1]);
            s->say_error(got, "read");
            if (got) { s->check((*got)->number() == 1, "reads another"); }
        });
        world.spawn("holder", [=] {
            s->say_error(s->held_a->ack(), "acked");
            s->held_a.reset();
        });
        world.spawn("publisher", [=] { s->accept(2); });
        world.finally([=] { s->finish(); });
    });
}

TEST_CASE("who subscribes with replay while a message ages out gets it or not [6.2]") {
    every_way({"1", "-"}, interrupted, [](World& world, auto s) {
        s->topics({.retain_for = 10s});
        s->accept(1);
        world.spawn("subscriber", [=] { s->a = s->subscribe("x", {.replay = true}); });
        world.spawn("clock", [=] { s->clock().advance(10s); });
        world.finally([=] {
            s->say(s->left(*s->a));
            s->finish();
        });
    });
}

TEST_CASE("the last handle of a topic goes while another is made and publishes [6.7]") {
    const auto beside = [](std::size_t retained) {
        return [=](World& world, auto s) {
            s->x.emplace(s->broker().topic("x", {.retain_count = retained}));
            s->a = s->subscribe("x");
            world.spawn("owner", [=] { s->x.reset(); });
            world.spawn("other", [=] { s->y.emplace(s->broker().topic("x")); });
            world.spawn("publisher", [=] { s->accept(s->broker().topic("x"), 1); });
            world.finally([=] {
                s->check(s->y->stats().retained == retained, "is not retained");
                s->check(s->broker().topic("x") == *s->y, "two topics of one subject");
                s->say({s->left(*s->a), std::to_string(s->broker().stats().topics)});
                s->y.reset();
                s->say(std::to_string(s->broker().stats().topics));
                s->finish();
            });
        };
    };
    SUBCASE("without options") { every_way({"1 1 0"}, three_preemptions, beside(0)); }
    SUBCASE("with options") { every_way({"1 1 1"}, three_preemptions, beside(1)); }
}

TEST_CASE("two give one topic options at once: the same for both, or one is refused [6.7]") {
    const auto beside = [](std::size_t other) {
        return [=](World& world, auto s) {
            const auto make = [=](auto& slot, std::size_t count) {
                try {
                    slot.emplace(s->broker().topic("x", {.retain_count = count}));
                    s->say("made");
                } catch (const std::invalid_argument&) { s->say("refused"); }
            };
            world.spawn("one", [=] { make(s->x, 1); });
            world.spawn("other", [=] { make(s->y, other); });
            world.finally([=] { s->finish(); });
        };
    };
    SUBCASE("the same") { every_way({"made; made"}, interrupted, beside(1)); }
    SUBCASE("others") { every_way({"made; refused", "refused; made"}, interrupted, beside(2)); }
}

// --- the end -------------------------------------------------------------------------------------

TEST_CASE("a publish to two beside a close is in both, and reported, or nowhere [7.5]") {
    const auto beside = [](std::size_t retained) {
        return [=](World& world, auto s) {
            s->topics({.retain_count = retained});
            s->a = s->subscribe("x");
            s->b = s->subscribe("*");
            world.spawn("publisher", [=] { s->publish(1); });
            world.spawn("closer",
                        [=] { s->say(std::to_string(s->broker().close().left()) + " left"); });
            world.finally([=] {
                const std::size_t each = s->ids[1] != MessageId{} ? 1 : 0;
                s->check(s->a->size() == each && s->b->size() == each, "a copy is missing");
                s->check(s->x->publish(Parcel{2}) == Errc::closed, "is open");
                if (each == 1) { s->say(s->latch(s->ids[1])); }
                s->finish(true);
            });
        };
    };
    const std::set<std::string> ways{"published; 2 left; failed", "closed; 0 left"};
    SUBCASE("retained") { every_way(ways, interrupted, beside(1)); }
    SUBCASE("not retained") { every_way(ways, interrupted, beside(0)); }
}

TEST_CASE("close ends a publish that waits for a subscription, and it is nowhere [7.5]") {
    every_way({"closed; 2 left"}, interrupted, [](World& world, auto s) {
        s->topics();
        s->a = s->subscribe("x");
        s->b = s->subscribe("*", of(1, Overflow::block));
        s->accept(9);
        world.spawn("publisher", [=] { s->publish(1); });
        world.spawn("closer",
                    [=] { s->say(std::to_string(s->broker().close().left()) + " left"); });
        world.finally([=] { s->finish(true); });
    });
}

TEST_CASE("a subscription made beside a close works or says closed [7.5]") {
    every_way({"closed"}, interrupted, [](World& world, auto s) {
        s->topics();
        world.spawn("subscriber", [=] {
            s->a = s->subscribe("x");
            s->fetch(*s->a);
        });
        world.spawn("closer", [=] { s->broker().close(); });
        world.finally([=] { s->finish(true); });
    });
}

TEST_CASE("drain refuses a publish, or waits for its copies [7.5]") {
    const auto beside = [](bool room) {
        return [=](World& world, auto s) {
            s->topics();
            s->a = s->subscribe("x");
            s->b = s->subscribe("*");
            if (room) {
                s->accept(2);
                s->check(s->left(*s->a) + s->left(*s->b) == "22", "one has not got it");
            }
            world.spawn("publisher", [=] { s->publish(1); });
            world.spawn("drainer", [=] {
                s->say(std::to_string(s->broker().drain(10s).left()) + " left");
            });
            world.spawn("consumer", [=] {
                s->fetch(*s->a);
                s->fetch(*s->b);
            });
            world.finally([=] { s->finish(true); });
        };
    };
    const std::set<std::string> either = {"published; 0 left; got 1 got 1",
                                          "closed; 0 left; closed closed"};
    SUBCASE("slots are booked, as there is no room for them yet") {
        every_way(either, two_preemptions, beside(false));
    }
    SUBCASE("there is room, and all are held together") {
        every_way(either, two_preemptions, beside(true));
    }
}

TEST_CASE("drain ends a publish that waits for room [7.5]") {
    every_way({"closed; 0 left; got 9"}, three_preemptions, [](World& world, auto s) {
        s->topics();
        s->a = s->subscribe("*", of(1, Overflow::block));
        s->accept(9);
        world.spawn_early("publisher", [=] { s->publish(1); });
        world.spawn_early("drainer",
                          [=] { s->say(std::to_string(s->broker().drain(10s).left()) + " left"); });
        world.spawn("consumer", [=] { s->fetch(*s->a); });
        world.finally([=] { s->finish(true); });
    });
}

TEST_CASE("a broker is destroyed beside a publish and a read through a topic [4.8] [7.5]") {
    every_way({"published; read", "published; closed", "closed; closed", "closed; read"},
              three_preemptions, [](World& world, auto s) {
                  s->topics({.retain_count = 3});
                  s->a = s->subscribe("x");
                  s->b = s->subscribe("*");
                  s->accept(9);
                  world.spawn("publisher", [=] {
                      const auto published = s->x->publish(Parcel{1});
                      s->say_error(published, "published");
                  });
                  world.spawn("reader", [=] {
                      auto got = s->x->read(s->ids[9]);
                      s->say_error(got, "read");
                      if (got) { s->body = std::move(*got); }
                  });
                  world.spawn("owner", [=] { s->destroy_broker(); });
                  world.finally([=] {
                      s->check(!s->body || s->body->number() == 9, "a body changed");
                      s->finish(true);
                  });
              });
}

TEST_CASE("who fetches a copy may destroy everything at once, and then the clock [4.8]") {
    struct All {
        std::optional<Clock> clock;
        std::optional<Broker> broker;
        std::optional<Subscription> a;
        std::optional<Subscription> b;
    };
    const auto destroy = [](bool first) {
        return [=](World& world, auto scene) {
            const auto everything = std::make_shared<All>();
            everything->clock.emplace();
            everything->broker.emplace(latchbox::BrokerOptions{.clock = &*everything->clock});
            everything->a.emplace(everything->broker->subscribe("x"));
            everything->b.emplace(everything->broker->subscribe("*"));
            const auto topic =
                std::make_shared<std::optional<Topic>>(everything->broker->topic("x"));
            world.spawn("publisher", [=] {
                scene->say((*topic)->publish(Parcel{1}) ? "published" : "closed");
                topic->reset();
            });
            world.spawn("fetcher", [=] {
                (first ? everything->a : everything->b)->fetch()->ack();
                everything->a.reset();
                everything->b.reset();
                everything->broker.reset();
                everything->clock.reset();
            });
            world.finally([=] { scene->finish(true); });
        };
    };
    SUBCASE("the first copy") {
        every_schedule({}, destroy(true), {"published"}, three_interrupted);
    }
    SUBCASE("the last copy") {
        every_schedule({}, destroy(false), {"published"}, three_interrupted);
    }
}

TEST_CASE("a delivery outlives its subscription, which ends beside its reading [4.8]") {
    every_way({"1 closed"}, interrupted, [](World& world, auto s) {
        s->topics();
        s->a = s->subscribe("x");
        s->b = s->subscribe("*");
        s->accept(1);
        s->held_a = s->a->try_fetch().value();
        world.spawn("leaver", [=] { s->a.reset(); });
        world.spawn("other", [=] { s->pop(*s->b); });
        world.finally([=] {
            s->say(std::to_string(s->held_a->body().number()));
            s->say_error(s->held_a->ack(), "acked");
            s->finish();
        });
    });
}

// --- the search itself ---------------------------------------------------------------------------

namespace {

std::set<std::string> words(const std::map<std::string, std::uint64_t>& counted) {
    std::set<std::string> found;
    for (const auto& [word, count] : counted) { found.insert(word); }
    return found;
}

}  // namespace

TEST_CASE("pruning loses no way in which a small program of topics may go") {
    const auto program = [](World& world) {
        Parcel::live = 0;
        const auto s = std::make_shared<Stage>(world, std::make_shared<Scene>(world));
        s->topics();
        s->a = s->subscribe("x");
        world.spawn("publisher", [=] { s->publish(1); });
        world.spawn("leaver", [=] { s->a->unsubscribe(); });
        world.finally([=] {
            s->say(std::to_string(s->broker().stats().discarded));
            s->finish();
        });
    };
    for (const std::uint32_t preemptions : {1U, 2U}) {
        Strategy full = Strategy::unpruned();
        Strategy few = Strategy::exhaustive();
        full.rules.preemptions = few.rules.preemptions = preemptions;
        const Report unpruned = latchbox::testing::explore(program, full);
        const Report pruned = latchbox::testing::explore(program, few);
        CHECK(unpruned.complete);
        CHECK(pruned.complete);
        CHECK(unpruned.failures.empty());
        CHECK((words(pruned.outcomes) == words(unpruned.outcomes)));
        std::printf("pruning: topics, %u preemptions: schedules %llu, pruned %llu\n", preemptions,
                    static_cast<unsigned long long>(unpruned.schedules),
                    static_cast<unsigned long long>(pruned.schedules + pruned.cut));
    }
}
