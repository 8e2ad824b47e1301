// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"

#include "support/message_kinds.hpp"
#include "support/sound.hpp"
#include "support/watched_threads.hpp"

// Real threads, for ThreadSanitizer. Bounded by counts, never by time. Threads write down what they
// saw; it is judged when they have all ended.
namespace {

using namespace std::chrono_literals;
using latchbox::Errc;
using support::error_of;

// Who published it, and as which of his.
struct Note {
    std::uint32_t publisher = 0;
    std::uint32_t number = 0;
};
using Queue = latchbox::Queue<Note>;
using Delivery = latchbox::Delivery<Note>;

class Random {
public:
    explicit Random(std::uint64_t seed) : state_{seed * 2 + 1} {}
    std::size_t pick(std::size_t n) {
        state_ = state_ * 6364136223846793005U + 1442695040888963407U;
        return static_cast<std::size_t>((state_ >> 33) % n);
    }

private:
    std::uint64_t state_;
};

constexpr std::uint32_t publishers = 4;

// What became of every note: written by many threads, one place each.
struct Ledger {
    explicit Ledger(std::uint32_t each) : completed(publishers) {
        for (auto& of_one : completed) { of_one = std::vector<std::atomic<int>>(each); }
    }
    void complete(const Note& note) { ++completed[note.publisher][note.number]; }
    [[nodiscard]] bool at_most_once() const { return most() <= 1; }
    [[nodiscard]] int most() const {
        int most = 0;
        for (const auto& of_one : completed) {
            for (const auto& times : of_one) { most = times > most ? times.load() : most; }
        }
        return most;
    }
    [[nodiscard]] std::uint64_t sum() const {
        std::uint64_t sum = 0;
        for (const auto& of_one : completed) {
            for (const auto& times : of_one) { sum += static_cast<std::uint64_t>(times.load()); }
        }
        return sum;
    }
    std::vector<std::vector<std::atomic<int>>> completed;
};

// One thread that publishes its notes, and fetches and settles anybody's in every way.
void publish_and_settle(const Queue& queue, std::uint32_t self, std::uint32_t each,
                        Ledger& ledger) {
    Random random{self};
    std::vector<Delivery> late;
    std::uint32_t published = 0;
    while (published < each) {
        if (random.pick(2) == 0) {
            latchbox::PublishOptions options;
            if (random.pick(8) == 0) { options.delay = 1us * random.pick(50); }
            options.priority = static_cast<std::uint8_t>(random.pick(3));
            if (!queue.publish({self, published}, options)) { return; }
            ++published;
            continue;
        }
        auto delivery = queue.try_fetch();
        if (!delivery) { continue; }
        const Note note = delivery->body();
        switch (random.pick(12)) {
            case 0: delivery->release(); break;
            case 1: delivery->requeue(); break;
            case 2: delivery->requeue(1us * random.pick(20)); break;
            case 3: delivery->fail("no"); break;
            case 4: delivery->reject("no"); break;
            case 5: break;  // abandoned
            case 6:
                // Kept until its lease has likely run out, and read all the while.
                late.push_back(std::move(*delivery));
                if (late.size() > 8) {
                    if (late.front().body().publisher < publishers && late.front().ack()) {
                        ledger.complete(late.front().body());
                    }
                    late.erase(late.begin());
                }
                break;
            case 7:
                if (delivery->extend(1us * random.pick(100)) && delivery->ack()) {
                    ledger.complete(note);
                }
                break;
            case 8: {
                const auto receipt = std::move(*delivery).detach();
                if (queue.ack(receipt)) { ledger.complete(note); }
                break;
            }
            case 9:
                if (const auto body = delivery->take()) { ledger.complete(*body); }
                break;
            default:
                if (delivery->ack()) { ledger.complete(note); }
                break;
        }
    }
}

TEST_CASE("four threads publish and settle in every way, and nothing is lost [4.1] [4.2]") {
    constexpr std::uint32_t each = 2'000;
    latchbox::Broker<Note> broker;
    const Queue queue = broker.queue(
        "notes", {.lease = 20us, .backoff = {.first = 1us, .factor = 2, .limit = 20us}});
    Ledger ledger{each};
    std::vector<std::thread> threads;
    for (std::uint32_t self = 0; self < publishers; ++self) {
        threads.emplace_back([&, self] { publish_and_settle(queue, self, each, ledger); });
    }
    for (std::thread& thread : threads) { thread.join(); }
    // Whatever is left: dead ones redriven, all acked.
    queue.dead_letters().redrive();
    while (queue.size() != 0) {
        if (auto delivery = queue.try_fetch()) {
            if (delivery->extend(1h) && delivery->ack()) { ledger.complete(delivery->body()); }
        }
    }
    CHECK(ledger.at_most_once());
    CHECK(ledger.sum() == publishers * each);
    CHECK(queue.stats().accepted == publishers * each);
    CHECK(queue.stats().completed == publishers * each);
    support::check_sound(queue);
}

TEST_CASE("closed in the middle of everything, a broker counts on [7.5] [4.1] [misuse 24]") {
    for (int round = 0; round < 10; ++round) {
        latchbox::Broker<Note> broker;
        const Queue queue = broker.queue("notes", {.lease = 50us});
        constexpr std::uint32_t each = 100'000;
        Ledger ledger{each};
        std::vector<std::thread> threads;
        for (std::uint32_t self = 0; self < publishers; ++self) {
            threads.emplace_back([&, self] { publish_and_settle(queue, self, each, ledger); });
        }
        bool sums_hold = true;
        for (latchbox::QueueStats during; during.accepted < 500;) {
            during = queue.stats();
            sums_hold = sums_hold && support::conserved(during);
            std::this_thread::yield();
        }
        CHECK(sums_hold);
        const latchbox::CloseReport report = broker.close();
        for (std::thread& thread : threads) { thread.join(); }
        const latchbox::QueueStats stats = queue.stats();
        CHECK(ledger.at_most_once());
        CHECK(stats.completed == ledger.sum());
        CHECK(report.left() == stats.held());
        support::check_sound(queue);
    }
}

TEST_CASE("a single consumer sees each publisher's order [4.4]") {
    constexpr std::uint32_t each = 2'000;
    latchbox::Broker<Note> broker;
    const Queue queue = broker.queue("notes", {.lease = 1h});
    std::vector<std::thread> threads;
    for (std::uint32_t self = 0; self < publishers; ++self) {
        threads.emplace_back([&, self] {
            for (std::uint32_t i = 0; i < each; ++i) {
                static_cast<void>(queue.publish({self, i}));
            }
        });
    }
    std::array<std::uint32_t, publishers> next{};
    bool in_order = true;
    for (std::uint32_t i = 0; i < publishers * each; ++i) {
        auto delivery = queue.fetch();
        const Note note = delivery->body();
        in_order = in_order && note.number == next[note.publisher];
        next[note.publisher] = note.number + 1;
        delivery->ack();
    }
    for (std::thread& thread : threads) { thread.join(); }
    CHECK(in_order);
    CHECK(queue.stats().completed == publishers * each);
    support::check_sound(queue);
}

TEST_CASE("waiting consumers get every message, each once [4.9] [4.2]") {
    constexpr std::uint32_t each = 1'000;
    latchbox::Broker<Note> broker;
    const Queue queue = broker.queue("notes", {.lease = 1h});
    Ledger ledger{each};
    std::atomic<bool> odd{false};
    std::vector<std::thread> threads;
    for (std::uint32_t self = 0; self < publishers; ++self) {
        threads.emplace_back([&, self] {
            // By turns in each of the ways to wait.
            std::vector<Delivery> out;
            for (std::uint32_t turn = self;; ++turn) {
                out.clear();
                Errc ended{};
                if (turn % 3 == 0) {
                    ended = error_of(queue.fetch_batch(out, 4, 1h));
                } else {
                    auto delivery = turn % 3 == 1 ? queue.fetch() : queue.fetch_for(1h);
                    ended = error_of(delivery);
                    if (delivery) { out.push_back(std::move(*delivery)); }
                }
                for (Delivery& delivery : out) {
                    if (!delivery.ack()) { odd = true; }
                    ledger.complete(delivery.body());
                }
                if (ended == Errc::closed) { return; }
                if (ended != Errc{}) { odd = true; }
            }
        });
    }
    for (std::uint32_t i = 0; i < each; ++i) {
        for (std::uint32_t self = 0; self < publishers; ++self) {
            if (!queue.publish({self, i})) { odd = true; }
        }
        // So that they wait, time and again.
        if (i % 16 == 0) {
            while (queue.stats().ready != 0) { std::this_thread::yield(); }
        }
    }
    while (queue.stats().completed < publishers * each) { std::this_thread::yield(); }
    broker.close();
    for (std::thread& thread : threads) { thread.join(); }
    CHECK_FALSE(odd);
    CHECK(ledger.at_most_once());
    CHECK(ledger.sum() == publishers * each);
    support::check_sound(queue);
}

TEST_CASE("a manual clock drives what threads wait for [4.9] [4.3]") {
    constexpr std::uint32_t messages = 400;
    latchbox::ManualClock clock;
    latchbox::Broker<Note> broker{{.clock = &clock}};
    const Queue queue = broker.queue("notes", {.lease = 5s});
    std::atomic<std::uint32_t> seen{0};
    std::atomic<std::uint32_t> timeouts{0};
    std::atomic<bool> early{false};
    std::atomic<bool> over{false};
    std::vector<std::thread> threads;
    for (std::uint32_t self = 0; self < publishers; ++self) {
        threads.emplace_back([&, self] {
            Random random{self};
            while (!over) {
                const latchbox::Instant start = clock.now();
                auto delivery = queue.fetch_for(3s);
                if (!delivery) {
                    if (delivery == Errc::timed_out) {
                        ++timeouts;
                        if (clock.now() < start + 3s) { early = true; }
                    }
                    continue;
                }
                // Some are left to their lease.
                if (random.pick(4) == 0) {
                    static_cast<void>(std::move(*delivery).detach());
                } else if (delivery->ack()) {
                    ++seen;
                }
            }
        });
    }
    for (std::uint32_t i = 0; i < messages; ++i) {
        static_cast<void>(queue.publish({0, i}, {.delay = 1s * (i % 7)}));
        clock.advance(1s);
    }
    while (queue.stats().completed < messages) { clock.advance(1s); }
    over = true;
    broker.close();
    for (std::thread& thread : threads) { thread.join(); }
    CHECK(seen == messages);
    CHECK_FALSE(early);
    support::check_sound(queue);
}

TEST_CASE("a clock advanced just as a thread goes to sleep does not leave it sleeping [4.9]") {
    latchbox::ManualClock clock;
    latchbox::Broker<Note> broker{{.clock = &clock}};
    const Queue queue = broker.queue("notes", {.lease = 1h});
    for (int round = 0; round < 300; ++round) {
        std::atomic<bool> going{false};
        std::atomic<bool> back{false};
        std::thread sleeper{[&] {
            going = true;
            static_cast<void>(queue.fetch_for(1s));
            back = true;
        }};
        while (!going) {}
        // One step is all it needs, unless it read the clock after that: then one more.
        while (!back) {
            clock.advance(1s);
            std::this_thread::yield();
        }
        sleeper.join();
    }
    CHECK(queue.stats().delivered == 0);
    CHECK(broker.poll().is_never());
}

TEST_CASE("blocked publishers all get their turn [7.2] [4.9]") {
    constexpr std::uint32_t each = 500;
    latchbox::Broker<Note> broker;
    const Queue queue = broker.queue("notes", {.lease = 1h,
                                               .capacity = 3,
                                               .overflow = latchbox::Overflow::block,
                                               .block_for = std::chrono::hours::max()});
    Ledger ledger{each};
    std::atomic<bool> odd{false};
    std::vector<std::thread> threads;
    for (std::uint32_t self = 0; self < publishers; ++self) {
        threads.emplace_back([&, self] {
            for (std::uint32_t i = 0; i < each;) {
                if (i % 5 == 0 && i + 2 <= each) {
                    std::array<Note, 2> batch{Note{self, i}, Note{self, i + 1}};
                    if (!queue.publish_batch(batch)) { odd = true; }
                    i += 2;
                } else {
                    if (!queue.publish({self, i})) { odd = true; }
                    ++i;
                }
            }
        });
    }
    std::array<std::uint32_t, publishers> next{};
    for (std::uint32_t i = 0; i < publishers * each; ++i) {
        auto delivery = queue.fetch();
        const Note note = delivery->body();
        if (note.number != next[note.publisher]++) { odd = true; }
        if (queue.size() > 3) { odd = true; }
        delivery->ack();
        ledger.complete(note);
    }
    for (std::thread& thread : threads) { thread.join(); }
    CHECK_FALSE(odd);
    CHECK(ledger.at_most_once());
    CHECK(ledger.sum() == publishers * each);
    support::check_sound(queue);
}

TEST_CASE("stops requested at any time lose no message [7.7] [4.9]") {
    latchbox::Broker<Note> broker;
    const Queue queue = broker.queue("notes", {.lease = 1h});
    std::uint32_t delivered = 0;
    std::uint32_t cancelled = 0;
    bool odd = false;
    constexpr std::uint32_t rounds = 1'000;
    for (std::uint32_t i = 0; i < rounds; ++i) {
        std::stop_source stop;
        Errc outcome{};
        std::thread waiting{[&] {
            auto delivery = queue.fetch(stop.get_token());
            outcome = error_of(delivery);
            if (delivery) { delivery->ack(); }
        }};
        if (i % 2 == 0) { std::this_thread::yield(); }
        std::thread stopping{[&] { stop.request_stop(); }};
        if (!queue.publish({0, i})) { odd = true; }
        waiting.join();
        stopping.join();
        if (outcome == Errc{}) { ++delivered; }
        if (outcome == Errc::cancelled) {
            ++cancelled;
            // It is there for the next one, as if nothing had been.
            auto delivery = queue.try_fetch();
            odd = odd || !delivery || delivery->body().number != i || !delivery->ack();
        }
    }
    CHECK_FALSE(odd);
    CHECK(delivered + cancelled == rounds);
    CHECK(queue.stats().completed == rounds);
    support::check_sound(queue);
}

TEST_CASE("stops of blocked publishers neither lose a message nor add one [7.2] [7.7]") {
    latchbox::Broker<Note> broker;
    const Queue queue = broker.queue("notes", {.lease = 1h,
                                               .capacity = 1,
                                               .overflow = latchbox::Overflow::block,
                                               .block_for = std::chrono::hours::max()});
    bool odd = false;
    std::uint32_t accepted = 0;
    constexpr std::uint32_t rounds = 500;
    for (std::uint32_t i = 0; i < rounds; ++i) {
        if (!queue.publish({0, i})) { odd = true; }
        std::stop_source stop;
        Errc outcome{};
        std::thread waiting{[&] {
            outcome = error_of(queue.publish({1, i}, {}, stop.get_token()));
        }};
        std::thread stopping{[&] { stop.request_stop(); }};
        if (!queue.pop()) { odd = true; }
        waiting.join();
        stopping.join();
        const std::size_t left = queue.size();
        odd = odd || left != (outcome == Errc{} ? 1U : 0U);
        if (outcome == Errc{}) {
            ++accepted;
            if (!queue.pop()) { odd = true; }
        } else if (outcome != Errc::cancelled) {
            odd = true;
        }
    }
    CHECK_FALSE(odd);
    CHECK(queue.stats().completed == rounds + accepted);
    support::check_sound(queue);
}

TEST_CASE("a broker may be destroyed while threads are inside its calls [4.8] [4.9]") {
    for (int round = 0; round < 50; ++round) {
        std::vector<std::thread> threads;
        std::atomic<int> inside{0};
        std::atomic<bool> odd{false};
        {
            latchbox::ManualClock clock;
            latchbox::Broker<Note> broker{{.clock = &clock}};
            for (std::uint32_t self = 0; self < publishers; ++self) {
                threads.emplace_back([&, self, queue = broker.queue("notes", {.lease = 1s})] {
                    ++inside;
                    for (std::uint32_t i = 0;; ++i) {
                        const Errc ended = self % 2 == 0 ? error_of(queue.fetch())
                                                         : error_of(queue.publish({self, i}));
                        if (ended == Errc::closed) { return; }
                        if (ended != Errc{}) { odd = true; }
                    }
                });
            }
            while (inside.load() < 4) { std::this_thread::yield(); }
            broker.close();
            // The clock goes with the broker: whoever is inside a call has left the clock by then.
            for (std::thread& thread : threads) { thread.join(); }
        }
        CHECK_FALSE(odd);
    }
}

TEST_CASE("a publish that meets close keeps or ends its message once [7.5] [4.8]") {
    using support::Counted;
    for (int round = 0; round < 60; ++round) {
        const int before = Counted::live;
        std::atomic<int> inside{0};
        int accepted[2] = {0, 0};
        {
            latchbox::ManualClock clock;
            latchbox::Broker<Counted> broker{{.clock = &clock}};
            const auto queue = broker.queue("q");
            const auto publish = [&](int& mine) {
                ++inside;
                while (queue.publish(Counted{mine})) { ++mine; }
            };
            std::thread one{[&] { publish(accepted[0]); }};
            std::thread two{[&] { publish(accepted[1]); }};
            while (inside.load() < 2) {}
            const latchbox::CloseReport report = broker.close();
            one.join();
            two.join();
            CHECK(static_cast<int>(report.ready) == accepted[0] + accepted[1]);
            CHECK(Counted::live == before);
        }
        CHECK(Counted::live == before);
    }
}

TEST_CASE("the broker's end waits for who still waits in a call [4.8] [4.9]") {
    for (int round = 0; round < 100; ++round) {
        latchbox::ManualClock clock;
        auto broker = std::make_unique<latchbox::Broker<Note, support::WatchedThreads>>(
            latchbox::BrokerOptions{.clock = &clock});
        Errc outcomes[3] = {};
        std::vector<std::thread> threads;
        for (Errc& outcome : outcomes) {
            threads.emplace_back([&outcome, queue = broker->queue("notes")] {
                outcome = error_of(queue.fetch_for(1h));
            });
        }
        support::WatchedThreads::until_asleep(3);
        broker.reset();
        for (std::thread& thread : threads) { thread.join(); }
        for (const Errc outcome : outcomes) { CHECK(outcome == Errc::closed); }
    }
}

TEST_CASE("queues made, found and removed by many threads are each one queue [8]") {
    latchbox::Broker<Note> broker;
    std::atomic<bool> odd{false};
    std::atomic<std::uint64_t> accepted{0};
    std::vector<std::thread> threads;
    for (std::uint32_t self = 0; self < publishers; ++self) {
        threads.emplace_back([&, self] {
            Random random{self + 10};
            for (std::uint32_t i = 0; i < 500; ++i) {
                const std::string name = "q" + std::to_string(random.pick(5));
                switch (random.pick(8)) {
                    case 0: broker.remove(name); break;
                    case 1: static_cast<void>(broker.stats()); break;
                    case 2: static_cast<void>(broker.find_queue(name)); break;
                    case 3:
                        if (auto delivery = broker.queue(name).try_fetch()) {
                            const Errc ended = error_of(delivery->ack());
                            if (ended != Errc{} && ended != Errc::closed) { odd = true; }
                        }
                        break;
                    default: {
                        const Errc ended = error_of(broker.queue(name).publish({self, i}));
                        if (ended == Errc{}) { ++accepted; }
                        if (ended != Errc{} && ended != Errc::closed) { odd = true; }
                        break;
                    }
                }
            }
        });
    }
    for (std::thread& thread : threads) { thread.join(); }
    const latchbox::BrokerStats stats = broker.stats();
    CHECK_FALSE(odd);
    CHECK(stats.messages.accepted == accepted);
    CHECK(support::conserved(stats.messages));
    CHECK(stats.queues <= 5);
}

// --- parents, gates, keys ------------------------------------------------------------------------

// Who was acked, and what each waits for: written by its publisher before it is published, read by
// whoever is handed it.
struct Member {
    std::uint32_t index = 0;
};
struct Tree {
    explicit Tree(std::size_t size) : acked(size), parents(size), ids(size) {}
    std::vector<std::atomic<int>> acked;
    std::vector<std::vector<std::uint32_t>> parents;
    std::vector<latchbox::MessageId> ids;
    std::atomic<std::uint32_t> published{0};
    std::atomic<int> too_early{0};
};

void grow_and_settle(const std::vector<latchbox::Queue<Member>>& queues, Tree& tree,
                     std::uint32_t self, std::uint32_t each) {
    Random random{self + 17};
    std::vector<std::uint32_t> mine;
    for (std::uint32_t made = 0; made < each;) {
        if (random.pick(2) == 0) {
            const std::uint32_t index = self * each + made++;
            latchbox::PublishOptions options;
            options.on_parent_failure = latchbox::OnParentFailure::hold;
            for (std::size_t i = random.pick(4); i != 0 && !mine.empty(); --i) {
                const std::uint32_t parent = mine[random.pick(mine.size())];
                tree.parents[index].push_back(parent);
                options.parents.push_back(tree.ids[parent]);
            }
            if (random.pick(3) == 0) { options.key = random.pick(2) == 0 ? "one" : "other"; }
            const auto& queue = queues[random.pick(queues.size())];
            tree.ids[index] = queue.publish(Member{index}, options).value();
            mine.push_back(index);
            continue;
        }
        auto delivery = queues[random.pick(queues.size())].try_fetch();
        if (!delivery) { continue; }
        const std::uint32_t index = delivery->body().index;
        for (const std::uint32_t parent : tree.parents[index]) {
            if (tree.acked[parent].load() == 0) { ++tree.too_early; }
        }
        switch (random.pick(8)) {
            case 0: delivery->reject("not now"); break;
            case 1: delivery->requeue(); break;
            case 2: delivery->release(); break;
            default:
                // Before the ack: its children may be handed out at once.
                tree.acked[index].store(1);
                delivery->ack().value();
                break;
        }
        if (random.pick(16) == 0) { queues[random.pick(queues.size())].dead_letters().redrive(); }
    }
}

TEST_CASE("families over three queues, grown and settled by four threads at once [5.1] [5.4]") {
    constexpr std::uint32_t each = 2'000;
    constexpr std::uint32_t all = publishers * each;
    latchbox::Broker<Member> broker;
    std::vector<latchbox::Queue<Member>> queues;
    for (const char* const name : {"a", "b", "c"}) { queues.push_back(broker.queue(name)); }
    Tree tree{all};
    std::vector<std::thread> threads;
    for (std::uint32_t self = 0; self < publishers; ++self) {
        threads.emplace_back([&, self] { grow_and_settle(queues, tree, self, each); });
    }
    for (std::thread& thread : threads) { thread.join(); }
    for (std::uint64_t left = 1; left != 0;) {
        left = 0;
        for (const auto& queue : queues) {
            queue.dead_letters().redrive();
            while (auto delivery = queue.try_fetch()) {
                tree.acked[delivery->body().index].store(1);
                delivery->ack().value();
            }
            left += queue.size();
        }
    }
    CHECK(tree.too_early == 0);
    std::uint64_t completed = 0;
    for (const auto& queue : queues) {
        completed += queue.stats().completed;
        support::check_sound(queue);
    }
    CHECK(completed == all);
    const latchbox::BrokerStats stats = broker.stats();
    CHECK(stats.latches == 0);
    CHECK(stats.edges == 0);
}

TEST_CASE("a gate that many count down lets go of children, and of who waits for it [5.8]") {
    constexpr std::uint32_t rounds = 200;
    latchbox::Broker<Member> broker;
    const auto queue = broker.queue("after");
    std::atomic<int> wrong{0};
    for (std::uint32_t round = 0; round < rounds; ++round) {
        const auto gate = broker.gate(4);
        const auto latch = broker.latch(gate.id());
        std::vector<std::thread> threads;
        for (int i = 0; i < 4; ++i) {
            threads.emplace_back([&, copy = gate] {
                const bool published =
                    queue.publish(Member{1}, {.parents = {copy.id()}}).has_value();
                if (!published || !copy.count_down()) { ++wrong; }
            });
        }
        threads.emplace_back([&] {
            if (latch.wait().value() != latchbox::LatchState::completed) { ++wrong; }
        });
        for (std::thread& thread : threads) { thread.join(); }
        if (queue.pop_all().value().size() != 4) { ++wrong; }
    }
    CHECK(wrong == 0);
    CHECK(broker.stats().edges == 0);
    support::check_sound(queue);
}

TEST_CASE("four consumers never hold two of one key [5.7]") {
    constexpr std::uint32_t count = 4'000;
    constexpr std::uint32_t keys = 8;
    latchbox::Broker<Member> broker;
    const auto queue = broker.queue("keyed");
    std::array<std::atomic<int>, keys> holders{};
    std::array<std::atomic<std::uint32_t>, keys> last{};
    std::atomic<std::uint32_t> handled{0};
    std::atomic<int> wrong{0};
    for (std::uint32_t i = 0; i < count; ++i) {
        const std::string key = "key " + std::to_string(i % keys);
        queue.publish(Member{i}, {.key = key}).value();
    }
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&] {
            while (handled.load() < count) {
                auto delivery = queue.try_fetch();
                if (!delivery) { continue; }
                const std::uint32_t index = delivery->body().index;
                if (++holders[index % keys] != 1) { ++wrong; }
                if (index >= keys && last[index % keys].load() != index - keys) { ++wrong; }
                last[index % keys].store(index);
                --holders[index % keys];
                delivery->ack().value();
                ++handled;
            }
        });
    }
    for (std::thread& thread : threads) { thread.join(); }
    CHECK(wrong == 0);
    support::check_sound(queue);
}

