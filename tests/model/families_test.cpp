// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors

// Visits every state that a few messages, their parents and their keys can be in, over one queue or
// two, and tries every action in each. No threads: what a thread has begun and not finished - a
// publish that links itself to its parents one by one, latches that were set and whose children do
// not know yet, children taken by a batch and not judged yet - is part of the state, and every such
// thread may go on by one step wherever any other may act. `Bounds::stride` says how long a step
// is: at its shortest it ends wherever the shell takes or lets go of a lock, and at each edge.
//
// What is true of each message is kept beside: its parents, and how it stands with each. The board
// and the cores are held against that after every action.
//
// Messages come and go: how many are held at once is bounded, and where that would be too many
// states (`once`) how many there ever were. A parent relation is chosen with each publish, so one
// search visits all there are. Two states are the same if nothing that can still happen tells them
// apart: messages by the order of their publishes, places by rank, instants relative to now;
// threads have no names.

#include <array>
#include <bitset>
#include <compare>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/detail/latch_audit.hpp"
#include "latchbox/detail/latch_changes.hpp"
#include "latchbox/detail/linking.hpp"
#include "latchbox/detail/queue_audit.hpp"
#include "latchbox/detail/queue_transitions.hpp"
#include "latchbox/platform.hpp"

namespace {

using latchbox::Cause;
using latchbox::Duration;
using latchbox::Instant;
using latchbox::LatchState;
using latchbox::MessageId;
using latchbox::MessageState;
using latchbox::OnParentFailure;
using latchbox::Reason;
using latchbox::detail::Due;
using latchbox::detail::Effects;
using latchbox::detail::IdParts;
using latchbox::detail::LatchBoard;
using latchbox::detail::none;
using latchbox::detail::QueueCore;
using latchbox::detail::Slot;
using latchbox::detail::Verdict;
using latchbox::detail::Wishes;
using CoreState = latchbox::detail::State;

// Some of what is stepped through here is private. An explicit instantiation may name it.
template <class Tag, typename Tag::Type pointer> struct Open {
    friend typename Tag::Type member(Tag) { return pointer; }
};
struct Walk {
    using Type = bool (LatchBoard::*)(std::uint32_t, const LatchBoard::Work&, int&,
                                      LatchBoard::Batch&) noexcept;
    friend Type member(Walk);
};
struct Forget {
    using Type = void (LatchBoard::*)(std::uint32_t) noexcept;
    friend Type member(Forget);
};
struct LayDown {
    using Type = void (LatchBoard::*)(std::uint32_t, const LatchBoard::Work&) noexcept;
    friend Type member(LayDown);
};
struct Repeated {
    using Type = latchbox::detail::Array<std::uint32_t> (*)(const std::vector<MessageId>&);
    friend Type member(Repeated);
};
template struct Open<Walk, &LatchBoard::walk>;
template struct Open<Forget, &LatchBoard::forget>;
template struct Open<LayDown, &LatchBoard::lay_down>;
template struct Open<Repeated, &latchbox::detail::Linking<int, latchbox::Threads>::repeated>;

constexpr std::uint32_t gate_issuer = 99;  // queues issue as 1 and 2
constexpr Duration tick = Duration::nanoseconds(1);
Instant instant(std::int64_t at) { return Instant{Duration::nanoseconds(at)}; }

// The board's first chunks are made small: it is copied for every step.
template <class T> using Pool = latchbox::detail::Pool<T>;
template <class T> using Chunks = latchbox::detail::Chunks<T>;
struct Latches {
    using Type = Chunks<LatchBoard::Latch> Pool<LatchBoard::Latch>::*;
    friend Type member(Latches);
};
struct Edges {
    using Type = Chunks<LatchBoard::Edge> Pool<LatchBoard::Edge>::*;
    friend Type member(Edges);
};
struct Waits {
    using Type = Chunks<LatchBoard::Wait> Pool<LatchBoard::Wait>::*;
    friend Type member(Waits);
};
struct Gates {
    using Type = Chunks<LatchBoard::Gate> Pool<LatchBoard::Gate>::*;
    friend Type member(Gates);
};
template struct Open<Latches, &Pool<LatchBoard::Latch>::items_>;
template struct Open<Edges, &Pool<LatchBoard::Edge>::items_>;
template struct Open<Waits, &Pool<LatchBoard::Wait>::items_>;
template struct Open<Gates, &Pool<LatchBoard::Gate>::items_>;

struct Way {  // to publish
    std::size_t queue = 0;
    OnParentFailure policy = OnParentFailure::dead_letter;
    const char* key = "";
    Duration delay = {};
    Duration life = Duration::never();
};

enum Kind : std::uint8_t {
    publish,
    complete,  // lease and ack
    kill,      // lease and reject
    lease,
    ack,
    release,
    requeue,
    fail,
    reject,
    abandon,
    cancel,
    take_dead,
    redrive,
    purge,
    purge_dead,
    redrive_all,
    end,
    make_gate,
    count_down,
    fail_gate,
    let_go,
    time_passes,
    act_on_time,
    go_on,
};
constexpr const char* words[] = {"publish",     "complete", "kill",    "lease",     "ack",
                                 "release",     "requeue",  "fail",    "reject",    "abandon",
                                 "cancel",      "take",     "redrive", "purge",     "purge_dead",
                                 "redrive_all", "end",      "gate",    "countdown", "failgate",
                                 "letgo",       "tick",     "due",     "go on"};
constexpr std::uint32_t bit(Kind kind) { return std::uint32_t{1} << kind; }
// One way to each outcome.
constexpr std::uint32_t outcomes = bit(complete) | bit(kill) | bit(cancel) | bit(redrive) |
                                   bit(make_gate) | bit(count_down) | bit(fail_gate);
// Every way.
constexpr std::uint32_t every_verb = ~(bit(complete) | bit(kill) | bit(end) | bit(time_passes));

struct Bounds {
    std::string name;
    std::size_t messages = 4;  // held, or on their way in
    std::size_t queues = 1;
    latchbox::QueueOptions options = {
        .lease = Duration::never(), .max_failures = 1, .outcome_memory = 8};
    std::vector<Way> ways = {};
    std::size_t times = 4;  // so many may be held that came by the same way
    bool gates = false;     // one at a time
    bool past = false;      // also parents that failed and are gone
    std::size_t threads = 2;
    std::size_t deliveries = 1;  // out at once, per queue
    // How far a thread goes before others act: a round of the cascade, and a publish at once; or
    // from lock to lock: one parent, one batch, one child of it; or to each lock within a lock, and
    // one edge at a time.
    enum Stride : std::uint8_t { rounds, locks, edges } stride = locks;
    bool once = false;     // no more messages than these, ever, and one gate, of one child
    bool in_turn = false;  // the ways are taken in turn
    std::uint32_t verbs = outcomes;
};

// A parent of a message, and the truth about it.
struct Parent {
    MessageId id;
    LatchState state = LatchState::pending;
};
struct Held {
    MessageId id;
    std::uint8_t order = 0;  // of all publishes, as they began
    std::uint8_t way = 0;
    CoreState state = CoreState::reserved;
    std::uint8_t parent_count = 0;
    bool redriven = false;
    std::array<Parent, 6> parents = {};
    Instant due;
    Instant expires;
};

// A call that has let go of its locks, and is not done.
struct Thread {
    enum Phase : std::uint8_t {
        linking,     // to the parents from `at` on
        accepting,   // attached; it holds the queue
        redriving,   // asked the board; it holds the queue
        collecting,  // judged; it holds the queue, and has latches to set
        cascading,
    } phase = cascading;
    std::uint8_t queue = 0;
    std::uint8_t at = 0;
    std::uint32_t serial = 0;
    Held child;  // the message that is published
    std::uint32_t wait = none;
    Verdict verdict = Verdict::go;
    MessageId blame;
    Slot slot = none;
    Effects effects;  // of making room
    LatchBoard::Work work;
    LatchBoard::Work more;
    std::array<MessageId, 8> batch = {};
    std::uint32_t batch_count = 0;
    Instant now;

