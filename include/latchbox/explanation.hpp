// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "latchbox/ids.hpp"
#include "latchbox/reason.hpp"
#include "latchbox/states.hpp"
#include "latchbox/time.hpp"

namespace latchbox {
inline namespace v0 {

/// Why a message is where it is: what `Broker::explain` says. A value of its own, true at one
/// instant.
struct Explanation {
    /// A parent, and how it stands.
    struct Parent {
        MessageId id = {};
        LatchState state = {};
        friend bool operator==(const Parent&, const Parent&) = default;
    };
    /// A copy of a topic's message, and where it is.
    struct Copy {
        std::string subscription = {};
        MessageState state = {};
        friend bool operator==(const Copy&, const Copy&) = default;
    };

    MessageId id = {};
    MessageState state = MessageState::never_issued;
    /// Where it is held, or was accepted; empty for a gate, and once that queue is gone.
    std::string queue = {};
    /// READY: how many of its queue are delivered before it, as things stand.
    std::uint64_t ahead = 0;
    /// LEASED: when the lease is over. DELAYED: when it is due. Else never.
    Instant until = Instant::never();
    std::uint32_t attempt = 0;   ///< hand-outs so far
    std::uint32_t failures = 0;  ///< since publish or redrive
    /// dead, failed: why. Otherwise how its last delivery went wrong, if one did.
    Reason reason = {};
    /// BLOCKED: the parents it still waits for, in the order given at publish. Of a topic's message
    /// these, and the key, are of its first copy that is BLOCKED.
    std::vector<Parent> parents = {};
    /// Its key, if it has one.
    std::string key = {};
    /// BLOCKED: how many of its key go before it.
    std::uint64_t ahead_in_key = 0;
    /// Of a gate that is shut: how much is left to count down.
    std::uint32_t count = 0;
    /// Of a topic's message: what it was published to; empty once nobody has it in hand.
    std::string subject = {};
    /// And its copies that are held, in the order of subscribing.
    std::vector<Copy> copies = {};

    friend bool operator==(const Explanation&, const Explanation&) = default;
};

namespace detail {

// "12.5 s": since the epoch of the clock, whatever that is.
[[nodiscard]] inline std::string seconds_text(const Instant& at) {
    if (at.is_never()) { return "the end of time"; }
    const std::int64_t total = at.since_epoch().count();
    const std::uint64_t size =
        total < 0 ? ~static_cast<std::uint64_t>(total) + 1 : static_cast<std::uint64_t>(total);
    std::string text = total < 0 ? "-" : "";
    text += std::to_string(size / 1'000'000'000);
    std::string part = std::to_string(size % 1'000'000'000 + 1'000'000'000);
    while (part.back() == '0') { part.pop_back(); }
    if (part.size() > 1) { text.append(".").append(part, 1); }
    return text + " s";
}

[[nodiscard]] inline std::string wait_text(const Explanation& e) {
    if (e.parents.empty() && e.ahead_in_key == 0) {
        return "what it waited for has just come, or the broker closed before";
    }
    std::string text = "it waits for ";
    for (std::size_t i = 0; i < e.parents.size(); ++i) {
        if (i == 3 && e.parents.size() > 4) {
            text += " and " + std::to_string(e.parents.size() - i) + " more parents";
            break;
        }
        if (i != 0) { text += i + 1 == e.parents.size() ? " and " : ", "; }
        text += to_string(e.parents[i].id) + " (" + to_string(e.parents[i].state) + ")";
    }
    if (e.ahead_in_key != 0) {
        text += e.parents.empty() ? "" : ", and for ";
        text += std::to_string(e.ahead_in_key) + " before it with the key \"" + e.key + "\"";
    }
    return text;
}

// ": 3 copies are held, ready in "mail", leased in "audit"".
[[nodiscard]] inline std::string copies_text(const Explanation& e) {
    std::string text = ": " + std::to_string(e.copies.size()) +
                       (e.copies.size() == 1 ? " copy is held" : " copies are held");
    for (std::size_t i = 0; i < e.copies.size() && i < 4; ++i) {
        const Explanation::Copy& copy = e.copies[i];
        text.append(", ").append(to_string(copy.state)).append(" in \"");
        text.append(copy.subscription).append("\"");
    }
    if (e.copies.size() > 4) { text += ", and others"; }
    const bool waits = !e.parents.empty() || e.ahead_in_key != 0;
    return waits ? text + "; of the first that is blocked: " + wait_text(e) : text;
}

}  // namespace detail

/// One sentence for people, without its full stop: "<id> in "mail" is blocked: it waits for <id>
/// (pending)". Instants are seconds since the epoch of the broker's clock.
[[nodiscard]] inline std::string to_string(const Explanation& e) {
    std::string text = to_string(e.id);
    if (!e.queue.empty()) { text += " in \"" + e.queue + "\""; }
    if (!e.subject.empty()) { text += " of \"" + e.subject + "\""; }
    switch (e.state) {
        case MessageState::never_issued: return text + " was never issued by this broker";
        case MessageState::forgotten: return text + " is long gone: how it ended is forgotten";
        case MessageState::blocked: return text + " is blocked: " + detail::wait_text(e);
        case MessageState::delayed:
            return text + " is delayed until " + detail::seconds_text(e.until);
        case MessageState::ready:
            return text + (e.ahead == 0 ? " is ready, and the next to be delivered"
                                        : " is ready, behind " + std::to_string(e.ahead));
        case MessageState::leased:
            return text + " is leased until " + detail::seconds_text(e.until) + ", attempt " +
                   std::to_string(e.attempt);
        case MessageState::pending: return text + " is pending" + detail::copies_text(e);
        case MessageState::dead:
            if (!e.subject.empty()) { return text + " is dead" + detail::copies_text(e); }
            return text + " is dead: " + to_string(e.reason);
        case MessageState::completed: return text + " has completed";
        case MessageState::failed: return text + " has failed: " + to_string(e.reason);
        case MessageState::shut:
            return text + " is a gate that is shut: " + std::to_string(e.count) +
                   " to be counted down";
    }
    return text;
}

}  // namespace v0
}  // namespace latchbox