// --- topics --------------------------------------------------------------------------------------

using Topic = latchbox::Topic<Note>;
using Subscription = latchbox::Subscription<Note>;

// Of each publisher the next number is the one after the last; what comes first is free, or 0.
class InOrder {
public:
    explicit InOrder(bool from_the_first) : from_the_first_{from_the_first} {}
    void saw(const Note& note) {
        std::optional<std::uint32_t>& next = next_[note.publisher];
        if (!next) { next = from_the_first_ ? 0 : note.number; }
        if (note.number != *next) { holds_ = false; }
        next = note.number + 1;
    }
    [[nodiscard]] bool holds() const { return holds_; }

private:
    std::array<std::optional<std::uint32_t>, publishers> next_;
    bool from_the_first_;
    bool holds_ = true;
};

// What one consumer of a subscription sees until it closes: all of it is acked.
std::vector<Note> see_all(const latchbox::Consumer<Note>& consumer, std::atomic<bool>& odd) {
    std::vector<Note> seen;
    for (;;) {
        auto delivery = consumer.fetch();
        if (!delivery) {
            if (delivery != Errc::closed) { odd = true; }
            return seen;
        }
        seen.push_back(delivery->body());
        if (!delivery->ack()) { odd = true; }
    }
}

bool same(const std::vector<Note>& a, const std::vector<Note>& b) {
    if (a.size() != b.size()) { return false; }
    for (std::size_t i = 0; i < a.size(); ++i) {
        if (a[i].publisher != b[i].publisher || a[i].number != b[i].number) { return false; }
    }
    return true;
}

