// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors

// `import latchbox;`: experimental, and built by hand, as Clang 19 does:
//   clang++ -std=c++20 -pthread -Iinclude --precompile modules/latchbox.cppm -o latchbox.pcm
//   clang++ -std=c++20 -pthread -c latchbox.pcm -o latchbox.o
//   clang++ -std=c++20 -pthread -fmodule-file=latchbox=latchbox.pcm main.cpp latchbox.o
// The same names as the headers', of which a program takes either. What it uses of the standard
// library it includes before the import.
module;

#include "latchbox/coroutine.hpp"
#include "latchbox/latchbox.hpp"
#include "latchbox/workers.hpp"

export module latchbox;

export namespace latchbox {

// broker, and the handles it gives
using latchbox::Broker;
using latchbox::Consumer;
using latchbox::DeadLetter;
using latchbox::DeadLetters;
using latchbox::Delivery;
using latchbox::Gate;
using latchbox::Latch;
using latchbox::Queue;
using latchbox::Subscription;
using latchbox::Topic;
using latchbox::Transaction;

// how they are made
using latchbox::Backoff;
using latchbox::BrokerOptions;
using latchbox::OnParentFailure;
using latchbox::Overflow;
using latchbox::Profile;
using latchbox::PublishOptions;
using latchbox::QueueOptions;
using latchbox::SubscriptionOptions;
using latchbox::TopicOptions;
using latchbox::Unrouted;

// what they say
using latchbox::BrokerStats;
using latchbox::Cause;
using latchbox::check_pattern;
using latchbox::check_subject;
using latchbox::CloseReport;
using latchbox::Errc;
using latchbox::Error;
using latchbox::error_category;
using latchbox::Explanation;
using latchbox::LatchState;
using latchbox::make_error_code;
using latchbox::MessageId;
using latchbox::MessageState;
using latchbox::NameCheck;
using latchbox::QueueStats;
using latchbox::Reason;
using latchbox::Receipt;
using latchbox::Result;
using latchbox::to_string;
using latchbox::TopicStats;

// time, and the system
using latchbox::BasicManualClock;
using latchbox::Clock;
using latchbox::CoarseClock;
using latchbox::Duration;
using latchbox::Glance;
using latchbox::Instant;
using latchbox::ManualClock;
using latchbox::SingleThread;
using latchbox::Sleeper;
using latchbox::SteadyClock;
using latchbox::Threads;

// workers
using latchbox::OnLeaseLost;
using latchbox::Workers;
using latchbox::WorkersOptions;
using latchbox::WorkersStats;

// coroutines
using latchbox::async_fetch;
using latchbox::async_fetch_for;
using latchbox::async_wait;
using latchbox::async_wait_for;
using latchbox::AsyncFetch;
using latchbox::AsyncWait;
using latchbox::Resume;

}  // namespace latchbox
