// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"

#include "latchbox/testing/choices.hpp"
#include "support/sound.hpp"

// The messages of one key form a line in their queue: one at a time, in order.
namespace {

using namespace std::chrono_literals;
using latchbox::Errc;
using latchbox::Instant;
using latchbox::MessageId;
using latchbox::MessageState;
using latchbox::Overflow;
using latchbox::PublishOptions;
using Queue = latchbox::Queue<std::string>;
using Delivery = latchbox::Delivery<std::string>;

struct Keyed {
    latchbox::ManualClock clock;
    latchbox::Broker<std::string> broker{{.clock = &clock}};
    Queue q = broker.queue("q", {.lease = 10s});

    ~Keyed() { support::check_sound(q); }
    [[nodiscard]] MessageId publish(const std::string& body, std::string_view key,
                                    PublishOptions options = {}) const {
        options.key = key;
        return q.publish(body, options).value();
    }
    // "1 2 3" in the line of one key; their ids.
    [[nodiscard]] std::vector<MessageId> line(int count, std::string_view key = "k") const {
        std::vector<MessageId> ids;
        for (int i = 1; i <= count; ++i) { ids.push_back(publish(std::to_string(i), key)); }
        return ids;
    }
    [[nodiscard]] Delivery fetch() const { return q.try_fetch().value(); }
    [[nodiscard]] MessageState state(const MessageId& id) const { return broker.explain(id).state; }
};

TEST_CASE_FIXTURE(Keyed, "the messages of one key come one at a time, in order [5.7]") {
    const auto ids = line(4);
    CHECK(q.stats().ready == 1);
    CHECK(q.stats().blocked == 3);
    for (int i = 1; i <= 4; ++i) {
        auto delivery = fetch();
        CHECK(delivery.body() == std::to_string(i));
        CHECK(q.try_fetch() == Errc::empty);
        CHECK(delivery.ack());
    }
    CHECK(q.size() == 0);
    CHECK(broker.stats().edges == 0);
    CHECK(broker.stats().latches == 0);
}

TEST_CASE_FIXTURE(Keyed, "other keys, and messages without one, never wait for it [5.7]") {
    static_cast<void>(line(3));
    for (const char* body : {"a", "b"}) { static_cast<void>(publish(body, body)); }
    for (const char* body : {"x", "y"}) { static_cast<void>(publish(body, "")); }
    const auto first = fetch();
    CHECK(first.body() == "1");
    CHECK(support::work_off_text(q) == "abxy");
    CHECK(q.stats().blocked == 2);
    // The same key in another queue is another line.
    const auto other = broker.queue("other");
    REQUIRE(other.publish("o", {.key = "k"}));
    CHECK(other.pop().value() == "o");
    CHECK(first.id() != MessageId{});
    support::check_sound(other);
}

TEST_CASE_FIXTURE(Keyed, "an empty key is none, any bytes are one [5.7]") {
    using namespace std::string_literals;
    static_cast<void>(publish("1", ""));
    static_cast<void>(publish("2", ""));
    CHECK(q.stats().ready == 2);
    CHECK(support::work_off_text(q) == "12");
    const std::string keys[] = {"\0"s,
                                "\0\0"s,
                                " ",
                                "K",
                                "k",
                                "k ",
                                std::string(100'000, 'k'),
                                std::string(99'999, 'k') + "l"};
    for (const std::string& key : keys) {
        const MessageId first = publish("x", key);
        const MessageId second = publish("y", key);
        CHECK(state(first) == MessageState::ready);
        CHECK(state(second) == MessageState::blocked);
        CHECK(broker.explain(second).key == key);
        CHECK(broker.explain(first).key == key);
    }
    CHECK(q.stats().ready == std::size(keys));
    CHECK(q.purge() == 2 * std::size(keys));
}

TEST_CASE_FIXTURE(Keyed, "who joined first goes first, whatever the priority [5.7] [4.4]") {
    static_cast<void>(publish("1", "k", {.priority = 1}));
    static_cast<void>(publish("2", "k", {.priority = 9}));
    static_cast<void>(publish("3", "l", {.priority = 5}));
    static_cast<void>(publish("4", "k", {.priority = 0}));
    CHECK(support::work_off_text(q) == "3124");
}

TEST_CASE_FIXTURE(Keyed, "the next head takes the place of its own publish [5.7] [3]") {
    static_cast<void>(line(2));
    static_cast<void>(publish("x", ""));
    static_cast<void>(publish("3", "k"));
    static_cast<void>(publish("y", ""));
    CHECK(support::work_off_text(q) == "12x3y");
}

TEST_CASE_FIXTURE(Keyed, "a head that comes back in whatever way keeps its line [5.7]") {
    static_cast<void>(line(2));
    static_cast<void>(publish("x", ""));
    const auto next_is_head = [&] {
        for (;;) {
            auto delivery = fetch();
            if (delivery.body() == "x") {
                REQUIRE(delivery.ack());
                continue;
            }
            return delivery.body() == "1" && delivery.release().has_value();
        }
    };
    CHECK(fetch().release());
    CHECK(next_is_head());
    CHECK(fetch().requeue());
    CHECK(next_is_head());
    CHECK(fetch().requeue(5s));
    CHECK(q.try_fetch() == Errc::empty);
    clock.advance(5s);
    CHECK(next_is_head());
    CHECK(fetch().fail("no"));
    CHECK(q.try_fetch() == Errc::empty);
    clock.advance(1min);
    CHECK(next_is_head());
    { const auto abandoned = fetch(); }
    CHECK(next_is_head());
    static_cast<void>(fetch().detach());
    clock.advance(10s);
    CHECK(next_is_head());
    CHECK(q.stats().blocked == 1);
    CHECK(support::work_off_text(q) == "12");
}

TEST_CASE_FIXTURE(Keyed, "a delayed head holds its line until it is due [5.7]") {
    static_cast<void>(publish("1", "k", {.delay = 5s}));
    static_cast<void>(publish("2", "k"));
    const MessageId third = publish("3", "k", {.delay = 8s});
    const MessageId fourth = publish("4", "k", {.delay = 1s});
    CHECK(q.stats().delayed == 1);
    CHECK(q.stats().blocked == 3);
    clock.advance(5s - 1ns);
    CHECK(q.try_fetch() == Errc::empty);
    clock.advance(1ns);
    CHECK(q.pop().value() == "1");
    CHECK(q.pop().value() == "2");
    // The delay of who waited in line counts from its publish.
    CHECK(state(third) == MessageState::delayed);
    CHECK(broker.explain(third).until == Instant{8s});
    CHECK(state(fourth) == MessageState::blocked);
    clock.advance(3s);
    CHECK(support::work_off_text(q) == "34");
}

TEST_CASE_FIXTURE(Keyed, "who leaves the line lets the next go, and closes the gap [5.7]") {
    const auto ids = line(5);
    SUBCASE("the head is cancelled") {
        REQUIRE(q.cancel(ids[0]));
        CHECK(state(ids[1]) == MessageState::ready);
        CHECK(support::work_off_text(q) == "2345");
    }
    SUBCASE("one in the middle is cancelled") {
        REQUIRE(q.cancel(ids[2]));
        CHECK(broker.explain(ids[3]).ahead_in_key == 2);
        CHECK(support::work_off_text(q) == "1245");
    }
    SUBCASE("the last is cancelled, another joins") {
        REQUIRE(q.cancel(ids[4]));
        static_cast<void>(publish("6", "k"));
        CHECK(support::work_off_text(q) == "12346");
    }
    SUBCASE("the head dies") {
        REQUIRE(fetch().reject());
        CHECK(state(ids[1]) == MessageState::ready);
        CHECK(support::work_off_text(q) == "2345");
    }
    SUBCASE("all are purged") {
        CHECK(q.purge() == 5);
        CHECK(q.size() == 0);
        static_cast<void>(line(2));
        CHECK(support::work_off_text(q) == "12");
    }
    SUBCASE("while the head is leased all others are purged") {
        auto head = fetch();
        CHECK(q.purge() == 4);
        static_cast<void>(publish("6", "k"));
        CHECK(q.stats().blocked == 1);
        CHECK(head.ack());
        CHECK(support::work_off_text(q) == "6");
    }
}

TEST_CASE_FIXTURE(Keyed, "who expires leaves the line, wherever it stood [5.7] [4.3]") {
    std::vector<MessageId> ids;
    for (int i = 1; i <= 4; ++i) {
        PublishOptions options;
        if (i % 2 == 0) { options.expires_in = 5s * i; }
        if (i == 1) { options.expires_in = 12s; }
        ids.push_back(publish(std::to_string(i), "k", options));
    }
    clock.advance(10s);  // the second
    CHECK(state(ids[1]) == MessageState::failed);
    CHECK(state(ids[2]) == MessageState::blocked);
    CHECK(broker.explain(ids[3]).ahead_in_key == 2);
    clock.advance(2s);  // the head
    CHECK(state(ids[2]) == MessageState::ready);
    clock.advance(1h);
    CHECK(support::work_off_text(q) == "3");
    CHECK(q.stats().expired == 3);
}

TEST_CASE_FIXTURE(Keyed, "a line of mortals expires in one jump as it would in steps [5.7] [4.3]") {
    std::vector<MessageId> ids;
    for (int i = 1; i <= 50; ++i) {
        ids.push_back(publish("x", "k", {.delay = 1s * (i % 7), .expires_in = 10s + 1s * i}));
    }
    const MessageId last = publish("last", "k", {.delay = 30s});
    clock.advance(1h);
    CHECK(q.stats().expired == 50);
    CHECK(state(last) == MessageState::ready);
    CHECK(broker.poll().is_never());
    CHECK(q.pop().value() == "last");
}

TEST_CASE_FIXTURE(Keyed, "a redriven message joins the end of its line [5.7] [3]") {
    const auto ids = line(3);
    REQUIRE(fetch().reject());
    CHECK(broker.explain(ids[0]).key == "k");
    SUBCASE("behind others") {
        REQUIRE(q.dead_letters().redrive(ids[0]));
        CHECK(state(ids[0]) == MessageState::blocked);
        CHECK(broker.explain(ids[0]).ahead_in_key == 2);
        static_cast<void>(publish("4", "k"));
        CHECK(support::work_off_text(q) == "2314");
    }
    SUBCASE("into an empty line") {
        CHECK(support::work_off_text(q) == "23");
        REQUIRE(q.dead_letters().redrive(ids[0]));
        CHECK(state(ids[0]) == MessageState::ready);
        CHECK(q.pop().value() == "1");
    }
    SUBCASE("all together, in publish order") {
        REQUIRE(fetch().reject());
        REQUIRE(fetch().reject());
        CHECK(q.dead_letters().redrive() == 3);
        CHECK(q.stats().ready == 1);
        CHECK(q.stats().blocked == 2);
        CHECK(support::work_off_text(q) == "123");
    }
}

TEST_CASE_FIXTURE(Keyed, "a head that waits for a parent holds its line [5.7] [5.1]") {
    const auto gate = broker.gate(1);
    const MessageId head = publish("1", "k", {.parents = {gate.id()}});
    const MessageId second = publish("2", "k");
    const MessageId third = publish("3", "k", {.parents = {head}});
    CHECK(q.try_fetch() == Errc::empty);
    const auto why = broker.explain(second);
    CHECK(why.parents.empty());
    CHECK(why.ahead_in_key == 1);
    CHECK(to_string(why) == to_string(second) +
                                " in \"q\" is blocked: it waits for 1 before it with the key "
                                "\"k\"");
    CHECK(to_string(broker.explain(third)) ==
          to_string(third) + " in \"q\" is blocked: it waits for " + to_string(head) +
              " (pending), and for 2 before it with the key \"k\"");
    SUBCASE("until the parent completes") {
        REQUIRE(gate.count_down());
        CHECK(support::work_off_text(q) == "123");
    }
    SUBCASE("until it dies of the parent") {
        REQUIRE(gate.fail());
        CHECK(state(head) == MessageState::dead);
        CHECK(state(third) == MessageState::dead);
        CHECK(support::work_off_text(q) == "2");
    }
    SUBCASE("until it is cancelled") {
        REQUIRE(q.cancel(head));
        CHECK(support::work_off_text(q) == "2");
    }
}

TEST_CASE_FIXTURE(Keyed, "who has no parent left still waits for its turn [5.7] [5.4]") {
    const auto gate = broker.gate(1);
    const auto ids = line(2);
    const MessageId child = publish("3", "k", {.parents = {gate.id(), ids[0]}});
    REQUIRE(gate.count_down());
    CHECK(broker.explain(child).parents.size() == 1);
    CHECK(q.pop().value() == "1");
    CHECK(broker.explain(child).parents.empty());
    CHECK(broker.explain(child).ahead_in_key == 1);
    CHECK(state(child) == MessageState::blocked);
    CHECK(q.pop().value() == "2");
    CHECK(q.pop().value() == "3");
}

TEST_CASE_FIXTURE(Keyed, "who dies in the middle of its line blocks nobody [5.7] [5.5]") {
    const auto gate = broker.gate(1);
    const auto first = line(1);
    const MessageId torn = publish("x", "k", {.parents = {gate.id()}});
    const MessageId last = publish("2", "k");
    CHECK(broker.explain(last).ahead_in_key == 2);
    REQUIRE(gate.fail());
    CHECK(state(torn) == MessageState::dead);
    CHECK(broker.explain(last).ahead_in_key == 1);
    // Dead on arrival: it never stands in line.
    CHECK(state(publish("y", "k", {.parents = {gate.id()}})) == MessageState::dead);
    CHECK(broker.explain(last).ahead_in_key == 1);
    CHECK(support::work_off_text(q) == "12");
    static_cast<void>(first);
}

TEST_CASE_FIXTURE(Keyed, "a parent and its child of one key follow each other [5.7] [5.1]") {
    std::vector<MessageId> ids{publish("1", "k")};
    for (int i = 2; i <= 5; ++i) {
        ids.push_back(publish(std::to_string(i), "k", {.parents = {ids.back()}}));
    }
    SUBCASE("in order") { CHECK(support::work_off_text(q) == "12345"); }
    SUBCASE("into death, and back") {
        REQUIRE(fetch().reject());
        CHECK(q.stats().dead == 5);
        CHECK(q.dead_letters().redrive() == 5);
        CHECK(support::work_off_text(q) == "12345");
    }
    SUBCASE("a parent that joins behind its child's place holds it up, and nobody else") {
        REQUIRE(fetch().reject());
        REQUIRE(q.dead_letters().redrive(ids[0]));
        static_cast<void>(publish("6", "k"));
        REQUIRE(q.dead_letters().redrive(ids[1]));
        CHECK(support::work_off_text(q) == "162");
    }
}

TEST_CASE_FIXTURE(Keyed,
                  "a redriven parent passes the child that waits for it in the line of its key "
                  "[5.7] [5.6]") {
    // Behind its child, which waits for it, neither could ever go.
    const MessageId parent = publish("1", "k");
    REQUIRE(fetch().reject());
    const MessageId child = publish(
        "2", "k", {.parents = {parent}, .on_parent_failure = latchbox::OnParentFailure::hold});
    static_cast<void>(publish("3", "k"));
    REQUIRE(q.dead_letters().redrive(parent));
    CHECK(state(parent) == MessageState::ready);
    CHECK(broker.explain(child).parents.at(0).id == parent);
    CHECK(support::work_off_text(q) == "123");
}

TEST_CASE_FIXTURE(Keyed, "a batch of one key is a line of its own [5.7]") {
    static_cast<void>(line(1));
    std::vector<std::string> batch = {"2", "3", "4"};
    REQUIRE(q.publish_batch(batch, {.key = "k"}));
    CHECK(q.stats().ready == 1);
    CHECK(q.stats().blocked == 3);
    std::vector<Delivery> out;
    CHECK(q.fetch_batch(out, 9).value() == 1);
    CHECK(q.ack_batch(out) == 1);
    CHECK(q.pop_all()->size() == 1);
    CHECK(support::work_off_text(q) == "34");
}

TEST_CASE_FIXTURE(Keyed, "a waiting line takes room, and can be evicted [5.7] [7.2] [4.12]") {
    const auto small = broker.queue("small", {.capacity = 3, .overflow = Overflow::drop_oldest});
    const auto publish_small = [&](const char* body, std::uint8_t priority = 0) {
        return small.publish(body, {.key = "k", .priority = priority}).value();
    };
    const MessageId one = publish_small("1", 1);
    const MessageId two = publish_small("2");
    const MessageId three = publish_small("3");
    const MessageId four = publish_small("4");  // evicts the second, of low priority
    CHECK(state(two) == MessageState::failed);
    CHECK(state(one) == MessageState::ready);
    CHECK(broker.explain(four).ahead_in_key == 2);
    auto head = small.try_fetch();
    const MessageId five = publish_small("5");  // evicts the third: the head is leased
    CHECK(state(three) == MessageState::failed);
    CHECK(head->ack());
    CHECK(support::work_off_text(small) == "45");
    CHECK(small.stats().evicted == 2);
    CHECK(state(five) == MessageState::completed);
    support::check_sound(small);
}

TEST_CASE_FIXTURE(Keyed, "an evicted head lets the next go [5.7] [7.2]") {
    const auto small = broker.queue("small", {.capacity = 2, .overflow = Overflow::drop_oldest});
    for (int i = 1; i <= 5; ++i) { REQUIRE(small.publish(std::to_string(i), {.key = "k"})); }
    CHECK(small.stats().ready == 1);
    CHECK(small.stats().blocked == 1);
    CHECK(support::work_off_text(small) == "45");
    support::check_sound(small);
}

TEST_CASE_FIXTURE(Keyed,
                  "10^5 who wait for their keys are skipped: the others come in order "
                  "[5.7] [4.4]") {
    constexpr int many = 100'000;
    constexpr int keys = 1'000;
    std::vector<std::string> names;
    for (int k = 0; k < keys; ++k) { names.push_back("customer-" + std::to_string(k)); }
    for (int i = 0; i < many; ++i) {
        static_cast<void>(publish(std::to_string(i), names[static_cast<std::size_t>(i % keys)]));
    }
    for (int i = 0; i < 10; ++i) { static_cast<void>(publish("free " + std::to_string(i), "")); }
    CHECK(q.stats().ready == keys + 10);
    std::vector<Delivery> heads;
    REQUIRE(q.fetch_batch(heads, keys).value() == keys);
    bool right = true;
    for (int i = 0; i < keys; ++i) {
        right = right && heads[static_cast<std::size_t>(i)].body() == std::to_string(i);
    }
    // All keys are busy now: what has none comes at once.
    for (int i = 0; i < 10; ++i) { CHECK(q.pop().value() == "free " + std::to_string(i)); }
    CHECK(q.try_fetch() == Errc::empty);
    // One key is free: its next is the only one.
    REQUIRE(heads[77].ack());
    CHECK(q.pop().value() == "1077");
    CHECK(q.pop().value() == "2077");
    REQUIRE(q.ack_batch(heads) == keys - 1);
    // Each line goes on in its order, the lines among each other by their places.
    int last = -1;
    std::vector<int> next(names.size(), 0);
    int came = 0;
    while (auto body = q.pop()) {
        const int number = std::stoi(*body);
        const auto key = static_cast<std::size_t>(number % keys);
        const int before = next[key];
        right = right && number / keys == (before == 0 ? (key == 77 ? 3 : 1) : before);
        next[key] = number / keys + 1;
        if (number % keys != 77) { right = right && last < number; }
        last = number % keys == 77 ? last : number;
        ++came;
    }
    CHECK(right);
    CHECK(came == many - keys - 2);
    CHECK(q.size() == 0);
}

TEST_CASE_FIXTURE(Keyed, "one line of 10^5 is worked off, purged, and redriven in order [5.7]") {
    constexpr int many = 100'000;
    for (int i = 0; i < many; ++i) { static_cast<void>(publish(std::to_string(i), "k")); }
    CHECK(q.stats().blocked == many - 1);
    SUBCASE("worked off") {
        bool right = true;
        for (int i = 0; i < many; ++i) { right = right && q.pop().value() == std::to_string(i); }
        CHECK(right);
    }
    SUBCASE("purged") { CHECK(q.purge() == many); }
    SUBCASE("rejected, one after the other, and redriven at once") {
        for (int i = 0; i < many; ++i) { REQUIRE(fetch().reject()); }
        CHECK(q.dead_letters().redrive() == many);
        CHECK(q.stats().ready == 1);
        CHECK(q.pop().value() == "0");
        CHECK(q.pop().value() == "1");
        CHECK(q.purge() == many - 2);
    }
    CHECK(q.size() == 0);
}

// What a line must do, by hand: a list per key.
TEST_CASE_FIXTURE(Keyed, "whatever happens to its members, each line keeps its order [5.7]") {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        CAPTURE(seed);
        latchbox::testing::Seeded choices{seed};
        const auto queue = broker.queue("q" + std::to_string(seed), {.lease = 10s});
        std::vector<std::vector<MessageId>> lines(3);
        const auto drop = [&](const MessageId& id) {
            for (auto& line : lines) { std::erase(line, id); }
        };
        for (int step = 0; step < 300; ++step) {
            const std::size_t key = choices.pick(3);
            auto& line = lines[key];
            switch (choices.pick(5)) {
                case 0:
                case 1:
                    line.push_back(queue.publish("x", {.key = std::string(key + 1, 'k')}).value());
                    break;
                case 2:
                    if (!line.empty()) {
                        const MessageId id =
                            line[choices.pick(static_cast<std::uint32_t>(line.size()))];
                        REQUIRE(queue.cancel(id));
                        drop(id);
                    }
                    break;
                default:
                    if (auto delivery = queue.try_fetch()) {
                        const MessageId id = delivery->id();
                        // Whoever comes is the head of its line.
                        const bool head = (!lines[0].empty() && lines[0].front() == id) ||
                                          (!lines[1].empty() && lines[1].front() == id) ||
                                          (!lines[2].empty() && lines[2].front() == id);
                        REQUIRE(head);
                        switch (choices.pick(3)) {
                            case 0:
                                REQUIRE(delivery->ack());
                                drop(id);
                                break;
                            case 1: REQUIRE(delivery->requeue()); break;
                            default: {
                                REQUIRE(delivery->reject());
                                drop(id);
                                if (choices.pick(2) == 0) { break; }
                                REQUIRE(queue.dead_letters().redrive(id));
                                const std::size_t of = broker.explain(id).key.size() - 1;
                                lines[of].push_back(id);
                                break;
                            }
                        }
                    }
                    break;
            }
            std::size_t heads = 0;
            for (const auto& one : lines) {
                heads += one.empty() ? 0U : 1U;
                for (std::size_t i = 1; i < one.size(); ++i) {
                    CHECK(broker.explain(one[i]).ahead_in_key == i);
                }
            }
            CHECK(queue.stats().ready == heads);
        }
        support::check_sound(queue);
    }
}

TEST_CASE_FIXTURE(Keyed, "a key is copied: the caller's may change [5.7]") {
    std::string key(100, 'k');
    REQUIRE(q.publish("1", {.key = key}));
    const std::string before = key;
    key.assign(100, 'x');
    REQUIRE(q.publish("2", {.key = before}));
    CHECK(q.stats().blocked == 1);
    REQUIRE(q.publish("3", {.key = key}));
    CHECK(q.stats().ready == 2);
    q.purge();
}

}  // namespace