TEST_CASE("publishers, subscribers that come and go, groups and readers of one topic [6.2] [6.3]") {
    constexpr std::uint32_t each = 2'000;
    constexpr std::uint32_t all = publishers * each;
    latchbox::Broker<Note> broker;
    const Topic topic = broker.topic("notes.all", {.retain_count = 16});
    std::atomic<bool> odd{false};
    std::atomic<std::uint32_t> published{0};
    std::atomic<std::uint64_t> visitors{0};
    std::array<std::vector<Note>, 4> seen;
    const Subscription plain = broker.subscribe("notes.all");
    const Subscription blocking =
        broker.subscribe("notes.*", {.capacity = 8,
                                     .overflow = latchbox::Overflow::block,
                                     .block_for = std::chrono::hours::max()});
    const Subscription one = broker.subscribe(">", {.group = "shared"});
    const Subscription other = broker.subscribe(">", {.group = "shared"});
    const std::array<const Subscription*, 4> steady{&plain, &blocking, &one, &other};
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < steady.size(); ++i) {
        threads.emplace_back([&, i] { seen[i] = see_all(*steady[i], odd); });
    }
    std::vector<std::thread> finite;
    for (std::uint32_t self = 0; self < publishers; ++self) {
        finite.emplace_back([&, self] {
            for (std::uint32_t i = 0; i < each; ++published) {
                if (i % 7 == 0 && i + 2 <= each) {
                    std::array<Note, 2> batch{Note{self, i}, Note{self, i + 1}};
                    if (!topic.publish_batch(batch)) { odd = true; }
                    i += 2;
                    ++published;
                } else {
                    const auto id = topic.publish({self, i});
                    if (!id) { odd = true; }
                    // The others may have pushed it out by now; what is read is this one.
                    const auto body = topic.read(id.value());
                    if (body ? (*body)->publisher != self || (*body)->number != i
                             : body != Errc::expired) {
                        odd = true;
                    }
                    ++i;
                }
            }
        });
    }
    for (const bool replay : {false, true}) {
        finite.emplace_back([&, replay] {
            while (published < all) {
                const Subscription visitor = broker.subscribe("*.all", {.replay = replay});
                InOrder order{false};
                for (int i = 0; i < 20; ++i) {
                    auto delivery = visitor.try_fetch();
                    if (!delivery) { continue; }
                    order.saw(delivery->body());
                    ++visitors;
                    if (!delivery->ack()) { odd = true; }
                }
                if (!order.holds()) { odd = true; }
            }
        });
    }
    for (std::thread& thread : finite) { thread.join(); }
    while (plain.size() != 0 || blocking.size() != 0 || one.size() != 0) {
        std::this_thread::yield();
    }
    const latchbox::BrokerStats stats = broker.stats();
    CHECK(stats.subscriptions == 3);
    CHECK(stats.latches == 0);
    CHECK(stats.retained == 16);
    CHECK(topic.stats().published == all);
    CHECK(topic.stats().aged_out == all - 16);
    CHECK(support::conserved(stats.messages));
    CHECK(stats.messages.completed == 3 * all + visitors);
    broker.close();
    for (std::thread& thread : threads) { thread.join(); }
    CHECK_FALSE(odd);
    InOrder order{true};
    for (const Note& note : seen[0]) { order.saw(note); }
    CHECK(order.holds());
    CHECK(seen[0].size() == all);
    CHECK(same(seen[0], seen[1]));
    Ledger ledger{each};
    for (const std::size_t i : {2U, 3U}) {
        for (const Note& note : seen[i]) { ledger.complete(note); }
    }
    CHECK(ledger.at_most_once());
    CHECK(ledger.sum() == all);
    for (const Subscription* subscription : steady) { support::check_sound(*subscription); }
}

