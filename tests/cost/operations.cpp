// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors

// What an operation costs where there is much, beside what it costs where there is little: in
// instructions, which callgrind counts, and counts the same each time. Everything is done some
// times among 10^3 and among 10^5 messages, leases, delays, children, keys, patterns or queues;
// what made these is not counted. Room for what an operation adds is there before, so that no count
// has a doubling in it. count.sh runs this program and compares.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <valgrind/callgrind.h>

#include "latchbox/latchbox.hpp"

namespace {

using namespace std::chrono_literals;

using Broker = latchbox::Broker<int>;
using Queue = Broker::Queue;
using Delivery = Broker::Delivery;
using latchbox::Duration;
using latchbox::MessageId;
using latchbox::PublishOptions;

constexpr std::size_t times = 128;  // that an operation is done
constexpr Duration tick = Duration{1us};

// One broker, with so many of something.
struct Scene {
    explicit Scene(std::size_t many) : size{many} { held.reserve(size + 2 * times); }

    // -- what is there ---------------------------------------------------------------------------

    Queue queue(const latchbox::QueueOptions& options = {}) {
        Queue made = broker.queue("work", options);
        std::vector<int> more(2 * size + 4 * times);
        made.publish_batch(more).value();  // room for them, and for what is added
        made.purge();
        return made;
    }
    void publish(const Queue& to, std::size_t count, const PublishOptions& options = {}) {
        for (std::size_t i = 0; i < count; ++i) { ids.push_back(to.publish(1, options).value()); }
    }
    // One after the other, so that no two leases end at one instant.
    void fetch(const Queue& from, std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) {
            clock.advance(tick);
            held.push_back(from.try_fetch().value());
        }
    }

    // -- what is counted -------------------------------------------------------------------------

    // `act(i)` for the i-th time, per `each` of them.
    template <class Act> void count(std::string_view name, Act&& act, std::size_t each = times) {
        const std::string label =
            std::to_string(size) + ' ' + std::to_string(each) + ' ' + std::string{name};
        const std::size_t repeat = each == times ? times : 1;
        CALLGRIND_START_INSTRUMENTATION;
        CALLGRIND_ZERO_STATS;
        for (std::size_t i = 0; i < repeat; ++i) { act(i); }
        CALLGRIND_DUMP_STATS_AT(label.c_str());
        CALLGRIND_STOP_INSTRUMENTATION;
    }
    // What is in the middle of others.
    [[nodiscard]] const MessageId& id(std::size_t i) const { return ids[size / 2 + i]; }
    [[nodiscard]] Delivery& delivery(std::size_t i) { return held[size / 2 + i]; }

    std::size_t size;
    latchbox::ManualClock clock{};
    Broker broker{{.clock = &clock}};
    std::vector<MessageId> ids{};
    std::vector<Delivery> held{};
};

// -- one queue -----------------------------------------------------------------------------------

