// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstdint>

#include "latchbox/version.hpp"

/// Every public class, declared: enough to name `latchbox::Broker<Order>&` in a header.
namespace latchbox {
inline namespace v0 {

struct Threads;
struct SingleThread;

class Duration;
class Instant;
class Clock;
class SteadyClock;
class CoarseClock;
template <class Platform = Threads> class BasicManualClock;
/// The manual clock for brokers on the default platform.
using ManualClock = BasicManualClock<>;

enum class Errc : std::uint8_t;
enum class Cause : std::uint8_t;
enum class LatchState : std::uint8_t;
enum class MessageState : std::uint8_t;
class Reason;
class Error;
template <class T> class Result;
class MessageId;
class Receipt;

struct BrokerOptions;
struct QueueOptions;
struct SubscriptionOptions;
struct TopicOptions;
struct PublishOptions;
struct QueueStats;
struct TopicStats;
struct BrokerStats;
struct CloseReport;
struct Explanation;
struct NameCheck;

template <class Msg, class Platform = Threads> class Broker;
template <class Msg, class Platform = Threads> class Consumer;
template <class Msg, class Platform = Threads> class Queue;
template <class Msg, class Platform = Threads> class Topic;
template <class Msg, class Platform = Threads> class Subscription;
template <class Msg, class Platform = Threads> class Delivery;
template <class Msg, class Platform = Threads> class Transaction;
template <class Msg, class Platform = Threads> class Workers;
template <class Msg, class Platform = Threads> class Latch;
template <class Msg, class Platform = Threads> class Gate;
template <class Msg, class Platform = Threads> class DeadLetters;
template <class Msg, class Platform = Threads> class DeadLetter;

}  // namespace v0
}  // namespace latchbox
