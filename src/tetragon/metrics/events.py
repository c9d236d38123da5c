"""EventCounter: batches of events in, counts by type, binary and pod out when somebody asks.

Flow    pipeline -> [EventCounter.write] ... scrape: series, flags, without_process
Owns    its counts; the reader thread writes, any thread may read.
Bounds  SERIES label sets with TEXTS characters in all. An event that would begin one more is
        counted under the label value ``<other>``, so that the sums stay right.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from tetragon.model.event import TYPES, Event, ExecEvent, RateLimitInfo, ThrottleEvent
from tetragon.model.ledger import Ledger
from tetragon.model.process import Process

SERIES: Final = 4096
TEXTS: Final = 1 << 20
OTHER: Final = "<other>"
_FLAG_SETS: Final = 256
_NO_PROCESS: Final = (ThrottleEvent, RateLimitInfo)


class Labels(NamedTuple):
    """Label values of one series of events; what is off or does not apply is empty."""

    type: str
    namespace: str = ""
    workload: str = ""
    pod: str = ""
    binary: str = ""
    node_name: str = ""


_Key = tuple[type[Event], str, str, str, str]
"""Kind, namespace, workload, pod, binary."""


class EventCounter:
    """
    A sink that only counts.

    Args:
        labels: which labels are filled in, beside the type; None counts no events, only flags.
        node_name: value of that label.
        limit: most label sets.
    """

    def __init__(
        self, labels: Collection[str] | None, node_name: str = "", limit: int = SERIES
    ) -> None:
        self.ledger = Ledger("metrics")
        self.without_process = 0
        """Events of a process of which nothing is known."""
        self._labels = labels
        self._node_name = node_name
        self._room, self._room_texts = limit, TEXTS
        # Events of no pod by kind and binary, which is quicker; all others by their whole key.
        self._host: dict[type[Event], dict[str, int]] = {kind: {} for kind in TYPES}
        self._rest: dict[_Key, int] = {}
        # Exec events by all their flags, and by each flag where there were too many sets of them.
        self._flags: tuple[Counter[str], Counter[str]] = (Counter(), Counter())

    def write(self, batch: Sequence[Event]) -> None:
        """Count a batch."""
        self.ledger.produced += len(batch)
        self._count_flags(batch)
        if self._labels is not None:
            self._count_all(batch)
        self.ledger.delivered += len(batch)

    def tick(self, now: int) -> None:
        """Do nothing: counts are read when asked for."""

    def close(self, timeout: float) -> None:
        """Do nothing: nothing waits."""

    def series(self) -> dict[Labels, int]:
        """Return how many events there were of each label set; on any thread."""
        found: dict[_Key, int] = {
            (kind, "", "", "", binary): count
            for kind, counts in self._host.items()
            for binary, count in counts.copy().items()
        }
        series: Counter[Labels] = Counter()
        for (kind, *values), count in (*found.items(), *self._rest.copy().items()):
            series[self._shown(TYPES[kind].name, *values, self._node_name)] += count
        return series

    def flags(self) -> dict[str, int]:
        """Return how many exec events had each flag; on any thread."""
        sets, words = self._flags
        return _by_word(sets.copy(), words)

    def _shown(self, kind: str, *values: str) -> Labels:
        on = self._labels or ()
        shown = (v if name in on else "" for name, v in zip(_NAMES, values, strict=True))
        return Labels(kind, *shown)

    def _count_flags(self, batch: Sequence[Event]) -> None:
        sets, words = self._flags
        sets.update(
            [
                event.process.flags  # type: ignore[union-attr]  # an exec has its process
                for event in batch
                if event.__class__ is ExecEvent
            ]
        )
        if len(sets) > _FLAG_SETS:
            self._flags = (Counter(), _by_word(sets, words))

    def _count_all(self, batch: Sequence[Event]) -> None:
        host, rest = self._host, self._rest
        for event in batch:
            process = event.process
            try:
                pod = process.pod  # type: ignore[union-attr]  # of None: AttributeError
                binary = process.binary  # type: ignore[union-attr]
                if pod is None:
                    host[event.__class__][binary] += 1
                else:
                    rest[event.__class__, pod.namespace, pod.workload, pod.name, binary] += 1
            except (AttributeError, KeyError):
                self._count_rare(event, process)

    def _count_rare(self, event: Event, process: Process | None) -> None:
        """Count an event of no known process, or one that begins a label set."""
        kind = event.__class__
        if process is None or not process.complete:
            self.without_process += kind not in _NO_PROCESS
        pod = process.pod if process is not None else None
        binary = process.binary if process is not None else ""
        key = (kind, "", "", "", binary)
        if pod is not None:
            key = (kind, pod.namespace, pod.workload, pod.name, binary)
        if key in self._rest:
            self._rest[key] += 1
        elif not self._has_room(sum(map(len, key[1:]))):
            other = "" if pod is None else OTHER
            key = (kind, other, other, other, OTHER)
            self._rest[key] = self._rest.get(key, 0) + 1
        elif pod is None and binary:
            self._host[kind][binary] = 1
        else:
            self._rest[key] = 1

    def _has_room(self, size: int) -> bool:
        """Take the room of one more label set, if there is any."""
        if self._room <= 0 or self._room_texts < size:
            return False
        self._room -= 1
        self._room_texts -= size
        return True


_NAMES: Final = Labels._fields[1:]


def _by_word(sets: Counter[str], words: Counter[str]) -> Counter[str]:
    """Return ``words`` with the flags of ``sets`` added."""
    result = words.copy()
    for flags, count in sets.items():
        for word in flags.split():
            result[word] += count
    return result