    [[nodiscard]] bool holds_queue() const {
        return phase == accepting || phase == redriving || phase == collecting;
    }
};

struct Node {
    std::vector<QueueCore> cores;
    LatchBoard board;
    std::vector<Held> held;  // in the order in which they were accepted
    std::vector<Thread> threads;
    std::array<bool, 2> ended = {};  // queues that were removed
    MessageId gate;                  // that somebody has in hand
    MessageId failed;                // the last one that failed and is gone
    bool gate_named = false;         // by some child
    latchbox::detail::Issued gates{8};
    std::int64_t now = 0;
    std::uint8_t order = 0;
    std::uint32_t serial = 0;
    // Latches that were set, and the thread that answers for that.
    std::vector<std::pair<MessageId, std::uint32_t>> set = {};
};

struct Action {
    Kind kind = publish;
    std::uint8_t queue = 0;    // or thread, or way
    std::uint8_t which = 0;    // in `held`
    std::uint8_t parents = 0;  // a set of those in `held`
    bool gate = false;
    bool past = false;
};

struct Hash {
    std::uint64_t a = 0x243f6a8885a308d3;
    std::uint64_t b = 0x13198a2e03707344;
    friend auto operator<=>(const Hash&, const Hash&) = default;
    void add(std::uint64_t value) {
        a = (a ^ value) * 0x9e3779b97f4a7c15;
        a ^= a >> 29;
        b = (b + value) * 0xff51afd7ed558ccd;
        b = (b << 31 | b >> 33) ^ a;
    }
};

// Of hashes; open addressing.
class Seen {
public:
    // False if it was there.
    bool insert(const Hash& hash) {
        if (2 * (size_ + 1) > table_.size()) { grow(); }
        Hash& place = find(hash);
        if (place == hash) { return false; }
        place = hash;
        ++size_;
        return true;
    }
    [[nodiscard]] std::size_t size() const { return size_; }

private:
    static constexpr Hash nothing = {0, 0};
    Hash& find(const Hash& hash) {
        std::size_t at = static_cast<std::size_t>(hash.a) & (table_.size() - 1);
        while (table_[at] != hash && table_[at] != nothing) { at = (at + 1) & (table_.size() - 1); }
        return table_[at];
    }
    void grow() {
        std::vector<Hash> old(table_.empty() ? 1024 : 4 * table_.size(), nothing);
        old.swap(table_);
        for (const Hash& hash : old) {
            if (hash != nothing) { find(hash) = hash; }
        }
    }
    std::vector<Hash> table_;
    std::size_t size_ = 0;
};

// --- what the shell does between cores and board ---------------------------------------------

QueueCore& core_of(Node& node, const MessageId& id) { return node.cores[IdParts::issuer(id) - 1]; }
const QueueCore& core_of(const Node& node, const MessageId& id) {
    return node.cores[IdParts::issuer(id) - 1];
}
Slot slot_of(const Node& node, const MessageId& id) {
    return core_of(node, id).find(IdParts::slot(id), IdParts::number(id));
}
void grow(QueueCore& core, const QueueCore::Shortage& lacking) {
    if (!lacking) { return; }
    QueueCore::Growth growth = core.make(lacking);
    core.adopt(growth);
}
template <class T> void grow(Pool<T>& pool) {
    if (pool.has_room()) { return; }
    auto chunk = pool.make(pool.next_chunk());
    pool.adopt(chunk);
}

// QueueShell::set_latches
void set_latches(QueueCore& core, LatchBoard& board, LatchBoard::Work& work) {
    while (core.has_noted()) {
        const QueueCore::Noted noted = core.take_noted();
        if (noted.latch != none) { board.set(noted.latch, noted.state, work); }
        if (noted.left_wait != none) { board.leave(noted.left_wait, work); }
    }
}
// QueueShell::collect
void collect(QueueCore& core, LatchBoard& board, Effects& effects, LatchBoard::Work& work) {
    if (core.has_noted()) { set_latches(core, board, work); }
    while (!effects.gone.empty()) { core.vacate(effects.gone.pop_front(core.records())); }
}
// Judging::latch_of
std::uint32_t latch_of(QueueCore& core, LatchBoard& board, std::uint32_t queue, Slot slot) {
    std::uint32_t latch = core.latch(slot);
    if (latch != none) { return latch; }
    grow(core, core.of_history(slot));
    grow(board.latches);
    const auto id = IdParts::message(queue, core.record(slot).number, slot);
    latch = board.make(id, core.latch_state(slot));
    core.watch(slot, latch);
    return latch;
}
// Linking::link_to_past
bool link_to_past(LatchBoard& board, std::uint32_t wait, const MessageId& parent,
                  MessageState past) {
    if (past != MessageState::failed) { return past == MessageState::completed; }
    board.lose(wait, parent);
    return true;
}
// Linking::link_to_message and link_to_gate; false: unknown_parent
bool link(Node& node, std::uint32_t wait, const MessageId& parent) {
    LatchBoard& board = node.board;
    grow(board.edges);
    if (IdParts::issuer(parent) == gate_issuer) {
        const std::uint32_t at = board.find_gate(parent);
        const auto past = node.gates.past(IdParts::number(parent));
        const bool pending = at != none && board.latches[at].state == LatchState::pending;
        if (!pending) { return link_to_past(board, wait, parent, past.state); }
        board.link(wait, at);
        return true;
    }
    QueueCore& core = core_of(node, parent);
    const Slot slot = slot_of(node, parent);
    if (slot == none) {
        return link_to_past(board, wait, parent, core.issued().past(IdParts::number(parent)).state);
    }
    board.link(wait, latch_of(core, board, IdParts::issuer(parent), slot));
    return true;
}
// Linking::attach
void attach(LatchBoard& board, const MessageId& child, Thread& thread) {
    thread.verdict = board.attach(thread.wait, child);
    thread.blame = thread.verdict == Verdict::die ? board.blame(thread.wait) : MessageId{};
    if (!board.is_over(thread.wait)) { return; }
    board.end(thread.wait);
    thread.wait = none;
}
// Latches::make_gate
MessageId make_gate_of(LatchBoard& board, latchbox::detail::Issued& gates) {
    grow(board.latches);
    grow(board.gates);
    if (!gates.has_room(board.gates.in_use() + 1)) {
        auto room = latchbox::detail::Issued::make(gates.wanted(board.gates.in_use() + 1));
        gates.adopt(room);
    }
    return board.make_gate(gate_issuer, gates.draw(), 1);
}
// Latches::note_failure
void note_failure(Node& node, bool failed, Cause cause) {
    if (failed) { node.gates.remember(IdParts::number(node.gate), cause); }
}
// Judging::judge_one
void judge_one(QueueCore& core, LatchBoard& board, const MessageId& child, Instant now,
               Effects& effects) {
    const Slot slot = core.find(IdParts::slot(child), IdParts::number(child));
    if (slot == none || core.record(slot).state != CoreState::blocked) { return; }
    const std::uint32_t wait = core.ties(slot).wait;
    if (wait == none) { return; }
    const Verdict verdict = board.verdict(wait);
    const MessageId parent = verdict == Verdict::die ? board.blame(wait) : MessageId{};
    core.judge(slot, verdict, parent, now, effects);
    if (!board.is_over(wait)) { return; }
    board.end(wait);
    core.forget_parents(slot);
}
// Cascade::absorb, and the first half of Cascade::step
void next_batch(LatchBoard& board, Thread& thread, LatchBoard::Batch& batch) {
    board.append(thread.work, std::exchange(thread.more, {}));
    board.next(thread.work, batch);
}
// The same, and LatchBoard::next in so many words, one step at a time.
void next_step(LatchBoard& board, Thread& thread, LatchBoard::Batch& batch) {
    LatchBoard::Work& work = thread.work;
    board.append(work, std::exchange(thread.more, {}));
    batch.count = 0;
    int steps = 1;
    for (; work.left != none; --steps) {
        if (steps == 0) { return; }
        LatchBoard::Wait& wait = board.waits[work.left];
        if (wait.first != none) {
            (board.*member(Forget{}))(wait.first);
        } else {
            board.waits.give(std::exchange(work.left, wait.next));
        }
    }
    while (work.taken != 0) {
        const std::uint32_t at = work.take[work.taken - 1];
        if (!(board.*member(Walk{}))(at, work, steps, batch)) { return; }
        --work.taken;
        (board.*member(LayDown{}))(at, work);
    }
    while (work.first != none) {
        const std::uint32_t at = work.first;
        if (!(board.*member(Walk{}))(at, work, steps, batch)) { return; }
        board.latches[at].listed = false;
        work.first = board.latches[at].next;
        (board.*member(LayDown{}))(at, work);
    }
}

// --- the search ------------------------------------------------------------------------------

class Search {
public:
    explicit Search(const Bounds& bounds) : bounds_{bounds} {}

    void run() {
        Node start;
        for (std::size_t i = 0; i < bounds_.queues; ++i) {
            start.cores.emplace_back(bounds_.options, latchbox::detail::CoreStart{.first_bits = 2});
            QueueCore& core = start.cores.back();
            grow(core, core.of_records());
            grow(core, core.of_histories(1));
        }
        LatchBoard& board = start.board;
        board.latches.*member(Latches{}) = Chunks<LatchBoard::Latch>{2};
        board.edges.*member(Edges{}) = Chunks<LatchBoard::Edge>{3};
        board.waits.*member(Waits{}) = Chunks<LatchBoard::Wait>{2};
        board.gates.*member(Gates{}) = Chunks<LatchBoard::Gate>{0};
        Pointer first = copy(start);
        visit(first, none, {});
        for (std::uint32_t at = 0; !frontier_.empty() && broken_.empty(); ++at) {
            Pointer node = std::move(frontier_.front());
            frontier_.pop_front();
            expand(*node, at);
            spare_.push_back(std::move(node));
        }
    }

    [[nodiscard]] std::size_t states() const { return seen_.size(); }
    [[nodiscard]] std::uint64_t transitions() const { return transitions_; }
    [[nodiscard]] const std::bitset<64>& relations() const { return relations_; }
    [[nodiscard]] const std::string& broken() const { return broken_; }

private:
    struct Came {
        std::uint32_t from;
        Action by;
    };

    using Pointer = std::unique_ptr<Node>;

    // Takes `node` if it is new.
    void visit(Pointer& node, std::uint32_t from, const Action& by) {
        if (!seen_.insert(key(*node))) { return; }
        frontier_.push_back(std::move(node));
        came_.push_back({from, by});
    }
    void expand(const Node& node, std::uint32_t at) {
        actions_.clear();
        list_actions(node);
        for (const Action& action : actions_) {
            Pointer next = copy(node);
            ++transitions_;
            now_ = &action;
            perform(*next, action);
            check(node, *next);
            const bool alone = bounds_.threads == 1 && bounds_.stride == Bounds::rounds;
            while (alone && broken_.empty() && !next->threads.empty()) {
                const Action rest{.kind = go_on};
                now_ = &rest;
                perform(*next, rest);
                check(node, *next);
            }
            if (!broken_.empty()) {
                broken_ += "; after: " + path(at) + text(action) + "; in: " + text(*next);
                return;
            }
            visit(next, at, action);
            if (next) { spare_.push_back(std::move(next)); }
        }
    }
    Pointer copy(const Node& node) {
        if (spare_.empty()) { return std::make_unique<Node>(node); }
        Pointer copied = std::move(spare_.back());
        spare_.pop_back();
        *copied = node;
        return copied;
    }

    // -- actions --------------------------------------------------------------------------------

