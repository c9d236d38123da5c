"""Front: a batch of events in, the encoded lines that one output is to send out.

Flow    pipeline -> [filter -> aggregate -> rate limit -> encode -> field filter] -> output
Owns    its stages and the books (ledger) of the output; used by the thread that feeds it.

A stage that is not configured is skipped, and an event is encoded only after every stage that
can drop it. Field filters therefore work on the finished line; what they leave is what is sent.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple, Protocol, runtime_checkable

from tetragon.export.aggregate import Aggregator, Counted, stamp_json
from tetragon.export.limit import RateLimiter
from tetragon.log import get_log
from tetragon.model.event import TYPES, Event, RateLimitInfo
from tetragon.model.ledger import Ledger

log = get_log(__name__)

Accept = Callable[[Event], bool]
"""A compiled allow and deny list: whether the event goes out."""


@runtime_checkable
class Selector(Protocol):
    """Compiled filters that take a whole batch, such as ``event.filter.Predicate``."""

    def select(self, batch: Iterable[Event]) -> list[Event]:
        """Return the events that go out, in their order."""
        ...


Encode = Callable[[Event], bytes]
"""Event to its JSON line, newline included."""

Fields = Callable[[Event, bytes], bytes]
"""Compiled field filters: an event and its line in, the line that is left out."""


class Admitted(NamedTuple):
    """Events and their lines, pairwise and in order."""

    events: Sequence[Event]
    lines: Sequence[bytes]


NOTHING: Final = Admitted((), ())


def lose(ledger: Ledger, reason: str, events: Iterable[Event]) -> None:
    """Count ``events`` as lost for ``reason``, by their kind and policy."""
    kinds = Counter((event.__class__, getattr(event, "policy_name", "")) for event in events)
    for (kind, policy), count in kinds.items():
        ledger.lose(reason, TYPES[kind].name, policy, count)


class Front:
    """
    What every output does before it sends; each output has its own.

    Args:
        ledger: the output's books; its stage is the output's name.
        encode: event to line; keeps the line on the event, so that outputs share the work.
        accept: compiled filters, None to take every event.
        fields: compiled field filters, None to send events whole.
        aggregate: merges equal events, None to send each.
        limit: rate limit, None for none.
        clock: steady ns, read once a batch and only for ``aggregate`` and ``limit``.
    """

    def __init__(
        self,
        ledger: Ledger,
        encode: Encode,
        *,
        accept: Accept | Selector | None = None,
        fields: Fields | None = None,
        aggregate: Aggregator | None = None,
        limit: RateLimiter | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.ledger = ledger
        self.last_event_time = 0
        self.rate_limited = 0
        self._encode = encode
        self._select = _selecting(accept) if accept is not None else None
        self._fields = fields
        self._aggregate = aggregate
        self._limit = limit
        self._clock = clock
        self._complained = False

    @property
    def held(self) -> int:
        """How many events wait for their equals: neither delivered nor lost yet."""
        return len(self._aggregate) if self._aggregate is not None else 0

    def admit(self, batch: Sequence[Event]) -> Admitted:
        """Take a batch; return what goes out now."""
        self.ledger.produced += len(batch)
        events: Sequence[Event] = batch
        if self._select is not None:
            events = self._select(batch)
            self.ledger.filtered += len(batch) - len(events)
        if self._aggregate is not None:
            merged = self._aggregate.merged
            events = self._aggregate.add(events, self._clock())
            self.ledger.merged += self._aggregate.merged - merged
        return self._lines(self._within_limit(events)) if events else NOTHING

    def tick(self, now: int) -> Admitted:
        """Return what is due: merged events whose window is over, and the rate limit's report."""
        parts: list[Admitted] = []
        if self._aggregate is not None:
            parts.append(self._counted_lines(self._aggregate.due(self._clock())))
        if self._limit is not None and (dropped := self._limit.report(self._clock())):
            self.ledger.produced += 1
            parts.append(self._lines([RateLimitInfo(time=now, dropped=dropped)]))
        return _joined(parts)

    def drain(self) -> Admitted:
        """Return everything that still waits, for an output about to close."""
        if self._aggregate is None:
            return NOTHING
        return self._counted_lines(self._aggregate.flush())

    def _within_limit(self, events: Sequence[Event]) -> Sequence[Event]:
        if self._limit is None:
            return events
        granted = self._limit.take(len(events), self._clock())
        if granted == len(events):
            return events
        self.rate_limited += len(events) - granted
        lose(self.ledger, "rate_limit", events[granted:])
        return events[:granted]

    def _counted_lines(self, counted: Sequence[Counted]) -> Admitted:
        counts = {id(event): count for event, count in counted}
        events, lines = self._lines(self._within_limit([event for event, _ in counted]))
        pairs = zip(lines, (counts[id(event)] for event in events), strict=True)
        return Admitted(events, [stamp_json(*pair) if pair[1] > 1 else pair[0] for pair in pairs])

    def _lines(self, events: Sequence[Event]) -> Admitted:
        if not events:
            return NOTHING
        try:
            lines = list(map(self._encode, events))
            if self._fields is not None:
                lines = list(map(self._fields, events, lines))
        except Exception:  # noqa: BLE001 - told and counted where each is tried alone
            return self._lines_one_by_one(events)
        self.last_event_time = events[-1].time
        return Admitted(events, lines)

    def _lines_one_by_one(self, events: Sequence[Event]) -> Admitted:
        """Leave out and count the events that fail; a bad one must not take others with it."""
        good: list[Event] = []
        lines: list[bytes] = []
        for event in events:
            try:
                line = self._encode(event)
                lines.append(line if self._fields is None else self._fields(event, line))
                good.append(event)
            except Exception:
                lose(self.ledger, "encode_error", (event,))
                if not self._complained:
                    self._complained = True
                    log.exception("Failed to encode an event", output=self.ledger.stage)
        return Admitted(good, lines)


def _selecting(accept: Accept | Selector) -> Callable[[Iterable[Event]], list[Event]]:
    if isinstance(accept, Selector):
        return accept.select
    return lambda batch: [event for event in batch if accept(event)]


def _joined(parts: Sequence[Admitted]) -> Admitted:
    parts = [part for part in parts if part.lines]
    if len(parts) < 2:
        return parts[0] if parts else NOTHING
    return Admitted(
        [event for part in parts for event in part.events],
        [line for part in parts for line in part.lines],
    )
