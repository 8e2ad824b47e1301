// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "simulation/ledger.hpp"

// What consumers lean on, under all schedules of small programs: publishes that are told apart by
// a value, and tokens that say when a lease is over. [7.1] [7.7]
using namespace scenes;

// --- dedup ---------------------------------------------------------------------------------------

namespace {

const auto once = PublishOptions{.dedup = "once"};
const auto once_waiting = PublishOptions{.dedup = "once", .block_for = for_ever};

// Of the messages 1 and 2 with one value: whether the second publish got the id of the first.
std::string sameness(const std::shared_ptr<Ledger>& s) {
    if (s->ids[1] == MessageId{} || s->ids[2] == MessageId{}) { return "one"; }
    return s->ids[1] == s->ids[2] ? "same" : "two";
}

}  // namespace

TEST_CASE("of two publishes with one value one is accepted, and both get its id [7.1]") {
    every_entry({"published; published; same 1 -", "published; published; same 2 -"}, interrupted,
                [](World& world, auto s) {
                    s->queues();
                    world.spawn("one", [=] { s->publish(*s->a, 1, once); });
                    world.spawn("other", [=] { s->publish(*s->a, 2, once); });
                    world.finally([=] {
                        s->check(s->a->stats().deduplicated == 1, "counts another");
                        s->say({sameness(s), s->left()});
                        s->finish();
                    });
                });
}

TEST_CASE("one value in two queues is two messages [7.1]") {
    every_entry({"published; published; two 1 2"}, three_interrupted, [](World& world, auto s) {
        s->queues();
        world.spawn("one", [=] { s->publish(*s->a, 1, once); });
        world.spawn("other", [=] { s->publish(*s->b, 2, once); });
        world.finally([=] {
            s->say({sameness(s), s->left()});
            s->finish();
        });
    });
}

TEST_CASE("a repeat at the end of its window is the first message or a new one [7.1] [4.3]") {
    every_entry({"published; same 1 -", "published; two 12 -"}, interrupted,
                [](World& world, auto s) {
                    s->queues({.dedup_window = 10s});
                    s->accept(*s->a, 1, once);
                    world.spawn("publisher", [=] { s->publish(*s->a, 2, once); });
                    world.spawn("clock", [=] { s->clock().advance(10s); });
                    world.finally([=] {
                        s->say({sameness(s), s->left()});
                        s->finish();
                    });
                });
}

TEST_CASE("two repeats at the end of a window: at most one of them is new [7.1] [4.3]") {
    every_entry({"1", "12", "13"}, three_interrupted, [](World& world, auto s) {
        s->queues({.dedup_window = 10s});
        s->accept(*s->a, 1, once);
        world.spawn("one", [=] { s->accept(*s->a, 2, once); });
        world.spawn("other", [=] { s->accept(*s->a, 3, once); });
        world.spawn("clock", [=] { s->clock().advance(10s); });
        world.finally([=] {
            s->say(s->left(*s->a));
            s->finish();
        });
    });
}

TEST_CASE("a repeat beside the end of the first message: by how that ended [7.1]") {
    const auto beside = [](const PublishOptions& first, auto ends) {
        return [=](World& world, auto s) {
            s->queues();
            s->accept(*s->a, 1, first);
            s->held[0] = s->a->try_fetch().value();
            if (first.expires_in != for_ever) { s->held[0]->release(); }
            world.spawn("publisher", [=] { s->publish(*s->a, 2, once); });
            world.spawn("other", [=] { ends(*s); });
            world.finally([=] {
                s->say({sameness(s), s->left()});
                s->finish();
            });
        };
    };
    SUBCASE("completed: its id for ever") {
        every_entry({"published; acked; same - -"}, interrupted,
                    beside(once, [](Ledger& s) { s.ack(*s.held[0]); }));
    }
    SUBCASE("dead: a new one") {
        every_entry({"published; same - -", "published; two 2 -"}, interrupted,
                    beside(once, [](Ledger& s) { s.held[0]->reject(); }));
    }
    SUBCASE("back: still the first") {
        every_entry({"published; same 1 -"}, interrupted,
                    beside(once, [](Ledger& s) { s.held[0].reset(); }));
    }
    SUBCASE("expired: a new one") {
        every_entry({"published; same - -", "published; two 2 -"}, interrupted,
                    beside({.expires_in = 10s, .dedup = "once"},
                           [](Ledger& s) { s.clock().advance(10s); }));
    }
    SUBCASE("cancelled: a new one") {
        every_entry({"published; same - -", "published; two 2 -"}, interrupted,
                    beside(once, [](Ledger& s) {
                        s.held[0]->release();
                        s.a->cancel(s.ids[1]);
                    }));
    }
}

