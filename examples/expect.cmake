# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: the latchbox authors

# Runs COMMAND, and wants it to end with STATUS and to say SAYS.
execute_process(COMMAND ${COMMAND} RESULT_VARIABLE status OUTPUT_VARIABLE said ERROR_VARIABLE said)
if(NOT status STREQUAL STATUS)
  message(FATAL_ERROR "ends with ${status} instead of ${STATUS}:\n${said}")
endif()
if(NOT said MATCHES "${SAYS}")
  message(FATAL_ERROR "does not say \"${SAYS}\":\n${said}")
endif()
