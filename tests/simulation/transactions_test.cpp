// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <cstddef>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "simulation/ledger.hpp"

// Transactions under all schedules of small programs: all or none, at one instant, and draining
// beside what they move. [7.3] [7.5]
using namespace scenes;

namespace {

// Acks what is held at `place`, and publishes.
Transaction moving(Ledger& s, std::size_t place, const Queue& to, int number,
                   const PublishOptions& options = {}) {
    Transaction transaction = s.broker().transaction();
    s.check(transaction.ack(std::move(*s.held[place])).has_value(), "does not take a delivery");
    s.check(transaction.publish(to, Parcel{number}, options).has_value(),
            "does not take a message");
    return transaction;
}
// Says how it went; then what was acked is settled, and what was published has come.
bool commit(Ledger& s, Transaction& transaction, std::initializer_list<int> acked,
            std::initializer_list<int> published = {}) {
    const auto done = transaction.commit();
    s.say_error(done, "committed");
    if (!done) { return false; }
    for (const int number : acked) { s.settled(s.ids[static_cast<std::size_t>(number)]); }
    s.check(done->size() >= published.size(), "returns too few ids");
    std::size_t i = 0;
    for (const int number : published) { s.came(number, (*done)[i++]); }
    return true;
}
bool move(Ledger& s, std::size_t place, int from, const Queue& to, int number,
          const PublishOptions& options = {}) {
    Transaction transaction = moving(s, place, to, number, options);
    return commit(s, transaction, {from}, {number});
}
// The same by the short form.
bool move_on(Ledger& s, Delivery& delivery, const Queue& to, int number) {
    const MessageId from = delivery.id();
    const auto moved = delivery.ack_and_publish(to, Parcel{number});
    s.say_error(moved, "moved");
    if (!moved) { return false; }
    s.settled(from);
    s.came(number, *moved);
    return true;
}

}  // namespace

// --- two commits ---------------------------------------------------------------------------------

TEST_CASE("two commits crosswise between two queues both happen, in one order of locks [7.3]") {
    every_entry({"committed; committed; 4 3"}, interrupted, [](World& world, auto s) {
        s->queues();
        s->hold(0, *s->a, 1);
        s->hold(1, *s->b, 2);
        world.spawn("one", [=] { move(*s, 0, 1, *s->b, 3); });
        world.spawn("other", [=] { move(*s, 1, 2, *s->a, 4); });
        world.finally([=] {
            s->say(s->left());
            s->finish();
        });
    });
}

TEST_CASE("two crosswise without room are both refused, and keep what they hold [7.3]") {
    every_entry({"the queue is full; the queue is full; 1 2"}, three_interrupted,
                [](World& world, auto s) {
                    s->queues({.capacity = 1}, {.capacity = 1});
                    s->hold(0, *s->a, 1);
                    s->hold(1, *s->b, 2);
                    world.spawn("one", [=] { move(*s, 0, 1, *s->b, 3); });
                    world.spawn("other", [=] { move(*s, 1, 2, *s->a, 4); });
                    world.finally([=] {
                        s->say(s->left());
                        s->finish();
                    });
                });
}

TEST_CASE("of two commits for one place one is refused, and keeps what it holds [7.3] [4.12]") {
    every_entry({"committed; the queue is full; 2 3", "the queue is full; committed; 1 4"},
                interrupted, [](World& world, auto s) {
                    s->queues({}, {.capacity = 1});
                    s->hold(0, *s->a, 1);
                    s->hold(1, *s->a, 2);
                    world.spawn("one", [=] { move(*s, 0, 1, *s->b, 3); });
                    world.spawn("other", [=] { move(*s, 1, 2, *s->b, 4); });
                    world.finally([=] {
                        s->say(s->left());
                        s->finish();
                    });
                });
}

TEST_CASE("what was refused may be committed again, when there is room [7.3]") {
    const std::string full = "the queue is full";
    every_entry({"committed; got 9; - 2", full + " committed; got 9; - 2",
                 full + " " + full + "; got 9; 1 -"},
                interrupted, [](World& world, auto s) {
                    s->queues({}, {.capacity = 1});
                    s->accept(*s->b, 9);
                    s->hold(0, *s->a, 1);
                    world.spawn("committer", [=] {
                        Transaction transaction = moving(*s, 0, *s->b, 2);
                        if (!commit(*s, transaction, {1}, {2})) {
                            commit(*s, transaction, {1}, {2});
                        }
                    });
                    world.spawn("consumer", [=] { s->try_fetch(*s->b); });
                    world.finally([=] {
                        s->say(s->left());
                        s->finish();
                    });
                });
}

