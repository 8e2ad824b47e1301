// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
//
// Leases that run out at once, up to a million of them: what it costs until all are offered again,
// on a clock that is moved by hand, and until all were fetched again and acked; beside publish,
// fetch and ack of one message.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "latchbox/latchbox.hpp"

#include "bench.hpp"
#include "contestants.hpp"

namespace {

using bench::Options;
using bench::Table;
using Message = bench::Message<16>;

class Leases {
public:
    explicit Leases(std::size_t most)
        : queue_{broker_.queue("leases", {.lease = lease, .capacity = most})} {
        held_.reserve(most);
    }

    double run_out(std::size_t leases, bool and_ack) {
        for (std::size_t i = 0; i < leases; ++i) {
            queue_.publish(bench::numbered<Message>(i)).value();
            held_.push_back(queue_.try_fetch().value());
        }
        const double taken = bench::time_per_message(leases, [&] {
            clock_.advance(lease);
            broker_.poll();
            if (and_ack) { fetch_and_ack(); }
        });
        fetch_and_ack();
        held_.clear();
        if (broker_.stats().messages.held() != 0) { bench::fail("a lease did not run out"); }
        return taken;
    }

private:
    static constexpr latchbox::Duration lease = std::chrono::seconds{30};

    void fetch_and_ack() {
        while (auto delivery = queue_.try_fetch()) { delivery->ack(); }
    }

    latchbox::ManualClock clock_;
    latchbox::Broker<Message> broker_{{.clock = &clock_}};
    latchbox::Queue<Message> queue_;
    std::vector<latchbox::Delivery<Message>> held_;
};

}  // namespace

int main(int argc, char** argv) {
    const Options options = Options::parse(argc, argv);
    const std::size_t most = options.messages(1'000'000);
    const std::string offered = "until all are offered again";
    const std::string acked = "and fetched again, and acked";
    const std::string b1 = "publish, fetch, ack (B1)";

    std::vector<std::string> workloads;
    for (std::size_t leases = 100; leases <= most; leases *= 10) {
        workloads.push_back(bench::with_commas(leases));
    }
    Table table{options, "leases that run out at once", workloads};
    const auto leases = std::make_shared<Leases>(most);
    const auto plain = std::make_shared<bench::Latchbox<Message>>();
    for (std::size_t count = 100; count <= most; count *= 10) {
        const std::string workload = bench::with_commas(count);
        table.add(offered, workload, [=] { return leases->run_out(count, false); });
        table.add(acked, workload, [=] { return leases->run_out(count, true); });
        table.add(b1, workload, [=] { return bench::one_thread<Message>(*plain, most / 10); });
    }
    table.run();
    table.plot("leases", "leases that run out at one instant");

    bench::Budgets budgets{options};
    for (const std::string& until : {offered, acked}) {
        budgets.show("B9", workloads.back() + " leases, " + until + " / B1",
                     table.figure(until, workloads.back()), table.figure(b1, workloads.back()),
                     bench::Budgets::Wants::at_most, 6.0, 3.0);
    }
}
