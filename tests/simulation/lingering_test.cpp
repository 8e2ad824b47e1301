// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <memory>
#include <optional>
#include <set>
#include <string>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"
#include "latchbox/testing.hpp"

// Fetches that linger before they sleep, as those of threads do, under all schedules: what happens
// while they hold no lock and stand in no line is not missed. [4.9] [7.7]
namespace {

using namespace std::chrono_literals;
using namespace latchbox::testing;
using latchbox::Errc;

struct Lingering : Simulated {
    static constexpr bool lingers = true;
    static int spins() noexcept { return 3; }
    static void pause() noexcept {}
};
using Queue = latchbox::Queue<int, Lingering>;

struct Scene {
    latchbox::BasicManualClock<Lingering> clock;
    std::optional<latchbox::Broker<int, Lingering>> broker{
        latchbox::BrokerOptions{.clock = &clock}};
    Queue queue = broker->queue("queue", {.lease = 10s});

    // Fetches, acks, and says what it got.
    template <class Fetch> static std::string got(Fetch&& fetch) {
        auto delivery = fetch();
        if (!delivery) { return latchbox::to_string(delivery.error()); }
        const int body = delivery->body();
        return delivery->ack() ? std::to_string(body) : "lost";
    }
};

template <class Program>
void every_outcome(Program program, const std::set<std::string>& expected) {
    const Report report = explore(program);
    CHECK_MESSAGE(report.passed(), report.text());
    CHECK(report.complete);
    std::set<std::string> outcomes;
    for (const auto& [outcome, count] : report.outcomes) { outcomes.insert(outcome); }
    CHECK(outcomes == expected);
}

TEST_CASE("a message that comes while a fetch lingers is not missed [4.9]") {
    every_outcome(
        [](World& world) {
            const auto scene = std::make_shared<Scene>();
            world.spawn("publisher", [=] { scene->queue.publish(1).value(); });
            world.spawn("consumer", [=, &world] {
                world.outcome(Scene::got([&] { return scene->queue.fetch(); }));
            });
            world.finally([=, &world] {
                const auto found = quiescence(*scene->broker);
                world.check(found.quiet(), found.text());
            });
        },
        {"1"});
}

TEST_CASE("of two who linger each gets one of two messages [4.9]") {
    const Report report = explore(
        [](World& world) {
            const auto scene = std::make_shared<Scene>();
            world.spawn("publisher", [=] {
                scene->queue.publish(1).value();
                scene->queue.publish(2).value();
            });
            for (const char* name : {"one", "other"}) {
                world.spawn(name, [=, &world] {
                    const std::string got = Scene::got([&] { return scene->queue.fetch(); });
                    world.check(got == "1" || got == "2", "has got " + got);
                });
            }
            world.finally([=, &world] {
                world.check(scene->queue.stats().completed == 2, "one of them is left");
            });
        },
        Strategy::interrupted_at_most(2));
    CHECK_MESSAGE(report.passed(), report.text());
}

TEST_CASE("a close while a fetch lingers ends it [7.5]") {
    every_outcome(
        [](World& world) {
            const auto scene = std::make_shared<Scene>();
            world.spawn("closer", [=] { scene->broker->close(); });
            world.spawn("consumer", [=, &world] {
                world.outcome(Scene::got([&] { return scene->queue.fetch(); }));
            });
        },
        {"closed"});
}

TEST_CASE("the end of its time while a fetch lingers ends it, whatever comes after [4.3]") {
    every_outcome(
        [](World& world) {
            const auto scene = std::make_shared<Scene>();
            world.spawn("clock", [=] {
                scene->clock.advance(10s);
                scene->queue.publish(1).value();
            });
            world.spawn("consumer", [=, &world] {
                world.outcome(Scene::got([&] { return scene->queue.fetch_for(10s); }));
            });
        },
        {"1", "timed out"});
}

TEST_CASE("a stop while a fetch lingers ends it, and the message stays [7.7]") {
    every_outcome(
        [](World& world) {
            const auto scene = std::make_shared<Scene>();
            const auto stop = std::make_shared<Lingering::StopSource>();
            world.spawn("publisher", [=] {
                stop->request_stop();
                scene->queue.publish(1).value();
            });
            world.spawn("consumer", [=, &world] {
                world.outcome(Scene::got([&] { return scene->queue.fetch(stop->get_token()); }));
            });
            world.finally([=, &world] {
                const auto stats = scene->queue.stats();
                world.check(stats.ready + stats.completed == 1, "the message is lost");
            });
        },
        {"1", "cancelled"});
}

}  // namespace
