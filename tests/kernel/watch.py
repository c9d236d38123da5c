"""Watch: the base sensor and the pipeline in this process, and what they say of our descendants.

Everything runs on the thread that asks: ``wait`` drains the ring until its check holds. So a test
needs no sleep, and a child of it never inherits a running thread.
"""

import json
import os
import select
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from tetragon.event.decode import Decoder
from tetragon.event.json import JsonEncoder
from tetragon.model.event import Event, ExecEvent
from tetragon.model.ledger import Ledger
from tetragon.model.process import Key, Process
from tetragon.pipeline import Pipeline
from tetragon.process.cache import ProcessCache
from tetragon.process.options import Options
from tetragon.procfs.cgroup import (
    CgroupMode,
    container_id,
    detect_mode,
    parse_controllers,
    pick_controller,
)
from tetragon.reader import Reader, wall_offset
from tetragon.sensor.base import BaseOptions, BaseSensor
from tetragon.sensor.scan import Found, ScanOptions, host_namespaces, running_processes

IN_VM = bool(os.environ.get("VM_KERNEL"))
"""Whether this kernel is a virtual machine's, emulated and slow, which we may treat as we like."""

DEADLINE = 90.0 if IN_VM else 20.0
T = TypeVar("T")


class Seen:
    """One event of a descendant: the value, and its JSON line as it was when it came."""

    __slots__ = ("event", "line")

    def __init__(self, event: Event, line: bytes) -> None:
        self.event = event
        self.line = line

    @property
    def kind(self) -> str:
        """The name of the event's kind in the line, such as process_exec."""
        return "process_exec" if isinstance(self.event, ExecEvent) else "process_exit"

    @property
    def json(self) -> dict[str, Any]:
        """The line, parsed: it must be valid."""
        found: dict[str, Any] = json.loads(self.line)
        return found

    @property
    def process(self) -> Process:
        """Who did it."""
        assert self.event.process is not None
        return self.event.process

    @property
    def told(self) -> dict[str, Any]:
        """What the line tells of its kind of event."""
        found: dict[str, Any] = self.json[self.kind]
        return found

    @property
    def shown(self) -> dict[str, Any]:
        """The process as the line shows it."""
        found: dict[str, Any] = self.told["process"]
        return found

    @property
    def parent(self) -> dict[str, Any]:
        """The parent as the line shows it."""
        found: dict[str, Any] = self.told["parent"]
        return found


