// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#include "latchbox/coroutine.hpp"

#include <coroutine>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "simulation/ledger.hpp"

// Coroutines that wait, under all schedules of small programs: each is resumed once or not at all,
// under no lock, and no message is lost with it. [8]
using namespace scenes;

namespace {

using latchbox::async_fetch;
using latchbox::async_fetch_for;
using latchbox::async_wait;
using LedgerOf = std::shared_ptr<Ledger>;

// A coroutine that begins at once, and is destroyed by its owner, wherever it is then.
class Flow {
public:
    struct promise_type {
        Flow get_return_object() noexcept {
            return Flow{std::coroutine_handle<promise_type>::from_promise(*this)};
        }
        static std::suspend_never initial_suspend() noexcept { return {}; }
        static std::suspend_always final_suspend() noexcept { return {}; }
        static void return_void() noexcept {}
        static void unhandled_exception() noexcept { std::terminate(); }
    };

    Flow() noexcept = default;
    Flow(Flow&& other) noexcept : handle_{std::exchange(other.handle_, {})} {}
    Flow& operator=(Flow&& other) noexcept {
        std::swap(handle_, other.handle_);
        return *this;
    }
    ~Flow() { destroy(); }
    void destroy() {
        if (handle_) { std::exchange(handle_, {}).destroy(); }
    }
    [[nodiscard]] bool done() const noexcept { return !handle_ || handle_.done(); }

private:
    explicit Flow(std::coroutine_handle<promise_type> handle) noexcept : handle_{handle} {}
    std::coroutine_handle<promise_type> handle_;
};

// On whoever calls it.
struct Inline {
    template <class Resume> void operator()(Resume resume) const {
        Simulated::user_code();
        resume();
    }
};

// What is posted from everywhere runs in one fiber.
class Loop {
public:
    Loop() { posted_.reserve(8); }

    void post(std::function<void()> act) {
        Simulated::user_code();
        const latchbox::detail::Lock<Simulated::Mutex> lock{mutex_};
        posted_.push_back(std::move(act));
        come_.notify_one();
    }
    // Runs one, after waiting for it.
    void run_one() {
        std::function<void()> act;
        {
            const latchbox::detail::Lock<Simulated::Mutex> lock{mutex_};
            while (posted_.empty()) { come_.wait(mutex_); }
            act = std::move(posted_.front());
            posted_.erase(posted_.begin());
        }
        act();
    }
    // Runs what is there; how many that were.
    int run_all() {
        int ran = 0;
        for (;; ++ran) {
            {
                const latchbox::detail::Lock<Simulated::Mutex> lock{mutex_};
                if (posted_.empty()) { return ran; }
            }
            run_one();
        }
    }

private:
    Simulated::Mutex mutex_;
    Simulated::Condition come_;
    std::vector<std::function<void()>> posted_;
};

// What the fibers share besides the ledger. The loop goes last.
struct Stream {
    Loop loop;
    Simulated::StopSource stop;
    Flow first;
    Flow second;

    [[nodiscard]] auto on_loop() {
        return [this](auto resume) { loop.post(resume); };
    }
};
using StreamOf = std::shared_ptr<Stream>;

template <class Executor>
Flow fetches(LedgerOf s, Executor executor, Simulated::StopToken stop = {}) {
    s->settle(co_await async_fetch(*s->a, executor, stop));
}
template <class Executor> Flow fetches_for(LedgerOf s, Executor executor, Duration length) {
    s->settle(co_await async_fetch_for(*s->a, executor, length));
}
template <class Executor>
Flow waits(LedgerOf s, Executor executor, MessageId id, std::string* how) {
    const auto state = co_await async_wait(s->broker().latch(id), executor);
    *how = state ? to_string(*state) : latchbox::to_string(state.error());
}

// The program, with coroutines that are gone at its end.
template <class SetUp>
void every_flow(const std::set<std::string>& ways, const latchbox::testing::Rules& rules,
                SetUp set_up, const QueueOptions& options = {}, bool closed = false) {
    every_entry(ways, rules, [=](World& world, auto s) {
        const auto stream = std::make_shared<Stream>();
        s->queues(options);
        set_up(world, s, stream);
        world.finally([=] {
            if (!closed) { s->say(s->left(*s->a)); }
            stream->first.destroy();
            stream->second.destroy();
            stream->loop.run_all();
            s->finish(closed);
        });
    });
}

}  // namespace

