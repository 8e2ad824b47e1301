// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors

// Visits every state that the core of one queue can be in, under a few sets of small options, and
// tries every action in each. Beside every core walks the reference model; after each action the
// two are compared message by message, and what an action may change at all is checked against
// the list of transitions.
//
// Two states are the same if nothing that can still happen tells them apart: instants count
// relative to now, numbers by their order, slots and consumers not at all; attempts and failures
// only as far as a limit or the backoff looks at them. So neither ticks nor publishes nor hand-outs
// are bounded: only the messages held at once, and the deliveries out at once.

#include <cstdint>
#include <cstdio>
#include <deque>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/detail/queue_audit.hpp"
#include "latchbox/detail/queue_transitions.hpp"
#include "model/model.hpp"

namespace {

using latchbox::Duration;
using latchbox::Instant;
using latchbox::detail::Deadlines;
using latchbox::detail::DedupWindow;
using latchbox::detail::Effects;
using latchbox::detail::History;
using latchbox::detail::QueueCore;
using latchbox::detail::ReadyOrder;
using latchbox::detail::Record;
using latchbox::detail::Slot;
using model::Ticks;
using CoreState = latchbox::detail::State;

// Which container a message stands in tells states apart, and the core keeps them to itself. An
// explicit instantiation may name what is private.
struct ReadyMember {
    using Type = ReadyOrder QueueCore::*;
    friend Type member(ReadyMember);
};
struct DeadlinesMember {
    using Type = Deadlines QueueCore::*;
    friend Type member(DeadlinesMember);
};
struct ValuesMember {
    using Type = DedupWindow QueueCore::*;
    friend Type member(ValuesMember);
};
template <class Tag, typename Tag::Type pointer> struct Open {
    friend typename Tag::Type member(Tag) { return pointer; }
};
template struct Open<ReadyMember, &QueueCore::ready_>;
template struct Open<DeadlinesMember, &QueueCore::deadlines_>;
template struct Open<ValuesMember, &QueueCore::values_>;

struct Bounds {
    const char* name;
    latchbox::QueueOptions options;
    std::uint32_t deliveries;          // out at once: so many consumers
    std::uint32_t failures_that_tell;  // more of them change nothing any more
    std::vector<latchbox::PublishOptions> publishes;
    std::size_t batch = 0;   // also publish so many at once
    std::size_t values = 0;  // remembered; 0: none is used
};

struct Receipt {
    Slot slot;
    std::uint64_t lease;
    std::uint64_t number;
};

// A core, and the model in the same state.
struct Node {
    QueueCore core;
    model::Broker model;
    std::vector<std::uint64_t> numbers;  // of the core's messages, by the model's number
    std::vector<Receipt> receipts;       // by the model's lease
};

struct Action {
    enum Kind : std::uint8_t {
        publish,
        publish_batch,
        withdraw,
        fetch,
        ack,
        release,
        requeue,
        requeue_later,
        fail,
        reject,
        extend_by_none,
        extend,
        abandon,
        take_back,
        cancel,
        purge,
        take_dead,
        redrive,
        purge_dead,
        tick,
        end,
    } kind;
    std::size_t which = 0;  // a message, or a way to publish
};

const char* word_of(Action::Kind kind) {
    static constexpr const char* words[] = {
        "publish",    "publish_batch", "withdraw", "fetch",  "ack",       "release",
        "requeue",    "requeue_later", "fail",     "reject", "extend(0)", "extend(3)",
        "abandon",    "take_back",     "cancel",   "purge",  "take_dead", "redrive",
        "purge_dead", "tick",          "end"};
    return words[kind];
}

Instant instant(Ticks at) { return Instant{Duration::nanoseconds(at)}; }
Ticks ticks(Instant at) { return at.since_epoch().count(); }
Duration length(Ticks of) { return Duration::nanoseconds(of); }

class Search {
public:
    explicit Search(const Bounds& bounds) : bounds_{bounds} {}

