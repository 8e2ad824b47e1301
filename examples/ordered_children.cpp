// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
//
// An order takes four messages in four queues. Two are worked on side by side, and each of the
// others waits for its parents:
//
//     reserve ---+
//                +--> ship --> mail
//     charge ----+
//
// The card is declined. What becomes of those who wait is for whoever published them to say; why
// they are where they are, `explain` tells.

#include <cstdio>
#include <string>
#include <utility>

#include "latchbox/latchbox.hpp"

using latchbox::MessageId;
using latchbox::OnParentFailure;

struct Order {
    explicit Order(OnParentFailure policy)
        : reserve{stock.publish("reserve").value()},
          charge{payments.publish("charge").value()},
          ship{shipping.publish("ship", {.parents = {reserve, charge}, .on_parent_failure = policy})
                   .value()},
          mail{mails.publish("mail", {.parents = {ship}, .on_parent_failure = policy}).value()} {}

    // Works off all that is ready, from the first queue to the last.
    void work(bool card_is_good) const {
        for (const auto& queue : {stock, payments, shipping, mails}) {
            while (auto step = queue.try_fetch()) {
                std::printf("  -> %s\n", step->body().c_str());
                if (step->body() == "charge" && !card_is_good) {
                    step->reject("card declined");  // a dead letter: its children learn of it now
                } else {
                    step->ack();  // completed: a child that waited for nothing else is ready now
                }
            }
        }
    }

    // Why each step is where it is, in our words instead of ids.
    void explain() const {
        const std::pair<MessageId, const char*> steps[] = {
            {reserve, "reserve"}, {charge, "charge"}, {ship, "ship"}, {mail, "mail"}};
        for (const auto& step : steps) {
            std::string sentence = to_string(broker.explain(step.first));
            for (const auto& [id, name] : steps) {
                const auto at = sentence.find(to_string(id));
                if (at != sentence.npos) { sentence.replace(at, to_string(id).size(), name); }
            }
            std::printf("  %s\n", sentence.c_str());
        }
    }

    latchbox::Broker<std::string> broker;
    latchbox::Queue<std::string> stock = broker.queue("stock");
    latchbox::Queue<std::string> payments = broker.queue("payments");
    latchbox::Queue<std::string> shipping = broker.queue("shipping");
    latchbox::Queue<std::string> mails = broker.queue("mails");
    MessageId reserve, charge, ship, mail;
};

int main() {
    std::puts("dead_letter: nothing that needs the payment is done without it");
    const Order strict{OnParentFailure::dead_letter};
    strict.explain();
    strict.work(false);
    strict.explain();
    const auto redriven = strict.shipping.dead_letters().redrive(strict.ship);
    std::printf("  to redrive ship alone: %s\n", redriven ? "done" : to_string(redriven.error()));

    std::puts("deliver: a failed payment counts as done, the invoice comes by mail");
    const Order generous{OnParentFailure::deliver};
    generous.work(false);
    generous.explain();

    std::puts("hold: what needs the payment waits until somebody has seen to it");
    const Order patient{OnParentFailure::hold};
    patient.work(false);
    patient.explain();
    std::puts("  the customer has sent another card: redrive");
    patient.payments.dead_letters().redrive(patient.charge).value();
    patient.explain();
    patient.work(true);
    patient.explain();

    const bool as_said = redriven == latchbox::Errc::parent_failed &&
                         strict.mails.stats().dead == 1 && generous.mails.stats().completed == 1 &&
                         generous.payments.stats().dead == 1 &&
                         patient.mails.stats().completed == 1;
    return as_said ? 0 : 1;
}
