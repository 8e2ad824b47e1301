// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "latchbox/latchbox.hpp"

// What is asked of every queue at the end of every test, and short ways to ask for the rest.
namespace support {

/// Every accepted message is somewhere or has left by a counted exit [4.1].
inline bool conserved(const latchbox::QueueStats& stats) {
    return stats.accepted == stats.held() + stats.completed + stats.expired + stats.purged +
                                 stats.evicted + stats.cancelled;
}

/// The core's own invariants and conservation. While nobody uses the queue or waits in it.
template <class Msg, class Platform>
void check_sound(const latchbox::Consumer<Msg, Platform>& queue) {
    const char* const broken = latchbox::detail::Access::core(queue).audit_at_rest();
    CHECK_MESSAGE(broken == nullptr, std::string(broken == nullptr ? "" : broken));
    const latchbox::QueueStats stats = queue.stats();
    CHECK(conserved(stats));
    CHECK(queue.size() == stats.held());
}

/// Checks a queue when the scope ends.
template <class Queue> class SoundAtTheEnd {
public:
    explicit SoundAtTheEnd(const Queue& queue) : queue_{queue} {}
    ~SoundAtTheEnd() { check_sound(queue_); }
    SoundAtTheEnd(const SoundAtTheEnd&) = delete;
    SoundAtTheEnd& operator=(const SoundAtTheEnd&) = delete;

private:
    const Queue& queue_;
};

/// The error of a result, or none: for results that come from other threads.
template <class T> latchbox::Errc error_of(const latchbox::Result<T>& result) {
    return result ? latchbox::Errc{} : result.error();
}

/// Fetches and acks all that is ready now; the bodies in the order they came.
template <class Msg, class Platform>
std::vector<Msg> work_off(const latchbox::Consumer<Msg, Platform>& queue) {
    std::vector<Msg> bodies;
    while (auto delivery = queue.try_fetch()) {
        bodies.push_back(delivery->body());
        if (!delivery->ack()) { break; }
    }
    return bodies;
}

/// The same, as "abc": for queues of one-letter texts.
template <class Platform>
std::string work_off_text(const latchbox::Consumer<std::string, Platform>& queue) {
    std::string all;
    for (const std::string& body : work_off(queue)) { all += body; }
    return all;
}

/// True if `call` throws `std::invalid_argument` and its text contains every one of `parts`.
template <class Call, class... Parts>
bool refuses(Call&& call, const Parts&... parts) {
    try {
        std::forward<Call>(call)();
    } catch (const std::invalid_argument& refusal) {
        const std::string text = refusal.what();
        const bool said = ((text.find(parts) != std::string::npos) && ...);
        if (!said) { MESSAGE("it says: " << text); }
        return said;
    }
    return false;
}

}  // namespace support
