// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include <cassert>
#include <chrono>
#include <iostream>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"
#include "latchbox/workers.hpp"
#include "printed.hpp"

// The code of docs/recipes.md.
using namespace std::chrono_literals;

namespace {

struct Mail {
    std::string text = {};
    std::string reply_to = {};       // a queue
    latchbox::MessageId about = {};  // what this answers
};

}  // namespace

TEST_CASE("request and reply") {
    latchbox::Broker<Mail> broker;
    const auto questions = broker.queue("questions");
    const auto answer = [&broker](latchbox::Delivery<Mail>& question) {
        const auto to = broker.find_queue(question.body().reply_to);
        if (!to) { return; }  // nobody waits for it any more
        question.ack_and_publish(*to, {.text = "42", .about = question.id()}).value();
    };
    latchbox::Workers server{questions, {.threads = 2}, answer};

    const auto to_ann = broker.queue("replies.Ann");
    const auto asked = questions.publish({.text = "6 x 7", .reply_to = to_ann.name()}).value();
    auto reply = to_ann.fetch_for(5s);  // or `timed_out`
    assert(reply->body().text == "42" && reply->body().about == asked);
    reply->ack();
    broker.remove(to_ann.name());
}

TEST_CASE("wait for n") {
    latchbox::Broker<std::string> broker;
    const auto lines = broker.queue("lines");
    const auto sums = broker.queue("sums");
    std::vector<latchbox::MessageId> parts;
    for (const char* line : {"tea and cake", "tea"}) {
        parts.push_back(lines.publish(line).value());
    }
    const auto sum = sums.publish("print the sum", {.parents = parts}).value();
    const auto enough = broker.gate(2);  // of three
    const auto go_on = sums.publish("go on", {.parents = {enough.id()}}).value();
    for (int vote = 0; vote < 3; ++vote) { enough.count_down(); }  // the third changes nothing
    assert(sums.try_fetch()->id() == go_on);
    for (int i = 0; i < 2; ++i) { lines.try_fetch()->ack(); }
    CHECK(sums.try_fetch()->id() == sum);
}

TEST_CASE("priorities and fairness") {
    latchbox::Broker<std::string> broker;
    std::vector<std::string> served;
    const auto orders = broker.queue("orders");
    orders.publish("a pot of tea").value();
    orders.publish("water, for a guest who coughs", {.priority = 9}).value();
    assert(orders.pop().value().starts_with("water"));
    const std::vector guests{broker.queue("guests.Ann"), broker.queue("guests.Bob")};
    for (const char* drink : {"tea", "coffee", "cake"}) { guests[0].publish(drink).value(); }
    guests[1].publish("water").value();
    for (bool any = true; any;) {
        any = false;
        for (const auto& guest : guests) {  // each in turn, however much one has ordered
            if (auto order = guest.pop()) {
                served.push_back(*order);
                any = true;
            }
        }
    }
    assert(served == (std::vector<std::string>{"tea", "water", "coffee", "cake"}));
}

TEST_CASE("poison messages") {
    latchbox::Broker<std::string> broker;
    const auto numbers = broker.queue("numbers", {.max_failures = 3, .dead_capacity = 1'000});
    int sum = 0;
    const auto add = [&sum](latchbox::Delivery<std::string>& number) {
        if (number.body().find_first_not_of("0123456789") != std::string::npos) {
            number.reject("not a number");  // trying again would not help: dead at once
            return;
        }
        sum += std::stoi(number.body());  // what throws here may fail three times
    };
    for (const char* number : {"1", "seven", "2"}) { numbers.publish(number).value(); }
    latchbox::Workers adder{numbers, {}, add};
    const auto two = numbers.publish("2").value();
    CHECK(broker.latch(two).wait().value() == latchbox::LatchState::completed);
    while (auto bad = numbers.dead_letters().take()) {
        if (*bad == "seven") { numbers.publish("7").value(); }
    }
    broker.drain(10s);
    adder.stop();
    CHECK(sum == 12);
}

TEST_CASE("an outbox") {
    latchbox::Broker<std::string> broker;
    std::vector<std::string> sent;
    std::map<int, std::string> outbox;  // a table, written in the transaction of the order itself
    const auto mails = broker.queue("mails", {.dedup_window = 1h});

    // At the start of the program, after each order, and now and then:
    const auto relay = [&] {
        for (const auto& [row, text] : outbox) {
            mails.publish(text, {.dedup = std::to_string(row)}).value();
        }
    };
    // The handler removes the row once the mail is sent, and then the ack comes.
    const auto send = [&](int row) {
        sent.push_back(outbox.at(row));
        outbox.erase(row);
    };
    outbox[1] = "your tea is on its way";
    relay();
    relay();
    CHECK(mails.size() == 1);
    auto mail = mails.try_fetch();
    send(1);
    mail->ack();
    relay();
    CHECK(mails.size() == 0);
    CHECK(sent.size() == 1);
}

TEST_CASE("in place of a queue of one's own") {
    std::vector<std::string> worked_on;
    const auto work_on = [&worked_on](const std::string& text) { worked_on.push_back(text); };
    latchbox::Broker<std::string> broker;
    const auto work = broker.queue("work");
    std::thread worker{[&] {
        while (auto item = work.fetch()) {  // waits; ends when the broker closes
            work_on(item->body());
            item->ack();
        }
    }};
    work.publish("wash").value();
    work.publish("dry").value();
    broker.drain(10s);
    worker.join();
    CHECK(worked_on.size() == 2);
}
