# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: the latchbox authors

# Compiles SOURCE by COMMAND, and wants that to fail with what its line `// must say: ` expects.
file(STRINGS ${SOURCE} expected REGEX "^// must say: ")
string(REPLACE "// must say: " "" expected "${expected}")
if(NOT expected)
  message(FATAL_ERROR "${SOURCE} does not tell what to expect")
endif()
execute_process(COMMAND ${COMMAND} -std=c++20 -fsyntax-only ${SOURCE}
  RESULT_VARIABLE result OUTPUT_VARIABLE said ERROR_VARIABLE said)
if(result EQUAL 0)
  message(FATAL_ERROR "${SOURCE} compiles, and must not")
endif()
if(NOT said MATCHES "${expected}")
  message(FATAL_ERROR "${SOURCE} fails without saying \"${expected}\":\n${said}")
endif()
