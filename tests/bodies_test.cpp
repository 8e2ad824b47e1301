// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/bodies.hpp"

#include <atomic>
#include <cstdint>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/platform.hpp"
#include "support/tracked_message.hpp"

namespace {

using support::TrackedMessage;

template <class Platform> using Cell = latchbox::detail::BodyCell<TrackedMessage, Platform>;
template <class Platform> using Copy = latchbox::detail::CopyCell<TrackedMessage, Platform>;
template <class Platform> using Shared = latchbox::detail::SharedBody<TrackedMessage, Platform>;
template <class Platform> using Bodies = latchbox::detail::Bodies<TrackedMessage, Platform>;

// Of a cell, whichever it is: each kind has a member of one of these names.
template <class Platform>
TrackedMessage& body(latchbox::detail::Cell<TrackedMessage, Platform>& cell) {
    return cell.body();
}
template <class Platform>
Shared<Platform>* shared(latchbox::detail::Cell<TrackedMessage, Platform>& cell) {
    return cell.shared();
}

TEST_CASE_TEMPLATE("a cell is vacant, holds a body, and is vacant again only when that is gone",
                   Platform, latchbox::Threads, latchbox::SingleThread) {
    Cell<Platform> cell;
    CHECK(cell.vacant());
    for (std::uint64_t value = 1; value < 4; ++value) {
        cell.construct(TrackedMessage{value});
        CHECK_FALSE(cell.vacant());
        CHECK(body(cell).digest() == value);
        CHECK(TrackedMessage::live() == 1);
        CHECK(cell.drop());
        CHECK_FALSE(cell.vacant());
        CHECK(TrackedMessage::live() == 1);
        cell.destroy();
        CHECK(cell.vacant());
        CHECK(TrackedMessage::live() == 0);
    }
}

TEST_CASE_TEMPLATE("the last one out destroys: queue or handle, whoever that is [4.8]", Platform,
                   latchbox::Threads, latchbox::SingleThread) {
    for (int handles = 0; handles < 5; ++handles) {
        Cell<Platform> cell;
        cell.construct(TrackedMessage{7});
        for (int i = 0; i < handles; ++i) { cell.show(); }
        CHECK(cell.seen_by_one() == (handles == 0));
        CHECK(cell.seen_by_one_handle() == (handles == 1));
        for (int i = 0; i < handles; ++i) {
            REQUIRE_FALSE(cell.drop());
            REQUIRE(body(cell).digest() == 7);
        }
        REQUIRE(cell.seen_by_one());
        REQUIRE(cell.drop());
        cell.destroy();
    }
    CHECK(TrackedMessage::live() == 0);
}

TEST_CASE_TEMPLATE("a body kept alone is the handle's, and dropped by it", Platform,
                   latchbox::Threads, latchbox::SingleThread) {
    Cell<Platform> cell;
    cell.construct(TrackedMessage{7});
    CHECK_FALSE(cell.seen_by_one_handle());
    cell.show();
    cell.show();
    CHECK_FALSE(cell.seen_by_one_handle());  // another does, too
    CHECK_FALSE(cell.drop());
    REQUIRE(cell.seen_by_one_handle());
    cell.leave_to_handle();
    CHECK(cell.seen_by_one());
    CHECK_FALSE(cell.vacant());
    CHECK(cell.drop());
    cell.destroy();
    CHECK(cell.vacant());
}

TEST_CASE("a body is built in its place from what it is given: moved, copied or made") {
    TrackedMessage::reset();
    Cell<latchbox::SingleThread> cell;
    TrackedMessage message{3};
    SUBCASE("copied") {
        cell.construct(message);
        CHECK(TrackedMessage::copies() == 1);
        CHECK_FALSE(message.is_moved_from());
    }
    SUBCASE("moved") {
        cell.construct(std::move(message));
        CHECK(TrackedMessage::copies() == 0);
        CHECK(TrackedMessage::moves() == 1);
        CHECK(message.is_moved_from());
    }
    CHECK(body(cell).digest() == 3);
    cell.destroy();
}

TEST_CASE("a construction that throws leaves the cell vacant [4.11]") {
    TrackedMessage::reset();
    Cell<latchbox::SingleThread> cell;
    const TrackedMessage message{3};
    TrackedMessage::throw_at_copy(1);
    CHECK_THROWS_AS(cell.construct(message), support::TrackedFault);
    CHECK(cell.vacant());
    cell.construct(message);
    CHECK(body(cell).digest() == 3);
    cell.destroy();
}

TEST_CASE("of many threads that drop a body at once exactly one is the last [4.8]") {
    constexpr int threads = 4;
    for (int rounds = 0; rounds < 50; ++rounds) {
        Cell<latchbox::Threads> cell;
        cell.construct(TrackedMessage{7});
        for (int i = 0; i < threads; ++i) { cell.show(); }
        std::atomic<int> last{0};
        std::vector<std::thread> droppers;
        for (int i = 0; i < threads; ++i) {
            droppers.emplace_back([&] {
                if (!cell.drop()) { return; }
                last.fetch_add(1);
                cell.destroy();
            });
        }
        if (cell.drop()) {
            last.fetch_add(1);
            cell.destroy();
        }
        for (auto& dropper : droppers) { dropper.join(); }
        REQUIRE(last == 1);
        REQUIRE(cell.vacant());
    }
    CHECK(TrackedMessage::live() == 0);
}

// A message of a topic, with as many holds as there are copies.
template <class Platform> struct Message : Shared<Platform> {
    explicit Message(std::uint32_t copies) {
        this->construct(TrackedMessage{7});
        this->begin(copies, copies);
    }
    ~Message() { this->destroy(); }
};

TEST_CASE_TEMPLATE("copies see one body, and take up no room for another [6.3]", Platform,
                   latchbox::Threads, latchbox::SingleThread) {
    struct Large {
        char text[4'096];
    };
    CHECK(sizeof(latchbox::detail::CopyCell<Large, Platform>) == sizeof(Copy<Platform>));
    Message<Platform> message{2};
    Copy<Platform> one;
    Copy<Platform> other;
    CHECK(one.vacant());
    one.share(message);
    other.share(message);
    CHECK_FALSE(one.vacant());
    CHECK(shared(one) == &message);
    CHECK(&one.body() == &other.body());
    CHECK(&std::as_const(one).body() == &message.body());
    CHECK(TrackedMessage::live() == 1);
    CHECK(one.drop());
    CHECK_FALSE(one.stop_sharing());
    CHECK(one.vacant());
    CHECK(other.body().digest() == 7);
    CHECK(other.drop());
    CHECK(other.stop_sharing());
}

TEST_CASE_TEMPLATE("a body can be moved out by whoever sees it alone, over all copies [4.8]",
                   Platform, latchbox::Threads, latchbox::SingleThread) {
    Message<Platform> message{2};
    Copy<Platform> one;
    Copy<Platform> other;
    one.share(message);
    other.share(message);
    one.show();
    CHECK(one.seen_by_one_handle());
    CHECK_FALSE(one.body_seen_by_one_handle());
    REQUIRE(other.drop());
    REQUIRE_FALSE(other.stop_sharing());
    CHECK(one.body_seen_by_one_handle());
    message.hold();  // somebody reads it by its id
    CHECK_FALSE(one.body_seen_by_one_handle());
    REQUIRE_FALSE(message.drop());
    one.show();
    CHECK_FALSE(one.body_seen_by_one_handle());
    for (int i = 0; i < 2; ++i) { REQUIRE_FALSE(one.drop()); }
    REQUIRE(one.drop());
    REQUIRE(one.stop_sharing());

    Cell<Platform> own;
    own.construct(TrackedMessage{7});
    CHECK_FALSE(own.body_seen_by_one_handle());
    own.show();
    CHECK(own.body_seen_by_one_handle());
    CHECK(shared(own) == nullptr);
    own.leave_to_handle();
    REQUIRE(own.drop());
    own.destroy();
}

TEST_CASE("bodies of one queue never move while more are made [4.8]") {
    Bodies<latchbox::SingleThread> bodies{false};
    auto first = bodies.make(0);
    bodies.adopt(first);
    bodies.add();
    bodies[0].construct(TrackedMessage{1});
    for (unsigned index = 1; index < 6; ++index) {
        CHECK(bodies.next() == index);
        auto chunk = bodies.make(index);
        bodies.adopt(chunk);
        REQUIRE(bodies[0].body().digest() == 1);
        CHECK(bodies[0].shared() == nullptr);
    }
    bodies[0].destroy();
}

TEST_CASE("a queue that topics feed has cells for copies, and for nothing else [6.3]") {
    Bodies<latchbox::SingleThread> bodies{true};
    CHECK(bodies.next() == 0);
    for (unsigned index = 0; index < 3; ++index) {
        auto chunk = bodies.make(index);
        CHECK(chunk.own.elements.empty());
        bodies.adopt(chunk);
        CHECK(bodies.next() == index + 1);
    }
    Message<latchbox::SingleThread> message{1};
    for (int i = 0; i < 101; ++i) { bodies.add(); }
    bodies[100].share(message);
    CHECK(std::as_const(bodies)[100].shared() == &message);
    CHECK(bodies[99].vacant());
    REQUIRE(bodies[100].drop());
    CHECK(bodies[100].stop_sharing());
}

// One whose numbers are counted.
struct Counting : latchbox::SingleThread {
    static inline int atomics = 0;
    template <class T> struct Atomic : latchbox::SingleThread::Atomic<T> {
        Atomic(T value) noexcept : latchbox::SingleThread::Atomic<T>{value} { ++atomics; }
        Atomic(const Atomic&) = delete;
        Atomic& operator=(const Atomic&) = delete;
        ~Atomic() { --atomics; }
    };
};

TEST_CASE("each cell is made as its slot is first used, and ended in the end") {
    for (const bool shares : {false, true}) {
        {
            Bodies<Counting> bodies{shares, 1};
            auto chunk = bodies.make(0);
            bodies.adopt(chunk);
            CHECK(Counting::atomics == 0);
            for (int used = 1; used <= 2; ++used) {
                bodies.add();
                CHECK(Counting::atomics == used);
                CHECK(bodies[0].vacant());
                CHECK(bodies[0].shared() == nullptr);
            }
        }
        CHECK(Counting::atomics == 0);
    }
}

}  // namespace
