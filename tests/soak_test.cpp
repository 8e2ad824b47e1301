// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"
#include "latchbox/testing/choices.hpp"

#include "support/seed.hpp"
#include "support/sound.hpp"

// Everything at once, on real threads: four of them do whatever they draw with three queues, two
// groups and a clock that they move, so many operations in all as LATCHBOX_SOAK says. Under
// ThreadSanitizer this is the search for data races; each run draws from another seed.
namespace {

using namespace std::chrono_literals;
using latchbox::MessageId;
using latchbox::PublishOptions;
using latchbox::testing::Seeded;

constexpr std::size_t threads = 4;
constexpr std::size_t queues = 3;

// A message, and how often it was completed: shared by its copies and redeliveries.
struct Parcel {
    std::uint64_t number = 0;
    std::string weight = std::string(40, 'x');  // destroyed by whoever is last
};

struct Everything {
    latchbox::ManualClock clock;
    latchbox::Broker<Parcel> broker{{.clock = &clock}};
    std::array<latchbox::Queue<Parcel>, queues> queue{
        broker.queue("a", {.lease = 40us, .capacity = 400, .max_failures = 3}),
        broker.queue("b", {.lease = 60us,
                           .capacity = 200,
                           .overflow = latchbox::Overflow::drop_oldest,
                           .dead_capacity = 20}),
        broker.queue("c", {.lease = 1s, .capacity = 300, .overflow = latchbox::Overflow::block})};
    latchbox::Topic<Parcel> topic = broker.topic("news.of.all", {.retain_count = 20});
    latchbox::Subscription<Parcel> mail =
        broker.subscribe("news.>", {.group = "mail", .lease = 50us, .capacity = 100});
    latchbox::Subscription<Parcel> audit = broker.subscribe("news.of.*", {.group = "audit"});
    std::atomic<std::uint64_t> published{0};
};

// One of the threads.
class Worker {
public:
    Worker(Everything& all, std::uint64_t seed) : all_{all}, random_{seed} {}

    void work(std::uint64_t operations) {
        for (std::uint64_t i = 0; i < operations; ++i) { one(); }
        held_.clear();
    }
    std::uint64_t completed = 0;
    std::uint64_t broken = 0;      // bodies
    std::uint64_t kinds_done = 0;  // a bit for each operation that was drawn

private:
    bool one_in(std::uint32_t n) { return random_.pick(n) == 0; }
    latchbox::Queue<Parcel>& queue() { return all_.queue[random_.pick(queues)]; }
    const latchbox::Consumer<Parcel>& source() {
        const std::uint32_t which = random_.pick(queues + 2);
        if (which < queues) { return all_.queue[which]; }
        return which == queues ? all_.mail : all_.audit;
    }
    MessageId& known() { return known_[random_.pick(16)]; }