TEST_CASE("a repeat beside the redrive of the first: never both alive unseen [7.1]") {
    // New while the first is dead; once it lives again, its id.
    every_entry({"published; same 1 -", "published; two 21 -"}, interrupted,
                [](World& world, auto s) {
                    s->queues();
                    s->hold(0, *s->a, 1, once);
                    s->held[0]->reject();
                    world.spawn("publisher", [=] { s->publish(*s->a, 2, once); });
                    world.spawn("redriver", [=] { s->a->dead_letters().redrive(); });
                    world.finally([=] {
                        s->say({sameness(s), s->left()});
                        s->finish();
                    });
                });
}

TEST_CASE("a repeat needs no room, and takes none from who waits for it [7.1] [7.2]") {
    every_entry({"published; published; got 1; same 3 -"}, three_interrupted,
                [](World& world, auto s) {
                    s->queues({.capacity = 1, .overflow = Overflow::block, .block_for = for_ever});
                    s->accept(*s->a, 1, once);
                    world.spawn("waits", [=] { s->publish(*s->a, 3); });
                    world.spawn("repeats", [=] { s->publish(*s->a, 2, once); });
                    world.spawn("consumer", [=] { s->fetch(*s->a); });
                    world.finally([=] {
                        s->say({sameness(s), s->left()});
                        s->finish();
                    });
                });
}

TEST_CASE("of two with one value that wait for room one is accepted [7.1] [7.2]") {
    const auto waiting = [](std::size_t capacity, bool more) {
        return [=](World& world, auto s) {
            s->queues({.capacity = capacity, .overflow = Overflow::block});
            for (std::size_t i = 0; i < capacity; ++i) {
                s->accept(*s->a, static_cast<int>(i) + 8);
            }
            const auto publish = [=](int number) {
                const auto done = s->a->publish(Parcel{number}, once_waiting);
                s->check(done.has_value(), "is refused");
                s->came(number, *done);
            };
            world.spawn("one", [=] { publish(1); });
            world.spawn("other", [=] { publish(2); });
            world.spawn("consumer", [=] {
                s->check(s->a->pop().has_value(), "finds nothing");
                s->settled(s->ids[8]);
                if (!more) { return; }
                s->check(s->a->pop().has_value(), "finds nothing");
                s->settled(s->ids[9]);
            });
            world.finally([=] {
                s->say({sameness(s), s->left()});
                s->finish();
            });
        };
    };
    SUBCASE("where there is room for one") {
        every_entry({"same 1 -", "same 2 -"}, two_interrupted, waiting(1, false));
    }
    SUBCASE("where there is room for two") {
        every_entry({"same 1 -", "same 2 -"}, two_interrupted, waiting(2, true));
    }
}

TEST_CASE("a publish that was refused leaves no value behind [7.1] [4.11]") {
    every_entry({"the queue is full; published; got 8; one 2 -",
                 "published; the queue is full; got 8; one 1 -",
                 "the queue is full; the queue is full; got 8; one - -",
                 "published; published; got 8; same 1 -", "published; published; got 8; same 2 -"},
                three_interrupted, [](World& world, auto s) {
                    s->queues({.capacity = 1});
                    s->accept(*s->a, 8);
                    world.spawn("one", [=] { s->publish(*s->a, 1, once); });
                    world.spawn("other", [=] { s->publish(*s->a, 2, once); });
                    world.spawn("consumer", [=] { s->fetch(*s->a); });
                    world.finally([=] {
                        s->say({sameness(s), s->left()});
                        s->finish();
                    });
                });
}

