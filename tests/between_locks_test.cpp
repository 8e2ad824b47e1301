// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
//
// What may happen while a publish has let go of the lock: to make room, or to move a body whose
// move may throw. And what a cheap look at the clock must not decide.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/detail/access.hpp"
#include "latchbox/detail/latch_audit.hpp"
#include "latchbox/latchbox.hpp"
#include "support/failing_new.hpp"
#include "support/watched_threads.hpp"

namespace {

using namespace std::chrono_literals;
using latchbox::Duration;
using latchbox::Errc;
using latchbox::Instant;
using latchbox::LatchState;
using latchbox::detail::Access;

template <class Queue> const char* audit(const Queue& queue) { return Access::core(queue).audit(); }

// Moves only, by a move that may throw and that lets others act in its middle.
struct Slow {
    explicit Slow(int n) : number{n} { ++alive; }
    Slow(Slow&& other) noexcept(false) : number{other.number} {
        ++alive;
        if (meanwhile != nullptr) { std::exchange(meanwhile, nullptr)(); }
    }
    ~Slow() {
        --alive;
        number = -1;
    }
    int number;
    inline static int alive = 0;
    inline static void (*meanwhile)() = nullptr;
};

latchbox::Broker<Slow>* slow_broker = nullptr;

TEST_CASE("a body moved into a queue that is removed and closed meanwhile dies once [4.8] [7.5]") {
    const int before = Slow::alive;
    {
        latchbox::Broker<Slow> broker;
        slow_broker = &broker;
        const auto orders = broker.queue("orders");
        Slow::meanwhile = [] {
            CHECK(slow_broker->remove("orders"));
            slow_broker->close();
        };
        CHECK(orders.publish(Slow{7}));
        CHECK(Slow::alive == before);
    }
    CHECK(Slow::alive == before);
}

TEST_CASE("what is evicted after a close is not destroyed under its reader [4.8] [7.2]") {
    const int before = Slow::alive;
    {
        latchbox::Broker<Slow> broker;
        slow_broker = &broker;
        const auto orders =
            broker.queue("orders", {.capacity = 1, .overflow = latchbox::Overflow::drop_oldest});
        REQUIRE(orders.publish(Slow{7}));
        auto late = orders.try_fetch();
        REQUIRE(late->release());
        Slow::meanwhile = [] { slow_broker->close(); };
        static_cast<void>(orders.publish(Slow{8}));
        CHECK(late->body().number == 7);
    }
    CHECK(Slow::alive == before);
}

std::optional<latchbox::Queue<int>> raided;
std::vector<latchbox::Delivery<int>> loot;

TEST_CASE("what others lease while a publish makes room is not exceeded [4.12]") {
    latchbox::ManualClock clock;
    latchbox::Broker<int> broker{{.clock = &clock}};
    raided = broker.queue("orders", {.capacity = 16, .overflow = latchbox::Overflow::drop_oldest});
    for (int i = 0; i < 16; ++i) { REQUIRE(raided->publish(i)); }
    loot.reserve(16);
    latchbox::Result<latchbox::MessageId> published{Errc::empty};
    {
        const support::FailingNew counted;
        support::FailingNew::meanwhile([] { CHECK(raided->fetch_batch(loot, 16).value() == 16); });
        published = raided->publish(16);
    }
    CHECK(loot.size() == 16);
    CHECK(published == Errc::full);
    CHECK(raided->size() == 16);
    CHECK(audit(*raided) == nullptr);
    loot.clear();
    raided.reset();
}

// Can be copied, and lets others act in the middle of that, and in the middle of its end.
struct Copied {
    explicit Copied(int n) : number{n} {}
    Copied(const Copied& other) noexcept(false) : number{other.number} {
        if (copying != nullptr) { std::exchange(copying, nullptr)(); }
    }
    ~Copied() {
        if (number == ending_of) {
            ending_of = 0;
            ending();
        }
        number = -1;
    }
    int number;
    inline static void (*copying)() = nullptr;
    inline static int ending_of = 0;
    inline static void (*ending)() = nullptr;
};

std::optional<latchbox::Queue<Copied>> copied;
std::vector<latchbox::Delivery<Copied>> held;

// The body of a publish that is refused after all is destroyed without the lock; until then its
// slot is nobody's.
TEST_CASE("a slot whose body is being destroyed is not given to another message [4.8] [4.10]") {
    latchbox::Broker<Copied> broker;
    copied = broker.queue("orders", {.capacity = 2, .overflow = latchbox::Overflow::drop_oldest});
    REQUIRE(copied->publish(Copied{1}));
    REQUIRE(copied->publish(Copied{2}));
    held.reserve(4);
    // Both are leased while the body of the third is copied, so that there is no room for it.
    Copied::copying = [] {
        CHECK(copied->fetch_batch(held, 2).value() == 2);
        Copied::ending_of = 3;
    };
    Copied::ending = [] {
        CHECK(held.back().ack());  // its body is still read, so its slot is not free either
        CHECK(copied->publish(Copied{4}));
    };
    const Copied third{3};
    CHECK(copied->publish(third) == Errc::full);
    Copied::ending_of = 0;
    {
        auto fourth = copied->try_fetch();
        REQUIRE(fourth);
        CHECK(fourth->body().number == 4);
        CHECK(fourth->ack());
        CHECK(fourth->body().number == 4);
    }
    CHECK(audit(*copied) == nullptr);
    held.clear();
    copied.reset();
}

std::optional<latchbox::Subscription<Copied>> subscribed;

// The body is copied, as it is retained; meanwhile the subscription ends.
TEST_CASE("what was about to be popped from a subscription that ends is not held on [6.2] [5.3]") {
    latchbox::Broker<Copied> broker;
    subscribed = broker.subscribe("s", {.lease = latchbox::Duration::never()});
    const auto topic = broker.topic("s", {.retain_count = 1});
    const auto id = topic.publish(Copied{1}).value();
    const auto latch = broker.latch(id);
    Copied::copying = [] { subscribed->unsubscribe(); };
    CHECK(subscribed->pop() == Errc::closed);
    CHECK(latch.state().value() == LatchState::completed);
    CHECK(broker.stats().messages.held() == 0);
    subscribed.reset();
}

// Sees the time through a fog: an interval of 40 around it.
struct Foggy final : latchbox::Clock {
    std::int64_t at = 0;
    Instant now() noexcept override { return Instant{Duration::nanoseconds(at)}; }
    latchbox::Glance glance() noexcept override {
        return {Instant{Duration::nanoseconds(at - 10)}, Instant{Duration::nanoseconds(at + 30)}};
    }
};

struct InFog {
    Foggy clock;
    latchbox::Broker<int> broker{{.clock = &clock}};
    latchbox::Queue<int> orders = broker.queue("orders");
    std::optional<latchbox::Delivery<int>> delivery;

