// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/queue_places.hpp"

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include <doctest/doctest.h>

#include "support/bare_core.hpp"
#include "latchbox/testing/choices.hpp"

// Where messages stand: what accepting draws, who is evicted, what leaving leaves behind.
namespace {

using latchbox::detail::CoreStart;
using latchbox::detail::Due;
using latchbox::detail::none;
using latchbox::detail::State;
using latchbox::detail::Verdict;
using support::at;
using support::FromOne;
using support::NearTheEnd;
using support::ns;
using support::Slot;
using support::SoundCore;

TEST_CASE_TEMPLATE("accepting draws one number for id and place, in publish order [4.4]", Start,
                   FromOne, NearTheEnd) {
    const CoreStart start = Start::start;
    SoundCore queue{{}, start};
    for (std::uint64_t i = 0; i < 20; ++i) {
        const Slot slot = queue.publish(at(0), {.delay = ns(i % 2 == 0 ? 0 : 5)});
        CHECK(queue.number(slot) == start.number + i);
        CHECK(queue.core.place(slot).number == start.number + i);
    }
    CHECK(queue.core.stats().accepted == 20);
}

TEST_CASE("a message that only waits in line has no history, one with a time of its own has") {
    SoundCore queue;
    CHECK(queue.core.record(queue.publish()).history == none);
    const Slot delayed = queue.publish(at(3), {.delay = ns(4)});
    CHECK(queue.core.record(delayed).at == at(7));
    CHECK(queue.core.history(delayed).expires.is_never());
    const Slot mortal = queue.publish(at(3), {.life = ns(4)});
    CHECK(queue.core.history(mortal).expires == at(7));
    CHECK(queue.core.history(mortal).life == ns(4));
    CHECK(queue.core.attempts(mortal) == 0);
}

TEST_CASE("of delay and life that comes due which is first, at one instant the life [4.3]") {
    for (std::int64_t delay = 1; delay < 5; ++delay) {
        for (std::int64_t life = 1; life < 5; ++life) {
            SoundCore queue;
            queue.publish(at(0), {.delay = ns(delay), .life = ns(life)});
            const Due due = queue.core.next_due();
            CHECK(due.at == at(delay < life ? delay : life));
            CHECK(due.kind == (delay < life ? Due::delay : Due::life));
            CHECK(queue.pass(at(10)) == (delay < life ? 2 : 1));
            CHECK(queue.core.stats().expired == 1);
        }
    }
}

TEST_CASE("a delay for ever is never due, but the message can be purged") {
    SoundCore queue;
    queue.publish(at(0), {.delay = latchbox::Duration::never()});
    CHECK(queue.core.next_due().at.is_never());
    CHECK(queue.pass(latchbox::Instant::never()) == 0);
    CHECK(queue.core.stats().delayed == 1);
    CHECK(queue.core.purge(queue.effects) == 1);
    queue.collect();
}

TEST_CASE("who left is named once, in order, and his slot serves again [4.1]") {
    SoundCore queue;
    const Slot first = queue.publish();
    const Slot second = queue.publish();
    queue.core.cancel(second, queue.effects);
    queue.core.cancel(first, queue.effects);
    CHECK(queue.effects.gone.size() == 2);
    CHECK(queue.state(first) == State::vacant);
    CHECK(queue.core.vacant() == none);
    queue.collect();
    CHECK(queue.gone == std::vector<Slot>{second, first});
    CHECK(queue.number(first) == 0);
    CHECK(queue.core.vacant() == first);
}

// Dead ones by their deaths, then by rising priority and number.
using EvictionKey = std::tuple<int, std::uint64_t, std::uint64_t>;

Slot naive_candidate(const SoundCore& queue, const std::vector<Slot>& deaths) {
    Slot best = none;
    EvictionKey least{};
    for (Slot slot = 0; slot < queue.core.slot_count(); ++slot) {
        const auto& record = queue.core.record(slot);
        EvictionKey key{1, record.priority, queue.core.place(slot).number};
        if (record.state == State::dead) {
            std::uint64_t rank = 0;
            while (deaths[rank] != slot) { ++rank; }
            key = {0, rank, 0};
        } else if (record.state < State::blocked || record.state == State::leased) {
            continue;
        }
        if (best == none || key < least) { std::tie(best, least) = std::tuple{slot, key}; }
    }
    return best;
}

// Fills a queue in some way, brings everything back in some way, then evicts all there is.
void evict_all(latchbox::testing::Choices& choices, std::uint32_t messages) {
    SoundCore queue{{.capacity = messages, .overflow = latchbox::Overflow::drop_oldest}};
    for (std::uint32_t i = 0; i < messages; ++i) {
        const auto priority = static_cast<std::uint8_t>(choices.pick(2));
        switch (choices.pick(4)) {
            case 0: queue.publish(at(0), {.priority = priority}); break;
            case 1: queue.publish(at(0), {.priority = priority, .delay = ns(5)}); break;
            case 2: queue.publish_child(70, at(0), {.priority = priority}); break;
            default: queue.publish("tea", at(0), {.priority = priority});
        }
    }
    std::vector<Slot> held;
    while (queue.core.has_ready()) { held.push_back(queue.fetch()); }
    std::vector<Slot> deaths;
    for (; !held.empty(); held.pop_back()) {
        switch (choices.pick(4)) {
            case 0: queue.core.release(held.back(), at(0), queue.effects); break;
            case 1: queue.core.requeue(held.back(), ns(3), at(0), queue.effects); break;
            case 2: queue.core.abandon(held.back(), at(0), queue.effects); break;
            default:
                queue.core.reject(held.back(), {}, queue.effects);
                deaths.push_back(held.back());
        }
    }
    while (queue.core.held() != 0) {
        const Slot expected = naive_candidate(queue, deaths);
        queue.core.promise(messages - queue.core.held());
        queue.core.make_room(1, queue.effects);
        queue.core.redeem(messages - queue.core.held() - 1);
        queue.collect();
        REQUIRE(queue.gone.back() == expected);
        REQUIRE(queue.sound());
    }
    REQUIRE(queue.core.stats().evicted == messages);
}

TEST_CASE("evicted goes the oldest dead, then the oldest of the lowest priority [7.2]") {
    latchbox::testing::Exhaustive every;
    do { evict_all(every, 3); } while (every.next());
    for (std::uint64_t seed = 0; seed < 300; ++seed) {
        latchbox::testing::Seeded some{seed};
        evict_all(some, 12);
    }
}

TEST_CASE("room is made for as many as are asked for, and not for more [7.2] [4.12]") {
    for (std::size_t count = 0; count <= 4; ++count) {
        SoundCore queue{{.capacity = 4, .overflow = latchbox::Overflow::drop_oldest}};
        for (int i = 0; i < 3; ++i) { queue.publish(); }
        queue.core.make_room(count, queue.effects);
        queue.collect();
        CHECK(queue.core.stats().evicted == (count > 1 ? count - 1 : 0));
        CHECK(queue.core.held() + count <= 4);
    }
}

// --- lines of keys ---------------------------------------------------------------------------

using Slots = std::vector<Slot>;

constexpr std::uint32_t wait = 70;  // the board's number of a wait, which the core never looks at
constexpr latchbox::MessageId parent = latchbox::detail::IdParts::message(9, 4, 2);

// What the first of a key may be: it holds its line in all of these.
enum class Head { ready, leased, backing_off, delayed, delayed_requeue, blocked, blocked_delayed };
constexpr int heads = 7;

const latchbox::QueueOptions pausing = {.lease = ns(10), .backoff = {.first = ns(4)}};

Slot publish_head(SoundCore& queue, Head head) {
    switch (head) {
        case Head::delayed: return queue.publish("tea", at(0), {.delay = ns(5)});
        case Head::blocked:
        case Head::blocked_delayed:
            return queue.publish("tea", at(0),
                                 {.delay = ns(head == Head::blocked ? 0 : 5),
                                  .wait = wait,
                                  .verdict = Verdict::wait});
        default: break;
    }
    const Slot slot = queue.publish("tea");
    if (head == Head::ready) { return slot; }
    REQUIRE(queue.fetch() == slot);
    if (head == Head::backing_off) { queue.core.fail(slot, {}, at(0), queue.effects); }
    if (head == Head::delayed_requeue) { queue.core.requeue(slot, ns(5), at(0), queue.effects); }
    return slot;
}

TEST_CASE_TEMPLATE("the first of a key holds the others, whatever its state [5.7]", Start, FromOne,
                   NearTheEnd) {
    for (int i = 0; i < heads; ++i) {
        SoundCore queue{pausing, Start::start};
        const Slot head = publish_head(queue, Head{i});
        const State state = queue.state(head);
        const Slot second = queue.publish("tea");
        const Slot urgent = queue.publish("tea", at(0), {.priority = 9});
        const Slot other = queue.publish("cake");
        const Slot plain = queue.publish();
        CAPTURE(i);
        CHECK(queue.state(head) == state);
        CHECK(queue.state(second) == State::blocked);
        CHECK(queue.state(urgent) == State::blocked);
        CHECK(queue.state(other) == State::ready);
        CHECK(queue.state(plain) == State::ready);
        CHECK(queue.core.ahead_in_line(head) == 0);
        CHECK(queue.core.ahead_in_line(second) == 1);
        CHECK(queue.core.ahead_in_line(urgent) == 2);
        CHECK(queue.core.key(urgent) == "tea");
        CHECK(queue.core.key(other) == "cake");
        CHECK(queue.sound());
        // It is cancelled, unless it is leased: then it dies.
        if (state == State::leased) {
            queue.core.reject(head, {}, queue.effects);
        } else {
            queue.core.cancel(head, queue.effects);
        }
        queue.collect();
        // The key outranks priority.
        CHECK(queue.state(second) == State::ready);
        CHECK(queue.state(urgent) == State::blocked);
        CHECK(queue.order() == Slots{second, other, plain});
    }
}

// All ways by which the first of a key goes; those before `rejected` leave for good.
enum class Exit {
    acked,
    expired,
    came_back_expired,
    cancelled,
    evicted,
    rejected,
    failed,
    used_up,
    lease_ran_out,
    parent_died,
    beyond,
};
constexpr int exits = 11;

TEST_CASE_TEMPLATE("whichever way the first goes, the next of its key may go [5.7]", Start, FromOne,
                   NearTheEnd) {
    for (int i = 0; i < exits; ++i) {
        const Exit exit{i};
        const bool is_child = exit == Exit::parent_died;
        latchbox::QueueOptions options{.lease = ns(10), .max_failures = 1, .max_attempts = 1};
        if (exit == Exit::came_back_expired) { options.max_attempts = 0; }
        if (exit == Exit::beyond) { options.dead_capacity = 0; }
        if (exit == Exit::evicted) {
            options.capacity = 3, options.overflow = latchbox::Overflow::drop_oldest;
        }
        SoundCore queue{options, Start::start};
        const Slot head = queue.publish("tea", at(0),
                                        {.life = ns(6),
                                         .wait = is_child ? wait : none,
                                         .verdict = is_child ? Verdict::wait : Verdict::go});
        const Slot other = queue.publish();
        const Slot next = queue.publish("tea");
        const bool leases = exit == Exit::acked || exit == Exit::came_back_expired ||
                            (exit >= Exit::rejected && !is_child);
        if (leases) { REQUIRE(queue.fetch() == head); }
        CHECK(queue.state(next) == State::blocked);
        switch (exit) {
            case Exit::acked: queue.core.ack(head, queue.effects); break;
            case Exit::expired: queue.pass(at(6)); break;
            case Exit::came_back_expired: queue.core.release(head, at(6), queue.effects); break;
            case Exit::cancelled: queue.core.cancel(head, queue.effects); break;
            case Exit::evicted: queue.core.make_room(1, queue.effects); break;
            case Exit::rejected:
            case Exit::beyond: queue.core.reject(head, {}, queue.effects); break;
            case Exit::failed: queue.core.fail(head, {}, at(0), queue.effects); break;
            case Exit::used_up: queue.core.abandon(head, at(0), queue.effects); break;
            case Exit::lease_ran_out: queue.pass(at(10)); break;
            case Exit::parent_died:
                queue.core.judge(head, Verdict::die, parent, at(0), queue.effects);
                break;
        }
        queue.collect();
        CAPTURE(i);
        CHECK(queue.state(next) == State::ready);
        CHECK(queue.core.ahead_in_line(next) == 0);
        CHECK(queue.order() == Slots{other, next});
        const bool dies = exit >= Exit::rejected && exit != Exit::beyond;
        CHECK(queue.state(head) == (dies ? State::dead : State::vacant));
        if (dies) { CHECK(queue.core.key(head) == "tea"); }
        CHECK(queue.sound());
    }
}

TEST_CASE_TEMPLATE("who is first now goes at the place of its publish, or waits its delay [5.7]",
                   Start, FromOne, NearTheEnd) {
    for (std::int64_t now = 3; now < 8; ++now) {
        SoundCore queue{pausing, Start::start};
        const Slot head = queue.publish("tea");
        const Slot next = queue.publish("tea", at(0), {.delay = ns(5)});
        const Slot behind = queue.publish();
        queue.fetch();
        CHECK(queue.pass(at(now)) == 0);
        CHECK(queue.core.see(at(now)) == at(now));
        queue.core.ack(head, queue.effects);
        queue.collect();
        CHECK(queue.state(next) == (now < 5 ? State::delayed : State::ready));
        CHECK(queue.pass(at(5)) == (now < 5 ? 1 : 0));
        CHECK(queue.order() == Slots{next, behind});
    }
}

TEST_CASE_TEMPLATE("coming back the first keeps its line, at the back of the queue too [5.7]",
                   Start, FromOne, NearTheEnd) {
    for (int way = 0; way < 7; ++way) {
        SoundCore queue{pausing, Start::start};
        const Slot head = queue.publish("tea");
        const Slot next = queue.publish("tea");
        queue.fetch();
        switch (way) {
            case 0: queue.core.release(head, at(0), queue.effects); break;
            case 1: queue.core.requeue(head, {}, at(0), queue.effects); break;
            case 2: queue.core.requeue(head, ns(3), at(0), queue.effects); break;
            case 3: queue.core.abandon(head, at(0), queue.effects); break;
            case 4: queue.core.fail(head, {}, at(0), queue.effects); break;
            case 5: queue.core.take_back(head, at(0), queue.effects); break;
            default: CHECK(queue.pass(at(10)) == 1);
        }
        CHECK(queue.state(next) == State::blocked);
        CHECK(queue.core.ahead_in_line(next) == 1);
        queue.pass(at(10));
        CHECK(queue.order() == Slots{head});
    }
}

TEST_CASE_TEMPLATE("a gap in the middle is closed, however it came about [5.7]", Start, FromOne,
                   NearTheEnd) {
    for (int way = 0; way < 5; ++way) {
        SoundCore queue{{.capacity = 4, .overflow = latchbox::Overflow::drop_oldest}, Start::start};
        const Slot head = queue.publish("tea", at(0), {.priority = 5});
        const Slot middle =
            queue.publish("tea", at(0), {.life = ns(7), .wait = wait, .verdict = Verdict::wait});
        const Slot last = queue.publish("tea", at(0), {.priority = 3});
        CHECK(queue.core.ahead_in_line(last) == 2);
        switch (way) {
            case 0: queue.pass(at(7)); break;
            case 1: queue.core.cancel(middle, queue.effects); break;
            case 2: queue.core.make_room(2, queue.effects); break;
            case 3: queue.core.judge(middle, Verdict::die, parent, at(0), queue.effects); break;
            default:
                queue.core.judge(middle, Verdict::go, {}, at(0), queue.effects);
                CHECK(queue.state(middle) == State::blocked);
                queue.core.cancel(middle, queue.effects);
        }
        queue.collect();
        CHECK(queue.state(middle) == (way == 3 ? State::dead : State::vacant));
        CHECK(queue.core.ahead_in_line(last) == 1);
        CHECK(queue.state(last) == State::blocked);
        CHECK(queue.state(head) == State::ready);
        CHECK(queue.sound());
        queue.fetch();
        queue.core.ack(head, queue.effects);
        CHECK(queue.state(last) == State::ready);
        queue.collect();
    }
}

TEST_CASE_TEMPLATE("a redriven one joins the end of its line, and alone it goes at once [5.7]",
                   Start, FromOne, NearTheEnd) {
    SoundCore queue{pausing, Start::start};
    const Slot first = queue.publish("tea");
    const Slot second = queue.publish("tea");
    const Slot third = queue.publish("tea");
    queue.fetch();
    queue.core.reject(first, {}, queue.effects);
    queue.core.redrive(first, at(0));
    CHECK(queue.state(first) == State::blocked);
    CHECK(queue.core.ahead_in_line(first) == 2);
    CHECK(queue.core.ahead_in_line(second) == 0);
    for (const Slot slot : {second, third, first}) {
        REQUIRE(queue.fetch() == slot);
        queue.core.reject(slot, {}, queue.effects);
        CHECK(queue.sound());
    }
    // All are dead, and nobody stands in line: the last is the first.
    queue.core.redrive(third, at(0));
    CHECK(queue.state(third) == State::ready);
    queue.core.redrive(first, at(0), true);
    queue.core.redrive(second, at(0));
    // Held back by its parents again it stands nowhere, and holds up nobody.
    CHECK(queue.core.ahead_in_line(first) == 0);
    CHECK(queue.core.ahead_in_line(second) == 1);
    queue.fetch();
    queue.core.ack(third, queue.effects);
    CHECK(queue.state(first) == State::blocked);
    CHECK(queue.state(second) == State::ready);
    queue.core.judge(first, Verdict::go, {}, at(0), queue.effects);
    CHECK(queue.state(first) == State::blocked);
    CHECK(queue.core.ahead_in_line(first) == 1);
    queue.collect();
    queue.core.cancel(second, queue.effects);
    CHECK(queue.order() == Slots{first});
    queue.collect();
}

TEST_CASE_TEMPLATE("a redriven one passes a front that may be waiting for it [5.7] [5.6]", Start,
                   FromOne, NearTheEnd) {
    SoundCore queue{pausing, Start::start};
    const Slot first = queue.publish("tea");
    const Slot child = queue.publish("tea", at(0), {.wait = wait, .verdict = Verdict::wait});
    const Slot last = queue.publish("tea");
    queue.fetch();
    queue.core.reject(first, {}, queue.effects);
    CHECK(queue.state(child) == State::blocked);
    CHECK(queue.state(last) == State::blocked);
    queue.core.redrive(first, at(0));
    CHECK(queue.state(first) == State::ready);
    CHECK(queue.core.ahead_in_line(child) == 1);
    CHECK(queue.core.ahead_in_line(last) == 2);
    CHECK(queue.sound());
    // The child is let go while its parent is not quite gone, and waits its turn.
    queue.fetch();
    queue.core.judge(child, Verdict::go, {}, at(0), queue.effects);
    CHECK(queue.state(child) == State::blocked);
    queue.core.ack(first, queue.effects);
    CHECK(queue.state(child) == State::ready);
    CHECK(queue.state(last) == State::blocked);
    queue.collect();
}

TEST_CASE(
    "a member that parents let go waits for its turn, and one whose turn it is for them "
    "[5.4] [5.7]") {
    for (const bool parents_first : {false, true}) {
        SoundCore queue{pausing};
        const Slot head = queue.publish("tea");
        const Slot next = queue.publish("tea", at(0), {.wait = wait, .verdict = Verdict::wait});
        const auto judge = [&] { queue.core.judge(next, Verdict::go, {}, at(0), queue.effects); };
        queue.fetch();
        if (parents_first) { judge(); }
        CHECK(queue.state(next) == State::blocked);
        queue.core.ack(head, queue.effects);
        queue.collect();
        if (!parents_first) {
            CHECK(queue.state(next) == State::blocked);
            CHECK(queue.sound());
            judge();
        }
        CHECK(queue.state(next) == State::ready);
    }
}

TEST_CASE("one that is dead on arrival holds nobody [5.5] [5.7]") {
    SoundCore queue{pausing};
    const latchbox::detail::Wishes doomed{.wait = wait, .verdict = Verdict::die, .parent = parent};
    const Slot first = queue.publish("tea", at(0), doomed);
    CHECK(queue.state(first) == State::dead);
    const Slot second = queue.publish("tea");
    CHECK(queue.state(second) == State::ready);
    const Slot third = queue.publish("tea", at(0), doomed);
    CHECK(queue.state(third) == State::dead);
    const Slot fourth = queue.publish("tea");
    CHECK(queue.core.ahead_in_line(fourth) == 1);
    CHECK(queue.core.key(third) == "tea");
    CHECK(queue.core.purge_dead(queue.effects) == 2);
    queue.collect();
    CHECK(queue.core.ahead_in_line(fourth) == 1);
}

TEST_CASE("a purge takes a whole line, whoever is first meanwhile [5.7]") {
    for (const bool leased : {false, true}) {
        SoundCore queue{pausing};
        const Slot head = queue.publish("tea");
        for (int i = 0; i < 5; ++i) { queue.publish("tea"); }
        if (leased) { queue.fetch(); }
        CHECK(queue.core.purge(queue.effects) == (leased ? 5 : 6));
        queue.collect();
        CHECK(queue.core.held() == (leased ? 1 : 0));
        CHECK(queue.sound());
        if (leased) {
            const Slot next = queue.publish("tea");
            CHECK(queue.state(next) == State::blocked);
            queue.core.ack(head, queue.effects);
            queue.collect();
            CHECK(queue.state(next) == State::ready);
        }
    }
}

TEST_CASE("an empty key is no key: nobody waits for another [5.7]") {
    SoundCore queue{pausing};
    for (int i = 0; i < 3; ++i) { queue.publish(""); }
    CHECK(queue.core.stats().ready == 3);
    CHECK_FALSE(queue.core.has_history(0));
}

TEST_CASE("a new expiry of who is first now is kept: time finds it in its line [4.3] [5.7]") {
    SoundCore queue{pausing};
    queue.publish("tea", at(0), {.life = ns(5)});
    const Slot second = queue.publish("tea", at(0), {.delay = ns(3), .life = ns(5)});
    const Slot third = queue.publish("tea", at(0), {.delay = ns(5), .life = ns(9)});
    const Slot fourth = queue.publish("tea", at(0), {.delay = ns(8)});
    CHECK(queue.pass(at(4)) == 0);
    CHECK(queue.core.next_due().kind == Due::life);
    CHECK(queue.pass(at(5)) == 2);
    CHECK(queue.state(second) == State::vacant);
    CHECK(queue.state(third) == State::ready);
    CHECK(queue.pass(at(9)) == 1);
    CHECK(queue.order() == Slots{fourth});
}

// --- lines beside naive ones -----------------------------------------------------------------

// Any walk of a core with three keys, beside the members of each key in the order in which they
// joined.
class Lines {
public:
    Lines(latchbox::testing::Choices& choices, const latchbox::QueueOptions& options)
        : choices_{choices}, queue_{options, {.first_bits = 0}} {}