    void run() {
        Node start{QueueCore{bounds_.options, {.first_bits = 2}}, model::Broker{}, {}, {}};
        static_cast<void>(start.model.queue("q", bounds_.options));
        for (const auto& shortage :
             {start.core.of_records(), start.core.of_histories(1), start.core.of_outcomes(16)}) {
            QueueCore::Growth growth = start.core.make(shortage);
            start.core.adopt(growth);
        }
        if (bounds_.values != 0) {
            start.core.*member(ValuesMember{}) = DedupWindow{bounds_.values};
            start.model.remember_values(bounds_.values);
            QueueCore::Growth growth = start.core.make(start.core.of_values());
            start.core.adopt(growth);
        }
        visit(std::move(start));
        while (!frontier_.empty() && broken_.empty()) {
            const Node node = std::move(frontier_.front());
            frontier_.pop_front();
            expand(node);
        }
    }

    [[nodiscard]] std::size_t states() const { return seen_.size(); }
    [[nodiscard]] std::uint64_t transitions() const { return transitions_; }
    [[nodiscard]] const std::string& broken() const { return broken_; }

private:
    void visit(Node&& node) {
        if (seen_.insert(key(node)).second) { frontier_.push_back(std::move(node)); }
    }
    void expand(const Node& node) {
        for (const Action& action : actions(node)) {
            Node next = node;
            ++transitions_;
            Effects effects;
            perform(next, action, effects);
            settle_effects(node, next, effects);
            check(node, next, action);
            if (!broken_.empty()) {
                broken_ += std::string(" after ") + word_of(action.kind) + " in " + text(node);
                return;
            }
            visit(std::move(next));
        }
        check_jump(node);
        check_older_now(node);
    }

    // -- actions ---------------------------------------------------------------------------------

    [[nodiscard]] std::vector<Action> actions(const Node& node) const {
        std::vector<Action> all{{Action::tick}};
        const model::Broker& m = node.model;
        if (!m.queue_at(0).removed) {
            for (std::size_t i = 0; i < bounds_.publishes.size(); ++i) {
                all.push_back({Action::publish, i});
            }
            all.push_back({Action::withdraw});
            if (bounds_.batch != 0) { all.push_back({Action::publish_batch, 0}); }
            const std::size_t first = m.first_ready(0);
            if (m.stats(0).leased < bounds_.deliveries && first != model::none) {
                all.push_back({Action::fetch, first});
            }
            if (first != model::none || m.stats(0).delayed != 0) { all.push_back({Action::purge}); }
            if (m.stats(0).dead != 0) { all.push_back({Action::purge_dead}); }
            all.push_back({Action::end});
        }
        for (std::size_t i = 0; i < m.message_count(); ++i) {
            const model::State state = m.message(i).state;
            if (state == model::State::gone || m.queue_at(0).removed) { continue; }
            if (state == model::State::leased) {
                for (int kind = Action::ack; kind <= Action::take_back; ++kind) {
                    all.push_back({static_cast<Action::Kind>(kind), i});
                }
                continue;
            }
            all.push_back({Action::cancel, i});
            if (state == model::State::dead) {
                all.push_back({Action::take_dead, i});
                all.push_back({Action::redrive, i});
            }
        }
        return all;
    }

    void perform(Node& node, const Action& action, Effects& effects) {
        const Instant now = instant(node.model.now());
        switch (action.kind) {
            case Action::publish: return publish(node, action.which, 1, effects);
            case Action::publish_batch: return publish(node, 0, bounds_.batch, effects);
            case Action::withdraw: return withdraw(node);
            case Action::fetch: return fetch(node, action.which);
            case Action::cancel:
                node.core.cancel(slot_of(node, action.which), effects);
                expect(node.model.cancel(0, action.which) == model::fine, "cancel");
                return;
            case Action::purge:
                expect(node.core.purge(effects) == node.model.purge(0), "purge: how many");
                return;
            case Action::take_dead:
                node.core.take_dead(slot_of(node, action.which), effects);
                expect(node.model.take_dead(0, action.which).error == model::fine, "take");
                return;
            case Action::redrive:
                node.core.redrive(slot_of(node, action.which), now);
                expect(node.model.redrive(0, action.which) == model::fine, "redrive");
                return;
            case Action::purge_dead:
                expect(node.core.purge_dead(effects) == node.model.purge_dead(0),
                       "purge_dead: how many");
                return;
            case Action::tick: return pass(node, 1, effects);
            case Action::end:
                node.core.end(effects);
                expect(node.model.remove("q"), "remove");
                return;
            default: return settle(node, action, effects);
        }
    }

