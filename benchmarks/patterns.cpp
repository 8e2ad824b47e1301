// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
//
// Many patterns: what a publish costs that three of them match, where ten have to be looked at and
// where there are 100,000; to one subject again and again, and to each in turn, whose subscription
// nobody has touched for a while. Through a topic that is kept, and through `broker.topic(subject)`
// each time. Then what it costs to subscribe and to unsubscribe among as many, and to end 10,000
// subscriptions of one subject, first to last and last to first.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "latchbox/latchbox.hpp"

#include "bench.hpp"

namespace {

struct Message {
    std::uint64_t number = 0;
    std::uint64_t payload = 0;
};

using Broker = latchbox::Broker<Message>;
using Topic = latchbox::Topic<Message>;
using Subscription = latchbox::Subscription<Message>;

// Two patterns that match every order, and for each customer one of its own.
class Orders {
public:
    explicit Orders(std::size_t patterns) {
        for (std::size_t i = 0; i + 2 < patterns; ++i) {
            subjects_.push_back("orders.customer-" + std::to_string(i) + ".paid");
            customers_.push_back(broker_.subscribe(subjects_.back()));
            topics_.push_back(broker_.topic(subjects_.back()));
        }
        // Every subscription has had a message before anything is measured.
        in_turn(subjects_.size(), [this](std::size_t at) { return topics_[at]; });
    }

    // Nanoseconds per publish. `topic` tells where the order of a customer goes.
    template <class MakeTopic> double same(std::size_t messages, MakeTopic&& topic) {
        return publish(messages, 0, topic);
    }
    template <class MakeTopic> double in_turn(std::size_t messages, MakeTopic&& topic) {
        return publish(messages, 7'919, topic);
    }
    [[nodiscard]] const Topic& kept(std::size_t customer) const { return topics_[customer]; }
    [[nodiscard]] Topic found(std::size_t customer) { return broker_.topic(subjects_[customer]); }

    // Nanoseconds to make or to end one of `count` subscriptions more.
    double subscribe(std::size_t count) {
        const std::vector<std::string> patterns = newcomers(count);
        std::vector<Subscription> made;
        made.reserve(count);
        return bench::time_per_message(count, [&] {
            for (const std::string& pattern : patterns) {
                made.push_back(broker_.subscribe(pattern));
            }
        });
    }
    double unsubscribe(std::size_t count) {
        std::vector<Subscription> made;
        for (const std::string& pattern : newcomers(count)) {
            made.push_back(broker_.subscribe(pattern));
        }
        return bench::time_per_message(count, [&] {
            for (Subscription& one : made) { one.unsubscribe(); }
        });
    }

private:
    template <class MakeTopic>
    double publish(std::size_t messages, std::size_t step, MakeTopic& topic) {
        constexpr std::size_t at_once = 64;
        double taken = 0;
        for (std::size_t done = 0; done < messages; done += at_once) {
            const std::size_t before = next_;
            taken += bench::time_per_message(messages, [&] {
                for (std::size_t i = 0; i < at_once; ++i) {
                    topic(next_).publish(Message{}).value();
                    next_ = (next_ + step) % subjects_.size();
                }
            });
            drain(all_);
            drain(paid_);
            std::size_t customer = before;
            for (std::size_t i = 0; i < at_once; ++i) {
                customers_[customer].try_fetch()->ack();
                customer = (customer + step) % subjects_.size();
            }
        }
        return taken;
    }
    void drain(const Subscription& subscription) {
        subscription.fetch_batch(held_, ~std::size_t{0}).value();
        subscription.ack_batch(held_);
        held_.clear();
    }
    static std::vector<std::string> newcomers(std::size_t count) {
        std::vector<std::string> patterns;
        for (std::size_t i = 0; i < count; ++i) {
            patterns.push_back("orders.newcomer-" + std::to_string(i) + ".*");
        }
        return patterns;
    }

    Broker broker_;
    Subscription all_ = broker_.subscribe("orders.>");
    Subscription paid_ = broker_.subscribe("orders.*.paid");
    std::vector<Subscription> customers_;
    std::vector<std::string> subjects_;
    std::vector<Topic> topics_;
    std::vector<latchbox::Delivery<Message>> held_;
    std::size_t next_ = 0;
};

// Nanoseconds to end one of `count` subscriptions of one subject.
double end_all(std::size_t count, bool last_to_first) {
    Broker broker;
    std::vector<Subscription> made;
    for (std::size_t i = 0; i < count; ++i) { made.push_back(broker.subscribe("orders")); }
    return bench::time_per_message(count, [&] {
        for (std::size_t i = 0; i < count; ++i) {
            made[last_to_first ? count - 1 - i : i].unsubscribe();
        }
    });
}

constexpr const char* kept = "kept topic";
constexpr const char* found = "topic(...)";

void enter(bench::Table& table, const bench::Options& options, const std::string& name,
           std::size_t patterns) {
    const auto orders = std::make_shared<Orders>(patterns);
    const std::size_t messages = options.messages(200'000);
    const auto through_kept = [=](std::size_t at) -> const Topic& { return orders->kept(at); };
    const auto through_found = [=](std::size_t at) { return orders->found(at); };
    table.add(name, kept, [=] { return orders->same(messages, through_kept); });
    table.add(name, found, [=] { return orders->same(messages, through_found); });
    const std::string in_turn = name + ", in turn";
    table.add(in_turn, kept, [=] { return orders->in_turn(messages, through_kept); });
    table.add(in_turn, found, [=] { return orders->in_turn(messages, through_found); });
    table.add(name, "subscribe", [=] { return orders->subscribe(1'000); });
    table.add(name, "unsubscribe", [=] { return orders->unsubscribe(1'000); });
}

}  // namespace

int main(int argc, char** argv) {
    const bench::Options options = bench::Options::parse(argc, argv);
    const std::string few = "10 patterns";
    const std::string many = "100,000 patterns";

    bench::Table table{options,
                       "a publish that matches 3 patterns of many",
                       {kept, found, "subscribe", "unsubscribe", "first to last", "last to first"},
                       "ns per call"};
    enter(table, options, few, 10);
    enter(table, options, many, 100'000);
    for (const std::size_t count : std::vector<std::size_t>{100, 10'000}) {
        const std::string name = std::to_string(count) + " on one subject";
        table.add(name, "first to last", [=] { return end_all(count, false); });
        table.add(name, "last to first", [=] { return end_all(count, true); });
    }
    table.run();

    bench::Budgets budgets{options};
    for (const char* const way : {kept, found}) {
        for (const char* const which : {"", ", in turn"}) {
            const std::string what = std::string{way} + which + ": 100,000 patterns / 10";
            budgets.show("B13", what, table.figure(many + which, way),
                         table.figure(few + which, way), bench::Budgets::Wants::at_most, 10.0, 4.0);
        }
    }
}
