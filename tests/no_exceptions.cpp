// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <chrono>
#include <coroutine>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
#include <version>

#include "latchbox/coroutine.hpp"
#include "latchbox/latchbox.hpp"
#include "latchbox/testing.hpp"
#include "latchbox/workers.hpp"

// Every call of the interface, built with -fno-exceptions -fno-rtti. Without arguments all of them
// must work; with `name` or `value` the program must end with the sentence that would be thrown.
namespace {

using namespace std::chrono_literals;
using latchbox::Errc;

int failures = 0;

void expect(bool holds, int line = __builtin_LINE()) {
    if (holds) { return; }
    ++failures;
    std::fprintf(stderr, "line %d: not as expected\n", line);
}

void settles(const latchbox::Queue<std::string>& queue) {
    for (const auto* text : {"a", "b", "c", "d", "e", "f"}) { expect(bool{queue.publish(text)}); }
    expect(bool{queue.try_fetch()->ack()});
    expect(bool{queue.try_fetch()->release()});
    expect(bool{queue.try_fetch()->requeue(1s)});
    expect(bool{queue.try_fetch()->fail("no milk")});
    expect(bool{queue.try_fetch()->reject("not ours")});
    expect(queue.try_fetch()->take().value() == "e");
    auto last = queue.try_fetch();
    expect(bool{last->extend(5s)} && !last->lease_lost() && last->attempt() == 1);
    expect(last->failures() == 0 && last->body() == "f" && !last->deadline().is_never());
    const latchbox::Receipt receipt = std::move(*last).detach();
    expect(bool{queue.extend(receipt, 6s)} && bool{queue.ack(receipt)});
    expect(queue.ack(receipt) == Errc::lease_lost);
    expect(queue.release(receipt) == Errc::lease_lost);
    expect(queue.requeue(receipt) == Errc::lease_lost);
    expect(queue.fail(receipt, "late") == Errc::lease_lost);
    expect(queue.reject(receipt, "late") == Errc::lease_lost);
}

void dead_letters(const latchbox::Queue<std::string>& queue) {
    const auto dead = queue.dead_letters();
    expect(dead.size() == 1);
    dead.for_each([](const latchbox::DeadLetter<std::string>& letter) {
        expect(letter.body() == "d" || letter.reason().text() == "not ours");
        expect(letter.attempt() == 1 && letter.failures() == 0);
    });
    expect(dead.redrive() == 1 && dead.purge() == 0);
    expect(dead.take() == Errc::empty);
    expect(dead.redrive(latchbox::MessageId{}) == Errc::unknown_message);
    expect(dead.take(latchbox::MessageId{}) == Errc::unknown_message);
}

void batches(const latchbox::Queue<std::string>& queue) {
    std::vector<std::string> texts{"x", "y", "z"};
    const auto ids = queue.publish_batch(texts, {.priority = 9});
    expect(ids && ids->size() == 3);
    std::vector<latchbox::Delivery<std::string>> deliveries;
    expect(queue.fetch_batch(deliveries, 2, 1ms).value() == 2);
    expect(queue.ack_batch(deliveries) == 2);
    expect(queue.pop().value() == "z");
    expect(queue.publish("hidden", {.delay = 1h}) && queue.pop_all().has_value());
    const auto id = queue.publish("unwanted");
    expect(bool{queue.cancel(*id)});
    expect(queue.purge() > 0 && queue.size() == 0);
}

void topics(latchbox::Broker<std::string>& broker) {
    const auto topic = broker.topic("orders.eu", {.retain_count = 1});
    expect(topic == broker.topic("orders.eu") && topic.subject() == "orders.eu");
    auto one = broker.subscribe("orders.*");
    auto group = broker.subscribe(">", {.group = "billing", .durable = true, .replay = true});
    expect(one.pattern() == "orders.*" && one.group().empty() && group.name() == "billing");
    const auto id = topic.publish("a");
    const std::string copied = "b";
    expect(id && topic.publish(copied));
    std::vector<std::string> texts{"c", "d"};
    const auto ids = topic.publish_batch(texts, {.retain_for = 1h});
    expect(ids && ids->size() == 2 && *topic.read(ids->front()).value() == "c");
    expect(topic.read(*id) == Errc::expired);
    expect(topic.read(latchbox::MessageId{}) == Errc::unknown_message);
    auto delivery = one.try_fetch();
    expect(delivery->subject() == "orders.eu" && delivery->id() == *id);
    expect(delivery->take().value() == "a" && one.pop_all()->size() == 3);
    expect(group.try_fetch()->reject("no") && group.dead_letters().take().value() == "a");
    expect(broker.explain(ids->front()).copies.size() == 1);
    expect(topic.stats().published == 4 && broker.stats().subscriptions == 2);
    one.unsubscribe();
    expect(one.try_fetch() == Errc::closed && broker.remove("billing"));
    auto moved = std::move(group);
    expect(moved.pop() == Errc::closed);
    const auto refusing = broker.topic("nobody", {.unrouted = latchbox::Unrouted::reject});
    expect(refusing.publish("e") == Errc::no_subscriber);
}

void transactions(latchbox::Broker<std::string>& broker) {
    const auto from = broker.queue("from");
    const auto to = broker.queue("to", {.dedup_window = 1h});
    for (const auto* text : {"a", "b", "c", "d", "e"}) { expect(bool{from.publish(text)}); }
    auto first = from.try_fetch();
    const auto token = first->lease_token();
    auto transaction = broker.transaction();
    expect(bool{transaction.ack(std::move(*first))} && !token.stop_requested());
    expect(bool{transaction.fail(std::move(*from.try_fetch()), "no")});
    expect(bool{transaction.reject(std::move(*from.try_fetch()), "never")});
    const std::string copied = "f";
    expect(bool{transaction.publish(to, copied)} && bool{transaction.publish(to, "g")});
    expect(bool{transaction.publish(broker.topic("committed"), "h")});
    const auto ids = transaction.commit();
    expect(ids && ids->size() == 3);
#if defined(__cpp_lib_jthread)  // without it there is no token that tells
    expect(token.stop_requested());
#endif
    expect(transaction.commit() == Errc::already_settled);
    expect(bool{from.try_fetch()->ack_and_publish(to, "i", {.dedup = "v"})});
    expect(bool{from.try_fetch()->forward(to)});
    expect(to.publish("j", {.dedup = "v"}).has_value() && to.stats().deduplicated == 1);
    expect(to.pop_all()->size() == 4);
    expect(from.purge() == 1 && from.dead_letters().purge() == 1);
}

void workers(latchbox::Broker<std::string>& broker) {
    const auto queue = broker.queue("worked");
    latchbox::Workers workers{queue, {.threads = 2, .name = "w"}, [](const std::string& body) {
                                  return body == "a";
                              }};
    expect(bool{queue.publish("a")} && bool{queue.publish("b", {.expires_in = 1h})});
    while (workers.stats().handled != 2) {}
    workers.stop();
    expect(workers.stats().failed == 1 && workers.name() == "w");
    expect(queue.purge() == 1);
}

struct Flow {
    struct promise_type {
        static Flow get_return_object() { return {}; }
        static std::suspend_never initial_suspend() noexcept { return {}; }
        static std::suspend_never final_suspend() noexcept { return {}; }
        static void return_void() noexcept {}
        static void unhandled_exception() noexcept {}
    };
};
struct Inline {
    template <class Resume> void operator()(Resume resume) const { resume(); }
};
Flow awaits(latchbox::Broker<std::string>& broker, latchbox::Queue<std::string> queue, int& came) {
    auto delivery = co_await async_fetch(queue, Inline{});
    came += delivery && delivery->ack() ? 1 : 0;
    auto late = co_await async_fetch_for(queue, Inline{}, latchbox::Duration{});
    came += late == Errc::timed_out ? 1 : 0;
    const auto latch = broker.latch(delivery->id());
    const auto state = co_await async_wait(latch, Inline{});
    came += state && *state == latchbox::LatchState::completed ? 1 : 0;
    const auto again = co_await async_wait_for(latch, Inline{}, 1h);
    came += again ? 1 : 0;
}

void coroutines(latchbox::Broker<std::string>& broker) {
    const auto queue = broker.queue("awaited");
    int came = 0;
    awaits(broker, queue, came);
    expect(came == 0);
    expect(bool{queue.publish("a")});
    expect(came == 4);
}

void whole_interface() {
    latchbox::ManualClock clock;
    latchbox::Broker<std::string> broker{{.clock = &clock, .tag = "no exceptions"}};
    const auto queue = broker.queue("orders", {.lease = 10s});
    settles(queue);
    dead_letters(queue);
    batches(queue);
    expect(queue.fetch_for({}) == Errc::timed_out && queue.name() == "orders");
    expect(queue.stats().completed > 0 && broker.stats().queues == 1);
    expect(broker.find_queue("orders").has_value() && !broker.find_queue("other"));
    expect(broker.queue("other").options() == latchbox::QueueOptions{});
    expect(broker.remove("other") && broker.tag() == "no exceptions");
    topics(broker);
    transactions(broker);
    workers(broker);
    coroutines(broker);
    clock.advance(1h);
    expect(broker.poll().is_never());
    expect(broker.drain(0s).left() == 0 && broker.close().left() == 0);
    expect(queue.fetch() == Errc::closed && queue.try_fetch() == Errc::closed);

    latchbox::Broker<int, latchbox::SingleThread> single;
    const auto numbers = single.queue("numbers");
    expect(numbers.publish(7) && numbers.pop().value() == 7);
    const auto all = single.subscribe(">");
    expect(single.topic("numbers.odd").publish(7) && all.pop().value() == 7);
}

void simulation() {
    using latchbox::testing::Simulated;
    struct State {
        latchbox::BasicManualClock<Simulated> clock;
        latchbox::Broker<int, Simulated> broker{{.clock = &clock}};
        latchbox::Queue<int, Simulated> orders = broker.queue("orders");
    };
    const auto report = latchbox::testing::explore([](latchbox::testing::World& world) {
        const auto state = std::make_shared<State>();
        static_cast<void>(state->orders.publish(1));
        world.spawn("consumer", [=, &world] {
            world.check(state->orders.pop().value() == 1, "has got another");
            world.check(latchbox::testing::quiescence(state->broker).quiet(), "leaves something");
        });
        latchbox::testing::FaultPlan{world}.jump(state->clock, 1h);
    });
    expect(report.passed() && report.complete && report.schedules > 1);
}

// Ending by abort() is what this program was asked for.
extern "C" void end_as_asked(int) { std::_Exit(0); }

int ends_with_its_sentence(std::string_view what) {
    std::signal(SIGABRT, end_as_asked);
    latchbox::Broker<int> broker;
    if (what == "name") { static_cast<void>(broker.queue("two words")); }
    if (what == "value") { static_cast<void>(broker.queue("orders").try_fetch().value()); }
    return 1;
}

}  // namespace

int main(int count, char** arguments) {
    if (count > 1) { return ends_with_its_sentence(arguments[1]); }
    whole_interface();
    simulation();
    return failures == 0 ? 0 : 1;
}