TEST_CASE("a repeat beside a close is the first message or closed [7.1] [7.5]") {
    every_entry({"published; 1 left", "closed; 1 left"}, interrupted, [](World& world, auto s) {
        s->queues();
        s->accept(*s->a, 1, once);
        world.spawn("publisher", [=] { s->publish(*s->a, 2, once); });
        world.spawn("closer", [=] { s->say_left(s->broker().close()); });
        world.finally([=] { s->finish(true); });
    });
}

TEST_CASE("a value reaches all subscriptions once, whoever was first [7.1] [6.3]") {
    // The ids of the topic's messages; their copies are not in the account.
    const auto beside = [](const SubscriptionOptions& options, bool full, bool acks) {
        return [=](World& world, auto s) {
            s->x.emplace(s->broker().topic("x"));
            s->sub = s->broker().subscribe("x", options);
            if (full) {
                s->check(s->x->publish(Parcel{8}).has_value(), "refuses a message");
                s->held[0] = s->sub->try_fetch().value();
            }
            const auto publish = [=](int number) {
                const auto done = s->x->publish(Parcel{number}, once);
                s->say_error(done, "published");
                if (done) { s->ids[static_cast<std::size_t>(number)] = *done; }
            };
            world.spawn("one", [=] { publish(1); });
            world.spawn("other", [=] { publish(2); });
            if (acks) {
                world.spawn("holder", [=] { s->held[0]->ack(); });
            }
            world.finally([=] {
                std::string numbers;
                while (auto got = s->sub->pop()) { numbers += std::to_string(got->number()); }
                s->say({sameness(s), numbers.empty() ? "-" : numbers});
                s->finish();
            });
        };
    };
    const std::string both = "published; published; same ";
    const std::string full = "the queue is full";
    SUBCASE("with room") {
        every_entry({both + "1", both + "2"}, three_interrupted, beside({}, false, false));
    }
    SUBCASE("without") {
        every_entry({full + "; " + full + "; one -"}, three_interrupted,
                    beside({.capacity = 1, .overflow = Overflow::reject}, true, false));
    }
    SUBCASE("with room that comes") {
        every_entry({both + "1", both + "2", full + "; published; one 2",
                     "published; " + full + "; one 1", full + "; " + full + "; one -"},
                    two_interrupted,
                    beside({.capacity = 1, .overflow = Overflow::reject}, true, true));
    }
    SUBCASE("with room that is waited for") {
        every_entry({both + "1", both + "2"}, two_interrupted,
                    beside({.capacity = 1, .overflow = Overflow::block, .block_for = for_ever},
                           true, true));
    }
    SUBCASE("that drops it while there is nothing but a lease") {
        every_entry({both + "1", both + "2", both + "-"}, two_interrupted,
                    beside({.capacity = 1, .overflow = Overflow::drop_oldest}, true, true));
    }
}

TEST_CASE("a value is told apart at the topic, whatever its only subscription does [7.1] [6.2]") {
    // With no subscriber the first message is completed: the repeat has its id.
    every_entry({"same -", "same 1"}, three_interrupted, [](World& world, auto s) {
        s->x.emplace(s->broker().topic("x"));
        world.spawn("publisher", [=] {
            for (const int number : {1, 2}) {
                const auto done = s->x->publish(Parcel{number}, once);
                s->check(done.has_value(), "is refused");
                s->ids[static_cast<std::size_t>(number)] = *done;
            }
        });
        world.spawn("subscriber", [=] { s->sub = s->broker().subscribe("x"); });
        world.finally([=] {
            std::string numbers;
            while (auto got = s->sub->pop()) { numbers += std::to_string(got->number()); }
            s->say({sameness(s), numbers.empty() ? "-" : numbers});
            s->finish();
        });
    });
}

// --- tokens of leases ----------------------------------------------------------------------------