// --- beside what else may happen -----------------------------------------------------------------

TEST_CASE("a commit beside the end of a lease: all of it, or nothing [7.3] [4.3]") {
    const auto runs_out = [](Ledger& s) {
        s.clock().advance(10s);
        s.try_fetch(*s.a);
    };
    SUBCASE("of its only delivery") {
        every_entry({"committed; nothing is ready; - 2", "the lease is lost; got 1; - -"},
                    interrupted, [=](World& world, auto s) {
                        s->queues({.lease = 10s});
                        s->hold(0, *s->a, 1);
                        world.spawn("committer", [=] { move(*s, 0, 1, *s->b, 2); });
                        world.spawn("clock", [=] { runs_out(*s); });
                        world.finally([=] {
                            s->say(s->left());
                            s->finish();
                        });
                    });
    }
    SUBCASE("of one of two") {
        every_entry({"committed; nothing is ready; - 3", "the lease is lost; got 1; - 2"},
                    three_interrupted, [=](World& world, auto s) {
                        s->queues({.lease = 10s});
                        s->hold(0, *s->a, 1);
                        s->hold(1, *s->b, 2);
                        world.spawn("committer", [=] {
                            Transaction transaction = moving(*s, 0, *s->b, 3);
                            s->check(transaction.ack(std::move(*s->held[1])).has_value(),
                                     "does not take a delivery");
                            commit(*s, transaction, {1, 2}, {3});
                        });
                        world.spawn("clock", [=] { runs_out(*s); });
                        world.finally([=] {
                            s->say(s->left());
                            s->finish();
                        });
                    });
    }
    SUBCASE("by the short form, which keeps the lease that it has") {
        every_entry({"moved; nothing is ready; - 2", "the lease is lost; got 1; - -"}, interrupted,
                    [=](World& world, auto s) {
                        s->queues({.lease = 10s});
                        s->hold(0, *s->a, 1);
                        world.spawn("mover", [=] { move_on(*s, *s->held[0], *s->b, 2); });
                        world.spawn("clock", [=] { runs_out(*s); });
                        world.finally([=] {
                            s->say(s->left());
                            s->finish();
                        });
                    });
    }
}

TEST_CASE("a commit beside a settle by receipt: one of them holds [7.3] [4.2]") {
    every_entry({"committed; the lease is lost; - 2", "the lease is lost; acked; - -"}, interrupted,
                [](World& world, auto s) {
                    s->queues();
                    s->hold(0, *s->a, 1);
                    const auto receipt = s->held[0]->receipt();
                    world.spawn("committer", [=] { move(*s, 0, 1, *s->b, 2); });
                    world.spawn("other", [=] {
                        const auto done = s->a->ack(receipt);
                        s->say_error(done, "acked");
                        if (done) { s->settled(s->ids[1]); }
                    });
                    world.finally([=] {
                        s->say(s->left());
                        s->finish();
                    });
                });
}

TEST_CASE("a commit beside a close is in the report as a whole, or not at all [7.3] [7.5]") {
    every_entry({"committed; 2 left", "closed; 1 left"}, interrupted, [](World& world, auto s) {
        s->queues();
        s->hold(0, *s->a, 1);
        const auto transaction = std::make_shared<std::optional<Transaction>>();
        transaction->emplace(moving(*s, 0, *s->b, 2));
        s->check((*transaction)->publish(*s->a, Parcel{3}).has_value(), "does not take a message");
        world.spawn("committer", [=] { commit(*s, **transaction, {1}, {2, 3}); });
        world.spawn("closer", [=] { s->say_left(s->broker().close()); });
        world.finally([=] {
            transaction->reset();
            s->finish(true);
        });
    });
}

TEST_CASE("a transaction may outlive its broker, whoever ends that meanwhile [7.3] [4.8]") {
    every_entry({"committed", "closed"}, three_interrupted, [](World& world, auto s) {
        s->queues();
        s->hold(0, *s->a, 1);
        const auto transaction = std::make_shared<std::optional<Transaction>>();
        transaction->emplace(moving(*s, 0, *s->b, 2));
        world.spawn("committer", [=] { commit(*s, **transaction, {1}, {2}); });
        world.spawn("owner", [=] { s->destroy_broker(); });
        world.finally([=] {
            transaction->reset();
            s->finish(true);
        });
    });
}

