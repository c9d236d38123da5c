"""Aggregation: equal events of a window become one, others are left alone."""

import pytest
from export_support import NOON, HookEvent, exec_event, hook_event

from tetragon.export.aggregate import Aggregator, Counted, stamp_json
from tetragon.model.event import ExitEvent

WINDOW = 15


def test_equal_events_become_the_first_and_a_count() -> None:
    """Three equal events leave as the first one, counted three."""
    merger = Aggregator(WINDOW, 10)
    events = [hook_event(time=NOON + n, function_name="f") for n in range(3)]
    assert merger.add(events[:2], now=0) == []
    assert merger.add(events[2:], now=WINDOW - 1) == []
    assert merger.due(WINDOW - 1) == []
    assert merger.due(WINDOW) == [Counted(events[0], 3)]
    assert merger.due(10 * WINDOW) == []
    assert merger.merged == 2


@pytest.mark.parametrize(
    "other",
    [
        hook_event(pid=8, function_name="f"),
        hook_event(function_name="g"),
        hook_event(function_name="f", policy_name="p"),
        hook_event(function_name="f", args=("x",)),
    ],
    ids=["process", "function", "policy", "arguments"],
)
def test_events_that_differ_stay_apart(other: HookEvent) -> None:
    """Another process, function, policy or argument makes another event."""
    merger = Aggregator(WINDOW, 10)
    first = hook_event(function_name="f")
    assert merger.add([first, other], now=0) == []
    assert merger.due(WINDOW) == [Counted(first, 1), Counted(other, 1)]


def test_a_new_window_begins_after_the_old_one() -> None:
    """What comes after the window is counted anew."""
    merger = Aggregator(WINDOW, 10)
    merger.add([hook_event()], now=0)
    assert len(merger.due(WINDOW)) == 1
    later = hook_event(time=NOON + 1)
    merger.add([later], now=WINDOW)
    assert merger.due(2 * WINDOW - 1) == []
    assert merger.due(2 * WINDOW) == [Counted(later, 1)]


def test_starts_and_exits_pass_at_once() -> None:
    """An event that has no equal is never held back."""
    merger = Aggregator(WINDOW, 10)
    events = [exec_event(), ExitEvent(time=NOON, process=exec_event().process)]
    assert merger.add(events, now=0) == events
    assert len(merger) == 0


def test_what_finds_no_room_passes_unmerged() -> None:
    """A full buffer loses nothing: the event passes at once, and that is counted."""
    merger = Aggregator(WINDOW, 1)
    first, second = hook_event(pid=1), hook_event(pid=2)
    assert merger.add([first, second, first], now=0) == [second]
    assert merger.overflowed == 1
    assert merger.flush() == [Counted(first, 2)]
    assert merger.flush() == []


def test_an_event_that_cannot_be_compared_passes() -> None:
    """A field without a value to compare makes no error."""
    merger = Aggregator(WINDOW, 10)
    event = hook_event(args=([],))
    assert merger.add([event], now=0) == [event]


def test_the_count_is_written_as_the_schema_wants_it() -> None:
    """64-bit numbers are texts in JSON."""
    assert stamp_json(b'{"a":1}\n', 12) == b'{"a":1,"aggregation_info":{"count":"12"}}\n'