class Watch:
    """
    A loaded base sensor and all that stands behind it, up to JSON.

    Args:
        options: what the kernel half collects.
        start: scan at once; without, call ``scan``.
    """

    def __init__(self, options: BaseOptions, start: bool = True) -> None:
        self.sensor = BaseSensor(options)
        self.cache = ProcessCache(
            Options(
                "test-node",
                ancestors=True,
                credentials=options.credentials,
                namespaces=options.namespaces,
                retries=3,
            )
        )
        self.found = Found([], frozenset(), [])
        self.first: list[Event] = []
        """Events of the processes that ran before."""
        self.seen: list[Seen] = []
        self.ledger = Ledger("watch")
        self._encoder = JsonEncoder("test-node")
        self._options = options
        self.pipeline = Pipeline(Decoder(container_id), self.cache, [self], 0, self._complain)
        self.reader = Reader([self.sensor.ring], self.pipeline, self.sensor.set_asleep, [])
        self._poll = select.epoll()
        self._poll.register(self.sensor.ring.fd, select.EPOLLIN)
        if start:
            self.scan()

    def scan(self) -> None:
        """Tell the cache of all who ran before."""
        tasks = self.sensor.scan()
        host = host_namespaces(tasks)
        self.pipeline.decoder = Decoder(container_id, host._asdict())
        options = ScanOptions(
            "/proc",
            self.cache.exec_id,
            wall_offset(),
            host,
            cgroup_layout()[0],
            credentials=True,
            namespaces=True,
            hooked=self.sensor.hooked,
        )
        self.found = running_processes(tasks, options)
        self.first = self.cache.seed(self.found.processes, self.found.kernel_threads)

    def close(self) -> None:
        """Unload everything."""
        self._poll.close()
        self.reader.close()
        self.sensor.close()

    # -- the sink ----------------------------------------------------------------------------------

    def write(self, batch: Sequence[Event]) -> None:
        """Keep the events of our descendants."""
        for event in batch:
            if event.process is not None and self._is_ours(event.process):
                self.seen.append(Seen(event, self._encoder.line(event)))

    def tick(self, now: int) -> None:
        """Do nothing: only a sink has to."""

    def _is_ours(self, process: Process) -> bool:
        own, known = os.getpid(), set[Key]()
        at: Process | None = process
        while at is not None and (at.pid, at.ktime) not in known:
            if at.pid == own:
                return process.pid != own
            known.add((at.pid, at.ktime))
            at = self.cache.find(at.parent_key) if at.parent_key else None
        return False

    def _complain(self, reason: str) -> None:
        raise AssertionError(f"undecodable record: {reason}")

    # -- asking ------------------------------------------------------------------------------------

    def start_test(self) -> None:
        """Forget what came so far."""
        self.drain()
        self.seen.clear()

    def drain(self) -> int:
        """Take all that is ready."""
        total = 0
        while count := self.reader.drain():
            total += count
        return total

    def wait(self, what: str, check: Callable[[], T], seconds: float = DEADLINE) -> T:
        """Drain until ``check`` returns something true, and return that; fail after ``seconds``."""
        end = time.monotonic() + seconds
        while True:
            self.sensor.set_asleep(True)
            self.drain()
            if found := check():
                return found
            if time.monotonic() > end:
                raise AssertionError(
                    f"after {seconds:.0f} s still not: {what}; seen: {self.summary()}"
                )
            self._poll.poll(0.02)

    def execs(self, pid: int) -> list[Seen]:
        """Return the execs of a process so far."""
        return [one for one in self.of_kind("process_exec") if one.process.pid == pid]

    def exits(self, pid: int) -> list[Seen]:
        """Return the exits of a process so far."""
        return [one for one in self.of_kind("process_exit") if one.process.pid == pid]

    def of_kind(self, kind: str) -> list[Seen]:
        """Return all events of a kind so far."""
        return [one for one in self.seen if one.kind == kind]

    def wait_exec(self, pid: int, count: int = 1) -> Seen:
        """Return the count-th exec of a process, waiting for it."""
        self.wait(f"{count} exec(s) of {pid}", lambda: len(self.execs(pid)) >= count)
        return self.execs(pid)[count - 1]

    def wait_exit(self, pid: int) -> Seen:
        """Return the exit of a process, waiting for it."""
        self.wait(f"exit of {pid}", lambda: self.exits(pid))
        return self.exits(pid)[0]

    def settle(self) -> None:
        """Wait until all that happened before this call has been seen."""
        pid = os.posix_spawn("/bin/true", ["true"], {})
        os.waitpid(pid, 0)
        self.wait_exit(pid)
        self.seen = [one for one in self.seen if one.process.pid != pid]

    def summary(self) -> list[str]:
        """Return one line for each event seen."""
        return [
            f"{one.event.__class__.__name__} {one.process.pid} {one.process.binary}"
            for one in self.seen
        ]

    def losses(self) -> dict[tuple[str, str], int]:
        """Return what the kernel half counted, but for the records it made."""
        return {
            key: count
            for key, count in self.sensor.counters().items()
            if count and key[1] != "produced"
        }


def cgroup_layout() -> tuple[CgroupMode, str]:
    """Return this host's cgroup mode and the version 1 controller that names containers."""
    with open("/proc/cgroups", "rb") as cgroups, open("/proc/mounts", "rb") as mounts:
        controllers = cgroups.read()
        mode = detect_mode(mounts.read(), controllers)
    controller = pick_controller(parse_controllers(controllers))
    return mode, controller.name if controller else ""


def everything(**changes: Any) -> BaseOptions:
    """Return options that collect all there is."""
    given = {
        "ring_size": 8 << 20,
        "credentials": True,
        "namespaces": True,
        "environment": True,
        "cgroup_controller": cgroup_layout()[1],
    }
    return BaseOptions(**{**given, **changes})
