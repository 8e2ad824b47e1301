// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/posting.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"
#include "support/failing_new.hpp"
#include "support/sound.hpp"
#include "support/tracked_message.hpp"

// One message before its commit: what is made ready for it, and given back if nothing comes of it.
namespace {

using namespace std::chrono_literals;
using latchbox::Errc;
using latchbox::MessageId;
using latchbox::PublishOptions;
using latchbox::detail::Access;
using latchbox::detail::Lock;
using latchbox::detail::QueueCore;
using latchbox::detail::Reference;
using support::ThrowingMessage;
using support::TrackedMessage;

template <class Msg> struct Posted {
    using Post = latchbox::detail::Post<Msg, latchbox::Threads>;
    using Naming = latchbox::detail::Naming<Msg, latchbox::Threads>;

    latchbox::ManualClock clock;
    latchbox::Broker<Msg> broker{{.clock = &clock}};
    latchbox::Queue<Msg> queue = broker.queue("q", {.capacity = 5});
    latchbox::Subscription<Msg> one = broker.subscribe("a");
    latchbox::Subscription<Msg> other = broker.subscribe("*");
    typename Post::Shell& shell = Access::shell(queue);
    Reference<typename Post::Topic> topic = Naming::topic(*shell.broker, "a");
    PublishOptions options;
    Msg message{7};

    Posted() { Msg::reset(); }
    ~Posted() {
        support::check_sound(queue);
        support::check_sound(one);
        support::check_sound(other);
        CHECK(reserved() == std::vector<std::size_t>{0, 0, 0});
        CHECK(broker.stats().edges == 0);
    }
    void ask(Post& post, bool of_topic) {
        post.queue = of_topic ? nullptr : &shell;
        post.topic = of_topic ? topic.get() : nullptr;
        post.message = &message;
        post.options = &options;
    }
    [[nodiscard]] Errc prepare(Post& post) { return post.prepare(*shell.broker); }
    [[nodiscard]] std::vector<std::size_t> reserved() const {
        return {Access::core(queue).reserved(), Access::core(one).reserved(),
                Access::core(other).reserved()};
    }
    // Until nothing is lacking. How often something was.
    int reserve(Post& post) {
        for (int lacked = 0;; ++lacked) {
            QueueCore::Shortage lacking;
            auto* const lacks = post.reserve(lacking);
            CHECK((lacks != nullptr) == static_cast<bool>(lacking));
            if (lacks == nullptr) { return lacked; }
            post.withdraw();
            CHECK(reserved() == std::vector<std::size_t>{0, 0, 0});
            lacks->mutex.lock();
            lacks->grow(lacking);
        }
    }
};
using Tracked = Posted<TrackedMessage>;
using Throwing = Posted<ThrowingMessage>;
using Counts = std::vector<std::size_t>;

TEST_CASE_FIXTURE(Tracked, "where moves do not throw nothing is taken before the commit [7.3]") {
    options.key = "k";
    options.dedup = "v";
    options.delay = 1s;
    for (const bool of_topic : {false, true}) {
        Post post;
        ask(post, of_topic);
        REQUIRE(prepare(post) == Errc{});
        CHECK(reserved() == Counts{0, 0, 0});
        CHECK(post.value == "v");
        CHECK(post.needs.history);
        CHECK(post.needs.line);
        CHECK(post.needs.value == !of_topic);
        CHECK(message.digest() == 7);
        CHECK(TrackedMessage::copies() + TrackedMessage::moves() == 0);
    }
}

TEST_CASE_FIXTURE(Tracked, "where values are not remembered a post has none [7.1]") {
    const auto forgets = broker.queue("forgets", {.dedup_window = {}});
    static_cast<void>(broker.topic("b", {.dedup_window = {}}));
    const auto other_topic = Naming::topic(*shell.broker, "b");
    options.dedup = "v";
    for (const bool of_topic : {false, true}) {
        Post post;
        ask(post, of_topic);
        post.queue = of_topic ? nullptr : &Access::shell(forgets);
        post.topic = of_topic ? other_topic.get() : nullptr;
        REQUIRE(prepare(post) == Errc{});
        CHECK(post.value.empty());
        CHECK_FALSE(post.needs.value);
    }
}

TEST_CASE_FIXTURE(Tracked, "slots are reserved in all queues it goes to, or in none [7.3]") {
    for (const bool of_topic : {false, true}) {
        Post post;
        ask(post, of_topic);
        REQUIRE(prepare(post) == Errc{});
        CHECK(reserve(post) > 0);
        CHECK(reserved() == (of_topic ? Counts{0, 1, 1} : Counts{1, 0, 0}));
        post.withdraw();
        CHECK(reserved() == Counts{0, 0, 0});
        // What was made for it stays.
        CHECK(reserve(post) == 0);
        post.withdraw();
    }
}

TEST_CASE_FIXTURE(Throwing, "where a move may throw the message is copied ahead, and once [4.11]") {
    const auto live = ThrowingMessage::live();
    for (const bool of_topic : {false, true}) {
        ThrowingMessage::reset();
        {
            Post post;
            ask(post, of_topic);
            // The commit may begin again any number of times.
            for (int i = 0; i < 3; ++i) { REQUIRE(prepare(post) == Errc{}); }
            CHECK(ThrowingMessage::copies() == 1);
            CHECK(ThrowingMessage::live() == live + 1);
            CHECK((post.made != nullptr) == !of_topic);
            // A slot is the post's, and stays so; whether there is room is asked later.
            const auto slots = post.taken.size();
            CHECK(slots == (of_topic ? 0U : 1U));
            CHECK(reserved() == Counts{0, 0, 0});
            reserve(post);
            post.withdraw();
            CHECK(post.taken.size() == slots);
            CHECK(reserved() == Counts{0, 0, 0});
        }
        CHECK(ThrowingMessage::live() == live);
        CHECK(reserved() == Counts{0, 0, 0});
        CHECK(message.digest() == 7);
    }
}

TEST_CASE_FIXTURE(Throwing, "a copy that throws takes nothing with it, the next one does [4.11]") {
    const auto live = ThrowingMessage::live();
    for (const bool of_topic : {false, true}) {
        {
            Post post;
            ask(post, of_topic);
            ThrowingMessage::throw_at_copy(1);
            CHECK_THROWS_AS(static_cast<void>(prepare(post)), support::TrackedFault);
            CHECK(ThrowingMessage::live() == live);
        }
        CHECK(reserved() == Counts{0, 0, 0});
        Post post;
        ask(post, of_topic);
        CHECK(prepare(post) == Errc{});
        CHECK(ThrowingMessage::live() == live + 1);
    }
    CHECK(ThrowingMessage::live() == live);
}

TEST_CASE_FIXTURE(Tracked, "a message that is a child is tied in each queue, or in none [5.4]") {
    const auto parent = broker.queue("parents").publish(TrackedMessage{1});
    REQUIRE(parent);
    options.parents = {*parent};
    for (const bool of_topic : {false, true}) {
        {
            Post post;
            ask(post, of_topic);
            for (int i = 0; i < 2; ++i) { REQUIRE(prepare(post) == Errc{}); }
            CHECK(broker.stats().edges == (of_topic ? 2U : 1U));
        }
        CHECK(broker.stats().edges == 0);
    }
    options.parents = {latchbox::detail::IdParts::message(~0U, 1, 0)};
    Post post;
    ask(post, false);
    CHECK(prepare(post) == Errc::unknown_parent);
}

TEST_CASE_FIXTURE(Tracked, "if subscribers came or went meanwhile it goes to who is there [6.3]") {
    const auto parent = broker.queue("parents").publish(TrackedMessage{1});
    options.parents = {parent.value()};
    Post post;
    ask(post, true);
    REQUIRE(prepare(post) == Errc{});
    CHECK(post.way->targets().size() == 2);
    const auto third = broker.subscribe(">");
    CHECK(post.way->is_stale());
    REQUIRE(prepare(post) == Errc{});
    CHECK(post.way->targets().size() == 3);
    CHECK(broker.stats().edges == 3);
    other.unsubscribe();
    REQUIRE(prepare(post) == Errc{});
    CHECK(post.way->targets().size() == 2);
    post.linking.reset();
}

TEST_CASE_FIXTURE(Tracked, "what nobody gets and nobody can read needs no body [6.5]") {
    one.unsubscribe();
    other.unsubscribe();
    Post post;
    ask(post, true);
    REQUIRE(prepare(post) == Errc{});
    CHECK_FALSE(post.is_kept());
    CHECK(post.drafts->taken == 0);
    options.retain_for = 1h;
    REQUIRE(prepare(post) == Errc{});
    CHECK(post.is_kept());
    CHECK(post.drafts->taken == 1);
}

TEST_CASE_FIXTURE(Tracked, "one for which another stands adds nothing, whichever that is [7.1]") {
    Post first;
    Post second;
    CHECK_FALSE(second.adds_nothing());
    second.same = &first;
    CHECK(second.adds_nothing());
    second.same = nullptr;
    second.repeated = true;
    CHECK(second.adds_nothing());
}

TEST_CASE_FIXTURE(Throwing, "where there is no memory nothing was taken, of whatever kind [4.11]") {
    const auto parent = broker.queue("parents").publish(ThrowingMessage{1});
    options.parents = {parent.value()};
    options.key = "a key with a long name, longer than a text without memory";
    options.dedup = "a value with a long name, longer than a text without memory";
    const auto live = ThrowingMessage::live();
    for (const bool of_topic : {false, true}) {
        int faults = 0;
        for (std::uint64_t nth = 1;; ++nth) {
            std::optional<Post> post{std::in_place};
            ask(*post, of_topic);
            bool threw = false;
            Errc refused{};
            {
                const support::FailingNew failing{support::Failing::nth, nth};
                try {
                    refused = prepare(*post);
                } catch (const std::bad_alloc&) { threw = true; }
            }
            CHECK(refused == Errc{});
            if (threw) {
                ++faults;
                CHECK(ThrowingMessage::live() == live);
            }
            post.reset();
            CHECK(ThrowingMessage::live() == live);
            CHECK(broker.stats().edges == 0);
            CHECK(reserved() == Counts{0, 0, 0});
            if (!threw) { break; }
        }
        CHECK(faults >= 2);
    }
}

}  // namespace