    static std::vector<Slot> reserve(QueueCore& core, std::size_t count) {
        std::vector<Slot> slots;
        for (; count > 0; --count) {
            const bool again = core.vacant() != latchbox::detail::none;
            slots.push_back(again ? core.reserve_vacant() : core.reserve_fresh());
        }
        return slots;
    }
    void publish(Node& node, std::size_t which, std::size_t count, Effects& effects) {
        const latchbox::PublishOptions& wish = bounds_.publishes[which];
        const Instant now = instant(node.model.now());
        const auto expected = node.model.publish(0, std::vector<std::uint64_t>(count, 1), wish);
        if (const DedupWindow::Named* first = node.core.first_with(wish.dedup, now)) {
            node.core.repeat();
            if (!expect(expected.error == model::fine, "a repeat was refused [7.1]")) { return; }
            expect(node.numbers[expected.value.front()] == first->number, "of another message");
            return;
        }
        if (!node.core.has_room(count)) {
            node.core.refuse(count);
            expect(expected.error == model::Errc::full, "refused, though there is room");
            return;
        }
        if (!expect(expected.error == model::fine, "accepted without room")) { return; }
        node.core.make_room(count, effects);
        vacate(node.core, effects);
        for (const Slot slot : reserve(node.core, count)) {
            const latchbox::detail::Wishes wishes{wish.priority, wish.delay, wish.expires_in};
            node.numbers.push_back(node.core.accept(slot, wishes, now, effects));
            if (wish.dedup.empty()) { continue; }
            std::string value{wish.dedup};
            node.core.stand_for(value, node.numbers.back(), slot);
        }
        // Numbers are drawn upwards, for ids as for places.
        const std::size_t last = node.numbers.size() - 1;
        expect(last == 0 || node.numbers[last - 1] < node.numbers[last], "a number out of order");
    }
    // Room is reserved and given back: as if nothing had happened.
    void withdraw(Node& node) {
        if (node.core.held() == bounds_.options.capacity) { return; }
        const Slot slot = reserve(node.core, 1).front();
        expect(node.core.reserved() == 1, "reserved, and not counted");
        expect(node.core.audit() == nullptr, "audit with a reserved slot");
        node.core.withdraw(slot);
        expect(node.core.reserved() == 0, "withdrawn, and still counted");
    }
    void fetch(Node& node, std::size_t first) {
        expect(node.core.has_ready(), "has_ready");
        const Slot slot = node.core.lease(instant(node.model.now()));
        expect(slot == slot_of(node, first), "another message came first [4.4]");
        const std::uint64_t lease = node.core.record(slot).lease;
        for (const Receipt& other : node.receipts) {
            expect(other.lease < lease, "L1: a receipt came twice [4.2]");
        }
        node.receipts.push_back({slot, lease, node.numbers[first]});
        expect(node.model.fetch(0, 1).error == model::fine, "fetch");
    }
    void settle(Node& node, const Action& action, Effects& effects) {
        const Instant now = instant(node.model.now());
        const Slot slot = slot_of(node, action.which);
        const std::size_t lease = node.model.message(action.which).lease;
        const auto by = [&](const model::Verb& verb) {
            expect(node.model.settle(0, lease, verb) == model::fine, "settle");
        };
        switch (action.kind) {
            case Action::ack: node.core.ack(slot, effects), by({model::Verb::ack}); break;
            case Action::release:
                node.core.release(slot, now, effects), by({model::Verb::release});
                break;
            case Action::requeue:
                node.core.requeue(slot, {}, now, effects), by({model::Verb::requeue});
                break;
            case Action::requeue_later:
                node.core.requeue(slot, length(2), now, effects), by({model::Verb::requeue, 2});
                break;
            case Action::fail:
                node.core.fail(slot, "no", now, effects), by({model::Verb::fail, 0, "no"});
                break;
            case Action::reject:
                node.core.reject(slot, "bad", effects), by({model::Verb::reject, 0, "bad"});
                break;
            case Action::extend_by_none: extend(node, slot, lease, 0); break;
            case Action::extend: extend(node, slot, lease, 3); break;
            case Action::take_back:
                node.core.take_back(slot, now, effects);
                node.model.take_back(lease);  // handles and leases are made together
                pass(node, 0, effects);       // its life may have ended while it was out
                break;
            default:
                node.core.abandon(slot, now, effects);
                node.model.destroy(lease);
                break;
        }
    }
    void extend(Node& node, Slot slot, std::size_t lease, Ticks by) {
        const Instant before = node.core.record(slot).at;
        const Instant until = instant(node.model.now() + by);
        const Instant after = node.core.extend(slot, until);
        expect(after == node.core.record(slot).at, "extend: what it returns");
        expect(after >= before && after >= until && (after == before || after == until),
               "L5: neither the old deadline nor the wanted one");
        expect(node.model.settle(0, lease, {model::Verb::extend, by}) == model::fine, "extend");
    }
    static void pass(Node& node, Ticks by, Effects& effects) {
        node.model.move_to(node.model.now() + by);
        const auto limit = latchbox::detail::Due::last_at(instant(node.model.now()));
        while (node.core.step(limit, effects)) {}
    }

