// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
//
// The same promise from another process: beanstalkd, Redis streams and NATS JetStream, publish,
// fetch and ack over loopback. They are spoken to in the fewest bytes that their protocols allow,
// store nothing on disk, and serve one client; each is started by this program and stopped with it.
// They do what latchbox does not: other processes reach them, and outlive those that crash.

#include <algorithm>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "latchbox/latchbox.hpp"

#include "bench.hpp"
#include "contestants.hpp"
#include "server.hpp"

namespace {

using bench::Options;
using bench::Table;
using Message = bench::Message<16>;

std::string_view bytes(const Message& message) {
    return {reinterpret_cast<const char*>(&message), sizeof message};
}
std::uint64_t number(std::string_view bytes) {
    Message message;
    if (bytes.size() != sizeof message) { throw std::runtime_error{"not what was published"}; }
    std::memcpy(&message, bytes.data(), sizeof message);
    return message.number;
}
void expect(bool good, std::string_view answer) {
    if (!good) {
        throw std::runtime_error{"an answer that was not expected: " + std::string{answer}};
    }
}
void expect_start(std::string_view answer, std::string_view start) {
    expect(answer.substr(0, start.size()) == start, answer);
}
// The word of this number in a line.
std::string_view word(std::string_view line, std::size_t nth) {
    for (; nth > 0; --nth) { line.remove_prefix((std::min)(line.find(' '), line.size() - 1) + 1); }
    return line.substr(0, line.find(' '));
}
std::size_t to_size(std::string_view digits) { return std::stoul(std::string{digits}); }

// --- the contestants: `publish` so many, then `take` as many, and return the sum of the numbers --

class Latchbox {
public:
    static constexpr const char* name = "latchbox, in process";
    void publish(std::uint64_t first, std::size_t count) {
        batch_.resize(count);
        for (Message& each : batch_) { each.number = first++; }
        if (count == 1) { return queue_.publish(batch_.front()).value(), void(); }
        queue_.publish_batch(batch_).value();
    }
    std::uint64_t take(std::size_t count) {
        std::uint64_t sum = 0;
        queue_.fetch_batch(held_, count).value();
        for (const auto& delivery : held_) { sum += delivery.body().number; }
        queue_.ack_batch(held_);
        held_.clear();
        return sum;
    }

private:
    latchbox::Broker<Message> broker_;
    latchbox::Queue<Message> queue_ = broker_.queue("bench");
    std::vector<Message> batch_;
    std::vector<latchbox::Delivery<Message>> held_;
};

class Beanstalkd {
public:
    static constexpr const char* name = "beanstalkd";
    static constexpr const char* program = "beanstalkd";
    static bench::Server::Arguments arguments(const std::string& port, const std::string&) {
        return {"-l", "127.0.0.1", "-p", port};
    }
    explicit Beanstalkd(std::uint16_t port) : server_{port} {}

    void publish(std::uint64_t first, std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) {
            const auto message = bench::numbered<Message>(first + i);
            server_ << "put 0 0 60 16\r\n" << bytes(message) << "\r\n";
        }
        for (std::size_t i = 0; i < count; ++i) { expect_start(server_.line(), "INSERTED"); }
    }
    std::uint64_t take(std::size_t count) {
        std::uint64_t sum = 0;
        for (std::size_t i = 0; i < count; ++i) { server_ << "reserve\r\n"; }
        std::string deletes;
        for (std::size_t i = 0; i < count; ++i) {
            const std::string_view answer = server_.line();
            expect_start(answer, "RESERVED");
            deletes += "delete " + std::string{word(answer, 1)} + "\r\n";
            sum += number(server_.block(to_size(word(answer, 2))));
        }
        server_ << deletes;
        for (std::size_t i = 0; i < count; ++i) { expect_start(server_.line(), "DELETED"); }
        return sum;
    }

private:
    bench::Connection server_;
};

class Redis {
public:
    static constexpr const char* name = "Redis streams";
    static constexpr const char* program = "redis-server";
    static bench::Server::Arguments arguments(const std::string& port, const std::string&) {
        return {"--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no"};
    }
    explicit Redis(std::uint16_t port) : server_{port} {
        command({"XGROUP", "CREATE", "s", "g", "$", "MKSTREAM"});
        expect_start(server_.line(), "+OK");
    }
    void publish(std::uint64_t first, std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) {
            const auto message = bench::numbered<Message>(first + i);
            command({"XADD", "s", "*", "m", bytes(message)});
        }
        for (std::size_t i = 0; i < count; ++i) { bulk(); }
    }
    std::uint64_t take(std::size_t count) {
        std::uint64_t sum = 0;
        const std::string so_many = std::to_string(count);
        command({"XREADGROUP", "GROUP", "g", "c", "COUNT", so_many, "STREAMS", "s", ">"});
        array(1);  // of streams
        array(2);  // name, messages
        bulk();
        array(count);
        std::vector<std::string> ids;
        for (std::size_t i = 0; i < count; ++i) {
            array(2);  // id, fields
            ids.emplace_back(bulk());
            array(2);  // name, value
            bulk();
            sum += number(bulk());
        }
        std::vector<std::string_view> ack{"XACK", "s", "g"};
        ack.insert(ack.end(), ids.begin(), ids.end());
        command(ack);
        const std::string_view answer = server_.line();
        expect(answer == ":" + so_many, answer);
        return sum;
    }

private:
    void command(const std::vector<std::string_view>& words) {
        server_ << "*" << words.size() << "\r\n";
        for (const std::string_view each : words) {
            server_ << "$" << each.size() << "\r\n" << each << "\r\n";
        }
    }
    std::string_view bulk() {
        const std::string_view size = server_.line();
        expect_start(size, "$");
        return server_.block(to_size(size.substr(1)));
    }
    void array(std::size_t size) {
        const std::string_view answer = server_.line();
        expect(answer == "*" + std::to_string(size), answer);
    }

    bench::Connection server_;
};

