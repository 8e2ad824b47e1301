# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: the latchbox authors
# Puts what the benchmarks came to, in the folder RESULTS, behind the mark in DOCS/performance.md,
# and their plots into DOCS/plots.
set(page ${DOCS}/performance.md)
file(READ ${page} text)
set(mark "<!-- from here on written by the target bench_docs -->\n")
string(FIND "${text}" "${mark}" at)
if(at EQUAL -1)
  message(FATAL_ERROR "${page} has lost its mark: ${mark}")
endif()
string(SUBSTRING "${text}" 0 ${at} text)
file(READ ${RESULTS}/budgets.md budgets)
file(READ ${RESULTS}/results.md results)
file(WRITE ${page} "${text}${mark}\n### Budgets\n\n${budgets}\n${results}")
file(REMOVE_RECURSE ${DOCS}/plots)
file(COPY ${RESULTS}/plots DESTINATION ${DOCS})
