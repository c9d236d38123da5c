"""Process cache: Records in, Events with their process, parent and ancestors out.

A process lives in the cache from its exec or clone until it ended, no child refers to it any more
and two collections passed, so that late events still find it.

Flow    decode -> [ProcessCache] -> filters -> sinks
Owns    every Process, their reference counts, and parked events; used by the reader thread alone.
        It reads no clock: ``wall_offset`` and the times of ``tick`` are given.
Bounds  ``size`` processes, an eighth of them ended ones; ``PARKED_MAX`` events that wait.
"""

from binascii import b2a_base64
from collections import OrderedDict
from collections.abc import Callable, Container, Iterable
from typing import Final

import msgspec

from tetragon.abi.records import ProcessFlag
from tetragon.model.event import Event, ExecEvent, ExitEvent
from tetragon.model.process import Key, Namespaces, Process
from tetragon.model.record import CloneRecord, ExecRecord, ExitRecord, Record
from tetragon.model.text import flag_words, signal_name

PARKED_MAX: Final = 16384
UNSET_UID: Final = 4294967295
_KERNEL_KEY: Final = (0, 1)
_CORE_DUMP: Final = 0x80
# Plain ints: looking an enum member up costs more than the test it serves.
_IN_INIT_TREE: Final = int(ProcessFlag.IN_INIT_TREE)
_EXECVE: Final = int(ProcessFlag.EXECVE)


class Options(msgspec.Struct, frozen=True):
    """
    What the cache puts into processes and events.

    Args:
        node_name: part of every exec_id.
        size: the most processes kept.
        ancestors: give exec and exit events the chain above the parent.
        credentials, namespaces: show them in events.
        retries: how many ticks of ``retry_delay`` an event waits for its process or parent.
        redact: (binary, arguments) -> arguments as shown.
        redact_environment: (binary, pairs) -> pairs as shown.
        user_name: uid -> account name or None, for processes in the host's namespaces.
    """

    node_name: str
    size: int = 65536
    ancestors: bool = False
    credentials: bool = False
    namespaces: bool = False
    retries: int = 15
    redact: Callable[[str, str], str] | None = None
    redact_environment: (
        Callable[[str, tuple[tuple[str, str], ...]], tuple[tuple[str, str], ...]] | None
    ) = None
    user_name: Callable[[int], str | None] | None = None


class Parked(msgspec.Struct):
    """An event that waits for the process ``missing``; ``record`` makes it once that came."""

    record: ExecRecord | CloneRecord | ExitRecord
    missing: Key
    tries: int = 0


class Stats(msgspec.Struct):
    """What happened in the cache; read by metrics and the ledger."""

    evictions: int = 0
    early_deletions: int = 0
    misses: int = 0
    parked: int = 0
    resolved: int = 0
    gave_up: int = 0
    parked_lost: int = 0


