"""Sources: what the agent lets metrics read, on the scraping thread.

Owns    nothing
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, Protocol, cast

from tetragon.model.control import BuildInfo
from tetragon.model.ledger import Ledger
from tetragon.model.sink import Sink
from tetragon.process.options import Stats


class Sources(NamedTuple):
    """
    Where figures come from; every callable is quick and safe on any thread.

    Args:
        version, build: of this agent.
        ledgers: the books of every stage.
        kernel: what the kernel half counted, by (operation, counter), in lower case.
        cache: counters of the process cache.
        sinks: the outputs.
    """

    version: str
    build: BuildInfo
    ledgers: Callable[[], Iterable[Ledger]]
    kernel: Callable[[], Mapping[tuple[str, str], int]]
    cache: Callable[[], Stats]
    sinks: Callable[[], Iterable[Sink]]


class Exported(NamedTuple):
    """
    What one output did that is not in its books.

    Args:
        stage: its name.
        events: how many it delivered.
        size: bytes in files, 0 for other outputs.
        rate_limited: events dropped as there were too many.
        last_event_time: Unix ns of the last event's time, 0 for none yet.
        queued, queued_size: events that wait, and their bytes.
    """

    stage: str
    events: int
    size: int = 0
    rate_limited: int = 0
    last_event_time: int = 0
    queued: int = 0
    queued_size: int = 0


class _HasStats(Protocol):
    def stats(self) -> NamedTuple: ...


def exported(sinks: Iterable[Sink]) -> list[Exported]:
    """Return the figures of those outputs that keep some: files, UDP and their like."""
    return [
        _exported(sink, cast("_HasStats", sink).stats()._asdict())
        for sink in sinks
        if hasattr(sink, "stats")
    ]


def _exported(sink: Sink, stats: Mapping[str, int]) -> Exported:
    return Exported(
        sink.ledger.stage,
        sink.ledger.delivered,
        stats.get("bytes_written", 0),
        stats.get("rate_limited", 0),
        stats.get("last_event_time", 0),
        stats.get("queued", 0),
        stats.get("queued_bytes", 0),
    )
