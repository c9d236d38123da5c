"""The stages before an output: their order, and books that balance."""

import json

import pytest
from export_support import (
    NOON,
    SECOND,
    balance,
    exec_event,
    exec_events,
    hook_event,
    make_front,
    process,
    reasons,
)

from tetragon.event.fields import compile_field_filter_text
from tetragon.event.fields_json import LineFields
from tetragon.event.filter import compile_filter_texts
from tetragon.export.aggregate import Aggregator
from tetragon.export.limit import MINUTE, RateLimiter
from tetragon.export.stage import Front
from tetragon.model.event import Event, ExitEvent
from tetragon.model.ledger import Ledger, Loss


class Clock:
    """A steady clock that a test sets."""

    now = 0

    def __call__(self) -> int:
        """Return the time."""
        return self.now


def function_line(event: Event) -> bytes:
    """Encode an event of a hook in as little as a test needs."""
    return b'{"process_kprobe":{"function_name":"%b"}}\n' % event.function_name.encode()


def test_without_stages_every_event_is_a_line() -> None:
    """Lines are the encoder's, in order."""
    front = make_front()
    events, lines = front.admit(exec_events(3))
    assert [json.loads(line)["process_exec"]["process"]["pid"] for line in lines] == [1, 2, 3]
    assert lines[0] is events[0].json
    assert front.ledger.produced == 3


def test_a_filtered_event_is_counted_and_never_encoded() -> None:
    """Filters come first: what they drop costs no encoding and no token."""
    limit = RateLimiter(1, now=0)
    front = make_front(accept=lambda event: event.process.pid == 2, limit=limit, clock=lambda: 0)
    batch = exec_events(3)
    _, lines = front.admit(batch)
    assert len(lines) == 1
    assert batch[0].json is None
    assert front.ledger.filtered == 2
    assert front.ledger.lost_total == 0


def test_what_the_rate_limit_drops_is_counted_by_kind() -> None:
    """Dropped events are the newest, are never encoded, and are in the books."""
    front = make_front(limit=RateLimiter(2, now=0), clock=lambda: 0)
    batch = exec_events(5)
    events, _ = front.admit(batch)
    assert events == batch[:2]
    assert batch[2].json is None
    assert front.ledger.lost == {Loss("rate_limit", "PROCESS_EXEC"): 3}


def test_drops_are_told_in_an_event_once_a_minute() -> None:
    """The report is an event of its own, bypasses the limit and is not repeated."""
    clock = Clock()
    front = make_front(limit=RateLimiter(1, now=0), clock=clock)
    front.admit(exec_events(4))
    assert not front.tick(NOON).lines
    clock.now = MINUTE
    (line,) = front.tick(NOON + 60 * SECOND).lines
    assert json.loads(line) == {
        "rate_limit_info": {"number_of_dropped_process_events": "3"},
        "node_name": "node",
        "time": "2024-01-31T12:01:00Z",
    }
    clock.now = 2 * MINUTE
    assert not front.tick(NOON + 120 * SECOND).lines


def test_field_filters_get_the_finished_line() -> None:
    """What they return goes out; the event keeps the whole line for other outputs."""
    front = make_front(fields=lambda event, _line: b'{"pid":%d}\n' % event.process.pid)
    events, lines = front.admit(exec_events(2))
    assert lines == [b'{"pid":1}\n', b'{"pid":2}\n']
    assert b"process_exec" in events[0].json


def test_the_filters_of_the_configuration() -> None:
    """Texts as flags give them, compiled once: what passes, and what of it."""
    accept = compile_filter_texts(
        '{"event_set":["PROCESS_EXEC"]}', '{"binary_regex":["/false$"]}{"pid":[2]}'
    )
    compiled = compile_field_filter_text('{"fields":"process.pid,process.binary"}')
    assert compiled is not None
    front = make_front(accept=accept, fields=LineFields(compiled).line)
    false = exec_event(9, binary="/usr/bin/false")
    gone = ExitEvent(time=NOON, process=process(1))
    _, lines = front.admit([*exec_events(3), false, gone])
    assert list(map(json.loads, lines)) == [
        {
            "process_exec": {"process": {"pid": pid, "binary": "/usr/bin/true"}},
            "node_name": "node",
            "time": f"2024-01-31T12:00:00.00000000{pid}Z",
        }
        for pid in (1, 3)
    ]
    assert front.ledger.filtered == 3
    assert (false.json, gone.json) == (None, None)


@pytest.mark.usefixtures("hooks")
def test_merged_events_leave_with_their_count() -> None:
    """After the window one line stands for all; the others are in the books as merged."""
    clock = Clock()
    merger = Aggregator(10, 100)
    front = Front(Ledger("test"), function_line, aggregate=merger, clock=clock)
    batch = [hook_event(function_name=name) for name in ("f", "g", "f", "f")]
    assert not front.admit(batch).lines
    assert front.held == 2
    clock.now = 10
    events, lines = front.tick(NOON)
    assert events == batch[:2]
    assert lines == [
        b'{"process_kprobe":{"function_name":"f"},"aggregation_info":{"count":"3"}}\n',
        b'{"process_kprobe":{"function_name":"g"}}\n',
    ]
    assert (front.ledger.produced, front.ledger.merged, front.held) == (4, 2, 0)


@pytest.mark.usefixtures("hooks")
def test_held_events_leave_before_the_output_closes() -> None:
    """Nothing that waits for its equals is forgotten."""
    front = Front(Ledger("test"), function_line, aggregate=Aggregator(10, 9), clock=lambda: 0)
    front.admit([hook_event(), hook_event()])
    assert len(front.drain().lines) == 1
    assert not front.drain().lines


def test_an_event_that_cannot_be_encoded_takes_no_other_with_it() -> None:
    """One bad event is counted; its batch goes out."""
    front = make_front()
    batch = exec_events(3)
    batch[1].process = None
    events, lines = front.admit(batch)
    assert [event.process.pid for event in events] == [1, 3]
    assert len(lines) == 2
    assert reasons(front.ledger) == {"encode_error": 1}


def test_losses_name_the_policy() -> None:
    """Events of a policy are counted under its name."""
    from tetragon.export.stage import lose
    from tetragon.model.event import TYPES, EventType

    ledger = Ledger("test")
    event = hook_event(policy_name="watch")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TYPES, type(event), EventType.PROCESS_KPROBE)
        lose(ledger, "why", [event, event, exec_event()])
    assert ledger.lost == {
        Loss("why", "PROCESS_KPROBE", "watch"): 2,
        Loss("why", "PROCESS_EXEC"): 1,
    }


def test_the_books_balance_through_all_stages() -> None:
    """produced = filtered + lost + handed on, with every stage at work."""
    front = make_front(
        accept=lambda event: event.process.pid % 3 != 0,
        limit=RateLimiter(25, now=0),
        aggregate=Aggregator(10, 10),
        clock=lambda: 0,
    )
    handed = sum(len(front.admit(exec_events(10)).lines) for _ in range(10))
    assert handed == 25
    assert balance(front.ledger) == handed
