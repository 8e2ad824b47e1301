# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: the latchbox authors

# Writes the library as one file: cmake -DOUT=latchbox.hpp -P tools/single_header.cmake
# What the umbrella includes, with workers and coroutines, which cost next to nothing on top of it;
# without the testing kit, which needs a POSIX system and belongs to test programs alone.
cmake_minimum_required(VERSION 3.23)
if(NOT DEFINED OUT)
  message(FATAL_ERROR "say where to: -DOUT=latchbox.hpp")
endif()
cmake_path(GET CMAKE_CURRENT_LIST_DIR PARENT_PATH root)
set(licence "// SPDX-License-Identifier: MIT\n// SPDX-FileCopyrightText: the latchbox authors\n")
set(include "\n#include \"latchbox/")
set(seen "")

# The text of a header, what it includes of the library put in where that is not there already. By
# FIND and SUBSTRING: as a list the text would break at `;` and `[`.
function(expand header result)
  list(APPEND seen ${header})
  file(READ "${root}/include/latchbox/${header}" rest)
  string(REPLACE "${licence}" "" rest "${rest}")
  string(REPLACE "#pragma once\n" "" rest "${rest}")
  set(text "")
  string(FIND "${rest}" "${include}" at)
  while(NOT at EQUAL -1)
    string(SUBSTRING "${rest}" 0 ${at} before)
    string(LENGTH "${include}" length)
    math(EXPR at "${at} + ${length}")
    string(SUBSTRING "${rest}" ${at} -1 rest)
    string(FIND "${rest}" "\"\n" end)
    string(SUBSTRING "${rest}" 0 ${end} included)
    math(EXPR end "${end} + 1")
    string(SUBSTRING "${rest}" ${end} -1 rest)
    string(APPEND text "${before}")
    if(NOT included IN_LIST seen)
      expand(${included} inner)
      string(APPEND text "\n${inner}")
    endif()
    string(FIND "${rest}" "${include}" at)
  endwhile()
  set(seen "${seen}" PARENT_SCOPE)
  set(${result} "\n// ${header}\n${text}${rest}" PARENT_SCOPE)
endfunction()

set(all "${licence}#pragma once\n")
foreach(header IN ITEMS latchbox.hpp workers.hpp coroutine.hpp)
  expand(${header} text)
  string(APPEND all "${text}")
endforeach()
string(REGEX REPLACE "\n\n\n+" "\n\n" all "${all}")
# Left as it is if it would be the same, so that nothing has to be compiled again.
set(before "")
if(EXISTS "${OUT}")
  file(READ "${OUT}" before)
endif()
if(NOT before STREQUAL all)
  file(WRITE "${OUT}" "${all}")
endif()
