// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <locale>
#include <streambuf>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#if defined(_WIN32)
#include <io.h>
#else
#include <unistd.h>
#endif

// Lines, words and how often they come: what the demo does with text. Nothing here is about
// messages.
namespace text {

// Any byte beyond ASCII counts as a letter, so that words in UTF-8 stay whole.
inline bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || static_cast<unsigned char>(c) > 127;
}

inline std::string lower_case(std::string text) {
    for (char& c : text) {
        if (c >= 'A' && c <= 'Z') { c = static_cast<char>(c - 'A' + 'a'); }
    }
    return text;
}

template <class Use> void for_each_word(std::string_view text, Use&& use) {
    for (std::size_t i = 0; i < text.size(); ++i) {
        const std::size_t begin = i;
        while (i < text.size() && is_letter(text[i])) { ++i; }
        if (i != begin) { use(text.substr(begin, i - begin)); }
    }
}

// Cuts an endless line, between two words if it has any: no line is larger than 8 KiB.
template <class Use> void for_each_line(std::streambuf& in, Use&& use) {
    constexpr std::size_t long_line = 4'096;
    std::string line;
    for (int next = in.sbumpc(); next != std::char_traits<char>::eof(); next = in.sbumpc()) {
        const char c = static_cast<char>(next);
        if (c != '\n') { line.push_back(c); }
        const std::size_t longest = is_letter(c) ? 2 * long_line : long_line;
        if (c == '\n' || line.size() >= longest) { use(std::exchange(line, {})); }
    }
    if (!line.empty()) { use(std::move(line)); }
}

// As git does it: what has a zero byte near its beginning is no text.
inline bool is_text(std::istream& file) {
    std::string head(8'192, ' ');
    file.read(head.data(), static_cast<std::streamsize>(head.size()));
    file.clear();
    file.seekg(0);
    return head.find('\0') == std::string::npos;
}

inline bool can_read(const std::filesystem::path& source) {
    std::error_code error;
    return source == "-" || std::filesystem::is_directory(source, error) ||
           std::ifstream{source}.good();
}

// Every line of a file; of standard input for "-"; of all text files below a folder, but those
// in `.git` and `build`. What cannot be read is passed over.
template <class Use> void for_each_line_of(const std::filesystem::path& source, Use&& use) {
    if (source == "-") { return for_each_line(*std::cin.rdbuf(), use); }
    std::error_code unreadable;
    if (!std::filesystem::is_directory(source, unreadable)) {
        std::ifstream file{source, std::ios::binary};
        return for_each_line(*file.rdbuf(), use);
    }
    std::filesystem::recursive_directory_iterator entry{
        source, std::filesystem::directory_options::skip_permission_denied, unreadable};
    for (; entry != end(entry); entry.increment(unreadable)) {
        const auto name = entry->path().filename();
        if (name == ".git" || name == "build") { entry.disable_recursion_pending(); }
        if (!entry->is_regular_file(unreadable)) { continue; }
        std::ifstream file{entry->path(), std::ios::binary};
        if (is_text(file)) { for_each_line(*file.rdbuf(), use); }
    }
}

// How often each word came. Of a huge vocabulary only the frequent words are kept by name, so
// that memory stays bounded; sums of all words by their hash are kept beside, exact for any.
class Tally {
public:
    using Entry = std::pair<std::string, std::uint64_t>;

    void add(std::string_view word, std::uint64_t times) {
        sums_[Hash{}(word) % sums_.size()] += times;
        if (const auto known = words_.find(word); known != words_.end()) {
            known->second += times;
            return;
        }
        words_.emplace(word, times);
        if (words_.size() > most_words) { forget_rare(); }
    }

    [[nodiscard]] std::uint64_t count(std::string_view word) const {
        const auto known = words_.find(word);
        return known == words_.end() ? 0 : known->second;
    }

    // The most frequent words, at most `size`; equally frequent ones by the alphabet.
    [[nodiscard]] std::vector<Entry> most_frequent(std::size_t size) const {
        const auto before = [](const auto& a, const auto& b) {
            return a.second != b.second ? a.second > b.second : a.first < b.first;
        };
        std::vector<Entry> top((std::min)(size, words_.size()));
        std::partial_sort_copy(words_.begin(), words_.end(), top.begin(), top.end(), before);
        return top;
    }

    // Up to `size` words that came more or less often in `other`, and which do not hide there.
    [[nodiscard]] std::vector<std::string> differences(const Tally& other, std::size_t size) const {
        std::vector<std::string> found;
        const auto compare = [&](const Tally& one, const Tally& two) {
            for (const auto& [word, times] : one.words_) {
                if (found.size() < size && two.count(word) < times) { found.push_back(word); }
            }
        };
        compare(*this, other);
        compare(other, *this);
        return found;
    }

    friend bool operator==(const Tally& a, const Tally& b) {
        const bool all_by_name = !a.forgot_ && !b.forgot_;
        return a.sums_ == b.sums_ && (!all_by_name || a.words_ == b.words_);
    }

private:
    struct Hash : std::hash<std::string_view> {
        using is_transparent = void;
    };
    static constexpr std::size_t most_words = 250'000;

    void forget_rare() {
        forgot_ = true;
        for (std::uint64_t rare = 1; words_.size() > most_words / 2; ++rare) {
            std::erase_if(words_, [rare](const auto& entry) { return entry.second <= rare; });
        }
    }

    std::vector<std::uint64_t> sums_ = std::vector<std::uint64_t>(65'536);
    std::unordered_map<std::string, std::uint64_t, Hash, std::equal_to<>> words_;
    bool forgot_ = false;
};

// Numbers for people: digits in groups of three.
struct Grouped : std::numpunct<char> {
    [[nodiscard]] char do_thousands_sep() const override { return ','; }
    [[nodiscard]] std::string do_grouping() const override { return "\3"; }
};

// Whether somebody watches standard output.
inline bool on_terminal() {
#if defined(_WIN32)
    return _isatty(1) != 0;
#else
    return isatty(1) != 0;
#endif
}

}  // namespace text
