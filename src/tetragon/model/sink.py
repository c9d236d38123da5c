"""Sink: what an output must offer so that the pipeline can feed it.

Flow    pipeline -> [Sink.write] -> file, socket or stream
"""

from collections.abc import Sequence
from typing import Protocol

from tetragon.model.event import Event
from tetragon.model.ledger import Ledger


class Sink(Protocol):
    """An output. ``write`` is called on the reader thread and never blocks or raises."""

    ledger: Ledger
    """Its books; stage is the sink's name."""

    def write(self, batch: Sequence[Event]) -> None:
        """Take one drained batch, in order: send it, queue it, or drop it and count why."""

    def tick(self, now: int) -> None:
        """Do what is due at ``now`` (Unix ns); called about once a second, by the same thread."""

    def close(self, timeout: float) -> None:
        """Deliver what is queued within ``timeout`` seconds, count the rest as lost, release."""
