// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "latchbox/detail/ensure.hpp"
#include "latchbox/detail/pointer_map.hpp"
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
// the number of patterns elsewhere. [6.7] Each subscriber has a number, and is entered once.
//
// Memory is made outside every lock: `make` builds a tree of one pattern, which `insert` splices
// in, and what `erase` takes out is returned, to be destroyed elsewhere.
template <class Subscriber> class PatternIndex {
public:
    PatternIndex() = default;
    PatternIndex(PatternIndex&& other) noexcept { swap(other); }
    PatternIndex& operator=(PatternIndex&& other) noexcept {
        swap(other);
        return *this;
    }

    // Of a pattern that was checked. May throw std::bad_alloc.
    [[nodiscard]] static PatternIndex make(std::string_view pattern, std::uint32_t number,
                                           Subscriber& subscriber) {
        PatternIndex one;
        Node* node = &one.root_;
        const Tokens tokens{pattern};
        for (std::size_t i = 0; i < tokens.size() && tokens[i] != rest; ++i) {
            Nodes& next = node->next;
            next = Nodes::make(tokens[i], tokens[i]);
            node = next.first();
            next.insert(next, node->token);  // its key is the text that it keeps
        }
        Subscribers& place = tokens[tokens.size() - 1] == rest ? node->deeper : node->here;
        place = Subscribers::make(number, subscriber);
        one.size_ = 1;
        return one;
    }
    // Takes over what `make` made of one pattern.
    void insert(PatternIndex& one) noexcept {
        ensure(one.size_ == 1, "more than one pattern at a time");
        Node* node = &root_;
        Node* from = &one.root_;
        while (Node* const branch = from->next.first()) {
            Node* const same = node->next.find(branch->token);
            if (same == nullptr) {
                node->next.take(from->next, branch->token);
                break;
            }
            node = same;
            from = branch;
        }
        node->here.insert(from->here);
        node->deeper.insert(from->deeper);
        ++size_;
        one.size_ = 0;
    }
    // Takes out the entry of this pattern with this number, and the branches that are bare then.
    // What is returned is empty if there was none.
    [[nodiscard]] PatternIndex erase(std::string_view pattern, std::uint32_t number) noexcept {
        PatternIndex removed;
        const Tokens tokens{pattern};
        Node* node = &root_;
        // The last place on the way that will stay, and the branch that leaves it.
        Node* stays = node;
        std::string_view branch;
        std::size_t depth = 0;
        for (; depth < tokens.size() && tokens[depth] != rest; ++depth) {
            Node* const next = node->next.find(tokens[depth]);
            if (next == nullptr) { return removed; }
            if (node == &root_ || !node->is_bare() || node->next.size() > 1) {
                stays = node;
                branch = tokens[depth];
            }
            node = next;
        }
        removed.root_.here.take(depth < tokens.size() ? node->deeper : node->here, number);
        if (removed.root_.here.empty()) { return removed; }
        --size_;
        ++removed.size_;
        // If that is the root, no branch leads to it, and none is taken.
        if (node->is_bare() && node->next.empty()) { removed.root_.next.take(stays->next, branch); }
        return removed;
    }

    // Calls `found(subscriber)` for each entry whose pattern matches a subject that was checked, in
    // no order that means anything.
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

    struct Node;
    using Nodes = OwningMap<Node>;               // by their tokens
    using Subscribers = PointerMap<Subscriber>;  // by their numbers
    struct Node {
        explicit Node(std::string_view of = {}) : token{of} {}

        const std::string token;
        Nodes next;
        Subscribers here;    // to patterns that end here
        Subscribers deeper;  // to those that end here with `>`

        [[nodiscard]] bool is_bare() const noexcept { return here.empty() && deeper.empty(); }
    };

    void swap(PatternIndex& other) noexcept {
        root_.next.swap(other.root_.next);
        root_.here.swap(other.root_.here);
        root_.deeper.swap(other.root_.deeper);
        std::swap(size_, other.size_);
    }
    // Not deeper than a subject has tokens.
    template <class Found>
    static void walk(const Node& node, const Tokens& tokens, std::size_t depth, Found& found) {
        if (depth == tokens.size()) { return node.here.for_each(found); }
        node.deeper.for_each(found);
        for (const std::string_view token : {tokens[depth], any}) {
            if (const Node* const next = node.next.find(token)) {
                walk(*next, tokens, depth + 1, found);
            }
        }
    }
    static std::size_t places(const Node& node) noexcept {
        std::size_t count = node.next.size();
        node.next.for_each([&count](const Node& next) { count += places(next); });
        return count;
    }

    Node root_;
    std::size_t size_ = 0;
};

}  // namespace detail
}  // namespace v0
}  // namespace latchbox
