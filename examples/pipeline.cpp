// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
//
// Three stages over four queues, and each stage dies hundreds of times:
//
//     [raw] --> wash --> [washed] --> slice --> [sliced] --> pack --> [packed]
//
// A stage hands on by `ack_and_publish`: the piece it held is gone and the next queue has what it
// made of it, both at one instant or neither. So wherever a stage dies no piece is lost and none
// comes twice. A stage that publishes and then acks would double a piece by dying in between; one
// that acks first would lose it.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "latchbox/latchbox.hpp"

using namespace std::chrono_literals;

struct Piece {
    std::uint32_t number = 0;
    std::string done = {};  // by which stages, a letter each
};
using Queue = latchbox::Queue<Piece>;
using Delivery = latchbox::Delivery<Piece>;

class Stage {
public:
    Stage(char letter, Queue from, Queue to)
        : letter_{letter},
          from_{std::move(from)},
          to_{std::move(to)},
          chance_{static_cast<std::minstd_rand::result_type>(letter)},
          keeper_{[this] { keep(); }} {}
    void join() { keeper_.join(); }

    [[nodiscard]] unsigned deaths() const { return deaths_; }
    [[nodiscard]] unsigned too_late() const { return too_late_; }

private:
    // One thread after the other, until one ends because the queue is closed.
    void keep() {
        for (bool died = true; died;) {
            std::thread life{[this, &died] { died = live(); }};
            life.join();
        }
    }

    // Returns whether it died.
    bool live() {
        std::vector<Delivery> held;
        while (from_.fetch_batch(held, 8, latchbox::Duration::never())) {
            for (Delivery& delivery : held) {
                if (dies()) { return die(held); }
                Piece piece{delivery.body().number, delivery.body().done + letter_};
                if (dies()) { return die(held); }
                // `lease_lost` if it was so slow that another was given the piece. Then that one
                // hands it on, and this one has not.
                const auto handed_on = delivery.ack_and_publish(to_, std::move(piece));
                if (handed_on == latchbox::Errc::lease_lost) { ++too_late_; }
                if (dies()) { return die(held); }
            }
            held.clear();
        }
        return false;
    }

    bool dies() { return chance_() % 500 == 0; }

    // Every other time it falls silent with its leases: the pieces come back when these run out.
    // Else it drops its deliveries, and they come back at once.
    bool die(std::vector<Delivery>& held) {
        if (++deaths_ % 2 == 0) {
            for (Delivery& delivery : held) { static_cast<void>(std::move(delivery).detach()); }
        }
        return true;
    }

    const char letter_;
    const Queue from_;
    const Queue to_;
    std::minstd_rand chance_;
    unsigned deaths_ = 0;
    unsigned too_late_ = 0;
    std::thread keeper_;
};

int main() {
    constexpr std::uint32_t pieces = 100'000;
    latchbox::Broker<Piece> broker;
    const latchbox::QueueOptions options{.lease = 20ms};
    const auto raw = broker.queue("raw", options);
    const auto washed = broker.queue("washed", options);
    const auto sliced = broker.queue("sliced", options);
    const auto packed = broker.queue("packed");
    Stage wash{'w', raw, washed}, slice{'s', washed, sliced}, pack{'p', sliced, packed};

    std::vector<unsigned> times(pieces);  // that each came out in the end
    unsigned unfinished = 0;
    std::thread counter{[&] {
        while (auto piece = packed.fetch()) {
            ++times[piece->body().number];
            if (piece->body().done != "wsp") { ++unfinished; }
            piece->ack();
        }
    }};
    for (std::uint32_t number = 0; number < pieces; ++number) { raw.publish({number}).value(); }
    broker.drain(latchbox::Duration::never());  // nothing new; what is handed on still passes
    counter.join();

    unsigned deaths = 0, too_late = 0;
    for (Stage* stage : {&wash, &slice, &pack}) {
        stage->join();
        deaths += stage->deaths();
        too_late += stage->too_late();
    }
    const auto lost = std::count(times.begin(), times.end(), 0U);
    const auto doubled =
        std::count_if(times.begin(), times.end(), [](unsigned n) { return n > 1; });
    bool right = lost == 0 && doubled == 0 && unfinished == 0 && deaths > 0;
    for (const Queue& queue : {raw, washed, sliced, packed}) {
        right = right && queue.stats().accepted == pieces && queue.stats().completed == pieces;
    }
    std::printf("%u pieces, %u deaths, %u too late: %d lost, %d doubled, %u unfinished\n", pieces,
                deaths, too_late, static_cast<int>(lost), static_cast<int>(doubled), unfinished);
    return right ? 0 : 1;
}
