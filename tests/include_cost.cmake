# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: the latchbox authors

# What one include costs, in lines the compiler has to read, against its budget.
set(budget_latchbox.hpp 64500)
set(budget_options.hpp 37500)
set(budget_fwd.hpp 500)

set(source include_cost.cpp)
foreach(header latchbox.hpp options.hpp fwd.hpp)
  file(WRITE ${source} "#include <latchbox/${header}>\n")
  execute_process(COMMAND ${COMMAND} -std=c++20 -E -P ${source}
    RESULT_VARIABLE result OUTPUT_VARIABLE text ERROR_VARIABLE errors)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "${header} does not preprocess:\n${errors}")
  endif()
  string(LENGTH "${text}" size)
  string(REPLACE "\n" "" joined "${text}")
  string(LENGTH "${joined}" size_joined)
  math(EXPR lines "${size} - ${size_joined}")
  message(STATUS "figure: lines read for ${header} = ${lines}")
  if(lines GREATER budget_${header})
    message(SEND_ERROR "${header} costs ${lines} lines, above its ${budget_${header}}")
  endif()
endforeach()