// --- one that waits ------------------------------------------------------------------------------

TEST_CASE("a coroutine and a publish find each other, on whatever thread [8] [4.9]") {
    SUBCASE("resumed by the publisher") {
        every_flow({"got 1; published; -", "got 1 published; -"}, interrupted,
                   [](World& world, auto s, StreamOf stream) {
                       world.spawn("flow", [=] { stream->first = fetches(s, Inline{}); });
                       world.spawn("publisher", [=] { s->publish(*s->a, 1); });
                   });
    }
    SUBCASE("resumed by a loop") {
        every_flow({"got 1; published; -"}, interrupted, [](World& world, auto s, StreamOf stream) {
            world.spawn("loop", [=] {
                stream->first = fetches(s, stream->on_loop());
                while (!stream->first.done()) { stream->loop.run_one(); }
            });
            world.spawn("publisher", [=] { s->publish(*s->a, 1); });
        });
    }
}

TEST_CASE("a coroutine, a publish and a stop: the message is got once or left [8] [7.7]") {
    every_flow({"got 1; published; -", "cancelled; published; 1"}, two_preemptions,
               [](World& world, auto s, StreamOf stream) {
                   world.spawn("loop", [=] {
                       stream->first = fetches(s, stream->on_loop(), stream->stop.get_token());
                       while (!stream->first.done()) { stream->loop.run_one(); }
                   });
                   world.spawn("publisher", [=] { s->publish(*s->a, 1); });
                   world.spawn("stopper", [=] { stream->stop.request_stop(); });
               });
}

TEST_CASE("a coroutine that waits is told of a close [8] [7.5]") {
    const auto beside = [](bool destroys) {
        return [=](World& world, auto s, StreamOf stream) {
            world.spawn("loop", [=] {
                stream->first = fetches(s, stream->on_loop());
                while (!stream->first.done()) { stream->loop.run_one(); }
            });
            world.spawn("closer", [=] {
                if (destroys) { return s->destroy_broker(); }
                s->broker().close();
            });
        };
    };
    SUBCASE("by close") { every_flow({"closed"}, interrupted, beside(false), {}, true); }
    SUBCASE("by the end of the broker") {
        every_flow({"closed"}, two_preemptions, beside(true), {}, true);
    }
    SUBCASE("by the removal of its queue") {
        every_flow(
            {"closed"}, interrupted,
            [](World& world, auto s, StreamOf stream) {
                world.spawn("loop", [=] {
                    stream->first = fetches(s, stream->on_loop());
                    while (!stream->first.done()) { stream->loop.run_one(); }
                });
                world.spawn("remover", [=] { s->broker().remove("a"); });
            },
            {}, true);
    }
}

TEST_CASE("a coroutine destroyed beside a publish gives the message back untouched [8] [4.7]") {
    const auto beside = [](bool another) {
        return [=](World& world, auto s, StreamOf stream) {
            stream->first = fetches(s, stream->on_loop());
            world.spawn("loop", [=] {
                stream->first.destroy();
                stream->loop.run_all();  // does nothing any more
            });
            world.spawn("publisher", [=] { s->publish(*s->a, 1); });
            if (another) {
                world.spawn("fetcher", [=] {
                    auto got = s->a->fetch();
                    s->check(got.has_value() && got->attempt() == 1, "was fetched before");
                    s->settle(std::move(got));
                });
            }
        };
    };
    SUBCASE("to nobody") { every_flow({"published; 1"}, interrupted, beside(false)); }
    SUBCASE("to who waits behind it") {
        every_flow({"published; got 1; -"}, two_preemptions, beside(true));
    }
}

TEST_CASE("a coroutine destroyed beside a stop or a close: nobody resumes it [8]") {
    SUBCASE("a stop") {
        every_flow({"-"}, interrupted, [](World& world, auto s, StreamOf stream) {
            stream->first = fetches(s, stream->on_loop(), stream->stop.get_token());
            world.spawn("loop", [=] {
                stream->first.destroy();
                stream->loop.run_all();
            });
            world.spawn("stopper", [=] { stream->stop.request_stop(); });
        });
    }
    SUBCASE("a close") {
        every_flow(
            {""}, interrupted,
            [](World& world, auto s, StreamOf stream) {
                stream->first = fetches(s, stream->on_loop());
                world.spawn("loop", [=] {
                    stream->first.destroy();
                    stream->loop.run_all();
                });
                world.spawn("closer", [=] { s->broker().close(); });
            },
            {}, true);
    }
}

