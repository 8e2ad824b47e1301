// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/testing/fibers.hpp"

#include <exception>
#include <stdexcept>
#include <string>

#include <doctest/doctest.h>

using latchbox::testing::Fiber;

namespace {

// What the fibers of these tests do; they can be given no argument.
Fiber* thread_fiber = nullptr;
Fiber* first_fiber = nullptr;
Fiber* second_fiber = nullptr;
std::string said;
int rounds = 0;

void to(Fiber& from, Fiber& next) { Fiber::switch_between(from, next); }

}  // namespace

TEST_CASE("fibers take turns, each where it left off") {
    Fiber thread{Fiber::OfTheThread{}};
    Fiber first;
    Fiber second;
    thread_fiber = &thread;
    first_fiber = &first;
    second_fiber = &second;
    said.clear();
    first.prepare([] {
        said += "a";
        to(*first_fiber, *second_fiber);
        said += "b";
        to(*first_fiber, *second_fiber);
    });
    second.prepare([] {
        said += "1";
        to(*second_fiber, *first_fiber);
        said += "2";
        Fiber::switch_between(*second_fiber, *thread_fiber, true);
    });
    to(thread, first);
    CHECK(said == "a1b2");
}

TEST_CASE("a fiber that was dropped can be used again") {
    Fiber thread{Fiber::OfTheThread{}};
    Fiber first;
    thread_fiber = &thread;
    first_fiber = &first;
    rounds = 0;
    for (int i = 0; i < 3; ++i) {
        first.prepare([] {
            ++rounds;
            to(*first_fiber, *thread_fiber);
            rounds += 100;  // not reached
        });
        to(thread, first);
    }
    CHECK(rounds == 3);
}

TEST_CASE("each fiber keeps its own exception in flight") {
    // The first is left inside a handler while the second throws and catches, and rethrows then:
    // with one state for all it would rethrow what the second caught, or end the process.
    Fiber thread{Fiber::OfTheThread{}};
    Fiber first;
    Fiber second;
    thread_fiber = &thread;
    first_fiber = &first;
    second_fiber = &second;
    said.clear();
    first.prepare([] {
        try {
            try {
                throw std::runtime_error{"first"};
            } catch (const std::runtime_error&) {
                to(*first_fiber, *second_fiber);
                throw;
            }
        } catch (const std::runtime_error& error) { said += error.what(); }
        said += std::uncaught_exceptions() == 0 ? "." : "!";
        to(*first_fiber, *second_fiber);
    });
    second.prepare([] {
        try {
            throw std::runtime_error{"second"};
        } catch (const std::runtime_error& error) {
            to(*second_fiber, *first_fiber);
            said += error.what();
        }
        said += std::uncaught_exceptions() == 0 ? "." : "!";
        Fiber::switch_between(*second_fiber, *thread_fiber, true);
    });
    to(thread, first);
    CHECK(said == "first.second.");
    CHECK(std::current_exception() == nullptr);
}

TEST_CASE("a fiber can be left while an exception unwinds it") {
    struct Leaves {
        Leaves() = default;
        Leaves(const Leaves&) = delete;
        Leaves& operator=(const Leaves&) = delete;
        ~Leaves() {
            to(*first_fiber, *second_fiber);
            said += std::uncaught_exceptions() == 1 ? "unwinding " : "! ";
        }
    };
    Fiber thread{Fiber::OfTheThread{}};
    Fiber first;
    Fiber second;
    thread_fiber = &thread;
    first_fiber = &first;
    second_fiber = &second;
    said.clear();
    first.prepare([] {
        try {
            const Leaves leaves;
            throw 7;
        } catch (int seven) { said += std::to_string(seven); }
        Fiber::switch_between(*first_fiber, *thread_fiber, true);
    });
    second.prepare([] {
        said += std::uncaught_exceptions() == 0 ? "calm " : "! ";
        to(*second_fiber, *first_fiber);
    });
    to(thread, first);
    CHECK(said == "calm unwinding 7");
}
