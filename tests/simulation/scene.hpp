// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "simulation/parcel.hpp"

// The real broker, under all schedules of small programs. Besides what the simulated platform
// checks by itself (a lost wake-up is a deadlock there), each run ends with the same questions:
// is every accepted message acked once or still there, and no object of it left behind; and each
// program names exactly the ways in which it may go.
namespace scenes {

// What the fibers of one run share. Each writes only what is its own.
class Scene {
public:
    explicit Scene(World& world, const QueueOptions& options = {}) : world_{world} {
        world.watch_allocations();
        broker.emplace(latchbox::BrokerOptions{.clock = &clock});
        queue.emplace(broker->queue("queue", options));
        // Memory is there, the clock was read: what a first call alone does is no part of these.
        if (queue->publish(Parcel{99})) { queue->try_fetch()->ack(); }
    }

    Clock clock;
    std::optional<Broker> broker;
    std::optional<Queue> queue;
    std::vector<Delivery> held;  // fetched before the fibers start

    void say(const std::string& word) {
        std::string& words = said_[fiber()];
        words += (words.empty() ? "" : " ") + word;
    }

    void publish(int number, const latchbox::PublishOptions& options = {}) {
        publish_to(*queue, number, options);
    }
    void publish_to(const Queue& to, int number, const latchbox::PublishOptions& options = {}) {
        const auto published = to.publish(Parcel{number}, options);
        if (published) { published_[fiber()].push_back(number); }
        say(published ? "published" : name(published.error()));
    }
    void fetch(const Simulated::StopToken& stop = {}) { settle(queue->fetch(stop)); }
    void fetch_for(Duration length) { settle(queue->fetch_for(length)); }
    void try_fetch() { settle(queue->try_fetch()); }
    void fetch_from(const Queue& from, const Simulated::StopToken& stop = {}) {
        settle(from.fetch(stop));
    }
    void ack(Delivery& delivery) {
        const int number = delivery.body().number();
        const auto done = delivery.ack();
        if (done) { acked_[fiber()].push_back(number); }
        say(done ? "acked" : name(done.error()));
    }
    [[nodiscard]] Queue other() { return broker->queue("other"); }
    // Before the fibers start: a message that was published, and perhaps fetched.
    void prepare(int number, bool fetched = false) {
        if (queue->publish(Parcel{number})) { published_[fiber()].push_back(number); }
        if (fetched) { held.push_back(std::move(queue->try_fetch().value())); }
    }

    // At rest nobody waits for what is there. [4.9]
    void check_at_rest(std::size_t fetching, std::size_t publishing) {
        const auto stats = queue->stats();
        const auto options = queue->options();
        world_.check(fetching == 0 || stats.ready == 0, "lets a fetch wait for what is ready");
        world_.check(publishing == 0 || stats.held() >= options.capacity,
                     "lets a publish wait where there is room");
    }

    // To be called at the end of all. `closed`: what was left is gone with the broker.
    void finish(bool closed = false) {
        held.clear();
        std::string words;
        for (const std::string& one : said_) {
            if (!one.empty()) { words += (words.empty() ? "" : "; ") + one; }
        }
        world_.outcome(words);
        check_counts();
        if (!closed && broker) { check_identity(); }
        queue.reset();
        broker.reset();
        world_.check(Parcel::live == 0, "messages are left: " + std::to_string(Parcel::live));
    }

private:
    static std::string name(Errc errc) { return std::string{latchbox::to_string(errc)}; }
    // The thread itself is the last.
    [[nodiscard]] std::size_t fiber() const noexcept {
        return world_.on_fiber() ? static_cast<std::size_t>(world_.running()) : said_.size() - 1;
    }

    template <class Fetched> void settle(Fetched&& fetched) {
        if (!fetched) { return say(name(fetched.error())); }
        say("got " + std::to_string(fetched->body().number()) +
            (fetched->attempt() == 1 ? "" : " again"));
        const int number = fetched->body().number();
        const auto done = fetched->ack();
        if (done) { acked_[fiber()].push_back(number); }
        if (!done) { say(name(done.error())); }
    }
    void check_counts() {
        const char* const broken = latchbox::detail::Access::core(*queue).audit();
        world_.check(broken == nullptr, broken == nullptr ? "" : broken);
        const auto stats = queue->stats();
        world_.check(stats.accepted == stats.held() + stats.completed + stats.expired +
                                           stats.purged + stats.evicted + stats.cancelled,
                     "the counts do not add up");
    }
    // Once all leases and delays are over, what was published and not acked is there, once.
    void check_identity() {
        std::vector<int> expected;
        std::vector<int> found;
        for (const auto& numbers : published_) {
            expected.insert(expected.end(), numbers.begin(), numbers.end());
        }
        for (const auto& numbers : acked_) {
            found.insert(found.end(), numbers.begin(), numbers.end());
        }
        clock.advance(24h);
        while (auto left = queue->try_fetch()) {
            found.push_back(left->body().number());
            left->ack();
        }
        std::sort(expected.begin(), expected.end());
        std::sort(found.begin(), found.end());
        world_.check(found == expected, "a message is lost, or there twice");
    }