// --- time ----------------------------------------------------------------------------------------

TEST_CASE("a coroutine whose time is over as its message comes has one of them [8] [4.3]") {
    every_flow({"got 1; published; -", "timed out; published; 1"}, two_preemptions,
               [](World& world, auto s, StreamOf stream) {
                   stream->first = fetches_for(s, stream->on_loop(), 10s);
                   world.spawn("loop", [=] {
                       while (!stream->first.done()) { stream->loop.run_one(); }
                   });
                   world.spawn("publisher", [=] { s->publish(*s->a, 1); });
                   world.spawn("clock", [=] {
                       s->clock().advance(10s);
                       s->broker().poll();
                   });
               });
}

TEST_CASE("the time of a coroutine is kept by a thread that sleeps elsewhere [8] [4.9]") {
    every_flow({"timed out; got 2; -"}, two_preemptions, [](World& world, auto s, StreamOf stream) {
        world.spawn("loop", [=] {
            stream->first = fetches_for(s, stream->on_loop(), 10s);
            while (!stream->first.done()) { stream->loop.run_one(); }
            s->accept(*s->b, 2);
        });
        world.spawn("sleeper", [=] { s->fetch(*s->b); });
        world.spawn("clock", [=] { s->clock().advance(10s); });
        world.spawn_at_rest("more time", [=] {
            if (!stream->first.done()) { s->clock().advance(10s); }
        });
    });
}

TEST_CASE("a coroutine whose time is over leaves the message to who waits behind it [8] [4.9]") {
    every_flow({"timed out; got 1; published; -"}, two_preemptions,
               [](World& world, auto s, StreamOf stream) {
                   stream->first = fetches_for(s, stream->on_loop(), 10s);
                   world.spawn("loop", [=] {
                       while (!stream->first.done()) { stream->loop.run_one(); }
                   });
                   world.spawn("fetcher", [=] { s->fetch(*s->a); });
                   world.spawn("publisher", [=] {
                       s->clock().advance(10s);
                       s->publish(*s->a, 1);
                   });
               });
}

TEST_CASE("a lease that runs out brings its message to a coroutine [8] [4.3]") {
    every_flow({"got 1; -"}, two_interrupted,
               [](World& world, auto s, StreamOf stream) {
                   s->hold(0, *s->a, 1);
                   world.spawn("loop", [=] {
                       stream->first = fetches(s, stream->on_loop());
                       while (!stream->first.done()) { stream->loop.run_one(); }
                   });
                   world.spawn("clock", [=] {
                       s->clock().advance(10s);
                       s->broker().poll();
                   });
               },
               {.lease = 10s});
}

// --- the line ------------------------------------------------------------------------------------

TEST_CASE("coroutines and threads are served in the order in which they came [8] [4.9]") {
    SUBCASE("the coroutine first") {
        every_flow({"got 1; got 2; published published; -"}, two_preemptions,
                   [](World& world, auto s, StreamOf stream) {
                       stream->first = fetches(s, stream->on_loop());
                       world.spawn("loop", [=] { stream->loop.run_one(); });
                       world.spawn_early("fetcher", [=] { s->fetch(*s->a); });
                       world.spawn("publisher", [=] {
                           s->publish(*s->a, 1);
                           s->publish(*s->a, 2);
                       });
                   });
    }
    SUBCASE("the thread first") {
        every_flow({"got 1; got 2; published published; -"}, two_preemptions,
                   [](World& world, auto s, StreamOf stream) {
                       world.spawn_early("fetcher", [=] { s->fetch(*s->a); });
                       world.spawn_early("loop", [=] {
                           stream->first = fetches(s, stream->on_loop());
                           stream->loop.run_one();
                       });
                       world.spawn("publisher", [=] {
                           s->publish(*s->a, 1);
                           s->publish(*s->a, 2);
                       });
                   });
    }
    SUBCASE("two coroutines") {
        every_flow({"got 1 got 2; published published; -"}, two_preemptions,
                   [](World& world, auto s, StreamOf stream) {
                       stream->first = fetches(s, stream->on_loop());
                       stream->second = fetches(s, stream->on_loop());
                       world.spawn("loop", [=] {
                           stream->loop.run_one();
                           stream->loop.run_one();
                       });
                       world.spawn("publisher", [=] {
                           s->publish(*s->a, 1);
                           s->publish(*s->a, 2);
                       });
                   });
    }
}

