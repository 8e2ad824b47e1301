// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/booking.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"
#include "support/sound.hpp"
#include "support/watched_threads.hpp"

// Room in all queues that a publish goes to, or in none.
namespace {

using namespace std::chrono_literals;
using latchbox::Errc;
using latchbox::Overflow;
using latchbox::PublishOptions;
using latchbox::detail::Access;
using latchbox::detail::Lock;
using latchbox::detail::Needs;
using latchbox::detail::Reference;
using Platform = latchbox::Threads;
using Booking = latchbox::detail::Booking<int, Platform>;
using Way = latchbox::detail::Way<int, Platform>;
using Naming = latchbox::detail::Naming<int, Platform>;
using Subscription = latchbox::Subscription<int>;

struct Booked {
    latchbox::ManualClock clock;
    latchbox::Broker<int> broker{{.clock = &clock}};
    latchbox::Topic<int> topic = broker.topic("a");
    // In the order of subscribing.
    std::vector<Subscription> subscriptions;
    PublishOptions options;

    void subscribe(std::size_t capacity, Overflow overflow) {
        subscriptions.push_back(
            broker.subscribe("a", {.capacity = capacity, .overflow = overflow, .block_for = 5s}));
    }
    [[nodiscard]] std::vector<std::size_t> reserved() const {
        std::vector<std::size_t> all;
        for (const Subscription& one : subscriptions) {
            const Lock lock{Access::shell(one).mutex};
            all.push_back(Access::core(one).reserved());
        }
        return all;
    }
    [[nodiscard]] std::vector<std::uint64_t> refused() const {
        std::vector<std::uint64_t> all;
        for (const Subscription& one : subscriptions) { all.push_back(one.stats().refused); }
        return all;
    }
    ~Booked() {
        for (const Subscription& one : subscriptions) { support::check_sound(one); }
        for (const std::size_t count : reserved()) { CHECK(count == 0); }
    }
};

// One publish under way.
struct Publish {
    Booked& of;
    Reference<Naming::Broker> broker = Access::shell(of.subscriptions[0]).broker;
    Reference<Way::Topic> topic = Naming::topic(*broker, "a");
    std::size_t count;
    latchbox::Threads::StopToken stop = {};
    Booking booking{*topic, of.options, stop};
    Way way{*topic, count, {}};