    // A delivery whose message expires at 100, in a queue that looks for its next thing at 30 s.
    InFog() {
        REQUIRE(orders.publish(1, {.expires_in = Duration::nanoseconds(100)}));
        delivery.emplace(orders.try_fetch().value());
        REQUIRE(orders.publish(2, {.delay = Duration::nanoseconds(50)}));
        clock.at = 60;
        static_cast<void>(broker.poll());
        orders.try_fetch()->ack();
    }
    void settle_at(std::int64_t instant, void (*settle)(latchbox::Delivery<int>&)) {
        clock.at = instant;
        settle(*delivery);
        delivery.reset();
        const auto& core = Access::core(orders);
        const bool over = instant >= 100;
        CHECK(core.in(latchbox::detail::State::ready) == (over ? 0U : 1U));
        CHECK(core.stats().expired == (over ? 1U : 0U));
    }
};

TEST_CASE("a time to live is not judged by a glance when a delivery comes back [4.3]") {
    for (const std::int64_t instant : {95, 99, 100, 105}) {
        CAPTURE(instant);
        InFog{}.settle_at(instant, [](auto& delivery) { CHECK(delivery.release()); });
        InFog{}.settle_at(instant, [](auto& delivery) { CHECK(delivery.requeue()); });
        InFog{}.settle_at(instant, [](auto&) {});  // abandoned
    }
}

// A parent and a gate, and children of theirs that expire, or are due, at 100.
struct FamilyInFog {
    Foggy clock;
    latchbox::Broker<int> broker{{.clock = &clock}};
    latchbox::Queue<int> parents = broker.queue("parents");
    latchbox::Queue<int> children = broker.queue("children");
    latchbox::Gate<int> gate = broker.gate(1);
    latchbox::MessageId parent = parents.publish(1).value();
    latchbox::Delivery<int> held = parents.try_fetch().value();

