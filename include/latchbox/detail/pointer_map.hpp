// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>
#include <map>

namespace latchbox {
inline namespace v0 {
namespace detail {

// Pointers by key, in its order. Beneath is one map for each kind of key, whatever is pointed to: a
// map for each kind of message as well would be a tenth of all that a program has to compile.
//
// Memory is made outside every lock: `make` builds a map of one entry, which `insert` splices in,
// and what `take` takes out is to be destroyed elsewhere.
template <class Key, class T> class PointerMap {
public:
    // May throw std::bad_alloc.
    [[nodiscard]] static PointerMap make(const Key& key, T& value) {
        PointerMap one;
        one.map_.emplace(key, &value);
        return one;
    }
    // Takes over what `make` made, whose key is not here yet.
    void insert(PointerMap& one) noexcept { map_.insert(one.map_.extract(one.map_.begin())); }
    // Takes over the entry of `from` with this key, if there is one.
    void take(PointerMap& from, const Key& key) noexcept { map_.insert(from.map_.extract(key)); }
    void erase(const Key& key) noexcept { map_.erase(key); }
    void clear() noexcept { map_.clear(); }

    // Or nullptr.
    [[nodiscard]] T* find(const Key& key) const noexcept { return at(map_.find(key)); }
    // That of the least key above `key`, or nullptr.
    [[nodiscard]] T* after(const Key& key) const noexcept { return at(map_.upper_bound(key)); }
    template <class Act> void for_each(Act&& act) const {
        for (const auto& entry : map_) { act(*static_cast<T*>(entry.second)); }
    }
    [[nodiscard]] std::size_t size() const noexcept { return map_.size(); }
    [[nodiscard]] bool empty() const noexcept { return map_.empty(); }

private:
    using Map = std::map<Key, void*>;

    [[nodiscard]] T* at(typename Map::const_iterator place) const noexcept {
        return place != map_.end() ? static_cast<T*>(place->second) : nullptr;
    }

    Map map_;
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