    [[nodiscard]] bool wants(Kind kind) const { return (bounds_.verbs & bit(kind)) != 0; }
    [[nodiscard]] static bool is_locked(const Node& node, std::size_t queue) {
        for (const Thread& thread : node.threads) {
            if (thread.holds_queue() && thread.queue == queue) { return true; }
        }
        return false;
    }
    void add(Kind kind, std::size_t queue, std::size_t which = 0) {
        if (!wants(kind) && kind != go_on) { return; }
        actions_.push_back({kind, static_cast<std::uint8_t>(queue),
                            static_cast<std::uint8_t>(which), 0, false, false});
    }
    void list_actions(const Node& node) {
        std::size_t due_in = 0;
        const bool is_due = first_due(node, due_in).at <= instant(node.now);
        for (std::size_t i = 0; i < node.threads.size(); ++i) {
            const Thread& thread = node.threads[i];
            std::size_t queue = thread.queue;  // the one it has to lock, if it does not hold it
            bool locks = false;
            if (thread.phase == Thread::linking) {
                const bool links = thread.at < thread.child.parent_count;
                const MessageId& parent = thread.child.parents[thread.at].id;
                locks = !links || IdParts::issuer(parent) != gate_issuer;
                if (links && locks) { queue = IdParts::issuer(parent) - 1; }
            } else if (thread.phase == Thread::cascading && thread.batch_count != 0) {
                queue = IdParts::issuer(thread.batch[0]) - 1;
                locks = true;
            }
            const bool enters = thread.phase == Thread::linking && is_due;
            if (!enters && (!locks || !is_locked(node, queue))) { add(go_on, i); }
        }
        if (wants(time_passes)) { add(time_passes, 0); }
        // What is due is done by whoever comes first.
        if (is_due && node.threads.size() <= bounds_.threads && !is_locked(node, due_in)) {
            actions_.push_back({act_on_time});
        }
        if (is_due || node.threads.size() >= bounds_.threads) { return; }
        list_verbs(node);
        list_publishes(node);
        if (!bounds_.gates) { return; }
        if (node.gate == MessageId{}) {
            if (!bounds_.once || (node.gates.next() == 1 && node.order == 0)) { add(make_gate, 0); }
            return;
        }
        add(count_down, 0);
        add(fail_gate, 0);
        add(let_go, 0);
    }
    void list_verbs(const Node& node) {
        for (std::size_t queue = 0; queue < bounds_.queues; ++queue) {
            if (is_locked(node, queue) || node.ended[queue]) { continue; }
            const QueueCore& core = node.cores[queue];
            const bool lends = core.in(CoreState::leased) < bounds_.deliveries;
            if (core.has_ready() && lends) {
                add(complete, queue);
                add(kill, queue);
                add(lease, queue);
            }
            const std::size_t dead = core.in(CoreState::dead);
            if (core.held() - dead > core.in(CoreState::leased)) { add(purge, queue); }
            if (dead != 0) {
                add(purge_dead, queue);
                add(redrive_all, queue);
            }
            add(end, queue);
        }
        for (std::size_t i = 0; i < node.held.size(); ++i) {
            const std::size_t queue = IdParts::issuer(node.held[i].id) - 1;
            if (is_locked(node, queue)) { continue; }
            if (node.ended[queue]) {
                add(abandon, queue, i);
                continue;
            }
            if (node.held[i].state == CoreState::leased) {
                for (int kind = ack; kind <= abandon; ++kind) {
                    add(static_cast<Kind>(kind), queue, i);
                }
                continue;
            }
            add(cancel, queue, i);
            if (node.held[i].state != CoreState::dead) { continue; }
            add(take_dead, queue, i);
            add(redrive, queue, i);
        }
    }
    void list_publishes(const Node& node) {
        std::size_t there = node.held.size();
        for (const Thread& thread : node.threads) { there += is_coming(thread) ? 1U : 0U; }
        if (there >= bounds_.messages || (bounds_.once && node.order == bounds_.messages)) {
            return;
        }
        const bool gate = node.gate != MessageId{} && !(bounds_.once && node.gate_named);
        const bool past = bounds_.past && node.failed != MessageId{};
        for (std::size_t way = 0; way < bounds_.ways.size(); ++way) {
            if (count_of(node, way) >= bounds_.times) { continue; }
            if (bounds_.in_turn && node.order % bounds_.ways.size() != way) { continue; }
            if (node.ended[bounds_.ways[way].queue]) { continue; }
            const std::size_t sets = std::size_t{1} << node.held.size();
            for (std::size_t set = 0; set < sets; ++set) {
                for (unsigned more = 0; more < 4; ++more) {
                    if (((more & 1) != 0 && !gate) || ((more & 2) != 0 && !past)) { continue; }
                    const bool alone = set == 0 && more == 0;
                    if (alone && is_locked(node, bounds_.ways[way].queue)) { continue; }
                    actions_.push_back({publish, static_cast<std::uint8_t>(way), 0,
                                        static_cast<std::uint8_t>(set), (more & 1) != 0,
                                        (more & 2) != 0});
                }
            }
        }
    }
    static bool is_coming(const Thread& thread) {
        return thread.phase == Thread::linking || thread.phase == Thread::accepting;
    }
    static std::size_t count_of(const Node& node, std::size_t way) {
        std::size_t count = 0;
        for (const Held& held : node.held) { count += held.way == way ? 1U : 0U; }
        for (const Thread& thread : node.threads) {
            count += is_coming(thread) && thread.child.way == way ? 1U : 0U;
        }
        return count;
    }
    static Due first_due(const Node& node, std::size_t& queue) {
        Due first = Due::never();
        for (std::size_t i = 0; i < node.cores.size(); ++i) {
            if (const Due due = node.cores[i].next_due(); due < first) { first = due, queue = i; }
        }
        return first;
    }

    void perform(Node& node, const Action& action) {
        completed_ = leased_ = MessageId{};
        if (action.kind == go_on) {
            Thread& thread = node.threads[action.queue];
            acting_ = thread.serial;
            go_on_with(node, thread);
            while (bounds_.stride == Bounds::rounds && thread.batch_count != 0) {
                go_on_with(node, thread);
            }
            return tidy(node);
        }
        Thread thread;
        acting_ = thread.serial = ++node.serial;
        thread.now = instant(node.now);
        thread.queue = action.queue;
        switch (action.kind) {
            case publish: begin_publish(node, thread, action); break;
            case redrive: ask_board(node, thread, node.held[action.which].id); break;
            case make_gate:
                node.gate = make_gate_of(node.board, node.gates);
                node.gate_named = false;
                break;
            case count_down:
                node.board.count_down(node.board.find_gate(node.gate), 1, thread.work);
                break;
            case fail_gate: {
                const Reason reason{Cause::failed, "no"};
                const auto at = node.board.find_gate(node.gate);
                note_failure(node, node.board.fail_gate(at, reason, thread.work), Cause::failed);
                break;
            }
            case let_go: {
                const auto at = node.board.find_gate(node.gate);
                note_failure(node, node.board.let_go_of_gate(at, thread.work), Cause::abandoned);
                break;
            }
            case time_passes: ++node.now; break;
            case act_on_time: let_time_act(node, thread); break;
            default: act(node, thread, action); break;
        }
        node.threads.push_back(thread);
        Thread& now = node.threads.back();
        while ((bounds_.stride != Bounds::edges && now.holds_queue()) ||
               (bounds_.stride == Bounds::rounds && now.phase == Thread::linking)) {
            go_on_with(node, now);
        }
        tidy(node);
    }
    // Who has nothing left to do is gone.
    static void tidy(Node& node) {
        std::size_t kept = 0;
        for (std::size_t i = 0; i < node.threads.size(); ++i) {
            const Thread& thread = node.threads[i];
            const bool done = thread.phase == Thread::cascading && thread.work.empty() &&
                              thread.more.empty() && thread.batch_count == 0;
            if (done) { continue; }
            if (kept != i) { node.threads[kept] = node.threads[i]; }
            ++kept;
        }
        node.threads.resize(kept);
    }
    void act(Node& node, Thread& thread, const Action& action) {
        QueueCore& core = node.cores[action.queue];
        Effects effects;
        core.see(thread.now);
        grow(core, core.of_histories(1));
        if (action.kind <= lease) {
            const Slot slot = core.lease(thread.now);
            leased_ = IdParts::message(action.queue + 1U, core.record(slot).number, slot);
            const Kind then = action.kind == complete ? ack : reject;
            if (action.kind != lease) { settle(core, leased_, then, thread.now, effects); }
        } else if (action.kind == purge) {
            core.purge(effects);
        } else if (action.kind == purge_dead) {
            core.purge_dead(effects);
        } else if (action.kind == end) {
            core.end(effects);
            node.ended[action.queue] = true;
        } else if (action.kind == redrive_all) {
            redrive_all_of(node, thread, action.queue);
        } else {
            settle(core, node.held[action.which].id, action.kind, thread.now, effects);
        }
        collect(core, node.board, effects, thread.work);
    }
    void settle(QueueCore& core, const MessageId& id, Kind kind, Instant now, Effects& effects) {
        const Slot slot = core.find(IdParts::slot(id), IdParts::number(id));
        switch (kind) {
            case ack: completed_ = id, core.ack(slot, effects); break;
            case release: core.release(slot, now, effects); break;
            case requeue: core.requeue(slot, {}, now, effects); break;
            case fail: core.fail(slot, "no", now, effects); break;
            case reject: core.reject(slot, "bad", effects); break;
            case abandon: core.abandon(slot, now, effects); break;
            case cancel: core.cancel(slot, effects); break;
            case take_dead: core.take_dead(slot, effects); break;
            default: expect(false, "an action nobody performs"); break;
        }
    }
    // Removing::redrive_one, up to the core: what the board says now.
    void ask_board(Node& node, Thread& thread, const MessageId& id) {
        const QueueCore& core = core_of(node, id);
        thread.slot = slot_of(node, id);
        const std::uint32_t wait = core.ties(thread.slot).wait;
        thread.verdict = wait != none ? node.board.verdict_now(wait) : Verdict::go;
        thread.queue = static_cast<std::uint8_t>(IdParts::issuer(id) - 1);
        if (const Held* held = find(node, id); held != nullptr && !somebody_collects(node)) {
            expect(thread.verdict == truth(*held), "redrive: not as its parents are now [5.6]");
        }
        if (thread.verdict != Verdict::die) { thread.phase = Thread::redriving; }
    }
    // Removing::redrive_all
    void redrive_all_of(Node& node, Thread& thread, std::size_t queue) {
        for (std::size_t i = 0; i < node.held.size(); ++i) {
            const MessageId id = node.held[i].id;
            if (IdParts::issuer(id) - 1 != queue || node.held[i].state != CoreState::dead) {
                continue;
            }
            ask_board(node, thread, id);
            if (thread.phase != Thread::redriving) { continue; }
            node.cores[queue].redrive(thread.slot, thread.now, thread.verdict == Verdict::wait);
            check_done(node.cores[queue], thread);
            set_latches(node.cores[queue], node.board, thread.work);
            thread.phase = Thread::cascading;
            tell_children(node, id, LatchState::pending);
        }
    }
    // QueueShell::let_time_act, for one due thing
    static void let_time_act(Node& node, Thread& thread) {
        std::size_t queue = 0;
        const Due due = first_due(node, queue);
        QueueCore& core = node.cores[queue];
        Effects effects;
        core.step(Due::last_at(thread.now), effects);
        collect(core, node.board, effects, thread.work);
        thread.now = due.at;
    }