TEST_CASE("a commit beside the removal of a queue: all of it, or nothing [7.3] [6.7]") {
    const auto beside = [](const char* removed) {
        return [=](World& world, auto s) {
            s->queues();
            s->hold(0, *s->a, 1);
            world.spawn("committer", [=] { move(*s, 0, 1, *s->b, 2); });
            world.spawn("remover", [=] { s->broker().remove(removed); });
            world.finally([=] {
                s->say(s->left());
                s->finish();
            });
        };
    };
    SUBCASE("that it publishes to") {
        every_entry({"committed; - -", "closed; 1 -"}, interrupted, beside("b"));
    }
    SUBCASE("that it settles in") {
        every_entry({"committed; - 2", "closed; - -"}, interrupted, beside("a"));
    }
}

TEST_CASE("a commit beside a publish into the last place: one of them is accepted [7.3] [4.12]") {
    SUBCASE("of one") {
        every_entry({"committed; the queue is full; - 2", "the queue is full; published; 1 3"},
                    interrupted, [](World& world, auto s) {
                        s->queues({}, {.capacity = 1});
                        s->hold(0, *s->a, 1);
                        world.spawn("committer", [=] { move(*s, 0, 1, *s->b, 2); });
                        world.spawn("publisher", [=] { s->publish(*s->b, 3); });
                        world.finally([=] {
                            s->say(s->left());
                            s->finish();
                        });
                    });
    }
    SUBCASE("of two, of which it needs both") {
        every_entry({"committed; the queue is full; - 23", "the queue is full; published; 1 4"},
                    interrupted, [](World& world, auto s) {
                        s->queues({}, {.capacity = 2});
                        s->hold(0, *s->a, 1);
                        world.spawn("committer", [=] {
                            Transaction transaction = moving(*s, 0, *s->b, 2);
                            s->check(transaction.publish(*s->b, Parcel{3}).has_value(),
                                     "does not take a message");
                            commit(*s, transaction, {1}, {2, 3});
                        });
                        world.spawn("publisher", [=] { s->publish(*s->b, 4); });
                        world.finally([=] {
                            s->say(s->left());
                            s->finish();
                        });
                    });
    }
}

TEST_CASE("the room that a commit makes where it publishes is its own [7.3] [4.9]") {
    SUBCASE("beside who takes none") {
        every_entry({"committed; the queue is full; 3 -"}, interrupted, [](World& world, auto s) {
            s->queues({.capacity = 1});
            s->hold(0, *s->a, 1);
            world.spawn("committer", [=] { move(*s, 0, 1, *s->a, 3); });
            world.spawn("publisher", [=] { s->publish(*s->a, 4); });
            world.finally([=] {
                s->say(s->left());
                s->finish();
            });
        });
    }
    SUBCASE("beside who waits for room") {
        every_entry(
            {"committed; published; got 3; 4 -"}, two_interrupted, [](World& world, auto s) {
                s->queues({.capacity = 1, .overflow = Overflow::block, .block_for = for_ever});
                s->hold(0, *s->a, 1);
                world.spawn("committer", [=] { move(*s, 0, 1, *s->a, 3); });
                world.spawn("publisher", [=] { s->publish(*s->a, 4); });
                world.spawn("consumer", [=] { s->fetch(*s->a); });
                world.finally([=] {
                    s->say(s->left());
                    s->finish();
                });
            });
    }
}

TEST_CASE("the room that a commit makes and does not use goes to who waits for it [7.3] [4.9]") {
    every_entry({"committed; published; 4 2"}, interrupted, [](World& world, auto s) {
        s->queues({.capacity = 1, .overflow = Overflow::block, .block_for = for_ever});
        s->hold(0, *s->a, 1);
        world.spawn("committer", [=] { move(*s, 0, 1, *s->b, 2); });
        world.spawn("publisher", [=] { s->publish(*s->a, 4); });
        world.finally([=] {
            s->say(s->left());
            s->finish();
        });
    });
}

