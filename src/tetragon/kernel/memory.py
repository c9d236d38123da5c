"""Memory: tells the C library to keep freed memory for the next batch; no values in or out.

By default glibc gives the top of the heap back to the kernel as soon as 128 KiB of it are free.
Each batch of large events then begins with page faults: events of 28 KB took twice as long to
encode and send (3.4 faults an event, 0.1 with this; docs/performance.md).

Source  mallopt(3)
"""

import ctypes
from typing import Final

_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3

KEPT: Final = 16 << 20
"""Bytes at the top of the heap that may stay free."""

LARGE: Final = 4 << 20
"""Blocks of this size or more come from the kernel one by one, and go back when freed."""


def keep_freed_memory() -> bool:
    """Apply both to this process; False where the C library has no such setting."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return False
    return bool(mallopt(_TRIM_THRESHOLD, KEPT)) and bool(mallopt(_MMAP_THRESHOLD, LARGE))