    // -- publishing -----------------------------------------------------------------------------

    void begin_publish(Node& node, Thread& thread, const Action& action) {
        const Way& way = bounds_.ways[action.queue];
        thread.queue = static_cast<std::uint8_t>(way.queue);
        Held& child = thread.child;
        child.way = action.queue;
        child.order = ++node.order;
        std::vector<MessageId> parents;
        if (action.past) { parents.push_back(node.failed); }
        for (std::size_t i = 0; i < node.held.size(); ++i) {
            if ((action.parents >> i & 1) != 0) { parents.push_back(node.held[i].id); }
        }
        if (action.gate) { parents.push_back(node.gate), node.gate_named = true; }
        if (parents.empty()) { return accept_alone(node, thread); }
        parents.push_back(parents.front());  // twice, to be looked at once
        const auto named_before = member(Repeated{})(parents);
        for (std::size_t i = 0; i < parents.size(); ++i) {
            if (named_before[i] != 0) { continue; }
            child.parents[child.parent_count++] = {parents[i], state_of(node, parents[i])};
        }
        expect(child.parent_count + 1U == parents.size(), "P3: duplicates do not count once [5.1]");
        grow(node.board.waits);
        thread.wait = node.board.begin(way.policy);
        thread.phase = Thread::linking;
    }
    // How it stands with a parent that may be named.
    static LatchState state_of(const Node& node, const MessageId& id) {
        if (id == node.gate) { return node.board.latches[node.board.find_gate(id)].state; }
        const Held* const held = find(node, id);
        if (held == nullptr) { return LatchState::failed; }
        return held->state == CoreState::dead ? LatchState::dead : LatchState::pending;
    }
    void accept_alone(Node& node, Thread& thread) {
        thread.slot = reserve(node, thread);
        if (thread.slot == none) { return; }
        accept(node, thread);
    }
    // Publishing::reserve, and make_room as Publishing::accept begins.
    static Slot reserve(Node& node, Thread& thread) {
        QueueCore& core = node.cores[thread.queue];
        thread.now = instant(node.now);
        core.see(thread.now);
        if (node.ended[thread.queue]) { return none; }
        if (!core.has_room(1)) {
            core.refuse(1);
            return none;
        }
        grow(core, core.of_outcomes(1));
        grow(core, core.of_histories(1));
        grow(core, core.of_lines());
        if (core.vacant() == none && !core.has_fresh()) { grow(core, core.of_records()); }
        const Slot slot = core.vacant() != none ? core.reserve_vacant() : core.reserve_fresh();
        core.make_room(0, thread.effects);
        return slot;
    }
    void accept(Node& node, Thread& thread) {
        QueueCore& core = node.cores[thread.queue];
        const Way& way = bounds_.ways[thread.child.way];
        Wishes wishes;
        wishes.delay = way.delay;
        wishes.life = way.life;
        wishes.wait = thread.wait;
        wishes.verdict = thread.verdict;
        wishes.parent = thread.blame;
        std::string text = way.key;
        wishes.key = way.key;
        wishes.key_text = &text;
        Effects& effects = thread.effects;
        const std::uint64_t number = core.accept(thread.slot, wishes, thread.now, effects);
        check_done(core, thread);
        Held& child = thread.child;
        child.id = IdParts::message(thread.queue + 1U, number, thread.slot);
        child.due = thread.now + way.delay;
        child.expires = thread.now + way.life;
        note_relation(node, thread);
        node.held.push_back(child);
        collect(core, node.board, effects, thread.work);
        thread.phase = Thread::cascading;
    }

    // -- going on -------------------------------------------------------------------------------

    void go_on_with(Node& node, Thread& thread) {
        switch (thread.phase) {
            case Thread::linking:
                if (thread.at < thread.child.parent_count) { return link_next(node, thread); }
                thread.slot = reserve(node, thread);
                if (thread.slot == none) { return give_up(node, thread); }
                attach_child(node, thread);
                thread.phase = Thread::accepting;
                if (bounds_.stride != Bounds::edges) { accept(node, thread); }
                return;
            case Thread::accepting: return accept(node, thread);
            case Thread::redriving: {
                QueueCore& core = node.cores[thread.queue];
                core.redrive(thread.slot, thread.now, thread.verdict == Verdict::wait);
                check_done(core, thread);
                set_latches(core, node.board, thread.work);
                thread.phase = Thread::cascading;
                return;
            }
            case Thread::collecting: {
                Effects effects;
                collect(node.cores[thread.queue], node.board, effects, thread.more);
                thread.phase = Thread::cascading;
                return;
            }
            case Thread::cascading: break;
        }
        if (thread.batch_count != 0) { return judge_next(node, thread); }
        LatchBoard::Batch batch;
        if (bounds_.stride == Bounds::edges) {
            next_step(node.board, thread, batch);
        } else {
            next_batch(node.board, thread, batch);
        }
        thread.batch_count = batch.count;
        for (std::uint32_t i = 0; i < batch.count; ++i) { thread.batch[i] = batch.children[i]; }
    }
    void link_next(Node& node, Thread& thread) {
        const MessageId parent = thread.child.parents[thread.at++].id;
        if (!link(node, thread.wait, parent)) { give_up(node, thread); }
    }
    // ~Linking
    static void give_up(Node& node, Thread& thread) {
        node.board.leave(std::exchange(thread.wait, none), thread.work);
        thread.phase = Thread::cascading;
        thread.child = Held{};
    }
    void attach_child(Node& node, Thread& thread) {
        QueueCore& core = node.cores[thread.queue];
        const MessageId id = IdParts::message(thread.queue + 1U, core.issued().next(), thread.slot);
        attach(node.board, id, thread);
        check_verdict(node, thread.child, thread.verdict, thread.wait, thread.blame);
    }
    // Judging::judge, one child at a time. What dies by that has a latch to be set.
    void judge_next(Node& node, Thread& thread) {
        const MessageId child = thread.batch[0];
        for (std::uint32_t i = 1; i < thread.batch_count; ++i) {
            thread.batch[i - 1] = thread.batch[i];
        }
        thread.batch[--thread.batch_count] = MessageId{};
        QueueCore& core = core_of(node, child);
        const Instant due = core.next_due().at;
        Effects effects;
        const Held* const held = find(node, child);
        if (held != nullptr && held->state == CoreState::blocked) {
            const std::uint32_t wait = core.ties(slot_of(node, child)).wait;
            if (wait != none) {
                check_verdict(node, *held, node.board.verdict(wait), wait, node.board.blame(wait));
            }
        }
        judge_one(core, node.board, child, thread.now < due ? thread.now : due, effects);
        thread.queue = static_cast<std::uint8_t>(IdParts::issuer(child) - 1);
        if (bounds_.stride == Bounds::edges && effects.gone.empty() && core.has_noted()) {
            thread.phase = Thread::collecting;
            return;
        }
        collect(core, node.board, effects, thread.more);
    }

    // -- checks ---------------------------------------------------------------------------------