TEST_CASE("publishers of two topics that wait crosswise for full subscriptions get on [6.4]") {
    constexpr std::uint32_t each = 2'000;
    latchbox::Broker<Note> broker;
    const std::array<Topic, 2> topics{broker.topic("a"), broker.topic("b")};
    const latchbox::SubscriptionOptions small{.capacity = 2,
                                              .overflow = latchbox::Overflow::block,
                                              .block_for = std::chrono::hours::max()};
    const Subscription first = broker.subscribe("*", small);
    const Subscription second = broker.subscribe(">", small);
    const Subscription of_a = broker.subscribe("a", small);
    std::atomic<bool> odd{false};
    std::array<std::vector<Note>, 3> seen;
    std::vector<std::thread> consumers;
    std::size_t next = 0;
    for (const Subscription* from : {&first, &second, &of_a}) {
        consumers.emplace_back([&, from, next] { seen[next] = see_all(*from, odd); });
        ++next;
    }
    std::vector<std::thread> threads;
    for (std::uint32_t self = 0; self < publishers; ++self) {
        threads.emplace_back([&, self] {
            for (std::uint32_t i = 0; i < each; ++i) {
                if (!topics[self % 2].publish({self, i})) { odd = true; }
            }
        });
    }
    // And one more of them now and then, which ends while they wait for it.
    threads.emplace_back([&] {
        for (int i = 0; i < 100; ++i) {
            const Subscription visitor = broker.subscribe("b", small);
            for (int j = 0; j < 10; ++j) { std::this_thread::yield(); }
        }
    });
    for (std::thread& thread : threads) { thread.join(); }
    while (first.size() != 0 || second.size() != 0 || of_a.size() != 0) {
        std::this_thread::yield();
    }
    CHECK(broker.stats().latches == 0);
    CHECK(support::conserved(broker.stats().messages));
    broker.close();
    for (std::thread& thread : consumers) { thread.join(); }
    CHECK_FALSE(odd);
    for (const auto& one : seen) {
        InOrder order{true};
        for (const Note& note : one) { order.saw(note); }
        CHECK(order.holds());
    }
    CHECK(seen[0].size() == publishers * each);
    CHECK(seen[1].size() == publishers * each);
    CHECK(seen[2].size() == publishers / 2 * each);
}