    PublishOptions wishes() {
        PublishOptions options;
        if (one_in(6)) { options.delay = 1us * static_cast<int>(random_.pick(60)); }
        if (one_in(6)) { options.expires_in = 100us; }
        if (one_in(4)) { options.priority = static_cast<std::uint8_t>(random_.pick(10)); }
        if (one_in(6)) { options.key = one_in(2) ? "odd" : "even"; }
        if (one_in(5)) { options.parents = {known(), known()}; }
        if (one_in(8)) { options.dedup = std::to_string(random_.pick(50)); }
        options.block_for = 20us;
        return options;
    }
    template <class To> void publish(const To& to) {
        const auto published = to.publish(Parcel{++all_.published}, wishes());
        if (published) { known() = *published; }
    }
    void settle(latchbox::Delivery<Parcel>& delivery) {
        broken += delivery.body().weight.size() == 40 ? 0U : 1U;
        switch (random_.pick(11)) {
            case 0: delivery.release(); break;
            case 1: delivery.requeue(1us * static_cast<int>(random_.pick(30))); break;
            case 2: delivery.fail("no"); break;
            case 3: delivery.reject("never"); break;
            case 4: break;  // abandoned
            case 5: static_cast<void>(delivery.extend(50us)); break;
            case 6: held_.push_back(std::move(delivery)); break;
            case 7: completed += delivery.take() ? 1U : 0U; break;
            case 8: static_cast<void>(delivery.forward(queue())); break;
            case 9: commit(delivery); break;
            default: completed += delivery.ack() ? 1U : 0U; break;
        }
        if (held_.size() > 6) { held_.erase(held_.begin()); }
    }
    void commit(latchbox::Delivery<Parcel>& delivery) {
        auto transaction = all_.broker.transaction();
        static_cast<void>(transaction.ack(std::move(delivery)));
        static_cast<void>(transaction.publish(queue(), Parcel{++all_.published}));
        if (one_in(2)) {
            static_cast<void>(transaction.publish(all_.topic, Parcel{++all_.published}));
        }
        static_cast<void>(transaction.commit());
    }
    void one() {
        const std::uint32_t kind = random_.pick(20);
        kinds_done |= std::uint64_t{1} << kind;
        switch (kind) {
            case 0:
            case 1:
            case 2:
            case 3: return publish(queue());
            case 4: return publish(all_.topic);
            case 5: return all_.clock.advance(1us * static_cast<int>(random_.pick(40)));
            case 6: return look();
            case 7: return remove();
            case 8:
                if (auto delivery = source().fetch_for(10us)) { settle(*delivery); }
                return;
            case 9: {
                std::vector<latchbox::Delivery<Parcel>> some;
                static_cast<void>(source().fetch_batch(some, 4));
                completed += source().ack_batch(some);
                return;
            }
            case 10: return gate();
            case 11: {
                // Comes and goes, with what is retained.
                const auto guest = all_.broker.subscribe("news.*.all", {.replay = true});
                static_cast<void>(guest.try_fetch());
                return;
            }
            default:
                if (auto delivery = source().try_fetch()) { settle(*delivery); }
                return;
        }
    }
    void look() {
        static_cast<void>(all_.broker.explain(known()));
        static_cast<void>(all_.broker.stats());
        static_cast<void>(all_.topic.read(known()));
        static_cast<void>(all_.broker.latch(known()).wait_for(5us));
        static_cast<void>(all_.broker.poll());
    }
    void remove() {
        static_cast<void>(queue().cancel(known()));
        const auto dead = source().dead_letters();
        if (one_in(2)) {
            static_cast<void>(dead.redrive());
        } else if (one_in(4)) {
            static_cast<void>(dead.purge());
        } else {
            static_cast<void>(dead.take());
        }
    }
    void gate() {
        const auto gate = all_.broker.gate(1);
        static_cast<void>(
            queue().publish(Parcel{++all_.published}, {.parents = {gate.id()}, .block_for = 10us}));
        if (one_in(2)) { gate.count_down(); }
    }

    Everything& all_;
    Seeded random_;
    std::vector<latchbox::Delivery<Parcel>> held_;
    std::array<MessageId, 16> known_{};
};

}  // namespace

TEST_CASE("four threads do everything at once, and every message is accounted for [4.1] [4.10]") {
    const std::uint64_t operations = support::number_from_environment("LATCHBOX_SOAK", 100'000);
    const std::uint64_t seed = support::seed_of_this_run();
    Everything all;
    std::deque<Worker> workers;
    for (std::size_t i = 0; i < threads; ++i) { workers.emplace_back(all, seed + i); }
    std::vector<std::thread> running;
    std::atomic<std::size_t> working{threads};
    for (Worker& worker : workers) {
        running.emplace_back([&] {
            worker.work(operations / threads);
            --working;
        });
    }
    // Who waits for an instant waits for this one, once nobody else moves the clock.
    while (working.load() != 0) {
        all.clock.advance(1us);
        std::this_thread::yield();
    }
    for (std::thread& thread : running) { thread.join(); }

    std::uint64_t completed = 0;
    std::uint64_t kinds = 0;
    for (const Worker& worker : workers) {
        completed += worker.completed;
        kinds |= worker.kinds_done;
        CHECK(worker.broken == 0);
    }
    CHECK(kinds == (std::uint64_t{1} << 20) - 1);
    for (const auto& queue : all.queue) { support::check_sound(queue); }
    support::check_sound(all.mail);
    support::check_sound(all.audit);
    const auto stats = all.broker.stats();
    CHECK(support::conserved(stats.messages));
    CHECK(stats.messages.completed >= completed);
    CHECK(stats.messages.leased == 0);
    CHECK(completed > 0);
    std::printf("figure: soak of four threads, operations = %llu\n",
                static_cast<unsigned long long>(operations));
}
