"""Store: processes by key, the references between them, and what is removed when; pure code.

A process stays until it ended, no child refers to it any more and two collections passed, so that
late events still find it.

References: a process holds one to itself while it is alive, and one to its parent (with ancestors
on: to each of ANCESTORS_MAX above) from its start to its end. ``parent_key`` is set exactly while
that is so, and what it leads to is kept; so a chain of them never breaks.

Owns    every Process and the queue of ended ones; used by the reader thread alone, but for
        ``snapshot``.
Bounds  ``size`` processes, an eighth of them ended ones (the oldest go first, ended before alive);
        LONG_TEXTS characters of long arguments and environments (the oldest are cut first).
"""

from collections import deque
from typing import Final

from tetragon.abi.records import ProcessFlag
from tetragon.model.control import CachedProcess
from tetragon.model.process import Key, Process
from tetragon.model.text import add_flag
from tetragon.process.options import Stats

LONG_TEXT: Final = 4096
"""Characters from which on a process's arguments and environment are long."""
LONG_TEXTS: Final = 32 << 20
"""Characters of them kept in all."""
ANCESTORS_MAX: Final = 128
"""Most ancestors referred to and shown; a process that execs itself for ever has ever more."""
_ENDED_MIN: Final = 64


class Store:
    """
    The processes of this host.

    Args:
        size: the most kept.
        ancestors: a process refers to all above it, not only to its parent.
    """

    def __init__(self, size: int, ancestors: bool) -> None:
        self._size = size
        self._ancestors_on = ancestors
        self._counts = Stats(capacity=size)
        self._processes: dict[Key, Process] = {}
        self._ended: deque[Process] = deque()
        self._ended_max = max(_ENDED_MIN, size // 8)
        self._deletions = 0
        self._pass = 1
        self._idle: list[Process] = []
        self._long: dict[Key, int] = {}
        self._long_total = 0

    def __len__(self) -> int:
        return len(self._processes)

    def find(self, key: Key) -> Process | None:
        """Return a process by its key, or None."""
        return self._processes.get(key)

    def snapshot(
        self, skip_unreferenced: bool = False, skip_alive: bool = False
    ) -> list[CachedProcess]:
        """Return what is kept; on any thread, while the reader goes on."""
        return [
            self._describe(process)
            for process in self._processes.copy().values()  # one step for the interpreter
            if not ((skip_unreferenced and not process.refcnt) or (skip_alive and process.alive))
        ]

    def collect(self) -> None:
        """Remove processes that ended before the last collection; call it every gc interval."""
        self._pass += 1
        ended, self._ended = self._ended, deque()
        for process in ended:
            if process.refcnt:
                process.ended = 0
            elif process.ended > self._pass - 2:
                self._ended.append(process)
            else:
                self._deletions += 1
                self._remove((process.pid, process.ktime))

    def release_texts(self) -> None:
        """Forget the encoded forms of what just ended, or is long: few will ask for them."""
        for process in self._idle:
            process.json = None
            if process.proto is not None:
                process.proto = None
        self._idle.clear()

    # -- references ------------------------------------------------------------------------------

    def _insert(self, key: Key, process: Process, parent: Process | None) -> None:
        """Add a process with one reference of its own, and one to each above it that counts."""
        process.refcnt = 1
        self._processes[key] = process
        if parent is None:
            process.parent_key = None
        else:
            parent.refcnt += 1
            parent.taken += 1
            if self._ancestors_on:
                self._refer(self._ancestors(process.pid, parent))
        if len(process.arguments) > LONG_TEXT or process.environment:
            self._note_long(key, process)
        if len(self._processes) > self._size:
            self._evict()

    def _refer(self, others: tuple[Process, ...]) -> None:
        for other in others:
            other.refcnt += 1
            other.taken += 1

    def _parent(self, process: Process) -> Process | None:
        """Return the parent a process refers to."""
        key = process.parent_key
        return self._processes.get(key) if key is not None else None

    def _ancestors(self, pid: int, parent: Process | None) -> tuple[Process, ...]:
        """Return who is above the parent, nearest first, down to pid 1 or 2; none unless on."""
        if not self._ancestors_on or pid <= 2:
            return ()
        chain: list[Process] = []
        below = parent
        while below is not None and below.pid > 2 and len(chain) < ANCESTORS_MAX:
            below = self._parent(below)
            if below is None or below.pid == 0:
                break
            chain.append(below)
        return tuple(chain)

    def _end(self, process: Process, parent: Process | None) -> None:
        """Drop a process's reference to itself and those above, once."""
        if not process.alive:
            self._counts.early_deletions += 1
            return
        process.alive = False
        if parent is not None:
            if self._ancestors_on:
                for above in self._ancestors(process.pid, parent):
                    self._drop(above)
            parent.refcnt = left = parent.refcnt - 1
            if not left:
                self._retire(parent)
        process.refcnt = left = process.refcnt - 1
        if not left:
            self._retire(process)

    def _drop(self, process: Process) -> None:
        process.refcnt -= 1
        if not process.refcnt:
            self._retire(process)

    def _retire(self, process: Process) -> None:
        """Queue a process nobody refers to for removal."""
        self._idle.append(process)
        ended = self._ended
        if not process.ended:
            ended.append(process)
        process.ended = self._pass
        if len(ended) > self._ended_max:
            self._delete_oldest()

    # -- removal ---------------------------------------------------------------------------------

    def _delete_oldest(self) -> bool:
        """Take the process that ended first out of the queue; return whether it was removed."""
        oldest = self._ended.popleft()
        if oldest.refcnt:  # found use again
            oldest.ended = 0
            return False
        self._deletions += 1
        self._remove((oldest.pid, oldest.ktime))
        return True

    def _remove(self, key: Key) -> None:
        """Forget a process nobody refers to."""
        self._processes.pop(key, None)
        if self._long:
            self._long_total -= self._long.pop(key, 0)

    def _evict(self) -> None:
        """Make room: an ended process if there is one, else the oldest without children."""
        while self._ended:
            if self._delete_oldest():
                return
        # Many at once: walking to the oldest entries costs the same for one.
        wanted = max(1, self._size // 64)
        for key, process in list(self._processes.items()):
            if process.alive and process.refcnt == 1:
                self._evict_alive(key, process)
                wanted -= 1
                if not wanted:
                    return

    def _evict_alive(self, key: Key, process: Process) -> None:
        self._counts.evictions += 1
        process.alive = False
        process.refcnt = 0
        parent = self._parent(process)
        if parent is not None:
            for above in (parent, *self._ancestors(process.pid, parent)):
                self._drop(above)
        self._remove(key)

    # -- long texts ------------------------------------------------------------------------------

    def _note_long(self, key: Key, process: Process) -> None:
        """Count the characters of long texts; cut the oldest when there are too many."""
        size = len(process.arguments)
        size += sum(len(name) + len(value) for name, value in process.environment)
        if size <= LONG_TEXT:
            return
        self._idle.append(process)
        self._long_total += size - self._long.pop(key, 0)
        self._long[key] = size
        while self._long_total > LONG_TEXTS:
            self._shorten(next(iter(self._long)))

    def _shorten(self, key: Key) -> None:
        self._long_total -= self._long.pop(key)
        self._counts.shortened += 1
        process = self._processes[key]
        process.json = process.proto = None
        if len(process.arguments) > LONG_TEXT:
            process.arguments = process.arguments[:LONG_TEXT]
            process.flags = add_flag(process.flags, ProcessFlag.TRUNC_ARGS)
        if process.environment:
            process.environment = ()
            process.flags = add_flag(process.flags, ProcessFlag.ERROR_ENVS)

    # -- for the curious -------------------------------------------------------------------------

    def _describe(self, process: Process) -> CachedProcess:
        refcnt, alive = process.refcnt, process.alive
        if refcnt:
            color = "inUse"
        else:
            color = "deletePending" if process.ended == self._pass else "deleteReady"
        operations = {
            "process++": 1,
            "process--": 0 if alive else 1,
            "parent++": process.taken,
            "parent--": max(0, process.taken + alive - refcnt),
        }
        used = {name: count for name, count in operations.items() if count}
        return CachedProcess(process, color, refcnt, used)
