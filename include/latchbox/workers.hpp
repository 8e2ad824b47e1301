// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "latchbox/detail/crew.hpp"
#include "latchbox/fwd.hpp"
#include "latchbox/text.hpp"

namespace latchbox {
inline namespace v0 {

/// What follows where a lease ran out under a handler. The message is offered again then, so that
/// it may be handled twice; a handler learns of it by its `Delivery::lease_token`.
enum class OnLeaseLost : std::uint8_t {
    finish,  ///< the handler finishes, its outcome changes nothing, and is counted as lost
    stop,    ///< the same, and the workers stop: for who takes it for a fault of the program
};

/// How messages are consumed by `Workers`.
struct WorkersOptions {
    /// Handlers that may run at once, each in a thread of its own. Above 0.
    std::size_t threads = 1;
    /// How many messages a thread fetches at a time. More than 1 saves locks where handlers are
    /// short; the leases of all begin when they are fetched. Above 0.
    std::size_t batch = 1;
    OnLeaseLost on_lease_lost = OnLeaseLost::finish;
    /// A name for people. The text is copied.
    std::string_view name = {};
};

/// Workers at about one instant.
struct WorkersStats {
    std::size_t threads = 0;    ///< that have not ended
    std::size_t running = 0;    ///< handlers
    std::uint64_t handled = 0;  ///< calls of the handler that are over
    std::uint64_t failed = 0;   ///< of these: returned false, or threw
    std::uint64_t lost = 0;     ///< of these: the lease was over before they could be settled
    Duration longest = {};      ///< such call, as far as the glances of the broker's clock tell

    friend bool operator==(const WorkersStats&, const WorkersStats&) = default;
};

[[nodiscard]] constexpr const char* to_string(OnLeaseLost choice) noexcept {
    switch (choice) {
        case OnLeaseLost::finish: return "finish";
        case OnLeaseLost::stop: return "stop";
    }
    return "unknown";
}

/// "threads 4, running 1, handled 10, failed 2, longest 1.5 s".
[[nodiscard]] inline std::string to_string(const WorkersStats& stats) {
    std::string text;
    detail::add_count(text, "threads", stats.threads);
    detail::add_count(text, "running", stats.running);
    detail::add_count(text, "handled", stats.handled);
    detail::add_count(text, "failed", stats.failed);
    detail::add_count(text, "lost", stats.lost);
    if (stats.handled != 0) { text += ", longest " + to_string(stats.longest); }
    return detail::or_none(std::move(text));
}

/// Threads that consume one queue or subscription by callback:
/// `Workers workers{orders, {.threads = 4}, [](const Order& order) { brew(order); }};`
/// Handler   Takes a `Delivery&` or a `const Msg&`, and if it likes the lease's token after it;
///           is called by all threads at once. Returning acks, unless it has settled the delivery
///           itself; returning false or throwing fails, with the text of the exception.
/// End       `stop`, the end of this object, of the queue, subscription or broker: no handler is
///           called any more, those that run finish, and what was fetched but not begun goes back
///           as if it had never been fetched.
/// Threads   Any member from any thread, handlers included. A handler may also destroy this object,
///           the subscription or the broker; it does not wait for itself, nor for other handlers.
/// Blocking  `stop` and the destructor wait for the handlers that run, but not in a handler.
/// Lifetime  May outlive queue and broker. As a handler that returns settles its delivery, the
///           broker's clock must outlive the handlers, or the broker be destroyed before it.
template <class Msg, class Platform> class Workers {
    static_assert(Platform::can_wait, "latchbox: workers need a platform that can wait");

public:
    using Consumer = latchbox::Consumer<Msg, Platform>;
    using Delivery = latchbox::Delivery<Msg, Platform>;

    /// Starts the threads. Throws std::invalid_argument naming the option that cannot be used,
    /// std::system_error if a thread cannot be started, std::bad_alloc, or what moving the handler
    /// throws; then nothing is left of them.
    template <class Handler>
    Workers(const Consumer& consumer, const WorkersOptions& options, Handler handler)
        : name_{options.name}, crew_{make(consumer, options, std::move(handler))} {
        crew_->start();
    }
    Workers(Workers&&) noexcept = default;
    Workers& operator=(Workers&& other) noexcept {
        Workers taken{std::move(other)};
        name_.swap(taken.name_);
        std::swap(crew_, taken.crew_);
        return *this;
    }
    ~Workers() {
        if (!crew_) { return; }
        crew_->stop();
        crew_->part();
    }

    /// Ends them, as said above. Idempotent; of one that was moved from, nothing.
    void stop() noexcept {
        if (crew_) { crew_->stop(); }
    }
    [[nodiscard]] WorkersStats stats() const noexcept {
        WorkersStats stats;
        if (!crew_) { return stats; }
        stats.threads = crew_->running();
        crew_->each([&stats](const typename Crew::Counts& one) {
            const std::uint64_t handled = one.handled.load(std::memory_order_acquire);
            const bool runs = one.begun.load(std::memory_order_relaxed) > handled;
            const auto longest = Duration::nanoseconds(one.longest.load(std::memory_order_relaxed));
            stats.running += runs ? 1U : 0U;
            stats.handled += handled;
            stats.failed += one.failed.load(std::memory_order_relaxed);
            stats.lost += one.lost.load(std::memory_order_relaxed);
            if (stats.longest < longest) { stats.longest = longest; }
        });
        return stats;
    }
    [[nodiscard]] const std::string& name() const noexcept { return name_; }

private:
    using Crew = detail::Crew<Msg, Platform>;
    using StopToken = typename Platform::StopToken;

    template <class Handler> class CrewWith final : public Crew {
    public:
        CrewWith(const Consumer& consumer, const WorkersOptions& options, Handler&& handler)
            : Crew{consumer, options.threads, options.batch,
                   options.on_lease_lost == OnLeaseLost::stop},
              handler_{std::move(handler)} {}

    private:
        static constexpr bool by_delivery = std::is_invocable_v<Handler&, Delivery&>;
        static constexpr bool by_body = std::is_invocable_v<Handler&, const Msg&>;
        static constexpr bool by_delivery_and_token =
            std::is_invocable_v<Handler&, Delivery&, StopToken>;
        static constexpr bool by_body_and_token =
            std::is_invocable_v<Handler&, const Msg&, StopToken>;

        static decltype(auto) call(Handler& handler, Delivery& delivery) {
            if constexpr (by_delivery) {
                return handler(delivery);
            } else if constexpr (by_delivery_and_token) {
                return handler(delivery, delivery.lease_token());
            } else if constexpr (by_body) {
                return handler(delivery.body());
            } else {
                static_assert(
                    by_body_and_token,
                    "latchbox: a handler takes a Delivery& or a const Msg&, and perhaps a "
                    "stop token after it");
                return handler(delivery.body(), delivery.lease_token());
            }
        }
        bool handle(Delivery& delivery) override {
            using Returned = decltype(call(handler_, delivery));
            static_assert(std::is_void_v<Returned> || std::is_same_v<Returned, bool>,
                          "latchbox: a handler returns nothing, or a bool");
            if constexpr (std::is_void_v<Returned>) {
                call(handler_, delivery);
                return true;
            } else {
                return call(handler_, delivery);
            }
        }

        Handler handler_;
    };

    template <class Handler>
    static detail::Reference<Crew> make(const Consumer& consumer, const WorkersOptions& options,
                                        Handler&& handler) {
        if (options.threads == 0) {
            detail::invalid_argument("WorkersOptions.threads must be above zero");
        }
        if (options.batch == 0) {
            detail::invalid_argument("WorkersOptions.batch must be above zero");
        }
        return detail::Reference<Crew>{
            new CrewWith<Handler>{consumer, options, std::forward<Handler>(handler)}};
    }

    std::string name_;
    detail::Reference<Crew> crew_;
};

}  // namespace v0
}  // namespace latchbox
