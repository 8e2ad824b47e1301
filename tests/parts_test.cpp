// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/parts.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"
#include "support/failing_new.hpp"

// What one commit holds together, and in which order.
namespace {

// One thread alone, whose mutexes tell who locks them when.
struct Telling : latchbox::SingleThread {
    class LATCHBOX_CAPABILITY Mutex {
    public:
        void lock() noexcept LATCHBOX_ACQUIRE() { tell("lock"); }
        void unlock() noexcept LATCHBOX_RELEASE() { tell("unlock"); }

    private:
        void tell(const char* what) const {
            if (told != nullptr) { told->emplace_back(what, this); }
        }
    };
    class Condition {
    public:
        void wait(Mutex&) noexcept {}
        void wait_for(Mutex&, latchbox::Duration) noexcept {}
        void notify_one() noexcept {}
    };
    using Log = std::vector<std::pair<std::string, const Mutex*>>;
    static inline Log* told = nullptr;
};

using latchbox::detail::Access;
using latchbox::detail::Reference;
using Parts = latchbox::detail::Parts<int, Telling>;
using Naming = latchbox::detail::Naming<int, Telling>;

struct Many {
    latchbox::ManualClock clock;
    latchbox::Broker<int, Telling> broker{{.clock = &clock}};
    std::vector<latchbox::Queue<int, Telling>> queues;
    std::vector<Reference<Parts::Topic>> topics;
    Parts parts;

    Many() {
        for (int i = 0; i < 6; ++i) { queues.push_back(broker.queue("q" + std::to_string(i))); }
        auto& shell = *Access::shell(queues[0]).broker;
        for (const char* subject : {"b", "a", "c"}) {
            topics.push_back(Naming::topic(shell, subject));
        }
    }
    ~Many() { Telling::told = nullptr; }
    [[nodiscard]] Parts::Shell& shell(std::size_t i) const { return Access::shell(queues[i]); }
    // Which queues there are, in their order, as digits.
    std::string listed() {
        std::string all;
        for (const auto& part : parts) {
            for (std::size_t i = 0; i < queues.size(); ++i) {
                if (part.queue == &shell(i)) { all += std::to_string(i); }
            }
        }
        return all;
    }
};

TEST_CASE_FIXTURE(Many, "each queue is there once, by its number, however they are added [7.3]") {
    for (const std::size_t most : {2U, 3U, 9U}) {
        parts.start(most);
        CHECK(listed().empty());
        std::string expected;
        for (const std::size_t i : {4U, 4U, 1U, 4U, 1U, 5U, 0U}) {
            if (expected.find(std::to_string(i)) == std::string::npos) {
                if (expected.size() == most) { continue; }
                expected += std::to_string(i);
            }
            parts.add(shell(i));
        }
        std::sort(expected.begin(), expected.end());
        CHECK(listed() == expected);
    }
    parts.start(6);
    for (std::size_t i = 6; i-- != 0;) { parts.add(shell(i)); }
    CHECK(listed() == "012345");
}

TEST_CASE_FIXTURE(Many, "every part is found by its queue, and begins with nothing [7.3]") {
    for (std::size_t count = 1; count <= 6; ++count) {
        parts.start(count);
        for (std::size_t i = 0; i < count; ++i) { parts.add(shell(i * 5 % 6)); }
        for (std::size_t i = 0; i < count; ++i) {
            Parts::Part& part = parts.of(shell(i * 5 % 6));
            REQUIRE(part.queue == &shell(i * 5 % 6));
            CHECK((part.leaving | part.coming) == 0);
            part.leaving = part.coming = 1;
        }
    }
    // Of what was done before nothing is left.
    parts.start(1);
    parts.add(shell(0));
    CHECK((parts.begin()->leaving | parts.begin()->coming) == 0);
}

TEST_CASE_FIXTURE(Many, "topics are locked by their subjects, then queues by their numbers [7.3]") {
    parts.start(3);
    for (const std::size_t i : {2U, 0U, 1U, 2U, 0U}) { parts.add(*topics[i]); }
    for (const std::size_t i : {3U, 1U, 5U}) { parts.add(shell(i)); }
    const std::vector<const Telling::Mutex*> order = {&topics[1]->mutex, &topics[0]->mutex,
                                                      &topics[2]->mutex, &shell(1).mutex,
                                                      &shell(3).mutex,   &shell(5).mutex};
    Telling::Log log;
    Telling::told = &log;
    parts.lock();
    CHECK(log.size() == order.size());
    for (std::size_t i = 0; i < log.size(); ++i) {
        CHECK(log[i] == Telling::Log::value_type{"lock", order[i]});
    }
    log.clear();
    SUBCASE("all are let go") {
        parts.unlock();
        CHECK(log.size() == order.size());
    }
    SUBCASE("topics alone, where the queues were let go one by one") {
        parts.unlock_topics();
        CHECK(log.size() == topics.size());
    }
    for (const auto& [what, mutex] : log) { CHECK(what == "unlock"); }
    Telling::told = nullptr;
}

TEST_CASE_FIXTURE(Many,
                  "two queues need no memory; where there is none the parts can be started "
                  "again [4.11]") {
    std::uint64_t asked = 0;
    {
        const support::FailingNew count;
        parts.start(2);
        parts.add(shell(1));
        parts.add(shell(0));
        asked = count.asked();
    }
    CHECK(asked == 0);
    {
        const support::FailingNew failing{support::Failing::nth, 1};
        CHECK_THROWS_AS(parts.start(3), std::bad_alloc);
    }
    {
        const support::FailingNew failing{support::Failing::nth, 1};
        CHECK_THROWS_AS(parts.add(*topics[0]), std::bad_alloc);
    }
    parts.start(3);
    for (const std::size_t i : {2U, 1U, 0U}) { parts.add(shell(i)); }
    CHECK(listed() == "012");
}

}  // namespace
