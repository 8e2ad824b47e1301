# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: the latchbox authors

# Runs COMMAND, with the file INPUT as its standard input if one is given, and wants it to end with
# STATUS and to say SAYS; where a file TOLD_IN is given, what it says has to stand there as well.
if(INPUT)
  set(input INPUT_FILE ${INPUT})
endif()
execute_process(COMMAND ${COMMAND} ${input}
  RESULT_VARIABLE status OUTPUT_VARIABLE said ERROR_VARIABLE said)
if(NOT status STREQUAL STATUS)
  message(FATAL_ERROR "ends with ${status} instead of ${STATUS}:\n${said}")
endif()
if(NOT said MATCHES "${SAYS}")
  message(FATAL_ERROR "does not say \"${SAYS}\":\n${said}")
endif()
if(TOLD_IN)
  file(READ ${TOLD_IN} text)
  string(FIND "${text}" "${said}" at)
  if(at EQUAL -1)
    message(FATAL_ERROR "what it says does not stand in ${TOLD_IN}:\n${said}")
  endif()
endif()