    // What left is what left in the model, each once. C2, P4
    void settle_effects(const Node& before, Node& after, Effects& effects) {
        vacate(after.core, effects);
        for (std::size_t i = 0; i < after.model.message_count(); ++i) {
            const bool held_before = i >= before.model.message_count() ||
                                     before.model.message(i).state != model::State::gone;
            const bool left = held_before && after.model.message(i).state == model::State::gone;
            std::size_t times = 0;
            for (const std::uint64_t number : gone_) { times += number == after.numbers[i]; }
            expect(times == (left ? 1U : 0U), "C2: left more or less than once [4.1]");
        }
        gone_.clear();
    }
    void vacate(QueueCore& core, Effects& effects) {
        Slot slot = effects.gone.front();
        while (slot != latchbox::detail::none) {
            const Slot next = core.record(slot).links.next;
            if (gone_counts_) { gone_.push_back(core.record(slot).number); }
            core.vacate(slot);
            slot = next;
        }
        effects = Effects{};
    }

    // -- checks ----------------------------------------------------------------------------------

    bool expect(bool holds, const char* what) {
        if (!holds && broken_.empty()) { broken_ = what; }
        return holds;
    }
    void check(const Node& before, const Node& node, const Action& action) {
        if (const char* found = node.core.audit()) { expect(false, found); }
        check_counts(node);
        check_against_model(node);
        check_leases(node);
        check_transition(before, node, action);
    }
    void check_counts(const Node& node) {
        const latchbox::QueueStats s = node.core.stats();
        expect(s == node.model.stats(0), "C1: counted otherwise in the model [4.1]");
        expect(
            s.accepted == s.held() + s.completed + s.expired + s.purged + s.evicted + s.cancelled,
            "C1: not conserved [4.1]");
        expect(s.held() + node.core.reserved() <= bounds_.options.capacity,
               "B1: more than capacity [4.12]");
        latchbox::QueueStats counted;
        for (Slot slot = 0; slot < node.core.slot_count(); ++slot) {
            switch (node.core.record(slot).state) {
                case CoreState::blocked: ++counted.blocked; break;
                case CoreState::delayed: ++counted.delayed; break;
                case CoreState::ready: ++counted.ready; break;
                case CoreState::leased: ++counted.leased; break;
                case CoreState::dead: ++counted.dead; break;
                case CoreState::vacant:
                case CoreState::reserved: break;
            }
        }
        expect(counted.blocked == s.blocked && counted.delayed == s.delayed &&
                   counted.ready == s.ready && counted.leased == s.leased && counted.dead == s.dead,
               "C1: counted otherwise in the containers [4.1]");
    }
    void check_against_model(const Node& node) {
        const Ticks due = ticks(node.core.next_due().at);
        expect(due == node.model.next_due(), "the next due instant [4.3]");
        for (std::size_t i = 0; i < node.model.message_count(); ++i) {
            const model::Message& expected = node.model.message(i);
            const Slot slot = slot_of(node, i);
            const bool held = expected.state != model::State::gone;
            if (!expect((slot != latchbox::detail::none) == held, "C2: held here and not there")) {
                return;
            }
            if (held) { check_message(node.core, slot, expected); }
        }
        for (const latchbox::PublishOptions& wish : bounds_.publishes) {
            const std::size_t first = node.model.stands_for(0, wish.dedup);
            const DedupWindow::Named* const found =
                node.core.first_with(wish.dedup, instant(node.model.now()));
            expect((first == model::none) == (found == nullptr), "who stands for a value [7.1]");
            if (first == model::none || found == nullptr) { continue; }
            expect(found->number == node.numbers[first], "another stands for a value [7.1]");
        }
        expect((node.core.*member(ValuesMember{})).sound(), "values: ring and chains");
        std::vector<std::size_t> dead = node.model.dead_letters(0);
        std::size_t at = 0;
        for (Slot slot = node.core.first_dead(); slot != latchbox::detail::none;
             slot = node.core.next_listed(slot)) {
            expect(at < dead.size() && slot == slot_of(node, dead[at]), "the order of deaths");
            ++at;
        }
    }
    void check_message(const QueueCore& core, Slot slot, const model::Message& expected) {
        const Record& record = core.record(slot);
        expect(model_state(record.state) == expected.state, "C2: another state than in the model");
        expect(core.place(slot).number == expected.place, "another place than in the model [4.4]");
        expect(record.priority == expected.priority, "another priority");
        const History& history = core.history(slot);
        const std::uint32_t attempts = core.attempts(slot);
        expect(attempts == expected.attempt, "L6: attempts [4.5]");
        expect(history.failures == expected.failures, "L6: failures [4.5]");
        expect(attempts - history.attempts_before_redrive == expected.hand_outs,
               "L6: attempts since redrive [4.5]");
        expect(ticks(history.expires) == expected.expires, "when it expires");
        if (record.state == CoreState::leased) {
            expect(ticks(record.at) == expected.deadline, "its deadline [4.3]");
        }
        if (record.state == CoreState::delayed) {
            expect(ticks(record.at) == expected.due, "when its delay is over [4.6]");
        }
        if (record.state == CoreState::dead) {
            expect(history.reason == latchbox::Reason(expected.cause, expected.text),
                   "why it died");
        }
    }
    // L1: of all receipts ever issued, exactly those of the leased messages hold.
    void check_leases(const Node& node) {
        std::uint64_t live = 0;
        for (std::size_t i = 0; i < node.receipts.size(); ++i) {
            const Receipt& receipt = node.receipts[i];
            const bool holds = node.core.holds(receipt.slot, receipt.lease);
            live += holds ? 1U : 0U;
            expect(node.core.granted(receipt.slot, receipt.lease, receipt.number),
                   "a receipt is not known any more");
            if (node.model.queue_at(0).removed) { continue; }
            expect(holds == node.model.lease(i).live, "L1: a lease lives on, or does not [4.2]");
        }
        expect(live == node.core.stats().leased, "L1: leased without a receipt, or twice [4.2]");
        for (std::uint64_t lease = 0; lease < 3; ++lease) {
            const std::uint64_t never_issued = node.receipts.size() * 2 + 100 + lease;
            expect(!node.core.granted(0, never_issued, 1), "a receipt that was never issued");
        }
    }

