// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <csignal>

#if defined(__linux__)
#include <sys/prctl.h>
#endif

#include "folder.hpp"

// Servers that a benchmark starts for itself, and what it speaks to them with. Loopback only.
namespace bench {

inline sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}
inline const sockaddr* plain(const sockaddr_in& address) {
    return reinterpret_cast<const sockaddr*>(&address);
}

class Socket {
public:
    Socket() : number_{socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)} {
        if (number_ < 0) { throw std::runtime_error{"no socket"}; }
    }
    Socket(const Socket&) = delete;
    Socket& operator=(const Socket&) = delete;
    ~Socket() { ::close(number_); }
    [[nodiscard]] int number() const { return number_; }

private:
    int number_;
};

// A port that nobody listened on a moment ago.
inline std::uint16_t free_port() {
    const Socket socket;
    sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    if (bind(socket.number(), plain(address), size) != 0 ||
        getsockname(socket.number(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
        throw std::runtime_error{"no free port"};
    }
    return ntohs(address.sin_port);
}

// Where a program is, if it is installed. Servers often stand where users have no path to.
inline std::optional<std::string> find_program(const std::string& name) {
    const char* const path = std::getenv("PATH");
    const std::string folders =
        std::string{path == nullptr ? "" : path} + ":/usr/local/sbin:/usr/sbin:/sbin";
    for (std::size_t from = 0; from < folders.size();) {
        const std::size_t to = (std::min)(folders.find(':', from), folders.size());
        const std::string file = folders.substr(from, to - from) + '/' + name;
        if (access(file.c_str(), X_OK) == 0) { return file; }
        from = to + 1;
    }
    return std::nullopt;
}

// Runs until it is destroyed, or until the thread that started it is gone, for whatever reason.
class Server {
public:
    using Arguments = std::vector<std::string>;

    // `arguments` is given a port and a folder for what it stores.
    Server(const std::string& program,
           const std::function<Arguments(const std::string& port, const std::string& folder)>&
               arguments) {
        // The port may be somebody else's by now: then once more.
        for (int attempt = 0; attempt < 3; ++attempt) {
            port_ = free_port();
            start(program, arguments(std::to_string(port_), folder_.file("data")));
            if (answers()) { return; }
            stop();
        }
        throw std::runtime_error{program + " does not start"};
    }
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;
    ~Server() { stop(); }
    [[nodiscard]] std::uint16_t port() const { return port_; }

private:
    void start(const std::string& program, Arguments arguments) {
        std::vector<char*> words;
        std::string name = program;
        words.push_back(name.data());
        for (std::string& argument : arguments) { words.push_back(argument.data()); }
        words.push_back(nullptr);
        const std::string log = folder_.file("log");
        const pid_t parent = getpid();
        process_ = fork();
        if (process_ < 0) { throw std::runtime_error{"no process"}; }
        if (process_ > 0) { return; }
#if defined(__linux__)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
        if (getppid() != parent) { _exit(1); }
        const int output = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
        dup2(output, 1);
        dup2(output, 2);
        execv(program.c_str(), words.data());
        _exit(1);
    }
    // Until it accepts a connection; false if it has ended, or takes longer than 10 seconds.
    [[nodiscard]] bool answers() {
        for (int i = 0; i < 1'000; ++i) {
            if (waitpid(process_, nullptr, WNOHANG) != 0) {
                process_ = 0;
                return false;
            }
            const Socket socket;
            const sockaddr_in address = loopback(port_);
            if (connect(socket.number(), plain(address), sizeof address) == 0) { return true; }
            std::this_thread::sleep_for(std::chrono::milliseconds{10});
        }
        return false;
    }
    void stop() {
        if (process_ <= 0) { return; }
        kill(process_, SIGKILL);  // nothing that it has is wanted
        waitpid(process_, nullptr, 0);
        process_ = 0;
    }

    Folder folder_;
    std::uint16_t port_ = 0;
    pid_t process_ = 0;
};

// A connection that sends what was written when it is asked to read.
class Connection {
public:
    explicit Connection(std::uint16_t port) {
        const sockaddr_in address = loopback(port);
        const int yes = 1;
        if (connect(socket_.number(), plain(address), sizeof address) != 0 ||
            setsockopt(socket_.number(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes) != 0) {
            throw std::runtime_error{"no connection"};
        }
    }
    Connection& operator<<(std::string_view text) {
        out_ += text;
        return *this;
    }
    Connection& operator<<(std::size_t number) { return *this << std::to_string(number); }

    // The next line, without its end. What is returned is valid until the next call.
    std::string_view line() {
        std::size_t end = 0;
        while ((end = in_.find("\r\n", at_)) == std::string::npos) { receive(); }
        const std::string_view found = std::string_view{in_}.substr(at_, end - at_);
        at_ = end + 2;
        return found;
    }
    // The next `size` bytes, and the end of a line behind them.
    std::string_view block(std::size_t size) {
        while (in_.size() - at_ < size + 2) { receive(); }
        const std::string_view found = std::string_view{in_}.substr(at_, size);
        at_ += size + 2;
        return found;
    }

private:
    void receive() {
        send();
        in_.erase(0, at_);
        at_ = 0;
        char more[65'536];
        const ssize_t size = recv(socket_.number(), more, sizeof more, 0);
        if (size <= 0) { throw std::runtime_error{"the server hung up"}; }
        in_.append(more, static_cast<std::size_t>(size));
    }
    void send() {
        for (std::size_t sent = 0; sent < out_.size();) {
            const ssize_t size =
                ::send(socket_.number(), out_.data() + sent, out_.size() - sent, MSG_NOSIGNAL);
            if (size <= 0) { throw std::runtime_error{"the server hung up"}; }
            sent += static_cast<std::size_t>(size);
        }
        out_.clear();
    }

    Socket socket_;
    std::string out_;
    std::string in_;
    std::size_t at_ = 0;
};

}  // namespace bench
