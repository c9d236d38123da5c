"""Pipeline: the visible list of what happens to a batch of records, from the ring to the sinks.

Flow    Reader -> [decode -> process cache -> own events out -> number -> sinks]
Owns    the lifecycle ledger and the event numbers; used by the reader thread alone.
"""

from collections.abc import Callable, Sequence

from tetragon.abi.records import EventOp
from tetragon.event.decode import Decoder
from tetragon.model.event import Event
from tetragon.model.ledger import Ledger
from tetragon.model.record import Record
from tetragon.model.sink import Sink
from tetragon.process.cache import ProcessCache

_OP_NAMES = {-1: "none"} | {int(op): op.name.lower() for op in EventOp}


class Pipeline:
    """
    Runs batches through the stages.

    Args:
        sinks: where events go, in this order; may grow and shrink while running.
        own_pid: this process, whose events are left out; 0 shows them.
        complain: told once of each new kind of undecodable record.
    """

    def __init__(
        self,
        decoder: Decoder,
        cache: ProcessCache,
        sinks: Sequence[Sink],
        own_pid: int,
        complain: Callable[[str], None],
    ) -> None:
        self.decoder = decoder
        self.cache = cache
        self.sinks = sinks
        self.ledger = Ledger("records")
        self.sequence = 0
        self._own_pid = own_pid or -1  # 0 is the kernel
        self._complain = complain
        self._complained: set[str] = set()
        self._data_lost = 0

    def run(self, data: bytes, table: Sequence[int], wall_offset: int) -> int:
        """
        Take one drained batch.

        Args:
            data, table: as Ring.drain gives them.
            wall_offset: Unix time minus CLOCK_BOOTTIME, ns, now.

        Returns:
            How many events it made.
        """
        self.ledger.produced += len(table) // 2
        records: list[Record] = []
        for op, reason in self.decoder.decode_batch(data, table, records):
            self._undecodable(op, reason)
        events: list[Event] = []
        self.cache.wall_offset = wall_offset
        self.cache.handle(records, events)
        if self.decoder.data_lost != self._data_lost:
            self._count_lost_data()
        self.ledger.delivered = self.ledger.produced - self.ledger.lost_total
        self.deliver(events)
        return len(events)

    def tick(self) -> None:
        """Retry events that wait for their process, and deliver those out of tries."""
        events: list[Event] = []
        self.cache.tick(events)
        self.deliver(events)

    def deliver(self, events: list[Event]) -> None:
        """Hand events to every sink, without this process's own, numbered in order."""
        own, number = self._own_pid, self.sequence
        shown: list[Event] = []
        for event in events:
            process = event.process
            if process is None or process.pid != own:
                number += 1
                event.sequence = number
                shown.append(event)
        if shown:
            self.sequence = number
            for sink in self.sinks:
                sink.write(shown)
        self.cache.release_texts()

    def _count_lost_data(self) -> None:
        lost = self.decoder.data_lost
        self.ledger.lose("exec_never_came", "data", count=lost - self._data_lost)
        self._data_lost = lost

    def _undecodable(self, op: int, reason: str) -> None:
        name = _OP_NAMES.get(op, str(op))
        self.ledger.lose("decode_error", name)
        if name not in self._complained:
            self._complained.add(name)
            self._complain(reason)