    // C4, B1, L6: from where an action may take a message, and what it must leave alone.
    void check_transition(const Node& before, const Node& after, const Action& action) {
        for (std::size_t i = 0; i < before.model.message_count(); ++i) {
            const Slot from = slot_of(before, i);
            const Slot to = slot_of(after, i);
            if (from == latchbox::detail::none) {
                expect(to == latchbox::detail::none, "C4: gone, and back");
                continue;
            }
            const CoreState was = before.core.record(from).state;
            const CoreState is =
                to == latchbox::detail::none ? CoreState::vacant : after.core.record(to).state;
            if (to != latchbox::detail::none) {
                expect(from == to, "C2: moved to another slot");
                expect(attempts(after.core, to) >= attempts(before.core, from) ||
                           action.kind == Action::take_back,
                       "L6: an attempt was taken back [4.5]");
            }
            if (was != is) { expect(allowed(action.kind, was, is), "C4: not a transition"); }
            const bool touched =
                i == action.which || action.kind == Action::tick || action.kind == Action::fetch;
            if (was == CoreState::leased && !touched) {
                expect(is == CoreState::leased, "B1: a leased message was touched [7.2]");
            }
        }
    }
    static std::uint32_t attempts(const QueueCore& core, Slot slot) {
        return core.attempts(slot);
    }
    static bool allowed(Action::Kind kind, CoreState was, CoreState is) {
        const bool waits = was == CoreState::ready || was == CoreState::delayed;
        const bool leased = was == CoreState::leased;
        const bool dead = was == CoreState::dead;
        const bool gone = is == CoreState::vacant;
        const bool ready = is == CoreState::ready;
        switch (kind) {
            case Action::publish:
            case Action::publish_batch: return !leased && gone;  // evicted
            case Action::withdraw:
            case Action::extend_by_none:
            case Action::extend: return false;
            case Action::fetch: return was == CoreState::ready && is == CoreState::leased;
            case Action::ack: return leased && gone;
            case Action::take_back: return leased && (ready || gone);
            case Action::release:
            case Action::abandon:
            case Action::requeue:
                return (leased && (ready || is == CoreState::dead || gone)) || (dead && gone);
            case Action::requeue_later:
            case Action::fail: return leased || (dead && gone);  // dead_capacity
            case Action::reject:
                return (leased && (is == CoreState::dead || gone)) || (dead && gone);
            case Action::cancel: return !leased && gone;
            case Action::purge: return waits && gone;
            case Action::take_dead:
            case Action::purge_dead: return dead && gone;
            case Action::redrive: return dead && ready;
            case Action::tick:
                return (leased && (ready || is == CoreState::dead || gone)) || (waits && gone) ||
                       (was == CoreState::delayed && ready) ||
                       (dead && gone && was != is);  // dead_capacity
            case Action::end: return !leased && gone;
        }
        return false;
    }

