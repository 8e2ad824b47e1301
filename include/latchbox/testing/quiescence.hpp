// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "latchbox/broker.hpp"

namespace latchbox {
inline namespace v0 {
namespace testing {

/// Something in a broker that has not come to its end.
struct Unfinished {
    enum class Kind : std::uint8_t {
        leased,   ///< a delivery that nobody has settled
        blocked,  ///< a message that waits for parents, or for others of its key
        ready,    ///< one that nobody has fetched
        delayed,  ///< one that waits for its time
        dead,     ///< a dead letter
        gate,     ///< a gate that nobody has opened
        fetch,    ///< a call that waits for a message
        publish,  ///< a call that waits for room
    };
    Kind kind = {};
    MessageId id = {};          ///< of the message or gate; none for a call
    std::string sentence = {};  ///< for people: what it is, where, and why
};

/// What `quiescence` found.
struct Quiescence {
    std::vector<Unfinished> left = {};

    /// Nothing is left: every message has gone, every gate is open, and nobody waits.
    [[nodiscard]] bool quiet() const noexcept { return left.empty(); }
    [[nodiscard]] std::size_t count(Unfinished::Kind kind) const noexcept {
        return static_cast<std::size_t>(std::count_if(
            left.begin(), left.end(), [kind](const Unfinished& one) { return one.kind == kind; }));
    }
    /// One sentence to a line.
    [[nodiscard]] std::string text() const {
        if (quiet()) { return "nothing is left"; }
        std::string text;
        for (const Unfinished& one : left) { text += (text.empty() ? "" : "\n") + one.sentence; }
        return text;
    }
};

namespace inner {

inline Unfinished::Kind kind_of(detail::State state) noexcept {
    switch (state) {
        case detail::State::leased: return Unfinished::Kind::leased;
        case detail::State::blocked: return Unfinished::Kind::blocked;
        case detail::State::ready: return Unfinished::Kind::ready;
        case detail::State::delayed: return Unfinished::Kind::delayed;
        default: return Unfinished::Kind::dead;
    }
}

// Looks at one broker. Memory is made without a lock, then one looks again.
template <class Msg, class Platform> class Looking {
public:
    using Shell = detail::QueueShell<Msg, Platform>;

    explicit Looking(const Broker<Msg, Platform>& broker)
        : broker_{broker}, shell_{detail::Access::shell(broker)} {}

    Quiescence look() {
        shell_.catch_up();
        shell_.for_each([this](Shell& queue) { list_messages(queue); });
        list_gates();
        for (Unfinished& one : found_.left) { explain(one); }
        std::erase_if(found_.left, [](const Unfinished& one) { return one.sentence.empty(); });
        shell_.for_each([this](Shell& queue) { list_waiting(queue); });
        return std::move(found_);
    }

private:
    void list_messages(Shell& queue) LATCHBOX_UNCHECKED {
        for (bool fits = false; !fits;) {
            const std::size_t room = found_.left.capacity() - found_.left.size();
            detail::Lock lock{queue.mutex};
            const std::size_t held = queue.core.held();
            fits = held <= room;
            for (detail::Slot slot = 0; fits && slot < queue.core.slot_count(); ++slot) {
                const detail::State state = queue.core.record(slot).state;
                if (state <= detail::State::reserved) { continue; }
                const MessageId id = queue.id_of(slot);
                if (!is_listed(id)) { found_.left.push_back({kind_of(state), id, {}}); }
            }
            lock.unlock();
            found_.left.reserve(found_.left.size() + held);
        }
    }
    // A topic's message is told once, with all its copies.
    [[nodiscard]] bool is_listed(const MessageId& id) const noexcept {
        if (detail::IdParts::issuer(id) != shell_.shelf.issuer) { return false; }
        return std::any_of(found_.left.begin(), found_.left.end(),
                           [&id](const Unfinished& one) { return one.id == id; });
    }
    void list_gates() LATCHBOX_UNCHECKED {
        for (bool fits = false; !fits;) {
            const std::size_t room = found_.left.capacity() - found_.left.size();
            std::size_t gates = 0;
            detail::Lock lock{shell_.latches.mutex};
            shell_.latches.board.each_shut_gate([&gates](const MessageId&) { ++gates; });
            fits = gates <= room;
            if (fits) {
                shell_.latches.board.each_shut_gate([this](const MessageId& id) {
                    found_.left.push_back({Unfinished::Kind::gate, id, {}});
                });
            }
            lock.unlock();
            found_.left.reserve(found_.left.size() + gates);
        }
    }
    // Nothing, if it has come to its end meanwhile.
    void explain(Unfinished& one) const {
        const Explanation why = broker_.explain(one.id);
        switch (why.state) {
            case MessageState::completed:
            case MessageState::failed:
            case MessageState::forgotten:
            case MessageState::never_issued: return;
            case MessageState::leased:
                one.sentence = to_string(why) + ", and nobody has settled it";
                return;
            case MessageState::ready:
                one.sentence = to_string(why) + ", and nobody has fetched it";
                return;
            default: one.sentence = to_string(why);
        }
    }
    void list_waiting(Shell& queue) LATCHBOX_UNCHECKED {
        std::size_t fetches = 0;
        std::size_t publishes = 0;
        {
            detail::Lock lock{queue.mutex};
            fetches = length(queue.fetchers);
            publishes = length(queue.publishers);
        }
        tell(Unfinished::Kind::fetch, fetches, "fetch", "es wait", " waits", " for a message in ",
             queue);
        tell(Unfinished::Kind::publish, publishes, "publish", "es wait", " waits", " for room in ",
             queue);
    }
    template <class Line> static std::size_t length(Line& line) noexcept {
        std::size_t count = 0;
        for (auto* waiter = line.first(); waiter != nullptr; waiter = waiter->next) { ++count; }
        return count;
    }
    void tell(Unfinished::Kind kind, std::size_t count, const char* what, const char* many,
              const char* one, const char* why, const Shell& queue) {
        if (count == 0) { return; }
        found_.left.push_back({kind,
                               {},
                               std::to_string(count) + " " + what + (count == 1 ? one : many) +
                                   why + '"' + queue.name() + '"'});
    }

    const Broker<Msg, Platform>& broker_;
    detail::BrokerShell<Msg, Platform>& shell_;
    Quiescence found_;
};

}  // namespace inner

/// Is anything stuck in this broker, and why: one sentence for each delivery that nobody has
/// settled, each message that is blocked, ready, delayed or dead, each gate that is shut, and the
/// calls that wait. Ask it at the end of a test. True at one instant for each queue; linear in what
/// it reports. May throw std::bad_alloc. After `close` it tells how things were left.
template <class Msg, class Platform>
[[nodiscard]] Quiescence quiescence(const Broker<Msg, Platform>& broker) {
    return inner::Looking<Msg, Platform>{broker}.look();
}

}  // namespace testing
}  // namespace v0
}  // namespace latchbox
