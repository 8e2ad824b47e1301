// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#undef NDEBUG
#include <cassert>
#include <chrono>
#include <iostream>

#include "word_count.hpp"

using namespace std::chrono_literals;

int main() {
    latchbox::ManualClock clock;
    latchbox::Broker<std::string> broker{{.clock = &clock}};
    WordCount words{broker};
    words.lines().publish("tea and cake").value();

    auto slow = words.lines().fetch();  // takes the line,
    words.count(*slow);                 // counts it,
    clock.advance(10s);                 // and is too late to say so
    assert(slow->ack() == latchbox::Errc::lease_lost);

    auto second = words.lines().fetch();  // so the line comes again
    assert(second->attempt() == 2);
    words.count(*second);
    assert(second->ack());
    assert(words.times().at("tea") == 1);  // and has been counted once
    std::cout << "all is well\n";
}
