# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: the latchbox authors

# Nearly all that a test costs is the compiling of what the library's templates become, the same in
# many files. So tests are put together into one source file: first everything they include, then
# each in a namespace of its own, so that no name of one is seen by another. Tools have it done by
#   cmake -DOUTPUT=all.cpp "-DFILES=keys_test.cpp;order_test.cpp" -P tests/together.cmake
function(latchbox_put_together output)
  set(includes "")
  set(text "")
  foreach(file IN LISTS ARGN)
    cmake_path(ABSOLUTE_PATH file BASE_DIRECTORY ${CMAKE_CURRENT_FUNCTION_LIST_DIR})
    file(STRINGS ${file} lines REGEX "^#include ")
    list(APPEND includes ${lines})
    cmake_path(RELATIVE_PATH file BASE_DIRECTORY ${CMAKE_CURRENT_FUNCTION_LIST_DIR}
      OUTPUT_VARIABLE name)
    string(MAKE_C_IDENTIFIER "of_${name}" name)
    string(APPEND text "namespace ${name} {\n#include \"${file}\"\n}\n")
  endforeach()
  list(REMOVE_DUPLICATES includes)
  list(SORT includes)
  list(TRANSFORM includes REPLACE "^#include ([^ ]+).*$"
    "#if __has_include(\\1)\n#include \\1\n#endif\n")
  list(JOIN includes "" includes)
  file(CONFIGURE OUTPUT ${output} CONTENT "${includes}${text}" @ONLY)
endfunction()

if(CMAKE_SCRIPT_MODE_FILE)
  latchbox_put_together(${OUTPUT} ${FILES})
endif()
