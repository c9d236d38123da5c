"""Process cache: Records in, Events with their process, parent and ancestors out.

An event whose process or parent is not known is parked: it waits for it, behind those that wait
already, and is delivered without it after ``retries`` ticks. The process of a parked exec is kept
like any other; only its parent is missing.

Flow    decode -> [ProcessCache] -> filters -> sinks
Owns    the processes (store.py) and parked events; used by the reader thread alone, but for
        ``snapshot`` and ``stats``. It reads no clock: ``wall_offset`` is given.
Bounds  those of the store; PARKED_MAX events that wait, the oldest are given up first.
"""

from collections.abc import Callable, Container, Iterable, Mapping
from typing import Final

import msgspec

from tetragon.abi.records import ProcessFlag
from tetragon.model.event import Event, ExecEvent, ExitEvent
from tetragon.model.process import Key, Namespaces, Process
from tetragon.model.record import CloneRecord, ExecRecord, ExitRecord, Record
from tetragon.model.text import exec_id, flag_words, signal_name
from tetragon.process.options import Environment, Options, Stats
from tetragon.process.parked import PARENT, PROCESS, Parked, ParkedEvents
from tetragon.process.store import Store

PARKED_MAX: Final = 16384
_KERNEL_KEY: Final = (0, 1)
_CORE_DUMP: Final = 0x80
# Plain ints: looking an enum's member up costs more than the test it serves.
_IN_INIT_TREE: Final = int(ProcessFlag.IN_INIT_TREE)
_EXECVE: Final = int(ProcessFlag.EXECVE)
_MISS: Final = int(ProcessFlag.MISS)


