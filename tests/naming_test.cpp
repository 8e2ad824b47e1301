// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/naming.hpp"

#include <chrono>
#include <cstdint>
#include <new>
#include <string>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"
#include "support/failing_new.hpp"

// How queues and topics come by their names, and lose them; while another is faster, and where
// there is no memory.
namespace {

using namespace std::chrono_literals;
using latchbox::TopicOptions;
using latchbox::Unrouted;
using latchbox::detail::Reference;
using support::FailingNew;
using Naming = latchbox::detail::Naming<int, latchbox::SingleThread>;
using Subscribing = latchbox::detail::Subscribing<int, latchbox::SingleThread>;
using Broker = Naming::Broker;
using Shell = Naming::Shell;
using Topic = Naming::Topic;

struct Named {
    latchbox::ManualClock clock;
    Reference<Broker> broker{new Broker{{.clock = &clock}}};

    Named() { other_broker = broker.get(); }
    ~Named() { broker->end(); }
    [[nodiscard]] auto queue(const std::string& name, const latchbox::QueueOptions& options = {}) {
        return Naming::find_or_make(*broker, name, options);
    }
    [[nodiscard]] auto topic(const std::string& subject) { return Naming::topic(*broker, subject); }
    [[nodiscard]] auto subscribe(const std::string& pattern, const std::string& group = {}) {
        return Subscribing::join(*broker, pattern, {.group = group}).queue;
    }
    [[nodiscard]] int matches(const std::string& subject) const {
        int count = 0;
        broker->topics.match(subject, [&count](const auto&) { ++count; });
        return count;
    }
    // What another does in the middle of a call.
    static inline Broker* other_broker = nullptr;
};

TEST_CASE_FIXTURE(Named, "one name is one queue: who is slower gets that of the other [7.1]") {
    const auto first = queue("a", {.capacity = 7});
    CHECK(&*queue("a") == &*first);
    CHECK(&*queue("b") != &*first);

    static Reference<Shell> others;
    Reference<Shell> mine;
    {
        const FailingNew counting;
        FailingNew::meanwhile([] { others = Naming::find_or_make(*other_broker, "raced", {}); });
        mine = queue("raced", {.capacity = 9});
    }
    CHECK(&*mine == &*others);
    CHECK(mine->options.capacity == 1'048'576);
    CHECK(broker->stats().queues == 3);
    others = {};
}

TEST_CASE_FIXTURE(Named, "a queue that was made in vain leaves nothing that would add up [4.12]") {
    static std::string name;
    for (int round = 0; round < 50; ++round) {
        name = "raced " + std::to_string(round);
        const FailingNew counting;
        FailingNew::meanwhile(
            [] { static_cast<void>(Naming::find_or_make(*other_broker, name, {})); });
        static_cast<void>(queue(name));
    }
    // It would be known to the timekeeper: the next to come gets the number that is free.
    const auto next = queue("next");
    const std::uint32_t number = next->retire();
    CHECK(number <= 51);
    next->enlist(number);
}

TEST_CASE_FIXTURE(Named, "one subject is one topic: who is slower gets that of the other [6.1]") {
    const auto first = topic("a");
    CHECK(&*topic("a") == &*first);
    static Reference<Topic> others;
    Reference<Topic> mine;
    {
        const FailingNew counting;
        FailingNew::meanwhile([] { others = Naming::topic(*other_broker, "raced"); });
        mine = topic("raced");
    }
    CHECK(&*mine == &*others);
    CHECK(broker->topics.size() == 2);
    others = {};
}

TEST_CASE_FIXTURE(Named, "where there is no memory there is no queue, and no topic [4.11]") {
    for (const bool of_queue : {true, false}) {
        const std::int64_t before = support::live_allocations();
        for (std::uint64_t nth = 1;; ++nth) {
            bool threw = false;
            {
                const FailingNew failing{support::Failing::nth, nth};
                try {
                    if (of_queue) {
                        static_cast<void>(queue("a queue with a long name"));
                    } else {
                        static_cast<void>(topic("a topic with a long name"));
                    }
                } catch (const std::bad_alloc&) { threw = true; }
            }
            if (!threw) {
                REQUIRE(nth > 2);
                break;
            }
            REQUIRE(broker->by_name.empty() == of_queue);
            REQUIRE(broker->topics.find("a topic with a long name") == nullptr);
            if (nth < 3) { REQUIRE(support::live_allocations() == before); }
        }
    }
    CHECK(broker->by_name.size() == 1);
}

TEST_CASE_FIXTURE(Named, "what was removed is found no more, and its name is free again [7.5]") {
    const auto first = queue("a");
    CHECK_FALSE(Naming::remove(*broker, "b"));
    CHECK(Naming::remove(*broker, "a"));
    CHECK_FALSE(Naming::remove(*broker, "a"));
    CHECK(first->ended);
    CHECK_FALSE(broker->find("a"));
    const auto second = queue("a");
    CHECK(second->number() != first->number());
    CHECK_FALSE(second->ended);
    broker->close();
    CHECK_FALSE(Naming::remove(*broker, "a"));
    CHECK(broker->find("a"));
}

TEST_CASE_FIXTURE(Named, "a group has a name among the queues; another subscription has none") {
    const auto group = subscribe("a.*", "g");
    const auto alone = subscribe("a.*");
    CHECK(&*broker->find("g") == &*group);
    CHECK_FALSE(broker->find(alone->name()));
    CHECK(alone->name().rfind("a.*", 0) == 0);
    CHECK(broker->by_name.size() == 1);
    CHECK(matches("a.b") == 2);
    // The name of one that nobody finds by it does not end it.
    CHECK_FALSE(Naming::remove(*broker, alone->name()));
    const auto before = broker->topics.generation();
    CHECK(Naming::remove(*broker, "g"));
    CHECK(broker->topics.generation() != before);
    CHECK(matches("a.b") == 1);
    CHECK(group->ended);
    CHECK_FALSE(alone->ended);
    CHECK(broker->stats().subscriptions == 1);
}

TEST_CASE_FIXTURE(Named, "removing takes no memory, of a group neither [4.11]") {
    static_cast<void>(queue("a"));
    const auto group = subscribe("a.*", "g");
    std::uint64_t asked = 0;
    {
        const FailingNew count;
        Naming::remove(*broker, "g");
        Naming::remove(*broker, "a");
        asked = count.asked();
    }
    CHECK(asked == 0);
    CHECK(broker->by_name.empty());
}

TEST_CASE_FIXTURE(Named, "a topic takes the first options that differ from the defaults [7.1]") {
    const auto it = topic("a");
    CHECK(Naming::give_options(*it, {}) == TopicOptions{});
    CHECK_FALSE(it->has_options);
    const TopicOptions two{.retain_count = 2};
    CHECK(Naming::give_options(*it, two) == two);
    CHECK(it->has_options);
    CHECK(Naming::give_options(*it, {}) == two);
    CHECK(Naming::give_options(*it, {.unrouted = Unrouted::reject}) == two);
    CHECK(it->options == two);
}

TEST_CASE_FIXTURE(Named, "a topic that was given options keeps them, though nobody has it [7.1]") {
    const TopicOptions two{.retain_count = 2};
    static_cast<void>(Naming::give_options(*topic("kept"), two));
    CHECK(topic("plain")->options == TopicOptions{});
    for (int i = 0; i < 1'000; ++i) { static_cast<void>(topic("a." + std::to_string(i))); }
    CHECK(broker->topics.size() == 1);
    CHECK(topic("kept")->options == two);
}

}  // namespace
