// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/detail/asking.hpp"

#include <chrono>
#include <optional>
#include <stop_token>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"
#include "support/sound.hpp"

// How a latch is asked for, and kept, past its handle.
namespace {

using namespace std::chrono_literals;
using latchbox::Errc;
using latchbox::LatchState;
using latchbox::MessageId;
using latchbox::detail::Access;
using latchbox::detail::none;
using Asking = latchbox::detail::Asking<int, latchbox::Threads>;

struct Asked {
    latchbox::ManualClock clock;
    latchbox::Broker<int> broker{{.clock = &clock}};
    latchbox::Queue<int> queue = broker.queue("queue", {.lease = 10s});
    Asking::Broker& shell = *Access::shell(queue).broker;

    ~Asked() { support::check_sound(queue); }
    [[nodiscard]] Asking::Asked ask(const MessageId& id) const { return Asking::ask(shell, id); }
    MessageId publish(const latchbox::PublishOptions& options = {}) const {
        return queue.publish(1, options).value();
    }
};

TEST_CASE_FIXTURE(Asked,
                  "what is held gets a latch, which stays as long as it is held on to "
                  "[5.4] [5.8]") {
    const MessageId id = publish();
    const Asking::Asked asked = ask(id);
    CHECK(asked.id == id);
    CHECK(asked.latch != none);
    CHECK(ask(id).latch == asked.latch);
    asked.let_go();  // of the second
    asked.hold();
    asked.let_go();
    CHECK(Asking::state(asked).value() == LatchState::pending);
    REQUIRE(queue.pop());
    CHECK(Asking::state(asked).value() == LatchState::completed);
    CHECK(broker.stats().latches == 1);
    asked.let_go();
    CHECK(broker.stats().latches == 0);
}

TEST_CASE_FIXTURE(Asked, "what is gone needs none: the answer is final [5.8] [5.2]") {
    const MessageId completed = publish();
    REQUIRE(queue.pop());
    const MessageId failed = publish();
    REQUIRE(queue.cancel(failed));
    CHECK(ask(completed).latch == none);
    CHECK(Asking::state(ask(completed)).value() == LatchState::completed);
    CHECK(Asking::state(ask(failed)).value() == LatchState::failed);
    CHECK(Asking::state(ask(MessageId{})) == Errc::unknown_message);
    CHECK(Asking::wait(ask(failed), std::nullopt, {}).value() == LatchState::failed);
    CHECK(broker.stats().latches == 0);
    ask(failed).let_go();
    ask(failed).hold();
}

TEST_CASE_FIXTURE(Asked, "a gate has its latch from the start [5.8]") {
    std::optional<latchbox::Gate<int>> gate = broker.gate(1);
    const MessageId id = gate->id();
    const Asking::Asked asked = ask(id);
    CHECK(asked.latch != none);
    CHECK(broker.stats().latches == 1);
    gate.reset();
    CHECK(Asking::state(asked).value() == LatchState::failed);
    asked.let_go();
    CHECK(broker.stats().latches == 0);
    CHECK(ask(id).latch == none);
    CHECK(Asking::state(ask(id)).value() == LatchState::failed);
}

TEST_CASE_FIXTURE(Asked, "a wait is judged before anybody sleeps [7.7] [5.8]") {
    const Asking::Asked asked = ask(publish());
    std::stop_source stop;
    stop.request_stop();
    CHECK(Asking::wait(asked, -1s, stop.get_token()) == Errc::cancelled);
    CHECK(Asking::wait(asked, -1s, {}) == Errc::invalid_option);
    CHECK(Asking::wait(asked, 0s, {}) == Errc::timed_out);
    broker.close();
    CHECK(Asking::wait(asked, 0s, {}) == Errc::closed);
    CHECK(Asking::state(asked).value() == LatchState::failed);
    CHECK(ask(MessageId{}).latch == none);
    CHECK(Asking::state(ask(asked.id)).value() == LatchState::failed);
    asked.let_go();
}

}  // namespace
