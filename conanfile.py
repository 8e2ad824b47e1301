# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: the latchbox authors
import os
import re

from conan import ConanFile
from conan.tools.build import check_min_cppstd
from conan.tools.cmake import CMake, CMakeToolchain
from conan.tools.files import copy, load, rmdir

required_conan_version = ">=2.0"


class LatchboxRecipe(ConanFile):
    name = "latchbox"
    description = "In-process message broker"
    license = "MIT"
    topics = ("message-broker", "queue", "topic", "header-only")
    package_type = "header-library"
    settings = "os", "arch", "compiler", "build_type"
    exports_sources = "CMakeLists.txt", "LICENSE", "cmake/*", "include/*"
    no_copy_source = True

    def set_version(self):
        header = load(self, os.path.join(self.recipe_folder, "include/latchbox/version.hpp"))
        self.version = ".".join(
            re.search(rf"LATCHBOX_VERSION_{part} (\d+)", header).group(1)
            for part in ("MAJOR", "MINOR", "PATCH"))

    def validate(self):
        check_min_cppstd(self, 20)

    def package_id(self):
        self.info.clear()  # headers are the same for all

    def generate(self):
        toolchain = CMakeToolchain(self)
        for part in ("TESTS", "EXAMPLES", "BENCHMARKS"):
            toolchain.cache_variables[f"LATCHBOX_BUILD_{part}"] = False
        toolchain.generate()

    def build(self):
        CMake(self).configure()

    def package(self):
        copy(self, "LICENSE", self.source_folder, os.path.join(self.package_folder, "licenses"))
        CMake(self).install()
        rmdir(self, os.path.join(self.package_folder, "share"))  # Conan writes its own

    def package_info(self):
        self.cpp_info.set_property("cmake_file_name", "latchbox")
        self.cpp_info.set_property("cmake_target_name", "latchbox::latchbox")
        self.cpp_info.set_property("pkg_config_name", "latchbox")
        self.cpp_info.bindirs = []
        self.cpp_info.libdirs = []
        if self.settings.os in ("Linux", "FreeBSD"):
            self.cpp_info.system_libs = ["pthread"]
