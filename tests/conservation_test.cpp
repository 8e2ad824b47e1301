// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"

#include "support/sound.hpp"

// Nothing is lost, and nothing is there twice: by count after every step, by identity at the end.
namespace {

using namespace std::chrono_literals;
using latchbox::Errc;
using latchbox::MessageId;
using Delivery = latchbox::Delivery<int>;

// Draws numbers; the same for the same seed everywhere.
class Random {
public:
    explicit Random(std::uint64_t seed) : state_{seed} {}
    std::size_t pick(std::size_t n) {
        state_ = state_ * 6364136223846793005U + 1442695040888963407U;
        return static_cast<std::size_t>((state_ >> 33) % n);
    }

private:
    std::uint64_t state_;
};

// A queue, and who does anything to it that can be done.
class Storm {
public:
    Storm(std::uint64_t seed, const latchbox::QueueOptions& options)
        : random_{seed}, queue_{broker_.queue("storm", options)} {}

    void run(int steps) {
        for (int i = 0; i < steps; ++i) {
            step();
            support::check_sound(queue_);
        }
        finish();
    }

private:
    void step() {
        switch (random_.pick(14)) {
            case 0:
            case 1:
            case 2: publish(); break;
            case 3: publish_batch(); break;
            case 4:
            case 5: fetch(); break;
            case 6: fetch_batch(); break;
            case 7:
            case 8:
            case 9: settle(); break;
            case 10: clock_.advance(random_.pick(4) * 500ms); break;
            case 11: remove_one(); break;
            case 12: dead(); break;
            default: rarely(); break;
        }
    }
    latchbox::PublishOptions options() {
        latchbox::PublishOptions options;
        options.priority = static_cast<std::uint8_t>(random_.pick(3));
        if (random_.pick(3) == 0) { options.delay = random_.pick(3) * 1s; }
        if (random_.pick(3) == 0) { options.expires_in = 3s + random_.pick(5) * 1s; }
        return options;
    }
    void publish() {
        if (const auto id = queue_.publish(next_, options())) { accept(*id); }
    }
    void publish_batch() {
        std::vector<int> batch;
        for (std::size_t i = random_.pick(4); i > 0; --i) {
            batch.push_back(next_ + static_cast<int>(batch.size()));
        }
        if (const auto ids = queue_.publish_batch(batch, options())) {
            CHECK(ids->size() == batch.size());
            for (const MessageId id : *ids) { accept(id); }
        }
    }
    // Every id is new, and belongs to the body published with it.
    void accept(MessageId id) { CHECK(accepted_.emplace(id, next_++).second); }

    void fetch() {
        if (auto delivery = queue_.try_fetch()) { hold(std::move(*delivery)); }
    }
    void fetch_batch() {
        std::vector<Delivery> out;
        if (queue_.fetch_batch(out, random_.pick(4))) {
            for (Delivery& delivery : out) { hold(std::move(delivery)); }
        }
    }
    void hold(Delivery delivery) {
        CHECK(accepted_.at(delivery.id()) == delivery.body());
        CHECK(gone_.count(delivery.id()) == 0);
        held_.push_back(std::move(delivery));
    }
    void settle() {
        if (held_.empty()) { return; }
        const std::size_t at = random_.pick(held_.size());
        Delivery delivery = std::move(held_[at]);
        held_.erase(held_.begin() + static_cast<std::ptrdiff_t>(at));
        const MessageId id = delivery.id();
        CHECK(accepted_.at(id) == delivery.body());
        switch (random_.pick(9)) {
            case 0:
            case 1:
                if (delivery.ack()) { leave(id); }
                break;
            case 2: delivery.release(); break;
            case 3: delivery.requeue(random_.pick(2) * 1s); break;
            case 4: delivery.fail("no"); break;
            case 5: delivery.reject("no"); break;
            case 6:
                if (delivery.extend(random_.pick(4) * 1s)) { held_.push_back(std::move(delivery)); }
                break;
            case 7:
                if (const auto body = delivery.take()) {
                    CHECK(*body == accepted_.at(id));
                    leave(id);
                }
                break;
            default: break;  // abandoned
        }
    }
    void leave(MessageId id) { CHECK(gone_.emplace(id, true).second); }