    void step() {
        now_ += choices_.pick(3) / 2;
        while (queue_.core.step(Due::last_at(at(now_)), queue_.effects)) {
            queue_.collect();
            sweep();
        }
        queue_.core.see(at(now_));
        switch (choices_.pick(6)) {
            case 0:
            case 1: publish(); break;
            case 2:
                if (queue_.core.has_ready()) { queue_.fetch(at(now_)); }
                break;
            case 3: settle(pick(State::leased)); break;
            case 4: judge(pick(State::blocked)); break;
            default: remove();
        }
        queue_.collect();
        sweep();
        check();
    }
    [[nodiscard]] const latchbox::QueueStats stats() const { return queue_.core.stats(); }

private:
    struct Member {
        Slot slot;
        bool redriven;
        bool active = false;
    };

    void publish() {
        const std::uint32_t key = choices_.pick(4);
        const std::int64_t delay = choices_.pick(2) * choices_.pick(6);
        latchbox::detail::Wishes wishes{.priority = static_cast<std::uint8_t>(choices_.pick(2)),
                                        .delay = ns(delay)};
        if (choices_.pick(3) == 0) { wishes.life = ns(delay + 1 + choices_.pick(8)); }
        const std::uint32_t fate = choices_.pick(5);
        if (fate >= 3) { wishes.wait = wait, wishes.parent = parent; }
        if (fate == 3) { wishes.verdict = Verdict::wait; }
        if (fate == 4) { wishes.verdict = Verdict::die; }
        const std::string text(key, 'k');
        const Slot slot = queue_.publish(text, at(now_), wishes);
        sweep();
        if (slot == none || queue_.state(slot) == State::vacant) { return; }
        held_back_[slot] = fate == 3;
        keys_[slot] = text;
        if (fate == 4 || key == 0) { return; }
        lines_[text].push_back({slot, false});
        advance(text);
    }
    void settle(Slot slot) {
        if (slot == none) { return; }
        auto& effects = queue_.effects;
        switch (choices_.pick(7)) {
            case 0: return queue_.core.ack(slot, effects);
            case 1: return queue_.core.release(slot, at(now_), effects);
            case 2: return queue_.core.requeue(slot, ns(choices_.pick(4)), at(now_), effects);
            case 3: return queue_.core.abandon(slot, at(now_), effects);
            case 4: return queue_.core.fail(slot, {}, at(now_), effects);
            case 5: return queue_.core.reject(slot, {}, effects);
            default: return queue_.core.take_back(slot, at(now_), effects);
        }
    }
    void judge(Slot slot) {
        if (slot == none || !held_back_[slot]) { return; }
        held_back_[slot] = false;
        const Verdict verdict = choices_.pick(3) == 0 ? Verdict::die : Verdict::go;
        queue_.core.judge(slot, verdict, parent, at(now_), queue_.effects);
        if (verdict == Verdict::go) { advance(keys_[slot]); }
    }
    void remove() {
        const Slot dead = pick(State::dead);
        switch (choices_.pick(12)) {
            case 0: queue_.core.purge(queue_.effects); return;
            case 1: queue_.core.purge_dead(queue_.effects); return;
            case 2:
            case 3:
            case 4: {
                const Slot slot = pick(State(choices_.pick(3) + 2));
                if (slot != none) { queue_.core.cancel(slot, queue_.effects); }
                return;
            }
            case 5:
                if (dead != none) { queue_.core.take_dead(dead, queue_.effects); }
                return;
            default: break;
        }
        if (dead == none) { return; }
        held_back_[dead] = queue_.core.ties(dead).wait != none && choices_.pick(2) == 0;
        queue_.core.redrive(dead, at(now_), held_back_[dead]);
        if (keys_[dead].empty()) { return; }
        lines_[keys_[dead]].push_back({dead, true});
        advance(keys_[dead]);
    }
    Slot pick(State state) {
        Slots found;
        for (Slot slot = 0; slot < queue_.core.slot_count(); ++slot) {
            if (queue_.state(slot) == state) { found.push_back(slot); }
        }
        return found.empty() ? none
                             : found[choices_.pick(static_cast<std::uint32_t>(found.size()))];
    }
    // Who left or died does not stand in line any more.
    void sweep() {
        for (auto& [key, line] : lines_) {
            const auto out = [this](const Member& m) {
                return queue_.state(m.slot) == State::vacant || queue_.state(m.slot) == State::dead;
            };
            line.erase(std::remove_if(line.begin(), line.end(), out), line.end());
            advance(key);
        }
    }
    // Whose turn it is if it is nobody's: the first, unless it is held back; else the first that
    // was redriven and is not.
    void advance(const std::string& key) {
        Member* next = nullptr;
        bool stuck = false;
        for (Member& m : lines_[key]) {
            if (m.active) { return; }
            const bool held_back = held_back_[m.slot];
            if (next == nullptr && !held_back && (m.redriven || !stuck)) { next = &m; }
            stuck = stuck || !m.redriven;
        }
        if (next != nullptr) { next->active = true; }
    }
    // How many go before the i-th: the active one, and whoever stands in line with a lower place.
    [[nodiscard]] std::size_t ahead(const std::vector<Member>& line, std::size_t i) {
        const auto stands = [this](const Member& m) { return !m.redriven || !held_back_[m.slot]; };
        if (line[i].active || !stands(line[i])) { return 0; }
        std::size_t count = 0;
        for (std::size_t j = 0; j < line.size(); ++j) {
            count += line[j].active || (j < i && stands(line[j])) ? 1U : 0U;
        }
        return count;
    }
    void check() {
        const char* const broken = queue_.core.audit();
        INFO(latchbox::testing::to_string(choices_.trace()), broken == nullptr ? "" : broken);
        REQUIRE(broken == nullptr);
        for (const auto& [key, line] : lines_) {
            for (std::size_t i = 0; i < line.size(); ++i) {
                const Slot slot = line[i].slot;
                REQUIRE(queue_.core.key(slot) == key);
                REQUIRE((queue_.state(slot) == State::blocked) == !line[i].active);
                REQUIRE(queue_.core.ahead_in_line(slot) == ahead(line, i));
            }
        }
        // Those without a key wait for their parents alone.
        for (Slot slot = 0; slot < queue_.core.slot_count(); ++slot) {
            if (queue_.state(slot) < State::blocked || queue_.state(slot) == State::dead) {
                continue;
            }
            if (!keys_[slot].empty()) {
                const auto& line = lines_[keys_[slot]];
                REQUIRE(std::count_if(line.begin(), line.end(),
                                      [slot](const Member& m) { return m.slot == slot; }) == 1);
            } else {
                REQUIRE((queue_.state(slot) == State::blocked) == held_back_[slot]);
            }
        }
        // And READY ones are delivered in the order of their places. [4.4]
        const Slots order = queue_.order();
        REQUIRE(order.size() >= queue_.core.in(State::ready));
        for (std::size_t i = 0; i < queue_.core.in(State::ready); ++i) {
            REQUIRE(queue_.core.ahead(order[i]) == i);
        }
    }

