"""Worker: lines for a slow place in, delivered in batches by a thread of their own.

Flow    Front (reader thread) -> [bounded queue] -> deliver (worker thread)
Owns    the queue and the thread. ``put``, ``settle`` and ``close`` belong to the feeding thread,
        which alone writes the ledger: the worker thread hands its results back.

The feeding thread never waits: when the queue is full, the newest events are dropped and counted.
"""

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from tetragon.export.stage import Admitted, lose
from tetragon.log import get_log
from tetragon.model.event import Event
from tetragon.model.ledger import Ledger

log = get_log(__name__)

QUEUE_BYTES: Final = 64 << 20
"""Most bytes of lines a queue holds, whatever the number of events."""


class Delivery(NamedTuple):
    """What became of a batch: how many arrived, their bytes, and what was lost and why."""

    delivered: int
    size: int
    losses: Sequence[tuple[str, Sequence[Event]]] = ()


Deliver = Callable[[Sequence[Event], Sequence[bytes]], Delivery]
"""Sends a batch; called on the worker thread, may wait."""

_Item = Admitted | Callable[[], None] | None
"""What the queue holds: lines, something to do between lines, or None for the end."""


class Worker:
    """
    A bounded queue and the thread that empties it.

    Args:
        ledger: books of the output; its stage names the thread and the loss reasons.
        deliver: sends a batch.
        max_events, max_bytes: bounds of the queue.
        gather: hand ``deliver`` about this many events at once when that many wait.
        linger: seconds to wait for that many, 0 sends what is there.
    """

    def __init__(
        self,
        ledger: Ledger,
        deliver: Deliver,
        *,
        max_events: int,
        max_bytes: int = QUEUE_BYTES,
        gather: int = 1024,
        linger: float = 0.0,
    ) -> None:
        self.ledger = ledger
        self.closing = threading.Event()
        self.size_delivered = 0
        self._deliver = deliver
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._gather = gather
        self._linger = linger
        self._leftover: list[_Item] = []
        self._inbox: queue.SimpleQueue[_Item] = queue.SimpleQueue()
        self._results: deque[Delivery] = deque()
        # Each counter has one writer: put_* and booked the feeder, done_* the worker.
        self._put_events = self._put_bytes = self._booked = 0
        self._done_events = self._done_bytes = 0
        self._thread = threading.Thread(
            target=self._run, name=f"export-{ledger.stage}", daemon=True
        )
        self._thread.start()

    @property
    def queued(self) -> int:
        """How many events wait or are being sent."""
        return self._put_events - self._done_events

    @property
    def queued_bytes(self) -> int:
        """Their bytes."""
        return self._put_bytes - self._done_bytes

    @property
    def alive(self) -> bool:
        """Whether the thread still runs; after ``close`` it then waits in a system call."""
        return self._thread.is_alive()

    def put(self, admitted: Admitted) -> None:
        """Queue lines for sending; drop and count the newest that find no room."""
        events, lines = admitted
        if not lines:
            return
        size = sum(map(len, lines))
        room = self._max_events - self.queued
        if len(lines) > room or size > self._max_bytes - self.queued_bytes:
            fits = self._fitting(lines, room)
            lose(self.ledger, f"{self.ledger.stage}_queue_full", events[fits:])
            events, lines = events[:fits], lines[:fits]
            size = sum(map(len, lines))
        if lines:
            self._put_events += len(lines)
            self._put_bytes += size
            self._inbox.put(Admitted(events, lines))

    def call(self, action: Callable[[], None]) -> None:
        """Let the worker thread run ``action`` after the lines queued so far."""
        self._inbox.put(action)

    def report(self, result: Delivery) -> None:
        """Hand in, on the worker thread, what became of events later than their batch."""
        self._results.append(result)

    def settle(self) -> None:
        """Enter into the books what the worker thread has done so far."""
        while self._results:
            result = self._results.popleft()
            self.ledger.delivered += result.delivered
            self.size_delivered += result.size
            self._booked += result.delivered
            for reason, events in result.losses:
                self._booked += len(events)
                lose(self.ledger, reason, events)

    def close(self, timeout: float) -> None:
        """Send what is queued within ``timeout`` seconds; count the rest as lost."""
        self.closing.set()
        self._inbox.put(None)
        self._thread.join(timeout)
        self.settle()
        left = self._put_events - self._booked
        if left > 0:
            self.ledger.lose("close_timeout", count=left)

    def _fitting(self, lines: Sequence[bytes], room: int) -> int:
        """Return how many of ``lines`` fit into the queue."""
        left = self._max_bytes - self.queued_bytes
        for index, line in enumerate(lines[: max(room, 0)]):
            left -= len(line)
            if left < 0:
                return index
        return max(min(room, len(lines)), 0)

    def _run(self) -> None:
        while (item := self._take()) is not None:
            if isinstance(item, Admitted):
                self._send(*self._collect(item))
            else:
                self._do(item)

    def _take(self) -> _Item:
        return self._leftover.pop() if self._leftover else self._inbox.get()

    def _collect(self, first: Admitted) -> Admitted:
        """Join what waits to one batch; keep what comes after it and is no line."""
        events, lines = list(first.events), list(first.lines)
        deadline = time.monotonic() + self._linger
        while len(lines) < self._gather:
            try:
                item = self._inbox.get(timeout=max(deadline - time.monotonic(), 0.0))
            except queue.Empty:
                break
            if not isinstance(item, Admitted):
                self._leftover.append(item)
                break
            events += item.events
            lines += item.lines
        return Admitted(events, lines)

    def _send(self, events: Sequence[Event], lines: Sequence[bytes]) -> None:
        try:
            result = self._deliver(events, lines)
        except Exception:
            log.exception("Output failed", output=self.ledger.stage)
            result = Delivery(0, 0, (("internal_error", events),))
        self._results.append(result)
        self._done_bytes += sum(map(len, lines))
        self._done_events += len(lines)

    def _do(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception:
            log.exception("Output failed", output=self.ledger.stage)