class ProcessCache:
    """The state machine; see the module."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.stats = Stats()
        self.wall_offset = 0
        """Unix time minus CLOCK_BOOTTIME, ns; set before each batch."""
        self._processes: dict[Key, Process] = {}
        self._ended: OrderedDict[Key, int] = OrderedDict()
        self._ended_max = max(64, options.size // 8)
        self._pass = 0
        self._scanned: dict[int, Key] = {}
        self._parked: dict[Key, list[Parked]] = {}
        self._parked_count = 0
        self._id_prefix = f"{options.node_name}:"
        self._exec_ids = options.node_name.isascii()
        # The whole dispatch: a new record adds its line here.
        self._handlers: Final[dict[type, Callable[..., Event | None]]] = {
            ExecRecord: self._exec,
            ExitRecord: self._exit,
            CloneRecord: self._clone,
        }

    def __len__(self) -> int:
        return len(self._processes)

    def handle(self, record: Record, events: list[Event]) -> None:
        """Take one record; append the events it makes, or frees, to ``events``."""
        event = self._handlers[record.__class__](record)
        if event is not None:
            events.append(event)
        if self._parked and not isinstance(record, ExitRecord):
            self._unpark(record.key, events)

    def find(self, key: Key) -> Process | None:
        """Return a process by its key, or None."""
        return self._processes.get(key)

    def processes(self) -> Iterable[Process]:
        """Return all processes kept, ended ones included."""
        return list(self._processes.values())

    def is_ended(self, process: Process) -> bool:
        """Return whether nothing refers to a process any more and it only awaits collection."""
        return (process.pid, process.ktime) in self._ended

    @property
    def waiting(self) -> int:
        """How many events wait for their process or parent."""
        return self._parked_count

    def exec_id(self, pid: int, ktime: int) -> str:
        """Return the id of an exec: base64 of ``node:ktime:pid``."""
        return b2a_base64(f"{self._id_prefix}{ktime}:{pid}".encode(), newline=False).decode()

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
            parent = self._processes.get(process.parent_key) if process.parent_key else None
            self._insert(process, parent)
            self._scanned[process.pid] = (process.pid, process.ktime)
            if process.pid not in silent:
                event = ExecEvent(time=process.start_time, process=process, parent=parent)
                event.ancestors = self._ancestors(parent, process.pid)
                events.append(event)
        return events

    def tick(self, events: list[Event]) -> None:
        """Retry parked events once; those out of tries are appended incomplete."""
        for missing in list(self._parked):
            waiting = self._parked.get(missing, ())  # may have been freed by the one before
            for parked in waiting:
                parked.tries += 1
            if waiting and waiting[0].tries >= self.options.retries:
                self._give_up(missing, events)

    def flush(self, events: list[Event]) -> None:
        """Append all parked events with what is known: nothing more will come."""
        for missing in list(self._parked):
            if missing in self._parked:
                self._give_up(missing, events)

    def collect(self) -> None:
        """Remove processes that ended before the last collection; call it every gc interval."""
        self._pass += 1
        for key, ended_in in list(self._ended.items()):
            if ended_in > self._pass - 2:
                break
            self._forget(key)

    # -- records ---------------------------------------------------------------------------------

    def _exec(self, record: ExecRecord) -> Event | None:
        options = self.options
        pid, ktime = key = record.key
        parent = self._processes.get(record.parent)
        if parent is None:
            parent = self._find_by_pid(record.parent)
            if parent is None and record.parent[1] and record.parent[0]:
                # The process is known from now on; its event waits for the parent.
                return self._park(record, record.parent)
        process = Process(
            pid,
            ktime,
            self.exec_id(pid, ktime),
            parent.exec_id if parent is not None else self._parent_id(record.parent),
            record.parent,
            pid,
            record.nspid,
            record.uid,
            record.auid,
            record.cwd,
            record.binary,
            record.arguments,
            flag_words(record.flags),
            ktime + self.wall_offset,
            record.docker,
            record.flags & _IN_INIT_TREE != 0,
        )
        if options.redact is not None:
            process.arguments = options.redact(process.binary, process.arguments)
        if record.environment:
            process.environment = self._environment(record)
        if record.namespaces is not None or record.credentials is not None:
            self._add_context(process, record)
        self._insert(process, parent)
        if record.cleanup is not None:
            self._end(record.cleanup)
        event = ExecEvent(
            time=process.start_time,
            process=process,
            parent=parent,
            binary_properties=record.properties if options.credentials else None,
        )
        if options.ancestors:
            event.ancestors = self._ancestors(parent, pid)
        return event

    def _exit(self, record: ExitRecord) -> Event | None:
        process = self._processes.get(record.key)
        if process is None:
            if record.announced:
                return self._park(record, record.key)
            return self._exit_unannounced(record)
        parent = self._processes.get(process.parent_key) if process.parent_key else None
        event = self._exit_event(record, process, parent)
        self._end(record.key)
        return event

    def _exit_unannounced(self, record: ExitRecord) -> Event | None:
        """Nobody referred to this process: it needs no place in the cache, only its event."""
        parent = self._processes.get(record.parent) or self._find_by_pid(record.parent)
        if parent is None:
            return self._park(record, record.parent)
        process = self._cloned(record.key, record.flags, record.nspid, parent)
        return self._exit_event(record, process, parent)

    def _clone(self, record: CloneRecord) -> Event | None:
        parent = self._processes.get(record.parent) or self._find_by_pid(record.parent)
        if parent is None:
            return self._park(record, record.parent)
        self._insert(self._cloned(record.key, record.flags, record.nspid, parent), parent)
        return None

    def _exit_event(self, record: ExitRecord, process: Process, parent: Process | None) -> Event:
        code = record.code & 0xFF
        if code & _CORE_DUMP:
            code &= 0x7F
        event = ExitEvent(
            time=record.ktime + self.wall_offset,
            process=process,
            parent=parent,
            signal=signal_name(code) if code else "",
            status=record.code >> 8 & 0xFF,
        )
        if self.options.ancestors:
            event.ancestors = self._ancestors(parent, process.pid)
        return event

    def _cloned(self, key: Key, flags: int, nspid: int, parent: Process) -> Process:
        """Return a process that runs its parent's image."""
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

    def _environment(self, record: ExecRecord) -> tuple[tuple[str, str], ...]:
        redact = self.options.redact_environment
        return redact(record.binary, record.environment) if redact else record.environment

    def _add_context(self, process: Process, record: ExecRecord) -> None:
        options, namespaces = self.options, record.namespaces
        if options.namespaces:
            process.ns = namespaces
        if options.credentials:
            process.credentials = record.credentials
            process.cap = record.capabilities
        if options.user_name is not None and namespaces is not None and in_host(namespaces):
            process.user = options.user_name(process.uid)

    # -- references ------------------------------------------------------------------------------

    def _insert(self, process: Process, parent: Process | None) -> None:
        """Add a process with one reference of its own, and one to each above it that counts."""
        process.refcnt = 1
        self._processes[process.pid, process.ktime] = process
        if parent is not None:
            if not parent.refcnt:
                self._ended.pop((parent.pid, parent.ktime), None)
            parent.refcnt += 1
            if self.options.ancestors:
                for above in self._ancestors(parent, process.pid):
                    above.refcnt += 1
        if len(self._processes) > self.options.size:
            self._evict()

    def _end(self, key: Key) -> None:
        """Drop a process's own reference and those it holds; ended ones await collection."""
        process = self._processes.get(key)
        if process is None:
            self.stats.misses += 1
            return
        parent = self._processes.get(process.parent_key) if process.parent_key else None
        if parent is not None:
            if self.options.ancestors:
                for above in self._ancestors(parent, process.pid):
                    self._drop(above)
            self._drop(parent)
        self._drop(process)

    def _drop(self, process: Process) -> None:
        if process.refcnt == 0:
            self.stats.early_deletions += 1
            return
        process.refcnt -= 1
        if process.refcnt:
            return
        self._ended[process.pid, process.ktime] = self._pass
        if len(self._ended) > self._ended_max:
            self._forget(next(iter(self._ended)))

    def _forget(self, key: Key) -> None:
        del self._ended[key]
        self._processes.pop(key, None)
        if self._scanned.get(key[0]) == key:
            del self._scanned[key[0]]

    def _evict(self) -> None:
        """Make room: an ended process if there is one, else the oldest without children."""
        if self._ended:
            self._forget(next(iter(self._ended)))
            return
        # Many at once: walking to the oldest entries costs the same for one.
        wanted = max(1, self.options.size // 64)
        for key, process in list(self._processes.items()):
            if process.refcnt <= 1:
                self._evict_one(key, process)
                wanted -= 1
                if not wanted:
                    return

    def _evict_one(self, key: Key, process: Process) -> None:
        del self._processes[key]
        self.stats.evictions += 1
        parent = self._processes.get(process.parent_key) if process.parent_key else None
        if parent is not None:
            self._drop(parent)

    def _ancestors(self, parent: Process | None, pid: int) -> tuple[Process, ...]:
        """Return who is above the parent, nearest first, down to pid 1 or 2."""
        if not self.options.ancestors or pid <= 2:
            return ()
        chain: list[Process] = []
        below = parent
        while below is not None and below.pid > 2 and below.parent_key:
            below = self._processes.get(below.parent_key)
            if below is None or below.pid == 0:
                break
            chain.append(below)
        return tuple(chain)

    def _find_by_pid(self, key: Key) -> Process | None:
        """Find a parent the kernel half knows by pid alone: one that ran before the agent."""
        if key[1]:
            return None
        known = _KERNEL_KEY if key[0] == 0 else self._scanned.get(key[0])
        return self._processes.get(known) if known else None

    def _parent_id(self, key: Key) -> str:
        return self.exec_id(*key) if key[1] else ""

    # -- parked events ---------------------------------------------------------------------------

    def _park(self, record: ExecRecord | CloneRecord | ExitRecord, missing: Key) -> None:
        if self._parked_count >= PARKED_MAX:
            self.stats.parked_lost += 1
            return
        self._parked.setdefault(missing, []).append(Parked(record, missing))
        self._parked_count += 1
        self.stats.parked += 1

    def _unpark(self, arrived: Key, events: list[Event]) -> None:
        if arrived not in self._processes:
            return
        freed = self._parked.pop(arrived, ())
        self._parked_count -= len(freed)
        for parked in freed:
            self.stats.resolved += 1
            self.handle(parked.record, events)

    def _give_up(self, missing: Key, events: list[Event]) -> None:
        """Deliver what waited for a process that never came, with what is known."""
        freed = self._parked.pop(missing)
        self._parked_count -= len(freed)
        for parked in freed:
            self.stats.gave_up += 1
            record = parked.record
            if isinstance(record, ExitRecord):
                events.append(self._exit_event(record, self._unknown(record.key), None))
            else:
                record.parent = (record.parent[0], 0)
                self._deliver_orphan(record, events)

    def _deliver_orphan(self, record: ExecRecord | CloneRecord, events: list[Event]) -> None:
        if isinstance(record, CloneRecord):
            self._insert(self._unknown(record.key), None)
        else:
            event = self._exec(record)
            if event is not None:
                events.append(event)
        self._unpark(record.key, events)

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


def in_host(namespaces: Namespaces) -> bool:
    """Return whether account names of the host apply: mount and user namespace are the host's."""
    return namespaces.mnt.is_host and namespaces.user.is_host
