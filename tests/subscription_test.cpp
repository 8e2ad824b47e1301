// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/subscription.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"
#include "support/sound.hpp"

// The handle of a subscription: who owns it, and what it still does after that.
namespace {

using namespace std::chrono_literals;
using latchbox::Errc;
using Broker = latchbox::Broker<std::string>;
using Consumer = latchbox::Consumer<std::string>;
using Subscription = latchbox::Subscription<std::string>;

static_assert(!std::is_copy_constructible_v<Subscription> &&
              !std::is_copy_assignable_v<Subscription>);
static_assert(std::is_nothrow_move_constructible_v<Subscription>);
static_assert(std::is_nothrow_move_assignable_v<Subscription>);
static_assert(!std::is_default_constructible_v<Subscription>);
static_assert(std::is_base_of_v<Consumer, Subscription>, "workers consume by it");

struct Owned {
    std::optional<Broker> broker{std::in_place};
    latchbox::Topic<std::string> topic = broker->topic("a.b");

    [[nodiscard]] std::size_t subscriptions() const { return broker->stats().subscriptions; }
};

TEST_CASE_FIXTURE(Owned, "a subscription tells its pattern and its group, and has a name [8]") {
    const Subscription alone = broker->subscribe("a.*");
    CHECK(alone.pattern() == "a.*");
    CHECK(alone.group().empty());
    CHECK(alone.name().rfind("a.*", 0) == 0);
    const Subscription member = broker->subscribe("a.>", {.group = "g"});
    CHECK(member.pattern() == "a.>");
    CHECK(member.group() == "g");
    CHECK(member.name() == "g");
    CHECK(alone != member);
    CHECK(member == broker->subscribe("a.>", {.group = "g"}));
}

TEST_CASE_FIXTURE(Owned,
                  "whom it was moved to owns it, and what was moved from ends nothing [6.2]") {
    std::optional<Subscription> first{broker->subscribe("a.*")};
    Subscription second = std::move(*first);
    first->unsubscribe();
    first.reset();
    CHECK(subscriptions() == 1);
    std::vector<Subscription> many;
    many.push_back(std::move(second));
    for (int i = 0; i < 10; ++i) { many.push_back(broker->subscribe("a.*")); }
    CHECK(subscriptions() == 11);
    REQUIRE(topic.publish("x"));
    for (const Subscription& one : many) { CHECK(one.size() == 1); }
    many.erase(many.begin() + 3, many.begin() + 6);
    CHECK(subscriptions() == 8);
    many.clear();
    CHECK(subscriptions() == 0);
}

TEST_CASE_FIXTURE(Owned, "assigned to it ends the one before, and itself changes nothing [6.2]") {
    Subscription one = broker->subscribe("a.*");
    Subscription& same = one;
    one = std::move(same);
    CHECK(subscriptions() == 1);
    CHECK(one.try_fetch() == Errc::empty);
    one = broker->subscribe("a.b");
    CHECK(subscriptions() == 1);
    CHECK(one.pattern() == "a.b");
    one.unsubscribe();
    one = broker->subscribe(">");
    CHECK(subscriptions() == 1);
    CHECK(one.try_fetch() == Errc::empty);
}

TEST_CASE_FIXTURE(Owned, "a consumer made of it is closed with it, and no copy keeps it alive") {
    std::optional<Subscription> owner{broker->subscribe("a.*")};
    const Consumer worker = *owner;
    const Consumer another = worker;
    REQUIRE(topic.publish("x"));
    CHECK(worker == *owner);
    CHECK(worker.pop().value() == "x");
    owner.reset();
    CHECK(subscriptions() == 0);
    CHECK(worker.try_fetch() == Errc::closed);
    CHECK(another.try_fetch() == Errc::closed);
    CHECK(another.cancel({}) == Errc::closed);
    CHECK(another.dead_letters().take() == Errc::closed);
}

TEST_CASE_FIXTURE(Owned, "ended it is closed at every door, and what it counted stays [6.2]") {
    Subscription one = broker->subscribe("a.*");
    REQUIRE(topic.publish("x"));
    auto delivery = one.try_fetch();
    REQUIRE(topic.publish("y"));
    for (int i = 0; i < 2; ++i) {
        one.unsubscribe();
        CHECK(one.try_fetch() == Errc::closed);
        CHECK(one.fetch() == Errc::closed);
        CHECK(one.fetch_for(1h) == Errc::closed);
        CHECK(one.pop() == Errc::closed);
        CHECK(one.pop_all() == Errc::closed);
        CHECK(one.ack(delivery->receipt()) == Errc::closed);
        CHECK(one.extend(delivery->receipt(), 1s) == Errc::closed);
        CHECK(one.cancel(delivery->id()) == Errc::closed);
        CHECK(one.purge() == 0);
        CHECK(one.dead_letters().redrive() == 0);
        CHECK(one.stats().accepted == 2);
        CHECK(one.stats().purged == 1);
    }
    CHECK(delivery->body() == "x");
    CHECK(delivery->ack() == Errc::closed);
    CHECK(one.pattern() == "a.*");
    support::check_sound(one);
}

TEST_CASE_FIXTURE(Owned, "it outlives its broker, in whatever order they go [4.8]") {
    std::optional<Subscription> one{broker->subscribe("a.*", {.group = "g", .durable = true})};
    Subscription other = broker->subscribe("a.*");
    REQUIRE(topic.publish("x"));
    auto delivery = other.try_fetch();
    broker.reset();
    CHECK(one->try_fetch() == Errc::closed);
    CHECK(one->stats().accepted == 1);
    one.reset();
    other.unsubscribe();
    CHECK(other.group().empty());
    CHECK(delivery->body() == "x");
}

}  // namespace