    // C8: a jump equals its steps.
    void check_jump(const Node& node) {
        Node jumped = node;
        Node stepped = node;
        Effects effects;
        const bool counts = std::exchange(gone_counts_, false);
        pass(jumped, 6, effects);
        vacate(jumped.core, effects);
        for (int i = 0; i < 6; ++i) {
            pass(stepped, 1, effects);
            vacate(stepped.core, effects);
        }
        gone_counts_ = counts;
        ++transitions_;
        const bool same =
            key(jumped) == key(stepped) && jumped.core.stats() == stepped.core.stats();
        if (!expect(same, "C8: a jump differs from its steps [4.3]")) {
            broken_ += " in " + text(node);
        }
    }
    // C7: an instant that is past counts as the newest one seen.
    void check_older_now(const Node& node) {
        const Instant now = instant(node.model.now());
        const Instant past = instant(node.model.now() - 5);
        const bool counts = std::exchange(gone_counts_, false);
        for (std::size_t i = 0; i < node.model.message_count(); ++i) {
            if (node.model.message(i).state != model::State::leased) { continue; }
            Node exact = node;
            Node older = node;
            for (Node* one : {&exact, &older}) {
                const Instant said = one == &exact ? now : past;
                Effects effects;
                one->core.requeue(slot_of(node, i), {}, now, effects);
                if (one->core.has_ready()) {
                    one->core.fail(one->core.lease(said), "no", said, effects);
                }
                vacate(one->core, effects);
            }
            ++transitions_;
            if (!expect(key(older) == key(exact), "C7: time went back")) {
                broken_ += " in " + text(node);
            }
        }
        gone_counts_ = counts;
    }

    // -- states ----------------------------------------------------------------------------------

    static model::State model_state(CoreState state) {
        switch (state) {
            case CoreState::blocked: return model::State::blocked;
            case CoreState::delayed: return model::State::delayed;
            case CoreState::ready: return model::State::ready;
            case CoreState::leased: return model::State::leased;
            case CoreState::dead: return model::State::dead;
            case CoreState::vacant:
            case CoreState::reserved: break;
        }
        return model::State::gone;
    }
    static Slot slot_of(const Node& node, std::size_t message) {
        if (message >= node.numbers.size()) { return latchbox::detail::none; }
        const std::uint64_t number = node.numbers[message];
        Slot found = latchbox::detail::none;
        for (Slot slot = 0; slot < node.core.slot_count(); ++slot) {
            if (node.core.find(slot, number) != latchbox::detail::none) { found = slot; }
        }
        return found;
    }

