// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "simulation/scene.hpp"

// Parents, gates, latches and keys of the real broker under all schedules of small programs: a
// child that is published beside each exit of its parent, and what may race with that. [5.4]
using namespace scenes;

namespace {

// A parent in `queue`, a child in another; whatever became of the parent, at rest the child is not
// left waiting for it.
struct Family {
    explicit Family(Scene& scene, bool same_queue = false)
        : queue{same_queue ? *scene.queue : scene.other()} {}

    Queue queue;  // of the child
    MessageId parent;
    std::optional<MessageId> child;
};

std::string text(const Result<LatchState>& state) {
    return state ? to_string(*state) : std::string{latchbox::to_string(state.error())};
}

std::string where(Broker& broker, const std::optional<MessageId>& id) {
    if (!id) { return "never"; }
    switch (broker.explain(*id).state) {
        case latchbox::MessageState::blocked: return "blocked";
        case latchbox::MessageState::ready: return "ready";
        case latchbox::MessageState::dead: return "dead";
        case latchbox::MessageState::failed: return "failed";
        case latchbox::MessageState::completed: return "completed";
        case latchbox::MessageState::delayed: return "delayed";
        case latchbox::MessageState::leased: return "leased";
        default: return "unknown";
    }
}

// `act` does something to the parent, which is leased, beside the publish of a child. At the end
// the parent is `parent`, and the child is `child`.
template <class Act>
void child_beside(Act act, const std::string& parent, const std::string& child,
                  OnParentFailure policy = OnParentFailure::dead_letter, bool fetched = true,
                  const QueueOptions& options = {}) {
    for (const bool same_queue : {true, false}) {
        every_schedule(
            options,
            [=](World& world, auto scene) {
                const auto family = std::make_shared<std::optional<Family>>();
                family->emplace(*scene, same_queue);
                Family& f = **family;
                f.parent = scene->queue->publish(Parcel{1}).value();
                if (fetched) { scene->held.push_back(scene->queue->try_fetch().value()); }
                world.spawn("publisher", [=, &f] {
                    const auto published = f.queue.publish(
                        Parcel{2}, {.parents = {f.parent}, .on_parent_failure = policy});
                    if (published) { f.child = *published; }
                    scene->say(published ? "published" : latchbox::to_string(published.error()));
                });
                world.spawn("beside", [=] { act(*scene); });
                world.finally([=, &world] {
                    scene->say(text(scene->broker->latch((*family)->parent).state()));
                    scene->say(where(*scene->broker, (*family)->child));
                    world.check(latchbox::detail::Access::core((*family)->queue).audit() == nullptr,
                                "the child's queue is broken");
                    family->reset();
                    scene->finish(true);
                });
            },
            {"published; " + parent + " " + child}, interrupted);
    }
}

}  // namespace

// --- a child beside each exit of its parent [5.4] -----------------------------------------------

TEST_CASE("a child published beside the ack of its parent is not left behind [5.4]") {
    child_beside([](Scene& scene) { scene.held[0].ack(); }, "completed", "ready");
}

TEST_CASE("a child published beside the death of its parent goes by its policy [5.4] [5.5]") {
    const auto reject = [](Scene& scene) { scene.held[0].reject(); };
    SUBCASE("dead_letter") { child_beside(reject, "dead", "dead"); }
    SUBCASE("deliver") { child_beside(reject, "dead", "ready", OnParentFailure::deliver); }
    SUBCASE("hold") { child_beside(reject, "dead", "blocked", OnParentFailure::hold); }
}

