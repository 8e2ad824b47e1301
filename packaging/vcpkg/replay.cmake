# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: the latchbox authors

# Where vcpkg is not to be had, the port is run all the same, as a script: each function that it
# calls is replaced by one that does with these arguments what vcpkg's own does, as its manual has
# it. What remains untried is vcpkg itself. Usage:
#   cmake -DPREFIX=installed -DWORK=scratch -P packaging/vcpkg/replay.cmake
cmake_minimum_required(VERSION 3.23)
set(PORT latchbox)
set(CURRENT_PORT_DIR ${CMAKE_CURRENT_LIST_DIR}/latchbox)
set(CURRENT_PACKAGES_DIR ${PREFIX})
set(CURRENT_BUILDTREES_DIR ${WORK})

function(run)
  execute_process(COMMAND ${ARGN} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

function(vcpkg_cmake_configure)
  cmake_parse_arguments(PARSE_ARGV 0 with "" SOURCE_PATH OPTIONS)
  run(${CMAKE_COMMAND} -G Ninja -S ${with_SOURCE_PATH} -B ${CURRENT_BUILDTREES_DIR}
    -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX=${CURRENT_PACKAGES_DIR}
    -DBUILD_SHARED_LIBS=OFF ${with_OPTIONS})
endfunction()

function(vcpkg_cmake_install)
  run(${CMAKE_COMMAND} --build ${CURRENT_BUILDTREES_DIR} --target install)
endfunction()

# Moves the config to share/<port>, one level up, and tells its files so.
function(vcpkg_cmake_config_fixup)
  cmake_parse_arguments(PARSE_ARGV 0 with "" CONFIG_PATH "")
  set(folder ${CURRENT_PACKAGES_DIR}/share/${PORT})
  file(GLOB files ${CURRENT_PACKAGES_DIR}/${with_CONFIG_PATH}/*)
  foreach(path IN LISTS files)
    file(READ ${path} text)
    string(REPLACE "\${CMAKE_CURRENT_LIST_DIR}/../../../" "\${CMAKE_CURRENT_LIST_DIR}/../../"
      text "${text}")
    string(REGEX REPLACE
      "(get_filename_component.(_IMPORT_PREFIX) \"..CMAKE_CURRENT_LIST_FILE.\" PATH.\n)(get_f[^\n]*\n)+"
      "\\1get_filename_component(\\2 \"\${\\2}\" PATH)\nget_filename_component(\\2 \"\${\\2}\" PATH)\n"
      text "${text}")
    cmake_path(GET path FILENAME name)
    file(WRITE ${folder}/${name} "${text}")
  endforeach()
  file(REMOVE_RECURSE ${CURRENT_PACKAGES_DIR}/share/cmake)
endfunction()

function(vcpkg_fixup_pkgconfig)
  set(path ${CURRENT_PACKAGES_DIR}/share/pkgconfig/${PORT}.pc)
  file(READ ${path} text)
  string(REGEX REPLACE "(^|\n)prefix=[^\n]*" "\\1prefix=\${pcfiledir}/../.." text "${text}")
  file(WRITE ${path} "${text}")
endfunction()

function(vcpkg_install_copyright)
  cmake_parse_arguments(PARSE_ARGV 0 with "" "" FILE_LIST)
  file(COPY_FILE ${with_FILE_LIST} ${CURRENT_PACKAGES_DIR}/share/${PORT}/copyright)
endfunction()

include(${CURRENT_PORT_DIR}/portfile.cmake)

# What vcpkg checks afterwards.
foreach(path IN ITEMS share/latchbox/copyright share/latchbox/latchbox-config.cmake
    include/latchbox/latchbox.hpp)
  if(NOT EXISTS ${PREFIX}/${path})
    message(FATAL_ERROR "the port has not installed ${path}")
  endif()
endforeach()
file(GLOB_RECURSE files ${PREFIX}/share/*)
foreach(path IN LISTS files)
  file(READ ${path} text)
  string(FIND "${text}" "${PREFIX}" at)
  if(NOT at EQUAL -1)
    message(FATAL_ERROR "${path} names the folder it was installed to")
  endif()
endforeach()
