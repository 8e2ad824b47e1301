// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/removing.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"
#include "support/sound.hpp"
#include "support/tracked_message.hpp"

// How messages leave other than by a consumer, and what is done with dead letters.
namespace {

using namespace std::chrono_literals;
using latchbox::Errc;
using latchbox::MessageId;
using latchbox::detail::Access;
using support::TrackedMessage;
using Removing = latchbox::detail::Removing<TrackedMessage, latchbox::Threads>;
using DeadLetter = latchbox::DeadLetter<TrackedMessage>;

struct Removed {
    latchbox::ManualClock clock;
    latchbox::Broker<TrackedMessage> broker{{.clock = &clock}};
    latchbox::Queue<TrackedMessage> queue = broker.queue("queue", {.lease = 10s});
    Removing::Shell& shell = Access::shell(queue);

    MessageId publish(std::uint64_t n, const latchbox::PublishOptions& options = {}) const {
        return queue.publish(TrackedMessage{n}, options).value();
    }
    MessageId dead(std::uint64_t n) const {
        const MessageId id = publish(n, {.priority = 9});
        REQUIRE(queue.try_fetch()->reject());
        return id;
    }
    // The bodies of the dead, in the order in which they are shown.
    [[nodiscard]] std::vector<std::uint64_t> each() const {
        struct Room {
            std::size_t places = 0;
            [[nodiscard]] bool has(std::size_t count) const { return count <= places; }
            void make(std::size_t count) { places = count; }
        };
        std::vector<DeadLetter> letters;
        Removing::each_dead(shell, Room{}, [&](Removing::Shell& from, latchbox::detail::Slot slot) {
            letters.push_back(Access::make<DeadLetter>(from, slot));
        });
        std::vector<std::uint64_t> bodies;
        for (const auto& letter : letters) { bodies.push_back(letter.body().digest()); }
        return bodies;
    }
    ~Removed() { support::check_sound(queue); }
};

using Bodies = std::vector<std::uint64_t>;

TEST_CASE_FIXTURE(Removed, "cancelling takes what nobody holds, dead or not [4.2]") {
    const MessageId letter = dead(1);
    const MessageId leased = publish(2);
    auto delivery = queue.try_fetch();
    const MessageId ready = publish(3);
    const MessageId delayed = publish(4, {.delay = 5s});
    CHECK(Removing::cancel(shell, leased) == Errc::leased);
    for (const MessageId id : {letter, ready, delayed}) {
        CHECK(Removing::cancel(shell, id));
        CHECK(Removing::cancel(shell, id) == Errc::unknown_message);
    }
    CHECK(Removing::cancel(shell, {}) == Errc::unknown_message);
    const auto foreign = broker.queue("other").publish(TrackedMessage{5});
    CHECK(Removing::cancel(shell, *foreign) == Errc::unknown_message);
    CHECK(queue.stats().cancelled == 3);
    CHECK(delivery->ack());
    CHECK(Removing::cancel(shell, leased) == Errc::unknown_message);
}

TEST_CASE_FIXTURE(Removed, "a purge leaves the dead and the leased, one of the dead only them") {
    dead(1);
    publish(2);
    auto delivery = queue.try_fetch();
    publish(3);
    publish(4, {.delay = 5s});
    CHECK(Removing::purge(shell) == 2);
    CHECK(Removing::purge(shell) == 0);
    CHECK(Removing::purge_dead(shell) == 1);
    CHECK(queue.stats().purged == 3);
    CHECK(queue.stats().leased == 1);
    CHECK(TrackedMessage::live() == 1);
}

TEST_CASE_FIXTURE(Removed, "the dead are shown in the order of their deaths, on a snapshot") {
    CHECK(each().empty());
    publish(1);
    publish(2);
    auto first = queue.try_fetch();
    auto second = queue.try_fetch();
    REQUIRE(second->reject());
    REQUIRE(first->reject());
    dead(3);
    CHECK(each() == Bodies{2, 1, 3});
    CHECK(TrackedMessage::live() == 3);
}

TEST_CASE_FIXTURE(Removed, "all are redriven in publish order, behind what is ready [3] [4.5]") {
    std::vector<latchbox::Delivery<TrackedMessage>> held;
    for (std::uint64_t n = 1; n <= 40; ++n) {
        publish(n);
        held.push_back(std::move(*queue.try_fetch()));
    }
    while (!held.empty()) {
        REQUIRE(held.back().reject());
        held.pop_back();
    }
    CHECK(each().front() == 40);
    publish(99);
    CHECK(Removing::redrive_all(shell) == 40);
    CHECK(Removing::redrive_all(shell) == 0);
    CHECK(queue.pop()->digest() == 99);
    for (std::uint64_t n = 1; n <= 40; ++n) { REQUIRE(queue.pop()->digest() == n); }
}

TEST_CASE_FIXTURE(Removed, "one is redriven by its id, and only if it is dead [4.5]") {
    const MessageId letter = dead(1);
    const MessageId ready = publish(2);
    CHECK(Removing::redrive(shell, ready) == Errc::unknown_message);
    CHECK(Removing::redrive(shell, letter));
    CHECK(Removing::redrive(shell, letter) == Errc::unknown_message);
    CHECK(queue.try_fetch()->attempt() == 2);
    CHECK(queue.stats().redriven == 1);
}

TEST_CASE_FIXTURE(Removed, "looking finds the oldest dead, or that with this id, and holds it") {
    CHECK(Removing::look(shell, nullptr).error() == Errc::empty);
    const MessageId first = dead(1);
    const MessageId second = dead(2);
    CHECK(Removing::look(shell, nullptr)->id == first);
    const auto found = Removing::look(shell, &second);
    CHECK(found->id == second);
    CHECK(queue.dead_letters().purge() == 2);
    CHECK(found->view.body().digest() == 2);
    CHECK(Removing::look(shell, &second).error() == Errc::unknown_message);
    const MessageId ready = publish(3);
    CHECK(Removing::look(shell, &ready).error() == Errc::unknown_message);
}

TEST_CASE_FIXTURE(Removed, "taken alone a dead letter has to be seen by nobody else [4.8]") {
    const MessageId letter = dead(1);
    auto mine = Removing::look(shell, &letter);
    {
        const auto other = Removing::look(shell, &letter);
        CHECK(Removing::take(shell, letter, true) == Errc::body_shared);
        CHECK(queue.stats().dead == 1);
    }
    CHECK(Removing::take(shell, letter, true));
    CHECK(Removing::take(shell, letter, true) == Errc::unknown_message);
    CHECK(queue.stats().purged == 1);
    CHECK(mine->view.body().digest() == 1);
    CHECK(mine->view.cell().seen_by_one());
}

TEST_CASE_FIXTURE(Removed, "shared with a late holder it can be taken, and both can read [4.8]") {
    publish(1);
    const auto late = queue.try_fetch();
    clock.advance(10s);
    auto delivery = queue.try_fetch();
    REQUIRE(delivery->reject());
    const MessageId letter = delivery->id();
    CHECK(Removing::take(shell, letter, false));
    CHECK(late->body().digest() == 1);
    CHECK(delivery->body().digest() == 1);
    CHECK(TrackedMessage::live() == 1);
}

TEST_CASE_FIXTURE(Removed, "copies of a topic's message go by the id that publish returned [6.3]") {
    const auto topic = broker.topic("topic");
    const auto one = broker.subscribe("topic");
    const auto other = broker.subscribe("*");
    std::vector<MessageId> ids;
    for (std::uint64_t n = 0; n < 40; ++n) {
        ids.push_back(topic.publish(TrackedMessage{n}).value());
    }
    CHECK(one.cancel(ids[30]));
    CHECK(one.cancel(ids[30]) == Errc::unknown_message);
    CHECK(other.cancel(ids[30]));
    CHECK(TrackedMessage::live() == 39);
    REQUIRE(one.try_fetch()->reject("no"));
    CHECK(one.dead_letters().redrive(ids[1]) == Errc::unknown_message);
    CHECK(one.dead_letters().redrive(ids[0]));
    auto leased = one.try_fetch();
    CHECK(leased->id() == ids[1]);
    CHECK(one.cancel(ids[1]) == Errc::leased);
    REQUIRE(leased->reject());
    leased = Errc::empty;
    // Others see the body: what is taken is a copy.
    CHECK(one.dead_letters().take(ids[1])->digest() == 1);
    CHECK(one.dead_letters().take(ids[1]) == Errc::unknown_message);
    CHECK(other.cancel(ids[1]));
    CHECK(one.cancel(publish(7)) == Errc::unknown_message);
    CHECK(queue.cancel(ids[5]) == Errc::unknown_message);
    CHECK(one.size() == 38);
    support::check_sound(one);
    support::check_sound(other);
}

TEST_CASE_FIXTURE(Removed, "once closed nothing leaves and nothing is found [7.5]") {
    const MessageId letter = dead(1);
    publish(2);
    const auto before = queue.stats();
    broker.close();
    CHECK(Removing::cancel(shell, letter) == Errc::closed);
    CHECK(Removing::redrive(shell, letter) == Errc::closed);
    CHECK(Removing::redrive_all(shell) == 0);
    CHECK(Removing::purge(shell) == 0);
    CHECK(Removing::purge_dead(shell) == 0);
    CHECK(Removing::look(shell, nullptr).error() == Errc::closed);
    CHECK(Removing::take(shell, letter, false) == Errc::closed);
    CHECK(each().empty());
    CHECK(queue.stats() == before);
}

}  // namespace
