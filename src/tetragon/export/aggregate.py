"""Aggregation: events in, equal ones of a window out as one event and its count.

Owns    the events it holds, at most ``capacity``; used by the thread that feeds the output.

An event that may have equals is held for one window from its arrival, and until the first look
at the clock after that. Whatever equals it in that time only raises its count. Process starts
and exits, throttle and rate limit events are never equal to another, so they pass at once, and
may overtake older events that are held.
"""

from collections.abc import Hashable, Sequence
from operator import attrgetter
from typing import Final, NamedTuple

from tetragon.model.event import Event, ExecEvent, ExitEvent, RateLimitInfo, ThrottleEvent

UNIQUE: Final[frozenset[type[Event]]] = frozenset(
    {ExecEvent, ExitEvent, ThrottleEvent, RateLimitInfo}
)
"""Kinds of which two are never the same happening seen twice."""


class Counted(NamedTuple):
    """One event that stands for ``number`` equal ones; it is the first of them."""

    event: Event
    number: int


class _Held:
    """A held event, how many it stands for, and until when it waits."""

    __slots__ = ("count", "deadline", "event")

    def __init__(self, event: Event, deadline: int) -> None:
        self.event = event
        self.count = 1
        self.deadline = deadline


class Aggregator:
    """
    Merge equal events: same kind, process, parent and every field of their kind.

    Args:
        window: how long an event waits for its equals, in ns.
        capacity: how many different events may wait; beyond it events pass unmerged.
    """

    def __init__(self, window: int, capacity: int) -> None:
        self._window = window
        self._capacity = capacity
        self._held: dict[Hashable, _Held] = {}
        self._fields: dict[type[Event], attrgetter[Hashable] | None] = {}
        self.merged = 0
        self.overflowed = 0

    def __len__(self) -> int:
        """How many different events wait."""
        return len(self._held)

    def add(self, batch: Sequence[Event], now: int) -> list[Event]:
        """Take events; return, in order, those which do not wait."""
        return [event for event in batch if not self._hold(event, now)]

    def due(self, now: int) -> list[Counted]:
        """Return the events whose window is over at ``now``, oldest first."""
        over: list[Counted] = []
        for key, held in list(self._held.items()):
            if held.deadline > now:
                break
            over.append(Counted(held.event, held.count))
            del self._held[key]
        return over

    def flush(self) -> list[Counted]:
        """Return all that wait, oldest first, and hold nothing any more."""
        rest = [Counted(held.event, held.count) for held in self._held.values()]
        self._held.clear()
        return rest

    def _hold(self, event: Event, now: int) -> bool:
        if event.__class__ in UNIQUE:
            return False
        key = self._key(event)
        try:
            held = self._held.get(key)
        except TypeError:  # a field that cannot be compared by value: never equal to another
            return False
        if held is not None:
            held.count += 1
            self.merged += 1
            return True
        if len(self._held) >= self._capacity:
            self.overflowed += 1
            return False
        self._held[key] = _Held(event, now + self._window)
        return True

    def _key(self, event: Event) -> Hashable:
        kind = event.__class__
        if kind not in self._fields:
            own = [name for name in kind.__struct_fields__ if name not in Event.__struct_fields__]
            self._fields[kind] = attrgetter(*own) if own else None
        fields = self._fields[kind]
        process, parent = event.process, event.parent
        return (
            kind,
            process.exec_id if process else "",
            parent.exec_id if parent else "",
            fields(event) if fields else None,
        )


def stamp_json(line: bytes, count: int) -> bytes:
    """Write ``count`` into a JSON line (as unsigned 64-bit numbers are, in quotes)."""
    return b'%b,"aggregation_info":{"count":"%d"}}\n' % (line[:-2], count)
