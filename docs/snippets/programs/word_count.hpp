// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <chrono>
#include <map>
#include <mutex>
#include <set>
#include <sstream>
#include <string>

#include <latchbox/latchbox.hpp>

// Counts the words of lines. Any thread may count, and any line may come twice.
class WordCount {
public:
    explicit WordCount(latchbox::Broker<std::string>& broker)
        : lines_{broker.queue("lines", {.lease = std::chrono::seconds{10},
                                        .capacity = 1'000,
                                        .overflow = latchbox::Overflow::block,
                                        .block_for = latchbox::Duration::never()})} {}

    const latchbox::Queue<std::string>& lines() const { return lines_; }

    void count(const latchbox::Delivery<std::string>& line) {
        std::istringstream words{line.body()};
        const std::lock_guard lock{mutex_};
        if (!counted_.insert(line.id()).second) { return; }  // it comes again: already counted
        for (std::string word; words >> word;) { ++times_[word]; }
    }
    std::map<std::string, int> times() const {
        const std::lock_guard lock{mutex_};
        return times_;
    }

private:
    latchbox::Queue<std::string> lines_;
    mutable std::mutex mutex_;
    std::set<latchbox::MessageId> counted_;
    std::map<std::string, int> times_;
};
