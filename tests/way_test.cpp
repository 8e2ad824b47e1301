// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/way.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"
#include "support/failing_new.hpp"

// The way of one publish: which subscriptions match, and what is taken there until it is done.
namespace {

using latchbox::detail::Lock;
using latchbox::detail::Needs;
using latchbox::Errc;
using latchbox::Overflow;
using latchbox::detail::Reference;
using support::FailingNew;
using Platform = latchbox::SingleThread;
using Way = latchbox::detail::Way<int, Platform>;
using Broker = Way::Broker;
using Shell = Way::Shell;
using Naming = latchbox::detail::Naming<int, Platform>;
using Subscribing = latchbox::detail::Subscribing<int, Platform>;
using Reserving = latchbox::detail::Reserving<int, Platform>;

struct Ways {
    latchbox::ManualClock clock;
    Reference<Broker> broker{new Broker{{.clock = &clock}}};
    Reference<Way::Topic> topic = Naming::topic(*broker, "a.b");

    Ways() { other_broker = broker.get(); }
    ~Ways() {
        topic = {};
        broker->end();
    }
    [[nodiscard]] Reference<Shell> subscribe(const std::string& pattern,
                                             const latchbox::SubscriptionOptions& options = {}) {
        return Subscribing::join(*broker, pattern, options).queue;
    }
    static void end(Broker& of, Shell& queue) {
        Naming::Unlisted unlisted;
        unlisted.queue = Reference<Shell>::to(queue);
        {
            Lock lock{of.names};
            Naming::unlist(of, unlisted);
        }
        Naming::end(of, queue);
    }
    // One more target, with slots for `count`.
    static void reserve(Way& way, std::size_t count, const Needs& needs) {
        Way::Target& target = *way.next_target();
        Shell& queue = *target.queue;
        for (;;) {
            queue.mutex.lock();
            const auto lacking = Reserving::take_slots(queue, count, needs, target.taken);
            if (!lacking) { break; }
            queue.grow(lacking);
        }
        Reserving::promise(queue, count, needs);
        way.reserved();
        queue.mutex.unlock();
    }
    static inline Broker* other_broker = nullptr;
};

TEST_CASE_FIXTURE(Ways, "all that match are found, in the order in which they were made [6.3]") {
    const Reference<Shell> queues[] = {subscribe("a.*"), subscribe("a.b"), subscribe(">"),
                                       subscribe("*.b"), subscribe("a.b")};
    const auto stranger = subscribe("b.*");
    Way way{*topic, 1, {}};
    CHECK(way.is_stale());
    way.find();
    CHECK_FALSE(way.is_stale());
    REQUIRE(way.targets().size() == 5);
    for (std::size_t i = 0; i < 5; ++i) { CHECK(&*way.targets()[i].queue == &*queues[i]); }
}

TEST_CASE_FIXTURE(Ways, "whoever comes or goes makes a way stale, and the next look finds it") {
    Way way{*topic, 1, {}};
    way.find();
    CHECK(way.targets().empty());
    const auto one = subscribe("a.b");
    CHECK(way.is_stale());
    way.find();
    CHECK(way.targets().size() == 1);
    const auto elsewhere = subscribe("x");
    CHECK(way.is_stale());
    way.find();
    CHECK(way.targets().size() == 1);
    end(*broker, *one);
    CHECK(way.is_stale());
    way.find();
    CHECK(way.targets().empty());
}

TEST_CASE_FIXTURE(Ways, "one who subscribes while memory is made is found, too") {
    for (int i = 0; i < 3; ++i) { static_cast<void>(subscribe("a.b")); }
    Way way{*topic, 1, {}};
    {
        const FailingNew count;
        FailingNew::meanwhile(
            [] { static_cast<void>(Subscribing::join(*other_broker, "a.*", {})); });
        way.find();
    }
    // It came before the last look, or the way says that it is stale.
    if (way.is_stale()) { way.find(); }
    CHECK(way.targets().size() == 4);
}

TEST_CASE_FIXTURE(Ways, "where there is no memory nothing was found, and the next look is whole") {
    for (int i = 0; i < 20; ++i) { static_cast<void>(subscribe("a.b")); }
    for (std::uint64_t nth = 1;; ++nth) {
        Way way{*topic, 1, {}};
        bool threw = false;
        {
            const FailingNew failing{support::Failing::nth, nth};
            try {
                way.find();
            } catch (const std::bad_alloc&) { threw = true; }
        }
        if (!threw && nth == 1) {
            FAIL("no memory was asked for");
            break;
        }
        CHECK(way.is_stale() == threw);
        way.find();
        CHECK(way.targets().size() == 20);
        // Else the next one goes this way.
        static_cast<void>(subscribe("x"));
        if (!threw) { break; }
    }
}

TEST_CASE_FIXTURE(Ways, "the next publish of the subject goes the same way, without a look [6.7]") {
    const auto one = subscribe("a.b");
    const Shell* before = nullptr;
    {
        Way way{*topic, 1, {}};
        way.find();
        before = &*way.targets()[0].queue;
    }
    std::uint64_t asked = 0;
    {
        const FailingNew count;
        Way way{*topic, 1, {}};
        CHECK_FALSE(way.is_stale());
        way.find();
        CHECK(&*way.targets()[0].queue == before);
        asked = count.asked();
    }
    CHECK(asked == 0);
    // Two at a time have one each.
    Way first{*topic, 1, {}};
    Way second{*topic, 1, {}};
    CHECK_FALSE(first.is_stale());
    CHECK(second.is_stale());
}

TEST_CASE_FIXTURE(Ways, "what is given up leaves nothing behind in any queue [4.11]") {
    const Reference<Shell> queues[] = {subscribe("a.b"), subscribe("a.*")};
    const Needs needs{true, true};
    for (std::size_t reserved = 0; reserved <= 2; ++reserved) {
        for (const bool at_its_end : {false, true}) {
            {
                Way way{*topic, 3, needs};
                way.find();
                for (std::size_t i = 0; i < reserved; ++i) { reserve(way, 3, needs); }
                CHECK((way.next_target() == nullptr) == (reserved == 2));
                for (std::size_t i = 0; i < 2; ++i) {
                    CHECK(queues[i]->core.reserved() == (i < reserved ? 3U : 0U));
                }
                if (!at_its_end) {
                    way.give_up();
                    CHECK(way.next_target() == &way.targets()[0]);
                }
            }
            for (const auto& queue : queues) {
                CHECK(queue->core.reserved() == 0);
                CHECK(queue->core.stats() == latchbox::QueueStats{});
                CHECK(queue->core.audit() == nullptr);
            }
        }
    }
}

TEST_CASE_FIXTURE(Ways, "few that refuse nothing can be held together, with slots in each [6.3]") {
    std::vector<Reference<Shell>> queues;
    const auto can_be_held = [&] {
        Way way{*topic, 2, {}};
        way.find();
        CHECK(way.targets().size() == queues.size());
        return way.can_be_held();
    };
    CHECK(can_be_held());
    for (int i = 0; i < 16; ++i) {
        const auto overflow = i % 2 == 0 ? Overflow::drop_oldest : Overflow::drop_newest;
        queues.push_back(subscribe("a.b", {.overflow = overflow}));
    }
    CHECK(can_be_held());
    SUBCASE("not more than a few") {
        queues.push_back(subscribe("a.b"));
        CHECK_FALSE(can_be_held());
    }
    SUBCASE("nor a batch that is long") {
        Way way{*topic, 65, {}};
        way.find();
        CHECK_FALSE(way.can_be_held());
    }
    SUBCASE("not one that refuses") {
        end(*broker, *queues.back());
        queues.pop_back();
        CHECK(can_be_held());
        queues.push_back(subscribe("a.b", {.overflow = Overflow::reject}));
        CHECK_FALSE(can_be_held());
    }
    SUBCASE("none, once one of them has ended or the broker ends, whenever that was found") {
        for (const auto& queue : queues) {
            queue->mutex.lock();
            queue->grow(queue->core.of_records());
        }
        Way way{*topic, 2, {}};
        way.find();
        CHECK_FALSE(way.is_stale());
        Errc refused = latchbox::detail::look_again;
        SUBCASE("ended") { end(*broker, *queues[7]); }
        SUBCASE("closed") {
            broker->close();
            refused = Errc::closed;
        }
        CHECK(way.hold() == refused);
        for (const auto& queue : queues) { CHECK(queue->core.reserved() == 0); }
    }
    SUBCASE("all of them have slots then, or none has") {
        for (std::size_t lacking = 0; lacking <= queues.size(); ++lacking) {
            Way way{*topic, 2, {}};
            way.find();
            CHECK(way.hold() == (lacking == queues.size() ? Errc{} : Errc::full));
            for (const auto& queue : queues) {
                CHECK(queue->core.reserved() == (lacking == queues.size() ? 2U : 0U));
            }
            for (auto& target : way.targets()) {
                Reserving::withdraw(*target.queue, target.taken);
                CHECK(target.queue->core.audit() == nullptr);
            }
            // One after the other gets memory.
            if (lacking != queues.size()) {
                queues[lacking]->mutex.lock();
                queues[lacking]->grow(queues[lacking]->core.of_records());
            }
        }
    }
}

TEST_CASE_FIXTURE(Ways, "room that is kept in a queue is taken there, or given back [6.4]") {
    const Reference<Shell> queues[] = {subscribe("a.b"), subscribe("a.*")};
    {
        Way way{*topic, 3, {}};
        way.find();
        queues[1]->core.promise(3);
        way.keep_room(*queues[1]);
        CHECK_FALSE(way.take_room(*queues[0]));
        CHECK(queues[1]->core.reserved() == 3);
        CHECK(way.take_room(*queues[1]));
        CHECK(queues[1]->core.reserved() == 0);
        CHECK_FALSE(way.take_room(*queues[1]));
        queues[1]->core.promise(3);
        way.keep_room(*queues[1]);
    }
    CHECK(queues[1]->core.reserved() == 0);
}

TEST_CASE_FIXTURE(Ways, "a way keeps its queues while one goes there, and is not kept if stale") {
    {
        Way way{*topic, 1, {}};
        {
            const auto one = subscribe("a.b");
            way.find();
            end(*broker, *one);
        }
        CHECK(way.targets()[0].queue->ended);
        CHECK(way.is_stale());
    }
    CHECK(broker->passages.take(topic->idle_passages) == nullptr);
    {
        Way way{*topic, 1, {}};
        CHECK(way.targets().empty());
        way.find();
    }
    CHECK(broker->passages.take(topic->idle_passages) != nullptr);
}

}  // namespace
