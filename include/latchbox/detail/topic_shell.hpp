// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "latchbox/detail/dedup_window.hpp"
#include "latchbox/detail/passages.hpp"
#include "latchbox/detail/queue_shell.hpp"
#include "latchbox/detail/shelf.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// One subject: the mutex that puts its publishes in one order, its options, and its counts. Lives
// while somebody holds it: handles, and the messages on the shelf; and in the broker's list of
// topics, which may keep it a little longer. Whoever holds it keeps the broker, too.
template <class Msg, class Platform> class TopicShell {
public:
    using Broker = BrokerShell<Msg, Platform>;

    TopicShell(Broker& in, std::string_view name)
        : broker{in}, subject{name}, mark{mark_of(name)} {}
    ~TopicShell() { broker.passages.forget(idle_passages); }
    TopicShell(const TopicShell&) = delete;
    TopicShell& operator=(const TopicShell&) = delete;

    Broker& broker;
    const std::string subject;
    const std::uint16_t mark;  // in its ids

    void hold() noexcept { users_.fetch_add(1, std::memory_order_relaxed); }
    // The last one lets go under the lock of names, under which others find it.
    void let_go() noexcept {
        std::uint32_t users = users_.load(std::memory_order_relaxed);
        while (users > 1) {
            if (users_.compare_exchange_weak(users, users - 1, std::memory_order_acq_rel)) {
                return;
            }
        }
        broker.let_go_of_topic(*this);
    }
    // Under the lock of names. Whether nobody holds it now.
    [[nodiscard]] bool drop() noexcept {
        return users_.fetch_sub(1, std::memory_order_acq_rel) == 1;
    }
    [[nodiscard]] bool is_held() const noexcept {
        return users_.load(std::memory_order_acquire) != 0;
    }

    // The message that stands for all that are published with this value now, or nullptr: it has
    // neither failed nor died, as far as that is remembered. [7.1]
    [[nodiscard]] const DedupWindow::Named* first_with(std::string_view value, Instant now) noexcept
        LATCHBOX_REQUIRES(mutex) {
        const DedupWindow::Named* const first = values.find(value, now);
        if (first == nullptr) { return nullptr; }
        Lock lock{broker.shelf.mutex};
        return broker.shelf.stands(*first) ? first : nullptr;
    }
    // Whether it remembers a value until after `now`. Under the lock of names.
    [[nodiscard]] bool remembers(Instant now) noexcept {
        Lock lock{mutex};
        return now < values.until();
    }

    typename Platform::Mutex mutex;
    TopicOptions options LATCHBOX_GUARDED_BY(mutex);
    std::uint64_t published LATCHBOX_GUARDED_BY(mutex) = 0;
    std::uint64_t discarded LATCHBOX_GUARDED_BY(mutex) = 0;
    std::uint64_t refused LATCHBOX_GUARDED_BY(mutex) = 0;
    std::uint64_t deduplicated LATCHBOX_GUARDED_BY(mutex) = 0;
    DedupWindow values LATCHBOX_GUARDED_BY(mutex);
    // Changes with these, before any queue gets a message that stands for one.
    typename Platform::template Atomic<std::uint32_t> values_used{0};

    typename Shelf<Msg, Platform>::Retention retention;  // guarded by the shelf's mutex

    PassageChain<Msg, Platform> idle_passages;  // guarded by the mutex of passages

    // Guarded by the lock of names.
    bool has_options = false;     // other than the defaults: it stays for good
    TopicShell* newer = nullptr;  // among those that nobody holds
    TopicShell* older = nullptr;

private:
    // FNV-1a, folded.
    static std::uint16_t mark_of(std::string_view name) noexcept {
        std::uint64_t hash = 0xcbf29ce484222325U;
        for (const char c : name) {
            hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
        }
        hash ^= hash >> 32;
        return static_cast<std::uint16_t>(hash ^ (hash >> 16));
    }

    typename Platform::template Atomic<std::uint32_t> users_{1};
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