// Each of three subscriptions, the last one a group, gets a part of what is published; a child goes
// to nobody before every copy of its parents was acked.
void grow_over_topics(const std::vector<latchbox::Topic<Member>>& topics,
                      const std::vector<const latchbox::Consumer<Member>*>& from, Tree& tree,
                      std::vector<int>& copies, std::uint32_t self, std::uint32_t each) {
    Random random{self + 29};
    std::vector<std::uint32_t> mine;
    for (std::uint32_t made = 0; made < each;) {
        if (random.pick(3) == 0) {
            const std::uint32_t index = self * each + made++;
            latchbox::PublishOptions options;
            options.on_parent_failure = latchbox::OnParentFailure::hold;
            for (std::size_t i = random.pick(4); i != 0 && !mine.empty(); --i) {
                const std::uint32_t parent = mine[random.pick(mine.size())];
                tree.parents[index].push_back(parent);
                options.parents.push_back(tree.ids[parent]);
            }
            const std::size_t to = random.pick(topics.size());
            copies[index] = to == 0 ? 3 : 2;
            tree.ids[index] = topics[to].publish(Member{index}, options).value();
            mine.push_back(index);
            continue;
        }
        const auto& consumer = *from[random.pick(from.size())];
        auto delivery = consumer.try_fetch();
        if (!delivery) { continue; }
        const std::uint32_t index = delivery->body().index;
        for (const std::uint32_t parent : tree.parents[index]) {
            if (tree.acked[parent].load() != copies[parent]) { ++tree.too_early; }
        }
        switch (random.pick(8)) {
            case 0: delivery->reject("not now"); break;
            case 1: delivery->requeue(); break;
            case 2: delivery->release(); break;
            default:
                ++tree.acked[index];
                delivery->ack().value();
                break;
        }
        if (random.pick(16) == 0) { consumer.dead_letters().redrive(); }
    }
}