    bool expect(bool holds, const char* what) {
        if (!holds && broken_.empty()) { broken_ = what; }
        return holds;
    }
    static const Held* find(const Node& node, const MessageId& id) {
        for (const Held& held : node.held) {
            if (held.id == id) { return &held; }
        }
        return nullptr;
    }
    [[nodiscard]] OnParentFailure policy(const Held& held) const {
        return bounds_.ways[held.way].policy;
    }
    // [5.5], word by word.
    [[nodiscard]] Verdict truth(const Held& held) const {
        bool any[4] = {};
        for (std::size_t i = 0; i < held.parent_count; ++i) {
            any[static_cast<std::size_t>(held.parents[i].state)] = true;
        }
        const bool pending = any[0];
        const bool dead = any[2];
        const bool failed = any[3];
        switch (policy(held)) {
            case OnParentFailure::dead_letter:
                if (dead || failed) { return Verdict::die; }
                break;
            case OnParentFailure::hold:
                if (failed) { return Verdict::die; }
                if (dead) { return Verdict::wait; }
                break;
            case OnParentFailure::deliver: break;
        }
        return pending ? Verdict::wait : Verdict::go;
    }
    static bool somebody_collects(const Node& node) {
        for (const Thread& thread : node.threads) {
            if (thread.holds_queue()) { return true; }
        }
        return false;
    }
    // P1: it goes only if its policy lets it, and dies of one that is to blame. A parent that was
    // dead still is, as long as nobody has told.
    void check_verdict(const Node& node, const Held& child, Verdict verdict, std::uint32_t wait,
                       const MessageId& blame) {
        if (verdict == Verdict::wait) { return; }
        Held seen = child;
        for (std::size_t i = 0; i < seen.parent_count; ++i) {
            Parent& parent = seen.parents[i];
            if (counts_as_dead(node, wait, parent.id)) { parent.state = LatchState::dead; }
        }
        expect(verdict == truth(seen), verdict == Verdict::go
                                           ? "P1: its parents do not let it go [5.1] [5.5]"
                                           : "P1: it dies, and no parent is to blame [5.5]");
        if (verdict == Verdict::go) { return; }
        Held alone = seen;
        alone.parent_count = 1;
        bool guilty = false;
        for (std::size_t i = 0; i < seen.parent_count; ++i) {
            alone.parents[0] = seen.parents[i];
            if (seen.parents[i].id == blame) { guilty = truth(alone) == Verdict::die; }
        }
        expect(guilty, "the reason names a parent that is not to blame [5.5]");
    }
    // P1: accepted or redriven as the board said; only its key may keep back one that may go.
    void check_done(const QueueCore& core, const Thread& thread) {
        const CoreState state = core.record(thread.slot).state;
        const bool blocked = state == CoreState::blocked;
        const bool gone = state == CoreState::vacant;  // dead, and no room for the dead
        const bool keyed = core.has_history(thread.slot) && core.ties(thread.slot).line != none;
        switch (thread.verdict) {
            case Verdict::wait: expect(blocked, "P1: it should wait, and does not [5.1]"); break;
            case Verdict::go:
                expect(keyed || (!blocked && state != CoreState::dead),
                       "P1: it may go, and does not [5.4]");
                break;
            case Verdict::die:
                expect(gone || state == CoreState::dead, "P1: it should die, and lives [5.5]");
                break;
        }
    }
    static bool counts_as_dead(const Node& node, std::uint32_t wait, const MessageId& parent) {
        if (wait == none) { return false; }
        const LatchBoard& board = node.board;
        for (std::uint32_t edge = board.waits[wait].first; edge != none;
             edge = board.edges[edge].next) {
            const LatchBoard::Latch& latch = board.latches[board.edges[edge].latch];
            if (latch.id == parent) {
                return latch.works != 0 && board.edges[edge].seen == LatchState::dead;
            }
        }
        return false;
    }
    void note_relation(const Node& node, const Thread& thread) {
        if (node.held.size() + 1 != bounds_.messages || bounds_.messages != 4) { return; }
        relations_.set(parents_in(node, node.held[1]) | parents_in(node, node.held[2]) << 1 |
                       parents_in(node, thread.child) << 3);
    }
    // Which of those that are held are its parents.
    static std::size_t parents_in(const Node& node, const Held& child) {
        std::size_t set = 0;
        for (std::size_t i = 0; i < child.parent_count; ++i) {
            for (std::size_t j = 0; j < node.held.size(); ++j) {
                if (node.held[j].id == child.parents[i].id) { set |= std::size_t{1} << j; }
            }
        }
        return set;
    }

