// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <chrono>
#include <cstddef>
#include <type_traits>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"

#include "message_kinds.hpp"
#include "sound.hpp"

// What every queue does, whatever it carries and whatever platform it is on. Messages are made and
// judged in functions of their own: some are a megabyte large, and a frame holds few of these.
namespace support {

template <class Msg, class Platform> struct BasicSuite {
    using Queue = latchbox::Queue<Msg, Platform>;
    using Delivery = latchbox::Delivery<Msg, Platform>;

    latchbox::ManualClock clock;
    latchbox::Broker<Msg, Platform> broker{{.clock = &clock}};
    Queue q = broker.queue("q", {.lease = std::chrono::seconds{10}});

    void run() {
        if constexpr (std::is_same_v<Msg, CallsBack>) { hook(); }
        in_order();
        come_back();
        late_holder();
        leave();
        dead();
        families();
        batch();
        CallsBack::no_calls();
        check_sound(q);
        CHECK(q.size() == 0);
    }

private:
    // Every copy, move and end calls the broker.
    void hook() {
        const auto call = [this] {
            static_cast<void>(q.stats());
            static_cast<void>(broker.stats());
            static_cast<void>(q.cancel({}));
            q.dead_letters().for_each([](const auto&) {});
        };
        CallsBack::on_copy = call;
        CallsBack::on_move = call;
        CallsBack::on_end = call;
    }
    [[nodiscard]] static int expected(int n) { return Kind<Msg>::expected(n); }
    void publish(int n, const latchbox::PublishOptions& options = {}) {
        REQUIRE(q.publish(Kind<Msg>::make(n), options));
    }
    void publish_copy(int n) {
        if constexpr (std::is_copy_constructible_v<Msg>) {
            const Msg message = Kind<Msg>::make(n);
            REQUIRE(q.publish(message));
            CHECK(Kind<Msg>::number(message) == expected(n));
        } else {
            publish(n);
        }
    }
    [[nodiscard]] Delivery fetch(int n) {
        auto delivery = q.try_fetch();
        REQUIRE(delivery);
        CHECK(Kind<Msg>::number(delivery->body()) == expected(n));
        return std::move(*delivery);
    }
    void pop(int n) {
        const auto body = q.pop();
        REQUIRE(body);
        CHECK(Kind<Msg>::number(*body) == expected(n));
    }

    void in_order() {
        for (int n = 0; n < 40; ++n) {
            if (n % 2 == 0) {
                publish(n);
            } else {
                publish_copy(n);
            }
        }
        for (int n = 0; n < 20; ++n) { CHECK(fetch(n).ack()); }
        for (int n = 20; n < 40; ++n) { pop(n); }
        CHECK(q.try_fetch() == latchbox::Errc::empty);
    }
    void come_back() {
        publish(1);
        publish(2, {.priority = 3});
        CHECK(fetch(2).requeue());
        CHECK(fetch(2).release());
        CHECK(fetch(2).fail("no"));
        { const auto abandoned = fetch(1); }
        static_cast<void>(fetch(1).detach());
        clock.advance(std::chrono::seconds{10});
        CHECK(fetch(2).ack());
        auto last = fetch(1);
        CHECK(last.attempt() == 3);
        CHECK(last.failures() == 1);
        CHECK(last.ack());
    }
    void late_holder() {
        publish(5);
        auto late = fetch(5);
        clock.advance(std::chrono::seconds{10});
        auto again = fetch(5);
        take(again, 5);
        publish(6);
        CHECK(Kind<Msg>::number(late.body()) == expected(5));
        CHECK(late.ack() == latchbox::Errc::lease_lost);
        pop(6);
    }
    void take(Delivery& delivery, int n) {
        const auto body = delivery.take();
        if constexpr (std::is_copy_constructible_v<Msg>) {
            REQUIRE(body);
            CHECK(Kind<Msg>::number(*body) == expected(n));
        } else {
            CHECK(body == latchbox::Errc::body_shared);
            CHECK(delivery.ack());
        }
    }
    void leave() {
        publish(7, {.expires_in = std::chrono::seconds{1}});
        clock.advance(std::chrono::seconds{1});
        CHECK(q.stats().expired == 1);
        publish(8);
        CHECK(q.purge() == 1);
        const auto id = q.publish(Kind<Msg>::make(9));
        REQUIRE(id);
        CHECK(q.cancel(*id));
    }
    void dead() {
        for (int n = 0; n < 3; ++n) {
            publish(n);
            CHECK(fetch(n).reject("no"));
        }
        auto letters = q.dead_letters();
        int seen = 0;
        letters.for_each([&](const auto& letter) {
            CHECK(Kind<Msg>::number(letter.body()) == expected(seen));
            ++seen;
        });
        CHECK(seen == 3);
        take_dead(0);
        CHECK(letters.redrive() == 2);
        pop(1);
        pop(2);
    }
    void families() {
        const auto gate = broker.gate(1);
        const auto parent = q.publish(Kind<Msg>::make(1));
        REQUIRE(parent);
        publish(2, {.parents = {*parent, gate.id()}, .key = "k"});
        publish(3, {.key = "k"});
        const auto latch = broker.latch(*parent);
        CHECK(fetch(1).ack());
        CHECK(latch.state().value() == latchbox::LatchState::completed);
        CHECK(q.try_fetch() == latchbox::Errc::empty);
        CHECK(q.stats().blocked == 2);
        CHECK(gate.count_down());
        pop(2);
        pop(3);

        const auto lost = q.publish(Kind<Msg>::make(4));
        REQUIRE(lost);
        publish(5, {.parents = {*lost}});
        CHECK(q.cancel(*lost));
        CHECK(q.dead_letters().redrive() == 0);
        take_dead(5);
        CHECK(broker.stats().edges == 0);
    }
    void take_dead(int n) {
        const auto body = q.dead_letters().take();
        REQUIRE(body);
        CHECK(Kind<Msg>::number(*body) == expected(n));
    }
    void batch() {
        // A move that throws, of what cannot be copied, has no batches.
        if constexpr (std::is_nothrow_move_constructible_v<Msg> ||
                      std::is_copy_constructible_v<Msg>) {
            {
                std::vector<Msg> messages;
                messages.reserve(20);
                for (int n = 0; n < 20; ++n) { messages.push_back(Kind<Msg>::make(n)); }
                const auto ids = q.publish_batch(messages);
                REQUIRE(ids);
                CHECK(ids->size() == 20);
            }
            std::vector<Delivery> out;
            REQUIRE(q.fetch_batch(out, 10).value() == 10);
            for (int n = 0; n < 10; ++n) {
                const Delivery& delivery = out[static_cast<std::size_t>(n)];
                CHECK(Kind<Msg>::number(delivery.body()) == expected(n));
            }
            CHECK(q.ack_batch(out) == 10);
            const auto rest = q.pop_all();
            REQUIRE(rest);
            REQUIRE(rest->size() == 10);
            CHECK(Kind<Msg>::number(rest->front()) == expected(10));
            CHECK(Kind<Msg>::number(rest->back()) == expected(19));
        }
    }
};

}  // namespace support
