// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/fetching.hpp"

#include <chrono>
#include <cstddef>
#include <functional>
#include <new>
#include <stop_token>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"
#include "support/sound.hpp"

// How deliveries get out: some of them under one lock, with room made before.
namespace {

using namespace std::chrono_literals;
using latchbox::Errc;
using latchbox::detail::Access;
using latchbox::detail::Grant;
using Fetching = latchbox::detail::Fetching<int, latchbox::Threads>;
using Delivery = latchbox::Delivery<int>;

struct Fetched {
    latchbox::ManualClock clock;
    latchbox::Broker<int> broker{{.clock = &clock}};
    latchbox::Queue<int> queue = broker.queue("queue", {.lease = 10s});
    Fetching::Shell& shell = Access::shell(queue);
    std::vector<Delivery> taken;

    void publish(int count) const {
        for (int n = 1; n <= count; ++n) { REQUIRE(queue.publish(n)); }
    }
    template <class Room>
    Errc some(std::size_t max, Room&& room, const Fetching::Patience& patience = {},
              const Fetching::Member* member = nullptr) {
        return Fetching::some(shell, member, max, patience, {}, room,
                              [this](Fetching::Shell& from, auto&, const Grant& grant) {
                                  taken.push_back(Access::make<Delivery>(from, grant));
                              });
    }
    ~Fetched() { support::check_sound(queue); }
};

// Has room for none until it was made, and counts how often.
struct Room {
    std::size_t places = 0;
    int made = 0;
    std::size_t largest = ~std::size_t{0};
    [[nodiscard]] bool has(std::size_t count) const noexcept { return count <= places; }
    void make(std::size_t count) {
        if (count > largest) { throw std::bad_alloc{}; }
        places = count;
        ++made;
    }
};

TEST_CASE_FIXTURE(Fetched, "as many come as are ready and asked for, in order [4.4]") {
    publish(5);
    Room room;
    REQUIRE(some(3, room) == Errc{});
    CHECK(taken.size() == 3);
    REQUIRE(some(~std::size_t{0}, room) == Errc{});
    REQUIRE(taken.size() == 5);
    for (std::size_t i = 0; i < 5; ++i) {
        CHECK(taken[i].body() == static_cast<int>(i) + 1);
        CHECK(taken[i].attempt() == 1);
        CHECK(taken[i].deadline() == latchbox::Instant{10s});
    }
    CHECK(some(1, room) == Errc::empty);
    CHECK(queue.stats().leased == 5);
}

TEST_CASE_FIXTURE(Fetched, "room for deliveries is made without the lock, as often as it takes") {
    publish(2);
    struct Nosy : Room {
        const latchbox::Queue<int>& queue;
        explicit Nosy(const latchbox::Queue<int>& q) : queue{q} {}
        void make(std::size_t count) {
            Room::make(count);
            // One more becomes ready meanwhile: the room is too small again.
            if (made == 1) { REQUIRE(queue.publish(3)); }
        }
    } room{queue};
    REQUIRE(some(9, room) == Errc{});
    CHECK(room.made == 2);
    CHECK(taken.size() == 3);
}

TEST_CASE_FIXTURE(Fetched, "room that cannot be made leaves everything as before [4.11]") {
    publish(3);
    Room room;
    room.largest = 2;
    const auto before = queue.stats();
    CHECK_THROWS_AS(some(3, room), std::bad_alloc);
    CHECK(queue.stats() == before);
    REQUIRE(some(2, room) == Errc{});
    CHECK(taken.size() == 2);
}

TEST_CASE_FIXTURE(Fetched, "what a hundred leases need is made before the first [4.11]") {
    publish(100);
    Room room;
    REQUIRE(some(100, room) == Errc{});
    CHECK(taken.size() == 100);
    support::check_sound(queue);
}

TEST_CASE_FIXTURE(Fetched, "of none asked for, none: whatever is ready, unless it is closed") {
    publish(1);
    Room room;
    CHECK(some(0, room) == Errc{});
    CHECK(taken.empty());
    broker.close();
    CHECK(some(0, room) == Errc::closed);
}

TEST_CASE_FIXTURE(Fetched, "a negative wait is refused, closed goes before that [7.6] [7.7]") {
    publish(1);
    const Fetching::Patience negative{.waits = true, .timed = true, .length = -1ns};
    CHECK(some(1, Fetching::NoRoom{}, negative) == Errc::invalid_option);
    CHECK(queue.stats().ready == 1);
    REQUIRE(broker.remove("queue"));
    CHECK(some(1, Fetching::NoRoom{}, negative) == Errc::closed);
}

TEST_CASE_FIXTURE(Fetched, "who fetches as a member gets what others do, until he has left [6.2]") {
    using Member = Fetching::Member;
    publish(2);
    const latchbox::detail::Reference<Member> member{new Member};
    CHECK(some(1, Room{}, {}, member.get()) == Errc{});
    REQUIRE(member->leave());
    const Fetching::Patience negative{.waits = true, .timed = true, .length = -1ns};
    for (const auto& patience : {Fetching::Patience{}, negative}) {
        CHECK(some(1, Room{}, patience, member.get()) == Errc::closed);
    }
    CHECK(some(0, Room{}, {}, member.get()) == Errc::closed);
    CHECK(queue.stats().ready == 1);
    CHECK(some(1, Room{}) == Errc{});
    CHECK(taken.size() == 2);
}

TEST_CASE_FIXTURE(Fetched, "a wait of no time is over at once, and says so [4.3]") {
    const Fetching::Patience none{.waits = true, .timed = true, .length = {}};
    CHECK(some(1, Fetching::NoRoom{}, none) == Errc::timed_out);
    CHECK(some(1, Fetching::NoRoom{}) == Errc::empty);
    publish(1);
    CHECK(some(1, Fetching::NoRoom{}, none) == Errc{});
}

TEST_CASE_FIXTURE(Fetched, "what is due by then is delivered, though nobody called before [4.3]") {
    REQUIRE(queue.publish(1, {.delay = 5s}));
    REQUIRE(queue.publish(2, {.expires_in = 5s}));
    clock.advance(5s);
    REQUIRE(some(9, Room{}) == Errc{});
    REQUIRE(taken.size() == 1);
    CHECK(taken[0].body() == 1);
    clock.advance(10s);
    REQUIRE(some(9, Room{}) == Errc{});
    CHECK(taken[1].attempt() == 2);
    CHECK(taken[1].failures() == 1);
    CHECK(taken[0].lease_lost());
}

// Threads of which each fetch lingers; what happens meanwhile is up to the test.
struct Lingering : latchbox::Threads {
    static int spins() noexcept { return 3; }
    static inline std::function<void()> meanwhile;
    static void pause() noexcept {
        if (meanwhile) { std::exchange(meanwhile, nullptr)(); }
    }
};

TEST_CASE("while a fetch lingers it learns of a message, of a stop and of the end of its time") {
    latchbox::ManualClock clock;
    latchbox::Broker<int, Lingering> broker{{.clock = &clock}};
    const auto queue = broker.queue("queue");
    SUBCASE("a message") {
        Lingering::meanwhile = [&] { queue.publish(7).value(); };
        CHECK(queue.fetch()->body() == 7);
    }
    SUBCASE("a stop: the message stays [7.7]") {
        std::stop_source stop;
        Lingering::meanwhile = [&] {
            stop.request_stop();
            queue.publish(7).value();
        };
        CHECK(queue.fetch(stop.get_token()) == latchbox::Errc::cancelled);
        CHECK(queue.stats().ready == 1);
    }
    SUBCASE("the end of its time: the message came later [4.3]") {
        Lingering::meanwhile = [&] {
            clock.advance(std::chrono::seconds{1});
            queue.publish(7).value();
        };
        CHECK(queue.fetch_for(std::chrono::seconds{1}) == latchbox::Errc::timed_out);
        CHECK(queue.stats().ready == 1);
    }
    SUBCASE("a close") {
        Lingering::meanwhile = [&] { broker.close(); };
        CHECK(queue.fetch() == latchbox::Errc::closed);
    }
    CHECK_FALSE(Lingering::meanwhile);
}

}  // namespace
