"""Stacks: what every thread of the agent does at this moment, as text or as a pprof profile.

Owns    nothing; safe on any thread, which is shown like the others
"""

import time
import traceback

from tetragon.metrics.profile import ProfileBuilder, ValueType
from tetragon.metrics.sample import frames, running, stack_of, thread_times


def dump() -> str:
    """Return every thread with its name, CPU time and stack, innermost call last."""
    times = thread_times()
    threads = running()
    parts = [f"{len(threads)} threads\n"]
    for thread, frame in threads:
        seconds = times.get(thread.native_id or 0, 0) / 1e9
        daemon = ", daemon" if thread.daemon else ""
        parts.append(f"thread {thread.name} ({thread.native_id}{daemon}), {seconds:.3f} s of CPU:")
        parts.append("".join(traceback.format_stack(frame)))
    return "\n".join(parts)


def profile() -> bytes:
    """Return the same as a profile: one for each thread and stack."""
    builder = ProfileBuilder((ValueType("goroutine", "count"),))
    for thread, frame in running():
        builder.add(frames(stack_of(frame)), (1,), {"thread": thread.name})
    return builder.encode(time.time_ns())
