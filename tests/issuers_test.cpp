// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/issuers.hpp"

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "support/failing_new.hpp"

namespace {

using latchbox::Cause;
using latchbox::MessageState;
using latchbox::detail::Issued;

struct Queue {
    std::uint32_t at;
    [[nodiscard]] std::uint32_t number() const noexcept { return at; }
};
using Issuers = latchbox::detail::Issuers<Queue>;

void insert(Issuers& issuers, Queue& queue) {
    auto one = Issuers::make(queue);
    issuers.insert(one);
    CHECK(one.queues.empty());
    CHECK(one.removed.empty());
}

// What a queue that issued `drawn` knows when it goes: its second message has failed.
Issued history(std::uint64_t drawn, std::size_t room = 4) {
    Issued issued{room};
    auto made = Issued::make(room);
    issued.adopt(made);
    for (std::uint64_t i = 0; i < drawn; ++i) { issued.draw(); }
    if (drawn >= 2) { issued.remember(2, Cause::expired); }
    return issued;
}

TEST_CASE("queues are found by number, and follow each other by number [5.2]") {
    Issuers issuers;
    Queue queues[] = {{4}, {1}, {9}, {7}};
    CHECK(issuers.find(1) == nullptr);
    CHECK(issuers.after(0) == nullptr);
    for (Queue& queue : queues) { insert(issuers, queue); }
    for (Queue& queue : queues) { CHECK(issuers.find(queue.at) == &queue); }
    CHECK(issuers.find(0) == nullptr);
    CHECK(issuers.find(8) == nullptr);
    std::vector<std::uint32_t> order;
    for (Queue* queue = issuers.after(0); queue != nullptr; queue = issuers.after(queue->at)) {
        order.push_back(queue->at);
    }
    CHECK(order == std::vector<std::uint32_t>{1, 4, 7, 9});
}

TEST_CASE("a queue that is removed leaves what it knows, and is found no more [5.2]") {
    Issuers issuers;
    Queue queues[] = {{1}, {2}, {3}};
    for (Queue& queue : queues) { insert(issuers, queue); }
    Issued issued = history(3);
    CHECK(issuers.past(2, 2).state == MessageState::never_issued);  // ask the queue
    CHECK(issuers.outlive(2, issued).removed.empty());
    CHECK(issuers.find(2) == nullptr);
    CHECK(issuers.after(1) == &queues[2]);
    CHECK(issuers.past(2, 2).state == MessageState::failed);
    CHECK(issuers.past(2, 2).cause == Cause::expired);
    CHECK(issuers.past(2, 3).state == MessageState::completed);
    CHECK(issuers.past(2, 4).state == MessageState::never_issued);
    CHECK(issuers.past(5, 1).state == MessageState::never_issued);
    // What stays with the queue makes nobody believe that something completed.
    CHECK(issued.past(3).state == MessageState::forgotten);
}

TEST_CASE("of removed queues as much is kept as the bound allows, the first goes first [4.12]") {
    // Each weighs 16 and its room, here 4.
    for (std::size_t kept = 0; kept <= 4; ++kept) {
        Issuers issuers{kept * 20 + 19};
        Queue queues[] = {{5}, {3}, {8}, {1}, {7}};
        for (Queue& queue : queues) { insert(issuers, queue); }
        for (std::size_t i = 0; i < 5; ++i) {
            Issued issued = history(3);
            const auto forgotten = issuers.outlive(queues[i].at, issued);
            CHECK(forgotten.removed.size() == (i >= kept ? 1U : 0U));
            for (std::size_t j = 0; j <= i; ++j) {
                const bool known = j + kept > i;
                CHECK(issuers.past(queues[j].at, 3).state ==
                      (known ? MessageState::completed : MessageState::never_issued));
            }
        }
        CHECK(issuers.after(0) == nullptr);
    }
}

TEST_CASE("one heavy queue may make several forgotten, and itself at last [4.12]") {
    Issuers issuers{100};
    Queue queues[] = {{1}, {2}, {3}, {4}, {5}};
    for (Queue& queue : queues) { insert(issuers, queue); }
    for (std::uint32_t number = 1; number <= 3; ++number) {
        Issued issued = history(3);
        CHECK(issuers.outlive(number, issued).removed.empty());
    }
    Issued heavy = history(3, 64);
    CHECK(issuers.outlive(4, heavy).removed.size() == 2);
    CHECK(issuers.past(4, 2).state == MessageState::failed);
    Issued heavier = history(3, 85);
    CHECK(issuers.outlive(5, heavier).removed.size() == 3);
    CHECK(issuers.past(5, 2).state == MessageState::never_issued);
    // And all begins anew.
    Queue later{6};
    insert(issuers, later);
    Issued issued = history(3);
    CHECK(issuers.outlive(6, issued).removed.empty());
    CHECK(issuers.past(6, 2).state == MessageState::failed);
}

TEST_CASE("removing a queue takes no memory, with forgetting too [4.11]") {
    Issuers issuers{20};
    Queue queues[] = {{1}, {2}};
    for (Queue& queue : queues) { insert(issuers, queue); }
    Issued first = history(3);
    Issued second = history(3);
    std::uint64_t asked = 0;
    {
        const support::FailingNew count;
        const auto nothing = issuers.outlive(1, first);
        const auto forgotten = issuers.outlive(2, second);
        asked = count.asked();
    }
    CHECK(asked == 0);
}

TEST_CASE(
    "a queue whose past nobody asks for is forgotten whole, and takes nobody's place [4.12]") {
    Issuers issuers{20};
    Queue queues[] = {{1}, {2}, {3}};
    for (Queue& queue : queues) { insert(issuers, queue); }
    Issued first = history(3);
    CHECK(issuers.outlive(1, first).removed.empty());
    std::uint64_t asked = 0;
    {
        const support::FailingNew count;
        const auto forgotten = issuers.forget(2);
        asked = count.asked();
        CHECK(forgotten.queues.size() == 1);
        CHECK(forgotten.removed.size() == 1);
    }
    CHECK(asked == 0);
    CHECK(issuers.find(2) == nullptr);
    CHECK(issuers.after(0) == &queues[2]);
    CHECK(issuers.past(2, 1).state == MessageState::never_issued);
    CHECK(issuers.past(1, 2).state == MessageState::failed);
    // It was no one's neighbour: the next to go makes the first one forgotten.
    Issued third = history(3);
    CHECK(issuers.outlive(3, third).removed.size() == 1);
    CHECK(issuers.past(1, 2).state == MessageState::never_issued);
}

TEST_CASE("one that is erased at the end of the broker is unknown") {
    Issuers issuers;
    Queue queues[] = {{1}, {2}};
    for (Queue& queue : queues) { insert(issuers, queue); }
    issuers.erase(1);
    CHECK(issuers.find(1) == nullptr);
    CHECK(issuers.after(0) == &queues[1]);
    CHECK(issuers.past(1, 1).state == MessageState::never_issued);
}

}  // namespace
