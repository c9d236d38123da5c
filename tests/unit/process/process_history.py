"""A host in miniature: forks, execs and exits in, the records the kernel half would send out."""

from collections.abc import Iterable
from dataclasses import dataclass

from tetragon.abi.records import ProcessFlag
from tetragon.model.event import Event
from tetragon.model.process import Process
from tetragon.model.record import CloneRecord, ExecRecord, ExitRecord, Record
from tetragon.process.cache import ProcessCache
from tetragon.process.options import Options

Key = tuple[int, int]
NODE = "node"
INIT: Key = (1, 1)
OFFSET = 1_700_000_000_000_000_000
"""Wall clock minus boot clock of every test."""


def new_cache(**options: object) -> ProcessCache:
    """Return an empty cache."""
    cache = ProcessCache(Options(NODE, **options))  # type: ignore[arg-type]
    cache.wall_offset = OFFSET
    return cache


def scanned(key: Key, parent: Key | None = None, binary: str = "/sbin/init") -> Process:
    """Return a process as the scan at start describes it."""
    return Process(
        *key,
        exec_id=f"id{key}",
        parent_exec_id=f"id{parent}",
        parent_key=parent,
        tid=key[0],
        binary=binary,
        flags="procFS",
        start_time=OFFSET + key[1],
    )


def execed(
    key: Key,
    parent: Key,
    cleanup: Key | None = None,
    binary: str = "/bin/prog",
    arguments: str = "",
    **more: object,
) -> ExecRecord:
    """Return an exec record."""
    process = Process(
        *key,
        exec_id="",
        parent_key=parent,
        tid=key[0],
        uid=1000,
        cwd="/work",
        binary=binary,
        arguments=arguments,
        flags="execve clone",
        **more,  # type: ignore[arg-type]
    )
    return ExecRecord(key, process, cleanup)


def exited(
    key: Key, parent: Key = (0, 0), code: int = 0, announced: bool = True, flags: int = 0
) -> ExitRecord:
    """Return an exit record; it happened one ns after the process began."""
    return ExitRecord(key, parent, flags, 0, key[1] + 1, code, announced)


def feed(cache: ProcessCache, *records: Record) -> list[Event]:
    """Give a cache records; return the events they make."""
    events: list[Event] = []
    cache.handle(records, events)
    return events


@dataclass
class Running:
    """A process of the host, as the kernel half remembers it."""

    key: Key
    parent: Key
    forked: bool
    announced: bool


class Host:
    """
    Processes that fork, exec and exit; ``records`` is what was sent.

    ``parents`` tells of each identity ever announced who its parent is.
    """

    def __init__(self) -> None:
        self.now = 100
        self.records: list[Record] = []
        self.parents: dict[Key, Key] = {}
        self.running = {1: Running(INIT, (0, 1), False, True)}
        self._last_pid = 100

    def fork(self, pid: int) -> int:
        """Let a process fork; return the child's pid."""
        creator = self.running[pid]
        if not creator.announced:
            creator.announced = True
            self.parents[creator.key] = creator.parent
            flags = int(ProcessFlag.CLONE)
            self.records.append(CloneRecord(creator.key, creator.parent, flags, 0))
        self._last_pid += 1
        child = Running((self._last_pid, self._tick()), creator.key, True, False)
        self.running[self._last_pid] = child
        return self._last_pid

    def exec(self, pid: int) -> None:
        """Let a process run a new image."""
        process = self.running[pid]
        key = (pid, self._tick())
        parent = process.parent if process.forked else process.key
        cleanup = process.key if process.announced else None
        self.records.append(execed(key, parent, cleanup))
        self.parents[key] = parent
        self.running[pid] = Running(key, parent, False, True)

    def exit(self, pid: int) -> None:
        """Let a process end; its children have a new parent, but keep who forked them."""
        gone = self.running.pop(pid)
        self.records.append(exited(gone.key, gone.parent, announced=gone.announced))

    def end(self) -> None:
        """Let all but init exit."""
        for pid in sorted(self.running.keys() - {1}):
            self.exit(pid)

    def _tick(self) -> int:
        self.now += 10
        return self.now


def act(host: Host, steps: Iterable[tuple[str, int]]) -> None:
    """Let a host live: each step is what is done, and by which of the processes alive."""
    for what, number in steps:
        alive = sorted(host.running)
        pid = alive[number % len(alive)]
        if what == "fork":
            host.fork(pid)
        elif what == "exec" and pid != 1:
            host.exec(pid)
        elif what == "spawn":
            host.exec(host.fork(pid))
        elif what == "exit" and pid != 1:
            host.exit(pid)