TEST_CASE("a child published beside the failure of its parent goes by its policy [5.4] [5.5]") {
    const auto purge = [](Scene& scene) { scene.queue->purge(); };
    const auto beside = [&](const char* child, OnParentFailure policy) {
        every_schedule(
            {},
            [=](World& world, auto scene) {
                const auto other = std::make_shared<std::optional<Queue>>();
                other->emplace(scene->other());
                const MessageId parent = scene->queue->publish(Parcel{1}).value();
                const auto id = std::make_shared<std::optional<MessageId>>();
                world.spawn("publisher", [=] {
                    *id =
                        (*other)
                            ->publish(Parcel{2}, {.parents = {parent}, .on_parent_failure = policy})
                            .value();
                });
                world.spawn("purger", [=] { purge(*scene); });
                world.finally([=] {
                    scene->say(text(scene->broker->latch(parent).state()));
                    scene->say(where(*scene->broker, *id));
                    other->reset();
                    scene->finish(true);
                });
            },
            {std::string{"failed "} + child}, interrupted);
    };
    SUBCASE("dead_letter") { beside("dead", OnParentFailure::dead_letter); }
    SUBCASE("deliver") { beside("ready", OnParentFailure::deliver); }
    SUBCASE("hold") { beside("dead", OnParentFailure::hold); }
}

TEST_CASE("a child published beside the end of its parent's lease, or life [5.4]") {
    const auto advance = [](Scene& scene) { scene.clock.advance(10s); };
    SUBCASE("its failures used up") {
        child_beside(
            [](Scene& scene) {
                scene.clock.advance(10s);
                scene.broker->poll();
            },
            "dead", "dead", OnParentFailure::dead_letter, true, {.lease = 10s, .max_failures = 1});
    }
    SUBCASE("given back") {
        child_beside(advance, "pending", "blocked", OnParentFailure::dead_letter, true,
                     {.lease = 10s});
    }
}

TEST_CASE("a child published beside the removal of its parent's queue [5.4]") {
    every_schedule(
        {},
        [](World& world, auto scene) {
            const auto other = std::make_shared<std::optional<Queue>>();
            other->emplace(scene->other());
            const MessageId parent = scene->queue->publish(Parcel{1}).value();
            const auto id = std::make_shared<std::optional<MessageId>>();
            world.spawn("publisher", [=] {
                const auto child = (*other)->publish(Parcel{2}, {.parents = {parent}});
                if (child) { *id = *child; }
                scene->say(child ? "published" : latchbox::to_string(child.error()));
            });
            world.spawn("remover", [=] { scene->broker->remove("queue"); });
            world.finally([=] {
                scene->say(text(scene->broker->latch(parent).state()));
                scene->say(where(*scene->broker, *id));
                other->reset();
                scene->finish(true);
            });
        },
        {"published; failed dead"}, interrupted);
}

TEST_CASE("a child published beside the close of the broker is accepted or refused [7.5]") {
    every_schedule(
        {},
        [](World& world, auto scene) {
            const MessageId parent = scene->queue->publish(Parcel{1}).value();
            world.spawn("publisher", [=] {
                const auto child = scene->queue->publish(Parcel{2}, {.parents = {parent}});
                scene->say(child ? "published" : latchbox::to_string(child.error()));
            });
            world.spawn("closer",
                        [=] { scene->say(std::to_string(scene->broker->close().blocked)); });
            world.finally([=] {
                scene->say(text(scene->broker->latch(parent).state()));
                scene->finish(true);
            });
        },
        {"published; 1; failed", "closed; 0; failed"}, interrupted);
}