    Publish(Booked& from, std::size_t messages) : of{from}, count{messages} {}
    Errc once(bool must_be_accepted = false) {
        way.find();
        return booking.book(way, count, must_be_accepted);
    }
};
using Counts = std::vector<std::size_t>;
using Refused = std::vector<std::uint64_t>;

TEST_CASE_FIXTURE(Booked, "all get what they need, whatever they do where there is no room [6.3]") {
    subscribe(3, Overflow::reject);
    subscribe(0, Overflow::drop_oldest);
    subscribe(3, Overflow::block);
    subscribe(1, Overflow::drop_newest);
    {
        Publish publish{*this, 3};
        REQUIRE(publish.once() == Errc{});
        CHECK(publish.way.next_target() == nullptr);
        CHECK(reserved() == Counts{3, 3, 3, 3});
        // What is booked is nobody else's.
        CHECK(topic.publish(1) == Errc::full);
        CHECK(refused() == Refused{1, 0, 0, 0});
    }
    CHECK(reserved() == Counts{0, 0, 0, 0});
    CHECK(topic.publish(1));
}

TEST_CASE_FIXTURE(Booked, "who refuses it says so once, and nobody holds anything then [6.4]") {
    for (const std::size_t full : {0U, 1U, 2U}) {
        subscriptions.clear();
        for (std::size_t i = 0; i < 3; ++i) { subscribe(i == full ? 2 : 9, Overflow::reject); }
        Publish publish{*this, 3};
        CHECK(publish.once() == Errc::full);
        CHECK(reserved() == Counts{0, 0, 0});
        Refused expected(3);
        expected[full] = 3;
        CHECK(refused() == expected);
    }
}

TEST_CASE_FIXTURE(Booked, "one that is full all the time keeps others from nothing [6.4]") {
    subscribe(9, Overflow::reject);
    subscribe(0, Overflow::reject);
    Publish publish{*this, 1};
    CHECK(publish.once() == Errc::full);
    // Not even memory was made for it.
    CHECK(Access::core(subscriptions[0]).slot_count() == 0);
}

TEST_CASE_FIXTURE(Booked, "one that must be accepted is, beyond capacity if need be [4.11]") {
    subscribe(1, Overflow::reject);
    subscribe(0, Overflow::block);
    subscribe(0, Overflow::drop_newest);
    Publish publish{*this, 2};
    REQUIRE(publish.once(true) == Errc{});
    CHECK(reserved() == Counts{2, 2, 2});
    CHECK(refused() == Refused{0, 0, 0});
}

TEST_CASE_FIXTURE(Booked, "a batch that never fits is full, where others would wait [6.4] [7.2]") {
    subscribe(2, Overflow::block);
    Publish publish{*this, 3};
    CHECK(publish.once() == Errc::full);
    CHECK(refused() == Refused{3});
}

TEST_CASE_FIXTURE(Booked, "where a subscription or the broker ended it begins again, or is over") {
    subscribe(9, Overflow::reject);
    subscribe(9, Overflow::reject);
    Publish publish{*this, 1};
    publish.way.find();
    subscriptions[1].unsubscribe();
    CHECK(publish.booking.book(publish.way, 1, false) == Booking::again);
    CHECK(reserved() == Counts{0, 0});
    CHECK(publish.once() == Errc{});
    CHECK(reserved() == Counts{1, 0});
    publish.way.give_up();
    broker.close();
    CHECK(publish.booking.book(publish.way, 1, false) == Errc::closed);
    CHECK(refused() == Refused{0, 0});
}

// Until somebody waits for room there.
void await_waiter(const Subscription& subscription) {
    auto& shell = Access::shell(subscription);
    for (bool waits = false; !waits; std::this_thread::yield()) {
        const Lock lock{shell.mutex};
        waits = !shell.publishers.empty();
    }
}

TEST_CASE_FIXTURE(Booked, "who waits for room holds nothing meanwhile, and has it then [6.4]") {
    subscribe(9, Overflow::reject);
    subscribe(1, Overflow::block);
    REQUIRE(topic.publish(1));
    Publish publish{*this, 1};
    Errc waited{};
    std::thread thread{[&] { waited = publish.once(); }};
    await_waiter(subscriptions[1]);
    CHECK(reserved() == Counts{0, 0});
    REQUIRE(subscriptions[1].pop());
    thread.join();
    CHECK(waited == Booking::again);
    // Kept for it, whoever comes first.
    CHECK(reserved() == Counts{0, 1});
    CHECK(publish.once() == Errc{});
    CHECK(reserved() == Counts{1, 1});
    CHECK(refused() == Refused{0, 0});
}

TEST_CASE_FIXTURE(Booked, "who has waited for one long enough has for all, and is refused [6.4]") {
    subscribe(1, Overflow::block);
    subscribe(1, Overflow::block);
    REQUIRE(topic.publish(1));
    Publish publish{*this, 1};
    Errc waited{};
    std::thread first{[&] { waited = publish.once(); }};
    await_waiter(subscriptions[0]);
    clock.advance(3s);
    REQUIRE(subscriptions[0].pop());
    first.join();
    CHECK(waited == Booking::again);
    std::thread second{[&] { waited = publish.once(); }};
    await_waiter(subscriptions[1]);
    CHECK(reserved() == Counts{0, 0});
    clock.advance(2s);
    second.join();
    CHECK(waited == Errc::timed_out);
    CHECK(refused() == Refused{0, 1});
}

TEST_CASE_FIXTURE(Booked, "a subscription that ends lets those go on who wait for it [6.2] [6.4]") {
    subscribe(1, Overflow::block);
    REQUIRE(topic.publish(1));
    subscribe(9, Overflow::reject);
    Publish publish{*this, 1};
    Errc waited{};
    std::thread thread{[&] { waited = publish.once(); }};
    await_waiter(subscriptions[0]);
    subscriptions[0].unsubscribe();
    thread.join();
    CHECK(waited == Booking::again);
    CHECK(publish.once() == Errc{});
    CHECK(reserved() == Counts{0, 1});
}

// It has waited for room in the second, and then finds that slots have to be made in the first.
TEST_CASE("room that was waited for is kept while another queue grows [6.4] [4.9]") {
    using Watched = support::WatchedThreads;
    latchbox::BasicManualClock<Watched> clock;
    latchbox::Broker<int, Watched> broker{{.clock = &clock}};
    const auto asks = broker.subscribe(">", {.overflow = Overflow::reject});
    const auto waits =
        broker.subscribe("x", {.capacity = 1, .overflow = Overflow::block, .block_for = 5s});
    const auto x = broker.topic("x");
    const auto y = broker.topic("y");
    REQUIRE(x.publish(1));
    std::thread publisher{[&x] { CHECK(x.publish(2)); }};
    Watched::until_asleep(1);
    for (int i = 0; i < 3; ++i) { REQUIRE(y.publish(10 + i)); }  // all that were made are taken
    CHECK(Access::core(asks).slot_count() == 4);
    CHECK(waits.try_fetch()->ack());
    publisher.join();
    CHECK(waits.size() == 1);
    CHECK(Access::core(asks).reserved() == 0);
    CHECK(Access::core(waits).reserved() == 0);
    CHECK(waits.try_fetch()->ack());
    CHECK(x.publish(3));
}

}  // namespace