    void remove_one() {
        if (accepted_.empty()) { return; }
        auto at = accepted_.begin();
        std::advance(at, static_cast<std::ptrdiff_t>(random_.pick(accepted_.size())));
        if (queue_.cancel(at->first)) { leave(at->first); }
    }
    void dead() {
        auto letters = queue_.dead_letters();
        MessageId some;
        letters.for_each([&](const latchbox::DeadLetter<int>& letter) {
            CHECK(accepted_.at(letter.id()) == letter.body());
            CHECK(gone_.count(letter.id()) == 0);
            some = letter.id();
        });
        switch (random_.pick(5)) {
            case 0: letters.redrive(); break;
            case 1: static_cast<void>(letters.redrive(some)); break;
            case 2:
                if (letters.take(some)) { leave(some); }
                break;
            case 3: static_cast<void>(letters.take()); break;
            default: letters.purge(); break;
        }
    }
    void rarely() {
        switch (random_.pick(20)) {
            case 0: queue_.purge(); break;
            case 1: static_cast<void>(queue_.pop()); break;
            case 2: static_cast<void>(queue_.pop_all()); break;
            default: broker_.poll(); break;
        }
    }
    // Everything that is left is handed out or dead, each once; whatever is not has left.
    void finish() {
        held_.clear();
        clock_.advance(24h);
        queue_.dead_letters().redrive();
        const std::uint64_t left = queue_.stats().ready;
        CHECK(queue_.stats().held() == left);
        std::uint64_t seen = 0;
        while (const auto delivery = queue_.try_fetch()) {
            CHECK(accepted_.at(delivery->id()) == delivery->body());
            leave(delivery->id());
            REQUIRE(queue_.ack(delivery->receipt()));
            ++seen;
        }
        CHECK(seen == left);
        const latchbox::QueueStats stats = queue_.stats();
        CHECK(stats.accepted == accepted_.size());
        CHECK(stats.held() == 0);
        support::check_sound(queue_);
    }

    Random random_;
    latchbox::ManualClock clock_;
    latchbox::Broker<int> broker_{{.clock = &clock_}};
    latchbox::Queue<int> queue_;
    std::vector<Delivery> held_;
    std::map<MessageId, int> accepted_;
    std::map<MessageId, bool> gone_;  // completed, cancelled, or taken by us
    int next_ = 0;
};

TEST_CASE("every accepted message is in one place or has left once [4.1]") {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        CAPTURE(seed);
        Storm{seed, {.lease = 2s, .capacity = 1'000, .max_failures = 3}}.run(500);
    }
}

TEST_CASE("the same holds where limits bite [4.1] [4.12]") {
    for (std::uint64_t seed = 100; seed < 120; ++seed) {
        CAPTURE(seed);
        Storm{seed,
              {.lease = 1s,
               .capacity = 8,
               .overflow = latchbox::Overflow::drop_oldest,
               .max_failures = 2,
               .max_attempts = 3,
               .dead_capacity = seed % 4}}
            .run(500);
    }
    for (std::uint64_t seed = 200; seed < 210; ++seed) {
        CAPTURE(seed);
        Storm{seed, {.lease = 1s, .capacity = 5, .max_failures = 1, .backoff = {.first = 0s}}}.run(
            500);
    }
}

TEST_CASE("each exit is counted as what it is, and once [4.1]") {
    latchbox::ManualClock clock;
    latchbox::Broker<int> broker{{.clock = &clock}};
    const auto q = broker.queue(
        "q", {.lease = 10s, .capacity = 6, .overflow = latchbox::Overflow::drop_oldest});
    latchbox::QueueStats expected;
    const auto publish = [&](latchbox::PublishOptions options = {}) {
        ++expected.accepted;
        return q.publish(1, options).value();
    };
    const auto check = [&] {
        const latchbox::QueueStats stats = q.stats();
        CHECK(stats.accepted == expected.accepted);
        CHECK(stats.completed == expected.completed);
        CHECK(stats.expired == expected.expired);
        CHECK(stats.purged == expected.purged);
        CHECK(stats.evicted == expected.evicted);
        CHECK(stats.cancelled == expected.cancelled);
        CHECK(stats.held() == 0);
        support::check_sound(q);
    };
    publish();
    CHECK(q.try_fetch()->ack());
    publish();
    CHECK(q.pop());
    publish();
    CHECK(q.try_fetch()->take());
    expected.completed = 3;
    check();

    publish({.expires_in = 1s});
    clock.advance(1s);
    expected.expired = 1;
    check();

    publish();
    CHECK(q.purge() == 1);
    publish();
    CHECK(q.try_fetch()->reject());
    CHECK(q.dead_letters().purge() == 1);
    publish();
    CHECK(q.try_fetch()->reject());
    CHECK(q.dead_letters().take());
    expected.purged = 3;
    check();

    CHECK(q.cancel(publish()));
    expected.cancelled = 1;
    check();

    for (int i = 0; i < 7; ++i) { publish(); }
    expected.evicted = 1;
    CHECK(q.purge() == 6);
    expected.purged += 6;
    check();
}

}  // namespace
