"""Ring: everything a BPF ring buffer holds ready, moved out by one call.

Flow    kernel half -> ring -> [drain] -> decode
Owns    the mapping of one ring; used by the reader thread alone.
"""

import os
from typing import Any

from tetragon.errors import KernelError
from tetragon.kernel import _libbpf

_ffi: Any = _libbpf.ffi
_lib: Any = _libbpf.lib

BATCH_BYTES = 1 << 18
BATCH_RECORDS = 512


class Ring:
    """
    Reader of one ring.

    Args:
        map_fd: descriptor of the loaded ring map; stays the caller's.
        size: its max_entries, bytes.

    Raises:
        KernelError: the ring cannot be mapped.
    """

    def __init__(self, map_fd: int, size: int) -> None:
        self.fd = map_fd
        self._ring = _lib.tg_ring_open(map_fd, size)
        if self._ring == _ffi.NULL:
            raise KernelError("map", "ring", int(_ffi.errno))
        self._batch = _ffi.new("char[]", BATCH_BYTES)
        self._table = _ffi.new("uint32_t[]", 2 * BATCH_RECORDS)
        self._bytes = _ffi.buffer(self._batch, BATCH_BYTES)
        self._entries = memoryview(_ffi.buffer(self._table)).cast("B").cast("I")

    def drain(self) -> tuple[bytes, list[int]]:
        """
        Take the records that are ready, up to one batch.

        Returns:
            (data, table): table holds offset and size of each record in data, alternating.
        """
        count = _lib.tg_ring_drain(self._ring, self._batch, BATCH_BYTES, self._table, BATCH_RECORDS)
        if not count:
            return b"", []
        table: list[int] = self._entries[: 2 * count].tolist()
        data: bytes = self._bytes[: table[-2] + table[-1]]
        return data, table

    def pending(self) -> int:
        """Return the bytes that wait, records still being written included."""
        return int(_lib.tg_ring_pending(self._ring))

    def close(self) -> None:
        """Unmap; a second call does nothing."""
        if self._ring != _ffi.NULL:
            _lib.tg_ring_close(self._ring)
            self._ring = _ffi.NULL


def page_aligned_size(size: int) -> int:
    """Return the smallest ring size the kernel takes that holds ``size`` bytes."""
    page = os.sysconf("SC_PAGE_SIZE")
    return max(page, 1 << (size - 1).bit_length())