    void check(const Node& before, Node& node) {
        if (!broken_.empty()) { return; }
        see_what_happened(node);
        check_gate(before, node);
        if (const char* found = node.board.audit()) { expect(false, found); }
        for (std::size_t queue = 0; queue < node.cores.size(); ++queue) {
            if (is_locked(node, queue)) { continue; }
            const char* const found = node.cores[queue].audit();
            if (found == nullptr) { continue; }
            // A cascade may act at the very instant at which something is due here, before that.
            const bool late = std::string_view{found} == "a lease outlived its deadline" &&
                              node.cores[queue].next_due().at <= instant(node.now);
            expect(late, found);
        }
        check_latches(before, node);
        check_returned(node);
        check_waits(node);
        check_lines(before, node);
        const bool quiet = node.threads.empty();
        if (quiet) { check_quiet(node); }
    }
    // Brings the truth up to what the cores say, and judges the steps it took.
    void see_what_happened(Node& node) {
        for (std::size_t i = 0; i < node.held.size();) {
            Held& held = node.held[i];
            const Slot slot = slot_of(node, held.id);
            if (slot == none) {
                see_leave(node, held);
                node.held.erase(node.held.begin() + static_cast<std::ptrdiff_t>(i));
                continue;
            }
            const CoreState state = core_of(node, held.id).record(slot).state;
            if (state != held.state) { see_change(node, held, slot, state); }
            ++i;
        }
    }
    void see_leave(Node& node, const Held& held) {
        const bool completed = held.id == completed_;
        const auto past = core_of(node, held.id).issued().past(IdParts::number(held.id));
        expect(past.state == (completed ? MessageState::completed : MessageState::failed) ||
                   past.state == MessageState::forgotten,
               "P5: gone, and its outcome is another [5.2]");
        tell_children(node, held.id, completed ? LatchState::completed : LatchState::failed);
        if (!completed) { node.failed = held.id; }
    }
    void see_change(Node& node, Held& held, Slot slot, CoreState state) {
        CoreState was = std::exchange(held.state, state);
        if (held.id == leased_ && state != CoreState::leased) { was = CoreState::leased; }
        const bool waits = state == CoreState::ready || state == CoreState::delayed;
        if (state == CoreState::dead) {
            tell_children(node, held.id, LatchState::dead);
            const Reason& reason = core_of(node, held.id).history(slot).reason;
            expect((reason.cause() == Cause::parent_failed) == (was != CoreState::leased),
                   "C4: dead, and another reason than its parents or its consumer [3]");
            bool its_own = reason.cause() != Cause::parent_failed;
            for (std::size_t i = 0; i < held.parent_count; ++i) {
                its_own = its_own || held.parents[i].id == reason.parent();
            }
            expect(its_own, "dead of a parent that is not its own [5.5]");
            return;
        }
        if (was == CoreState::dead) {
            tell_children(node, held.id, LatchState::pending);
            held.redriven = true;
            held.due = instant(node.now);
            held.expires = instant(node.now) + bounds_.ways[held.way].life;
        }
        expect(was != CoreState::leased || waits, "C4: a lease ended in no state of [3]");
        expect(state != CoreState::leased || was == CoreState::ready, "C4: leased, and not ready");
        expect(state != CoreState::blocked || was == CoreState::dead || was == CoreState::reserved,
               "C4: blocked once more [3]");
        // What a redrive found is judged when it asks; else parents are completed for good.
        const bool first = was == CoreState::blocked || was == CoreState::reserved;
        if (waits && first && policy(held) != OnParentFailure::deliver) {
            expect(truth(held) == Verdict::go, "P1: on its way before its parents completed");
        }
        if (waits && first) {
            const bool early = instant(node.now) < held.due;
            expect(!early || state == CoreState::delayed, "before its delay is over [3]");
        }
    }
    void tell_children(Node& node, const MessageId& id, LatchState state) {
        std::size_t at = 0;
        while (at < node.set.size() && node.set[at].first != id) { ++at; }
        if (at == node.set.size()) { node.set.emplace_back(); }
        node.set[at] = {id, acting_};
        const auto tell = [&](Held& child) {
            for (std::size_t i = 0; i < child.parent_count; ++i) {
                Parent& parent = child.parents[i];
                if (parent.id == id) { parent.state = state; }
            }
        };
        for (Held& child : node.held) { tell(child); }
        for (Thread& thread : node.threads) { tell(thread.child); }
    }
    void check_gate(const Node& before, Node& node) {
        if (node.gate == MessageId{}) { return; }
        const std::uint32_t at = node.board.find_gate(node.gate);
        const MessageState past = node.gates.past(IdParts::number(node.gate)).state;
        LatchState state = at != none ? node.board.latches[at].state : LatchState::pending;
        if (at == none || state != LatchState::pending) {
            const bool failed = past == MessageState::failed;
            const LatchState told = failed ? LatchState::failed : LatchState::completed;
            expect(at == none || state == told, "a gate whose past is another [5.2]");
            state = told;
        }
        const bool decides = now_->kind == count_down || now_->kind == fail_gate;
        expect(now_->kind == let_go || at != none, "a gate in hand is gone");
        expect((!decides && now_->kind != let_go) || state != LatchState::pending,
               "a gate that should be decided, and is shut");
        const std::uint32_t was = before.board.find_gate(node.gate);
        const bool shut = was != none && before.board.latches[was].state == LatchState::pending;
        if (shut && state != LatchState::pending) { tell_children(node, node.gate, state); }
        if (now_->kind == let_go) { node.gate = MessageId{}; }
    }
    // P4, C5: a latch says what is true of its message, and only changes as it may.
    void check_latches(const Node& before, const Node& node) {
        for (const Held& held : node.held) {
            const QueueCore& core = core_of(node, held.id);
            if (is_locked(node, IdParts::issuer(held.id) - 1)) { continue; }
            const std::uint32_t latch = core.latch(slot_of(node, held.id));
            if (latch == none) { continue; }
            expect(node.board.latches[latch].id == held.id, "P4: another message's latch");
            const bool dead = held.state == CoreState::dead;
            expect(
                node.board.latches[latch].state == (dead ? LatchState::dead : LatchState::pending),
                "P4: a latch that does not know its message's state [5.4]");
        }
        for (std::uint32_t at = 0; at < before.board.latches.used(); ++at) {
            const LatchBoard::Latch& was = before.board.latches[at];
            const LatchBoard::Latch& is = node.board.latches[at];
            if (was.id != is.id || was.state == is.state) { continue; }
            const bool pending = was.state == LatchState::pending;
            const bool dead = was.state == LatchState::dead;
            expect(pending || (dead && is.state != LatchState::completed),
                   "C5: a latch changed that was decided [5.3]");
        }
    }
    // P4: who has set a latch has told its children before he returns, unless another set it again.
    void check_returned(Node& node) {
        const LatchBoard& board = node.board;
        std::size_t kept = 0;
        for (const auto& [id, serial] : node.set) {
            bool at_it = false;
            for (const Thread& thread : node.threads) { at_it |= thread.serial == serial; }
            if (at_it) {
                node.set[kept++] = {id, serial};
                continue;
            }
            for (std::uint32_t at = 0; at < board.latches.used(); ++at) {
                const LatchBoard::Latch& latch = board.latches[at];
                if (latch.id != id) { continue; }
                for (std::uint32_t edge = latch.first; edge != none;
                     edge = board.edges[edge].next_child) {
                    // Of a child that left nobody cares.
                    const bool left = name_of_wait(node, board.edges[edge].wait) == nobody;
                    expect(left || board.edges[edge].seen == latch.state,
                           "P4: a call returned, and a child was not told [5.4]");
                }
            }
        }
        node.set.resize(kept);
    }
    // P3: one edge for each parent that is not decided, and nobody's edges or waits.
    void check_waits(const Node& node) {
        std::size_t waits = 0;
        for (const Held& held : node.held) {
            const QueueCore& core = core_of(node, held.id);
            const Slot slot = slot_of(node, held.id);
            const std::uint32_t wait = core.has_history(slot) ? core.ties(slot).wait : none;
            if (wait == none) {
                expect(!is_tied(held), "P3: its parents are not known [5.4]");
                continue;
            }
            ++waits;
            expect(node.board.waits[wait].child == held.id, "P3: another message's wait");
            check_edges(node, held, wait);
        }
        for (const Thread& thread : node.threads) {
            waits += is_coming(thread) && thread.wait != none ? 1U : 0U;
            for (const LatchBoard::Work* work : {&thread.work, &thread.more}) {
                for (std::uint32_t at = work->left; at != none; at = node.board.waits[at].next) {
                    ++waits;
                }
            }
        }
        expect(waits == node.board.waits.in_use(), "waits that nobody knows");
    }
    [[nodiscard]] bool is_tied(const Held& held) const {
        const bool delivers = policy(held) == OnParentFailure::deliver;
        for (std::size_t i = 0; i < held.parent_count; ++i) {
            const LatchState state = held.parents[i].state;
            const bool over =
                state == LatchState::completed || (delivers && state == LatchState::failed);
            if (!over) { return true; }
        }
        return false;
    }
    void check_edges(const Node& node, const Held& held, std::uint32_t wait) {
        const LatchBoard& board = node.board;
        std::array<unsigned, 6> edges = {};
        for (std::uint32_t at = board.waits[wait].first; at != none; at = board.edges[at].next) {
            std::size_t i = 0;
            while (i < held.parent_count &&
                   held.parents[i].id != board.latches[board.edges[at].latch].id) {
                ++i;
            }
            if (!expect(i < held.parent_count, "P3: an edge to no parent")) { return; }
            expect(++edges[i] == 1, "P3: two edges to one parent [5.1]");
        }
        for (std::size_t i = 0; i < held.parent_count; ++i) {
            const LatchState state = held.parents[i].state;
            const bool decided = state == LatchState::completed || state == LatchState::failed;
            expect(decided || edges[i] == 1, "P3: no edge to a parent that is not decided [5.4]");
        }
    }
    [[nodiscard]] bool same_key(const Held& a, const Held& b) const {
        const char* const key = bounds_.ways[a.way].key;
        return key[0] != 0 && key[0] == bounds_.ways[b.way].key[0] &&
               IdParts::issuer(a.id) == IdParts::issuer(b.id);
    }
    static bool is_active(const Held& held) {
        return held.state == CoreState::ready || held.state == CoreState::delayed ||
               held.state == CoreState::leased;
    }
    static bool is_held_back(const Node& node, const Held& held) {
        return core_of(node, held.id).ties(slot_of(node, held.id)).held_back;
    }
    static std::uint64_t place(const Node& node, const Held& held) {
        return core_of(node, held.id).place(slot_of(node, held.id)).number;
    }
    static bool in_line(const Node& node, const Held& held) {
        if (held.state == CoreState::dead) { return false; }
        return is_active(held) || !held.redriven || !is_held_back(node, held);
    }
    // Whether it would be its turn if it was nobody's: all before it since their publish, and none
    // that was redriven, hold it up.
    [[nodiscard]] bool may_go(const Node& node, const Held& held) const {
        if (held.state != CoreState::blocked || is_held_back(node, held)) { return false; }
        for (const Held& other : node.held) {
            const bool before = same_key(held, other) && other.state == CoreState::blocked &&
                                !other.redriven && place(node, other) < place(node, held);
            if (before && !held.redriven) { return false; }
        }
        return true;
    }
    // O4: one of a key is on its way, and it is the one whose turn it was.
    void check_lines(const Node& before, const Node& node) {
        for (const Held& held : node.held) {
            if (is_locked(node, IdParts::issuer(held.id) - 1)) { continue; }
            if (!same_key(held, held)) { continue; }
            const Held* const was = find(before, held.id);
            const bool started = is_active(held) && (was == nullptr || !is_active(*was));
            std::size_t ahead = 0;
            bool busy = false;
            for (const Held& other : node.held) {
                if (&other == &held || !same_key(held, other) || !in_line(node, other)) {
                    continue;
                }
                const bool lower = place(node, other) < place(node, held);
                ahead += lower || is_active(other) ? 1U : 0U;
                busy = busy || is_active(other);
                expect(!started || !lower || !may_go(node, other),
                       "O4: it was another's turn [5.7]");
            }
            expect(!busy || !is_active(held), "O4: two of one key on their way [5.7]");
            expect(busy || !may_go(node, held), "O4: nobody of its key goes [5.7]");
            if (held.state != CoreState::blocked) { continue; }
            if (!in_line(node, held)) { ahead = 0; }
            expect(core_of(node, held.id).ahead_in_line(slot_of(node, held.id)) == ahead,
                   "O4: at another place in line [5.7]");
        }
    }
    // P2: nobody waits behind parents that are settled, or behind nobody of its key.
    void check_quiet(const Node& node) {
        std::size_t queue = 0;
        const bool done = instant(node.now) < first_due(node, queue).at;
        std::size_t edges = 0;
        std::size_t latches = node.gate != MessageId{} ? 1 : 0;
        for (const Held& held : node.held) {
            const QueueCore& core = core_of(node, held.id);
            const Slot slot = slot_of(node, held.id);
            if (held.state == CoreState::blocked) {
                const Verdict verdict = truth(held);
                expect(verdict != Verdict::die, "P2: its parents have failed, and it lives [5.4]");
                // Whether it is its turn among those of its key is O4's to say. One of `deliver`
                // that was let go while that was not so does not wait again.
                const bool keyed = same_key(held, held);
                expect(keyed || verdict == Verdict::wait,
                       "P2: blocked, and its parents are settled [5.4]");
                const bool once_let_go = policy(held) == OnParentFailure::deliver && keyed;
                expect(once_let_go || is_held_back(node, held) == (verdict == Verdict::wait),
                       "P2: held back against what its parents say [5.4]");
            }
            const bool over = held.state != CoreState::dead && held.state != CoreState::leased &&
                              held.expires <= instant(node.now);
            expect(!done || !over, "its time to live is over [4.3]");
            const bool due =
                held.state == CoreState::delayed && core.record(slot).at <= instant(node.now);
            expect(!done || !due, "its delay is over [3]");
            latches += core.latch(slot) != none ? 1U : 0U;
            unsigned pending = 0;
            unsigned dead = 0;
            for (std::size_t i = 0; i < held.parent_count; ++i) {
                pending += held.parents[i].state == LatchState::pending ? 1U : 0U;
                dead += held.parents[i].state == LatchState::dead ? 1U : 0U;
            }
            edges += pending + dead;
            const std::uint32_t wait = core.has_history(slot) ? core.ties(slot).wait : none;
            if (wait == none) { continue; }
            expect(node.board.waits[wait].pending == pending && node.board.waits[wait].dead == dead,
                   "P3: parents are counted wrongly");
            if (held.state != CoreState::blocked) { continue; }
            expect(node.board.verdict(wait) == truth(held), "P3: another verdict [5.5]");
            check_told(node, held, wait);
        }
        expect(node.board.edges.in_use() == edges, "edges are left");
        expect(node.board.latches.in_use() == latches, "latches are left");
        expect(node.board.gates.in_use() == (node.gate != MessageId{} ? 1U : 0U), "gates are left");
    }

    // P7: the parents it waits for, in the order given.
    void check_told(const Node& node, const Held& held, std::uint32_t wait) {
        std::size_t at = 0;
        const auto skip = [&] {
            const bool holds = policy(held) == OnParentFailure::hold;
            for (; at < held.parent_count; ++at) {
                const LatchState state = held.parents[at].state;
                if (state == LatchState::pending || (holds && state == LatchState::dead)) {
                    return;
                }
            }
        };
        skip();
        node.board.each_parent(wait, [&](const MessageId& id, LatchState state) {
            const bool known = at < held.parent_count && held.parents[at].id == id &&
                               held.parents[at].state == state;
            expect(known, "P7: it waits for another parent than is told [5.9]");
            ++at;
            skip();
        });
        expect(at == held.parent_count, "P7: a parent it waits for is not told [5.9]");
    }

    // -- states ---------------------------------------------------------------------------------