    // The state in so many bytes: messages in the order of their ids, instants relative to now,
    // places by rank.
    [[nodiscard]] std::string key(const Node& node) const {
        const QueueCore& core = node.core;
        std::string text;
        text += static_cast<char>(node.model.queue_at(0).removed);
        std::vector<Slot> held;
        for (Slot slot = 0; slot < core.slot_count(); ++slot) {
            if (core.find(slot, core.record(slot).number) == latchbox::detail::none) { continue; }
            std::size_t at = held.size();
            while (at > 0 && core.record(slot).number < core.record(held[at - 1]).number) { --at; }
            held.insert(held.begin() + static_cast<std::ptrdiff_t>(at), slot);
        }
        for (const Slot slot : held) { describe(node, held, slot, text); }
        text += '/';
        for (const model::Value& value : node.model.queue_at(0).values) {
            describe(node, held, value, text);
        }
        text += '/';
        for (Slot slot = core.first_dead(); slot != latchbox::detail::none;
             slot = core.next_listed(slot)) {
            text += static_cast<char>(rank(core, held, core.place(slot).number));
        }
        text += '/';
        const Deadlines& deadlines = core.*member(DeadlinesMember{});
        for (Slot slot = deadlines.leases().front(); slot != latchbox::detail::none;
             slot = core.record(slot).links.next) {
            text += static_cast<char>(rank(core, held, core.place(slot).number));
        }
        return text;
    }
    void describe(const Node& node, const std::vector<Slot>& held, Slot slot,
                  std::string& text) const {
        const QueueCore& core = node.core;
        const Record& record = core.record(slot);
        const ReadyOrder& ready = core.*member(ReadyMember{});
        const Deadlines& deadlines = core.*member(DeadlinesMember{});
        const auto add = [&text](auto value) { text += static_cast<char>(value); };
        add(static_cast<unsigned>(record.state));
        add(record.priority);
        add(rank(core, held, core.place(slot).number));
        if (record.history == latchbox::detail::none) {
            add(0);
            return add(record.state == CoreState::leased ? relative(node, record.at) : 0);
        }
        const History& history = core.history(slot);
        add(1);
        add(ready.returned().contains(record.history));
        add(deadlines.others().contains(record.history));
        const auto lesser = [](auto x, auto y) { return x < y ? x : y; };
        add(history.attempts != 0);
        add(history.life.is_never() ? 0 : history.life.count());
        if (record.state == CoreState::dead) { return; }  // what else there is, a redrive resets
        if (bounds_.options.max_attempts != 0) {
            add(history.attempts - history.attempts_before_redrive);
        }
        add(lesser(history.failures, bounds_.failures_that_tell));
        add(record.state != CoreState::ready ? relative(node, record.at) : 0);
        add(relative(node, history.expires));
    }
    // Who stands for it, and how that ended.
    static void describe(const Node& node, const std::vector<Slot>& held, const model::Value& value,
                         std::string& text) {
        if (value.until <= node.model.now()) { return; }
        const Slot slot = slot_of(node, value.number);
        std::size_t whose = 0;
        while (whose < held.size() && held[whose] != slot) { ++whose; }
        text += value.text;
        text += static_cast<char>(relative(node, instant(value.until)));
        if (whose < held.size()) {
            text += static_cast<char>(whose);
            return;
        }
        // Whoever fails later makes those before him forgotten.
        const bool well = node.model.stands_for(0, value.text) == value.number;
        std::size_t before = 0;
        for (const Slot other : held) {
            before += node.core.record(other).number < node.numbers[value.number] ? 1U : 0U;
        }
        text += static_cast<char>(well ? 100 + before : 99);
    }
    static std::size_t rank(const QueueCore& core, const std::vector<Slot>& held,
                            std::uint64_t place) {
        std::size_t lower = 0;
        for (const Slot slot : held) { lower += core.place(slot).number < place ? 1U : 0U; }
        return lower;
    }
    // What is over is over, however long ago.
    static Ticks relative(const Node& node, Instant at) {
        if (at.is_never()) { return 100; }
        const Ticks left = ticks(at) - node.model.now();
        return left > 0 ? left : 0;
    }
    static std::string text(const Node& node) {
        std::string words;
        for (std::size_t i = 0; i < node.model.message_count(); ++i) {
            static constexpr const char* states[] = {"delayed", "ready", "leased", "dead", "gone"};
            const model::Message& m = node.model.message(i);
            if (m.state == model::State::gone) { continue; }
            words += "m" + std::to_string(i) + ' ' + states[static_cast<std::size_t>(m.state)] +
                     " place " + std::to_string(m.place) + " priority " +
                     std::to_string(m.priority) + " attempt " + std::to_string(m.attempt) +
                     " failures " + std::to_string(m.failures) + "; ";
        }
        return words + "now " + std::to_string(node.model.now());
    }