void ready(Scene& scene) {
    const Queue queue = scene.queue();
    scene.publish(queue, scene.size);
    scene.count("publish", [&](std::size_t) { queue.publish(1).value(); });
    scene.count("publish of a priority",
                [&](std::size_t) { queue.publish(1, {.priority = 9}).value(); });
    scene.count("cancel", [&](std::size_t i) { queue.cancel(scene.id(i)).value(); });
    scene.count("fetch", [&](std::size_t) { scene.held.push_back(queue.try_fetch().value()); });
    scene.count("release", [&](std::size_t i) { scene.held[i].release().value(); });
    scene.held.clear();
    scene.fetch(queue, times);
    scene.count("requeue", [&](std::size_t i) { scene.held[i].requeue().value(); });
    // Linear by contract: whoever compares has to see that.
    scene.count("control", [&](std::size_t) { queue.purge(); });
}
void leased(Scene& scene) {
    const Queue queue = scene.queue({.lease = 1h});
    scene.publish(queue, scene.size + times);
    scene.fetch(queue, scene.size + times);
    scene.count("extend", [&](std::size_t i) { scene.delivery(i).extend(2h).value(); });
    scene.count("ack", [&](std::size_t i) { scene.delivery(i).ack().value(); });
    scene.clock.set(scene.held.front().deadline() - tick);
    scene.count("lease run out", [&](std::size_t) {
        scene.clock.advance(tick);
        scene.broker.poll();
    });
}
void failed(Scene& scene) {
    const Queue queue = scene.queue({.backoff = {.first = 1h, .factor = 1, .limit = 1h}});
    scene.publish(queue, scene.size + times);
    scene.fetch(queue, scene.size + times);
    for (std::size_t i = 0; i < scene.size; ++i) {
        scene.clock.advance(tick);
        scene.held[i].fail().value();
    }
    scene.count("fail with backoff",
                [&](std::size_t i) { scene.held[scene.size + i].fail("no").value(); });
    scene.clock.advance(Duration{1h} - tick * static_cast<std::int64_t>(scene.size));
    scene.count("delay due", [&](std::size_t) {
        scene.clock.advance(tick);
        scene.broker.poll();
    });
}
void mortal(Scene& scene) {
    const Queue queue = scene.queue();
    for (std::size_t i = 0; i < scene.size + times; ++i) {
        scene.clock.advance(tick);
        scene.publish(queue, 1, {.expires_in = 1h});
    }
    scene.clock.advance(Duration{1h} - tick * static_cast<std::int64_t>(scene.size + times));
    scene.count("time to live over", [&](std::size_t) {
        scene.clock.advance(tick);
        scene.broker.poll();
    });
}
void dead(Scene& scene) {
    const Queue queue = scene.queue();
    scene.publish(queue, scene.size);
    while (auto delivery = queue.try_fetch()) { delivery->reject().value(); }
    const auto letters = queue.dead_letters();
    scene.count("redrive of one", [&](std::size_t i) { letters.redrive(scene.id(i)).value(); });
    scene.count("take of a dead letter",
                [&](std::size_t i) { letters.take(scene.id(times + i)).value(); });
    scene.fetch(queue, times);
    scene.count("reject", [&](std::size_t i) { scene.held[i].reject("no").value(); });
}
void full(Scene& scene) {
    const Queue queue = scene.broker.queue("full", {.capacity = scene.size,
                                                    .overflow = latchbox::Overflow::drop_oldest,
                                                    .outcome_memory = times});
    scene.publish(queue, scene.size + 4 * times);
    scene.count("publish that evicts", [&](std::size_t) { queue.publish(1).value(); });
}
void repeated(Scene& scene) {
    const Queue queue = scene.queue();
    const auto value = [](std::size_t i) { return "value " + std::to_string(i); };
    for (std::size_t i = 0; i < scene.size + times; ++i) {
        scene.publish(queue, 1, {.dedup = value(i)});
    }
    std::vector<std::string> old;
    std::vector<std::string> unknown;
    for (std::size_t i = 0; i < times; ++i) {
        old.push_back(value(scene.size - 1 - i));
        unknown.push_back(value(scene.size + times + i));
    }
    scene.count("publish of a repeated value",
                [&](std::size_t i) { queue.publish(1, {.dedup = old[i]}).value(); });
    scene.count("publish of a new value",
                [&](std::size_t i) { queue.publish(1, {.dedup = unknown[i]}).value(); });
}

// -- keys, parents, gates ------------------------------------------------------------------------

void line(Scene& scene) {
    const Queue queue = scene.queue();
    scene.publish(queue, scene.size, {.key = "all"});
    scene.count("publish at the end of a line",
                [&](std::size_t) { queue.publish(1, {.key = "all"}).value(); });
    scene.count("step of a line", [&](std::size_t) { queue.try_fetch()->ack().value(); });
}
void lines(Scene& scene) {
    const Queue queue = scene.queue();
    for (std::size_t i = 0; i < scene.size; ++i) {
        scene.publish(queue, 2, {.key = "key " + std::to_string(i)});
    }
    const std::string key = "key " + std::to_string(scene.size / 2);
    scene.count("publish of a key", [&](std::size_t) { queue.publish(1, {.key = key}).value(); });
    scene.count("step of a line among lines",
                [&](std::size_t) { queue.try_fetch()->ack().value(); });
}
void children(Scene& scene) {
    const Queue queue = scene.queue();
    const Queue parents = scene.broker.queue("parents");
    scene.publish(parents, scene.size + times);
    const auto publish = [&](std::size_t parent) {
        queue.publish(1, {.parents = {scene.ids[parent]}}).value();
    };
    for (std::size_t i = 0; i < 4 * times; ++i) { publish(i); }
    for (std::size_t i = 0; i < scene.size + times; ++i) { publish(i); }
    queue.purge();
    for (std::size_t i = 0; i < scene.size + times; ++i) { publish(i); }
    scene.fetch(parents, times);
    scene.count("ask for a latch",
                [&](std::size_t i) { scene.broker.latch(scene.id(i)).state().value(); });
    scene.count("publish with a parent", [&](std::size_t i) { publish(scene.size / 2 + i); });
    scene.count("latch release", [&](std::size_t i) { scene.held[i].ack().value(); });
}
void family(Scene& scene) {
    const Queue queue = scene.queue();
    scene.publish(scene.broker.queue("parents"), 1);
    const PublishOptions options{.parents = {scene.ids.front()}};
    scene.publish(queue, scene.size + times, options);
    queue.purge();
    scene.publish(queue, scene.size, options);
    scene.count("publish into a family", [&](std::size_t) { queue.publish(1, options).value(); });
    scene.fetch(scene.broker.queue("parents"), 1);
    scene.count(
        "release of a family, per child", [&](std::size_t) { scene.held.front().ack().value(); },
        scene.size + times);
}
void gates(Scene& scene) {
    const Queue queue = scene.queue();
    std::vector<Broker::Gate> made;
    for (std::size_t i = 0; i < scene.size; ++i) {
        made.push_back(scene.broker.gate());
        queue.publish(1, {.parents = {made.back().id()}}).value();
    }
    scene.count("gate opened",
                [&](std::size_t i) { made[scene.size / 2 + i].count_down().value(); });
}