TEST_CASE("a commit evicts for its room, but never what is fetched beside it [7.3] [7.2]") {
    every_entry({"committed; got 9; - 2", "committed; got 2; - -", "the queue is full; got 9; 1 -"},
                interrupted, [](World& world, auto s) {
                    s->queues({}, {.capacity = 1, .overflow = Overflow::drop_oldest});
                    s->accept(*s->b, 9);
                    s->hold(0, *s->a, 1);
                    world.spawn("committer", [=] { move(*s, 0, 1, *s->b, 2); });
                    world.spawn("consumer", [=] { s->try_fetch(*s->b); });
                    world.finally([=] {
                        s->say(s->left());
                        s->finish();
                    });
                });
}

// --- wakes ---------------------------------------------------------------------------------------

TEST_CASE("what one commit publishes comes at one instant [7.3]") {
    const auto beside = [](bool backwards) {
        return [=](World& world, auto s) {
            s->queues();
            s->hold(0, *s->a, 1);
            world.spawn("committer", [=] {
                Transaction transaction = moving(*s, 0, *s->b, 2);
                s->check(transaction.publish(*s->a, Parcel{3}).has_value(),
                         "does not take a message");
                commit(*s, transaction, {1}, {2, 3});
            });
            world.spawn("consumer", [=] {
                s->fetch(backwards ? *s->b : *s->a);
                s->check(s->try_fetch(backwards ? *s->a : *s->b), "finds half of a commit");
            });
            world.finally([=] { s->finish(); });
        };
    };
    SUBCASE("seen from the one queue") {
        every_entry({"committed; got 3 got 2"}, interrupted, beside(false));
    }
    SUBCASE("seen from the other") {
        every_entry({"committed; got 2 got 3"}, interrupted, beside(true));
    }
}

TEST_CASE("one commit wakes all that wait for what it publishes [7.3] [4.9]") {
    const auto beside = [](bool one_queue) {
        return [=](World& world, auto s) {
            s->queues();
            s->hold(0, *s->a, 1);
            world.spawn("committer", [=] {
                Transaction transaction = moving(*s, 0, *s->b, 2);
                s->check(transaction.publish(one_queue ? *s->b : *s->a, Parcel{3}).has_value(),
                         "does not take a message");
                commit(*s, transaction, {1}, {2, 3});
            });
            world.spawn("one", [=] { s->fetch(*s->b); });
            world.spawn("other", [=] { s->fetch(one_queue ? *s->b : *s->a); });
            world.finally([=] { s->finish(); });
        };
    };
    SUBCASE("in one queue") {
        every_entry({"committed; got 2; got 3", "committed; got 3; got 2"}, three_interrupted,
                    beside(true));
    }
    SUBCASE("in two") {
        every_entry({"committed; got 2; got 3"}, three_interrupted, beside(false));
    }
}

TEST_CASE("what a transaction never commits goes back, to who waits for it [7.3] [4.9]") {
    every_entry({"got 1; - -"}, interrupted, [](World& world, auto s) {
        s->queues();
        s->hold(0, *s->a, 1);
        world.spawn("holder", [=] { static_cast<void>(moving(*s, 0, *s->b, 2)); });
        world.spawn("consumer", [=] { s->fetch(*s->a); });
        world.finally([=] {
            s->say(s->left());
            s->finish();
        });
    });
}

TEST_CASE("what is acked and published in one is fetched once, elsewhere [7.3]") {
    SUBCASE("another message") {
        every_entry({"moved; got 2; - -"}, interrupted, [](World& world, auto s) {
            s->queues();
            s->hold(0, *s->a, 1);
            world.spawn("mover", [=] { move_on(*s, *s->held[0], *s->b, 2); });
            world.spawn("consumer", [=] { s->fetch(*s->b); });
            world.finally([=] {
                s->say(s->left());
                s->finish();
            });
        });
    }
    const auto forwarding = [](bool to_itself) {
        return [=](World& world, auto s) {
            s->queues();
            s->hold(0, *s->a, 1);
            world.spawn("mover", [=] {
                const auto moved = s->held[0]->forward(to_itself ? *s->a : *s->b);
                s->say_error(moved, "forwarded");
                if (!moved) { return; }
                s->settled(s->ids[1]);
                s->came(*moved);
            });
            world.spawn("consumer", [=] { s->fetch(to_itself ? *s->a : *s->b); });
            world.finally([=] {
                s->say(s->left());
                s->finish();
            });
        };
    };
    SUBCASE("its own body") {
        every_entry({"forwarded; got 1; - -"}, interrupted, forwarding(false));
    }
    SUBCASE("to its own queue") {
        every_entry({"forwarded; got 1; - -"}, interrupted, forwarding(true));
    }
}

