"""Bench of filters: events in, ns per event that each kind of filter adds.

The yardstick, in the same run and turn about, is what an event costs anyway: making its JSON line
anew, process text included. Ratios to it are what to compare between machines.

    python bench/filters.py [--rounds N] [--events N]
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from tetragon.api.fields import FrameFields
from tetragon.api.messages import GetEventsResponse
from tetragon.api.parse import Parser
from tetragon.event.fields import FieldFilters, compile_field_filter_text
from tetragon.event.fields_json import LineFields
from tetragon.event.filter import compile_filter_texts
from tetragon.event.from_json import event_from_json
from tetragon.event.json import JsonEncoder
from tetragon.event.redact import compile_redaction_text
from tetragon.model.event import Event
from tetragon.model.filters import FilterOptions

sys.path.insert(0, str(Path(__file__).resolve().parent))
from udp import NODE, host_event, pod_event  # the same events as the UDP bench

Work = Callable[[Sequence[Event]], object]

OPTIONS = FilterOptions(process_cred=True)

FILTERS = (
    ("event_set: no event of this kind passes", '{"event_set":["PROCESS_EXIT"]}', ""),
    ("event_set: all of this kind pass", '{"event_set":["PROCESS_EXEC"]}', ""),
    ("pid", '{"pid":[1]}', ""),
    ("namespace, two values", '{"namespace":["kube-system","default"]}', ""),
    ("binary_regex", '{"binary_regex":["^/usr/sbin/"]}', ""),
    ("binary_regex, five of them", '{"binary_regex":["^/a","^/b","^/c","^/d","cc$"]}', ""),
    ("arguments_regex, no two alike", '{"arguments_regex":["--password"]}', ""),
    ("labels", '{"labels":["app in (web, api), tier!=backend"]}', ""),
    ("health checks and host denied", "", '{"health_check":true} {"namespace":[""]}'),
    ("pid_set", '{"pid_set":[1]}', ""),
    ("CEL, pid", '{"cel_expression":["process_exec.process.pid == 1u"]}', ""),
    (
        "CEL, binary and uid",
        '{"cel_expression":["process_exec.process.binary.startsWith(\\"/usr\\") '
        '&& process_exec.process.uid == 0u"]}',
        "",
    ),
)

FIELDS = (
    ("INCLUDE four fields", '{"fields":"process.exec_id,process.pid,process.binary,parent.pid"}'),
    ("EXCLUDE two fields", '{"fields":"parent,process.cwd","action":"EXCLUDE"}'),
    ("EXCLUDE in a pod", '{"fields":"process.pod.pod_labels","action":"EXCLUDE"}'),
)


class Case(NamedTuple):
    """One line of the table."""

    name: str
    work: Work


def encoding() -> Work:
    """Return the yardstick: the line of every event made anew."""
    line = JsonEncoder(NODE).line

    def work(events: Sequence[Event]) -> None:
        for event in events:
            event.json = None
            if event.process is not None:
                event.process.json = None
            line(event)

    return work


def filter_cases() -> list[Case]:
    """Return the cases of allow and deny lists."""
    cases: list[Case] = []
    for name, allow, deny in FILTERS:
        predicate = compile_filter_texts(allow, deny, options=OPTIONS)
        assert predicate is not None, name
        cases.append(Case(name, predicate.select))
    return cases


def field_cases(events: Sequence[Event]) -> list[Case]:
    """Return the cases of field filters, on lines and frames that are ready, as in the agent."""
    encoder, parser = JsonEncoder(NODE), Parser()
    lines = [encoder.line(event) for event in events]
    objects: list[dict[str, Any]] = [msgspec.json.decode(line) for line in lines]
    frames = [_frame(parser, one) for one in objects]
    cases: list[Case] = []
    for name, text in FIELDS:
        filters = compile_field_filter_text(text)
        assert filters is not None, name
        cases += [
            Case(f"{name}, line", _pairs(LineFields(filters).line, lines)),
            Case(f"{name}, frame", _pairs(FrameFields(filters).frame, frames)),
            Case(f"{name}, object from line", _objects(filters, lines)),
        ]
    return cases


def other_cases(events: Sequence[Event]) -> list[Case]:
    """Return the cases that are neither."""
    redactor = compile_redaction_text('{"redact":["--password(?:\\\\s+|=)(\\\\S*)"]}')
    assert redactor is not None
    encoder = JsonEncoder(NODE)
    objects: list[dict[str, Any]] = [msgspec.json.decode(encoder.line(event)) for event in events]

    def redact(batch: Sequence[Event]) -> None:
        for event in batch:
            if event.process is not None:
                redactor.redact_arguments(event.process.binary, event.process.arguments)

    def adapt(_: Sequence[Event]) -> None:
        for one in objects:
            event_from_json(one)

    return [Case("redact, no match", redact), Case("event_from_json", adapt)]


def _frame(parser: Parser, one: dict[str, Any]) -> bytes:
    message = GetEventsResponse()
    parser.fill(message, one)
    return message.SerializeToString()


def _pairs(apply: Callable[[Event, bytes], bytes], ready: Sequence[bytes]) -> Work:
    def work(events: Sequence[Event]) -> None:
        for event, data in zip(events, ready, strict=True):
            apply(event, data)

    return work


def _objects(filters: FieldFilters, lines: Sequence[bytes]) -> Work:
    def work(_: Sequence[Event]) -> None:
        for line in lines:
            msgspec.json.encode(filters.apply(msgspec.json.decode(line)))

    return work


def _unlike(event: Event, number: int) -> Event:
    """Return ``event`` with arguments of its own, so that no memo knows them."""
    assert event.process is not None
    event.process.arguments += f" -o {number}"
    return event


def measure(cases: Sequence[Case], events: Sequence[Event], rounds: int) -> list[float]:
    """Return the median ns per event of each case; cases take turns."""
    spent: list[list[int]] = [[] for _ in cases]
    for _ in range(rounds + 1):
        for times, case in zip(spent, cases, strict=True):
            began = time.perf_counter_ns()
            case.work(events)
            times.append(time.perf_counter_ns() - began)
    return [statistics.median(times[1:]) / len(events) for times in spent]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure everything for host and pod events and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--events", type=int, default=1024)
    asked = parser.parse_args(argv)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    print(f"medians of {asked.rounds} rounds of {asked.events} exec events")
    for title, make in (("host process", host_event), ("process in a pod", pod_event)):
        events = [_unlike(make(10_000 + number), number) for number in range(asked.events)]
        yardstick = Case("yardstick: JSON line made anew", encoding())
        cases = [yardstick, *filter_cases(), *field_cases(events), *other_cases(events)]
        found = measure(cases, events, asked.rounds)
        print(f"\n{title:48} {'ns/event':>9} {'ratio':>7}")
        for case, ns in zip(cases, found, strict=True):
            print(f"{case.name:48} {ns:9.0f} {ns / found[0]:7.3f}")


if __name__ == "__main__":
    main()
