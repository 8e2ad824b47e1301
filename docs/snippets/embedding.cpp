// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <cassert>
#include <chrono>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"

// The code of docs/embedding.md, but for what is said there to stand elsewhere.
using namespace std::chrono_literals;

namespace {

class Game {
public:
    void frame(latchbox::Duration passed) {
        clock_.advance(passed);  // nothing while the game is paused, half of it in slow motion
        for (int budget = 100; budget > 0; --budget) {  // what is left waits for the next frame
            auto event = events_.try_fetch();
            if (!event) { break; }
            handle(event->body());
            event->ack();
        }
    }
    const auto& events() const { return events_; }
    const auto& seen() const { return seen_; }

private:
    void handle(const std::string& event) {
        seen_.push_back(event);
        if (event == "light the fuse") { events_.publish("boom", {.delay = 3s}).value(); }
    }

    latchbox::BasicManualClock<latchbox::SingleThread> clock_;
    latchbox::Broker<std::string, latchbox::SingleThread> broker_{{.clock = &clock_}};
    latchbox::Queue<std::string, latchbox::SingleThread> events_ = broker_.queue("events");
    std::vector<std::string> seen_;
};

}  // namespace

TEST_CASE("a game loop") {
    Game game;
    game.events().publish("light the fuse").value();
    game.frame(16ms);
    for (int i = 0; i < 187; ++i) { game.frame(16ms); }  // 2.992 s later
    assert(game.seen().size() == 1);
    game.frame(16ms);
    assert(game.seen().back() == "boom");
}