    World& world_;
    std::array<std::string, 8> said_;
    std::array<std::vector<int>, 8> published_;
    std::array<std::vector<int>, 8> acked_;
};

// Makes one allocation of one fiber's own fail: each `new` that the program knows asks.
struct Scarcity {
    static bool fails_now() noexcept {
        if (fiber < 0 || left == 0) { return false; }
        const World* const world = World::current();
        if (world == nullptr || !world->in_program() || world->running() != fiber) { return false; }
        return --left == 0;
    }
    inline static int fiber = -1;
    inline static std::uint32_t left = 0;  // until the one that fails
};

// The figures of all programs of this file, told at the end.
struct Figures {
    std::string file;  // of the tests
    std::uint64_t programs = 0;
    Report all;

    Figures() = default;
    Figures(const Figures&) = delete;
    Figures& operator=(const Figures&) = delete;
    ~Figures() {
        if (programs == 0) { return; }
        const auto tell = [this](const char* name, std::uint64_t value) {
            std::printf("figure: simulated %s %s = %llu\n", file.c_str(), name,
                        static_cast<unsigned long long>(value));
        };
        tell("programs", programs);
        tell("schedules", all.schedules);
        tell("schedules cut", all.cut);
        tell("branches pruned", all.pruned);
        tell("steps", all.steps);
    }
};
inline Figures figures;

using Setup = std::function<void(World&, std::shared_ptr<Scene>)>;

// Runs all schedules of one program, which must go in exactly the ways named.
inline void every_schedule(const QueueOptions& options, const Setup& setup,
                           const std::set<std::string>& expected,
                           const latchbox::testing::Rules& rules = {}) {
    Strategy strategy = Strategy::exhaustive();
    strategy.rules = rules;
    const Report report = latchbox::testing::explore(
        [&](World& world) {
            Parcel::live = 0;
            const auto scene = std::make_shared<Scene>(world, options);
            setup(world, scene);
        },
        strategy);
    const std::string failure = report.first ? report.first->describe() : "";
    CHECK_MESSAGE(failure.empty(), failure);
    if (report.passed() && !report.replayed) {
        CHECK(report.complete);
        std::set<std::string> ways;
        std::string told;
        for (const auto& [way, count] : report.outcomes) {
            ways.insert(way);
            told += "\n  " + way + " (" + std::to_string(count) + ")";
        }
        CHECK_MESSAGE((ways == expected), "it went:" << told);
    }
    const std::string path = doctest::getContextOptions()->currentTest->m_file.c_str();
    figures.file = path.substr(path.rfind('/') + 1);
    figures.file = figures.file.substr(0, figures.file.find("_test"));
    ++figures.programs;
    figures.all.schedules += report.schedules;
    figures.all.cut += report.cut;
    figures.all.pruned += report.pruned;
    figures.all.steps += report.steps;
    if (std::getenv("LATCHBOX_VERBOSE") != nullptr) {
        std::printf("%8llu schedules %8llu cut  %s\n",
                    static_cast<unsigned long long>(report.schedules),
                    static_cast<unsigned long long>(report.cut),
                    doctest::getContextOptions()->currentTest->m_name);
    }
}

// The same of a program on a larger scene, which is made of a world and a small one.
template <class Larger, class SetUp>
void every_schedule_on(const std::set<std::string>& expected, const latchbox::testing::Rules& rules,
                       SetUp set_up) {
    every_schedule(
        {},
        [=](World& world, const std::shared_ptr<Scene>& scene) {
            set_up(world, std::make_shared<Larger>(world, scene));
        },
        expected, rules);
}

inline constexpr latchbox::testing::Rules interrupted{.interrupt_after = true};
inline constexpr latchbox::testing::Rules two_preemptions{.preemptions = 2};
inline constexpr latchbox::testing::Rules three_interrupted{.interrupt_after = true,
                                                            .preemptions = 3};
inline constexpr latchbox::testing::Rules spurious{.spurious_wakes = 1};
inline constexpr latchbox::testing::Rules three_preemptions{.preemptions =
                                                         3};  // where all would be too many

}  // namespace scenes