    [[nodiscard]] latchbox::MessageId publish(const latchbox::PublishOptions& options) const {
        return children.publish(2, options).value();
    }
    [[nodiscard]] std::uint64_t in(latchbox::detail::State state) const {
        return Access::core(children).in(state);
    }
};

TEST_CASE("what parents mean for their children is not judged by a glance [4.3] [5.4]") {
    using latchbox::detail::State;
    for (const std::int64_t instant : {65, 69, 70, 71, 89, 90, 91, 99, 100, 101, 109, 110, 111}) {
        const bool over = instant >= 100;
        CAPTURE(instant);
        for (const int way : {0, 1, 2, 3, 4}) {
            CAPTURE(way);
            FamilyInFog f;
            const bool by_gate = way == 2 || way == 3;
            const auto waited_for = by_gate ? f.gate.id() : f.parent;
            const auto child =
                f.publish({.parents = {waited_for}, .expires_in = Duration::nanoseconds(100)});
            const auto delayed =
                f.publish({.parents = {waited_for}, .delay = Duration::nanoseconds(100)});
            const auto latch = f.broker.latch(child);
            f.clock.at = instant;
            const bool dies = way == 1 || way == 3;
            switch (way) {
                case 0: CHECK(f.held.ack()); break;
                case 1: CHECK(f.held.reject()); break;
                case 2: CHECK(f.gate.count_down()); break;
                case 3: CHECK(f.gate.fail()); break;
                default: CHECK(f.held.take()); break;
            }
            // By the cores alone: nobody asks the clock again.
            CHECK(Access::core(f.children).stats().expired == (over ? 1U : 0U));
            CHECK(f.in(State::dead) == (dies ? (over ? 1U : 2U) : 0U));
            if (!dies && !over) { CHECK(f.in(State::delayed) == 1); }
            CHECK(latch.state().value() == (over   ? LatchState::failed
                                            : dies ? LatchState::dead
                                                   : LatchState::pending));
            if (!dies) {
                const auto expected =
                    over ? latchbox::MessageState::ready : latchbox::MessageState::delayed;
                CHECK(f.broker.explain(delayed).state == expected);
            }
        }
    }
}

TEST_CASE("a latch is not asked by a glance, nor is a reason [4.3] [5.8] [5.9]") {
    for (const std::int64_t instant : {69, 70, 95, 99, 100, 105, 110, 111}) {
        CAPTURE(instant);
        const auto expected = instant >= 100 ? LatchState::failed : LatchState::pending;
        for (const int way : {0, 1, 2, 3}) {
            CAPTURE(way);
            FamilyInFog f;
            const auto mortal = f.publish({.expires_in = Duration::nanoseconds(100)});
            const auto latch = f.broker.latch(mortal);
            f.clock.at = instant;
            if (way == 0) { CHECK(latch.state().value() == expected); }
            if (way == 1) { CHECK(f.broker.latch(mortal).state().value() == expected); }
            if (way == 2) {
                const auto state = f.broker.explain(mortal).state;
                CHECK((state == latchbox::MessageState::failed) == (instant >= 100));
            }
            if (way == 3) {
                const auto waited = latch.wait_for(Duration{});
                CHECK((waited ? *waited : LatchState::pending) == expected);
            }
        }
    }
}

using Platform = support::WatchedThreads;

TEST_CASE("a clock that says never makes nobody late who waits for ever [4.9] [7.6]") {
    latchbox::ManualClock clock;
    latchbox::Broker<int, Platform> broker{{.clock = &clock}};
    const auto orders = broker.queue("orders");
    clock.advance(Duration::never());
    latchbox::Errc ended{};
    std::thread waiting{[&] { ended = orders.fetch().error(); }};
    Platform::until_asleep(1);
    broker.close();
    waiting.join();
    CHECK(ended == Errc::closed);
}

// --- between the link to a parent and the acceptance of its child --------------------------------

using latchbox::MessageId;
using latchbox::OnParentFailure;

// As `Slow`, but copied; where a copy is made others may act.
struct SlowCopy {
    explicit SlowCopy(int n) : number{n} {}
    SlowCopy(const SlowCopy& other) : number{other.number} {
        if (meanwhile != nullptr) { std::exchange(meanwhile, nullptr)(); }
    }
    ~SlowCopy() {}
    int number;
    inline static void (*meanwhile)() = nullptr;
};

// Three parents in three places, one of them leased, and a queue for their child.
template <class Msg> struct Family {
    latchbox::ManualClock clock;
    latchbox::Broker<Msg> broker{{.clock = &clock}};
    latchbox::Queue<Msg> a = broker.queue("a", {.lease = 10s});
    latchbox::Queue<Msg> c = broker.queue("c", {.outcome_memory = memory});
    latchbox::Queue<Msg> home = broker.queue("home");
    latchbox::Gate<Msg> gate = broker.gate(1);
    MessageId leased = a.publish(Msg{1}).value();
    latchbox::Delivery<Msg> held = a.try_fetch().value();
    MessageId ready = c.publish(Msg{2}, {.expires_in = 15s}).value();
    MessageId plain = c.publish(Msg{3}).value();
    std::vector<latchbox::Gate<Msg>> gates;
    latchbox::PublishOptions options{.parents = {ready, gate.id(), leased, ready}, .key = "k"};
    latchbox::Result<MessageId> child{Errc::empty};

    inline static std::size_t memory = 100;
};

template <class Msg> struct Event {
    const char* name;
    void (*happen)(Family<Msg>&);
};

template <class Msg> std::vector<Event<Msg>> events() {
    using F = Family<Msg>;
    return {
        {"nothing", [](F&) {}},
        {"a parent is acked", [](F& f) { f.held.ack(); }},
        {"a parent is rejected", [](F& f) { f.held.reject(); }},
        {"a parent is rejected, and cancelled",
         [](F& f) {
             f.held.reject();
             f.a.cancel(f.leased);
         }},
        {"a parent is rejected, and redriven",
         [](F& f) {
             f.held.reject();
             f.a.dead_letters().redrive();
         }},
        {"a parent is rejected, redriven, and acked",
         [](F& f) {
             f.held.reject();
             f.a.dead_letters().redrive();
             static_cast<void>(f.a.pop());
         }},
        {"all parents complete",
         [](F& f) {
             f.held.ack();
             static_cast<void>(f.c.pop());
             f.gate.count_down();
         }},
        {"the gate fails", [](F& f) { f.gate.fail("no"); }},
        {"a parent is purged", [](F& f) { f.c.purge(); }},
        {"a parent is purged, and its place taken",
         [](F& f) {
             f.c.purge();
             static_cast<void>(f.c.publish(Msg{3}));
         }},
        {"time goes by",
         [](F& f) {
             f.clock.advance(1min);
             f.broker.poll();
         }},
        {"the queue of a parent is removed", [](F& f) { f.broker.remove("c"); }},
        {"the queue of a leased parent is removed", [](F& f) { f.broker.remove("a"); }},
        {"the queue of the child is removed", [](F& f) { f.broker.remove("home"); }},
        {"the queue of the child is replaced",
         [](F& f) {
             f.broker.remove("home");
             static_cast<void>(f.broker.queue("home").publish(Msg{3}));
         }},
        {"the broker closes", [](F& f) { f.broker.close(); }},
    };
}

template <class Msg> std::string picture(Family<Msg>& f) {
    std::string text;
    const auto say = [&text](std::uint64_t number) { text += std::to_string(number) + ' '; };
    say(f.child ? 0 : static_cast<std::uint64_t>(f.child.error()));
    const auto name = [&](const MessageId& id) {
        return id == f.ready ? "r" : id == f.leased ? "l" : id == f.gate.id() ? "g" : "-";
    };
    if (f.child) {
        const auto why = f.broker.explain(*f.child);
        text += std::to_string(static_cast<int>(why.state)) + name(why.reason.parent()) + why.key;
        for (const auto& parent : why.parents) {
            text.append(name(parent.id)).append(to_string(parent.state));
        }
        const auto state = f.broker.latch(*f.child).state();
        text += state ? to_string(*state) : to_string(state.error());
    }
    for (const auto& queue : {f.a, f.c, f.home}) {
        const auto stats = queue.stats();
        text += '\n' + queue.name() + ' ';
        for (const auto count :
             {stats.blocked, stats.delayed, stats.ready, stats.leased, stats.dead, stats.accepted,
              stats.completed, stats.expired, stats.purged, stats.cancelled, stats.refused}) {
            say(count);
        }
        const char* const broken = audit(queue);
        text += broken == nullptr ? "" : broken;
    }
    const auto& board = Access::board(f.home);
    const char* const broken = board.audit();
    text += broken == nullptr ? "" : broken;
    const bool closed = f.broker.queue("a").try_fetch() == Errc::closed;
    if (!closed) { say(board.edges.in_use()), say(board.waits.in_use()); }
    return text;
}

// What happens in the middle of the current publish, at the allocation so many from now.
template <class Msg> struct Middle {
    inline static Family<Msg>* family = nullptr;
    inline static void (*event)(Family<Msg>&) = nullptr;
    inline static int countdown = 0;
    static void happen() { std::exchange(event, nullptr)(*family); }
    static void tick() {
        if (countdown-- == 0) { return happen(); }
        support::FailingNew::meanwhile(tick);
    }
};

template <class Msg> void publish(Family<Msg>& f) {
    Msg message{9};
    f.child = f.home.publish(std::move(message), f.options);
}

// True if the event found its moment. It is as if it had come before the publish, or after it.
template <class Msg, class Arm>
bool happens_between(const Event<Msg>& event, OnParentFailure policy, Arm&& arm) {
    Family<Msg> before;
    before.options.on_parent_failure = policy;
    event.happen(before);
    publish(before);
    Family<Msg> after;
    after.options.on_parent_failure = policy;
    publish(after);
    event.happen(after);

    Family<Msg> f;
    f.options.on_parent_failure = policy;
    Middle<Msg>::family = &f;
    Middle<Msg>::event = event.happen;
    arm(f);
    const bool happened = std::exchange(Middle<Msg>::event, nullptr) == nullptr;
    if (!happened) { return false; }
    const std::string seen = picture(f);
    const std::string either[] = {picture(before), picture(after)};
    const bool as_before = seen == either[0];
    const bool as_after = seen == either[1];
    CHECK_MESSAGE((as_before || as_after),
                  "seen " << seen << "\nbefore " << either[0] << "\nafter " << either[1]);
    return true;
}

constexpr OnParentFailure policies[] = {OnParentFailure::dead_letter, OnParentFailure::deliver,
                                        OnParentFailure::hold};

template <class Msg, class Arm> void each_event(Arm&& arm) {
    for (const std::size_t memory : {std::size_t{100}, std::size_t{0}}) {
        Family<Msg>::memory = memory;
        for (const auto& event : events<Msg>()) {
            for (const OnParentFailure policy : policies) {
                CAPTURE(memory);
                CAPTURE(std::string(event.name));
                CAPTURE(static_cast<int>(policy));
                arm(event, policy);
            }
        }
    }
    Family<Msg>::memory = 100;
}

TEST_CASE("whatever happens as a publish makes room happens before it or after it [5.4] [4.11]") {
    int moments = 0;
    each_event<int>([&](const Event<int>& event, OnParentFailure policy) {
        for (int nth = 0;; ++nth) {
            REQUIRE(nth < 100);
            CAPTURE(nth);
            const bool happened = happens_between(event, policy, [nth](Family<int>& f) {
                const support::FailingNew counted;
                Middle<int>::countdown = nth;
                support::FailingNew::meanwhile(Middle<int>::tick);
                publish(f);
            });
            if (!happened) { break; }
            ++moments;
        }
    });
    CHECK(moments > 500);
}

template <class Msg> void as_its_body_is_made() {
    each_event<Msg>([](const Event<Msg>& event, OnParentFailure policy) {
        const bool happened = happens_between(event, policy, [](Family<Msg>& f) {
            Msg message{9};
            Msg::meanwhile = Middle<Msg>::happen;
            f.child = f.home.publish(std::move(message), f.options);
        });
        Msg::meanwhile = nullptr;
        CHECK(happened);
    });
}

TEST_CASE("so does what happens as its body is moved or copied [5.4] [4.11]") {
    as_its_body_is_made<Slow>();
    as_its_body_is_made<SlowCopy>();
}

TEST_CASE("who asks for a latch meanwhile learns of what happened, or of what was [5.8] [5.2]") {
    int moments = 0;
    for (const auto& event : events<int>()) {
        for (int nth = 0;; ++nth) {
            REQUIRE(nth < 100);
            CAPTURE(std::string(event.name));
            CAPTURE(nth);
            Family<int> f;
            // No memory is left over: neither for a history nor for a latch.
            const auto& board = Access::board(f.home);
            while (board.latches.has_room()) { f.gates.push_back(f.broker.gate(1)); }
            while (!Access::core(f.c).of_histories(1)) { REQUIRE(f.c.publish(4, {.delay = 1h})); }
            std::optional<latchbox::Latch<int>> latch;
            Middle<int>::family = &f;
            Middle<int>::event = event.happen;
            {
                const support::FailingNew counted;
                Middle<int>::countdown = nth;
                support::FailingNew::meanwhile(Middle<int>::tick);
                latch = f.broker.latch(f.plain);
            }
            if (std::exchange(Middle<int>::event, nullptr) != nullptr) { break; }
            ++moments;
            Family<int> g;
            event.happen(g);
            CHECK(latch->state().value() == g.broker.latch(g.plain).state().value());
        }
    }
    CHECK(moments > 20);
}

TEST_CASE("who asks for a reason meanwhile learns of what happened, or of what was [5.9] [5.2]") {
    int moments = 0;
    for (const auto& event : events<int>()) {
        for (int nth = 0;; ++nth) {
            REQUIRE(nth < 100);
            CAPTURE(std::string(event.name));
            CAPTURE(nth);
            Family<int> f;
            f.options.key = "a key that is longer than a short text";
            publish(f);
            const auto before = f.broker.explain(*f.child);
            latchbox::Explanation said;
            Middle<int>::family = &f;
            Middle<int>::event = event.happen;
            {
                const support::FailingNew counted;
                Middle<int>::countdown = nth;
                support::FailingNew::meanwhile(Middle<int>::tick);
                said = f.broker.explain(*f.child);
            }
            if (std::exchange(Middle<int>::event, nullptr) != nullptr) { break; }
            ++moments;
            auto after = f.broker.explain(*f.child);
            if (after.queue.empty()) { said.queue.clear(); }  // its queue went meanwhile
            const bool as_before = said == before;
            const bool as_after = said == after;
            CHECK_MESSAGE((as_before || as_after), to_string(said));
        }
    }
    CHECK(moments > 20);
}

}  // namespace
