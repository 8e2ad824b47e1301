// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "latchbox/detail/linking.hpp"
#include "latchbox/detail/option_checks.hpp"
#include "latchbox/detail/queue_shell.hpp"
#include "latchbox/detail/reserving.hpp"
#include "latchbox/detail/waiting.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// Publishes a copy. It is made before everything else where moving it into its place cannot throw;
// where that may, it is made there.
template <class Publishing, class Msg>
[[nodiscard]] Result<MessageId> publish_copy(Publishing&& publishing, const Msg& message) {
    if constexpr (Publishing::moves_under_lock) {
        if (const Errc refused = publishing.refusal(); refused != Errc{}) { return refused; }
        Msg copy(message);
        return publishing.one(copy);
    } else {
        return publishing.one(message);
    }
}

// How messages get into a queue. Room and slots are reserved before any body is touched, so that a
// message is moved from only if it was accepted. [4.11]
template <class Msg, class Platform> class Publishing {
public:
    using Shell = QueueShell<Msg, Platform>;
    using After = Aftermath<Msg, Platform>;
    using Reserving = detail::Reserving<Msg, Platform>;
    using StopToken = typename Platform::StopToken;

    static constexpr bool moves_under_lock = std::is_nothrow_move_constructible_v<Msg>;

    Publishing(Shell& shell, const PublishOptions& options, const StopToken& stop) noexcept
        : shell_{shell}, options_{options}, stop_{stop} {}

    [[nodiscard]] Errc refusal() const noexcept { return shell_.broker->refusal(stop_); }

    // `Source` is `Msg`, to be moved from, or `const Msg`, where moving it into a slot may throw.
    template <class Source> [[gnu::noinline]] Result<MessageId> one(Source& message) {
        if (const Errc refused = refusal(); refused != Errc{}) { return refused; }
        return wishing(1, [&] { return accept_one(message); });
    }
    Result<std::vector<MessageId>> all(std::span<Msg> messages) {
        if (const Errc refused = refusal(); refused != Errc{}) { return refused; }
        return wishing(messages.size(), [&] { return accept_all(messages); });
    }

private:
    // Another message stands for this one, by its `dedup` value. No error that users know.
    static constexpr Errc repeated = static_cast<Errc>(0xff);

    // What parents, a key or a value need while the message is published. [5.1] [5.7] [7.1]
    struct Tied {
        Linking<Msg, Platform> linking;
        std::string key;
        std::string value;
    };
    // Those with none of them pay for one look at the options.
    template <class Accept> auto wishing(std::size_t count, Accept&& accept) -> decltype(accept()) {
        const bool alone =
            options_.parents.empty() && options_.key.empty() && options_.dedup.empty();
        return alone ? accept() : tie(count, accept);
    }
    // Calls `accept` when the parents know of the messages to come.
    template <class Accept> auto tie(std::size_t count, Accept& accept) -> decltype(accept()) {
        {
            Lock lock{shell_.mutex};
            if (shell_.is_closed()) { return Errc::closed; }
        }
        if (!is_usable(options_, false, count)) { return Errc::invalid_option; }
        Tied tied{Linking<Msg, Platform>{*shell_.broker}, std::string{options_.key},
                  std::string{options_.dedup}};
        if (!options_.parents.empty()) {
            const Errc unknown =
                tied.linking.link(count, options_.parents, options_.on_parent_failure);
            if (unknown != Errc{}) { return unknown; }
        }
        tied_ = &tied;
        return accept();
    }

    template <class Source> Result<MessageId> accept_one(Source& message) LATCHBOX_UNCHECKED {
        SlotList taken;
        if (const Errc refused = reserve(1, taken); refused != Errc{}) { return outcome(refused); }
        // The lock is held. Only a move that cannot throw may run under it. [4.10]
        if constexpr (moves_under_lock) {
            shell_.bodies[taken.front()].construct(std::move(message));
        } else {
            const Errc lost = fill_unlocked(std::span<Source>{&message, 1}, taken);
            if (lost != Errc{}) { return outcome(lost); }
        }
        MessageId id;
        accept(taken, &id);
        return id;
    }

    Result<std::vector<MessageId>> accept_all(std::span<Msg> messages) LATCHBOX_UNCHECKED {
        std::vector<MessageId> ids(messages.size());
        SlotList taken;
        if (const Errc refused = reserve(messages.size(), taken); refused != Errc{}) {
            return outcome(refused, ids);
        }
        if constexpr (moves_under_lock) {
            Slot slot = taken.front();
            for (Msg& message : messages) {
                shell_.bodies[slot].construct(std::move(message));
                slot = shell_.core.record(slot).links.next;
            }
        } else {
            const Errc lost = fill_unlocked(messages, taken);
            if (lost != Errc{}) { return outcome(lost, ids); }
        }
        accept(taken, ids.data());
        return ids;
    }

    [[nodiscard]] Result<MessageId> outcome(Errc refused) const noexcept {
        if (refused == repeated) { return first_; }
        return refused;
    }
    // Of a batch of one.
    [[nodiscard]] Result<std::vector<MessageId>> outcome(Errc refused,
                                                         std::vector<MessageId>& ids) noexcept {
        if (refused != repeated) { return refused; }
        ids.front() = first_;
        return std::move(ids);
    }
    [[nodiscard]] Needs needs() const noexcept {
        return tied_ != nullptr ? Needs::of(options_, shell_.remembers_values())
                                : Needs{.history = timed()};
    }
    [[nodiscard]] bool timed() const noexcept { return Needs::timed(options_); }
    [[nodiscard]] bool has_value() const noexcept {
        return tied_ != nullptr && !options_.dedup.empty() && shell_.remembers_values();
    }
    // Whether another message stands for this one, as of now. [7.1]
    [[nodiscard]] bool is_repeated() noexcept LATCHBOX_REQUIRES(shell_.mutex) {
        if (!has_value()) { return false; }
        const auto* const first = shell_.core.first_with(options_.dedup, moment_.now);
        if (first == nullptr) { return false; }
        shell_.core.repeat();
        first_ = IdParts::message(shell_.number(), first->number, first->slot);
        return true;
    }
    // Reserves `count` slots and returns holding the lock; or returns why not, without it.
    Errc reserve(std::size_t count, SlotList& taken) LATCHBOX_UNCHECKED {
        const QueueOptions& queue = shell_.options;
        Promise promise{*this};
        for (bool exact = timed() || has_value();;) {
            moment_ = shell_.enter(exact);
            const std::size_t promised = std::exchange(promise.places, 0);
            shell_.core.redeem(promised);
            if (shell_.is_ending()) {
                return give_up(Errc::closed);
            }
            if (!is_usable(options_, false)) { return give_up(Errc::invalid_option); }
            if (count != 0 && is_repeated()) { return give_up(repeated); }
            // Who waits for room goes first.
            const bool turn = promised != 0 || shell_.publishers.empty();
            const bool room = count == 0 || (turn && shell_.core.has_room(count));
            if (!room) {
                const bool waits = queue.overflow == Overflow::block && count <= queue.capacity;
                if (!waits) { return give_up_full(count); }
                if (!std::exchange(exact, true) && !moment_.exact()) {
                    shell_.mutex.unlock();
                    continue;
                }
                const Errc ended = wait_for_room(count);
                if (ended == look_again) { continue; }
                if (ended == Errc::timed_out) { count_refused(count); }
                if (ended != Errc{}) { return ended; }
                promise.places = count;
                continue;
            }
            const auto lacking = Reserving::take_slots(shell_, count, needs(), taken);
            if (!lacking) { return Errc{}; }
            Reserving::withdraw(shell_, taken);
            shell_.core.promise(count);
            promise.places = count;
            shell_.grow(lacking);
        }
    }
    // Room that this publish keeps while it does not hold the lock; given up if something throws.
    struct Promise {
        Publishing& publishing;
        std::size_t places = 0;

        explicit Promise(Publishing& p) noexcept : publishing{p} {}
        Promise(const Promise&) = delete;
        Promise& operator=(const Promise&) = delete;
        ~Promise() {
            if (places == 0) { return; }
            Shell& shell = publishing.shell_;
            const Moment moment = shell.enter();
            shell.core.redeem(places);
            shell.finish(moment, publishing.effects_);
        }
    };
    Errc wait_for_room(std::size_t count) noexcept LATCHBOX_RELEASE(shell_.mutex) {
        if constexpr (Platform::can_wait) {
            Waiter<Platform> waiter;
            waiter.wanted = count;
            waiter.to = &shell_;
            waiter.value = options_.dedup;
            if (!until_) {
                until_ = moment_.now + options_.block_for.value_or(shell_.options.block_for);
            }
            waiter.sleep.until = *until_;
            return wait_in_line(shell_, shell_.publishers, waiter, stop_, moment_, effects_);
        } else {
            return give_up_full(count);
        }
    }
    void count_refused(std::size_t count) noexcept {
        Lock lock{shell_.mutex};
        shell_.core.refuse(count);
    }
    Errc give_up_full(std::size_t count) noexcept LATCHBOX_RELEASE(shell_.mutex) {
        shell_.core.refuse(count);
        return give_up(Errc::full);
    }
    Errc give_up(Errc why) noexcept LATCHBOX_RELEASE(shell_.mutex) {
        shell_.finish(moment_, effects_);
        return why;
    }
    // A body whose move may throw is made without the lock, and copied rather than moved where that
    // can be: then what throws has changed nothing, and nothing was moved from if the queue closed
    // or filled up meanwhile. A body that cannot be copied is accepted all the same; if nothing is
    // left to evict by then, beyond capacity. Holds the lock again if it returns `Errc{}`.
    template <class Source>
    Errc fill_unlocked(std::span<Source> messages, SlotList& taken) LATCHBOX_UNCHECKED {
        constexpr bool copies = std::is_copy_constructible_v<Msg>;
        {
            Unlocked unlocked{*this, taken};
            for (Source& message : messages) {
                if constexpr (copies) {
                    unlocked.next->construct(std::as_const(message));
                } else {
                    unlocked.next->construct(std::move(message));
                }
                unlocked.next = unlocked.next->next_doomed;
            }
            unlocked.filled = true;
        }
        if (!shell_.is_closed() && is_repeated()) { return discard(taken, repeated); }
        if constexpr (copies) {
            if (shell_.is_closed()) { return discard(taken, Errc::closed); }
            if (!shell_.core.has_room(0)) { return discard(taken, Errc::full); }
        }
        return Errc{};
    }
    Errc discard(SlotList& taken, Errc why) noexcept LATCHBOX_RELEASE(shell_.mutex) {
        After after;
        while (!taken.empty()) {
            const Slot slot = taken.pop_front(shell_.core.records());
            shell_.drop(shell_.bodies[slot], after);  // destroyed later, and not vacant before
            shell_.core.withdraw(slot, !shell_.bodies[slot].vacant());
        }
        shell_.conclude(moment_, effects_, after);
        shell_.act_on(after);
        return why;
    }
    // Lets go of the lock; takes it again at the end, and undoes all if not all was made. The cells
    // are chained before: records may move while the lock is not held.
    struct Unlocked {
        using Body = Cell<Msg, Platform>;
        Publishing& publishing;
        SlotList& taken;
        Body* first = nullptr;
        Body* next = nullptr;  // the first that is not made yet
        bool filled = false;

        Unlocked(Publishing& p, SlotList& s) noexcept LATCHBOX_UNCHECKED : publishing{p}, taken{s} {
            Shell& shell = publishing.shell_;
            for (Slot slot = taken.back(); slot != none;
                 slot = shell.core.record(slot).links.previous) {
                shell.bodies[slot].next_doomed = first;
                first = &shell.bodies[slot];
            }
            next = first;
            Reserving::promise(shell, taken.size(), publishing.needs());
            shell.mutex.unlock();
        }
        Unlocked(const Unlocked&) = delete;
        Unlocked& operator=(const Unlocked&) = delete;
        ~Unlocked() LATCHBOX_UNCHECKED {
            Shell& shell = publishing.shell_;
            for (Body* made = first; !filled && made != next; made = made->next_doomed) {
                made->destroy();
            }
            publishing.moment_ = shell.enter(publishing.moment_.exact());
            Reserving::redeem(shell, taken.size(), publishing.needs());
            if (filled) { return; }
            Reserving::withdraw(shell, taken);
            shell.finish(publishing.moment_, publishing.effects_);
        }
    };

    // Accepts all, and unlocks. A queue that closed while bodies were made without the lock has
    // accepted them before, and lets go of them at once.
    void accept(SlotList& taken, MessageId* ids) noexcept LATCHBOX_RELEASE(shell_.mutex) {
        QueueCore& core = shell_.core;
        After after;
        core.make_room(0, effects_);
        auto* const linking = tied_ != nullptr ? &tied_->linking : nullptr;
        std::string* const key = tied_ != nullptr ? &tied_->key : nullptr;
        while (!taken.empty()) {
            const Slot slot = taken.pop_front(core.records());
            const std::uint64_t number = detail::accept(shell_, slot, options_, needs(), linking,
                                                        key, moment_.now, effects_);
            if (has_value()) {
                core.stand_for(tied_->value, number, slot);
                shell_.end_publishers_of(&shell_, options_.dedup, after);
            }
            *ids++ = IdParts::message(shell_.number(), number, slot);
            if (!shell_.holds_bodies) { shell_.drop(shell_.bodies[slot], after); }
        }
        shell_.conclude(moment_, effects_, after);
        shell_.act_on(after);
    }

    Shell& shell_;
    const PublishOptions& options_;
    const StopToken& stop_;
    Tied* tied_ = nullptr;          // while one is there
    MessageId first_;               // that stands for this one, if it is repeated
    std::optional<Instant> until_;  // it waits for room
    Moment moment_;
    Effects effects_;
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