namespace {

// The exits of a parent that nobody holds, or that dies: what the publisher of a child in another
// queue may run beside.
struct Exit {
    const char* name;
    QueueOptions options;
    PublishOptions parent;
    bool fetched;
    void (*act)(Scene&, const MessageId&);
    std::set<std::string> ways;  // how the parent and the child end
};

const Exit exits[] = {
    {"popped",
     {},
     {},
     false,
     [](Scene& scene, const MessageId&) { static_cast<void>(scene.queue->pop()); },
     {"completed ready"}},
    {"taken",
     {},
     {},
     true,
     [](Scene& scene, const MessageId&) { static_cast<void>(scene.held[0].take()); },
     {"completed ready"}},
    {"cancelled",
     {},
     {},
     false,
     [](Scene& scene, const MessageId& id) { scene.queue->cancel(id); },
     {"failed dead"}},
    {"expired",
     {},
     {.expires_in = 10s},
     false,
     [](Scene& scene, const MessageId&) {
         scene.clock.advance(10s);
         scene.broker->poll();
     },
     {"failed dead"}},
    {"expired in a consumer's hands",
     {},
     {.expires_in = 10s},
     true,
     [](Scene& scene, const MessageId&) {
         scene.clock.advance(10s);
         scene.held[0].release();
     },
     {"failed dead"}},
    {"evicted",
     {.capacity = 1, .overflow = Overflow::drop_oldest},
     {},
     false,
     [](Scene& scene, const MessageId&) { static_cast<void>(scene.queue->publish(Parcel{7})); },
     {"failed dead"}},
    {"failed once too often",
     {.max_failures = 1},
     {},
     true,
     [](Scene& scene, const MessageId&) { scene.held[0].fail("no"); },
     {"dead dead"}},
    {"handed out once too often",
     {.max_attempts = 1},
     {},
     true,
     [](Scene& scene, const MessageId&) { scene.held[0].release(); },
     {"dead dead"}},
    {"dead, and not kept",
     {.dead_capacity = 0},
     {},
     true,
     [](Scene& scene, const MessageId&) { scene.held[0].reject(); },
     {"failed dead"}},
    {"dead, then purged",
     {},
     {},
     true,
     [](Scene& scene, const MessageId&) {
         scene.held[0].reject();
         scene.queue->dead_letters().purge();
     },
     {"failed dead"}},
    {"dead, then taken",
     {},
     {},
     true,
     [](Scene& scene, const MessageId& id) {
         scene.held[0].reject();
         static_cast<void>(scene.queue->dead_letters().take(id));
     },
     {"failed dead"}},
    // Who came while it was dead died of it.
    {"dead, then redriven",
     {},
     {},
     true,
     [](Scene& scene, const MessageId& id) {
         scene.held[0].reject();
         static_cast<void>(scene.queue->dead_letters().redrive(id));
     },
     {"pending dead", "pending blocked"}},
};

}  // namespace

TEST_CASE(
    "whatever exit a parent takes beside the publish of a child, the child learns of it "
    "[5.3] [5.4]") {
    for (const Exit& exit : exits) {
        CAPTURE(exit.name);
        every_schedule(
            exit.options,
            [&exit](World& world, auto scene) {
                const auto other = std::make_shared<std::optional<Queue>>();
                other->emplace(scene->other());
                const auto child = std::make_shared<std::optional<MessageId>>();
                const MessageId parent = scene->queue->publish(Parcel{1}, exit.parent).value();
                if (exit.fetched) { scene->held.push_back(scene->queue->try_fetch().value()); }
                world.spawn("publisher", [=] {
                    *child = (*other)->publish(Parcel{2}, {.parents = {parent}}).value();
                });
                world.spawn("beside", [=, &exit] { exit.act(*scene, parent); });
                world.finally([=] {
                    scene->say(text(scene->broker->latch(parent).state()));
                    scene->say(where(*scene->broker, *child));
                    other->reset();
                    scene->finish(true);
                });
            },
            exit.ways, interrupted);
    }
}

TEST_CASE("two children of one parent are published beside its ack: both go [5.4]") {
    every_schedule(
        {},
        [](World& world, auto scene) {
            const auto other = std::make_shared<std::optional<Queue>>();
            other->emplace(scene->other());
            const MessageId parent = scene->queue->publish(Parcel{1}).value();
            scene->held.push_back(scene->queue->try_fetch().value());
            for (int i = 2; i < 4; ++i) {
                world.spawn("publisher", [=] {
                    static_cast<void>((*other)->publish(Parcel{i}, {.parents = {parent}}));
                });
            }
            world.spawn("holder", [=] { scene->held[0].ack(); });
            world.finally([=, &world] {
                world.check((*other)->stats().ready == 2, "a child is left behind");
                other->reset();
                scene->finish(true);
            });
        },
        {""}, three_preemptions);
}

// --- several parents, several children -----------------------------------------------------------

