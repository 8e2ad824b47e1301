// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/explanation.hpp"

#include <cstdint>
#include <string>
#include <vector>

#include <doctest/doctest.h>

// Every sentence there is. [5.9]
namespace {

using latchbox::Cause;
using latchbox::Duration;
using latchbox::Explanation;
using latchbox::Instant;
using latchbox::LatchState;
using latchbox::MessageId;
using latchbox::MessageState;
using latchbox::Reason;
using latchbox::detail::IdParts;
using latchbox::detail::seconds_text;

constexpr MessageId id(std::uint64_t number) { return IdParts::message(1, number, 0); }
constexpr Instant at(std::int64_t t) { return Instant{Duration::nanoseconds(t)}; }

// A sentence in which "#7" stands for the id of that number.
std::string sentence(const std::string& text) {
    std::string whole;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '#') {
            whole += to_string(id(static_cast<std::uint64_t>(text[++i] - '0')));
        } else {
            whole += text[i];
        }
    }
    return whole;
}

Explanation of(MessageState state) {
    Explanation said;
    said.id = id(7);
    said.state = state;
    said.queue = "mail";
    return said;
}

Explanation blocked_by(const std::vector<LatchState>& parents) {
    Explanation said = of(MessageState::blocked);
    for (std::uint64_t i = 0; i < parents.size(); ++i) {
        said.parents.push_back({id(i + 1), parents[i]});
    }
    return said;
}

TEST_CASE("nothing is known of what was never issued [5.9]") {
    CHECK(to_string(Explanation{}) == to_string(MessageId{}) + " was never issued by this broker");
    Explanation said;
    said.id = id(7);
    CHECK(to_string(said) == sentence("#7 was never issued by this broker"));
    said.state = MessageState::forgotten;
    CHECK(to_string(said) == sentence("#7 is long gone: how it ended is forgotten"));
}

TEST_CASE("the queue is named where there is one [5.9]") {
    Explanation said = of(MessageState::completed);
    CHECK(to_string(said) == sentence("#7 in \"mail\" has completed"));
    said.queue.clear();
    CHECK(to_string(said) == sentence("#7 has completed"));
}

TEST_CASE("a blocked message tells its parents in their order [5.9]") {
    const std::string start = "#7 in \"mail\" is blocked: it waits for ";
    using enum LatchState;
    CHECK(to_string(blocked_by({pending})) == sentence(start + "#1 (pending)"));
    CHECK(to_string(blocked_by({pending, dead})) == sentence(start + "#1 (pending) and #2 (dead)"));
    CHECK(to_string(blocked_by({pending, dead, pending})) ==
          sentence(start + "#1 (pending), #2 (dead) and #3 (pending)"));
    CHECK(to_string(blocked_by({pending, dead, pending, pending})) ==
          sentence(start + "#1 (pending), #2 (dead), #3 (pending) and #4 (pending)"));
}

TEST_CASE("of many parents it tells three, and how many more there are [5.9]") {
    for (std::size_t parents = 5; parents < 200; parents += parents) {
        const std::vector<LatchState> states(parents, LatchState::pending);
        CHECK(to_string(blocked_by(states)) ==
              sentence("#7 in \"mail\" is blocked: it waits for #1 (pending), #2 (pending), "
                       "#3 (pending) and " +
                       std::to_string(parents - 3) + " more parents"));
    }
}

TEST_CASE("a message blocked by its key tells how many go before it [5.9]") {
    Explanation said = of(MessageState::blocked);
    said.key = "customer-7";
    said.ahead_in_key = 2;
    CHECK(to_string(said) ==
          sentence(
              "#7 in \"mail\" is blocked: it waits for 2 before it with the key \"customer-7\""));
    said.parents = {{id(1), LatchState::pending}};
    CHECK(to_string(said) ==
          sentence("#7 in \"mail\" is blocked: it waits for #1 (pending), and for 2 before it "
                   "with the key \"customer-7\""));
    // The first of its key is blocked by its parents alone.
    said.ahead_in_key = 0;
    CHECK(to_string(said) == sentence("#7 in \"mail\" is blocked: it waits for #1 (pending)"));
    said.parents.assign(9, {id(1), LatchState::dead});
    said.ahead_in_key = 1;
    CHECK(to_string(said) ==
          sentence("#7 in \"mail\" is blocked: it waits for #1 (dead), #1 (dead), #1 "
                   "(dead) and 6 more parents, and for 1 before it with the key \"customer-7\""));
}

TEST_CASE("a blocked message that nothing holds any more says so in a whole sentence [5.9]") {
    CHECK(to_string(of(MessageState::blocked)) ==
          sentence("#7 in \"mail\" is blocked: what it waited for has just come, or the broker "
                   "closed before"));
}

