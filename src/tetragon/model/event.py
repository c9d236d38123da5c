"""Event: what happened, with the process that did it; one class per kind the API knows.

Flow    process cache -> [Event] -> filters -> sinks
Owns    nothing. Built on the reader thread; after the pipeline handed it on, read only, but for
        the two encoded forms, which the encoders keep on it (same bytes whoever computes them).
"""

from enum import IntEnum

import msgspec

from tetragon.model.process import BinaryProperties, Process


class EventType(IntEnum):
    """Number of the event's member in GetEventsResponse.event, the API's EventType."""

    PROCESS_EXEC = 1
    PROCESS_EXIT = 5
    PROCESS_KPROBE = 9
    PROCESS_TRACEPOINT = 10
    PROCESS_LOADER = 11
    PROCESS_UPROBE = 12
    PROCESS_THROTTLE = 27
    PROCESS_LSM = 28
    PROCESS_USDT = 29
    TEST = 40000
    RATE_LIMIT_INFO = 40001


class Event(msgspec.Struct, gc=False, kw_only=True):
    """
    What all events share.

    Args:
        time: when the kernel saw it, Unix time in ns.
        process: who did it; None for events of no process (throttle, rate limit).
        parent: its parent, when known.
        ancestors: grandparent upward, nearest first; empty unless asked for.
        json: the JSON line with its newline, unfiltered; None until a sink wanted it.
        proto: tetragon.GetEventsResponse bytes, unfiltered; None until a sink wanted it.
        sequence: number of this event in the agent's life, from 1, in pipeline order.
    """

    time: int
    process: Process | None = None
    parent: Process | None = None
    ancestors: tuple[Process, ...] = ()
    sequence: int = 0
    json: bytes | None = None
    proto: bytes | None = None

    @property
    def type(self) -> EventType:
        """The API's type of this event."""
        return TYPES[self.__class__]


class ExecEvent(Event, gc=False, kw_only=True):
    """A process started to run an image, or was found running at start."""

    binary_properties: BinaryProperties | None = None


class ExitEvent(Event, gc=False, kw_only=True):
    """The last thread of a process ended: ``signal`` is its name or empty, ``status`` the code."""

    signal: str = ""
    status: int = 0


class ThrottleEvent(Event, gc=False, kw_only=True):
    """A cgroup's base events began (``start``) or ceased to be dropped for their rate."""

    start: bool
    cgroup: str


class RateLimitInfo(Event, gc=False, kw_only=True):
    """How many events an exporter's rate limit dropped since the last such event."""

    dropped: int


TYPES: dict[type[Event], EventType] = {
    ExecEvent: EventType.PROCESS_EXEC,
    ExitEvent: EventType.PROCESS_EXIT,
    ThrottleEvent: EventType.PROCESS_THROTTLE,
    RateLimitInfo: EventType.RATE_LIMIT_INFO,
}
"""The one table of kinds: a new event class adds its line here."""