TEST_CASE("families over three topics, grown and settled by four threads at once [5.1] [5.3]") {
    constexpr std::uint32_t each = 2'000;
    constexpr std::uint32_t all = publishers * each;
    latchbox::Broker<Member> broker;
    std::vector<latchbox::Topic<Member>> topics;
    for (const char* const subject : {"t.a", "t.b", "t.c"}) {
        topics.push_back(broker.topic(subject));
    }
    const auto everything = broker.subscribe(">", {.lease = 1h});
    const auto first = broker.subscribe("t.a", {.lease = 1h});
    const auto group = broker.subscribe("t.*", {.group = "g", .lease = 1h});
    const auto member = broker.subscribe("t.*", {.group = "g", .lease = 1h});
    const std::vector<const latchbox::Consumer<Member>*> from{&everything, &first, &group, &member};
    Tree tree{all};
    std::vector<int> copies(all);
    std::vector<std::thread> threads;
    for (std::uint32_t self = 0; self < publishers; ++self) {
        threads.emplace_back(
            [&, self] { grow_over_topics(topics, from, tree, copies, self, each); });
    }
    for (std::thread& thread : threads) { thread.join(); }
    for (std::uint64_t left = 1; left != 0;) {
        left = 0;
        for (const auto* consumer : from) {
            consumer->dead_letters().redrive();
            while (auto delivery = consumer->try_fetch()) {
                ++tree.acked[delivery->body().index];
                delivery->ack().value();
            }
            left += consumer->size();
        }
    }
    CHECK(tree.too_early == 0);
    bool each_copy_once = true;
    for (std::uint32_t i = 0; i < all; ++i) {
        each_copy_once = each_copy_once && tree.acked[i].load() == copies[i];
    }
    CHECK(each_copy_once);
    for (const auto* consumer : from) { support::check_sound(*consumer); }
    const latchbox::BrokerStats stats = broker.stats();
    CHECK(stats.latches == 0);
    CHECK(stats.edges == 0);
}