// Its acks are not answered, which is how its clients have it by default; the last ones are waited
// for by `take` all the same, with a ping.
class Nats {
public:
    static constexpr const char* name = "NATS JetStream, in memory";
    static constexpr const char* program = "nats-server";
    static bench::Server::Arguments arguments(const std::string& port, const std::string& folder) {
        return {"-a", "127.0.0.1", "-p", port, "-js", "-sd", folder};
    }
    explicit Nats(std::uint16_t port) : server_{port} {
        expect_start(server_.line(), "INFO");
        server_ << "CONNECT {\"verbose\":false}\r\nSUB in.* 1\r\n";
        ask("$JS.API.STREAM.CREATE.bench",
            R"({"name":"bench","subjects":["bench"],"storage":"memory","retention":"workqueue"})");
        ask("$JS.API.CONSUMER.DURABLE.CREATE.bench.workers",
            R"({"stream_name":"bench",)"
            R"("config":{"durable_name":"workers","ack_policy":"explicit"}})");
    }
    void publish(std::uint64_t first, std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) {
            const auto message = bench::numbered<Message>(first + i);
            send("bench", bytes(message));
        }
        for (std::size_t i = 0; i < count; ++i) { accepted(); }
    }
    std::uint64_t take(std::size_t count) {
        std::uint64_t sum = 0;
        send("$JS.API.CONSUMER.MSG.NEXT.bench.workers",
             "{\"batch\":" + std::to_string(count) + "}");
        std::string acks;
        for (std::size_t i = 0; i < count; ++i) {
            sum += number(receive());
            acks += "PUB " + reply_ + " 0\r\n\r\n";
        }
        server_ << acks << "PING\r\n";
        while (server_.line() != "PONG") {}
        return sum;
    }

private:
    void send(std::string_view subject, std::string_view body) {
        server_ << "PUB " << subject << " in.1 " << body.size() << "\r\n" << body << "\r\n";
    }
    // MSG subject subscription [reply] size
    std::string_view receive() {
        std::string_view line = server_.line();
        while (line == "PING") {
            server_ << "PONG\r\n";
            line = server_.line();
        }
        expect_start(line, "MSG");
        const bool has_reply = std::count(line.begin(), line.end(), ' ') == 4;
        if (has_reply) { reply_ = word(line, 3); }
        return server_.block(to_size(word(line, has_reply ? 4 : 3)));
    }
    void accepted() {
        const std::string_view answer = receive();
        expect(answer.find("\"error\"") == std::string_view::npos, answer);
    }
    void ask(std::string_view subject, std::string_view body) {
        send(subject, body);
        accepted();
    }

    bench::Connection server_;
    std::string reply_;
};

// --- the workload ------------------------------------------------------------------------------

constexpr struct {
    const char* name;
    std::size_t size;
} batches[] = {{"one at a time", 1}, {"200 at a time", 200}};

// Whoever is told to stop takes the servers and their folders along.
volatile std::sig_atomic_t told_to_stop = 0;

template <class Contestant>
double run(Contestant& contestant, std::size_t messages, std::size_t batch) {
    std::uint64_t sum = 0;
    const double taken = bench::time_per_message(messages, [&] {
        for (std::uint64_t i = 0; i < messages; i += batch) {
            if (told_to_stop != 0) { throw std::runtime_error{"stopped"}; }
            contestant.publish(i, batch);
            sum += contestant.take(batch);
        }
    });
    bench::check_sum(sum, messages);
    return taken;
}

template <class Contestant>
void enter(Table& table, std::size_t messages, const std::shared_ptr<Contestant>& contestant) {
    for (const auto& batch : batches) {
        table.add(Contestant::name, batch.name,
                  [=, size = batch.size] { return run(*contestant, messages / 200 * size, size); });
    }
}

// Both live as long as the table.
template <class Rival> void enter_server(Table& table, const Options& options) {
    const auto program = bench::find_program(Rival::program);
    if (!program) { return table.missing(Rival::name, "not installed"); }
    struct Running {
        explicit Running(const std::string& path) : server{path, Rival::arguments} {}
        bench::Server server;
        Rival client{server.port()};
    };
    std::shared_ptr<Running> running;
    try {
        running = std::make_shared<Running>(*program);
    } catch (const std::runtime_error& failure) {
        std::fprintf(stderr, "%s: %s\n", Rival::name, failure.what());
        return table.missing(Rival::name, "does not start");
    }
    enter(table, options.messages(200'000), std::shared_ptr<Rival>{running, &running->client});
}

void measure(const Options& options) {
    Table table{options, "the same promise over loopback", {batches[0].name, batches[1].name}};
    enter(table, options.messages(1'000'000), std::make_shared<Latchbox>());
    enter_server<Beanstalkd>(table, options);
    enter_server<Redis>(table, options);
    enter_server<Nats>(table, options);
    table.run();
    bench::Budgets ratios{options};
    for (const auto& batch : batches) {
        for (const char* const rival : {Beanstalkd::name, Redis::name, Nats::name}) {
            ratios.tell(std::string{batch.name} + ": " + rival + " / latchbox",
                        table.figure(rival, batch.name), table.figure(Latchbox::name, batch.name));
        }
    }
}

}  // namespace

int main(int argc, char** argv) {
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
        std::signal(signal, [](int) { told_to_stop = 1; });
    }
    std::signal(SIGPIPE, SIG_IGN);
    try {
        measure(Options::parse(argc, argv));
    } catch (const std::exception& failure) {
        std::fprintf(stderr, "%s\n", failure.what());
        return 1;
    }
}
