// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

// The one source of every decision a test takes: which operation, which argument, which fault,
// which thread goes on. A test written against `Choices` is a property test, an exhaustive test
// and its own reproducer, by the driver it is given.
namespace latchbox {
inline namespace v0 {
namespace testing {

/// The answers of one run in their order. Questions with one answer leave nothing in it.
using Trace = std::vector<std::uint32_t>;

/// As in "3,0,1"; the empty trace is the empty text.
inline std::string to_string(const Trace& trace) {
    std::string text;
    for (const std::uint32_t choice : trace) {
        if (!text.empty()) { text += ','; }
        text += std::to_string(choice);
    }
    return text;
}

/// The trace of a text as `to_string` makes it; nothing for any other text.
inline std::optional<Trace> from_string(std::string_view text) {
    Trace trace;
    if (text.empty()) { return trace; }
    const char* at = text.data();
    const char* const end = at + text.size();
    while (true) {
        std::uint32_t choice = 0;
        const auto [next, error] = std::from_chars(at, end, choice);
        if (error != std::errc{}) { return std::nullopt; }
        trace.push_back(choice);
        if (next == end) { return trace; }
        if (*next != ',') { return std::nullopt; }
        at = next + 1;
    }
}

/// Answers questions and remembers what it answered.
class Choices {
public:
    Choices() = default;
    Choices(const Choices&) = delete;
    Choices& operator=(const Choices&) = delete;
    virtual ~Choices() = default;

    /// One of 0 .. n - 1, where 0 is the simplest: no switch, no fault, the first operation.
    std::uint32_t pick(std::uint32_t n) {
        if (n <= 1) { return 0; }
        const std::uint32_t choice = choose(n);
        trace_.push_back(choice);
        return choice;
    }
    /// True once in `n` times where answers come by chance; the simple answer is false.
    bool one_in(std::uint32_t n) { return n <= 1 || pick(n) == n - 1; }

    [[nodiscard]] const Trace& trace() const noexcept { return trace_; }

    /// Whether nothing but 0 is to come: what follows would be the same for all.
    [[nodiscard]] virtual bool is_over() const noexcept { return false; }

protected:
    [[nodiscard]] virtual std::uint32_t choose(std::uint32_t n) = 0;  // n is 2 or more

    Trace trace_;
};

/// By chance, from a seed: the same answers on every platform and compiler.
class Seeded final : public Choices {
public:
    explicit Seeded(std::uint64_t seed) noexcept : state_{seed} {}

private:
    std::uint32_t choose(std::uint32_t n) override {
        return static_cast<std::uint32_t>((next() >> 32) * n >> 32);
    }
    // The generator "splitmix64".
    std::uint64_t next() noexcept {
        state_ += 0x9e3779b97f4a7c15U;
        std::uint64_t z = state_;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
        return z ^ (z >> 31);
    }

    std::uint64_t state_;
};

/// What was answered before; 0 after that. An answer too large for its question wraps around, so
/// that every trace is one that can be replayed.
class Replay final : public Choices {
public:
    explicit Replay(Trace recorded) noexcept : recorded_{std::move(recorded)} {}

private:
    std::uint32_t choose(std::uint32_t n) override {
        return trace_.size() < recorded_.size() ? recorded_[trace_.size()] % n : 0;
    }

    Trace recorded_;
};

/// From bytes, as fuzzers make them; 0 after their end. A question takes one byte, or as many as it
/// has answers for, so that to change, insert or remove a byte changes what is near it and little
/// else.
class Bytes final : public Choices {
public:
    explicit Bytes(std::string_view bytes) noexcept : bytes_{bytes} {}

    [[nodiscard]] bool is_over() const noexcept override { return bytes_.empty(); }

private:
    std::uint32_t choose(std::uint32_t n) override {
        std::uint64_t answer = 0;
        for (std::uint64_t reach = 1; reach < n && !bytes_.empty(); reach *= 256) {
            answer = answer * 256 + static_cast<unsigned char>(bytes_.front());
            bytes_.remove_prefix(1);
        }
        return static_cast<std::uint32_t>(answer % n);
    }

    std::string_view bytes_;
};

/// Every sequence of answers, depth first: `do { run(choices); } while (choices.next());`
/// The run has to be a function of its answers.
class Exhaustive final : public Choices {
public:
    /// Goes back to the start for the next sequence; false when there is none.
    bool next() noexcept {
        trace_.clear();
        while (!path_.empty()) {
            Fork& last = path_.back();
            if (++last.taken < last.of) { return true; }
            path_.pop_back();
        }
        return false;
    }

private:
    struct Fork {
        std::uint32_t taken;
        std::uint32_t of;
    };

    std::uint32_t choose(std::uint32_t n) override {
        if (trace_.size() == path_.size()) { path_.push_back({0, n}); }
        return path_[trace_.size()].taken;
    }

    std::vector<Fork> path_;
};

namespace inner {

// Tries smaller traces, and keeps each one for which the predicate still holds.
template <class StillFails> class Shrinker {
public:
    Shrinker(Trace trace, StillFails& still_fails, std::size_t attempts)
        : best_{std::move(trace)}, still_fails_{still_fails}, attempts_{attempts} {}

    Trace run() {
        bool helped = true;
        while (helped && attempts_ > 0) {
            helped = cut();
            helped = zero() || helped;
            helped = lower() || helped;
        }
        return std::move(best_);
    }

private:
    bool keep_if_failing(Trace candidate) {
        if (attempts_ == 0 || candidate == best_) { return false; }
        --attempts_;
        if (!still_fails_(std::as_const(candidate))) { return false; }
        best_ = std::move(candidate);
        return true;
    }

    bool cut() {
        bool helped = false;
        for (std::size_t length = best_.size(); length > 0;
             length = length > 3 ? length / 2 : length - 1) {
            for (std::size_t at = 0; at + length <= best_.size();) {
                Trace shorter = best_;
                const auto from = shorter.begin() + static_cast<std::ptrdiff_t>(at);
                shorter.erase(from, from + static_cast<std::ptrdiff_t>(length));
                if (keep_if_failing(std::move(shorter))) {
                    helped = true;
                } else {
                    at += length;
                }
            }
        }
        return helped;
    }
    bool zero() {
        bool helped = false;
        for (std::size_t length = best_.size(); length > 0;
             length = length > 3 ? length / 2 : length - 1) {
            for (std::size_t at = 0; at + length <= best_.size(); at += length) {
                Trace plainer = best_;
                for (std::size_t i = at; i < at + length; ++i) { plainer[i] = 0; }
                helped = keep_if_failing(std::move(plainer)) || helped;
            }
        }
        return helped;
    }
    // To the lowest that fails, if failing goes on upwards from there; else at least lower.
    bool lower() {
        bool helped = false;
        for (std::size_t i = 0; i < best_.size(); ++i) {
            std::uint32_t passes = 0;  // zero was tried
            while (best_[i] > passes + 1) {
                const std::uint32_t middle = passes + (best_[i] - passes) / 2;
                Trace smaller = best_;
                smaller[i] = middle;
                if (keep_if_failing(std::move(smaller))) {
                    helped = true;
                } else {
                    passes = middle;
                }
            }
        }
        return helped;
    }

    Trace best_;
    StillFails& still_fails_;
    std::size_t attempts_;
};

}  // namespace inner

/// A smaller trace for which `still_fails(trace)` holds as it does for `trace`: chunks are cut
/// out, set to zero and lowered until nothing of that helps, or `attempts` calls were made.
template <class StillFails>
[[nodiscard]] Trace shrink(Trace trace, StillFails&& still_fails, std::size_t attempts = 20'000) {
    return inner::Shrinker<StillFails>{std::move(trace), still_fails, attempts}.run();
}

/// The seed that `LATCHBOX_SEED` names, if it names one.
inline std::optional<std::uint64_t> seed_from_environment() {
    const char* const text = std::getenv("LATCHBOX_SEED");
    if (text == nullptr) { return std::nullopt; }
    const std::string_view digits{text};
    const char* const end = digits.data() + digits.size();
    std::uint64_t seed = 0;
    const auto [next, error] = std::from_chars(digits.data(), end, seed);
    if (error != std::errc{} || next != end) { return std::nullopt; }
    return seed;
}

/// The trace that `LATCHBOX_TRACE` names, if it names one.
inline std::optional<Trace> trace_from_environment() {
    const char* const text = std::getenv("LATCHBOX_TRACE");
    if (text == nullptr) { return std::nullopt; }
    return from_string(text);
}

}  // namespace testing
}  // namespace v0
}  // namespace latchbox