TEST_CASE("a delayed or leased message tells until when [5.9]") {
    Explanation said = of(MessageState::delayed);
    said.until = at(12'500'000'000);
    said.attempt = 3;
    CHECK(to_string(said) == sentence("#7 in \"mail\" is delayed until 12.5 s"));
    said.state = MessageState::leased;
    CHECK(to_string(said) == sentence("#7 in \"mail\" is leased until 12.5 s, attempt 3"));
    said.until = Instant::never();
    CHECK(to_string(said) == sentence("#7 in \"mail\" is leased until the end of time, attempt 3"));
}

TEST_CASE("a ready message tells how many are delivered before it [5.9]") {
    Explanation said = of(MessageState::ready);
    CHECK(to_string(said) == sentence("#7 in \"mail\" is ready, and the next to be delivered"));
    said.ahead = 41;
    CHECK(to_string(said) == sentence("#7 in \"mail\" is ready, behind 41"));
}

TEST_CASE("what is dead or has failed tells why [5.9]") {
    Explanation said = of(MessageState::dead);
    said.reason = Reason{Cause::rejected, "no such street"};
    CHECK(to_string(said) == sentence("#7 in \"mail\" is dead: it was rejected: no such street"));
    said.reason = Reason{id(3)};
    CHECK(to_string(said) == sentence("#7 in \"mail\" is dead: its parent #3 did not complete"));
    said.state = MessageState::failed;
    said.reason = Reason{Cause::expired};
    CHECK(to_string(said) == sentence("#7 in \"mail\" has failed: its time to live was over"));
    said.queue.clear();
    said.reason = Reason{Cause::abandoned};
    CHECK(to_string(said) == sentence("#7 has failed: its last handle went before it was open"));
}

TEST_CASE("a shut gate tells what is left to count down [5.9]") {
    Explanation said;
    said.id = id(7);
    said.state = MessageState::shut;
    said.count = 3;
    CHECK(to_string(said) == sentence("#7 is a gate that is shut: 3 to be counted down"));
}

TEST_CASE("a topic's message tells its subject, and where its copies are [5.9] [5.3]") {
    Explanation said;
    said.id = id(7);
    said.subject = "orders.eu";
    said.state = MessageState::pending;
    said.copies = {{"mail", MessageState::leased}};
    CHECK(to_string(said) ==
          sentence("#7 of \"orders.eu\" is pending: 1 copy is held, leased in \"mail\""));
    said.copies.push_back({"orders.*", MessageState::ready});
    said.copies.push_back({"audit", MessageState::dead});
    said.state = MessageState::dead;
    CHECK(to_string(said) == sentence("#7 of \"orders.eu\" is dead: 3 copies are held, leased in "
                                      "\"mail\", ready in \"orders.*\", dead in \"audit\""));
    said.state = MessageState::completed;
    said.copies.clear();
    CHECK(to_string(said) == sentence("#7 of \"orders.eu\" has completed"));
    said.state = MessageState::failed;
    said.reason = Reason{Cause::expired};
    CHECK(to_string(said) == sentence("#7 of \"orders.eu\" has failed: its time to live was over"));
}

TEST_CASE("of many copies it tells four, each with its state [5.9]") {
    Explanation said;
    said.id = id(7);
    said.subject = "s";
    said.state = MessageState::pending;
    said.copies = {{"a", MessageState::blocked},
                   {"b", MessageState::delayed},
                   {"c", MessageState::ready},
                   {"d", MessageState::ready}};
    const std::string four = ", blocked in \"a\", delayed in \"b\", ready in \"c\", ready in \"d\"";
    CHECK(to_string(said) == sentence("#7 of \"s\" is pending: 4 copies are held" + four));
    said.copies.push_back({"e", MessageState::ready});
    CHECK(to_string(said) ==
          sentence("#7 of \"s\" is pending: 5 copies are held" + four + ", and others"));
}

TEST_CASE("instants are told in seconds, exactly") {
    CHECK(seconds_text(at(0)) == "0 s");
    CHECK(seconds_text(at(1)) == "0.000000001 s");
    CHECK(seconds_text(at(999'999'999)) == "0.999999999 s");
    CHECK(seconds_text(at(1'000'000'000)) == "1 s");
    CHECK(seconds_text(at(1'050'000'000)) == "1.05 s");
    CHECK(seconds_text(at(100'000'000'000)) == "100 s");
    CHECK(seconds_text(at(-1)) == "-0.000000001 s");
    CHECK(seconds_text(at(-2'500'000'000)) == "-2.5 s");
    CHECK(seconds_text(at(INT64_MAX - 1)) == "9223372036.854775806 s");
    CHECK(seconds_text(at(INT64_MIN)) == "-9223372036.854775808 s");
    CHECK(seconds_text(Instant::never()) == "the end of time");
}

TEST_CASE("explanations are values: equal if all they say is") {
    const Explanation one = blocked_by({LatchState::pending, LatchState::dead});
    Explanation other = one;
    CHECK(one == other);
    other.parents[1].state = LatchState::pending;
    CHECK(one != other);
    other = one;
    other.reason = Reason{Cause::failed};
    CHECK(one != other);
    other = one;
    other.ahead_in_key = 1;
    CHECK(one != other);
    other = one;
    other.subject = "s";
    CHECK(one != other);
    other = one;
    other.copies.push_back({"mail", MessageState::ready});
    CHECK(one != other);
    Explanation third = other;
    CHECK(third == other);
    third.copies[0].state = MessageState::dead;
    CHECK(third != other);
}

TEST_CASE("of copies that are blocked it tells what the first waits for [5.9] [5.4]") {
    Explanation said;
    said.id = id(7);
    said.subject = "s";
    said.state = MessageState::pending;
    said.copies = {{"mail", MessageState::blocked}};
    said.key = "tea";
    said.ahead_in_key = 2;
    const std::string held = "#7 of \"s\" is pending: 1 copy is held, blocked in \"mail\"";
    const std::string of_the_first = held + "; of the first that is blocked: it waits for ";
    CHECK(to_string(said) == sentence(of_the_first + "2 before it with the key \"tea\""));
    said.ahead_in_key = 0;
    CHECK(to_string(said) == sentence(held));
    said.parents = {{id(3), LatchState::pending}};
    CHECK(to_string(said) == sentence(of_the_first + "#3 (pending)"));
}

TEST_CASE("of a state that does not exist it tells the rest") {
    Explanation said;
    said.id = id(7);
    said.queue = "mail";
    said.state = static_cast<MessageState>(99);
    CHECK(to_string(said) == sentence("#7 in \"mail\""));
}

}  // namespace