TEST_CASE("a commit ends the tokens of its leases, once and without a lock [7.3] [7.7]") {
    every_entry({"committed; - 2", "the lease is lost; 1 -"}, three_interrupted,
                [](World& world, auto s) {
                    s->queues({.lease = 10s});
                    s->hold(0, *s->a, 1);
                    const auto rung = std::make_shared<int>(0);
                    const auto ring = [=] {
                        Simulated::user_code();
                        ++*rung;
                    };
                    using Callback = Simulated::StopCallback<decltype(ring)>;
                    const auto callback = std::make_shared<std::optional<Callback>>();
                    callback->emplace(s->held[0]->lease_token(), ring);
                    world.spawn("committer", [=] { move(*s, 0, 1, *s->b, 2); });
                    world.spawn("clock", [=] {
                        s->clock().advance(10s);
                        s->broker().poll();
                    });
                    world.finally([=] {
                        s->check(*rung == 1, "does not call once");
                        callback->reset();
                        s->say(s->left());
                        s->finish();
                    });
                });
}

// --- parents, keys, values -----------------------------------------------------------------------

TEST_CASE("a child of a commit is free with the ack of its parent, whoever acks that [7.3] [5.4]") {
    SUBCASE("the same commit") {
        every_entry({"committed; got 2"}, interrupted, [](World& world, auto s) {
            s->queues();
            s->hold(0, *s->a, 1);
            world.spawn("committer", [=] { move(*s, 0, 1, *s->b, 2, {.parents = {s->ids[1]}}); });
            world.spawn("consumer", [=] { s->fetch(*s->b); });
            world.finally([=] { s->finish(); });
        });
    }
    SUBCASE("somebody beside it") {
        every_entry({"committed; acked; - 2"}, interrupted, [](World& world, auto s) {
            s->queues();
            s->hold(0, *s->a, 1);
            s->hold(1, *s->b, 9);
            world.spawn("committer", [=] { move(*s, 0, 1, *s->b, 2, {.parents = {s->ids[9]}}); });
            world.spawn("other", [=] { s->ack(*s->held[1]); });
            world.finally([=] {
                s->say(s->left());
                s->finish();
            });
        });
    }
    SUBCASE("another commit, and its own child waits for the first") {
        every_entry({"committed; committed; 4 3"}, two_interrupted, [](World& world, auto s) {
            s->queues();
            s->hold(0, *s->a, 1);
            s->hold(1, *s->b, 2);
            world.spawn("one", [=] { move(*s, 0, 1, *s->b, 3, {.parents = {s->ids[2]}}); });
            world.spawn("other", [=] { move(*s, 1, 2, *s->a, 4, {.parents = {s->ids[1]}}); });
            world.finally([=] {
                s->say(s->left());
                s->finish();
            });
        });
    }
}

TEST_CASE("a commit that ends the head of a key and joins its line [7.3] [5.7]") {
    every_entry({"committed; published; 34 -", "committed; published; 43 -"}, interrupted,
                [](World& world, auto s) {
                    s->queues();
                    s->hold(0, *s->a, 1, {.key = "k"});
                    world.spawn("committer", [=] { move(*s, 0, 1, *s->a, 3, {.key = "k"}); });
                    world.spawn("publisher", [=] { s->publish(*s->a, 4, {.key = "k"}); });
                    world.finally([=] {
                        s->say(s->left());
                        s->finish();
                    });
                });
}

TEST_CASE("a value in a commit and beside it is one message [7.3] [7.1]") {
    every_entry({"committed; published; - 2", "committed; published; - 3"}, interrupted,
                [](World& world, auto s) {
                    s->queues();
                    s->hold(0, *s->a, 1);
                    world.spawn("committer", [=] { move(*s, 0, 1, *s->b, 2, {.dedup = "v"}); });
                    world.spawn("publisher", [=] { s->publish(*s->b, 3, {.dedup = "v"}); });
                    world.finally([=] {
                        s->check(s->ids[2] == s->ids[3], "gives another id");
                        s->say(s->left());
                        s->finish();
                    });
                });
}

// --- topics --------------------------------------------------------------------------------------

namespace {

// Acks 1 of the queue and publishes 2 to the topic.
void commit_to_topic(Ledger& s) {
    Transaction transaction = s.broker().transaction();
    s.check(transaction.ack(std::move(*s.held[0])).has_value(), "does not take a delivery");
    s.check(transaction.publish(*s.x, Parcel{2}).has_value(), "does not take a message");
    commit(s, transaction, {1});
}

}  // namespace

