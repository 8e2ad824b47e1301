// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// Rare situations that have to have been reached, each by its name and often: where one was not,
// whatever draws the programs is blind, and its silence means nothing.
namespace support {

class Probes {
public:
    /// `of`: what draws the programs, for the log.
    Probes(std::string of, const std::vector<const char*>& names) : of_{std::move(of)} {
        for (const char* const name : names) { counts_.push_back({name, 0}); }
        std::sort(counts_.begin(), counts_.end());
    }

    /// One that has no probe is not counted.
    void reach(std::string_view name, std::uint64_t times = 1) {
        const auto at = std::lower_bound(
            counts_.begin(), counts_.end(), name,
            [](const Count& count, std::string_view wanted) { return count.first < wanted; });
        if (at != counts_.end() && at->first == name) { at->second += times; }
    }

    /// One more, counted elsewhere.
    void add(const char* name, std::uint64_t times) {
        counts_.push_back({name, times});
        std::sort(counts_.begin(), counts_.end());
    }

    [[nodiscard]] std::size_t size() const noexcept { return counts_.size(); }
    /// Those reached less often.
    [[nodiscard]] std::vector<std::string> below(std::uint64_t least) const {
        std::vector<std::string> names;
        for (const auto& [name, count] : counts_) {
            if (count < least) { names.push_back(name + ": " + std::to_string(count)); }
        }
        return names;
    }
    /// The rarest first, and how many there are.
    void print(std::uint64_t least) const {
        std::vector<Count> sorted = counts_;
        std::stable_sort(sorted.begin(), sorted.end(),
                         [](const Count& a, const Count& b) { return a.second < b.second; });
        std::printf("probes of %s, rarest first:\n", of_.c_str());
        for (const auto& [name, count] : sorted) {
            std::printf("%12llu  %s\n", static_cast<unsigned long long>(count), name.c_str());
        }
        std::printf("figure: probes of %s, reached %llu times = %zu of %zu\n", of_.c_str(),
                    static_cast<unsigned long long>(least), size() - below(least).size(), size());
    }

private:
    using Count = std::pair<std::string, std::uint64_t>;

    std::string of_;
    std::vector<Count> counts_;
};

}  // namespace support
