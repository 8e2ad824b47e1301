// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/drafts.hpp"

#include <cstddef>
#include <cstdint>
#include <new>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"
#include "support/failing_new.hpp"
#include "support/tracked_message.hpp"

// Bodies that are about to be published, and what becomes of them if they are not.
namespace {

using latchbox::MessageId;
using support::TrackedMessage;
using Platform = latchbox::SingleThread;
using Shelf = latchbox::detail::Shelf<TrackedMessage, Platform>;
using Drafts = latchbox::detail::Drafts<TrackedMessage, Platform>;
using Body = Shelf::Body;

TEST_CASE("what is not published goes back to the shelf, made or not [4.11]") {
    Shelf shelf{7};
    for (std::size_t count = 1; count < 40; count += count) {
        for (std::size_t made = 0; made <= count; ++made) {
            std::vector<Body*> bodies(count);
            {
                Drafts drafts{shelf, bodies};
                CHECK(shelf.in_use() == 0);
                drafts.take(false);
                CHECK(drafts.taken == count);
                CHECK(shelf.in_use() == count);
                for (; drafts.made < made; ++drafts.made) {
                    bodies[drafts.made]->construct(TrackedMessage{drafts.made});
                }
                CHECK(TrackedMessage::live() == static_cast<std::int64_t>(made));
            }
            REQUIRE(TrackedMessage::live() == 0);
            REQUIRE(shelf.in_use() == 0);
        }
    }
}

TEST_CASE("each draft is a body of its own, which nobody finds [6.6]") {
    Shelf shelf{7};
    std::vector<Body*> bodies(20);
    Drafts drafts{shelf, bodies};
    drafts.take(true);
    for (std::size_t i = 0; i < bodies.size(); ++i) {
        CHECK(shelf.find(bodies[i]->id) == nullptr);
        for (std::size_t j = 0; j < i; ++j) { CHECK(bodies[i] != bodies[j]); }
    }
}

TEST_CASE("parents of one that was not published are forgotten: its place has none [4.12]") {
    Shelf shelf{7};
    std::vector<Body*> bodies(2);
    const std::int64_t before = support::live_allocations();
    {
        Drafts drafts{shelf, bodies};
        drafts.take(false);
        for (Body* const body : bodies) { body->parents.resize(10); }
    }
    const std::int64_t places = support::live_allocations() - before;
    Drafts drafts{shelf, bodies};
    drafts.take(false);
    for (const Body* const body : bodies) { CHECK(body->parents.capacity() == 0); }
    CHECK(support::live_allocations() - before == places);
}

TEST_CASE("what was published is not taken back") {
    Shelf shelf{7};
    Body* body = nullptr;
    {
        Drafts drafts{shelf, {&body, 1}};
        drafts.take(false);
        body->construct(TrackedMessage{7});
        drafts.taken = drafts.made = 0;
    }
    CHECK(TrackedMessage::live() == 1);
    CHECK(body->body().digest() == 7);
    CHECK(shelf.in_use() == 1);
    body->destroy();
}

TEST_CASE("where there is no memory none is taken [4.11]") {
    Shelf shelf{7};
    std::vector<Body*> bodies(20);
    bool threw = true;
    for (std::uint64_t nth = 1; threw; ++nth) {
        Drafts drafts{shelf, bodies};
        const support::FailingNew failing{support::Failing::nth, nth};
        try {
            drafts.take(true);
            threw = false;
        } catch (const std::bad_alloc&) {}
        const bool all_or_none = drafts.taken == (threw ? 0 : bodies.size());
        REQUIRE(all_or_none);
        REQUIRE(shelf.in_use() == drafts.taken);
    }
    CHECK(shelf.in_use() == 0);
}

}  // namespace
