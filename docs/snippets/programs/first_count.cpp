// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <iostream>
#include <map>
#include <sstream>
#include <string>

#include <latchbox/latchbox.hpp>

int main() {
    latchbox::Broker<std::string> broker;
    const auto lines = broker.queue("lines");
    for (std::string line; std::getline(std::cin, line);) { lines.publish(line).value(); }

    std::map<std::string, int> times;
    while (auto line = lines.try_fetch()) {
        std::istringstream words{line->body()};
        for (std::string word; words >> word;) { ++times[word]; }
        line->ack();
    }
    for (const auto& [word, number] : times) { std::cout << number << ' ' << word << '\n'; }
}