namespace {

// Counts its calls: a token's callback runs once, and under no lock.
class Bell {
public:
    explicit Bell(std::function<void()> act = {}) : act_{std::move(act)} {}
    void hang_on(const Simulated::StopToken& token) { callback_.emplace(token, Ring{this}); }
    void take_down() { callback_.reset(); }
    [[nodiscard]] int rung() const noexcept { return rung_; }

private:
    struct Ring {
        Bell* bell;
        void operator()() const {
            Simulated::user_code();
            ++bell->rung_;
            if (bell->act_) { bell->act_(); }
        }
    };
    std::function<void()> act_;
    int rung_ = 0;
    std::optional<Simulated::StopCallback<Ring>> callback_;
};

}  // namespace

TEST_CASE("whatever ends a lease stops its token, once [7.7]") {
    const auto beside = [](auto holds, auto ends, bool closes = false) {
        return [=](World& world, auto s) {
            s->queues({.lease = 10s});
            s->hold(0, *s->a, 1);
            const auto bell = std::make_shared<Bell>();
            const auto token = s->held[0]->lease_token();
            s->check(!token.stop_requested(), "is stopped too early");
            bell->hang_on(token);
            world.spawn("holder", [=] { holds(*s); });
            world.spawn("other", [=] { ends(*s); });
            world.finally([=] {
                s->broker().poll();
                s->check(token.stop_requested(), "is not stopped");
                s->check(bell->rung() == 1, "does not call once");
                bell->take_down();
                s->finish(closes);
            });
        };
    };
    const auto acks = [](Ledger& s) { s.ack(*s.held[0]); };
    const auto runs_out = [](Ledger& s) {
        s.clock().advance(10s);
        s.broker().poll();
    };
    SUBCASE("an ack, or its time") {
        every_entry({"acked", "the lease is lost"}, interrupted, beside(acks, runs_out));
    }
    SUBCASE("an ack, or a settle by receipt") {
        every_entry({"acked", "the lease is lost"}, interrupted, beside(acks, [](Ledger& s) {
                        if (s.a->reject(s.held[0]->receipt())) { return; }
                    }));
    }
    SUBCASE("an ack, or a close") {
        every_entry({"acked", "closed"}, interrupted,
                    beside(
                        acks, [](Ledger& s) { s.broker().close(); }, true));
    }
    SUBCASE("an ack, or a removal") {
        // A leased message of a queue that is gone is purged when its lease ends.
        every_entry({"acked", "closed"}, interrupted,
                    beside(
                        acks, [](Ledger& s) { s.broker().remove("a"); }, true));
    }
    SUBCASE("a handle that is abandoned, or its time") {
        every_entry({""}, interrupted, beside([](Ledger& s) { s.held[0].reset(); }, runs_out));
    }
    SUBCASE("an extended lease, or its time") {
        every_entry({"extended", "lost"}, interrupted,
                    beside(
                        [](Ledger& s) {
                            const auto extended = s.held[0]->extend(20s);
                            s.say(extended ? "extended" : "lost");
                            if (extended) {
                                s.check(!s.held[0]->lease_token().stop_requested(), "is stopped");
                                s.held[0]->ack();
                                s.settled(s.ids[1]);
                            }
                        },
                        [](Ledger& s) {
                            s.clock().advance(10s);
                            s.broker().poll();
                        }));
    }
}

TEST_CASE("a token that is asked for while the lease ends is stopped in the end [7.7]") {
    const auto beside = [](auto ends, bool closes = false) {
        return [=](World& world, auto s) {
            s->queues({.lease = 10s});
            s->hold(0, *s->a, 1);
            const auto bell = std::make_shared<Bell>();
            world.spawn("holder", [=] {
                const auto token = s->held[0]->lease_token();
                bell->hang_on(token);
                const auto again = s->held[0]->lease_token();
                s->check(again == token || again.stop_requested(), "gives another of a lease");
            });
            world.spawn("other", [=] { ends(*s); });
            world.finally([=] {
                s->check(bell->rung() == 1, "does not call once");
                bell->take_down();
                s->check(s->held[0]->lease_token().stop_requested(), "is not stopped");
                s->finish(closes);
            });
        };
    };
    SUBCASE("by its time") {
        every_entry({""}, interrupted, beside([](Ledger& s) {
                        s.clock().advance(10s);
                        s.broker().poll();
                    }));
    }
    SUBCASE("by receipt") {
        every_entry({""}, interrupted,
                    beside([](Ledger& s) { s.a->release(s.held[0]->receipt()); }));
    }
    SUBCASE("by a close") {
        every_entry({""}, interrupted, beside([](Ledger& s) { s.broker().close(); }, true));
    }
    SUBCASE("by a removal") {
        every_entry({""}, interrupted, beside([](Ledger& s) { s.broker().remove("a"); }, true));
    }
    SUBCASE("by the end of the broker") {
        every_entry({""}, three_interrupted, beside([](Ledger& s) { s.destroy_broker(); }, true));
    }
}