    const Bounds& bounds_;
    std::unordered_set<std::string> seen_;
    std::deque<Node> frontier_;
    std::uint64_t transitions_ = 0;
    bool gone_counts_ = true;
    std::vector<std::uint64_t> gone_;  // numbers that left in the action under way
    std::string broken_;
};

void search(const Bounds& bounds) {
    Search search{bounds};
    search.run();
    std::printf("figure: exhaustive %s states = %zu\n", bounds.name, search.states());
    std::printf("figure: exhaustive %s transitions = %llu\n", bounds.name,
                static_cast<unsigned long long>(search.transitions()));
    CHECK_MESSAGE(search.broken().empty(), search.broken());
    CHECK(search.states() > 1000);
}

constexpr Duration tick = Duration::nanoseconds(1);

}  // namespace

TEST_CASE("every state of a queue with failures and backoff [4.1] [4.2] [4.3] [4.5] [4.6]") {
    search({.name = "failures",
            .options = {.lease = tick * 2,
                        .capacity = 3,
                        .max_failures = 3,
                        .backoff = {.first = tick, .factor = 2, .limit = tick * 2}},
            .deliveries = 2,
            .failures_that_tell = 2,
            .publishes = {{}}});
}

TEST_CASE("every state of a queue with attempts and few dead letters [4.5] [7.2]") {
    search({.name = "attempts",
            .options = {.lease = tick * 2,
                        .capacity = 3,
                        .max_attempts = 2,
                        .backoff = {.first = Duration{}, .factor = 2, .limit = tick},
                        .dead_capacity = 1},
            .deliveries = 2,
            .failures_that_tell = 0,
            .publishes = {{}, {.delay = tick}}});
}

TEST_CASE("every state of a queue whose messages expire [3] [4.3]") {
    search({.name = "expiring",
            .options = {.lease = tick * 2,
                        .capacity = 3,
                        .max_failures = 2,
                        .backoff = {.first = tick, .factor = 1, .limit = tick}},
            .deliveries = 2,
            .failures_that_tell = 2,
            .publishes = {{.expires_in = tick * 2}, {.delay = tick, .expires_in = tick * 2}}});
}

TEST_CASE("every state of a queue with priorities that drops the oldest [4.4] [4.12] [7.2]") {
    search({.name = "dropping",
            .options = {.lease = tick * 2,
                        .capacity = 3,
                        .overflow = latchbox::Overflow::drop_oldest,
                        .backoff = {.first = tick, .factor = 1, .limit = tick}},
            .deliveries = 2,
            .failures_that_tell = 0,
            .publishes = {{}, {.delay = tick, .priority = 1}, {.priority = 1}},
            .batch = 2});
}

TEST_CASE("every state of a queue that may hold no dead letter, leases endless [7.2] [7.6]") {
    search({.name = "endless",
            .options = {.lease = Duration::never(),
                        .capacity = 3,
                        .max_failures = 2,
                        .backoff = {.first = Duration::never(), .limit = Duration::never()},
                        .dead_capacity = 0},
            .deliveries = 3,
            .failures_that_tell = 2,
            .publishes = {{}, {.delay = Duration::never()}, {.priority = 9}}});
}

TEST_CASE("every state of a queue that tells values apart [7.1]") {
    search({.name = "values",
            .options = {.lease = tick * 2,
                        .capacity = 2,
                        .overflow = latchbox::Overflow::drop_oldest,
                        .max_failures = 1,
                        .dedup_window = tick * 3},
            .deliveries = 2,
            .failures_that_tell = 1,
            .publishes = {{.dedup = "d"}, {.dedup = "e"}},
            .values = 2});
}

TEST_CASE("every state of a queue that remembers one value and no outcome [5.2] [7.1]") {
    search({.name = "one value",
            .options = {.lease = tick * 2,
                        .capacity = 2,
                        .max_failures = 1,
                        .dead_capacity = 1,
                        .dedup_window = tick * 2,
                        .outcome_memory = 0},
            .deliveries = 2,
            .failures_that_tell = 1,
            .publishes = {{.expires_in = tick * 2}, {.dedup = "d"}, {.priority = 1, .dedup = "e"}},
            .values = 1});
}

TEST_CASE("every state of a queue of four messages [4.1] [4.4] [4.6]") {
    search({.name = "four",
            .options = {.lease = tick, .capacity = 4, .max_failures = 1},
            .deliveries = 2,
            .failures_that_tell = 1,
            .publishes = {{}}});
}