TEST_CASE("two parents are acked at once: the child goes once [5.1]") {
    every_schedule(
        {},
        [](World& world, auto scene) {
            std::vector<MessageId> parents;
            for (int i = 1; i < 3; ++i) {
                parents.push_back(scene->queue->publish(Parcel{i}).value());
                scene->held.push_back(scene->queue->try_fetch().value());
            }
            const auto other = std::make_shared<std::optional<Queue>>();
            other->emplace(scene->other());
            static_cast<void>((*other)->publish(Parcel{3}, {.parents = parents}));
            for (std::size_t i = 0; i < 2; ++i) {
                world.spawn("holder", [=] { scene->held[i].ack(); });
            }
            world.finally([=] {
                for (auto got = (*other)->try_fetch(); got; got = (*other)->try_fetch()) {
                    scene->say("got " + std::to_string(got->body().number()));
                    got->ack();
                }
                other->reset();
                scene->finish(true);
            });
        },
        {"got 3"}, interrupted);
}

TEST_CASE("one parent is acked while another dies: the child dies [5.5]") {
    every_schedule(
        {},
        [](World& world, auto scene) {
            std::vector<MessageId> parents;
            for (int i = 1; i < 3; ++i) {
                parents.push_back(scene->queue->publish(Parcel{i}).value());
                scene->held.push_back(scene->queue->try_fetch().value());
            }
            const MessageId child = scene->queue->publish(Parcel{3}, {.parents = parents}).value();
            world.spawn("holder", [=] { scene->held[0].ack(); });
            world.spawn("other", [=] { scene->held[1].reject(); });
            world.finally([=, &world] {
                const auto said = scene->broker->explain(child);
                world.check(said.reason.parent() == parents[1], "blames another");
                scene->say(where(*scene->broker, child));
                scene->finish(true);
            });
        },
        {"dead"}, interrupted);
}

TEST_CASE("the children of one parent come to the fetches that wait in another queue [4.9] [5.4]") {
    every_schedule(
        {},
        [](World& world, auto scene) {
            const auto other = std::make_shared<std::optional<Queue>>();
            other->emplace(scene->other());
            const MessageId parent = scene->queue->publish(Parcel{1}).value();
            scene->held.push_back(scene->queue->try_fetch().value());
            world.spawn("fetcher", [=] { scene->fetch_from(**other); });
            world.spawn("publisher", [=] {
                static_cast<void>((*other)->publish(Parcel{2}, {.parents = {parent}}));
            });
            world.spawn("holder", [=] { scene->held[0].ack(); });
            world.finally([=] {
                other->reset();
                scene->finish(true);
            });
        },
        {"got 2"}, three_preemptions);
}

TEST_CASE("a chain dies while its last is published [5.5]") {
    every_schedule(
        {},
        [](World& world, auto scene) {
            const MessageId first = scene->queue->publish(Parcel{1}).value();
            scene->held.push_back(scene->queue->try_fetch().value());
            const auto other = std::make_shared<std::optional<Queue>>();
            other->emplace(scene->other());
            const MessageId second = (*other)->publish(Parcel{2}, {.parents = {first}}).value();
            const auto third = std::make_shared<std::optional<MessageId>>();
            world.spawn("publisher", [=] {
                *third = scene->queue->publish(Parcel{3}, {.parents = {second}}).value();
            });
            world.spawn("holder", [=] { scene->held[0].reject(); });
            world.finally([=] {
                scene->say(where(*scene->broker, second));
                scene->say(where(*scene->broker, *third));
                other->reset();
                scene->finish(true);
            });
        },
        {"dead dead"}, interrupted);
}

TEST_CASE("a parent is redriven while its child is: both come back, or the child stays [5.6]") {
    every_schedule(
        {},
        [](World& world, auto scene) {
            const auto other = std::make_shared<std::optional<Queue>>();
            other->emplace(scene->other());
            const MessageId parent = scene->queue->publish(Parcel{1}).value();
            const MessageId child = (*other)->publish(Parcel{2}, {.parents = {parent}}).value();
            scene->queue->try_fetch()->reject();
            world.spawn("of the parent",
                        [=] { static_cast<void>(scene->queue->dead_letters().redrive(parent)); });
            world.spawn("of the child", [=] {
                const auto done = (*other)->dead_letters().redrive(child);
                scene->say(done ? "redriven" : latchbox::to_string(done.error()));
            });
            world.finally([=] {
                scene->say(where(*scene->broker, child));
                other->reset();
                scene->finish(true);
            });
        },
        {"redriven; blocked", "a parent is dead or failed; dead"}, interrupted);
}

