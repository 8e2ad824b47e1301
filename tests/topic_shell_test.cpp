// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/topic_shell.hpp"

#include <atomic>
#include <cstdint>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"

// One subject, and who holds it.
namespace {

using latchbox::detail::Reference;
template <class Platform> using Broker = latchbox::detail::BrokerShell<int, Platform>;
template <class Platform> using Naming = latchbox::detail::Naming<int, Platform>;
using Topic = latchbox::detail::TopicShell<int, latchbox::SingleThread>;

template <class Platform> struct Topics {
    latchbox::ManualClock clock;
    Reference<Broker<Platform>> broker{new Broker<Platform>{{.clock = &clock}}};

    ~Topics() { broker->end(); }
    [[nodiscard]] auto topic(const std::string& subject) const {
        return Naming<Platform>::topic(*broker, subject);
    }
};
using OneThread = Topics<latchbox::SingleThread>;

TEST_CASE_FIXTURE(OneThread, "a topic keeps a text of its own, and the mark that its name has") {
    std::string subject = "orders.eu";
    const auto held = topic(subject);
    subject = "another";
    CHECK(held->subject == "orders.eu");
    CHECK(held->mark == topic("orders.eu")->mark);
    CHECK(held->mark != topic("orders.us")->mark);
    CHECK(held->published == 0);
    CHECK(held->options == latchbox::TopicOptions{});
}

TEST_CASE_FIXTURE(OneThread, "marks of subjects that are alike are spread: few have the same one") {
    std::set<std::uint16_t> marks;
    for (int i = 0; i < 1'000; ++i) { marks.insert(topic("a." + std::to_string(i))->mark); }
    CHECK(marks.size() > 980);
}

TEST_CASE_FIXTURE(OneThread, "a topic is held until the last lets go, whoever that is [6.7]") {
    auto first = topic("topic");
    Topic& it = *first;
    auto second = topic("topic");
    CHECK(&*second == &it);
    CHECK(broker->topics.size() == 1);
    it.hold();  // a message
    first = {};
    second = {};
    CHECK(it.is_held());
    CHECK(broker->topics.size() == 1);
    it.let_go();
    CHECK_FALSE(it.is_held());
    CHECK(broker->topics.size() == 0);
    // It is there for a while yet.
    CHECK(&*topic("topic") == &it);
}

TEST_CASE("one subject taken and left by many threads is one topic, and none in the end [6.7]") {
    const Topics<latchbox::Threads> topics;
    std::atomic<bool> odd{false};
    std::vector<std::thread> threads;
    for (int self = 0; self < 3; ++self) {
        threads.emplace_back([&] {
            for (int i = 0; i < 2'000; ++i) {
                const auto one = topics.topic("one");
                const auto same = topics.topic("one");
                if (&*one != &*same) { odd = true; }
            }
        });
    }
    for (std::thread& thread : threads) { thread.join(); }
    CHECK_FALSE(odd);
    {
        latchbox::detail::Lock lock{topics.broker->names};
        CHECK(topics.broker->topics.size() == 0);
    }
    CHECK_FALSE(topics.topic("one")->subject.empty());
}

}  // namespace