TEST_CASE("handles of a group come and go while its messages go on to who is left [6.2]") {
    constexpr std::uint32_t each = 500;
    latchbox::Broker<Note> broker;
    const Topic topic = broker.topic("notes");
    const latchbox::SubscriptionOptions durable{.group = "g", .durable = true};
    const Subscription steady = broker.subscribe("notes", durable);
    Ledger ledger{each};
    std::atomic<bool> odd{false};
    std::vector<std::thread> threads;
    for (std::uint32_t self = 0; self < publishers; ++self) {
        threads.emplace_back([&, self] {
            for (std::uint32_t i = 0; i < each; ++i) {
                if (!topic.publish({self, i})) { odd = true; }
            }
        });
    }
    // Each waits on a handle of its own, which another thread ends.
    std::vector<std::thread> visitors;
    for (int i = 0; i < 2; ++i) {
        visitors.emplace_back([&] {
            for (int round = 0; round < 200; ++round) {
                Subscription mine = broker.subscribe("notes", durable);
                std::thread leaver{[&] { mine.unsubscribe(); }};
                for (;;) {
                    auto delivery = mine.fetch();
                    if (!delivery) {
                        if (delivery != Errc::closed) { odd = true; }
                        break;
                    }
                    ledger.complete(delivery->body());
                    if (!delivery->ack()) { odd = true; }
                }
                leaver.join();
            }
        });
    }
    std::thread staying{[&] {
        for (const Note& note : see_all(steady, odd)) { ledger.complete(note); }
    }};
    for (std::thread& thread : threads) { thread.join(); }
    for (std::thread& thread : visitors) { thread.join(); }
    while (steady.size() != 0) { std::this_thread::yield(); }
    broker.close();
    staying.join();
    CHECK_FALSE(odd);
    CHECK(ledger.at_most_once());
    CHECK(ledger.sum() == publishers * each);
    CHECK(steady.stats().completed == publishers * each);
}

