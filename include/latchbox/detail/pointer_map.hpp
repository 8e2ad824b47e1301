// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string_view>
#include <type_traits>
#include <utility>

#include "latchbox/version.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// What things are found by: a number, or two, in whose order they are; or a name, which they keep
// themselves. Names are ordered by a hash, the same everywhere: to compare two of them takes no
// look at the text, which would be cold memory at each step of a search, but where it is found.
struct MapKey {
    std::uint64_t number = 0;
    std::uint64_t second = 0;
    std::string_view name = {};

    MapKey() = default;
    MapKey(std::uint64_t first, std::uint64_t then = 0) noexcept : number{first}, second{then} {}
    template <class Text>
    requires std::is_convertible_v<const Text&, std::string_view>
    MapKey(const Text& text) noexcept : MapKey{std::string_view{text}} {}
    MapKey(std::string_view text) noexcept : number{hash(text)}, name{text} {}

    friend bool operator<(const MapKey& a, const MapKey& b) noexcept {
        if (a.number != b.number) { return a.number < b.number; }
        return a.second != b.second ? a.second < b.second : a.name < b.name;
    }

private:
    // FNV-1a: names are short.
    static std::uint64_t hash(std::string_view text) noexcept {
        std::uint64_t so_far = 0xcbf29ce484222325U;
        for (const char c : text) {
            so_far = (so_far ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
        }
        return so_far;
    }
};

// Pointers by key, in its order. Beneath is one kind of map for all that this library looks up: a
// map for each kind of key and thing would be a third of all that a program has to compile.
//
// Memory is made outside every lock: `make` builds a map of one entry, which `insert` splices in,
// and what `take` takes out is to be destroyed elsewhere.
template <class T> class PointerMap {
public:
    // May throw std::bad_alloc.
    [[nodiscard]] static PointerMap make(const MapKey& key, T& value) {
        PointerMap one;
        one.map_[key] = &value;
        return one;
    }
    // Takes over what `make` made, whose key is not here yet; nothing of an empty one.
    void insert(PointerMap& one) noexcept {
        if (!one.empty()) { map_.insert(one.map_.extract(one.map_.begin())); }
    }
    // The same, by another key from here on.
    void insert(PointerMap& one, const MapKey& key) noexcept {
        auto place = one.map_.extract(one.map_.begin());
        place.key() = key;
        map_.insert(std::move(place));
    }
    // Takes over the entry of `from` with this key, if there is one.
    void take(PointerMap& from, const MapKey& key) noexcept { map_.insert(from.map_.extract(key)); }
    void erase(const MapKey& key) noexcept { map_.erase(key); }
    void clear() noexcept { map_.clear(); }
    void swap(PointerMap& other) noexcept { map_.swap(other.map_); }

    // Or nullptr.
    [[nodiscard]] T* find(const MapKey& key) const noexcept { return at(map_.find(key)); }
    // That of the least key of all, or of the least above `key`; or nullptr.
    [[nodiscard]] T* first() const noexcept { return at(map_.begin()); }
    [[nodiscard]] T* after(const MapKey& key) const noexcept { return at(map_.upper_bound(key)); }
    template <class Act> void for_each(Act&& act) const {
        for (const auto& entry : map_) { act(*static_cast<T*>(entry.second)); }
    }
    [[nodiscard]] std::size_t size() const noexcept { return map_.size(); }
    [[nodiscard]] bool empty() const noexcept { return map_.empty(); }

protected:
    using Map = std::map<MapKey, void*>;
    Map map_;

private:
    [[nodiscard]] T* at(Map::const_iterator place) const noexcept {
        return place != map_.end() ? static_cast<T*>(place->second) : nullptr;
    }
};

// The same of things that it owns: what is still there in the end is deleted. Entries come from and
// go to owners alone.
template <class T> class OwningMap : public PointerMap<T> {
public:
    OwningMap() = default;
    OwningMap(OwningMap&& other) noexcept { this->swap(other); }
    OwningMap& operator=(OwningMap&& other) noexcept {
        this->swap(other);
        return *this;
    }
    ~OwningMap() {
        for (const auto& entry : this->map_) { delete static_cast<T*>(entry.second); }
    }

    // Of one that is made of `arguments`. May throw what that throws, and std::bad_alloc.
    template <class... Arguments>
    [[nodiscard]] static OwningMap make(const MapKey& key, Arguments&&... arguments) {
        OwningMap one;
        void*& place = one.map_[key];
        place = new T(std::forward<Arguments>(arguments)...);
        return one;
    }

    void erase(const MapKey&) = delete;
    void clear() = delete;
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
