# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: the latchbox authors

# An overlay port of this very tree: vcpkg install latchbox --overlay-ports=packaging/vcpkg
set(VCPKG_BUILD_TYPE release)  # header-only
set(SOURCE_PATH "${CURRENT_PORT_DIR}/../../..")

vcpkg_cmake_configure(SOURCE_PATH "${SOURCE_PATH}"
  OPTIONS
    -DLATCHBOX_BUILD_TESTS=OFF
    -DLATCHBOX_BUILD_EXAMPLES=OFF
    -DLATCHBOX_BUILD_BENCHMARKS=OFF
    -DLATCHBOX_INSTALL=ON)
vcpkg_cmake_install()
vcpkg_cmake_config_fixup(CONFIG_PATH share/cmake/latchbox)
vcpkg_fixup_pkgconfig()
vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE")