TEST_CASE("a held child waits through the redrive of its parent, whoever is first [5.5] [5.6]") {
    every_schedule(
        {},
        [](World& world, auto scene) {
            const auto other = std::make_shared<std::optional<Queue>>();
            other->emplace(scene->other());
            const MessageId parent = scene->queue->publish(Parcel{1}).value();
            const MessageId child =
                (*other)
                    ->publish(Parcel{2},
                              {.parents = {parent}, .on_parent_failure = OnParentFailure::hold})
                    .value();
            scene->held.push_back(scene->queue->try_fetch().value());
            world.spawn("holder", [=] { scene->held[0].reject(); });
            world.spawn("redriver", [=] {
                if (!scene->queue->dead_letters().redrive(parent)) { return; }
                scene->queue->try_fetch()->ack();
                scene->say("redriven");
            });
            world.finally([=] {
                scene->say(where(*scene->broker, child));
                other->reset();
                scene->finish(true);
            });
        },
        {"blocked", "redriven; ready"}, interrupted);
}

TEST_CASE("a child is cancelled while its parent is acked [5.4]") {
    every_schedule(
        {},
        [](World& world, auto scene) {
            const MessageId parent = scene->queue->publish(Parcel{1}).value();
            const MessageId child = scene->queue->publish(Parcel{2}, {.parents = {parent}}).value();
            scene->held.push_back(scene->queue->try_fetch().value());
            world.spawn("holder", [=] { scene->held[0].ack(); });
            world.spawn("canceller", [=] {
                scene->say(scene->queue->cancel(child) ? "cancelled" : "not there");
            });
            world.finally([=, &world] {
                const auto stats = scene->broker->stats();
                world.check(stats.latches == 0 && stats.edges == 0, "latches are left behind");
                scene->finish(true);
            });
        },
        {"cancelled"}, interrupted);
}

// --- gates, latches ------------------------------------------------------------------------------

TEST_CASE("a gate is counted down while a child of it is published, and the broker closes [5.8]") {
    every_schedule(
        {},
        [](World& world, auto scene) {
            const auto gate = std::make_shared<std::optional<Gate>>();
            gate->emplace(scene->broker->gate(1));
            const MessageId id = (*gate)->id();
            world.spawn("opener",
                        [=] { scene->say((*gate)->count_down() ? "counted" : "closed"); });
            world.spawn("publisher", [=] {
                const auto child = scene->queue->publish(Parcel{2}, {.parents = {id}});
                scene->say(child ? "published" : latchbox::to_string(child.error()));
            });
            world.spawn("closer", [=] {
                const auto left = scene->broker->close();
                scene->say(std::to_string(left.blocked) + "+" + std::to_string(left.ready));
            });
            world.finally([=] {
                gate->reset();
                scene->finish(true);
            });
        },
        {"closed; closed; 0+0", "closed; published; 1+0", "counted; closed; 0+0",
         "counted; published; 0+1", "counted; published; 1+0"},
        three_preemptions);
}

TEST_CASE("a gate loses its last handle while a child of it is published [5.8]") {
    every_schedule(
        {},
        [](World& world, auto scene) {
            const auto gate = std::make_shared<std::optional<Gate>>();
            gate->emplace(scene->broker->gate(1));
            const MessageId id = (*gate)->id();
            const auto child = std::make_shared<std::optional<MessageId>>();
            world.spawn("owner", [=] { gate->reset(); });
            world.spawn("publisher", [=] {
                *child = scene->queue->publish(Parcel{2}, {.parents = {id}}).value();
            });
            world.finally([=] {
                scene->say(where(*scene->broker, *child));
                scene->finish(true);
            });
        },
        {"dead"}, interrupted);
}