    latchbox::testing::Choices& choices_;
    support::BareCore queue_;
    std::int64_t now_ = 0;
    std::map<std::string, std::vector<Member>> lines_;  // in the order of their places
    std::map<Slot, bool> held_back_;
    std::map<Slot, std::string> keys_;
};

TEST_CASE("walks with keys, parents and all exits keep each line as a naive one [5.7]") {
    latchbox::QueueStats reached;
    for (std::uint64_t seed = 0; seed < 120; ++seed) {
        latchbox::testing::Seeded choices{seed};
        latchbox::QueueOptions options{.lease = ns(5), .capacity = 12};
        if (seed % 2 == 0) { options.overflow = latchbox::Overflow::drop_oldest; }
        if (seed % 3 == 0) { options.dead_capacity = seed % 4; }
        options.max_failures = seed % 5 == 0 ? 1 : 0;
        options.backoff = {.first = ns(static_cast<std::int64_t>(seed % 3))};
        Lines lines{choices, options};
        for (int i = 0; i < 250; ++i) { lines.step(); }
        reached += lines.stats();
    }
    for (const std::uint64_t count : {reached.completed, reached.expired, reached.purged,
                                      reached.evicted, reached.cancelled, reached.redriven}) {
        CHECK(count > 100);
    }
}

// --- outcomes --------------------------------------------------------------------------------

TEST_CASE_TEMPLATE("failures are remembered by id, the oldest is forgotten first [5.2]", Start,
                   FromOne, NearTheEnd) {
    using latchbox::Cause;
    using latchbox::MessageState;
    for (std::size_t memory = 0; memory < 4; ++memory) {
        const CoreStart start = Start::start;
        SoundCore queue{{.outcome_memory = memory}, start};
        const Slots slots = {queue.publish(), queue.publish(),
                             queue.publish(at(0), {.life = ns(3)}), queue.publish()};
        queue.core.cancel(slots[1], queue.effects);
        queue.fetch();
        queue.core.ack(slots[0], queue.effects);
        queue.pass(at(3));
        queue.core.purge(queue.effects);
        queue.collect();
        // Failed are 1, 2 and 3, in this order.
        const std::size_t forgotten = memory >= 3 ? 0 : 3 - memory;
        const Cause causes[] = {Cause::none, Cause::cancelled, Cause::expired, Cause::purged};
        for (std::size_t i = 0; i < 4; ++i) {
            const auto past = queue.core.issued().past(start.number + i);
            const bool known = i > forgotten || (i == 0 && forgotten == 0);
            CHECK(past.state == (!known   ? MessageState::forgotten
                                 : i == 0 ? MessageState::completed
                                          : MessageState::failed));
            CHECK(past.cause == (known ? causes[i] : Cause::none));
        }
        CHECK(queue.core.issued().past(start.number + 4).state == MessageState::never_issued);
        CHECK(queue.core.issued().room() <= memory);
    }
}

TEST_CASE("making room stops where only leases are left, however much is asked for [7.2]") {
    SoundCore queue{{.capacity = 3, .overflow = latchbox::Overflow::drop_oldest}};
    for (int i = 0; i < 3; ++i) { queue.publish(); }
    queue.fetch();
    CHECK_FALSE(queue.core.has_room(3));
    queue.core.make_room(3, queue.effects);
    queue.collect();
    CHECK(queue.core.stats().evicted == 2);
    CHECK(queue.core.in(State::leased) == 1);
    CHECK(queue.core.held() == 1);
}

TEST_CASE("to a queue that has ended comes nothing but what leaves at once [4.1]") {
    SoundCore queue;
    queue.core.end(queue.effects);
    queue.publish();
    queue.publish(at(0), {.delay = ns(5)});
    queue.collect();
    CHECK(queue.core.stats().purged == 2);
    CHECK(queue.core.held() == 0);
}

TEST_CASE("it dies on arrival by a parent alone, without any other wish [5.5]") {
    SoundCore queue;
    const auto blamed = latchbox::detail::IdParts::message(1, 2, 3);
    queue.grow(queue.core.of_histories(1));
    const Slot slot = queue.publish(at(0), {.verdict = Verdict::die, .parent = blamed});
    CHECK(queue.state(slot) == State::dead);
    CHECK(queue.core.history(slot).reason == latchbox::Reason{blamed});
}

TEST_CASE("each slot that came to be seen pays for one look, never for more than there are") {
    SoundCore queue;
    Slot slots[3];
    for (Slot& slot : slots) { slot = queue.reserve(); }
    CHECK_FALSE(queue.core.may_look());
    for (const Slot slot : slots) { queue.core.withdraw(slot, true); }
    int looks = 0;
    for (; queue.core.may_look(); ++looks) { queue.core.pass_over(); }
    CHECK(looks == 3);
    CHECK(queue.core.seen() == slots[0]);
    queue.core.pass_over();
    CHECK(queue.core.seen() == slots[1]);
    CHECK_FALSE(queue.core.may_look());
    // One is taken while each could still be looked at: what is left can be, and no more.
    queue.core.withdraw(queue.core.reserve_seen(), true);
    CHECK(queue.core.may_look());
    queue.core.withdraw(queue.core.reserve_seen(), false);
    for (int i = 0; i < 2; ++i) { queue.core.withdraw(queue.core.reserve_seen(), false); }
    CHECK_FALSE(queue.core.may_look());
    for (int i = 0; i < 3; ++i) { queue.core.withdraw(queue.core.reserve_vacant(), i != 0); }
    looks = 0;
    queue.core.withdraw(queue.core.reserve_seen(), true);
    for (; queue.core.may_look(); ++looks) { queue.core.pass_over(); }
    CHECK(looks == 2);
}

TEST_CASE("where nothing is dropped no room is made [7.2]") {
    SoundCore queue{{.capacity = 2}};
    queue.publish();
    queue.publish();
    queue.core.make_room(1, queue.effects);
    CHECK(queue.core.held() == 2);
    CHECK(queue.core.stats().evicted == 0);
}

TEST_CASE("a wait is kept though its parents let it go at once [5.4]") {
    SoundCore queue;
    const Slot slot = queue.publish(at(0), {.wait = 7, .verdict = Verdict::go});
    CHECK(queue.state(slot) == State::ready);
    REQUIRE(queue.core.has_history(slot));
    CHECK(queue.core.ties(slot).wait == 7);
    queue.core.purge(queue.effects);
    queue.collect();
    REQUIRE(queue.noted.size() == 1);
    CHECK(queue.noted[0].left_wait == 7);
}

TEST_CASE("one of a key whom nobody asked for leaves without a word [5.4] [5.7]") {
    SoundCore queue;
    const Slot slot = queue.publish("tea");
    queue.core.cancel(slot, queue.effects);
    CHECK_FALSE(queue.core.has_noted());
    CHECK_FALSE(queue.core.has_history(slot));
    queue.collect();
    CHECK(queue.noted.empty());
}

TEST_CASE("looks that were paid for are neither more nor fewer when a slot is taken") {
    SoundCore queue;
    Slot slots[3];
    for (Slot& slot : slots) { slot = queue.reserve(); }
    for (const Slot slot : slots) { queue.core.withdraw(slot, true); }
    SUBCASE("few are left of many slots") {
        queue.core.pass_over();
        queue.core.pass_over();
        queue.core.withdraw(queue.core.reserve_seen());
        REQUIRE(queue.core.may_look());
        queue.core.pass_over();
        CHECK_FALSE(queue.core.may_look());
    }
    SUBCASE("as many as there are slots") {
        queue.core.withdraw(queue.core.reserve_seen());
        queue.core.withdraw(queue.core.reserve_seen());
        REQUIRE(queue.core.may_look());
        queue.core.pass_over();
        CHECK_FALSE(queue.core.may_look());
    }
}

}  // namespace
