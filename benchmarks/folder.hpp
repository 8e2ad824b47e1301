// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <system_error>

#include <unistd.h>

namespace bench {

// A temporary folder of its own, gone with it.
class Folder {
public:
    Folder() {
        std::string path = (std::filesystem::temp_directory_path() / "latchbox.XXXXXX").string();
        if (mkdtemp(path.data()) == nullptr) { throw std::runtime_error{"no temporary folder"}; }
        path_ = path;
    }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    ~Folder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    [[nodiscard]] std::string file(const std::string& name) const {
        return (path_ / name).string();
    }

private:
    std::filesystem::path path_;
};

}  // namespace bench
