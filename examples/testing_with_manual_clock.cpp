// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
//
// How to test what retries, waits and gives up, without a sleep: the code under test takes a
// `Broker<Letter>&`; the test makes that broker on a clock that moves when told.

#include <chrono>
#include <cstdio>
#include <string>

#include "latchbox/latchbox.hpp"

using namespace std::chrono_literals;

// --- the service: sends letters through a line that is down at times ---------------------------

struct Letter {
    std::string to = {};
};

class PostOffice {
public:
    explicit PostOffice(latchbox::Broker<Letter>& broker)
        : letters_{broker.queue("letters",
                                {.lease = 10s, .max_failures = 3, .backoff = {.first = 1s}})} {}

    void post(Letter letter) { letters_.publish(std::move(letter)).value(); }

    // Sends the next letter that is due by `send`, which says whether it worked. False: none due.
    template <class Send> bool deliver_one(Send&& send) {
        auto letter = letters_.try_fetch();
        if (!letter) { return false; }
        if (send(letter->body())) {
            letter->ack();
        } else {
            letter->fail("the line is down");
        }
        return true;
    }
    [[nodiscard]] std::size_t undeliverable() const { return letters_.dead_letters().size(); }

private:
    latchbox::Queue<Letter> letters_;
};

// --- its test ----------------------------------------------------------------------------------

int failed_checks = 0;

void check(bool holds, const char* what) {
    if (holds) { return; }
    std::printf("does not hold: %s\n", what);
    ++failed_checks;
}

int main() {
    latchbox::ManualClock clock;
    latchbox::Broker<Letter> broker{{.clock = &clock}};
    PostOffice office{broker};
    const auto line_is_down = [](const Letter&) { return false; };
    const auto line_is_up = [](const Letter&) { return true; };

    office.post({"Ada"});
    check(office.deliver_one(line_is_down), "a letter is tried at once");
    check(!office.deliver_one(line_is_up), "after a failure it is not tried at once");
    clock.advance(999ms);
    check(!office.deliver_one(line_is_up), "nor a tick before its second is over");
    clock.advance(1ms);
    check(office.deliver_one(line_is_down), "but exactly then");
    clock.advance(2s);
    check(office.deliver_one(line_is_down), "the second pause is twice as long");
    check(office.undeliverable() == 1, "three failures make it undeliverable");
    clock.advance(24h);
    check(!office.deliver_one(line_is_up), "and it is not tried any more");

    office.post({"Grace"});
    auto stuck = broker.queue("letters").try_fetch();  // a colleague takes the letter and is stuck
    check(stuck.has_value(), "there is a letter to take");
    check(!office.deliver_one(line_is_up), "nobody else gets it while his lease lasts");
    clock.advance(10s);
    check(office.deliver_one(line_is_up), "at the end of the lease it is another's");
    check(stuck->ack() == latchbox::Errc::lease_lost, "and the colleague is told when he returns");

    std::printf("%s\n", failed_checks == 0 ? "all checks hold" : "FAILED");
    return failed_checks == 0 ? 0 : 1;
}