TEST_CASE("a commit to a topic beside who subscribes: with a copy for it, or without [7.3] [6.3]") {
    every_entry({"committed; - - -", "committed; - - 2"}, three_interrupted,
                [](World& world, auto s) {
                    s->queues();
                    s->x.emplace(s->broker().topic("x"));
                    s->hold(0, *s->a, 1);
                    world.spawn("committer", [=] { commit_to_topic(*s); });
                    world.spawn("subscriber", [=] { s->sub = s->broker().subscribe("x"); });
                    world.finally([=] {
                        std::string got = "-";
                        if (const auto one = s->sub->pop()) { got = std::to_string(one->number()); }
                        s->say({s->left(), got});
                        s->finish();
                    });
                });
}

TEST_CASE(
    "a commit of a child to a topic beside who subscribes: each copy has its wait [7.3] [5.4]") {
    every_entry({"committed; acked - - 2 -", "committed; acked - - 2 2"}, two_interrupted,
                [](World& world, auto s) {
                    s->queues();
                    s->x.emplace(s->broker().topic("x"));
                    s->sub = s->broker().subscribe("x");
                    s->hold(0, *s->a, 1);
                    s->hold(1, *s->b, 9);
                    using Joined = std::optional<std::decay_t<decltype(*s->sub)>>;
                    const auto joined = std::make_shared<Joined>();
                    world.spawn("committer", [=] {
                        Transaction transaction = s->broker().transaction();
                        s->check(transaction.ack(std::move(*s->held[0])).has_value(), "no ack");
                        const PublishOptions child{.parents = {s->ids[9]}};
                        s->check(transaction.publish(*s->x, Parcel{2}, child).has_value(),
                                 "does not take a message");
                        commit(*s, transaction, {1});
                    });
                    world.spawn("subscriber", [=] { *joined = s->broker().subscribe("x"); });
                    world.finally([=] {
                        const auto pop = [](auto& from) -> std::string {
                            const auto one = from.pop();
                            return one ? std::to_string(one->number()) : "-";
                        };
                        s->check(pop(*s->sub) == "-", "delivers a child before its parent");
                        s->ack(*s->held[1]);
                        const std::string first = pop(*s->sub);
                        const std::string second = pop(**joined);
                        s->say({s->left(), first + ' ' + second});
                        joined->reset();
                        s->finish();
                    });
                });
}

TEST_CASE("a commit to a topic whose last subscriber leaves: all of it, or nothing [7.3] [6.5]") {
    const auto beside = [](const TopicOptions& topic, const SubscriptionOptions& options,
                           bool full) {
        return [=](World& world, auto s) {
            s->queues();
            s->x.emplace(s->broker().topic("x", topic));
            s->sub = s->broker().subscribe("x", options);
            if (full) { s->check(s->x->publish(Parcel{8}).has_value(), "refuses a message"); }
            s->hold(0, *s->a, 1);
            world.spawn("committer", [=] { commit_to_topic(*s); });
            world.spawn("leaver", [=] { s->sub->unsubscribe(); });
            world.finally([=] {
                s->say(s->left());
                s->finish();
            });
        };
    };
    SUBCASE("where that refuses it") {
        every_entry({"committed; - -", "no subscriber; 1 -"}, three_interrupted,
                    beside({.unrouted = latchbox::Unrouted::reject}, {}, false));
    }
    SUBCASE("where its fullness did") {
        every_entry({"committed; - -", "the queue is full; 1 -"}, three_interrupted,
                    beside({}, {.capacity = 1, .overflow = Overflow::reject}, true));
    }
}

// --- draining ------------------------------------------------------------------------------------

namespace {

constexpr latchbox::testing::Rules one_preemption{.preemptions = 1};

// The drain has no other end than that all is settled.
void drain(Ledger& s) { s.say_left(s.broker().drain(for_ever)); }

}  // namespace