TEST_CASE("the end of a subscription stops the tokens of its leases [7.7] [6.2]") {
    every_entry({"acked", "closed"}, interrupted, [](World& world, auto s) {
        s->x.emplace(s->broker().topic("x"));
        s->sub = s->broker().subscribe("x");
        s->check(s->x->publish(Parcel{1}).has_value(), "refuses a message");
        s->held[0] = s->sub->try_fetch().value();
        const auto bell = std::make_shared<Bell>();
        bell->hang_on(s->held[0]->lease_token());
        world.spawn("holder", [=] { s->say_error(s->held[0]->ack(), "acked"); });
        world.spawn("leaver", [=] { s->sub->unsubscribe(); });
        world.finally([=] {
            s->check(bell->rung() == 1, "does not call once");
            bell->take_down();
            s->finish();
        });
    });
}

TEST_CASE("what a token calls may call the broker, and is called in whatever thread [7.7] [4.10]") {
    const auto beside = [](auto act) {
        return [=](World& world, auto s) {
            s->queues({.lease = 10s});
            s->hold(0, *s->a, 1);
            const auto bell = std::make_shared<Bell>([=] { act(*s); });
            bell->hang_on(s->held[0]->lease_token());
            world.spawn("holder", [=] { s->held[0].reset(); });
            world.spawn("clock", [=] {
                s->clock().advance(10s);
                s->broker().poll();
            });
            world.finally([=] {
                s->check(bell->rung() == 1, "does not call once");
                bell->take_down();
                s->finish();
            });
        };
    };
    SUBCASE("to fetch what has come back") {
        // Which may run out again while it is settled.
        every_entry({"got 1", "got 1 the lease is lost"}, three_interrupted,
                    beside([](Ledger& s) { s.try_fetch(*s.a); }));
    }
    SUBCASE("to publish, and to poll") {
        every_entry({"published"}, three_interrupted, beside([](Ledger& s) {
                        s.publish(*s.b, 2);
                        s.broker().poll();
                    }));
    }
    SUBCASE("to remove the queue") {
        every_entry({"removed"}, three_interrupted, beside([](Ledger& s) {
                        s.say(s.broker().remove("a") ? "removed" : "not there");
                    }));
    }
}

TEST_CASE("a wait on behalf of a delivery ends with its lease [7.7] [4.9]") {
    const auto beside = [](auto ends) {
        return [=](World& world, auto s) {
            s->queues({.lease = 10s});
            s->hold(0, *s->a, 1);
            world.spawn("holder", [=] { s->fetch(*s->b, s->held[0]->lease_token()); });
            world.spawn("other", [=] { ends(*s); });
            world.finally([=] { s->finish(); });
        };
    };
    SUBCASE("by its time, which the wait itself keeps") {
        every_entry({"cancelled"}, interrupted, beside([](Ledger& s) { s.clock().advance(10s); }));
    }
    SUBCASE("by receipt") {
        every_entry({"cancelled"}, interrupted, beside([](Ledger& s) {
                        s.a->ack(s.held[0]->receipt());
                        s.settled(s.ids[1]);
                    }));
    }
    SUBCASE("or with what it waits for") {
        every_entry({"cancelled; published", "got 2; published"}, three_interrupted,
                    beside([](Ledger& s) {
                        s.publish(*s.b, 2);
                        s.clock().advance(10s);
                    }));
    }
}
