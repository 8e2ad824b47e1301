// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/feed.hpp"

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/detail/reference.hpp"
#include "latchbox/platform.hpp"

#include "support/failing_new.hpp"

namespace {

using latchbox::detail::Reference;
struct Queue {};
using Feed = latchbox::detail::Feed<Queue, latchbox::SingleThread>;
template <class Platform> using Membership = latchbox::detail::Membership<Platform>;

TEST_CASE("a feed keeps texts of its own, and begins with one member that publishes do not find") {
    std::string pattern = "orders.*";
    std::string group = "billing";
    const Feed feed{pattern, group, true};
    pattern = group = "changed";
    CHECK(feed.pattern == "orders.*");
    CHECK(feed.group == "billing");
    CHECK(feed.durable);
    CHECK(feed.members == 1);
    CHECK_FALSE(feed.listed);
}

TEST_CASE_TEMPLATE("a member leaves once, and that is seen by whoever still holds it [6.2]",
                   Platform, latchbox::Threads, latchbox::SingleThread) {
    Reference<Membership<Platform>> member{new Membership<Platform>};
    const Reference<Membership<Platform>> seen = member;
    CHECK_FALSE(seen->has_left());
    CHECK(member->leave());
    CHECK(seen->has_left());
    CHECK_FALSE(member->leave());
    CHECK_FALSE(seen->leave());
    member = {};
    CHECK(seen->has_left());
}

TEST_CASE_TEMPLATE("who belongs to a member has left as soon as he has [6.2] [8]", Platform,
                   latchbox::Threads, latchbox::SingleThread) {
    using Member = Membership<Platform>;
    Reference<Member> handle{new Member};
    const Reference<Member> workers{new Member{handle}};
    const Reference<Member> others{new Member{handle}};
    const Reference<Member> alone{new Member};
    CHECK(workers->belongs_to(*workers));
    CHECK(workers->belongs_to(*handle));
    CHECK_FALSE(handle->belongs_to(*workers));
    CHECK_FALSE(workers->belongs_to(*others));
    CHECK_FALSE(alone->belongs_to(*handle));
    // He leaves alone, his member does not.
    CHECK(others->leave());
    CHECK(others->has_left());
    CHECK_FALSE(handle->has_left());
    CHECK_FALSE(workers->has_left());
    CHECK(handle->leave());
    CHECK(workers->has_left());
    CHECK_FALSE(alone->has_left());
    // That was not his own word.
    CHECK(workers->leave());
    CHECK_FALSE(workers->leave());
    handle = {};
    CHECK(workers->has_left());
}

TEST_CASE("of many threads that leave by one handle exactly one is the first [6.2]") {
    for (int round = 0; round < 100; ++round) {
        const Reference<Membership<latchbox::Threads>> member{new Membership<latchbox::Threads>};
        std::atomic<int> first{0};
        std::vector<std::thread> threads;
        for (int i = 0; i < 3; ++i) {
            threads.emplace_back([mine = member, &first] {
                if (mine->leave()) { ++first; }
            });
        }
        for (std::thread& thread : threads) { thread.join(); }
        REQUIRE(first == 1);
        REQUIRE(member->has_left());
    }
}

TEST_CASE_TEMPLATE("a member is gone with the last who knows it", Platform, latchbox::Threads,
                   latchbox::SingleThread) {
    const std::int64_t before = support::live_allocations();
    {
        Reference<Membership<Platform>> member{new Membership<Platform>};
        const Reference<Membership<Platform>> workers{new Membership<Platform>{member}};
        member = {};
        CHECK(support::live_allocations() == before + 2);
    }
    CHECK(support::live_allocations() == before);
}

}  // namespace
