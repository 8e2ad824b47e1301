// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/watching.hpp"

#include <chrono>
#include <cstdint>
#include <new>
#include <optional>
#include <stop_token>
#include <string>
#include <type_traits>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"
#include "support/failing_new.hpp"
#include "support/sound.hpp"

// The watch over one lease: made once, kept by the core, gone with the lease.
namespace {

using namespace std::chrono_literals;
using latchbox::detail::Access;
using latchbox::detail::LeaseWatch;
using latchbox::detail::Lock;
using Watching = latchbox::detail::Watching<int, latchbox::Threads>;
using Settling = latchbox::detail::Settling<int, latchbox::Threads>;
using Delivery = latchbox::Delivery<int>;

struct Watched {
    latchbox::ManualClock clock;
    latchbox::Broker<int> broker{{.clock = &clock}};
    latchbox::Queue<int> queue = broker.queue("q", {.lease = 10s});
    Watching::Shell& shell = Access::shell(queue);

    ~Watched() { support::check_sound(queue); }
    [[nodiscard]] Delivery hold(int body) const {
        REQUIRE(queue.publish(body));
        return std::move(queue.try_fetch().value());
    }
    [[nodiscard]] Watching::Holder holder(const Delivery& delivery) const {
        return Settling::holder(shell, delivery.receipt()).value();
    }
    [[nodiscard]] std::stop_token token(const Delivery& delivery) const {
        return Watching::token(shell, holder(delivery));
    }
    [[nodiscard]] const LeaseWatch* watch(const Delivery& delivery) const {
        const Lock lock{shell.mutex};
        const auto slot = holder(delivery).slot;
        return shell.core.record(slot).history != latchbox::detail::none
                   ? shell.core.history(slot).watch
                   : nullptr;
    }
    [[nodiscard]] LeaseWatch* take(const Delivery& delivery) const {
        const Lock lock{shell.mutex};
        return shell.core.unwatch(holder(delivery).slot);
    }
};

TEST_CASE_FIXTURE(Watched, "one watch serves all who ask, and none is there before [7.7]") {
    const Delivery one = hold(1);
    const Delivery other = hold(2);
    CHECK(watch(one) == nullptr);
    const auto token = this->token(one);
    const LeaseWatch* const made = watch(one);
    CHECK(made != nullptr);
    CHECK(this->token(one) == token);
    CHECK(watch(one) == made);
    CHECK(watch(other) == nullptr);
    CHECK(this->token(other) != token);
    CHECK_FALSE(token.stop_requested());
}

TEST_CASE_FIXTURE(Watched, "over a lease that is over nobody watches [7.7]") {
    std::optional<Delivery> delivery{hold(1)};
    const auto of = holder(*delivery);
    SUBCASE("settled") { REQUIRE(delivery->ack()); }
    SUBCASE("run out") { clock.advance(10s); }
    SUBCASE("leased to another by now") {
        REQUIRE(delivery->release());
        delivery.emplace(std::move(queue.try_fetch().value()));
    }
    SUBCASE("the queue was removed") { REQUIRE(broker.remove("q")); }
    SUBCASE("closed") { broker.close(); }
    const auto live = support::live_allocations();
    {
        const auto token = Watching::token(shell, of);
        CHECK(token.stop_requested());
    }
    CHECK(support::live_allocations() == live);
    CHECK(watch(*delivery) == nullptr);
}

TEST_CASE_FIXTURE(Watched, "the watch is freed with the lease, however that ends [7.7] [4.8]") {
    for (int way = 0; way < 3; ++way) {
        const Delivery delivery = hold(1);
        const auto before = support::live_allocations();
        static_cast<void>(token(delivery));
        const auto watched = support::live_allocations();
        if (way == 0) { static_cast<void>(queue.ack(delivery.receipt())); }
        if (way == 1) { clock.advance(10s); }
        if (way == 1) { broker.poll(); }
        if (way == 2) { broker.close(); }
        const auto after = support::live_allocations();
        CHECK(watched > before);
        CHECK(after == before);
        CHECK(watch(delivery) == nullptr);
    }
}

TEST_CASE_FIXTURE(Watched, "where there is no memory for it nothing has changed [4.11] [7.7]") {
    const Delivery delivery = hold(1);
    std::uint64_t nth = 1;
    for (bool threw = true; threw; ++nth) {
        threw = false;
        const support::FailingNew failing{support::Failing::nth, nth};
        try {
            static_cast<void>(token(delivery));
        } catch (const std::bad_alloc&) { threw = true; }
        CHECK((watch(delivery) == nullptr) == threw);
    }
    CHECK(nth > 2);
    // Once it is there nobody needs any.
    std::uint64_t asked = 0;
    {
        const support::FailingNew count;
        static_cast<void>(token(delivery));
        asked = count.asked();
    }
    CHECK(asked == 0);
}

TEST_CASE_FIXTURE(Watched, "all of a list are told, in its order and under no lock [7.7] [4.10]") {
    Watching::tell(nullptr);
    std::vector<Delivery> deliveries;
    for (int i = 0; i < 3; ++i) { deliveries.push_back(hold(i)); }
    std::string order;
    const auto told = [&](int i) {
        order += std::to_string(i);
        CHECK(queue.size() == 3);
        CHECK_FALSE(deliveries[static_cast<std::size_t>(i)].lease_lost());
    };
    const auto zero = [&] { told(0); };
    const auto one = [&] { told(1); };
    const auto two = [&] { told(2); };
    const std::stop_callback on_zero{token(deliveries[0]), zero};
    const std::stop_callback on_one{token(deliveries[1]), one};
    const std::stop_callback on_two{token(deliveries[2]), two};
    LeaseWatch* chain = nullptr;
    for (const int i : {1, 2, 0}) {
        LeaseWatch* const first = take(deliveries[static_cast<std::size_t>(i)]);
        REQUIRE(first != nullptr);
        first->next = chain;
        chain = first;
    }
    Watching::tell(chain);
    CHECK(order == "021");
    // A lease whose watch was taken is watched anew.
    CHECK_FALSE(token(deliveries[0]).stop_requested());
}

TEST_CASE_FIXTURE(Watched, "extending a lease keeps its watch, a release ends it [7.7]") {
    Delivery delivery = hold(1);
    const auto token = this->token(delivery);
    const LeaseWatch* const made = watch(delivery);
    REQUIRE(delivery.extend(1h));
    CHECK(watch(delivery) == made);
    clock.advance(10s);
    broker.poll();
    CHECK_FALSE(token.stop_requested());
    REQUIRE(delivery.release());
    CHECK(token.stop_requested());
    const Delivery again = std::move(queue.try_fetch().value());
    CHECK(watch(again) == nullptr);
    CHECK_FALSE(this->token(again).stop_requested());
}

TEST_CASE("where no token stops nobody watches, and none is made [7.7]") {
    using Platform = latchbox::SingleThread;
    using Silent = latchbox::detail::Watching<int, Platform>;
    static_assert(std::is_same_v<Silent::StopToken, latchbox::detail::NeverStops>);
    latchbox::Broker<int, Platform> broker;
    const auto queue = broker.queue("q");
    REQUIRE(queue.publish(1));
    const auto delivery = queue.try_fetch();
    auto& shell = Access::shell(queue);
    const auto holder =
        latchbox::detail::Settling<int, Platform>::holder(shell, delivery->receipt()).value();
    std::uint64_t asked = 0;
    {
        const support::FailingNew count;
        CHECK_FALSE(Silent::token(shell, holder).stop_requested());
        asked = count.asked();
    }
    CHECK(asked == 0);
    CHECK(shell.core.history(holder.slot).watch == nullptr);
    CHECK_FALSE(Silent::stopped().stop_requested());
    CHECK(Watching::stopped().stop_requested());
}

}  // namespace
