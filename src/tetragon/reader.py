"""Reader: drains the rings, feeds the pipeline, and does what is due, on one thread.

While records come, it polls with short pauses and the kernel half wakes nobody; when none come it
goes to sleep in epoll and asks to be woken. So a storm costs no wake-ups, and an idle host none.

Flow    rings -> [Reader] -> pipeline
Owns    the epoll descriptor and the timers; the thread that calls ``run``.
"""

import os
import select
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from tetragon.pipeline import Pipeline

LINGER_MIN: Final = 0.001
LINGER_MAX: Final = 0.008
_ENOUGH: Final = 64  # records of a batch from which on waiting for more gains nothing
_RACE: Final = 0.005
_SLEEP: Final = 1.0


class Source(Protocol):
    """A ring of the kernel half (tetragon.kernel.ring.Ring)."""

    fd: int

    def drain(self) -> tuple[bytes, list[int]]:
        """Take the records that are ready."""
        ...


class Timer(NamedTuple):
    """Something to do every ``interval`` seconds, on the reader thread."""

    interval: float
    action: Callable[[], None]


@dataclass(slots=True)
class _Due:
    at: float
    timer: Timer


class Reader:
    """
    The loop of the reader thread.

    Args:
        rings: drained in this order.
        set_asleep: tells the kernel half whether to wake us.
        timers: what is due when.
    """

    def __init__(
        self,
        rings: Sequence[Source],
        pipeline: Pipeline,
        set_asleep: Callable[[bool], None],
        timers: Sequence[Timer],
    ) -> None:
        self._rings = rings
        self._pipeline = pipeline
        self._set_asleep = set_asleep
        now = time.monotonic()
        self._due = [_Due(now + timer.interval, timer) for timer in timers]
        self._stopping = False
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll = select.epoll()
        for fd in (self._wake, *(ring.fd for ring in rings)):
            self._epoll.register(fd, select.EPOLLIN)

    def stop(self) -> None:
        """End ``run`` soon; safe from any thread and from a signal handler."""
        self._stopping = True
        os.eventfd_write(self._wake, 1)

    def run(self) -> None:
        """Drain until ``stop``; then drain what is left once more."""
        linger = LINGER_MIN
        self._set_asleep(False)
        while not self._stopping:
            count = self.drain()
            self._run_due()
            if count >= _ENOUGH:
                linger = LINGER_MIN
            elif count:
                time.sleep(linger)
                linger = min(2 * linger, LINGER_MAX)
            else:
                linger = LINGER_MIN
                self._sleep()
        while self.drain():
            pass

    def drain(self) -> int:
        """Take one batch of each ring; return how many records there were."""
        count = 0
        for ring in self._rings:
            data, table = ring.drain()
            if table:
                self._pipeline.run(data, table, wall_offset())
                count += len(table) // 2
        return count

    def close(self) -> None:
        """Release the descriptors."""
        self._epoll.close()
        os.close(self._wake)

    def _sleep(self) -> None:
        """Wait for a record or the next timer."""
        self._set_asleep(True)
        # A record written while we fell asleep may not have woken us: look again, soon.
        if not self.drain() and not self._epoll.poll(_RACE) and not self.drain():
            self._epoll.poll(max(0.0, min(self._next_due(), _SLEEP)))
        self._set_asleep(False)

    def _next_due(self) -> float:
        return min((due.at for due in self._due), default=_SLEEP) - time.monotonic()

    def _run_due(self) -> None:
        now = time.monotonic()
        for due in self._due:
            if due.at <= now:
                due.at = now + due.timer.interval
                due.timer.action()


def wall_offset() -> int:
    """Return Unix time minus CLOCK_BOOTTIME, ns: what turns a ktime into a time of day."""
    return time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
