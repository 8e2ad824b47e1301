// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "latchbox/detail/ensure.hpp"
#include "latchbox/subject.hpp"

namespace latchbox {
inline namespace v0 {
namespace detail {

// The tokens of a subject or pattern that was checked.
class Tokens {
public:
    explicit Tokens(std::string_view name) noexcept {
        for (std::size_t from = 0; from <= name.size();) {
            ensure(size_ < most_tokens, "a name that was not checked");
            const std::size_t dot = name.find('.', from);
            const std::size_t end = dot == std::string_view::npos ? name.size() : dot;
            tokens_[size_++] = name.substr(from, end - from);
            from = end + 1;
        }
    }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] std::string_view operator[](std::size_t at) const noexcept { return tokens_[at]; }

private:
    std::string_view tokens_[most_tokens];
    std::size_t size_ = 0;
};

// One pattern that was checked, and whose text stays.
class Pattern {
public:
    explicit Pattern(std::string_view pattern) noexcept : tokens_{pattern} {}

    [[nodiscard]] bool matches(std::string_view subject) const noexcept {
        const Tokens others{subject};
        for (std::size_t i = 0; i < tokens_.size(); ++i) {
            if (i == others.size()) { return false; }
            if (tokens_[i] == ">") { return true; }
            if (tokens_[i] != "*" && tokens_[i] != others[i]) { return false; }
        }
        return tokens_.size() == others.size();
    }

private:
    Tokens tokens_;
};

// Who subscribed to which pattern: a tree of tokens, with `*` as a token among the others. A
// subject walks down the branches that match it and no other, so what it costs does not grow with
// the number of patterns elsewhere. [6.7] `Value` is ordered, cheap to copy, and entered once.
//
// Memory is made outside every lock: `make` builds a tree of one pattern, which `insert` splices
// in, and what `erase` takes out is returned, to be destroyed elsewhere.
template <class Value> class PatternIndex {
public:
    // Of a pattern that was checked. May throw std::bad_alloc.
    [[nodiscard]] static PatternIndex make(std::string_view pattern, const Value& value) {
        PatternIndex one;
        Node* node = &one.root_;
        const Tokens tokens{pattern};
        for (std::size_t i = 0; i < tokens.size() && tokens[i] != rest; ++i) {
            node = (node->next[std::string{tokens[i]}] = std::make_unique<Node>()).get();
        }
        (tokens[tokens.size() - 1] == rest ? node->deeper : node->here).emplace(value, 0);
        one.size_ = 1;
        return one;
    }
    // Takes over what `make` made of one pattern.
    void insert(PatternIndex& one) noexcept {
        ensure(one.size_ == 1, "more than one pattern at a time");
        Node* node = &root_;
        Node* from = &one.root_;
        while (!from->next.empty()) {
            const auto branch = from->next.begin();
            const auto at = node->next.find(branch->first);
            if (at == node->next.end()) {
                node->next.insert(from->next.extract(branch));
                break;
            }
            node = at->second.get();
            from = branch->second.get();
        }
        move_first(from->here, node->here);
        move_first(from->deeper, node->deeper);
        ++size_;
        one.size_ = 0;
    }
    // Takes out one entry of this pattern and value, and the branches that are bare then. What is
    // returned is empty if there was none.
    [[nodiscard]] PatternIndex erase(std::string_view pattern, const Value& value) noexcept {
        PatternIndex removed;
        const Tokens tokens{pattern};
        Node* node = &root_;
        // The last place on the way that will stay, and the branch that leaves it.
        Node* stays = node;
        std::string_view branch;
        std::size_t depth = 0;
        for (; depth < tokens.size() && tokens[depth] != rest; ++depth) {
            const auto at = node->next.find(tokens[depth]);
            if (at == node->next.end()) { return removed; }
            if (node == &root_ || !node->is_bare() || node->next.size() > 1) {
                stays = node;
                branch = tokens[depth];
            }
            node = at->second.get();
        }
        auto& values = depth < tokens.size() ? node->deeper : node->here;
        const auto found = values.find(value);
        if (found == values.end()) { return removed; }
        removed.root_.here.insert(values.extract(found));
        --size_;
        ++removed.size_;
        if (node != &root_ && node->is_bare() && node->next.empty()) {
            removed.root_.next.insert(stays->next.extract(stays->next.find(branch)));
        }
        return removed;
    }

    // Calls `found(value)` for each entry whose pattern matches a subject that was checked, in no
    // order that means anything.
    template <class Found> void match(std::string_view subject, Found&& found) const {
        walk(root_, Tokens{subject}, 0, found);
    }

    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
    // Places in the tree, the root apart: for tests; linear.
    [[nodiscard]] std::size_t places() const noexcept { return places(root_); }

private:
    static constexpr std::string_view any = "*";
    static constexpr std::string_view rest = ">";

    using Values = std::map<Value, char>;  // a set that costs no other header

    struct Node {
        std::map<std::string, std::unique_ptr<Node>, std::less<>> next;
        Values here;    // of patterns that end here
        Values deeper;  // of those that end here with `>`

        [[nodiscard]] bool is_bare() const noexcept { return here.empty() && deeper.empty(); }
    };

    static void move_first(Values& from, Values& to) noexcept {
        if (!from.empty()) { to.insert(from.extract(from.begin())); }
    }
    // Not deeper than a subject has tokens.
    template <class Found>
    static void walk(const Node& node, const Tokens& tokens, std::size_t depth, Found& found) {
        if (depth == tokens.size()) {
            for (const auto& [value, unused] : node.here) { found(value); }
            return;
        }
        for (const auto& [value, unused] : node.deeper) { found(value); }
        for (const std::string_view token : {tokens[depth], any}) {
            const auto at = node.next.find(token);
            if (at != node.next.end()) { walk(*at->second, tokens, depth + 1, found); }
        }
    }
    static std::size_t places(const Node& node) noexcept {
        std::size_t count = node.next.size();
        for (const auto& [token, next] : node.next) { count += places(*next); }
        return count;
    }

    Node root_;
    std::size_t size_ = 0;
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