// -- topics, transactions, names -----------------------------------------------------------------

void patterns(Scene& scene) {
    std::vector<Broker::Subscription> made;
    for (std::size_t i = 0; i < scene.size; ++i) {
        made.push_back(scene.broker.subscribe("orders.customer-" + std::to_string(i) + ".paid"));
    }
    const std::string mine = "orders.customer-" + std::to_string(scene.size / 2) + ".paid";
    made.push_back(scene.broker.subscribe("orders.>"));
    made.push_back(scene.broker.subscribe("*.*.paid"));
    const auto topic = scene.broker.topic(mine);
    for (std::size_t i = 0; i < 3 * times; ++i) { topic.publish(1).value(); }
    for (auto& each : made) { each.purge(); }
    scene.count("publish to 3 of many patterns", [&](std::size_t) { topic.publish(1).value(); });
    scene.count("topic by its subject",
                [&](std::size_t) { static_cast<void>(scene.broker.topic(mine)); });
    std::vector<Broker::Subscription> more;
    more.reserve(times);
    scene.count("subscribe",
                [&](std::size_t) { more.push_back(scene.broker.subscribe("orders.new.*")); });
    scene.count("unsubscribe", [&](std::size_t i) { more[i].unsubscribe(); });
}
void retained(Scene& scene) {
    const auto topic = scene.broker.topic("orders", {.retain_count = scene.size});
    for (std::size_t i = 0; i < scene.size + times; ++i) {
        scene.ids.push_back(topic.publish(1).value());
    }
    scene.count("read by id", [&](std::size_t i) { topic.read(scene.id(i)).value(); });
    scene.count("publish that is retained", [&](std::size_t) { topic.publish(1).value(); });
}
void commits(Scene& scene) {
    const Queue queue = scene.queue();
    scene.publish(queue, scene.size);
    scene.fetch(queue, times);
    scene.count("commit of an ack and a publish", [&](std::size_t i) {
        auto transaction = scene.broker.transaction();
        transaction.ack(std::move(scene.held[i])).value();
        transaction.publish(queue, 1).value();
        transaction.commit().value();
    });
}
void queues(Scene& scene) {
    const auto name = [](std::size_t i) { return "queues." + std::to_string(i); };
    for (std::size_t i = 0; i < scene.size; ++i) { static_cast<void>(scene.broker.queue(name(i))); }
    const std::string mine = name(scene.size / 2);
    scene.count("queue by its name",
                [&](std::size_t) { static_cast<void>(scene.broker.find_queue(mine).value()); });
    const Queue queue = scene.broker.queue(mine);
    scene.count("publish, fetch and ack among queues", [&](std::size_t) {
        queue.publish(1).value();
        queue.try_fetch()->ack().value();
    });
}

}  // namespace

int main() {
    for (const std::size_t size : {std::size_t{1'000}, std::size_t{100'000}}) {
        for (void (*const run)(Scene&) :
             {ready, leased, failed, mortal, dead, full, repeated, line, lines, children, family,
              gates, patterns, retained, commits, queues}) {
            Scene scene{size};
            run(scene);
        }
    }
}