TEST_CASE("of a coroutine and a fetch with one message, one waits on [8] [4.9]") {
    every_flow({"got 1; closed; published; -", "closed; got 1; published; -"}, two_preemptions,
               [](World& world, auto s, StreamOf stream) {
                   world.spawn("loop", [=] {
                       stream->first = fetches(s, stream->on_loop());
                       while (!stream->first.done()) { stream->loop.run_one(); }
                   });
                   world.spawn("fetcher", [=] { s->fetch(*s->a); });
                   world.spawn("publisher", [=] { s->publish(*s->a, 1); });
                   world.spawn_at_rest("last", [=, &world] {
                       s->check(world.has_ended(0) != world.has_ended(1), "not one waits");
                       s->broker().remove("a");
                   });
               });
}

TEST_CASE("one of two coroutines leaves the line: the other is served [8] [4.9]") {
    const auto beside = [](bool destroys) {
        return [=](World& world, auto s, StreamOf stream) {
            stream->first = fetches(s, stream->on_loop(), stream->stop.get_token());
            stream->second = fetches(s, stream->on_loop());
            world.spawn("loop", [=] {
                if (destroys) { stream->first.destroy(); }
                while (!stream->second.done()) { stream->loop.run_one(); }
                stream->loop.run_all();
            });
            world.spawn("publisher", [=] { s->publish(*s->a, 1); });
            if (!destroys) {
                world.spawn("stopper", [=] { stream->stop.request_stop(); });
                world.spawn_at_rest("last", [=] { s->publish(*s->a, 2); });
            }
        };
    };
    SUBCASE("as it is destroyed") {
        every_flow({"got 1; published; -"}, two_preemptions, beside(true));
    }
}

// --- latches -------------------------------------------------------------------------------------

TEST_CASE("a coroutine that waits for a latch, and the ack: it is told once [8] [5.8]") {
    every_flow({"acked; completed; -"}, two_interrupted, [](World& world, auto s, StreamOf stream) {
        s->hold(0, *s->a, 1);
        const auto how = std::make_shared<std::string>();
        world.spawn("loop", [=] {
            stream->first = waits(s, stream->on_loop(), s->ids[1], how.get());
            while (!stream->first.done()) { stream->loop.run_one(); }
        });
        world.spawn("holder", [=] { s->ack(*s->held[0]); });
        world.spawn_at_rest("last", [=] { s->say(*how); });
    });
}

TEST_CASE("a coroutine that waits for a latch is destroyed beside the ack [8] [5.8]") {
    every_flow({"acked; -"}, two_interrupted, [](World& world, auto s, StreamOf stream) {
        s->hold(0, *s->a, 1);
        const auto how = std::make_shared<std::string>();
        stream->first = waits(s, stream->on_loop(), s->ids[1], how.get());
        world.spawn("loop", [=] {
            stream->first.destroy();
            stream->loop.run_all();
            s->check(how->empty(), "goes on after its end");
        });
        world.spawn("holder", [=] { s->ack(*s->held[0]); });
    });
}

TEST_CASE("a coroutine that waits for a latch is told of a close, or of the ack [8] [7.5]") {
    every_flow(
        {"acked; completed", "closed; closed"}, two_interrupted,
        [](World& world, auto s, StreamOf stream) {
            s->hold(0, *s->a, 1);
            const auto how = std::make_shared<std::string>();
            stream->first = waits(s, stream->on_loop(), s->ids[1], how.get());
            world.spawn("loop", [=] {
                while (!stream->first.done()) { stream->loop.run_one(); }
            });
            world.spawn("holder", [=] { s->ack(*s->held[0]); });
            world.spawn("closer", [=] { s->broker().close(); });
            world.spawn_at_rest("last", [=] { s->say(*how); });
        },
        {}, true);
}