TEST_CASE("two count a gate down at once, and who waits for it is told [5.8]") {
    every_schedule(
        {},
        [](World& world, auto scene) {
            const auto gate = std::make_shared<std::optional<Gate>>();
            gate->emplace(scene->broker->gate(2));
            const auto latch = std::make_shared<std::optional<Broker::Latch>>();
            latch->emplace(scene->broker->latch((*gate)->id()));
            world.spawn("one", [=] { (*gate)->count_down(); });
            world.spawn("other", [=] { (*gate)->count_down(); });
            world.spawn("waiter", [=] { scene->say(text((*latch)->wait())); });
            world.finally([=] {
                gate->reset();
                latch->reset();
                scene->finish();
            });
        },
        {"completed"}, three_preemptions);
}

TEST_CASE("a wait for a latch ends with its message, its time or its stop [5.8] [7.7]") {
    SUBCASE("acked") {
        every_schedule(
            {},
            [](World& world, auto scene) {
                scene->prepare(1, true);
                const MessageId id = scene->held[0].id();
                world.spawn("waiter", [=] { scene->say(text(scene->broker->latch(id).wait())); });
                world.spawn("holder", [=] { scene->ack(scene->held[0]); });
                world.finally([=] { scene->finish(); });
            },
            {"completed; acked"}, interrupted);
    }
    SUBCASE("late") {
        every_schedule(
            {},
            [](World& world, auto scene) {
                scene->prepare(1, true);
                const MessageId id = scene->held[0].id();
                world.spawn_early(
                    "waiter", [=] { scene->say(text(scene->broker->latch(id).wait_for(10s))); });
                world.spawn("holder", [=] {
                    scene->clock.advance(10s);
                    scene->ack(scene->held[0]);
                });
                world.finally([=] { scene->finish(); });
            },
            {"timed out; acked"}, interrupted);
    }
    SUBCASE("closed") {
        every_schedule(
            {},
            [](World& world, auto scene) {
                scene->prepare(1, true);
                const MessageId id = scene->held[0].id();
                world.spawn("waiter", [=] { scene->say(text(scene->broker->latch(id).wait())); });
                world.spawn("closer", [=] { scene->broker->close(); });
                world.finally([=] { scene->finish(true); });
            },
            {"closed"}, interrupted);
    }
}

TEST_CASE("who waited for a latch may destroy the broker at once [4.8]") {
    every_schedule(
        {},
        [](World& world, auto scene) {
            scene->prepare(1, true);
            const auto latch = std::make_shared<std::optional<Broker::Latch>>();
            latch->emplace(scene->broker->latch(scene->held[0].id()));
            world.spawn("waiter", [=] {
                scene->say(text((*latch)->wait()));
                latch->reset();
                scene->queue.reset();
                scene->broker.reset();
            });
            world.spawn("holder", [=] { scene->held[0].ack(); });
            world.finally([=, &world] {
                scene->held.clear();
                world.check(Parcel::live == 0, "messages are left");
            });
        },
        {""}, interrupted);
}

// --- keys ----------------------------------------------------------------------------------------

TEST_CASE("of one key one is delivered at a time, whoever fetches and settles [5.7]") {
    every_schedule(
        {},
        [](World& world, auto scene) {
            for (int i = 1; i < 3; ++i) {
                static_cast<void>(scene->queue->publish(Parcel{i}, {.key = "k"}));
            }
            const auto busy = std::make_shared<int>(0);
            const auto consume = [=, &world] {
                auto got = scene->queue->try_fetch();
                if (!got) { return scene->say("nothing"); }
                world.check(++*busy == 1, "two of one key at once");
                scene->say("got " + std::to_string(got->body().number()));
                --*busy;
                got->ack();
            };
            world.spawn("one", consume);
            world.spawn("other", consume);
            world.finally([=] { scene->finish(true); });
        },
        {"got 1; got 2", "got 2; got 1", "got 1; nothing", "nothing; got 1"}, interrupted);
}