TEST_CASE("a drain does not end while a message is on its way between queues [7.5] [7.3]") {
    const auto beside = [](bool backwards, bool short_form) {
        return [=](World& world, auto s) {
            s->queues();
            Queue& from = backwards ? *s->b : *s->a;
            Queue& to = backwards ? *s->a : *s->b;
            s->hold(0, from, 1);
            world.spawn("mover", [=] {
                if (short_form) { return void(move_on(*s, *s->held[0], to, 2)); }
                move(*s, 0, 1, to, 2);
            });
            world.spawn("consumer", [=] { s->work(to); });
            world.spawn("drainer", [=] { drain(*s); });
            world.finally([=] { s->finish(true); });
        };
    };
    SUBCASE("by the short form") {
        every_entry({"moved; got 2 closed; 0 left"}, two_preemptions, beside(false, true));
    }
    SUBCASE("to a queue that was looked at before") {
        every_entry({"moved; got 2 closed; 0 left"}, two_preemptions, beside(true, true));
    }
    SUBCASE("by a transaction") {
        every_entry({"committed; got 2 closed; 0 left"}, two_preemptions, beside(false, false));
    }
    SUBCASE("by a transaction to a queue that was looked at before") {
        every_entry({"committed; got 2 closed; 0 left"}, two_preemptions, beside(true, false));
    }
}

TEST_CASE("a drain does not end while a message goes to and fro [7.5] [7.3]") {
    every_entry({"moved got 3 closed; moved closed; 0 left"}, one_preemption,
                [](World& world, auto s) {
                    s->queues();
                    s->hold(0, *s->a, 1);
                    world.spawn("one", [=] {
                        move_on(*s, *s->held[0], *s->b, 2);
                        s->work(*s->a);
                    });
                    world.spawn("other", [=] {
                        auto got = s->b->fetch();
                        s->check(got.has_value(), "is told of an end too early");
                        move_on(*s, *got, *s->a, 3);
                        s->fetch(*s->b);
                    });
                    world.spawn("drainer", [=] { drain(*s); });
                    world.finally([=] { s->finish(true); });
                });
}

TEST_CASE("a drain refuses a publish and takes what is committed with a settle [7.5] [7.3]") {
    every_entry({"moved got 3 closed; published; got 2 closed; 0 left",
                 "moved closed; closed; got 2 closed; 0 left"},
                one_preemption, [](World& world, auto s) {
                    s->queues();
                    s->hold(0, *s->a, 1);
                    world.spawn("mover", [=] {
                        move_on(*s, *s->held[0], *s->b, 2);
                        s->work(*s->a);
                    });
                    world.spawn("publisher", [=] { s->publish(*s->a, 3); });
                    world.spawn("consumer", [=] { s->work(*s->b); });
                    world.spawn("drainer", [=] { drain(*s); });
                    world.finally([=] { s->finish(true); });
                });
}

TEST_CASE("a drain refuses a transaction that settles nothing, or waits for it [7.5] [7.3]") {
    every_entry({"committed; got 2 closed; 0 left", "closed; closed; 0 left"}, two_preemptions,
                [](World& world, auto s) {
                    s->queues();
                    world.spawn("committer", [=] {
                        Transaction transaction = s->broker().transaction();
                        // Refused already, once it has closed; then the commit says that.
                        static_cast<void>(transaction.publish(*s->b, Parcel{2}));
                        commit(*s, transaction, {}, {2});
                    });
                    world.spawn("consumer", [=] { s->work(*s->b); });
                    world.spawn("drainer", [=] { drain(*s); });
                    world.finally([=] { s->finish(true); });
                });
}

TEST_CASE("a drain waits for what is moved to a topic [7.5] [7.3]") {
    every_entry({"committed; got 2 closed; 0 left"}, two_preemptions, [](World& world, auto s) {
        s->queues();
        s->x.emplace(s->broker().topic("x"));
        s->sub = s->broker().subscribe("x");
        s->hold(0, *s->a, 1);
        world.spawn("committer", [=] { commit_to_topic(*s); });
        world.spawn("consumer", [=] { s->work(*s->sub); });
        world.spawn("drainer", [=] { drain(*s); });
        world.finally([=] { s->finish(true); });
    });
}

TEST_CASE("a drain whose time is over beside a commit reports what is left of it [7.5] [7.3]") {
    every_entry({"moved; 1 left", "closed; 1 left"}, two_preemptions, [](World& world, auto s) {
        s->queues();
        s->hold(0, *s->a, 1);
        world.spawn("mover", [=] { move_on(*s, *s->held[0], *s->b, 2); });
        world.spawn("drainer", [=] { s->say_left(s->broker().drain(10s)); });
        world.spawn("clock", [=] { s->clock().advance(10s); });
        world.spawn_at_rest("more time", [=] { s->clock().advance(10s); });
        world.finally([=] { s->finish(true); });
    });
}
