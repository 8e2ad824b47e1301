// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
//
// The code of docs/embedding.md for Qt: built where that is found.

// Qt first, with the macros that it makes of `slots`, `signals` and `emit`: any order will do.
#include <QCoreApplication>
#include <QObject>
#include <QTimer>

#include <chrono>
#include <coroutine>
#include <exception>
#include <iostream>
#include <string>
#include <thread>

#include "latchbox/coroutine.hpp"
#include "latchbox/latchbox.hpp"

using namespace std::chrono_literals;

struct Detached {  // a coroutine that nobody waits for
    struct promise_type {
        Detached get_return_object() noexcept { return {}; }
        std::suspend_never initial_suspend() noexcept { return {}; }
        std::suspend_never final_suspend() noexcept { return {}; }
        void return_void() noexcept {}
        void unhandled_exception() noexcept { std::terminate(); }
    };
};

Detached show(latchbox::Queue<std::string> news, QObject& window) {
    const auto in_its_thread = [&window](auto resume) {
        QMetaObject::invokeMethod(&window, resume, Qt::QueuedConnection);
    };
    while (auto item = co_await latchbox::async_fetch(news, in_its_thread)) {
        std::cout << item->body() << '\n';  // or label.setText(...)
        item->ack();
    }
    QCoreApplication::quit();
}

// Closes the broker once that message is done.
Detached close_after(latchbox::MessageId last, latchbox::Broker<std::string>& broker,
                     QObject& window) {
    const auto in_its_thread = [&window](auto resume) {
        QMetaObject::invokeMethod(&window, resume, Qt::QueuedConnection);
    };
    co_await latchbox::async_wait(broker.latch(last), in_its_thread);
    broker.close();
}

class Poller : public QObject {
public:
    Poller(latchbox::Broker<std::string>& broker, latchbox::Clock& clock)
        : broker_{broker}, clock_{clock} {
        timer_.setSingleShot(true);
        connect(&timer_, &QTimer::timeout, this, [this] { poll(); });
    }
    void poll() {
        const latchbox::Instant next = broker_.poll();
        if (next.is_never()) {
            timer_.stop();
        } else {  // rounded up: early would be for nothing
            timer_.start(
                std::chrono::ceil<std::chrono::milliseconds>((next - clock_.now()).to_chrono()));
        }
    }

private:
    latchbox::Broker<std::string>& broker_;
    latchbox::Clock& clock_;
    QTimer timer_;
};

int main(int argc, char** argv) {
    QCoreApplication application{argc, argv};
    QObject window;
    latchbox::SteadyClock clock;
    latchbox::Broker<std::string> broker{{.clock = &clock}};
    const auto news = broker.queue("news");
    show(news, window);

    std::thread elsewhere{[&news] { news.publish("from another thread").value(); }};
    elsewhere.join();
    const auto last = news.publish("a moment later", {.delay = 5ms}).value();
    close_after(last, broker, window);
    Poller poller{broker, clock};
    poller.poll();
    return QCoreApplication::exec();
}
