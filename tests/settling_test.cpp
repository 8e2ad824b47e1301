// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/settling.hpp"

#include <chrono>
#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"
#include "support/sound.hpp"

// How deliveries end, past their handles: every verb judges the lease by the same rules.
namespace {

using namespace std::chrono_literals;
using latchbox::Errc;
using latchbox::Receipt;
using latchbox::Result;
using latchbox::detail::Access;
using latchbox::detail::IdParts;
using Settling = latchbox::detail::Settling<int, latchbox::Threads>;
using Holder = Settling::Holder;

struct Settled {
    latchbox::ManualClock clock;
    latchbox::Broker<int> broker{{.clock = &clock}};
    latchbox::Queue<int> queue = broker.queue("queue", {.lease = 10s});
    Settling::Shell& shell = Access::shell(queue);

    // The receipt of a new message, leased.
    [[nodiscard]] Receipt leased(int body = 1, const latchbox::PublishOptions& options = {}) const {
        REQUIRE(queue.publish(body, options));
        return std::move(*queue.try_fetch()).detach();
    }
    [[nodiscard]] Holder holder(const Receipt& receipt) const {
        return *Settling::holder(shell, receipt);
    }
    ~Settled() { support::check_sound(queue); }
};

// Every verb of a holder, by its number; `take back` is no verb.
constexpr int verbs = 6;
Result<void> settle(Settling::Shell& shell, const Holder& holder, int verb) {
    latchbox::Instant deadline;
    switch (verb) {
        case 0: return Settling::ack(shell, holder);
        case 1: return Settling::release(shell, holder);
        case 2: return Settling::requeue(shell, holder, 1s);
        case 3: return Settling::fail(shell, holder, "broken");
        case 4: return Settling::reject(shell, holder, "bad");
        default: return Settling::extend(shell, holder, 5s, deadline);
    }
}

TEST_CASE_FIXTURE(Settled, "a receipt is taken apart, one of another queue is refused [4.2]") {
    const Receipt receipt = leased();
    const Holder mine = holder(receipt);
    CHECK(mine.slot == IdParts::slot(receipt));
    CHECK(mine.lease == IdParts::lease(receipt));
    CHECK(mine.number == IdParts::number(receipt));
    CHECK_FALSE(mine.by_handle);
    CHECK(Settling::holder(Access::shell(broker.queue("other")), receipt).error() ==
          Errc::unknown_message);
    CHECK(Settling::holder(shell, Receipt{}).error() == Errc::unknown_message);
}

TEST_CASE_FIXTURE(Settled, "one tick before the deadline every verb works [4.3]") {
    for (int verb = 0; verb < verbs; ++verb) {
        const Holder mine = holder(leased());
        clock.advance(10s - 1ns);
        CHECK(settle(shell, mine, verb));
        queue.purge();
        clock.advance(10s);
        queue.purge();
    }
}

TEST_CASE_FIXTURE(Settled,
                  "at the deadline every verb is lease_lost and changes nothing [4.2] "
                  "[4.3]") {
    for (int verb = 0; verb < verbs; ++verb) {
        const Holder mine = holder(leased());
        clock.advance(10s);
        CHECK(settle(shell, mine, verb) == Errc::lease_lost);
        const auto before = queue.stats();
        CHECK(before.ready == 1);
        // Neither does it touch the lease of the next holder.
        const Holder next = holder(std::move(*queue.try_fetch()).detach());
        CHECK(settle(shell, mine, verb) == Errc::lease_lost);
        CHECK(Settling::ack(shell, next));
        CHECK(queue.stats().completed == before.completed + 1);
    }
}

TEST_CASE_FIXTURE(Settled, "what this queue never issued is unknown to every verb [4.2]") {
    const Receipt receipt = leased();
    Holder never[] = {holder(receipt), holder(receipt), holder(receipt), holder(receipt)};
    never[0].lease += 1;
    never[1].lease = 0;
    never[2].slot += 1;
    never[3].number += 1;
    never[3].lease += 1;
    for (const Holder& forged : never) {
        for (int verb = 0; verb < verbs; ++verb) {
            CHECK(settle(shell, forged, verb) == Errc::unknown_message);
        }
    }
    CHECK(queue.stats().leased == 1);
}

TEST_CASE_FIXTURE(Settled, "a receipt with the number of another message was never issued [4.2]") {
    const Receipt first = leased(1);
    const Receipt second = leased(2);
    const auto forged = IdParts::receipt(IdParts::queue(first), IdParts::slot(first),
                                         IdParts::lease(first), IdParts::number(second));
    for (int verb = 0; verb < verbs; ++verb) {
        CHECK_FALSE(settle(shell, holder(forged), verb));
        CHECK(queue.stats().leased == 2);
    }
    CHECK(queue.ack(first));
}

TEST_CASE_FIXTURE(Settled, "a closed queue goes before whatever else is wrong [7.5] [7.7]") {
    const Holder mine = holder(leased());
    latchbox::Instant deadline;
    CHECK(Settling::requeue(shell, mine, -1ns) == Errc::invalid_option);
    CHECK(Settling::extend(shell, mine, -1ns, deadline) == Errc::invalid_option);
    CHECK(queue.stats().leased == 1);
    broker.close();
    for (int verb = 0; verb < verbs; ++verb) { CHECK(settle(shell, mine, verb) == Errc::closed); }
    CHECK(Settling::requeue(shell, mine, -1ns) == Errc::closed);
    CHECK(Settling::extend(shell, mine, -1ns, deadline) == Errc::closed);
    CHECK(Settling::refuse(shell, Errc::unknown_message) == Errc::closed);
    CHECK_FALSE(Settling::is_live(shell, mine));
}

TEST_CASE_FIXTURE(Settled, "extending tells the deadline, which never comes nearer [4.3]") {
    const Holder mine = holder(leased());
    latchbox::Instant deadline;
    REQUIRE(Settling::extend(shell, mine, 5s, deadline));
    CHECK(deadline == latchbox::Instant{10s});
    REQUIRE(Settling::extend(shell, mine, 25s, deadline));
    CHECK(deadline == latchbox::Instant{25s});
    clock.advance(24s);
    CHECK(Settling::is_live(shell, mine));
    clock.advance(1s);
    CHECK_FALSE(Settling::is_live(shell, mine));
}

TEST_CASE_FIXTURE(Settled, "a batch acks all it can and names those it did [4.2]") {
    std::vector<Holder> holders;
    for (int n = 0; n < 4; ++n) { holders.push_back(holder(leased(n))); }
    REQUIRE(Settling::release(shell, holders[1]));
    std::vector<std::size_t> acked;
    const auto holder_of = [&](std::size_t i) -> std::optional<Holder> {
        if (i == 2) { return std::nullopt; }
        return holders[i];
    };
    const auto all = [&] {
        return Settling::ack_all(shell, 4, holder_of, [&](std::size_t i) { acked.push_back(i); });
    };
    CHECK(all() == 2);
    CHECK(acked == std::vector<std::size_t>{0, 3});
    CHECK(queue.stats().completed == 2);
    CHECK(queue.stats().leased == 1);
    CHECK(all() == 0);
    broker.close();
    CHECK(all() == 0);
}

TEST_CASE_FIXTURE(Settled,
                  "abandoning requeues at the back, and nothing once it is settled [4.7]") {
    const Holder mine = holder(leased(1));
    REQUIRE(queue.publish(2));
    Settling::abandon(shell, mine);
    CHECK(queue.stats().abandoned == 1);
    Settling::abandon(shell, mine);
    CHECK(queue.stats().abandoned == 1);
    CHECK(queue.pop().value() == 2);
    CHECK(queue.pop().value() == 1);
}

TEST_CASE_FIXTURE(Settled, "taken back a message is as if it had never been handed out") {
    REQUIRE(queue.publish(1));
    const auto before = queue.stats();
    const Holder mine = holder(std::move(*queue.try_fetch()).detach());
    Settling::take_back(shell, mine);
    CHECK(queue.stats() == before);
    Settling::take_back(shell, mine);
    CHECK(queue.stats() == before);
    CHECK(queue.try_fetch()->attempt() == 1);
}

TEST_CASE_FIXTURE(Settled,
                  "a message whose life is over when it is taken back goes to nobody "
                  "[4.3]") {
    const Holder mine = holder(leased(1, {.expires_in = 5s}));
    // Somebody waits for a message.
    latchbox::detail::Waiter<latchbox::Threads> waiter;
    shell.mutex.lock();
    while (const auto lacking = shell.core.of_histories(1)) {
        shell.grow(lacking);
        shell.mutex.lock();
    }
    shell.core.promise_histories(1);
    shell.fetchers.push_back(waiter);
    shell.mutex.unlock();
    clock.advance(6s);
    Settling::take_back(shell, mine);
    CHECK_FALSE(waiter.sleep.done);
    CHECK(queue.stats().expired == 1);
    broker.close();
    CHECK(waiter.sleep.done);
    if (waiter.grant.slot != latchbox::detail::none) {
        const auto delivery = Access::make<latchbox::Delivery<int>>(shell, waiter.grant);
    }
}

}  // namespace
