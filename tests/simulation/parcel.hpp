// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <chrono>
#include <utility>

#include "latchbox/latchbox.hpp"
#include "latchbox/testing/choices.hpp"
#include "latchbox/testing/simulated.hpp"

// What all simulated programs send.
namespace scenes {

using latchbox::Duration;
using latchbox::Errc;
using latchbox::LatchState;
using latchbox::MessageId;
using latchbox::MessageState;
using latchbox::OnParentFailure;
using latchbox::Overflow;
using latchbox::PublishOptions;
using latchbox::QueueOptions;
using latchbox::Result;
using latchbox::SubscriptionOptions;
using latchbox::TopicOptions;
using latchbox::testing::Report;
using latchbox::testing::Simulated;
using latchbox::testing::Strategy;
using latchbox::testing::World;
using namespace std::chrono_literals;

inline constexpr auto for_ever = Duration::never();

// A message that knows when its code is run, and how many there are.
class Parcel {
public:
    explicit Parcel(int number) noexcept : number_{number} { ++live; }
    Parcel(const Parcel& other) noexcept : number_{other.number_} {
        Simulated::user_code();
        ++live;
    }
    Parcel(Parcel&& other) noexcept : number_{std::exchange(other.number_, 0)} { ++live; }
    Parcel& operator=(const Parcel&) = delete;
    Parcel& operator=(Parcel&&) = delete;
    ~Parcel() {
        Simulated::user_code();
        --live;
    }
    [[nodiscard]] int number() const noexcept { return number_; }

    inline static int live = 0;

private:
    int number_;
};

using Clock = latchbox::BasicManualClock<Simulated>;
using Broker = latchbox::Broker<Parcel, Simulated>;
using Queue = Broker::Queue;
using Topic = Broker::Topic;
using Subscription = Broker::Subscription;
using Delivery = Broker::Delivery;
using Gate = Broker::Gate;
using Transaction = Broker::Transaction;
using Consumer = latchbox::Consumer<Parcel, Simulated>;

}  // namespace scenes