TEST_CASE("the middle of a key expires while the first is settled: the last goes next [5.7]") {
    every_schedule(
        {},
        [](World& world, auto scene) {
            static_cast<void>(scene->queue->publish(Parcel{1}, {.key = "k"}));
            static_cast<void>(scene->queue->publish(Parcel{2}, {.key = "k", .expires_in = 10s}));
            static_cast<void>(scene->queue->publish(Parcel{3}, {.key = "k"}));
            scene->held.push_back(scene->queue->try_fetch().value());
            world.spawn("fetcher", [=] { scene->fetch(); });
            world.spawn("holder", [=] { scene->held[0].ack(); });
            world.spawn("clock", [=] { scene->clock.advance(10s); });
            world.finally([=] { scene->finish(true); });
        },
        {"got 2", "got 3"}, three_preemptions);
}

// --- a call returns when all is done that it meant for others ------------------------------------

namespace {

// A parent that is leased, and a child that waits for it in another queue.
struct Waiting {
    std::optional<Queue> other;
    MessageId parent;
    MessageId child;
};

std::shared_ptr<Waiting> waiting(Scene& scene, OnParentFailure policy,
                                 Duration life = Duration::never()) {
    auto family = std::make_shared<Waiting>();
    family->other.emplace(scene.other());
    if (family->other->publish(Parcel{98})) { family->other->try_fetch()->ack(); }
    family->parent = scene.queue->publish(Parcel{1}).value();
    scene.held.push_back(std::move(scene.queue->try_fetch().value()));
    family->child = family->other
                        ->publish(Parcel{2}, {.parents = {family->parent},
                                              .on_parent_failure = policy,
                                              .expires_in = life})
                        .value();
    return family;
}

std::string of_gate(Broker& broker, const MessageId& gate) {
    const auto said = broker.explain(gate);
    return text(broker.latch(gate).state()) +
           (said.state == latchbox::MessageState::shut ? " shut" : " settled");
}

}  // namespace

TEST_CASE("who comes beside the end of a lease finds what that meant for a child [4.3] [5.4]") {
    // The lease was over at 30 s, whoever does it.
    every_schedule(
        {.max_failures = 1},
        [](World& world, auto scene) {
            const auto family = waiting(*scene, OnParentFailure::deliver);
            scene->clock.advance(40s);
            world.spawn("poller", [=] { scene->broker->poll(); });
            world.spawn("fetcher",
                        [=] { scene->say(family->other->try_fetch() ? "got" : "nothing"); });
            world.finally([=] {
                family->other.reset();
                scene->finish(true);
            });
        },
        {"got"}, interrupted);
}

TEST_CASE("what a death at 30 s means comes before what is due at 35 s, whoever does it [4.3]") {
    every_schedule(
        {.max_failures = 1},
        [](World& world, auto scene) {
            const auto family = waiting(*scene, OnParentFailure::dead_letter, 35s);
            scene->clock.advance(40s);
            world.spawn("poller", [=] { scene->broker->poll(); });
            world.spawn("other", [=] { scene->broker->poll(); });
            world.finally([=] {
                scene->say(where(*scene->broker, family->child));
                family->other.reset();
                scene->finish(true);
            });
        },
        {"dead"}, interrupted);
}

TEST_CASE("close does first what is due, and what that means, beside others who do it [7.5]") {
    every_schedule(
        {.max_failures = 1},
        [](World& world, auto scene) {
            const auto family = waiting(*scene, OnParentFailure::deliver);
            scene->clock.advance(40s);
            world.spawn("poller", [=] { scene->broker->poll(); });
            world.spawn("closer", [=] {
                scene->say(std::to_string(scene->broker->close().blocked) + " blocked");
            });
            world.finally([=] {
                family->other.reset();
                scene->finish(true);
            });
        },
        {"0 blocked"}, interrupted);
}

TEST_CASE("a purge returns when the children of the purged were judged, whoever began [5.4]") {
    every_schedule(
        {},
        [](World& world, auto scene) {
            const auto family = waiting(*scene, OnParentFailure::hold);
            world.spawn("holder", [=] { scene->held[0].reject(); });
            world.spawn("purger", [=] {
                if (scene->queue->dead_letters().purge() == 0) { return; }
                scene->say(where(*scene->broker, family->child));
            });
            world.finally([=] {
                family->other.reset();
                scene->finish(true);
            });
        },
        {"dead", ""}, interrupted);
}

