# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: the latchbox authors
"""What gdb shows of ids, times, results, queues and deliveries: (gdb) source latchbox_gdb.py

Reads memory alone: nothing of the program is called, no lock is taken.
"""

import gdb
import gdb.printing

STATES = ("vacant", "reserved", "blocked", "delayed", "ready", "leased", "dead")
NEVER = 2**63 - 1


def seconds(count):
    """As to_string(Duration) has it."""
    if count == NEVER:
        return "never"
    whole, part = divmod(abs(count), 10**9)
    text = f"{whole}.{part:09}".rstrip("0").rstrip(".")
    return ("-" if count < 0 else "") + text + " s"


def message_id(issuer, number, slot):
    """As to_string(MessageId) has it, the check of all digits at the end."""
    if number == 0:
        return "none"
    text = f"m-{issuer}-{number}-{slot}"
    check = 0
    for c in text:
        check = (check * 11 + (int(c) if c.isdigit() else 10)) % 97
    return f"{text}-{check}"


def enumerator(value):
    return str(value).rsplit("::", 1)[-1]


def quoted(value):
    """A std::string, as the printer of its library has it."""
    return value.format_string(max_elements=0)


class Printer:
    def __init__(self, value):
        self.value = value


class MessageId(Printer):
    def to_string(self):
        v = self.value
        return message_id(int(v["issuer_"]), int(v["number_"]), int(v["slot_"]))


class Receipt(Printer):
    def to_string(self):
        v = self.value
        if int(v["lease_"]) == 0:
            return "none"
        return f"r-{int(v['queue_'])}-{int(v['lease_'])}-{int(v['number_'])}-{int(v['slot_'])}"


class Duration(Printer):
    def to_string(self):
        return seconds(int(self.value["count_"]))


class Instant(Printer):
    def to_string(self):
        return seconds(int(self.value["since_epoch_"]["count_"]))


class Reason(Printer):
    def to_string(self):
        text = enumerator(self.value["cause_"])
        if text == "parent_failed":
            text += " " + str(self.value["parent_"])
        said = self.value["text_"].string("utf-8", "replace", length=int(self.value["size_"]))
        return f"{text}: {said}" if said else text


class Result(Printer):
    """A value, or the error."""

    def to_string(self):
        error = self.value["error_"]
        if int(error) != 0:
            return "error: " + enumerator(error)
        return "a value" if self.has_value() else "done"

    def has_value(self):
        return int(self.value["error_"]) == 0 and any(
            field.name is None for field in self.value.type.fields())

    def children(self):
        if self.has_value():
            yield "value", self.value["value_"]


def queue_of(shell):
    counts = shell["core"]["in_"]
    held = [f"{name} {int(counts[i])}" for i, name in enumerate(STATES)
            if i >= 2 and int(counts[i]) != 0]
    return f'{quoted(shell["name_"])}: ' + (", ".join(held) or "empty")


class Queue(Printer):
    """Any handle that is a Consumer."""

    def to_string(self):
        shell = self.value["shell_"]["to_"]
        return "moved from" if int(shell) == 0 else queue_of(shell.dereference())


class Topic(Printer):
    def to_string(self):
        shell = self.value["shell_"]["to_"]
        return "moved from" if int(shell) == 0 else quoted(shell["subject"])


class Gate(Printer):
    def to_string(self):
        return str(self.value["id_"])


class Delivery(Printer):
    def to_string(self):
        view, grant = self.value["view_"], self.value["grant_"]
        shell = view["shell_"]
        if int(shell) == 0:
            return "moved from"
        text = f'of {quoted(shell["name_"])}, attempt {int(grant["attempts"])}'
        if bool(self.value["settled_"]):
            return text + ", settled"
        return text + f", until {seconds(int(grant['deadline']['since_epoch_']['count_']))}"

    def children(self):
        view = self.value["view_"]
        if int(view["shell_"]) == 0:
            return
        cell = view["cell_"].dereference()
        if not bool(cell["shares_"]):  # the body's own cell is the one derived from this
            message, platform = (cell.type.template_argument(i) for i in range(2))
            own = gdb.lookup_type(f"latchbox::v0::detail::BodyCell<{message}, {platform}>")
            yield "body", cell.cast(own)["body"]


def printers():
    collection = gdb.printing.RegexpCollectionPrettyPrinter("latchbox")
    for printer, names in ((Queue, "Queue|Consumer|Subscription"), (Result, "Result"),
                           (Delivery, "Delivery"), (Topic, "Topic"), (Gate, "Gate")):
        collection.add_printer(names, rf"^latchbox::v\d+::({names})<.*>$", printer)
    for printer in (MessageId, Receipt, Duration, Instant, Reason):
        name = printer.__name__
        collection.add_printer(name, rf"^latchbox::v\d+::{name}$", printer)
    return collection


gdb.printing.register_pretty_printer(gdb.current_objfile(), printers(), replace=True)
