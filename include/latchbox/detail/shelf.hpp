// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "latchbox/detail/chunks.hpp"
#include "latchbox/detail/dedup_window.hpp"
#include "latchbox/detail/issued.hpp"
#include "latchbox/detail/lock.hpp"
#include "latchbox/detail/shared_body.hpp"
#include "latchbox/detail/slot_heap.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// When a retained message is too old; of those at one instant the first comes first.
struct RetainedAge {
    Instant until;
    std::uint64_t sequence;
    friend constexpr bool operator<(const RetainedAge& a, const RetainedAge& b) noexcept {
        return a.until != b.until ? a.until < b.until : a.sequence < b.sequence;
    }
};

// The messages of all topics of one broker: their bodies, what was issued, and what is retained.
// Its mutex comes after those of queues, and before the latches'. Memory grows by chunks, made
// outside the lock; what nobody holds any more is used again.
//
// A body is taken (`take`), filled and published (`issue`) by its publisher, held by copies, by its
// retention (`keep`, until `age_out` or another takes its place) and by readers, and comes back by
// `clear`.
template <class Msg, class Platform> class Shelf {
public:
    using Body = SharedBody<Msg, Platform>;

    // How many messages of a topic are retained where no count was given. [4.12]
    static constexpr std::size_t most_retained = 65'536;

    // What one topic retains: by its own limits, and by wish of single messages. In publish order.
    struct Kept {
        Body* first = nullptr;
        Body* last = nullptr;
        std::size_t size = 0;
    };
    struct Retention {
        Kept by_topic;
        Kept by_wish;
        std::uint64_t aged_out = 0;
    };
    // How one message is retained: under its own limit or its topic's.
    struct Term {
        std::size_t count = 0;  // of such; 0: not at all
        Duration length = Duration::never();
        bool by_own_wish = false;

        // [6.6]
        [[nodiscard]] static Term of(const std::optional<Duration>& wish,
                                     const TopicOptions& topic) noexcept {
            if (wish) { return {*wish > Duration{} ? most_retained : 0, *wish, true}; }
            const bool timed = topic.retain_for > Duration{};
            const std::size_t unset = timed ? most_retained : 0;
            return {topic.retain_count != 0 ? topic.retain_count : unset,
                    timed ? topic.retain_for : Duration::never(), false};
        }
    };

    explicit Shelf(std::uint32_t number) noexcept : issuer{number} {}
    ~Shelf() = default;
    Shelf(const Shelf&) = delete;
    Shelf& operator=(const Shelf&) = delete;

    const std::uint32_t issuer;  // of topics' messages
    typename Platform::Mutex mutex;

    // --- bodies ------------------------------------------------------------------------------

    // A chain of `count` empty ones, through `next`, with all the room that they may need later.
    // May throw std::bad_alloc.
    [[nodiscard]] Body* take(std::size_t count, bool ages) LATCHBOX_UNCHECKED {
        typename Chunks<Body>::Chunk chunk;
        Issued::Room outcomes;
        typename SlotHeap<RetainedAge>::Room aging;
        for (;;) {
            Lock lock{mutex};
            bodies_.adopt(chunk);
            issued.adopt(outcomes);
            ages_.adopt(aging);
            if (count > bodies_.capacity() - in_use_) {
                const unsigned next = bodies_.next();
                lock.unlock();
                chunk = bodies_.make(next);
            } else if (!issued.has_room(in_use_ + count)) {
                const std::size_t wanted = issued.wanted(2 * (in_use_ + count) + 16);
                lock.unlock();
                outcomes = Issued::make(wanted);
            } else if (ages && ages_.room() < bodies_.capacity()) {
                const std::size_t wanted = bodies_.capacity();
                lock.unlock();
                aging = SlotHeap<RetainedAge>::make(wanted);
            } else {
                return take_chain(count);
            }
        }
    }
    // Those of a chain that was never issued. Not under a lock: runs no code of users.
    void put_back(Body* chain) noexcept {
        Lock lock{mutex};
        while (chain != nullptr) { give(*std::exchange(chain, chain->next)); }
    }
    // Nobody holds it any more. Runs the destructor of `Msg`: not under a lock. Of a closed broker
    // it stays known how it was left.
    void clear(Body& body) noexcept {
        auto* const topic = body.topic;
        body.destroy();
        std::vector<MessageId>{}.swap(body.parents);
        {
            Lock lock{mutex};
            if (closed_) { return; }  // and its topic stays with it
            give(body);
        }
        topic->let_go();
    }
    void clear_all(Body* doomed) noexcept {
        while (doomed != nullptr) { clear(*std::exchange(doomed, doomed->next_doomed)); }
    }

    // The next id of a subject with this mark.
    [[nodiscard]] MessageId draw(std::uint16_t mark, std::uint32_t slot) noexcept
        LATCHBOX_REQUIRES(mutex) {
        const std::uint64_t sequence = issued.draw();
        ensure(sequence >> (64 - TopicNumber::mark_bits) == 0, "more messages than ids");
        return IdParts::message(issuer, TopicNumber::join(sequence, mark), slot);
    }
    // The body gets its id: from here on it is found.
    void issue(Body& body, std::uint16_t mark) noexcept LATCHBOX_REQUIRES(mutex) {
        body.id = draw(mark, body.slot);
        body.issued = true;
    }
    [[nodiscard]] Body* find(const MessageId& id) noexcept LATCHBOX_REQUIRES(mutex) {
        const std::uint32_t slot = IdParts::slot(id);
        if (slot >= used_ || !bodies_[slot].issued || bodies_[slot].id != id) { return nullptr; }
        return &bodies_[slot];
    }
    // How it went with one that is not found, or has failed.
    [[nodiscard]] Issued::Past past(const MessageId& id) const noexcept LATCHBOX_REQUIRES(mutex) {
        return issued.past(TopicNumber::sequence(id));
    }

    // Whether it has neither failed nor died. [7.1]
    [[nodiscard]] bool stands(const DedupWindow::Named& message) noexcept LATCHBOX_REQUIRES(mutex) {
        const MessageId id = IdParts::message(issuer, message.number, message.slot);
        if (const Body* const body = find(id)) {
            const LatchState state = body->tally.state();
            return state == LatchState::pending || state == LatchState::completed;
        }
        return past(id).state == MessageState::completed;
    }

    // --- retention ---------------------------------------------------------------------------

    // Chains what nobody holds any more through `next_doomed`, for `clear_all`.
    void keep(Body& body, Retention& topic, const Term& term, Instant now, Body*& doomed) noexcept
        LATCHBOX_REQUIRES(mutex) {
        Kept& kept = term.by_own_wish ? topic.by_wish : topic.by_topic;
        body.retained = true;
        body.by_own_wish = term.by_own_wish;
        body.next = nullptr;
        body.previous = kept.last;
        (kept.last != nullptr ? kept.last->next : kept.first) = &body;
        kept.last = &body;
        ++kept.size;
        ++retained_;
        const Instant until = now + term.length;
        if (!until.is_never()) { ages_.insert({until, TopicNumber::sequence(body.id)}, body.slot); }
        while (kept.size > term.count) { let_age(*kept.first, doomed); }
        if (closed_ && body.retained) { release(body, doomed); }
    }
    // Nothing is retained that is too old at `now`. At equality it is.
    void age_out(Instant now, Body*& doomed) noexcept LATCHBOX_REQUIRES(mutex) {
        while (!ages_.empty() && ages_.front().key.until <= now) {
            let_age(bodies_[ages_.front().item], doomed);
        }
    }
    // The same as a whole; returns when the next will be too old.
    Instant age_out(Instant now) noexcept {
        Body* doomed = nullptr;
        Instant next;
        {
            Lock lock{mutex};
            age_out(now, doomed);
            next = ages_.empty() ? Instant::never() : ages_.front().key.until;
        }
        clear_all(doomed);
        return next;
    }
    // Lets go of all that is retained, and gives no slot away any more: `find` and the tallies stay
    // as they are.
    void close(Body*& doomed) noexcept {
        Lock lock{mutex};
        closed_ = true;
        for (std::uint32_t slot = 0; slot < used_; ++slot) {
            if (bodies_[slot].retained) { release(bodies_[slot], doomed); }
        }
    }

    [[nodiscard]] std::size_t retained() const noexcept LATCHBOX_REQUIRES(mutex) {
        return retained_;
    }
    [[nodiscard]] std::size_t in_use() const noexcept LATCHBOX_REQUIRES(mutex) { return in_use_; }

    Issued issued LATCHBOX_GUARDED_BY(mutex){most_retained};  // by sequence
    std::uint64_t discarded LATCHBOX_GUARDED_BY(mutex) = 0;   // messages without a subscriber
    std::uint64_t aged_out LATCHBOX_GUARDED_BY(mutex) = 0;

private:
    [[nodiscard]] Body* take_chain(std::size_t count) noexcept LATCHBOX_REQUIRES(mutex) {
        Body* chain = nullptr;
        for (; count != 0; --count) {
            const std::uint32_t slot = free_ != nullptr ? free_->slot : used_++;
            Body& body = bodies_[slot];
            if (&body == free_) { free_ = body.next; }
            body.slot = slot;
            body.next = chain;
            chain = &body;
            ++in_use_;
        }
        return chain;
    }
    void give(Body& body) noexcept LATCHBOX_REQUIRES(mutex) {
        body.issued = false;
        body.next = free_;
        free_ = &body;
        --in_use_;
    }
    // Is retained no longer.
    void let_age(Body& body, Body*& doomed) noexcept LATCHBOX_REQUIRES(mutex) {
        ++body.topic->retention.aged_out;
        ++aged_out;
        release(body, doomed);
    }
    void release(Body& body, Body*& doomed) noexcept LATCHBOX_REQUIRES(mutex) {
        Retention& topic = body.topic->retention;
        Kept& kept = body.by_own_wish ? topic.by_wish : topic.by_topic;
        (body.next != nullptr ? body.next->previous : kept.last) = body.previous;
        (body.previous != nullptr ? body.previous->next : kept.first) = body.next;
        --kept.size;
        --retained_;
        body.retained = false;
        if (ages_.contains(body.slot)) { ages_.remove(body.slot); }
        if (!body.drop()) { return; }
        body.next_doomed = doomed;
        doomed = &body;
    }

    Chunks<Body> bodies_ LATCHBOX_GUARDED_BY(mutex);
    Body* free_ LATCHBOX_GUARDED_BY(mutex) = nullptr;
    std::uint32_t used_ LATCHBOX_GUARDED_BY(mutex) = 0;  // from here on never taken
    std::size_t in_use_ LATCHBOX_GUARDED_BY(mutex) = 0;
    std::size_t retained_ LATCHBOX_GUARDED_BY(mutex) = 0;
    SlotHeap<RetainedAge> ages_ LATCHBOX_GUARDED_BY(mutex);  // of those that age, by slot
    bool closed_ LATCHBOX_GUARDED_BY(mutex) = false;
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
