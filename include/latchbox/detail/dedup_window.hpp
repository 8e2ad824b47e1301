// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "latchbox/detail/array.hpp"
#include "latchbox/detail/ensure.hpp"
#include "latchbox/detail/record.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// Values that messages were lately published with, and by which message each was used last: for one
// window from its publish, and no more of them than its bound; the one used longest ago is
// forgotten first. What has become of that message is not known here. [7.1]
//
// Entries are listed in the order of those publishes, and found by a hash of their values. Memory
// comes as a `Room`, made outside every lock, and a value's text with whoever publishes it.
class DedupWindow {
public:
    static constexpr std::size_t most = 65'536;

    // The message that used a value, as its issuer finds it again.
    struct Named {
        std::uint64_t number = 0;
        Slot slot = none;
    };
    struct Entry {
        std::string value = {};
        Instant until = {};
        Named by = {};
        std::uint32_t next = none;  // of its hash; the next free one while it is not in use
        std::uint32_t older = none;
        std::uint32_t newer = none;
    };
    struct Room {
        Array<Entry> entries;
        Array<std::uint32_t> buckets;
    };

    explicit DedupWindow(std::size_t bound = most) noexcept : bound_{bound} {}

    // Who used the value last, if its window ends after `now`; or nullptr.
    [[nodiscard]] const Named* find(std::string_view value, Instant now) const noexcept {
        const std::uint32_t at = index_of(value);
        return at != none && now < entries_[at].until ? &entries_[at].by : nullptr;
    }

    // Room for `more` values, as far as the bound goes.
    [[nodiscard]] bool has_room(std::size_t more = 1) const noexcept {
        return more <= entries_.size() - size_ || entries_.size() == bound_;
    }
    // The size to `make` for that: at least twice what there is.
    [[nodiscard]] std::size_t wanted(std::size_t more = 1) const noexcept {
        const std::size_t wanted = 2 * (size_ + more) + 8;
        return wanted < bound_ ? wanted : bound_;
    }
    // May throw std::bad_alloc; needs no lock.
    [[nodiscard]] static Room make(std::size_t size) {
        return {Array<Entry>(size), Array<std::uint32_t>(size, none)};
    }
    // Takes the room if it is larger, and leaves the old memory in it.
    void adopt(Room& room) noexcept {
        if (room.entries.size() <= entries_.size()) { return; }
        for (std::size_t i = 0; i < used_; ++i) { std::swap(room.entries[i], entries_[i]); }
        entries_.swap(room.entries);
        buckets_.swap(room.buckets);
        for (std::uint32_t at = oldest_; at != none; at = entries_[at].newer) { put_in_bucket(at); }
    }

    // Used at `now`, or at the latest instant so far if that is later, for a window from then.
    // Takes the text, and leaves some old one in its place. Needs room.
    void insert(std::string& value, const Named& by, Instant now, Duration window) noexcept {
        if (bound_ == 0) { return; }
        latest_ = now = later(latest_, now);
        if (const std::uint32_t same = index_of(value); same != none) { remove(same); }
        while (oldest_ != none && entries_[oldest_].until <= now) { remove(oldest_); }
        if (size_ == entries_.size()) {
            ensure(size_ == bound_, "a value without room");
            remove(oldest_);
            ++forgotten_;
        }
        const std::uint32_t at =
            free_ != none ? std::exchange(free_, entries_[free_].next) : used_++;
        Entry& entry = entries_[at];
        entry.value.swap(value);
        entry.until = now + window;
        entry.by = by;
        entry.older = newest_;
        entry.newer = none;
        (newest_ != none ? entries_[newest_].newer : oldest_) = at;
        newest_ = at;
        put_in_bucket(at);
        ++size_;
    }

    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    // Until when something may be found.
    [[nodiscard]] Instant until() const noexcept {
        return newest_ == none ? Instant{} : entries_[newest_].until;
    }
    // How many were forgotten before their window was over.
    [[nodiscard]] std::uint64_t forgotten() const noexcept { return forgotten_; }
    // Whether list and buckets agree, for tests.
    [[nodiscard]] bool sound() const noexcept {
        std::size_t listed = 0;
        for (std::uint32_t at = oldest_; at != none; at = entries_[at].newer) {
            const std::uint32_t newer = entries_[at].newer;
            if (index_of(entries_[at].value) != at) { return false; }
            if ((newer == none ? newest_ : entries_[newer].older) != at) { return false; }
            ++listed;
        }
        return listed == size_ && size_ <= used_ && entries_.size() <= bound_;
    }

private:
    [[nodiscard]] std::size_t bucket_of(std::string_view value) const noexcept {
        return std::hash<std::string_view>{}(value) % buckets_.size();
    }
    [[nodiscard]] std::uint32_t index_of(std::string_view value) const noexcept {
        if (size_ == 0) { return none; }
        std::uint32_t at = buckets_[bucket_of(value)];
        while (at != none && entries_[at].value != value) { at = entries_[at].next; }
        return at;
    }
    void put_in_bucket(std::uint32_t at) noexcept {
        entries_[at].next = std::exchange(buckets_[bucket_of(entries_[at].value)], at);
    }
    void remove(std::uint32_t at) noexcept {
        Entry& entry = entries_[at];
        std::uint32_t* link = &buckets_[bucket_of(entry.value)];
        while (*link != at) { link = &entries_[*link].next; }
        *link = entry.next;
        (entry.newer != none ? entries_[entry.newer].older : newest_) = entry.older;
        (entry.older != none ? entries_[entry.older].newer : oldest_) = entry.newer;
        entry.next = std::exchange(free_, at);
        --size_;
    }

    std::size_t bound_;
    Instant latest_ = Instant{Duration::nanoseconds(INT64_MIN)};
    std::size_t size_ = 0;
    std::uint64_t forgotten_ = 0;
    std::uint32_t oldest_ = none;
    std::uint32_t newest_ = none;
    std::uint32_t free_ = none;
    std::uint32_t used_ = 0;  // from here on never used
    Array<Entry> entries_;
    Array<std::uint32_t> buckets_;
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
