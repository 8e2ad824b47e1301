#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: the latchbox authors
"""Judges a coverage export of llvm-cov: prints the figures, and each place that is not covered.

usage: coverage.py ROOT EXPORT.json GROUP [NAME=MINIMUM...]

GROUP is `core` (the headers of levels 0-3 in the list of tests/tidy_test.cpp) or `rest` (all
others). A NAME is function, line, branch or mcdc; below its MINIMUM, in percent, the run fails.

What a template does in one instantiation it need not do in another: counts are added up by place
in the source, over all instantiations and programs.

Left out, by rule:
- what an assertion does when it is broken: the conditions in the argument of `ensure`, a line that
  is `ensure(false, ...)`, and ensure.hpp. It would be a defect, and ends the program;
- the same of audits (the headers `*_audit.hpp`, and functions `sound`): what they find is a defect,
  and they run after every step. A line `return "what it is"`, and their conditions;
- comparisons that the compiler writes (`= default`);
- the default of a `switch` that has none, as the compiler checks that it names all values;
- lines of braces and comments only;
- what tests/unreached.txt names: file | kind | text of the line | why. An entry that is not needed
  any more fails the run.

A chain of nothing but `&&`, or of nothing but `||`, in which each condition was true and false,
is covered by that in the sense of MC/DC; the compiler does not see the one of a `?:` whose result
is a class.
"""
import json
import re
import sys

root, export, group = sys.argv[1:4]
minima = dict(part.split("=") for part in sys.argv[4:])
library = root + "/include/latchbox/"


def core_headers():
    with open(root + "/tests/tidy_test.cpp", encoding="utf-8") as tidy:
        return {m[1] for m in re.finditer(r'\{[0-3], "([^"]+)"\}', tidy.read())}


class Source:
    """The text of one header, and the places in it that are left out."""

    def __init__(self, name):
        with open(library + name, encoding="utf-8") as file:
            self.text = file.read()
        self.lines = self.text.split("\n")
        self.starts = [0]
        for line in self.lines:
            self.starts.append(self.starts[-1] + len(line) + 1)
        self.spans = [self.call(m) for m in re.finditer(r"\b(?:ensure|switch ?)\(", self.text)]
        self.spans += [self.call(m, "{}")
                       for m in re.finditer(r"\bbool sound\([^{;]*\{", self.text)]
        self.whole = name == "detail/ensure.hpp"
        self.audit = name.endswith("_audit.hpp")

    def call(self, match, braces="()"):
        depth = 0
        for at in range(match.end() - 1, len(self.text)):
            depth += {braces[0]: 1, braces[1]: -1}.get(self.text[at], 0)
            if depth == 0:
                return match.start(), at
        raise SystemExit("a call without its end")

    def between(self, line, column, end_line, end_column):
        """The text from one place to another, in one line."""
        text = self.text[self.starts[line - 1] + column - 1:
                         self.starts[end_line - 1] + end_column - 1]
        return " ".join(text.split())

    def left_out(self, kind, line, column):
        text = self.lines[line - 1].strip()
        if self.whole or text.endswith("= default;"):
            return True
        if kind == "line":
            found = self.audit and re.match(r"(case [^;]*:$)|(case .*: )?return \"", text)
            return (not re.sub(r"//.*|[{}();]|else|#endif", "", text).strip()
                    or "ensure(false" in text or bool(found))
        if self.audit and kind != "function":
            return True
        at = self.starts[line - 1] + column - 1
        return kind != "function" and any(begin <= at <= end for begin, end in self.spans)


def is_wanted(path):
    name = path[len(library):] if path.startswith(library) else None
    if not name or name.startswith("testing"):
        return None  # of the testing kit, which the simulation runs on
    return name if (name in core) == (group == "core") else None


def count_regions(function):
    names = [is_wanted(path) for path in function["filenames"]]
    for i, region in enumerate(function["regions"]):
        name = names[region[5]]
        if name and i == 0:
            place = (name, *region[:4])
            functions[place] = functions.get(place, 0) + function["count"]
    for branch in function["branches"]:
        name = names[branch[6]]
        for way in (0, 1) if name else ():
            place = (name, *branch[:4], ("true", "false")[way])
            branches[place] = branches.get(place, 0) + branch[4 + way]
    for record in function.get("mcdc_records", []):
        name = names[record[4]]
        for i, shown in enumerate(record[6]) if name else ():
            place = (name, *record[:4], f"condition {i + 1}")
            conditions[place] = conditions.get(place, 0) + shown


def count_lines(file):
    """As llvm-cov does: the most of what begins in a line, and of what goes on from those above."""
    name = is_wanted(file["filename"])
    by_line = {}
    for segment in file["segments"] if name else ():
        by_line.setdefault(segment[0], []).append(segment)
    above = None
    for line in range(1, max(by_line, default=0) + 1):
        here = by_line.get(line, [])
        counts = [count for _, _, count, counted, begins, gap in here
                  if counted and begins and not gap]
        if above is not None:
            counts.append(above)
        if counts:
            lines[(name, line, 1, line, 1)] = max(counts)
        for segment in here:
            above = segment[2] if segment[3] else None


def is_plain_chain(place):
    """Whether each condition of the decision was true and false, and they are but one chain."""
    name, *decision = place[:5]
    text = sources[name].between(*decision)
    inside = [count for branch, count in branches.items()
              if branch[0] == name and decision[:2] <= list(branch[1:3])
              and list(branch[3:5]) <= decision[2:]]
    return ("&&" in text) != ("||" in text) and inside and all(inside)


def read_unreached():
    with open(root + "/tests/unreached.txt", encoding="utf-8") as file:
        return {tuple(part.strip() for part in entry.split(" | ")[:3]): 0
                for entry in file if entry.strip() and not entry.startswith("#")}


core = core_headers()
functions, lines, branches, conditions = {}, {}, {}, {}
with open(export, encoding="utf-8") as file:
    data = json.load(file)["data"][0]
for function in data["functions"]:
    count_regions(function)
for file in data["files"]:
    count_lines(file)
sources = {name: Source(name) for name in sorted({place[0] for place in lines})}
unreached = read_unreached()

failed = False
for kind, places in (("function", functions), ("line", lines), ("branch", branches),
                     ("mcdc", conditions)):
    total = covered = 0
    for place, count in sorted(places.items()):
        source = sources[place[0]]
        if source.left_out(kind, place[1], place[2]):
            continue
        line = source.lines[place[1] - 1].strip()
        if count == 0 and kind == "mcdc" and is_plain_chain(place):
            count = 1
        if count == 0 and (place[0], kind, line) in unreached:
            unreached[(place[0], kind, line)] += 1
            continue
        total += 1
        covered += count > 0
        if count == 0:
            what = line if kind in ("function", "line") else source.between(*place[1:5])
            way = " " + place[5] if len(place) > 5 else ""
            print(f"{place[0]}:{place[1]}:{place[2]}: {kind}{way} not covered: {what[:90]}")
    percent = 100.0 * covered / total if total else 100.0
    print(f"figure: coverage of {group}, {kind} = {covered} of {total} ({percent:.2f} %)")
    if percent < float(minima.get(kind, 0)):
        print(f"below the {minima[kind]} % that are asked for")
        failed = True
for (name, kind, text), used in unreached.items():
    if not used and (name in core) == (group == "core"):
        print(f"tests/unreached.txt: not needed: {name} | {kind} | {text}")
        failed = True
sys.exit(1 if failed else 0)
