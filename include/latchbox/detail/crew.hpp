// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "latchbox/consumer.hpp"
#include "latchbox/detail/fail.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// The threads of one `Workers`, and what they share: each fetches, calls the handler and settles,
// until they are stopped or there is nothing to fetch from any more. Lives as long as its handle or
// one of its threads does: a handler may destroy the handle.
template <class Msg, class Platform> class Crew {
public:
    using Consumer = latchbox::Consumer<Msg, Platform>;
    using Delivery = latchbox::Delivery<Msg, Platform>;
    using Shell = QueueShell<Msg, Platform>;

    // What one thread has done, and what it is at.
    struct Counts {
        typename Platform::template Atomic<std::uint64_t> begun{0};
        typename Platform::template Atomic<std::uint64_t> handled{0};
        typename Platform::template Atomic<std::uint64_t> failed{0};
        typename Platform::template Atomic<std::uint64_t> lost{0};
        typename Platform::template Atomic<std::int64_t> longest{0};
    };

    Crew(const Consumer& consumer, std::size_t threads, std::size_t batch, bool stops_on_loss)
        : member_{new Member{Access::member(consumer)}},
          consumer_{Access::make<Consumer>(Access::handle(consumer), member_)},
          batch_{batch},
          stops_on_loss_{stops_on_loss},
          threads_{threads},
          each_{std::make_unique<One[]>(threads)} {}
    Crew(const Crew&) = delete;
    Crew& operator=(const Crew&) = delete;

    void hold() noexcept { users_.fetch_add(1, std::memory_order_relaxed); }
    void let_go() noexcept {
        if (users_.fetch_sub(1, std::memory_order_acq_rel) == 1) { delete this; }
    }

    // By the handle. If a thread cannot be started, those that were end, and what that threw goes
    // on to the caller.
    void start() {
        struct Undo {
            Crew* crew;
            ~Undo() {
                if (crew == nullptr) { return; }
                crew->stop();
                crew->part();
            }
        } undo{this};
        for (std::size_t i = 0; i < threads_; ++i) { start(each_[i]); }
        undo.crew = nullptr;
    }
    // No handler is called any more, and those that were have returned; but a handler of this crew
    // does not wait for itself, nor for others who may be waiting for it.
    void stop() noexcept {
        end();
        Lock lock{mutex_};
        if (is_one_of_us()) { return; }
        while (running_ != 0) { ended_.wait(mutex_); }
        ended_.notify_one();  // the next who waits for this
    }
    // The handle's last word to its threads, after `stop`.
    void part() noexcept {
        bool from_within = false;
        {
            Lock lock{mutex_};
            from_within = is_one_of_us();
        }
        for (std::size_t i = 0; i < threads_; ++i) {
            if (!each_[i].thread.joinable()) { continue; }
            if (from_within) {
                each_[i].thread.detach();
            } else {
                each_[i].thread.join();
            }
        }
    }

    [[nodiscard]] std::size_t running() noexcept {
        Lock lock{mutex_};
        return running_;
    }
    template <class See> void each(See&& see) const noexcept {
        for (std::size_t i = 0; i < threads_; ++i) { see(std::as_const(each_[i].counts)); }
    }

protected:
    virtual ~Crew() = default;
    // Calls the handler; whether it was content. May throw what it throws.
    virtual bool handle(Delivery& delivery) = 0;

private:
    using Member = Membership<Platform>;
    using Thread = typename Platform::Thread;

    struct alignas(64) One {
        Counts counts;
        Thread thread;  // the handle's
        decltype(Platform::current_thread()) id{};
        bool runs = false;  // guarded by the mutex, as is the id
    };

    void start(One& one) {
        {
            Lock lock{mutex_};
            ++running_;
        }
        struct Undo {
            Crew* crew;
            ~Undo() {
                if (crew != nullptr) { crew->count_out(); }
            }
        } undo{this};
        one.thread = Thread{[self = Reference<Crew>::to(*this), &one] { self->run(one); }};
        undo.crew = nullptr;
    }
    void count_out() noexcept {
        Lock lock{mutex_};
        if (--running_ == 0) { ended_.notify_one(); }
    }
    [[nodiscard]] bool is_one_of_us() const noexcept LATCHBOX_REQUIRES(mutex_) {
        for (std::size_t i = 0; i < threads_; ++i) {
            if (each_[i].runs && each_[i].id == Platform::current_thread()) { return true; }
        }
        return false;
    }
    // Nobody fetches any more.
    void end() noexcept {
        if (member_->leave()) { Fetching<Msg, Platform>::end(Access::shell(consumer_), *member_); }
    }

    void run(One& one) noexcept {
        {
            Lock lock{mutex_};
            one.id = Platform::current_thread();
            one.runs = true;
        }
        std::vector<Delivery> batch;
        while (fetch(batch)) {
            for (std::size_t i = 0; i < batch.size(); ++i) {
                Delivery delivery{std::move(batch[i])};  // whose body is gone once it is handled
                if (member_->has_left()) {
                    Access::take_back(delivery);
                } else if (i == 0 || !delivery.lease_lost()) {
                    work(one, delivery);
                }
            }
            batch.clear();
        }
        {
            Lock lock{mutex_};
            one.runs = false;
        }
        count_out();
    }
    // False if there is nothing to come. Where there is no memory for it, nothing is fetched now.
    bool fetch(std::vector<Delivery>& batch) noexcept {
        Errc ended = Errc{};
        unless_out_of_memory([&] {
            if (batch_ == 1) {
                batch.reserve(1);
                auto fetched = consumer_.fetch();
                ended = fetched ? Errc{} : fetched.error();
                if (fetched) { batch.push_back(std::move(*fetched)); }
            } else {
                const auto fetched = consumer_.fetch_batch(batch, batch_, Duration::never());
                ended = fetched ? Errc{} : fetched.error();
            }
        });
        return ended == Errc{};
    }
    void work(One& one, Delivery& delivery) noexcept {
        Counts& counts = one.counts;
        const Instant began = now();
        add(counts.begun);
        Result<void> settled;
        bool failed = false;
        attempt(
            [&] {
                failed = !handle(delivery);
                if (Access::is_settled(delivery)) { return; }
                settled = failed ? delivery.fail("handler returned false") : delivery.ack();
            },
            [&](std::string_view text) noexcept {
                failed = true;
                if (!Access::is_settled(delivery)) { settled = delivery.fail(text); }
            });
        const std::int64_t took = (now() - began).count();
        if (took > counts.longest.load(std::memory_order_relaxed)) {
            counts.longest.store(took, std::memory_order_relaxed);
        }
        if (failed) { add(counts.failed); }
        if (settled == Errc::lease_lost || settled == Errc::closed) {
            add(counts.lost);
            if (stops_on_loss_) { end(); }
        }
        add(counts.handled);
    }
    // Only its own thread does.
    static void add(typename Platform::template Atomic<std::uint64_t>& count) noexcept {
        count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_release);
    }
    // At a glance. Once closed the clock is not asked any more.
    [[nodiscard]] Instant now() noexcept {
        auto& broker = *Access::shell(consumer_).broker;
        return broker.is_closed() ? Instant{} : broker.time.glance().now;
    }

    const Reference<Member> member_;  // of all its threads together
    const Consumer consumer_;
    const std::size_t batch_;
    const bool stops_on_loss_;
    const std::size_t threads_;
    const std::unique_ptr<One[]> each_;
    typename Platform::Mutex mutex_;
    typename Platform::Condition ended_;
    std::size_t running_ LATCHBOX_GUARDED_BY(mutex_) = 0;
    typename Platform::template Atomic<std::uint32_t> users_{1};
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