TEST_CASE("topics, groups and queues made and left by many threads are each one [6.7]") {
    latchbox::ManualClock clock;
    latchbox::Broker<Note> broker{{.clock = &clock}};
    std::atomic<bool> odd{false};
    std::vector<std::thread> threads;
    for (std::uint32_t self = 0; self < publishers; ++self) {
        threads.emplace_back([&, self] {
            Random random{self + 43};
            std::vector<Subscription> mine;
            for (std::uint32_t i = 0; i < 2'000; ++i) {
                const std::string subject = "s" + std::to_string(random.pick(4));
                switch (random.pick(8)) {
                    case 0:
                        mine.push_back(broker.subscribe(random.pick(2) == 0 ? subject : "*"));
                        break;
                    case 1:
                        mine.push_back(broker.subscribe(subject, {.group = "group." + subject}));
                        break;
                    case 2: broker.remove("group." + subject); break;
                    case 3: mine.clear(); break;
                    case 4:
                        if (mine.empty()) { break; }
                        if (auto delivery = mine[random.pick(mine.size())].try_fetch()) {
                            const Errc ended = error_of(delivery->ack());
                            if (ended != Errc{} && ended != Errc::closed) { odd = true; }
                        }
                        break;
                    case 5: {
                        const auto stats = broker.stats();
                        if (!support::conserved(stats.messages)) { odd = true; }
                        break;
                    }
                    default: {
                        const Topic topic = broker.topic(subject);
                        latchbox::PublishOptions options;
                        if (random.pick(2) == 0) { options.retain_for = 1s * random.pick(2); }
                        const auto id = topic.publish({self, i}, options);
                        if (!id) { odd = true; }
                        const auto body = topic.read(id.value());
                        const bool kept = options.retain_for.value_or(0s) > 0s;
                        if (kept ? !body || (*body)->publisher != self || (*body)->number != i
                                 : body != Errc::expired) {
                            odd = true;
                        }
                        break;
                    }
                }
            }
        });
    }
    for (std::thread& thread : threads) { thread.join(); }
    CHECK_FALSE(odd);
    clock.advance(30s);  // what was held when its group was removed
    const latchbox::BrokerStats stats = broker.stats();
    CHECK(stats.subscriptions == 0);
    CHECK(stats.latches == 0);
    CHECK(stats.topics <= 4);
    CHECK(stats.messages.held() == 0);
    CHECK(support::conserved(stats.messages));
}

TEST_CASE("a broker closed in the middle of topics has all copies of a message, or none [7.5]") {
    for (int round = 0; round < 20; ++round) {
        latchbox::Broker<Note> broker;
        const Topic topic = broker.topic("notes");
        // However long the close is in coming, none of them is full before.
        const Subscription one = broker.subscribe("notes", {.capacity = 100'000'000});
        const Subscription other = broker.subscribe("*", {.capacity = 100'000'000});
        std::array<std::uint32_t, publishers> accepted{};
        std::vector<std::thread> threads;
        for (std::uint32_t self = 0; self < publishers; ++self) {
            threads.emplace_back([&, self] {
                while (topic.publish({self, accepted[self]})) { ++accepted[self]; }
            });
        }
        while (topic.stats().published < 100) { std::this_thread::yield(); }
        const latchbox::CloseReport report = broker.close();
        for (std::thread& thread : threads) { thread.join(); }
        std::uint32_t sum = 0;
        for (const std::uint32_t count : accepted) { sum += count; }
        CHECK(one.size() == sum);
        CHECK(other.size() == sum);
        CHECK(report.left() == 2 * sum);
        CHECK(topic.stats().published == sum);
    }
}

}  // namespace
