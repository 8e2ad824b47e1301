// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
//
// The cost curve over the size of a message, 8 bytes to 64 KiB: one thread publishes a copy,
// fetches and acks it. What a copy costs is paid by everybody.

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>

#include "latchbox/latchbox.hpp"

#include "bench.hpp"
#include "contestants.hpp"

namespace {

using bench::Options;
using bench::Table;

template <class Msg, class Contestant>
void enter(Table& table, const Options& options, const std::string& name,
           const std::string& workload) {
    const auto contestant = std::make_shared<Contestant>();
    const std::size_t messages = (std::min)(options.messages(1'000'000),
                                            options.messages(std::size_t{1} << 30) / sizeof(Msg));
    table.add(name, workload, [=] { return bench::one_thread<Msg>(*contestant, messages); });
}

template <std::size_t size>
void enter_size(Table& table, const Options& options, const std::string& workload) {
    using Msg = bench::Message<size>;
    static_assert(sizeof(Msg) == size);
    enter<Msg, bench::Latchbox<Msg>>(table, options, "latchbox", workload);
    enter<Msg, bench::Naive<Msg>>(table, options, "at least once, naive", workload);
    enter<Msg, bench::Deque<Msg>>(table, options, "mutex + deque, raw", workload);
#if defined(LATCHBOX_BENCH_MOODYCAMEL)
    enter<Msg, bench::Moodycamel<Msg>>(table, options, "moodycamel, raw", workload);
#else
    table.missing("moodycamel, raw", "not installed");
#endif
}

}  // namespace

int main(int argc, char** argv) {
    const Options options = Options::parse(argc, argv);
    Table table{options,
                "publish, fetch, ack by the size of the message",
                {"8 B", "64 B", "512 B", "4 KiB", "64 KiB"}};
    enter_size<8>(table, options, "8 B");
    enter_size<64>(table, options, "64 B");
    enter_size<512>(table, options, "512 B");
    enter_size<4'096>(table, options, "4 KiB");
    enter_size<65'536>(table, options, "64 KiB");
    table.run();
    table.plot("sizes", "size of a message");
}
