"""Sample: what the agent's threads spend their CPU time on, as a pprof profile.

The main thread, on which events pass, is interrupted by SIGPROF each time the process used another
10 ms of CPU. Every other thread is looked at a hundred times a second. A stack gets the CPU time
its thread used since the look before, so that waiting counts nothing and the sum is what was used.
Python is interrupted between two steps of its own only: time in C is its caller's, and a thread
other than main that worked for less than some ms is often seen in the wait that followed.

Flow    SIGPROF, sys._current_frames, a CPU clock a thread -> [CpuSampler] -> ProfileBuilder
Owns    the handler of SIGPROF, from the first CpuSampler to the end of the process
Bounds  STACKS different stacks; what comes after counts for its thread, without a stack
Source  the clock of a thread: MAKE_THREAD_CPUCLOCK of the kernel's include/linux/posix-timers.h
"""

import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import CodeType, FrameType
from typing import Final

from tetragon.metrics.profile import Frame, ProfileBuilder, ValueType

PERIOD: Final = 0.01
"""Seconds between two looks."""
STACKS: Final = 20_000
DEPTH: Final = 128
_TYPES: Final = (ValueType("samples", "count"), ValueType("cpu", "nanoseconds"))

Stack = tuple[tuple[CodeType, int], ...]
"""Code and line of each frame, from the innermost outward."""


class CpuSampler:
    """
    Takes CPU profiles, one at a time.

    To be made on the main thread, once: only there a signal can be handled. Made elsewhere, it
    looks at the main thread as it does at the others.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._interrupted: _Look | None = None
        self._signal = threading.current_thread() is threading.main_thread()
        if self._signal:
            signal.signal(signal.SIGPROF, self._on_signal)
            signal.siginterrupt(signal.SIGPROF, False)  # system calls go on

    def sample(self, seconds: float, stopping: threading.Event) -> bytes | None:
        """
        Watch for ``seconds``, or until ``stopping``.

        Returns:
            The gzipped profile; None while another one is being taken.
        """
        if not self._lock.acquire(blocking=False):
            return None
        try:
            return self._sample(seconds, stopping)
        finally:
            self._lock.release()

    def _sample(self, seconds: float, stopping: threading.Event) -> bytes:
        began, start, process = time.time_ns(), time.monotonic(), time.process_time_ns()
        others, main = _Look(), _Look()
        left_out = {threading.get_ident()}
        if self._signal:
            left_out.add(threading.main_thread().ident or 0)
            self._interrupted = main
            signal.setitimer(signal.ITIMER_PROF, PERIOD, PERIOD)
        try:
            due = start
            while (due := due + PERIOD) < start + seconds:
                if stopping.wait(max(0.0, due - time.monotonic())):
                    break
                for thread, frame in running():
                    if thread.ident not in left_out:
                        others.add(thread, frame)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            self._interrupted = None
        builder = ProfileBuilder(_TYPES, int(PERIOD * 1e9))
        for (thread_name, stack), values in (*main.counts.copy().items(), *others.counts.items()):
            builder.add(frames(stack), values, {"thread": thread_name})
        used = f"the whole process used {time.process_time_ns() - process} ns of CPU meanwhile"
        return builder.encode(began, int((time.monotonic() - start) * 1e9), [used])

    def _on_signal(self, _signal: int, frame: FrameType | None) -> None:
        """Run on the main thread: ``frame`` is what it did."""
        look = self._interrupted
        if look is not None and frame is not None:
            look.add(threading.main_thread(), frame)


class _Look:
    """Stacks and what they used; each belongs to one thread."""

    def __init__(self) -> None:
        self.counts: dict[tuple[str, Stack], list[int]] = {}
        self._used = thread_times()

    def add(self, thread: threading.Thread, frame: FrameType) -> None:
        """Give what a thread used since it was last seen to its stack of now."""
        now = _cpu_time(thread.native_id or 0)
        before = self._used.get(thread.native_id or 0, 0)  # 0: it began after we did
        if now is None or now <= before:
            return
        self._used[thread.native_id or 0] = now
        key = (thread.name, stack_of(frame))
        if key not in self.counts and len(self.counts) >= STACKS:
            key = (thread.name, ())
        values = self.counts.setdefault(key, [0, 0])
        values[0] += 1
        values[1] += now - before


def thread_times() -> dict[int, int]:
    """Return the CPU time, ns, of every thread of ours by its native id."""
    times: dict[int, int] = {}
    for thread in threading.enumerate():
        if thread.native_id is not None:
            used = _cpu_time(thread.native_id)
            if used is not None:
                times[thread.native_id] = used
    return times


def running() -> list[tuple[threading.Thread, FrameType]]:
    """Return every thread with the innermost frame it is in."""
    current = sys._current_frames()  # pyright: ignore[reportPrivateUsage] (documented all the same)
    return [
        (thread, current[thread.ident])
        for thread in threading.enumerate()
        if thread.ident is not None and thread.ident in current
    ]


def stack_of(frame: FrameType | None) -> Stack:
    """Return the stack of a frame, at most DEPTH deep."""
    stack: list[tuple[CodeType, int]] = []
    while frame is not None and len(stack) < DEPTH:
        stack.append((frame.f_code, frame.f_lineno or 0))
        frame = frame.f_back
    return tuple(stack)


def frames(stack: Stack) -> Iterator[Frame]:
    """Return a stack as a profile wants it."""
    for code, line in stack:
        yield Frame(code.co_qualname, code.co_filename, line, code.co_firstlineno)


def _cpu_time(native_id: int) -> int | None:
    """Return the CPU time of a thread of this process, None when it has ended."""
    try:
        return time.clock_gettime_ns(~native_id << 3 | 6)
    except OSError:
        return None
