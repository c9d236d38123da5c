"""Heap: what memory Python objects hold and where it was taken, as text or as a pprof profile.

Python knows that only where it traces every allocation, which costs about half its speed: so this
works in an agent started with the variable PYTHONTRACEMALLOC=DEPTH, and tells so in any other.

Owns    nothing
"""

import time
import tracemalloc
from typing import Final

from tetragon.metrics.profile import Frame, ProfileBuilder, ValueType

HOW: Final = (
    "not available: memory is not traced. Start the agent with the environment variable "
    "PYTHONTRACEMALLOC=16 (how many frames of a stack to keep) to have it; tracing takes memory "
    "and about half the speed."
)
_TYPES: Final = (ValueType("inuse_objects", "count"), ValueType("inuse_space", "bytes"))
_TOP: Final = 100


def is_traced() -> bool:
    """Tell whether this process traces its memory."""
    return tracemalloc.is_tracing()


def profile() -> bytes:
    """Return what is held, by the stacks that took it."""
    builder = ProfileBuilder(_TYPES)
    held: dict[tuple[tuple[str, int], ...], list[int]] = {}
    for trace in tracemalloc.take_snapshot().traces:
        stack = tuple((frame.filename, frame.lineno) for frame in reversed(trace.traceback))
        values = held.setdefault(stack, [0, 0])
        values[0] += 1
        values[1] += trace.size
    for stack, values in held.items():
        # A trace knows no function: its file stands in.
        builder.add([Frame(f"{file}:{line}", file, line) for file, line in stack], values)
    return builder.encode(time.time_ns())


def table() -> str:
    """Return the lines of code that hold most, as text."""
    held, peak = tracemalloc.get_traced_memory()
    top = tracemalloc.take_snapshot().statistics("lineno")[:_TOP]
    lines = [f"{held} bytes in use, {peak} at most", "bytes objects where"]
    lines += [f"{one.size} {one.count} {one.traceback}" for one in top]
    return "\n".join(lines)