    // What the messages are called in the key: latches by their messages, those of messages that
    // are gone by their age; waits by their children. A latch that nobody waits for is like none.
    Hash key(const Node& node) {
        orphans_.clear();
        for (const Thread& thread : node.threads) {
            for (const LatchBoard::Work* work : {&thread.work, &thread.more}) {
                for_each_latch(node, *work, [&](const LatchBoard::Latch& latch, bool taken) {
                    const bool gone = !taken && index_of(node, latch.id) == nobody;
                    if (gone && latch.first != none) { orphans_.push_back(latch.id); }
                });
            }
        }
        sort(orphans_);
        Hash hash;
        if (bounds_.once) {
            hash.add(static_cast<std::uint64_t>(node.order) << 8 | node.gates.next() << 1 |
                     (node.gate_named ? 1U : 0U));
        }
        hash.add(node.held.size() << 8 | node.threads.size());
        hash.add((node.ended[0] ? 8U : 0U) | (node.ended[1] ? 4U : 0U) |
                 (node.gate != MessageId{} ? 1U : 0U) |
                 (bounds_.past && node.failed != MessageId{} ? 2U : 0U));
        for (const Held& held : node.held) { add_message(hash, node, held); }
        for (const QueueCore& core : node.cores) {
            const bool tells = bounds_.options.dead_capacity.has_value() ||
                               bounds_.options.overflow == latchbox::Overflow::drop_oldest;
            for (Slot slot = core.first_dead(); tells && slot != none;
                 slot = core.next_listed(slot)) {
                hash.add(rank(node, core, slot));
            }
        }
        if (node.gate != MessageId{}) { add_latch(hash, node, node.board.find_gate(node.gate)); }
        // Threads have no names.
        std::vector<Hash>& threads = hashes_;
        threads.clear();
        for (const Thread& thread : node.threads) {
            threads.emplace_back();
            add_thread(threads.back(), node, thread);
        }
        sort(threads);
        for (const Hash& thread : threads) { hash.add(thread.a), hash.add(thread.b); }
        return hash;
    }
    template <class T> static void sort(std::vector<T>& items) {
        for (std::size_t i = 1; i < items.size(); ++i) {
            for (std::size_t j = i; j > 0 && items[j] < items[j - 1]; --j) {
                std::swap(items[j], items[j - 1]);
            }
        }
    }
    template <class Act>
    static void for_each_latch(const Node& node, const LatchBoard::Work& work, Act&& act) {
        for (std::uint32_t at = work.first; at != none; at = node.board.latches[at].next) {
            act(node.board.latches[at], false);
            if (at == work.last) { break; }
        }
        for (std::uint32_t i = 0; i < work.taken; ++i) {
            act(node.board.latches[work.take[i]], true);
        }
    }
    static std::uint64_t rank(const Node& node, const QueueCore& core, Slot slot) {
        std::uint64_t lower = 0;
        for (const Held& other : node.held) {
            if (&core_of(node, other.id) != &core) { continue; }
            const Slot at = IdParts::slot(other.id);
            lower += core.place(at).number < core.place(slot).number ? 1U : 0U;
        }
        return lower;
    }
    static constexpr std::uint64_t nobody = 31;
    static std::uint64_t index_of(const Node& node, const MessageId& id) {
        for (std::size_t i = 0; i < node.held.size(); ++i) {
            if (node.held[i].id == id) { return i; }
        }
        return id == node.gate ? nobody - 1 : nobody;
    }
    [[nodiscard]] std::uint64_t name_of(const Node& node, const MessageId& id) const {
        const std::uint64_t index = index_of(node, id);
        if (index != nobody) { return index; }
        std::uint64_t older = 0;
        for (const MessageId& orphan : orphans_) { older += orphan < id ? 1U : 0U; }
        return nobody + 1 + older;
    }
    // What they were to it; for its reason their order would tell, too.
    void add_parents(Hash& hash, const Node& node, const Held& child) const {
        std::uint64_t all = 0;
        for (std::size_t i = 0; i < child.parent_count; ++i) {
            const Parent& parent = child.parents[i];
            switch (parent.state) {
                case LatchState::pending:
                case LatchState::dead: all |= std::uint64_t{1} << index_of(node, parent.id); break;
                case LatchState::completed: break;
                case LatchState::failed:
                    if (policy(child) != OnParentFailure::deliver) {
                        all |= std::uint64_t{1} << 40;
                    }
                    break;
            }
        }
        hash.add(all);
    }
    static std::uint64_t relative(const Node& node, Instant at) {
        if (at.is_never()) { return 100; }
        const Instant now = instant(node.now);
        return at <= now ? 0 : static_cast<std::uint64_t>((at - now).count());
    }
    void add_message(Hash& hash, const Node& node, const Held& held) const {
        const QueueCore& core = core_of(node, held.id);
        const Slot slot = IdParts::slot(held.id);
        const bool has_history = core.has_history(slot);
        const bool waits = has_history && core.ties(slot).wait != none;
        std::uint64_t all = held.way;
        all = all << 3 | static_cast<std::uint64_t>(held.state);
        all = all << 3 | rank(node, core, slot);
        all = all << 1 | (has_history && core.ties(slot).held_back ? 1U : 0U);
        all = all << 1 | (waits ? 1U : 0U);
        all = all << 1 |
              (waits && node.board.waits[core.ties(slot).wait].failed != MessageId{} ? 1U : 0U);
        if (same_key(held, held)) { all = all << 1 | (held.redriven ? 1U : 0U); }
        hash.add(all);
        add_parents(hash, node, held);
        if (core.latch(slot) != none) { add_latch(hash, node, core.latch(slot)); }
        if (has_history ? held.state != CoreState::dead : held.state == CoreState::leased) {
            const bool due = held.state != CoreState::ready;
            hash.add((due ? relative(node, core.record(slot).at) : 0) << 8 |
                     relative(node, core.history(slot).expires));
        }
    }
    void add_thread(Hash& hash, const Node& node, const Thread& thread) const {
        hash.add(static_cast<std::uint64_t>(thread.phase) << 8 |
                 (thread.holds_queue() ? thread.queue : 0U));
        if (is_coming(thread)) {
            hash.add(static_cast<std::uint64_t>(thread.child.way));
            for (std::size_t i = thread.at; i < thread.child.parent_count; ++i) {
                hash.add(index_of(node, thread.child.parents[i].id));
            }
            add_parents(hash, node, thread.child);
            hash.add(thread.wait == none                                   ? 0
                     : node.board.waits[thread.wait].failed != MessageId{} ? 2U
                                                                           : 1U);
        }
        if (thread.phase == Thread::accepting || thread.phase == Thread::redriving) {
            hash.add(static_cast<std::uint64_t>(thread.verdict));
        }
        if (thread.phase == Thread::redriving) {
            hash.add(rank(node, node.cores[thread.queue], thread.slot));
        }
        for (const LatchBoard::Work* work : {&thread.work, &thread.more}) {
            for_each_latch(node, *work, [&](const LatchBoard::Latch& latch, bool taken) {
                const bool gone = index_of(node, latch.id) == nobody;
                if (gone && latch.first == none) { return; }  // will go, and nobody will know
                const bool owned = latch.owner == work->owner;
                // In whose chain it is left behind decides no more than an order.
                if (bounds_.stride == Bounds::rounds && !owned) { return; }
                hash.add(name_of(node, latch.id) << 2 | (taken ? 2U : 0U) | (owned ? 1U : 0U));
                if (gone && (!taken || owned)) { add_children(hash, node, latch); }
            });
            for (std::uint32_t at = work->left; at != none; at = node.board.waits[at].next) {
                std::uint32_t edge = node.board.waits[at].first;
                if (edge != none) { hash.add(201); }
                for (; edge != none; edge = node.board.edges[edge].next) {
                    hash.add(name_of(node, node.board.latches[node.board.edges[edge].latch].id));
                }
            }
            hash.add(202);
        }
        for (std::uint32_t i = 0; i < thread.batch_count; ++i) {
            hash.add(index_of(node, thread.batch[i]));
        }
        const std::int64_t late = node.now - thread.now.since_epoch().count();
        hash.add(203 + static_cast<std::uint64_t>(late < 3 ? late : 3));
    }
    void add_latch(Hash& hash, const Node& node, std::uint32_t at) const {
        const LatchBoard::Latch& latch = node.board.latches[at];
        if (latch.first == none && latch.gate == none) {
            if (bounds_.stride == Bounds::rounds ? latch.owner == 0 : latch.works == 0) { return; }
        }
        add_children(hash, node, latch);
    }
    void add_children(Hash& hash, const Node& node, const LatchBoard::Latch& latch) const {
        const LatchBoard& board = node.board;
        const bool listed = bounds_.stride == Bounds::rounds ? latch.owner != 0 : latch.listed;
        hash.add(204 + (static_cast<std::uint64_t>(latch.state) << 1 | (listed ? 1U : 0U)));
        for (std::uint32_t at = latch.first; at != none; at = board.edges[at].next_child) {
            const LatchBoard::Edge& edge = board.edges[at];
            hash.add(name_of_wait(node, edge.wait) << 8 |
                     static_cast<std::uint64_t>(edge.seen) << 1 | (latch.cursor == at ? 1U : 0U));
        }
    }
    // By its child; of those who are on their way, by who began first.
    static std::uint64_t name_of_wait(const Node& node, std::uint32_t wait) {
        const MessageId& child = node.board.waits[wait].child;
        if (child != MessageId{}) { return index_of(node, child); }
        for (const Thread& thread : node.threads) {
            if (!is_coming(thread) || thread.wait != wait) { continue; }
            std::uint64_t older = 0;
            for (const Thread& other : node.threads) {
                older += is_coming(other) && other.child.order < thread.child.order ? 1U : 0U;
            }
            return 100 + older;
        }
        return nobody;
    }

    // -- words ----------------------------------------------------------------------------------