TEST_CASE("after an ack its own thread finds the child, whoever told it last [5.4]") {
    every_schedule(
        {},
        [](World& world, auto scene) {
            const auto family = waiting(*scene, OnParentFailure::hold);
            world.spawn("holder", [=] { scene->held[0].reject(); });
            world.spawn("redriver", [=] {
                if (!scene->queue->dead_letters().redrive(family->parent)) { return; }
                scene->queue->try_fetch()->ack();
                scene->say(family->other->try_fetch() ? "got" : "nothing");
            });
            world.finally([=] {
                family->other.reset();
                scene->finish(true);
            });
        },
        {"got", ""}, interrupted);
}

TEST_CASE("a gate changes before the close of its broker, or not at all [7.5]") {
    for (const bool fails : {false, true}) {
        every_schedule(
            {},
            [=](World& world, auto scene) {
                const auto gate = std::make_shared<std::optional<Gate>>();
                gate->emplace(scene->broker->gate());
                const MessageId id = (*gate)->id();
                world.spawn("owner", [=] {
                    const auto done = fails ? (*gate)->fail() : (*gate)->count_down();
                    scene->say(done ? "done" : "closed");
                });
                world.spawn("closer", [=] {
                    scene->broker->close();
                    scene->say(of_gate(*scene->broker, id));
                });
                world.finally([=] {
                    scene->say(of_gate(*scene->broker, id));
                    gate->reset();
                    scene->finish(true);
                });
            },
            {std::string{"done; "} + (fails ? "failed" : "completed") + " settled; " +
                 (fails ? "failed" : "completed") + " settled",
             "closed; failed shut; failed shut"},
            interrupted);
    }
}

TEST_CASE("explain makes no memory under a lock, however parents change meanwhile [5.9] [4.10]") {
    every_schedule(
        {},
        [](World& world, auto scene) {
            const auto other = std::make_shared<std::optional<Queue>>();
            other->emplace(scene->other());
            const MessageId one = scene->queue->publish(Parcel{1}).value();
            const MessageId two = scene->queue->publish(Parcel{2}).value();
            const MessageId child =
                (*other)
                    ->publish(Parcel{3}, {.parents = {one, two},
                                          .on_parent_failure = OnParentFailure::deliver})
                    .value();
            scene->queue->try_fetch()->reject();
            world.spawn("asker", [=] {
                scene->say(std::to_string(scene->broker->explain(child).parents.size()));
            });
            world.spawn("redriver",
                        [=] { static_cast<void>(scene->queue->dead_letters().redrive(one)); });
            world.finally([=] {
                other->reset();
                scene->finish(true);
            });
        },
        {"1", "2"}, interrupted);
}

TEST_CASE("who fetches a child may destroy everything, and then the clock [4.8]") {
    struct All {
        std::optional<Clock> clock;
        std::optional<Broker> broker;
        std::vector<Queue> queues;
        std::optional<Delivery> held;
    };
    every_schedule(
        {},
        [](World& world, auto scene) {
            const auto all = std::make_shared<All>();
            all->clock.emplace();
            all->broker.emplace(latchbox::BrokerOptions{.clock = &*all->clock});
            for (const char* const name : {"parent", "child", "other"}) {
                all->queues.push_back(all->broker->queue(name));
            }
            const MessageId parent = all->queues[0].publish(Parcel{1}).value();
            all->held.emplace(all->queues[0].try_fetch().value());
            for (const std::size_t child : {1U, 2U}) {
                static_cast<void>(all->queues[child].publish(Parcel{2}, {.parents = {parent}}));
            }
            world.spawn("holder", [=] { all->held->ack(); });
            world.spawn("fetcher", [=] {
                all->queues[1].fetch()->ack();
                all->queues.clear();
                all->broker.reset();
                all->clock.reset();
            });
            world.finally([=] {
                all->held.reset();
                scene->finish(true);
            });
        },
        {""}, interrupted);
}
