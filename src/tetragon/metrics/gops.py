"""GopsServer: a bound socket in, answers to gops' commands out: a byte asks, what follows answers.

Flow    gops HOST:PORT, tetra bugtool -> GopsServer -> sample, stacks, heap
Owns    its threads (Connections)
Source  github.com/google/gops, package signal
"""

import gc
import os
import platform
import resource
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from tetragon.log import get_log
from tetragon.metrics import heap, stacks
from tetragon.metrics.connections import Connections
from tetragon.metrics.sample import CpuSampler

log = get_log(__name__)

STOP_TIMEOUT: Final = 0.2
SECONDS: Final = 30.0
_NOT_HERE: Final = b"not available: this agent is written in Python\n"


class GopsServer:
    """
    Diagnostics as the ``gops`` command asks for them.

    Args:
        listener: bound TCP socket.
        sampler: takes the CPU profiles.
        seconds: how long one takes.
    """

    def __init__(
        self, listener: socket.socket, sampler: CpuSampler, seconds: float = SECONDS
    ) -> None:
        self._connections = Connections(listener, self._serve, "gops")
        self._seconds = seconds
        self._sampler = sampler
        self.address = self._connections.address
        """Host and port in use."""
        # The whole dispatch: command byte -> answer.
        self._commands: Final[Mapping[int, Callable[[], bytes]]] = {
            0x1: lambda: stacks.dump().encode(errors="replace"),
            0x2: _collect,
            0x3: _memory,
            0x4: f"{_runtime()}\n".encode,
            0x5: lambda: heap.profile() if heap.is_traced() else f"{heap.HOW}\n".encode(),
            0x6: self._profile,
            0x7: _statistics,
        }

    def start(self) -> None:
        """Serve from now on."""
        self._connections.start()
        log.info("Starting gops server", addr="{}:{}".format(*self.address))

    def stop(self, timeout: float = STOP_TIMEOUT) -> None:
        """Stop serving; a profile being taken ends early, and is sent."""
        self._connections.stop(timeout)

    def _serve(self, connection: socket.socket) -> None:
        command = connection.recv(1)
        if command:
            answer = self._commands.get(command[0])
            connection.sendall(answer() if answer is not None else _NOT_HERE)

    def _profile(self) -> bytes:
        profile = self._sampler.sample(self._seconds, self._connections.stopping)
        return b"a CPU profile is being taken already\n" if profile is None else profile


def _collect() -> bytes:
    gc.collect()
    return b"ok"


def _runtime() -> str:
    return f"{platform.python_implementation()} {platform.python_version()}"


def _memory() -> bytes:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    rows = {
        "resident": pages * resource.getpagesize(),
        "resident-peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10,
        "python-blocks": sys.getallocatedblocks(),
        "gc-frozen": gc.get_freeze_count(),
        **{
            f"gc-collections-{generation}": one["collections"]
            for generation, one in enumerate(gc.get_stats())
        },
    }
    return _rows(rows)


def _statistics() -> bytes:
    return _rows(
        {
            "goroutines": threading.active_count(),
            "OS threads": sum(1 for _ in Path("/proc/self/task").iterdir()),
            "GOMAXPROCS": len(os.sched_getaffinity(0)),
            "num CPU": os.cpu_count() or 1,
        }
    )


def _rows(rows: Mapping[str, int]) -> bytes:
    return "".join(f"{name}: {value}\n" for name, value in rows.items()).encode()
