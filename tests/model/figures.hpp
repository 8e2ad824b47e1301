// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstdint>

#include "model/situations.hpp"

namespace model {

/// What scripts have seen: blind ones would agree on anything.
struct Figures {
    std::uint64_t scripts = 0;
    std::uint64_t steps = 0;
    std::uint64_t messages = 0;
    std::uint64_t hand_outs = 0;
    std::uint64_t leases_run_out = 0;
    std::uint64_t expired = 0;
    std::uint64_t deaths = 0;
    std::uint64_t redriven = 0;
    std::uint64_t evicted = 0;
    std::uint64_t refused = 0;
    std::uint64_t lost_verbs = 0;    // settle verbs by a holder whose lease was over
    std::uint64_t late_readers = 0;  // bodies read after another had them or they were gone
    std::uint64_t throwing_copies = 0;
    std::uint64_t children = 0;          // accepted with parents
    std::uint64_t deaths_by_parent = 0;  // of those, that died of one, the last time they died
    std::uint64_t unknown_parents = 0;   // publishes refused for that
    std::uint64_t parents_failed = 0;    // redrives refused for that
    std::uint64_t gates = 0;
    std::uint64_t keyed = 0;    // messages with a key
    std::uint64_t blocked = 0;  // messages that were, after one step or another
    std::uint64_t explained = 0;
    std::uint64_t forgotten = 0;  // of those, failures that nobody remembered
    std::uint64_t ticks = 0;
    std::uint64_t posts = 0;   // messages published to topics
    std::uint64_t copies = 0;  // that came of them
    std::uint64_t posts_refused = 0;
    std::uint64_t discarded = 0;  // for want of a subscription
    std::uint64_t dropped = 0;    // copies, at their publish
    std::uint64_t subscriptions = 0;
    std::uint64_t replayed = 0;  // copies that came by it
    std::uint64_t reads = 0;     // that had a body
    std::uint64_t expired_reads = 0;
    std::uint64_t aged_out = 0;
    std::uint64_t left_behind = 0;  // copies, when their subscription ended
    std::uint64_t posts_failed = 0;
    std::uint64_t repeats = 0;       // of a value, that added nothing
    std::uint64_t values_again = 0;  // accepted, though the queue had met the value before
    std::uint64_t repeated_posts = 0;
    std::uint64_t commits = 0;  // that settled or published something
    std::uint64_t commits_refused = 0;
    std::uint64_t commits_retried = 0;  // with success, after they had been refused
    std::uint64_t commits_full = 0;     // of those refused
    std::uint64_t commits_lost = 0;     // for a lease that was over
    std::uint64_t settled_by_commits = 0;
    std::uint64_t published_by_commits = 0;
    std::uint64_t transactions_dropped = 0;  // with something in them
    std::uint64_t acks_and_publishes = 0;
    std::uint64_t forwards = 0;
    std::uint64_t drains = 0;
    std::uint64_t steps_of_drains = 0;
    std::uint64_t settled_in_calm = 0;  // messages, once nothing failed any more
    Situations situations;
};

inline void add(Figures& sum, const Figures& more) {
    sum.scripts += more.scripts;
    sum.steps += more.steps;
    sum.messages += more.messages;
    sum.hand_outs += more.hand_outs;
    sum.leases_run_out += more.leases_run_out;
    sum.expired += more.expired;
    sum.deaths += more.deaths;
    sum.redriven += more.redriven;
    sum.evicted += more.evicted;
    sum.refused += more.refused;
    sum.lost_verbs += more.lost_verbs;
    sum.late_readers += more.late_readers;
    sum.throwing_copies += more.throwing_copies;
    sum.children += more.children;
    sum.deaths_by_parent += more.deaths_by_parent;
    sum.unknown_parents += more.unknown_parents;
    sum.parents_failed += more.parents_failed;
    sum.gates += more.gates;
    sum.keyed += more.keyed;
    sum.blocked += more.blocked;
    sum.explained += more.explained;
    sum.forgotten += more.forgotten;
    sum.posts += more.posts;
    sum.copies += more.copies;
    sum.posts_refused += more.posts_refused;
    sum.discarded += more.discarded;
    sum.dropped += more.dropped;
    sum.subscriptions += more.subscriptions;
    sum.replayed += more.replayed;
    sum.reads += more.reads;
    sum.expired_reads += more.expired_reads;
    sum.aged_out += more.aged_out;
    sum.left_behind += more.left_behind;
    sum.posts_failed += more.posts_failed;
    sum.repeats += more.repeats;
    sum.values_again += more.values_again;
    sum.repeated_posts += more.repeated_posts;
    sum.commits += more.commits;
    sum.commits_refused += more.commits_refused;
    sum.commits_retried += more.commits_retried;
    sum.commits_full += more.commits_full;
    sum.commits_lost += more.commits_lost;
    sum.settled_by_commits += more.settled_by_commits;
    sum.published_by_commits += more.published_by_commits;
    sum.transactions_dropped += more.transactions_dropped;
    sum.acks_and_publishes += more.acks_and_publishes;
    sum.forwards += more.forwards;
    sum.drains += more.drains;
    sum.steps_of_drains += more.steps_of_drains;
    sum.settled_in_calm += more.settled_in_calm;
    sum.situations.add(more.situations);
}

}  // namespace model