class ProcessCache(Store):
    """The state machine; see the module."""

    def __init__(self, options: Options) -> None:
        super().__init__(options.size, options.ancestors)
        self.options = options
        self.wall_offset = 0
        """Unix time minus CLOCK_BOOTTIME, ns; set before each batch."""
        self._node_name = options.node_name
        self._redacts = options.redact is not None
        self._scanned: dict[int, Key] = {}
        self._parked = ParkedEvents()
        self._orphans: dict[Key, Key] = {}
        # The whole dispatch: a new record adds its line here.
        self._handlers: Final[Mapping[type, Callable[..., None]]] = (
            {ExecRecord: self._exec, ExitRecord: self._exit, CloneRecord: self._clone}
            if options.keep
            else {ExecRecord: self._lone_exec, ExitRecord: self._lone_exit, CloneRecord: _nothing}
        )

    def handle(self, records: Iterable[Record], events: list[Event]) -> None:
        """Take records in their order; append the events they make, or free, to ``events``."""
        handlers, parked = self._handlers, self._parked.groups
        for record in records:
            handlers[record.__class__](record, events)
            if parked:
                self._unpark(record.key, events)

    @property
    def waiting(self) -> int:
        """How many events wait for their process or parent."""
        return len(self._parked)

    def exec_id(self, pid: int, ktime: int) -> str:
        """Return the id of an exec on this node."""
        return exec_id(self._node_name, ktime, pid)

    def stats(self) -> Stats:
        """Return the counters; on any thread."""
        return msgspec.structs.replace(
            self._counts,
            size=len(self._processes),
            ended=len(self._ended),
            deletions=self._deletions,
            waiting=len(self._parked),
            long_texts=self._long_total,
            retries=self._counts.retries.copy(),
            gave_up=self._counts.gave_up.copy(),
        )

    def seed(self, processes: Iterable[Process], silent: Container[int] = ()) -> list[Event]:
        """
        Take the processes found running at start, parents before children.

        Args:
            processes: complete; ``parent_key`` names who is above.
            silent: pids to know without an event: kernel threads.

        Returns:
            An exec event for each of the others, in the order given.
        """
        events: list[Event] = []
        for process in processes:
            parent = self._parent(process)
            if self.options.keep:
                key = (process.pid, process.ktime)
                self._scanned[process.pid] = key
                self._insert(key, process, parent)
                if key == _KERNEL_KEY:  # its own parent, but it does not keep itself
                    parent = process
            if process.pid not in silent:
                event = ExecEvent(time=process.start_time, process=process, parent=parent)
                event.ancestors = self._ancestors(process.pid, parent)
                events.append(event)
        return events

    def tick(self, events: list[Event]) -> None:
        """Count a try for all parked events; append those out of tries incomplete."""
        for missing in self._parked.count_try(self._counts.retries, self.options.retries):
            self._give_up(missing, events)

    def flush(self, events: list[Event]) -> None:
        """Append all parked events with what is known: nothing more will come."""
        while self._parked:
            self._give_up(self._parked.oldest(), events)

    # -- records ---------------------------------------------------------------------------------

    def _exec(self, record: ExecRecord, events: list[Event]) -> None:
        process = record.process
        key = pid, ktime = record.key
        process.exec_id = exec_id(self._node_name, ktime, pid)
        process.start_time = start_time = ktime + self.wall_offset
        above = process.parent_key
        assert above is not None
        parent = self._processes.get(above)
        if parent is None:
            parent = self._without_parent(process, above)
        else:
            process.parent_exec_id = parent.exec_id
        if self._redacts or process.ns or process.credentials or process.environment:
            self._fit_to_options(process)
        self._insert(key, process, parent)
        if record.cleanup is not None:
            self._clean_up(record.cleanup)
        event = ExecEvent(time=start_time, process=process, parent=parent)
        if record.properties is not None and self.options.credentials:
            event.binary_properties = record.properties
        if self._ancestors_on:
            event.ancestors = self._ancestors(pid, parent)
        if parent is None and above[1]:
            self._orphans[key] = above
            self._park(Parked(event, PARENT), above, events)
        else:
            events.append(event)

    def _without_parent(self, process: Process, key: Key) -> Process | None:
        """Find a parent the kernel half knows by pid alone; else leave only its id."""
        parent = self._find_by_pid(key)
        if parent is not None:
            process.parent_key = (parent.pid, parent.ktime)
            process.parent_exec_id = parent.exec_id
        elif key[1]:
            process.parent_exec_id = self.exec_id(*key)
        return parent

    def _exit(self, record: ExitRecord, events: list[Event]) -> None:
        key = record.key
        process = self._processes.get(key)
        if process is None:
            self._exit_unknown(record, events)
            return
        if self._orphans and key in self._orphans:
            self._park(Parked(record, PARENT), self._orphans[key], events)
            return
        above = process.parent_key
        parent = self._processes.get(above) if above is not None else None
        events.append(self._exit_event(record, process, parent))
        self._end(process, parent)

    def _exit_unknown(self, record: ExitRecord, events: list[Event]) -> None:
        """Nobody referred to an unannounced process: it needs no place here, only its event."""
        if record.announced:
            self._counts.misses_get += 1
            self._park(Parked(record, PROCESS), record.key, events)
            return
        above = record.parent
        parent = self._processes.get(above) or self._find_by_pid(above)
        if parent is None and above[1]:
            self._park(Parked(record, PARENT), above, events)
            return
        process = self._cloned(record.key, record.flags, record.nspid, parent)
        events.append(self._exit_event(record, process, parent))

    def _clone(self, record: CloneRecord, events: list[Event]) -> None:
        key, above = record.key, record.parent
        if key in self._processes:
            return
        parent = self._processes.get(above) or self._find_by_pid(above)
        if parent is None and above[1]:
            self._park(Parked(record, PARENT), above, events)
        else:
            self._insert(key, self._cloned(key, record.flags, record.nspid, parent), parent)

    def _lone_exec(self, record: ExecRecord, events: list[Event]) -> None:
        process = record.process
        process.exec_id = self.exec_id(*record.key)
        process.start_time = record.key[1] + self.wall_offset
        if process.parent_key is not None:
            self._without_parent(process, process.parent_key)
        self._fit_to_options(process)
        event = ExecEvent(time=process.start_time, process=process)
        if self.options.credentials:
            event.binary_properties = record.properties
        events.append(event)

    def _lone_exit(self, record: ExitRecord, events: list[Event]) -> None:
        events.append(self._exit_event(record, self._unknown(record.key), None))

    def _exit_event(
        self, record: ExitRecord, process: Process, parent: Process | None
    ) -> ExitEvent:
        event = ExitEvent(time=record.ktime + self.wall_offset, process=process, parent=parent)
        code = record.code
        if code:
            event.signal = signal_name(code & 0xFF & ~_CORE_DUMP)
            event.status = code >> 8 & 0xFF
        if self._ancestors_on:
            event.ancestors = self._ancestors(process.pid, parent)
        return event

    def _cloned(self, key: Key, flags: int, nspid: int, parent: Process | None) -> Process:
        """Return a process that runs its parent's image; a stand-in when that is not known."""
        if parent is None:
            return self._unknown(key)
        if not parent.complete or flags & _MISS:  # _MISS: it execed, but that record was lost
            process = self._unknown(key)
            process.parent_key = (parent.pid, parent.ktime)
            return process
        return Process(
            key[0],
            key[1],
            self.exec_id(*key),
            parent.exec_id,
            (parent.pid, parent.ktime),
            key[0],
            nspid,
            parent.uid,
            parent.auid,
            parent.cwd,
            parent.binary,
            parent.arguments,
            flag_words(_EXECVE | flags & _IN_INIT_TREE),
            key[1] + self.wall_offset,
            parent.docker,
            flags & _IN_INIT_TREE != 0,
            shown_refcnt=1,
            pod=parent.pod,
            cap=parent.cap,
            ns=parent.ns,
            credentials=parent.credentials,
            user=parent.user,
        )

    def _unknown(self, key: Key) -> Process:
        """Return a stand-in of which only pid and start are known."""
        return Process(
            key[0],
            key[1],
            self.exec_id(*key),
            flags="unknown",
            start_time=key[1] + self.wall_offset,
            complete=False,
        )

    def _find_by_pid(self, key: Key) -> Process | None:
        """Find a parent the kernel half knows by pid alone: one that ran before the agent."""
        if key[1]:
            return None
        known = _KERNEL_KEY if key[0] == 0 else self._scanned.get(key[0])
        return self._processes.get(known) if known else None

    def _clean_up(self, key: Key) -> None:
        """End what ran before in a pid that runs a new image now."""
        process = self._processes.get(key)
        if process is None:
            self._counts.misses_remove += 1
        else:
            self._end(process, self._parent(process))

    # -- what the options ask for ----------------------------------------------------------------

    def _fit_to_options(self, process: Process) -> None:
        """Take out of a process what is not to be seen, and add the account's name."""
        options, namespaces = self.options, process.ns
        if process.environment:
            process.environment = self._environment(process)
        if options.redact is not None:
            process.arguments = options.redact(process.binary, process.arguments)
        if not options.namespaces:
            process.ns = None
        if not options.credentials:
            process.credentials = process.cap = None
        if options.user_name is not None and namespaces is not None and in_host(namespaces):
            process.user = options.user_name(process.uid)

    def _environment(self, process: Process) -> Environment:
        options, shown = self.options, process.environment
        if options.environment_names:
            shown = tuple(pair for pair in shown if pair[0] in options.environment_names)
        redact = options.redact_environment
        return redact(process.binary, shown) if redact is not None else shown

    # -- parked events ---------------------------------------------------------------------------

    def _park(self, parked: Parked, missing: Key, events: list[Event]) -> None:
        if len(self._parked) >= PARKED_MAX:
            self._give_up(self._parked.oldest(), events)
        self._parked.add(missing, parked)
        self._counts.parked += 1

    def _unpark(self, arrived: Key, events: list[Event]) -> None:
        """Go on with what waited for a process, and with what waited for those, and so on."""
        ready = [arrived]
        for key in ready:
            process = self._processes.get(key)
            if process is None:
                continue
            for parked in self._parked.take(key):
                self._counts.resolved += 1
                what = parked.what
                if isinstance(what, ExecEvent):
                    self._attach(what, process)
                    events.append(what)
                else:
                    self._handlers[what.__class__](what, events)
                    ready.append(what.key)

    def _attach(self, event: ExecEvent, parent: Process) -> None:
        """Give an exec event the parent it waited for."""
        process = self._adopted(event)
        event.parent = parent
        event.ancestors = self._ancestors(process.pid, parent)
        # Descendants count on the chain above them as it was when they came: it must not grow.
        if process.alive and not (self._ancestors_on and process.refcnt > 1):
            process.parent_key = (parent.pid, parent.ktime)
            self._refer((parent, *event.ancestors))

    def _adopted(self, event: ExecEvent) -> Process:
        """Return the process of an exec event that does not wait any longer."""
        process = event.process
        assert process is not None
        self._orphans.pop((process.pid, process.ktime), None)
        return process

    def _give_up(self, missing: Key, events: list[Event]) -> None:
        """Deliver what waited for a process that never came, with what is known."""
        gave_up = self._counts.gave_up
        for parked in self._parked.take(missing):
            gave_up[parked.kind] = gave_up.get(parked.kind, 0) + 1
            what = parked.what
            if isinstance(what, ExecEvent):
                self._adopted(what)
                events.append(what)
            elif isinstance(what, CloneRecord):
                self._insert(what.key, self._unknown(what.key), None)
                self._unpark(what.key, events)
            elif what.key in self._processes:  # it waited only to stay behind its exec
                self._exit(what, events)
            else:
                events.append(self._exit_event(what, self._unknown(what.key), None))


def _nothing(_record: Record, _events: list[Event]) -> None:
    """Take no notice of a record."""


def in_host(namespaces: Namespaces) -> bool:
    """Return whether account names of the host apply: mount and user namespace are the host's."""
    return namespaces.mnt.is_host and namespaces.user.is_host