    [[nodiscard]] std::string path(std::uint32_t at) const {
        std::string words_of;
        for (; at != none && came_[at].from != none; at = came_[at].from) {
            words_of = text(came_[at].by) + ", " + words_of;
        }
        return words_of;
    }
    [[nodiscard]] std::string text(const Action& action) const {
        std::string words_of = words[action.kind];
        if (action.kind == publish) {
            words_of += " way " + std::to_string(action.queue) + " {";
            for (std::size_t i = 0; i < bounds_.messages; ++i) {
                if ((action.parents >> i & 1) != 0) { words_of += ' ' + std::to_string(i); }
            }
            return words_of + (action.gate ? " gate" : "") + (action.past ? " past" : "") + " }";
        }
        if (action.kind == go_on) { return words_of + " t" + std::to_string(action.queue); }
        return words_of + " q" + std::to_string(action.queue) + '[' + std::to_string(action.which) +
               ']';
    }
    static std::string text(const Node& node) {
        static constexpr const char* states[] = {"vacant", "reserved", "blocked", "delayed",
                                                 "ready",  "leased",   "dead"};
        std::string words_of;
        for (std::size_t i = 0; i < node.held.size(); ++i) {
            const Held& held = node.held[i];
            words_of += '[' + std::to_string(i) + "] " + to_string(held.id) + ' ' +
                        states[static_cast<std::size_t>(held.state)] + " (";
            for (std::size_t p = 0; p < held.parent_count; ++p) {
                words_of +=
                    to_string(held.parents[p].id) + ' ' + to_string(held.parents[p].state) + ' ';
            }
            words_of += "); ";
        }
        return words_of + std::to_string(node.threads.size()) + " at it";
    }

    const Bounds& bounds_;
    Seen seen_;
    std::deque<Pointer> frontier_;
    std::vector<Pointer> spare_;  // memory for nodes to come
    std::vector<Came> came_;      // to each state, in the order of `frontier_`
    std::vector<Action> actions_;
    std::vector<MessageId> orphans_;  // in the key that is made
    std::vector<Hash> hashes_;
    const Action* now_ = nullptr;
    MessageId completed_;  // by the action under way
    MessageId leased_;
    std::uint32_t acting_ = 0;  // the thread that performs it
    std::bitset<64> relations_;
    std::uint64_t transitions_ = 0;
    std::string broken_;
};

// The figures of all searches, told at the end.
struct Sum {
    std::uint64_t searches = 0;
    std::uint64_t states = 0;
    std::uint64_t transitions = 0;

    Sum() = default;
    Sum(const Sum&) = delete;
    Sum& operator=(const Sum&) = delete;
    ~Sum() {
        if (searches == 0) { return; }
        const auto tell = [](const char* name, std::uint64_t value) {
            std::printf("figure: families %s = %llu\n", name,
                        static_cast<unsigned long long>(value));
        };
        tell("searches", searches);
        tell("states", states);
        tell("transitions", transitions);
    }
};
Sum sum;

// Which of the relations that four messages can have were seen.
std::bitset<64> search(const Bounds& bounds) {
    Search search{bounds};
    search.run();
    sum.searches += 1;
    sum.states += search.states();
    sum.transitions += search.transitions();
    CHECK_MESSAGE(search.broken().empty(), search.broken());
    CHECK(search.states() > 500);
    return search.relations();
}

constexpr auto die = OnParentFailure::dead_letter;
constexpr auto deliver = OnParentFailure::deliver;
constexpr auto hold = OnParentFailure::hold;

std::string name_of(const char* what, OnParentFailure policy) {
    const char* const words_of = policy == die       ? ", dead_letter"
                                 : policy == deliver ? ", deliver"
                                                     : ", hold";
    return std::string{what} + words_of;
}

}  // namespace

// All 64 relations that four messages can have, each with every policy.
TEST_CASE("four messages and their parents, in one queue and in two [5.1] [5.4] [5.5] [5.6]") {
    for (const auto policy : {die, deliver, hold}) {
        const Way here = {.policy = policy};
        const Way there = {.queue = 1, .policy = policy};
        const Bounds one = {.name = name_of("four, one queue", policy),
                            .ways = {here},
                            .stride = Bounds::rounds,
                            .once = true};
        // Two threads at it, where that is not too many states: `deliver` is among the mixed.
        if (policy != deliver) { CHECK(search(one).all()); }
        Bounds two = one;
        two.name = name_of("four, two queues", policy);
        two.queues = 2;
        two.ways = {here, there};
        two.in_turn = true;
        if (policy == hold) { CHECK(search(two).all()); }
        // A gate among the parents of one of them.
        for (Bounds gated : {one, two}) {
            gated.name = name_of(
                gated.queues == 1 ? "four and a gate, one queue" : "four and a gate, two queues",
                policy);
            gated.gates = true;
            gated.threads = 1;
            CHECK(search(gated).all());
        }
    }
}

TEST_CASE("four messages of different policies, with a gate and without [5.1] [5.4] [5.5] [5.6]") {
    Bounds mixed = {.name = "four, mixed",
                    .queues = 2,
                    .ways = {{.policy = deliver},
                             {.queue = 1, .policy = hold},
                             {.policy = deliver},
                             {.queue = 1, .policy = die}},
                    .stride = Bounds::rounds,
                    .once = true,
                    .in_turn = true};
    CHECK(search(mixed).all());
    mixed.name = "four and a gate, mixed";
    mixed.gates = true;
    mixed.threads = 1;
    CHECK(search(mixed).all());
}

TEST_CASE("three messages and a gate, two threads from lock to lock [5.4] [5.5] [5.8]") {
    for (const auto policy : {die, deliver, hold}) {
        search({.name = name_of("three and a gate", policy),
                .messages = 3,
                .ways = {{.policy = policy}},
                .gates = true,
                .once = true});
    }
    search({.name = "three, mixed",
            .messages = 3,
            .queues = 2,
            .ways = {{.policy = die}, {.queue = 1, .policy = deliver}, {.policy = hold}},
            .once = true});
}

TEST_CASE("three messages in two queues, two threads, one edge at a time [5.4] [5.5]") {
    for (const auto policy : {die, deliver, hold}) {
        search({.name = name_of("three, edge by edge", policy),
                .messages = 3,
                .queues = 2,
                .ways = {{.policy = policy}, {.queue = 1, .policy = policy}},
                .stride = Bounds::edges,
                .once = true});
    }
}

TEST_CASE("three messages at a time, for ever, and parents that are long gone [5.2] [5.4]") {
    for (const auto policy : {die, deliver, hold}) {
        search({.name = name_of("three come and go", policy),
                .messages = 3,
                .ways = {{.policy = policy}},
                .past = true,
                .stride = Bounds::rounds});
    }
}

TEST_CASE("two messages at a time, for ever, every verb, a gate, edge by edge [3] [5.4] [5.8]") {
    for (const auto policy : {die, deliver, hold}) {
        search({.name = name_of("two come and go", policy),
                .messages = 2,
                .queues = 2,
                .ways = {{.policy = policy}, {.queue = 1, .policy = policy}},
                .gates = true,
                .stride = Bounds::edges,
                .verbs = every_verb});
    }
}

TEST_CASE("three messages in two queues, every verb, and queues are removed [3] [5.3] [5.4]") {
    for (const auto policy : {die, deliver, hold}) {
        search({.name = name_of("three, every verb", policy),
                .messages = 3,
                .queues = 2,
                .ways = {{.policy = policy}, {.queue = 1, .policy = policy}},
                .times = 2,
                .stride = Bounds::rounds,
                .once = true,
                .verbs = every_verb | bit(end)});
    }
}

TEST_CASE(
    "three messages and no room for them: evicted, refused, dead letters purged [5.3] [7.2]") {
    auto dropping = Bounds{}.options;
    dropping.capacity = 2;
    dropping.overflow = latchbox::Overflow::drop_oldest;
    const std::uint32_t verbs = outcomes | bit(lease) | bit(ack) | bit(abandon);
    search({.name = "three, evicted",
            .messages = 3,
            .options = dropping,
            .ways = {{.policy = die}, {.policy = hold}},
            .once = true,
            .verbs = verbs});
    search({.name = "three come and go, evicted",
            .messages = 3,
            .options = dropping,
            .ways = {{.policy = die}},
            .verbs = verbs});
    auto full = Bounds{}.options;
    full.capacity = 2;
    full.dead_capacity = 1;
    search({.name = "three come and go, refused",
            .messages = 3,
            .options = full,
            .ways = {{.policy = die}},
            .verbs = verbs | bit(purge) | bit(purge_dead) | bit(redrive_all)});
}

TEST_CASE("parents and children that expire, are delayed, and whose leases run out [4.3] [5.3]") {
    auto timed = Bounds{}.options;
    timed.lease = tick * 2;
    Bounds bounds = {
        .name = "two, timed",
        .messages = 2,
        .queues = 2,
        .options = timed,
        .ways = {{.policy = die, .life = tick * 2},
                 {.queue = 1, .policy = deliver, .delay = tick, .life = tick * 2},
                 {.policy = hold, .delay = tick * 2}},
        .times = 1,
        .once = true,
        .verbs = bit(lease) | bit(ack) | bit(reject) | bit(redrive) | bit(time_passes)};
    search(bounds);
    bounds.name = "three, timed";
    bounds.messages = 3;
    bounds.threads = 1;
    search(bounds);
}

TEST_CASE("O4: three messages of two keys and none, and their parents, every verb [5.7]") {
    for (const auto policy : {die, deliver, hold}) {
        search({.name = name_of("keys", policy),
                .messages = 3,
                .ways = {{.policy = policy, .key = "a"},
                         {.policy = policy, .key = "b"},
                         {.policy = policy}},
                .threads = 1,
                .once = true,
                .verbs = every_verb});
        search({.name = name_of("one key, two threads", policy),
                .messages = 3,
                .ways = {{.policy = policy, .key = "a"}},
                .once = true,
                .verbs = every_verb});
    }
}

TEST_CASE("O4: four messages of one key and their parents [5.7]") {
    search({.name = "four of one key", .ways = {{.key = "a"}}, .threads = 1, .once = true});
}

TEST_CASE("O4: three messages of one key, delayed and expiring [5.7] [4.3]") {
    auto timed = Bounds{}.options;
    timed.lease = tick * 2;
    search({.name = "keys, timed",
            .messages = 3,
            .options = timed,
            .ways = {{.key = "a", .delay = tick}, {.key = "a", .life = tick * 2}},
            .threads = 1,
            .once = true,
            .verbs = outcomes | bit(redrive_all) | bit(lease) | bit(abandon) | bit(time_passes)});
}
