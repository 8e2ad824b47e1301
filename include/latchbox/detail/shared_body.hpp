// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "latchbox/detail/tally.hpp"
#include "latchbox/ids.hpp"
#include "latchbox/options.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

template <class Msg, class Platform> class TopicShell;

// The ids of topics' messages: one sequence for all topics of a broker, and a mark of the subject,
// by which an id of another subject is told from one that is gone, without a state of either.
struct TopicNumber {
    static constexpr unsigned mark_bits = 16;

    [[nodiscard]] static constexpr std::uint64_t join(std::uint64_t sequence,
                                                      std::uint16_t mark) noexcept {
        return (sequence << mark_bits) | mark;
    }
    [[nodiscard]] static constexpr std::uint64_t sequence(const MessageId& id) noexcept {
        return IdParts::number(id) >> mark_bits;
    }
    [[nodiscard]] static constexpr std::uint16_t mark(const MessageId& id) noexcept {
        return static_cast<std::uint16_t>(IdParts::number(id));
    }
};

// The body of one message of a topic, and what its copies have in common. Lives on the broker's
// shelf; held by each copy (once, however many see that), by its retention, and by each who reads
// it. The last one out has the shelf `clear` it, outside every lock. [6.3] [6.6]
template <class Msg, class Platform> class SharedBody {
public:
    using Topic = TopicShell<Msg, Platform>;

    SharedBody() noexcept {}
    ~SharedBody() {}
    SharedBody(const SharedBody&) = delete;
    SharedBody& operator=(const SharedBody&) = delete;

    [[nodiscard]] Msg& body() noexcept { return body_; }
    [[nodiscard]] const Msg& body() const noexcept { return body_; }
    template <class From> void construct(From&& from) {
        std::construct_at(std::addressof(body_), std::forward<From>(from));
    }
    void destroy() noexcept { std::destroy_at(std::addressof(body_)); }

    // Before anybody else sees it.
    void begin(std::uint32_t copies, std::uint32_t holders) noexcept {
        tally.begin(copies);
        holders_.store(holders, std::memory_order_relaxed);
    }
    // By who knows that it is held.
    void hold() noexcept { holders_.fetch_add(1, std::memory_order_relaxed); }
    // True if that was the last hold.
    [[nodiscard]] bool drop() noexcept {
        return holders_.fetch_sub(1, std::memory_order_acq_rel) == 1;
    }
    // Of a copy that is told by who holds it: no other holds the body.
    [[nodiscard]] bool held_once() const noexcept {
        return holders_.load(std::memory_order_acquire) == 1;
    }

    Tally<Platform> tally;
    // Set before it is seen, and not changed afterwards.
    MessageId id;
    Topic* topic = nullptr;
    std::uint8_t priority = 0;
    std::uint64_t route = 0;  // generation of the subscriptions that got it
    // Of a retained one, if it had any: for those to whom it is replayed.
    std::vector<MessageId> parents;
    OnParentFailure on_parent_failure = OnParentFailure::dead_letter;

    // Guarded by the latches' mutex: its latch, while somebody asked for it and it is not decided.
    std::uint32_t latch = none;

    // Guarded by the shelf's mutex.
    std::uint32_t slot = none;
    bool issued = false;    // `id` names it
    bool retained = false;  // then it stands in a list of its topic
    bool by_own_wish = false;
    SharedBody* next = nullptr;  // in that list, or of what is free
    SharedBody* previous = nullptr;

    // Of what nobody holds any more.
    SharedBody* next_doomed = nullptr;

private:
    typename Platform::template Atomic<std::uint32_t> holders_{0};
    union {
        Msg body_;
    };
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
