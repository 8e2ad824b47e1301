// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <iostream>

#include <latchbox/workers.hpp>

#include "word_count.hpp"

int main() {
    latchbox::Broker<std::string> broker;
    WordCount words{broker};
    const auto count = [&words](latchbox::Delivery<std::string>& line) { words.count(line); };
    latchbox::Workers workers{words.lines(), {.threads = 4}, count};

    for (std::string line; std::getline(std::cin, line);) { words.lines().publish(line).value(); }
    broker.drain(latchbox::Duration::never());  // takes nothing new, ends when nothing is left
    workers.stop();
    for (const auto& [word, number] : words.times()) { std::cout << number << ' ' << word << '\n'; }
}
