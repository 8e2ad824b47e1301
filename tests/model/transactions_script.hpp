// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "model/topics_script.hpp"

/// The part of a script that is about transactions, and about what settles and publishes in one.
namespace model {

template <class Platform> class TransactionsScript final : public TopicsScript<Platform> {
    using Base = TopicsScript<Platform>;

public:
    using typename Base::Body;
    using typename Base::Delivery;
    using typename Base::RealQueue;
    using RealTransaction = latchbox::Transaction<Body, Platform>;
    using RealBroker = latchbox::Broker<Body, Platform>;

    TransactionsScript(latchbox::testing::Choices& choices, const Setting& setting)
        : Base{choices, setting} {
        // What is made once for all scripts is none of theirs.
        static_cast<void>(strangers());
        this->live_before_ = Body::live();
    }

private:
    struct HeldTransaction {
        RealTransaction real;
        Transaction model;
        bool refused = false;  // once, at least
    };
    // Of another broker.
    struct Strangers {
        RealQueue queue;
        std::optional<Delivery> delivery;
    };

    using Base::broker_;
    using Base::chance;
    using Base::copy_if;
    using Base::destroy;
    using Base::difference_;
    using Base::draw_reason;
    using Base::draw_wishes;
    using Base::equal;
    using Base::equal_error;
    using Base::error_of;
    using Base::expect;
    using Base::figures_;
    using Base::held_;
    using Base::ids_;
    using Base::last_id_;
    using Base::m;
    using Base::model_;
    using Base::named;
    using Base::pick;
    using Base::real_queue;
    using Base::say;
    using Base::some;
    using Base::throws_tracked;
    using Base::topics_;
    using Base::uses_bad_input_;
    using Base::uses_faults_;
    using Base::uses_topics_;
    using Base::wishes;
    using Base::word;

    template <class T, std::size_t N> T one_of(const T (&values)[N]) {
        return Base::one_of(values);
    }

    static Strangers& strangers() {
        static Strangers there = [] {
            static RealBroker broker;
            const RealQueue queue = broker.queue("a", {.lease = latchbox::Duration::never()});
            static_cast<void>(queue.publish(Body{1}));
            return Strangers{queue, queue.try_fetch().value()};
        }();
        return there;
    }

    void perform_transactions(Operation operation) override {
        switch (operation) {
            case Operation::transact: return transact();
            case Operation::commit: return commit();
            case Operation::drop_transaction: return drop();
            case Operation::ack_and_publish: return ack_and_publish();
            default: return forward();
        }
    }

    // -- what is put into one --------------------------------------------------------------------

    void transact() {
        if (transactions_.empty() || (transactions_.size() < 2 && chance(3))) {
            transactions_.push_back({broker_->transaction(), {}, false});
        }
        const std::size_t at = some(transactions_.size());
        for (std::uint32_t i = 1 + pick(4); i > 0 && difference_.empty(); --i) {
            switch (pick(4)) {
                case 0: publish_in(at, false); break;
                case 1: publish_in(at, uses_topics_ && chance(2)); break;
                default: settle_in(at); break;
            }
        }
        // Leases do not last for ever.
        if (difference_.empty() && chance(2)) { commit(at); }
    }
    std::string name(std::size_t at) const { return "transaction " + std::to_string(at); }

    Verb draw_settle() {
        Verb verb;
        verb.kind = one_of({Verb::ack, Verb::ack, Verb::reject, Verb::fail});
        if (verb.kind != Verb::ack) { verb.text = draw_reason(); }
        return verb;
    }
    static latchbox::Result<void> put(RealTransaction& transaction, Delivery& delivery,
                                      const Verb& verb) {
        switch (verb.kind) {
            case Verb::reject: return transaction.reject(std::move(delivery), verb.text);
            case Verb::fail: return transaction.fail(std::move(delivery), verb.text);
            default: return transaction.ack(std::move(delivery));
        }
    }
    void settle_in(std::size_t at) {
        HeldTransaction& to = transactions_[at];
        if (uses_bad_input_ && chance(32)) { return settle_a_strangers(at); }
        if (held_.empty()) { fetch_some(); }
        if (held_.empty()) { return publish_in(at, false); }
        const std::size_t which = a_delivery();
        const std::size_t handle = held_[which].handle;
        const Verb verb = draw_settle();
        const Errc expected = model_.settle_in(to.model, handle, verb);
        say(name(at), ".", this->word_of(verb.kind), "(delivery of ", m(model_.message_of(handle)),
            "): ", expected);
        const auto result = put(to.real, held_[which].delivery, verb);
        equal_error(error_of(result), expected, "a delivery is put into a transaction");
        if (expected != fine) { return; }
        if (uses_bad_input_ && chance(32)) {
            say(name(at), ".ack(the same again)");
            static_cast<void>(model_.refuse(to.model, Errc::already_settled));
            equal_error(error_of(to.real.ack(std::move(held_[which].delivery))),
                        Errc::already_settled, "a delivery that was moved from");
        }
        held_.erase(held_.begin() + static_cast<std::ptrdiff_t>(which));
    }
    // From where there is something.
    void fetch_some() {
        for (std::size_t q = 0; q < model_.queue_count() && held_.empty(); ++q) {
            if (model_.first_ready(q) != none) { this->fetch(q); }
        }
    }
    // Mostly one that can be settled.
    std::size_t a_delivery() {
        std::vector<std::size_t> live;
        for (std::size_t i = 0; i < held_.size(); ++i) {
            if (!model_.lease_lost(held_[i].handle)) { live.push_back(i); }
        }
        return live.empty() || chance(8) ? some(held_.size()) : live[some(live.size())];
    }
    void settle_a_strangers(std::size_t at) {
        HeldTransaction& to = transactions_[at];
        const Errc expected = model_.refuse(to.model, Errc::invalid_option);
        say(name(at), ".ack(delivery of another broker): ", expected);
        Delivery& delivery = *strangers().delivery;
        equal_error(error_of(to.real.ack(std::move(delivery))), expected,
                    "a delivery of another broker");
        expect(!delivery.lease_lost() && delivery.body().digest() == 1,
               "a delivery of another broker: taken though refused");
    }

    void publish_in(std::size_t at, bool to_topic) {
        HeldTransaction& to = transactions_[at];
        Transaction::Publish publish;
        const std::size_t topic = to_topic ? this->a_topic() : 0;
        if (to_topic) {
            publish.topic = topics_[topic].topic;
            publish.options = this->draw_post();
        } else {
            publish.queue = this->a_real_queue();
            publish.options = draw_wishes();
            if (uses_bad_input_ && chance(32)) { publish.options.retain_for = this->wish(); }
        }
        publish.body = next_value();
        if (uses_bad_input_ && chance(64)) { return publish_to_stranger(at, publish); }
        Body body{publish.body};
        const bool copies = chance(4);
        if (copies && uses_faults_ && chance(2)) {
            Transaction trial = to.model;
            if (model_.publish_in(trial, publish) == fine) {
                say(name(at), ".publish(a copy that throws)");
                return throws_tracked(
                    [&] { static_cast<void>(put(to.real, topic, publish, std::as_const(body))); });
            }
        }
        const Errc expected = model_.publish_in(to.model, publish);
        say(name(at), ".publish(", to_topic ? this->subject(topic) : named(publish.queue),
            wishes(publish.options), "): ", expected);
        const std::int64_t copied = Body::copies();
        const auto result = copies ? put(to.real, topic, publish, std::as_const(body))
                                   : put(to.real, topic, publish, std::move(body));
        equal_error(error_of(result), expected, "a publish is put into a transaction");
        const bool taken = expected == fine && !copies;
        expect(taken ? body.is_moved_from() : body.digest() == publish.body,
               "publish in a transaction: moved from though refused, or not though taken");
        if (expected == fine) {
            equal(Body::copies() - copied, copies ? 1 : 0, "publish in a transaction: copies made");
        }
    }
    template <class B>
    latchbox::Result<void> put(RealTransaction& transaction, std::size_t topic,
                               const Transaction::Publish& publish, B&& body) {
        if (publish.queue == none) {
            return transaction.publish(topics_[topic].handle, std::forward<B>(body),
                                       publish.options);
        }
        return transaction.publish(real_queue(publish.queue), std::forward<B>(body),
                                   publish.options);
    }
    void publish_to_stranger(std::size_t at, const Transaction::Publish& publish) {
        HeldTransaction& to = transactions_[at];
        const Errc expected = model_.refuse(to.model, Errc::invalid_option);
        say(name(at), ".publish(a queue of another broker): ", expected);
        Body body{publish.body};
        equal_error(error_of(to.real.publish(strangers().queue, std::move(body))), expected,
                    "publish to a queue of another broker");
        expect(body.digest() == publish.body, "publish to another broker: moved from");
    }
    std::uint64_t next_value() { return ++this->last_value_ * 0x9e3779b97f4a7c15U >> 1; }

    // -- commit ----------------------------------------------------------------------------------

    void commit() {
        if (transactions_.empty()) { return transact(); }
        commit(some(transactions_.size()));
    }
    void commit(std::size_t at) {
        HeldTransaction& which = transactions_[at];
        const std::size_t settles = which.model.settles.size();
        const std::size_t publishes = which.model.publishes.size();
        const Answer<std::vector<Named>> expected = model_.commit(which.model);
        say(name(at), ".commit: ", expected.error, words(expected.value));
        const std::int64_t copied = Body::copies();
        const auto result = which.real.commit();
        equal(Body::copies() - copied, 0, "commit: copies made");
        equal_error(error_of(result), expected.error, "commit");
        if (expected.error != fine) {
            count_refused(expected.error, which.model);
            which.refused = true;
            if (expected.error == Errc::full && chance(2)) { return retry(at); }
            if (which.model.said != fine ? chance(2) : chance(8)) { drop(at); }
            return;
        }
        if (result) { learn(expected.value, *result); }
        figures_.commits += settles + publishes != 0 ? 1U : 0U;
        figures_.commits_retried += which.refused ? 1U : 0U;
        figures_.settled_by_commits += settles;
        figures_.published_by_commits += publishes;
        if (!chance(4)) {
            transactions_.erase(transactions_.begin() + static_cast<std::ptrdiff_t>(at));
        }
    }
    // With more room.
    void retry(std::size_t at) {
        for (const Transaction::Publish& publish : transactions_[at].model.publishes) {
            if (publish.queue != none) { this->purge(publish.queue); }
        }
        commit(at);
    }
    void count_refused(Errc error, const Transaction& what) {
        if (what.committed || what.said != fine || error == Errc::closed) { return; }
        ++figures_.commits_refused;
        figures_.commits_full += error == Errc::full ? 1U : 0U;
        figures_.commits_lost += error == Errc::lease_lost ? 1U : 0U;
    }
    static std::string words(const std::vector<Named>& accepted) {
        std::string text;
        for (const Named& each : accepted) {
            text += (each.kind == Named::post ? " p" : " m") + std::to_string(each.number);
        }
        return text;
    }
    // Of those that were there before, ids are known.
    void learn(const std::vector<Named>& accepted, const std::vector<latchbox::MessageId>& ids) {
        if (!equal(ids.size(), accepted.size(), "commit: how many ids")) { return; }
        for (std::size_t i = 0; i < ids.size(); ++i) { learn(accepted[i], ids[i]); }
        this->learn_copies();
    }
    void learn(const Named& accepted, const latchbox::MessageId& id) {
        const bool is_post = accepted.kind == Named::post;
        const latchbox::MessageId known =
            is_post ? model_.post(accepted.number).id : model_.message(accepted.number).id;
        if (known != latchbox::MessageId{}) {
            expect(known == id, "commit: the id of the first");
        } else if (is_post) {
            Base::learn(accepted.number, id);
        } else {
            const std::size_t queue = model_.message(accepted.number).queue;
            expect(last_id_[queue] < id, "commit: an id out of order");
            expect(model_.find(id) == Named{}, "commit: an id was given twice");
            last_id_[queue] = id;
            model_.learn_id(accepted, id);
        }
    }
    void drop() {
        if (transactions_.empty()) { return transact(); }
        drop(some(transactions_.size()));
    }
    void drop(std::size_t at) {
        HeldTransaction& which = transactions_[at];
        const bool empty = which.model.settles.empty() && which.model.publishes.empty();
        figures_.transactions_dropped += empty || which.model.committed ? 0U : 1U;
        const std::size_t other = some(transactions_.size());
        model_.drop(which.model);
        if (other != at && chance(2)) {
            say(name(at), " is overwritten by ", name(other));
            which = std::move(transactions_[other]);
            transactions_.erase(transactions_.begin() + static_cast<std::ptrdiff_t>(other));
            return;
        }
        say(name(at), " is dropped");
        transactions_.erase(transactions_.begin() + static_cast<std::ptrdiff_t>(at));
    }

    // -- in one step -----------------------------------------------------------------------------

    Transaction::Publish draw_step() {
        Transaction::Publish publish;
        publish.queue = this->a_real_queue();
        publish.options = draw_wishes();
        return publish;
    }
    void ack_and_publish() {
        if (held_.empty()) { fetch_some(); }
        if (held_.empty()) { return; }
        const std::size_t at = a_delivery();
        const std::size_t handle = held_[at].handle;
        Transaction::Publish publish = draw_step();
        publish.body = next_value();
        Body body{publish.body};
        const bool copies = chance(4);
        const bool throws = copies && uses_faults_ && chance(2);
        const std::optional<TransactionBroker> before = copy_if(throws);
        const auto expected = model_.ack_and_publish(handle, publish);
        const bool adds = expected.error == fine && is_new(expected.value);
        say("delivery of ", m(model_.message_of(handle)), ".ack_and_publish(", named(publish.queue),
            wishes(publish.options), "): ", expected.error, words(expected.value));
        Delivery& delivery = held_[at].delivery;
        const RealQueue& queue = real_queue(publish.queue);
        if (throws && adds) {
            model_ = *before;
            return throws_tracked([&] {
                static_cast<void>(
                    delivery.ack_and_publish(queue, std::as_const(body), publish.options));
            });
        }
        const auto result =
            copies ? delivery.ack_and_publish(queue, std::as_const(body), publish.options)
                   : delivery.ack_and_publish(queue, std::move(body), publish.options);
        equal_error(error_of(result), expected.error, "ack_and_publish");
        expect(adds && !copies ? body.is_moved_from() : body.digest() == publish.body,
               "ack_and_publish: moved from though refused, or not though accepted");
        if (result && expected.error == fine) { learn(expected.value, {*result}); }
        figures_.acks_and_publishes += expected.error == fine ? 1U : 0U;
        if (difference_.empty() && chance(2)) { destroy(at); }
    }
    // None where a wrong model draws no id: that is a difference, found by who compares ids.
    [[nodiscard]] bool is_new(const std::vector<Named>& accepted) const {
        if (accepted.empty()) { return false; }
        return model_.message(accepted.front().number).id == latchbox::MessageId{};
    }
    void forward() {
        if (held_.empty()) { fetch_some(); }
        if (held_.empty()) { return; }
        this->let_age();
        const std::size_t at = a_delivery();
        const std::size_t handle = held_[at].handle;
        const std::size_t message = model_.message_of(handle);
        Transaction::Publish publish = draw_step();
        publish.body = model_.message(message).body;
        const bool shared = model_.body_is_shared(message, handle);
        const bool throws = shared && uses_faults_ && chance(2);
        const std::optional<TransactionBroker> before = copy_if(throws);
        const auto expected = model_.ack_and_publish(handle, publish);
        const bool adds = expected.error == fine && is_new(expected.value);
        say("delivery of ", m(message), ".forward(", named(publish.queue), wishes(publish.options),
            "): ", expected.error, words(expected.value));
        Delivery& delivery = held_[at].delivery;
        const RealQueue& queue = real_queue(publish.queue);
        if (throws && adds) {
            model_ = *before;
            return throws_tracked(
                [&] { static_cast<void>(delivery.forward(queue, publish.options)); });
        }
        const std::int64_t copied = Body::copies();
        const auto result = delivery.forward(queue, publish.options);
        equal_error(error_of(result), expected.error, "forward");
        if (adds) { equal(Body::copies() - copied, shared ? 1 : 0, "forward: copies made"); }
        if (adds && !shared) { held_[at].readable = false; }
        if (result && expected.error == fine) { learn(expected.value, {*result}); }
        figures_.forwards += expected.error == fine ? 1U : 0U;
        if (difference_.empty() && chance(2)) { destroy(at); }
    }

    // -- everything that can be seen -------------------------------------------------------------

    [[nodiscard]] std::size_t bodies_of_transactions() const override {
        std::size_t bodies = 0;
        for (const HeldTransaction& held : transactions_) { bodies += held.model.publishes.size(); }
        return bodies;
    }
    void end_transactions() override {
        for (HeldTransaction& held : transactions_) {
            Body body{1};
            equal_error(error_of(held.real.publish(queues_or(strangers().queue), std::move(body))),
                        Errc::closed, "publish in a transaction after the broker");
            equal_error(error_of(held.real.commit()), Errc::closed, "commit after the broker");
        }
        transactions_.clear();
    }
    const RealQueue& queues_or(const RealQueue& other) const {
        return this->queues_.empty() ? other : this->queues_.front();
    }

    std::vector<HeldTransaction> transactions_;
};

}  // namespace model
